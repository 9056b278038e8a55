//! Who may ask: the API key of a request, and what happens to those without.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use secrecy::SecretString;
use tracing::warn;

use super::{ApiError, AppState, source};
use crate::store::{Lockout, Store};

/// The header that carries the API key.
pub const KEY_HEADER: &str = "x-proxbox-api-key";

/// Paths that need no key. `/docs/` and what is below it are exempt too.
const EXEMPT: [&str; 6] = [
    "/",
    "/docs",
    "/openapi.json",
    "/health",
    "/auth/register-key",
    "/auth/bootstrap-status",
];

/// Whether `path` is served without an API key, and as often as it is asked for.
pub(super) fn is_exempt(path: &str) -> bool {
    EXEMPT.contains(&path) || path.starts_with("/docs/")
}

/// Lets requests through that present an active API key.
pub(super) async fn authenticate(
    State(state): State<AppState>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    if !is_exempt(request.uri().path()) {
        let source = source::of(&request, &state.config.access.trusted_proxies);
        check(&state.store, &source, presented(request.headers()).as_ref()).await?;
    }
    Ok(next.run(request).await)
}

fn presented(headers: &HeaderMap) -> Option<SecretString> {
    let key = headers.get(KEY_HEADER)?.to_str().unwrap_or_default().trim();
    (!key.is_empty()).then(|| SecretString::from(key.to_owned()))
}

/// The texts keep the words `API key`: the plugin checks its key anew when it reads them.
async fn check(store: &Store, source: &str, key: Option<&SecretString>) -> Result<(), ApiError> {
    if let Lockout::Locked { retry_after } = store.lockout(source, key).await? {
        let text = "Too many failed authentication attempts. Please try again later.";
        return Err(ApiError::plain(StatusCode::TOO_MANY_REQUESTS, text).retry_after(retry_after));
    }
    if let Some(key) = key
        && store.verify_key(key).await?.is_some()
    {
        return Ok(());
    }
    if store.bootstrap_status().await?.needs_bootstrap {
        return Err(unauthorized(
            "No API key configured. Register a key via POST /auth/register-key or use an existing key.",
        ));
    }
    let standing = store.record_failure(source, key).await?;
    warn!(source, is_missing = key.is_none(), "authentication failed");
    let what = if key.is_some() {
        "Invalid API key."
    } else {
        "API key required."
    };
    Err(match standing {
        Lockout::Open { remaining } if remaining > 0 => {
            unauthorized(&format!("{what} {remaining} attempts remaining."))
        }
        Lockout::Open { .. } | Lockout::Locked { .. } => unauthorized(what),
    })
}

fn unauthorized(text: &str) -> ApiError {
    ApiError::plain(StatusCode::UNAUTHORIZED, text)
}
