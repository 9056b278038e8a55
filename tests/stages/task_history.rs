//! Stage `task-history`.

use proxbox_api::netbox::standin::{Fault, FaultRule};
use proxbox_api::proxmox::mock::World;
use proxbox_api::stages::Stage;
use serde_json::json;

use crate::clusters::{Estate, rows_where};

const TASKS: &str = "/api/plugins/proxbox/task-history/";

async fn bench() -> Estate {
    let bench = Estate::start(vec![World::estate(3, 12)]).await;
    bench.add_machines(0);
    bench
}

/// How many finished tasks of guests the cluster tells of.
fn tasks_of_guests(bench: &Estate) -> usize {
    let world = bench.clusters[0].proxmox.world();
    world.read(|world| {
        let is_guests = |id: &str| id.parse().is_ok_and(|vmid: u32| world.guests.contains_key(&vmid));
        let tasks = world.tasks.iter().filter(|task| task.ends.is_some());
        tasks.filter(|task| is_guests(&task.id)).count()
    })
}

#[tokio::test]
async fn every_finished_task_of_a_guest_is_kept_once_and_a_second_run_writes_nothing() {
    let bench = bench().await;
    let report = bench.run(Stage::TaskHistory).await;
    let expected = tasks_of_guests(&bench);
    assert_eq!(
        (report.counts().created, bench.netbox.count(TASKS)),
        (expected, expected)
    );
    assert!(report.counts().skipped > 0, "tasks of nodes are nobody's");
    let task = &rows_where(&bench, TASKS, "status", &json!("WARNINGS: 2"))[0];
    assert_eq!(
        (&task["task_type"], &task["task_state"]),
        (&json!("vzdump"), &json!("stopped"))
    );
    assert_eq!(bench.writes(Stage::TaskHistory).await, []);
    let reads = bench
        .netbox
        .requests()
        .iter()
        .filter(|request| request.path == TASKS)
        .count();
    assert!(reads <= 2, "{:#?}", bench.netbox.requests());
}

#[tokio::test]
async fn row_below_the_wrong_virtual_machine_is_repaired() {
    let bench = bench().await;
    bench.run(Stage::TaskHistory).await;
    let row = rows_where(&bench, TASKS, "task_id", &json!("100"))[0].clone();
    let id = row["id"].as_u64().unwrap();
    let wrong = json!({"virtual_machine": bench.machine(101)});
    bench.netbox.change(TASKS, id, &wrong).unwrap();
    bench.run(Stage::TaskHistory).await;
    let repaired = rows_where(&bench, TASKS, "id", &json!(id));
    assert_eq!(repaired[0]["virtual_machine"]["id"], json!(bench.machine(100)));
}

#[tokio::test]
async fn two_clusters_with_equal_tasks_leave_each_others_rows_alone() {
    let mut twin = World::estate(3, 12);
    twin.cluster = Some("twin".to_owned());
    let bench = Estate::start(vec![World::estate(3, 12), twin]).await;
    bench.add_machines(0);
    bench.add_machines(1);
    let report = bench.run(Stage::TaskHistory).await;
    let expected = tasks_of_guests(&bench);
    assert_eq!((report.counts().created, report.counts().failed), (expected, expected));
    let before = bench.netbox.fingerprint();
    assert_eq!(bench.writes(Stage::TaskHistory).await, []);
    assert_eq!(bench.netbox.fingerprint(), before);
}

#[tokio::test]
async fn node_that_is_down_costs_its_own_tasks_only() {
    let bench = bench().await;
    bench.clusters[0].proxmox.faults().node_down("pve2");
    bench.look_around().await;
    let report = bench.run(Stage::TaskHistory).await;
    assert!(report.result()["degraded"] == json!(true), "{}", report.result());
    assert!(rows_where(&bench, TASKS, "node", &json!("pve2")).is_empty());
    assert!(!rows_where(&bench, TASKS, "node", &json!("pve1")).is_empty());
}

#[tokio::test]
async fn one_virtual_machine_is_served_alone() {
    let bench = bench().await;
    let machine = bench.machine(105);
    let report = bench.try_run(Stage::TaskHistory, bench.only(machine)).await;
    assert!(report.counts().created > 0, "{}", report.result());
    let rows = bench.netbox.rows(TASKS);
    assert!(rows.iter().all(|row| row["task_id"] == json!("105")), "{rows:#?}");
}

#[tokio::test]
async fn answer_that_is_lost_leads_to_no_second_row_and_no_failure() {
    let bench = bench().await;
    bench
        .netbox
        .faults()
        .add(FaultRule::on(TASKS, Fault::LoseAnswer).method("POST").only(1));
    let report = bench.run(Stage::TaskHistory).await;
    let expected = tasks_of_guests(&bench);
    assert_eq!((report.counts().failed, bench.netbox.count(TASKS)), (0, expected));
}
