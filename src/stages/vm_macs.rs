//! MAC addresses of virtual machines' interfaces. None is ever deleted: one that was changed stays, no longer primary.
//!
//! An interface tells its primary address itself. Where that is the guest's and bears our tag nothing is left to do, and
//! its row is not read: of a large estate only the few rows without the tag are.

use std::collections::{BTreeMap, BTreeSet};

use super::ports::{guest_ports, interface_of};
use super::vm_interfaces::{all_ports, interface_selection, of_machines};
use super::{Desired, Facts, Pass, Selection};
use crate::mapping::vm_interface::mac_address;
use crate::netbox::ids::Ids;
use crate::netbox::objects::{MacAddress, PROXBOX_TAG, Tag, VmInterface};
use crate::reconcile::{Mode, ObjectId, Policy, Resource, Row, Stored, Wanted};

/// The MAC addresses.
#[derive(Debug)]
pub struct MacAddresses;
/// Which of an interface's MAC addresses is its primary one.
#[derive(Debug)]
pub struct PrimaryMacs;

/// Of how many interfaces one may lack its address so that the addresses of those alone are read.
const FEW: usize = 10;
const HOLDER: &str = "virtualization.vminterface";

/// MAC addresses of virtual machines' interfaces that do not bear our tag.
pub fn untagged_selection(facts: &Facts) -> Vec<Selection> {
    if mode(facts) == Mode::Disabled {
        return Vec::new();
    }
    let mut selections = of_machines(facts, || Some(Selection::with("assigned_object_type", HOLDER)));
    for selection in &mut selections {
        selection.filters.push(("tag__n", PROXBOX_TAG.to_owned()));
    }
    let below = |selection: Selection| selection.below::<VmInterface>(facts.known.network.interface_ids());
    selections.into_iter().map(below).collect()
}

/// MAC addresses of the virtual machines' interfaces that do not have theirs yet, perhaps those of others too.
pub fn mac_selection(facts: &Facts) -> Vec<Selection> {
    let lacking: Vec<ObjectId> = lacking(facts).map(|(_, id, _)| id).collect();
    if lacking.is_empty() {
        return Vec::new();
    }
    let known = &facts.known.network;
    if lacking.len() * FEW < known.interfaces.len() {
        return vec![Selection::any_of("vminterface_id", &lacking).below::<VmInterface>(lacking)];
    }
    of_machines(facts, || {
        let all = Selection::with("assigned_object_type", HOLDER);
        Some(all.below::<VmInterface>(known.interface_ids()))
    })
}

fn mode(facts: &Facts) -> Mode {
    if facts.options.guests.sync_macs && !facts.known.is_unread::<MacAddress>() {
        facts.options.modes.effective_mac()
    } else {
        Mode::Disabled
    }
}

/// Each interface that stands and has a MAC address in its configuration; none where those are not wanted.
fn macs(facts: &Facts) -> Vec<(VmInterface, ObjectId, MacAddress)> {
    if mode(facts) == Mode::Disabled {
        return Vec::new();
    }
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

/// Those whose primary address is another one, or none, or does not bear our tag.
fn lacking(facts: &Facts) -> impl Iterator<Item = (VmInterface, ObjectId, MacAddress)> {
    let known = &facts.known.network;
    // Where a dry run would only make our tag, nothing bears it.
    let is_tag_new = facts.ids.find::<Tag>(PROXBOX_TAG).is_some_and(Ids::is_provisional);
    let untagged: BTreeSet<ObjectId> = known.untagged_macs.iter().map(|stored| stored.id).collect();
    let primaries = known.interfaces.iter().filter_map(|stored| {
        let primary = stored.object.primary_mac_address?;
        if is_tag_new || untagged.contains(&primary) {
            return None;
        }
        Some((stored.id, stored.object.primary_mac.as_deref()?))
    });
    let primaries: BTreeMap<ObjectId, &str> = primaries.collect();
    let has = move |id: &ObjectId, mac: &MacAddress| primaries.get(id) == Some(&mac.mac_address.as_str());
    macs(facts).into_iter().filter(move |(_, id, mac)| !has(id, mac))
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
        Desired::by_key(lacking(facts).map(|(_, _, mac)| mac))
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
        let wanted = lacking(facts).filter_map(|(interface, id, mac)| {
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
