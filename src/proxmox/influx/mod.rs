//! InfluxDB, where Proxmox sends its figures: one query at a time, asked safely.
//!
//! A [`Query`] becomes Flux in which every text is quoted (`flux`), a [`Server`] is asked only at addresses that may be
//! asked (`place`), and its annotated CSV becomes rows (`table`).

mod flux;
mod place;
mod table;

use std::net::SocketAddr;
use std::time::Duration;

use bytes::BytesMut;
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderValue};
use reqwest::{Client, Response};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use url::Url;

use super::tls::{TlsPolicy, client_config};
use crate::error::ErrorKind;

pub use flux::{Aggregation, Filter, Function, Moment, Period, Query, Scope};
pub use place::{PlaceError, check_url};
pub use table::Figures;

/// An InfluxDB server, and how it is asked.
#[derive(Debug, Clone)]
pub struct Server {
    /// Where it is; fit for [`check_url`].
    pub url: Url,
    /// Whose buckets.
    pub organization: String,
    /// Who asks.
    pub token: SecretString,
    /// How its certificate is judged.
    pub tls: TlsPolicy,
    /// How long an answer may take in all.
    pub limit: Duration,
    /// How large it may be, in bytes.
    pub max_bytes: usize,
}

/// Why there are no figures.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It must not be asked.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// Its name does not resolve.
    #[error("the name of the InfluxDB server does not resolve")]
    Name(#[source] std::io::Error),
    /// It could not be connected to, or broke off.
    #[error("the InfluxDB server cannot be reached")]
    Connection(#[source] reqwest::Error),
    /// TLS came to nothing.
    #[error("TLS with the InfluxDB server failed")]
    Tls(#[source] reqwest::Error),
    /// No client can be made.
    #[error("no client for InfluxDB can be made: {0}")]
    Client(String),
    /// It took too long.
    #[error("InfluxDB did not answer within {0:?}")]
    Timeout(Duration),
    /// It refused.
    #[error("InfluxDB refused the query with status {0}")]
    Refused(u16),
    /// It answered something else.
    #[error("the answer of InfluxDB is not what a query is answered: {0}")]
    Unreadable(&'static str),
    /// It answered too much.
    #[error("the answer of InfluxDB is larger than {0} bytes")]
    TooLarge(usize),
}

impl Error {
    /// What went wrong, in the words that clients know.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Place(_) => "influx_target_not_allowed",
            Self::Name(_) | Self::Connection(_) | Self::Client(_) => "influx_connection_error",
            Self::Tls(_) => "influx_tls_error",
            Self::Timeout(_) => "influx_timeout",
            Self::Refused(_) => "influx_upstream_error",
            Self::Unreadable(_) => "influx_invalid_response",
            Self::TooLarge(_) => "influx_response_too_large",
        }
    }

    /// Which kind of failure it is.
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Place(_) => ErrorKind::Validation,
            Self::Name(_) | Self::Connection(_) | Self::Tls(_) => ErrorKind::Connection,
            Self::Timeout(_) => ErrorKind::Timeout,
            Self::Refused(401) => ErrorKind::Authentication,
            Self::Refused(403) => ErrorKind::Permission,
            Self::Refused(404) => ErrorKind::NotFound,
            Self::Refused(429) => ErrorKind::RateLimit,
            Self::Client(_) => ErrorKind::Internal,
            Self::Refused(_) | Self::Unreadable(_) | Self::TooLarge(_) => ErrorKind::Unknown,
        }
    }
}

impl Server {
    /// The figures that fit `query`.
    ///
    /// # Errors
    ///
    /// [`Error`]; none of them repeats the token or the query.
    pub async fn ask(&self, query: &Query) -> Result<Figures, Error> {
        let asking = async {
            let addresses = place::locate(&self.url).await?;
            self.ask_at(&addresses, query).await
        };
        let answer = tokio::time::timeout(self.limit, asking).await;
        answer.unwrap_or(Err(Error::Timeout(self.limit)))
    }

    /// As [`Self::ask`], at `addresses`: what the name resolves to a second time is not asked for.
    pub(in crate::proxmox) async fn ask_at(&self, addresses: &[SocketAddr], query: &Query) -> Result<Figures, Error> {
        let host = self.url.host_str().unwrap_or_default();
        let tls = client_config(&self.tls).map_err(|error| Error::Client(error.to_string()))?;
        let client = Client::builder()
            .tls_backend_preconfigured(tls)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .resolve_to_addrs(host, addresses)
            .build()
            .map_err(|error| Error::Client(error.to_string()))?;
        let mut token = HeaderValue::try_from(format!("Token {}", self.token.expose_secret()))
            .map_err(|_| Error::Client("the token cannot be sent".to_owned()))?;
        token.set_sensitive(true);
        let mut url = self.url.clone();
        url.set_path(&format!("{}/api/v2/query", self.url.path().trim_end_matches('/')));
        let body = json!({
            "query": query.to_flux(), "type": "flux",
            "dialect": {"header": true, "delimiter": ",", "annotations": ["datatype", "group", "default"]},
        });
        let request = client.post(url).query(&[("org", &self.organization)]);
        let request = request.header(AUTHORIZATION, token).header(ACCEPT, "application/csv");
        let response = request.json(&body).send().await.map_err(broken)?;
        if !response.status().is_success() {
            return Err(Error::Refused(response.status().as_u16()));
        }
        let csv = self.receive(response).await?;
        Figures::parse(&csv, query.max_rows)
    }

    async fn receive(&self, mut response: Response) -> Result<BytesMut, Error> {
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(broken)? {
            if body.len() + chunk.len() > self.max_bytes {
                return Err(Error::TooLarge(self.max_bytes));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

fn broken(error: reqwest::Error) -> Error {
    let error = error.without_url();
    if super::fault::is_tls(&error) {
        Error::Tls(error)
    } else {
        Error::Connection(error)
    }
}
