//! What callers may conclude from an error: its kind, whether it passes by itself, the words for machines.

use super::error::{Error, Refusal};
use super::tls::Fingerprint;
use crate::error::ErrorKind;

impl Error {
    /// The kind of failure, in the words of the event contract.
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::AuthFailed { .. } | Self::SecondFactorRequired { .. } => ErrorKind::Authentication,
            Self::PermissionDenied { .. } => ErrorKind::Permission,
            Self::NotFound { .. } | Self::NotClustered { .. } | Self::NotImplemented { .. } => ErrorKind::NotFound,
            Self::BadRequest { .. }
            | Self::Conflict { .. }
            | Self::GuestUnavailable { .. }
            | Self::InvalidPath { .. }
            | Self::InvalidEndpoint { .. } => ErrorKind::Validation,
            Self::Busy { .. }
            | Self::GuestTimeout { .. }
            | Self::NodeTimeout { .. }
            | Self::NodeSilent { .. }
            | Self::Timeout { .. } => ErrorKind::Timeout,
            Self::Unavailable { answer, .. } if answer.status == 429 => ErrorKind::RateLimit,
            Self::Unavailable { .. }
            | Self::NodeUnreachable { .. }
            | Self::NodeError { .. }
            | Self::StorageOffline { .. }
            | Self::Connect { .. }
            | Self::Dns { .. }
            | Self::Tls { .. }
            | Self::Lost { .. }
            | Self::Redirect { .. }
            | Self::CircuitOpen { .. }
            | Self::BothAddresses { .. } => ErrorKind::Connection,
            Self::Server { .. } | Self::Decode { .. } | Self::TooLarge { .. } => ErrorKind::Unknown,
            Self::Closed => ErrorKind::Internal,
        }
    }

    /// Whether the same call may well succeed a little later, nothing else changed.
    pub const fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Busy { .. }
                | Self::NodeUnreachable { .. }
                | Self::NodeTimeout { .. }
                | Self::NodeError { .. }
                | Self::Unavailable { .. }
                | Self::Timeout { .. }
                | Self::Connect { .. }
                | Self::Dns { .. }
                | Self::Lost { .. }
                | Self::CircuitOpen { .. }
                | Self::NodeSilent { .. }
                | Self::BothAddresses { .. }
        )
    }

    /// Whether no connection came about at all, so that nothing was sent and another address may be tried.
    pub const fn is_unreachable(&self) -> bool {
        matches!(
            self,
            Self::Connect { .. } | Self::Dns { .. } | Self::BothAddresses { .. }
        )
    }

    /// Whether a write that ended this way may have been carried out all the same.
    pub const fn leaves_outcome_open(&self) -> bool {
        matches!(
            self,
            Self::Timeout { .. }
                | Self::Lost { .. }
                | Self::NodeTimeout { .. }
                | Self::NodeError { .. }
                | Self::Unavailable { .. }
                | Self::Decode { .. }
                | Self::TooLarge { .. }
        )
    }

    /// Proxmox's own words, where it answered.
    pub const fn answer(&self) -> Option<&Refusal> {
        match self {
            Self::AuthFailed { answer }
            | Self::PermissionDenied { answer, .. }
            | Self::NotFound { answer }
            | Self::NotClustered { answer }
            | Self::BadRequest { answer, .. }
            | Self::NotImplemented { answer }
            | Self::Busy { answer }
            | Self::GuestUnavailable { answer }
            | Self::GuestTimeout { answer }
            | Self::StorageOffline { answer }
            | Self::Conflict { answer }
            | Self::NodeUnreachable { answer, .. }
            | Self::NodeTimeout { answer, .. }
            | Self::NodeError { answer, .. }
            | Self::Unavailable { answer, .. }
            | Self::Server { answer } => Some(answer),
            Self::SecondFactorRequired { .. }
            | Self::Timeout { .. }
            | Self::Connect { .. }
            | Self::Dns { .. }
            | Self::Tls { .. }
            | Self::Lost { .. }
            | Self::Redirect { .. }
            | Self::Decode { .. }
            | Self::TooLarge { .. }
            | Self::CircuitOpen { .. }
            | Self::NodeSilent { .. }
            | Self::BothAddresses { .. }
            | Self::InvalidPath { .. }
            | Self::InvalidEndpoint { .. }
            | Self::Closed => None,
        }
    }

    /// The HTTP status of the answer; `None` where there was none.
    pub const fn upstream_status(&self) -> Option<u16> {
        if let Self::Redirect { status, .. } = self {
            return Some(*status);
        }
        match self.answer() {
            Some(answer) => Some(answer.status),
            None => None,
        }
    }

    /// The word for machines, as it stands in the `reason` of our own answers.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::AuthFailed { .. } => "proxmox_auth_failed",
            Self::SecondFactorRequired { .. } => "proxmox_second_factor_required",
            Self::PermissionDenied { .. } => "proxmox_permission_denied",
            Self::NotFound { .. } => "proxmox_not_found",
            Self::NotClustered { .. } => "proxmox_not_clustered",
            Self::BadRequest { .. } => "proxmox_bad_request",
            Self::NotImplemented { .. } => "proxmox_not_implemented",
            Self::Busy { .. } => "proxmox_busy",
            Self::GuestUnavailable { .. } => "proxmox_guest_unavailable",
            Self::GuestTimeout { .. } => "proxmox_guest_timeout",
            Self::StorageOffline { .. } => "proxmox_storage_offline",
            Self::Conflict { .. } => "proxmox_conflict",
            Self::NodeUnreachable { .. } => "proxmox_node_unreachable",
            Self::NodeTimeout { .. } => "proxmox_node_timeout",
            Self::NodeError { .. } => "proxmox_node_error",
            Self::Unavailable { .. } => "proxmox_unavailable",
            Self::Server { .. } => "proxmox_server_error",
            Self::Timeout { .. } => "proxmox_timeout",
            Self::Connect { .. } | Self::BothAddresses { .. } | Self::Lost { .. } => "proxmox_unreachable",
            Self::Dns { .. } => "proxmox_name_unresolved",
            Self::Tls { presented: Some(_), .. } => "proxmox_certificate_untrusted",
            Self::Tls { presented: None, .. } => "proxmox_tls_failed",
            Self::Redirect { .. } => "proxmox_redirected",
            Self::Decode { .. } => "proxmox_unexpected_answer",
            Self::TooLarge { .. } => "proxmox_answer_too_large",
            Self::CircuitOpen { .. } => "proxmox_circuit_open",
            Self::NodeSilent { .. } => "proxmox_node_silent",
            Self::InvalidPath { .. } => "proxmox_invalid_path",
            Self::InvalidEndpoint { .. } => "proxmox_invalid_endpoint",
            Self::Closed => "proxmox_closed",
        }
    }

    /// The leaf certificate that was refused, for trust on first use.
    pub fn presented_fingerprint(&self) -> Option<Fingerprint> {
        if let Self::BothAddresses { first, second } = self {
            return first.presented_fingerprint().or_else(|| second.presented_fingerprint());
        }
        if let Self::Tls { presented, .. } = self {
            return *presented;
        }
        None
    }
}
