//! Stage `task-history`.

use proxbox_api::netbox::standin::{Fault, FaultRule};
use proxbox_api::proxmox::mock::World;
use proxbox_api::proxmox::mock::world::Task;
use proxbox_api::stages::Stage;
use serde_json::json;

use crate::clusters::{Estate, MACHINES, alpha, rows_where};
use crate::harness::now;

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

#[tokio::test]
async fn batches_that_are_too_large_are_halved_until_they_pass() {
    let too_large = |fault| FaultRule::on(TASKS, fault).method("POST").larger_than(5);
    for fault in [
        Fault::Status(500),
        Fault::Status(503),
        Fault::Html(502),
        Fault::Html(504),
        Fault::Reset,
    ] {
        let bench = bench().await;
        bench.netbox.faults().add(too_large(fault.clone()));
        let report = bench.run(Stage::TaskHistory).await;
        let expected = tasks_of_guests(&bench);
        assert!(expected > 20, "{expected} tasks fill several batches");
        assert_eq!(
            (report.counts().failed, bench.netbox.count(TASKS)),
            (0, expected),
            "{fault:?}: {:#?}",
            report.endpoints[0].warnings
        );
    }
}

#[tokio::test]
async fn changes_that_are_too_many_at_once_are_halved_until_they_pass() {
    let bench = bench().await;
    bench.run(Stage::TaskHistory).await;
    let other = json!(bench.machine(101));
    let rows = bench.netbox.rows(TASKS).into_iter();
    let rows: Vec<_> = rows.filter(|row| row["virtual_machine"]["id"] != other).collect();
    for row in &rows {
        let wrong = json!({"virtual_machine": other});
        bench.netbox.change(TASKS, row["id"].as_u64().unwrap(), &wrong).unwrap();
    }
    let rule = FaultRule::on(TASKS, Fault::Html(504)).method("PATCH").larger_than(5);
    bench.netbox.faults().add(rule);
    let counts = bench.run(Stage::TaskHistory).await.counts();
    assert_eq!((counts.updated, counts.failed), (rows.len(), 0));
}

#[tokio::test]
async fn shutdown_of_a_guest_is_kept_word_for_word_and_what_is_nobodys_or_unread_is_counted() {
    let mut world = alpha();
    let shutdown = Task {
        node: "a1".into(),
        pid: 161,
        pstart: 2860,
        starts: 1_739_268_864,
        ends: Some(1_739_268_871),
        kind: "qmshutdown".into(),
        id: "204".into(),
        user: "ops@pve".into(),
        outcome: "OK".into(),
    };
    let upid = shutdown.upid();
    let of_nobody = Task {
        kind: "vzdump".into(),
        id: "".into(),
        ..shutdown.clone()
    };
    world.tasks = vec![shutdown, of_nobody];
    let bench = Estate::start(vec![world]).await;
    bench.add_machines(0);
    bench.clusters[0]
        .proxmox
        .faults()
        .fail("/nodes/a2/tasks", 500, "got timeout");
    let result = bench.run(Stage::TaskHistory).await.result();
    let told = ["count", "created", "skipped", "degraded", "errors"].map(|key| result[key].clone());
    assert_eq!(told, [json!(1), json!(1), json!(1), json!(true), json!(1)], "{result}");
    let rows = bench.netbox.rows(TASKS);
    let row = &rows[0];
    assert_eq!(
        (rows.len(), &row["virtual_machine"]["id"], &row["tags"][0]["slug"]),
        (1, &json!(bench.machine(204)), &json!("proxbox"))
    );
    let expected = json!({
        "vm_type": "qemu", "upid": upid, "node": "a1", "pid": 161, "pstart": 2860, "task_id": "204",
        "task_type": "qmshutdown", "username": "ops@pve", "start_time": "2025-02-11T10:14:24Z",
        "end_time": "2025-02-11T10:14:31Z", "description": "QEMU 204 - Shutdown", "status": "OK",
        "task_state": "stopped", "exitstatus": "OK"
    });
    for (field, value) in expected.as_object().unwrap() {
        assert_eq!(&row[field], value, "{field}");
    }
}

#[tokio::test]
async fn virtual_machine_without_a_sync_state_is_skipped_and_tags_of_an_operator_survive() {
    let bench = bench().await;
    let skipped = bench.run(Stage::TaskHistory).await.counts().skipped;
    let by_hand = json!({"name": "by-hand", "cluster": bench.netbox.rows(MACHINES)[0]["cluster"]["id"]});
    bench.netbox.seed(MACHINES, &by_hand).unwrap();
    let tag = bench
        .netbox
        .seed("/api/extras/tags/", &json!({"name": "Gold", "slug": "gold"}))
        .unwrap();
    let row = bench.netbox.rows(TASKS)[0].clone();
    let id = row["id"].as_u64().unwrap();
    let edited = json!({"status": "edited", "tags": [tag, row["tags"][0]["id"]]});
    bench.netbox.change(TASKS, id, &edited).unwrap();
    let report = bench.run(Stage::TaskHistory).await;
    assert_eq!((report.counts().skipped, report.counts().updated), (skipped + 1, 1));
    let after = &rows_where(&bench, TASKS, "id", &json!(id))[0];
    assert_eq!(after["status"], row["status"]);
    let tags = after["tags"].to_string();
    assert!(tags.contains("gold") && tags.contains("proxbox"), "{tags}");
}

#[tokio::test]
async fn runs_for_one_virtual_machine_do_not_count_towards_the_next_full_reading() {
    let mut world = World::estate(3, 12);
    let task = |number: u32| Task {
        node: "pve1".into(),
        pid: number,
        pstart: number,
        starts: now() - 1_000_000 + i64::from(number),
        ends: Some(now() - 1_000_000 + i64::from(number)),
        kind: "qmstart".into(),
        id: "100".into(),
        user: "root@pam".into(),
        outcome: "OK".into(),
    };
    world.tasks = (0..1_100).map(task).collect();
    let bench = Estate::start(vec![world]).await;
    bench.add_machines(0);
    let proxmox = &bench.clusters[0].proxmox;
    let take_pages = || {
        let requests = proxmox.requests().into_iter();
        let pages = requests.filter(|request| request.path == "/nodes/pve1/tasks").count();
        proxmox.clear_requests();
        pages
    };
    bench.run(Stage::TaskHistory).await;
    assert_eq!(take_pages(), 3, "the first reads all");
    for _ in 0..23 {
        bench.try_run(Stage::TaskHistory, bench.only(bench.machine(101))).await;
    }
    take_pages();
    bench.run(Stage::TaskHistory).await;
    assert_eq!(take_pages(), 1, "it is the second of all guests");
}
