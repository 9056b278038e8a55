//! What a host needs to join the cluster, which is also who is in it.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::proxmox::wire;

/// `cluster/config/join`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct JoinInformation {
    /// The members.
    #[serde(default)]
    pub nodelist: Vec<JoinNode>,
    /// The member that a new one should turn to.
    #[serde(default, deserialize_with = "wire::text")]
    pub preferred_node: Option<String>,
    /// The digest of the configuration.
    #[serde(default, deserialize_with = "wire::text")]
    pub config_digest: Option<String>,
    /// How the members talk to each other, `cluster_name` among it.
    #[serde(default)]
    pub totem: Map<String, Value>,
}

/// A member, as those who join see it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct JoinNode {
    /// Its name.
    #[serde(deserialize_with = "wire::required_text")]
    pub name: String,
    /// Its number.
    #[serde(default, deserialize_with = "wire::number")]
    pub nodeid: Option<u32>,
    /// Its address for the API.
    #[serde(default, deserialize_with = "wire::text")]
    pub pve_addr: Option<String>,
    /// SHA-256 of its certificate, upper-case hex pairs joined by colons.
    #[serde(default, deserialize_with = "wire::text")]
    pub pve_fp: Option<String>,
    /// How many votes it has.
    #[serde(default, deserialize_with = "wire::number")]
    pub quorum_votes: Option<u32>,
    /// Its address on the first ring.
    #[serde(default, deserialize_with = "wire::text")]
    pub ring0_addr: Option<String>,
}
