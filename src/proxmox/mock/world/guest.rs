//! Guests: virtual machines and containers, their snapshots and what their agents answer.

use super::settings::{Settings, property, size_bytes};

/// What a guest is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GuestKind {
    /// A virtual machine.
    Qemu,
    /// A container.
    Lxc,
}

impl GuestKind {
    /// The word in paths and rows.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Qemu => "qemu",
            Self::Lxc => "lxc",
        }
    }
}

/// The state of a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GuestStatus {
    /// It runs.
    Running,
    /// It does not run.
    Stopped,
    /// The statistics daemon knows nothing of it: its row in `/cluster/resources` has neither name nor sizes.
    Unknown,
}

impl GuestStatus {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Stopped => "stopped",
            Self::Unknown => "unknown",
        }
    }
}

/// What happens when the guest agent is asked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Agent {
    /// No agent is configured.
    #[default]
    Absent,
    /// Configured, but nothing answers in the guest.
    NotRunning,
    /// Configured and hanging: an answer takes until the server's own limit.
    Wedged,
    /// Answers with interfaces derived from the guest's `netN` keys.
    Plain,
    /// Answers with these interfaces.
    Interfaces(Vec<AgentInterface>),
    /// The guest refuses the command: status 200 with an error object in place of the list.
    Disabled,
}

impl Agent {
    /// Whether the configuration switches the agent on.
    pub const fn is_configured(&self) -> bool {
        !matches!(self, Self::Absent)
    }
}

/// One interface as seen from inside a guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentInterface {
    /// Name inside the guest, such as `ens18`, `ens18:1`, `docker0`.
    pub name: String,
    /// Hardware address; absent on Windows loopbacks.
    pub mac: Option<String>,
    /// Addresses with their prefix length; Windows answers -1. `None` leaves the key out.
    pub addresses: Option<Vec<(String, i16)>>,
}

impl AgentInterface {
    /// An interface with addresses written as `10.0.0.1/24`.
    pub fn new(name: &str, mac: &str, addresses: &[&str]) -> Self {
        let split = |text: &&str| match text.rsplit_once('/') {
            Some((address, prefix)) => (address.to_owned(), prefix.parse().unwrap_or(-1)),
            None => (text.to_string(), -1),
        };
        Self {
            name: name.to_owned(),
            mac: (!mac.is_empty()).then(|| mac.to_owned()),
            addresses: Some(addresses.iter().map(split).collect()),
        }
    }
}

/// One snapshot of a guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Its name.
    pub name: String,
    /// The operator's words, possibly empty.
    pub description: String,
    /// When it was taken, seconds since 1970.
    pub snaptime: i64,
    /// The snapshot it was taken on.
    pub parent: Option<String>,
    /// Whether the memory was saved with it (virtual machines only).
    pub vmstate: bool,
}

/// One guest. Everything of its configuration that has no field here stands in `config`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guest {
    /// Its number, one per cluster.
    pub vmid: u32,
    /// Virtual machine or container.
    pub kind: GuestKind,
    /// `name` of a virtual machine, `hostname` of a container.
    pub name: String,
    /// The node it is on.
    pub node: String,
    /// Whether it runs.
    pub status: GuestStatus,
    /// Whether it is a template.
    pub template: bool,
    /// Processor cores per socket.
    pub cores: u32,
    /// Processor sockets (virtual machines only).
    pub sockets: u32,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Tags in config order.
    pub tags: Vec<String>,
    /// The separator between tags: `;`, and `,` or a blank in files written by hand.
    pub tag_separator: char,
    /// Notes, as plain text.
    pub description: Option<String>,
    /// The pool it is a member of.
    pub pool: Option<String>,
    /// The lock of a task at work: `backup`, `migrate`, `snapshot`…
    pub lock: Option<String>,
    /// When it was started, seconds since 1970; meaningful while it runs.
    pub started_at: i64,
    /// What its agent answers (virtual machines only).
    pub agent: Agent,
    /// Every other key of the configuration: disks, interfaces, operating system, cloud-init…
    pub config: Settings,
    /// Its snapshots, oldest first.
    pub snapshots: Vec<Snapshot>,
}

impl Guest {
    /// A stopped guest with one core, 512 MiB and an empty configuration.
    pub fn new(kind: GuestKind, vmid: u32, name: &str, node: &str) -> Self {
        Self {
            vmid,
            kind,
            name: name.to_owned(),
            node: node.to_owned(),
            status: GuestStatus::Stopped,
            template: false,
            cores: 1,
            sockets: 1,
            memory_mib: 512,
            tags: Vec::new(),
            tag_separator: ';',
            description: None,
            pool: None,
            lock: None,
            started_at: 0,
            agent: Agent::Absent,
            config: Settings::new(),
            snapshots: Vec::new(),
        }
    }

    /// Whether it runs.
    pub fn is_running(&self) -> bool {
        self.status == GuestStatus::Running
    }

    /// Processors that the guest sees.
    pub fn cpus(&self) -> u32 {
        match self.kind {
            GuestKind::Qemu => self.cores * self.sockets,
            GuestKind::Lxc => self.cores,
        }
    }

    /// Its tags as one text, where it has any.
    pub fn tag_text(&self) -> Option<String> {
        (!self.tags.is_empty()).then(|| self.tags.join(&self.tag_separator.to_string()))
    }

    /// Size in bytes of the boot disk or root file system, 0 where none is known.
    pub fn boot_disk_bytes(&self) -> u64 {
        ["rootfs", "scsi0", "virtio0", "sata0", "ide0"]
            .iter()
            .filter_map(|key| self.config.text(key))
            .find_map(|disk| size_bytes(property(disk, "size")?))
            .unwrap_or(0)
    }

    /// The hardware address of interface `netN`.
    pub fn mac(&self, index: usize) -> Option<&str> {
        let net = self.config.text(&format!("net{index}"))?;
        if let Some(mac) = property(net, "hwaddr") {
            return Some(mac);
        }
        net.split(',').next()?.split_once('=').map(|(_, mac)| mac)
    }

    /// Resizes a disk of the configuration; tells whether it is there with a size.
    pub fn resize_disk(&mut self, key: &str, size: &str) -> bool {
        let Some(disk) = self.config.text(key) else {
            return false;
        };
        let Some(old) = property(disk, "size") else {
            return false;
        };
        let resized = disk.replace(&format!("size={old}"), &format!("size={size}"));
        self.config.set(key.to_owned(), resized);
        true
    }
}
