//! How many requests may be under way at once: a limit that gives way when NetBox is overloaded.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::answer::Answer;
use super::error::Error;

/// Requests that were under way together fail together; they count as one sign of overload.
const COOL_DOWN: Duration = Duration::from_secs(1);

/// How an attempt ended, as far as the load of NetBox is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Load {
    /// An answer in time.
    Fine,
    /// 429, 503, 504, no answer in time, or one that came late.
    Overloaded,
    /// Says nothing about load: no connection, a proxy's 502, …
    Unknown,
}

impl Load {
    /// What the end of an attempt tells.
    pub(super) fn of(outcome: &Result<Answer, Error>, is_slow: bool) -> Self {
        match outcome {
            Ok(_) if is_slow => Self::Overloaded,
            Ok(answer) if matches!(answer.status.as_u16(), 429 | 503 | 504) => Self::Overloaded,
            Err(Error::Timeout { .. }) => Self::Overloaded,
            Ok(answer) if answer.status.as_u16() != 502 => Self::Fine,
            Ok(_) | Err(_) => Self::Unknown,
        }
    }
}

/// One gate; reads and writes have one each, shared by all handles of a client.
#[derive(Debug)]
pub(super) struct Gate {
    permits: Arc<Semaphore>,
    maximum: usize,
    // A std mutex: held for a few instructions, never across an await.
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// How many may pass at once now; between 1 and the maximum.
    limit: usize,
    /// Permits that are to be withdrawn but were in use when the limit fell.
    owed: usize,
    /// Good answers since the limit last changed.
    successes: usize,
    lowered_at: Option<Instant>,
}

impl Gate {
    pub(super) fn new(maximum: usize) -> Arc<Self> {
        let maximum = maximum.clamp(1, Semaphore::MAX_PERMITS);
        Arc::new(Self {
            permits: Arc::new(Semaphore::new(maximum)),
            maximum,
            state: Mutex::new(State {
                limit: maximum,
                owed: 0,
                successes: 0,
                lowered_at: None,
            }),
        })
    }

    /// Waits for a place. Places are given in the order of asking.
    pub(super) async fn enter(self: &Arc<Self>) -> Pass {
        // The semaphore is never closed, so the permit is always there; without one nobody is locked out.
        let permit = Arc::clone(&self.permits).acquire_owned().await.ok();
        Pass {
            gate: Arc::clone(self),
            permit,
        }
    }

    /// How many may pass at once now.
    #[cfg(test)]
    pub(super) fn limit(&self) -> usize {
        self.state().limit
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lower(&self) {
        let mut state = self.state();
        let now = Instant::now();
        state.successes = 0;
        if state.lowered_at.is_some_and(|at| now.duration_since(at) < COOL_DOWN) {
            return;
        }
        state.lowered_at = Some(now);
        let lowered = (state.limit / 2).max(1);
        let surplus = state.limit - lowered;
        state.limit = lowered;
        state.owed += surplus - self.permits.forget_permits(surplus);
    }

    /// One place more after as many good answers as there are places, so that growth takes as long from any level.
    fn raise(&self) {
        let mut state = self.state();
        if state.limit >= self.maximum {
            return;
        }
        state.successes += 1;
        if state.successes < state.limit.max(4) {
            return;
        }
        state.successes = 0;
        state.limit += 1;
        if state.owed > 0 {
            state.owed -= 1;
        } else {
            self.permits.add_permits(1);
        }
    }
}

/// A place behind the gate. Dropping it gives the place back and says nothing about load.
#[derive(Debug)]
pub(super) struct Pass {
    gate: Arc<Gate>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Pass {
    /// Gives the place back and tells how the attempt went.
    pub(super) fn leave(self, load: Load) {
        match load {
            Load::Fine => self.gate.raise(),
            Load::Overloaded => self.gate.lower(),
            Load::Unknown => {}
        }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut state = self.gate.state();
        if state.owed > 0 {
            state.owed -= 1;
            if let Some(permit) = self.permit.take() {
                permit.forget();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn finish(gate: &Arc<Gate>, load: Load) {
        gate.enter().await.leave(load);
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_are_let_through_at_once_than_the_limit_says() {
        let gate = Gate::new(2);
        let (first, _second) = (gate.enter().await, gate.enter().await);
        let patience = Duration::from_mins(1);
        assert!(tokio::time::timeout(patience, gate.enter()).await.is_err());
        first.leave(Load::Fine);
        assert!(tokio::time::timeout(patience, gate.enter()).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn gate_halves_on_overload_and_grows_back_slowly_to_its_maximum() {
        let gate = Gate::new(8);
        finish(&gate, Load::Overloaded).await;
        assert_eq!(gate.limit(), 4);
        tokio::time::advance(COOL_DOWN).await;
        finish(&gate, Load::Overloaded).await;
        assert_eq!(gate.limit(), 2);
        for _ in 0..4 {
            finish(&gate, Load::Fine).await;
        }
        assert_eq!(gate.limit(), 3);
        for _ in 0..100 {
            finish(&gate, Load::Fine).await;
        }
        assert_eq!(gate.limit(), 8);
        assert_eq!(gate.permits.available_permits(), 8);
    }

    #[tokio::test(start_paused = true)]
    async fn requests_that_fail_together_halve_the_limit_once() {
        let gate = Gate::new(8);
        let mut passes = Vec::new();
        for _ in 0..8 {
            passes.push(gate.enter().await);
        }
        for pass in passes {
            pass.leave(Load::Overloaded);
        }
        assert_eq!(gate.limit(), 4);
        assert_eq!(gate.permits.available_permits(), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn limit_never_falls_below_one_nor_changes_without_a_sign_of_load() {
        let gate = Gate::new(2);
        finish(&gate, Load::Unknown).await;
        assert_eq!(gate.limit(), 2);
        for _ in 0..5 {
            finish(&gate, Load::Overloaded).await;
            tokio::time::advance(COOL_DOWN).await;
        }
        assert_eq!(gate.limit(), 1);
        drop(gate.enter().await);
        assert_eq!(gate.permits.available_permits(), 1);
    }
}
