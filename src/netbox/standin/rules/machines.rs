//! Clusters and virtual machines.

use super::devices::site_of;
use super::{Draft, addresses, assigned};
use crate::netbox::standin::datum::{Datum, Key};
use crate::netbox::standin::refusal::WHOLE_ROW;
use crate::netbox::standin::world::World;

const DISKS: &str = "virtualization/virtual-disks";

pub(super) fn cluster(draft: &mut Draft<'_>) {
    assigned::scope(draft);
    let (Some(id), true) = (draft.id, draft.is_changed("scope_id") || draft.is_changed("scope_type")) else {
        return;
    };
    let scope = draft.world.assigned(draft.collection, &draft.row, "scope");
    let Some(site) = scope.filter(|scope| scope.collection.rules.path == "dcim/sites") else {
        return;
    };
    let outside = |path: &str| {
        let rows = draft.world.rows_with(path, "cluster", &Key::id(id));
        let collection = draft.world.schema.at(path);
        let found = rows.into_iter().filter_map(|id| draft.world.found(collection?.id, id));
        found.filter(|row| row.get("site").as_id() != Some(site.id)).count()
    };
    let devices = outside("dcim/devices");
    if devices > 0 {
        let message = format!(
            "{devices} devices are assigned as hosts for this cluster but are not in site {}",
            site.display()
        );
        draft.refuse("scope", message);
    }
}

pub(super) fn machine(draft: &mut Draft<'_>) {
    let (site, cluster, device) = (draft.follow("site"), draft.follow("cluster"), draft.follow("device"));
    if site.is_none() && cluster.is_none() && device.is_none() {
        draft.refuse(
            WHOLE_ROW,
            "A virtual machine must be assigned to a site, cluster, or device.",
        );
    }
    if let (Some(site), Some(cluster)) = (site, cluster)
        && site_of(cluster).is_some_and(|theirs| theirs.id != site.id)
    {
        let (cluster, site) = (cluster.display(), site.display());
        let message = format!("The selected cluster ({cluster}) is not assigned to this site ({site}).");
        draft.refuse("cluster", message);
    }
    if let (Some(site), Some(device)) = (site, device)
        && device.get("site").as_id() != Some(site.id)
    {
        let (device, site) = (device.display(), site.display());
        let message = format!("The selected device ({device}) is not assigned to this site ({site}).");
        draft.refuse("site", message);
    } else if let Some(device) = device {
        let host = device.display();
        match (cluster, device.follow("cluster")) {
            (None, Some(theirs)) => {
                let theirs = theirs.display();
                let message =
                    format!("Must specify the assigned device's cluster ({theirs}) when assigning host device {host}.");
                draft.refuse("cluster", message);
            }
            (Some(cluster), theirs) if theirs.is_none_or(|theirs| theirs.id != cluster.id) => {
                let cluster = cluster.display();
                let message = format!("The selected device ({host}) is not assigned to this cluster ({cluster}).");
                draft.refuse("device", message);
            }
            _ => {}
        }
    }
    size(draft);
    addresses::primary(draft, "VM");
    if site.is_none() {
        let inherited = cluster
            .and_then(site_of)
            .or_else(|| device.and_then(|device| device.follow("site")));
        draft.set("site", inherited.map_or(Datum::Null, |site| Datum::id(site.id)));
    }
}

/// A machine with disk rows has the size of all of them. A size that a write empties stays so until the next write.
fn size(draft: &mut Draft<'_>) {
    let Some(sum) = draft.id.and_then(|id| disk_sum(draft.world, id)) else {
        return;
    };
    match draft.get("disk").as_int() {
        None if !draft.is_changed("disk") => draft.set("disk", Datum::Int(sum)),
        Some(size) if size != sum => {
            let message = format!(
                "The specified disk size ({size}) must match the aggregate size of assigned virtual disks ({sum})."
            );
            draft.refuse("disk", message);
        }
        _ => {}
    }
}

/// The sizes of a machine's disks together; `None` without disks.
pub(super) fn disk_sum(world: &World, machine: u64) -> Option<i64> {
    let collection = world.schema.at(DISKS)?;
    let ids = world.rows_with(DISKS, "virtual_machine", &Key::id(machine));
    let sizes = ids
        .iter()
        .filter_map(|id| world.found(collection.id, *id)?.get("size").as_int());
    (!ids.is_empty()).then(|| sizes.sum())
}
