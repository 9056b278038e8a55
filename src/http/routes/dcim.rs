//! `/dcim/*`: what is no stage.

use axum::Json;
use serde_json::{Value, json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::AppState;

/// What is served here, in the order of the OpenAPI document.
pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(devices))
}

/// Nothing but a word: devices are made by `/dcim/devices/create`.
#[utoipa::path(get, path = "/dcim/devices", tag = "dcim", responses((status = 200, body = Value)))]
async fn devices() -> Json<Value> {
    Json(json!({"message": "Devices created"}))
}
