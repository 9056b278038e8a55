//! Reading all rows of a list, page by page.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::answer::Answer;
use super::client::Client;
use super::error::Error;
use super::query::Query;
use super::transport::Call;
use super::version::NetBoxVersion;
use crate::reconcile::ObjectId;

/// As many as NetBox gives at once; a server with a lower limit answers fewer and says that there are more.
const PAGE_SIZE: usize = 1000;
const MOST_PAGES: usize = 10_000;
const MOST_ROWS: usize = 1_000_000;

/// A row as it came, with its id. It stays text until it is decoded: taken apart it would need several times the room,
/// and a list can hold every row of a large estate.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) id: ObjectId,
    pub(super) text: Box<RawValue>,
}

impl Row {
    /// The id of the row that `field` names; `None` where it names none or is not there.
    pub(super) fn related(&self, field: &str) -> Option<ObjectId> {
        let fields: HashMap<Cow<'_, str>, &RawValue> = serde_json::from_str(self.text.get()).ok()?;
        let related: Identified = serde_json::from_str(fields.get(field)?.get()).ok()?;
        related.id
    }
}

/// How the next page is asked for.
///
/// The first page is asked for in the one way that every release and path understands, so a list of one page costs one
/// request; its answer tells the release, and the later pages begin at an id, which no change of other rows can shift.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cursor {
    First,
    /// Since 4.6: rows from this id on.
    From(u64),
    /// Before 4.6: rows after this id.
    After(u64),
    /// Where the release is unknown or the filter by id is ignored: skip so many rows.
    Offset(usize),
}

impl Cursor {
    fn parameters(self) -> Vec<(&'static str, String)> {
        let mut parameters = vec![("limit", PAGE_SIZE.to_string())];
        match self {
            Self::First => {}
            Self::From(id) => {
                parameters.push(("start", id.to_string()));
                return parameters;
            }
            Self::After(id) => parameters.push(("id__gt", id.to_string())),
            Self::Offset(rows) => parameters.push(("offset", rows.to_string())),
        }
        parameters.push(("ordering", "id".to_owned()));
        parameters
    }
}

#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    count: Option<u64>,
    #[serde(default)]
    next: Option<String>,
    results: Vec<Box<RawValue>>,
}

/// What every row has to have.
#[derive(Deserialize)]
struct Identified {
    #[serde(default)]
    id: Option<ObjectId>,
}

/// All rows that fit `query`, in the order of their ids, each once.
///
/// # Errors
///
/// Any failure of any page; [`Error::FilterIgnored`]; [`Error::Paging`] where pages contradict each other.
pub(super) async fn walk(client: &Client, path: &str, query: &Query) -> Result<Vec<Row>, Error> {
    let mut walk = Walk::new(path, query);
    while let Some(cursor) = walk.cursor {
        walk.step(client, cursor).await?;
    }
    Ok(walk.rows)
}

/// As [`walk`]; `None` where the first page tells that there are more than `most` of them.
pub(super) async fn walk_within(
    client: &Client,
    path: &str,
    query: &Query,
    most: usize,
) -> Result<Option<Vec<Row>>, Error> {
    let mut walk = Walk::new(path, query);
    while let Some(cursor) = walk.cursor {
        walk.step(client, cursor).await?;
        if cursor == Cursor::First && walk.remaining_pages().is_none_or(|pages| pages >= most) {
            return Ok(walk.cursor.is_none().then_some(walk.rows));
        }
    }
    Ok(Some(walk.rows))
}

/// The first two rows that fit `query`.
pub(super) async fn first_two(client: &Client, path: &str, query: &Query) -> Result<Vec<Row>, Error> {
    let call = Call::get(path, query.encoded(&[("limit", "2".to_owned())]), query.class());
    let answer = client.call(call.clone()).await?;
    let page: Page = answer.decode(&call)?;
    let mut walk = Walk::new(path, query);
    walk.take(page, &answer)?;
    Ok(walk.rows)
}

struct Walk<'a> {
    path: &'a str,
    query: &'a Query,
    rows: Vec<Row>,
    seen: HashSet<ObjectId>,
    /// Rows received, those seen twice included.
    received: usize,
    pages: usize,
    count: Option<u64>,
    /// Whether the rows are read for the second time.
    is_second: bool,
    /// `None` after the last page.
    cursor: Option<Cursor>,
}

impl<'a> Walk<'a> {
    fn new(path: &'a str, query: &'a Query) -> Self {
        Self {
            path,
            query,
            rows: Vec::new(),
            seen: HashSet::new(),
            received: 0,
            pages: 0,
            count: None,
            is_second: false,
            cursor: Some(Cursor::First),
        }
    }

    async fn step(&mut self, client: &Client, cursor: Cursor) -> Result<(), Error> {
        let call = Call::get(self.path, self.query.encoded(&cursor.parameters()), self.query.class());
        let answer = client.call(call.clone()).await?;
        let page = answer.decode(&call)?;
        self.take(page, &answer)
    }

    /// How many pages follow if they are as long as those until now; `None` where NetBox does not tell.
    fn remaining_pages(&self) -> Option<usize> {
        let count = usize::try_from(self.count?).ok()?;
        let length = self.received.checked_div(self.pages)?.max(1);
        Some(count.saturating_sub(self.received).div_ceil(length))
    }

    fn broken(&self, problem: &'static str) -> Error {
        Error::Paging {
            path: self.path.to_owned(),
            problem,
        }
    }

    fn take(&mut self, page: Page, answer: &Answer) -> Result<(), Error> {
        let length = page.results.len();
        let known = self.rows.len();
        for text in page.results {
            self.add(text)?;
        }
        self.received += length;
        self.pages += 1;
        let has_more = page.next.is_some();
        let found_new = self.rows.len() > known;
        if has_more && length == 0 {
            return Err(self.broken("an empty page says that more rows follow"));
        }
        if self.pages >= MOST_PAGES && has_more {
            return Err(self.broken("more than 10,000 pages"));
        }
        if self.rows.len() > MOST_ROWS {
            return Err(self.broken("more than 1,000,000 rows"));
        }
        let used = self.cursor.unwrap_or(Cursor::First);
        self.cursor = if has_more && !self.has_all(used) {
            Some(self.next(used, length, found_new, answer.release)?)
        } else {
            None
        };
        self.check_count(used, page.count)
    }

    /// Whether as many rows came as there were when the first page was answered. NetBox says after every full page that
    /// begins at an id that more rows follow, because it counts them no longer. More rows than that are proof of a change.
    fn has_all(&self, used: Cursor) -> bool {
        let count = self.count.and_then(|count| usize::try_from(count).ok());
        matches!(used, Cursor::From(_)) && count.is_some_and(|count| self.rows.len() == count)
    }

    /// Where the page after one of this `length` begins.
    fn next(
        &self,
        used: Cursor,
        length: usize,
        found_new: bool,
        release: Option<NetBoxVersion>,
    ) -> Result<Cursor, Error> {
        match (used, found_new) {
            (Cursor::Offset(rows), _) => return Ok(Cursor::Offset(rows.saturating_add(length))),
            // The path does not know the filter and has answered its first page again.
            (Cursor::After(_), false) => return Ok(Cursor::Offset(self.rows.len())),
            (Cursor::First | Cursor::From(_), false) => return Err(self.broken("the pages do not advance")),
            (Cursor::First | Cursor::From(_) | Cursor::After(_), true) => {}
        }
        let last = self.rows.iter().map(|row| row.id.0).max().unwrap_or_default();
        Ok(match release {
            Some(release) if release.has_cursor_paging() => Cursor::From(last.saturating_add(1)),
            Some(_) => Cursor::After(last),
            None => Cursor::Offset(self.rows.len()),
        })
    }

    /// Pages counted from the start shift when rows vanish, and then rows are skipped without a sign but their number: they
    /// are read again from the first, once. Pages that begin at an id have no such weakness, and their counts differ by
    /// nature.
    fn check_count(&mut self, used: Cursor, count: Option<u64>) -> Result<(), Error> {
        if used == Cursor::First {
            self.count = count;
        }
        if !matches!(used, Cursor::Offset(_)) {
            return Ok(());
        }
        let problem = if count != self.count {
            "the number of rows changed while reading, twice"
        } else if self.cursor.is_none() && self.lacks_rows() {
            "fewer rows came than NetBox has counted, twice"
        } else {
            return Ok(());
        };
        if self.is_second {
            return Err(self.broken(problem));
        }
        *self = Self {
            is_second: true,
            ..Self::new(self.path, self.query)
        };
        Ok(())
    }

    /// Whether fewer rows came than NetBox has counted.
    fn lacks_rows(&self) -> bool {
        let count = self.count.and_then(|count| usize::try_from(count).ok());
        count.is_some_and(|count| self.rows.len() < count)
    }

    fn add(&mut self, text: Box<RawValue>) -> Result<(), Error> {
        let undecodable = |source| Error::decode(self.path, source);
        let row: Identified = serde_json::from_str(text.get()).map_err(undecodable)?;
        let Some(id) = row.id else {
            return Err(self.broken("a row has no id"));
        };
        if self.query.expects() || self.rows.is_empty() {
            let row = serde_json::from_str(text.get()).map_err(undecodable)?;
            let ignored = self.query.ignored(&row).map(|(field, found)| (field.to_owned(), found));
            if let Some((field, found)) = self.query.unmet(&row).or(ignored) {
                return Err(Error::FilterIgnored {
                    path: self.path.to_owned(),
                    field,
                    row: id,
                    found,
                });
            }
        }
        if self.seen.insert(id) {
            self.rows.push(Row { id, text });
        }
        Ok(())
    }
}

/// The rows, each as what it stands for.
pub(super) fn decode<T: DeserializeOwned>(path: &str, rows: Vec<Row>) -> Result<Vec<T>, Error> {
    let decoded = rows.into_iter().map(|row| serde_json::from_str(row.text.get()));
    decoded
        .collect::<Result<_, _>>()
        .map_err(|source| Error::decode(path, source))
}
