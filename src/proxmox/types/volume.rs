//! Rows of `nodes/{node}/storage/{storage}/content`: the volumes on a storage.

use serde::Deserialize;

use super::Vmid;
use crate::proxmox::wire;

/// A volume, as far as backups need it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Volume {
    /// Its id, `storage:path`; a backup server's path holds colons of its own.
    #[serde(deserialize_with = "wire::required_text")]
    pub volid: String,
    /// What it is: `backup`, `images`, `iso` and so on.
    #[serde(default, deserialize_with = "wire::text")]
    pub content: Option<String>,
    /// The guest it belongs to.
    #[serde(default, deserialize_with = "wire::number")]
    pub vmid: Option<Vmid>,
    /// The kind of guest; older releases do not tell.
    #[serde(default, deserialize_with = "wire::text")]
    pub subtype: Option<String>,
    /// `vma.zst`, `tar.lzo`, `pbs-vm` and so on.
    #[serde(default, deserialize_with = "wire::text")]
    pub format: Option<String>,
    /// When it was made, in seconds since 1970.
    #[serde(default, deserialize_with = "wire::number")]
    pub ctime: Option<i64>,
    /// Its size in bytes.
    #[serde(default, deserialize_with = "wire::number")]
    pub size: Option<u64>,
    /// How many bytes of it are in use.
    #[serde(default, deserialize_with = "wire::number")]
    pub used: Option<u64>,
    /// The fingerprint of the key it is encrypted with, or `1`.
    #[serde(default, deserialize_with = "wire::text")]
    pub encrypted: Option<String>,
    /// The first line of its notes.
    #[serde(default, deserialize_with = "wire::text")]
    pub notes: Option<String>,
    /// Whether nobody may remove it.
    #[serde(default, deserialize_with = "wire::flag")]
    pub protected: bool,
    /// The volume that it is a clone of.
    #[serde(default, deserialize_with = "wire::text")]
    pub parent: Option<String>,
    /// How the backup server's last verification went.
    #[serde(default)]
    pub verification: Option<Verification>,
}

/// How the verification of a backup went.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Verification {
    /// `ok`, `failed` or `none`.
    #[serde(default, deserialize_with = "wire::text")]
    pub state: Option<String>,
    /// The task that verified it, on the backup server.
    #[serde(default, deserialize_with = "wire::text")]
    pub upid: Option<String>,
}

impl Volume {
    /// Whether it is a backup.
    pub fn is_backup(&self) -> bool {
        self.content.as_deref() == Some("backup")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn volume_of_odd_forms_is_read() {
        let row = json!({
            "volid": "vault:backup/vm/204/2025-02-11T09:00:00Z", "content": "backup", "vmid": "204",
            "ctime": "1739264400", "size": "42949672960", "encrypted": 1, "notes": "",
            "verification": {"state": "ok", "upid": "UPID:pbs1:1"}, "protected": 1,
        });
        let volume: Volume = serde_json::from_value(row).unwrap();
        assert!(volume.is_backup());
        assert_eq!((volume.vmid, volume.ctime), (Some(Vmid(204)), Some(1_739_264_400)));
        assert_eq!((volume.size, volume.notes.as_deref()), (Some(42_949_672_960), None));
        assert_eq!(volume.encrypted.as_deref(), Some("1"));
        assert_eq!(volume.verification.unwrap().state.as_deref(), Some("ok"));
    }
}
