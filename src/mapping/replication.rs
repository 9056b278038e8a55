//! A replication job as the plugin's replication.

use serde_json::Value;

use super::names::clean;
use super::storage::without_nul;
use crate::netbox::ObjectId;
use crate::netbox::objects::{Replication, Said};
use crate::proxmox::types::ReplicationJob;

/// The rows that a replication refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplicationParents {
    /// The plugin's endpoint.
    pub endpoint: ObjectId,
    /// The virtual machine that stands for the guest.
    pub virtual_machine: ObjectId,
    /// The plugin's row of the node that is copied to.
    pub target: Said<ObjectId>,
}

/// The replication that `job` is; `None` where it names no guest.
pub fn replication(job: &ReplicationJob, parents: ReplicationParents) -> Option<Replication> {
    let text = |text: &Option<String>| text.as_deref().map(clean).filter(|text| !text.is_empty());
    Some(Replication {
        endpoint: Some(parents.endpoint),
        replication_id: clean(&job.id),
        virtual_machine: parents.virtual_machine,
        guest: job.guest?.0,
        jobnum: job.jobnum.unwrap_or_default(),
        proxmox_node: parents.target,
        target: text(&job.target).unwrap_or_default(),
        source: text(&job.source),
        job_type: text(&job.kind).unwrap_or_else(|| "local".to_owned()),
        schedule: text(&job.schedule).unwrap_or_default(),
        rate: job.rate,
        comment: text(&job.comment),
        disable: job.disable,
        remove_job: text(&job.remove_job),
        status: "active".to_owned(),
        raw_config: Value::Object(without_nul(&job.raw)),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::reconcile::Resource;

    fn fields(job: Value) -> Option<Value> {
        let parents = ReplicationParents {
            endpoint: ObjectId(1),
            virtual_machine: ObjectId(10),
            target: Said::Empty,
        };
        let job: ReplicationJob = serde_json::from_value(job).unwrap();
        replication(&job, parents).map(|object| json!(object.fields()))
    }

    #[test]
    fn job_fills_its_columns() {
        let raw = json!({
            "id": "509-0", "type": "local", "guest": 509, "jobnum": 0, "source": "alpha-pve1", "target": "alpha-pve2",
            "schedule": "*/15", "rate": 50, "comment": "repl 509"
        });
        let expected = json!({
            "replication_id": "509-0", "endpoint": 1, "guest": 509, "target": "alpha-pve2", "job_type": "local",
            "schedule": "*/15", "rate": 50.0, "comment": "repl 509", "source": "alpha-pve1", "jobnum": 0,
            "virtual_machine": 10, "proxmox_node": null, "disable": false, "remove_job": null,
            "raw_config": raw.clone(), "status": "active"
        });
        assert_eq!(fields(raw), Some(expected));
    }

    #[test]
    fn what_a_job_lacks_is_empty_and_a_job_without_a_guest_is_nothing() {
        let bare = fields(json!({"id": "509-1", "guest": 509, "disable": 1, "comment": " \0 "})).unwrap();
        for (column, expected) in [
            ("target", json!("")),
            ("schedule", json!("")),
            ("rate", Value::Null),
            ("comment", Value::Null),
            ("source", Value::Null),
            ("disable", json!(true)),
            ("job_type", json!("local")),
        ] {
            assert_eq!(bare[column], expected, "{column}");
        }
        assert_eq!(fields(json!({"id": "509-1"})), None);
    }
}
