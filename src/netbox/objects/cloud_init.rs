//! The plugin's reflection of a virtual machine's cloud-init settings.

use serde::Deserialize;
use serde_json::Value;

use super::Object;
use super::shape::{Nested, put};
use crate::reconcile::{Fields, ObjectId, Resource, Stored};

/// The cloud-init settings of a virtual machine. What an operator intends stands in other columns of the row, which are
/// never touched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloudInit {
    /// The virtual machine.
    pub virtual_machine: ObjectId,
    /// The user, at most 64 characters.
    pub user: Option<String>,
    /// Public keys, one a line.
    pub ssh_keys: Option<String>,
    /// Addresses of the first interface, at most 255 characters.
    pub ip_config: Option<String>,
    /// Whether the keys were cut to fit.
    pub is_cut: Option<bool>,
}

impl Resource for CloudInit {
    const PATH: &'static str = "/api/plugins/proxbox/vm-cloudinit/";
    const KIND: &'static str = "cloud-init row";
    type Key = ObjectId;

    fn key(&self) -> ObjectId {
        self.virtual_machine
    }

    fn fields(&self) -> Fields {
        let mut fields = Fields::from([("virtual_machine", self.virtual_machine.0.into())]);
        put(&mut fields, "ciuser", self.user.clone());
        put(&mut fields, "sshkeys", self.ssh_keys.clone());
        put(&mut fields, "ipconfig0", self.ip_config.clone());
        put(&mut fields, "sshkeys_truncated", self.is_cut);
        fields
    }

    /// NetBox does not keep white space around texts.
    fn is_same(_: &str, before: &Value, after: &Value) -> bool {
        match (before.as_str(), after.as_str()) {
            (Some(before), Some(after)) => before.trim() == after.trim(),
            _ => before == after,
        }
    }
}

/// A row as the plugin answers it.
#[derive(Debug, Deserialize)]
pub struct CloudInitRead {
    id: ObjectId,
    virtual_machine: Nested,
    ciuser: Option<String>,
    sshkeys: Option<String>,
    ipconfig0: Option<String>,
    sshkeys_truncated: Option<bool>,
}

impl From<CloudInitRead> for Stored<CloudInit> {
    fn from(row: CloudInitRead) -> Self {
        let object = CloudInit {
            virtual_machine: row.virtual_machine.id,
            user: row.ciuser,
            ssh_keys: row.sshkeys,
            ip_config: row.ipconfig0,
            is_cut: row.sshkeys_truncated,
        };
        Self { id: row.id, object }
    }
}

impl Object for CloudInit {
    type Read = CloudInitRead;
    const MODEL: &'static str = "netbox_proxbox.proxmoxvmcloudinit";
    const READ_FIELDS: &'static [&'static str] = &[
        "id",
        "virtual_machine",
        "ciuser",
        "sshkeys",
        "ipconfig0",
        "sshkeys_truncated",
    ];
}
