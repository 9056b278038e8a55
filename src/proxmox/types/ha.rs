//! High availability: what is watched, how it stands, and the rules it follows.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::proxmox::wire;

/// A row of `cluster/ha/status/current`: the quorum, the master, a node's manager, a service, or the fencing.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct HaStatus {
    /// What the row is about, such as `service:vm:100`.
    #[serde(deserialize_with = "wire::required_text")]
    pub id: String,
    /// `quorum`, `master`, `lrm`, `service` or `fencing`.
    #[serde(rename = "type", default, deserialize_with = "wire::text")]
    pub kind: Option<String>,
    /// In words.
    #[serde(default, deserialize_with = "wire::text")]
    pub status: Option<String>,
    /// The node.
    #[serde(default, deserialize_with = "wire::text")]
    pub node: Option<String>,
    /// Of a service: `vm:100` or `ct:101`.
    #[serde(default, deserialize_with = "wire::text")]
    pub sid: Option<String>,
    /// Of a service: `started`, `stopped`, `error` and so on.
    #[serde(default, deserialize_with = "wire::text")]
    pub state: Option<String>,
    /// Of a service: what the master knows of it.
    #[serde(default, deserialize_with = "wire::text")]
    pub crm_state: Option<String>,
    /// Of a service: what is asked of it.
    #[serde(default, deserialize_with = "wire::text")]
    pub request_state: Option<String>,
    /// Of the quorum: whether enough nodes agree.
    #[serde(default, deserialize_with = "wire::maybe_flag")]
    pub quorate: Option<bool>,
    /// Whether a service returns to a better node.
    #[serde(default, deserialize_with = "wire::maybe_flag")]
    pub failback: Option<bool>,
    /// How often a service is moved after failed starts.
    #[serde(default, deserialize_with = "wire::number")]
    pub max_relocate: Option<i64>,
    /// How often it is restarted.
    #[serde(default, deserialize_with = "wire::number")]
    pub max_restart: Option<i64>,
    /// When its node last told, in seconds since 1970.
    #[serde(default, deserialize_with = "wire::number")]
    pub timestamp: Option<i64>,
    /// Of the fencing: `armed`, `standby`, `disarming` or `disarmed`.
    #[serde(rename = "armed-state", default, deserialize_with = "wire::text")]
    pub armed_state: Option<String>,
}

/// A row of `cluster/ha/resources`: a guest that is kept running.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct HaResource {
    /// `vm:100` or `ct:101`.
    #[serde(deserialize_with = "wire::required_text")]
    pub sid: String,
    /// `vm` or `ct`.
    #[serde(rename = "type", default, deserialize_with = "wire::text")]
    pub kind: Option<String>,
    /// What is asked of it.
    #[serde(default, deserialize_with = "wire::text")]
    pub state: Option<String>,
    /// Its group; before rules came.
    #[serde(default, deserialize_with = "wire::text")]
    pub group: Option<String>,
    /// How often it is restarted.
    #[serde(default, deserialize_with = "wire::number")]
    pub max_restart: Option<i64>,
    /// How often it is moved after failed starts.
    #[serde(default, deserialize_with = "wire::number")]
    pub max_relocate: Option<i64>,
    /// Whether it returns to a better node.
    #[serde(default, deserialize_with = "wire::maybe_flag")]
    pub failback: Option<bool>,
    /// What the operator wrote about it.
    #[serde(default, deserialize_with = "wire::text")]
    pub comment: Option<String>,
    /// What a change must name to be sure of nothing in between.
    #[serde(default, deserialize_with = "wire::text")]
    pub digest: Option<String>,
}

/// A row of `cluster/ha/groups`; releases from 9 on have rules in their place.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct HaGroup {
    /// Its name.
    #[serde(deserialize_with = "wire::required_text")]
    pub group: String,
    /// Its nodes, each with its priority where it has one: `pve1:2`.
    #[serde(default, deserialize_with = "wire::text_list")]
    pub nodes: Vec<String>,
    /// Whether its guests run on these nodes only.
    #[serde(default, deserialize_with = "wire::flag")]
    pub restricted: bool,
    /// Whether its guests stay where they are.
    #[serde(default, deserialize_with = "wire::flag")]
    pub nofailback: bool,
    /// What the operator wrote about it.
    #[serde(default, deserialize_with = "wire::text")]
    pub comment: Option<String>,
}

/// A row of `cluster/ha/rules`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct HaRule {
    /// Its name.
    #[serde(deserialize_with = "wire::required_text")]
    pub rule: String,
    /// `node-affinity` or `resource-affinity`.
    #[serde(rename = "type", default, deserialize_with = "wire::text")]
    pub kind: Option<String>,
    /// The guests it is about: `vm:100`.
    #[serde(default, deserialize_with = "wire::text_list")]
    pub resources: Vec<String>,
    /// The nodes they are to run on.
    #[serde(default, deserialize_with = "wire::text_list")]
    pub nodes: Vec<String>,
    /// Of guests among each other: `positive` or `negative`.
    #[serde(default, deserialize_with = "wire::text")]
    pub affinity: Option<String>,
    /// Whether it must be kept.
    #[serde(default, deserialize_with = "wire::flag")]
    pub strict: bool,
    /// Whether it is switched off.
    #[serde(default, deserialize_with = "wire::flag")]
    pub disable: bool,
    /// What the operator wrote about it.
    #[serde(default, deserialize_with = "wire::text")]
    pub comment: Option<String>,
}

/// `cluster/ha/status/manager_status`: how the manager itself sees things.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct HaManagerStatus {
    /// What the manager that leads has written down.
    #[serde(default)]
    pub manager_status: HaManager,
    /// Whether the node that answered is among enough others.
    #[serde(default)]
    pub quorum: HaQuorum,
}

/// What the leading manager has written down.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct HaManager {
    /// The node whose manager leads; none on an idle cluster.
    #[serde(default, deserialize_with = "wire::text")]
    pub master_node: Option<String>,
    /// When it last wrote, in seconds since 1970.
    #[serde(default, deserialize_with = "wire::number")]
    pub timestamp: Option<i64>,
    /// `online`, `fence`, `unknown` and so on, by node.
    #[serde(default)]
    pub node_status: BTreeMap<String, String>,
    /// Everything else, as sent: services and what is asked of them.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// Whether a node is among enough others.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct HaQuorum {
    /// The node.
    #[serde(default, deserialize_with = "wire::text")]
    pub node: Option<String>,
    /// Whether it is.
    #[serde(default, deserialize_with = "wire::maybe_flag")]
    pub quorate: Option<bool>,
}
