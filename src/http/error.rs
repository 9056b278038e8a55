//! The only place where an error becomes a status and a body.
//!
//! Clients know three shapes: `{"detail": …}`, `{"message", "detail", "python_exception"}`, and for refused writes a bare
//! object with a `reason`. Causes go to the log, once, and to the client only where the setting says so.

use std::error::Error as StdError;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use crate::endpoint::EndpointKey;
use crate::error::ErrorKind;
use crate::{netbox, proxmox, store, sync};

/// What a client is told where something of ours broke.
const BROKEN: &str = "Internal server error";
const UNEXPECTED: &str = "An unexpected error occurred.";

/// An error on its way to the client.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    // Boxed: it is the bulk of every `Result` of a handler.
    body: Box<Body>,
    retry_after: Option<Duration>,
    cause: Option<String>,
}

#[derive(Debug)]
enum Body {
    /// `{"detail": …}`
    Plain(Value),
    /// `{"message": …, "detail": …, "python_exception": null}`
    Message { message: String, detail: Value },
    /// As it is.
    Bare(Value),
}

/// Why a request failed, for the log; it travels with the response to the layer that writes the log.
#[derive(Debug, Clone)]
pub(super) struct Cause(pub(super) Arc<str>);

impl ApiError {
    /// `{"detail": …}`: what the client asked for cannot be done, for a reason that needs no machine-readable part.
    pub fn plain(status: StatusCode, detail: impl Into<Value>) -> Self {
        Self::new(status, Body::Plain(detail.into()))
    }

    /// `{"message": …, "detail": …, "python_exception": null}`.
    pub fn message(status: StatusCode, message: impl Into<String>, detail: impl Into<Value>) -> Self {
        Self::new(
            status,
            Body::Message {
                message: message.into(),
                detail: detail.into(),
            },
        )
    }

    /// `body` as it is: refused writes have `reason` and `detail` at the top.
    pub fn bare(status: StatusCode, body: Value) -> Self {
        Self::new(status, Body::Bare(body))
    }

    /// 422 about one part of the request, such as `["query", "limit"]`. `problem` must not repeat the value.
    pub fn invalid(location: &[&str], problem: &str) -> Self {
        let detail = json!([{"type": "request_validation_error", "loc": location, "msg": problem}]);
        Self::plain(StatusCode::UNPROCESSABLE_ENTITY, detail)
    }

    /// 500 without a cause; `cause` goes to the log.
    pub fn internal(cause: &(dyn StdError + 'static)) -> Self {
        Self::broken(None).because(cause)
    }

    /// 500 that shows `cause`, or does not where there is none to show.
    pub(super) fn broken(cause: Option<&str>) -> Self {
        let body = json!({"message": BROKEN, "detail": cause.unwrap_or(UNEXPECTED), "python_exception": cause});
        Self::bare(StatusCode::INTERNAL_SERVER_ERROR, body)
    }

    /// A failure of `kind` on the other side, in words of our own. What is missing there is no route of ours.
    pub(super) fn upstream(kind: ErrorKind, message: &str, detail: impl Into<Value>) -> Self {
        let status = match upstream(kind) {
            StatusCode::NOT_FOUND => StatusCode::BAD_GATEWAY,
            status => status,
        };
        Self::message(status, message, detail)
    }

    /// The same with a body of its own.
    pub(super) fn failed(kind: ErrorKind, body: Value) -> Self {
        Self::bare(upstream(kind), body)
    }

    /// A refusal of Proxmox to a request that was passed on for `operation`.
    pub(super) fn relayed(error: &proxmox::Error, message: String, operation: &str) -> Self {
        let mut detail = proxmox_detail(error);
        detail.insert("operation_id".to_owned(), operation.into());
        Self::message(relayed(error), message, detail).because(error)
    }

    /// Says in the detail which endpoint it is about.
    #[must_use]
    pub(super) fn about(mut self, endpoint: EndpointKey, name: &str) -> Self {
        if let Body::Message {
            detail: Value::Object(detail),
            ..
        } = &mut *self.body
        {
            detail.insert("endpoint_id".to_owned(), json!(endpoint.id));
            detail.insert("endpoint".to_owned(), json!(name));
        }
        self
    }

    /// The same as `{"detail": {"reason", "message"}}` under `status`, for routes whose callers read the reason; what
    /// tells a reason already stays as it is.
    #[must_use]
    pub(super) fn reasoned(self, status: StatusCode, reason: &str) -> Self {
        let Body::Message {
            message,
            detail: Value::String(hint),
        } = &*self.body
        else {
            return self;
        };
        let detail = json!({"reason": reason, "message": format!("{message}. {hint}")});
        Self {
            cause: self.cause,
            ..Self::plain(status, detail)
        }
    }

    /// Keeps `cause`, and what caused it, for the log.
    #[must_use]
    pub fn because(mut self, cause: &(dyn StdError + 'static)) -> Self {
        self.cause = Some(chain(cause));
        self
    }

    /// Tells the client when to come back.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    fn new(status: StatusCode, body: Body) -> Self {
        Self {
            status,
            body: Box::new(body),
            retry_after: None,
            cause: None,
        }
    }
}

/// `error` and its sources, in one line.
fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        // Writing to a String cannot fail.
        let _ = write!(text, ": {source}");
        next = source.source();
    }
    text
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = match *self.body {
            Body::Plain(detail) => json!({"detail": detail}),
            Body::Message { message, detail } => {
                json!({"message": message, "detail": detail, "python_exception": null})
            }
            Body::Bare(body) => body,
        };
        let mut response = (self.status, Json(body)).into_response();
        if let Some(wait) = self.retry_after {
            let seconds = wait.as_secs().max(1);
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(cause) = self.cause {
            response.extensions_mut().insert(Cause(cause.into()));
        }
        response
    }
}

/// The status of a failure on the other side. Its 401 and 403 are never ours: the plugin would doubt its own key.
const fn upstream(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::Validation => StatusCode::BAD_REQUEST,
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::Timeout => StatusCode::GATEWAY_TIMEOUT,
        ErrorKind::RateLimit => StatusCode::SERVICE_UNAVAILABLE,
        ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        ErrorKind::Connection | ErrorKind::Authentication | ErrorKind::Permission | ErrorKind::Unknown => {
            StatusCode::BAD_GATEWAY
        }
    }
}

/// The status of a refusal of Proxmox where the client knows Proxmox's own words.
const fn relayed(error: &proxmox::Error) -> StatusCode {
    use proxmox::Error;
    if matches!(
        error,
        Error::Conflict { .. } | Error::Busy { .. } | Error::GuestUnavailable { .. }
    ) {
        return StatusCode::CONFLICT;
    }
    upstream(error.kind())
}

fn proxmox_detail(error: &proxmox::Error) -> Map<String, Value> {
    let mut detail = Map::new();
    detail.insert("reason".to_owned(), error.reason().into());
    detail.insert("error".to_owned(), error.to_string().into());
    if let Some(status) = error.upstream_status() {
        detail.insert("upstream_status".to_owned(), status.into());
    }
    detail
}

impl From<proxmox::Error> for ApiError {
    fn from(error: proxmox::Error) -> Self {
        let detail = proxmox_detail(&error);
        Self::message(upstream(error.kind()), "Proxmox could not serve the request", detail).because(&error)
    }
}

impl From<netbox::Error> for ApiError {
    fn from(error: netbox::Error) -> Self {
        let detail = json!({"reason": error.reason(), "error": error.to_string()});
        // What is missing is not what was asked for.
        let is_of_netbox = matches!(error, netbox::Error::NoRoute { .. });
        let status = if is_of_netbox {
            StatusCode::BAD_GATEWAY
        } else {
            upstream(error.kind())
        };
        let answer = Self::message(status, "NetBox could not serve the request", detail);
        answer.because(&error)
    }
}

impl From<sync::Error> for ApiError {
    fn from(error: sync::Error) -> Self {
        let error = match error {
            sync::Error::Proxmox(error) => return error.into(),
            sync::Error::NetBox(error) => return error.into(),
            error @ (sync::Error::Unusable { .. }
            | sync::Error::Shrink(_)
            | sync::Error::Ambiguity(_)
            | sync::Error::Limited { .. }
            | sync::Error::Placement { .. }
            | sync::Error::AmbiguousPlacement { .. }
            | sync::Error::Prerequisite { .. }
            | sync::Error::NoCluster { .. }
            | sync::Error::Selection { .. }
            | sync::Error::Absent { .. }
            | sync::Error::Unread { .. }
            | sync::Error::NoMachine { .. }
            | sync::Error::LeftAlone { .. }
            | sync::Error::Cancelled) => error,
        };
        let detail = json!({"reason": error.reason(), "error": error.to_string(), "hint": error.suggestion()});
        Self::message(upstream(error.kind()), "The run failed", detail).because(&error)
    }
}

impl From<sync::BadParameter> for ApiError {
    fn from(error: sync::BadParameter) -> Self {
        match error {
            sync::BadParameter::Form { name, message } => Self::invalid(&["query", name], &message),
            sync::BadParameter::Machines => Self::plain(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()),
            sync::BadParameter::Scope { message, detail } => Self::message(StatusCode::BAD_REQUEST, message, detail),
        }
    }
}

impl From<store::Error> for ApiError {
    fn from(error: store::Error) -> Self {
        use store::Error;
        match &error {
            Error::NotFound { what, .. } => Self::plain(StatusCode::NOT_FOUND, format!("{what} not found")),
            Error::NameTaken { what, .. } => {
                Self::plain(StatusCode::BAD_REQUEST, format!("{what} name already exists"))
            }
            Error::OnlyOne { what } => Self::plain(StatusCode::BAD_REQUEST, format!("Only one {what} is allowed")),
            Error::Invalid { message, .. } => Self::plain(StatusCode::BAD_REQUEST, message.clone()),
            Error::AlreadyClaimed => Self::plain(StatusCode::CONFLICT, "An API key is already configured."),
            Error::LastActiveKey => refused_key(
                "last_active_api_key_required",
                "Create and verify another active API key before retiring this key.",
            ),
            Error::KeyLimit { limit } => refused_key(
                "active_api_key_limit_reached",
                &format!("At most {limit} API keys may be active. Retire one first."),
            ),
            Error::Busy => {
                let text = "Authentication verification capacity is temporarily exhausted.";
                Self::plain(StatusCode::SERVICE_UNAVAILABLE, text).retry_after(Duration::from_secs(1))
            }
            Error::NoKey => Self::message(
                StatusCode::BAD_REQUEST,
                "Credential encryption is not configured, so this secret cannot be stored. Set PROXBOX_ENCRYPTION_KEY \
                 or PROXBOX_ENCRYPTION_KEY_FILE.",
                Value::Null,
            ),
            Error::Sealed { .. } => Self::message(
                StatusCode::BAD_REQUEST,
                "Credential decryption failed. Check PROXBOX_ENCRYPTION_KEY, or store the endpoint's secret again.",
                Value::Null,
            )
            .because(&error),
            Error::Import { .. } => Self::plain(StatusCode::BAD_REQUEST, error.to_string()),
            Error::File { .. } | Error::KeyFile { .. } | Error::Database { .. } | Error::Migration(_) | Error::Lost => {
                Self::internal(&error)
            }
        }
    }
}

fn refused_key(code: &str, message: &str) -> ApiError {
    ApiError::plain(StatusCode::CONFLICT, json!({"code": code, "message": message}))
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;

    use super::*;

    async fn answered(error: impl Into<ApiError>) -> (u16, Value, Option<String>) {
        let response = error.into().into_response();
        let cause = response
            .extensions()
            .get::<Cause>()
            .map(|Cause(cause)| cause.to_string());
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), 10_000).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap(), cause)
    }

    #[tokio::test]
    async fn refusals_of_the_other_side_are_never_passed_on_as_ours() {
        let answer = |status| proxmox::Refusal {
            call: "GET version".to_owned(),
            status,
            message: "no".to_owned(),
        };
        let cases = [
            (
                proxmox::Error::AuthFailed { answer: answer(401) },
                502,
                "proxmox_auth_failed",
                Some(401),
            ),
            (
                proxmox::Error::PermissionDenied {
                    answer: answer(403),
                    path: None,
                    privilege: None,
                },
                502,
                "proxmox_permission_denied",
                Some(403),
            ),
            (
                proxmox::Error::NodeTimeout {
                    node: "pve1".to_owned(),
                    answer: answer(596),
                },
                504,
                "proxmox_node_timeout",
                Some(596),
            ),
            (
                proxmox::Error::NotFound { answer: answer(500) },
                404,
                "proxmox_not_found",
                Some(500),
            ),
            (
                proxmox::Error::Connect {
                    address: "a:1".to_owned(),
                    timed_out: true,
                    source: Arc::new(std::fmt::Error),
                },
                502,
                "proxmox_unreachable",
                None,
            ),
        ];
        for (error, expected, reason, upstream) in cases {
            let text = error.to_string();
            let (status, body, _) = answered(error).await;
            assert_eq!(
                (status, &body["detail"]["reason"]),
                (expected, &json!(reason)),
                "{text}"
            );
            assert_eq!(body["detail"]["upstream_status"], json!(upstream), "{text}");
            assert_eq!(body["detail"]["error"], json!(text));
            assert_eq!(body["python_exception"], Value::Null);
        }
    }

    #[tokio::test]
    async fn cause_of_an_internal_error_goes_to_the_log_and_not_to_the_client() {
        let error = store::Error::File {
            path: "/data/database.db".into(),
            reason: "the disk is full".to_owned(),
        };
        let (status, body, cause) = answered(error).await;
        assert_eq!(status, 500);
        assert!(!body.to_string().contains("disk"), "{body}");
        assert!(cause.unwrap().contains("the disk is full"));
    }

    #[tokio::test]
    async fn parameters_are_refused_by_their_place() {
        let form = sync::BadParameter::Form {
            name: "netbox_id",
            message: "must be an integer".to_owned(),
        };
        let (status, body, _) = answered(form).await;
        let expected = json!({"detail": [
            {"type": "request_validation_error", "loc": ["query", "netbox_id"], "msg": "must be an integer"},
        ]});
        assert_eq!((status, body), (422, expected));
        let scope = sync::BadParameter::Scope {
            message: "Invalid source parameter",
            detail: "source must be 'database' or 'netbox'.".to_owned(),
        };
        let (status, body, _) = answered(scope).await;
        let expected = json!({
            "message": "Invalid source parameter", "detail": "source must be 'database' or 'netbox'.",
            "python_exception": null,
        });
        assert_eq!((status, body), (400, expected));
    }
}
