//! Snapshots: the plugin's row of a snapshot of a guest.

use serde::Deserialize;
use serde_json::Value;

use super::Object;
use super::shape::{Choice, Nested, is_same_instant, put};
use crate::reconcile::{Fields, ObjectId, Resource, Stored};

/// A snapshot of a virtual machine's guest. In all of NetBox there is one per guest number, name and node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The virtual machine.
    pub virtual_machine: ObjectId,
    /// The guest's number.
    pub vmid: u32,
    /// Its name.
    pub name: String,
    /// The node that the guest is on.
    pub node: String,
    /// What the operator wrote about it.
    pub description: String,
    /// When it was taken, ISO 8601 in UTC.
    pub snaptime: Option<String>,
    /// The snapshot it was taken after; `None` for the first.
    pub parent: Option<String>,
    /// The guest's kind: `qemu` or `lxc`.
    pub subtype: String,
    /// `active` or `stale`.
    pub status: String,
}

impl Resource for Snapshot {
    const PATH: &'static str = "/api/plugins/proxbox/snapshots/";
    const KIND: &'static str = "snapshot";
    const ROW_MILLIS: u32 = 9;
    type Key = String;

    fn key(&self) -> String {
        format!("{}/{}/{}/{}", self.virtual_machine, self.vmid, self.node, self.name)
    }

    fn label(&self) -> String {
        format!("{} of guest {}", self.name, self.vmid)
    }

    fn fields(&self) -> Fields {
        let mut fields = Fields::from([
            ("virtual_machine", self.virtual_machine.0.into()),
            ("vmid", self.vmid.into()),
            ("name", self.name.clone().into()),
            ("node", self.node.clone().into()),
            ("description", self.description.clone().into()),
            ("parent", self.parent.clone().into()),
            ("subtype", self.subtype.clone().into()),
            ("status", self.status.clone().into()),
        ]);
        put(&mut fields, "snaptime", self.snaptime.clone());
        fields
    }

    fn is_same(field: &str, before: &Value, after: &Value) -> bool {
        before == after || (field == "snaptime" && is_same_instant(before, after))
    }
}

/// A row as the plugin answers it.
#[derive(Debug, Deserialize)]
pub struct SnapshotRead {
    id: ObjectId,
    virtual_machine: Nested,
    vmid: u32,
    name: String,
    node: String,
    description: Option<String>,
    snaptime: Option<String>,
    parent: Option<String>,
    subtype: Option<Choice>,
    status: Option<Choice>,
}

impl From<SnapshotRead> for Stored<Snapshot> {
    fn from(row: SnapshotRead) -> Self {
        let word = |choice: Option<Choice>| choice.map(|choice| choice.value).unwrap_or_default();
        let object = Snapshot {
            virtual_machine: row.virtual_machine.id,
            vmid: row.vmid,
            name: row.name,
            node: row.node,
            description: row.description.unwrap_or_default(),
            snaptime: row.snaptime,
            parent: row.parent.filter(|parent| !parent.is_empty()),
            subtype: word(row.subtype),
            status: word(row.status),
        };
        Self { id: row.id, object }
    }
}

impl Object for Snapshot {
    type Read = SnapshotRead;
    const MODEL: &'static str = "netbox_proxbox.vmsnapshot";
    const READ_FIELDS: &'static [&'static str] = &[
        "id",
        "virtual_machine",
        "vmid",
        "name",
        "node",
        "description",
        "snaptime",
        "parent",
        "subtype",
        "status",
    ];
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn row_of_the_plugin_decodes_into_the_object_it_was_made_from() {
        let row = json!({
            "id": 3, "proxmox_storage": null, "virtual_machine": {"id": 9, "name": "auth-508"}, "name": "snap1",
            "description": "before change 1", "vmid": 508, "node": "alpha-pve2", "snaptime": "2026-11-09T10:58:12Z",
            "parent": "snap0", "subtype": {"value": "lxc", "label": "LXC"},
            "status": {"value": "active", "label": "Active"}, "tags": []
        });
        let stored: Stored<Snapshot> = serde_json::from_value::<SnapshotRead>(row).unwrap().into();
        let expected = json!({
            "virtual_machine": 9, "vmid": 508, "name": "snap1", "node": "alpha-pve2", "description": "before change 1",
            "snaptime": "2026-11-09T10:58:12Z", "parent": "snap0", "subtype": "lxc", "status": "active"
        });
        assert_eq!((stored.id, json!(stored.object.fields())), (ObjectId(3), expected));
    }
}
