//! IP and hardware addresses of the nodes' devices, and which is the primary one. What belongs to something else is never
//! taken away.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use super::node_interfaces::{NodePorts, node_ports};
use super::{Desired, Facts, Flag, Pass, Selection};
use crate::inventory::NodeNetworks;
use crate::mapping::ip_address::Address;
use crate::mapping::node_interface::{addresses, ip_address, mac_address};
use crate::netbox::objects::{Assignment, Device, IpAddress, MacAddress};
use crate::reconcile::{Mode, ObjectId, Policy, Resource, Row, Stored, Wanted};

/// The IP addresses.
#[derive(Debug)]
pub struct NodeAddresses;
/// The hardware addresses that interfaces are given.
#[derive(Debug)]
pub struct NodeMacs;
/// The primary addresses of devices that have none.
#[derive(Debug)]
pub struct NodePrimaryAddresses;

/// Addresses that are one of the hosts which the interfaces should be, whatever their mask.
pub fn address_selection(facts: &Facts) -> Selection {
    let mut hosts = BTreeSet::new();
    for node in node_ports(facts) {
        for port in node.ports.values() {
            let found = addresses(port, facts.options.sync_node_topology);
            hosts.extend(found.into_iter().map(|address| address.host));
        }
    }
    Selection::any_of("address", hosts)
}

/// MAC addresses of the interfaces that are given one.
pub fn mac_selection(facts: &Facts) -> Selection {
    let macs = macs(facts);
    Selection::any_of(
        "interface_id",
        macs.iter().filter_map(|mac| interface_of(mac.assigned.as_ref())),
    )
}

/// The addresses of a node's interface that stand, IPv4 first.
pub fn standing_addresses(facts: &Facts, node: &NodePorts<'_>, name: &str) -> Vec<(ObjectId, Address)> {
    let (Some(port), Some(interface)) = (node.ports.get(name), node.find(facts, name)) else {
        return Vec::new();
    };
    let assigned = Assignment::DeviceInterface(interface);
    let wanted = addresses(port, facts.options.sync_node_topology).into_iter();
    wanted
        .filter_map(|address| {
            let key = IpAddress::key_of(address.host, Some(&assigned));
            Some((facts.ids.find::<IpAddress>(&key)?, address))
        })
        .collect()
}

/// The first IPv4 address that stands of a node's interfaces, in the order in which the node lists them.
fn first_address(facts: &Facts, node: &NodePorts<'_>) -> Option<ObjectId> {
    let mut networks = facts.inventory.items::<NodeNetworks>().iter();
    let network = networks.find(|network| network.node == node.node)?;
    let names = network.interfaces.iter().filter_map(|port| port.iface.as_deref());
    let mut standing = names.flat_map(|name| standing_addresses(facts, node, name.trim()));
    standing.find(|(_, address)| address.host.is_ipv4()).map(|(id, _)| id)
}

fn macs(facts: &Facts) -> Vec<MacAddress> {
    let mut macs = Vec::new();
    for node in node_ports(facts) {
        let found = node
            .ports
            .iter()
            .filter_map(|(name, port)| mac_address(port, node.find(facts, name)?));
        macs.extend(found);
    }
    macs
}

fn interface_of(assigned: Option<&Assignment>) -> Option<ObjectId> {
    match assigned {
        Some(Assignment::DeviceInterface(id)) => Some(*id),
        Some(Assignment::VmInterface(_) | Assignment::Other(..)) | None => None,
    }
}

/// An address that an interface should have.
struct Claim {
    label: String,
    interface: ObjectId,
    address: Address,
}

/// What the address of a node's interface is called where it is refused.
pub fn claim_label(node: &NodePorts<'_>, name: &str, host: IpAddr) -> String {
    format!("{}/{name} {host}", node.node)
}

/// What the interfaces that stand should have.
fn claims(facts: &Facts) -> Vec<Claim> {
    let mut claims = Vec::new();
    for node in node_ports(facts) {
        for (name, port) in &node.ports {
            let Some(interface) = node.find(facts, name) else {
                continue;
            };
            let found = addresses(port, facts.options.sync_node_topology);
            claims.extend(found.into_iter().map(|address| Claim {
                label: claim_label(&node, name, address.host),
                interface,
                address,
            }));
        }
    }
    claims
}

/// Whose the rows of one host are.
struct Rows<'a> {
    by_host: HashMap<IpAddr, Vec<&'a Stored<IpAddress>>>,
    /// Rows and new hosts of the global table that are given away already.
    given: BTreeSet<ObjectId>,
    made: BTreeSet<IpAddr>,
}

impl<'a> Rows<'a> {
    fn new(rows: &'a [Stored<IpAddress>]) -> Self {
        let mut by_host: HashMap<IpAddr, Vec<&Stored<IpAddress>>> = HashMap::new();
        for stored in rows {
            by_host.entry(stored.object.host).or_default().push(stored);
        }
        for rows in by_host.values_mut() {
            rows.sort_by_key(|stored| (stored.object.vrf.is_some(), stored.id));
        }
        Self {
            by_host,
            given: BTreeSet::new(),
            made: BTreeSet::new(),
        }
    }

    /// The row that the claim gets: its own, else one of the global table that nobody has, else a new one. One of a VRF is
    /// another address.
    fn judge(&mut self, claim: &Claim) -> Result<Option<&'a Stored<IpAddress>>, String> {
        let rows = self.by_host.get(&claim.address.host).map_or(&[][..], Vec::as_slice);
        let own = rows
            .iter()
            .find(|stored| interface_of(stored.object.assigned.as_ref()) == Some(claim.interface));
        let free = || {
            let mut rows = rows.iter();
            rows.find(|stored| {
                let row = &stored.object;
                row.assigned.is_none() && row.vrf.is_none() && !self.given.contains(&stored.id)
            })
        };
        if let Some(stored) = own.or_else(free) {
            self.given.insert(stored.id);
            return Ok(Some(stored));
        }
        if let Some(holder) = rows.iter().find(|stored| stored.object.vrf.is_none()) {
            return Err(match &holder.object.assigned {
                Some(assigned) => format!("address {} belongs to {assigned}", holder.id),
                None => "another interface gets it in this run".to_owned(),
            });
        }
        if self.made.insert(claim.address.host) {
            Ok(None)
        } else {
            Err("another interface gets it in this run".to_owned())
        }
    }
}

impl Pass for NodeAddresses {
    type Object = IpAddress;

    fn scope(facts: &Facts) -> Vec<Selection> {
        vec![address_selection(facts)]
    }

    fn at_hand(facts: &Facts) -> Option<Vec<Stored<IpAddress>>> {
        Some(facts.known.node_network.addresses.clone())
    }

    fn desired(_: &Facts) -> Desired<IpAddress> {
        Desired::default()
    }

    /// Each claim gets its row; one that somebody else has is refused.
    fn settle(facts: &Facts, mut desired: Desired<IpAddress>, actual: &[Stored<IpAddress>]) -> Desired<IpAddress> {
        let mut rows = Rows::new(actual);
        for claim in claims(facts) {
            let mut object = ip_address(claim.address, claim.interface);
            let row = match rows.judge(&claim) {
                Ok(Some(stored)) => {
                    // The reservation of a single host stays one.
                    let whole = if stored.object.host.is_ipv4() { 32 } else { 128 };
                    object.prefix = object.prefix.filter(|_| stored.object.prefix != Some(whole));
                    Row::Is(stored.id)
                }
                Ok(None) => Row::New,
                Err(reason) => {
                    desired.refuse(claim.label, reason);
                    continue;
                }
            };
            desired.wanted.push(Wanted { object, row });
        }
        desired
    }

    /// Status and DNS name of a row that exists are an operator's.
    fn policy(facts: &Facts) -> Policy {
        Policy::with_mode(facts.options.modes.effective_node())
            .update_if("status", false)
            .update_if("dns_name", false)
            .update_if("tags", facts.options.overwrite.allows(Flag::IpTags))
    }
}

impl Pass for NodeMacs {
    type Object = MacAddress;

    fn scope(facts: &Facts) -> Vec<Selection> {
        vec![mac_selection(facts)]
    }

    fn desired(facts: &Facts) -> Desired<MacAddress> {
        let distinct: BTreeMap<String, MacAddress> = macs(facts).into_iter().map(|mac| (mac.key(), mac)).collect();
        Desired::by_key(distinct.into_values())
    }

    /// Of several rows of the same address on an interface the oldest is taken.
    fn settle(_: &Facts, mut desired: Desired<MacAddress>, actual: &[Stored<MacAddress>]) -> Desired<MacAddress> {
        let mut oldest: BTreeMap<String, ObjectId> = BTreeMap::new();
        for stored in actual {
            let id = oldest.entry(stored.object.key()).or_insert(stored.id);
            *id = stored.id.min(*id);
        }
        for wanted in &mut desired.wanted {
            if let Some(id) = oldest.get(&wanted.object.key()) {
                wanted.row = Row::Is(*id);
            }
        }
        desired
    }

    fn policy(facts: &Facts) -> Policy {
        Policy::with_mode(facts.options.modes.effective_node())
            .update_if("tags", facts.options.overwrite.allows(Flag::NodeInterfaceTags))
    }
}

impl Pass for NodePrimaryAddresses {
    type Object = Device;

    fn scope(facts: &Facts) -> Vec<Selection> {
        let nodes = node_ports(facts).into_iter();
        let nodes = nodes.filter(|node| first_address(facts, node).is_some());
        vec![Selection::any_of("id", nodes.map(|node| node.device))]
    }

    fn desired(facts: &Facts) -> Desired<Device> {
        let nodes = node_ports(facts).into_iter();
        let wanted = nodes.filter_map(|node| {
            let object = Device {
                node: Some(node.node.to_owned()),
                primary_ip4: Some(first_address(facts, &node)?),
                ..Device::default()
            };
            let row = Row::Is(node.device);
            Some(Wanted { object, row })
        });
        Desired {
            wanted: wanted.collect(),
            ..Desired::default()
        }
    }

    /// One that is chosen stays. Where rows are not kept in step, only devices that were just made get one.
    fn settle(facts: &Facts, mut desired: Desired<Device>, actual: &[Stored<Device>]) -> Desired<Device> {
        let chosen = actual.iter().filter(|stored| stored.object.primary_ip4.is_some());
        let chosen: BTreeSet<ObjectId> = chosen.map(|stored| stored.id).collect();
        let is_in_step = facts.options.modes.effective_node() == Mode::Always;
        let may_have = |id: &ObjectId| is_in_step || facts.known.made_devices.contains(id);
        desired
            .wanted
            .retain(|wanted| matches!(&wanted.row, Row::Is(id) if may_have(id) && !chosen.contains(id)));
        desired
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::node_interfaces::NodeLinks;
    use super::super::tests::{changes, converged, make_interfaces, network, plan, plan_against};
    use super::*;

    fn world(ports: Value) -> Facts {
        let mut facts = converged();
        facts.options.sync_node_topology = true;
        network(&mut facts, &[("pve1", ports)]);
        make_interfaces(&mut facts);
        facts
    }

    fn one_address() -> Facts {
        world(json!([{"iface": "vmbr0", "type": "bridge", "cidr": "10.0.7.11/24"}]))
    }

    fn stored(id: u64, assigned: Option<Assignment>) -> Stored<IpAddress> {
        let address = Address::parse("10.0.7.11/24", true).unwrap();
        let object = IpAddress {
            assigned,
            ..ip_address(address, ObjectId(1))
        };
        let id = ObjectId(id);
        Stored { id, object }
    }

    const OURS: Assignment = Assignment::DeviceInterface(ObjectId(1));
    const FOREIGN: Assignment = Assignment::VmInterface(ObjectId(9));

    #[test]
    fn new_address_is_made_on_its_interface() {
        let plan = plan::<NodeAddresses>(&one_address());
        let expected = json!({
            "address": "10.0.7.11/24", "assigned_object_type": "dcim.interface", "assigned_object_id": 1,
            "status": "active", "dns_name": "", "tags": ["proxbox"]
        });
        assert_eq!(json!(plan.create[0].fields), expected);
    }

    #[test]
    fn operators_dns_name_status_and_tags_survive() {
        let mut row = stored(6, Some(OURS));
        row.object.dns_name = Some("pve1.example.net".to_owned());
        row.object.status = Some("reserved".to_owned());
        row.object.tags.insert("gold".to_owned());
        assert!(plan_against::<NodeAddresses>(&one_address(), &[row]).is_empty());
    }

    #[test]
    fn own_row_goes_before_a_free_one_and_a_free_one_before_a_new_one() {
        let free = || stored(3, None);
        let converged = plan_against::<NodeAddresses>(&one_address(), &[free(), stored(6, Some(OURS))]);
        assert!(converged.is_empty(), "{converged:#?}");
        let adopted = plan_against::<NodeAddresses>(&one_address(), &[free()]);
        let expected = json!({"3": {"assigned_object_type": "dcim.interface", "assigned_object_id": 1}});
        assert_eq!((changes(&adopted), adopted.create.len()), (expected, 0));
    }

    #[test]
    fn mask_follows_the_node_when_a_row_is_adopted_unless_it_reserves_a_single_host() {
        for (prefix, expected) in [(16, json!("10.0.7.11/24")), (32, Value::Null)] {
            let mut free = stored(3, None);
            free.object.tags.clear();
            free.object.prefix = Some(prefix);
            let adopted = changes(&plan_against::<NodeAddresses>(&one_address(), &[free]));
            assert_eq!(adopted["3"]["address"], expected, "/{prefix}");
            assert_eq!(adopted["3"]["tags"], json!(["proxbox"]));
        }
    }

    #[test]
    fn address_of_somebody_else_is_refused_unless_it_is_in_a_table_of_its_own() {
        let mut row = stored(4, Some(FOREIGN));
        let refused = plan_against::<NodeAddresses>(&one_address(), std::slice::from_ref(&row));
        assert!(refused.is_empty() && refused.refused.len() == 1, "{refused:#?}");
        row.object.vrf = Some(ObjectId(8));
        assert_eq!(plan_against::<NodeAddresses>(&one_address(), &[row]).create.len(), 1);
    }

    /// Its tag does not tell whose it is: a guest may have had it.
    #[test]
    fn address_of_a_vrf_that_nobody_has_is_left_there_and_the_own_one_stays_the_nodes() {
        let mut row = stored(4, None);
        row.object.vrf = Some(ObjectId(8));
        for tags in [&["proxbox"][..], &["gold"]] {
            row.object.tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
            let made = plan_against::<NodeAddresses>(&one_address(), std::slice::from_ref(&row));
            assert_eq!((made.create.len(), made.update.len()), (1, 0), "{made:#?}");
        }
        let mut own = stored(4, Some(OURS));
        own.object.vrf = Some(ObjectId(8));
        assert!(plan_against::<NodeAddresses>(&one_address(), &[own]).is_empty());
    }

    #[test]
    fn host_that_two_interfaces_claim_is_made_once() {
        let facts = world(json!([
            {"iface": "vmbr0", "type": "bridge", "cidr": "10.0.7.11/24"},
            {"iface": "vmbr1", "type": "bridge", "cidr": "10.0.7.11/16"},
        ]));
        let made = plan::<NodeAddresses>(&facts);
        assert_eq!(
            (made.create.len(), made.refused[0].label.as_str()),
            (1, "pve1/vmbr1 10.0.7.11")
        );
    }

    #[test]
    fn first_address_that_the_node_lists_becomes_the_primary_one_where_there_is_none() {
        let mut facts = world(json!([
            {"iface": "vmbr9", "type": "bridge", "cidr6": "fd00::9/64"},
            {"iface": "vmbr1", "type": "bridge", "cidr": "10.0.8.11/24"},
            {"iface": "vmbr0", "type": "bridge", "cidr": "10.0.7.11/24"},
        ]));
        let made = plan::<NodeAddresses>(&facts);
        for (row, id) in made.create.iter().zip(70..) {
            facts.ids.learn(IpAddress::PATH, row.key.clone(), ObjectId(id));
        }
        let first = facts.ids.find::<IpAddress>(&made.create[1].key).unwrap();
        assert_eq!(made.create[1].label, "10.0.8.11");
        let mut devices = facts.known.devices.clone();
        let plan = plan_against::<NodePrimaryAddresses>(&facts, &devices);
        assert_eq!(changes(&plan), json!({"101": {"primary_ip4": first}}));
        devices[0].object.primary_ip4 = Some(ObjectId(5));
        assert!(plan_against::<NodePrimaryAddresses>(&facts, &devices).is_empty());
    }

    #[test]
    fn only_a_device_that_was_just_made_gets_a_primary_address_where_rows_are_not_kept_in_step() {
        let mut facts = one_address();
        for row in plan::<NodeAddresses>(&facts).create {
            facts.ids.learn(IpAddress::PATH, row.key, ObjectId(70));
        }
        let devices = facts.known.devices.clone();
        let planned = |facts: &Facts| changes(&plan_against::<NodePrimaryAddresses>(facts, &devices));
        let chosen = json!({"101": {"primary_ip4": 70}});
        assert_eq!(planned(&facts), chosen);
        facts.options.modes.node = Mode::BootstrapOnly;
        assert_eq!(planned(&facts), json!({}));
        facts.known.made_devices = [ObjectId(101)].into();
        assert_eq!(planned(&facts), chosen);
    }

    #[test]
    fn given_hardware_address_is_made_once_and_becomes_the_primary_one() {
        let options = json!(["hwaddress bc:24:11:00:00:01"]);
        let mut facts = world(json!([{"iface": "vmbr0", "type": "bridge", "options": options}]));
        let made = plan::<NodeMacs>(&facts);
        assert_eq!(json!(made.create[0].fields)["mac_address"], json!("BC:24:11:00:00:01"));
        let rows: Vec<_> = [41, 40]
            .map(|id| Stored {
                id: ObjectId(id),
                object: macs(&facts).remove(0),
            })
            .into();
        let plan_of_it = plan_against::<NodeMacs>(&facts, &rows);
        assert!(
            plan_of_it.is_empty() && plan_of_it.refused.is_empty(),
            "{plan_of_it:#?}"
        );
        assert_eq!(plan_of_it.unchanged[0].id, ObjectId(40));
        facts.ids.learn(MacAddress::PATH, rows[0].object.key(), ObjectId(40));
        assert_eq!(
            changes(&plan::<NodeLinks>(&facts)),
            json!({"1": {"primary_mac_address": 40}})
        );
    }
}
