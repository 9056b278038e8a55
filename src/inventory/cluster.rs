//! The cluster, or the lone node, behind an endpoint.

use super::Gap;
use crate::error::ErrorKind;
use crate::proxmox::{ClusterStatus, Metadata, Mode};

/// Where Proxmox tells of the cluster.
const SOURCE: &str = "cluster/status";

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
    /// The id of its row in `cluster/status`; a lone node has no such row.
    pub id: Option<String>,
    /// Its nodes, by name.
    pub nodes: Vec<Node>,
    /// What hides its name and mode from the credentials, so that they are assumed, or what keeps a member from being known;
    /// `None`: nothing. Where there is something, nothing is retired.
    pub hidden: Option<Gap>,
}

/// A member of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Whether the cluster sees it.
    pub is_online: bool,
}

impl Node {
    fn of(row: &ClusterStatus) -> Option<Self> {
        let name = row.is_node().then(|| row.name.clone()).flatten()?;
        Some(Self {
            name,
            is_online: row.online.unwrap_or_default(),
        })
    }
}

/// The cluster that a session's metadata describes, its nodes sorted by name. Credentials that may not see its name get
/// the one it had when it was last seen, else `assumed`; credentials that may not see its mode, the one that the number of
/// nodes suggests. A row that may be a member's and cannot be read stands for none.
///
/// # Errors
///
/// What hides the cluster, where its nodes are hidden too or the credentials may see nothing at all.
pub fn cluster(metadata: &Metadata, assumed: &str) -> Result<Cluster, String> {
    let mut nodes: Vec<Node> = metadata.status.iter().filter_map(Node::of).collect();
    nodes.sort_by(|left, right| left.name.cmp(&right.name));
    nodes.dedup_by(|left, right| left.name == right.name);
    let (mode, hidden) = match &metadata.mode {
        Mode::Cluster { .. } => (ClusterMode::Cluster, unclear(metadata)),
        Mode::Standalone { .. } => (ClusterMode::Standalone, None),
        Mode::Limited { reason, is_denied } if !is_denied || metadata.capabilities.is_nothing() => {
            return Err(reason.clone());
        }
        Mode::Limited { reason, .. } => {
            let gap = Gap {
                source: SOURCE.to_owned(),
                kind: ErrorKind::Permission,
                message: format!("{reason}; nothing is retired"),
            };
            let mode = if nodes.len() > 1 {
                ClusterMode::Cluster
            } else {
                ClusterMode::Standalone
            };
            (mode, Some(gap))
        }
    };
    let row = metadata.status.iter().find(|row| row.is_cluster());
    Ok(Cluster {
        name: metadata.name().unwrap_or(assumed).to_owned(),
        mode,
        id: row.and_then(|row| row.id.clone()),
        nodes,
        hidden,
    })
}

/// That some members may not be known.
fn unclear(metadata: &Metadata) -> Option<Gap> {
    let reasons = metadata.unclear_members();
    (!reasons.is_empty()).then(|| Gap {
        source: SOURCE.to_owned(),
        kind: ErrorKind::Validation,
        message: format!("{}; nothing is retired", reasons.join("; ")),
    })
}
