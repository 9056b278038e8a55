//! The mock mode: a Proxmox of our own stands for every configured one.

use reqwest::StatusCode;
use serde_json::json;

use crate::support::TestApp;

#[tokio::test]
async fn every_endpoint_leads_to_the_built_in_proxmox() {
    let app = TestApp::with(&[("PROXMOX_API_MODE", "mock")]).await;
    let row = json!({
        "name": "alpha (nb:1)", "ip_address": "127.0.0.1", "domain": "pve.invalid", "port": 8006, "username": "root@pam",
        "password": "whatever",
    });
    let (status, body) = app.post("/proxmox/endpoints", &row).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let (status, body) = app.get("/proxmox/cluster/status").await;
    assert_eq!(
        (status, &body[0]["name"], &body[0]["nodes"]),
        (StatusCode::OK, &json!("lab"), &json!(3)),
        "{body}"
    );
    assert_eq!(body[0]["domain"], "pve.invalid", "the row itself is left alone: {body}");
    app.service.stop().await;
}

#[tokio::test]
async fn invented_guests_are_not_written_to_a_netbox_elsewhere() {
    let netbox = json!({"name": "n", "ip_address": "127.0.0.1", "domain": "netbox.invalid", "verify_ssl": false, "port": 80, "token": "t"});
    let path = "/dcim/devices/create/stream";
    for (allowed, expected) in [("0", StatusCode::CONFLICT), ("1", StatusCode::OK)] {
        let variables = [
            ("PROXMOX_API_MODE", "mock"),
            ("PROXBOX_MOCK_ALLOW_REMOTE_NETBOX", allowed),
        ];
        let app = TestApp::with(&variables).await;
        let (status, _) = app.post("/netbox/endpoint", &netbox).await;
        assert_eq!(status, StatusCode::OK);
        let (status, body) = app.get(path).await;
        assert_eq!(status, expected, "{allowed}: {body}");
    }
}
