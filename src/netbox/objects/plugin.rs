//! The plugin's own rows: its endpoints, and the clusters and nodes it tracks for each.

use serde::{Deserialize, Serialize};

use super::Object;
use super::shape::{Nested, id, put_id};
use crate::reconcile::{Fields, ObjectId, Resource, Stored};

/// A Proxmox endpoint as the plugin knows it. Read only; secrets are never in the answer.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PluginEndpoint {
    /// Its primary key.
    pub id: ObjectId,
    /// Its name.
    pub name: Option<String>,
    /// Its DNS name.
    pub domain: Option<String>,
    /// Its address object.
    ip_address: Option<Address>,
    /// Its port.
    pub port: Option<u16>,
    /// Whether it takes part in syncs.
    #[serde(default = "yes")]
    pub enabled: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Address {
    address: String,
}

fn yes() -> bool {
    true
}

impl PluginEndpoint {
    /// The collection's path.
    pub const PATH: &'static str = "/api/plugins/proxbox/endpoints/proxmox/";
    /// NetBox's name of the model.
    pub const MODEL: &'static str = "netbox_proxbox.proxmoxendpoint";

    /// Its IP address without the prefix length.
    pub fn ip(&self) -> Option<&str> {
        self.ip_address
            .as_ref()
            .and_then(|address| address.address.split('/').next())
    }
}

/// What the plugin's action `sync-cluster` is asked, on an endpoint's row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClusterClaim {
    /// The cluster's name in Proxmox, 1 to 100 characters.
    pub name: String,
    /// `cluster` or `standalone`.
    pub mode: &'static str,
    /// The NetBox type of the cluster.
    pub cluster_type: ObjectId,
    /// The site that the cluster is to be scoped to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub site: Option<ObjectId>,
    /// The cluster's tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<ObjectId>,
    /// The id of the cluster's row in Proxmox' `cluster/status`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_id: Option<String>,
}

/// What the plugin's action `sync-cluster` answers.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ClaimedCluster {
    cluster: ClaimedRow,
    /// The plugin's row of the cluster.
    pub proxmox_cluster: ObjectId,
    /// Whether the NetBox cluster was made for it.
    pub created: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct ClaimedRow {
    id: ObjectId,
    url: Option<String>,
}

impl ClaimedCluster {
    /// The NetBox cluster; `None` where its address in the answer is another one's.
    pub fn cluster(&self) -> Option<ObjectId> {
        let ClaimedRow { id, url } = &self.cluster;
        let named = url.as_deref().map(|url| url.trim_end_matches('/').rsplit('/').next());
        named
            .is_none_or(|named| named == Some(id.to_string().as_str()))
            .then_some(*id)
    }
}

/// A Proxmox cluster as the plugin tracks it for one endpoint, and the NetBox cluster that stands for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackingCluster {
    /// The plugin's endpoint.
    pub endpoint: ObjectId,
    /// The cluster's name in Proxmox.
    pub name: String,
    /// The NetBox cluster.
    pub netbox_cluster: Option<ObjectId>,
}

impl Resource for TrackingCluster {
    const PATH: &'static str = "/api/plugins/proxbox/proxmox-clusters/";
    const KIND: &'static str = "tracked cluster";
    type Key = String;

    fn key(&self) -> String {
        format!("{}/{}", self.endpoint, self.name)
    }

    fn fields(&self) -> Fields {
        let mut fields = Fields::new();
        put_id(&mut fields, "netbox_cluster", self.netbox_cluster);
        fields
    }
}

/// A row as the plugin answers it.
#[derive(Debug, Deserialize)]
pub struct TrackingClusterRead {
    id: ObjectId,
    endpoint: Nested,
    name: String,
    netbox_cluster: Option<Nested>,
}

impl From<TrackingClusterRead> for Stored<TrackingCluster> {
    fn from(row: TrackingClusterRead) -> Self {
        let object = TrackingCluster {
            endpoint: row.endpoint.id,
            name: row.name,
            netbox_cluster: id(row.netbox_cluster),
        };
        Self { id: row.id, object }
    }
}

impl Object for TrackingCluster {
    type Read = TrackingClusterRead;
    const MODEL: &'static str = "netbox_proxbox.proxmoxcluster";
    const READ_FIELDS: &'static [&'static str] = &["id", "endpoint", "name", "netbox_cluster"];
}

/// A Proxmox node as the plugin tracks it for one endpoint, and the NetBox device that stands for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackingNode {
    /// The plugin's endpoint.
    pub endpoint: ObjectId,
    /// The node's name in Proxmox.
    pub name: String,
    /// The NetBox device.
    pub netbox_device: Option<ObjectId>,
}

impl Resource for TrackingNode {
    const PATH: &'static str = "/api/plugins/proxbox/proxmox-nodes/";
    const KIND: &'static str = "tracked node";
    type Key = String;

    fn key(&self) -> String {
        format!("{}/{}", self.endpoint, self.name)
    }

    fn fields(&self) -> Fields {
        let mut fields = Fields::new();
        put_id(&mut fields, "netbox_device", self.netbox_device);
        fields
    }
}

/// A row as the plugin answers it.
#[derive(Debug, Deserialize)]
pub struct TrackingNodeRead {
    id: ObjectId,
    endpoint: Nested,
    name: String,
    netbox_device: Option<Nested>,
}

impl From<TrackingNodeRead> for Stored<TrackingNode> {
    fn from(row: TrackingNodeRead) -> Self {
        let object = TrackingNode {
            endpoint: row.endpoint.id,
            name: row.name,
            netbox_device: id(row.netbox_device),
        };
        Self { id: row.id, object }
    }
}

impl Object for TrackingNode {
    type Read = TrackingNodeRead;
    const MODEL: &'static str = "netbox_proxbox.proxmoxnode";
    const READ_FIELDS: &'static [&'static str] = &["id", "endpoint", "name", "netbox_device"];
    const IS_LOOKED_UP: bool = true;
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn claimed_cluster_is_the_one_that_its_address_names() {
        let cluster = |row| {
            let answer = json!({"cluster": row, "proxmox_cluster": 2, "created": true, "changed": true});
            serde_json::from_value::<ClaimedCluster>(answer).unwrap().cluster()
        };
        let url = |id: u32| format!("https://netbox.example/api/virtualization/clusters/{id}/");
        assert_eq!(cluster(json!({"id": 12, "url": url(12)})), Some(ObjectId(12)));
        assert_eq!(cluster(json!({"id": 12})), Some(ObjectId(12)));
        assert_eq!(cluster(json!({"id": 12, "url": url(112)})), None);
    }
}
