//! Telling how the objects of a stage fared, and summing up.

use serde_json::{Value, json};

use super::event::Item;
use super::pass::EndpointRun;
use super::report::{Counts, Outcome, Written};
use super::stages::Summary;
use crate::netbox::ids::Ids;
use crate::reconcile::ObjectId;

/// What a stage tells about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Subject {
    /// The stage's name in events.
    pub(super) phase: &'static str,
    /// What one object is: `node`, `storage`.
    pub(super) kind: &'static str,
    /// Where NetBox shows the objects, with its leading and trailing slash.
    pub(super) page: Option<&'static str>,
    /// The name of the plugin's table that shows the objects row by row.
    pub(super) row: Option<&'static str>,
}

impl EndpointRun<'_> {
    /// Tells how each object fared and sums up. Objects that were as they should be are only counted.
    pub(super) fn tell(&mut self, subject: &Subject, outcome: &Outcome) -> Summary {
        let summary = self.tell_items(subject, outcome);
        self.sum_up(subject, &summary.counts);
        summary
    }

    /// Tells how each object fared.
    pub(super) fn tell_items(&mut self, subject: &Subject, outcome: &Outcome) -> Summary {
        let counts = Counts::of(outcome);
        let base = Item {
            phase: subject.phase,
            name: "",
            kind: subject.kind,
            page: None,
            operation: "failed",
            error: None,
            warning: None,
            extra: None,
            current: 0,
            total: counts.total(),
        };
        let mut current = 0;
        let mut records = Vec::new();
        for (operation, rows) in [
            ("created", &outcome.created),
            ("updated", &outcome.updated),
            ("updated", &outcome.marked),
            ("deleted", &outcome.deleted),
        ] {
            for row in rows {
                let id = Ids::told(row.id);
                let page = subject.page.zip(id).map(|(page, id)| self.page(page, id));
                current += 1;
                self.progress.item(Item {
                    name: &row.name,
                    page: id.zip(page.as_deref()),
                    operation,
                    current,
                    ..base
                });
                if let Some(table) = subject.row {
                    self.progress.row(table, row.id, &row.name, operation);
                }
            }
            // A row that is gone is no object that stands.
            if operation != "deleted" {
                records.extend(rows.iter().map(|row| record(row, operation)));
            }
        }
        records.extend(outcome.unchanged.iter().map(|row| record(row, "unchanged")));
        for failure in &outcome.failed {
            current += 1;
            self.progress.item(Item {
                name: &failure.label,
                error: Some(&failure.message),
                current,
                ..base
            });
            self.warnings.push(failure.into());
        }
        Summary {
            counts,
            records,
            failed: outcome.failed.iter().map(|failure| failure.key.clone()).collect(),
            ..Summary::default()
        }
    }

    /// Tells of the objects that were as they should be, after those that were not.
    pub(super) fn tell_unchanged(&self, subject: &Subject, outcome: &Outcome) {
        let total = Counts::of(outcome).total();
        let before = total - outcome.unchanged.len();
        for (row, current) in outcome.unchanged.iter().zip(before + 1..) {
            let page = subject.page.map(|page| self.page(page, row.id));
            self.progress.item(Item {
                phase: subject.phase,
                name: &row.name,
                kind: subject.kind,
                page: page.as_deref().map(|page| (row.id, page)),
                operation: "skipped",
                error: None,
                warning: None,
                extra: None,
                current,
                total,
            });
            if let Some(table) = subject.row {
                self.progress.row(table, row.id, &row.name, "unchanged");
            }
        }
    }

    pub(super) fn sum_up(&self, subject: &Subject, counts: &Counts) {
        self.progress.summary(subject.phase, counts);
        if let Some(table) = subject.row {
            self.progress.rows_end(table);
        }
    }

    pub(super) fn page(&self, page: &str, row: ObjectId) -> String {
        format!("{}{page}{row}/", self.netbox.base_url().trim_end_matches('/'))
    }
}

/// A row as a record: id, name and what was done.
fn record(row: &Written, operation: &str) -> Value {
    json!({"id": Ids::told(row.id), "name": row.name, "operation": operation})
}
