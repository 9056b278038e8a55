//! The plugin's rows.

use serde_json::json;

use super::Draft;
use crate::netbox::standin::datum::Key;
use crate::netbox::standin::refusal::Refusal;

/// Sync-state rows: one beside each parent, and bound to one Proxmox endpoint.
///
/// # Errors
///
/// The refusals that end a request and name no row: a second row for one parent, a device of another endpoint.
pub(super) fn sidecar(draft: &mut Draft<'_>) -> Result<(), Refusal> {
    let Some(parent) = parent_column(draft) else {
        return Ok(());
    };
    let taken = draft.get(&parent).as_id().is_some_and(|id| {
        let rows = draft
            .world
            .rows_with(draft.collection.rules.path, &parent, &Key::id(id));
        rows.into_iter().any(|row| draft.id != Some(row))
    });
    if taken {
        let body = json!({ parent: "This object already has a Proxbox sync-state row." });
        return Err(Refusal::Whole(409, body));
    }
    let owner = "proxmox_endpoint_raw_id";
    let is_device = draft.collection.rules.path.ends_with("/devices");
    if is_device && !draft.stored(owner).is_null() && draft.is_changed(owner) {
        let word = "endpoint_ownership_conflict";
        return Err(Refusal::Whole(409, json!({ owner: [word], "code": word })));
    }
    if draft.is_changed(&parent) {
        draft.refuse(&parent, "The sync-state parent cannot be changed.");
    }
    binding(draft);
    Ok(())
}

/// The one relation that every row must have.
fn parent_column(draft: &Draft<'_>) -> Option<String> {
    let parent = draft.collection.fields.iter().find(|field| field.is_required)?;
    Some(parent.name.clone())
}

/// A row tied to a tracked node or cluster belongs to the endpoint of that node or cluster.
fn binding(draft: &mut Draft<'_>) {
    for (column, noun, own, theirs) in [
        ("proxmox_node", "node", "device", "netbox_device"),
        ("proxmox_cluster", "cluster", "cluster", "netbox_cluster"),
    ] {
        let Some(tracked) = draft.follow(column) else { continue };
        let is_linked_here = draft.collection.field_id(own).is_none() || tracked.get(theirs) == draft.get(own);
        if !is_linked_here {
            draft.refuse(
                column,
                format!("Proxmox {noun} must be linked to the sync-state {own}."),
            );
            continue;
        }
        let endpoint = tracked.get("endpoint");
        if draft.get("endpoint").is_null() {
            draft.set("endpoint", endpoint.clone());
        } else if draft.get("endpoint") != endpoint {
            let noun = if noun == "node" { "Node" } else { "Cluster" };
            draft.refuse(column, format!("{noun} endpoint must match the sync-state endpoint."));
        }
    }
}

pub(super) fn guest_interface(draft: &mut Draft<'_>) {
    let core = draft.follow("vm_interface");
    if core.is_some_and(|core| core.get("virtual_machine") != draft.get("virtual_machine")) {
        draft.refuse(
            "vm_interface",
            "Mapped core VM interface must belong to the same virtual machine as the guest interface.",
        );
    }
}

pub(super) fn guest_address(draft: &mut Draft<'_>) {
    let core = draft
        .follow("guest_interface")
        .and_then(|guest| guest.follow("vm_interface"));
    let address = draft.follow("ip_address");
    let assigned = address.and_then(|address| draft.world.assigned(address.collection, address.row, "assigned_object"));
    let is_elsewhere = core
        .zip(assigned)
        .is_some_and(|(core, assigned)| core.id != assigned.id || core.collection.id != assigned.collection.id);
    if is_elsewhere {
        draft.refuse(
            "ip_address",
            "IP address must be the same object assigned to the mapped Proxmox core VM interface.",
        );
    }
}

pub(super) fn backup_routine(draft: &mut Draft<'_>) {
    let selection = draft.get("selection").to_value();
    let is_blank = selection.is_null() || selection.as_array().is_some_and(Vec::is_empty);
    if is_blank {
        draft.refuse("selection", "This field cannot be blank.");
    }
}

/// The plugin lets the database refuse a second row.
pub(super) fn cloud_init(draft: &Draft<'_>) -> Result<(), Refusal> {
    let Some(id) = draft.get("virtual_machine").as_id() else {
        return Ok(());
    };
    let rows = draft
        .world
        .rows_with(draft.collection.rules.path, "virtual_machine", &Key::id(id));
    if rows.into_iter().all(|row| draft.id == Some(row)) {
        return Ok(());
    }
    let text = format!(
        "duplicate key value violates unique constraint \
         \"netbox_proxbox_proxmoxvmcloudinit_virtual_machine_id_key\"\nDETAIL:  Key (virtual_machine_id)=({id}) already \
         exists."
    );
    Err(Refusal::exception("IntegrityError", &text, draft.world.release))
}
