//! Why an endpoint's part of a run failed.

use crate::error::ErrorKind;
use crate::netbox;
use crate::proxmox::{self, Vmid};
use crate::reconcile::Shrink;
use crate::stages::claim::Ambiguity;

/// The reason of [`Error::Selection`].
pub(super) const UNRESOLVED: &str = "guest_not_resolved";

/// Why an endpoint's part of a run failed as a whole.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Proxmox could not be read.
    #[error(transparent)]
    Proxmox(#[from] proxmox::Error),
    /// The endpoint's settings allow no session.
    #[error("{message}")]
    Unusable {
        /// The kind of fault.
        kind: ErrorKind,
        /// Its machine-readable reason.
        reason: &'static str,
        /// What is wrong.
        message: String,
    },
    /// NetBox could not be read or written.
    #[error(transparent)]
    NetBox(#[from] netbox::Error),
    /// The plan would retire too much.
    #[error(transparent)]
    Shrink(#[from] Shrink),
    /// No NetBox cluster can be told to be the one.
    #[error(transparent)]
    Ambiguity(#[from] Ambiguity),
    /// The credentials may not see who is in the cluster.
    #[error("the cluster's name and nodes cannot be read: {reason}")]
    Limited {
        /// What is missing.
        reason: String,
    },
    /// The site or tenant named in the endpoint's settings does not exist.
    #[error("the {kind} configured for this endpoint ({wanted}) does not exist in NetBox")]
    Placement {
        /// `site` or `tenant`.
        kind: &'static str,
        /// How it was named.
        wanted: String,
    },
    /// The site or tenant named in the endpoint's settings may be any of several rows.
    #[error(
        "the {kind} configured for this endpoint ({wanted}) may be any of {rows} in NetBox: name it by its id or by a slug \
         of its own"
    )]
    AmbiguousPlacement {
        /// `site` or `tenant`.
        kind: &'static str,
        /// How it was named.
        wanted: String,
        /// How many rows there are.
        rows: usize,
    },
    /// The cluster does not stand in NetBox yet.
    #[error("no cluster in NetBox stands for {name:?} yet: run the stage devices first")]
    NoCluster {
        /// Its name in Proxmox.
        name: String,
    },
    /// NetBox refused a row that everything else of the stage needs.
    #[error("{what} could not be written: {message}")]
    Prerequisite {
        /// Which row.
        what: String,
        /// The kind of refusal.
        kind: ErrorKind,
        /// NetBox's words.
        message: String,
    },
    /// A virtual machine that the request names cannot be told to stand for a guest.
    #[error("Unable to resolve explicitly selected VM ownership: {reasons}")]
    Selection {
        /// Which, and why not.
        reasons: String,
    },
    /// Proxmox does not have what the request is about.
    #[error("Proxmox has no {what}")]
    Absent {
        /// What it is about.
        what: String,
    },
    /// Whether Proxmox has what the request is about cannot be told.
    #[error("{what} could not be read: {message}")]
    Unread {
        /// What it is about.
        what: String,
        /// The kind of failure.
        kind: ErrorKind,
        /// What is wrong.
        message: String,
    },
    /// No virtual machine stands for the guest that the request is about.
    #[error("VM with vmid={vmid} in cluster {cluster} not found in NetBox")]
    NoMachine {
        /// The guest.
        vmid: Vmid,
        /// Its cluster.
        cluster: String,
    },
    /// There is a reason not to write what the request is about.
    #[error("nothing was written: {reason}")]
    LeftAlone {
        /// The reason.
        reason: String,
    },
    /// The run was asked to stop.
    #[error("Server shutdown or request cancelled.")]
    Cancelled,
}

impl Error {
    /// The kind of failure.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Proxmox(error) => error.kind(),
            // What is missing is not what was asked for.
            Self::NetBox(netbox::Error::NoRoute { .. }) | Self::Cancelled => ErrorKind::Unknown,
            Self::NetBox(error) => error.kind(),
            Self::Limited { .. } => ErrorKind::Permission,
            Self::NoCluster { .. } | Self::Absent { .. } | Self::NoMachine { .. } => ErrorKind::NotFound,
            Self::Shrink(_)
            | Self::Ambiguity(_)
            | Self::Placement { .. }
            | Self::AmbiguousPlacement { .. }
            | Self::Selection { .. }
            | Self::LeftAlone { .. } => ErrorKind::Validation,
            Self::Prerequisite { kind, .. } | Self::Unusable { kind, .. } | Self::Unread { kind, .. } => *kind,
        }
    }

    /// Whether the endpoint itself could not be asked, so that nothing else can be asked of it either. A NetBox that does
    /// not answer says nothing of the endpoint.
    pub(super) fn is_unreachable(&self) -> bool {
        match self {
            Self::Unusable { .. } => true,
            Self::Proxmox(error) => matches!(
                error.kind(),
                ErrorKind::Connection | ErrorKind::Timeout | ErrorKind::Authentication
            ),
            Self::NetBox(_)
            | Self::Shrink(_)
            | Self::Ambiguity(_)
            | Self::Limited { .. }
            | Self::Placement { .. }
            | Self::AmbiguousPlacement { .. }
            | Self::NoCluster { .. }
            | Self::Prerequisite { .. }
            | Self::Selection { .. }
            | Self::Absent { .. }
            | Self::Unread { .. }
            | Self::NoMachine { .. }
            | Self::LeftAlone { .. }
            | Self::Cancelled => false,
        }
    }

    /// Whether NetBox can be asked, and has failed or refused this one question.
    pub(super) fn is_of_one_question(&self) -> bool {
        matches!(self, Self::NetBox(error)
            if !error.is_certainly_unsent() && error.kind() != ErrorKind::Authentication)
    }

    /// The machine-readable reason.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Proxmox(error) => error.reason(),
            Self::NetBox(error) => error.reason(),
            Self::Unusable { reason, .. } => reason,
            Self::Limited { .. } => "proxmox_permission_denied",
            Self::Shrink(_) => "shrink_refused",
            Self::Ambiguity(_) => "cluster_ambiguous",
            Self::Placement { .. } => "placement_not_found",
            Self::AmbiguousPlacement { .. } => "placement_ambiguous",
            Self::Prerequisite { .. } => "netbox_refused",
            Self::NoCluster { .. } => "cluster_missing",
            Self::Selection { .. } => UNRESOLVED,
            Self::Absent { .. } => "proxmox_object_missing",
            Self::Unread { .. } => "proxmox_object_unread",
            Self::NoMachine { .. } => "virtual_machine_missing",
            Self::LeftAlone { .. } => "left_alone",
            Self::Cancelled => "cancelled",
        }
    }

    /// What an operator can do about it.
    pub fn suggestion(&self) -> Option<&'static str> {
        if matches!(self, Self::NetBox(netbox::Error::NoRoute { .. })) {
            return Some("Check that NetBox has the plugin that serves this path, and a release of it that does.");
        }
        let side = match self {
            Self::Proxmox(_) | Self::Limited { .. } | Self::Unusable { .. } | Self::Unread { .. } => "Proxmox endpoint",
            Self::NetBox(_) | Self::Prerequisite { .. } => "NetBox endpoint",
            Self::Shrink(_)
            | Self::Ambiguity(_)
            | Self::Placement { .. }
            | Self::AmbiguousPlacement { .. }
            | Self::Selection { .. }
            | Self::NoCluster { .. }
            | Self::Absent { .. }
            | Self::NoMachine { .. }
            | Self::LeftAlone { .. }
            | Self::Cancelled => return None,
        };
        match (self.kind(), side) {
            (ErrorKind::Authentication, "NetBox endpoint") => Some("Check the API token of the NetBox endpoint."),
            (ErrorKind::Authentication, _) => Some("Check the user, password or API token of the Proxmox endpoint."),
            (ErrorKind::Permission, "NetBox endpoint") => {
                Some("Grant the token's user the right named above, and make sure that the token may write.")
            }
            (ErrorKind::Permission, _) => Some(
                "Grant the privilege named above (role PVEAuditor on / is enough to read) to the user and its token.",
            ),
            (ErrorKind::Connection | ErrorKind::Timeout, "NetBox endpoint") => {
                Some("Check that NetBox is up and reachable from this service, and its port and TLS settings.")
            }
            (ErrorKind::Connection | ErrorKind::Timeout, _) => {
                Some("Check that the Proxmox host is up and reachable from this service, and its TLS settings.")
            }
            _ => None,
        }
    }
}
