//! A backup job as the plugin's backup routine.

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::names::clean;
use super::storage::without_nul;
use crate::netbox::ObjectId;
use crate::netbox::objects::{BackupRoutine, Retention, Said};
use crate::proxmox::types::BackupJob;
use crate::proxmox::{Property, wire};

/// The rows that a backup routine refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoutineParents {
    /// The plugin's endpoint.
    pub endpoint: ObjectId,
    /// The plugin's row of the node that the job is limited to.
    pub node: Said<ObjectId>,
    /// The plugin's row of the storage that it writes to.
    pub storage: Said<ObjectId>,
    /// The plugin's row of the storage that it uses for fleecing.
    pub fleecing_storage: Said<ObjectId>,
}

/// A job that takes no guest: NetBox has no way to say so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the job selects neither guests nor a pool, which NetBox cannot say")]
pub struct NothingSelected;

/// The backup routine that `job` is.
///
/// # Errors
///
/// [`NothingSelected`] where the job takes no guest.
pub fn backup_routine(job: &BackupJob, parents: RoutineParents) -> Result<BackupRoutine, NothingSelected> {
    let text = |text: &Option<String>| text.as_deref().map(clean).unwrap_or_default();
    Ok(BackupRoutine {
        endpoint: parents.endpoint,
        job_id: clean(&job.id),
        enabled: job.enabled.unwrap_or(true),
        schedule: text(&job.schedule),
        next_run: job.next_run.and_then(instant),
        node: parents.node,
        storage: parents.storage,
        selection: selection(job).ok_or(NothingSelected)?,
        comment: text(&job.comment),
        status: Some("active".to_owned()),
        retention: retention(job.prune_backups.as_deref().unwrap_or_default()),
        notes_template: text(&job.notes_template),
        bwlimit: job.bwlimit,
        zstd: job.zstd,
        io_workers: job.io_workers,
        fleecing: text(&job.fleecing),
        fleecing_storage: parents.fleecing_storage,
        repeat_missed: job.repeat_missed,
        pbs_change_detection_mode: text(&job.pbs_change_detection_mode),
        raw_config: Value::Object(without_nul(&job.raw)),
    })
}

/// The storage that `job` uses for fleecing.
pub fn fleecing_storage(job: &BackupJob) -> Option<String> {
    let options = Property::parse(job.fleecing.as_deref()?);
    options.get("storage").map(str::to_owned)
}

/// The guests as the plugin shows them: all but some, a pool, or numbers.
fn selection(job: &BackupJob) -> Option<Value> {
    if job.all {
        let excluded = job.exclude.iter().map(|vmid| format!("exclude:{vmid}"));
        return Some(std::iter::once("all".to_owned()).chain(excluded).collect());
    }
    if let Some(pool) = &job.pool {
        return Some(json!([format!("pool:{pool}")]));
    }
    let numbers: Vec<u32> = job.vmid.iter().filter_map(|vmid| vmid.parse().ok()).collect();
    (!numbers.is_empty()).then(|| json!(numbers))
}

fn retention(text: &str) -> Retention {
    let keep = Property::parse(text);
    let count = |key: &str| keep.get(key).and_then(|count| count.parse().ok());
    let is_bare = keep.bare() == Some("keep-all");
    let spoken = keep.get("keep-all").map(Value::from);
    let all = spoken.and_then(|flag| wire::flag_of(&flag).ok().flatten());
    Retention {
        last: count("keep-last"),
        daily: count("keep-daily"),
        weekly: count("keep-weekly"),
        monthly: count("keep-monthly"),
        yearly: count("keep-yearly"),
        all: all.or(is_bare.then_some(true)),
    }
}

/// A time as NetBox answers it.
fn instant(seconds: i64) -> Option<String> {
    OffsetDateTime::from_unix_timestamp(seconds).ok()?.format(&Rfc3339).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reconcile::Resource;

    fn job(job: Value) -> BackupJob {
        serde_json::from_value(job).unwrap()
    }

    fn routine(raw: Value) -> Result<BackupRoutine, NothingSelected> {
        let parents = RoutineParents {
            endpoint: ObjectId(1),
            node: Said::Empty,
            storage: Said::Is(ObjectId(7)),
            fleecing_storage: Said::Empty,
        };
        backup_routine(&job(raw), parents)
    }

    #[test]
    fn job_fills_its_columns() {
        let raw = json!({
            "id": "backup-11111111-aaaa", "type": "vzdump", "enabled": 1, "schedule": "21:00", "storage": "pbs",
            "mode": "snapshot", "all": 1, "compress": "zstd", "notes-template": "{{guestname}}",
            "prune-backups": {"keep-daily": "7", "keep-weekly": "4"}, "next-run": 1_795_003_600,
            "fleecing": {"enabled": "0"}
        });
        let expected = json!({
            "job_id": "backup-11111111-aaaa", "endpoint": 1, "enabled": true, "schedule": "21:00", "comment": "",
            "notes_template": "{{guestname}}", "selection": ["all"], "keep_last": null, "keep_daily": 7,
            "keep_weekly": 4, "keep_monthly": null, "keep_yearly": null, "keep_all": null, "bwlimit": null,
            "zstd": null, "io_workers": null, "fleecing": "enabled=0", "fleecing_storage": null, "node": null,
            "storage": 7, "repeat_missed": null, "pbs_change_detection_mode": "", "next_run": "2026-11-18T12:06:40Z",
            "raw_config": raw.clone(), "status": "active"
        });
        assert_eq!(json!(routine(raw).unwrap().fields()), expected);
    }

    #[test]
    fn guests_are_selected_in_every_form_of_the_plugin() {
        for (given, expected) in [
            (json!({"all": 1}), Some(json!(["all"]))),
            (
                json!({"all": "1", "exclude": "101,102"}),
                Some(json!(["all", "exclude:101", "exclude:102"])),
            ),
            (json!({"pool": "prod"}), Some(json!(["pool:prod"]))),
            (json!({"vmid": "100,101"}), Some(json!([100, 101]))),
            (json!({"vmid": 102}), Some(json!([102]))),
            (json!({"vmid": [102, "x", "103"]}), Some(json!([102, 103]))),
            (json!({"vmid": ""}), None),
            (json!({"all": 0}), None),
        ] {
            let mut raw = given.clone();
            raw["id"] = json!("backup-1");
            assert_eq!(routine(raw).ok().map(|routine| routine.selection), expected, "{given}");
        }
    }

    #[test]
    fn retention_is_read_from_text_and_object() {
        let all = |all| Retention {
            all,
            ..Retention::default()
        };
        for (given, expected) in [
            (json!("keep-all=1"), all(Some(true))),
            (json!("keep-all"), all(Some(true))),
            (json!({"keep-all": 1}), all(Some(true))),
            (json!("keep-all=0"), all(Some(false))),
            (json!("keep-hourly=3"), Retention::default()),
            (json!("keep-last=x"), Retention::default()),
            (
                json!("keep-last=1,keep-daily=2,keep-weekly=3,keep-monthly=4,keep-yearly=5"),
                Retention {
                    last: Some(1),
                    daily: Some(2),
                    weekly: Some(3),
                    monthly: Some(4),
                    yearly: Some(5),
                    all: None,
                },
            ),
        ] {
            let raw = json!({"id": "backup-1", "vmid": "100", "prune-backups": given});
            assert_eq!(routine(raw.clone()).unwrap().retention, expected, "{raw}");
        }
    }

    #[test]
    fn fleecing_names_its_storage() {
        let given = job(json!({"id": "x", "fleecing": {"enabled": "1", "storage": "local-lvm"}}));
        assert_eq!(fleecing_storage(&given).as_deref(), Some("local-lvm"));
        assert_eq!(fleecing_storage(&job(json!({"id": "x"}))), None);
    }

    #[test]
    fn options_of_a_job_fill_their_columns_and_it_is_enabled_unless_it_says_otherwise() {
        let raw = json!({
            "id": "backup-2", "vmid": "100", "bwlimit": "51200", "zstd": 4, "io_workers": 8, "repeat-missed": 1,
            "pbs-change-detection-mode": "metadata", "comment": "weekly",
        });
        let fields = json!(routine(raw).unwrap().fields());
        for (column, expected) in [
            ("enabled", json!(true)),
            ("bwlimit", json!(51_200)),
            ("zstd", json!(4)),
            ("io_workers", json!(8)),
            ("repeat_missed", json!(true)),
            ("pbs_change_detection_mode", json!("metadata")),
            ("comment", json!("weekly")),
            ("schedule", json!("")),
            ("notes_template", json!("")),
        ] {
            assert_eq!(fields[column], expected, "{column}");
        }
    }
}
