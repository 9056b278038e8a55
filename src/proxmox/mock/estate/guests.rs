//! Which guests an estate has: kinds, names, nodes, tags and notes.

use super::super::world::{EPOCH, Guest, GuestKind, GuestStatus, Pool, World};
use super::{containers, mix, pick, virtual_machines};

const PURPOSES: &[&str] = &[
    "web", "app", "db", "cache", "mail", "dns", "git", "ci", "metrics", "proxy", "ldap", "files", "queue", "search",
];
const TAGS: &[&str] = &[
    "web",
    "database",
    "backup-daily",
    "Critical",
    "linux",
    "team_a",
    "k8s",
    "dmz",
];
const FIRST_VMID: u32 = 100;
/// A name of 78 characters: longer than what NetBox takes for a name.
const LONG_NAME: &str = "a-very-long-guest-name-that-somebody-generated-from-a-ticket-number-0000012345";

/// Adds `count` guests and the pools they are in.
pub(super) fn add(world: &mut World, count: usize) {
    let nodes: Vec<String> = world.nodes.iter().map(|node| node.name.clone()).collect();
    for (number, node) in (0..u32::try_from(count).unwrap_or(u32::MAX)).zip(nodes.iter().cycle()) {
        world.add_guest(guest(number, node));
    }
    let pool = |id: &str, comment: Option<&str>, storages: &[&str]| Pool {
        id: id.to_owned(),
        comment: comment.map(ToOwned::to_owned),
        storages: storages.iter().map(ToString::to_string).collect(),
    };
    world.pools = vec![
        pool("production", Some("what customers see"), &["nas-backups"]),
        pool("lab", None, &[]),
    ];
}

fn guest(number: u32, node: &str) -> Guest {
    let vmid = FIRST_VMID + number;
    let seed = u64::from(vmid);
    let is_template = number % 20 == 19;
    // Three in ten are containers; templates are always machines.
    let kind = if matches!(number % 10, 3 | 6 | 9) && !is_template {
        GuestKind::Lxc
    } else {
        GuestKind::Qemu
    };
    let mut guest = Guest::new(kind, vmid, &name(number, is_template), node);
    guest.template = is_template;
    guest.cores = pick(&[1, 2, 2, 4, 4, 8], seed, 1, 2);
    guest.memory_mib = pick(&[512, 1_024, 2_048, 4_096, 8_192, 16_384], seed, 2, 2_048);
    if !is_template && !mix(seed, 3).is_multiple_of(5) {
        guest.status = GuestStatus::Running;
        guest.started_at = EPOCH - 3_600 - i64::try_from(mix(seed, 4) % 900_000).unwrap_or(0);
    }
    guest.tags = tags(number);
    guest.tag_separator = if number == 14 { ',' } else { ';' };
    guest.description = description(number);
    guest.pool = match number % 7 {
        0 => Some("production".to_owned()),
        1 => Some("lab".to_owned()),
        _ => None,
    };
    match kind {
        GuestKind::Qemu => virtual_machines::configure(&mut guest, number),
        GuestKind::Lxc => containers::configure(&mut guest, number),
    }
    guest
}

fn name(number: u32, is_template: bool) -> String {
    match number {
        7 => "4711".to_owned(),
        12 => LONG_NAME.to_owned(),
        // Two guests called alike, and a third that differs only in its case.
        17 | 23 => "web".to_owned(),
        31 => "WEB".to_owned(),
        _ if is_template => format!("template-debian-{}", 11 + number / 20),
        _ => format!(
            "{}-{:03}",
            pick(PURPOSES, u64::from(number), 5, "app"),
            FIRST_VMID + number
        ),
    }
}

fn tags(number: u32) -> Vec<String> {
    let seed = u64::from(number);
    let mut tags = Vec::new();
    if number.is_multiple_of(3) {
        tags.push("prod".to_owned());
    }
    for salt in 0..number % 3 {
        let tag = pick(TAGS, seed, 10 + u64::from(salt), "linux").to_owned();
        if !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    tags
}

fn description(number: u32) -> Option<String> {
    match number % 8 {
        0 => Some("Primary shop server\nOwner: data team".to_owned()),
        2 => Some(" Ümlaut and a leading blank: größer\n\nsecond paragraph\n".to_owned()),
        4 => Some(format!(
            "Managed by hand\n\n```netbox-metadata\n{{\"role\": {}, \"tenant\": 3}}\n```\n",
            1 + number % 3
        )),
        5 => Some("x".repeat(230)),
        _ => None,
    }
}
