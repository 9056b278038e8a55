//! Devices.

use super::{Draft, addresses};
use crate::netbox::standin::world::Found;

/// The site that a cluster is scoped to.
pub(super) fn site_of(cluster: Found<'_>) -> Option<Found<'_>> {
    let scope = cluster.world.assigned(cluster.collection, cluster.row, "scope")?;
    (scope.collection.rules.path == "dcim/sites").then_some(scope)
}

pub(super) fn device(draft: &mut Draft<'_>) {
    addresses::primary(draft, "device");
    let site = draft.get("site").as_id();
    if let Some(theirs) = draft.follow("cluster").and_then(site_of)
        && Some(theirs.id) != site
    {
        let message = format!(
            "The assigned cluster belongs to a different site ({})",
            theirs.display()
        );
        draft.refuse("cluster", message);
    }
}
