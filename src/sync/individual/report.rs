//! What became of one object, and of what it hangs on.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::IndividualKind;
use crate::error::ErrorKind;
use crate::reconcile::ObjectId;
use crate::sync::error::Error;
use crate::sync::report::Outcome;
use crate::sync::warning::Warning;

/// What was done to a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Action {
    /// Nothing: it was as it should be.
    Unchanged,
    /// It was changed.
    Updated,
    /// It was made.
    Created,
    /// Nothing: there is nothing to write.
    Noop,
    /// Nothing, on purpose.
    DryRun,
    /// Nothing, because it was not possible.
    Error,
}

/// What became of the passes of a run, for whoever asks in the end.
#[derive(Debug, Default)]
pub(in crate::sync) struct Trace(Vec<(&'static str, Outcome)>);

impl Trace {
    /// Remembers what a pass over the collection `path` did.
    pub(in crate::sync) fn push(&mut self, path: &'static str, outcome: Outcome) {
        self.0.push((path, outcome));
    }

    fn of(&self, path: &str) -> impl Iterator<Item = &Outcome> {
        let passes = self.0.iter().filter(move |(of, _)| *of == path);
        passes.map(|(_, outcome)| outcome)
    }

    /// The row of the collection `path` that was worked on, and the most that was done to it.
    pub(super) fn fate(&self, path: &str) -> Option<(ObjectId, Action)> {
        let rows = self.of(path).flat_map(|outcome| {
            let fates = [
                (Action::Created, &outcome.created),
                (Action::Updated, &outcome.updated),
                (Action::Unchanged, &outcome.unchanged),
            ];
            let fates = fates.into_iter();
            fates.flat_map(|(action, rows)| rows.iter().map(move |row| (row.id, action)))
        });
        rows.max_by_key(|(_, action)| *action)
    }

    /// What was done to the row of the collection `path`; to one that nobody looked at, nothing.
    pub(super) fn action(&self, path: &str) -> Action {
        self.fate(path).map_or(Action::Unchanged, |(_, action)| action)
    }

    /// Why a row of the collection `path` could not be written.
    pub(super) fn refusal(&self, path: &str) -> Option<Error> {
        let failure = self.of(path).find_map(|outcome| outcome.failed.first())?;
        Some(Error::Prerequisite {
            what: format!("{} {}", failure.object, failure.label),
            kind: failure.kind,
            message: failure.message.clone(),
        })
    }
}

/// What became of one object.
#[derive(Debug, Clone)]
pub struct IndividualReport {
    kind: IndividualKind,
    action: Action,
    resource: Value,
    object: Value,
    dependencies: Vec<Value>,
    error: Option<String>,
    error_kind: Option<ErrorKind>,
    warnings: Vec<Warning>,
    is_dry_run: bool,
    /// Whether the run was asked to stop before its end.
    pub is_cancelled: bool,
}

impl IndividualReport {
    pub(super) fn new(kind: IndividualKind, is_dry_run: bool) -> Self {
        Self {
            kind,
            action: Action::Unchanged,
            resource: Value::Null,
            object: Value::Null,
            dependencies: Vec::new(),
            error: None,
            error_kind: None,
            warnings: Vec::new(),
            is_dry_run,
            is_cancelled: false,
        }
    }

    /// What is told of one that was asked to stop before it began.
    pub(in crate::sync) fn cancelled(kind: IndividualKind, is_dry_run: bool) -> Self {
        let mut report = Self::new(kind, is_dry_run);
        report.fail(&Error::Cancelled);
        report.is_cancelled = true;
        report
    }

    /// Says what Proxmox tells of the object.
    pub(super) fn found(&mut self, resource: Value) {
        self.resource = resource;
    }

    /// Says one thing more that Proxmox tells of it.
    pub(super) fn found_too(&mut self, name: &str, value: Value) {
        if let Some(members) = self.resource.as_object_mut() {
            members.insert(name.to_owned(), value);
        }
    }

    /// Says what was done, and how the row stands in NetBox now.
    pub(super) fn end(&mut self, action: Action, object: Value) {
        self.action = if self.is_dry_run { Action::DryRun } else { action };
        self.object = object;
    }

    /// Says what went less than well although the row stands.
    pub(super) fn warn(&mut self, warnings: &[Warning]) {
        self.warnings.extend_from_slice(warnings);
    }

    /// Says what it hangs on, and what was done to that; a dry run does nothing to it.
    pub(super) fn depends(&mut self, object_type: &str, mut names: Map<String, Value>, action: Action) {
        names.insert("object_type".to_owned(), json!(object_type));
        if !self.is_dry_run {
            names.insert("action".to_owned(), json!(action));
        }
        self.dependencies.push(Value::Object(names));
    }

    /// Says that there is nothing to write.
    pub(super) fn noop(&mut self, reason: &str) {
        self.action = Action::Noop;
        self.error = Some(reason.to_owned()).filter(|_| !self.is_dry_run);
    }

    /// Says why nothing was written.
    pub(super) fn fail(&mut self, error: &Error) {
        self.action = Action::Error;
        self.object = Value::Null;
        self.error = Some(error.to_string());
        self.error_kind = Some(error.kind());
    }

    /// Why nothing was written.
    pub fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }

    /// The failure, as a list.
    pub fn errors(&self) -> Vec<String> {
        let failure = self.error.as_ref().filter(|_| self.error_kind.is_some());
        failure.into_iter().cloned().collect()
    }

    /// The kind of failure; `None` where there is only nothing to write.
    pub fn error_kind(&self) -> Option<ErrorKind> {
        self.error_kind
    }

    /// What it came to in a few words, for the log.
    pub(in crate::sync) fn text(&self) -> String {
        format!("{} {:?}", self.kind.as_str(), self.action)
    }

    /// What was done to the object, and to how many that it hangs on.
    pub(in crate::sync) fn counts(&self) -> Value {
        json!({"action": self.action, "dependencies": self.dependencies.len()})
    }

    /// How many things went less than well.
    pub(in crate::sync) fn warning_count(&self) -> usize {
        self.warnings.len()
    }

    /// The answer; `warnings` are in it where there are any.
    pub fn result(&self) -> Value {
        let mut result = json!({
            "object_type": self.kind.as_str(),
            "action": self.action,
            "proxmox_resource": self.resource,
            "netbox_object": self.object,
            "dry_run": self.is_dry_run,
            "dependencies_synced": self.dependencies,
            "error": self.error,
        });
        if let (Value::Object(members), false) = (&mut result, self.warnings.is_empty()) {
            members.insert("warnings".to_owned(), json!(self.warnings));
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::report::Written;

    fn rows(id: u64) -> Vec<Written> {
        vec![Written {
            id: ObjectId(id),
            key: String::new(),
            name: String::new(),
        }]
    }

    #[test]
    fn most_that_was_done_to_a_row_is_told() {
        let mut trace = Trace::default();
        let created = Outcome {
            created: rows(7),
            ..Outcome::default()
        };
        let updated = Outcome {
            updated: rows(7),
            ..Outcome::default()
        };
        trace.push("/a/", created);
        trace.push("/a/", updated.clone());
        trace.push("/b/", updated);
        assert_eq!(trace.fate("/a/"), Some((ObjectId(7), Action::Created)));
        assert_eq!(
            (trace.action("/b/"), trace.action("/c/")),
            (Action::Updated, Action::Unchanged)
        );
    }
}
