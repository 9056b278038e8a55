//! Firewall of the cluster, of nodes and of guests.

use serde_json::{Value, json};

use super::super::wire::Refusal;
use super::super::world::{GuestKind, Row, World};
use super::{Answer, Call, Need, Route, digest, directory, get};

const AUDIT: Need = Need::Right("/", "Sys.Audit");
const NODE: Need = Need::Right("/nodes/{node}", "Sys.Audit");
const GUEST: Need = Need::Right("/vms/{vmid}", "VM.Audit");

pub(super) const ROUTES: &[Route] = &[
    get("/cluster/firewall/options", AUDIT, options),
    get("/cluster/firewall/rules", AUDIT, rules),
    get("/cluster/firewall/groups", Need::Open, groups),
    get("/cluster/firewall/groups/{group}", AUDIT, group),
    get("/cluster/firewall/ipset", AUDIT, ipsets),
    get("/cluster/firewall/ipset/{name}", AUDIT, ipset),
    get("/cluster/firewall/aliases", AUDIT, aliases),
    get("/nodes/{node}/firewall/options", NODE, node_options),
    get("/nodes/{node}/firewall/rules", NODE, node_rules),
    get("/nodes/{node}/qemu/{vmid}/firewall", GUEST, guest_index),
    get("/nodes/{node}/qemu/{vmid}/firewall/options", GUEST, qemu_options),
    get("/nodes/{node}/qemu/{vmid}/firewall/rules", GUEST, qemu_rules),
    get("/nodes/{node}/qemu/{vmid}/firewall/ipset", GUEST, nothing),
    get("/nodes/{node}/qemu/{vmid}/firewall/aliases", GUEST, nothing),
    get("/nodes/{node}/lxc/{vmid}/firewall", GUEST, guest_index),
    get("/nodes/{node}/lxc/{vmid}/firewall/options", GUEST, lxc_options),
    get("/nodes/{node}/lxc/{vmid}/firewall/rules", GUEST, lxc_rules),
    get("/nodes/{node}/lxc/{vmid}/firewall/ipset", GUEST, nothing),
    get("/nodes/{node}/lxc/{vmid}/firewall/aliases", GUEST, nothing),
];

fn with_digest(rows: &[Row]) -> Answer {
    let rows = rows.iter().cloned().map(|mut row| {
        row.insert("digest".to_owned(), digest("firewall").into());
        Value::Object(row)
    });
    Ok(rows.collect::<Value>().into())
}

fn guest_index(_: &Call<'_>, _: &World) -> Answer {
    directory(&["aliases", "ipset", "log", "options", "refs", "rules"], "name")
}

fn nothing(_: &Call<'_>, _: &World) -> Answer {
    Ok(json!([]).into())
}

fn options(_: &Call<'_>, world: &World) -> Answer {
    let mut options = world.firewall.options.clone();
    options.insert("digest".to_owned(), digest("firewall").into());
    Ok(Value::Object(options).into())
}

fn rules(_: &Call<'_>, world: &World) -> Answer {
    with_digest(&world.firewall.rules)
}

fn groups(_: &Call<'_>, world: &World) -> Answer {
    let rows = world.firewall.groups.iter();
    Ok(rows
        .map(|(name, comment, _)| json!({"group": name, "comment": comment, "digest": digest("firewall")}))
        .collect::<Value>()
        .into())
}

fn group(call: &Call<'_>, world: &World) -> Answer {
    let name = call.variable("group");
    let found = world.firewall.groups.iter().find(|(own, ..)| own == name);
    let (.., rows) = found.ok_or_else(|| Refusal::new(500, format!("no such security group '{name}'")))?;
    with_digest(rows)
}

fn ipsets(_: &Call<'_>, world: &World) -> Answer {
    let rows = world.firewall.ipsets.iter();
    Ok(rows
        .map(|(name, comment, _)| json!({"name": name, "comment": comment, "digest": digest("firewall")}))
        .collect::<Value>()
        .into())
}

fn ipset(call: &Call<'_>, world: &World) -> Answer {
    let name = call.variable("name");
    let found = world.firewall.ipsets.iter().find(|(own, ..)| own == name);
    let (.., rows) = found.ok_or_else(|| Refusal::new(500, format!("no such IPSet '{name}'")))?;
    with_digest(rows)
}

fn aliases(_: &Call<'_>, world: &World) -> Answer {
    with_digest(&world.firewall.aliases)
}

fn node_options(_: &Call<'_>, _: &World) -> Answer {
    Ok(json!({"enable": 1, "log_level_in": "nolog", "digest": digest("firewall")}).into())
}

fn node_rules(call: &Call<'_>, world: &World) -> Answer {
    let rules = world.firewall.node_rules.get(call.variable("node"));
    with_digest(rules.map(Vec::as_slice).unwrap_or_default())
}

fn qemu_options(call: &Call<'_>, world: &World) -> Answer {
    guest_options(call, world, GuestKind::Qemu)
}

fn lxc_options(call: &Call<'_>, world: &World) -> Answer {
    guest_options(call, world, GuestKind::Lxc)
}

fn guest_options(call: &Call<'_>, world: &World, kind: GuestKind) -> Answer {
    let guest = call.guest(world, kind)?;
    let enable = u8::from(world.firewall.guest_rules.contains_key(&guest.vmid));
    Ok(json!({"enable": enable, "policy_in": "DROP", "digest": digest("firewall")}).into())
}

fn qemu_rules(call: &Call<'_>, world: &World) -> Answer {
    guest_rules(call, world, GuestKind::Qemu)
}

fn lxc_rules(call: &Call<'_>, world: &World) -> Answer {
    guest_rules(call, world, GuestKind::Lxc)
}

fn guest_rules(call: &Call<'_>, world: &World, kind: GuestKind) -> Answer {
    let guest = call.guest(world, kind)?;
    with_digest(
        world
            .firewall
            .guest_rules
            .get(&guest.vmid)
            .map(Vec::as_slice)
            .unwrap_or_default(),
    )
}
