//! Guests: lists, configurations, status, snapshots and what their agents tell.

use serde_json::{Map, Value, json};

use super::super::estate::plain_interfaces;
use super::super::wire::Refusal;
use super::super::world::{Agent, AgentInterface, Guest, GuestKind, Snapshot, World, property};
use super::params::{flag, text};
use super::resources::statistics;
use super::{Answer, Call, Need, Route, digest, directory, get};

const AUDIT: Need = Need::Right("/vms/{vmid}", "VM.Audit");

pub(super) const ROUTES: &[Route] = &[
    get("/nodes/{node}/qemu", Need::Open, |call, world| {
        list(call, world, GuestKind::Qemu)
    })
    .with(&[flag("full")]),
    get("/nodes/{node}/lxc", Need::Open, |call, world| {
        list(call, world, GuestKind::Lxc)
    }),
    get("/nodes/{node}/qemu/{vmid}", Need::Open, index),
    get("/nodes/{node}/lxc/{vmid}", Need::Open, index),
    get("/nodes/{node}/qemu/{vmid}/config", AUDIT, |call, world| {
        config(call, world, GuestKind::Qemu)
    })
    .with(&[flag("current"), text("snapshot")]),
    get("/nodes/{node}/lxc/{vmid}/config", AUDIT, |call, world| {
        config(call, world, GuestKind::Lxc)
    })
    .with(&[flag("current"), text("snapshot")]),
    get("/nodes/{node}/qemu/{vmid}/status/current", AUDIT, |call, world| {
        status(call, world, GuestKind::Qemu)
    }),
    get("/nodes/{node}/lxc/{vmid}/status/current", AUDIT, |call, world| {
        status(call, world, GuestKind::Lxc)
    }),
    get("/nodes/{node}/qemu/{vmid}/snapshot", AUDIT, |call, world| {
        snapshots(call, world, GuestKind::Qemu)
    }),
    get("/nodes/{node}/lxc/{vmid}/snapshot", AUDIT, |call, world| {
        snapshots(call, world, GuestKind::Lxc)
    }),
    get("/nodes/{node}/qemu/{vmid}/agent", Need::Open, agent_index),
    get(
        "/nodes/{node}/qemu/{vmid}/agent/network-get-interfaces",
        Need::Agent,
        agent_interfaces,
    ),
    get(
        "/nodes/{node}/qemu/{vmid}/agent/get-host-name",
        Need::Agent,
        agent_host_name,
    ),
    get("/nodes/{node}/qemu/{vmid}/agent/get-osinfo", Need::Agent, agent_osinfo),
    get("/nodes/{node}/lxc/{vmid}/interfaces", AUDIT, container_interfaces),
];

fn index(_: &Call<'_>, _: &World) -> Answer {
    directory(&["config", "status", "snapshot", "firewall", "agent"], "subdir")
}

fn agent_index(_: &Call<'_>, _: &World) -> Answer {
    directory(
        &["get-host-name", "get-osinfo", "network-get-interfaces", "ping", "info"],
        "name",
    )
}

fn list(call: &Call<'_>, world: &World, kind: GuestKind) -> Answer {
    let own = world.guests.values().filter(|guest| call.is_here(guest, kind));
    let rows = own.filter(|guest| call.has_on_guest(world, guest, "VM.Audit"));
    Ok(rows
        .map(|guest| Value::Object(state(call, guest)))
        .collect::<Value>()
        .into())
}

/// What lists and status answers share.
fn state(call: &Call<'_>, guest: &Guest) -> Map<String, Value> {
    let mut row = Map::new();
    statistics(call, guest, &mut row);
    if let Some(cpus) = row.remove("maxcpu") {
        row.insert("cpus".to_owned(), cpus);
    }
    row.insert("vmid".to_owned(), guest.vmid.into());
    row.insert("status".to_owned(), guest.status.as_str().into());
    row.extend(guest.tag_text().map(|tags| ("tags".to_owned(), tags.into())));
    row.extend(guest.lock.clone().map(|lock| ("lock".to_owned(), lock.into())));
    match guest.kind {
        GuestKind::Lxc => {
            row.insert("type".to_owned(), "lxc".into());
            row.insert("maxswap".to_owned(), (512_u64 << 20).into());
            row.insert("swap".to_owned(), 0.into());
        }
        GuestKind::Qemu if guest.template => {
            row.insert("template".to_owned(), 1.into());
        }
        GuestKind::Qemu => {}
    }
    if guest.is_running() {
        row.insert("pid".to_owned(), (1_000 + guest.vmid).into());
    }
    row
}

/// The configuration of a guest as the API tells it.
pub(super) fn config_of(guest: &Guest) -> Map<String, Value> {
    let mut row = Map::new();
    guest.config.write_into(&mut row);
    let mut put = |key: &str, value: Value| row.insert(key.to_owned(), value);
    put("cores", guest.cores.into());
    match guest.kind {
        GuestKind::Qemu => {
            put("name", guest.name.clone().into());
            // A text since qemu-server 8.0.8.
            put("memory", guest.memory_mib.to_string().into());
            put("sockets", guest.sockets.into());
        }
        GuestKind::Lxc => {
            // The name that lists tell, unless the settings say otherwise.
            let hostname = guest.config.text("hostname").unwrap_or(&guest.name);
            put("hostname", hostname.into());
            put("memory", guest.memory_mib.into());
        }
    }
    if guest.template {
        put("template", 1.into());
    }
    if let Some(tags) = guest.tag_text() {
        put("tags", tags.into());
    }
    if let Some(lock) = &guest.lock {
        put("lock", lock.clone().into());
    }
    if let Some(description) = &guest.description {
        // A container's notes always end with a line feed.
        let is_open = guest.kind == GuestKind::Lxc && !description.ends_with('\n');
        put(
            "description",
            format!("{description}{}", if is_open { "\n" } else { "" }).into(),
        );
    }
    if let Some(newest) = guest.snapshots.last() {
        put("parent", newest.name.clone().into());
    }
    let text = Value::Object(row.clone()).to_string();
    row.insert("digest".to_owned(), digest(&text).into());
    row
}

fn config(call: &Call<'_>, world: &World, kind: GuestKind) -> Answer {
    let guest = call.guest(world, kind)?;
    let mut row = config_of(guest);
    if let Some(name) = call.param("snapshot") {
        let snapshot = guest.snapshots.iter().find(|snapshot| snapshot.name == name);
        let snapshot = snapshot.ok_or_else(|| Refusal::new(500, format!("snapshot '{name}' does not exist")))?;
        row.insert("snaptime".to_owned(), snapshot.snaptime.into());
        row.remove("parent");
        row.extend(
            snapshot
                .parent
                .clone()
                .map(|parent| ("parent".to_owned(), parent.into())),
        );
    }
    Ok(Value::Object(row).into())
}

fn status(call: &Call<'_>, world: &World, kind: GuestKind) -> Answer {
    let guest = call.guest(world, kind)?;
    let mut row = state(call, guest);
    row.insert("ha".to_owned(), json!({"managed": 0}));
    if kind == GuestKind::Qemu {
        row.insert("qmpstatus".to_owned(), guest.status.as_str().into());
        if guest.agent.is_configured() {
            row.insert("agent".to_owned(), 1.into());
        }
        if guest.is_running() {
            row.insert("running-machine".to_owned(), "pc-i440fx-9.2+pve1".into());
            row.insert("running-qemu".to_owned(), "9.2.0".into());
        }
    }
    Ok(Value::Object(row).into())
}

fn snapshots(call: &Call<'_>, world: &World, kind: GuestKind) -> Answer {
    let guest = call.guest(world, kind)?;
    let mut rows: Vec<Value> = guest
        .snapshots
        .iter()
        .map(|snapshot| snapshot_row(snapshot, kind))
        .collect();
    let turned = usize::try_from(call.turn).unwrap_or(0) % rows.len().max(1);
    rows.rotate_left(turned);
    let digest = config_of(guest).remove("digest");
    let mut current = json!({
        "name": "current", "description": "You are here!", "running": u8::from(guest.is_running()), "digest": digest,
    });
    if let (Some(newest), Some(members)) = (guest.snapshots.last(), current.as_object_mut()) {
        members.insert("parent".to_owned(), newest.name.clone().into());
    }
    rows.push(current);
    Ok(Value::Array(rows).into())
}

fn snapshot_row(snapshot: &Snapshot, kind: GuestKind) -> Value {
    let mut row = json!({
        "name": snapshot.name, "description": snapshot.description, "snaptime": snapshot.snaptime,
    });
    if let Some(members) = row.as_object_mut() {
        members.extend(
            snapshot
                .parent
                .clone()
                .map(|parent| ("parent".to_owned(), parent.into())),
        );
        if kind == GuestKind::Qemu {
            members.insert("vmstate".to_owned(), u8::from(snapshot.vmstate).into());
        }
    }
    row
}

/// The guest whose agent is asked, or why it cannot be.
fn asked<'a>(call: &Call<'_>, world: &'a World, command: &str) -> Result<&'a Guest, Refusal> {
    let guest = call.guest(world, GuestKind::Qemu)?;
    let vmid = guest.vmid;
    match guest.agent {
        Agent::Absent => Err(Refusal::new(500, "No QEMU guest agent configured")),
        _ if !guest.is_running() => Err(Refusal::new(500, format!("VM {vmid} is not running"))),
        Agent::NotRunning => Err(Refusal::new(500, "QEMU guest agent is not running")),
        Agent::Wedged => Err(Refusal::new(
            500,
            format!("VM {vmid} qmp command 'guest-{command}' failed - got timeout"),
        )),
        Agent::Plain | Agent::Interfaces(_) | Agent::Disabled => Ok(guest),
    }
}

fn disabled(command: &str) -> Answer {
    let about = format!("Command guest-{command} has been disabled");
    Ok(
        json!({"result": {"error": {"class": "CommandNotFound", "desc": about, "error-data": {"name": command}}}})
            .into(),
    )
}

fn agent_interfaces(call: &Call<'_>, world: &World) -> Answer {
    let guest = asked(call, world, "network-get-interfaces")?;
    let rows = match &guest.agent {
        Agent::Disabled => return disabled("network-get-interfaces"),
        Agent::Interfaces(interfaces) => interfaces.iter().map(agent_row).collect::<Value>(),
        Agent::Absent | Agent::NotRunning | Agent::Wedged | Agent::Plain => {
            plain_interfaces(guest).iter().map(agent_row).collect()
        }
    };
    Ok(json!({"result": rows}).into())
}

fn agent_row(interface: &AgentInterface) -> Value {
    let mut row = Map::new();
    row.insert("name".to_owned(), interface.name.clone().into());
    row.extend(
        interface
            .mac
            .clone()
            .map(|mac| ("hardware-address".to_owned(), mac.into())),
    );
    if let Some(addresses) = &interface.addresses {
        let addresses = addresses.iter().map(|(address, prefix)| {
            let kind = if address.contains(':') { "ipv6" } else { "ipv4" };
            json!({"ip-address": address, "ip-address-type": kind, "prefix": prefix})
        });
        row.insert("ip-addresses".to_owned(), addresses.collect());
        row.insert(
            "statistics".to_owned(),
            json!({
                "rx-bytes": 163_244, "rx-packets": 1_623, "rx-errs": 0, "rx-dropped": 0,
                "tx-bytes": 163_244, "tx-packets": 1_623, "tx-errs": 0, "tx-dropped": 0,
            }),
        );
    }
    Value::Object(row)
}

fn agent_host_name(call: &Call<'_>, world: &World) -> Answer {
    let guest = asked(call, world, "get-host-name")?;
    if guest.agent == Agent::Disabled {
        return disabled("get-host-name");
    }
    let name: String = guest.name.chars().take(60).collect();
    Ok(json!({"result": {"host-name": name.to_lowercase()}}).into())
}

fn agent_osinfo(call: &Call<'_>, world: &World) -> Answer {
    let guest = asked(call, world, "get-osinfo")?;
    let is_windows = guest.config.text("ostype").is_some_and(|os| os.starts_with("win"));
    if guest.agent == Agent::Disabled {
        return disabled("get-osinfo");
    }
    let result = if is_windows {
        json!({
            "id": "mswindows", "name": "Microsoft Windows", "pretty-name": "Windows Server 2022 Standard",
            "version": "Microsoft Windows Server 2022", "version-id": "2022", "variant": "server", "variant-id": "server",
            "machine": "x86_64", "kernel-release": "20348", "kernel-version": "10.0",
        })
    } else {
        json!({
            "id": "debian", "name": "Debian GNU/Linux", "pretty-name": "Debian GNU/Linux 12 (bookworm)",
            "version": "12 (bookworm)", "version-id": "12", "machine": "x86_64", "kernel-release": "6.1.0-32-amd64",
            "kernel-version": "#1 SMP PREEMPT_DYNAMIC Debian 6.1.129-1 (2025-03-06)",
        })
    };
    Ok(json!({"result": result}).into())
}

fn container_interfaces(call: &Call<'_>, world: &World) -> Answer {
    let guest = call.guest(world, GuestKind::Lxc)?;
    if !guest.is_running() {
        return Ok(Value::Null.into());
    }
    let loopback = (
        "lo",
        "00:00:00:00:00:00".to_owned(),
        vec!["127.0.0.1/8".to_owned(), "::1/128".to_owned()],
    );
    let mut rows = vec![container_row(call, loopback.0, &loopback.1, &loopback.2)];
    for index in 0..8 {
        let Some(net) = guest.config.text(&format!("net{index}")) else {
            break;
        };
        let mac = guest.mac(index).unwrap_or_default().to_lowercase();
        let mut addresses: Vec<String> = ["ip", "ip6"]
            .iter()
            .filter_map(|key| property(net, key))
            .filter(|ip| ip.contains('/'))
            .map(ToOwned::to_owned)
            .collect();
        if property(net, "ip") == Some("dhcp") {
            addresses.insert(0, format!("10.61.{}.{}/16", guest.vmid / 250, guest.vmid % 250 + 1));
        }
        addresses.push(format!("fe80::be24:11ff:fe00:{:x}/64", guest.vmid));
        rows.push(container_row(
            call,
            property(net, "name").unwrap_or("eth0"),
            &mac,
            &addresses,
        ));
    }
    Ok(Value::Array(rows).into())
}

fn container_row(call: &Call<'_>, name: &str, mac: &str, addresses: &[String]) -> Value {
    let mut row = Map::new();
    row.insert("name".to_owned(), name.into());
    row.insert("hwaddr".to_owned(), mac.into());
    let mut list = Vec::new();
    for address in addresses {
        let (ip, prefix) = address.rsplit_once('/').unwrap_or((address, "32"));
        let kind = if ip.contains(':') { "inet6" } else { "inet" };
        row.insert(kind.to_owned(), address.clone().into());
        list.push(json!({"ip-address": ip, "ip-address-type": kind, "prefix": prefix.parse::<u8>().unwrap_or(0)}));
    }
    if call.options.release.is_9() {
        row.insert("hardware-address".to_owned(), mac.into());
        row.insert("ip-addresses".to_owned(), list.into());
    }
    Value::Object(row)
}
