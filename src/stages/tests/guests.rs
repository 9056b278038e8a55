//! A cluster with guests, for the stages that write what belongs to them; and which virtual machine stands for which.

use super::*;
use crate::inventory::{Area, Collected, ConfiguredGuest, Guest, GuestConfig, GuestConfigs, GuestKind, Guests, Vmid};
use crate::netbox::objects::{VirtualMachine, VirtualMachineState};
use crate::stages::guests::{bindings, claimed_by_selected, claimed_outside};

/// Facts of the cluster `lab`: virtual machine 31 stands for the virtual machine 204 on `pve2`, 32 for the container 205
/// on `pve1`.
pub(super) fn with_guests() -> Facts {
    let mut facts = converged();
    facts.known.machines = vec![machine(31, "web"), machine(32, "db")];
    facts.known.machine_states = vec![machine_state(31, 204, "qemu"), machine_state(32, 205, "lxc")];
    let guests = vec![guest(204, GuestKind::Qemu, "pve2"), guest(205, GuestKind::Lxc, "pve1")];
    fill::<Guests>(&mut facts, guests);
    facts
}

pub(super) fn fill<A: Area>(facts: &mut Facts, items: Vec<A::Item>) {
    let gaps = Vec::new();
    A::slot_mut(&mut facts.inventory).fill(Collected { items, gaps });
}

pub(super) fn machine(id: u64, name: &str) -> Stored<VirtualMachine> {
    let object = VirtualMachine {
        name: Some(name.to_owned()),
        cluster: Some(CLUSTER),
        ..VirtualMachine::default()
    };
    Stored {
        id: ObjectId(id),
        object,
    }
}

pub(super) fn machine_state(machine: u64, vmid: u32, kind: &str) -> Stored<VirtualMachineState> {
    let object = VirtualMachineState {
        cluster_name: Some("lab".to_owned()),
        endpoint_raw_id: Some(OURS),
        vmid: Some(vmid),
        kind: Some(kind.to_owned()),
        ..VirtualMachineState::of(ObjectId(machine))
    };
    Stored {
        id: ObjectId(machine + 500),
        object,
    }
}

fn guest(vmid: u32, kind: GuestKind, node: &str) -> Guest {
    Guest {
        vmid: Vmid(vmid),
        kind,
        node: node.to_owned(),
        name: None,
        status: None,
        is_template: false,
        disk: None,
        processors: None,
        memory: None,
    }
}

/// The plan of a pass over `actual` rows, and its warnings.
pub(super) fn plan_over<P: Pass>(facts: &Facts, actual: &[Stored<P::Object>]) -> (Plan, Vec<String>) {
    let desired = P::settle(facts, P::desired(facts), actual);
    let mut plan = diff(desired.wanted, actual, &P::policy(facts), |stored| {
        P::retire(facts, stored)
    });
    plan.refused.extend(desired.refused);
    plan.left_out = desired.left_out;
    (plan, desired.warnings)
}

/// The rows that a plan deletes.
pub(super) fn deleted(plan: &Plan) -> Vec<u64> {
    plan.delete.iter().map(|row| row.id.0).collect()
}

#[test]
fn virtual_machine_without_a_sound_identity_is_left_out_by_name() {
    type Edit = fn(&mut Facts);
    let cases: [(&str, Edit, usize); 7] = [
        ("no number", |facts| facts.known.machine_states[0].object.vmid = None, 1),
        ("no kind", |facts| facts.known.machine_states[0].object.kind = None, 1),
        (
            "no endpoint",
            |facts| facts.known.machine_states[0].object.endpoint_raw_id = None,
            1,
        ),
        (
            "no cluster",
            |facts| facts.known.machine_states[0].object.cluster_name = Some(String::new()),
            1,
        ),
        (
            "claimed twice",
            |facts| {
                facts.known.machines.push(machine(33, "web-2"));
                facts.known.machine_states.push(machine_state(33, 204, "qemu"));
            },
            2,
        ),
        (
            "of another cluster",
            |facts| facts.known.machine_states[0].object.cluster_name = Some("beta".to_owned()),
            0,
        ),
        (
            "cluster in other letters",
            |facts| facts.known.machine_states[0].object.cluster_name = Some(" LAB ".to_owned()),
            0,
        ),
    ];
    for (case, edit, unbound) in cases {
        let mut facts = with_guests();
        edit(&mut facts);
        let bindings = bindings(&facts);
        assert_eq!(bindings.unbound.len(), unbound, "{case}: {bindings:?}");
        assert_eq!(bindings.of(Vmid(204)).is_some(), case.contains("letters"), "{case}");
        assert!(bindings.of(Vmid(205)).is_some(), "{case}: the others go on");
    }
}

#[test]
fn kind_of_guest_is_read_in_whatever_letters() {
    for (kind, is_bound) in [
        ("QEMU", true),
        (" Qemu ", true),
        ("LXC", false),
        ("vm", false),
        ("", false),
    ] {
        let mut facts = with_guests();
        facts.known.machine_states[0].object.kind = Some(kind.to_owned());
        assert_eq!(bindings(&facts).of(Vmid(204)).is_some(), is_bound, "{kind}");
    }
}

#[test]
fn state_without_a_clusters_name_is_of_the_one_that_it_hangs_on() {
    for (tracked, is_bound) in [(7, true), (8, false)] {
        let mut facts = with_guests();
        facts.target.tracking = Some(ObjectId(7));
        let state = &mut facts.known.machine_states[0].object;
        state.cluster_name = Some(" ".to_owned());
        state.proxmox_cluster = Some(ObjectId(tracked));
        assert_eq!(bindings(&facts).of(Vmid(204)).is_some(), is_bound, "{tracked}");
    }
}

#[test]
fn virtual_machine_of_a_number_that_a_guest_of_another_kind_has_now_costs_its_heir_nothing() {
    let mut facts = with_guests();
    facts.known.machines.push(machine(33, "ct-gone"));
    facts.known.machine_states.push(machine_state(33, 204, "lxc"));
    let told = bindings(&facts);
    assert_eq!(told.of(Vmid(204)).map(|bound| bound.id.0), Some(31), "{told:?}");
    let [left_out] = told.unbound.as_slice() else {
        panic!("{told:?}")
    };
    assert_eq!(
        (left_out.id.0, left_out.reason.as_str()),
        (33, "guest 204 is a qemu, not a lxc")
    );
    assert!(told.disputed.is_empty());
}

/// Virtual machine 33 stands in another cluster of NetBox, where an operator has moved it.
#[test]
fn virtual_machine_that_was_moved_away_costs_its_heir_nothing() {
    let elsewhere = Some(ObjectId(99));
    let moved = || {
        let mut facts = with_guests();
        facts.known.machines.push(machine(33, "archived"));
        facts.known.machines[2].object.cluster = elsewhere;
        facts.known.machine_states.insert(0, machine_state(33, 204, "qemu"));
        facts
    };
    let told = |facts: &Facts| {
        let bindings = bindings(facts);
        assert!(bindings.disputed.is_empty(), "{bindings:?}");
        let left_out: Vec<u64> = bindings.unbound.iter().map(|unbound| unbound.id.0).collect();
        (bindings.of(Vmid(204)).map(|bound| bound.id.0), left_out)
    };
    let mut facts = moved();
    assert_eq!(told(&facts), (Some(31), vec![33]));
    for (only, expected) in [(33, (None, vec![33])), (31, (Some(31), vec![]))] {
        facts.options.guests.only = Some([ObjectId(only)].into());
        assert_eq!(told(&facts), expected, "{only} alone");
    }
    // Unless it was not even read.
    let mut facts = moved();
    facts.known.machines.pop();
    assert_eq!(told(&facts), (Some(31), vec![33]));
    // Two in the guest's cluster are rivals as ever, and so are two of which none is.
    for clusters in [[Some(CLUSTER); 2], [elsewhere; 2]] {
        let mut facts = moved();
        facts.known.machines[0].object.cluster = clusters[0];
        facts.known.machines[2].object.cluster = clusters[1];
        let bindings = bindings(&facts);
        assert_eq!(
            (bindings.disputed.len(), bindings.unbound.len()),
            (1, 2),
            "{clusters:?}"
        );
    }
}

/// Guest 204 with notes that name a cluster.
fn notes(cluster: u64) -> ConfiguredGuest {
    let text = format!("```netbox-metadata\n{{\"cluster\": {cluster}}}\n```");
    let config = json!({"description": text, "scsi0": "local:vm-204-disk-0,size=1G"});
    ConfiguredGuest {
        vmid: Vmid(204),
        config: GuestConfig::decode(GuestKind::Qemu, config).unwrap(),
    }
}

#[test]
fn virtual_machine_outside_the_guests_cluster_does_not_stand_for_it_although_no_other_does() {
    let silent = ConfiguredGuest {
        vmid: Vmid(204),
        config: GuestConfig::decode(GuestKind::Qemu, json!({"name": "web"})).unwrap(),
    };
    for (cluster, parse, configs, is_bound) in [
        (99, true, vec![silent.clone()], false),
        (99, true, vec![], false),
        (99, true, vec![notes(98)], false),
        (99, true, vec![notes(99)], true),
        (99, false, vec![notes(99)], false),
        (CLUSTER.0, true, vec![silent], true),
        (CLUSTER.0, true, vec![], true),
        (CLUSTER.0, true, vec![notes(99)], false),
        (CLUSTER.0, false, vec![notes(99)], true),
    ] {
        let mut facts = with_guests();
        facts.options.guests.parse_metadata = parse;
        facts.known.machines[0].object.cluster = Some(ObjectId(cluster));
        let case = format!("{cluster} {parse} {configs:?}");
        fill::<GuestConfigs>(&mut facts, configs);
        let is_outside = claimed_outside(&facts).contains(&Vmid(204));
        assert_eq!(is_outside, cluster != CLUSTER.0, "{case}");
        let bindings = bindings(&facts);
        assert_eq!(bindings.of(Vmid(204)).is_some(), is_bound, "{case}");
        assert_eq!(bindings.unbound.len(), usize::from(!is_bound), "{case}: {bindings:?}");
        facts.options.guests.only = Some([ObjectId(32)].into());
        assert_eq!(claimed_by_selected(&facts), Some([Vmid(205)].into()), "{case}");
    }
}

#[test]
fn notes_tell_which_of_two_clusters_is_the_guests_own() {
    for (configs, expected) in [
        (vec![notes(99)], Some(33)),
        (vec![notes(CLUSTER.0)], Some(31)),
        (vec![], None),
    ] {
        let mut facts = with_guests();
        facts.options.guests.parse_metadata = true;
        facts.known.machines.push(machine(33, "archived"));
        facts.known.machines[2].object.cluster = Some(ObjectId(99));
        assert!(claimed_outside(&facts).is_empty());
        facts.known.machine_states.push(machine_state(33, 204, "qemu"));
        assert_eq!(claimed_outside(&facts), [Vmid(204)].into());
        fill::<GuestConfigs>(&mut facts, configs);
        let bindings = bindings(&facts);
        assert_eq!(bindings.of(Vmid(204)).map(|bound| bound.id.0), expected, "{bindings:?}");
    }
}
