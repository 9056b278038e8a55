//! Figures, as metric servers get them.

use serde::Deserialize;

use crate::proxmox::wire;

/// A row of `cluster/metrics/export`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Metric {
    /// What it is about: `qemu/100`, `node/pve1`, `storage/pve1/local`.
    #[serde(deserialize_with = "wire::required_text")]
    pub id: String,
    /// Which figure: `cpu_current`, `mem_used`.
    #[serde(deserialize_with = "wire::required_text")]
    pub metric: String,
    /// When it held, in seconds since 1970.
    #[serde(deserialize_with = "wire::required_number")]
    pub timestamp: i64,
    /// `gauge`, `counter` or `derive`.
    #[serde(rename = "type", default, deserialize_with = "wire::text")]
    pub kind: Option<String>,
    /// The figure; `None` where it is not known.
    #[serde(default, deserialize_with = "wire::number")]
    pub value: Option<f64>,
}
