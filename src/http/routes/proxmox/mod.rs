//! `/proxmox/*`: endpoints, and what they say about themselves.

mod change;
mod cluster;
mod datacenter;
mod endpoints;
mod fields;
mod firewall;
mod guests;
mod ha;
mod influx;
mod metrics;
mod nodes;
mod overview;
mod schedules;
mod sdn;
mod services;
mod storage;
mod templates;
mod zfs;

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::AppState;
use crate::http::answers::Answers;
use crate::http::error::ApiError;
use crate::http::scope::Scope;
use crate::http::targets::{Target, select};
use crate::proxmox::Metadata;

/// What is served here, in the order of the OpenAPI document.
pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .merge(endpoints::routes())
        .routes(routes!(sessions))
        .routes(routes!(version))
        .merge(overview::routes())
        .merge(cluster::routes())
        .merge(ha::routes())
        .merge(schedules::routes())
        .merge(nodes::routes())
        .merge(storage::routes())
        .merge(zfs::routes())
        .merge(metrics::routes())
        .merge(influx::routes())
        .merge(services::routes())
        .merge(sdn::routes())
        .merge(datacenter::routes())
        .merge(firewall::routes())
        .merge(guests::routes())
}

/// The sessions with the selected endpoints: who answers there, and under which name. Never credentials.
#[utoipa::path(
    get, path = "/proxmox/sessions", tag = "proxmox", params(Scope),
    responses((status = 200, body = Vec<Value>)),
)]
async fn sessions(State(state): State<AppState>, scope: Scope) -> Result<Response, ApiError> {
    let selected = select(&state, &scope.filter).await?;
    let answers = Answers::read(selected, |_, session| async move { session.metadata().await }).await?;
    Ok(answers.respond(|items| {
        items
            .iter()
            .map(|(target, metadata)| session_row(target, metadata))
            .collect()
    }))
}

fn session_row(target: &Target, metadata: &Metadata) -> Value {
    json!({
        "ip_address": target.settings.ip_address,
        "domain": target.settings.domain,
        "http_port": target.settings.port,
        "user": target.settings.username,
        "name": target.name_in(metadata),
        "mode": metadata.mode.as_str(),
        "proxmox_version": metadata.version,
        "schema_release": metadata.version.release,
        "schema_status": null,
    })
}

/// The release of each selected endpoint, asked anew: the plugin tells by it whether Proxmox is there.
#[utoipa::path(
    get, path = "/proxmox/version", tag = "proxmox", params(Scope),
    responses((status = 200, body = Vec<Value>), (status = 404, description = "No endpoint is selected")),
)]
async fn version(State(state): State<AppState>, scope: Scope) -> Result<Response, ApiError> {
    let selected = select(&state, &scope.filter).await?;
    if selected.targets.is_empty() {
        let text = "No Proxmox active connections found, not able to retrieve version information";
        return Err(ApiError::plain(StatusCode::NOT_FOUND, text));
    }
    let answers = Answers::read(selected, |_, session| async move { session.refresh().await }).await?;
    let row = |(target, metadata): &(Target, Arc<Metadata>)| json!({target.name_in(metadata): metadata.version});
    Ok(answers.respond(|items| items.iter().map(row).collect()))
}
