//! A NetBox that has the plugin, driven as an operator drives it: over its REST API.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

const PLUGIN: &str = "/api/plugins/proxbox";
/// How long a job may take.
const PATIENCE: Duration = Duration::from_mins(5);
/// Writes below these paths are writes of the service under test.
const WATCHED: [&str; 6] = [
    "/api/dcim",
    "/api/virtualization",
    "/api/ipam",
    "/api/extras",
    "/api/vpn",
    "/api/plugins/proxbox",
];
/// What this driver itself writes.
const OWN: [&str; 2] = ["/api/plugins/proxbox/sync/schedule/", "/api/plugins/proxbox/settings/"];

/// A running NetBox.
pub(crate) struct NetBox {
    url: String,
    token: String,
    http: reqwest::Client,
    access_log: Option<String>,
}

/// A job of the plugin that has ended.
#[derive(Debug)]
pub(crate) struct Job {
    /// `completed`, `errored`, `failed`.
    pub(crate) status: String,
    /// Its log, line by line.
    pub(crate) log: Vec<String>,
    /// How long NetBox's worker was busy with it.
    pub(crate) took: String,
}

impl NetBox {
    /// The NetBox that `NETBOX_URL` and `NETBOX_TOKEN` name. `NETBOX_ACCESS_LOG` names its access log, one line a
    /// request: time, method, path.
    pub(crate) fn from_environment() -> Self {
        // Fails only where one is installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let required = |name| std::env::var(name).unwrap_or_else(|_| panic!("set {name}; see the README"));
        Self {
            url: required("NETBOX_URL").trim_end_matches('/').to_owned(),
            token: required("NETBOX_TOKEN"),
            http: reqwest::Client::new(),
            access_log: std::env::var("NETBOX_ACCESS_LOG").ok(),
        }
    }

    pub(crate) async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let request = self
            .http
            .request(method.clone(), format!("{}{path}", self.url))
            .header("Authorization", format!("Token {}", self.token));
        let request = match body {
            Some(body) => request.json(&body),
            None => request,
        };
        let answer = request.send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(status.is_success(), "{method} {path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// Every row of a collection.
    pub(crate) async fn rows(&self, path: &str) -> Vec<Value> {
        let separator = if path.contains('?') { '&' } else { '?' };
        let answer = self
            .call(Method::GET, &format!("{path}{separator}limit=1000"), None)
            .await;
        assert_eq!(answer["next"], Value::Null, "{path} has more than one page");
        answer["results"].as_array().unwrap().clone()
    }

    /// The only row of a collection that fits the filter in `path`.
    pub(crate) async fn row(&self, path: &str) -> Value {
        let rows = self.rows(path).await;
        assert_eq!(rows.len(), 1, "{path}: {rows:#?}");
        rows.into_iter().next().unwrap()
    }

    async fn address(&self, host: &str) -> Value {
        let cidr = format!("{host}/32");
        let found = self.rows(&format!("/api/ipam/ip-addresses/?address={cidr}")).await;
        match found.first() {
            Some(row) => row["id"].clone(),
            None => self
                .call(Method::POST, "/api/ipam/ip-addresses/", Some(json!({"address": cidr})))
                .await["id"]
                .clone(),
        }
    }

    /// Registers the service, NetBox itself and one Proxmox endpoint, as on the plugin's pages.
    pub(crate) async fn set_up(&self, backend_port: u16, proxmox_port: u16, token: (&str, &str)) {
        for kind in ["proxmox", "netbox", "fastapi"] {
            for row in self.rows(&format!("{PLUGIN}/endpoints/{kind}/")).await {
                let path = format!("{PLUGIN}/endpoints/{kind}/{}/", row["id"]);
                self.call(Method::DELETE, &path, None).await;
            }
        }
        let loopback = self.address("127.0.0.1").await;
        let add = |kind: &str, body: Value| {
            let path = format!("{PLUGIN}/endpoints/{kind}/");
            async move { self.call(Method::POST, &path, Some(body)).await["id"].as_u64().unwrap() }
        };
        add(
            "fastapi",
            json!({
                "name": "backend", "ip_address": loopback, "port": backend_port, "use_https": false,
                "verify_ssl": false, "enabled": true, "use_websocket": false, "server_side_websocket": false,
            }),
        )
        .await;
        let tokens = self.rows("/api/users/tokens/").await;
        let own = tokens.iter().find(|row| row["version"] == 1).expect("a v1 token");
        let port: u16 = self
            .url
            .rsplit(':')
            .next()
            .unwrap()
            .parse()
            .expect("NETBOX_URL with a port");
        let netbox = json!({
            "name": "netbox", "ip_address": loopback, "port": port, "token_version": "v1", "token": own["id"],
            "verify_ssl": false, "enabled": true,
        });
        self.approve("netbox", add("netbox", netbox).await).await;
        let proxmox = json!({
            "name": "lab", "ip_address": loopback, "port": proxmox_port, "mode": "undefined", "username": "root@pam",
            "token_name": token.0, "token_value": token.1, "verify_ssl": false, "enabled": true,
        });
        self.approve("proxmox", add("proxmox", proxmox).await).await;
    }

    /// Nothing is pushed to a target before an operator has approved it.
    async fn approve(&self, kind: &str, id: u64) {
        let path = format!("{PLUGIN}/endpoints/{kind}/{id}/connection-authority/");
        let target = self.call(Method::GET, &path, None).await["target_fingerprint"].clone();
        self.call(Method::PUT, &path, Some(json!({"target_fingerprint": target})))
            .await;
    }

    /// Changes settings of the plugin.
    pub(crate) async fn set(&self, changes: &Value) {
        let settings = self.rows(&format!("{PLUGIN}/settings/")).await;
        let path = format!("{PLUGIN}/settings/{}/", settings[0]["id"]);
        self.call(Method::PATCH, &path, Some(changes.clone())).await;
    }

    /// Queues a job and waits for its end.
    pub(crate) async fn sync(&self, types: &[&str]) -> Job {
        let began = Instant::now();
        let queued = self
            .call(
                Method::POST,
                &format!("{PLUGIN}/sync/schedule/"),
                Some(json!({"sync_types": types})),
            )
            .await;
        let path = format!("/api/core/jobs/{}/", queued["job_id"]);
        loop {
            let job = self.call(Method::GET, &path, None).await;
            let status = job["status"]["value"].as_str().unwrap().to_owned();
            if !["pending", "scheduled", "running"].contains(&status.as_str()) {
                let entries = job["log_entries"].as_array().cloned().unwrap_or_default();
                let line = |entry: &Value| format!("{} {}", entry["level"], entry["message"]);
                return Job {
                    status,
                    log: entries.iter().map(line).collect(),
                    took: job["execution_time"].as_str().unwrap_or_default().to_owned(),
                };
            }
            assert!(began.elapsed() < PATIENCE, "the job is still {status}");
            sleep(Duration::from_millis(200)).await;
        }
    }

    /// A place in the access log from which [`NetBox::writes_since`] looks.
    pub(crate) fn mark(&self) -> usize {
        self.access_log
            .as_ref()
            .map_or(0, |path| std::fs::read(path).unwrap().len())
    }

    /// What the service has written since `mark`, as `METHOD PATH`. Without an access log nothing can be told.
    pub(crate) fn writes_since(&self, mark: usize) -> Vec<String> {
        let Some(path) = &self.access_log else {
            return Vec::new();
        };
        let log = std::fs::read(path).unwrap();
        let is_write = |line: &&str| {
            ["POST", "PATCH", "PUT", "DELETE"]
                .iter()
                .any(|method| line.contains(&format!(" {method} ")))
                && WATCHED.iter().any(|path| line.contains(&format!(" {path}")))
                && !OWN.iter().any(|path| line.contains(&format!(" {path}")))
        };
        let added = String::from_utf8_lossy(log.get(mark..).unwrap_or_default()).into_owned();
        added.lines().filter(is_write).map(str::to_owned).collect()
    }
}
