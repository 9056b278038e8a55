//! The filters of a read, as NetBox honours them: unknown names are ignored, values that cannot be are refused.

use std::collections::{BTreeSet, HashSet};

use super::datum::Key;
use super::field::{Field, Kind};
use super::fit::Test;
use super::refusal::Errors;
use super::schema::{Collection, CollectionId, FieldId, Lookups};
use super::special_filters;
use super::world::World;

/// Parameters that are no filters.
const CONTROLS: &[&str] = &[
    "limit", "offset", "ordering", "fields", "omit", "brief", "start", "format", "exclude",
];

/// Filters by the id of a related row that take one value only, unlike others that are called alike.
const SINGLE: &[&str] = &["prefix_list_id", "routing_policy_id"];

/// Why a read is refused.
#[derive(Debug)]
pub(super) enum Unreadable {
    /// NetBox refuses the value.
    Invalid(Errors),
    /// NetBox has the filter, the stand-in does not.
    NotImplemented(String),
}

/// The ids of the rows that fit all filters in `pairs`, ascending; `None` where nothing narrows the list.
///
/// # Errors
///
/// As NetBox, and where a filter is known that the stand-in lacks.
pub(super) fn matching(
    world: &World,
    collection: &Collection,
    pairs: &[(String, String)],
) -> Result<Option<Vec<u64>>, Unreadable> {
    let mut tests = Vec::new();
    let mut seen = BTreeSet::new();
    for (name, _) in pairs {
        if CONTROLS.contains(&name.as_str()) || !seen.insert(name) {
            continue;
        }
        let values: Vec<&str> = pairs
            .iter()
            .filter(|(other, _)| other == name)
            .map(|(_, value)| value.as_str())
            .collect();
        tests.extend(test(world, collection, name, &values)?);
    }
    if tests.is_empty() {
        return Ok(None);
    }
    let candidates = tests
        .iter()
        .filter_map(|test| test.candidates(world, collection.id))
        .min_by_key(BTreeSet::len);
    let fits = |id: u64| {
        let found = world.found(collection.id, id);
        found.is_some_and(|found| tests.iter().all(|test| test.fits(found)))
    };
    Ok(Some(if let Some(ids) = candidates {
        ids.into_iter().filter(|id| fits(*id)).collect()
    } else {
        let rows = world.table(collection.id).into_iter().flat_map(|table| table.from(0));
        rows.map(|(id, _)| id).filter(|id| fits(*id)).collect()
    }))
}

fn invalid(name: &str, message: String) -> Unreadable {
    Unreadable::Invalid(Errors::one(name, message))
}

fn no_choice(name: &str, value: &str) -> Unreadable {
    invalid(
        name,
        format!("Select a valid choice. {value} is not one of the available choices."),
    )
}

fn test(world: &World, collection: &Collection, name: &str, values: &[&str]) -> Result<Option<Test>, Unreadable> {
    let (base, suffix) = match name.rsplit_once("__") {
        Some((base, suffix)) if collection.lookups(name).is_none() => (base, suffix),
        _ => (name, ""),
    };
    let Some(lookups) = collection.lookups(base) else {
        return Ok(None);
    };
    if (base, suffix) == ("tag", "n") {
        let tags = collection.field_id("tags");
        return tags
            .map(|field| no_tags(world, collection, (name, field), values))
            .transpose();
    }
    if !has_lookup(lookups, suffix) {
        return Ok(None);
    }
    if suffix.is_empty()
        && let Some(test) = special_filters::test(world, collection, base, values)?
    {
        return Ok(Some(test));
    }
    let name_of_column = if base == "tag" { "tags" } else { base };
    let column = || {
        let id = collection.field_id(name_of_column)?;
        Some((id, collection.fields.get(id)?))
    };
    let related = || {
        let id = collection.field_id(base.strip_suffix("_id")?)?;
        let target = collection.fields.get(id)?.kind.target()?;
        Some((id, target))
    };
    if base == "id" {
        return ids(name, suffix, values).map(Some);
    }
    if !suffix.is_empty() {
        let Some((field, _)) = column() else {
            return Err(Unreadable::NotImplemented(name.to_owned()));
        };
        let values = values.iter().map(|value| (*value).to_owned()).collect();
        return Ok(Some(Test::Lookup {
            field: Some(field),
            suffix: suffix.to_owned(),
            values,
        }));
    }
    if let Some((field, target)) = related() {
        return by_number(world, collection, (name, field, target), values).map(Some);
    }
    let Some((field, column)) = column() else {
        return Err(Unreadable::NotImplemented(name.to_owned()));
    };
    by_column(world, collection, (name, field, column), values)
}

/// A filter by tags that rows must not have.
fn no_tags(
    world: &World,
    collection: &Collection,
    (name, field): (&str, FieldId),
    values: &[&str],
) -> Result<Test, Unreadable> {
    let target = collection.fields.get(field).and_then(|column| column.kind.target());
    let tag = |slug: &&str| {
        target
            .and_then(|target| by_slug(world, target, slug))
            .ok_or_else(|| no_choice(name, slug))
    };
    let tags = values.iter().map(tag).collect::<Result<Vec<u64>, _>>()?;
    Ok(Test::NoTags { field, tags })
}

fn has_lookup(lookups: Lookups, suffix: &str) -> bool {
    match lookups {
        _ if suffix.is_empty() => true,
        Lookups::Text => matches!(
            suffix,
            "n" | "ic" | "nic" | "ie" | "nie" | "isw" | "nisw" | "iew" | "niew" | "empty"
        ),
        Lookups::Number => matches!(suffix, "n" | "lt" | "lte" | "gt" | "gte" | "empty"),
        Lookups::Choice => suffix == "n",
        Lookups::Plain => false,
    }
}

fn ids(name: &str, suffix: &str, values: &[&str]) -> Result<Test, Unreadable> {
    let wanted: Result<BTreeSet<u64>, _> = values.iter().map(|value| value.parse()).collect();
    let wanted = wanted.map_err(|_| invalid(name, "Enter a whole number.".to_owned()))?;
    if suffix.is_empty() {
        return Ok(Test::Ids(wanted));
    }
    Ok(Test::Lookup {
        field: None,
        suffix: suffix.to_owned(),
        values: wanted.iter().map(ToString::to_string).collect(),
    })
}

/// A filter by the id of a related row.
fn by_number(
    world: &World,
    collection: &Collection,
    (name, field, target): (&str, FieldId, CollectionId),
    values: &[&str],
) -> Result<Test, Unreadable> {
    let is_lenient = collection.rules.is_sidecar();
    let is_plain = !name.ends_with("_id") && !has_repeatable_relations(collection);
    let is_single = collection.rules.is_plugin() && (is_plain || SINGLE.contains(&name));
    let values = if is_single {
        values.get(values.len().saturating_sub(1)..).unwrap_or_default()
    } else {
        values
    };
    let (mut keys, mut or_null) = (HashSet::new(), false);
    for value in values {
        match value.parse::<u64>() {
            Ok(id) if is_lenient || world.row(target, id).is_some() => {
                keys.insert(Key::id(id));
            }
            Err(_) if *value == "null" && !is_single => or_null = true,
            _ if is_single => {
                let text = "Select a valid choice. That choice is not one of the available choices.";
                return Err(invalid(name, text.to_owned()));
            }
            Ok(_) => return Err(no_choice(name, value)),
            Err(_) => return Err(invalid(name, format!("\u{201c}{value}\u{201d} is not a valid value."))),
        }
    }
    Ok(Test::Column {
        field,
        keys,
        or_null,
        is_exact: None,
    })
}

fn has_repeatable_relations(collection: &Collection) -> bool {
    collection.rules.path.ends_with("guest-vm-interface-addresses")
}

fn by_column(
    world: &World,
    collection: &Collection,
    (name, field, column): (&str, FieldId, &Field),
    values: &[&str],
) -> Result<Option<Test>, Unreadable> {
    let of_keys = |keys| Test::Column {
        field,
        keys,
        or_null: false,
        is_exact: None,
    };
    match &column.kind {
        Kind::One(Some(target)) if collection.rules.is_plugin() => {
            by_number(world, collection, (name, field, *target), values).map(Some)
        }
        Kind::One(Some(target)) => {
            let mut keys = HashSet::new();
            for value in values {
                let id = by_slug(world, *target, value).ok_or_else(|| no_choice(name, value))?;
                keys.insert(Key::id(id));
            }
            Ok(Some(of_keys(keys)))
        }
        Kind::One(None) => Err(no_choice(name, values.first().copied().unwrap_or_default())),
        Kind::Many(Some(target)) if name == "tag" => {
            let tags = values
                .iter()
                .map(|slug| by_slug(world, *target, slug).ok_or_else(|| no_choice(name, slug)));
            let tags = tags.collect::<Result<Vec<u64>, _>>()?;
            Ok(Some(Test::Tags { field, tags }))
        }
        Kind::Choice(known) => {
            let is_known = |value: &str| known.iter().any(|known| known.as_str() == Some(value));
            if let Some(value) = values.iter().find(|value| !is_known(value)) {
                return Err(no_choice(name, value));
            }
            Ok(Some(of_keys(values.iter().map(|value| Key::text(value)).collect())))
        }
        Kind::Int { .. } => {
            let numbers: Result<HashSet<Key>, _> = values.iter().map(|value| value.parse().map(Key::Int)).collect();
            let numbers = numbers.map_err(|_| invalid(name, "Enter a whole number.".to_owned()))?;
            Ok(Some(of_keys(numbers)))
        }
        Kind::Flag => Ok(flag(values).map(|flag| of_keys(HashSet::from([flag])))),
        Kind::Time => {
            let values = values.iter().map(|value| (*value).to_owned()).collect();
            let (field, suffix) = (Some(field), String::new());
            Ok(Some(Test::Lookup { field, suffix, values }))
        }
        Kind::Text(_) | Kind::Real { .. } | Kind::Many(_) | Kind::Json => {
            Ok(Some(by_text(collection, (name, field), values)))
        }
    }
}

/// The wanted flag; anything but true or false is no filter.
fn flag(values: &[&str]) -> Option<Key> {
    match values.last()?.to_lowercase().as_str() {
        "true" | "1" => Some(Key::Int(1)),
        "false" | "0" => Some(Key::Int(0)),
        _ => None,
    }
}

fn by_text(collection: &Collection, (name, field): (&str, FieldId), values: &[&str]) -> Test {
    let is_single = name == "name" && collection.rules.path.ends_with("guest-vm-interfaces");
    let values = if is_single {
        values.get(values.len().saturating_sub(1)..).unwrap_or_default()
    } else {
        values
    };
    // NetBox compares the names of devices and machines without regard to case.
    let is_folded = name == "name"
        && matches!(
            collection.rules.path,
            "dcim/devices" | "virtualization/virtual-machines"
        );
    Test::Column {
        field,
        keys: values.iter().map(|value| Key::text(value)).collect(),
        or_null: values.contains(&"null"),
        is_exact: (!is_folded).then(|| values.iter().map(|value| (*value).to_owned()).collect()),
    }
}

fn by_slug(world: &World, target: CollectionId, value: &str) -> Option<u64> {
    let collection = world.schema.collection(target)?;
    let column = ["slug", "name", "model"]
        .into_iter()
        .find_map(|name| collection.field_id(name))?;
    let table = world.table(target)?;
    let mut rows = table.find(column, &Key::text(value))?.iter().copied();
    rows.find(|id| {
        table
            .get(*id)
            .is_some_and(|row| row.get(Some(column)).as_text() == Some(value))
    })
}
