//! Answers that may be a few seconds old: what many pages poll is asked of Proxmox once for all who look.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::error::Error;
use super::flight::Flight;
use super::navigate::Param;
use super::resource::Resource;
use super::rows::Rows;

/// How long an answer is handed out again.
const FRESH: Duration = Duration::from_secs(3);

type Answers = Arc<Vec<serde_json::Value>>;

/// The latest answers of one session, by what was asked.
#[derive(Debug, Default)]
pub(super) struct Recent(
    /// A plain lock: held for look-ups.
    Mutex<HashMap<String, Arc<Seat>>>,
);

#[derive(Debug)]
struct Seat {
    flight: Flight<Answers>,
    /// A plain lock: held for copies.
    last: Mutex<Option<(Answers, Instant)>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Seat {
    fn fresh(&self) -> Option<Answers> {
        let last = lock(&self.last);
        let (answers, when) = last.as_ref()?;
        (when.elapsed() < FRESH).then(|| Arc::clone(answers))
    }
}

impl Recent {
    /// The rows asked for as `key`: those of the last few seconds, or what `fetch` brings for all who wait. A failure is
    /// shared by those who waited for it and by nobody else.
    async fn rows<F, Fut>(&self, key: String, fetch: F) -> Result<Answers, Error>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<Vec<serde_json::Value>, Error>>,
    {
        let seat = self.seat(key);
        if let Some(answers) = seat.fresh() {
            return Ok(answers);
        }
        let fetch = || async {
            let answers = Arc::new(fetch().await?);
            *lock(&seat.last) = Some((Arc::clone(&answers), Instant::now()));
            Ok(answers)
        };
        seat.flight.join(fetch).await
    }

    /// The seat of `key`. Answers that have gone stale are let go on the way: they can be large.
    fn seat(&self, key: String) -> Arc<Seat> {
        let mut seats = lock(&self.0);
        seats.retain(|own, seat| *own == key || seat.fresh().is_some() || Arc::strong_count(seat) > 1);
        let seat = seats.entry(key).or_insert_with(|| {
            Arc::new(Seat {
                flight: Flight::new(),
                last: Mutex::new(None),
            })
        });
        Arc::clone(seat)
    }
}

impl Resource {
    /// As [`Resource::get_rows_with`], for pages that poll: the answer may be three seconds old, and whoever asks at the
    /// same time shares one exchange.
    ///
    /// # Errors
    ///
    /// As [`Resource::get_rows`].
    pub async fn get_recent_rows<T: DeserializeOwned>(&self, parameters: &[(&str, Param)]) -> Result<Rows<T>, Error> {
        let key = format!("{}?{parameters:?}", self.plain_path().unwrap_or_default());
        let fetch = || async { Ok(self.get_rows_with(parameters).await?.items) };
        let rows = self.session().inner.recent.rows(key, fetch).await?;
        Ok(Rows::decode(rows.iter().cloned()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use futures_util::future::join_all;
    use serde_json::json;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn answer_is_shared_for_a_few_seconds_and_failures_are_not_kept() {
        let (recent, fetches) = (Recent::default(), AtomicU32::new(0));
        let fetch = || async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            match fetches.fetch_add(1, Ordering::Relaxed) {
                0 => Err(Error::Closed),
                count => Ok(vec![json!(count)]),
            }
        };
        let ask = |key: &str| recent.rows(key.to_owned(), fetch);
        let failures = join_all((0..5).map(|_| ask("nodes"))).await;
        assert!(failures.iter().all(Result::is_err));
        let answers = join_all((0..5).map(|_| ask("nodes"))).await;
        assert!(
            answers.iter().all(|answer| **answer.as_ref().unwrap() == [json!(1)]),
            "{answers:?}"
        );
        tokio::time::advance(FRESH / 2).await;
        assert_eq!(*ask("nodes").await.unwrap(), [json!(1)]);
        assert_eq!(*ask("storage").await.unwrap(), [json!(2)], "another question");
        tokio::time::advance(FRESH).await;
        assert_eq!(*ask("nodes").await.unwrap(), [json!(3)]);
    }

    #[tokio::test(start_paused = true)]
    async fn stale_answer_is_let_go_when_something_else_is_asked() {
        let recent = Recent::default();
        let held = recent
            .rows("nodes".to_owned(), || async { Ok(vec![json!(1)]) })
            .await
            .unwrap();
        let weak = Arc::downgrade(&held);
        drop(held);
        tokio::time::advance(FRESH).await;
        recent
            .rows("storage".to_owned(), || async { Ok(Vec::new()) })
            .await
            .unwrap();
        assert_eq!(weak.strong_count(), 0);
    }
}
