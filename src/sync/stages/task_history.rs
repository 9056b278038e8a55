//! Stage `task-history`: what was done to guests.

use super::Summary;
use crate::inventory::{RecordedTasks, Tasks};
use crate::netbox::objects::VirtualMachineState;
use crate::stages::Selection;
use crate::stages::guests::{bindings, stateless};
use crate::stages::task_history::{TaskHistory, has_holes, holders, older, recent, recorded, unowned};
use crate::sync::error::Error;
use crate::sync::pass::EndpointRun;
use crate::sync::report::{Counts, Outcome};

const PHASE: &str = "task-history";

pub(super) async fn run(run: &mut EndpointRun<'_>) -> Result<Summary, Error> {
    run.bootstrap().await?;
    let has_any = run.find_owners().await?;
    let strangers = stateless(&run.facts);
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
    run.discovered_machines(PHASE, "vm");
    let outcome = run.write_tasks().await;
    if !outcome.as_ref().is_ok_and(|outcome| outcome.failed.is_empty()) {
        run.place().repeat_full_task_pass();
    }
    let mut outcome = outcome?;
    outcome.left_out += strangers;
    run.warn(PHASE, &outcome);
    let counts = Counts::of(&outcome);
    run.sum_up_tasks(counts);
    // Tasks are many and small: they are counted, not listed.
    Ok(Summary {
        counts,
        machines: bindings(&run.facts).bound.len(),
        ..Summary::default()
    })
}

impl EndpointRun<'_> {
    /// Sums up in the plugin's terms: every row in step counts as created, every source that failed as failed.
    fn sum_up_tasks(&self, counts: Counts) {
        let told = Counts {
            created: counts.standing(),
            failed: counts.failed + self.gaps.len(),
            skipped: counts.skipped,
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
        let guests = &self.facts.options.guests;
        let is_full = guests.all_tasks || self.place().is_full_task_pass();
        if guests.only.is_none() {
            self.place().count_task_pass();
        }
        self.recorded = if is_full {
            RecordedTasks::default()
        } else {
            recorded(&self.facts)
        };
        self.read::<Tasks>().await?;
        if has_holes(&self.facts) {
            self.place().repeat_full_task_pass();
        }
        let older = self.list(older(&self.facts)).await?;
        self.facts.known.tasks.extend(older);
        let holders = Selection::any_of("virtual_machine_id", holders(&self.facts));
        self.facts.known.task_holders = self.list::<VirtualMachineState>(vec![holders]).await?;
        let mut outcome = self.pass::<TaskHistory>().await?;
        outcome.left_out += unowned(&self.facts);
        Ok(outcome)
    }
}
