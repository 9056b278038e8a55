//! Shapes that recur in NetBox's answers.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::reconcile::{Fields, ObjectId};

/// A related object: `{"id": 5, …}`.
#[derive(Debug, Deserialize)]
pub(super) struct Nested {
    pub(super) id: ObjectId,
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

/// Adds a field where it is asserted.
pub(super) fn put(fields: &mut Fields, name: &'static str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        fields.insert(name, value.into());
    }
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

/// Whether two texts name the same instant, whatever their offset and precision.
pub(super) fn is_same_instant(before: &Value, after: &Value) -> bool {
    let instant = |value: &Value| OffsetDateTime::parse(value.as_str()?, &Rfc3339).ok();
    instant(before).is_some_and(|before| instant(after) == Some(before))
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
