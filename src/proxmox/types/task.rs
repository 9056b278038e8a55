//! Rows of `nodes/{node}/tasks`: what was done, by whom, and how it ended.

use serde::Deserialize;

use super::Vmid;
use crate::proxmox::wire;

/// What stands for the outcome of a task that names none.
const UNKNOWN: &str = "unknown";

/// A task. The archive holds finished ones only.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Task {
    /// Its id, unique in the cluster; odd servers leave it out.
    #[serde(default, deserialize_with = "wire::text")]
    pub upid: Option<String>,
    /// The node it ran on.
    #[serde(default, deserialize_with = "wire::text")]
    pub node: Option<String>,
    /// What it worked on: a guest's number, another word, or nothing. Its other name is `vmid`.
    #[serde(default, deserialize_with = "wire::text")]
    id: Option<String>,
    #[serde(default, deserialize_with = "wire::text")]
    vmid: Option<String>,
    /// Its type: `qmstart`, `vzdump` and so on.
    #[serde(default, rename = "type", deserialize_with = "wire::text")]
    pub kind: Option<String>,
    /// The number of its process.
    #[serde(default, deserialize_with = "wire::number")]
    pub pid: Option<u32>,
    /// When its process started, in the node's ticks.
    #[serde(default, deserialize_with = "wire::number")]
    pub pstart: Option<u64>,
    /// When it began, in seconds since 1970.
    #[serde(default, deserialize_with = "wire::number")]
    pub starttime: Option<i64>,
    /// When it ended, in seconds since 1970.
    #[serde(default, deserialize_with = "wire::number")]
    pub endtime: Option<i64>,
    /// Who started it.
    #[serde(default, deserialize_with = "wire::text")]
    pub user: Option<String>,
    /// The user's API token that was used, if one was.
    #[serde(default, deserialize_with = "wire::text")]
    pub tokenid: Option<String>,
    #[serde(default, deserialize_with = "wire::text")]
    status: Option<String>,
    #[serde(default, deserialize_with = "wire::text")]
    exitstatus: Option<String>,
}

impl Task {
    /// What it worked on, where that is told.
    pub fn subject(&self) -> Option<&str> {
        said(self.id.as_deref()).or_else(|| said(self.vmid.as_deref()))
    }

    /// The guest it worked on; `None` for tasks of nodes and storages.
    pub fn guest(&self) -> Option<Vmid> {
        self.subject()?.parse().ok().filter(|vmid| *vmid > 0).map(Vmid)
    }

    /// How it ended: `OK`, `WARNINGS: n`, the text of the error, or `unknown`.
    pub fn outcome(&self) -> &str {
        said(self.exitstatus.as_deref())
            .or_else(|| said(self.status.as_deref()))
            .unwrap_or(UNKNOWN)
    }
}

fn said(text: Option<&str>) -> Option<&str> {
    text.map(str::trim).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn subject_and_outcome_are_told_from_every_form() {
        for (row, subject, guest, outcome) in [
            (json!({"id": "204", "status": "OK"}), Some("204"), Some(204), "OK"),
            (json!({"id": 204, "status": " "}), Some("204"), Some(204), "unknown"),
            (
                json!({"id": "", "vmid": "205", "status": "x", "exitstatus": "WARNINGS: 2"}),
                Some("205"),
                Some(205),
                "WARNINGS: 2",
            ),
            (json!({"id": "networking"}), Some("networking"), None, "unknown"),
            (json!({"id": "100@local"}), Some("100@local"), None, "unknown"),
            (json!({"id": "0"}), Some("0"), None, "unknown"),
            (json!({"saved": "1"}), None, None, "unknown"),
        ] {
            let task: Task = serde_json::from_value(row.clone()).unwrap();
            let told = (task.subject(), task.guest().map(|vmid| vmid.0), task.outcome());
            assert_eq!(told, (subject, guest, outcome), "{row}");
        }
    }
}
