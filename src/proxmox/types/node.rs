//! Rows of `nodes`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::proxmox::wire;

/// One row of `nodes`. Without Sys.Audit on the node, and while it is off, there are no figures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeRow {
    /// The node's name.
    #[serde(deserialize_with = "wire::required_text")]
    pub node: String,
    /// `online`, `offline` or `unknown`.
    #[serde(default, deserialize_with = "wire::text")]
    pub status: Option<String>,
    /// `node/NAME`.
    #[serde(default, deserialize_with = "wire::text")]
    pub id: Option<String>,
    /// SHA-256 fingerprint of the node's certificate, for any identity.
    #[serde(default, deserialize_with = "wire::text")]
    pub ssl_fingerprint: Option<String>,
    /// Processor load, as a share.
    #[serde(default, deserialize_with = "wire::number")]
    pub cpu: Option<f64>,
    /// Processors.
    #[serde(default, deserialize_with = "wire::number")]
    pub maxcpu: Option<u32>,
    /// Memory in use, in bytes.
    #[serde(default, deserialize_with = "wire::number")]
    pub mem: Option<u64>,
    /// Memory, in bytes.
    #[serde(default, deserialize_with = "wire::number")]
    pub maxmem: Option<u64>,
    /// Root disk in use, in bytes.
    #[serde(default, deserialize_with = "wire::number")]
    pub disk: Option<u64>,
    /// Root disk, in bytes.
    #[serde(default, deserialize_with = "wire::number")]
    pub maxdisk: Option<u64>,
    /// Seconds since the start.
    #[serde(default, deserialize_with = "wire::number")]
    pub uptime: Option<u64>,
    /// The subscription level.
    #[serde(default, deserialize_with = "wire::text")]
    pub level: Option<String>,
    /// Keys this service does not know, as sent.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}
