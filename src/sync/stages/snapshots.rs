//! Stage `snapshots`: the snapshots of guests.

use super::Summary;
use crate::inventory::Snapshots;
use crate::reconcile::Mode;
use crate::stages::snapshots::{self, proven, unproven};
use crate::sync::error::Error;
use crate::sync::pass::EndpointRun;
use crate::sync::tell::Subject;

const PHASE: &str = "vm-snapshots";
const SNAPSHOTS: Subject = Subject {
    phase: PHASE,
    kind: "snapshot",
    page: Some("/plugins/proxbox/snapshots/"),
    row: None,
};

pub(super) async fn run(run: &mut EndpointRun<'_>) -> Result<Summary, Error> {
    if run.facts.options.modes.effective_guest() == Mode::Disabled || !run.find_owners().await? {
        return Ok(run.nothing(PHASE));
    }
    run.discovered_machines(PHASE, "virtual-machine");
    run.read::<Snapshots>().await?;
    run.facts.known.proven = proven(&run.facts);
    let mut outcome = run.pass::<snapshots::Snapshots>().await?;
    outcome.left_out += unproven(&run.facts);
    Ok(run.tell(&SNAPSHOTS, &outcome))
}
