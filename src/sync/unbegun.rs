//! A run that was asked to stop while it waited for others: it does nothing, and what they remember stands.

use super::error::Error;
use super::full_update::FullReport;
use super::individual::IndividualReport;
use super::job::{Job, JobReport};
use super::report::Report;
use super::run::{Work, failed};
use super::sweep::SweepReport;
use super::warning::Warning;
use crate::stages::Stage;

impl Work<'_> {
    /// Tells the start and the end of `job`, between which nothing was done.
    pub(super) fn unbegun(self, job: &Job) -> JobReport {
        let step = job.step(self.request);
        self.progress.started(&step);
        let is_dry_run = self.request.dry_run;
        let report = match job {
            Job::Stage(stage) => JobReport::Stage(self.unbegun_stage(*stage)),
            Job::FullUpdate => JobReport::FullUpdate(FullReport {
                stages: Vec::new(),
                sweep: None,
                is_dry_run,
                is_cancelled: true,
            }),
            Job::Individual(wanted) => JobReport::Individual(IndividualReport::cancelled(wanted.kind, is_dry_run)),
            Job::Sweep { .. } => JobReport::Sweep(SweepReport {
                is_enabled: self.context.delete_orphans,
                run_id: self.request.options.run_id.clone(),
                is_dry_run,
                is_cancelled: true,
                ..SweepReport::default()
            }),
        };
        self.close(&step, &report.errors(), report.result());
        report
    }

    fn unbegun_stage(self, stage: Stage) -> Report {
        let endpoints = self.context.endpoints.iter();
        Report {
            stage,
            endpoints: endpoints
                .map(|endpoint| failed(stage, endpoint, &Error::Cancelled, self.progress))
                .collect(),
            absent: self.context.missing.iter().copied().map(Warning::absent).collect(),
            is_dry_run: self.request.dry_run,
            is_cancelled: true,
        }
    }
}
