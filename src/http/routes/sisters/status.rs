//! Which servers can be used, asked anew.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use futures_util::future::join_all;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::clusters;
use crate::http::error::ApiError;
use crate::http::{AppState, sisters};
use crate::proxmox::Error;
use crate::store::{Sister, SisterEndpoint};
use crate::sync::plugin_key;

/// How long servers have to answer: the plugin waits for five seconds, whatever an endpoint's own limit is.
pub(super) const PATIENCE: Duration = Duration::from_secs(4);

/// A server, and whether it can be used.
#[derive(Debug, Serialize)]
pub(super) struct Item {
    /// The plugin's number of it, where its name tells that as the plugin writes it: `name (nb:7)`; else the number of the
    /// endpoint here; null of a server that no endpoint stands for.
    pub(super) endpoint_id: Option<i64>,
    pub(super) name: String,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) reachable: bool,
    /// Why not.
    pub(super) reason: Option<String>,
    pub(super) version: Option<String>,
}

pub(super) fn of_backup_servers() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(backup_servers))
}

pub(super) fn of_datacenter_managers() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(datacenter_managers))
}

/// The backup servers: those that are stored here, asked with their own tokens; then those that only the Proxmox
/// endpoints know, as far as their clusters reach them. A header names the Proxmox endpoints that did not answer.
#[utoipa::path(get, path = "/status", tag = "sisters", responses((status = 200, body = Value)))]
async fn backup_servers(State(state): State<AppState>) -> Result<Response, ApiError> {
    let deadline = Instant::now() + PATIENCE;
    let (stored, clusters) = tokio::join!(
        asked(&state, Sister::BackupServer, deadline),
        clusters::read(&state, deadline)
    );
    let mut items = stored?;
    Ok(clusters?.respond(|answers| {
        for item in clusters::items(answers.into_iter().flat_map(|(_, servers)| servers)) {
            let is_told = |other: &Item| (&other.host, other.port) == (&item.host, item.port);
            if !items.iter().any(is_told) {
                items.push(item);
            }
        }
        json!({"items": items})
    }))
}

/// The datacenter managers that are stored here, asked with their own tokens.
#[utoipa::path(get, path = "/status", tag = "sisters", responses((status = 200, body = Value)))]
async fn datacenter_managers(State(state): State<AppState>) -> Result<Json<Value>, ApiError> {
    let items = asked(&state, Sister::DatacenterManager, Instant::now() + PATIENCE).await?;
    Ok(Json(json!({"items": items})))
}

/// Every stored endpoint that is enabled, as far as it answers by `deadline`.
async fn asked(state: &AppState, sister: Sister, deadline: Instant) -> Result<Vec<Item>, ApiError> {
    let rows = state.store.list_sister_endpoints(sister).await?;
    let enabled = rows.into_iter().filter(|row| row.settings.enabled);
    Ok(join_all(enabled.map(|row| ask(state, sister, row, deadline))).await)
}

async fn ask(state: &AppState, sister: Sister, row: SisterEndpoint, deadline: Instant) -> Item {
    let version = async {
        let session = sisters::session(state, sister, &row).await?;
        Ok::<_, Error>(session.version_info().await?.version)
    };
    let version = match timeout_at(deadline, version).await {
        Ok(version) => version.map_err(|error| error.to_string()),
        Err(_) => Err(format!("it did not answer within {} s", PATIENCE.as_secs())),
    };
    let settings = row.settings;
    let plugin_id = plugin_key(&settings.name).and_then(|id| id.try_into().ok());
    Item {
        endpoint_id: Some(plugin_id.unwrap_or(row.id)),
        name: settings.name,
        host: settings.host,
        port: settings.port,
        reachable: version.is_ok(),
        reason: version.as_ref().err().cloned(),
        version: version.ok(),
    }
}
