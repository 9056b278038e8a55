//! Whether a row fits a filter.

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashSet};

use super::datum::{Datum, Key};
use super::render::is_blank;
use super::schema::{CollectionId, FieldId};
use super::text;
use super::world::{Found, World};

/// Which rows fit one filter.
pub(super) enum Test {
    /// One of these ids.
    Ids(BTreeSet<u64>),
    /// A column has one of these values; `null` stands for no value.
    Column {
        field: FieldId,
        keys: HashSet<Key>,
        or_null: bool,
        is_exact: Option<HashSet<String>>,
    },
    /// A column's text or number fits a lookup with any of the values.
    Lookup {
        field: Option<FieldId>,
        suffix: String,
        values: Vec<String>,
    },
    /// Every one of these tags.
    Tags { field: FieldId, tags: Vec<u64> },
    /// None of these tags.
    NoTags { field: FieldId, tags: Vec<u64> },
}

impl Test {
    /// The rows that an index finds; `None` where every row must be looked at.
    pub(super) fn candidates(&self, world: &World, collection: CollectionId) -> Option<BTreeSet<u64>> {
        let table = world.table(collection)?;
        match self {
            Self::Ids(ids) => Some(ids.clone()),
            Self::Column {
                field,
                keys,
                or_null: false,
                ..
            } => {
                let mut found = BTreeSet::new();
                for key in keys {
                    found.extend(table.find(*field, key)?);
                }
                Some(found)
            }
            Self::Tags { field, tags } => table.find(*field, &Key::id(*tags.first()?)).cloned(),
            Self::Column { .. } | Self::Lookup { .. } | Self::NoTags { .. } => None,
        }
    }

    /// Whether the row fits.
    pub(super) fn fits(&self, found: Found<'_>) -> bool {
        match self {
            Self::Ids(ids) => ids.contains(&found.id),
            Self::Column {
                field,
                keys,
                or_null,
                is_exact,
            } => {
                let value = found.row.get(Some(*field));
                if value.is_null() {
                    return *or_null;
                }
                match (is_exact, value.as_text()) {
                    (Some(exact), Some(text)) => exact.contains(text),
                    _ => value.keys().iter().any(|key| keys.contains(key)),
                }
            }
            Self::Tags { field, tags } => {
                let own = found.row.get(Some(*field)).ids();
                tags.iter().all(|tag| own.contains(tag))
            }
            Self::NoTags { field, tags } => {
                let own = found.row.get(Some(*field)).ids();
                !tags.iter().any(|tag| own.contains(tag))
            }
            Self::Lookup { field, suffix, values } => {
                let id = Datum::id(found.id);
                let value = field.map_or(&id, |field| found.row.get(Some(field)));
                looked_up(value, suffix, values)
            }
        }
    }
}

fn looked_up(value: &Datum, suffix: &str, values: &[String]) -> bool {
    let text = value.to_text().to_lowercase();
    let any = |fits: fn(&str, &str) -> bool| values.iter().any(|wanted| fits(&text, &wanted.to_lowercase()));
    match suffix {
        "n" => !any(|text, wanted| text == wanted),
        "ic" => any(|text, wanted| text.contains(wanted)),
        "nic" => !any(|text, wanted| text.contains(wanted)),
        "ie" => any(|text, wanted| text == wanted),
        "nie" => !any(|text, wanted| text == wanted),
        "isw" => any(|text, wanted| text.starts_with(wanted)),
        "nisw" => !any(|text, wanted| text.starts_with(wanted)),
        "iew" => any(|text, wanted| text.ends_with(wanted)),
        "niew" => !any(|text, wanted| text.ends_with(wanted)),
        "empty" => values.iter().any(|wanted| (wanted == "true") == is_blank(value)),
        _ => values.iter().any(|wanted| {
            let Some(order) = compared(value, wanted) else {
                return false;
            };
            match suffix {
                "lt" => order.is_lt(),
                "lte" => order.is_le(),
                "gt" => order.is_gt(),
                "gte" => order.is_ge(),
                _ => order.is_eq(),
            }
        }),
    }
}

fn compared(value: &Datum, wanted: &str) -> Option<Ordering> {
    match value {
        Datum::Int(number) => Some(number.cmp(&wanted.parse().ok()?)),
        Datum::Real(number) => number.partial_cmp(&wanted.parse().ok()?),
        Datum::Text(time) => {
            let whole = if wanted.contains('T') {
                wanted.to_owned()
            } else {
                format!("{wanted}T00:00:00Z")
            };
            Some(time.as_ref().cmp(text::time(&whole)?.as_str()))
        }
        Datum::Null | Datum::Flag(_) | Datum::Ids(_) | Datum::Json(_) => None,
    }
}
