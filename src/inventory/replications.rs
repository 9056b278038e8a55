//! Replication jobs.

use super::{Area, Collected, Gap, Inventory, Reader, ReplicationJob, Slot};
use crate::proxmox::Error;

/// The replication jobs of a cluster.
#[derive(Debug)]
pub struct Replications;

impl Area for Replications {
    type Item = ReplicationJob;

    fn slot(inventory: &Inventory) -> &Slot<ReplicationJob> {
        &inventory.replications
    }

    fn slot_mut(inventory: &mut Inventory) -> &mut Slot<ReplicationJob> {
        &mut inventory.replications
    }

    /// Reads every job: one request. Jobs of guests that the credentials may not see are left out by Proxmox without a
    /// word, so such credentials make a gap.
    async fn collect(reader: &Reader<'_>) -> Result<Collected<ReplicationJob>, Error> {
        let rows = reader.session.list_replications().await?;
        let mut gaps: Vec<Gap> = rows.rejected.iter().map(|row| Gap::row("replication", row)).collect();
        let capabilities = &reader.session.metadata().await?.capabilities;
        if !capabilities.sees_all_guests() {
            gaps.push(Gap::hidden(
                "replications",
                capabilities,
                "jobs of guests without VM.Audit are not visible to these credentials",
            ));
        }
        Ok(Collected {
            items: rows.items,
            gaps,
        })
    }
}
