//! `/proxmox/viewer`: which Proxmox APIs are described here. Nothing is generated at run time.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::generated::{json_response, openapi};
use crate::http::extract::{Query, flag};
use crate::http::{ApiError, AppState};
use crate::proxmox::description::{Catalog, LATEST};

const DISABLED: &str = "Runtime code generation is disabled.";
const BAD_TAG: &str = "version_tag must start with an ASCII letter or digit and contain only ASCII letters, digits, '.', \
                       '_', or '-' (maximum 64 characters).";

/// What is served here, in the order of the OpenAPI document.
pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(document))
        .routes(routes!(embedded))
        .routes(routes!(contracts))
        .routes(routes!(status))
        .routes(routes!(models))
        .routes(routes!(generate))
        .routes(routes!(refresh))
}

/// Which release.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct Tag {
    /// Such as `9.2`; the newest where it is absent.
    version_tag: Option<String>,
    /// Nothing is generated at run time: `true` is answered with 404.
    #[serde(default, deserialize_with = "flag")]
    regenerate: bool,
}

impl Tag {
    /// The tag.
    ///
    /// # Errors
    ///
    /// 422 where it can be none.
    fn checked(&self) -> Result<&str, ApiError> {
        let tag = self.version_tag.as_deref().unwrap_or(LATEST);
        let is_plain = |character: char| character.is_ascii_alphanumeric() || "._-".contains(character);
        let is_tag = (1..=64).contains(&tag.len())
            && tag.chars().all(is_plain)
            && tag.starts_with(|first: char| first.is_ascii_alphanumeric());
        if is_tag {
            Ok(tag)
        } else {
            Err(ApiError::plain(StatusCode::UNPROCESSABLE_ENTITY, BAD_TAG))
        }
    }

    /// The document under the tag.
    async fn document(&self, state: &AppState) -> Result<Option<Response>, ApiError> {
        let found = state.api.find_aside(self.checked()?).await;
        let found = found.map_err(|error| ApiError::internal(&error))?;
        Ok(found.map(|description| json_response(openapi(&description).into())))
    }
}

/// The OpenAPI document of the Proxmox API of one release, as it is served below `/proxmox/api2/{version_tag}`.
#[utoipa::path(
    get, path = "/proxmox/viewer/openapi", tag = "viewer", params(Tag),
    responses((status = 200, body = Value), (status = 404, description = "There is no such release here")),
)]
async fn document(State(state): State<AppState>, Query(tag): Query<Tag>) -> Result<Response, ApiError> {
    if tag.regenerate {
        return Err(ApiError::plain(StatusCode::NOT_FOUND, DISABLED));
    }
    let missing = || ApiError::plain(StatusCode::NOT_FOUND, "Bundled Proxmox OpenAPI schema not found.");
    tag.document(&state).await?.ok_or_else(missing)
}

/// The same document under another address.
#[utoipa::path(
    get, path = "/proxmox/viewer/openapi/embedded", tag = "viewer", params(Tag),
    responses((status = 200, body = Value), (status = 400, description = "There is no such release here")),
)]
async fn embedded(State(state): State<AppState>, Query(tag): Query<Tag>) -> Result<Response, ApiError> {
    let missing = || {
        let message = "Generated Proxmox OpenAPI schema not found.";
        let detail = "Descriptions come with the service, or are put into PROXBOX_GENERATED_DIR.";
        ApiError::message(StatusCode::BAD_REQUEST, message, detail)
    };
    tag.document(&state).await?.ok_or_else(missing)
}

/// What the service knows of the APIs on both sides.
#[utoipa::path(get, path = "/proxmox/viewer/integration/contracts", tag = "viewer", responses((status = 200, body = Value)))]
async fn contracts(State(state): State<AppState>) -> Result<Json<Value>, ApiError> {
    let latest = state.api.find_aside(LATEST).await;
    let latest = latest.map_err(|error| ApiError::internal(&error))?;
    Ok(Json(json!({
        "proxmox_generated_openapi_present": latest.is_some(),
        "proxmox_generated_path_count": latest.map_or(0, |description| description.places().count()),
        "netbox_schema_source": "none",
    })))
}

/// Which releases are described here, or whether one is.
#[utoipa::path(
    get, path = "/proxmox/viewer/schema-status", tag = "viewer", params(Tag),
    responses((status = 200, body = Value)),
)]
async fn status(State(state): State<AppState>, Query(tag): Query<Tag>) -> Result<Json<Value>, ApiError> {
    if tag.version_tag.is_none() {
        let tags = state.api.aside(Catalog::tags).await;
        let tags = tags.map_err(|error| ApiError::internal(&error))?;
        return Ok(Json(json!({"available_versions": tags, "generation_tasks": {}})));
    }
    let tag = tag.checked()?;
    let found = state.api.find_aside(tag).await;
    let found = found.map_err(|error| ApiError::internal(&error))?;
    Ok(Json(
        json!({"version_tag": tag, "schema_available": found.is_some(), "generation": null}),
    ))
}

/// There are no Python models here.
#[utoipa::path(get, path = "/proxmox/viewer/pydantic", tag = "viewer", responses((status = 404, description = "Always")))]
async fn models() -> ApiError {
    let text = "There are no generated Python models; see /proxmox/viewer/openapi.";
    ApiError::plain(StatusCode::NOT_FOUND, text)
}

/// Nothing is generated at run time.
#[utoipa::path(post, path = "/proxmox/viewer/generate", tag = "viewer", responses((status = 404, description = "Always")))]
async fn generate() -> ApiError {
    ApiError::plain(StatusCode::NOT_FOUND, DISABLED)
}

/// Nothing is generated at run time.
#[utoipa::path(post, path = "/proxmox/viewer/routes/refresh", tag = "viewer", responses((status = 404, description = "Always")))]
async fn refresh() -> ApiError {
    ApiError::plain(StatusCode::NOT_FOUND, DISABLED)
}
