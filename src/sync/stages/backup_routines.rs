//! Stage `backup-routines`: the scheduled backup jobs of a cluster.

use serde_json::json;

use super::Summary;
use crate::inventory::BackupJobs;
use crate::netbox::objects::Storage;
use crate::stages::backup_routines::BackupRoutines;
use crate::sync::error::Error;
use crate::sync::pass::EndpointRun;
use crate::sync::tell::Subject;

const PHASE: &str = "backup-routines";
const ROUTINES: Subject = Subject {
    phase: PHASE,
    kind: "backup-routine",
    page: Some("/plugins/proxbox/backup-routines/"),
    row: None,
};

pub(super) async fn run(run: &mut EndpointRun<'_>) -> Result<Summary, Error> {
    run.read_or_miss::<BackupJobs>("backup jobs of the cluster").await?;
    let jobs = run.facts.inventory.items::<BackupJobs>();
    let items: Vec<_> = jobs
        .iter()
        .map(|job| json!({"name": job.id, "item_type": "backup-routine"}))
        .collect();
    if !items.is_empty() {
        run.progress.discovered(PHASE, "backup routine", &items);
    }
    run.find_endpoint().await?;
    run.find_node_links().await?;
    let storages = run.read_storages().await;
    run.or_without::<Storage, ()>(storages)?;
    let outcome = run.pass::<BackupRoutines>().await?;
    Ok(run.tell(&ROUTINES, &outcome))
}
