//! Which browser pages may ask: those of the NetBox endpoint, and those that the environment lists.

use std::time::Duration;

use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Method, header};
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::AppState;
use super::auth::KEY_HEADER;
use crate::store::NetBoxSettings;

/// How long browsers may remember the answer to a preflight.
const REMEMBERED: Duration = Duration::from_mins(10);
/// Development servers on the same host.
const LOCAL: [&str; 7] = [
    "https://127.0.0.1:443",
    "http://127.0.0.1:80",
    "http://127.0.0.1:8000",
    "http://localhost:3000",
    "http://127.0.0.1:3000",
    "http://localhost:3001",
    "http://127.0.0.1:3001",
];

/// Answers preflights and marks answers for the origins that may read them.
pub(super) fn layer(state: AppState) -> CorsLayer {
    let is_allowed = move |origin: HeaderValue, _: &Parts| {
        let state = state.clone();
        async move { is_allowed(&state, &origin).await }
    };
    CorsLayer::new()
        .allow_origin(AllowOrigin::async_predicate(is_allowed))
        .allow_methods([
            Method::GET,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
            Method::OPTIONS,
        ])
        .allow_headers([
            header::ACCEPT,
            header::ACCEPT_LANGUAGE,
            header::CONTENT_LANGUAGE,
            header::CONTENT_TYPE,
            HeaderName::from_static(KEY_HEADER),
            HeaderName::from_static("x-proxbox-actor"),
            HeaderName::from_static("x-requested-with"),
        ])
        .max_age(REMEMBERED)
}

async fn is_allowed(state: &AppState, origin: &HeaderValue) -> bool {
    let Ok(origin) = origin.to_str() else { return false };
    if LOCAL.contains(&origin) || state.config.access.cors_origins.iter().any(|listed| listed == origin) {
        return true;
    }
    match state.store.list_netbox_endpoints().await {
        Ok(rows) => rows
            .iter()
            .any(|row| origins(&row.settings).contains(&origin.to_owned())),
        Err(error) => {
            tracing::warn!(%error, "NetBox endpoints cannot be read; origin refused");
            false
        }
    }
}

/// The origins of a NetBox: its own port is not known to be the one that browsers use.
fn origins(settings: &NetBoxSettings) -> Vec<String> {
    if settings.domain.is_empty() {
        return Vec::new();
    }
    let scheme = if settings.port == 443 || settings.verify_ssl {
        "https"
    } else {
        "http"
    };
    let ports = ["", ":80", ":443", ":8000"].map(str::to_owned);
    let ports = ports.into_iter().chain([format!(":{}", settings.port)]);
    ports
        .map(|port| format!("{scheme}://{}{port}", settings.domain))
        .collect()
}
