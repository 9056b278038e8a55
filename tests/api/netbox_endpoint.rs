//! The NetBox endpoint: what the plugin stores, and what a probe tells.

#![expect(clippy::unwrap_used, reason = "a test stops where its surroundings fail")]

use proxbox_api::netbox::standin::{Account, Standin, StandinOptions, TOKEN};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::{ClosedPort, TestApp};
use crate::world::netbox_body;

async fn netbox(account: Account) -> Standin {
    let options = StandinOptions {
        accounts: vec![account],
        ..StandinOptions::default()
    };
    Standin::start(options).await.unwrap()
}

#[tokio::test]
async fn row_is_answered_with_a_probe_and_without_its_token() {
    let (app, netbox) = (TestApp::start().await, netbox(Account::superuser(TOKEN)).await);
    assert_eq!(app.get("/netbox/endpoint").await, (StatusCode::OK, json!([])));
    let sent = netbox_body(&netbox, TOKEN);
    let (status, row) = app.post("/netbox/endpoint", &sent).await;
    assert_eq!(status, StatusCode::OK, "{row}");
    let keys: Vec<_> = row.as_object().unwrap().keys().collect();
    assert_eq!(
        keys,
        [
            "id",
            "name",
            "ip_address",
            "domain",
            "port",
            "token_version",
            "verify_ssl",
            "enabled",
            "scheme",
            "base_path",
            "tls_ca_pem",
            "tls_fingerprint",
            "probe"
        ]
    );
    let probe = &row["probe"];
    assert_eq!(
        (&probe["reachable"], &probe["status"]),
        (&json!(true), &json!("reachable")),
        "{probe}"
    );
    assert_eq!(
        (&probe["api_version"], &probe["error"]),
        (&json!("4.7.3"), &Value::Null),
        "{probe}"
    );
    assert_eq!(
        (&probe["authentication"], &probe["write_access"]),
        (&json!("accepted"), &json!("allowed")),
        "{probe}"
    );
}

#[tokio::test]
async fn row_that_has_not_changed_is_stored_without_asking_netbox() {
    let (app, netbox) = (TestApp::start().await, netbox(Account::superuser(TOKEN)).await);
    let sent = netbox_body(&netbox, TOKEN);
    let (_, row) = app.post("/netbox/endpoint", &sent).await;
    let (_, list) = app.get("/netbox/endpoint").await;
    assert_eq!((&list[0]["probe"], &list[0]["id"]), (&Value::Null, &row["id"]));
    netbox.clear_requests();
    let (status, same) = app.put("/netbox/endpoint/1", &sent).await;
    assert_eq!((status, &same["probe"]), (StatusCode::OK, &Value::Null), "{same}");
    assert!(
        netbox.requests().is_empty(),
        "NetBox is not asked where nothing has changed"
    );
    let (_, renamed) = app.put("/netbox/endpoint/1", &json!({"name": "main"})).await;
    assert_eq!((&renamed["name"], &renamed["probe"]), (&json!("main"), &row["probe"]));
    let (status, body) = app.post("/netbox/endpoint", &sent).await;
    assert_eq!(
        (status, body),
        (
            StatusCode::BAD_REQUEST,
            json!({"detail": "Only one NetBox endpoint is allowed"})
        )
    );
    let (status, body) = app.get("/netbox/status").await;
    assert_eq!(
        (status, &body["netbox-version"]),
        (StatusCode::OK, &json!("4.7.3")),
        "{body}"
    );
    assert_eq!(app.delete("/netbox/endpoint/1").await.0, StatusCode::OK);
    assert_eq!(app.get("/netbox/endpoint/1").await.0, StatusCode::NOT_FOUND);
    assert_eq!(app.get("/netbox/status").await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn way_to_netbox_is_checked_kept_and_used() {
    let (app, netbox) = (TestApp::start().await, netbox(Account::superuser(TOKEN)).await);
    let sent = netbox_body(&netbox, TOKEN);
    let (status, row) = app.post("/netbox/endpoint", &sent).await;
    assert_eq!(
        (status, &row["probe"]["reachable"]),
        (StatusCode::OK, &json!(true)),
        "{row}"
    );
    for (members, field) in [
        (json!({"scheme": "ftp"}), "scheme"),
        (json!({"base_path": "netbox"}), "base_path"),
        (json!({"base_path": "/a/../b"}), "base_path"),
        (json!({"tls_fingerprint": "AB:CD"}), "tls_fingerprint"),
        (
            json!({"verify_ssl": true, "tls_ca_pem": "no certificate"}),
            "tls_ca_pem",
        ),
        (
            json!({"verify_ssl": false, "tls_ca_pem": "no certificate"}),
            "tls_ca_pem",
        ),
        (
            json!({"tls_fingerprint": "AB".repeat(32), "tls_ca_pem": "no certificate"}),
            "tls_ca_pem",
        ),
    ] {
        let (status, body) = app.put("/netbox/endpoint/1", &members).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{members}: {body}");
        assert_eq!(body["detail"][0]["loc"], json!(["body", field]), "{body}");
    }
    let path = json!({"scheme": "http", "base_path": "/netbox/"});
    let (status, row) = app.put("/netbox/endpoint/1", &path).await;
    assert_eq!(
        (status, &row["scheme"], &row["base_path"], &row["probe"]["reachable"]),
        (StatusCode::OK, &json!("http"), &json!("/netbox"), &json!(true)),
        "{row}"
    );
    let asked = netbox.requests().pop().unwrap();
    assert!(asked.path.starts_with("/netbox/api/"), "{}", asked.path);
    let (_, row) = app.put("/netbox/endpoint/1", &sent).await;
    assert_eq!(row["base_path"], "/netbox", "the plugin does not know of it");
}

#[tokio::test]
async fn token_rules_hold_for_the_merged_row() {
    let (app, netbox) = (TestApp::start().await, netbox(Account::superuser(TOKEN)).await);
    let sent = netbox_body(&netbox, TOKEN);
    for (members, status, words) in [
        (json!({"token": ""}), StatusCode::BAD_REQUEST, "token is required"),
        (
            json!({"token_version": "v2"}),
            StatusCode::BAD_REQUEST,
            "must both be set",
        ),
        (json!({"token_version": "v3"}), StatusCode::BAD_REQUEST, "'v1' or 'v2'"),
        (json!({"ip_address": ""}), StatusCode::BAD_REQUEST, "Invalid IP address"),
        (
            json!({"domain": "http://netbox"}),
            StatusCode::BAD_REQUEST,
            "Invalid domain",
        ),
        (json!({"port": 0}), StatusCode::UNPROCESSABLE_ENTITY, "port"),
        (json!({"name": null}), StatusCode::UNPROCESSABLE_ENTITY, "name"),
    ] {
        let (found, body) = app
            .post(
                "/netbox/endpoint",
                &crate::proxmox_endpoints::with(sent.clone(), &members),
            )
            .await;
        assert_eq!(found, status, "{members}: {body}");
        assert!(body["detail"].to_string().contains(words), "{members}: {body}");
    }
    let v2 = json!({"token_version": "v2", "token_key": "abcdefghijkl", "token": "secret"});
    let (status, row) = app
        .post("/netbox/endpoint", &crate::proxmox_endpoints::with(sent.clone(), &v2))
        .await;
    assert_eq!((status, &row["token_version"]), (StatusCode::OK, &json!("v2")), "{row}");
    let (status, row) = app.put("/netbox/endpoint/1", &sent).await;
    assert_eq!(
        (status, &row["probe"]["authentication"]),
        (StatusCode::OK, &json!("accepted")),
        "{row}"
    );
    let (status, body) = app.put("/netbox/endpoint/1", &json!({"token_version": "v2"})).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "the key part went with v1: {body}");
}

#[tokio::test]
async fn each_fault_of_netbox_has_a_reason_of_its_own() {
    let app = TestApp::start().await;
    let closed = ClosedPort::reserve();
    let good = netbox(Account::superuser(TOKEN)).await;
    let read_only = netbox(Account::superuser(TOKEN).read_only()).await;
    let expired = netbox(Account::superuser(TOKEN).refused("Token expired")).await;
    let powerless = netbox(Account::superuser(TOKEN).with_rights(&[])).await;
    let (status, row) = app.post("/netbox/endpoint", &netbox_body(&good, TOKEN)).await;
    assert_eq!(status, StatusCode::OK, "{row}");
    for (fault, body, reachable, reason, words) in [
        (
            "wrong token",
            netbox_body(&good, &"f".repeat(40)),
            true,
            "netbox_auth_failed",
            "token is unknown",
        ),
        (
            "expired token",
            netbox_body(&expired, TOKEN),
            true,
            "netbox_auth_failed",
            "expired",
        ),
        (
            "read-only token",
            netbox_body(&read_only, TOKEN),
            true,
            "netbox_token_read_only",
            "read-only",
        ),
        (
            "missing rights",
            netbox_body(&powerless, TOKEN),
            true,
            "netbox_permission_denied",
            "rights",
        ),
        (
            "nobody there",
            crate::proxmox_endpoints::with(netbox_body(&good, TOKEN), &json!({"port": closed.number()})),
            false,
            "netbox_unreachable",
            "cannot connect",
        ),
    ] {
        let (status, row) = app.put("/netbox/endpoint/1", &body).await;
        assert_eq!(status, StatusCode::OK, "{fault}: {row}");
        let (_, probe) = app.get("/netbox/endpoint/1/probe").await;
        assert_eq!(
            (&probe["reachable"], &probe["error_type"]),
            (&json!(reachable), &json!(reason)),
            "{fault}: {probe}"
        );
        assert!(probe["error"].as_str().unwrap().contains(words), "{fault}: {probe}");
        assert!(!probe.to_string().contains(TOKEN), "{fault}: {probe}");
    }
}
