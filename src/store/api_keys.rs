//! API keys: bcrypt hashes, the one-time claim of the first, and their life cycle.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, Sqlite, Transaction};

use super::{Error, Store};

/// bcrypt's cost, that of the Python service.
const COST: u32 = 12;
/// The shortest key, in characters, and the longest that bcrypt takes, in bytes.
const MIN_LENGTH: usize = 32;
const MAX_LENGTH: usize = 72;

/// The id of an API key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct ApiKeyId(pub i64);

/// An API key, without the key.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ApiKey {
    /// Its id.
    pub id: ApiKeyId,
    /// What it is for.
    pub label: String,
    /// Whether it is accepted.
    pub is_active: bool,
    /// When it was made, Unix seconds.
    pub created_at: f64,
}

/// Whether the first key is still to be registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct BootstrapStatus {
    /// Nobody has registered a key yet.
    pub needs_bootstrap: bool,
    /// A key exists, active or not.
    pub has_db_keys: bool,
}

fn decode(row: &SqliteRow) -> Result<ApiKey, sqlx::Error> {
    Ok(ApiKey {
        id: ApiKeyId(row.try_get("id")?),
        label: row.try_get("label")?,
        is_active: row.try_get("is_active")?,
        created_at: row.try_get("created_at")?,
    })
}

/// A raw key as it will be presented: HTTP trims header values.
fn checked(raw: &SecretString) -> Result<SecretString, Error> {
    let invalid = |message: &str| Error::Invalid {
        field: "api_key",
        message: message.to_owned(),
    };
    let text = raw.expose_secret().trim();
    if text.chars().count() < MIN_LENGTH {
        return Err(invalid("API key must be at least 32 characters."));
    }
    if text.len() > MAX_LENGTH {
        return Err(invalid("API key must be at most 72 bytes."));
    }
    if text.chars().any(|letter| letter.is_control() || !letter.is_ascii()) {
        return Err(invalid("API key must consist of printable ASCII characters."));
    }
    Ok(SecretString::from(text.to_owned()))
}

async fn hash(key: SecretString) -> Result<String, Error> {
    let hashed = tokio::task::spawn_blocking(move || bcrypt::hash(key.expose_secret(), COST)).await;
    hashed.ok().and_then(Result::ok).ok_or(Error::Lost)
}

impl Store {
    /// Whether the first key is still to be registered. Once it was, the answer never changes back.
    ///
    /// # Errors
    ///
    /// [`Error::Database`].
    pub async fn bootstrap_status(&self) -> Result<BootstrapStatus, Error> {
        let row = sqlx::query(
            "SELECT EXISTS (SELECT 1 FROM api_key_claim) AS claimed, EXISTS (SELECT 1 FROM api_keys) AS has_keys",
        )
        .fetch_one(&self.pool)
        .await
        .map_err(Error::database("reading the API keys"))?;
        let claimed: bool = row
            .try_get("claimed")
            .map_err(Error::database("reading the API keys"))?;
        let has_keys: bool = row
            .try_get("has_keys")
            .map_err(Error::database("reading the API keys"))?;
        let is_claimed = claimed || has_keys;
        Ok(BootstrapStatus {
            needs_bootstrap: !is_claimed,
            has_db_keys: is_claimed,
        })
    }

    /// Registers the first key and claims the service for good, in one transaction.
    ///
    /// # Errors
    ///
    /// [`Error::AlreadyClaimed`]; [`Error::Invalid`] where the key is too short, too long or cannot be presented.
    pub async fn register_first_key(&self, raw: &SecretString, label: &str) -> Result<ApiKey, Error> {
        let key = checked(raw)?;
        if !self.bootstrap_status().await?.needs_bootstrap {
            return Err(Error::AlreadyClaimed);
        }
        let hash = hash(key).await?;
        let mut transaction = self.begin().await?;
        let claim = sqlx::query("INSERT INTO api_key_claim (id, claimed_at) VALUES (1, ?) ON CONFLICT DO NOTHING")
            .bind(self.now())
            .execute(&mut *transaction)
            .await
            .map_err(Error::database("claiming the service"))?;
        if claim.rows_affected() == 0 {
            return Err(Error::AlreadyClaimed);
        }
        let key = self.insert_key(&mut transaction, label, &hash).await?;
        transaction
            .commit()
            .await
            .map_err(Error::database("registering the first API key"))?;
        self.shared.cache.forget();
        Ok(key)
    }

    /// Makes a key of 64 URL-safe characters, which is told this once.
    ///
    /// # Errors
    ///
    /// [`Error::KeyLimit`].
    pub async fn create_key(&self, label: &str) -> Result<(ApiKey, SecretString), Error> {
        let mut bytes = [0; 48];
        getrandom::fill(&mut bytes).map_err(|_| Error::Lost)?;
        let raw = SecretString::from(URL_SAFE_NO_PAD.encode(bytes));
        let hash = hash(raw.clone()).await?;
        let mut transaction = self.begin().await?;
        self.refuse_over_limit(&mut transaction).await?;
        let key = self.insert_key(&mut transaction, label, &hash).await?;
        transaction
            .commit()
            .await
            .map_err(Error::database("creating an API key"))?;
        self.shared.cache.forget();
        Ok((key, raw))
    }

    /// Every key, newest first.
    ///
    /// # Errors
    ///
    /// [`Error::Database`].
    pub async fn list_keys(&self) -> Result<Vec<ApiKey>, Error> {
        let rows =
            sqlx::query("SELECT id, label, is_active, created_at FROM api_keys ORDER BY created_at DESC, id DESC")
                .fetch_all(&self.pool)
                .await
                .map_err(Error::database("listing the API keys"))?;
        rows.iter()
            .map(decode)
            .collect::<Result<_, _>>()
            .map_err(Error::database("listing the API keys"))
    }

    /// Accepts a key or stops accepting it.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`]; [`Error::LastActiveKey`]; [`Error::KeyLimit`].
    pub async fn set_key_active(&self, id: ApiKeyId, is_active: bool) -> Result<ApiKey, Error> {
        let mut transaction = self.begin().await?;
        let mut key = find(&mut transaction, id).await?;
        if key.is_active && !is_active {
            refuse_last_active(&mut transaction).await?;
        }
        if !key.is_active && is_active {
            self.refuse_over_limit(&mut transaction).await?;
        }
        sqlx::query("UPDATE api_keys SET is_active = ? WHERE id = ?")
            .bind(is_active)
            .bind(id.0)
            .execute(&mut *transaction)
            .await
            .map_err(Error::database("changing an API key"))?;
        transaction
            .commit()
            .await
            .map_err(Error::database("changing an API key"))?;
        self.shared.cache.forget();
        key.is_active = is_active;
        Ok(key)
    }

    /// Deletes a key.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`]; [`Error::LastActiveKey`].
    pub async fn delete_key(&self, id: ApiKeyId) -> Result<(), Error> {
        let mut transaction = self.begin().await?;
        if find(&mut transaction, id).await?.is_active {
            refuse_last_active(&mut transaction).await?;
        }
        sqlx::query("DELETE FROM api_keys WHERE id = ?")
            .bind(id.0)
            .execute(&mut *transaction)
            .await
            .map_err(Error::database("deleting an API key"))?;
        transaction
            .commit()
            .await
            .map_err(Error::database("deleting an API key"))?;
        self.shared.cache.forget();
        Ok(())
    }

    /// Which active key `raw` is; `None` where it is none. bcrypt runs once per key, not once per call.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`] where too many verifications wait already.
    pub async fn verify_key(&self, raw: &SecretString) -> Result<Option<ApiKeyId>, Error> {
        if raw.expose_secret().len() > MAX_LENGTH {
            return Ok(None);
        }
        self.shared.cache.verdict(raw, self.compare(raw.clone())).await
    }

    async fn compare(&self, raw: SecretString) -> Result<Option<ApiKeyId>, Error> {
        let rows = sqlx::query("SELECT id, key_hash FROM api_keys WHERE is_active = 1 ORDER BY id LIMIT ?")
            .bind(self.shared.max_active_keys)
            .fetch_all(&self.pool)
            .await
            .map_err(Error::database("reading the API keys"))?;
        let hashes: Result<Vec<(i64, String)>, sqlx::Error> = rows
            .iter()
            .map(|row| Ok((row.try_get("id")?, row.try_get("key_hash")?)))
            .collect();
        let hashes = hashes.map_err(Error::database("reading the API keys"))?;
        // bcrypt compares in constant time.
        let is_it = move |hash: &str| bcrypt::verify(raw.expose_secret(), hash).unwrap_or(false);
        let found = tokio::task::spawn_blocking(move || hashes.into_iter().find(|(_, hash)| is_it(hash))).await;
        Ok(found.map_err(|_| Error::Lost)?.map(|(id, _)| ApiKeyId(id)))
    }

    pub(super) async fn begin(&self) -> Result<Transaction<'static, Sqlite>, Error> {
        self.pool
            .begin_with("BEGIN IMMEDIATE")
            .await
            .map_err(Error::database("beginning a transaction"))
    }

    async fn insert_key(
        &self,
        transaction: &mut Transaction<'static, Sqlite>,
        label: &str,
        hash: &str,
    ) -> Result<ApiKey, Error> {
        let now = (self.shared.clock)();
        #[expect(clippy::cast_precision_loss, reason = "Unix time with microseconds fits a double")]
        let created_at = (now.unix_timestamp_nanos() / 1000) as f64 / 1e6;
        let inserted = sqlx::query("INSERT INTO api_keys (label, key_hash, is_active, created_at) VALUES (?, ?, 1, ?)")
            .bind(label)
            .bind(hash)
            .bind(created_at)
            .execute(&mut **transaction)
            .await
            .map_err(Error::database("storing an API key"))?;
        let id = ApiKeyId(inserted.last_insert_rowid());
        Ok(ApiKey {
            id,
            label: label.to_owned(),
            is_active: true,
            created_at,
        })
    }

    async fn refuse_over_limit(&self, transaction: &mut Transaction<'static, Sqlite>) -> Result<(), Error> {
        let limit = self.shared.max_active_keys;
        if active_keys(transaction).await? >= i64::from(limit) {
            Err(Error::KeyLimit { limit })
        } else {
            Ok(())
        }
    }
}

async fn find(transaction: &mut Transaction<'static, Sqlite>, id: ApiKeyId) -> Result<ApiKey, Error> {
    let row = sqlx::query("SELECT id, label, is_active, created_at FROM api_keys WHERE id = ?")
        .bind(id.0)
        .fetch_optional(&mut **transaction)
        .await
        .map_err(Error::database("reading an API key"))?;
    let row = row.ok_or(Error::NotFound {
        what: "API key",
        id: id.0,
    })?;
    decode(&row).map_err(Error::database("reading an API key"))
}

async fn active_keys(transaction: &mut Transaction<'static, Sqlite>) -> Result<i64, Error> {
    sqlx::query_scalar("SELECT COUNT(*) FROM api_keys WHERE is_active = 1")
        .fetch_one(&mut **transaction)
        .await
        .map_err(Error::database("counting the API keys"))
}

async fn refuse_last_active(transaction: &mut Transaction<'static, Sqlite>) -> Result<(), Error> {
    if active_keys(transaction).await? <= 1 {
        Err(Error::LastActiveKey)
    } else {
        Ok(())
    }
}
