//! Spares a NetBox that is down, and everybody who asks for it: after some calls in a row without an answer, calls fail at
//! once for a while; then one is let through to find out, and the others wait for that.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::StatusCode;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

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
    /// A call that found out has ended.
    probed: Notify,
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
    /// Lets a call through, at once or after the one that finds out.
    ///
    /// # Errors
    ///
    /// [`Error::Down`]: it is not to be sent now.
    pub(super) async fn enter(&self) -> Result<Turn<'_>, Error> {
        let deadline = Instant::now() + REST;
        loop {
            let (last, probed) = {
                let mut state = self.state();
                let is_probe = match &state.rest {
                    None => false,
                    Some((until, last)) if Instant::now() < *until => {
                        return Err(Error::Down { last: last.clone() });
                    }
                    Some(_) => !state.is_probed,
                };
                match &state.rest {
                    // Made under the lock: the probe cannot end in between and leave nobody to tell of it.
                    Some((_, last)) if !is_probe => (last.clone(), self.probed.notified()),
                    Some(_) | None => {
                        state.is_probed |= is_probe;
                        return Ok(Turn {
                            breaker: self,
                            is_probe,
                        });
                    }
                }
            };
            if timeout_at(deadline, probed).await.is_err() {
                return Err(Error::Down { last });
            }
        }
    }

    /// Has calls pass again: NetBox is there.
    fn close(&self) {
        let mut state = self.state();
        state.unanswered = 0;
        state.rest = None;
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
    /// Whether the call finds out for others, who wait for it: then it is not sent again.
    pub(super) const fn is_probe(&self) -> bool {
        self.is_probe
    }

    /// After an attempt that a limit of requests has refused, NetBox is there: nobody waits any longer, and the call goes on as
    /// any other.
    pub(super) fn go_on(&mut self, outcome: &Result<Answer, Error>) {
        let is_limited = matches!(outcome, Ok(answer) if answer.status == StatusCode::TOO_MANY_REQUESTS);
        if is_limited && self.is_probe {
            self.breaker.close();
            self.leave();
        }
    }

    /// Tells those who wait for the call that they need not any longer.
    fn leave(&mut self) {
        if self.is_probe {
            self.is_probe = false;
            self.breaker.state().is_probed = false;
            self.breaker.probed.notify_waiters();
        }
    }

    /// Tells what came of `call` in the end. That several rows got no answer says nothing: they may only have been too many.
    pub(super) fn end(self, call: &Call<'_>, outcome: &Result<Answer, Error>) {
        let error = match outcome {
            Ok(answer) if (502..=504).contains(&answer.status.as_u16()) => answer.error(call),
            Ok(_) => return self.breaker.close(),
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
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use reqwest::Method;

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
            is_tunable: true,
        })
    }

    async fn end(breaker: &Breaker, rows: usize, outcome: &Result<Answer, Error>) {
        breaker.enter().await.unwrap().end(&call(rows), outcome);
    }

    async fn tripped() -> Breaker {
        let breaker = Breaker::default();
        for outcome in [late(), Ok(answer(503)), late()] {
            end(&breaker, 1, &outcome).await;
        }
        assert!(matches!(breaker.enter().await, Err(Error::Down { last }) if last.contains("did not answer")));
        breaker
    }

    #[tokio::test(start_paused = true)]
    async fn calls_fail_at_once_after_some_without_an_answer_until_one_gets_one() {
        let breaker = tripped().await;
        tokio::time::advance(REST).await;
        let probe = breaker.enter().await.unwrap();
        let (other, ()) = tokio::join!(breaker.enter(), async { probe.end(&call(1), &late()) });
        assert!(other.is_err(), "it waits to learn that NetBox is still silent");
        assert!(breaker.enter().await.is_err());
        tokio::time::advance(REST).await;
        end(&breaker, 1, &Ok(answer(404))).await;
        end(&breaker, 1, &late()).await;
        assert!(breaker.enter().await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn calls_made_at_once_after_the_rest_all_pass_where_netbox_is_back() {
        let breaker = tripped().await;
        tokio::time::advance(REST).await;
        let one = async || {
            let turn = breaker.enter().await?;
            tokio::task::yield_now().await;
            turn.end(&call(1), &Ok(answer(200)));
            Ok::<_, Error>(())
        };
        assert!(tokio::try_join!(one(), one(), one()).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn call_that_finds_out_is_not_waited_for_without_end() {
        let breaker = tripped().await;
        tokio::time::advance(REST).await;
        let (began, probe) = (Instant::now(), breaker.enter().await.unwrap());
        assert!(matches!(breaker.enter().await, Err(Error::Down { .. })));
        assert_eq!(began.elapsed(), REST);
        assert!(probe.is_probe());
    }

    #[tokio::test(start_paused = true)]
    async fn call_that_is_given_up_while_it_finds_out_leaves_that_to_the_next() {
        let breaker = tripped().await;
        tokio::time::advance(REST).await;
        let (first, second) = (breaker.enter().await.unwrap(), breaker.enter());
        let (second, ()) = tokio::join!(second, async { drop(first) });
        second.unwrap().end(&call(1), &Ok(answer(200)));
        assert!(breaker.enter().await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn call_that_finds_a_limit_of_requests_goes_on_as_any_other() {
        let breaker = tripped().await;
        tokio::time::advance(REST).await;
        let mut probe = breaker.enter().await.unwrap();
        probe.go_on(&Ok(answer(503)));
        assert!(probe.is_probe(), "NetBox may not be there");
        let (began, other) = (Instant::now(), breaker.enter());
        let (other, ()) = tokio::join!(other, async { probe.go_on(&Ok(answer(429))) });
        assert!(other.is_ok() && began.elapsed().is_zero() && !probe.is_probe());
    }

    #[tokio::test]
    async fn rows_that_may_only_be_too_many_and_answers_of_any_kind_trip_nothing() {
        let breaker = Breaker::default();
        for _ in 0..2 {
            for (rows, outcome) in [
                (0, late()),
                (1, Ok(answer(502))),
                (100, late()),
                (2, Ok(answer(504))),
                (1, Ok(answer(500))),
            ] {
                end(&breaker, rows, &outcome).await;
            }
        }
        assert!(breaker.enter().await.is_ok());
    }
}
