//! How software-defined networks stand on nodes: rows of `nodes/{node}/sdn/…`.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::sdn::first;
use crate::proxmox::wire;

/// What a row tells of how a network stands on a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SdnNodeKind {
    /// That a zone is there, of `nodes/{node}/sdn/zones`.
    Zone,
    /// A bridge of a zone, of `…/zones/{zone}/bridges`.
    Bridge,
    /// A virtual network of a zone, of `…/zones/{zone}/content`.
    Content,
    /// A route of a zone, of `…/zones/{zone}/ip-vrf`.
    IpVrf,
    /// A neighbour on a virtual network, of `nodes/{node}/sdn/vnets/{vnet}/mac-vrf`.
    MacVrf,
}

impl SdnNodeKind {
    /// The kind's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Zone => "node-zone",
            Self::Bridge => "node-zone-bridge",
            Self::Content => "node-zone-content",
            Self::IpVrf => "node-ip-vrf",
            Self::MacVrf => "node-mac-vrf",
        }
    }
}

/// What a node says of a network on it, as far as its rows have anything in common.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct SdnState {
    /// The zone.
    #[serde(default, deserialize_with = "wire::text")]
    pub zone: Option<String>,
    /// The virtual network.
    #[serde(default, deserialize_with = "wire::text")]
    pub vnet: Option<String>,
    /// `available`, `pending` or `error`.
    #[serde(default, deserialize_with = "wire::text")]
    pub status: Option<String>,
    #[serde(default, deserialize_with = "wire::text")]
    name: Option<String>,
    #[serde(default, deserialize_with = "wire::text")]
    ip: Option<String>,
    #[serde(default, deserialize_with = "wire::text")]
    mac: Option<String>,
    #[serde(default, deserialize_with = "wire::text")]
    route: Option<String>,
    #[serde(default, deserialize_with = "wire::text")]
    subdir: Option<String>,
    /// The kind of object in NetBox that the network ends at.
    #[serde(alias = "assigned_object_type", default, deserialize_with = "wire::text")]
    pub target_type: Option<String>,
    /// That object.
    #[serde(alias = "assigned_object_id", default, deserialize_with = "wire::number")]
    pub target_id: Option<u64>,
    /// The VLAN that the network ends at.
    #[serde(alias = "vlan", default, deserialize_with = "wire::number")]
    pub vid: Option<u64>,
}

impl SdnState {
    /// What tells the row from others of its kind: a name, an address or a route.
    pub fn name(&self) -> Option<&str> {
        first([&self.name, &self.ip, &self.mac, &self.route, &self.subdir])
    }
}

/// A row about a network on a node.
#[derive(Debug, Clone, PartialEq)]
pub struct SdnNodeRow {
    /// The node.
    pub node: String,
    /// What the row tells.
    pub kind: SdnNodeKind,
    /// What it says.
    pub state: SdnState,
    /// The whole row as sent.
    pub raw: Map<String, Value>,
}
