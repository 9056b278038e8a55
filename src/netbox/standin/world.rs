//! All rows of one NetBox, and changes that can be taken back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use time::OffsetDateTime;

use super::Release;
use super::datum::{Datum, Key};
use super::schema::{Collection, CollectionId, FieldId, Schema};
use super::table::{Row, Table};
use super::text;

/// What a change replaced.
#[derive(Debug, Clone)]
struct Undo {
    collection: CollectionId,
    id: u64,
    before: Option<Row>,
}

/// The data of one NetBox.
#[derive(Debug, Clone)]
pub(super) struct World {
    pub(super) schema: Arc<Schema>,
    pub(super) release: Release,
    tables: Vec<Table>,
    undo: Vec<Undo>,
    /// Rows that the constraints of a permission hide from the token.
    hidden: BTreeMap<CollectionId, BTreeSet<u64>>,
}

impl World {
    pub(super) fn new(schema: Arc<Schema>, release: Release) -> Self {
        Self {
            tables: schema.collections.iter().map(Table::new).collect(),
            schema,
            release,
            undo: Vec::new(),
            hidden: BTreeMap::new(),
        }
    }

    pub(super) fn table(&self, collection: CollectionId) -> Option<&Table> {
        self.tables.get(collection)
    }

    pub(super) fn row(&self, collection: CollectionId, id: u64) -> Option<&Row> {
        self.tables.get(collection)?.get(id)
    }

    /// The row that a relation points to, with its collection and id.
    pub(super) fn follow(&self, collection: &Collection, row: &Row, column: &str) -> Option<Found<'_>> {
        let field = collection.field_id(column)?;
        let target = collection.fields.get(field)?.kind.target()?;
        self.found(target, row.get(Some(field)).as_id()?)
    }

    /// One row with its collection.
    pub(super) fn found(&self, collection: CollectionId, id: u64) -> Option<Found<'_>> {
        Some(Found {
            world: self,
            collection: self.schema.collections.get(collection)?,
            id,
            row: self.row(collection, id)?,
        })
    }

    /// The rows of the collection at `path` whose `column` has `key`; empty where that column has no index.
    pub(super) fn rows_with(&self, path: &str, column: &str, key: &Key) -> Vec<u64> {
        let found = self.schema.at(path).and_then(|collection| {
            let table = self.tables.get(collection.id)?;
            table.find(collection.field_id(column)?, key)
        });
        found.map(|ids| ids.iter().copied().collect()).unwrap_or_default()
    }

    /// What the assigned-object columns of `row` point to.
    pub(super) fn assigned(&self, collection: &Collection, row: &Row, prefix: &str) -> Option<Found<'_>> {
        let column = |suffix: &str| row.get(collection.field_id(&format!("{prefix}_{suffix}")));
        let target = self.schema.of_model(column("type").as_text()?)?;
        self.found(target.id, column("id").as_id()?)
    }

    /// The rows of the collection at `path` that are assigned to this object.
    pub(super) fn assigned_to(&self, path: &str, model: &str, id: u64) -> Vec<u64> {
        let Some(collection) = self.schema.at(path) else {
            return Vec::new();
        };
        let kind = collection.field_id("assigned_object_type");
        let mut ids = self.rows_with(path, "assigned_object_id", &Key::id(id));
        ids.retain(|id| {
            self.row(collection.id, *id)
                .is_some_and(|row| row.get(kind).as_text() == Some(model))
        });
        ids
    }

    /// The number of the next row.
    pub(super) fn next_id(&mut self, collection: CollectionId) -> u64 {
        self.tables.get_mut(collection).map(Table::next_id).unwrap_or_default()
    }

    /// Stores a row, new or changed.
    pub(super) fn put(&mut self, collection: CollectionId, id: u64, row: Row) {
        if let Some(table) = self.tables.get_mut(collection) {
            let before = table.put(id, row);
            self.undo.push(Undo { collection, id, before });
        }
    }

    pub(super) fn remove(&mut self, collection: CollectionId, id: u64) {
        if let Some(table) = self.tables.get_mut(collection)
            && let Some(before) = table.remove(id)
        {
            let before = Some(before);
            self.undo.push(Undo { collection, id, before });
        }
    }

    /// Changes one column as a consequence of another write, without moving `last_updated`.
    pub(super) fn set(&mut self, collection: CollectionId, id: u64, field: Option<FieldId>, value: Datum) {
        let Some(row) = self.row(collection, id).filter(|row| *row.get(field) != value) else {
            return;
        };
        let mut row = row.clone();
        row.set(field, value);
        self.put(collection, id, row);
    }

    /// Makes everything since the last decision final.
    pub(super) fn commit(&mut self) {
        self.undo.clear();
    }

    /// Takes everything back that was changed since the last decision.
    pub(super) fn roll_back(&mut self) {
        while let Some(Undo { collection, id, before }) = self.undo.pop() {
            let Some(table) = self.tables.get_mut(collection) else {
                continue;
            };
            match before {
                Some(row) => {
                    table.put(id, row);
                }
                None => {
                    table.remove(id);
                }
            }
        }
    }

    pub(super) fn hide(&mut self, collection: CollectionId, id: u64) {
        self.hidden.entry(collection).or_default().insert(id);
    }

    pub(super) fn is_hidden(&self, collection: CollectionId, id: u64) -> bool {
        self.hidden.get(&collection).is_some_and(|ids| ids.contains(&id))
    }

    /// The present moment as NetBox writes it.
    pub(super) fn now() -> String {
        text::stamp(OffsetDateTime::now_utc())
    }
}

/// One row together with what is needed to read it.
#[derive(Clone, Copy)]
pub(super) struct Found<'a> {
    pub(super) world: &'a World,
    pub(super) collection: &'a Collection,
    pub(super) id: u64,
    pub(super) row: &'a Row,
}

impl<'a> Found<'a> {
    pub(super) fn get(&self, column: &str) -> &'a Datum {
        self.row.get(self.collection.field_id(column))
    }

    pub(super) fn follow(&self, column: &str) -> Option<Found<'a>> {
        self.world.follow(self.collection, self.row, column)
    }

    /// What names the row in lists and messages.
    pub(super) fn display(&self) -> String {
        self.expand(self.collection.rules.display)
    }

    /// The name by which other rows show it: the bare name where the row itself shows more.
    pub(super) fn short(&self) -> String {
        let name = self.get("name").as_text();
        match name {
            Some(name) if self.collection.rules.path.contains("/endpoints/") => name.to_owned(),
            _ => self.display(),
        }
    }

    fn expand(&self, pattern: &str) -> String {
        let mut text = String::new();
        for (position, part) in pattern.split(['{', '}']).enumerate() {
            if position % 2 == 0 {
                text.push_str(part);
            } else {
                text.push_str(&self.part(part));
            }
        }
        text
    }

    fn part(&self, column: &str) -> String {
        if let Some(other) = self.follow(column) {
            let is_host = column == "ip_address" && self.collection.rules.path.contains("/endpoints/");
            let name = other.short();
            return if is_host { text::host(&name).to_owned() } else { name };
        }
        let value = self.get(column);
        match column {
            _ if value.is_null() => "None".to_owned(),
            "created" => value.to_text().replace('T', " ").chars().take(16).collect(),
            "kind" => {
                let label = value.to_text();
                let mut letters = label.chars();
                letters
                    .next()
                    .map(|first| first.to_uppercase().chain(letters).collect())
                    .unwrap_or_default()
            }
            _ => value.to_text(),
        }
    }
}
