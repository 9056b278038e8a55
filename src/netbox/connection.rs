//! Connections to NetBox: what all have in common, and how long each may stand idle.

use std::time::Duration;

use reqwest::header::{ACCEPT, ACCEPT_LANGUAGE, HeaderMap, HeaderValue};

use super::error::Error;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Below the keep-alive time of common proxies, so that a request rarely meets a connection about to close.
const READER_IDLE: Duration = Duration::from_secs(25);
const READER_POOL: usize = 16;
/// Below the keep-alive time of any server, that of gunicorn being 2 s: were the connection closed just then, nobody would
/// know what came of a write.
const WRITER_IDLE: Duration = Duration::from_millis(1_500);

/// Connections to read on.
pub(super) fn reader(tls: rustls::ClientConfig) -> Result<reqwest::Client, Error> {
    http(tls, READER_POOL, READER_IDLE)
}

/// One connection to write on.
pub(super) fn writer(tls: rustls::ClientConfig) -> Result<reqwest::Client, Error> {
    http(tls, 1, WRITER_IDLE)
}

fn http(tls: rustls::ClientConfig, pool: usize, idle: Duration) -> Result<reqwest::Client, Error> {
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .gzip(true)
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(idle)
        .pool_max_idle_per_host(pool)
        .user_agent(concat!("proxbox-api/", env!("CARGO_PKG_VERSION")))
        .default_headers(default_headers())
        .build()
        .map_err(|error| Error::endpoint("host", error.without_url().to_string()))
}

fn default_headers() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    // NetBox translates some of the texts by which refusals are told apart.
    headers.insert(ACCEPT_LANGUAGE, HeaderValue::from_static("en"));
    headers
}
