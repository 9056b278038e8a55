//! Ceph, where the estate has storage on it: a monitor, a manager and two OSDs on each node.

use serde_json::{Value, json};

use super::{Answer, Call, Need, Route, get};
use crate::proxmox::mock::wire::Refusal;
use crate::proxmox::mock::world::World;

const AUDIT: Need = Need::Right("/", "Sys.Audit");

pub(super) const ROUTES: &[Route] = &[
    get("/cluster/ceph/status", AUDIT, status),
    get("/nodes/{node}/ceph/mon", AUDIT, monitors),
    get("/nodes/{node}/ceph/mgr", AUDIT, managers),
    get("/nodes/{node}/ceph/osd", AUDIT, osds),
];

/// The capacity of an OSD in bytes.
const OSD_BYTES: usize = 4_000_787_030_016;

fn status(_: &Call<'_>, world: &World) -> Answer {
    installed(world)?;
    let osds = 2 * world.nodes.len();
    Ok(json!({
        "fsid": "7a1c5d1e-30b5-4f0e-9a5b-1f6f3f0c2a11",
        "health": {"status": "HEALTH_OK", "checks": {}, "mutes": []},
        "quorum_names": names(world),
        "osdmap": {"epoch": 118, "num_osds": osds, "num_up_osds": osds, "num_in_osds": osds},
        "pgmap": {"num_pgs": 129, "num_pools": 2, "bytes_total": osds * OSD_BYTES, "bytes_used": OSD_BYTES},
    })
    .into())
}

fn monitors(_: &Call<'_>, world: &World) -> Answer {
    installed(world)?;
    let rows = names(world).into_iter().enumerate();
    let rows = rows.map(|(rank, name)| json!({"name": name, "rank": rank, "quorum": 1, "state": "running"}));
    Ok(rows.collect::<Value>().into())
}

fn managers(_: &Call<'_>, world: &World) -> Answer {
    installed(world)?;
    let rows = names(world).into_iter().enumerate().map(|(number, name)| {
        let state = if number == 0 { "active" } else { "standby" };
        json!({"name": name, "host": name, "state": state})
    });
    Ok(rows.collect::<Value>().into())
}

fn osds(_: &Call<'_>, world: &World) -> Answer {
    installed(world)?;
    let hosts = names(world).into_iter().enumerate().map(|(number, name)| {
        let osd = |id: usize| json!({"id": id, "name": format!("osd.{id}"), "type": "osd", "status": "up", "in": 1});
        json!({"name": name, "type": "host", "children": [osd(2 * number), osd(2 * number + 1)]})
    });
    let root = json!({"name": "default", "type": "root", "children": hosts.collect::<Value>()});
    Ok(json!({"flags": "sortbitwise", "root": {"leaf": 0, "children": [root]}}).into())
}

fn names(world: &World) -> Vec<&str> {
    world.nodes.iter().map(|node| node.name.as_str()).collect()
}

fn installed(world: &World) -> Result<(), Refusal> {
    if world.storages.iter().any(|storage| storage.kind == "rbd") {
        Ok(())
    } else {
        Err(Refusal::new(500, "binary not installed: /usr/bin/ceph-mon"))
    }
}
