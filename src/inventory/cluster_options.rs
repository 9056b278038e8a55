//! The cluster's options.

use super::{Area, Collected, Gap, Inventory, Reader, Slot};
use crate::proxmox::Error;
use crate::proxmox::types;

/// The cluster's options: how tags look.
#[derive(Debug)]
pub struct ClusterOptions;

impl Area for ClusterOptions {
    type Item = types::ClusterOptions;

    fn slot(inventory: &Inventory) -> &Slot<types::ClusterOptions> {
        &inventory.cluster_options
    }

    fn slot_mut(inventory: &mut Inventory) -> &mut Slot<types::ClusterOptions> {
        &mut inventory.cluster_options
    }

    /// Reads `cluster/options`: one request. Nothing else depends on it, so a failure is a gap.
    async fn collect(reader: &Reader<'_>) -> Result<Collected<types::ClusterOptions>, Error> {
        let mut collected = Collected::default();
        match reader.session.cluster_options().await {
            Ok(options) => collected.items.push(options),
            Err(error) => collected.gaps.push(Gap::new("cluster/options", &error)),
        }
        Ok(collected)
    }
}
