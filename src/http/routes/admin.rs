//! `/admin`: how secrets are kept.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::{ApiError, AppState};

/// The version of the attestation that the plugin understands.
const ATTESTATION: u8 = 1;

/// What is served here, in the order of the OpenAPI document.
pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(encryption_status))
}

/// How secrets are kept. The plugin changes its own key only when `encrypted_credentials_verified` is true.
#[derive(Debug, Serialize, ToSchema)]
struct Encryption {
    /// Whether there is a key.
    configured: bool,
    /// Where it comes from: `env` or `local`.
    source: Option<&'static str>,
    /// Always 1.
    attestation_version: u8,
    /// The same as `source`.
    active_key_source: Option<&'static str>,
    /// Whether every stored secret is sealed and opens.
    encrypted_credentials_verified: bool,
}

/// How secrets are kept, found out by opening every one.
#[utoipa::path(get, path = "/admin/encryption/status", tag = "admin", responses((status = 200, body = Encryption)))]
async fn encryption_status(State(state): State<AppState>) -> Result<Json<Encryption>, ApiError> {
    let status = state.store.encryption_status().await?;
    Ok(Json(Encryption {
        configured: status.configured,
        source: status.source,
        attestation_version: ATTESTATION,
        active_key_source: status.source,
        encrypted_credentials_verified: status.verified,
    }))
}
