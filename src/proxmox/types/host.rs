//! What a node is made of: services, disks, pools of disks, certificates.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::proxmox::wire;

/// A row of `nodes/{node}/services`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Service {
    /// Its name.
    #[serde(deserialize_with = "wire::required_text")]
    pub service: String,
    /// Its other name.
    #[serde(default, deserialize_with = "wire::text")]
    pub name: Option<String>,
    /// What it does.
    #[serde(default, deserialize_with = "wire::text")]
    pub desc: Option<String>,
    /// `running`, `dead` and so on.
    #[serde(default, deserialize_with = "wire::text")]
    pub state: Option<String>,
    /// What systemd says of it.
    #[serde(rename = "active-state", default, deserialize_with = "wire::text")]
    pub active_state: Option<String>,
    /// `enabled`, `disabled`, `masked` and so on.
    #[serde(rename = "unit-state", default, deserialize_with = "wire::text")]
    pub unit_state: Option<String>,
}

/// `nodes/{node}/config`: the operator's settings of a node.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct NodeConfig {
    /// What the operator wrote about it.
    #[serde(default, deserialize_with = "wire::text")]
    pub description: Option<String>,
    /// How it is woken: a MAC address, or `mac=…,bind-interface=…`.
    #[serde(default, deserialize_with = "wire::text")]
    pub wakeonlan: Option<String>,
    /// Seconds between its start and that of its guests.
    #[serde(rename = "startall-onboot-delay", default, deserialize_with = "wire::number")]
    pub startall_onboot_delay: Option<u32>,
    /// Where it stands: `latitude=…,longitude=…,name=…`.
    #[serde(default, deserialize_with = "wire::text")]
    pub location: Option<String>,
    /// The other settings, as sent.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// A row of `nodes/{node}/disks/list`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Disk {
    /// Such as `/dev/sda`.
    #[serde(deserialize_with = "wire::required_text")]
    pub devpath: String,
    /// What it is used for; `None` where nothing is told.
    #[serde(default, deserialize_with = "wire::text")]
    pub used: Option<String>,
    /// Bytes.
    #[serde(default, deserialize_with = "wire::number")]
    pub size: Option<u64>,
    /// What its maker calls it.
    #[serde(default, deserialize_with = "wire::text")]
    pub model: Option<String>,
    /// Its number.
    #[serde(default, deserialize_with = "wire::text")]
    pub serial: Option<String>,
    /// Its maker.
    #[serde(default, deserialize_with = "wire::text")]
    pub vendor: Option<String>,
    /// Its name in the world.
    #[serde(default, deserialize_with = "wire::text")]
    pub wwn: Option<String>,
    /// `PASSED`, `OK`, `UNKNOWN` and so on.
    #[serde(default, deserialize_with = "wire::text")]
    pub health: Option<String>,
    /// `hdd`, `ssd`, `nvme` and so on.
    #[serde(rename = "type", default, deserialize_with = "wire::text")]
    pub kind: Option<String>,
    /// How much of its life is left, in percent, or `N/A`.
    #[serde(default, deserialize_with = "wire::text")]
    pub wearout: Option<String>,
    /// Turns in a minute; 0 where it has none, -1 where it is not known.
    #[serde(default, deserialize_with = "wire::number")]
    pub rpm: Option<i64>,
}

/// A row of `nodes/{node}/disks/zfs`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ZfsPool {
    /// Its name.
    #[serde(deserialize_with = "wire::required_text")]
    pub name: String,
    /// Bytes.
    #[serde(default, deserialize_with = "wire::number")]
    pub size: Option<u64>,
    /// Bytes in use.
    #[serde(default, deserialize_with = "wire::number")]
    pub alloc: Option<u64>,
    /// Bytes free.
    #[serde(default, deserialize_with = "wire::number")]
    pub free: Option<u64>,
    /// How fragmented it is, in percent.
    #[serde(default, deserialize_with = "wire::number")]
    pub frag: Option<i64>,
    /// How many times what is stored is stored once.
    #[serde(default, deserialize_with = "wire::number")]
    pub dedup: Option<f64>,
    /// `ONLINE`, `DEGRADED` and so on.
    #[serde(default, deserialize_with = "wire::text")]
    pub health: Option<String>,
}

/// `nodes/{node}/disks/zfs/{name}`: a pool and what it is made of.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ZfsPoolDetail {
    /// Its name.
    #[serde(deserialize_with = "wire::required_text")]
    pub name: String,
    /// `ONLINE`, `DEGRADED` and so on.
    #[serde(default, deserialize_with = "wire::text")]
    pub state: Option<String>,
    /// What is damaged, in words.
    #[serde(default, deserialize_with = "wire::text")]
    pub errors: Option<String>,
    /// What is wrong with it.
    #[serde(default, deserialize_with = "wire::text")]
    pub status: Option<String>,
    /// What is to be done about it.
    #[serde(default, deserialize_with = "wire::text")]
    pub action: Option<String>,
    /// How its last check went.
    #[serde(default, deserialize_with = "wire::text")]
    pub scan: Option<String>,
    /// What it is made of.
    #[serde(default)]
    pub children: Vec<ZfsDevice>,
}

/// A part of a pool: a group of disks, or a disk.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ZfsDevice {
    /// Its name.
    #[serde(deserialize_with = "wire::required_text")]
    pub name: String,
    /// `ONLINE`, `FAULTED` and so on.
    #[serde(default, deserialize_with = "wire::text")]
    pub state: Option<String>,
    /// Failed reads.
    #[serde(default, deserialize_with = "wire::number")]
    pub read: Option<u64>,
    /// Failed writes.
    #[serde(default, deserialize_with = "wire::number")]
    pub write: Option<u64>,
    /// Damaged blocks.
    #[serde(default, deserialize_with = "wire::number")]
    pub cksum: Option<u64>,
    /// What is said of it.
    #[serde(default, deserialize_with = "wire::text")]
    pub msg: Option<String>,
    /// What it is made of.
    #[serde(default)]
    pub children: Vec<ZfsDevice>,
}

/// A row of `nodes/{node}/certificates/info`; the certificate itself is left out.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Certificate {
    /// Its file.
    #[serde(default, deserialize_with = "wire::text")]
    pub filename: Option<String>,
    /// SHA-256, upper-case hex pairs joined by colons.
    #[serde(default, deserialize_with = "wire::text")]
    pub fingerprint: Option<String>,
    /// Whose it is.
    #[serde(default, deserialize_with = "wire::text")]
    pub subject: Option<String>,
    /// Who signed it.
    #[serde(default, deserialize_with = "wire::text")]
    pub issuer: Option<String>,
    /// From when it holds, in seconds since 1970.
    #[serde(default, deserialize_with = "wire::number")]
    pub notbefore: Option<i64>,
    /// Until when it holds, in seconds since 1970.
    #[serde(default, deserialize_with = "wire::number")]
    pub notafter: Option<i64>,
    /// The names in it.
    #[serde(default, deserialize_with = "wire::text_list")]
    pub san: Vec<String>,
}
