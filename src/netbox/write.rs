//! What became of a write.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use serde_json::Value;

use crate::error::ErrorKind;

use super::answer::Answer;
use super::error::Error;
use super::refusal::{self, RowRefusal};
use super::transport::{Call, Failure};
use crate::reconcile::ObjectId;

/// Why a bulk write did not succeed, and what that says about the rows. Bulk requests are all or nothing.
#[derive(Debug, Clone, thiserror::Error)]
pub enum WriteError {
    /// NetBox named the rows it refuses. Nothing was written: drop them and send the others.
    #[error("NetBox refused {} of the rows ({status}): {}", refused.len(), first(refused))]
    Rows {
        /// 400, 403 or 409.
        status: u16,
        /// The refused rows; at least one.
        refused: Vec<RowRefusal>,
    },
    /// NetBox refused the request without naming a row, mostly because a row exists already. Nothing was written: read
    /// the keys again, turn what exists into updates, and halve the batch when that does not help.
    #[error("NetBox refused the whole request ({status}): {detail}")]
    Batch {
        /// 400, 409, 413, 500, …
        status: u16,
        /// NetBox's own words.
        detail: String,
    },
    /// The request may or may not have been carried out. Read again before sending it again.
    #[error("it is unknown whether NetBox wrote the rows: {0}")]
    Uncertain(#[source] Error),
    /// Certainly nothing was written.
    #[error("nothing was written: {0}")]
    Failed(#[source] Error),
}

fn first(refused: &[RowRefusal]) -> String {
    refused.first().map(ToString::to_string).unwrap_or_default()
}

impl WriteError {
    /// The category of the event contract.
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Rows { status: 403, .. } => ErrorKind::Permission,
            // An error of NetBox's own says nothing of the rows.
            Self::Batch { status: 500.., .. } => ErrorKind::Unknown,
            Self::Rows { .. } | Self::Batch { .. } => ErrorKind::Validation,
            Self::Uncertain(error) | Self::Failed(error) => error.kind(),
        }
    }
}

impl Error {
    /// Whether NetBox may still be at work on a request that ended so: nobody has told that it is not.
    pub const fn may_be_under_way(&self) -> bool {
        matches!(
            self,
            Self::Timeout { .. } | Self::Lost { .. } | Self::Unavailable { status: 504, .. }
        )
    }

    /// How long NetBox asks to be left alone where it is not available.
    pub fn retry_after(&self) -> Duration {
        let asked = if let Self::Unavailable { retry_after, .. } = self {
            *retry_after
        } else {
            None
        };
        asked.unwrap_or_default()
    }
}

impl From<Failure> for WriteError {
    fn from(failure: Failure) -> Self {
        if failure.may_have_landed {
            Self::Uncertain(failure.error)
        } else {
            Self::Failed(failure.error)
        }
    }
}

/// What an answer without success says about a write of `rows` rows; `ids` as far as the request named any.
pub(super) fn refusal(answer: &Answer, call: &Call<'_>, rows: usize, ids: &[u64]) -> WriteError {
    let error = judged(answer, call, rows, ids);
    if let WriteError::Failed(error) = &error
        && answer.is_repeated
    {
        // The last attempt did nothing, an earlier one may have.
        return WriteError::Uncertain(error.clone());
    }
    error
}

fn judged(answer: &Answer, call: &Call<'_>, rows: usize, ids: &[u64]) -> WriteError {
    let status = answer.status.as_u16();
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    if matches!(status, 400 | 403 | 409 | 422) {
        let refused = refusal::refused_rows(&body, rows, ids);
        // One object without `errors` names fields, not rows: a single row that exists already (409) must be read again.
        if !refused.is_empty() && (status != 409 || body.get("errors").is_some()) {
            return WriteError::Rows { status, refused };
        }
    }
    let error = answer.error(call);
    match (status, error) {
        (_, error @ (Error::Branch { .. } | Error::Unauthenticated { .. } | Error::PermissionDenied { .. })) => {
            WriteError::Failed(error)
        }
        (404 | 405 | 415 | 429, error) => WriteError::Failed(error),
        // NetBox reports exceptions in this form after it has rolled back.
        (500, Error::Server { detail, .. }) if body.get("exception").is_some() => WriteError::Batch { status, detail },
        (408 | 500.., error) => WriteError::Uncertain(error),
        (_, Error::Refused { detail, .. }) => WriteError::Batch { status, detail },
        (_, error) => WriteError::Uncertain(error),
    }
}

/// The rows of a successful answer, one per row of the request; ordered by `ids` unless empty.
///
/// # Errors
///
/// [`WriteError::Uncertain`]: the rows were written, but the answer does not show them.
pub(super) fn written(answer: &Answer, path: &str, rows: usize, ids: &[u64]) -> Result<Vec<Value>, WriteError> {
    let unreadable = |source| WriteError::Uncertain(Error::decode(path, source));
    let found: Vec<Value> = serde_json::from_slice(&answer.body).map_err(unreadable)?;
    let incomplete = || {
        unreadable(serde::de::Error::custom(
            "the answer does not hold every row of the request",
        ))
    };
    if ids.is_empty() {
        return if found.len() == rows {
            Ok(found)
        } else {
            Err(incomplete())
        };
    }
    let by_id = |row: Value| row.get("id").and_then(Value::as_u64).map(|id| (id, row));
    let mut found: HashMap<u64, Value> = found.into_iter().filter_map(by_id).collect();
    let ordered: Option<Vec<Value>> = ids.iter().map(|id| found.remove(id)).collect();
    ordered.ok_or_else(incomplete)
}

/// The ids that `rows` carry, in order.
///
/// # Errors
///
/// [`WriteError::Failed`] where a row has none, or an id stands twice.
pub(super) fn row_ids(path: &str, rows: &[Value]) -> Result<Vec<u64>, WriteError> {
    let refuse = |problem| {
        WriteError::Failed(Error::Request {
            path: path.to_owned(),
            problem,
        })
    };
    let ids: Option<Vec<u64>> = rows.iter().map(|row| row.get("id").and_then(Value::as_u64)).collect();
    let ids = ids.ok_or_else(|| refuse("a row to update has no id"))?;
    let distinct: HashSet<u64> = ids.iter().copied().collect();
    if distinct.len() == ids.len() {
        Ok(ids)
    } else {
        Err(refuse("an id stands twice in one request"))
    }
}

/// The body of a bulk delete.
pub(super) fn id_rows(ids: &[ObjectId]) -> Vec<Value> {
    ids.iter().map(|id| serde_json::json!({ "id": id })).collect()
}

/// Whether a repeated delete was refused only because the first attempt had done it.
pub(super) fn was_deleted_before(answer: &Answer, error: &WriteError, rows: usize) -> bool {
    let WriteError::Rows { refused, .. } = error else {
        return false;
    };
    let is_gone = |refusal: &RowRefusal| refusal.kind() == ErrorKind::NotFound;
    answer.is_repeated && refused.len() == rows && refused.iter().all(is_gone)
}
