//! Tasks: what was done on a node.

use crate::proxmox::types::Task;
use crate::proxmox::{Error, Rows, Session, Vmid};

/// Which tasks of a node, newest first. What is not named is not looked at; Proxmox tells 50 where no limit is named.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TaskFilter<'a> {
    /// `archive` for finished ones, which is what is told where it is not named, `active` or `all`.
    pub source: Option<&'a str>,
    /// How many newer ones are passed over.
    pub start: Option<u64>,
    /// How many are told at most.
    pub limit: Option<u64>,
    /// Only those that began no earlier, in seconds since 1970.
    pub since: Option<i64>,
    /// Only those that began no later, in seconds since 1970.
    pub until: Option<i64>,
    /// Only those that worked on this guest.
    pub vmid: Option<Vmid>,
    /// Only those of this type, such as `vzdump`.
    pub kind: Option<&'a str>,
    /// Only those of users whose names contain this.
    pub user: Option<&'a str>,
    /// Only those that ended in one of these ways, parted by commas: `ok`, `warning`, `error`, `unknown`.
    pub outcomes: Option<&'a str>,
    /// Only those that failed.
    pub only_failed: bool,
}

impl Session {
    /// `nodes/{node}/tasks`. Without Sys.Audit on the node only the identity's own.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange.
    pub async fn list_tasks(&self, node: &str, filter: TaskFilter<'_>) -> Result<Rows<Task>, Error> {
        let parameters = [
            ("source", filter.source.unwrap_or("archive").into()),
            ("start", filter.start.into()),
            ("limit", filter.limit.into()),
            ("since", filter.since.into()),
            ("until", filter.until.into()),
            ("vmid", filter.vmid.into()),
            ("typefilter", filter.kind.into()),
            ("userfilter", filter.user.into()),
            ("statusfilter", filter.outcomes.into()),
            ("errors", filter.only_failed.then_some(true).into()),
        ];
        self.nodes(node).tasks().get_rows_with(&parameters).await
    }

    /// `cluster/tasks`: the latest tasks of all nodes.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange.
    pub async fn list_recent_tasks(&self) -> Result<Rows<Task>, Error> {
        self.cluster().tasks().get_rows().await
    }
}
