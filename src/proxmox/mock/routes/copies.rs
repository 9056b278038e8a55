//! Guests are copied, grow, and become templates.

use serde_json::Value;

use super::super::wire::Refusal;
use super::super::world::{Guest, GuestKind, GuestStatus, Setting, World, property, size_bytes};
use super::params::{Param, required};
use super::writes::{begin, find};
use super::{Answer, Call, Need, Route, write};

const CLONE: Need = Need::Right("/vms/{vmid}", "VM.Clone");
const DISK: Need = Need::Right("/vms/{vmid}", "VM.Config.Disk");
const ALLOCATE: Need = Need::Right("/vms/{vmid}", "VM.Allocate");

const CLONE_PARAMS: &[Param] = &[required("newid")];
const RESIZE_PARAMS: &[Param] = &[required("disk"), required("size")];

pub(super) const ROUTES: &[Route] = &[
    write("POST", "/nodes/{node}/qemu/{vmid}/clone", CLONE, |call, world| {
        copy(call, world, GuestKind::Qemu)
    })
    .with(CLONE_PARAMS),
    write("POST", "/nodes/{node}/lxc/{vmid}/clone", CLONE, |call, world| {
        copy(call, world, GuestKind::Lxc)
    })
    .with(CLONE_PARAMS),
    write("PUT", "/nodes/{node}/qemu/{vmid}/resize", DISK, |call, world| {
        resize(call, world, GuestKind::Qemu)
    })
    .with(RESIZE_PARAMS),
    write("PUT", "/nodes/{node}/lxc/{vmid}/resize", DISK, |call, world| {
        resize(call, world, GuestKind::Lxc)
    })
    .with(RESIZE_PARAMS),
    write("POST", "/nodes/{node}/qemu/{vmid}/template", ALLOCATE, |call, world| {
        make_template(call, world, GuestKind::Qemu)
    }),
    write("POST", "/nodes/{node}/lxc/{vmid}/template", ALLOCATE, |call, world| {
        make_template(call, world, GuestKind::Lxc)
    }),
];

fn copy(call: &Call<'_>, world: &mut World, kind: GuestKind) -> Answer {
    let (task, noun, name) = match kind {
        GuestKind::Qemu => ("qmclone", "VM", "name"),
        GuestKind::Lxc => ("vzclone", "CT", "hostname"),
    };
    let vmid = call.param("newid").and_then(|vmid| vmid.parse().ok()).unwrap_or(0);
    call.require(world, &format!("/vms/{vmid}"), "VM.Allocate")?;
    if let Some(there) = world.guests.get(&vmid) {
        let text = format!(
            "unable to create {noun} {vmid} - it already exists on node '{}'",
            there.node
        );
        return Err(Refusal::new(500, text));
    }
    if let Some(target) = call.param("target").filter(|target| world.find_node(target).is_none()) {
        return Err(Refusal::parameter("target", format!("no such cluster node '{target}'")));
    }
    let guest = find(call, world, kind)?;
    let snapshot = call.param("snapname").filter(|name| *name != "current");
    if let Some(name) = snapshot.filter(|name| guest.snapshots.iter().all(|own| own.name != *name)) {
        return Err(Refusal::new(500, format!("snapshot '{name}' does not exist")));
    }
    let default_name = format!("Copy-of-{noun}-{}", guest.name);
    let mut made = Guest {
        vmid,
        name: call.param(name).map_or(default_name, ToOwned::to_owned),
        node: call.param("target").unwrap_or(&guest.node).to_owned(),
        status: GuestStatus::Stopped,
        template: false,
        pool: call.param("pool").map(ToOwned::to_owned),
        snapshots: Vec::new(),
        ..guest.clone()
    };
    if let Some(description) = call.param("description") {
        made.description = Some(description.to_owned());
    }
    give_own_parts(&mut made, guest.vmid);
    world.add_guest(made);
    begin(call, world, task)
}

/// Gives a copy volumes and hardware addresses of its own.
fn give_own_parts(copy: &mut Guest, original: u32) {
    let (from, to) = (format!("-{original}-disk-"), format!("-{}-disk-", copy.vmid));
    let settings: Vec<(String, String)> = copy
        .config
        .iter()
        .filter_map(|(key, setting)| match setting {
            Setting::Text(text) => Some((key.to_owned(), text.to_string())),
            Setting::Number(_) => None,
        })
        .collect();
    let [.., high, low] = copy.vmid.to_be_bytes();
    for (key, text) in settings {
        let index = key.strip_prefix("net").and_then(|index| index.parse::<u8>().ok());
        let own = index.and_then(|index| Some((copy.mac(index.into())?.to_owned(), index)));
        let text = match own {
            Some((mac, index)) => text.replace(&mac, &format!("BC:24:11:{high:02X}:{low:02X}:{index:02X}")),
            None => text.replace(&from, &to),
        };
        copy.config.set(key, text);
    }
}

fn resize(call: &Call<'_>, world: &mut World, kind: GuestKind) -> Answer {
    let guest = find(call, world, kind)?;
    let disk = call.param("disk").unwrap_or_default();
    let size = call.param("size").unwrap_or_default();
    let now = guest
        .config
        .text(disk)
        .and_then(|text| size_bytes(property(text, "size")?));
    let now = now.ok_or_else(|| Refusal::new(500, format!("disk '{disk}' does not exist")))?;
    let wanted = match size.strip_prefix('+') {
        Some(more) => size_bytes(more).map(|more| now + more),
        None => size_bytes(size),
    };
    match wanted {
        None => Err(Refusal::parameter("size", "value does not match the regex pattern")),
        Some(wanted) if wanted < now => Err(Refusal::new(500, format!("disk '{disk}' cannot shrink"))),
        Some(wanted) => {
            guest.resize_disk(disk, &size_text(wanted));
            begin(call, world, "resize")
        }
    }
}

/// A size as Proxmox writes it: in the largest unit that divides it.
fn size_text(bytes: u64) -> String {
    let units = [('T', 1_u64 << 40), ('G', 1 << 30), ('M', 1 << 20), ('K', 1 << 10)];
    units
        .into_iter()
        .find(|(_, unit)| bytes.is_multiple_of(*unit))
        .map_or_else(|| bytes.to_string(), |(name, unit)| format!("{}{name}", bytes / unit))
}

fn make_template(call: &Call<'_>, world: &mut World, kind: GuestKind) -> Answer {
    let guest = find(call, world, kind)?;
    let vmid = guest.vmid;
    let noun = match kind {
        GuestKind::Qemu => "VM",
        GuestKind::Lxc => "CT",
    };
    let refusal = if guest.template {
        format!("{noun} {vmid} is a template already")
    } else if guest.is_running() {
        format!("{noun} {vmid} is running - no template can be made of it")
    } else {
        guest.template = true;
        return match kind {
            GuestKind::Qemu => begin(call, world, "qmtemplate"),
            GuestKind::Lxc => Ok(Value::Null.into()),
        };
    };
    Err(Refusal::new(500, refusal))
}
