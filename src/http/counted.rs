//! Rows of one resource, as a server sent them, with what could not be read of it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::proxmox::{Error, RejectedRow, Rows};

/// The branch of NetBox that older clients name.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Branch {
    /// Repeated in the answer: nothing is written to any branch.
    pub(super) netbox_branch_schema_id: Option<String>,
}

/// What a server sent of one resource.
#[derive(Debug, Default)]
pub(super) struct Read {
    /// The rows.
    pub(super) rows: Vec<Value>,
    /// What could not be read, and why.
    pub(super) errors: Vec<String>,
}

impl Read {
    /// One row.
    pub(super) fn of(row: Value) -> Self {
        Self {
            rows: Vec::from([row]),
            errors: Vec::new(),
        }
    }

    /// Nothing, because of `error`.
    pub(super) fn failed(error: &(impl ToString + ?Sized)) -> Self {
        Self {
            rows: Vec::new(),
            errors: Vec::from([error.to_string()]),
        }
    }

    /// As [`Self::failed`], where only `place` could not be read.
    pub(super) fn failed_at(place: &str, error: &Error) -> Self {
        Self::failed(&format!("{place}: {error}"))
    }

    /// This and then `other`.
    pub(super) fn with(mut self, other: Self) -> Self {
        self.rows.extend(other.rows);
        self.errors.extend(other.errors);
        self
    }
}

impl<T: Serialize> From<Rows<T>> for Read {
    fn from(rows: Rows<T>) -> Self {
        let sent = rows.items.iter();
        Self {
            rows: sent.map(|row| serde_json::to_value(row).unwrap_or_default()).collect(),
            errors: rows.rejected.iter().map(told).collect(),
        }
    }
}

/// A row that could not be read, in words.
pub(super) fn told(row: &RejectedRow) -> String {
    let name = row.id.clone().unwrap_or_else(|| row.index.to_string());
    format!("row {name}: {}", row.reason)
}
