//! Warnings: what went less than well although the run went on.

use std::fmt;

use serde::Serialize;
use serde_json::{Value, json};

use super::report::{Failure, Outcome};
use crate::inventory::{Gap, Vmid};
use crate::reconcile::ObjectId;

/// One warning, as results tell it: a sentence for a person, and what it is about for a program.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Warning {
    /// The whole of it.
    pub message: String,
    /// The virtual machine that it is about.
    #[serde(rename = "netbox_vm_id", skip_serializing_if = "Option::is_none")]
    pub machine: Option<ObjectId>,
    /// The guest that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vmid: Option<Vmid>,
    /// The cluster of that guest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// The row or the source that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Why, without what.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How much of a phase failed.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub shortfall: Option<Shortfall>,
}

/// That a phase could do only a part of what was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Shortfall {
    /// The phase.
    pub phase: &'static str,
    /// How many rows stand as they should.
    pub succeeded: usize,
    /// How many could not be written.
    pub failed: usize,
    /// How many there should be.
    pub requested: usize,
}

impl Warning {
    /// A virtual machine was left out.
    pub(super) fn machine(machine: ObjectId, reason: &str) -> Self {
        Self {
            message: format!("virtual machine {machine}: {reason}"),
            machine: Some(machine),
            reason: Some(reason.to_owned()),
            ..Self::default()
        }
    }

    /// A part of the `noun`s of a phase failed; `None` where none did.
    pub(super) fn shortfall(phase: &'static str, noun: &str, outcome: &Outcome) -> Option<Self> {
        let (succeeded, failed) = (outcome.standing().count(), outcome.failed.len());
        let requested = succeeded + failed;
        (failed > 0).then(|| Self {
            message: format!("{failed} of {requested} {noun} could not be written"),
            shortfall: Some(Shortfall {
                phase,
                succeeded,
                failed,
                requested,
            }),
            ..Self::default()
        })
    }

    /// The same, where it is known which guest of `cluster` it is or claims to be.
    #[must_use]
    pub(super) fn of_guest(mut self, vmid: Vmid, cluster: &str) -> Self {
        self.vmid = Some(vmid);
        self.cluster = Some(cluster.to_owned());
        self
    }

    /// That an endpoint which was asked for is not there.
    pub(super) fn absent(endpoint: i64) -> Self {
        format!("endpoint {endpoint} was left out: there is none with this id that is enabled").into()
    }

    /// The warning with `phase`, where several stages are told of together.
    pub(super) fn in_phase(&self, phase: &str) -> Value {
        let mut value = json!(self);
        if let Some(members) = value.as_object_mut() {
            members.insert("phase".to_owned(), json!(phase));
        }
        value
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl From<String> for Warning {
    fn from(message: String) -> Self {
        Self {
            message,
            ..Self::default()
        }
    }
}

impl From<&Gap> for Warning {
    fn from(gap: &Gap) -> Self {
        Self {
            message: gap.to_string(),
            name: Some(gap.source.clone()),
            reason: Some(gap.message.clone()),
            ..Self::default()
        }
    }
}

impl From<&Failure> for Warning {
    fn from(failure: &Failure) -> Self {
        Self {
            message: format!("{} {}: {}", failure.object, failure.label, failure.message),
            name: Some(failure.label.clone()),
            reason: Some(failure.message.clone()),
            ..Self::default()
        }
    }
}
