//! The full update and the sweep over HTTP.

use proxbox_api::netbox::standin::{Fault, FaultRule};
use proxbox_api::proxmox::mock::World;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::proxmox_endpoints::{mock, pushed, store};
use crate::world::{DEVICES, Trio, complete, frames, introduce};

const SWEEP: &str = "/virtualization/virtual-machines/orphans/sweep";
const MACHINES: &str = "/api/virtualization/virtual-machines/";

#[tokio::test]
async fn full_update_fills_netbox_and_a_second_one_writes_nothing() {
    let trio = Trio::start().await;
    let frames = trio.stream("/full-update/stream").await;
    let end = complete(&frames);
    assert_eq!(end["ok"], true, "{end}");
    assert_eq!(frames[0].0, "bootstrap_done");
    assert_eq!(end["result"]["virtual_machines_count"], 12, "{end}");
    assert_eq!(trio.netbox.count(MACHINES), 12);
    assert!(trio.netbox.count("/api/virtualization/virtual-disks/") > 12);
    trio.netbox.clear_requests();
    let (status, result) = trio.app.get("/full-update").await;
    assert_eq!(
        (status, &result["devices_count"]),
        (StatusCode::OK, &json!(2)),
        "{result}"
    );
    assert_eq!(trio.netbox.writes(), [], "an unchanged estate writes nothing");
}

#[tokio::test]
async fn full_update_goes_on_after_a_stage_that_fails_and_says_so() {
    let trio = Trio::start().await;
    let storages = FaultRule::on("/api/plugins/proxbox/storage/", Fault::Status(400));
    trio.netbox.faults().add(storages);
    trio.stream("/full-update/stream").await;
    assert_eq!(
        trio.netbox.count(MACHINES),
        12,
        "the guests do not depend on the storages"
    );
    // Of a cluster that it had just made the first run had no storages to read.
    let end = complete(&trio.stream("/full-update/stream").await).clone();
    assert_eq!(end["ok"], false, "{end}");
    let (status, body) = trio.app.get("/full-update").await;
    assert!(status.is_client_error() || status.is_server_error(), "{status}: {body}");
    let detail = &body["detail"];
    assert!(detail["errors"][0].as_str().unwrap().starts_with("storage: "), "{body}");
    assert_eq!(
        (&detail["result"]["status"], &detail["result"]["virtual_machines_count"]),
        (&json!("failed"), &json!(12)),
        "{body}"
    );
}

#[tokio::test]
async fn result_has_every_stage_and_its_count_in_both_forms() {
    let trio = Trio::start().await;
    // What means something elsewhere is nothing to a full update.
    let streamed = complete(&trio.stream("/full-update/stream?type=storage").await)["result"].clone();
    assert_eq!(streamed["virtual_machines_count"], 12);
    let (status, plain) = trio.app.get("/full-update").await;
    assert_eq!(status, StatusCode::OK, "{plain}");
    let stages = [
        "devices",
        "storage",
        "virtual_machines",
        "virtual_disks",
        "task_history",
        "backups",
        "snapshots",
        "node_interfaces",
        "vm_interfaces",
        "vm_ip_addresses",
        "replications",
        "backup_routines",
    ];
    let mut expected: Vec<String> = stages.iter().map(|stage| format!("{stage}_count")).collect();
    expected.extend(stages.map(str::to_owned));
    expected.push("status".to_owned());
    expected.sort();
    for result in [streamed, plain] {
        let mut keys: Vec<&String> = result.as_object().unwrap().keys().collect();
        keys.sort();
        assert_eq!(keys, expected.iter().collect::<Vec<_>>());
        assert_eq!(result["status"], "completed");
        for stage in stages {
            let (found, count) = (&result[stage], &result[format!("{stage}_count")]);
            assert!(count.is_u64(), "{stage}: {count}");
            if let Some(records) = found.as_array() {
                assert_eq!(count, records.len(), "{stage}");
                assert!(records.iter().all(Value::is_object), "{stage}: {found}");
            }
        }
    }
}

#[tokio::test]
async fn supporting_objects_are_told_as_this_run_found_them() {
    let trio = Trio::start().await;
    let told = |frames: &[(String, Value)]| {
        let [made, found] = ["created", "unchanged"].map(|key| frames[0].1[key].as_array().unwrap().len());
        (frames[0].0.clone(), made, found)
    };
    let first = trio.stream("/full-update/stream").await;
    let (name, made, found) = told(&first);
    assert!(name == "bootstrap_done" && made > 0, "{:?}", first[0]);
    let second = trio.stream("/full-update/stream").await;
    let patched = first[0].1["patched"].as_array().unwrap().len();
    assert_eq!(told(&second), (name, 0, made + found + patched), "{:?}", second[0]);
}

#[tokio::test]
async fn full_update_is_shown_while_it_runs_and_stops_when_its_client_leaves() {
    let trio = Trio::start().await;
    let idle = json!({"active": false, "started_at": null, "id": null, "kind": null, "runs": []});
    assert_eq!(trio.app.get("/sync/active").await, (StatusCode::OK, idle.clone()));
    let hang = FaultRule::on("/api/plugins/proxbox/storage/", Fault::Hang).method("GET");
    trio.netbox.faults().add(hang);
    let mut response = trio.open("/full-update/stream").await;
    response.chunk().await.unwrap().unwrap();
    let (_, active) = trio.app.get("/sync/active").await;
    let run = &active["runs"][0];
    let expected = json!({
        "active": true, "started_at": run["started_at"], "id": run["id"], "kind": "full-update",
        "runs": [{
            "id": run["id"], "kind": "full-update", "started_at": run["started_at"],
            "endpoints": [format!("database:{}", trio.endpoint)],
        }],
    });
    assert_eq!(active, expected);
    let started = run["started_at"].as_str().unwrap();
    assert!(started.contains('T') && started.ends_with('Z'), "{started}");
    drop(response);
    trio.netbox.faults().clear();
    trio.idle().await;
    assert_eq!(trio.netbox.count(MACHINES), 0, "it stopped before its next write");
    assert_eq!(trio.app.get("/sync/active").await.1, idle);
}

#[tokio::test]
async fn limits_of_the_shrink_guard_are_settings() {
    let limits = [
        ("PROXBOX_SHRINK_LIMIT_PERCENT", "50"),
        ("PROXBOX_SHRINK_LIMIT_ROWS", "3"),
    ];
    let trio = Trio::with(&limits, World::estate(2, 12)).await;
    let path = "/proxmox/cluster/backup/stream";
    assert_eq!(complete(&trio.stream("/full-update/stream").await)["ok"], true);
    let jobs = trio
        .proxmox
        .world()
        .change(|world| std::mem::take(&mut world.backup_jobs));
    assert_eq!(jobs.len(), 4);
    trio.proxmox
        .world()
        .change(|world| world.backup_jobs = jobs[2..].to_vec());
    let devices = format!("{DEVICES}/stream");
    trio.stream(&devices).await;
    let end = complete(&trio.stream(path).await).clone();
    assert_eq!(
        (&end["ok"], &end["result"]["stale"]),
        (&json!(true), &json!(2)),
        "{end}"
    );
    trio.proxmox.world().change(|world| world.backup_jobs = jobs);
    trio.stream(&devices).await;
    trio.stream(path).await;
    trio.proxmox.world().change(|world| world.backup_jobs.truncate(1));
    trio.stream(&devices).await;
    let end = complete(&trio.stream(path).await).clone();
    let refusal = end["errors"][0]["detail"].as_str().unwrap();
    assert!(refusal.contains("3 of 4") && refusal.contains("50 %"), "{refusal}");
    let end = complete(&trio.stream(&format!("{path}?allow_shrink=true")).await).clone();
    assert_eq!(end["result"]["stale"], 3, "{end}");
}

#[tokio::test]
async fn sweep_marks_the_machine_of_a_guest_that_is_gone() {
    let trio = Trio::with(&[("PROXBOX_DELETE_ORPHANS", "true")], World::estate(2, 12)).await;
    assert_eq!(complete(&trio.stream("/full-update/stream").await)["ok"], true);
    trio.proxmox.world().change(|world| world.remove_guest(100)).unwrap();
    let scoped = format!("{SWEEP}?run_id=r1&proxmox_endpoint_ids={}", trio.endpoint);
    let (status, plan) = trio.app.get(&format!("{SWEEP}?run_id=r1&dry_run=true")).await;
    assert_eq!((status, &plan["candidates"]), (StatusCode::OK, &json!(1)), "{plan}");
    let (status, result) = trio.app.get(&scoped).await;
    assert_eq!(
        (status, &result["soft_deleted"]),
        (StatusCode::OK, &json!(1)),
        "{result}"
    );
    let marked = trio.netbox.rows(MACHINES);
    let marked = marked.iter().filter(|row| row["status"]["value"] == "decommissioning");
    assert_eq!(marked.count(), 1);
}

#[tokio::test]
async fn sweep_that_would_write_names_its_run_and_its_endpoints() {
    let trio = Trio::start().await;
    for (query, parameter) in [
        ("", "run_id"),
        ("?run_id=r1", "proxmox_endpoint_ids"),
        ("?run_id=r1&dry_run=perhaps", "dry_run"),
    ] {
        let (status, body) = trio.app.get(&format!("{SWEEP}{query}")).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{query}: {body}");
        assert!(body.to_string().contains(parameter), "{query}: {body}");
    }
}

#[tokio::test]
async fn sweep_names_the_endpoints_that_do_not_open_and_fails_where_none_does() {
    let trio = Trio::start().await;
    let dead = mock().await;
    let plugin = introduce(&trio.netbox, "beta", &dead);
    let dead_id = store(&trio.app, &pushed(&format!("beta (nb:{plugin})"), &dead)).await;
    dead.faults().endpoint_down(true);
    for route in ["", "/stream"] {
        let response = trio.open(&format!("{SWEEP}{route}?run_id=r1&dry_run=true")).await;
        let named = response.headers()["x-proxbox-endpoint-errors"].to_str().unwrap();
        let expected = format!(r#"{{"failed":1,"ids":[{dead_id}],"truncated":false}}"#);
        assert_eq!(
            (response.status(), named),
            (StatusCode::OK, expected.as_str()),
            "{route}"
        );
    }
    let alone = format!("{SWEEP}?run_id=r1&dry_run=true&proxmox_endpoint_ids={dead_id}");
    let (status, body) = trio.app.get(&alone).await;
    assert_eq!(
        (status, &body["message"]),
        (StatusCode::BAD_GATEWAY, &json!("No Proxmox endpoint could be opened")),
        "{body}"
    );
    assert!(body["detail"].as_str().unwrap().starts_with("beta"), "{body}");
    // One that is switched off opens nothing.
    let (status, result) = trio.app.get(&format!("{SWEEP}?run_id=r1&endpoint_ids={dead_id}")).await;
    assert_eq!(
        (status, &result["skipped_reason"]),
        (StatusCode::OK, &json!("disabled")),
        "{result}"
    );
}

#[tokio::test]
async fn full_update_can_be_cancelled_by_its_id_and_starts_no_later_stage() {
    let trio = Trio::start().await;
    let hang = FaultRule::on("/api/plugins/proxbox/storage/", Fault::Hang).method("GET");
    trio.netbox.faults().add(hang);
    let response = trio.open("/full-update/stream").await;
    let (_, active) = trio.app.get("/sync/active").await;
    let id = active["id"].as_str().unwrap();
    let (status, _) = trio.app.delete(&format!("/sync/active/{id}")).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    let frames = frames(&response.text().await.unwrap());
    let end = complete(&frames);
    assert_eq!(
        (&end["ok"], &end["message"], &end["result"]["status"]),
        (
            &json!(false),
            &json!("Full update sync cancelled."),
            &json!("cancelled")
        ),
        "{end}"
    );
    assert!(end["result"].get("virtual_machines").is_none(), "{end}");
    let (name, error) = &frames[frames.len() - 2];
    assert_eq!(
        (name.as_str(), &error["step"], &error["status"]),
        ("error", &json!("full-update"), &json!("failed"))
    );
    let is_of_whole = |(name, data): &(String, Value)| name == "error_detail" && data["phase"] == "full-update";
    assert!(!frames.iter().any(is_of_whole), "nothing has failed");
    assert_eq!(trio.netbox.count(MACHINES), 0);
}

#[tokio::test]
async fn runs_are_shown_oldest_first_and_a_detached_one_can_be_cancelled() {
    let trio = Trio::start().await;
    trio.netbox
        .faults()
        .add(FaultRule::on("dcim/devices", Fault::Hang).method("GET"));
    let devices = trio.open(&format!("{DEVICES}/stream?detach=true")).await;
    let full = trio.open("/full-update/stream").await;
    let (_, active) = trio.app.get("/sync/active").await;
    let runs = active["runs"].as_array().unwrap();
    let kinds: Vec<&Value> = runs.iter().map(|run| &run["kind"]).collect();
    assert_eq!(kinds, ["devices", "full-update"]);
    for key in ["id", "kind", "started_at"] {
        assert_eq!(active[key], runs[0][key], "{key}");
    }
    drop((devices, full));
    let id = runs[0]["id"].as_str().unwrap();
    let (status, _) = trio.app.delete(&format!("/sync/active/{id}")).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    // NetBox still hangs: nothing but the request has ended it.
    trio.idle().await;
    assert_eq!(trio.netbox.count("/api/dcim/devices/"), 0);
}

#[tokio::test]
async fn streamed_sweep_ends_with_its_result_and_heeds_a_stage_that_failed() {
    let trio = Trio::with(&[("PROXBOX_DELETE_ORPHANS", "true")], World::estate(2, 12)).await;
    assert_eq!(complete(&trio.stream("/full-update/stream").await)["ok"], true);
    trio.proxmox.world().change(|world| world.remove_guest(100)).unwrap();
    let path = format!("{SWEEP}/stream?run_id=r1&endpoint_ids={}", trio.endpoint);
    let end = complete(&trio.stream(&format!("{path}&vm_stage_failed=true")).await).clone();
    assert_eq!(
        (&end["ok"], &end["result"]["skipped_reason"]),
        (&json!(true), &json!("vm_stage_failed"))
    );
    let frames = trio.stream(&path).await;
    let expected = json!({
        "enabled": true, "skipped_reason": null, "run_id": "r1", "dry_run": false, "candidates": 1, "deleted": 0,
        "soft_deleted": 1, "failed": 0, "skipped": 0,
    });
    assert_eq!(
        (&frames[0].1["step"], &complete(&frames)["result"]),
        (&json!("sweep-orphans"), &expected)
    );
}

#[tokio::test]
async fn supporting_objects_in_step_are_told_by_all_their_labels() {
    let trio = Trio::start().await;
    trio.stream("/full-update/stream").await;
    let frames = trio.stream("/full-update/stream").await;
    let (name, mut status) = frames[0].clone();
    let labels = status["unchanged"].as_array_mut().unwrap();
    labels.sort_by_key(ToString::to_string);
    let expected = json!({
        "ok": true, "skipped": false, "reason": null, "warnings": [], "created": [], "patched": [],
        "unchanged": [
            "cluster_type:proxmox", "device_role:proxmox-node", "device_type:proxmox-generic-device",
            "manufacturer:proxmox", "tag:Proxbox", "tag:proxbox-discovered-cluster", "tag:proxbox-discovered-lxc",
            "tag:proxbox-discovered-node", "tag:proxbox-discovered-qemu", "tag:proxbox-soft-deleted",
            "vm_role:container-lxc", "vm_role:unknown", "vm_role:virtual-machine-qemu", "vm_type:lxc-container",
            "vm_type:qemu-virtual-machine",
        ],
    });
    assert_eq!((name.as_str(), status), ("bootstrap_done", expected));
}
