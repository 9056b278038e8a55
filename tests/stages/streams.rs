//! What streams tell: steps, results, and what is said of each object.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::StreamExt as _;
use proxbox_api::error::ErrorKind;
use proxbox_api::netbox::standin::{Fault, FaultRule, StandinOptions};
use proxbox_api::proxmox::mock::world::{Agent, AgentInterface, GuestKind, GuestStatus, Replication};
use proxbox_api::proxmox::mock::{Fault as ProxmoxFault, World};
use proxbox_api::reconcile::ObjectId;
use proxbox_api::stages::Stage;
use proxbox_api::sync::{Event, Job, SyncRequest};
use serde_json::{Value, json};

use crate::harness::{Bench, MACHINE_STATES};

const SNAPSHOTS: &str = "plugins/proxbox/snapshots";

async fn small() -> Bench {
    Bench::with(World::estate(2, 12), StandinOptions::default()).await
}

/// Both sides after one full update.
async fn filled() -> Bench {
    let bench = small().await;
    let report = bench.job(Job::FullUpdate, SyncRequest::default()).await;
    assert_eq!(report.errors(), [""; 0]);
    bench.take_writes();
    bench
}

/// The request for the virtual machine of one guest, by its path.
fn of_guest(bench: &Bench, vmid: u32) -> SyncRequest {
    let id = bench.machine_of(vmid)["id"].as_u64().unwrap();
    let mut request = SyncRequest::default().of_machine(ObjectId(id));
    request.options.guests.sync_task_history = false;
    request
}

fn names(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.name).collect()
}

fn found<'e>(events: &'e [Event], name: &str) -> Vec<&'e Value> {
    let found = events.iter().filter(|event| event.name == name);
    found.map(|event| &event.data).collect()
}

/// What stages say of themselves.
fn notes(events: &[Event]) -> Vec<&Value> {
    let steps = found(events, "step").into_iter();
    steps
        .filter(|data| data["step"] == "sync")
        .map(|data| &data["payload"])
        .collect()
}

#[tokio::test]
async fn every_stage_ends_with_the_counts_that_are_its_own() {
    let bench = filled().await;
    let all = json!(["count"]);
    for (stage, keys) in [
        (Stage::Devices, &all),
        (Stage::Storage, &all),
        (Stage::VirtualMachines, &all),
        (Stage::TaskHistory, &json!(["count", "created", "skipped"])),
        (Stage::VirtualDisks, &json!(["count", "created", "updated", "skipped"])),
        (Stage::Backups, &all),
        (
            Stage::Snapshots,
            &json!(["count", "created", "updated", "skipped", "deleted"]),
        ),
        (Stage::NodeInterfaces, &all),
        (Stage::VmInterfaces, &all),
        (Stage::VmIpAddresses, &all),
        (Stage::Replications, &json!(["created", "updated", "stale", "errors"])),
        (Stage::BackupRoutines, &json!(["created", "updated", "stale", "errors"])),
    ] {
        let mut request = SyncRequest::default();
        request.options.guests.sync_network = false;
        request.options.guests.sync_task_history = false;
        let events = bench.events(stage, request).await;
        let name = stage.as_str();
        let [first, .., finished, complete] = events.as_slice() else {
            panic!("{name}: {events:?}");
        };
        assert_eq!(
            (first.name, &first.data["step"], &first.data["status"]),
            ("step", &json!(name), &json!("started"))
        );
        assert_eq!(
            (finished.name, &finished.data["step"], &finished.data["status"]),
            ("step", &json!(name), &json!("completed"))
        );
        assert_eq!((complete.name, &complete.data["ok"]), ("complete", &json!(true)));
        let result = &complete.data["result"];
        assert_eq!(&finished.data["result"], result, "{name}");
        for key in keys.as_array().unwrap() {
            assert!(result[key.as_str().unwrap()].is_u64(), "{name} lacks {key}: {result}");
        }
        assert!(result.get("degraded").is_none(), "{name}: {result}");
    }
}

#[tokio::test]
async fn stages_of_what_guests_have_count_guests() {
    let bench = filled().await;
    for stage in [Stage::TaskHistory, Stage::VirtualDisks, Stage::Snapshots] {
        let result = bench.stage(stage).await.result();
        assert_eq!(result["count"], 12, "{}: {result}", stage.as_str());
    }
    let result = bench.stage(Stage::VirtualDisks).await.result();
    assert_eq!((&result["created"], &result["skipped"]), (&json!(0), &json!(12)));
    let result = bench.stage(Stage::TaskHistory).await.result();
    assert!(result["created"].as_u64() > Some(0), "rows in step count: {result}");
    assert_eq!(result["rows_created"], 0, "{result}");
}

#[tokio::test]
async fn stages_of_the_estate_tell_what_they_found_and_sum_up() {
    let bench = filled().await;
    let (nodes, storages, replications, routines) = bench.proxmox.world().read(|world| {
        let nodes: Vec<String> = world.nodes.iter().map(|node| node.name.clone()).collect();
        let storages: Vec<String> = world.storages.iter().map(|storage| storage.id.clone()).collect();
        let replications: Vec<String> = world.replications.iter().map(Replication::id).collect();
        let jobs = world.backup_jobs.iter();
        let routines: Vec<String> = jobs.map(|job| job["id"].as_str().unwrap().to_owned()).collect();
        (nodes, storages, replications, routines)
    });
    for (stage, kind, names, metadata) in [
        (Stage::Devices, "node", nodes, json!({"total_devices": 2})),
        (Stage::Storage, "storage", storages, json!({"fetch_concurrency": 8})),
        (Stage::Replications, "replication", replications, Value::Null),
        (Stage::BackupRoutines, "backup-routine", routines, Value::Null),
    ] {
        let count = names.len();
        assert!(count > 0, "{kind}");
        let events = bench.events(stage, SyncRequest::default()).await;
        let frame = found(&events, "discovery")[0];
        let named = names
            .iter()
            .map(|name| json!({"name": name, "item_type": kind}).to_string());
        let expected: BTreeSet<String> = named.collect();
        let items = frame["items"].as_array().unwrap();
        assert_eq!(items.iter().map(ToString::to_string).collect::<BTreeSet<_>>(), expected);
        let told = ["event", "phase", "status", "count", "progress", "metadata"].map(|key| frame[key].clone());
        let progress = json!({"current": 0, "total": count, "percent": 0.0});
        let expected = [
            json!("discovery"),
            json!(stage.as_str()),
            json!("discovered"),
            json!(count),
            progress,
            metadata,
        ];
        assert_eq!(told, expected);
        let summary = found(&events, "phase_summary")[0];
        let result = json!({
            "created": 0, "updated": 0, "deleted": 0, "failed": 0, "skipped": count, "total": count
        });
        assert_eq!(
            (&summary["phase"], &summary["status"], &summary["result"]),
            (&json!(stage.as_str()), &json!("completed"), &result)
        );
    }
}

#[tokio::test]
async fn every_node_is_told_when_its_turn_comes_and_how_it_fared() {
    let bench = Bench::with(World::estate(2, 2), StandinOptions::default()).await;
    for (operation, status, row) in [("created", "completed", "created"), ("skipped", "skipped", "unchanged")] {
        let events = bench.events(Stage::Devices, SyncRequest::default()).await;
        let of_nodes = |event: &&Event| {
            event.name == "item_progress" || (event.name == "step" && event.data["payload"]["object"] == "device")
        };
        let told: Vec<String> = events
            .iter()
            .filter(of_nodes)
            .map(|event| {
                let data = &event.data;
                let columns = &data["payload"]["data"];
                let id = if columns.is_object() {
                    &columns["netbox_id"]
                } else {
                    &data["item"]["netbox_id"]
                };
                let name = if columns.is_object() {
                    &data["rowid"]
                } else {
                    &data["item"]["name"]
                };
                let fate = if columns.is_object() {
                    &columns["sync_status"]
                } else {
                    &data["operation"]
                };
                format!("{} {name} {} {fate} {}", event.name, data["status"], id.is_u64())
            })
            .collect();
        let begun = |name| {
            [
                format!(r#"item_progress "{name}" "processing" "created" false"#),
                format!(r#"step "{name}" "progress" "syncing" false"#),
            ]
        };
        let done = |name| {
            [
                format!(r#"item_progress "{name}" "{status}" "{operation}" true"#),
                format!(r#"step "{name}" "completed" "{row}" true"#),
            ]
        };
        let end = [r#"step null "completed" null false"#.to_owned()];
        let expected = [begun("pve1"), begun("pve2"), done("pve1"), done("pve2")].concat();
        assert_eq!(told, [expected, end.to_vec()].concat());
    }
}

#[tokio::test]
async fn jobs_that_are_gone_are_counted_as_stale_and_refused_ones_as_errors() {
    let bench = filled().await;
    let gone = bench.proxmox.world().change(|world| {
        let nobody = json!({"id": "backup-nobody", "type": "vzdump", "enabled": 1, "schedule": "21:00"});
        let gone = std::mem::take(&mut world.backup_jobs).len();
        world.backup_jobs.push(nobody.as_object().unwrap().clone());
        gone
    });
    bench.forget();
    let report = bench.stage(Stage::BackupRoutines).await;
    let result = report.result();
    let counts = ["created", "updated", "stale", "errors"].map(|key| result[key].as_u64().unwrap());
    assert_eq!(counts, [0, 0, gone as u64, 1], "{result}");
    let warning = &result["warnings"][0];
    assert_eq!(warning["name"], "backup-nobody", "{warning}");
    let message = warning["message"].as_str().unwrap();
    assert!(message.ends_with(warning["reason"].as_str().unwrap()), "{warning}");
}

#[tokio::test]
async fn virtual_machine_without_a_sound_identity_is_a_warning_with_its_id_and_guest() {
    let bench = filled().await;
    let state = bench.machine_state(101);
    let (row, machine) = (state["id"].as_u64().unwrap(), &state["virtual_machine"]["id"]);
    bench
        .netbox
        .change(MACHINE_STATES, row, &json!({"proxmox_vm_type": ""}))
        .unwrap();
    bench.forget();
    for stage in [
        Stage::TaskHistory,
        Stage::VirtualDisks,
        Stage::Backups,
        Stage::Snapshots,
        Stage::VmInterfaces,
        Stage::VmIpAddresses,
    ] {
        let before = bench.netbox.fingerprint();
        let result = bench.stage(stage).await.result();
        let warning = &result["warnings"][0];
        assert_eq!(
            (&warning["netbox_vm_id"], &warning["vmid"]),
            (machine, &json!(101)),
            "{}: {result}",
            stage.as_str()
        );
        assert_eq!(warning["reason"], "its sync state has no kind of guest", "{warning}");
        assert_eq!(bench.netbox.fingerprint(), before, "{}", stage.as_str());
    }
}

#[tokio::test]
async fn machine_and_interface_without_an_address_are_told() {
    let bench = filled().await;
    let bare = bench.proxmox.world().change(|world| {
        let guest = world.guests.get_mut(&103).unwrap();
        for number in 0..5 {
            guest.config.remove(&format!("net{number}"));
        }
        let nic = "name=eth5,hwaddr=BC:24:11:00:00:05,bridge=vmbr0,ip=manual";
        guest.config.set("net5", nic);
        guest.name.clone()
    });
    bench.forget();
    let events = bench.events(Stage::VirtualMachines, of_guest(&bench, 103)).await;
    let steps = found(&events, "step").into_iter();
    let told: Vec<&Value> = steps.filter(|data| data["step"] == "virtual_machine").collect();
    let data = &told[0]["payload"]["data"];
    assert_eq!((&data["status"], &data["rowid"]), (&json!("warning"), &json!(bare)));
    assert_eq!(data["warning"], told[0]["message"]);
    let events = bench.events(Stage::VmIpAddresses, SyncRequest::default()).await;
    let steps = found(&events, "step").into_iter();
    let rows: Vec<&Value> = steps.filter(|data| data["step"] == "vm_ip").collect();
    let [told @ .., end] = rows.as_slice() else {
        panic!("no rows");
    };
    let rowid = format!("{bare}/eth5");
    let rows: Vec<_> = told.iter().filter(|row| row["rowid"] == rowid).collect();
    let expected = [
        json!({"completed": false, "sync_status": "syncing", "rowid": rowid, "name": "eth5", "vm": bare}),
        json!({"completed": true, "rowid": rowid, "name": "eth5", "vm": bare, "address": "No IP"}),
    ];
    let data = rows.iter().map(|row| &row["payload"]["data"]);
    assert!(data.eq(&expected), "{rows:#?}");
    let statuses = rows.iter().map(|row| row["status"].as_str().unwrap());
    assert!(statuses.eq(["progress", "completed"]), "{rows:#?}");
    assert_eq!(end["rowid"], Value::Null, "{end}");
}

#[tokio::test]
async fn interfaces_are_rows_of_the_plugins_table_that_begin_and_end() {
    let bench = small().await;
    bench.stage(Stage::VirtualMachines).await;
    for (status, counts) in [("created", "yes"), ("updated", "no"), ("unchanged", "no")] {
        bench.forget();
        let events = bench.events(Stage::VmInterfaces, SyncRequest::default()).await;
        let steps = found(&events, "step").into_iter();
        let rows: Vec<&Value> = steps.filter(|data| data["step"] == "vm_interface").collect();
        let [told @ .., end] = rows.as_slice() else {
            panic!("no rows");
        };
        assert_eq!((&end["rowid"], &end["payload"]["end"]), (&Value::Null, &json!(true)));
        let interface = bench.interface_of(100, "net0");
        let machine = bench.machine_of(100)["name"].clone();
        let rowid = format!("{}/net0", machine.as_str().unwrap());
        let own = told.iter().filter(|row| row["rowid"] == rowid);
        let (statuses, data): (Vec<_>, Vec<_>) = own.map(|row| (&row["status"], &row["payload"]["data"])).unzip();
        assert_eq!(statuses, ["progress", "completed"]);
        let expected = [
            json!({"completed": false, "sync_status": "syncing", "rowid": rowid, "name": "net0", "vm": machine}),
            json!({
                "completed": true, "increment_count": counts, "sync_status": status, "rowid": rowid, "name": "net0",
                "vm": machine, "netbox_id": interface["id"], "error": null
            }),
        ];
        assert!(data.into_iter().eq(&expected), "{status}: {told:#?}");
        let all = bench.netbox.count("virtualization/interfaces");
        let ended = told.iter().filter(|row| row["payload"]["data"]["completed"] == true);
        assert_eq!((told.len(), ended.count()), (2 * all, all), "{status}");
        let id = interface["id"].as_u64().unwrap();
        if status == "created" {
            let off = json!({"enabled": false});
            bench.netbox.change("virtualization/interfaces", id, &off).unwrap();
        }
    }
}

#[tokio::test]
async fn address_that_was_made_is_told_with_its_interface_and_its_machine() {
    let bench = small().await;
    for stage in [Stage::VirtualMachines, Stage::VmInterfaces] {
        bench.stage(stage).await;
    }
    let events = bench.events(Stage::VmIpAddresses, SyncRequest::default()).await;
    let steps = found(&events, "step").into_iter();
    let rows: Vec<&Value> = steps.filter(|data| data["step"] == "vm_ip").collect();
    let (vm, name) = (bench.machine_of(100)["name"].clone(), "net0");
    let rowid = format!("{}/{name}", vm.as_str().unwrap());
    let interface = bench.interface_of(100, name)["id"].clone();
    let mut expected: Vec<Value> = bench
        .netbox
        .rows("ipam/ip-addresses")
        .iter()
        .filter(|row| row["assigned_object_id"] == interface)
        .map(|row| {
            json!({
                "completed": true, "rowid": rowid, "name": name, "vm": vm, "ip_id": row["id"], "address": row["address"]
            })
        })
        .collect();
    let mut told: Vec<Value> = rows
        .iter()
        .filter(|row| row["rowid"] == rowid && row["status"] == "completed")
        .map(|row| row["payload"]["data"].clone())
        .collect();
    expected.sort_by_key(ToString::to_string);
    told.sort_by_key(ToString::to_string);
    assert!(expected.len() > 1);
    assert_eq!(told, expected);
}

#[tokio::test]
async fn one_virtual_machine_is_told_step_by_step_under_a_name_of_its_own() {
    let bench = filled().await;
    let name = bench.machine_of(101)["name"].clone();
    let events = bench.events(Stage::VirtualMachines, of_guest(&bench, 101)).await;
    let steps = found(&events, "step").into_iter();
    let own: Vec<&Value> = steps
        .filter(|data| data["step"] == "virtual-machine")
        .map(|data| &data["status"])
        .collect();
    assert_eq!(own, ["started", "completed"]);
    let substeps: Vec<Value> = found(&events, "substep")
        .into_iter()
        .map(|data| json!([data["substep"], data["status"], data["item"]["name"]]))
        .collect();
    let expected = [
        json!(["resolve_dependencies", "processing", name]),
        json!(["resolve_dependencies", "completed", name]),
        json!(["reconcile_vm", "processing", name]),
        json!(["reconcile_vm", "completed", name]),
    ];
    assert_eq!(substeps, expected);
    let items: Vec<(&Value, &Value)> = found(&events, "item_progress")
        .into_iter()
        .filter(|data| data["phase"] == "virtual-machines")
        .map(|data| (&data["status"], &data["item"]["name"]))
        .collect();
    assert_eq!(items, [(&json!("processing"), &name), (&json!("completed"), &name)]);
    let end = events.last().unwrap();
    assert_eq!(
        (&end.data["message"], &end.data["result"]["count"]),
        (&json!("Virtual machine sync completed."), &json!(1))
    );
}

#[tokio::test]
async fn agent_that_may_not_be_asked_is_told_of_its_guest_with_what_is_missing() {
    let bench = filled().await;
    let refusal = "Permission check failed (/vms/101, VM.GuestAgent.Audit)";
    bench.proxmox.faults().fail("/nodes/*/qemu/101/agent/*", 403, refusal);
    bench.forget();
    let events = bench.events(Stage::VirtualMachines, of_guest(&bench, 101)).await;
    let substeps = found(&events, "substep").into_iter();
    let told: Vec<&Value> = substeps.filter(|data| data["substep"] == "vm_interfaces").collect();
    assert_eq!((told.len(), &told[0]["status"]), (1, &json!("completed")));
    let message = told[0]["message"].as_str().unwrap();
    assert!(
        message.contains("VM.GuestAgent.Audit") && message.contains("VM.Monitor"),
        "{message}"
    );
    let end = events.last().unwrap();
    assert_eq!(
        (&end.data["ok"], &end.data["result"]["failed"]),
        (&json!(true), &json!(0))
    );
}

#[tokio::test]
async fn interface_that_fails_is_told_of_its_guest_and_counted() {
    let bench = small().await;
    bench.stage(Stage::VirtualMachines).await;
    let interfaces = bench.netbox.faults();
    interfaces.refuse_row("virtualization/interfaces", "net0", "name", "This name is reserved.");
    let wide = bench.proxmox.world().read(|world| {
        let guests = world.guests.values();
        let wide = guests.filter(|guest| guest.kind == GuestKind::Qemu && guest.mac(1).is_some());
        wide.map(|guest| guest.vmid).next()
    });
    let events = bench
        .events(Stage::VirtualMachines, of_guest(&bench, wide.unwrap()))
        .await;
    let items = found(&events, "item_progress");
    let warned = items.iter().find(|data| data["warning"].is_string());
    let warning = warned.unwrap_or_else(|| panic!("{items:#?}"))["warning"]
        .as_str()
        .unwrap();
    assert!(
        warning.starts_with("1 of ") && warning.ends_with(" interfaces failed"),
        "{warning}"
    );
    let result = &events.last().unwrap().data["result"];
    assert_eq!(
        (&result["failed_count"], &result["degraded"]),
        (&json!(1), &json!(true))
    );
    let summary = found(&events, "phase_summary");
    let own = summary.iter().find(|data| data["phase"] == "virtual-machines");
    assert_eq!(own.unwrap()["result"]["failed"], 0, "the virtual machine itself stands");
}

#[tokio::test]
async fn machine_of_which_every_interface_fails_stands_and_is_told_of() {
    let bench = filled().await;
    let machine = of_guest(&bench, 101);
    bench.proxmox.world().change(|world| {
        let guest = world.guests.get_mut(&101).unwrap();
        for number in 0..5 {
            guest.config.remove(&format!("net{number}"));
        }
        guest.config.set("net7", "virtio=BC:24:11:77:77:77,bridge=vmbr0");
        guest.memory_mib = 777;
    });
    let refused = bench.netbox.faults();
    refused.refuse_row("virtualization/interfaces", "net7", "name", "This name is reserved.");
    bench.forget();
    let events = bench.events(Stage::VirtualMachines, machine).await;
    let end = &events.last().unwrap().data;
    assert_eq!(
        (&end["ok"], &end["result"]["failed_count"]),
        (&json!(true), &json!(1)),
        "{end}"
    );
    assert_eq!(bench.machine_of(101)["memory"], 777);
    let items = found(&events, "item_progress");
    assert!(
        items.iter().any(|data| data["warning"] == "1 of 1 interfaces failed"),
        "{items:#?}"
    );
}

#[tokio::test]
async fn task_history_that_cannot_be_read_is_a_warning_of_the_machines() {
    let bench = filled().await;
    bench.proxmox.faults().fail("/nodes/*/tasks", 500, "got timeout");
    bench.forget();
    let mut request = of_guest(&bench, 101);
    request.options.guests.sync_task_history = true;
    let events = bench.events(Stage::VirtualMachines, request).await;
    let end = &events.last().unwrap().data;
    assert_eq!(
        (&end["ok"], &end["result"]["degraded"]),
        (&json!(true), &json!(true)),
        "{end}"
    );
    let warnings = end["result"]["warnings"].to_string();
    assert!(warnings.contains("task history: "), "{warnings}");
}

#[tokio::test]
async fn backups_say_what_they_found_and_what_became_of_it() {
    let bench = filled().await;
    let events = bench.events(Stage::Backups, SyncRequest::default()).await;
    let notes = notes(&events);
    let statuses: Vec<&Value> = notes.iter().map(|note| &note["status"]).collect();
    assert_eq!(statuses, ["started", "discovered", "completed"]);
    assert!(notes.iter().all(|note| note["step"] == "backups"), "{notes:?}");
    let expected = json!({
        "reconciled": events.last().unwrap().data["result"]["count"], "failed_tasks": 0, "deleted": 0
    });
    assert_eq!(notes[2]["result"], expected);
    bench.proxmox.world().change(|world| world.backups.clear());
    bench.forget();
    let events = bench.events(Stage::Backups, SyncRequest::default()).await;
    assert_eq!(self::notes(&events)[1]["status"], "warning");
}

#[tokio::test]
async fn snapshots_tell_of_each_virtual_machine_and_of_those_that_could_not_be_read() {
    let bench = filled().await;
    bench
        .proxmox
        .faults()
        .fail("/nodes/*/*/101/snapshot", 500, "got timeout");
    bench.forget();
    let unread = bench.machine_of(101)["name"].clone();
    let events = bench.events(Stage::Snapshots, SyncRequest::default()).await;
    let items = found(&events, "item_progress");
    assert_eq!(items.len(), 12);
    let skipped: Vec<&Value> = items
        .iter()
        .filter(|data| data["operation"] == "skipped")
        .map(|data| &data["item"]["name"])
        .collect();
    assert_eq!(skipped, [&unread]);
    let steps = found(&events, "step").into_iter();
    let rows: Vec<&Value> = steps.filter(|data| data["step"] == "snapshot").collect();
    let failed: Vec<&Value> = rows
        .iter()
        .filter(|data| data["status"] == "failed")
        .map(|data| &data["rowid"])
        .collect();
    assert_eq!(
        (rows.len(), failed),
        (25, vec![&unread]),
        "each has begun and ended, and the table has"
    );
    let begun = |data: &&&Value| data["payload"]["data"]["status"] == "Processing...";
    assert_eq!(rows.iter().filter(begun).count(), 12);
    let result = &events.last().unwrap().data["result"];
    assert_eq!((&result["count"], &result["skipped"]), (&json!(12), &json!(1)));
    let summary = found(&events, "phase_summary")[0];
    assert_eq!(
        [
            &summary["status"],
            &summary["result"]["failed"],
            &summary["result"]["skipped"]
        ],
        [&json!("completed_with_errors"), &json!(1), &json!(1)]
    );
}

#[tokio::test]
async fn snapshots_are_told_of_while_those_of_another_guest_are_waited_for() {
    let bench = filled().await;
    let hangs = ProxmoxFault::Latency(Duration::from_hours(1));
    bench.proxmox.faults().on_path("/nodes/*/*/101/snapshot", hangs);
    bench.forget();
    let slow = bench.machine_of(101)["name"].clone();
    let mut told = bench.stream(Stage::Snapshots, SyncRequest::default());
    let mut names = BTreeSet::new();
    while names.len() < 11 {
        let event = tokio::time::timeout(Duration::from_secs(20), told.next()).await;
        let event = event.unwrap().unwrap();
        if event.name == "item_progress" {
            names.insert(event.data["item"]["name"].to_string());
            assert_eq!(event.data["progress"]["current"], names.len());
        }
    }
    assert!(!names.contains(&slow.to_string()), "{names:?}");
}

#[tokio::test]
async fn task_history_of_nobody_has_neither_discovery_nor_summary() {
    let bench = small().await;
    bench.stage(Stage::Devices).await;
    let events = bench.events(Stage::TaskHistory, SyncRequest::default()).await;
    assert_eq!(names(&events), ["step", "step", "complete"]);
    assert_eq!(events[2].data["result"]["count"], 0);
}

#[tokio::test]
async fn node_that_does_not_answer_is_an_error_of_the_task_history() {
    let bench = filled().await;
    bench.proxmox.faults().fail("/nodes/pve2/tasks", 500, "got timeout");
    bench.forget();
    let events = bench.events(Stage::TaskHistory, SyncRequest::default()).await;
    let summary = found(&events, "phase_summary")[0];
    assert_eq!(
        (&summary["status"], &summary["result"]["failed"]),
        (&json!("completed_with_errors"), &json!(1))
    );
    let result = &events.last().unwrap().data["result"];
    assert_eq!((&result["errors"], &result["degraded"]), (&json!(1), &json!(true)));
}

#[tokio::test]
async fn full_update_announces_its_stages_and_tells_why_it_failed() {
    let mut bench = small().await;
    bench.delete_orphans = true;
    let rule = FaultRule::on("plugins/proxbox/backup-routines", Fault::Status(403));
    bench.netbox.faults().add(rule);
    let mut request = SyncRequest::default();
    request.options.run_id = "r-77".to_owned();
    let events = bench.events(Job::FullUpdate, request).await;
    let discovery = found(&events, "discovery")[0];
    assert_eq!(
        (&discovery["phase"], &discovery["count"]),
        (&json!("full-update"), &json!(12))
    );
    let steps = found(&events, "step").into_iter();
    let sweep = steps.clone().find(|data| data["step"] == "sweep-orphans").unwrap();
    assert_eq!(
        sweep["metadata"],
        json!({"operation_id": "r-77", "delete_orphans": true, "dry_run": false})
    );
    assert!(!steps.into_iter().any(|data| data["step"] == "full-update"));
    let [.., detail, error, complete] = events.as_slice() else {
        panic!("{events:?}");
    };
    assert_eq!(
        (detail.name, &detail.data["phase"], &detail.data["category"]),
        (
            "error_detail",
            &json!("full-update"),
            &json!(ErrorKind::Permission.as_str())
        )
    );
    assert_eq!((error.name, &error.data["step"]), ("error", &json!("full-update")));
    assert_eq!(
        (&complete.data["ok"], &complete.data["message"]),
        (&json!(false), &json!("Full update sync failed."))
    );
    assert!(detail.data["suggestion"].is_string(), "{}", detail.data);
}

#[tokio::test]
async fn dry_full_update_of_an_empty_netbox_plans_each_row_once() {
    let bench = small().await;
    let request = SyncRequest {
        dry_run: true,
        ..SyncRequest::default()
    };
    let events = bench.events(Job::FullUpdate, request).await;
    for event in &events {
        let told = event.data.to_string();
        assert!(!told.contains("4503599627370"), "an id that stands for no row: {told}");
    }
    let end = &events.last().unwrap().data;
    assert_eq!(end["ok"], true, "{end}");
    let result = &end["result"];
    assert_eq!(result["status"], "completed", "{result}");
    let machines = result["virtual_machines"].as_array().unwrap();
    assert!(!machines.is_empty() && machines.iter().all(|row| row["id"].is_null()));
    assert_eq!(bench.take_writes(), [""; 0]);
    assert_eq!(result["orphan_sweep"]["dry_run"], true, "a dry run sweeps too");
    let warnings = result["warnings"].as_array().unwrap();
    for stage in ["node-interfaces", "vm-interfaces", "vm-ip-addresses"] {
        let told: Vec<&Value> = warnings.iter().filter(|warning| warning["phase"] == stage).collect();
        let is_one = told.len() == 1 && told[0].to_string().contains("is not in NetBox yet");
        assert!(is_one, "{stage}: {told:?}");
    }
    let plans = result["plan"].as_array().unwrap();
    let rows_of = |path: &str| -> Vec<&Value> {
        let plans = plans.iter().filter(|plan| plan["path"] == path);
        let rows = plans.flat_map(|plan| plan["create"].as_array().unwrap());
        rows.map(|row| &row["label"]).collect()
    };
    assert_eq!(rows_of("/api/dcim/devices/"), ["pve1", "pve2"]);
    let tags = rows_of("/api/extras/tags/");
    let mut distinct = tags.clone();
    distinct.sort_by_key(ToString::to_string);
    distinct.dedup();
    assert!(!tags.is_empty() && tags.len() == distinct.len(), "{tags:?}");
}

#[tokio::test]
async fn dry_run_of_the_machines_of_an_empty_netbox_plans_them_without_their_networks() {
    let bench = small().await;
    let request = SyncRequest {
        dry_run: true,
        ..SyncRequest::default()
    };
    let report = bench.stage_with(Stage::VirtualMachines, request.clone()).await;
    assert!(report.counts().created > 0, "{}", report.result());
    let report = bench.job(Stage::VmInterfaces, request).await;
    assert!(
        report.errors()[0].contains("run the stage devices first"),
        "{:?}",
        report.errors()
    );
    assert_eq!(bench.take_writes(), [""; 0]);
}

#[tokio::test]
async fn full_update_deletes_no_snapshot() {
    let bench = filled().await;
    let before = bench.netbox.count(SNAPSHOTS);
    assert!(before > 0);
    let world = bench.proxmox.world();
    world.change(|world| world.guests.values_mut().for_each(|guest| guest.snapshots.clear()));
    bench.forget();
    let report = bench.job(Job::FullUpdate, SyncRequest::default()).await;
    assert_eq!(report.errors(), [""; 0]);
    assert_eq!(bench.netbox.count(SNAPSHOTS), before);
}

#[tokio::test]
async fn auditor_who_sees_no_backups_is_told_so_once_and_nothing_is_lost() {
    let mut bench = filled().await;
    bench.sign_in_as("auditor@pve");
    let before = bench.netbox.fingerprint();
    let report = bench.job(Job::FullUpdate, SyncRequest::default()).await;
    assert_eq!(report.errors(), [""; 0]);
    let result = report.result();
    assert_eq!(result["status"], "completed");
    let warnings = result["warnings"].as_array().unwrap();
    let phases: Vec<&Value> = warnings.iter().map(|warning| &warning["phase"]).collect();
    assert_eq!(phases, ["backups"], "{warnings:#?}");
    let message = warnings[0]["message"].as_str().unwrap();
    assert!(message.contains("VM.Backup"), "{message}");
    assert_eq!(bench.netbox.fingerprint(), before);
}

#[tokio::test]
async fn virtual_machine_whose_identity_lacks_anything_is_told_of_and_neither_written_nor_cleaned() {
    for lack in [
        json!({"proxmox_endpoint_raw_id": null}),
        json!({"proxmox_cluster_name": "", "proxmox_cluster": null}),
        json!({"proxmox_vm_id": null}),
        json!({"proxmox_vm_type": ""}),
    ] {
        let bench = filled().await;
        let state = bench.machine_state(101);
        let machine = &state["virtual_machine"]["id"];
        let row = state["id"].as_u64().unwrap();
        bench.netbox.change(MACHINE_STATES, row, &lack).unwrap();
        bench.proxmox.world().change(|world| {
            world.backups.retain(|backup| backup.vmid != 101);
            world.guest(101).unwrap().snapshots.clear();
        });
        bench.forget();
        let before = bench.netbox.fingerprint();
        for stage in [
            Stage::TaskHistory,
            Stage::VirtualDisks,
            Stage::Backups,
            Stage::Snapshots,
            Stage::VmInterfaces,
            Stage::VmIpAddresses,
        ] {
            let mut request = SyncRequest {
                allow_shrink: true,
                ..SyncRequest::default()
            };
            request.options.guests.delete_missing_backups = true;
            request.options.guests.delete_missing_snapshots = true;
            let result = bench.stage_with(stage, request).await.result();
            let warnings = result["warnings"].as_array().cloned().unwrap_or_default();
            let is_told = warnings.iter().any(|warning| warning["netbox_vm_id"] == *machine);
            assert!(
                is_told && result["degraded"] == true,
                "{} {lack}: {result}",
                stage.as_str()
            );
            assert_eq!(bench.netbox.fingerprint(), before, "{} {lack}", stage.as_str());
        }
    }
}

#[tokio::test]
async fn task_history_tells_of_its_machines_first_and_sums_up_once() {
    let bench = filled().await;
    let events = bench.events(Stage::TaskHistory, SyncRequest::default()).await;
    assert_eq!(
        names(&events),
        ["step", "discovery", "phase_summary", "step", "complete"]
    );
    let (discovery, summary) = (&events[1].data, &events[2].data);
    let items = discovery["items"].as_array().unwrap();
    assert_eq!(
        (&discovery["phase"], &discovery["count"]),
        (&json!("task-history"), &json!(12))
    );
    assert!(
        !items.is_empty()
            && items
                .iter()
                .all(|item| item["name"].is_string() && item["item_type"] == "vm")
    );
    let result = &events[4].data["result"];
    let told = [&summary["phase"], &summary["status"], &summary["result"]["failed"]];
    assert_eq!(told, [&json!("task-history"), &json!("completed"), &json!(0)]);
    for key in ["created", "skipped"] {
        assert_eq!(summary["result"][key], result[key], "{key}");
    }
}

#[tokio::test]
async fn snapshots_tell_of_their_machines_first_and_count_what_was_made_last() {
    let bench = filled().await;
    let id = bench.netbox.rows(SNAPSHOTS)[0]["id"].as_u64().unwrap();
    bench.netbox.remove(SNAPSHOTS, id).unwrap();
    bench.forget();
    let events = bench.events(Stage::Snapshots, SyncRequest::default()).await;
    let discovery = found(&events, "discovery")[0];
    let items = discovery["items"].as_array().unwrap();
    assert_eq!(
        (&discovery["phase"], &discovery["count"]),
        (&json!("vm-snapshots"), &json!(12))
    );
    assert!(!items.is_empty() && items.iter().all(|item| item["item_type"] == "virtual-machine"));
    for item in found(&events, "item_progress") {
        let told = [
            &item["phase"],
            &item["operation"],
            &item["status"],
            &item["progress"]["total"],
        ];
        assert_eq!(
            told,
            [
                &json!("vm-snapshots"),
                &json!("updated"),
                &json!("completed"),
                &json!(12)
            ]
        );
    }
    let summary = found(&events, "phase_summary")[0];
    let counts = ["created", "updated", "deleted", "failed"].map(|key| summary["result"][key].as_u64().unwrap());
    assert_eq!((&summary["phase"], counts), (&json!("vm-snapshots"), [1, 0, 0, 0]));
    let notes = notes(&events);
    let (first, last) = (notes.first().unwrap(), notes.last().unwrap());
    assert_eq!(
        (&first["status"], &last["status"], &last["count"]),
        (&json!("started"), &json!("completed"), &json!(1))
    );
}

/// One interface is missing, the address of another is somebody else's, that of a third is refused.
#[tokio::test]
async fn interface_that_gets_no_address_says_why_in_its_row() {
    let bench = small().await;
    for stage in [Stage::VirtualMachines, Stage::VmInterfaces] {
        bench.stage(stage).await;
    }
    let tell = |vmid: u32, address: &str| {
        bench.proxmox.world().change(|world| {
            let guest = world.guest(vmid).unwrap();
            let mac = guest.mac(0).unwrap().to_lowercase();
            guest.agent = Agent::Interfaces(vec![AgentInterface::new("ens18", &mac, &[address])]);
            guest.config.set("agent", "1");
            guest.status = GuestStatus::Running;
            guest.config.remove("net1");
        });
    };
    tell(100, "10.99.0.7/24");
    tell(101, "10.99.0.8/24");
    bench.proxmox.world().change(|world| {
        let guest = world.guest(102).unwrap();
        guest.config.set("net7", "virtio=BC:24:11:77:77:77,bridge=vmbr0");
    });
    let device = bench.netbox.rows("dcim/devices")[0]["id"].clone();
    let port = json!({"device": device, "name": "by-hand", "type": "virtual"});
    let port = bench.netbox.seed("dcim/interfaces", &port).unwrap();
    let taken = json!({
        "address": "10.99.0.8/24", "assigned_object_type": "dcim.interface", "assigned_object_id": port
    });
    bench.netbox.seed("ipam/ip-addresses", &taken).unwrap();
    let refused = bench.netbox.faults();
    refused.refuse_row(
        "ipam/ip-addresses",
        "10.99.0.7/24",
        "address",
        "This address is reserved.",
    );
    bench.forget();
    let events = bench.events(Stage::VmIpAddresses, SyncRequest::default()).await;
    let steps = found(&events, "step").into_iter();
    let rows: Vec<&Value> = steps
        .filter(|data| data["step"] == "vm_ip" && !data["rowid"].is_null())
        .collect();
    let (begun, ended): (Vec<&Value>, Vec<&Value>) = rows
        .into_iter()
        .partition(|row| row["payload"]["data"]["completed"] == false);
    let ids = |rows: &[&Value]| rows.iter().map(|row| row["rowid"].to_string()).collect::<BTreeSet<_>>();
    assert_eq!(ids(&begun), ids(&ended));
    for (vmid, port, column, words, status) in [
        (100, "net0", "error", "This address is reserved.", "failed"),
        (101, "net0", "warning", "left to whoever has them", "completed"),
        (102, "net7", "warning", "not in NetBox yet", "completed"),
    ] {
        let rowid = format!("{}/{port}", bench.machine_of(vmid)["name"].as_str().unwrap());
        let own: Vec<_> = ended.iter().filter(|row| row["rowid"] == rowid).collect();
        let [row] = own.as_slice() else {
            panic!("{rowid}: {own:#?}");
        };
        let text = row["payload"]["data"][column].as_str().unwrap_or_default();
        assert!(text.contains(words), "{row}");
        assert_eq!(row["status"], status, "{row}");
    }
}

#[tokio::test]
async fn agent_that_does_not_run_is_told_of_its_guest_and_is_no_warning() {
    let bench = filled().await;
    bench
        .proxmox
        .world()
        .change(|world| world.guest(101).unwrap().agent = Agent::NotRunning);
    bench.forget();
    let events = bench.events(Stage::VirtualMachines, of_guest(&bench, 101)).await;
    let substeps = found(&events, "substep").into_iter();
    let told: Vec<&Value> = substeps.filter(|data| data["substep"] == "vm_interfaces").collect();
    assert_eq!((told.len(), &told[0]["status"]), (1, &json!("completed")));
    let message = told[0]["message"].as_str().unwrap();
    assert!(message.contains("agent is not running"), "{message}");
    let result = &events.last().unwrap().data["result"];
    assert_eq!(result.get("warnings"), None, "{result}");
}

#[tokio::test]
async fn guest_that_was_as_it_should_be_is_told_as_left_and_one_that_was_not_as_what_was_done() {
    let bench = small().await;
    bench.stage(Stage::VirtualMachines).await;
    bench
        .netbox
        .faults()
        .refuse_row("virtualization/interfaces", "net0", "name", "This name is reserved.");
    for (memory, operation) in [(777, "updated"), (777, "skipped")] {
        bench
            .proxmox
            .world()
            .change(|world| world.guest(101).unwrap().memory_mib = memory);
        bench.forget();
        let events = bench.events(Stage::VirtualMachines, of_guest(&bench, 101)).await;
        let items = found(&events, "item_progress").into_iter();
        let mut own = items.filter(|data| data["phase"] == "virtual-machines" && data["warning"].is_string());
        let told = own.next().unwrap();
        assert_eq!(
            (&told["operation"], &told["status"]),
            (&json!(operation), &json!("completed"))
        );
    }
}
