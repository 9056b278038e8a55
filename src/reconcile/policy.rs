//! What a plan may do: modes, fields that are only set at creation, riders, and what becomes of rows no longer desired.

use std::collections::BTreeSet;

use super::Fields;

/// How far a kind of row is kept in step; of two the greater does less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Mode {
    /// Create, update and retire.
    #[default]
    Always,
    /// Create what is missing, never touch it afterwards.
    BootstrapOnly,
    /// Leave alone.
    Disabled,
}

/// A field that is written along with another change of its row, but makes no change of its own while it is fresh.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rider {
    /// The field, a time stamp in the form `2026-01-31T12:00:00Z` where `overdue_before` is used, any value otherwise.
    pub field: &'static str,
    /// A stored time before this one is refreshed on its own. `None`: never on its own.
    pub overdue_before: Option<String>,
}

/// The rules of one comparison.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Policy {
    /// How far rows are kept in step.
    pub mode: Mode,
    /// Fields set when a row is created and left alone afterwards.
    pub create_only: BTreeSet<&'static str>,
    /// Fields that ride along with other changes.
    pub riders: Vec<Rider>,
}

impl Policy {
    /// The default rules with `mode`.
    pub fn with_mode(mode: Mode) -> Self {
        Self {
            mode,
            ..Self::default()
        }
    }

    /// These rules, with `field` set only at creation unless `may_update`.
    #[must_use]
    pub fn update_if(mut self, field: &'static str, may_update: bool) -> Self {
        if !may_update {
            self.create_only.insert(field);
        }
        self
    }

    /// These rules with one more rider.
    #[must_use]
    pub fn rider(mut self, field: &'static str, overdue_before: Option<String>) -> Self {
        self.riders.push(Rider { field, overdue_before });
        self
    }
}

/// What becomes of a stored row that is no longer desired.
#[derive(Debug, Clone, PartialEq)]
pub enum Retire {
    /// It stays as it is.
    Keep,
    /// It stays, marked by these fields.
    Mark(Fields),
    /// It goes.
    Delete,
}
