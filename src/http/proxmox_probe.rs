//! Whether a Proxmox endpoint can be used, told so that an operator knows what to do.

use serde::Serialize;
use utoipa::ToSchema;

use crate::error::ErrorKind;
use crate::proxmox::{Capabilities, Error, Metadata, Mode, Session};

/// What grants everything that the stages read.
const GRANT: &str = "Grant the role PVEAuditor on / to the user and, where it has separated privileges, to its token.";

/// What a Proxmox endpoint answered to a probe.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(super) struct ProxmoxProbe {
    /// Whether it can be used, be it with gaps.
    ok: bool,
    /// Whether anything answered at its address.
    reachable: bool,
    /// `ok`, `limited` or `error`.
    status: &'static str,
    /// Which credential was used: `token` or `password`.
    credential: Option<&'static str>,
    /// `cluster`, `standalone` or `restricted`.
    mode: Option<&'static str>,
    /// The name of the cluster or host.
    name: Option<String>,
    /// The release.
    version: Option<String>,
    /// Host and port that answered.
    address: Option<String>,
    /// Rights without which parts of Proxmox look empty.
    missing_privileges: Vec<&'static str>,
    /// The machine-readable reason of a failure.
    reason: Option<&'static str>,
    /// The kind of failure.
    category: Option<&'static str>,
    /// The failure in words.
    error: Option<String>,
    /// What to do about it.
    suggestion: Option<&'static str>,
    /// The HTTP status of Proxmox's refusal.
    upstream_status: Option<u16>,
    /// The SHA-256 fingerprint of a certificate that is not trusted: compare it with the node's own, then pin it.
    presented_fingerprint: Option<String>,
}

impl ProxmoxProbe {
    /// What `metadata` says. An endpoint that hides the cluster's name is of use as long as it shows anything.
    fn answered(metadata: &Metadata) -> Self {
        let missing_privileges = missing(&metadata.capabilities);
        let (hidden, is_usable) = match &metadata.mode {
            Mode::Limited { reason, is_denied } => {
                (Some(reason.clone()), *is_denied && !metadata.capabilities.is_nothing())
            }
            Mode::Cluster { .. } | Mode::Standalone { .. } => (None, true),
        };
        let is_limited = hidden.is_some() || !missing_privileges.is_empty();
        Self {
            ok: is_usable,
            reachable: true,
            status: if is_limited { "limited" } else { "ok" },
            mode: Some(metadata.mode.as_str()),
            name: metadata.name().map(str::to_owned),
            version: Some(metadata.version.version.clone()),
            address: Some(metadata.address.clone()),
            missing_privileges,
            reason: is_limited.then_some("proxmox_permission_denied"),
            category: is_limited.then_some(ErrorKind::Permission.as_str()),
            error: hidden,
            suggestion: is_limited.then_some(GRANT),
            ..Self::default()
        }
    }

    fn failed(error: &Error, credential: Option<&str>) -> Self {
        Self {
            reachable: is_answered(error),
            status: "error",
            reason: Some(error.reason()),
            category: Some(error.kind().as_str()),
            suggestion: advice(error, credential),
            upstream_status: error.upstream_status(),
            presented_fingerprint: error.presented_fingerprint().map(|leaf| leaf.to_string()),
            error: Some(error.to_string()),
            ..Self::default()
        }
    }
}

/// Asks a Proxmox endpoint anew.
pub(super) async fn probe(session: &Result<Session, Error>) -> ProxmoxProbe {
    let credential = session.as_ref().ok().map(credential);
    let asked = match session {
        Ok(session) => session.refresh().await,
        Err(error) => Err(error.clone()),
    };
    let probe = match asked {
        Ok(metadata) => ProxmoxProbe::answered(&metadata),
        Err(error) => ProxmoxProbe::failed(&error, credential),
    };
    ProxmoxProbe { credential, ..probe }
}

fn credential(session: &Session) -> &'static str {
    if session.endpoint().credential.is_token() {
        "token"
    } else {
        "password"
    }
}

/// Rights that every stage counts on and that are not held.
fn missing(capabilities: &Capabilities) -> Vec<&'static str> {
    if !capabilities.known {
        return Vec::new();
    }
    let held = [
        ("Sys.Audit on /", capabilities.has("/", "Sys.Audit")),
        ("VM.Audit on /vms", capabilities.sees_all_guests()),
        ("Datastore.Audit on /storage", capabilities.sees_all_storages()),
    ];
    held.into_iter()
        .filter(|(_, is_held)| !is_held)
        .map(|(name, _)| name)
        .collect()
}

/// Whether something answered, be it with a refusal.
fn is_answered(error: &Error) -> bool {
    error.upstream_status().is_some()
        || matches!(
            error,
            Error::Tls { .. } | Error::SecondFactorRequired { .. } | Error::Decode { .. }
        )
}

fn advice(error: &Error, credential: Option<&str>) -> Option<&'static str> {
    if let Error::SecondFactorRequired { .. } = error {
        return Some("A service cannot give a second factor: make an API token for the user and use that.");
    }
    match (error.kind(), credential) {
        (ErrorKind::Authentication, Some("token")) => {
            Some("Check the user, the name of the API token and its secret, and that the token has not expired.")
        }
        (ErrorKind::Authentication, _) => Some("Check the user with its realm (such as root@pam) and the password."),
        (ErrorKind::Permission, _) => Some(GRANT),
        _ if error.presented_fingerprint().is_some() => {
            Some("Compare the fingerprint with the node's own, then pin it, or give the cluster's CA certificate.")
        }
        (ErrorKind::Connection | ErrorKind::Timeout, _) => {
            Some("Check address and port, and that the host is up and reachable from this service.")
        }
        _ => None,
    }
}
