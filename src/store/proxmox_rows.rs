//! The columns of `proxmox_endpoints`: reading the rows, and a row's values in the order of the writing statements.

use std::sync::Arc;

use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Arguments, Row};

use super::proxmox_endpoints::{ProxmoxDraft, ProxmoxEndpoint, ProxmoxSettings};
use super::{Error, Store};

const COLUMNS: &str = "id, name, node_device_name_template, ip_address, domain, port, username, password, token_name, \
     token_value, verify_ssl, enabled, allow_writes, allow_packer_template_builds, access_methods, ssh_target_node, \
     ssh_host, ssh_username, ssh_port, ssh_identity_file, ssh_known_host_fingerprint, site_id, site_slug, site_name, \
     tenant_id, tenant_slug, tenant_name, timeout, max_retries, retry_backoff, connect_timeout, max_parallel, \
     tls_fingerprints, tls_ca_pem";

impl Store {
    /// Every Proxmox endpoint, by id.
    ///
    /// # Errors
    ///
    /// [`Error::Database`].
    pub async fn list_proxmox_endpoints(&self) -> Result<Vec<ProxmoxEndpoint>, Error> {
        let query = sqlx::AssertSqlSafe(format!("SELECT {COLUMNS} FROM proxmox_endpoints ORDER BY id"));
        let rows = sqlx::query(query)
            .fetch_all(&self.pool)
            .await
            .map_err(Error::database("listing Proxmox endpoints"))?;
        rows.iter()
            .map(decode)
            .collect::<Result<_, _>>()
            .map_err(Error::database("listing Proxmox endpoints"))
    }

    /// As [`Self::list_proxmox_endpoints`], for what every request asks: what another process wrote may be missing for a
    /// second.
    ///
    /// # Errors
    ///
    /// [`Error::Database`].
    pub async fn list_recent_proxmox_endpoints(&self) -> Result<Arc<[ProxmoxEndpoint]>, Error> {
        let memo = &self.shared.proxmox;
        if let Some(rows) = memo.recall(&()) {
            return Ok(rows);
        }
        let begun = memo.begin();
        let rows: Arc<[_]> = self.list_proxmox_endpoints().await?.into();
        memo.keep(begun, (), Arc::clone(&rows));
        Ok(rows)
    }
}

fn decode(row: &SqliteRow) -> Result<ProxmoxEndpoint, sqlx::Error> {
    let fingerprints: String = row.try_get("tls_fingerprints")?;
    Ok(ProxmoxEndpoint {
        id: row.try_get("id")?,
        settings: ProxmoxSettings {
            name: row.try_get("name")?,
            node_device_name_template: row.try_get("node_device_name_template")?,
            ip_address: row.try_get("ip_address")?,
            domain: row.try_get("domain")?,
            port: row.try_get("port")?,
            username: row.try_get("username")?,
            verify_ssl: row.try_get("verify_ssl")?,
            enabled: row.try_get("enabled")?,
            allow_writes: row.try_get("allow_writes")?,
            allow_packer_template_builds: row.try_get("allow_packer_template_builds")?,
            access_methods: row.try_get("access_methods")?,
            ssh_target_node: row.try_get("ssh_target_node")?,
            ssh_host: row.try_get("ssh_host")?,
            ssh_username: row.try_get("ssh_username")?,
            ssh_port: row.try_get("ssh_port")?,
            ssh_identity_file: row.try_get("ssh_identity_file")?,
            ssh_known_host_fingerprint: row.try_get("ssh_known_host_fingerprint")?,
            site_id: row.try_get("site_id")?,
            site_slug: row.try_get("site_slug")?,
            site_name: row.try_get("site_name")?,
            tenant_id: row.try_get("tenant_id")?,
            tenant_slug: row.try_get("tenant_slug")?,
            tenant_name: row.try_get("tenant_name")?,
            timeout: row.try_get("timeout")?,
            max_retries: row.try_get("max_retries")?,
            retry_backoff: row.try_get("retry_backoff")?,
            connect_timeout: row.try_get("connect_timeout")?,
            max_parallel: row.try_get("max_parallel")?,
            tls_fingerprints: serde_json::from_str(&fingerprints).unwrap_or_default(),
            tls_ca_pem: row.try_get("tls_ca_pem")?,
        },
        token_name: row.try_get("token_name")?,
        password: row.try_get("password")?,
        token_value: row.try_get("token_value")?,
    })
}

/// The values of a row in the order of the writing statements.
pub(super) fn arguments(draft: &ProxmoxDraft) -> Result<SqliteArguments, sqlx::error::BoxDynError> {
    let settings = draft.settings.clone();
    let mut values = SqliteArguments::default();
    values.add(settings.name)?;
    values.add(settings.node_device_name_template)?;
    values.add(settings.ip_address)?;
    values.add(settings.domain)?;
    values.add(settings.port)?;
    values.add(settings.username)?;
    values.add(draft.token_name.clone())?;
    values.add(settings.verify_ssl)?;
    values.add(settings.enabled)?;
    values.add(settings.allow_writes)?;
    values.add(settings.allow_packer_template_builds)?;
    values.add(settings.access_methods)?;
    values.add(settings.ssh_target_node)?;
    values.add(settings.ssh_host)?;
    values.add(settings.ssh_username)?;
    values.add(settings.ssh_port)?;
    values.add(settings.ssh_identity_file)?;
    values.add(settings.ssh_known_host_fingerprint)?;
    values.add(settings.site_id)?;
    values.add(settings.site_slug)?;
    values.add(settings.site_name)?;
    values.add(settings.tenant_id)?;
    values.add(settings.tenant_slug)?;
    values.add(settings.tenant_name)?;
    values.add(settings.timeout)?;
    values.add(settings.max_retries)?;
    values.add(settings.retry_backoff)?;
    values.add(settings.connect_timeout)?;
    values.add(settings.max_parallel)?;
    values.add(serde_json::to_string(&settings.tls_fingerprints)?)?;
    values.add(settings.tls_ca_pem)?;
    Ok(values)
}

pub(super) const INSERT: &str = "INSERT INTO proxmox_endpoints (name, node_device_name_template, ip_address, domain, port, \
     username, token_name, verify_ssl, enabled, allow_writes, allow_packer_template_builds, access_methods, \
     ssh_target_node, ssh_host, ssh_username, ssh_port, ssh_identity_file, ssh_known_host_fingerprint, site_id, \
     site_slug, site_name, tenant_id, tenant_slug, tenant_name, timeout, max_retries, retry_backoff, connect_timeout, \
     max_parallel, tls_fingerprints, tls_ca_pem, id) \
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
pub(super) const UPDATE: &str = "UPDATE proxmox_endpoints SET name = ?, node_device_name_template = ?, ip_address = ?, \
     domain = ?, port = ?, username = ?, token_name = ?, verify_ssl = ?, enabled = ?, allow_writes = ?, \
     allow_packer_template_builds = ?, access_methods = ?, ssh_target_node = ?, ssh_host = ?, ssh_username = ?, \
     ssh_port = ?, ssh_identity_file = ?, ssh_known_host_fingerprint = ?, site_id = ?, site_slug = ?, site_name = ?, \
     tenant_id = ?, tenant_slug = ?, tenant_name = ?, timeout = ?, max_retries = ?, retry_backoff = ?, \
     connect_timeout = ?, max_parallel = ?, tls_fingerprints = ?, tls_ca_pem = ? WHERE id = ?";
