//! Whether an endpoint can be used at all, told in the operator's terms.

use std::sync::Arc;

use bytes::Bytes;
use reqwest::Method;
use serde::de::IgnoredAny;

use super::answer::Answer;
use super::client::Client;
use super::error::{Error, TokenProblem};
use super::settings::fetch_settings;
use super::transport::{Call, Class};
use super::version::{NetBoxVersion, Status};

/// Answers any valid token with its user, whatever rights it has; not in every supported release.
pub(super) const WHO_AM_I: &str = "/api/authentication-check/";
const TAGS: &str = "/api/extras/tags/";
const VIRTUAL_MACHINES: &str = "/api/virtualization/virtual-machines/";
/// Needs a token that may write and no right at all; there is no row 0, so it ends with "not found".
const WRITE_PROBE: &str = "/api/extras/config-templates/0/render/";

/// Whether NetBox accepts the token.
#[derive(Debug, Clone)]
pub enum Authentication {
    /// It does.
    Accepted,
    /// It does not.
    Refused {
        /// Why.
        problem: TokenProblem,
        /// NetBox's own words.
        detail: String,
    },
    /// NetBox could not be asked.
    Unknown(Error),
}

/// Whether the plugin's settings can be read.
#[derive(Debug, Clone)]
pub enum SettingsAccess {
    /// They can.
    Readable,
    /// The token lacks the settings permission; everything else may work.
    Denied,
    /// The plugin, or its settings route, is not there.
    Missing,
    /// They could not be asked for.
    Unknown(Error),
}

/// Whether the token can write.
#[derive(Debug, Clone)]
pub enum WriteAccess {
    /// It can write at least one of the collections that runs need.
    Allowed,
    /// The token itself is read-only, whatever rights its user has.
    ReadOnlyToken,
    /// The token may write, its user may not change what runs need.
    NoRight,
    /// It could not be found out.
    Unknown(Error),
}

/// What is known about an endpoint before it is used.
#[derive(Debug, Clone)]
pub struct Preflight {
    /// Release and plugins, or why they could not be read.
    pub status: Result<Arc<Status>, Error>,
    /// Whether the token is accepted.
    pub authentication: Authentication,
    /// Whether the plugin's settings can be read.
    pub settings: SettingsAccess,
    /// Whether the token can write.
    pub write: WriteAccess,
}

impl Preflight {
    /// The release of NetBox.
    pub fn version(&self) -> Option<NetBoxVersion> {
        self.status.as_ref().ok().map(|status| status.version)
    }

    /// The release of the plugin netbox-proxbox; `None` also when it is not installed.
    pub fn plugin_version(&self) -> Option<&str> {
        self.status.as_ref().ok()?.plugin_version()
    }
}

/// Asks for release and plugins, makes one authenticated read, and finds out whether the token can write. Changes
/// nothing; between three and six small requests.
pub async fn preflight(client: &Client) -> Preflight {
    let status = client.status().await;
    if let Err(error) = &status
        && !matches!(error, Error::PermissionDenied { .. })
    {
        return unusable(error.clone());
    }
    let (authentication, settings) = match fetch_settings(client).await {
        Ok(_) => (Authentication::Accepted, SettingsAccess::Readable),
        Err(Error::PermissionDenied { .. }) => (authenticate(client).await, SettingsAccess::Denied),
        Err(Error::NotFound { .. } | Error::NoRoute { .. }) => (authenticate(client).await, SettingsAccess::Missing),
        Err(error) => (judged(error.clone()), SettingsAccess::Unknown(error)),
    };
    let write = match &authentication {
        Authentication::Accepted => write_access(client).await,
        Authentication::Refused { problem, detail } => WriteAccess::Unknown(Error::Unauthenticated {
            problem: *problem,
            detail: detail.clone(),
        }),
        Authentication::Unknown(error) => WriteAccess::Unknown(error.clone()),
    };
    Preflight {
        status,
        authentication,
        settings,
        write,
    }
}

/// NetBox cannot be reached or refuses the token on its status page already.
fn unusable(error: Error) -> Preflight {
    Preflight {
        authentication: judged(error.clone()),
        settings: SettingsAccess::Unknown(error.clone()),
        write: WriteAccess::Unknown(error.clone()),
        status: Err(error),
    }
}

fn judged(error: Error) -> Authentication {
    if let Error::Unauthenticated { problem, detail } = error {
        return Authentication::Refused { problem, detail };
    }
    Authentication::Unknown(error)
}

/// A missing right proves that the token was accepted: NetBox looks at the token first.
async fn authenticate(client: &Client) -> Authentication {
    let mut outcome = read(client, WHO_AM_I, "").await;
    if matches!(outcome, Err(Error::NotFound { .. } | Error::NoRoute { .. })) {
        outcome = read(client, TAGS, "limit=1").await;
    }
    match outcome {
        Ok(()) | Err(Error::PermissionDenied { .. }) => Authentication::Accepted,
        Err(error) => judged(error),
    }
}

async fn read(client: &Client, path: &str, query: &str) -> Result<(), Error> {
    let call = Call::get(path, query.to_owned(), Class::Probe);
    let answer: Result<IgnoredAny, Error> = client.call(call.clone()).await?.decode(&call);
    answer.map(drop)
}

/// An update of no rows is checked for rights like any other and does nothing.
async fn write_access(client: &Client) -> WriteAccess {
    for path in [TAGS, VIRTUAL_MACHINES] {
        match probe(client, Method::PATCH, path, "[]").await {
            Ok(answer) if answer.status.is_success() => return WriteAccess::Allowed,
            Ok(answer) if answer.status.as_u16() == 403 => {}
            Ok(answer) => return WriteAccess::Unknown(answer.error(&probe_call(Method::PATCH, path, "[]"))),
            Err(error) => return WriteAccess::Unknown(error),
        }
    }
    match probe(client, Method::POST, WRITE_PROBE, "{}").await {
        Ok(answer) if answer.status.as_u16() == 403 => WriteAccess::ReadOnlyToken,
        Ok(_) => WriteAccess::NoRight,
        Err(error) => WriteAccess::Unknown(error),
    }
}

fn probe_call<'a>(method: Method, path: &'a str, body: &'static str) -> Call<'a> {
    Call {
        method,
        body: Some(Bytes::from_static(body.as_bytes())),
        ..Call::get(path, String::new(), Class::Probe)
    }
}

async fn probe(client: &Client, method: Method, path: &str, body: &'static str) -> Result<Answer, Error> {
    Ok(client.call(probe_call(method, path, body)).await?)
}
