//! Finished tasks, as the nodes' archives hold them.

use std::collections::{BTreeMap, BTreeSet};

use time::OffsetDateTime;

use super::fan_out::{Limits, fan_out};
use super::{Area, Collected, Gap, Inventory, Reader, Slot};
use crate::error::ErrorKind;
use crate::proxmox::{Error, Rows, Task, TaskFilter, Vmid};

/// How many rows a page has.
const PAGE: u64 = 500;
/// The longest outcome that is kept on record, in characters.
const OUTCOME_MAX: usize = 2048;

/// The finished tasks of all nodes, each once; rows without a node of their own bear the node that was asked. A row's own
/// node is what that was called when the task ran.
#[derive(Debug)]
pub struct Tasks;

/// Tasks that are on record already, so that reading an archive can stop where everything older was read before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecordedTasks {
    /// The guests whose tasks are kept on record.
    pub guests: BTreeSet<Vmid>,
    /// How each ended, by its id.
    pub endings: BTreeMap<String, TaskEnding>,
    /// What ended before then, in seconds since 1970, need not be on record, and is left out where the archive goes on
    /// behind it; `None`: everything counts.
    pub since: Option<i64>,
}

/// How a task is known to have ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskEnding {
    /// When, in seconds since 1970.
    pub at: Option<i64>,
    /// Its outcome, no longer than is kept.
    pub outcome: String,
}

impl TaskEnding {
    /// How `task` ended, as it is kept on record.
    pub fn of(task: &Task) -> Self {
        let outcome = task.outcome().replace('\0', "");
        let cut: String = outcome.trim().chars().take(OUTCOME_MAX).collect();
        Self {
            at: task.endtime.filter(|at| *at > 0),
            outcome: cut.trim_end().to_owned(),
        }
    }
}

impl RecordedTasks {
    /// Whether nothing behind `page` needs to be read: every task of it that is to be kept on record is, and there is one;
    /// or all of it is too old. Archives tell what ended last first.
    fn covers(&self, page: &[Task]) -> bool {
        let (old, recent): (Vec<&Task>, Vec<&Task>) = page.iter().partition(|task| self.is_old(task));
        let mut kept = recent
            .iter()
            .filter(|task| task.guest().is_some_and(|vmid| self.guests.contains(&vmid)))
            .peekable();
        let is_on_record = kept.peek().is_some() && kept.all(|task| self.holds(task));
        is_on_record || (recent.is_empty() && !old.is_empty())
    }

    fn holds(&self, task: &Task) -> bool {
        let ending = task.upid.as_deref().and_then(|upid| self.endings.get(upid.trim()));
        ending.is_some_and(|ending| *ending == TaskEnding::of(task))
    }

    fn is_old(&self, task: &Task) -> bool {
        let mut told = [task.endtime, task.starttime].into_iter().flatten();
        let latest = told.find(|at| *at > 0);
        self.since.zip(latest).is_some_and(|(since, latest)| latest < since)
    }
}

impl Area for Tasks {
    type Item = Task;

    fn slot(inventory: &Inventory) -> &Slot<Task> {
        &inventory.tasks
    }

    fn slot_mut(inventory: &mut Inventory) -> &mut Slot<Task> {
        &mut inventory.tasks
    }

    /// Reads the archive of every node that is online, page by page, newest tasks first. A node that fails, then or
    /// later, is a gap; what was read of it stays.
    async fn collect(reader: &Reader<'_>) -> Result<Collected<Task>, Error> {
        let until = OffsetDateTime::now_utc().unix_timestamp();
        let nodes: Vec<&str> = reader.online_nodes().collect();
        let answers = fan_out(
            nodes,
            Limits::of(reader),
            |node| node,
            |node| read_archive(reader, node, until),
        )
        .await;
        let mut collected = Collected {
            items: Vec::new(),
            gaps: reader.offline_gaps(),
        };
        let (mut failure, mut has_read) = (None, false);
        for (node, answer) in answers {
            match answer {
                Ok(archive) => {
                    has_read = true;
                    collected.items.extend(archive.items);
                    collected.gaps.extend(archive.gaps);
                }
                Err(error) => {
                    collected.gaps.push(Gap::new(source(node), &error));
                    failure = Some(error);
                }
            }
        }
        match failure {
            Some(error) if !has_read => Err(error),
            _ => {
                collected.gaps.extend(invisible_tasks(reader).await?);
                Ok(collected)
            }
        }
    }
}

fn source(node: &str) -> String {
    format!("tasks of node {node}")
}

/// One gap per node of whose tasks the credentials see only their own.
async fn invisible_tasks(reader: &Reader<'_>) -> Result<Vec<Gap>, Error> {
    let capabilities = &reader.session.metadata().await?.capabilities;
    let hidden = reader
        .online_nodes()
        .filter(|node| !capabilities.has(&format!("/nodes/{node}"), "Sys.Audit"));
    let message = "without Sys.Audit on the node these credentials see only their own tasks";
    Ok(hidden
        .map(|node| Gap::hidden(source(node), capabilities, message))
        .collect())
}

/// The archive of one node; an error only where not even its first page can be read. Of one that goes on behind that page
/// what is too old is left out, so that its rows need not be looked up.
async fn read_archive(reader: &Reader<'_>, node: &str, until: i64) -> Result<Collected<Task>, Error> {
    let mut archive = Archive::new(node);
    let (mut start, mut has_more) = (0, false);
    loop {
        let page = TaskFilter {
            start: Some(start),
            limit: Some(PAGE),
            until: Some(until),
            vmid: reader.only_guest(),
            ..TaskFilter::default()
        };
        let rows = match reader.session.list_tasks(node, page).await {
            Ok(rows) => rows,
            Err(error) if start == 0 => return Err(error),
            Err(error) => {
                archive.found.gaps.push(Gap::new(source(node), &error));
                break;
            }
        };
        let is_covered = reader.recorded.covers(&rows.items);
        if !archive.take(rows) {
            break;
        }
        has_more = true;
        if is_covered {
            break;
        }
        start += PAGE;
    }
    if has_more {
        archive.found.items.retain(|task| !reader.recorded.is_old(task));
    }
    Ok(archive.found)
}

/// What was read of one node's archive so far.
struct Archive<'a> {
    node: &'a str,
    seen: BTreeSet<String>,
    found: Collected<Task>,
}

impl<'a> Archive<'a> {
    fn new(node: &'a str) -> Self {
        Self {
            node,
            seen: BTreeSet::new(),
            found: Collected::default(),
        }
    }

    /// Takes a page; says whether there may be another.
    fn take(&mut self, rows: Rows<Task>) -> bool {
        let count = rows.items.len() + rows.rejected.len();
        let gaps = rows.rejected.iter().map(|row| Gap::row("task", row));
        self.found.gaps.extend(gaps);
        let before = self.seen.len();
        for mut task in rows.items {
            let Some(upid) = task.upid.as_deref().map(str::trim).filter(|upid| !upid.is_empty()) else {
                continue;
            };
            if self.seen.insert(upid.to_owned()) {
                task.node.get_or_insert_with(|| self.node.to_owned());
                self.found.items.push(task);
            }
        }
        let is_last = (count as u64) < PAGE;
        if !is_last && self.seen.len() == before {
            self.found.gaps.push(Gap {
                source: source(self.node),
                kind: ErrorKind::Unknown,
                message: "the node answers the same page again and again".to_owned(),
            });
            return false;
        }
        !is_last
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn task(row: Value) -> Task {
        serde_json::from_value(row).unwrap()
    }

    fn page(from: usize, count: usize) -> Rows<Task> {
        let row = |number: usize| json!({"upid": format!("UPID:a1:{number}"), "id": "204"});
        Rows::decode((from..from + count).map(row))
    }

    #[test]
    fn pages_are_taken_until_a_short_one() {
        let mut archive = Archive::new("a1");
        assert!(archive.take(page(0, 500)), "a full page may have another behind it");
        assert!(
            archive.take(page(490, 500)),
            "rows that moved on while reading are taken once"
        );
        assert!(!archive.take(page(990, 7)));
        assert_eq!((archive.found.items.len(), archive.found.gaps.len()), (997, 0));
        assert!(
            archive
                .found
                .items
                .iter()
                .all(|task| task.node.as_deref() == Some("a1"))
        );
    }

    #[test]
    fn page_that_comes_again_ends_the_reading_with_a_gap() {
        let mut archive = Archive::new("a1");
        assert!(archive.take(page(0, 500)));
        assert!(!archive.take(page(0, 500)));
        assert_eq!((archive.found.items.len(), archive.found.gaps.len()), (500, 1));
    }

    #[test]
    fn page_is_covered_only_where_every_kept_task_stands_as_it_ended() {
        let known = json!({"upid": "UPID:1", "id": "204", "endtime": 20, "status": "OK"});
        let long = json!({"upid": "UPID:4", "id": "204", "endtime": 30, "status": format!("\0{} ", "é ".repeat(3000))});
        let ended = |row: &Value| TaskEnding::of(&task(row.clone()));
        assert_eq!(ended(&long).outcome.chars().count(), OUTCOME_MAX - 1);
        let mut recorded = RecordedTasks {
            guests: [Vmid(204)].into(),
            endings: [("UPID:1", &known), ("UPID:4", &long)]
                .map(|(upid, row)| (upid.to_owned(), ended(row)))
                .into(),
            since: None,
        };
        let foreign = json!({"upid": "UPID:2", "id": "999", "endtime": 20, "status": "OK"});
        let new = json!({"upid": "UPID:3", "id": "204", "endtime": 21, "status": "OK"});
        let changed = json!({"upid": "UPID:1", "id": "204", "endtime": 20, "status": "WARNINGS: 1"});
        let old = json!({"upid": "UPID:5", "id": "204", "endtime": 9, "status": "OK"});
        let old_foreign = json!({"upid": "UPID:6", "id": "", "starttime": 9, "endtime": 0});
        let timeless = json!({"upid": "UPID:7", "id": "999"});
        for (rows, is_covered, is_covered_since) in [
            (vec![&known], true, true),
            (vec![&known, &foreign], true, true),
            (vec![&known, &long], true, true),
            (vec![&foreign], false, false),
            (vec![&known, &new], false, false),
            (vec![&changed], false, false),
            (vec![], false, false),
            (vec![&known, &old], false, true),
            (vec![&new, &old], false, false),
            (vec![&foreign, &old], false, false),
            (vec![&old], false, true),
            (vec![&old_foreign], false, true),
            (vec![&old, &timeless], false, false),
        ] {
            let page: Vec<Task> = rows.iter().copied().cloned().map(task).collect();
            recorded.since = None;
            assert_eq!(recorded.covers(&page), is_covered, "{rows:?}");
            recorded.since = Some(10);
            assert_eq!(recorded.covers(&page), is_covered_since, "since 10: {rows:?}");
        }
    }
}
