//! Every way to reach and to enter a Proxmox, against the mock: domain or address, token or password, cluster or lone
//! host.

use std::net::IpAddr;

use secrecy::SecretString;

use super::endpoint;
use super::server::NOBODY;
use crate::proxmox::endpoint::Address;
use crate::proxmox::mock::{MockOptions, MockProxmox, PASSWORD, ROOT_TOKEN, TOKEN_SECRET, World};
use crate::proxmox::{Credential, Endpoint, Scheme, Session, TlsPolicy};

/// How the host is found; the certificate is judged under the domain wherever there is one.
#[derive(Debug, Clone, Copy)]
enum Found {
    /// What the domain leads to does not connect, so the address is dialled under its name.
    ByDomain,
    /// There is only an address.
    ByAddress,
}

fn credential(is_token: bool) -> Credential {
    if is_token {
        let (_, name) = ROOT_TOKEN.split_once('!').unwrap();
        Credential::Token {
            name: name.to_owned(),
            secret: SecretString::from(TOKEN_SECRET),
        }
    } else {
        Credential::Password(SecretString::from(PASSWORD))
    }
}

fn session(mock: &MockProxmox, domain: &str, found: Found, is_token: bool) -> Session {
    let local: IpAddr = "127.0.0.1".parse().unwrap();
    let definition = Endpoint {
        port: mock.address().port(),
        username: "root@pam".to_owned(),
        credential: credential(is_token),
        tls: TlsPolicy {
            ca_pem: Some(mock.ca_pem().to_owned()),
            ..TlsPolicy::default()
        },
        ..endpoint(None, Some("127.0.0.1"))
    };
    match found {
        Found::ByAddress => Session::with_scheme(definition, Scheme::Https).unwrap(),
        Found::ByDomain => {
            let addresses = [NOBODY, local].map(Some).map(|dial| Address {
                host: domain.to_owned(),
                dial,
            });
            Session::over(definition, Scheme::Https, &addresses).unwrap()
        }
    }
}

#[tokio::test]
async fn every_variant_tells_what_stands_behind_it() {
    let domain = "pve.lab.example";
    for (world, mode, name) in [
        (World::estate(2, 6), "cluster", "lab"),
        (World::standalone("solo", 4), "standalone", "solo"),
    ] {
        let guests = world.guests.len();
        let options = MockOptions {
            common_names: vec![domain.to_owned()],
            ..MockOptions::default()
        };
        let mock = MockProxmox::start(options, world).await.unwrap();
        for found in [Found::ByDomain, Found::ByAddress] {
            for is_token in [true, false] {
                let variant = format!("{mode}, {found:?}, token {is_token}");
                let session = session(&mock, domain, found, is_token);
                let metadata = session
                    .metadata()
                    .await
                    .unwrap_or_else(|error| panic!("{variant}: {error}"));
                assert_eq!(
                    (metadata.mode.as_str(), metadata.name()),
                    (mode, Some(name)),
                    "{variant}"
                );
                let listed = session.cluster_resources(Some("vm")).await.unwrap();
                assert_eq!(listed.items.len(), guests, "{variant}");
            }
        }
    }
}
