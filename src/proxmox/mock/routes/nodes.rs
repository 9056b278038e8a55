//! Nodes: list, status, network, time, services, replication state.

use serde_json::{Map, Value, json};

use super::super::wire::{Payload, Refusal};
use super::super::world::{GuestKind, Node, NodeInterface, World};
use super::cluster::replication_row;
use super::params::{number, text, word};
use super::resources::node_row;
use super::{Answer, Call, Need, Route, digest, directory, get};

const AUDIT: Need = Need::Right("/nodes/{node}", "Sys.Audit");
const NETWORK_TYPES: &str = "bridge bond eth alias vlan fabric OVSBridge OVSBond OVSPort OVSIntPort vnet any_bridge \
                             any_local_bridge include_sdn";
const SERVICES: &[(&str, &str)] = &[
    ("chrony", "chrony, an NTP client/server"),
    ("corosync", "Corosync Cluster Engine"),
    ("cron", "Regular background program processing daemon"),
    ("pve-cluster", "The Proxmox VE cluster filesystem"),
    ("pvedaemon", "PVE API Daemon"),
    ("pveproxy", "PVE API Proxy Server"),
    ("pvestatd", "PVE Status Daemon"),
    ("sshd", "OpenBSD Secure Shell server"),
];

pub(super) const ROUTES: &[Route] = &[
    get("/nodes", Need::Open, nodes),
    get("/nodes/{node}", Need::Open, index),
    get("/nodes/{node}/status", AUDIT, status),
    get("/nodes/{node}/time", AUDIT, time),
    get("/nodes/{node}/config", Need::Right("/", "Sys.Audit"), config).with(&[text("property")]),
    get("/nodes/{node}/services", AUDIT, services),
    get("/nodes/{node}/network", Need::Open, network).with(&[word("type", NETWORK_TYPES)]),
    get("/nodes/{node}/network/{iface}", Need::Open, interface),
    get("/nodes/{node}/replication", Need::Open, replications).with(&[number("guest")]),
    get("/nodes/{node}/replication/{id}/status", Need::Open, replication),
    get("/nodes/{node}/disks/zfs", Need::Right("/", "Sys.Audit"), zfs),
    get(
        "/nodes/{node}/disks/zfs/{name}",
        Need::Right("/", "Sys.Audit"),
        zfs_pool,
    ),
    get("/nodes/{node}/subscription", Need::Open, subscription),
    get("/nodes/{node}/dns", AUDIT, dns),
];

fn zfs(call: &Call<'_>, world: &World) -> Answer {
    let pools = world.zfs_pools.get(call.variable("node")).cloned();
    Ok(pools
        .unwrap_or_default()
        .into_iter()
        .map(Value::Object)
        .collect::<Value>()
        .into())
}

fn zfs_pool(call: &Call<'_>, world: &World) -> Answer {
    let (node, name) = (call.variable("node"), call.variable("name"));
    let mut pools = world.zfs_pools.get(node).into_iter().flatten();
    if !pools.any(|pool| pool.get("name").and_then(Value::as_str) == Some(name)) {
        return Err(Refusal::new(500, format!("cannot open '{name}': no such pool")));
    }
    let device = |name: &str| json!({"name": name, "state": "ONLINE", "read": 0, "write": 0, "cksum": 0, "msg": ""});
    let mut mirror = device("mirror-0");
    if let Some(mirror) = mirror.as_object_mut() {
        mirror.insert("children".to_owned(), json!([device("sda3"), device("sdb3")]));
    }
    Ok(json!({"name": name, "state": "ONLINE", "errors": "No known data errors", "children": [mirror]}).into())
}

fn subscription(_: &Call<'_>, _: &World) -> Answer {
    Ok(json!({"status": "notfound", "message": "There is no subscription key"}).into())
}

fn dns(_: &Call<'_>, _: &World) -> Answer {
    Ok(json!({"search": "lab.example", "dns1": "10.10.255.53"}).into())
}

fn nodes(call: &Call<'_>, world: &World) -> Answer {
    let rows = world.nodes.iter().map(|node| {
        let mut row = node_row(call, world, node);
        row.insert("ssl_fingerprint".to_owned(), node.ssl_fingerprint.clone().into());
        Value::Object(row)
    });
    Ok(rows.collect::<Value>().into())
}

fn index(_: &Call<'_>, _: &World) -> Answer {
    directory(
        &[
            "config",
            "firewall",
            "lxc",
            "network",
            "qemu",
            "replication",
            "status",
            "storage",
            "tasks",
            "time",
        ],
        "name",
    )
}

fn status(call: &Call<'_>, world: &World) -> Answer {
    let node = call.node(world)?;
    let seed = u64::from(node.id) + 1;
    let used = call.jitter(seed, node.memory_used);
    let (version, _, repoid) = call.options.release.words();
    let kernel = if call.options.release.is_9() {
        "6.17.2-1-pve"
    } else {
        "6.8.12-8-pve"
    };
    Ok(json!({
        "uptime": (call.now - node.booted_at).max(1), "cpu": call.load(seed), "wait": 0.001_5, "idle": 0,
        "loadavg": ["0.53", "0.46", "0.43"], "ksm": {"shared": 0},
        "kversion": format!("Linux {kernel} #1 SMP PREEMPT_DYNAMIC"),
        "current-kernel": {
            "sysname": "Linux", "release": kernel, "version": "#1 SMP PREEMPT_DYNAMIC", "machine": "x86_64",
        },
        "boot-info": {"mode": "efi", "secureboot": 0},
        "pveversion": format!("pve-manager/{version}/{repoid}"),
        "cpuinfo": {
            "cpus": node.cpus, "cores": node.cpus / 2, "sockets": 1, "model": "AMD EPYC 7313P 16-Core Processor",
            "mhz": "2994.374", "hvm": "1", "user_hz": 100, "flags": "fpu vme de pse tsc msr pae svm aes avx avx2",
        },
        "memory": {"total": node.memory, "used": used, "free": node.memory.saturating_sub(used)},
        "swap": {"total": 8_589_930_496_u64, "used": 0, "free": 8_589_930_496_u64},
        "rootfs": {
            "total": node.disk, "used": node.disk_used, "free": node.disk - node.disk_used,
            "avail": (node.disk - node.disk_used) / 100 * 95,
        },
    })
    .into())
}

fn time(call: &Call<'_>, world: &World) -> Answer {
    let node = call.node(world)?;
    Ok(json!({"timezone": node.timezone, "time": call.now, "localtime": call.now + node.utc_offset}).into())
}

fn config(call: &Call<'_>, world: &World) -> Answer {
    let node = call.node(world)?;
    let mut config = Map::new();
    if let Some(description) = &node.description {
        config.insert("description".to_owned(), description.clone().into());
        config.insert("digest".to_owned(), digest(description).into());
    }
    config.retain(|key, _| call.param("property").is_none_or(|only| key == only));
    Ok(Value::Object(config).into())
}

fn services(_: &Call<'_>, world: &World) -> Answer {
    let rows = SERVICES.iter().map(|(name, about)| {
        let runs = *name != "corosync" || world.cluster.is_some();
        json!({
            "name": name, "service": name, "desc": about, "state": if runs { "running" } else { "dead" },
            "active-state": if runs { "active" } else { "inactive" }, "unit-state": "enabled",
        })
    });
    Ok(rows.collect::<Value>().into())
}

fn interface_row(node: &Node, position: usize, interface: &NodeInterface) -> Map<String, Value> {
    let mut row = Map::new();
    interface.settings.write_into(&mut row);
    row.insert("iface".to_owned(), interface.iface.clone().into());
    row.insert("type".to_owned(), interface.kind.clone().into());
    row.insert("priority".to_owned(), (position + 3).into());
    let families: &[&str] = if row.contains_key("cidr6") {
        &["inet", "inet6"]
    } else {
        &["inet"]
    };
    row.insert("families".to_owned(), families.into());
    let is_vlan = interface.kind == "vlan"
        && node
            .interfaces
            .iter()
            .any(|other| interface.iface.starts_with(&other.iface));
    if is_vlan {
        row.entry("exists").or_insert(Value::Null);
    }
    row
}

fn is_of_type(interface: &NodeInterface, wanted: &str) -> bool {
    match wanted {
        "any_bridge" | "any_local_bridge" | "include_sdn" => matches!(interface.kind.as_str(), "bridge" | "OVSBridge"),
        kind => interface.kind == kind,
    }
}

fn network(call: &Call<'_>, world: &World) -> Answer {
    let node = call.node(world)?;
    let rows = node.interfaces.iter().enumerate();
    let wanted = rows.filter(|(_, interface)| call.param("type").is_none_or(|kind| is_of_type(interface, kind)));
    let data = wanted
        .map(|(position, interface)| Value::Object(interface_row(node, position, interface)))
        .collect();
    Ok(Payload {
        data,
        changes: node.pending_network.clone(),
        ..Payload::default()
    })
}

fn interface(call: &Call<'_>, world: &World) -> Answer {
    let (node, name) = (call.node(world)?, call.variable("iface"));
    let mut found = node.interfaces.iter().enumerate();
    let (position, interface) = found
        .find(|(_, interface)| interface.iface == name)
        .ok_or_else(|| Refusal::parameter("iface", "interface does not exist"))?;
    let mut row = interface_row(node, position, interface);
    row.remove("iface");
    Ok(Value::Object(row).into())
}

fn replication_states(call: &Call<'_>, world: &World) -> Vec<Map<String, Value>> {
    let mut rows = Vec::new();
    for job in &world.replications {
        let Some(guest) = world.guests.get(&job.guest) else {
            continue;
        };
        let wanted = call.number("guest").is_none_or(|only| only == i64::from(job.guest));
        if guest.node != call.variable("node") || !wanted || !call.has_on_guest(world, guest, "VM.Audit") {
            continue;
        }
        let mut row = replication_row(job, world);
        let mut put = |key: &str, value: Value| row.insert(key.to_owned(), value);
        put(
            "vmtype",
            if guest.kind == GuestKind::Qemu { "qemu" } else { "lxc" }.into(),
        );
        put("last_sync", job.last_sync.into());
        put("last_try", job.last_try.into());
        put("next_sync", job.next_sync.into());
        put("fail_count", job.fail_count.into());
        if let Some(duration) = job.duration {
            put("duration", duration.into());
        }
        if let Some(error) = &job.error {
            put("error", error.clone().into());
        }
        rows.push(row);
    }
    rows
}

fn replications(call: &Call<'_>, world: &World) -> Answer {
    Ok(replication_states(call, world)
        .into_iter()
        .map(Value::Object)
        .collect::<Value>()
        .into())
}

fn replication(call: &Call<'_>, world: &World) -> Answer {
    let id = call.variable("id");
    let mut rows = replication_states(call, world).into_iter();
    let found = rows.find(|row| row.get("id").and_then(Value::as_str) == Some(id));
    let found = found.ok_or_else(|| Refusal::new(500, format!("no such replication job '{id}'")))?;
    Ok(Value::Object(found).into())
}
