//! Rows of `cluster/status` and `cluster/resources`.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::guest::{GuestKind, Vmid};
use super::node::NodeRow;
use crate::proxmox::wire;

/// One row of `cluster/status`: the cluster itself, or one node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClusterStatus {
    /// `cluster` or `node`.
    #[serde(rename = "type", deserialize_with = "wire::required_text")]
    pub kind: String,
    /// `cluster`, or `node/NAME`.
    #[serde(default, deserialize_with = "wire::text")]
    pub id: Option<String>,
    /// Name of the cluster or node.
    #[serde(default, deserialize_with = "wire::text")]
    pub name: Option<String>,
    /// Cluster: how many nodes.
    #[serde(default, deserialize_with = "wire::number")]
    pub nodes: Option<u32>,
    /// Cluster: whether enough nodes agree.
    #[serde(default, deserialize_with = "wire::maybe_flag")]
    pub quorate: Option<bool>,
    /// Cluster: version of its configuration.
    #[serde(default, deserialize_with = "wire::number")]
    pub version: Option<u64>,
    /// Node: its cluster address.
    #[serde(default, deserialize_with = "wire::text")]
    pub ip: Option<String>,
    /// Node: its subscription level.
    #[serde(default, deserialize_with = "wire::text")]
    pub level: Option<String>,
    /// Node: whether it is the one that answered.
    #[serde(default, deserialize_with = "wire::maybe_flag")]
    pub local: Option<bool>,
    /// Node: its number; 0 outside a cluster.
    #[serde(default, deserialize_with = "wire::number")]
    pub nodeid: Option<u32>,
    /// Node: whether it takes part.
    #[serde(default, deserialize_with = "wire::maybe_flag")]
    pub online: Option<bool>,
    /// Keys this service does not know, as sent.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl ClusterStatus {
    /// What a row of `nodes` says about a member.
    pub fn of_node(row: NodeRow) -> Self {
        Self {
            kind: "node".to_owned(),
            id: row.id,
            name: Some(row.node),
            nodes: None,
            quorate: None,
            version: None,
            ip: None,
            level: row.level,
            local: None,
            nodeid: None,
            online: row.status.map(|status| status == "online"),
            other: Map::new(),
        }
    }

    /// Whether this row is the cluster itself.
    pub fn is_cluster(&self) -> bool {
        self.kind == "cluster"
    }

    /// Whether this row is a node.
    pub fn is_node(&self) -> bool {
        self.kind == "node"
    }
}

/// What a row of `cluster/resources` is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ResourceKind {
    /// A virtual machine.
    Qemu,
    /// A container.
    Lxc,
    /// A node.
    Node,
    /// A storage as one node sees it.
    Storage,
    /// A resource pool.
    Pool,
    /// An object of software-defined networking.
    Sdn,
    /// What a newer release may add, by its word.
    #[serde(untagged)]
    Unknown(String),
}

impl ResourceKind {
    /// The guest kind, where the row is a guest.
    pub const fn guest(&self) -> Option<GuestKind> {
        match self {
            Self::Qemu => Some(GuestKind::Qemu),
            Self::Lxc => Some(GuestKind::Lxc),
            Self::Node | Self::Storage | Self::Pool | Self::Sdn | Self::Unknown(_) => None,
        }
    }
}

/// One row of `cluster/resources`. A guest that the statistics do not know yet has neither name nor sizes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct ClusterResource {
    /// Unique in the cluster, such as `qemu/100` or `storage/pve1/local`; put together from the row where it is missing.
    #[serde(deserialize_with = "wire::required_text")]
    pub id: String,
    /// What the row is.
    #[serde(rename = "type")]
    pub kind: ResourceKind,
    /// Guests: the number.
    #[serde(default, deserialize_with = "wire::number")]
    pub vmid: Option<Vmid>,
    /// Guests: the name.
    #[serde(default, deserialize_with = "wire::text")]
    pub name: Option<String>,
    /// The node the row belongs to.
    #[serde(default, deserialize_with = "wire::text")]
    pub node: Option<String>,
    /// `running`, `stopped`, `online`, `available`, `unknown` and so on.
    #[serde(default, deserialize_with = "wire::text")]
    pub status: Option<String>,
    /// Processors given.
    #[serde(default, deserialize_with = "wire::number")]
    pub maxcpu: Option<f64>,
    /// Memory given, in bytes.
    #[serde(default, deserialize_with = "wire::number")]
    pub maxmem: Option<u64>,
    /// Disk given, in bytes.
    #[serde(default, deserialize_with = "wire::number")]
    pub maxdisk: Option<u64>,
    /// Guests: whether it is a template.
    #[serde(default, deserialize_with = "wire::flag")]
    pub template: bool,
    /// Storages: the storage's name.
    #[serde(default, deserialize_with = "wire::text")]
    pub storage: Option<String>,
    /// Storages: kinds of content, parted by commas.
    #[serde(default, deserialize_with = "wire::text")]
    pub content: Option<String>,
    /// Storages: whether all nodes see the same.
    #[serde(default, deserialize_with = "wire::maybe_flag")]
    pub shared: Option<bool>,
    /// Storages: the plugin's name.
    #[serde(default, deserialize_with = "wire::text")]
    pub plugintype: Option<String>,
    /// The resource pool.
    #[serde(default, deserialize_with = "wire::text")]
    pub pool: Option<String>,
    /// Guests: the tags.
    #[serde(default, deserialize_with = "wire::text_list")]
    pub tags: Vec<String>,
    /// Processor load, as a share of what is given.
    #[serde(default, deserialize_with = "wire::number")]
    pub cpu: Option<f64>,
    /// Memory in use, in bytes.
    #[serde(default, deserialize_with = "wire::number")]
    pub mem: Option<u64>,
    /// Disk in use, in bytes.
    #[serde(default, deserialize_with = "wire::number")]
    pub disk: Option<u64>,
    /// Seconds since the start.
    #[serde(default, deserialize_with = "wire::number")]
    pub uptime: Option<u64>,
    /// Nodes: the subscription level.
    #[serde(default, deserialize_with = "wire::text")]
    pub level: Option<String>,
    /// Guests: the state under high availability.
    #[serde(default, deserialize_with = "wire::text")]
    pub hastate: Option<String>,
    /// Guests: what holds the lock.
    #[serde(default, deserialize_with = "wire::text")]
    pub lock: Option<String>,
    /// Keys this service does not know, as sent.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl<'de> Deserialize<'de> for ClusterResource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut row: Map<String, Value> = Map::deserialize(deserializer)?;
        if row.get("id").is_none_or(Value::is_null)
            && let Some(id) = id_of(&row)
        {
            row.insert("id".to_owned(), Value::from(id));
        }
        Self::deserialize(row).map_err(D::Error::custom)
    }
}

impl Serialize for ClusterResource {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

/// The id that the server would give the row.
fn id_of(row: &Map<String, Value>) -> Option<String> {
    let text = |key| wire::text_of(row.get(key)?).ok().flatten();
    let kind = text("type")?;
    match kind.as_str() {
        "qemu" | "lxc" => Some(format!("{kind}/{}", text("vmid")?)),
        "node" => Some(format!("{kind}/{}", text("node")?)),
        "storage" => Some(format!("{kind}/{}/{}", text("node")?, text("storage")?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn resource_rows_of_odd_forms_are_read() {
        let row: ClusterResource = serde_json::from_value(json!({
            "id": "lxc/101", "type": "lxc", "vmid": "101", "maxdisk": "8589934592", "template": "", "lock": "",
            "tags": "b;a", "cpu": 0, "shared": 1, "memhost": 5,
        }))
        .unwrap();
        assert_eq!(row.vmid, Some(Vmid(101)));
        assert_eq!(row.maxdisk, Some(8_589_934_592));
        assert!(!row.template && row.lock.is_none() && row.name.is_none());
        assert_eq!(row.tags, ["b", "a"]);
        assert_eq!(row.other.get("memhost"), Some(&json!(5)));
    }

    #[test]
    fn resource_without_id_gets_the_one_the_server_would_give() {
        for (row, id) in [
            (json!({"type": "qemu", "vmid": "100", "node": "a"}), "qemu/100"),
            (json!({"type": "node", "node": "a", "id": null}), "node/a"),
            (
                json!({"type": "storage", "node": "a", "storage": "local"}),
                "storage/a/local",
            ),
        ] {
            let read: ClusterResource = serde_json::from_value(row.clone()).unwrap();
            assert_eq!(read.id, id, "{row}");
            assert_eq!(serde_json::to_value(&read).unwrap()["id"], json!(id), "{row}");
        }
        assert!(serde_json::from_value::<ClusterResource>(json!({"type": "qemu"})).is_err());
    }

    #[test]
    fn resource_of_unknown_kind_passes() {
        for (word, kind) in [
            ("qemu", ResourceKind::Qemu),
            ("sdn", ResourceKind::Sdn),
            ("network", ResourceKind::Unknown("network".to_owned())),
        ] {
            let row: ClusterResource = serde_json::from_value(json!({"id": "x", "type": word})).unwrap();
            assert_eq!(row.kind, kind, "{word}");
            assert_eq!(serde_json::to_value(&row.kind).unwrap(), json!(word));
        }
    }
}
