//! The surface: routes, authentication, errors, event streams.
//!
//! A handler takes [`AppState`] and the extractors of [`extract`], and answers with [`ApiError`] where it fails. Its
//! `#[utoipa::path]` puts it into the OpenAPI document; `routes!` in its file's `routes()` puts it into the router.

mod answers;
pub mod auth;
mod body;
mod connect;
mod cors;
mod counted;
pub mod error;
pub mod extract;
mod hosts;
mod jobs;
mod layers;
mod netbox_probe;
mod openapi;
mod page;
mod patch;
mod proxmox_probe;
mod rate_limit;
mod routes;
mod scope;
pub mod settings;
mod single;
mod sisters;
mod source;
mod sse;
mod state;
mod targets;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::middleware::{from_fn, from_fn_with_state};
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::openapi::OpenApi;

pub use connect::Substitute;
pub use error::ApiError;
pub use openapi::ErrorBody;
pub use routes::stages::stage_stream;
pub use sisters::Sisters;
pub use state::AppState;

/// How large a request body may be.
const BODY_LIMIT: usize = 1024 * 1024;

/// What describes every route of [`router`] but those of Proxmox itself, which have a document of their own per release.
pub fn openapi_document() -> OpenApi {
    let mut document = routes::all().split_for_parts().1;
    document
        .paths
        .paths
        .extend(routes::documented().flat_map(|paths| paths.paths));
    openapi::share_parameters(&mut document);
    document
}

/// Everything that the service answers. The last layer is the first that a request meets.
pub fn router(state: AppState) -> Router {
    let (routes, _) = routes::all().split_for_parts();
    routes
        .layer(from_fn(layers::refuse_head))
        .merge(routes::docs::routes())
        .fallback(|| async { ApiError::plain(StatusCode::NOT_FOUND, "Not Found") })
        .method_not_allowed_fallback(|| async { ApiError::plain(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed") })
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(from_fn_with_state(state.clone(), auth::authenticate))
        .layer(from_fn_with_state(layers::Limited::new(state.clone()), layers::limit))
        .layer(cors::layer(state.clone()))
        .layer(from_fn(body::take_small))
        .layer(CatchPanicLayer::custom(layers::panicked))
        .layer(from_fn_with_state(state.clone(), layers::report))
        .layer(from_fn_with_state(state.clone(), layers::frame))
        .with_state(state)
}
