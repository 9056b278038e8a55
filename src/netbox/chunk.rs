//! Filters with more values than fit into one request line.

use std::collections::HashSet;

use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::client::Client;
use super::error::Error;
use super::page::{self, Row};
use super::query::Query;

/// Common servers refuse request lines of more than 4,094 bytes; proxies add to them.
const LONGEST_LINE: usize = 3500;
/// `GET `, `?`, ` HTTP/1.1` and the paging parameters at their longest.
const RESERVED: usize = 100;
/// A chunk asks for some 300 guests, of which each has a few rows.
const PAGES_PER_CHUNK: usize = 2;
/// How NetBox refuses a filter by a relation that does not exist.
const DEAD_CHOICE: &str = "Select a valid choice.";

/// The rows that fit `query` and have one of `values` under `key`, each once, in the order of the values' chunks.
pub(super) async fn walk(
    client: &Client,
    path: &str,
    query: &Query,
    key: &str,
    values: &[String],
) -> Result<Vec<Row>, Error> {
    let chunks = split(path, query, key, values);
    let reads = chunks
        .into_iter()
        .map(|chunk| walk_chunk(client, path, query, key, chunk));
    let pages: Vec<Vec<Row>> = stream::iter(reads).buffered(client.read_limit()).try_collect().await?;
    let mut seen = HashSet::new();
    Ok(pages.into_iter().flatten().filter(|row| seen.insert(row.id)).collect())
}

/// As [`walk`], where `key` asks for rows whose field `related` names a row with one of the ids `values`. Reads the whole
/// list instead if that takes no more requests, and leaves out the rows of others.
pub(super) async fn walk_related(
    client: &Client,
    path: &str,
    query: &Query,
    (key, related): (&str, &str),
    values: &[String],
) -> Result<Vec<Row>, Error> {
    let chunks = split(path, query, key, values).len();
    if chunks > 1
        && let Some(rows) = page::walk_within(client, path, query, chunks).await?
        && let Some(rows) = of(rows, related, values)
    {
        return Ok(rows);
    }
    walk(client, path, query, key, values).await
}

/// As [`walk`], where rows that have other values do no harm. Reads the whole list instead unless that takes many more
/// requests.
pub(super) async fn walk_or_whole(
    client: &Client,
    path: &str,
    query: &Query,
    key: &str,
    values: &[String],
) -> Result<Vec<Row>, Error> {
    let chunks = split(path, query, key, values).len();
    if chunks > 1
        && let Some(rows) = page::walk_within(client, path, query, chunks * PAGES_PER_CHUNK).await?
    {
        return Ok(rows);
    }
    walk(client, path, query, key, values).await
}

/// The rows whose field `related` names one of `ids`; `None` where a row does not have the field, which would leave it
/// open whose it is.
fn of(rows: Vec<Row>, related: &str, ids: &[String]) -> Option<Vec<Row>> {
    let wanted: HashSet<&str> = ids.iter().map(String::as_str).collect();
    let mut found = Vec::new();
    for row in rows {
        let id = row.related(related)?;
        if wanted.contains(id.to_string().as_str()) {
            found.push(row);
        }
    }
    Some(found)
}

/// One chunk. A value that no longer exists fails the whole request on most relation filters; it is taken out, and the
/// others are asked for again, so that they are not mistaken for absent.
async fn walk_chunk(
    client: &Client,
    path: &str,
    query: &Query,
    key: &str,
    values: Vec<String>,
) -> Result<Vec<Row>, Error> {
    let mut open = vec![values];
    let mut rows = Vec::new();
    while let Some(mut values) = open.pop() {
        let error = match page::walk(client, path, &query.narrowed(key, &values)).await {
            Ok(found) => {
                rows.extend(found);
                continue;
            }
            Err(error) => error,
        };
        let Some((field, dead)) = dead_choice(&error) else {
            return Err(error);
        };
        if field != key {
            return if query.occurrences(field) == 1 {
                Ok(Vec::new())
            } else {
                Err(error)
            };
        }
        match values.iter().position(|value| Some(value.as_str()) == dead) {
            Some(position) => {
                values.remove(position);
                open.extend((!values.is_empty()).then_some(values));
            }
            None if values.len() > 1 => {
                let second = values.split_off(values.len() / 2);
                open.extend([second, values]);
            }
            None => {}
        }
    }
    Ok(rows)
}

/// `None` unless NetBox refused a filter because its value names no row: then the filter, and the value where told.
pub(super) fn dead_choice(error: &Error) -> Option<(&str, Option<&str>)> {
    let Error::Refused {
        status: 400, fields, ..
    } = error
    else {
        return None;
    };
    let [field] = fields.as_slice() else { return None };
    let message = field
        .messages
        .first()
        .filter(|message| message.starts_with(DEAD_CHOICE))?;
    let rest = message.trim_start_matches(DEAD_CHOICE).trim_start();
    let value = rest
        .split_once(" is not one of the available choices")
        .map(|(value, _)| value);
    Some((&field.field, value))
}

/// The values in chunks whose request lines stay below the limit, each value once, in order. A value that is too long
/// by itself stands alone.
fn split(path: &str, query: &Query, key: &str, values: &[String]) -> Vec<Vec<String>> {
    let fixed = path.len() + query.encoded(&[]).len() + RESERVED;
    let mut seen = HashSet::new();
    let mut chunks: Vec<Vec<String>> = Vec::new();
    let mut length = usize::MAX;
    for value in values.iter().filter(|value| seen.insert(value.as_str())) {
        let cost = Query::new().with(key, value).encoded(&[]).len() + 1;
        if length.saturating_add(cost) >= LONGEST_LINE {
            chunks.push(Vec::new());
            length = fixed;
        }
        length += cost;
        if let Some(chunk) = chunks.last_mut() {
            chunk.push(value.clone());
        }
    }
    chunks
}

/// No rows where a value of the query's only filter of its kind names nothing.
pub(super) fn empty_if_dead(rows: Result<Vec<Row>, Error>, query: &Query) -> Result<Vec<Row>, Error> {
    rows.or_else(|error| match dead_choice(&error) {
        Some((filter, _)) if query.occurrences(filter) == 1 => Ok(Vec::new()),
        _ => Err(error),
    })
}

#[cfg(test)]
mod tests {
    use super::super::refusal::FieldError;
    use super::*;

    fn refused(field: &str, message: &str) -> Error {
        Error::Refused {
            path: "/api/x/".to_owned(),
            status: 400,
            detail: String::new(),
            fields: vec![FieldError {
                field: field.to_owned(),
                messages: vec![message.to_owned()],
            }],
        }
    }

    #[test]
    fn dead_choice_names_the_filter_and_its_value_where_told() {
        let told = refused(
            "cluster_id",
            "Select a valid choice. 99 is not one of the available choices.",
        );
        assert_eq!(dead_choice(&told), Some(("cluster_id", Some("99"))));
        let untold = refused(
            "cluster",
            "Select a valid choice. That choice is not one of the available choices.",
        );
        assert_eq!(dead_choice(&untold), Some(("cluster", Some("That choice"))));
        assert_eq!(dead_choice(&refused("id", "Enter a number.")), None);
    }

    #[test]
    fn chunks_hold_every_value_once_and_stay_below_the_limit() {
        let values: Vec<String> = (0..3000).map(|n| format!("UPID:pve1:{n:08X}:ä é/{}", n % 7)).collect();
        let doubled: Vec<String> = values.iter().chain(&values).cloned().collect();
        let query = Query::new().with("tag", "proxbox").omit("config_context");
        let chunks = split("/api/plugins/proxbox/task-history/", &query, "upid", &doubled);
        assert_eq!(chunks.concat(), values);
        for chunk in &chunks {
            let line = query.narrowed("upid", chunk).encoded(&[]).len() + RESERVED;
            assert!(
                line + "/api/plugins/proxbox/task-history/".len() < LONGEST_LINE,
                "{line}"
            );
        }
        assert!(split("/api/x/", &query, "upid", &[]).is_empty());
        assert_eq!(split("/api/x/", &query, "upid", &["x".repeat(5000)]).len(), 1);
    }
}
