//! From compared fields to what is sent.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::reconcile::{Change, Fields, ObjectId};

/// The body that creates a row with `fields`. Tags are addressed by slug alone: NetBox refuses a tag whose other
/// attributes do not match.
pub fn create_body(fields: &Fields) -> Value {
    let body: Map<String, Value> = fields
        .iter()
        .map(|(name, value)| match *name {
            "tags" => (name.to_string(), by_slug(value.as_array().into_iter().flatten())),
            _ => (name.to_string(), value.clone()),
        })
        .collect();
    Value::Object(body)
}

/// The body that changes the row `id`.
///
/// With `has_add_tags` (NetBox 4.6 and later) tags are added and taken away by NetBox itself, so that a tag which an
/// operator sets in the same moment survives; otherwise all of them are sent.
pub fn update_body(id: ObjectId, changes: &BTreeMap<&'static str, Change>, has_add_tags: bool) -> Value {
    let mut body = Map::from_iter([("id".to_owned(), json!(id))]);
    for (name, change) in changes {
        match *name {
            "tags" if has_add_tags => {
                for (verb, from, to) in [
                    ("add_tags", &change.before, &change.after),
                    ("remove_tags", &change.after, &change.before),
                ] {
                    let missing = missing(from, to);
                    if !missing.is_empty() {
                        body.insert(verb.to_owned(), by_slug(missing.into_iter()));
                    }
                }
            }
            "tags" => {
                body.insert(
                    "tags".to_owned(),
                    by_slug(change.after.as_array().into_iter().flatten()),
                );
            }
            _ => {
                body.insert((*name).to_owned(), change.after.clone());
            }
        }
    }
    Value::Object(body)
}

/// What `to` has and `from` has not.
fn missing<'a>(from: &Value, to: &'a Value) -> Vec<&'a Value> {
    let from: BTreeSet<&str> = from
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let to = to.as_array().into_iter().flatten();
    to.filter(|slug| slug.as_str().is_some_and(|slug| !from.contains(slug)))
        .collect()
}

fn by_slug<'a>(slugs: impl Iterator<Item = &'a Value>) -> Value {
    slugs.map(|slug| json!({"slug": slug})).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_added_where_netbox_can_and_sent_whole_where_it_cannot() {
        let change = Change {
            before: json!(["gold"]),
            after: json!(["gold", "proxbox"]),
        };
        let changes = BTreeMap::from([("tags", change)]);
        let added = update_body(ObjectId(5), &changes, true);
        assert_eq!(added, json!({"id": 5, "add_tags": [{"slug": "proxbox"}]}));
        let whole = update_body(ObjectId(5), &changes, false);
        assert_eq!(whole, json!({"id": 5, "tags": [{"slug": "gold"}, {"slug": "proxbox"}]}));
    }

    #[test]
    fn tag_that_goes_is_taken_away_by_netbox_where_it_can() {
        let change = Change {
            before: json!(["gold", "marked"]),
            after: json!(["gold"]),
        };
        let changes = BTreeMap::from([("tags", change)]);
        let removed = update_body(ObjectId(5), &changes, true);
        assert_eq!(removed, json!({"id": 5, "remove_tags": [{"slug": "marked"}]}));
        let whole = update_body(ObjectId(5), &changes, false);
        assert_eq!(whole, json!({"id": 5, "tags": [{"slug": "gold"}]}));
    }

    #[test]
    fn created_row_carries_its_fields_and_tags_by_slug() {
        let fields = Fields::from([("name", json!("pve1")), ("tags", json!(["proxbox"]))]);
        assert_eq!(
            create_body(&fields),
            json!({"name": "pve1", "tags": [{"slug": "proxbox"}]})
        );
    }
}
