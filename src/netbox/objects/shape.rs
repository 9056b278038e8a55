//! Shapes that recur in NetBox's answers.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::reconcile::{Fields, ObjectId};

/// A related object: `{"id": 5, …}`.
#[derive(Debug, Deserialize)]
pub(super) struct Nested {
    pub(super) id: ObjectId,
}

/// A related object that some rows answer as its id alone and others as an object.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Relation {
    /// Its id.
    Id(ObjectId),
    /// The object.
    Object(Nested),
}

impl From<Relation> for ObjectId {
    fn from(relation: Relation) -> Self {
        match relation {
            Relation::Id(id) | Relation::Object(Nested { id }) => id,
        }
    }
}

/// A related object with its name: `{"id": 5, "name": "db-1", …}`.
#[derive(Debug, Deserialize)]
pub(super) struct NestedNamed {
    pub(super) id: ObjectId,
    pub(super) name: Option<String>,
}

/// A choice: `{"value": "active", "label": "Active"}`.
#[derive(Debug, Deserialize)]
pub(super) struct Choice {
    pub(super) value: String,
}

/// A tag on an object: `{"id": 1, "slug": "proxbox", …}`.
#[derive(Debug, Deserialize)]
pub(super) struct Tagged {
    slug: String,
}

pub(super) fn id(nested: Option<Nested>) -> Option<ObjectId> {
    nested.map(|nested| nested.id)
}

pub(super) fn slugs(tags: Vec<Tagged>) -> BTreeSet<String> {
    tags.into_iter().map(|tag| tag.slug).collect()
}

/// What a part of `owner` is called in reports.
pub(super) fn member_label(owner: Option<&str>, name: &str) -> String {
    owner.map_or_else(|| name.to_owned(), |owner| format!("{owner}/{name}"))
}

/// Adds a field where it is asserted.
pub(super) fn put(fields: &mut Fields, name: &'static str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        fields.insert(name, value.into());
    }
}

/// Adds a field that is always asserted: as JSON null where it is empty.
pub(super) fn put_or_null(fields: &mut Fields, name: &'static str, value: Option<impl Into<Value>>) {
    fields.insert(name, value.map_or(Value::Null, Into::into));
}

/// Adds a relation where it is asserted.
pub(super) fn put_id(fields: &mut Fields, name: &'static str, id: Option<ObjectId>) {
    put(fields, name, id.map(|id| id.0));
}

/// Adds tags where there are any.
pub(super) fn put_tags(fields: &mut Fields, tags: &BTreeSet<String>) {
    if !tags.is_empty() {
        fields.insert("tags", tags.iter().cloned().map(Value::String).collect());
    }
}

/// What a row says of a value that may be empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Said<T> {
    /// Nothing: whatever is there stays.
    #[default]
    Nothing,
    /// There is none.
    Empty,
    /// It is this.
    Is(T),
}

impl<T> Said<T> {
    /// The value, where there is one.
    pub fn value(&self) -> Option<&T> {
        match self {
            Self::Is(value) => Some(value),
            Self::Nothing | Self::Empty => None,
        }
    }
}

impl<T> From<Option<T>> for Said<T> {
    /// What is there, or that there is none.
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Empty, Self::Is)
    }
}

/// Adds a field that is asserted, be it as empty.
pub(super) fn put_said(fields: &mut Fields, name: &'static str, said: &Said<impl Into<Value> + Clone>) {
    match said {
        Said::Nothing => {}
        Said::Empty => {
            fields.insert(name, Value::Null);
        }
        Said::Is(value) => {
            fields.insert(name, value.clone().into());
        }
    }
}

/// Adds a relation that is asserted, be it as empty.
pub(super) fn put_said_id(fields: &mut Fields, name: &'static str, said: Said<ObjectId>) {
    let said = match said {
        Said::Nothing => Said::Nothing,
        Said::Empty => Said::Empty,
        Said::Is(id) => Said::Is(id.0),
    };
    put_said(fields, name, &said);
}

/// Whether two texts name the same instant, whatever their offset and precision.
pub(super) fn is_same_instant(before: &Value, after: &Value) -> bool {
    let instant = |value: &Value| OffsetDateTime::parse(value.as_str()?, &Rfc3339).ok();
    instant(before).is_some_and(|before| instant(after) == Some(before))
}

/// A raw answer of Proxmox without what means nothing: the order of its keys, and whether a value comes as `1`, `"1"` or
/// `true`.
pub(super) fn plain(value: &Value) -> Value {
    match value {
        Value::Bool(flag) => u8::from(*flag).to_string().into(),
        Value::Number(number) => number.to_string().into(),
        Value::Array(members) => members.iter().map(plain).collect(),
        Value::Object(members) => {
            let plain = members.iter().map(|(key, value)| (key.clone(), plain(value)));
            plain.collect::<Map<_, _>>().into()
        }
        Value::Null | Value::String(_) => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn instants_are_equal_in_every_spelling() {
        let noon = json!("2026-11-24T12:00:00Z");
        for (other, is_same) in [
            (json!("2026-11-24T12:00:00+00:00"), true),
            (json!("2026-11-24T12:00:00.000000Z"), true),
            (json!("2026-11-24T13:00:00+01:00"), true),
            (json!("2026-11-24T12:00:01Z"), false),
            (json!("noon"), false),
            (Value::Null, false),
        ] {
            assert_eq!(is_same_instant(&noon, &other), is_same, "{other}");
        }
        assert!(!is_same_instant(&Value::Null, &Value::Null), "no instant at all");
    }
}
