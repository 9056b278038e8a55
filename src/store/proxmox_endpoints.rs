//! The Proxmox endpoints that this service reads.

use std::fmt;

use secrecy::SecretString;
use serde::Serialize;
use sqlx::{Arguments, Sqlite, Transaction};

use super::cipher::Place;
use super::proxmox_rows::{INSERT, UPDATE, arguments};
use super::{Error, SecretChange, Store};

const TABLE: &str = "proxmox_endpoints";
const WHAT: &str = "Proxmox endpoint";
const PORT: u16 = 8006;
const SSH_PORT: u16 = 22;

/// Everything of a Proxmox endpoint but its credentials. The order is that of the answers.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "the columns of the plugin's contract")]
pub struct ProxmoxSettings {
    /// Its name, unique; the plugin recognises its rows by the suffix ` (nb:7)`.
    pub name: String,
    /// The template of its nodes' device names; empty: the general one.
    pub node_device_name_template: String,
    /// Its IP address.
    pub ip_address: String,
    /// Its DNS name; wins over the address.
    pub domain: Option<String>,
    /// Its port.
    pub port: u16,
    /// The user, with realm.
    pub username: String,
    /// Whether its certificate is verified.
    pub verify_ssl: bool,
    /// Whether it is used.
    pub enabled: bool,
    /// Whether anything may be changed on it. A switch of the operator alone.
    pub allow_writes: bool,
    /// Whether templates may be built on it.
    pub allow_packer_template_builds: bool,
    /// `api` or `api_ssh`.
    pub access_methods: String,
    /// The node that is reached by SSH.
    pub ssh_target_node: Option<String>,
    /// Its SSH host.
    pub ssh_host: Option<String>,
    /// Its SSH user.
    pub ssh_username: Option<String>,
    /// Its SSH port.
    pub ssh_port: u16,
    /// The identity file.
    pub ssh_identity_file: Option<String>,
    /// The host key's fingerprint.
    pub ssh_known_host_fingerprint: Option<String>,
    /// The site of its objects, by id.
    pub site_id: Option<i64>,
    /// The site of its objects, by slug.
    pub site_slug: Option<String>,
    /// The site of its objects, by name.
    pub site_name: Option<String>,
    /// The tenant of its clusters, by id.
    pub tenant_id: Option<i64>,
    /// The tenant of its clusters, by slug.
    pub tenant_slug: Option<String>,
    /// The tenant of its clusters, by name.
    pub tenant_name: Option<String>,
    /// Seconds that a request may take.
    pub timeout: Option<i64>,
    /// How often a request is repeated.
    pub max_retries: Option<i64>,
    /// Seconds between repetitions, at first.
    pub retry_backoff: Option<f64>,
    /// Seconds that a connection may take.
    #[serde(skip)]
    pub connect_timeout: Option<i64>,
    /// Requests to one node at once.
    #[serde(skip)]
    pub max_parallel: Option<i64>,
    /// SHA-256 fingerprints of certificates that are trusted.
    #[serde(skip)]
    pub tls_fingerprints: Vec<String>,
    /// A certificate authority that is trusted, PEM.
    #[serde(skip)]
    pub tls_ca_pem: Option<String>,
}

impl Default for ProxmoxSettings {
    /// What holds for a new endpoint where nothing else is said.
    fn default() -> Self {
        Self {
            name: String::new(),
            node_device_name_template: String::new(),
            ip_address: String::new(),
            domain: None,
            port: PORT,
            username: String::new(),
            verify_ssl: true,
            enabled: true,
            allow_writes: false,
            allow_packer_template_builds: false,
            access_methods: "api".to_owned(),
            ssh_target_node: None,
            ssh_host: None,
            ssh_username: None,
            ssh_port: SSH_PORT,
            ssh_identity_file: None,
            ssh_known_host_fingerprint: None,
            site_id: None,
            site_slug: None,
            site_name: None,
            tenant_id: None,
            tenant_slug: None,
            tenant_name: None,
            timeout: None,
            max_retries: None,
            retry_backoff: None,
            connect_timeout: None,
            max_parallel: None,
            tls_fingerprints: Vec::new(),
            tls_ca_pem: None,
        }
    }
}

/// A stored Proxmox endpoint; its credentials are opened in a step of their own.
#[derive(Clone)]
pub struct ProxmoxEndpoint {
    /// Its id.
    pub id: i64,
    /// Its settings.
    pub settings: ProxmoxSettings,
    /// The name of its API token, without user and realm.
    pub token_name: Option<String>,
    pub(super) password: Option<Vec<u8>>,
    pub(super) token_value: Option<Vec<u8>>,
}

impl fmt::Debug for ProxmoxEndpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ProxmoxEndpoint")
            .field("id", &self.id)
            .field("settings", &self.settings)
            .field("token_name", &self.token_name)
            .finish_non_exhaustive()
    }
}

/// The credentials of a Proxmox endpoint.
#[derive(Debug, Clone)]
pub struct ProxmoxSecrets {
    /// The user's password.
    pub password: Option<SecretString>,
    /// The API token's secret.
    pub token_value: Option<SecretString>,
}

/// A Proxmox endpoint as it is to become.
#[derive(Debug, Clone)]
pub struct ProxmoxDraft {
    /// Its settings.
    pub settings: ProxmoxSettings,
    /// The name of its API token.
    pub token_name: Option<String>,
    /// What becomes of its password.
    pub password: SecretChange,
    /// What becomes of its token's secret.
    pub token_value: SecretChange,
}

const fn place(row: i64, column: &'static str) -> Place {
    Place {
        table: TABLE,
        row,
        column,
    }
}

/// The rules of credentials, over the merged row.
fn check(draft: &ProxmoxDraft, had_password: bool, had_value: bool) -> Result<(), Error> {
    let invalid = |message: &str| {
        Err(Error::Invalid {
            field: "token_value",
            message: message.to_owned(),
        })
    };
    let has_name = draft.token_name.as_ref().is_some_and(|name| !name.is_empty());
    match (
        has_name,
        draft.token_value.leaves(had_value),
        draft.password.leaves(had_password),
    ) {
        (true, false, _) | (false, true, _) => invalid("token_name and token_value must be provided together"),
        (false, false, false) => invalid("Provide password or both token_name/token_value"),
        _ => Ok(()),
    }
}

impl Store {
    /// The Proxmox endpoint `id`.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`].
    pub async fn get_proxmox_endpoint(&self, id: i64) -> Result<ProxmoxEndpoint, Error> {
        let rows = self.list_proxmox_endpoints().await?;
        rows.into_iter()
            .find(|row| row.id == id)
            .ok_or(Error::NotFound { what: WHAT, id })
    }

    /// The credentials of `endpoint`.
    ///
    /// # Errors
    ///
    /// [`Error::Sealed`].
    pub async fn proxmox_secrets(&self, endpoint: &ProxmoxEndpoint) -> Result<ProxmoxSecrets, Error> {
        let password = self
            .open_cell(place(endpoint.id, "password"), endpoint.password.as_deref())
            .await?;
        let token_value = self
            .open_cell(place(endpoint.id, "token_value"), endpoint.token_value.as_deref())
            .await?;
        Ok(ProxmoxSecrets { password, token_value })
    }

    /// Stores a Proxmox endpoint.
    ///
    /// # Errors
    ///
    /// [`Error::NameTaken`]; [`Error::Invalid`]; [`Error::NoKey`].
    pub async fn create_proxmox_endpoint(&self, draft: ProxmoxDraft) -> Result<ProxmoxEndpoint, Error> {
        check(&draft, false, false)?;
        let mut transaction = self.begin().await?;
        let id = self.insert_proxmox_endpoint(&mut transaction, None, &draft).await?;
        transaction
            .commit()
            .await
            .map_err(Error::database("storing a Proxmox endpoint"))?;
        self.shared.proxmox.forget();
        self.get_proxmox_endpoint(id).await
    }

    pub(super) async fn insert_proxmox_endpoint(
        &self,
        transaction: &mut Transaction<'static, Sqlite>,
        id: Option<i64>,
        draft: &ProxmoxDraft,
    ) -> Result<i64, Error> {
        refuse_taken_name(transaction, &draft.settings.name, None).await?;
        let encode = |source| Error::Database {
            doing: "storing a Proxmox endpoint",
            source: sqlx::Error::Encode(source),
        };
        let mut values = arguments(draft).map_err(encode)?;
        values.add(id).map_err(encode)?;
        let inserted = sqlx::query_with(INSERT, values)
            .execute(&mut **transaction)
            .await
            .map_err(Error::database("storing a Proxmox endpoint"))?;
        let id = inserted.last_insert_rowid();
        self.write_proxmox_secrets(transaction, id, draft).await?;
        Ok(id)
    }

    /// Changes a Proxmox endpoint by `merge`, which is handed the row as it stands. Says whether anything changed; where
    /// nothing did, nothing is written.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`]; [`Error::NameTaken`]; [`Error::Invalid`] over the merged row; [`Error::NoKey`]; what `merge`
    /// answers.
    pub async fn update_proxmox_endpoint<E: From<Error>>(
        &self,
        id: i64,
        merge: impl FnOnce(&mut ProxmoxDraft) -> Result<(), E> + Send,
    ) -> Result<(ProxmoxEndpoint, bool), E> {
        let old = self.get_proxmox_endpoint(id).await?;
        let mut draft = ProxmoxDraft {
            settings: old.settings.clone(),
            token_name: old.token_name.clone(),
            password: SecretChange::Keep,
            token_value: SecretChange::Keep,
        };
        merge(&mut draft)?;
        check(&draft, old.password.is_some(), old.token_value.is_some())?;
        let is_same = |column, stored: &Option<Vec<u8>>, change: &SecretChange| match change {
            SecretChange::Keep => true,
            SecretChange::Set(secret) => self.is_stored(place(id, column), stored.as_deref(), secret.as_ref()),
        };
        if draft.settings == old.settings
            && draft.token_name == old.token_name
            && is_same("password", &old.password, &draft.password)
            && is_same("token_value", &old.token_value, &draft.token_value)
        {
            return Ok((old, false));
        }
        self.write_proxmox_endpoint(id, &draft).await?;
        Ok((self.get_proxmox_endpoint(id).await?, true))
    }

    async fn write_proxmox_endpoint(&self, id: i64, draft: &ProxmoxDraft) -> Result<(), Error> {
        let mut transaction = self.begin().await?;
        refuse_taken_name(&mut transaction, &draft.settings.name, Some(id)).await?;
        let encode = |source| Error::Database {
            doing: "changing a Proxmox endpoint",
            source: sqlx::Error::Encode(source),
        };
        let mut values = arguments(draft).map_err(encode)?;
        values.add(id).map_err(encode)?;
        sqlx::query_with(UPDATE, values)
            .execute(&mut *transaction)
            .await
            .map_err(Error::database("changing a Proxmox endpoint"))?;
        self.write_proxmox_secrets(&mut transaction, id, draft).await?;
        transaction
            .commit()
            .await
            .map_err(Error::database("changing a Proxmox endpoint"))?;
        self.shared.proxmox.forget();
        Ok(())
    }

    async fn write_proxmox_secrets(
        &self,
        transaction: &mut Transaction<'static, Sqlite>,
        id: i64,
        draft: &ProxmoxDraft,
    ) -> Result<(), Error> {
        for (column, change) in [("password", &draft.password), ("token_value", &draft.token_value)] {
            self.write_secret(transaction, place(id, column), change).await?;
        }
        Ok(())
    }

    /// Deletes a Proxmox endpoint. Its id is not given again.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`].
    pub async fn delete_proxmox_endpoint(&self, id: i64) -> Result<(), Error> {
        let deleted = sqlx::query("DELETE FROM proxmox_endpoints WHERE id = ?")
            .bind(id)
            .execute(&self.pool)
            .await
            .map_err(Error::database("deleting a Proxmox endpoint"))?;
        self.shared.proxmox.forget();
        if deleted.rows_affected() == 0 {
            Err(Error::NotFound { what: WHAT, id })
        } else {
            Ok(())
        }
    }
}

async fn refuse_taken_name(
    transaction: &mut Transaction<'static, Sqlite>,
    name: &str,
    own: Option<i64>,
) -> Result<(), Error> {
    let holder: Option<i64> = sqlx::query_scalar("SELECT id FROM proxmox_endpoints WHERE name = ? AND id IS NOT ?")
        .bind(name)
        .bind(own)
        .fetch_optional(&mut **transaction)
        .await
        .map_err(Error::database("looking for the name of an endpoint"))?;
    holder.map_or(Ok(()), |_| {
        Err(Error::NameTaken {
            what: WHAT,
            name: name.to_owned(),
        })
    })
}
