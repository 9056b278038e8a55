//! Backups: the plugin's row of a backup of a guest.

use serde::Deserialize;
use serde_json::Value;

use super::Object;
use super::shape::{Choice, Nested, id, is_same_instant, put, put_id, put_or_null};
use crate::reconcile::{Fields, ObjectId, Resource, Stored};

/// A backup of a virtual machine's guest. Its tags are the operators' own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backup {
    /// The virtual machine.
    pub virtual_machine: ObjectId,
    /// The volume's id in Proxmox; rows that others made may have none.
    pub volume_id: Option<String>,
    /// The storage's name in Proxmox.
    pub storage: Option<String>,
    /// The plugin's row of the storage.
    pub proxmox_storage: Option<ObjectId>,
    /// The guest's kind: `qemu`, `lxc` or `undefined`.
    pub subtype: Option<String>,
    /// `pbs-vm`, `tzst`, `undefined` and so on.
    pub format: Option<String>,
    /// When it was made, ISO 8601 in UTC.
    pub creation_time: Option<String>,
    /// Its size in bytes.
    pub size: Option<i64>,
    /// How many bytes of it are in use.
    pub used: Option<i64>,
    /// The fingerprint of the key it is encrypted with, or `1`.
    pub encrypted: Option<String>,
    /// How its last verification went: `ok`, `failed` or `none`.
    pub verification_state: Option<String>,
    /// The task that verified it.
    pub verification_upid: Option<String>,
    /// The first line of its notes.
    pub notes: Option<String>,
    /// The guest's number.
    pub vmid: Option<u32>,
}

impl Backup {
    /// The backup `volume_id` of `virtual_machine`, of which nothing more is said.
    pub fn of(virtual_machine: ObjectId, volume_id: &str) -> Self {
        Self {
            virtual_machine,
            volume_id: Some(volume_id.to_owned()),
            storage: None,
            proxmox_storage: None,
            subtype: None,
            format: None,
            creation_time: None,
            size: None,
            used: None,
            encrypted: None,
            verification_state: None,
            verification_upid: None,
            notes: None,
            vmid: None,
        }
    }
}

impl Resource for Backup {
    const PATH: &'static str = "/api/plugins/proxbox/backups/";
    const KIND: &'static str = "backup";
    const ROW_MILLIS: u32 = 12;
    type Key = String;

    fn key(&self) -> String {
        format!("{}/{}", self.virtual_machine, self.label())
    }

    fn label(&self) -> String {
        self.volume_id.clone().unwrap_or_default()
    }

    fn fields(&self) -> Fields {
        let mut fields = Fields::from([("virtual_machine", self.virtual_machine.0.into())]);
        put(&mut fields, "volume_id", self.volume_id.clone());
        put(&mut fields, "storage", self.storage.clone());
        put_id(&mut fields, "proxmox_storage", self.proxmox_storage);
        put(&mut fields, "subtype", self.subtype.clone());
        put(&mut fields, "format", self.format.clone());
        put_or_null(&mut fields, "creation_time", self.creation_time.clone());
        put(&mut fields, "size", self.size);
        put_or_null(&mut fields, "used", self.used);
        fields.insert("encrypted", self.encrypted.clone().unwrap_or_default().into());
        put_or_null(&mut fields, "verification_state", self.verification_state.clone());
        put_or_null(&mut fields, "verification_upid", self.verification_upid.clone());
        put_or_null(&mut fields, "notes", self.notes.clone());
        put(&mut fields, "vmid", self.vmid);
        fields
    }

    fn is_same(field: &str, before: &Value, after: &Value) -> bool {
        before == after || (field == "creation_time" && is_same_instant(before, after))
    }
}

/// A row as the plugin answers it.
#[derive(Debug, Deserialize)]
pub struct BackupRead {
    id: ObjectId,
    virtual_machine: Nested,
    volume_id: Option<String>,
    storage: Option<String>,
    proxmox_storage: Option<Nested>,
    subtype: Option<Choice>,
    format: Option<Choice>,
    creation_time: Option<String>,
    size: Option<i64>,
    used: Option<i64>,
    encrypted: Option<String>,
    verification_state: Option<String>,
    verification_upid: Option<String>,
    notes: Option<String>,
    vmid: Option<u32>,
}

impl From<BackupRead> for Stored<Backup> {
    fn from(row: BackupRead) -> Self {
        let object = Backup {
            virtual_machine: row.virtual_machine.id,
            volume_id: row.volume_id.filter(|volume_id| !volume_id.is_empty()),
            storage: row.storage,
            proxmox_storage: id(row.proxmox_storage),
            subtype: row.subtype.map(|subtype| subtype.value),
            format: row.format.map(|format| format.value),
            creation_time: row.creation_time,
            size: row.size,
            used: row.used,
            encrypted: row.encrypted,
            verification_state: row.verification_state,
            verification_upid: row.verification_upid,
            notes: row.notes,
            vmid: row.vmid,
        };
        Self { id: row.id, object }
    }
}

impl Object for Backup {
    type Read = BackupRead;
    const MODEL: &'static str = "netbox_proxbox.vmbackup";
    const READ_FIELDS: &'static [&'static str] = &[
        "id",
        "virtual_machine",
        "volume_id",
        "storage",
        "proxmox_storage",
        "subtype",
        "format",
        "creation_time",
        "size",
        "used",
        "encrypted",
        "verification_state",
        "verification_upid",
        "notes",
        "vmid",
    ];
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn row_of_the_plugin_decodes_into_the_object_it_was_made_from() {
        let row = json!({
            "id": 1, "proxmox_storage": {"id": 4, "name": "nfs-bulk"}, "virtual_machine": {"id": 1, "name": "db-500"},
            "storage": "nfs-bulk", "subtype": {"value": "qemu", "label": "QEMU"},
            "format": {"value": "tzst", "label": "tzst"}, "creation_time": "2026-11-16T10:58:20Z", "size": 10_379_504_298_i64,
            "notes": "db-500", "volume_id": "nfs-bulk:backup/vzdump-qemu-500.vma.zst", "vmid": 500, "used": null,
            "encrypted": "", "verification_state": null, "verification_upid": null, "tags": []
        });
        let stored: Stored<Backup> = serde_json::from_value::<BackupRead>(row).unwrap().into();
        let expected = json!({
            "virtual_machine": 1, "volume_id": "nfs-bulk:backup/vzdump-qemu-500.vma.zst", "storage": "nfs-bulk",
            "proxmox_storage": 4, "subtype": "qemu", "format": "tzst", "creation_time": "2026-11-16T10:58:20Z",
            "size": 10_379_504_298_i64, "used": null, "encrypted": "", "verification_state": null,
            "verification_upid": null, "notes": "db-500", "vmid": 500
        });
        assert_eq!((stored.id, json!(stored.object.fields())), (ObjectId(1), expected));
    }
}
