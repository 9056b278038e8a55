//! Replications: the plugin's row of a replication job.

use serde::Deserialize;
use serde_json::Value;

use super::Object;
use super::shape::{Choice, Nested, Said, id, plain, put_id, put_or_null, put_said_id};
use crate::reconcile::{Fields, ObjectId, Resource, Stored};

/// The status of a row whose job is gone.
pub const STALE: &str = "stale";

/// A replication job of a guest. What is `None` is empty.
#[derive(Debug, Clone, PartialEq)]
pub struct Replication {
    /// The plugin's endpoint.
    pub endpoint: Option<ObjectId>,
    /// The job's name in Proxmox.
    pub replication_id: String,
    /// The virtual machine that stands for the guest.
    pub virtual_machine: ObjectId,
    /// The guest's number.
    pub guest: u32,
    /// The job's number among those of the guest.
    pub jobnum: u32,
    /// The plugin's row of the node that is copied to.
    pub proxmox_node: Said<ObjectId>,
    /// The node that is copied to.
    pub target: String,
    /// The node that is copied from.
    pub source: Option<String>,
    /// The job's kind.
    pub job_type: String,
    /// When it runs; may be empty.
    pub schedule: String,
    /// The limit of its rate in MB per second.
    pub rate: Option<f64>,
    /// Notes.
    pub comment: Option<String>,
    /// Whether it is switched off.
    pub disable: bool,
    /// Whether it is being removed, and how.
    pub remove_job: Option<String>,
    /// `active` or [`STALE`].
    pub status: String,
    /// The job as Proxmox gives it.
    pub raw_config: Value,
}

impl Resource for Replication {
    const PATH: &'static str = "/api/plugins/proxbox/replications/";
    const KIND: &'static str = "replication";
    type Key = String;

    fn key(&self) -> String {
        self.replication_id.clone()
    }

    fn fields(&self) -> Fields {
        let mut fields = Fields::from([
            ("replication_id", self.replication_id.clone().into()),
            ("virtual_machine", self.virtual_machine.0.into()),
            ("guest", self.guest.into()),
            ("jobnum", self.jobnum.into()),
            ("target", self.target.clone().into()),
            ("job_type", self.job_type.clone().into()),
            ("schedule", self.schedule.clone().into()),
            ("disable", self.disable.into()),
            ("status", self.status.clone().into()),
            ("raw_config", self.raw_config.clone()),
        ]);
        put_id(&mut fields, "endpoint", self.endpoint);
        put_said_id(&mut fields, "proxmox_node", self.proxmox_node);
        put_or_null(&mut fields, "source", self.source.clone());
        put_or_null(&mut fields, "rate", self.rate);
        put_or_null(&mut fields, "comment", self.comment.clone());
        put_or_null(&mut fields, "remove_job", self.remove_job.clone());
        fields
    }

    fn is_same(field: &str, before: &Value, after: &Value) -> bool {
        before == after || (field == "raw_config" && plain(before) == plain(after))
    }
}

/// A row as the plugin answers it.
#[derive(Debug, Deserialize)]
pub struct ReplicationRead {
    id: ObjectId,
    endpoint: Option<Nested>,
    replication_id: String,
    virtual_machine: Nested,
    guest: u32,
    jobnum: u32,
    proxmox_node: Option<Nested>,
    target: String,
    source: Option<String>,
    job_type: Choice,
    schedule: String,
    rate: Option<f64>,
    comment: Option<String>,
    disable: bool,
    remove_job: Option<Choice>,
    status: Choice,
    raw_config: Value,
}

impl From<ReplicationRead> for Stored<Replication> {
    fn from(row: ReplicationRead) -> Self {
        let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
        let object = Replication {
            endpoint: id(row.endpoint),
            replication_id: row.replication_id,
            virtual_machine: row.virtual_machine.id,
            guest: row.guest,
            jobnum: row.jobnum,
            proxmox_node: id(row.proxmox_node).into(),
            target: row.target,
            source: filled(row.source),
            job_type: row.job_type.value,
            schedule: row.schedule,
            rate: row.rate,
            comment: filled(row.comment),
            disable: row.disable,
            remove_job: filled(row.remove_job.map(|choice| choice.value)),
            status: row.status.value,
            raw_config: row.raw_config,
        };
        Self { id: row.id, object }
    }
}

impl Object for Replication {
    type Read = ReplicationRead;
    const MODEL: &'static str = "netbox_proxbox.replication";
    const READ_FIELDS: &'static [&'static str] = &[
        "id",
        "endpoint",
        "replication_id",
        "virtual_machine",
        "guest",
        "jobnum",
        "proxmox_node",
        "target",
        "source",
        "job_type",
        "schedule",
        "rate",
        "comment",
        "disable",
        "remove_job",
        "status",
        "raw_config",
    ];
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn how_proxmox_writes_a_number_makes_no_difference() {
        let same = |before, after| Replication::is_same("raw_config", &before, &after);
        assert!(same(
            json!({"rate": 50, "disable": false}),
            json!({"disable": "0", "rate": "50"})
        ));
        assert!(!same(json!({"rate": 50}), json!({"rate": 51})));
        assert!(!Replication::is_same("comment", &json!("1"), &json!(1)));
    }

    #[test]
    fn row_of_the_plugin_decodes_into_the_object_it_was_made_from() {
        let row = json!({
            "id": 1, "endpoint": {"id": 1, "name": "alpha"}, "replication_id": "509-0",
            "virtual_machine": {"id": 10, "name": "db-509"}, "proxmox_node": null, "guest": 509, "target": "alpha-pve2",
            "job_type": {"value": "local", "label": "Local"}, "schedule": "*/15", "rate": 50.0, "comment": "repl 509",
            "disable": false, "source": "alpha-pve1", "jobnum": 0, "remove_job": null,
            "status": {"value": "active", "label": "Active"}, "raw_config": {"id": "509-0"}
        });
        let stored: Stored<Replication> = serde_json::from_value::<ReplicationRead>(row).unwrap().into();
        let expected = json!({
            "endpoint": 1, "replication_id": "509-0", "virtual_machine": 10, "proxmox_node": null, "guest": 509,
            "target": "alpha-pve2", "job_type": "local", "schedule": "*/15", "rate": 50.0, "comment": "repl 509",
            "disable": false, "source": "alpha-pve1", "jobnum": 0, "remove_job": null, "status": "active",
            "raw_config": {"id": "509-0"}
        });
        assert_eq!(json!(stored.object.fields()), expected);
    }
}
