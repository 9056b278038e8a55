//! A backup volume as the plugin's row of it.

use super::names::clean;
use super::times::instant;
use crate::netbox::ObjectId;
use crate::netbox::objects::Backup;
use crate::proxmox::types::{GuestKind, Verification, Volume};

/// Formats that NetBox knows under Proxmox's own word.
const FORMATS: [&str; 9] = ["pbs-vm", "pbs-ct", "qcow2", "raw", "tgz", "tbz", "tar", "iso", "tzst"];
/// What NetBox calls formats and kinds of guest that it has no word for.
const UNDEFINED: &str = "undefined";

/// The name of the storage that a volume is on.
pub fn storage_of(volume_id: &str) -> &str {
    volume_id.split_once(':').map_or(volume_id, |(storage, _)| storage)
}

/// The row of `volume` for its guest's virtual machine `machine`; `storage` is the plugin's row of its storage.
///
/// A note, a verification, a key, a time or a use that Proxmox tells no more is taken from the row; a size or a storage
/// that is not known stays.
pub fn backup(volume: &Volume, machine: ObjectId, storage: Option<ObjectId>) -> Backup {
    let verification =
        |part: fn(&Verification) -> &Option<String>| text(part(volume.verification.as_ref()?).as_deref());
    Backup {
        storage: Some(storage_of(&volume.volid).to_owned()),
        proxmox_storage: storage,
        subtype: Some(subtype(volume).to_owned()),
        format: Some(format(volume).to_owned()),
        creation_time: instant(volume.ctime),
        size: volume.size.and_then(|size| size.try_into().ok()),
        used: volume.used.and_then(|used| used.try_into().ok()),
        encrypted: text(volume.encrypted.as_deref()),
        verification_state: verification(|found| &found.state),
        verification_upid: verification(|found| &found.upid),
        notes: text(volume.notes.as_deref()),
        vmid: volume.vmid.map(|vmid| vmid.0),
        ..Backup::of(machine, &volume.volid)
    }
}

fn text(text: Option<&str>) -> Option<String> {
    text.map(clean).filter(|text| !text.is_empty())
}

/// The kind of guest that `volume` is a backup of; `None` where nothing tells.
pub fn guest_kind(volume: &Volume) -> Option<GuestKind> {
    match subtype(volume) {
        "lxc" => Some(GuestKind::Lxc),
        "qemu" => Some(GuestKind::Qemu),
        _ => None,
    }
}

/// The kind of guest; releases before 8 tell it in the path of a backup server's volume only.
fn subtype(volume: &Volume) -> &'static str {
    match volume.subtype.as_deref().map(str::trim) {
        Some("ct" | "lxc") => "lxc",
        Some("qemu" | "vm") => "qemu",
        _ => by_path(&volume.volid, "lxc", "qemu"),
    }
}

fn format(volume: &Volume) -> &'static str {
    let format = volume.format.as_deref().unwrap_or_default().trim();
    if let Some(known) = FORMATS.iter().find(|known| **known == format) {
        return known;
    }
    match format {
        "zst" | "vma.zst" | "vma.zstd" | "tar.zst" => "tzst",
        "tar.gz" => "tgz",
        "tar.bz2" => "tbz",
        _ => by_path(&volume.volid, "pbs-ct", "pbs-vm"),
    }
}

/// What the path of a backup server's volume tells.
fn by_path(volume_id: &str, container: &'static str, machine: &'static str) -> &'static str {
    if volume_id.contains("/ct/") {
        container
    } else if volume_id.contains("/vm/") {
        machine
    } else {
        UNDEFINED
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::reconcile::Resource;

    fn fields(volume: Value, storage: Option<ObjectId>) -> Value {
        let volume: Volume = serde_json::from_value(volume).unwrap();
        json!(backup(&volume, ObjectId(31), storage).fields())
    }

    #[test]
    fn backup_on_a_backup_server_fills_every_column() {
        let volume_id = "vault:backup/vm/204/2025-02-11T09:00:00Z";
        let given = fields(
            json!({
                "volid": volume_id, "content": "backup", "format": "pbs-vm", "subtype": "qemu", "vmid": 204,
                "ctime": 1_739_264_400, "size": 42_949_672_960_i64, "notes": "nightly", "encrypted": "7f:1c",
                "verification": {"state": "ok", "upid": "UPID:pbs1:1"}
            }),
            Some(ObjectId(9)),
        );
        let expected = json!({
            "virtual_machine": 31, "volume_id": volume_id, "storage": "vault", "proxmox_storage": 9,
            "subtype": "qemu", "format": "pbs-vm", "creation_time": "2025-02-11T09:00:00Z", "size": 42_949_672_960_i64,
            "encrypted": "7f:1c", "verification_state": "ok", "verification_upid": "UPID:pbs1:1", "notes": "nightly",
            "used": null, "vmid": 204
        });
        assert_eq!(given, expected);
    }

    #[test]
    fn what_proxmox_does_not_tell_is_empty_but_for_sizes_and_storages() {
        let given = fields(
            json!({"volid": "local:backup/vzdump-qemu-204.vma", "notes": " \n", "encrypted": "", "ctime": "",
                   "size": u64::MAX, "verification": {}}),
            None,
        );
        let expected = json!({
            "virtual_machine": 31, "volume_id": "local:backup/vzdump-qemu-204.vma", "storage": "local",
            "subtype": "undefined", "format": "undefined", "creation_time": null, "used": null, "encrypted": "",
            "verification_state": null, "verification_upid": null, "notes": null
        });
        assert_eq!(given, expected);
    }

    #[test]
    fn formats_and_kinds_are_told_by_their_word_or_by_the_path() {
        let file = "nas:backup/vzdump-lxc-204";
        for (volume_id, format, kind, expected) in [
            (file, Some("tgz"), Some("lxc"), ("tgz", "lxc")),
            (file, Some("zst"), Some("ct"), ("tzst", "lxc")),
            (file, Some("vma.zst"), Some("vm"), ("tzst", "qemu")),
            (file, Some("vma.zstd"), None, ("tzst", "undefined")),
            (file, Some("tar.zst"), Some("lxc"), ("tzst", "lxc")),
            (file, Some("tar.gz"), None, ("tgz", "undefined")),
            (file, Some("tar.bz2"), None, ("tbz", "undefined")),
            (file, Some("tar.lzo"), None, ("undefined", "undefined")),
            (file, Some("vma"), None, ("undefined", "undefined")),
            (file, Some("vma.lzo"), None, ("undefined", "undefined")),
            (file, None, None, ("undefined", "undefined")),
            ("pbs:backup/ct/204/2025-02-11T09:00:00Z", None, None, ("pbs-ct", "lxc")),
            ("pbs:backup/vm/204/2025-02-11T09:00:00Z", None, None, ("pbs-vm", "qemu")),
            (
                "pbs:backup/vm/204/2025-02-11T09:00:00Z",
                Some("pbs-vm"),
                Some("qemu"),
                ("pbs-vm", "qemu"),
            ),
            (
                "pbs:ns/team/backup/ct/204/2025-02-11T09:00:00Z",
                Some("odd"),
                Some("odd"),
                ("pbs-ct", "lxc"),
            ),
        ] {
            let given = fields(json!({"volid": volume_id, "format": format, "subtype": kind}), None);
            let told = (given["format"].as_str().unwrap(), given["subtype"].as_str().unwrap());
            assert_eq!(told, expected, "{volume_id} {format:?} {kind:?}");
        }
    }
}
