//! From a plan to NetBox, in batches.
//!
//! NetBox takes a batch whole or not at all. A refusal that names rows drops those and sends the rest again; one that
//! names none is first answered by reading NetBox again (the rows may be there by now), then by halving the batch until
//! the odd row is alone. A batch whose fate is unknown is never sent again before NetBox has been read.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::report::{Failure, Outcome, Written};
use crate::error::ErrorKind;
use crate::netbox::objects::{create_body, update_body};
use crate::netbox::{Client, RowRefusal, WriteError};
use crate::reconcile::{Create, Delete, ObjectId, Plan, Update};

/// How many rows a batch starts with, and how many it may have.
const FIRST_BATCH: usize = 100;
const LARGEST_BATCH: usize = 200;
/// A batch that is answered faster than this lets the next one be larger.
const QUICK: Duration = Duration::from_secs(5);

/// Who writes, and how.
#[derive(Debug, Clone, Copy)]
pub(super) struct Writer<'a> {
    pub(super) client: &'a Client,
    /// Whether NetBox merges tags itself.
    pub(super) has_add_tags: bool,
    pub(super) cancel: &'a CancellationToken,
}

/// What came of a plan.
#[derive(Debug, Default)]
pub(super) struct Applied {
    pub(super) outcome: Outcome,
    /// Keys of rows that may be there by now: NetBox has to be read again.
    pub(super) unresolved: BTreeSet<String>,
}

/// A row of a batch: a create or an update.
trait Entry {
    fn label(&self) -> &str;
    fn key(&self) -> &str;
    fn id(&self) -> Option<ObjectId>;
}

impl Entry for Create {
    fn label(&self) -> &str {
        &self.label
    }
    fn key(&self) -> &str {
        &self.key
    }
    fn id(&self) -> Option<ObjectId> {
        None
    }
}

impl Entry for Update {
    fn label(&self) -> &str {
        &self.label
    }
    fn key(&self) -> &str {
        &self.key
    }
    fn id(&self) -> Option<ObjectId> {
        Some(self.id)
    }
}

impl Entry for Delete {
    fn label(&self) -> &str {
        &self.label
    }
    fn key(&self) -> &str {
        &self.key
    }
    fn id(&self) -> Option<ObjectId> {
        Some(self.id)
    }
}

/// Writes `plan`. With `is_last_try` a batch is halved where otherwise NetBox would be read again.
pub(super) async fn apply(plan: &Plan, writer: Writer<'_>, is_last_try: bool) -> Applied {
    let mut applied = Applied::default();
    let standing = |id, key: &str, label: &str| Written {
        id,
        key: key.to_owned(),
        name: label.to_owned(),
    };
    applied.outcome.unchanged = plan
        .unchanged
        .iter()
        .map(|row| standing(row.id, &row.key, &row.label))
        .collect();
    applied.outcome.refuse(plan.kind, plan.refused.clone());
    let mut batches = Batches {
        plan,
        writer,
        is_last_try,
        size: FIRST_BATCH,
        applied,
    };
    batches.create().await;
    batches.update().await;
    batches.delete().await;
    batches.applied
}

struct Batches<'a> {
    plan: &'a Plan,
    writer: Writer<'a>,
    is_last_try: bool,
    size: usize,
    applied: Applied,
}

/// What to do with a batch that was not written.
enum Next<'a, E> {
    /// Send these again.
    Again(Vec<&'a E>),
    /// Send these halves.
    Halves(Vec<&'a E>, Vec<&'a E>),
    /// Nothing is left to send of it.
    Done,
    /// Nothing more of this kind can be written; every row left fails alike.
    Stop(ErrorKind, String),
}

impl<'a> Batches<'a> {
    async fn create(&mut self) {
        let plan = self.plan;
        let mut queue: VecDeque<Vec<&'a Create>> = split(&plan.create.iter().collect::<Vec<_>>(), self.size);
        while let Some(batch) = self.next(&mut queue) {
            let bodies: Vec<Value> = batch.iter().map(|row| create_body(&row.fields)).collect();
            let began = Instant::now();
            match self.writer.client.create(plan.path, &bodies).await {
                Ok(rows) => {
                    self.pace(began);
                    let ids = rows
                        .iter()
                        .map(|row| row.get("id").and_then(Value::as_u64).map(ObjectId));
                    for (row, id) in batch.into_iter().zip(ids) {
                        match id {
                            Some(id) => self.applied.outcome.created.push(written(row, id)),
                            None => self.fail(row, ErrorKind::Unknown, "NetBox's answer has no id for the row"),
                        }
                    }
                }
                Err(error) => self.handle(error, batch, &mut queue),
            }
        }
    }

    async fn update(&mut self) {
        let plan = self.plan;
        let mut queue: VecDeque<Vec<&'a Update>> = split(&plan.update.iter().collect::<Vec<_>>(), self.size);
        while let Some(batch) = self.next(&mut queue) {
            let bodies: Vec<Value> = batch
                .iter()
                .map(|row| update_body(row.id, &row.changes, self.writer.has_add_tags))
                .collect();
            let began = Instant::now();
            match self.writer.client.update(plan.path, &bodies).await {
                Ok(_) => {
                    self.pace(began);
                    self.applied
                        .outcome
                        .updated
                        .extend(batch.into_iter().map(|row| written(row, row.id)));
                }
                Err(error) => self.handle(error, batch, &mut queue),
            }
        }
    }

    async fn delete(&mut self) {
        let plan = self.plan;
        let mut queue: VecDeque<Vec<&'a Delete>> = split(&plan.delete.iter().collect::<Vec<_>>(), self.size);
        while let Some(batch) = self.next(&mut queue) {
            let ids: Vec<ObjectId> = batch.iter().map(|row| row.id).collect();
            let began = Instant::now();
            match self.writer.client.delete(plan.path, &ids).await {
                Ok(()) => {
                    self.pace(began);
                    self.applied
                        .outcome
                        .deleted
                        .extend(batch.into_iter().map(|row| written(row, row.id)));
                }
                Err(error) => self.handle(error, batch, &mut queue),
            }
        }
    }

    /// The next batch; where the run is asked to stop, everything left is counted and nothing more is sent.
    fn next<E>(&mut self, queue: &mut VecDeque<Vec<&'a E>>) -> Option<Vec<&'a E>> {
        if self.writer.cancel.is_cancelled() {
            self.applied.outcome.left_out += queue.drain(..).map(|batch| batch.len()).sum::<usize>();
        }
        let batch = queue.pop_front()?;
        if batch.len() <= self.size {
            return Some(batch);
        }
        let mut parts = split(&batch, self.size);
        let first = parts.pop_front();
        while let Some(part) = parts.pop_back() {
            queue.push_front(part);
        }
        first
    }

    /// Lets the next batch be larger where this one was quick.
    fn pace(&mut self, began: Instant) {
        if began.elapsed() < QUICK {
            self.size = (self.size + self.size.div_ceil(4)).min(LARGEST_BATCH);
        }
    }

    fn handle<E: Entry>(&mut self, error: WriteError, batch: Vec<&'a E>, queue: &mut VecDeque<Vec<&'a E>>) {
        match self.decide(error, batch) {
            Next::Again(rest) if !rest.is_empty() => queue.push_front(rest),
            Next::Again(_) | Next::Done => {}
            Next::Halves(left, right) => {
                queue.push_front(right);
                queue.push_front(left);
            }
            Next::Stop(kind, message) => {
                for row in queue.drain(..).flatten() {
                    self.fail(row, kind, &message);
                }
            }
        }
    }

    fn decide<E: Entry>(&mut self, error: WriteError, batch: Vec<&'a E>) -> Next<'a, E> {
        let may_read_again = !self.is_last_try && batch.iter().all(|row| row.id().is_none());
        match error {
            WriteError::Rows { refused, .. } => self.drop_refused(&refused, batch),
            WriteError::Batch { .. } | WriteError::Uncertain(_) if may_read_again => {
                self.applied
                    .unresolved
                    .extend(batch.iter().map(|row| row.key().to_owned()));
                Next::Done
            }
            WriteError::Batch { status, detail } => {
                self.halve(batch, ErrorKind::Validation, &format!("HTTP {status}: {detail}"))
            }
            WriteError::Uncertain(error) => {
                for row in batch {
                    self.fail(row, error.kind(), &format!("its fate is unknown: {error}"));
                }
                Next::Done
            }
            WriteError::Failed(error) if error.is_transient() && batch.len() > 1 => {
                self.size = (self.size / 2).max(1);
                self.halve(batch, error.kind(), &error.to_string())
            }
            WriteError::Failed(error) => {
                let (kind, message) = (error.kind(), error.to_string());
                for row in batch {
                    self.fail(row, kind, &message);
                }
                if matches!(kind, ErrorKind::Validation | ErrorKind::Unknown) {
                    Next::Done
                } else {
                    Next::Stop(kind, message)
                }
            }
        }
    }

    fn drop_refused<E: Entry>(&mut self, refused: &[RowRefusal], batch: Vec<&'a E>) -> Next<'a, E> {
        if refused.is_empty() {
            return self.halve(
                batch,
                ErrorKind::Validation,
                "NetBox refused the batch without saying why",
            );
        }
        let mut rest = Vec::new();
        for (position, row) in batch.into_iter().enumerate() {
            match refused.iter().find(|refusal| refusal.row == position) {
                Some(refusal) => self.fail(row, ErrorKind::Validation, &refusal.to_string()),
                None => rest.push(row),
            }
        }
        Next::Again(rest)
    }

    /// Splits a batch in two; a row that is alone has failed.
    fn halve<E: Entry>(&mut self, mut batch: Vec<&'a E>, kind: ErrorKind, message: &str) -> Next<'a, E> {
        if let [row] = batch.as_slice() {
            self.fail(*row, kind, message);
            return Next::Done;
        }
        let right = batch.split_off(batch.len() / 2);
        Next::Halves(batch, right)
    }

    fn fail(&mut self, row: &impl Entry, kind: ErrorKind, message: &str) {
        self.applied.outcome.failed.push(Failure {
            object: self.plan.kind,
            key: row.key().to_owned(),
            label: row.label().to_owned(),
            kind,
            message: message.to_owned(),
        });
    }
}

fn written(row: &impl Entry, id: ObjectId) -> Written {
    Written {
        id,
        key: row.key().to_owned(),
        name: row.label().to_owned(),
    }
}

fn split<'a, E>(rows: &[&'a E], size: usize) -> VecDeque<Vec<&'a E>> {
    rows.chunks(size.max(1)).map(<[&E]>::to_vec).collect()
}
