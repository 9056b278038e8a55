//! The proof of who we are: a token's header, or a ticket that is fetched, renewed and replaced.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use reqwest::Method;
use reqwest::header::{AUTHORIZATION, COOKIE, HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::Value;
use std::sync::Arc;
use tokio::time::Instant;
use tracing::debug;

use super::client::{Call, Client};
use super::credential::Credential;
use super::endpoint::Endpoint;
use super::error::Error;
use super::flight::Flight;
use super::navigate::{Path, encode, form};
use super::wire;
use crate::endpoint::Product;

/// Half of a ticket's two hours.
const RENEWAL: Duration = Duration::from_hours(1);
/// After this, a minute before its end, a ticket is not worth trying to renew.
const LIFE: Duration = Duration::from_mins(119);
/// How long a refused password is not tried again, so that many callers do not lock the account.
const REFUSED: Duration = Duration::from_secs(10);
const CSRF: HeaderName = HeaderName::from_static("csrfpreventiontoken");

/// How one session proves who it is.
#[derive(Debug)]
pub(super) enum Login {
    Token(HeaderMap),
    Ticket(Box<TicketLogin>),
}

/// A ticket's place: fetched by one, used by all.
#[derive(Debug)]
pub(super) struct TicketLogin {
    username: String,
    password: SecretString,
    flight: Flight<Ticket>,
    /// A plain lock: held for copies.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    ticket: Option<Ticket>,
    refused: Option<(Error, Instant)>,
    issued: u64,
}

#[derive(Debug, Clone)]
struct Ticket {
    number: u64,
    value: SecretString,
    reading: HeaderMap,
    writing: HeaderMap,
    since: Instant,
}

/// Headers for one exchange, and which ticket they stand for.
#[derive(Debug)]
pub(super) struct Proof {
    pub(super) headers: HeaderMap,
    ticket: Option<u64>,
}

impl Login {
    /// Prepares the proof; sends nothing.
    pub(super) fn new(endpoint: &Endpoint) -> Result<Self, Error> {
        let username = endpoint.username.trim().to_owned();
        match &endpoint.credential {
            Credential::Password(password) => Ok(Self::Ticket(Box::new(TicketLogin {
                username,
                password: password.clone(),
                flight: Flight::new(),
                state: Mutex::new(State::default()),
            }))),
            Credential::Token { name, secret } => {
                let id = format!("{username}!{name}");
                // The sister products part the name and the secret otherwise.
                let separator = match endpoint.product {
                    Product::VirtualEnvironment => '=',
                    Product::BackupServer | Product::DatacenterManager => ':',
                };
                let (scheme, secret) = (endpoint.product.as_str(), token_text(secret.expose_secret()));
                let text = format!("{scheme}APIToken={}{separator}{secret}", token_text(&id));
                let value = secret_header(&text)
                    .ok_or_else(|| endpoint.invalid("the token cannot stand in a header".to_owned()))?;
                Ok(Self::Token(HeaderMap::from_iter([(AUTHORIZATION, value)])))
            }
        }
    }

    /// The headers for a call that reads or writes; logs in where that is needed.
    pub(super) async fn proof(&self, client: &Client, is_read: bool) -> Result<Proof, Error> {
        match self {
            Self::Token(headers) => Ok(Proof {
                headers: headers.clone(),
                ticket: None,
            }),
            Self::Ticket(login) => Ok(login.ticket(client).await?.proof(is_read)),
        }
    }

    /// New headers after `refused` ones were answered with 401; `None` where no new login can help.
    pub(super) async fn again(&self, client: &Client, refused: &Proof, is_read: bool) -> Result<Option<Proof>, Error> {
        let (Self::Ticket(login), Some(number)) = (self, refused.ticket) else {
            return Ok(None);
        };
        login.forget(number);
        Ok(Some(login.ticket(client).await?.proof(is_read)))
    }
}

impl Ticket {
    fn proof(&self, is_read: bool) -> Proof {
        let headers = if is_read { &self.reading } else { &self.writing };
        Proof {
            headers: headers.clone(),
            ticket: Some(self.number),
        }
    }
}

impl TicketLogin {
    async fn ticket(&self, client: &Client) -> Result<Ticket, Error> {
        if let Some(known) = self.known() {
            return known;
        }
        let fetch = || async {
            match self.known() {
                Some(known) => known,
                None => self.fetch(client).await,
            }
        };
        self.flight.join(fetch).await
    }

    /// A ticket in its first half of life, or a refusal that is still fresh.
    fn known(&self) -> Option<Result<Ticket, Error>> {
        let state = self.lock();
        if let Some(ticket) = state.ticket.as_ref().filter(|ticket| ticket.since.elapsed() < RENEWAL) {
            return Some(Ok(ticket.clone()));
        }
        let refused = state.refused.as_ref().filter(|(_, when)| when.elapsed() < REFUSED);
        refused.map(|(error, _)| Err(error.clone()))
    }

    /// Renews with the old ticket while it lives, else logs in with the password.
    async fn fetch(&self, client: &Client) -> Result<Ticket, Error> {
        let old = self
            .lock()
            .ticket
            .clone()
            .filter(|ticket| ticket.since.elapsed() < LIFE);
        if let Some(old) = old {
            match self.ask(client, &old.value).await {
                Err(Error::AuthFailed { .. }) => debug!("the ticket cannot be renewed; logging in anew"),
                renewed => return renewed,
            }
        }
        let outcome = self.ask(client, &self.password).await;
        if let Err(error @ (Error::AuthFailed { .. } | Error::SecondFactorRequired { .. })) = &outcome {
            let mut state = self.lock();
            state.ticket = None;
            state.refused = Some((error.clone(), Instant::now()));
        }
        outcome
    }

    async fn ask(&self, client: &Client, password: &SecretString) -> Result<Ticket, Error> {
        let call = Call {
            method: Method::POST,
            path: Path::parse("access/ticket")?,
            parameters: form(&[
                ("username", self.username.as_str().into()),
                ("password", password.clone().into()),
            ]),
            within: None,
        };
        let answer = client.exchange(&call, &HeaderMap::new()).await?;
        // The parser's own complaint could repeat a piece of the ticket.
        let undecodable = || Error::Decode {
            call: call.label(),
            source: Arc::new(<serde_json::Error as serde::de::Error>::custom(
                "the answer holds no usable ticket",
            )),
        };
        let Ok(TicketAnswer { data }) = serde_json::from_slice(&answer.body) else {
            return Err(undecodable());
        };
        let needs_code = wire::flag_of(&data.need_tfa).unwrap_or(Some(true)).unwrap_or(false);
        if needs_code || data.ticket.expose_secret().starts_with("PVE:!tfa!") {
            return Err(Error::SecondFactorRequired {
                username: self.username.clone(),
            });
        }
        self.keep(data).ok_or_else(undecodable)
    }

    fn keep(&self, data: TicketData) -> Option<Ticket> {
        let cookie = secret_header(&format!("PVEAuthCookie={}", encode(data.ticket.expose_secret())))?;
        let reading = HeaderMap::from_iter([(COOKIE, cookie)]);
        let mut writing = reading.clone();
        writing.insert(CSRF, secret_header(data.csrf.expose_secret())?);
        let mut state = self.lock();
        state.issued += 1;
        let ticket = Ticket {
            number: state.issued,
            value: data.ticket,
            reading,
            writing,
            since: Instant::now(),
        };
        state.ticket = Some(ticket.clone());
        state.refused = None;
        Some(ticket)
    }

    /// Drops the ticket with `number`; a newer one stays.
    fn forget(&self, number: u64) {
        let mut state = self.lock();
        if state.ticket.as_ref().is_some_and(|ticket| ticket.number == number) {
            state.ticket = None;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Deserialize)]
struct TicketAnswer {
    data: TicketData,
}

#[derive(Deserialize)]
struct TicketData {
    ticket: SecretString,
    #[serde(rename = "CSRFPreventionToken", default)]
    csrf: SecretString,
    #[serde(rename = "NeedTFA", default)]
    need_tfa: Value,
}

/// A header value that never shows up in `Debug`.
fn secret_header(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The server decodes percent signs in a token and stops reading at a semicolon.
fn token_text(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_ascii_graphic() && !matches!(c, '%' | ';' | '"' | ',') {
                c.to_string()
            } else {
                encode(&c.to_string())
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_text_hides_what_the_server_would_misread() {
        for (text, wanted) in [
            ("sync@pve!netbox", "sync@pve!netbox"),
            ("a%b;c", "a%25b%3Bc"),
            ("ü", "%C3%BC"),
            ("a b", "a%20b"),
        ] {
            assert_eq!(token_text(text), wanted, "{text}");
        }
    }
}
