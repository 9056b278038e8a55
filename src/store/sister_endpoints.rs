//! Endpoints of the sister products: backup servers and datacenter managers. Both tables have the same columns.

use std::fmt;

use secrecy::SecretString;
use serde::Serialize;
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Row, Sqlite, Transaction};

use super::cipher::Place;
use super::secrets::write_cell;
use super::{Error, SecretChange, Store};
use crate::endpoint::Product;

/// A statement over the table of a product.
macro_rules! statement {
    ($sister:expr, $before:literal, $after:literal) => {
        match $sister {
            Sister::BackupServer => concat!($before, " pbs_endpoints ", $after),
            Sister::DatacenterManager => concat!($before, " pdm_endpoints ", $after),
        }
    };
}

/// A product of Proxmox that is asked for its state, and nothing more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sister {
    /// Proxmox Backup Server.
    BackupServer,
    /// Proxmox Datacenter Manager.
    DatacenterManager,
}

impl Sister {
    /// The product.
    pub const fn product(self) -> Product {
        match self {
            Self::BackupServer => Product::BackupServer,
            Self::DatacenterManager => Product::DatacenterManager,
        }
    }

    /// Seconds that a request may take where nothing is said.
    pub const TIMEOUT_SECONDS: u32 = 30;

    /// Whether certificates are verified where nothing is said: backup servers mostly have one of their own making.
    pub const fn verifies_by_default(self) -> bool {
        matches!(self, Self::DatacenterManager)
    }

    pub(super) const fn table(self) -> &'static str {
        match self {
            Self::BackupServer => "pbs_endpoints",
            Self::DatacenterManager => "pdm_endpoints",
        }
    }

    pub(super) const fn what(self) -> &'static str {
        match self {
            Self::BackupServer => "PBS endpoint",
            Self::DatacenterManager => "PDM endpoint",
        }
    }

    const fn place(self, row: i64) -> Place {
        Place {
            table: self.table(),
            row,
            column: "token_secret",
        }
    }
}

/// Everything of an endpoint but its secret. The order is that of the answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SisterSettings {
    /// Its name, unique among those of its product.
    pub name: String,
    /// Its DNS name or IP address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The token's id, `user@realm!name`.
    pub token_id: String,
    /// The SHA-256 fingerprint of its certificate, where that is pinned.
    pub fingerprint: Option<String>,
    /// Whether its certificate is verified.
    pub verify_ssl: bool,
    /// Whether it is used.
    pub enabled: bool,
    /// Seconds that a request may take.
    pub timeout_seconds: u32,
    /// Whether anything may be changed on it. Nothing here does.
    pub allow_writes: bool,
}

/// A stored endpoint; its secret is opened in a step of its own.
#[derive(Clone)]
pub struct SisterEndpoint {
    /// Its id.
    pub id: i64,
    /// Its settings.
    pub settings: SisterSettings,
    token_secret: Vec<u8>,
}

impl fmt::Debug for SisterEndpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SisterEndpoint")
            .field("id", &self.id)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// An endpoint as it is to become.
#[derive(Debug, Clone)]
pub struct SisterDraft {
    /// Its settings.
    pub settings: SisterSettings,
    /// What becomes of its token's secret.
    pub token_secret: SecretChange,
}

fn decode(row: &SqliteRow) -> Result<SisterEndpoint, sqlx::Error> {
    Ok(SisterEndpoint {
        id: row.try_get("id")?,
        settings: SisterSettings {
            name: row.try_get("name")?,
            host: row.try_get("host")?,
            port: row.try_get("port")?,
            token_id: row.try_get("token_id")?,
            fingerprint: row.try_get("fingerprint")?,
            verify_ssl: row.try_get("verify_ssl")?,
            enabled: row.try_get("enabled")?,
            timeout_seconds: row.try_get("timeout_seconds")?,
            allow_writes: row.try_get("allow_writes")?,
        },
        token_secret: row.try_get("token_secret")?,
    })
}

impl Store {
    /// Every endpoint of `sister`, by id.
    ///
    /// # Errors
    ///
    /// [`Error::Database`].
    pub async fn list_sister_endpoints(&self, sister: Sister) -> Result<Vec<SisterEndpoint>, Error> {
        const DOING: &str = "listing endpoints of a sister product";
        let query = statement!(
            sister,
            "SELECT id, name, host, port, token_id, token_secret, fingerprint, verify_ssl, allow_writes, enabled, \
             timeout_seconds FROM",
            "ORDER BY id"
        );
        let rows = sqlx::query(query)
            .fetch_all(&self.pool)
            .await
            .map_err(Error::database(DOING))?;
        rows.iter()
            .map(decode)
            .collect::<Result<_, _>>()
            .map_err(Error::database(DOING))
    }

    /// The endpoint `id` of `sister`.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`].
    pub async fn get_sister_endpoint(&self, sister: Sister, id: i64) -> Result<SisterEndpoint, Error> {
        let rows = self.list_sister_endpoints(sister).await?;
        let what = sister.what();
        rows.into_iter()
            .find(|row| row.id == id)
            .ok_or(Error::NotFound { what, id })
    }

    /// The secret of the token of `endpoint`, one of `sister`.
    ///
    /// # Errors
    ///
    /// [`Error::Sealed`].
    pub async fn sister_secret(
        &self,
        sister: Sister,
        endpoint: &SisterEndpoint,
    ) -> Result<Option<SecretString>, Error> {
        self.open_cell(sister.place(endpoint.id), Some(&endpoint.token_secret))
            .await
    }

    /// Stores an endpoint of `sister`.
    ///
    /// # Errors
    ///
    /// [`Error::NameTaken`]; [`Error::Invalid`] without a secret; [`Error::NoKey`].
    pub async fn create_sister_endpoint(&self, sister: Sister, draft: &SisterDraft) -> Result<SisterEndpoint, Error> {
        check(draft, false)?;
        let mut transaction = self.begin().await?;
        let id = self
            .insert_sister_endpoint(sister, &mut transaction, None, draft)
            .await?;
        transaction
            .commit()
            .await
            .map_err(Error::database("storing an endpoint"))?;
        self.get_sister_endpoint(sister, id).await
    }

    /// Takes over an endpoint with its id. Where the id or the name is taken, nothing is written: `false`.
    pub(super) async fn import_sister_endpoint(
        &self,
        sister: Sister,
        transaction: &mut Transaction<'static, Sqlite>,
        id: i64,
        draft: &SisterDraft,
    ) -> Result<bool, Error> {
        let query = statement!(sister, "SELECT COUNT(*) FROM", "WHERE id = ? OR name = ?");
        let existing: i64 = sqlx::query_scalar(query)
            .bind(id)
            .bind(&draft.settings.name)
            .fetch_one(&mut **transaction)
            .await
            .map_err(Error::database("importing endpoints"))?;
        if existing > 0 {
            return Ok(false);
        }
        self.insert_sister_endpoint(sister, transaction, Some(id), draft)
            .await?;
        Ok(true)
    }

    async fn insert_sister_endpoint(
        &self,
        sister: Sister,
        transaction: &mut Transaction<'static, Sqlite>,
        id: Option<i64>,
        draft: &SisterDraft,
    ) -> Result<i64, Error> {
        let settings = &draft.settings;
        refuse_taken_name(sister, transaction, &settings.name, None).await?;
        let query = statement!(
            sister,
            "INSERT INTO",
            "(token_secret, name, host, port, token_id, fingerprint, verify_ssl, allow_writes, enabled, \
             timeout_seconds, id) VALUES (x'', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        );
        let inserted = bound(query, settings)
            .bind(id)
            .execute(&mut **transaction)
            .await
            .map_err(Error::database("storing an endpoint"))?;
        let id = inserted.last_insert_rowid();
        self.write_sister_secret(sister, transaction, id, draft).await?;
        Ok(id)
    }

    /// Changes an endpoint of `sister` by `merge`, which is handed the row as it stands. Where nothing changes nothing is
    /// written.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`]; [`Error::NameTaken`]; [`Error::Invalid`] over the merged row; [`Error::NoKey`]; what `merge`
    /// answers.
    pub async fn update_sister_endpoint<E: From<Error>>(
        &self,
        sister: Sister,
        id: i64,
        merge: impl FnOnce(&mut SisterDraft) -> Result<(), E> + Send,
    ) -> Result<SisterEndpoint, E> {
        let old = self.get_sister_endpoint(sister, id).await?;
        let mut draft = SisterDraft {
            settings: old.settings.clone(),
            token_secret: SecretChange::Keep,
        };
        merge(&mut draft)?;
        check(&draft, !old.token_secret.is_empty())?;
        let is_same = match &draft.token_secret {
            SecretChange::Keep => true,
            SecretChange::Set(secret) => self.is_stored(sister.place(id), Some(&old.token_secret), secret.as_ref()),
        };
        if is_same && draft.settings == old.settings {
            return Ok(old);
        }
        self.write_sister_endpoint(sister, id, &draft).await?;
        Ok(self.get_sister_endpoint(sister, id).await?)
    }

    async fn write_sister_endpoint(&self, sister: Sister, id: i64, draft: &SisterDraft) -> Result<(), Error> {
        let settings = &draft.settings;
        let mut transaction = self.begin().await?;
        refuse_taken_name(sister, &mut transaction, &settings.name, Some(id)).await?;
        let query = statement!(
            sister,
            "UPDATE",
            "SET name = ?, host = ?, port = ?, token_id = ?, fingerprint = ?, verify_ssl = ?, allow_writes = ?, \
             enabled = ?, timeout_seconds = ? WHERE id = ?"
        );
        bound(query, settings)
            .bind(id)
            .execute(&mut *transaction)
            .await
            .map_err(Error::database("changing an endpoint"))?;
        self.write_sister_secret(sister, &mut transaction, id, draft).await?;
        transaction
            .commit()
            .await
            .map_err(Error::database("changing an endpoint"))
    }

    async fn write_sister_secret(
        &self,
        sister: Sister,
        transaction: &mut Transaction<'static, Sqlite>,
        id: i64,
        draft: &SisterDraft,
    ) -> Result<(), Error> {
        let SecretChange::Set(Some(secret)) = &draft.token_secret else {
            return Ok(());
        };
        let place = sister.place(id);
        let sealed = self.seal_cell(place, secret)?;
        write_cell(transaction, place, Some(&sealed), None).await
    }

    /// Deletes an endpoint of `sister`. Its id is not given again.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`].
    pub async fn delete_sister_endpoint(&self, sister: Sister, id: i64) -> Result<(), Error> {
        let deleted = sqlx::query(statement!(sister, "DELETE FROM", "WHERE id = ?"))
            .bind(id)
            .execute(&self.pool)
            .await
            .map_err(Error::database("deleting an endpoint"))?;
        let what = sister.what();
        match deleted.rows_affected() {
            0 => Err(Error::NotFound { what, id }),
            _ => Ok(()),
        }
    }
}

/// The statement `query` with the columns of `settings`, in the order of their names in both statements that write them.
fn bound<'q>(query: &'static str, settings: &'q SisterSettings) -> Query<'q, Sqlite, SqliteArguments> {
    sqlx::query(query)
        .bind(&settings.name)
        .bind(&settings.host)
        .bind(settings.port)
        .bind(&settings.token_id)
        .bind(&settings.fingerprint)
        .bind(settings.verify_ssl)
        .bind(settings.allow_writes)
        .bind(settings.enabled)
        .bind(settings.timeout_seconds)
}

/// The rule of the token, over the merged row.
fn check(draft: &SisterDraft, had_secret: bool) -> Result<(), Error> {
    if draft.token_secret.leaves(had_secret) {
        return Ok(());
    }
    Err(Error::Invalid {
        field: "token_secret",
        message: "token_secret is required".to_owned(),
    })
}

async fn refuse_taken_name(
    sister: Sister,
    transaction: &mut Transaction<'static, Sqlite>,
    name: &str,
    own: Option<i64>,
) -> Result<(), Error> {
    let query = statement!(sister, "SELECT id FROM", "WHERE name = ? AND id IS NOT ?");
    let holder: Option<i64> = sqlx::query_scalar(query)
        .bind(name)
        .bind(own)
        .fetch_optional(&mut **transaction)
        .await
        .map_err(Error::database("looking for the name of an endpoint"))?;
    let (what, name) = (sister.what(), name.to_owned());
    holder.map_or(Ok(()), |_| Err(Error::NameTaken { what, name }))
}
