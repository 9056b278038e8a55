//! The plugin's sync-state row beside each virtual machine: which guest of which endpoint it stands for.

use serde::Deserialize;

use super::Object;
use super::shape::{Nested, Said, id, put, put_id, put_said_id};
use crate::reconcile::{Fields, ObjectId, Resource, Stored};

/// The sync-state row of a virtual machine. Texts are empty where nothing is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VirtualMachineState {
    /// The virtual machine that the row belongs to.
    pub virtual_machine: ObjectId,
    /// The plugin's row of the node; binds the row's `endpoint`.
    pub proxmox_node: Said<ObjectId>,
    /// The plugin's row of the cluster; binds the row's `endpoint`.
    pub proxmox_cluster: Option<ObjectId>,
    /// The node's name in Proxmox.
    pub node_name: Option<String>,
    /// The cluster's name in Proxmox.
    pub cluster_name: Option<String>,
    /// The id of the endpoint that owns the guest, in this service's own table.
    pub endpoint_raw_id: Option<i64>,
    /// The guest's number.
    pub vmid: Option<u32>,
    /// The guest's kind: `qemu` or `lxc`.
    pub kind: Option<String>,
    /// The guest's name in Proxmox when it was last written.
    pub name: Option<String>,
    /// The role that this service wrote last.
    pub last_synced_role: Option<ObjectId>,
    /// Whether the guest starts with its node.
    pub starts_at_boot: Option<bool>,
    /// Whether the container is unprivileged.
    pub is_unprivileged: Option<bool>,
    /// Whether the guest agent is switched on.
    pub has_agent: Option<bool>,
    /// The search domain.
    pub search_domain: Option<String>,
    /// The page of the guest in Proxmox.
    pub link: Option<String>,
    /// The status word of Proxmox.
    pub status: Option<String>,
    /// When the row was last written, ISO 8601 in UTC.
    pub last_updated: Option<String>,
    /// The run that last wrote the row.
    pub last_run: Option<String>,
}

impl VirtualMachineState {
    /// A row that says nothing yet.
    pub fn of(virtual_machine: ObjectId) -> Self {
        Self {
            virtual_machine,
            proxmox_node: Said::Nothing,
            proxmox_cluster: None,
            node_name: None,
            cluster_name: None,
            endpoint_raw_id: None,
            vmid: None,
            kind: None,
            name: None,
            last_synced_role: None,
            starts_at_boot: None,
            is_unprivileged: None,
            has_agent: None,
            search_domain: None,
            link: None,
            status: None,
            last_updated: None,
            last_run: None,
        }
    }
}

impl Resource for VirtualMachineState {
    const PATH: &'static str = "/api/plugins/proxbox/sync-state/virtual-machines/";
    const KIND: &'static str = "virtual machine sync state";
    const ROW_MILLIS: u32 = 22;
    type Key = ObjectId;

    fn key(&self) -> ObjectId {
        self.virtual_machine
    }

    fn label(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.virtual_machine.to_string())
    }

    fn fields(&self) -> Fields {
        let mut fields = Fields::from([("virtual_machine", self.virtual_machine.0.into())]);
        put_said_id(&mut fields, "proxmox_node", self.proxmox_node);
        put_id(&mut fields, "proxmox_cluster", self.proxmox_cluster);
        put(&mut fields, "proxmox_node_name", self.node_name.clone());
        put(&mut fields, "proxmox_cluster_name", self.cluster_name.clone());
        put(&mut fields, "proxmox_endpoint_raw_id", self.endpoint_raw_id);
        put(&mut fields, "proxmox_vm_id", self.vmid);
        put(&mut fields, "proxmox_vm_type", self.kind.clone());
        put(&mut fields, "proxmox_vm_name", self.name.clone());
        put_id(&mut fields, "proxmox_last_synced_role_id", self.last_synced_role);
        put(&mut fields, "proxmox_start_at_boot", self.starts_at_boot);
        put(&mut fields, "proxmox_unprivileged_container", self.is_unprivileged);
        put(&mut fields, "proxmox_qemu_agent", self.has_agent);
        put(&mut fields, "proxmox_search_domain", self.search_domain.clone());
        put(&mut fields, "proxmox_link", self.link.clone());
        put(&mut fields, "proxmox_status", self.status.clone());
        put(&mut fields, "proxmox_last_updated", self.last_updated.clone());
        put(&mut fields, "last_run_id", self.last_run.clone());
        fields
    }
}

/// A row as the plugin answers it.
#[derive(Debug, Deserialize)]
pub struct VirtualMachineStateRead {
    id: ObjectId,
    virtual_machine: Nested,
    proxmox_node: Option<Nested>,
    proxmox_cluster: Option<Nested>,
    proxmox_node_name: String,
    proxmox_cluster_name: String,
    proxmox_endpoint_raw_id: Option<i64>,
    proxmox_vm_id: Option<u32>,
    proxmox_vm_type: String,
    proxmox_vm_name: String,
    proxmox_last_synced_role_id: Option<ObjectId>,
    proxmox_start_at_boot: Option<bool>,
    proxmox_unprivileged_container: Option<bool>,
    proxmox_qemu_agent: Option<bool>,
    proxmox_search_domain: String,
    proxmox_link: String,
    proxmox_status: String,
    proxmox_last_updated: Option<String>,
    last_run_id: String,
}

impl From<VirtualMachineStateRead> for Stored<VirtualMachineState> {
    fn from(row: VirtualMachineStateRead) -> Self {
        let object = VirtualMachineState {
            virtual_machine: row.virtual_machine.id,
            proxmox_node: id(row.proxmox_node).into(),
            proxmox_cluster: id(row.proxmox_cluster),
            node_name: Some(row.proxmox_node_name),
            cluster_name: Some(row.proxmox_cluster_name),
            endpoint_raw_id: row.proxmox_endpoint_raw_id,
            vmid: row.proxmox_vm_id,
            kind: Some(row.proxmox_vm_type),
            name: Some(row.proxmox_vm_name),
            last_synced_role: row.proxmox_last_synced_role_id,
            starts_at_boot: row.proxmox_start_at_boot,
            is_unprivileged: row.proxmox_unprivileged_container,
            has_agent: row.proxmox_qemu_agent,
            search_domain: Some(row.proxmox_search_domain),
            link: Some(row.proxmox_link),
            status: Some(row.proxmox_status),
            last_updated: row.proxmox_last_updated,
            last_run: Some(row.last_run_id),
        };
        Self { id: row.id, object }
    }
}

impl Object for VirtualMachineState {
    type Read = VirtualMachineStateRead;
    const MODEL: &'static str = "netbox_proxbox.proxboxvirtualmachinesyncstate";
    const READ_FIELDS: &'static [&'static str] = &[
        "id",
        "virtual_machine",
        "proxmox_node",
        "proxmox_cluster",
        "proxmox_node_name",
        "proxmox_cluster_name",
        "proxmox_endpoint_raw_id",
        "proxmox_vm_id",
        "proxmox_vm_type",
        "proxmox_vm_name",
        "proxmox_last_synced_role_id",
        "proxmox_start_at_boot",
        "proxmox_unprivileged_container",
        "proxmox_qemu_agent",
        "proxmox_search_domain",
        "proxmox_link",
        "proxmox_status",
        "proxmox_last_updated",
        "last_run_id",
    ];
    const IS_LOOKED_UP: bool = true;
}
