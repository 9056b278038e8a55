//! `/virtualization/*`: NetBox's virtual machines as NetBox answers them. The stages are in a file of their own.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::Value;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::error::ApiError;
use crate::http::extract::{Path, Query};
use crate::http::scope::WhichNetBox;
use crate::http::targets::get_netbox;
use crate::http::{AppState, ErrorBody};
use crate::netbox;

const MACHINES: &str = "/api/virtualization/virtual-machines/";

/// What is served here, in the order of the OpenAPI document.
pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(get))
}

/// Every virtual machine in NetBox.
#[utoipa::path(
    get, path = "/virtualization/virtual-machines/", tag = "virtualization", params(WhichNetBox),
    responses((status = 200, body = Vec<Value>), (status = 502, body = ErrorBody)),
)]
async fn list(State(state): State<AppState>, Query(which): Query<WhichNetBox>) -> Result<Json<Vec<Value>>, ApiError> {
    let client = get_netbox(&state, which.netbox_id).await?;
    Ok(Json(client.list(MACHINES, &netbox::Query::new()).await?))
}

/// One virtual machine in NetBox.
#[utoipa::path(
    get, path = "/virtualization/virtual-machines/{netbox_vm_id}", tag = "virtualization",
    params(WhichNetBox, ("netbox_vm_id" = u64, Path)),
    responses((status = 200, body = Value), (status = 404, body = ErrorBody), (status = 502, body = ErrorBody)),
)]
async fn get(
    State(state): State<AppState>,
    Path(machine): Path<u64>,
    Query(which): Query<WhichNetBox>,
) -> Result<Json<Value>, ApiError> {
    let client = get_netbox(&state, which.netbox_id).await?;
    match client.get(&format!("{MACHINES}{machine}/")).await {
        Ok(row) => Ok(Json(row)),
        Err(netbox::Error::NotFound { .. }) => Err(ApiError::plain(StatusCode::NOT_FOUND, "Virtual machine not found")),
        Err(error) => Err(error.into()),
    }
}
