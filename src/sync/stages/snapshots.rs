//! Stage `snapshots`: the snapshots of guests. It tells of virtual machines, and counts snapshots.

use serde_json::{Value, json};

use super::Summary;
use crate::inventory::Snapshots;
use crate::reconcile::Mode;
use crate::stages::Stage;
use crate::stages::guests::{Bound, bindings};
use crate::stages::snapshots::{self, proven, unproven};
use crate::sync::error::Error;
use crate::sync::event::Item;
use crate::sync::pass::EndpointRun;
use crate::sync::report::{Counts, Outcome, Written};

const PHASE: &str = "vm-snapshots";
const STEP: &str = Stage::Snapshots.as_str();
const TABLE: &str = "snapshot";
const PAGE: &str = "/virtualization/virtual-machines/";

pub(super) async fn run(run: &mut EndpointRun<'_>) -> Result<Summary, Error> {
    if run.facts.options.modes.effective_guest() == Mode::Disabled || !run.find_owners().await? {
        return Ok(run.nothing(PHASE));
    }
    run.progress
        .note(STEP, "started", "Starting snapshot synchronization.", Value::Null);
    run.discovered_machines(PHASE, "virtual-machine");
    run.read::<Snapshots>().await?;
    run.facts.known.proven = proven(&run.facts);
    run.tell_found();
    let mut outcome = run.pass::<snapshots::Snapshots>().await?;
    outcome.left_out += unproven(&run.facts);
    Ok(run.tell_snapshots(&outcome))
}

impl EndpointRun<'_> {
    /// Tells, as rows of the plugin's table, what was found of each virtual machine.
    fn tell_found(&self) {
        for bound in bindings(&self.facts).active() {
            let name = bound.label();
            let found = self.facts.inventory.snapshots_of(bound.vmid);
            let trouble = self.trouble(bound);
            let columns = json!({
                "completed": true,
                "rowid": name,
                "name": name,
                "netbox_id": bound.id,
                "snapshots_found": found.map_or(0, |found| found.snapshots.len()),
                "sync_status": if trouble.is_none() { "completed" } else { "undefined" },
                "error": trouble,
            });
            self.progress.columns(TABLE, "sync", name, &columns);
        }
    }

    fn trouble(&self, bound: &Bound<'_>) -> Option<&'static str> {
        let is_known = self.facts.known.proven.contains(&bound.id);
        (!is_known).then_some("not all of its snapshots could be read: none is taken for gone")
    }

    /// Tells of each virtual machine whether its snapshots are known, and sums up what became of them.
    fn tell_snapshots(&mut self, outcome: &Outcome) -> Summary {
        self.warn(PHASE, outcome);
        let bindings = bindings(&self.facts);
        let machines: Vec<&Bound<'_>> = bindings.active().collect();
        for (place, bound) in machines.iter().enumerate() {
            self.tell_scanned(bound, (place + 1, machines.len()));
        }
        let counts = Counts::of(outcome);
        self.progress.summary(PHASE, &counts);
        self.progress.rows_end(TABLE);
        let (created, updated) = (counts.created, counts.updated);
        let message = format!("Snapshot synchronization finished. {created} created, {updated} updated");
        self.progress
            .note(STEP, "completed", &message, json!({"count": created}));
        Summary {
            counts,
            machines: machines.len(),
            ..Summary::default()
        }
    }

    fn tell_scanned(&self, bound: &Bound<'_>, (current, total): (usize, usize)) {
        let name = bound.label();
        let trouble = self.trouble(bound);
        let row = Written {
            id: bound.id,
            key: String::new(),
            name: name.to_owned(),
        };
        let page = self.page(PAGE, &row);
        self.progress.item(Item {
            phase: PHASE,
            name,
            kind: "virtual-machine",
            page: Some((bound.id, &page)),
            operation: if trouble.is_none() { "updated" } else { "skipped" },
            warning: trouble,
            extra: None,
            error: None,
            current,
            total,
        });
    }
}
