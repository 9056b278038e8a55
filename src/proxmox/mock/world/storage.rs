//! Storages and the backups on them.

use time::OffsetDateTime;

use super::guest::GuestKind;
use super::settings::Settings;

/// One storage of the cluster configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Storage {
    /// Its id.
    pub id: String,
    /// Its plugin: `dir`, `lvmthin`, `nfs`, `rbd`, `pbs`…
    pub kind: String,
    /// What may be kept on it. Servers tell it in changing order.
    pub content: Vec<String>,
    /// The nodes it is limited to; empty means all.
    pub nodes: Vec<String>,
    /// Whether it holds the same on every node.
    pub shared: bool,
    /// Whether it is switched off.
    pub disabled: bool,
    /// Whether it answers. A storage that does not has no figures, and its content answers 500.
    pub reachable: bool,
    /// Capacity in bytes, per node where it is not shared.
    pub total: u64,
    /// Used bytes.
    pub used: u64,
    /// Every other key of its configuration, in Proxmox's own spelling.
    pub settings: Settings,
}

impl Storage {
    /// A storage of half a TiB, a quarter of it used, on all nodes.
    pub fn new(id: &str, kind: &str, content: &[&str]) -> Self {
        Self {
            id: id.to_owned(),
            kind: kind.to_owned(),
            content: content.iter().map(ToString::to_string).collect(),
            nodes: Vec::new(),
            shared: false,
            disabled: false,
            reachable: true,
            total: 512 << 30,
            used: 128 << 30,
            settings: Settings::new(),
        }
    }

    /// Whether `node` sees it.
    pub fn is_on(&self, node: &str) -> bool {
        !self.disabled && (self.nodes.is_empty() || self.nodes.iter().any(|name| name == node))
    }

    /// Whether it may hold `content`.
    pub fn holds(&self, content: &str) -> bool {
        self.content.iter().any(|kind| kind == content)
    }
}

/// One backup of a guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backup {
    /// The storage it is on.
    pub storage: String,
    /// The node it is on, where the storage is not shared.
    pub node: Option<String>,
    /// The guest it was made of; the guest may be gone.
    pub vmid: u32,
    /// What the guest is.
    pub kind: GuestKind,
    /// When it was made, seconds since 1970.
    pub ctime: i64,
    /// Size in bytes.
    pub size: u64,
    /// First line of its notes.
    pub notes: Option<String>,
    /// Whether it is protected from pruning.
    pub protected: bool,
    /// Set on a backup server: its namespace (empty for the root), which verification adds to.
    pub server: Option<ServerBackup>,
}

/// What only backups on a Proxmox Backup Server have.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServerBackup {
    /// Namespace inside the datastore; empty for the root namespace.
    pub namespace: String,
    /// State of the last verification, `ok` or `failed`.
    pub verification: Option<String>,
    /// Fingerprint of the key it is encrypted with, or `1`.
    pub encrypted: Option<String>,
}

impl Backup {
    /// The volume id, in the form of its storage.
    ///
    /// A file is named `vzdump-qemu-100-2026_06_30-02_00_03.vma.zst` after local time; a backup server names it
    /// `backup/vm/100/2026-06-30T02:00:03Z`, below `backup/ns/…` outside the root namespace.
    pub fn volid(&self) -> String {
        let at = OffsetDateTime::from_unix_timestamp(self.ctime).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let (year, month, day) = at.to_calendar_date();
        let (month, (hour, minute, second)) = (u8::from(month), at.to_hms());
        let (storage, vmid) = (&self.storage, self.vmid);
        match &self.server {
            Some(server) => {
                let place = server.namespace.split('/').filter(|part| !part.is_empty());
                let place = place.map(|part| format!("ns/{part}/")).collect::<Vec<_>>().concat();
                let kind = match self.kind {
                    GuestKind::Qemu => "vm",
                    GuestKind::Lxc => "ct",
                };
                let at = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z");
                format!("{storage}:backup/{place}{kind}/{vmid}/{at}")
            }
            None => format!(
                "{storage}:backup/vzdump-{}-{vmid}-{year:04}_{month:02}_{day:02}-{hour:02}_{minute:02}_{second:02}.{}",
                self.kind.as_str(),
                self.format()
            ),
        }
    }

    /// The format word of its row.
    pub fn format(&self) -> &'static str {
        match (&self.server, self.kind) {
            (Some(_), GuestKind::Qemu) => "pbs-vm",
            (Some(_), GuestKind::Lxc) => "pbs-ct",
            (None, GuestKind::Qemu) => "vma.zst",
            (None, GuestKind::Lxc) => "tar.zst",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volume_ids_follow_the_storage_and_the_guest() {
        let mut backup = Backup {
            storage: "nas".to_owned(),
            node: None,
            vmid: 100,
            kind: GuestKind::Lxc,
            ctime: 1_736_388_001,
            size: 1,
            notes: None,
            protected: false,
            server: None,
        };
        assert_eq!(backup.volid(), "nas:backup/vzdump-lxc-100-2025_01_09-02_00_01.tar.zst");
        backup.kind = GuestKind::Qemu;
        backup.server = Some(ServerBackup::default());
        assert_eq!(backup.volid(), "nas:backup/vm/100/2025-01-09T02:00:01Z");
        backup.server = Some(ServerBackup {
            namespace: "site-a/rack1".to_owned(),
            ..ServerBackup::default()
        });
        assert_eq!(
            backup.volid(),
            "nas:backup/ns/site-a/ns/rack1/vm/100/2025-01-09T02:00:01Z"
        );
    }
}
