//! The drives in a guest's configuration as virtual disks.

use crate::netbox::ObjectId;
use crate::netbox::objects::{PROXBOX_TAG, VirtualDisk};
use crate::proxmox::types::GuestConfig;
use crate::proxmox::{Property, wire};

/// Prefixes of the numbered keys that hold a drive; `rootfs` is the one without a number.
const PREFIXES: [&str; 7] = ["scsi", "ide", "sata", "virtio", "mp", "efidisk", "tpmstate"];
/// The longest description of a virtual disk in NetBox.
const DESCRIPTION_MAX: usize = 200;
const MIB: u128 = 1 << 20;

/// A drive whose size is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParsedDisk {
    /// Its key in the configuration: `scsi0`, `rootfs`.
    pub key: String,
    /// Its size, rounded up; 0 for a CD-ROM drive.
    pub size_mib: u64,
    /// The storage that holds its volume; `None` for paths of the host and for empty CD-ROM drives.
    pub storage: Option<String>,
    /// Where it is, for a person.
    pub description: String,
}

/// The drives of `config`, ordered by their key.
///
/// Left out are drives without a size, such as disks of the host and mounted folders, and volumes that are unused. Their
/// keys stand in the configuration all the same, so a virtual disk of that name is not stale.
pub fn disks(config: &GuestConfig) -> Vec<ParsedDisk> {
    let mut disks: Vec<ParsedDisk> = config
        .raw()
        .iter()
        .filter(|(key, _)| is_drive(key))
        .filter_map(|(key, value)| parse(key, &wire::text_of(value).ok()??))
        .collect();
    disks.sort_by(|left, right| left.key.cmp(&right.key));
    disks
}

/// The size of all `disks` together.
pub fn total_mib(disks: &[ParsedDisk]) -> u64 {
    disks.iter().fold(0, |total, disk| total.saturating_add(disk.size_mib))
}

/// The virtual disk that `disk` is on the virtual machine `machine`, called `machine_name`.
pub fn virtual_disk(disk: ParsedDisk, machine: ObjectId, machine_name: &str) -> VirtualDisk {
    VirtualDisk {
        virtual_machine: machine,
        machine_name: Some(machine_name.to_owned()),
        name: disk.key,
        size: Some(disk.size_mib),
        description: Some(disk.description),
        tags: [PROXBOX_TAG.to_owned()].into(),
    }
}

fn is_drive(key: &str) -> bool {
    let is_number = |rest: &str| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit());
    key == "rootfs"
        || PREFIXES
            .iter()
            .any(|prefix| key.strip_prefix(prefix).is_some_and(is_number))
}

fn parse(key: &str, text: &str) -> Option<ParsedDisk> {
    let drive = Property::parse(text);
    let volume = drive
        .bare()
        .or_else(|| drive.get("file"))
        .or_else(|| drive.get("volume"))
        .unwrap_or_default();
    let is_cdrom = drive
        .get("media")
        .is_some_and(|media| media.eq_ignore_ascii_case("cdrom"));
    let size_mib = if is_cdrom { 0 } else { size_mib(drive.get("size")?)? };
    let description = match (is_cdrom, volume) {
        (true, "" | "none") => "CD-ROM drive".to_owned(),
        (true, volume) => format!("CD-ROM drive | ISO: {volume}"),
        (false, volume) => {
            let place = volume.split_once(':').map_or(volume, |(storage, _)| storage);
            let format = drive.get("format").map(|format| format!(" | Format: {format}"));
            format!("Storage: {place}{}", format.unwrap_or_default())
        }
    };
    // NetBox cuts white space at the end.
    let cut: String = description.chars().take(DESCRIPTION_MAX).collect();
    Some(ParsedDisk {
        key: key.to_owned(),
        size_mib,
        storage: volume.split_once(':').map(|(storage, _)| storage.to_owned()),
        description: cut.trim_end().to_owned(),
    })
}

/// The MiB that a size such as `32G`, `1.5T`, `528K` or `4194304` (bytes) takes; `None` for nothing and for no size.
fn size_mib(text: &str) -> Option<u64> {
    let text = text.trim();
    let (number, unit) = match text.char_indices().next_back()? {
        (at, unit) if unit.is_ascii_alphabetic() => (text.get(..at)?.trim_end(), unit.to_ascii_uppercase()),
        _ => (text, 'B'),
    };
    let unit_bytes: u128 = match unit {
        'B' => 1,
        'K' => 1 << 10,
        'M' => MIB,
        'G' => 1 << 30,
        'T' => 1 << 40,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits: u128 = format!("{whole}{fraction}").parse().ok()?;
    let scale = 10_u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let mib = digits.checked_mul(unit_bytes)?.div_ceil(scale.checked_mul(MIB)?);
    u64::try_from(mib).ok().filter(|mib| *mib > 0)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::proxmox::types::GuestKind;

    fn parsed(kind: GuestKind, config: Value) -> Vec<ParsedDisk> {
        disks(&GuestConfig::decode(kind, config).unwrap())
    }

    fn rows(disks: &[ParsedDisk]) -> Vec<(&str, u64, &str, Option<&str>)> {
        disks
            .iter()
            .map(|disk| {
                (
                    disk.key.as_str(),
                    disk.size_mib,
                    disk.description.as_str(),
                    disk.storage.as_deref(),
                )
            })
            .collect()
    }

    #[test]
    fn machines_drives_become_disks_in_key_order() {
        let found = parsed(
            GuestKind::Qemu,
            json!({
                "scsi0": "local-lvm:vm-101-disk-0,discard=on,size=32G",
                "scsi1": "ceph-rbd:vm-101-disk-1,backup=0,size=500G",
                "efidisk0": "local-lvm:vm-101-disk-2,efitype=4m,size=4M",
                "scsi3": "/dev/sdb",
                "unused0": "local-lvm:vm-101-disk-9",
                "scsihw": "virtio-scsi-pci",
                "ide2": "local:iso/debian-12.iso,media=cdrom,size=629M",
                "ide0": "local-lvm:vm-101-cloudinit,media=cdrom,size=4M",
            }),
        );
        let expected = [
            ("efidisk0", 4, "Storage: local-lvm", Some("local-lvm")),
            (
                "ide0",
                0,
                "CD-ROM drive | ISO: local-lvm:vm-101-cloudinit",
                Some("local-lvm"),
            ),
            ("ide2", 0, "CD-ROM drive | ISO: local:iso/debian-12.iso", Some("local")),
            ("scsi0", 32_768, "Storage: local-lvm", Some("local-lvm")),
            ("scsi1", 512_000, "Storage: ceph-rbd", Some("ceph-rbd")),
        ];
        assert_eq!(rows(&found), expected);
        assert_eq!(total_mib(&found), 544_772);
    }

    #[test]
    fn containers_volumes_become_disks_but_mounted_folders_do_not() {
        let found = parsed(
            GuestKind::Lxc,
            json!({
                "rootfs": "local-zfs:subvol-202-disk-0,size=8G",
                "mp0": "tank:subvol-202-disk-1,mp=/srv/data,size=100G",
                "mp1": "/mnt/host,mp=/mnt/x",
            }),
        );
        let expected = [
            ("mp0", 102_400, "Storage: tank", Some("tank")),
            ("rootfs", 8192, "Storage: local-zfs", Some("local-zfs")),
        ];
        assert_eq!(rows(&found), expected);
        assert_eq!(total_mib(&found), 110_592);
    }

    #[test]
    fn drive_on_every_bus_is_a_disk_and_nothing_else_is() {
        let drive = "local-lvm:vm-101-disk-0,size=1G";
        for (key, is_disk) in [
            ("scsi0", true),
            ("scsi30", true),
            ("virtio15", true),
            ("ide3", true),
            ("sata5", true),
            ("efidisk0", true),
            ("tpmstate0", true),
            ("rootfs", true),
            ("mp255", true),
            ("unused0", false),
            ("scsihw", false),
            ("scsi", false),
            ("virtiofs0", false),
            ("hostpci0", false),
            ("net0", false),
        ] {
            let found = parsed(GuestKind::Qemu, json!({ key: drive }));
            let keys: Vec<_> = found.iter().map(|disk| disk.key.as_str()).collect();
            assert_eq!(keys, if is_disk { vec![key] } else { vec![] });
        }
    }

    #[test]
    fn odd_drives_are_told_as_what_they_are() {
        for (value, expected) in [
            ("none,media=CDROM", Some((0, "CD-ROM drive", None))),
            (
                "file=a:b.qcow2,format=qcow2,size=1G",
                Some((1024, "Storage: a | Format: qcow2", Some("a"))),
            ),
            (
                "/dev/disk/by-id/x,size=2G",
                Some((2048, "Storage: /dev/disk/by-id/x", None)),
            ),
            ("/dev/sr0", None),
            ("local:100/disk.raw,size=0", None),
            ("local:100/disk.raw,size=lots", None),
            ("", None),
        ] {
            let found = parsed(GuestKind::Qemu, json!({ "sata3": value }));
            let expected: Vec<_> = expected
                .map(|(size, description, storage)| ("sata3", size, description, storage))
                .into_iter()
                .collect();
            assert_eq!(rows(&found), expected, "{value}");
        }
    }

    #[test]
    fn long_description_is_cut_to_what_netbox_keeps_of_it() {
        for (name, expected) in [
            (format!("{} y", "x".repeat(185)), 199),
            (format!("{}  y", "x".repeat(184)), 198),
            ("x".repeat(300), 200),
        ] {
            let found = parsed(GuestKind::Qemu, json!({"scsi0": format!("/dev/{name},size=1G")}));
            assert_eq!(found[0].description.len(), expected, "{name}");
        }
    }

    #[test]
    fn size_is_rounded_up_to_whole_mebibytes() {
        for (text, expected) in [
            ("32G", Some(32_768)),
            ("1T", Some(1_048_576)),
            ("1.5t", Some(1_572_864)),
            ("1029M", Some(1029)),
            ("528K", Some(1)),
            ("104858K", Some(103)),
            ("707456K", Some(691)),
            ("4194304", Some(4)),
            ("4194305", Some(5)),
            ("4194304B", Some(4)),
            ("8 G", Some(8192)),
            ("0", None),
            ("0.0G", None),
            ("", None),
            ("G", None),
            ("-1G", None),
            ("1e3G", None),
            ("5X", None),
            ("99999999999999999999999999999T", None),
        ] {
            assert_eq!(size_mib(text), expected, "{text:?}");
        }
    }
}
