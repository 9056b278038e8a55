//! The cluster, or the lone node, behind an endpoint.

use crate::proxmox::{Metadata, Mode};

/// Whether nodes form a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClusterMode {
    /// Nodes that form a cluster, be it of one.
    Cluster,
    /// A node on its own.
    Standalone,
}

impl ClusterMode {
    /// The word used in names and slugs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cluster => "cluster",
            Self::Standalone => "standalone",
        }
    }
}

/// A cluster and its members, online or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// Its name; a lone node's own name.
    pub name: String,
    /// Whether it is one.
    pub mode: ClusterMode,
    /// Its nodes, by name.
    pub nodes: Vec<Node>,
}

/// A member of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Whether the cluster sees it.
    pub is_online: bool,
}

/// The cluster that a session's metadata describes, its nodes sorted by name.
///
/// # Errors
///
/// The reason why the credentials may not see it.
pub fn cluster(metadata: &Metadata) -> Result<Cluster, String> {
    let (name, mode) = match &metadata.mode {
        Mode::Cluster { name, .. } => (name.clone(), ClusterMode::Cluster),
        Mode::Standalone { node } => (node.clone(), ClusterMode::Standalone),
        Mode::Limited { reason } => return Err(reason.clone()),
    };
    let rows = metadata.status.iter().filter(|row| row.is_node());
    let mut nodes: Vec<Node> = rows
        .filter_map(|row| {
            Some(Node {
                name: row.name.clone()?,
                is_online: row.online.unwrap_or_default(),
            })
        })
        .collect();
    nodes.sort_by(|left, right| left.name.cmp(&right.name));
    nodes.dedup_by(|left, right| left.name == right.name);
    Ok(Cluster { name, mode, nodes })
}
