//! Stage `snapshots`: the snapshots of guests. It tells of virtual machines, and counts snapshots.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use super::Summary;
use crate::inventory::{GuestSnapshots, Inventory, Listener, Snapshots, Vmid};
use crate::reconcile::{Mode, ObjectId};
use crate::stages::Stage;
use crate::stages::guests::bindings;
use crate::stages::snapshots::{self, proven, unproven};
use crate::sync::error::Error;
use crate::sync::event::{Item, Progress};
use crate::sync::pass::EndpointRun;
use crate::sync::report::{Counts, Outcome};

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
    run.discovered_machines(PHASE, "virtual-machine", bindings(&run.facts).handled());
    let scan = Scan::of(run);
    scan.tell_begun();
    run.read_heard::<Snapshots>(&scan).await?;
    scan.tell_rest(&run.facts.inventory);
    run.facts.known.proven = proven(&run.facts);
    let mut outcome = run.pass::<snapshots::Snapshots>().await?;
    let incomplete = unproven(&run.facts);
    outcome.left_out += incomplete;
    Ok(run.tell_snapshots(&outcome, incomplete))
}

/// Tells of each virtual machine when the snapshots of its guest are read.
#[derive(Debug)]
struct Scan<'a> {
    progress: &'a Progress,
    machines: Vec<Scanned>,
    /// Those that were told of, by their places.
    told: Mutex<BTreeSet<usize>>,
}

/// A virtual machine whose snapshots are asked for.
#[derive(Debug)]
struct Scanned {
    id: ObjectId,
    name: String,
    /// Its page in NetBox.
    page: String,
    vmid: Vmid,
    /// Whether the cluster lists its guest.
    is_listed: bool,
}

impl<'a> Scan<'a> {
    fn of(run: &EndpointRun<'a>) -> Self {
        let bindings = bindings(&run.facts);
        let machines = bindings.handled().map(|bound| Scanned {
            id: bound.id,
            name: bound.label().to_owned(),
            page: run.page(PAGE, bound.id),
            vmid: bound.vmid,
            is_listed: bound.guest.is_some(),
        });
        Self {
            progress: run.progress,
            machines: machines.collect(),
            told: Mutex::default(),
        }
    }

    /// The turn of every virtual machine has come.
    fn tell_begun(&self) {
        for machine in &self.machines {
            let columns = json!({
                "completed": false,
                "rowid": machine.name,
                "name": machine.name,
                "netbox_id": machine.id,
                "status": "Processing...",
                "sync_status": "syncing",
            });
            self.progress.columns(TABLE, "sync", &machine.name, &columns);
        }
    }

    /// Tells of those that nobody was asked about, because it is known already or cannot be known.
    fn tell_rest(&self, inventory: &Inventory) {
        for (place, machine) in self.machines.iter().enumerate() {
            self.tell(place, inventory.snapshots_of(machine.vmid));
        }
    }

    /// Tells what was found of one, once: as a row of the plugin's table, and as an item.
    fn tell(&self, place: usize, found: Option<&GuestSnapshots>) {
        let Some(machine) = self.machines.get(place) else {
            return;
        };
        let current = {
            let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
            if !told.insert(place) {
                return;
            }
            told.len()
        };
        let is_known = machine.is_listed && found.is_some_and(|found| found.is_complete);
        let trouble = (!is_known).then_some("not all of its snapshots could be read: none is taken for gone");
        let columns = json!({
            "completed": true,
            "rowid": machine.name,
            "name": machine.name,
            "netbox_id": machine.id,
            "snapshots_found": found.map_or(0, |found| found.snapshots.len()),
            "sync_status": if is_known { "completed" } else { "undefined" },
            "error": trouble,
        });
        self.progress.columns(TABLE, "sync", &machine.name, &columns);
        self.progress.item(Item {
            phase: PHASE,
            name: &machine.name,
            kind: "virtual-machine",
            page: Some((machine.id, &machine.page)),
            operation: if is_known { "updated" } else { "skipped" },
            warning: trouble,
            extra: None,
            error: None,
            current,
            total: self.machines.len(),
        });
    }
}

impl Listener for Scan<'_> {
    fn snapshots_read(&self, vmid: Vmid, snapshots: Option<&GuestSnapshots>) {
        // They are in the order of their guests' numbers.
        let from = self.machines.partition_point(|machine| machine.vmid < vmid);
        let to = self.machines.partition_point(|machine| machine.vmid <= vmid);
        (from..to).for_each(|place| self.tell(place, snapshots));
    }
}

impl EndpointRun<'_> {
    /// Sums up what became of the snapshots, in the plugin's terms: the virtual machines of which not all could be read are
    /// what has failed and what was skipped.
    fn tell_snapshots(&mut self, outcome: &Outcome, incomplete: usize) -> Summary {
        self.warn(PHASE, outcome);
        let machines = bindings(&self.facts).handled().count();
        let counts = Counts::of(outcome);
        let (created, updated, unchanged) = (counts.created, counts.updated, counts.unchanged);
        let told = Counts {
            failed: counts.failed + incomplete,
            unchanged: 0,
            ..counts
        };
        let message = format!(
            "{PHASE} sync completed: {created} created, {updated} updated, {unchanged} unchanged, {} failed",
            told.failed
        );
        self.progress.summary_as(PHASE, &told, &message);
        self.progress.rows_end(TABLE);
        let message = format!("Snapshot synchronization finished. {created} created, {updated} updated");
        self.progress
            .note(STEP, "completed", &message, json!({"count": created}));
        Summary {
            counts,
            machines,
            ..Summary::default()
        }
    }
}
