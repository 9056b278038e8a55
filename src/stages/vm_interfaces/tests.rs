//! Plans of guests' interfaces: two guests, a virtual machine with an agent and a container that does not run.

use serde_json::{Value, json};

use super::*;
use crate::inventory::{
    AgentAnswer, Collected, ConfiguredGuest, Guest, GuestAddress, GuestAgent, GuestConfig, GuestInterface, GuestKind,
    Vmid,
};
use crate::netbox::objects::{
    Assignment, DeviceInterface, MacAddress, VirtualMachine, VirtualMachineState, VlanGroup, VmInterfaceState,
};
use crate::reconcile::Mode;
use crate::stages::bridges::{Bridges, VmInterfaceStates};
use crate::stages::guest_interfaces::{GuestInterfaceReleases, GuestInterfaces};
use crate::stages::nodes::devices_of;
use crate::stages::tests::{CLUSTER, OURS, SITE, changes, converged, plan, plan_against};
use crate::stages::vm_macs::{MacAddresses, PrimaryMacs, mac_selection, untagged_selection};
use crate::stages::{InterfaceNaming, Pass};

/// The virtual machine, guest 101.
pub(in crate::stages) const SHOP: ObjectId = ObjectId(310);
/// The container, guest 202.
pub(in crate::stages) const PROXY: ObjectId = ObjectId(311);

/// Facts of the two guests; nothing of their network is in NetBox.
pub(in crate::stages) fn empty_world() -> Facts {
    let mut facts = converged();
    facts.known.node_devices = devices_of(&facts).into_iter().collect();
    add_guest(&mut facts, SHOP, guest(101, GuestKind::Qemu, "pve2", "running"));
    add_guest(&mut facts, PROXY, guest(202, GuestKind::Lxc, "pve1", "stopped"));
    configure(
        &mut facts,
        101,
        json!({
            "agent": "enabled=1,fstrim_cloned_disks=1",
            "net0": "virtio=BC:24:11:AA:00:01,bridge=vmbr0,firewall=1,tag=120",
            "net1": "e1000=BC:24:11:AA:00:02,bridge=vmbr1",
        }),
    );
    configure(
        &mut facts,
        202,
        json!({
            "hostname": "proxy1.example.net",
            "net0": "name=eth0,bridge=vmbr0,gw=10.20.0.1,hwaddr=BC:24:11:BB:00:01,ip=10.20.0.30/24,\
                     ip6=fd00:20::30/64,tag=120,type=veth",
            "net1": "name=eth1,bridge=vmbr9,hwaddr=BC:24:11:BB:00:02,ip=dhcp,type=veth",
        }),
    );
    tell(
        &mut facts,
        101,
        Some("shop-db-1"),
        &[
            ("lo", "00:00:00:00:00:00", &["127.0.0.1/8"]),
            (
                "ens18",
                "bc:24:11:aa:00:01",
                &["10.20.0.11/24", "fd00:20::11/64", "fe80::1/64"],
            ),
            ("ens18:1", "bc:24:11:aa:00:01", &["10.20.0.12/24"]),
            ("ens19", "bc:24:11:aa:00:02", &["10.30.0.11/24"]),
            ("docker0", "02:42:5f:1e:2a:3b", &["172.17.0.1/16"]),
        ],
    );
    facts
}

fn guest(vmid: u32, kind: GuestKind, node: &str, status: &str) -> Guest {
    Guest {
        vmid: Vmid(vmid),
        kind,
        node: node.to_owned(),
        name: None,
        status: Some(status.to_owned()),
        is_template: false,
        disk: None,
        processors: None,
        memory: None,
    }
}

fn add_guest(facts: &mut Facts, id: ObjectId, guest: Guest) {
    let name = if id == SHOP { "shop-db-1" } else { "proxy1" };
    facts.known.machines.push(Stored {
        id,
        object: VirtualMachine {
            name: Some(name.to_owned()),
            cluster: Some(CLUSTER),
            site: Some(SITE),
            ..VirtualMachine::default()
        },
    });
    facts.known.machine_states.push(Stored {
        id,
        object: VirtualMachineState {
            endpoint_raw_id: Some(OURS),
            cluster_name: Some("lab".to_owned()),
            vmid: Some(guest.vmid.0),
            kind: Some(guest.kind.to_string()),
            ..VirtualMachineState::of(id)
        },
    });
    let mut guests = facts.inventory.guests.get().cloned().unwrap_or_default();
    guests.items.push(guest);
    facts.inventory.guests.fill(guests);
}

/// Gives a guest another configuration.
pub(in crate::stages) fn configure(facts: &mut Facts, vmid: u32, config: Value) {
    let kind = facts.inventory.guest(Vmid(vmid)).unwrap().kind;
    let mut configs = facts.inventory.guest_configs.get().cloned().unwrap_or_default();
    configs.items.retain(|configured| configured.vmid != Vmid(vmid));
    configs.items.push(ConfiguredGuest {
        vmid: Vmid(vmid),
        config: GuestConfig::decode(kind, config).unwrap(),
    });
    configs.items.sort_by_key(|configured| configured.vmid);
    facts.inventory.guest_configs.fill(configs);
}

/// Interfaces as a guest tells them: name, hardware address, addresses with their masks.
pub(in crate::stages) fn interfaces(told: &[(&str, &str, &[&str])]) -> Vec<GuestInterface> {
    let address = |text: &&str| {
        let (address, prefix) = text.split_once('/').unwrap();
        GuestAddress {
            address: address.to_owned(),
            prefix: prefix.parse().ok(),
        }
    };
    let interface = |(name, mac, addresses): &(&str, &str, &[&str])| GuestInterface {
        name: (*name).to_owned(),
        mac: Some((*mac).to_owned()),
        mtu: None,
        addresses: addresses.iter().map(address).collect(),
        is_partial: false,
    };
    told.iter().map(interface).collect()
}

/// Lets the agent of guest `vmid` tell something.
pub(in crate::stages) fn tell(facts: &mut Facts, vmid: u32, name: Option<&str>, told: &[(&str, &str, &[&str])]) {
    let agent = GuestAgent {
        vmid: Vmid(vmid),
        answer: AgentAnswer::Interfaces(interfaces(told)),
        host_name: name.map(str::to_owned),
    };
    facts.inventory.guest_agents.fill(Collected {
        items: vec![agent],
        gaps: Vec::new(),
    });
}

/// Makes the rows that a pass wants, with ids from `first` on in the order of their keys.
pub(in crate::stages) fn make<P: Pass>(facts: &mut Facts, first: u64) -> Vec<Stored<P::Object>> {
    let desired = P::settle(facts, P::desired(facts), &[]);
    assert_eq!(desired.refused, []);
    let mut objects: Vec<P::Object> = desired.wanted.into_iter().map(|wanted| wanted.object).collect();
    objects.sort_by_key(Resource::key);
    let rows = objects.into_iter().zip(first..);
    let rows: Vec<_> = rows
        .map(|(object, id)| Stored {
            id: ObjectId(id),
            object,
        })
        .collect();
    for row in &rows {
        facts.ids.learn(P::Object::PATH, row.object.key().to_string(), row.id);
    }
    rows
}

/// Facts of the two guests whose interfaces are in NetBox as they should be, and the bridges.
pub(in crate::stages) fn world() -> (Facts, Vec<Stored<DeviceInterface>>) {
    let mut facts = empty_world();
    facts.known.network.vlans = make::<Vlans>(&mut facts, 88);
    facts.known.network.interfaces = make::<VmInterfaces>(&mut facts, 900);
    facts.known.network.macs = make::<MacAddresses>(&mut facts, 1500);
    for interface in &mut facts.known.network.interfaces {
        let macs = facts.known.network.macs.iter();
        let mut own =
            macs.filter(|mac| mac.object.assigned.as_ref().and_then(Assignment::vm_interface) == Some(interface.id));
        let primary = own.next();
        interface.object.primary_mac_address = primary.map(|mac| mac.id);
        interface.object.primary_mac = primary.map(|mac| mac.object.mac_address.clone());
    }
    let bridges = make::<Bridges>(&mut facts, 600);
    facts.known.network.interface_states = make::<VmInterfaceStates>(&mut facts, 700);
    facts.known.network.guest_interfaces = make::<GuestInterfaces>(&mut facts, 800);
    (facts, bridges)
}

fn created(plan: &crate::reconcile::Plan) -> Vec<Value> {
    plan.create.iter().map(|row| json!(row.fields)).collect()
}

fn interface(facts: &mut Facts, id: u64) -> &mut VmInterface {
    let mut interfaces = facts.known.network.interfaces.iter_mut();
    &mut interfaces.find(|stored| stored.id == ObjectId(id)).unwrap().object
}

#[test]
fn converged_interfaces_plan_nothing() {
    let (facts, bridges) = world();
    for plan in [
        plan::<Vlans>(&facts),
        plan::<VmInterfaces>(&facts),
        plan::<MacAddresses>(&facts),
        plan::<PrimaryMacs>(&facts),
        plan_against::<Bridges>(&facts, &bridges),
        plan::<VmInterfaceStates>(&facts),
        plan::<GuestInterfaceReleases>(&facts),
        plan::<GuestInterfaces>(&facts),
    ] {
        assert!(plan.is_empty() && plan.refused.is_empty(), "{plan:#?}");
    }
}

#[test]
fn new_guests_get_their_vlan_interfaces_and_macs() {
    let mut facts = empty_world();
    let vlan = json!({"vid": 120, "name": "VLAN 120", "status": "active", "site": 20, "tags": ["proxbox"]});
    assert_eq!(created(&plan::<Vlans>(&facts)), [vlan]);
    make::<Vlans>(&mut facts, 88);
    let plain = |machine: u64, name: &str| json!({"virtual_machine": machine, "name": name, "enabled": true, "tags": ["proxbox"]});
    let tagged = |machine: u64, name: &str| {
        let mut row = plain(machine, name);
        row["untagged_vlan"] = json!(88);
        row["mode"] = json!("access");
        row
    };
    assert_eq!(
        created(&plan::<VmInterfaces>(&facts)),
        [
            tagged(310, "net0"),
            plain(310, "net1"),
            tagged(311, "eth0"),
            plain(311, "eth1")
        ]
    );
    make::<VmInterfaces>(&mut facts, 900);
    let mac = |mac: &str, interface: u64| {
        json!({
            "mac_address": mac, "assigned_object_type": "virtualization.vminterface",
            "assigned_object_id": interface, "tags": ["proxbox"]
        })
    };
    assert_eq!(
        created(&plan::<MacAddresses>(&facts)),
        [
            mac("BC:24:11:AA:00:01", 900),
            mac("BC:24:11:AA:00:02", 901),
            mac("BC:24:11:BB:00:01", 902),
            mac("BC:24:11:BB:00:02", 903)
        ]
    );
    make::<MacAddresses>(&mut facts, 1500);
    assert_eq!(
        changes(&plan::<PrimaryMacs>(&facts)),
        json!({
            "900": {"primary_mac_address": 1500}, "901": {"primary_mac_address": 1501},
            "902": {"primary_mac_address": 1502}, "903": {"primary_mac_address": 1503},
        })
    );
}

#[test]
fn bridges_are_made_on_the_guests_node_and_named_in_the_sync_states() {
    let mut facts = empty_world();
    make::<VmInterfaces>(&mut facts, 900);
    let bridge =
        |device: u64, name: &str| json!({"device": device, "name": name, "type": "bridge", "tags": ["proxbox"]});
    assert_eq!(
        created(&plan_against::<Bridges>(&facts, &[])),
        [
            bridge(101, "vmbr0"),
            bridge(101, "vmbr9"),
            bridge(102, "vmbr0"),
            bridge(102, "vmbr1")
        ]
    );
    make::<Bridges>(&mut facts, 600);
    let state = |interface: u64, bridge: u64| {
        json!({
            "vm_interface": interface, "proxbox_bridge": bridge, "proxbox_bridge_raw_id": null,
            "proxbox_bridge_raw_value": ""
        })
    };
    assert_eq!(
        created(&plan::<VmInterfaceStates>(&facts)),
        [state(900, 602), state(901, 603), state(902, 600), state(903, 601)]
    );
}

#[test]
fn bridge_of_a_node_without_a_device_is_left_alone() {
    let mut facts = empty_world();
    facts.known.node_devices.clear();
    assert!(plan_against::<Bridges>(&facts, &[]).is_empty());
}

#[test]
fn bridge_without_our_tag_gets_it_unless_the_flag_is_off() {
    let (mut facts, mut bridges) = world();
    assert!(plan_against::<Bridges>(&facts, &bridges).is_empty());
    bridges[0].object.tags = ["gold".to_owned()].into();
    assert_eq!(
        changes(&plan_against::<Bridges>(&facts, &bridges)),
        json!({"600": {"tags": ["gold", "proxbox"]}})
    );
    facts.options.overwrite.set(Flag::NodeInterfaceTags, false);
    assert!(plan_against::<Bridges>(&facts, &bridges).is_empty());
}

#[test]
fn type_that_an_operator_gave_to_a_bridge_stays() {
    for (kind, is_connected, expected) in [
        ("other", false, json!({"type": "bridge"})),
        ("1000base-t", false, Value::Null),
        ("virtual", true, Value::Null),
    ] {
        let (facts, mut bridges) = world();
        bridges[0].object.kind = Some(kind.to_owned());
        bridges[0].object.is_connected = is_connected;
        let changes = changes(&plan_against::<Bridges>(&facts, &bridges));
        assert_eq!(changes.get("600").cloned().unwrap_or_default(), expected, "{kind}");
    }
}

#[test]
fn vlan_that_exists_is_never_touched() {
    let (mut facts, _) = world();
    let vlan = &mut facts.known.network.vlans[0].object;
    vlan.name = Some("Servers".to_owned());
    vlan.status = Some("reserved".to_owned());
    vlan.tags = ["gold".to_owned()].into();
    assert!(plan::<Vlans>(&facts).is_empty());
}

#[test]
fn oldest_of_several_equal_vlans_is_taken() {
    let (mut facts, _) = world();
    let double = facts.known.network.vlans[0].object.clone();
    facts.known.network.vlans.insert(
        0,
        Stored {
            id: ObjectId(99),
            object: double,
        },
    );
    let plan = plan::<Vlans>(&facts);
    assert!(plan.is_empty() && plan.refused.is_empty(), "{plan:#?}");
    assert_eq!(plan.unchanged[0].id, ObjectId(88));
}

#[test]
fn interface_keeps_the_one_of_several_equal_vlans_that_it_is_in() {
    let (mut facts, _) = world();
    let net = "virtio=BC:24:11:AA:00:01,bridge=vmbr0,tag=120,trunks=120";
    configure(&mut facts, 101, json!({"net0": net}));
    facts.options.guests.sync_links = true;
    let double = Stored {
        id: ObjectId(99),
        object: facts.known.network.vlans[0].object.clone(),
    };
    facts.known.network.vlans.push(double);
    let row = interface(&mut facts, 900);
    (row.mode, row.untagged_vlan) = (Said::Is("tagged".to_owned()), Said::Is(ObjectId(99)));
    row.tagged_vlans = Some([ObjectId(99)].into());
    let kept = plan::<VmInterfaces>(&facts);
    assert_eq!(changes(&kept)["900"]["untagged_vlan"], Value::Null, "{kept:#?}");
    assert_eq!(changes(&kept)["900"]["tagged_vlans"], Value::Null, "{kept:#?}");
    facts.known.network.vlans[1].object.tenant = Some(ObjectId(5));
    let moved = changes(&plan::<VmInterfaces>(&facts));
    assert_eq!(
        (&moved["900"]["untagged_vlan"], &moved["900"]["tagged_vlans"]),
        (&json!(88), &json!([88]))
    );
}

#[test]
fn machine_without_a_site_gets_no_vlan_of_a_sites_group() {
    let mut facts = empty_world();
    for machine in &mut facts.known.machines {
        machine.object.site = None;
    }
    let group = VlanGroup {
        name: "DC1".to_owned(),
        scope_type: Some("dcim.site".to_owned()),
        scope_id: Some(SITE),
    };
    let id = ObjectId(60);
    facts.known.vlan_groups = vec![Stored { id, object: group }];
    let object = Vlan {
        group: Some(id),
        ..vlan(120, None, None)
    };
    let id = ObjectId(88);
    facts.known.network.vlans = vec![Stored { id, object }];
    let made = plan::<Vlans>(&facts);
    assert_eq!((made.create.len(), made.refused.len()), (1, 0), "{made:#?}");
    facts.known.vlan_groups[0].object.scope_type = None;
    facts.known.vlan_groups[0].object.scope_id = None;
    assert_eq!(plan::<Vlans>(&facts).unchanged[0].id, id);
}

#[test]
fn vlans_are_told_apart_by_site_and_tenant() {
    let (mut facts, _) = world();
    facts.known.machines[0].object.tenant = Some(ObjectId(5));
    facts.known.machines[1].object.site = None;
    let rows = created(&plan::<Vlans>(&facts));
    let places: Vec<_> = rows
        .iter()
        .map(|row| (&row["vid"], &row["site"], &row["tenant"]))
        .collect();
    let (vid, none) = (json!(120), Value::Null);
    assert_eq!(places, [(&vid, &none, &none), (&vid, &json!(20), &json!(5))]);
}

#[test]
fn one_difference_plans_just_that() {
    type Edit = fn(&mut VmInterface);
    let cases: [(Edit, Value); 4] = [
        (|interface| interface.enabled = Some(false), json!({"enabled": true})),
        (
            |interface| interface.untagged_vlan = Said::Is(ObjectId(77)),
            json!({"untagged_vlan": 88}),
        ),
        (
            |interface| interface.mode = Said::Is("tagged".to_owned()),
            json!({"mode": "access"}),
        ),
        (
            |interface| interface.tags = ["gold".to_owned()].into(),
            json!({"tags": ["gold", "proxbox"]}),
        ),
    ];
    for (edit, expected) in cases {
        let (mut facts, _) = world();
        edit(interface(&mut facts, 900));
        assert_eq!(changes(&plan::<VmInterfaces>(&facts)), json!({"900": expected}));
    }
}

#[test]
fn tags_stay_as_they_are_where_the_flag_is_off() {
    let (mut facts, _) = world();
    interface(&mut facts, 900).tags.clear();
    facts.options.overwrite.set(Flag::VmInterfaceTags, false);
    assert!(plan::<VmInterfaces>(&facts).is_empty());
}

#[test]
fn vlan_is_taken_from_an_interface_only_if_it_is_ours() {
    let is_cleared = |edit: fn(&mut Facts)| {
        let (mut facts, _) = world();
        configure(
            &mut facts,
            101,
            json!({"net0": "virtio=BC:24:11:AA:00:01,bridge=vmbr0"}),
        );
        edit(&mut facts);
        let plan = plan::<VmInterfaces>(&facts);
        let cleared = json!({"900": {"mode": null, "untagged_vlan": null}});
        assert!(plan.is_empty() || changes(&plan) == cleared, "{plan:#?}");
        !plan.is_empty()
    };
    assert!(is_cleared(|_| {}));
    assert!(
        !is_cleared(|facts| facts.known.network.vlans[0].object.tags.clear()),
        "an operator's VLAN"
    );
    assert!(
        !is_cleared(|facts| interface(facts, 900).mode = Said::Is("tagged".to_owned())),
        "an operator's mode"
    );
    assert!(
        !is_cleared(|facts| facts.known.network.vlans.clear()),
        "a VLAN that could not be read"
    );
}

#[test]
fn interface_whose_vlan_could_not_be_made_keeps_what_it_has() {
    let mut facts = empty_world();
    let row = VmInterface {
        mode: Said::Is("access".to_owned()),
        untagged_vlan: Said::Is(ObjectId(77)),
        ..make::<VmInterfaces>(&mut facts, 900)[0].object.clone()
    };
    facts.known.network.interfaces = vec![Stored {
        id: ObjectId(900),
        object: row,
    }];
    assert!(plan::<VmInterfaces>(&facts).update.is_empty());
}

#[test]
fn vlans_of_interfaces_without_one_are_read_by_their_id() {
    let (mut facts, _) = world();
    configure(
        &mut facts,
        101,
        json!({"net0": "virtio=BC:24:11:AA:00:01,bridge=vmbr0"}),
    );
    let selections = vlan_selections(&facts);
    assert_eq!(
        selections,
        [
            Selection::any_of("vid", [120]).or_whole(),
            Selection::any_of("id", [88])
        ]
    );
}

#[test]
fn links_are_kept_where_that_is_asked_for() {
    let (mut facts, _) = world();
    let net = "virtio=BC:24:11:AA:00:01,bridge=vmbr0,tag=120,link_down=1,mtu=9000,trunks=120";
    configure(&mut facts, 101, json!({"net0": net}));
    assert!(plan::<VmInterfaces>(&facts).is_empty());
    facts.options.guests.sync_links = true;
    let expected = json!({"900": {"enabled": false, "mtu": 9000, "mode": "tagged", "tagged_vlans": [88]}});
    assert_eq!(changes(&plan::<VmInterfaces>(&facts)), expected);
}

#[test]
fn link_that_is_configured_no_more_is_cleared_where_links_are_kept() {
    let net = "virtio=BC:24:11:AA:00:01,bridge=vmbr0,trunks=120";
    let trunk = |keeps_links: bool| {
        let (mut facts, _) = world();
        configure(&mut facts, 101, json!({"net0": net}));
        facts.options.guests.sync_links = keeps_links;
        let row = interface(&mut facts, 900);
        (row.mode, row.mtu) = (Said::Is("tagged".to_owned()), Said::Is(9000));
        row.tagged_vlans = Some([ObjectId(88)].into());
        facts
    };
    assert!(plan::<VmInterfaces>(&trunk(false)).is_empty());
    let mut facts = trunk(true);
    let expected = json!({"900": {"mtu": null, "untagged_vlan": null}});
    assert_eq!(changes(&plan::<VmInterfaces>(&facts)), expected);
    facts.known.network.vlans[0].object.tags.clear();
    let expected = json!({"900": {"mtu": null}});
    assert_eq!(changes(&plan::<VmInterfaces>(&facts)), expected, "an operator's VLAN");
    interface(&mut facts, 900).untagged_vlan = Said::Is(ObjectId(77));
    assert_eq!(vlan_selections(&facts)[1], Selection::any_of("id", [77]));
}

#[test]
fn interfaces_are_named_by_the_agent_where_that_is_asked_for() {
    let names = |facts: &Facts| -> Vec<Value> {
        created(&plan::<VmInterfaces>(facts))
            .iter()
            .map(|row| row["name"].clone())
            .collect()
    };
    let mut facts = empty_world();
    facts.options.guests.naming = InterfaceNaming::LegacyRename;
    assert_eq!(names(&facts), ["ens18", "ens19", "eth0", "eth1"]);
    facts.options.guests.use_agent_names = false;
    assert_eq!(names(&facts), ["net0", "net1", "eth0", "eth1"]);
    assert_eq!(<GuestInterfaces as Pass>::policy(&facts).mode, Mode::Disabled);
}

/// What the guests' interfaces are called.
fn port_names(facts: &Facts) -> Vec<String> {
    let guests = guest_ports(facts);
    all_ports(&guests).map(|(_, port)| port.name.clone()).collect()
}

/// A second interface with the same hardware address would come with every pause of the agent.
#[test]
fn interface_keeps_the_name_that_an_agent_gave_it_while_that_is_silent() {
    let mut facts = empty_world();
    facts.options.guests.naming = InterfaceNaming::LegacyRename;
    facts.known.network.interfaces = make::<VmInterfaces>(&mut facts, 900);
    let macs = ["BC:24:11:AA:00:01", "BC:24:11:AA:00:02"];
    for (stored, mac) in facts.known.network.interfaces.iter_mut().zip(macs) {
        stored.object.primary_mac = Some(mac.to_owned());
    }
    facts.inventory.guest_agents.fill(Collected::default());
    assert_eq!(port_names(&facts), ["ens18", "ens19", "eth0", "eth1"]);
    assert_eq!(plan::<VmInterfaces>(&facts).create.len(), 0);
    // One that was made while the agent was silent is in nobody's way.
    let mut double = facts.known.network.interfaces[0].clone();
    (double.id, double.object.name) = (ObjectId(890), "net0".to_owned());
    facts.known.network.interfaces.insert(0, double);
    assert_eq!(port_names(&facts)[0], "ens18");
    facts.options.guests.use_agent_names = false;
    assert_eq!(port_names(&facts), ["net0", "net1", "eth0", "eth1"]);
    facts.options.guests.use_agent_names = true;
    facts.known.network.interfaces.clear();
    assert_eq!(port_names(&facts), ["net0", "net1", "eth0", "eth1"], "none is known");
}

/// An operator's sub-interface has the hardware address of the interface below it.
#[test]
fn interface_takes_no_name_of_an_operator_s_row_while_the_agent_is_silent() {
    let (mut facts, _) = world();
    facts.options.guests.naming = InterfaceNaming::LegacyRename;
    facts.inventory.guest_agents.fill(Collected::default());
    let mut theirs = facts.known.network.interfaces[0].clone();
    assert_eq!(theirs.object.name, "net0");
    (theirs.id, theirs.object.name) = (ObjectId(890), "eth0.100".to_owned());
    theirs.object.tags.clear();
    facts.known.network.interfaces.insert(0, theirs);
    assert_eq!(port_names(&facts), ["net0", "net1", "eth0", "eth1"]);
    assert!(plan::<VmInterfaces>(&facts).is_empty());
}

/// One of the agent's answers may lack an interface that earlier ones had, as one that is down.
#[test]
fn interface_that_the_agent_does_not_tell_keeps_the_name_that_it_gave_it() {
    let mut facts = empty_world();
    facts.options.guests.naming = InterfaceNaming::LegacyRename;
    facts.known.network.interfaces = make::<VmInterfaces>(&mut facts, 900);
    let macs = ["BC:24:11:AA:00:01", "BC:24:11:AA:00:02"];
    for (stored, mac) in facts.known.network.interfaces.iter_mut().zip(macs) {
        stored.object.primary_mac = Some(mac.to_owned());
    }
    tell(
        &mut facts,
        101,
        None,
        &[("ens18", "bc:24:11:aa:00:01", &["10.20.0.11/24"])],
    );
    assert_eq!(port_names(&facts)[..2], ["ens18", "ens19"]);
    tell(&mut facts, 101, None, &[("lo", "00:00:00:00:00:00", &["127.0.0.1/8"])]);
    assert_eq!(port_names(&facts)[..2], ["ens18", "ens19"]);
    // The guest has put its only active interface into the place of the other.
    tell(
        &mut facts,
        101,
        None,
        &[("ens18", "bc:24:11:aa:00:02", &["10.30.0.11/24"])],
    );
    assert_eq!(port_names(&facts)[..2], ["net0", "ens18"]);
}

#[test]
fn only_interface_keeps_the_name_that_an_agent_gave_it_where_no_macs_are_in_netbox() {
    let mut facts = empty_world();
    facts.options.guests.naming = InterfaceNaming::LegacyRename;
    facts.options.guests.sync_macs = false;
    configure(
        &mut facts,
        101,
        json!({"net0": "virtio=BC:24:11:AA:00:01,bridge=vmbr0"}),
    );
    facts.known.network.interfaces = make::<VmInterfaces>(&mut facts, 900);
    facts.inventory.guest_agents.fill(Collected::default());
    let rows = facts.known.network.interfaces.clone();
    assert_eq!(port_names(&facts)[0], "ens18");
    let with = |facts: &mut Facts, change: &dyn Fn(&mut Stored<VmInterface>)| {
        let mut other = rows[0].clone();
        other.id = ObjectId(890);
        change(&mut other);
        facts.known.network.interfaces.clone_from(&rows);
        facts.known.network.interfaces.push(other);
        port_names(facts)[0].clone()
    };
    let named = |name: &'static str| move |row: &mut Stored<VmInterface>| row.object.name = name.to_owned();
    assert_eq!(
        with(&mut facts, &named("net0")),
        "ens18",
        "made while the agent was silent"
    );
    assert_eq!(with(&mut facts, &named("ens19")), "net0", "it may be either");
    let theirs = |row: &mut Stored<VmInterface>| {
        named("eth0.100")(row);
        row.object.tags.clear();
    };
    assert_eq!(with(&mut facts, &theirs), "ens18");
    let two = json!({
        "net0": "virtio=BC:24:11:AA:00:01,bridge=vmbr0",
        "net1": "virtio=BC:24:11:AA:00:02,bridge=vmbr0",
    });
    configure(&mut facts, 101, two);
    facts.known.network.interfaces.clone_from(&rows);
    assert_eq!(port_names(&facts)[..2], ["net0", "net1"], "it may be either's");
    configure(
        &mut facts,
        101,
        json!({"net0": "virtio=BC:24:11:AA:00:01,bridge=vmbr0"}),
    );
    facts.known.network.interfaces[0].object.primary_mac = Some("BC:24:11:AA:00:09".to_owned());
    assert_eq!(port_names(&facts)[0], "net0", "another interface's");
}

/// Its name is its configuration's, whatever an agent might say.
#[test]
fn interface_of_a_container_is_called_as_configured_whoever_has_its_address() {
    let mut facts = empty_world();
    facts.options.guests.naming = InterfaceNaming::LegacyRename;
    facts.known.network.interfaces = make::<VmInterfaces>(&mut facts, 900);
    let stored = &mut facts.known.network.interfaces[2].object;
    (stored.name, stored.primary_mac) = ("old0".to_owned(), Some("BC:24:11:BB:00:01".to_owned()));
    assert_eq!(port_names(&facts)[2], "eth0");
}

#[test]
fn interface_whose_name_another_one_has_is_left_out() {
    let mut facts = empty_world();
    let net = |mac: &str| format!("name=eth0,bridge=vmbr0,hwaddr={mac}");
    configure(
        &mut facts,
        202,
        json!({"net0": net("BC:24:11:BB:00:01"), "net1": net("BC:24:11:BB:00:02")}),
    );
    let plan = plan::<VmInterfaces>(&facts);
    assert_eq!((plan.create.len(), plan.refused.len()), (3, 0));
    let guests = guest_ports(&facts);
    assert_eq!(guests[1].doubles, ["net1"]);
}

#[test]
fn hundred_and_ten_interfaces_of_one_guest_are_made_in_numeric_order() {
    let mut facts = empty_world();
    let nics = (0..110).map(|number| {
        let net = format!("virtio=BC:24:11:AA:01:{number:02X},bridge=vmbr0");
        (format!("net{number}"), Value::from(net))
    });
    configure(&mut facts, 101, Value::Object(nics.collect()));
    let guests = guest_ports(&facts);
    let names: Vec<_> = guests[0].ports.iter().map(|port| port.name.clone()).collect();
    let expected: Vec<_> = (0..110).map(|number| format!("net{number}")).collect();
    assert_eq!(names, expected);
    assert_eq!(plan::<VmInterfaces>(&facts).create.len(), 112);
}

#[test]
fn changed_mac_leaves_the_old_row_and_becomes_primary() {
    let (mut facts, _) = world();
    let mut config = json!({"net0": "virtio=BC:24:11:AA:00:99,bridge=vmbr0,tag=120"});
    config["net1"] = json!("e1000=BC:24:11:AA:00:02,bridge=vmbr1");
    configure(&mut facts, 101, config);
    let plan_of_macs = plan::<MacAddresses>(&facts);
    let made: Vec<_> = plan_of_macs.create.iter().map(|row| row.label.as_str()).collect();
    assert_eq!((made, plan_of_macs.delete.len()), (vec!["BC:24:11:AA:00:99"], 0));
    let key = plan_of_macs.create[0].key.clone();
    facts.ids.learn(MacAddress::PATH, key, ObjectId(1600));
    assert_eq!(
        changes(&plan::<PrimaryMacs>(&facts)),
        json!({"900": {"primary_mac_address": 1600}})
    );
}

#[test]
fn primary_one_of_several_equal_macs_is_taken() {
    let (mut facts, _) = world();
    let double = facts.known.network.macs[0].object.clone();
    facts.known.network.macs.insert(
        0,
        Stored {
            id: ObjectId(7),
            object: double,
        },
    );
    facts.known.network.untagged_macs = vec![facts.known.network.macs[1].clone()];
    let plan = plan::<MacAddresses>(&facts);
    assert!(plan.is_empty() && plan.refused.is_empty(), "{plan:#?}");
    assert!(plan.unchanged.iter().any(|row| row.id == ObjectId(1500)));
    interface(&mut facts, 900).primary_mac_address = None;
    assert!(
        super::super::tests::plan::<MacAddresses>(&facts)
            .unchanged
            .iter()
            .any(|row| row.id == ObjectId(7))
    );
}

#[test]
fn addresses_are_read_only_where_an_interface_lacks_its_own() {
    let asked = |facts: &Facts| {
        let selections = mac_selection(facts).into_iter();
        let told = selections.map(|selection| (selection.filters, selection.any_of));
        told.collect::<Vec<_>>()
    };
    let (mut facts, _) = world();
    assert_eq!(asked(&facts), []);
    facts.known.network.untagged_macs = vec![facts.known.network.macs[2].clone()];
    let whole = [(
        vec![("assigned_object_type", "virtualization.vminterface".to_owned())],
        None,
    )];
    assert_eq!(asked(&facts), whole, "one of four");
    let many = (0..40).map(|number| Stored {
        id: ObjectId(2_000 + number),
        object: VmInterface::of(ObjectId(310), &format!("operator{number}")),
    });
    facts.known.network.interfaces.extend(many);
    assert_eq!(
        asked(&facts),
        [(Vec::new(), Some(("vminterface_id", vec!["902".to_owned()])))]
    );
    interface(&mut facts, 900).primary_mac = Some("BC:24:11:AA:00:77".to_owned());
    assert_eq!(
        asked(&facts),
        [(
            Vec::new(),
            Some(("vminterface_id", vec!["900".to_owned(), "902".to_owned()]))
        )]
    );
    facts.options.guests.sync_macs = false;
    assert!(untagged_selection(&facts).is_empty());
}

#[test]
fn address_without_our_tag_gets_it() {
    let (mut facts, _) = world();
    facts.known.network.macs[2].object.tags.clear();
    facts.known.network.untagged_macs = vec![facts.known.network.macs[2].clone()];
    assert_eq!(
        changes(&plan::<MacAddresses>(&facts)),
        json!({"1502": {"tags": ["proxbox"]}})
    );
    assert!(plan::<PrimaryMacs>(&facts).is_empty());
}

#[test]
fn macs_are_left_alone_where_they_are_not_wanted() {
    let (mut facts, _) = world();
    facts.known.network.macs.clear();
    facts.options.guests.sync_macs = false;
    for plan in [
        plan::<MacAddresses>(&facts).is_empty(),
        plan::<PrimaryMacs>(&facts).is_empty(),
    ] {
        assert!(plan);
    }
}

#[test]
fn first_primary_mac_is_set_but_none_is_changed_in_bootstrap_only_mode() {
    let (mut facts, _) = world();
    facts.options.modes.mac = Mode::BootstrapOnly;
    interface(&mut facts, 900).primary_mac_address = None;
    interface(&mut facts, 901).primary_mac_address = Some(ObjectId(5));
    assert_eq!(
        changes(&plan::<PrimaryMacs>(&facts)),
        json!({"900": {"primary_mac_address": 1500}})
    );
}

#[test]
fn sync_state_of_an_interface_that_was_attached_elsewhere_follows() {
    let (mut facts, _) = world();
    facts.known.network.interface_states[0].object = VmInterfaceState {
        bridge: Some(ObjectId(600)),
        bridge_raw_id: Said::Is(7),
        ..facts.known.network.interface_states[0].object.clone()
    };
    let expected = json!({"700": {"proxbox_bridge": 602, "proxbox_bridge_raw_id": null}});
    assert_eq!(changes(&plan::<VmInterfaceStates>(&facts)), expected);
    facts.options.overwrite.set(Flag::VmInterfaceCustomFields, false);
    assert!(plan::<VmInterfaceStates>(&facts).is_empty());
}

#[test]
fn rows_of_what_the_guest_sees_name_the_interface_they_are() {
    let mut facts = empty_world();
    make::<VmInterfaces>(&mut facts, 900);
    let row = |name: &str, mac: &str, interface: Value| {
        json!({
            "virtual_machine": 310, "vm_interface": interface, "name": name, "mac_address": mac, "enabled": true,
            "mtu": null, "tags": ["proxbox"]
        })
    };
    assert_eq!(
        created(&plan::<GuestInterfaces>(&facts)),
        [
            row("docker0", "02:42:5f:1e:2a:3b", Value::Null),
            row("ens18", "bc:24:11:aa:00:01", json!(900)),
            row("ens19", "bc:24:11:aa:00:02", json!(901)),
            row("lo", "00:00:00:00:00:00", Value::Null),
        ]
    );
}

#[test]
fn largest_packet_that_a_guest_tells_is_followed_and_cleared() {
    let (mut facts, _) = world();
    let tell_mtu = |facts: &mut Facts, mtu| {
        let mut agents = facts.inventory.guest_agents.get().cloned().unwrap();
        let AgentAnswer::Interfaces(told) = &mut agents.items[0].answer else {
            panic!("the agent tells nothing");
        };
        told.iter_mut().find(|told| told.name == "ens19").unwrap().mtu = mtu;
        facts.inventory.guest_agents.fill(agents);
    };
    tell_mtu(&mut facts, Some(9000));
    assert_eq!(changes(&plan::<GuestInterfaces>(&facts)), json!({"802": {"mtu": 9000}}));
    let rows = &mut facts.known.network.guest_interfaces;
    rows.iter_mut().find(|row| row.id == ObjectId(802)).unwrap().object.mtu = Said::Is(9000);
    assert!(plan::<GuestInterfaces>(&facts).is_empty());
    tell_mtu(&mut facts, None);
    assert_eq!(changes(&plan::<GuestInterfaces>(&facts)), json!({"802": {"mtu": null}}));
}

#[test]
fn only_the_first_of_several_with_one_hardware_address_is_the_interface() {
    let (mut facts, _) = world();
    let mac = "bc:24:11:aa:00:01";
    tell(
        &mut facts,
        101,
        None,
        &[
            ("ens18", mac, &[]),
            ("ens18.100", mac, &[]),
            ("ens19", "bc:24:11:aa:00:02", &[]),
        ],
    );
    let plan = plan::<GuestInterfaces>(&facts);
    assert_eq!((plan.update.len(), plan.create.len()), (0, 1));
    assert_eq!(plan.create[0].fields["vm_interface"], Value::Null);
}

#[test]
fn interface_is_taken_from_one_row_before_another_gets_it() {
    let (mut facts, _) = world();
    tell(
        &mut facts,
        101,
        None,
        &[
            ("enp6s18", "bc:24:11:aa:00:01", &[]),
            ("ens19", "bc:24:11:aa:00:02", &[]),
        ],
    );
    assert_eq!(
        changes(&plan::<GuestInterfaceReleases>(&facts)),
        json!({"801": {"vm_interface": null}})
    );
    assert_eq!(created(&plan::<GuestInterfaces>(&facts))[0]["vm_interface"], json!(900));
}

#[test]
fn interface_of_an_operators_row_is_left_to_it() {
    let (mut facts, _) = world();
    let rows = &mut facts.known.network.guest_interfaces;
    let row = &mut rows.iter_mut().find(|row| row.id == ObjectId(801)).unwrap().object;
    row.name = "uplink".to_owned();
    row.tags.clear();
    assert!(plan::<GuestInterfaceReleases>(&facts).is_empty());
    let planned = plan::<GuestInterfaces>(&facts);
    assert_eq!((planned.update.len(), planned.create.len()), (0, 1), "{planned:#?}");
    assert_eq!(planned.create[0].fields["name"], json!("ens18"));
    assert_eq!(planned.create[0].fields.get("vm_interface"), None);
    let own = make::<GuestInterfaces>(&mut facts, 810).into_iter();
    let made = own.filter(|row| row.object.name == "ens18");
    facts.known.network.guest_interfaces.extend(made);
    assert!(plan::<GuestInterfaceReleases>(&facts).is_empty() && plan::<GuestInterfaces>(&facts).is_empty());
}

#[test]
fn guests_that_nothing_is_known_of_are_left_alone() {
    let (mut facts, _) = world();
    facts.known.machines[0].object.status = Some("decommissioning".to_owned());
    facts.inventory.guest_configs.fill(Collected::default());
    assert!(guest_ports(&facts).is_empty());
}

/// The interfaces, MAC addresses, sync states and rows of what the guest sees that are made, and that are changed.
fn made_and_changed(facts: &Facts) -> [(usize, usize); 4] {
    let count = |plan: &crate::reconcile::Plan| (plan.create.len(), plan.update.len());
    [
        count(&plan::<VmInterfaces>(facts)),
        count(&plan::<MacAddresses>(facts)),
        count(&plan::<VmInterfaceStates>(facts)),
        count(&plan::<GuestInterfaces>(facts)),
    ]
}

#[test]
fn network_of_a_guest_that_is_left_out_is_left_alone() {
    for (mode, expected) in [
        (Mode::Always, [(1, 1), (1, 1), (1, 1), (1, 1)]),
        // Interfaces have a mode of their own.
        (Mode::BootstrapOnly, [(1, 1), (1, 1), (1, 1), (1, 1)]),
        (Mode::Disabled, [(0, 0); 4]),
    ] {
        let (mut facts, _) = world();
        configure(
            &mut facts,
            101,
            json!({
                "net0": "virtio=BC:24:11:AA:00:01,bridge=vmbr0,tag=120",
                "net1": "e1000=BC:24:11:AA:00:02,bridge=vmbr1",
                "net2": "virtio=BC:24:11:AA:00:03,bridge=vmbr1",
            }),
        );
        let told: [(&str, &str, &[&str]); 2] =
            [("ens18", "bc:24:11:aa:00:01", &[]), ("ens20", "bc:24:11:aa:00:03", &[])];
        tell(&mut facts, 101, None, &told);
        facts
            .ids
            .learn(VmInterface::PATH, VmInterface::key_of(SHOP, "net2"), ObjectId(950));
        interface(&mut facts, 900).enabled = Some(false);
        let untagged = &mut facts.known.network.macs[0];
        untagged.object.tags.clear();
        let untagged = untagged.clone();
        facts.known.network.untagged_macs = vec![untagged];
        facts.known.network.interface_states[0].object.bridge = Some(ObjectId(77));
        let rows = &mut facts.known.network.guest_interfaces;
        rows.iter_mut()
            .find(|row| row.object.name == "ens18")
            .unwrap()
            .object
            .mac_address = None;
        facts.options.modes.template = Mode::Always;
        facts.options.modes.machine = mode;
        let mut guests = facts.inventory.guests.get().cloned().unwrap();
        guests.items[1].is_template = true;
        facts.inventory.guests.fill(guests);
        assert_eq!(made_and_changed(&facts), expected, "{mode:?}");
    }
}

#[test]
fn interface_that_another_row_has_is_not_claimed_where_no_row_may_be_changed() {
    let (mut facts, _) = world();
    facts.options.modes.interface = Mode::BootstrapOnly;
    let told: [(&str, &str, &[&str]); 2] = [
        ("enp6s18", "bc:24:11:aa:00:01", &["10.20.0.11/24"]),
        ("ens19", "bc:24:11:aa:00:02", &["10.30.0.11/24"]),
    ];
    tell(&mut facts, 101, None, &told);
    assert!(plan::<GuestInterfaceReleases>(&facts).is_empty());
    let planned = plan::<GuestInterfaces>(&facts);
    assert_eq!((planned.create.len(), planned.update.len()), (1, 0), "{planned:#?}");
    assert_eq!(planned.create[0].fields.get("vm_interface"), None);
}

#[test]
fn wide_trunk_passes_the_vlans_that_are_there_and_makes_none() {
    for (trunks, made, tagged) in [
        ("2-65", 65, None),
        ("2-66", 1, Some(json!([88]))),
        ("2-4094", 1, Some(json!([88]))),
    ] {
        let (mut facts, _) = world();
        facts.options.guests.sync_links = true;
        configure(
            &mut facts,
            101,
            json!({"net0": format!("virtio=BC:24:11:AA:00:01,bridge=vmbr0,tag=99,trunks={trunks}")}),
        );
        configure(&mut facts, 202, json!({}));
        let mut there = facts.known.network.vlans[0].clone();
        (there.id, there.object.vid) = (ObjectId(88), 66);
        let twin = Stored {
            id: ObjectId(89),
            object: Vlan {
                site: Some(ObjectId(77)),
                vid: 65,
                ..there.object.clone()
            },
        };
        facts.known.network.vlans = vec![there, twin];
        let planned = plan::<Vlans>(&facts);
        assert_eq!(planned.create.len(), made, "{trunks}");
        for row in &planned.unchanged {
            facts.ids.learn(Vlan::PATH, row.key.clone(), row.id);
        }
        let changes = changes(&plan::<VmInterfaces>(&facts));
        assert_eq!(
            changes["900"].get("tagged_vlans"),
            tagged.as_ref(),
            "{trunks}: {changes}"
        );
    }
}

#[test]
fn name_that_netbox_cannot_take_is_told_beside_the_one_that_it_gets() {
    let mut facts = empty_world();
    let long = "n".repeat(70);
    let net = |name: &str| json!({"net0": format!("name={name},bridge=vmbr0,hwaddr=BC:24:11:BB:00:01")});
    for (name, unfit) in [
        ("eth0", None),
        ("eth\u{7}0", Some("eth\u{7}0")),
        (&long, Some(&long[..])),
    ] {
        configure(&mut facts, 202, net(name));
        let guests = guest_ports(&facts);
        let port = &guests[1].ports[0];
        assert_eq!(port.unfit_name.as_deref(), unfit, "{name:?}");
        assert_eq!(port.name == name, unfit.is_none(), "{name:?}");
    }
}
