//! What every handler can reach.

use std::sync::Arc;

use secrecy::SecretString;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connect::Substitute;
use super::error::ApiError;
use super::settings::Settings;
use super::sisters::Sisters;
use crate::config::Config;
use crate::netbox::settings::NetBoxTuning;
use crate::netbox::{Client, Endpoint, Scheme, Token};
use crate::proxmox::description::Catalog;
use crate::store::{NetBoxEndpoint, NetBoxSettings, Store, TokenVersion};
use crate::sync::Registry;
use crate::{netbox, proxmox};

/// What every handler can reach; clones share it.
#[derive(Debug, Clone)]
pub struct AppState {
    /// The environment.
    pub config: Arc<Config>,
    /// Saved state.
    pub store: Store,
    /// Sessions with Proxmox.
    pub proxmox: Arc<proxmox::Pool>,
    /// Sessions with backup servers and datacenter managers.
    pub sisters: Sisters,
    /// What the releases of Proxmox say about their own API.
    pub api: Arc<Catalog>,
    /// Clients of NetBox.
    pub netbox: Arc<netbox::Pool>,
    /// Runs in progress.
    pub runs: Registry,
    /// The Proxmox that stands for every configured one, in the mock mode.
    pub substitute: Option<Arc<Substitute>>,
    /// The settings in force.
    pub settings: Settings,
    /// Work that goes on when its client leaves; the service waits for it when it goes down.
    pub tasks: TaskTracker,
    /// Cancelled when the service goes down: answers without an end of their own end then.
    pub stopping: CancellationToken,
}

impl AppState {
    /// The client of the enabled NetBox endpoint `id`, or of the first enabled one; `None` where there is none.
    ///
    /// # Errors
    ///
    /// What the store or the client answers, such as secrets that do not open.
    pub async fn find_netbox(&self, id: Option<i64>) -> Result<Option<Client>, ApiError> {
        let rows = self.store.list_netbox_endpoints().await?;
        let is_wanted = |row: &NetBoxEndpoint| row.settings.enabled && id.is_none_or(|id| row.id == id);
        let Some(row) = rows.into_iter().find(is_wanted) else {
            return Ok(None);
        };
        let endpoint = self.netbox_endpoint(&row).await?;
        Ok(Some(self.netbox.client(endpoint)?))
    }

    /// How the NetBox of `row` is spoken to, under the settings in force.
    ///
    /// # Errors
    ///
    /// Secrets that do not open.
    pub(super) async fn netbox_endpoint(&self, row: &NetBoxEndpoint) -> Result<Endpoint, ApiError> {
        let secrets = self.store.netbox_secrets(row).await?;
        let secret = secrets.token.unwrap_or_else(|| SecretString::from(String::new()));
        let token = match row.settings.token_version {
            TokenVersion::V1 => Token::V1(secret),
            TokenVersion::V2 => Token::V2 {
                key: secrets.token_key.unwrap_or_else(|| SecretString::from(String::new())),
                secret,
            },
        };
        let settings = &row.settings;
        let host = if settings.domain.is_empty() {
            &settings.ip_address
        } else {
            &settings.domain
        };
        // The plugin sends addresses with their mask.
        let host = host.split('/').next().unwrap_or_default();
        let mut endpoint = Endpoint::new(row.id.to_string(), host, settings.port, token);
        reach(&mut endpoint, settings);
        tune(&mut endpoint, &self.settings.effective().netbox);
        Ok(endpoint)
    }
}

/// Has `endpoint` asked as the settings in force want it.
fn tune(endpoint: &mut Endpoint, tuning: &NetBoxTuning) {
    endpoint.timeout = tuning.timeout.unwrap_or(endpoint.timeout);
    // That we wait no longer ends no work of NetBox's.
    endpoint.settle = endpoint.settle.max(endpoint.timeout);
    endpoint.max_retries = tuning.max_retries.unwrap_or(endpoint.max_retries);
    endpoint.retry_delay = tuning.retry_delay.unwrap_or(endpoint.retry_delay);
    endpoint.limits.read = tuning.max_concurrent.unwrap_or(endpoint.limits.read);
    endpoint.limits.write = tuning.write_concurrency.unwrap_or(endpoint.limits.write);
    endpoint.limits.total = tuning.max_concurrent;
}

/// Has `endpoint` reached the way these settings say, its address aside.
pub(super) fn reach(endpoint: &mut Endpoint, settings: &NetBoxSettings) {
    endpoint.verify_tls = settings.verify_ssl;
    endpoint.scheme = settings.scheme.as_deref().and_then(Scheme::parse);
    endpoint.base_path.clone_from(&settings.base_path);
    endpoint.tls_ca_pem.clone_from(&settings.tls_ca_pem);
    endpoint.tls_fingerprint.clone_from(&settings.tls_fingerprint);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn rows_may_come_for_two_minutes_however_soon_an_answer_is_given_up() {
        for (timeout, settle) in [(None, 120), (Some(10), 120), (Some(300), 300)] {
            let mut endpoint = Endpoint::new("n", "h", 443, Token::V1("t".into()));
            let tuning = NetBoxTuning {
                timeout: timeout.map(Duration::from_secs),
                ..NetBoxTuning::default()
            };
            tune(&mut endpoint, &tuning);
            assert_eq!(endpoint.timeout.as_secs(), timeout.unwrap_or(120));
            assert_eq!(endpoint.settle.as_secs(), settle, "{timeout:?}");
        }
    }
}
