//! `/openapi.json`, and `/docs`: an API browser whose files are part of the binary.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use utoipa_swagger_ui::Config;

use crate::http::extract::Path;
use crate::http::{ApiError, AppState};

/// What `openapi print` prints. To make it anew in each process would cost time at the start, and memory for good.
const DOCUMENT: &str = include_str!("../../../openapi/proxbox-api.json");

/// The routes that serve the document and show it.
pub(in crate::http) fn routes() -> Router<AppState> {
    let documents = [
        "/openapi.json",
        "/proxmox/api2/9.2/openapi.json",
        "/proxmox/api2/9.1/openapi.json",
        "/proxmox/api2/8.3/openapi.json",
    ];
    let config = Arc::new(Config::new(documents));
    let browse = move |path: &str| file(path, Arc::clone(&config));
    let other = browse.clone();
    Router::new()
        .route("/openapi.json", get(|| async { json() }))
        .route("/docs", get(|| async { Redirect::permanent("/docs/") }))
        .route("/docs/", get(move || async move { browse("") }))
        .route(
            "/docs/{*path}",
            get(move |Path(path): Path<String>| async move { other(&path) }),
        )
}

fn json() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT).into_response()
}

fn file(path: &str, config: Arc<Config<'static>>) -> Response {
    match utoipa_swagger_ui::serve(path, config) {
        Ok(Some(file)) => (
            [(header::CONTENT_TYPE, file.content_type)],
            Body::from(file.bytes.into_owned()),
        )
            .into_response(),
        Ok(None) => ApiError::plain(StatusCode::NOT_FOUND, "Not Found").into_response(),
        Err(error) => {
            tracing::error!(%error, path, "documentation page cannot be made");
            ApiError::plain(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error").into_response()
        }
    }
}
