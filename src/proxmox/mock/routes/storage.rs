//! Storage configuration, status and content.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::super::Release;
use super::super::wire::{Content, FILE, Payload, Refusal};
use super::super::world::{Backup, Storage, World, property, size_bytes};
use super::params::{flag, number, required, text};
use super::resources::sees_storage;
use super::{Answer, Call, Need, Route, digest, get};

pub(super) const ROUTES: &[Route] = &[
    get("/storage", Need::Open, configurations).with(&[text("type")]),
    get(
        "/storage/{storage}",
        Need::Right("/storage/{storage}", "Datastore.Allocate"),
        configuration,
    ),
    get("/nodes/{node}/storage", Need::Open, list).with(&[
        text("content"),
        flag("enabled"),
        flag("format"),
        text("storage"),
        text("target"),
    ]),
    get(
        "/nodes/{node}/storage/{storage}/status",
        Need::Right("/storage/{storage}", "Datastore.Audit"),
        status,
    ),
    get("/nodes/{node}/storage/{storage}/content", Need::Open, content).with(&[text("content"), number("vmid")]),
    get(
        "/nodes/{node}/storage/{storage}/file-restore/download",
        Need::Right("/storage/{storage}", "Datastore.Audit"),
        restored,
    )
    .with(&[required("volume"), required("filepath")]),
    get(
        "/nodes/{node}/storage/{storage}/identity",
        Need::Right("/storage/{storage}", "Datastore.Audit"),
        identity,
    )
    .since(Release::V9_2),
];

fn configuration_row(call: &Call<'_>, storage: &Storage) -> Map<String, Value> {
    let mut row = Map::new();
    storage.settings.write_into(&mut row);
    row.insert("storage".to_owned(), storage.id.clone().into());
    row.insert("type".to_owned(), storage.kind.clone().into());
    row.insert("content".to_owned(), call.shuffled(&storage.content).into());
    row.insert("digest".to_owned(), digest("storage.cfg").into());
    if !storage.nodes.is_empty() {
        row.insert("nodes".to_owned(), call.shuffled(&storage.nodes).into());
    }
    if storage.shared {
        row.insert("shared".to_owned(), 1.into());
    }
    if storage.disabled {
        row.insert("disable".to_owned(), 1.into());
    }
    row
}

fn configurations(call: &Call<'_>, world: &World) -> Answer {
    let visible = world
        .storages
        .iter()
        .filter(|storage| sees_storage(call, world, storage));
    let wanted = visible.filter(|storage| call.param("type").is_none_or(|kind| storage.kind == kind));
    Ok(wanted
        .map(|storage| Value::Object(configuration_row(call, storage)))
        .collect::<Value>()
        .into())
}

fn find<'a>(call: &Call<'_>, world: &'a World) -> Result<&'a Storage, Refusal> {
    let id = call.variable("storage");
    world
        .find_storage(id)
        .ok_or_else(|| Refusal::new(500, format!("storage '{id}' does not exist")))
}

fn find_active<'a>(call: &Call<'_>, world: &'a World) -> Result<&'a Storage, Refusal> {
    let (storage, node) = (find(call, world)?, call.variable("node"));
    if storage.disabled {
        return Err(Refusal::new(500, format!("storage '{}' is disabled", storage.id)));
    }
    if !storage.is_on(node) {
        return Err(Refusal::new(
            500,
            format!("storage '{}' is not available on node '{node}'", storage.id),
        ));
    }
    Ok(storage)
}

fn configuration(call: &Call<'_>, world: &World) -> Answer {
    Ok(Value::Object(configuration_row(call, find(call, world)?)).into())
}

/// Status of a storage on a node. Used and available space are less than the total, as on file systems with a reserve.
fn status_row(call: &Call<'_>, storage: &Storage, node: &str) -> Map<String, Value> {
    let is_active = storage.reachable && storage.is_on(node);
    let row = json!({
        "storage": storage.id, "type": storage.kind, "content": call.shuffled(&storage.content),
        "shared": u8::from(storage.shared), "enabled": u8::from(!storage.disabled), "active": u8::from(is_active),
        "total": if is_active { storage.total } else { 0 }, "used": if is_active { storage.used } else { 0 },
        "avail": if is_active { (storage.total - storage.used) / 100 * 95 } else { 0 },
    });
    row.as_object().cloned().unwrap_or_default()
}

fn list(call: &Call<'_>, world: &World) -> Answer {
    let node = call.variable("node");
    let visible = world
        .storages
        .iter()
        .filter(|storage| sees_storage(call, world, storage));
    let rows = visible
        .filter(|storage| storage.nodes.is_empty() || storage.is_on(node))
        .filter(|storage| call.flag("enabled") != Some(true) || !storage.disabled)
        .filter(|storage| call.param("storage").is_none_or(|only| storage.id == only))
        .filter(|storage| {
            call.param("content")
                .is_none_or(|kinds| kinds.split(',').any(|kind| storage.holds(kind)))
        })
        .map(|storage| {
            let mut row = status_row(call, storage, node);
            if storage.reachable && !storage.disabled {
                let hundredths = u32::try_from(storage.used / (storage.total / 100).max(1)).unwrap_or(0);
                row.insert("used_fraction".to_owned(), (f64::from(hundredths) / 100.0).into());
            }
            Value::Object(row)
        });
    Ok(rows.collect::<Value>().into())
}

fn status(call: &Call<'_>, world: &World) -> Answer {
    let mut row = status_row(call, find(call, world)?, call.variable("node"));
    row.remove("storage");
    Ok(Value::Object(row).into())
}

fn identity(call: &Call<'_>, world: &World) -> Answer {
    let storage = find(call, world)?;
    Ok(json!({"id": digest(&storage.id), "type": storage.kind}).into())
}

fn content(call: &Call<'_>, world: &World) -> Answer {
    let storage = find_active(call, world)?;
    if !sees_storage(call, world, storage) {
        return Err(Refusal::permission(
            &format!("/storage/{}", storage.id),
            "Datastore.AllocateSpace|Datastore.Audit",
        ));
    }
    if !storage.reachable {
        return Err(Refusal::new(500, format!("storage '{}' is not online", storage.id)));
    }
    let wanted = |kind: &str| storage.holds(kind) && call.param("content").is_none_or(|only| only == kind);
    let mut rows = Vec::new();
    if wanted("backup") {
        let own = world
            .backups
            .iter()
            .filter(|backup| backup.storage == storage.id && is_at(call, backup));
        rows.extend(own.filter(|backup| sees_backup(call, world, backup)).map(backup_row));
    }
    if wanted("images") || wanted("rootdir") {
        rows.extend(volumes(call, world, storage, &wanted));
    }
    if wanted("iso") && call.param("vmid").is_none() {
        let volid = format!("{}:iso/debian-12.iso", storage.id);
        rows.push(
            json!({"volid": volid, "content": "iso", "format": "iso", "size": 659_554_304, "ctime": 1_717_000_000}),
        );
    }
    if wanted("vztmpl") && call.param("vmid").is_none() {
        let volid = format!("{}:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst", storage.id);
        rows.push(
            json!({"volid": volid, "content": "vztmpl", "format": "tzst", "size": 126_515_062, "ctime": 1_717_000_000}),
        );
    }
    let turned = usize::try_from(call.turn).unwrap_or(0) % rows.len().max(1);
    rows.rotate_left(turned);
    Ok(Value::Array(rows).into())
}

/// A file out of a backup.
fn restored(call: &Call<'_>, world: &World) -> Answer {
    find_active(call, world)?;
    let file = world.files.get(call.param("filepath").unwrap_or_default());
    let bytes = file.cloned().unwrap_or_else(|| Bytes::from_static(b"restored\n"));
    Ok(Payload {
        file: Some(Content { bytes, kind: FILE }),
        ..Payload::default()
    })
}

fn is_at(call: &Call<'_>, backup: &Backup) -> bool {
    backup.node.as_deref().is_none_or(|node| node == call.variable("node"))
        && call.number("vmid").is_none_or(|only| only == i64::from(backup.vmid))
}

/// Backups are left out, without a word, for callers that could not make them.
fn sees_backup(call: &Call<'_>, world: &World, backup: &Backup) -> bool {
    let path = format!("/storage/{}", backup.storage);
    let may_back_up = || match world.guests.get(&backup.vmid) {
        Some(guest) => call.has_on_guest(world, guest, "VM.Backup"),
        None => call.has(world, &format!("/vms/{}", backup.vmid), "VM.Backup"),
    };
    call.has(world, &path, "Datastore.Allocate") || (call.has(world, &path, "Datastore.AllocateSpace") && may_back_up())
}

fn backup_row(backup: &Backup) -> Value {
    let mut row = json!({
        "volid": backup.volid(), "content": "backup", "format": backup.format(), "vmid": backup.vmid,
        "subtype": backup.kind.as_str(), "ctime": backup.ctime, "size": backup.size,
    });
    let Some(members) = row.as_object_mut() else { return row };
    if let Some(notes) = &backup.notes {
        members.insert("notes".to_owned(), notes.clone().into());
    }
    if backup.protected {
        members.insert("protected".to_owned(), 1.into());
    }
    if let Some(server) = &backup.server {
        if let Some(state) = &server.verification {
            let upid = format!(
                "UPID:pbs:00000E2B:0000125A:00000007:{:08X}:verificationjob:main:root@pam:",
                backup.ctime
            );
            members.insert("verification".to_owned(), json!({"state": state, "upid": upid}));
        }
        if let Some(key) = &server.encrypted {
            members.insert("encrypted".to_owned(), key.clone().into());
        }
    }
    row
}

/// The disks of guests on this storage; on a local one only those of guests on this node.
fn volumes(call: &Call<'_>, world: &World, storage: &Storage, wanted: &impl Fn(&str) -> bool) -> Vec<Value> {
    let prefix = format!("{}:", storage.id);
    let mut rows = Vec::new();
    for guest in world.guests.values() {
        let content = match guest.kind {
            super::GuestKind::Qemu => "images",
            super::GuestKind::Lxc => "rootdir",
        };
        let is_asked = call.number("vmid").is_none_or(|only| only == i64::from(guest.vmid));
        let is_here = storage.shared || guest.node == call.variable("node");
        let may = call.has(world, &format!("/storage/{}", storage.id), "Datastore.Audit")
            && call.has_on_guest(world, guest, "VM.Config.Disk");
        if !(is_asked && is_here && may && wanted(content)) {
            continue;
        }
        for (_, value) in guest.config.iter() {
            let super::super::world::Setting::Text(disk) = value else {
                continue;
            };
            let Some(volid) = disk.split(',').next().filter(|volid| volid.starts_with(&prefix)) else {
                continue;
            };
            // Thin LVM tells the time of creation as text.
            let ctime = if storage.kind == "lvmthin" {
                json!("1717000000")
            } else {
                json!(1_717_000_000)
            };
            let size = property(disk, "size").and_then(size_bytes).unwrap_or(4 << 20);
            rows.push(json!({
                "volid": volid, "content": content, "format": "raw", "vmid": guest.vmid, "size": size, "ctime": ctime,
            }));
        }
    }
    rows
}
