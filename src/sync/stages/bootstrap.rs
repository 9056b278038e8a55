//! The supporting objects, once in a while.

use serde::Serialize;
use serde_json::{Value, json};

use crate::netbox::objects::{PROXBOX_TAG, Tag};
use crate::reconcile::Resource;
use crate::stages::Pass;
use crate::stages::bootstrap::{ClusterTypes, DeviceTypes, Manufacturers, Roles, Tags, VirtualMachineTypes, label};
use crate::sync::error::Error;
use crate::sync::pass::EndpointRun;
use crate::sync::report::{Failure, Outcome, Written};

/// What the latest pass over the supporting objects did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct BootstrapStatus {
    /// Whether every object stands.
    pub ok: bool,
    /// Whether the pass was left out.
    pub skipped: bool,
    /// Why it was left out.
    pub reason: Option<String>,
    /// Objects that could not be written.
    pub warnings: Vec<Value>,
    /// Objects made.
    pub created: Vec<String>,
    /// Objects changed.
    pub patched: Vec<String>,
    /// Objects that were as they should be.
    pub unchanged: Vec<String>,
}

impl BootstrapStatus {
    /// No pass has been made yet.
    pub fn not_run(reason: &str) -> Self {
        Self {
            ok: true,
            skipped: true,
            reason: Some(reason.to_owned()),
            ..Self::default()
        }
    }

    fn miss(&mut self, kind: &str, error: &Error) {
        self.warnings.push(json!({"object": kind, "error": error.to_string()}));
        self.ok = false;
    }

    fn take(&mut self, kind: &str, outcome: &Outcome) {
        let labels = |rows: &[Written]| -> Vec<String> { rows.iter().map(|row| label(kind, &row.key)).collect() };
        self.created.extend(labels(&outcome.created));
        self.patched.extend(labels(&outcome.updated));
        self.unchanged.extend(labels(&outcome.unchanged));
        let failed = outcome.failed.iter();
        self.warnings
            .extend(failed.map(|row| json!({"object": label(kind, &row.key), "error": row.message})));
        self.ok = self.warnings.is_empty();
    }
}

impl EndpointRun<'_> {
    /// Sees to the supporting objects, unless that was done a short while ago.
    pub(in crate::sync) async fn bootstrap(&mut self) -> Result<(), Error> {
        let mode = self.facts.cluster.mode;
        if self.facts.ids.find::<Tag>(PROXBOX_TAG).is_some() {
            return Ok(());
        }
        if let Some(ids) = self.memo.recall(self.netbox, mode) {
            self.facts.ids = ids;
            self.need_supporting();
            return Ok(());
        }
        let mut status = BootstrapStatus {
            ok: true,
            ..BootstrapStatus::default()
        };
        let tags = self.pass::<Tags>().await;
        let has_made = |tags: &Outcome| tags.created.iter().any(|tag| tag.key == PROXBOX_TAG);
        self.facts.known.is_first_run = tags.as_ref().is_ok_and(has_made);
        self.supported::<Tags>(tags, &mut status)?;
        let [cluster_types, manufacturers] = self.try_passes::<ClusterTypes, Manufacturers>().await;
        // Nothing can be done without it.
        let cluster_type = self.supported::<ClusterTypes>(Ok(cluster_types?), &mut status)?;
        self.supported::<Manufacturers>(manufacturers, &mut status)?;
        let (device_types, roles) = if self.version.has_vm_types() {
            // Boxed: whoever awaits this would be as large.
            let passes = Box::pin(self.try_three_passes::<DeviceTypes, Roles, VirtualMachineTypes>());
            let [device_types, roles, machine_types] = passes.await;
            self.supported::<VirtualMachineTypes>(machine_types, &mut status)?;
            (device_types, roles)
        } else {
            self.try_passes::<DeviceTypes, Roles>().await.into()
        };
        self.supported::<DeviceTypes>(device_types, &mut status)?;
        self.supported::<Roles>(roles, &mut status)?;
        if !self.is_dry_run {
            if status.ok {
                self.memo.remember(self.netbox, mode, &self.facts.ids);
            }
            self.memo.report(status);
        }
        // No stage can do without the cluster, nor the cluster without its type: this is the failure to tell, not that
        // of the rows which come to nothing for want of it.
        match cluster_type {
            Some(failure) => Err(Error::Prerequisite {
                what: format!("{} {}", failure.object, failure.label),
                kind: failure.kind,
                message: failure.message,
            }),
            None => Ok(()),
        }
    }

    /// Takes in what came of one kind of supporting objects; answers the first that could not be had. Of a kind that NetBox
    /// does not show, it is up to each object that needs it.
    fn supported<P: Pass>(
        &mut self,
        passed: Result<Outcome, Error>,
        status: &mut BootstrapStatus,
    ) -> Result<Option<Failure>, Error> {
        if let Err(error) = &passed {
            status.miss(P::Object::KIND, error);
        }
        let outcome = self.or_without::<P::Object, _>(passed)?;
        self.warn("bootstrap", &outcome);
        status.take(P::Object::KIND, &outcome);
        Ok(outcome.failed.into_iter().next())
    }
}
