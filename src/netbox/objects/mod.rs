//! NetBox's objects, one file each: the shape in which NetBox answers a row (private), the object with its comparable
//! fields, and what of it may be written.

mod asn;
mod assignment;
mod backup;
mod backup_routine;
mod bgp;
mod cloud_init;
mod cluster;
mod device;
mod device_interface;
mod guest_vm_interface;
mod ip_address;
mod journal_entry;
mod l2vpn;
mod mac_address;
mod named;
mod plugin;
mod prefix;
mod primary_addresses;
mod replication;
mod revival;
mod sdn;
mod sdn_binding;
mod sdn_bodies;
mod shape;
mod snapshot;
mod storage;
mod task_history;
mod virtual_disk;
mod virtual_machine;
mod virtual_machine_state;
mod vlan;
mod vm_interface;
mod write;

pub use asn::Asn;
pub use assignment::Assignment;
pub use backup::Backup;
pub use backup_routine::{BackupRoutine, Retention};
pub use bgp::{
    BgpCommunity, BgpKind, BgpPeerGroup, BgpPrefixList, BgpPrefixListRule, BgpRoutingPolicy, BgpRoutingPolicyRule,
    BgpRow, BgpSession,
};
pub use cloud_init::CloudInit;
pub use cluster::{Cluster, ClusterState};
pub use device::{Device, DeviceState};
pub use device_interface::DeviceInterface;
pub use guest_vm_interface::{GuestVmInterface, GuestVmInterfaceAddress};
pub use ip_address::{IpAddress, IpAddressHolder};
pub use journal_entry::JournalEntry;
pub use l2vpn::{L2vpn, L2vpnTermination, RouteTarget};
pub use mac_address::MacAddress;
pub use named::{
    ClusterTypeKind, DeviceRoleKind, DeviceTypeKind, ManufacturerKind, Named, NamedKind, PlatformKind, SiteKind,
    TagKind, TenantKind, VirtualMachineTypeKind,
};
pub use plugin::{ClaimedCluster, ClusterClaim, PluginEndpoint, TrackingCluster, TrackingNode};
pub use prefix::Prefix;
pub use primary_addresses::PrimaryAddresses;
pub use replication::{Replication, STALE};
pub use revival::Revival;
pub use sdn::{SdnKind, SdnRow};
pub use sdn_binding::SdnBinding;
pub use sdn_bodies::{
    SdnControllerBody, SdnFabricBody, SdnPrefixBody, SdnRouteMapBody, SdnSubnetBody, SdnVnetBody, SdnZoneBody,
};
pub use shape::Said;
pub use snapshot::Snapshot;
pub use storage::{STORAGE_TEXTS, Storage};
pub use task_history::TaskHistory;
pub use virtual_disk::{VirtualDisk, VirtualDiskState};
pub use virtual_machine::{DECOMMISSIONING, SOFT_DELETED_TAG, VirtualMachine};
pub use virtual_machine_state::VirtualMachineState;
pub use vlan::{Vlan, VlanGroup};
pub use vm_interface::{VmInterface, VmInterfaceState};
pub use write::{create_body, update_body};

use std::fmt;

use serde::de::DeserializeOwned;

use crate::reconcile::{Resource, Stored};

/// A tag.
pub type Tag = Named<TagKind>;
/// A cluster type.
pub type ClusterType = Named<ClusterTypeKind>;
/// A manufacturer.
pub type Manufacturer = Named<ManufacturerKind>;
/// A device type.
pub type DeviceType = Named<DeviceTypeKind>;
/// A device role, which is also what a virtual machine's role is.
pub type DeviceRole = Named<DeviceRoleKind>;
/// A virtual machine type (NetBox 4.6 and later).
pub type VirtualMachineType = Named<VirtualMachineTypeKind>;
/// A site.
pub type Site = Named<SiteKind>;
/// A platform.
pub type Platform = Named<PlatformKind>;
/// A tenant; read only.
pub type Tenant = Named<TenantKind>;

/// The slug of the tag on everything that this service writes.
pub const PROXBOX_TAG: &str = "proxbox";

/// A kind of object that NetBox lists.
pub trait Object: Resource + Clone + fmt::Debug + Send + Sync + 'static {
    /// The shape of a row in NetBox's answers.
    type Read: DeserializeOwned + Into<Stored<Self>> + Send;
    /// NetBox's name of the model, by which permissions call it: `dcim.device`.
    const MODEL: &'static str;
    /// The keys of a row that are read; the rest is not asked for.
    const READ_FIELDS: &'static [&'static str];
    /// Whether later stages look for what an earlier one has read or written: such rows are kept for a while.
    const IS_LOOKED_UP: bool = false;
}
