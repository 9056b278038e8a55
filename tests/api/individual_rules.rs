//! `/sync/individual/*`: what is answered word for word, and what is never touched.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops where its surroundings fail"
)]

use std::time::Duration;

use proxbox_api::netbox::standin::{Fault, FaultRule, StandinOptions};
use proxbox_api::proxmox::mock::world::{GuestKind, GuestStatus, Task};
use proxbox_api::proxmox::mock::{Guest, Node, TOKEN_SECRET, World};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::individual::{
    ADDRESSES, BACKUPS, CLUSTERS, Case, DEVICES, INTERFACES, MACHINE_STATES, MACHINES, REPLICATIONS, RICH, ROUTINES,
    SNAPSHOTS, STORAGES, clear, cluster_cases, converged, done, guest, guest_cases, machine, node, told,
};
use crate::proxmox_endpoints::{pushed, store, with};
use crate::world::{DEVICES as DEVICES_STAGE, Trio, complete};

const LINKS: &str = crate::individual::LINKS;
const JOURNAL: &str = "/api/extras/journal-entries/";
const BRANCH: &str = "abcd1234";

fn cases(trio: &Trio) -> Vec<Case> {
    guest_cases(trio).into_iter().chain(cluster_cases(trio)).collect()
}

/// The cluster `alpha` with the guest 204 on its second node.
fn alpha() -> World {
    let mut world = World::bare(vec![Node::new("a1", 1, "10.0.0.1"), Node::new("a2", 2, "10.0.0.2")]);
    world.cluster = Some("alpha".to_owned());
    let mut guest = Guest::new(GuestKind::Qemu, 204, "shop-db", "a2");
    (guest.status, guest.cores, guest.memory_mib) = (GuestStatus::Running, 4, 8192);
    guest.config.set("scsi0", "local-lvm:vm-204-disk-0,size=32G");
    world.add_guest(guest);
    world
}

/// The answer without what changes from call to call, which has to be there.
fn timeless(mut body: Value) -> Value {
    let resource = body["proxmox_resource"].as_object_mut().unwrap();
    let stamp = resource.remove("proxmox_last_updated").unwrap();
    let stamp = time::OffsetDateTime::parse(stamp.as_str().unwrap(), &time::format_description::well_known::Rfc3339);
    assert!(stamp.unwrap().offset().is_utc());
    body
}

#[tokio::test]
async fn virtual_machine_that_changed_is_answered_with_what_both_sides_say_of_it() {
    let trio = Trio::with(&[], alpha()).await;
    let url = "/sync/individual/vm?cluster_name=alpha&node=a2&type=qemu&vmid=204";
    let made = done(&trio, url, "created").await;
    let id = made["netbox_object"]["id"].as_u64().unwrap();
    trio.netbox.change(MACHINES, id, &json!({"memory": 1024})).unwrap();
    let body = timeless(done(&trio, url, "updated").await);
    let mut resource = body["proxmox_resource"].clone();
    let config = resource.as_object_mut().unwrap().remove("config").unwrap();
    assert_eq!(config["scsi0"], "local-lvm:vm-204-disk-0,size=32G", "{config}");
    for key in ["name", "cores", "memory"] {
        assert!(!config[key].is_null(), "{key}: {config}");
    }
    let expected = json!({
        "vmid": 204, "name": "shop-db", "node": "a2", "type": "qemu", "status": "running", "maxcpu": 4,
        "maxmem": 8_589_934_592_u64, "maxdisk": 34_359_738_368_u64,
    });
    assert_eq!(resource, expected);
    let object = &body["netbox_object"];
    assert_eq!(
        (
            &object["id"],
            &object["memory"],
            &object["disk"],
            object["vcpus"].as_f64()
        ),
        (&json!(id), &json!(8192), &json!(32768), Some(4.0)),
        "{object}"
    );
    let rest = ["object_type", "action", "dry_run", "dependencies_synced", "error"].map(|key| &body[key]);
    let dependencies = json!([
        {"object_type": "cluster", "name": "alpha", "cluster_name": "alpha", "action": "unchanged"},
        {"object_type": "node", "name": "a2", "cluster_name": "alpha", "action": "unchanged"},
    ]);
    let expected = [
        &json!("vm"),
        &json!("updated"),
        &json!(false),
        &dependencies,
        &Value::Null,
    ];
    assert_eq!(rest, expected);
}

#[tokio::test]
async fn task_that_nobody_knows_is_answered_with_what_was_looked_for() {
    let trio = Trio::with(&[], alpha()).await;
    trio.netbox.clear_requests();
    let url = "/sync/individual/task-history?cluster_name=alpha&node=a2&type=qemu&vmid=204&upid=UPID:a2:none";
    for (query, is_dry, error) in [
        ("", false, json!("No task found for the specified criteria")),
        ("&dry_run=true", true, Value::Null),
    ] {
        let (status, body) = trio.app.get(&format!("{url}{query}")).await;
        let expected = json!({
            "object_type": "task_history", "action": "noop",
            "proxmox_resource": {
                "vmid": 204, "node": "a2", "type": "qemu", "tasks": [], "selected_upid": "UPID:a2:none",
            },
            "netbox_object": null, "dry_run": is_dry, "dependencies_synced": [], "error": error,
        });
        assert_eq!((status, timeless(body)), (StatusCode::OK, expected));
    }
    assert_eq!(told(&trio.netbox.writes()), [""; 0]);
}

#[tokio::test]
async fn task_that_ran_under_a_former_name_of_its_node_is_found() {
    let mut world = alpha();
    world.nodes[0].former_name = Some("a0".to_owned());
    let task = Task {
        node: "a0".into(),
        pid: 161,
        pstart: 2860,
        starts: 1_739_268_864,
        ends: Some(1_739_268_871),
        kind: "qmshutdown".into(),
        id: "204".into(),
        user: "ops@pve".into(),
        outcome: "OK".into(),
    };
    let upid = task.upid();
    world.tasks = vec![task];
    let trio = Trio::with(&[], world).await;
    let url = format!("/sync/individual/task-history?cluster_name=alpha&node=a0&type=qemu&vmid=204&upid={upid}");
    let made = done(&trio, &url, "created").await;
    assert_eq!(made["proxmox_resource"]["selected_upid"], json!(upid), "{made}");
    done(&trio, &url, "unchanged").await;
    trio.proxmox.world().change(|world| world.nodes[0].online = false);
    let (status, body) = trio.app.get(&format!("{url}&dry_run=true")).await;
    assert!(
        body["error"].to_string().contains("a1"),
        "a node that is offline may be the one: {status} {body}"
    );
}

/// Where only some tasks are to be seen, nobody can tell that there is none.
#[tokio::test]
async fn task_that_may_be_hidden_is_told_apart_from_one_that_is_not_there() {
    const USER: &str = "limited@pve";
    let mut world = alpha();
    world.access.add_user(USER, "x");
    world.access.add_token(&format!("{USER}!netbox"), TOKEN_SECRET, false);
    world.access.allow("/", USER, "PVEAuditor");
    world.access.allow("/nodes", USER, "PVEVMUser");
    let trio = Trio::with(&[], world).await;
    let path = format!("/proxmox/endpoints/{}", trio.endpoint);
    let (_, known) = trio.app.get(&path).await;
    let limited = pushed(known["name"].as_str().unwrap(), &trio.proxmox);
    let (status, body) = trio.app.put(&path, &with(limited, &json!({"username": USER}))).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let url = "/sync/individual/task-history?cluster_name=alpha&node=a2&type=qemu&vmid=204";
    for query in ["", "&upid=UPID:a2:none"] {
        let (status, body) = trio.app.get(&format!("{url}{query}")).await;
        assert_eq!(
            (status, &body["action"]),
            (StatusCode::BAD_GATEWAY, &json!("error")),
            "{query}: {body}"
        );
        let error = body["error"].as_str().unwrap();
        assert!(error.contains("a2") && error.contains("Sys.Audit"), "{query}: {error}");
    }
}

/// What each answer says of what its object hangs on, without the action.
fn dependencies(trio: &Trio, path: &str) -> Value {
    let vm = json!({"object_type": "vm", "vmid": RICH, "type": "qemu", "node": node(trio), "cluster_name": "lab"});
    let cluster = |name: &str| json!({"object_type": "cluster", "name": name, "cluster_name": name});
    let storage = |name: &str| json!({"object_type": "storage", "name": name, "cluster_name": "lab"});
    match path {
        "vm" => json!([cluster("lab"), {"object_type": "node", "name": node(trio), "cluster_name": "lab"}]),
        "node" | "storage" => json!([cluster("LAB")]),
        "interface" | "snapshot" | "task-history" => json!([vm]),
        "ip" => {
            let mut interface = vm.clone();
            (interface["object_type"], interface["name"]) = (json!("interface"), json!("net0"));
            json!([vm, interface])
        }
        "disk" | "backup" => {
            let on = trio.proxmox.world().read(|world| {
                let backup = world.backups.iter().find(|backup| backup.vmid == RICH).unwrap();
                let disk = world.guests[&RICH].config.text("virtio0").unwrap();
                let disk = disk.split(':').next().unwrap();
                if path == "disk" { disk } else { &backup.storage }.to_owned()
            });
            json!([vm, storage(&on)])
        }
        "replication" => {
            let (vmid, kind, node) = trio.proxmox.world().read(|world| {
                let guest = &world.guests[&world.replications[0].guest];
                (guest.vmid, guest.kind.as_str(), guest.node.clone())
            });
            json!([{"object_type": "vm", "vmid": vmid, "type": kind, "node": node, "cluster_name": "LAB"}])
        }
        "cluster" => json!([{"object_type": "cluster_type"}]),
        _ => json!([]),
    }
}

#[tokio::test]
async fn what_an_object_hangs_on_is_named_so_that_it_can_be_asked_for() {
    let trio = converged().await;
    for case in cases(&trio) {
        let planned = done(&trio, &format!("{}&dry_run=true", case.url()), "dry_run").await;
        let mut expected = dependencies(&trio, case.path);
        let mut dry = expected.clone();
        dry.as_array_mut()
            .unwrap()
            .retain(|dependency| dependency["object_type"] != "cluster_type");
        assert_eq!(planned["dependencies_synced"], dry, "{} dry", case.path);
        for dependency in expected.as_array_mut().unwrap() {
            dependency["action"] = json!("unchanged");
        }
        let body = done(&trio, &case.url(), "unchanged").await;
        assert_eq!(body["dependencies_synced"], expected, "{}", case.path);
    }
}

#[tokio::test]
async fn dry_run_of_an_empty_netbox_writes_nothing_at_all() {
    let trio = Trio::start().await;
    trio.netbox.clear_requests();
    for case in cases(&trio) {
        let body = done(&trio, &format!("{}&dry_run=true", case.url()), "dry_run").await;
        assert_eq!(body["netbox_object"], Value::Null, "{}: {body}", case.path);
        assert_eq!(told(&trio.netbox.writes()), [""; 0], "{}", case.path);
    }
}

/// Rows that are called like those of the rich guest and its cluster, and belong to somebody else.
fn add_namesakes(trio: &Trio, cases: &[Case]) {
    let seed = |path: &str, row: &Value| trio.netbox.seed(path, row).unwrap();
    let own = |path: &str| {
        let case = cases.iter().find(|case| case.path == path).unwrap();
        let id = case.row(trio).unwrap();
        let rows = trio.netbox.rows(case.collection);
        rows.into_iter().find(|row| row["id"] == id).unwrap()
    };
    let kind = &trio.netbox.rows(CLUSTERS)[0]["type"]["id"];
    let cluster = seed(CLUSTERS, &json!({"name": "other", "type": kind}));
    let twin = seed(MACHINES, &json!({"name": "twin", "cluster": cluster}));
    let state = json!({
        "virtual_machine": twin, "proxmox_vm_id": RICH, "proxmox_vm_type": "qemu", "proxmox_cluster_name": "other",
        "proxmox_endpoint_raw_id": trio.endpoint + 7,
    });
    seed(MACHINE_STATES, &state);
    seed(INTERFACES, &json!({"virtual_machine": twin, "name": "net0"}));
    seed(
        crate::individual::DISKS,
        &json!({"virtual_machine": twin, "name": "virtio0", "size": 7}),
    );
    seed(
        STORAGES,
        &json!({"cluster": cluster, "name": "local", "storage_type": "dir"}),
    );
    // The plugin takes no second one of the same number, name and node.
    let snapshot = own("snapshot");
    let row = json!({
        "virtual_machine": twin, "vmid": RICH, "name": snapshot["name"], "node": "elsewhere", "subtype": "qemu",
        "status": "active",
    });
    seed(SNAPSHOTS, &row);
    let backup = own("backup");
    let row = json!({
        "virtual_machine": twin, "vmid": RICH.to_string(), "volume_id": backup["volume_id"], "subtype": "qemu",
        "storage": backup["storage"],
    });
    seed(BACKUPS, &row);
    let endpoint = json!({"name": "other", "domain": "pve.example.net", "mode": "cluster", "port": 8006});
    let endpoint = seed("/api/plugins/proxbox/endpoints/proxmox/", &endpoint);
    let job = own("replication");
    let row = json!({
        "endpoint": endpoint, "replication_id": job["replication_id"], "virtual_machine": twin, "guest": RICH,
        "jobnum": 0, "job_type": "local", "status": "active", "target": "x",
    });
    seed(REPLICATIONS, &row);
    let row = json!({
        "endpoint": endpoint, "job_id": own("backup-routines")["job_id"], "selection": ["all"], "status": "active",
    });
    seed(ROUTINES, &row);
}

#[tokio::test]
async fn namesakes_of_others_are_left_alone_when_a_row_is_made() {
    let trio = converged().await;
    let cases: Vec<Case> = cases(&trio)
        .into_iter()
        .filter(|case| !matches!(case.path, "vm" | "node" | "cluster" | "storage"))
        .collect();
    add_namesakes(&trio, &self::cases(&trio));
    for case in cases {
        let own = case.row(&trio).unwrap();
        clear(&trio, LINKS);
        trio.netbox.remove(case.collection, own).unwrap();
        let others = trio.netbox.rows(case.collection);
        let body = done(&trio, &case.url(), "created").await;
        let made = &body["netbox_object"]["id"];
        let mut rows = trio.netbox.rows(case.collection);
        rows.retain(|row| row["id"] != *made);
        assert_eq!(rows, others, "{}", case.path);
    }
}

#[tokio::test]
async fn storage_of_another_cluster_is_not_taken_for_ones_own() {
    let trio = Trio::start().await;
    let (status, body) = trio.app.get(DEVICES_STAGE).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let kind = &trio.netbox.rows(CLUSTERS)[0]["type"]["id"];
    let cluster = json!({"name": "other", "type": kind});
    let cluster = trio.netbox.seed(CLUSTERS, &cluster).unwrap();
    let theirs = json!({"cluster": cluster, "name": "local", "storage_type": "dir"});
    trio.netbox.seed(STORAGES, &theirs).unwrap();
    let before = trio.netbox.rows(STORAGES);
    let body = done(
        &trio,
        "/sync/individual/storage?cluster_name=lab&storage_name=local",
        "created",
    )
    .await;
    assert_eq!(body["netbox_object"]["cluster"]["name"], "lab", "{body}");
    assert_eq!(trio.netbox.rows(STORAGES)[..1], before);
}

#[tokio::test]
async fn replication_of_a_container_brings_its_virtual_machine() {
    let mut world = World::estate(2, 12);
    let container = world
        .guests
        .values()
        .find(|guest| guest.kind == GuestKind::Lxc)
        .unwrap();
    let mut job = world.replications[0].clone();
    job.guest = container.vmid;
    let id = job.id();
    world.replications = vec![job];
    let trio = Trio::with(&[], world).await;
    let url = format!("/sync/individual/replication?cluster_name=lab&replication_id={id}");
    let body = done(&trio, &url, "created").await;
    assert_eq!(body["dependencies_synced"][0]["action"], "created", "{body}");
    let states = trio.netbox.rows(MACHINE_STATES);
    assert_eq!(
        (states.len(), &states[0]["proxmox_vm_type"]),
        (1, &json!("lxc")),
        "{states:?}"
    );
    assert_eq!(
        body["netbox_object"]["virtual_machine"]["id"],
        states[0]["virtual_machine"]["id"]
    );
}

#[tokio::test]
async fn backup_has_an_entry_in_the_journal_for_each_change_and_keeps_its_tags() {
    let trio = converged().await;
    let cases = guest_cases(&trio);
    let case = cases.iter().find(|case| case.path == "backup").unwrap();
    let id = case.row(&trio).unwrap();
    let entries = || trio.netbox.count(JOURNAL);
    let before = entries();
    done(&trio, &case.url(), "unchanged").await;
    assert_eq!(entries(), before);
    let gold = json!({"name": "Gold", "slug": "gold"});
    let gold = trio.netbox.seed("/api/extras/tags/", &gold).unwrap();
    let edit = json!({"size": 1, "tags": [gold]});
    trio.netbox.change(BACKUPS, id, &edit).unwrap();
    let body = done(&trio, &case.url(), "updated").await;
    assert_eq!(entries(), before + 1);
    assert_eq!(body["netbox_object"]["tags"][0]["slug"], "gold", "{body}");
}

#[tokio::test]
async fn address_that_only_netbox_knows_on_the_guest_is_left_as_it_is() {
    let trio = converged().await;
    let machine = machine(&trio);
    let interfaces = trio.netbox.rows(INTERFACES);
    let interface = interfaces
        .iter()
        .find(|row| row["virtual_machine"]["id"] == machine)
        .unwrap();
    let row = json!({
        "address": "192.0.2.81/28", "assigned_object_type": "virtualization.vminterface",
        "assigned_object_id": interface["id"], "status": "reserved", "dns_name": "by-hand.example.net",
    });
    let id = trio.netbox.seed(ADDRESSES, &row).unwrap();
    let before = trio.netbox.fingerprint();
    let url = format!("/sync/individual/ip?{}&ip_address=192.0.2.81", guest(&trio));
    let body = done(&trio, &url, "unchanged").await;
    assert_eq!(body["netbox_object"]["id"], id, "{body}");
    assert_eq!(trio.netbox.fingerprint(), before);
}

#[tokio::test]
async fn what_an_individual_run_has_made_is_not_gone_for_the_stage_that_follows() {
    let trio = converged().await;
    let new = trio.proxmox.world().change(|world| {
        let guest = world.guest(RICH).unwrap();
        let mut snapshot = guest.snapshots[0].clone();
        "brand-new".clone_into(&mut snapshot.name);
        guest.snapshots.push(snapshot);
        guest.name.clone()
    });
    let url = format!("/sync/individual/snapshot?{}&snapshot_name=brand-new", guest(&trio));
    done(&trio, &url, "created").await;
    let stage = "/virtualization/virtual-machines/snapshots/all/create?delete_nonexistent_snapshot=true";
    let (status, body) = trio.app.get(stage).await;
    assert_eq!((status, &body["deleted"]), (StatusCode::OK, &json!(0)), "{new}: {body}");
}

#[tokio::test]
async fn row_whose_identity_was_refused_is_an_error() {
    let trio = Trio::start().await;
    for (path, query) in [
        ("sync-state/devices", "node?cluster_name=lab&node_name=pve1".to_owned()),
        ("sync-state/virtual-machines", format!("vm?{}", guest(&trio))),
    ] {
        let path = format!("plugins/proxbox/{path}");
        trio.netbox
            .faults()
            .refuse_row(&path, "lab", "proxmox_cluster_name", "Not this one.");
        let (status, body) = trio.app.get(&format!("/sync/individual/{query}")).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{query}: {body}");
        assert_eq!(body["action"], "error", "{query}: {body}");
        let error = body["error"].as_str().unwrap();
        assert!(error.contains("Not this one.") && body["detail"] == error, "{body}");
        trio.netbox.faults().clear();
    }
}

#[tokio::test]
async fn what_went_less_than_well_beside_the_row_is_told_with_it() {
    let trio = Trio::start().await;
    trio.netbox
        .faults()
        .add(FaultRule::on("dcim/platforms", Fault::Status(400)).method("POST"));
    let body = done(&trio, &format!("/sync/individual/vm?{}", guest(&trio)), "created").await;
    let warnings = body["warnings"].as_array().unwrap();
    assert!(
        warnings[0]["message"].as_str().unwrap().starts_with("platform"),
        "{body}"
    );
}

#[tokio::test]
async fn request_waits_25_seconds_for_another_run_and_is_told_when_to_come_back() {
    let trio = converged().await;
    trio.netbox
        .faults()
        .add(FaultRule::on("dcim/devices", Fault::Hang).method("GET"));
    let holder = trio.open(&format!("{DEVICES_STAGE}/stream")).await;
    let url = "/sync/individual/node?cluster_name=lab&node_name=pve1";
    let waiting = tokio::spawn(trio.app.request(Method::GET, url).send());
    let both = async {
        while trio.app.get("/sync/active").await.1["runs"]
            .as_array()
            .is_none_or(|runs| runs.len() < 2)
        {}
    };
    tokio::time::timeout(Duration::from_secs(20), both).await.unwrap();
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(24)).await;
    assert!(!waiting.is_finished());
    tokio::time::advance(Duration::from_secs(2)).await;
    tokio::time::resume();
    let response = waiting.await.unwrap().unwrap();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(response.headers()["retry-after"], "30");
    drop(holder);
}

#[tokio::test]
async fn work_that_takes_its_time_is_waited_for() {
    let trio = converged().await;
    trio.netbox
        .faults()
        .add(FaultRule::on("dcim/devices", Fault::Hang).method("GET"));
    trio.netbox.clear_requests();
    let url = "/sync/individual/node?cluster_name=lab&node_name=pve1";
    let waiting = tokio::spawn(trio.app.request(Method::GET, url).send());
    let is_asked = || {
        trio.netbox
            .requests()
            .iter()
            .any(|request| request.path == "/api/dcim/devices/")
    };
    let asked = async { while trio.app.get("/sync/active").await.1["active"] != true || !is_asked() {} };
    tokio::time::timeout(Duration::from_secs(20), asked).await.unwrap();
    tokio::time::pause();
    tokio::time::advance(Duration::from_mins(1)).await;
    assert!(!waiting.is_finished());
    tokio::time::resume();
    waiting.abort();
}

#[tokio::test]
async fn branch_that_is_not_there_is_refused_before_the_stream() {
    let trio = Trio::start().await;
    let path = format!("{DEVICES_STAGE}/stream?netbox_branch_schema_id=abc12345");
    let response = trio.open(&path).await;
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    let body = response.text().await.unwrap();
    assert!(body.contains("netbox-branching is not installed"), "{body}");
}

#[tokio::test]
async fn branch_goes_with_every_request_to_netbox() {
    let mut trio = Trio::start().await;
    let options = StandinOptions {
        branch: Some(BRANCH.to_owned()),
        ..StandinOptions::default()
    };
    trio.restart_netbox(options).await;
    let branch = format!("netbox_branch_schema_id={BRANCH}");
    for path in [DEVICES_STAGE, "/full-update"] {
        trio.netbox.clear_requests();
        let frames = trio.stream(&format!("{path}/stream?{branch}")).await;
        assert_eq!(complete(&frames)["ok"], true, "{path}");
        assert_on_branch(&trio, path);
        assert!(!trio.netbox.writes().is_empty(), "{path}");
    }
    for case in cases(&trio) {
        trio.netbox.clear_requests();
        done(&trio, &format!("{}&{branch}", case.url()), "unchanged").await;
        assert_on_branch(&trio, case.path);
    }
    assert_ne!(trio.netbox.count(DEVICES), 0);
    for case in guest_cases(&trio)
        .into_iter()
        .chain(cluster_cases(&trio).into_iter().take(2))
    {
        clear(&trio, LINKS);
        trio.netbox.remove(case.collection, case.row(&trio).unwrap()).unwrap();
        trio.netbox.clear_requests();
        done(&trio, &format!("{}&{branch}", case.url()), "created").await;
        assert!(!trio.netbox.writes().is_empty(), "{}", case.path);
        assert_on_branch(&trio, case.path);
    }
}

#[tokio::test]
async fn plugin_is_asked_for_the_cluster_of_one_object_too_where_the_name_does_not_tell() {
    for path in ["storage", "disk"] {
        let mut trio = Trio::start().await;
        let options = StandinOptions {
            has_cluster_action: true,
            ..StandinOptions::default()
        };
        trio.restart_netbox(options).await;
        let seed = |path: &str, row: Value| trio.netbox.seed(path, &row).unwrap();
        let kind = seed("virtualization/cluster-types", json!({"name": "Mine", "slug": "mine"}));
        for _ in 0..2 {
            seed(CLUSTERS, json!({"name": "lab", "type": kind}));
        }
        let cases = cases(&trio);
        let case = cases.iter().find(|case| case.path == path).unwrap();
        let (status, body) = trio.app.get(&format!("{}&dry_run=true", case.url())).await;
        assert!(body.to_string().contains("named"), "{path}: {status} {body}");
        done(&trio, &case.url(), "created").await;
    }
}

/// Every request was for the branch, but those that look whether there is such a branch and how the service is set up.
fn assert_on_branch(trio: &Trio, what: &str) {
    let requests = trio.netbox.requests();
    let astray: Vec<&str> = requests
        .iter()
        .filter(|request| request.branch.as_deref() != Some(BRANCH))
        .map(|request| request.path.as_str())
        .filter(|path| {
            !matches!(
                *path,
                "/api/plugins/branching/branches/" | "/api/plugins/proxbox/settings/runtime/"
            )
        })
        .collect();
    assert!(!requests.is_empty() && astray.is_empty(), "{what}: {astray:?}");
}

#[tokio::test]
async fn row_that_was_written_and_cannot_be_read_back_is_no_error() {
    let trio = converged().await;
    let cases = guest_cases(&trio);
    let case = cases.iter().find(|case| case.path == "disk").unwrap();
    let remove = || trio.netbox.remove(case.collection, case.row(&trio).unwrap()).unwrap();
    remove();
    trio.netbox.clear_requests();
    done(&trio, &case.url(), "created").await;
    let requests = trio.netbox.requests();
    let lists = requests
        .iter()
        .filter(|asked| asked.method == "GET" && asked.path == case.collection);
    let lists = u32::try_from(lists.count()).unwrap();
    remove();
    let unread = FaultRule::on(case.collection, Fault::Status(403))
        .method("GET")
        .after(lists);
    trio.netbox.faults().add(unread);
    let (status, body) = trio.app.get(&case.url()).await;
    trio.netbox.faults().clear();
    assert!(case.row(&trio).is_some(), "it was written");
    assert_eq!(
        (status, &body["action"], &body["error"]),
        (StatusCode::OK, &json!("created"), &Value::Null),
        "{body}"
    );
}

#[tokio::test]
async fn namesakes_of_guest_node_and_cluster_elsewhere_are_left_alone() {
    let trio = Trio::with(&[], alpha()).await;
    let seed = |path: &str, row: Value| trio.netbox.seed(path, &row).unwrap();
    let kind = seed(
        "/api/virtualization/cluster-types/",
        json!({"name": "Other", "slug": "other"}),
    );
    let site = seed("/api/dcim/sites/", json!({"name": "Elsewhere", "slug": "elsewhere"}));
    let cluster = json!({"name": "beta", "type": kind, "scope_type": "dcim.site", "scope_id": site});
    let cluster = seed(CLUSTERS, cluster);
    seed(MACHINES, json!({"name": "shop-db", "cluster": cluster}));
    let maker = seed("/api/dcim/manufacturers/", json!({"name": "Acme", "slug": "acme"}));
    let model = json!({"manufacturer": maker, "model": "Box", "slug": "box"});
    let model = seed("/api/dcim/device-types/", model);
    let role = seed("/api/dcim/device-roles/", json!({"name": "Server", "slug": "server"}));
    let device = json!({"name": "a2", "site": site, "device_type": model, "role": role, "cluster": cluster});
    seed(DEVICES, device);
    let paths = [CLUSTERS, DEVICES, MACHINES];
    let before = paths.map(|path| trio.netbox.rows(path));
    for query in [
        "cluster?cluster_name=alpha",
        "node?cluster_name=alpha&node_name=a2",
        "vm?cluster_name=alpha&node=a2&type=qemu&vmid=204",
    ] {
        done(&trio, &format!("/sync/individual/{query}"), "created").await;
    }
    for (path, before) in paths.into_iter().zip(before) {
        assert_eq!(trio.netbox.rows(path)[..before.len()], before, "{path}");
    }
}

#[tokio::test]
async fn what_a_cluster_consists_of_is_made_from_nothing_once() {
    let trio = Trio::start().await;
    for query in [
        "cluster?cluster_name=lab".to_owned(),
        "node?cluster_name=lab&node_name=pve1".to_owned(),
        "storage?cluster_name=lab&storage_name=local".to_owned(),
        format!("vm?{}", guest(&trio)),
    ] {
        let url = format!("/sync/individual/{query}");
        done(&trio, &url, "created").await;
        trio.netbox.clear_requests();
        done(&trio, &url, "unchanged").await;
        assert_eq!(told(&trio.netbox.writes()), [""; 0], "{query}");
    }
}

#[tokio::test]
async fn no_route_guesses_between_two_endpoints_of_one_name() {
    let trio = converged().await;
    let unnamed = format!(
        "/sync/individual/task-history?node={}&type=qemu&vmid={RICH}",
        node(&trio)
    );
    let mut urls: Vec<String> = cases(&trio).iter().map(Case::url).collect();
    urls.push(unnamed);
    store(&trio.app, &pushed("twin", &trio.proxmox)).await;
    for url in urls {
        let (status, body) = trio.app.get(&url).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{url}: {body}");
        assert!(
            body["message"].as_str().unwrap().starts_with("Several"),
            "{url}: {body}"
        );
    }
    assert_eq!(told(&trio.netbox.writes()), [""; 0]);
}
