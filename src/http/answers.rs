//! Reads of several endpoints in one answer.

use std::future::Future;

use axum::Json;
use axum::http::{HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};

use super::error::ApiError;
use super::targets::{Selected, Target};
use crate::proxmox::{self, Session};

/// How many endpoints are read at once.
const ENDPOINTS_AT_ONCE: usize = 8;
/// How many endpoints the header names; it has to stay below a kilobyte.
const NAMED: usize = 20;
/// Names the endpoints that an answer had to do without.
const ENDPOINT_ERRORS: HeaderName = HeaderName::from_static("x-proxbox-endpoint-errors");

/// What the endpoints of a request answered, in their order, and which did not.
#[derive(Debug)]
pub(super) struct Answers<T> {
    /// Who answered what.
    pub(super) items: Vec<(Target, T)>,
    /// Who did not.
    failed: Vec<i64>,
}

impl<T> Answers<T> {
    /// Asks every selected endpoint, side by side. Those that fail are left out and named in a header.
    ///
    /// # Errors
    ///
    /// The first failure, where all have failed.
    pub(super) async fn read<F, Answer>(selected: Selected, ask: F) -> Result<Self, ApiError>
    where
        F: Fn(Target, Session) -> Answer,
        Answer: Future<Output = Result<T, proxmox::Error>>,
    {
        let ask = &ask;
        let asking = stream::iter(selected.targets).map(|target| async move {
            let answer = match target.session.clone() {
                Ok(session) => ask(target.clone(), session).await,
                Err(error) => Err(error),
            };
            (target, answer)
        });
        let answers: Vec<_> = asking.buffered(ENDPOINTS_AT_ONCE).collect().await;
        let mut read = Self {
            items: Vec::new(),
            failed: selected.missing,
        };
        let mut first = None;
        for (target, answer) in answers {
            match answer {
                Ok(answer) => read.items.push((target, answer)),
                Err(error) => {
                    tracing::warn!(endpoint.id = %target.key, %error, reason = error.reason(), "endpoint left out");
                    read.failed.push(target.key.id.0);
                    first.get_or_insert((target, error));
                }
            }
        }
        match first {
            Some((target, error)) if read.items.is_empty() => {
                Err(ApiError::from(error).about(target.key, &target.settings.name))
            }
            _ => Ok(read),
        }
    }

    /// The answer that `shape` makes, with the header that names who is missing.
    pub(super) fn respond(self, shape: impl FnOnce(Vec<(Target, T)>) -> Value) -> Response {
        let header = endpoint_errors(&self.failed);
        (header, Json(shape(self.items))).into_response()
    }
}

/// The header that names endpoints an answer had to do without; none where it is complete.
pub(super) fn endpoint_errors(failed: &[i64]) -> Option<[(HeaderName, HeaderValue); 1]> {
    let ids: Vec<_> = failed.iter().take(NAMED).collect();
    let text = json!({"failed": failed.len(), "ids": ids, "truncated": failed.len() > NAMED}).to_string();
    let value = HeaderValue::try_from(text).ok().filter(|_| !failed.is_empty())?;
    Some([(ENDPOINT_ERRORS, value)])
}
