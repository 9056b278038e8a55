//! The form of answers: envelope, both error styles, reason phrases, and the framing that is refused.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use http::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, PRAGMA, SERVER,
};
use http::{Method, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Empty, Full, StreamBody};
use hyper::body::Frame;
use hyper::ext::ReasonPhrase;
use serde_json::{Map, Value, json};

use super::Release;

/// Largest request body in bytes.
const BODY_LIMIT: usize = 512 << 10;
/// Largest file in bytes; a real server takes larger ones.
const FILE_LIMIT: usize = 64 << 20;
/// The form of an answer.
pub(super) const JSON: &str = "application/json;charset=UTF-8";
/// The form of a file that is read.
pub(super) const FILE: &str = "application/octet-stream";
/// The form of a task's log that is read as a file.
pub(super) const TEXT: &str = "text/plain";
/// The form of a file that is sent.
const MULTIPART: &str = "multipart/form-data";

/// How many bytes of a slow body come after each pause.
const TRICKLE: usize = 16;

/// The body of an answer.
pub(super) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// A successful answer.
#[derive(Debug, Default)]
pub(super) struct Payload {
    pub(super) data: Value,
    /// Number of all rows, where the answer is a page.
    pub(super) total: Option<usize>,
    /// Pending changes of the network.
    pub(super) changes: Option<String>,
    /// What is sent in place of JSON, where a file is asked for.
    pub(super) file: Option<Content>,
}

/// What is sent.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) bytes: Bytes,
    pub(super) kind: &'static str,
}

/// How it is sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slowness {
    /// How many bytes come at once.
    pub(super) first: usize,
    /// How long each of the others is waited for.
    pub(super) pause: Duration,
}

impl From<Value> for Payload {
    fn from(data: Value) -> Self {
        Self {
            data,
            ..Self::default()
        }
    }
}

/// A refused request.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: u16,
    /// First line goes to the status line, all of it into `message`.
    pub(super) text: String,
    /// Parameter errors.
    pub(super) errors: Vec<(String, String)>,
    /// Whether the body is empty: refusals that come before the handler.
    pub(super) is_empty: bool,
}

impl Refusal {
    /// A handler's failure, with an envelope.
    pub(super) fn new(status: u16, text: impl Into<String>) -> Self {
        Self {
            status,
            text: text.into(),
            errors: Vec::new(),
            is_empty: false,
        }
    }

    /// A failure without body: logins, framing, other nodes.
    pub(super) fn bare(status: u16, text: impl Into<String>) -> Self {
        Self {
            is_empty: true,
            ..Self::new(status, text)
        }
    }

    /// A failure with the body that a status usually has.
    pub(super) fn usual(status: u16, text: impl Into<String>) -> Self {
        Self {
            is_empty: matches!(status, 401 | 501 | 506 | 590..=599),
            ..Self::new(status, text)
        }
    }

    /// A refused parameter.
    pub(super) fn parameter(name: &str, text: impl Into<String>) -> Self {
        Self::parameters(vec![(name.to_owned(), text.into())])
    }

    /// Refused parameters.
    pub(super) fn parameters(errors: Vec<(String, String)>) -> Self {
        Self {
            errors,
            ..Self::new(400, "Parameter verification failed.")
        }
    }

    /// A missing privilege.
    pub(super) fn permission(path: &str, privilege: &str) -> Self {
        Self::new(403, format!("Permission check failed ({path}, {privilege})"))
    }
}

/// A body of nothing.
pub(super) fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

fn full(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

/// The JSON of a successful answer.
pub(super) fn envelope(payload: Payload) -> Vec<u8> {
    let mut members = Map::new();
    members.insert("data".to_owned(), payload.data);
    if let Some(total) = payload.total {
        members.insert("total".to_owned(), total.into());
    }
    if let Some(changes) = payload.changes {
        members.insert("changes".to_owned(), changes.into());
    }
    Value::Object(members).to_string().into_bytes()
}

/// A response with status 200 and this content.
pub(super) fn success(content: Content, slowness: Option<Slowness>) -> Response<Body> {
    let body = match slowness {
        Some(slowness) => trickling(content.bytes, slowness),
        None => full(content.bytes),
    };
    with_headers(Response::new(body), content.kind)
}

fn trickling(mut bytes: Bytes, slowness: Slowness) -> Body {
    let rest = bytes.split_off(slowness.first.min(bytes.len()));
    let first = stream::once(async move { Ok(Frame::data(bytes)) });
    let rest = stream::unfold(rest, move |mut rest| async move {
        if rest.is_empty() {
            return None;
        }
        tokio::time::sleep(slowness.pause).await;
        let piece = rest.split_to(TRICKLE.min(rest.len()));
        Some((Ok(Frame::data(piece)), rest))
    });
    StreamBody::new(first.chain(rest)).boxed_unsync()
}

/// A response with status 200 and a page that no client expects.
pub(super) fn page() -> Response<Body> {
    let body = Bytes::from_static(b"<html><body><h1>It works!</h1></body></html>");
    with_headers(Response::new(full(body)), "text/html")
}

/// A response that announces all of `content` and sends half of it.
pub(super) fn truncated(content: Content) -> Response<Body> {
    let (length, mut half) = (content.bytes.len(), content.bytes);
    half.truncate(length / 2);
    let first = stream::once(async move { Ok(Frame::data(half)) });
    // Pending once in between, so that the half is flushed before the connection breaks.
    let end = stream::once(async {
        tokio::task::yield_now().await;
        Err(io::Error::from(io::ErrorKind::ConnectionReset))
    });
    let body = StreamBody::new(first.chain(end)).boxed_unsync();
    let mut response = with_headers(Response::new(body), content.kind);
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    response
}

/// The response to a refused request; it ends the connection.
pub(super) fn refused(refusal: &Refusal, release: Release) -> Response<Body> {
    let mut response = Response::new(empty());
    if !refusal.is_empty {
        let mut body = json!({ "data": null });
        if let Some(members) = body.as_object_mut() {
            if !refusal.errors.is_empty() {
                let errors = refusal
                    .errors
                    .iter()
                    .map(|(name, text)| (name.clone(), text.as_str().into()));
                members.insert("errors".to_owned(), Value::Object(errors.collect()));
            }
            if release >= Release::V8_3 {
                members.insert("message".to_owned(), format!("{}\n", refusal.text).into());
            }
        }
        response = with_headers(Response::new(full(body.to_string().into())), JSON);
    }
    *response.status_mut() = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let line: String = refusal
        .text
        .lines()
        .next()
        .unwrap_or_default()
        .chars()
        .filter(|c| !c.is_control())
        .collect();
    if let Ok(reason) = ReasonPhrase::try_from(line.into_bytes()) {
        response.extensions_mut().insert(reason);
    }
    close(&mut response);
    response
}

/// Makes the response the last one of its connection.
pub(super) fn close(response: &mut Response<Body>) {
    response
        .headers_mut()
        .insert(CONNECTION, HeaderValue::from_static("close"));
}

fn with_headers(mut response: Response<Body>, content_type: &'static str) -> Response<Body> {
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("max-age=0"));
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    headers.insert(SERVER, HeaderValue::from_static("pve-api-daemon/3.0"));
    if matches!(content_type, FILE | TEXT) {
        headers.insert(
            CONTENT_DISPOSITION,
            HeaderValue::from_static("attachment; filename=\"download\""),
        );
    }
    response
}

/// How large the body of a request may be.
pub(super) fn body_limit(head: &http::request::Parts) -> usize {
    if takes_file(head) { FILE_LIMIT } else { BODY_LIMIT }
}

fn takes_file(head: &http::request::Parts) -> bool {
    head.method == Method::POST && head.uri.path().ends_with("/upload")
}

/// Refuses what the real server's own HTTP parser refuses.
pub(super) fn check_framing(head: &http::request::Parts, length: usize) -> Result<(), Refusal> {
    let header = |name| {
        head.headers
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
    };
    if !matches!(head.method, Method::GET | Method::POST | Method::PUT | Method::DELETE) {
        return Err(Refusal::bare(501, format!("method '{}' not available", head.method)));
    }
    if head.headers.contains_key(http::header::TRANSFER_ENCODING) {
        return Err(Refusal::bare(501, "chunked transfer encoding not supported"));
    }
    if length > body_limit(head) {
        return Err(Refusal::bare(501, "for too large request body"));
    }
    if length > 0 && matches!(head.method, Method::GET | Method::DELETE) {
        return Err(Refusal::bare(
            501,
            format!("Unexpected content for method '{}'", head.method),
        ));
    }
    let kind = header(CONTENT_TYPE)
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default()
        .trim();
    let is_file = kind == MULTIPART && takes_file(head);
    if length > 0 && !is_file && !matches!(kind, "application/x-www-form-urlencoded" | "application/json") {
        return Err(Refusal::bare(506, "upload 'Content-Type' is not supported"));
    }
    Ok(())
}
