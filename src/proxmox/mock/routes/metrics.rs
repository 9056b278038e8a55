//! Figures of nodes, guests and storages, as metric servers get them.

use serde_json::{Value, json};

use super::super::world::{GuestStatus, World};
use super::params::{flag, number, text};
use super::{Answer, Call, Need, Release, Route, get};

/// How far apart the figures of the past are, in seconds.
const STEP: i64 = 10;
/// How many figures of the past there are.
const STEPS: i64 = 3;

pub(super) const ROUTES: &[Route] = &[get("/cluster/metrics/export", Need::Right("/", "Sys.Audit"), export)
    .since(Release::V8_3)
    .with(&[
        flag("history"),
        flag("local-only"),
        text("node-list"),
        number("start-time"),
    ])];

fn export(call: &Call<'_>, world: &World) -> Answer {
    let oldest = if call.flag("history") == Some(true) { STEPS } else { 0 };
    let times = (0..=oldest).rev().map(|step| call.now - step * STEP);
    let wanted = times.filter(|time| call.number("start-time").is_none_or(|start| *time > start));
    let rows: Vec<Value> = wanted.flat_map(|time| at(call, world, time)).collect();
    Ok(json!({ "data": rows }).into())
}

fn at(call: &Call<'_>, world: &World, time: i64) -> Vec<Value> {
    let row = |id: &str, metric: &str, value: Value| json!({"id": id, "metric": metric, "timestamp": time, "type": "gauge", "value": value});
    let mut rows = Vec::new();
    for node in world.nodes.iter().filter(|node| node.online) {
        let id = format!("node/{}", node.name);
        rows.push(row(&id, "cpu_current", call.load(u64::from(node.id)).into()));
        rows.push(row(&id, "mem_used", node.memory_used.into()));
    }
    let running = world
        .guests
        .values()
        .filter(|guest| guest.status == GuestStatus::Running);
    for guest in running {
        let id = format!("{}/{}", guest.kind.as_str(), guest.vmid);
        rows.push(row(&id, "cpu_current", call.load(u64::from(guest.vmid)).into()));
    }
    rows
}
