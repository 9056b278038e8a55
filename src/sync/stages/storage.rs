//! Stage `storage`: the storage definitions of a cluster that stands in NetBox.

use serde_json::json;

use super::Summary;
use crate::inventory::Storages;
use crate::reconcile::Mode;
use crate::stages::claim::Claim;
use crate::stages::storages::Storages as StorageRows;
use crate::sync::error::Error;
use crate::sync::pass::EndpointRun;
use crate::sync::report::Counts;
use crate::sync::tell::Subject;

const PHASE: &str = "storage";
const STORAGES: Subject = Subject {
    phase: PHASE,
    kind: "storage",
    page: Some("/plugins/proxbox/storage/"),
    row: None,
};

pub(super) async fn run(run: &mut EndpointRun<'_>) -> Result<Summary, Error> {
    if run.facts.options.modes.storage == Mode::Disabled {
        run.progress.summary(PHASE, &Counts::default());
        return Ok(Summary::default());
    }
    run.read_or_miss::<Storages>("storages of the cluster").await?;
    let definitions = run.facts.inventory.items::<Storages>();
    let names: Vec<_> = definitions
        .iter()
        .map(|item| json!({"name": item.storage, "item_type": "storage"}))
        .collect();
    let found = names.len();
    let concurrency = json!({"fetch_concurrency": run.concurrency});
    run.progress
        .discovered_with(PHASE, "storage", &names, Some(concurrency));
    run.bootstrap().await?;
    if run.find_cluster().await? == Claim::Create {
        let name = &run.facts.cluster.name;
        let text = format!("no cluster in NetBox stands for {name:?} yet: run the stage devices first");
        run.warnings.push(text.into());
        let counts = Counts {
            skipped: found,
            ..Counts::default()
        };
        run.progress.summary(PHASE, &counts);
        return Ok(Summary {
            counts,
            ..Summary::default()
        });
    }
    let outcome = run.pass::<StorageRows>().await?;
    Ok(run.tell(&STORAGES, &outcome))
}
