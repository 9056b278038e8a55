//! The stages as sequences of passes.

mod backups;
mod bootstrap;
mod cluster;
mod devices;
mod owners;
mod snapshots;
mod storage;
mod task_history;
mod virtual_machines;

use serde_json::Value;

use super::error::Error;
use super::pass::EndpointRun;
use super::report::Counts;
use crate::stages::Stage;

pub use bootstrap::BootstrapStatus;

/// What a stage did for one endpoint.
#[derive(Debug, Default)]
pub(super) struct Summary {
    pub(super) counts: Counts,
    pub(super) records: Vec<Value>,
}

/// Runs `stage` for one endpoint.
pub(super) async fn run(stage: Stage, run: &mut EndpointRun<'_>) -> Result<Summary, Error> {
    match stage {
        Stage::Devices => devices::run(run).await,
        Stage::Storage => storage::run(run).await,
        Stage::VirtualMachines => virtual_machines::run(run).await,
        Stage::TaskHistory => task_history::run(run).await,
        Stage::Backups => backups::run(run).await,
        Stage::Snapshots => snapshots::run(run).await,
        Stage::VirtualDisks
        | Stage::NodeInterfaces
        | Stage::VmInterfaces
        | Stage::VmIpAddresses
        | Stage::Sdn
        | Stage::Replications
        | Stage::BackupRoutines => Ok(Summary::default()),
    }
}
