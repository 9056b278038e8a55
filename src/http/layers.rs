//! What happens to every request on its way in, and to every answer on its way out.

use std::any::Any;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tracing::{error, warn};

use super::error::Cause;
use super::{ApiError, AppState};

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
