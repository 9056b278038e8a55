//! Proxmox endpoints: what the plugin stores, and what a probe tells about each way in which one can be wrong.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops where an answer has another shape"
)]

use proxbox_api::proxmox::mock::{EMPTY_TOKEN, MockOptions, MockProxmox, PASSWORD, TFA_USER, TOKEN_SECRET, World};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::{ClosedPort, TestApp};

/// What the plugin sends for an endpoint, with a token of `root@pam`.
pub(crate) fn pushed(name: &str, mock: &MockProxmox) -> Value {
    json!({
        "name": name, "node_device_name_template": "", "ip_address": "127.0.0.1", "domain": null,
        "port": mock.address().port(), "username": "root@pam", "password": null, "verify_ssl": false, "timeout": 5,
        "max_retries": 0, "retry_backoff": 0.5, "token_name": "netbox", "token_value": TOKEN_SECRET, "enabled": true,
        "allow_packer_template_builds": false, "access_methods": "api", "site_id": null, "site_slug": null,
        "site_name": null, "tenant_id": null, "tenant_slug": null, "tenant_name": null,
    })
}

/// `body` with other members.
pub(crate) fn with(mut body: Value, members: &Value) -> Value {
    for (key, value) in members.as_object().unwrap() {
        body[key] = value.clone();
    }
    body
}

/// Stores an endpoint and answers its id.
pub(crate) async fn store(app: &TestApp, body: &Value) -> i64 {
    let (status, row) = app.post("/proxmox/endpoints", body).await;
    assert_eq!(status, StatusCode::OK, "{row}");
    row["id"].as_i64().unwrap()
}

pub(crate) async fn mock() -> MockProxmox {
    MockProxmox::start(MockOptions::default(), World::estate(2, 12))
        .await
        .unwrap()
}

#[tokio::test]
async fn row_is_answered_with_every_key_but_the_credentials() {
    let (app, mock) = (TestApp::start().await, mock().await);
    let sent = pushed("alpha (nb:1)", &mock);
    let id = store(&app, &sent).await;
    let expected = json!({
        "id": id, "name": "alpha (nb:1)", "node_device_name_template": "", "ip_address": "127.0.0.1", "domain": null,
        "port": mock.address().port(), "username": "root@pam", "verify_ssl": false, "enabled": true,
        "allow_writes": false, "allow_packer_template_builds": false, "access_methods": "api", "ssh_target_node": null,
        "ssh_host": null, "ssh_username": null, "ssh_port": 22, "ssh_identity_file": null,
        "ssh_known_host_fingerprint": null, "site_id": null, "site_slug": null, "site_name": null, "tenant_id": null,
        "tenant_slug": null, "tenant_name": null, "timeout": 5, "max_retries": 0, "retry_backoff": 0.5,
    });
    let path = format!("/proxmox/endpoints/{id}");
    assert_eq!(app.get(&path).await, (StatusCode::OK, expected.clone()));
    assert_eq!(app.get("/proxmox/endpoints").await, (StatusCode::OK, json!([expected])));
    assert_eq!(app.put(&path, &sent).await, (StatusCode::OK, expected));
    let (status, _) = app.delete(&path).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(app.get(&path).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn change_touches_only_the_members_that_are_given() {
    let (app, mock) = (TestApp::start().await, mock().await);
    let id = store(
        &app,
        &with(
            pushed("alpha (nb:1)", &mock),
            &json!({"allow_writes": true, "timeout": 9}),
        ),
    )
    .await;
    let path = format!("/proxmox/endpoints/{id}");
    let revoked = json!({"enabled": false, "allow_packer_template_builds": false});
    let (status, row) = app.put(&path, &revoked).await;
    assert_eq!(status, StatusCode::OK, "{row}");
    let read = |key: &str| row[key].clone();
    assert_eq!(
        (read("enabled"), read("allow_writes"), read("timeout")),
        (json!(false), json!(true), json!(9))
    );
    let (status, row) = app.put(&path, &json!({"name": "beta (nb:1)", "enabled": true})).await;
    assert_eq!((status, &row["name"]), (StatusCode::OK, &json!("beta (nb:1)")));
    let (_, probe) = app.get(&format!("{path}/probe")).await;
    assert_eq!(probe["status"], "ok", "the stored token still works: {probe}");
}

#[tokio::test]
async fn member_that_cannot_be_stored_is_named() {
    let (app, mock) = (TestApp::start().await, mock().await);
    let sent = pushed("alpha (nb:1)", &mock);
    for (field, value) in [
        ("port", json!(0)),
        ("port", json!(null)),
        ("port", json!("8006x")),
        ("name", json!("")),
        ("name", json!(null)),
        ("timeout", json!(3601)),
        ("max_retries", json!(-1)),
        ("retry_backoff", json!(301)),
        ("access_methods", json!("telnet")),
        ("site_id", json!(0)),
        ("ssh_port", json!(null)),
        ("tls_fingerprints", json!(["AB:CD"])),
    ] {
        let (status, body) = app
            .post("/proxmox/endpoints", &with(sent.clone(), &json!({field: value})))
            .await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{field}={value}: {body}");
        assert_eq!(body["detail"][0]["loc"][1], field, "{value}: {body}");
    }
    for (members, words) in [
        (json!({"token_value": null}), "together"),
        (
            json!({"token_name": null, "token_value": null}),
            "Provide password or both",
        ),
        (json!({"ip_address": "0.0.0.0"}), "Invalid IP address"),
        (json!({"domain": "https://pve.example"}), "Invalid domain"),
        (json!({"token_value": "other@pve!netbox=abc"}), "belongs to `other@pve`"),
    ] {
        let (status, body) = app.post("/proxmox/endpoints", &with(sent.clone(), &members)).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{members}: {body}");
        assert!(body["detail"].as_str().unwrap().contains(words), "{members}: {body}");
    }
    for members in [
        json!({"node_device_name_template": "{cluster}"}),
        json!({"ssh_host": "pve1"}),
    ] {
        let (status, body) = app.post("/proxmox/endpoints", &with(sent.clone(), &members)).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{members}: {body}");
    }
    assert_eq!(app.get("/proxmox/endpoints").await.1, json!([]), "nothing was stored");
    store(&app, &sent).await;
    let (status, body) = app.post("/proxmox/endpoints", &sent).await;
    assert_eq!(
        (status, body),
        (
            StatusCode::BAD_REQUEST,
            json!({"detail": "Proxmox endpoint name already exists"})
        )
    );
}

#[tokio::test]
async fn token_in_every_pasted_form_signs_in() {
    let (app, mock) = (TestApp::start().await, mock().await);
    let forms = [
        (json!("netbox"), json!(TOKEN_SECRET)),
        (json!("root@pam!netbox"), json!(TOKEN_SECRET)),
        (json!(null), json!(format!("root@pam!netbox={TOKEN_SECRET}"))),
        (json!(""), json!(format!("PVEAPIToken=root@pam!netbox={TOKEN_SECRET}"))),
        (
            json!(format!("PVEAPIToken=root@pam!netbox={TOKEN_SECRET}")),
            json!(null),
        ),
    ];
    for (number, (name, value)) in forms.iter().enumerate() {
        let members = json!({"token_name": name, "token_value": value});
        let id = store(&app, &with(pushed(&format!("form {number}"), &mock), &members)).await;
        let (_, probe) = app.get(&format!("/proxmox/endpoints/{id}/probe")).await;
        assert_eq!(
            (&probe["ok"], &probe["credential"]),
            (&json!(true), &json!("token")),
            "form {number}: {probe}"
        );
    }
}

#[tokio::test]
async fn password_signs_in_to_a_cluster_and_to_a_single_host() {
    let app = TestApp::start().await;
    let single = MockProxmox::start(MockOptions::default(), World::standalone("solo", 3))
        .await
        .unwrap();
    let login = json!({"password": PASSWORD, "token_name": null, "token_value": null});
    for (mock, mode, name) in [(mock().await, "cluster", "lab"), (single, "standalone", "solo")] {
        let id = store(&app, &with(pushed(mode, &mock), &login)).await;
        let (_, probe) = app.get(&format!("/proxmox/endpoints/{id}/probe")).await;
        let read = |key: &str| probe[key].as_str().unwrap_or_default();
        assert_eq!(
            (read("mode"), read("name"), read("credential")),
            (mode, name, "password"),
            "{probe}"
        );
        assert_eq!(probe["ok"], true, "{probe}");
    }
}

/// Stores an endpoint that is wrong in some way, and holds the probe against what it should tell.
async fn assert_fault(app: &TestApp, body: &Value, (category, reason): (&str, &str), words: &str) {
    let id = store(app, body).await;
    let (status, probe) = app.get(&format!("/proxmox/endpoints/{id}/probe")).await;
    assert_eq!((status, &probe["ok"]), (StatusCode::OK, &json!(false)), "{probe}");
    assert_eq!(
        (&probe["category"], &probe["reason"]),
        (&json!(category), &json!(reason)),
        "{probe}"
    );
    assert!(probe["error"].as_str().unwrap().contains(words), "{probe}");
    assert!(probe["suggestion"].is_string(), "{probe}");
    let shown = probe.to_string();
    assert!(!shown.contains("nonsense") && !shown.contains(TOKEN_SECRET), "{shown}");
}

#[tokio::test]
async fn each_fault_of_the_credentials_has_a_reason_of_its_own() {
    let (app, mock) = (TestApp::start().await, mock().await);
    let password = |user: &str, password: &str| json!({"username": user, "password": password, "token_name": null, "token_value": null});
    let empty = EMPTY_TOKEN.split_once('!').unwrap().1;
    let refused = ("authentication", "proxmox_auth_failed");
    let second = ("authentication", "proxmox_second_factor_required");
    let denied = ("permission", "proxmox_permission_denied");
    for (name, members, kind, words) in [
        ("password", password("root@pam", "nonsense"), refused, "access/ticket"),
        ("token", json!({"token_value": "nonsense"}), refused, "GET version"),
        ("second factor", password(TFA_USER, PASSWORD), second, "API token"),
        ("privilege", json!({"token_name": empty}), denied, "Sys.Audit on /"),
    ] {
        assert_fault(&app, &with(pushed(name, &mock), &members), kind, words).await;
    }
}

#[tokio::test]
async fn each_fault_of_the_connection_has_a_reason_of_its_own() {
    let (app, mock) = (TestApp::start().await, mock().await);
    let closed = ClosedPort::reserve();
    for (name, members, reason, words) in [
        (
            "host",
            json!({"port": closed.number()}),
            "proxmox_unreachable",
            "cannot connect",
        ),
        (
            "name",
            json!({"domain": "pve.invalid"}),
            "proxmox_name_unresolved",
            "resolve",
        ),
        (
            "certificate",
            json!({"verify_ssl": true}),
            "proxmox_certificate_untrusted",
            "SHA-256",
        ),
    ] {
        assert_fault(
            &app,
            &with(pushed(name, &mock), &members),
            ("connection", reason),
            words,
        )
        .await;
    }
}

#[tokio::test]
async fn fingerprint_of_a_refused_certificate_can_be_pinned() {
    let (app, mock) = (TestApp::start().await, mock().await);
    let id = store(&app, &with(pushed("alpha (nb:1)", &mock), &json!({"verify_ssl": true}))).await;
    let path = format!("/proxmox/endpoints/{id}");
    let (_, probe) = app.get(&format!("{path}/probe")).await;
    assert_eq!(probe["presented_fingerprint"], mock.fingerprint(), "{probe}");
    let (status, _) = app.put(&path, &json!({"tls_fingerprints": [mock.fingerprint()]})).await;
    assert_eq!(status, StatusCode::OK);
    let (_, probe) = app.get(&format!("{path}/probe")).await;
    assert_eq!(probe["status"], "ok", "{probe}");
}
