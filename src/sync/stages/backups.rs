//! Stage `backups`: the backups of guests, and the journal of what became of them.

use super::Summary;
use crate::inventory::{Backups, Storages};
use crate::reconcile::Mode;
use crate::stages::backups::{self, Written, journal, proven, unowned};
use crate::sync::error::Error;
use crate::sync::pass::EndpointRun;
use crate::sync::report::Outcome;
use crate::sync::tell::Subject;

const PHASE: &str = "vm-backups";
const BACKUPS: Subject = Subject {
    phase: PHASE,
    kind: "backup",
    page: Some("/plugins/proxbox/backups/"),
    row: None,
};

pub(super) async fn run(run: &mut EndpointRun<'_>) -> Result<Summary, Error> {
    if run.facts.options.modes.effective_guest() == Mode::Disabled || !run.find_owners().await? {
        return Ok(run.nothing(PHASE));
    }
    run.discovered_machines(PHASE, "virtual-machine");
    run.read::<Storages>().await?;
    run.read::<Backups>().await?;
    run.read_storages().await?;
    run.facts.known.proven = proven(&run.facts);
    let mut outcome = run.pass::<backups::Backups>().await?;
    if !run.facts.options.only.is_everything() {
        outcome.left_out += unowned(&run.facts);
    }
    run.write_journal(&outcome).await;
    Ok(run.tell(&BACKUPS, &outcome))
}

impl EndpointRun<'_> {
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
