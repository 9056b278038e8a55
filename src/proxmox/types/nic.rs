//! Network interfaces of guests as they are configured: the keys `net0`, `net1`, ….

use super::{GuestConfig, GuestKind};
use crate::proxmox::Property;

/// The lowest and the highest number of a VLAN.
const VLANS: std::ops::RangeInclusive<u16> = 1..=4094;

/// A configured network interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nic {
    /// Its key: `net0`.
    pub key: String,
    /// A container's name of it: `eth0`.
    pub name: Option<String>,
    /// Its hardware address in capitals, parted by colons.
    pub mac: Option<String>,
    /// The bridge it is attached to.
    pub bridge: Option<String>,
    /// Its VLAN.
    pub vlan: Option<u16>,
    /// VLANs that pass with their tag; empty where it is no trunk.
    pub trunks: Vec<u16>,
    /// Whether its link is switched off.
    pub is_down: bool,
    /// Its largest packet in bytes; 1 follows the bridge.
    pub mtu: Option<u32>,
    /// A container's IPv4 and IPv6 settings: an address with its mask, or a word such as `dhcp`.
    pub addresses: Vec<String>,
}

impl Nic {
    /// The network interfaces of a guest, by their number. Entries that say nothing are left out.
    pub fn list(config: &GuestConfig) -> Vec<Self> {
        let networks = config.networks().into_iter();
        networks
            .filter(|(_, network)| network.pairs().next().is_some())
            .map(|(number, network)| Self::of(config.kind(), number, &network))
            .collect()
    }

    fn of(kind: GuestKind, number: u32, network: &Property) -> Self {
        let text = |key: &str| network.get(key).filter(|text| !text.is_empty()).map(str::to_owned);
        let is_container = kind == GuestKind::Lxc;
        let mac = match kind {
            GuestKind::Lxc => network.get("hwaddr").and_then(canonical_mac),
            // The model is the key: `virtio=BC:24:…`; an old spelling is `model=virtio,macaddr=BC:24:…`.
            GuestKind::Qemu => network.get("macaddr").and_then(canonical_mac).or_else(|| {
                let mut values = network.pairs().map(|(_, value)| value);
                values.find_map(canonical_mac)
            }),
        };
        Self {
            key: format!("net{number}"),
            name: text("name").filter(|_| is_container),
            mac,
            bridge: text("bridge"),
            vlan: network.get("tag").and_then(vlan),
            trunks: network.get("trunks").map(trunks).unwrap_or_default(),
            is_down: network.flag("link_down").unwrap_or_default(),
            mtu: network.get("mtu").and_then(|mtu| mtu.parse().ok()),
            addresses: [text("ip"), text("ip6")]
                .into_iter()
                .flatten()
                .filter(|_| is_container)
                .collect(),
        }
    }
}

fn vlan(text: &str) -> Option<u16> {
    text.parse().ok().filter(|vid| VLANS.contains(vid))
}

/// `5;10-12` as 5, 10, 11 and 12; parts that are neither are left out.
fn trunks(text: &str) -> Vec<u16> {
    let ranges = text.split(';').filter_map(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(vlan(first.trim())?..=vlan(last.trim())?)
    });
    ranges.flatten().collect()
}

/// A hardware address in capitals with colons; `None` where `text` is none.
pub fn canonical_mac(text: &str) -> Option<String> {
    let octets: Vec<&str> = text.trim().split([':', '-']).collect();
    let is_octet = |octet: &&str| octet.len() == 2 && octet.bytes().all(|digit| digit.is_ascii_hexdigit());
    (octets.len() == 6 && octets.iter().all(is_octet)).then(|| octets.join(":").to_uppercase())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn nic(kind: GuestKind, text: &str) -> Nic {
        let config = GuestConfig::decode(kind, json!({"net3": text})).unwrap();
        Nic::list(&config).remove(0)
    }

    #[test]
    fn mac_of_every_spelling_is_found() {
        for text in [
            "virtio=BC:24:11:AA:00:01,bridge=vmbr0",
            "e1000=bc:24:11:aa:00:01,bridge=vmbr1",
            "bridge=vmbr0,vmxnet3=BC-24-11-AA-00-01",
            "model=virtio,macaddr=BC:24:11:AA:00:01,bridge=vmbr0",
        ] {
            assert_eq!(
                nic(GuestKind::Qemu, text).mac.as_deref(),
                Some("BC:24:11:AA:00:01"),
                "{text}"
            );
        }
        for text in [
            "model=virtio,bridge=vmbr0",
            "virtio=BC:24:11:AA:00",
            "virtio=11:11:11:sx:11:11",
        ] {
            assert_eq!(nic(GuestKind::Qemu, text).mac, None, "{text}");
        }
    }

    #[test]
    fn container_interface_has_its_name_and_both_addresses() {
        let text = "name=eth0,bridge=vmbr0,gw=10.20.0.1,hwaddr=BC:24:11:BB:00:01,ip=10.20.0.30/24,ip6=fd00:20::30/64,\
                    tag=120,type=veth";
        let expected = Nic {
            key: "net3".to_owned(),
            name: Some("eth0".to_owned()),
            mac: Some("BC:24:11:BB:00:01".to_owned()),
            bridge: Some("vmbr0".to_owned()),
            vlan: Some(120),
            trunks: Vec::new(),
            is_down: false,
            mtu: None,
            addresses: vec!["10.20.0.30/24".to_owned(), "fd00:20::30/64".to_owned()],
        };
        assert_eq!(nic(GuestKind::Lxc, text), expected);
    }

    #[test]
    fn vlan_that_is_none_is_ignored() {
        for (tag, expected) in [
            ("1", Some(1)),
            ("4094", Some(4094)),
            ("0", None),
            ("4095", None),
            ("x", None),
            ("", None),
        ] {
            let text = format!("virtio=BC:24:11:AA:00:01,tag={tag}");
            assert_eq!(nic(GuestKind::Qemu, &text).vlan, expected, "{tag:?}");
        }
    }

    #[test]
    fn link_settings_are_read() {
        let nic = nic(
            GuestKind::Qemu,
            "virtio=BC:24:11:AA:00:01,trunks=5;10-12;x;9-y,link_down=1,mtu=9000",
        );
        assert_eq!(
            (nic.trunks, nic.is_down, nic.mtu),
            (vec![5, 10, 11, 12], true, Some(9000))
        );
    }

    #[test]
    fn interfaces_come_in_numeric_order_without_those_that_say_nothing() {
        let config = json!({"net10": "virtio=BC:24:11:AA:00:0A", "net2": "virtio", "net1": "virtio=BC:24:11:AA:00:01"});
        let config = GuestConfig::decode(GuestKind::Qemu, config).unwrap();
        let keys: Vec<_> = Nic::list(&config).into_iter().map(|nic| nic.key).collect();
        assert_eq!(keys, ["net1", "net10"]);
    }
}
