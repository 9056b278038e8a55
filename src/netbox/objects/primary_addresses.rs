//! The primary addresses of a virtual machine.

use serde::Deserialize;

use super::Object;
use super::shape::{Nested, Said, id, put_said_id};
use super::virtual_machine::VirtualMachine;
use crate::reconcile::{Fields, ObjectId, Resource, Stored, Told};

/// A virtual machine with nothing but its primary addresses, each of which is on one of its interfaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrimaryAddresses {
    /// The virtual machine.
    pub machine: ObjectId,
    /// Its name, for reports.
    pub name: String,
    /// The primary IPv4 address.
    pub ip4: Said<ObjectId>,
    /// The primary IPv6 address.
    pub ip6: Said<ObjectId>,
}

impl Resource for PrimaryAddresses {
    const PATH: &'static str = VirtualMachine::PATH;
    const KIND: &'static str = "primary address";
    const TOLD: Option<&'static Told> = VirtualMachine::TOLD;
    type Key = ObjectId;

    fn key(&self) -> ObjectId {
        self.machine
    }

    fn label(&self) -> String {
        self.name.clone()
    }

    fn fields(&self) -> Fields {
        let mut fields = Fields::new();
        put_said_id(&mut fields, "primary_ip4", self.ip4);
        put_said_id(&mut fields, "primary_ip6", self.ip6);
        fields
    }
}

/// A row as NetBox answers it.
#[derive(Debug, Deserialize)]
pub struct PrimaryAddressesRead {
    id: ObjectId,
    name: String,
    primary_ip4: Option<Nested>,
    primary_ip6: Option<Nested>,
}

impl From<PrimaryAddressesRead> for Stored<PrimaryAddresses> {
    fn from(row: PrimaryAddressesRead) -> Self {
        let object = PrimaryAddresses {
            machine: row.id,
            name: row.name,
            ip4: id(row.primary_ip4).into(),
            ip6: id(row.primary_ip6).into(),
        };
        Self { id: row.id, object }
    }
}

impl Object for PrimaryAddresses {
    type Read = PrimaryAddressesRead;
    const MODEL: &'static str = VirtualMachine::MODEL;
    const READ_FIELDS: &'static [&'static str] = &["id", "name", "primary_ip4", "primary_ip6"];
}
