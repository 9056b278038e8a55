//! Backup jobs.

use super::{Area, BackupJob, Collected, Gap, Inventory, Reader, Slot};
use crate::proxmox::Error;

/// The backup jobs of a cluster.
#[derive(Debug)]
pub struct BackupJobs;

impl Area for BackupJobs {
    type Item = BackupJob;

    fn slot(inventory: &Inventory) -> &Slot<BackupJob> {
        &inventory.backup_jobs
    }

    fn slot_mut(inventory: &mut Inventory) -> &mut Slot<BackupJob> {
        &mut inventory.backup_jobs
    }

    /// Reads every job: one request, which is refused to credentials that may not see all of them.
    async fn collect(reader: &Reader<'_>) -> Result<Collected<BackupJob>, Error> {
        let rows = reader.session.list_backup_jobs().await?;
        Ok(Collected {
            items: rows.items,
            gaps: rows.rejected.iter().map(|row| Gap::row("backup job", row)).collect(),
        })
    }
}
