//! From a plan to NetBox, in batches, several side by side.
//!
//! NetBox takes a batch whole or not at all. A refusal that names rows drops those and sends the rest again; new rows that
//! are there already as it says are looked up first. One that names none is first answered by reading NetBox again (the
//! rows may be there by now), then by halving the batch until the odd row is alone; so is one for want of a right, which
//! may hold for some rows. New rows whose fate is unknown are never sent again before NetBox has been read, and then in
//! smaller batches; changes are. What is refused then may have been made since: NetBox is read once more. A change of a row
//! of which a field is not what NetBox computes for it is sent once more with what the refusal tells.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use serde_json::Value;
use tokio::time::Instant;

use super::entry::{Entry, Writer};
use super::pace::Pace;
use super::queue::Queue;
use super::report::{Failure, Outcome, Written};
use super::shelf::Shelf;
use crate::error::ErrorKind;
use crate::netbox::{self, RowRefusal, WriteError};
use crate::reconcile::{Change, ObjectId, Plan};

/// How many single rows in a row NetBox may leave without an answer before nothing more of the plan is sent.
const MOST_SILENCES: u32 = 3;
/// How many single rows in a row may want a right before nothing more of the plan is sent.
const MOST_DENIALS: u32 = 3;

/// What came of a plan.
#[derive(Debug, Default)]
pub(super) struct Applied {
    pub(super) outcome: Outcome,
    /// Keys of rows that may be there by now: NetBox has to be read again.
    pub(super) unresolved: BTreeSet<String>,
    /// Those of them that may have been made by what was sent, and not by somebody else.
    pub(super) perhaps_made: BTreeSet<String>,
    /// Those of them that NetBox may still be at work on.
    pub(super) under_way: BTreeSet<String>,
    /// How long NetBox asks to be left alone.
    pub(super) retry_after: Duration,
}

/// Which time it is that a pass compares and writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Round {
    /// Nothing was read before. New rows that are refused may be there: they are left to the next round too.
    Blind,
    /// New rows that are refused for being there, batches that are refused whole, and those whose fate is unknown are left
    /// to the next round.
    First,
    /// Only those whose fate is unknown are, and those refused that an earlier request may have made meanwhile.
    Later,
    /// What could not be written now has failed.
    Last,
}

/// Writes `plan`.
pub(super) async fn apply(plan: &Plan, writer: Writer<'_>, round: Round) -> Applied {
    let mut applied = Applied::default();
    let standing = plan.unchanged.iter().map(|row| Written {
        id: row.id,
        key: row.key.clone(),
        name: row.label.clone(),
    });
    applied.outcome.unchanged = standing.collect();
    applied.outcome.refuse(plan.kind, plan.refused.clone());
    applied.outcome.left_out = plan.left_out;
    let mut batches = Batches {
        plan,
        writer,
        round,
        applied,
        told: BTreeMap::new(),
        silences: 0,
        denials: 0,
    };
    batches.write(&plan.create).await;
    batches.write(&plan.update).await;
    batches.write(&plan.delete).await;
    if batches.told.is_empty() {
        return batches.applied;
    }
    // Boxed: it is rare, and large.
    Box::pin(batches.amend()).await
}

/// The changes of a plan that were refused for want of what NetBox has `told`, with it.
fn amended(plan: &Plan, told: &BTreeMap<ObjectId, u64>) -> Plan {
    let update = plan.update.iter().filter_map(|row| {
        let (field, value) = (plan.told?.field, *told.get(&row.id)?);
        let mut row = row.clone();
        let change = Change {
            before: Value::Null,
            after: value.into(),
        };
        row.changes.insert(field, change);
        Some(row)
    });
    Plan {
        told: None,
        create: Vec::new(),
        update: update.collect(),
        delete: Vec::new(),
        unchanged: Vec::new(),
        refused: Vec::new(),
        ..*plan
    }
}

struct Batches<'a> {
    plan: &'a Plan,
    writer: Writer<'a>,
    round: Round,
    applied: Applied,
    /// What NetBox has told that a field of rows has to be.
    told: BTreeMap<ObjectId, u64>,
    /// How often in a row NetBox has given no answer to what cannot be halved.
    silences: u32,
    /// How often in a row a right was wanting for what cannot be halved.
    denials: u32,
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
    /// Writes the changes that were refused for want of what NetBox has told, with it.
    async fn amend(self) -> Applied {
        let plan = amended(self.plan, &self.told);
        let mut batches = Batches { plan: &plan, ..self };
        batches.write(&plan.update).await;
        batches.applied
    }

    /// Writes `rows`; a write that is under way is always waited for.
    async fn write<E: Entry>(&mut self, rows: &'a [E]) {
        let (millis, beside) = (self.plan.row_millis, self.writer.beside);
        let is_worth_two = Pace::is_worth_two(rows.len(), millis, beside);
        let mut queue = Queue::new(rows, self.plan.side_by_side, is_worth_two);
        let most = queue.most();
        let cap = Pace::cap(rows.len(), millis, queue.most_shares(), beside);
        let mut under_way = FuturesUnordered::new();
        loop {
            while under_way.len() < most
                && let Some(batch) = self.next(&mut queue, cap)
            {
                let (writer, path) = (self.writer, self.plan.path);
                under_way.push(async move {
                    let began = Instant::now();
                    let result = E::send(writer, path, &batch).await;
                    (batch, began, result)
                });
            }
            let Some((batch, began, result)) = under_way.next().await else {
                break;
            };
            queue.done(&batch);
            match result {
                Ok(ids) => {
                    (self.silences, self.denials) = (0, 0);
                    self.writer.pace(|pace| pace.took(began.elapsed()));
                    self.took(batch, ids);
                }
                Err(error) => self.handle(error, batch, &mut queue),
            }
        }
    }

    fn took<E: Entry>(&mut self, batch: Vec<&'a E>, ids: Vec<Option<ObjectId>>) {
        for (row, id) in batch.into_iter().zip(ids) {
            match id {
                Some(id) => row.done(&mut self.applied.outcome).push(Written {
                    id,
                    key: row.key().to_owned(),
                    name: row.label().to_owned(),
                }),
                None => self.fail(row, ErrorKind::Unknown, "NetBox's answer has no id for the row"),
            }
        }
    }

    /// The next batch. Where the run is asked to stop, everything left is counted and nothing more is sent.
    fn next<E: Entry>(&mut self, queue: &mut Queue<'a, E>, cap: usize) -> Option<Vec<&'a E>> {
        if self.writer.cancel.is_cancelled() {
            self.applied.outcome.left_out += queue.drain().count();
        }
        queue.next(|rows| self.writer.pace(|pace| pace.share(rows, cap)))
    }

    fn handle<E: Entry>(&mut self, error: WriteError, batch: Vec<&'a E>, queue: &mut Queue<'a, E>) {
        match self.decide(error, batch) {
            Next::Again(rest) if !rest.is_empty() => queue.put_first(rest),
            Next::Again(_) | Next::Done => {}
            Next::Halves(left, right) => {
                queue.put_first(right);
                queue.put_first(left);
            }
            Next::Stop(kind, message) => {
                for row in queue.drain() {
                    self.fail(row, kind, &message);
                }
            }
        }
    }

    fn decide<E: Entry>(&mut self, error: WriteError, batch: Vec<&'a E>) -> Next<'a, E> {
        if matches!(error, WriteError::Uncertain(_)) {
            self.writer.place.shelf(Shelf::clear);
        }
        if is_perhaps_too_much(&error) {
            self.writer.pace(|pace| pace.failed(batch.len()));
        } else {
            self.silences = 0;
        }
        let (are_new, kind) = (batch.iter().all(|row| row.id().is_none()), error.kind());
        match error {
            WriteError::Rows { .. } | WriteError::Batch { .. } if are_new && self.round == Round::Blind => {
                self.read_again(&batch)
            }
            WriteError::Rows { refused, .. } => self.drop_refused(&refused, batch),
            WriteError::Batch { .. } if are_new && (self.round == Round::First || self.was_just_sent(&batch)) => {
                self.read_again(&batch)
            }
            WriteError::Uncertain(error) if are_new && self.round != Round::Last => self.wait_for(&batch, &error),
            WriteError::Batch { status, detail } => self.halve(batch, kind, &format!("HTTP {status}: {detail}")),
            WriteError::Uncertain(error) if E::IS_REPEATABLE && batch.len() > 1 && self.silences < MOST_SILENCES => {
                self.halve(batch, error.kind(), &error.to_string())
            }
            WriteError::Uncertain(error) => {
                for row in batch {
                    self.fail(row, error.kind(), &format!("its fate is unknown: {error}"));
                }
                self.silences += u32::from(error.is_transient());
                if self.silences < MOST_SILENCES {
                    Next::Done
                } else {
                    Next::Stop(error.kind(), format!("not sent, since others got no answer: {error}"))
                }
            }
            WriteError::Failed(error)
                if batch.len() > 1 && (is_to_be_halved(&error) || self.may_be_for_others(&error)) =>
            {
                self.halve(batch, error.kind(), &error.to_string())
            }
            WriteError::Failed(error) => {
                let (kind, message) = (error.kind(), error.to_string());
                for row in batch {
                    self.fail(row, kind, &message);
                }
                self.denials += u32::from(is_denial(&error));
                if matches!(kind, ErrorKind::Validation | ErrorKind::Unknown) || self.may_be_for_others(&error) {
                    Next::Done
                } else {
                    Next::Stop(kind, message)
                }
            }
        }
    }

    /// Whether the right that is wanting may hold for other rows.
    const fn may_be_for_others(&self, error: &netbox::Error) -> bool {
        is_denial(error) && self.denials < MOST_DENIALS
    }

    /// Leaves a batch to the next round.
    fn read_again<E: Entry>(&mut self, batch: &[&'a E]) -> Next<'a, E> {
        let keys = batch.iter().map(|row| row.key().to_owned());
        self.applied.unresolved.extend(keys);
        Next::Done
    }

    /// Leaves a batch to the next round that may have been made all the same.
    fn wait_for<E: Entry>(&mut self, batch: &[&'a E], error: &netbox::Error) -> Next<'a, E> {
        let keys = || batch.iter().map(|row| row.key().to_owned());
        self.applied.perhaps_made.extend(keys());
        if error.may_be_under_way() {
            self.applied.under_way.extend(keys());
        }
        self.applied.retry_after = self.applied.retry_after.max(error.retry_after());
        self.read_again(batch)
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
                Some(refusal) if E::IS_DONE_WHEN_GONE && refusal.kind() == ErrorKind::NotFound => {
                    self.took(vec![row], vec![row.id()]);
                }
                Some(refusal) if self.may_be_there(row) && refusal.is_duplicate() => {
                    self.applied.unresolved.insert(row.key().to_owned());
                }
                Some(refusal) if self.is_told(row, refusal) => {}
                Some(refusal) => self.fail(row, refusal.kind(), &refusal.to_string()),
                None => rest.push(row),
            }
        }
        Next::Again(rest)
    }

    /// Whether a row is refused because of a field of which NetBox tells what it has to be; that is kept.
    fn is_told<E: Entry>(&mut self, row: &'a E, refusal: &RowRefusal) -> bool {
        let (Some(told), Some(id)) = (self.plan.told, row.id()) else {
            return false;
        };
        let mut errors = refusal.errors.iter().filter(|error| error.field == told.field);
        let value = errors.find_map(|error| error.messages.iter().find_map(|message| told.value(message)));
        value.is_some_and(|value| {
            self.told.insert(id, value);
            true
        })
    }

    /// Whether what is in the way of a row may be that row, made just now by somebody else or by an earlier request.
    fn may_be_there<E: Entry>(&self, row: &'a E) -> bool {
        let may_be_made = self.round == Round::First && !self.writer.distinct.contains(row.key());
        row.id().is_none() && (may_be_made || self.may_have_come(&[row]))
    }

    /// Whether an earlier request may have made any of these rows since NetBox was read.
    fn may_have_come<E: Entry>(&self, batch: &[&'a E]) -> bool {
        let mut keys = batch.iter().map(|row| row.key());
        self.round == Round::Later && keys.any(|key| self.writer.perhaps_made.contains(key))
    }

    /// Whether any of these rows was in a request right before this one that got no answer. Only then is a refusal that names
    /// no row worth another look: later ones are due to the rows.
    fn was_just_sent<E: Entry>(&self, batch: &[&'a E]) -> bool {
        let mut keys = batch.iter().map(|row| row.key());
        self.round == Round::Later && keys.any(|key| self.writer.coming.contains(key))
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

/// Whether NetBox may only have been asked for too much at once.
fn is_perhaps_too_much(error: &WriteError) -> bool {
    match error {
        WriteError::Uncertain(_) => true,
        WriteError::Failed(error) => is_to_be_halved(error),
        WriteError::Rows { .. } | WriteError::Batch { .. } => false,
    }
}

/// Whether NetBox refuses for want of a right; before 4.7 it names no row for that.
const fn is_denial(error: &netbox::Error) -> bool {
    matches!(error, netbox::Error::PermissionDenied { .. })
}

/// Whether fewer rows may pass where these did not. What NetBox was not even asked says nothing of that.
const fn is_to_be_halved(error: &netbox::Error) -> bool {
    error.is_transient() && !matches!(error, netbox::Error::Down { .. })
}
