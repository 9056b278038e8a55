//! The supporting objects that every run relies on.

use crate::inventory::ClusterMode;
use crate::netbox::ObjectId;
use crate::netbox::objects::{ClusterType, DeviceRole, DeviceType, Manufacturer, PROXBOX_TAG, Tag, VirtualMachineType};

/// The tag of clusters that this service created.
pub const DISCOVERED_CLUSTER_TAG: &str = "proxbox-discovered-cluster";
/// The tag of a device that was found in Proxmox.
pub const DISCOVERED_NODE_TAG: &str = "proxbox-discovered-node";
/// The slug of the manufacturer of all nodes.
pub const MANUFACTURER: &str = "proxmox";
/// The slug of the device type of all nodes.
pub const DEVICE_TYPE: &str = "proxmox-generic-device";
/// The slug of the role of all nodes.
pub const NODE_ROLE: &str = "proxmox-node";

/// The tags, the first of which everything else carries.
pub fn tags() -> Vec<Tag> {
    [
        (
            PROXBOX_TAG,
            "Proxbox",
            "ff5722",
            "Proxbox Identifier (used to identify the items the plugin created)",
        ),
        (
            "proxbox-discovered-qemu",
            "Proxbox: Discovered QEMU VM",
            "2196f3",
            "QEMU virtual machine first discovered by Proxbox (apply-on-create-only).",
        ),
        (
            "proxbox-discovered-lxc",
            "Proxbox: Discovered LXC Container",
            "00bcd4",
            "LXC container first discovered by Proxbox (apply-on-create-only).",
        ),
        (
            DISCOVERED_CLUSTER_TAG,
            "Proxbox: Discovered Cluster",
            "4caf50",
            "Cluster first discovered by Proxbox (apply-on-create-only).",
        ),
        (
            DISCOVERED_NODE_TAG,
            "Proxbox: Discovered Node",
            "9c27b0",
            "Proxmox node first discovered by Proxbox (apply-on-create-only).",
        ),
        (
            "proxbox-soft-deleted",
            "Proxbox: Soft-deleted VM",
            "d32f2f",
            "Proxbox VM or LXC container marked for human review before NetBox deletion.",
        ),
    ]
    .map(|(slug, name, color, description)| Tag::new(slug).name(name).color(color).description(description))
    .into()
}

/// The cluster types: the one of clusters always, the one of lone nodes where there is one.
pub fn cluster_types(mode: Option<ClusterMode>) -> Vec<ClusterType> {
    let of = |mode: ClusterMode| {
        let word = mode.as_str();
        let name = match mode {
            ClusterMode::Cluster => "Cluster",
            ClusterMode::Standalone => "Standalone",
        };
        ClusterType::new(word)
            .name(name)
            .description(&format!("Proxmox {word} mode"))
            .tagged()
    };
    let lone = mode.filter(|mode| *mode == ClusterMode::Standalone);
    [Some(ClusterMode::Cluster), lone]
        .into_iter()
        .flatten()
        .map(of)
        .collect()
}

/// The manufacturer of all nodes.
pub fn manufacturer() -> Manufacturer {
    Manufacturer::new(MANUFACTURER).name("Proxmox").tagged()
}

/// The device type of all nodes.
pub fn device_type(manufacturer: ObjectId) -> DeviceType {
    let mut device_type = DeviceType::new(DEVICE_TYPE).name("Proxmox Generic Device").tagged();
    device_type.manufacturer = Some(manufacturer);
    device_type
}

/// The roles of nodes, virtual machines, containers, and of guests of neither kind.
pub fn roles() -> Vec<DeviceRole> {
    let node = DeviceRole::new(NODE_ROLE)
        .name("Proxmox Node")
        .color("00bcd4")
        .description("Proxmox node")
        .tagged();
    let guests = [
        (
            "virtual-machine-qemu",
            "Virtual Machine (QEMU)",
            "00ffff",
            "Proxmox Virtual Machine",
        ),
        ("container-lxc", "Container (LXC)", "7fffd4", "Proxmox LXC Container"),
        (
            "unknown",
            "Unknown",
            "000000",
            "VM Type not found. Neither QEMU nor LXC.",
        ),
    ]
    .map(|(slug, name, color, description)| {
        let mut role = DeviceRole::new(slug)
            .name(name)
            .color(color)
            .description(description)
            .tagged();
        role.vm_role = Some(true);
        role
    });
    std::iter::once(node).chain(guests).collect()
}

/// The types of guests (NetBox 4.6 and later).
pub fn virtual_machine_types() -> Vec<VirtualMachineType> {
    [
        (
            "qemu-virtual-machine",
            "QEMU Virtual Machine",
            "Proxmox QEMU/KVM Virtual Machine",
        ),
        ("lxc-container", "LXC Container", "Proxmox LXC Container"),
    ]
    .map(|(slug, name, description)| {
        VirtualMachineType::new(slug)
            .name(name)
            .description(description)
            .tagged()
    })
    .into()
}
