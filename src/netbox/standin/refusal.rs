//! Why a write is refused, in NetBox's words.

use serde_json::{Map, Value, json};

use super::Release;

/// The key under which rules over several columns report.
pub(super) const WHOLE_ROW: &str = "__all__";

/// Column by column, what is wrong with one row.
#[derive(Debug, Default)]
pub(super) struct Errors(Map<String, Value>);

impl Errors {
    pub(super) fn one(column: &str, message: impl Into<String>) -> Self {
        let mut errors = Self::default();
        errors.add(column, message);
        errors
    }

    pub(super) fn add(&mut self, column: &str, message: impl Into<String>) {
        let messages = self.0.entry(column).or_insert_with(|| Value::Array(Vec::new()));
        if let Value::Array(messages) = messages {
            messages.push(Value::String(message.into()));
        }
    }

    /// Sets what stands under `column`, whatever its form.
    pub(super) fn set(&mut self, column: &str, value: Value) {
        self.0.insert(column.to_owned(), value);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn into_value(self) -> Value {
        Value::Object(self.0)
    }
}

/// Why a row is not written.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The row breaks rules; the others of the request are judged too.
    Row(Errors),
    /// A constrained right does not hold for the row.
    Denied,
    /// The row may not be deleted: how many others depend on it, and their names.
    Protected(Vec<String>),
    /// The request ends here, and its answer names no row.
    Whole(u16, Value),
}

impl Refusal {
    pub(super) fn row(column: &str, message: impl Into<String>) -> Self {
        Self::Row(Errors::one(column, message))
    }

    /// How NetBox reports an exception of its own.
    pub(super) fn exception(kind: &str, error: &str, release: Release) -> Self {
        let body = json!({
            "error": error,
            "exception": kind,
            "netbox_version": release.version(),
            "python_version": "3.13.5",
        });
        Self::Whole(500, body)
    }
}

/// One refused row of a request.
#[derive(Debug)]
pub(super) struct RefusedRow {
    /// Position in the request.
    pub(super) index: usize,
    /// `None` for rows that were to be created.
    pub(super) id: Option<u64>,
    pub(super) refusal: Refusal,
}

/// What was tried, for the sentence of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Created,
    Updated,
    Deleted,
    Found,
    Validated,
    Listed,
}

impl Verb {
    fn sentence(self, refused: usize, rows: usize) -> String {
        let rest = match self {
            Self::Created => "could not be created.",
            Self::Updated => "could not be updated.",
            Self::Deleted => "could not be deleted.",
            Self::Found => "could not be found.",
            Self::Validated => "failed validation.",
            Self::Listed => "are listed more than once.",
        };
        format!("{refused} of {rows} objects {rest}")
    }
}

/// Status and body of the answer to a request of one object.
pub(super) fn single(refusal: Refusal) -> (u16, Value) {
    match refusal {
        Refusal::Row(errors) => (400, errors.into_value()),
        Refusal::Denied => forbidden(),
        Refusal::Protected(names) => {
            let text = format!(
                "Unable to delete object. {} dependent objects were found: {}",
                names.len(),
                names.join(", ")
            );
            (409, json!({ "detail": text }))
        }
        Refusal::Whole(status, body) => (status, body),
    }
}

/// The answer to whoever lacks a right.
pub(super) fn forbidden() -> (u16, Value) {
    (
        403,
        json!({"detail": "You do not have permission to perform this action."}),
    )
}

/// Status and body of the answer to a list of `rows` of which some were refused.
pub(super) fn bulk(release: Release, verb: Verb, refused: Vec<RefusedRow>, rows: usize) -> (u16, Value) {
    let is_denied = |row: &RefusedRow| matches!(row.refusal, Refusal::Denied);
    let mut status = 400;
    if refused.iter().any(is_denied) {
        if !release.names_refused_rows() {
            return forbidden();
        }
        status = 403;
    }
    let mut named = Vec::with_capacity(refused.len());
    for RefusedRow { index, id, refusal } in refused {
        let errors = match refusal {
            Refusal::Row(errors) => errors.into_value(),
            Refusal::Denied => {
                json!({ WHOLE_ROW: ["You do not have permission to perform this action on this object."] })
            }
            Refusal::Protected(dependents) => {
                status = if status == 403 { 403 } else { 409 };
                let count = dependents.len();
                let text = format!("Unable to delete: {count} dependent object(s) prevent deletion.");
                json!({ WHOLE_ROW: [text] })
            }
            Refusal::Whole(status, body) => return (status, body),
        };
        named.push((index, id, errors));
    }
    if release.names_refused_rows() {
        let sentence = verb.sentence(named.len(), rows);
        let errors: Vec<Value> = named.into_iter().map(entry).collect();
        return (status, json!({ "detail": sentence, "errors": errors }));
    }
    let mut list = vec![json!({}); rows];
    for (index, _, errors) in named {
        if let Some(place) = list.get_mut(index) {
            *place = errors;
        }
    }
    (status, Value::Array(list))
}

fn entry((index, id, errors): (usize, Option<u64>, Value)) -> Value {
    match id {
        Some(id) => json!({"id": id, "errors": errors}),
        None => json!({"index": index, "errors": errors}),
    }
}
