//! Stage `replications`: the replication jobs of guests whose virtual machines stand in NetBox.

use serde_json::json;

use super::Summary;
use crate::inventory::Replications;
use crate::netbox::objects::VirtualMachineState;
use crate::stages::Selection;
use crate::stages::replications::{Replications as ReplicationRows, count_homeless, homeless, neighbours};
use crate::sync::error::Error;
use crate::sync::pass::EndpointRun;
use crate::sync::tell::Subject;

const PHASE: &str = "replications";
const REPLICATIONS: Subject = Subject {
    phase: PHASE,
    kind: "replication",
    page: Some("/plugins/proxbox/replications/"),
    row: None,
};

pub(super) async fn run(run: &mut EndpointRun<'_>) -> Result<Summary, Error> {
    run.read_or_miss::<Replications>("replication jobs of the cluster")
        .await?;
    let jobs = run.facts.inventory.items::<Replications>();
    let items: Vec<_> = jobs
        .iter()
        .map(|job| json!({"name": job.id, "item_type": "replication"}))
        .collect();
    run.progress.discovered(PHASE, "replication", &items);
    run.find_endpoint().await?;
    run.read_machines().await?;
    run.read_neighbours().await?;
    run.find_node_links().await?;
    let mut outcome = run.pass::<ReplicationRows>().await?;
    outcome.left_out += count_homeless(&run.facts);
    Ok(run.tell(&REPLICATIONS, &outcome))
}

impl EndpointRun<'_> {
    /// Reads which virtual machines of the cluster are, as another endpoint says, guests that have a job and no virtual machine
    /// of this endpoint.
    async fn read_neighbours(&mut self) -> Result<(), Error> {
        if self.facts.known.machines.is_empty() {
            return Ok(());
        }
        let selection = Selection::any_of("proxmox_vm_id", homeless(&self.facts));
        let states = self.list::<VirtualMachineState>(vec![selection]).await?;
        self.facts.known.neighbours = neighbours(&self.facts, &states);
        Ok(())
    }
}
