//! Which addresses guests' interfaces should have, and which they have no more.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::ports::{GuestPorts, Port, guest_ports, interface_of};
use super::vm_interfaces::all_ports;
use super::{Facts, Family, Part};
use crate::mapping::ip_address::{Address, addresses_of};
use crate::mapping::vm_interface::core_name;
use crate::netbox::objects::{IpAddress, PROXBOX_TAG};
use crate::reconcile::{ObjectId, Stored};

/// An address that an interface should have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The virtual machine.
    pub machine: ObjectId,
    /// Its interface.
    pub interface: ObjectId,
    /// What the virtual machine is called.
    pub machine_name: String,
    /// What the interface is called.
    pub interface_name: String,
    /// The address.
    pub address: Address,
    /// The guest's DNS name, where it is known.
    pub dns_name: Option<String>,
}

impl Claim {
    /// What both are called.
    pub fn label(&self) -> String {
        format!("{} {}", self.machine_name, self.interface_name)
    }
}

/// What all guests should have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claims {
    /// The addresses, in the order of guests, interfaces and what those told.
    pub claims: Vec<Claim>,
    /// Interfaces without any address: what the virtual machine is called, and the interface.
    pub bare: Vec<(String, String)>,
    /// How many addresses were left out because NetBox is no place for them.
    pub left_out: usize,
    /// Virtual machines of which interfaces are missing in NetBox, and how many.
    pub missing: BTreeMap<String, usize>,
    /// Interfaces of which it is known what addresses they have, and of which families.
    pub covered: BTreeMap<ObjectId, BTreeSet<Family>>,
}

/// The family of an address.
pub fn family(host: IpAddr) -> Family {
    if host.is_ipv4() { Family::V4 } else { Family::V6 }
}

/// What all guests should have.
pub fn claims(facts: &Facts) -> Claims {
    let ports = guest_ports(facts);
    let is_wanted = |address: &Address| facts.options.only.takes(Part::Address, &address.host.to_string());
    let mut claims = Claims::default();
    for (guest, port) in all_ports(&ports) {
        let found = addresses(facts, guest, port);
        claims.left_out += found.left_out;
        let Some(interface) = interface_of(facts, guest, port) else {
            *claims.missing.entry(guest.bound.label().to_owned()).or_default() += 1;
            continue;
        };
        if found.addresses.is_empty() {
            claims.bare.push((guest.bound.label().to_owned(), port.name.clone()));
        }
        claims.covered.entry(interface).or_default().extend(found.covered);
        let wanted = found.addresses.into_iter().filter(is_wanted);
        claims.claims.extend(wanted.map(|address| Claim {
            machine: guest.bound.id,
            interface,
            machine_name: guest.bound.label().to_owned(),
            interface_name: port.name.clone(),
            address,
            dns_name: guest.dns_name.clone(),
        }));
    }
    claims
}

/// The key and the name of the interface that has the address `host`, among those that the request is about; only one
/// `called` so in the guest's configuration, in NetBox or by the guest, where that is given.
pub fn port_with(facts: &Facts, host: IpAddr, called: Option<&str>) -> Option<(String, String)> {
    let ports = guest_ports(facts);
    let has_it = |(guest, port): &(&GuestPorts<'_>, &Port)| {
        let found = addresses(facts, guest, port).addresses;
        found.iter().any(|address| address.host == host)
    };
    let is_called = |port: &Port, name: &str| {
        let seen = port.seen.as_ref().map(|seen| seen.name.as_str());
        let core = [port.nic.key.as_str(), core_name(&port.nic), &port.name];
        core.contains(&name) || seen.is_some_and(|seen| seen.eq_ignore_ascii_case(name))
    };
    let mut named = all_ports(&ports).filter(|(_, port)| called.is_none_or(|name| is_called(port, name)));
    let (_, port) = named.find(has_it)?;
    Some((port.nic.key.clone(), port.name.clone()))
}

/// What is known of a port's addresses.
struct Found {
    /// The addresses, those of the preferred family first.
    addresses: Vec<Address>,
    /// How many were left out because NetBox is no place for them.
    left_out: usize,
    /// The families of which it has no others.
    covered: BTreeSet<Family>,
}

/// The addresses of a port: what the guest told, else what is configured; both where the guest told a part.
fn addresses(facts: &Facts, guest: &GuestPorts<'_>, port: &Port) -> Found {
    let options = &facts.options.guests;
    let wants_link_local = !options.ignore_link_local;
    let seen = port.seen.as_ref().map(|seen| addresses_of(seen, wants_link_local));
    let (mut addresses, left_out) = seen.unwrap_or_default();
    let is_told = !addresses.is_empty();
    let is_partial = port.seen.as_ref().is_some_and(|seen| seen.is_partial);
    if !is_told || is_partial {
        for text in &port.nic.addresses {
            let configured = Address::parse(text, wants_link_local);
            let is_new = |address: &Address| addresses.iter().all(|known| known.host != address.host);
            addresses.extend(configured.filter(is_new));
        }
    }
    // Where there are none nothing is known: an agent may be down, or a lease not taken yet. A configuration tells
    // nothing of a family that it does not set, and nothing at all of what the guest has told and will tell again.
    let covered = if !guest.is_live || is_partial {
        BTreeSet::new()
    } else if is_told {
        [Family::V4, Family::V6].into()
    } else {
        addresses.iter().map(|address| family(address.host)).collect()
    };
    addresses.sort_by_key(|address| family(address.host) != options.primary_family);
    Found {
        addresses,
        left_out,
        covered,
    }
}

/// Rows of ours on covered interfaces that no claim is about, but for insides of virtual machines' primary addresses: NetBox
/// takes no more changes of a machine whose primary address leads to none of its own.
pub(super) fn leftovers(facts: &Facts, claims: &Claims, rows: &[Stored<IpAddress>]) -> BTreeSet<ObjectId> {
    let machines = facts.known.machines.iter().map(|stored| &stored.object);
    let primaries = machines.flat_map(|machine| [machine.primary_ip4, machine.primary_ip6]);
    let primaries: BTreeSet<ObjectId> = primaries.flatten().collect();
    let wanted: BTreeSet<(ObjectId, IpAddr)> = claims
        .claims
        .iter()
        .map(|claim| (claim.interface, claim.address.host))
        .collect();
    let is_left = |row: &IpAddress| {
        row.vm_interface().is_some_and(|interface| {
            let families = claims.covered.get(&interface);
            row.tags.contains(PROXBOX_TAG)
                && families.is_some_and(|families| families.contains(&family(row.host)))
                && !wanted.contains(&(interface, row.host))
                && row.outside.is_disjoint(&primaries)
        })
    };
    let left = rows.iter().filter(|stored| is_left(&stored.object));
    left.map(|stored| stored.id).collect()
}
