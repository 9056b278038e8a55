//! A Proxmox guest as a NetBox virtual machine.

use super::names::clean;
use super::notes::{Overrides, notes};
use super::virtual_disk::{disks, total_mib};
use crate::inventory::{Guest, GuestConfig, GuestKind};
use crate::netbox::ObjectId;
use crate::netbox::objects::{PROXBOX_TAG, VirtualMachine};

/// The largest memory and disk that NetBox holds, in MiB.
const MIB_MAX: u64 = 2_147_483_647;
const MIB: u64 = 1 << 20;

/// The rows that a guest's virtual machine refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MachineParents {
    /// Its cluster.
    pub cluster: Option<ObjectId>,
    /// The device of its node.
    pub device: Option<ObjectId>,
    /// The cluster's site.
    pub site: Option<ObjectId>,
    /// Its type (NetBox 4.6 and later).
    pub machine_type: Option<ObjectId>,
    /// Its role.
    pub role: Option<ObjectId>,
    /// Its platform.
    pub platform: Option<ObjectId>,
}

/// The virtual machine of `guest`, called by its own name. Values of `overrides` go before those of Proxmox.
pub fn virtual_machine(
    guest: &Guest,
    config: &GuestConfig,
    parents: MachineParents,
    overrides: &Overrides,
) -> VirtualMachine {
    let notes = notes(config.description(), &guest.node);
    let relation = |field: &str, parent: Option<ObjectId>| overrides.get(field).map(ObjectId).or(parent);
    let memory = guest.memory.unwrap_or_default() / MIB;
    let disk = total_mib(&disks(config));
    VirtualMachine {
        vmid: Some(guest.vmid.0),
        name: Some(clean(&guest.label())),
        status: Some(status(guest.status.as_deref().unwrap_or_default()).to_owned()),
        cluster: relation("cluster", parents.cluster),
        device: relation("device", parents.device),
        site: relation("site", parents.site),
        tenant: None,
        machine_type: relation("virtual_machine_type", parents.machine_type),
        role: relation("role", parents.role),
        platform: relation("platform", parents.platform),
        vcpus: overrides
            .get("vcpus")
            .map(as_float)
            .or_else(|| vcpus(guest.processors?)),
        memory: Some(overrides.get("memory").unwrap_or(memory).min(MIB_MAX)),
        disk: Some(overrides.get("disk").unwrap_or(disk).min(MIB_MAX)),
        disk_count: 0,
        description: Some(notes.description),
        comments: notes.comments,
        primary_ip4: None,
        primary_ip6: None,
        tags: [PROXBOX_TAG.to_owned()].into(),
    }
}

/// The status word of NetBox for one of Proxmox.
pub fn status(word: &str) -> &'static str {
    match word.trim().to_ascii_lowercase().as_str() {
        "stopped" | "paused" | "offline" => "offline",
        "planned" => "planned",
        _ => "active",
    }
}

/// Processors with two decimals; NetBox refuses zero.
fn vcpus(processors: f64) -> Option<f64> {
    let rounded = (processors * 100.0).round() / 100.0;
    (rounded > 0.0).then_some(rounded)
}

#[expect(clippy::cast_precision_loss, reason = "no guest has 2^52 processors")]
fn as_float(number: u64) -> f64 {
    number as f64
}

/// The slug of the role of guests of `kind`.
pub const fn role(kind: GuestKind) -> &'static str {
    match kind {
        GuestKind::Qemu => "virtual-machine-qemu",
        GuestKind::Lxc => "container-lxc",
    }
}

/// The slug of the type of guests of `kind`.
pub const fn machine_type(kind: GuestKind) -> &'static str {
    match kind {
        GuestKind::Qemu => "qemu-virtual-machine",
        GuestKind::Lxc => "lxc-container",
    }
}

/// The slug of the tag of guests of `kind` that this service created.
pub const fn discovered_tag(kind: GuestKind) -> &'static str {
    match kind {
        GuestKind::Qemu => "proxbox-discovered-qemu",
        GuestKind::Lxc => "proxbox-discovered-lxc",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::inventory::Vmid;
    use crate::reconcile::Resource;

    fn guest(kind: GuestKind, node: &str) -> Guest {
        Guest {
            vmid: Vmid(101),
            kind,
            node: node.to_owned(),
            name: Some("shop-db-1".to_owned()),
            status: Some("running".to_owned()),
            is_template: false,
            disk: None,
            processors: Some(4.0),
            memory: Some(8_589_934_592),
        }
    }

    fn fields(guest: &Guest, config: Value, parents: MachineParents) -> Value {
        let config = GuestConfig::decode(guest.kind, config).unwrap();
        json!(virtual_machine(guest, &config, parents, &Overrides::default()).fields())
    }

    #[test]
    fn qemu_guest_becomes_an_active_virtual_machine() {
        let config = json!({
            "agent": "enabled=1,fstrim_cloned_disks=1", "onboot": 1, "ostype": "l26", "tags": "prod;db",
            "description": "Primary shop database\nOwner: data team",
            "scsi0": "local-lvm:vm-101-disk-0,discard=on,size=32G",
            "scsi1": "ceph-rbd:vm-101-disk-1,backup=0,size=500G",
            "efidisk0": "local-lvm:vm-101-disk-2,efitype=4m,size=4M", "scsi3": "/dev/sdb",
            "unused0": "local-lvm:vm-101-disk-9", "ide2": "local:iso/debian-12.iso,media=cdrom,size=629M",
            "ide0": "local-lvm:vm-101-cloudinit,media=cdrom,size=4M"
        });
        let parents = MachineParents {
            cluster: Some(ObjectId(7)),
            device: Some(ObjectId(41)),
            site: Some(ObjectId(3)),
            machine_type: Some(ObjectId(1)),
            role: None,
            platform: Some(ObjectId(9)),
        };
        let expected = json!({
            "name": "shop-db-1", "status": "active", "cluster": 7, "device": 41, "site": 3, "virtual_machine_type": 1,
            "platform": 9, "vcpus": 4.0, "memory": 8192, "disk": 544_772, "tags": ["proxbox"],
            "description": "Primary shop database", "comments": "Primary shop database\nOwner: data team"
        });
        assert_eq!(fields(&guest(GuestKind::Qemu, "pve2"), config, parents), expected);
    }

    #[test]
    fn stopped_container_becomes_an_offline_virtual_machine() {
        let mut guest = guest(GuestKind::Lxc, "pve1");
        guest.name = Some("proxy1".to_owned());
        guest.status = Some("stopped".to_owned());
        guest.processors = Some(2.0);
        guest.memory = Some(1_073_741_824);
        let config = json!({
            "hostname": "proxy1.example.net", "ostype": "debian", "unprivileged": 1, "onboot": 0,
            "rootfs": "local-zfs:subvol-202-disk-0,size=8G", "mp0": "tank:subvol-202-disk-1,mp=/srv/data,size=100G",
            "mp1": "/mnt/host,mp=/mnt/x"
        });
        let expected = json!({
            "name": "proxy1", "status": "offline", "vcpus": 2.0, "memory": 1024, "disk": 110_592, "tags": ["proxbox"],
            "description": "Synced from Proxmox node pve1"
        });
        assert_eq!(fields(&guest, config, MachineParents::default()), expected);
    }

    #[test]
    fn odd_resources_are_what_they_can_be() {
        let cases: [(Option<f64>, Value); 6] = [
            (Some(1.5), json!(1.5)),
            (Some(0.333_333), json!(0.33)),
            (Some(0.001), Value::Null),
            (Some(0.0), Value::Null),
            (Some(8.0), json!(8.0)),
            (None, Value::Null),
        ];
        for (processors, expected) in cases {
            let mut guest = guest(GuestKind::Lxc, "pve1");
            guest.processors = processors;
            guest.memory = None;
            guest.name = Some("  ".to_owned());
            let fields = fields(&guest, json!({}), MachineParents::default());
            assert_eq!(
                fields.get("vcpus").cloned().unwrap_or_default(),
                expected,
                "{processors:?}"
            );
            assert_eq!((&fields["memory"], &fields["name"]), (&json!(0), &json!("vm-101")));
        }
    }

    #[test]
    fn status_words_of_proxmox_are_those_of_netbox() {
        for (word, expected) in [
            ("running", "active"),
            ("online", "active"),
            ("stopped", "offline"),
            ("paused", "offline"),
            ("offline", "offline"),
            (" Offline ", "offline"),
            ("planned", "planned"),
            ("unknown", "active"),
            ("", "active"),
        ] {
            assert_eq!(status(word), expected, "{word:?}");
        }
    }

    #[test]
    fn override_goes_before_the_value_of_proxmox() {
        let notes = "db\n```netbox-metadata\n{\"role\": 5, \"vcpus\": 2, \"memory\": 4, \"site\": 9}\n```";
        let guest = guest(GuestKind::Qemu, "pve1");
        let config = GuestConfig::decode(guest.kind, json!({ "description": notes })).unwrap();
        let parents = MachineParents {
            site: Some(ObjectId(3)),
            device: Some(ObjectId(40)),
            ..MachineParents::default()
        };
        let overrides = super::super::notes::overrides(config.description());
        let machine = virtual_machine(&guest, &config, parents, &overrides);
        assert_eq!(
            (machine.role, machine.site, machine.device, machine.memory),
            (Some(ObjectId(5)), Some(ObjectId(9)), Some(ObjectId(40)), Some(4))
        );
        assert_eq!(machine.description.as_deref(), Some("db"));
    }
}
