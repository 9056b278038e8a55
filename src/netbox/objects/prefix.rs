//! Prefixes.

use serde::Deserialize;

use super::Object;
use super::shape::{Choice, Nested, id};
use crate::reconcile::{Fields, ObjectId, Resource, Stored};

/// A network of addresses. Outside of VRFs NetBox may allow each once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefix {
    /// The network in its canonical form.
    pub prefix: String,
    /// Its VRF; one without is in the global table.
    pub vrf: Option<ObjectId>,
    /// Its status word.
    pub status: String,
    /// At most 200 characters.
    pub description: String,
}

impl Resource for Prefix {
    const PATH: &'static str = "/api/ipam/prefixes/";
    const KIND: &'static str = "prefix";
    const IS_UNIQUE: bool = false;
    type Key = String;

    fn key(&self) -> String {
        self.prefix.clone()
    }

    fn fields(&self) -> Fields {
        Fields::from([
            ("prefix", self.prefix.clone().into()),
            ("status", self.status.clone().into()),
            ("description", self.description.clone().into()),
        ])
    }
}

/// A row as NetBox answers it.
#[derive(Debug, Deserialize)]
pub struct PrefixRead {
    id: ObjectId,
    prefix: String,
    vrf: Option<Nested>,
    status: Choice,
    description: String,
}

impl From<PrefixRead> for Stored<Prefix> {
    fn from(row: PrefixRead) -> Self {
        let object = Prefix {
            prefix: row.prefix,
            vrf: id(row.vrf),
            status: row.status.value,
            description: row.description,
        };
        Self { id: row.id, object }
    }
}

impl Object for Prefix {
    type Read = PrefixRead;
    const MODEL: &'static str = "ipam.prefix";
    const READ_FIELDS: &'static [&'static str] = &["id", "prefix", "vrf", "status", "description"];
}
