//! The stage `vm-interfaces`, from a Proxmox to a NetBox.

use proxbox_api::netbox::standin::{Fault, FaultRule, Release, StandinOptions};
use proxbox_api::proxmox::mock::World;
use proxbox_api::proxmox::mock::world::{Agent, AgentInterface, Guest};
use proxbox_api::reconcile::ObjectId;
use proxbox_api::stages::Stage;
use proxbox_api::sync::SyncRequest;
use serde_json::{Value, json};

use crate::harness::{Bench, INTERFACES, tags, warnings};

const MACS: &str = "dcim/mac-addresses";
const VLANS: &str = "ipam/vlans";
const BRIDGES: &str = "dcim/interfaces";
const STATES: &str = "plugins/proxbox/sync-state/vm-interfaces";
const GUEST_INTERFACES: &str = "plugins/proxbox/guest-vm-interfaces";

/// Reads that the stage may make in NetBox over an estate that has not changed.
const READS: usize = 10;

async fn synced() -> Bench {
    let bench = Bench::start().await;
    bench.stage(Stage::VirtualMachines).await;
    let report = bench.stage(Stage::VmInterfaces).await;
    assert_eq!(report.counts().failed, 0, "{:?}", report.endpoints[0].warnings);
    bench
}

fn networks(guest: &Guest) -> usize {
    (0..200)
        .filter(|number| guest.config.text(&format!("net{number}")).is_some())
        .count()
}

/// Changes the configured interface `net0` of a guest.
fn change_net0(bench: &Bench, vmid: u32, change: impl Fn(&str) -> String) {
    bench.proxmox.world().change(|world| {
        let config = &mut world.guest(vmid).unwrap().config;
        let net = change(config.text("net0").unwrap());
        config.set("net0", net);
    });
}

fn guest_interface(bench: &Bench, vmid: u32, name: &str) -> Value {
    let machine = bench.machine_of(vmid)["id"].clone();
    let rows = bench.netbox.rows(GUEST_INTERFACES);
    let mut found = rows
        .iter()
        .filter(|row| row["virtual_machine"]["id"] == machine && row["name"] == name);
    found.next().unwrap_or(&Value::Null).clone()
}

#[tokio::test]
async fn empty_netbox_gets_every_interface_and_a_second_run_writes_nothing() {
    let bench = synced().await;
    let expected: usize = bench
        .proxmox
        .world()
        .read(|world| world.guests.values().map(networks).sum());
    for path in [INTERFACES, MACS, STATES] {
        assert_eq!(bench.netbox.count(path), expected, "{path}");
    }
    let interface = bench.interface_of(100, "net0");
    assert_eq!(
        (
            &interface["enabled"],
            &interface["mode"]["value"],
            &interface["untagged_vlan"]["vid"]
        ),
        (&json!(true), &json!("access"), &json!(120))
    );
    assert_eq!(tags(&interface), ["proxbox"]);
    let mac = bench
        .proxmox
        .world()
        .read(|world| world.guests[&100].mac(0).unwrap().to_owned());
    assert_eq!(interface["primary_mac_address"]["mac_address"], json!(mac));
    let states = bench.netbox.rows(STATES);
    let state = states
        .iter()
        .find(|row| row["vm_interface"]["id"] == interface["id"])
        .unwrap();
    let bridges = bench.netbox.rows(BRIDGES);
    let bridge = bridges
        .iter()
        .find(|row| row["id"] == state["proxbox_bridge"]["id"])
        .unwrap();
    assert_eq!(
        (&bridge["name"], &bridge["type"]["value"], &bridge["device"]["name"]),
        (&json!("vmbr0"), &json!("bridge"), &json!("pve1"))
    );
    let row = guest_interface(&bench, 100, "ens18");
    assert_eq!(
        (&row["vm_interface"]["id"], &row["mac_address"]),
        (&interface["id"], &json!(mac.to_lowercase()))
    );
    assert_eq!(guest_interface(&bench, 100, "docker0")["vm_interface"], Value::Null);

    for pause in [false, true] {
        if pause {
            bench.forget();
            bench.stage(Stage::VirtualMachines).await;
        }
        bench.take_writes();
        let report = bench.stage(Stage::VmInterfaces).await;
        let reads = bench.netbox.requests().len();
        assert_eq!(bench.take_writes(), Vec::<String>::new());
        assert_eq!(report.counts().unchanged, expected);
        assert!(reads <= READS, "{reads} requests");
    }
}

/// The database of NetBox locks an interface that is changed against rows that are to hang on it, and the other way round.
#[tokio::test]
async fn interfaces_are_changed_when_nothing_that_hangs_on_them_is_under_way() {
    let bench = Bench::start().await;
    bench.stage(Stage::VirtualMachines).await;
    bench.netbox.clear_requests();
    bench.stage(Stage::VmInterfaces).await;
    let writes: Vec<(String, String)> = bench
        .netbox
        .requests()
        .into_iter()
        .filter(|request| request.method != "GET")
        .map(|request| (request.method, request.path.replace("/api/", "")))
        .collect();
    let last_below = writes.iter().rposition(|(method, path)| {
        let path = path.trim_matches('/');
        method == "POST" && [GUEST_INTERFACES, STATES, MACS].contains(&path)
    });
    let first_change = writes
        .iter()
        .position(|(method, path)| method == "PATCH" && path.trim_matches('/') == INTERFACES);
    assert!(last_below.is_some() && last_below < first_change, "{writes:?}");
}

#[tokio::test]
async fn changes_in_proxmox_are_followed_and_nothing_else_is_written() {
    let bench = synced().await;
    change_net0(&bench, 100, |net| net.replace(",tag=120", ""));
    change_net0(&bench, 101, |net| net.replace("tag=130", "tag=333"));
    let old = bench.interface_of(102, "net0")["primary_mac_address"]["mac_address"].clone();
    change_net0(&bench, 102, |net| {
        net.replace(old.as_str().unwrap(), "BC:24:11:99:99:99")
    });
    bench.proxmox.world().change(|world| {
        world
            .guest(105)
            .unwrap()
            .config
            .set("net7", "virtio=BC:24:11:77:77:77,bridge=vmbr7");
    });
    bench.forget();
    bench.stage(Stage::VirtualMachines).await;
    bench.take_writes();
    let report = bench.stage(Stage::VmInterfaces).await;
    let counts = report.counts();
    assert_eq!((counts.created, counts.updated, counts.failed), (1, 2, 0));
    let freed = bench.interface_of(100, "net0");
    assert_eq!((&freed["mode"], &freed["untagged_vlan"]), (&Value::Null, &Value::Null));
    assert_eq!(bench.interface_of(101, "net0")["untagged_vlan"]["vid"], 333);
    let changed = bench.interface_of(102, "net0");
    assert_eq!(changed["primary_mac_address"]["mac_address"], "BC:24:11:99:99:99");
    assert_eq!(
        changed["mac_addresses"].as_array().unwrap().len(),
        2,
        "the old one stays"
    );
    assert_eq!(bench.interface_of(105, "net7")["enabled"], true);
    assert!(bench.netbox.rows(BRIDGES).iter().any(|row| row["name"] == "vmbr7"));
    bench.take_writes();
    bench.stage(Stage::VmInterfaces).await;
    assert_eq!(bench.take_writes(), Vec::<String>::new());
}

#[tokio::test]
async fn interface_renamed_inside_a_guest_takes_its_place_over() {
    let bench = synced().await;
    let interface = bench.interface_of(100, "net0");
    let mac = bench
        .proxmox
        .world()
        .read(|world| world.guests[&100].mac(0).unwrap().to_lowercase());
    let renamed = AgentInterface::new("enp6s18", &mac, &["10.50.0.101/16"]);
    bench
        .proxmox
        .world()
        .change(|world| world.guest(100).unwrap().agent = Agent::Interfaces(vec![renamed]));
    bench.forget();
    let report = bench.stage(Stage::VmInterfaces).await;
    assert!(
        report.endpoints[0].warnings.is_empty(),
        "{:?}",
        report.endpoints[0].warnings
    );
    assert_eq!(
        guest_interface(&bench, 100, "enp6s18")["vm_interface"]["id"],
        interface["id"]
    );
    assert_eq!(guest_interface(&bench, 100, "ens18")["vm_interface"], Value::Null);
}

#[tokio::test]
async fn operators_edits_survive() {
    let bench = synced().await;
    let gold = json!({"name": "Gold", "slug": "gold"});
    let gold = bench.netbox.seed("extras/tags", &gold).unwrap();
    let interface = bench.interface_of(100, "net0");
    let id = |row: &Value| row["id"].as_u64().unwrap();
    let tagged = json!({"tags": [gold], "description": "uplink", "mtu": 1400});
    bench.netbox.change(INTERFACES, id(&interface), &tagged).unwrap();
    let mac = id(&interface["primary_mac_address"]);
    bench.netbox.change(MACS, mac, &json!({"tags": [gold]})).unwrap();
    let vlan = id(&interface["untagged_vlan"]);
    bench
        .netbox
        .change(VLANS, vlan, &json!({"name": "Servers", "status": "reserved"}))
        .unwrap();
    bench.forget();
    bench.stage(Stage::VmInterfaces).await;
    let interface = bench.interface_of(100, "net0");
    assert_eq!(tags(&interface), ["gold", "proxbox"]);
    assert_eq!(
        (&interface["description"], &interface["mtu"]),
        (&json!("uplink"), &json!(1400))
    );
    let rows = bench.netbox.rows(MACS);
    assert_eq!(
        tags(rows.iter().find(|row| id(row) == mac).unwrap()),
        ["gold", "proxbox"]
    );
    let rows = bench.netbox.rows(VLANS);
    let vlan = rows.iter().find(|row| id(row) == vlan).unwrap();
    assert_eq!(
        (&vlan["name"], &vlan["status"]["value"]),
        (&json!("Servers"), &json!("reserved"))
    );
}

#[tokio::test]
async fn refused_interface_is_named_and_the_others_are_written() {
    let bench = Bench::start().await;
    bench.stage(Stage::VirtualMachines).await;
    bench.proxmox.world().change(|world| {
        world
            .guest(105)
            .unwrap()
            .config
            .set("net7", "virtio=BC:24:11:77:77:77,bridge=vmbr0");
    });
    bench.forget();
    let words = "This interface is not to our taste.";
    bench.netbox.faults().refuse_row(INTERFACES, "net7", "name", words);
    let report = bench.stage(Stage::VmInterfaces).await;
    let warnings = warnings(&report);
    assert_eq!(report.counts().failed, 1, "{warnings}");
    let label = format!("{}/net7", bench.machine_of(105)["name"].as_str().unwrap());
    assert!(warnings.contains(&label) && warnings.contains(words), "{warnings}");
    let made = bench.netbox.count(INTERFACES);
    assert_eq!(made, report.counts().created);
    let result = report.result();
    let told = result["warnings"].as_array().unwrap().iter();
    let part = told
        .clone()
        .find(|warning| warning["phase"] == "vm-interfaces")
        .unwrap();
    let expected = json!({
        "phase": "vm-interfaces", "succeeded": made, "failed": 1, "requested": made + 1, "message": part["message"]
    });
    assert_eq!(part, &expected);
}

#[tokio::test]
async fn what_hangs_on_an_interface_fails_without_it_and_is_made_by_the_next_run() {
    let bench = Bench::with(World::estate(2, 10), StandinOptions::default()).await;
    bench.stage(Stage::VirtualMachines).await;
    let words = "Not today.";
    let mac = bench
        .proxmox
        .world()
        .read(|world| world.guests[&100].mac(0).unwrap().to_owned());
    bench.netbox.faults().refuse_row(MACS, &mac, "mac_address", words);
    bench.netbox.faults().refuse_row(BRIDGES, "vmbr0", "name", words);
    bench
        .netbox
        .faults()
        .refuse_row(GUEST_INTERFACES, "ens18", "name", words);
    let report = bench.stage(Stage::VmInterfaces).await;
    let counts = report.counts();
    assert_eq!((counts.created, counts.failed), (bench.netbox.count(INTERFACES), 0));
    let warnings = warnings(&report);
    for named in [mac.as_str(), "vmbr0", "ens18"] {
        let line = warnings.lines().find(|line| line.contains(named));
        assert!(line.is_some_and(|line| line.contains(words)), "{named}: {warnings}");
    }
    assert_eq!(bench.netbox.count(MACS), counts.created - 1);
    bench.netbox.faults().clear();
    bench.forget();
    let report = bench.stage(Stage::VmInterfaces).await;
    assert_eq!(report.endpoints[0].warnings, []);
    assert_eq!(bench.netbox.count(MACS), counts.created);
    assert_eq!(bench.netbox.count(STATES), counts.created);
    assert_ne!(guest_interface(&bench, 100, "ens18"), Value::Null);
}

#[tokio::test]
async fn stage_of_which_nothing_could_be_written_fails() {
    let bench = Bench::with(World::estate(2, 4), StandinOptions::default()).await;
    bench.stage(Stage::VirtualMachines).await;
    let down = Fault::Status(500);
    bench
        .netbox
        .faults()
        .add(FaultRule::on(INTERFACES, down).method("POST"));
    let report = bench.job(Stage::VmInterfaces, SyncRequest::default()).await;
    assert!(
        report.errors()[0].contains("interfaces of virtual machines"),
        "{:?}",
        report.errors()
    );
}

#[tokio::test]
async fn lost_answer_makes_no_second_mac_address() {
    let bench = Bench::with(World::estate(2, 10), StandinOptions::default()).await;
    bench.stage(Stage::VirtualMachines).await;
    for path in [INTERFACES, MACS, VLANS] {
        let lost = FaultRule::on(path, Fault::LoseAnswer).method("POST").only(1);
        bench.netbox.faults().add(lost);
    }
    let report = bench.stage(Stage::VmInterfaces).await;
    let made = report.counts().created;
    assert_eq!((report.counts().failed, bench.netbox.count(MACS)), (0, made));
    let vlans = bench.netbox.rows(VLANS);
    let mut vids: Vec<_> = vlans.iter().map(|vlan| vlan["vid"].as_u64()).collect();
    vids.sort_unstable();
    vids.dedup();
    assert_eq!(vids.len(), vlans.len());
}

#[tokio::test]
async fn only_the_guests_that_were_asked_for_are_written() {
    let bench = Bench::with(World::estate(2, 10), StandinOptions::default()).await;
    bench.stage(Stage::VirtualMachines).await;
    let wanted = bench.machine_of(101)["id"].as_u64().unwrap();
    let mut request = SyncRequest::default();
    request.options.guests.only = Some([ObjectId(wanted)].into());
    for written in [2, 0] {
        bench.forget();
        let report = bench.stage_with(Stage::VmInterfaces, request.clone()).await;
        assert_eq!((report.counts().created, report.counts().total()), (written, 2));
    }
    let rows = bench.netbox.rows(INTERFACES);
    assert!(rows.iter().all(|row| row["virtual_machine"]["id"] == wanted) && rows.len() == 2);
}

#[tokio::test]
async fn older_netbox_gets_the_same_and_a_second_run_writes_nothing() {
    for release in [Release::V4_5, Release::V4_6] {
        let options = StandinOptions {
            release,
            ..StandinOptions::default()
        };
        let bench = Bench::with(World::estate(2, 10), options).await;
        bench.stage(Stage::VirtualMachines).await;
        for stage in [Stage::VmInterfaces, Stage::VmIpAddresses] {
            let report = bench.stage(stage).await;
            assert_eq!(
                report.counts().failed,
                0,
                "{release:?}: {:?}",
                report.endpoints[0].warnings
            );
        }
        bench.take_writes();
        for stage in [Stage::VmInterfaces, Stage::VmIpAddresses] {
            bench.stage(stage).await;
            assert_eq!(bench.take_writes(), Vec::<String>::new(), "{release:?}");
        }
    }
}

#[tokio::test]
async fn dry_run_tells_what_would_be_written_and_writes_nothing() {
    let bench = Bench::with(World::estate(2, 10), StandinOptions::default()).await;
    bench.stage(Stage::VirtualMachines).await;
    let request = SyncRequest {
        dry_run: true,
        ..SyncRequest::default()
    };
    for stage in [Stage::VmInterfaces, Stage::VmIpAddresses] {
        bench.take_writes();
        let dry = bench.stage_with(stage, request.clone()).await;
        assert_eq!(bench.take_writes(), Vec::<String>::new());
        let planned: usize = dry.endpoints[0].plans.iter().map(|plan| plan.create.len()).sum();
        let report = bench.stage(stage).await;
        assert_eq!(dry.counts(), report.counts(), "{}", stage.as_str());
        assert!(
            planned > report.counts().created,
            "MAC addresses, bridges and so on too"
        );
    }
}

#[tokio::test]
async fn interfaces_are_reported_as_netbox_has_them_after_the_run() {
    let bench = Bench::with(World::estate(2, 4), StandinOptions::default()).await;
    bench.stage(Stage::VirtualMachines).await;
    for (case, tag) in [("made", 120), ("changed", 333), ("found", 333)] {
        change_net0(&bench, 100, |net| net.replace("tag=120", &format!("tag={tag}")));
        bench.forget();
        let report = bench.stage(Stage::VmInterfaces).await;
        let interface = bench.interface_of(100, "net0");
        let records = report.records();
        let record = records.iter().find(|record| record["id"] == interface["id"]).unwrap();
        let mac = &interface["primary_mac_address"];
        assert_eq!(record["mac_address"], mac["mac_address"], "{case}");
        assert_eq!(interface["untagged_vlan"]["vid"], tag, "{case}");
        let expected = json!({
            "id": interface["id"], "virtual_machine": interface["virtual_machine"]["id"], "name": "net0",
            "enabled": true, "mtu": null, "mode": "access", "untagged_vlan": interface["untagged_vlan"]["id"],
            "tagged_vlans": [], "primary_mac_address": mac["id"], "tags": ["proxbox"]
        });
        assert_eq!(record["interface"], expected, "{case}");
    }
}

/// An estate in which two devices say that they are the node `pve1`.
#[tokio::test]
async fn interfaces_on_a_node_with_several_devices_have_no_bridge_and_the_others_have() {
    let bench = Bench::start().await;
    bench.stage(Stage::VirtualMachines).await;
    let devices = bench.netbox.rows("dcim/devices");
    let device = devices.iter().find(|row| row["name"] == "pve1").unwrap();
    let id = |name: &str| device[name]["id"].clone();
    let double = json!({
        "name": "pve1-copy", "device_type": id("device_type"), "role": id("role"), "site": id("site"),
        "cluster": id("cluster")
    });
    let double = bench.netbox.seed("dcim/devices", &double).unwrap();
    let claim = json!({
        "device": double, "proxmox_cluster_name": "lab", "proxmox_node_name": "pve1", "proxmox_endpoint_raw_id": 1
    });
    bench.netbox.seed("plugins/proxbox/sync-state/devices", &claim).unwrap();
    bench.forget();
    let report = bench.stage(Stage::VmInterfaces).await;
    assert_eq!(report.counts().failed, 0, "{}", warnings(&report));
    let (on_it, elsewhere): (usize, usize) = bench.proxmox.world().read(|world| {
        let count = |is_on_it: bool| {
            let guests = world.guests.values();
            guests
                .filter(|guest| (guest.node == "pve1") == is_on_it)
                .map(networks)
                .sum()
        };
        (count(true), count(false))
    });
    assert!(on_it > 0);
    assert_eq!(bench.netbox.count(INTERFACES), on_it + elsewhere);
    assert_eq!(bench.netbox.count(STATES), elsewhere);
    let bridges = bench.netbox.rows(BRIDGES);
    assert!(
        !bridges.is_empty()
            && bridges
                .iter()
                .all(|row| !row["device"]["name"].to_string().contains("pve1"))
    );
}

#[tokio::test]
async fn operators_choice_among_equal_vlans_survives() {
    let bench = synced().await;
    let interface = bench.interface_of(100, "net0");
    let id = |row: &Value| row["id"].as_u64().unwrap();
    let vlans = bench.netbox.rows(VLANS);
    let oldest = vlans
        .iter()
        .find(|row| id(row) == id(&interface["untagged_vlan"]))
        .unwrap();
    let group = json!({"name": "Rack B", "slug": "rack-b"});
    let group = bench.netbox.seed("ipam/vlan-groups", &group).unwrap();
    let twin = json!({"vid": oldest["vid"], "name": "Servers", "site": oldest["site"]["id"], "group": group});
    let twin = bench.netbox.seed(VLANS, &twin).unwrap();
    let choice = json!({"untagged_vlan": twin});
    bench.netbox.change(INTERFACES, id(&interface), &choice).unwrap();
    bench.forget();
    bench.take_writes();
    bench.stage(Stage::VmInterfaces).await;
    assert_eq!(bench.take_writes(), Vec::<String>::new());
}

/// What hangs on a list that cannot be read is left as it is; everything else of the stage is written.
#[tokio::test]
async fn list_beside_the_interfaces_that_cannot_be_read_costs_its_own_rows_alone() {
    let lists = [
        (VLANS, vec![VLANS]),
        (MACS, vec![MACS]),
        (BRIDGES, vec![BRIDGES, STATES]),
        ("dcim/devices", vec![BRIDGES, STATES]),
        (STATES, vec![STATES]),
        (GUEST_INTERFACES, vec![GUEST_INTERFACES]),
    ];
    let parts = [VLANS, MACS, BRIDGES, STATES, GUEST_INTERFACES];
    let bench = &mut Bench::with(World::estate(2, 10), StandinOptions::default()).await;
    bench.stage(Stage::VirtualMachines).await;
    for (list, hanging) in lists {
        for fault in [Fault::Status(403), Fault::Html(404), Fault::Status(500)] {
            let case = format!("{list} {fault:?}");
            bench.netbox.faults().clear();
            bench.forget();
            bench.stage(Stage::VmInterfaces).await;
            // Interfaces stand that have nothing yet, and some do not: what hangs on new ones alone is not looked for.
            for path in parts {
                for row in bench.netbox.rows(path) {
                    bench.netbox.remove(path, row["id"].as_u64().unwrap()).unwrap();
                }
            }
            let made = bench.interface_of(100, "net0")["id"].as_u64().unwrap();
            bench.netbox.remove(INTERFACES, made).unwrap();
            bench.restart(true);
            let refused = FaultRule::on(list, fault).method("GET");
            bench.netbox.faults().add(refused);
            let report = bench.stage(Stage::VmInterfaces).await;
            let (counts, warnings) = (report.counts(), warnings(&report));
            assert_eq!((counts.created, counts.failed), (1, 0), "{case}: {warnings}");
            assert_eq!(report.result()["degraded"], true, "{case}");
            assert_eq!(warnings.lines().count(), 1, "{case}: {warnings}");
            assert!(warnings.contains(&format!("`/api/{list}/`")), "{case}: {warnings}");
            for part in parts {
                let is_empty = bench.netbox.count(part) == 0;
                assert_eq!(is_empty, hanging.contains(&part), "{case}: {part}");
            }
        }
    }
}

/// The same where all of them stand, and a guest has changed.
#[tokio::test]
async fn rows_that_cannot_be_read_stay_as_they_are() {
    let mut bench = Bench::with(World::estate(2, 10), StandinOptions::default()).await;
    bench.stage(Stage::VirtualMachines).await;
    bench.stage(Stage::VmInterfaces).await;
    let lists = [VLANS, MACS, BRIDGES, STATES, GUEST_INTERFACES, INTERFACES];
    let before = lists.map(|list| bench.netbox.rows(list));
    let net = "virtio=BC:24:11:77:00:01,bridge=vmbr7,tag=777";
    change_net0(&bench, 100, |_| net.to_owned());
    for list in lists.into_iter().filter(|list| *list != INTERFACES) {
        let refused = FaultRule::on(list, Fault::Status(403)).method("GET");
        bench.netbox.faults().add(refused);
    }
    bench.restart(true);
    bench.take_writes();
    let report = bench.stage(Stage::VmInterfaces).await;
    assert_eq!(bench.take_writes(), Vec::<String>::new(), "{}", warnings(&report));
    assert_eq!(lists.map(|list| bench.netbox.rows(list)), before);
}

/// How often a stage reads a collection.
fn reads(bench: &Bench, path: &str) -> u32 {
    let asked = bench.netbox.requests().into_iter();
    let path = format!("/api/{path}/");
    let reads = asked.filter(|request| request.method == "GET" && request.path == path);
    u32::try_from(reads.count()).unwrap()
}

/// What the write came to cannot be read any more.
#[tokio::test]
async fn part_of_interfaces_that_netbox_fails_is_told_and_costs_no_other() {
    for part in [MACS, STATES, GUEST_INTERFACES, BRIDGES] {
        let bench = Bench::with(World::estate(2, 12), StandinOptions::default()).await;
        let beside = bench.beside().await;
        for bench in [&bench, &beside] {
            bench.stage(Stage::VirtualMachines).await;
        }
        beside.netbox.clear_requests();
        beside.stage(Stage::VmInterfaces).await;
        let lost = FaultRule::on(part, Fault::LoseAnswer).method("POST");
        bench.netbox.faults().add(lost.only(1));
        let refused = FaultRule::on(part, Fault::Status(403)).method("GET");
        bench.netbox.faults().add(refused.after(reads(&beside, part)));
        let report = bench.stage(Stage::VmInterfaces).await;
        let told = warnings(&report);
        assert!(told.contains("its fate is unknown"), "{part}: {told}");
        assert!(told.contains(&format!("/api/{part}/")), "{part}: {told}");
        assert_eq!(report.counts().failed, 0, "{part}");
        for other in [INTERFACES, MACS, STATES, GUEST_INTERFACES] {
            let depends = part == BRIDGES && other == STATES;
            if other != part && !depends {
                assert_eq!(bench.netbox.count(other), beside.netbox.count(other), "{part} {other}");
            }
        }
    }
}

#[tokio::test]
async fn rows_of_other_clusters_are_not_read() {
    let bench = synced().await;
    let seed = |path: &str, row: Value| bench.netbox.seed(path, &row).unwrap();
    let cluster = seed(
        "virtualization/clusters",
        json!({"name": "beta", "type": bench.netbox.rows("virtualization/cluster-types")[0]["id"]}),
    );
    let machine = seed(
        "virtualization/virtual-machines",
        json!({"name": "there", "cluster": cluster}),
    );
    let interface = seed(INTERFACES, json!({"name": "net0", "virtual_machine": machine}));
    seed(STATES, json!({"vm_interface": interface}));
    seed(GUEST_INTERFACES, json!({"name": "eth0", "virtual_machine": machine}));
    bench.forget();
    bench.take_writes();
    bench.stage(Stage::VmInterfaces).await;
    let asked = bench.netbox.requests();
    for (path, filter) in [(STATES, "vm_interface_id="), (GUEST_INTERFACES, "virtual_machine_id=")] {
        let path = format!("/api/{path}/");
        let reads: Vec<_> = asked.iter().filter(|request| request.path == path).collect();
        assert!(
            !reads.is_empty() && reads.iter().all(|read| read.query.contains(filter)),
            "{reads:#?}"
        );
    }
    assert_eq!(bench.take_writes(), Vec::<String>::new());
}
