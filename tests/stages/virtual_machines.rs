//! The stage `virtual-machines`, from a Proxmox to a NetBox.

use proxbox_api::netbox::standin::{Fault, FaultRule, Release, StandinOptions};
use proxbox_api::proxmox::mock::world::{Agent, AgentInterface, GuestKind, GuestStatus};
use proxbox_api::proxmox::mock::{Guest, World};
use proxbox_api::reconcile::{Mode, ObjectId};
use proxbox_api::stages::{Flag, Modes, Stage};
use proxbox_api::sync::{Job, SyncRequest};
use serde_json::{Value, json};

use crate::clusters::{Estate, alpha, beta};
use crate::harness::{Bench, INTERFACES, MACHINE_STATES, MACHINES, tags, until, warnings};

const CLOUD_INITS: &str = "plugins/proxbox/vm-cloudinit";
const DISKS: &str = "virtualization/virtual-disks";
const TAGS: &str = "extras/tags";
const MORE_DISKS: &[&str] = &["scsi6", "scsi7", "scsi8", "scsi9"];

/// A request for the stage alone, without interfaces, disks and tasks.
fn alone() -> SyncRequest {
    let mut request = SyncRequest::default();
    request.options.guests.sync_network = false;
    request.options.guests.sync_task_history = false;
    request
}

#[tokio::test]
async fn empty_netbox_gets_every_guest_and_a_second_run_writes_nothing() {
    let bench = Bench::start().await;
    let report = bench.stage(Stage::VirtualMachines).await;
    let counts = report.counts();
    assert_eq!(
        (counts.created, counts.failed),
        (55, 0),
        "{:?}",
        report.endpoints[0].warnings
    );
    assert_eq!(
        (bench.netbox.count(MACHINES), bench.netbox.count(MACHINE_STATES)),
        (55, 55)
    );
    let machine = bench.machine_of(100);
    assert_eq!(machine["cluster"]["name"], "lab");
    assert_eq!(machine["device"]["name"], "pve1");
    assert_eq!(machine["virtual_machine_type"]["slug"], "qemu-virtual-machine");
    assert_eq!(machine["comments"], "Primary shop server\nOwner: data team");
    assert_eq!(tags(&machine), ["prod", "proxbox", "proxbox-discovered-qemu"]);
    let state = bench.machine_state(100);
    assert_eq!(
        (
            &state["proxmox_endpoint_raw_id"],
            &state["proxmox_vm_type"],
            &state["proxmox_cluster_name"]
        ),
        (&json!(1), &json!("qemu"), &json!("lab"))
    );
    assert!(
        state["endpoint"]["id"].is_u64(),
        "the plugin's actions need it: {state:#}"
    );
    assert_ne!(state["last_run_id"], "");
    let prod = bench
        .netbox
        .rows(TAGS)
        .into_iter()
        .find(|tag| tag["slug"] == "prod")
        .unwrap();
    assert_eq!(
        (&prod["color"], &prod["description"]),
        (&json!("cc0000"), &json!("Synced by Proxbox"))
    );
    assert!(bench.netbox.count(CLOUD_INITS) > 0);

    for pause in [false, true] {
        if pause {
            bench.forget();
        }
        bench.netbox.clear_requests();
        let report = bench.stage(Stage::VirtualMachines).await;
        // Virtual machines, sync states, tags, cloud-init rows, and NetBox's status where it is asked again.
        let reads = bench.netbox.requests().len();
        assert!(pause || reads <= 5, "{reads} reads: {:#?}", bench.netbox.requests());
        assert_eq!(bench.take_writes(), Vec::<String>::new());
        assert_eq!(report.counts().unchanged, 55);
    }
}

#[tokio::test]
async fn platform_follows_the_guest_agent_where_that_is_wanted() {
    let bench = Bench::with(World::estate(2, 10), StandinOptions::default()).await;
    let mut request = alone();
    request.options.guests.platform_from_agent = true;
    bench.stage_with(Stage::VirtualMachines, request).await;
    let rows = bench.netbox.rows(MACHINES);
    let platforms: Vec<&str> = rows.iter().filter_map(|row| row["platform"]["name"].as_str()).collect();
    assert!(platforms.contains(&"Debian GNU/Linux 12"), "{platforms:?}");
    assert!(
        platforms.contains(&"Linux (kernel 2.6 or newer)"),
        "some do not run: {platforms:?}"
    );
}

#[tokio::test]
async fn platform_of_no_manufacturer_goes_before_those_of_the_same_slug() {
    let bench = Bench::with(World::estate(2, 10), StandinOptions::default()).await;
    let seed = |path: &str, row: Value| bench.netbox.seed(path, &row).unwrap();
    let vendor = seed("dcim/manufacturers", json!({"name": "Vendor", "slug": "vendor"}));
    let slug = "linux-kernel-2-6-or-newer";
    let theirs = json!({"name": "Linux of the vendor", "slug": slug, "manufacturer": vendor});
    seed("dcim/platforms", theirs);
    let own = seed("dcim/platforms", json!({"name": "Our Linux", "slug": slug}));
    let report = bench.stage_with(Stage::VirtualMachines, alone()).await;
    assert_eq!(report.counts().failed, 0, "{report:?}");
    assert_eq!(bench.machine_of(100)["platform"]["id"], own);
    let same = bench.netbox.rows("dcim/platforms").into_iter();
    assert_eq!(same.filter(|row| row["slug"] == slug).count(), 2);
}

#[tokio::test]
async fn platform_that_an_agent_told_outlives_its_silence() {
    let bench = Bench::with(World::estate(2, 10), StandinOptions::default()).await;
    let mut request = alone();
    request.options.guests.platform_from_agent = true;
    request.options.overwrite.set(Flag::VmPlatform, true);
    bench.stage_with(Stage::VirtualMachines, request.clone()).await;
    assert_eq!(bench.machine_of(100)["platform"]["name"], "Debian GNU/Linux 12");
    bench
        .proxmox
        .world()
        .change(|world| world.guest(100).unwrap().agent = Agent::NotRunning);
    bench.take_writes();
    bench.forget();
    bench.stage_with(Stage::VirtualMachines, request).await;
    assert_eq!(bench.take_writes(), [""; 0]);
}

#[tokio::test]
async fn operators_tag_of_the_same_name_is_used_and_left_as_it_is() {
    let bench = Bench::with(World::estate(2, 10), StandinOptions::default()).await;
    let mine = json!({"name": "Prod", "slug": "production", "color": "123456", "description": "ours"});
    bench.netbox.seed(TAGS, &mine).unwrap();
    bench.stage(Stage::VirtualMachines).await;
    assert!(tags(&bench.machine_of(100)).contains(&"production"));
    let kept = bench
        .netbox
        .rows(TAGS)
        .into_iter()
        .find(|tag| tag["slug"] == "production")
        .unwrap();
    assert_eq!((&kept["name"], &kept["color"]), (&json!("Prod"), &json!("123456")));
}

#[tokio::test]
async fn guests_called_alike_get_numbers_and_long_names_are_cut() {
    let bench = Bench::start().await;
    bench.stage(Stage::VirtualMachines).await;
    let name = |vmid| bench.machine_of(vmid)["name"].as_str().unwrap().to_owned();
    assert_eq!([name(117), name(123), name(131)], ["web", "web (2)", "WEB (3)"]);
    assert_eq!(name(112).chars().count(), 64);
    assert_eq!(name(107), "4711");
    assert_eq!(bench.machine_state(123)["proxmox_vm_name"], "web");
}

#[tokio::test]
async fn changes_in_proxmox_are_followed_and_nothing_else_is_written() {
    let bench = Bench::start().await;
    bench.stage(Stage::VirtualMachines).await;
    let before = bench.machine_of(100)["name"].clone();
    bench.proxmox.world().change(|world| {
        world.migrate(100, "pve2");
        world.guest(101).unwrap().name = "renamed".to_owned();
        world.guest(102).unwrap().memory_mib = 3072;
        // Two guests swap their names: NetBox takes that in no single request.
        let (first, second) = (world.guests[&104].name.clone(), world.guests[&105].name.clone());
        world.guest(104).unwrap().name = second;
        world.guest(105).unwrap().name = first;
    });
    let swapped = (
        bench.machine_of(105)["name"].clone(),
        bench.machine_of(104)["name"].clone(),
    );
    bench.forget();
    bench.take_writes();
    let report = bench.stage(Stage::VirtualMachines).await;
    let counts = report.counts();
    assert_eq!(
        (counts.updated, counts.created, counts.failed),
        (5, 0, 0),
        "{:?}",
        report.endpoints[0].warnings
    );
    let moved = bench.machine_of(100);
    assert_eq!((&moved["device"]["name"], &moved["name"]), (&json!("pve2"), &before));
    assert_eq!(bench.machine_state(100)["proxmox_node_name"], "pve2");
    assert_eq!(bench.machine_of(101)["name"], "renamed");
    assert_eq!(bench.machine_of(102)["memory"], 3072);
    assert_eq!(
        (
            bench.machine_of(104)["name"].clone(),
            bench.machine_of(105)["name"].clone()
        ),
        swapped
    );
}

#[tokio::test]
async fn guest_that_is_renamed_and_migrated_at_once_keeps_its_machine() {
    let bench = Bench::with(World::estate(2, 10), StandinOptions::default()).await;
    bench.stage(Stage::VirtualMachines).await;
    let id = bench.machine_of(100)["id"].clone();
    bench.proxmox.world().change(|world| {
        world.migrate(100, "pve2");
        world.guest(100).unwrap().name = "renamed".to_owned();
    });
    for run in 1..=2 {
        bench.forget();
        bench.take_writes();
        bench.stage(Stage::VirtualMachines).await;
        let (machine, state) = (bench.machine_of(100), bench.machine_state(100));
        assert_eq!(
            (&machine["id"], &machine["name"], &machine["device"]["name"]),
            (&id, &json!("renamed"), &json!("pve2")),
            "{run}"
        );
        assert_eq!(
            (&state["proxmox_vm_name"], &state["proxmox_node_name"]),
            (&json!("renamed"), &json!("pve2")),
            "{run}"
        );
    }
    assert_eq!(bench.take_writes(), Vec::<String>::new());
}

#[tokio::test]
async fn operators_edits_survive() {
    let bench = Bench::start().await;
    bench.stage(Stage::VirtualMachines).await;
    let id = bench.machine_of(101)["id"].as_u64().unwrap();
    let gold = bench
        .netbox
        .seed(TAGS, &json!({"name": "Gold", "slug": "gold"}))
        .unwrap();
    let change = json!({"name": "renamed-by-hand", "status": "failed", "tags": [gold], "platform": null});
    bench.netbox.change(MACHINES, id, &change).unwrap();
    bench.forget();
    let report = bench.stage(Stage::VirtualMachines).await;
    assert_eq!(report.counts().failed, 0);
    let machine = bench.machine("renamed-by-hand");
    assert!(
        tags(&machine).contains(&"gold") && tags(&machine).contains(&"proxbox"),
        "{machine:#}"
    );
    assert!(
        !tags(&machine).contains(&"proxbox-discovered-qemu"),
        "it is only added once"
    );
    assert_eq!(machine["platform"], json!(null));
}

#[tokio::test]
async fn name_that_an_operator_gave_is_told_in_every_run() {
    let bench = Bench::with(World::estate(2, 4), StandinOptions::default()).await;
    bench.stage(Stage::VirtualMachines).await;
    let machine = bench.machine_of(101);
    let (id, own) = (machine["id"].as_u64().unwrap(), &machine["name"]);
    let renamed = json!({"name": "renamed-by-hand"});
    bench.netbox.change(MACHINES, id, &renamed).unwrap();
    for _ in 0..2 {
        bench.forget();
        let events = bench.events(Stage::VirtualMachines, alone()).await;
        let told = events.iter().filter(|event| event.name == "duplicate_name_resolved");
        let told: Vec<&Value> = told.map(|event| &event.data).collect();
        let expected = json!({
            "event": "duplicate_name_resolved", "cluster": "lab", "original_name": own,
            "resolved_name": "renamed-by-hand", "vmid": 101, "suffix_index": 1, "operator_renamed": true
        });
        assert_eq!(told, [&expected]);
    }
}

#[tokio::test]
async fn refused_guest_is_named_and_the_others_are_written() {
    let bench = Bench::start().await;
    let refused = bench.proxmox.world().read(|world| world.guests[&101].name.clone());
    let words = "This name is not to our taste.";
    bench.netbox.faults().refuse_row(MACHINES, &refused, "name", words);
    let report = bench.job(Stage::VirtualMachines, alone()).await.into_stage().unwrap();
    let counts = report.counts();
    assert_eq!((counts.created, counts.failed), (54, 1));
    let warnings = warnings(&report);
    assert!(warnings.contains(&refused) && warnings.contains(words), "{warnings}");
    bench.netbox.faults().clear();
    bench.stage(Stage::VirtualMachines).await;
    assert_eq!(bench.machine_of(101)["name"], json!(refused));
    assert_eq!(bench.netbox.count(MACHINES), 55);
}

#[tokio::test]
async fn lost_answer_makes_no_second_virtual_machine() {
    let bench = Bench::start().await;
    let lost = FaultRule::on(MACHINES, Fault::LoseAnswer).method("POST").only(1);
    bench.netbox.faults().add(lost);
    let report = bench.stage(Stage::VirtualMachines).await;
    assert_eq!(report.counts().created, 55, "{:?}", report.endpoints[0].warnings);
    assert_eq!(
        (bench.netbox.count(MACHINES), bench.netbox.count(MACHINE_STATES)),
        (55, 55)
    );
}

#[tokio::test]
async fn guests_of_a_dead_node_fail_and_are_left_alone() {
    let bench = Bench::start().await;
    bench.stage(Stage::VirtualMachines).await;
    bench.proxmox.faults().node_down("pve2");
    bench.forget();
    bench.take_writes();
    let report = bench.job(Stage::VirtualMachines, alone()).await.into_stage().unwrap();
    assert_eq!(bench.take_writes(), Vec::<String>::new());
    let on_node = bench.proxmox.world().read(|world| {
        let guests = world.guests.values();
        guests.filter(|guest| guest.node == "pve2").count()
    });
    assert_eq!(report.counts().failed, on_node);
    assert_eq!(report.counts().unchanged, 55 - on_node);
}

#[tokio::test]
async fn older_netbox_gets_roles_in_place_of_types() {
    let options = StandinOptions {
        release: Release::V4_5,
        ..StandinOptions::default()
    };
    let bench = Bench::with(World::estate(2, 10), options).await;
    let report = bench.stage(Stage::VirtualMachines).await;
    assert_eq!(report.counts().created, 10, "{:?}", report.endpoints[0].warnings);
    let machine = bench.machine_of(100);
    assert_eq!(machine["role"]["slug"], "virtual-machine-qemu");
    assert_eq!(
        bench.machine_state(100)["proxmox_last_synced_role_id"],
        machine["role"]["id"]
    );
    for state in bench.netbox.rows(MACHINE_STATES) {
        let rows = bench.netbox.rows(MACHINES);
        let machine = rows
            .iter()
            .find(|row| row["id"] == state["virtual_machine"]["id"])
            .unwrap();
        let is_container = state["proxmox_vm_type"] == "lxc";
        let role = if is_container {
            "container-lxc"
        } else {
            "virtual-machine-qemu"
        };
        assert_eq!(
            (&machine["role"]["slug"], &machine["virtual_machine_type"]),
            (&json!(role), &Value::Null)
        );
        assert_eq!(state["proxmox_last_synced_role_id"], machine["role"]["id"]);
    }
    bench.forget();
    bench.take_writes();
    bench.stage(Stage::VirtualMachines).await;
    assert_eq!(bench.take_writes(), Vec::<String>::new());
}

#[tokio::test]
async fn machine_in_no_cluster_is_neither_updated_nor_made_again() {
    let bench = Bench::with(World::estate(2, 10), StandinOptions::default()).await;
    bench.stage(Stage::VirtualMachines).await;
    let id = bench.machine_of(101)["id"].as_u64().unwrap();
    let nowhere = json!({"cluster": null, "device": null});
    bench.netbox.change(MACHINES, id, &nowhere).unwrap();
    bench
        .proxmox
        .world()
        .change(|world| world.guest(101).unwrap().memory_mib = 777);
    for stage in [
        Stage::VirtualMachines,
        Stage::VirtualDisks,
        Stage::VmInterfaces,
        Stage::VmIpAddresses,
    ] {
        let before = bench.netbox.rows(MACHINES);
        bench.forget();
        let report = bench.stage(stage).await;
        let result = report.result();
        let warning = &result["warnings"][0];
        assert_eq!(
            (&warning["netbox_vm_id"], &warning["vmid"], &warning["cluster"]),
            (&json!(id), &json!(101), &json!("lab")),
            "{}: {result}",
            stage.as_str()
        );
        assert_eq!((report.counts().failed, &result["degraded"]), (0, &json!(true)));
        let after = bench.netbox.rows(MACHINES);
        let own = |rows: &[Value]| rows.iter().find(|row| row["id"] == id).cloned();
        assert_eq!(
            (own(&after), after.len()),
            (own(&before), before.len()),
            "{}",
            stage.as_str()
        );
    }
    for path in [DISKS, INTERFACES] {
        let rows = bench.netbox.rows(path);
        assert!(
            !rows.is_empty() && rows.iter().all(|row| row["virtual_machine"]["id"] != id),
            "{path}"
        );
    }
}

#[tokio::test]
async fn guest_of_the_same_number_in_another_cluster_is_never_touched() {
    let mut bench = Bench::with(World::estate(2, 10), StandinOptions::default()).await;
    bench.delete_orphans = true;
    // Another service calls its endpoint by our number.
    let seed = |path: &str, row: Value| bench.netbox.seed(path, &row).unwrap();
    let ours = [("Proxbox", "proxbox"), ("Discovered", "proxbox-discovered-qemu")]
        .map(|(name, slug)| seed(TAGS, json!({"name": name, "slug": slug})));
    let tag = json!(ours);
    let kind = seed(
        "virtualization/cluster-types",
        json!({"name": "Other", "slug": "other"}),
    );
    let west = seed("virtualization/clusters", json!({"name": "west", "type": kind}));
    let machine = seed(
        MACHINES,
        json!({"name": "other", "cluster": west, "memory": 1, "tags": tag}),
    );
    let state = json!({
        "virtual_machine": machine, "proxmox_vm_id": 100, "proxmox_vm_type": "qemu", "proxmox_endpoint_raw_id": 1,
        "proxmox_cluster_name": "west", "proxmox_vm_name": "other"
    });
    let state = seed(MACHINE_STATES, state);
    let disk = seed(
        DISKS,
        json!({"virtual_machine": machine, "name": "scsi9", "size": 5, "tags": tag}),
    );
    let interface = seed(
        INTERFACES,
        json!({"virtual_machine": machine, "name": "net0", "tags": tag}),
    );
    let address = json!({
        "address": "10.98.0.1/24", "assigned_object_type": "virtualization.vminterface",
        "assigned_object_id": interface, "tags": tag
    });
    let address = seed("ipam/ip-addresses", address);
    let theirs = || {
        [
            (MACHINES, machine),
            (MACHINE_STATES, state),
            (DISKS, disk),
            (INTERFACES, interface),
            ("ipam/ip-addresses", address),
        ]
        .map(|(path, id)| {
            let rows = bench.netbox.rows(path);
            let row = rows.iter().find(|row| row["id"] == id);
            row.map(|row| row["last_updated"].clone())
        })
    };
    let before = theirs();
    assert!(before.iter().all(Option::is_some));
    for run in 1..=2 {
        bench.forget();
        let report = bench.job(Job::FullUpdate, SyncRequest::default()).await;
        assert_eq!(report.errors(), [""; 0], "run {run}");
        assert_eq!(theirs(), before, "run {run}");
    }
    let rows = bench.netbox.rows(MACHINE_STATES);
    let claims = rows.iter().filter(|row| row["proxmox_vm_id"] == 100).count();
    assert_eq!((claims, bench.netbox.count(MACHINES)), (2, 11));
}

#[tokio::test]
async fn guest_that_failed_keeps_the_run_it_was_last_seen_by() {
    let bench = Bench::with(World::estate(2, 10), StandinOptions::default()).await;
    let run = async |id: &str| {
        let mut request = alone();
        request.options.run_id = id.to_owned();
        bench.job(Stage::VirtualMachines, request).await
    };
    run("first").await;
    bench.proxmox.world().change(|world| {
        for vmid in [101, 102] {
            world.guest(vmid).unwrap().memory_mib = 777;
            world.guest(vmid).unwrap().status = GuestStatus::Stopped;
        }
    });
    let name = bench.machine_of(101)["name"].as_str().unwrap().to_owned();
    bench.netbox.faults().refuse_row(MACHINES, &name, "memory", "Too much.");
    bench.forget();
    let report = run("second").await.into_stage().unwrap();
    assert_eq!(report.counts().failed, 1);
    let last_runs = [101, 102].map(|vmid| bench.machine_state(vmid)["last_run_id"].clone());
    assert_eq!(last_runs, ["first", "second"]);
}

#[tokio::test]
async fn odd_guests_are_written_like_any_other() {
    let mut world = World::estate(2, 10);
    let mut limited = Guest::new(GuestKind::Lxc, 900, "limited", "pve1");
    limited.config.set("cpulimit", "1.5");
    let mut unknown = Guest::new(GuestKind::Qemu, 901, "hidden", "pve1");
    unknown.status = GuestStatus::Unknown;
    let mut numeric = Guest::new(GuestKind::Qemu, 902, "4712", "pve1");
    numeric.tags = vec!["7".to_owned()];
    let mut locked = Guest::new(GuestKind::Qemu, 903, "locked", "pve1");
    locked.lock = Some("backup".to_owned());
    let mut template = Guest::new(GuestKind::Qemu, 904, "golden", "pve1");
    template.template = true;
    for guest in [limited, unknown, numeric, locked, template] {
        world.add_guest(guest);
    }
    let managed = json!({"sid": "vm:903", "state": "started"});
    world.ha.resources.push(managed.as_object().unwrap().clone());
    let bench = Bench::with(world, StandinOptions::default()).await;
    bench.proxmox.faults().numbers_as_text(true);
    let report = bench.stage(Stage::VirtualMachines).await;
    assert_eq!((report.counts().created, report.counts().failed), (15, 0));
    let told = |vmid: u32| {
        let machine = bench.machine_of(vmid);
        json!([
            machine["name"],
            machine["status"]["value"],
            machine["vcpus"],
            machine["memory"]
        ])
    };
    for (vmid, expected) in [
        (900, json!(["limited", "offline", 1.5, 512])),
        (901, json!(["vm-901", "active", null, 0])),
        (902, json!(["4712", "offline", 1.0, 512])),
        (903, json!(["locked", "offline", 1.0, 512])),
        (904, json!(["golden", "offline", 1.0, 512])),
    ] {
        assert_eq!(told(vmid), expected, "guest {vmid}");
    }
    assert!(tags(&bench.machine_of(902)).contains(&"7"));
}

#[tokio::test]
async fn guest_that_is_gone_leaves_everything_as_it_is() {
    let bench = Bench::with(World::estate(2, 10), StandinOptions::default()).await;
    bench.job(Job::FullUpdate, SyncRequest::default()).await;
    bench.proxmox.world().change(|world| world.remove_guest(101));
    bench.forget();
    bench.take_writes();
    for stage in [
        Stage::VirtualMachines,
        Stage::VirtualDisks,
        Stage::VmInterfaces,
        Stage::VmIpAddresses,
    ] {
        let report = bench.stage(stage).await;
        assert_eq!(report.counts().failed, 0, "{}", stage.as_str());
    }
    assert_eq!(bench.take_writes(), Vec::<String>::new());
}

#[tokio::test]
async fn guests_of_a_node_without_a_device_fail_and_the_others_are_written() {
    let bench = Bench::with(World::estate(2, 10), StandinOptions::default()).await;
    let words = "This name is reserved.";
    bench.netbox.faults().refuse_row("dcim/devices", "pve2", "name", words);
    let report = bench.job(Stage::VirtualMachines, alone()).await.into_stage().unwrap();
    let on_node = bench.proxmox.world().read(|world| {
        let guests = world.guests.values();
        guests.filter(|guest| guest.node == "pve2").count()
    });
    assert!(on_node > 0);
    assert_eq!(
        (report.counts().created, report.counts().failed),
        (10 - on_node, on_node)
    );
    let warnings = warnings(&report);
    assert!(
        warnings.contains(words) && warnings.contains("the device of its node"),
        "{warnings}"
    );
}

#[tokio::test]
async fn stage_fails_where_the_cluster_itself_cannot_be_had() {
    let bench = Bench::with(World::estate(2, 10), StandinOptions::default()).await;
    let words = "This name is reserved.";
    bench
        .netbox
        .faults()
        .refuse_row("virtualization/clusters", "lab", "name", words);
    let report = bench.job(Stage::VirtualMachines, alone()).await;
    assert!(report.errors()[0].contains(words), "{:?}", report.errors());
    assert_eq!(bench.netbox.count(MACHINES), 0);
}

#[tokio::test]
async fn cluster_that_cannot_be_had_costs_its_own_guests_alone() {
    let estate = Estate::empty(vec![alpha(), beta()]).await;
    let words = "This name is reserved.";
    let faults = estate.netbox.faults();
    faults.refuse_row("virtualization/clusters", "alpha", "name", words);
    let report = estate.try_run(Stage::VirtualMachines, estate.request.clone()).await;
    let errors = report.errors();
    assert!(errors.len() == 1 && errors[0].contains(words), "{errors:?}");
    let machines = estate.netbox.rows(MACHINES);
    let clusters: Vec<&Value> = machines.iter().map(|row| &row["cluster"]["name"]).collect();
    assert_eq!(clusters, ["beta"]);
}

#[tokio::test]
async fn guest_with_a_new_number_is_a_new_one_and_the_old_one_is_left() {
    let bench = Bench::with(World::estate(2, 10), StandinOptions::default()).await;
    bench.stage(Stage::VirtualMachines).await;
    let before = bench.machine_of(101);
    bench.proxmox.world().change(|world| {
        let mut guest = world.remove_guest(101).unwrap();
        guest.vmid = 901;
        world.add_guest(guest);
    });
    bench.forget();
    let report = bench.stage(Stage::VirtualMachines).await;
    assert_eq!((report.counts().created, report.counts().updated), (1, 0));
    let old = bench.machine_of(101);
    assert_eq!(old["last_updated"], before["last_updated"]);
    let expected = format!("{} (2)", old["name"].as_str().unwrap());
    assert_eq!(bench.machine_of(901)["name"], expected);
}

#[tokio::test]
async fn guest_that_goes_while_it_is_read_fails_alone_and_nothing_of_it_is_written() {
    let bench = Bench::with(World::estate(2, 10), StandinOptions::default()).await;
    bench.job(Job::FullUpdate, SyncRequest::default()).await;
    for (status, text) in [
        (
            500,
            "Configuration file 'nodes/pve1/qemu-server/101.conf' does not exist",
        ),
        (403, "Permission check failed (/vms/101, VM.Audit)"),
    ] {
        bench.proxmox.faults().clear();
        bench.proxmox.faults().fail("/nodes/*/*/101/config", status, text);
        bench.forget();
        bench.take_writes();
        let report = bench.job(Stage::VirtualMachines, alone()).await.into_stage().unwrap();
        assert_eq!((report.counts().failed, report.counts().unchanged), (1, 9), "{text}");
        let result = report.result();
        assert_eq!(
            (&result["failed_count"], &result["degraded"]),
            (&json!(1), &json!(true))
        );
        for (stage, skipped) in [
            (Stage::VirtualDisks, 1),
            (Stage::VmInterfaces, 0),
            (Stage::VmIpAddresses, 0),
        ] {
            let report = bench.stage(stage).await;
            assert_eq!(report.counts().failed, 0, "{}: {text}", stage.as_str());
            if stage == Stage::VirtualDisks {
                assert_eq!(report.counts().skipped, skipped, "{text}");
            }
        }
        assert_eq!(bench.take_writes(), Vec::<String>::new(), "{text}");
    }
}

#[tokio::test]
async fn nothing_is_written_where_it_cannot_be_told_whose_machines_are_there() {
    let bench = Bench::with(World::estate(2, 10), StandinOptions::default()).await;
    bench.job(Job::FullUpdate, SyncRequest::default()).await;
    bench
        .proxmox
        .world()
        .change(|world| world.add_guest(Guest::new(GuestKind::Qemu, 900, "new", "pve1")));
    for status in [404, 500] {
        let fault = FaultRule::on(MACHINE_STATES, Fault::Status(status)).method("GET");
        bench.netbox.faults().add(fault);
        for stage in [
            Stage::VirtualMachines,
            Stage::VirtualDisks,
            Stage::VmInterfaces,
            Stage::VmIpAddresses,
        ] {
            bench.forget();
            bench.take_writes();
            let report = bench.job(stage, alone()).await;
            assert_eq!(report.errors().len(), 1, "{}: {status}", stage.as_str());
            assert_eq!(
                bench.take_writes(),
                Vec::<String>::new(),
                "{}: {status}",
                stage.as_str()
            );
        }
        bench.netbox.faults().clear();
    }
}

#[tokio::test]
async fn guest_that_two_machines_claim_to_be_is_left_alone_by_every_stage() {
    let bench = Bench::with(World::estate(2, 10), StandinOptions::default()).await;
    bench.job(Job::FullUpdate, SyncRequest::default()).await;
    let first = bench.machine_of(101);
    let twin = json!({"name": "twin", "cluster": first["cluster"]["id"]});
    let twin = bench.netbox.seed(MACHINES, &twin).unwrap();
    let state = json!({
        "virtual_machine": twin, "proxmox_vm_id": 101, "proxmox_vm_type": bench.machine_state(101)["proxmox_vm_type"],
        "proxmox_endpoint_raw_id": 1, "proxmox_cluster_name": "lab"
    });
    bench.netbox.seed(MACHINE_STATES, &state).unwrap();
    bench
        .proxmox
        .world()
        .change(|world| world.guest(101).unwrap().memory_mib = 777);
    bench.forget();
    bench.take_writes();
    let report = bench.job(Stage::VirtualMachines, alone()).await.into_stage().unwrap();
    assert_eq!(report.counts().failed, 1);
    let words = "2 virtual machines claim to be guest 101";
    assert!(warnings(&report).contains(words), "{}", warnings(&report));
    for stage in [Stage::VirtualDisks, Stage::VmInterfaces, Stage::VmIpAddresses] {
        let result = bench.stage(stage).await.result();
        let told: Vec<&Value> = result["warnings"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|warning| warning["reason"] == words)
            .map(|warning| &warning["netbox_vm_id"])
            .collect();
        assert_eq!(told, [&first["id"], &json!(twin)], "{}: {result}", stage.as_str());
    }
    assert_eq!(bench.take_writes(), Vec::<String>::new());
}

/// Moves the virtual machine of a guest into another cluster of NetBox, as an operator may; returns its id.
fn move_away(bench: &Bench, vmid: u32) -> u64 {
    let machine = bench.machine_of(vmid);
    let clusters = bench.netbox.rows("virtualization/clusters").into_iter();
    let mut own = clusters.filter(|row| row["id"] == machine["cluster"]["id"]);
    let archive = json!({"name": "Archive", "type": own.next().unwrap()["type"]["id"]});
    let archive = bench.netbox.seed("virtualization/clusters", &archive).unwrap();
    let id = machine["id"].as_u64().unwrap();
    let away = json!({"cluster": archive, "device": null, "site": null});
    bench.netbox.change(MACHINES, id, &away).unwrap();
    id
}

/// The disks and the interfaces of a virtual machine.
fn parts(bench: &Bench, machine: u64) -> [Vec<Value>; 2] {
    [DISKS, INTERFACES].map(|path| {
        let mut rows = bench.netbox.rows(path);
        rows.retain(|row| row["virtual_machine"]["id"] == machine);
        rows
    })
}

fn names(parts: &[Vec<Value>; 2]) -> Vec<&Value> {
    parts.iter().flatten().map(|row| &row["name"]).collect()
}

#[tokio::test]
async fn machine_that_was_moved_away_is_left_as_it_is_and_the_next_one_has_all_the_guest_has() {
    const WORDS: &str = "it is not in the cluster of guest 101, where another one stands for it";
    for with_notes in [false, true] {
        let bench = Bench::with(World::estate(2, 10), StandinOptions::default()).await;
        let mut request = SyncRequest::default();
        request.options.guests.parse_metadata = with_notes;
        bench.job(Job::FullUpdate, request.clone()).await;
        let old = move_away(&bench, 101);
        let before = parts(&bench, old);
        assert!(before.iter().all(|rows| !rows.is_empty()));
        bench.forget();
        let report = bench.job(Job::FullUpdate, request.clone()).await;
        assert_eq!(report.errors(), [""; 0]);
        let states = bench.netbox.rows(MACHINE_STATES).into_iter();
        let claims = states.filter(|row| row["proxmox_vm_id"] == 101);
        let machines = claims.map(|row| row["virtual_machine"]["id"].as_u64().unwrap());
        let new = machines.max().unwrap();
        assert!(new != old, "{with_notes}");
        assert_eq!(names(&parts(&bench, new)), names(&before), "{with_notes}");
        assert_eq!(parts(&bench, old), before, "{with_notes}");
        let told = report.result()["warnings"].to_string();
        assert!(told.contains(WORDS) && !told.contains("claim to be guest"), "{told}");

        // Nor does a run that names the old one write to it.
        bench.proxmox.world().change(|world| {
            let config = &mut world.guest(101).unwrap().config;
            config.set("net7", "virtio=BC:24:11:AA:09:90,bridge=vmbr0");
            config.set("scsi7", "local-lvm:vm-disk-7,size=8G");
        });
        request.options.guests.only = Some([ObjectId(old)].into());
        bench.take_writes();
        for stage in [
            Stage::VirtualMachines,
            Stage::VirtualDisks,
            Stage::VmInterfaces,
            Stage::VmIpAddresses,
        ] {
            bench.forget();
            let told = warnings(&bench.stage_with(stage, request.clone()).await);
            assert!(told.contains(WORDS), "{}: {told}", stage.as_str());
            assert_eq!(bench.take_writes(), [""; 0], "{}", stage.as_str());
        }
    }
}

#[tokio::test]
async fn machine_of_a_guest_that_came_back_is_served_again_in_the_same_run() {
    let bench = Bench::with(World::estate(2, 10), StandinOptions::default()).await;
    bench.stage(Stage::VirtualMachines).await;
    let machine = bench.machine_of(100);
    let mark = json!({"name": "Gone", "slug": "proxbox-soft-deleted"});
    let known = bench.netbox.rows(TAGS);
    let known = known.iter().find(|tag| tag["slug"] == "proxbox-soft-deleted");
    let mark = known.map_or_else(
        || bench.netbox.seed(TAGS, &mark).unwrap(),
        |tag| tag["id"].as_u64().unwrap(),
    );
    let id = machine["id"].as_u64().unwrap();
    let marked = json!({"status": "decommissioning", "add_tags": [mark]});
    bench.netbox.change(MACHINES, id, &marked).unwrap();
    assert!(tags(&bench.machine_of(100)).contains(&"proxbox-soft-deleted"));
    bench.forget();
    let mut request = SyncRequest::default().of_machine(ObjectId(id));
    request.options.guests.sync_task_history = false;
    bench.stage_with(Stage::VirtualMachines, request).await;
    let revived = bench.machine_of(100);
    assert_eq!(
        (&revived["status"], tags(&revived)),
        (&machine["status"], tags(&machine))
    );
    for path in [DISKS, INTERFACES] {
        let rows = bench.netbox.rows(path);
        assert!(rows.iter().any(|row| row["virtual_machine"]["id"] == id), "{path}");
    }
}

#[tokio::test]
async fn only_the_guests_that_were_asked_for_are_written() {
    let bench = Bench::with(World::estate(2, 10), StandinOptions::default()).await;
    bench.stage(Stage::VirtualMachines).await;
    bench.proxmox.world().change(|world| {
        for guest in world.guests.values_mut() {
            guest.memory_mib = 777;
        }
    });
    let wanted = bench.machine_of(103)["id"].as_u64().unwrap();
    let mut request = alone();
    request.options.guests.only = Some([ObjectId(wanted)].into());
    bench.forget();
    let report = bench.stage_with(Stage::VirtualMachines, request).await;
    assert_eq!((report.counts().updated, report.counts().total()), (1, 1));
    assert_eq!(bench.machine_of(103)["memory"], 777);
    let strict = alone().of_machine(ObjectId(9_999));
    let report = bench.job(Stage::VirtualMachines, strict).await;
    assert!(
        report.errors()[0].contains("Unable to resolve"),
        "{:?}",
        report.errors()
    );
}

/// Somebody has changed a guest and asks for its virtual machine, while a job for all of them goes on.
#[tokio::test]
async fn what_a_run_for_some_machines_has_written_is_not_undone_by_the_next_for_all() {
    let bench = Bench::with(World::estate(2, 10), StandinOptions::default()).await;
    bench.stage(Stage::VirtualMachines).await;
    let vmid = bench.proxmox.world().change(|world| {
        let mut guests = world.guests.values_mut();
        let guest = guests.find(|guest| guest.config.text("ciuser").is_some()).unwrap();
        guest.config.set("ciuser", "newcomer");
        guest.vmid
    });
    let is_written = || {
        bench
            .netbox
            .rows(CLOUD_INITS)
            .iter()
            .any(|row| row["ciuser"] == "newcomer")
    };
    let mut request = alone();
    let machine = bench.machine_of(vmid)["id"].as_u64().unwrap();
    request.options.guests.only = Some([ObjectId(machine)].into());
    bench.stage_with(Stage::VirtualMachines, request).await;
    assert!(is_written());
    bench.stage(Stage::VirtualMachines).await;
    assert!(is_written());
}

#[tokio::test]
async fn guests_that_are_switched_off_are_neither_written_nor_failed() {
    let bench = Bench::start().await;
    let mut request = alone();
    request.options.modes.template = Mode::Disabled;
    let report = bench.stage_with(Stage::VirtualMachines, request).await;
    let templates = bench.proxmox.world().read(|world| {
        let guests = world.guests.values();
        guests.filter(|guest| guest.template).count()
    });
    assert!(templates > 0);
    assert_eq!((report.counts().created, report.counts().failed), (55 - templates, 0));
}

#[tokio::test]
async fn stages_of_what_is_switched_off_ask_nobody_and_write_nothing() {
    let bench = Bench::with(World::estate(2, 10), StandinOptions::default()).await;
    bench.stage(Stage::VirtualMachines).await;
    bench.take_writes();
    let off = |edit: fn(&mut Modes)| {
        let mut request = alone();
        edit(&mut request.options.modes);
        request
    };
    let guests = off(|modes| (modes.machine, modes.template) = (Mode::Disabled, Mode::Disabled));
    let interfaces = off(|modes| modes.interface = Mode::Disabled);
    let addresses = off(|modes| modes.ip_address = Mode::Disabled);
    for (stage, request) in [
        (Stage::VirtualMachines, &guests),
        (Stage::VirtualDisks, &guests),
        (Stage::Backups, &guests),
        (Stage::Snapshots, &guests),
        (Stage::VmInterfaces, &guests),
        (Stage::VmInterfaces, &interfaces),
        (Stage::VmIpAddresses, &guests),
        (Stage::VmIpAddresses, &interfaces),
        (Stage::VmIpAddresses, &addresses),
    ] {
        bench.forget();
        bench.proxmox.clear_requests();
        let report = bench.stage_with(stage, request.clone()).await;
        assert_eq!(report.counts().total(), 0, "{stage:?}");
        let asked = bench.proxmox.requests();
        let is_of_guests = |path: &str| path.contains("/qemu/") || path.contains("/lxc/") || path.contains("/content");
        assert!(
            !asked.iter().any(|request| is_of_guests(&request.path)),
            "{stage:?}: {asked:#?}"
        );
    }
    assert_eq!(bench.take_writes(), [""; 0]);
    let mut request = alone();
    request.options.modes.mac = Mode::Disabled;
    bench.stage_with(Stage::VmInterfaces, request).await;
    assert!(bench.netbox.count(INTERFACES) > 0);
    assert_eq!(bench.netbox.count("dcim/mac-addresses"), 0);
}

#[tokio::test]
async fn dry_run_tells_the_plan_and_writes_nothing() {
    let bench = Bench::with(World::estate(2, 10), StandinOptions::default()).await;
    let mut request = alone();
    request.dry_run = true;
    let report = bench.stage_with(Stage::VirtualMachines, request).await;
    assert_eq!(bench.take_writes(), Vec::<String>::new());
    let plans = &report.endpoints[0].plans;
    let machines = plans
        .iter()
        .find(|plan| plan.kind == "virtual machine" && !plan.create.is_empty());
    let machines = &machines.unwrap().create;
    assert_eq!(machines.len(), 10);
    assert_eq!(
        (&machines[0].fields["cluster"], &machines[0].fields["device"]),
        (&json!("new cluster lab"), &json!("new device pve1")),
        "rows that do not exist yet have no ids"
    );
}

/// Notes that override what Proxmox says.
fn notes(overrides: &Value) -> String {
    format!("```netbox-metadata\n{overrides}\n```")
}

#[tokio::test]
async fn guest_that_was_first_listed_without_a_name_gets_it_with_the_next_run() {
    let bench = Bench::with(World::estate(2, 10), StandinOptions::default()).await;
    bench.proxmox.world().change(|world| {
        let mut guest = Guest::new(GuestKind::Qemu, 901, "fresh", "pve1");
        guest.status = GuestStatus::Unknown;
        world.add_guest(guest);
    });
    let report = bench.stage(Stage::VirtualMachines).await;
    assert_eq!(bench.machine_of(901)["name"], "vm-901");
    let told = warnings(&report);
    assert!(told.contains("guest 901 is listed without a name"), "{told}");
    bench
        .proxmox
        .world()
        .change(|world| world.guest(901).unwrap().status = GuestStatus::Running);
    for _ in 0..2 {
        bench.forget();
        let report = bench.stage(Stage::VirtualMachines).await;
        assert_eq!(
            (&bench.machine_of(901)["name"], warnings(&report)),
            (&json!("fresh"), String::new())
        );
    }
}

#[tokio::test]
async fn link_that_netbox_would_refuse_costs_no_guest_its_identity() {
    let mut bench = Bench::with(World::estate(2, 10), StandinOptions::default()).await;
    let endpoints = "plugins/proxbox/endpoints/proxmox";
    let id = bench.netbox.rows(endpoints)[0]["id"].as_u64().unwrap();
    bench
        .netbox
        .change(endpoints, id, &json!({"domain": "pve1.dc1"}))
        .unwrap();
    bench.endpoint.domain = Some("pve1.dc1".to_owned());
    let report = bench.stage(Stage::VirtualMachines).await;
    assert_eq!(
        (report.counts().created, bench.netbox.count(MACHINE_STATES)),
        (10, 10),
        "{}",
        warnings(&report)
    );
    assert_eq!(bench.machine_state(100)["proxmox_link"], "");
}

#[tokio::test]
async fn refused_guest_that_is_called_by_the_number_of_another_is_not_taken_for_it() {
    let bench = Bench::with(World::estate(2, 10), StandinOptions::default()).await;
    bench.proxmox.world().change(|world| {
        world.add_guest(Guest::new(GuestKind::Qemu, 900, "new", "pve1"));
        world.add_guest(Guest::new(GuestKind::Qemu, 902, "900", "pve2"));
    });
    bench.proxmox.faults().fail("/nodes/*/*/902/config", 500, "no answer");
    let report = bench.job(Stage::VirtualMachines, alone()).await.into_stage().unwrap();
    assert_eq!((report.counts().created, report.counts().failed), (11, 1));
    assert_eq!(bench.machine_of(900)["name"], "new");
    assert_eq!(bench.netbox.count(MACHINE_STATES), 11);
}

#[tokio::test]
async fn guest_goes_along_with_its_device_into_another_site() {
    let bench = Bench::with(World::estate(2, 10), StandinOptions::default()).await;
    bench.stage(Stage::VirtualMachines).await;
    let site = json!({"name": "B", "slug": "b"});
    let site = bench.netbox.seed("dcim/sites", &site).unwrap();
    let row = |path: &str, name: &str| {
        let rows = bench.netbox.rows(path);
        let found = rows.iter().find(|row| row["name"] == name).unwrap();
        found["id"].as_u64().unwrap()
    };
    let clusters = "virtualization/clusters";
    let unscoped = json!({"scope_type": null, "scope_id": null});
    bench.netbox.change(clusters, row(clusters, "lab"), &unscoped).unwrap();
    // An operator's cluster may span sites.
    let mut request = alone();
    request.options.modes.cluster = Mode::BootstrapOnly;
    bench
        .netbox
        .change("dcim/devices", row("dcim/devices", "pve2"), &json!({"site": site}))
        .unwrap();
    bench.proxmox.world().change(|world| world.migrate(100, "pve2"));
    bench.forget();
    let report = bench.stage_with(Stage::VirtualMachines, request.clone()).await;
    assert_eq!(report.counts().failed, 0, "{}", warnings(&report));
    for row in bench.netbox.rows(MACHINES) {
        let is_there = row["device"]["name"] == "pve2";
        assert_eq!(row["site"]["name"] == "B", is_there, "{row:#}");
    }
    assert_eq!(bench.machine_of(100)["device"]["name"], "pve2");
    bench.forget();
    bench.take_writes();
    bench.stage_with(Stage::VirtualMachines, request.clone()).await;
    assert_eq!(bench.take_writes(), [""; 0]);
}

#[tokio::test]
async fn agents_are_asked_for_the_system_only_where_the_answer_is_written() {
    let bench = Bench::with(World::estate(2, 10), StandinOptions::default()).await;
    let asked = || {
        let asked = bench.proxmox.requests().into_iter();
        let count = asked
            .filter(|request| request.path.ends_with("/agent/get-osinfo"))
            .count();
        bench.proxmox.clear_requests();
        count
    };
    let mut request = alone();
    request.options.guests.platform_from_agent = true;
    bench.stage_with(Stage::VirtualMachines, request.clone()).await;
    let all = asked();
    assert!(all > 1, "{all}");
    // What was not asked for is not taken for unknown by the next run either.
    let mut overwriting = request.clone();
    overwriting.options.overwrite.set(Flag::VmPlatform, true);
    bench.forget();
    bench.stage_with(Stage::VirtualMachines, request).await;
    assert_eq!(asked(), 0);
    bench.stage_with(Stage::VirtualMachines, overwriting).await;
    assert_eq!(asked(), all);
    let rows = bench.netbox.rows(MACHINES);
    assert!(rows.iter().any(|row| row["platform"]["name"] == "Debian GNU/Linux 12"));
}

#[tokio::test]
async fn agent_that_does_not_run_is_asked_once_in_a_run_that_writes_interfaces_too() {
    let bench = Bench::with(World::estate(2, 10), StandinOptions::default()).await;
    bench
        .proxmox
        .world()
        .change(|world| world.guest(100).unwrap().agent = Agent::NotRunning);
    let mut request = SyncRequest::default();
    request.options.guests.sync_network = true;
    request.options.guests.platform_from_agent = true;
    bench.stage_with(Stage::VirtualMachines, request).await;
    let asked = |vmid: u64| {
        let agent = format!("/qemu/{vmid}/agent/");
        let requests = bench.proxmox.requests().into_iter();
        let paths = requests
            .map(|request| request.path)
            .filter(|path| path.contains(&agent));
        paths.count()
    };
    assert_eq!(asked(100), 1);
    assert!(asked(101) > 1, "an agent that runs tells its interfaces too");
}

/// A guest with notes, and with these lines of its configuration.
fn noted(vmid: u32, told: &Value, lines: &[(&'static str, &'static str)]) -> Guest {
    let mut guest = Guest::new(GuestKind::Qemu, vmid, &format!("noted-{vmid}"), "pve1");
    for (key, value) in lines.iter().copied() {
        guest.config.set(key, value);
    }
    guest.description = Some(notes(told));
    guest
}

#[tokio::test]
async fn overrides_reach_netbox_once() {
    let bench = Bench::with(World::estate(2, 10), StandinOptions::default()).await;
    bench.stage(Stage::VirtualMachines).await;
    let seed = |path: &str, row: Value| bench.netbox.seed(path, &row).unwrap();
    let id = |path: &str| bench.netbox.rows(path)[0]["id"].clone();
    let kind = id("virtualization/cluster-types");
    let cluster = seed("virtualization/clusters", json!({"name": "west", "type": kind}));
    let site = seed("dcim/sites", json!({"name": "West", "slug": "west"}));
    let device = json!({
        "name": "west-1", "site": site, "cluster": cluster, "device_type": id("dcim/device-types"),
        "role": id("dcim/device-roles")
    });
    let device = seed("dcim/devices", device);
    let own = json!({"name": "Own", "slug": "own"});
    let own = seed("virtualization/virtual-machine-types", own);
    let told = json!({
        "cluster": cluster, "device": device, "site": site, "virtual_machine_type": own, "disk": 99
    });
    let elsewhere = json!({"cluster": cluster, "device": device, "site": site});
    let disk = ("scsi0", "local:vm-902-disk-0,size=4G");
    let net = ("net0", "virtio=BC:24:11:CC:00:01,bridge=vmbr0");
    bench.proxmox.world().change(|world| {
        world.add_guest(noted(900, &told, &[]));
        world.add_guest(noted(901, &json!({"disk": 77}), &[("scsi0", "/dev/sdb")]));
        world.add_guest(noted(902, &elsewhere, &[disk, net]));
    });
    let mut request = SyncRequest::default();
    request.options.guests.parse_metadata = true;
    request.options.guests.sync_network = false;
    for run in 1..=2 {
        bench.forget();
        bench.take_writes();
        for stage in [Stage::VirtualMachines, Stage::VirtualDisks, Stage::VmInterfaces] {
            let report = bench.stage_with(stage, request.clone()).await;
            let told = warnings(&report);
            let is_bound = !told.contains("is not in the cluster");
            assert_eq!(
                (report.counts().failed, is_bound),
                (0, true),
                "{}: {told}",
                stage.as_str()
            );
        }
        let count_of = |path: &str| {
            let rows = bench.netbox.rows(path).into_iter();
            rows.filter(|row| row["virtual_machine"]["id"] == bench.machine_of(902)["id"])
                .count()
        };
        assert_eq!((count_of(DISKS), count_of(INTERFACES)), (1, 1), "{run}");
        let machine = bench.machine_of(900);
        let told = ["cluster", "device", "site", "virtual_machine_type"].map(|field| &machine[field]["id"]);
        assert_eq!(
            told,
            [cluster, device, site, own].map(|id| json!(id)).each_ref(),
            "{run}"
        );
        let sizes = [900, 901].map(|vmid| bench.machine_of(vmid)["disk"].clone());
        assert_eq!(sizes, [99, 77], "{run}");
    }
    assert_eq!(bench.take_writes(), [""; 0]);
}

#[tokio::test]
async fn type_in_the_notes_is_not_sent_to_a_netbox_without_types() {
    let options = StandinOptions {
        release: Release::V4_5,
        ..StandinOptions::default()
    };
    let bench = Bench::with(World::estate(2, 10), options).await;
    bench
        .proxmox
        .world()
        .change(|world| world.guest(100).unwrap().description = Some(notes(&json!({"virtual_machine_type": 7}))));
    let mut request = alone();
    request.options.guests.parse_metadata = true;
    bench.stage_with(Stage::VirtualMachines, request.clone()).await;
    bench.forget();
    bench.take_writes();
    bench.stage_with(Stage::VirtualMachines, request).await;
    assert_eq!(bench.take_writes(), [""; 0]);
}

#[tokio::test]
async fn networks_and_disks_of_guests_that_are_switched_off_are_left_alone_with_them() {
    let mut world = World::estate(2, 10);
    let mut template = Guest::new(GuestKind::Qemu, 904, "golden", "pve1");
    template.template = true;
    world.add_guest(template);
    world.add_guest(Guest::new(GuestKind::Qemu, 905, "plain", "pve1"));
    let bench = Bench::with(world, StandinOptions::default()).await;
    let mut request = SyncRequest::default();
    request.options.guests.sync_task_history = false;
    bench.stage_with(Stage::VirtualMachines, request.clone()).await;
    bench.proxmox.world().change(|world| {
        for vmid in [904, 905] {
            let config = &mut world.guest(vmid).unwrap().config;
            config.set("net7", format!("virtio=BC:24:11:AA:09:{:02},bridge=vmbr0", vmid - 900));
            config.set("scsi7", "local-lvm:vm-disk-7,size=8G");
        }
        world.add_guest(Guest::new(GuestKind::Qemu, 906, "new", "pve1"));
    });
    bench.forget();
    request.options.modes.template = Mode::Disabled;
    let report = bench.stage_with(Stage::VirtualMachines, request.clone()).await;
    assert_eq!(warnings(&report), "");
    let has = |path: &str, vmid, name: &str| {
        let machine = bench.machine_of(vmid)["id"].clone();
        let rows = bench.netbox.rows(path);
        rows.iter()
            .any(|row| row["virtual_machine"]["id"] == machine && row["name"] == name)
    };
    for (path, name) in [(INTERFACES, "net7"), (DISKS, "scsi7")] {
        assert_eq!([904, 905].map(|vmid| has(path, vmid, name)), [false, true], "{path}");
    }
    assert_eq!(bench.machine_of(906)["name"], "new");
    bench.forget();
    bench.take_writes();
    bench.stage_with(Stage::VirtualMachines, request).await;
    assert_eq!(bench.take_writes(), [""; 0]);
}

#[tokio::test]
async fn role_that_was_not_written_is_not_remembered_where_the_rows_cannot_be_read_again() {
    let options = StandinOptions {
        release: Release::V4_5,
        ..StandinOptions::default()
    };
    let mut bench = Bench::with(World::estate(2, 10), options).await;
    bench.stage(Stage::VirtualMachines).await;
    let before = bench.machine_of(100)["role"]["id"].clone();
    let own = json!({"name": "Own", "slug": "own", "vm_role": true});
    let own = bench.netbox.seed("dcim/device-roles", &own).unwrap();
    bench.proxmox.world().change(|world| {
        world.guest(100).unwrap().description = Some(notes(&json!({"role": own})));
        world.add_guest(Guest::new(GuestKind::Qemu, 900, "new", "pve1"));
    });
    let mut request = alone();
    request.options.guests.parse_metadata = true;
    bench.restart(true);
    // The answer to the new one is lost, the old one is refused, and then it cannot be read what is there.
    for fault in [
        FaultRule::on(MACHINES, Fault::LoseAnswer).method("POST").only(1),
        FaultRule::on(MACHINES, Fault::Status(403)).method("PATCH"),
        FaultRule::on(MACHINES, Fault::Status(500)).method("GET").only(2),
    ] {
        bench.netbox.faults().add(fault);
    }
    let report = bench.stage_with(Stage::VirtualMachines, request.clone()).await;
    assert_eq!(report.counts().failed, 3, "{}", warnings(&report));
    let remembered = || bench.machine_state(100)["proxmox_last_synced_role_id"].clone();
    assert_eq!(remembered(), before);
    bench.netbox.faults().clear();
    bench.forget();
    bench.stage_with(Stage::VirtualMachines, request).await;
    assert_eq!(
        (&bench.machine_of(100)["role"]["id"], remembered()),
        (&json!(own), json!(own))
    );
}

#[tokio::test]
async fn role_that_was_not_written_is_not_remembered_where_the_run_is_asked_to_stop() {
    let options = StandinOptions {
        release: Release::V4_5,
        ..StandinOptions::default()
    };
    let bench = Bench::with(World::estate(2, 10), options).await;
    bench.stage(Stage::VirtualMachines).await;
    let before = bench.machine_of(100)["role"]["id"].clone();
    let own = json!({"name": "Own", "slug": "own", "vm_role": true});
    let own = bench.netbox.seed("dcim/device-roles", &own).unwrap();
    bench.proxmox.world().change(|world| {
        world.guest(100).unwrap().description = Some(notes(&json!({"role": own})));
    });
    let mut request = alone();
    request.options.guests.parse_metadata = true;
    bench.forget();
    let remembered = || bench.machine_state(100)["proxmox_last_synced_role_id"].clone();
    // The role is remembered, and the machine is not written yet.
    let stop = async {
        until(|| remembered() != before).await;
        bench.stop_runs();
    };
    let (report, ()) = tokio::join!(bench.job(Stage::VirtualMachines, request), stop);
    assert!(report.is_cancelled(), "{:?}", report.errors());
    assert_eq!(
        (&bench.machine_of(100)["role"]["id"], remembered()),
        (&before, before.clone())
    );
}

#[tokio::test]
async fn state_follows_its_guest_to_a_node_that_the_plugin_does_not_track() {
    let bench = Bench::with(World::estate(2, 10), StandinOptions::default()).await;
    bench.stage(Stage::VirtualMachines).await;
    assert_eq!(bench.machine_state(100)["proxmox_node"]["name"], "pve1");
    let nodes = "plugins/proxbox/proxmox-nodes";
    let rows = bench.netbox.rows(nodes);
    let untracked = rows.iter().find(|row| row["name"] == "pve2").unwrap();
    bench.netbox.remove(nodes, untracked["id"].as_u64().unwrap()).unwrap();
    bench.proxmox.world().change(|world| world.migrate(100, "pve2"));
    bench.forget();
    bench.stage(Stage::VirtualMachines).await;
    let state = bench.machine_state(100);
    assert_eq!(
        (&state["proxmox_node_name"], &state["proxmox_node"]),
        (&json!("pve2"), &json!(null))
    );
}

#[tokio::test]
async fn state_names_the_node_where_nodes_are_switched_off_too() {
    let bench = Bench::with(World::estate(2, 10), StandinOptions::default()).await;
    let mut request = alone();
    request.options.modes.node = Mode::Disabled;
    bench.stage_with(Stage::VirtualMachines, request).await;
    assert_eq!(bench.machine_state(100)["proxmox_node"]["name"], "pve1");
}

#[tokio::test]
async fn guests_have_no_platform_where_those_cannot_be_read_and_lose_none() {
    for status in [403, 500] {
        let mut bench = Bench::with(World::estate(2, 6), StandinOptions::default()).await;
        bench.stage(Stage::Devices).await;
        bench.restart(true);
        let refused = || FaultRule::on("dcim/platforms", Fault::Status(status)).method("GET");
        bench.netbox.faults().add(refused());
        let report = bench.stage(Stage::VirtualMachines).await;
        let told = warnings(&report);
        assert_eq!((report.counts().created, report.counts().failed), (6, 0), "{told}");
        assert!(
            told.contains("`/api/dcim/platforms/`") && told.lines().count() == 1,
            "{told}"
        );
        assert_eq!(report.result()["degraded"], true);
        assert_eq!(bench.netbox.count("dcim/platforms"), 0);

        let overwrite = || {
            let mut request = alone();
            request.options.overwrite.set(Flag::VmPlatform, true);
            request
        };
        bench.netbox.faults().clear();
        bench.forget();
        bench.stage_with(Stage::VirtualMachines, overwrite()).await;
        let machines = bench.netbox.rows(MACHINES);
        assert!(machines.iter().all(|machine| !machine["platform"].is_null()));
        bench.netbox.faults().add(refused());
        bench.forget();
        bench.stage_with(Stage::VirtualMachines, overwrite()).await;
        assert_eq!(bench.netbox.rows(MACHINES), machines);
    }
}

/// Which rows the plugin has of the nodes, which types NetBox has, and which tags.
#[tokio::test]
async fn list_that_cannot_be_read_takes_nothing_from_a_machine_and_fails_none() {
    for path in [
        "plugins/proxbox/proxmox-nodes",
        "virtualization/virtual-machine-types",
        TAGS,
    ] {
        for status in [403, 500] {
            let mut bench = Bench::with(World::estate(2, 10), StandinOptions::default()).await;
            bench.stage(Stage::VirtualMachines).await;
            bench.restart(true);
            bench.take_writes();
            let refused = FaultRule::on(path, Fault::Status(status)).method("GET");
            bench.netbox.faults().add(refused);
            let report = bench.stage(Stage::VirtualMachines).await;
            let (counts, told) = (report.counts(), warnings(&report));
            assert_eq!((counts.unchanged, counts.failed), (10, 0), "{path} {status}: {told}");
            assert!(told.contains(path), "{path} {status}: {told}");
            assert_eq!(bench.take_writes(), [""; 0], "{path} {status}");
        }
    }
}

#[tokio::test]
async fn machine_made_while_types_cannot_be_read_gets_its_type_later_and_never_a_role() {
    let mut bench = Bench::with(World::estate(2, 6), StandinOptions::default()).await;
    bench.stage(Stage::Devices).await;
    bench.restart(true);
    let types = FaultRule::on("virtualization/virtual-machine-types", Fault::Status(403)).method("GET");
    bench.netbox.faults().add(types);
    let report = bench.stage(Stage::VirtualMachines).await;
    assert_eq!((report.counts().created, report.counts().failed), (6, 0));
    let machine = bench.machine_of(100);
    assert_eq!(
        (&machine["role"], &machine["virtual_machine_type"]),
        (&json!(null), &json!(null))
    );
    bench.netbox.faults().clear();
    bench.forget();
    bench.stage(Stage::VirtualMachines).await;
    let machine = bench.machine_of(100);
    assert_eq!(
        (&machine["role"], &machine["virtual_machine_type"]["slug"]),
        (&json!(null), &json!("qemu-virtual-machine"))
    );
}

/// The sweep marks only what bears the tag, and virtual machines get it when they are made.
#[tokio::test]
async fn new_guest_waits_for_its_tag_of_discovery_and_the_others_go_on() {
    let mut bench = Bench::with(World::estate(2, 6), StandinOptions::default()).await;
    bench.stage(Stage::VirtualMachines).await;
    bench.proxmox.world().change(|world| {
        world.guest(100).unwrap().memory_mib = 777;
        world.add_guest(Guest::new(GuestKind::Qemu, 950, "late", "pve1"));
    });
    bench.restart(true);
    bench
        .netbox
        .faults()
        .add(FaultRule::on(TAGS, Fault::Status(500)).method("GET"));
    let report = bench.stage(Stage::VirtualMachines).await;
    let (counts, told) = (report.counts(), warnings(&report));
    assert_eq!(
        (counts.created, counts.updated, counts.failed),
        (0, 1, 1),
        "{counts:?}: {told}"
    );
    assert!(
        told.contains("late") && told.contains("proxbox-discovered-qemu"),
        "{told}"
    );
    assert_eq!(bench.netbox.count(MACHINES), 6);
    bench.netbox.faults().clear();
    bench.forget();
    bench.stage(Stage::VirtualMachines).await;
    assert_eq!(tags(&bench.machine_of(950)), ["proxbox", "proxbox-discovered-qemu"]);
}

#[tokio::test]
async fn tags_of_guests_that_cannot_be_read_are_given_with_the_next_run() {
    let mut bench = Bench::with(World::estate(2, 6), StandinOptions::default()).await;
    bench.stage(Stage::VirtualMachines).await;
    bench.proxmox.world().change(|world| {
        let mut guest = Guest::new(GuestKind::Qemu, 950, "late", "pve1");
        guest.config.set("tags", "fresh;prod");
        world.add_guest(guest);
    });
    bench.restart(true);
    let before = bench.netbox.count(TAGS);
    // The first one is for the tags that this service has of its own.
    let later = FaultRule::on(TAGS, Fault::Status(500)).method("GET").after(1);
    bench.netbox.faults().add(later);
    let report = bench.stage(Stage::VirtualMachines).await;
    let told = warnings(&report);
    assert_eq!((report.counts().created, report.counts().failed), (1, 0), "{told}");
    assert!(told.contains(TAGS), "{told}");
    let own = ["proxbox", "proxbox-discovered-qemu"];
    assert_eq!(
        (tags(&bench.machine_of(950)), bench.netbox.count(TAGS)),
        (own.to_vec(), before)
    );
    bench.netbox.faults().clear();
    bench.forget();
    bench.stage(Stage::VirtualMachines).await;
    assert_eq!(
        tags(&bench.machine_of(950)),
        ["fresh", "prod", "proxbox", "proxbox-discovered-qemu"]
    );
}

#[tokio::test]
async fn nothing_that_guests_need_is_made_where_there_is_no_guest_to_see_to() {
    let bench = Bench::with(alpha(), StandinOptions::default()).await;
    let mut request = SyncRequest::default();
    request.options.modes.machine = Mode::Disabled;
    let report = bench.stage_with(Stage::VirtualMachines, request.clone()).await;
    assert_eq!((report.counts().total(), warnings(&report)), (0, String::new()));
    assert_eq!(bench.take_writes(), [""; 0]);
    bench.proxmox.world().change(|world| {
        let mut template = Guest::new(GuestKind::Qemu, 904, "golden", "a1");
        template.template = true;
        world.add_guest(template);
    });
    bench.forget();
    let report = bench.stage_with(Stage::VirtualMachines, request).await;
    assert_eq!(report.counts().created, 1);
    assert_eq!(bench.netbox.count("dcim/devices"), 2);
}

#[tokio::test]
async fn request_for_one_machine_makes_nothing_of_other_clusters() {
    let mut estate = Estate::empty(vec![alpha(), beta()]).await;
    estate.request.options.guests.sync_network = false;
    estate.request.options.guests.sync_task_history = false;
    estate.run_for(1, Stage::VirtualMachines).await;
    for is_strict in [false, true] {
        let mut request = estate.only(estate.machine(301));
        request.options.guests.is_strict = is_strict;
        estate.netbox.clear_requests();
        let report = estate.try_run(Stage::VirtualMachines, request).await;
        assert_eq!(report.errors(), [""; 0]);
        assert_eq!((report.counts().unchanged, report.counts().total()), (1, 1));
        let written = estate.netbox.writes();
        assert!(written.is_empty(), "{written:#?}");
    }
}

#[tokio::test]
async fn machine_that_is_left_out_is_told_once_however_many_stages_follow() {
    let bench = Bench::with(World::estate(2, 6), StandinOptions::default()).await;
    bench.stage(Stage::VirtualMachines).await;
    let wanted = bench.machine_of(100)["id"].as_u64().unwrap();
    let mut request = SyncRequest::default();
    request.options.guests.only = Some([ObjectId(wanted), ObjectId(9_999)].into());
    let report = bench.stage_with(Stage::VirtualMachines, request).await;
    let told = warnings(&report);
    assert_eq!(told.matches("9999").count(), 1, "{told}");
}

/// The stages that follow in network mode: disks, interfaces and addresses.
#[tokio::test]
async fn stage_that_follows_and_fails_is_a_warning_and_the_next_is_done() {
    let addresses = "ipam/ip-addresses";
    let stages = [
        (DISKS, "virtual disks: "),
        (INTERFACES, "vm interfaces: "),
        (addresses, "vm ip addresses: "),
    ];
    for (list, name) in stages {
        let mut bench = Bench::with(World::estate(2, 10), StandinOptions::default()).await;
        let mut request = SyncRequest::default();
        request.options.guests.sync_task_history = false;
        bench.stage_with(Stage::VirtualMachines, request.clone()).await;
        bench.proxmox.world().change(|world| {
            let mut guest = world.guest(100).unwrap().clone();
            (guest.vmid, guest.name) = (990, "new".to_owned());
            guest.config.set("net0", "virtio=BC:24:11:AA:09:90,bridge=vmbr0");
            guest.agent = Agent::Interfaces(vec![AgentInterface::new(
                "ens18",
                "bc:24:11:aa:09:90",
                &["10.99.0.7/24"],
            )]);
            world.add_guest(guest);
        });
        bench.restart(true);
        bench
            .netbox
            .faults()
            .add(FaultRule::on(list, Fault::Status(403)).method("GET"));
        let report = bench.stage_with(Stage::VirtualMachines, request).await;
        let told = warnings(&report);
        assert_eq!(
            (report.counts().created, report.counts().failed),
            (1, 0),
            "{list}: {told}"
        );
        assert!(told.lines().any(|line| line.starts_with(name)), "{list}: {told}");
        assert_eq!(report.result()["degraded"], true, "{list}");
        let machine = bench.machine_of(990);
        let rows = [DISKS, INTERFACES].map(|path| {
            let rows = bench.netbox.rows(path).into_iter();
            rows.filter(|row| row["virtual_machine"]["id"] == machine["id"]).count()
        });
        assert_eq!(
            rows.map(|count| count > 0),
            [list != DISKS, list != INTERFACES],
            "{list}"
        );
        assert_eq!(machine["primary_ip4"].is_null(), list != DISKS, "{list}: {told}");
    }
}

#[tokio::test]
async fn stage_that_follows_and_would_delete_too_much_is_a_warning_too() {
    let bench = Bench::with(World::estate(2, 12), StandinOptions::default()).await;
    let mut request = SyncRequest::default();
    request.options.guests.sync_task_history = false;
    let all = |bench: &Bench, change: fn(&mut Guest)| {
        bench
            .proxmox
            .world()
            .change(|world| world.guests.values_mut().for_each(change));
        bench.forget();
    };
    all(&bench, |guest| {
        for key in MORE_DISKS {
            guest.config.set(*key, format!("local-lvm:vm-{key},size=8G"));
        }
    });
    bench.stage_with(Stage::VirtualMachines, request.clone()).await;
    let before = bench.netbox.count(DISKS);
    all(&bench, |guest| {
        for key in MORE_DISKS {
            guest.config.remove(key);
        }
        guest.config.set(
            "net7",
            format!("virtio=BC:24:11:AA:07:{:02X},bridge=vmbr0", guest.vmid % 250),
        );
    });
    let report = bench.stage_with(Stage::VirtualMachines, request).await;
    let told = warnings(&report);
    assert!(
        told.contains("virtual disks: ") && told.contains("allow_shrink=true"),
        "{told}"
    );
    assert_eq!(bench.netbox.count(DISKS), before);
    let rows = bench.netbox.rows(INTERFACES);
    assert!(rows.iter().any(|row| row["name"] == "net7"), "{told}");
    assert_eq!(report.counts().failed, 0, "{told}");
}

/// The plugin still has the endpoint that the virtual machines were made for; nodes, which would tell, are switched off.
#[tokio::test]
async fn machines_of_another_endpoint_of_the_same_cluster_are_not_made_a_second_time() {
    let bench = Bench::with(World::estate(2, 6), StandinOptions::default()).await;
    bench.stage(Stage::VirtualMachines).await;
    let other = json!({"name": "former", "domain": "former.example.net", "mode": "cluster", "port": 8006});
    let other = bench.netbox.seed("plugins/proxbox/endpoints/proxmox", &other).unwrap();
    for state in bench.netbox.rows(MACHINE_STATES) {
        let id = state["id"].as_u64().unwrap();
        let change = json!({"proxmox_endpoint_raw_id": other});
        bench.netbox.change(MACHINE_STATES, id, &change).unwrap();
    }
    let before = bench.netbox.rows(MACHINES);
    bench.forget();
    let mut request = alone();
    request.options.modes.node = Mode::Disabled;
    let report = bench.stage_with(Stage::VirtualMachines, request).await;
    let told = warnings(&report);
    assert_eq!((report.counts().created, report.counts().failed), (0, 6), "{told}");
    let words = format!("of Proxmox endpoint {other}, which is not known to be gone; this is endpoint 1");
    assert_eq!(told.matches(&words).count(), 6, "{told}");
    assert_eq!(bench.netbox.rows(MACHINES), before);
}

/// As after a change past NetBox's own rules: it takes none of such a machine that does not say the right size too.
#[tokio::test]
async fn machine_whose_size_is_not_that_of_its_disks_is_written_with_what_netbox_tells() {
    let bench = Bench::with(World::estate(2, 10), StandinOptions::default()).await;
    bench.stage(Stage::VirtualMachines).await;
    bench.stage(Stage::VirtualDisks).await;
    let machine = bench.machine_of(101);
    assert!(machine["disk"].as_i64().unwrap() > 5, "{machine:#}");
    bench.netbox.force(MACHINES, machine["id"].as_u64().unwrap(), "disk", 5);
    bench.proxmox.world().change(|world| {
        for vmid in [101, 102] {
            world.guest(vmid).unwrap().memory_mib = 777;
        }
    });
    bench.forget();
    let report = bench.stage_with(Stage::VirtualMachines, alone()).await;
    let counts = report.counts();
    assert_eq!((counts.updated, counts.failed), (2, 0), "{}", warnings(&report));
    for vmid in [101, 102] {
        assert_eq!(bench.machine_of(vmid)["memory"], 777);
    }
    assert_eq!(bench.machine_of(101)["disk"], machine["disk"]);
    bench.take_writes();
    bench.stage_with(Stage::VirtualMachines, alone()).await;
    assert_eq!(bench.take_writes(), [""; 0]);
}
