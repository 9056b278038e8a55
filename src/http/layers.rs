//! What happens to every request on its way in, and to every answer on its way out.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::time::Instant;
use tracing::{Instrument, debug, error, info, info_span, warn};
use uuid::Uuid;

use super::error::Cause;
use super::rate_limit::{RateLimiter, SPAN};
use super::{ApiError, AppState, auth, source};

/// The header by which a request is found in the log.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const REQUEST_ID_LENGTH: usize = 64;
/// The header by which the mock mode is told.
const MODE: HeaderName = HeaderName::from_static("x-proxbox-mode");

/// What browsers may do with our answers, documentation pages aside.
const SECURITY: [(HeaderName, &str); 7] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::X_XSS_PROTECTION, "1; mode=block"),
    (header::REFERRER_POLICY, "strict-origin-when-cross-origin"),
    (
        HeaderName::from_static("permissions-policy"),
        "geolocation=(), microphone=(), camera=()",
    ),
    (header::STRICT_TRANSPORT_SECURITY, "max-age=31536000; includeSubDomains"),
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'self'; frame-ancestors 'none'",
    ),
];
/// The documentation pages set styles and show pictures of their own.
const DOCS_POLICY: &str = "default-src 'self'; frame-ancestors 'none'; script-src 'self' 'unsafe-inline'; style-src \
                           'self' 'unsafe-inline'; img-src 'self' data:";

/// Gives the request an id and a span, and its answer the headers that every answer has.
pub(super) async fn frame(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let id = request_id(request.headers());
    let path = request.uri().path().to_owned();
    let span = info_span!("request", request.id = %id, method = %request.method(), path);
    let since = Instant::now();
    let mut response = async {
        let response = next.run(request).await;
        log_answer(&path, response.status(), since.elapsed());
        response
    }
    .instrument(span)
    .await;
    let headers = response.headers_mut();
    for (name, value) in SECURITY {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if path.starts_with("/docs") {
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(DOCS_POLICY));
    }
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID, id);
    }
    if state.config.mock.is_on {
        headers.insert(MODE, HeaderValue::from_static("mock"));
    }
    response
}

/// The client's own id, where it can stand in a log, else a new one.
fn request_id(headers: &HeaderMap) -> String {
    let given = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok());
    let is_plain = |id: &&str| {
        let letters = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
        !id.is_empty() && id.len() <= REQUEST_ID_LENGTH && id.chars().all(letters)
    };
    given
        .filter(is_plain)
        .map_or_else(|| Uuid::new_v4().to_string(), str::to_owned)
}

fn log_answer(path: &str, status: StatusCode, elapsed: Duration) {
    let elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
    if path == "/health" {
        log_probe(status, elapsed_ms);
    } else {
        info!(status = status.as_u16(), elapsed_ms, "request answered");
    }
}

/// Probes come every few seconds and say nothing new.
fn log_probe(status: StatusCode, elapsed_ms: u64) {
    debug!(status = status.as_u16(), elapsed_ms, "probe answered");
}

/// Logs why a request failed, once, and shows the cause to the client where the setting says so.
pub(super) async fn report(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let Some(Cause(cause)) = response.extensions().get::<Cause>().cloned() else {
        return response;
    };
    if response.status() != StatusCode::INTERNAL_SERVER_ERROR {
        log_refusal(response.status(), &cause);
        return response;
    }
    log_fault(&cause);
    match state.settings.effective().expose_internal_errors {
        Some(true) => ApiError::broken(Some(&cause)).into_response(),
        Some(false) | None => response,
    }
}

fn log_refusal(status: StatusCode, cause: &str) {
    warn!(status = status.as_u16(), %cause, "request refused");
}

fn log_fault(cause: &str) {
    error!(%cause, "request failed");
}

/// The answer to a request whose handler panicked. The panic itself is logged by the panic hook.
pub(super) fn panicked(_: Box<dyn Any + Send + 'static>) -> Response {
    ApiError::broken(None).into_response()
}

/// What limits requests.
#[derive(Debug, Clone)]
pub(super) struct Limited {
    state: AppState,
    limiter: Arc<RateLimiter>,
}

impl Limited {
    /// As the environment says.
    pub(super) fn new(state: AppState) -> Self {
        let limiter = Arc::new(RateLimiter::new(state.config.access.rate_limit));
        Self { state, limiter }
    }
}

/// Refuses HEAD, for which a router takes a GET: a GET may be a whole run here.
pub(super) async fn refuse_head(request: Request, next: Next) -> Response {
    if request.method() != Method::HEAD {
        return next.run(request).await;
    }
    let refusal = ApiError::plain(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
    ([(header::ALLOW, "GET")], refusal).into_response()
}

/// Refuses sources that ask too often.
pub(super) async fn limit(State(limited): State<Limited>, request: Request, next: Next) -> Result<Response, ApiError> {
    if !auth::is_exempt(request.uri().path()) {
        let source = source::of(&request, &limited.state.config.access.trusted_proxies);
        if !limited.limiter.admits(source) {
            let text = "Rate limit exceeded. Please try again later.";
            return Err(ApiError::plain(StatusCode::TOO_MANY_REQUESTS, text).retry_after(SPAN));
        }
    }
    Ok(next.run(request).await)
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::{Body, to_bytes};
    use axum::routing::get;
    use serde_json::{Value, json};
    use tower::ServiceExt;
    use tower_http::catch_panic::CatchPanicLayer;

    use super::*;

    async fn broken() {
        panic!("a secret cause");
    }

    #[tokio::test]
    async fn panic_is_answered_without_its_cause() {
        let router = Router::new()
            .route("/", get(broken))
            .layer(CatchPanicLayer::custom(panicked));
        let response = router.oneshot(Request::new(Body::empty())).await.unwrap();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let body = to_bytes(response.into_body(), 1024).await.unwrap();
        let expected = json!({
            "message": "Internal server error", "detail": "An unexpected error occurred.", "python_exception": null,
        });
        assert_eq!(serde_json::from_slice::<Value>(&body).unwrap(), expected);
    }

    #[test]
    fn request_id_is_taken_over_only_where_it_can_stand_in_a_log() {
        let id = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(REQUEST_ID, HeaderValue::from_str(value).unwrap());
            request_id(&headers)
        };
        assert_eq!(id("job-7_1.2"), "job-7_1.2");
        for strange in ["", "a b", "x=\"1\"", &"x".repeat(65)] {
            assert_ne!(id(strange), strange);
        }
    }
}
