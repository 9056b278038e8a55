//! Ceph.

use serde::Deserialize;

/// The answer of `cluster/ceph/status`, as far as it matters here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct CephStatus {
    /// The id of the Ceph cluster.
    #[serde(default)]
    pub fsid: Option<String>,
    #[serde(default)]
    health: Option<CephHealth>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
struct CephHealth {
    #[serde(default)]
    status: Option<String>,
}

impl CephStatus {
    /// `HEALTH_OK`, `HEALTH_WARN` or `HEALTH_ERR`.
    pub fn health(&self) -> Option<&str> {
        self.health.as_ref()?.status.as_deref()
    }
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
}
