//! One object alone: a narrow run of the stage that it is a part of.
//!
//! Proxmox is asked first whether there is such an object; then what it hangs on is seen to, where it is missing; then
//! the stage runs, limited to the object. Nothing is retired.

mod locate;
mod machine;
mod parts;
mod report;
mod wanted;

use serde_json::{Map, Value, json};

use super::error::Error;
use super::pass::EndpointRun;
use super::run::{Work, version};
use super::stages;
use crate::inventory::{Inventory, Storages};
use crate::netbox;
use crate::netbox::ids::Ids;
use crate::netbox::objects::{Cluster, ClusterType, Device, Storage, VirtualMachine, VmInterface};
use crate::reconcile::{ObjectId, Resource};
use crate::stages::claim::Claim;
use crate::stages::{Only, Part, Stage};

pub use report::IndividualReport;
pub(super) use report::Trace;
pub use wanted::{Individual, IndividualKind};

use locate::Located;
use report::Action;
use wanted::WantedGuest;

impl Work<'_> {
    /// Brings one object in step.
    pub(super) async fn individual(self, wanted: &Individual) -> IndividualReport {
        let mut report = IndividualReport::new(wanted.kind, self.request.dry_run);
        if let Err(error) = self.bring_in_step(wanted, &mut report).await {
            if matches!(error, Error::NetBox(_) | Error::Prerequisite { .. })
                && let Some(endpoint) = self.context.endpoints.first()
            {
                self.memo.forget_endpoint(&self.context.netbox, endpoint.facts.key);
            }
            tracing::warn!(object = wanted.kind.as_str(), %error, "object not brought in step");
            report.fail(&error);
        }
        report.is_cancelled = self.cancel.is_cancelled();
        report
    }

    async fn bring_in_step(self, wanted: &Individual, report: &mut IndividualReport) -> Result<(), Error> {
        let mut endpoints = self.context.endpoints.iter();
        let endpoint = endpoints.next().ok_or_else(|| Error::Absent {
            what: "the Proxmox endpoint".to_owned(),
        })?;
        let version = version(&self.context.netbox).await?;
        let mut run = self.part(wanted.kind.stage(), version).prepare(endpoint).await?;
        // Who asks for one object has just changed it: what was read before does not serve, here or in the next run.
        run.facts.inventory = Inventory::default();
        run.place().clear_readings();
        run.trace = Some(Trace::default());
        let guests = &mut run.facts.options.guests;
        (guests.sync_network, guests.sync_task_history, guests.all_tasks) = (false, false, true);
        // Boxed: it holds the stages.
        let done = Box::pin(run.bring_in_step(wanted, report)).await;
        run.warnings.clear();
        run.tell_constraints().await;
        report.warn(&run.warnings);
        done
    }
}

impl EndpointRun<'_> {
    async fn bring_in_step(&mut self, wanted: &Individual, report: &mut IndividualReport) -> Result<(), Error> {
        let mut located = self.locate(wanted).await?;
        report.found(located.resource.take());
        if !located.is_found {
            report.noop("No task found for the specified criteria");
            return Ok(());
        }
        if !self.prepare_parents(wanted, &located, report).await? {
            return self.conclude(wanted, &located, report).await;
        }
        let done = if wanted.kind == IndividualKind::Cluster {
            self.ensure_cluster().await
        } else {
            stages::run(wanted.kind.stage(), self).await.map(drop)
        };
        match done {
            Err(error) if self.is_written(wanted.kind) => self.warnings.push(error.to_string().into()),
            done => done?,
        }
        self.conclude(wanted, &located, report).await
    }

    /// Sees to what the object hangs on; says whether there is anything left to do.
    async fn prepare_parents(
        &mut self,
        wanted: &Individual,
        located: &Located,
        report: &mut IndividualReport,
    ) -> Result<bool, Error> {
        if let (Some(guest), true) = (located.guest, wanted.kind != IndividualKind::Machine) {
            let Some(machine) = self.ensure_machine(guest, wanted.may_create_machine).await? else {
                return Ok(false);
            };
            if wanted.kind == IndividualKind::Address {
                return self.prepare_address(wanted, (guest.vmid, machine), report).await;
            }
        }
        if wanted.kind == IndividualKind::Storage
            && !self.is_dry_run
            && self.find_or_claim_cluster().await? == Claim::Create
        {
            self.ensure_cluster().await?;
        }
        if let Some(storage) = located.storage.as_deref().filter(|_| wanted.may_create_storage) {
            self.ensure_storage(storage).await?;
        }
        Ok(true)
    }

    /// Makes the row of a storage that has none.
    async fn ensure_storage(&mut self, name: &str) -> Result<(), Error> {
        self.read_storages().await?;
        if self.is_dry_run || self.facts.known.storage_ids().contains_key(name) {
            return Ok(());
        }
        self.read::<Storages>().await?;
        self.run_only(Stage::Storage, Only::default().and(Part::Storage, name))
            .await
    }

    /// Runs another stage for what the object hangs on.
    async fn run_only(&mut self, stage: Stage, only: Only) -> Result<(), Error> {
        let only = std::mem::replace(&mut self.facts.options.only, only);
        let (guests, machines) = (self.only.take(), self.facts.options.guests.only.take());
        let result = stages::run(stage, self).await;
        self.facts.options.only = only;
        (self.only, self.facts.options.guests.only) = (guests, machines);
        result.map(drop)
    }

    /// Tells what was done, and reads how the object stands in NetBox now.
    async fn conclude(
        &mut self,
        wanted: &Individual,
        located: &Located,
        report: &mut IndividualReport,
    ) -> Result<(), Error> {
        let path = wanted.kind.path();
        let trace = self.trace.take().unwrap_or_default();
        let fate = trace.fate(path);
        // A row that nobody can tell whose it is would be made a second time.
        let identity = wanted.kind.identity().and_then(|path| trace.refusal(path));
        if let Some(refusal) = identity.or_else(|| trace.refusal(path).filter(|_| fate.is_none())) {
            return Err(refusal);
        }
        self.tell_dependencies(wanted, located, &trace, report);
        match fate {
            Some((id, action)) => {
                let row = self.row(path, id).await;
                report.end(action, row.unwrap_or_else(|error| self.warn_of_row(&error)));
            }
            None if self.is_dry_run => report.end(Action::DryRun, Value::Null),
            None => {
                let warnings: Vec<&str> = self.warnings.iter().map(|warning| warning.message.as_str()).collect();
                let reason = if warnings.is_empty() {
                    format!("there is no row for this {}", wanted.kind.as_str())
                } else {
                    warnings.join("; ")
                };
                return Err(Error::LeftAlone { reason });
            }
        }
        report.warn(&self.warnings);
        Ok(())
    }

    /// Whether the object's row and what says whose it is were written, so that what failed afterwards is no failure of it.
    fn is_written(&self, kind: IndividualKind) -> bool {
        let Some(trace) = &self.trace else {
            return false;
        };
        let was = |path| matches!(trace.fate(path), Some((_, Action::Created | Action::Updated)));
        was(kind.path()) && kind.identity().is_none_or(|path| trace.fate(path).is_some())
    }

    /// A row that was written and could not be read again.
    fn warn_of_row(&mut self, error: &Error) -> Value {
        self.warnings
            .push(format!("the row could not be read again: {error}").into());
        Value::Null
    }

    /// A row as NetBox answers it; null where a dry run would make it.
    async fn row(&self, path: &str, id: ObjectId) -> Result<Value, Error> {
        if Ids::is_provisional(id) {
            return Ok(Value::Null);
        }
        match self.netbox.get(&format!("{path}{id}/")).await {
            Err(netbox::Error::NotFound { .. }) => Ok(Value::Null),
            answer => Ok(answer?),
        }
    }

    fn tell_dependencies(&self, wanted: &Individual, located: &Located, trace: &Trace, report: &mut IndividualReport) {
        let cluster = wanted.cluster.as_deref().unwrap_or(&self.facts.cluster.name);
        let action = |path: &str| trace.action(path);
        let cluster_entry = [("name", json!(cluster)), ("cluster_name", json!(cluster))];
        match wanted.kind {
            IndividualKind::Cluster if !self.is_dry_run => {
                report.depends("cluster_type", Map::new(), action(ClusterType::PATH));
            }
            IndividualKind::Cluster | IndividualKind::BackupRoutine => {}
            IndividualKind::Node | IndividualKind::Storage => {
                report.depends("cluster", members(cluster_entry), action(Cluster::PATH));
            }
            IndividualKind::Machine => {
                report.depends("cluster", members(cluster_entry), action(Cluster::PATH));
                let node = json!(located.node);
                let node = members([("name", node), ("cluster_name", json!(cluster))]);
                report.depends("node", node, action(Device::PATH));
            }
            IndividualKind::Interface
            | IndividualKind::Address
            | IndividualKind::Disk
            | IndividualKind::Replication
            | IndividualKind::Backup
            | IndividualKind::Snapshot
            | IndividualKind::Task => {
                let machine = machine_members(located, cluster);
                report.depends("vm", machine.clone(), action(VirtualMachine::PATH));
                if let (IndividualKind::Address, Some(name)) = (wanted.kind, self.interface_name()) {
                    let mut interface = machine;
                    interface.insert("name".to_owned(), json!(name));
                    report.depends("interface", interface, action(VmInterface::PATH));
                }
                if let Some(storage) = &located.storage {
                    let storage = members([("name", json!(storage)), ("cluster_name", json!(cluster))]);
                    report.depends("storage", storage, action(Storage::PATH));
                }
            }
        }
    }

    /// The interface that the request is about.
    fn interface_name(&self) -> Option<&str> {
        self.facts.options.only.named(Part::Interface)
    }
}

/// Everything by which the plugin finds the virtual machine of the object's guest again.
fn machine_members(located: &Located, cluster: &str) -> Map<String, Value> {
    let guest = located.guest;
    members([
        ("vmid", json!(guest.map(|guest| guest.vmid))),
        ("type", json!(guest.map(|guest| guest.kind.as_str()))),
        ("node", json!(located.node)),
        ("cluster_name", json!(cluster)),
    ])
}

fn members<const N: usize>(members: [(&str, Value); N]) -> Map<String, Value> {
    let members = members.into_iter();
    members.map(|(name, value)| (name.to_owned(), value)).collect()
}
