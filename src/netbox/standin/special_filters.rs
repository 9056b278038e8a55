//! Filters that are more than a column: through assigned objects, parents, or other spellings.

use std::collections::{BTreeSet, HashSet};

use super::datum::{Datum, Key};
use super::filter::Unreadable;
use super::fit::Test;
use super::refusal::Errors;
use super::schema::Collection;
use super::text;
use super::world::World;

/// The test of a special filter; `None` for all others.
///
/// # Errors
///
/// Where a value names nothing that exists.
pub(super) fn test(
    world: &World,
    collection: &Collection,
    name: &str,
    values: &[&str],
) -> Result<Option<Test>, Unreadable> {
    let path = collection.rules.path;
    let found = match (path, name) {
        ("ipam/ip-addresses", "address") => addresses(world, collection, values),
        ("dcim/mac-addresses", "mac_address") => macs(collection, values),
        ("ipam/ip-addresses", "parent") => within(world, collection, values),
        ("ipam/ip-addresses", "family") => family(world, collection, values),
        ("ipam/ip-addresses", "assigned_to_interface") => {
            let wanted = values.last() == Some(&"true");
            let kind = collection.field_id("assigned_object_type");
            let is_held = |row: &Datum| row.as_text().is_some_and(|kind| kind.ends_with("interface"));
            rows(world, collection, |row| is_held(row.get(kind)) == wanted)
        }
        ("ipam/ip-addresses" | "dcim/mac-addresses", "vminterface_id" | "interface_id") => {
            assigned_to(world, collection, name, values)?
        }
        ("ipam/ip-addresses" | "dcim/mac-addresses", "virtual_machine_id" | "device_id") => {
            of_owner(world, collection, name, values)
        }
        ("virtualization/interfaces", "cluster_id") => {
            let machines = known(world, "virtualization/clusters", name, values)?;
            let machines = machines
                .flat_map(|cluster| world.rows_with("virtualization/virtual-machines", "cluster", &Key::id(cluster)));
            let machines: Vec<u64> = machines.collect();
            let of = |machine: u64| world.rows_with(path, "virtual_machine", &Key::id(machine));
            Test::Ids(machines.into_iter().flat_map(of).collect())
        }
        ("plugins/proxbox/storage", "cluster__name") => {
            let id = |name: &&str| world.rows_with("virtualization/clusters", "name", &Key::text(name));
            let clusters = values.iter().flat_map(id);
            let of = |cluster: u64| world.rows_with(path, "cluster", &Key::id(cluster));
            Test::Ids(clusters.flat_map(of).collect())
        }
        ("plugins/proxbox/guest-vm-interfaces", "mac_address") => {
            let wanted = values.last().copied().unwrap_or_default().to_lowercase();
            let column = collection.field_id("mac_address");
            rows(world, collection, |row| {
                row.get(column).to_text().to_lowercase().contains(&wanted)
            })
        }
        ("plugins/proxbox/guest-vm-interface-addresses", "virtual_machine" | "vm_interface") => {
            through_guest(world, collection, name, values)
        }
        ("plugins/proxbox/sync-state/devices", "proxmox_endpoint_raw_id") => {
            let wanted: HashSet<i64> = values.iter().filter_map(|value| value.parse().ok()).collect();
            let column = collection.field_id(name);
            // A row that no endpoint has claimed fits every endpoint.
            rows(world, collection, |row| {
                row.get(column).as_int().is_none_or(|id| wanted.contains(&id))
            })
        }
        _ => return Ok(None),
    };
    Ok(Some(found))
}

fn rows(world: &World, collection: &Collection, fits: impl Fn(&super::table::Row) -> bool) -> Test {
    let all = world.table(collection.id).into_iter().flat_map(|table| table.from(0));
    Test::Ids(all.filter(|(_, row)| fits(row)).map(|(id, _)| id).collect())
}

/// `values` as ids of rows that exist.
fn known<'a>(
    world: &World,
    path: &str,
    name: &str,
    values: &'a [&str],
) -> Result<impl Iterator<Item = u64> + use<'a>, Unreadable> {
    let collection = world.schema.at(path).map(|collection| collection.id);
    for value in values {
        let id = value.parse().ok();
        if id
            .zip(collection)
            .and_then(|(id, collection)| world.row(collection, id))
            .is_none()
        {
            let text = format!("Select a valid choice. {value} is not one of the available choices.");
            return Err(Unreadable::Invalid(Errors::one(name, text)));
        }
    }
    Ok(values.iter().filter_map(|value| value.parse().ok()))
}

/// A host finds it with every mask, an address with a mask only that one.
fn addresses(world: &World, collection: &Collection, values: &[&str]) -> Test {
    let column = collection.field_id("address");
    let mut ids = BTreeSet::new();
    for value in values {
        let Some(wanted) = text::address(value) else { continue };
        let host = wanted.addr().to_string();
        for id in world.rows_with("ipam/ip-addresses", "address", &Key::text(&host)) {
            let stored = world.row(collection.id, id).map(|row| row.get(column).to_text());
            if !value.contains('/') || stored == Some(wanted.to_string()) {
                ids.insert(id);
            }
        }
    }
    Test::Ids(ids)
}

fn macs(collection: &Collection, values: &[&str]) -> Test {
    let keys = values
        .iter()
        .filter_map(|value| text::mac(value))
        .map(|mac| Key::text(&mac))
        .collect();
    Test::Column {
        field: collection.field_id("mac_address").unwrap_or_default(),
        keys,
        or_null: false,
        is_exact: None,
    }
}

fn within(world: &World, collection: &Collection, values: &[&str]) -> Test {
    let prefixes: Vec<ipnet::IpNet> = values.iter().filter_map(|value| value.parse().ok()).collect();
    let column = collection.field_id("address");
    rows(world, collection, |row| {
        let address = row.get(column).as_text().and_then(text::address);
        address.is_some_and(|address| prefixes.iter().any(|prefix| prefix.contains(&address.addr())))
    })
}

fn family(world: &World, collection: &Collection, values: &[&str]) -> Test {
    let is_six = values.last() == Some(&"6");
    let column = collection.field_id("address");
    rows(world, collection, |row| {
        row.get(column).as_text().is_some_and(|address| address.contains(':')) == is_six
    })
}

/// What a filter by interface names: the interfaces' collection and their content type.
fn interfaces(name: &str) -> (&'static str, &'static str, &'static str) {
    if name == "vminterface_id" || name == "virtual_machine_id" {
        (
            "virtualization/interfaces",
            "virtualization.vminterface",
            "virtual_machine",
        )
    } else {
        ("dcim/interfaces", "dcim.interface", "device")
    }
}

fn assigned_to(world: &World, collection: &Collection, name: &str, values: &[&str]) -> Result<Test, Unreadable> {
    let (path, model, _) = interfaces(name);
    let ids = known(world, path, name, values)?;
    let of = |id: u64| world.assigned_to(collection.rules.path, model, id);
    Ok(Test::Ids(ids.flat_map(of).collect()))
}

/// Through the interfaces of devices or machines; what does not exist has none.
fn of_owner(world: &World, collection: &Collection, name: &str, values: &[&str]) -> Test {
    let (path, model, owner) = interfaces(name);
    let owners = values.iter().filter_map(|value| value.parse().ok());
    let interfaces = owners.flat_map(|id| world.rows_with(path, owner, &Key::id(id)));
    let of = |id: u64| world.assigned_to(collection.rules.path, model, id);
    Test::Ids(interfaces.flat_map(of).collect())
}

fn through_guest(world: &World, collection: &Collection, name: &str, values: &[&str]) -> Test {
    let ids = values.iter().filter_map(|value| value.parse().ok());
    let guests = ids.flat_map(|id| world.rows_with("plugins/proxbox/guest-vm-interfaces", name, &Key::id(id)));
    let of = |guest: u64| world.rows_with(collection.rules.path, "guest_interface", &Key::id(guest));
    Test::Ids(guests.flat_map(of).collect())
}
