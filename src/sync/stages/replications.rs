//! Stage `replications`: the replication jobs of guests whose virtual machines stand in NetBox.

use serde_json::json;

use super::Summary;
use crate::inventory::Replications;
use crate::stages::replications::{Replications as ReplicationRows, count_homeless};
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
    run.read::<Replications>().await?;
    let jobs = run.facts.inventory.items::<Replications>();
    let items: Vec<_> = jobs
        .iter()
        .map(|job| json!({"name": job.id, "item_type": "replication"}))
        .collect();
    run.progress.discovered(PHASE, "replication", &items);
    run.find_cluster().await?;
    run.read_machines().await?;
    run.find_node_links().await?;
    let mut outcome = run.pass::<ReplicationRows>().await?;
    outcome.left_out += count_homeless(&run.facts);
    Ok(run.tell(&REPLICATIONS, &outcome))
}
