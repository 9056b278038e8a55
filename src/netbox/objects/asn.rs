//! Autonomous systems; read only.

use serde::Deserialize;

use super::Object;
use crate::reconcile::{Fields, ObjectId, Resource, Stored};

/// An autonomous system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asn {
    /// Its number.
    pub asn: u32,
}

impl Resource for Asn {
    const PATH: &'static str = "/api/ipam/asns/";
    const KIND: &'static str = "ASN";
    type Key = u32;

    fn key(&self) -> u32 {
        self.asn
    }

    fn fields(&self) -> Fields {
        Fields::from([("asn", self.asn.into())])
    }
}

/// A row as NetBox answers it.
#[derive(Debug, Deserialize)]
pub struct AsnRead {
    id: ObjectId,
    asn: u32,
}

impl From<AsnRead> for Stored<Asn> {
    fn from(row: AsnRead) -> Self {
        Self {
            id: row.id,
            object: Asn { asn: row.asn },
        }
    }
}

impl Object for Asn {
    type Read = AsnRead;
    const MODEL: &'static str = "ipam.asn";
    const READ_FIELDS: &'static [&'static str] = &["id", "asn"];
}
