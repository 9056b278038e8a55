//! `/dcim/devices/{node}/interfaces/create`: the interfaces of one node.

#![expect(clippy::unwrap_used, reason = "a test stops where its surroundings fail")]

use proxbox_api::proxmox::mock::{MockOptions, MockProxmox, World};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::individual::{BACKUPS, DEVICES, MACHINES, clear, converged, told};
use crate::proxmox_endpoints::{pushed, store};
use crate::world::{DEVICES as DEVICES_STAGE, Trio, introduce};

const INTERFACES: &str = "/api/dcim/interfaces/";
const ROUTE: &str = "/dcim/devices/pve1/interfaces/create";

async fn written(trio: &Trio, url: &str) -> Vec<Value> {
    let (status, body) = trio.app.get(url).await;
    assert_eq!(status, StatusCode::OK, "{url}: {body}");
    assert!(body.is_array(), "{url}: {body}");
    body.as_array().unwrap().clone()
}

fn device(trio: &Trio, name: &str) -> Value {
    let rows = trio.netbox.rows(DEVICES);
    rows.into_iter().find(|row| row["name"] == name).unwrap()
}

#[tokio::test]
async fn first_address_becomes_the_primary_one_where_the_device_has_none() {
    let trio = converged().await;
    assert_eq!(
        device(&trio, "pve1")["primary_ip4"],
        Value::Null,
        "of all nodes, it is not chosen"
    );
    let records = written(&trio, ROUTE).await;
    let primary = device(&trio, "pve1")["primary_ip4"].clone();
    let first = records.iter().find(|record| record["ip_id"] == primary["id"]);
    assert_eq!(first.unwrap()["ip_address"], primary["address"], "{records:?}");
    assert_eq!(device(&trio, "pve2")["primary_ip4"], Value::Null);
    trio.netbox.clear_requests();
    written(&trio, ROUTE).await;
    assert_eq!(told(&trio.netbox.writes()), [""; 0]);

    let mut others = records.iter().map(|record| &record["ip_id"]);
    let other = others.find(|id| id.is_u64() && **id != primary["id"]).unwrap();
    let id = device(&trio, "pve1")["id"].as_u64().unwrap();
    trio.netbox.change(DEVICES, id, &json!({"primary_ip4": other})).unwrap();
    written(&trio, ROUTE).await;
    assert_eq!(
        &device(&trio, "pve1")["primary_ip4"]["id"],
        other,
        "an operator chose it"
    );
}

#[tokio::test]
async fn refused_primary_address_is_a_warning() {
    let trio = converged().await;
    trio.netbox
        .faults()
        .refuse_row("dcim/devices", "pve1", "primary_ip4", "Not this one.");
    let (status, body) = trio.app.get(ROUTE).await;
    assert_eq!((status, &body["degraded"]), (StatusCode::OK, &json!(true)), "{body}");
    assert!(body["warnings"].to_string().contains("Not this one."), "{body}");
    assert!(!body["interfaces"].as_array().unwrap().is_empty(), "{body}");
}

#[tokio::test]
async fn one_type_of_interfaces_is_written_and_others_left_alone() {
    let trio = converged().await;
    let rows = trio.netbox.rows(INTERFACES);
    let is_bridge = |row: &&Value| row["device"]["name"] == "pve1" && row["type"]["value"] == "bridge";
    let bridges = rows.iter().filter(is_bridge).count();
    clear(&trio, INTERFACES);
    let records = written(&trio, &format!("{ROUTE}?type=bridge")).await;
    let rows = trio.netbox.rows(INTERFACES);
    assert!(rows.iter().all(|row| is_bridge(&row)), "{rows:?}");
    assert_eq!((rows.len(), records.len()), (bridges, bridges));
    assert_eq!(
        written(&trio, &format!("{ROUTE}?type=OVSIntPort")).await,
        [] as [Value; 0]
    );
    let (status, body) = trio.app.get(&format!("{ROUTE}?type=wifi")).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
}

#[tokio::test]
async fn cluster_is_chosen_by_its_name_where_several_have_the_node() {
    let trio = Trio::start().await;
    let mut world = World::estate(2, 4);
    world.cluster = Some("beta".to_owned());
    let beta = MockProxmox::start(MockOptions::default(), world).await.unwrap();
    let plugin = introduce(&trio.netbox, "beta", &beta);
    store(&trio.app, &pushed(&format!("beta (nb:{plugin})"), &beta)).await;
    let (status, body) = trio.app.get(DEVICES_STAGE).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let clusters = |rows: &[Value]| {
        let devices = trio.netbox.rows(DEVICES);
        let of = |row: &Value| devices.iter().find(|device| device["id"] == row["device"]["id"]);
        let names = rows.iter().map(|row| of(row).unwrap()["cluster"]["name"].clone());
        let mut names: Vec<Value> = names.collect();
        names.dedup();
        names
    };
    written(&trio, &format!("{ROUTE}?cluster_name=BETA")).await;
    let rows = trio.netbox.rows(INTERFACES);
    assert_eq!(clusters(&rows), ["beta"], "and no other");
    let (status, body) = trio.app.get(&format!("{ROUTE}?cluster_name=gamma")).await;
    assert_eq!(
        (status, &body["error"]),
        (
            StatusCode::NOT_FOUND,
            &json!("No Proxmox session found for cluster: gamma")
        )
    );
    let (status, body) = trio.app.get(ROUTE).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    // Both estates have the same addresses, and each address has one owner.
    assert_eq!(body["degraded"], true, "{body}");
    let both = trio.netbox.rows(INTERFACES);
    assert_eq!((both.len(), &body["count"]), (2 * rows.len(), &json!(both.len())));
    assert!(both.iter().all(|row| row["device"]["name"] == "pve1"));
}

#[tokio::test]
async fn node_that_is_off_is_told_apart_from_one_that_is_not_there() {
    let trio = converged().await;
    trio.proxmox.faults().node_down("pve2");
    trio.app.get(DEVICES_STAGE).await;
    trio.netbox.clear_requests();
    let (status, body) = trio.app.get("/dcim/devices/pve2/interfaces/create").await;
    assert_eq!(status, StatusCode::BAD_GATEWAY, "{body}");
    assert_eq!(
        (&body["message"], &body["detail"]["category"]),
        (&json!("node pve2: the node is offline"), &json!("connection"))
    );
    let (status, body) = trio.app.get("/dcim/devices/pve9/interfaces/create").await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
    assert_eq!(body["message"], "No NetBox device found for Proxmox node 'pve9'");
    assert_eq!(told(&trio.netbox.writes()), [""; 0]);
}

#[tokio::test]
async fn storage_that_cannot_be_read_is_told_apart_from_one_that_is_not_there() {
    let trio = converged().await;
    clear(&trio, BACKUPS);
    trio.proxmox
        .faults()
        .fail("/nodes/*/storage/nas-backups/content", 500, "mount error");
    let url = "/virtualization/virtual-machines/backups/create?node=pve1&storage=nas-backups";
    let (status, body) = trio.app.get(url).await;
    assert!(status.is_server_error(), "{status}: {body}");
    let message = body["message"].as_str().unwrap();
    assert!(
        message.contains("nas-backups") && message.contains("mount error"),
        "{body}"
    );
    assert_eq!(trio.netbox.count(BACKUPS), 0);
}

#[tokio::test]
async fn backups_of_a_node_that_several_clusters_have_are_those_of_the_first_that_can_read_the_storage() {
    const CONTENT: &str = "/nodes/*/storage/nas-backups/content";
    let trio = converged().await;
    let mut world = World::estate(2, 12);
    world.cluster = Some("beta".to_owned());
    world.tasks.clear();
    let beta = MockProxmox::start(MockOptions::default(), world).await.unwrap();
    let plugin = introduce(&trio.netbox, "beta", &beta);
    store(&trio.app, &pushed(&format!("beta (nb:{plugin})"), &beta)).await;
    for stage in [DEVICES_STAGE, "/virtualization/virtual-machines/create"] {
        let (status, body) = trio.app.get(stage).await;
        assert_eq!(status, StatusCode::OK, "{body}");
    }
    let owners = || {
        let machines = trio.netbox.rows(MACHINES);
        let is_betas = |backup: &Value| {
            let machine = machines.iter().find(|row| row["id"] == backup["virtual_machine"]["id"]);
            machine.unwrap()["cluster"]["name"] == "beta"
        };
        let mut owners: Vec<bool> = trio.netbox.rows(BACKUPS).iter().map(is_betas).collect();
        owners.dedup();
        owners
    };
    let url = "/virtualization/virtual-machines/backups/create?node=pve1&storage=nas-backups";
    clear(&trio, BACKUPS);
    written(&trio, url).await;
    assert_eq!(owners(), [false]);
    clear(&trio, BACKUPS);
    trio.proxmox.faults().fail(CONTENT, 500, "mount error");
    written(&trio, url).await;
    assert_eq!(owners(), [true]);
    clear(&trio, BACKUPS);
    beta.faults().fail(CONTENT, 500, "stale file handle");
    let (status, body) = trio.app.get(url).await;
    assert!(status.is_server_error(), "{status}: {body}");
    let told = body.to_string();
    assert!(
        told.contains("mount error") && told.contains("stale file handle"),
        "{body}"
    );
    assert_eq!(owners(), [false; 0]);
}

#[tokio::test]
async fn node_without_interfaces_has_none_and_is_no_error() {
    let trio = converged().await;
    trio.proxmox
        .world()
        .change(|world| world.node("pve1").unwrap().interfaces.clear());
    assert_eq!(written(&trio, ROUTE).await, [] as [Value; 0]);
}

#[tokio::test]
async fn interfaces_of_all_nodes_are_a_list_and_an_object_where_one_cannot_be_read() {
    const ALL: &str = "/dcim/devices/interfaces/create";
    let trio = converged().await;
    let all = written(&trio, ALL).await;
    assert!(!all.is_empty() && all.iter().all(|row| row["id"].is_u64() && row["name"].is_string()));
    trio.proxmox.faults().node_down("pve2");
    trio.app.get(DEVICES_STAGE).await;
    let (status, body) = trio.app.get(ALL).await;
    assert_eq!((status, &body["degraded"]), (StatusCode::OK, &json!(true)), "{body}");
    let some = body["interfaces"].as_array().unwrap();
    assert_eq!(body["count"], some.len());
    assert!(!some.is_empty() && some.len() < all.len(), "{body}");
    assert!(body["warnings"].to_string().contains("pve2"), "{body}");
}
