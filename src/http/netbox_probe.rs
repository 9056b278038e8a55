//! Whether NetBox can be used, told so that an operator knows what to do.

use std::time::Duration;

use serde::Serialize;
use utoipa::ToSchema;

use crate::error::ErrorKind;
use crate::netbox::{Authentication, Client, Error, Preflight, SettingsAccess, WriteAccess, preflight};

/// How long NetBox may take to answer a probe.
const LIMIT: Duration = Duration::from_secs(10);

/// What NetBox answered to a probe.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct NetBoxProbe {
    /// Whether anything answered at its address.
    reachable: bool,
    /// `reachable`, `timeout`, `connection_error` or `error`.
    status: &'static str,
    /// NetBox's release.
    api_version: Option<String>,
    /// The machine-readable reason of a failure.
    error_type: Option<&'static str>,
    /// The failure in words.
    error: Option<String>,
    /// How long NetBox might take.
    timeout_seconds: f64,
    /// Whether the token is accepted: `accepted`, `refused` or `unknown`.
    authentication: &'static str,
    /// Whether it may write: `allowed`, `read_only_token`, `no_right` or `unknown`.
    write_access: &'static str,
    /// Whether the plugin's settings can be read: `readable`, `denied`, `missing` or `unknown`.
    settings_access: &'static str,
    /// The release of the plugin.
    plugin_version: Option<String>,
}

impl Default for NetBoxProbe {
    fn default() -> Self {
        Self {
            reachable: false,
            status: "error",
            api_version: None,
            error_type: None,
            error: None,
            timeout_seconds: LIMIT.as_secs_f64(),
            authentication: "unknown",
            write_access: "unknown",
            settings_access: "unknown",
            plugin_version: None,
        }
    }
}

impl NetBoxProbe {
    /// NetBox could not be asked at all, or gave no usable answer.
    pub(super) fn failed(error: &Error) -> Self {
        let status = match error.kind() {
            ErrorKind::Connection => "connection_error",
            ErrorKind::Timeout => "timeout",
            ErrorKind::Authentication
            | ErrorKind::Permission
            | ErrorKind::Validation
            | ErrorKind::NotFound
            | ErrorKind::RateLimit
            | ErrorKind::Internal
            | ErrorKind::Unknown => "error",
        };
        // What could not be sent was not answered either.
        let reachable = status == "error" && !matches!(error, Error::Endpoint { .. });
        Self {
            reachable,
            status,
            ..Self::default()
        }
        .because(error.reason(), error.to_string())
    }

    fn because(self, reason: &'static str, error: String) -> Self {
        Self {
            error_type: Some(reason),
            error: Some(error),
            ..self
        }
    }

    /// NetBox answered; the first thing that is wrong is told.
    fn answered(found: &Preflight) -> Self {
        let probe = Self {
            reachable: true,
            status: "reachable",
            api_version: found.version().map(|version| version.to_string()),
            plugin_version: found.plugin_version().map(str::to_owned),
            authentication: authentication(&found.authentication),
            write_access: write_access(&found.write),
            settings_access: settings_access(&found.settings),
            ..Self::default()
        };
        let unusable = Self {
            status: "error",
            ..probe
        };
        match (&found.authentication, &found.write) {
            (Authentication::Refused { problem, detail }, _) => unusable.because(
                "netbox_auth_failed",
                format!("NetBox refuses the credentials: {problem} ({detail})"),
            ),
            (Authentication::Unknown(error), _) | (_, WriteAccess::Unknown(error)) => {
                unusable.because(error.reason(), error.to_string())
            }
            (_, WriteAccess::ReadOnlyToken) => unusable.because(
                "netbox_token_read_only",
                "the NetBox token is read-only: enable writing for it, whatever rights its user has".to_owned(),
            ),
            (_, WriteAccess::NoRight) => unusable.because(
                "netbox_permission_denied",
                "the NetBox token's user may not change tags or virtual machines: grant it the rights to write"
                    .to_owned(),
            ),
            (Authentication::Accepted, WriteAccess::Allowed) => Self {
                status: "reachable",
                ..unusable
            },
        }
    }
}

const fn authentication(found: &Authentication) -> &'static str {
    match found {
        Authentication::Accepted => "accepted",
        Authentication::Refused { .. } => "refused",
        Authentication::Unknown(_) => "unknown",
    }
}

const fn write_access(found: &WriteAccess) -> &'static str {
    match found {
        WriteAccess::Allowed => "allowed",
        WriteAccess::ReadOnlyToken => "read_only_token",
        WriteAccess::NoRight => "no_right",
        WriteAccess::Unknown(_) => "unknown",
    }
}

const fn settings_access(found: &SettingsAccess) -> &'static str {
    match found {
        SettingsAccess::Readable => "readable",
        SettingsAccess::Denied => "denied",
        SettingsAccess::Missing => "missing",
        SettingsAccess::Unknown(_) => "unknown",
    }
}

/// Asks NetBox whether it can be used: who we are there, and what we may.
pub(super) async fn probe(client: &Client) -> NetBoxProbe {
    let Ok(found) = tokio::time::timeout(LIMIT, preflight(client)).await else {
        let probe = NetBoxProbe {
            status: "timeout",
            ..NetBoxProbe::default()
        };
        return probe.because("netbox_timeout", format!("NetBox did not answer within {LIMIT:?}"));
    };
    match &found.status {
        // A token that the status page refuses already is judged below.
        Err(error) if !matches!(error.kind(), ErrorKind::Authentication | ErrorKind::Permission) => {
            NetBoxProbe::failed(error)
        }
        Ok(_) | Err(_) => NetBoxProbe::answered(&found),
    }
}
