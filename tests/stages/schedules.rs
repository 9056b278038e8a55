//! The stages `replications` and `backup-routines`, from a Proxmox to a NetBox.

use proxbox_api::netbox::standin::{Fault, FaultRule, StandinOptions};
use proxbox_api::proxmox::mock::World;
use proxbox_api::stages::Stage;
use serde_json::{Value, json};

use crate::harness::{Bench, warnings};

const REPLICATIONS: &str = "plugins/proxbox/replications";
const ROUTINES: &str = "plugins/proxbox/backup-routines";

/// Both sides, with the virtual machines, the storages and the jobs in place.
async fn bench() -> Bench {
    let bench = Bench::with(World::estate(3, 40), StandinOptions::default()).await;
    for stage in [
        Stage::Devices,
        Stage::Storage,
        Stage::VirtualMachines,
        Stage::Replications,
        Stage::BackupRoutines,
    ] {
        bench.stage(stage).await;
    }
    bench
}

fn row(bench: &Bench, path: &str, key: &str, value: &str) -> Value {
    let rows = bench.netbox.rows(path);
    rows.into_iter().find(|row| row[key] == value).unwrap()
}

fn statuses(bench: &Bench, path: &str) -> Vec<String> {
    let rows = bench.netbox.rows(path);
    rows.iter()
        .map(|row| row["status"]["value"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn every_job_gets_its_row_and_a_second_run_writes_nothing() {
    let bench = bench().await;
    assert_eq!((bench.netbox.count(REPLICATIONS), bench.netbox.count(ROUTINES)), (5, 4));
    let replication = row(&bench, REPLICATIONS, "replication_id", "138-0");
    assert_eq!(replication["virtual_machine"]["id"], bench.machine_of(138)["id"]);
    assert_eq!(
        (
            &replication["proxmox_node"]["name"],
            &replication["rate"],
            &replication["schedule"]
        ),
        (&json!("pve1"), &json!(12.5), &json!("mon..fri 22:30"))
    );
    let all = row(&bench, ROUTINES, "job_id", "backup-all-0001");
    assert_eq!(
        (
            &all["selection"],
            &all["storage"]["name"],
            &all["keep_daily"],
            &all["repeat_missed"]
        ),
        (
            &json!(["all", "exclude:100"]),
            &json!("nas-backups"),
            &json!(7),
            &json!(false)
        )
    );
    assert!(all["next_run"].is_string(), "{all:#}");
    let pool = row(&bench, ROUTINES, "job_id", "backup-pool-0002");
    assert_eq!(
        (&pool["selection"], &pool["fleecing_storage"]["name"]),
        (&json!(["pool:production"]), &json!("local-lvm"))
    );
    let list = row(&bench, ROUTINES, "job_id", "backup-list-0003");
    assert_eq!(
        (
            &list["selection"],
            &list["node"]["name"],
            &list["keep_all"],
            &list["enabled"]
        ),
        (&json!([100, 101, 102]), &json!("pve1"), &json!(true), &json!(false))
    );
    for stage in [Stage::Replications, Stage::BackupRoutines] {
        for pause in [false, true] {
            if pause {
                bench.forget();
            }
            bench.take_writes();
            let report = bench.stage(stage).await;
            assert_eq!(bench.take_writes(), Vec::<String>::new());
            assert_eq!(report.counts().failed + report.counts().skipped, 0);
        }
    }
}

#[tokio::test]
async fn jobs_that_are_gone_are_marked_even_when_they_were_the_last_and_come_back() {
    let bench = bench().await;
    let (replications, routines) = bench.proxmox.world().change(|world| {
        (
            std::mem::take(&mut world.replications),
            std::mem::take(&mut world.backup_jobs),
        )
    });
    bench.forget();
    bench.stage(Stage::Replications).await;
    bench.stage(Stage::BackupRoutines).await;
    assert_eq!(statuses(&bench, REPLICATIONS), ["stale"; 5]);
    assert_eq!(statuses(&bench, ROUTINES), ["stale"; 4]);
    bench.proxmox.world().change(|world| {
        (world.replications, world.backup_jobs) = (replications, routines);
    });
    bench.forget();
    bench.stage(Stage::Replications).await;
    bench.stage(Stage::BackupRoutines).await;
    assert_eq!(statuses(&bench, REPLICATIONS), ["active"; 5]);
    assert_eq!(statuses(&bench, ROUTINES), ["active"; 4]);
}

#[tokio::test]
async fn jobs_that_cannot_be_read_mark_nothing() {
    let bench = bench().await;
    bench.proxmox.faults().fail("/cluster/replication", 500, "out of order");
    bench
        .proxmox
        .faults()
        .fail("/cluster/backup", 403, "Permission check failed (/, Sys.Audit)");
    bench.forget();
    bench.take_writes();
    let report = bench.stage(Stage::Replications).await;
    assert!(warnings(&report).contains("out of order"), "{}", warnings(&report));
    let report = bench.stage(Stage::BackupRoutines).await;
    assert!(warnings(&report).contains("Sys.Audit"), "{}", warnings(&report));
    assert_eq!(bench.take_writes(), Vec::<String>::new());
    assert_eq!(statuses(&bench, REPLICATIONS), ["active"; 5]);
    assert_eq!(statuses(&bench, ROUTINES), ["active"; 4]);
}

#[tokio::test]
async fn rows_of_another_endpoint_are_left_alone() {
    let bench = bench().await;
    let other = json!({"name": "other", "domain": "pve.example.net", "mode": "cluster", "port": 8006});
    let other = bench.netbox.seed("plugins/proxbox/endpoints/proxmox", &other).unwrap();
    let routine = json!({
        "endpoint": other, "job_id": "backup-theirs", "schedule": "21:00", "selection": ["all"], "status": "active"
    });
    bench.netbox.seed(ROUTINES, &routine).unwrap();
    bench.forget();
    bench.take_writes();
    bench.stage(Stage::BackupRoutines).await;
    assert_eq!(bench.take_writes(), Vec::<String>::new());
}

#[tokio::test]
async fn refused_job_is_named_and_the_others_are_written() {
    let bench = Bench::with(World::estate(2, 4), StandinOptions::default()).await;
    bench.stage(Stage::Devices).await;
    bench.proxmox.world().change(|world| {
        let nobody = json!({"id": "backup-nobody", "type": "vzdump", "enabled": 1, "schedule": "21:00"});
        world.backup_jobs.push(nobody.as_object().unwrap().clone());
    });
    let report = bench.stage(Stage::BackupRoutines).await;
    assert_eq!((report.counts().created, report.counts().failed), (4, 1));
    let warnings = warnings(&report);
    assert!(warnings.contains("backup-nobody"), "{warnings}");
}

#[tokio::test]
async fn lists_that_netbox_does_not_show_cost_what_hangs_on_them_alone() {
    let bench = bench().await;
    let nodes = "plugins/proxbox/proxmox-nodes";
    let storages = "plugins/proxbox/storage";
    let (replications, routines) = (
        (Stage::Replications, REPLICATIONS, "replication_id"),
        (Stage::BackupRoutines, ROUTINES, "job_id"),
    );
    for (path, (stage, rows, key), relations) in [
        (nodes, replications, &["proxmox_node"][..]),
        (nodes, routines, &["node"]),
        (storages, routines, &["storage", "fleecing_storage"]),
    ] {
        for status in [403, 500] {
            let case = format!("{path} {status} {}", stage.as_str());
            let before = bench.netbox.rows(rows);
            let (lost, edited) = before.split_first().unwrap();
            bench.netbox.remove(rows, lost["id"].as_u64().unwrap()).unwrap();
            for row in edited {
                let comment = json!({"comment": "edited"});
                bench
                    .netbox
                    .change(rows, row["id"].as_u64().unwrap(), &comment)
                    .unwrap();
            }
            bench.forget();
            let rule = FaultRule::on(path, Fault::Status(status)).method("GET");
            bench.netbox.faults().add(rule);
            let report = bench.stage(stage).await;
            let counts = report.counts();
            assert_eq!(
                (counts.created, counts.updated, counts.failed),
                (1, edited.len(), 0),
                "{case}"
            );
            let told = warnings(&report);
            assert!(told.contains(path) && told.lines().count() == 1, "{case}: {told}");
            let after = bench.netbox.rows(rows);
            for (before, after) in edited.iter().zip(&after) {
                assert_eq!(before["comment"], after["comment"], "{case}");
                for relation in relations {
                    assert_eq!(before[relation], after[relation], "{case} {relation}");
                }
            }
            // What was made meanwhile is completed once the list is shown again.
            bench.netbox.faults().clear();
            bench.forget();
            let report = bench.stage(stage).await;
            assert_eq!(
                (report.counts().failed, warnings(&report)),
                (0, String::new()),
                "{case}"
            );
            let made = row(&bench, rows, key, lost[key].as_str().unwrap());
            for relation in relations {
                assert_eq!(made[relation], lost[relation], "{case} {relation}");
            }
        }
    }
}
