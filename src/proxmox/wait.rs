//! Waiting for tasks.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;
use tracing::debug;

use super::error::Error;
use super::session::Session;
use super::types::Upid;
use super::wire;

/// The one line of a log that has none yet.
const EMPTY_LOG: &str = "no content";

/// How a task is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    /// How long in all.
    pub limit: Duration,
    /// The first pause between two looks; each pause is twice the one before …
    pub first_pause: Duration,
    /// … up to this one.
    pub longest_pause: Duration,
    /// How long the node may be away: a migrating node may restart.
    pub grace: Duration,
    /// Whether progress tells the lines of the task's log.
    pub reads_log: bool,
}

impl Default for Wait {
    fn default() -> Self {
        Self {
            limit: Duration::from_mins(5),
            first_pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(5),
            grace: Duration::from_mins(1),
            reads_log: false,
        }
    }
}

/// How a task ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskEnd {
    /// It did all that it was asked to.
    Done,
    /// It did, and warned this often.
    Warnings(u32),
    /// It failed, and why.
    Failed(String),
    /// It still runs; the limit is up.
    Running,
}

impl TaskEnd {
    /// Whether it did what it was asked to.
    pub const fn is_success(&self) -> bool {
        matches!(self, Self::Done | Self::Warnings(_))
    }

    fn of(outcome: &str) -> Self {
        let warnings = outcome
            .strip_prefix("WARNINGS:")
            .and_then(|count| count.trim().parse().ok());
        match (outcome, warnings) {
            ("OK", _) => Self::Done,
            (_, Some(count)) => Self::Warnings(count),
            (text, None) => Self::Failed(text.to_owned()),
        }
    }
}

/// What is known of a task that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskProgress {
    /// How long it is waited for.
    pub elapsed: Duration,
    /// The lines of its log since the last look.
    pub lines: Vec<String>,
}

/// `nodes/{node}/tasks/{upid}/status`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct TaskStatus {
    /// `running` or `stopped`.
    #[serde(deserialize_with = "wire::required_text")]
    pub status: String,
    /// How it ended, once it has: `OK`, `WARNINGS: n` or the text of the error.
    #[serde(default, deserialize_with = "wire::text")]
    pub exitstatus: Option<String>,
}

impl TaskStatus {
    /// How the task ended; `None` while it runs.
    pub fn end(&self) -> Option<TaskEnd> {
        if self.status == "running" {
            return None;
        }
        // A worker that died leaves no word.
        Some(TaskEnd::of(self.exitstatus.as_deref().unwrap_or("unexpected status")))
    }
}

impl Session {
    /// `nodes/{node}/tasks/{upid}/status`. Needs to be its owner, or Sys.Audit on the node.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange; [`Error::NotFound`] where the node has forgotten the task.
    pub async fn task_status(&self, upid: &Upid) -> Result<TaskStatus, Error> {
        self.nodes(&upid.node)
            .task(upid.as_str())
            .child("status")
            .get_as()
            .await
    }

    /// Looks at a task until it has ended, and calls `progress` after each look at which it had not.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange; those that pass by themselves only after [`Wait::grace`], or at the limit.
    pub async fn wait_task(
        &self,
        upid: &Upid,
        wait: Wait,
        mut progress: impl FnMut(TaskProgress),
    ) -> Result<TaskEnd, Error> {
        let begun = Instant::now();
        let (mut seen, mut pause, mut lines) = (begun, wait.first_pause, 0);
        loop {
            let missed = match self.task_status(upid).await {
                Ok(status) => {
                    seen = Instant::now();
                    if let Some(end) = status.end() {
                        return Ok(end);
                    }
                    let new = if wait.reads_log {
                        self.log_lines(upid, lines).await
                    } else {
                        Vec::new()
                    };
                    lines += new.len();
                    progress(TaskProgress {
                        elapsed: begun.elapsed(),
                        lines: new,
                    });
                    None
                }
                Err(error) if error.is_transient() && seen.elapsed() < wait.grace => {
                    debug!(task = %upid, %error, "a task cannot be looked at");
                    Some(error)
                }
                Err(error) => return Err(error),
            };
            if begun.elapsed() >= wait.limit {
                return missed.map_or(Ok(TaskEnd::Running), Err);
            }
            tokio::time::sleep(pause).await;
            pause = pause.saturating_mul(2).min(wait.longest_pause);
        }
    }

    /// The lines of a task's log after the first `start`; none where they cannot be read, since only the task matters.
    async fn log_lines(&self, upid: &Upid, start: usize) -> Vec<String> {
        let log = self.nodes(&upid.node).task(upid.as_str()).child("log");
        let first = u64::try_from(start).unwrap_or(u64::MAX);
        let answer = log.get_with(&[("start", first.into()), ("limit", 0_u32.into())]).await;
        let rows = match answer {
            Ok(answer) => answer.data,
            Err(error) => {
                debug!(task = %upid, %error, "the log of a task cannot be read");
                Value::Null
            }
        };
        let rows = rows.as_array().into_iter().flatten();
        let lines = rows.filter_map(|row| row.get("t")?.as_str().map(str::to_owned));
        let lines: Vec<String> = lines.collect();
        if start == 0 && lines == [EMPTY_LOG] {
            return Vec::new();
        }
        lines
    }
}
