//! The NetBox that this service writes to.

use std::fmt;

use secrecy::SecretString;
use serde::Serialize;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, Sqlite, Transaction};

use super::cipher::Place;
use super::{Error, SecretChange, Store};

const TABLE: &str = "netbox_endpoints";
const WHAT: &str = "NetBox endpoint";

/// The form of a NetBox API token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenVersion {
    /// Forty hex digits.
    V1,
    /// A public key part and a secret.
    V2,
}

impl TokenVersion {
    /// Its word in answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
        }
    }

    /// The version of that word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::V1, Self::V2]
            .into_iter()
            .find(|version| version.as_str() == word)
    }
}

/// Everything of a NetBox endpoint but its secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NetBoxSettings {
    /// Its name.
    pub name: String,
    /// Its IP address.
    pub ip_address: String,
    /// Its DNS name; wins over the address. Empty: none.
    pub domain: String,
    /// Its port.
    pub port: u16,
    /// The form of its token.
    pub token_version: TokenVersion,
    /// Whether its certificate is verified.
    pub verify_ssl: bool,
    /// Whether it is used.
    pub enabled: bool,
    /// `http` or `https`; none: the port and whether its certificate is looked at tell.
    pub scheme: Option<String>,
    /// The path below which NetBox is served, such as `/netbox`. Empty: none.
    pub base_path: String,
    /// Certificates (PEM) that are trusted besides those of the system; its own is then verified whatever `verify_ssl` says.
    pub tls_ca_pem: Option<String>,
    /// SHA-256 of its certificate, in hex; where it is set, it alone decides.
    pub tls_fingerprint: Option<String>,
}

impl Default for NetBoxSettings {
    fn default() -> Self {
        Self {
            name: String::new(),
            ip_address: String::new(),
            domain: String::new(),
            port: 443,
            token_version: TokenVersion::V1,
            verify_ssl: true,
            enabled: true,
            scheme: None,
            base_path: String::new(),
            tls_ca_pem: None,
            tls_fingerprint: None,
        }
    }
}

/// A stored NetBox endpoint; its secrets are opened in a step of their own.
#[derive(Clone)]
pub struct NetBoxEndpoint {
    /// Its id.
    pub id: i64,
    /// Its settings.
    pub settings: NetBoxSettings,
    token_key: Option<Vec<u8>>,
    token: Option<Vec<u8>>,
}

impl fmt::Debug for NetBoxEndpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("NetBoxEndpoint")
            .field("id", &self.id)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// The secrets of a NetBox endpoint.
#[derive(Debug, Clone)]
pub struct NetBoxSecrets {
    /// The public part of a v2 token.
    pub token_key: Option<SecretString>,
    /// The token, or the secret part of a v2 token.
    pub token: Option<SecretString>,
}

/// A NetBox endpoint as it is to become.
#[derive(Debug, Clone)]
pub struct NetBoxDraft {
    /// Its settings.
    pub settings: NetBoxSettings,
    /// What becomes of the public part of its token.
    pub token_key: SecretChange,
    /// What becomes of its token.
    pub token: SecretChange,
}

fn decode(row: &SqliteRow) -> Result<NetBoxEndpoint, sqlx::Error> {
    let version: String = row.try_get("token_version")?;
    Ok(NetBoxEndpoint {
        id: row.try_get("id")?,
        settings: NetBoxSettings {
            name: row.try_get("name")?,
            ip_address: row.try_get("ip_address")?,
            domain: row.try_get("domain")?,
            port: row.try_get("port")?,
            token_version: TokenVersion::parse(&version).unwrap_or(TokenVersion::V1),
            verify_ssl: row.try_get("verify_ssl")?,
            enabled: row.try_get("enabled")?,
            scheme: row.try_get("scheme")?,
            base_path: row.try_get("base_path")?,
            tls_ca_pem: row.try_get("tls_ca_pem")?,
            tls_fingerprint: row.try_get("tls_fingerprint")?,
        },
        token_key: row.try_get("token_key")?,
        token: row.try_get("token")?,
    })
}

const fn place(row: i64, column: &'static str) -> Place {
    Place {
        table: TABLE,
        row,
        column,
    }
}

/// The rules of a token, over the merged row.
fn check(draft: &NetBoxDraft, had_key: bool, had_token: bool) -> Result<(), Error> {
    let invalid = |message: &str| {
        Err(Error::Invalid {
            field: "token",
            message: message.to_owned(),
        })
    };
    match draft.settings.token_version {
        TokenVersion::V1 if !draft.token.leaves(had_token) => invalid("token is required for NetBox API token v1"),
        TokenVersion::V2 if !draft.token.leaves(had_token) || !draft.token_key.leaves(had_key) => {
            invalid("token_key and token (secret) must both be set for NetBox API token v2")
        }
        TokenVersion::V1 | TokenVersion::V2 => Ok(()),
    }
}

impl Store {
    /// Every NetBox endpoint, by id.
    ///
    /// # Errors
    ///
    /// [`Error::Database`].
    pub async fn list_netbox_endpoints(&self) -> Result<Vec<NetBoxEndpoint>, Error> {
        let rows = sqlx::query(
            "SELECT id, name, ip_address, domain, port, token_version, token_key, token, verify_ssl, enabled, scheme, \
             base_path, tls_ca_pem, tls_fingerprint FROM netbox_endpoints ORDER BY id",
        )
        .fetch_all(&self.pool)
        .await
        .map_err(Error::database("listing NetBox endpoints"))?;
        rows.iter()
            .map(decode)
            .collect::<Result<_, _>>()
            .map_err(Error::database("listing NetBox endpoints"))
    }

    /// The NetBox endpoint `id`.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`].
    pub async fn get_netbox_endpoint(&self, id: i64) -> Result<NetBoxEndpoint, Error> {
        let rows = self.list_netbox_endpoints().await?;
        rows.into_iter()
            .find(|row| row.id == id)
            .ok_or(Error::NotFound { what: WHAT, id })
    }

    /// The secrets of `endpoint`.
    ///
    /// # Errors
    ///
    /// [`Error::Sealed`].
    pub async fn netbox_secrets(&self, endpoint: &NetBoxEndpoint) -> Result<NetBoxSecrets, Error> {
        let key = self
            .open_cell(place(endpoint.id, "token_key"), endpoint.token_key.as_deref())
            .await?;
        let token = self
            .open_cell(place(endpoint.id, "token"), endpoint.token.as_deref())
            .await?;
        Ok(NetBoxSecrets { token_key: key, token })
    }

    /// Stores the one NetBox endpoint.
    ///
    /// # Errors
    ///
    /// [`Error::OnlyOne`]; [`Error::Invalid`]; [`Error::NoKey`].
    pub async fn create_netbox_endpoint(&self, draft: NetBoxDraft) -> Result<NetBoxEndpoint, Error> {
        check(&draft, false, false)?;
        let mut transaction = self.begin().await?;
        let existing: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM netbox_endpoints")
            .fetch_one(&mut *transaction)
            .await
            .map_err(Error::database("counting NetBox endpoints"))?;
        if existing > 0 {
            return Err(Error::OnlyOne { what: WHAT });
        }
        let id = self.insert_netbox_endpoint(&mut transaction, None, &draft).await?;
        transaction
            .commit()
            .await
            .map_err(Error::database("storing a NetBox endpoint"))?;
        self.get_netbox_endpoint(id).await
    }

    pub(super) async fn insert_netbox_endpoint(
        &self,
        transaction: &mut Transaction<'static, Sqlite>,
        id: Option<i64>,
        draft: &NetBoxDraft,
    ) -> Result<i64, Error> {
        let settings = &draft.settings;
        let inserted = sqlx::query(
            "INSERT INTO netbox_endpoints (id, name, ip_address, domain, port, token_version, verify_ssl, enabled, \
             scheme, base_path, tls_ca_pem, tls_fingerprint, token) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, x'')",
        )
        .bind(id)
        .bind(&settings.name)
        .bind(&settings.ip_address)
        .bind(&settings.domain)
        .bind(settings.port)
        .bind(settings.token_version.as_str())
        .bind(settings.verify_ssl)
        .bind(settings.enabled)
        .bind(&settings.scheme)
        .bind(&settings.base_path)
        .bind(&settings.tls_ca_pem)
        .bind(&settings.tls_fingerprint)
        .execute(&mut **transaction)
        .await
        .map_err(Error::database("storing a NetBox endpoint"))?;
        let id = inserted.last_insert_rowid();
        self.write_netbox_secrets(transaction, id, draft).await?;
        Ok(id)
    }

    /// Changes a NetBox endpoint by `merge`, which is handed the row as it stands. Says whether anything changed; where
    /// nothing did, nothing is written.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`]; [`Error::Invalid`] over the merged row; [`Error::NoKey`]; what `merge` answers.
    pub async fn update_netbox_endpoint<E: From<Error>>(
        &self,
        id: i64,
        merge: impl FnOnce(&mut NetBoxDraft) -> Result<(), E> + Send,
    ) -> Result<(NetBoxEndpoint, bool), E> {
        let old = self.get_netbox_endpoint(id).await?;
        let mut draft = NetBoxDraft {
            settings: old.settings.clone(),
            token_key: SecretChange::Keep,
            token: SecretChange::Keep,
        };
        merge(&mut draft)?;
        if draft.settings.token_version == TokenVersion::V1 && matches!(draft.token_key, SecretChange::Keep) {
            draft.token_key = SecretChange::Set(None);
        }
        check(&draft, old.token_key.is_some(), old.token.is_some())?;
        let is_same = |column, stored: &Option<Vec<u8>>, change: &SecretChange| match change {
            SecretChange::Keep => true,
            SecretChange::Set(secret) => self.is_stored(place(id, column), stored.as_deref(), secret.as_ref()),
        };
        if draft.settings == old.settings
            && is_same("token_key", &old.token_key, &draft.token_key)
            && is_same("token", &old.token, &draft.token)
        {
            return Ok((old, false));
        }
        self.write_netbox_endpoint(id, &draft).await?;
        Ok((self.get_netbox_endpoint(id).await?, true))
    }

    async fn write_netbox_endpoint(&self, id: i64, draft: &NetBoxDraft) -> Result<(), Error> {
        let settings = &draft.settings;
        let mut transaction = self.begin().await?;
        sqlx::query(
            "UPDATE netbox_endpoints SET name = ?, ip_address = ?, domain = ?, port = ?, token_version = ?, \
             verify_ssl = ?, enabled = ?, scheme = ?, base_path = ?, tls_ca_pem = ?, tls_fingerprint = ? WHERE id = ?",
        )
        .bind(&settings.name)
        .bind(&settings.ip_address)
        .bind(&settings.domain)
        .bind(settings.port)
        .bind(settings.token_version.as_str())
        .bind(settings.verify_ssl)
        .bind(settings.enabled)
        .bind(&settings.scheme)
        .bind(&settings.base_path)
        .bind(&settings.tls_ca_pem)
        .bind(&settings.tls_fingerprint)
        .bind(id)
        .execute(&mut *transaction)
        .await
        .map_err(Error::database("changing a NetBox endpoint"))?;
        self.write_netbox_secrets(&mut transaction, id, draft).await?;
        transaction
            .commit()
            .await
            .map_err(Error::database("changing a NetBox endpoint"))
    }

    async fn write_netbox_secrets(
        &self,
        transaction: &mut Transaction<'static, Sqlite>,
        id: i64,
        draft: &NetBoxDraft,
    ) -> Result<(), Error> {
        for (column, change) in [("token_key", &draft.token_key), ("token", &draft.token)] {
            self.write_secret(transaction, place(id, column), change).await?;
        }
        Ok(())
    }

    /// Deletes a NetBox endpoint.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`].
    pub async fn delete_netbox_endpoint(&self, id: i64) -> Result<(), Error> {
        let deleted = sqlx::query("DELETE FROM netbox_endpoints WHERE id = ?")
            .bind(id)
            .execute(&self.pool)
            .await
            .map_err(Error::database("deleting a NetBox endpoint"))?;
        if deleted.rows_affected() == 0 {
            Err(Error::NotFound { what: WHAT, id })
        } else {
            Ok(())
        }
    }
}
