//! Rows of the optional plugin netbox-bgp: what a cluster's route maps, prefix lists and controllers are in its words.

use std::collections::BTreeSet;
use std::fmt::Debug;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};

use super::Object;
use super::shape::{Choice, Relation};
use crate::reconcile::{Fields, ObjectId, Resource, Stored};

/// What a row of a kind says.
pub trait BgpKind: Clone + Debug + Send + Sync + Serialize + DeserializeOwned + 'static {
    /// The collection's path.
    const PATH: &'static str;
    /// NetBox's name of the model, as [`Object::MODEL`].
    const MODEL: &'static str;
    /// What one is called in reports.
    const KIND: &'static str;
    /// As [`Resource::IS_UNIQUE`].
    const IS_UNIQUE: bool = true;
    /// The columns that are written, which are its members under their own names.
    const COLUMNS: &'static [&'static str];

    /// What tells it from others of its kind.
    fn name(&self) -> String;
}

/// A row of kind `K`.
#[derive(Debug, Clone, PartialEq)]
pub struct BgpRow<K>(pub K);

impl<K: BgpKind> Resource for BgpRow<K> {
    const PATH: &'static str = K::PATH;
    const KIND: &'static str = K::KIND;
    const IS_UNIQUE: bool = K::IS_UNIQUE;
    type Key = String;

    fn key(&self) -> String {
        self.0.name()
    }

    fn fields(&self) -> Fields {
        let mut row = json!(self.0);
        let columns = K::COLUMNS.iter();
        columns
            .filter_map(|column| Some((*column, row.get_mut(column)?.take())))
            .collect()
    }
}

/// A row as the plugin answers it.
#[derive(Debug, Deserialize)]
pub struct BgpRowRead<K> {
    id: ObjectId,
    #[serde(flatten)]
    body: K,
}

impl<K: BgpKind> From<BgpRowRead<K>> for Stored<BgpRow<K>> {
    fn from(row: BgpRowRead<K>) -> Self {
        Self {
            id: row.id,
            object: BgpRow(row.body),
        }
    }
}

impl<K: BgpKind> Object for BgpRow<K> {
    type Read = BgpRowRead<K>;
    const MODEL: &'static str = K::MODEL;
    /// Everything: releases differ in what they call the columns that are not compared.
    const READ_FIELDS: &'static [&'static str] = &[];
}

/// Some releases answer a choice as its word alone.
#[derive(Deserialize)]
#[serde(untagged)]
enum Word {
    Bare(String),
    Labelled(Choice),
}

fn word<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(match Word::deserialize(deserializer)? {
        Word::Bare(value) | Word::Labelled(Choice { value }) => value,
    })
}

fn relation<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ObjectId, D::Error> {
    Ok(Relation::deserialize(deserializer)?.into())
}

fn maybe_relation<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<ObjectId>, D::Error> {
    Ok(Option::<Relation>::deserialize(deserializer)?.map(Into::into))
}

fn relations<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeSet<ObjectId>, D::Error> {
    let found: Vec<Relation> = Vec::deserialize(deserializer)?;
    Ok(found.into_iter().map(Into::into).collect())
}

/// A prefix list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BgpPrefixList {
    /// Its name, at most 100 characters.
    pub name: String,
    /// Its description.
    #[serde(default)]
    pub description: String,
    /// `ipv4` or `ipv6`.
    #[serde(deserialize_with = "word")]
    pub family: String,
    /// Comments.
    #[serde(default)]
    pub comments: String,
}

impl BgpKind for BgpPrefixList {
    const PATH: &'static str = "/api/plugins/bgp/prefix-list/";
    const MODEL: &'static str = "netbox_bgp.prefixlist";
    const KIND: &'static str = "BGP prefix list";
    const COLUMNS: &'static [&'static str] = &["name", "description", "family", "comments"];

    fn name(&self) -> String {
        self.name.clone()
    }
}

/// A rule of a prefix list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BgpPrefixListRule {
    /// The prefix list.
    #[serde(deserialize_with = "relation")]
    pub prefix_list: ObjectId,
    /// Its place in the list.
    pub index: u32,
    /// `permit` or `deny`.
    #[serde(deserialize_with = "word")]
    pub action: String,
    /// The network as NetBox knows it …
    #[serde(default, deserialize_with = "maybe_relation")]
    pub prefix: Option<ObjectId>,
    /// … or as text.
    #[serde(default)]
    pub prefix_custom: Option<String>,
    /// The shortest mask that fits.
    #[serde(default)]
    pub ge: Option<i32>,
    /// The longest mask that fits.
    #[serde(default)]
    pub le: Option<i32>,
    /// Its description.
    #[serde(default)]
    pub description: String,
    /// Comments.
    #[serde(default)]
    pub comments: String,
}

impl BgpPrefixListRule {
    /// The key of the rule at `index` of a prefix list.
    pub fn key_of(prefix_list: ObjectId, index: u32) -> String {
        format!("{prefix_list}/{index}")
    }
}

impl BgpKind for BgpPrefixListRule {
    const PATH: &'static str = "/api/plugins/bgp/prefix-list-rule/";
    const MODEL: &'static str = "netbox_bgp.prefixlistrule";
    const KIND: &'static str = "BGP prefix list rule";
    const COLUMNS: &'static [&'static str] = &[
        "prefix_list",
        "index",
        "action",
        "description",
        "comments",
        "prefix",
        "prefix_custom",
        "ge",
        "le",
    ];

    fn name(&self) -> String {
        Self::key_of(self.prefix_list, self.index)
    }
}

/// A routing policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BgpRoutingPolicy {
    /// Its name, at most 100 characters.
    pub name: String,
    /// Its description.
    #[serde(default)]
    pub description: String,
    /// Its weight.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<i32>,
    /// Comments.
    #[serde(default)]
    pub comments: String,
}

impl BgpKind for BgpRoutingPolicy {
    const PATH: &'static str = "/api/plugins/bgp/routing-policy/";
    const MODEL: &'static str = "netbox_bgp.routingpolicy";
    const KIND: &'static str = "BGP routing policy";
    const COLUMNS: &'static [&'static str] = &["name", "description", "comments", "weight"];

    fn name(&self) -> String {
        self.name.clone()
    }
}

/// A community.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BgpCommunity {
    /// Its value, `65000:1`.
    pub value: String,
    /// Its status word.
    #[serde(deserialize_with = "word")]
    pub status: String,
    /// Its description.
    #[serde(default)]
    pub description: String,
}

impl BgpKind for BgpCommunity {
    const PATH: &'static str = "/api/plugins/bgp/community/";
    const MODEL: &'static str = "netbox_bgp.community";
    const KIND: &'static str = "BGP community";
    const IS_UNIQUE: bool = false;
    const COLUMNS: &'static [&'static str] = &["value", "status", "description"];

    fn name(&self) -> String {
        self.value.clone()
    }
}

/// A rule of a routing policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BgpRoutingPolicyRule {
    /// The routing policy.
    #[serde(deserialize_with = "relation")]
    pub routing_policy: ObjectId,
    /// Its place in the policy.
    pub index: u32,
    /// `permit` or `deny`.
    #[serde(deserialize_with = "word")]
    pub action: String,
    /// The prefix lists of IPv4 whose routes fit.
    #[serde(default, deserialize_with = "relations")]
    pub match_ip_address: BTreeSet<ObjectId>,
    /// The prefix lists of IPv6 whose routes fit.
    #[serde(default, deserialize_with = "relations")]
    pub match_ipv6_address: BTreeSet<ObjectId>,
    /// What else fits.
    #[serde(default)]
    pub match_custom: Value,
    /// What is done to routes that fit.
    #[serde(default)]
    pub set_actions: Value,
}

impl BgpKind for BgpRoutingPolicyRule {
    const PATH: &'static str = "/api/plugins/bgp/routing-policy-rule/";
    const MODEL: &'static str = "netbox_bgp.routingpolicyrule";
    const KIND: &'static str = "BGP routing policy rule";
    const COLUMNS: &'static [&'static str] = &[
        "routing_policy",
        "index",
        "action",
        "match_ip_address",
        "match_ipv6_address",
        "match_custom",
        "set_actions",
    ];

    fn name(&self) -> String {
        format!("{}/{}", self.routing_policy, self.index)
    }
}

/// A group of peers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BgpPeerGroup {
    /// Its name, at most 100 characters.
    pub name: String,
    /// Its description.
    #[serde(default)]
    pub description: String,
    /// Comments.
    #[serde(default)]
    pub comments: String,
}

impl BgpKind for BgpPeerGroup {
    const PATH: &'static str = "/api/plugins/bgp/peer-group/";
    const MODEL: &'static str = "netbox_bgp.bgppeergroup";
    const KIND: &'static str = "BGP peer group";
    const COLUMNS: &'static [&'static str] = &["name", "description", "comments"];

    fn name(&self) -> String {
        self.name.clone()
    }
}

/// A session between two speakers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BgpSession {
    /// Its name, at most 100 characters.
    pub name: String,
    /// Its status word.
    #[serde(deserialize_with = "word")]
    pub status: String,
    /// Our address.
    #[serde(deserialize_with = "relation")]
    pub local_address: ObjectId,
    /// The other's address.
    #[serde(deserialize_with = "relation")]
    pub remote_address: ObjectId,
    /// Our autonomous system.
    #[serde(deserialize_with = "relation")]
    pub local_as: ObjectId,
    /// The other's autonomous system.
    #[serde(deserialize_with = "relation")]
    pub remote_as: ObjectId,
    /// The group of peers that it belongs to.
    #[serde(
        default,
        deserialize_with = "maybe_relation",
        skip_serializing_if = "Option::is_none"
    )]
    pub peer_group: Option<ObjectId>,
    /// Its description.
    #[serde(default)]
    pub description: String,
    /// Comments.
    #[serde(default)]
    pub comments: String,
}

impl BgpKind for BgpSession {
    const PATH: &'static str = "/api/plugins/bgp/session/";
    const MODEL: &'static str = "netbox_bgp.bgpsession";
    const KIND: &'static str = "BGP session";
    const IS_UNIQUE: bool = false;
    const COLUMNS: &'static [&'static str] = &[
        "name",
        "status",
        "local_address",
        "remote_address",
        "local_as",
        "remote_as",
        "description",
        "comments",
        "peer_group",
    ];

    fn name(&self) -> String {
        self.name.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<K: BgpKind>(row: Value) -> Value {
        let stored: Stored<BgpRow<K>> = serde_json::from_value::<BgpRowRead<K>>(row).unwrap().into();
        json!(stored.object.fields())
    }

    #[test]
    fn rows_decode_whether_relations_and_choices_are_bare_or_objects() {
        let expected = json!({
            "prefix_list": 4, "index": 10, "action": "permit", "prefix": null, "prefix_custom": "10.0.0.0/8", "ge": null,
            "le": 24, "description": "x", "comments": ""
        });
        for (list, action) in [
            (json!(4), json!("permit")),
            (
                json!({"id": 4, "name": "own"}),
                json!({"value": "permit", "label": "Permit"}),
            ),
        ] {
            let row = json!({
                "id": 1, "prefix_list": list, "index": 10, "action": action, "prefix": null,
                "prefix_custom": "10.0.0.0/8", "ge": null, "le": 24, "description": "x", "comments": ""
            });
            assert_eq!(read::<BgpPrefixListRule>(row), expected);
        }
        let row = json!({
            "id": 2, "routing_policy": {"id": 5}, "index": 10, "action": "deny", "match_ip_address": [{"id": 9}, {"id": 8}],
            "match_ipv6_address": [], "match_custom": {"peer": "10.0.0.1"}, "set_actions": null
        });
        let rule = read::<BgpRoutingPolicyRule>(row);
        assert_eq!(
            (&rule["match_ip_address"], &rule["set_actions"]),
            (&json!([8, 9]), &Value::Null)
        );
    }

    #[test]
    fn every_member_is_a_column_unless_it_says_nothing() {
        let session = json!({
            "id": 3, "name": "a", "status": {"value": "active"}, "local_address": 1, "remote_address": {"id": 2},
            "local_as": 3, "remote_as": 4, "peer_group": null, "description": "", "comments": ""
        });
        let mut expected = json!({
            "name": "a", "status": "active", "local_address": 1, "remote_address": 2, "local_as": 3, "remote_as": 4,
            "description": "", "comments": ""
        });
        assert_eq!(read::<BgpSession>(session.clone()), expected);
        let mut grouped = session;
        grouped["peer_group"] = json!({"id": 5});
        expected["peer_group"] = json!(5);
        assert_eq!(read::<BgpSession>(grouped), expected);
        for (weight, expected) in [
            (json!(null), json!({"name": "p", "description": "", "comments": ""})),
            (
                json!(7),
                json!({"name": "p", "description": "", "comments": "", "weight": 7}),
            ),
        ] {
            assert_eq!(
                read::<BgpRoutingPolicy>(json!({"id": 1, "name": "p", "weight": weight})),
                expected
            );
        }
        let community = json!({"value": "65000:1", "status": "active", "description": "x"});
        let mut row = community.clone();
        row["id"] = json!(9);
        assert_eq!(read::<BgpCommunity>(row), community);
        let group = json!({"name": "g", "description": "x", "comments": "y"});
        let mut row = group.clone();
        row["id"] = json!(9);
        assert_eq!(read::<BgpPeerGroup>(row), group);
        let list = json!({"name": "l", "description": "x", "family": "ipv4", "comments": "y"});
        let mut row = list.clone();
        row["id"] = json!(9);
        assert_eq!(read::<BgpPrefixList>(row), list);
    }
}
