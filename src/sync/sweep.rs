//! The sweep: marks virtual machines whose guest is gone.
//!
//! What is gone the live list of guests tells, nothing else: a virtual machine is marked only where every endpoint that
//! takes part showed all its guests. Nothing is ever deleted.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;
use serde_json::{Map, Value, json};

use super::context::SyncEndpoint;
use super::error::Error;
use super::event::Item;
use super::pass::EndpointRun;
use super::report::{Counts, Failure, Outcome};
use super::run::{Work, version};
use super::warning::Warning;
use crate::endpoint::EndpointKey;
use crate::error::ErrorKind;
use crate::inventory::{Gap, Guests, Slot};
use crate::netbox;
use crate::netbox::objects::{VirtualMachine, VirtualMachineState};
use crate::reconcile::{ObjectId, Plan};
use crate::stages::claim::Claim;
use crate::stages::machines::orphans::{Candidate, Fate, Orphans, candidates, elsewhere};
use crate::stages::{Selection, Stage};

/// Its name as a step of a stream.
pub(super) const STEP: &str = "sweep-orphans";
const PHASE: &str = "sweep_orphans";
const PAGE: &str = "/virtualization/virtual-machines/";

/// What a sweep did.
#[derive(Debug, Clone, Default)]
pub struct SweepReport {
    /// Whether sweeping is switched on.
    pub is_enabled: bool,
    /// Why nothing was looked at.
    pub skipped_reason: Option<&'static str>,
    /// The run that it belongs to.
    pub run_id: String,
    /// Whether nothing was written on purpose.
    pub is_dry_run: bool,
    /// Virtual machines that this service created and whose guest is not listed.
    pub candidates: usize,
    /// Those that were marked.
    pub soft_deleted: usize,
    /// Those that could not be written.
    pub failed: usize,
    /// Those that were left alone.
    pub skipped: usize,
    /// What went less than well.
    pub warnings: Vec<Warning>,
    /// What a dry run would write, endpoint by endpoint.
    pub plans: Vec<(EndpointKey, Plan)>,
    /// Why the sweep failed as a whole; the kind and the text.
    pub error: Option<(ErrorKind, String)>,
    /// Whether the run was asked to stop before its end.
    pub is_cancelled: bool,
}

impl SweepReport {
    /// The result, as it is answered and streamed: its counts, where something went less than well `warnings` and
    /// `degraded`, and the plan of a dry run.
    pub fn result(&self) -> Value {
        let mut members = self.members();
        if !self.warnings.is_empty() {
            members.insert("warnings".to_owned(), json!(self.warnings));
            members.insert("degraded".to_owned(), json!(true));
        }
        if self.is_dry_run {
            let plans: Vec<&Plan> = self.plans.iter().map(|(_, plan)| plan).collect();
            members.insert("plan".to_owned(), json!(plans));
        }
        Value::Object(members)
    }

    /// What the sweep counts.
    pub(super) fn members(&self) -> Map<String, Value> {
        let members = [
            ("enabled", json!(self.is_enabled)),
            ("skipped_reason", json!(self.skipped_reason)),
            ("run_id", json!(self.run_id)),
            ("dry_run", json!(self.is_dry_run)),
            ("candidates", json!(self.candidates)),
            ("deleted", json!(0)),
            ("soft_deleted", json!(self.soft_deleted)),
            ("failed", json!(self.failed)),
            ("skipped", json!(self.skipped)),
        ];
        members
            .map(|(name, value)| (name.to_owned(), value))
            .into_iter()
            .collect()
    }

    /// The failure of the whole, if any.
    pub fn errors(&self) -> Vec<String> {
        self.error.iter().map(|(_, text)| text.clone()).collect()
    }

    /// The kind of that failure.
    pub fn error_kind(&self) -> Option<ErrorKind> {
        self.error.as_ref().map(|(kind, _)| *kind)
    }

    fn skip(mut self, reason: &'static str) -> Self {
        self.skipped_reason = Some(reason);
        self
    }

    fn count(&mut self, operation: &str) {
        match operation {
            "updated" => self.soft_deleted += 1,
            "failed" => self.failed += 1,
            _ => self.skipped += 1,
        }
    }
}

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
        let runs = match self.survey().await {
            Ok(runs) => runs,
            Err(Stop::Skip(reason, warning)) => {
                report.warnings.push(warning.into());
                return report.skip(reason);
            }
            Err(Stop::Fail(error)) => {
                report.error = Some((error.kind(), error.to_string()));
                return report;
            }
        };
        for mut run in runs {
            let marked = run.mark(&mut report).await;
            let key = run.facts.endpoint.key;
            report.warnings.append(&mut run.warnings);
            report.plans.extend(run.plans.drain(..).map(|plan| (key, plan)));
            if let Err(error) = marked {
                report.error = Some((error.kind(), error.to_string()));
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

    /// Reads the guests and virtual machines of every endpoint, all of them or none.
    async fn survey(&self) -> Result<Vec<EndpointRun<'_>>, Stop> {
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
            run.read_owned_machines().await?;
            runs.push(run);
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
        self.facts.options.guests.only = None;
        match self.read_machines_afresh().await {
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

    /// Marks what is gone, and tells how each candidate fared.
    async fn mark(&mut self, report: &mut SweepReport) -> Result<(), Error> {
        let all = candidates(&self.facts).into_iter();
        self.facts.guests.orphans = all
            .filter(|candidate| candidate.fate == Fate::Orphan)
            .map(|candidate| candidate.id)
            .collect();
        let changed = self.confirm_orphans().await?;
        self.facts.guests.orphans.retain(|id| !changed.contains_key(id));
        let outcome = if self.facts.guests.orphans.is_empty() {
            Outcome::default()
        } else {
            self.bootstrap().await?;
            self.pass::<Orphans>().await?
        };
        let gone = candidates(&self.facts);
        report.candidates += gone.len();
        for (place, candidate) in gone.iter().enumerate() {
            let fared = match changed.get(&candidate.id) {
                Some(reason) => Fared::skipped(reason),
                None => self.fared(candidate, &outcome),
            };
            report.count(fared.operation);
            self.tell_candidate(candidate, fared, (place + 1, gone.len()));
        }
        let failed = outcome.failed.iter().filter(|failure| !is_gone(failure));
        self.warnings.extend(failed.map(Warning::from));
        Ok(())
    }

    /// Reads once more, right before they are marked, the virtual machines whose guest is gone and their sync states; returns
    /// those that are to be left alone, and why. Other endpoints were looked at meanwhile, and other runs may have written.
    async fn confirm_orphans(&mut self) -> Result<BTreeMap<ObjectId, &'static str>, Error> {
        let orphans = self.facts.guests.orphans.clone();
        if orphans.is_empty() || self.is_dry_run {
            return Ok(BTreeMap::new());
        }
        let states = Selection::any_of("virtual_machine_id", &orphans);
        let (machines, states) = tokio::try_join!(
            self.list::<VirtualMachine>(vec![Selection::any_of("id", &orphans)]),
            self.list::<VirtualMachineState>(vec![states]),
        )?;
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
                .map(|id| (*id, "vm_unreadable")),
        );
        for stored in &mut self.facts.known.machines {
            if let Some(fresh) = machines.remove(&stored.id) {
                *stored = fresh;
            }
        }
        Ok(changed)
    }

    fn fared<'o>(&self, candidate: &Candidate<'_>, outcome: &'o Outcome) -> Fared<'o> {
        let fared = |operation, error, warning| Fared {
            operation,
            error,
            warning,
        };
        let is_it = |id: ObjectId| id == candidate.id;
        let failure = outcome.failed.iter().find(|failure| failure.key == candidate.name);
        match candidate.fate {
            Fate::Incomplete => Fared::skipped("identity_incomplete"),
            Fate::Marked => Fared::skipped("already_swept"),
            Fate::LeftAlone => Fared::skipped("its sync mode leaves it alone"),
            Fate::Orphan if self.is_dry_run => fared("would_delete", None, None),
            Fate::Orphan if outcome.marked.iter().any(|row| is_it(row.id)) => fared("updated", None, None),
            Fate::Orphan => match failure {
                Some(failure) if is_gone(failure) => Fared::skipped("it is no longer in NetBox"),
                Some(failure) => fared("failed", Some(failure.message.as_str()), None),
                None => Fared::skipped("the run was asked to stop"),
            },
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
