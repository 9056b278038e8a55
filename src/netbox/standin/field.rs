//! One column: what it takes and how that is stored.

use serde_json::Value;

use super::datum::Datum;
use super::schema::{self, CollectionId};
use super::text;

/// What a text must look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Free,
    Slug,
    Color,
    Link,
}

/// Limits of a text.
#[derive(Debug, Clone, Copy)]
pub(super) struct TextRule {
    pub(super) longest: Option<u64>,
    pub(super) may_be_blank: bool,
    pub(super) format: Format,
}

/// What a column holds. A relation without a collection points to a kind of object that the stand-in does not hold.
#[derive(Debug)]
pub(super) enum Kind {
    Text(TextRule),
    Int {
        least: Option<i64>,
        most: Option<i64>,
    },
    Real {
        least: Option<f64>,
        most: Option<f64>,
        has_two_decimals: bool,
    },
    Flag,
    Time,
    Choice(Vec<Value>),
    One(Option<CollectionId>),
    Many(Option<CollectionId>),
    Json,
}

/// One column.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) is_nullable: bool,
    pub(super) is_required: bool,
    /// Answered, but not taken.
    pub(super) is_computed: bool,
    pub(super) default: Datum,
}

impl Field {
    /// `target` is the collection of a relation, if the stand-in holds it.
    pub(super) fn new(name: &str, property: &Value, is_relation: bool, target: Option<CollectionId>) -> Self {
        let word = |key: &str| property.get(key).and_then(Value::as_str).unwrap_or_default();
        let is_nullable = property.get("nullable").is_some();
        let kind = match (is_relation, word("type"), word("format")) {
            (true, "array", _) => Kind::Many(target),
            (true, _, _) => Kind::One(target),
            (false, _, "date-time") => Kind::Time,
            (false, kind, format) => match property.get("enum").and_then(Value::as_array) {
                Some(values) => Kind::Choice(values.clone()),
                None => plain(kind, format, property),
            },
        };
        let default = schema::unset(&kind, is_nullable, property);
        Self {
            name: name.to_owned(),
            is_nullable,
            is_required: false,
            is_computed: property.get("readOnly").is_some(),
            default,
            kind,
        }
    }
}

fn plain(kind: &str, format: &str, property: &Value) -> Kind {
    let number = |key: &str| property.get(key).and_then(Value::as_i64);
    let real = |key: &str| property.get(key).and_then(Value::as_f64);
    match kind {
        "string" => Kind::Text(TextRule {
            longest: property.get("maxLength").and_then(Value::as_u64),
            may_be_blank: property.get("minLength").is_none(),
            format: match property.get("pattern").and_then(Value::as_str) {
                Some("^[-a-zA-Z0-9_]+$" | "^[-\\w]+$") => Format::Slug,
                Some("^[0-9a-f]{6}$") => Format::Color,
                _ if format == "uri" => Format::Link,
                _ => Format::Free,
            },
        }),
        "integer" => Kind::Int {
            least: number("minimum"),
            most: number("maximum"),
        },
        "number" => Kind::Real {
            least: real("minimum"),
            most: real("maximum"),
            has_two_decimals: property.get("multipleOf").is_some(),
        },
        "boolean" => Kind::Flag,
        _ => Kind::Json,
    }
}

impl Kind {
    /// `value`, which is known to be right, as it is stored.
    pub(super) fn stored(&self, value: &Value) -> Datum {
        match (self, value) {
            (_, Value::Null) => Datum::Null,
            (Self::Json, value) => Datum::Json(Box::new(value.clone())),
            (Self::Time, Value::String(time)) => text::time(time).map_or(Datum::Null, |time| Datum::text(&time)),
            (Self::Real { .. }, Value::Number(number)) => number.as_f64().map_or(Datum::Null, Datum::Real),
            (_, Value::Number(number)) => number.as_i64().map_or(Datum::Null, Datum::Int),
            (_, Value::Bool(flag)) => Datum::Flag(*flag),
            (_, Value::String(text)) => Datum::text(text),
            (_, value) => Datum::Json(Box::new(value.clone())),
        }
    }
}
