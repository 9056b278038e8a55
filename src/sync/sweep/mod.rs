//! The sweep: marks virtual machines whose guest is gone.
//!
//! What is gone the live list of guests tells, nothing else: a virtual machine is marked only where every endpoint that
//! takes part showed all its guests. Nothing is ever deleted.

mod report;

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;
use serde_json::json;

pub use report::SweepReport;

use super::context::SyncEndpoint;
use super::error::Error;
use super::event::Item;
use super::pass::EndpointRun;
use super::report::{Counts, Failure, Outcome};
use super::run::{Work, version};
use super::warning::Warning;
use crate::error::ErrorKind;
use crate::inventory::{Gap, Guests, Slot};
use crate::netbox;
use crate::netbox::objects::{VirtualMachine, VirtualMachineState};
use crate::reconcile::ObjectId;
use crate::stages::claim::Claim;
use crate::stages::machines::orphans::{Candidate, Fate, Orphans, candidates, elsewhere};
use crate::stages::{Selection, Stage};

/// Its name as a step of a stream.
pub(super) const STEP: &str = "sweep-orphans";
const PHASE: &str = "sweep_orphans";
const PAGE: &str = "/virtualization/virtual-machines/";
/// Why a virtual machine is left alone that could not be read right before it was to be marked.
const UNREADABLE: &str = "vm_unreadable";

/// Why nothing is looked at.
enum Stop {
    /// For a reason that is no failure of the run.
    Skip(&'static str, String),
    Fail(Error),
}

impl Work<'_> {
    /// Sweeps all endpoints; `has_lost` says that guests were lost on the way here.
    pub(super) async fn sweep(self, has_lost: bool) -> SweepReport {
        let is_dry_run = self.request.dry_run;
        let mut report = SweepReport {
            is_enabled: self.context.delete_orphans,
            run_id: self.request.options.run_id.clone(),
            is_dry_run,
            ..SweepReport::default()
        };
        if !report.is_enabled && !is_dry_run {
            return report.skip("disabled");
        }
        if has_lost {
            return report.skip("vm_stage_failed");
        }
        let runs = match self.survey(&mut report).await {
            Ok(runs) => runs,
            // A read that was given up is no reason of its own.
            Err(_) if self.cancel.is_cancelled() => {
                report.is_cancelled = true;
                return report;
            }
            Err(Stop::Skip(reason, warning)) => {
                report.warnings.push(warning.into());
                return report.skip(reason);
            }
            Err(Stop::Fail(error)) => {
                report.errors.push((error.kind(), error.to_string()));
                return report;
            }
        };
        for mut run in runs {
            let marked = run.mark(&mut report).await;
            let key = run.facts.endpoint.key;
            report.plans.extend(run.plans.drain(..).map(|plan| (key, plan)));
            if let Err(error) = marked {
                self.fail(&run, &error, &mut report);
            }
            report.warnings.append(&mut run.warnings);
            if self.cancel.is_cancelled() {
                break;
            }
        }
        report.is_cancelled = self.cancel.is_cancelled();
        let counts = Counts {
            updated: report.soft_deleted,
            failed: report.failed,
            skipped: report.skipped,
            ..Counts::default()
        };
        self.progress.summary(PHASE, &counts);
        report
    }

    /// What went wrong with one endpoint, by its name where there are others.
    fn fail(&self, run: &EndpointRun<'_>, error: &Error, report: &mut SweepReport) {
        let endpoint = &run.facts.endpoint;
        tracing::warn!(stage = STEP, endpoint.id = %endpoint.key, %error, "endpoint failed");
        let text = error.to_string();
        let has_several = self.context.endpoints.len() > 1;
        let text = if has_several {
            format!("{}: {text}", endpoint.name)
        } else {
            text
        };
        report.errors.push((error.kind(), text));
    }

    /// Reads the guests of every endpoint, all of them or none, and their virtual machines; an endpoint whose cluster cannot
    /// be told has failed, and is left out.
    async fn survey(&self, report: &mut SweepReport) -> Result<Vec<EndpointRun<'_>>, Stop> {
        let unavailable = |text: String| Stop::Skip("live_inventory_unavailable", text);
        let missing: Vec<String> = self.context.missing.iter().map(ToString::to_string).collect();
        if !missing.is_empty() {
            let text = format!("endpoints that were asked for do not exist: {}", missing.join(", "));
            return Err(unavailable(text));
        }
        if self.context.endpoints.is_empty() {
            return Err(unavailable("there is no endpoint".to_owned()));
        }
        let version = version(&self.context.netbox).await.map_err(Stop::Fail)?;
        let part = self.part(Stage::VirtualMachines, version);
        let endpoints: Vec<_> = self.context.endpoints.iter().collect();
        // What the credentials may see decides on what is gone, and not what they could see a minute ago.
        let refresh = async |endpoint: &&SyncEndpoint| match &endpoint.session {
            Ok(session) => session.refresh().await.map(drop),
            Err(_) => Ok(()),
        };
        let refreshed = join_all(endpoints.iter().map(refresh)).await;
        for (endpoint, refreshed) in endpoints.iter().zip(refreshed) {
            refreshed.map_err(|error| unavailable(format!("{}: {error}", endpoint.facts.name)))?;
        }
        let looks = part.looks(&endpoints).await;
        let mut runs = Vec::new();
        for (endpoint, metadata) in endpoints.into_iter().zip(looks) {
            let name = &endpoint.facts.name;
            let told = |error: Error| unavailable(format!("{name}: {error}"));
            let metadata = metadata.map_err(told)?;
            let mut run = part.prepare_with(endpoint, &metadata).await.map_err(told)?;
            run.facts.inventory.guests = Slot::default();
            run.read::<Guests>().await.map_err(told)?;
            if let Some(gap) = &run.facts.cluster.hidden {
                return Err(unavailable(format!("{name}: {gap}")));
            }
            if !run.facts.inventory.is_complete::<Guests>() {
                let gaps: Vec<String> = run
                    .facts
                    .inventory
                    .gaps::<Guests>()
                    .iter()
                    .map(Gap::to_string)
                    .collect();
                let text = format!("{name}: not all guests could be read: {}", gaps.join("; "));
                return Err(unavailable(text));
            }
            match run.read_owned_machines().await {
                Ok(()) => runs.push(run),
                Err(Stop::Fail(error @ Error::Ambiguity(_))) => {
                    self.fail(&run, &error, report);
                    report.warnings.append(&mut run.warnings);
                }
                Err(stop) => return Err(stop),
            }
        }
        Ok(runs)
    }
}

impl EndpointRun<'_> {
    /// Reads the virtual machines whose sync state names this endpoint.
    async fn read_owned_machines(&mut self) -> Result<(), Stop> {
        if self.find_cluster().await.map_err(Stop::Fail)? == Claim::Create {
            return Ok(());
        }
        // All of them: the guard takes its share of all, and what is gone is none of the guests that a request selects.
        let only = self.facts.options.guests.only.take();
        let read = self.read_machines_afresh().await;
        self.facts.options.guests.only = only;
        match read {
            Ok(()) => {}
            Err(Error::NetBox(error @ netbox::Error::NoRoute { .. })) => {
                return Err(Stop::Skip("sidecar_unavailable", error.to_string()));
            }
            Err(Error::NetBox(error)) => return Err(Stop::Skip("sidecar_read_failed", error.to_string())),
            Err(error) => return Err(Stop::Fail(error)),
        }
        let selection = Selection::any_of("id", elsewhere(&self.facts));
        let more = self.list::<VirtualMachine>(vec![selection]).await.map_err(Stop::Fail)?;
        self.facts.known.machines.extend(more);
        Ok(())
    }

    /// Marks what is gone, and tells how each candidate fared; those that could not be marked for want of the whole have
    /// failed with it.
    async fn mark(&mut self, report: &mut SweepReport) -> Result<(), Error> {
        let all = candidates(&self.facts).into_iter();
        self.facts.guests.orphans = all
            .filter(|candidate| candidate.fate == Fate::Orphan)
            .map(|candidate| candidate.id)
            .collect();
        let changed = self.confirm_orphans().await?;
        self.facts.guests.orphans.retain(|id| !changed.contains_key(id));
        let written = match self.mark_orphans().await {
            Err(Error::Cancelled) => return Err(Error::Cancelled),
            written => written.map_err(|error| (error.to_string(), error)),
        };
        let gone = candidates(&self.facts);
        report.candidates += gone.len();
        for (place, candidate) in gone.iter().enumerate() {
            let fared = match changed.get(&candidate.id) {
                Some(reason) => Fared::skipped(reason),
                None => self.fared(candidate, written.as_ref().map_err(|(text, _)| text.as_str())),
            };
            report.count(fared.operation);
            self.tell_candidate(candidate, fared, (place + 1, gone.len()));
        }
        let outcome = written.map_err(|(_, error)| error)?;
        let failed = outcome.failed.iter().filter(|failure| !is_gone(failure));
        self.warnings.extend(failed.map(Warning::from));
        Ok(())
    }

    async fn mark_orphans(&mut self) -> Result<Outcome, Error> {
        if self.facts.guests.orphans.is_empty() {
            return Ok(Outcome::default());
        }
        self.bootstrap().await?;
        self.pass::<Orphans>().await
    }

    /// Reads once more, right before they are marked, the virtual machines whose guest is gone and their sync states; returns
    /// those that are to be left alone, and why: all of them where they cannot be read. Other endpoints were looked at
    /// meanwhile, and other runs may have written.
    async fn confirm_orphans(&mut self) -> Result<BTreeMap<ObjectId, &'static str>, Error> {
        let orphans = self.facts.guests.orphans.clone();
        if orphans.is_empty() || self.is_dry_run {
            return Ok(BTreeMap::new());
        }
        let states = Selection::any_of("virtual_machine_id", &orphans);
        let read = tokio::try_join!(
            self.list::<VirtualMachine>(vec![Selection::any_of("id", &orphans)]),
            self.list::<VirtualMachineState>(vec![states]),
        );
        let (machines, states) = match read {
            Ok(read) => read,
            Err(Error::Cancelled) => return Err(Error::Cancelled),
            Err(error) => {
                let warning = format!("virtual machines could not be read again before they are marked: {error}");
                self.warnings.push(warning.into());
                return Ok(orphans.into_iter().map(|id| (id, UNREADABLE)).collect());
            }
        };
        let mut machines: BTreeMap<_, _> = machines.into_iter().map(|stored| (stored.id, stored)).collect();
        let said = |state: &VirtualMachineState| {
            let guest = (
                state.endpoint_raw_id,
                state.vmid,
                state.kind.clone(),
                state.cluster_name.clone(),
            );
            (state.last_run.clone(), guest)
        };
        let now: BTreeSet<_> = states
            .iter()
            .map(|stored| (stored.object.virtual_machine, said(&stored.object)))
            .collect();
        let known = self.facts.known.machine_states.iter().map(|stored| &stored.object);
        let before = known.filter(|state| orphans.contains(&state.virtual_machine));
        let mut changed: BTreeMap<_, _> = before
            .filter(|state| !now.contains(&(state.virtual_machine, said(state))))
            .map(|state| (state.virtual_machine, "restamped: its sync state was written meanwhile"))
            .collect();
        changed.extend(
            orphans
                .iter()
                .filter(|id| !machines.contains_key(id))
                .map(|id| (*id, UNREADABLE)),
        );
        for stored in &mut self.facts.known.machines {
            if let Some(fresh) = machines.remove(&stored.id) {
                *stored = fresh;
            }
        }
        Ok(changed)
    }

    /// How a candidate fared; `written` says what came of marking all of them, or why nothing did.
    fn fared<'o>(&self, candidate: &Candidate<'_>, written: Result<&'o Outcome, &'o str>) -> Fared<'o> {
        let fared = |operation, error, warning| Fared {
            operation,
            error,
            warning,
        };
        let outcome = match (candidate.fate, written) {
            (Fate::Incomplete, _) => return Fared::skipped("identity_incomplete"),
            (Fate::Marked, _) => return Fared::skipped("already_swept"),
            (Fate::LeftAlone, _) => return Fared::skipped("its sync mode leaves it alone"),
            (Fate::Orphan, Err(reason)) => return fared("failed", Some(reason), None),
            (Fate::Orphan, Ok(outcome)) => outcome,
        };
        let is_it = |id: ObjectId| id == candidate.id;
        let failure = outcome.failed.iter().find(|failure| failure.key == candidate.name);
        match failure {
            _ if self.is_dry_run => fared("would_delete", None, None),
            _ if outcome.marked.iter().any(|row| is_it(row.id)) => fared("updated", None, None),
            Some(failure) if is_gone(failure) => Fared::skipped("it is no longer in NetBox"),
            Some(failure) => fared("failed", Some(failure.message.as_str()), None),
            None => Fared::skipped("the run was asked to stop"),
        }
    }

    fn tell_candidate(&self, candidate: &Candidate<'_>, fared: Fared<'_>, (current, total): (usize, usize)) {
        let page = self.page(PAGE, candidate.id);
        let extra = json!({
            "reason": "orphan",
            "run_id": self.facts.options.run_id,
            "stale_run_id": candidate.state.last_run,
            "tag_slugs": candidate.tags,
            "vmid": candidate.state.vmid,
        });
        self.progress.item(Item {
            phase: PHASE,
            name: candidate.name,
            kind: "virtual_machine",
            page: Some((candidate.id, &page)),
            operation: fared.operation,
            error: fared.error,
            warning: fared.warning,
            extra: Some(&extra),
            current,
            total,
        });
        if fared.operation == "updated" {
            tracing::info!(endpoint.id = %self.facts.endpoint.key, machine.id = %candidate.id, "virtual machine marked");
        }
    }
}

/// Whether a row could not be written because somebody deleted it.
fn is_gone(failure: &Failure) -> bool {
    failure.kind == ErrorKind::NotFound
}

/// How a candidate fared.
#[derive(Clone, Copy)]
struct Fared<'a> {
    operation: &'static str,
    error: Option<&'a str>,
    warning: Option<&'static str>,
}

impl Fared<'_> {
    const fn skipped(reason: &'static str) -> Self {
        Self {
            operation: "skipped",
            error: None,
            warning: Some(reason),
        }
    }
}
