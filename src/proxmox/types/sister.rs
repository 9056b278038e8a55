//! What the sister products answer: Backup Server and Datacenter Manager.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::proxmox::wire;

/// A datastore of a backup server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Datastore {
    /// Its name.
    #[serde(deserialize_with = "wire::required_text")]
    pub store: String,
    /// What else is told, as it is sent.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// A namespace of a datastore.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Namespace {
    /// Its path, such as `site/rack`; `None`: the root.
    #[serde(default, deserialize_with = "wire::text")]
    pub ns: Option<String>,
}

/// What a datacenter manager knows of one of its remotes.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct RemoteResources {
    /// The remote.
    #[serde(deserialize_with = "wire::required_text")]
    pub remote: String,
    /// Why the remote could not be asked.
    #[serde(default, deserialize_with = "wire::text")]
    pub error: Option<String>,
    /// Its guests, nodes, storages and datastores; each tells its kind in `type`, such as `pve-qemu` or `pbs-datastore`.
    #[serde(default)]
    pub resources: Vec<Value>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn remote_that_failed_says_why_and_numbers_are_names() {
        let failed: RemoteResources =
            serde_json::from_value(json!({"remote": 7, "error": "timed out", "resources": []})).unwrap();
        assert_eq!(
            (failed.remote.as_str(), failed.error.as_deref()),
            ("7", Some("timed out"))
        );
        let root: Namespace = serde_json::from_value(json!({"ns": ""})).unwrap();
        assert_eq!(root.ns, None);
        assert!(serde_json::from_value::<Datastore>(json!({"comment": "no name"})).is_err());
    }
}
