//! Replication jobs and backup jobs of every form.

use serde_json::{Value, json};

use super::super::world::{EPOCH, Replication, World};

/// Adds replications of some machines (in a cluster), backup jobs of every selection form, and HA resources.
pub(super) fn add(world: &mut World) {
    if world.nodes.len() > 1 {
        world.replications = replications(world);
    }
    let members: Vec<u32> = world.guests.keys().copied().take(3).collect();
    world.backup_jobs = backup_jobs(&members)
        .into_iter()
        .filter_map(|job| job.as_object().cloned())
        .collect();
}

fn replications(world: &World) -> Vec<Replication> {
    let mut jobs = Vec::new();
    for (number, guest) in world
        .guests
        .values()
        .filter(|guest| !guest.template && guest.vmid % 8 == 2)
        .enumerate()
    {
        let other = world
            .nodes
            .iter()
            .filter(|node| node.name != guest.node)
            .nth(number % (world.nodes.len() - 1));
        let Some(target) = other.map(|node| node.name.as_str()) else {
            continue;
        };
        let mut job = Replication::new(guest.vmid, 0, target, EPOCH - 600);
        match number % 5 {
            1 => (job.last_sync, job.last_try, job.duration) = (0, 0, None),
            2 => {
                job.fail_count = 4;
                job.last_try = EPOCH - 100;
                job.next_sync = 0;
                job.error = Some(format!(
                    "command 'pvesr prepare-local-job {}' failed: exit code 255\n",
                    job.id()
                ));
            }
            3 => (job.disabled, job.comment) = (true, Some("until the new disks are in".to_owned())),
            4 => (job.rate, job.schedule) = (Some(12.5), "mon..fri 22:30".to_owned()),
            _ => {}
        }
        jobs.push(job);
    }
    jobs
}

fn backup_jobs(members: &[u32]) -> Vec<Value> {
    let list = members.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
    let excluded = members.first().map(u32::to_string).unwrap_or_default();
    vec![
        json!({
            "id": "backup-all-0001", "type": "vzdump", "enabled": 1, "all": 1, "exclude": excluded,
            "storage": "nas-backups", "schedule": "02:00", "mode": "snapshot", "compress": "zstd",
            "prune-backups": {"keep-daily": "7", "keep-last": "3", "keep-weekly": "4"},
            "notes-template": "{{cluster}}, {{guestname}}, {{node}}, {{vmid}}", "repeat-missed": 0,
            "comment": "everything, nightly", "next-run": EPOCH + 7_200,
        }),
        json!({
            "id": "backup-pool-0002", "type": "vzdump", "enabled": 1, "pool": "production", "storage": "pbs-main",
            "schedule": "*/6:00", "mode": "snapshot", "fleecing": {"enabled": "1", "storage": "local-lvm"},
            "pbs-change-detection-mode": "metadata", "next-run": EPOCH + 21_600,
            "notes-template": "{{guestname}}",
        }),
        json!({
            "id": "backup-list-0003", "type": "vzdump", "enabled": 0, "vmid": list, "storage": "nas-backups",
            "schedule": "sat 15:00", "mode": "stop", "bwlimit": 51_200, "zstd": 4, "performance": {"max-workers": "8"},
            "prune-backups": {"keep-all": "1"}, "mailnotification": "failure", "node": "pve1",
        }),
        json!({
            "id": "6e3db65d0e925f0314fbbdadf9c8808801be0c85:2", "type": "vzdump", "enabled": 1, "all": 1,
            "storage": "local", "schedule": "fri 09:00", "mode": "suspend", "quiet": 1, "next-run": EPOCH + 180_000,
        }),
    ]
}
