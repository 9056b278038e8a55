//! Sealed columns: reading, writing, re-sealing, and proof that all of them open.

use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use sqlx::{Row, Sqlite, Transaction};

use super::cipher::Place;
use super::{Error, KeySource, Store};

/// A sealed column, and the statements that read and write it.
struct Column {
    table: &'static str,
    name: &'static str,
    read: &'static str,
    /// Takes the new value, the row, and the value that must still be there; null: whatever is there.
    write: &'static str,
}

macro_rules! columns {
    ($($table:literal: $name:literal),* $(,)?) => {
        [$(Column {
            table: $table,
            name: $name,
            read: concat!("SELECT id, ", $name, " AS stored FROM ", $table),
            write: concat!(
                "UPDATE ", $table, " SET ", $name, " = ?1 WHERE id = ?2 AND (?3 IS NULL OR ", $name, " IS ?3)"
            ),
        }),*]
    };
}

/// Every sealed column.
const SEALED: [Column; 6] = columns![
    "netbox_endpoints": "token_key",
    "netbox_endpoints": "token",
    "proxmox_endpoints": "password",
    "proxmox_endpoints": "token_value",
    "pbs_endpoints": "token_secret",
    "pdm_endpoints": "token_secret",
];

/// What a change does to a secret.
#[derive(Debug, Clone, Default)]
pub enum SecretChange {
    /// It stays as it is.
    #[default]
    Keep,
    /// It becomes this; `None` removes it.
    Set(Option<SecretString>),
}

impl SecretChange {
    /// Whether the secret is there after the change, where it was there before or not.
    pub fn leaves(&self, was_there: bool) -> bool {
        match self {
            Self::Keep => was_there,
            Self::Set(secret) => secret.as_ref().is_some_and(|secret| !secret.expose_secret().is_empty()),
        }
    }
}

/// How secrets are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct EncryptionStatus {
    /// Whether there is a key.
    pub configured: bool,
    /// Where it comes from: `env` or `local`.
    pub source: Option<&'static str>,
    /// Whether every stored secret is sealed and opens.
    pub verified: bool,
}

struct Cell {
    place: Place,
    stored: Vec<u8>,
}

impl Store {
    /// Opens a sealed column; an empty or missing one is `None`. A value in an outdated form is sealed anew on the way.
    ///
    /// # Errors
    ///
    /// [`Error::Sealed`].
    pub(super) async fn open_cell(&self, place: Place, stored: Option<&[u8]>) -> Result<Option<SecretString>, Error> {
        let Some(stored) = stored.filter(|stored| !stored.is_empty()) else {
            return Ok(None);
        };
        let opened = self.shared.ring.open(place, stored)?;
        if opened.is_outdated {
            self.reseal(place, stored, &opened.secret).await?;
        }
        Ok(Some(opened.secret).filter(|secret| !secret.expose_secret().is_empty()))
    }

    /// What is stored for `secret` at `place`.
    ///
    /// # Errors
    ///
    /// [`Error::NoKey`] where there is no key and plain text is not allowed.
    pub(super) fn seal_cell(&self, place: Place, secret: &SecretString) -> Result<Vec<u8>, Error> {
        match self.shared.ring.seal(place, secret) {
            Err(Error::NoKey) if self.shared.allow_plaintext => Ok(secret.expose_secret().as_bytes().to_vec()),
            sealed => sealed,
        }
    }

    /// Does to the secret at `place` what `change` says.
    ///
    /// # Errors
    ///
    /// [`Error::NoKey`] where there is no key and plain text is not allowed.
    pub(super) async fn write_secret(
        &self,
        transaction: &mut Transaction<'static, Sqlite>,
        place: Place,
        change: &SecretChange,
    ) -> Result<(), Error> {
        let SecretChange::Set(secret) = change else {
            return Ok(());
        };
        let sealed = secret
            .as_ref()
            .map(|secret| self.seal_cell(place, secret))
            .transpose()?;
        write_cell(transaction, place, sealed.as_deref(), None).await
    }

    /// Whether `secret` is what is stored at `place`. What does not open is something else.
    pub(super) fn is_stored(&self, place: Place, stored: Option<&[u8]>, secret: Option<&SecretString>) -> bool {
        let old = match stored
            .filter(|stored| !stored.is_empty())
            .map(|stored| self.shared.ring.open(place, stored))
        {
            None => None,
            Some(Ok(opened)) => Some(opened.secret),
            Some(Err(_)) => return false,
        };
        let text = |secret: Option<&SecretString>| secret.map(|secret| secret.expose_secret().to_owned());
        text(old.as_ref()).unwrap_or_default() == text(secret).unwrap_or_default()
    }

    /// Replaces a value in an outdated form, unless somebody else has changed it meanwhile.
    async fn reseal(&self, place: Place, before: &[u8], secret: &SecretString) -> Result<(), Error> {
        let sealed = self.seal_cell(place, secret)?;
        let mut transaction = self.begin().await?;
        write_cell(&mut transaction, place, Some(&sealed), Some(before)).await?;
        transaction
            .commit()
            .await
            .map_err(Error::database("sealing a secret anew"))?;
        self.shared.proxmox.forget();
        Ok(())
    }

    /// Seals every secret anew with the active key, all of them or none. Returns how many there are.
    ///
    /// # Errors
    ///
    /// [`Error::Sealed`] where one does not open; [`Error::NoKey`].
    pub async fn reseal_all(&self) -> Result<usize, Error> {
        let mut transaction = self.begin().await?;
        let cells = cells(&mut transaction).await?;
        for cell in &cells {
            let opened = self.shared.ring.open(cell.place, &cell.stored)?;
            let sealed = self.shared.ring.seal(cell.place, &opened.secret)?;
            write_cell(&mut transaction, cell.place, Some(&sealed), None).await?;
        }
        transaction
            .commit()
            .await
            .map_err(Error::database("sealing secrets anew"))?;
        self.shared.proxmox.forget();
        Ok(cells.len())
    }

    /// How secrets are kept, found out by opening every one.
    ///
    /// # Errors
    ///
    /// [`Error::Database`].
    pub async fn encryption_status(&self) -> Result<EncryptionStatus, Error> {
        let mut transaction = self.pool.begin().await.map_err(Error::database("reading secrets"))?;
        let cells = cells(&mut transaction).await?;
        let is_sealed = |cell: &Cell| cell.stored.starts_with(b"enc");
        let opens = |cell: &Cell| is_sealed(cell) && self.shared.ring.open(cell.place, &cell.stored).is_ok();
        Ok(EncryptionStatus {
            configured: self.shared.ring.is_configured(),
            source: self.shared.key_source.map(KeySource::as_str),
            verified: self.shared.ring.is_configured() && cells.iter().all(opens),
        })
    }
}

/// Every secret that is there.
async fn cells(transaction: &mut Transaction<'static, Sqlite>) -> Result<Vec<Cell>, Error> {
    let mut cells = Vec::new();
    for column in SEALED {
        let rows = sqlx::query(column.read)
            .fetch_all(&mut **transaction)
            .await
            .map_err(Error::database("reading secrets"))?;
        for row in rows {
            let row_id: i64 = row.try_get("id").map_err(Error::database("reading secrets"))?;
            let stored: Option<Vec<u8>> = row.try_get("stored").map_err(Error::database("reading secrets"))?;
            if let Some(stored) = stored.filter(|stored| !stored.is_empty()) {
                cells.push(Cell {
                    place: Place {
                        table: column.table,
                        row: row_id,
                        column: column.name,
                    },
                    stored,
                });
            }
        }
    }
    Ok(cells)
}

/// Writes a sealed column; with `before` only where it still holds that.
pub(super) async fn write_cell(
    transaction: &mut Transaction<'static, Sqlite>,
    place: Place,
    sealed: Option<&[u8]>,
    before: Option<&[u8]>,
) -> Result<(), Error> {
    const DOING: &str = "storing a secret";
    let column = SEALED
        .iter()
        .find(|column| (column.table, column.name) == (place.table, place.column))
        .ok_or_else(|| Error::Database {
            doing: DOING,
            source: sqlx::Error::ColumnNotFound(place.column.to_owned()),
        })?;
    sqlx::query(column.write)
        .bind(sealed)
        .bind(place.row)
        .bind(before)
        .execute(&mut **transaction)
        .await
        .map(drop)
        .map_err(Error::database(DOING))
}
