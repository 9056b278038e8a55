//! A Proxmox node as a NetBox device.

use crate::netbox::ObjectId;
use crate::netbox::objects::{Device, PROXBOX_TAG};

/// The rows that a node's device refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceParents {
    /// The cluster it is a host of.
    pub cluster: ObjectId,
    /// Its device type.
    pub device_type: ObjectId,
    /// Its role.
    pub role: ObjectId,
    /// Its site.
    pub site: ObjectId,
}

/// The device of `node`, called `name`. Nodes that are offline are active too: they are still members.
pub fn device(node: &str, name: &str, parents: DeviceParents) -> Device {
    Device {
        node: Some(node.to_owned()),
        name: Some(name.to_owned()),
        cluster: Some(parents.cluster),
        status: Some("active".to_owned()),
        device_type: Some(parents.device_type),
        role: Some(parents.role),
        site: Some(parents.site),
        location: None,
        tenant: None,
        primary_ip4: None,
        description: Some(managed_description(name)),
        tags: [PROXBOX_TAG.to_owned()].into(),
    }
}

/// The description of a device that bears the name it was given.
pub fn managed_description(name: &str) -> String {
    format!("Proxmox Node {name}")
}

/// The description, where there is none, of a device that an operator has renamed.
pub fn operator_description(node: &str) -> String {
    format!("Proxmox node {node} (operator-managed name)")
}
