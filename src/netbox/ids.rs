//! Ids: what earlier passes of a run have learned, natural key to NetBox id.

use std::collections::BTreeMap;

use serde_json::Value;

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

    /// Puts what they stand for in the place of provisional ids: `new device pve1`.
    pub fn spell_out(&self, value: &mut Value) {
        match value {
            Value::Number(number) => {
                let id = number.as_u64().map(ObjectId);
                if let Some(text) = id.and_then(|id| self.provisional.get(&id)) {
                    *value = text.clone().into();
                }
            }
            Value::Array(members) => members.iter_mut().for_each(|member| self.spell_out(member)),
            Value::Object(members) => members.values_mut().for_each(|member| self.spell_out(member)),
            Value::Null | Value::Bool(_) | Value::String(_) => {}
        }
    }

    /// The same in a text, such as a key.
    pub fn spell_out_text(&self, text: &str) -> String {
        let parts = text.split_inclusive(|letter: char| !letter.is_ascii_digit());
        let spelled = parts.map(|part| {
            let digits = part.trim_end_matches(|letter: char| !letter.is_ascii_digit());
            let id = digits.parse().ok().map(ObjectId);
            match id.and_then(|id| self.provisional.get(&id)) {
                Some(name) => format!("{name}{}", part.strip_prefix(digits).unwrap_or_default()),
                None => part.to_owned(),
            }
        });
        spelled.collect()
    }

    /// `id`, unless it stands for a row that does not exist yet: nobody is to look for that.
    pub fn told(id: ObjectId) -> Option<ObjectId> {
        (!Self::is_provisional(id)).then_some(id)
    }

    /// Whether `id` stands for a row that does not exist yet.
    pub fn is_provisional(id: ObjectId) -> bool {
        id.0 >= FIRST_PROVISIONAL
    }
}
