//! A plan: what has to be written so that what is becomes what should be. A value that can be printed and returned.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::{Fields, ObjectId, Resource, SideBySide, Told};

/// What has to be written in one collection.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    /// What one row is called.
    pub kind: &'static str,
    /// The collection's path.
    pub path: &'static str,
    /// Which rows may be written side by side.
    #[serde(skip)]
    pub side_by_side: SideBySide,
    /// How long a row takes to be written, in ms, compared with other kinds.
    #[serde(skip)]
    pub row_millis: u32,
    /// The field of which a refusal tells what it has to be.
    #[serde(skip)]
    pub told: Option<&'static Told>,
    /// Rows to create, in key order.
    pub create: Vec<Create>,
    /// Rows to change, in key order.
    pub update: Vec<Update>,
    /// Rows to delete, in key order.
    pub delete: Vec<Delete>,
    /// Rows that are as they should be.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unchanged: Vec<Unchanged>,
    /// Desired rows that cannot be had, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<Refused>,
    /// How many rows are left out because they are somebody else's.
    #[serde(skip)]
    pub left_out: usize,
}

/// A row to create.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Create {
    /// Its key.
    pub key: String,
    /// Its name in reports.
    pub label: String,
    /// Everything it is created with.
    pub fields: Fields,
}

/// A row to change.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Update {
    /// The row.
    pub id: ObjectId,
    /// Its key.
    pub key: String,
    /// Its name in reports.
    pub label: String,
    /// The fields that change.
    pub changes: BTreeMap<&'static str, Change>,
    /// Whether the change marks a row that is no longer desired.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_retirement: bool,
}

/// One field, before and after.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// What is stored.
    pub before: Value,
    /// What will be.
    pub after: Value,
}

/// A row to delete.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Delete {
    /// The row.
    pub id: ObjectId,
    /// Its key.
    pub key: String,
    /// Its name in reports.
    pub label: String,
}

/// A row that is as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unchanged {
    /// The row.
    pub id: ObjectId,
    /// Its key.
    pub key: String,
    /// Its name in reports.
    pub label: String,
}

/// A desired row that cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// Its key; empty where it never came to be compared.
    #[serde(skip)]
    pub key: String,
    /// Its name in reports.
    pub label: String,
    /// Why not, for a person.
    pub reason: String,
}

impl Plan {
    /// A plan that does nothing to rows of kind `R`.
    pub fn of<R: Resource>() -> Self {
        Self {
            kind: R::KIND,
            path: R::PATH,
            side_by_side: R::SIDE_BY_SIDE,
            row_millis: R::ROW_MILLIS,
            told: R::TOLD,
            create: Vec::new(),
            update: Vec::new(),
            delete: Vec::new(),
            unchanged: Vec::new(),
            refused: Vec::new(),
            left_out: 0,
        }
    }

    /// Whether nothing has to be written.
    pub fn is_empty(&self) -> bool {
        self.create.is_empty() && self.update.is_empty() && self.delete.is_empty()
    }

    /// How many rows the plan deletes or marks as no longer there.
    pub fn retirements(&self) -> usize {
        self.delete.len() + self.update.iter().filter(|update| update.is_retirement).count()
    }
}
