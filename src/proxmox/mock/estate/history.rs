//! What has happened: snapshots, backups and tasks.

use super::super::world::{Backup, EPOCH, Guest, GuestKind, ServerBackup, Snapshot, Task, World};
use super::{mix, pick};

const DAY: i64 = 86_400;

/// Adds snapshots to some guests, backups of most, and some tasks per guest and node.
pub(super) fn add(world: &mut World) {
    let mut tasks = Vec::new();
    let mut backups = Vec::new();
    for guest in world.guests.values_mut() {
        add_snapshots(guest);
        add_backups(guest, &mut backups);
        add_guest_tasks(guest, &mut tasks);
    }
    for node in &world.nodes {
        add_node_tasks(&node.name, node.id, &mut tasks);
    }
    // A backup of a guest that is gone.
    backups.push(file_backup(99, GuestKind::Qemu, EPOCH - 40 * DAY));
    tasks.sort_by_key(|task| task.starts);
    world.tasks = tasks;
    world.backups = backups;
}

fn add_snapshots(guest: &mut Guest) {
    let count = match guest.vmid % 6 {
        1 => 1,
        3 => 2,
        5 => 3,
        _ => 0,
    };
    let mut parent = None;
    for index in 0..count {
        let name = match index {
            0 => "before-upgrade".to_owned(),
            1 => "after_upgrade".to_owned(),
            _ => format!("autodaily{index}"),
        };
        guest.snapshots.push(Snapshot {
            name: name.clone(),
            description: if index == 1 {
                "kernel 6.8\nroll back when slow".to_owned()
            } else {
                String::new()
            },
            snaptime: EPOCH - (9 - index) * DAY - i64::from(guest.vmid),
            parent: parent.replace(name),
            vmstate: index == 2 && guest.kind == GuestKind::Qemu,
        });
    }
}

fn add_backups(guest: &Guest, backups: &mut Vec<Backup>) {
    if guest.vmid % 5 == 4 {
        return;
    }
    for day in 1..=2 {
        let at = EPOCH - day * DAY + 10_800 + i64::from(guest.vmid);
        let mut backup = file_backup(guest.vmid, guest.kind, at);
        backup.notes = guest
            .vmid
            .is_multiple_of(2)
            .then(|| format!("{}, {}", guest.name, guest.vmid));
        backup.protected = guest.vmid.is_multiple_of(11);
        backups.push(backup);
    }
    if guest.vmid.is_multiple_of(3) {
        backups.push(Backup {
            storage: "pbs-main".to_owned(),
            server: Some(ServerBackup {
                namespace: String::new(),
                verification: match guest.vmid % 4 {
                    0 => Some("ok".to_owned()),
                    1 => Some("failed".to_owned()),
                    _ => None,
                },
                encrypted: guest
                    .vmid
                    .is_multiple_of(9)
                    .then(|| "1a:2b:3c:4d:5e:6f:70:81".to_owned()),
            }),
            ..file_backup(guest.vmid, guest.kind, EPOCH - DAY + 14_400 + i64::from(guest.vmid))
        });
    }
    if guest.vmid.is_multiple_of(17) {
        backups.push(Backup {
            storage: "local".to_owned(),
            node: Some(guest.node.clone()),
            ..file_backup(guest.vmid, guest.kind, EPOCH - 5 * DAY + i64::from(guest.vmid))
        });
    }
}

fn file_backup(vmid: u32, kind: GuestKind, ctime: i64) -> Backup {
    Backup {
        storage: "nas-backups".to_owned(),
        node: None,
        vmid,
        kind,
        ctime,
        size: (1 << 28) + mix(u64::from(vmid), ctime.unsigned_abs()) % (1 << 34),
        notes: None,
        protected: false,
        server: None,
    }
}

fn add_guest_tasks(guest: &Guest, tasks: &mut Vec<Task>) {
    let is_machine = guest.kind == GuestKind::Qemu;
    let (start, migrate, snapshot) = if is_machine {
        ("qmstart", "qmigrate", "qmsnapshot")
    } else {
        ("vzstart", "vzmigrate", "vzsnapshot")
    };
    let id = guest.vmid.to_string();
    let mut push = |kind: &'static str, age: i64, seconds: i64, outcome: &'static str, user: &'static str| {
        let mut task = task(&guest.node, kind, &id, EPOCH - age - i64::from(guest.vmid));
        task.ends = Some(task.starts + seconds);
        (task.outcome, task.user) = (outcome.into(), user.into());
        tasks.push(task);
    };
    push(start, 3 * DAY, 4, "OK", "root@pam");
    match guest.vmid % 6 {
        0 => push(migrate, 2 * DAY, 61, "migration aborted", "root@pam"),
        1 => push("vzdump", DAY, 433, "OK", "root@pam"),
        2 => push("vzdump", DAY, 521, "WARNINGS: 2", "root@pam"),
        3 => push(snapshot, DAY / 2, 2, "OK", "root@pam!netbox"),
        4 => push("vzdump", DAY / 3, 12, "job errors", "root@pam"),
        _ => push(migrate, 2 * DAY, 93, "OK", "auditor@pve"),
    }
    if guest.vmid == 105 {
        tasks.push(Task {
            ends: None,
            ..task(&guest.node, "vzdump", &id, EPOCH - 300)
        });
    }
}

fn add_node_tasks(node: &str, number: u32, tasks: &mut Vec<Task>) {
    for day in 0..3 {
        for (kind, id, outcome) in [
            ("aptupdate", "", "OK"),
            ("vzdump", "", if day == 1 { "WARNINGS: 1" } else { "OK" }),
            (
                "srvreload",
                "networking",
                pick(
                    &["OK", "command 'ifreload -a' failed: exit code 1"],
                    day,
                    u64::from(number),
                    "OK",
                ),
            ),
            ("imgdel", "100@local", "unexpected status"),
        ] {
            let at = EPOCH - i64::try_from(day).unwrap_or(0) * DAY - 7_200 - i64::from(number);
            let mut task = task(node, kind, id, at);
            task.ends = Some(at + 3);
            task.outcome = outcome.into();
            tasks.push(task);
        }
    }
}

fn task(node: &str, kind: &'static str, id: &str, starts: i64) -> Task {
    let seed = mix(
        starts.unsigned_abs(),
        u64::try_from(id.len() + kind.len() + node.len()).unwrap_or(0),
    );
    Task {
        node: node.into(),
        pid: 1_000 + u32::try_from(seed % 4_000_000).unwrap_or(0),
        pstart: u32::try_from(seed >> 36).unwrap_or(0),
        starts,
        ends: Some(starts),
        kind: kind.into(),
        id: id.into(),
        user: "root@pam".into(),
        outcome: "OK".into(),
    }
}
