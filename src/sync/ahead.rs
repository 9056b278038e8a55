//! What later stages of a full update ask Proxmox for, read while the first one writes to NetBox.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::error::Error;
use super::pass::EndpointRun;
use super::stages::{self, Summary};
use crate::inventory::{
    Area, BackupJobs, Cluster, Inventory, NodeNetworks, Reader, RecordedTasks, Replications, Slot, Storages,
};
use crate::proxmox::Session;
use crate::reconcile::Mode;
use crate::stages::{Modes, Stage};

/// Runs the stage of `run`. In a full update, what later stages need is read while the first one is under way.
pub(super) async fn run_stage(run: &mut EndpointRun<'_>) -> Result<Summary, Error> {
    if run.stage != Stage::Devices || !run.memo.is_of_one_run {
        return stages::run(run.stage, run).await;
    }
    let ahead = Ahead::of(run);
    let (done, read) = tokio::join!(stages::run(run.stage, run), ahead.read());
    run.place().complete_inventory(read);
    done
}

/// Reads ahead of one endpoint.
#[derive(Debug)]
struct Ahead<'a> {
    session: &'a Session,
    cluster: Cluster,
    modes: Modes,
    concurrency: usize,
    agent_timeout: Duration,
    cancel: CancellationToken,
}

impl<'a> Ahead<'a> {
    fn of(run: &EndpointRun<'a>) -> Self {
        Self {
            session: run.session,
            cluster: run.facts.cluster.clone(),
            modes: run.facts.options.modes,
            concurrency: run.concurrency,
            agent_timeout: run.agent_timeout,
            cancel: run.cancel.clone(),
        }
    }

    /// Areas that no other builds upon and that a stage is going to need. One that cannot be read is left to its stage,
    /// which asks again and tells; nothing is read on where the run is asked to stop.
    async fn read(self) -> Inventory {
        tokio::select! {
            () = self.cancel.cancelled() => Inventory::default(),
            inventory = self.areas() => inventory,
        }
    }

    async fn areas(&self) -> Inventory {
        let has_guests = self.modes.effective_guest() != Mode::Disabled;
        let has_storages = has_guests || self.modes.storage != Mode::Disabled;
        let has_nodes = self.modes.effective_node() != Mode::Disabled;
        let (storages, node_networks, replications, backup_jobs) = tokio::join!(
            self.area::<Storages>(has_storages),
            self.area::<NodeNetworks>(has_nodes),
            self.area::<Replications>(true),
            self.area::<BackupJobs>(true),
        );
        Inventory {
            storages,
            node_networks,
            replications,
            backup_jobs,
            ..Inventory::default()
        }
    }

    async fn area<A: Area>(&self, is_wanted: bool) -> Slot<A::Item> {
        let mut slot = Slot::default();
        if !is_wanted {
            return slot;
        }
        let (inventory, recorded) = (Inventory::default(), RecordedTasks::default());
        let reader = Reader {
            session: self.session,
            cluster: &self.cluster,
            inventory: &inventory,
            only: None,
            node: None,
            storage: None,
            recorded: &recorded,
            concurrency: self.concurrency,
            agent_timeout: self.agent_timeout,
            listener: None,
        };
        if let Ok(collected) = A::collect(&reader).await {
            slot.fill(collected);
        }
        slot
    }
}
