//! Events: what a run tells while it goes on.
//!
//! Their names and keys are the plugin's contract; frames are cut at 600 characters in the job log, so they are short.

use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::sync::broadcast;

use super::brief::{fit_items, fit_texts};
use super::error::Error;
use super::report::{Counts, Failure};
use super::stages::BootstrapStatus;
use crate::inventory::{Gap, Vmid};
use crate::netbox::ids::Ids;
use crate::reconcile::ObjectId;
use crate::stages::machines::names::GuestName;

/// How many events are kept for a listener that falls behind. The last event of a run is always among them.
const KEPT: usize = 4096;

/// One event: its name and a JSON object.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The event's name.
    pub name: &'static str,
    /// Its data.
    pub data: Value,
}

/// Where a run tells its progress. Sending never waits: a listener that falls behind misses the oldest events.
#[derive(Debug, Clone)]
pub struct Progress {
    sender: broadcast::Sender<Event>,
}

impl Default for Progress {
    fn default() -> Self {
        Self {
            sender: broadcast::Sender::new(KEPT),
        }
    }
}

/// How one object of a stage fared, for its event.
#[derive(Debug, Clone, Copy)]
pub(super) struct Item<'a> {
    pub(super) phase: &'a str,
    pub(super) name: &'a str,
    /// What the name stands for: `node`, `storage`.
    pub(super) kind: &'a str,
    /// Its row in NetBox, and that row's page.
    pub(super) page: Option<(ObjectId, &'a str)>,
    /// `created`, `updated`, `deleted`, `would_delete`, `skipped` or `failed`.
    pub(super) operation: &'static str,
    /// Why it was left alone.
    pub(super) warning: Option<&'a str>,
    /// What else there is to say of it.
    pub(super) extra: Option<&'a Value>,
    /// Why it failed.
    pub(super) error: Option<&'a str>,
    pub(super) current: usize,
    pub(super) total: usize,
}

/// A part of the work on one object, for its event.
#[derive(Debug, Clone, Copy)]
pub(super) struct Substep<'a> {
    pub(super) phase: &'a str,
    /// What the part is called.
    pub(super) name: &'static str,
    /// `processing`, `completed`, `failed` or `skipped`.
    pub(super) status: &'static str,
    pub(super) message: &'a str,
    /// The object's name.
    pub(super) item: &'a str,
    /// How long it took, where it has ended.
    pub(super) took: Option<Duration>,
}

impl Progress {
    /// A listener that hears every event from now on.
    pub fn listen(&self) -> broadcast::Receiver<Event> {
        self.sender.subscribe()
    }

    pub(super) fn send(&self, name: &'static str, mut data: Value) {
        if matches!(name, "error" | "error_detail") {
            fit_texts(&mut data, &["suggestion", "message", "detail", "error"]);
        }
        // Nobody may be listening: a detached run goes on all the same.
        let _ = self.sender.send(Event { name, data });
    }

    /// Which stages a full update is about to run.
    pub(super) fn planned(&self, operation: &str, stages: &[&str]) {
        let message = format!("Full update stream connected (operation_id={operation})");
        self.send(
            "step",
            json!({"step": "stream", "status": "started", "message": message}),
        );
        let count = stages.len();
        let items: Vec<Value> = stages
            .iter()
            .map(|name| json!({"name": name, "type": "stage"}))
            .collect();
        self.send(
            "discovery",
            json!({
                "event": "discovery",
                "phase": "full-update",
                "status": "discovered",
                "message": format!("Discovered {count} sync stage(s) for full update"),
                "count": count,
                "items": items,
                "progress": {"current": 0, "total": count, "percent": 0.0},
                "metadata": {"operation_id": operation},
            }),
        );
    }

    /// What was done about the supporting objects.
    pub(super) fn bootstrapped(&self, status: &BootstrapStatus) {
        self.send("bootstrap_done", json!(status));
    }

    /// What a stage is about to work on. `noun` is what one of `items` is called.
    pub(super) fn discovered(&self, phase: &str, noun: &str, items: &[Value]) {
        self.discovered_with(phase, noun, items, None);
    }

    /// The same, with what else there is to say of the stage.
    pub(super) fn discovered_with(&self, phase: &str, noun: &str, items: &[Value], metadata: Option<Value>) {
        let count = items.len();
        let mut data = json!({
            "event": "discovery",
            "phase": phase,
            "status": "discovered",
            "message": format!("Discovered {count} {noun}(s) to synchronize"),
            "count": count,
            "items": items,
            "progress": {"current": 0, "total": count, "percent": 0.0},
        });
        if let (Value::Object(data), Some(metadata)) = (&mut data, metadata) {
            data.insert("metadata".to_owned(), metadata);
        }
        fit_items(&mut data);
        self.send("discovery", data);
    }

    /// A virtual machine that does not bear its guest's name: an operator gave it another, or the name was taken.
    pub(super) fn name_resolved(&self, cluster: &str, vmid: Vmid, name: &GuestName) {
        self.send(
            "duplicate_name_resolved",
            json!({
                "event": "duplicate_name_resolved",
                "cluster": cluster,
                "original_name": name.live,
                "resolved_name": name.name,
                "vmid": vmid,
                "suffix_index": name.suffix,
                "operator_renamed": name.is_operators,
            }),
        );
    }

    pub(super) fn item(&self, item: Item<'_>) {
        let status = match item.operation {
            "failed" => "failed",
            "skipped" | "would_delete" => "skipped",
            _ => "completed",
        };
        self.item_as(status, item);
    }

    /// The same for one whose status does not follow from what was done.
    pub(super) fn item_as(&self, status: &str, item: Item<'_>) {
        let mut descriptor = Map::from_iter([("name".to_owned(), json!(item.name))]);
        if let Some((id, url)) = item.page {
            descriptor.insert("netbox_id".to_owned(), json!(id));
            descriptor.insert("netbox_url".to_owned(), json!(url));
        }
        descriptor.insert("item_type".to_owned(), json!(item.kind));
        if let Some(extra) = item.extra {
            descriptor.insert("extra".to_owned(), extra.clone());
        }
        let mut data = json!({
            "event": "item_progress",
            "phase": item.phase,
            "status": status,
            "message": format!("{} {} {}", item.kind, item.name, item.operation),
            "item": descriptor,
            "operation": item.operation,
            "progress": {
                "current": item.current,
                "total": item.total,
                "percent": percent(item.current, item.total),
            },
        });
        let texts = [("error", item.error), ("warning", item.warning)];
        if let Value::Object(data) = &mut data {
            data.extend(
                texts
                    .iter()
                    .filter_map(|(key, text)| Some(((*key).to_owned(), json!((*text)?)))),
            );
        }
        self.send("item_progress", data);
    }

    /// That the turn of one object has come, before it is known how it fares.
    pub(super) fn processing(&self, phase: &str, name: &str, kind: &str) {
        self.send(
            "item_progress",
            json!({
                "event": "item_progress",
                "phase": phase,
                "status": "processing",
                "message": format!("Processing {name}"),
                "item": {"name": name, "item_type": kind},
                "operation": "created",
                "progress": {"current": 0, "total": 0, "percent": 0.0},
            }),
        );
    }

    /// A part of the work on one object.
    pub(super) fn substep(&self, substep: Substep<'_>) {
        let mut data = json!({
            "event": "substep",
            "phase": substep.phase,
            "substep": substep.name,
            "status": substep.status,
            "message": substep.message,
            "item": {"name": substep.item},
        });
        if let (Value::Object(data), Some(took)) = (&mut data, substep.took) {
            let elapsed = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
            data.insert("timing".to_owned(), json!({"elapsed_ms": elapsed}));
        }
        self.send("substep", data);
    }

    /// What a stage has to say of itself, with what it counts in `more`, an object.
    pub(super) fn note(&self, step: &str, status: &str, message: &str, more: Value) {
        let mut payload = json!({"step": step, "status": status, "message": message});
        if let (Value::Object(payload), Value::Object(more)) = (&mut payload, more) {
            payload.extend(more);
        }
        self.send(
            "step",
            json!({"step": "sync", "status": "progress", "message": message, "rowid": null, "payload": payload}),
        );
    }

    /// The row form of an item's progress, which the plugin's table shows.
    pub(super) fn row(&self, object: &str, id: ObjectId, name: &str, operation: &str) {
        let columns = json!({
            "completed": true,
            "increment_count": "yes",
            "sync_status": operation,
            "rowid": name,
            "name": name,
            "netbox_id": Ids::told(id),
        });
        self.columns(object, "create", name, &columns);
    }

    /// A row of one of the plugin's tables, with the columns of that table. It has failed where there is an `error`, is
    /// done but for a `warning` where there is one, and has only begun where it is not `completed`.
    pub(super) fn columns(&self, object: &str, action: &str, rowid: &str, columns: &Value) {
        let text = |name| columns.get(name).and_then(Value::as_str);
        let (status, message) = match (text("error"), text("warning")) {
            (Some(error), _) => ("failed", error.to_owned()),
            (None, Some(warning)) => ("completed", warning.to_owned()),
            (None, None) if columns["completed"] == false => ("progress", format!("Processing {object} {rowid}")),
            (None, None) => ("completed", format!("Synced {object} {rowid}")),
        };
        self.send(
            "step",
            json!({
                "step": object,
                "status": status,
                "message": message,
                "rowid": rowid,
                "payload": {"object": object, "type": action, "data": columns},
            }),
        );
    }

    pub(super) fn rows_end(&self, object: &str) {
        self.send(
            "step",
            json!({
                "step": object,
                "status": "completed",
                "message": format!("{object} rows finished."),
                "rowid": null,
                "payload": {"object": object, "end": true},
            }),
        );
    }

    pub(super) fn summary(&self, phase: &str, counts: &Counts) {
        let message = format!(
            "{phase} sync completed: {} created, {} updated, {} unchanged, {} failed",
            counts.created,
            counts.updated + counts.stale,
            counts.unchanged,
            counts.failed
        );
        self.summary_as(phase, counts, &message);
    }

    /// The same, in the words of the stage.
    pub(super) fn summary_as(&self, phase: &str, counts: &Counts, message: &str) {
        let status = if counts.failed > 0 {
            "completed_with_errors"
        } else {
            "completed"
        };
        self.send(
            "phase_summary",
            json!({
                "event": "phase_summary",
                "phase": phase,
                "status": status,
                "message": message,
                "result": {
                    "created": counts.created,
                    "updated": counts.updated + counts.stale,
                    "deleted": counts.deleted,
                    "failed": counts.failed,
                    "skipped": counts.skipped + counts.unchanged,
                    "total": counts.total(),
                },
            }),
        );
    }

    /// A source that could not be read.
    pub(super) fn gap(&self, phase: &str, gap: &Gap) {
        self.send(
            "error_detail",
            json!({
                "event": "error_detail",
                "phase": phase,
                "item": {"name": gap.source, "item_type": "source"},
                "category": gap.kind.as_str(),
                "message": gap.to_string(),
            }),
        );
    }

    /// A row that could not be written, with NetBox's own words.
    pub(super) fn failure(&self, phase: &str, failure: &Failure) {
        self.send(
            "error_detail",
            json!({
                "event": "error_detail",
                "phase": phase,
                "item": {"name": failure.label, "item_type": failure.object},
                "category": failure.kind.as_str(),
                "message": failure.message,
            }),
        );
    }

    /// Why an endpoint's part failed.
    pub(super) fn endpoint_failed(&self, phase: &str, endpoint: &str, error: &Error) {
        let mut data = json!({
            "event": "error_detail",
            "phase": phase,
            "item": {"name": endpoint, "item_type": "endpoint"},
            "category": error.kind().as_str(),
            "message": error.to_string(),
            "detail": error.reason(),
        });
        if let (Value::Object(data), Some(suggestion)) = (&mut data, error.suggestion()) {
            data.insert("suggestion".to_owned(), json!(suggestion));
        }
        self.send("error_detail", data);
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share of a small count, for display")]
fn percent(current: usize, total: usize) -> f64 {
    if total == 0 {
        0.0
    } else {
        (current as f64 / total as f64 * 1000.0).round() / 10.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stages::Stage;
    use crate::sync::step::Step;

    #[test]
    fn listener_that_falls_behind_still_hears_the_end() {
        let devices = Step::of_full_update(Stage::Devices);
        let progress = Progress::default();
        let mut listener = progress.listen();
        for _ in 0..KEPT * 2 {
            progress.started(&devices);
        }
        progress.completed(&devices, json!({"count": 1}));
        drop(progress);
        let mut last = None;
        loop {
            match listener.try_recv() {
                Ok(event) => last = Some(event),
                Err(broadcast::error::TryRecvError::Lagged(_)) => {}
                Err(_) => break,
            }
        }
        let last = last.unwrap();
        assert_eq!(last.name, "complete");
        let expected = json!({"ok": true, "message": "Devices sync completed.", "result": {"count": 1}});
        assert_eq!(last.data, expected);
    }

    #[test]
    fn percentage_has_one_decimal() {
        for (current, total, expected) in [(0, 0, 0.0), (1, 3, 33.3), (3, 3, 100.0)] {
            assert!(
                (percent(current, total) - expected).abs() < f64::EPSILON,
                "{current}/{total}"
            );
        }
    }
}
