//! POST, PATCH, PUT and DELETE: every row of a request, or none.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use http::Method;
use serde_json::{Map, Value, json};

use super::datum::Datum;
use super::delete::delete;
use super::faults::RowFaults;
use super::field::Kind;
use super::order;
use super::refusal::{self, Refusal, RefusedRow, Verb, WHOLE_ROW};
use super::render::{self, Selection};
use super::rules::{self, Draft};
use super::schema::{Collection, CollectionId, Schema};
use super::table::Row;
use super::validate::{self, Changes};
use super::world::World;

/// Status and body of an answer.
pub(super) type Answer = (u16, Value);

/// One write to one collection.
pub(super) struct Write<'a> {
    pub(super) world: &'a mut World,
    pub(super) collection: CollectionId,
    pub(super) base: &'a str,
    /// Rows that are refused because a test asked for it.
    pub(super) faults: &'a RowFaults,
}

impl Write<'_> {
    /// A write to the collection.
    pub(super) fn many(mut self, method: &Method, body: &Value) -> Answer {
        let answer = match (method, body) {
            (&Method::POST, Value::Array(rows)) => self.create_all(rows),
            (&Method::POST, row) => match self.create(row) {
                Ok(id) => Ok((201, self.rendered(id))),
                Err(refusal) => Err(refusal::single(refusal)),
            },
            (_, Value::Array(rows)) => self.change_all(method, rows),
            (_, other) => {
                let kind = validate::type_name(other);
                let text = format!("Expected a list of objects, but got {kind}.");
                Err((400, json!({ "detail": text })))
            }
        };
        self.decide(answer)
    }

    /// A write to one row, which exists.
    pub(super) fn one(mut self, method: &Method, id: u64, body: &Value) -> Answer {
        let answer = if *method == Method::DELETE {
            delete(self.world, self.collection, id).map(|()| (204, Value::Null))
        } else {
            let updated = self.update(id, body, *method == Method::PATCH);
            updated.map(|()| (200, self.rendered(id)))
        };
        self.decide(answer.map_err(refusal::single))
    }

    fn decide(&mut self, answer: Result<Answer, Answer>) -> Answer {
        match answer {
            Ok(answer) => {
                self.world.commit();
                answer
            }
            Err(answer) => {
                self.world.roll_back();
                answer
            }
        }
    }

    fn rendered(&self, id: u64) -> Value {
        let found = self.world.found(self.collection, id);
        found.map_or(Value::Null, |found| {
            render::row(found, self.base, &Selection::default())
        })
    }

    fn create_all(&mut self, rows: &[Value]) -> Result<Answer, Answer> {
        let (mut created, mut refused) = (Vec::new(), Vec::new());
        for (index, row) in rows.iter().enumerate() {
            match self.create(row) {
                Ok(id) => created.push(id),
                Err(Refusal::Whole(status, body)) => return Err((status, body)),
                Err(refusal) => refused.push(RefusedRow {
                    index,
                    id: None,
                    refusal,
                }),
            }
        }
        if refused.is_empty() {
            return Ok((201, created.into_iter().map(|id| self.rendered(id)).collect()));
        }
        Err(refusal::bulk(self.world.release, Verb::Created, refused, rows.len()))
    }

    fn change_all(&mut self, method: &Method, rows: &[Value]) -> Result<Answer, Answer> {
        let positions = self.positions(rows)?;
        let mut ids: Vec<u64> = positions.keys().copied().collect();
        let schema = Arc::clone(&self.world.schema);
        if let Some(collection) = schema.collection(self.collection) {
            order::sort(self.world, collection, &mut ids, collection.rules.order);
        }
        let is_delete = *method == Method::DELETE;
        let mut refused = Vec::new();
        for id in &ids {
            let index = positions.get(id).copied().unwrap_or_default();
            let outcome = match rows.get(index) {
                Some(row) if !is_delete => self.update(*id, row, *method == Method::PATCH),
                _ => delete(self.world, self.collection, *id),
            };
            match outcome {
                Ok(()) => {}
                Err(Refusal::Whole(status, body)) => return Err((status, body)),
                Err(refusal) => refused.push(RefusedRow {
                    index,
                    id: Some(*id),
                    refusal,
                }),
            }
        }
        if !refused.is_empty() {
            let verb = if is_delete { Verb::Deleted } else { Verb::Updated };
            return Err(refusal::bulk(self.world.release, verb, refused, rows.len()));
        }
        if is_delete {
            return Ok((204, Value::Null));
        }
        Ok((200, ids.into_iter().map(|id| self.rendered(id)).collect()))
    }

    /// The position of each id in the request; all exist, and none stands twice.
    fn positions(&self, rows: &[Value]) -> Result<BTreeMap<u64, usize>, Answer> {
        let refuse = |verb, refused| Err(refusal::bulk(self.world.release, verb, refused, rows.len()));
        let row = |index, id, message: String| RefusedRow {
            index,
            id,
            refusal: Refusal::row("id", message),
        };
        let (mut positions, mut invalid) = (BTreeMap::new(), Vec::new());
        let mut times: BTreeMap<u64, usize> = BTreeMap::new();
        for (index, value) in rows.iter().enumerate() {
            match value.get("id").and_then(Value::as_u64) {
                Some(id) => {
                    positions.insert(id, index);
                    *times.entry(id).or_default() += 1;
                }
                None => invalid.push(row(index, None, "This field is required.".to_owned())),
            }
        }
        if !invalid.is_empty() {
            return refuse(Verb::Validated, invalid);
        }
        let repeated: Vec<RefusedRow> = times
            .iter()
            .filter(|(_, times)| **times > 1)
            .map(|(id, times)| {
                let text = format!("Each object may be specified only once; ID {id} is listed {times} times");
                row(positions.get(id).copied().unwrap_or_default(), Some(*id), text)
            })
            .collect();
        if !repeated.is_empty() {
            return refuse(Verb::Listed, repeated);
        }
        let is_known =
            |id: u64| self.world.row(self.collection, id).is_some() && !self.world.is_hidden(self.collection, id);
        let unknown: Vec<RefusedRow> = positions
            .iter()
            .filter(|(id, _)| !is_known(**id))
            .map(|(id, index)| row(*index, Some(*id), format!("Object with ID {id} does not exist")))
            .collect();
        if unknown.is_empty() {
            Ok(positions)
        } else {
            refuse(Verb::Found, unknown)
        }
    }

    /// Creates one row without deciding about it.
    ///
    /// # Errors
    ///
    /// Why the row is refused.
    pub(super) fn create(&mut self, body: &Value) -> Result<u64, Refusal> {
        let body = object(body)?;
        let schema = Arc::clone(&self.world.schema);
        let collection = known(&schema, self.collection)?;
        self.faults.check(collection.rules.path, body, None)?;
        let changes = validate::read(self.world, collection, body, false)?;
        let mut row = Row::new(collection);
        apply(collection, &mut row, changes);
        let now = Datum::text(&World::now());
        for time in ["created", "last_updated"] {
            row.set(collection.field_id(time), now.clone());
        }
        let row = rules::check(Draft::new(self.world, collection, row, None))?;
        let id = self.world.next_id(self.collection);
        self.world.put(self.collection, id, row);
        rules::saved(self.world, self.collection, id, None);
        Ok(id)
    }

    /// Changes one row without deciding about it.
    ///
    /// # Errors
    ///
    /// Why the row is refused.
    pub(super) fn update(&mut self, id: u64, body: &Value, is_partial: bool) -> Result<(), Refusal> {
        let body = object(body)?;
        let schema = Arc::clone(&self.world.schema);
        let collection = known(&schema, self.collection)?;
        let known_as = self.world.found(self.collection, id).map(|found| found.display());
        self.faults.check(collection.rules.path, body, known_as.as_deref())?;
        let changes = validate::read(self.world, collection, body, is_partial)?;
        let Some(before) = self.world.row(self.collection, id).cloned() else {
            return Ok(());
        };
        let mut row = before.clone();
        apply(collection, &mut row, changes);
        row.set(collection.field_id("last_updated"), Datum::text(&World::now()));
        let row = rules::check(Draft::new(self.world, collection, row, Some((id, &before))))?;
        self.world.put(self.collection, id, row);
        rules::saved(self.world, self.collection, id, Some(&before));
        Ok(())
    }
}

fn known(schema: &Schema, collection: CollectionId) -> Result<&Collection, Refusal> {
    let missing = || Refusal::Whole(404, json!({"detail": "Not found."}));
    schema.collection(collection).ok_or_else(missing)
}

fn object(body: &Value) -> Result<&Map<String, Value>, Refusal> {
    body.as_object().ok_or_else(|| {
        let kind = validate::type_name(body);
        let text = format!("Invalid data. Expected a dictionary, but got {kind}.");
        Refusal::row(WHOLE_ROW, text)
    })
}

/// Puts the values of a body into a row.
fn apply(collection: &Collection, row: &mut Row, changes: Changes) {
    for (field, value) in changes.values {
        let is_merged = collection
            .fields
            .get(field)
            .is_some_and(|field| field.name == "custom_fields");
        let value = if is_merged {
            merged(row.get(Some(field)), value)
        } else {
            value
        };
        row.set(Some(field), value);
    }
    if changes.add_tags.is_empty() && changes.remove_tags.is_empty() {
        return;
    }
    let column = collection.field_id("tags");
    let mut tags: BTreeSet<u64> = row.get(column).ids().iter().copied().collect();
    tags.extend(changes.add_tags);
    tags.retain(|tag| !changes.remove_tags.contains(tag));
    row.set(column, Datum::Ids(tags.into_iter().collect()));
}

/// Custom fields that a body leaves out stay as they are.
fn merged(before: &Datum, after: Datum) -> Datum {
    match (before, after) {
        (Datum::Json(before), Datum::Json(after)) => match (&**before, *after) {
            (Value::Object(before), Value::Object(after)) => {
                let mut all = before.clone();
                all.extend(after);
                Kind::Json.stored(&Value::Object(all))
            }
            (_, after) => Kind::Json.stored(&after),
        },
        (_, after) => after,
    }
}
