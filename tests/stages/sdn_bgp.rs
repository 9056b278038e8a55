//! The last part of the stage `sdn`: rows of the plugin netbox-bgp.

use proxbox_api::netbox::standin::{Fault, FaultRule, StandinOptions};
use proxbox_api::proxmox::mock::World;
use proxbox_api::reconcile::Mode;
use proxbox_api::stages::Stage;
use proxbox_api::sync::SyncRequest;
use serde_json::{Value, json};

use crate::harness::Bench;
use crate::sdn::{bindings, on, row};

const COMMUNITIES: &str = "plugins/bgp/community";
const LISTS: &str = "plugins/bgp/prefix-list";
const LIST_RULES: &str = "plugins/bgp/prefix-list-rule";
const POLICIES: &str = "plugins/bgp/routing-policy";
const POLICY_RULES: &str = "plugins/bgp/routing-policy-rule";
const SESSIONS: &str = "plugins/bgp/session";

fn request() -> SyncRequest {
    let mut request = on(Mode::Always);
    request.options.modes.bgp = Mode::Always;
    request
}

async fn sync(bench: &Bench) -> Value {
    bench.forget();
    bench.take_writes();
    bench.stage_with(Stage::Sdn, request()).await.result()
}

/// A NetBox with the plugin and what sessions need, one address aside, and an operator's community.
async fn bench() -> Bench {
    let options = StandinOptions {
        has_bgp: true,
        ..StandinOptions::default()
    };
    let bench = Bench::with(World::estate(2, 4), options).await;
    bench.proxmox.world().change(|world| {
        world.sdn.route_maps[0].insert("set-community".to_owned(), json!("65000:99"));
        world.sdn.controllers[0].insert("local-address".to_owned(), json!("10.10.0.9"));
        world.sdn.controllers[0].insert("peers".to_owned(), json!("10.10.0.1=65001,10.10.0.2"));
    });
    for address in ["10.10.0.9/32", "10.10.0.1/32", "10.10.0.2/24"] {
        bench
            .netbox
            .seed("ipam/ip-addresses", &json!({"address": address}))
            .unwrap();
    }
    for asn in [65_000, 65_001] {
        bench.netbox.seed("ipam/asns", &json!({"asn": asn})).unwrap();
    }
    let community = json!({"value": "65000:99", "status": "planned", "description": "by hand"});
    bench.netbox.seed(COMMUNITIES, &community).unwrap();
    bench
}

/// The rule at `path` that hangs on `parent`.
fn rule_of(bench: &Bench, path: &str, relation: &str, parent: &Value) -> Value {
    let rows = bench.netbox.rows(path).into_iter();
    let mut own = rows.filter(|row| row[relation]["id"] == parent["id"]);
    own.next().unwrap()
}

#[tokio::test]
async fn rows_are_left_out_with_a_warning_where_netbox_lacks_the_plugin() {
    let bench = Bench::with(World::estate(2, 4), StandinOptions::default()).await;
    let result = sync(&bench).await;
    let warnings = result["counters"]["warnings"].as_array().unwrap();
    assert!(warnings.iter().any(|warning| warning["kind"] == "BGP"), "{warnings:#?}");
    assert_eq!(
        (&result["counters"]["skipped"], result.get("degraded")),
        (&json!(2), None)
    );
    assert!(!bench.netbox.writes().iter().any(|write| write.path.contains("/bgp/")));
}

#[tokio::test]
async fn nothing_is_written_to_the_plugin_while_its_mode_is_off() {
    let bench = bench().await;
    bench.stage_with(Stage::Sdn, on(Mode::Always)).await;
    assert!(
        !bench
            .netbox
            .requests()
            .iter()
            .any(|request| request.path.contains("/bgp/"))
    );
}

#[tokio::test]
async fn route_maps_and_prefix_lists_become_rows_that_refer_to_each_other() {
    let bench = bench().await;
    sync(&bench).await;
    let list = row(&bench, LISTS, "name", "Proxbox SDN 1 lab own");
    let rule = rule_of(&bench, LIST_RULES, "prefix_list", &list);
    assert_eq!(
        (
            &rule["prefix_list"]["id"],
            &rule["index"],
            &rule["prefix_custom"],
            &rule["le"]
        ),
        (&list["id"], &json!(10), &json!("10.99.0.0/16"), &json!(24))
    );
    let policy = row(&bench, POLICIES, "name", "Proxbox SDN 1 lab outward");
    let rule = rule_of(&bench, POLICY_RULES, "routing_policy", &policy);
    assert_eq!(
        (
            &rule["routing_policy"]["id"],
            &rule["match_ip_address"][0]["id"],
            &rule["set_actions"]
        ),
        (&policy["id"], &list["id"], &json!({"set-community": "65000:99"}))
    );
    assert_eq!(bench.netbox.rows(COMMUNITIES)[0]["description"], "by hand");
    assert_eq!(bindings(&bench)["bgp-prefix-list own"].0, list["id"]);
}

#[tokio::test]
async fn session_stands_only_where_netbox_has_all_that_it_joins() {
    let bench = bench().await;
    let result = sync(&bench).await;
    let session = row(&bench, SESSIONS, "name", "Proxbox SDN 1 lab evpn1 10.10.0.1");
    assert_eq!(
        (&session["remote_as"]["asn"], &session["peer_group"]["name"]),
        (&json!(65_001), &json!("Proxbox SDN 1 lab evpn1"))
    );
    assert_eq!(bindings(&bench)["bgp-session evpn1/10.10.0.1=65001"].0, session["id"]);
    assert_eq!(bench.netbox.count(SESSIONS), 1);
    let warnings = result["counters"]["warnings"].as_array().unwrap();
    let lacking = warnings
        .iter()
        .find(|warning| warning["kind"] == "BGP session")
        .unwrap();
    assert_eq!(
        (&lacking["name"], &lacking["warning"]),
        (&json!("evpn1/10.10.0.2"), &json!("NetBox has no address 10.10.0.2/32"))
    );
}

#[tokio::test]
async fn second_run_writes_nothing_to_the_plugin() {
    let bench = bench().await;
    sync(&bench).await;
    let rules = [LISTS, LIST_RULES, POLICIES, POLICY_RULES].map(|path| bench.netbox.count(path));
    assert_eq!(rules, [2; 4]);
    let result = sync(&bench).await;
    assert_eq!(result["counters"]["object_errors"], json!([]), "{result:#}");
    assert_eq!(bench.take_writes(), Vec::<String>::new());
}

#[tokio::test]
async fn rules_of_lists_made_by_hand_stay_as_they_are() {
    let bench = bench().await;
    sync(&bench).await;
    let by_hand = json!({"name": "by hand", "description": "", "family": "ipv4"});
    let list = bench.netbox.seed(LISTS, &by_hand).unwrap();
    let rule = json!({"prefix_list": list, "index": 10, "action": "deny", "prefix_custom": "10.0.0.0/8"});
    bench.netbox.seed(LIST_RULES, &rule).unwrap();
    sync(&bench).await;
    assert_eq!(bench.take_writes(), Vec::<String>::new());
    assert_eq!(bench.netbox.count(LIST_RULES), 3);
}

#[tokio::test]
async fn list_that_cannot_be_read_leaves_what_depends_on_it_alone() {
    let groups = "plugins/bgp/peer-group";
    let all = [LISTS, LIST_RULES, POLICIES, POLICY_RULES, groups, SESSIONS];
    let dependent = [
        (groups, all.to_vec()),
        ("ipam/prefixes", vec![LIST_RULES]),
        ("ipam/ip-addresses", vec![SESSIONS]),
        ("ipam/asns", vec![SESSIONS]),
        (LISTS, vec![LISTS, LIST_RULES, POLICY_RULES]),
    ];
    for (list, dependent) in dependent {
        for status in [403, 500] {
            let case = format!("{list} {status}");
            let mut bench = bench().await;
            bench.restart(true);
            let refused = || FaultRule::on(list, Fault::Status(status)).method("GET");
            bench.netbox.faults().add(refused());
            let result = sync(&bench).await;
            let counters = result["counters"].to_string();
            assert!(counters.contains(&format!("`/api/{list}/")), "{case}: {result:#}");
            assert!(!counters.contains("NetBox has no ASN"), "{case}: {counters}");
            for path in all {
                assert_eq!(
                    bench.netbox.count(path) == 0,
                    dependent.contains(&path),
                    "{case}: {path}"
                );
            }
            let bound = bindings(&bench);
            assert!(
                bound.contains_key("vnet wide1/vnet2"),
                "{case}: the bindings come all the same"
            );
            bench.netbox.faults().clear();
            sync(&bench).await;
            bench.netbox.faults().add(refused());
            sync(&bench).await;
            assert_eq!(bench.take_writes(), Vec::<String>::new(), "{case}");
        }
    }
}
