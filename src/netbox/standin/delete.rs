//! Deleting a row with what depends on it.

use std::collections::BTreeSet;

use super::datum::{Datum, Key};
use super::field::Kind;
use super::refusal::Refusal;
use super::rules;
use super::schema::{CollectionId, FieldId};
use super::world::{Found, World};

/// Rows that go when their interface goes.
const ASSIGNED: &[&str] = &[
    "ipam/ip-addresses",
    "dcim/mac-addresses",
    "extras/journal-entries",
    "vpn/l2vpn-terminations",
];
/// Rows that lose their scope when it goes.
const SCOPED: &[&str] = &["virtualization/clusters", "ipam/prefixes", "ipam/vlan-groups"];

#[derive(Default)]
struct Plan {
    gone: Vec<(CollectionId, u64)>,
    seen: BTreeSet<(CollectionId, u64)>,
    cleared: Vec<(CollectionId, u64, FieldId)>,
    /// Rows that must go too, with their names.
    restricted: Vec<(CollectionId, u64, String)>,
}

/// What becomes of a row when the one it points to is deleted.
enum Fate {
    Protects,
    Restricts,
    Goes,
    IsCleared,
}

/// Deletes a row, and with it what cannot be without it.
///
/// # Errors
///
/// [`Refusal::Protected`] where a row depends on it that may not be taken along.
pub(super) fn delete(world: &mut World, collection: CollectionId, id: u64) -> Result<(), Refusal> {
    let mut plan = Plan::default();
    let Some(found) = world.found(collection, id) else {
        return Ok(());
    };
    gather(&mut plan, found)?;
    let left = plan
        .restricted
        .iter()
        .filter(|(collection, id, _)| !plan.seen.contains(&(*collection, *id)));
    let left: Vec<String> = left.map(|(_, _, name)| name.clone()).collect();
    if !left.is_empty() {
        return Err(Refusal::Protected(left));
    }
    for (collection, id, field) in plan.cleared {
        clear(world, collection, id, field, &plan.seen);
    }
    for (collection, id) in plan.gone {
        let row = world.row(collection, id).cloned();
        world.remove(collection, id);
        if let Some(row) = row {
            rules::deleted(world, collection, &row);
        }
    }
    Ok(())
}

fn gather(plan: &mut Plan, found: Found<'_>) -> Result<(), Refusal> {
    if !plan.seen.insert((found.collection.id, found.id)) {
        return Ok(());
    }
    let (mut protected, mut going) = (Vec::new(), Vec::new());
    for (other, field) in dependents(found) {
        let name = || format!("{} ({})", other.display(), other.id);
        match fate(other, field) {
            Fate::Protects => protected.push(name()),
            Fate::Restricts => plan.restricted.push((other.collection.id, other.id, name())),
            Fate::Goes => going.push(other),
            Fate::IsCleared => plan.cleared.push((other.collection.id, other.id, field)),
        }
    }
    if !protected.is_empty() {
        return Err(Refusal::Protected(protected));
    }
    for path in ASSIGNED {
        going.extend(of_model(found, path, "assigned_object"));
    }
    for path in SCOPED {
        for other in of_model(found, path, "scope") {
            let columns = ["scope_type", "scope_id"];
            let columns = columns.iter().filter_map(|column| other.collection.field_id(column));
            plan.cleared
                .extend(columns.map(|field| (other.collection.id, other.id, field)));
        }
    }
    for other in going {
        gather(plan, other)?;
    }
    plan.gone.push((found.collection.id, found.id));
    Ok(())
}

fn dependents(found: Found<'_>) -> Vec<(Found<'_>, FieldId)> {
    let world = found.world;
    let inbound = world.schema.inbound.get(found.collection.id);
    let mut dependents = Vec::new();
    for relation in inbound.into_iter().flatten() {
        let table = world.table(relation.collection);
        let rows = table.and_then(|table| table.find(relation.field, &Key::id(found.id)));
        let rows = rows
            .into_iter()
            .flatten()
            .filter_map(|id| world.found(relation.collection, *id));
        dependents.extend(rows.map(|row| (row, relation.field)));
    }
    dependents
}

fn fate(other: Found<'_>, field: FieldId) -> Fate {
    let Some(column) = other.collection.fields.get(field) else {
        return Fate::IsCleared;
    };
    let (name, rules) = (column.name.as_str(), other.collection.rules);
    if rules.protects.contains(&name) {
        Fate::Protects
    } else if rules.restricts.contains(&name) {
        Fate::Restricts
    } else if matches!(column.kind, Kind::One(_)) && (rules.cascades.contains(&name) || !column.is_nullable) {
        Fate::Goes
    } else {
        Fate::IsCleared
    }
}

/// The rows at `path` that are assigned or scoped to this object.
fn of_model<'a>(found: Found<'a>, path: &str, prefix: &str) -> Vec<Found<'a>> {
    let world = found.world;
    let Some(collection) = world.schema.at(path) else {
        return Vec::new();
    };
    if prefix == "assigned_object" {
        let ids = world.assigned_to(path, found.collection.rules.model, found.id);
        return ids
            .into_iter()
            .filter_map(|id| world.found(collection.id, id))
            .collect();
    }
    if found.collection.rules.path != "dcim/sites" {
        return Vec::new();
    }
    let rows = world.table(collection.id).into_iter().flat_map(|table| table.from(0));
    let rows = rows.filter_map(|(id, _)| world.found(collection.id, id));
    rows.filter(|row| {
        let scope = world.assigned(row.collection, row.row, prefix);
        scope.is_some_and(|scope| scope.collection.id == found.collection.id && scope.id == found.id)
    })
    .collect()
}

fn clear(world: &mut World, collection: CollectionId, id: u64, field: FieldId, gone: &BTreeSet<(CollectionId, u64)>) {
    let Some(row) = world.row(collection, id) else { return };
    let target = world
        .schema
        .collection(collection)
        .and_then(|collection| collection.fields.get(field)?.kind.target());
    let value = if let Datum::Ids(ids) = row.get(Some(field)) {
        let is_left = |id: &u64| target.is_none_or(|target| !gone.contains(&(target, *id)));
        Datum::Ids(ids.iter().copied().filter(is_left).collect())
    } else {
        Datum::Null
    };
    world.set(collection, id, Some(field), value);
}
