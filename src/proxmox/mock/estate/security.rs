//! High availability, firewall and processor models.

use serde_json::{Value, json};

use super::super::world::{GuestKind, Row, World};

/// Adds HA resources for every tenth guest (in a cluster), firewall rules on every level, and one processor model.
pub(super) fn add(world: &mut World) {
    if world.nodes.len() > 1 {
        add_high_availability(world);
    }
    let firewall = &mut world.firewall;
    firewall.options = row(json!({
        "enable": 1, "policy_in": "DROP", "policy_out": "ACCEPT", "log_ratelimit": "enable=1,burst=5,rate=1/second",
    }));
    firewall.rules = rows(json!([
        {"pos": 0, "type": "group", "action": "web", "enable": 1},
        {"pos": 1, "type": "in", "action": "ACCEPT", "enable": 1, "source": "+management", "macro": "SSH", "log": "nolog"},
        {"pos": 2, "type": "in", "action": "DROP", "enable": 0, "proto": "icmp", "icmp-type": "echo-request", "comment": "off\n"},
    ]));
    let web = rows(json!([
        {"pos": 0, "type": "in", "action": "ACCEPT", "enable": 1, "proto": "tcp", "dport": "80,443"},
    ]));
    firewall.groups = vec![("web".to_owned(), "public web".to_owned(), web)];
    let management =
        rows(json!([{"cidr": "10.10.0.0/16"}, {"cidr": "10.10.9.9", "nomatch": 1, "comment": "not this"}]));
    firewall.ipsets = vec![("management".to_owned(), "administrators".to_owned(), management)];
    firewall.aliases = rows(json!([{"name": "gateway", "cidr": "10.10.255.254", "ipversion": 4, "comment": "core"}]));
    let own =
        rows(json!([{"pos": 0, "type": "in", "action": "ACCEPT", "enable": 1, "iface": "vmbr1", "macro": "Ceph"}]));
    if let Some(node) = world.nodes.first() {
        firewall.node_rules.insert(node.name.clone(), own);
    }
    for vmid in world.guests.keys().filter(|vmid| **vmid % 12 == 4) {
        let rules = json!([{"pos": 0, "type": "group", "action": "web", "enable": 1, "iface": "net0"}]);
        firewall.guest_rules.insert(*vmid, rows(rules));
    }
    world.cpu_models = rows(json!([{
        "cputype": "custom-lab-cpu", "reported-model": "Skylake-Server", "flags": "+aes;+avx;-pcid", "hidden": 0,
        "phys-bits": "host",
    }]));
}

fn add_high_availability(world: &mut World) {
    let members: Vec<String> = world
        .guests
        .values()
        .filter(|guest| guest.vmid % 10 == 1 && !guest.template)
        .map(|guest| match guest.kind {
            GuestKind::Qemu => format!("vm:{}", guest.vmid),
            GuestKind::Lxc => format!("ct:{}", guest.vmid),
        })
        .collect();
    for sid in &members {
        let kind = sid.split(':').next().unwrap_or_default();
        world.ha.resources.push(row(json!({
            "sid": sid, "type": kind, "state": "started", "max_restart": 1, "max_relocate": 1, "failback": 1,
        })));
    }
    let [Some(first), Some(second)] = [members.first(), members.get(1)] else {
        return;
    };
    world.ha.rules = rows(json!([
        {"rule": "prefer-pve1", "type": "node-affinity", "order": 1, "nodes": "pve1:2,pve2:1", "resources": first, "strict": 0},
        {"rule": "keep-apart", "type": "resource-affinity", "order": 2, "affinity": "negative", "resources": format!("{first},{second}")},
    ]));
    world.ha.groups = rows(json!([
        {"group": "prefer_pve1", "type": "group", "nodes": "pve1:2,pve2", "nofailback": 1, "comment": "first"},
    ]));
}

fn row(value: Value) -> Row {
    if let Value::Object(row) = value {
        row
    } else {
        Row::new()
    }
}

fn rows(value: Value) -> Vec<Row> {
    if let Value::Array(rows) = value {
        rows.into_iter().map(row).collect()
    } else {
        Vec::new()
    }
}
