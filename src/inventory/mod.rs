//! What a run has read from Proxmox, with its gaps.
//!
//! An [`Area`] is one kind of thing to read; each has a collector of its own and reads only when a stage asks for it. A
//! *gap* is a source that could not be read, which is not the same as an empty one: nothing is retired where there is a
//! gap.

mod area;
mod backup_jobs;
mod backups;
mod cluster;
mod cluster_options;
mod containers;
mod fan_out;
mod guest_agents;
mod guest_configs;
mod guest_systems;
mod guests;
mod node_networks;
mod replications;
mod sdn;
mod snapshots;
mod storages;
mod tasks;

use std::fmt;

use crate::error::ErrorKind;
use crate::proxmox::{Capabilities, Error, RejectedRow};

pub use crate::proxmox::types::{
    BackupJob, GuestOs, NodeInterface, ReplicationJob, SdnController, SdnFabric, SdnNodeKind, SdnNodeRow, SdnPrefix,
    SdnRouteMapEntry, SdnSubnet, SdnVnet, SdnZone, StorageConfig, Verbatim,
};
pub use crate::proxmox::{
    GuestAddress, GuestConfig, GuestInterface, GuestKind, Nic, Property, Snapshot, Task, Vmid, Volume, canonical_mac,
};
pub use area::{Area, Inventory, Listener, Reader, Slot};
pub use backup_jobs::BackupJobs;
pub use backups::{Backups, StorageBackups};
pub use cluster::{Cluster, ClusterMode, Node, cluster};
pub use cluster_options::ClusterOptions;
pub use containers::{Container, Containers};
pub use guest_agents::{AgentAnswer, GuestAgent, GuestAgents};
pub use guest_configs::{ConfiguredGuest, GuestConfigs};
pub use guest_systems::{GuestSystem, GuestSystems};
pub use guests::{Guest, Guests};
pub use node_networks::{NodeNetwork, NodeNetworks};
pub use replications::Replications;
pub use sdn::{Sdn, SdnList, SdnNetworks};
pub use snapshots::{GuestSnapshots, Snapshots};
pub use storages::Storages;
pub use tasks::{RecordedTasks, TaskEnding, Tasks};

/// What was read in one area.
#[derive(Debug, Clone, PartialEq)]
pub struct Collected<T> {
    /// What could be read.
    pub items: Vec<T>,
    /// What could not.
    pub gaps: Vec<Gap>,
}

impl<T> Default for Collected<T> {
    fn default() -> Self {
        Self {
            items: Vec::new(),
            gaps: Vec::new(),
        }
    }
}

impl<T> Collected<T> {
    /// What credentials get of an area that they may not see at all; `None` where `error` says something else.
    pub fn refused(error: &Error) -> Option<Self> {
        let Error::PermissionDenied { answer, .. } = error else {
            return None;
        };
        Some(Self {
            items: Vec::new(),
            gaps: vec![Gap::new(&answer.call, error)],
        })
    }

    /// Whether everything that there is was read.
    pub fn is_complete(&self) -> bool {
        self.gaps.is_empty()
    }
}

/// What is wrong with a node that is not online.
const OFFLINE: &str = "the node is offline";

/// A source that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// Which source: a path, a node, a storage, or a row.
    pub source: String,
    /// What kind of failure it was.
    pub kind: ErrorKind,
    /// What was wrong, for a person.
    pub message: String,
}

impl Gap {
    /// `source` could not be read because of `error`.
    pub fn new(source: impl Into<String>, error: &Error) -> Self {
        Self {
            source: source.into(),
            kind: error.kind(),
            message: error.to_string(),
        }
    }

    /// A row of a list that could not be understood; `noun` is what it should have been.
    pub fn row(noun: &str, row: &RejectedRow) -> Self {
        Self {
            source: format!("{noun} {}", row.id.as_deref().unwrap_or("without an id")),
            kind: ErrorKind::Validation,
            message: row.reason.clone(),
        }
    }

    /// Rows of `source` may have been left out: Proxmox says nothing of those that the identity may not see. `message` says
    /// what they are and what it lacks; where its rights could not be read, nobody knows whether it does.
    fn hidden(source: impl Into<String>, capabilities: &Capabilities, message: &str) -> Self {
        let source = source.into();
        if capabilities.known {
            return Self {
                source,
                kind: ErrorKind::Permission,
                message: message.to_owned(),
            };
        }
        Self {
            source,
            kind: ErrorKind::Unknown,
            message: format!("the rights of these credentials could not be read, and {message}"),
        }
    }

    /// The node `node` is not online, so nothing was asked of it.
    pub fn offline(node: &str) -> Self {
        Self {
            source: format!("node {node}"),
            kind: ErrorKind::Connection,
            message: OFFLINE.to_owned(),
        }
    }

    /// Whether it is a node that is not online.
    pub fn is_offline_node(&self) -> bool {
        self.message == OFFLINE
    }
}

impl fmt::Display for Gap {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.source, self.message)
    }
}

#[cfg(test)]
mod tests;
