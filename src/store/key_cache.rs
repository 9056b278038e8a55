//! What was found out about presented API keys a short while ago, so that bcrypt runs once per key and not per request.
//!
//! Only keyed digests are held, under a key of this process. Every change to the keys forgets all of it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::{ApiKeyId, Error};

/// How long a good key is remembered.
const GOOD_FOR: Duration = Duration::from_mins(5);
/// How long a bad key is remembered.
const BAD_FOR: Duration = Duration::from_secs(10);
/// How many verdicts are kept.
const KEPT: usize = 1024;
/// How many verifications run at once, and how many may wait.
const RUNNING: usize = 2;
const WAITING: usize = 32;

pub(super) struct KeyCache {
    pepper: [u8; 32],
    // A plain mutex: held for a look-up, never across an await.
    verdicts: Mutex<Verdicts>,
    running: Semaphore,
    queue: Semaphore,
}

/// Which key it is, if any.
struct Verdict(Option<ApiKeyId>);

#[derive(Default)]
struct Verdicts {
    generation: u64,
    known: HashMap<[u8; 32], (Option<ApiKeyId>, Instant)>,
    computed: u64,
}

impl std::fmt::Debug for KeyCache {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("KeyCache").finish_non_exhaustive()
    }
}

impl KeyCache {
    pub(super) fn new() -> Result<Self, Error> {
        let mut pepper = [0; 32];
        getrandom::fill(&mut pepper).map_err(|_| Error::Lost)?;
        Ok(Self {
            pepper,
            verdicts: Mutex::default(),
            running: Semaphore::new(RUNNING),
            queue: Semaphore::new(RUNNING + WAITING),
        })
    }

    fn with<T>(&self, use_them: impl FnOnce(&mut Verdicts) -> T) -> T {
        use_them(&mut self.verdicts.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn digest(&self, key: &SecretString) -> [u8; 32] {
        let mut hasher = Sha256::new();
        hasher.update(self.pepper);
        hasher.update(key.expose_secret().as_bytes());
        hasher.update(self.pepper);
        hasher.finalize().into()
    }

    /// The verdict on `key`, computed by `verify` where it is not known.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`] where too many verifications wait already; what `verify` answers.
    pub(super) async fn verdict<F>(&self, key: &SecretString, verify: F) -> Result<Option<ApiKeyId>, Error>
    where
        F: Future<Output = Result<Option<ApiKeyId>, Error>>,
    {
        let digest = self.digest(key);
        if let Some(Verdict(known)) = self.recall(&digest) {
            return Ok(known);
        }
        let _place = self.queue.try_acquire().map_err(|_| Error::Busy)?;
        let _turn = self.running.acquire().await.map_err(|_| Error::Busy)?;
        // Whoever went before may have found it out.
        if let Some(Verdict(known)) = self.recall(&digest) {
            return Ok(known);
        }
        let generation = self.with(|verdicts| verdicts.generation);
        let verdict = verify.await?;
        self.with(|verdicts| verdicts.remember(generation, digest, verdict));
        Ok(verdict)
    }

    fn recall(&self, digest: &[u8; 32]) -> Option<Verdict> {
        self.with(|verdicts| {
            let (verdict, until) = verdicts.known.get(digest)?;
            (*until > Instant::now()).then_some(Verdict(*verdict))
        })
    }

    /// Forgets every verdict, and those under way.
    pub(super) fn forget(&self) {
        self.with(|verdicts| {
            verdicts.generation += 1;
            verdicts.known.clear();
        });
    }

    /// How often a verdict was computed.
    #[cfg(test)]
    pub(super) fn computed(&self) -> u64 {
        self.with(|verdicts| verdicts.computed)
    }
}

impl Verdicts {
    fn remember(&mut self, generation: u64, digest: [u8; 32], verdict: Option<ApiKeyId>) {
        self.computed += 1;
        if generation != self.generation {
            return;
        }
        let now = Instant::now();
        if self.known.len() >= KEPT {
            self.known.retain(|_, (_, until)| *until > now);
        }
        if self.known.len() >= KEPT {
            // A flood of bad keys must not push out good ones.
            self.known.retain(|_, (verdict, _)| verdict.is_some());
        }
        let life = if verdict.is_some() { GOOD_FOR } else { BAD_FOR };
        self.known.insert(digest, (verdict, now + life));
    }
}
