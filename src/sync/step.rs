//! Steps: how a stream begins and ends, and what its messages call the work.

use std::time::Duration;

use serde_json::{Value, json};

use super::brief::with_brief;
use super::event::Progress;
use super::request::SyncRequest;
use crate::error::ErrorKind;
use crate::stages::Stage;

/// A step of a stream: its name, and its messages.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) name: &'static str,
    started: String,
    finished: String,
    completed: String,
    /// What has failed or was cancelled.
    noun: String,
}

impl Step {
    /// A stage that is asked for on its own. For one virtual machine the stage `virtual-machines` has a name of its own.
    pub(super) fn of_stage(stage: Stage, request: &SyncRequest) -> Self {
        match (stage, request.machine()) {
            (Stage::VirtualMachines, Some(machine)) => Self::titled("virtual-machine", "virtual machine")
                .starting(format!("Starting virtual machine synchronization for id={machine}.")),
            (Stage::VirtualDisks | Stage::Backups | Stage::Snapshots, Some(machine)) => {
                let title = title(stage);
                Self::plain(stage.as_str()).starting(format!("Starting {title} sync for VM id={machine}."))
            }
            (Stage::VirtualMachines, None) => {
                let whom = request.options.guests.only.as_ref();
                let whom = whom.map_or_else(String::new, |only| format!(" for {} VM(s)", only.len()));
                Self::titled(stage.as_str(), "virtual machines")
                    .starting(format!("Starting virtual machines synchronization{whom}."))
            }
            (Stage::Replications, _) => Self::titled(stage.as_str(), "replications"),
            _ => Self::plain(stage.as_str()),
        }
    }

    /// A stage of a full update.
    pub(super) fn of_full_update(stage: Stage) -> Self {
        Self::titled(stage.as_str(), title(stage))
    }

    /// A full update as a whole.
    pub(super) fn full_update(name: &'static str) -> Self {
        Self::titled(name, "full update")
    }

    /// The sweep.
    pub(super) fn sweep(name: &'static str, is_dry_run: bool) -> Self {
        let verb = if is_dry_run { "Previewing" } else { "Starting" };
        Self {
            finished: "Orphan virtual machine sweep finished.".to_owned(),
            completed: "Orphan virtual machine sweep finished.".to_owned(),
            ..Self::plain(name).starting(format!("{verb} orphan virtual machine sweep."))
        }
    }

    pub(super) fn plain(name: &'static str) -> Self {
        Self {
            name,
            started: format!("Starting {name} synchronization."),
            finished: format!("{name} synchronization finished."),
            completed: format!("{name} sync completed."),
            noun: format!("{name} sync"),
        }
    }

    fn titled(name: &'static str, title: &str) -> Self {
        let mut letters = title.chars();
        let first = letters.next().map(|letter| letter.to_ascii_uppercase());
        let capital: String = first.into_iter().chain(letters).collect();
        Self {
            name,
            started: format!("Starting {title} synchronization."),
            finished: format!("{capital} synchronization finished."),
            completed: format!("{capital} sync completed."),
            noun: format!("{capital} sync"),
        }
    }

    fn starting(self, started: String) -> Self {
        Self { started, ..self }
    }
}

/// What messages call the work of a stage.
const fn title(stage: Stage) -> &'static str {
    match stage {
        Stage::Devices => "devices",
        Stage::Storage => "storage",
        Stage::VirtualMachines => "virtual machines",
        Stage::TaskHistory => "task history",
        Stage::VirtualDisks => "virtual disks",
        Stage::Backups => "backup",
        Stage::Snapshots => "snapshot",
        Stage::NodeInterfaces => "node interfaces",
        Stage::VmInterfaces => "VM interfaces",
        Stage::VmIpAddresses => "VM IP address(es)",
        Stage::Sdn => "SDN",
        Stage::Replications => "replications",
        Stage::BackupRoutines => "backup routines",
    }
}

impl Progress {
    pub(super) fn started(&self, step: &Step) {
        self.started_with(step, None);
    }

    /// The same, with what else there is to say of the step.
    pub(super) fn started_with(&self, step: &Step, metadata: Option<&Value>) {
        let mut data = json!({"step": step.name, "status": "started", "message": step.started});
        if let (Value::Object(data), Some(metadata)) = (&mut data, metadata) {
            data.insert("metadata".to_owned(), metadata.clone());
        }
        self.send("step", data);
    }

    /// The end of one stage of a full update; the stream goes on.
    pub(super) fn stage_ended(&self, step: &Step, errors: &[String], result: &Value, took: Duration) {
        let (status, message) = if errors.is_empty() {
            ("completed", step.finished.clone())
        } else {
            ("failed", format!("{} failed: {}", step.noun, errors.join("; ")))
        };
        let took = (took.as_secs_f64() * 1000.0).round() / 1000.0;
        let data = json!({"step": step.name, "status": status, "message": message, "duration_seconds": took});
        self.send("step", with_brief(data, result));
    }

    /// The end of a step that is all there is to do; the frame that closes the stream is still to come.
    pub(super) fn finished(&self, step: &Step, result: &Value) {
        let data = json!({"step": step.name, "status": "completed", "message": step.finished});
        self.send("step", with_brief(data, result));
    }

    /// Closes the stream of a run that did all it was asked to.
    pub(super) fn completed(&self, step: &Step, result: Value) {
        self.send(
            "complete",
            with_result(json!({"ok": true, "message": step.completed}), result),
        );
    }

    /// Why a full update as a whole has failed.
    pub(super) fn full_update_failed(&self, kind: ErrorKind, errors: &[String]) {
        self.send(
            "error_detail",
            json!({
                "event": "error_detail",
                "phase": "full-update",
                "category": kind.as_str(),
                "message": "Full update synchronization failed",
                "detail": errors.join("; "),
                "suggestion": "See which stage has failed and why; the stages that did not need it went on.",
            }),
        );
    }

    /// Closes the stream of a run that did not.
    pub(super) fn failed(&self, step: &Step, errors: &[String], is_cancelled: bool, result: Value) {
        let text = errors.join("; ");
        self.send(
            "error",
            json!({"step": step.name, "status": "failed", "error": text, "detail": text}),
        );
        let ending = if is_cancelled { "cancelled" } else { "failed" };
        let errors: Vec<Value> = errors.iter().map(|detail| json!({"detail": detail})).collect();
        let message = format!("{} {ending}.", step.noun);
        self.send(
            "complete",
            with_result(json!({"ok": false, "message": message, "errors": errors}), result),
        );
    }
}

/// `data` with `result` as its last member; not copied, since the result of a large estate is large.
fn with_result(mut data: Value, result: Value) -> Value {
    if let Value::Object(members) = &mut data {
        members.insert("result".to_owned(), result);
    }
    data
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reconcile::ObjectId;

    fn texts(step: &Step) -> [&str; 4] {
        [step.name, &step.started, &step.finished, &step.completed]
    }

    #[test]
    fn step_is_named_and_told_after_what_the_request_is_about() {
        let all = SyncRequest::default();
        let mut two = SyncRequest::default();
        two.options.guests.only = Some([ObjectId(7), ObjectId(9)].into());
        let one = SyncRequest::default().of_machine(ObjectId(31));
        for (stage, request, expected) in [
            (
                Stage::Devices,
                &all,
                [
                    "devices",
                    "Starting devices synchronization.",
                    "devices synchronization finished.",
                    "devices sync completed.",
                ],
            ),
            (
                Stage::VirtualMachines,
                &two,
                [
                    "virtual-machines",
                    "Starting virtual machines synchronization for 2 VM(s).",
                    "Virtual machines synchronization finished.",
                    "Virtual machines sync completed.",
                ],
            ),
            (
                Stage::VirtualMachines,
                &one,
                [
                    "virtual-machine",
                    "Starting virtual machine synchronization for id=31.",
                    "Virtual machine synchronization finished.",
                    "Virtual machine sync completed.",
                ],
            ),
            (
                Stage::Backups,
                &one,
                [
                    "backups",
                    "Starting backup sync for VM id=31.",
                    "backups synchronization finished.",
                    "backups sync completed.",
                ],
            ),
        ] {
            assert_eq!(texts(&Step::of_stage(stage, request)), expected);
        }
    }

    #[test]
    fn stage_of_a_full_update_is_told_by_its_title() {
        let step = Step::of_full_update(Stage::BackupRoutines);
        let expected = [
            "backup-routines",
            "Starting backup routines synchronization.",
            "Backup routines synchronization finished.",
            "Backup routines sync completed.",
        ];
        assert_eq!(texts(&step), expected);
    }

    #[test]
    fn preview_of_a_sweep_says_so() {
        let step = Step::sweep("sweep-orphans", true);
        assert_eq!(step.started, "Previewing orphan virtual machine sweep.");
        assert_eq!(step.completed, "Orphan virtual machine sweep finished.");
    }
}
