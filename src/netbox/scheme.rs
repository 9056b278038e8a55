//! Finding out whether a port speaks TLS, before any credentials are sent.

use std::time::Duration;

use futures_util::future::{Either, select};

use super::answer::{release, sort};
use super::endpoint::{Endpoint, Scheme};
use super::error::Error;
use super::version::NetBoxVersion;

const STATUS_PATH: &str = "/api/status/";
const LIMIT: Duration = Duration::from_secs(10);

/// Where a NetBox is.
#[derive(Debug)]
pub(super) struct Found {
    /// Scheme, host, port and path.
    pub(super) base: String,
    /// Its release, where it has told.
    pub(super) release: Option<NetBoxVersion>,
}

/// Where the NetBox of an endpoint is whose row does not tell the scheme. Asks both ways at once and without credentials:
/// an answer over TLS decides for TLS, an answer of NetBox itself in plain text decides for plain text. Anything else that
/// answers in plain text may only say that it wants TLS, and decides nothing: the token would go there in clear.
///
/// Both at once, because a plain server may wait for ever for the end of a TLS greeting.
///
/// # Errors
///
/// When neither way works: why the plain request failed; or why TLS did where something else than NetBox answers in plain
/// text, unless that says only that its server is away, which may pass.
pub(super) async fn find(http: &reqwest::Client, endpoint: &Endpoint) -> Result<Found, Error> {
    let plain_base = endpoint.base_url(Scheme::Http)?;
    let tls_base = endpoint.base_url(Scheme::Https)?;
    let asking = select(Box::pin(ask(http, &plain_base)), Box::pin(ask(http, &tls_base)));
    let (plain, tls) = match asking.await {
        Either::Left((plain @ Ok(Answerer::NetBox(_)), _)) => (plain, None),
        Either::Left((plain, tls)) => (plain, Some(tls.await)),
        Either::Right((tls @ Ok(_), _)) => (Ok(Answerer::Other), Some(tls)),
        Either::Right((tls, plain)) => (plain.await, Some(tls)),
    };
    match (plain, tls) {
        (_, Some(Ok(answerer))) => Ok(Found {
            base: tls_base,
            release: answerer.release(),
        }),
        (Ok(Answerer::Proxy(status)), Some(Err(_))) => Err(Error::Unavailable {
            path: STATUS_PATH.to_owned(),
            status,
            retry_after: None,
        }),
        (Ok(Answerer::Other), Some(Err(error))) => Err(error),
        (plain, _) => Ok(Found {
            base: plain_base,
            release: plain?.release(),
        }),
    }
}

/// Who answers.
enum Answerer {
    NetBox(NetBoxVersion),
    /// Something in front of a server that is away, by its status.
    Proxy(u16),
    Other,
}

impl Answerer {
    const fn release(&self) -> Option<NetBoxVersion> {
        match self {
            Self::NetBox(release) => Some(*release),
            Self::Proxy(_) | Self::Other => None,
        }
    }
}

async fn ask(http: &reqwest::Client, base: &str) -> Result<Answerer, Error> {
    let answer = http.get(format!("{base}{STATUS_PATH}")).timeout(LIMIT).send().await;
    let answer = answer.map_err(|error| sort(error, STATUS_PATH, base, (LIMIT, false)))?;
    let status = answer.status().as_u16();
    Ok(match release(answer.headers()) {
        Some(release) => Answerer::NetBox(release),
        None if (502..=504).contains(&status) => Answerer::Proxy(status),
        None => Answerer::Other,
    })
}
