//! Single flight: what many ask for at once is fetched once, and all get the same answer.

use std::future::Future;
use std::sync::{Mutex, PoisonError};

use tokio::sync::Semaphore;

use super::error::Error;

/// At most one fetch at a time; whoever asks while one is under way shares its outcome, failures included.
#[derive(Debug)]
pub(super) struct Flight<T> {
    /// One permit: the seat of whoever fetches. A semaphore, because it is held across awaits.
    seat: Semaphore,
    /// A plain lock: held for copies only.
    landed: Mutex<Landed<T>>,
}

#[derive(Debug)]
struct Landed<T> {
    count: u64,
    last: Option<Result<T, Error>>,
}

impl<T: Clone> Flight<T> {
    pub(super) const fn new() -> Self {
        Self {
            seat: Semaphore::const_new(1),
            landed: Mutex::new(Landed { count: 0, last: None }),
        }
    }

    /// Runs `fetch`, or waits for the run that is under way and takes its outcome.
    pub(super) async fn join<F, Fut>(&self, fetch: F) -> Result<T, Error>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<T, Error>>,
    {
        let seen = self.lock().count;
        // The semaphore is never closed; were it, fetching without a seat is still right, only not single.
        let _seat = self.seat.acquire().await.ok();
        {
            let landed = self.lock();
            if landed.count != seen
                && let Some(last) = &landed.last
            {
                return last.clone();
            }
        }
        let outcome = fetch().await;
        let mut landed = self.lock();
        landed.count += 1;
        landed.last = Some(outcome.clone());
        outcome
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Landed<T>> {
        self.landed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::future::join_all;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn callers_at_the_same_time_share_one_fetch_and_later_ones_fetch_again() {
        let flight = Flight::new();
        let fetches = AtomicU32::new(0);
        let fetch = || async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Ok(fetches.fetch_add(1, Ordering::Relaxed) + 1)
        };
        let answers = join_all((0..20).map(|_| flight.join(fetch))).await;
        assert!(answers.iter().all(|answer| matches!(answer, Ok(1))), "{answers:?}");
        assert!(matches!(flight.join(fetch).await, Ok(2)));
    }

    #[tokio::test(start_paused = true)]
    async fn failure_is_shared_by_those_who_waited_for_it() {
        let flight: Flight<u32> = Flight::new();
        let fetches = AtomicU32::new(0);
        let fetch = || async {
            fetches.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_secs(1)).await;
            Err(Error::Closed)
        };
        let answers = join_all((0..5).map(|_| flight.join(fetch))).await;
        assert!(answers.iter().all(Result::is_err));
        assert_eq!(fetches.load(Ordering::Relaxed), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn abandoned_fetch_is_taken_over_by_the_next_in_line() {
        let flight = Flight::new();
        let slow = flight.join(|| async {
            tokio::time::sleep(Duration::from_mins(1)).await;
            Ok(1)
        });
        let waiting = flight.join(|| async { Ok(2) });
        let (abandoned, taken_over) = tokio::join!(tokio::time::timeout(Duration::from_secs(1), slow), waiting);
        assert!(abandoned.is_err());
        assert!(matches!(taken_over, Ok(2)));
    }
}
