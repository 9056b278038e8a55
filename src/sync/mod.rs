//! One run, from the request to the report.
//!
//! A run works for one stage, or for all of them, and any number of Proxmox endpoints, one after the other; an endpoint
//! that fails does not stop the others. Its events go to whoever listens; its end is always a [`Report`].

mod ahead;
mod apply;
mod brief;
mod context;
mod entry;
mod error;
mod event;
mod full_update;
mod individual;
mod job;
mod list;
mod memo;
mod needs;
mod pace;
mod pass;
mod queue;
mod read;
mod registry;
mod report;
mod request;
mod rounds;
mod run;
mod shelf;
mod stages;
mod step;
mod sweep;
mod tally;
mod task_passes;
mod tell;
mod unbegun;
mod warning;

pub use context::{RunContext, SyncEndpoint};
pub use error::Error;
pub use event::{Event, Progress};
pub use full_update::FullReport;
pub use individual::{Individual, IndividualKind, IndividualReport};
pub use job::{Job, JobReport};
pub use memo::Memo;
pub use registry::{ActiveRun, EndedRun, Registry, Running};
pub use report::{Counts, EndpointReport, Failure, Outcome, Report, Written};
pub use request::{BadParameter, EndpointFilter, SyncRequest, switch};
pub use stages::BootstrapStatus;
pub use sweep::SweepReport;
pub use tally::SdnTally;
pub use warning::Warning;

// What a caller needs to ask for a run, from the rooms above.
pub use crate::mapping::names::{
    DeviceNameParts, TEMPLATE_FORM, device_name, endpoint_label, is_device_name_template, plugin_key,
};
pub use crate::reconcile::Limits;
pub use crate::stages::{EndpointFacts, Flag, Lookup, Part, Stage};
