//! The transport: HTTP/1.1 as `pveproxy` speaks it, to the first address of an endpoint that can be reached.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::BytesMut;
use reqwest::header::HeaderMap;
use reqwest::{Body, Method, Response};
use secrecy::SecretString;
use tokio::time::{Instant, timeout};
use tracing::{debug, warn};

use super::breaker::Breaker;
use super::endpoint::{Address, Endpoint, Scheme};
use super::error::Error;
use super::gate::Class;
use super::line::{Line, Trunk};
use super::navigate::Path;

/// How long the address that worked is asked first.
const MEMORY: Duration = Duration::from_mins(5);
/// Nodes of the same cluster that are asked when no configured address can be reached.
const SPARE_LINES: usize = 3;

/// One request, without the proof of who we are.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) path: Path,
    /// Encoded parameters: in the query of GET and DELETE, in the body of POST and PUT.
    pub(super) parameters: SecretString,
    /// A limit of the caller's own.
    pub(super) within: Option<Duration>,
}

impl Call {
    /// Method and path, for errors and logs.
    pub(super) fn label(&self) -> String {
        format!("{} {}", self.method, self.path.plain)
    }

    /// Whether repeating it can do no harm.
    pub(super) fn is_read(&self) -> bool {
        self.method == Method::GET
    }

    /// Whether parameters travel in the body.
    pub(super) fn has_body(&self) -> bool {
        self.method == Method::POST || self.method == Method::PUT
    }
}

/// A successful answer as it came.
#[derive(Debug)]
pub(super) struct Success {
    pub(super) body: BytesMut,
    /// Host and port that answered.
    pub(super) address: String,
}

/// The connections to one endpoint.
#[derive(Debug)]
pub(super) struct Client {
    trunk: Trunk,
    /// The configured addresses.
    lines: Vec<Arc<Line>>,
    /// Other nodes of the same cluster. A plain lock: held for copies.
    spare: Mutex<Vec<Arc<Line>>>,
    label: String,
    patience: Duration,
    breaker: Breaker,
    /// The line that worked last, and when. A plain lock: held for a copy.
    worked: Mutex<Option<(Arc<Line>, Instant)>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Client {
    /// Sets everything up for `addresses`, first choice first; sends nothing.
    pub(super) fn new(endpoint: &Endpoint, scheme: Scheme, addresses: &[Address]) -> Result<Self, Error> {
        let trunk = Trunk::new(endpoint, scheme)?;
        let lines: Result<_, _> = addresses
            .iter()
            .map(|address| Line::new(&trunk, address).map(Arc::new))
            .collect();
        if endpoint.tls.accepts_anything() && scheme == Scheme::Https {
            warn!(endpoint.id = %endpoint.key, endpoint.name, "certificates of this Proxmox endpoint are not checked");
        }
        Ok(Self {
            lines: lines?,
            trunk,
            spare: Mutex::default(),
            label: endpoint.address(),
            patience: endpoint.timeout,
            breaker: Breaker::default(),
            worked: Mutex::new(None),
        })
    }

    /// Notes the addresses of other nodes of the same cluster, to be asked under the same TLS policy when no configured
    /// address can be reached.
    pub(super) fn learn(&self, nodes: &[IpAddr]) {
        let known = lock(&self.spare).clone();
        let addresses = nodes.iter().map(|ip| Address {
            host: ip.to_string(),
            dial: None,
        });
        let mut spare = Vec::new();
        for address in addresses {
            let label = address.label(self.trunk.port());
            if spare.len() == SPARE_LINES || self.lines.iter().any(|line| line.label == label) {
                continue;
            }
            let line = known.iter().find(|line| line.label == label).map(Arc::clone);
            spare.extend(line.or_else(|| Line::new(&self.trunk, &address).ok().map(Arc::new)));
        }
        *lock(&self.spare) = spare;
    }

    /// Sends `call` with the `proof` headers and reads the whole answer.
    ///
    /// A read is repeated once when a connection breaks before the first byte of the answer, as happens when the server
    /// closes an idle connection the moment it is picked.
    pub(super) async fn exchange(&self, call: &Call, proof: &HeaderMap) -> Result<Success, Error> {
        let admission = self.breaker.admit().map_err(|open| Error::CircuitOpen {
            address: self.label.clone(),
            retry_after: open.retry_after,
            source: open.last,
        })?;
        let outcome = self.over_lines(call, proof).await;
        match &outcome {
            Err(error) if error.is_unreachable() => admission.failed(error),
            Ok(_) | Err(_) => admission.reached(),
        }
        outcome
    }

    /// Sends a file over the line that worked last, without taking a place of other calls.
    pub(super) async fn send_file(&self, call: &Call, proof: &HeaderMap, body: Body) -> Result<Success, Error> {
        let line = self.best()?;
        let limit = call.within.unwrap_or(self.patience);
        let exchange = async { line.receive(line.send_file(call, proof, body).await?, call).await };
        timeout(limit, exchange)
            .await
            .unwrap_or_else(|_| Err(late(call, &line, limit)))
    }

    /// Asks for a file over the line that worked last; the body of the answer is still to come.
    pub(super) async fn open_file(&self, call: &Call, proof: &HeaderMap) -> Result<Response, Error> {
        let line = self.best()?;
        let limit = Class::StorageContent.limit(self.patience);
        let opening = async {
            let response = line.send(call, proof).await?;
            if response.status().is_success() {
                return Ok(response);
            }
            Err(line.refusal(response, call).await)
        };
        timeout(limit, opening)
            .await
            .unwrap_or_else(|_| Err(late(call, &line, limit)))
    }

    fn best(&self) -> Result<Arc<Line>, Error> {
        self.order().into_iter().next().ok_or(Error::Closed)
    }

    /// Another address is asked only when the one before could not be connected to: then nothing was sent, and no
    /// second host gets to count a wrong password.
    async fn over_lines(&self, call: &Call, proof: &HeaderMap) -> Result<Success, Error> {
        let mut earlier: Option<Error> = None;
        for line in self.order() {
            let error = match self.on_line(&line, call, proof).await {
                Ok(success) => {
                    self.remember(&line);
                    return Ok(success);
                }
                Err(error) => error,
            };
            let is_configured = self.lines.iter().any(|configured| Arc::ptr_eq(configured, &line));
            // The policy may well not cover the other nodes; that must not hide what the configured address said.
            let is_useless_spare = !is_configured && matches!(error, Error::Tls { .. });
            if !error.is_unreachable() && !is_useless_spare {
                if error.answer().is_some() {
                    self.remember(&line);
                }
                return Err(error);
            }
            debug!(address = line.label, error = %error, "address cannot be reached");
            if is_configured {
                earlier = Some(joined(earlier, error));
            }
        }
        Err(earlier.unwrap_or(Error::Closed))
    }

    async fn on_line(&self, line: &Line, call: &Call, proof: &HeaderMap) -> Result<Success, Error> {
        let class = Class::of(call.method.as_str(), &call.path.plain);
        let limit = call.within.unwrap_or_else(|| class.limit(self.patience));
        let exchange = async {
            let response = match line.send(call, proof).await {
                Err(Error::Lost { .. }) if call.is_read() => line.send(call, proof).await?,
                other => other?,
            };
            line.receive(response, call).await
        };
        match timeout(limit, exchange).await {
            Ok(outcome) => outcome,
            Err(_) => Err(late(call, line, limit)),
        }
    }

    /// The line that worked lately, then the configured ones, then the spare ones.
    fn order(&self) -> Vec<Arc<Line>> {
        let worked = lock(&self.worked).clone();
        let first = worked.filter(|(_, when)| when.elapsed() < MEMORY).map(|(line, _)| line);
        let spare = lock(&self.spare).clone();
        let mut lines: Vec<Arc<Line>> = first.into_iter().collect();
        for line in self.lines.iter().chain(&spare) {
            if !lines.iter().any(|known| Arc::ptr_eq(known, line)) {
                lines.push(Arc::clone(line));
            }
        }
        lines
    }

    fn remember(&self, line: &Arc<Line>) {
        let mut worked = lock(&self.worked);
        // The preferred address is given another chance every few minutes, however busy the other one is.
        let is_known = worked
            .as_ref()
            .is_some_and(|(known, when)| Arc::ptr_eq(known, line) && when.elapsed() < MEMORY);
        if !is_known {
            *worked = Some((Arc::clone(line), Instant::now()));
        }
    }
}

fn late(call: &Call, line: &Line, limit: Duration) -> Error {
    Error::Timeout {
        call: call.label(),
        address: line.label.clone(),
        limit,
    }
}

fn joined(earlier: Option<Error>, error: Error) -> Error {
    match earlier {
        None => error,
        Some(first) => Error::BothAddresses {
            first: Box::new(first),
            second: Box::new(error),
        },
    }
}
