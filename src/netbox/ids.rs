//! Ids: what earlier passes of a run have learned, natural key to NetBox id.

use std::collections::BTreeMap;

use crate::reconcile::{ObjectId, Resource};

/// Ids at and above this one stand for rows that a dry run would create.
const FIRST_PROVISIONAL: u64 = 1 << 52;

/// Natural keys and the ids of their rows, of every kind of object, filled as a run goes on.
#[derive(Debug, Clone, Default)]
pub struct Ids {
    known: BTreeMap<&'static str, BTreeMap<String, ObjectId>>,
    provisional: BTreeMap<ObjectId, String>,
}

impl Ids {
    /// The id of the row of kind `R` with this key, in the key's text form.
    pub fn find<R: Resource>(&self, key: &str) -> Option<ObjectId> {
        self.known.get(R::PATH)?.get(key).copied()
    }

    /// Remembers a row.
    pub fn learn(&mut self, path: &'static str, key: String, id: ObjectId) {
        self.known.entry(path).or_default().insert(key, id);
    }

    /// An id for a row that a dry run would create.
    pub fn provide(&mut self, kind: &str, label: &str) -> ObjectId {
        let id = ObjectId(FIRST_PROVISIONAL + self.provisional.len() as u64);
        self.provisional.insert(id, format!("new {kind} {label}"));
        id
    }

    /// What a provisional id stands for; `None` for ids of real rows.
    pub fn provisional(&self, id: ObjectId) -> Option<&str> {
        self.provisional.get(&id).map(String::as_str)
    }

    /// Whether `id` stands for a row that does not exist yet.
    pub fn is_provisional(id: ObjectId) -> bool {
        id.0 >= FIRST_PROVISIONAL
    }
}
