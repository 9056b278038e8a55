//! A NetBox with the plugin, a Proxmox, and the service between them, introduced to each other as the plugin does it.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops where its surroundings fail"
)]

use proxbox_api::netbox::standin::{Standin, StandinOptions, TOKEN};
use proxbox_api::proxmox::mock::{MockOptions, MockProxmox, World};
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};

use crate::proxmox_endpoints::{pushed, store};
use crate::support::TestApp;

pub(crate) const DEVICES: &str = "/dcim/devices/create";
pub(crate) const STORAGE: &str = "/virtualization/virtual-machines/storage/create";

/// Everything that a stage needs.
pub(crate) struct Trio {
    pub(crate) app: TestApp,
    pub(crate) proxmox: MockProxmox,
    pub(crate) netbox: Standin,
    /// The Proxmox endpoint's id in the service.
    pub(crate) endpoint: i64,
}

/// What the plugin sends for the NetBox that it is part of.
pub(crate) fn netbox_body(netbox: &Standin, token: &str) -> Value {
    json!({
        "name": "netbox", "ip_address": "127.0.0.1", "domain": "", "port": netbox.port(), "verify_ssl": false,
        "token_version": "v1", "token": token,
    })
}

/// Makes the plugin's own row of a Proxmox endpoint and answers its number.
pub(crate) fn introduce(netbox: &Standin, name: &str, proxmox: &MockProxmox) -> u64 {
    const ADDRESSES: &str = "/api/ipam/ip-addresses/";
    let known = netbox.rows(ADDRESSES).first().and_then(|row| row["id"].as_u64());
    let address = known.unwrap_or_else(|| netbox.seed(ADDRESSES, &json!({"address": "127.0.0.1/32"})).unwrap());
    let row = json!({"name": name, "ip_address": address, "port": proxmox.address().port(), "enabled": true, "mode": "undefined"});
    netbox.seed("/api/plugins/proxbox/endpoints/proxmox/", &row).unwrap()
}

impl Trio {
    /// A cluster of two nodes, and an empty NetBox.
    pub(crate) async fn start() -> Self {
        Self::with(&[], World::estate(2, 12)).await
    }

    /// `world` under these environment variables.
    pub(crate) async fn with(variables: &[(&str, &str)], world: World) -> Self {
        let app = TestApp::with(variables).await;
        let netbox = Standin::start(StandinOptions::default()).await.unwrap();
        let proxmox = MockProxmox::start(MockOptions::default(), world).await.unwrap();
        let (status, row) = app.post("/netbox/endpoint", &netbox_body(&netbox, TOKEN)).await;
        assert_eq!(status, StatusCode::OK, "{row}");
        let plugin = introduce(&netbox, "alpha", &proxmox);
        let endpoint = store(&app, &pushed(&format!("alpha (nb:{plugin})"), &proxmox)).await;
        Self {
            app,
            proxmox,
            netbox,
            endpoint,
        }
    }

    /// Puts an empty NetBox with these manners in place of the one that was there, and introduces it.
    pub(crate) async fn restart_netbox(&mut self, options: StandinOptions) {
        self.netbox = Standin::start(options).await.unwrap();
        let body = netbox_body(&self.netbox, self.netbox.token());
        let (status, row) = self.app.put("/netbox/endpoint/1", &body).await;
        assert_eq!(status, StatusCode::OK, "{row}");
        introduce(&self.netbox, "alpha", &self.proxmox);
    }

    /// The stream of `path` to its end.
    pub(crate) async fn stream(&self, path: &str) -> Vec<(String, Value)> {
        let response = self.open(path).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        frames(&response.text().await.unwrap())
    }

    /// The stream of `path`, not yet read.
    pub(crate) async fn open(&self, path: &str) -> Response {
        self.app.request(Method::GET, path).send().await.unwrap()
    }

    /// Waits until no run is in progress.
    pub(crate) async fn idle(&self) {
        let idle = async { while self.app.get("/sync/active").await.1["active"] == true {} };
        tokio::time::timeout(std::time::Duration::from_secs(20), idle)
            .await
            .unwrap();
    }
}

/// The frames of an event stream, as the plugin's parser reads them.
pub(crate) fn frames(text: &str) -> Vec<(String, Value)> {
    assert!(
        text.is_ascii(),
        "the plugin's parser splits lines at separators beyond ASCII"
    );
    let frame = |frame: &str| {
        let (event, data) = frame.split_once('\n').unwrap();
        let data = data.strip_prefix("data: ").unwrap();
        (
            event.strip_prefix("event: ").unwrap().to_owned(),
            serde_json::from_str(data).unwrap(),
        )
    };
    text.split("\n\n")
        .filter(|text| !text.is_empty() && !text.starts_with(':'))
        .map(frame)
        .collect()
}

/// The last frame, which has to be `complete`.
pub(crate) fn complete(frames: &[(String, Value)]) -> &Value {
    let (event, data) = frames.last().unwrap();
    assert_eq!(event, "complete");
    assert_eq!(frames.iter().filter(|(event, _)| event == "complete").count(), 1);
    data
}
