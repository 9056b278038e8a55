//! From a stored row to a Proxmox endpoint that can be connected to.

use std::net::SocketAddr;
use std::time::Duration;

use crate::endpoint::{EndpointKey, Product};
use crate::netbox::settings::ProxmoxTuning;
use crate::proxmox::{Credential, Endpoint, Error, Fingerprint, TlsPolicy};
use crate::store::{ProxmoxEndpoint, ProxmoxSecrets};

/// What holds where neither the row nor the plugin's settings say anything.
const TIMEOUT: Duration = Duration::from_secs(5);
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const RETRY_BACKOFF: Duration = Duration::from_millis(500);
const MAX_PARALLEL: usize = 3;

/// A Proxmox that stands for every configured one: that of the mock mode.
#[derive(Debug, Clone)]
pub struct Substitute {
    /// Where it is.
    pub address: SocketAddr,
    /// The user there.
    pub username: String,
    /// The credential of that user.
    pub credential: Credential,
    /// Whom to believe there.
    pub tls: TlsPolicy,
}

impl Substitute {
    /// `endpoint`, but led here.
    pub(super) fn instead_of(&self, endpoint: Endpoint) -> Endpoint {
        Endpoint {
            product: Product::VirtualEnvironment,
            domain: None,
            ip_address: Some(self.address.ip().to_string()),
            port: self.address.port(),
            username: self.username.clone(),
            credential: self.credential.clone(),
            tls: self.tls.clone(),
            ..endpoint
        }
    }
}

/// The Proxmox endpoint of a stored row. Its own values win over the plugin's settings.
///
/// # Errors
///
/// [`Error::InvalidEndpoint`] where its credentials or fingerprints cannot be used.
pub(super) fn endpoint(
    key: EndpointKey,
    row: &ProxmoxEndpoint,
    secrets: &ProxmoxSecrets,
    tuning: &ProxmoxTuning,
) -> Result<Endpoint, Error> {
    let settings = &row.settings;
    let invalid = |reason: String| Error::InvalidEndpoint {
        endpoint: settings.name.clone(),
        reason,
    };
    let (value, password) = (secrets.token_value.as_ref(), secrets.password.as_ref());
    let credential = Credential::parse(&settings.username, row.token_name.as_deref(), value, password)
        .map_err(|error| invalid(error.to_string()))?;
    let fingerprints: Result<Vec<Fingerprint>, _> = settings.tls_fingerprints.iter().map(|text| text.parse()).collect();
    let tls = TlsPolicy {
        verify: settings.verify_ssl,
        fingerprints: fingerprints.map_err(|error| invalid(error.to_string()))?,
        ca_pem: settings.tls_ca_pem.clone(),
    };
    let seconds = |value: Option<i64>| {
        value
            .and_then(|value| u64::try_from(value).ok())
            .map(Duration::from_secs)
    };
    let retries = settings.max_retries.and_then(|value| u32::try_from(value).ok());
    let backoff = settings
        .retry_backoff
        .and_then(|value| Duration::try_from_secs_f64(value).ok());
    let parallel = settings.max_parallel.and_then(|value| usize::try_from(value).ok());
    Ok(Endpoint {
        key,
        product: Product::VirtualEnvironment,
        name: settings.name.clone(),
        domain: settings.domain.clone(),
        ip_address: Some(settings.ip_address.clone()),
        port: settings.port,
        username: settings.username.clone(),
        credential,
        tls,
        timeout: seconds(settings.timeout).or(tuning.timeout).unwrap_or(TIMEOUT),
        connect_timeout: seconds(settings.connect_timeout).unwrap_or(CONNECT_TIMEOUT),
        max_retries: retries.or(tuning.max_retries).unwrap_or_default(),
        retry_backoff: backoff.or(tuning.retry_backoff).unwrap_or(RETRY_BACKOFF),
        max_parallel: parallel.unwrap_or(MAX_PARALLEL),
    })
}
