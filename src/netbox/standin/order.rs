//! The order of rows in a list.

use std::cmp::Ordering;
use std::net::IpAddr;

use super::datum::Datum;
use super::schema::Collection;
use super::text;
use super::world::{Found, World};

/// One column of an order, read once per row.
#[derive(Debug)]
enum Part {
    Null,
    Number(i64),
    Real(f64),
    Name(String),
    Bytes(String),
    Address(Option<IpAddr>, String),
}

/// Sorts `ids` by `columns`, then by id. `a.b` and `a__b` follow a relation, `-` turns a column round; unknown columns
/// are left out, and where none is left the collection's own order holds.
pub(super) fn sort(world: &World, collection: &Collection, ids: &mut Vec<u64>, columns: &[&str]) {
    let known = |columns: &'_ [&'_ str]| -> Vec<(bool, Vec<String>)> {
        let split = |column: &&str| {
            let bare = column.strip_prefix('-').unwrap_or(column);
            let path = bare.split("__").flat_map(|part| part.split('.')).map(ToOwned::to_owned);
            (column.starts_with('-'), path.collect::<Vec<String>>())
        };
        let is_known = |path: &[String]| {
            path.first()
                .is_some_and(|name| name == "id" || collection.field_id(name).is_some())
        };
        columns.iter().map(split).filter(|(_, path)| is_known(path)).collect()
    };
    let mut columns = known(columns);
    if columns.is_empty() {
        columns = known(collection.rules.order);
    }
    let mut keyed: Vec<(Vec<Part>, u64)> = ids
        .iter()
        .map(|id| {
            let parts = columns
                .iter()
                .map(|(_, path)| part(world, collection, *id, path))
                .collect();
            (parts, *id)
        })
        .collect();
    keyed.sort_by(|(left, left_id), (right, right_id)| {
        let parts = left.iter().zip(right).zip(&columns);
        let order = parts
            .map(|((left, right), (is_reversed, _))| {
                let order = compare(left, right);
                if *is_reversed { order.reverse() } else { order }
            })
            .find(|order| *order != Ordering::Equal);
        order.unwrap_or_else(|| left_id.cmp(right_id))
    });
    ids.clear();
    ids.extend(keyed.into_iter().map(|(_, id)| id));
}

fn part(world: &World, collection: &Collection, id: u64, path: &[String]) -> Part {
    let Some(mut found) = world.found(collection.id, id) else {
        return Part::Null;
    };
    let Some((last, relations)) = path.split_last() else {
        return Part::Null;
    };
    for relation in relations {
        match found.follow(relation) {
            Some(other) => found = other,
            None => return Part::Null,
        }
    }
    if last == "id" {
        return Part::Number(Datum::id(found.id).as_int().unwrap_or_default());
    }
    of_value(found, last)
}

fn of_value(found: Found<'_>, column: &str) -> Part {
    match found.get(column) {
        Datum::Null | Datum::Json(_) | Datum::Ids(_) => Part::Null,
        Datum::Flag(flag) => Part::Number(i64::from(*flag)),
        Datum::Int(number) => Part::Number(*number),
        Datum::Real(number) => Part::Real(*number),
        Datum::Text(text) if matches!(column, "address" | "prefix") => {
            Part::Address(text::host(text).parse().ok(), text.to_string())
        }
        Datum::Text(text) if found.collection.rules.is_plugin() => Part::Bytes(text.to_string()),
        Datum::Text(text) => Part::Name(text.to_string()),
    }
}

/// Empty values come last.
fn compare(left: &Part, right: &Part) -> Ordering {
    match (left, right) {
        (Part::Null, Part::Null) => Ordering::Equal,
        (Part::Null, _) => Ordering::Greater,
        (_, Part::Null) => Ordering::Less,
        (Part::Number(left), Part::Number(right)) => left.cmp(right),
        (Part::Real(left), Part::Real(right)) => left.total_cmp(right),
        (Part::Name(left), Part::Name(right)) => text::natural(left, right),
        (Part::Bytes(left), Part::Bytes(right)) => left.cmp(right),
        (Part::Address(left, left_text), Part::Address(right, right_text)) => {
            left.cmp(right).then_with(|| left_text.cmp(right_text))
        }
        _ => Ordering::Equal,
    }
}
