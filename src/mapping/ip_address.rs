//! Addresses that guests have, as NetBox takes them.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::inventory::{GuestAddress, GuestInterface};
use crate::netbox::ObjectId;
use crate::netbox::objects::{Assignment, IpAddress, PROXBOX_TAG};

/// The longest DNS name in NetBox.
const DNS_NAME_MAX: usize = 255;

/// An address and the length of its network's prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    /// The host's address.
    pub host: IpAddr,
    /// The length of the prefix.
    pub prefix: u8,
}

impl Address {
    /// What `given` means; `None` where NetBox would not assign it to an interface, or nobody wants to see it there:
    /// loopback, unspecified, multicast, the first and the last address of a network, and link-local ones unless they
    /// are `wanted`. Without a usable prefix it is a host of its own.
    pub fn of(given: &GuestAddress, wants_link_local: bool) -> Option<Self> {
        let text = given.address.split('%').next().unwrap_or_default().trim();
        let host: IpAddr = text.parse().ok()?;
        let whole = if host.is_ipv4() { 32 } else { 128 };
        let prefix = given.prefix.and_then(|prefix| u8::try_from(prefix).ok());
        let address = Self {
            host,
            prefix: prefix.filter(|prefix| *prefix <= whole).unwrap_or(whole),
        };
        let is_odd = host.is_loopback() || host.is_unspecified() || host.is_multicast() || address.is_edge();
        (!is_odd && (wants_link_local || !is_link_local(host))).then_some(address)
    }

    /// What the text `10.0.0.1/24` means, under the same rules; words such as `dhcp` mean nothing.
    pub fn parse(text: &str, wants_link_local: bool) -> Option<Self> {
        let (address, prefix) = text.split_once('/').unwrap_or((text, ""));
        let given = GuestAddress {
            address: address.to_owned(),
            prefix: prefix.trim().parse().ok(),
        };
        Self::of(&given, wants_link_local)
    }

    /// Whether this is the address of a network itself, or the one that reaches all of it; or of no network at all.
    fn is_edge(self) -> bool {
        if self.prefix == 0 {
            return true;
        }
        match self.host {
            IpAddr::V4(host) if self.prefix < 31 => {
                let hosts = u32::MAX >> self.prefix;
                host == Ipv4Addr::from_bits(host.to_bits() & !hosts)
                    || host == Ipv4Addr::from_bits(host.to_bits() | hosts)
            }
            IpAddr::V6(host) if self.prefix < 127 => {
                host == Ipv6Addr::from_bits(host.to_bits() & !(u128::MAX >> self.prefix))
            }
            IpAddr::V4(_) | IpAddr::V6(_) => false,
        }
    }
}

fn is_link_local(host: IpAddr) -> bool {
    match host {
        IpAddr::V4(host) => host.is_link_local(),
        IpAddr::V6(host) => host.is_unicast_link_local(),
    }
}

/// The addresses of an interface, each once, and how many were left out.
pub fn addresses_of(interface: &GuestInterface, wants_link_local: bool) -> (Vec<Address>, usize) {
    let mut found: Vec<Address> = Vec::with_capacity(interface.addresses.len());
    let mut left_out = 0;
    for given in &interface.addresses {
        match Address::of(given, wants_link_local) {
            Some(address) if found.iter().all(|known| known.host != address.host) => found.push(address),
            Some(_) => {}
            None => left_out += 1,
        }
    }
    (found, left_out)
}

/// The row of `address` on the interface `vm_interface`.
pub fn ip_address(address: Address, vm_interface: ObjectId, dns_name: Option<&str>) -> IpAddress {
    IpAddress {
        host: address.host,
        prefix: Some(address.prefix),
        assigned: Some(Assignment::VmInterface(vm_interface)),
        vrf: None,
        status: Some("active".to_owned()),
        dns_name: dns_name.map(str::to_owned),
        tags: [PROXBOX_TAG.to_owned()].into(),
        outside: BTreeSet::new(),
        is_annotated: false,
    }
}

/// A host name as a DNS name: in lower case, without dots at its end; `None` for `localhost` and what NetBox refuses.
pub fn dns_name(host_name: &str) -> Option<String> {
    let name = host_name.trim().trim_end_matches('.').to_lowercase();
    let is_local = name == "localhost" || name.starts_with("localhost.");
    (!is_local && is_dns_name(&name)).then_some(name)
}

fn is_dns_name(name: &str) -> bool {
    let is_letter = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_');
    let is_label = |label: &str| !label.is_empty() && label.chars().all(is_letter);
    let rest = name.strip_prefix("*.").unwrap_or(name);
    name.len() <= DNS_NAME_MAX && rest.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(address: Option<Address>) -> Option<String> {
        address.map(|address| format!("{}/{}", address.host, address.prefix))
    }

    #[test]
    fn addresses_are_taken_as_netbox_stores_them_or_not_at_all() {
        for (address, prefix, expected) in [
            ("10.20.0.11", Some(24), Some("10.20.0.11/24")),
            ("FD00:0020::0011", Some(64), Some("fd00:20::11/64")),
            ("10.20.0.11", None, Some("10.20.0.11/32")),
            ("fd00:20::11", Some(-1), Some("fd00:20::11/128")),
            ("10.1.1.1", Some(99), Some("10.1.1.1/32")),
            ("::ffff:10.0.0.1", Some(128), Some("::ffff:10.0.0.1/128")),
            ("10.0.0.0", Some(31), Some("10.0.0.0/31")),
            ("10.0.0.255", Some(32), Some("10.0.0.255/32")),
            ("10.0.0.0", Some(24), None),
            ("10.0.0.255", Some(24), None),
            ("10.0.0.255", Some(16), Some("10.0.0.255/16")),
            ("fd00::", Some(64), None),
            (
                "fd00::ffff:ffff:ffff:ffff",
                Some(64),
                Some("fd00::ffff:ffff:ffff:ffff/64"),
            ),
            ("fd00::", Some(127), Some("fd00::/127")),
            ("10.0.0.1", Some(0), None),
            ("127.0.0.1", Some(8), None),
            ("::1", Some(128), None),
            ("0.0.0.0", Some(32), None),
            ("::", Some(128), None),
            ("224.0.0.5", Some(32), None),
            ("ff02::1", Some(128), None),
            ("169.254.3.4", Some(16), None),
            ("fe80::1%3", Some(64), None),
            ("eeee::cccc:bbbb:aaaa:xxxx", Some(64), None),
            ("", None, None),
        ] {
            let given = GuestAddress {
                address: address.to_owned(),
                prefix,
            };
            assert_eq!(
                text(Address::of(&given, false)).as_deref(),
                expected,
                "{address}/{prefix:?}"
            );
        }
    }

    #[test]
    fn link_local_addresses_are_taken_where_they_are_wanted() {
        for (given, expected) in [("fe80::1%3/64", "fe80::1/128"), ("169.254.3.4/16", "169.254.3.4/16")] {
            let (address, prefix) = given.rsplit_once('/').unwrap();
            let given = GuestAddress {
                address: address.to_owned(),
                prefix: (prefix != "64").then(|| prefix.parse().unwrap()),
            };
            assert_eq!(text(Address::of(&given, true)).as_deref(), Some(expected));
        }
    }

    #[test]
    fn configured_addresses_are_told_from_words() {
        for (given, expected) in [
            ("10.20.0.30/24", Some("10.20.0.30/24")),
            ("10.60.1.2/32", Some("10.60.1.2/32")),
            ("fd00:20::30/64", Some("fd00:20::30/64")),
            ("dhcp", None),
            ("manual", None),
            ("auto", None),
        ] {
            assert_eq!(text(Address::parse(given, false)).as_deref(), expected, "{given}");
        }
    }

    #[test]
    fn host_names_become_dns_names_or_nothing() {
        for (given, expected) in [
            (" Shop-DB-1. ", Some("shop-db-1")),
            ("proxy1.example.net", Some("proxy1.example.net")),
            ("*.example.net", Some("*.example.net")),
            ("localhost", None),
            ("localhost.localdomain", None),
            ("my host", None),
            ("a..b", None),
            ("", None),
        ] {
            assert_eq!(dns_name(given).as_deref(), expected, "{given:?}");
        }
        assert_eq!(dns_name(&"a".repeat(256)), None);
    }
}
