//! Storages as one node sees them.

use serde::Deserialize;

use crate::proxmox::wire;

/// A row of `nodes/{node}/storage`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct StorageState {
    /// The storage's name.
    #[serde(deserialize_with = "wire::required_text")]
    pub storage: String,
    /// The plugin's name, such as `dir`, `nfs`, `lvmthin`.
    #[serde(rename = "type", default, deserialize_with = "wire::text")]
    pub kind: Option<String>,
    /// Kinds of content.
    #[serde(default, deserialize_with = "wire::text_list")]
    pub content: Vec<String>,
    /// Whether the node can reach it.
    #[serde(default, deserialize_with = "wire::flag")]
    pub active: bool,
    /// Whether it is switched on.
    #[serde(default, deserialize_with = "wire::flag")]
    pub enabled: bool,
    /// Whether all nodes see the same.
    #[serde(default, deserialize_with = "wire::flag")]
    pub shared: bool,
    /// Bytes in all.
    #[serde(default, deserialize_with = "wire::number")]
    pub total: Option<u64>,
    /// Bytes in use.
    #[serde(default, deserialize_with = "wire::number")]
    pub used: Option<u64>,
    /// Bytes free.
    #[serde(default, deserialize_with = "wire::number")]
    pub avail: Option<u64>,
}

/// `nodes/{node}/storage/{storage}/identity`: by what storages of several clusters are known to be the same.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct StorageIdentity {
    /// What tells it apart from every other.
    #[serde(default, deserialize_with = "wire::text")]
    pub id: Option<String>,
    /// The plugin's name.
    #[serde(rename = "type", default, deserialize_with = "wire::text")]
    pub kind: Option<String>,
}
