//! The first stages over HTTP, between a stand-in NetBox and a mock Proxmox.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops where an answer has another shape"
)]

use proxbox_api::netbox::standin::{Account, Fault, FaultRule, StandinOptions, TOKEN};
use proxbox_api::proxmox::mock::{PASSWORD, World};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::proxmox_endpoints::{mock, pushed, store, with};
use crate::support::TestApp;
use crate::world::{DEVICES, STORAGE, Trio, complete, frames, introduce, netbox_body};

/// The stages that are about the estate and not about single guests.
const INFRASTRUCTURE: [&str; 5] = [
    DEVICES,
    STORAGE,
    "/dcim/devices/interfaces/create",
    "/proxmox/replication",
    "/proxmox/cluster/backup",
];

fn names(rows: &[Value]) -> Vec<&str> {
    rows.iter().map(|row| row["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn devices_and_storage_reach_netbox_and_a_second_run_writes_nothing() {
    let trio = Trio::start().await;
    let streams = [DEVICES, STORAGE].map(|path| format!("{path}/stream?proxmox_endpoint_ids={}", trio.endpoint));
    for path in &streams {
        let frames = trio.stream(path).await;
        let end = complete(&frames);
        assert_eq!(end["ok"], true, "{path}: {end}");
        assert!(
            end["result"]["count"].as_u64().unwrap() > 0 && end["result"].get("degraded").is_none(),
            "{path}: {end}"
        );
        assert_eq!(
            (frames[0].0.as_str(), &frames[0].1["status"]),
            ("step", &json!("started")),
            "{path}"
        );
    }
    assert_eq!(names(&trio.netbox.rows("/api/dcim/devices/")), ["pve1", "pve2"]);
    let storages = trio.proxmox.world().read(|world| world.storages.len());
    assert_eq!(trio.netbox.count("/api/plugins/proxbox/storage/"), storages);
    trio.netbox.clear_requests();
    for path in &streams {
        let frames = trio.stream(path).await;
        let result = &complete(&frames)["result"];
        assert_eq!(
            (&result["created"], &result["updated"]),
            (&json!(0), &json!(0)),
            "{path}: {result}"
        );
    }
    assert_eq!(trio.netbox.writes(), [], "an unchanged estate writes nothing");
}

#[tokio::test]
async fn json_form_answers_the_records() {
    let trio = Trio::start().await;
    let (status, body) = trio.app.get(DEVICES).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert_eq!(names(body.as_array().unwrap()), ["pve1", "pve2"]);
    assert!(body[0]["id"].is_u64(), "{body}");
    let (_, status) = trio.app.get("/extras/bootstrap-status").await;
    assert_eq!(
        (&status["ok"], &status["skipped"]),
        (&json!(true), &json!(false)),
        "{status}"
    );
    assert!(!status["created"].as_array().unwrap().is_empty(), "{status}");
}

#[tokio::test]
async fn dry_run_tells_its_plan_and_writes_nothing() {
    let trio = Trio::start().await;
    trio.netbox.clear_requests();
    let (status, body) = trio.app.get(&format!("{DEVICES}?dry_run=true")).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert_eq!(body["dry_run"], true, "{body}");
    assert!(body["plan"].to_string().contains("pve1"), "{body}");
    let frames = trio.stream(&format!("{DEVICES}/stream?dry_run=true")).await;
    assert_eq!(complete(&frames)["result"]["dry_run"], true);
    assert_eq!(trio.netbox.writes(), []);
    assert_eq!(trio.netbox.count("/api/dcim/devices/"), 0);
}

#[tokio::test]
async fn request_that_is_not_possible_fails_before_the_stream() {
    let app = TestApp::start().await;
    let paths = [format!("{DEVICES}/stream"), "/full-update/stream".to_owned()];
    for path in &paths {
        let (status, body) = app.get(path).await;
        assert_eq!(
            (status, &body["message"]),
            (StatusCode::BAD_REQUEST, &json!("No NetBox endpoint is configured")),
            "{body}"
        );
    }
    let (_, body) = app.get("/extras/bootstrap-status").await;
    assert_eq!(body["reason"], "no_netbox_session", "{body}");
    let trio = Trio::start().await;
    for (query, expected) in [
        ("proxmox_endpoint_ids=x", StatusCode::BAD_REQUEST),
        ("source=foo", StatusCode::BAD_REQUEST),
        ("port=0", StatusCode::UNPROCESSABLE_ENTITY),
        ("port=65536", StatusCode::UNPROCESSABLE_ENTITY),
        ("overwrite_device_role=maybe", StatusCode::UNPROCESSABLE_ENTITY),
        ("fetch_max_concurrency=0", StatusCode::UNPROCESSABLE_ENTITY),
        ("netbox_vm_ids=", StatusCode::UNPROCESSABLE_ENTITY),
        ("netbox_vm_ids=9999", StatusCode::BAD_GATEWAY),
        ("netbox_id=77", StatusCode::BAD_REQUEST),
        ("netbox_branch_schema_id=no%20branch", StatusCode::BAD_REQUEST),
    ] {
        for path in &paths {
            let (status, body) = trio.app.get(&format!("{path}?{query}")).await;
            assert_eq!(status, expected, "{path} {query}: {body}");
        }
    }
    let (status, body) = trio
        .app
        .get("/virtualization/virtual-machines/9999/create/stream")
        .await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_eq!(
        body,
        json!({"detail": "Virtual machine id=9999 was not found in NetBox."})
    );
}

#[tokio::test]
async fn endpoint_that_is_not_there_is_an_empty_success_and_is_named() {
    let trio = Trio::start().await;
    trio.netbox.clear_requests();
    for path in INFRASTRUCTURE {
        let response = trio.open(&format!("{path}/stream?proxmox_endpoint_ids=77")).await;
        let named = response.headers()["x-proxbox-endpoint-errors"]
            .to_str()
            .unwrap()
            .to_owned();
        assert_eq!(named, r#"{"failed":1,"ids":[77],"truncated":false}"#, "{path}");
        let frames = frames(&response.text().await.unwrap());
        let end = complete(&frames);
        assert_eq!(end["ok"], true, "{path}: {end}");
        let warnings = &end["result"]["warnings"];
        let text = "endpoint 77 was left out: there is none with this id that is enabled";
        assert_eq!(*warnings, json!([{"message": text}]), "{path}: {end}");
        let counts = end["result"]
            .as_object()
            .unwrap()
            .values()
            .filter(|value| value.is_u64());
        assert!(counts.clone().count() > 0, "{path}: {end}");
        assert_eq!(counts.filter_map(Value::as_u64).sum::<u64>(), 0, "{path}: {end}");
    }
    assert_eq!(trio.netbox.writes(), []);
    let response = trio.open("/full-update?proxmox_endpoint_ids=1,77").await;
    let result: Value = response.json().await.unwrap();
    let warnings = result["warnings"].as_array().unwrap();
    let said = warnings
        .iter()
        .filter(|warning| warning["message"].as_str().unwrap().starts_with("endpoint 77 "));
    assert_eq!(said.count(), 1, "{warnings:#?}");
}

#[tokio::test]
async fn refused_row_is_named_and_the_others_are_written() {
    let trio = Trio::start().await;
    trio.netbox
        .faults()
        .refuse_row("dcim/devices", "pve1", "name", "This name is reserved.");
    let frames = trio.stream(&format!("{DEVICES}/stream")).await;
    let end = complete(&frames);
    assert_eq!(
        (&end["ok"], &end["result"]["failed"], &end["result"]["degraded"]),
        (&json!(true), &json!(1), &json!(true))
    );
    assert!(
        end["result"]["warnings"].to_string().contains("This name is reserved."),
        "{end}"
    );
    assert_eq!(names(&trio.netbox.rows("/api/dcim/devices/")), ["pve2"]);
    let (_, body) = trio.app.get(DEVICES).await;
    assert_eq!(
        (names(body["devices"].as_array().unwrap()), &body["failed"]),
        (vec!["pve2"], &json!(1)),
        "{body}"
    );
}

#[tokio::test]
async fn node_that_is_off_keeps_its_device() {
    let trio = Trio::start().await;
    trio.stream(&format!("{DEVICES}/stream")).await;
    trio.proxmox.faults().node_down("pve2");
    trio.netbox.clear_requests();
    let frames = trio.stream(&format!("{DEVICES}/stream")).await;
    assert_eq!(complete(&frames)["result"]["count"], 2);
    assert_eq!(trio.netbox.writes(), []);
}

#[tokio::test]
async fn endpoint_that_is_off_fails_alone() {
    let trio = Trio::start().await;
    let dead = mock().await;
    let plugin = introduce(&trio.netbox, "beta", &dead);
    let dead_id = store(&trio.app, &pushed(&format!("beta (nb:{plugin})"), &dead)).await;
    dead.faults().endpoint_down(true);
    let all = trio.stream(&format!("{DEVICES}/stream")).await;
    let end = complete(&all);
    assert_eq!(end["ok"], false, "{end}");
    let detail = end["errors"][0]["detail"].as_str().unwrap();
    assert!(detail.contains("beta") && !detail.contains("alpha"), "{detail}");
    assert_eq!(names(&trio.netbox.rows("/api/dcim/devices/")), ["pve1", "pve2"]);
    let (status, body) = trio.app.get(&format!("{DEVICES}?proxmox_endpoint_ids={dead_id}")).await;
    assert_eq!(status, StatusCode::BAD_GATEWAY, "{body}");
    assert_eq!(body["message"], "devices sync failed.");
}

#[tokio::test]
async fn each_fault_is_told_apart_in_the_stream() {
    let mut trio = Trio::start().await;
    let endpoint = format!("/proxmox/endpoints/{}", trio.endpoint);
    let good = pushed("alpha (nb:1)", &trio.proxmox);
    for (fault, members, category, words) in [
        (
            "wrong token",
            json!({"token_value": "nonsense"}),
            "authentication",
            "does not accept the credentials",
        ),
        (
            "wrong password",
            json!({"token_name": null, "token_value": null, "password": "nonsense"}),
            "authentication",
            "does not accept",
        ),
        (
            "missing privilege",
            json!({"token_name": "empty"}),
            "permission",
            "Sys.Audit",
        ),
        (
            "untrusted certificate",
            json!({"verify_ssl": true}),
            "connection",
            "SHA-256",
        ),
        ("unreachable host", json!({"port": 9}), "connection", "cannot connect"),
    ] {
        let (status, row) = trio.app.put(&endpoint, &with(good.clone(), &members)).await;
        assert_eq!(status, StatusCode::OK, "{fault}: {row}");
        assert_fault(&trio.stream(&format!("{DEVICES}/stream")).await, fault, category, words);
    }
    let (status, _) = trio.app.put(&endpoint, &good).await;
    assert_eq!(status, StatusCode::OK);
    let options = StandinOptions {
        accounts: vec![Account::superuser(TOKEN).read_only()],
        ..StandinOptions::default()
    };
    trio.restart_netbox(options).await;
    let frames = trio.stream(&format!("{DEVICES}/stream")).await;
    assert_fault(&frames, "NetBox token read-only", "permission", "lacks a right");
    let (status, _) = trio
        .app
        .put("/netbox/endpoint/1", &netbox_body(&trio.netbox, &"f".repeat(40)))
        .await;
    assert_eq!(status, StatusCode::OK);
    let frames = trio.stream(&format!("{DEVICES}/stream")).await;
    assert_fault(
        &frames,
        "NetBox token wrong",
        "authentication",
        "refuses the credentials",
    );
}

fn assert_fault(frames: &[(String, Value)], fault: &str, category: &str, words: &str) {
    let end = complete(frames);
    assert_eq!(end["ok"], false, "{fault}: {end}");
    assert!(
        end["errors"][0]["detail"].as_str().unwrap().contains(words),
        "{fault}: {end}"
    );
    let detail = frames.iter().find(|(event, _)| event == "error_detail");
    assert_eq!(detail.unwrap().1["category"], category, "{fault}");
}

#[tokio::test]
async fn client_that_leaves_stops_the_run_and_the_next_one_finishes_it() {
    let trio = Trio::with(&[], World::estate(2, 4)).await;
    trio.netbox
        .faults()
        .add(FaultRule::on("dcim/devices", Fault::Hang).method("GET"));
    let mut response = trio.open(&format!("{DEVICES}/stream")).await;
    let first = response.chunk().await.unwrap().unwrap();
    assert!(first.starts_with(b"event: step"), "{first:?}");
    let (_, active) = trio.app.get("/sync/active").await;
    assert_eq!(
        (&active["active"], &active["kind"]),
        (&json!(true), &json!("devices")),
        "{active}"
    );
    assert_eq!(
        active["runs"][0]["endpoints"],
        json!([format!("database:{}", trio.endpoint)])
    );
    drop(response);
    trio.netbox.faults().clear();
    trio.idle().await;
    assert_eq!(
        trio.netbox.count("/api/dcim/devices/"),
        0,
        "it stopped before its next write"
    );
    let frames = trio.stream(&format!("{DEVICES}/stream")).await;
    assert_eq!(complete(&frames)["ok"], true);
    assert_eq!(trio.netbox.count("/api/dcim/devices/"), 2);
}

#[tokio::test]
async fn run_can_be_cancelled_by_its_id() {
    let trio = Trio::start().await;
    trio.netbox
        .faults()
        .add(FaultRule::on("dcim/devices", Fault::Hang).method("GET"));
    let response = trio.open(&format!("{DEVICES}/stream")).await;
    let (_, active) = trio.app.get("/sync/active").await;
    let id = active["id"].as_str().unwrap().to_owned();
    let (status, _) = trio.app.delete(&format!("/sync/active/{id}")).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    let frames = frames(&response.text().await.unwrap());
    let end = complete(&frames);
    assert_eq!(
        (&end["ok"], &end["message"]),
        (&json!(false), &json!("devices sync cancelled.")),
        "{end}"
    );
    let (status, _) = trio.app.delete(&format!("/sync/active/{id}")).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn rows_of_netbox_select_endpoints_with_the_credentials_that_were_pushed() {
    let trio = Trio::start().await;
    let plugin = trio.netbox.rows("/api/plugins/proxbox/endpoints/proxmox/")[0]["id"]
        .as_u64()
        .unwrap();
    let (status, body) = trio
        .app
        .get(&format!(
            "/proxmox/cluster/status?source=netbox&proxmox_endpoint_ids={plugin}"
        ))
        .await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert_eq!(
        (&body[0]["endpoint_source"], &body[0]["db_endpoint_id"]),
        (&json!("netbox"), &json!(plugin))
    );
    let gamma = introduce(&trio.netbox, "gamma", &mock().await);
    let path = "/proxmox/cluster/status?source=netbox";
    let (status, body) = trio.app.get(&format!("{path}&proxmox_endpoint_ids={gamma}")).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
    assert!(
        body["detail"]["error"]
            .as_str()
            .unwrap()
            .contains("save it in the plugin first"),
        "{body}"
    );
    let (status, body) = trio.app.get(path).await;
    assert_eq!(
        (status, body.as_array().unwrap().len()),
        (StatusCode::OK, 1),
        "the other one is answered: {body}"
    );
}

#[tokio::test]
async fn single_host_is_synced_with_a_password() {
    let trio = Trio::with(&[], World::standalone("solo", 3)).await;
    let login = json!({"password": PASSWORD, "token_name": null, "token_value": null});
    let (status, row) = trio
        .app
        .put(&format!("/proxmox/endpoints/{}", trio.endpoint), &login)
        .await;
    assert_eq!(status, StatusCode::OK, "{row}");
    for path in [DEVICES, STORAGE] {
        let frames = trio.stream(&format!("{path}/stream")).await;
        assert_eq!(complete(&frames)["ok"], true, "{path}: {frames:?}");
    }
    assert_eq!(names(&trio.netbox.rows("/api/dcim/devices/")), ["solo"]);
    let clusters = trio.netbox.rows("/api/virtualization/clusters/");
    assert_eq!(
        (names(&clusters), &clusters[0]["type"]["slug"]),
        (vec!["solo"], &json!("standalone"))
    );
}

#[tokio::test]
async fn detached_run_goes_on_without_its_client() {
    let trio = Trio::start().await;
    let mut response = trio.open(&format!("{DEVICES}/stream?detach=true")).await;
    response.chunk().await.unwrap().unwrap();
    drop(response);
    trio.idle().await;
    assert_eq!(names(&trio.netbox.rows("/api/dcim/devices/")), ["pve1", "pve2"]);
}

#[tokio::test]
async fn supporting_objects_that_an_operator_removed_come_back_after_a_repair() {
    let trio = Trio::start().await;
    trio.stream(&format!("{DEVICES}/stream")).await;
    let tags = trio.netbox.rows("/api/extras/tags/");
    let gone = tags.iter().find(|tag| tag["slug"] == "proxbox-soft-deleted").unwrap();
    trio.netbox
        .remove("/api/extras/tags/", gone["id"].as_u64().unwrap())
        .unwrap();
    let (status, body) = trio.app.post("/extras/custom-fields/reconcile", &json!({})).await;
    assert_eq!((status, &body["ok"]), (StatusCode::OK, &json!(true)), "{body}");
    trio.stream(&format!("{DEVICES}/stream")).await;
    assert_eq!(trio.netbox.count("/api/extras/tags/"), tags.len());
}

#[tokio::test]
async fn head_starts_no_run() {
    let trio = Trio::start().await;
    trio.netbox.clear_requests();
    for path in [
        "/full-update",
        "/full-update/stream",
        DEVICES,
        STORAGE,
        "/health",
        "/version",
    ] {
        let answer = trio.app.request(Method::HEAD, path).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED, "{path}");
        assert_eq!(answer.headers()["allow"], "GET", "{path}");
    }
    assert_eq!(trio.netbox.requests(), []);
    let answer = trio.app.request(Method::HEAD, "/openapi.json").send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
}
