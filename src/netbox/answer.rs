//! An answer, or why there is none, in our own words.

use std::error::Error as StdError;
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderMap, LOCATION, RETRY_AFTER};
use reqwest::{Response, StatusCode};
use serde::de::DeserializeOwned;

use super::error::{Error, TokenProblem};
use super::refusal;
use super::retry;
use super::transport::Call;
use super::version::NetBoxVersion;

/// Major and minor release, in every answer below `/api/`.
const VERSION_HEADER: &str = "API-Version";

/// The release that an answer tells.
pub(super) fn release(headers: &HeaderMap) -> Option<NetBoxVersion> {
    headers
        .get(VERSION_HEADER)?
        .to_str()
        .ok()
        .and_then(NetBoxVersion::parse)
}

/// An answer of any status but a redirect.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
    pub(super) is_json: bool,
    /// Major and minor release.
    pub(super) release: Option<NetBoxVersion>,
    pub(super) retry_after: Option<Duration>,
    /// An earlier attempt of the same request may have been carried out.
    pub(super) is_repeated: bool,
}

impl Answer {
    pub(super) fn new(response: &Response, body: Bytes) -> Self {
        let text = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        Self {
            status: response.status(),
            body,
            is_json: text(CONTENT_TYPE.as_str()).is_some_and(|kind| kind.contains("json")),
            release: release(response.headers()),
            retry_after: text(RETRY_AFTER.as_str()).and_then(|value| retry::retry_after(value, SystemTime::now())),
            is_repeated: false,
        }
    }

    /// The decoded answer of a read.
    pub(super) fn decode<T: DeserializeOwned>(&self, call: &Call<'_>) -> Result<T, Error> {
        if !self.status.is_success() {
            return Err(self.error(call));
        }
        serde_json::from_slice(&self.body).map_err(|source| Error::decode(call.path, source))
    }

    /// What an answer that is no success means.
    pub(super) fn error(&self, call: &Call<'_>) -> Error {
        let path = call.path.to_owned();
        let status = self.status.as_u16();
        let (detail, fields) = refusal::detail(&self.body);
        match (status, call.branch) {
            (401 | 403, _) => match TokenProblem::of(status, &detail) {
                Some(problem) => Error::Unauthenticated { problem, detail },
                None => Error::PermissionDenied { path, detail },
            },
            (404, _) if self.is_json => Error::NotFound { path },
            (404, _) => Error::NoRoute { path },
            (429, _) => Error::RateLimited {
                path,
                retry_after: self.retry_after,
            },
            (502..=504, _) => Error::Unavailable {
                path,
                status,
                retry_after: self.retry_after,
            },
            (500.., _) => Error::Server { path, status, detail },
            (400, Some(branch)) if !self.is_json && !self.body.starts_with(b"<") => Error::Branch {
                schema_id: branch.to_owned(),
                detail,
            },
            _ => Error::Refused {
                path,
                status,
                detail,
                fields,
            },
        }
    }
}

/// Scheme, host and port of the target, or its path on the same host; never its query.
pub(super) fn redirect_target(response: &Response) -> String {
    let Some(location) = response.headers().get(LOCATION).and_then(|value| value.to_str().ok()) else {
        return "an unnamed address".to_owned();
    };
    match url::Url::parse(location) {
        Ok(target) => target.origin().ascii_serialization(),
        Err(_) => location.split(['?', '#']).next().unwrap_or_default().to_owned(),
    }
}

/// Sorts what the HTTP library reports by how far the request got. With the limit goes whether an operator has set it.
pub(super) fn sort(error: reqwest::Error, path: &str, base: &str, (limit, is_tunable): (Duration, bool)) -> Error {
    let host = base.split_once("://").map_or(base, |(_, host)| host).to_owned();
    let (is_connect, is_dns, is_timeout) = (error.is_connect(), error.is_dns(), error.is_timeout());
    if error.is_builder() {
        return Error::Request {
            path: path.to_owned(),
            problem: "not a valid URL or header",
        };
    }
    let is_tls = is_connect && concerns_tls(&error);
    let source = Arc::new(error.without_url());
    if is_dns {
        Error::Dns { host, source }
    } else if is_tls {
        Error::Tls { host, source }
    } else if is_connect {
        Error::Connect { host, source }
    } else if is_timeout {
        Error::Timeout {
            path: path.to_owned(),
            limit,
            is_tunable,
        }
    } else {
        Error::Lost {
            path: path.to_owned(),
            source,
        }
    }
}

fn concerns_tls(error: &reqwest::Error) -> bool {
    let mut cause = error.source();
    while let Some(current) = cause {
        let wrapped = current.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if current.is::<rustls::Error>() || wrapped.is_some_and(<dyn StdError + Send + Sync>::is::<rustls::Error>) {
            return true;
        }
        cause = current.source();
    }
    false
}
