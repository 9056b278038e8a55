//! The snapshots of guests.

use std::collections::BTreeSet;

use super::fan_out::fan_out;
use super::{Area, Collected, Gap, Guests, Inventory, Reader, Slot};
use crate::proxmox::{Error, Snapshot, Vmid};

/// The snapshots of guests.
#[derive(Debug)]
pub struct Snapshots;

/// The snapshots of one guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuestSnapshots {
    /// The guest's number.
    pub vmid: Vmid,
    /// Its snapshots; the row that stands for the guest as it is now is left out.
    pub snapshots: Vec<Snapshot>,
    /// Whether these are all: what is not among them is gone.
    pub is_complete: bool,
}

impl Area for Snapshots {
    type Item = GuestSnapshots;

    fn slot(inventory: &Inventory) -> &Slot<GuestSnapshots> {
        &inventory.snapshots
    }

    fn slot_mut(inventory: &mut Inventory) -> &mut Slot<GuestSnapshots> {
        &mut inventory.snapshots
    }

    /// Reads one list per guest of [`Guests`], in the order of their numbers; a node that is offline is one gap and is
    /// not asked, a guest whose list cannot be read is a gap of its own.
    async fn collect(reader: &Reader<'_>) -> Result<Collected<GuestSnapshots>, Error> {
        let guests = reader.inventory.items::<Guests>();
        let (offline, reachable): (Vec<_>, Vec<_>) = guests
            .iter()
            .filter(|guest| reader.wants(guest.vmid))
            .partition(|guest| reader.is_offline(&guest.node));
        let offline: BTreeSet<&str> = offline.iter().map(|guest| guest.node.as_str()).collect();
        let mut collected = Collected {
            items: Vec::with_capacity(reachable.len()),
            gaps: offline.into_iter().map(Gap::offline).collect(),
        };
        let answers = fan_out(reachable, reader.concurrency, |guest| {
            reader.session.list_snapshots(&guest.node, guest.kind, guest.vmid)
        });
        for (guest, answer) in answers.await {
            let source = format!("snapshots of {}/{}", guest.kind, guest.vmid);
            let rows = match answer {
                Ok(rows) => rows,
                Err(error) => {
                    collected.gaps.push(Gap::new(source, &error));
                    continue;
                }
            };
            let odd = rows.rejected.iter().map(|row| Gap::row(&source, row));
            collected.gaps.extend(odd);
            let real = rows.items.into_iter().filter(|row| row.real_name().is_some());
            collected.items.push(GuestSnapshots {
                vmid: guest.vmid,
                snapshots: real.collect(),
                is_complete: rows.rejected.is_empty(),
            });
        }
        Ok(collected)
    }
}
