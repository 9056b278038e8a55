//! Software-defined networking of the cluster and of nodes.

use serde_json::{Value, json};

use super::super::world::{Row, World};
use super::params::{Param, flag, text};
use super::{Answer, Call, Need, Release, Route, directory, get};

const VIEW: &[Param] = &[flag("pending"), flag("running")];
const VIEW_OF_TYPE: &[Param] = &[flag("pending"), flag("running"), text("type")];

pub(super) const ROUTES: &[Route] = &[
    get("/cluster/sdn", Need::Open, index),
    get("/cluster/sdn/zones", Need::Open, |call, world| {
        listed(call, world, &world.sdn.zones)
    })
    .with(VIEW_OF_TYPE),
    get("/cluster/sdn/vnets", Need::Open, |call, world| {
        listed(call, world, &world.sdn.vnets)
    })
    .with(VIEW),
    get("/cluster/sdn/vnets/{vnet}/subnets", Need::Open, subnets).with(VIEW),
    get("/cluster/sdn/controllers", Need::Open, |call, world| {
        listed(call, world, &world.sdn.controllers)
    })
    .with(VIEW_OF_TYPE),
    get("/cluster/sdn/ipams", Need::Open, nothing).with(&[text("type")]),
    get("/cluster/sdn/dns", Need::Open, nothing).with(&[text("type")]),
    get("/cluster/sdn/fabrics", Need::Open, |_, _| {
        directory(&["fabric", "node", "all"], "subdir")
    })
    .since(Release::V9_1),
    get("/cluster/sdn/fabrics/fabric", Need::Open, |call, world| {
        listed(call, world, &world.sdn.fabrics)
    })
    .since(Release::V9_1)
    .with(VIEW),
    get("/cluster/sdn/fabrics/all", Need::Open, all_fabrics)
        .since(Release::V9_1)
        .with(VIEW),
    get("/cluster/sdn/route-maps", Need::Open, route_maps)
        .since(Release::V9_2)
        .with(VIEW),
    get("/cluster/sdn/route-maps/entries", Need::Open, |call, world| {
        listed(call, world, &world.sdn.route_maps)
    })
    .since(Release::V9_2)
    .with(VIEW),
    get("/cluster/sdn/prefix-lists", Need::Open, prefix_lists)
        .since(Release::V9_2)
        .with(&[flag("pending"), flag("running"), flag("verbose")]),
    get("/cluster/sdn/prefix-lists/{id}/entries", Need::Open, prefixes)
        .since(Release::V9_2)
        .with(VIEW),
    get("/nodes/{node}/sdn/zones", Need::Open, node_zones),
    get("/nodes/{node}/sdn/zones/{zone}/content", Need::Open, node_vnets),
    get("/nodes/{node}/sdn/zones/{zone}/bridges", Need::Open, bridges).since(Release::V9_1),
    get("/nodes/{node}/sdn/zones/{zone}/ip-vrf", Need::Open, routes).since(Release::V9_1),
    get("/nodes/{node}/sdn/vnets/{vnet}/mac-vrf", Need::Open, neighbours).since(Release::V9_1),
];

fn index(_: &Call<'_>, _: &World) -> Answer {
    directory(&["vnets", "zones", "controllers", "ipams", "dns", "fabrics"], "id")
}

fn nothing(_: &Call<'_>, _: &World) -> Answer {
    Ok(json!([]).into())
}

/// Rows are left out, without a word, for callers that may not see them.
fn listed(call: &Call<'_>, world: &World, rows: &[Row]) -> Answer {
    let wanted = rows
        .iter()
        .filter(|row| call.param("type").is_none_or(|kind| word(row, "type") == kind));
    let visible = wanted.filter(|_| call.has(world, "/sdn", "SDN.Audit"));
    Ok(visible.cloned().map(Value::Object).collect::<Value>().into())
}

fn word<'a>(row: &'a Row, key: &str) -> &'a str {
    row.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn subnets(call: &Call<'_>, world: &World) -> Answer {
    let own = world.sdn.subnets.get(call.variable("vnet"));
    listed(call, world, own.map(Vec::as_slice).unwrap_or_default())
}

fn all_fabrics(call: &Call<'_>, world: &World) -> Answer {
    let fabrics = listed(call, world, &world.sdn.fabrics)?.data;
    Ok(json!({"fabrics": fabrics, "nodes": []}).into())
}

fn route_maps(_: &Call<'_>, world: &World) -> Answer {
    let ids = world
        .sdn
        .route_maps
        .iter()
        .map(|row| json!({"id": word(row, "route-map-id")}));
    Ok(ids.collect::<Value>().into())
}

fn prefix_lists(_: &Call<'_>, world: &World) -> Answer {
    let ids = world.sdn.prefix_lists.keys().map(|id| json!({ "id": id }));
    Ok(ids.collect::<Value>().into())
}

fn prefixes(call: &Call<'_>, world: &World) -> Answer {
    let own = world.sdn.prefix_lists.get(call.variable("id"));
    listed(call, world, own.map(Vec::as_slice).unwrap_or_default())
}

fn node_zones(_: &Call<'_>, world: &World) -> Answer {
    let zones = world.sdn.zones.iter();
    let rows = zones.map(|zone| json!({"zone": word(zone, "zone"), "status": "available"}));
    Ok(rows.collect::<Value>().into())
}

fn vnets_of<'a>(call: &'a Call<'_>, world: &'a World) -> impl Iterator<Item = &'a Row> {
    let zone = call.variable("zone");
    world.sdn.vnets.iter().filter(move |vnet| word(vnet, "zone") == zone)
}

fn node_vnets(call: &Call<'_>, world: &World) -> Answer {
    Ok(vnets_of(call, world)
        .map(|vnet| json!({"vnet": word(vnet, "vnet"), "status": "available"}))
        .collect::<Value>()
        .into())
}

fn bridges(call: &Call<'_>, world: &World) -> Answer {
    let rows = vnets_of(call, world);
    let rows = rows.map(|vnet| json!({"name": word(vnet, "vnet"), "vlan_filtering": "0", "ports": []}));
    Ok(rows.collect::<Value>().into())
}

/// The networks of the zone itself.
fn routes(call: &Call<'_>, world: &World) -> Answer {
    let subnets = vnets_of(call, world).filter_map(|vnet| world.sdn.subnets.get(word(vnet, "vnet")));
    let rows = subnets
        .flatten()
        .map(|subnet| json!({"ip": word(subnet, "cidr"), "metric": 0, "nexthops": [], "protocol": "connected"}));
    Ok(rows.collect::<Value>().into())
}

/// The gateways of the virtual network.
fn neighbours(call: &Call<'_>, world: &World) -> Answer {
    let subnets = world.sdn.subnets.get(call.variable("vnet")).into_iter().flatten();
    let rows = subnets
        .map(|subnet| json!({"ip": word(subnet, "gateway"), "mac": "bc:24:11:99:00:01", "nexthop": "10.10.0.1"}));
    Ok(rows.collect::<Value>().into())
}
