//! The stages as sequences of passes.

mod backup_routines;
mod backups;
mod bootstrap;
mod cluster;
mod devices;
mod guest_frames;
mod guest_network;
mod guest_tags;
mod node_interfaces;
mod owners;
mod port_frames;
mod replications;
mod sdn;
mod sdn_bgp;
mod snapshots;
mod storage;
mod task_history;
mod virtual_disks;
mod virtual_machines;
mod vm_interfaces;
mod vm_ip_addresses;

use serde_json::Value;

use super::error::Error;
use super::pass::EndpointRun;
use super::report::{Counts, Outcome};
use super::tally::{SdnTally, TaskTally};
use crate::stages::Stage;

pub use bootstrap::BootstrapStatus;

/// What a stage did for one endpoint.
#[derive(Debug, Default)]
pub(super) struct Summary {
    pub(super) counts: Counts,
    pub(super) records: Vec<Value>,
    /// What the stage `sdn` counts beside that.
    pub(super) tally: Option<SdnTally>,
    /// What a pass over the tasks of guests counted, where there was one.
    pub(super) tasks: Option<TaskTally>,
    /// The virtual machines that it worked on, where it works on what they have.
    pub(super) machines: usize,
    /// The keys of those that could not be written.
    pub(super) failed: Vec<String>,
}

/// Runs `stage` for one endpoint.
pub(super) async fn run(stage: Stage, run: &mut EndpointRun<'_>) -> Result<Summary, Error> {
    // What an earlier one could not read this one tries again.
    run.facts.known.unread.clear();
    match stage {
        Stage::Devices => devices::run(run).await,
        Stage::Storage => storage::run(run).await,
        Stage::VirtualMachines => virtual_machines::run(run).await,
        Stage::TaskHistory => task_history::run(run).await,
        Stage::Backups => backups::run(run).await,
        Stage::Snapshots => snapshots::run(run).await,
        Stage::VirtualDisks => virtual_disks::run(run).await,
        Stage::VmInterfaces => vm_interfaces::run(run).await,
        Stage::VmIpAddresses => vm_ip_addresses::run(run).await,
        Stage::NodeInterfaces => node_interfaces::run(run).await,
        Stage::Replications => replications::run(run).await,
        Stage::BackupRoutines => backup_routines::run(run).await,
        Stage::Sdn => Box::pin(sdn::run(run)).await,
    }
}

/// That nothing at all could be written is more than a warning; `what` it is that was to be written.
fn require_some(what: &str, outcome: &Outcome) -> Result<(), Error> {
    match outcome.failed.first() {
        Some(failure) if outcome.standing().next().is_none() => Err(Error::Prerequisite {
            what: what.to_owned(),
            kind: failure.kind,
            message: failure.message.clone(),
        }),
        Some(_) | None => Ok(()),
    }
}
