//! Import of a database of the Python service.
//!
//! The file is copied with its `-wal` and `-shm` companions before it is opened, so that nothing is written to it or
//! beside it. Ids are kept: the plugin remembers them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use sqlx::sqlite::{SqliteConnectOptions, SqliteRow};
use sqlx::{ConnectOptions, Connection, Row, Sqlite, SqliteConnection, Transaction};

use super::cipher::{Key, KeyRing, Place};
use super::{
    Error, NetBoxDraft, NetBoxSettings, ProxmoxDraft, ProxmoxSettings, SecretChange, Sister, SisterDraft,
    SisterSettings, Store, TokenVersion,
};

/// Tables by which a database of the Python service is recognised.
const KNOWN_BY: [&str; 3] = ["apikey", "netboxendpoint", "proxmoxendpoint"];
/// Tables whose rows are copied or mean nothing here.
const HANDLED: [&str; 11] = [
    "apikey",
    "api_key_bootstrap_claim",
    "netboxendpoint",
    "proxmoxendpoint",
    "pbsendpoint",
    "pdmendpoint",
    "credential_encryption_key_state",
    "auth_lockout_buckets",
    "auth_lockout_reservations",
    "auth_lockout_metrics",
    "auth_lockout_identity_key_binding",
];

/// The tables of the sister products: name, rows, and whose endpoints they are.
const SISTERS: [(&str, &str, Sister); 2] = [
    (
        "pbsendpoint",
        "SELECT * FROM pbsendpoint ORDER BY id",
        Sister::BackupServer,
    ),
    (
        "pdmendpoint",
        "SELECT * FROM pdmendpoint ORDER BY id",
        Sister::DatacenterManager,
    ),
];

/// What an import did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ImportReport {
    /// Rows copied, by table.
    pub copied: BTreeMap<&'static str, usize>,
    /// Rows that were here already, by table.
    pub skipped: BTreeMap<&'static str, usize>,
    /// Rows that could not be taken, and why.
    pub refused: Vec<String>,
    /// Tables of the file that have rows and no place here.
    pub left_out: Vec<String>,
}

/// The copy of a file, removed when dropped.
struct Copied {
    folder: PathBuf,
    file: PathBuf,
}

impl Drop for Copied {
    fn drop(&mut self) {
        // What cannot be removed is the system's temporary directory's to remove.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Copied {
    fn of(file: &Path) -> Result<Self, Error> {
        let bad = |reason: String| Error::Import {
            path: file.to_owned(),
            reason,
        };
        if !file.is_file() {
            return Err(bad("it is not a file".to_owned()));
        }
        let folder = std::env::temp_dir().join(format!("proxbox-import-{}", uuid::Uuid::new_v4()));
        fs::create_dir(&folder).map_err(|error| bad(error.to_string()))?;
        let copied = Self {
            file: folder.join("reference.db"),
            folder,
        };
        for ending in ["", "-wal", "-shm"] {
            let from = PathBuf::from(format!("{}{ending}", file.display()));
            if from.exists() {
                let to = PathBuf::from(format!("{}{ending}", copied.file.display()));
                fs::copy(&from, &to).map_err(|error| bad(error.to_string()))?;
            }
        }
        Ok(copied)
    }
}

impl Store {
    /// Copies endpoints and API keys of the Python service's database `file`; rows that are here already stay as they are.
    ///
    /// `key` is that service's encryption key text, where its secrets are sealed.
    ///
    /// # Errors
    ///
    /// [`Error::Import`] where the file is not a database of the Python service.
    pub async fn import_reference(&self, file: &Path, key: Option<&SecretString>) -> Result<ImportReport, Error> {
        let copied = Copied::of(file)?;
        let bad = |reason: String| Error::Import {
            path: file.to_owned(),
            reason,
        };
        let options = SqliteConnectOptions::new().filename(&copied.file);
        let mut old = options.connect().await.map_err(|error| bad(error.to_string()))?;
        let tables = tables(&mut old).await.map_err(|error| bad(error.to_string()))?;
        if let Some(missing) = KNOWN_BY.iter().find(|table| !tables.contains(**table)) {
            return Err(bad(format!(
                "it has no table {missing}: not a database of the Python service"
            )));
        }
        let ring = KeyRing::new(key.map(Key::derive).into_iter().collect());
        let mut transaction = self.begin().await?;
        let mut import = Import {
            store: self,
            ring,
            report: ImportReport::default(),
        };
        import
            .keys(&mut old, &mut transaction, tables.contains("api_key_bootstrap_claim"))
            .await?;
        import.netbox(&mut old, &mut transaction).await?;
        import.proxmox(&mut old, &mut transaction).await?;
        for (_, rows, sister) in SISTERS.iter().filter(|(table, ..)| tables.contains(*table)) {
            let rows = all(&mut old, rows).await?;
            import.sisters(*sister, &rows, &mut transaction).await?;
        }
        import.left_out(&mut old, &tables).await?;
        transaction.commit().await.map_err(Error::database("importing"))?;
        self.shared.cache.forget();
        self.shared.proxmox.forget();
        // The copy goes with its folder.
        let _ = old.close().await;
        Ok(import.report)
    }
}

async fn tables(old: &mut SqliteConnection) -> Result<BTreeSet<String>, sqlx::Error> {
    let names: Vec<String> = sqlx::query_scalar("SELECT name FROM sqlite_master WHERE type = 'table'")
        .fetch_all(old)
        .await?;
    Ok(names.into_iter().collect())
}

struct Import<'a> {
    store: &'a Store,
    ring: KeyRing,
    report: ImportReport,
}

type Ours = Transaction<'static, Sqlite>;

impl Import<'_> {
    async fn keys(&mut self, old: &mut SqliteConnection, ours: &mut Ours, has_claim: bool) -> Result<(), Error> {
        let rows = all(old, "SELECT * FROM apikey ORDER BY id").await?;
        for row in &rows {
            let hash: String = column(row, "key_hash").unwrap_or_default();
            let done = sqlx::query(
                "INSERT INTO api_keys (id, label, key_hash, is_active, created_at) SELECT ?1, ?2, ?3, ?4, ?5 \
                 WHERE NOT EXISTS (SELECT 1 FROM api_keys WHERE id = ?1 OR key_hash = ?3)",
            )
            .bind(column::<i64>(row, "id"))
            .bind(column::<String>(row, "label").unwrap_or_default())
            .bind(&hash)
            .bind(column::<bool>(row, "is_active").unwrap_or(true))
            .bind(column::<f64>(row, "created_at").unwrap_or_default())
            .execute(&mut **ours)
            .await
            .map_err(Error::database("importing API keys"))?;
            self.count("api_keys", done.rows_affected() > 0);
        }
        let is_claimed = has_claim && !all(old, "SELECT id FROM api_key_bootstrap_claim").await?.is_empty();
        if is_claimed || !rows.is_empty() {
            sqlx::query("INSERT INTO api_key_claim (id, claimed_at) VALUES (1, ?) ON CONFLICT DO NOTHING")
                .bind(self.store.now())
                .execute(&mut **ours)
                .await
                .map_err(Error::database("importing the claim"))?;
        }
        Ok(())
    }

    fn count(&mut self, table: &'static str, is_copied: bool) {
        let counts = if is_copied {
            &mut self.report.copied
        } else {
            &mut self.report.skipped
        };
        *counts.entry(table).or_default() += 1;
    }

    /// A secret of the file, opened; `Err` with what to report where it does not open.
    fn secret(&self, row: &SqliteRow, name: &'static str) -> Result<Option<SecretString>, String> {
        let Some(stored) = column::<String>(row, name).filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        let place = Place {
            table: "the imported file",
            row: column(row, "id").unwrap_or_default(),
            column: name,
        };
        match self.ring.open(place, stored.as_bytes()) {
            Ok(opened) => Ok(Some(opened.secret).filter(|secret| !secret.expose_secret().is_empty())),
            Err(error) => Err(error.to_string()),
        }
    }

    async fn netbox(&mut self, old: &mut SqliteConnection, ours: &mut Ours) -> Result<(), Error> {
        for row in all(old, "SELECT * FROM netboxendpoint ORDER BY id").await? {
            let id: i64 = column(&row, "id").unwrap_or_default();
            let existing: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM netbox_endpoints")
                .fetch_one(&mut **ours)
                .await
                .map_err(Error::database("importing NetBox endpoints"))?;
            if existing > 0 {
                self.count("netbox_endpoints", false);
                continue;
            }
            let (token_key, token) = match (self.secret(&row, "token_key"), self.secret(&row, "token")) {
                (Ok(token_key), Ok(token)) => (token_key, token),
                (Err(reason), _) | (_, Err(reason)) => {
                    self.report.refused.push(format!("NetBox endpoint {id}: {reason}"));
                    continue;
                }
            };
            let draft = NetBoxDraft {
                settings: netbox_settings(&row),
                token_key: SecretChange::Set(token_key),
                token: SecretChange::Set(token.or_else(|| Some(SecretString::from(String::new())))),
            };
            self.store.insert_netbox_endpoint(ours, Some(id), &draft).await?;
            self.count("netbox_endpoints", true);
        }
        Ok(())
    }

    async fn proxmox(&mut self, old: &mut SqliteConnection, ours: &mut Ours) -> Result<(), Error> {
        for row in all(old, "SELECT * FROM proxmoxendpoint ORDER BY id").await? {
            let id: i64 = column(&row, "id").unwrap_or_default();
            let existing: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM proxmox_endpoints WHERE id = ? OR name = ?")
                .bind(id)
                .bind(column::<String>(&row, "name"))
                .fetch_one(&mut **ours)
                .await
                .map_err(Error::database("importing Proxmox endpoints"))?;
            if existing > 0 {
                self.count("proxmox_endpoints", false);
                continue;
            }
            let (password, value) = match (self.secret(&row, "password"), self.secret(&row, "token_value")) {
                (Ok(password), Ok(value)) => (password, value),
                (Err(reason), _) | (_, Err(reason)) => {
                    self.report.refused.push(format!("Proxmox endpoint {id}: {reason}"));
                    continue;
                }
            };
            let draft = ProxmoxDraft {
                settings: proxmox_settings(&row),
                token_name: column(&row, "token_name"),
                password: SecretChange::Set(password),
                token_value: SecretChange::Set(value),
            };
            self.store.insert_proxmox_endpoint(ours, Some(id), &draft).await?;
            self.count("proxmox_endpoints", true);
        }
        Ok(())
    }

    async fn sisters(&mut self, sister: Sister, rows: &[SqliteRow], ours: &mut Ours) -> Result<(), Error> {
        for row in rows {
            let id: i64 = column(row, "id").unwrap_or_default();
            let secret = match self.secret(row, "token_secret") {
                Ok(secret) => secret,
                Err(reason) => {
                    self.report.refused.push(format!("{} {id}: {reason}", sister.what()));
                    continue;
                }
            };
            let draft = SisterDraft {
                settings: sister_settings(sister, row),
                token_secret: SecretChange::Set(secret),
            };
            let is_copied = self.store.import_sister_endpoint(sister, ours, id, &draft).await?;
            self.count(sister.table(), is_copied);
        }
        Ok(())
    }

    async fn left_out(&mut self, old: &mut SqliteConnection, tables: &BTreeSet<String>) -> Result<(), Error> {
        for table in tables
            .iter()
            .filter(|table| !HANDLED.contains(&table.as_str()) && !table.starts_with("sqlite_"))
        {
            // A table's name cannot be bound; it is quoted, and comes from the file's own catalogue.
            let query = format!("SELECT COUNT(*) AS rows FROM \"{}\"", table.replace('"', "\"\""));
            let counted = sqlx::query(sqlx::AssertSqlSafe(query)).fetch_one(&mut *old).await;
            let rows: i64 = counted
                .and_then(|row| row.try_get("rows"))
                .map_err(Error::database("reading the file"))?;
            if rows > 0 {
                self.report.left_out.push(format!("{table}: {rows} rows"));
            }
        }
        Ok(())
    }
}

async fn all(old: &mut SqliteConnection, query: &'static str) -> Result<Vec<SqliteRow>, Error> {
    sqlx::query(query)
        .fetch_all(old)
        .await
        .map_err(Error::database("reading the file to import"))
}

/// A column of a row; `None` where it is null or an older release lacks it.
fn column<'r, T: sqlx::Decode<'r, Sqlite> + sqlx::Type<Sqlite>>(row: &'r SqliteRow, name: &str) -> Option<T> {
    row.try_get::<Option<T>, _>(name).ok().flatten()
}

fn netbox_settings(row: &SqliteRow) -> NetBoxSettings {
    let version: String = column(row, "token_version").unwrap_or_default();
    NetBoxSettings {
        name: column(row, "name").unwrap_or_default(),
        ip_address: column(row, "ip_address").unwrap_or_default(),
        domain: column(row, "domain").unwrap_or_default(),
        port: column(row, "port").unwrap_or(443),
        token_version: TokenVersion::parse(version.trim()).unwrap_or(TokenVersion::V1),
        verify_ssl: column(row, "verify_ssl").unwrap_or(true),
        enabled: column(row, "enabled").unwrap_or(true),
        ..NetBoxSettings::default()
    }
}

fn sister_settings(sister: Sister, row: &SqliteRow) -> SisterSettings {
    let product = sister.product();
    SisterSettings {
        name: column(row, "name").unwrap_or_default(),
        host: column(row, "host").unwrap_or_default(),
        port: column(row, "port").unwrap_or(product.port()),
        token_id: column(row, "token_id").unwrap_or_default(),
        fingerprint: column(row, "fingerprint"),
        verify_ssl: column(row, "verify_ssl").unwrap_or(sister.verifies_by_default()),
        enabled: column(row, "enabled").unwrap_or(true),
        timeout_seconds: column(row, "timeout_seconds").unwrap_or(Sister::TIMEOUT_SECONDS),
        allow_writes: column(row, "allow_writes").unwrap_or(false),
    }
}

fn proxmox_settings(row: &SqliteRow) -> ProxmoxSettings {
    ProxmoxSettings {
        name: column(row, "name").unwrap_or_default(),
        node_device_name_template: column(row, "node_device_name_template").unwrap_or_default(),
        ip_address: column(row, "ip_address").unwrap_or_default(),
        domain: column(row, "domain"),
        port: column(row, "port").unwrap_or(8006),
        username: column(row, "username").unwrap_or_default(),
        verify_ssl: column(row, "verify_ssl").unwrap_or(true),
        enabled: column(row, "enabled").unwrap_or(true),
        allow_writes: column(row, "allow_writes").unwrap_or(false),
        allow_packer_template_builds: column(row, "allow_packer_template_builds").unwrap_or(false),
        access_methods: column(row, "access_methods").unwrap_or_else(|| "api_ssh".to_owned()),
        ssh_target_node: column(row, "ssh_target_node"),
        ssh_host: column(row, "ssh_host"),
        ssh_username: column(row, "ssh_username"),
        ssh_port: column(row, "ssh_port").unwrap_or(22),
        ssh_identity_file: column(row, "ssh_identity_file"),
        ssh_known_host_fingerprint: column(row, "ssh_known_host_fingerprint"),
        site_id: column(row, "site_id"),
        site_slug: column(row, "site_slug"),
        site_name: column(row, "site_name"),
        tenant_id: column(row, "tenant_id"),
        tenant_slug: column(row, "tenant_slug"),
        tenant_name: column(row, "tenant_name"),
        timeout: column(row, "timeout"),
        max_retries: column(row, "max_retries"),
        retry_backoff: column(row, "retry_backoff"),
        connect_timeout: None,
        max_parallel: None,
        tls_fingerprints: Vec::new(),
        tls_ca_pem: None,
    }
}
