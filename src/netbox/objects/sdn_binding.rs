//! The plugin's rows of what an object of a software-defined network became in NetBox.

use serde::Deserialize;
use serde_json::Value;

use super::Object;
use super::sdn::{is_same_config, key};
use super::shape::{Relation, put_id, put_or_null};
use crate::reconcile::{Fields, ObjectId, Resource, Stored};

/// What an object of a cluster's networks became, or how it stands on a node.
#[derive(Debug, Clone, PartialEq)]
pub struct SdnBinding {
    /// The plugin's endpoint.
    pub endpoint: Option<ObjectId>,
    /// The name of the cluster.
    pub cluster: String,
    /// What kind of object it is.
    pub source_type: String,
    /// Which.
    pub source_name: String,
    /// The node that says so; may be empty, as the next two.
    pub node: String,
    /// Its zone.
    pub zone: String,
    /// Its virtual network.
    pub vnet: String,
    /// What it became: the content type and the object.
    pub target: Option<(String, ObjectId)>,
    /// How it stands.
    pub status: String,
    /// Why the target is left as it is; empty where it is ours.
    pub conflict_reason: String,
    /// The object as Proxmox gives it.
    pub raw_config: Value,
}

impl Resource for SdnBinding {
    const PATH: &'static str = "/api/plugins/proxbox/sdn-bindings/";
    const KIND: &'static str = "SDN binding";
    const IS_UNIQUE: bool = false;
    type Key = String;

    fn key(&self) -> String {
        let source = format!("{}/{}", self.source_type, self.source_name);
        key(self.endpoint, &self.cluster, &source)
    }

    fn label(&self) -> String {
        format!("{} {}", self.source_type, self.source_name)
    }

    fn fields(&self) -> Fields {
        let (target_type, target_id) = match &self.target {
            Some((content_type, id)) => (content_type.clone(), Some(id.0)),
            None => (String::new(), None),
        };
        let mut fields = Fields::from([
            ("cluster_name", self.cluster.clone().into()),
            ("source_type", self.source_type.clone().into()),
            ("source_name", self.source_name.clone().into()),
            ("node", self.node.clone().into()),
            ("zone_name", self.zone.clone().into()),
            ("vnet_name", self.vnet.clone().into()),
            ("target_type", target_type.into()),
            ("status", self.status.clone().into()),
            ("conflict_reason", self.conflict_reason.clone().into()),
            ("raw_config", self.raw_config.clone()),
        ]);
        put_id(&mut fields, "endpoint", self.endpoint);
        put_or_null(&mut fields, "target_id", target_id);
        fields
    }

    fn is_same(field: &str, before: &Value, after: &Value) -> bool {
        if field == "raw_config" {
            is_same_config(before, after)
        } else {
            before == after
        }
    }
}

/// A row as the plugin answers it.
#[derive(Debug, Deserialize)]
pub struct SdnBindingRead {
    id: ObjectId,
    endpoint: Option<Relation>,
    cluster_name: String,
    source_type: String,
    source_name: String,
    node: String,
    zone_name: String,
    vnet_name: String,
    target_type: String,
    target_id: Option<ObjectId>,
    status: String,
    conflict_reason: String,
    raw_config: Value,
}

impl From<SdnBindingRead> for Stored<SdnBinding> {
    fn from(row: SdnBindingRead) -> Self {
        let object = SdnBinding {
            endpoint: row.endpoint.map(Into::into),
            cluster: row.cluster_name,
            source_type: row.source_type,
            source_name: row.source_name,
            node: row.node,
            zone: row.zone_name,
            vnet: row.vnet_name,
            target: row.target_id.map(|id| (row.target_type, id)),
            status: row.status,
            conflict_reason: row.conflict_reason,
            raw_config: row.raw_config,
        };
        Self { id: row.id, object }
    }
}

impl Object for SdnBinding {
    type Read = SdnBindingRead;
    const MODEL: &'static str = "netbox_proxbox.proxmoxsdnbinding";
    /// Everything: the row has few columns that are not compared.
    const READ_FIELDS: &'static [&'static str] = &[];
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn row_of_the_plugin_decodes_into_the_object_it_was_made_from() {
        let mut row = json!({
            "id": 9, "endpoint": 1, "cluster_name": "lab", "source_type": "vnet", "source_name": "wide1/vnet2",
            "node": "", "zone_name": "", "vnet_name": "", "target_type": "vpn.l2vpn", "target_id": 5,
            "status": "active", "conflict_reason": "", "raw_config": {"vnet": "vnet2"}
        });
        let stored: Stored<SdnBinding> = serde_json::from_value::<SdnBindingRead>(row.clone()).unwrap().into();
        assert_eq!(stored.object.key(), "1/lab/vnet/wide1/vnet2");
        row.as_object_mut().unwrap().remove("id");
        assert_eq!(json!(stored.object.fields()), row);
    }
}
