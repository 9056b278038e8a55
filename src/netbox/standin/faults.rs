//! Switches that make the stand-in misbehave the way real servers do.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value};

use super::refusal::Refusal;

/// What a request gets in place of its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// This status with a JSON detail; the request has no effect.
    Status(u16),
    /// This status with a page of HTML, as a proxy in front would send; no effect.
    Html(u16),
    /// 500 in the form of an exception of NetBox's own, as of a deadlock; no effect.
    Exception,
    /// 429 with `Retry-After` in seconds; no effect.
    RateLimited(u64),
    /// No answer as long as the stand-in runs; no effect.
    Hang,
    /// The end of the connection; no effect.
    Reset,
    /// The request takes effect, and then the connection ends before the answer.
    LoseAnswer,
    /// The answer, but this much later.
    Latency(Duration),
    /// An empty list, as if all its rows had been made only just after it was read.
    Unseen,
}

/// One fault with the requests it concerns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultRule {
    /// Method to match; `None` for every one.
    pub method: Option<String>,
    /// Path below `/api/` to match, with everything below it; empty for every path.
    pub path: String,
    /// Only bodies with more rows than this match.
    pub more_than: usize,
    /// How many matching requests pass before it happens.
    pub skip: u32,
    /// How many times it happens then; `None` for always.
    pub times: Option<u32>,
    /// What happens.
    pub fault: Fault,
}

impl FaultRule {
    /// `fault` on every request of `path`, always.
    pub fn on(path: &str, fault: Fault) -> Self {
        Self {
            method: None,
            path: path.trim_matches('/').trim_start_matches("api/").to_owned(),
            more_than: 0,
            skip: 0,
            times: None,
            fault,
        }
    }

    /// The same for one method only.
    #[must_use]
    pub fn method(mut self, method: &str) -> Self {
        self.method = Some(method.to_owned());
        self
    }

    /// The same for bodies with more than `rows` rows only.
    #[must_use]
    pub const fn larger_than(mut self, rows: usize) -> Self {
        self.more_than = rows;
        self
    }

    /// The same, only for the `k`-th request from now, counted from 1.
    #[must_use]
    pub fn only(mut self, k: u32) -> Self {
        self.skip = k.saturating_sub(1);
        self.times = Some(1);
        self
    }

    /// The same for every request after the next `k`.
    #[must_use]
    pub fn after(mut self, k: u32) -> Self {
        self.skip = k;
        self
    }

    /// Whether it happens to this request, which is counted.
    fn strikes(&mut self, method: &str, path: &str, body: &[u8]) -> bool {
        let is_below = self.path.is_empty()
            || path
                .strip_prefix(self.path.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        if !is_below || self.method.as_deref().is_some_and(|own| own != method) {
            return false;
        }
        if self.more_than > 0 && count_rows(body) <= self.more_than {
            return false;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        match &mut self.times {
            Some(0) => false,
            Some(times) => {
                *times -= 1;
                true
            }
            None => true,
        }
    }
}

fn count_rows(body: &[u8]) -> usize {
    serde_json::from_slice::<Vec<Value>>(body).map_or(1, |rows| rows.len())
}

#[derive(Debug, Clone)]
struct RowFault {
    path: String,
    name: String,
    /// Column and message of the refusal; `None` where a right is missing.
    words: Option<(String, String)>,
}

/// Rows that are refused because a test asked for it.
#[derive(Debug, Clone, Default)]
pub(super) struct RowFaults(Vec<RowFault>);

impl RowFaults {
    /// Refuses a row whose body holds the name of a fault, or that is `known_as` it.
    pub(super) fn check(&self, path: &str, body: &Map<String, Value>, known_as: Option<&str>) -> Result<(), Refusal> {
        let is_named = |name: &str| known_as == Some(name) || body.values().any(|value| value.as_str() == Some(name));
        match self.0.iter().find(|fault| fault.path == path && is_named(&fault.name)) {
            Some(RowFault {
                words: Some((column, message)),
                ..
            }) => Err(Refusal::row(column, message.clone())),
            Some(RowFault { words: None, .. }) => Err(Refusal::Denied),
            None => Ok(()),
        }
    }
}

#[derive(Debug, Default)]
struct State {
    rules: Vec<FaultRule>,
    rows: RowFaults,
}

/// Sets faults while the stand-in runs. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct FaultsHandle {
    // A plain mutex: held for a few comparisons, never across an await.
    state: Arc<Mutex<State>>,
}

impl FaultsHandle {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a fault.
    pub fn add(&self, rule: FaultRule) {
        self.state().rules.push(rule);
    }

    /// Drops every connection without effect after the next `k` requests, as if NetBox were killed then.
    pub fn kill_after(&self, k: u32) {
        self.add(FaultRule::on("", Fault::Reset).after(k));
    }

    /// Refuses every row of `path` that is named `name`, with this message under `column`. The name is looked for in all
    /// texts of a body, and for updates in the stored row's own name.
    pub fn refuse_row(&self, path: &str, name: &str, column: &str, message: &str) {
        self.add_row(path, name, Some((column.to_owned(), message.to_owned())));
    }

    /// The same, as if the account's right held for other rows of `path` only.
    pub fn deny_row(&self, path: &str, name: &str) {
        self.add_row(path, name, None);
    }

    fn add_row(&self, path: &str, name: &str, words: Option<(String, String)>) {
        self.state().rows.0.push(RowFault {
            path: path.trim_matches('/').trim_start_matches("api/").to_owned(),
            name: name.to_owned(),
            words,
        });
    }

    /// Takes every fault away.
    pub fn clear(&self) {
        *self.state() = State::default();
    }

    pub(super) fn rows(&self) -> RowFaults {
        self.state().rows.clone()
    }

    /// The faults that strike this request.
    pub(super) fn take(&self, method: &str, path: &str, body: &[u8]) -> Vec<Fault> {
        let path = path.trim_matches('/').trim_start_matches("api/");
        let mut struck = Vec::new();
        for rule in &mut self.state().rules {
            if rule.strikes(method, path, body) {
                struck.push(rule.fault.clone());
            }
        }
        struck
    }
}
