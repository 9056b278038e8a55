//! Addresses of virtual machines' interfaces, the plugin's rows of who in the guest has which, and the primary ones.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::address_owners::{Title, estate};
use super::guest_interfaces::{mappings, mode as guest_mode};
use super::guests::bindings;
use super::ports::{guest_ports, interface_of};
use super::vm_addresses::{Claim, claims, family};
use super::{Desired, Facts, Family, Flag, Pass, Selection};
use crate::inventory::GuestInterface;
use crate::mapping::guest_interface::row_name;
use crate::mapping::ip_address::{Address, addresses_of, ip_address};
use crate::netbox::objects::{
    Assignment, GuestVmInterface, GuestVmInterfaceAddress, IpAddress, PrimaryAddresses, Said, VmInterface,
};
use crate::reconcile::{Mode, ObjectId, Policy, Row, Stored, Wanted};

/// The addresses.
#[derive(Debug)]
pub struct Addresses;
/// Links between guests' interfaces and addresses.
#[derive(Debug)]
pub struct Links;
/// Primary addresses of virtual machines that have none.
#[derive(Debug)]
pub struct PrimaryIps;

/// Addresses of the interfaces of virtual machines that stand for guests, or of those that the request names. Who else has
/// an address that a guest should have is told by [`host_selection`].
pub fn address_selection(facts: &Facts) -> Vec<Selection> {
    let machines = bindings(facts).bound.into_iter().map(|bound| bound.id);
    let selection = Selection::any_of("virtual_machine_id", machines);
    if facts.options.guests.only.is_some() {
        return vec![selection];
    }
    let mut selection = selection.or_whole();
    selection
        .filters
        .push(("assigned_object_type", "virtualization.vminterface".to_owned()));
    vec![selection.below::<VmInterface>(facts.known.network.interface_ids())]
}

/// Addresses that are one of `hosts`, whatever their mask.
pub fn host_selection(hosts: &BTreeSet<IpAddr>) -> Selection {
    Selection::any_of("address", hosts)
}

/// Links of the guests, or of those that the request names.
pub fn link_selection(facts: &Facts) -> Vec<Selection> {
    let machines = bindings(facts).bound.into_iter().map(|bound| bound.id);
    let selection = Selection::any_of("virtual_machine", machines);
    if facts.options.guests.only.is_some() {
        return vec![selection];
    }
    let known = facts.known.network.guest_interface_ids();
    vec![selection.or_whole().below::<GuestVmInterface>(known)]
}

/// Links of addresses that have to go, whoever's guest has them: each keeps its address.
pub fn stale_link_selection(facts: &Facts) -> Selection {
    let stale = estate(facts, &facts.known.network.addresses).stale;
    Selection::any_of("ip_address_id", stale)
}

pub(super) fn mode(facts: &Facts) -> Mode {
    facts.options.modes.effective_ip_address()
}

pub(super) fn hosts(facts: &Facts, interface: &GuestInterface) -> impl Iterator<Item = IpAddr> {
    let (addresses, _) = addresses_of(interface, !facts.options.guests.ignore_link_local);
    addresses.into_iter().map(|address| address.host)
}

impl Pass for Addresses {
    type Object = IpAddress;

    fn scope(facts: &Facts) -> Vec<Selection> {
        let claims = claims(facts).claims;
        let hosts = claims.iter().map(|claim| claim.address.host).collect();
        vec![host_selection(&hosts)]
    }

    fn at_hand(facts: &Facts) -> Option<Vec<Stored<IpAddress>>> {
        Some(facts.known.network.addresses.clone())
    }

    fn desired(_: &Facts) -> Desired<IpAddress> {
        Desired::default()
    }

    /// Each claim gets its row; one that somebody else has is left out.
    fn settle(facts: &Facts, mut desired: Desired<IpAddress>, actual: &[Stored<IpAddress>]) -> Desired<IpAddress> {
        for (claim, title) in estate(facts, actual).met {
            let object = ip_address(claim.address, claim.interface, claim.dns_name.as_deref());
            let row = match title {
                Title::New => Row::New,
                Title::Own(id) | Title::Taken(id) => Row::Is(id),
            };
            desired.wanted.push(Wanted { object, row });
        }
        desired
    }

    /// A row that is there keeps its mask: whether an operator has chosen it cannot be told from the row.
    fn policy(facts: &Facts) -> Policy {
        let overwrite = &facts.options.overwrite;
        Policy::with_mode(mode(facts))
            .update_if("address", false)
            .update_if("status", overwrite.allows(Flag::IpStatus))
            .update_if("dns_name", overwrite.allows(Flag::IpDnsName))
            .update_if("tags", overwrite.allows(Flag::IpTags))
    }
}

/// The addresses that interfaces get, with their masks as NetBox holds them, by the keys of their rows.
pub fn texts(facts: &Facts) -> BTreeMap<String, String> {
    let rows = &facts.known.network.addresses;
    let masks: BTreeMap<ObjectId, Option<u8>> = rows.iter().map(|stored| (stored.id, stored.object.prefix)).collect();
    let met = estate(facts, rows).met.into_iter();
    let text = |(claim, title): (Claim, Title)| {
        let Address { host, prefix } = claim.address;
        let assigned = Assignment::VmInterface(claim.interface);
        let mask = match title {
            Title::New => None,
            Title::Own(id) | Title::Taken(id) => masks.get(&id).copied().flatten(),
        };
        let mask = mask.unwrap_or(prefix);
        (IpAddress::key_of(host, Some(&assigned)), format!("{host}/{mask}"))
    };
    met.map(text).collect()
}

impl Pass for Links {
    type Object = GuestVmInterfaceAddress;

    fn scope(facts: &Facts) -> Vec<Selection> {
        link_selection(facts)
    }

    fn at_hand(facts: &Facts) -> Option<Vec<Stored<GuestVmInterfaceAddress>>> {
        Some(facts.known.network.guest_addresses.clone())
    }

    /// For each interface of a guest that is one of the virtual machine, and whose row says so: its addresses there.
    fn desired(facts: &Facts) -> Desired<GuestVmInterfaceAddress> {
        let mappings = mappings(facts);
        let mut links = Vec::new();
        for guest in guest_ports(facts) {
            for (interface, port) in guest.mapped() {
                let core = port.and_then(|port| interface_of(facts, &guest, port));
                let (Some(core), Some(name)) = (core, row_name(interface)) else {
                    continue;
                };
                let key = GuestVmInterface::key_of(guest.bound.id, &name);
                let Some(row) = facts
                    .ids
                    .find::<GuestVmInterface>(&key)
                    .filter(|_| mappings.get(&key) == Some(&core))
                else {
                    continue;
                };
                let assigned = Assignment::VmInterface(core);
                links.extend(hosts(facts, interface).filter_map(|host| {
                    let ip_address = facts.ids.find::<IpAddress>(&IpAddress::key_of(host, Some(&assigned)))?;
                    Some(GuestVmInterfaceAddress {
                        guest_interface: row,
                        ip_address,
                        host: Some(host),
                        name: format!("{}/{name} {host}", guest.bound.label()),
                    })
                }));
            }
        }
        Desired::by_key(links)
    }

    fn policy(facts: &Facts) -> Policy {
        match mode(facts) {
            Mode::Disabled => Policy::with_mode(Mode::Disabled),
            Mode::Always | Mode::BootstrapOnly => Policy::with_mode(guest_mode(facts)),
        }
    }
}

/// The first address of each family that a virtual machine has, by its id. Where rows are not kept in step, of those alone
/// that the run has made: that a machine lacks one may be what an operator wants.
fn firsts(facts: &Facts) -> BTreeMap<ObjectId, BTreeMap<Family, ObjectId>> {
    let mut firsts: BTreeMap<ObjectId, BTreeMap<Family, ObjectId>> = BTreeMap::new();
    let is_in_step = mode(facts) == Mode::Always;
    let may_be_chosen = |id: &ObjectId| is_in_step || facts.known.network.made_addresses.contains(id);
    for claim in claims(facts).claims {
        let assigned = Assignment::VmInterface(claim.interface);
        let key = IpAddress::key_of(claim.address.host, Some(&assigned));
        if let Some(id) = facts.ids.find::<IpAddress>(&key).filter(may_be_chosen) {
            let families = firsts.entry(claim.machine).or_default();
            families.entry(family(claim.address.host)).or_insert(id);
        }
    }
    firsts
}

/// Virtual machines that lack a primary address of a family of which they have an address.
fn lacking(facts: &Facts) -> BTreeMap<ObjectId, PrimaryAddresses> {
    let stale = &facts.known.network.stale_addresses;
    let firsts = firsts(facts);
    let machines = facts.known.machines.iter();
    let lacking = machines.filter_map(|stored| {
        let families = firsts.get(&stored.id)?;
        let first = |family, primary: Option<ObjectId>| {
            let is_lacking = primary.is_none_or(|primary| stale.contains(&primary));
            let first = families.get(&family).filter(|_| is_lacking);
            first.copied().map_or(Said::Nothing, Said::Is)
        };
        let object = PrimaryAddresses {
            machine: stored.id,
            name: stored.object.name.clone().unwrap_or_default(),
            ip4: first(Family::V4, stored.object.primary_ip4),
            ip6: first(Family::V6, stored.object.primary_ip6),
        };
        let is_any = [object.ip4, object.ip6].iter().any(|first| first.value().is_some());
        is_any.then_some((stored.id, object))
    });
    lacking.collect()
}

impl Pass for PrimaryIps {
    type Object = PrimaryAddresses;

    fn scope(facts: &Facts) -> Vec<Selection> {
        vec![Selection::any_of("id", lacking(facts).into_keys())]
    }

    fn desired(facts: &Facts) -> Desired<PrimaryAddresses> {
        let wanted = lacking(facts).into_iter().map(|(id, object)| Wanted {
            object,
            row: Row::Is(id),
        });
        Desired {
            wanted: wanted.collect(),
            refused: Vec::new(),
            ..Desired::default()
        }
    }

    /// An address that was chosen meanwhile stays.
    fn settle(
        facts: &Facts,
        mut desired: Desired<PrimaryAddresses>,
        actual: &[Stored<PrimaryAddresses>],
    ) -> Desired<PrimaryAddresses> {
        let stale = &facts.known.network.stale_addresses;
        let stored: BTreeMap<ObjectId, &PrimaryAddresses> =
            actual.iter().map(|stored| (stored.id, &stored.object)).collect();
        let is_set = |primary: Said<ObjectId>| primary.value().is_some_and(|primary| !stale.contains(primary));
        for wanted in &mut desired.wanted {
            let object = &mut wanted.object;
            let Some(stored) = stored.get(&object.machine) else {
                continue;
            };
            for (first, stored) in [(&mut object.ip4, stored.ip4), (&mut object.ip6, stored.ip6)] {
                if is_set(stored) {
                    *first = Said::Nothing;
                }
            }
        }
        desired
    }

    /// To choose an address where there is none is part of making it.
    fn policy(facts: &Facts) -> Policy {
        match mode(facts) {
            Mode::Disabled => Policy::with_mode(Mode::Disabled),
            Mode::Always | Mode::BootstrapOnly => Policy::default(),
        }
    }
}

#[cfg(test)]
mod tests;
