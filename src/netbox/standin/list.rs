//! Lists: filters, order, and pages by offset or by cursor.

use serde_json::{Value, json};

use super::filter::{self, Unreadable};
use super::order;
use super::render::{self, Selection};
use super::schema::Collection;
use super::world::World;
use super::write::Answer;

const PAGE_SIZE: usize = 50;
const LARGEST_PAGE: usize = 1000;

/// What a query asks for besides its filters.
struct Paging<'a> {
    limit: usize,
    has_limit: bool,
    offset: usize,
    start: Option<u64>,
    ordering: Vec<&'a str>,
}

/// The parameters of a query, decoded.
pub(super) fn parameters(query: &str) -> Vec<(String, String)> {
    url::form_urlencoded::parse(query.as_bytes())
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect()
}

/// Which keys the query asks for.
pub(super) fn selection(pairs: &[(String, String)]) -> Selection {
    let names = |name: &str| last(pairs, name).map(|names| names.split(',').map(ToOwned::to_owned).collect());
    Selection {
        fields: names("fields").filter(|fields: &Vec<String>| fields.iter().any(|field| !field.is_empty())),
        omit: names("omit").unwrap_or_default(),
        is_brief: last(pairs, "brief").is_some_and(|value| matches!(value, "true" | "1" | "True")),
    }
}

fn last<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs
        .iter()
        .rev()
        .find(|(known, _)| known == name)
        .map(|(_, value)| value.as_str())
}

/// One page of the collection.
pub(super) fn page(world: &World, collection: &Collection, pairs: &[(String, String)], base: &str) -> Answer {
    let paging = match paging(world, pairs) {
        Ok(paging) => paging,
        Err(message) => return (400, json!([message])),
    };
    let found = match filter::matching(world, collection, pairs) {
        Ok(found) => found,
        Err(Unreadable::Invalid(errors)) => return (400, errors.into_value()),
        Err(Unreadable::NotImplemented(name)) => {
            let text = format!("The stand-in lacks the filter {name}.");
            return (501, json!({ "detail": text }));
        }
    };
    let is_visible = |id: &u64| !world.is_hidden(collection.id, *id);
    let path = format!("{base}/api/{}/", collection.rules.path);
    let (count, ids, next) = if let Some(start) = paging.start {
        let (ids, next) = by_cursor(world, collection, found, (start, paging.limit));
        let next = next.map(|next| link(&path, pairs, &[("start", next), ("limit", paging.limit as u64)]));
        (Value::Null, ids, next)
    } else {
        let mut ids = found.unwrap_or_else(|| all(world, collection));
        ids.retain(is_visible);
        let count = ids.len();
        if paging.ordering != ["id"] {
            let columns = if paging.ordering.is_empty() {
                collection.rules.order
            } else {
                &paging.ordering
            };
            order::sort(world, collection, &mut ids, columns);
        }
        let ids: Vec<u64> = ids.into_iter().skip(paging.offset).take(paging.limit).collect();
        let end = paging.offset + paging.limit;
        let next = (end < count).then(|| link(&path, pairs, &[("offset", end as u64), ("limit", paging.limit as u64)]));
        (Value::from(count), ids, next)
    };
    let selection = selection(pairs);
    let rows = ids.into_iter().filter_map(|id| world.found(collection.id, id));
    let rows: Vec<Value> = rows.map(|found| render::row(found, base, &selection)).collect();
    let previous = previous(&path, pairs, &paging);
    (
        200,
        json!({"count": count, "next": next, "previous": previous, "results": rows}),
    )
}

fn paging<'a>(world: &World, pairs: &'a [(String, String)]) -> Result<Paging<'a>, &'static str> {
    let number = |name: &str| last(pairs, name).and_then(|value| value.parse::<usize>().ok());
    let limit = number("limit");
    let start = last(pairs, "start")
        .filter(|_| world.release.has_cursor())
        .and_then(|value| value.parse().ok());
    if start.is_some() && last(pairs, "offset").is_some() {
        return Err("'start' and 'offset' are mutually exclusive.");
    }
    let ordering = last(pairs, "ordering");
    if start.is_some() && ordering.is_some() {
        return Err("Ordering cannot be specified in conjunction with cursor-based pagination.");
    }
    Ok(Paging {
        limit: match limit {
            None => PAGE_SIZE,
            Some(0) => LARGEST_PAGE,
            Some(limit) => limit.min(LARGEST_PAGE),
        },
        has_limit: limit.is_some(),
        offset: number("offset").unwrap_or_default(),
        start,
        ordering: ordering.map(|columns| columns.split(',').collect()).unwrap_or_default(),
    })
}

fn all(world: &World, collection: &Collection) -> Vec<u64> {
    let rows = world.table(collection.id).into_iter().flat_map(|table| table.from(0));
    rows.map(|(id, _)| id).collect()
}

/// The rows from an id on, and where the next page begins.
fn by_cursor(
    world: &World,
    collection: &Collection,
    found: Option<Vec<u64>>,
    (start, limit): (u64, usize),
) -> (Vec<u64>, Option<u64>) {
    let is_visible = |id: &u64| !world.is_hidden(collection.id, *id);
    let ids: Vec<u64> = if let Some(ids) = found {
        ids.into_iter()
            .filter(|id| *id >= start && is_visible(id))
            .take(limit)
            .collect()
    } else {
        let rows = world
            .table(collection.id)
            .into_iter()
            .flat_map(|table| table.from(start));
        rows.map(|(id, _)| id).filter(is_visible).take(limit).collect()
    };
    // A full page has a successor, even where no row is left for it.
    let next = ids.last().filter(|_| ids.len() == limit).map(|last| last + 1);
    (ids, next)
}

/// The address of another page, with all parameters of this one, in the order of their names.
fn link(path: &str, pairs: &[(String, String)], changed: &[(&str, u64)]) -> String {
    let mut all: Vec<(String, String)> = pairs
        .iter()
        .filter(|(name, _)| changed.iter().all(|(other, _)| name != other))
        .cloned()
        .collect();
    all.extend(
        changed
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.to_string())),
    );
    all.sort_by(|left, right| left.0.cmp(&right.0));
    let query = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(all)
        .finish();
    format!("{path}?{query}")
}

fn previous(path: &str, pairs: &[(String, String)], paging: &Paging<'_>) -> Option<String> {
    if paging.start.is_some() || paging.offset == 0 {
        return None;
    }
    let limit = ("limit", paging.limit as u64);
    let before = paging.offset.saturating_sub(paging.limit);
    if before > 0 {
        return Some(link(path, pairs, &[("offset", before as u64), limit]));
    }
    let rest: Vec<(String, String)> = pairs.iter().filter(|(name, _)| name != "offset").cloned().collect();
    let changed = if paging.has_limit { vec![limit] } else { Vec::new() };
    Some(link(path, &rest, &changed))
}
