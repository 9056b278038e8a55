//! Keys of an answer that no write sets.

use serde_json::{Value, json};

use super::datum::{Datum, Key};
use super::field::Kind;
use super::world::Found;

/// What stands under a computed key.
pub(super) enum Computed<'a> {
    Value(Value),
    Object(Option<Found<'a>>),
    Objects(Vec<Found<'a>>),
}

/// The value of the key `name`; `None` for columns that are simply stored.
pub(super) fn of<'a>(found: Found<'a>, name: &str) -> Option<Computed<'a>> {
    let path = found.collection.rules.path;
    Some(match (path, name) {
        (_, "primary_ip") => Computed::Object(found.follow("primary_ip6").or_else(|| found.follow("primary_ip4"))),
        (_, "assigned_object" | "scope") => Computed::Object(found.world.assigned(found.collection, found.row, name)),
        ("ipam/ip-addresses" | "ipam/prefixes", "family") => {
            let address = found.get("address").as_text().or_else(|| found.get("prefix").as_text());
            let is_six = address.is_some_and(|address| address.contains(':'));
            Computed::Value(if is_six { 6.into() } else { 4.into() })
        }
        ("dcim/interfaces" | "virtualization/interfaces", "mac_address") => {
            let primary = found.follow("primary_mac_address");
            Computed::Value(primary.map_or(Value::Null, |mac| mac.get("mac_address").to_value()))
        }
        ("dcim/interfaces" | "virtualization/interfaces", "mac_addresses") => {
            Computed::Objects(assigned(found, "dcim/mac-addresses"))
        }
        ("dcim/interfaces" | "virtualization/interfaces", "count_ipaddresses") => {
            Computed::Value(assigned(found, "ipam/ip-addresses").len().into())
        }
        ("dcim/interfaces", "bridge_interfaces") => Computed::Objects(related(found, path, "bridge")),
        ("ipam/ip-addresses", "nat_outside") => Computed::Objects(related(found, path, "nat_inside")),
        ("dcim/mac-addresses", "is_primary") => {
            let interface = found.world.assigned(found.collection, found.row, "assigned_object");
            let primary = interface.and_then(|interface| interface.get("primary_mac_address").as_id());
            Computed::Value((primary == Some(found.id)).into())
        }
        ("extras/tags", "tagged_items") => Computed::Value(count(found, None).into()),
        ("plugins/proxbox/sync-state/virtual-disks", "proxbox_storage_id") => {
            Computed::Value(found.get("proxbox_storage").to_value())
        }
        (_, "config_context") => Computed::Value(json!({})),
        _ => return fallback(found, name),
    })
}

fn fallback<'a>(found: Found<'a>, name: &str) -> Option<Computed<'a>> {
    let field = found.collection.field(name)?;
    if !field.is_computed {
        return None;
    }
    if let Some(counted) = name.strip_suffix("_count") {
        return Some(Computed::Value(count(found, Some(&counted.replace('_', ""))).into()));
    }
    let is_empty_number =
        matches!(field.kind, Kind::Int { .. }) && !field.is_nullable && *found.get(name) == Datum::Null;
    is_empty_number.then(|| Computed::Value(0.into()))
}

fn assigned<'a>(found: Found<'a>, path: &str) -> Vec<Found<'a>> {
    let world = found.world;
    let ids = world.assigned_to(path, found.collection.rules.model, found.id);
    let collection = world.schema.at(path);
    ids.into_iter()
        .filter_map(|id| world.found(collection?.id, id))
        .collect()
}

fn related<'a>(found: Found<'a>, path: &str, column: &str) -> Vec<Found<'a>> {
    let world = found.world;
    let collection = world.schema.at(path);
    let ids = world.rows_with(path, column, &Key::id(found.id));
    ids.into_iter()
        .filter_map(|id| world.found(collection?.id, id))
        .collect()
}

/// How many rows point here: those of the model that ends in `model`, or of all models.
fn count(found: Found<'_>, model: Option<&str>) -> usize {
    let schema = &found.world.schema;
    let inbound = schema
        .inbound
        .get(found.collection.id)
        .map(Vec::as_slice)
        .unwrap_or_default();
    let counts = inbound.iter().filter_map(|relation| {
        let collection = schema.collection(relation.collection)?;
        if model.is_some_and(|model| !collection.rules.model.ends_with(model)) {
            return None;
        }
        let rows = found
            .world
            .table(relation.collection)?
            .find(relation.field, &Key::id(found.id))?;
        Some(rows.len())
    });
    if model.is_some() {
        return counts.max().unwrap_or_default();
    }
    counts.sum()
}
