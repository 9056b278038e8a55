//! `/openapi.json`, and `/docs`: an API browser whose files are part of the binary.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use utoipa_swagger_ui::Config;

use crate::http::extract::Path;
use crate::http::{ApiError, AppState};

/// The routes that serve `document`.
pub(in crate::http) fn routes(document: Bytes) -> Router<AppState> {
    let config = Arc::new(Config::from("/openapi.json"));
    let browse = move |path: &str| file(path, Arc::clone(&config));
    let other = browse.clone();
    Router::new()
        .route("/openapi.json", get(move || async { json(document) }))
        .route("/docs", get(|| async { Redirect::permanent("/docs/") }))
        .route("/docs/", get(move || async move { browse("") }))
        .route(
            "/docs/{*path}",
            get(move |Path(path): Path<String>| async move { other(&path) }),
        )
}

fn json(document: Bytes) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], document).into_response()
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
