//! Interfaces of virtual machines and the VLANs they are in. Neither is ever deleted.

use std::collections::{BTreeMap, BTreeSet};

use super::guests::{Bound, bindings};
use super::ports::{GuestPorts, Port, guest_ports};
use super::vlans::{nearness, take_nearest};
use super::{Desired, Facts, Flag, Pass, Selection};
use crate::inventory::Nic;
use crate::mapping::vm_interface::{is_wide, vlan, vm_interface, with_link};
use crate::netbox::objects::{PROXBOX_TAG, Said, VirtualMachine, Vlan, VmInterface};
use crate::reconcile::{ObjectId, Policy, Resource, Stored};

/// VLANs that the interfaces' configurations name.
#[derive(Debug)]
pub struct Vlans;
/// The interfaces.
#[derive(Debug)]
pub struct VmInterfaces;

/// Interfaces of the cluster's virtual machines and of those that guests' notes put into another cluster, or of those that
/// the request names.
pub fn interface_selection(facts: &Facts) -> Vec<Selection> {
    let mut selections = of_machines(facts, || {
        let cluster = facts.target.cluster;
        cluster
            .map(|cluster| Selection::with("cluster_id", &cluster).below::<VirtualMachine>(facts.known.machine_ids()))
    });
    let is_elsewhere = |bound: &Bound<'_>| bound.machine.cluster.is_some_and(|id| facts.target.cluster != Some(id));
    let bound = bindings(facts).bound.into_iter();
    let elsewhere: Vec<ObjectId> = bound.filter(is_elsewhere).map(|bound| bound.id).collect();
    if facts.options.guests.only.is_none() && !elsewhere.is_empty() {
        selections.push(Selection::any_of("virtual_machine_id", elsewhere));
    }
    selections
}

/// Rows of the virtual machines that the request names, else those of `all`.
pub(super) fn of_machines(facts: &Facts, all: impl FnOnce() -> Option<Selection>) -> Vec<Selection> {
    if facts.options.guests.only.is_none() {
        return all().into_iter().collect();
    }
    let bound = bindings(facts).bound;
    vec![Selection::any_of(
        "virtual_machine_id",
        bound.iter().map(|bound| bound.id),
    )]
}

/// VLANs that interfaces should be in, and those that interfaces without a VLAN are in.
pub fn vlan_selections(facts: &Facts) -> Vec<Selection> {
    let ports = guest_ports(facts);
    let vids: BTreeSet<u16> = all_ports(&ports).flat_map(|(_, port)| vids(facts, &port.nic)).collect();
    let stored = facts.known.network.interfaces.iter();
    let stored: BTreeMap<String, &VmInterface> = stored.map(|stored| (stored.object.key(), &stored.object)).collect();
    let untagged = all_ports(&ports).filter(|(_, port)| port.nic.vlan.is_none());
    let left = untagged.filter_map(|(guest, port)| {
        let interface = stored.get(&guest.key(port))?;
        let tagged = interface.tagged_vlans.iter().flatten();
        let tagged = tagged.filter(|_| is_free(facts, &port.nic));
        Some(interface.untagged_vlan.value().into_iter().chain(tagged).copied())
    });
    let left = left.flatten();
    vec![
        Selection::any_of("vid", vids).or_whole(),
        Selection::any_of("id", left.collect::<BTreeSet<_>>()),
    ]
}

pub(super) fn all_ports<'a, 'b>(guests: &'b [GuestPorts<'a>]) -> impl Iterator<Item = (&'b GuestPorts<'a>, &'b Port)> {
    guests
        .iter()
        .flat_map(|guest| guest.ports.iter().map(move |port| (guest, port)))
}

/// The VLANs that a configuration asks for.
fn vids(facts: &Facts, nic: &Nic) -> Vec<u16> {
    let trunks = nic.trunks.iter().filter(|_| facts.options.guests.sync_links);
    nic.vlan.iter().chain(trunks).copied().collect()
}

/// Whether a configuration asks for no VLAN.
fn is_free(facts: &Facts, nic: &Nic) -> bool {
    vids(facts, nic).is_empty()
}

fn vlans_of(interface: &VmInterface) -> impl Iterator<Item = ObjectId> {
    let untagged = interface.untagged_vlan.value().copied();
    untagged
        .into_iter()
        .chain(interface.tagged_vlans.iter().flatten().copied())
}

impl Pass for Vlans {
    type Object = Vlan;

    fn scope(facts: &Facts) -> Vec<Selection> {
        vlan_selections(facts)
    }

    fn at_hand(facts: &Facts) -> Option<Vec<Stored<Vlan>>> {
        Some(facts.known.network.vlans.clone())
    }

    /// One per number, site and tenant of the virtual machines. For a wide trunk none is made.
    fn desired(facts: &Facts) -> Desired<Vlan> {
        let ports = guest_ports(facts);
        let known = facts.known.network.vlans.iter().map(|stored| &stored.object);
        let known = known.filter(|vlan| nearness(facts, vlan, vlan.site).is_some());
        let known: BTreeSet<String> = known.map(Resource::key).collect();
        let places: BTreeSet<_> = all_ports(&ports)
            .flat_map(|(guest, port)| {
                let (machine, nic) = (guest.bound.machine, &port.nic);
                let known = &known;
                let vids = vids(facts, nic).into_iter().filter(move |vid| {
                    let is_there = || known.contains(&Vlan::key_of(*vid, machine.site, machine.tenant));
                    !is_wide(nic) || nic.vlan == Some(*vid) || is_there()
                });
                vids.map(move |vid| (vid, machine.site, machine.tenant))
            })
            .collect();
        Desired::by_key(places.into_iter().map(|(vid, site, tenant)| vlan(vid, site, tenant)))
    }

    fn settle(facts: &Facts, desired: Desired<Vlan>, actual: &[Stored<Vlan>]) -> Desired<Vlan> {
        take_nearest(facts, desired, actual)
    }

    /// A VLAN that exists is an operator's.
    fn policy(facts: &Facts) -> Policy {
        Policy::with_mode(facts.options.modes.effective_interface())
            .update_if("name", false)
            .update_if("status", false)
            .update_if("tags", false)
    }
}

/// Puts in place of VLANs that `wanted` should be in those that `row` is in, where they do as well: with the same number, site
/// and tenant, and no other site's.
fn keep_equals(facts: &Facts, vlans: &BTreeMap<ObjectId, &Vlan>, wanted: &mut VmInterface, row: &VmInterface) {
    let place = |vlan: &Vlan| (vlan.vid, vlan.site, vlan.tenant);
    let does_as_well = |wanted: ObjectId, id: ObjectId| match (vlans.get(&wanted), vlans.get(&id)) {
        (Some(wanted), Some(other)) => place(wanted) == place(other) && nearness(facts, other, other.site).is_some(),
        (None, _) | (_, None) => false,
    };
    if let (Said::Is(wanted), Said::Is(id)) = (&mut wanted.untagged_vlan, row.untagged_vlan)
        && does_as_well(*wanted, id)
    {
        *wanted = id;
    }
    if let (Some(wanted), Some(ids)) = (&mut wanted.tagged_vlans, &row.tagged_vlans) {
        let kept = wanted.iter().map(|wanted| {
            let mut equals = ids.iter().filter(|id| does_as_well(*wanted, **id));
            let kept = ids.get(wanted).or_else(|| equals.next());
            *kept.unwrap_or(wanted)
        });
        *wanted = kept.collect();
    }
}

impl Pass for VmInterfaces {
    type Object = VmInterface;

    fn scope(facts: &Facts) -> Vec<Selection> {
        interface_selection(facts)
    }

    fn at_hand(facts: &Facts) -> Option<Vec<Stored<VmInterface>>> {
        Some(facts.known.network.interfaces.clone())
    }

    fn desired(facts: &Facts) -> Desired<VmInterface> {
        let ports = guest_ports(facts);
        let wanted = all_ports(&ports).map(|(guest, port)| {
            let machine = guest.bound.machine;
            let vlans = |vid| facts.ids.find::<Vlan>(&Vlan::key_of(vid, machine.site, machine.tenant));
            let mut interface = vm_interface(&port.nic, guest.bound.id, &port.name, &vlans);
            interface.machine_name = Some(guest.bound.label().to_owned());
            if facts.options.guests.sync_links {
                interface = with_link(interface, &port.nic, &vlans);
            }
            if is_free(facts, &port.nic) {
                (interface.mode, interface.untagged_vlan) = (Said::Empty, Said::Empty);
            }
            interface
        });
        Desired::by_key(wanted)
    }

    /// A VLAN is taken from an interface only where this service has put it there. Of several that would do an interface
    /// keeps the one that it is in.
    fn settle(
        facts: &Facts,
        mut desired: Desired<VmInterface>,
        actual: &[Stored<VmInterface>],
    ) -> Desired<VmInterface> {
        let vlans = facts.known.network.vlans.iter();
        let vlans: BTreeMap<ObjectId, &Vlan> = vlans.map(|stored| (stored.id, &stored.object)).collect();
        let is_ours = |id: &ObjectId| vlans.get(id).is_some_and(|vlan| vlan.tags.contains(PROXBOX_TAG));
        let has_ours = |interface: &VmInterface| {
            let is_mode = match interface.mode.value().map(String::as_str) {
                Some("access") => true,
                Some("tagged") => facts.options.guests.sync_links,
                _ => false,
            };
            let mut vlans = vlans_of(interface).peekable();
            is_mode && vlans.peek().is_some() && vlans.all(|vlan| is_ours(&vlan))
        };
        let rows: BTreeMap<String, &VmInterface> = actual
            .iter()
            .map(|stored| (stored.object.key(), &stored.object))
            .collect();
        for wanted in &mut desired.wanted {
            let interface = &mut wanted.object;
            let row = rows.get(&interface.key());
            if let Some(row) = row {
                keep_equals(facts, &vlans, interface, row);
            }
            if interface.mode == Said::Empty {
                if !row.is_some_and(|row| has_ours(row)) {
                    (interface.mode, interface.untagged_vlan) = (Said::Nothing, Said::Nothing);
                }
            } else if interface.untagged_vlan == Said::Empty {
                let untagged = row.and_then(|row| row.untagged_vlan.value());
                if !untagged.is_some_and(is_ours) {
                    interface.untagged_vlan = Said::Nothing;
                }
            }
        }
        desired
    }

    fn policy(facts: &Facts) -> Policy {
        Policy::with_mode(facts.options.modes.effective_interface())
            .update_if("tags", facts.options.overwrite.allows(Flag::VmInterfaceTags))
    }
}

#[cfg(test)]
pub(super) mod tests;
