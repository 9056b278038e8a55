//! The stage `sdn`, from a Proxmox to a NetBox.

use std::collections::BTreeMap;

use proxbox_api::netbox::standin::{Fault, FaultRule, StandinOptions};
use proxbox_api::proxmox::mock::World;
use proxbox_api::reconcile::Mode;
use proxbox_api::stages::Stage;
use proxbox_api::sync::{Report, SyncRequest};
use serde_json::{Value, json};

use crate::harness::{Bench, warnings};

const BINDINGS: &str = "plugins/proxbox/sdn-bindings";
const CONTROLLERS: &str = "plugins/proxbox/sdn-controllers";
const FABRICS: &str = "plugins/proxbox/sdn-fabrics";
const ROUTE_MAPS: &str = "plugins/proxbox/sdn-route-maps";
const PREFIX_LISTS: &str = "plugins/proxbox/sdn-prefix-lists";
const ZONES: &str = "plugins/proxbox/sdn-zones";
const VNETS: &str = "plugins/proxbox/sdn-vnets";
const SUBNETS: &str = "plugins/proxbox/sdn-subnets";
const L2VPNS: &str = "vpn/l2vpns";
const PREFIXES: &str = "ipam/prefixes";
const ROUTE_TARGETS: &str = "ipam/route-targets";

async fn bench() -> Bench {
    Bench::with(World::estate(2, 4), StandinOptions::default()).await
}

pub(crate) fn on(mode: Mode) -> SyncRequest {
    let mut request = SyncRequest::default();
    request.options.modes.sdn = mode;
    request
}

pub(crate) async fn sync(bench: &Bench) -> Report {
    bench.forget();
    bench.take_writes();
    bench.stage_with(Stage::Sdn, on(Mode::Always)).await
}

pub(crate) fn row(bench: &Bench, path: &str, key: &str, value: &str) -> Value {
    let rows = bench.netbox.rows(path);
    let found = rows.iter().find(|row| row[key] == value);
    found
        .unwrap_or_else(|| panic!("no {key} {value} in {path}: {rows:#?}"))
        .clone()
}

/// The bindings by what they bind: what they are bound to, and how they stand.
pub(crate) fn bindings(bench: &Bench) -> BTreeMap<String, (Value, Value)> {
    let rows = bench.netbox.rows(BINDINGS).into_iter();
    rows.map(|row| {
        let source = format!(
            "{} {}",
            row["source_type"].as_str().unwrap(),
            row["source_name"].as_str().unwrap()
        );
        (source, (row["target_id"].clone(), row["status"].clone()))
    })
    .collect()
}

fn status(bench: &Bench, path: &str) -> Vec<String> {
    let rows = bench.netbox.rows(path);
    rows.iter()
        .map(|row| row["status"]["value"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn networks_become_what_netbox_knows_of_them() {
    let bench = bench().await;
    let result = sync(&bench).await.result();
    let l2vpn = row(&bench, L2VPNS, "slug", "proxbox-1-lab-wide1-vnet2");
    assert_eq!(
        (
            &l2vpn["name"],
            &l2vpn["type"]["value"],
            &l2vpn["identifier"],
            &l2vpn["import_targets"][0]["name"]
        ),
        (
            &json!("Proxbox lab / lab / wide1 / vnet2"),
            &json!("vxlan-evpn"),
            &json!(10_001),
            &json!("65000:1")
        )
    );
    assert_eq!(bench.netbox.count(L2VPNS), 1, "a simple zone has no L2VPNs");
    let prefix = row(&bench, PREFIXES, "prefix", "10.99.0.0/24");
    let subnet = row(&bench, SUBNETS, "subnet", "wide1-10.99.0.0-24");
    assert_eq!((&subnet["prefix"], &subnet["skip_reason"]), (&prefix["id"], &json!("")));
    assert_eq!(row(&bench, VNETS, "vnet_name", "vnet2")["l2vpn"], l2vpn["id"]);
    let bound = bindings(&bench);
    assert_eq!(bound["vnet wide1/vnet2"], (l2vpn["id"].clone(), json!("active")));
    assert_eq!(bound["subnet vnet2/wide1-10.99.0.0-24"].0, prefix["id"]);
    let counters = &result["counters"];
    let told = ["zones", "vnets", "controllers", "l2vpns", "subnets", "route_targets"];
    assert_eq!(
        told.map(|name| counters[name].as_u64().unwrap()),
        [2, 2, 1, 1, 1, 1],
        "{counters:#}"
    );
}

#[tokio::test]
async fn every_object_gets_its_row_and_a_second_run_writes_nothing() {
    let bench = bench().await;
    let result = sync(&bench).await.result();
    let zone = row(&bench, ZONES, "zone_name", "wide1");
    assert_eq!(
        (&zone["vrf_vxlan"], &zone["rt_import"]),
        (&json!(10_000), &json!(["65000:1"]))
    );
    assert_eq!(row(&bench, VNETS, "vnet_name", "vnet1")["alias"], "laboratory");
    let subnet = row(&bench, SUBNETS, "vnet_name", "vnet2");
    assert_eq!(
        (&subnet["gateway"], &subnet["snat"]),
        (&json!("10.99.0.1"), &json!(true))
    );
    let controller = row(&bench, CONTROLLERS, "controller_name", "evpn1");
    assert_eq!(controller["peers"], json!(["10.10.0.1", "10.10.0.2"]));
    let entry = row(&bench, ROUTE_MAPS, "name", "outward");
    assert_eq!((&entry["order"], &entry["match_ip"]), (&json!(10), &json!("own")));
    assert_eq!(row(&bench, PREFIX_LISTS, "name", "own")["cidr"], "10.99.0.0/16");
    let bound = bindings(&bench);
    for (source, status) in [
        ("node-zone pve1/wide1/node-zone", "available"),
        ("node-zone-bridge pve1/local1/node-zone-bridge/vnet1", "active"),
        ("node-ip-vrf pve2/wide1/node-ip-vrf/10.99.0.0/24", "active"),
        ("node-mac-vrf pve2/wide1/vnet2/node-mac-vrf/10.99.0.1", "active"),
    ] {
        assert_eq!(
            bound.get(source),
            Some(&(Value::Null, json!(status))),
            "{source}: {bound:#?}"
        );
    }
    // Two networks, and per node two zones, two bridges, two networks, a route and a neighbour.
    assert_eq!(bound.len(), 2 + 2 * 8, "{bound:#?}");
    assert_eq!(
        (&result["ok"], &result["counters"]["plugin_metadata"]),
        (&json!(true), &json!(28))
    );
    for _ in 0..2 {
        let result = sync(&bench).await.result();
        assert_eq!(bench.take_writes(), Vec::<String>::new());
        assert_eq!(result.get("degraded"), None, "{result:#}");
    }
}

#[tokio::test]
async fn fabric_that_the_plugin_does_not_know_is_left_out_with_a_reason() {
    let bench = bench().await;
    let result = sync(&bench).await.result();
    assert_eq!(
        (bench.netbox.count(FABRICS), &result["counters"]["skipped"]),
        (0, &json!(1))
    );
    let warning = &result["counters"]["warnings"][0];
    assert_eq!(
        (&warning["kind"], &warning["name"]),
        (&json!("SDN fabric"), &json!("spine"))
    );
    assert!(warning["warning"].as_str().unwrap().contains("openfabric"), "{warning}");
    bench.proxmox.world().change(|world| {
        world.sdn.fabrics[0].insert("protocol".to_owned(), json!("ospf"));
    });
    let result = sync(&bench).await.result();
    assert_eq!(
        (bench.netbox.count(FABRICS), &result["counters"]["skipped"]),
        (1, &json!(0))
    );
}

#[tokio::test]
async fn stage_does_nothing_while_its_mode_is_off() {
    let bench = bench().await;
    let report = bench.stage_with(Stage::Sdn, SyncRequest::default()).await;
    assert_eq!(bench.netbox.writes().len(), 0);
    assert_eq!(report.result()["ok"], true);
    assert_eq!(report.counts().total(), 0);
}

#[tokio::test]
async fn renumbered_network_changes_its_rows_and_nothing_else() {
    let bench = bench().await;
    sync(&bench).await;
    let renumber = |tag: u32| {
        bench.proxmox.world().change(|world| {
            world.sdn.vnets[1].insert("tag".to_owned(), json!(tag));
            // The digest is that of all networks together.
            for vnet in &mut world.sdn.vnets {
                vnet.insert("digest".to_owned(), json!(format!("v{tag}")));
            }
        });
    };
    renumber(10_002);
    sync(&bench).await;
    let expected = [
        "PATCH /api/vpn/l2vpns/ (1): 200",
        "PATCH /api/plugins/proxbox/sdn-vnets/ (1): 200",
        "PATCH /api/plugins/proxbox/sdn-bindings/ (1): 200",
    ];
    assert_eq!(bench.take_writes(), expected);
    assert_eq!(
        row(&bench, L2VPNS, "slug", "proxbox-1-lab-wide1-vnet2")["identifier"],
        10_002
    );
    renumber(10_003);
    bench.forget();
    bench.stage_with(Stage::Sdn, on(Mode::BootstrapOnly)).await;
    assert_eq!(bench.take_writes(), Vec::<String>::new());
}

#[tokio::test]
async fn object_that_is_gone_is_marked_and_comes_back() {
    let bench = bench().await;
    sync(&bench).await;
    let gone = bench.proxmox.world().change(|world| world.sdn.zones.remove(0));
    let result = sync(&bench).await.result();
    assert_eq!(bench.take_writes(), ["PATCH /api/plugins/proxbox/sdn-zones/ (1): 200"]);
    assert_eq!(row(&bench, ZONES, "zone_name", "local1")["status"]["value"], "stale");
    assert_eq!(
        (&result["counters"]["stale"], &result["counters"]["plugin_metadata"]),
        (&json!(1), &json!(0))
    );
    sync(&bench).await;
    assert_eq!(bench.take_writes(), Vec::<String>::new());
    bench.proxmox.world().change(|world| world.sdn.zones.insert(0, gone));
    sync(&bench).await;
    assert_eq!(status(&bench, ZONES), ["active"; 2]);
}

#[tokio::test]
async fn list_that_cannot_be_read_marks_nothing_and_the_others_are_written() {
    let bench = bench().await;
    sync(&bench).await;
    bench.proxmox.faults().fail("/cluster/sdn/vnets", 500, "out of order");
    bench.proxmox.world().change(|world| {
        world.sdn.zones[0].insert("mtu".to_owned(), json!(9000));
    });
    let result = sync(&bench).await.result();
    assert_eq!(
        bench.take_writes(),
        ["PATCH /api/plugins/proxbox/sdn-zones/ (1): 200"],
        "{result:#}"
    );
    assert_eq!(status(&bench, VNETS), ["active"; 2]);
    assert_eq!(status(&bench, SUBNETS), ["active"; 1]);
    assert_eq!(
        (
            &result["ok"],
            &result["degraded"],
            &result["counters"]["per_endpoint_errors"]
        ),
        (&json!(true), &json!(true), &json!({"lab": 1}))
    );
}

#[tokio::test]
async fn collection_that_the_plugin_lacks_is_told_and_the_others_are_written() {
    for lacked in [ROUTE_MAPS, BINDINGS] {
        let bench = bench().await;
        bench.netbox.faults().add(FaultRule::on(lacked, Fault::Html(404)));
        let report = sync(&bench).await;
        assert!(
            !bench.netbox.writes().iter().any(|write| write.path.contains(lacked)),
            "{lacked}"
        );
        assert_eq!(
            (bench.netbox.count(ZONES), bench.netbox.count(L2VPNS)),
            (2, 1),
            "{lacked}"
        );
        let warnings = warnings(&report);
        assert!(warnings.contains(lacked), "{warnings}");
        assert_eq!(report.result()["degraded"], true);
    }
}

/// A list of NetBox that cannot be read costs what depends on it; the bindings of everything else are written.
#[tokio::test]
async fn list_of_netbox_that_cannot_be_read_leaves_what_depends_on_it_alone() {
    let dependent = [
        (BINDINGS, vec![BINDINGS]),
        (PREFIXES, vec![PREFIXES, SUBNETS]),
        (L2VPNS, vec![L2VPNS]),
        (ZONES, vec![ZONES]),
    ];
    let written = [BINDINGS, PREFIXES, SUBNETS, L2VPNS, ZONES, VNETS];
    for (list, dependent) in dependent {
        for status in [403, 500] {
            let case = format!("{list} {status}");
            let mut bench = bench().await;
            bench.restart(true);
            let refused = FaultRule::on(list, Fault::Status(status)).method("GET");
            bench.netbox.faults().add(refused);
            let result = sync(&bench).await.result();
            assert_eq!(
                (&result["ok"], &result["degraded"]),
                (&json!(true), &json!(true)),
                "{case}"
            );
            assert!(
                result["counters"].to_string().contains(&format!("`/api/{list}/`")),
                "{case}: {result:#}"
            );
            for path in written {
                assert_eq!(
                    bench.netbox.count(path) == 0,
                    dependent.contains(&path),
                    "{case}: {path}"
                );
            }
            // What is there by then stays as it is.
            bench.netbox.faults().clear();
            sync(&bench).await;
            let whole = written.map(|path| bench.netbox.rows(path));
            bench
                .netbox
                .faults()
                .add(FaultRule::on(list, Fault::Status(status)).method("GET"));
            sync(&bench).await;
            assert_eq!(bench.take_writes(), Vec::<String>::new(), "{case}");
            assert_eq!(written.map(|path| bench.netbox.rows(path)), whole, "{case}");
        }
    }
}

#[tokio::test]
async fn prefix_and_route_target_of_an_operator_are_left_as_they_are() {
    let bench = bench().await;
    let prefix = json!({"prefix": "10.99.0.0/24", "status": "reserved", "description": "planned by hand"});
    let prefix = bench.netbox.seed(PREFIXES, &prefix).unwrap();
    let target = json!({"name": "65000:1", "description": "by hand"});
    bench.netbox.seed(ROUTE_TARGETS, &target).unwrap();
    for _ in 0..2 {
        sync(&bench).await;
        let kept = &bench.netbox.rows(PREFIXES)[0];
        assert_eq!(
            (
                &kept["status"]["value"],
                &kept["description"],
                bench.netbox.count(PREFIXES)
            ),
            (&json!("reserved"), &json!("planned by hand"), 1)
        );
        assert_eq!(bench.netbox.rows(ROUTE_TARGETS)[0]["description"], "by hand");
        let binding = row(&bench, BINDINGS, "source_type", "subnet");
        assert_eq!(binding["target_id"], json!(prefix));
        assert!(
            binding["conflict_reason"]
                .as_str()
                .unwrap()
                .contains("was there before"),
            "{binding}"
        );
        assert_eq!(row(&bench, SUBNETS, "vnet_name", "vnet2")["prefix"], json!(prefix));
    }
    assert_eq!(bench.take_writes(), Vec::<String>::new());
}

#[tokio::test]
async fn own_prefix_is_put_right_and_one_in_a_vrf_is_not_taken_for_it() {
    let bench = bench().await;
    sync(&bench).await;
    let own = row(&bench, PREFIXES, "prefix", "10.99.0.0/24")["id"].as_u64().unwrap();
    let vrf = bench.netbox.seed("ipam/vrfs", &json!({"name": "blue"})).unwrap();
    let foreign = json!({"prefix": "10.99.0.0/24", "vrf": vrf, "status": "reserved"});
    let foreign = bench.netbox.seed(PREFIXES, &foreign).unwrap();
    bench.netbox.change(PREFIXES, own, &json!({"description": ""})).unwrap();
    sync(&bench).await;
    assert_eq!(bench.take_writes(), ["PATCH /api/ipam/prefixes/ (1): 200"]);
    let rows = bench.netbox.rows(PREFIXES);
    let described = |id: u64| rows.iter().find(|row| row["id"] == id).unwrap()["description"].clone();
    assert_eq!(described(own), "Proxmox SDN subnet of VNet vnet2 in cluster lab");
    assert_eq!(described(foreign), "");
}

#[tokio::test]
async fn entries_of_one_list_are_rows_of_their_own_and_those_of_other_endpoints_stay() {
    let bench = bench().await;
    let other = json!({"name": "other", "domain": "pve.example.net", "mode": "cluster", "port": 8006});
    let other = bench.netbox.seed("plugins/proxbox/endpoints/proxmox", &other).unwrap();
    let theirs = json!({
        "endpoint": other, "cluster_name": "lab", "name": "outward", "order": 10, "action": "deny", "status": "active"
    });
    bench.netbox.seed(ROUTE_MAPS, &theirs).unwrap();
    bench.proxmox.world().change(|world| {
        let mut next = world.sdn.route_maps[0].clone();
        next.insert("order".to_owned(), json!(20));
        world.sdn.route_maps.push(next);
        let entries = world.sdn.prefix_lists.get_mut("own").unwrap();
        let mut wider = entries[0].clone();
        wider.insert("prefix".to_owned(), json!("10.98.0.0/16"));
        entries.push(wider);
    });
    sync(&bench).await;
    assert_eq!(
        (bench.netbox.count(ROUTE_MAPS), bench.netbox.count(PREFIX_LISTS)),
        (4, 3)
    );
    sync(&bench).await;
    assert_eq!(bench.take_writes(), Vec::<String>::new());
    let rows = bench.netbox.rows(ROUTE_MAPS);
    let kept = rows.iter().find(|row| row["endpoint"] == json!(other)).unwrap();
    assert_eq!(kept["action"], "deny");
}

#[tokio::test]
async fn dry_run_tells_the_plan_and_writes_nothing() {
    let bench = bench().await;
    let request = SyncRequest {
        dry_run: true,
        ..on(Mode::Always)
    };
    let result = bench.stage_with(Stage::Sdn, request).await.result();
    assert_eq!(bench.netbox.writes().len(), 0);
    let plans = result["plan"].as_array().unwrap();
    let of = |path: &str| {
        plans
            .iter()
            .find(|plan| plan["path"] == json!(format!("/api/{path}/")))
            .unwrap()
    };
    assert_eq!(of(L2VPNS)["create"][0]["label"], "Proxbox lab / lab / wide1 / vnet2");
    assert_eq!(of(VNETS)["create"].as_array().unwrap().len(), 2);
    assert_eq!(of(BINDINGS)["create"].as_array().unwrap().len(), 18);
}

#[tokio::test]
async fn endpoint_that_the_plugin_does_not_know_has_no_rows() {
    let bench = bench().await;
    let endpoint = bench.netbox.rows("plugins/proxbox/endpoints/proxmox")[0]["id"]
        .as_u64()
        .unwrap();
    bench
        .netbox
        .change("plugins/proxbox/endpoints/proxmox", endpoint, &json!({"port": 1234}))
        .unwrap();
    let result = sync(&bench).await.result();
    assert_eq!(bench.netbox.writes().len(), 0);
    assert_eq!(
        (&result["counters"]["skipped"], &result["degraded"]),
        (&json!(11), &json!(true))
    );
}

#[tokio::test]
async fn stream_tells_the_cluster_before_and_after_its_networks() {
    let bench = bench().await;
    let events = bench.events(Stage::Sdn, on(Mode::Always)).await;
    let steps: Vec<&str> = events
        .iter()
        .filter(|event| event.name == "step")
        .filter_map(|event| event.data["status"].as_str())
        .collect();
    assert_eq!(steps, ["started", "processing", "completed", "completed"]);
    let last = events.last().unwrap();
    assert_eq!(
        (last.name, &last.data["ok"], &last.data["result"]["counters"]["zones"]),
        ("complete", &json!(true), &json!(2))
    );
}
