//! Taking back the mark on a virtual machine whose guest has come back.

use std::collections::BTreeSet;

use super::Object;
use super::shape::put;
use super::virtual_machine::{VirtualMachine, VirtualMachineRead};
use crate::reconcile::{Fields, ObjectId, Resource, Stored, Told};

/// A virtual machine with the status and exactly the tags that it should have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revival {
    /// The virtual machine.
    pub machine: ObjectId,
    /// Its name, for reports.
    pub name: String,
    /// Its status; `None` leaves it alone.
    pub status: Option<String>,
    /// Slugs of all its tags.
    pub tags: BTreeSet<String>,
}

impl Revival {
    /// `machine` as it stands.
    pub fn of(machine: &Stored<VirtualMachine>) -> Self {
        Self {
            machine: machine.id,
            name: machine.object.label(),
            status: machine.object.status.clone(),
            tags: machine.object.tags.clone(),
        }
    }
}

impl Resource for Revival {
    const PATH: &'static str = VirtualMachine::PATH;
    const KIND: &'static str = "virtual machine";
    /// Unlike anywhere else a tag is taken away.
    const UNIONS: &'static [&'static str] = &[];
    const TOLD: Option<&'static Told> = VirtualMachine::TOLD;
    type Key = ObjectId;

    fn key(&self) -> ObjectId {
        self.machine
    }

    fn label(&self) -> String {
        self.name.clone()
    }

    fn fields(&self) -> Fields {
        let mut fields = Fields::from([("tags", self.tags.iter().cloned().collect())]);
        put(&mut fields, "status", self.status.clone());
        fields
    }
}

/// A row as NetBox answers it.
#[derive(Debug, serde::Deserialize)]
#[serde(transparent)]
pub struct RevivalRead(VirtualMachineRead);

impl From<RevivalRead> for Stored<Revival> {
    fn from(row: RevivalRead) -> Self {
        let machine: Stored<VirtualMachine> = row.0.into();
        Self {
            id: machine.id,
            object: Revival::of(&machine),
        }
    }
}

impl Object for Revival {
    type Read = RevivalRead;
    const MODEL: &'static str = VirtualMachine::MODEL;
    const READ_FIELDS: &'static [&'static str] = VirtualMachine::READ_FIELDS;
}
