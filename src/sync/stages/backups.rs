//! Stage `backups`: the backups of guests, and the journal of what became of them.

use serde_json::{Value, json};

use super::Summary;
use crate::inventory::{Backups, Storages};
use crate::netbox::objects::Storage;
use crate::reconcile::Mode;
use crate::stages::Stage;
use crate::stages::backups::{self, Written, journal, proven, unowned};
use crate::stages::guests::bindings;
use crate::sync::error::Error;
use crate::sync::pass::EndpointRun;
use crate::sync::report::Outcome;
use crate::sync::tell::Subject;

const PHASE: &str = "vm-backups";
const STEP: &str = Stage::Backups.as_str();
const BACKUPS: Subject = Subject {
    phase: PHASE,
    kind: "backup",
    page: Some("/plugins/proxbox/backups/"),
    row: None,
};

pub(super) async fn run(run: &mut EndpointRun<'_>) -> Result<Summary, Error> {
    if run.facts.options.modes.effective_guest() == Mode::Disabled {
        return Ok(run.nothing(PHASE));
    }
    // A request for a few things wants to know whether Proxmox has them, though they may be nobody's.
    if !run.find_owners().await? && run.facts.options.only.is_everything() {
        return Ok(run.nothing(PHASE));
    }
    if let Some(vmid) = run.facts.options.only.guest {
        run.only = Some([vmid].into());
    }
    run.progress
        .note(STEP, "started", "Starting backup synchronization.", Value::Null);
    run.discovered_machines(PHASE, "virtual-machine", bindings(&run.facts).followed());
    let gaps = run.gaps.len();
    run.read_or_miss::<Storages>("storages of the cluster").await?;
    run.read::<Backups>().await?;
    let failed = run.gaps.len() - gaps;
    run.note_found();
    let storages = run.read_storages().await;
    run.or_without::<Storage, ()>(storages)?;
    run.facts.known.proven = proven(&run.facts);
    let mut outcome = run.pass::<backups::Backups>().await?;
    if !run.facts.options.only.is_everything() {
        outcome.left_out += unowned(&run.facts);
    }
    run.write_journal(&outcome).await;
    run.note_outcome(&outcome, failed);
    Ok(run.tell(&BACKUPS, &outcome))
}

impl EndpointRun<'_> {
    /// Says how many backups the storages list.
    fn note_found(&self) {
        let storages = self.facts.inventory.items::<Backups>().iter();
        let count: usize = storages.map(|storage| storage.volumes.len()).sum();
        if count == 0 {
            let message = "No backups found to process";
            self.progress.note(STEP, "warning", message, Value::Null);
        } else {
            let message = format!("Found {count} backups to reconcile.");
            self.progress
                .note(STEP, "discovered", &message, json!({"count": count}));
        }
    }

    /// Says what became of them; `failed` sources could not be read.
    fn note_outcome(&self, outcome: &Outcome, failed: usize) {
        let (reconciled, deleted) = (outcome.standing().count(), outcome.deleted.len());
        let message =
            format!("Backup sync completed. {reconciled} reconciled, {failed} task error(s), {deleted} deleted.");
        let result = json!({"reconciled": reconciled, "failed_tasks": failed, "deleted": deleted});
        self.progress
            .note(STEP, "completed", &message, json!({"result": result}));
    }

    async fn write_journal(&mut self, outcome: &Outcome) {
        let created = outcome.created.iter().map(|row| (Written::Created, row));
        let updated = outcome.updated.iter().map(|row| (Written::Updated, row));
        let written = created
            .chain(updated)
            .map(|(written, row)| (written, row.id, row.key.as_str()));
        let entries = journal(&self.facts, written);
        let outcome = self.append(&entries).await;
        self.warn(PHASE, &outcome);
    }
}
