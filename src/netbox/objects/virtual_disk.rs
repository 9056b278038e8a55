//! Virtual disks, and the plugin's sync-state row beside each.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::Value;

use super::Object;
use super::shape::{Nested, Tagged, id, put, put_id, put_tags, slugs};
use crate::reconcile::{Fields, ObjectId, Resource, SideBySide, Stored};

/// A disk of a virtual machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VirtualDisk {
    /// The virtual machine that it belongs to.
    pub virtual_machine: ObjectId,
    /// The virtual machine's name, for reports.
    pub machine_name: Option<String>,
    /// Its name, unique in its virtual machine.
    pub name: String,
    /// Its size in MiB.
    pub size: Option<u64>,
    /// At most 200 characters.
    pub description: Option<String>,
    /// Slugs of its tags.
    pub tags: BTreeSet<String>,
}

impl VirtualDisk {
    /// The key of the disk `name` of `virtual_machine`.
    pub fn key_of(virtual_machine: ObjectId, name: &str) -> String {
        format!("{virtual_machine}/{name}")
    }
}

impl Resource for VirtualDisk {
    const PATH: &'static str = "/api/virtualization/virtual-disks/";
    const KIND: &'static str = "virtual disk";
    /// NetBox sums up the disks of a virtual machine after each write; sums that are made side by side lose disks.
    const SIDE_BY_SIDE: SideBySide = SideBySide::OfOtherParents;
    const ROW_MILLIS: u32 = 25;
    type Key = String;

    fn key(&self) -> String {
        Self::key_of(self.virtual_machine, &self.name)
    }

    fn label(&self) -> String {
        match &self.machine_name {
            Some(machine) => format!("{machine}/{}", self.name),
            None => self.key(),
        }
    }

    fn fields(&self) -> Fields {
        let mut fields = Fields::from([
            ("virtual_machine", self.virtual_machine.0.into()),
            ("name", self.name.clone().into()),
        ]);
        put(&mut fields, "size", self.size);
        put(&mut fields, "description", self.description.clone());
        put_tags(&mut fields, &self.tags);
        fields
    }
}

/// A row as NetBox answers it.
#[derive(Debug, Deserialize)]
pub struct VirtualDiskRead {
    id: ObjectId,
    virtual_machine: Machine,
    name: String,
    size: u64,
    description: String,
    tags: Vec<Tagged>,
}

#[derive(Debug, Deserialize)]
struct Machine {
    id: ObjectId,
    name: String,
}

impl From<VirtualDiskRead> for Stored<VirtualDisk> {
    fn from(row: VirtualDiskRead) -> Self {
        let object = VirtualDisk {
            virtual_machine: row.virtual_machine.id,
            machine_name: Some(row.virtual_machine.name),
            name: row.name,
            size: Some(row.size),
            description: Some(row.description),
            tags: slugs(row.tags),
        };
        Self { id: row.id, object }
    }
}

impl Object for VirtualDisk {
    type Read = VirtualDiskRead;
    const MODEL: &'static str = "virtualization.virtualdisk";
    const READ_FIELDS: &'static [&'static str] = &["id", "virtual_machine", "name", "size", "description", "tags"];
}

/// The sync-state row of a virtual disk: which storage it is on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VirtualDiskState {
    /// The disk that the row belongs to.
    pub virtual_disk: ObjectId,
    /// The disk's name, for reports.
    pub disk_name: Option<String>,
    /// The plugin's row of the storage. Said, it takes the place of what older releases kept as number and text.
    pub storage: Option<ObjectId>,
    legacy: Legacy,
}

/// Columns in which older releases kept the storage.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Legacy {
    id: Option<i64>,
    text: String,
}

impl VirtualDiskState {
    /// The row of `virtual_disk`, called `disk_name`, which is on `storage`.
    pub fn on(storage: ObjectId, virtual_disk: ObjectId, disk_name: String) -> Self {
        Self {
            virtual_disk,
            disk_name: Some(disk_name),
            storage: Some(storage),
            legacy: Legacy::default(),
        }
    }
}

impl Resource for VirtualDiskState {
    const PATH: &'static str = "/api/plugins/proxbox/sync-state/virtual-disks/";
    const KIND: &'static str = "virtual disk sync state";
    const ROW_MILLIS: u32 = 9;
    type Key = ObjectId;

    fn key(&self) -> ObjectId {
        self.virtual_disk
    }

    fn label(&self) -> String {
        self.disk_name.clone().unwrap_or_else(|| self.virtual_disk.to_string())
    }

    fn fields(&self) -> Fields {
        let mut fields = Fields::from([
            ("virtual_disk", self.virtual_disk.0.into()),
            (
                "proxbox_storage_raw_id",
                self.legacy.id.map_or(Value::Null, Value::from),
            ),
            ("proxbox_storage_raw_value", self.legacy.text.clone().into()),
        ]);
        put_id(&mut fields, "proxbox_storage", self.storage);
        fields
    }
}

/// A row as the plugin answers it.
#[derive(Debug, Deserialize)]
pub struct VirtualDiskStateRead {
    id: ObjectId,
    virtual_disk: Nested,
    proxbox_storage: Option<Nested>,
    proxbox_storage_raw_id: Option<i64>,
    proxbox_storage_raw_value: String,
}

impl From<VirtualDiskStateRead> for Stored<VirtualDiskState> {
    fn from(row: VirtualDiskStateRead) -> Self {
        let object = VirtualDiskState {
            virtual_disk: row.virtual_disk.id,
            disk_name: None,
            storage: id(row.proxbox_storage),
            legacy: Legacy {
                id: row.proxbox_storage_raw_id,
                text: row.proxbox_storage_raw_value,
            },
        };
        Self { id: row.id, object }
    }
}

impl Object for VirtualDiskState {
    type Read = VirtualDiskStateRead;
    const MODEL: &'static str = "netbox_proxbox.proxboxvirtualdisksyncstate";
    const READ_FIELDS: &'static [&'static str] = &[
        "id",
        "virtual_disk",
        "proxbox_storage",
        "proxbox_storage_raw_id",
        "proxbox_storage_raw_value",
    ];
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn row_of_netbox_decodes_into_the_object_it_was_made_from() {
        let row = json!({
            "id": 18, "virtual_machine": {"id": 4, "name": "auth-503"}, "name": "scsi0", "size": 8192,
            "description": "Storage: local-lvm", "tags": [{"id": 1, "slug": "proxbox"}]
        });
        let stored: Stored<VirtualDisk> = serde_json::from_value::<VirtualDiskRead>(row).unwrap().into();
        assert_eq!(
            (stored.id, stored.object.label()),
            (ObjectId(18), "auth-503/scsi0".to_owned())
        );
        let expected = json!({
            "virtual_machine": 4, "name": "scsi0", "size": 8192, "description": "Storage: local-lvm",
            "tags": ["proxbox"]
        });
        assert_eq!(json!(stored.object.fields()), expected);
    }

    #[test]
    fn sync_state_on_a_storage_clears_what_older_releases_kept() {
        let wanted = VirtualDiskState::on(ObjectId(2), ObjectId(18), "scsi0".to_owned());
        let expected = json!({
            "virtual_disk": 18, "proxbox_storage": 2, "proxbox_storage_raw_id": null, "proxbox_storage_raw_value": ""
        });
        assert_eq!(json!(wanted.fields()), expected);
        let row = json!({
            "id": 1, "virtual_disk": {"id": 18, "name": "scsi0"}, "proxbox_storage": null,
            "proxbox_storage_raw_id": 7, "proxbox_storage_raw_value": "local-lvm"
        });
        let stored: Stored<VirtualDiskState> = serde_json::from_value::<VirtualDiskStateRead>(row).unwrap().into();
        let expected = json!({
            "virtual_disk": 18, "proxbox_storage_raw_id": 7, "proxbox_storage_raw_value": "local-lvm"
        });
        assert_eq!(json!(stored.object.fields()), expected);
    }
}
