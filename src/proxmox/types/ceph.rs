//! Ceph.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::proxmox::wire;

/// The answer of `cluster/ceph/status`, as far as it matters here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct CephStatus {
    /// The id of the Ceph cluster.
    #[serde(default)]
    pub fsid: Option<String>,
    #[serde(default)]
    health: Option<CephHealth>,
    #[serde(default)]
    osdmap: Option<OsdMap>,
    /// What is stored and moved.
    #[serde(default)]
    pub pgmap: CephUsage,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
struct CephHealth {
    #[serde(default)]
    status: Option<String>,
    #[serde(default)]
    checks: BTreeMap<String, HealthCheck>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
struct HealthCheck {
    #[serde(default)]
    summary: HealthSummary,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
struct HealthSummary {
    #[serde(default)]
    message: String,
}

/// Before Ceph 15 the figures stand one level deeper.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
struct OsdMap {
    #[serde(flatten)]
    osds: CephOsds,
    #[serde(default)]
    osdmap: Option<CephOsds>,
}

/// How many OSDs there are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CephOsds {
    /// All.
    #[serde(default, deserialize_with = "wire::number")]
    pub num_osds: Option<u64>,
    /// Those that run.
    #[serde(default, deserialize_with = "wire::number")]
    pub num_up_osds: Option<u64>,
    /// Those that hold data.
    #[serde(default, deserialize_with = "wire::number")]
    pub num_in_osds: Option<u64>,
}

/// What a Ceph cluster stores and moves. Ceph leaves figures out that are zero.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CephUsage {
    /// Placement groups.
    #[serde(default, deserialize_with = "wire::number")]
    pub num_pgs: Option<u64>,
    /// Pools.
    #[serde(default, deserialize_with = "wire::number")]
    pub num_pools: Option<u64>,
    /// Objects.
    #[serde(default, deserialize_with = "wire::number")]
    pub num_objects: Option<u64>,
    /// Capacity in bytes.
    #[serde(default, deserialize_with = "wire::number")]
    pub bytes_total: Option<u64>,
    /// Used bytes, copies counted.
    #[serde(default, deserialize_with = "wire::number")]
    pub bytes_used: Option<u64>,
    /// Free bytes, copies counted.
    #[serde(default, deserialize_with = "wire::number")]
    pub bytes_avail: Option<u64>,
    /// Bytes read per second.
    #[serde(default, deserialize_with = "wire::number")]
    pub read_bytes_sec: Option<u64>,
    /// Bytes written per second.
    #[serde(default, deserialize_with = "wire::number")]
    pub write_bytes_sec: Option<u64>,
    /// Reads per second.
    #[serde(default, deserialize_with = "wire::number")]
    pub read_op_per_sec: Option<u64>,
    /// Writes per second.
    #[serde(default, deserialize_with = "wire::number")]
    pub write_op_per_sec: Option<u64>,
}

impl CephStatus {
    /// `HEALTH_OK`, `HEALTH_WARN` or `HEALTH_ERR`.
    pub fn health(&self) -> Option<&str> {
        self.health.as_ref()?.status.as_deref()
    }

    /// What is wrong: code and text, such as `OSD_DOWN` and `1 osds down`.
    pub fn warnings(&self) -> impl Iterator<Item = (&str, &str)> {
        let checks = self.health.iter().flat_map(|health| &health.checks);
        checks.map(|(code, check)| (code.as_str(), check.summary.message.as_str()))
    }

    /// How many OSDs there are.
    pub fn osds(&self) -> CephOsds {
        let map = self.osdmap.clone().unwrap_or_default();
        map.osdmap.unwrap_or(map.osds)
    }
}

/// A kind of daemon of Ceph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CephDaemon {
    /// A monitor.
    Monitor,
    /// A manager.
    Manager,
    /// A metadata server.
    Metadata,
}

impl CephDaemon {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Monitor, Self::Manager, Self::Metadata];

    /// The part of a path that stands for it.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Monitor => "mon",
            Self::Manager => "mgr",
            Self::Metadata => "mds",
        }
    }
}

/// The OSDs in a tree of `nodes/{node}/ceph/osd`, in its order, as they are sent but without their children.
pub(in crate::proxmox) fn osds_of(mut tree: Value) -> Vec<Value> {
    let mut found = Vec::new();
    let children = tree.as_object_mut().and_then(|node| node.remove("children"));
    if tree.get("type").is_some_and(|kind| kind == "osd") {
        found.push(tree);
    }
    if let Some(Value::Array(children)) = children {
        found.extend(children.into_iter().flat_map(osds_of));
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn health_is_read_where_it_is_told() {
        for (answer, fsid, health) in [
            (
                json!({"fsid": "f", "health": {"status": "HEALTH_WARN", "checks": {"OSD_DOWN": {"severity": "HEALTH_WARN"}}}}),
                Some("f"),
                Some("HEALTH_WARN"),
            ),
            (json!({"fsid": "f", "health": {}}), Some("f"), None),
            (json!({"health": null, "osdmap": {"num_osds": 3}}), None, None),
        ] {
            let status: CephStatus = serde_json::from_value(answer).unwrap();
            assert_eq!((status.fsid.as_deref(), status.health()), (fsid, health));
        }
    }

    #[test]
    fn figures_are_read_where_each_release_has_them() {
        for osdmap in [
            json!({"epoch": 9, "num_osds": 6, "num_up_osds": 5, "num_in_osds": 6}),
            json!({"osdmap": {"num_osds": 6, "num_up_osds": "5", "num_in_osds": 6}}),
        ] {
            let answer = json!({
                "osdmap": osdmap, "pgmap": {"bytes_total": 4096, "num_pgs": 33},
                "health": {"checks": {"OSD_DOWN": {"summary": {"message": "1 osds down", "count": 1}}}},
            });
            let status: CephStatus = serde_json::from_value(answer).unwrap();
            assert_eq!(status.osds().num_up_osds, Some(5), "{osdmap}");
            assert_eq!((status.pgmap.bytes_total, status.pgmap.num_pools), (Some(4096), None));
            assert_eq!(status.warnings().collect::<Vec<_>>(), [("OSD_DOWN", "1 osds down")]);
        }
    }

    #[test]
    fn osds_are_found_wherever_they_hang_in_the_tree() {
        let host = |name: &str, ids: &[i64]| {
            let osds: Vec<_> = ids.iter().map(|id| json!({"type": "osd", "id": id})).collect();
            json!({"type": "host", "name": name, "children": osds})
        };
        let rack = json!({"type": "rack", "children": [host("pve2", &[2])]});
        let tree = json!({"type": "root", "children": [host("pve1", &[0, 1]), rack, {"type": "host"}]});
        let found = osds_of(json!({"leaf": 0, "children": [tree]}));
        assert_eq!(found, [0, 1, 2].map(|id| json!({"type": "osd", "id": id})));
    }
}
