//! Stage `task-history`.

use proxbox_api::netbox::standin::{Fault, FaultRule, Standin, StandinOptions};
use proxbox_api::proxmox::mock::world::{GuestKind, Task};
use proxbox_api::proxmox::mock::{Guest, World};
use proxbox_api::stages::Stage;
use proxbox_api::sync::SyncRequest;
use serde_json::json;

use crate::clusters::{Estate, MACHINE_STATES, MACHINES, alpha, rows_where};
use crate::harness::{Bench, now};

const TASKS: &str = "/api/plugins/proxbox/task-history/";
const DAY: i64 = 86_400;

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
    bench.netbox.clear_requests();
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
    let writes = bench.netbox.writes().into_iter();
    let writes = writes.filter(|write| write.path.contains(TASKS.trim_matches('/')));
    let writes: Vec<_> = writes.map(|write| (write.method, write.rows)).collect();
    assert_eq!(writes, [("POST".to_owned(), 1)]);
    for (slug, name, color) in [
        ("proxbox", "Proxbox", "ff5722"),
        ("proxbox-soft-deleted", "Proxbox: Soft-deleted VM", "d32f2f"),
    ] {
        let tag = &rows_where(&bench, "/api/extras/tags/", "slug", &json!(slug))[0];
        assert_eq!((&tag["name"], &tag["color"]), (&json!(name), &json!(color)));
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

/// How many tasks the node `a1` of [`busy`] tells of: more than a page has.
const MANY: usize = 600;

/// The cluster `alpha` with a second guest, 205, whose one task on `a1` is the oldest there; all others are of 204.
fn busy() -> World {
    let now = now();
    let mut world = alpha();
    world.add_guest(Guest::new(GuestKind::Qemu, 205, "mail", "a2"));
    world.tasks = (0..MANY)
        .map(|place| {
            let age = i64::try_from(MANY - place).unwrap();
            Task {
                node: "a1".into(),
                pid: u32::try_from(place).unwrap(),
                pstart: 2860,
                starts: now - 60 * age,
                ends: Some(now - 60 * age + 7),
                kind: "qmshutdown".into(),
                id: if place == 0 { "205" } else { "204" }.into(),
                user: "ops@pve".into(),
                outcome: "OK".into(),
            }
        })
        .collect();
    world
}

/// Both sides of [`busy`], with every task on record.
async fn settled() -> Estate {
    let bench = Estate::start(vec![busy()]).await;
    bench.add_machines(0);
    bench.run(Stage::TaskHistory).await;
    assert_eq!(bench.netbox.count(TASKS), MANY);
    bench
}

/// Takes the row of an old task away, which only a pass over all tasks makes anew.
fn lose_an_old_row(netbox: &Standin) {
    let rows = netbox.rows(TASKS);
    let row = rows.iter().find(|row| row["task_id"] == json!("205")).unwrap();
    netbox.remove(TASKS, row["id"].as_u64().unwrap()).unwrap();
}

#[tokio::test]
async fn every_twenty_fourth_pass_looks_at_old_tasks_too_and_one_that_asks_for_all() {
    let mut bench = settled().await;
    lose_an_old_row(&bench.netbox);
    for pass in 1..24 {
        bench.run(Stage::TaskHistory).await;
        assert_eq!(bench.netbox.count(TASKS), MANY - 1, "pass {pass}");
    }
    bench.run(Stage::TaskHistory).await;
    assert_eq!(bench.netbox.count(TASKS), MANY);
    lose_an_old_row(&bench.netbox);
    bench.request.options.guests.all_tasks = true;
    bench.run(Stage::TaskHistory).await;
    assert_eq!(bench.netbox.count(TASKS), MANY);
}

#[tokio::test]
async fn passes_for_one_virtual_machine_and_dry_runs_count_as_none() {
    let bench = settled().await;
    lose_an_old_row(&bench.netbox);
    let mut dry = bench.request.clone();
    dry.dry_run = true;
    let alone = bench.only(bench.machine(204));
    for pass in 1..24 {
        let request = if pass % 2 == 0 { &alone } else { &dry };
        bench.try_run(Stage::TaskHistory, request.clone()).await;
    }
    bench.run(Stage::TaskHistory).await;
    assert_eq!(bench.netbox.count(TASKS), MANY - 1);
}

#[tokio::test]
async fn pass_after_one_that_could_not_read_a_node_looks_at_old_tasks_too() {
    let bench = settled().await;
    lose_an_old_row(&bench.netbox);
    let faults = bench.clusters[0].proxmox.faults();
    faults.fail_times("/nodes/a1/tasks", 500, "out of order", 1);
    bench.run(Stage::TaskHistory).await;
    assert_eq!(bench.netbox.count(TASKS), MANY - 1);
    bench.run(Stage::TaskHistory).await;
    assert_eq!(bench.netbox.count(TASKS), MANY);
}

#[tokio::test]
async fn rows_of_another_endpoint_that_come_late_stay_whose_they_are() {
    for fault in [None, Some(Fault::Status(400)), Some(Fault::LoseAnswer)] {
        let mut world = busy();
        world.tasks.truncate(3);
        let mut twin = world.clone();
        twin.cluster = Some("twin".to_owned());
        let bench = Estate::start(vec![world, twin]).await;
        bench.add_machines(0);
        bench.add_machines(1);
        bench.run_for(0, Stage::TaskHistory).await;
        let whose = || -> Vec<_> {
            let rows = bench.netbox.rows(TASKS).into_iter();
            rows.map(|row| (row["upid"].clone(), row["virtual_machine"]["id"].clone()))
                .collect()
        };
        let before = whose();
        assert_eq!(before.len(), 3);
        // As if the first cluster's rows had come just after the second one looked.
        let late = FaultRule::on(TASKS, Fault::Unseen).method("GET").only(1);
        bench.netbox.faults().add(late);
        let case = format!("{fault:?}");
        if let Some(fault) = fault {
            let rule = FaultRule::on(TASKS, fault).method("POST").only(1);
            bench.netbox.faults().add(rule);
        }
        let report = bench.run_for(1, Stage::TaskHistory).await;
        let counts = report.counts();
        assert_eq!(
            (counts.created, counts.updated, counts.failed),
            (0, 0, 3),
            "{case}: {}",
            report.result()
        );
        assert_eq!(whose(), before, "{case}");
    }
}

/// Both sides of [`quiet`] with every task on record, then one more task, and an old row that only a pass over all tasks
/// makes anew; with the new task's id.
async fn with_a_new_task() -> (Estate, String) {
    let bench = Estate::start(vec![quiet()]).await;
    bench.add_machines(0);
    bench.run(Stage::TaskHistory).await;
    assert_eq!(bench.netbox.count(TASKS), QUIET);
    let mut rows = bench.netbox.rows(TASKS);
    rows.sort_by_key(|row| row["start_time"].as_str().unwrap().to_owned());
    bench.netbox.remove(TASKS, rows[0]["id"].as_u64().unwrap()).unwrap();
    let upid = bench.clusters[0].proxmox.world().change(|world| {
        let mut next = world.tasks[0].clone();
        (next.starts, next.ends) = (now() - 60, Some(now() - 50));
        world.tasks.push(next.clone());
        next.upid()
    });
    (bench, upid)
}

#[tokio::test]
async fn row_that_netbox_refuses_for_good_costs_no_pass_over_all_tasks() {
    let (bench, upid) = with_a_new_task().await;
    bench
        .netbox
        .faults()
        .refuse_row(TASKS, &upid, "upid", "This task is reserved.");
    for pass in 1..4 {
        let counts = bench.run(Stage::TaskHistory).await.counts();
        assert_eq!((counts.created, counts.failed), (0, 1), "pass {pass}");
    }
    bench.netbox.faults().clear();
    let counts = bench.run(Stage::TaskHistory).await.counts();
    assert_eq!((counts.created, bench.netbox.count(TASKS)), (1, QUIET));
}

#[tokio::test]
async fn pass_after_one_that_lacked_a_right_looks_at_old_tasks_too() {
    let (bench, upid) = with_a_new_task().await;
    bench.netbox.faults().deny_row(TASKS, &upid);
    assert_eq!(bench.run(Stage::TaskHistory).await.counts().failed, 1);
    bench.netbox.faults().clear();
    assert_eq!(bench.run(Stage::TaskHistory).await.counts().created, 2);
    assert_eq!(bench.netbox.count(TASKS), QUIET + 1);
}

#[tokio::test]
async fn old_tasks_of_a_virtual_machine_that_was_not_there_before_are_looked_for() {
    let bench = Estate::start(vec![busy()]).await;
    bench.add_machines(0);
    let state = rows_where(&bench, MACHINE_STATES, "proxmox_vm_id", &json!(205)).remove(0);
    bench
        .netbox
        .remove(MACHINE_STATES, state["id"].as_u64().unwrap())
        .unwrap();
    bench.run(Stage::TaskHistory).await;
    assert_eq!(bench.netbox.count(TASKS), MANY - 1);
    let bound = json!({
        "virtual_machine": state["virtual_machine"]["id"], "proxmox_vm_id": 205, "proxmox_vm_type": "qemu",
        "proxmox_endpoint_raw_id": 1, "proxmox_cluster_name": "alpha",
    });
    bench.netbox.seed(MACHINE_STATES, &bound).unwrap();
    bench.run(Stage::TaskHistory).await;
    assert_eq!(bench.netbox.count(TASKS), MANY);
}

#[tokio::test]
async fn run_that_asks_for_all_tasks_is_not_content_with_those_that_another_has_just_read() {
    let bench = Bench::with(busy(), StandinOptions::default()).await;
    for stage in [Stage::Devices, Stage::VirtualMachines, Stage::TaskHistory] {
        bench.stage(stage).await;
    }
    assert_eq!(bench.netbox.count(TASKS), MANY);
    bench.stage(Stage::Devices).await;
    bench.stage(Stage::TaskHistory).await;
    lose_an_old_row(&bench.netbox);
    let mut request = SyncRequest::default();
    request.options.guests.all_tasks = true;
    bench.stage_with(Stage::TaskHistory, request).await;
    assert_eq!(bench.netbox.count(TASKS), MANY);
}

#[tokio::test]
async fn tasks_of_a_guest_that_two_virtual_machines_claim_to_be_are_skipped_and_counted_as_errors() {
    let mut world = busy();
    world.tasks.truncate(3);
    let bench = Estate::start(vec![world]).await;
    bench.add_machines(0);
    let twin = json!({"name": "twin", "cluster": bench.netbox.rows(MACHINES)[0]["cluster"]["id"]});
    let twin = bench.netbox.seed(MACHINES, &twin).unwrap();
    let state = json!({
        "virtual_machine": twin, "proxmox_vm_id": 204, "proxmox_vm_type": "qemu", "proxmox_endpoint_raw_id": 1,
        "proxmox_cluster_name": "alpha",
    });
    bench.netbox.seed(MACHINE_STATES, &state).unwrap();
    let result = bench.run(Stage::TaskHistory).await.result();
    let told = ["count", "created", "skipped", "errors", "degraded"].map(|key| result[key].clone());
    assert_eq!(told, [json!(1), json!(1), json!(2), json!(2), json!(true)], "{result}");
}

/// The cluster of [`busy`] with 40 tasks on `a1`, of which the older 20 ran while it was called `a0`; the oldest 10 are older
/// than what is looked up as recent.
fn renamed() -> World {
    let mut world = busy();
    world.tasks.drain(..MANY - 40);
    for (place, task) in world.tasks.iter_mut().take(20).enumerate() {
        task.node = "a0".into();
        if place < 10 {
            task.starts -= 40 * DAY;
            task.ends = task.ends.map(|ends| ends - 40 * DAY);
        }
    }
    let node = world.nodes.iter_mut().find(|node| node.name == "a1").unwrap();
    node.former_name = Some("a0".to_owned());
    world
}

#[tokio::test]
async fn tasks_that_ran_under_a_former_name_of_a_node_are_known_again() {
    let bench = Estate::start(vec![renamed()]).await;
    bench.add_machines(0);
    let report = bench.run(Stage::TaskHistory).await;
    assert_eq!((report.counts().created, bench.netbox.count(TASKS)), (40, 40));
    assert_eq!(rows_where(&bench, TASKS, "node", &json!("a0")).len(), 20);
    for pass in 1..3 {
        bench.netbox.clear_requests();
        let report = bench.run(Stage::TaskHistory).await;
        assert_eq!(
            report.result()["degraded"],
            json!(null),
            "pass {pass}: {}",
            report.result()
        );
        assert_eq!(bench.netbox.writes(), [], "pass {pass}");
        assert_eq!(reads(&bench), 2, "recent rows, and those of the former name");
    }
    let row = rows_where(&bench, TASKS, "node", &json!("a0")).remove(0);
    let wrong = json!({"virtual_machine": bench.machine(205)});
    bench.netbox.change(TASKS, row["id"].as_u64().unwrap(), &wrong).unwrap();
    let counts = bench.run(Stage::TaskHistory).await.counts();
    assert_eq!((counts.updated, counts.created, counts.failed), (1, 0, 0));
}

/// How many tasks the node `a1` of [`quiet`] tells of.
const QUIET: usize = 1_500;

/// The cluster of [`busy`] whose node `a1` tells of [`QUIET`] tasks of guest 204, ten a day: a page spans 50 days. The
/// latest one failed with more words than are kept.
fn quiet() -> World {
    let mut world = busy();
    let latest = world.tasks.pop().unwrap();
    world.tasks = (0..QUIET)
        .map(|place| {
            let starts = now() - 3_600 - DAY / 10 * i64::try_from(QUIET - 1 - place).unwrap();
            Task {
                pid: u32::try_from(place).unwrap(),
                starts,
                ends: Some(starts + 7),
                ..latest.clone()
            }
        })
        .collect();
    let command = "-device virtio-net-pci ".repeat(200);
    world.tasks[QUIET - 1].outcome = format!("start failed: command '/usr/bin/kvm {command}' failed").into();
    world
}

/// How often NetBox was asked for rows of tasks since the last look.
fn reads(bench: &Estate) -> usize {
    let requests = bench.netbox.requests().into_iter();
    let reads = requests.filter(|request| request.method == "GET" && request.path == TASKS);
    let count = reads.count();
    bench.netbox.clear_requests();
    count
}

/// How many pages of the archive of `node` were read since the last look.
fn pages(bench: &Estate, node: &str) -> usize {
    let proxmox = &bench.clusters[0].proxmox;
    let path = format!("/nodes/{node}/tasks");
    let count = proxmox
        .requests()
        .iter()
        .filter(|asked| asked.path.ends_with(&path))
        .count();
    proxmox.clear_requests();
    count
}

#[tokio::test]
async fn quiet_node_has_its_first_page_read_and_no_old_rows() {
    let bench = Estate::start(vec![quiet()]).await;
    bench.add_machines(0);
    bench.run(Stage::TaskHistory).await;
    assert_eq!(bench.netbox.count(TASKS), QUIET);
    pages(&bench, "a1");
    assert_eq!(bench.writes(Stage::TaskHistory).await, []);
    assert_eq!((pages(&bench, "a1"), reads(&bench)), (1, 1));
    bench.clusters[0].proxmox.world().change(|world| {
        let mut next = world.tasks[0].clone();
        (next.starts, next.ends) = (now() - 60, Some(now() - 50));
        world.tasks.push(next);
    });
    let counts = bench.run(Stage::TaskHistory).await.counts();
    assert_eq!((counts.created, counts.updated, counts.failed), (1, 0, 0));
    assert_eq!(
        (pages(&bench, "a1"), reads(&bench)),
        (2, 1),
        "up to a page of old tasks alone"
    );
    assert_eq!(bench.netbox.count(TASKS), QUIET + 1);
}

#[tokio::test]
async fn node_without_recent_tasks_has_its_first_page_read() {
    let mut world = quiet();
    for task in &mut world.tasks {
        task.starts -= 40 * DAY;
        task.ends = task.ends.map(|ends| ends - 40 * DAY);
    }
    let bench = Estate::start(vec![world]).await;
    bench.add_machines(0);
    bench.run(Stage::TaskHistory).await;
    pages(&bench, "a1");
    assert_eq!(bench.writes(Stage::TaskHistory).await, []);
    assert_eq!((pages(&bench, "a1"), reads(&bench)), (1, 1));
    assert_eq!(bench.netbox.count(TASKS), QUIET);
}

#[tokio::test]
async fn task_that_took_weeks_is_kept_as_soon_as_it_ends() {
    let bench = Estate::start(vec![quiet()]).await;
    bench.add_machines(0);
    bench.run(Stage::TaskHistory).await;
    bench.clusters[0].proxmox.world().change(|world| {
        let mut console = world.tasks[0].clone();
        console.kind = "vncproxy".into();
        (console.starts, console.ends) = (now() - 45 * DAY, Some(now() - 50));
        world.tasks.push(console);
    });
    let counts = bench.run(Stage::TaskHistory).await.counts();
    assert_eq!((counts.created, counts.failed), (1, 0));
    assert_eq!(bench.writes(Stage::TaskHistory).await, []);
    assert_eq!(rows_where(&bench, TASKS, "task_type", &json!("vncproxy")).len(), 1);
}

#[tokio::test]
async fn old_tasks_of_a_node_that_was_away_are_looked_for_once_it_is_back() {
    let mut world = quiet();
    world.tasks.drain(QUIET - 400..);
    let bench = Estate::start(vec![world]).await;
    bench.add_machines(0);
    let proxmox = &bench.clusters[0].proxmox;
    proxmox.world().change(|world| world.nodes[0].online = false);
    bench.look_around().await;
    bench.run(Stage::TaskHistory).await;
    assert_eq!(bench.netbox.count(TASKS), 0);
    proxmox.world().change(|world| world.nodes[0].online = true);
    bench.look_around().await;
    bench.run(Stage::TaskHistory).await;
    assert_eq!(bench.netbox.count(TASKS), QUIET - 400);
}

/// NetBox's own trouble passes: what it could not write then it writes later.
#[tokio::test]
async fn pass_after_one_in_which_netbox_had_an_error_of_its_own_looks_at_old_tasks_too() {
    let (bench, _) = with_a_new_task().await;
    let faults = bench.netbox.faults();
    faults.add(FaultRule::on(TASKS, Fault::Exception).method("POST"));
    assert_eq!(bench.run(Stage::TaskHistory).await.counts().failed, 1);
    faults.clear();
    assert_eq!(bench.run(Stage::TaskHistory).await.counts().created, 2);
    assert_eq!(bench.netbox.count(TASKS), QUIET + 1);
}

#[tokio::test]
async fn tasks_of_a_virtual_machine_whose_number_another_kind_of_guest_has_now_stay_below_it() {
    let mut world = busy();
    world.tasks.truncate(3);
    let bench = Estate::start(vec![world]).await;
    bench.add_machines(0);
    let former = bench.machine(204);
    bench.run(Stage::TaskHistory).await;
    let heir = bench.reuse(204);
    bench.clusters[0].proxmox.world().change(|world| {
        let mut start = world.tasks[1].clone();
        (start.kind, start.starts, start.ends) = ("vzstart".into(), now() - 60, Some(now() - 50));
        world.tasks.push(start);
    });
    for pass in 1..3 {
        bench.netbox.clear_requests();
        let counts = bench.run(Stage::TaskHistory).await.counts();
        assert_eq!((counts.updated, counts.failed), (0, 0), "pass {pass}");
        assert_eq!((counts.created, counts.skipped), (2 - pass, 2), "pass {pass}");
        let asked = bench.netbox.requests().into_iter();
        let asked = asked.filter(|request| request.query.contains("virtual_machine_id"));
        assert_eq!(asked.count(), 0, "whose the rows are is known");
    }
    for (machine, kind, count) in [(former, "qemu", 2), (heir, "lxc", 1)] {
        let rows = rows_where(&bench, TASKS, "task_id", &json!("204")).into_iter();
        let own: Vec<_> = rows
            .filter(|row| row["virtual_machine"]["id"] == json!(machine))
            .collect();
        assert!(own.iter().all(|row| row["vm_type"] == json!(kind)), "{own:#?}");
        assert_eq!(own.len(), count, "{kind}");
    }
}
