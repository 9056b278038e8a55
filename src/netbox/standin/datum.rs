//! What a column holds.

use serde_json::{Number, Value};

/// One value of a row. Relations are the id of the other row, choices their value.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) enum Datum {
    #[default]
    Null,
    Flag(bool),
    Int(i64),
    Real(f64),
    Text(Box<str>),
    Ids(Box<[u64]>),
    Json(Box<Value>),
}

/// A value by which rows are found. Text is folded to lower case; whoever needs the case compares the rows found.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Key {
    Int(i64),
    Text(Box<str>),
}

impl Key {
    pub(super) fn text(text: &str) -> Self {
        Self::Text(text.to_lowercase().into())
    }

    pub(super) fn id(id: u64) -> Self {
        Self::Int(i64::try_from(id).unwrap_or(i64::MAX))
    }
}

impl Datum {
    pub(super) fn text(text: &str) -> Self {
        Self::Text(text.into())
    }

    pub(super) fn id(id: u64) -> Self {
        Self::Int(i64::try_from(id).unwrap_or(i64::MAX))
    }

    pub(super) const fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// The id of the related row.
    pub(super) fn as_id(&self) -> Option<u64> {
        self.as_int().and_then(|id| u64::try_from(id).ok())
    }

    pub(super) const fn as_int(&self) -> Option<i64> {
        if let Self::Int(number) = self {
            Some(*number)
        } else {
            None
        }
    }

    pub(super) const fn as_text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// The ids of the related rows; none for everything that is no list of ids.
    pub(super) fn ids(&self) -> &[u64] {
        if let Self::Ids(ids) = self { ids } else { &[] }
    }

    /// The keys by which the row is found through this value.
    pub(super) fn keys(&self) -> Vec<Key> {
        match self {
            Self::Null | Self::Json(_) => Vec::new(),
            Self::Flag(flag) => vec![Key::Int(i64::from(*flag))],
            Self::Int(number) => vec![Key::Int(*number)],
            Self::Real(number) => vec![Key::Text(number.to_string().into())],
            Self::Text(text) => vec![Key::text(text)],
            Self::Ids(ids) => ids.iter().map(|id| Key::id(*id)).collect(),
        }
    }

    /// The value as it stands in an answer, relations as numbers.
    pub(super) fn to_value(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Flag(flag) => Value::Bool(*flag),
            Self::Int(number) => Value::from(*number),
            Self::Real(number) => Number::from_f64(*number).map_or(Value::Null, Value::Number),
            Self::Text(text) => Value::String(text.to_string()),
            Self::Ids(ids) => ids.iter().copied().collect(),
            Self::Json(value) => (**value).clone(),
        }
    }

    /// The value as text, for comparing with a parameter of a query.
    pub(super) fn to_text(&self) -> String {
        match self {
            Self::Null | Self::Ids(_) => String::new(),
            Self::Flag(flag) => flag.to_string(),
            Self::Int(number) => number.to_string(),
            Self::Real(number) => number.to_string(),
            Self::Text(text) => text.to_string(),
            Self::Json(value) => value.to_string(),
        }
    }
}
