//! A full update: every stage, one after the other, for all endpoints.
//!
//! A stage that fails does not stop those that can do without it; the end tells that something failed. Where the first stage
//! fails for an endpoint, those that build on it leave that endpoint out, because nothing of it would be found in NetBox;
//! where the endpoint could not even be asked, all others do.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::job::Job;
use super::report::Report;
use super::request::SyncRequest;
use super::run::{Work, version};
use super::stages::BootstrapStatus;
use super::step::Step;
use super::sweep::{self, SweepReport};
use crate::endpoint::EndpointKey;
use crate::error::ErrorKind;
use crate::reconcile::{Mode, Plan};
use crate::stages::Stage;

/// What a full update did.
#[derive(Debug, Clone)]
pub struct FullReport {
    /// Stage by stage, in the order in which they ran.
    pub stages: Vec<(Stage, Report)>,
    /// The sweep, where it was asked for.
    pub sweep: Option<SweepReport>,
    /// Whether nothing was written on purpose.
    pub is_dry_run: bool,
    /// Whether the run was asked to stop before its end.
    pub is_cancelled: bool,
}

impl FullReport {
    /// One text per failure, with the stage's name.
    pub fn errors(&self) -> Vec<String> {
        let of_stages = self.stages.iter().flat_map(|(stage, report)| {
            let errors = report.errors().into_iter();
            errors.map(move |error| format!("{}: {error}", stage.as_str()))
        });
        let of_sweep = self.sweep.iter().flat_map(SweepReport::errors);
        of_stages
            .chain(of_sweep.map(|error| format!("{}: {error}", sweep::STEP)))
            .collect()
    }

    /// The kind of the first failure.
    pub fn error_kind(&self) -> Option<ErrorKind> {
        let of_stages = self.stages.iter().find_map(|(_, report)| report.error_kind());
        of_stages.or_else(|| self.sweep.as_ref().and_then(SweepReport::error_kind))
    }

    /// What every stage did under its name, with its count, and below all of them what went less than well.
    pub fn result(&self) -> Value {
        let mut result = Map::new();
        let status = match (self.is_cancelled, self.error_kind()) {
            (true, _) => "cancelled",
            (false, Some(_)) => "failed",
            (false, None) => "completed",
        };
        result.insert("status".to_owned(), json!(status));
        for (stage, report) in &self.stages {
            let name = stage.as_str().replace('-', "_");
            let (value, count) = entry(*stage, report);
            result.insert(format!("{name}_count"), count);
            result.insert(name, value);
        }
        if let Some(sweep) = &self.sweep {
            result.insert("orphan_sweep".to_owned(), Value::Object(sweep.members()));
        }
        let warnings = self.warnings();
        if !warnings.is_empty() {
            result.insert("warnings".to_owned(), json!(warnings));
            result.insert("degraded".to_owned(), json!(true));
        }
        if self.is_dry_run {
            result.insert("dry_run".to_owned(), json!(true));
            result.insert("plan".to_owned(), json!(self.plans()));
        }
        Value::Object(result)
    }

    /// What went less than well, of all stages and of the sweep.
    pub(super) fn warnings(&self) -> Vec<Value> {
        // Every stage says it.
        let absent = self.stages.first().into_iter().flat_map(|(_, report)| &report.absent);
        let absent = absent.map(|warning| json!(warning));
        let of_stages = self.stages.iter().flat_map(|(stage, report)| {
            let warnings = report.endpoints.iter().flat_map(|endpoint| &endpoint.warnings);
            warnings.map(move |warning| warning.in_phase(stage.as_str()))
        });
        let of_sweep = self.sweep.iter().flat_map(|sweep| &sweep.warnings);
        let of_sweep = of_sweep.map(|warning| warning.in_phase(sweep::STEP));
        absent.chain(of_stages).chain(of_sweep).collect()
    }

    /// The plans of all stages and of the sweep, each row once: a stage plans again what it needs and an earlier one would
    /// have written. A sweep that is switched off is a preview only and would write nothing.
    fn plans(&self) -> Vec<Plan> {
        let mut told = BTreeSet::new();
        let endpoints = self.stages.iter().flat_map(|(_, report)| &report.endpoints);
        let of_stages = endpoints.flat_map(|endpoint| endpoint.plans.iter().map(move |plan| (endpoint.key, plan)));
        let sweep = self.sweep.iter().filter(|sweep| sweep.is_enabled);
        let of_sweep = sweep.flat_map(|sweep| sweep.plans.iter().map(|(key, plan)| (*key, plan)));
        of_stages
            .chain(of_sweep)
            .filter_map(|(endpoint, plan)| {
                let place = format!("{endpoint} {}", plan.path);
                let is_first = told.insert(place.clone());
                let mut plan = plan.clone();
                keep_new(&mut told, &place, &mut plan.create);
                keep_new(&mut told, &place, &mut plan.update);
                keep_new(&mut told, &place, &mut plan.delete);
                keep_new(&mut told, &place, &mut plan.unchanged);
                keep_new(&mut told, &place, &mut plan.refused);
                let has_any = !plan.is_empty() || !plan.unchanged.is_empty() || !plan.refused.is_empty();
                (is_first || has_any).then_some(plan)
            })
            .collect()
    }
}

/// Drops the rows of `place` that were told before.
fn keep_new<R: Serialize>(told: &mut BTreeSet<String>, place: &str, rows: &mut Vec<R>) {
    rows.retain(|row| told.insert(format!("{place} {}", json!(row))));
}

/// What a stage did: its objects where those are what callers ask for, its counts otherwise; and how many there are.
fn entry(stage: Stage, report: &Report) -> (Value, Value) {
    let counts = report.counts();
    let members = report.members();
    match stage {
        Stage::Devices
        | Stage::Storage
        | Stage::VirtualMachines
        | Stage::Backups
        | Stage::NodeInterfaces
        | Stage::VmInterfaces
        | Stage::VmIpAddresses => {
            let records = report.records();
            let count = records.len();
            (Value::Array(records), json!(count))
        }
        Stage::Replications | Stage::BackupRoutines => (json!(members), json!(counts.created + counts.updated)),
        Stage::TaskHistory | Stage::VirtualDisks | Stage::Snapshots | Stage::Sdn => {
            let count = members.get("count").cloned().unwrap_or_default();
            (json!(members), count)
        }
    }
}

/// The stages of a full update. Software-defined networks take part only where their mode is on.
fn stages(request: &SyncRequest) -> Vec<Stage> {
    let has_sdn = request.options.modes.sdn != Mode::Disabled;
    let all = Stage::ORDER.iter().copied();
    all.filter(|stage| *stage != Stage::Sdn || has_sdn).collect()
}

/// What a full update asks of its stages: each does its own part only. Backups that are gone are deleted; snapshots are
/// not, whose stage deletes only where it is asked for on its own.
fn staged(request: &SyncRequest) -> SyncRequest {
    let mut request = request.clone();
    let guests = &mut request.options.guests;
    guests.sync_network = false;
    guests.sync_task_history = false;
    guests.delete_missing_backups = true;
    guests.delete_missing_snapshots = false;
    request
}

/// Endpoints for which the first stage has failed.
#[derive(Debug, Default)]
struct Lost {
    all: BTreeSet<EndpointKey>,
    /// Those that could not be asked.
    unreachable: BTreeSet<EndpointKey>,
}

impl Lost {
    fn of(devices: &Report) -> Self {
        let mut lost = Self::default();
        for part in &devices.endpoints {
            if part.error.is_some() {
                lost.all.insert(part.key);
            }
            if part.is_unreachable {
                lost.unreachable.insert(part.key);
            }
        }
        lost
    }

    /// Those that `stage` can do nothing for. Jobs hang on their endpoint, not on its cluster.
    const fn to(&self, stage: Stage) -> &BTreeSet<EndpointKey> {
        match stage {
            Stage::Replications | Stage::BackupRoutines => &self.unreachable,
            Stage::Devices
            | Stage::Storage
            | Stage::VirtualMachines
            | Stage::TaskHistory
            | Stage::VirtualDisks
            | Stage::Backups
            | Stage::Snapshots
            | Stage::NodeInterfaces
            | Stage::VmInterfaces
            | Stage::VmIpAddresses
            | Stage::Sdn => &self.all,
        }
    }
}

impl Work<'_> {
    /// Runs every stage, and the sweep where it is asked for. What one stage has read serves all that follow, however
    /// long they take; runs after this one use it for a short while only.
    pub(super) async fn full_update(self) -> FullReport {
        let endpoints = self.context.endpoints.iter().map(|endpoint| endpoint.facts.key);
        let memo = self.memo.for_one_run(&self.context.netbox, endpoints);
        // Boxed: it holds every stage.
        let report = Box::pin(Work { memo: &memo, ..self }.all_stages()).await;
        let mut stages = report.stages.iter();
        if !self.request.dry_run && !report.is_cancelled && stages.all(|(_, stage)| stage.error_kind().is_none()) {
            self.memo.take_over(&memo);
        }
        report
    }

    async fn all_stages(self) -> FullReport {
        let request = staged(self.request);
        let work = Work {
            request: &request,
            ..self
        };
        let stages = stages(&request);
        self.progress.bootstrapped(&work.bootstrap().await);
        let names: Vec<&str> = stages.iter().map(|stage| stage.as_str()).collect();
        let sweeps = self.context.delete_orphans || request.dry_run;
        self.progress.planned(&request.options.run_id, &names);
        let mut report = FullReport {
            stages: Vec::new(),
            sweep: None,
            is_dry_run: request.dry_run,
            is_cancelled: false,
        };
        let mut lost = Lost::default();
        for stage in stages {
            if self.cancel.is_cancelled() {
                break;
            }
            let done = work.run_step(stage, lost.to(stage)).await;
            if stage == Stage::Devices {
                lost = Lost::of(&done);
            }
            report.stages.push((stage, done));
        }
        if sweeps && !self.cancel.is_cancelled() {
            report.sweep = Some(work.sweep_step(&report).await);
        }
        report.is_cancelled = self.cancel.is_cancelled();
        self.end(&report);
        report
    }

    /// Closes the stream, and says before why the whole has failed where it has.
    fn end(self, report: &FullReport) {
        let errors = report.errors();
        if let Some(kind) = report.error_kind().filter(|_| !report.is_cancelled) {
            self.progress.full_update_failed(kind, &errors);
        }
        self.close(&Job::FullUpdate.step(self.request), &errors, report.result());
    }

    /// One stage of several.
    async fn run_step(self, stage: Stage, without: &BTreeSet<EndpointKey>) -> Report {
        let (began, step) = (Instant::now(), Step::of_full_update(stage));
        self.progress.started(&step);
        let report = self.run_stage(stage, without).await;
        let (errors, result) = (report.errors(), report.result());
        self.progress.stage_ended(&step, &errors, &result, began.elapsed());
        report
    }

    /// The sweep after all stages. It needs to know every guest, so it is left out where the stage of the virtual machines
    /// has lost any.
    async fn sweep_step(self, report: &FullReport) -> SweepReport {
        let (began, is_dry_run) = (Instant::now(), self.request.dry_run);
        let step = Step::sweep(sweep::STEP, is_dry_run);
        let metadata = json!({
            "operation_id": self.request.options.run_id,
            "delete_orphans": self.context.delete_orphans,
            "dry_run": is_dry_run,
        });
        self.progress.started_with(&step, Some(&metadata));
        let mut machines = report
            .stages
            .iter()
            .filter(|(stage, _)| *stage == Stage::VirtualMachines);
        let has_lost = machines.all(|(_, report)| {
            report.error_kind().is_some()
                || report.counts().failed > 0
                || report.endpoints.len() < self.endpoint_count()
        });
        let swept = self.sweep(has_lost).await;
        self.progress
            .stage_ended(&step, &swept.errors(), &swept.result(), began.elapsed());
        swept
    }

    fn endpoint_count(self) -> usize {
        self.context.endpoints.len()
    }

    /// Sees to the supporting objects by way of the first endpoint that answers, and returns what was done.
    async fn bootstrap(self) -> BootstrapStatus {
        let Ok(version) = version(&self.context.netbox).await else {
            return BootstrapStatus::not_run("NetBox did not answer");
        };
        if self.request.dry_run {
            return BootstrapStatus::not_run("a dry run writes nothing");
        }
        let mut refused = None;
        let part = self.part(Stage::Storage, version);
        let endpoints: Vec<_> = self.context.endpoints.iter().collect();
        let looks = part.looks(&endpoints).await.into_iter().zip(endpoints);
        for (metadata, endpoint) in looks.filter_map(|(look, endpoint)| Some((look.ok()?, endpoint))) {
            let Ok(mut run) = part.prepare_with(endpoint, &metadata).await else {
                continue;
            };
            // What goes wrong here goes wrong in the first stage again, which tells it.
            if let Err(error) = run.bootstrap().await {
                refused = Some(error.to_string());
            } else if let Some(status) = self.memo.latest() {
                return status;
            }
        }
        BootstrapStatus {
            ok: refused.is_none(),
            ..BootstrapStatus::not_run(refused.as_deref().unwrap_or("no Proxmox endpoint answered"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stages::Options;
    use crate::sync::report::{Counts, EndpointReport};

    fn report(stage: Stage, counts: Counts, error: Option<(ErrorKind, String)>) -> Report {
        let endpoint = EndpointReport {
            key: EndpointKey {
                source: crate::endpoint::Source::Database,
                id: crate::endpoint::EndpointId(1),
            },
            name: "lab".to_owned(),
            counts,
            records: vec![json!({"id": 5, "name": "pve1", "operation": "unchanged"})],
            tally: None,
            tasks: None,
            machines: 3,
            gaps: Vec::new(),
            warnings: vec!["something is odd".to_owned().into()],
            plans: Vec::new(),
            error,
            reason: None,
            is_unreachable: false,
        };
        Report {
            stage,
            endpoints: vec![endpoint],
            absent: Vec::new(),
            is_dry_run: false,
            is_cancelled: false,
        }
    }

    fn full(stages: Vec<(Stage, Report)>) -> FullReport {
        FullReport {
            stages,
            sweep: None,
            is_dry_run: false,
            is_cancelled: false,
        }
    }

    #[test]
    fn result_names_every_stage_and_its_count() {
        let counts = Counts {
            created: 2,
            updated: 1,
            unchanged: 4,
            ..Counts::default()
        };
        let stages = [Stage::Devices, Stage::Snapshots, Stage::Replications];
        let report = full(stages.map(|stage| (stage, report(stage, counts, None))).into());
        let result = report.result();
        let expected = json!([{"id": 5, "name": "pve1", "operation": "unchanged"}]);
        assert_eq!((&result["devices"], &result["devices_count"]), (&expected, &json!(1)));
        assert_eq!(
            (&result["snapshots"]["count"], &result["snapshots_count"]),
            (&json!(3), &json!(3)),
            "snapshots count virtual machines"
        );
        assert_eq!(
            (&result["replications"]["updated"], &result["replications_count"]),
            (&json!(1), &json!(3))
        );
        assert_eq!(
            result["warnings"][1],
            json!({"phase": "snapshots", "message": "something is odd"})
        );
        assert_eq!(
            (&result["status"], &result["degraded"]),
            (&json!("completed"), &json!(true))
        );
    }

    #[test]
    fn failure_of_one_stage_fails_the_whole_and_is_named() {
        let error = (ErrorKind::Timeout, "no answer".to_owned());
        let stages = vec![
            (Stage::Devices, report(Stage::Devices, Counts::default(), None)),
            (Stage::Backups, report(Stage::Backups, Counts::default(), Some(error))),
        ];
        let report = full(stages);
        assert_eq!(report.errors(), ["backups: no answer"]);
        assert_eq!(report.error_kind(), Some(ErrorKind::Timeout));
        assert_eq!(report.result()["status"], json!("failed"));
    }

    #[test]
    fn software_defined_networks_take_part_only_where_they_are_on() {
        let mut request = SyncRequest {
            options: Options::default(),
            ..SyncRequest::default()
        };
        assert!(!stages(&request).contains(&Stage::Sdn));
        request.options.modes.sdn = Mode::Always;
        assert_eq!(stages(&request), Stage::ORDER);
    }

    #[test]
    fn stages_of_a_full_update_do_only_their_own_part() {
        let request = staged(&SyncRequest::default());
        let guests = &request.options.guests;
        assert_eq!((guests.sync_network, guests.sync_task_history), (false, false));
        assert_eq!(
            (guests.delete_missing_backups, guests.delete_missing_snapshots),
            (true, false)
        );
    }
}
