//! Firewalls.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::proxmox::wire;

/// A row of a list of firewall rules.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct FirewallRule {
    /// Its place, from 0.
    #[serde(default, deserialize_with = "wire::number")]
    pub pos: Option<i64>,
    /// `in`, `out`, `forward` or `group`.
    #[serde(rename = "type", default, deserialize_with = "wire::text")]
    pub kind: Option<String>,
    /// `ACCEPT`, `DROP`, `REJECT`, or the name of a group.
    #[serde(default, deserialize_with = "wire::text")]
    pub action: Option<String>,
    /// Whether it is in force.
    #[serde(default, deserialize_with = "wire::maybe_flag")]
    pub enable: Option<bool>,
    /// Where packets come from.
    #[serde(default, deserialize_with = "wire::text")]
    pub source: Option<String>,
    /// Where they go.
    #[serde(default, deserialize_with = "wire::text")]
    pub dest: Option<String>,
    /// Their protocol.
    #[serde(default, deserialize_with = "wire::text")]
    pub proto: Option<String>,
    /// The ports they come from.
    #[serde(default, deserialize_with = "wire::text")]
    pub sport: Option<String>,
    /// The ports they go to.
    #[serde(default, deserialize_with = "wire::text")]
    pub dport: Option<String>,
    /// A rule that stands for several.
    #[serde(rename = "macro", default, deserialize_with = "wire::text")]
    pub r#macro: Option<String>,
    /// The kinds of ICMP message that it is about.
    #[serde(rename = "icmp-type", default, deserialize_with = "wire::text")]
    pub icmp_type: Option<String>,
    /// The interface.
    #[serde(default, deserialize_with = "wire::text")]
    pub iface: Option<String>,
    /// At which level it is logged.
    #[serde(default, deserialize_with = "wire::text")]
    pub log: Option<String>,
    /// What the operator wrote about it.
    #[serde(default, deserialize_with = "wire::text")]
    pub comment: Option<String>,
}

/// A row of a list of named things: groups, sets of addresses, aliases.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct FirewallName {
    /// Its name; groups have `group` instead.
    #[serde(default, deserialize_with = "wire::text")]
    pub name: Option<String>,
    /// The name of a group.
    #[serde(default, deserialize_with = "wire::text")]
    pub group: Option<String>,
    /// Of an alias, or in a set: the address or network.
    #[serde(default, deserialize_with = "wire::text")]
    pub cidr: Option<String>,
    /// In a set: whether it is left out.
    #[serde(default, deserialize_with = "wire::flag")]
    pub nomatch: bool,
    /// What the operator wrote about it.
    #[serde(default, deserialize_with = "wire::text")]
    pub comment: Option<String>,
}

/// The options of a firewall.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct FirewallOptions {
    /// Whether it is on; `None` where that is left to the default.
    #[serde(default, deserialize_with = "wire::maybe_flag")]
    pub enable: Option<bool>,
    /// What becomes of packets that come in and that no rule is about; nodes have none.
    #[serde(default, deserialize_with = "wire::text")]
    pub policy_in: Option<String>,
    /// What becomes of those that go out.
    #[serde(default, deserialize_with = "wire::text")]
    pub policy_out: Option<String>,
    /// What becomes of those that pass; only the cluster has it.
    #[serde(default, deserialize_with = "wire::text")]
    pub policy_forward: Option<String>,
    /// The other options, as sent.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}
