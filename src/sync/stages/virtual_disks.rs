//! Stage `virtual-disks`: disks of the virtual machines that stand in NetBox. It counts virtual machines, not disks.

use std::collections::BTreeMap;

use serde_json::json;

use super::Summary;
use crate::error::ErrorKind;
use crate::inventory::GuestConfigs;
use crate::netbox::objects::{Storage, VirtualDisk, VirtualDiskState};
use crate::reconcile::{Mode, Resource};
use crate::stages::guests::bindings;
use crate::stages::machines::{gap_of, unread};
use crate::stages::virtual_disks::{DisklessMachines, VirtualDiskStates, VirtualDisks};
use crate::sync::error::Error;
use crate::sync::pass::EndpointRun;
use crate::sync::report::{Counts, Failure, Outcome, Written};
use crate::sync::tell::Subject;

const PHASE: &str = "virtual-disks";
const TABLE: &str = "virtual_disk";
const GONE: &str = "VM not found in Proxmox";
const FORBIDDEN: &str = "Config not available";
const MACHINES: Subject = Subject {
    phase: PHASE,
    kind: "virtual_machine",
    page: Some("/virtualization/virtual-machines/"),
    row: None,
};

pub(super) async fn run(run: &mut EndpointRun<'_>) -> Result<Summary, Error> {
    if run.facts.options.modes.effective_guest() == Mode::Disabled {
        run.progress.summary(PHASE, &Counts::default());
        return Ok(Summary::default());
    }
    run.bootstrap().await?;
    run.find_cluster().await?;
    run.read_machines().await?;
    // Which guest a virtual machine stands for, and whether that is a template, only its configuration may tell.
    run.read::<GuestConfigs>().await?;
    run.know_guests();
    run.tell_unbound().await?;
    run.tell_disks_begun();
    let storages = run.read_storages().await;
    run.or_without::<Storage, ()>(storages)?;
    let disks = run.pass::<VirtualDisks>().await?;
    let states = run.pass::<VirtualDiskStates>().await;
    let states: Outcome = run.or_without::<VirtualDiskState, _>(states)?;
    run.warn(PHASE, &states);
    let sizes = if run.facts.options.only.is_everything() {
        run.pass::<DisklessMachines>().await?
    } else {
        Outcome::default()
    };
    let outcome = run.tell_disks(&disks, &sizes);
    let summary = run.tell(&MACHINES, &outcome);
    run.progress.rows_end(TABLE);
    Ok(Summary {
        machines: bindings(&run.facts).handled().count(),
        ..summary
    })
}

/// What became of the disks of one virtual machine.
#[derive(Debug, Default)]
struct Tally {
    created: usize,
    updated: usize,
    deleted: usize,
    unchanged: usize,
    failures: Vec<Failure>,
    /// What became of the size of the virtual machine itself, where that had to be changed.
    resized: Option<Result<(), Failure>>,
}

impl Tally {
    fn total(&self) -> usize {
        self.created + self.updated + self.unchanged + self.failures.len()
    }

    fn text(&self) -> String {
        let (created, updated, deleted) = (self.created, self.updated, self.deleted);
        let total = self.total();
        format!("{total} disks ({created} created, {updated} updated, {deleted} deleted)")
    }

    fn all_failures(&self) -> impl Iterator<Item = &Failure> {
        let unsized_machine = self.resized.iter().filter_map(|resized| resized.as_ref().err());
        self.failures.iter().chain(unsized_machine)
    }

    fn error(&self) -> Option<String> {
        let texts: Vec<_> = self
            .all_failures()
            .map(|failure| format!("{}: {}", failure.label, failure.message))
            .collect();
        (!texts.is_empty()).then(|| texts.join("; "))
    }
}

/// What the plugin's table calls the row of a virtual machine.
fn row_id(machine: &str) -> String {
    format!("{machine}-disks")
}

/// What became of the sizes of virtual machines, by their guests' numbers.
fn resized(sizes: &Outcome) -> BTreeMap<String, Result<(), Failure>> {
    let done = sizes.updated.iter().map(|row| (row.key.clone(), Ok(())));
    let failed = sizes
        .failed
        .iter()
        .map(|failure| (failure.key.clone(), Err(failure.clone())));
    done.chain(failed).collect()
}

/// What became of disks, by virtual machine.
fn tallies(disks: &Outcome) -> BTreeMap<String, Tally> {
    let mut tallies: BTreeMap<String, Tally> = BTreeMap::new();
    let machine = |key: &str| key.split('/').next().unwrap_or_default().to_owned();
    for row in &disks.created {
        tallies.entry(machine(&row.key)).or_default().created += 1;
    }
    for row in &disks.updated {
        tallies.entry(machine(&row.key)).or_default().updated += 1;
    }
    for row in &disks.deleted {
        tallies.entry(machine(&row.key)).or_default().deleted += 1;
    }
    for row in &disks.unchanged {
        tallies.entry(machine(&row.key)).or_default().unchanged += 1;
    }
    for failure in &disks.failed {
        let tally = tallies.entry(machine(&failure.key)).or_default();
        tally.failures.push(failure.clone());
    }
    tallies
}

impl EndpointRun<'_> {
    fn know_guests(&mut self) {
        let bindings = bindings(&self.facts);
        let active = bindings.active().map(|bound| (bound.id, bound.vmid)).collect();
        self.facts.known.guests = active;
    }

    /// The turn of every virtual machine has come.
    fn tell_disks_begun(&self) {
        for bound in bindings(&self.facts).handled() {
            let (name, rowid) = (bound.label(), row_id(bound.label()));
            let columns = json!({"completed": false, "sync_status": "syncing", "rowid": rowid, "name": name});
            self.progress.columns(TABLE, "sync", &rowid, &columns);
        }
    }

    /// Tells what became of the disks of each virtual machine, and says it of the machines.
    fn tell_disks(&self, disks: &Outcome, sizes: &Outcome) -> Outcome {
        let mut tallies = tallies(disks);
        let mut resized = resized(sizes);
        let mut machines = Outcome {
            left_out: disks.left_out,
            ..Outcome::default()
        };
        let bindings = bindings(&self.facts);
        for bound in bindings.handled() {
            let name = bound.label();
            let row = Written {
                id: bound.id,
                key: bound.id.to_string(),
                name: name.to_owned(),
            };
            let tally = tallies.remove(&row.key);
            if tally.is_none() && self.facts.inventory.config(bound.vmid).is_none() {
                let reason = bound
                    .guest
                    .map_or_else(|| GONE.to_owned(), |guest| unread(&self.facts, guest));
                let gap = bound.guest.and_then(|guest| gap_of(&self.facts, guest));
                let text = gap.and_then(|gap| in_short(gap.kind)).unwrap_or(&reason);
                self.tell_machine(&row, text, Some(&reason), false);
                machines.left_out += 1;
                continue;
            }
            let mut tally = tally.unwrap_or_default();
            tally.resized = resized.remove(&bound.vmid.to_string());
            let error = tally.error();
            self.tell_machine(&row, &tally.text(), error.as_deref(), tally.created > 0);
            let is_changed = tally.updated + tally.deleted > 0 || tally.resized.is_some();
            match (error, tally.all_failures().next()) {
                (Some(message), Some(first)) => machines.failed.push(Failure {
                    object: VirtualDisk::KIND,
                    label: name.to_owned(),
                    message,
                    ..first.clone()
                }),
                _ if tally.created > 0 => machines.created.push(row),
                _ if is_changed => machines.updated.push(row),
                _ => machines.unchanged.push(row),
            }
        }
        machines
    }

    /// The row of a virtual machine in the plugin's table: what became of its disks, or why nothing did.
    fn tell_machine(&self, machine: &Written, text: &str, error: Option<&str>, has_new: bool) {
        let rowid = row_id(&machine.name);
        let columns = json!({
            "completed": true,
            "increment_count": if has_new { "yes" } else { "no" },
            "rowid": rowid,
            "name": machine.name,
            "netbox_id": machine.id,
            "sync_status": if error.is_some() { "failed" } else { "completed" },
            "disks": text,
            "error": error,
        });
        self.progress.columns(TABLE, "sync", &rowid, &columns);
    }
}

/// The plugin's words for what keeps a guest's configuration from being read, where it has some.
const fn in_short(kind: ErrorKind) -> Option<&'static str> {
    match kind {
        ErrorKind::NotFound => Some(GONE),
        ErrorKind::Permission => Some(FORBIDDEN),
        ErrorKind::Connection
        | ErrorKind::Authentication
        | ErrorKind::Validation
        | ErrorKind::Timeout
        | ErrorKind::RateLimit
        | ErrorKind::Internal
        | ErrorKind::Unknown => None,
    }
}
