//! Storages: the plugin's row of a storage definition of a cluster.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Map, Value};

use super::Object;
use super::shape::{Nested, Tagged, plain, put, put_tags, slugs};
use crate::reconcile::{Fields, ObjectId, Resource, Stored};

/// The columns that hold plain text.
pub const STORAGE_TEXTS: [&str; 18] = [
    "storage_type",
    "content",
    "path",
    "nodes",
    "server",
    "username",
    "export",
    "share",
    "pool",
    "monhost",
    "namespace",
    "datastore",
    "subdir",
    "mountpoint",
    "is_mountpoint",
    "preallocation",
    "format",
    "prune_backups",
];

/// Columns whose text is a comma list without order.
const SETS: [&str; 3] = ["content", "nodes", "prune_backups"];
/// The same lists under Proxmox's names, inside the raw definition.
const RAW_SETS: [&str; 3] = ["content", "nodes", "prune-backups"];

/// A storage definition of a cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct Storage {
    /// The NetBox cluster.
    pub cluster: ObjectId,
    /// The storage's id in Proxmox.
    pub name: String,
    /// Columns of [`STORAGE_TEXTS`] that have a value.
    pub texts: BTreeMap<&'static str, String>,
    /// The server's port.
    pub port: Option<i64>,
    /// How many protected backups a guest may have; -1 is no limit.
    pub max_protected_backups: Option<i64>,
    /// Whether all nodes see the same content.
    pub shared: Option<bool>,
    /// Whether it is in use.
    pub enabled: Option<bool>,
    /// The definition as Proxmox gives it.
    pub raw_config: Option<Value>,
    /// Slugs of its tags.
    pub tags: BTreeSet<String>,
}

impl Resource for Storage {
    const PATH: &'static str = "/api/plugins/proxbox/storage/";
    const KIND: &'static str = "storage";
    type Key = String;

    fn key(&self) -> String {
        format!("{}/{}", self.cluster, self.name)
    }

    fn label(&self) -> String {
        self.name.clone()
    }

    fn fields(&self) -> Fields {
        let mut fields = Fields::from([("cluster", self.cluster.0.into()), ("name", self.name.clone().into())]);
        for (column, text) in &self.texts {
            fields.insert(column, text.clone().into());
        }
        put(&mut fields, "port", self.port);
        put(&mut fields, "max_protected_backups", self.max_protected_backups);
        put(&mut fields, "shared", self.shared);
        put(&mut fields, "enabled", self.enabled);
        put(&mut fields, "raw_config", self.raw_config.clone());
        put_tags(&mut fields, &self.tags);
        fields
    }

    /// Lists without order are equal as sets, and the digest of the whole storage file says nothing of this storage.
    fn is_same(field: &str, before: &Value, after: &Value) -> bool {
        if before == after {
            return true;
        }
        if SETS.contains(&field) {
            return matches!((before, after), (Value::String(before), Value::String(after)) if set(before) == set(after));
        }
        match (field, before, after) {
            ("raw_config", Value::Object(before), Value::Object(after)) => essence(before) == essence(after),
            _ => false,
        }
    }
}

fn set(text: &str) -> BTreeSet<&str> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).collect()
}

/// A raw definition without its digest, and with its unordered lists in order.
fn essence(raw: &Map<String, Value>) -> Map<String, Value> {
    raw.iter()
        .filter(|(key, _)| *key != "digest")
        .map(|(key, value)| match value.as_str() {
            Some(text) if RAW_SETS.contains(&key.as_str()) => (
                key.clone(),
                set(text)
                    .into_iter()
                    .map(|part| Value::String(part.to_owned()))
                    .collect(),
            ),
            _ => (key.clone(), plain(value)),
        })
        .collect()
}

/// A row as the plugin answers it.
#[derive(Debug, Deserialize)]
pub struct StorageRead {
    id: ObjectId,
    cluster: Nested,
    name: String,
    port: Option<i64>,
    max_protected_backups: Option<i64>,
    shared: Option<bool>,
    enabled: Option<bool>,
    raw_config: Option<Value>,
    tags: Vec<Tagged>,
    #[serde(flatten)]
    texts: BTreeMap<String, Value>,
}

impl From<StorageRead> for Stored<Storage> {
    fn from(row: StorageRead) -> Self {
        let texts = STORAGE_TEXTS
            .into_iter()
            .filter_map(|column| Some((column, row.texts.get(column)?.as_str()?.to_owned())))
            .collect();
        let object = Storage {
            cluster: row.cluster.id,
            name: row.name,
            texts,
            port: row.port,
            max_protected_backups: row.max_protected_backups,
            shared: row.shared,
            enabled: row.enabled,
            raw_config: row.raw_config,
            tags: slugs(row.tags),
        };
        Self { id: row.id, object }
    }
}

impl Object for Storage {
    type Read = StorageRead;
    const MODEL: &'static str = "netbox_proxbox.proxmoxstorage";
    /// Everything: the row has few columns that are not compared.
    const READ_FIELDS: &'static [&'static str] = &[];
    const IS_LOOKED_UP: bool = true;
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn order_of_lists_and_the_digest_make_no_difference() {
        let raw = |content: &str, digest: &str| json!({"storage": "local", "content": content, "digest": digest});
        let cases = [
            ("content", json!("images,iso"), json!("iso,images"), true),
            ("content", json!("images,iso"), json!("images"), false),
            ("nodes", json!("pve1,pve2"), json!("pve2, pve1"), true),
            ("path", json!("a,b"), json!("b,a"), false),
            ("content", Value::Null, json!("iso"), false),
            ("raw_config", raw("images,iso", "1"), raw("iso,images", "2"), true),
            ("raw_config", raw("images", "1"), raw("iso,images", "1"), false),
            ("raw_config", Value::Null, raw("iso", "1"), false),
            ("raw_config", json!({"shared": 1}), json!({"shared": "1"}), true),
        ];
        for (field, before, after, is_same) in cases {
            assert_eq!(
                Storage::is_same(field, &before, &after),
                is_same,
                "{field}: {before} and {after}"
            );
        }
    }

    #[test]
    fn row_of_the_plugin_decodes_into_the_object_it_was_made_from() {
        let row = json!({
            "id": 7, "url": "x", "cluster": {"id": 3, "name": "lab"}, "name": "nfs", "storage_type": "nfs",
            "content": "iso", "path": null, "nodes": null, "shared": true, "enabled": true, "server": "10.0.0.1",
            "port": null, "prune_backups": "keep-all=1", "max_protected_backups": 5,
            "raw_config": {"storage": "nfs"}, "tags": [{"id": 1, "slug": "proxbox", "name": "Proxbox"}]
        });
        let stored: Stored<Storage> = serde_json::from_value::<StorageRead>(row).unwrap().into();
        assert_eq!(stored.id, ObjectId(7));
        let expected = json!({
            "cluster": 3, "name": "nfs", "storage_type": "nfs", "content": "iso", "shared": true, "enabled": true,
            "server": "10.0.0.1", "prune_backups": "keep-all=1", "max_protected_backups": 5,
            "raw_config": {"storage": "nfs"}, "tags": ["proxbox"]
        });
        assert_eq!(json!(stored.object.fields()), expected);
    }
}
