//! Tasks of the nodes.

use std::borrow::Cow;

/// One task. It runs until `ends`, then has its `outcome`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// The node it ran on.
    pub node: Box<str>,
    /// Process id.
    pub pid: u32,
    /// Start of the process in ticks.
    pub pstart: u32,
    /// When it began, seconds since 1970.
    pub starts: i64,
    /// When it ends or ended; `None` for one that runs on.
    pub ends: Option<i64>,
    /// Its type: `vzdump`, `qmstart`, `qmigrate`…
    pub kind: Cow<'static, str>,
    /// What it worked on: a guest's number, another word, or nothing.
    pub id: Box<str>,
    /// Who started it, a token id included: `root@pam` or `root@pam!netbox`.
    pub user: Cow<'static, str>,
    /// `OK`, `WARNINGS: n`, or the text of the error.
    pub outcome: Cow<'static, str>,
}

impl Task {
    /// The task's id on the wire.
    pub fn upid(&self) -> String {
        format!(
            "UPID:{}:{:08X}:{:08X}:{:08X}:{}:{}:{}:",
            self.node, self.pid, self.pstart, self.starts, self.kind, self.id, self.user
        )
    }

    /// Whether it still runs at `now`.
    pub fn is_running(&self, now: i64) -> bool {
        self.ends.is_none_or(|end| end > now)
    }

    /// The user without a token's name, and the token's name.
    pub fn user_and_token(&self) -> (&str, Option<&str>) {
        match self.user.split_once('!') {
            Some((user, token)) => (user, Some(token)),
            None => (&self.user, None),
        }
    }

    /// The word of its outcome in `statusfilter`.
    pub fn outcome_class(&self) -> &'static str {
        match &*self.outcome {
            "OK" => "ok",
            "unexpected status" => "unknown",
            text if text.starts_with("WARNINGS") => "warning",
            _ => "error",
        }
    }

    /// The lines of its log up to `now`.
    pub fn log(&self, now: i64) -> Vec<String> {
        let mut lines = match &*self.kind {
            "vzdump" => vec![
                format!("INFO: starting new backup job: vzdump {}", self.id),
                "INFO: status = running".to_owned(),
                "INFO: creating vzdump archive".to_owned(),
                "INFO: transferred 32.00 GiB in 93 seconds (352.3 MiB/s)".to_owned(),
            ],
            "qmigrate" | "vzmigrate" => vec![
                "starting migration of guest to node".to_owned(),
                "start remote tunnel".to_owned(),
                "migration status: completed\u{FFFD}".to_owned(),
            ],
            kind => vec![format!("{kind} {}", self.id)],
        };
        if !self.is_running(now) {
            lines.push(match self.outcome_class() {
                "ok" => "TASK OK".to_owned(),
                "warning" => format!("TASK {}", self.outcome),
                _ => format!("TASK ERROR: {}", self.outcome),
            });
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upid_of_a_recorded_task_is_written_the_same_way() {
        let task = Task {
            node: "pve".into(),
            pid: 18_037,
            pstart: 373_615,
            starts: 1_783_271_149,
            ends: Some(1_783_271_150),
            kind: "qmcreate".into(),
            id: "9101".into(),
            user: "root@pam!sdk".into(),
            outcome: "OK".into(),
        };
        assert_eq!(
            task.upid(),
            "UPID:pve:00004675:0005B36F:6A4A8EED:qmcreate:9101:root@pam!sdk:"
        );
        assert_eq!(task.user_and_token(), ("root@pam", Some("sdk")));
        assert!(task.is_running(1_783_271_149) && !task.is_running(1_783_271_150));
    }
}
