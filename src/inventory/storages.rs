//! Storage definitions.

use super::{Area, Collected, Gap, Inventory, Reader, Slot, StorageConfig};
use crate::proxmox::Error;

/// The storage definitions of a cluster.
#[derive(Debug)]
pub struct Storages;

impl Area for Storages {
    type Item = StorageConfig;

    fn slot(inventory: &Inventory) -> &Slot<StorageConfig> {
        &inventory.storages
    }

    fn slot_mut(inventory: &mut Inventory) -> &mut Slot<StorageConfig> {
        &mut inventory.storages
    }

    /// Reads every definition: one request, whose rows are complete. A row that cannot be understood is a gap;
    /// credentials that may not see all storages make one too.
    async fn collect(reader: &Reader<'_>) -> Result<Collected<StorageConfig>, Error> {
        let rows = reader.session.list_storages().await?;
        let mut gaps: Vec<Gap> = rows.rejected.iter().map(|row| Gap::row("storage", row)).collect();
        let capabilities = &reader.session.metadata().await?.capabilities;
        if !capabilities.sees_all_storages() {
            gaps.push(Gap::hidden(
                "storage",
                capabilities,
                "storages without Datastore.Audit are not visible to these credentials",
            ));
        }
        Ok(Collected {
            items: rows.items,
            gaps,
        })
    }
}
