//! The stage `virtual-machines`, from a Proxmox to a NetBox.

use proxbox_api::netbox::standin::{Fault, FaultRule, Release, StandinOptions};
use proxbox_api::proxmox::mock::World;
use proxbox_api::reconcile::{Mode, ObjectId};
use proxbox_api::stages::Stage;
use proxbox_api::sync::SyncRequest;
use serde_json::json;

use crate::harness::{Bench, MACHINE_STATES, MACHINES, tags, warnings};

const CLOUD_INITS: &str = "plugins/proxbox/vm-cloudinit";
const TAGS: &str = "extras/tags";

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
    bench.forget();
    bench.take_writes();
    bench.stage(Stage::VirtualMachines).await;
    assert_eq!(bench.take_writes(), Vec::<String>::new());
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
