//! Writes: configuration, power and snapshots of guests. They change the estate at once; their tasks end a little later.

use serde_json::Value;

use super::super::wire::Refusal;
use super::super::world::{Agent, Guest, GuestKind, GuestStatus, Setting, Snapshot, Task, World};
use super::guests::config_of;
use super::params::{Param, flag, number, required, text};
use super::{Answer, Call, Need, Route, write};

const POWER: Need = Need::Right("/vms/{vmid}", "VM.PowerMgmt");
const OPTIONS: Need = Need::Right("/vms/{vmid}", "VM.Config.Options");
const SNAPSHOT: Need = Need::Right("/vms/{vmid}", "VM.Snapshot");

const POWER_PARAMS: &[Param] = &[
    flag("forceStop"),
    flag("keepActive"),
    flag("overrule-shutdown"),
    flag("skiplock"),
    number("timeout"),
];
const QEMU_KEYS: &[Param] = &[
    flag("acpi"),
    text("agent"),
    text("args"),
    number("balloon"),
    text("bios"),
    text("boot"),
    text("ciuser"),
    text("cipassword"),
    number("cores"),
    text("cpu"),
    text("cpulimit"),
    number("cpuunits"),
    text("delete"),
    text("description"),
    text("digest"),
    text("efidisk0"),
    text("hostpci*"),
    text("hotplug"),
    text("ide*"),
    text("ipconfig*"),
    text("lock"),
    text("machine"),
    text("memory"),
    text("name"),
    text("nameserver"),
    text("net*"),
    flag("numa"),
    flag("onboot"),
    text("ostype"),
    flag("protection"),
    text("sata*"),
    text("scsi*"),
    text("scsihw"),
    text("searchdomain"),
    text("serial*"),
    number("sockets"),
    text("sshkeys"),
    text("startup"),
    text("tags"),
    flag("template"),
    text("tpmstate0"),
    text("unused*"),
    text("usb*"),
    text("vga"),
    text("virtio*"),
];
const LXC_KEYS: &[Param] = &[
    text("arch"),
    number("cores"),
    text("cpulimit"),
    number("cpuunits"),
    text("delete"),
    text("description"),
    text("digest"),
    text("features"),
    text("hostname"),
    text("lock"),
    number("memory"),
    text("mp*"),
    text("nameserver"),
    text("net*"),
    flag("onboot"),
    text("ostype"),
    flag("protection"),
    text("rootfs"),
    text("searchdomain"),
    text("startup"),
    number("swap"),
    text("tags"),
    flag("template"),
    text("timezone"),
    flag("unprivileged"),
    text("unused*"),
];
const SNAPSHOT_PARAMS: &[Param] = &[required("snapname"), text("description"), flag("vmstate")];

pub(super) const ROUTES: &[Route] = &[
    write("PUT", "/nodes/{node}/qemu/{vmid}/config", OPTIONS, |call, world| {
        config(call, world, GuestKind::Qemu)
    })
    .with(QEMU_KEYS),
    write("PUT", "/nodes/{node}/lxc/{vmid}/config", OPTIONS, |call, world| {
        config(call, world, GuestKind::Lxc)
    })
    .with(LXC_KEYS),
    write(
        "POST",
        "/nodes/{node}/qemu/{vmid}/status/{action}",
        POWER,
        |call, world| power(call, world, GuestKind::Qemu),
    )
    .with(POWER_PARAMS),
    write(
        "POST",
        "/nodes/{node}/lxc/{vmid}/status/{action}",
        POWER,
        |call, world| power(call, world, GuestKind::Lxc),
    )
    .with(POWER_PARAMS),
    write("POST", "/nodes/{node}/qemu/{vmid}/snapshot", SNAPSHOT, |call, world| {
        snapshot(call, world, GuestKind::Qemu)
    })
    .with(SNAPSHOT_PARAMS),
    write("POST", "/nodes/{node}/lxc/{vmid}/snapshot", SNAPSHOT, |call, world| {
        snapshot(call, world, GuestKind::Lxc)
    })
    .with(SNAPSHOT_PARAMS),
    write(
        "DELETE",
        "/nodes/{node}/qemu/{vmid}/snapshot/{snapname}",
        SNAPSHOT,
        |call, world| delete_snapshot(call, world, GuestKind::Qemu),
    )
    .with(&[flag("force")]),
    write(
        "DELETE",
        "/nodes/{node}/lxc/{vmid}/snapshot/{snapname}",
        SNAPSHOT,
        |call, world| delete_snapshot(call, world, GuestKind::Lxc),
    )
    .with(&[flag("force")]),
];

/// The guest in the path, unless another task has locked it.
pub(super) fn find<'a>(call: &Call<'_>, world: &'a mut World, kind: GuestKind) -> Result<&'a mut Guest, Refusal> {
    let found = world
        .guests
        .get_mut(&call.vmid())
        .filter(|guest| call.is_here(guest, kind));
    let guest = found.ok_or_else(|| call.no_such_guest(kind))?;
    match &guest.lock {
        Some(lock) => Err(Refusal::new(500, format!("VM is locked ({lock})"))),
        None => Ok(guest),
    }
}

/// Notes a task of the caller and answers its id.
pub(super) fn begin(call: &Call<'_>, world: &mut World, kind: &str) -> Answer {
    let seconds = i64::try_from(call.options.task_duration.as_secs()).unwrap_or(i64::MAX);
    let number = u32::try_from(call.turn % u64::from(u32::MAX)).unwrap_or(0);
    let task = Task {
        node: call.variable("node").into(),
        pid: 5_000 + number,
        pstart: number,
        starts: call.now,
        ends: Some(call.now.saturating_add(seconds)),
        kind: kind.to_owned().into(),
        id: call
            .find_variable("vmid")
            .or(call.param("vmid"))
            .unwrap_or_default()
            .into(),
        user: call
            .identity
            .as_ref()
            .map(super::Identity::id)
            .unwrap_or_default()
            .into(),
        outcome: "OK".into(),
    };
    let upid = task.upid();
    let place = world.tasks.partition_point(|other| other.starts <= task.starts);
    world.tasks.insert(place, task);
    Ok(Value::from(upid).into())
}

fn config(call: &Call<'_>, world: &mut World, kind: GuestKind) -> Answer {
    let guest = find(call, world, kind)?;
    if let Some(digest) = call.param("digest") {
        let current = config_of(guest).remove("digest");
        if current.as_ref().and_then(Value::as_str) != Some(digest) {
            return Err(Refusal::new(
                500,
                "detected modified configuration - file changed by other user? Try again.",
            ));
        }
    }
    for (key, value) in call
        .params
        .iter()
        .filter(|(key, _)| !matches!(*key, "digest" | "delete"))
    {
        set_key(guest, key, value);
    }
    for key in call
        .param("delete")
        .unwrap_or_default()
        .split(',')
        .filter(|key| !key.is_empty())
    {
        clear_key(guest, key);
    }
    Ok(Value::Null.into())
}

/// Sets one key of a guest's configuration from the text it has in a form.
pub(in crate::proxmox::mock) fn set_key(guest: &mut Guest, key: &str, value: &str) {
    match key {
        "name" | "hostname" => value.clone_into(&mut guest.name),
        "cores" => guest.cores = value.parse().unwrap_or(guest.cores),
        "sockets" => guest.sockets = value.parse().unwrap_or(guest.sockets),
        "memory" => {
            let megabytes = value.strip_prefix("current=").unwrap_or(value);
            guest.memory_mib = megabytes.parse().unwrap_or(guest.memory_mib);
        }
        "tags" => {
            let parts = value.split([';', ',', ' ']).filter(|tag| !tag.is_empty());
            guest.tags = parts.map(ToOwned::to_owned).collect();
            guest.tag_separator = ';';
        }
        "description" => guest.description = (!value.is_empty()).then(|| value.to_owned()),
        "lock" => guest.lock = (!value.is_empty()).then(|| value.to_owned()),
        "pool" => guest.pool = (!value.is_empty()).then(|| value.to_owned()),
        "template" => guest.template = value == "1",
        _ => {
            let is_text = matches!(key, "cpulimit" | "name" | "agent");
            let setting = match value.parse::<i64>() {
                Ok(number) if !is_text => Setting::from(number),
                _ => Setting::from(value),
            };
            guest.config.set(key.to_owned(), setting);
        }
    }
    if key == "agent" {
        let is_on = value == "1" || value.starts_with("1,") || value.contains("enabled=1");
        guest.agent = match (is_on, std::mem::take(&mut guest.agent)) {
            (false, _) => Agent::Absent,
            (true, Agent::Absent) => Agent::Plain,
            (true, own) => own,
        };
    }
}

/// Clears one key of a guest's configuration.
pub(in crate::proxmox::mock) fn clear_key(guest: &mut Guest, key: &str) {
    match key {
        "tags" => guest.tags.clear(),
        "description" => guest.description = None,
        "lock" => guest.lock = None,
        "pool" => guest.pool = None,
        "template" => guest.template = false,
        _ => {
            guest.config.remove(key);
        }
    }
    if key == "agent" {
        guest.agent = Agent::Absent;
    }
}

fn power(call: &Call<'_>, world: &mut World, kind: GuestKind) -> Answer {
    let guest = find(call, world, kind)?;
    let (vmid, runs) = (guest.vmid, guest.is_running());
    let (prefix, noun) = match kind {
        GuestKind::Qemu => ("qm", "VM"),
        GuestKind::Lxc => ("vz", "CT"),
    };
    let action = call.variable("action").to_owned();
    match (action.as_str(), runs) {
        ("start", _) if guest.template => {
            return Err(Refusal::new(
                500,
                format!("you can't start a {} if it's a template", noun.to_lowercase()),
            ));
        }
        ("start", true) => return Err(Refusal::new(500, format!("{noun} {vmid} already running"))),
        ("shutdown" | "reboot" | "reset" | "suspend", false) => {
            return Err(Refusal::new(500, format!("{noun} {vmid} not running")));
        }
        ("start", false) | ("reboot", true) => {
            guest.status = GuestStatus::Running;
            guest.started_at = call.now;
        }
        ("stop", _) | ("shutdown", true) => guest.status = GuestStatus::Stopped,
        ("reset" | "suspend", true) | ("resume", _) => {}
        _ => {
            let path = format!(
                "POST /nodes/{}/{}/{vmid}/status/{action}",
                call.variable("node"),
                kind.as_str()
            );
            return Err(Refusal::bare(501, format!("Method '{path}' not implemented")));
        }
    }
    begin(call, world, &format!("{prefix}{action}"))
}

fn snapshot(call: &Call<'_>, world: &mut World, kind: GuestKind) -> Answer {
    let guest = find(call, world, kind)?;
    let name = call.param("snapname").unwrap_or_default();
    if name == "current" || guest.snapshots.iter().any(|snapshot| snapshot.name == name) {
        return Err(Refusal::new(500, format!("snapshot name '{name}' already used")));
    }
    let parent = guest.snapshots.last().map(|newest| newest.name.clone());
    guest.snapshots.push(Snapshot {
        name: name.to_owned(),
        description: call.param("description").unwrap_or_default().to_owned(),
        snaptime: call.now,
        parent,
        vmstate: call.flag("vmstate") == Some(true),
    });
    begin(
        call,
        world,
        if kind == GuestKind::Qemu {
            "qmsnapshot"
        } else {
            "vzsnapshot"
        },
    )
}

fn delete_snapshot(call: &Call<'_>, world: &mut World, kind: GuestKind) -> Answer {
    let guest = find(call, world, kind)?;
    if !remove_snapshot(guest, call.variable("snapname")) {
        return Err(Refusal::new(
            500,
            format!("snapshot '{}' does not exist", call.variable("snapname")),
        ));
    }
    begin(
        call,
        world,
        if kind == GuestKind::Qemu {
            "qmdelsnapshot"
        } else {
            "vzdelsnapshot"
        },
    )
}

/// Removes one snapshot; those taken on it get its parent. Tells whether it was there.
pub(in crate::proxmox::mock) fn remove_snapshot(guest: &mut Guest, name: &str) -> bool {
    let Some(at) = guest.snapshots.iter().position(|snapshot| snapshot.name == name) else {
        return false;
    };
    let removed = guest.snapshots.remove(at);
    for snapshot in &mut guest.snapshots {
        if snapshot.parent.as_deref() == Some(name) {
            snapshot.parent.clone_from(&removed.parent);
        }
    }
    true
}
