//! Which release describes a request, and what the documents of the releases say.

#![expect(clippy::unwrap_used, reason = "a test stops where an answer has another shape")]

use std::fs;

use proxbox_api::proxmox::mock::{MockOptions, MockProxmox, Release, World};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::proxmox_endpoints::{pushed, store};
use crate::support::{TestApp, answer};

/// A service with one endpoint, on a mock of `release`.
async fn on(app: &TestApp, release: Release) -> MockProxmox {
    let options = MockOptions {
        release,
        ..MockOptions::default()
    };
    let mock = MockProxmox::start(options, World::estate(2, 12)).await.unwrap();
    store(app, &pushed("alpha (nb:1)", &mock)).await;
    mock
}

#[tokio::test]
async fn release_is_the_targets_own_where_none_is_named() {
    // A path of its release and later ones, and whether each of the releases has it.
    let table = [
        ("cluster/ha/resources", [true, true, true]),
        ("nodes/pve1/scan/glusterfs?server=192.0.2.1", [true, false, false]),
        ("cluster/ha/rules", [false, true, true]),
        ("cluster/qemu/custom-cpu-models", [false, false, true]),
    ];
    for (index, release) in [Release::V8_3, Release::V9_1, Release::V9_2].into_iter().enumerate() {
        let app = TestApp::start().await;
        let mock = on(&app, release).await;
        assert_eq!(app.get("/proxmox/api2/version").await.0, StatusCode::OK);
        for (path, is_known) in table {
            mock.clear_requests();
            let (status, body) = app.get(&format!("/proxmox/api2/{path}")).await;
            let (wanted, sent) = if is_known[index] {
                (StatusCode::OK, 1)
            } else {
                (StatusCode::NOT_FOUND, 0)
            };
            assert_eq!(status, wanted, "{release:?} {path}: {body}");
            let paths: Vec<_> = mock.requests().into_iter().map(|request| request.path).collect();
            assert_eq!(paths.len(), sent, "{release:?} {path}: {paths:?}");
        }
    }
}

#[tokio::test]
async fn release_that_the_target_does_not_have_is_told_apart_from_one_that_nobody_has() {
    let app = TestApp::start().await;
    let _mock = on(&app, Release::V8_3).await;
    let (status, body) = app.get("/proxmox/api2/9.2/cluster/ha/rules").await;
    let reason = json!("proxmox_not_implemented");
    assert_eq!((status, &body["detail"]["reason"]), (StatusCode::NOT_FOUND, &reason));
    assert_eq!(body["detail"]["upstream_status"], json!(501));
    let (status, body) = app.get("/proxmox/api2/9.3/version").await;
    assert_eq!((status, body), (StatusCode::NOT_FOUND, json!({"detail": "Not Found"})));
}

/// A folder as an operator may have it: a description of ours, one that is broken, and what the Python service left there.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let described = r#"{"release":"9.3","schemas":[{"type":"object"}],"paths":{"/version":{"GET":[0,0]}}}"#;
    fs::write(folder.path().join("9.3.json"), described).unwrap();
    fs::write(folder.path().join("9.4.json"), "<html>").unwrap();
    fs::write(folder.path().join("runtime_generated_routes_cache.json"), "{}").unwrap();
    fs::create_dir(folder.path().join("9.1")).unwrap();
    fs::write(folder.path().join("9.1/openapi.json"), "{}").unwrap();
    folder
}

#[tokio::test]
async fn folder_of_the_operator_adds_a_release_and_spoils_nothing() {
    let folder = folder();
    let app = TestApp::with(&[("PROXBOX_GENERATED_DIR", folder.path().to_str().unwrap())]).await;
    let _mock = on(&app, Release::V9_2).await;
    for (path, wanted) in [
        ("9.3/version", StatusCode::OK),
        ("9.3/nodes", StatusCode::NOT_FOUND),
        ("9.1/nodes", StatusCode::OK),
        ("nodes", StatusCode::OK),
        ("9.4/version", StatusCode::INTERNAL_SERVER_ERROR),
    ] {
        let (status, body) = app.get(&format!("/proxmox/api2/{path}")).await;
        assert_eq!(status, wanted, "{path}: {body}");
    }
    let (_, document) = app.get("/proxmox/viewer/openapi?version_tag=9.3").await;
    assert_eq!(
        (
            &document["info"]["version"],
            document["paths"].as_object().unwrap().len()
        ),
        (&json!("9.3"), 1)
    );
    let (_, status) = app.get("/proxmox/viewer/schema-status").await;
    let tags = status["available_versions"].as_array().unwrap();
    assert!(tags.contains(&json!("9.3")) && tags.contains(&json!("9.2")), "{tags:?}");
    let absent = folder.path().join("nowhere");
    let app = TestApp::with(&[("PROXBOX_GENERATED_DIR", absent.to_str().unwrap())]).await;
    assert_eq!(app.get("/proxmox/api2/9.2/openapi.json").await.0, StatusCode::OK);
}

#[tokio::test]
async fn codegen_routes_say_that_nothing_is_generated() {
    let app = TestApp::start().await;
    for (method, path) in [
        (
            Method::POST,
            "/proxmox/viewer/generate?version_tag=9.3&persist=true&workers=10",
        ),
        (Method::POST, "/proxmox/viewer/routes/refresh?version_tag=latest"),
        (Method::GET, "/proxmox/viewer/pydantic?version_tag=latest"),
    ] {
        let (status, body) = answer(app.request(method, path).send().await.unwrap()).await;
        assert!(
            status == StatusCode::NOT_FOUND && body["detail"].is_string(),
            "{path}: {status} {body}"
        );
    }
    let (status, body) = app.get("/proxmox/viewer/openapi/embedded").await;
    assert_eq!((status, &body["info"]["version"]), (StatusCode::OK, &json!("9.2")));
}

/// The names of what `operation` takes beside its body, as a client of the document reads them.
fn names(document: &Value, operation: &Value) -> Vec<String> {
    let parameters = operation["parameters"].as_array().unwrap().iter();
    let resolved = parameters.map(|parameter| match parameter["$ref"].as_str() {
        Some(place) => document.pointer(place.strip_prefix('#').unwrap()).unwrap(),
        None => parameter,
    });
    resolved
        .map(|parameter| parameter["name"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn document_names_parameters_as_they_are_given_here() {
    let app = TestApp::start().await;
    let (_, document) = app.get("/proxmox/api2/9.2/openapi.json").await;
    let tasks = names(&document, &document["paths"]["/nodes/{node}/tasks"]["get"]);
    for name in [
        "source",
        "op_source",
        "endpoint_id",
        "target_name",
        "target_domain",
        "target_ip_address",
        "node",
    ] {
        assert_eq!(tasks.iter().filter(|own| *own == name).count(), 1, "{name}: {tasks:?}");
    }
    let is_named = |path: &str, method: &str| {
        let names = names(&document, &document["paths"][path][method]);
        names.contains(&"X-Proxbox-Actor".to_owned())
    };
    assert!(!is_named("/nodes/{node}/tasks", "get"));
    assert!(is_named("/nodes/{node}/qemu", "post") && is_named("/nodes/{node}/tasks/{upid}", "delete"));
    let (_, own) = app.get("/openapi.json").await;
    for tag in ["8.3", "9.1", "9.2"] {
        let path = format!("/proxmox/api2/{tag}/openapi.json");
        assert!(
            own["externalDocs"]["description"].as_str().unwrap().contains(&path),
            "{path}"
        );
    }
}
