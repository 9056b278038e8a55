//! A row of a plan, and how a batch of them is sent.

use std::collections::BTreeSet;

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::memo::Place;
use super::pace::Pace;
use super::queue::Keyed;
use super::report::{Outcome, Written};
use super::shelf::Shelf;
use crate::netbox::objects::{create_body, update_body};
use crate::netbox::{Client, WriteError};
use crate::reconcile::{Create, Delete, ObjectId, Update};
use crate::stages::Selection;

/// Who writes, and how.
#[derive(Debug, Clone, Copy)]
pub(super) struct Writer<'a> {
    pub(super) client: &'a Client,
    /// Whether NetBox merges tags itself.
    pub(super) has_add_tags: bool,
    pub(super) cancel: &'a CancellationToken,
    /// Where rows are put away for later stages.
    pub(super) place: Place<'a>,
    /// Which rows the plan was made of.
    pub(super) scope: &'a [Selection],
    /// Keys of new rows that are known by more than their key: what is there already under it is somebody else's.
    pub(super) distinct: &'a BTreeSet<String>,
    /// Keys of new rows that an earlier request of the plan's pass may have made, or may still be making.
    pub(super) perhaps_made: &'a BTreeSet<String>,
    /// Those of them that were sent just before.
    pub(super) coming: &'a BTreeSet<String>,
    /// How many other plans are written meanwhile.
    pub(super) beside: usize,
    /// How long NetBox takes to make a row, in ms, compared with those of other kinds.
    pub(super) row_millis: u32,
}

impl Writer<'_> {
    /// Asks or changes the pace at which NetBox is written to, by all plans of the endpoint.
    pub(super) fn pace<T>(self, change: impl FnOnce(&mut Pace) -> T) -> T {
        self.place.shelf(|shelf| change(&mut shelf.pace))
    }
}

/// A row of a batch.
pub(super) trait Entry: Keyed + Sync {
    /// Whether the row may be sent again although it may have been written.
    const IS_REPEATABLE: bool = false;
    /// Whether a row that is not there is as it should be.
    const IS_DONE_WHEN_GONE: bool = false;

    fn label(&self) -> &str;
    /// The row it is in NetBox; `None` where it has yet to be made.
    fn id(&self) -> Option<ObjectId>;
    /// Where it is listed once it is written.
    fn done<'o>(&self, outcome: &'o mut Outcome) -> &'o mut Vec<Written>;
    /// Writes a batch and returns the rows' ids, in order.
    fn send(
        writer: Writer<'_>,
        path: &'static str,
        batch: &[&Self],
    ) -> impl Future<Output = Result<Vec<Option<ObjectId>>, WriteError>> + Send;
}

impl Keyed for Create {
    fn key(&self) -> &str {
        &self.key
    }
    fn value(&self, field: &str) -> Option<&Value> {
        self.fields.get(field)
    }
}

impl Entry for Create {
    fn label(&self) -> &str {
        &self.label
    }
    fn id(&self) -> Option<ObjectId> {
        None
    }
    fn done<'o>(&self, outcome: &'o mut Outcome) -> &'o mut Vec<Written> {
        &mut outcome.created
    }
    async fn send(
        writer: Writer<'_>,
        path: &'static str,
        batch: &[&Self],
    ) -> Result<Vec<Option<ObjectId>>, WriteError> {
        let bodies: Vec<Value> = batch.iter().map(|row| create_body(&row.fields)).collect();
        writer.place.shelf(|shelf| shelf.about_to_make(path));
        let rows = writer.client.create_of(path, &bodies, writer.row_millis).await?;
        writer.place.shelf(|shelf| shelf.made(path, writer.scope, &rows));
        let id = |row: &Value| row.get("id").and_then(Value::as_u64).map(ObjectId);
        Ok(rows.iter().map(id).collect())
    }
}

impl Keyed for Update {
    fn key(&self) -> &str {
        &self.key
    }
}

impl Entry for Update {
    const IS_REPEATABLE: bool = true;

    fn label(&self) -> &str {
        &self.label
    }
    fn id(&self) -> Option<ObjectId> {
        Some(self.id)
    }
    fn done<'o>(&self, outcome: &'o mut Outcome) -> &'o mut Vec<Written> {
        if self.is_retirement {
            &mut outcome.marked
        } else {
            &mut outcome.updated
        }
    }
    async fn send(
        writer: Writer<'_>,
        path: &'static str,
        batch: &[&Self],
    ) -> Result<Vec<Option<ObjectId>>, WriteError> {
        let body = |row: &&Self| update_body(row.id, &row.changes, writer.has_add_tags);
        let bodies: Vec<Value> = batch.iter().map(body).collect();
        let rows = writer.client.update(path, &bodies).await?;
        writer.place.shelf(|shelf| shelf.changed(path, &rows));
        Ok(batch.iter().map(|row| Some(row.id)).collect())
    }
}

impl Keyed for Delete {
    fn key(&self) -> &str {
        &self.key
    }
}

impl Entry for Delete {
    const IS_REPEATABLE: bool = true;
    const IS_DONE_WHEN_GONE: bool = true;

    fn label(&self) -> &str {
        &self.label
    }
    fn id(&self) -> Option<ObjectId> {
        Some(self.id)
    }
    fn done<'o>(&self, outcome: &'o mut Outcome) -> &'o mut Vec<Written> {
        &mut outcome.deleted
    }
    async fn send(
        writer: Writer<'_>,
        path: &'static str,
        batch: &[&Self],
    ) -> Result<Vec<Option<ObjectId>>, WriteError> {
        let ids: Vec<ObjectId> = batch.iter().map(|row| row.id).collect();
        writer.place.shelf(Shelf::clear);
        writer.client.delete(path, &ids).await?;
        Ok(ids.into_iter().map(Some).collect())
    }
}
