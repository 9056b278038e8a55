//! `/sync/*`: runs in progress.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::error::ApiError;
use crate::http::extract::Path;
use crate::http::{AppState, ErrorBody};

/// What is served here, in the order of the OpenAPI document.
pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(active)).routes(routes!(cancel))
}

/// The runs in progress; the members above `runs` are those of the oldest one.
#[derive(Debug, Serialize, ToSchema)]
struct ActiveRuns {
    active: bool,
    started_at: Option<String>,
    id: Option<String>,
    kind: Option<&'static str>,
    runs: Vec<Run>,
}

/// A run in progress.
#[derive(Debug, Serialize, ToSchema)]
struct Run {
    id: String,
    /// Its stage.
    kind: &'static str,
    started_at: String,
    /// The endpoints it works for, such as `database:1`.
    endpoints: Vec<String>,
}

/// The runs in progress, oldest first.
#[utoipa::path(get, path = "/sync/active", tag = "stages", responses((status = 200, body = ActiveRuns)))]
async fn active(State(state): State<AppState>) -> Json<ActiveRuns> {
    let runs: Vec<Run> = state
        .runs
        .active()
        .into_iter()
        .map(|run| Run {
            id: run.id,
            kind: run.kind,
            started_at: run.started_at,
            endpoints: run.endpoints.iter().map(ToString::to_string).collect(),
        })
        .collect();
    let oldest = runs.first();
    Json(ActiveRuns {
        active: oldest.is_some(),
        started_at: oldest.map(|run| run.started_at.clone()),
        id: oldest.map(|run| run.id.clone()),
        kind: oldest.map(|run| run.kind),
        runs,
    })
}

/// Asks a run to stop at its next safe point.
#[utoipa::path(
    delete, path = "/sync/active/{run_id}", tag = "stages", params(("run_id" = String, Path)),
    responses((status = 202, description = "It has been asked"), (status = 404, body = ErrorBody)),
)]
async fn cancel(State(state): State<AppState>, Path(id): Path<String>) -> Result<StatusCode, ApiError> {
    if state.runs.cancel(&id) {
        Ok(StatusCode::ACCEPTED)
    } else {
        Err(ApiError::plain(StatusCode::NOT_FOUND, "No such run is in progress"))
    }
}
