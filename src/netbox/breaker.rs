//! Spares a NetBox that is down, and everybody who asks for it: after some calls in a row without an answer, calls fail at
//! once for a while; then one is let through to find out.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::answer::Answer;
use super::error::Error;
use super::transport::Call;

/// How many calls in a row, each with its repetitions, may stay without an answer.
const MOST_UNANSWERED: u32 = 3;
/// How long calls fail at once then.
const REST: Duration = Duration::from_secs(5);

/// One breaker, shared by all handles of a client.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    // A std mutex: held for a few instructions, never across an await.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Calls in a row without an answer.
    unanswered: u32,
    /// Until when calls fail at once, and what the latest met that did not.
    rest: Option<(Instant, String)>,
    /// Whether a call is under way that finds out.
    is_probed: bool,
}

impl Breaker {
    /// Lets a call through.
    ///
    /// # Errors
    ///
    /// [`Error::Down`]: it is not to be sent now.
    pub(super) fn enter(&self) -> Result<Turn<'_>, Error> {
        let mut state = self.state();
        let is_probe = match &state.rest {
            None => false,
            Some((until, last)) if state.is_probed || Instant::now() < *until => {
                return Err(Error::Down { last: last.clone() });
            }
            Some(_) => true,
        };
        state.is_probed |= is_probe;
        Ok(Turn {
            breaker: self,
            is_probe,
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call that was let through. Dropping it says nothing about NetBox.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    breaker: &'a Breaker,
    is_probe: bool,
}

impl Turn<'_> {
    /// Tells what came of `call` in the end. That several rows got no answer says nothing: they may only have been too many.
    pub(super) fn end(self, call: &Call<'_>, outcome: &Result<Answer, Error>) {
        let error = match outcome {
            Ok(answer) if (502..=504).contains(&answer.status.as_u16()) => answer.error(call),
            Ok(_) => {
                let mut state = self.breaker.state();
                state.unanswered = 0;
                state.rest = None;
                return;
            }
            Err(error) => error.clone(),
        };
        let is_off = matches!(error, Error::Connect { .. } | Error::Dns { .. });
        let is_silent = matches!(
            error,
            Error::Timeout { .. } | Error::Lost { .. } | Error::Unavailable { .. }
        );
        if is_off || (is_silent && call.rows <= 1) {
            let mut state = self.breaker.state();
            state.unanswered += 1;
            if state.unanswered >= MOST_UNANSWERED {
                state.rest = Some((Instant::now() + REST, error.to_string()));
            }
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if self.is_probe {
            self.breaker.state().is_probed = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use reqwest::{Method, StatusCode};

    use super::super::transport::Class;
    use super::*;

    fn call(rows: usize) -> Call<'static> {
        Call {
            method: Method::PATCH,
            rows,
            ..Call::get("/api/x/", String::new(), Class::Rows)
        }
    }

    fn answer(code: u16) -> Answer {
        Answer {
            status: StatusCode::from_u16(code).unwrap(),
            body: Bytes::new(),
            is_json: false,
            release: None,
            retry_after: None,
            is_repeated: false,
        }
    }

    fn late() -> Result<Answer, Error> {
        Err(Error::Timeout {
            path: "/api/x/".to_owned(),
            limit: REST,
        })
    }

    fn end(breaker: &Breaker, rows: usize, outcome: &Result<Answer, Error>) {
        breaker.enter().unwrap().end(&call(rows), outcome);
    }

    fn tripped() -> Breaker {
        let breaker = Breaker::default();
        for outcome in [late(), Ok(answer(503)), late()] {
            end(&breaker, 1, &outcome);
        }
        assert!(matches!(breaker.enter(), Err(Error::Down { last }) if last.contains("did not answer")));
        breaker
    }

    #[tokio::test(start_paused = true)]
    async fn calls_fail_at_once_after_some_without_an_answer_until_one_gets_one() {
        let breaker = tripped();
        tokio::time::advance(REST).await;
        let probe = breaker.enter().unwrap();
        assert!(breaker.enter().is_err(), "one finds out, the others do not wait for it");
        probe.end(&call(1), &late());
        assert!(breaker.enter().is_err());
        tokio::time::advance(REST).await;
        end(&breaker, 1, &Ok(answer(404)));
        end(&breaker, 1, &late());
        assert!(breaker.enter().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn call_that_is_given_up_while_it_finds_out_leaves_that_to_the_next() {
        let breaker = tripped();
        tokio::time::advance(REST).await;
        drop(breaker.enter().unwrap());
        end(&breaker, 1, &Ok(answer(200)));
        assert!(breaker.enter().is_ok());
    }

    #[test]
    fn rows_that_may_only_be_too_many_and_answers_of_any_kind_trip_nothing() {
        let breaker = Breaker::default();
        for _ in 0..2 {
            for (rows, outcome) in [
                (0, late()),
                (1, Ok(answer(502))),
                (100, late()),
                (2, Ok(answer(504))),
                (1, Ok(answer(500))),
            ] {
                end(&breaker, rows, &outcome);
            }
        }
        assert!(breaker.enter().is_ok());
    }
}
