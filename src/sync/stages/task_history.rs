//! Stage `task-history`: what was done to guests.

use super::Summary;
use crate::error::ErrorKind;
use crate::inventory::{RecordedTasks, Tasks};
use crate::netbox::objects::VirtualMachineState;
use crate::stages::Selection;
use crate::stages::guests::{bindings, stateless};
use crate::stages::task_history::{
    TaskHistory, TaskPass, disputed, has_holes, holders, older, recent, recorded, unowned,
};
use crate::sync::error::Error;
use crate::sync::pass::EndpointRun;
use crate::sync::report::{Counts, Outcome};
use crate::sync::tally::TaskTally;

const PHASE: &str = "task-history";

pub(super) async fn run(run: &mut EndpointRun<'_>) -> Result<Summary, Error> {
    run.bootstrap().await?;
    let has_any = run.find_owners().await?;
    let strangers = stateless(&run.facts).count();
    if !has_any {
        let counts = Counts {
            skipped: strangers,
            ..Counts::default()
        };
        return Ok(Summary {
            counts,
            ..Summary::default()
        });
    }
    run.discovered_machines(PHASE, "vm", bindings(&run.facts).bound.iter());
    let written = run.write_tasks().await;
    if run.cancel.is_cancelled() || !written.as_ref().is_ok_and(is_seen_to) {
        // The newest tasks may be on record now, and older ones not.
        run.place().repeat_full_task_pass();
    }
    let mut outcome = written?;
    outcome.left_out += strangers;
    run.warn(PHASE, &outcome);
    let counts = Counts::of(&outcome);
    let gaps = run.facts.inventory.gaps::<Tasks>();
    let tasks = TaskTally {
        errors: counts.failed + gaps.len() + disputed(&run.facts),
        offline: gaps.iter().filter(|gap| gap.is_offline_node()).count(),
        reconciled: counts.standing(),
        skipped: counts.skipped,
    };
    run.sum_up_tasks(counts, tasks);
    // Tasks are many and small: they are counted, not listed.
    Ok(Summary {
        counts,
        tasks: Some(tasks),
        machines: bindings(&run.facts).bound.len(),
        ..Summary::default()
    })
}

/// Whether every row was written that NetBox takes: what it refuses for what it says, it refuses again.
fn is_seen_to(outcome: &Outcome) -> bool {
    outcome
        .failed
        .iter()
        .all(|failure| failure.kind == ErrorKind::Validation)
}

impl EndpointRun<'_> {
    /// Sums up in the plugin's terms: every row in step counts as created, every source that failed as failed.
    fn sum_up_tasks(&self, counts: Counts, tasks: TaskTally) {
        let told = Counts {
            created: tasks.reconciled,
            failed: tasks.errors,
            skipped: tasks.skipped,
            ..Counts::default()
        };
        let message = format!(
            "Task history sync completed: {} records reconciled ({} new), {} skipped, {} error(s)",
            told.created, counts.created, told.skipped, told.failed
        );
        self.progress.summary_as(PHASE, &told, &message);
    }

    async fn write_tasks(&mut self) -> Result<Outcome, Error> {
        self.facts.known.tasks = self.list(recent(&self.facts)).await?;
        let pass = TaskPass::of(&self.facts);
        let is_full = self.facts.options.guests.all_tasks || self.place().is_full_task_pass(&pass);
        self.recorded = if is_full {
            RecordedTasks::default()
        } else {
            recorded(&self.facts)
        };
        self.read::<Tasks>().await?;
        let has_holes = has_holes(&self.facts);
        if has_holes {
            self.place().repeat_full_task_pass();
        }
        let older = self.list(older(&self.facts)).await?;
        self.facts.known.tasks.extend(older);
        let holders = Selection::any_of("virtual_machine_id", holders(&self.facts));
        self.facts.known.task_holders = self.list::<VirtualMachineState>(vec![holders]).await?;
        let mut outcome = self.pass::<TaskHistory>().await?;
        outcome.left_out += unowned(&self.facts);
        if !has_holes && self.facts.options.guests.only.is_none() && !self.is_dry_run {
            self.place().count_task_pass(pass);
        }
        Ok(outcome)
    }
}
