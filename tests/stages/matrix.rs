//! What holds for every stage alike: an estate in step plans nothing, one change plans just that, an operator's edits
//! survive, a refused row is named and the rest is written, and what cannot be read is not taken for gone.

use std::collections::{BTreeMap, BTreeSet};

use proxbox_api::netbox::standin::StandinOptions;
use proxbox_api::proxmox::mock::world::{Agent, AgentInterface};
use proxbox_api::proxmox::mock::{MockProxmox, Node, World};
use proxbox_api::reconcile::{Mode, Plan};
use proxbox_api::stages::Stage;
use proxbox_api::sync::SyncRequest;
use serde_json::{Value, json};

use crate::harness::{Bench, tags};

/// A request by which a stage does its own part whole, and nothing else.
fn request() -> SyncRequest {
    let mut request = SyncRequest {
        allow_shrink: true,
        ..SyncRequest::default()
    };
    request.options.modes.sdn = Mode::Always;
    request.options.sync_node_topology = true;
    let guests = &mut request.options.guests;
    guests.sync_network = false;
    guests.sync_task_history = false;
    guests.delete_missing_backups = true;
    guests.delete_missing_snapshots = true;
    request
}

/// Both sides after every stage.
async fn filled() -> Bench {
    let bench = Bench::with(World::estate(3, 24), StandinOptions::default()).await;
    for stage in Stage::ORDER {
        bench.stage_with(*stage, request()).await;
    }
    bench.take_writes();
    bench
}

/// What a stage would write, a line for each row: what is done to it, where, its name, and its values.
async fn planned(bench: &Bench, stage: Stage) -> Vec<String> {
    bench.forget();
    let dry = SyncRequest {
        dry_run: true,
        ..request()
    };
    let report = bench.stage_with(stage, dry).await;
    assert_eq!(bench.take_writes(), [""; 0], "{}", stage.as_str());
    report.endpoints[0].plans.iter().flat_map(lines).collect()
}

/// A change of one field; of an object, those of its members.
fn told(field: &str, before: &Value, after: &Value) -> Vec<String> {
    let (Value::Object(old), Value::Object(new)) = (before, after) else {
        return vec![format!("{field} {before} -> {after}")];
    };
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let changed = names.into_iter().filter(|name| old.get(*name) != new.get(*name));
    changed
        .flat_map(|name| told(&format!("{field}.{name}"), &before[name], &after[name]))
        .collect()
}

fn lines(plan: &Plan) -> Vec<String> {
    let path = plan.path.trim_start_matches("/api/").trim_end_matches('/');
    let created = plan.create.iter().map(|row| {
        let mut fields = json!(row.fields);
        if let Some(time) = fields.get_mut("proxmox_last_updated") {
            *time = json!("now");
        }
        format!("create {path} {}: {fields}", row.label)
    });
    let changed = plan.update.iter().map(|row| {
        let changes = row.changes.iter();
        let changes: Vec<String> = changes
            .flat_map(|(field, change)| told(field, &change.before, &change.after))
            .collect();
        let verb = if row.is_retirement { "retire" } else { "update" };
        format!("{verb} {path} {}: {}", row.label, changes.join(", "))
    });
    let deleted = plan.delete.iter().map(|row| format!("delete {path} {}", row.label));
    let refused = plan
        .refused
        .iter()
        .map(|row| format!("refuse {path} {}: {}", row.label, row.reason));
    created.chain(changed).chain(deleted).chain(refused).collect()
}

#[tokio::test]
async fn estate_in_step_plans_nothing() {
    let bench = filled().await;
    for stage in Stage::ORDER {
        assert_eq!(planned(&bench, *stage).await, [""; 0], "{}", stage.as_str());
    }
}

/// A change of the estate, and everything that the stage plans for it.
type Change = (Stage, fn(&mut World), &'static [&'static str]);

const CHANGES: &[Change] = &[
    (
        Stage::Devices,
        |world| world.nodes.push(Node::new("pve4", 4, "10.10.0.4")),
        &[
            r#"create dcim/devices pve4: {"cluster":1,"description":"Proxmox Node pve4","device_type":1,"name":"pve4","role":3,"site":1,"status":"active","tags":["proxbox","proxbox-discovered-node"]}"#,
            r#"create plugins/proxbox/sync-state/devices pve4: {"device":"new device pve4","proxmox_cluster":1,"proxmox_cluster_name":"lab","proxmox_endpoint_raw_id":1,"proxmox_last_updated":"now","proxmox_node_name":"pve4"}"#,
        ],
    ),
    (
        Stage::Storage,
        |world| {
            // Of one kind of content: several are told in another order each time.
            let server = world.storage("pbs-main").unwrap();
            server.settings.set("server", "10.20.255.21");
        },
        &[
            r#"update plugins/proxbox/storage pbs-main: raw_config.server "10.20.255.20" -> "10.20.255.21", server "10.20.255.20" -> "10.20.255.21""#,
        ],
    ),
    (
        Stage::VirtualMachines,
        |world| world.guest(102).unwrap().memory_mib = 3072,
        &["update virtualization/virtual-machines ci-102: memory 8192 -> 3072"],
    ),
    (
        Stage::TaskHistory,
        |world| {
            let mut tasks = world.tasks.iter_mut();
            let task = tasks.find(|task| &*task.id == "103" && task.kind == "vzdump").unwrap();
            task.outcome = "job errors".into();
        },
        &[
            r#"update plugins/proxbox/task-history UPID:pve1:00244C87:0F6264E3:6A430699:vzdump:103:root@pam:: exitstatus "OK" -> "job errors", status "OK" -> "job errors""#,
        ],
    ),
    (
        Stage::VirtualDisks,
        |world| assert!(world.guest(100).unwrap().resize_disk("scsi0", "64G")),
        &["update virtualization/virtual-disks web-100/scsi0: size 131072 -> 65536"],
    ),
    (
        Stage::Backups,
        |world| world.backups[0].notes = Some("before the move".to_owned()),
        &[
            r#"update plugins/proxbox/backups nas-backups:backup/vzdump-qemu-100-2026_06_30-03_01_40.vma.zst: notes "web-100, 100" -> "before the move""#,
        ],
    ),
    (
        Stage::Snapshots,
        |world| "kernel 6.11".clone_into(&mut world.guest(101).unwrap().snapshots[0].description),
        &[r#"update plugins/proxbox/snapshots before-upgrade of guest 101: description "" -> "kernel 6.11""#],
    ),
    (
        Stage::NodeInterfaces,
        |world| {
            let mut interfaces = world.node("pve2").unwrap().interfaces.iter_mut();
            let bridge = interfaces.find(|interface| interface.iface == "vmbr2").unwrap();
            bridge.settings.set("cidr", "10.77.0.2/24");
        },
        &[
            r#"create ipam/ip-addresses 10.77.0.2: {"address":"10.77.0.2/24","assigned_object_id":23,"assigned_object_type":"dcim.interface","dns_name":"","status":"active","tags":["proxbox"]}"#,
        ],
    ),
    (
        Stage::VmInterfaces,
        |world| {
            let config = &mut world.guest(101).unwrap().config;
            let net = config.text("net0").unwrap().replace("tag=130", "tag=333");
            config.set("net0", net);
        },
        &[
            r#"create ipam/vlans 333: {"name":"VLAN 333","site":1,"status":"active","tags":["proxbox"],"vid":333}"#,
            r#"update virtualization/interfaces cache-101/net0: untagged_vlan 6 -> "new VLAN 333""#,
        ],
    ),
    (
        Stage::VmIpAddresses,
        |world| {
            let guest = world.guest(100).unwrap();
            let mac = guest.mac(0).unwrap().to_lowercase();
            guest.agent = Agent::Interfaces(vec![AgentInterface::new("ens18", &mac, &["10.99.0.7/24"])]);
        },
        &[
            "delete plugins/proxbox/guest-vm-interface-addresses web-100/ens18 10.50.0.101",
            "delete plugins/proxbox/guest-vm-interface-addresses web-100/ens18 fd00:50::64",
            "delete ipam/ip-addresses 10.50.0.101",
            "delete ipam/ip-addresses fd00:50::64",
            r#"create ipam/ip-addresses 10.99.0.7: {"address":"10.99.0.7/24","assigned_object_id":1,"assigned_object_type":"virtualization.vminterface","dns_name":"web-100","status":"active","tags":["proxbox"]}"#,
            r#"create plugins/proxbox/guest-vm-interface-addresses web-100/ens18 10.99.0.7: {"guest_interface":3,"ip_address":"new IP address 10.99.0.7"}"#,
            r#"update virtualization/virtual-machines web-100: primary_ip4 20 -> "new IP address 10.99.0.7""#,
        ],
    ),
    (
        Stage::Sdn,
        |world| drop(world.sdn.zones[0].insert("mtu".to_owned(), json!(9000))),
        &["update plugins/proxbox/sdn-zones local1: mtu 1450 -> 9000, raw_config.mtu 1450 -> 9000"],
    ),
    (
        Stage::Replications,
        |world| "*/30".clone_into(&mut world.replications[0].schedule),
        &[
            r#"update plugins/proxbox/replications 106-0: raw_config.schedule "*/15" -> "*/30", schedule "*/15" -> "*/30""#,
        ],
    ),
    (
        Stage::BackupRoutines,
        |world| drop(world.backup_jobs[0].insert("comment".to_owned(), json!("twice"))),
        &[
            r#"update plugins/proxbox/backup-routines backup-all-0001: comment "everything, nightly" -> "twice", raw_config.comment "everything, nightly" -> "twice""#,
        ],
    ),
];

#[tokio::test]
async fn one_change_plans_just_that() {
    let bench = filled().await;
    let before = bench.proxmox.world().read(World::clone);
    let mut odd = Vec::new();
    for (stage, change, expected) in CHANGES {
        bench.proxmox.world().change(*change);
        let found = planned(&bench, *stage).await;
        if found != *expected {
            odd.push((stage.as_str(), found));
        }
        bench.proxmox.world().change(|world| world.clone_from(&before));
        // It alone asks who is in the cluster now.
        assert_eq!(planned(&bench, Stage::Devices).await, [""; 0]);
    }
    assert!(odd.is_empty(), "{odd:#?}");
    let stages: Vec<Stage> = CHANGES.iter().map(|(stage, ..)| *stage).collect();
    assert_eq!(stages, Stage::ORDER);
}

/// What an operator may do to a row of each kind.
const EDITS: &[(Stage, &str, &str)] = &[
    (
        Stage::Devices,
        "dcim/devices",
        r#"{"name": "rack-7-top", "serial": "S1", "comments": "mine"}"#,
    ),
    (
        Stage::Devices,
        "virtualization/clusters",
        r#"{"name": "Lab in Hamburg", "comments": "mine"}"#,
    ),
    (Stage::Storage, "plugins/proxbox/storage", "{}"),
    (
        Stage::VirtualMachines,
        "virtualization/virtual-machines",
        r#"{"name": "renamed-by-hand", "serial": "S1"}"#,
    ),
    (Stage::TaskHistory, "plugins/proxbox/task-history", "{}"),
    (Stage::VirtualDisks, "virtualization/virtual-disks", "{}"),
    (Stage::Backups, "plugins/proxbox/backups", "{}"),
    (Stage::Snapshots, "plugins/proxbox/snapshots", "{}"),
    (
        Stage::NodeInterfaces,
        "dcim/interfaces",
        r#"{"type": "10gbase-x-sfpp", "description": "to the core", "label": "A1"}"#,
    ),
    (
        Stage::VmInterfaces,
        "virtualization/interfaces",
        r#"{"description": "uplink", "mtu": 1400}"#,
    ),
    (Stage::VmInterfaces, "dcim/mac-addresses", r#"{"description": "mine"}"#),
    (
        Stage::VmInterfaces,
        "ipam/vlans",
        r#"{"name": "Servers", "status": "reserved", "description": "mine"}"#,
    ),
    (
        Stage::VmIpAddresses,
        "ipam/ip-addresses",
        r#"{"description": "mine", "comments": "mine"}"#,
    ),
    (Stage::Sdn, "vpn/l2vpns", r#"{"comments": "mine"}"#),
    (Stage::Sdn, "ipam/prefixes", r#"{"comments": "mine"}"#),
    (Stage::Sdn, "plugins/proxbox/sdn-zones", "{}"),
    (Stage::Replications, "plugins/proxbox/replications", "{}"),
    (Stage::BackupRoutines, "plugins/proxbox/backup-routines", "{}"),
];

#[tokio::test]
async fn operators_edits_survive_every_stage() {
    let bench = filled().await;
    let gold = json!({"name": "Gold", "slug": "gold"});
    let gold = bench.netbox.seed("extras/tags", &gold).unwrap();
    for (stage, path, edit) in EDITS {
        let mut edit: Value = serde_json::from_str(edit).unwrap();
        let rows = bench.netbox.rows(path);
        let row = rows.iter().find(|row| row["tags"].to_string().contains("proxbox"));
        let id = row.unwrap_or(&rows[0])["id"].as_u64().unwrap();
        edit["add_tags"] = json!([gold]);
        bench.netbox.change(path, id, &edit).unwrap();
        let find = || {
            let mut rows = bench.netbox.rows(path).into_iter();
            rows.find(|row| row["id"] == id).unwrap()
        };
        let edited = find();
        assert!(tags(&edited).contains(&"gold"), "{path}");
        bench.forget();
        bench.stage_with(*stage, request()).await;
        assert_eq!(bench.take_writes(), [""; 0], "{} {path}", stage.as_str());
        assert_eq!(find(), edited, "{} {path}", stage.as_str());
    }
    for stage in Stage::ORDER {
        assert!(EDITS.iter().any(|(edited, ..)| edited == stage), "{}", stage.as_str());
    }
}

#[tokio::test]
async fn operators_tags_survive_changes_of_their_own_rows() {
    let bench = filled().await;
    let gold = bench
        .netbox
        .seed("extras/tags", &json!({"name": "Gold", "slug": "gold"}));
    let gold = json!({"add_tags": [gold.unwrap()]});
    let paths: BTreeSet<&str> = EDITS.iter().map(|(_, path, _)| *path).collect();
    let rows = |path: &str| -> BTreeMap<u64, Value> {
        let rows = bench.netbox.rows(path).into_iter();
        rows.map(|row| (row["id"].as_u64().unwrap(), row)).collect()
    };
    let all = || -> BTreeMap<&str, BTreeMap<u64, Value>> { paths.iter().map(|path| (*path, rows(path))).collect() };
    for (path, rows) in all() {
        for id in rows.keys() {
            bench.netbox.change(path, *id, &gold).unwrap();
        }
    }
    let before = all();
    for (_, change, _) in CHANGES {
        bench.proxmox.world().change(*change);
    }
    bench.forget();
    for stage in Stage::ORDER {
        bench.stage_with(*stage, request()).await;
    }
    let after = all();
    let mut changed = BTreeSet::new();
    for (path, rows) in &before {
        for (id, row) in rows {
            let now = &after[path][id];
            assert!(tags(now).contains(&"gold"), "{path}: {now}");
            if now != row {
                changed.insert(path);
            }
        }
    }
    assert!(changed.len() > 9, "{changed:?}");
}

/// Where a stage keeps its rows, and which of their texts names one of them alone.
const ROWS: &[(Stage, &str, &str)] = &[
    (Stage::TaskHistory, "plugins/proxbox/task-history", "upid"),
    (Stage::Backups, "plugins/proxbox/backups", "volume_id"),
    (Stage::Sdn, "plugins/proxbox/sdn-prefix-lists", "name"),
    (Stage::Sdn, "plugins/proxbox/sdn-bindings", "source_name"),
];

#[tokio::test]
async fn refused_row_is_named_and_the_rest_is_written() {
    let bench = filled().await;
    let words = "This one is not wanted.";
    for (stage, path, text) in ROWS {
        let rows = bench.netbox.rows(path);
        for row in &rows {
            bench.netbox.remove(path, row["id"].as_u64().unwrap()).unwrap();
        }
        let refused = rows[0][*text].as_str().unwrap();
        bench.netbox.faults().refuse_row(path, refused, "tags", words);
        bench.forget();
        let report = bench.stage_with(*stage, request()).await;
        let (kind, counts) = (stage.as_str(), report.counts());
        let result = report.result()["warnings"].to_string();
        assert!(result.contains(words) && result.contains(refused), "{kind}: {result}");
        assert!(counts.failed == 1, "{kind}: {counts:?} {result}");
        assert_eq!(bench.netbox.count(path), rows.len() - 1, "{kind}: {result}");
        bench.netbox.faults().clear();
        bench.forget();
        bench.stage_with(*stage, request()).await;
        assert_eq!(bench.netbox.count(path), rows.len(), "{kind}");
        bench.take_writes();
    }
}

/// What goes wrong while a stage reads, and what is gone from the estate meanwhile. `true`: once the trouble is over, rows
/// go or are marked.
type Trouble = (Stage, fn(&MockProxmox), fn(&mut World), bool);

fn refuse(proxmox: &MockProxmox, path: &str) {
    proxmox
        .faults()
        .fail(path, 403, "Permission check failed (/, Sys.Audit)");
}

const TROUBLES: &[Trouble] = &[
    (
        Stage::Devices,
        |proxmox| refuse(proxmox, "/cluster/status"),
        |world| world.nodes.truncate(2),
        false,
    ),
    (
        Stage::Storage,
        |proxmox| refuse(proxmox, "/storage"),
        |world| world.storages.clear(),
        false,
    ),
    (
        Stage::VirtualMachines,
        |proxmox| proxmox.faults().node_down("pve2"),
        |world| drop(world.remove_guest(101)),
        false,
    ),
    (
        Stage::TaskHistory,
        |proxmox| refuse(proxmox, "/nodes/pve2/tasks"),
        |world| world.tasks.clear(),
        false,
    ),
    (
        Stage::VirtualDisks,
        |proxmox| refuse(proxmox, "/nodes/*/*/100/config"),
        |world| assert!(world.guest(100).unwrap().config.remove("tpmstate0")),
        true,
    ),
    (
        Stage::Backups,
        |proxmox| refuse(proxmox, "/nodes/*/storage/nas-backups/content"),
        |world| world.backups.clear(),
        true,
    ),
    (
        Stage::Snapshots,
        |proxmox| refuse(proxmox, "/nodes/*/*/101/snapshot"),
        |world| world.guest(101).unwrap().snapshots.clear(),
        true,
    ),
    (
        Stage::NodeInterfaces,
        |proxmox| refuse(proxmox, "/nodes/pve2/network"),
        |world| world.node("pve2").unwrap().interfaces.clear(),
        false,
    ),
    (
        Stage::VmInterfaces,
        |proxmox| refuse(proxmox, "/nodes/*/*/100/config"),
        |world| assert!(world.guest(100).unwrap().config.remove("net0")),
        false,
    ),
    (
        Stage::VmIpAddresses,
        |proxmox| refuse(proxmox, "/nodes/*/qemu/100/agent/*"),
        |world| {
            let guest = world.guest(100).unwrap();
            let mac = guest.mac(0).unwrap().to_lowercase();
            guest.agent = Agent::Interfaces(vec![AgentInterface::new("ens18", &mac, &["10.99.0.7/24"])]);
        },
        true,
    ),
    (
        Stage::Sdn,
        |proxmox| refuse(proxmox, "/cluster/sdn/zones"),
        |world| drop(world.sdn.zones.remove(0)),
        true,
    ),
    (
        Stage::Replications,
        |proxmox| refuse(proxmox, "/cluster/replication"),
        |world| world.replications.clear(),
        true,
    ),
    (
        Stage::BackupRoutines,
        |proxmox| refuse(proxmox, "/cluster/backup"),
        |world| world.backup_jobs.clear(),
        true,
    ),
];

#[tokio::test]
async fn what_cannot_be_read_is_not_taken_for_gone() {
    let bench = filled().await;
    let before = bench.proxmox.world().read(World::clone);
    for (stage, trouble, change, is_retired) in TROUBLES {
        let kind = stage.as_str();
        let rows = bench.netbox.fingerprint();
        bench.proxmox.world().change(*change);
        trouble(&bench.proxmox);
        bench.forget();
        let report = bench.job(*stage, request()).await.into_stage().unwrap();
        assert_eq!(bench.take_writes(), [""; 0], "{kind}: {}", report.result());
        assert_eq!(bench.netbox.fingerprint(), rows, "{kind}");
        let told = report.endpoints[0].warnings.len() + report.errors().len();
        assert!(told > 0, "{kind}: nothing is said of it");
        bench.proxmox.faults().clear();
        bench.forget();
        let report = bench.job(*stage, request()).await.into_stage().unwrap();
        let has_deleted = bench.take_writes().iter().any(|write| write.starts_with("DELETE"));
        let retires = has_deleted || report.counts().stale > 0;
        assert_eq!(retires, *is_retired, "{kind}: {}", report.result());
        bench.proxmox.world().change(|world| world.clone_from(&before));
        bench.forget();
        bench.stage_with(*stage, request()).await;
        bench.take_writes();
    }
    let stages: Vec<Stage> = TROUBLES.iter().map(|(stage, ..)| *stage).collect();
    assert_eq!(stages, Stage::ORDER);
}
