//! What a run has read from Proxmox, with its gaps.
//!
//! A *gap* is a source that could not be read, which is not the same as an empty one: nothing is retired where there is
//! a gap.

mod cluster;
mod storages;

use std::fmt;

use crate::error::ErrorKind;

pub use crate::proxmox::types::StorageConfig;
pub use cluster::{Cluster, ClusterMode, Node, cluster};
pub use storages::collect as collect_storages;

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
    /// Whether everything that there is was read.
    pub fn is_complete(&self) -> bool {
        self.gaps.is_empty()
    }
}

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

impl fmt::Display for Gap {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.source, self.message)
    }
}
