//! IP and MAC addresses.

use ipnet::IpNet;

use super::{Draft, assigned};
use crate::netbox::standin::datum::{Datum, Key};
use crate::netbox::standin::refusal::WHOLE_ROW;
use crate::netbox::standin::text;
use crate::netbox::standin::world::{Found, World};

const INTERFACES: &[&str] = &["dcim.interface", "virtualization.vminterface"];
const HOLDERS: &[&str] = &["dcim.interface", "virtualization.vminterface", "ipam.fhrpgroup"];
/// Roles that several addresses may share.
const SHARED_ROLES: &[&str] = &["anycast", "vip", "vrrp", "hsrp", "glbp", "carp"];

pub(super) fn ip(draft: &mut Draft<'_>) {
    assigned::object(draft, "assigned_object", HOLDERS);
    let Some(address) = draft.get("address").as_text().and_then(text::address) else {
        return;
    };
    if address.prefix_len() == 0 {
        draft.refuse("address", "Cannot create IP address with /0 mask.");
    }
    if !draft.get("assigned_object_id").is_null() {
        reserved(draft, address);
    }
    if let Some(other) = duplicate(draft) {
        let place = draft
            .follow("vrf")
            .map_or_else(|| "global table".to_owned(), |vrf| format!("VRF {}", vrf.display()));
        draft.refuse("address", format!("Duplicate IP address found in {place}: {other}"));
    }
    if is_taken_from_its_owner(draft) {
        draft.refuse(
            WHOLE_ROW,
            "Cannot reassign IP address while it is designated as the primary IP for the parent object",
        );
    }
}

fn reserved(draft: &mut Draft<'_>, address: IpNet) {
    let is_pair = address.prefix_len() + 1 >= address.max_prefix_len();
    let host = address.addr();
    if is_pair {
        return;
    }
    if host == address.network() {
        let message = format!("{host} is a network ID, which may not be assigned to an interface.");
        draft.refuse(WHOLE_ROW, message);
    } else if host.is_ipv4() && host == address.broadcast() {
        let message = format!("{host} is a broadcast address, which may not be assigned to an interface.");
        draft.refuse(WHOLE_ROW, message);
    }
}

/// The address of another row with the same host in the same table.
fn duplicate(draft: &Draft<'_>) -> Option<String> {
    let is_free = |vrf: Found<'_>| *vrf.get("enforce_unique") == Datum::Flag(false);
    if draft.follow("vrf").is_some_and(is_free) {
        return None;
    }
    let is_shared = |role: &Datum| role.as_text().is_some_and(|role| SHARED_ROLES.contains(&role));
    let host = text::host(draft.get("address").as_text()?);
    let rows = draft.world.rows_with("ipam/ip-addresses", "address", &Key::text(host));
    let others = rows.into_iter().filter(|id| draft.id != Some(*id));
    let mut others = others.filter_map(|id| draft.world.found(draft.collection.id, id));
    let taken = others.find(|other| {
        other.get("vrf") == draft.get("vrf") && !(is_shared(draft.get("role")) && is_shared(other.get("role")))
    });
    taken.map(|other| other.get("address").to_text())
}

/// The device or virtual machine of an interface.
pub(in super::super) fn owner(interface: Found<'_>) -> Option<Found<'_>> {
    interface
        .follow("virtual_machine")
        .or_else(|| interface.follow("device"))
}

fn is_primary_of(owner: Found<'_>, id: u64) -> bool {
    ["primary_ip4", "primary_ip6"]
        .iter()
        .any(|column| owner.get(column).as_id() == Some(id))
}

/// Whether the row leaves a device or machine whose primary address it is.
fn is_taken_from_its_owner(draft: &Draft<'_>) -> bool {
    let holder = |world: &'_ World, row| {
        let owner = owner(world.assigned(draft.collection, row, "assigned_object")?)?;
        Some((
            owner.collection.id,
            owner.id,
            draft.id.is_some_and(|id| is_primary_of(owner, id)),
        ))
    };
    let Some(before) = draft.before.and_then(|row| holder(draft.world, row)) else {
        return false;
    };
    let after = holder(draft.world, &draft.row);
    before.2 && after.is_none_or(|after| (after.0, after.1) != (before.0, before.1))
}

pub(super) fn mac(draft: &mut Draft<'_>) {
    assigned::object(draft, "assigned_object", INTERFACES);
    let Some(before) = draft.before else { return };
    let interface = draft.world.assigned(draft.collection, before, "assigned_object");
    let is_primary = interface.is_some_and(|interface| interface.get("primary_mac_address").as_id() == draft.id);
    let is_moved = draft.is_changed("assigned_object_id") || draft.is_changed("assigned_object_type");
    if is_primary && is_moved {
        draft.refuse(
            WHOLE_ROW,
            "Cannot reassign MAC Address while it is designated as the primary MAC for an object",
        );
    }
}

/// Checks that the primary addresses of a device or machine are its own and of the right family.
pub(super) fn primary(draft: &mut Draft<'_>, noun: &str) {
    for (column, family, other) in [("primary_ip4", "IPv4", "IPv6"), ("primary_ip6", "IPv6", "IPv4")] {
        let Some(address) = draft.follow(column) else { continue };
        let shown = address.display();
        let is_six = shown.contains(':');
        if is_six != (family == "IPv6") {
            let message = format!("Must be an {family} address. ({shown} is an {other} address.)");
            draft.refuse(column, message);
            continue;
        }
        let owns = |address: Found<'_>| {
            let interface = draft.world.assigned(address.collection, address.row, "assigned_object");
            interface
                .and_then(owner)
                .is_some_and(|owner| owner.collection.id == draft.collection.id && Some(owner.id) == draft.id)
        };
        if !owns(address) && !address.follow("nat_inside").is_some_and(owns) {
            draft.refuse(
                column,
                format!("The specified IP address ({shown}) is not assigned to this {noun}."),
            );
        }
    }
}
