//! Reads of several endpoints in one answer.

use std::future::Future;

use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode};
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
    /// Who did not, and why.
    failed: Vec<(Target, proxmox::Error)>,
    /// Ids that were asked for and that no enabled endpoint has.
    missing: Vec<i64>,
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
        let read = Self::attempt(selected, ask).await;
        match read.failure() {
            Some(failure) if read.items.is_empty() => Err(failure),
            _ => Ok(read),
        }
    }

    /// The first failure.
    fn failure(&self) -> Option<ApiError> {
        let (target, error) = self.failed.first()?;
        Some(ApiError::from(error.clone()).about(target.key, &target.settings.name))
    }

    /// As [`Self::read`], for answers that say themselves what could not be read: it is no error where all have failed.
    pub(super) async fn attempt<F, Answer>(selected: Selected, ask: F) -> Self
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
            failed: Vec::new(),
            missing: selected.missing,
        };
        for (target, answer) in answers {
            match answer {
                Ok(answer) => read.items.push((target, answer)),
                Err(error) => {
                    tracing::warn!(endpoint.id = %target.key, %error, reason = error.reason(), "endpoint left out");
                    read.failed.push((target, error));
                }
            }
        }
        read
    }

    /// As [`Self::read`], of the endpoints that have `node`; the others are passed over.
    ///
    /// # Errors
    ///
    /// The first failure, where nobody who answered has the node; 404 where all have answered.
    pub(super) async fn of_node<F, Answer>(selected: Selected, node: &str, ask: F) -> Result<Self, ApiError>
    where
        F: Fn(Target, Session) -> Answer,
        Answer: Future<Output = Result<T, proxmox::Error>>,
    {
        let is_asked = !selected.targets.is_empty();
        let ask = &ask;
        let read = Answers::read(selected, |target, session| async move {
            let nodes = session.list_nodes().await?;
            if nodes.items.iter().any(|row| row.node == node) {
                ask(target, session).await.map(Some)
            } else {
                Ok(None)
            }
        });
        let read = read.await?;
        let failure = read.failure();
        let items = read.items.into_iter();
        let items: Vec<_> = items.filter_map(|(target, answer)| Some((target, answer?))).collect();
        if is_asked && items.is_empty() {
            let text = format!("No selected Proxmox endpoint has a node {node}");
            return Err(failure.unwrap_or_else(|| ApiError::plain(StatusCode::NOT_FOUND, text)));
        }
        Ok(Self {
            items,
            failed: read.failed,
            missing: read.missing,
        })
    }

    /// The answer that `shape` makes, with the header that names who is missing.
    pub(super) fn respond(self, shape: impl FnOnce(Vec<(Target, T)>) -> Value) -> Response {
        self.respond_with_failures(|items, _| shape(items))
    }

    /// As [`Self::respond`], for answers that also say in their body who did not answer, and why.
    pub(super) fn respond_with_failures(
        self,
        shape: impl FnOnce(Vec<(Target, T)>, &[(Target, proxmox::Error)]) -> Value,
    ) -> Response {
        let failed = self.failed.iter().map(|(target, _)| target.key.id.0);
        let header = endpoint_errors(&self.missing.into_iter().chain(failed).collect::<Vec<_>>());
        (header, Json(shape(self.items, &self.failed))).into_response()
    }
}

impl Answers<Vec<Value>> {
    /// The rows of all endpoints as one list.
    pub(super) fn respond_list(self) -> Response {
        self.respond(|items| items.into_iter().flat_map(|(_, rows)| rows).collect())
    }

    /// The first row of all endpoints; null where all have answered and there is none.
    ///
    /// # Errors
    ///
    /// The first failure, where nobody who answered has a row: whoever did not may have one.
    pub(super) fn respond_first(self) -> Result<Response, ApiError> {
        if self.items.iter().all(|(_, rows)| rows.is_empty())
            && let Some(failure) = self.failure()
        {
            return Err(failure);
        }
        Ok(self.respond(|items| items.into_iter().flat_map(|(_, rows)| rows).next().unwrap_or_default()))
    }

    /// As [`Self::respond_list`]; an endpoint that did not answer has the one row that `failure` makes of its name and
    /// its error.
    pub(super) fn respond_rows(self, failure: impl Fn(&str, &str) -> Value) -> Response {
        self.respond_with_failures(|items, failed| {
            let rows = items.into_iter().flat_map(|(_, rows)| rows);
            let failures = failed
                .iter()
                .map(|(target, error)| failure(&target.label(), &error.to_string()));
            rows.chain(failures).collect()
        })
    }
}

/// The header that names endpoints an answer had to do without; none where it is complete.
pub(super) fn endpoint_errors(failed: &[i64]) -> Option<[(HeaderName, HeaderValue); 1]> {
    let ids: Vec<_> = failed.iter().take(NAMED).collect();
    let text = json!({"failed": failed.len(), "ids": ids, "truncated": failed.len() > NAMED}).to_string();
    let value = HeaderValue::try_from(text).ok().filter(|_| !failed.is_empty())?;
    Some([(ENDPOINT_ERRORS, value)])
}
