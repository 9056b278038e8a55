//! Snapshots of guests.
//!
//! NetBox holds one row per guest number, name and node, whatever the virtual machine and the endpoint. Two guests that
//! agree in all three cannot both be shown: the row that stands keeps its owner. Those of guests that the modes leave out
//! are left alone.

use std::collections::{BTreeMap, BTreeSet};

use super::guests::{bindings, kept_machines, of_guests, own_machines};
use super::{Desired, Facts, Part, Pass, Selection};
use crate::mapping::snapshot::{SnapshotOwner, snapshot};
use crate::netbox::objects::Snapshot;
use crate::reconcile::{ObjectId, Resource, Retire, Row, Stored, Wanted};

/// The snapshots of the guests that virtual machines stand for.
#[derive(Debug)]
pub struct Snapshots;

/// Virtual machines of whose guest all snapshots were read, and whose mode lets what is gone be deleted.
pub fn proven(facts: &Facts) -> BTreeSet<ObjectId> {
    let bindings = bindings(facts);
    let is_complete = |vmid| {
        let found = facts.inventory.snapshots_of(vmid);
        found.is_some_and(|found| found.is_complete)
    };
    let complete = bindings
        .handled()
        .filter(|bound| bound.guest.is_some() && !bound.is_kept() && is_complete(bound.vmid));
    complete.map(|bound| bound.id).collect()
}

/// How many virtual machines' snapshots are not known for sure.
pub fn unproven(facts: &Facts) -> usize {
    let bindings = bindings(facts);
    let known = bindings.handled().filter(|bound| !bound.is_kept()).count();
    known.saturating_sub(facts.known.proven.len())
}

/// The stored rows, by what they are found by.
struct Rows<'a> {
    /// By what NetBox holds only once.
    by_place: BTreeMap<(u32, &'a str, &'a str), &'a Stored<Snapshot>>,
    /// By virtual machine, guest number and name, oldest first: more than one after the guest has moved.
    by_name: BTreeMap<(ObjectId, u32, &'a str), Vec<&'a Stored<Snapshot>>>,
}

impl<'a> Rows<'a> {
    fn new(actual: &'a [Stored<Snapshot>]) -> Self {
        let mut rows = Self {
            by_place: BTreeMap::new(),
            by_name: BTreeMap::new(),
        };
        for stored in actual {
            let row = &stored.object;
            rows.by_place.insert((row.vmid, &row.name, &row.node), stored);
            let name = (row.virtual_machine, row.vmid, row.name.as_str());
            rows.by_name.entry(name).or_default().push(stored);
        }
        for several in rows.by_name.values_mut() {
            several.sort_by_key(|stored| stored.id);
        }
        rows
    }

    /// The row of another virtual machine that stands where `wanted` belongs.
    fn occupant(&self, wanted: &Snapshot) -> Option<&'a Stored<Snapshot>> {
        let there = self.by_place.get(&(wanted.vmid, &wanted.name, &wanted.node)).copied();
        there.filter(|stored| stored.object.virtual_machine != wanted.virtual_machine)
    }

    /// The row of the snapshot itself: on its node, else where the guest was before.
    fn own(&self, wanted: &Snapshot) -> Option<&'a Stored<Snapshot>> {
        let name = (wanted.virtual_machine, wanted.vmid, wanted.name.as_str());
        let several = self.by_name.get(&name)?;
        let here = several.iter().find(|stored| stored.object.node == wanted.node);
        here.or(several.first()).copied()
    }
}

fn is_ours(facts: &Facts, stored: &Stored<Snapshot>) -> bool {
    facts.known.proven.contains(&stored.object.virtual_machine)
}

impl Pass for Snapshots {
    type Object = Snapshot;

    /// Those of the guests' numbers: what stands where a snapshot belongs may be another endpoint's.
    fn scope(facts: &Facts) -> Vec<Selection> {
        vec![of_guests(facts)]
    }

    fn desired(facts: &Facts) -> Desired<Snapshot> {
        let bindings = bindings(facts);
        let only = &facts.options.only;
        let mut objects = Vec::new();
        for bound in bindings.handled() {
            let (Some(guest), Some(found)) = (bound.guest, facts.inventory.snapshots_of(bound.vmid)) else {
                continue;
            };
            let owner = SnapshotOwner {
                machine: bound.id,
                vmid: bound.vmid,
                kind: bound.kind,
                node: &guest.node,
            };
            let rows = found.snapshots.iter();
            let wanted = rows.filter(|row| row.real_name().is_some_and(|name| only.takes(Part::Snapshot, name)));
            objects.extend(wanted.filter_map(|row| snapshot(row, owner)));
        }
        Desired::by_key(objects)
    }

    fn settle(facts: &Facts, desired: Desired<Snapshot>, actual: &[Stored<Snapshot>]) -> Desired<Snapshot> {
        let rows = Rows::new(actual);
        let mut settled = Desired {
            wanted: Vec::with_capacity(desired.wanted.len()),
            ..desired
        };
        for Wanted { mut object, .. } in desired.wanted {
            let (own, occupant) = (rows.own(&object), rows.occupant(&object));
            let row = own.map_or(Row::New, |stored| Row::Is(stored.id));
            if let Some(occupant) = occupant {
                let reason = format!(
                    "NetBox holds one snapshot per guest number, name and node, and there stands that of virtual machine {}",
                    occupant.object.virtual_machine
                );
                let Some(own) = own else {
                    settled.refuse(object.label(), reason);
                    continue;
                };
                settled.warnings.push(format!(
                    "snapshot {} cannot move to {}: {reason}",
                    object.label(),
                    object.node
                ));
                object.node.clone_from(&own.object.node);
            }
            settled.wanted.push(Wanted { object, row });
        }
        let kept = kept_machines(facts);
        settled.keep(actual, |snapshot| kept.contains(&snapshot.virtual_machine));
        settled
    }

    fn count_ours(facts: &Facts, actual: &[Stored<Snapshot>]) -> usize {
        actual.iter().filter(|stored| is_ours(facts, stored)).count()
    }

    fn all_ours(all: &Facts) -> Option<Selection> {
        Some(of_guests(all))
    }

    fn count_all(all: &Facts, rows: &[Stored<Snapshot>]) -> usize {
        let own = own_machines(all);
        let owners = rows.iter().map(|stored| stored.object.virtual_machine);
        owners.filter(|owner| own.contains(owner)).count()
    }

    fn retire(facts: &Facts, stored: &Stored<Snapshot>) -> Retire {
        let is_gone = facts.options.guests.delete_missing_snapshots && is_ours(facts, stored);
        if is_gone { Retire::Delete } else { Retire::Keep }
    }
}
