//! What a sweep did.

use serde_json::{Map, Value, json};

use crate::endpoint::EndpointKey;
use crate::error::ErrorKind;
use crate::reconcile::Plan;
use crate::sync::warning::Warning;

/// What a sweep did.
#[derive(Debug, Clone, Default)]
pub struct SweepReport {
    /// Whether sweeping is switched on.
    pub is_enabled: bool,
    /// Why nothing was looked at.
    pub skipped_reason: Option<&'static str>,
    /// The run that it belongs to.
    pub run_id: String,
    /// Whether nothing was written on purpose.
    pub is_dry_run: bool,
    /// Virtual machines that this service created and whose guest is not listed.
    pub candidates: usize,
    /// Those that were marked.
    pub soft_deleted: usize,
    /// Those that could not be written.
    pub failed: usize,
    /// Those that were left alone.
    pub skipped: usize,
    /// What went less than well.
    pub warnings: Vec<Warning>,
    /// What a dry run would write, endpoint by endpoint.
    pub plans: Vec<(EndpointKey, Plan)>,
    /// Why the sweep failed as a whole or for an endpoint; the kind and the text of each.
    pub errors: Vec<(ErrorKind, String)>,
    /// Whether the run was asked to stop before its end.
    pub is_cancelled: bool,
}

impl SweepReport {
    /// The result, as it is answered and streamed: its counts, where something went less than well `warnings` and
    /// `degraded`, and the plan of a dry run.
    pub fn result(&self) -> Value {
        let mut members = self.members();
        if !self.warnings.is_empty() {
            members.insert("warnings".to_owned(), json!(self.warnings));
            members.insert("degraded".to_owned(), json!(true));
        }
        if self.is_dry_run {
            let plans: Vec<&Plan> = self.plans.iter().map(|(_, plan)| plan).collect();
            members.insert("plan".to_owned(), json!(plans));
        }
        Value::Object(members)
    }

    /// What the sweep counts.
    pub(in crate::sync) fn members(&self) -> Map<String, Value> {
        let members = [
            ("enabled", json!(self.is_enabled)),
            ("skipped_reason", json!(self.skipped_reason)),
            ("run_id", json!(self.run_id)),
            ("dry_run", json!(self.is_dry_run)),
            ("candidates", json!(self.candidates)),
            ("deleted", json!(0)),
            ("soft_deleted", json!(self.soft_deleted)),
            ("failed", json!(self.failed)),
            ("skipped", json!(self.skipped)),
        ];
        members
            .map(|(name, value)| (name.to_owned(), value))
            .into_iter()
            .collect()
    }

    /// What failed as a whole or for an endpoint, one text each.
    pub fn errors(&self) -> Vec<String> {
        self.errors.iter().map(|(_, text)| text.clone()).collect()
    }

    /// The kind of the first failure.
    pub fn error_kind(&self) -> Option<ErrorKind> {
        self.errors.first().map(|(kind, _)| *kind)
    }

    pub(super) fn skip(mut self, reason: &'static str) -> Self {
        self.skipped_reason = Some(reason);
        self
    }

    pub(super) fn count(&mut self, operation: &str) {
        match operation {
            "updated" => self.soft_deleted += 1,
            "failed" => self.failed += 1,
            _ => self.skipped += 1,
        }
    }
}
