//! `/extras/*`: the supporting objects that every stage needs in NetBox.

use axum::Json;
use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::AppState;
use crate::http::error::ApiError;
use crate::sync::BootstrapStatus;

/// What is served here, in the order of the OpenAPI document.
pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(status)).routes(routes!(reconcile))
}

/// What the latest pass over tags, roles and types did.
#[utoipa::path(get, path = "/extras/bootstrap-status", tag = "extras", responses((status = 200, body = Object)))]
async fn status(State(state): State<AppState>) -> Result<Json<BootstrapStatus>, ApiError> {
    latest(&state).await.map(Json)
}

/// Has the next stage look at tags, roles and types again, whatever it remembers, and answers what the latest pass did.
#[utoipa::path(
    post, path = "/extras/custom-fields/reconcile", tag = "extras",
    responses((status = 200, body = Object)),
)]
async fn reconcile(State(state): State<AppState>) -> Result<Json<BootstrapStatus>, ApiError> {
    state.runs.memo.forget();
    latest(&state).await.map(Json)
}

async fn latest(state: &AppState) -> Result<BootstrapStatus, ApiError> {
    if let Some(status) = state.runs.memo.latest() {
        return Ok(status);
    }
    let rows = state.store.list_netbox_endpoints().await?;
    let is_configured = rows.iter().any(|row| row.settings.enabled);
    Ok(BootstrapStatus::not_run(if is_configured {
        "bootstrap_not_run"
    } else {
        "no_netbox_session"
    }))
}
