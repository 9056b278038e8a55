//! Rows of `nodes/{node}/network`: the network interfaces of a node.

use serde::{Deserialize, Deserializer};

use crate::proxmox::wire;

/// A network interface of a node, as it is configured.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeInterface {
    /// Its name; missing where a single interface was asked for.
    pub iface: Option<String>,
    /// Its type in Proxmox's words: `eth`, `bridge`, `bond`, `vlan`, `OVSBridge`, `unknown` and so on.
    pub kind: Option<String>,
    /// Whether it is up.
    pub active: bool,
    /// Its IPv4 address with the mask.
    pub cidr: Option<String>,
    /// Its IPv6 address with the mask.
    pub cidr6: Option<String>,
    /// Its IPv4 address without the mask.
    pub address: Option<String>,
    /// A VLAN's number.
    pub vlan_id: Option<u16>,
    /// The interface that a VLAN is on.
    pub vlan_raw_device: Option<String>,
    /// The ports of a bridge.
    pub ports: Vec<String>,
    /// The members of a bond.
    pub members: Vec<String>,
    /// The Open vSwitch bridge that it is a port of.
    pub ovs_bridge: Option<String>,
    /// The hardware address that it is given.
    pub hwaddress: Option<String>,
}

/// A row as it is sent. Lists are parted by blanks, and their keys differ with the release and the kind of interface.
#[derive(Deserialize)]
struct Row {
    #[serde(default, deserialize_with = "wire::text")]
    iface: Option<String>,
    #[serde(default, rename = "type", deserialize_with = "wire::text")]
    kind: Option<String>,
    #[serde(default, deserialize_with = "wire::flag")]
    active: bool,
    #[serde(default, deserialize_with = "wire::text")]
    cidr: Option<String>,
    #[serde(default, deserialize_with = "wire::text")]
    cidr6: Option<String>,
    #[serde(default, deserialize_with = "wire::text")]
    address: Option<String>,
    #[serde(default, rename = "vlan-id", deserialize_with = "wire::number")]
    vlan_id: Option<u16>,
    #[serde(default, rename = "vlan-raw-device", deserialize_with = "wire::text")]
    vlan_raw_device: Option<String>,
    #[serde(default, deserialize_with = "wire::text_list")]
    bridge_ports: Vec<String>,
    #[serde(default, deserialize_with = "wire::text_list")]
    ovs_ports: Vec<String>,
    #[serde(default, deserialize_with = "wire::text_list")]
    slaves: Vec<String>,
    #[serde(default, deserialize_with = "wire::text_list")]
    bond_slaves: Vec<String>,
    #[serde(default, rename = "bond-slaves", deserialize_with = "wire::text_list")]
    bond_slaves_by_hyphen: Vec<String>,
    #[serde(default, deserialize_with = "wire::text_list")]
    ovs_bonds: Vec<String>,
    #[serde(default, deserialize_with = "wire::text")]
    ovs_bridge: Option<String>,
    #[serde(default, deserialize_with = "wire::text_list")]
    options: Vec<String>,
}

impl<'de> Deserialize<'de> for NodeInterface {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let row = Row::deserialize(deserializer)?;
        let hwaddress = row.hwaddress();
        let members = [row.slaves, row.bond_slaves, row.bond_slaves_by_hyphen, row.ovs_bonds];
        Ok(Self {
            iface: row.iface,
            kind: row.kind,
            active: row.active,
            cidr: row.cidr,
            cidr6: row.cidr6,
            address: row.address,
            vlan_id: row.vlan_id,
            vlan_raw_device: row.vlan_raw_device,
            ports: names([row.bridge_ports, row.ovs_ports]),
            members: names(members),
            ovs_bridge: row.ovs_bridge,
            hwaddress,
        })
    }
}

/// The names in several lists; the word `none` stands for an empty one.
fn names<const N: usize>(lists: [Vec<String>; N]) -> Vec<String> {
    lists.into_iter().flatten().filter(|name| name != "none").collect()
}

impl Row {
    /// The address in an option line such as `hwaddress bc:24:11:00:00:01` or `hwaddress ether bc:…`.
    fn hwaddress(&self) -> Option<String> {
        let words = self.options.iter().flat_map(|line| line.split_whitespace());
        let mut after = words.skip_while(|word| *word != "hwaddress").skip(1);
        after.find(|word| *word != "ether").map(str::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(row: Value) -> NodeInterface {
        serde_json::from_value(row).unwrap()
    }

    #[test]
    fn vlan_is_read_from_its_text_columns() {
        let vlan = read(json!({
            "iface": "vmbr0.2", "type": "vlan", "vlan-id": "2", "vlan-raw-device": "vmbr0", "exists": null,
            "active": "1", "cidr": "192.168.0.10/24", "cidr6": "fd66::10/64", "families": [null], "comments": "x\n",
        }));
        assert_eq!(
            (vlan.vlan_id, vlan.vlan_raw_device.as_deref()),
            (Some(2), Some("vmbr0"))
        );
        assert_eq!((vlan.cidr6.as_deref(), vlan.active), (Some("fd66::10/64"), true));
    }

    #[test]
    fn ports_and_members_are_read_under_every_key() {
        for (row, ports, members) in [
            (
                json!({"bridge_ports": "eno1.2 vmbr2.10"}),
                vec!["eno1.2", "vmbr2.10"],
                vec![],
            ),
            (json!({"bridge_ports": "none"}), vec![], vec![]),
            (json!({"ovs_ports": "eth1 eth2"}), vec!["eth1", "eth2"], vec![]),
            (json!({"slaves": "eno1 eno2"}), vec![], vec!["eno1", "eno2"]),
            (json!({"bond-slaves": "eno1 eno2"}), vec![], vec!["eno1", "eno2"]),
            (json!({"bond_slaves": "eno1"}), vec![], vec!["eno1"]),
            (json!({"ovs_bonds": "eth4 eth5"}), vec![], vec!["eth4", "eth5"]),
        ] {
            let interface = read(row.clone());
            assert_eq!(interface.ports, ports, "{row}");
            assert_eq!(interface.members, members, "{row}");
        }
    }

    #[test]
    fn hardware_address_is_found_among_the_options() {
        for (options, expected) in [
            (
                json!(["metric 200", "hwaddress bc:24:11:00:00:01"]),
                Some("bc:24:11:00:00:01"),
            ),
            (json!(["hwaddress ether bc:24:11:00:00:02"]), Some("bc:24:11:00:00:02")),
            (json!(["hwaddress"]), None),
            (json!(["metric 200"]), None),
            (Value::Null, None),
        ] {
            assert_eq!(read(json!({ "options": options })).hwaddress.as_deref(), expected);
        }
    }
}
