//! The routes, one file per first path segment. Each file's `routes()` lists its handlers.

pub(super) mod docs;
mod root;

use utoipa_axum::router::OpenApiRouter;

use super::{AppState, openapi};

/// Every route of the OpenAPI document.
pub(super) fn all() -> OpenApiRouter<AppState> {
    OpenApiRouter::with_openapi(openapi::base()).merge(root::routes())
}
