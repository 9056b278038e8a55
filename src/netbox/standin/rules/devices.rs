//! Devices.

use super::{Draft, addresses};
use crate::netbox::standin::world::Found;

/// The site that a cluster is scoped to.
pub(super) fn site_of(cluster: Found<'_>) -> Option<Found<'_>> {
    scope_of(cluster, "dcim/sites")
}

fn scope_of<'a>(cluster: Found<'a>, path: &str) -> Option<Found<'a>> {
    let scope = cluster.world.assigned(cluster.collection, cluster.row, "scope")?;
    (scope.collection.rules.path == path).then_some(scope)
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
    let location = draft.get("location").as_id();
    let wanted = draft.follow("cluster");
    if let Some(theirs) = wanted.and_then(|cluster| scope_of(cluster, "dcim/locations"))
        && Some(theirs.id) != location
    {
        let message = format!(
            "The assigned cluster belongs to a different location ({})",
            theirs.display()
        );
        draft.refuse("cluster", message);
    }
}
