//! Task history: the plugin's row of a finished task of a guest.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::Value;

use super::Object;
use super::shape::{Nested, Tagged, is_same_instant, put, put_id, put_tags, slugs};
use crate::reconcile::{Fields, ObjectId, Resource, Stored};

/// What was done to a virtual machine's guest, and how it ended. Most of what never changes of it is not read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TaskHistory {
    /// The task's id in Proxmox, unique in all of NetBox.
    pub upid: String,
    /// The virtual machine.
    pub virtual_machine: Option<ObjectId>,
    /// The guest's kind: `qemu` or `lxc`.
    pub vm_type: Option<String>,
    /// The node it ran on.
    pub node: Option<String>,
    /// The number of its process.
    pub pid: Option<u32>,
    /// When its process started, in the node's ticks.
    pub pstart: Option<u64>,
    /// What it worked on: the guest's number as text.
    pub task_id: Option<String>,
    /// Its type.
    pub task_type: Option<String>,
    /// Who started it.
    pub username: Option<String>,
    /// When it began, ISO 8601 in UTC.
    pub start_time: Option<String>,
    /// When it ended, ISO 8601 in UTC.
    pub end_time: Option<String>,
    /// What it did, for a person.
    pub description: Option<String>,
    /// How it ended.
    pub status: Option<String>,
    /// The same again.
    pub exitstatus: Option<String>,
    /// `stopped`.
    pub task_state: Option<String>,
    /// Slugs of its tags.
    pub tags: BTreeSet<String>,
}

impl Resource for TaskHistory {
    const PATH: &'static str = "/api/plugins/proxbox/task-history/";
    const KIND: &'static str = "task";
    const ROW_MILLIS: u32 = 20;
    type Key = String;

    fn key(&self) -> String {
        self.upid.clone()
    }

    fn fields(&self) -> Fields {
        let mut fields = Fields::from([("upid", self.upid.clone().into())]);
        put_id(&mut fields, "virtual_machine", self.virtual_machine);
        put(&mut fields, "vm_type", self.vm_type.clone());
        put(&mut fields, "node", self.node.clone());
        put(&mut fields, "pid", self.pid);
        put(&mut fields, "pstart", self.pstart);
        put(&mut fields, "task_id", self.task_id.clone());
        put(&mut fields, "task_type", self.task_type.clone());
        put(&mut fields, "username", self.username.clone());
        put(&mut fields, "start_time", self.start_time.clone());
        put(&mut fields, "end_time", self.end_time.clone());
        put(&mut fields, "description", self.description.clone());
        put(&mut fields, "status", self.status.clone());
        put(&mut fields, "exitstatus", self.exitstatus.clone());
        put(&mut fields, "task_state", self.task_state.clone());
        put_tags(&mut fields, &self.tags);
        fields
    }

    fn is_same(field: &str, before: &Value, after: &Value) -> bool {
        before == after || (field == "end_time" && is_same_instant(before, after))
    }
}

/// A row as the plugin answers it.
#[derive(Debug, Deserialize)]
pub struct TaskHistoryRead {
    id: ObjectId,
    upid: String,
    virtual_machine: Nested,
    vm_type: Option<String>,
    task_id: Option<String>,
    end_time: Option<String>,
    status: Option<String>,
    exitstatus: Option<String>,
    task_state: Option<String>,
    tags: Vec<Tagged>,
}

impl From<TaskHistoryRead> for Stored<TaskHistory> {
    fn from(row: TaskHistoryRead) -> Self {
        let object = TaskHistory {
            upid: row.upid,
            virtual_machine: Some(row.virtual_machine.id),
            vm_type: row.vm_type,
            task_id: row.task_id,
            end_time: row.end_time,
            status: row.status,
            exitstatus: row.exitstatus,
            task_state: row.task_state,
            tags: slugs(row.tags),
            ..TaskHistory::default()
        };
        Self { id: row.id, object }
    }
}

impl Object for TaskHistory {
    type Read = TaskHistoryRead;
    const MODEL: &'static str = "netbox_proxbox.vmtaskhistory";
    const READ_FIELDS: &'static [&'static str] = &[
        "id",
        "upid",
        "virtual_machine",
        "vm_type",
        "task_id",
        "end_time",
        "status",
        "exitstatus",
        "task_state",
        "tags",
    ];
}
