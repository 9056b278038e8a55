//! Devices, and the plugin's sync-state row beside each.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::Object;
use super::shape::{Choice, Nested, Tagged, id, put, put_id, put_tags, slugs};
use crate::reconcile::{Fields, ObjectId, Resource, SideBySide, Stored};

/// A device that stands for a Proxmox node.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Device {
    /// The node it should stand for; unknown for rows read from NetBox, where the sync state tells.
    pub node: Option<String>,
    /// Its name, unique per site and tenant whatever the case.
    pub name: Option<String>,
    /// The cluster it is a host of.
    pub cluster: Option<ObjectId>,
    /// Its status word.
    pub status: Option<String>,
    /// Its device type.
    pub device_type: Option<ObjectId>,
    /// Its role.
    pub role: Option<ObjectId>,
    /// Its site.
    pub site: Option<ObjectId>,
    /// Its location within the site; never written.
    pub location: Option<ObjectId>,
    /// Its tenant; never written.
    pub tenant: Option<ObjectId>,
    /// Its primary IPv4 address, one of those on its interfaces.
    pub primary_ip4: Option<ObjectId>,
    /// At most 200 characters.
    pub description: Option<String>,
    /// Slugs of its tags.
    pub tags: BTreeSet<String>,
}

impl Resource for Device {
    const PATH: &'static str = "/api/dcim/devices/";
    const KIND: &'static str = "device";
    /// NetBox counts them in the row of their type: requests with rows of two types would each hold what the other needs.
    const SIDE_BY_SIDE: SideBySide = SideBySide::None;
    type Key = String;

    fn key(&self) -> String {
        self.node.clone().or_else(|| self.name.clone()).unwrap_or_default()
    }

    fn fields(&self) -> Fields {
        let mut fields = Fields::new();
        put(&mut fields, "name", self.name.clone());
        put_id(&mut fields, "cluster", self.cluster);
        put(&mut fields, "status", self.status.clone());
        put_id(&mut fields, "device_type", self.device_type);
        put_id(&mut fields, "role", self.role);
        put_id(&mut fields, "site", self.site);
        put(&mut fields, "description", self.description.clone());
        put_id(&mut fields, "primary_ip4", self.primary_ip4);
        put_tags(&mut fields, &self.tags);
        fields
    }
}

/// A row as NetBox answers it.
#[derive(Debug, Deserialize)]
pub struct DeviceRead {
    id: ObjectId,
    name: Option<String>,
    cluster: Option<Nested>,
    status: Option<Choice>,
    device_type: Option<Nested>,
    role: Option<Nested>,
    site: Option<Nested>,
    location: Option<Nested>,
    tenant: Option<Nested>,
    primary_ip4: Option<Nested>,
    description: String,
    tags: Vec<Tagged>,
}

impl From<DeviceRead> for Stored<Device> {
    fn from(row: DeviceRead) -> Self {
        let object = Device {
            node: None,
            name: row.name,
            cluster: id(row.cluster),
            status: row.status.map(|status| status.value),
            device_type: id(row.device_type),
            role: id(row.role),
            site: id(row.site),
            location: id(row.location),
            tenant: id(row.tenant),
            primary_ip4: id(row.primary_ip4),
            description: Some(row.description),
            tags: slugs(row.tags),
        };
        Self { id: row.id, object }
    }
}

impl Object for Device {
    type Read = DeviceRead;
    const MODEL: &'static str = "dcim.device";
    const READ_FIELDS: &'static [&'static str] = &[
        "id",
        "name",
        "cluster",
        "status",
        "device_type",
        "role",
        "site",
        "location",
        "tenant",
        "primary_ip4",
        "description",
        "tags",
    ];
}

/// The sync-state row of a device: which node of which endpoint it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceState {
    /// The device that the row belongs to.
    pub device: ObjectId,
    /// The plugin's row of the node; accepted only once that row names this device.
    pub proxmox_node: Option<ObjectId>,
    /// The plugin's row of the cluster; binds the row's `endpoint`.
    pub proxmox_cluster: Option<ObjectId>,
    /// The node's name in Proxmox.
    pub node_name: Option<String>,
    /// The cluster's name in Proxmox.
    pub cluster_name: Option<String>,
    /// The id of the endpoint that owns the device, in this service's own table. Once set it cannot be changed.
    pub endpoint_raw_id: Option<i64>,
    /// When the row was last written, ISO 8601 in UTC.
    pub last_updated: Option<String>,
}

impl DeviceState {
    /// A row that says nothing yet.
    pub fn of(device: ObjectId) -> Self {
        Self {
            device,
            proxmox_node: None,
            proxmox_cluster: None,
            node_name: None,
            cluster_name: None,
            endpoint_raw_id: None,
            last_updated: None,
        }
    }
}

impl Resource for DeviceState {
    const PATH: &'static str = "/api/plugins/proxbox/sync-state/devices/";
    const KIND: &'static str = "device sync state";
    type Key = ObjectId;

    fn key(&self) -> ObjectId {
        self.device
    }

    fn label(&self) -> String {
        self.node_name.clone().unwrap_or_else(|| self.device.to_string())
    }

    fn fields(&self) -> Fields {
        let mut fields = Fields::from([("device", self.device.0.into())]);
        put_id(&mut fields, "proxmox_node", self.proxmox_node);
        put_id(&mut fields, "proxmox_cluster", self.proxmox_cluster);
        put(&mut fields, "proxmox_node_name", self.node_name.clone());
        put(&mut fields, "proxmox_cluster_name", self.cluster_name.clone());
        put(&mut fields, "proxmox_endpoint_raw_id", self.endpoint_raw_id);
        put(&mut fields, "proxmox_last_updated", self.last_updated.clone());
        fields
    }
}

/// A row as the plugin answers it.
#[derive(Debug, Deserialize)]
pub struct DeviceStateRead {
    id: ObjectId,
    device: Nested,
    proxmox_node: Option<Nested>,
    proxmox_cluster: Option<Nested>,
    proxmox_node_name: String,
    proxmox_cluster_name: String,
    proxmox_endpoint_raw_id: Option<i64>,
    proxmox_last_updated: Option<String>,
}

impl From<DeviceStateRead> for Stored<DeviceState> {
    fn from(row: DeviceStateRead) -> Self {
        let object = DeviceState {
            device: row.device.id,
            proxmox_node: id(row.proxmox_node),
            proxmox_cluster: id(row.proxmox_cluster),
            node_name: Some(row.proxmox_node_name),
            cluster_name: Some(row.proxmox_cluster_name),
            endpoint_raw_id: row.proxmox_endpoint_raw_id,
            last_updated: row.proxmox_last_updated,
        };
        Self { id: row.id, object }
    }
}

impl Object for DeviceState {
    type Read = DeviceStateRead;
    const MODEL: &'static str = "netbox_proxbox.proxboxdevicesyncstate";
    const READ_FIELDS: &'static [&'static str] = &[
        "id",
        "device",
        "proxmox_node",
        "proxmox_cluster",
        "proxmox_node_name",
        "proxmox_cluster_name",
        "proxmox_endpoint_raw_id",
        "proxmox_last_updated",
    ];
}
