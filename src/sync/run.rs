//! A run: a stage, endpoint by endpoint; or several.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::{StreamExt as _, stream};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio_util::sync::CancellationToken;

use super::ahead;
use super::context::{RunContext, SyncEndpoint};
use super::error::Error;
use super::event::Progress;
use super::job::{Job, JobReport};
use super::memo::{Memo, Place};
use super::needs::Needs;
use super::pass::EndpointRun;
use super::report::{Counts, EndpointReport, Report};
use super::request::SyncRequest;
use super::step::Step;
use super::warning::Warning;
use crate::endpoint::EndpointKey;
use crate::inventory::{self, Cluster, Inventory, RecordedTasks};
use crate::mapping::names::endpoint_label;
use crate::netbox::ids::Ids;
use crate::netbox::{Client, NetBoxVersion};
use crate::proxmox::{Metadata, Session};
use crate::reconcile::Limits;
use crate::stages::machines::GuestFacts;
use crate::stages::{Facts, Known, Stage, Target};

/// How many calls to one Proxmox a stage makes at once where the request does not say.
const CONCURRENCY: usize = 8;
/// What is said where the hardware of nodes is asked for.
const NO_HARDWARE: &str = "hardware_discovery_enabled is set: this service does not sign in to nodes by SSH, so their \
                           hardware is not read";
/// How many endpoints are looked at at once.
const LOOKS_AT_ONCE: usize = 8;

/// What a run works on and whom it tells.
#[derive(Debug, Clone, Copy)]
pub(super) struct Work<'a> {
    pub(super) request: &'a SyncRequest,
    pub(super) context: &'a RunContext,
    pub(super) memo: &'a Memo,
    pub(super) progress: &'a Progress,
    pub(super) cancel: &'a CancellationToken,
}

impl<'a> Work<'a> {
    /// Runs `job`, tells its progress from its start to its end, and reports.
    pub(super) async fn run(self, job: Job) -> JobReport {
        match job {
            Job::Stage(stage) => {
                let step = job.step(self.request);
                self.progress.started(&step);
                let report = self.run_stage(stage, &BTreeSet::new()).await;
                self.conclude(&step, &report.errors(), report.result());
                JobReport::Stage(report)
            }
            Job::Individual(wanted) => {
                let step = Step::plain(wanted.kind.as_str());
                self.progress.started(&step);
                // Boxed: the future of a run is as large as that of the largest job.
                let report = Box::pin(self.individual(&wanted)).await;
                self.conclude(&step, &report.errors(), report.result());
                JobReport::Individual(report)
            }
            // Boxed: it holds the whole of every stage.
            Job::FullUpdate => JobReport::FullUpdate(Box::pin(self.full_update()).await),
            Job::Sweep { vm_stage_failed } => {
                let step = job.step(self.request);
                self.progress.started(&step);
                let report = self.sweep(vm_stage_failed).await;
                self.conclude(&step, &report.errors(), report.result());
                JobReport::Sweep(report)
            }
        }
    }

    /// Runs `stage` for every endpoint but those `without`.
    pub(super) async fn run_stage(self, stage: Stage, without: &BTreeSet<EndpointKey>) -> Report {
        let version = version(&self.context.netbox).await;
        let mut report = Report {
            stage,
            endpoints: Vec::new(),
            absent: self.context.missing.iter().copied().map(Warning::absent).collect(),
            is_dry_run: self.request.dry_run,
            is_cancelled: false,
        };
        let endpoints = self.context.endpoints.iter();
        let endpoints: Vec<_> = endpoints
            .filter(|endpoint| !without.contains(&endpoint.facts.key))
            .collect();
        match version {
            Ok(version) => {
                let part = self.part(stage, version);
                let rights = self.cancel.run_until_cancelled(self.context.netbox.rights());
                let (looks, _) = tokio::join!(part.looks(&endpoints), rights);
                for (endpoint, metadata) in endpoints.into_iter().zip(looks) {
                    // Boxed: it holds all that is known of the endpoint.
                    report.endpoints.push(Box::pin(part.run(endpoint, metadata)).await);
                }
            }
            Err(error) => {
                let parts = endpoints.into_iter();
                let parts = parts.map(|endpoint| failed(stage, endpoint, &error, self.progress));
                report.endpoints.extend(parts);
            }
        }
        if stage == Stage::Devices && self.context.wants_hardware {
            let told = report.endpoints.iter_mut().filter(|part| part.error.is_none());
            told.for_each(|part| part.warnings.push(NO_HARDWARE.to_owned().into()));
        }
        report.is_cancelled = self.cancel.is_cancelled();
        self.forget_after(&report);
        report
    }

    /// Forgets what may be to blame for what could not be done.
    fn forget_after(self, report: &Report) {
        if report.is_cancelled {
            let keys = report.endpoints.iter().map(|part| part.key);
            return self.memo.forget_endpoints(&self.context.netbox, keys);
        }
        for part in &report.endpoints {
            if part.error.is_some() {
                self.memo.forget_endpoint(&self.context.netbox, part.key);
            } else if part.counts.failed > 0 {
                self.memo.forget_rows(&self.context.netbox, part.key);
            }
        }
    }

    /// Tells the end of a run that was one step.
    fn conclude(self, step: &Step, errors: &[String], result: Value) {
        if errors.is_empty() && !self.cancel.is_cancelled() {
            self.progress.finished(step, &result);
        }
        self.close(step, errors, result);
    }

    /// Closes the stream of a run.
    pub(super) fn close(self, step: &Step, errors: &[String], result: Value) {
        if self.cancel.is_cancelled() {
            self.progress
                .failed(step, &[Error::Cancelled.to_string()], true, result);
        } else if errors.is_empty() {
            self.progress.completed(step, result);
        } else {
            self.progress.failed(step, errors, false, result);
        }
    }

    /// `stage` for one endpoint.
    pub(super) const fn part(self, stage: Stage, version: NetBoxVersion) -> Part<'a> {
        Part {
            stage,
            work: self,
            version,
        }
    }
}

/// NetBox's version, and that its branch is ready.
pub(super) async fn version(netbox: &Client) -> Result<NetBoxVersion, Error> {
    let release = netbox.release().await?;
    netbox.check_branch().await?;
    Ok(release)
}

/// The session with an endpoint, or why there cannot be one.
fn session(endpoint: &SyncEndpoint) -> Result<&Session, Error> {
    endpoint.session.as_ref().map_err(|error| Error::Unusable {
        kind: error.kind(),
        reason: error.reason(),
        message: error.to_string(),
    })
}

pub(super) fn failed(stage: Stage, endpoint: &SyncEndpoint, error: &Error, progress: &Progress) -> EndpointReport {
    progress.endpoint_failed(stage.as_str(), &endpoint.facts.name, error);
    tracing::warn!(stage = stage.as_str(), endpoint.id = %endpoint.facts.key, %error, "endpoint failed");
    EndpointReport {
        key: endpoint.facts.key,
        name: endpoint.facts.name.clone(),
        counts: Counts::default(),
        records: Vec::new(),
        tally: None,
        tasks: None,
        machines: 0,
        gaps: Vec::new(),
        warnings: Vec::new(),
        plans: Vec::new(),
        error: Some((error.kind(), error.to_string())),
        reason: Some(error.reason()),
        is_unreachable: error.is_unreachable(),
    }
}

/// A stage for one endpoint.
pub(super) struct Part<'a> {
    stage: Stage,
    work: Work<'a>,
    version: NetBoxVersion,
}

impl<'a> Part<'a> {
    async fn run(&self, endpoint: &'a SyncEndpoint, metadata: Result<Arc<Metadata>, Error>) -> EndpointReport {
        let progress = self.work.progress;
        if self.work.cancel.is_cancelled() {
            return failed(self.stage, endpoint, &Error::Cancelled, progress);
        }
        let run = match metadata {
            Ok(metadata) => self.prepare_with(endpoint, &metadata).await,
            Err(error) => Err(error),
        };
        let mut run = match run {
            Ok(run) => run,
            Err(error) => return failed(self.stage, endpoint, &error, progress),
        };
        let _busy = run.place().busy();
        if let Some(gap) = run.facts.cluster.hidden.clone() {
            run.miss(&gap);
        }
        let done = Box::pin(ahead::run_stage(&mut run)).await;
        run.tell_constraints().await;
        run.log_gaps();
        match done {
            Ok(summary) => EndpointReport {
                key: endpoint.facts.key,
                name: endpoint.facts.name.clone(),
                counts: summary.counts,
                records: summary.records,
                tally: summary.tally,
                tasks: summary.tasks,
                machines: summary.machines,
                gaps: run.gaps,
                warnings: run.warnings,
                plans: run.plans,
                error: None,
                reason: None,
                is_unreachable: false,
            },
            Err(error) => EndpointReport {
                gaps: run.gaps,
                warnings: run.warnings,
                plans: run.plans,
                ..failed(self.stage, endpoint, &error, progress)
            },
        }
    }

    /// Everything that is known before the first request of a stage.
    pub(super) async fn prepare(&self, endpoint: &'a SyncEndpoint) -> Result<EndpointRun<'a>, Error> {
        let metadata = self.look(endpoint).await?;
        self.prepare_with(endpoint, &metadata).await
    }

    /// What each endpoint tells of itself. They are asked side by side: the time that one takes to show that it is dead is
    /// spent once, not by each after it.
    pub(super) async fn looks(&self, endpoints: &[&'a SyncEndpoint]) -> Vec<Result<Arc<Metadata>, Error>> {
        let looks: Vec<_> = endpoints.iter().map(|endpoint| self.look(endpoint)).collect();
        stream::iter(looks).buffered(LOOKS_AT_ONCE).collect().await
    }

    /// What an endpoint tells of itself; the devices always want it afresh.
    async fn look(&self, endpoint: &SyncEndpoint) -> Result<Arc<Metadata>, Error> {
        let session = session(endpoint)?;
        Ok(if self.stage == Stage::Devices {
            session.refresh().await?
        } else {
            session.metadata().await?
        })
    }

    pub(super) async fn prepare_with(
        &self,
        endpoint: &'a SyncEndpoint,
        metadata: &Metadata,
    ) -> Result<EndpointRun<'a>, Error> {
        let Work {
            request,
            context,
            memo,
            progress,
            cancel,
        } = self.work;
        let session = session(endpoint)?;
        let cluster = inventory::cluster(metadata, endpoint_label(&endpoint.facts.name))
            .map_err(|reason| Error::Limited { reason })?;
        let place = Place {
            memo,
            netbox: &context.netbox,
            endpoint: endpoint.facts.key,
            session,
            ttl: context.inventory_ttl,
        };
        if self.stage == Stage::Devices {
            place.clear();
        } else {
            place.clear_outlived();
        }
        let mut run = EndpointRun {
            stage: self.stage,
            facts: self.facts(endpoint, cluster, place),
            session,
            netbox: &context.netbox,
            version: self.version,
            progress,
            cancel: cancel.clone(),
            limits: Limits {
                is_lifted: request.allow_shrink,
                ..context.limits
            },
            is_dry_run: request.dry_run,
            memo,
            needs: Needs::default(),
            inventory_ttl: context.inventory_ttl,
            only: None,
            recorded: RecordedTasks::default(),
            concurrency: request.fetch_max_concurrency.unwrap_or(CONCURRENCY),
            agent_timeout: context.agent_timeout,
            plans: Vec::new(),
            warnings: Vec::new(),
            gaps: Vec::new(),
            trace: None,
        };
        if metadata.name().is_none() {
            run.recall_cluster_name().await?;
        }
        Ok(run)
    }

    /// What a stage knows before it has read anything of its own.
    fn facts(&self, endpoint: &SyncEndpoint, cluster: Cluster, place: Place<'_>) -> Facts {
        let context = self.work.context;
        let now = OffsetDateTime::now_utc();
        let mut options = self.work.request.options.clone();
        options.guests.sync_links = context.sync_links;
        options.stamps_overdue_before = Some(stamp(now - context.stamp_interval));
        // A limited run reads a part of what there is, and must not take the whole for it. Who asks for some machines looks at
        // them, and wants them as they are: what was read before would have the next run undo what this one writes.
        let is_named = options.guests.only.is_some() && !place.memo.is_of_one_run;
        let is_limited = is_named || !options.only.is_everything();
        if is_limited && !place.memo.is_of_one_run {
            place.clear_inventory();
        }
        let inventory = if is_limited {
            Inventory::default()
        } else {
            place.inventory()
        };
        let others = context.endpoints.iter().map(|other| other.facts.key);
        let others = others.filter(|key| *key != endpoint.facts.key);
        Facts {
            endpoint: endpoint.facts.clone(),
            options,
            cluster,
            inventory,
            ids: Ids::default(),
            known: Known {
                has_machine_types: self.version.has_vm_types(),
                endpoint_ids: context.endpoint_ids.clone(),
                others: others.map(|key| key.id.0).collect(),
                ..Known::default()
            },
            target: Target::default(),
            refused_nodes: BTreeMap::new(),
            guests: GuestFacts::default(),
            now: stamp(now),
        }
    }
}

/// A time as it is written to NetBox: ISO 8601 in UTC, whole seconds.
fn stamp(at: OffsetDateTime) -> String {
    at.replace_nanosecond(0)
        .unwrap_or(at)
        .format(&Rfc3339)
        .unwrap_or_default()
}
