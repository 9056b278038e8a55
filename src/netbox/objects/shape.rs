//! Shapes that recur in NetBox's answers.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::Value;

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

/// What is said of a field that may be empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Setting<T> {
    /// Nothing: what is stored stays.
    #[default]
    Kept,
    /// It is empty.
    Empty,
    /// It holds this.
    Is(T),
}

impl<T> Setting<T> {
    /// The value, where one is said.
    pub fn value(self) -> Option<T> {
        match self {
            Self::Is(value) => Some(value),
            Self::Kept | Self::Empty => None,
        }
    }

    pub(super) fn as_ref(&self) -> Setting<&T> {
        match self {
            Self::Kept => Setting::Kept,
            Self::Empty => Setting::Empty,
            Self::Is(value) => Setting::Is(value),
        }
    }

    pub(super) fn map<U>(self, change: impl FnOnce(T) -> U) -> Setting<U> {
        match self {
            Self::Kept => Setting::Kept,
            Self::Empty => Setting::Empty,
            Self::Is(value) => Setting::Is(change(value)),
        }
    }
}

impl<T> From<Option<T>> for Setting<T> {
    /// A stored value: empty where there is none.
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Empty, Self::Is)
    }
}

impl Setting<ObjectId> {
    pub(super) fn stored(nested: Option<Nested>) -> Self {
        id(nested).into()
    }
}

/// Adds a field of which something is said; JSON null where it is said to be empty.
pub(super) fn put_setting(fields: &mut Fields, name: &'static str, setting: Setting<impl Into<Value>>) {
    match setting {
        Setting::Kept => {}
        Setting::Empty => {
            fields.insert(name, Value::Null);
        }
        Setting::Is(value) => {
            fields.insert(name, value.into());
        }
    }
}
