//! Finding the row that a body refers to: by number, or by attributes that fit exactly one.

use serde_json::{Map, Value};

use super::datum::Datum;
use super::schema::{Collection, CollectionId};
use super::world::World;

/// The id of the row that `value` names.
///
/// # Errors
///
/// NetBox's words for none, several, or a form that it does not know.
pub(super) fn resolve(world: &World, target: Option<CollectionId>, value: &Value) -> Result<u64, String> {
    match value {
        Value::Object(attributes) => by_attributes(world, target, attributes),
        Value::Number(_) | Value::String(_) => {
            let text = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
            let id: u64 = text.trim().parse().map_err(|_| unrecognized(&text))?;
            exists(world, target, id)
                .then_some(id)
                .ok_or_else(|| format!("Related object not found using the provided numeric ID: {id}"))
        }
        Value::Bool(_) | Value::Array(_) | Value::Null => Err(unrecognized(&python(value))),
    }
}

fn unrecognized(value: &str) -> String {
    format!(
        "Related objects must be referenced by numeric ID or by dictionary of attributes. Received an unrecognized \
         value: {value}"
    )
}

fn exists(world: &World, target: Option<CollectionId>, id: u64) -> bool {
    target.is_some_and(|target| world.row(target, id).is_some())
}

fn by_attributes(world: &World, target: Option<CollectionId>, attributes: &Map<String, Value>) -> Result<u64, String> {
    let shown = || python(&Value::Object(attributes.clone()));
    let collection = target.and_then(|target| world.schema.collection(target));
    let found = collection
        .map(|collection| matching(world, collection, attributes))
        .unwrap_or_default();
    match found.as_slice() {
        [id] => Ok(*id),
        [] => Err(format!(
            "Related object not found using the provided attributes: {}",
            shown()
        )),
        _ => Err(format!("Multiple objects match the provided attributes: {}", shown())),
    }
}

/// Up to two rows that have all of these attributes.
fn matching(world: &World, collection: &Collection, attributes: &Map<String, Value>) -> Vec<u64> {
    let Some(table) = world.table(collection.id) else {
        return Vec::new();
    };
    let fits = |id: u64| {
        attributes
            .iter()
            .all(|(name, wanted)| has(world, collection, id, name, wanted))
    };
    if let Some(id) = attributes.get("id").and_then(Value::as_u64) {
        return if fits(id) { vec![id] } else { Vec::new() };
    }
    let indexed = attributes.iter().find_map(|(name, wanted)| {
        let field = collection.field_id(name)?;
        let key = collection.fields.get(field)?.kind.stored(wanted).keys().pop()?;
        table.find(field, &key)
    });
    match indexed {
        Some(ids) => ids.iter().copied().filter(|id| fits(*id)).take(2).collect(),
        None => table.from(0).map(|(id, _)| id).filter(|id| fits(*id)).take(2).collect(),
    }
}

fn has(world: &World, collection: &Collection, id: u64, name: &str, wanted: &Value) -> bool {
    let Some(row) = world.row(collection.id, id) else {
        return false;
    };
    if name == "id" {
        return wanted.as_u64() == Some(id);
    }
    let Some(field) = collection.field(name) else {
        return false;
    };
    let value = row.get(collection.field_id(name));
    match (field.kind.target(), wanted) {
        (Some(target), Value::Object(_)) => {
            resolve(world, Some(target), wanted).is_ok_and(|other| *value == Datum::id(other))
        }
        _ => *value == field.kind.stored(wanted),
    }
}

/// How Python prints a value.
pub(super) fn python(value: &Value) -> String {
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => format!("'{text}'"),
        Value::Array(items) => format!("[{}]", items.iter().map(python).collect::<Vec<_>>().join(", ")),
        Value::Object(members) => {
            let members: Vec<String> = members
                .iter()
                .map(|(name, value)| format!("'{name}': {}", python(value)))
                .collect();
            format!("{{{}}}", members.join(", "))
        }
    }
}
