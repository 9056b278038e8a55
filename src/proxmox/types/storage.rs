//! Rows of `storage`: how storages are configured.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::proxmox::wire;

/// One row of `storage`. Options are kept as text where text is meant, whatever form they came in.
#[derive(Debug, Clone, PartialEq)]
pub struct StorageConfig {
    /// The storage's name.
    pub storage: String,
    /// The plugin's name, such as `dir`, `nfs`, `lvmthin`.
    pub kind: Option<String>,
    /// Kinds of content, parted by commas.
    pub content: Option<String>,
    /// Where it is on the node.
    pub path: Option<String>,
    /// The nodes it is limited to, parted by commas.
    pub nodes: Option<String>,
    /// Whether all nodes see the same.
    pub shared: Option<bool>,
    /// Whether it is switched off.
    pub disable: bool,
    /// The server's name or address.
    pub server: Option<String>,
    /// The server's port.
    pub port: Option<u32>,
    /// The user at the server.
    pub username: Option<String>,
    /// NFS: the export.
    pub export: Option<String>,
    /// CIFS: the share.
    pub share: Option<String>,
    /// ZFS and RBD: the pool.
    pub pool: Option<String>,
    /// Ceph: the monitors.
    pub monhost: Option<String>,
    /// RBD and backup server: the namespace.
    pub namespace: Option<String>,
    /// Backup server: the datastore.
    pub datastore: Option<String>,
    /// The folder inside the share.
    pub subdir: Option<String>,
    /// ZFS: where it is mounted.
    pub mountpoint: Option<String>,
    /// A flag, or the path that must be mounted.
    pub is_mountpoint: Option<String>,
    /// How images are preallocated.
    pub preallocation: Option<String>,
    /// The default image format.
    pub format: Option<String>,
    /// Which backups are kept, `keep-last=3,keep-daily=7`.
    pub prune_backups: Option<String>,
    /// Protected backups per guest; -1 is without limit.
    pub max_protected_backups: Option<i64>,
    /// The digest of the configuration.
    pub digest: Option<String>,
    /// The whole row as sent, options of plugins that nobody knows included.
    pub raw: Map<String, Value>,
}

/// The typed part of a row.
#[derive(Deserialize)]
struct Options {
    #[serde(deserialize_with = "wire::required_text")]
    storage: String,
    #[serde(default, rename = "type", deserialize_with = "wire::text")]
    kind: Option<String>,
    #[serde(default, deserialize_with = "wire::text")]
    content: Option<String>,
    #[serde(default, deserialize_with = "wire::text")]
    path: Option<String>,
    #[serde(default, deserialize_with = "comma_text")]
    nodes: Option<String>,
    #[serde(default, deserialize_with = "wire::maybe_flag")]
    shared: Option<bool>,
    #[serde(default, deserialize_with = "wire::flag")]
    disable: bool,
    #[serde(default, deserialize_with = "wire::text")]
    server: Option<String>,
    #[serde(default, deserialize_with = "wire::number")]
    port: Option<u32>,
    #[serde(default, deserialize_with = "wire::text")]
    username: Option<String>,
    #[serde(default, deserialize_with = "wire::text")]
    export: Option<String>,
    #[serde(default, deserialize_with = "wire::text")]
    share: Option<String>,
    #[serde(default, deserialize_with = "wire::text")]
    pool: Option<String>,
    #[serde(default, deserialize_with = "wire::text")]
    monhost: Option<String>,
    #[serde(default, deserialize_with = "wire::text")]
    namespace: Option<String>,
    #[serde(default, deserialize_with = "wire::text")]
    datastore: Option<String>,
    #[serde(default, deserialize_with = "wire::text")]
    subdir: Option<String>,
    #[serde(default, deserialize_with = "wire::text")]
    mountpoint: Option<String>,
    #[serde(default, deserialize_with = "wire::text")]
    is_mountpoint: Option<String>,
    #[serde(default, deserialize_with = "wire::text")]
    preallocation: Option<String>,
    #[serde(default, deserialize_with = "wire::text")]
    format: Option<String>,
    #[serde(default, rename = "prune-backups", deserialize_with = "wire::option_text")]
    prune_backups: Option<String>,
    #[serde(default, rename = "max-protected-backups", deserialize_with = "wire::number")]
    max_protected_backups: Option<i64>,
    #[serde(default, deserialize_with = "wire::text")]
    digest: Option<String>,
}

/// A list as one text, its items parted by commas.
fn comma_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let items = wire::text_list(deserializer)?;
    Ok((!items.is_empty()).then(|| items.join(",")))
}

impl<'de> Deserialize<'de> for StorageConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Map::deserialize(deserializer)?;
        let options = Options::deserialize(&raw).map_err(D::Error::custom)?;
        Ok(Self {
            storage: options.storage,
            kind: options.kind,
            content: options.content,
            path: options.path,
            nodes: options.nodes,
            shared: options.shared,
            disable: options.disable,
            server: options.server,
            port: options.port,
            username: options.username,
            export: options.export,
            share: options.share,
            pool: options.pool,
            monhost: options.monhost,
            namespace: options.namespace,
            datastore: options.datastore,
            subdir: options.subdir,
            mountpoint: options.mountpoint,
            is_mountpoint: options.is_mountpoint,
            preallocation: options.preallocation,
            format: options.format,
            prune_backups: options.prune_backups,
            max_protected_backups: options.max_protected_backups,
            digest: options.digest,
            raw,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn storage_row_of_odd_forms_is_read_and_kept_whole() {
        let row = json!({
            "storage": "backup", "type": "pbs", "port": "8007", "shared": "1", "is_mountpoint": 1, "namespace": 7,
            "prune-backups": {"keep-last": 3}, "max-protected-backups": "-1", "nodes": "a, b", "fancy": [1],
        });
        let storage: StorageConfig = serde_json::from_value(row.clone()).unwrap();
        assert_eq!(storage.kind.as_deref(), Some("pbs"));
        assert_eq!(storage.port, Some(8007));
        assert_eq!(storage.shared, Some(true));
        assert!(!storage.disable);
        assert_eq!(storage.is_mountpoint.as_deref(), Some("1"));
        assert_eq!(storage.namespace.as_deref(), Some("7"));
        assert_eq!(storage.prune_backups.as_deref(), Some("keep-last=3"));
        assert_eq!(storage.max_protected_backups, Some(-1));
        assert_eq!(storage.nodes.as_deref(), Some("a,b"));
        assert_eq!(Value::Object(storage.raw), row);
    }
}
