//! MAC addresses.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::Object;
use super::assignment::{Assignment, assigned_key, put_assignment};
use super::shape::{Tagged, put_tags, slugs};
use crate::reconcile::{Fields, ObjectId, Resource, Stored};

/// A MAC address. NetBox takes the same one any number of times, even on one interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MacAddress {
    /// The address in NetBox's form: `BC:24:11:00:00:01`.
    pub mac_address: String,
    /// The interface that has it.
    pub assigned: Option<Assignment>,
    /// Slugs of its tags.
    pub tags: BTreeSet<String>,
}

impl Resource for MacAddress {
    const PATH: &'static str = "/api/dcim/mac-addresses/";
    const KIND: &'static str = "MAC address";
    const IS_UNIQUE: bool = false;
    const ROW_MILLIS: u32 = 28;
    type Key = String;

    fn key(&self) -> String {
        assigned_key(&self.mac_address, self.assigned.as_ref())
    }

    fn label(&self) -> String {
        self.mac_address.clone()
    }

    fn fields(&self) -> Fields {
        let mut fields = Fields::from([("mac_address", self.mac_address.clone().into())]);
        put_assignment(&mut fields, self.assigned.as_ref());
        put_tags(&mut fields, &self.tags);
        fields
    }
}

/// A row as NetBox answers it.
#[derive(Debug, Deserialize)]
pub struct MacAddressRead {
    id: ObjectId,
    mac_address: String,
    assigned_object_type: Option<String>,
    assigned_object_id: Option<ObjectId>,
    tags: Vec<Tagged>,
}

impl From<MacAddressRead> for Stored<MacAddress> {
    fn from(row: MacAddressRead) -> Self {
        let object = MacAddress {
            mac_address: row.mac_address,
            assigned: Assignment::of(row.assigned_object_type, row.assigned_object_id),
            tags: slugs(row.tags),
        };
        Self { id: row.id, object }
    }
}

impl Object for MacAddress {
    type Read = MacAddressRead;
    const MODEL: &'static str = "dcim.macaddress";
    const READ_FIELDS: &'static [&'static str] = &[
        "id",
        "mac_address",
        "assigned_object_type",
        "assigned_object_id",
        "tags",
    ];
}
