//! Plans of the stage `virtual-machines`: an estate in step plans nothing, one difference plans just that.

use serde_json::{Value, json};

use super::identity::identify;
use super::*;
use crate::inventory::{Area, ClusterOptions, Collected, ConfiguredGuest, Gap, GuestKind, Inventory};
use crate::mapping::virtual_machine_state::{Home, state};
use crate::netbox::ids::Ids;
use crate::netbox::objects::{
    CloudInit, DeviceRole, Platform, SOFT_DELETED_TAG, Said, Tag, VirtualMachineState, VirtualMachineType,
};
use crate::reconcile::{Plan, Resource};
use crate::stages::tests::{changes, converged as infrastructure, plan, plan_against};
use crate::stages::{Flag, Pass};

const CLUSTER: ObjectId = ObjectId(10);
const OURS: i64 = 1;

/// A guest and the virtual machine that is in step with it.
#[derive(Clone)]
struct Pair {
    guest: Guest,
    config: Value,
    machine: Stored<VirtualMachine>,
    state: Stored<VirtualMachineState>,
}

fn pair(vmid: u32, name: &str) -> Pair {
    let guest = Guest {
        vmid: Vmid(vmid),
        kind: GuestKind::Qemu,
        node: "pve1".to_owned(),
        name: Some(name.to_owned()),
        status: Some("running".to_owned()),
        is_template: false,
        disk: None,
        processors: Some(2.0),
        memory: Some(2 << 30),
    };
    let config = json!({"ostype": "l26", "scsi0": "local:vm-disk-0,size=8G", "onboot": 1});
    let id = ObjectId(u64::from(vmid) + 1000);
    let machine = VirtualMachine {
        vmid: None,
        name: Some(name.to_owned()),
        status: Some("active".to_owned()),
        cluster: Some(CLUSTER),
        device: Some(ObjectId(101)),
        site: Some(ObjectId(20)),
        machine_type: Some(ObjectId(71)),
        vcpus: Some(2.0),
        memory: Some(2048),
        disk: Some(8192),
        disk_count: 1,
        description: Some("Synced from Proxmox node pve1".to_owned()),
        comments: Some(String::new()),
        tags: ["proxbox".to_owned(), "proxbox-discovered-qemu".to_owned()].into(),
        ..VirtualMachine::default()
    };
    let home = Home {
        endpoint: OURS,
        host: Some("10.0.0.1"),
        port: 8006,
        cluster: "lab",
    };
    let decoded = GuestConfig::decode(guest.kind, config.clone()).unwrap();
    let state = VirtualMachineState {
        proxmox_node: Said::Is(ObjectId(61)),
        proxmox_cluster: Some(ObjectId(7)),
        last_updated: Some("2026-11-24T11:00:00Z".to_owned()),
        last_run: Some("earlier".to_owned()),
        ..state(&guest, &decoded, id, home)
    };
    Pair {
        guest,
        config,
        machine: Stored { id, object: machine },
        state: Stored {
            id: ObjectId(u64::from(vmid) + 2000),
            object: state,
        },
    }
}

/// Facts of a cluster whose guests are `pairs`, as they are once everything is read.
fn facts_of(pairs: &[Pair]) -> Facts {
    let mut facts = infrastructure();
    fill::<Guests>(
        &mut facts.inventory,
        pairs.iter().map(|pair| pair.guest.clone()).collect(),
    );
    let configs = pairs.iter().map(|pair| ConfiguredGuest {
        vmid: pair.guest.vmid,
        config: GuestConfig::decode(pair.guest.kind, pair.config.clone()).unwrap(),
    });
    fill::<GuestConfigs>(&mut facts.inventory, configs.collect());
    facts.known.machines = pairs.iter().map(|pair| pair.machine.clone()).collect();
    facts.known.machine_states = pairs.iter().map(|pair| pair.state.clone()).collect();
    facts.known.node_devices = [("pve1", 101), ("pve2", 102)]
        .map(|(node, id)| (node.to_owned(), ObjectId(id)))
        .into();
    facts.known.node_links = [("pve1", 61), ("pve2", 62)]
        .map(|(node, id)| (node.to_owned(), ObjectId(id)))
        .into();
    facts.known.endpoint_ids = Some([OURS].into());
    facts.options.run_id = "now".to_owned();
    for (path, key, id) in [
        (<VirtualMachineType as Resource>::PATH, "qemu-virtual-machine", 71),
        (<VirtualMachineType as Resource>::PATH, "lxc-container", 72),
        (<DeviceRole as Resource>::PATH, "virtual-machine-qemu", 41),
        (<Tag as Resource>::PATH, "proxbox-discovered-qemu", 91),
        (<Platform as Resource>::PATH, "linux-kernel-2-6-or-newer", 81),
    ] {
        facts.ids.learn(path, key.to_owned(), ObjectId(id));
    }
    facts.known.has_machine_types = true;
    decide(facts)
}

/// The same in a NetBox that has no types of virtual machines, nor anything else to refer to.
fn forget_types(facts: &mut Facts) {
    facts.ids = Ids::default();
    facts.known.has_machine_types = false;
}

fn fill<A: Area>(inventory: &mut Inventory, items: Vec<A::Item>) {
    A::slot_mut(inventory).fill(Collected {
        items,
        gaps: Vec::new(),
    });
}

/// The same with every guest identified and named.
fn decide(mut facts: Facts) -> Facts {
    let identities = identify(&facts);
    facts.guests.matches = identities.matches;
    facts.guests.refused = identities.refused;
    facts.guests.names = names::resolve(&facts);
    facts
}

/// The changes that the stage plans for virtual machines and for sync states.
fn all_changes(facts: &Facts) -> (Value, Value) {
    let (machines, states) = (plan::<Machines>(facts), plan::<MachineStates>(facts));
    assert!(
        machines.create.is_empty() && states.create.is_empty(),
        "{machines:#?} {states:#?}"
    );
    (changes(&machines), changes(&states))
}

fn names_of(facts: &Facts) -> Vec<(u32, &str)> {
    let names = facts.guests.names.iter();
    names.map(|(vmid, name)| (vmid.0, name.name.as_str())).collect()
}

#[test]
fn guests_in_step_plan_nothing() {
    let facts = facts_of(&[pair(101, "web"), pair(102, "db")]);
    for plan in [
        plan::<Machines>(&facts),
        plan::<MachineStates>(&facts),
        plan::<StateClaims>(&facts),
        plan::<RoleSnapshots>(&facts),
        plan::<FreedNames>(&facts),
        plan::<CloudInits>(&facts),
    ] {
        assert!(plan.is_empty() && plan.refused.is_empty(), "{plan:#?}");
    }
    assert!(Revivals::scope(&facts).iter().all(super::super::Selection::is_empty));
    assert!(Platforms::scope(&facts).iter().all(super::super::Selection::is_empty));
}

#[test]
fn one_difference_plans_just_that() {
    type Edit = fn(&mut Pair);
    let cases: [(Edit, Value, Value); 7] = [
        (
            |pair| pair.guest.processors = Some(1.5),
            json!({"vcpus": 1.5}),
            json!({}),
        ),
        (
            |pair| pair.guest.memory = Some(1 << 30),
            json!({"memory": 1024}),
            json!({}),
        ),
        (
            |pair| pair.guest.status = Some("stopped".to_owned()),
            json!({"status": "offline"}),
            json!({"proxmox_status": "stopped"}),
        ),
        (
            |pair| pair.guest.node = "pve2".to_owned(),
            json!({"device": 102, "description": "Synced from Proxmox node pve2"}),
            json!({"proxmox_node": 62, "proxmox_node_name": "pve2"}),
        ),
        (
            |pair| pair.config["description"] = json!("shop\nof ours"),
            json!({"description": "shop", "comments": "shop\nof ours"}),
            json!({}),
        ),
        (
            |pair| pair.config["agent"] = json!("1"),
            json!({}),
            json!({"proxmox_qemu_agent": true}),
        ),
        (
            |pair| pair.machine.object.tags = ["gold".to_owned()].into(),
            json!({"tags": ["gold", "proxbox"]}),
            json!({}),
        ),
    ];
    for (edit, machine, state) in cases {
        let mut changed = pair(101, "web");
        edit(&mut changed);
        let facts = facts_of(&[changed, pair(102, "db")]);
        let by_row = |id: &str, mut change: Value, rides: bool| match change.as_object_mut() {
            Some(fields) if fields.is_empty() => json!({}),
            Some(fields) => {
                if rides {
                    fields.insert("last_run_id".to_owned(), json!("now"));
                    fields.insert("proxmox_last_updated".to_owned(), json!(facts.now));
                }
                json!({ id: fields })
            }
            None => unreachable!("every case is an object"),
        };
        let expected = (by_row("1101", machine, false), by_row("2101", state, true));
        assert_eq!(all_changes(&facts), expected);
    }
}

#[test]
fn resized_disk_is_left_to_netbox_where_the_machine_has_disks() {
    let mut resized = pair(101, "web");
    resized.config["scsi0"] = json!("local:vm-disk-0,size=16G");
    assert_eq!(
        changes(&plan::<Machines>(&facts_of(std::slice::from_ref(&resized)))),
        json!({})
    );
    resized.machine.object.disk_count = 0;
    let expected = json!({"1101": {"disk": 16384}});
    assert_eq!(changes(&plan::<Machines>(&facts_of(&[resized]))), expected);
}

#[test]
fn operators_status_stays_where_it_does_not_contradict_the_guest() {
    for (status, live, planned) in [
        ("staged", "running", json!({})),
        ("failed", "running", json!({})),
        ("decommissioning", "running", json!({})),
        ("failed", "stopped", json!({"1101": {"status": "offline"}})),
        ("offline", "running", json!({"1101": {"status": "active"}})),
    ] {
        let mut pair = pair(101, "web");
        pair.machine.object.status = Some(status.to_owned());
        pair.guest.status = Some(live.to_owned());
        assert_eq!(
            changes(&plan::<Machines>(&facts_of(&[pair]))),
            planned,
            "{status}, {live}"
        );
    }
}

#[test]
fn flags_that_are_off_leave_what_an_operator_filled_in() {
    let mut pair = pair(101, "web");
    pair.machine.object.description = Some("mine".to_owned());
    pair.machine.object.comments = Some("mine too".to_owned());
    pair.machine.object.tags = ["gold".to_owned()].into();
    pair.machine.object.machine_type = Some(ObjectId(79));
    pair.config["description"] = json!("shop\nof ours");
    let mut facts = facts_of(&[pair.clone()]);
    for flag in [Flag::VmDescription, Flag::VmTags, Flag::VmType] {
        assert!(!plan::<Machines>(&facts).is_empty(), "before {flag:?}");
        facts.options.overwrite.set(flag, false);
    }
    assert!(plan::<Machines>(&facts).is_empty());
    facts.known.machines[0].object.description = Some(" ".to_owned());
    let expected = json!({"1101": {"description": "shop"}});
    assert_eq!(changes(&plan::<Machines>(&facts)), expected, "an empty one is filled");
}

#[test]
fn platform_is_overwritten_only_with_its_flag() {
    let mut pair = pair(101, "web");
    pair.machine.object.platform = Some(ObjectId(5));
    let mut facts = facts_of(&[pair]);
    assert!(plan::<Machines>(&facts).is_empty());
    facts.options.overwrite.set(Flag::VmPlatform, true);
    assert_eq!(changes(&plan::<Machines>(&facts)), json!({"1101": {"platform": 81}}));
}

#[test]
fn cloud_init_row_is_made_once_and_followed_with_its_flag() {
    let mut pair = pair(101, "web");
    pair.config["ciuser"] = json!("deb");
    pair.config["ipconfig0"] = json!("ip=dhcp");
    let mut facts = facts_of(&[pair]);
    let mut row = CloudInits::desired(&facts).wanted.remove(0).object;
    let stored = |object: &CloudInit| {
        [Stored {
            id: ObjectId(7),
            object: object.clone(),
        }]
    };
    assert_eq!(plan_against::<CloudInits>(&facts, &[]).create.len(), 1);
    assert!(plan_against::<CloudInits>(&facts, &stored(&row)).is_empty());
    row.user = Some("root".to_owned());
    let expected = json!({"7": {"ciuser": "deb"}});
    assert_eq!(changes(&plan_against::<CloudInits>(&facts, &stored(&row))), expected);
    facts.options.overwrite.set(Flag::VmCloudinit, false);
    assert!(plan_against::<CloudInits>(&facts, &stored(&row)).is_empty());
    assert_eq!(plan_against::<CloudInits>(&facts, &[]).create.len(), 1);
}

#[test]
fn notes_override_only_where_that_is_asked_for_and_only_what_the_flags_allow() {
    let mut pair = pair(101, "web");
    let block = r#"{"memory": 4096, "vcpus": 3, "role": 5, "platform": 6, "tenant": 1}"#;
    pair.config["description"] = json!(format!("```netbox-metadata\n{block}\n```"));
    let mut facts = facts_of(&[pair]);
    assert!(plan::<Machines>(&facts).is_empty());
    facts.options.guests.parse_metadata = true;
    assert_eq!(
        ignored_overrides(&facts),
        [r#"web: its notes cannot override "tenant""#]
    );
    let sizes = json!({"memory": 4096, "vcpus": 3.0});
    for (flag, may_overwrite, field, value) in [
        (Flag::VmRole, true, "role", Some(5)),
        (Flag::VmRole, false, "role", None),
        (Flag::VmPlatform, true, "platform", Some(6)),
        (Flag::VmPlatform, false, "platform", None),
    ] {
        let mut facts = facts.clone();
        facts.options.overwrite.set(flag, may_overwrite);
        let planned = changes(&plan::<Machines>(&decide(facts)));
        let told = planned["1101"].get(field).and_then(Value::as_u64);
        assert_eq!(told, value, "{flag:?} {may_overwrite}: {planned}");
        for (field, value) in sizes.as_object().unwrap() {
            assert_eq!(&planned["1101"][field], value, "{planned}");
        }
    }
}

#[test]
fn new_guest_gets_everything_at_once() {
    let mut new = pair(103, "new");
    new.config["tags"] = json!("prod;db");
    let mut facts = facts_of(&[pair(101, "web"), new]);
    facts.known.machines.pop();
    facts.known.machine_states.pop();
    let mut facts = decide(facts);
    facts.guests.tags = [("prod", "prod"), ("db", "database")]
        .map(|(own, slug)| (own.to_owned(), slug.to_owned()))
        .into();
    let planned = plan::<Machines>(&facts);
    let expected = json!({
        "name": "new", "status": "active", "cluster": 10, "device": 101, "site": 20, "virtual_machine_type": 71,
        "platform": 81, "vcpus": 2.0, "memory": 2048, "disk": 8192, "description": "Synced from Proxmox node pve1",
        "tags": ["database", "prod", "proxbox", "proxbox-discovered-qemu"]
    });
    assert_eq!((json!(planned.create[0].fields), planned.create.len()), (expected, 1));
    facts
        .ids
        .learn(<VirtualMachine as Resource>::PATH, "103".to_owned(), ObjectId(500));
    let states = plan::<MachineStates>(&facts);
    assert_eq!(states.create[0].fields["virtual_machine"], json!(500));
    assert_eq!(states.create[0].fields["last_run_id"], json!("now"));
}

#[test]
fn machine_that_arrived_with_a_lost_answer_is_taken() {
    let mut facts = facts_of(&[pair(101, "web")]);
    let arrived = facts.known.machines.remove(0);
    facts.known.machine_states.clear();
    let facts = decide(facts);
    let settled = Machines::settle(&facts, Machines::desired(&facts), &[arrived]);
    assert_eq!(settled.wanted[0].row, Row::Is(ObjectId(1101)));
    let settled = Machines::settle(&facts, Machines::desired(&facts), &[pair(102, "other").machine]);
    assert_eq!(settled.wanted[0].row, Row::New);
}

#[test]
fn machine_without_a_sync_state_is_taken_only_where_it_bears_the_tag_of_new_ones() {
    for (tag, name, row) in [
        ("proxbox-discovered-qemu", "web", Row::Is(ObjectId(1101))),
        ("proxbox-discovered-qemu", "Web (2)", Row::Is(ObjectId(1101))),
        ("proxbox-discovered-qemu", "mail", Row::New),
        ("proxbox-discovered-lxc", "web", Row::New),
        ("proxbox", "web", Row::New),
    ] {
        let mut facts = facts_of(&[pair(101, "web")]);
        facts.known.machine_states.clear();
        let machine = &mut facts.known.machines[0].object;
        machine.name = Some(name.to_owned());
        machine.tags = ["proxbox", tag].map(str::to_owned).into();
        assert_eq!(identify(&facts).matches[&Vmid(101)].row, row, "{name:?} tagged {tag}");
    }
}

#[test]
fn netbox_without_types_gets_roles() {
    let mut facts = facts_of(&[pair(101, "web")]);
    forget_types(&mut facts);
    facts.ids.learn(
        <DeviceRole as Resource>::PATH,
        "virtual-machine-qemu".to_owned(),
        ObjectId(41),
    );
    let facts = decide(facts);
    assert_eq!(changes(&plan::<Machines>(&facts)), json!({"1101": {"role": 41}}));
    let states = changes(&plan::<MachineStates>(&facts));
    assert_eq!(states["2101"]["proxmox_last_synced_role_id"], json!(41));
}

#[test]
fn new_guest_gets_a_role_and_no_type_where_netbox_has_no_types() {
    let mut facts = facts_of(&[pair(101, "web")]);
    facts.known.machines.clear();
    facts.known.machine_states.clear();
    forget_types(&mut facts);
    facts.ids.learn(
        <DeviceRole as Resource>::PATH,
        "virtual-machine-qemu".to_owned(),
        ObjectId(41),
    );
    let mut facts = decide(facts);
    let planned = plan::<Machines>(&facts);
    let expected = json!({
        "name": "web", "status": "active", "cluster": 10, "device": 101, "site": 20, "role": 41, "vcpus": 2.0,
        "memory": 2048, "disk": 8192, "description": "Synced from Proxmox node pve1", "tags": ["proxbox"]
    });
    assert_eq!((json!(planned.create[0].fields), planned.create.len()), (expected, 1));
    facts
        .ids
        .learn(<VirtualMachine as Resource>::PATH, "101".to_owned(), ObjectId(500));
    let state = plan::<MachineStates>(&facts).create.remove(0).fields;
    assert_eq!(
        (&state["proxmox_last_synced_role_id"], &state["proxmox_last_updated"]),
        (&json!(41), &json!(facts.now))
    );
}

#[test]
fn role_belongs_to_whoever_wrote_it_last() {
    let (ours, theirs) = (Some(41), Some(49));
    // Current role, remembered role, may overwrite; role written, role remembered.
    let cases = [
        (None, None, true, ours, ours),
        (None, None, false, ours, ours),
        (theirs, None, true, None, theirs),
        (theirs, Some(41), true, ours, None),
        (theirs, Some(41), false, None, None),
        (ours, Some(41), true, None, None),
        (theirs, theirs, false, ours, ours),
        (theirs, theirs, true, ours, ours),
        (theirs, Some(43), true, ours, ours),
        (theirs, Some(43), false, None, None),
        (None, Some(41), false, None, None),
        (None, Some(41), true, ours, None),
    ];
    for (current, remembered, may_overwrite, written, kept) in cases {
        let mut pair = pair(101, "web");
        pair.machine.object.role = current.map(ObjectId);
        pair.state.object.last_synced_role = remembered.map(ObjectId);
        let mut facts = facts_of(&[pair]);
        forget_types(&mut facts);
        facts.ids.learn(
            <DeviceRole as Resource>::PATH,
            "virtual-machine-qemu".to_owned(),
            ObjectId(41),
        );
        facts.options.overwrite.set(Flag::VmRole, may_overwrite);
        let facts = decide(facts);
        let case = format!("{current:?} {remembered:?} {may_overwrite}");
        let role = |plan: &Plan, field: &str| {
            let update = plan.update.first()?;
            update.changes.get(field).and_then(|change| change.after.as_u64())
        };
        assert_eq!(role(&plan::<Machines>(&facts), "role"), written, "{case}");
        let states = plan::<MachineStates>(&facts);
        assert_eq!(role(&states, "proxmox_last_synced_role_id"), kept, "{case}");
        let early = role(&plan::<RoleSnapshots>(&facts), "proxmox_last_synced_role_id");
        assert_eq!(
            early,
            kept.filter(|_| remembered.is_some() && written.is_some()),
            "{case}"
        );
    }
}

/// Where NetBox has types this service has no role of its own to give, whether they can be read or not.
#[test]
fn role_is_remembered_at_first_sight_and_left_alone_where_none_is_wanted() {
    // Current role, remembered role; role to remember.
    for (current, remembered, kept) in [
        (Some(49), None, Some(49)),
        (None, None, None),
        (Some(49), Some(41), None),
        (Some(41), Some(41), None),
        (None, Some(41), None),
    ] {
        for (may_overwrite, are_read) in [(true, true), (false, true), (true, false), (false, false)] {
            let mut pair = pair(101, "web");
            pair.machine.object.role = current.map(ObjectId);
            pair.state.object.last_synced_role = remembered.map(ObjectId);
            let mut facts = facts_of(&[pair]);
            facts.options.overwrite.set(Flag::VmRole, may_overwrite);
            if !are_read {
                facts.ids = Ids::default();
                let role = "virtual-machine-qemu".to_owned();
                facts.ids.learn(<DeviceRole as Resource>::PATH, role, ObjectId(41));
            }
            let facts = decide(facts);
            let case = format!("{current:?} {remembered:?} {may_overwrite} {are_read}");
            let (machines, states) = all_changes(&facts);
            assert_eq!(machines, json!({}), "{case}");
            let told = states["2101"]
                .get("proxmox_last_synced_role_id")
                .and_then(Value::as_u64);
            assert_eq!(told, kept, "{case}");
            assert!(plan::<RoleSnapshots>(&facts).is_empty(), "{case}");
        }
    }
}

#[test]
fn role_that_could_not_be_written_is_not_remembered() {
    let mut pair = pair(101, "web");
    pair.machine.object.role = Some(ObjectId(49));
    pair.state.object.last_synced_role = Some(ObjectId(49));
    let mut facts = facts_of(&[pair]);
    forget_types(&mut facts);
    facts.ids.learn(
        <DeviceRole as Resource>::PATH,
        "virtual-machine-qemu".to_owned(),
        ObjectId(41),
    );
    let mut facts = decide(facts);
    let expected = json!({"2101": {"proxmox_last_synced_role_id": 41}});
    assert_eq!(changes(&plan::<RoleSnapshots>(&facts)), expected);
    facts.known.machine_states[0].object.last_synced_role = Some(ObjectId(41));
    facts.guests.refused.insert(Vmid(101), "NetBox refused it".to_owned());
    let expected = json!({"2101": {"proxmox_last_synced_role_id": 49}});
    assert_eq!(changes(&plan::<RoleSnapshots>(&facts)), expected);
}

#[test]
fn time_stamp_that_is_overdue_is_refreshed_with_the_run() {
    let mut pair = pair(101, "web");
    pair.state.object.last_updated = Some("2026-11-20T11:00:00Z".to_owned());
    let facts = facts_of(&[pair]);
    let expected = json!({"2101": {"proxmox_last_updated": facts.now, "last_run_id": "now"}});
    assert_eq!(all_changes(&facts), (json!({}), expected));
}

#[test]
fn time_stamp_is_overdue_whatever_the_time_zone_of_netbox() {
    for (stored, is_overdue) in [
        ("2026-11-23T14:00:01+02:00", false),
        ("2026-11-23T13:59:59+02:00", true),
        ("2026-11-23T07:00:01-05:00", false),
        ("2026-11-23T06:59:59-05:00", true),
    ] {
        let mut pair = pair(101, "web");
        pair.state.object.last_updated = Some(stored.to_owned());
        let (_, states) = all_changes(&facts_of(&[pair]));
        assert_eq!(states != json!({}), is_overdue, "{stored}: {states}");
    }
}

#[test]
fn states_flag_gates_all_but_who_the_guest_is() {
    let mut pair = pair(101, "web");
    pair.guest.status = Some("stopped".to_owned());
    pair.guest.node = "pve2".to_owned();
    let mut facts = facts_of(&[pair]);
    facts.options.overwrite.set(Flag::VmCustomFields, false);
    let expected = json!({"2101": {"proxmox_node": 62, "proxmox_node_name": "pve2", "last_run_id": "now"}});
    assert_eq!(changes(&plan::<MachineStates>(&facts)), expected);
}

#[test]
fn guest_without_a_configuration_fails_and_is_left_alone() {
    let mut facts = facts_of(&[pair(101, "web"), pair(102, "db")]);
    let read = facts.inventory.items::<GuestConfigs>()[1..].to_vec();
    GuestConfigs::slot_mut(&mut facts.inventory).fill(Collected {
        items: read,
        gaps: vec![Gap::offline("pve1")],
    });
    let facts = decide(facts);
    let planned = plan::<Machines>(&facts);
    assert!(planned.is_empty());
    assert_eq!(planned.refused[0].label, "web");
    assert!(
        planned.refused[0].reason.contains("the node is offline"),
        "{planned:#?}"
    );
    assert_eq!((planned.refused.len(), planned.unchanged.len()), (1, 1));
    assert_eq!(plan::<MachineStates>(&facts).unchanged.len(), 1);
}

#[test]
fn guest_whose_configuration_is_empty_fails_too() {
    let mut empty = pair(101, "web");
    empty.config = json!({});
    let planned = plan::<Machines>(&facts_of(&[empty]));
    assert!(planned.is_empty(), "{planned:#?}");
    assert_eq!(planned.refused[0].reason, "its configuration was not found");
}

#[test]
fn guest_whose_kind_is_not_told_may_be_a_template_that_the_modes_do_not_leave_out() {
    for (status, template, expected) in [
        (Some("running"), Mode::Always, false),
        (Some("unknown"), Mode::Always, true),
        (None, Mode::Always, true),
        (None, Mode::Disabled, false),
    ] {
        let mut pair = pair(101, "web");
        pair.guest.status = status.map(str::to_owned);
        let mut facts = facts_of(&[pair]);
        (facts.options.modes.machine, facts.options.modes.template) = (Mode::Disabled, template);
        assert_eq!(may_handle_any(&facts), expected, "{status:?} {template:?}");
    }
}

#[test]
fn guest_that_the_cluster_knows_only_by_its_number_keeps_what_it_has() {
    let mut listed = pair(101, "web");
    listed.machine.object.name = Some("web (2)".to_owned());
    listed.machine.object.status = Some("offline".to_owned());
    listed.guest.name = None;
    listed.guest.status = Some("unknown".to_owned());
    (listed.guest.processors, listed.guest.memory) = (None, None);
    let facts = facts_of(&[listed.clone()]);
    let (machines, states) = all_changes(&facts);
    assert_eq!(machines, json!({}));
    assert_eq!(states["2101"]["proxmox_status"], json!("unknown"));
    assert!(!facts.guests.names[&Vmid(101)].is_resolved());
    let mut facts = facts_of(&[listed]);
    facts.known.machines.clear();
    facts.known.machine_states.clear();
    let planned = plan::<Machines>(&decide(facts));
    let fields = &planned.create[0].fields;
    assert_eq!(
        (&fields["name"], &fields["status"], &fields["memory"]),
        (&json!("vm-101"), &json!("active"), &json!(0)),
        "a new one"
    );
}

#[test]
fn templates_and_guests_follow_their_modes() {
    let mut template = pair(102, "golden");
    template.guest.is_template = true;
    template.guest.memory = Some(1 << 30);
    let mut facts = facts_of(&[pair(101, "web"), template]);
    assert_eq!(plan::<Machines>(&facts).update.len(), 1);
    facts.options.modes.template = Mode::Disabled;
    assert!(plan::<Machines>(&decide(facts.clone())).is_empty());
    facts.options.modes.template = Mode::BootstrapOnly;
    facts.options.modes.machine = Mode::Disabled;
    let labels: Vec<String> = handled(&facts).map(Guest::label).collect();
    assert_eq!(labels, ["golden"]);
}

#[test]
fn template_that_is_listed_as_a_plain_guest_is_known_by_its_configuration() {
    let mut template = pair(102, "golden");
    template.config["template"] = json!(1);
    let mut facts = facts_of(&[pair(101, "web"), template]);
    facts.options.modes.template = Mode::Disabled;
    let labels: Vec<String> = handled(&facts).map(Guest::label).collect();
    assert_eq!(labels, ["web"]);
}

#[test]
fn site_follows_the_device_only_where_netbox_would_refuse_the_machine() {
    let (first, second) = (Some(ObjectId(20)), Some(ObjectId(21)));
    for (case, node, scope, stored, knows_types, planned) in [
        ("moved to another site", "pve2", None, first, true, Some(21)),
        ("the device was moved", "pve1", None, second, true, Some(20)),
        ("in step", "pve1", None, first, true, None),
        ("moved within the site that it is in", "pve2", None, second, true, None),
        ("in no site", "pve2", None, None, true, None),
        ("the cluster's site counts", "pve2", first, first, true, None),
        (
            "older releases leave the site to operators",
            "pve2",
            None,
            first,
            false,
            None,
        ),
    ] {
        let mut pair = pair(101, "web");
        pair.guest.node = node.to_owned();
        pair.machine.object.site = stored;
        let mut facts = facts_of(&[pair]);
        let cluster = facts.known.clusters.iter_mut().find(|stored| stored.id == CLUSTER);
        let cluster = &mut cluster.unwrap().object;
        assert_eq!(cluster.site(), first);
        if scope.is_none() {
            cluster.scope_type = Some("dcim.region".to_owned());
        }
        facts.known.device_sites = [(101, 20), (102, 21)]
            .map(|(id, site)| (ObjectId(id), ObjectId(site)))
            .into();
        if !knows_types {
            forget_types(&mut facts);
        }
        let planned_site = changes(&plan::<Machines>(&facts))["1101"]["site"].as_u64();
        assert_eq!(planned_site, planned, "{case}");
    }
}

#[test]
fn type_in_the_notes_counts_only_where_netbox_has_types() {
    let mut pair = pair(101, "web");
    pair.config["description"] = json!("```netbox-metadata\n{\"virtual_machine_type\": 79}\n```");
    let mut facts = facts_of(&[pair]);
    facts.options.guests.parse_metadata = true;
    let planned = changes(&plan::<Machines>(&facts));
    assert_eq!(planned, json!({"1101": {"virtual_machine_type": 79}}));
    forget_types(&mut facts);
    facts.known.machines[0].object.machine_type = None;
    assert_eq!(changes(&plan::<Machines>(&facts)), json!({}));
}

#[test]
fn state_names_no_node_where_the_plugin_has_no_row_of_it() {
    let mut moved = pair(101, "web");
    moved.guest.node = "pve2".to_owned();
    let mut facts = facts_of(&[moved]);
    facts.known.node_links.remove("pve2");
    let planned = |facts: &Facts| changes(&plan::<MachineStates>(facts))["2101"].clone();
    assert_eq!(planned(&facts)["proxmox_node"], json!(null));
    assert!(planned(&facts).as_object().unwrap().contains_key("proxmox_node"));
    facts.target.plugin_endpoint = None;
    assert!(
        !planned(&facts).as_object().unwrap().contains_key("proxmox_node"),
        "whose rows there are is not known"
    );
}

#[test]
fn guest_of_a_kind_that_is_only_made_is_never_touched_again() {
    let change = |pair: &mut Pair| {
        pair.guest.name = Some("renamed".to_owned());
        pair.guest.memory = Some(1 << 30);
        pair.guest.node = "pve2".to_owned();
    };
    let (mut web, mut golden) = (pair(101, "web"), pair(102, "golden"));
    golden.guest.is_template = true;
    change(&mut web);
    change(&mut golden);
    let mut facts = facts_of(&[web, golden]);
    facts.options.modes.machine = Mode::BootstrapOnly;
    let facts = decide(facts);
    let plan_of_it = plan::<Machines>(&facts);
    let updated: Vec<_> = plan_of_it.update.iter().map(|row| row.id).collect();
    assert_eq!(
        (updated, plan_of_it.unchanged.len()),
        (vec![ObjectId(1102)], 1),
        "the mode is not that of templates"
    );
    let states = plan::<MachineStates>(&facts);
    let updated: Vec<_> = states.update.iter().map(|row| row.id).collect();
    assert_eq!((updated, states.create.len()), (vec![ObjectId(2102)], 0));
    assert_eq!(facts.guests.names[&Vmid(101)].name, "web");
    let mut new = pair(103, "new");
    new.guest.memory = Some(1 << 30);
    new.config["tags"] = json!("fresh");
    let mut facts = facts_of(&[new]);
    facts.known.machines.clear();
    facts.known.machine_states.clear();
    facts.options.modes.machine = Mode::BootstrapOnly;
    let facts = decide(facts);
    assert_eq!(plan::<Machines>(&facts).create.len(), 1);
    assert_eq!(plan::<GuestTags>(&facts).create.len(), 1, "it is yet to bear it");
}

#[test]
fn neither_mark_nor_tag_of_a_guest_that_is_only_made_is_touched() {
    let mut returned = pair(101, "web");
    returned.config["tags"] = json!("fresh");
    returned.machine.object.tags.insert("proxbox-soft-deleted".to_owned());
    let mut facts = facts_of(&[returned]);
    for (mode, marked, tags) in [(Mode::Always, 1, 1), (Mode::BootstrapOnly, 0, 0)] {
        facts.options.modes.machine = mode;
        let facts = decide(facts.clone());
        let selection = Revivals::scope(&facts).remove(0);
        let (_, ids) = selection.any_of.unwrap();
        assert_eq!(
            (ids.len(), plan::<GuestTags>(&facts).create.len()),
            (marked, tags),
            "{mode:?}"
        );
    }
}

#[test]
fn guest_that_came_back_loses_its_mark() {
    let mut returned = pair(101, "web");
    returned.machine.object.status = Some("decommissioning".to_owned());
    returned
        .machine
        .object
        .tags
        .extend(["gold".to_owned(), "proxbox-soft-deleted".to_owned()]);
    let mut bare = pair(102, "db");
    bare.machine.object.status = Some("decommissioning".to_owned());
    let facts = facts_of(&[returned.clone(), bare]);
    let revived = crate::netbox::objects::Revival::of(&returned.machine);
    let actual = [Stored {
        id: returned.machine.id,
        object: revived,
    }];
    let selection = &Revivals::scope(&facts)[0];
    assert_eq!(selection.any_of, Some(("id", vec!["1101".to_owned()])));
    let settled = Revivals::settle(&facts, Revivals::desired(&facts), &actual);
    let planned = crate::reconcile::diff(settled.wanted, &actual, &Revivals::policy(&facts), |_| {
        crate::reconcile::Retire::Keep
    });
    let expected = json!({"1101": {
        "status": "active", "tags": ["gold", "proxbox", "proxbox-discovered-qemu"]
    }});
    assert_eq!(changes(&planned), expected);
}

mod identity_of_guests {
    use super::*;

    type Edit = fn(&mut Facts);

    /// An endpoint that is configured no more.
    const GONE: i64 = 77;

    fn verdict(edit: Edit) -> String {
        let mut facts = facts_of(&[pair(101, "web")]);
        edit(&mut facts);
        verdict_in(&facts)
    }

    fn verdict_in(facts: &Facts) -> String {
        let identities = identify(facts);
        let vmid = Vmid(101);
        if let Some(matched) = identities.matches.get(&vmid) {
            return match (matched.row, matched.needs_claim) {
                (Row::Is(id), false) => format!("is {id}"),
                (Row::Is(id), true) => format!("takes over {id}"),
                (row, _) => format!("{row:?}"),
            };
        }
        match (identities.refused.get(&vmid), identities.unverified.first()) {
            (Some(reason), _) => format!("refused: {reason}"),
            (None, Some(unverified)) => format!("left alone: {}", unverified.reason),
            (None, None) => "lost".to_owned(),
        }
    }

    fn first_state(facts: &mut Facts) -> &mut VirtualMachineState {
        &mut facts.known.machine_states[0].object
    }

    fn twin(facts: &mut Facts) {
        let twin = pair(101, "twin");
        let mut machine = twin.machine;
        machine.id = ObjectId(9101);
        let mut state = twin.state;
        state.id = ObjectId(9201);
        state.object.virtual_machine = machine.id;
        facts.known.machines.push(machine);
        facts.known.machine_states.push(state);
    }

    #[test]
    fn sync_state_decides_and_names_do_not() {
        let cases: [(&str, Edit, &str); 11] = [
            ("in step", |_| {}, "is 1101"),
            (
                "renamed in NetBox",
                |facts| facts.known.machines[0].object.name = Some("x".to_owned()),
                "is 1101",
            ),
            (
                "without a kind",
                |facts| first_state(facts).kind = Some(String::new()),
                "is 1101",
            ),
            (
                "of the other kind: the number was given anew",
                |facts| first_state(facts).kind = Some("lxc".to_owned()),
                "is 1101",
            ),
            (
                "no endpoint stored",
                |facts| first_state(facts).endpoint_raw_id = None,
                "is 1101",
            ),
            (
                "no endpoint stored, other kind",
                |facts| {
                    first_state(facts).endpoint_raw_id = None;
                    first_state(facts).kind = Some("lxc".to_owned());
                },
                "New",
            ),
            ("another number", |facts| first_state(facts).vmid = Some(999), "New"),
            (
                "in another cluster",
                |facts| facts.known.machines[0].object.cluster = Some(ObjectId(99)),
                "New",
            ),
            (
                "in no cluster",
                |facts| facts.known.machines[0].object.cluster = None,
                "left alone: it is in no cluster",
            ),
            (
                "not to be read",
                |facts| facts.known.machines.clear(),
                "left alone: it cannot be read",
            ),
            (
                "two claim it",
                twin,
                "refused: 2 virtual machines claim to be guest 101",
            ),
        ];
        for (case, edit, expected) in cases {
            assert_eq!(verdict(edit), expected, "{case}");
        }
    }

    #[test]
    fn machine_of_an_endpoint_that_is_gone_is_taken_over_only_where_all_fits() {
        type StateEdit = fn(&mut VirtualMachineState, &mut VirtualMachine);
        let cases: [(&str, StateEdit, &str); 5] = [
            ("all fits", |_, _| {}, "takes over 1101"),
            (
                "stored name fits",
                |_, machine| machine.name = Some("other".to_owned()),
                "takes over 1101",
            ),
            (
                "no name fits",
                |state, machine| {
                    machine.name = Some("other".to_owned());
                    state.name = Some("other".to_owned());
                },
                "New",
            ),
            ("another kind", |state, _| state.kind = Some("lxc".to_owned()), "New"),
            (
                "another cluster's name",
                |state, _| state.cluster_name = Some("west".to_owned()),
                "New",
            ),
        ];
        for (case, edit, expected) in cases {
            let mut pair = pair(101, "web");
            pair.state.object.endpoint_raw_id = Some(GONE);
            edit(&mut pair.state.object, &mut pair.machine.object);
            assert_eq!(verdict_in(&facts_of(&[pair])), expected, "{case}");
        }
    }

    fn stale(facts: &mut Facts) {
        first_state(facts).endpoint_raw_id = Some(GONE);
    }

    fn configured(facts: &mut Facts) {
        stale(facts);
        facts.known.endpoint_ids = Some([OURS, GONE].into());
    }

    #[test]
    fn machine_of_another_endpoint_stays_unless_that_one_is_proven_gone() {
        const FOREIGN: &str = "refused: virtual machine 1101 stands for guest 101 of Proxmox endpoint 77, which is not known \
                               to be gone; this is endpoint 1";
        let cases: [(&str, Edit, &str); 4] = [
            ("still configured", configured, FOREIGN),
            (
                "unknown what is configured",
                |facts| {
                    stale(facts);
                    facts.known.endpoint_ids = None;
                },
                FOREIGN,
            ),
            (
                "of another name",
                |facts| {
                    configured(facts);
                    facts.known.machines[0].object.name = Some("other".to_owned());
                    first_state(facts).name = Some("other".to_owned());
                },
                FOREIGN,
            ),
            (
                "two of them",
                |facts| {
                    twin(facts);
                    for stored in &mut facts.known.machine_states {
                        stored.object.endpoint_raw_id = Some(GONE);
                    }
                },
                "New",
            ),
        ];
        for (case, edit, expected) in cases {
            assert_eq!(verdict(edit), expected, "{case}");
        }
    }

    #[test]
    fn machine_that_may_be_another_guest_of_the_number_is_left_to_its_endpoint() {
        let cases: [(&str, Edit); 3] = [
            ("another kind", |facts| {
                configured(facts);
                first_state(facts).kind = Some("lxc".to_owned());
            }),
            ("of a cluster of that endpoint's, by its notes", |facts| {
                configured(facts);
                first_state(facts).cluster_name = Some("west".to_owned());
            }),
            (
                "in a cluster that is not the endpoint's, by the guest's notes",
                |facts| {
                    configured(facts);
                    facts.target.cluster = Some(ObjectId(99));
                    facts.options.guests.parse_metadata = true;
                    let text = "```netbox-metadata\n{\"cluster\": 10}\n```";
                    let config = GuestConfig::decode(GuestKind::Qemu, json!({"description": text})).unwrap();
                    let config = ConfiguredGuest {
                        vmid: Vmid(101),
                        config,
                    };
                    fill::<GuestConfigs>(&mut facts.inventory, vec![config]);
                },
            ),
        ];
        for (case, edit) in cases {
            assert_eq!(verdict(edit), "New", "{case}");
        }
    }

    #[test]
    fn take_over_writes_the_owner_first() {
        let mut facts = facts_of(&[pair(101, "web")]);
        first_state(&mut facts).endpoint_raw_id = Some(77);
        let facts = decide(facts);
        let expected = json!({"2101": {"proxmox_endpoint_raw_id": 1}});
        assert_eq!(changes(&plan::<StateClaims>(&facts)), expected);
    }
}

mod names_of_guests {
    use super::*;

    fn named(vmid: u32, live: &str, stored: &str, last: &str) -> Pair {
        let mut pair = pair(vmid, live);
        pair.machine.object.name = Some(stored.to_owned());
        pair.state.object.name = Some(last.to_owned());
        pair
    }

    #[test]
    fn proxmox_renames_and_operators_renames_are_told_apart() {
        for (live, stored, last, expected, is_operators) in [
            ("web", "web", "web", "web", false),
            ("shop", "web", "web", "shop", false),
            ("shop", "web (2)", "web", "shop", false),
            ("web", "frontend", "web", "frontend", true),
            ("shop", "web", "", "web", true),
            ("web", "WEB", "web", "web", false),
            // Listed without a name when it was first seen.
            ("web", "vm-101", "", "web", false),
            ("web", "VM-101 (2)", " ", "web", false),
            ("web", "vm-102", "", "vm-102", true),
            ("web", "vm-101", "web", "vm-101", true),
        ] {
            let facts = facts_of(&[named(101, live, stored, last)]);
            let name = &facts.guests.names[&Vmid(101)];
            let case = format!("{live} {stored} {last}");
            assert_eq!(
                (name.name.as_str(), name.is_operators),
                (expected, is_operators),
                "{case}"
            );
        }
    }

    #[test]
    fn name_that_an_operator_gave_is_given_to_no_other_guest() {
        let facts = facts_of(&[named(101, "web", "site", "site"), named(102, "db", "web", "db")]);
        assert_eq!(names_of(&facts), [(101, "web (2)"), (102, "web")]);
    }

    #[test]
    fn lowest_number_takes_the_bare_name_and_the_rest_move_up() {
        let mut new = pair(120, "web");
        new.machine.object.name = Some("WEB (3)".to_owned());
        new.state.object.vmid = None;
        let facts = facts_of(&[
            named(105, "web", "web (2)", "web"),
            named(110, "web", "web", "web"),
            new,
        ]);
        assert_eq!(names_of(&facts), [(105, "web"), (110, "web (2)"), (120, "web (4)")]);
        let resolved: Vec<u32> = facts
            .guests
            .names
            .iter()
            .filter(|(_, name)| name.is_resolved())
            .map(|(vmid, _)| vmid.0)
            .collect();
        assert_eq!(resolved, [110, 120]);
        // The two swap names: one of them has to step aside first.
        let freed = changes(&plan::<FreedNames>(&facts));
        assert_eq!(freed, json!({"1105": {"name": "web (5)"}, "1110": {"name": "web (6)"}}));
    }

    #[test]
    fn name_that_another_takes_is_given_up_first() {
        let mut facts = facts_of(&[named(101, "shop", "web", "web"), pair(102, "web")]);
        facts.known.machines.pop();
        facts.known.machine_states.pop();
        let facts = decide(facts);
        assert_eq!(changes(&plan::<FreedNames>(&facts)), json!({"1101": {"name": "shop"}}));
        assert_eq!(names_of(&facts), [(101, "shop"), (102, "web")]);
    }

    #[test]
    fn long_names_are_cut_before_they_are_compared() {
        let long = "x".repeat(70);
        let mut facts = facts_of(&[pair(101, &long), pair(102, &long)]);
        facts.known.machines.clear();
        facts.known.machine_states.clear();
        let facts = decide(facts);
        let expected = [(101, "x".repeat(64)), (102, format!("{} (2)", "x".repeat(60)))];
        let expected: Vec<(u32, &str)> = expected.iter().map(|(vmid, name)| (*vmid, name.as_str())).collect();
        assert_eq!(names_of(&facts), expected);
    }
}

mod tags_of_guests {
    use super::*;

    fn facts_with(tags: &str, known: Vec<Tag>) -> Facts {
        let mut pair = pair(101, "web");
        pair.config["tags"] = json!(tags);
        let mut facts = facts_of(&[pair]);
        let style = serde_json::from_value(json!({"tag-style": {"color-map": "prod:ff0000"}})).unwrap();
        fill::<ClusterOptions>(&mut facts.inventory, vec![style]);
        facts.known.tags = (1..)
            .zip(known)
            .map(|(id, object)| Stored {
                id: ObjectId(id),
                object,
            })
            .collect();
        facts
    }

    fn known(slug: &str, name: &str, description: &str) -> Tag {
        Tag::new(slug).name(name).color("00ff00").description(description)
    }

    #[test]
    fn missing_tags_are_made_with_their_colours() {
        let planned = plan::<GuestTags>(&facts_with("prod;db", Vec::new()));
        let made: Vec<Value> = planned.create.iter().map(|row| json!(row.fields)).collect();
        let expected = [
            json!({"slug": "db", "name": "db", "color": "d77d5e", "description": "Synced by Proxbox"}),
            json!({"slug": "prod", "name": "prod", "color": "ff0000", "description": "Synced by Proxbox"}),
        ];
        assert_eq!(made, expected);
    }

    /// The tag `prod`, which one of this cluster's virtual machines bears.
    fn borne(description: &str, color: &str, tagged_items: u64) -> Facts {
        let mut tag = known("prod", "Prod", description).color(color);
        tag.tagged_items = tagged_items;
        let mut facts = facts_with("prod", vec![tag]);
        facts.known.machines[0].object.tags.insert("prod".to_owned());
        facts
    }

    #[test]
    fn only_the_colour_of_our_own_tags_follows() {
        for (description, is_recoloured) in [("Synced by Proxbox", true), ("", false), ("mine", false)] {
            for (color, tagged_items) in [("00ff00", 1), ("d6e4a9", 2)] {
                let planned = changes(&plan::<GuestTags>(&borne(description, color, tagged_items)));
                let expected = if is_recoloured {
                    json!({"1": {"color": "ff0000"}})
                } else {
                    json!({})
                };
                assert_eq!(planned, expected, "{description:?}, {color}, {tagged_items}");
            }
        }
    }

    #[test]
    fn colour_that_others_may_have_set_stays() {
        let mut shared = borne("Synced by Proxbox", "00ff00", 2);
        assert!(plan::<GuestTags>(&shared).is_empty(), "another object bears it");
        shared.known.machines[0].object.tags.remove("prod");
        shared.known.tags[0].object.tagged_items = 1;
        assert!(plan::<GuestTags>(&shared).is_empty(), "only another object bears it");
        shared.known.tags[0].object.tagged_items = 0;
        assert!(plan::<GuestTags>(&shared).is_empty(), "no object bears it");
    }

    #[test]
    fn colour_of_a_name_takes_nothing_back_unless_the_tag_is_borne_here_alone() {
        for (tagged_items, expected) in [(2, json!({})), (1, json!({"1": {"color": "d6e4a9"}}))] {
            let mut facts = borne("Synced by Proxbox", "00ff00", tagged_items);
            fill::<ClusterOptions>(&mut facts.inventory, vec![serde_json::from_value(json!({})).unwrap()]);
            assert_eq!(changes(&plan::<GuestTags>(&facts)), expected, "{tagged_items}");
        }
    }

    #[test]
    fn colours_stay_where_the_style_could_not_be_read() {
        let mut facts = facts_with("prod", vec![known("prod", "prod", "Synced by Proxbox")]);
        ClusterOptions::slot_mut(&mut facts.inventory).fill(Collected {
            items: Vec::new(),
            gaps: vec![Gap::offline("pve1")],
        });
        assert!(plan::<GuestTags>(&facts).is_empty());
    }

    #[test]
    fn tag_that_has_the_name_under_another_slug_is_used() {
        let mut facts = facts_with("prod", vec![known("production", "PROD", "mine")]);
        assert!(plan::<GuestTags>(&facts).is_empty());
        facts.guests.tags = tag_slugs(&facts);
        let planned = changes(&plan::<Machines>(&facts));
        assert_eq!(
            planned["1101"]["tags"],
            json!(["production", "proxbox", "proxbox-discovered-qemu"])
        );
    }

    #[test]
    fn tag_that_is_for_other_types_of_objects_is_left_out_with_a_warning() {
        let for_devices = |types: &[&str]| {
            let mut tag = known("prod", "prod", "");
            tag.object_types = types.iter().map(ToString::to_string).collect();
            facts_with("prod;db", vec![tag])
        };
        let both = for_devices(&["dcim.device", "virtualization.virtualmachine"]);
        assert_eq!(GuestTags::desired(&both).warnings, [""; 0]);
        let mut facts = for_devices(&["dcim.device"]);
        let warnings = GuestTags::desired(&facts).warnings;
        assert!(
            matches!(warnings.as_slice(), [one] if one.contains("\"prod\"")),
            "{warnings:?}"
        );
        let planned = plan::<GuestTags>(&facts);
        assert_eq!((planned.create.len(), planned.update.len()), (1, 0));
        facts.ids.learn(<Tag as Resource>::PATH, "db".to_owned(), ObjectId(2));
        assert_eq!(tag_slugs(&facts), BTreeMap::from([("db".to_owned(), "db".to_owned())]));
    }

    #[test]
    fn tags_are_not_mirrored_with_the_flag_off() {
        let mut facts = facts_with("prod", Vec::new());
        facts.options.overwrite.set(Flag::VmProxmoxTags, false);
        assert!(plan::<GuestTags>(&facts).is_empty());
        assert_eq!(missing_tag_names(&facts), Vec::<String>::new());
    }
}

mod orphans_of_guests {
    use super::super::orphans::{Fate, Orphans, candidates};
    use super::*;

    fn facts_with_gone(edit: fn(&mut Pair)) -> Facts {
        let mut gone = pair(102, "gone");
        edit(&mut gone);
        let mut facts = facts_of(&[pair(101, "web"), gone]);
        fill::<Guests>(&mut facts.inventory, vec![pair(101, "web").guest]);
        facts.guests.orphans = candidates(&facts)
            .iter()
            .filter(|candidate| candidate.fate == Fate::Orphan)
            .map(|candidate| candidate.id)
            .collect();
        facts
    }

    #[test]
    fn machine_whose_guest_is_gone_is_marked_and_never_deleted() {
        let facts = facts_with_gone(|_| {});
        let planned = plan::<Orphans>(&facts);
        let expected = json!({"1102": {
            "status": "decommissioning", "tags": ["proxbox", "proxbox-discovered-qemu", "proxbox-soft-deleted"]
        }});
        assert_eq!(
            (changes(&planned), planned.delete.len(), planned.retirements()),
            (expected, 0, 1)
        );
    }

    #[test]
    fn machine_that_cannot_be_proven_gone_stays() {
        type Edit = fn(&mut Pair);
        let cases: [(&str, Edit); 6] = [
            (
                "of another cluster that some other service calls by our number",
                |pair| {
                    pair.state.object.cluster_name = Some("west".to_owned());
                    pair.machine.object.cluster = Some(ObjectId(99));
                },
            ),
            ("of no endpoint", |pair| pair.state.object.endpoint_raw_id = None),
            ("made by hand", |pair| {
                pair.machine.object.tags = ["proxbox".to_owned()].into();
            }),
            ("of another endpoint", |pair| {
                pair.state.object.endpoint_raw_id = Some(2);
            }),
            ("without a kind", |pair| pair.state.object.kind = Some(String::new())),
            ("without a number", |pair| pair.state.object.vmid = None),
        ];
        for (case, edit) in cases {
            assert!(plan::<Orphans>(&facts_with_gone(edit)).is_empty(), "{case}");
        }
    }

    #[test]
    fn machine_whose_guest_is_gone_is_marked_whichever_run_has_written_it() {
        let mut facts = facts_with_gone(|pair| pair.state.object.last_run = Some("now".to_owned()));
        "now".clone_into(&mut facts.options.run_id);
        let fates: Vec<_> = candidates(&facts).iter().map(|found| (found.id, found.fate)).collect();
        assert_eq!(fates, [(ObjectId(1102), Fate::Orphan)]);
    }

    #[test]
    fn machine_that_the_request_does_not_name_is_no_candidate_and_counts_for_the_guard() {
        let mut facts = facts_with_gone(|_| {});
        for (only, gone) in [(1101, 0), (1102, 1)] {
            facts.options.guests.only = Some([ObjectId(only)].into());
            assert_eq!(candidates(&facts).len(), gone);
            assert_eq!(Orphans::count_ours(&facts, &[]), 2);
        }
    }

    #[test]
    fn machine_whose_number_is_one_of_the_other_kind_now_is_marked() {
        let mut facts = facts_of(&[pair(101, "web"), pair(102, "gone")]);
        let mut other = pair(102, "new").guest;
        other.kind = GuestKind::Lxc;
        fill::<Guests>(&mut facts.inventory, vec![pair(101, "web").guest, other]);
        let fates: Vec<_> = candidates(&facts).iter().map(|found| (found.id, found.fate)).collect();
        assert_eq!(fates, [(ObjectId(1102), Fate::Orphan)]);
    }

    #[test]
    fn machine_that_the_modes_leave_alone_stays() {
        for (machine, template, status, fate) in [
            (Mode::Always, Mode::Always, "stopped", Fate::Orphan),
            (Mode::Always, Mode::Disabled, "running", Fate::Orphan),
            (Mode::Always, Mode::Disabled, "stopped", Fate::LeftAlone),
            (Mode::Always, Mode::BootstrapOnly, "stopped", Fate::LeftAlone),
            (Mode::Disabled, Mode::Always, "stopped", Fate::LeftAlone),
            (Mode::BootstrapOnly, Mode::Always, "running", Fate::LeftAlone),
        ] {
            let mut facts = facts_with_gone(|_| {});
            (facts.options.modes.machine, facts.options.modes.template) = (machine, template);
            facts.known.machine_states[1].object.status = Some(status.to_owned());
            let told = candidates(&facts)[0].fate;
            assert_eq!(told, fate, "{machine:?} {template:?} {status}");
        }
    }

    #[test]
    fn machines_of_others_are_none_of_the_endpoints() {
        let mut others = [pair(103, "theirs"), pair(104, "by hand"), pair(105, "west")];
        others[0].state.object.endpoint_raw_id = Some(2);
        others[2].state.object.cluster_name = Some("west".to_owned());
        others[2].machine.object.cluster = Some(ObjectId(99));
        let [theirs, by_hand, west] = others;
        let mut facts = facts_of(&[pair(101, "web"), pair(102, "gone"), theirs, by_hand, west]);
        let by_hand = ObjectId(1104);
        let states = &mut facts.known.machine_states;
        states.retain(|stored| stored.object.virtual_machine != by_hand);
        let rows = Orphans::at_hand(&facts).unwrap();
        assert_eq!((rows.len(), Orphans::count_ours(&facts, &rows)), (5, 2));
    }

    /// They stay for good, and would weaken the guard with the years.
    #[test]
    fn machines_that_are_marked_already_are_none_that_the_guard_counts() {
        let facts = facts_with_gone(|pair| {
            pair.machine.object.tags.insert(SOFT_DELETED_TAG.to_owned());
        });
        let rows = Orphans::at_hand(&facts).unwrap();
        assert_eq!((rows.len(), Orphans::count_ours(&facts, &rows)), (2, 1));
    }

    #[test]
    fn nothing_is_marked_where_guests_may_be_hidden() {
        let mut facts = facts_with_gone(|_| {});
        Guests::slot_mut(&mut facts.inventory).fill(Collected {
            items: vec![pair(101, "web").guest],
            gaps: vec![Gap::offline("pve2")],
        });
        assert!(plan::<Orphans>(&facts).is_empty());
    }
}
