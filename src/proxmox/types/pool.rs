//! Pools: guests and storages under one name.

use serde::Deserialize;

use super::ClusterResource;
use crate::proxmox::wire;

/// A row of `pools`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Pool {
    /// Its name.
    #[serde(deserialize_with = "wire::required_text")]
    pub poolid: String,
    /// What the operator wrote about it.
    #[serde(default, deserialize_with = "wire::text")]
    pub comment: Option<String>,
    /// Its members, where they are told.
    #[serde(default)]
    pub members: Vec<ClusterResource>,
}
