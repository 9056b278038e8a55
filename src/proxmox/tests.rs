//! Sessions against a server on the loopback interface.

use std::time::Duration;

use secrecy::SecretString;

use super::{Credential, Endpoint, TlsPolicy};
use crate::endpoint::{EndpointId, EndpointKey, Product, Source};

/// A definition to start from: a token, the system's authorities, no repetitions.
pub(super) fn endpoint(domain: Option<&str>, ip: Option<&str>) -> Endpoint {
    Endpoint {
        key: EndpointKey {
            source: Source::Database,
            id: EndpointId(1),
        },
        product: Product::default(),
        name: "lab".to_owned(),
        domain: domain.map(str::to_owned),
        ip_address: ip.map(str::to_owned),
        port: 8006,
        username: "sync@pve".to_owned(),
        credential: Credential::Token {
            name: "netbox".to_owned(),
            secret: SecretString::from("s3cret"),
        },
        tls: TlsPolicy::default(),
        timeout: Duration::from_secs(5),
        connect_timeout: Duration::from_secs(2),
        max_retries: 0,
        retry_backoff: Duration::from_millis(1),
        max_parallel: 3,
    }
}

mod addresses;
mod calls;
mod decoding;
mod exchanges;
mod forms;
mod influx;
mod provisioning;
mod server;
mod sessions;
mod topics;
mod variants;
mod waiting;
