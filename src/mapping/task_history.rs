//! A finished task as the plugin's row of it.

use super::names::clean;
use super::times::instant;
use crate::inventory::TaskEnding;
use crate::netbox::ObjectId;
use crate::netbox::objects::{PROXBOX_TAG, TaskHistory};
use crate::proxmox::types::{GuestKind, Task};

/// The largest process number that NetBox takes.
const PID_MAX: u32 = i32::MAX.unsigned_abs();
/// Words of task types, in the order in which they are looked for, and what a person reads.
const ACTIONS: [(&str, &str); 17] = [
    ("start", "Start"),
    ("shutdown", "Shutdown"),
    ("reboot", "Reboot"),
    ("stop", "Stop"),
    ("pause", "Pause"),
    ("resume", "Resume"),
    ("suspend", "Suspend"),
    ("delete", "Delete"),
    ("create", "Create"),
    ("clone", "Clone"),
    ("move", "Move"),
    ("backup", "Backup"),
    ("restore", "Restore"),
    ("snapshot", "Snapshot"),
    ("rollback", "Rollback"),
    ("migrate", "Migrate"),
    ("convert", "Convert"),
];

/// The virtual machine whose guest a task worked on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskOwner {
    /// The virtual machine.
    pub machine: ObjectId,
    /// The guest's kind.
    pub kind: GuestKind,
}

/// The row of `task`, which began at `now` where it does not tell when; `None` where the task has no id.
pub fn task_history(task: &Task, owner: TaskOwner, now: &str) -> Option<TaskHistory> {
    let upid = task.upid.as_deref().map(clean).filter(|upid| !upid.is_empty())?;
    let kind = task.kind.as_deref().map(clean).unwrap_or_default();
    let task_type = if kind.is_empty() { "unknown" } else { &kind };
    let outcome = TaskEnding::of(task).outcome;
    Some(TaskHistory {
        upid,
        virtual_machine: Some(owner.machine),
        vm_type: Some(owner.kind.to_string()),
        node: task.node.as_deref().map(clean),
        pid: task.pid.filter(|pid| *pid <= PID_MAX),
        pstart: task.pstart,
        task_id: task.subject().map(clean),
        task_type: Some(task_type.to_owned()),
        username: Some(task.user.as_deref().map_or_else(|| "root@pam".to_owned(), clean)),
        start_time: Some(instant(task.starttime).unwrap_or_else(|| now.to_owned())),
        end_time: instant(task.endtime),
        description: Some(description(owner.kind, task.subject(), task_type)),
        status: Some(outcome.clone()),
        exitstatus: Some(outcome),
        task_state: Some("stopped".to_owned()),
        tags: [PROXBOX_TAG.to_owned()].into(),
    })
}

/// What a task did, such as `QEMU 204 - Shutdown`.
fn description(kind: GuestKind, task_id: Option<&str>, task_type: &str) -> String {
    let kind = match kind {
        GuestKind::Qemu => "QEMU",
        GuestKind::Lxc => "CT",
    };
    let subject = task_id.map(|id| format!(" {}", clean(id))).unwrap_or_default();
    format!("{kind}{subject} - {}", action(task_type))
}

/// What a task type does: the first known word in it, else the type itself with a capital.
fn action(task_type: &str) -> String {
    let lower = task_type.to_lowercase();
    if let Some((_, action)) = ACTIONS.iter().find(|(word, _)| lower.contains(word)) {
        return (*action).to_owned();
    }
    let mut letters = lower.chars();
    letters
        .next()
        .map(|first| first.to_uppercase().chain(letters).collect())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::reconcile::Resource;

    const NOW: &str = "2026-11-24T12:00:00Z";

    fn fields(task: Value, kind: GuestKind) -> Value {
        let task: Task = serde_json::from_value(task).unwrap();
        let owner = TaskOwner {
            machine: ObjectId(31),
            kind,
        };
        json!(task_history(&task, owner, NOW).unwrap().fields())
    }

    #[test]
    fn shutdown_of_a_virtual_machine_fills_every_column() {
        let upid = "UPID:a1:000A1:0B2C:67AB1F00:qmshutdown:204:ops@pve:";
        let given = fields(
            json!({
                "upid": upid, "node": "a1", "id": "204", "type": "qmshutdown", "pid": 161, "pstart": 2860,
                "starttime": 1_739_268_864, "endtime": 1_739_268_871, "user": "ops@pve", "status": "OK"
            }),
            GuestKind::Qemu,
        );
        let expected = json!({
            "virtual_machine": 31, "vm_type": "qemu", "upid": upid, "node": "a1", "pid": 161, "pstart": 2860,
            "task_id": "204", "task_type": "qmshutdown", "username": "ops@pve", "start_time": "2025-02-11T10:14:24Z",
            "end_time": "2025-02-11T10:14:31Z", "description": "QEMU 204 - Shutdown", "status": "OK",
            "task_state": "stopped", "exitstatus": "OK", "tags": ["proxbox"]
        });
        assert_eq!(given, expected);
    }

    #[test]
    fn task_type_is_told_in_a_word() {
        for (kind, task_type, expected) in [
            (GuestKind::Qemu, "qmstart", "QEMU 204 - Start"),
            (GuestKind::Lxc, "vzdump", "CT 204 - Vzdump"),
            (GuestKind::Qemu, "qmdelsnapshot", "QEMU 204 - Snapshot"),
            (GuestKind::Qemu, "qmigrate", "QEMU 204 - Migrate"),
            (GuestKind::Qemu, "qmdestroy", "QEMU 204 - Qmdestroy"),
            (GuestKind::Lxc, "vzrestart", "CT 204 - Start"),
            (GuestKind::Qemu, "qmremove", "QEMU 204 - Move"),
            (GuestKind::Qemu, "QMReboot", "QEMU 204 - Reboot"),
            (GuestKind::Qemu, "", "QEMU 204 - Unknown"),
        ] {
            let given = fields(json!({"upid": "UPID:1", "id": 204, "type": task_type}), kind);
            assert_eq!(given["description"], json!(expected), "{task_type}");
        }
        assert_eq!(description(GuestKind::Lxc, None, "vzstart"), "CT - Start");
    }

    #[test]
    fn sparse_task_gets_what_stands_for_the_missing() {
        let given = fields(
            json!({"upid": " UPID:1 ", "id": "204", "starttime": 0, "pid": u32::MAX, "status": "WARNINGS: 2"}),
            GuestKind::Lxc,
        );
        let expected = json!({
            "virtual_machine": 31, "vm_type": "lxc", "upid": "UPID:1", "task_id": "204", "task_type": "unknown",
            "username": "root@pam", "start_time": NOW, "description": "CT 204 - Unknown", "status": "WARNINGS: 2",
            "exitstatus": "WARNINGS: 2", "task_state": "stopped", "tags": ["proxbox"]
        });
        assert_eq!(given, expected);
        let task: Task = serde_json::from_value(json!({"upid": " ", "id": "204"})).unwrap();
        let owner = TaskOwner {
            machine: ObjectId(31),
            kind: GuestKind::Lxc,
        };
        assert_eq!(task_history(&task, owner, NOW), None);
    }

    #[test]
    fn outcome_is_cut_to_what_is_kept() {
        let given = fields(
            json!({"upid": "UPID:1", "id": "204", "status": "é".repeat(3000)}),
            GuestKind::Qemu,
        );
        assert_eq!(given["status"], json!("é".repeat(2048)));
        let unfinished = fields(json!({"upid": "UPID:1", "id": "204"}), GuestKind::Qemu);
        assert_eq!(unfinished["status"], json!("unknown"));
    }
}
