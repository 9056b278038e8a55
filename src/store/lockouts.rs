//! Failed sign-ins: counted per source and per source and key, in fixed windows.
//!
//! A bucket's name is a keyed digest; neither a key nor an address can be read from it.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretSlice, SecretString};
use sha2::{Digest, Sha256};
use sqlx::{Row, Sqlite, SqlitePool, Transaction};

use super::{Error, Store};

/// Rows that nothing happened to for so long are removed, in seconds.
const STALE: i64 = 3600;

/// When failed sign-ins lock out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LockoutPolicy {
    /// Failures of one key from one source.
    pub threshold: u32,
    /// Failures of one source with any key.
    pub source_threshold: u32,
    /// How long failures are counted together, from the first on, and how long a lock lasts at the most.
    pub window: Duration,
    /// How many buckets are kept.
    pub max_buckets: u32,
}

impl Default for LockoutPolicy {
    fn default() -> Self {
        Self {
            threshold: 5,
            source_threshold: 50,
            window: Duration::from_mins(5),
            max_buckets: 10_000,
        }
    }
}

/// How a source stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lockout {
    /// It may try; so many failures are left.
    Open {
        /// Failures left before it is locked.
        remaining: u32,
    },
    /// It may not try.
    Locked {
        /// For how long.
        retry_after: Duration,
    },
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Credential,
    Source,
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Credential => "credential",
            Self::Source => "source",
        }
    }
}

struct Bucket {
    name: String,
    kind: Kind,
    threshold: u32,
}

/// What a bucket is named after: a source, or a source and a key.
pub(super) type BucketDigest = [u8; 32];

#[derive(Clone, Copy, Default, PartialEq)]
struct Count {
    attempts: u32,
    since: i64,
    locked_until: Option<i64>,
}

impl Store {
    /// Whether `source` may present `key` (or nothing).
    ///
    /// # Errors
    ///
    /// [`Error::Database`].
    pub async fn lockout(&self, source: &str, key: Option<&SecretString>) -> Result<Lockout, Error> {
        let (digest, spotless) = (self.bucket_digest(source, key), &self.shared.spotless);
        if let Some(lockout) = spotless.recall(&digest) {
            return Ok(lockout);
        }
        let begun = spotless.begin();
        let mut transaction = self.pool.begin().await.map_err(Error::database("reading lockouts"))?;
        let buckets = self.buckets(source, key);
        let mut counts = Vec::new();
        for bucket in &buckets {
            counts.push(self.count(&mut transaction, bucket).await?);
        }
        let lockout = self.verdict(&buckets, &counts);
        // Where something is counted, the verdict changes with the clock.
        if counts.iter().all(|count| *count == Count::default()) {
            spotless.keep(begun, digest, lockout);
        }
        Ok(lockout)
    }

    /// Counts a failure of `source` with `key` (or nothing), and says how it stands then.
    ///
    /// # Errors
    ///
    /// [`Error::Database`].
    pub async fn record_failure(&self, source: &str, key: Option<&SecretString>) -> Result<Lockout, Error> {
        let mut transaction = self.begin().await?;
        let buckets = self.buckets(source, key);
        let mut counts = Vec::new();
        for bucket in &buckets {
            let count = self.count(&mut transaction, bucket).await?;
            counts.push(self.add(&mut transaction, bucket, count).await?);
        }
        self.compact(&mut transaction).await?;
        transaction
            .commit()
            .await
            .map_err(Error::database("counting a failed sign-in"))?;
        self.shared.spotless.forget();
        Ok(self.verdict(&buckets, &counts))
    }

    fn verdict(&self, buckets: &[Bucket], counts: &[Count]) -> Lockout {
        let now = self.now();
        let locked = counts
            .iter()
            .filter_map(|count| count.locked_until)
            .filter(|until| *until > now)
            .max();
        if let Some(until) = locked {
            let seconds = u64::try_from(until - now).unwrap_or_default();
            return Lockout::Locked {
                retry_after: Duration::from_secs(seconds),
            };
        }
        let left = buckets
            .iter()
            .zip(counts)
            .map(|(bucket, count)| bucket.threshold.saturating_sub(count.attempts));
        Lockout::Open {
            remaining: left.min().unwrap_or_default(),
        }
    }

    fn bucket_digest(&self, source: &str, key: Option<&SecretString>) -> BucketDigest {
        let pepper = self.shared.lockout_pepper.expose_secret();
        let key = key.map(|key| key.expose_secret().as_bytes());
        let mut hasher = Sha256::new();
        for part in [pepper, source.as_bytes()].into_iter().chain(key) {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
        hasher.finalize().into()
    }

    fn buckets(&self, source: &str, key: Option<&SecretString>) -> Vec<Bucket> {
        let name = |key| {
            let digest = self.bucket_digest(source, key);
            let hex = digest.iter().map(|byte| format!("{byte:02x}"));
            hex.collect::<String>()
        };
        let policy = self.shared.lockout;
        let of_source = Bucket {
            name: name(None),
            kind: Kind::Source,
            threshold: policy.source_threshold,
        };
        let of_key = key.map(|key| Bucket {
            name: name(Some(key)),
            kind: Kind::Credential,
            threshold: policy.threshold,
        });
        std::iter::once(of_source).chain(of_key).collect()
    }

    /// The bucket's count in the window that is running; nothing where it is over.
    async fn count(&self, transaction: &mut Transaction<'static, Sqlite>, bucket: &Bucket) -> Result<Count, Error> {
        let row =
            sqlx::query("SELECT attempts, window_started_at, locked_until_at FROM auth_lockouts WHERE bucket = ?")
                .bind(&bucket.name)
                .fetch_optional(&mut **transaction)
                .await
                .map_err(Error::database("reading lockouts"))?;
        let Some(row) = row else { return Ok(Count::default()) };
        let read = || -> Result<Count, sqlx::Error> {
            Ok(Count {
                attempts: row.try_get("attempts")?,
                since: row.try_get("window_started_at")?,
                locked_until: row.try_get("locked_until_at")?,
            })
        };
        let count = read().map_err(Error::database("reading lockouts"))?;
        let is_over = self.now() >= count.since + self.window();
        Ok(if is_over { Count::default() } else { count })
    }

    fn window(&self) -> i64 {
        i64::try_from(self.shared.lockout.window.as_secs()).unwrap_or(i64::MAX / 2)
    }

    async fn add(
        &self,
        transaction: &mut Transaction<'static, Sqlite>,
        bucket: &Bucket,
        count: Count,
    ) -> Result<Count, Error> {
        let now = self.now();
        let since = if count.attempts == 0 { now } else { count.since };
        let attempts = count.attempts.saturating_add(1);
        let locked_until = (attempts >= bucket.threshold).then(|| since + self.window());
        sqlx::query(
            "INSERT INTO auth_lockouts (bucket, kind, attempts, window_started_at, locked_until_at, updated_at) \
             VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (bucket) DO UPDATE SET attempts = excluded.attempts, \
             window_started_at = excluded.window_started_at, locked_until_at = excluded.locked_until_at, \
             updated_at = excluded.updated_at",
        )
        .bind(&bucket.name)
        .bind(bucket.kind.as_str())
        .bind(attempts)
        .bind(since)
        .bind(locked_until)
        .bind(now)
        .execute(&mut **transaction)
        .await
        .map_err(Error::database("counting a failed sign-in"))?;
        Ok(Count {
            attempts,
            since,
            locked_until,
        })
    }

    /// Removes what is stale, and the oldest beyond the limit.
    async fn compact(&self, transaction: &mut Transaction<'static, Sqlite>) -> Result<(), Error> {
        sqlx::query("DELETE FROM auth_lockouts WHERE updated_at < ?")
            .bind(self.now() - STALE.max(self.window()))
            .execute(&mut **transaction)
            .await
            .map_err(Error::database("removing old lockouts"))?;
        sqlx::query(
            "DELETE FROM auth_lockouts WHERE bucket IN \
             (SELECT bucket FROM auth_lockouts ORDER BY updated_at DESC LIMIT -1 OFFSET ?)",
        )
        .bind(self.shared.lockout.max_buckets)
        .execute(&mut **transaction)
        .await
        .map_err(Error::database("removing old lockouts"))?;
        Ok(())
    }
}

/// The key of the digests; made once in the life of a database.
pub(super) async fn pepper(pool: &SqlitePool) -> Result<SecretSlice<u8>, Error> {
    let mut pepper = vec![0; 32];
    getrandom::fill(&mut pepper).map_err(|_| Error::Lost)?;
    sqlx::query("INSERT INTO auth_lockout_pepper (id, pepper) VALUES (1, ?) ON CONFLICT DO NOTHING")
        .bind(&pepper)
        .execute(pool)
        .await
        .map_err(Error::database("preparing lockouts"))?;
    let kept: Vec<u8> = sqlx::query_scalar("SELECT pepper FROM auth_lockout_pepper WHERE id = 1")
        .fetch_one(pool)
        .await
        .map_err(Error::database("reading lockouts"))?;
    Ok(SecretSlice::from(kept))
}
