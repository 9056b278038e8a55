//! Connections on which NetBox is written to, each kept for the next request as long as it is quick.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// What a request takes besides its rows, in ms.
const REQUEST_MILLIS: f64 = 40.0;
/// How long fewer rows take depends on much else.
const TELLING_ROWS: usize = 6;
/// A request that takes so many times as long for its rows as the quickest shares a process with another.
const SHARED: f64 = 1.65;

/// How much work a request was for NetBox.
#[derive(Debug, Clone, Copy)]
pub(super) struct Work {
    /// New rows that were made.
    pub(super) rows: usize,
    /// How long one takes, in ms, compared with rows of other kinds; 0: not known.
    pub(super) row_millis: u32,
}

/// Connections of one NetBox, as many as are written on at once.
///
/// A server with several processes keeps a connection with one of them. Two connections of one process are served in turns,
/// while other processes are idle. Which process a connection has cannot be seen, only that it is slow whenever another one
/// is in use; then it is given up, and the next request opens a new one. Where all of NetBox has become slower than it was,
/// none is kept, which costs no more than opening them.
#[derive(Debug)]
pub(super) struct Lanes<C> {
    // A std mutex: held for a few instructions, never across an await.
    state: Mutex<State<C>>,
}

#[derive(Debug)]
struct State<C> {
    /// What nobody uses now, the latest last.
    free: Vec<C>,
    /// Requests under way, and whether another one was beside each.
    under_way: BTreeMap<u64, bool>,
    next: u64,
    /// The least that a request has taken, as a share of what its rows usually take.
    quickest: Option<f64>,
}

/// A connection that is in use until this is dropped. It is closed then unless [`Self::done`] keeps it.
#[derive(Debug)]
pub(super) struct Taken<'a, C> {
    lanes: &'a Lanes<C>,
    number: u64,
    connection: C,
    began: Instant,
}

impl<C> Default for Lanes<C> {
    fn default() -> Self {
        let state = State {
            free: Vec::new(),
            under_way: BTreeMap::new(),
            next: 0,
            quickest: None,
        };
        Self {
            state: Mutex::new(state),
        }
    }
}

impl<C> Lanes<C> {
    /// The connection that was used last of those that are free, or a new one.
    pub(super) fn take<E>(&self, open: impl FnOnce() -> Result<C, E>) -> Result<Taken<'_, C>, E> {
        let mut state = self.state();
        let connection = state.free.pop().map_or_else(open, Ok)?;
        let has_company = !state.under_way.is_empty();
        state.under_way.values_mut().for_each(|company| *company = true);
        let number = state.next;
        state.next += 1;
        state.under_way.insert(number, has_company);
        Ok(Taken {
            lanes: self,
            number,
            connection,
            began: Instant::now(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State<C>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<C: Clone> Taken<'_, C> {
    pub(super) const fn connection(&self) -> &C {
        &self.connection
    }

    /// The request was answered. The connection is kept unless it shares a process, as far as the `work` tells.
    pub(super) fn done(self, work: Work) {
        let elapsed = self.began.elapsed();
        let mut state = self.lanes.state();
        let has_company = state.under_way.get(&self.number).is_some_and(|company| *company);
        let is_kept = share(work, elapsed).is_none_or(|share| {
            let quickest = state.quickest.map_or(share, |quickest| quickest.min(share));
            state.quickest = Some(quickest);
            !has_company || share <= quickest * SHARED
        });
        if is_kept {
            state.free.push(self.connection.clone());
        }
    }
}

impl<C> Drop for Taken<'_, C> {
    fn drop(&mut self) {
        self.lanes.state().under_way.remove(&self.number);
    }
}

/// How long a request took, as a share of what its rows usually take; `None` where it tells nothing.
fn share(work: Work, elapsed: Duration) -> Option<f64> {
    if work.rows < TELLING_ROWS || work.row_millis == 0 {
        return None;
    }
    #[expect(clippy::cast_precision_loss, reason = "rows of one request are few")]
    let usual = (work.rows as f64).mul_add(f64::from(work.row_millis), REQUEST_MILLIS);
    Some(elapsed.as_secs_f64() * 1_000.0 / usual)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    /// Twenty rows that usually take a second.
    const WORK: Work = Work {
        rows: 20,
        row_millis: 48,
    };

    /// Takes a lane; one that has no connection yet gets this `number`.
    fn take(lanes: &Lanes<u32>, number: u32) -> Taken<'_, u32> {
        lanes.take(|| Ok::<_, Infallible>(number)).unwrap()
    }

    /// Lanes on which one request alone has taken so long.
    async fn after_one(millis: u64) -> Lanes<u32> {
        let lanes = Lanes::default();
        let alone = take(&lanes, 1);
        tokio::time::advance(Duration::from_millis(millis)).await;
        alone.done(WORK);
        lanes
    }

    /// Two requests side by side that take so long both; returns what connections the next two get.
    async fn after_pair(lanes: &Lanes<u32>, millis: u64) -> [u32; 2] {
        let (first, second) = (take(lanes, 1), take(lanes, 2));
        tokio::time::advance(Duration::from_millis(millis)).await;
        first.done(WORK);
        second.done(WORK);
        let next = [take(lanes, 3), take(lanes, 4)];
        let mut numbers = next.each_ref().map(|taken| *taken.connection());
        numbers.sort_unstable();
        numbers
    }

    #[tokio::test(start_paused = true)]
    async fn connections_are_kept_while_they_are_quick_together() {
        let lanes = after_one(900).await;
        assert_eq!(after_pair(&lanes, 1_400).await, [1, 2]);
    }

    #[tokio::test(start_paused = true)]
    async fn connections_that_are_slow_together_are_given_up() {
        let lanes = after_one(900).await;
        assert_eq!(after_pair(&lanes, 1_800).await, [3, 4]);
    }

    #[tokio::test(start_paused = true)]
    async fn connection_that_was_slow_alone_is_kept() {
        let lanes = Lanes::default();
        for (millis, number) in [(900, 1), (5_000, 2)] {
            let alone = take(&lanes, number);
            assert_eq!(*alone.connection(), 1);
            tokio::time::advance(Duration::from_millis(millis)).await;
            alone.done(WORK);
        }
        assert_eq!(*take(&lanes, 3).connection(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn few_rows_and_those_of_unknown_kind_tell_nothing() {
        let lanes = Lanes::default();
        for work in [Work { rows: 5, ..WORK }, Work { row_millis: 0, ..WORK }] {
            let (first, second) = (take(&lanes, 1), take(&lanes, 2));
            tokio::time::advance(Duration::from_millis(1)).await;
            second.done(work);
            tokio::time::advance(Duration::from_secs(5)).await;
            first.done(work);
        }
        assert_eq!(lanes.state().quickest, None);
        assert_eq!(after_pair(&lanes, 2_000).await, [1, 2]);
    }

    #[test]
    fn connection_whose_request_has_no_answer_is_closed() {
        let lanes = Lanes::default();
        drop(take(&lanes, 1));
        assert_eq!(*take(&lanes, 2).connection(), 2);
        let none: Lanes<u32> = Lanes::default();
        assert_eq!(none.take(|| Err("no connection")).err(), Some("no connection"));
    }

    #[test]
    fn latest_connection_is_used_first() {
        let lanes = Lanes::default();
        let (first, second) = (take(&lanes, 1), take(&lanes, 2));
        let untold = Work { row_millis: 0, ..WORK };
        second.done(untold);
        first.done(untold);
        assert_eq!(*take(&lanes, 3).connection(), 1);
    }
}
