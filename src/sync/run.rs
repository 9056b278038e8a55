//! A run: the stage, endpoint by endpoint.

use std::collections::BTreeMap;
use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio_util::sync::CancellationToken;

use super::error::Error;
use super::event::Progress;
use super::memo::{Memo, Place};
use super::pass::EndpointRun;
use super::report::{Counts, EndpointReport, Report};
use super::request::SyncRequest;
use super::stages;
use crate::inventory;
use crate::netbox::ids::Ids;
use crate::netbox::{Client, NetBoxVersion};
use crate::proxmox::{self, Session};
use crate::reconcile::Limits;
use crate::stages::{EndpointFacts, Facts, Known, Stage, Target};

/// How many calls to one Proxmox a stage makes at once where the request does not say.
const CONCURRENCY: usize = 8;

/// An endpoint that takes part in a run.
#[derive(Debug)]
pub struct SyncEndpoint {
    /// Who it is, and its settings.
    pub facts: EndpointFacts,
    /// The session with it, or why there cannot be one.
    pub session: Result<Session, proxmox::Error>,
}

/// What a run works with.
#[derive(Debug)]
pub struct RunContext {
    /// The NetBox to write to, on its branch.
    pub netbox: Client,
    /// The endpoints, in order.
    pub endpoints: Vec<SyncEndpoint>,
    /// The shrink guard.
    pub limits: Limits,
    /// How old a sync-state time stamp may grow before it is refreshed without another change; zero: always.
    pub stamp_interval: Duration,
    /// How long what one run has read of Proxmox serves the next; zero: not at all.
    pub inventory_ttl: Duration,
    /// How long a guest agent may take to answer.
    pub agent_timeout: Duration,
    /// Keep the state of guests' links, their largest packets and the VLANs of their trunks too.
    pub sync_links: bool,
}

/// Runs `stage` for every endpoint of `context`, tells its progress, and reports.
pub(super) async fn run(
    stage: Stage,
    request: &SyncRequest,
    context: &RunContext,
    memo: &Memo,
    (progress, cancel): (&Progress, &CancellationToken),
) -> Report {
    progress.started(stage.as_str());
    let version = version(&context.netbox).await;
    let mut report = Report {
        is_dry_run: request.dry_run,
        ..Report::default()
    };
    for endpoint in &context.endpoints {
        let part = match &version {
            Ok(version) => {
                let part = Part {
                    stage,
                    request,
                    context,
                    memo,
                    progress,
                    cancel,
                    version: *version,
                };
                part.run(endpoint).await
            }
            Err(error) => failed(stage, endpoint, error, progress),
        };
        report.endpoints.push(part);
    }
    report.is_cancelled = cancel.is_cancelled();
    let had_trouble = report
        .endpoints
        .iter()
        .any(|part| part.error.is_some() || part.counts.failed > 0);
    if had_trouble {
        memo.forget();
    }
    let (result, errors) = (report.result(), report.errors());
    if report.is_cancelled {
        progress.failed(stage.as_str(), &[Error::Cancelled.to_string()], true, &result);
    } else if errors.is_empty() {
        progress.completed(stage.as_str(), &result);
    } else {
        progress.failed(stage.as_str(), &errors, false, &result);
    }
    report
}

/// NetBox's version, and that its branch is ready.
async fn version(netbox: &Client) -> Result<NetBoxVersion, Error> {
    let status = netbox.status().await?;
    netbox.check_branch().await?;
    Ok(status.version)
}

fn failed(stage: Stage, endpoint: &SyncEndpoint, error: &Error, progress: &Progress) -> EndpointReport {
    progress.endpoint_failed(stage.as_str(), &endpoint.facts.name, error);
    tracing::warn!(stage = stage.as_str(), endpoint.id = %endpoint.facts.key, %error, "endpoint failed");
    EndpointReport {
        key: endpoint.facts.key,
        name: endpoint.facts.name.clone(),
        counts: Counts::default(),
        records: Vec::new(),
        warnings: Vec::new(),
        plans: Vec::new(),
        error: Some((error.kind(), error.to_string())),
    }
}

/// A stage for one endpoint.
struct Part<'a> {
    stage: Stage,
    request: &'a SyncRequest,
    context: &'a RunContext,
    memo: &'a Memo,
    progress: &'a Progress,
    cancel: &'a CancellationToken,
    version: NetBoxVersion,
}

impl Part<'_> {
    async fn run(&self, endpoint: &SyncEndpoint) -> EndpointReport {
        if self.cancel.is_cancelled() {
            return failed(self.stage, endpoint, &Error::Cancelled, self.progress);
        }
        let session = match &endpoint.session {
            Ok(session) => session,
            Err(error) => return self.failed_session(endpoint, error),
        };
        let mut run = match self.prepare(endpoint, session).await {
            Ok(run) => run,
            Err(error) => return failed(self.stage, endpoint, &error, self.progress),
        };
        match stages::run(self.stage, &mut run).await {
            Ok(summary) => EndpointReport {
                key: endpoint.facts.key,
                name: endpoint.facts.name.clone(),
                counts: summary.counts,
                records: summary.records,
                warnings: run.warnings,
                plans: run.plans,
                error: None,
            },
            Err(error) => EndpointReport {
                warnings: run.warnings,
                plans: run.plans,
                ..failed(self.stage, endpoint, &error, self.progress)
            },
        }
    }

    /// A session that could not even be made: its settings are wrong.
    fn failed_session(&self, endpoint: &SyncEndpoint, error: &proxmox::Error) -> EndpointReport {
        let error = Error::Unusable {
            kind: error.kind(),
            reason: error.reason(),
            message: error.to_string(),
        };
        failed(self.stage, endpoint, &error, self.progress)
    }

    async fn prepare<'a>(&'a self, endpoint: &SyncEndpoint, session: &'a Session) -> Result<EndpointRun<'a>, Error> {
        let metadata = if self.stage == Stage::Devices {
            session.refresh().await?
        } else {
            session.metadata().await?
        };
        let cluster = inventory::cluster(&metadata).map_err(|reason| Error::Limited { reason })?;
        let now = OffsetDateTime::now_utc();
        let mut options = self.request.options.clone();
        options.guests.sync_links = self.context.sync_links;
        options.stamps_overdue_before = Some(stamp(now - self.context.stamp_interval));
        let place = Place {
            memo: self.memo,
            netbox: &self.context.netbox,
            endpoint: endpoint.facts.key,
            session,
            ttl: self.context.inventory_ttl,
        };
        if self.stage == Stage::Devices {
            place.clear();
        }
        let inventory = place.inventory();
        let facts = Facts {
            endpoint: endpoint.facts.clone(),
            options,
            cluster,
            inventory,
            ids: Ids::default(),
            known: Known::default(),
            target: Target::default(),
            refused_nodes: BTreeMap::new(),
            now: stamp(now),
        };
        Ok(EndpointRun {
            stage: self.stage,
            facts,
            session,
            netbox: &self.context.netbox,
            version: self.version,
            progress: self.progress,
            cancel: self.cancel,
            limits: Limits {
                is_lifted: self.request.allow_shrink,
                ..self.context.limits
            },
            is_dry_run: self.request.dry_run,
            memo: self.memo,
            inventory_ttl: self.context.inventory_ttl,
            only: None,
            concurrency: self.request.fetch_max_concurrency.unwrap_or(CONCURRENCY),
            agent_timeout: self.context.agent_timeout,
            plans: Vec::new(),
            warnings: Vec::new(),
        })
    }
}

/// A time as it is written to NetBox: ISO 8601 in UTC, whole seconds.
fn stamp(at: OffsetDateTime) -> String {
    at.replace_nanosecond(0)
        .unwrap_or(at)
        .format(&Rfc3339)
        .unwrap_or_default()
}
