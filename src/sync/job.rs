//! What a run may be asked to do, and what it reports.

use serde_json::Value;

use super::full_update::FullReport;
use super::individual::{Individual, IndividualReport};
use super::report::Report;
use super::request::SyncRequest;
use super::step::Step;
use super::sweep::{self, SweepReport};
use crate::error::ErrorKind;
use crate::stages::Stage;

/// What a run does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Job {
    /// One stage.
    Stage(Stage),
    /// Every stage, one after the other.
    FullUpdate,
    /// One object.
    Individual(Individual),
    /// Marks virtual machines whose guest is gone.
    Sweep {
        /// Whether the stage `virtual-machines` has lost guests, so that nothing may be marked.
        vm_stage_failed: bool,
    },
}

impl From<Stage> for Job {
    fn from(stage: Stage) -> Self {
        Self::Stage(stage)
    }
}

impl Job {
    /// Its name in events and lists.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Stage(stage) => stage.as_str(),
            Self::Individual(_) => "individual",
            Self::FullUpdate => "full-update",
            Self::Sweep { .. } => sweep::STEP,
        }
    }

    /// How it begins and ends in its stream.
    pub(super) fn step(&self, request: &SyncRequest) -> Step {
        match self {
            Self::Stage(stage) => Step::of_stage(*stage, request),
            Self::FullUpdate | Self::Individual(_) => Step::full_update(self.as_str()),
            Self::Sweep { .. } => Step::sweep(self.as_str(), request.dry_run),
        }
    }

    /// The stages that may not run for the same endpoint meanwhile.
    pub(super) const fn stages(&self) -> &'static [Stage] {
        match self {
            Self::Stage(stage) => stage.alone(),
            Self::Individual(wanted) => wanted.kind.stage().alone(),
            Self::FullUpdate => Stage::ORDER,
            Self::Sweep { .. } => Stage::VirtualMachines.alone(),
        }
    }
}

/// What a run did.
#[derive(Debug, Clone)]
pub enum JobReport {
    /// One stage.
    Stage(Report),
    /// Every stage.
    FullUpdate(FullReport),
    /// One object.
    Individual(IndividualReport),
    /// The sweep.
    Sweep(SweepReport),
}

impl JobReport {
    /// The report of the one stage that ran.
    pub fn into_stage(self) -> Option<Report> {
        match self {
            Self::Stage(report) => Some(report),
            Self::FullUpdate(_) | Self::Individual(_) | Self::Sweep(_) => None,
        }
    }

    /// The result, as it is answered and streamed.
    pub fn result(&self) -> Value {
        match self {
            Self::Stage(report) => report.result(),
            Self::Individual(report) => report.result(),
            Self::FullUpdate(report) => report.result(),
            Self::Sweep(report) => report.result(),
        }
    }

    /// What failed as a whole, one text each.
    pub fn errors(&self) -> Vec<String> {
        match self {
            Self::Stage(report) => report.errors(),
            Self::Individual(report) => report.errors(),
            Self::FullUpdate(report) => report.errors(),
            Self::Sweep(report) => report.errors(),
        }
    }

    /// The kind of the first failure.
    pub fn error_kind(&self) -> Option<ErrorKind> {
        match self {
            Self::Stage(report) => report.error_kind(),
            Self::Individual(report) => report.error_kind(),
            Self::FullUpdate(report) => report.error_kind(),
            Self::Sweep(report) => report.error_kind(),
        }
    }

    /// What it came to in a few words, for the log.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Stage(report) => report.counts_text(),
            Self::Individual(report) => report.text(),
            Self::FullUpdate(report) => format!("{} stages run", report.stages.len()),
            Self::Sweep(report) => format!("{} of {} marked", report.soft_deleted, report.candidates),
        }
    }

    /// Whether the run was asked to stop before its end.
    pub fn is_cancelled(&self) -> bool {
        match self {
            Self::Stage(report) => report.is_cancelled,
            Self::Individual(report) => report.is_cancelled,
            Self::FullUpdate(report) => report.is_cancelled,
            Self::Sweep(report) => report.is_cancelled,
        }
    }
}
