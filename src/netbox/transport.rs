//! One request and its answer: credentials, limits of size and time, the breaker, the gate, and repetitions.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, StatusCode};
use tokio::sync::{OnceCell, Semaphore};
use tokio::time::Instant;

use super::answer::{Answer, redirect_target, sort};
use super::breaker::Breaker;
use super::connection;
use super::endpoint::Endpoint;
use super::error::Error;
use super::gate::{Gate, Load};
use super::lanes::{Lanes, Work};
use super::retry::{self, Budget};
use super::scheme;
use super::stagger::Stagger;
use super::tls;
use super::version::NetBoxVersion;

/// Longest silence inside an answer that has begun.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
const PROBE_TIMEOUT: Duration = Duration::from_secs(10);
const BRANCH_HEADER: &str = "X-NetBox-Branch";
const MIB: usize = 1 << 20;
/// An answer that has taken this part of the time that it may take is a sign of overload.
const SLOW: u32 = 4;

/// What kind of answer is awaited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// A small answer that must come quickly: status, settings, permissions. Repeated once at most.
    Probe,
    /// Rows, read or written.
    Rows,
}

impl Class {
    const fn largest_answer(self) -> usize {
        match self {
            Self::Probe => 4 * MIB,
            Self::Rows => 64 * MIB,
        }
    }
}

/// One request.
#[derive(Debug, Clone)]
pub(super) struct Call<'a> {
    pub(super) method: Method,
    /// Begins with `/api/`, ends with `/`.
    pub(super) path: &'a str,
    /// Encoded, without the question mark.
    pub(super) query: String,
    pub(super) body: Option<Bytes>,
    /// How many rows the body has, where it is a list of them.
    pub(super) rows: usize,
    /// How long NetBox takes to make one of them, in ms, compared with rows of other kinds; 0: not known.
    pub(super) row_millis: u32,
    pub(super) class: Class,
    pub(super) branch: Option<&'a str>,
}

impl<'a> Call<'a> {
    pub(super) fn get(path: &'a str, query: String, class: Class) -> Self {
        Self {
            method: Method::GET,
            path,
            query,
            body: None,
            rows: 0,
            row_millis: 0,
            class,
            branch: None,
        }
    }

    fn is_write(&self) -> bool {
        self.method != Method::GET
    }

    /// Whether sending it twice has the same effect as sending it once.
    fn is_repeatable(&self) -> bool {
        self.method != Method::POST
    }

    /// Whether sending the same again after `outcome` is safe and promising. Several rows may have been too many at once:
    /// who writes them sends fewer, unless NetBox itself asks to be given time.
    fn is_worth_repeating(&self, outcome: &Result<Answer, Error>) -> bool {
        let asks_for_time = matches!(
            outcome,
            Ok(answer) if answer.status == StatusCode::SERVICE_UNAVAILABLE && answer.retry_after.is_some()
        );
        is_certainly_not_done(outcome) || (self.is_repeatable() && (self.rows <= 1 || asks_for_time))
    }
}

/// No answer.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) error: Error,
    /// NetBox may have carried the request out.
    pub(super) may_have_landed: bool,
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        failure.error
    }
}

/// The connection to one NetBox, shared by all handles.
#[derive(Debug)]
pub(super) struct Transport {
    reader: reqwest::Client,
    writers: Lanes<reqwest::Client>,
    tls: rustls::ClientConfig,
    endpoint: Endpoint,
    /// Scheme, host and port; empty until the scheme is known.
    base: OnceCell<String>,
    assumed_base: String,
    /// What the latest answer told, and when.
    release: Mutex<Option<(NetBoxVersion, Instant)>>,
    authorization: HeaderValue,
    reads: Arc<Gate>,
    writes: Arc<Gate>,
    write_turns: Stagger,
    /// Places for requests of either kind, where their number is limited.
    places: Option<Semaphore>,
    breaker: Breaker,
    budget: Budget,
}

impl Transport {
    pub(super) fn new(endpoint: Endpoint) -> Result<Self, Error> {
        let authorization = endpoint.token.header()?;
        let assumed_base = endpoint.base_url(endpoint.assumed_scheme())?;
        let known = (!endpoint.must_find_scheme()).then(|| assumed_base.clone());
        let tls = tls::config(&endpoint)?;
        Ok(Self {
            reader: connection::reader(tls.clone())?,
            writers: Lanes::default(),
            tls,
            base: OnceCell::new_with(known),
            assumed_base,
            release: Mutex::new(None),
            authorization,
            reads: Gate::new(endpoint.limits.read),
            writes: Gate::new(endpoint.limits.write),
            write_turns: Stagger::default(),
            places: endpoint
                .limits
                .total
                .map(|total| Semaphore::new(total.clamp(1, Semaphore::MAX_PERMITS))),
            breaker: Breaker::default(),
            budget: Budget::new(),
            endpoint,
        })
    }

    pub(super) fn base_url(&self) -> &str {
        self.base.get().unwrap_or(&self.assumed_base)
    }

    /// Scheme, host, port and path; found out first where that must be.
    async fn base(&self) -> Result<&str, Error> {
        let find = async || {
            let found = scheme::find(&self.reader, &self.endpoint).await?;
            self.learn(found.release);
            Ok(found.base)
        };
        self.base.get_or_try_init(find).await.map(String::as_str)
    }

    /// The release that an answer has told within `life`, be it the one to the search for the scheme, which is made once more
    /// where that may help.
    pub(super) async fn release(&self, life: Duration) -> Result<Option<NetBoxVersion>, Error> {
        if let Err(error) = self.base().await {
            if self.endpoint.max_retries == 0 || !error.is_transient() {
                return Err(error);
            }
            tracing::debug!(%error, "the scheme of NetBox is not known yet");
            tokio::time::sleep(retry::pause(self.endpoint.retry_delay, 0, None, retry::share())).await;
            self.base().await?;
        }
        let told = *self.release.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(told.filter(|(_, at)| at.elapsed() < life).map(|(release, _)| release))
    }

    fn learn(&self, release: Option<NetBoxVersion>) {
        if let Some(release) = release {
            *self.release.lock().unwrap_or_else(PoisonError::into_inner) = Some((release, Instant::now()));
        }
    }

    #[cfg(test)]
    pub(super) fn read_places(&self) -> usize {
        self.reads.limit()
    }

    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Sends `call`, again where that is safe and promising, and returns the last answer.
    pub(super) async fn call(&self, call: &Call<'_>) -> Result<Answer, Failure> {
        let unsent = |error| Failure {
            error,
            may_have_landed: false,
        };
        check_path(call.path).map_err(unsent)?;
        let mut turn = self.breaker.enter().await.map_err(unsent)?;
        let mut attempt = 0;
        let mut may_have_landed = false;
        loop {
            let outcome = self.attempt(call).await;
            turn.go_on(&outcome);
            if !turn.is_probe()
                && let Some(pause) = self.pause_before_repeating(call, attempt, &outcome)
            {
                may_have_landed |= !is_certainly_not_done(&outcome);
                tracing::debug!(
                    path = call.path,
                    attempt,
                    pause_ms = pause.as_millis(),
                    "request to NetBox is repeated"
                );
                tokio::time::sleep(pause).await;
                attempt += 1;
                continue;
            }
            turn.end(call, &outcome);
            return match outcome {
                Ok(answer) => Ok(Answer {
                    is_repeated: may_have_landed,
                    ..answer
                }),
                Err(error) => {
                    let may_have_landed = may_have_landed || !error.is_certainly_unsent();
                    Err(Failure { error, may_have_landed })
                }
            };
        }
    }

    /// `None` when the outcome is final: a success, nothing that time heals, not safe to repeat, or no attempts left.
    fn pause_before_repeating(
        &self,
        call: &Call<'_>,
        attempt: u32,
        outcome: &Result<Answer, Error>,
    ) -> Option<Duration> {
        let limit = match (call.class, outcome) {
            // All the time that an answer may take has gone by already.
            (Class::Probe, _) | (_, Err(Error::Timeout { .. })) => self.endpoint.max_retries.min(1),
            (Class::Rows, _) => self.endpoint.max_retries,
        };
        let asked = match outcome {
            Ok(answer) if matches!(answer.status.as_u16(), 429 | 502..=504) => answer.retry_after,
            Err(error) if error.is_transient() => None,
            Ok(_) => {
                self.budget.earn();
                return None;
            }
            Err(_) => return None,
        };
        let may_repeat = attempt < limit && call.is_worth_repeating(outcome) && self.budget.take();
        may_repeat.then(|| retry::pause(self.endpoint.retry_delay, attempt, asked, retry::share()))
    }

    async fn attempt(&self, call: &Call<'_>) -> Result<Answer, Error> {
        let base = self.base().await?;
        let gate = if call.is_write() { &self.writes } else { &self.reads };
        let pass = gate.enter().await;
        // Never closed. Taken last, so that who holds one waits for nobody but NetBox.
        let _place = match &self.places {
            Some(places) => places.acquire().await.ok(),
            None => None,
        };
        let _turn = if call.is_write() {
            Some(self.write_turns.turn().await)
        } else {
            None
        };
        let began = Instant::now();
        let outcome = if call.is_write() {
            self.exchange_in_lane(base, call).await
        } else {
            self.exchange(&self.reader, base, call).await
        };
        let is_slow = call.class == Class::Rows && began.elapsed() > self.endpoint.timeout / SLOW;
        pass.leave(Load::of(&outcome, is_slow));
        outcome
    }

    /// One that is not answered leaves its connection in an unknown state: that is not used again.
    async fn exchange_in_lane(&self, base: &str, call: &Call<'_>) -> Result<Answer, Error> {
        let lane = self.writers.take(|| connection::writer(self.tls.clone()))?;
        let answer = self.exchange(lane.connection(), base, call).await?;
        let is_made = answer.status.is_success();
        lane.done(Work {
            rows: call.rows,
            row_millis: if is_made { call.row_millis } else { 0 },
        });
        Ok(answer)
    }

    async fn exchange(&self, http: &reqwest::Client, base: &str, call: &Call<'_>) -> Result<Answer, Error> {
        let separator = if call.query.is_empty() { "" } else { "?" };
        let own = self.endpoint.timeout;
        let limit = match call.class {
            Class::Probe => PROBE_TIMEOUT.min(own),
            Class::Rows => own,
        };
        let mut request = http
            .request(
                call.method.clone(),
                format!("{base}{}{separator}{}", call.path, call.query),
            )
            .header(AUTHORIZATION, self.authorization.clone())
            .timeout(limit);
        if let Some(branch) = call.branch {
            request = request.header(BRANCH_HEADER, branch);
        }
        if let Some(body) = &call.body {
            request = request.header(CONTENT_TYPE, "application/json").body(body.clone());
        }
        let sorted = |error: reqwest::Error| sort(error, call.path, base, (limit, limit == own));
        let mut response = request.send().await.map_err(sorted)?;
        if response.status().is_redirection() {
            return Err(Error::Redirect {
                path: call.path.to_owned(),
                target: redirect_target(&response),
            });
        }
        let largest = if response.status().is_success() {
            call.class.largest_answer()
        } else {
            MIB
        };
        let mut body = BytesMut::new();
        loop {
            let chunk = tokio::time::timeout(IDLE_TIMEOUT, response.chunk()).await;
            let chunk = chunk.map_err(|_| Error::Timeout {
                path: call.path.to_owned(),
                limit: IDLE_TIMEOUT,
                is_tunable: false,
            })?;
            let Some(chunk) = chunk.map_err(sorted)? else { break };
            if body.len() + chunk.len() > largest {
                return Err(Error::TooLarge {
                    path: call.path.to_owned(),
                    limit: largest,
                });
            }
            body.extend_from_slice(&chunk);
        }
        let answer = Answer::new(&response, body.freeze());
        self.learn(answer.release);
        Ok(answer)
    }
}

/// Only plain paths below `/api/`: nothing a caller puts together may leave that space or smuggle in a query.
fn check_path(path: &str) -> Result<(), Error> {
    let is_plain = path
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'-' | b'_' | b'.'));
    let is_canonical = !path.contains("//") && !path.split('/').any(|part| part == "." || part == "..");
    if path.starts_with("/api/") && path.ends_with('/') && is_plain && is_canonical {
        return Ok(());
    }
    Err(Error::Request {
        path: path.to_owned(),
        problem: "not a plain path from /api/ to a slash",
    })
}

/// A request limit refuses before anything is done; without a connection nothing was sent.
fn is_certainly_not_done(outcome: &Result<Answer, Error>) -> bool {
    match outcome {
        Ok(answer) => answer.status == StatusCode::TOO_MANY_REQUESTS,
        Err(error) => error.is_certainly_unsent(),
    }
}
