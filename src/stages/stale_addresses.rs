//! Addresses that interfaces of virtual machines have no more, and the plugin's rows of who in the guest has them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde_json::Value;

use super::address_owners::estate;
use super::guests::own_machines;
use super::ports::guest_ports;
use super::vm_ip_addresses::{address_selection, hosts, link_selection, mode};
use super::{Desired, Facts, Pass, Selection};
use crate::mapping::guest_interface::row_name;
use crate::netbox::objects::{
    GuestVmInterface, GuestVmInterfaceAddress, IpAddress, PROXBOX_TAG, PrimaryAddresses, Said,
};
use crate::reconcile::{ObjectId, Policy, Retire, Stored};

/// Links between guests' interfaces and addresses that hold no more; while they stand NetBox does not let the addresses
/// go.
#[derive(Debug)]
pub struct StaleLinks;
/// Addresses that interfaces have no more. They go before others come, so that one may move to another guest. What an
/// operator has written something into stays, and so does what other rows of NetBox need; both are nobody's then.
#[derive(Debug)]
pub struct StaleAddresses;
/// Primary addresses that are such a row: NetBox does not let them become nobody's.
#[derive(Debug)]
pub struct ReleasedPrimaries;

/// Addresses that have to go, and the links that keep them or hold no more.
pub fn find_stale(facts: &Facts) -> (BTreeSet<ObjectId>, BTreeSet<ObjectId>) {
    let addresses = estate(facts, &facts.known.network.addresses).stale;
    let told = told(facts);
    let known = &facts.known;
    let rows: BTreeMap<ObjectId, &GuestVmInterface> = known
        .network
        .guest_interfaces
        .iter()
        .map(|stored| (stored.id, &stored.object))
        .collect();
    let is_over = |link: &GuestVmInterfaceAddress| {
        let row = rows.get(&link.guest_interface)?;
        let names = told
            .get(&row.virtual_machine)
            .filter(|_| row.tags.contains(PROXBOX_TAG))?;
        let host = link.host?;
        Some(!names.get(&row.name).is_some_and(|hosts| hosts.contains(&host)))
    };
    let links = known.network.guest_addresses.iter().filter(|stored| {
        let link = &stored.object;
        addresses.contains(&link.ip_address) || is_over(link).unwrap_or_default()
    });
    let links = links.map(|stored| stored.id).collect();
    (addresses, links)
}

/// Those of the addresses that have to go which become nobody's and stay.
pub fn released(facts: &Facts) -> BTreeSet<ObjectId> {
    let network = &facts.known.network;
    let rows = network.addresses.iter();
    let rows = rows.filter(|stored| stays(facts, stored) && network.stale_addresses.contains(&stored.id));
    rows.map(|stored| stored.id).collect()
}

/// Whether an address that has to go becomes nobody's and is not deleted.
fn stays(facts: &Facts, stored: &Stored<IpAddress>) -> bool {
    stored.object.is_annotated || facts.known.network.protected_addresses.contains(&stored.id)
}

/// The addresses of those virtual machines' interfaces that are no operator's.
fn own_addresses(facts: &Facts) -> BTreeSet<ObjectId> {
    let machines = own_machines(facts);
    let network = &facts.known.network;
    let own = network.interfaces.iter();
    let own = own.filter(|stored| machines.contains(&stored.object.virtual_machine));
    let interfaces: BTreeSet<ObjectId> = own.map(|stored| stored.id).collect();
    let is_own = |row: &IpAddress| {
        let interface = row.vm_interface().filter(|_| row.tags.contains(PROXBOX_TAG));
        interface.is_some_and(|interface| interfaces.contains(&interface))
    };
    let addresses = network.addresses.iter().filter(|stored| is_own(&stored.object));
    addresses.map(|stored| stored.id).collect()
}

/// What the agents of virtual machines told: the hosts of each interface.
fn told(facts: &Facts) -> BTreeMap<ObjectId, BTreeMap<String, BTreeSet<IpAddr>>> {
    let mut told: BTreeMap<ObjectId, BTreeMap<String, BTreeSet<IpAddr>>> = BTreeMap::new();
    for guest in guest_ports(facts) {
        if let Some(interfaces) = &guest.agent {
            let names = told.entry(guest.bound.id).or_default();
            for interface in interfaces {
                let Some(name) = row_name(interface) else { continue };
                names.entry(name).or_insert_with(|| hosts(facts, interface).collect());
            }
        }
    }
    told
}

impl Pass for StaleLinks {
    type Object = GuestVmInterfaceAddress;

    fn scope(facts: &Facts) -> Vec<Selection> {
        link_selection(facts)
    }

    fn at_hand(facts: &Facts) -> Option<Vec<Stored<GuestVmInterfaceAddress>>> {
        Some(facts.known.network.guest_addresses.clone())
    }

    fn desired(_: &Facts) -> Desired<GuestVmInterfaceAddress> {
        Desired::default()
    }

    fn count_ours(facts: &Facts, actual: &[Stored<GuestVmInterfaceAddress>]) -> usize {
        let (machines, addresses) = (own_machines(facts), own_addresses(facts));
        let rows = facts.known.network.guest_interfaces.iter();
        let own = rows.filter(|stored| {
            stored.object.tags.contains(PROXBOX_TAG) && machines.contains(&stored.object.virtual_machine)
        });
        let rows: BTreeSet<ObjectId> = own.map(|stored| stored.id).collect();
        let links = actual.iter().map(|stored| &stored.object);
        links
            .filter(|link| rows.contains(&link.guest_interface) || addresses.contains(&link.ip_address))
            .count()
    }

    fn all_ours(all: &Facts) -> Option<Selection> {
        Some(Selection::any_of("virtual_machine", own_machines(all)))
    }

    fn policy(facts: &Facts) -> Policy {
        Policy::with_mode(mode(facts))
    }

    fn retire(facts: &Facts, stored: &Stored<GuestVmInterfaceAddress>) -> Retire {
        if facts.known.network.stale_links.contains(&stored.id) {
            Retire::Delete
        } else {
            Retire::Keep
        }
    }
}

impl Pass for StaleAddresses {
    type Object = IpAddress;

    fn scope(facts: &Facts) -> Vec<Selection> {
        address_selection(facts)
    }

    fn at_hand(facts: &Facts) -> Option<Vec<Stored<IpAddress>>> {
        let known = facts.known.network.addresses.iter();
        let of_machines = known.filter(|stored| stored.object.vm_interface().is_some());
        Some(of_machines.cloned().collect())
    }

    fn desired(_: &Facts) -> Desired<IpAddress> {
        Desired::default()
    }

    fn count_ours(facts: &Facts, _: &[Stored<IpAddress>]) -> usize {
        own_addresses(facts).len()
    }

    fn all_ours(all: &Facts) -> Option<Selection> {
        Some(Selection::any_of("virtual_machine_id", own_machines(all)))
    }

    fn count_all(_all: &Facts, rows: &[Stored<IpAddress>]) -> usize {
        let tags = rows.iter().map(|stored| &stored.object.tags);
        tags.filter(|tags| tags.contains(PROXBOX_TAG)).count()
    }

    fn policy(facts: &Facts) -> Policy {
        Policy::with_mode(mode(facts))
    }

    fn retire(facts: &Facts, stored: &Stored<IpAddress>) -> Retire {
        if !facts.known.network.stale_addresses.contains(&stored.id) {
            Retire::Keep
        } else if stays(facts, stored) {
            let assignment = ["assigned_object_type", "assigned_object_id"];
            Retire::Mark(assignment.map(|name| (name, Value::Null)).into())
        } else {
            Retire::Delete
        }
    }
}

impl Pass for ReleasedPrimaries {
    type Object = PrimaryAddresses;

    fn scope(facts: &Facts) -> Vec<Selection> {
        let released = released(facts);
        let is_released = |address: Option<ObjectId>| address.is_some_and(|address| released.contains(&address));
        let machines = facts.known.machines.iter().filter(|stored| {
            let machine = &stored.object;
            is_released(machine.primary_ip4) || is_released(machine.primary_ip6)
        });
        vec![Selection::any_of("id", machines.map(|stored| stored.id))]
    }

    /// Nothing before the rows were read: which of the addresses are primary ones still only those can tell.
    fn desired(_: &Facts) -> Desired<PrimaryAddresses> {
        Desired::default()
    }

    /// Not a retirement: the virtual machine stays, and gets its next primary address in the same run.
    fn settle(
        facts: &Facts,
        _: Desired<PrimaryAddresses>,
        actual: &[Stored<PrimaryAddresses>],
    ) -> Desired<PrimaryAddresses> {
        let released = released(facts);
        let cleared = |address: Said<ObjectId>| match address.value() {
            Some(address) if released.contains(address) => Said::Empty,
            Some(_) | None => Said::Nothing,
        };
        Desired::by_key(actual.iter().map(|stored| PrimaryAddresses {
            ip4: cleared(stored.object.ip4),
            ip6: cleared(stored.object.ip6),
            ..stored.object.clone()
        }))
    }

    fn policy(facts: &Facts) -> Policy {
        Policy::with_mode(mode(facts))
    }
}
