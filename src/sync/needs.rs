//! What a run has needed of NetBox, and how much of that its token may not see or write.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use super::pass::EndpointRun;
use super::warning::Warning;
use crate::error::ErrorKind;
use crate::inventory::Gap;
use crate::netbox::objects::{ClusterType, DeviceRole, DeviceType, Manufacturer, Object, Tag, VirtualMachineType};
use crate::netbox::{Action, Rights};
use crate::reconcile::Plan;

const SOURCE: &str = "rights of the NetBox token";

/// The models that a run has read or written.
#[derive(Debug, Default)]
pub(super) struct Needs {
    // A plain mutex, because passes run side by side: held to add one entry, never across an await.
    met: Mutex<BTreeSet<(&'static str, Action)>>,
}

impl Needs {
    /// Takes down that rows of `model` are read.
    pub(super) fn view(&self, model: &'static str) {
        self.add(model, Action::View);
    }

    /// Takes down what `plan` writes.
    pub(super) fn write<R: Object>(&self, plan: &Plan) {
        let writes = [
            (Action::Add, plan.create.is_empty()),
            (Action::Change, plan.update.is_empty()),
            (Action::Delete, plan.delete.is_empty()),
        ];
        for (action, _) in writes.into_iter().filter(|(_, is_empty)| !is_empty) {
            self.add(R::MODEL, action);
        }
    }

    fn add(&self, model: &'static str, action: Action) {
        let mut met = self.met.lock().unwrap_or_else(PoisonError::into_inner);
        met.insert((model, action));
    }

    /// What `rights` keep from the run; `None` where that is nothing.
    fn gap(&self, rights: &Rights) -> Option<Gap> {
        let met = self.met.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = met
            .iter()
            .filter(|(model, action)| rights.is_constrained(model, *action));
        let (hidden, guarded): (Vec<_>, Vec<_>) = kept.partition(|(_, action)| *action == Action::View);
        let names = |kept: Vec<&(&'static str, Action)>| {
            let models: BTreeSet<&str> = kept.into_iter().map(|(model, _)| *model).collect();
            models.into_iter().collect::<Vec<_>>().join(", ")
        };
        let (hidden, guarded) = (names(hidden), names(guarded));
        let mut parts = Vec::new();
        if !hidden.is_empty() {
            parts.push(format!(
                "its permissions for {hidden} have constraints, and rows that it may not see are taken for missing"
            ));
        }
        if !guarded.is_empty() {
            parts.push(format!(
                "it may write some rows of {guarded} only, and NetBox refuses the others"
            ));
        }
        (!parts.is_empty()).then(|| Gap {
            source: SOURCE.to_owned(),
            kind: ErrorKind::Permission,
            message: parts.join("; "),
        })
    }
}

impl EndpointRun<'_> {
    /// Takes down that the supporting objects are needed, also where an earlier run has read them.
    pub(super) fn need_supporting(&self) {
        for model in [
            Tag::MODEL,
            ClusterType::MODEL,
            Manufacturer::MODEL,
            DeviceType::MODEL,
            DeviceRole::MODEL,
            VirtualMachineType::MODEL,
        ] {
            self.needs.view(model);
        }
    }

    /// Warns where constraints hide rows that the run has needed. What is hidden cannot be deleted; what NetBox would take a
    /// second time is not made where the token may not see what it makes.
    pub(super) async fn tell_constraints(&mut self) {
        let rights = self.cancel.run_until_cancelled(self.netbox.rights()).await;
        if let Some(gap) = rights.and_then(|rights| self.needs.gap(&rights)) {
            self.progress.gap(self.stage.as_str(), &gap);
            self.warnings.push(Warning::from(&gap));
        }
    }
}
