//! Finding out whether a port speaks TLS, before any credentials are sent.

use std::time::Duration;

use futures_util::future::{Either, select};

use super::answer::sort;
use super::endpoint::{Endpoint, Scheme};
use super::error::Error;

const STATUS_PATH: &str = "/api/status/";
const LIMIT: Duration = Duration::from_secs(10);

/// The base URL of an endpoint whose row does not tell the scheme. Asks both ways at once and without credentials:
/// an answer over TLS decides for TLS, an answer of NetBox itself in plain text decides for plain text.
///
/// Both at once, because a plain server may wait for ever for the end of a TLS greeting.
///
/// # Errors
///
/// Why the plain request failed, when neither way works.
pub(super) async fn find(http: &reqwest::Client, endpoint: &Endpoint) -> Result<String, Error> {
    let plain_base = endpoint.base_url(Scheme::Http)?;
    let tls_base = endpoint.base_url(Scheme::Https)?;
    let asking = select(Box::pin(ask(http, &plain_base)), Box::pin(ask(http, &tls_base)));
    let scheme = match asking.await {
        Either::Left((Ok(Asked::NetBox), _)) => Scheme::Http,
        Either::Left((plain, tls)) => decide(plain, &tls.await)?,
        Either::Right((Ok(_), _)) => Scheme::Https,
        Either::Right((tls, plain)) => decide(plain.await, &tls)?,
    };
    endpoint.base_url(scheme)
}

fn decide(plain: Result<Asked, Error>, tls: &Result<Asked, Error>) -> Result<Scheme, Error> {
    if tls.is_ok() {
        Ok(Scheme::Https)
    } else {
        plain.map(|_| Scheme::Http)
    }
}

enum Asked {
    /// The answer bears NetBox's own header.
    NetBox,
    /// Some HTTP server answered, perhaps only to say that it wants TLS.
    Somebody,
}

async fn ask(http: &reqwest::Client, base: &str) -> Result<Asked, Error> {
    let answer = http.get(format!("{base}{STATUS_PATH}")).timeout(LIMIT).send().await;
    let answer = answer.map_err(|error| sort(error, STATUS_PATH, base, LIMIT))?;
    let is_netbox = answer.headers().contains_key("API-Version");
    Ok(if is_netbox { Asked::NetBox } else { Asked::Somebody })
}
