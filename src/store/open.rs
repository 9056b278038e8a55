//! Opening the database.

use std::borrow::Cow;
use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretSlice;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{SqlSafeStr, SqlitePool};
use time::OffsetDateTime;

use super::cipher::KeyRing;
use super::key_cache::KeyCache;
use super::lockouts::BucketDigest;
use super::memo::Memo;
use super::{Error, KeySource, Keys, Lockout, LockoutPolicy, ProxmoxEndpoint, keys, lockouts};

/// How long a statement waits for another process that writes.
const BUSY: Duration = Duration::from_secs(5);
const CONNECTIONS: u32 = 4;

/// Where the database is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// In this file; its directory is made where it is missing.
    File(PathBuf),
    /// In memory, gone with the store.
    Memory,
}

/// How a store is opened.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// Where.
    pub location: Location,
    /// What secrets are sealed with.
    pub keys: Keys,
    /// Whether secrets may be stored unsealed where there is no key.
    pub allow_plaintext: bool,
    /// How many API keys may be active.
    pub max_active_keys: u32,
    /// When failed sign-ins lock out.
    pub lockout: LockoutPolicy,
    /// The time.
    pub clock: fn() -> OffsetDateTime,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            location: Location::Memory,
            keys: Keys::default(),
            allow_plaintext: false,
            max_active_keys: 32,
            lockout: LockoutPolicy::default(),
            clock: OffsetDateTime::now_utc,
        }
    }
}

/// Saved state; clones share it.
#[derive(Debug, Clone)]
pub struct Store {
    pub(super) pool: SqlitePool,
    pub(super) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) ring: KeyRing,
    pub(super) key_source: Option<KeySource>,
    pub(super) cache: KeyCache,
    /// The Proxmox endpoints, their secrets sealed.
    pub(super) proxmox: Memo<(), Arc<[ProxmoxEndpoint]>>,
    /// Who may try to sign in and has never failed.
    pub(super) spotless: Memo<BucketDigest, Lockout>,
    pub(super) allow_plaintext: bool,
    pub(super) max_active_keys: u32,
    pub(super) lockout: LockoutPolicy,
    pub(super) lockout_pepper: SecretSlice<u8>,
    pub(super) clock: fn() -> OffsetDateTime,
}

impl Store {
    /// Opens the database and brings it up to date.
    ///
    /// # Errors
    ///
    /// [`Error::File`], [`Error::KeyFile`] or [`Error::Migration`], each saying what to do.
    pub async fn open(options: StoreOptions) -> Result<Self, Error> {
        if let Location::File(path) = &options.location {
            prepare(path)?;
        }
        let (ring, key_source) = keys::ring(&options.keys)?;
        let pool = connect(&options.location).await?;
        migrator().run(&pool).await?;
        let shared = Shared {
            lockout_pepper: lockouts::pepper(&pool).await?,
            ring,
            key_source,
            cache: KeyCache::new()?,
            proxmox: Memo::default(),
            spotless: Memo::default(),
            allow_plaintext: options.allow_plaintext,
            max_active_keys: options.max_active_keys,
            lockout: options.lockout,
            clock: options.clock,
        };
        Ok(Self {
            pool,
            shared: Arc::new(shared),
        })
    }

    /// Writes what is outstanding and closes the file.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// Whether the database answers.
    ///
    /// # Errors
    ///
    /// [`Error::Database`].
    pub async fn ping(&self) -> Result<(), Error> {
        let asked = sqlx::query("SELECT 1").execute(&self.pool).await;
        asked.map(drop).map_err(Error::database("asking it"))
    }

    pub(super) fn now(&self) -> i64 {
        (self.shared.clock)().unix_timestamp()
    }
}

fn bad(path: &Path, reason: impl Into<String>) -> Error {
    Error::File {
        path: path.to_owned(),
        reason: reason.into(),
    }
}

/// Makes the file, readable by its owner alone, and refuses what would fail later in a way that is harder to understand.
///
/// What SQLite keeps beside it gets the same rights.
fn prepare(path: &Path) -> Result<(), Error> {
    if !path.is_absolute() {
        return Err(bad(path, "its path must be absolute"));
    }
    let folder = path.parent().ok_or_else(|| bad(path, "it has no directory"))?;
    fs::create_dir_all(folder).map_err(|error| bad(path, format!("its directory cannot be made: {error}")))?;
    if path.is_dir() {
        return Err(bad(path, "it is a directory"));
    }
    let opened = fs::OpenOptions::new().create(true).append(true).mode(0o600).open(path);
    opened
        .map(drop)
        .map_err(|error| bad(path, format!("it cannot be written: {error}")))
}

async fn connect(location: &Location) -> Result<SqlitePool, Error> {
    let options = match location {
        Location::File(path) => SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal),
        Location::Memory => SqliteConnectOptions::new().in_memory(true),
    };
    let options = options
        .synchronous(SqliteSynchronous::Normal)
        .foreign_keys(true)
        .busy_timeout(BUSY)
        .pragma("cache_size", "-512");
    let pool = match location {
        Location::File(_) => SqlitePoolOptions::new().max_connections(CONNECTIONS),
        // Each connection would have a database of its own.
        Location::Memory => SqlitePoolOptions::new()
            .max_connections(1)
            .min_connections(1)
            .idle_timeout(None)
            .max_lifetime(None),
    };
    let path = match location {
        Location::File(path) => path.clone(),
        Location::Memory => PathBuf::from(":memory:"),
    };
    pool.connect_with(options)
        .await
        .map_err(|error| bad(&path, format!("it cannot be opened: {error}")))
}

/// The migrations, in order. A released one is never edited.
pub(super) fn migrator() -> Migrator {
    let migration = |version: i64, name: &'static str, sql: &'static str| {
        Migration::new(
            version,
            Cow::Borrowed(name),
            MigrationType::Simple,
            sqlx::AssertSqlSafe(sql).into_sql_str(),
            false,
        )
    };
    Migrator::with_migrations(vec![
        migration(1, "endpoints", include_str!("../../migrations/0001_endpoints.sql")),
        migration(2, "api keys", include_str!("../../migrations/0002_api_keys.sql")),
        migration(3, "runs", include_str!("../../migrations/0003_runs.sql")),
        migration(
            4,
            "write journal",
            include_str!("../../migrations/0004_write_journal.sql"),
        ),
        migration(
            5,
            "sister endpoints",
            include_str!("../../migrations/0005_sister_endpoints.sql"),
        ),
        migration(
            6,
            "reach of NetBox",
            include_str!("../../migrations/0006_netbox_reach.sql"),
        ),
    ])
}
