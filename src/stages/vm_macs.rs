//! MAC addresses of virtual machines' interfaces. None is ever deleted: one that was changed stays, no longer primary.

use std::collections::{BTreeMap, BTreeSet};

use super::ports::{guest_ports, interface_of};
use super::vm_interfaces::{all_ports, interface_selection, of_machines};
use super::{Desired, Facts, Pass, Selection};
use crate::mapping::vm_interface::mac_address;
use crate::netbox::objects::{MacAddress, VmInterface};
use crate::reconcile::{Mode, ObjectId, Policy, Resource, Row, Stored, Wanted};

/// The MAC addresses.
#[derive(Debug)]
pub struct MacAddresses;
/// Which of an interface's MAC addresses is its primary one.
#[derive(Debug)]
pub struct PrimaryMacs;

/// MAC addresses of all virtual machines' interfaces, or of those that the request names.
pub fn mac_selection(facts: &Facts) -> Vec<Selection> {
    of_machines(facts, || {
        let all = Selection::with("assigned_object_type", "virtualization.vminterface");
        Some(all.below::<VmInterface>(facts.known.network.interface_ids()))
    })
}

fn mode(facts: &Facts) -> Mode {
    if facts.options.guests.sync_macs {
        facts.options.modes.effective_mac()
    } else {
        Mode::Disabled
    }
}

/// Each interface that stands and has a MAC address in its configuration.
fn macs(facts: &Facts) -> Vec<(VmInterface, ObjectId, MacAddress)> {
    let ports = guest_ports(facts);
    let macs = all_ports(&ports).filter_map(|(guest, port)| {
        let id = interface_of(facts, guest, port)?;
        let mac = mac_address(port.nic.mac.as_deref()?, id);
        let interface = VmInterface {
            machine_name: Some(guest.bound.label().to_owned()),
            ..VmInterface::of(guest.bound.id, &port.name)
        };
        Some((interface, id, mac))
    });
    macs.collect()
}

fn primaries(facts: &Facts) -> BTreeMap<ObjectId, Option<ObjectId>> {
    let known = facts.known.network.interfaces.iter();
    known
        .map(|stored| (stored.id, stored.object.primary_mac_address))
        .collect()
}

impl Pass for MacAddresses {
    type Object = MacAddress;

    fn scope(facts: &Facts) -> Vec<Selection> {
        mac_selection(facts)
    }

    fn at_hand(facts: &Facts) -> Option<Vec<Stored<MacAddress>>> {
        Some(facts.known.network.macs.clone())
    }

    fn desired(facts: &Facts) -> Desired<MacAddress> {
        Desired::by_key(macs(facts).into_iter().map(|(_, _, mac)| mac))
    }

    /// Of several rows with the same address on one interface the primary one is taken, else the oldest.
    fn settle(facts: &Facts, mut desired: Desired<MacAddress>, actual: &[Stored<MacAddress>]) -> Desired<MacAddress> {
        let primaries: BTreeSet<ObjectId> = primaries(facts).into_values().flatten().collect();
        let rank = |id: ObjectId| (!primaries.contains(&id), id);
        let mut best: BTreeMap<String, ObjectId> = BTreeMap::new();
        for stored in actual {
            let id = best.entry(stored.object.key()).or_insert(stored.id);
            if rank(stored.id) < rank(*id) {
                *id = stored.id;
            }
        }
        for wanted in &mut desired.wanted {
            if let Some(id) = best.get(&wanted.object.key()) {
                wanted.row = Row::Is(*id);
            }
        }
        desired
    }

    fn policy(facts: &Facts) -> Policy {
        Policy::with_mode(mode(facts))
    }
}

impl Pass for PrimaryMacs {
    type Object = VmInterface;

    fn scope(facts: &Facts) -> Vec<Selection> {
        interface_selection(facts)
    }

    /// The interfaces as they were read, and those that were made since.
    fn at_hand(facts: &Facts) -> Option<Vec<Stored<VmInterface>>> {
        let known: BTreeSet<ObjectId> = facts.known.network.interfaces.iter().map(|stored| stored.id).collect();
        let made = macs(facts).into_iter().filter(|(_, id, _)| !known.contains(id));
        let made = made.map(|(object, id, _)| Stored { id, object });
        Some(facts.known.network.interfaces.iter().cloned().chain(made).collect())
    }

    fn desired(facts: &Facts) -> Desired<VmInterface> {
        let primaries = primaries(facts);
        let is_free = |id: &ObjectId| primaries.get(id).copied().flatten().is_none();
        let wanted = macs(facts).into_iter().filter_map(|(interface, id, mac)| {
            let object = VmInterface {
                primary_mac_address: Some(facts.ids.find::<MacAddress>(&mac.key())?),
                ..interface
            };
            let row = Row::Is(id);
            (mode(facts) == Mode::Always || is_free(&id)).then_some(Wanted { object, row })
        });
        Desired {
            wanted: wanted.collect(),
            refused: Vec::new(),
            ..Desired::default()
        }
    }

    /// To give an interface that has none its first primary address is part of making it.
    fn policy(facts: &Facts) -> Policy {
        match mode(facts) {
            Mode::Disabled => Policy::with_mode(Mode::Disabled),
            Mode::Always | Mode::BootstrapOnly => Policy::default(),
        }
    }
}
