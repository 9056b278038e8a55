//! The stand-in through our own client, and through plain requests that the client would never send.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::*;
use crate::netbox::objects::{Cluster, Device, DeviceState, Object, Site, Storage};
use crate::netbox::preflight::{Authentication, WriteAccess, preflight};
use crate::netbox::{Client, Endpoint, Error, Query, Scheme, Token, WriteError, fetch_settings};
use crate::reconcile::{ObjectId, Stored};

const SITES: &str = "/api/dcim/sites/";
const TAGS: &str = "/api/extras/tags/";
const DEVICES: &str = "/api/dcim/devices/";
const MACHINES: &str = "/api/virtualization/virtual-machines/";
const INTERFACES: &str = "/api/virtualization/interfaces/";
const DISKS: &str = "/api/virtualization/virtual-disks/";
const ADDRESSES: &str = "/api/ipam/ip-addresses/";
const MACHINE_STATES: &str = "/api/plugins/proxbox/sync-state/virtual-machines/";
const DEVICE_STATES: &str = "/api/plugins/proxbox/sync-state/devices/";

async fn standin() -> Standin {
    Standin::start(StandinOptions::default()).await.unwrap()
}

fn client(standin: &Standin) -> Client {
    Client::new(Endpoint {
        scheme: Some(Scheme::Http),
        verify_tls: false,
        max_retries: 0,
        timeout: Duration::from_secs(5),
        ..Endpoint::new("main", "127.0.0.1", standin.port(), Token::V1(standin.token().into()))
    })
    .unwrap()
}

fn http() -> reqwest::Client {
    let endpoint = Endpoint::new("main", "127.0.0.1", 1, Token::V1("x".into()));
    let tls = crate::netbox::tls::config(&endpoint).unwrap();
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .build()
        .unwrap()
}

/// Status and body of a plain request.
async fn send(standin: &Standin, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let request = http()
        .request(
            method.parse::<Method>().unwrap(),
            format!("{}{path}", standin.base_url()),
        )
        .header("Authorization", format!("Token {}", standin.token()));
    let request = if body.is_null() { request } else { request.json(body) };
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    let text = answer.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

/// Ids of a small estate.
struct Estate {
    site: u64,
    cluster: u64,
    device: u64,
    machine: u64,
    interface: u64,
    endpoint: u64,
}

fn estate(standin: &Standin) -> Estate {
    let seed = |path: &str, row: Value| standin.seed(path, &row).unwrap();
    let site = seed(SITES, json!({"name": "DC1", "slug": "dc1"}));
    let maker = seed("dcim/manufacturers", json!({"name": "Proxmox", "slug": "proxmox"}));
    let kind = seed(
        "dcim/device-types",
        json!({"model": "Node", "slug": "node", "manufacturer": maker}),
    );
    let cluster_type = seed(
        "virtualization/cluster-types",
        json!({"name": "Cluster", "slug": "cluster"}),
    );
    let cluster = json!({"name": "lab", "type": cluster_type, "scope_type": "dcim.site", "scope_id": site});
    let cluster = seed("virtualization/clusters", cluster);
    let device = json!({"name": "pve1", "device_type": kind, "role": 1, "site": site, "cluster": cluster});
    let device = seed(DEVICES, device);
    let machine = seed(MACHINES, json!({"name": "web", "cluster": cluster}));
    let interface = seed(INTERFACES, json!({"virtual_machine": machine, "name": "net0"}));
    let address = seed(ADDRESSES, json!({"address": "192.0.2.1/32"}));
    let endpoint = json!({"name": "lab", "ip_address": address, "mode": "cluster"});
    let endpoint = seed("plugins/proxbox/endpoints/proxmox", endpoint);
    Estate {
        site,
        cluster,
        device,
        machine,
        interface,
        endpoint,
    }
}

fn seed_tags(standin: &Standin, count: usize) {
    for number in 0..count {
        let row = json!({"name": format!("tag {number}"), "slug": format!("tag-{number}")});
        standin.seed(TAGS, &row).unwrap();
    }
}

async fn decoded<T: Object>(client: &Client) -> Vec<Stored<T>> {
    let rows: Vec<T::Read> = client.list(T::PATH, &Query::new()).await.unwrap();
    rows.into_iter().map(Into::into).collect()
}

#[tokio::test]
async fn fresh_netbox_passes_the_preflight_and_tells_the_plugin_settings() {
    let standin = standin().await;
    let client = client(&standin);
    let found = preflight(&client).await;
    assert!(matches!(found.authentication, Authentication::Accepted), "{found:?}");
    assert!(matches!(found.write, WriteAccess::Allowed), "{found:?}");
    assert_eq!(found.plugin_version(), Some("0.0.29.post6"));
    let settings = fetch_settings(&client).await.unwrap();
    assert!(settings.invalid.is_empty(), "{:?}", settings.invalid);
}

#[tokio::test]
async fn walk_by_cursor_reads_every_row_once() {
    let standin = standin().await;
    seed_tags(&standin, 2_500);
    let rows: Vec<Value> = client(&standin).list(TAGS, &Query::new()).await.unwrap();
    assert_eq!(rows.len(), 2_500);
    assert_eq!(standin.requests().len(), 3);
}

#[tokio::test]
async fn objects_of_the_first_stages_decode() {
    let standin = standin().await;
    let Estate { device, cluster, .. } = estate(&standin);
    standin
        .seed(DEVICE_STATES, &json!({"device": device, "proxmox_node_name": "pve1"}))
        .unwrap();
    let storage = json!({"cluster": cluster, "name": "local", "storage_type": "dir"});
    standin.seed("plugins/proxbox/storage", &storage).unwrap();
    let client = client(&standin);
    let devices = decoded::<Device>(&client).await;
    assert_eq!(devices[0].object.cluster, Some(ObjectId(cluster)));
    assert_eq!(decoded::<Cluster>(&client).await[0].object.name.as_deref(), Some("lab"));
    assert_eq!(decoded::<Site>(&client).await[0].object.slug, "dc1");
    assert_eq!(
        decoded::<DeviceState>(&client).await[0].object.node_name.as_deref(),
        Some("pve1")
    );
    assert_eq!(decoded::<Storage>(&client).await[0].object.name, "local");
}

#[tokio::test]
async fn one_refused_row_undoes_the_whole_request_and_is_named() {
    let standin = standin().await;
    let tag = |name: &str, slug: &str| json!({"name": name, "slug": slug});
    standin.seed(TAGS, &tag("taken", "taken")).unwrap();
    let before = standin.fingerprint();
    let rows = [
        tag("a", "a"),
        tag("taken", "taken"),
        tag("b", "not a slug"),
        tag("c", "a"),
    ];
    let error = client(&standin).create(TAGS, &rows).await.unwrap_err();
    let WriteError::Rows { status: 400, refused } = error else {
        panic!("{error:?}");
    };
    let told: Vec<_> = refused.iter().map(|row| (row.row, row.to_string())).collect();
    assert_eq!(
        told,
        [
            (
                1,
                "name: tag with this name already exists.; slug: tag with this slug already exists.".to_owned()
            ),
            (
                2,
                "slug: Enter a valid \"slug\" consisting of letters, numbers, underscores or hyphens.".to_owned()
            ),
            (3, "slug: tag with this slug already exists.".to_owned()),
        ]
    );
    assert_eq!(standin.fingerprint(), before);
}

#[tokio::test]
async fn refusal_before_4_7_is_a_list_with_one_object_per_row() {
    let options = StandinOptions {
        release: Release::V4_6,
        ..StandinOptions::default()
    };
    let standin = Standin::start(options).await.unwrap();
    let rows = json!([{"name": "a", "slug": "a"}, {"name": "b"}]);
    let (status, body) = send(&standin, "POST", TAGS, &rows).await;
    assert_eq!(
        (status, body),
        (400, json!([{}, {"slug": ["This field is required."]}]))
    );
}

#[tokio::test]
async fn schema_refuses_what_does_not_fit_a_column() {
    let standin = standin().await;
    let Estate { cluster, .. } = estate(&standin);
    let cases = [
        (json!({"name": null}), "name", "This field may not be null."),
        (json!({"name": " "}), "name", "This field may not be blank."),
        (
            json!({"name": "x".repeat(65)}),
            "name",
            "Ensure this field has no more than 64 characters.",
        ),
        (json!({"name": "a\u{0}b"}), "name", "Null characters are not allowed."),
        (json!({"status": "gone"}), "status", "gone is not a valid choice."),
        (json!({"memory": "much"}), "memory", "A valid integer is required."),
        (
            json!({"memory": 2_147_483_648_u64}),
            "memory",
            "Ensure this value is less than or equal to 2147483647.",
        ),
        (
            json!({"vcpus": 1.234}),
            "vcpus",
            "Ensure that there are no more than 2 decimal places.",
        ),
        (
            json!({"role": 99}),
            "role",
            "Related object not found using the provided numeric ID: 99",
        ),
        (
            json!({"role": {"slug": "none"}}),
            "role",
            "Related object not found using the provided attributes: {'slug': 'none'}",
        ),
        (
            json!({"tags": ["proxbox"]}),
            "tags",
            "Related objects must be referenced by numeric ID or by dictionary of attributes. Received an unrecognized \
             value: proxbox",
        ),
    ];
    for (change, column, message) in cases {
        let mut row = json!({"name": "new", "cluster": cluster});
        row.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let (status, body) = send(&standin, "POST", MACHINES, &row).await;
        assert_eq!((status, body), (400, json!({ column: [message] })), "{change}");
    }
}

#[tokio::test]
async fn text_is_trimmed_and_times_are_brought_to_utc() {
    let standin = standin().await;
    let Estate { machine, .. } = estate(&standin);
    let row = json!({
        "virtual_machine": machine, "name": "snap", "vmid": 100, "node": "pve1", "subtype": "qemu", "status": "active",
        "description": "before change\n", "snaptime": "2026-11-08T10:58:17+02:00",
    });
    let (status, body) = send(&standin, "POST", "/api/plugins/proxbox/snapshots/", &row).await;
    assert_eq!(status, 201, "{body}");
    assert_eq!(body["description"], "before change");
    assert_eq!(body["snaptime"], "2026-11-08T08:58:17Z");
    assert_eq!(body["subtype"], json!({"value": "qemu", "label": "QEMU"}));
}

async fn expect_refusals<const N: usize>(standin: &Standin, cases: [(&str, Value, &str, &str); N]) {
    for (path, row, column, message) in cases {
        let answer = send(standin, "POST", path, &row).await;
        assert_eq!(answer, (400, json!({ column: [message] })), "{path} {row}");
    }
}

#[tokio::test]
async fn rules_of_devices_and_machines_speak_in_netbox_words() {
    let standin = standin().await;
    let Estate { site, cluster, .. } = estate(&standin);
    let other = standin.seed(SITES, &json!({"name": "DC2", "slug": "dc2"})).unwrap();
    let device = |name: &str, site: u64, cluster: Option<u64>| json!({"name": name, "device_type": 1, "role": 1, "site": site, "cluster": cluster});
    expect_refusals(
        &standin,
        [
            (
                MACHINES,
                json!({"name": "WEB", "cluster": cluster}),
                "__all__",
                "Virtual machine name must be unique per cluster and tenant.",
            ),
            (
                MACHINES,
                json!({"name": "lost"}),
                "__all__",
                "A virtual machine must be assigned to a site, cluster, or device.",
            ),
            (
                MACHINES,
                json!({"name": "far", "cluster": cluster, "site": other}),
                "cluster",
                "The selected cluster (lab) is not assigned to this site (DC2).",
            ),
            (
                DEVICES,
                device("PVE1", site, None),
                "__all__",
                "Device name must be unique per site and tenant.",
            ),
            (
                DEVICES,
                device("pve2", other, Some(cluster)),
                "cluster",
                "The assigned cluster belongs to a different site (DC1)",
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn rules_of_interfaces_addresses_and_plugin_rows_speak_in_netbox_words() {
    let standin = standin().await;
    let Estate { device, interface, .. } = estate(&standin);
    let vlan = standin.seed("ipam/vlans", &json!({"vid": 7, "name": "v7"})).unwrap();
    let of_machine = "virtualization.virtualmachine";
    let on_interface = json!({"address": "10.0.0.0/24", "assigned_object_type": "virtualization.vminterface", "assigned_object_id": interface});
    expect_refusals(
        &standin,
        [
            (
                "/api/dcim/interfaces/",
                json!({"device": device, "name": "eno1", "type": "other", "untagged_vlan": vlan}),
                "untagged_vlan",
                "Interface mode does not support untagged vlan",
            ),
            (
                ADDRESSES,
                json!({"address": "192.0.2.1/24"}),
                "address",
                "Duplicate IP address found in global table: 192.0.2.1/32",
            ),
            (
                ADDRESSES,
                on_interface,
                "__all__",
                "10.0.0.0 is a network ID, which may not be assigned to an interface.",
            ),
            (
                "/api/plugins/proxbox/backup-routines/",
                json!({"endpoint": 1, "job_id": "b", "selection": []}),
                "selection",
                "This field cannot be blank.",
            ),
            (
                "/api/extras/journal-entries/",
                json!({"assigned_object_type": of_machine, "assigned_object_id": 900, "comments": "x"}),
                "__all__",
                "Invalid assigned_object: Virtualization > Virtual Machine ID 900",
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn second_sidecar_of_a_parent_is_a_conflict_that_names_no_row() {
    let standin = standin().await;
    let Estate { cluster, machine, .. } = estate(&standin);
    let other = standin
        .seed(MACHINES, &json!({"name": "db", "cluster": cluster}))
        .unwrap();
    standin
        .seed(MACHINE_STATES, &json!({"virtual_machine": machine}))
        .unwrap();
    let rows = [
        json!({"virtual_machine": other}),
        json!({"virtual_machine": {"id": machine}}),
    ];
    let error = client(&standin).create(MACHINE_STATES, &rows).await.unwrap_err();
    assert!(matches!(error, WriteError::Batch { status: 409, .. }), "{error:?}");
    assert_eq!(standin.count(MACHINE_STATES), 1);
}

#[tokio::test]
async fn sidecar_of_a_tracked_cluster_is_bound_to_its_endpoint() {
    let standin = standin().await;
    let Estate { machine, endpoint, .. } = estate(&standin);
    let tracked = json!({"endpoint": endpoint, "name": "lab", "mode": "cluster"});
    let tracked = standin.seed("plugins/proxbox/proxmox-clusters", &tracked).unwrap();
    let row = json!({"virtual_machine": machine, "proxmox_cluster": {"id": tracked}});
    let (_, body) = send(&standin, "POST", MACHINE_STATES, &row).await;
    assert_eq!(body["endpoint"]["id"], endpoint, "{body}");
    let path = format!("{MACHINE_STATES}{}/", body["id"]);
    let (_, body) = send(&standin, "PATCH", &path, &json!({"endpoint": null})).await;
    assert_eq!(body["endpoint"]["id"], endpoint, "the binding cannot be undone: {body}");
}

#[tokio::test]
async fn device_sidecar_of_another_endpoint_cannot_be_claimed_or_given_a_foreign_node() {
    let standin = standin().await;
    let Estate { device, endpoint, .. } = estate(&standin);
    let id = standin
        .seed(DEVICE_STATES, &json!({"device": device, "proxmox_endpoint_raw_id": 1}))
        .unwrap();
    let conflict =
        json!({"proxmox_endpoint_raw_id": ["endpoint_ownership_conflict"], "code": "endpoint_ownership_conflict"});
    for claim in [json!(2), Value::Null] {
        let rows = json!([{"id": id, "proxmox_endpoint_raw_id": claim}]);
        assert_eq!(
            send(&standin, "PATCH", DEVICE_STATES, &rows).await,
            (409, conflict.clone()),
            "{rows}"
        );
    }
    let node = json!({"endpoint": endpoint, "name": "pve1", "ip_address": "192.0.2.1"});
    let node = standin.seed("plugins/proxbox/proxmox-nodes", &node).unwrap();
    let path = format!("{DEVICE_STATES}{id}/");
    let (status, body) = send(&standin, "PATCH", &path, &json!({"proxmox_node": node})).await;
    let words = json!({"proxmox_node": ["Proxmox node must be linked to the sync-state device."]});
    assert_eq!((status, body), (400, words));
    standin
        .change("plugins/proxbox/proxmox-nodes", node, &json!({"netbox_device": device}))
        .unwrap();
    let (status, body) = send(&standin, "PATCH", &path, &json!({"proxmox_node": node})).await;
    assert_eq!((status, &body["endpoint"]["id"]), (200, &json!(endpoint)));
}

#[tokio::test]
async fn second_cloud_init_row_is_an_exception_that_names_no_row() {
    let standin = standin().await;
    let Estate { machine, .. } = estate(&standin);
    let row = json!({"virtual_machine": machine});
    standin.seed("plugins/proxbox/vm-cloudinit", &row).unwrap();
    let (status, body) = send(&standin, "POST", "/api/plugins/proxbox/vm-cloudinit/", &json!([row])).await;
    assert_eq!((status, &body["exception"]), (500, &json!("IntegrityError")));
}

#[tokio::test]
async fn names_are_freed_only_by_rows_that_sort_before() {
    let standin = standin().await;
    let Estate { cluster, .. } = estate(&standin);
    let ids: Vec<u64> = ["a", "b"]
        .into_iter()
        .map(|name| {
            standin
                .seed(MACHINES, &json!({"name": name, "cluster": cluster}))
                .unwrap()
        })
        .collect();
    let rename = |first: &str, second: &str| json!([{"id": ids[1], "name": second}, {"id": ids[0], "name": first}]);
    assert_eq!(send(&standin, "PATCH", MACHINES, &rename("b", "c")).await.0, 400);
    let (status, body) = send(&standin, "PATCH", MACHINES, &rename("c", "a")).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(
        body[0]["id"], ids[0],
        "answered in the collection's order, not in the request's"
    );
}

#[tokio::test]
async fn unknown_and_repeated_ids_are_refused_before_anything_is_done() {
    let standin = standin().await;
    let Estate { site, .. } = estate(&standin);
    let rows = json!([{"id": site, "name": "new"}, {"id": 77}]);
    let expected = json!({"detail": "1 of 2 objects could not be found.",
        "errors": [{"id": 77, "errors": {"id": ["Object with ID 77 does not exist"]}}]});
    assert_eq!(send(&standin, "PATCH", SITES, &rows).await, (400, expected));
    let rows = json!([{"id": site}, {"id": site}]);
    let (status, body) = send(&standin, "PATCH", SITES, &rows).await;
    assert_eq!(
        (status, &body["detail"]),
        (400, &json!("1 of 2 objects are listed more than once."))
    );
    assert_eq!(standin.rows(SITES)[0]["name"], "DC1");
}

#[tokio::test]
async fn machine_size_follows_its_disks_and_takes_no_other_number() {
    let standin = standin().await;
    let Estate { machine, .. } = estate(&standin);
    let rows =
        [("d0", 10), ("d1", 20)].map(|(name, size)| json!({"virtual_machine": machine, "name": name, "size": size}));
    let disks: Vec<Value> = client(&standin).create(DISKS, &rows).await.unwrap();
    assert_eq!(standin.rows(MACHINES)[0]["disk"], 30);
    let (status, body) = send(
        &standin,
        "PATCH",
        &format!("{MACHINES}{machine}/"),
        &json!({"disk": 31}),
    )
    .await;
    let words = "The specified disk size (31) must match the aggregate size of assigned virtual disks (30).";
    assert_eq!((status, body), (400, json!({ "disk": [words] })));
    standin.remove(DISKS, disks[0]["id"].as_u64().unwrap()).unwrap();
    assert_eq!(standin.rows(MACHINES)[0]["disk"], 20);
}

#[tokio::test]
async fn primary_address_must_be_the_machines_own_and_stays_there() {
    let standin = standin().await;
    let Estate { machine, interface, .. } = estate(&standin);
    let free = standin.seed(ADDRESSES, &json!({"address": "10.0.0.5/24"})).unwrap();
    let path = format!("{MACHINES}{machine}/");
    let (status, body) = send(&standin, "PATCH", &path, &json!({"primary_ip4": free})).await;
    let words = "The specified IP address (10.0.0.5/24) is not assigned to this VM.";
    assert_eq!((status, body), (400, json!({ "primary_ip4": [words] })));
    let adopt = json!({"assigned_object_type": "virtualization.vminterface", "assigned_object_id": interface});
    standin.change(ADDRESSES, free, &adopt).unwrap();
    let (status, body) = send(&standin, "PATCH", &path, &json!({"primary_ip4": free})).await;
    assert_eq!((status, &body["primary_ip"]["address"]), (200, &json!("10.0.0.5/24")));
    let release = json!({"assigned_object_type": null, "assigned_object_id": null});
    let (status, body) = send(&standin, "PATCH", &format!("{ADDRESSES}{free}/"), &release).await;
    let words = "Cannot reassign IP address while it is designated as the primary IP for the parent object";
    assert_eq!((status, body), (400, json!({ "__all__": [words] })));
    standin.remove(ADDRESSES, free).unwrap();
    assert_eq!(standin.rows(MACHINES)[0]["primary_ip4"], Value::Null);
}

#[tokio::test]
async fn deleting_follows_relations_and_stops_at_protected_rows() {
    let standin = standin().await;
    let Estate {
        site,
        machine,
        interface,
        device,
        ..
    } = estate(&standin);
    let assigned = json!({"address": "10.0.0.5/24", "assigned_object_type": "virtualization.vminterface",
        "assigned_object_id": interface});
    let address = standin.seed(ADDRESSES, &assigned).unwrap();
    standin
        .seed(MACHINE_STATES, &json!({"virtual_machine": machine}))
        .unwrap();
    let guest = json!({"virtual_machine": machine, "name": "ens18", "vm_interface": interface});
    let guest = standin.seed("plugins/proxbox/guest-vm-interfaces", &guest).unwrap();
    let link = json!({"guest_interface": guest, "ip_address": address});
    let link = standin
        .seed("plugins/proxbox/guest-vm-interface-addresses", &link)
        .unwrap();
    let expected = json!({"detail": "1 of 1 objects could not be deleted.", "errors": [{"id": machine, "errors":
        {"__all__": ["Unable to delete: 1 dependent object(s) prevent deletion."]}}]});
    assert_eq!(
        send(&standin, "DELETE", MACHINES, &json!([{ "id": machine }])).await,
        (409, expected)
    );
    let expected = format!("Unable to delete object. 1 dependent objects were found: ens18 - 10.0.0.5/24 ({link})");
    let path = format!("{MACHINES}{machine}/");
    assert_eq!(
        send(&standin, "DELETE", &path, &Value::Null).await,
        (409, json!({ "detail": expected }))
    );
    standin
        .remove("plugins/proxbox/guest-vm-interface-addresses", link)
        .unwrap();
    assert_eq!(send(&standin, "DELETE", &path, &Value::Null).await.0, 204);
    for path in [
        MACHINES,
        INTERFACES,
        MACHINE_STATES,
        "plugins/proxbox/guest-vm-interfaces",
    ] {
        assert_eq!(standin.count(path), 0, "{path}");
    }
    assert_eq!(standin.count(ADDRESSES), 1, "only the endpoint's own address is left");
    assert_eq!(
        standin.remove(SITES, site).unwrap_err().status,
        409,
        "the device {device} protects it"
    );
}

#[tokio::test]
async fn tags_are_replaced_merged_and_addressed_by_every_key() {
    let standin = standin().await;
    let Estate { site, .. } = estate(&standin);
    seed_tags(&standin, 2);
    let path = format!("{SITES}{site}/");
    let slugs = |body: &Value| -> Vec<String> {
        body["tags"]
            .as_array()
            .unwrap()
            .iter()
            .map(|tag| tag["slug"].as_str().unwrap().to_owned())
            .collect()
    };
    let (_, body) = send(&standin, "PATCH", &path, &json!({"tags": [{"slug": "tag-0"}]})).await;
    assert_eq!(slugs(&body), ["tag-0"]);
    let (_, body) = send(&standin, "PATCH", &path, &json!({"add_tags": [2]})).await;
    assert_eq!(slugs(&body), ["tag-0", "tag-1"]);
    let (_, body) = send(&standin, "PATCH", &path, &json!({"remove_tags": [1]})).await;
    assert_eq!(slugs(&body), ["tag-1"]);
    let (status, body) = send(&standin, "PATCH", &path, &json!({"add_tags": [1], "tags": [1]})).await;
    let words = "Cannot specify \"tags\" together with \"add_tags\" or \"remove_tags\".";
    assert_eq!((status, body), (400, json!({ "tags": [words] })));
    let (status, _) = send(
        &standin,
        "PATCH",
        &path,
        &json!({"tags": [{"slug": "tag-0", "color": "000000"}]}),
    )
    .await;
    assert_eq!(status, 400, "the colour does not fit");
}

#[tokio::test]
async fn filters_are_honoured_ignored_or_refused_as_by_netbox() {
    let standin = standin().await;
    let Estate {
        machine,
        cluster,
        interface,
        ..
    } = estate(&standin);
    for name in ["db", "m10", "m9"] {
        standin
            .seed(
                MACHINES,
                &json!({"name": name, "cluster": cluster, "status": "offline"}),
            )
            .unwrap();
    }
    standin
        .seed("plugins/proxbox/storage", &json!({"cluster": cluster, "name": "local"}))
        .unwrap();
    let tag = json!({"name": "Proxbox", "slug": "proxbox"});
    standin.seed("extras/tags", &tag).unwrap();
    let cases = [
        (format!("{MACHINES}?name=WEB"), 1),
        (format!("{MACHINES}?name=web&name=db"), 2),
        (format!("{MACHINES}?name__ic=M"), 2),
        (format!("{MACHINES}?status=offline&cluster_id={cluster}"), 3),
        (format!("{MACHINES}?id={machine}&id=900"), 1),
        (format!("{MACHINES}?id__gt={machine}"), 3),
        (format!("{MACHINES}?name__in=web"), 4),
        (format!("{MACHINES}?site=dc1"), 4),
        (format!("{MACHINES}?tag=proxbox"), 0),
        (format!("{MACHINES}?tag__n=proxbox"), 4),
        (format!("{INTERFACES}?virtual_machine_id={machine}"), 1),
        (format!("{INTERFACES}?cluster_id={cluster}"), 1),
        ("/api/plugins/proxbox/storage/?cluster_id=900".to_owned(), 1),
        ("/api/plugins/proxbox/storage/?cluster__name=none".to_owned(), 0),
        (format!("{MACHINE_STATES}?virtual_machine_id=900"), 0),
        (format!("{ADDRESSES}?address=192.0.2.1"), 1),
        (format!("{ADDRESSES}?address=192.0.2.1/24"), 0),
        (format!("{ADDRESSES}?vminterface_id={interface}"), 0),
    ];
    for (path, expected) in cases {
        let (_, body) = send(&standin, "GET", &path, &Value::Null).await;
        assert_eq!(body["count"], expected, "{path}: {body}");
    }
    let (status, body) = send(
        &standin,
        "GET",
        &format!("{INTERFACES}?virtual_machine_id={machine}&virtual_machine_id=900"),
        &Value::Null,
    )
    .await;
    let words = "Select a valid choice. 900 is not one of the available choices.";
    assert_eq!((status, body), (400, json!({ "virtual_machine_id": [words] })));
    let (status, _) = send(&standin, "GET", &format!("{MACHINES}?contact=1"), &Value::Null).await;
    assert_eq!(status, 501, "NetBox has the filter, the stand-in must not pretend");
}

#[tokio::test]
async fn filter_that_takes_one_value_keeps_the_last() {
    let options = StandinOptions {
        has_bgp: true,
        ..StandinOptions::default()
    };
    let standin = Standin::start(options).await.unwrap();
    let rules = "plugins/bgp/prefix-list-rule";
    let list = |name: &str, count: u64| {
        let list = json!({"name": name, "description": "", "family": "ipv4"});
        let list = standin.seed("plugins/bgp/prefix-list", &list).unwrap();
        for index in 0..count {
            let rule = json!({"prefix_list": list, "index": index, "action": "permit", "prefix_custom": "10.0.0.0/8"});
            standin.seed(rules, &rule).unwrap();
        }
        list
    };
    let (first, second) = (list("first", 1), list("second", 2));
    for (query, expected) in [
        (format!("prefix_list_id={first}&prefix_list_id={second}"), 2),
        (format!("prefix_list_id={second}&prefix_list_id={first}"), 1),
    ] {
        let (_, body) = send(&standin, "GET", &format!("/api/{rules}/?{query}"), &Value::Null).await;
        assert_eq!(body["count"], expected, "{query}: {body}");
    }
}

#[tokio::test]
async fn pages_orders_and_fields_are_as_asked_for() {
    let standin = standin().await;
    let Estate { cluster, .. } = estate(&standin);
    for name in ["m10", "m9", "M1"] {
        standin
            .seed(MACHINES, &json!({"name": name, "cluster": cluster}))
            .unwrap();
    }
    let (_, body) = send(
        &standin,
        "GET",
        &format!("{MACHINES}?fields=name&limit=3"),
        &Value::Null,
    )
    .await;
    assert_eq!(
        body["results"],
        json!([{"name": "M1"}, {"name": "m9"}, {"name": "m10"}])
    );
    let next = format!("{}{MACHINES}?fields=name&limit=3&offset=3", standin.base_url());
    assert_eq!(body["next"], next);
    let (_, body) = send(
        &standin,
        "GET",
        &format!("{MACHINES}?ordering=-name&brief=true&limit=1"),
        &Value::Null,
    )
    .await;
    let keys: Vec<&String> = body["results"][0].as_object().unwrap().keys().collect();
    assert_eq!(keys, ["id", "url", "display", "name", "description"]);
    let (status, body) = send(
        &standin,
        "GET",
        &format!("{MACHINES}?start=1&ordering=name"),
        &Value::Null,
    )
    .await;
    let words = "Ordering cannot be specified in conjunction with cursor-based pagination.";
    assert_eq!((status, body), (400, json!([words])));
}

#[tokio::test]
async fn long_request_line_is_refused_with_a_page_of_html() {
    let standin = standin().await;
    let path = format!("{TAGS}?{}", "id=12345&".repeat(500));
    let (status, body) = send(&standin, "GET", &path, &Value::Null).await;
    assert_eq!(status, 400);
    assert!(body.as_str().unwrap().contains("Request Line is too large"));
}

/// Status and `detail` of a request with this `Authorization` header.
async fn detail_for(standin: &Standin, header: &str, method: &Method, path: &str) -> (u16, String) {
    let url = format!("{}{path}", standin.base_url());
    let request = http().request(method.clone(), url).header("Authorization", header);
    let answer = request.json(&json!([])).send().await.unwrap();
    let status = answer.status().as_u16();
    let body: Value = answer.json().await.unwrap_or_default();
    (status, body["detail"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn tokens_and_rights_are_told_apart() {
    let rights: &[(&str, &[Action])] = &[("extras/tags", &[Action::View, Action::Add])];
    let options = StandinOptions {
        accounts: vec![
            Account::superuser("a".repeat(40).as_str()).read_only(),
            Account::superuser("b".repeat(40).as_str()).with_rights(rights),
            Account::superuser("c".repeat(40).as_str()).refused("Token expired"),
            Account::superuser("nbt_key.secret"),
        ],
        ..StandinOptions::default()
    };
    let standin = Standin::start(options).await.unwrap();
    let no_right = "You do not have permission to perform this action.";
    let cases = [
        (
            "Basic x".to_owned(),
            Method::GET,
            TAGS,
            403,
            "Authentication credentials were not provided.",
        ),
        (
            format!("Token {}", "f".repeat(40)),
            Method::GET,
            TAGS,
            403,
            "Invalid v1 token",
        ),
        (
            "Bearer nbt_key.wrong".to_owned(),
            Method::GET,
            TAGS,
            403,
            "Invalid v2 token",
        ),
        (
            format!("Token {}", "c".repeat(40)),
            Method::GET,
            TAGS,
            403,
            "Token expired",
        ),
        ("Bearer nbt_key.secret".to_owned(), Method::POST, TAGS, 201, ""),
        (format!("Token {}", "a".repeat(40)), Method::GET, SITES, 200, ""),
        (format!("Token {}", "a".repeat(40)), Method::POST, TAGS, 403, no_right),
        (format!("Token {}", "b".repeat(40)), Method::POST, TAGS, 201, ""),
        (format!("Token {}", "b".repeat(40)), Method::PATCH, TAGS, 403, no_right),
        (format!("Token {}", "b".repeat(40)), Method::GET, SITES, 403, no_right),
    ];
    for (header, method, path, status, detail) in cases {
        let found = detail_for(&standin, &header, &method, path).await;
        assert_eq!(found, (status, detail.to_owned()), "{header} {method} {path}");
    }
}

#[tokio::test]
async fn hidden_row_is_missing_yet_keeps_its_name() {
    let standin = standin().await;
    let Estate { site, .. } = estate(&standin);
    standin.hide(SITES, site);
    let client = client(&standin);
    assert!(client.list::<Value>(SITES, &Query::new()).await.unwrap().is_empty());
    let error = client.get::<Value>(&format!("{SITES}{site}/")).await.unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error:?}");
    let row = json!({"name": "DC1", "slug": "dc1"});
    assert_eq!(send(&standin, "POST", SITES, &row).await.0, 400);
}

#[tokio::test]
async fn missing_routes_and_missing_rows_answer_differently() {
    let standin = standin().await;
    let client = client(&standin);
    let error = client
        .get::<Value>("/api/plugins/proxbox/endpoints/proxmox/1/sync-cluster/")
        .await
        .unwrap_err();
    assert!(matches!(error, Error::NoRoute { .. }), "{error:?}");
    let error = client.get::<Value>("/api/extras/tags/1/").await.unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error:?}");
}

#[tokio::test]
async fn plugin_with_the_action_claims_a_cluster_once() {
    let options = StandinOptions {
        has_cluster_action: true,
        ..StandinOptions::default()
    };
    let standin = Standin::start(options).await.unwrap();
    let Estate { endpoint, .. } = estate(&standin);
    let path = format!("/api/plugins/proxbox/endpoints/proxmox/{endpoint}/sync-cluster/");
    let claim = json!({"name": "beta", "mode": "cluster", "cluster_type": 1});
    let (status, first) = send(&standin, "POST", &path, &claim).await;
    assert_eq!((status, &first["created"]), (200, &json!(true)), "{first}");
    let (_, second) = send(&standin, "POST", &path, &claim).await;
    assert_eq!(
        (&second["created"], &second["cluster"]["id"]),
        (&json!(false), &first["cluster"]["id"])
    );
    assert_eq!(
        standin.rows("plugins/proxbox/proxmox-clusters")[0]["netbox_cluster"]["name"],
        "beta"
    );
}

#[tokio::test]
async fn inline_mac_address_becomes_the_primary_one() {
    let standin = standin().await;
    let Estate { interface, .. } = estate(&standin);
    let path = format!("{INTERFACES}{interface}/");
    let (status, body) = send(&standin, "PATCH", &path, &json!({"mac_address": "bc24.1100.0001"})).await;
    assert_eq!(
        (status, &body["primary_mac_address"]["mac_address"]),
        (200, &json!("BC:24:11:00:00:01"))
    );
    assert_eq!(body["mac_addresses"].as_array().unwrap().len(), 1);
    let path = "/api/dcim/mac-addresses/?mac_address=BC-24-11-00-00-01&fields=is_primary";
    let (_, body) = send(&standin, "GET", path, &Value::Null).await;
    assert_eq!(body["results"], json!([{"is_primary": true}]));
}

#[tokio::test]
async fn faults_strike_the_requests_they_were_set_for() {
    let standin = standin().await;
    let (client, faults) = (client(&standin), standin.faults());
    let row = |name: &str| json!({"name": name, "slug": name});
    faults.add(FaultRule::on(TAGS, Fault::Status(503)).only(2));
    client.list::<Value>(TAGS, &Query::new()).await.unwrap();
    let error = client.list::<Value>(TAGS, &Query::new()).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { status: 503, .. }), "{error:?}");
    faults.add(FaultRule::on(TAGS, Fault::LoseAnswer).method("POST").only(1));
    let error = client.create(TAGS, &[row("a")]).await.unwrap_err();
    assert!(matches!(error, WriteError::Uncertain(_)), "{error:?}");
    assert_eq!(standin.count(TAGS), 1, "the answer was lost, not the row");
    faults.refuse_row(TAGS, "b", "name", "No.");
    let error = client.create(TAGS, &[row("b"), row("c")]).await.unwrap_err();
    assert!(
        matches!(&error, WriteError::Rows { refused, .. } if refused[0].to_string() == "name: No."),
        "{error:?}"
    );
    faults.clear();
    faults.kill_after(1);
    client.create(TAGS, &[row("d")]).await.unwrap();
    client.create(TAGS, &[row("e")]).await.unwrap_err();
    assert_eq!(standin.count(TAGS), 2, "a killed NetBox does nothing");
}

#[tokio::test]
async fn state_is_blind_to_numbers_and_times_only() {
    let (one, two) = (standin().await, standin().await);
    estate(&one);
    two.seed(SITES, &json!({"name": "gone", "slug": "gone"})).unwrap();
    two.remove(SITES, 1).unwrap();
    estate(&two);
    assert_ne!(one.rows(SITES)[0]["id"], two.rows(SITES)[0]["id"]);
    assert_eq!(one.fingerprint(), two.fingerprint());
    assert_eq!(
        one.state()["virtualization/interfaces"]["web|net0"]["virtual_machine"],
        "web"
    );
    two.change(SITES, 2, &json!({"description": "moved"})).unwrap();
    assert_ne!(one.fingerprint(), two.fingerprint());
}

#[tokio::test]
async fn requests_are_told_and_seeds_are_not() {
    let standin = standin().await;
    seed_tags(&standin, 3);
    let client = client(&standin);
    client.list::<Value>(TAGS, &Query::new()).await.unwrap();
    let rows: Vec<Value> = standin.rows(TAGS);
    client
        .update(TAGS, &[json!({"id": rows[0]["id"], "description": "x"})])
        .await
        .unwrap();
    let told: Vec<_> = standin
        .requests()
        .iter()
        .map(|request| (request.method.clone(), request.rows))
        .collect();
    assert_eq!(told, [("GET".to_owned(), 3), ("PATCH".to_owned(), 1)]);
    assert_eq!(standin.writes().len(), 1);
    assert_eq!(standin.writes()[0].status, 200);
    standin.clear_requests();
    assert!(standin.requests().is_empty());
}

/// Object by object: a name that permissions do not know would never be found constrained.
#[test]
fn models_of_objects_are_those_of_their_paths() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/netbox/objects");
    let mut count = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let file = file.unwrap().path();
        let text = std::fs::read_to_string(&file).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        if !code.contains("Object for") && !code.contains("Kind for") {
            continue;
        }
        let lines = code
            .lines()
            .filter(|line| line.contains("MODEL") || line.contains("\"/api/"));
        let literals: Vec<&str> = lines.flat_map(|line| line.split('"').skip(1).step_by(2)).collect();
        let of = |is_one: fn(&collections::Rules, &str) -> bool| {
            let rules = collections::COLLECTIONS.iter();
            let models = rules.filter(|rules| literals.iter().any(|literal| is_one(rules, literal)));
            models.map(|rules| rules.model).collect::<Vec<_>>()
        };
        let by_path = of(|rules, literal| literal == format!("/api/{}/", rules.path));
        let by_name = of(|rules, literal| literal == rules.model);
        assert_eq!(by_name, by_path, "{}", file.display());
        count += by_name.len();
    }
    assert!(count > 40, "only {count} models");
}

#[tokio::test]
async fn permissions_are_told_in_the_shape_of_netbox() {
    let account = Account::superuser(TOKEN)
        .with_rights(&[("dcim/sites", &[Action::View, Action::Add])])
        .constrained("dcim/sites", &json!({"name": "lab"}));
    let options = |account: Account| StandinOptions {
        accounts: vec![account],
        ..StandinOptions::default()
    };
    let standin = Standin::start(options(account)).await.unwrap();
    let (_, user) = send(&standin, "GET", "/api/authentication-check/", &Value::Null).await;
    let base = standin.base_url();
    let brief = json!({
        "id": 1, "url": format!("{base}/api/users/permissions/1/"), "display": "dcim/sites", "name": "dcim/sites",
        "description": "", "enabled": true, "object_types": ["dcim.site"], "actions": ["view", "add"],
    });
    assert_eq!((&user["groups"], &user["permissions"]), (&json!([]), &json!([brief])));
    assert_eq!((&user["username"], user.get("is_superuser")), (&json!("sync"), None));
    let path = "/api/users/permissions/?fields=id,constraints,users";
    let (status, _) = send(&standin, "GET", path, &Value::Null).await;
    assert_eq!(status, 403);

    let (_, admin) = send(
        &self::standin().await,
        "GET",
        "/api/authentication-check/",
        &Value::Null,
    )
    .await;
    assert_eq!(
        (&admin["username"], &admin["permissions"]),
        (&json!("admin"), &json!([]))
    );

    let account = Account::superuser(TOKEN)
        .with_each_right()
        .constrained("dcim/sites", &json!({"name": "lab"}));
    let standin = Standin::start(options(account)).await.unwrap();
    let (status, page) = send(&standin, "GET", path, &Value::Null).await;
    assert_eq!(status, 200);
    let row = &page["results"][0];
    assert_eq!((&row["id"], &row["constraints"]), (&json!(1), &json!({"name": "lab"})));
    assert_eq!(row["users"][0]["id"], user["id"]);
    assert_eq!(row.get("actions"), None);
}
