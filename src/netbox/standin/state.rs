//! Everything that NetBox holds, without numbers and times, for comparing two runs.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::render::{self, Selection};
use super::world::World;

/// Keys that differ from one NetBox to the next.
const DROPPED: &[&str] = &[
    "id",
    "url",
    "display_url",
    "created",
    "last_updated",
    "display",
    "_occupied",
    "_depth",
    "local_context_data",
    "config_context",
    "scope_id",
    "assigned_object_id",
    "proxbox_storage_id",
    "proxmox_last_synced_role_id",
];
/// Columns that name an object, the first one that is set.
const NAMES: &[&str] = &[
    "name",
    "address",
    "cid",
    "model",
    "mac_address",
    "upid",
    "volume_id",
    "slug",
    "display",
];
const OWN_NAMES: &[&str] = &[
    "upid",
    "volume_id",
    "address",
    "mac_address",
    "name",
    "model",
    "job_id",
    "replication_id",
    "slug",
];
const PARENTS: &[&str] = &[
    "virtual_machine",
    "device",
    "vm_interface",
    "cluster",
    "assigned_object",
];
/// Collections that no sync writes.
const LEFT_OUT: &[&str] = &["users/users", "users/tokens", "core/jobs", "plugins/proxbox/settings"];

/// Every row by collection and natural name; links are the name of the other row.
pub(super) fn state(world: &World) -> Value {
    let mut all = Map::new();
    let mut collections: Vec<_> = world.schema.collections.iter().collect();
    collections.sort_by_key(|collection| collection.rules.path);
    for collection in collections {
        if LEFT_OUT.contains(&collection.rules.path) {
            continue;
        }
        let mut rows: BTreeMap<String, Value> = BTreeMap::new();
        let mut named: Vec<(String, Value)> = world
            .table(collection.id)
            .into_iter()
            .flat_map(|table| table.from(0))
            .filter_map(|(id, _)| world.found(collection.id, id))
            .map(|found| {
                let row = render::row(found, "", &Selection::default());
                (key(&row), bare_row(&row))
            })
            .collect();
        named.sort_by_cached_key(|(key, row)| (key.clone(), row.to_string()));
        for (key, row) in named {
            let numbered = (2..).map(|number| format!("{key}#{number}"));
            let free = std::iter::once(key.clone())
                .chain(numbered)
                .find(|key| !rows.contains_key(key));
            rows.insert(free.unwrap_or(key), row);
        }
        all.insert(
            collection.rules.path.to_owned(),
            Value::Object(rows.into_iter().collect()),
        );
    }
    Value::Object(all)
}

/// SHA-256 of the state, in hex.
pub(super) fn fingerprint(world: &World) -> String {
    let mut text = String::new();
    for byte in Sha256::digest(state(world).to_string()) {
        // Writing to a text cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn key(row: &Value) -> String {
    let parent = PARENTS
        .iter()
        .find_map(|name| row.get(name).filter(|parent| parent.is_object()));
    let own = OWN_NAMES
        .iter()
        .find_map(|name| row.get(name)?.as_str().filter(|text| !text.is_empty()));
    let own = own.map_or_else(
        || bare_row(row).to_string().chars().take(160).collect(),
        ToOwned::to_owned,
    );
    match parent {
        Some(parent) => format!("{}|{own}", text(&named(parent))),
        None => own,
    }
}

/// A row without what differs by itself, its keys in order.
fn bare_row(row: &Value) -> Value {
    let members: BTreeMap<&String, Value> = row
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(name, _)| !DROPPED.contains(&name.as_str()) && !name.ends_with("_count") && *name != "tagged_items")
        .map(|(name, value)| (name, named(value)))
        .collect();
    members.into_iter().map(|(name, value)| (name.clone(), value)).collect()
}

/// Objects become their names, choices their values.
fn named(value: &Value) -> Value {
    match value {
        Value::Object(object) if object.len() == 2 && object.contains_key("value") && object.contains_key("label") => {
            object.get("value").cloned().unwrap_or_default()
        }
        Value::Object(object) if object.contains_key("id") && object.contains_key("display") => {
            let owner = ["virtual_machine", "device"]
                .iter()
                .find_map(|name| object.get(*name).filter(|owner| owner.is_object()));
            let name = NAMES
                .iter()
                .find_map(|name| object.get(*name)?.as_str().filter(|text| !text.is_empty()));
            let name = name.unwrap_or("obj");
            match owner {
                Some(owner) => format!("{}/{name}", text(&named(owner))).into(),
                None => name.into(),
            }
        }
        Value::Object(_) => bare_row(value),
        Value::Array(items) => {
            let mut items: Vec<Value> = items.iter().map(named).collect();
            items.sort_by_cached_key(ToString::to_string);
            Value::Array(items)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}
