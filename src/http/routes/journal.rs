//! `/admin/write-journal`: what was changed on Proxmox through this service.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::extract::Query;
use crate::http::{ApiError, AppState};

/// How many changes are answered at most.
const LONGEST: u32 = 1_000;

/// What is served here, in the order of the OpenAPI document.
pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(write_journal))
}

/// Which part of the journal.
#[derive(Debug, Clone, Copy, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct Part {
    /// How many of the latest changes are left out.
    #[serde(default)]
    offset: u32,
    /// How many are answered, up to 1000.
    #[serde(default = "usual")]
    limit: u32,
}

const fn usual() -> u32 {
    100
}

/// The changes that were sent to Proxmox endpoints, newest first: who, when, what, and what came of it.
#[utoipa::path(
    get, path = "/admin/write-journal", tag = "admin", params(Part),
    responses((status = 200, body = Value)),
)]
async fn write_journal(State(state): State<AppState>, Query(part): Query<Part>) -> Result<Json<Value>, ApiError> {
    let entries = state.store.list_writes(part.offset, part.limit.min(LONGEST)).await?;
    Ok(Json(json!({"entries": entries})))
}
