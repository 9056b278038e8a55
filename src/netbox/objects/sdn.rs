//! The plugin's rows of software-defined networks: one kind per kind of Proxmox's objects, all of one shape.

use serde::Deserialize;
use std::fmt::Debug;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Object;
use super::shape::{Choice, Relation, put_id};
use crate::reconcile::{Fields, ObjectId, Resource, Stored};

/// What one row of a kind says, without what every row has.
pub trait SdnKind: Clone + Debug + Send + Sync + DeserializeOwned + 'static {
    /// The collection's path.
    const PATH: &'static str;
    /// NetBox's name of the model, as [`Object::MODEL`].
    const MODEL: &'static str;
    /// What one is called in reports.
    const KIND: &'static str;

    /// What tells it from others of its cluster.
    fn name(&self) -> String;

    /// Adds its columns. Texts may be empty; what is `None` is not asserted.
    fn put(&self, fields: &mut Fields);
}

/// A row of kind `K`.
#[derive(Debug, Clone, PartialEq)]
pub struct SdnRow<K> {
    /// The plugin's endpoint.
    pub endpoint: Option<ObjectId>,
    /// The name of the cluster.
    pub cluster: String,
    /// What it says.
    pub body: K,
    /// `active`, `stale` or `error`.
    pub status: String,
    /// The object as Proxmox gives it.
    pub raw_config: Value,
}

impl<K: SdnKind> Resource for SdnRow<K> {
    const PATH: &'static str = K::PATH;
    const KIND: &'static str = K::KIND;
    const IS_UNIQUE: bool = false;
    type Key = String;

    fn key(&self) -> String {
        key(self.endpoint, &self.cluster, &self.body.name())
    }

    fn label(&self) -> String {
        self.body.name()
    }

    fn fields(&self) -> Fields {
        let mut fields = Fields::from([
            ("cluster_name", self.cluster.clone().into()),
            ("status", self.status.clone().into()),
            ("raw_config", self.raw_config.clone()),
        ]);
        put_id(&mut fields, "endpoint", self.endpoint);
        self.body.put(&mut fields);
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

/// The key of what `name` tells from others of a cluster.
pub(super) fn key(endpoint: Option<ObjectId>, cluster: &str, name: &str) -> String {
    let endpoint = endpoint.map(|id| id.to_string()).unwrap_or_default();
    format!("{endpoint}/{cluster}/{name}")
}

/// Whether two rows of Proxmox say the same. A digest is that of all rows together.
pub(super) fn is_same_config(before: &Value, after: &Value) -> bool {
    let essence = |raw: &Value| {
        let mut members = raw.as_object().cloned()?;
        members.remove("digest");
        Some(members)
    };
    before == after || essence(before).is_some_and(|before| essence(after) == Some(before))
}

/// A row as the plugin answers it.
#[derive(Debug, Deserialize)]
pub struct SdnRowRead<K> {
    id: ObjectId,
    endpoint: Option<Relation>,
    cluster_name: String,
    status: Choice,
    raw_config: Value,
    #[serde(flatten)]
    body: K,
}

impl<K: SdnKind> From<SdnRowRead<K>> for Stored<SdnRow<K>> {
    fn from(row: SdnRowRead<K>) -> Self {
        let object = SdnRow {
            endpoint: row.endpoint.map(Into::into),
            cluster: row.cluster_name,
            body: row.body,
            status: row.status.value,
            raw_config: row.raw_config,
        };
        Self { id: row.id, object }
    }
}

impl<K: SdnKind> Object for SdnRow<K> {
    type Read = SdnRowRead<K>;
    const MODEL: &'static str = K::MODEL;
    /// Everything: the row has few columns that are not compared.
    const READ_FIELDS: &'static [&'static str] = &[];
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{SdnFabricBody, SdnVnetBody};
    use super::*;

    #[test]
    fn row_of_the_plugin_decodes_into_the_object_it_was_made_from() {
        let row = json!({
            "id": 4, "endpoint": 1, "cluster_name": "lab", "fabric_name": "spine",
            "fabric_type": {"value": "ospf", "label": "OSPF"}, "asn": null, "advertise_subnets": true,
            "disable_arp_nd_suppression": false, "vrf_vxlan": 10, "peers": ["10.0.0.1"],
            "status": {"value": "active", "label": "Active"}, "raw_config": {"id": "spine"}, "tags": []
        });
        let stored: Stored<SdnRow<SdnFabricBody>> =
            serde_json::from_value::<SdnRowRead<SdnFabricBody>>(row).unwrap().into();
        let expected = json!({
            "endpoint": 1, "cluster_name": "lab", "fabric_name": "spine", "fabric_type": "ospf",
            "advertise_subnets": true, "disable_arp_nd_suppression": false, "vrf_vxlan": 10, "peers": ["10.0.0.1"],
            "status": "active", "raw_config": {"id": "spine"}
        });
        assert_eq!((stored.id, json!(stored.object.fields())), (ObjectId(4), expected));
        assert_eq!(stored.object.key(), "1/lab/spine");
    }

    #[test]
    fn relation_is_read_from_a_number_and_from_an_object() {
        let row = |l2vpn: Value| {
            let row = json!({
                "vnet_name": "vnet2", "zone_name": "wide1", "vnet_type": "vnet", "tag": 5, "alias": "",
                "vlanaware": false, "state": "", "l2vpn": l2vpn
            });
            serde_json::from_value::<SdnVnetBody>(row).unwrap().l2vpn
        };
        assert_eq!(row(json!(7)), Some(ObjectId(7)));
        assert_eq!(row(json!({"id": 7, "name": "x"})), Some(ObjectId(7)));
        assert_eq!(row(Value::Null), None);
    }

    #[test]
    fn digest_of_all_rows_makes_no_difference_to_one() {
        let raw = |tag: u32, digest: &str| json!({"vnet": "vnet2", "tag": tag, "digest": digest});
        let is_same = |before: &Value, after: &Value| SdnRow::<SdnVnetBody>::is_same("raw_config", before, after);
        assert!(is_same(&raw(5, "a"), &raw(5, "b")));
        assert!(!is_same(&raw(5, "a"), &raw(6, "a")));
        assert!(!is_same(&Value::Null, &json!({})));
    }
}
