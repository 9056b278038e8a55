//! Rows of `cluster/backup`: the backup jobs.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::proxmox::wire;

/// A backup job. Options are kept as text where text is meant, whatever form they came in.
#[derive(Debug, Clone, PartialEq)]
pub struct BackupJob {
    /// Its name.
    pub id: String,
    /// Whether it is switched on; Proxmox means yes where absent.
    pub enabled: Option<bool>,
    /// When it runs, a calendar event.
    pub schedule: Option<String>,
    /// When it runs next, seconds since 1970.
    pub next_run: Option<i64>,
    /// Notes.
    pub comment: Option<String>,
    /// The template of the notes of its backups.
    pub notes_template: Option<String>,
    /// Whether it takes every guest.
    pub all: bool,
    /// The guests that it takes.
    pub vmid: Vec<String>,
    /// The guests that it leaves out, where it takes every other.
    pub exclude: Vec<String>,
    /// The pool whose guests it takes.
    pub pool: Option<String>,
    /// The node that it is limited to.
    pub node: Option<String>,
    /// The storage that it writes to.
    pub storage: Option<String>,
    /// Which backups are kept, `keep-last=3,keep-daily=7`.
    pub prune_backups: Option<String>,
    /// The limit of its bandwidth in KiB per second.
    pub bwlimit: Option<u32>,
    /// Threads of the compressor.
    pub zstd: Option<u32>,
    /// Workers that read and write.
    pub io_workers: Option<u32>,
    /// Whether and where blocks that are overwritten meanwhile are kept, `enabled=1,storage=local-lvm`.
    pub fleecing: Option<String>,
    /// Whether a run that was missed is made up for.
    pub repeat_missed: Option<bool>,
    /// How a backup server tells what has changed.
    pub pbs_change_detection_mode: Option<String>,
    /// The whole row as sent.
    pub raw: Map<String, Value>,
}

/// The typed part of a row.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Options {
    #[serde(deserialize_with = "wire::required_text")]
    id: String,
    #[serde(default, deserialize_with = "wire::maybe_flag")]
    enabled: Option<bool>,
    #[serde(default, deserialize_with = "wire::text")]
    schedule: Option<String>,
    #[serde(default, deserialize_with = "wire::number")]
    next_run: Option<i64>,
    #[serde(default, deserialize_with = "wire::text")]
    comment: Option<String>,
    #[serde(default, deserialize_with = "wire::text")]
    notes_template: Option<String>,
    #[serde(default, deserialize_with = "wire::flag")]
    all: bool,
    #[serde(default, deserialize_with = "wire::text_list")]
    vmid: Vec<String>,
    #[serde(default, deserialize_with = "wire::text_list")]
    exclude: Vec<String>,
    #[serde(default, deserialize_with = "wire::text")]
    pool: Option<String>,
    #[serde(default, deserialize_with = "wire::text")]
    node: Option<String>,
    #[serde(default, deserialize_with = "wire::text")]
    storage: Option<String>,
    #[serde(default, deserialize_with = "wire::option_text")]
    prune_backups: Option<String>,
    #[serde(default, deserialize_with = "wire::number")]
    bwlimit: Option<u32>,
    #[serde(default, deserialize_with = "wire::number")]
    zstd: Option<u32>,
    #[serde(default, rename = "io_workers", deserialize_with = "wire::number")]
    io_workers: Option<u32>,
    #[serde(default, deserialize_with = "wire::option_text")]
    fleecing: Option<String>,
    #[serde(default, deserialize_with = "wire::maybe_flag")]
    repeat_missed: Option<bool>,
    #[serde(default, deserialize_with = "wire::text")]
    pbs_change_detection_mode: Option<String>,
}

impl<'de> Deserialize<'de> for BackupJob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Map::deserialize(deserializer)?;
        let options = Options::deserialize(&raw).map_err(D::Error::custom)?;
        Ok(Self {
            id: options.id,
            enabled: options.enabled,
            schedule: options.schedule,
            next_run: options.next_run,
            comment: options.comment,
            notes_template: options.notes_template,
            all: options.all,
            vmid: options.vmid,
            exclude: options.exclude,
            pool: options.pool,
            node: options.node,
            storage: options.storage,
            prune_backups: options.prune_backups,
            bwlimit: options.bwlimit,
            zstd: options.zstd,
            io_workers: options.io_workers,
            fleecing: options.fleecing,
            repeat_missed: options.repeat_missed,
            pbs_change_detection_mode: options.pbs_change_detection_mode,
            raw,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn backup_job_of_odd_forms_is_read_and_kept_whole() {
        let row = json!({
            "id": "6e3db65d0e925f0314fbbdadf9c8808801be0c85:2", "enabled": 0, "vmid": 102, "next-run": 1_687_503_600,
            "prune-backups": {"keep-last": "4", "keep-weekly": "4"}, "fleecing": {"enabled": "0"}, "repeat-missed": "1",
            "exclude": "101, 102", "bwlimit": "51200", "performance": {"max-workers": "8"}, "notes-template": "x",
        });
        let job: BackupJob = serde_json::from_value(row.clone()).unwrap();
        assert_eq!(
            (job.enabled, job.repeat_missed, job.all),
            (Some(false), Some(true), false)
        );
        assert_eq!((job.next_run, job.bwlimit), (Some(1_687_503_600), Some(51_200)));
        assert_eq!(job.prune_backups.as_deref(), Some("keep-last=4,keep-weekly=4"));
        assert_eq!(job.fleecing.as_deref(), Some("enabled=0"));
        assert_eq!(
            (job.vmid, job.exclude),
            (vec!["102".to_owned()], vec!["101".to_owned(), "102".to_owned()])
        );
        assert_eq!(Value::Object(job.raw), row);
    }
}
