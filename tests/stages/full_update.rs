//! All stages in one run, and the sweep.

use std::collections::BTreeMap;
use std::time::Duration;

use proxbox_api::netbox::standin::{Fault, FaultRule, StandinOptions};
use proxbox_api::proxmox::mock::{TOKEN_SECRET, World};
use proxbox_api::reconcile::Mode;
use proxbox_api::stages::Stage;
use proxbox_api::sync::{Job, JobReport, SweepReport, SyncRequest};
use serde_json::{Value, json};

use crate::harness::{Bench, MACHINE_STATES, MACHINES, tags};

pub(crate) const SWEEP: Job = Job::Sweep { vm_stage_failed: false };

pub(crate) async fn small() -> Bench {
    let mut bench = Bench::with(World::estate(2, 12), StandinOptions::default()).await;
    bench.delete_orphans = true;
    bench
}

pub(crate) async fn sweep(bench: &Bench, request: SyncRequest) -> SweepReport {
    match bench.job(SWEEP, request).await {
        JobReport::Sweep(report) => report,
        other @ (JobReport::Stage(_) | JobReport::FullUpdate(_) | JobReport::Individual(_)) => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn full_update_tells_every_stage_and_ends_once() {
    let bench = small().await;
    let events = bench.events(Job::FullUpdate, SyncRequest::default()).await;
    let steps: Vec<(&str, &str)> = events
        .iter()
        .filter(|event| event.name == "step" && event.data.get("payload").is_none())
        .filter_map(|event| Some((event.data["step"].as_str()?, event.data["status"].as_str()?)))
        .collect();
    let mut expected = vec![("stream", "started")];
    let stages = Stage::ORDER.iter().filter(|stage| **stage != Stage::Sdn);
    for name in stages.map(|stage| stage.as_str()).chain(["sweep-orphans"]) {
        expected.extend([(name, "started"), (name, "completed")]);
    }
    assert_eq!(steps, expected);
    assert_eq!(events[0].name, "bootstrap_done");
    assert_eq!(events.iter().filter(|event| event.name == "complete").count(), 1);
    let last = events.last().unwrap();
    assert_eq!((last.name, &last.data["ok"]), ("complete", &json!(true)));
    let result = &last.data["result"];
    assert_eq!(
        (&result["virtual_machines_count"], &result["devices_count"]),
        (&json!(12), &json!(2))
    );
    assert_eq!(result["orphan_sweep"]["candidates"], 0);
}

#[tokio::test]
async fn full_update_tells_what_is_to_come_and_how_long_each_stage_took() {
    let bench = small().await;
    let mut request = SyncRequest::default();
    "r-77".clone_into(&mut request.options.run_id);
    let events = bench.events(Job::FullUpdate, request).await;
    let discovery = events.iter().find(|event| event.name == "discovery").unwrap();
    let stages = Stage::ORDER.iter().filter(|stage| **stage != Stage::Sdn);
    let expected: Vec<Value> = stages
        .map(|stage| json!({"name": stage.as_str(), "type": "stage"}))
        .collect();
    assert_eq!(
        (&discovery.data["items"], &discovery.data["metadata"]["operation_id"]),
        (&json!(expected), &json!("r-77"))
    );
    let ended = events.iter().filter(|event| event.data["status"] == "completed");
    let ended: Vec<&Value> = ended
        .filter(|event| event.name == "step" && event.data.get("payload").is_none())
        .map(|event| &event.data)
        .collect();
    assert_eq!(ended.len(), 13);
    for step in ended {
        let took = step["duration_seconds"].as_f64().unwrap();
        assert!((took * 1000.0).fract().abs() < 1e-6, "{took}: whole milliseconds");
        assert!(step["result"].is_object(), "{step}");
    }
    assert_eq!(bench.machine_state(101)["last_run_id"], "r-77");
}

#[tokio::test]
async fn full_update_deletes_backups_that_are_gone() {
    let bench = small().await;
    bench.job(Job::FullUpdate, SyncRequest::default()).await;
    let gone = bench.proxmox.world().change(|world| world.backups.remove(0)).volid();
    let is_there = || {
        let rows = bench.netbox.rows("plugins/proxbox/backups");
        rows.iter().any(|row| row["volume_id"] == gone.as_str())
    };
    assert!(is_there());
    bench.job(Job::FullUpdate, SyncRequest::default()).await;
    assert!(!is_there());
}

#[tokio::test]
async fn second_full_update_writes_nothing() {
    let bench = small().await;
    bench.job(Job::FullUpdate, SyncRequest::default()).await;
    bench.take_writes();
    let report = bench.job(Job::FullUpdate, SyncRequest::default()).await;
    assert_eq!(report.errors(), Vec::<String>::new());
    assert_eq!(bench.take_writes(), Vec::<String>::new());
}

#[tokio::test]
async fn what_later_stages_need_is_read_while_the_devices_are_written() {
    let bench = small().await;
    bench
        .netbox
        .faults()
        .add(FaultRule::on("dcim/devices", Fault::Hang).method("POST"));
    bench.proxmox.clear_requests();
    let awaited = [
        "/storage",
        "/cluster/replication",
        "/cluster/backup",
        "/nodes/pve1/network",
        "/nodes/pve2/network",
    ];
    let mut open = bench.proxmox.open_requests();
    let all = async {
        while awaited
            .iter()
            .any(|path| bench.proxmox.requests().iter().all(|request| request.path != *path))
        {
            open.changed().await.unwrap();
        }
    };
    tokio::select! {
        _ = bench.job(Job::FullUpdate, SyncRequest::default()) => panic!("NetBox hangs"),
        told = tokio::time::timeout(Duration::from_secs(20), all) => assert!(told.is_ok()),
    }
    assert_eq!(bench.netbox.count("dcim/devices"), 0);
}

#[tokio::test]
async fn what_is_turned_off_is_not_read_ahead() {
    let bench = small().await;
    bench.proxmox.clear_requests();
    let mut request = SyncRequest::default();
    request.options.modes.node = Mode::Disabled;
    request.options.modes.machine = Mode::Disabled;
    request.options.modes.template = Mode::Disabled;
    request.options.modes.storage = Mode::Disabled;
    bench.job(Job::FullUpdate, request).await;
    let asked = take_asked(&bench);
    let unasked = asked
        .keys()
        .filter(|path| path.ends_with("/network") || *path == "/storage");
    assert_eq!(unasked.count(), 0, "{asked:?}");
    assert_eq!(asked["/cluster/replication"], 1);
}

#[tokio::test]
async fn what_could_not_be_read_ahead_is_asked_for_again_by_its_stage_and_told() {
    let bench = small().await;
    bench.proxmox.faults().fail("/cluster/replication", 500, "out of order");
    bench.proxmox.faults().fail("/nodes/pve2/network", 500, "out of order");
    bench.proxmox.clear_requests();
    let report = bench.job(Job::FullUpdate, SyncRequest::default()).await;
    let asked = take_asked(&bench);
    assert_eq!(asked["/nodes/pve1/network"], 1, "known already");
    assert_eq!(report.errors(), Vec::<String>::new());
    let result = report.result();
    let warnings = result["warnings"].to_string();
    for word in ["node-interfaces", "pve2", "replication jobs of the cluster"] {
        assert!(warnings.contains(word), "{word}: {warnings}");
    }
}

/// What was asked of Proxmox since the last call, and how often.
fn take_asked(bench: &Bench) -> BTreeMap<String, usize> {
    let mut asked = BTreeMap::new();
    for request in bench.proxmox.requests() {
        *asked.entry(request.path).or_default() += 1;
    }
    bench.proxmox.clear_requests();
    asked
}

/// What was asked of NetBox, and how often.
fn asked_of_netbox(bench: &Bench) -> BTreeMap<String, usize> {
    let mut asked = BTreeMap::new();
    for request in bench.netbox.requests() {
        *asked.entry(format!("{} {}", request.method, request.path)).or_default() += 1;
    }
    asked
}

#[tokio::test]
async fn full_update_uses_to_its_end_what_it_has_read() {
    let bench = small().await;
    bench.job(Job::FullUpdate, SyncRequest::default()).await;
    let expected = (take_asked(&bench), asked_of_netbox(&bench));
    bench.stage(Stage::VirtualDisks).await;
    assert_eq!(
        take_asked(&bench),
        BTreeMap::new(),
        "what it has read is left to the next run"
    );
    let mut slow = bench.beside().await;
    slow.delete_orphans = true;
    slow.inventory_ttl = Duration::ZERO;
    slow.job(Job::FullUpdate, SyncRequest::default()).await;
    assert_eq!(take_asked(&bench), expected.0);
    assert_eq!(asked_of_netbox(&slow), expected.1);
    slow.stage(Stage::VirtualDisks).await;
    assert!(asks_for_configs(&take_asked(&bench)), "a run of its own reads afresh");
}

fn asks_for_configs(asked: &BTreeMap<String, usize>) -> bool {
    asked.keys().any(|path| path.ends_with("/102/config"))
}

#[tokio::test]
async fn full_update_reads_nothing_again_after_a_gap_or_a_refusal() {
    let bench = Bench::with(World::estate(2, 12), StandinOptions::default()).await;
    let gap = "Permission check failed (/vms/101, VM.Audit)";
    bench.proxmox.faults().fail("/nodes/*/*/101/config", 403, gap);
    let names = bench.netbox.faults();
    names.refuse_row("plugins/proxbox/storage", "local", "name", "This name is reserved.");
    let report = bench.job(Job::FullUpdate, SyncRequest::default()).await;
    assert_eq!(report.result()["degraded"], true);
    let asked = take_asked(&bench);
    let again: Vec<_> = asked
        .iter()
        .filter(|(path, count)| path.starts_with("/nodes/") && **count > 1)
        .collect();
    assert!(again.is_empty(), "{again:?}");
    bench.stage(Stage::VirtualDisks).await;
    assert!(
        asks_for_configs(&take_asked(&bench)),
        "a run that went wrong leaves nothing to the next"
    );
}

#[tokio::test]
async fn storages_that_one_stage_could_not_read_are_read_by_the_next_that_needs_them() {
    let bench = small().await;
    // Once ahead of its stage, once by it.
    bench.proxmox.faults().fail_times("/storage", 500, "try again", 2);
    let report = bench.job(Job::FullUpdate, SyncRequest::default()).await;
    let result = report.result();
    assert_eq!(result["degraded"], true);
    assert!(result.to_string().contains("storages of the cluster"), "{result}");
    assert_eq!(bench.netbox.count("plugins/proxbox/storage"), 0);
    assert!(bench.netbox.count("plugins/proxbox/backups") > 0);
}

#[tokio::test]
async fn endpoint_that_does_not_answer_fails_the_full_update_once() {
    let bench = small().await;
    bench.proxmox.faults().endpoint_down(true);
    let report = bench.job(Job::FullUpdate, SyncRequest::default()).await;
    assert_eq!(report.errors().len(), 1, "{:?}", report.errors());
    assert_eq!(report.result()["status"], "failed");
    assert_eq!(report.result()["orphan_sweep"]["skipped_reason"], "vm_stage_failed");
}

#[tokio::test]
async fn jobs_are_kept_although_the_cluster_could_not_be_written() {
    let bench = small().await;
    let words = "This name is reserved.";
    let clusters = "virtualization/clusters";
    bench.netbox.faults().refuse_row(clusters, "lab", "name", words);
    let report = bench.job(Job::FullUpdate, SyncRequest::default()).await;
    let errors = report.errors();
    assert!(errors.len() == 1 && errors[0].contains(words), "{errors:?}");
    let jobs = bench.proxmox.world().read(|world| world.backup_jobs.len());
    assert_eq!(bench.netbox.count("plugins/proxbox/backup-routines"), jobs);
    assert_eq!(report.result()["backup_routines_count"], jobs);
}

#[tokio::test]
async fn jobs_are_kept_although_netbox_broke_off_among_the_devices() {
    let mut bench = small().await;
    bench.restart(true);
    bench.netbox.faults().add(FaultRule::on("dcim/devices", Fault::Reset));
    let report = bench.job(Job::FullUpdate, SyncRequest::default()).await;
    let errors = report.errors();
    assert!(errors.len() == 1 && errors[0].starts_with("devices: "), "{errors:?}");
    let jobs = bench.proxmox.world().read(|world| world.backup_jobs.len());
    assert_eq!(report.result()["backup_routines_count"], jobs);
    assert_eq!(bench.netbox.count("plugins/proxbox/backup-routines"), jobs);
}

#[tokio::test]
async fn gone_guest_is_marked_once_and_loses_the_mark_when_it_returns() {
    let mut bench = small().await;
    bench.stage(Stage::VirtualMachines).await;
    let name = bench.machine_of(101)["name"].as_str().unwrap().to_owned();
    let gone = bench.proxmox.world().change(|world| world.remove_guest(101)).unwrap();

    let dry = SyncRequest {
        dry_run: true,
        ..SyncRequest::default()
    };
    for is_enabled in [false, true] {
        bench.delete_orphans = is_enabled;
        let report = sweep(&bench, dry.clone()).await;
        assert_eq!((report.candidates, report.soft_deleted, report.skipped), (1, 0, 1));
        assert_eq!(report.is_enabled, is_enabled);
    }
    assert_eq!(bench.machine(&name)["status"]["value"], "active");

    let report = sweep(&bench, SyncRequest::default()).await;
    assert_eq!((report.candidates, report.soft_deleted, report.failed), (1, 1, 0));
    let machine = bench.machine(&name);
    assert_eq!(machine["status"]["value"], "decommissioning");
    assert!(tags(&machine).contains(&"proxbox-soft-deleted"));
    let report = sweep(&bench, SyncRequest::default()).await;
    assert_eq!((report.soft_deleted, report.skipped), (0, 1));

    bench.proxmox.world().change(|world| world.add_guest(gone));
    bench.forget();
    bench.stage(Stage::VirtualMachines).await;
    let machine = bench.machine(&name);
    assert_eq!(machine["status"]["value"], "active");
    assert!(!tags(&machine).contains(&"proxbox-soft-deleted"));
    assert_eq!(bench.netbox.count(MACHINES), 12);
}

#[tokio::test]
async fn sweep_looks_at_nothing_where_guests_may_be_missing() {
    let mut bench = small().await;
    bench.stage(Stage::VirtualMachines).await;
    bench.proxmox.world().change(|world| world.remove_guest(101));
    bench.take_writes();
    bench.proxmox.faults().fail("/cluster/resources", 500, "out of order");
    let report = sweep(&bench, SyncRequest::default()).await;
    assert_eq!(report.skipped_reason, Some("live_inventory_unavailable"));
    let told = report.result()["warnings"][0]["message"].as_str().unwrap().to_owned();
    assert!(told.contains("lab (nb:1)") && told.contains("out of order"), "{told}");
    bench.proxmox.faults().clear();
    let failed = Job::Sweep { vm_stage_failed: true };
    let result = bench.job(failed, SyncRequest::default()).await.result();
    assert_eq!(result["skipped_reason"], "vm_stage_failed");
    bench.delete_orphans = false;
    let result: Value = bench.job(SWEEP, SyncRequest::default()).await.result();
    assert_eq!(
        (&result["enabled"], &result["skipped_reason"]),
        (&json!(false), &json!("disabled"))
    );
    assert_eq!(bench.take_writes(), Vec::<String>::new());
}

#[tokio::test]
async fn guest_that_could_not_be_written_holds_the_sweep_back() {
    let bench = small().await;
    bench.stage(Stage::VirtualMachines).await;
    let gone = bench.machine_of(101)["name"].as_str().unwrap().to_owned();
    let refused = bench.machine_of(102)["name"].as_str().unwrap().to_owned();
    bench.proxmox.world().change(|world| {
        world.remove_guest(101);
        world.guest(102).unwrap().memory_mib = 777;
    });
    bench
        .netbox
        .faults()
        .refuse_row(MACHINES, &refused, "memory", "Too much.");
    bench.forget();
    let result = bench.job(Job::FullUpdate, SyncRequest::default()).await.result();
    assert_eq!(result["orphan_sweep"]["skipped_reason"], "vm_stage_failed");
    assert_eq!(bench.machine(&gone)["status"]["value"], "active");
}

#[tokio::test]
async fn sweep_looks_at_nothing_where_endpoints_or_rows_cannot_be_told() {
    let mut bench = small().await;
    bench.stage(Stage::VirtualMachines).await;
    bench.proxmox.world().change(|world| world.remove_guest(101));
    bench.take_writes();
    bench.missing = vec![77];
    let report = sweep(&bench, SyncRequest::default()).await;
    assert_eq!(report.skipped_reason, Some("live_inventory_unavailable"));
    assert!(report.warnings[0].to_string().contains("77"), "{report:?}");
    bench.missing.clear();
    for (fault, reason) in [
        (Fault::Status(403), "sidecar_read_failed"),
        (Fault::Html(404), "sidecar_unavailable"),
    ] {
        bench.forget();
        bench.netbox.faults().add(FaultRule::on(MACHINE_STATES, fault));
        let report = sweep(&bench, SyncRequest::default()).await;
        assert_eq!(report.skipped_reason, Some(reason));
        assert_eq!(report.warnings.len(), 1, "{report:?}");
        bench.netbox.faults().clear();
    }
    assert_eq!(bench.take_writes(), Vec::<String>::new());
    assert_eq!(sweep(&bench, SyncRequest::default()).await.soft_deleted, 1);
}

#[tokio::test]
async fn sweep_by_an_account_that_sees_some_guests_only_marks_nothing() {
    let mut bench = small().await;
    bench.stage(Stage::VirtualMachines).await;
    let user = "narrow@pve";
    bench.proxmox.world().change(|world| {
        world.access.add_user(user, "secret");
        world.access.add_token("narrow@pve!netbox", TOKEN_SECRET, false);
        world
            .access
            .roles
            .push(("Status".to_owned(), vec!["Sys.Audit".to_owned()]));
        world.access.allow("/", user, "Status");
        for vmid in 101..112 {
            world.access.allow(&format!("/vms/{vmid}"), user, "PVEAuditor");
        }
    });
    bench.sign_in_as(user);
    bench.take_writes();
    let report = sweep(&bench, SyncRequest::default()).await;
    assert_eq!(report.skipped_reason, Some("live_inventory_unavailable"), "{report:?}");
    assert_eq!(bench.take_writes(), Vec::<String>::new());
}

#[tokio::test]
async fn sweep_goes_on_after_a_refusal_and_tells_each_candidate() {
    let bench = small().await;
    bench.stage(Stage::VirtualMachines).await;
    let names = [100, 101, 102, 104].map(|vmid| {
        let machine = bench.machine_of(vmid);
        bench.proxmox.world().change(|world| world.remove_guest(vmid));
        (machine["name"].as_str().unwrap().to_owned(), machine["id"].clone())
    });
    let state = bench.machine_state(102);
    let incomplete = json!({"proxmox_vm_type": ""});
    bench
        .netbox
        .change(MACHINE_STATES, state["id"].as_u64().unwrap(), &incomplete)
        .unwrap();
    bench
        .netbox
        .faults()
        .refuse_row(MACHINES, &names[0].0, "status", "This one stays.");
    let gone = format!("Object with ID {} does not exist", names[3].1);
    bench.netbox.faults().refuse_row(MACHINES, &names[3].0, "id", &gone);
    let mut request = SyncRequest::default();
    "r-78".clone_into(&mut request.options.run_id);
    let events = bench.events(SWEEP, request).await;
    let items: Vec<Value> = events
        .iter()
        .filter(|event| event.name == "item_progress")
        .map(|event| {
            let data = &event.data;
            assert_eq!(data["phase"], "sweep_orphans");
            let item = &data["item"];
            assert_eq!(
                (&item["item_type"], &item["extra"]["run_id"]),
                (&json!("virtual_machine"), &json!("r-78"))
            );
            assert_eq!(item["extra"]["reason"], "orphan");
            json!([item["netbox_id"], data["operation"], data["warning"]])
        })
        .collect();
    let expected = [
        json!([names[0].1, "failed", null]),
        json!([names[1].1, "updated", null]),
        json!([names[2].1, "skipped", "identity_incomplete"]),
        json!([names[3].1, "skipped", "it is no longer in NetBox"]),
    ];
    assert_eq!(items, expected);
    let summary = events.iter().find(|event| event.name == "phase_summary").unwrap();
    let counts = ["updated", "failed", "skipped"].map(|key| summary.data["result"][key].as_u64().unwrap());
    assert_eq!(counts, [1, 1, 2]);
    let result = &events.last().unwrap().data["result"];
    let warning = result["warnings"][0].clone();
    let expected = json!({
        "enabled": true, "skipped_reason": null, "run_id": "r-78", "dry_run": false, "candidates": 4, "deleted": 0,
        "soft_deleted": 1, "failed": 1, "skipped": 2, "degraded": true, "warnings": [warning],
    });
    assert_eq!(result, &expected);
    assert_eq!(warning["name"], names[0].0);
    assert!(
        warning["reason"].as_str().unwrap().contains("This one stays."),
        "{warning}"
    );
    assert_eq!(bench.machine(&names[0].0)["status"]["value"], "active");
}

#[tokio::test]
async fn sweep_of_too_many_at_once_is_refused() {
    let bench = small().await;
    bench.stage(Stage::VirtualMachines).await;
    bench.proxmox.world().change(|world| world.guests.clear());
    bench.take_writes();
    let report = bench.job(SWEEP, SyncRequest::default()).await;
    assert!(
        report.errors()[0].contains("allow_shrink=true"),
        "{:?}",
        report.errors()
    );
    assert_eq!(bench.take_writes(), Vec::<String>::new());
}

#[tokio::test]
async fn stages_of_a_full_update_end_with_the_counts_that_are_their_own() {
    let bench = small().await;
    let events = bench.events(Job::FullUpdate, SyncRequest::default()).await;
    let steps = events
        .iter()
        .filter(|event| event.name == "step" && event.data.get("payload").is_none());
    let completed = steps.filter(|event| event.data["status"] == "completed");
    let results: BTreeMap<&str, &Value> = completed
        .map(|event| (event.data["step"].as_str().unwrap(), &event.data["result"]))
        .collect();
    let whole = &events.last().unwrap().data["result"];
    for stage in Stage::ORDER.iter().filter(|stage| **stage != Stage::Sdn) {
        let (name, result) = (stage.as_str(), results[stage.as_str()]);
        if matches!(stage, Stage::Replications | Stage::BackupRoutines) {
            let [created, updated] = ["created", "updated"].map(|key| result[key].as_u64().unwrap());
            assert_eq!(
                whole[format!("{}_count", name.replace('-', "_"))],
                created + updated,
                "{name}"
            );
        } else {
            assert!(result["count"].is_u64(), "{name}: {result}");
        }
    }
    assert_eq!(results["sweep-orphans"], &whole["orphan_sweep"]);
    let stream = events.iter().find(|event| event.data["step"] == "stream").unwrap();
    let discovery = events.iter().find(|event| event.name == "discovery").unwrap();
    let operation = discovery.data["metadata"]["operation_id"].as_str().unwrap();
    assert!(
        stream.data["message"].as_str().unwrap().contains(operation),
        "{}",
        stream.data
    );
}
