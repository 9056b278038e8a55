//! `nodes/{node}/{kind}/{vmid}/status/current` and the preflight of a migration.

use serde::Deserialize;

use super::Vmid;
use crate::proxmox::wire;

/// How a guest is doing.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct GuestStatus {
    /// Its number; `None` where one guest was asked for and the answer does not repeat it.
    #[serde(default, deserialize_with = "wire::number")]
    pub vmid: Option<Vmid>,
    /// `running` or `stopped`.
    #[serde(deserialize_with = "wire::required_text")]
    pub status: String,
    /// Its name.
    #[serde(default, deserialize_with = "wire::text")]
    pub name: Option<String>,
    /// What it is locked by.
    #[serde(default, deserialize_with = "wire::text")]
    pub lock: Option<String>,
    /// Of a virtual machine: `paused`, `prelaunch` and so on.
    #[serde(default, deserialize_with = "wire::text")]
    pub qmpstatus: Option<String>,
    /// Seconds since its start.
    #[serde(default, deserialize_with = "wire::number")]
    pub uptime: Option<u64>,
    /// Processors.
    #[serde(default, deserialize_with = "wire::number")]
    pub cpus: Option<f64>,
    /// Bytes of memory.
    #[serde(default, deserialize_with = "wire::number")]
    pub maxmem: Option<u64>,
    /// Bytes of its root disk.
    #[serde(default, deserialize_with = "wire::number")]
    pub maxdisk: Option<u64>,
    /// Whether it is a template.
    #[serde(default, deserialize_with = "wire::flag")]
    pub template: bool,
    /// Its tags.
    #[serde(default, deserialize_with = "wire::text_list")]
    pub tags: Vec<String>,
}

impl GuestStatus {
    /// Whether it runs, be it paused.
    pub fn is_running(&self) -> bool {
        self.status == "running"
    }
}

/// Whether and where a guest can be migrated.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct MigrationPreflight {
    /// The nodes it can go to; `None` where that is not told.
    #[serde(default)]
    pub allowed_nodes: Option<Vec<String>>,
    /// Disks that no other node can reach.
    #[serde(default)]
    pub local_disks: Vec<serde_json::Value>,
    /// Devices that no other node has.
    #[serde(default)]
    pub local_resources: Vec<serde_json::Value>,
    /// Whether it runs.
    #[serde(default, deserialize_with = "wire::flag")]
    pub running: bool,
}
