//! Rows of `cluster/replication`: the replication jobs.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::Vmid;
use crate::proxmox::wire;

/// A replication job as it is configured; how its runs fared only the node knows.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplicationJob {
    /// Its name: the guest's number, a hyphen and its own number.
    pub id: String,
    /// The guest whose volumes it copies.
    pub guest: Option<Vmid>,
    /// Its number among the guest's jobs.
    pub jobnum: Option<u32>,
    /// Its kind; `local` is the only one there is.
    pub kind: Option<String>,
    /// The node that the guest is on.
    pub source: Option<String>,
    /// The node that it copies to.
    pub target: Option<String>,
    /// When it runs, a calendar event.
    pub schedule: Option<String>,
    /// The limit of its rate in MB per second.
    pub rate: Option<f64>,
    /// Notes.
    pub comment: Option<String>,
    /// Whether it is switched off.
    pub disable: bool,
    /// Whether it is being removed, and how: `local` or `full`.
    pub remove_job: Option<String>,
    /// The whole row as sent.
    pub raw: Map<String, Value>,
}

/// The typed part of a row.
#[derive(Deserialize)]
struct Options {
    #[serde(deserialize_with = "wire::required_text")]
    id: String,
    #[serde(default, deserialize_with = "wire::number")]
    guest: Option<u32>,
    #[serde(default, deserialize_with = "wire::number")]
    jobnum: Option<u32>,
    #[serde(default, rename = "type", deserialize_with = "wire::text")]
    kind: Option<String>,
    #[serde(default, deserialize_with = "wire::text")]
    source: Option<String>,
    #[serde(default, deserialize_with = "wire::text")]
    target: Option<String>,
    #[serde(default, deserialize_with = "wire::text")]
    schedule: Option<String>,
    #[serde(default, deserialize_with = "wire::number")]
    rate: Option<f64>,
    #[serde(default, deserialize_with = "wire::text")]
    comment: Option<String>,
    #[serde(default, deserialize_with = "wire::flag")]
    disable: bool,
    #[serde(default, deserialize_with = "wire::text")]
    remove_job: Option<String>,
}

impl<'de> Deserialize<'de> for ReplicationJob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Map::deserialize(deserializer)?;
        let options = Options::deserialize(&raw).map_err(D::Error::custom)?;
        Ok(Self {
            id: options.id,
            guest: options.guest.map(Vmid),
            jobnum: options.jobnum,
            kind: options.kind,
            source: options.source,
            target: options.target,
            schedule: options.schedule,
            rate: options.rate,
            comment: options.comment,
            disable: options.disable,
            remove_job: options.remove_job,
            raw,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn replication_job_of_odd_forms_is_read_and_kept_whole() {
        let row = json!({
            "id": "103-1", "guest": "103", "jobnum": "1", "type": "local", "source": "pve1", "target": "pve2",
            "schedule": "*/15", "rate": "12.5", "comment": "", "disable": "1", "remove_job": "full", "next_sync": 1,
        });
        let job: ReplicationJob = serde_json::from_value(row.clone()).unwrap();
        assert_eq!(
            (job.guest, job.jobnum, job.rate),
            (Some(Vmid(103)), Some(1), Some(12.5))
        );
        assert_eq!((job.comment, job.disable), (None, true));
        assert_eq!(Value::Object(job.raw), row);
        let bare: ReplicationJob = serde_json::from_value(json!({"id": "100-0"})).unwrap();
        assert_eq!((bare.guest, bare.target, bare.disable), (None, None, false));
        assert!(serde_json::from_value::<ReplicationJob>(json!({"guest": 100})).is_err());
    }
}
