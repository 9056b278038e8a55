//! Which address is asked, which certificate is believed, and when an endpoint is left alone.

use std::net::IpAddr;

use super::endpoint;
use super::server::{Identity, NOBODY, Reply, Seen, Server};
use crate::proxmox::endpoint::Address;
use crate::proxmox::{Error, Scheme, Session, TlsPolicy};

fn tls_session(server: &Server, host: &str, dial: &[IpAddr], tls: TlsPolicy) -> Session {
    let mut endpoint = endpoint(Some(host), None);
    endpoint.port = server.address.port();
    endpoint.tls = tls;
    let addresses: Vec<_> = dial
        .iter()
        .map(|ip| Address {
            host: host.to_owned(),
            dial: Some(*ip),
        })
        .collect();
    Session::over(endpoint, Scheme::Https, &addresses).unwrap()
}

fn version(_: &Seen) -> Reply {
    Reply::data(r#"{"version":"9.2.4"}"#)
}

fn local() -> IpAddr {
    "127.0.0.1".parse().unwrap()
}

#[tokio::test]
async fn second_address_is_dialled_under_the_name_of_the_domain_and_remembered() {
    let identity = Identity::new(&["pve.example"]);
    let server = Server::tls(&identity, version);
    let tls = TlsPolicy {
        ca_pem: Some(identity.ca_pem.clone()),
        ..TlsPolicy::default()
    };
    let session = tls_session(&server, "pve.example", &[NOBODY, local()], tls);
    for _ in 0..2 {
        session.version_info().await.unwrap();
    }
    for seen in server.seen() {
        assert_eq!(seen.sni.as_deref(), Some("pve.example"));
        let host = format!("pve.example:{}", server.address.port());
        assert_eq!(seen.header("host"), Some(host.as_str()));
    }
}

#[tokio::test]
async fn second_address_is_dialled_when_the_name_does_not_resolve() {
    let server = Server::plain(version);
    let mut definition = endpoint(None, Some("127.0.0.1"));
    definition.port = server.address.port();
    // A label too long for any resolver fails without asking the network.
    let host = format!("{}.invalid", "a".repeat(64));
    let addresses = [None, Some(local())].map(|dial| Address {
        host: host.clone(),
        dial,
    });
    let both = Session::over(definition.clone(), Scheme::Http, &addresses).unwrap();
    both.version_info().await.unwrap();
    let alone = Session::over(definition, Scheme::Http, &addresses[..1]).unwrap();
    assert_eq!(
        alone.version_info().await.unwrap_err().reason(),
        "proxmox_name_unresolved"
    );
}

#[tokio::test]
async fn second_address_is_not_asked_after_an_answer_or_a_bad_certificate() {
    let identity = Identity::new(&["pve.example"]);
    for status in ["401 No ticket", "403 no", "500 no", "301 Moved", "595 no"] {
        let server = Server::tls(&identity, move |_| Reply::new(status, ""));
        let tls = TlsPolicy {
            verify: false,
            ..TlsPolicy::default()
        };
        let session = tls_session(&server, "pve.example", &[local(), local()], tls);
        session.version_info().await.unwrap_err();
        assert_eq!(server.calls().len(), 1, "{status}");
    }
    let server = Server::tls(&identity, version);
    let pinned = TlsPolicy {
        fingerprints: vec![Identity::new(&["x"]).fingerprint()],
        ..TlsPolicy::default()
    };
    let error = tls_session(&server, "pve.example", &[local(), local()], pinned)
        .version_info()
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Tls { .. }), "{error:?}");
}

#[tokio::test]
async fn both_failures_are_told_when_no_address_can_be_reached() {
    let server = Server::plain(version);
    let mut definition = endpoint(Some("pve.example"), None);
    definition.port = server.address.port();
    let other: IpAddr = "127.0.0.8".parse().unwrap();
    let addresses = [NOBODY, other].map(|ip| Address {
        host: "pve.example".to_owned(),
        dial: Some(ip),
    });
    let session = Session::over(definition, Scheme::Http, &addresses).unwrap();
    let error = session.version_info().await.unwrap_err();
    assert_eq!(error.reason(), "proxmox_unreachable");
    let shown = error.to_string();
    assert!(shown.contains("127.0.0.9") && shown.contains("127.0.0.8"), "{shown}");
}

#[tokio::test]
async fn certificate_is_judged_by_the_first_rule_that_is_set() {
    let identity = Identity::new(&["pve.example"]);
    let stranger = Identity::new(&["pve.example"]);
    let server = Server::tls(&identity, version);
    let rule = |verify, pins: &[&Identity], ca: Option<&Identity>| TlsPolicy {
        verify,
        fingerprints: pins.iter().map(|it| it.fingerprint()).collect(),
        ca_pem: ca.map(|it| it.ca_pem.clone()),
    };
    let table = [
        ("pinned", "other.name", rule(true, &[&identity], None), true),
        (
            "one of the pinned",
            "pve.example",
            rule(true, &[&stranger, &identity], None),
            true,
        ),
        (
            "another pinned",
            "pve.example",
            rule(false, &[&stranger], Some(&identity)),
            false,
        ),
        ("authority", "pve.example", rule(true, &[], Some(&identity)), true),
        (
            "authority, wrong name",
            "other.name",
            rule(true, &[], Some(&identity)),
            false,
        ),
        (
            "another authority",
            "pve.example",
            rule(false, &[], Some(&stranger)),
            false,
        ),
        ("the system's authorities", "pve.example", rule(true, &[], None), false),
        ("nobody asked", "other.name", rule(false, &[], None), true),
    ];
    for (what, host, tls, is_trusted) in table {
        match tls_session(&server, host, &[local()], tls).version_info().await {
            Ok(_) => assert!(is_trusted, "{what}"),
            Err(error) => {
                assert!(!is_trusted, "{what}: {error}");
                assert_eq!(error.reason(), "proxmox_certificate_untrusted", "{what}");
                assert_eq!(error.presented_fingerprint(), Some(identity.fingerprint()), "{what}");
                assert!(
                    error.to_string().contains(&identity.fingerprint().to_string()),
                    "{what}: {error}"
                );
            }
        }
    }
}

#[tokio::test]
async fn endpoint_that_cannot_be_reached_is_left_alone_after_three_failures() {
    let server = Server::plain(version);
    let mut definition = endpoint(None, Some("127.0.0.9"));
    definition.port = server.address.port();
    let session = Session::with_scheme(definition, Scheme::Http).unwrap();
    let mut reasons = Vec::new();
    for _ in 0..4 {
        reasons.push(session.version_info().await.unwrap_err().reason());
    }
    let wanted = [
        "proxmox_unreachable",
        "proxmox_unreachable",
        "proxmox_unreachable",
        "proxmox_circuit_open",
    ];
    assert_eq!(reasons, wanted);
}

#[tokio::test]
async fn other_node_of_the_cluster_is_asked_when_no_configured_address_can_be_reached() {
    let server = Server::plain(version);
    let mut definition = endpoint(None, Some("127.0.0.9"));
    definition.port = server.address.port();
    let session = Session::with_scheme(definition, Scheme::Http).unwrap();
    assert!(matches!(session.version_info().await, Err(Error::Connect { .. })));
    session.inner.client.learn(&[local()]);
    assert_eq!(
        session.version().get().await.unwrap().address,
        server.address.to_string()
    );
}

#[tokio::test]
async fn certificate_of_another_node_does_not_hide_the_failure_of_the_configured_address() {
    let server = Server::tls(&Identity::new(&["127.0.0.1"]), version);
    let mut definition = endpoint(None, Some("127.0.0.9"));
    definition.port = server.address.port();
    let session = Session::new(definition).unwrap();
    session.inner.client.learn(&[local()]);
    assert!(matches!(session.version_info().await, Err(Error::Connect { .. })));
}
