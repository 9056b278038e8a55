//! The stage `node-interfaces`, from a Proxmox to a NetBox.

use proxbox_api::netbox::standin::{Fault, FaultRule, StandinOptions};
use proxbox_api::proxmox::mock::World;
use proxbox_api::proxmox::mock::world::NodeInterface;
use proxbox_api::reconcile::Mode;
use proxbox_api::stages::{Only, Part, Stage};
use proxbox_api::sync::{Event, Report, SyncRequest};
use serde_json::{Value, json};

use crate::harness::{Bench, tags, warnings};

const INTERFACES: &str = "dcim/interfaces";
const VLANS: &str = "ipam/vlans";
const ADDRESSES: &str = "ipam/ip-addresses";
const MACS: &str = "dcim/mac-addresses";
const GROUPS: &str = "ipam/vlan-groups";

/// Both sides, with the devices in place. The fourth node runs Open vSwitch.
async fn bench() -> Bench {
    let bench = Bench::with(World::estate(5, 4), StandinOptions::default()).await;
    bench.stage(Stage::Devices).await;
    bench
}

fn topology_request() -> SyncRequest {
    let mut request = SyncRequest::default();
    request.options.sync_node_topology = true;
    request
}

async fn topology(bench: &Bench) -> Report {
    bench.stage_with(Stage::NodeInterfaces, topology_request()).await
}

/// Gives the first node a bridge `vmbr7` whose hardware address is configured.
fn add_given(bench: &Bench) {
    bench.proxmox.world().change(|world| {
        let interfaces = &mut world.node("pve1").unwrap().interfaces;
        let mut rows = interfaces.iter();
        let mut given = rows.find(|interface| interface.iface == "vmbr2").unwrap().clone();
        "vmbr7".clone_into(&mut given.iface);
        given.settings.set("options", "hwaddress bc:24:11:00:00:01");
        interfaces.push(given);
    });
}

fn interface(bench: &Bench, device: &str, name: &str) -> Value {
    let mut rows = bench.netbox.rows(INTERFACES).into_iter();
    let found = rows.find(|row| row["device"]["name"] == device && row["name"] == name);
    found.unwrap_or_else(|| panic!("no interface {name} of {device}"))
}

fn id(row: &Value) -> u64 {
    row["id"].as_u64().unwrap()
}

fn find(bench: &Bench, path: &str, key: &str, value: &Value) -> Value {
    let rows = bench.netbox.rows(path);
    rows.into_iter().find(|row| row[key] == *value).unwrap()
}

/// The site of the nodes' devices.
fn site(bench: &Bench) -> Value {
    find(bench, "dcim/devices", "name", &json!("pve2"))["site"]["id"].clone()
}

fn address(bench: &Bench, address: &str) -> Value {
    find(bench, ADDRESSES, "address", &json!(address))
}

#[tokio::test]
async fn every_node_gets_its_interfaces_and_a_second_run_writes_nothing() {
    let bench = bench().await;
    let report = bench.stage(Stage::NodeInterfaces).await;
    let counts = report.counts();
    assert_eq!(
        (counts.created, counts.failed),
        (56, 0),
        "{:?}",
        report.endpoints[0].warnings
    );
    let types =
        ["bond0", "eno1", "vmbr0", "vmbr0.100"].map(|name| interface(&bench, "pve2", name)["type"]["value"].clone());
    assert_eq!(types, ["lag", "other", "bridge", "virtual"]);
    let vlan = interface(&bench, "pve2", "vmbr0.100");
    assert_eq!(
        (&vlan["mode"]["value"], &vlan["untagged_vlan"]["vid"]),
        (&json!("access"), &json!(100))
    );
    assert_eq!(bench.netbox.count(VLANS), 4, "one per number, whatever the node");
    let bridge = address(&bench, "10.10.0.2/16");
    assert_eq!(bridge["assigned_object"]["name"], "vmbr0");
    assert_eq!(bridge["assigned_object"]["device"]["name"], "pve2");
    for pause in [false, true] {
        if pause {
            bench.forget();
        }
        bench.take_writes();
        let report = bench.stage(Stage::NodeInterfaces).await;
        assert_eq!(bench.take_writes(), Vec::<String>::new());
        assert_eq!(report.counts().unchanged, 56);
    }
}

#[tokio::test]
async fn topology_links_interfaces_of_the_same_name_on_every_node() {
    let bench = bench().await;
    add_given(&bench);
    bench.stage(Stage::NodeInterfaces).await;
    let report = topology(&bench).await;
    assert_eq!(report.counts().failed, 0, "{:?}", report.endpoints[0].warnings);
    for node in ["pve1", "pve2"] {
        let (bond, bridge) = (interface(&bench, node, "bond0"), interface(&bench, node, "vmbr0"));
        assert_eq!(interface(&bench, node, "eno1")["lag"]["id"], bond["id"], "{node}");
        assert_eq!(bond["bridge"]["id"], bridge["id"], "{node}");
        let vlan = interface(&bench, node, "vmbr0.100");
        assert_eq!(vlan["parent"]["id"], bridge["id"], "{node}");
        assert_eq!(
            (&vlan["mode"]["value"], &vlan["tagged_vlans"][0]["vid"]),
            (&json!("tagged"), &json!(100))
        );
    }
    let switch = interface(&bench, "pve4", "vmbr0");
    assert_eq!(interface(&bench, "pve4", "mgmt")["bridge"]["id"], switch["id"]);
    assert_eq!(address(&bench, "fd00:10::2/64")["assigned_object"]["name"], "vmbr0");
    let given = interface(&bench, "pve1", "vmbr7");
    assert_eq!(given["primary_mac_address"]["mac_address"], "BC:24:11:00:00:01");
    assert_eq!(bench.netbox.count(MACS), 1);
    bench.forget();
    bench.take_writes();
    topology(&bench).await;
    assert_eq!(bench.take_writes(), Vec::<String>::new());

    bench.proxmox.world().change(|world| {
        let interfaces = &mut world.node("pve1").unwrap().interfaces;
        interfaces.retain(|interface| interface.iface != "bond0");
    });
    bench.forget();
    topology(&bench).await;
    assert_eq!(interface(&bench, "pve1", "eno1")["lag"], Value::Null);
    assert_ne!(interface(&bench, "pve2", "eno1")["lag"], Value::Null);
}

#[tokio::test]
async fn operators_edits_survive_both_modes() {
    let bench = bench().await;
    topology(&bench).await;
    let gold = bench
        .netbox
        .seed("extras/tags", &json!({"name": "Gold", "slug": "gold"}))
        .unwrap();
    let port = id(&interface(&bench, "pve1", "eno1"));
    let port_edit = json!({"type": "10gbase-x-sfpp", "description": "to the core", "add_tags": [gold]});
    bench.netbox.change(INTERFACES, port, &port_edit).unwrap();
    let named = json!({"dns_name": "pve1.example.net", "status": "reserved", "add_tags": [gold]});
    bench
        .netbox
        .change(ADDRESSES, id(&address(&bench, "10.10.0.1/16")), &named)
        .unwrap();
    let vlan = find(&bench, VLANS, "vid", &json!(100));
    bench
        .netbox
        .change(VLANS, id(&vlan), &json!({"name": "storage", "status": "reserved"}))
        .unwrap();
    let device = find(&bench, "dcim/devices", "name", &json!("pve1"));
    bench
        .netbox
        .change("dcim/devices", id(&device), &json!({"name": "rack-7-top"}))
        .unwrap();
    bench.take_writes();
    topology(&bench).await;
    bench.forget();
    topology(&bench).await;
    assert_eq!(bench.take_writes(), Vec::<String>::new());
    bench.stage(Stage::NodeInterfaces).await;
    let port = interface(&bench, "rack-7-top", "eno1");
    assert_eq!(
        (&port["type"]["value"], tags(&port)),
        (&json!("10gbase-x-sfpp"), vec!["gold", "proxbox"])
    );
    let named = address(&bench, "10.10.0.1/16");
    let kept = (&named["dns_name"], &named["status"]["value"], tags(&named));
    assert_eq!(
        kept,
        (&json!("pve1.example.net"), &json!("reserved"), vec!["gold", "proxbox"])
    );
    let vlan = find(&bench, VLANS, "vid", &json!(100));
    assert_eq!(
        (&vlan["name"], &vlan["status"]["value"]),
        (&json!("storage"), &json!("reserved"))
    );
}

#[tokio::test]
async fn dead_node_is_a_warning_and_the_others_are_written() {
    let bench = bench().await;
    bench.proxmox.faults().node_down("pve2");
    bench.proxmox.faults().fail("/nodes/pve3/network", 500, "out of order");
    bench.forget();
    let report = bench.stage(Stage::NodeInterfaces).await;
    let mut devices: Vec<_> = bench
        .netbox
        .rows(INTERFACES)
        .iter()
        .map(|row| row["device"]["name"].as_str().unwrap().to_owned())
        .collect();
    devices.dedup();
    assert_eq!(devices, ["pve1", "pve4", "pve5"]);
    assert_eq!(report.result()["degraded"], true);
    let warnings = warnings(&report);
    assert!(warnings.contains("pve2") && warnings.contains("pve3"), "{warnings}");
}

#[tokio::test]
async fn stage_fails_only_where_no_node_answers() {
    let bench = bench().await;
    for node in ["pve1", "pve2", "pve3", "pve4", "pve5"] {
        bench
            .proxmox
            .faults()
            .fail(&format!("/nodes/{node}/network"), 500, "out of order");
    }
    let report = bench.job(Stage::NodeInterfaces, SyncRequest::default()).await;
    assert_eq!(report.errors().len(), 1, "{:?}", report.errors());
    assert_eq!(bench.netbox.count(INTERFACES), 0);
}

/// Gives an address to the interface `ipmi` of node `pve2`, which an operator made.
fn give_away(bench: &Bench, address: &str) {
    let device = find(bench, "dcim/devices", "name", &json!("pve2"));
    let holder = json!({"device": id(&device), "name": "ipmi", "type": "other"});
    let holder = bench.netbox.seed(INTERFACES, &holder).unwrap();
    let taken = json!({
        "address": address, "assigned_object_type": "dcim.interface", "assigned_object_id": holder
    });
    bench.netbox.seed(ADDRESSES, &taken).unwrap();
}

#[tokio::test]
async fn address_of_somebody_else_is_a_warning_and_stays_where_it_is() {
    let bench = bench().await;
    give_away(&bench, "10.10.0.1/24");
    bench
        .netbox
        .seed(ADDRESSES, &json!({"address": "10.10.0.2/16"}))
        .unwrap();
    let report = bench.stage(Stage::NodeInterfaces).await;
    assert_eq!(address(&bench, "10.10.0.1/24")["assigned_object"]["name"], "ipmi");
    assert_eq!(
        address(&bench, "10.10.0.2/16")["assigned_object"]["name"],
        "vmbr0",
        "nobody had it"
    );
    let warnings = warnings(&report);
    assert!(warnings.contains("pve1/vmbr0 10.10.0.1"), "{warnings}");
}

#[tokio::test]
async fn access_port_that_an_operator_made_is_left_alone() {
    let bench = bench().await;
    topology(&bench).await;
    let vlan = bench.netbox.seed(VLANS, &json!({"vid": 50, "name": "office"})).unwrap();
    let port = id(&interface(&bench, "pve4", "mgmt"));
    let edit = json!({"mode": "access", "untagged_vlan": vlan});
    bench.netbox.change(INTERFACES, port, &edit).unwrap();
    bench.forget();
    bench.take_writes();
    let report = topology(&bench).await;
    assert_eq!((bench.take_writes(), warnings(&report).as_str()), (Vec::new(), ""));
    assert_eq!(interface(&bench, "pve4", "mgmt")["mode"]["value"], "access");
}

#[tokio::test]
async fn what_a_run_has_made_is_completed_where_rows_are_not_kept_in_step() {
    let bench = Bench::with(World::estate(5, 4), StandinOptions::default()).await;
    add_given(&bench);
    let mut request = topology_request();
    request.options.modes.node = Mode::BootstrapOnly;
    bench.stage_with(Stage::Devices, request.clone()).await;
    let nodes = bench.netbox.rows("plugins/proxbox/proxmox-nodes");
    for row in &nodes {
        let device = find(&bench, "dcim/devices", "name", &row["name"]);
        assert_eq!(row["netbox_device"]["id"], device["id"], "{row}");
    }
    assert_eq!(nodes.len(), 5);
    bench.stage_with(Stage::NodeInterfaces, request.clone()).await;
    let port = interface(&bench, "pve1", "eno1");
    assert_eq!(port["lag"]["id"], interface(&bench, "pve1", "bond0")["id"]);
    let given = interface(&bench, "pve1", "vmbr7");
    assert_eq!(given["primary_mac_address"]["mac_address"], "BC:24:11:00:00:01");
    bench
        .netbox
        .change(INTERFACES, id(&port), &json!({"lag": null}))
        .unwrap();
    bench.forget();
    bench.take_writes();
    bench.stage_with(Stage::Devices, request.clone()).await;
    bench.stage_with(Stage::NodeInterfaces, request).await;
    assert_eq!(bench.take_writes(), Vec::<String>::new());
    assert_eq!(interface(&bench, "pve1", "eno1")["lag"], Value::Null);
}

#[tokio::test]
async fn primary_address_follows_the_mode_of_the_nodes_rows() {
    let mut request = SyncRequest::default();
    request.options.modes.node = Mode::BootstrapOnly;
    let mut of_one = request.clone();
    of_one.options.only = Only::default().and(Part::Node, "pve2");
    let primary = |bench: &Bench| find(bench, "dcim/devices", "name", &json!("pve2"))["primary_ip4"]["address"].clone();

    let bench = Bench::with(World::estate(3, 4), StandinOptions::default()).await;
    bench.stage_with(Stage::Devices, request.clone()).await;
    bench.stage_with(Stage::NodeInterfaces, of_one.clone()).await;
    assert_eq!(primary(&bench), "10.10.0.2/16", "the device was just made");

    let device = id(&find(&bench, "dcim/devices", "name", &json!("pve2")));
    bench
        .netbox
        .change("dcim/devices", device, &json!({"primary_ip4": null}))
        .unwrap();
    bench.forget();
    bench.take_writes();
    bench.stage_with(Stage::Devices, request).await;
    bench.stage_with(Stage::NodeInterfaces, of_one.clone()).await;
    assert_eq!(bench.take_writes(), [""; 0]);
    of_one.options.modes.node = Mode::Always;
    bench.stage_with(Stage::NodeInterfaces, of_one).await;
    assert_eq!(primary(&bench), "10.10.0.2/16");
}

/// What streams tell row by row: of interfaces, and of nodes.
fn rows(events: &[Event]) -> Vec<&Value> {
    let steps = events
        .iter()
        .filter(|event| event.name == "step")
        .map(|event| &event.data);
    steps
        .filter(|data| data["step"] == "interface" || data["step"] == "node_interface")
        .collect()
}

/// How a node's row ends.
fn ended<'e>(rows: &[&'e Value], node: &str) -> &'e Value {
    let mut ended = rows.iter().filter(|row| row["payload"]["data"]["completed"] == true);
    let found = ended.find(|row| row["step"] == "node_interface" && row["rowid"] == node);
    found.unwrap_or_else(|| panic!("no row of {node}"))
}

#[tokio::test]
async fn nodes_and_interfaces_are_told_as_rows() {
    let bench = bench().await;
    bench
        .proxmox
        .world()
        .change(|world| world.node("pve3").unwrap().interfaces.clear());
    bench.proxmox.faults().node_down("pve2");
    let events = bench.events(Stage::NodeInterfaces, SyncRequest::default()).await;
    let rows = rows(&events);
    let begun: Vec<&Value> = rows[..5].iter().map(|row| &row["rowid"]).collect();
    assert_eq!(begun, ["pve1", "pve2", "pve3", "pve4", "pve5"]);
    let expected = json!({
        "step": "node_interface", "status": "progress", "message": "Processing node_interface pve1", "rowid": "pve1",
        "payload": {"object": "node_interface", "type": "sync", "data": {
            "completed": false, "sync_status": "syncing", "rowid": "pve1", "name": "pve1",
        }},
    });
    assert_eq!(rows[0], &expected);

    let port = rows.iter().find(|row| row["rowid"] == "vmbr0").unwrap();
    let expected = json!({
        "completed": true, "rowid": "vmbr0", "name": "vmbr0", "netbox_id": id(&interface(&bench, "pve1", "vmbr0")),
        "device": "pve1", "ip_address": "10.10.0.1/16", "error": null,
    });
    assert_eq!(port["payload"]["data"], expected);
    let ports = rows
        .iter()
        .filter(|row| row["payload"]["data"]["device"] == "pve1")
        .count();
    let node = ended(&rows, "pve1");
    let expected = json!({"completed": true, "rowid": "pve1", "name": "pve1", "count": ports});
    assert_eq!(
        (&node["status"], &node["payload"]["data"]),
        (&json!("completed"), &expected)
    );
    let dead = ended(&rows, "pve2");
    assert_eq!(
        (&dead["status"], &dead["payload"]["data"]["error"]),
        (&json!("failed"), &dead["message"])
    );
    let bare = ended(&rows, "pve3");
    assert_eq!(
        (&bare["status"], &bare["message"]),
        (&json!("completed"), &json!("no interfaces"))
    );
    assert_eq!(
        rows.last().unwrap()["payload"],
        json!({"object": "node_interface", "end": true})
    );
}

#[tokio::test]
async fn what_could_not_be_written_of_an_interface_is_told_with_its_node() {
    let bench = bench().await;
    add_given(&bench);
    give_away(&bench, "10.10.0.1/24");
    let faults = bench.netbox.faults();
    faults.refuse_row(VLANS, "VLAN 100", "vid", "Not this one.");
    faults.refuse_row(MACS, "BC:24:11:00:00:01", "mac_address", "Not this one.");
    let events = bench.events(Stage::NodeInterfaces, topology_request()).await;
    let rows = rows(&events);
    let data = &ended(&rows, "pve1")["payload"]["data"];
    assert_eq!(data["degraded"], true, "{data}");
    let told: Vec<_> = data["warnings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|warning| {
            assert!(!warning["reason"].as_str().unwrap().is_empty(), "{warning}");
            let mut warning = warning.clone();
            warning.as_object_mut().unwrap().remove("reason");
            warning
        })
        .collect();
    let expected = [
        json!({"device": "pve1", "interface": "vmbr0", "kind": "ip", "address": "10.10.0.1"}),
        json!({"device": "pve1", "interface": "vmbr0.100", "kind": "vlan"}),
        json!({"device": "pve1", "interface": "vmbr7", "kind": "mac", "mac": "BC:24:11:00:00:01"}),
    ];
    assert_eq!(told, expected);
}

#[tokio::test]
async fn records_name_interfaces_as_their_node_does_with_their_addresses() {
    let bench = bench().await;
    add_given(&bench);
    let record = |report: &Report, of: &Value| {
        let records = report.records();
        let mut record = records.into_iter().find(|record| record["id"] == of["id"]).unwrap();
        record.as_object_mut().unwrap().remove("operation");
        record
    };
    let report = bench.stage(Stage::NodeInterfaces).await;
    let (bridge, port) = (interface(&bench, "pve2", "vmbr0"), interface(&bench, "pve2", "eno1"));
    let first = id(&address(&bench, "10.10.0.2/16"));
    assert_eq!(
        record(&report, &bridge),
        json!({"id": bridge["id"], "name": "vmbr0", "ip_id": first, "ip_address": "10.10.0.2/16"})
    );
    assert_eq!(record(&report, &port), json!({"id": port["id"], "name": "eno1"}));
    let report = topology(&bench).await;
    let second = id(&address(&bench, "fd00:10::2/64"));
    let addresses = json!([
        {"id": first, "address": "10.10.0.2/16"}, {"id": second, "address": "fd00:10::2/64"}
    ]);
    assert_eq!(
        record(&report, &bridge),
        json!({"id": bridge["id"], "name": "vmbr0", "ip_addresses": addresses, "mac_address": null})
    );
    let given = interface(&bench, "pve1", "vmbr7");
    assert_eq!(record(&report, &given)["mac_address"], "BC:24:11:00:00:01");
}

#[tokio::test]
async fn vlan_of_a_group_is_taken_only_where_the_group_is_not_another_sites() {
    let bench = bench().await;
    let own = find(&bench, "dcim/devices", "name", &json!("pve2"))["site"]["id"].clone();
    let other = bench
        .netbox
        .seed("dcim/sites", &json!({"name": "DC1", "slug": "dc1"}))
        .unwrap();
    let mut vlans = Vec::new();
    for (name, site) in [("dc1", json!(other)), ("dc2", own)] {
        let group = json!({"name": name, "slug": name, "scope_type": "dcim.site", "scope_id": site});
        let group = bench.netbox.seed("ipam/vlan-groups", &group).unwrap();
        let vlan = json!({"vid": 100, "name": name, "group": group});
        vlans.push(bench.netbox.seed(VLANS, &vlan).unwrap());
    }
    bench.stage(Stage::NodeInterfaces).await;
    let port = interface(&bench, "pve2", "vmbr0.100");
    assert_eq!(port["untagged_vlan"]["id"], vlans[1]);
    let is_hundred = |row: &Value| row["vid"] == 100;
    assert_eq!(bench.netbox.rows(VLANS).iter().filter(|row| is_hundred(row)).count(), 2);
    bench.forget();
    bench.take_writes();
    bench.stage(Stage::NodeInterfaces).await;
    assert_eq!(bench.take_writes(), Vec::<String>::new());
    let denied = FaultRule::on("ipam/vlan-groups", Fault::Status(403));
    bench.netbox.faults().add(denied);
    let report = bench.stage(Stage::NodeInterfaces).await;
    assert_eq!(bench.take_writes(), Vec::<String>::new());
    let warnings = warnings(&report);
    assert!(warnings.contains("vlan-groups"), "{warnings}");
}

#[tokio::test]
async fn vlan_that_only_another_sites_group_has_is_made_anew() {
    let bench = bench().await;
    let other = bench
        .netbox
        .seed("dcim/sites", &json!({"name": "DC1", "slug": "dc1"}))
        .unwrap();
    let group = json!({"name": "dc1", "slug": "dc1", "scope_type": "dcim.site", "scope_id": other});
    let group = bench.netbox.seed("ipam/vlan-groups", &group).unwrap();
    let foreign = json!({"vid": 100, "name": "storage", "group": group});
    let foreign = bench.netbox.seed(VLANS, &foreign).unwrap();
    bench.stage(Stage::NodeInterfaces).await;
    let port = interface(&bench, "pve2", "vmbr0.100");
    assert_eq!(port["untagged_vlan"]["name"], "VLAN 100");
    assert_eq!(find(&bench, VLANS, "id", &json!(foreign))["name"], "storage");
}

#[tokio::test]
async fn vlan_of_a_node_stays_when_guests_bring_one_of_the_same_number_into_the_site() {
    for is_topology in [false, true] {
        let bench = Bench::start().await;
        bench.proxmox.world().change(|world| {
            let port = NodeInterface::new("vmbr0.120", "vlan")
                .with("vlan-id", "120")
                .with("vlan-raw-device", "vmbr0");
            world.node("pve1").unwrap().interfaces.push(port);
        });
        let mut request = SyncRequest::default();
        request.options.sync_node_topology = is_topology;
        let stages = [Stage::NodeInterfaces, Stage::VirtualMachines, Stage::VmInterfaces];
        bench.stage(Stage::Devices).await;
        for stage in stages {
            bench.stage_with(stage, request.clone()).await;
        }
        let twins = bench.netbox.rows(VLANS).iter().filter(|row| row["vid"] == 120).count();
        assert_eq!(twins, 2, "one of the node's, one of the site's");
        bench.forget();
        bench.take_writes();
        for stage in stages {
            bench.stage_with(stage, request.clone()).await;
        }
        assert_eq!(bench.take_writes(), Vec::<String>::new(), "topology: {is_topology}");
    }
}

#[tokio::test]
async fn row_of_a_node_that_cannot_be_read_clears_no_relation() {
    let bench = bench().await;
    topology(&bench).await;
    bench.proxmox.world().change(|world| {
        let interfaces = &mut world.node("pve1").unwrap().interfaces;
        for port in interfaces.iter_mut().filter(|port| port.iface == "bond0") {
            port.settings.set("active", "maybe");
        }
    });
    bench.forget();
    bench.take_writes();
    let report = topology(&bench).await;
    assert_eq!(bench.take_writes(), Vec::<String>::new());
    let warnings = warnings(&report);
    assert!(warnings.contains("network interface"), "{warnings}");
}

/// What hangs on a list that cannot be read is left as it is; everything else of the stage is written.
#[tokio::test]
async fn list_beside_the_interfaces_that_cannot_be_read_costs_its_own_rows_alone() {
    for (list, denied) in [(VLANS, VLANS), (GROUPS, VLANS), (ADDRESSES, ADDRESSES), (MACS, MACS)] {
        let mut bench = bench().await;
        add_given(&bench);
        // Its group tells which site it is for.
        let group = json!({"name": "rack", "slug": "rack", "scope_type": "dcim.site", "scope_id": site(&bench)});
        let group = bench.netbox.seed(GROUPS, &group).unwrap();
        bench
            .netbox
            .seed(VLANS, &json!({"vid": 100, "name": "storage", "group": group}))
            .unwrap();
        let parts = [VLANS, ADDRESSES, MACS];
        let before = parts.map(|part| bench.netbox.count(part));
        bench.restart(true);
        for status in [500, 403] {
            if (list, status) == (GROUPS, 403) {
                continue;
            }
            let case = format!("{list} {status}");
            let refused = FaultRule::on(list, Fault::Status(status)).method("GET");
            bench.netbox.faults().clear();
            bench.netbox.faults().add(refused);
            let report = topology(&bench).await;
            let (counts, warnings) = (report.counts(), warnings(&report));
            assert_eq!((counts.standing(), counts.failed), (57, 0), "{case}: {warnings}");
            assert_eq!(report.result()["degraded"], true, "{case}");
            assert_eq!(warnings.lines().count(), 1, "{case}: {warnings}");
            assert!(warnings.contains(&format!("`/api/{list}/`")), "{case}: {warnings}");
            for (part, before) in parts.into_iter().zip(before) {
                let is_as_before = bench.netbox.count(part) == before;
                assert_eq!(is_as_before, part == denied, "{case}: {part}");
            }
            assert_ne!(interface(&bench, "pve2", "eno1")["lag"], Value::Null, "{case}");
        }
        bench.netbox.faults().clear();
        topology(&bench).await;
        assert_eq!(
            interface(&bench, "pve2", "vmbr0.100")["tagged_vlans"][0]["vid"],
            100,
            "{list}"
        );
        let given = interface(&bench, "pve1", "vmbr7");
        assert_eq!(
            given["primary_mac_address"]["mac_address"], "BC:24:11:00:00:01",
            "{list}"
        );
        assert_eq!(
            address(&bench, "fd00:10::2/64")["assigned_object"]["name"],
            "vmbr0",
            "{list}"
        );
    }
}

/// The same where all of them stand, and a node has changed.
#[tokio::test]
async fn rows_that_cannot_be_read_stay_as_they_are() {
    for is_topology in [false, true] {
        let mut request = SyncRequest::default();
        request.options.sync_node_topology = is_topology;
        let mut bench = bench().await;
        add_given(&bench);
        bench.stage_with(Stage::NodeInterfaces, request.clone()).await;
        let lists = [INTERFACES, VLANS, ADDRESSES, MACS];
        let before = lists.map(|list| bench.netbox.rows(list));
        bench.proxmox.world().change(|world| {
            let interfaces = &mut world.node("pve1").unwrap().interfaces;
            for port in interfaces.iter_mut() {
                match port.iface.as_str() {
                    "vmbr0.100" => port.settings.set("vlan-id", "777"),
                    "vmbr0" => port.settings.set("cidr", "10.10.77.1/16"),
                    "vmbr7" => port.settings.set("options", "hwaddress bc:24:11:00:00:77"),
                    _ => {}
                }
            }
        });
        for list in [VLANS, ADDRESSES, MACS] {
            let refused = FaultRule::on(list, Fault::Status(403)).method("GET");
            bench.netbox.faults().add(refused);
        }
        bench.restart(true);
        bench.take_writes();
        let report = bench.stage_with(Stage::NodeInterfaces, request).await;
        assert_eq!(bench.take_writes(), [""; 0], "{}", warnings(&report));
        assert_eq!(
            lists.map(|list| bench.netbox.rows(list)),
            before,
            "topology: {is_topology}"
        );
        assert_eq!(report.counts().failed, 0);
    }
}

#[tokio::test]
async fn interfaces_that_cannot_be_read_again_are_linked_by_the_next_run() {
    let bench = bench().await;
    let beside = bench.beside().await;
    beside.stage(Stage::Devices).await;
    beside.netbox.clear_requests();
    topology(&beside).await;
    let path = format!("/api/{INTERFACES}/");
    let asked = beside.netbox.requests().into_iter();
    let reads = asked
        .filter(|request| request.method == "GET" && request.path == path)
        .count();
    let refused = FaultRule::on(INTERFACES, Fault::Status(403)).method("GET");
    let last = u32::try_from(reads).unwrap() - 1;
    bench.netbox.faults().add(refused.after(last));
    let report = topology(&bench).await;
    let told = warnings(&report);
    assert!(told.contains(&format!("`{path}`")), "{told}");
    assert_eq!(bench.netbox.count(INTERFACES), beside.netbox.count(INTERFACES));
    assert_eq!(interface(&bench, "pve2", "eno1")["lag"], Value::Null);
    bench.netbox.faults().clear();
    topology(&bench).await;
    assert_ne!(interface(&bench, "pve2", "eno1")["lag"], Value::Null);
}

#[tokio::test]
async fn device_that_cannot_be_read_keeps_its_interfaces_and_gets_no_primary_address() {
    let bench = bench().await;
    let mut request = SyncRequest::default();
    request.options.only = Only::default().and(Part::Node, "pve2");
    let refused = FaultRule::on("dcim/devices", Fault::Status(403)).method("GET");
    bench.netbox.faults().add(refused);
    let report = bench.stage_with(Stage::NodeInterfaces, request.clone()).await;
    let told = warnings(&report);
    assert!(told.contains("`/api/dcim/devices/`"), "{told}");
    assert_eq!(address(&bench, "10.10.0.2/16")["assigned_object"]["name"], "vmbr0");
    bench.netbox.faults().clear();
    bench.stage_with(Stage::NodeInterfaces, request).await;
    let primary = find(&bench, "dcim/devices", "name", &json!("pve2"))["primary_ip4"]["address"].clone();
    assert_eq!(primary, "10.10.0.2/16");
}

#[tokio::test]
async fn interface_that_is_refused_is_a_failed_row_and_the_others_go_on() {
    let bench = bench().await;
    bench
        .netbox
        .faults()
        .refuse_row(INTERFACES, "vmbr2", "name", "Not this one.");
    let events = bench.events(Stage::NodeInterfaces, SyncRequest::default()).await;
    let rows = rows(&events);
    let port = rows.iter().find(|row| row["rowid"] == "vmbr2").unwrap();
    let data = &port["payload"]["data"];
    assert_eq!(
        (&port["status"], &port["message"], &data["netbox_id"]),
        (&json!("failed"), &data["error"], &Value::Null)
    );
    assert!(data["error"].as_str().unwrap().contains("Not this one."), "{data}");
    assert_eq!(ended(&rows, "pve1")["payload"]["data"]["count"], 11);
}

#[tokio::test]
async fn stage_fails_where_every_interface_is_refused() {
    let bench = bench().await;
    let refused = FaultRule::on(INTERFACES, Fault::Status(400)).method("POST");
    bench.netbox.faults().add(refused);
    let report = bench.job(Stage::NodeInterfaces, SyncRequest::default()).await;
    assert_eq!(report.errors().len(), 1, "{:?}", report.errors());
    assert_eq!(bench.netbox.count(INTERFACES), 0);
}
