//! What the plugin's job reads of Proxmox before its stages.

#![expect(clippy::unwrap_used, reason = "a test stops where an answer has another shape")]

use proxbox_api::proxmox::mock::world::GuestStatus;
use proxbox_api::proxmox::mock::{AUDITOR_TOKEN, EMPTY_TOKEN, MockOptions, MockProxmox, Release, World};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::proxmox_endpoints::{mock, pushed, store, with};
use crate::support::{TestApp, answer};

/// A service with one endpoint on a mock of two nodes.
async fn paired() -> (TestApp, MockProxmox, i64) {
    let (app, mock) = (TestApp::start().await, mock().await);
    let id = store(&app, &pushed("alpha (nb:1)", &mock)).await;
    (app, mock, id)
}

async fn read(app: &TestApp, path: &str) -> Value {
    let (status, body) = app.get(path).await;
    assert_eq!(status, StatusCode::OK, "{path}: {body}");
    body
}

fn keys(row: &Value) -> Vec<&str> {
    row.as_object().unwrap().keys().map(String::as_str).collect()
}

#[tokio::test]
async fn cluster_status_holds_the_cluster_and_every_node() {
    let (app, _mock, id) = paired().await;
    let body = read(&app, &format!("/proxmox/cluster/status?proxmox_endpoint_ids={id}")).await;
    let cluster = &body[0];
    assert_eq!(
        keys(cluster),
        [
            "id",
            "name",
            "type",
            "nodes",
            "quorate",
            "version",
            "mode",
            "endpoint_name",
            "node_device_name_template",
            "db_endpoint_id",
            "endpoint_source",
            "domain",
            "ip_address",
            "http_port",
            "site_id",
            "site_slug",
            "site_name",
            "tenant_id",
            "tenant_slug",
            "tenant_name",
            "node_list",
        ]
    );
    let read = |key: &str| cluster[key].clone();
    assert_eq!(
        (read("name"), read("nodes"), read("mode")),
        (json!("lab"), json!(2), json!("cluster"))
    );
    assert_eq!(
        (read("type"), read("quorate"), read("db_endpoint_id")),
        (json!("cluster"), json!(true), json!(id))
    );
    let nodes: Vec<_> = cluster["node_list"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| (&node["name"], &node["online"]))
        .collect();
    assert_eq!(nodes, [(&json!("pve1"), &json!(true)), (&json!("pve2"), &json!(true))]);
    assert_eq!(
        keys(&cluster["node_list"][0]),
        ["id", "name", "type", "ip", "level", "local", "nodeid", "online"]
    );
    let (app, mock, _) = paired().await;
    mock.faults().node_down("pve2");
    let body = self::read(&app, "/proxmox/cluster/status").await;
    assert_eq!(
        body[0]["node_list"][1]["online"], false,
        "an offline node is still a member: {body}"
    );
}

#[tokio::test]
async fn nodes_are_all_there_each_below_its_cluster() {
    let (app, _mock, id) = paired().await;
    let body = read(&app, &format!("/proxmox/nodes/?proxmox_endpoint_ids={id}")).await;
    let names: Vec<_> = body
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["lab"]["node"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["pve1", "pve2"]);
    let node = &body[0]["lab"];
    for key in ["cpu", "maxcpu", "mem", "maxmem", "disk", "maxdisk", "uptime"] {
        assert!(node[key].is_number(), "{key}: {node}");
    }
    assert!(
        node["ssl_fingerprint"].is_string() && node["status"] == "online",
        "{node}"
    );
}

#[tokio::test]
async fn resource_rows_are_flat_and_declare_every_key() {
    let (app, mock, id) = paired().await;
    mock.faults().numbers_as_text(true);
    let query = format!("type=vm&source=database&proxmox_endpoint_ids={id}");
    let body = read(&app, &format!("/proxmox/cluster/resources?{query}")).await;
    let rows = body[0]["lab"].as_array().unwrap();
    assert_eq!(rows.len(), 12);
    for row in rows {
        assert!(
            row.as_object()
                .unwrap()
                .values()
                .all(|value| !value.is_array() && !value.is_object()),
            "{row}"
        );
        assert_eq!(
            keys(row)[..20],
            [
                "cgroup_mode",
                "content",
                "cpu",
                "disk",
                "hastate",
                "id",
                "level",
                "maxcpu",
                "maxdisk",
                "maxmem",
                "mem",
                "name",
                "node",
                "plugintype",
                "pool",
                "status",
                "storage",
                "type",
                "uptime",
                "vmid",
            ]
        );
        assert!(
            row["vmid"].is_u64() && row["maxmem"].is_u64() && row["template"].is_boolean(),
            "{row}"
        );
    }
    let (status, _) = app.get("/proxmox/cluster/resources?type=pool").await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn sessions_and_version_name_the_cluster_and_no_credential() {
    let (app, _mock, _) = paired().await;
    let body = read(&app, "/proxmox/sessions").await;
    assert_eq!(
        keys(&body[0]),
        [
            "ip_address",
            "domain",
            "http_port",
            "user",
            "name",
            "mode",
            "proxmox_version",
            "schema_release",
            "schema_status"
        ]
    );
    assert_eq!((&body[0]["name"], &body[0]["mode"]), (&json!("lab"), &json!("cluster")));
    let body = read(&app, "/proxmox/version").await;
    assert_eq!(body[0]["lab"]["release"], "9.2", "{body}");
    assert_eq!(
        app.get("/proxmox/version?proxmox_endpoint_ids=77").await.0,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn firewall_is_told_under_both_families_of_names() {
    let (app, mock, id) = paired().await;
    let query = format!("source=database&proxmox_endpoint_ids={id}");
    let body = read(&app, &format!("/proxmox/firewall/summary?{query}")).await;
    let entry = &body[0];
    assert_eq!(
        (&entry["cluster_name"], &entry["status"]),
        (&json!("lab"), &json!("ok"))
    );
    for (ours, theirs) in [
        ("rules", "datacenter_rules"),
        ("ip_sets", "datacenter_ipsets"),
        ("aliases", "datacenter_aliases"),
    ] {
        assert!(!entry[ours].as_array().unwrap().is_empty(), "{ours}: {entry}");
        assert_eq!(entry[ours], entry[theirs]);
    }
    assert!(
        entry["rules"]
            .as_array()
            .unwrap()
            .iter()
            .all(|rule| rule["pos"].is_u64() && rule["enable"].is_boolean())
    );
    assert!(entry["security_groups"][0]["rules"].is_array(), "{entry}");
    assert!(entry["ip_sets"][0]["entries"][0]["cidr"].is_string(), "{entry}");
    assert!(entry["options"]["enable"].is_number(), "{entry}");
    let rules = read(&app, &format!("/proxmox/firewall/nodes/pve1/rules?{query}")).await;
    let count = mock
        .world()
        .read(|world| world.firewall.node_rules.get("pve1").map_or(0, Vec::len));
    assert_eq!(rules.as_array().unwrap().len(), count);
    assert!(
        rules
            .as_array()
            .unwrap()
            .iter()
            .all(|rule| rule["cluster_name"].is_null()),
        "{rules}"
    );
    assert_eq!(
        app.get("/proxmox/firewall/nodes/absent/rules").await.0,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn firewall_that_cannot_be_read_is_no_empty_firewall() {
    let (app, mock, _) = paired().await;
    mock.faults()
        .fail("/cluster/firewall/ipset", 500, "no such thing today");
    let (status, body) = app.get("/proxmox/firewall/summary").await;
    assert_eq!(status, StatusCode::BAD_GATEWAY, "{body}");
    assert_eq!(body["detail"]["reason"], "proxmox_server_error", "{body}");
}

#[tokio::test]
async fn cpu_models_of_a_release_without_them_are_none() {
    let app = TestApp::start().await;
    let old = MockOptions {
        release: Release::V9_1,
        ..MockOptions::default()
    };
    let old = MockProxmox::start(old, World::estate(1, 2)).await.unwrap();
    let new = mock().await;
    let (old_id, new_id) = (
        store(&app, &pushed("old", &old)).await,
        store(&app, &pushed("new", &new)).await,
    );
    let path = |id| format!("/proxmox/datacenter/cpu-models?proxmox_endpoint_ids={id}");
    assert_eq!(read(&app, &path(old_id)).await, json!([]));
    let body = read(&app, &path(new_id)).await;
    assert_eq!(
        (&body[0]["cluster_name"], &body[0]["cputype"]),
        (&json!("lab"), &json!("custom-lab-cpu"))
    );
}

#[tokio::test]
async fn guest_config_is_found_by_the_endpoints_name() {
    let (app, mock, _) = paired().await;
    let (vmid, node, kind) = mock.world().read(|world| {
        let guest = world.guests.values().next().unwrap();
        (guest.vmid, guest.node.clone(), guest.kind.as_str())
    });
    let path = |vmid: u32| format!("/proxmox/{node}/{kind}/{vmid}/config?source=database&name=alpha%20%28nb%3A1%29");
    let body = read(&app, &path(vmid)).await;
    assert!(
        body["digest"].is_string() && body["disks"].is_array() && body["networks"].is_array(),
        "{body}"
    );
    assert!(
        body.get("cipassword").is_none() && body.get("sshkeys").is_none(),
        "{body}"
    );
    let (status, body) = app.get(&path(99_999)).await;
    assert_eq!(
        (status, &body["message"]),
        (StatusCode::BAD_REQUEST, &json!("VM Config not found.")),
        "{body}"
    );
    let (status, _) = app.get(&format!("/proxmox/{node}/docker/{vmid}/config")).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn scope_is_a_hard_filter_and_a_wrong_one_is_refused() {
    let (app, _mock, id) = paired().await;
    for (query, count) in [
        (String::new(), 1),
        (format!("proxmox_endpoint_ids={id}"), 1),
        (format!("endpoint_ids={id}"), 1),
        ("proxmox_endpoint_ids=77".to_owned(), 0),
        (format!("endpoint_ids={id}&proxmox_endpoint_ids=77"), 0),
        ("ip_address=127.0.0.1&name=nobody".to_owned(), 1),
    ] {
        let body = read(&app, &format!("/proxmox/cluster/status?{query}")).await;
        assert_eq!(body.as_array().unwrap().len(), count, "{query}: {body}");
    }
    for query in [
        "source=foo",
        "proxmox_endpoint_ids=x",
        "proxmox_endpoint_ids=,",
        "name=nobody",
        "domain=nowhere",
    ] {
        let (status, body) = app.get(&format!("/proxmox/cluster/status?{query}")).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{query}: {body}");
        assert!(
            body["message"].is_string() && body["detail"].is_string(),
            "{query}: {body}"
        );
    }
    let (status, _) = app
        .put(&format!("/proxmox/endpoints/{id}"), &json!({"enabled": false}))
        .await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        read(&app, "/proxmox/cluster/status").await,
        json!([]),
        "a disabled endpoint is never asked"
    );
}

#[tokio::test]
async fn dead_endpoint_does_not_stop_the_others_and_is_named() {
    let (app, _mock, _) = paired().await;
    let dead = mock().await;
    let dead_id = store(&app, &pushed("beta (nb:2)", &dead)).await;
    dead.faults().endpoint_down(true);
    let response = app
        .request(Method::GET, "/proxmox/cluster/status")
        .send()
        .await
        .unwrap();
    let named = response.headers()["x-proxbox-endpoint-errors"]
        .to_str()
        .unwrap()
        .to_owned();
    assert_eq!(
        named,
        json!({"failed": 1, "ids": [dead_id], "truncated": false}).to_string()
    );
    let (status, body) = answer(response).await;
    assert_eq!((status, body.as_array().unwrap().len()), (StatusCode::OK, 1), "{body}");
    let (status, body) = app
        .get(&format!("/proxmox/cluster/status?proxmox_endpoint_ids={dead_id}"))
        .await;
    assert_eq!(status, StatusCode::BAD_GATEWAY, "{body}");
    assert_eq!(
        (&body["detail"]["endpoint_id"], &body["detail"]["endpoint"]),
        (&json!(dead_id), &json!("beta (nb:2)"))
    );
}

#[tokio::test]
async fn missing_privilege_is_a_gateway_error_and_no_401() {
    let (app, mock, _) = paired().await;
    let empty = EMPTY_TOKEN.split_once('!').unwrap().1;
    let id = store(&app, &with(pushed("limited", &mock), &json!({"token_name": empty}))).await;
    let (status, body) = app
        .get(&format!("/proxmox/cluster/status?proxmox_endpoint_ids={id}"))
        .await;
    assert_eq!(status, StatusCode::BAD_GATEWAY, "{body}");
    assert_eq!(body["detail"]["reason"], "proxmox_permission_denied", "{body}");
    assert!(
        body["detail"]["error"].as_str().unwrap().contains("Sys.Audit"),
        "{body}"
    );
    let body = read(&app, &format!("/proxmox/sessions?proxmox_endpoint_ids={id}")).await;
    assert_eq!(
        (&body[0]["mode"], &body[0]["name"]),
        (&json!("restricted"), &json!("limited")),
        "never an address"
    );
    let (user, token) = AUDITOR_TOKEN.split_once('!').unwrap();
    let auditor = with(
        pushed("auditor", &mock),
        &json!({"username": user, "token_name": token}),
    );
    let id = store(&app, &auditor).await;
    read(&app, &format!("/proxmox/cluster/status?proxmox_endpoint_ids={id}")).await;
}

/// Proxmox does not say of guests without figures whether they are templates.
#[tokio::test]
async fn templates_are_told_although_their_figures_are_missing() {
    let (app, mock, id) = paired().await;
    let guests = mock.world().change(|world| {
        let mut on_first = world.guests.values_mut().filter(|guest| guest.node == "pve1");
        let (template, plain) = (on_first.next().unwrap(), on_first.next().unwrap());
        (template.template, plain.template) = (true, false);
        (template.status, plain.status) = (GuestStatus::Unknown, GuestStatus::Unknown);
        (template.vmid, plain.vmid)
    });
    let url = format!("/proxmox/cluster/resources?type=vm&proxmox_endpoint_ids={id}");
    let told = |body: &Value| {
        let rows = body[0]["lab"].as_array().unwrap().clone();
        let of = |vmid: u32| rows.iter().find(|row| row["vmid"] == vmid).unwrap()["template"].clone();
        (of(guests.0), of(guests.1))
    };
    assert_eq!(told(&read(&app, &url).await), (json!(true), json!(false)));

    mock.world().change(|world| world.nodes[0].online = false);
    mock.clear_requests();
    assert_eq!(told(&read(&app, &url).await), (json!(true), json!(true)));
    let asked = mock.requests();
    assert!(
        asked.iter().all(|request| !request.path.contains("/pve1/")),
        "{asked:?}"
    );
}
