//! `/`, `/health`, `/version`: who answers here, and whether it can work.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::AppState;

/// What is served here, in the order of the OpenAPI document.
pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(root))
        .routes(routes!(health))
        .routes(routes!(version))
}

/// Who answers here. The plugin finds a backend by the beginning of `message`.
#[utoipa::path(get, path = "/", tag = "service", security(), responses((status = 200, body = Value)))]
async fn root() -> Json<Value> {
    Json(json!({
        "message": "Proxbox Backend, serving NetBox and Proxmox VE",
        "proxbox": {
            "github": "https://github.com/netdevopsbr/netbox-proxbox",
            "docs": "https://docs.netbox.dev.br",
        },
        "version": env!("CARGO_PKG_VERSION"),
        "capabilities": {"ws_run_id": 1},
    }))
}

/// Whether the service can work.
#[derive(Debug, Serialize, ToSchema)]
struct Health {
    /// `ready` or `unready`.
    status: &'static str,
    /// Whether the start is complete.
    init_ok: bool,
    /// What keeps the service from working, or from working well.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    /// `mock` where a built-in Proxmox stands for real ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<&'static str>,
}

const DENIED: &str = "NetBox denied plugin settings access; grant view_proxboxpluginsettings to the proxbox-api service \
                      account.";

/// Whether requests can be served. NetBox or Proxmox being away does not make the service unready: the stages tell that.
#[utoipa::path(
    get, path = "/health", tag = "service", security(),
    responses((status = 200, body = Health), (status = 503, description = "The database does not answer", body = Health)),
)]
async fn health(State(state): State<AppState>) -> Response {
    let mode = state.config.mock.is_on.then_some("mock");
    if let Err(error) = state.store.ping().await {
        tracing::error!(%error, "database does not answer");
        let unready = Health {
            status: "unready",
            init_ok: false,
            reason: Some("The database does not answer."),
            mode,
        };
        return (StatusCode::SERVICE_UNAVAILABLE, Json(unready)).into_response();
    }
    let reason = state.settings.is_denied().then_some(DENIED);
    Json(Health {
        status: "ready",
        init_ok: true,
        reason,
        mode,
    })
    .into_response()
}

/// The version, and what this backend can do that others cannot.
#[utoipa::path(get, path = "/version", tag = "service", responses((status = 200, body = Value)))]
async fn version() -> Json<Value> {
    Json(json!({"version": env!("CARGO_PKG_VERSION"), "capabilities": {"ws_run_id": 1}}))
}
