//! The snapshots of guests.

use super::fan_out::{Limits, fan_out};
use super::{Area, Collected, Gap, Guest, Inventory, Reader, Slot};
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
            |guest| async move {
                let read = read(reader, guest).await;
                if let Some(listener) = reader.listener {
                    listener.snapshots_read(guest.vmid, read.as_ref().ok().map(|(snapshots, _)| snapshots));
                }
                read
            },
        );
        for (_, answer) in answers.await {
            match answer {
                Ok((snapshots, odd)) => {
                    collected.items.push(snapshots);
                    collected.gaps.extend(odd);
                }
                Err(gap) => collected.gaps.push(gap),
            }
        }
        Ok(collected)
    }
}

/// The snapshots of a guest, and a gap for each row that cannot be understood.
async fn read(reader: &Reader<'_>, guest: &Guest) -> Result<(GuestSnapshots, Vec<Gap>), Gap> {
    let source = format!("snapshots of {}/{}", guest.kind, guest.vmid);
    let answer = reader.session.list_snapshots(&guest.node, guest.kind, guest.vmid).await;
    let rows = answer.map_err(|error| Gap::new(source.clone(), &error))?;
    let odd = rows.rejected.iter().map(|row| Gap::row(&source, row)).collect();
    let real = rows.items.into_iter().filter(|row| row.real_name().is_some());
    let snapshots = GuestSnapshots {
        vmid: guest.vmid,
        snapshots: real.collect(),
        is_complete: rows.rejected.is_empty(),
    };
    Ok((snapshots, odd))
}
