//! The Proxmox API through us: targets, parameters, refusals, writes and their journal.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops where an answer has another shape"
)]

use std::time::Duration;

use proxbox_api::proxmox::mock::{Fault, FaultRule, MockProxmox, TOKEN_SECRET};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::proxmox_endpoints::{mock, pushed, store, with};
use crate::support::{TestApp, answer};

/// A service with one endpoint that allows changes, on a mock of two nodes.
pub(crate) async fn writable() -> (TestApp, MockProxmox, i64) {
    let (app, mock) = (TestApp::start().await, mock().await);
    let body = with(pushed("alpha (nb:1)", &mock), &json!({"allow_writes": true}));
    let id = store(&app, &body).await;
    (app, mock, id)
}

async fn write(app: &TestApp, method: Method, path: &str, body: &Value) -> (StatusCode, Value) {
    let request = app.request(method, path).header("X-Proxbox-Actor", "jane").json(body);
    answer(request.send().await.unwrap()).await
}

pub(crate) async fn journal(app: &TestApp) -> Vec<Value> {
    let (status, body) = app.get("/admin/write-journal").await;
    assert_eq!(status, StatusCode::OK, "{body}");
    body["entries"].as_array().unwrap().clone()
}

/// A guest of the mock: kind, node and number.
pub(crate) fn guest(mock: &MockProxmox) -> (String, u32) {
    mock.world().read(|world| {
        let wanted =
            |guest: &&proxbox_api::proxmox::mock::Guest| guest.is_running() && guest.lock.is_none() && !guest.template;
        let mut guests = world.guests.values().filter(wanted);
        let found = guests.find(|guest| guest.kind.as_str() == "qemu").unwrap();
        (found.node.clone(), found.vmid)
    })
}

#[tokio::test]
async fn read_is_answered_without_the_envelope_under_every_tag() {
    let (app, mock, _) = writable().await;
    let (node, vmid) = guest(&mock);
    for tag in ["", "latest/", "8.1/", "8.3/", "9.1/", "9.2/"] {
        let path = format!("/proxmox/api2/{tag}nodes/{node}/qemu/{vmid}/config");
        let (status, body) = app.get(&path).await;
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
        assert!(body["digest"].is_string(), "{body}");
    }
    let (status, body) = app.get("/proxmox/api2/latest/version").await;
    assert_eq!((status, &body["release"]), (StatusCode::OK, &json!("9.2")));
}

#[tokio::test]
async fn time_zone_is_read_as_the_plugin_asks_for_it() {
    let (app, _mock, _) = writable().await;
    let path = "/proxmox/api2/nodes/pve1/time?source=database&target_name=alpha%20(nb%3A1)";
    let (status, body) = app.get(path).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert!(body["timezone"].is_string(), "{body}");
}

#[tokio::test]
async fn paths_outside_the_release_are_not_found() {
    let (app, _mock, _) = writable().await;
    for path in [
        "7.4/version",
        "nowhere",
        "latest/nodes/pve1/nothing",
        "latest/",
        "latest/version/",
        "8.3/cluster/ha/rules",
    ] {
        let (status, body) = app.get(&format!("/proxmox/api2/{path}")).await;
        assert_eq!(
            (status, body),
            (StatusCode::NOT_FOUND, json!({"detail": "Not Found"})),
            "{path}"
        );
    }
    let (status, _) = write(&app, Method::PATCH, "/proxmox/api2/latest/version", &json!({})).await;
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
    let (status, _) = app.get("/proxmox/api2/latest/nodes/a..b/status").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn endpoint_must_be_named_where_there_are_several() {
    let (app, mock) = (TestApp::start().await, mock().await);
    let version = |query: &str| format!("/proxmox/api2/latest/version{query}");
    let (status, body) = app.get(&version("")).await;
    let none = json!("No Proxmox endpoints found for generated proxy route.");
    assert_eq!((status, &body["message"]), (StatusCode::BAD_REQUEST, &none));
    let alpha = store(&app, &pushed("alpha (nb:1)", &mock)).await;
    store(&app, &pushed("beta (nb:2)", &mock)).await;
    let (status, body) = app.get(&version("")).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
    assert!(
        body["message"]
            .as_str()
            .unwrap()
            .starts_with("Multiple Proxmox endpoints configured")
    );
    for query in [
        format!("?endpoint_id={alpha}"),
        "?target_name=beta%20(nb%3A2)".to_owned(),
        format!("?target_ip_address=127.0.0.1&endpoint_id={alpha}"),
    ] {
        assert_eq!(app.get(&version(&query)).await.0, StatusCode::OK, "{query}");
    }
    for query in ["?endpoint_id=99", "?target_name=gamma", "?target_domain=x.example"] {
        assert_eq!(app.get(&version(query)).await.0, StatusCode::BAD_REQUEST, "{query}");
    }
    let (status, body) = app.get(&version("?target_ip_address=127.0.0.1")).await;
    let shared = json!("Multiple Proxmox endpoints have this ip_address.");
    assert_eq!((status, &body["message"]), (StatusCode::BAD_REQUEST, &shared));
    for query in ["?source=elsewhere", "?endpoint_id=x"] {
        assert_eq!(
            app.get(&version(query)).await.0,
            StatusCode::UNPROCESSABLE_ENTITY,
            "{query}"
        );
    }
}

#[tokio::test]
async fn change_of_the_endpoint_is_seen_by_the_next_request() {
    let (app, mock, id) = writable().await;
    let row = format!("/proxmox/endpoints/{id}");
    let read = async || app.get("/proxmox/api2/latest/nodes").await.0;
    assert_eq!(read().await, StatusCode::OK);
    let revoked = "00000000-0000-4000-8000-000000000000";
    for (members, wanted) in [
        (json!({"token_value": revoked}), StatusCode::BAD_GATEWAY),
        (json!({"token_value": TOKEN_SECRET}), StatusCode::OK),
        (json!({"enabled": false}), StatusCode::BAD_REQUEST),
        (json!({"enabled": true}), StatusCode::OK),
    ] {
        let (status, body) = app.put(&row, &members).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        assert_eq!(read().await, wanted, "{members}");
    }
    let (node, vmid) = guest(&mock);
    let path = format!("/proxmox/api2/latest/nodes/{node}/qemu/{vmid}/config");
    let change = async || write(&app, Method::PUT, &path, &json!({"cores": 2})).await.0;
    assert_eq!(change().await, StatusCode::OK);
    app.put(&row, &json!({"allow_writes": false})).await;
    assert_eq!(change().await, StatusCode::FORBIDDEN);
    app.delete(&row).await;
    assert_eq!(read().await, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn flags_go_as_0_and_1_and_the_tasks_source_by_its_other_name() {
    let (app, mock, _) = writable().await;
    mock.clear_requests();
    assert_eq!(
        app.get("/proxmox/api2/latest/nodes/pve1/qemu?full=true").await.0,
        StatusCode::OK
    );
    let (status, _) = app
        .get("/proxmox/api2/latest/nodes/pve1/tasks?source=database&op_source=all&limit=2")
        .await;
    assert_eq!(status, StatusCode::OK);
    let sent: Vec<_> = mock.requests().into_iter().map(|request| request.query).collect();
    assert!(
        sent.contains(&"full=1".to_owned()) && sent.contains(&"source=all&limit=2".to_owned()),
        "{sent:?}"
    );
}

#[tokio::test]
async fn paged_list_tells_how_many_rows_there_are_in_all() {
    let (app, _mock, _) = writable().await;
    let response = app
        .request(Method::GET, "/proxmox/api2/latest/nodes/pve1/tasks?limit=1")
        .send()
        .await
        .unwrap();
    let total: usize = response.headers()["x-proxbox-total"].to_str().unwrap().parse().unwrap();
    let rows: Value = response.json().await.unwrap();
    assert!(rows.as_array().unwrap().len() == 1 && total > 1, "{total}");
}

#[tokio::test]
async fn invalid_parameter_is_named_and_nothing_is_sent() {
    let (app, mock, _) = writable().await;
    mock.clear_requests();
    let table: &[(Method, &str, Value, &str, &str)] = &[
        (Method::GET, "nodes/pve1/qemu?full=maybe", json!({}), "query", "full"),
        (Method::GET, "nodes/pve1/qemu?colour=red", json!({}), "query", "colour"),
        (Method::GET, "nodes/pve1/qemu/ninety/config", json!({}), "path", "vmid"),
        (Method::GET, "nodes/pve1/tasks?limit=-1", json!({}), "query", "limit"),
        (
            Method::PUT,
            "nodes/pve1/qemu/100/config",
            json!({"cores": 0}),
            "body",
            "cores",
        ),
        (
            Method::PUT,
            "nodes/pve1/qemu/100/config",
            json!({"net0": "model=none"}),
            "body",
            "net0",
        ),
        (Method::POST, "nodes/pve1/qemu", json!({"name": "x"}), "body", "vmid"),
        (
            Method::POST,
            "nodes/pve1/qemu",
            json!({"vmid": {"a": 1}}),
            "body",
            "vmid",
        ),
        (
            Method::PUT,
            "nodes/pve1/qemu/ninety/config",
            json!({"vmid": 100}),
            "body",
            "vmid",
        ),
        (
            Method::DELETE,
            "nodes/pve1/qemu/100?purge=maybe",
            json!({}),
            "query",
            "purge",
        ),
        (
            Method::DELETE,
            "cluster/sdn/ipams/pve?colour=red",
            json!({}),
            "query",
            "colour",
        ),
    ];
    for (method, path, body, place, name) in table {
        let (status, answer) = write(&app, method.clone(), &format!("/proxmox/api2/latest/{path}"), body).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{path}: {answer}");
        assert_eq!(answer["detail"][0]["loc"], json!([place, name]), "{path}: {answer}");
    }
    assert!(mock.requests().is_empty() && journal(&app).await.is_empty());
}

#[tokio::test]
async fn change_needs_a_name_and_the_endpoints_leave() {
    let (app, mock) = (TestApp::start().await, mock().await);
    let id = store(&app, &pushed("alpha (nb:1)", &mock)).await;
    let (node, vmid) = guest(&mock);
    let path = format!("/proxmox/api2/latest/nodes/{node}/qemu/{vmid}/config");
    mock.clear_requests();
    let (status, body) = app.put(&path, &json!({"cores": 2})).await;
    assert_eq!(
        (status, &body["detail"]["reason"]),
        (StatusCode::UNPROCESSABLE_ENTITY, &json!("actor_required"))
    );
    let (status, body) = write(&app, Method::PUT, &path, &json!({"cores": 2})).await;
    assert_eq!(
        (status, &body["reason"]),
        (StatusCode::FORBIDDEN, &json!("endpoint_writes_disabled"))
    );
    assert_eq!(body["endpoint_id"], json!(id));
    assert!(mock.requests().is_empty() && journal(&app).await.is_empty());
}

#[tokio::test]
async fn change_is_carried_out_seen_by_reads_and_stands_in_the_journal() {
    let (app, mock, id) = writable().await;
    let (node, vmid) = guest(&mock);
    let path = format!("/proxmox/api2/latest/nodes/{node}/qemu/{vmid}/config");
    let (status, body) = write(
        &app,
        Method::PUT,
        &path,
        &json!({"cores": 3, "onboot": true, "cipassword": "hunter2"}),
    )
    .await;
    assert_eq!((status, body), (StatusCode::OK, Value::Null));
    assert_eq!(app.get(&path).await.1["cores"], json!(3));
    let entries = journal(&app).await;
    let entry = &entries[0];
    let read = |key: &str| entry[key].clone();
    assert_eq!(
        (read("actor"), read("outcome"), read("status")),
        (json!("jane"), json!("done"), json!(200))
    );
    assert_eq!((read("method"), read("endpoint_id")), (json!("PUT"), json!(id)));
    assert_eq!(read("path"), json!(format!("nodes/{node}/qemu/{vmid}/config")));
    let told: Value = serde_json::from_str(entry["parameters"].as_str().unwrap()).unwrap();
    assert_eq!(told, json!({"cores": "3", "onboot": "1", "cipassword": "(not shown)"}));
}

#[tokio::test]
async fn form_and_query_are_taken_as_parameters_of_a_change_too() {
    let (app, mock, _) = writable().await;
    let (node, vmid) = guest(&mock);
    let path = format!("/proxmox/api2/latest/nodes/{node}/qemu/{vmid}/config");
    let request = app.request(Method::PUT, &format!("{path}?sockets=2"));
    let request = request.header("X-Proxbox-Actor", "jane").form(&[("cores", "4")]);
    assert_eq!(answer(request.send().await.unwrap()).await.0, StatusCode::OK);
    let (_, config) = app.get(&path).await;
    assert_eq!((&config["cores"], &config["sockets"]), (&json!(4), &json!(2)));
    let request = app
        .request(Method::PUT, &path)
        .header("X-Proxbox-Actor", "jane")
        .body("cores=4");
    let request = request.header("Content-Type", "text/plain");
    let (status, refusal) = answer(request.send().await.unwrap()).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{refusal}");
}

#[tokio::test]
async fn power_verb_starts_a_task_that_ends() {
    let (app, mock, _) = writable().await;
    let (node, vmid) = guest(&mock);
    let (status, upid) = write(
        &app,
        Method::POST,
        &format!("/proxmox/api2/nodes/{node}/qemu/{vmid}/status/stop"),
        &json!({}),
    )
    .await;
    assert_eq!(status, StatusCode::OK, "{upid}");
    let upid = upid.as_str().unwrap().to_owned();
    let task = format!("/proxmox/api2/nodes/{node}/tasks/{}/status", upid.replace('!', "%21"));
    assert_eq!(app.get(&task).await.1["status"], json!("running"));
    mock.clock().advance(Duration::from_secs(5));
    let (_, body) = app.get(&task).await;
    assert_eq!(
        (&body["status"], &body["exitstatus"]),
        (&json!("stopped"), &json!("OK"))
    );
    assert_eq!(journal(&app).await[0]["answer"], json!(upid));
}

/// What Proxmox answers, and what becomes of it.
const REFUSALS: &[(u16, &str, StatusCode, &str)] = &[
    (401, "No ticket", StatusCode::BAD_GATEWAY, "proxmox_auth_failed"),
    (
        403,
        "Permission check failed (/vms/100, VM.Audit)",
        StatusCode::BAD_GATEWAY,
        "proxmox_permission_denied",
    ),
    (
        500,
        "can't lock file - got timeout",
        StatusCode::CONFLICT,
        "proxmox_busy",
    ),
    (500, "VM 100 already exists", StatusCode::CONFLICT, "proxmox_conflict"),
    (
        500,
        "QEMU guest agent is not running",
        StatusCode::CONFLICT,
        "proxmox_guest_unavailable",
    ),
    (
        501,
        "Method not implemented",
        StatusCode::NOT_FOUND,
        "proxmox_not_implemented",
    ),
    (
        595,
        "No route to host",
        StatusCode::BAD_GATEWAY,
        "proxmox_node_unreachable",
    ),
    (
        596,
        "Connection timed out",
        StatusCode::GATEWAY_TIMEOUT,
        "proxmox_node_timeout",
    ),
];

#[tokio::test]
async fn refusals_have_the_status_of_their_class() {
    let (app, mock, _) = writable().await;
    let (node, vmid) = guest(&mock);
    let path = format!("/nodes/{node}/qemu/{vmid}/status/stop");
    for (upstream, text, status, reason) in REFUSALS {
        mock.faults().add(FaultRule {
            method: Some("POST".to_owned()),
            path: path.clone(),
            fault: Fault::Status(*upstream, (*text).to_owned()),
            times: Some(1),
        });
        let (answered, body) = write(&app, Method::POST, &format!("/proxmox/api2/latest{path}"), &json!({})).await;
        assert_eq!(
            (answered, &body["detail"]["reason"]),
            (*status, &json!(reason)),
            "{upstream} {text}: {body}"
        );
        assert_eq!(body["detail"]["upstream_status"], json!(upstream), "{body}");
        assert_eq!(
            body["detail"]["operation_id"],
            json!("post_nodes_node_qemu_vmid_status_stop")
        );
        let outcome = if *upstream == 596 { "unknown" } else { "refused" };
        let entry = &journal(&app).await[0];
        assert_eq!(
            (&entry["outcome"], &entry["status"]),
            (&json!(outcome), &json!(upstream)),
            "{entry}"
        );
    }
}

#[tokio::test]
async fn unknown_node_and_unknown_guest_are_told_apart_from_a_dead_node() {
    let (app, mock, _) = writable().await;
    for path in ["nodes/pve9/qemu", "nodes/pve1/qemu/99999/config"] {
        let (status, body) = app.get(&format!("/proxmox/api2/latest/{path}")).await;
        assert_eq!(
            (status, &body["detail"]["reason"]),
            (StatusCode::NOT_FOUND, &json!("proxmox_not_found")),
            "{path}: {body}"
        );
    }
    mock.faults().node_down("pve2");
    let (status, body) = app.get("/proxmox/api2/latest/nodes/pve2/qemu").await;
    assert_eq!(
        (status, &body["detail"]["reason"]),
        (StatusCode::BAD_GATEWAY, &json!("proxmox_node_unreachable")),
        "{body}"
    );
}

#[tokio::test]
async fn upload_passes_through_as_it_is() {
    let (app, mock, _) = writable().await;
    let boundary = "a-boundary";
    let file = "x".repeat(3 * 1024 * 1024);
    let body = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"content\"\r\n\r\niso\r\n--{boundary}\r\n\
         Content-Disposition: form-data; name=\"filename\"; filename=\"big.iso\"\r\n\r\n{file}\r\n--{boundary}--\r\n"
    );
    let path = "/proxmox/api2/latest/nodes/pve1/storage/local/upload";
    let request = app.request(Method::POST, path).header("X-Proxbox-Actor", "jane");
    let request = request
        .header("Content-Type", format!("multipart/form-data; boundary={boundary}"))
        .body(body);
    let (status, upid) = answer(request.send().await.unwrap()).await;
    assert_eq!(status, StatusCode::OK, "{upid}");
    assert!(upid.as_str().unwrap().starts_with("UPID:pve1:"), "{upid}");
    let requests = mock.requests();
    assert!(
        requests
            .iter()
            .any(|request| request.path.ends_with("/upload") && request.status == 200)
    );
    let entry = journal(&app).await[0].clone();
    assert_eq!(entry["outcome"], json!("done"));
    assert_eq!(entry["parameters"], r#"{"content":"iso","filename":"(not shown)"}"#);
}

/// Sends a form whose boundary is `x`.
async fn upload(app: &TestApp, path: &str, form: String) -> (StatusCode, Value) {
    let request = app.request(Method::POST, &format!("/proxmox/api2/latest/{path}"));
    let request = request
        .header("X-Proxbox-Actor", "jane")
        .header("Content-Type", "multipart/form-data; boundary=x");
    answer(request.body(form).send().await.unwrap()).await
}

#[tokio::test]
async fn upload_is_checked_by_the_description_before_it_is_sent() {
    const PLACE: &str = "nodes/pve1/storage/local/upload";
    const FILE: &str =
        "--x\r\nContent-Disposition: form-data; name=\"filename\"; filename=\"a.iso\"\r\n\r\nbytes\r\n--x--\r\n";
    let field =
        |name: &str, value: &str| format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
    let iso = field("content", "iso");
    let (app, mock, _) = writable().await;
    mock.clear_requests();
    for (path, fields, place, name) in [
        ("nodes/pve%201/storage/local/upload", iso.clone(), "path", "node"),
        (
            "nodes/pve1/storage/local/upload?colour=red",
            iso.clone(),
            "query",
            "colour",
        ),
        (
            "nodes/pve1/storage/local/upload?content=iso",
            iso.clone(),
            "query",
            "content",
        ),
        (PLACE, String::new(), "body", "content"),
        (PLACE, field("content", "backup"), "body", "content"),
        (PLACE, iso.clone() + &field("colour", "red"), "body", "colour"),
        (
            PLACE,
            iso.clone() + &field("checksum-algorithm", "crc"),
            "body",
            "checksum-algorithm",
        ),
        (PLACE, iso.clone() + "--x--\r\n", "body", "filename"),
    ] {
        let (status, body) = upload(&app, path, fields.clone() + FILE).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{path} {fields}: {body}");
        let detail = body["detail"].as_array().unwrap();
        let is_named = |problem: &Value| problem["loc"] == json!([place, name]);
        assert!(
            !detail.is_empty() && detail.iter().all(is_named),
            "{path} {fields}: {body}"
        );
    }
    let (status, body) = upload(&app, PLACE, "content=iso".to_owned()).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
    assert_eq!(body["detail"][0]["loc"], json!(["body"]), "{body}");
    assert!(mock.requests().is_empty() && journal(&app).await.is_empty());
}

#[tokio::test]
async fn each_release_has_a_document_of_its_own() {
    let (app, _mock, _) = writable().await;
    for (tag, count) in [("8.3", 600), ("9.1", 649), ("9.2", 675)] {
        let (status, document) = app.get(&format!("/proxmox/api2/{tag}/openapi.json")).await;
        assert_eq!(status, StatusCode::OK);
        let items = document["paths"].as_object().unwrap().values();
        let operations: usize = items.map(|item| item.as_object().unwrap().len()).sum();
        assert_eq!((operations, &document["info"]["version"]), (count, &json!(tag)));
        assert_eq!(
            app.get(&format!("/proxmox/viewer/openapi?version_tag={tag}")).await,
            (StatusCode::OK, document)
        );
    }
}

#[tokio::test]
async fn viewer_answers_what_is_at_hand_and_generates_nothing() {
    let app = TestApp::start().await;
    let (_, status) = app.get("/proxmox/viewer/schema-status").await;
    assert_eq!(
        status["available_versions"],
        json!(["8.1", "8.2", "8.3", "9.1", "9.2", "latest"])
    );
    let (_, status) = app.get("/proxmox/viewer/schema-status?version_tag=7.4").await;
    assert_eq!(
        status,
        json!({"version_tag": "7.4", "schema_available": false, "generation": null})
    );
    let refused = [
        ("/proxmox/viewer/openapi?version_tag=7.4", StatusCode::NOT_FOUND),
        ("/proxmox/viewer/openapi?regenerate=true", StatusCode::NOT_FOUND),
        (
            "/proxmox/viewer/openapi?version_tag=-",
            StatusCode::UNPROCESSABLE_ENTITY,
        ),
        (
            "/proxmox/viewer/openapi/embedded?version_tag=7.4",
            StatusCode::BAD_REQUEST,
        ),
        ("/proxmox/viewer/pydantic", StatusCode::NOT_FOUND),
    ];
    for (path, status) in refused {
        assert_eq!(app.get(path).await.0, status, "{path}");
    }
    let (status, body) = app.post("/proxmox/viewer/generate", &json!({})).await;
    assert_eq!(
        (status, body),
        (
            StatusCode::NOT_FOUND,
            json!({"detail": "Runtime code generation is disabled."})
        )
    );
    let (_, contracts) = app.get("/proxmox/viewer/integration/contracts").await;
    assert_eq!(contracts["proxmox_generated_path_count"], json!(444));
}
