//! `/cluster/resources`, the pools, and the rows of guests, nodes and storages they share.

use serde_json::{Map, Value, json};

use super::super::Release;
use super::super::wire::Refusal;
use super::super::world::{Guest, GuestKind, GuestStatus, Node, Pool, Storage, World};
use super::params::{text, word};
use super::{Answer, Call, Need, Route, get};

pub(super) const ROUTES: &[Route] = &[
    get("/cluster/resources", Need::Open, resources).with(&[word("type", "vm storage node sdn")]),
    get("/pools", Need::Open, pools).with(&[text("poolid"), word("type", "qemu lxc storage")]),
    get("/pools/{poolid}", Need::Right("/pool/{poolid}", "Pool.Audit"), pool).with(&[word("type", "qemu lxc storage")]),
];

fn resources(call: &Call<'_>, world: &World) -> Answer {
    let wanted = |kind| call.param("type").is_none_or(|only| only == kind);
    let mut rows = Vec::new();
    if call.param("type").is_none() {
        let visible = world
            .pools
            .iter()
            .filter(|pool| call.has(world, &format!("/pool/{}", pool.id), "Pool.Audit"));
        rows.extend(visible.map(|pool| json!({"type": "pool", "id": format!("/pool/{}", pool.id), "pool": pool.id})));
    }
    if wanted("vm") {
        let visible = world
            .guests
            .values()
            .filter(|guest| call.has_on_guest(world, guest, "VM.Audit"));
        rows.extend(visible.map(|guest| Value::Object(guest_row(call, world, guest))));
    }
    if wanted("node") {
        rows.extend(
            world
                .nodes
                .iter()
                .map(|node| Value::Object(node_row(call, world, node))),
        );
    }
    if wanted("storage") {
        rows.extend(storage_rows(call, world));
    }
    if wanted("sdn") && call.has(world, "/sdn/zones/localnetwork", "SDN.Audit") {
        rows.extend(world.nodes.iter().map(|node| sdn_row(call, node)));
    }
    Ok(Value::Array(rows).into())
}

fn sdn_row(call: &Call<'_>, node: &Node) -> Value {
    let status = if node.online { "ok" } else { "unknown" };
    if call.options.release >= Release::V9_1 {
        json!({
            "id": format!("network/{}/zone/localnetwork", node.name), "type": "network", "network-type": "zone",
            "network": "localnetwork", "node": node.name, "status": status,
        })
    } else {
        json!({
            "id": format!("sdn/{}/localnetwork", node.name), "type": "sdn", "sdn": "localnetwork", "node": node.name,
            "status": status,
        })
    }
}

/// The row of a guest. One that the statistics do not know, or whose node is off, has no name and no sizes.
pub(super) fn guest_row(call: &Call<'_>, world: &World, guest: &Guest) -> Map<String, Value> {
    let kind = guest.kind.as_str();
    let is_known = guest.status != GuestStatus::Unknown && world.find_node(&guest.node).is_some_and(|node| node.online);
    let status = if is_known {
        guest.status.as_str()
    } else {
        GuestStatus::Unknown.as_str()
    };
    let mut row = Map::new();
    let mut put = |key: &str, value: Value| row.insert(key.to_owned(), value);
    put("id", format!("{kind}/{}", guest.vmid).into());
    put("vmid", guest.vmid.into());
    put("node", guest.node.clone().into());
    put("type", kind.into());
    put("status", status.into());
    if let Some(pool) = &guest.pool {
        put("pool", pool.clone().into());
    }
    if let Some(state) = ha_state(world, guest) {
        put("hastate", state.into());
    }
    if !is_known {
        return row;
    }
    if let Some(lock) = &guest.lock {
        put("lock", lock.clone().into());
    }
    if let Some(tags) = guest.tag_text() {
        put("tags", tags.into());
    }
    put("template", u8::from(guest.template).into());
    statistics(call, guest, &mut row);
    row
}

/// Name, sizes and figures of a guest, as lists and status answers have them too.
pub(super) fn statistics(call: &Call<'_>, guest: &Guest, row: &mut Map<String, Value>) {
    let seed = u64::from(guest.vmid);
    let runs = guest.is_running();
    let memory = guest.memory_mib << 20;
    let used = if runs { call.jitter(seed, memory / 2) } else { 0 };
    let traffic = |salt: u64| {
        if runs {
            call.jitter(seed + salt, 1_000_000 * (seed + salt))
        } else {
            0
        }
    };
    let mut put = |key: &str, value: Value| row.insert(key.to_owned(), value);
    put("name", guest.name.clone().into());
    put(
        "maxcpu",
        match guest
            .config
            .text("cpulimit")
            .and_then(|limit| limit.parse::<f64>().ok())
        {
            Some(limit) if guest.kind == GuestKind::Lxc && limit > 0.0 => limit.into(),
            _ => guest.cpus().into(),
        },
    );
    put("maxmem", memory.into());
    put("maxdisk", guest.boot_disk_bytes().into());
    put("cpu", if runs { call.load(seed).into() } else { 0.into() });
    put("mem", used.into());
    put(
        "disk",
        if runs && guest.kind == GuestKind::Lxc {
            call.jitter(seed, 1 << 30).into()
        } else {
            0.into()
        },
    );
    put(
        "uptime",
        if runs {
            (call.now - guest.started_at).max(1).into()
        } else {
            0.into()
        },
    );
    for (salt, key) in [(1, "netin"), (2, "netout"), (3, "diskread"), (4, "diskwrite")] {
        put(key, traffic(salt).into());
    }
    if call.options.release.is_9() {
        put("memhost", used.into());
    }
}

fn ha_state<'a>(world: &'a World, guest: &Guest) -> Option<&'a str> {
    let prefix = match guest.kind {
        GuestKind::Qemu => "vm",
        GuestKind::Lxc => "ct",
    };
    let sid = format!("{prefix}:{}", guest.vmid);
    let mut resources = world.ha.resources.iter();
    let found = resources.find(|row| row.get("sid").and_then(Value::as_str) == Some(sid.as_str()))?;
    found.get("state").and_then(Value::as_str)
}

/// The row of a node; its figures need Sys.Audit on it, and an offline one has none.
pub(super) fn node_row(call: &Call<'_>, world: &World, node: &Node) -> Map<String, Value> {
    let mut row = Map::new();
    let mut put = |key: &str, value: Value| row.insert(key.to_owned(), value);
    put("id", format!("node/{}", node.name).into());
    put("type", "node".into());
    put("node", node.name.clone().into());
    put("status", if node.online { "online" } else { "offline" }.into());
    if !node.online {
        return row;
    }
    put("level", "".into());
    if call.has(world, &format!("/nodes/{}", node.name), "Sys.Audit") {
        let seed = u64::from(node.id) + 1;
        put("maxcpu", node.cpus.into());
        put("maxmem", node.memory.into());
        put("maxdisk", node.disk.into());
        put("cpu", call.load(seed).into());
        put("mem", call.jitter(seed, node.memory_used).into());
        put("disk", node.disk_used.into());
        put("uptime", (call.now - node.booted_at).max(1).into());
    }
    row
}

/// Whether the caller sees this storage.
pub(super) fn sees_storage(call: &Call<'_>, world: &World, storage: &Storage) -> bool {
    let path = format!("/storage/{}", storage.id);
    call.has(world, &path, "Datastore.Audit") || call.has(world, &path, "Datastore.AllocateSpace")
}

fn storage_rows(call: &Call<'_>, world: &World) -> Vec<Value> {
    let mut rows = Vec::new();
    for storage in world
        .storages
        .iter()
        .filter(|storage| sees_storage(call, world, storage))
    {
        rows.extend(
            world
                .nodes
                .iter()
                .filter(|node| storage.is_on(&node.name))
                .map(|node| storage_row(call, storage, node)),
        );
    }
    rows
}

fn storage_row(call: &Call<'_>, storage: &Storage, node: &Node) -> Value {
    let mut row = json!({
        "id": format!("storage/{}/{}", node.name, storage.id), "type": "storage", "storage": storage.id,
        "node": node.name, "plugintype": storage.kind, "content": call.shuffled(&storage.content),
        "shared": u8::from(storage.shared),
        "status": if node.online && storage.reachable { "available" } else { "unknown" },
    });
    if let Some(members) = row.as_object_mut().filter(|_| node.online && storage.reachable) {
        members.insert("maxdisk".to_owned(), storage.total.into());
        members.insert("disk".to_owned(), storage.used.into());
    }
    row
}

fn pools(call: &Call<'_>, world: &World) -> Answer {
    let only = call.param("poolid");
    let visible = world
        .pools
        .iter()
        .filter(|pool| call.has(world, &format!("/pool/{}", pool.id), "Pool.Audit"));
    let rows = visible
        .filter(|pool| only.is_none_or(|only| pool.id == only))
        .map(|pool| {
            let mut row = pool_row(pool);
            if only.is_some() {
                row.insert("members".to_owned(), members(call, world, pool));
            }
            Value::Object(row)
        });
    let rows: Vec<Value> = rows.collect();
    match only {
        Some(id) if rows.is_empty() => Err(Refusal::new(500, format!("pool '{id}' does not exist"))),
        _ => Ok(Value::Array(rows).into()),
    }
}

fn pool_row(pool: &Pool) -> Map<String, Value> {
    let mut row = Map::new();
    row.insert("poolid".to_owned(), pool.id.clone().into());
    row.extend(
        pool.comment
            .clone()
            .map(|comment| ("comment".to_owned(), comment.into())),
    );
    row
}

fn pool(call: &Call<'_>, world: &World) -> Answer {
    let id = call.variable("poolid");
    let pool = world.pools.iter().find(|pool| pool.id == id);
    let pool = pool.ok_or_else(|| Refusal::new(500, format!("pool '{id}' does not exist")))?;
    let mut row = pool_row(pool);
    row.remove("poolid");
    row.insert("members".to_owned(), members(call, world, pool));
    Ok(Value::Object(row).into())
}

fn members(call: &Call<'_>, world: &World, pool: &Pool) -> Value {
    let wanted = |kind: &str| call.param("type").is_none_or(|only| only == kind);
    let guests = world
        .guests
        .values()
        .filter(|guest| guest.pool.as_ref() == Some(&pool.id));
    let mut rows: Vec<Value> = guests
        .filter(|guest| wanted(guest.kind.as_str()) && call.has_on_guest(world, guest, "VM.Audit"))
        .map(|guest| Value::Object(guest_row(call, world, guest)))
        .collect();
    let storages = pool
        .storages
        .iter()
        .filter(|_| wanted("storage"))
        .filter_map(|id| world.find_storage(id));
    for storage in storages.filter(|storage| sees_storage(call, world, storage)) {
        let nodes = world.nodes.iter().filter(|node| storage.is_on(&node.name));
        rows.extend(nodes.map(|node| storage_row(call, storage, node)));
    }
    Value::Array(rows)
}
