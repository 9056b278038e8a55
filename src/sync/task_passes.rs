//! Which passes over the tasks of an endpoint read all that Proxmox has.

use std::time::Duration;

use tokio::time::Instant;

use super::memo::{Place, side};
use crate::stages::task_history::TaskPass;

/// Of so many passes over the tasks of an endpoint one reads them all.
const FULL_EVERY: u32 = 24;
/// So long after the latest pass nobody waits for another one: branches come and go.
const KEPT: Duration = Duration::from_hours(48);

/// Passes over the tasks of one endpoint.
#[derive(Debug)]
pub(super) struct TaskPasses {
    /// How many there were.
    count: u32,
    latest: TaskPass,
    /// When that was.
    at: Instant,
}

impl TaskPasses {
    /// Whether another pass may follow.
    pub(super) fn is_of_use(&self) -> bool {
        self.at.elapsed() < KEPT
    }
}

impl Place<'_> {
    /// Whether a pass over the tasks reads all that Proxmox has: the first does, and then each [`FULL_EVERY`]th, so that rows
    /// of old tasks are repaired too; and one that does not continue the pass before, because there may be old tasks that
    /// nobody has looked for.
    pub(super) fn is_full_task_pass(&self, pass: &TaskPass) -> bool {
        let key = (side(self.netbox), self.endpoint);
        self.memo.with_history(|history| {
            let passes = history.task_passes.get(&key);
            passes.is_none_or(|passes| passes.count.is_multiple_of(FULL_EVERY) || !pass.continues(&passes.latest))
        })
    }

    /// Takes down a pass over all tasks there are.
    pub(super) fn count_task_pass(&self, pass: TaskPass) {
        let key = (side(self.netbox), self.endpoint);
        self.memo.with_history(|history| {
            let before = history.task_passes.get(&key).map_or(0, |passes| passes.count);
            let passes = TaskPasses {
                count: before.wrapping_add(1),
                latest: pass,
                at: Instant::now(),
            };
            history.task_passes.insert(key, passes);
        });
    }

    /// Lets the next pass over the tasks read all again, because this one could not.
    pub(super) fn repeat_full_task_pass(&self) {
        let key = (side(self.netbox), self.endpoint);
        self.memo.with_history(|history| history.task_passes.remove(&key));
    }
}
