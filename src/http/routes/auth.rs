//! `/auth`: the first key, and the life of all others.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::extract::{self, Path};
use crate::http::{ApiError, AppState, ErrorBody};
use crate::store::{self, ApiKey, ApiKeyId};

/// What is served here, in the order of the OpenAPI document.
pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(bootstrap_status))
        .routes(routes!(register_key))
        .routes(routes!(list_keys, create_key))
        .routes(routes!(delete_key))
        .routes(routes!(deactivate_key))
        .routes(routes!(activate_key))
}

/// Whether the first key is still to be registered.
#[utoipa::path(
    get, path = "/auth/bootstrap-status", tag = "auth", security(),
    responses((status = 200, description = "`needs_bootstrap` and `has_db_keys`, always opposite", body = Value)),
)]
async fn bootstrap_status(State(state): State<AppState>) -> Result<Json<store::BootstrapStatus>, ApiError> {
    Ok(Json(state.store.bootstrap_status().await?))
}

/// The first key, chosen by the caller.
#[derive(Debug, Deserialize, ToSchema)]
struct FirstKey {
    /// The key: 32 to 72 printable characters.
    #[schema(value_type = String)]
    api_key: SecretString,
    /// What it is for.
    #[serde(default)]
    label: String,
}

/// Registers the first key. This works once in the life of a database.
#[utoipa::path(
    post, path = "/auth/register-key", tag = "auth", security(), request_body = FirstKey,
    responses(
        (status = 201, description = "Registered", body = Value),
        (status = 400, description = "The key is too short or too long", body = ErrorBody),
        (status = 409, description = "A key was registered before", body = ErrorBody),
    ),
)]
async fn register_key(
    State(state): State<AppState>,
    extract::Json(first): extract::Json<FirstKey>,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    state.store.register_first_key(&first.api_key, &first.label).await?;
    tracing::info!(label = first.label, "first API key registered");
    Ok((StatusCode::CREATED, Json(json!({"detail": "API key registered."}))))
}

/// Every key, newest first, without the keys themselves.
#[utoipa::path(
    get, path = "/auth/keys", tag = "auth",
    responses((status = 200, description = "`keys`, each with `id`, `label`, `is_active`, `created_at`", body = Value)),
)]
async fn list_keys(State(state): State<AppState>) -> Result<Json<Value>, ApiError> {
    Ok(Json(json!({"keys": state.store.list_keys().await?})))
}

/// A key that was just made.
#[derive(Serialize)]
struct NewKey {
    #[serde(flatten)]
    key: ApiKey,
    raw_key: String,
}

/// Makes a key. `raw_key` is told this once.
#[utoipa::path(
    post, path = "/auth/keys", tag = "auth",
    responses(
        (status = 201, description = "The key record with `raw_key`", body = Value),
        (status = 409, description = "Too many keys are active", body = ErrorBody),
    ),
)]
async fn create_key(State(state): State<AppState>) -> Result<(StatusCode, Json<NewKey>), ApiError> {
    let (key, raw) = state.store.create_key("").await?;
    let raw_key = raw.expose_secret().to_owned();
    Ok((StatusCode::CREATED, Json(NewKey { key, raw_key })))
}

/// Deletes a key; the last active one cannot go.
#[utoipa::path(
    delete, path = "/auth/keys/{key_id}", tag = "auth", params(("key_id" = i64, Path)),
    responses(
        (status = 204, description = "Deleted"),
        (status = 404, description = "No such key", body = ErrorBody),
        (status = 409, description = "It is the last active key", body = ErrorBody),
    ),
)]
async fn delete_key(State(state): State<AppState>, Path(id): Path<i64>) -> Result<StatusCode, ApiError> {
    state.store.delete_key(ApiKeyId(id)).await.map_err(answer)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Stops accepting a key; the last active one must stay.
#[utoipa::path(
    post, path = "/auth/keys/{key_id}/deactivate", tag = "auth", params(("key_id" = i64, Path)),
    responses(
        (status = 200, description = "The key record", body = Value),
        (status = 404, description = "No such key", body = ErrorBody),
        (status = 409, description = "It is the last active key", body = ErrorBody),
    ),
)]
async fn deactivate_key(State(state): State<AppState>, Path(id): Path<i64>) -> Result<Json<ApiKey>, ApiError> {
    set_active(&state, id, false).await
}

/// Accepts a key again.
#[utoipa::path(
    post, path = "/auth/keys/{key_id}/activate", tag = "auth", params(("key_id" = i64, Path)),
    responses(
        (status = 200, description = "The key record", body = Value),
        (status = 404, description = "No such key", body = ErrorBody),
        (status = 409, description = "Too many keys are active", body = ErrorBody),
    ),
)]
async fn activate_key(State(state): State<AppState>, Path(id): Path<i64>) -> Result<Json<ApiKey>, ApiError> {
    set_active(&state, id, true).await
}

async fn set_active(state: &AppState, id: i64, is_active: bool) -> Result<Json<ApiKey>, ApiError> {
    let key = state.store.set_key_active(ApiKeyId(id), is_active).await;
    Ok(Json(key.map_err(answer)?))
}

fn answer(error: store::Error) -> ApiError {
    if matches!(error, store::Error::NotFound { .. }) {
        ApiError::plain(StatusCode::NOT_FOUND, "API key not found.")
    } else {
        error.into()
    }
}
