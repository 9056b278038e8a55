//! One long-lived session per endpoint: who we are there, how calls are queued and repeated, and what came back.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::Response;
use reqwest::header::HeaderMap;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;
use tracing::debug;

use super::classify::node_of;
use super::client::{Call, Client, Success};
use super::endpoint::{Address, Endpoint, Scheme};
use super::error::Error;
use super::gate::{Class, Gates};
use super::login::Login;
use super::metadata::MetadataCell;
use super::recent::Recent;

/// Longest pause before a repetition.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Least base of the pause before a locked object is asked for again.
const LOCK_PAUSE: Duration = Duration::from_millis(500);
/// How long a call that a release does not offer is not sent again.
const ABSENCE: Duration = Duration::from_mins(10);

/// A session with one endpoint. Clones share connections, ticket, queues and metadata; nothing needs closing.
#[derive(Clone)]
pub struct Session {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) endpoint: Endpoint,
    pub(super) client: Client,
    login: Login,
    gates: Gates,
    pub(super) metadata: MetadataCell,
    pub(super) recent: Recent,
    /// Reads that were answered with 501, and when. A plain lock: held for a look-up.
    absent: Mutex<HashMap<String, (Error, Instant)>>,
}

impl fmt::Debug for Session {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Session")
            .field("endpoint", &self.inner.endpoint)
            .finish_non_exhaustive()
    }
}

/// What Proxmox answered to a successful call.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The payload; `null` for most writes.
    pub data: Value,
    /// On paged lists: how many rows there are in all, not only in this answer.
    pub total: Option<u64>,
    /// On network lists: the pending changes as a text diff.
    pub changes: Option<String>,
    /// Host and port that answered.
    pub address: String,
}

#[derive(Deserialize)]
struct Envelope {
    #[serde(default, deserialize_with = "present")]
    data: Option<Value>,
    #[serde(default, deserialize_with = "super::wire::number")]
    total: Option<u64>,
    #[serde(default)]
    changes: Value,
}

/// Tells `"data": null` from no `data` at all.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

impl Session {
    /// Prepares a session over TLS; sends nothing.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidEndpoint`] where the definition cannot be used: no address, an unusable CA or token.
    pub fn new(endpoint: Endpoint) -> Result<Self, Error> {
        Self::with_scheme(endpoint, Scheme::Https)
    }

    /// As [`Session::new`], for a server that may speak plain HTTP: the mock, or a test's.
    ///
    /// # Errors
    ///
    /// As [`Session::new`].
    pub fn with_scheme(endpoint: Endpoint, scheme: Scheme) -> Result<Self, Error> {
        let addresses = endpoint.addresses()?;
        Self::over(endpoint, scheme, &addresses)
    }

    /// A session that reaches `endpoint` over `addresses`.
    pub(super) fn over(endpoint: Endpoint, scheme: Scheme, addresses: &[Address]) -> Result<Self, Error> {
        let inner = Inner {
            client: Client::new(&endpoint, scheme, addresses)?,
            login: Login::new(&endpoint)?,
            gates: Gates::new(endpoint.max_parallel),
            metadata: MetadataCell::default(),
            recent: Recent::default(),
            absent: Mutex::new(HashMap::new()),
            endpoint,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Whether `other` is a clone of this session.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    /// The definition this session was made from.
    pub fn endpoint(&self) -> &Endpoint {
        &self.inner.endpoint
    }

    /// Sends `call`, repeats it where that is safe and useful, and takes the answer out of its envelope.
    pub(super) async fn call(&self, call: &Call) -> Result<Answer, Error> {
        let success = self.fetch(call).await?;
        open(call, &success)
    }

    /// Sends `call`, repeats it where that is safe and useful, and answers what came.
    pub(super) async fn fetch(&self, call: &Call) -> Result<Success, Error> {
        if let Some(absent) = self.known_absence(call) {
            return Err(absent);
        }
        let mut attempt = 0;
        let mut first: Option<Error> = None;
        loop {
            let error = match self.attempt(call).await {
                Ok(success) => return Ok(success),
                Err(error @ (Error::CircuitOpen { .. } | Error::NodeSilent { .. })) => {
                    return Err(first.unwrap_or(error));
                }
                Err(error) => error,
            };
            let Some(pause) = self.pause_before_repeating(call, &error, attempt) else {
                self.note_absence(call, &error);
                return Err(error);
            };
            attempt += 1;
            debug!(call = call.label(), attempt, error = %error, "repeating a call to Proxmox");
            first.get_or_insert(error);
            tokio::time::sleep(pause).await;
        }
    }

    /// One exchange; in ticket mode a 401 is answered by one new login and one repetition.
    async fn attempt(&self, call: &Call) -> Result<Success, Error> {
        let Inner { client, login, .. } = &*self.inner;
        let proof = login.proof(client, call.is_read()).await?;
        let refused = match self.exchange(call, &proof.headers).await {
            Err(error @ Error::AuthFailed { .. }) => error,
            other => return other,
        };
        let Some(proof) = login.again(client, &proof, call.is_read()).await? else {
            return Err(refused);
        };
        self.exchange(call, &proof.headers).await
    }

    /// Sends `call` once there is a place for it. A read of a node that hangs is not sent: each would hold a place for as
    /// long as it is waited for.
    async fn exchange(&self, call: &Call, headers: &HeaderMap) -> Result<Success, Error> {
        let Inner { client, gates, .. } = &*self.inner;
        let pass = gates.enter(&call.path.plain).await;
        let Some(silence) = pass.silence.as_deref().filter(|_| call.is_read()) else {
            return client.exchange(call, headers).await;
        };
        let admission = silence.admit().map_err(|open| Error::NodeSilent {
            node: node_of(&call.path.plain).unwrap_or_default().to_owned(),
            retry_after: open.retry_after,
            source: open.last,
        })?;
        let outcome = client.exchange(call, headers).await;
        match &outcome {
            Err(error @ (Error::Timeout { .. } | Error::NodeTimeout { .. })) => admission.failed(error),
            Ok(_) | Err(_) => admission.reached(),
        }
        outcome
    }

    /// Sends a file with `headers` of its own, once.
    pub(super) async fn send_file(
        &self,
        call: &Call,
        headers: HeaderMap,
        body: reqwest::Body,
    ) -> Result<Success, Error> {
        let mut proof = self
            .inner
            .login
            .proof(&self.inner.client, call.is_read())
            .await?
            .headers;
        proof.extend(headers);
        self.inner.client.send_file(call, &proof, body).await
    }

    /// Asks for a file and answers as soon as the head of the answer is there.
    pub(super) async fn open_file(&self, call: &Call) -> Result<Response, Error> {
        let proof = self.inner.login.proof(&self.inner.client, call.is_read()).await?;
        self.inner.client.open_file(call, &proof.headers).await
    }

    /// How long to wait before the next attempt, or `None` where there must be none.
    ///
    /// Reads are repeated after what passes by itself, writes only where no connection was made. A locked object is
    /// asked for once more whatever the setting says; locks are short.
    fn pause_before_repeating(&self, call: &Call, error: &Error, attempt: u32) -> Option<Duration> {
        let endpoint = &self.inner.endpoint;
        let is_lock = matches!(error, Error::Busy { .. });
        // An agent that hangs would hang again, and hold one of the node's few places for as long.
        let hangs = matches!(error, Error::Timeout { .. }) && Class::of("GET", &call.path.plain) == Class::Agent;
        let may_repeat = match (call.is_read(), is_lock) {
            _ if hangs => false,
            (true, true) => attempt == 0,
            (true, false) => error.is_transient() && attempt < endpoint.max_retries,
            (false, _) => error.is_unreachable() && attempt < endpoint.max_retries,
        };
        if !may_repeat {
            return None;
        }
        if let Error::Unavailable {
            retry_after: Some(wait),
            ..
        } = error
        {
            return Some(*wait);
        }
        let base = if is_lock {
            endpoint.retry_backoff.max(LOCK_PAUSE)
        } else {
            endpoint.retry_backoff
        };
        let longest = base.saturating_mul(1 << attempt.min(16)).min(LONGEST_PAUSE);
        Some(longest.mul_f64(random_share()))
    }

    fn known_absence(&self, call: &Call) -> Option<Error> {
        let mut absent = self.inner.absent.lock().unwrap_or_else(PoisonError::into_inner);
        if !call.is_read() || absent.is_empty() {
            return None;
        }
        absent.retain(|_, (_, since)| since.elapsed() < ABSENCE);
        absent.get(&feature(&call.path.plain)).map(|(error, _)| error.clone())
    }

    fn note_absence(&self, call: &Call, error: &Error) {
        let is_absence = matches!(error, Error::NotImplemented { answer } if answer.status == 501);
        if call.is_read() && is_absence {
            let mut absent = self.inner.absent.lock().unwrap_or_else(PoisonError::into_inner);
            absent.insert(feature(&call.path.plain), (error.clone(), Instant::now()));
        }
    }

    /// Forgets which calls the release does not offer: it may just have been upgraded.
    pub(super) fn forget_absences(&self) {
        self.inner.absent.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// The path with guest and storage names taken out: what one guest's call lacks, those of its siblings lack as well.
fn feature(path: &str) -> String {
    let segments: Vec<&str> = path.split('/').collect();
    match segments.as_slice() {
        [
            "nodes",
            node,
            kind @ ("qemu" | "lxc" | "storage" | "tasks"),
            _,
            rest @ ..,
        ] if !rest.is_empty() => {
            format!("nodes/{node}/{kind}/*/{}", rest.join("/"))
        }
        _ => path.to_owned(),
    }
}

fn open(call: &Call, success: &Success) -> Result<Answer, Error> {
    let undecodable = |source: serde_json::Error| Error::Decode {
        call: call.label(),
        source: Arc::new(source),
    };
    let missing = || undecodable(serde::de::Error::custom("the envelope holds no `data`"));
    if success.body.is_empty() && !call.is_read() {
        return Ok(Answer {
            data: Value::Null,
            total: None,
            changes: None,
            address: success.address.clone(),
        });
    }
    // Task logs hold arbitrary bytes; one of them must not cost the whole answer.
    let text = String::from_utf8_lossy(&success.body);
    let envelope: Envelope = serde_json::from_str(&text).map_err(undecodable)?;
    Ok(Answer {
        data: envelope.data.ok_or_else(missing)?,
        total: envelope.total,
        changes: envelope
            .changes
            .as_str()
            .filter(|text| !text.is_empty())
            .map(str::to_owned),
        address: success.address.clone(),
    })
}

/// A random share between nothing and all, for full jitter; one half where the system has no randomness.
fn random_share() -> f64 {
    let random = getrandom::u32().unwrap_or(u32::MAX / 2);
    f64::from(random) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn feature_of_one_guest_is_that_of_all_on_its_node() {
        for (path, wanted) in [
            ("nodes/a/lxc/100/migrate", "nodes/a/lxc/*/migrate"),
            ("nodes/a/storage/s/identity", "nodes/a/storage/*/identity"),
            ("nodes/a/lxc/100", "nodes/a/lxc/100"),
            ("cluster/qemu/custom-cpu-models", "cluster/qemu/custom-cpu-models"),
        ] {
            assert_eq!(feature(path), wanted, "{path}");
        }
    }
}
