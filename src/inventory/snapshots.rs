//! The snapshots of guests.

use super::fan_out::{Limits, fan_out};
use super::{Area, Collected, Gap, Inventory, Reader, Slot};
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

    /// Reads one list per guest of [`Guests`](super::Guests), in the order of their numbers; a node that is offline is one gap and is
    /// not asked, a guest whose list cannot be read is a gap of its own.
    async fn collect(reader: &Reader<'_>) -> Result<Collected<GuestSnapshots>, Error> {
        let (reachable, gaps) = reader.reachable_guests();
        let mut collected = Collected {
            items: Vec::with_capacity(reachable.len()),
            gaps,
        };
        let answers = fan_out(
            reachable,
            Limits::of(reader),
            |guest| &guest.node,
            |guest| reader.session.list_snapshots(&guest.node, guest.kind, guest.vmid),
        );
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
