//! Interfaces of devices and of virtual machines.

use super::Draft;
use crate::netbox::standin::datum::Datum;
use crate::netbox::standin::refusal::WHOLE_ROW;
use crate::netbox::standin::world::Found;

pub(super) fn of_device(draft: &mut Draft<'_>) {
    if draft.is_changed("device") {
        draft.refuse("device", "Components cannot be moved to a different device.");
    }
    modes(draft);
    let is_virtual = draft.get("type").as_text() == Some("virtual");
    if itself(draft, "parent") {
        draft.refuse("parent", "An interface cannot be its own parent.");
    } else if draft.follow("parent").is_some() && !is_virtual {
        draft.refuse(
            "parent",
            "Only virtual interfaces, or a channel subinterface with a channel ID assigned, may be assigned to a \
             parent interface.",
        );
    } else if let Some((theirs, device)) = elsewhere(draft, "parent", "device") {
        draft.refuse(
            "parent",
            format!("The selected parent interface ({theirs}) belongs to a different device ({device})"),
        );
    }
    if itself(draft, "lag") {
        draft.refuse("lag", "A LAG interface cannot be its own parent.");
    } else if draft.follow("lag").is_some() && is_virtual {
        draft.refuse("lag", "Virtual interfaces cannot have a parent LAG interface.");
    } else if let Some((theirs, device)) = elsewhere(draft, "lag", "device") {
        let message = format!("The selected LAG interface ({theirs}) belongs to a different device ({device}).");
        draft.refuse("lag", message);
    }
    bridge(draft, "device", "device");
    vlans(draft, "device", "device");
    primary_mac(draft);
}

pub(super) fn of_machine(draft: &mut Draft<'_>) {
    if itself(draft, "parent") {
        draft.refuse("parent", "An interface cannot be its own parent.");
    } else if let Some((theirs, machine)) = elsewhere(draft, "parent", "virtual_machine") {
        let message =
            format!("The selected parent interface ({theirs}) belongs to a different virtual machine ({machine}).");
        draft.refuse("parent", message);
    }
    bridge(draft, "virtual_machine", "virtual machine");
    // NetBox forgets VLANs that the mode has no place for.
    let mode = draft.get("mode").as_text().map(ToOwned::to_owned);
    if mode.is_none() {
        draft.set("untagged_vlan", Datum::Null);
    }
    if mode.as_deref() != Some("tagged") {
        draft.set("tagged_vlans", Datum::Ids(Box::default()));
    }
    vlans(draft, "virtual_machine", "virtual machine");
    primary_mac(draft);
}

fn itself(draft: &Draft<'_>, column: &str) -> bool {
    draft.id.is_some() && draft.get(column).as_id() == draft.id
}

/// Name and owner of the related interface, where that is another device or machine.
fn elsewhere(draft: &Draft<'_>, column: &str, owner: &str) -> Option<(String, String)> {
    let other = draft.follow(column)?;
    let theirs = other.follow(owner)?;
    (Some(theirs.id) != draft.get(owner).as_id()).then(|| (other.display(), theirs.display()))
}

fn bridge(draft: &mut Draft<'_>, owner: &str, noun: &str) {
    if itself(draft, "bridge") {
        draft.refuse("bridge", "An interface cannot be bridged to itself.");
    } else if let Some((theirs, other)) = elsewhere(draft, "bridge", owner) {
        let message = format!("The selected bridge interface ({theirs}) belongs to a different {noun} ({other}).");
        draft.refuse("bridge", message);
    }
}

fn modes(draft: &mut Draft<'_>) {
    let mode = draft.get("mode").as_text().map(ToOwned::to_owned);
    if mode.is_none() && !draft.get("untagged_vlan").is_null() {
        draft.refuse("untagged_vlan", "Interface mode does not support untagged vlan");
    }
    if mode.as_deref() != Some("tagged") && !draft.get("tagged_vlans").ids().is_empty() {
        draft.refuse("tagged_vlans", "Interface mode does not support tagged vlans");
    }
}

fn vlans(draft: &mut Draft<'_>, owner: &str, noun: &str) {
    let site = draft.follow(owner).and_then(|owner| owner.get("site").as_id());
    let is_foreign = |vlan: &Found<'_>| {
        let theirs = vlan.get("site").as_id();
        theirs.is_some() && theirs != site
    };
    if let Some(vlan) = draft.follow("untagged_vlan").filter(is_foreign) {
        let message = format!(
            "The untagged VLAN ({}) must belong to the same site as the interface's parent {noun}, or it must be \
             global.",
            vlan.display()
        );
        draft.refuse("untagged_vlan", message);
    }
    let target = draft
        .collection
        .field("tagged_vlans")
        .and_then(|field| field.kind.target());
    let tagged = draft.get("tagged_vlans").ids().iter();
    let foreign: Vec<String> = tagged
        .filter_map(|id| draft.world.found(target?, *id))
        .filter(is_foreign)
        .map(|vlan| vlan.display())
        .collect();
    if !foreign.is_empty() {
        let message = format!(
            "VLAN {} must belong to the same site as the interface's parent {noun}, or it must be global.",
            foreign.join(", ")
        );
        draft.refuse("tagged_vlans", message);
    }
}

fn primary_mac(draft: &mut Draft<'_>) {
    let Some(mac) = draft.follow("primary_mac_address") else {
        return;
    };
    match draft.world.assigned(mac.collection, mac.row, "assigned_object") {
        Some(other) if other.collection.id == draft.collection.id && Some(other.id) == draft.id => {}
        Some(other) => {
            let (address, other) = (mac.display(), other.display());
            let message = format!("MAC address {address} is assigned to a different interface ({other}).");
            draft.refuse(WHOLE_ROW, message);
        }
        None => draft.refuse(
            WHOLE_ROW,
            "Only a MAC address assigned to this interface can be its primary MAC address.",
        ),
    }
}
