//! The plugin's rows of what guests see of their interfaces. They are never deleted.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::guests::bindings;
use super::ports::{guest_ports, interface_of};
use super::{Desired, Facts, InterfaceNaming, Pass, Selection};
use crate::mapping::guest_interface::guest_vm_interface;
use crate::netbox::objects::{GuestVmInterface, PROXBOX_TAG, Said, VirtualMachine};
use crate::reconcile::{Mode, ObjectId, Policy, Resource, Row, Stored, Wanted};

/// Takes an interface from the row that has it, so that another row can have it: each is of one row at most, and NetBox
/// looks at each change for itself.
#[derive(Debug)]
pub struct GuestInterfaceReleases;
/// The rows.
#[derive(Debug)]
pub struct GuestInterfaces;

/// The rows of the virtual machines that stand for guests, or of those that the request names.
pub fn guest_interface_selection(facts: &Facts) -> Vec<Selection> {
    let machines: Vec<ObjectId> = bindings(facts).bound.iter().map(|bound| bound.id).collect();
    if facts.options.guests.only.is_some() {
        return vec![Selection::any_of("virtual_machine_id", machines)];
    }
    let selection = Selection::related_to("virtual_machine_id", "virtual_machine", &machines);
    vec![selection.below::<VirtualMachine>(machines)]
}

pub(super) fn mode(facts: &Facts) -> Mode {
    match facts.options.guests.naming {
        InterfaceNaming::GuestOsModel => facts.options.modes.effective_interface(),
        InterfaceNaming::LegacyRename => Mode::Disabled,
    }
}

/// The virtual machines whose rows may be changed, not only made.
fn followed(facts: &Facts) -> BTreeSet<ObjectId> {
    let bound = bindings(facts).bound.into_iter();
    let followed = bound.filter(|_| mode(facts) == Mode::Always);
    followed.map(|bound| bound.id).collect()
}

fn rows(facts: &Facts) -> Vec<GuestVmInterface> {
    let mut rows = Vec::new();
    for guest in guest_ports(facts) {
        for (interface, port) in guest.mapped() {
            let mapped = port.and_then(|port| interface_of(facts, &guest, port));
            let row = guest_vm_interface(interface, guest.bound.id, mapped);
            // An interface that NetBox should have and has not may get its row another time.
            rows.extend(row.map(|row| GuestVmInterface {
                machine_name: Some(guest.bound.label().to_owned()),
                vm_interface: if port.is_some() && mapped.is_none() {
                    Said::Nothing
                } else {
                    row.vm_interface
                },
                ..row
            }));
        }
    }
    leave_to_holders(facts, &mut rows);
    rows
}

/// Claims no interface that a stored row has for good: one that is neither ours nor one of `rows`, or that may not be changed.
fn leave_to_holders(facts: &Facts, rows: &mut [GuestVmInterface]) {
    let followed = followed(facts);
    let wanted: HashSet<String> = rows.iter().map(Resource::key).collect();
    let stored = facts.known.network.guest_interfaces.iter();
    let is_ours = |row: &GuestVmInterface| row.tags.contains(PROXBOX_TAG) || wanted.contains(&row.key());
    let foreign = stored
        .map(|stored| &stored.object)
        .filter(|row| !followed.contains(&row.virtual_machine) || !is_ours(row));
    let held: HashSet<ObjectId> = foreign.filter_map(|row| row.vm_interface.value().copied()).collect();
    for row in rows {
        if row
            .vm_interface
            .value()
            .is_some_and(|interface| held.contains(interface))
        {
            row.vm_interface = Said::Nothing;
        }
    }
}

/// The interface that each row is once the pass has run, by the row's key.
pub(super) fn mappings(facts: &Facts) -> HashMap<String, ObjectId> {
    let stored = facts.known.network.guest_interfaces.iter();
    let stored: HashMap<String, &GuestVmInterface> = stored.map(|row| (row.object.key(), &row.object)).collect();
    let followed = followed(facts);
    let rows = rows(facts).into_iter();
    let mapped = rows.filter_map(|row| {
        let key = row.key();
        let told = row.vm_interface.value();
        let interface = match stored.get(&key).map(|stored| stored.vm_interface.value()) {
            None => told,
            Some(stands) if followed.contains(&row.virtual_machine) => told.or(stands),
            Some(stands) => stands,
        };
        Some((key, *interface?))
    });
    mapped.collect()
}

impl Pass for GuestInterfaceReleases {
    type Object = GuestVmInterface;

    fn scope(facts: &Facts) -> Vec<Selection> {
        guest_interface_selection(facts)
    }

    fn at_hand(facts: &Facts) -> Option<Vec<Stored<GuestVmInterface>>> {
        Some(facts.known.network.guest_interfaces.clone())
    }

    fn desired(_: &Facts) -> Desired<GuestVmInterface> {
        Desired::default()
    }

    fn settle(
        facts: &Facts,
        mut desired: Desired<GuestVmInterface>,
        actual: &[Stored<GuestVmInterface>],
    ) -> Desired<GuestVmInterface> {
        let rows = rows(facts).into_iter();
        let takers: BTreeMap<ObjectId, String> = rows
            .filter_map(|row| Some((*row.vm_interface.value()?, row.key())))
            .collect();
        for stored in actual {
            let holds = stored.object.vm_interface.value();
            let taker = holds.and_then(|interface| takers.get(interface));
            if taker.is_some_and(|taker| *taker != stored.object.key()) {
                desired.wanted.push(Wanted {
                    object: released(&stored.object),
                    row: Row::Is(stored.id),
                });
            }
        }
        desired
    }

    fn policy(facts: &Facts) -> Policy {
        Policy::with_mode(mode(facts))
    }
}

/// Says of a row only that it is no interface.
fn released(row: &GuestVmInterface) -> GuestVmInterface {
    GuestVmInterface {
        virtual_machine: row.virtual_machine,
        machine_name: row.machine_name.clone(),
        name: row.name.clone(),
        vm_interface: Said::Empty,
        mac_address: None,
        enabled: None,
        mtu: Said::Nothing,
        tags: BTreeSet::new(),
    }
}

impl Pass for GuestInterfaces {
    type Object = GuestVmInterface;

    fn scope(facts: &Facts) -> Vec<Selection> {
        guest_interface_selection(facts)
    }

    fn at_hand(facts: &Facts) -> Option<Vec<Stored<GuestVmInterface>>> {
        Some(facts.known.network.guest_interfaces.clone())
    }

    fn desired(facts: &Facts) -> Desired<GuestVmInterface> {
        Desired::by_key(rows(facts))
    }

    fn policy(facts: &Facts) -> Policy {
        Policy::with_mode(mode(facts))
    }
}
