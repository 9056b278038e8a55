//! `/version` and what is about the whole cluster.

use serde_json::{Map, Value, json};

use super::super::Release;
use super::super::wire::Refusal;
use super::super::world::{Replication, World};
use super::params::{number, text};
use super::{Answer, Call, Need, Route, digest, directory, get, local_node};

const AUDIT: Need = Need::Right("/", "Sys.Audit");

pub(super) const ROUTES: &[Route] = &[
    get("/version", Need::Open, version),
    get("/nodes/{node}/version", Need::Open, version),
    get("/cluster", Need::Open, index),
    get("/cluster/status", AUDIT, status),
    get("/cluster/options", Need::Open, options),
    get("/cluster/nextid", Need::Open, next_id).with(&[number("vmid")]),
    get("/cluster/config/join", AUDIT, join).with(&[text("node")]),
    get("/cluster/config/nodes", AUDIT, config_nodes),
    get("/cluster/backup", AUDIT, backup_jobs),
    get("/cluster/backup/{id}", AUDIT, backup_job),
    get("/cluster/replication", Need::Open, replications),
    get("/cluster/replication/{id}", Need::Open, replication),
    get("/cluster/qemu/custom-cpu-models", Need::Open, cpu_models).since(Release::V9_2),
    get("/cluster/qemu/custom-cpu-models/{cputype}", Need::Open, cpu_model).since(Release::V9_2),
    get("/cluster/metrics/server", AUDIT, nothing),
];

fn version(call: &Call<'_>, _: &World) -> Answer {
    let (version, release, repoid) = call.options.release.words();
    Ok(json!({ "version": version, "release": release, "repoid": repoid }).into())
}

fn index(_: &Call<'_>, _: &World) -> Answer {
    let names = [
        "backup",
        "config",
        "firewall",
        "ha",
        "options",
        "replication",
        "resources",
        "sdn",
        "status",
        "tasks",
    ];
    directory(&names, "name")
}

fn nothing(_: &Call<'_>, _: &World) -> Answer {
    Ok(json!([]).into())
}

fn status(call: &Call<'_>, world: &World) -> Answer {
    let local = local_node(call.options, world);
    let mut rows = Vec::new();
    if let Some(name) = &world.cluster {
        rows.push(json!({
            "type": "cluster", "id": "cluster", "name": name, "version": 5, "nodes": world.nodes.len(),
            "quorate": u8::from(world.is_quorate()),
        }));
    }
    for node in &world.nodes {
        rows.push(json!({
            "type": "node", "id": format!("node/{}", node.name), "name": node.name, "ip": node.ip, "level": "",
            "nodeid": node.id, "online": u8::from(node.online), "local": u8::from(node.name == local),
        }));
    }
    Ok(Value::Array(rows).into())
}

fn options(call: &Call<'_>, world: &World) -> Answer {
    let mut options = world.options.clone();
    if !call.has(world, "/", "Sys.Audit") {
        options.retain(|key, _| matches!(key.as_str(), "console" | "tag-style"));
    }
    let registered = world
        .options
        .get("registered-tags")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let allowed: Vec<&str> = registered.split(';').filter(|tag| !tag.is_empty()).collect();
    options.insert("allowed-tags".to_owned(), allowed.into());
    Ok(Value::Object(options).into())
}

fn next_id(call: &Call<'_>, world: &World) -> Answer {
    let Some(vmid) = call.number("vmid") else {
        return Ok(Value::from(world.next_vmid().to_string()).into());
    };
    match u32::try_from(vmid) {
        Ok(vmid) if vmid >= 100 && world.guests.contains_key(&vmid) => {
            Err(Refusal::parameter("vmid", format!("VM {vmid} already exists")))
        }
        Ok(vmid) if vmid >= 100 => Ok(Value::from(vmid.to_string()).into()),
        _ => Err(Refusal::parameter(
            "vmid",
            "invalid format - value does not look like a valid VM ID\n",
        )),
    }
}

fn join(call: &Call<'_>, world: &World) -> Answer {
    let Some(cluster) = &world.cluster else {
        return Err(Refusal::new(424, "node is not in a cluster, no join info available!"));
    };
    let nodes = world.nodes.iter().map(|node| {
        json!({
            "name": node.name, "nodeid": node.id.to_string(), "pve_addr": node.ip, "pve_fp": node.ssl_fingerprint,
            "quorum_votes": "1", "ring0_addr": node.ip,
        })
    });
    Ok(json!({
        "config_digest": digest(cluster), "nodelist": nodes.collect::<Vec<_>>(),
        "preferred_node": call.param("node").map_or_else(|| local_node(call.options, world), ToOwned::to_owned),
        "totem": {
            "cluster_name": cluster, "config_version": "5", "interface": {"0": {"linknumber": "0"}},
            "ip_version": "ipv4-6", "link_mode": "passive", "secauth": "on", "version": "2",
        },
    })
    .into())
}

fn config_nodes(_: &Call<'_>, world: &World) -> Answer {
    let rows = world.nodes.iter().filter(|_| world.cluster.is_some()).map(|node| {
        json!({
            "name": node.name, "node": node.name, "nodeid": node.id.to_string(), "quorum_votes": "1",
            "ring0_addr": node.ip,
        })
    });
    Ok(Value::Array(rows.collect()).into())
}

fn backup_jobs(_: &Call<'_>, world: &World) -> Answer {
    Ok(world
        .backup_jobs
        .iter()
        .cloned()
        .map(Value::Object)
        .collect::<Value>()
        .into())
}

fn backup_job(call: &Call<'_>, world: &World) -> Answer {
    let id = call.variable("id");
    let job = world
        .backup_jobs
        .iter()
        .find(|job| job.get("id").and_then(Value::as_str) == Some(id));
    let job = job.ok_or_else(|| Refusal::parameter("id", format!("No such job '{id}'")))?;
    Ok(Value::Object(job.clone()).into())
}

/// The configuration of a replication job, without its state.
pub(super) fn replication_row(job: &Replication, world: &World) -> Map<String, Value> {
    let source = world.guests.get(&job.guest).map(|guest| guest.node.as_str());
    let row = json!({
        "id": job.id(), "guest": job.guest, "jobnum": job.jobnum, "type": "local", "source": source,
        "target": job.target, "schedule": job.schedule, "rate": job.rate, "comment": job.comment,
        "disable": job.disabled.then_some(1), "remove_job": job.remove_job,
    });
    let mut row = row.as_object().cloned().unwrap_or_default();
    row.retain(|_, value| !value.is_null());
    row
}

fn is_visible(call: &Call<'_>, world: &World, job: &Replication) -> bool {
    world
        .guests
        .get(&job.guest)
        .is_some_and(|guest| call.has_on_guest(world, guest, "VM.Audit"))
}

fn replications(call: &Call<'_>, world: &World) -> Answer {
    let visible = world.replications.iter().filter(|job| is_visible(call, world, job));
    Ok(visible
        .map(|job| Value::Object(replication_row(job, world)))
        .collect::<Value>()
        .into())
}

fn replication(call: &Call<'_>, world: &World) -> Answer {
    let id = call.variable("id");
    let job = world
        .replications
        .iter()
        .find(|job| job.id() == id && is_visible(call, world, job));
    let job = job.ok_or_else(|| Refusal::new(500, format!("no such replication job '{id}'")))?;
    let mut row = replication_row(job, world);
    row.insert("digest".to_owned(), digest(id).into());
    Ok(Value::Object(row).into())
}

fn cpu_models(_: &Call<'_>, world: &World) -> Answer {
    Ok(world
        .cpu_models
        .iter()
        .cloned()
        .map(Value::Object)
        .collect::<Value>()
        .into())
}

fn cpu_model(call: &Call<'_>, world: &World) -> Answer {
    let name = call.variable("cputype");
    let plain = name.strip_prefix("custom-").unwrap_or(name);
    let mut models = world.cpu_models.iter();
    let model = models.find(|model| {
        let own = model.get("cputype").and_then(Value::as_str).unwrap_or_default();
        own == name || own.strip_prefix("custom-") == Some(plain)
    });
    let model = model.ok_or_else(|| Refusal::new(500, format!("Custom cputype '{plain}' not found\n")))?;
    Ok(Value::Object(model.clone()).into())
}
