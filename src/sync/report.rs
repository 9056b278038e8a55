//! Reports: what a run did, in counts, names and warnings.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::error::UNRESOLVED;
use super::tally::{SdnTally, TaskTally};
use super::warning::Warning;
use crate::endpoint::EndpointKey;
use crate::error::ErrorKind;
use crate::inventory::Gap;
use crate::reconcile::{ObjectId, Plan, Refused};
use crate::stages::Stage;

/// A row that was written, or found as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Written {
    /// The row.
    pub id: ObjectId,
    /// Its key.
    #[serde(skip)]
    pub key: String,
    /// Its name.
    pub name: String,
}

/// A row that could not be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What kind of object it is.
    pub object: &'static str,
    /// Its key; empty where it never came to be compared.
    pub key: String,
    /// Its name.
    pub label: String,
    /// The kind of failure.
    pub kind: ErrorKind,
    /// Why, in NetBox's own words where it refused.
    pub message: String,
}

/// What became of the rows of one pass. Every row that was seen is in exactly one list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Rows made.
    pub created: Vec<Written>,
    /// Rows changed.
    pub updated: Vec<Written>,
    /// Rows that stay and were marked, because what they stand for is gone.
    pub marked: Vec<Written>,
    /// Rows deleted.
    pub deleted: Vec<Written>,
    /// Rows that were as they should be.
    pub unchanged: Vec<Written>,
    /// Rows that could not be written.
    pub failed: Vec<Failure>,
    /// What was left out: because it is nobody's, because nothing sure is known of it, or because the run was asked to
    /// stop.
    pub left_out: usize,
}

impl Outcome {
    /// Rows that stand in NetBox as they should.
    pub fn standing(&self) -> impl Iterator<Item = &Written> {
        self.created.iter().chain(&self.updated).chain(&self.unchanged)
    }

    /// Takes over what another round did.
    pub(super) fn absorb(&mut self, other: Self) {
        self.created.extend(other.created);
        self.updated.extend(other.updated);
        self.marked.extend(other.marked);
        self.deleted.extend(other.deleted);
        self.unchanged.extend(other.unchanged);
        self.failed.extend(other.failed);
        self.left_out += other.left_out;
    }

    /// Counts rows with these keys that are as they should be as made: an answer was lost, and there they are.
    pub(super) fn take_for_made(&mut self, keys: &BTreeSet<String>) {
        let made = self.unchanged.extract_if(.., |row| keys.contains(&row.key));
        self.created.extend(made);
    }

    /// Counts rows as failed although they stand, because what belongs to them could not be written: `object`, for the
    /// reason under the row's key.
    pub(super) fn fail(&mut self, object: &'static str, reasons: &BTreeMap<String, String>) {
        for rows in [&mut self.created, &mut self.updated, &mut self.unchanged] {
            let (kept, lost): (Vec<_>, Vec<_>) = rows.drain(..).partition(|row| !reasons.contains_key(&row.key));
            *rows = kept;
            self.failed.extend(lost.into_iter().map(|row| Failure {
                object,
                message: reasons.get(&row.key).cloned().unwrap_or_default(),
                kind: ErrorKind::Validation,
                label: row.name,
                key: row.key,
            }));
        }
    }

    pub(super) fn refuse(&mut self, object: &'static str, refused: Vec<Refused>) {
        self.failed.extend(refused.into_iter().map(|refused| Failure {
            object,
            key: refused.key,
            label: refused.label,
            kind: ErrorKind::Validation,
            message: refused.reason,
        }));
    }

    /// The names of rows that failed.
    pub fn failed_labels(&self) -> BTreeSet<&str> {
        self.failed.iter().map(|failure| failure.label.as_str()).collect()
    }
}

/// Counts of a stage's main objects.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Made.
    pub created: usize,
    /// Changed.
    pub updated: usize,
    /// Marked, because what they stand for is gone.
    pub stale: usize,
    /// Deleted.
    pub deleted: usize,
    /// As they should be.
    pub unchanged: usize,
    /// Refused.
    pub failed: usize,
    /// Left out on purpose.
    pub skipped: usize,
}

impl Counts {
    /// Counts of `outcome`.
    pub fn of(outcome: &Outcome) -> Self {
        Self {
            created: outcome.created.len(),
            updated: outcome.updated.len(),
            stale: outcome.marked.len(),
            deleted: outcome.deleted.len(),
            unchanged: outcome.unchanged.len(),
            failed: outcome.failed.len(),
            skipped: outcome.left_out,
        }
    }

    /// How many objects were seen.
    pub fn total(&self) -> usize {
        self.created + self.updated + self.stale + self.deleted + self.unchanged + self.failed + self.skipped
    }

    /// How many stand in NetBox as they should.
    pub fn standing(&self) -> usize {
        self.created + self.updated + self.unchanged
    }

    fn add(&mut self, other: Self) {
        self.created += other.created;
        self.updated += other.updated;
        self.stale += other.stale;
        self.deleted += other.deleted;
        self.unchanged += other.unchanged;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

/// What a run did for one endpoint.
#[derive(Debug, Clone)]
pub struct EndpointReport {
    /// The endpoint.
    pub key: EndpointKey,
    /// Its name.
    pub name: String,
    /// Counts of the stage's main objects.
    pub counts: Counts,
    /// The stage's main objects as they stand in NetBox now.
    pub records: Vec<Value>,
    /// What the stage `sdn` counts beside that.
    pub tally: Option<SdnTally>,
    /// What a pass over the tasks of guests counted, where there was one.
    pub tasks: Option<TaskTally>,
    /// The virtual machines that the stage worked on, where it works on what they have.
    pub machines: usize,
    /// Sources that could not be read.
    pub gaps: Vec<Gap>,
    /// Rows of any kind that could not be written, and sources that could not be read.
    pub warnings: Vec<Warning>,
    /// What a dry run would write.
    pub plans: Vec<Plan>,
    /// Why the endpoint's part failed as a whole; the kind and the text.
    pub error: Option<(ErrorKind, String)>,
    /// The same in a word for programs.
    pub reason: Option<&'static str>,
    /// Whether that is because the endpoint itself could not be asked.
    pub is_unreachable: bool,
}

/// What a run did.
#[derive(Debug, Clone)]
pub struct Report {
    /// The stage that it ran.
    pub stage: Stage,
    /// Endpoint by endpoint.
    pub endpoints: Vec<EndpointReport>,
    /// That endpoints which were asked for are not there, one by one.
    pub absent: Vec<Warning>,
    /// Whether nothing was written on purpose.
    pub is_dry_run: bool,
    /// Whether the run was asked to stop before its end.
    pub is_cancelled: bool,
}

impl Report {
    /// Counts over all endpoints.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for endpoint in &self.endpoints {
            counts.add(endpoint.counts);
        }
        counts
    }

    /// How many things went less than well.
    pub(super) fn warning_count(&self) -> usize {
        let of_endpoints = self.endpoints.iter().map(|endpoint| endpoint.warnings.len());
        self.absent.len() + of_endpoints.sum::<usize>()
    }

    /// The counts in a few words, for the log.
    pub(super) fn counts_text(&self) -> String {
        let counts = self.counts();
        format!(
            "{} created, {} updated, {} unchanged, {} failed",
            counts.created, counts.updated, counts.unchanged, counts.failed
        )
    }

    /// What the stage `sdn` counted at all endpoints; `None` for other stages.
    fn tally(&self) -> Option<SdnTally> {
        let tallies = self.endpoints.iter().filter_map(|endpoint| endpoint.tally.clone());
        tallies.reduce(|mut all, more| {
            all.absorb(more);
            all
        })
    }

    /// What passes over the tasks of guests counted at all endpoints.
    pub fn tasks(&self) -> TaskTally {
        let mut all = TaskTally::default();
        for tasks in self.endpoints.iter().filter_map(|endpoint| endpoint.tasks) {
            all.absorb(tasks);
        }
        all
    }

    /// The main objects of all endpoints.
    pub fn records(&self) -> Vec<Value> {
        self.endpoints
            .iter()
            .flat_map(|endpoint| endpoint.records.iter().cloned())
            .collect()
    }

    /// Sources that could not be read, of all endpoints.
    pub fn gaps(&self) -> impl Iterator<Item = &Gap> {
        self.endpoints.iter().flat_map(|endpoint| &endpoint.gaps)
    }

    /// One text per endpoint that failed as a whole.
    pub fn errors(&self) -> Vec<String> {
        let failed = self
            .endpoints
            .iter()
            .filter_map(|endpoint| Some((endpoint, endpoint.error.as_ref()?)));
        let several = self.endpoints.len() > 1;
        failed
            .map(|(endpoint, (_, text))| {
                if several {
                    format!("{}: {text}", endpoint.name)
                } else {
                    text.clone()
                }
            })
            .collect()
    }

    /// The kind of the first endpoint's failure.
    pub fn error_kind(&self) -> Option<ErrorKind> {
        self.endpoints
            .iter()
            .find_map(|endpoint| endpoint.error.as_ref().map(|(kind, _)| *kind))
    }

    /// Whether it failed because it cannot be told which guest a virtual machine is that the request insists on.
    pub fn is_unresolved(&self) -> bool {
        self.endpoints
            .iter()
            .any(|endpoint| endpoint.reason == Some(UNRESOLVED))
    }

    /// The result of the stage: its counts, and where something went less than well `warnings` and `degraded`.
    pub fn result(&self) -> Value {
        let mut members = self.members();
        let endpoints = self.endpoints.iter();
        let of_endpoints = endpoints.clone().flat_map(|endpoint| &endpoint.warnings);
        let warnings: Vec<&Warning> = self.absent.iter().chain(of_endpoints).collect();
        if !warnings.is_empty() {
            members.insert("warnings".to_owned(), json!(warnings));
            members.insert("degraded".to_owned(), json!(true));
        }
        if let Some(tally) = self.tally() {
            if tally.is_degraded() {
                members.insert("degraded".to_owned(), json!(true));
            }
            members.insert("ok".to_owned(), json!(self.error_kind().is_none()));
            members.insert("counters".to_owned(), json!(tally));
        }
        if self.is_dry_run {
            let plans: Vec<&Plan> = endpoints.flat_map(|endpoint| &endpoint.plans).collect();
            members.insert("dry_run".to_owned(), json!(true));
            members.insert("plan".to_owned(), json!(plans));
        }
        Value::Object(members)
    }

    /// What the stage counts. The first keys mean the same for all stages, unless a stage says otherwise.
    pub(super) fn members(&self) -> Map<String, Value> {
        let counts = self.counts();
        let mut members = Map::new();
        let mut put = |name: &str, count: usize| members.insert(name.to_owned(), json!(count));
        put("count", counts.standing());
        put("created", counts.created);
        put("updated", counts.updated);
        put("deleted", counts.deleted);
        put("unchanged", counts.unchanged);
        put("skipped", counts.skipped);
        put("failed", counts.failed);
        let machines = self.endpoints.iter().map(|endpoint| endpoint.machines).sum();
        match self.stage {
            Stage::VirtualMachines if counts.failed > 0 => {
                put("failed_count", counts.failed);
            }
            Stage::VirtualDisks => {
                put("count", machines);
                put("skipped", counts.skipped + counts.unchanged + counts.failed);
            }
            Stage::Snapshots => {
                put("count", machines);
            }
            Stage::TaskHistory => {
                put("count", machines);
                put("created", counts.standing());
                put("rows_created", counts.created);
                // An endpoint that failed as a whole has counted nothing but what it could not read.
                let unread = self.endpoints.iter().filter(|endpoint| endpoint.tasks.is_none());
                let errors = self.tasks().errors + unread.map(|endpoint| endpoint.gaps.len()).sum::<usize>();
                if errors > 0 {
                    put("errors", errors);
                }
            }
            Stage::Replications | Stage::BackupRoutines => {
                put("stale", counts.stale);
                put("errors", counts.failed);
            }
            Stage::Devices
            | Stage::Storage
            | Stage::VirtualMachines
            | Stage::Backups
            | Stage::NodeInterfaces
            | Stage::VmInterfaces
            | Stage::VmIpAddresses
            | Stage::Sdn => {}
        }
        members
    }
}
