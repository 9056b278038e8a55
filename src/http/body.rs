//! Request bodies: small ones are read before anybody answers.

use std::time::Duration;

use axum::body::{Body, HttpBody as _, to_bytes};
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::Response;

use super::ApiError;

/// How long a body may be to be read at once, in bytes; longer ones are read by those who need them.
const SMALL: usize = 64 * 1024;
/// How long a small body may take to arrive.
const PATIENCE: Duration = Duration::from_secs(10);

/// Reads a small body whole. Where an answer comes before the body has, the connection is closed behind it, and the next
/// request that the client sends on it is lost; refusals and routes that need no body would answer so.
pub(super) async fn take_small(request: Request, next: Next) -> Result<Response, ApiError> {
    let length = request.body().size_hint().exact();
    let is_small = length.is_some_and(|length| length > 0 && length <= SMALL as u64);
    if !is_small {
        return Ok(next.run(request).await);
    }
    let (head, body) = request.into_parts();
    let bytes = match tokio::time::timeout(PATIENCE, to_bytes(body, SMALL)).await {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(error)) => {
            return Err(ApiError::plain(StatusCode::BAD_REQUEST, "The body ended early.").because(&error));
        }
        Err(_) => return Err(ApiError::plain(StatusCode::REQUEST_TIMEOUT, "The body did not arrive.")),
    };
    Ok(next.run(Request::from_parts(head, Body::from(bytes))).await)
}
