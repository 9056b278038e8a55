//! Storage definitions.

use super::{Collected, Gap};
use crate::error::ErrorKind;
use crate::proxmox::types::StorageConfig;
use crate::proxmox::{Error, Session};

/// Reads every storage definition of a cluster: one request, whose rows are complete.
///
/// A row that cannot be understood is a gap. Credentials that may not see all storages make one too.
///
/// # Errors
///
/// [`Error`] where the list cannot be read.
pub async fn collect(session: &Session) -> Result<Collected<StorageConfig>, Error> {
    let rows = session.list_storages().await?;
    let mut gaps: Vec<Gap> = rows
        .rejected
        .iter()
        .map(|row| Gap {
            source: format!("storage {}", row.id.as_deref().unwrap_or("without an id")),
            kind: ErrorKind::Validation,
            message: row.reason.clone(),
        })
        .collect();
    let capabilities = &session.metadata().await?.capabilities;
    if capabilities.known && !capabilities.sees_all_storages() {
        gaps.push(Gap {
            source: "storage".to_owned(),
            kind: ErrorKind::Permission,
            message: "storages without Datastore.Audit are not visible to these credentials".to_owned(),
        });
    }
    Ok(Collected {
        items: rows.items,
        gaps,
    })
}
