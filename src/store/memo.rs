//! What was read from the database a moment ago, for reads that come with every request.
//!
//! Every write of this process forgets it before the writer is answered, so that the next request sees the change.
//! Another process may write the same file, such as a command run beside the service: what it did is seen within
//! [`FRESH`]. Asking SQLite for its `data_version` would tell at once, but costs what the reads themselves cost.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long something is believed.
const FRESH: Duration = Duration::from_secs(1);
/// How much is kept at once; beyond that what is stale is let go, and nothing is added while all of it is fresh.
const KEPT: usize = 1024;

/// Values by key, each as fresh as [`FRESH`].
pub(super) struct Memo<K, V> {
    // A plain mutex: held for a look-up, never across an await.
    state: Mutex<State<K, V>>,
}

struct State<K, V> {
    /// How often something was written.
    generation: u64,
    known: HashMap<K, (V, Instant)>,
}

/// The beginning of a read whose outcome is to be kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Begun {
    generation: u64,
    at: Instant,
}

impl<K, V> Default for Memo<K, V> {
    fn default() -> Self {
        let state = State {
            generation: 0,
            known: HashMap::new(),
        };
        Self {
            state: Mutex::new(state),
        }
    }
}

/// Shows nothing of what is kept.
impl<K, V> std::fmt::Debug for Memo<K, V> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Memo").finish_non_exhaustive()
    }
}

impl<K, V> Memo<K, V> {
    fn lock(&self) -> MutexGuard<'_, State<K, V>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// To be called before a value is read that is to be kept.
    pub(super) fn begin(&self) -> Begun {
        let generation = self.lock().generation;
        let at = Instant::now();
        Begun { generation, at }
    }

    /// Forgets everything, and what is being read: something was written.
    pub(super) fn forget(&self) {
        let mut state = self.lock();
        state.generation += 1;
        state.known.clear();
    }
}

impl<K: Eq + Hash, V: Clone> Memo<K, V> {
    /// What is known for `key`.
    pub(super) fn recall(&self, key: &K) -> Option<V> {
        let state = self.lock();
        let (value, since) = state.known.get(key)?;
        (since.elapsed() < FRESH).then(|| value.clone())
    }

    /// Keeps `value`, unless something was written since its read has `begun`.
    pub(super) fn keep(&self, begun: Begun, key: K, value: V) {
        let mut state = self.lock();
        if state.generation != begun.generation {
            return;
        }
        if state.known.len() >= KEPT {
            state.known.retain(|_, (_, since)| since.elapsed() < FRESH);
        }
        if state.known.len() < KEPT {
            state.known.insert(key, (value, begun.at));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn value_is_known_until_it_is_old_or_something_is_written() {
        let memo = Memo::default();
        memo.keep(memo.begin(), "a", 1);
        assert_eq!((memo.recall(&"a"), memo.recall(&"b")), (Some(1), None));
        tokio::time::advance(FRESH).await;
        assert_eq!(memo.recall(&"a"), None, "another process may have changed it");
        memo.keep(memo.begin(), "a", 2);
        memo.forget();
        assert_eq!(memo.recall(&"a"), None);
    }

    #[tokio::test(start_paused = true)]
    async fn value_that_was_read_before_a_write_is_not_kept() {
        let memo = Memo::default();
        let before = memo.begin();
        memo.forget();
        memo.keep(before, "a", 1);
        assert_eq!(memo.recall(&"a"), None);
    }

    #[tokio::test(start_paused = true)]
    async fn memo_that_is_full_makes_room_by_what_is_old() {
        let memo = Memo::default();
        for number in 0..=KEPT {
            memo.keep(memo.begin(), number, ());
        }
        assert_eq!(memo.recall(&KEPT), None);
        tokio::time::advance(FRESH).await;
        memo.keep(memo.begin(), KEPT, ());
        assert_eq!(memo.recall(&KEPT), Some(()));
        assert_eq!(memo.lock().known.len(), 1);
    }
}
