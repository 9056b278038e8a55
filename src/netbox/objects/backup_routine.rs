//! Backup routines: the plugin's row of a backup job.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::Object;
use super::shape::{Choice, Nested, Said, id, is_same_instant, plain, put_or_null, put_said_id};
use crate::reconcile::{Fields, ObjectId, Resource, Stored};

/// Keys of a job that change although nobody has changed the job.
const VOLATILE: [&str; 2] = ["next-run", "digest"];

/// A backup job of a cluster. What is `None` is empty.
#[derive(Debug, Clone, PartialEq)]
pub struct BackupRoutine {
    /// The plugin's endpoint.
    pub endpoint: ObjectId,
    /// The job's name in Proxmox.
    pub job_id: String,
    /// Whether it is switched on.
    pub enabled: bool,
    /// When it runs.
    pub schedule: String,
    /// When it runs next, ISO 8601 in UTC.
    pub next_run: Option<String>,
    /// The plugin's row of the node that it is limited to.
    pub node: Said<ObjectId>,
    /// The plugin's row of the storage that it writes to.
    pub storage: Said<ObjectId>,
    /// The guests that it takes: a list of numbers and words that must not be empty.
    pub selection: Value,
    /// Notes.
    pub comment: String,
    /// `active` or `stale`.
    pub status: Option<String>,
    /// Which backups are kept.
    pub retention: Retention,
    /// The template of the notes of its backups.
    pub notes_template: String,
    /// The limit of its bandwidth in KiB per second.
    pub bwlimit: Option<u32>,
    /// Threads of the compressor.
    pub zstd: Option<u32>,
    /// Workers that read and write.
    pub io_workers: Option<u32>,
    /// Options of fleecing, `enabled=1,storage=local-lvm`.
    pub fleecing: String,
    /// The plugin's row of the storage that is used for fleecing.
    pub fleecing_storage: Said<ObjectId>,
    /// Whether a run that was missed is made up for.
    pub repeat_missed: Option<bool>,
    /// How a backup server tells what has changed.
    pub pbs_change_detection_mode: String,
    /// The job as Proxmox gives it.
    pub raw_config: Value,
}

/// How many backups are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retention {
    /// The latest.
    pub last: Option<u32>,
    /// One a day.
    pub daily: Option<u32>,
    /// One a week.
    pub weekly: Option<u32>,
    /// One a month.
    pub monthly: Option<u32>,
    /// One a year.
    pub yearly: Option<u32>,
    /// Whether all are kept.
    pub all: Option<bool>,
}

impl Resource for BackupRoutine {
    const PATH: &'static str = "/api/plugins/proxbox/backup-routines/";
    const KIND: &'static str = "backup routine";
    type Key = String;

    fn key(&self) -> String {
        self.job_id.clone()
    }

    fn fields(&self) -> Fields {
        let mut fields = Fields::from([
            ("endpoint", self.endpoint.0.into()),
            ("job_id", self.job_id.clone().into()),
            ("enabled", self.enabled.into()),
            ("schedule", self.schedule.clone().into()),
            ("selection", self.selection.clone()),
            ("comment", self.comment.clone().into()),
            ("notes_template", self.notes_template.clone().into()),
            ("fleecing", self.fleecing.clone().into()),
            (
                "pbs_change_detection_mode",
                self.pbs_change_detection_mode.clone().into(),
            ),
            ("raw_config", self.raw_config.clone()),
        ]);
        put_or_null(&mut fields, "next_run", self.next_run.clone());
        put_said_id(&mut fields, "node", self.node);
        put_said_id(&mut fields, "storage", self.storage);
        put_said_id(&mut fields, "fleecing_storage", self.fleecing_storage);
        put_or_null(&mut fields, "status", self.status.clone());
        put_or_null(&mut fields, "keep_last", self.retention.last);
        put_or_null(&mut fields, "keep_daily", self.retention.daily);
        put_or_null(&mut fields, "keep_weekly", self.retention.weekly);
        put_or_null(&mut fields, "keep_monthly", self.retention.monthly);
        put_or_null(&mut fields, "keep_yearly", self.retention.yearly);
        put_or_null(&mut fields, "keep_all", self.retention.all);
        put_or_null(&mut fields, "bwlimit", self.bwlimit);
        put_or_null(&mut fields, "zstd", self.zstd);
        put_or_null(&mut fields, "io_workers", self.io_workers);
        put_or_null(&mut fields, "repeat_missed", self.repeat_missed);
        fields
    }

    /// The order of guests and of options means nothing, and when a job runs next says nothing of the job.
    fn is_same(field: &str, before: &Value, after: &Value) -> bool {
        match (field, before, after) {
            ("selection", Value::Array(before), Value::Array(after)) => members(before) == members(after),
            ("fleecing", Value::String(before), Value::String(after)) => options(before) == options(after),
            ("raw_config", Value::Object(before), Value::Object(after)) => essence(before) == essence(after),
            ("next_run", _, _) => before == after || is_same_instant(before, after),
            _ => before == after,
        }
    }
}

fn members(list: &[Value]) -> BTreeSet<String> {
    list.iter().map(Value::to_string).collect()
}

fn options(text: &str) -> BTreeSet<&str> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).collect()
}

/// A job without its volatile keys; the order of its options means nothing.
fn essence(raw: &Map<String, Value>) -> Map<String, Value> {
    raw.iter()
        .filter(|(key, _)| !VOLATILE.contains(&key.as_str()))
        .map(|(key, value)| (key.clone(), plain(value)))
        .collect()
}

/// A row as the plugin answers it.
#[derive(Debug, Deserialize)]
pub struct BackupRoutineRead {
    id: ObjectId,
    endpoint: Nested,
    job_id: String,
    enabled: bool,
    schedule: String,
    next_run: Option<String>,
    node: Option<Nested>,
    storage: Option<Nested>,
    selection: Value,
    comment: String,
    status: Option<Choice>,
    keep_last: Option<u32>,
    keep_daily: Option<u32>,
    keep_weekly: Option<u32>,
    keep_monthly: Option<u32>,
    keep_yearly: Option<u32>,
    keep_all: Option<bool>,
    notes_template: String,
    bwlimit: Option<u32>,
    zstd: Option<u32>,
    io_workers: Option<u32>,
    fleecing: String,
    fleecing_storage: Option<Nested>,
    repeat_missed: Option<bool>,
    pbs_change_detection_mode: String,
    raw_config: Value,
}

impl From<BackupRoutineRead> for Stored<BackupRoutine> {
    fn from(row: BackupRoutineRead) -> Self {
        let object = BackupRoutine {
            endpoint: row.endpoint.id,
            job_id: row.job_id,
            enabled: row.enabled,
            schedule: row.schedule,
            next_run: row.next_run,
            node: id(row.node).into(),
            storage: id(row.storage).into(),
            selection: row.selection,
            comment: row.comment,
            status: row.status.map(|status| status.value),
            retention: Retention {
                last: row.keep_last,
                daily: row.keep_daily,
                weekly: row.keep_weekly,
                monthly: row.keep_monthly,
                yearly: row.keep_yearly,
                all: row.keep_all,
            },
            notes_template: row.notes_template,
            bwlimit: row.bwlimit,
            zstd: row.zstd,
            io_workers: row.io_workers,
            fleecing: row.fleecing,
            fleecing_storage: id(row.fleecing_storage).into(),
            repeat_missed: row.repeat_missed,
            pbs_change_detection_mode: row.pbs_change_detection_mode,
            raw_config: row.raw_config,
        };
        Self { id: row.id, object }
    }
}

impl Object for BackupRoutine {
    type Read = BackupRoutineRead;
    const MODEL: &'static str = "netbox_proxbox.backuproutine";
    /// Everything: the row has few columns that are not compared.
    const READ_FIELDS: &'static [&'static str] = &[];
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn order_and_the_next_run_make_no_difference() {
        let raw = |schedule: &str, next: u32| json!({"id": "backup-1", "schedule": schedule, "next-run": next});
        for (field, before, after, is_same) in [
            ("selection", json!([101, 100]), json!([100, 101]), true),
            ("selection", json!(["all"]), json!(["all", "exclude:101"]), false),
            ("selection", json!([100]), json!(["100"]), false),
            (
                "fleecing",
                json!("enabled=1,storage=x"),
                json!("storage=x,enabled=1"),
                true,
            ),
            ("fleecing", json!("enabled=1"), json!("enabled=0"), false),
            ("raw_config", raw("21:00", 1), raw("21:00", 2), true),
            ("raw_config", raw("21:00", 1), raw("22:00", 1), false),
            ("raw_config", json!({"enabled": 1}), json!({"enabled": true}), true),
            ("keep_last", json!(3), Value::Null, false),
            (
                "next_run",
                json!("2026-11-24T16:00:00-05:00"),
                json!("2026-11-24T21:00:00Z"),
                true,
            ),
            ("next_run", Value::Null, Value::Null, true),
            ("next_run", json!("2026-11-24T16:00:00Z"), Value::Null, false),
        ] {
            let case = format!("{field}: {before} and {after}");
            assert_eq!(BackupRoutine::is_same(field, &before, &after), is_same, "{case}");
        }
    }

    #[test]
    fn row_of_the_plugin_decodes_into_the_object_it_was_made_from() {
        let row = json!({
            "id": 2, "endpoint": {"id": 1, "name": "alpha"}, "job_id": "backup-22222222-bbbb", "enabled": false,
            "schedule": "sat 02:30", "next_run": null, "node": {"id": 4}, "storage": null, "selection": [100, 101],
            "comment": "weekly full", "status": {"value": "active", "label": "Active"}, "keep_last": 3,
            "keep_daily": null, "keep_weekly": null, "keep_monthly": null, "keep_yearly": null, "keep_all": null,
            "notes_template": "", "bwlimit": null, "zstd": null, "io_workers": null, "fleecing": "",
            "fleecing_storage": null, "repeat_missed": null, "pbs_change_detection_mode": "",
            "raw_config": {"id": "backup-22222222-bbbb"}, "tags": []
        });
        let stored: Stored<BackupRoutine> = serde_json::from_value::<BackupRoutineRead>(row).unwrap().into();
        let expected = json!({
            "endpoint": 1, "job_id": "backup-22222222-bbbb", "enabled": false, "schedule": "sat 02:30",
            "next_run": null, "node": 4, "storage": null, "selection": [100, 101], "comment": "weekly full",
            "status": "active", "keep_last": 3, "keep_daily": null, "keep_weekly": null, "keep_monthly": null,
            "keep_yearly": null, "keep_all": null, "notes_template": "", "bwlimit": null, "zstd": null,
            "io_workers": null, "fleecing": "", "fleecing_storage": null, "repeat_missed": null,
            "pbs_change_detection_mode": "", "raw_config": {"id": "backup-22222222-bbbb"}
        });
        assert_eq!(json!(stored.object.fields()), expected);
    }
}
