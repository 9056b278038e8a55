//! Sessions with backup servers and datacenter managers.

use std::sync::Arc;
use std::time::Duration;

use super::AppState;
use super::connect::CONNECT_TIMEOUT;
use crate::endpoint::{EndpointId, EndpointKey, Source};
use crate::proxmox::{Credential, Endpoint, Error, Fingerprint, Pool, Session, TlsPolicy};
use crate::store::{Sister, SisterEndpoint};

/// Requests to one server at once.
const MAX_PARALLEL: usize = 3;

/// The pools of sessions, one per product: their ids overlap.
#[derive(Debug, Clone, Default)]
pub struct Sisters {
    backup_servers: Arc<Pool>,
    datacenter_managers: Arc<Pool>,
}

impl Sisters {
    fn pool(&self, sister: Sister) -> &Pool {
        match sister {
            Sister::BackupServer => &self.backup_servers,
            Sister::DatacenterManager => &self.datacenter_managers,
        }
    }

    /// Drops the session of an endpoint that was changed or deleted.
    pub(super) fn forget(&self, sister: Sister, id: i64) {
        self.pool(sister).forget(key(id));
    }

    /// Drops all sessions and opens no more.
    pub(crate) fn close(&self) {
        self.backup_servers.close();
        self.datacenter_managers.close();
    }
}

const fn key(id: i64) -> EndpointKey {
    EndpointKey {
        source: Source::Database,
        id: EndpointId(id),
    }
}

/// The session of a stored endpoint. In the mock mode it leads to the mock, which is a Proxmox VE.
///
/// # Errors
///
/// [`Error::InvalidEndpoint`] where its secret does not open or where it cannot be used.
pub(super) async fn session(state: &AppState, sister: Sister, row: &SisterEndpoint) -> Result<Session, Error> {
    let settings = &row.settings;
    let invalid = |reason: String| Error::InvalidEndpoint {
        endpoint: settings.name.clone(),
        reason,
    };
    let secret = state.store.sister_secret(sister, row).await;
    let secret = secret.map_err(|error| invalid(error.to_string()))?;
    let (username, name) = settings.token_id.split_once('!').unwrap_or((&settings.token_id, ""));
    let credential = Credential::parse(username, Some(name), secret.as_ref(), None);
    let fingerprints = settings.fingerprint.iter().map(|text| text.parse());
    let fingerprints: Result<Vec<Fingerprint>, _> = fingerprints.collect();
    let endpoint = Endpoint {
        key: key(row.id),
        product: sister.product(),
        name: settings.name.clone(),
        domain: Some(settings.host.clone()),
        ip_address: None,
        port: settings.port,
        username: username.to_owned(),
        credential: credential.map_err(|error| invalid(error.to_string()))?,
        tls: TlsPolicy {
            verify: settings.verify_ssl,
            fingerprints: fingerprints.map_err(|error| invalid(error.to_string()))?,
            ca_pem: None,
        },
        // A call of the usual kind may take twice as long as this.
        timeout: Duration::from_secs(settings.timeout_seconds.into()) / 2,
        connect_timeout: CONNECT_TIMEOUT,
        max_retries: 0,
        retry_backoff: Duration::ZERO,
        max_parallel: MAX_PARALLEL,
    };
    state.sisters.pool(sister).session(match &state.substitute {
        Some(substitute) => substitute.instead_of(endpoint),
        None => endpoint,
    })
}
