//! Guests come and go: created from nothing, and destroyed when they are stopped.

use super::super::wire::Refusal;
use super::super::world::{Guest, GuestKind, GuestStatus, World};
use super::params::{Param, required};
use super::writes::{begin, set_key};
use super::{Answer, Call, Need, Route, write};

/// What says how a guest is made, and does not become a part of its configuration.
const ORDERS: &[&str] = &[
    "archive",
    "bwlimit",
    "force",
    "ha-managed",
    "ignore-unpack-errors",
    "import-working-storage",
    "live-restore",
    "ostemplate",
    "password",
    "restore",
    "ssh-public-keys",
    "start",
    "storage",
    "unique",
    "vmid",
];
const VIRTUAL_MACHINE: &[Param] = &[required("vmid")];
const CONTAINER: &[Param] = &[required("vmid"), required("ostemplate")];
const ALLOCATE: Need = Need::Right("/vms/{vmid}", "VM.Allocate");

pub(super) const ROUTES: &[Route] = &[
    write("POST", "/nodes/{node}/qemu", Need::Open, |call, world| {
        create(call, world, GuestKind::Qemu)
    })
    .with(VIRTUAL_MACHINE),
    write("POST", "/nodes/{node}/lxc", Need::Open, |call, world| {
        create(call, world, GuestKind::Lxc)
    })
    .with(CONTAINER),
    write("DELETE", "/nodes/{node}/qemu/{vmid}", ALLOCATE, |call, world| {
        destroy(call, world, GuestKind::Qemu)
    }),
    write("DELETE", "/nodes/{node}/lxc/{vmid}", ALLOCATE, |call, world| {
        destroy(call, world, GuestKind::Lxc)
    }),
];

/// What tasks are called after, and what refusals call a guest.
const fn words(kind: GuestKind) -> (&'static str, &'static str) {
    match kind {
        GuestKind::Qemu => ("qm", "VM"),
        GuestKind::Lxc => ("vz", "CT"),
    }
}

fn create(call: &Call<'_>, world: &mut World, kind: GuestKind) -> Answer {
    let (prefix, noun) = words(kind);
    let vmid = call.param("vmid").and_then(|vmid| vmid.parse().ok()).unwrap_or(0);
    call.require(world, &format!("/vms/{vmid}"), "VM.Allocate")?;
    if let Some(guest) = world.guests.get(&vmid) {
        let text = format!(
            "unable to create {noun} {vmid} - it already exists on node '{}'",
            guest.node
        );
        return Err(Refusal::new(500, text));
    }
    let mut guest = Guest::new(kind, vmid, &format!("{noun}{vmid}"), call.variable("node"));
    for (key, value) in call.params.iter().filter(|(key, _)| !ORDERS.contains(key)) {
        set_key(&mut guest, key, value);
    }
    if call.flag("start") == Some(true) {
        guest.status = GuestStatus::Running;
        guest.started_at = call.now;
    }
    world.add_guest(guest);
    begin(call, world, &format!("{prefix}create"))
}

fn destroy(call: &Call<'_>, world: &mut World, kind: GuestKind) -> Answer {
    let (prefix, noun) = words(kind);
    let guest = call.guest(world, kind)?;
    let vmid = guest.vmid;
    if guest.is_running() {
        return Err(Refusal::new(500, format!("{noun} {vmid} is running - destroy failed")));
    }
    world.remove_guest(vmid);
    begin(call, world, &format!("{prefix}destroy"))
}
