//! One pass, alone or beside others, and what is learnt from it.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::apply::{Round, apply};
use super::entry::Writer;
use super::error::Error;
use super::event::Progress;
use super::individual::Trace;
use super::memo::{Memo, Place};
use super::needs::Needs;
use super::report::{Outcome, Written};
use super::rounds::Passed;
use super::warning::Warning;
use crate::inventory::{Gap, RecordedTasks};
use crate::netbox::{Client, NetBoxVersion};
use crate::proxmox::{Session, Vmid};
use crate::reconcile::{Create, Limits, Plan, Resource};
use crate::stages::{Facts, Pass, Selection, Stage};

/// The part of a run that works for one endpoint.
#[derive(Debug)]
pub(super) struct EndpointRun<'a> {
    pub(super) stage: Stage,
    pub(super) facts: Facts,
    pub(super) session: &'a Session,
    pub(super) netbox: &'a Client,
    pub(super) version: NetBoxVersion,
    pub(super) progress: &'a Progress,
    pub(super) cancel: CancellationToken,
    pub(super) limits: Limits,
    pub(super) is_dry_run: bool,
    pub(super) memo: &'a Memo,
    /// What of NetBox was read and written.
    pub(super) needs: Needs,
    /// How long what one run has read serves the next.
    pub(super) inventory_ttl: Duration,
    /// Only these guests; `None`: all.
    pub(super) only: Option<BTreeSet<Vmid>>,
    /// Tasks that need not be read again.
    pub(super) recorded: RecordedTasks,
    /// How many calls to Proxmox may be under way at once.
    pub(super) concurrency: usize,
    /// How long a guest agent may take to answer.
    pub(super) agent_timeout: Duration,
    pub(super) plans: Vec<Plan>,
    pub(super) warnings: Vec<Warning>,
    /// Sources that could not be read.
    pub(super) gaps: Vec<Gap>,
    /// What became of every pass, where somebody asks for it in the end.
    pub(super) trace: Option<Trace>,
}

impl<'a> EndpointRun<'a> {
    /// What runs remember of this endpoint.
    pub(super) fn place(&self) -> Place<'a> {
        Place {
            memo: self.memo,
            netbox: self.netbox,
            endpoint: self.facts.endpoint.key,
            session: self.session,
            ttl: self.inventory_ttl,
        }
    }

    /// Runs one pass.
    pub(super) async fn pass<P: Pass>(&mut self) -> Result<Outcome, Error> {
        let passed = self.carry_out::<P>(0).await;
        self.take_in::<P>(passed)
    }

    /// Whether the shrink guard lets a pass retire what it would, before anything of it is written. A dry run shows it all the
    /// same.
    pub(super) async fn check<P: Pass>(&mut self) -> Result<(), Error> {
        let is_dry_run = std::mem::replace(&mut self.is_dry_run, true);
        let checked = self.carry_out::<P>(0).await;
        self.is_dry_run = is_dry_run;
        match checked?.and_then(|passed| passed.refused) {
            Some(refused) if !is_dry_run => Err(refused.into()),
            Some(_) | None => Ok(()),
        }
    }

    /// Runs two passes side by side; one may do without the other. Neither may need what the other writes, nor may one change
    /// rows that the other's hang on: the database of NetBox would let both wait for each other, and end one of them.
    pub(super) async fn try_passes<P: Pass, Q: Pass>(&mut self) -> [Result<Outcome, Error>; 2] {
        self.two_passes::<P, Q>([1, 1]).await
    }

    /// Like [`Self::try_passes`], for three.
    pub(super) async fn try_three_passes<P: Pass, Q: Pass, R: Pass>(&mut self) -> [Result<Outcome, Error>; 3] {
        let (first, second, third) =
            tokio::join!(self.carry_out::<P>(2), self.carry_out::<Q>(2), self.carry_out::<R>(2));
        [
            self.take_in::<P>(first),
            self.take_in::<Q>(second),
            self.take_in::<R>(third),
        ]
    }

    /// Like [`Self::try_passes`], where the second writes so little that the first does as if it were alone.
    pub(super) async fn pass_and_aside<P: Pass, Q: Pass>(&mut self) -> [Result<Outcome, Error>; 2] {
        self.two_passes::<P, Q>([0, 1]).await
    }

    async fn two_passes<P: Pass, Q: Pass>(&mut self, beside: [usize; 2]) -> [Result<Outcome, Error>; 2] {
        // Not the first error ends both: a write that is under way is always waited for.
        let (first, second) = tokio::join!(self.carry_out::<P>(beside[0]), self.carry_out::<Q>(beside[1]));
        [self.take_in::<P>(first), self.take_in::<Q>(second)]
    }

    /// Learns from a pass.
    fn take_in<P: Pass>(&mut self, passed: Result<Option<Passed>, Error>) -> Result<Outcome, Error> {
        let Some(Passed {
            mut outcome,
            plan,
            refused,
            warnings,
        }) = passed?
        else {
            return Ok(Outcome::default());
        };
        self.warnings.extend(warnings);
        self.warnings.extend(refused.map(|refused| refused.to_string().into()));
        if let Some(plan) = plan {
            outcome = self.pretend(&plan);
            self.plans.push(self.readable(plan));
        }
        self.learn::<P::Object>(&outcome);
        if let Some(trace) = &mut self.trace {
            trace.push(P::Object::PATH, outcome.clone());
        }
        Ok(outcome)
    }

    /// Adds rows of a kind that is never read back, such as journal entries, even where the run is asked to stop: the next
    /// one would find nothing to tell. One whose fate is unknown is not sent again: better none than two.
    pub(super) async fn append<R: Resource>(&self, rows: &[R]) -> Outcome {
        let create = rows.iter().map(|row| Create {
            key: row.key().to_string(),
            label: row.label(),
            fields: row.fields(),
        });
        let plan = Plan {
            create: create.collect(),
            ..Plan::of::<R>()
        };
        if self.is_dry_run {
            return Outcome::default();
        }
        let (none, cancel) = (BTreeSet::new(), CancellationToken::new());
        let writer = Writer {
            cancel: &cancel,
            ..self.writer((&[], &none), (&none, &none), (0, plan.row_millis))
        };
        apply(&plan, writer, Round::Last).await.outcome
    }

    pub(super) fn writer<'b>(
        &'b self,
        (scope, distinct): (&'b [Selection], &'b BTreeSet<String>),
        (perhaps_made, coming): (&'b BTreeSet<String>, &'b BTreeSet<String>),
        (beside, row_millis): (usize, u32),
    ) -> Writer<'b> {
        Writer {
            client: self.netbox,
            has_add_tags: self.version.has_add_tags(),
            cancel: &self.cancel,
            place: self.place(),
            scope,
            distinct,
            perhaps_made,
            coming,
            beside,
            row_millis,
        }
    }

    fn learn<R: Resource>(&mut self, outcome: &Outcome) {
        for row in outcome.standing() {
            self.facts.ids.learn(R::PATH, row.key.clone(), row.id);
        }
    }

    /// The plan as a person reads it: rows that it would make have no ids to be referred by.
    fn readable(&self, mut plan: Plan) -> Plan {
        for row in &mut plan.create {
            row.key = self.facts.ids.spell_out_text(&row.key);
            row.label = self.facts.ids.spell_out_text(&row.label);
        }
        let made = plan.create.iter_mut().flat_map(|row| row.fields.values_mut());
        made.for_each(|value| self.facts.ids.spell_out(value));
        let changed = plan.update.iter_mut().flat_map(|row| row.changes.values_mut());
        changed.for_each(|change| self.facts.ids.spell_out(&mut change.after));
        plan
    }

    /// What would come of a plan; rows that would be made get ids by which later passes can refer to them.
    fn pretend(&mut self, plan: &Plan) -> Outcome {
        let mut outcome = Outcome::default();
        for row in &plan.create {
            let id = self.facts.ids.provide(plan.kind, &row.label);
            self.facts.ids.learn(plan.path, row.key.clone(), id);
            outcome.created.push(Written {
                id,
                key: row.key.clone(),
                name: row.label.clone(),
            });
        }
        let written = |id, key: &str, label: &str| Written {
            id,
            key: key.to_owned(),
            name: label.to_owned(),
        };
        for row in &plan.update {
            let rows = if row.is_retirement {
                &mut outcome.marked
            } else {
                &mut outcome.updated
            };
            rows.push(written(row.id, &row.key, &row.label));
        }
        outcome.deleted = plan
            .delete
            .iter()
            .map(|row| written(row.id, &row.key, &row.label))
            .collect();
        outcome.unchanged = plan
            .unchanged
            .iter()
            .map(|row| written(row.id, &row.key, &row.label))
            .collect();
        for row in outcome.updated.iter().chain(&outcome.unchanged) {
            self.facts.ids.learn(plan.path, row.key.clone(), row.id);
        }
        outcome.refuse(plan.kind, plan.refused.clone());
        outcome.left_out = plan.left_out;
        outcome
    }

    /// Reports rows that could not be written, and keeps them as warnings.
    pub(super) fn warn(&mut self, phase: &str, outcome: &Outcome) {
        for failure in &outcome.failed {
            self.progress.failure(phase, failure);
            self.warnings.push(failure.into());
        }
    }
}
