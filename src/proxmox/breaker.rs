//! The circuit breaker: an endpoint that cannot be reached, or a node that hangs, is not asked again by every caller in turn.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::error::Error;

/// Failures in a row that open the circuit.
const FAILURES: u32 = 3;
/// How long an open circuit answers at once.
const REST: Duration = Duration::from_secs(10);
/// What callers are told to wait while a probe is under way.
const PROBE: Duration = Duration::from_secs(1);

/// Counts failures in a row. Any answer at all, a refusal too, closes the circuit.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    /// A plain lock: held for a few comparisons.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failures: u32,
    open_until: Option<Instant>,
    is_probing: bool,
    last: Option<Box<Error>>,
}

/// The right to ask once. Tell its outcome, or drop it where there was none.
#[derive(Debug)]
pub(super) struct Admission<'a> {
    breaker: &'a Breaker,
    is_probe: bool,
}

/// The refusal to ask.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) retry_after: Duration,
    pub(super) last: Option<Box<Error>>,
}

impl Breaker {
    pub(super) fn admit(&self) -> Result<Admission<'_>, Open> {
        let mut state = self.lock();
        let Some(until) = state.open_until else {
            return Ok(Admission {
                breaker: self,
                is_probe: false,
            });
        };
        let now = Instant::now();
        if now < until || state.is_probing {
            let retry_after = until.saturating_duration_since(now).max(PROBE);
            let last = state.last.clone();
            return Err(Open { retry_after, last });
        }
        state.is_probing = true;
        Ok(Admission {
            breaker: self,
            is_probe: true,
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Admission<'_> {
    /// The other side answered, or at least took the connection.
    pub(super) fn reached(self) {
        let mut state = self.breaker.lock();
        state.failures = 0;
        state.open_until = None;
        state.last = None;
    }

    /// No connection came about, or no answer.
    pub(super) fn failed(self, error: &Error) {
        let mut state = self.breaker.lock();
        state.failures = state.failures.saturating_add(1);
        state.last = Some(Box::new(error.clone()));
        if self.is_probe || state.failures >= FAILURES {
            state.open_until = Some(Instant::now() + REST);
        }
    }
}

impl Drop for Admission<'_> {
    fn drop(&mut self) {
        if self.is_probe {
            self.breaker.lock().is_probing = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    fn fail(breaker: &Breaker, times: u32) {
        for _ in 0..times {
            breaker.admit().unwrap().failed(&Error::Closed);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn circuit_opens_after_failures_in_a_row_and_admits_one_probe_after_its_rest() {
        let breaker = Breaker::default();
        fail(&breaker, FAILURES);
        let open = breaker.admit().unwrap_err();
        assert_eq!(open.retry_after, REST);
        assert!(open.last.is_some());
        advance(REST).await;
        let probe = breaker.admit().unwrap();
        assert_eq!(breaker.admit().unwrap_err().retry_after, PROBE);
        probe.failed(&Error::Closed);
        assert_eq!(breaker.admit().unwrap_err().retry_after, REST);
        advance(REST).await;
        breaker.admit().unwrap().reached();
        fail(&breaker, FAILURES - 1);
        assert!(breaker.admit().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn answer_between_failures_keeps_the_circuit_closed() {
        let breaker = Breaker::default();
        for _ in 0..5 {
            fail(&breaker, FAILURES - 1);
            breaker.admit().unwrap().reached();
        }
        assert!(breaker.admit().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn abandoned_probe_makes_room_for_the_next() {
        let breaker = Breaker::default();
        fail(&breaker, FAILURES);
        advance(REST).await;
        drop(breaker.admit().unwrap());
        assert!(breaker.admit().is_ok());
    }
}
