//! A Proxmox storage definition as the plugin's storage row.

use serde_json::{Map, Value};

use super::names::clean;
use crate::netbox::ObjectId;
use crate::netbox::objects::{PROXBOX_TAG, STORAGE_TEXTS, Storage};
use crate::proxmox::types::StorageConfig;

/// The storage row of `definition` for the NetBox cluster `cluster`; `None` where the definition has no id.
///
/// Texts are cleaned; numbers and flags where text is meant become text; nothing is cut to fit. Keys that the definition
/// lacks are not asserted, so what NetBox holds of them stays.
pub fn storage(definition: &StorageConfig, cluster: ObjectId) -> Option<Storage> {
    let name = clean(&definition.storage);
    if name.is_empty() {
        return None;
    }
    let texts = texts(definition)
        .into_iter()
        .filter_map(|(column, text)| Some((column, clean(text.as_deref()?))))
        .filter(|(_, text)| !text.is_empty())
        .collect();
    Some(Storage {
        cluster,
        name,
        texts,
        port: definition.port.map(i64::from),
        max_protected_backups: definition.max_protected_backups,
        shared: Some(definition.shared.unwrap_or_default()),
        enabled: Some(!definition.disable),
        raw_config: Some(Value::Object(without_nul(&definition.raw))),
        tags: [PROXBOX_TAG.to_owned()].into(),
    })
}

/// The text columns, and what the definition says of them.
fn texts(definition: &StorageConfig) -> [(&'static str, &Option<String>); STORAGE_TEXTS.len()] {
    [
        ("storage_type", &definition.kind),
        ("content", &definition.content),
        ("path", &definition.path),
        ("nodes", &definition.nodes),
        ("server", &definition.server),
        ("username", &definition.username),
        ("export", &definition.export),
        ("share", &definition.share),
        ("pool", &definition.pool),
        ("monhost", &definition.monhost),
        ("namespace", &definition.namespace),
        ("datastore", &definition.datastore),
        ("subdir", &definition.subdir),
        ("mountpoint", &definition.mountpoint),
        ("is_mountpoint", &definition.is_mountpoint),
        ("preallocation", &definition.preallocation),
        ("format", &definition.format),
        ("prune_backups", &definition.prune_backups),
    ]
}

/// NetBox refuses NUL characters, in JSON columns too.
pub(super) fn without_nul(raw: &Map<String, Value>) -> Map<String, Value> {
    raw.iter()
        .map(|(key, value)| match value.as_str() {
            Some(text) if text.contains('\0') => (key.clone(), Value::String(text.replace('\0', ""))),
            _ => (key.clone(), value.clone()),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::reconcile::Resource;

    fn fields(definition: Value) -> Value {
        let definition: StorageConfig = serde_json::from_value(definition).unwrap();
        json!(storage(&definition, ObjectId(3)).unwrap().fields())
    }

    #[test]
    fn nfs_definition_fills_its_columns() {
        let raw = json!({
            "storage": "nfs-bulk", "type": "nfs", "content": "backup,iso", "path": "/mnt/pve/nfs-bulk",
            "server": "10.0.0.5", "export": "/srv/bulk", "shared": 1, "prune-backups": "keep-last=3,keep-daily=7",
            "max-protected-backups": 5, "nodes": "pve1,pve2", "digest": "abc"
        });
        let expected = json!({
            "cluster": 3, "name": "nfs-bulk", "storage_type": "nfs", "content": "backup,iso",
            "path": "/mnt/pve/nfs-bulk", "server": "10.0.0.5", "export": "/srv/bulk", "shared": true, "enabled": true,
            "prune_backups": "keep-last=3,keep-daily=7", "max_protected_backups": 5, "nodes": "pve1,pve2",
            "raw_config": raw.clone(), "tags": ["proxbox"]
        });
        assert_eq!(fields(raw), expected);
    }

    #[test]
    fn odd_forms_become_what_they_mean() {
        let given = fields(json!({
            "storage": " local ", "type": "dir", "content": "iso\0", "is_mountpoint": 1, "disable": "1", "shared": "0",
            "prune-backups": {"keep-last": "2", "keep-all": 0}, "port": "2049", "path": "", "server": null
        }));
        for (column, expected) in [
            ("name", json!("local")),
            ("content", json!("iso")),
            ("is_mountpoint", json!("1")),
            ("enabled", json!(false)),
            ("shared", json!(false)),
            ("prune_backups", json!("keep-last=2,keep-all=0")),
            ("port", json!(2049)),
            ("path", Value::Null),
            ("server", Value::Null),
        ] {
            assert_eq!(given.get(column).cloned().unwrap_or_default(), expected, "{column}");
        }
        assert_eq!(given["raw_config"]["content"], json!("iso"));
    }
}
