//! Network interfaces of nodes as interfaces of devices, with their relations, addresses and hardware addresses.

use std::collections::{BTreeMap, BTreeSet};

use super::ip_address::Address;
use crate::inventory::canonical_mac;
use crate::netbox::ObjectId;
use crate::netbox::objects::{Assignment, DeviceInterface, IpAddress, MacAddress, PROXBOX_TAG};
use crate::proxmox::types::NodeInterface;

/// The type of an interface that carries frames of others.
pub const BRIDGE: &str = "bridge";
/// The type of an interface made of others.
pub const LAG: &str = "lag";
/// The type of an interface without hardware.
pub const VIRTUAL: &str = "virtual";
/// The type of an interface whose hardware is not known.
pub const OTHER: &str = "other";

/// Words for the types of interfaces that a request may choose: Proxmox's own, and those that stand for several of them.
const CHOICES: &str = "bridge bond eth alias vlan fabric OVSBridge OVSBond OVSPort OVSIntPort vnet any_bridge \
                       any_local_bridge include_sdn";

/// The VLAN numbers that frames can carry.
const VLANS: std::ops::RangeInclusive<u16> = 1..=4094;

/// NetBox's type of an interface of `kind`, whatever the case.
pub fn interface_type(kind: &str) -> &'static str {
    match kind.to_ascii_lowercase().as_str() {
        "bridge" | "ovsbridge" => BRIDGE,
        "bond" | "ovsbond" => LAG,
        "vlan" | "ovsintport" => VIRTUAL,
        _ => OTHER,
    }
}

/// Whether `choice` is a word for a type of interfaces.
pub fn is_choice(choice: &str) -> bool {
    CHOICES.split(' ').any(|known| known == choice)
}

/// Whether the interface is of the type that `choice` stands for.
pub fn is_chosen(interface: &NodeInterface, choice: &str) -> bool {
    let kind = interface.kind.as_deref().unwrap_or_default();
    match choice {
        "include_sdn" => true,
        "any_bridge" | "any_local_bridge" => interface_type(kind) == BRIDGE,
        _ => kind == choice,
    }
}

/// Whether the interface is more than the host talking to itself, or another name of one.
pub fn is_topology(interface: &NodeInterface) -> bool {
    let is_loop = |kind: &String| matches!(kind.to_ascii_lowercase().as_str(), "loopback" | "alias");
    interface.iface.as_deref() != Some("lo") && !interface.kind.as_ref().is_some_and(is_loop)
}

/// The number of the VLAN that the interface is.
pub fn vlan_id(interface: &NodeInterface) -> Option<u16> {
    let is_vlan = interface
        .kind
        .as_deref()
        .is_some_and(|kind| kind.eq_ignore_ascii_case("vlan"));
    interface.vlan_id.filter(|vid| is_vlan && VLANS.contains(vid))
}

/// The interface of `device` that the node's interface `name` is: in use while it is up if it `follows_state`, else always.
pub fn device_interface(
    interface: &NodeInterface,
    name: &str,
    device: ObjectId,
    follows_state: bool,
) -> DeviceInterface {
    DeviceInterface {
        kind: Some(interface_type(interface.kind.as_deref().unwrap_or_default()).to_owned()),
        enabled: Some(interface.active || !follows_state),
        tags: [PROXBOX_TAG.to_owned()].into(),
        ..DeviceInterface::of(device, name)
    }
}

/// What an interface is part of, by name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Links<'a> {
    /// The bridge that it is a port of.
    pub bridge: Option<&'a str>,
    /// The bond that it is a member of.
    pub bond: Option<&'a str>,
    /// The interface that it is a VLAN on.
    pub parent: Option<&'a str>,
}

/// What each of a node's interfaces is part of. Both sides of a relation may say so.
pub fn links<'a>(interfaces: &[&'a NodeInterface]) -> BTreeMap<&'a str, Links<'a>> {
    let mut links: BTreeMap<&str, Links<'_>> = BTreeMap::new();
    for interface in interfaces {
        let Some(name) = interface.iface.as_deref() else {
            continue;
        };
        for port in &interface.ports {
            links.entry(port).or_default().bridge = Some(name);
        }
        for member in &interface.members {
            links.entry(member).or_default().bond = Some(name);
        }
        let own = links.entry(name).or_default();
        own.bridge = own.bridge.or(interface.ovs_bridge.as_deref());
        if vlan_id(interface).is_some() {
            own.parent = interface.vlan_raw_device.as_deref();
        }
    }
    links
}

/// The addresses of an interface that NetBox takes; IPv6 ones only where they are wanted.
pub fn addresses(interface: &NodeInterface, wants_ipv6: bool) -> Vec<Address> {
    let ipv4 = interface.cidr.as_ref().or(interface.address.as_ref());
    let ipv6 = interface.cidr6.as_ref().filter(|_| wants_ipv6);
    let texts = ipv4.into_iter().chain(ipv6);
    texts.filter_map(|text| Address::parse(text, true)).collect()
}

/// The row of `address` on `interface`.
pub fn ip_address(address: Address, interface: ObjectId) -> IpAddress {
    IpAddress {
        host: address.host,
        prefix: Some(address.prefix),
        assigned: Some(Assignment::DeviceInterface(interface)),
        vrf: None,
        status: Some("active".to_owned()),
        dns_name: Some(String::new()),
        tags: [PROXBOX_TAG.to_owned()].into(),
        outside: BTreeSet::new(),
        is_annotated: false,
    }
}

/// The row of the hardware address that `interface` is given; the row belongs to `id`.
pub fn mac_address(interface: &NodeInterface, id: ObjectId) -> Option<MacAddress> {
    Some(MacAddress {
        mac_address: canonical_mac(interface.hwaddress.as_deref()?)?,
        assigned: Some(Assignment::DeviceInterface(id)),
        tags: [PROXBOX_TAG.to_owned()].into(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::reconcile::Resource;

    fn read(row: Value) -> NodeInterface {
        serde_json::from_value(row).unwrap()
    }

    #[test]
    fn every_kind_has_a_type() {
        for (kind, expected) in [
            ("bridge", "bridge"),
            ("OVSBridge", "bridge"),
            ("bond", "lag"),
            ("OVSBond", "lag"),
            ("vlan", "virtual"),
            ("OVSIntPort", "virtual"),
            ("eth", "other"),
            ("OVSPort", "other"),
            ("alias", "other"),
            ("unknown", "other"),
            ("", "other"),
        ] {
            assert_eq!(interface_type(kind), expected, "{kind}");
        }
    }

    #[test]
    fn interfaces_are_chosen_by_their_type() {
        for (kind, choice, is_chosen_by_it) in [
            ("bridge", "bridge", true),
            ("OVSBridge", "bridge", false),
            ("OVSBridge", "any_bridge", true),
            ("bridge", "any_local_bridge", true),
            ("bond", "any_bridge", false),
            ("bond", "include_sdn", true),
            ("eth", "bond", false),
        ] {
            let interface = read(json!({"iface": "x", "type": kind}));
            assert_eq!(is_chosen(&interface, choice), is_chosen_by_it, "{kind} {choice}");
        }
        assert!(is_choice("any_bridge") && !is_choice("wifi") && !is_choice(""));
    }

    #[test]
    fn interface_is_what_the_node_says_of_it() {
        let bond = read(json!({"iface": "bond0", "type": "bond"}));
        let expected = json!({"device": 1, "name": "bond0", "type": "lag", "enabled": true, "tags": ["proxbox"]});
        assert_eq!(
            json!(device_interface(&bond, "bond0", ObjectId(1), false).fields()),
            expected
        );
        assert_eq!(device_interface(&bond, "bond0", ObjectId(1), true).enabled, Some(false));
    }

    #[test]
    fn relations_are_told_by_either_side() {
        let rows = [
            json!({"iface": "eno1", "type": "eth"}),
            json!({"iface": "bond0", "type": "bond", "slaves": "eno1 eno2"}),
            json!({"iface": "vmbr0", "type": "bridge", "bridge_ports": "bond0"}),
            json!({"iface": "vmbr0.100", "type": "vlan", "vlan-id": "100", "vlan-raw-device": "vmbr0"}),
            json!({"iface": "mgmt", "type": "OVSIntPort", "ovs_bridge": "vmbr1"}),
        ]
        .map(read);
        let links = links(&rows.iter().collect::<Vec<_>>());
        let link = |bridge, bond, parent| Links { bridge, bond, parent };
        for (name, expected) in [
            ("eno1", link(None, Some("bond0"), None)),
            ("eno2", link(None, Some("bond0"), None)),
            ("bond0", link(Some("vmbr0"), None, None)),
            ("vmbr0", Links::default()),
            ("vmbr0.100", link(None, None, Some("vmbr0"))),
            ("mgmt", link(Some("vmbr1"), None, None)),
        ] {
            assert_eq!(links[name], expected, "{name}");
        }
    }

    #[test]
    fn addresses_of_networks_and_of_the_family_not_wanted_are_left_out() {
        let both = json!({"cidr": "10.0.7.11/24", "cidr6": "fc05::1:2/112"});
        for (row, wants_ipv6, expected) in [
            (both.clone(), false, vec!["10.0.7.11/24"]),
            (both, true, vec!["10.0.7.11/24", "fc05::1:2/112"]),
            (json!({"address": "10.0.7.11"}), false, vec!["10.0.7.11/32"]),
            (json!({"cidr": "10.0.7.0/24"}), true, vec![]),
            (json!({"cidr": "10.0.7.0/31"}), true, vec!["10.0.7.0/31"]),
            (json!({}), true, vec![]),
        ] {
            let found: Vec<_> = addresses(&read(row.clone()), wants_ipv6)
                .iter()
                .map(|address| format!("{}/{}", address.host, address.prefix))
                .collect();
            assert_eq!(found, expected, "{row}");
        }
    }

    #[test]
    fn loopback_and_aliases_are_no_part_of_the_topology() {
        for (iface, kind, is_part) in [
            ("eno1", "eth", true),
            ("lo", "loopback", false),
            ("lo", "eth", false),
            ("lo1", "Loopback", false),
            ("eno1:1", "alias", false),
            ("gre1", "unknown", true),
        ] {
            let interface = read(json!({"iface": iface, "type": kind}));
            assert_eq!(is_topology(&interface), is_part, "{iface} {kind}");
        }
    }

    #[test]
    fn given_hardware_address_becomes_a_row_in_netboxs_form() {
        let interface = read(json!({"iface": "vmbr0", "options": ["hwaddress bc:24:11:00:00:01"]}));
        let expected = json!({
            "mac_address": "BC:24:11:00:00:01", "assigned_object_type": "dcim.interface", "assigned_object_id": 7,
            "tags": ["proxbox"]
        });
        assert_eq!(
            mac_address(&interface, ObjectId(7)).map(|mac| json!(mac.fields())),
            Some(expected)
        );
        assert_eq!(
            mac_address(&read(json!({"options": ["hwaddress random"]})), ObjectId(7)),
            None
        );
    }
}
