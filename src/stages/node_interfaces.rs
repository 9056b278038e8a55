//! Network interfaces of the nodes' devices and the VLANs they are in. Neither is ever deleted.
//!
//! By default an interface of a VLAN is an access port of it. With the topology, it is a virtual interface on its
//! parent that carries the VLAN tagged, and bridges and bonds know their ports.

use std::collections::{BTreeMap, BTreeSet};

use super::vlans::{nearness, take_nearest};
use super::{Desired, Facts, Flag, Part, Pass, Selection};
use crate::inventory::{NodeInterface, NodeNetworks};
use crate::mapping::node_interface::{
    BRIDGE, LAG, Links, OTHER, VIRTUAL, device_interface, is_chosen, is_topology, links, mac_address, vlan_id,
};
use crate::mapping::vm_interface::vlan;
use crate::netbox::objects::{Device, DeviceInterface, MacAddress, Said, Vlan};
use crate::reconcile::{Mode, ObjectId, Policy, Resource, Stored};

/// VLANs that the interfaces' configurations name.
#[derive(Debug)]
pub struct NodeVlans;
/// The interfaces.
#[derive(Debug)]
pub struct NodeInterfaces;
/// What the interfaces are part of, once all of them stand.
#[derive(Debug)]
pub struct NodeLinks;

/// A node's interfaces, and the device that they belong to.
#[derive(Debug, Clone)]
pub struct NodePorts<'a> {
    /// The node's name.
    pub node: &'a str,
    /// Its device.
    pub device: ObjectId,
    /// The device's site.
    pub site: Option<ObjectId>,
    /// The interfaces that the request is about, each name once.
    pub ports: BTreeMap<&'a str, &'a NodeInterface>,
    /// All interfaces: what the others are part of.
    all: BTreeMap<&'a str, &'a NodeInterface>,
    /// Whether those are all that the node has.
    is_complete: bool,
}

impl NodePorts<'_> {
    /// The id of the interface called `name`, where one stands.
    pub fn find(&self, facts: &Facts, name: &str) -> Option<ObjectId> {
        let key = DeviceInterface::key_of(self.device, name);
        facts.ids.find::<DeviceInterface>(&key)
    }
}

/// The nodes whose interfaces were read and that have a device.
pub fn node_ports(facts: &Facts) -> Vec<NodePorts<'_>> {
    let networks = facts.inventory.items::<NodeNetworks>().iter();
    let choice = facts.options.only.named(Part::Ports);
    networks
        .filter_map(|network| {
            let device = *facts.known.node_devices.get(&network.node)?;
            let all = network.interfaces.iter().filter_map(|port| {
                let name = port.iface.as_deref().map(str::trim).filter(|name| !name.is_empty())?;
                (!facts.options.sync_node_topology || is_topology(port)).then_some((name, port))
            });
            let all: BTreeMap<_, _> = all.collect();
            let ports = all.iter().map(|(name, port)| (*name, *port));
            let ports = ports.filter(|(_, port)| choice.is_none_or(|choice| is_chosen(port, choice)));
            Some(NodePorts {
                node: &network.node,
                device,
                site: facts.known.device_sites.get(&device).copied(),
                ports: ports.collect(),
                all,
                is_complete: network.is_complete,
            })
        })
        .collect()
}

/// Interfaces of the devices.
pub fn interface_selection(facts: &Facts) -> Selection {
    let devices: BTreeSet<ObjectId> = node_ports(facts).iter().map(|node| node.device).collect();
    Selection::any_of("device_id", devices.iter().copied()).below::<Device>(devices)
}

/// VLANs with the numbers that the interfaces name, of any site.
pub fn vlan_selection(facts: &Facts) -> Selection {
    let nodes = node_ports(facts);
    let vids: BTreeSet<u16> = nodes
        .iter()
        .flat_map(|node| node.ports.values().filter_map(|port| vlan_id(port)))
        .collect();
    Selection::any_of("vid", vids)
}

/// The VLAN of an interface in `site`: the one that it is in already, else the nearest; of several the oldest.
fn find_vlan(facts: &Facts, vid: u16, site: Option<ObjectId>, interface: Option<&DeviceInterface>) -> Option<ObjectId> {
    let is_in = |id| {
        interface.is_some_and(|interface| {
            interface.untagged_vlan == Said::Is(id)
                || interface.tagged_vlans.as_ref().is_some_and(|vlans| vlans.contains(&id))
        })
    };
    let rows = facts.known.node_network.vlans.iter();
    let usable = rows.filter(|stored| stored.object.vid == vid).filter_map(|stored| {
        let nearness = nearness(facts, &stored.object, site)?;
        Some((!is_in(stored.id), nearness, stored.id))
    });
    let best = usable.min().map(|(.., id)| id);
    best.or_else(|| facts.ids.find::<Vlan>(&Vlan::key_of(vid, None, None)))
}

fn policy(facts: &Facts) -> Policy {
    Policy::with_mode(facts.options.modes.effective_node())
        .update_if("tags", facts.options.overwrite.allows(Flag::NodeInterfaceTags))
}

impl Pass for NodeVlans {
    type Object = Vlan;

    fn scope(facts: &Facts) -> Vec<Selection> {
        vec![vlan_selection(facts)]
    }

    fn at_hand(facts: &Facts) -> Option<Vec<Stored<Vlan>>> {
        Some(facts.known.node_network.vlans.clone())
    }

    /// A global one for each number of which a device can use none. VLANs that exist are an operator's.
    fn desired(facts: &Facts) -> Desired<Vlan> {
        let mut missing = BTreeSet::new();
        for node in node_ports(facts) {
            let vids = node.ports.values().filter_map(|port| vlan_id(port));
            missing.extend(vids.filter(|vid| find_vlan(facts, *vid, node.site, None).is_none()));
        }
        Desired::by_key(missing.into_iter().map(|vid| vlan(vid, None, None)))
    }

    fn settle(facts: &Facts, desired: Desired<Vlan>, actual: &[Stored<Vlan>]) -> Desired<Vlan> {
        take_nearest(facts, desired, actual)
    }

    fn policy(facts: &Facts) -> Policy {
        policy(facts)
    }
}

impl Pass for NodeInterfaces {
    type Object = DeviceInterface;

    fn scope(facts: &Facts) -> Vec<Selection> {
        vec![interface_selection(facts)]
    }

    fn at_hand(facts: &Facts) -> Option<Vec<Stored<DeviceInterface>>> {
        Some(facts.known.node_network.interfaces.clone())
    }

    fn desired(facts: &Facts) -> Desired<DeviceInterface> {
        let mut desired = Desired::default();
        let homeless = facts.inventory.items::<NodeNetworks>().iter();
        for node in homeless
            .map(|network| &network.node)
            .filter(|node| !facts.known.node_devices.contains_key(*node))
        {
            let reason = facts.refused_nodes.get(node).map(String::as_str);
            desired.refuse(
                node,
                reason.unwrap_or("no device stands for it yet: run the stage devices first"),
            );
        }
        let is_topology = facts.options.sync_node_topology;
        let stored = by_key(&facts.known.node_network.interfaces);
        let mut interfaces = Vec::new();
        for node in node_ports(facts) {
            interfaces.extend(node.ports.iter().map(|(name, port)| {
                let mut interface = device_interface(port, name, node.device, is_topology);
                interface.device_name = Some(node.node.to_owned());
                let stored = stored.get(&interface.key()).copied();
                let vlan = vlan_id(port).and_then(|vid| find_vlan(facts, vid, node.site, stored));
                if let Some(vlan) = vlan.filter(|_| !is_topology) {
                    interface.mode = Said::Is("access".to_owned());
                    interface.untagged_vlan = Said::Is(vlan);
                }
                interface
            }));
        }
        desired.wanted = Desired::by_key(interfaces).wanted;
        desired
    }

    /// An operator's type stays: only types without hardware make way for each other.
    fn settle(
        _: &Facts,
        mut desired: Desired<DeviceInterface>,
        actual: &[Stored<DeviceInterface>],
    ) -> Desired<DeviceInterface> {
        let stored = by_key(actual);
        for wanted in &mut desired.wanted {
            if let Some(stored) = stored.get(&wanted.object.key()) {
                fit(&mut wanted.object, stored);
            }
        }
        desired
    }

    fn policy(facts: &Facts) -> Policy {
        policy(facts).update_if("enabled", facts.options.sync_node_topology)
    }
}

fn by_key<'a>(rows: impl IntoIterator<Item = &'a Stored<DeviceInterface>>) -> BTreeMap<String, &'a DeviceInterface> {
    rows.into_iter()
        .map(|stored| (stored.object.key(), &stored.object))
        .collect()
}

/// Takes from `wanted` what would destroy an operator's choice, and adds what NetBox wants along with the rest.
fn fit(wanted: &mut DeviceInterface, stored: &DeviceInterface) {
    let soft = [BRIDGE, LAG, VIRTUAL];
    let is_soft = |kind: &Option<String>| kind.as_deref().is_some_and(|kind| soft.contains(&kind));
    let may_change = is_soft(&stored.kind) || stored.kind.as_deref() == Some(OTHER);
    if stored.is_connected || !may_change || !is_soft(&wanted.kind) {
        wanted.kind = None;
    }
    let stays_virtual = wanted.kind.as_deref().or(stored.kind.as_deref()) == Some(VIRTUAL);
    if !stays_virtual && stored.parent.value().is_some() {
        wanted.parent = Said::Empty;
    }
    let becomes_access = wanted.mode.value().is_some() && wanted.mode != stored.mode;
    if becomes_access && stored.tagged_vlans.as_ref().is_some_and(|vlans| !vlans.is_empty()) {
        wanted.tagged_vlans = Some(BTreeSet::new());
    }
}

impl Pass for NodeLinks {
    type Object = DeviceInterface;

    fn scope(facts: &Facts) -> Vec<Selection> {
        vec![interface_selection(facts)]
    }

    fn at_hand(facts: &Facts) -> Option<Vec<Stored<DeviceInterface>>> {
        Some(facts.known.node_network.interfaces.clone())
    }

    fn desired(facts: &Facts) -> Desired<DeviceInterface> {
        let stored = by_key(&facts.known.node_network.interfaces);
        let mut interfaces = Vec::new();
        for node in node_ports(facts) {
            let all: Vec<&NodeInterface> = node.all.values().copied().collect();
            let links = links(&all);
            interfaces.extend(node.ports.iter().map(|(name, port)| {
                let link = links.get(name).copied().unwrap_or_default();
                let stored = stored.get(&DeviceInterface::key_of(node.device, name)).copied();
                linked(facts, &node, (name, port), link, stored)
            }));
        }
        Desired::by_key(interfaces)
    }

    /// Only interfaces that stand are linked, and each only as its type allows. Where rows are not kept in step, only
    /// those that this run has made.
    fn settle(
        facts: &Facts,
        mut desired: Desired<DeviceInterface>,
        actual: &[Stored<DeviceInterface>],
    ) -> Desired<DeviceInterface> {
        let made = &facts.known.node_network.made;
        let is_kept = facts.options.modes.effective_node() == Mode::Always;
        let usable = actual.iter().filter(|stored| is_kept || made.contains(&stored.id));
        let stored = by_key(usable);
        desired.wanted.retain_mut(|wanted| {
            let interface = &mut wanted.object;
            let Some(stored) = stored.get(&interface.key()) else {
                return false;
            };
            if stored.kind.as_deref() == Some(VIRTUAL) {
                interface.lag = Said::Nothing;
            } else {
                interface.parent = Said::Nothing;
            }
            if interface.mode == Said::Empty && !was_of_vlan(stored) {
                (interface.mode, interface.tagged_vlans) = (Said::Nothing, None);
            }
            true
        });
        desired
    }

    /// To link an interface is part of making it.
    fn policy(facts: &Facts) -> Policy {
        Policy {
            mode: Mode::Always,
            ..policy(facts)
        }
    }
}

/// Whether a row is as the interface of a VLAN is written: one VLAN, tagged, on a parent. Any other mode is an operator's.
fn was_of_vlan(stored: &DeviceInterface) -> bool {
    stored.kind.as_deref() == Some(VIRTUAL)
        && stored.parent.value().is_some()
        && stored.mode == Said::Is("tagged".to_owned())
        && stored.untagged_vlan.value().is_none()
        && stored.tagged_vlans.as_ref().is_some_and(|vlans| vlans.len() == 1)
}

/// What is said of an interface's relations. One to an interface that this node does not list is cleared, unless not all
/// that it lists could be read. One to an interface that could not be written is left alone.
fn linked(
    facts: &Facts,
    node: &NodePorts<'_>,
    (name, port): (&str, &NodeInterface),
    link: Links<'_>,
    stored: Option<&DeviceInterface>,
) -> DeviceInterface {
    let relation = |other: Option<&str>| match other.filter(|other| node.all.contains_key(other)) {
        Some(other) => node.find(facts, other).map_or(Said::Nothing, Said::Is),
        None if node.is_complete => Said::Empty,
        None => Said::Nothing,
    };
    let mut interface = DeviceInterface {
        device_name: Some(node.node.to_owned()),
        bridge: relation(link.bridge),
        lag: relation(link.bond),
        ..DeviceInterface::of(node.device, name)
    };
    if let Some(vid) = vlan_id(port) {
        interface.parent = relation(link.parent);
        if let Some(vlan) = find_vlan(facts, vid, node.site, stored) {
            interface.mode = Said::Is("tagged".to_owned());
            interface.tagged_vlans = Some([vlan].into());
        }
    } else {
        (interface.mode, interface.tagged_vlans) = (Said::Empty, Some(BTreeSet::new()));
    }
    let mac = node.find(facts, name).and_then(|id| mac_address(port, id));
    if let Some(mac) = mac.and_then(|mac| facts.ids.find::<MacAddress>(&mac.key())) {
        interface.primary_mac_address = Said::Is(mac);
    }
    interface
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::tests::{changes, converged, make_interfaces, network, plan, plan_against};
    use super::*;
    use crate::netbox::objects::VlanGroup;
    use crate::reconcile::Plan;

    fn ports() -> Value {
        json!([
            {"iface": "bond0", "type": "bond", "slaves": "eno1", "active": 1},
            {"iface": "eno1", "type": "eth", "active": 1},
            {"iface": "lo", "type": "loopback"},
            {"iface": "vmbr0", "type": "bridge", "bridge_ports": "bond0", "cidr": "10.0.7.11/24", "active": 1},
            {"iface": "vmbr0.110", "type": "vlan", "vlan-id": "110", "vlan-raw-device": "vmbr0"},
        ])
    }

    fn world(is_topology: bool) -> Facts {
        let mut facts = converged();
        facts.options.sync_node_topology = is_topology;
        network(&mut facts, &[("pve1", ports()), ("pve2", ports())]);
        facts
    }

    fn row<'a>(facts: &'a mut Facts, name: &str) -> &'a mut DeviceInterface {
        let rows = facts.known.node_network.interfaces.iter_mut();
        let mut objects = rows.map(|stored| &mut stored.object);
        objects.find(|object| object.name == name).unwrap()
    }

    fn created(plan: &Plan) -> Vec<Value> {
        plan.create.iter().map(|row| json!(row.fields)).collect()
    }

    #[test]
    fn new_interfaces_are_made_under_their_own_device_and_in_their_vlan() {
        let mut facts = world(false);
        let vlan = json!({"vid": 110, "name": "VLAN 110", "status": "active", "tags": ["proxbox"]});
        assert_eq!(created(&plan::<NodeVlans>(&facts)), [vlan]);
        facts
            .ids
            .learn(Vlan::PATH, Vlan::key_of(110, None, None), ObjectId(501));
        let plan = plan::<NodeInterfaces>(&facts);
        assert_eq!(plan.create.len(), 10, "five on each node: {plan:#?}");
        let expected = json!({
            "device": 102, "name": "vmbr0.110", "type": "virtual", "enabled": true, "mode": "access",
            "untagged_vlan": 501, "tags": ["proxbox"]
        });
        assert_eq!(json!(plan.create[9].fields), expected);
    }

    #[test]
    fn converged_interfaces_plan_nothing() {
        let mut facts = world(false);
        make_interfaces(&mut facts);
        for stored in &mut facts.known.node_network.interfaces {
            if stored.object.name == "vmbr0.110" {
                stored.object.mode = Said::Is("access".to_owned());
                stored.object.untagged_vlan = Said::Is(ObjectId(501));
            }
        }
        let plan = plan::<NodeInterfaces>(&facts);
        assert!(plan.is_empty() && plan.refused.is_empty(), "{plan:#?}");
    }

    #[test]
    fn operators_type_stays_and_soft_types_make_way_for_each_other() {
        for (name, stored, is_connected, expected) in [
            ("eno1", "1000base-t", false, None),
            ("eno1", "virtual", false, None),
            ("vmbr0", "10gbase-x-sfpp", false, None),
            ("vmbr0", "other", false, Some("bridge")),
            ("vmbr0", "lag", false, Some("bridge")),
            ("vmbr0", "other", true, None),
            ("bond0", "bridge", false, Some("lag")),
        ] {
            let mut facts = world(true);
            make_interfaces(&mut facts);
            let row = row(&mut facts, name);
            (row.kind, row.is_connected) = (Some(stored.to_owned()), is_connected);
            let changed = changes(&plan::<NodeInterfaces>(&facts));
            let kinds: Vec<_> = changed
                .as_object()
                .unwrap()
                .values()
                .map(|row| row["type"].clone())
                .collect();
            let expected: Vec<_> = expected.map(|kind| json!(kind)).into_iter().collect();
            assert_eq!(kinds, expected, "{name} of type {stored}");
        }
    }

    #[test]
    fn operators_tags_and_switches_survive_by_default() {
        let mut facts = world(false);
        make_interfaces(&mut facts);
        let eno1 = row(&mut facts, "eno1");
        eno1.tags.insert("gold".to_owned());
        eno1.enabled = Some(false);
        let changed = changes(&plan::<NodeInterfaces>(&facts));
        assert!(changed.get("2").is_none(), "{changed}");
        facts.options.sync_node_topology = true;
        let changed = changes(&plan::<NodeInterfaces>(&facts));
        assert_eq!(changed["2"], json!({"enabled": true}));
    }

    #[test]
    fn interface_that_becomes_an_access_port_gives_up_its_tagged_vlans() {
        let mut facts = world(false);
        make_interfaces(&mut facts);
        let vlan = row(&mut facts, "vmbr0.110");
        vlan.mode = Said::Is("tagged".to_owned());
        vlan.tagged_vlans = Some([ObjectId(501)].into());
        let changed = changes(&plan::<NodeInterfaces>(&facts));
        assert_eq!(
            changed["5"],
            json!({"mode": "access", "tagged_vlans": [], "untagged_vlan": 501})
        );
    }

    #[test]
    fn vlan_of_the_devices_site_goes_before_a_global_one_and_others_are_not_used() {
        let vlan = |id, site| {
            let object = vlan(110, site, None);
            let id = ObjectId(id);
            Stored { id, object }
        };
        let (here, elsewhere) = (Some(ObjectId(20)), Some(ObjectId(21)));
        for (rows, expected) in [
            (vec![vlan(1, None), vlan(2, here), vlan(3, here)], Some(2)),
            (vec![vlan(1, elsewhere), vlan(4, None)], Some(4)),
            (vec![vlan(1, elsewhere)], None),
        ] {
            let mut facts = world(false);
            facts.known.node_network.vlans = rows;
            assert_eq!(find_vlan(&facts, 110, here, None), expected.map(ObjectId));
            assert_eq!(plan::<NodeVlans>(&facts).create.is_empty(), expected.is_some());
        }
    }

    /// VLANs 110 without a site, of groups: 61 for the site 20, 62 for another, 63 for anything, 64 for a region.
    fn grouped(facts: &mut Facts, rows: &[(u64, Option<u64>)]) {
        let group = |id, scope: Option<(&str, u64)>| Stored {
            id: ObjectId(id),
            object: VlanGroup {
                name: id.to_string(),
                scope_type: scope.map(|(kind, _)| kind.to_owned()),
                scope_id: scope.map(|(_, id)| ObjectId(id)),
            },
        };
        facts.known.vlan_groups = vec![
            group(61, Some(("dcim.site", 20))),
            group(62, Some(("dcim.site", 21))),
            group(63, None),
            group(64, Some(("dcim.region", 20))),
        ];
        let rows = rows.iter().map(|(id, group)| Stored {
            id: ObjectId(*id),
            object: Vlan {
                group: group.map(ObjectId),
                ..vlan(110, None, None)
            },
        });
        facts.known.node_network.vlans = rows.collect();
    }

    #[test]
    fn vlan_of_a_group_is_as_near_as_what_the_group_is_for() {
        for (rows, expected) in [
            (vec![(1, None), (2, Some(61)), (3, Some(61))], Some(2)),
            (vec![(1, Some(63)), (2, None)], Some(2)),
            (vec![(1, Some(64)), (2, Some(63))], Some(2)),
            (vec![(1, Some(62)), (2, Some(64))], Some(2)),
            (vec![(1, Some(62)), (2, Some(99))], Some(2)),
            (vec![(1, Some(62))], None),
        ] {
            let mut facts = world(false);
            grouped(&mut facts, &rows);
            let found = find_vlan(&facts, 110, Some(ObjectId(20)), None);
            assert_eq!(found, expected.map(ObjectId), "{rows:?}");
            let made = plan::<NodeVlans>(&facts);
            assert_eq!(made.create.is_empty(), expected.is_some(), "{rows:?}");
            assert!(made.update.is_empty() && made.refused.is_empty(), "{made:#?}");
        }
    }

    #[test]
    fn vlan_that_an_interface_is_in_stays_unless_it_is_another_sites() {
        for (is_in, is_moved) in [(2, false), (3, true), (9, true)] {
            let (mut facts, mut topology) = (world(false), world(true));
            for facts in [&mut facts, &mut topology] {
                grouped(facts, &[(1, Some(61)), (2, None), (3, Some(62))]);
                make_interfaces(facts);
            }
            let port = row(&mut facts, "vmbr0.110");
            (port.mode, port.untagged_vlan) = (Said::Is("access".to_owned()), Said::Is(ObjectId(is_in)));
            let changed = changes(&plan::<NodeInterfaces>(&facts))["5"]["untagged_vlan"].clone();
            assert_eq!(changed, if is_moved { json!(1) } else { Value::Null }, "{is_in}");
            let port = row(&mut topology, "vmbr0.110");
            (port.mode, port.tagged_vlans) = (Said::Is("tagged".to_owned()), Some([ObjectId(is_in)].into()));
            let changed = changes(&plan::<NodeLinks>(&topology))["4"]["tagged_vlans"].clone();
            assert_eq!(changed, if is_moved { json!([1]) } else { Value::Null }, "{is_in}");
        }
    }

    #[test]
    fn relations_of_a_node_of_which_a_row_could_not_be_read_are_left_alone() {
        for is_complete in [true, false] {
            let mut facts = world(true);
            make_interfaces(&mut facts);
            row(&mut facts, "eno1").lag = Said::Is(ObjectId(1));
            row(&mut facts, "vmbr0.110").parent = Said::Is(ObjectId(3));
            let port = json!({"iface": "vmbr0.110", "type": "vlan", "vlan-id": "110", "vlan-raw-device": "vmbr0"});
            network(
                &mut facts,
                &[("pve1", json!([{"iface": "eno1", "type": "eth", "active": 1}, port]))],
            );
            let mut networks = facts.inventory.node_networks.get().unwrap().clone();
            networks.items[0].is_complete = is_complete;
            facts.inventory.node_networks.fill(networks);
            let changed = changes(&plan::<NodeLinks>(&facts));
            let cleared = |id: &str, field: &str| changed[id].as_object().is_some_and(|row| row.contains_key(field));
            assert_eq!(cleared("2", "lag"), is_complete, "{changed}");
            assert_eq!(cleared("4", "parent"), is_complete, "{changed}");
        }
    }

    #[test]
    fn topology_links_interfaces_of_the_same_device_once() {
        let mut facts = world(true);
        make_interfaces(&mut facts);
        let linked = plan::<NodeLinks>(&facts);
        let on_first = json!({
            "1": {"bridge": 3}, "2": {"lag": 1}, "4": {"mode": "tagged", "parent": 3, "tagged_vlans": [501]}
        });
        let on_second = json!({
            "5": {"bridge": 7}, "6": {"lag": 5}, "8": {"mode": "tagged", "parent": 7, "tagged_vlans": [501]}
        });
        let mut expected = on_first.as_object().unwrap().clone();
        expected.extend(on_second.as_object().unwrap().clone());
        assert_eq!(changes(&linked), Value::Object(expected));
        let wanted: BTreeMap<String, DeviceInterface> = NodeLinks::desired(&facts)
            .wanted
            .into_iter()
            .map(|wanted| (wanted.object.key(), wanted.object))
            .collect();
        for stored in &mut facts.known.node_network.interfaces {
            let links = &wanted[&stored.object.key()];
            (stored.object.bridge, stored.object.lag, stored.object.parent) = (links.bridge, links.lag, links.parent);
            (stored.object.mode, stored.object.tagged_vlans) = (links.mode.clone(), links.tagged_vlans.clone());
            if stored.object.parent == Said::Nothing {
                stored.object.parent = Said::Empty;
            }
        }
        assert!(plan::<NodeLinks>(&facts).is_empty());
        network(
            &mut facts,
            &[("pve1", json!([{"iface": "eno1", "type": "eth", "active": 1}]))],
        );
        assert_eq!(changes(&plan::<NodeLinks>(&facts)), json!({"2": {"lag": null}}));
    }

    #[test]
    fn choice_of_a_type_leaves_out_the_others_and_no_relation() {
        let mut facts = world(true);
        make_interfaces(&mut facts);
        facts.options.only.name(Part::Ports, "eth");
        assert_eq!(
            changes(&plan::<NodeLinks>(&facts)),
            json!({"2": {"lag": 1}, "6": {"lag": 5}})
        );
        assert!(plan::<NodeVlans>(&facts).is_empty());
        assert_eq!(plan_against::<NodeInterfaces>(&facts, &[]).create.len(), 2);
    }

    #[test]
    fn trunk_that_an_operator_made_survives_the_topology() {
        let mut facts = world(true);
        make_interfaces(&mut facts);
        let eno1 = row(&mut facts, "eno1");
        eno1.mode = Said::Is("tagged".to_owned());
        eno1.tagged_vlans = Some([ObjectId(7)].into());
        assert_eq!(changes(&plan::<NodeLinks>(&facts))["2"], json!({"lag": 1}));
    }

    #[test]
    fn mode_is_taken_only_from_what_was_the_interface_of_a_vlan() {
        let (id, parent) = (|id| Said::Is(ObjectId(id)), Said::Is(ObjectId(3)));
        for (mode, untagged, tagged, parent, is_taken) in [
            ("access", id(50), vec![], Said::Empty, false),
            ("access", id(50), vec![], parent, false),
            ("tagged", id(50), vec![501], parent, false),
            ("tagged", Said::Empty, vec![501], Said::Empty, false),
            ("tagged", Said::Empty, vec![501, 502], parent, false),
            ("tagged-all", Said::Empty, vec![], parent, false),
            ("tagged", Said::Empty, vec![501], parent, true),
        ] {
            let mut facts = world(true);
            network(
                &mut facts,
                &[("pve1", json!([{"iface": "mgmt", "type": "OVSIntPort", "active": 1}]))],
            );
            make_interfaces(&mut facts);
            let mgmt = row(&mut facts, "mgmt");
            (mgmt.mode, mgmt.untagged_vlan) = (Said::Is(mode.to_owned()), untagged);
            (mgmt.tagged_vlans, mgmt.parent) = (Some(tagged.iter().copied().map(ObjectId).collect()), parent);
            let expected = if is_taken {
                json!({"1": {"mode": null, "tagged_vlans": []}})
            } else {
                json!({})
            };
            let case = format!("{mode} {untagged:?} {tagged:?} {parent:?}");
            assert_eq!(changes(&plan::<NodeLinks>(&facts)), expected, "{case}");
        }
    }

    #[test]
    fn only_interfaces_that_the_run_has_made_are_linked_where_rows_are_not_kept_in_step() {
        let mut facts = world(true);
        facts.options.modes.node = Mode::BootstrapOnly;
        make_interfaces(&mut facts);
        assert_eq!(changes(&plan::<NodeLinks>(&facts)), json!({}));
        facts.known.node_network.made = [ObjectId(2)].into();
        assert_eq!(changes(&plan::<NodeLinks>(&facts)), json!({"2": {"lag": 1}}));
    }

    #[test]
    fn node_without_a_device_is_refused_by_name_and_the_others_go_on() {
        let mut facts = world(false);
        facts.known.devices.remove(0);
        facts.known.device_states.remove(0);
        network(&mut facts, &[("pve1", ports()), ("pve2", ports())]);
        let plan = plan_against::<NodeInterfaces>(&facts, &[]);
        assert_eq!((plan.refused[0].label.as_str(), plan.create.len()), ("pve1", 5));
    }

    #[test]
    fn device_that_an_operator_renamed_keeps_its_interfaces() {
        let mut facts = world(false);
        make_interfaces(&mut facts);
        facts.known.devices[0].object.name = Some("rack-7-top".to_owned());
        network(&mut facts, &[("pve1", ports()), ("pve2", ports())]);
        assert!(plan::<NodeInterfaces>(&facts).create.is_empty());
    }

    #[test]
    fn mode_stays_where_the_vlan_could_not_be_written() {
        let mut facts = world(true);
        make_interfaces(&mut facts);
        let port = row(&mut facts, "vmbr0.110");
        (port.mode, port.parent) = (Said::Is("tagged".to_owned()), Said::Is(ObjectId(3)));
        port.tagged_vlans = Some([ObjectId(501)].into());
        // No VLAN 111 stands.
        let mut ports = ports();
        ports[4]["vlan-id"] = json!("111");
        network(&mut facts, &[("pve1", ports)]);
        let expected = json!({"1": {"bridge": 3}, "2": {"lag": 1}});
        assert_eq!(changes(&plan::<NodeLinks>(&facts)), expected);
    }
}
