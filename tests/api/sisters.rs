//! Backup servers and datacenter managers: what is stored of them, and what is read from them.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops where an answer has another shape"
)]

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Query, Request};
use axum::http::header::AUTHORIZATION;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::Listener;
use proxbox_api::store::Sister;
use reqwest::{Method, StatusCode};
use rustls::pki_types::PrivatePkcs8KeyDer;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::proxmox_endpoints::{mock, pushed, store};
use crate::support::{TestApp, answer};

const TOKEN_ID: &str = "audit@pbs!netbox";
const SECRET: &str = "7d0c8a52-33f1-4c2e-9a57-0b6f6f1f2d11";

/// Connections of a port, after their handshake.
struct Tls {
    port: TcpListener,
    acceptor: TlsAcceptor,
}

impl Listener for Tls {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        loop {
            let (stream, address) = self.port.accept().await.unwrap();
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.port.local_addr()
    }
}

/// A server of a sister product with a certificate of its own.
struct Server {
    port: u16,
    fingerprint: String,
}

impl Server {
    /// Serves `routes` to whoever presents `authorization`; others are answered as a backup server answers them.
    async fn start(authorization: String, routes: Router) -> Self {
        let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let der = certified.cert.der().clone();
        let pairs: Vec<_> = Sha256::digest(&der).iter().map(|byte| format!("{byte:02x}")).collect();
        let key = PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der());
        let _ = rustls::crypto::ring::default_provider().install_default();
        let config = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(Vec::from([der]), key.into())
            .unwrap();
        let tls = Tls {
            port: TcpListener::bind("127.0.0.1:0").await.unwrap(),
            acceptor: TlsAcceptor::from(Arc::new(config)),
        };
        let port = tls.local_addr().unwrap().port();
        let guard = move |request: Request, next: Next| {
            let presented = request.headers().get(AUTHORIZATION).cloned();
            let is_right = presented.is_some_and(|presented| presented.as_bytes() == authorization.as_bytes());
            async move {
                if is_right {
                    next.run(request).await
                } else {
                    bare(StatusCode::UNAUTHORIZED, "authentication failed - invalid token")
                }
            }
        };
        let routes = Router::new().nest("/api2/json", routes).layer(from_fn(guard));
        tokio::spawn(async move { axum::serve(tls, routes).await });
        Self {
            port,
            fingerprint: pairs.join(":"),
        }
    }

    async fn backup_server() -> Self {
        Self::start(format!("PBSAPIToken={TOKEN_ID}:{SECRET}"), backup_server()).await
    }

    fn pushed(&self, name: &str) -> Value {
        json!({"name": name, "host": "localhost", "port": self.port, "token_id": TOKEN_ID, "token_secret": SECRET})
    }
}

/// An error of a backup server: bare text, whatever the content type says.
fn bare(status: StatusCode, text: &'static str) -> Response {
    (status, [("content-type", "application/json")], text).into_response()
}

fn answered(data: Value) -> axum::routing::MethodRouter {
    get(async move || axum::Json(json!({"data": data})))
}

/// Two datastores, one with namespaces, one that cannot be read.
fn backup_server() -> Router {
    let snapshots = async |Query(query): Query<BTreeMap<String, String>>| {
        let of = query.get("ns").map_or("vm/100", |_| "vm/200");
        axum::Json(json!({"data": [{"backup-id": of, "backup-time": 1}]}))
    };
    Router::new()
        .route(
            "/version",
            answered(json!({"version": "3.4", "release": "1", "repoid": "x"})),
        )
        .route(
            "/admin/datastore",
            answered(json!([{"store": "main", "comment": "tier 1"}, {"store": "broken"}])),
        )
        .route(
            "/admin/datastore/main/namespace",
            answered(json!([{"ns": ""}, {"ns": "site"}])),
        )
        .route("/admin/datastore/main/snapshots", get(snapshots))
        .route(
            "/admin/datastore/broken/namespace",
            get(async || bare(StatusCode::BAD_REQUEST, "datastore 'broken' is offline")),
        )
        .route("/config/verify", answered(json!([{"id": "v-1"}])))
        .route("/config/prune", answered(json!([{"id": "p-1"}, {"id": "p-2"}])))
        .route("/config/sync", answered(json!([])))
        .route("/config/tape-backup-job", answered(json!([])))
        .route("/nodes/localhost/status", answered(json!({"uptime": 5})))
}

/// The items of `path`.
async fn items(app: &TestApp, path: &str) -> Vec<Value> {
    let (status, body) = app.get(path).await;
    assert_eq!(status, StatusCode::OK, "{path}: {body}");
    body["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn endpoint_is_answered_with_every_key_but_the_secret_and_sealed_in_the_database() {
    for (family, product, port, is_verified) in [("pbs", "PBS", 8007, false), ("pdm", "PDM", 8443, true)] {
        let app = TestApp::start().await;
        let sent = json!({"name": "one", "host": "10.0.0.9", "token_id": TOKEN_ID, "token_secret": SECRET});
        let expected = json!({
            "id": 1, "name": "one", "host": "10.0.0.9", "port": port, "token_id": TOKEN_ID, "fingerprint": null,
            "verify_ssl": is_verified, "enabled": true, "timeout_seconds": 30, "allow_writes": false,
        });
        let path = format!("/{family}/endpoints");
        assert_eq!(app.post(&path, &sent).await, (StatusCode::OK, expected.clone()));
        assert_eq!(app.get(&path).await, (StatusCode::OK, json!([expected])));
        let (status, body) = app.post(&path, &sent).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
        assert!(body.to_string().contains("name already exists"), "{body}");
        let one = format!("{path}/1");
        let (status, row) = app
            .put(&one, &json!({"name": "two", "timeout_seconds": 9, "enabled": false}))
            .await;
        assert_eq!(status, StatusCode::OK, "{row}");
        assert_eq!(
            (&row["name"], &row["timeout_seconds"], &row["enabled"], &row["host"]),
            (&json!("two"), &json!(9), &json!(false), &json!("10.0.0.9"))
        );
        assert_eq!(app.get(&one).await, (StatusCode::OK, row));
        let file = std::fs::read(app.folder().join("database.db")).unwrap();
        let wal = std::fs::read(app.folder().join("database.db-wal")).unwrap_or_default();
        let is_there = |file: &[u8]| file.windows(SECRET.len()).any(|part| part == SECRET.as_bytes());
        assert!(!is_there(&file) && !is_there(&wal), "the secret stands in the database");
        let (status, body) = app.delete(&one).await;
        let message = format!("{product} endpoint deleted.");
        assert_eq!((status, body), (StatusCode::OK, json!({"message": message})));
        assert_eq!(app.get(&one).await.0, StatusCode::NOT_FOUND);
        let (_, row) = app.post(&path, &sent).await;
        assert_eq!(row["id"], 2, "an id is not given again");
    }
}

#[tokio::test]
async fn member_that_cannot_be_stored_is_named() {
    let app = TestApp::start().await;
    let good = json!({"name": "one", "host": "pbs.lab", "token_id": TOKEN_ID, "token_secret": SECRET});
    let long = "x".repeat(2001);
    for (field, value) in [
        ("name", json!("")),
        ("name", json!(null)),
        ("host", json!(" ")),
        ("port", json!(0)),
        ("token_id", json!("audit@pbs")),
        ("token_id", json!("audit!netbox")),
        ("token_secret", json!(long)),
        ("token_secret", json!(null)),
        ("fingerprint", json!("AB:CD")),
        ("timeout_seconds", json!(0)),
        ("timeout_seconds", json!(601)),
    ] {
        let mut sent = good.clone();
        sent[field] = value.clone();
        let (status, body) = app.post("/pbs/endpoints", &sent).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{field}={value}: {body}");
        assert_eq!(body["detail"][0]["loc"][1], field, "{body}");
        assert!(!body.to_string().contains(&long), "{field}: the secret is repeated");
    }
    for field in ["name", "host", "token_id", "token_secret"] {
        let mut sent = good.clone();
        sent.as_object_mut().unwrap().remove(field);
        let (status, body) = app.post("/pbs/endpoints", &sent).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "without {field}: {body}");
        assert_eq!(body["detail"][0]["loc"][1], field, "{body}");
    }
    let (status, _) = app.put("/pbs/endpoints/1", &good).await;
    assert_eq!(status, StatusCode::NOT_FOUND, "nothing was stored");
}

#[tokio::test]
async fn backup_servers_are_asked_with_their_tokens_or_told_as_their_clusters_know_them() {
    let (app, server, mock) = (TestApp::start().await, Server::backup_server().await, mock().await);
    let path = "/pbs/endpoints";
    let mut pinned = server.pushed("main (nb:7)");
    pinned["fingerprint"] = json!(server.fingerprint);
    let mut wrong = server.pushed("wrong");
    wrong["token_secret"] = json!("another-secret");
    let mut dead = server.pushed("dead");
    dead["port"] = json!(1);
    let mut off = server.pushed("off");
    off["enabled"] = json!(false);
    let mut other_pin = server.pushed("other certificate");
    other_pin["fingerprint"] = json!(["00"; 32].join(":"));
    for sent in [&pinned, &wrong, &dead, &off, &other_pin] {
        let (status, body) = app.post(path, sent).await;
        assert_eq!(status, StatusCode::OK, "{body}");
    }
    let told = items(&app, "/pbs/status").await;
    let expected = json!({
        "endpoint_id": 7, "name": "main (nb:7)", "host": "localhost", "port": server.port, "reachable": true,
        "reason": null, "version": "3.4",
    });
    assert_eq!(told[0], expected);
    let names: Vec<_> = told.iter().map(|item| &item["name"]).collect();
    assert_eq!(names, ["main (nb:7)", "wrong", "dead", "other certificate"]);
    assert_eq!(told[1]["endpoint_id"], 2);
    let reason = told[1]["reason"].as_str().unwrap();
    assert!(reason.contains("authentication failed - invalid token"), "{reason}");
    for item in told.iter().skip(1) {
        assert!(item["reachable"] == false && item["reason"].is_string(), "{item}");
        assert!(!item.to_string().contains("another-secret"), "{item}");
    }

    store(&app, &pushed("alpha (nb:1)", &mock)).await;
    let told = items(&app, "/pbs/status").await;
    let known = &told[4];
    assert_eq!(
        (
            &known["name"],
            &known["port"],
            &known["reachable"],
            &known["endpoint_id"]
        ),
        (&json!("pbs-main"), &json!(8007), &json!(true), &Value::Null),
        "{told:?}"
    );
    mock.faults().endpoint_down(true);
    let request = app.request(Method::GET, "/pbs/status");
    let response = request.send().await.unwrap();
    let failed = response.headers()["x-proxbox-endpoint-errors"]
        .to_str()
        .unwrap()
        .to_owned();
    assert!(failed.contains(r#""failed":1"#), "{failed}");
    let (_, body) = answer(response).await;
    let told = body["items"].as_array().unwrap();
    assert_eq!(
        (told.len(), &told[0]["reachable"]),
        (4, &json!(true)),
        "the rest goes on: {told:?}"
    );
}

#[tokio::test]
async fn what_a_backup_server_holds_is_counted_and_what_cannot_be_read_is_named() {
    let (app, server) = (TestApp::start().await, Server::backup_server().await);
    app.post("/pbs/endpoints", &server.pushed("main")).await;
    let (status, body) = app.get("/pbs/sync/full?netbox_branch_schema_id=ab12").await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let counted: Vec<_> = body["items"].as_array().unwrap().iter().collect();
    let fetched: Vec<_> = counted
        .iter()
        .map(|item| (item["resource"].as_str().unwrap(), item["fetched"].as_u64().unwrap()))
        .collect();
    assert_eq!(fetched, [("datastores", 2), ("snapshots", 2), ("jobs", 3), ("node", 1)]);
    let expected = json!({
        "endpoint_id": 1, "name": "main", "resource": "datastores", "fetched": 2, "written": 0, "errors": [],
        "netbox_branch_schema_id": "ab12",
    });
    assert_eq!(*counted[0], expected);
    let error = counted[1]["errors"][0].as_str().unwrap();
    assert!(
        error.starts_with("broken: ") && error.contains("datastore 'broken' is offline"),
        "{error}"
    );
    let raw = &body["raw"]["main"];
    assert_eq!(raw["datastores"][0], json!({"store": "main", "comment": "tier 1"}));
    let backups: Vec<_> = raw["snapshots"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| &row["backup-id"])
        .collect();
    assert_eq!(backups, ["vm/100", "vm/200"]);
    let one = items(&app, "/pbs/sync/jobs").await;
    assert_eq!((one.len(), &one[0]["fetched"]), (1, &json!(3)));
    assert_eq!(app.get("/pbs/sync/remotes").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_a_datacenter_manager_knows_is_counted() {
    let routes = Router::new()
        .route("/version", answered(json!({"version": "1.0"})))
        .route(
            "/remotes/remote",
            answered(json!([{"id": "lab", "type": "pve"}, {"id": "vault", "type": "pbs"}])),
        )
        .route(
            "/resources/list",
            answered(json!([
                {"remote": "lab", "resources": [{"type": "pve-qemu", "vmid": 100}, {"type": "pve-lxc", "vmid": 101},
                    {"type": "pve-node", "node": "pve1"}]},
                {"remote": "vault", "resources": [{"type": "pbs-datastore", "name": "main"}]},
                {"remote": "gone", "error": "timed out", "resources": []},
            ])),
        );
    let server = Server::start(format!("PDMAPIToken={TOKEN_ID}:{SECRET}"), routes).await;
    let app = TestApp::start().await;
    let mut sent = server.pushed("central");
    sent["verify_ssl"] = json!(false);
    app.post("/pdm/endpoints", &sent).await;
    let status = items(&app, "/pdm/status").await;
    assert_eq!(
        (&status[0]["reachable"], &status[0]["version"]),
        (&json!(true), &json!("1.0")),
        "{status:?}"
    );
    let counted = items(&app, "/pdm/sync/full").await;
    let fetched: Vec<_> = counted
        .iter()
        .map(|item| (item["resource"].as_str().unwrap(), item["fetched"].as_u64().unwrap()))
        .collect();
    assert_eq!(
        fetched,
        [("remotes", 2), ("guests", 2), ("datastores", 1), ("resources", 4)]
    );
    assert_eq!(counted[1]["errors"], json!(["gone: timed out"]));
}

#[tokio::test]
async fn token_is_sealed_anew_with_all_other_secrets() {
    let (app, server) = (TestApp::start().await, Server::backup_server().await);
    app.post("/pbs/endpoints", &server.pushed("main")).await;
    let saved = &app.service.state().store;
    assert_eq!(saved.reseal_all().await.unwrap(), 1);
    let rows = saved.list_sister_endpoints(Sister::BackupServer).await.unwrap();
    assert!(!format!("{rows:?}").contains(SECRET));
    assert_eq!(items(&app, "/pbs/status").await[0]["reachable"], true);
}
