//! The rows of one collection, and the indexes by which they are found.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::datum::{Datum, Key};
use super::field::Kind;
use super::schema::{Collection, FieldId};
use super::text;

static NULL: Datum = Datum::Null;
static NO_ROWS: BTreeSet<u64> = BTreeSet::new();

/// The values of one row, in the order of the collection's columns.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row(Vec<Datum>);

impl Row {
    /// A row in which nothing is set.
    pub(super) fn new(collection: &Collection) -> Self {
        Self(collection.fields.iter().map(|field| field.default.clone()).collect())
    }

    pub(super) fn get(&self, field: Option<FieldId>) -> &Datum {
        field.and_then(|field| self.0.get(field)).unwrap_or(&NULL)
    }

    pub(super) fn set(&mut self, field: Option<FieldId>, value: Datum) {
        if let Some(place) = field.and_then(|field| self.0.get_mut(field)) {
            *place = value;
        }
    }
}

#[derive(Debug, Clone)]
struct Index {
    field: FieldId,
    /// Addresses are found by their host, whatever the mask.
    is_address: bool,
    rows: HashMap<Key, BTreeSet<u64>>,
}

impl Index {
    fn keys(&self, row: &Row) -> Vec<Key> {
        let value = row.get(Some(self.field));
        match value.as_text() {
            Some(address) if self.is_address => vec![Key::text(text::host(address))],
            _ => value.keys(),
        }
    }
}

/// One collection's rows by id.
#[derive(Debug, Clone)]
pub(super) struct Table {
    rows: BTreeMap<u64, Row>,
    last_id: u64,
    indexes: Vec<Index>,
}

impl Table {
    pub(super) fn new(collection: &Collection) -> Self {
        let is_indexed = |field: &&super::field::Field| {
            matches!(field.kind, Kind::One(Some(_)) | Kind::Many(Some(_)))
                || collection.rules.indexed.contains(&field.name.as_str())
        };
        let indexes = collection
            .fields
            .iter()
            .filter(is_indexed)
            .filter_map(|field| {
                Some(Index {
                    field: collection.field_id(&field.name)?,
                    is_address: field.name == "address",
                    rows: HashMap::new(),
                })
            })
            .collect();
        Self {
            rows: BTreeMap::new(),
            last_id: 0,
            indexes,
        }
    }

    pub(super) fn get(&self, id: u64) -> Option<&Row> {
        self.rows.get(&id)
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// All rows from `id` on, in the order of their ids.
    pub(super) fn from(&self, id: u64) -> impl Iterator<Item = (u64, &Row)> {
        self.rows.range(id..).map(|(id, row)| (*id, row))
    }

    /// The rows found under `key`; `None` where the column has no index.
    pub(super) fn find(&self, field: FieldId, key: &Key) -> Option<&BTreeSet<u64>> {
        let index = self.indexes.iter().find(|index| index.field == field)?;
        Some(index.rows.get(key).unwrap_or(&NO_ROWS))
    }

    /// The next number, which is used up even if the row is taken back.
    pub(super) fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// Puts a row in place of the one of this id, which is handed back.
    pub(super) fn put(&mut self, id: u64, row: Row) -> Option<Row> {
        self.last_id = self.last_id.max(id);
        let before = self.remove(id);
        for index in &mut self.indexes {
            for key in index.keys(&row) {
                index.rows.entry(key).or_default().insert(id);
            }
        }
        self.rows.insert(id, row);
        before
    }

    pub(super) fn remove(&mut self, id: u64) -> Option<Row> {
        let row = self.rows.remove(&id)?;
        for index in &mut self.indexes {
            for key in index.keys(&row) {
                let is_empty = index.rows.get_mut(&key).is_some_and(|ids| {
                    ids.remove(&id);
                    ids.is_empty()
                });
                if is_empty {
                    index.rows.remove(&key);
                }
            }
        }
        Some(row)
    }
}
