//! What the sweep marks, what it leaves alone, and how it tells.

use std::time::Duration;

use proxbox_api::netbox::standin::{Fault, FaultRule, StandinOptions};
use proxbox_api::proxmox::mock::world::GuestKind;
use proxbox_api::proxmox::mock::{Fault as ProxmoxFault, Guest, Node, World};
use proxbox_api::reconcile::{Mode, ObjectId};
use proxbox_api::stages::Stage;
use proxbox_api::sync::{Job, SyncRequest};
use serde_json::{Value, json};

use crate::clusters::{Estate, alpha, beta};
use crate::full_update::{SWEEP, small, sweep};
use crate::harness::{Bench, MACHINE_STATES, MACHINES, tags, until};

fn dry() -> SyncRequest {
    SyncRequest {
        dry_run: true,
        ..SyncRequest::default()
    }
}

fn lifted() -> SyncRequest {
    SyncRequest {
        allow_shrink: true,
        ..SyncRequest::default()
    }
}

fn status(bench: &Bench, name: &str) -> Value {
    bench.machine(name)["status"]["value"].clone()
}

/// The virtual machines that are marked, by name.
fn marked(rows: &[Value]) -> Vec<&str> {
    let is_marked = |row: &&Value| row["status"]["value"] == "decommissioning";
    let marked = rows.iter().filter(is_marked);
    marked.map(|row| row["name"].as_str().unwrap()).collect()
}

/// Ten of the twelve guests are gone, and forty virtual machines of the cluster are an operator's.
async fn mostly_gone() -> Bench {
    let bench = small().await;
    bench.stage(Stage::VirtualMachines).await;
    let cluster = bench.machine_of(100)["cluster"]["id"].clone();
    for number in 0..40 {
        let row = json!({"name": format!("by-hand-{number}"), "cluster": cluster});
        bench.netbox.seed(MACHINES, &row).unwrap();
    }
    bench.proxmox.world().change(|world| {
        for vmid in 100..110 {
            world.remove_guest(vmid).unwrap();
        }
    });
    bench.forget();
    bench.take_writes();
    bench
}

#[tokio::test]
async fn machines_made_by_hand_are_none_of_the_endpoints_for_the_guard() {
    let bench = mostly_gone().await;
    let report = bench.job(SWEEP, SyncRequest::default()).await;
    let errors = report.errors();
    assert!(errors.len() == 1 && errors[0].contains("10 of 12"), "{errors:?}");
    assert_eq!(bench.take_writes(), Vec::<String>::new());
    let report = sweep(&bench, lifted()).await;
    assert_eq!((report.candidates, report.soft_deleted), (10, 10));
}

#[tokio::test]
async fn dry_run_shows_what_the_guard_of_the_sweep_would_refuse() {
    let bench = mostly_gone().await;
    let events = bench.events(SWEEP, dry()).await;
    let items = events.iter().filter(|event| event.name == "item_progress");
    let operations: Vec<&Value> = items.map(|event| &event.data["operation"]).collect();
    assert_eq!(operations, [&json!("would_delete"); 10]);
    let end = &events.last().unwrap().data;
    assert_eq!(end["ok"], true, "{end}");
    let told = end["result"]["warnings"].to_string();
    assert!(
        told.contains("10 of 12") && told.contains("allow_shrink=true"),
        "{told}"
    );
    assert_eq!(marks(&end["result"]).len(), 10);
    assert_eq!(bench.take_writes(), Vec::<String>::new());
}

#[tokio::test]
async fn guard_of_the_sweep_holds_in_a_full_update_and_is_lifted_there_too() {
    let bench = mostly_gone().await;
    let report = bench.job(Job::FullUpdate, SyncRequest::default()).await;
    let errors = report.errors();
    assert!(
        errors.len() == 1 && errors[0].starts_with("sweep-orphans: "),
        "{errors:?}"
    );
    assert_eq!(marked(&bench.netbox.rows(MACHINES)), [""; 0]);
    let report = bench.job(Job::FullUpdate, lifted()).await;
    assert_eq!(report.errors(), [""; 0]);
    assert_eq!(report.result()["orphan_sweep"]["soft_deleted"], 10);
    assert_eq!(marked(&bench.netbox.rows(MACHINES)).len(), 10);
}

/// The rows that a plan marks: their ids, and what their status becomes.
fn marks(result: &Value) -> Vec<(Value, Value)> {
    let plans = result["plan"].as_array().unwrap().iter();
    let rows = plans.flat_map(|plan| plan["update"].as_array().unwrap());
    let marks = rows.filter(|row| row["is_retirement"] == true);
    marks
        .map(|row| (row["id"].clone(), row["changes"]["status"]["after"].clone()))
        .collect()
}

#[tokio::test]
async fn dry_runs_show_what_the_sweep_would_write() {
    let mut bench = small().await;
    bench.job(Job::FullUpdate, SyncRequest::default()).await;
    let gone = bench.machine_of(101)["id"].clone();
    bench.proxmox.world().change(|world| world.remove_guest(101)).unwrap();
    bench.forget();
    bench.take_writes();
    let expected = [(gone, json!("decommissioning"))];
    assert_eq!(marks(&sweep(&bench, dry()).await.result()), expected);
    assert_eq!(marks(&bench.job(Job::FullUpdate, dry()).await.result()), expected);
    bench.delete_orphans = false;
    assert_eq!(marks(&sweep(&bench, dry()).await.result()), expected, "a preview");
    let result = bench.job(Job::FullUpdate, dry()).await.result();
    assert_eq!(
        (marks(&result), &result["orphan_sweep"]["candidates"]),
        (Vec::new(), &json!(1))
    );
    assert_eq!(bench.take_writes(), Vec::<String>::new());
    bench.delete_orphans = true;
    let result = sweep(&bench, SyncRequest::default()).await.result();
    assert!(result.get("plan").is_none() && result["soft_deleted"] == 1, "{result}");
}

#[tokio::test]
async fn modes_that_leave_guests_alone_hold_for_the_sweep() {
    let bench = small().await;
    bench.stage(Stage::VirtualMachines).await;
    let [running, stopped] = [true, false].map(|is_running| {
        bench.proxmox.world().change(|world| {
            let mut guests = world.guests.values();
            let vmid = guests.find(|guest| guest.is_running() == is_running).unwrap().vmid;
            world.remove_guest(vmid).unwrap();
            vmid
        })
    });
    let names = [running, stopped].map(|vmid| bench.machine_of(vmid)["name"].as_str().unwrap().to_owned());
    bench.take_writes();
    for mode in [Mode::Disabled, Mode::BootstrapOnly] {
        let mut request = SyncRequest::default();
        request.options.modes.machine = mode;
        let report = sweep(&bench, request).await;
        assert_eq!((report.candidates, report.soft_deleted, report.skipped), (2, 0, 2));
    }
    assert_eq!(bench.take_writes(), Vec::<String>::new());
    let mut request = SyncRequest::default();
    request.options.modes.template = Mode::Disabled;
    let report = sweep(&bench, request).await;
    assert_eq!((report.candidates, report.soft_deleted, report.skipped), (2, 1, 1));
    assert_eq!(status(&bench, &names[0]), "decommissioning");
    assert_eq!(status(&bench, &names[1]), "offline", "it may have been a template");
    assert_eq!(sweep(&bench, SyncRequest::default()).await.soft_deleted, 1);
    assert_eq!(status(&bench, &names[1]), "decommissioning");
}

#[tokio::test]
async fn guest_that_is_listed_is_not_gone_whatever_its_state_calls_the_cluster() {
    let bench = small().await;
    bench.stage(Stage::VirtualMachines).await;
    let state = bench.machine_state(101)["id"].as_u64().unwrap();
    let renamed = json!({"proxmox_cluster_name": "before-it-was-renamed"});
    bench.netbox.change(MACHINE_STATES, state, &renamed).unwrap();
    bench.take_writes();
    let report = sweep(&bench, SyncRequest::default()).await;
    assert_eq!((report.candidates, report.skipped_reason), (0, None));
    assert_eq!(bench.take_writes(), Vec::<String>::new());
}

#[tokio::test]
async fn guest_whose_number_is_one_of_the_other_kind_now_is_gone_until_its_machine_is_taken_over() {
    let bench = small().await;
    bench.stage(Stage::VirtualMachines).await;
    bench.proxmox.world().change(|world| {
        let old = world.remove_guest(101).unwrap();
        assert_eq!(old.kind, GuestKind::Qemu);
        let mut new = Guest::new(GuestKind::Lxc, 101, "other", &old.node);
        new.config.set("rootfs", "local:vm-101-disk-0,size=4G");
        world.add_guest(new);
    });
    bench.forget();
    let report = sweep(&bench, dry()).await;
    assert_eq!((report.candidates, marks(&report.result()).len()), (1, 1));
    bench.stage(Stage::VirtualMachines).await;
    assert_eq!(bench.machine_state(101)["proxmox_vm_type"], "lxc");
    assert_eq!(sweep(&bench, dry()).await.candidates, 0);
}

/// A guest that another run has stamped and that is still there is no candidate, and one that this run has stamped and that is
/// gone is one: stamps decide nothing.
#[tokio::test]
async fn sweep_names_what_is_gone_and_not_what_another_run_has_stamped() {
    let mut world = World::bare(vec![Node::new("a1", 1, "10.0.0.1")]);
    world.cluster = Some("alpha".to_owned());
    for (kind, vmid, name) in [
        (GuestKind::Qemu, 204, "web"),
        (GuestKind::Qemu, 205, "db"),
        (GuestKind::Lxc, 206, "proxy"),
    ] {
        world.add_guest(Guest::new(kind, vmid, name, "a1"));
    }
    let mut bench = Bench::with(world, StandinOptions::default()).await;
    bench.delete_orphans = true;
    let run = |run_id: &str| {
        let mut request = SyncRequest::default();
        run_id.clone_into(&mut request.options.run_id);
        request
    };
    bench.stage_with(Stage::VirtualMachines, run("R-70")).await;
    let stamp = json!({"last_run_id": "R-77"});
    let state = bench.machine_state(204)["id"].as_u64().unwrap();
    bench.netbox.change(MACHINE_STATES, state, &stamp).unwrap();
    let stamps = [204, 205, 206].map(|vmid| bench.machine_state(vmid)["last_run_id"].clone());
    assert_eq!(stamps, ["R-77", "R-70", "R-70"]);
    bench.proxmox.world().change(|world| world.remove_guest(205)).unwrap();
    let expected = json!({
        "enabled": true, "skipped_reason": null, "run_id": "R-77", "dry_run": false, "candidates": 1, "deleted": 0,
        "soft_deleted": 1, "failed": 0, "skipped": 0,
    });
    let gone = bench.machine_of(205)["id"].clone();
    let events = bench.events(SWEEP, run("R-77")).await;
    assert_eq!(events.last().unwrap().data["result"], expected);
    let items = events.iter().filter(|event| event.name == "item_progress");
    let [item] = items.map(|event| &event.data).collect::<Vec<_>>()[..] else {
        panic!("{events:?}");
    };
    let extra = json!({
        "reason": "orphan", "run_id": "R-77", "stale_run_id": "R-70",
        "tag_slugs": ["proxbox", "proxbox-discovered-qemu"], "vmid": 205,
    });
    assert_eq!(
        (
            &item["operation"],
            &item["item"]["name"],
            &item["item"]["netbox_id"],
            &item["item"]["extra"]
        ),
        (&json!("updated"), &json!("db"), &gone, &extra)
    );
    assert_eq!(marked(&bench.netbox.rows(MACHINES)), ["db"]);
    assert!(tags(&bench.machine("db")).contains(&"proxbox-soft-deleted"));
    bench.proxmox.world().change(|world| world.remove_guest(204)).unwrap();
    let report = sweep(&bench, run("R-77")).await;
    assert_eq!((report.candidates, report.soft_deleted), (2, 1));
    assert_eq!(marked(&bench.netbox.rows(MACHINES)), ["web", "db"]);
}

/// As a caller does who names each of its runs alike.
#[tokio::test]
async fn full_update_marks_what_is_gone_since_a_run_of_the_same_name() {
    let bench = small().await;
    let night = || {
        let mut request = SyncRequest::default();
        "night".clone_into(&mut request.options.run_id);
        request
    };
    bench.job(Job::FullUpdate, night()).await;
    bench.proxmox.world().change(|world| world.remove_guest(101)).unwrap();
    let result = bench.job(Job::FullUpdate, night()).await.result();
    assert_eq!(result["orphan_sweep"]["soft_deleted"], 1, "{}", result["orphan_sweep"]);
}

#[tokio::test]
async fn sweep_marks_none_but_the_machines_that_the_request_names() {
    for job in [SWEEP, Job::FullUpdate] {
        let bench = small().await;
        bench.stage(Stage::VirtualMachines).await;
        let named = bench.machine_of(101);
        bench.proxmox.world().change(|world| {
            for vmid in [101, 102, 104] {
                world.remove_guest(vmid).unwrap();
            }
        });
        let mut request = SyncRequest::default();
        let id = ObjectId(named["id"].as_u64().unwrap());
        request.options.guests.only = Some([id].into());
        let result = bench.job(job.clone(), request).await.result();
        let swept = result.get("orphan_sweep").unwrap_or(&result);
        assert_eq!(
            (&swept["candidates"], &swept["soft_deleted"]),
            (&json!(1), &json!(1)),
            "{swept}"
        );
        assert_eq!(
            marked(&bench.netbox.rows(MACHINES)),
            [named["name"].as_str().unwrap()],
            "{}",
            job.as_str()
        );
    }
}

#[tokio::test]
async fn machine_whose_sync_state_is_written_meanwhile_is_not_marked() {
    let bench = small().await;
    bench.stage(Stage::VirtualMachines).await;
    bench.proxmox.world().change(|world| world.remove_guest(101)).unwrap();
    bench.forget();
    bench.take_writes();
    // What is read first is as it was; right before the mark the state is gone.
    let gone = FaultRule::on(MACHINE_STATES, Fault::Unseen).method("GET").after(1);
    bench.netbox.faults().add(gone);
    let events = bench.events(SWEEP, SyncRequest::default()).await;
    let item = events.iter().find(|event| event.name == "item_progress").unwrap();
    assert_eq!(item.data["operation"], "skipped", "{}", item.data);
    assert!(
        item.data["warning"].as_str().unwrap().starts_with("restamped:"),
        "{}",
        item.data
    );
    assert_eq!(bench.take_writes(), Vec::<String>::new());
    bench.netbox.faults().clear();
    assert_eq!(sweep(&bench, SyncRequest::default()).await.soft_deleted, 1);
}

/// Clusters of two endpoints with the guest 204 each, `web` and `mail`, whose virtual machines are in NetBox.
async fn two_clusters() -> Estate {
    let mut beta = World::bare(vec![Node::new("b1", 1, "10.0.1.1")]);
    beta.cluster = Some("beta".to_owned());
    beta.add_guest(Guest::new(GuestKind::Qemu, 204, "mail", "b1"));
    let mut estate = Estate::start(vec![alpha(), beta]).await;
    estate.request.options.guests.sync_network = false;
    estate.request.options.guests.sync_task_history = false;
    estate.run(Stage::VirtualMachines).await;
    estate
}

#[tokio::test]
async fn sweep_of_two_endpoints_tells_their_guests_apart() {
    let estate = two_clusters().await;
    estate.clusters[1]
        .proxmox
        .world()
        .change(|world| world.remove_guest(204))
        .unwrap();
    let result = estate.job(SWEEP, estate.request.clone()).await.result();
    assert_eq!(
        (&result["candidates"], &result["soft_deleted"]),
        (&json!(1), &json!(1)),
        "{result}"
    );
    assert_eq!(marked(&estate.netbox.rows(MACHINES)), ["mail"]);
    estate.clusters[0]
        .proxmox
        .world()
        .change(|world| world.remove_guest(204))
        .unwrap();
    let result = estate.job(SWEEP, estate.request.clone()).await.result();
    let counts = ["candidates", "soft_deleted", "skipped"].map(|name| result[name].as_u64().unwrap());
    assert_eq!(counts, [2, 1, 1], "{result}");
    assert_eq!(marked(&estate.netbox.rows(MACHINES)), ["web", "mail"]);
}

#[tokio::test]
async fn sweep_marks_nothing_where_one_of_two_endpoints_cannot_be_read_and_says_which() {
    let estate = two_clusters().await;
    for cluster in &estate.clusters {
        cluster.proxmox.world().change(|world| world.remove_guest(204)).unwrap();
    }
    let faults = estate.clusters[1].proxmox.faults();
    faults.fail("/cluster/resources", 500, "out of order");
    let result = estate.job(SWEEP, estate.request.clone()).await.result();
    assert_eq!(
        (&result["skipped_reason"], &result["degraded"]),
        (&json!("live_inventory_unavailable"), &json!(true))
    );
    let told = result["warnings"][0]["message"].as_str().unwrap();
    assert!(
        told.starts_with("endpoint-2 (nb:2): ") && told.contains("out of order"),
        "{told}"
    );
    assert_eq!(marked(&estate.netbox.rows(MACHINES)), [""; 0]);
}

#[tokio::test]
async fn endpoint_whose_plan_is_refused_fails_its_own_candidates_and_the_others_are_swept() {
    let mut world = alpha();
    for vmid in 210..222 {
        world.add_guest(Guest::new(GuestKind::Qemu, vmid, &format!("web-{vmid}"), "a1"));
    }
    let mut estate = Estate::start(vec![world, beta()]).await;
    estate.request.options.guests.sync_network = false;
    estate.request.options.guests.sync_task_history = false;
    estate.run(Stage::VirtualMachines).await;
    let gone = |index: usize, vmid: u32| {
        let world = estate.clusters[index].proxmox.world();
        world.change(|world| world.remove_guest(vmid)).unwrap();
    };
    (210..220).for_each(|vmid| gone(0, vmid));
    gone(1, 301);
    let report = estate.job(SWEEP, estate.request.clone()).await;
    let (errors, result) = (report.errors(), report.result());
    assert!(
        errors.len() == 1 && errors[0].starts_with("endpoint-1 (nb:1): ") && errors[0].contains("10 of 13"),
        "{errors:?}"
    );
    let counts = ["candidates", "soft_deleted", "failed", "skipped"].map(|name| result[name].as_u64().unwrap());
    assert_eq!(counts, [11, 1, 10, 0], "{result}");
    assert_eq!(marked(&estate.netbox.rows(MACHINES)), ["mail"]);
}

#[tokio::test]
async fn endpoint_whose_cluster_cannot_be_told_fails_by_name_and_the_others_are_swept() {
    let estate = two_clusters().await;
    for cluster in &estate.clusters {
        cluster.proxmox.world().change(|world| world.remove_guest(204)).unwrap();
    }
    let endpoints = "plugins/proxbox/endpoints/proxmox";
    let rows = estate.netbox.rows(endpoints);
    let first = rows.iter().find(|row| row["name"] == "endpoint-1").unwrap()["id"].as_u64();
    let disabled = json!({"enabled": false});
    estate.netbox.change(endpoints, first.unwrap(), &disabled).unwrap();
    let report = estate.job(SWEEP, estate.request.clone()).await;
    let (errors, result) = (report.errors(), report.result());
    assert!(
        errors.len() == 1 && errors[0].starts_with("endpoint-1 (nb:1): ") && errors[0].contains("disabled"),
        "{errors:?}"
    );
    assert_eq!((&result["candidates"], &result["soft_deleted"]), (&json!(1), &json!(1)));
    assert_eq!(marked(&estate.netbox.rows(MACHINES)), ["mail"]);
}

#[tokio::test]
async fn candidates_that_a_refused_plan_holds_are_told_as_failed_with_the_refusal() {
    let bench = mostly_gone().await;
    let events = bench.events(SWEEP, SyncRequest::default()).await;
    let items: Vec<_> = events.iter().filter(|event| event.name == "item_progress").collect();
    assert_eq!(items.len(), 10);
    for item in items {
        let error = item.data["error"].as_str().unwrap_or_default();
        assert!(
            item.data["operation"] == "failed" && error.contains("allow_shrink"),
            "{}",
            item.data
        );
    }
    let end = &events.last().unwrap().data;
    assert_eq!(
        (&end["ok"], &end["result"]["failed"]),
        (&json!(false), &json!(10)),
        "{end}"
    );
}

#[tokio::test]
async fn machines_that_cannot_be_read_again_are_skipped_and_those_of_the_next_endpoint_are_marked() {
    let estate = two_clusters().await;
    for cluster in &estate.clusters {
        cluster.proxmox.world().change(|world| world.remove_guest(204)).unwrap();
    }
    // Each endpoint has read them once before the first one reads them again.
    let failing = FaultRule::on(MACHINES, Fault::Status(500)).method("GET").only(3);
    estate.netbox.faults().add(failing);
    let report = estate.job(SWEEP, estate.request.clone()).await;
    let result = report.result();
    assert_eq!(report.errors(), [""; 0]);
    let counts = ["candidates", "soft_deleted", "failed", "skipped"].map(|name| result[name].as_u64().unwrap());
    assert_eq!(counts, [2, 1, 0, 1], "{result}");
    let told = result["warnings"].to_string();
    assert!(told.contains("could not be read again"), "{told}");
    assert_eq!(marked(&estate.netbox.rows(MACHINES)), ["mail"]);
}

#[tokio::test]
async fn guests_whose_kind_is_told_in_other_letters_are_known_again() {
    let bench = small().await;
    bench.stage(Stage::VirtualMachines).await;
    for state in bench.netbox.rows(MACHINE_STATES) {
        let kind = state["proxmox_vm_type"].as_str().unwrap().to_uppercase();
        let (id, shouted) = (state["id"].as_u64().unwrap(), json!({"proxmox_vm_type": kind}));
        bench.netbox.change(MACHINE_STATES, id, &shouted).unwrap();
    }
    bench.forget();
    assert_eq!(sweep(&bench, dry()).await.candidates, 0);
    bench.proxmox.world().change(|world| world.remove_guest(101)).unwrap();
    let report = sweep(&bench, SyncRequest::default()).await;
    assert_eq!((report.candidates, report.soft_deleted), (1, 1));
}

#[tokio::test]
async fn guests_that_are_hidden_since_a_moment_ago_are_not_gone() {
    let mut bench = small().await;
    bench.sign_in_as("auditor@pve");
    bench.stage(Stage::VirtualMachines).await;
    bench.proxmox.world().change(|world| world.access.acl.clear());
    let result = bench.job(SWEEP, lifted()).await.result();
    assert_eq!(result["skipped_reason"], "live_inventory_unavailable", "{result}");
    assert_eq!(marked(&bench.netbox.rows(MACHINES)), [""; 0]);
}

#[tokio::test]
async fn machine_that_cannot_be_read_again_or_is_marked_already_is_skipped_and_told() {
    let bench = small().await;
    bench.stage(Stage::VirtualMachines).await;
    bench.proxmox.world().change(|world| world.remove_guest(101)).unwrap();
    bench.forget();
    bench.take_writes();
    let told = |events: &[proxbox_api::sync::Event]| {
        let item = events.iter().find(|event| event.name == "item_progress").unwrap();
        json!([item.data["operation"], item.data["warning"]])
    };
    let gone = FaultRule::on(MACHINES, Fault::Unseen).method("GET").after(1);
    bench.netbox.faults().add(gone);
    let events = bench.events(SWEEP, SyncRequest::default()).await;
    assert_eq!(told(&events), json!(["skipped", "vm_unreadable"]));
    assert_eq!(bench.take_writes(), Vec::<String>::new());
    bench.netbox.faults().clear();
    assert_eq!(sweep(&bench, SyncRequest::default()).await.soft_deleted, 1);
    let events = bench.events(SWEEP, SyncRequest::default()).await;
    assert_eq!(told(&events), json!(["skipped", "already_swept"]));
}

#[tokio::test]
async fn sweep_that_is_asked_to_stop_while_it_reads_is_cancelled_and_neither_skipped_nor_failed() {
    let never = Duration::from_hours(1);
    for hung in ["netbox", "proxmox"] {
        let bench = small().await;
        bench.stage(Stage::VirtualMachines).await;
        bench.forget();
        bench.netbox.clear_requests();
        if hung == "netbox" {
            let hangs = FaultRule::on(MACHINE_STATES, Fault::Hang).method("GET");
            bench.netbox.faults().add(hangs);
        } else {
            let slow = ProxmoxFault::Latency(never);
            bench.proxmox.faults().on_path("/cluster/resources", slow);
        }
        let open = bench.proxmox.open_requests();
        bench.proxmox.clear_requests();
        let is_asked = || match hung {
            "netbox" => bench.netbox.requests().iter().any(|request| request.status == 0),
            _ => *open.borrow() > 0 && !bench.proxmox.requests().is_empty(),
        };
        let stop = async {
            until(is_asked).await;
            bench.stop_runs();
        };
        let run = sweep(&bench, SyncRequest::default());
        let both = async { tokio::join!(run, stop).0 };
        let report = tokio::time::timeout(Duration::from_secs(5), both).await;
        let report = report.unwrap_or_else(|_| panic!("the sweep waits for {hung}"));
        assert!(report.is_cancelled, "{hung}");
        assert_eq!((report.skipped_reason, report.errors().len()), (None, 0), "{hung}");
        assert!(report.warnings.is_empty(), "{hung}: {:?}", report.warnings);
    }
}
