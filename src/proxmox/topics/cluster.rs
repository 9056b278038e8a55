//! One row of what the cluster tells of itself.

use std::sync::Arc;

use serde::de::Error as _;

use crate::proxmox::types::{ClusterResource, ClusterStatus};
use crate::proxmox::{Error, GuestKind, Rows, Session, Vmid};

impl Session {
    /// The row of `cluster/status` that is the node `name`; `None` where the cluster has no such node. Needs Sys.Audit
    /// on `/`.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange; [`Error::Decode`] where a row that could be the node cannot be read.
    pub async fn find_node_status(&self, name: &str) -> Result<Option<ClusterStatus>, Error> {
        let rows = self.cluster_status().await?;
        only(rows, "cluster/status", |row| {
            row.is_node() && row.name.as_deref() == Some(name)
        })
    }

    /// The row of `cluster/resources` that is a guest, wherever it is; `None` where the identity sees no such guest.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange; [`Error::Decode`] where a row that could be the guest cannot be read.
    pub async fn find_guest(&self, kind: GuestKind, vmid: Vmid) -> Result<Option<ClusterResource>, Error> {
        let rows = self.cluster_resources(Some("vm")).await?;
        only(rows, "cluster/resources", |row| {
            row.kind.guest() == Some(kind) && row.vmid == Some(vmid)
        })
    }
}

/// The row that `is_it`. It is absent only where every row could be read.
fn only<T>(rows: Rows<T>, path: &str, is_it: impl Fn(&T) -> bool) -> Result<Option<T>, Error> {
    let found = rows.items.into_iter().find(is_it);
    match rows.rejected.first() {
        Some(row) if found.is_none() => Err(Error::Decode {
            call: format!("GET {path}"),
            source: Arc::new(serde_json::Error::custom(&row.reason)),
        }),
        _ => Ok(found),
    }
}
