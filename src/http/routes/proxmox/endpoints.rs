//! `/proxmox/endpoints`: the Proxmox endpoints that this service reads. Credentials go in and never come out.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::change::Change;
use crate::endpoint::{EndpointId, EndpointKey, Source};
use crate::http::error::ApiError;
use crate::http::extract::{self, Path, Query};
use crate::http::page::Page;
use crate::http::proxmox_probe::{self, ProxmoxProbe};
use crate::http::targets::session;
use crate::http::{AppState, ErrorBody};
use crate::store::{ProxmoxEndpoint, ProxmoxSettings};

/// A Proxmox endpoint as it is answered.
#[derive(Debug, Serialize)]
struct Row {
    id: i64,
    #[serde(flatten)]
    settings: ProxmoxSettings,
}

impl From<ProxmoxEndpoint> for Row {
    fn from(endpoint: ProxmoxEndpoint) -> Self {
        Self {
            id: endpoint.id,
            settings: endpoint.settings,
        }
    }
}

/// What is served here, in the order of the OpenAPI document.
pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, update, delete))
        .routes(routes!(probe))
}

fn key(id: i64) -> EndpointKey {
    EndpointKey {
        source: Source::Database,
        id: EndpointId(id),
    }
}

/// Every stored Proxmox endpoint.
#[utoipa::path(
    get, path = "/proxmox/endpoints", tag = "proxmox", params(Page),
    responses((status = 200, body = Vec<Value>)),
)]
async fn list(State(state): State<AppState>, Query(page): Query<Page>) -> Result<Json<Vec<Row>>, ApiError> {
    let rows = state.store.list_proxmox_endpoints().await?;
    Ok(Json(page.of(rows).map(Row::from).collect()))
}

/// One Proxmox endpoint.
#[utoipa::path(
    get, path = "/proxmox/endpoints/{endpoint_id}", tag = "proxmox", params(("endpoint_id" = i64, Path)),
    responses((status = 200, body = Value), (status = 404, body = ErrorBody)),
)]
async fn get(State(state): State<AppState>, Path(id): Path<i64>) -> Result<Json<Row>, ApiError> {
    Ok(Json(state.store.get_proxmox_endpoint(id).await?.into()))
}

/// Stores a Proxmox endpoint. Tokens are understood in every form in which they are pasted.
#[utoipa::path(
    post, path = "/proxmox/endpoints", tag = "proxmox", request_body = Change,
    responses((status = 200, body = Value), (status = 400, body = ErrorBody)),
)]
async fn create(
    State(state): State<AppState>,
    extract::Json(change): extract::Json<Change>,
) -> Result<Json<Row>, ApiError> {
    let row = state.store.create_proxmox_endpoint(change.into_draft()?).await?;
    tracing::info!(endpoint.id = %key(row.id), "Proxmox endpoint stored");
    Ok(Json(row.into()))
}

/// Changes the members that are given. Where nothing differs, nothing is written.
#[utoipa::path(
    put, path = "/proxmox/endpoints/{endpoint_id}", tag = "proxmox", params(("endpoint_id" = i64, Path)),
    request_body = Change,
    responses((status = 200, body = Value), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody)),
)]
async fn update(
    State(state): State<AppState>,
    Path(id): Path<i64>,
    extract::Json(change): extract::Json<Change>,
) -> Result<Json<Row>, ApiError> {
    let (row, has_changed) = state
        .store
        .update_proxmox_endpoint(id, |draft| change.merge(draft))
        .await?;
    if has_changed {
        state.proxmox.forget(key(id));
        tracing::info!(endpoint.id = %key(id), enabled = row.settings.enabled, "Proxmox endpoint changed");
    }
    Ok(Json(row.into()))
}

/// Deletes a Proxmox endpoint.
#[utoipa::path(
    delete, path = "/proxmox/endpoints/{endpoint_id}", tag = "proxmox", params(("endpoint_id" = i64, Path)),
    responses((status = 200, body = Value), (status = 404, body = ErrorBody)),
)]
async fn delete(State(state): State<AppState>, Path(id): Path<i64>) -> Result<Json<Value>, ApiError> {
    state.store.delete_proxmox_endpoint(id).await?;
    state.proxmox.forget(key(id));
    tracing::info!(endpoint.id = %key(id), "Proxmox endpoint deleted");
    Ok(Json(json!({"message": "Proxmox endpoint deleted."})))
}

/// Whether the endpoint can be used, asked anew, be it enabled or not.
#[utoipa::path(
    get, path = "/proxmox/endpoints/{endpoint_id}/probe", tag = "proxmox", params(("endpoint_id" = i64, Path)),
    responses((status = 200, body = ProxmoxProbe), (status = 404, body = ErrorBody)),
)]
async fn probe(State(state): State<AppState>, Path(id): Path<i64>) -> Result<Json<ProxmoxProbe>, ApiError> {
    let row = state.store.get_proxmox_endpoint(id).await?;
    let session = session(&state, key(id), &row).await;
    let probe = proxmox_probe::probe(&session).await;
    if !row.settings.enabled {
        // A session that nobody may use is not kept.
        state.proxmox.forget(key(id));
    }
    Ok(Json(probe))
}
