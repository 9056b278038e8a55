//! Which object is to be brought in step, parsed from a query.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::inventory::{GuestKind, Vmid};
use crate::netbox::objects::{
    Backup, BackupRoutine, Cluster, Device, DeviceState, IpAddress, Replication, Snapshot, Storage, TaskHistory,
    VirtualDisk, VirtualMachine, VirtualMachineState, VmInterface,
};
use crate::reconcile::Resource;
use crate::stages::Stage;
use crate::sync::request::{BadParameter, form, switch};

/// The parameters that tell which guest it is about.
const CLUSTER: &str = "cluster_name";
const NODE: &str = "node";
const TYPE: &str = "type";
const VMID: &str = "vmid";

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $word:literal, $stage:ident, $object:ident, [$($parameter:expr),*];)*) => {
        /// What kind of object it is.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum IndividualKind {
            $($(#[$doc])* $kind,)*
        }

        impl IndividualKind {
            /// Its name in answers.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$kind => $word,)*
                }
            }

            /// The parameters that it cannot be told without; the last one names it, where that is not a guest's number.
            pub const fn required(self) -> &'static [&'static str] {
                match self {
                    $(Self::$kind => &[$($parameter),*],)*
                }
            }

            /// The stage that it is a part of.
            pub(in crate::sync) const fn stage(self) -> Stage {
                match self {
                    $(Self::$kind => Stage::$stage,)*
                }
            }

            /// The collection that its row is in.
            pub(in crate::sync) const fn path(self) -> &'static str {
                match self {
                    $(Self::$kind => <$object as Resource>::PATH,)*
                }
            }
        }
    };
}

impl IndividualKind {
    /// The collection of the sync states that tell what a row of it stands for.
    pub(super) const fn identity(self) -> Option<&'static str> {
        match self {
            Self::Node => Some(DeviceState::PATH),
            Self::Machine => Some(VirtualMachineState::PATH),
            Self::Cluster
            | Self::Storage
            | Self::Interface
            | Self::Address
            | Self::Disk
            | Self::Replication
            | Self::Backup
            | Self::BackupRoutine
            | Self::Snapshot
            | Self::Task => None,
        }
    }
}

kinds! {
    /// The cluster.
    Cluster = "cluster", Devices, Cluster, [CLUSTER];
    /// The device of a node.
    Node = "node", Devices, Device, [CLUSTER, "node_name"];
    /// The virtual machine of a guest.
    Machine = "vm", VirtualMachines, VirtualMachine, [CLUSTER, NODE, TYPE, VMID];
    /// A storage.
    Storage = "storage", Storage, Storage, [CLUSTER, "storage_name"];
    /// A network interface of a guest.
    Interface = "interface", VmInterfaces, VmInterface, [CLUSTER, NODE, TYPE, VMID, "interface_name"];
    /// An IP address of a guest.
    Address = "ip_address", VmIpAddresses, IpAddress, [CLUSTER, NODE, TYPE, VMID, "ip_address"];
    /// A disk of a guest.
    Disk = "virtual_disk", VirtualDisks, VirtualDisk, [CLUSTER, NODE, TYPE, VMID, "disk_name"];
    /// A replication job.
    Replication = "replication", Replications, Replication, [CLUSTER, "replication_id"];
    /// A backup of a guest.
    Backup = "backup", Backups, Backup, [CLUSTER, NODE, "storage", VMID, "volid"];
    /// A scheduled backup job.
    BackupRoutine = "backup_routine", BackupRoutines, BackupRoutine, [CLUSTER, "job_id"];
    /// A snapshot of a guest.
    Snapshot = "snapshot", Snapshots, Snapshot, [CLUSTER, NODE, TYPE, VMID, "snapshot_name"];
    /// A task of a guest.
    Task = "task_history", TaskHistory, TaskHistory, [NODE, TYPE, VMID];
}

/// The object that is to be brought in step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Individual {
    /// What kind of object it is.
    pub kind: IndividualKind,
    /// The cluster, as the request calls it.
    pub cluster: Option<String>,
    /// What names it besides a guest: itself, or for tasks perhaps nothing.
    pub(super) name: Option<String>,
    pub(super) node: Option<String>,
    pub(super) guest: Option<WantedGuest>,
    /// Backups: the storage.
    pub(super) storage: Option<String>,
    /// Addresses: the interface.
    pub(super) interface: Option<String>,
    /// Whether a virtual machine that is missing may be made.
    pub(super) may_create_machine: bool,
    /// Whether a storage that is missing may be made.
    pub(in crate::sync) may_create_storage: bool,
}

/// The guest that a request is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WantedGuest {
    pub(super) vmid: Vmid,
    pub(super) kind: GuestKind,
}

impl Individual {
    /// Reads from a query which object of `kind` it is about. Unknown parameters are ignored.
    ///
    /// # Errors
    ///
    /// [`BadParameter::Form`] naming the first parameter that is missing or cannot be understood.
    pub fn parse(kind: IndividualKind, query: &BTreeMap<String, String>) -> Result<Self, BadParameter> {
        let text = |name: &str| {
            let text = query.get(name).map(|text| text.trim());
            text.filter(|text| !text.is_empty()).map(str::to_owned)
        };
        if let Some(name) = kind.required().iter().find(|name| text(name).is_none()) {
            return Err(form(name, "is required"));
        }
        let named = kind.required().last().filter(|name| **name != VMID);
        let mut name = named.and_then(|name| text(name)).or_else(|| text("upid"));
        if kind == IndividualKind::Address {
            name = name.map(|name| host(&name)).transpose()?;
        }
        // What a kind does not need is not looked at: callers send what other kinds need.
        let vmid = text(VMID).filter(|_| kind.required().contains(&VMID));
        let may = |flag: &'static str| Ok(switch(query, flag)?.unwrap_or(true));
        Ok(Self {
            kind,
            cluster: text(CLUSTER),
            node: text(NODE),
            guest: vmid.map(|vmid| guest(kind, &vmid, query)).transpose()?,
            name,
            storage: text("storage"),
            interface: text("interface_name"),
            may_create_machine: may("auto_create_vm")?,
            may_create_storage: may("auto_create_storage")?,
        })
    }
}

/// The host of an address, which may have a mask.
fn host(address: &str) -> Result<String, BadParameter> {
    let host = address.split('/').next().unwrap_or_default();
    let host: Result<IpAddr, _> = host.parse();
    host.map(|host| host.to_string())
        .map_err(|_| form("ip_address", "must be an IP address"))
}

fn guest(kind: IndividualKind, vmid: &str, query: &BTreeMap<String, String>) -> Result<WantedGuest, BadParameter> {
    let vmid = vmid.parse().ok().filter(|vmid| *vmid > 0);
    let vmid = vmid.map(Vmid).ok_or_else(|| form(VMID, "must be a positive integer"))?;
    let word = query.get(TYPE).map(|word| word.trim());
    let kind = match (kind, word) {
        // The plugin sends no type for a backup; its volume tells.
        (IndividualKind::Backup, _) => kind_of_volume(query.get("volid").map_or("", String::as_str)),
        (_, Some("qemu")) => GuestKind::Qemu,
        (_, Some("lxc")) => GuestKind::Lxc,
        _ => return Err(form(TYPE, "must be qemu or lxc")),
    };
    Ok(WantedGuest { vmid, kind })
}

/// The kind of guest that a backup is of.
fn kind_of_volume(volid: &str) -> GuestKind {
    if volid.contains("vzdump-lxc-") || volid.contains("/ct/") {
        GuestKind::Lxc
    } else {
        GuestKind::Qemu
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> BTreeMap<String, String> {
        let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    fn refused(kind: IndividualKind, text: &str) -> String {
        Individual::parse(kind, &query(text)).unwrap_err().to_string()
    }

    #[test]
    fn parameter_that_is_missing_or_wrong_is_named() {
        let guest = "cluster_name=lab&node=pve1&type=qemu&vmid=101";
        for (kind, text, name) in [
            (IndividualKind::Cluster, "cluster_name= ", "cluster_name"),
            (IndividualKind::Disk, guest, "disk_name"),
            (
                IndividualKind::Machine,
                "cluster_name=lab&node=pve1&type=kvm&vmid=101",
                "type",
            ),
            (IndividualKind::Task, "node=pve1&type=qemu&vmid=0", "vmid"),
            (
                IndividualKind::Address,
                &format!("{guest}&ip_address=ten"),
                "ip_address",
            ),
            (
                IndividualKind::Snapshot,
                &format!("{guest}&snapshot_name=a&auto_create_vm=maybe"),
                "auto_create_vm",
            ),
        ] {
            let refused = refused(kind, text);
            assert!(refused.starts_with(name), "{text}: {refused}");
        }
    }

    #[test]
    fn kind_of_a_backups_guest_is_told_by_its_volume() {
        for (volid, expected) in [
            ("nas:backup/vzdump-lxc-101-2026_01_01.tar.zst", GuestKind::Lxc),
            ("vault:backup/ct/101/2026-01-01T00:00:00Z", GuestKind::Lxc),
            ("vault:backup/vm/101/2026-01-01T00:00:00Z", GuestKind::Qemu),
        ] {
            let text = format!("cluster_name=lab&node=pve1&storage=nas&vmid=101&volid={volid}");
            let wanted = Individual::parse(IndividualKind::Backup, &query(&text)).unwrap();
            assert_eq!(wanted.guest.map(|guest| guest.kind), Some(expected), "{volid}");
        }
    }

    #[test]
    fn mask_of_an_address_is_nothing_to_it() {
        let text = "cluster_name=lab&node=pve1&type=lxc&vmid=101&ip_address=2001:DB8:0::1/64";
        let wanted = Individual::parse(IndividualKind::Address, &query(text)).unwrap();
        assert_eq!(wanted.name.as_deref(), Some("2001:db8::1"));
    }
}
