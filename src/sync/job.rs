//! What a run may be asked to do, and what it reports.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::full_update::FullReport;
use super::individual::{Individual, IndividualKind, IndividualReport};
use super::report::Report;
use super::request::SyncRequest;
use super::step::Step;
use super::sweep::{self, SweepReport};
use crate::error::ErrorKind;
use crate::stages::{Part, Stage};

/// What a run does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Job {
    /// One stage.
    Stage(Stage),
    /// Every stage, one after the other.
    FullUpdate,
    /// One object.
    Individual(Individual),
    /// Marks virtual machines whose guest is gone.
    Sweep {
        /// Whether the stage `virtual-machines` has lost guests, so that nothing may be marked.
        vm_stage_failed: bool,
    },
}

impl From<Stage> for Job {
    fn from(stage: Stage) -> Self {
        Self::Stage(stage)
    }
}

impl Job {
    /// Its name in events and lists.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Stage(stage) => stage.as_str(),
            Self::Individual(_) => "individual",
            Self::FullUpdate => "full-update",
            Self::Sweep { .. } => sweep::STEP,
        }
    }

    /// How it begins and ends in its stream.
    pub(super) fn step(&self, request: &SyncRequest) -> Step {
        match self {
            Self::Stage(stage) => Step::of_stage(*stage, request),
            Self::Individual(wanted) => Step::plain(wanted.kind.as_str()),
            Self::FullUpdate => Step::full_update(self.as_str()),
            Self::Sweep { .. } => Step::sweep(self.as_str(), request.dry_run),
        }
    }

    /// The stages that may not run for the same endpoint meanwhile: those whose rows it may write.
    pub(super) fn stages(&self, request: &SyncRequest) -> BTreeSet<Stage> {
        let guests = &request.options.guests;
        let mut stages = match self {
            Self::Stage(stage) => BTreeSet::from([*stage]),
            Self::Individual(wanted) => written_for(wanted),
            Self::FullUpdate => Stage::ORDER.iter().copied().collect(),
            Self::Sweep { .. } => BTreeSet::from([Stage::VirtualMachines]),
        };
        if *self == Self::Stage(Stage::VirtualMachines) {
            stages.insert(Stage::Devices);
            if guests.sync_network {
                stages.extend([Stage::VirtualDisks, Stage::VmInterfaces, Stage::VmIpAddresses]);
            }
            if guests.sync_task_history {
                stages.insert(Stage::TaskHistory);
            }
        }
        if stages.contains(&Stage::VirtualDisks) || stages.contains(&Stage::VmIpAddresses) {
            // They tell the machine's size and its primary addresses.
            stages.insert(Stage::VirtualMachines);
        }
        if *self == Self::Stage(Stage::NodeInterfaces) && request.options.only.named(Part::Node).is_some() {
            // It chooses the primary address of the node's device.
            stages.insert(Stage::Devices);
        }
        if stages.contains(&Stage::VmInterfaces) {
            // It makes the bridges of nodes.
            stages.insert(Stage::NodeInterfaces);
        }
        if stages.contains(&Stage::VmIpAddresses) {
            // It tells which interface of a guest has them.
            stages.insert(Stage::VmInterfaces);
        }
        stages
    }
}

/// The stages whose rows may be written for one object. What is on a storage may make the storage's row.
fn written_for(wanted: &Individual) -> BTreeSet<Stage> {
    let mut stages = above(wanted.kind.stage());
    if wanted.may_create_storage && matches!(wanted.kind, IndividualKind::Disk | IndividualKind::Backup) {
        stages.insert(Stage::Storage);
    }
    stages
}

/// A stage and those that make what its rows hang on.
fn above(stage: Stage) -> BTreeSet<Stage> {
    let of_nodes = [Stage::Devices, stage];
    match stage {
        Stage::Devices | Stage::Storage | Stage::VirtualMachines | Stage::NodeInterfaces | Stage::Sdn => {
            of_nodes.into()
        }
        Stage::TaskHistory
        | Stage::VirtualDisks
        | Stage::Backups
        | Stage::Snapshots
        | Stage::VmInterfaces
        | Stage::Replications
        | Stage::BackupRoutines => [Stage::Devices, Stage::VirtualMachines, stage].into(),
        Stage::VmIpAddresses => [
            Stage::Devices,
            Stage::VirtualMachines,
            Stage::VmInterfaces,
            Stage::VmIpAddresses,
        ]
        .into(),
    }
}

/// What a run did.
#[derive(Debug, Clone)]
pub enum JobReport {
    /// One stage.
    Stage(Report),
    /// Every stage.
    FullUpdate(FullReport),
    /// One object.
    Individual(IndividualReport),
    /// The sweep.
    Sweep(SweepReport),
}

impl JobReport {
    /// The report of the one stage that ran.
    pub fn into_stage(self) -> Option<Report> {
        match self {
            Self::Stage(report) => Some(report),
            Self::FullUpdate(_) | Self::Individual(_) | Self::Sweep(_) => None,
        }
    }

    /// The result, as it is answered and streamed.
    pub fn result(&self) -> Value {
        match self {
            Self::Stage(report) => report.result(),
            Self::Individual(report) => report.result(),
            Self::FullUpdate(report) => report.result(),
            Self::Sweep(report) => report.result(),
        }
    }

    /// What it came to in short, whatever the size of the estate: counts, failures, and how many warnings there were.
    pub(super) fn summary(&self) -> Value {
        let (counts, warnings) = match self {
            Self::Stage(report) => (json!(report.counts()), report.warning_count()),
            Self::Individual(report) => (report.counts(), report.warning_count()),
            Self::Sweep(report) => (Value::Object(report.members()), report.warnings.len()),
            Self::FullUpdate(report) => {
                let stages = report.stages.iter();
                let stages = stages.map(|(stage, report)| (stage.as_str().to_owned(), json!(report.counts())));
                let sweep = report.sweep.iter();
                let sweep = sweep.map(|sweep| (sweep::STEP.to_owned(), Value::Object(sweep.members())));
                (Value::Object(stages.chain(sweep).collect()), report.warnings().len())
            }
        };
        json!({
            "counts": counts,
            "errors": self.errors(),
            "warnings": warnings,
            "cancelled": self.is_cancelled(),
        })
    }

    /// What failed as a whole, one text each.
    pub fn errors(&self) -> Vec<String> {
        match self {
            Self::Stage(report) => report.errors(),
            Self::Individual(report) => report.errors(),
            Self::FullUpdate(report) => report.errors(),
            Self::Sweep(report) => report.errors(),
        }
    }

    /// The kind of the first failure.
    pub fn error_kind(&self) -> Option<ErrorKind> {
        match self {
            Self::Stage(report) => report.error_kind(),
            Self::Individual(report) => report.error_kind(),
            Self::FullUpdate(report) => report.error_kind(),
            Self::Sweep(report) => report.error_kind(),
        }
    }

    /// What it came to in a few words, for the log.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Stage(report) => report.counts_text(),
            Self::Individual(report) => report.text(),
            Self::FullUpdate(report) => format!("{} stages run", report.stages.len()),
            Self::Sweep(report) => format!("{} of {} marked", report.soft_deleted, report.candidates),
        }
    }

    /// Whether the run was asked to stop before its end.
    pub fn is_cancelled(&self) -> bool {
        match self {
            Self::Stage(report) => report.is_cancelled,
            Self::Individual(report) => report.is_cancelled,
            Self::FullUpdate(report) => report.is_cancelled,
            Self::Sweep(report) => report.is_cancelled,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::{EndpointId, EndpointKey, Source};
    use crate::stages::Only;
    use crate::sync::report::{Counts, EndpointReport};

    fn request(network: bool, tasks: bool) -> SyncRequest {
        let mut request = SyncRequest::default();
        request.options.guests.sync_network = network;
        request.options.guests.sync_task_history = tasks;
        request
    }

    #[test]
    fn summary_of_a_run_is_as_short_for_a_thousand_rows_as_for_one() {
        let full = |rows: usize| {
            let stage = Report {
                stage: Stage::Devices,
                endpoints: vec![part(rows)],
                absent: Vec::new(),
                is_dry_run: false,
                is_cancelled: false,
            };
            JobReport::FullUpdate(FullReport {
                stages: vec![(Stage::Devices, stage)],
                sweep: Some(SweepReport::default()),
                is_dry_run: false,
                is_cancelled: false,
            })
        };
        let [one, many] = [1, 1000].map(|rows| full(rows).summary());
        assert_eq!(many["counts"]["devices"]["created"], 1000);
        assert_eq!(many["counts"]["sweep-orphans"]["candidates"], 0);
        assert_eq!(
            (&many["errors"], &many["warnings"]),
            (&json!(["devices: lost"]), &json!(1000))
        );
        assert!(many.to_string().len() < one.to_string().len() + 20, "{many}");
    }

    /// What a stage did for one endpoint: so many rows made, each with a warning.
    fn part(rows: usize) -> EndpointReport {
        EndpointReport {
            key: EndpointKey {
                source: Source::Database,
                id: EndpointId(1),
            },
            name: "lab".to_owned(),
            counts: Counts {
                created: rows,
                ..Counts::default()
            },
            records: vec![json!({"id": 5}); rows],
            tally: None,
            tasks: None,
            machines: 0,
            gaps: Vec::new(),
            warnings: vec!["something is odd".to_owned().into(); rows],
            plans: Vec::new(),
            error: Some((ErrorKind::Timeout, "lost".to_owned())),
            reason: None,
            is_unreachable: false,
        }
    }

    fn held(job: &Job, request: &SyncRequest) -> Vec<&'static str> {
        job.stages(request).into_iter().map(Stage::as_str).collect()
    }

    #[test]
    fn runs_that_change_rows_of_another_stage_hold_it_too() {
        let plain = request(true, true);
        assert_eq!(
            held(&Job::Stage(Stage::VirtualDisks), &plain),
            ["virtual-machines", "virtual-disks"]
        );
        assert_eq!(
            held(&Job::Stage(Stage::VmIpAddresses), &plain),
            ["virtual-machines", "vm-interfaces", "vm-ip-addresses"]
        );
        let mut of_node = request(true, true);
        of_node.options.only = Only::default().and(Part::Node, "pve1");
        assert_eq!(held(&Job::Stage(Stage::NodeInterfaces), &plain), ["node-interfaces"]);
        assert_eq!(
            held(&Job::Stage(Stage::NodeInterfaces), &of_node),
            ["devices", "node-interfaces"]
        );
    }

    #[test]
    fn run_holds_every_stage_whose_rows_it_may_write() {
        let machines = Job::Stage(Stage::VirtualMachines);
        assert_eq!(held(&machines, &request(false, false)), ["devices", "virtual-machines"]);
        assert_eq!(
            held(&machines, &request(false, true)),
            ["devices", "virtual-machines", "task-history"]
        );
        assert_eq!(
            held(&machines, &request(true, false)),
            [
                "devices",
                "virtual-machines",
                "virtual-disks",
                "node-interfaces",
                "vm-interfaces",
                "vm-ip-addresses"
            ]
        );
        let plain = request(true, true);
        assert_eq!(held(&Job::Stage(Stage::Snapshots), &plain), ["snapshots"]);
        assert_eq!(
            held(&Job::Stage(Stage::VmInterfaces), &plain),
            ["node-interfaces", "vm-interfaces"]
        );
        assert_eq!(held(&Job::FullUpdate, &plain).len(), Stage::ORDER.len());
        let disk = |more: &[(&str, &str)]| {
            let guest = [
                ("cluster_name", "lab"),
                ("node", "pve1"),
                ("type", "qemu"),
                ("vmid", "101"),
            ];
            let query = guest.iter().chain(&[("disk_name", "scsi0")]).chain(more);
            let query = query.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            Job::Individual(Individual::parse(IndividualKind::Disk, &query.collect()).unwrap())
        };
        let parents = ["devices", "virtual-machines", "virtual-disks"];
        assert_eq!(held(&disk(&[("auto_create_storage", "false")]), &plain), parents);
        assert_eq!(
            held(&disk(&[]), &plain),
            ["devices", "storage", "virtual-machines", "virtual-disks"]
        );
        assert_eq!(above(Stage::VmIpAddresses).len(), 4);
        assert_eq!(above(Stage::Devices).len(), 1);
    }
}
