//! What NetBox changes elsewhere when a row is stored or deleted.

use super::devices::site_of;
use super::machines::disk_sum;
use crate::netbox::standin::datum::{Datum, Key};
use crate::netbox::standin::schema::CollectionId;
use crate::netbox::standin::table::Row;
use crate::netbox::standin::world::World;

/// After a row was stored; `before` is the row it replaced.
pub(in super::super) fn saved(world: &mut World, collection: CollectionId, id: u64, before: Option<&Row>) {
    match path(world, collection) {
        "virtualization/virtual-disks" => {
            let owner = machine(world, collection, before);
            let row = world.row(collection, id).cloned();
            let now = machine(world, collection, row.as_ref());
            for machine in [owner, now].into_iter().flatten() {
                add_up(world, machine);
            }
        }
        "dcim/interfaces" | "virtualization/interfaces" => inline_mac(world, collection, id),
        "virtualization/clusters" if before.is_some() => move_machines(world, collection, id),
        _ => {}
    }
}

/// After `row` was deleted.
pub(in super::super) fn deleted(world: &mut World, collection: CollectionId, row: &Row) {
    if path(world, collection) == "virtualization/virtual-disks"
        && let Some(machine) = machine(world, collection, Some(row))
    {
        add_up(world, machine);
    }
}

fn path(world: &World, collection: CollectionId) -> &'static str {
    world
        .schema
        .collection(collection)
        .map_or("", |collection| collection.rules.path)
}

fn machine(world: &World, disks: CollectionId, disk: Option<&Row>) -> Option<u64> {
    let column = world.schema.collection(disks)?.field_id("virtual_machine");
    disk?.get(column).as_id()
}

/// NetBox keeps the size of a machine equal to that of its disks together.
fn add_up(world: &mut World, machine: u64) {
    let sum = disk_sum(world, machine).map_or(Datum::Null, Datum::Int);
    let Some((machines, disk)) = world
        .schema
        .at("virtualization/virtual-machines")
        .map(|machines| (machines.id, machines.field_id("disk")))
    else {
        return;
    };
    world.set(machines, machine, disk, sum);
}

/// The machines of a cluster follow it to its site.
fn move_machines(world: &mut World, clusters: CollectionId, cluster: u64) {
    const MACHINES: &str = "virtualization/virtual-machines";
    let site = world
        .found(clusters, cluster)
        .and_then(site_of)
        .map(|site| Datum::id(site.id));
    let machines = world
        .schema
        .at(MACHINES)
        .map(|machines| (machines.id, machines.field_id("site")));
    let Some((site, (machines, column))) = site.zip(machines) else {
        return;
    };
    for machine in world.rows_with(MACHINES, "cluster", &Key::id(cluster)) {
        world.set(machines, machine, column, site.clone());
    }
}

/// An inline MAC address becomes a row of its own and the interface's primary one.
fn inline_mac(world: &mut World, collection: CollectionId, id: u64) {
    let Some(interface) = world.found(collection, id) else {
        return;
    };
    let Some(address) = interface.get("mac_address").as_text().map(ToOwned::to_owned) else {
        return;
    };
    let model = interface.collection.rules.model;
    let (inline, primary) = (
        interface.collection.field_id("mac_address"),
        interface.collection.field_id("primary_mac_address"),
    );
    let Some(macs) = world.schema.at("dcim/mac-addresses") else {
        return;
    };
    let own = world.assigned_to("dcim/mac-addresses", model, id);
    let column = macs.field_id("mac_address");
    let known = own.into_iter().find(|mac| {
        world
            .row(macs.id, *mac)
            .is_some_and(|row| row.get(column).as_text() == Some(&address))
    });
    let mut row = Row::new(macs);
    row.set(column, Datum::text(&address));
    row.set(macs.field_id("assigned_object_type"), Datum::text(model));
    row.set(macs.field_id("assigned_object_id"), Datum::id(id));
    for time in ["created", "last_updated"] {
        row.set(macs.field_id(time), Datum::text(&World::now()));
    }
    let macs = macs.id;
    let mac = known.unwrap_or_else(|| {
        let mac = world.next_id(macs);
        world.put(macs, mac, row);
        mac
    });
    world.set(collection, id, inline, Datum::Null);
    world.set(collection, id, primary, Datum::id(mac));
}
