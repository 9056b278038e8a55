//! The stage `virtual-disks`, from a Proxmox to a NetBox.

use proxbox_api::netbox::standin::{Fault, FaultRule, StandinOptions};
use proxbox_api::proxmox::mock::World;
use proxbox_api::proxmox::mock::world::Settings;
use proxbox_api::reconcile::{Mode, ObjectId};
use proxbox_api::stages::Stage;
use proxbox_api::sync::SyncRequest;
use serde_json::{Value, json};

use crate::harness::{Bench, MACHINES, tags, warnings};

const DISKS: &str = "virtualization/virtual-disks";
const DISK_STATES: &str = "plugins/proxbox/sync-state/virtual-disks";

/// Both sides, with the virtual machines and the storages in place.
async fn bench() -> Bench {
    let bench = Bench::with(World::estate(2, 20), StandinOptions::default()).await;
    for stage in [Stage::Devices, Stage::Storage, Stage::VirtualMachines] {
        bench.stage(stage).await;
    }
    bench
}

/// The disks of the guest with this number, by name.
fn disks(bench: &Bench, vmid: u32) -> Vec<Value> {
    let machine = bench.machine_of(vmid)["id"].clone();
    let rows = bench.netbox.rows(DISKS).into_iter();
    let mut rows: Vec<Value> = rows.filter(|row| row["virtual_machine"]["id"] == machine).collect();
    rows.sort_by_key(|row| row["name"].to_string());
    rows
}

fn names(rows: &[Value]) -> Vec<&str> {
    rows.iter().map(|row| row["name"].as_str().unwrap()).collect()
}

fn disk(bench: &Bench, vmid: u32, name: &str) -> Value {
    let rows = disks(bench, vmid);
    rows.into_iter().find(|row| row["name"] == name).unwrap()
}

#[tokio::test]
async fn every_machine_gets_its_disks_and_a_second_run_writes_nothing() {
    let bench = bench().await;
    let report = bench.stage(Stage::VirtualDisks).await;
    let counts = report.counts();
    assert_eq!(
        (counts.created, counts.failed),
        (20, 0),
        "{:?}",
        report.endpoints[0].warnings
    );
    let rows = disks(&bench, 100);
    let told: Vec<_> = rows
        .iter()
        .map(|row| {
            (
                row["name"].as_str().unwrap(),
                &row["size"],
                row["description"].as_str().unwrap(),
            )
        })
        .collect();
    let expected = [
        ("efidisk0", &json!(4), "Storage: local-lvm"),
        ("ide2", &json!(0), "CD-ROM drive"),
        ("ide3", &json!(0), "CD-ROM drive | ISO: local-lvm:vm-100-cloudinit"),
        ("scsi0", &json!(131_072), "Storage: local-lvm"),
        ("tpmstate0", &json!(4), "Storage: local-lvm"),
    ];
    assert_eq!(told, expected);
    assert_eq!(bench.machine_of(100)["disk"], 131_080);
    let states = bench.netbox.rows(DISK_STATES);
    let state = states
        .iter()
        .find(|state| state["virtual_disk"]["id"] == rows[3]["id"])
        .unwrap();
    assert_eq!(state["proxbox_storage"]["name"], "local-lvm");
    for pause in [false, true] {
        if pause {
            bench.forget();
        }
        bench.take_writes();
        let report = bench.stage(Stage::VirtualDisks).await;
        assert_eq!(bench.take_writes(), Vec::<String>::new());
        assert_eq!(report.counts().unchanged, 20);
    }
}

#[tokio::test]
async fn changes_in_proxmox_are_followed_and_an_operators_disk_stays() {
    let bench = bench().await;
    bench.stage(Stage::VirtualDisks).await;
    let machine = bench.machine_of(100)["id"].clone();
    let own = json!({"virtual_machine": machine, "name": "shelf", "size": 5});
    bench.netbox.seed(DISKS, &own).unwrap();
    let gold = bench
        .netbox
        .seed("extras/tags", &json!({"name": "Gold", "slug": "gold"}))
        .unwrap();
    let scsi0 = disk(&bench, 100, "scsi0")["id"].as_u64().unwrap();
    bench.netbox.change(DISKS, scsi0, &json!({"add_tags": [gold]})).unwrap();
    bench.proxmox.world().change(|world| {
        let guest = world.guest(100).unwrap();
        assert!(guest.resize_disk("scsi0", "64G"));
        assert!(guest.config.remove("tpmstate0"));
        guest.config.set("efidisk0", "/dev/sdb");
    });
    bench.forget();
    let report = bench.stage(Stage::VirtualDisks).await;
    assert_eq!((report.counts().updated, report.counts().unchanged), (1, 19));
    assert_eq!(
        names(&disks(&bench, 100)),
        ["efidisk0", "ide2", "ide3", "scsi0", "shelf"]
    );
    let scsi0 = disk(&bench, 100, "scsi0");
    assert_eq!(
        (&scsi0["size"], tags(&scsi0)),
        (&json!(65_536), vec!["gold", "proxbox"])
    );
    assert_eq!(bench.machine_of(100)["disk"], 65_545);
}

/// The name of the storage that the sync state of a disk tells.
fn storage_of(bench: &Bench, disk: &Value) -> String {
    let states = bench.netbox.rows(DISK_STATES);
    let own: Vec<&Value> = states
        .iter()
        .filter(|state| state["virtual_disk"]["id"] == disk["id"])
        .collect();
    assert_eq!(own.len(), 1, "{own:#?}");
    own[0]["proxbox_storage"]["name"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn disks_that_move_between_storages_and_buses_are_followed_once() {
    let bench = bench().await;
    let set = |key: &'static str, value: &'static str| {
        let world = bench.proxmox.world();
        world.change(|world| world.guest(100).unwrap().config.set(key, value));
    };
    set("ide2", "local:iso/debian.iso,media=cdrom,size=631M");
    bench.forget();
    bench.stage(Stage::VirtualDisks).await;
    let before = disk(&bench, 100, "scsi0");
    assert_eq!(
        disk(&bench, 100, "ide2")["description"],
        "CD-ROM drive | ISO: local:iso/debian.iso"
    );

    set("ide2", "none,media=cdrom");
    set("scsi0", "ceph-rbd:vm-100-disk-0,size=128G");
    bench.forget();
    bench.stage(Stage::VirtualDisks).await;
    assert_eq!(disk(&bench, 100, "ide2")["description"], "CD-ROM drive");
    let moved = disk(&bench, 100, "scsi0");
    assert_eq!(
        (&moved["id"], &moved["description"]),
        (&before["id"], &json!("Storage: ceph-rbd"))
    );
    assert_eq!(storage_of(&bench, &moved), "ceph-rbd");

    bench
        .proxmox
        .world()
        .change(|world| assert!(world.guest(100).unwrap().config.remove("scsi0")));
    set("virtio0", "ceph-rbd:vm-100-disk-0,size=128G");
    bench.forget();
    bench.stage(Stage::VirtualDisks).await;
    assert_eq!(
        names(&disks(&bench, 100)),
        ["efidisk0", "ide2", "ide3", "tpmstate0", "virtio0"]
    );
    assert_eq!(storage_of(&bench, &disk(&bench, 100, "virtio0")), "ceph-rbd");
    assert_eq!(bench.machine_of(100)["disk"], 131_080);
    bench.take_writes();
    bench.forget();
    bench.stage(Stage::VirtualDisks).await;
    assert_eq!(bench.take_writes(), Vec::<String>::new());
}

#[tokio::test]
async fn disks_of_a_dead_node_are_left_alone() {
    let bench = bench().await;
    bench.stage(Stage::VirtualDisks).await;
    let before = bench.netbox.fingerprint();
    bench.proxmox.faults().node_down("pve2");
    bench.forget();
    bench.take_writes();
    let report = bench.stage(Stage::VirtualDisks).await;
    assert_eq!(bench.take_writes(), Vec::<String>::new());
    assert_eq!(bench.netbox.fingerprint(), before);
    let on_node = bench.proxmox.world().read(|world| {
        let guests = world.guests.values();
        guests.filter(|guest| guest.node == "pve2").count()
    });
    assert_eq!(report.counts().skipped, on_node);
    let warnings = warnings(&report);
    assert!(warnings.contains("pve2"), "{warnings}");
}

#[tokio::test]
async fn machine_whose_disks_cannot_be_told_says_why_in_its_row() {
    let bench = bench().await;
    bench.stage(Stage::VirtualDisks).await;
    let name = |vmid| bench.machine_of(vmid)["name"].as_str().unwrap().to_owned();
    let (gone, unread, vanished) = (name(101), name(102), name(103));
    bench.proxmox.world().change(|world| world.remove_guest(101));
    bench.proxmox.faults().fail(
        "/nodes/*/*/103/config",
        500,
        "Configuration file 'nodes/pve1/qemu-server/103.conf' does not exist",
    );
    bench.proxmox.faults().fail(
        "/nodes/*/*/102/config",
        403,
        "Permission check failed (/vms/102, VM.Audit)",
    );
    bench.forget();
    bench.take_writes();
    let events = bench.events(Stage::VirtualDisks, SyncRequest::default()).await;
    let rows = events.iter().filter(|event| event.data["step"] == "virtual_disk");
    let rows: Vec<&Value> = rows
        .map(|event| &event.data["payload"]["data"])
        .filter(|row| row.is_object())
        .collect();
    let (begun, ended): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row["completed"] == false);
    let ids = |rows: &[&Value]| -> Vec<String> { rows.iter().map(|row| row["rowid"].to_string()).collect() };
    assert_eq!((ids(&begun), begun.len()), (ids(&ended), 20));
    let rows: Vec<&Value> = ended.into_iter().filter(|row| !row["error"].is_null()).collect();
    let row_of = |name: &str| json!(format!("{name}-disks")).to_string();
    assert_eq!(ids(&rows), [row_of(&gone), row_of(&unread), row_of(&vanished)]);
    let told: Vec<&Value> = rows.iter().map(|row| &row["disks"]).collect();
    assert_eq!(
        told,
        [
            "VM not found in Proxmox",
            "Config not available",
            "VM not found in Proxmox"
        ]
    );
    let reason = |row: usize| rows[row]["error"].as_str().unwrap();
    assert_eq!(reason(0), "VM not found in Proxmox");
    assert!(reason(1).contains("VM.Audit"), "{}", reason(1));
    assert!(reason(2).contains("does not exist"), "{}", reason(2));
    let result = &events.last().unwrap().data["result"];
    assert_eq!(
        (&result["skipped"], &result["failed"]),
        (&json!(20), &json!(0)),
        "{result}"
    );
    assert_eq!(bench.take_writes(), Vec::<String>::new());
}

#[tokio::test]
async fn refused_disk_is_named_and_the_others_are_written() {
    let bench = bench().await;
    let words = "Not on this shelf.";
    bench.netbox.faults().refuse_row(DISKS, "tpmstate0", "name", words);
    let report = bench.job(Stage::VirtualDisks, SyncRequest::default()).await;
    let report = report.into_stage().unwrap();
    let name = bench.machine_of(100)["name"].as_str().unwrap().to_owned();
    let warnings = warnings(&report);
    let expected = format!("{name}/tpmstate0");
    assert!(warnings.contains(&expected) && warnings.contains(words), "{warnings}");
    assert!(
        report.counts().failed > 0 && report.counts().created > 0,
        "{:?}",
        report.counts()
    );
    assert_eq!(names(&disks(&bench, 100)), ["efidisk0", "ide2", "ide3", "scsi0"]);
    bench.netbox.faults().clear();
    bench.stage(Stage::VirtualDisks).await;
    assert_eq!(disks(&bench, 100).len(), 5);
}

#[tokio::test]
async fn only_the_machines_that_were_asked_for_get_disks() {
    let bench = bench().await;
    let wanted = bench.machine_of(103)["id"].as_u64().unwrap();
    let mut request = SyncRequest::default();
    request.options.guests.only = Some([ObjectId(wanted)].into());
    let report = bench.stage_with(Stage::VirtualDisks, request).await;
    assert_eq!((report.counts().created, report.counts().total()), (1, 1));
    assert_eq!(bench.netbox.count(DISKS), disks(&bench, 103).len());
}

/// Of few rows of one virtual machine many may go where the endpoint has many.
#[tokio::test]
async fn guard_of_a_run_for_one_virtual_machine_takes_its_share_of_the_endpoints_rows() {
    let bench = bench().await;
    bench.stage(Stage::VirtualDisks).await;
    let tag = disk(&bench, 100, "scsi0")["tags"][0]["id"].clone();
    for (vmid, count) in [(100, 12), (103, 40)] {
        let machine = bench.machine_of(vmid)["id"].clone();
        for number in 0..count {
            let row = json!({
                "virtual_machine": machine, "name": format!("gone{number}"), "size": 1, "tags": [tag]
            });
            bench.netbox.seed(DISKS, &row).unwrap();
        }
    }
    let mut request = SyncRequest::default();
    let machine = bench.machine_of(100)["id"].as_u64().unwrap();
    request.options.guests.only = Some([ObjectId(machine)].into());
    let before = bench.netbox.count(DISKS);
    bench.stage_with(Stage::VirtualDisks, request).await;
    assert_eq!(bench.netbox.count(DISKS), before - 12);
}

#[tokio::test]
async fn disks_are_written_where_their_storages_or_sync_states_cannot_be_read() {
    let bench = &mut bench().await;
    bench.stage(Stage::VirtualDisks).await;
    for row in bench.netbox.rows(DISK_STATES) {
        bench.netbox.remove(DISK_STATES, row["id"].as_u64().unwrap()).unwrap();
    }
    for list in ["plugins/proxbox/storage", DISK_STATES] {
        for fault in [Fault::Status(403), Fault::Html(404), Fault::Status(500)] {
            bench.proxmox.world().change(|world| {
                let config = &mut world.guest(100).unwrap().config;
                config.set("scsi7", "local-lvm:vm-100-disk-7,size=1G");
            });
            bench.restart(true);
            let refused = FaultRule::on(list, fault.clone()).method("GET");
            bench.netbox.faults().add(refused);
            let report = bench.stage(Stage::VirtualDisks).await;
            let warnings = warnings(&report);
            let counts = report.counts();
            assert_eq!((counts.created, counts.failed), (1, 0), "{list} {fault:?}: {warnings}");
            assert_eq!(report.result()["degraded"], true);
            assert!(
                warnings.contains(&format!("`/api/{list}/`")),
                "{list} {fault:?}: {warnings}"
            );
            assert_eq!((warnings.lines().count(), bench.netbox.count(DISK_STATES)), (1, 0));
            bench.netbox.faults().clear();
            let made = disk(bench, 100, "scsi7")["id"].as_u64().unwrap();
            bench.netbox.remove(DISKS, made).unwrap();
        }
    }
}

/// Guest 101 has nothing but a disk of its host.
#[tokio::test]
async fn machine_whose_own_size_changes_counts_as_updated_and_fails_where_that_is_refused() {
    let bench = bench().await;
    bench.proxmox.world().change(|world| {
        let guest = world.guest(101).unwrap();
        let keys: Vec<String> = ["scsi", "virtio", "ide", "sata", "efidisk", "tpmstate"]
            .iter()
            .flat_map(|bus| (0..8).map(move |number| format!("{bus}{number}")))
            .collect();
        for key in keys {
            guest.config.remove(&key);
        }
        guest.config.set("scsi0", "/dev/sdb");
    });
    let machine = bench.machine_of(101);
    assert!(machine["disk"].as_u64().unwrap() > 0);
    let name = machine["name"].as_str().unwrap();
    bench
        .netbox
        .faults()
        .refuse_row(MACHINES, name, "disk", "Not that small.");
    for (created, updated, failed) in [(19, 0, 1), (0, 1, 0), (0, 0, 0)] {
        bench.forget();
        let events = bench.events(Stage::VirtualDisks, SyncRequest::default()).await;
        let result = &events.last().unwrap().data["result"];
        let told = ["created", "updated", "failed"].map(|count| result[count].as_u64().unwrap());
        assert_eq!(told, [created, updated, failed], "{result}");
        let rowid = format!("{name}-disks");
        let row = events.iter().rfind(|event| event.data["rowid"] == rowid).unwrap();
        let error = row.data["payload"]["data"]["error"].as_str().unwrap_or_default();
        assert_eq!(error.contains("Not that small."), failed == 1, "{error}");
        bench.netbox.faults().clear();
    }
    assert_eq!(bench.machine_of(101)["disk"], 0);
}

/// Its notes name another cluster by now, which only its configuration tells.
#[tokio::test]
async fn machine_that_its_notes_place_elsewhere_is_named_and_never_begun() {
    let bench = bench().await;
    let change = |edit: fn(&mut Settings)| {
        let world = bench.proxmox.world();
        world.change(|world| edit(&mut world.guest(101).unwrap().config));
        bench.forget();
    };
    change(|config| config.set("scsi7", "local-lvm:vm-disk-7,size=8G"));
    bench.stage(Stage::VirtualDisks).await;
    let name = bench.machine_of(101)["name"].clone();
    change(|config| {
        config.remove("scsi7");
        config.set("description", "```netbox-metadata\n{\"cluster\": 9999}\n```");
    });
    bench.take_writes();
    let mut request = SyncRequest::default();
    request.options.guests.parse_metadata = true;
    let events = bench.events(Stage::VirtualDisks, request).await;
    let rows = events.iter().filter(|event| event.data["step"] == "virtual_disk");
    let rows: Vec<&Value> = rows
        .map(|event| &event.data["payload"]["data"])
        .filter(|row| row.is_object())
        .collect();
    let (begun, ended): (Vec<&Value>, Vec<&Value>) = rows.iter().partition(|row| row["completed"] == false);
    let names = |rows: &[&Value]| -> Vec<Value> { rows.iter().map(|row| row["name"].clone()).collect() };
    assert_eq!((names(&begun), begun.len()), (names(&ended), 19));
    assert!(!names(&begun).contains(&name));
    let result = &events.last().unwrap().data["result"];
    assert!(
        result["warnings"]
            .to_string()
            .contains("not in the cluster of guest 101"),
        "{result:#}"
    );
    assert_eq!(bench.take_writes(), [""; 0]);
}

/// Ordinary guests are left out, and templates are not.
#[tokio::test]
async fn disks_of_guests_that_the_modes_leave_out_are_neither_written_nor_told_of() {
    let bench = bench().await;
    let template = bench.proxmox.world().read(|world| {
        let mut guests = world.guests.values().filter(|guest| guest.template);
        let found = guests.next().unwrap().vmid;
        assert_eq!(guests.count(), 0);
        found
    });
    let mut request = SyncRequest::default();
    request.options.modes.machine = Mode::Disabled;
    let events = bench.events(Stage::VirtualDisks, request).await;
    let result = &events.last().unwrap().data["result"];
    assert_eq!(
        (&result["count"], &result["created"]),
        (&json!(1), &json!(1)),
        "{result}"
    );
    let rows = events
        .iter()
        .filter(|event| event.data["step"] == "virtual_disk" && !event.data["rowid"].is_null());
    assert_eq!(rows.count(), 2, "begun and ended");
    assert_eq!(disks(&bench, template).len(), bench.netbox.count(DISKS));
}
