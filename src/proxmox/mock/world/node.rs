//! Nodes, their network interfaces and their services.

use super::settings::Settings;

/// One network interface of a node, as `/nodes/{node}/network` tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeInterface {
    /// Its name, such as `vmbr0`.
    pub iface: String,
    /// Its type: `eth`, `bridge`, `bond`, `vlan`, `OVSBridge`, `OVSBond`, `OVSPort`, `OVSIntPort`, `alias`, `unknown`.
    pub kind: String,
    /// Every other key, in Proxmox's own spelling.
    pub settings: Settings,
}

impl NodeInterface {
    /// An interface without further keys.
    pub fn new(iface: &str, kind: &str) -> Self {
        Self {
            iface: iface.to_owned(),
            kind: kind.to_owned(),
            settings: Settings::new(),
        }
    }

    /// The same interface with `key` set.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl Into<super::settings::Setting>) -> Self {
        self.settings.set(key, value);
        self
    }
}

/// One member of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its short name.
    pub name: String,
    /// What it was called before; its archive of tasks tells of those that ran under that name too.
    pub former_name: Option<String>,
    /// Its number in the cluster, from 1; 0 when standalone.
    pub id: u32,
    /// Its address in the cluster network.
    pub ip: String,
    /// Whether it is up. Requests below `/nodes/{name}` of a node that is not answer 595.
    pub online: bool,
    /// Processor threads.
    pub cpus: u32,
    /// Memory in bytes.
    pub memory: u64,
    /// Used part of the memory in bytes.
    pub memory_used: u64,
    /// Root file system in bytes.
    pub disk: u64,
    /// Used part of the root file system in bytes.
    pub disk_used: u64,
    /// When it was started, seconds since 1970.
    pub booted_at: i64,
    /// SHA-256 of its certificate, upper-case hex pairs joined by colons.
    pub ssl_fingerprint: String,
    /// Its time zone, such as `Europe/Vienna`.
    pub timezone: String,
    /// Seconds east of Greenwich of its local time.
    pub utc_offset: i64,
    /// Notes of the node, from `/nodes/{node}/config`.
    pub description: Option<String>,
    /// Its network interfaces.
    pub interfaces: Vec<NodeInterface>,
    /// Interface changes not yet applied, as the text difference that stands in the envelope.
    pub pending_network: Option<String>,
}

impl Node {
    /// An online node with 16 threads and 64 GiB, without interfaces.
    pub fn new(name: &str, id: u32, ip: &str) -> Self {
        Self {
            name: name.to_owned(),
            former_name: None,
            id,
            ip: ip.to_owned(),
            online: true,
            cpus: 16,
            memory: 64 << 30,
            memory_used: 23 << 30,
            disk: 100_861_726_720,
            disk_used: 5_513_633_792,
            booted_at: 0,
            ssl_fingerprint: String::new(),
            timezone: "Europe/Vienna".to_owned(),
            utc_offset: 7_200,
            description: None,
            interfaces: Vec::new(),
            pending_network: None,
        }
    }
}
