//! Does what the plugin does: adopts the service, tracks the cluster, asks for stages and follows their events.

use std::net::SocketAddr;

use futures_util::StreamExt;
use reqwest::Method;
use serde_json::{Value, json};

use crate::cli::Failure;
use crate::http::stage_stream;
use crate::netbox::standin::{self, Standin};
use crate::proxmox::mock::TOKEN_SECRET;
use crate::sync::Stage;

const PLUGIN: &str = "/api/plugins/proxbox";
const KEY: &str = "the-key-of-the-demo-is-good-for-nothing-else";

/// A client of the service that behaves like the plugin.
pub(super) struct Plugin {
    http: reqwest::Client,
    base_url: String,
    /// The id of the Proxmox endpoint in the service.
    endpoint: i64,
}

impl Plugin {
    /// Claims the service and tells it of NetBox and Proxmox, as the plugin does when its rows are saved.
    pub(super) async fn adopt(base_url: &str, netbox: &Standin, proxmox: SocketAddr) -> Result<Self, Failure> {
        // Fails only where one is installed already. Everything is on loopback, but the client wants one all the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut plugin = Self {
            http: reqwest::Client::builder().no_proxy().build()?,
            base_url: base_url.to_owned(),
            endpoint: 0,
        };
        let key = json!({"api_key": KEY, "label": "demo"});
        plugin.call(Method::POST, "/auth/register-key", Some(key)).await?;
        let row = netbox_row(netbox);
        plugin.call(Method::POST, "/netbox/endpoint", Some(row)).await?;
        let tracked = track_endpoint(netbox, proxmox)?;
        let row = proxmox_row(proxmox, tracked);
        let stored = plugin.call(Method::POST, "/proxmox/endpoints", Some(row)).await?;
        plugin.endpoint = stored
            .get("id")
            .and_then(Value::as_i64)
            .ok_or("the stored Proxmox endpoint has no id")?;
        plugin.track_cluster(netbox, tracked).await?;
        Ok(plugin)
    }

    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Result<Value, Failure> {
        let url = format!("{}{path}", self.base_url);
        let mut request = self.http.request(method, url).header("X-Proxbox-API-Key", KEY);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        if status.is_success() {
            Ok(serde_json::from_str(&text)?)
        } else {
            Err(format!("{path} answered {status}: {text}").into())
        }
    }

    /// The plugin's rows of the cluster and its nodes, which it makes before the first stage.
    async fn track_cluster(&self, netbox: &Standin, endpoint: u64) -> Result<(), Failure> {
        let path = format!("/proxmox/cluster/status?proxmox_endpoint_ids={}", self.endpoint);
        let clusters = self.call(Method::GET, &path, None).await?;
        for cluster in clusters.as_array().into_iter().flatten() {
            let row = json!({"endpoint": endpoint, "name": cluster.get("name"), "mode": cluster.get("mode")});
            let tracked = netbox.seed(&format!("{PLUGIN}/proxmox-clusters/"), &row)?;
            for node in cluster.get("node_list").and_then(Value::as_array).into_iter().flatten() {
                let row = json!({
                    "endpoint": endpoint, "proxmox_cluster": tracked, "name": node.get("name"),
                    "ip_address": node.get("ip"),
                });
                netbox.seed(&format!("{PLUGIN}/proxmox-nodes/"), &row)?;
            }
        }
        Ok(())
    }

    /// Runs one stage, tells its messages to `listen`, and returns its result.
    pub(super) async fn run(&self, stage: Stage, listen: impl Fn(&str)) -> Result<Value, Failure> {
        let path = stage_stream(stage).ok_or("the stage has no stream")?;
        let url = format!(
            "{}{path}?proxmox_endpoint_ids={}&sync_vm_network=false&sync_task_history=false\
             &delete_nonexistent_backup=true&delete_nonexistent_snapshot=true",
            self.base_url, self.endpoint
        );
        let answer = self.http.get(url).header("X-Proxbox-API-Key", KEY).send().await?;
        let mut body = answer.error_for_status()?.bytes_stream();
        let mut pending = Vec::new();
        let mut last = Value::Null;
        while let Some(chunk) = body.next().await {
            pending.extend_from_slice(&chunk?);
            while let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = pending.drain(..=end).collect();
                if let Some(data) = line.strip_prefix(b"data: ") {
                    last = serde_json::from_slice(data)?;
                    listen(last.get("message").and_then(Value::as_str).unwrap_or_default());
                }
            }
        }
        if last.get("ok") == Some(&Value::Bool(true)) {
            Ok(last.get_mut("result").map(Value::take).unwrap_or_default())
        } else {
            Err(format!("{}: {last}", stage.as_str()).into())
        }
    }
}

fn netbox_row(netbox: &Standin) -> Value {
    json!({
        "name": "demo", "ip_address": "127.0.0.1", "domain": "", "port": netbox.port(), "verify_ssl": false,
        "token_version": "v1", "token": standin::TOKEN,
    })
}

fn proxmox_row(proxmox: SocketAddr, tracked: u64) -> Value {
    json!({
        "name": format!("lab (nb:{tracked})"), "ip_address": proxmox.ip(), "port": proxmox.port(),
        "username": "root@pam", "token_name": "netbox", "token_value": TOKEN_SECRET, "verify_ssl": false,
    })
}

/// The plugin's row of the Proxmox endpoint.
fn track_endpoint(netbox: &Standin, proxmox: SocketAddr) -> Result<u64, Failure> {
    let address = netbox.seed(
        "/api/ipam/ip-addresses/",
        &json!({"address": format!("{}/32", proxmox.ip())}),
    )?;
    let port = proxmox.port();
    let row = json!({"name": "lab", "ip_address": address, "port": port, "mode": "undefined", "enabled": true});
    Ok(netbox.seed(&format!("{PLUGIN}/endpoints/proxmox/"), &row)?)
}
