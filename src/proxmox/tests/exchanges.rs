//! One exchange: what is sent, what is understood, which address and which certificate.

use std::io::Write as _;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::json;

use super::endpoint;
use super::server::{Reply, Server};
use crate::error::ErrorKind;
use crate::proxmox::{Error, Param, Scheme, Session, Vmid};

/// A token session over plain HTTP.
pub(super) fn session(server: &Server) -> Session {
    let mut endpoint = endpoint(None, Some("127.0.0.1"));
    endpoint.port = server.address.port();
    Session::with_scheme(endpoint, Scheme::Http).unwrap()
}

async fn get(session: &Session, path: &str) -> Result<serde_json::Value, Error> {
    session.path(path)?.get().await.map(|answer| answer.data)
}

#[tokio::test]
async fn token_call_sends_its_header_and_never_a_cookie() {
    let server = Server::plain(|_| Reply::bytes("200 OK", "set-cookie: PVEAuthCookie=x\r\n", b"{\"data\":1}"));
    let session = session(&server);
    get(&session, "version").await.unwrap();
    session
        .path("nodes/p/qemu")
        .unwrap()
        .post(&[("vmid", Vmid(100).into())])
        .await
        .unwrap();
    for seen in server.seen() {
        assert_eq!(seen.header("authorization"), Some("PVEAPIToken=sync@pve!netbox=s3cret"));
        assert_eq!(
            (seen.header("cookie"), seen.header("csrfpreventiontoken")),
            (None, None)
        );
    }
}

#[tokio::test]
async fn verbs_put_parameters_where_the_server_reads_them() {
    let server = Server::plain(|_| Reply::data("null"));
    let session = session(&server);
    let place = session.path("nodes/p 1/qemu/100/config").unwrap();
    let parameters: &[(&str, Param)] = &[("online", true.into()), ("notes-template", "a b".into())];
    place.get_with(parameters).await.unwrap();
    place.put(parameters).await.unwrap();
    place.post(&[]).await.unwrap();
    place.delete(parameters).await.unwrap();
    let sent: Vec<_> = server
        .seen()
        .iter()
        .map(|seen| {
            (
                seen.call(),
                seen.body.clone(),
                seen.header("content-length").map(str::to_owned),
            )
        })
        .collect();
    let query = "online=1&notes-template=a%20b";
    let path = "nodes/p%201/qemu/100/config";
    let length = Some(query.len().to_string());
    assert_eq!(
        sent,
        [
            (format!("GET {path}?{query}"), String::new(), None),
            (format!("PUT {path}"), query.to_owned(), length),
            (format!("POST {path}"), String::new(), Some("0".to_owned())),
            (format!("DELETE {path}?{query}"), String::new(), None),
        ]
    );
    let writes = server.seen();
    assert_eq!(
        writes[1].header("content-type"),
        Some("application/x-www-form-urlencoded")
    );
    assert!(writes.iter().all(|seen| seen.header("transfer-encoding").is_none()));
}

#[tokio::test]
async fn reason_phrase_and_status_tell_the_error() {
    let table: &[(&str, &str, &str, &str)] = &[
        (
            "403 Permission check failed (/vms/100, VM.Audit)",
            r#"{"data":null}"#,
            "proxmox_permission_denied",
            "VM.Audit",
        ),
        (
            "500 Configuration file 'x.conf' does not exist",
            r#"{"data":null}"#,
            "proxmox_not_found",
            "x.conf",
        ),
        (
            "500 Internal Server Error",
            r#"{"data":null,"message":"VM is odd\n"}"#,
            "proxmox_server_error",
            "VM is odd",
        ),
        ("595 No route to host", "", "proxmox_node_unreachable", "node `a`"),
        ("596 Connection timed out", "", "proxmox_node_timeout", "node `a`"),
        ("401 No ticket", "", "proxmox_auth_failed", "No ticket"),
        ("401 Unauthorized", "", "proxmox_auth_failed", "401"),
        (
            "501 Method 'GET /x' not implemented",
            r#"{"data":null}"#,
            "proxmox_not_implemented",
            "not implemented",
        ),
    ];
    for (status, body, reason, text) in table {
        let server = Server::plain(move |_| Reply::new(status, body));
        let error = get(&session(&server), "nodes/a/qemu/100/config").await.unwrap_err();
        assert_eq!(error.reason(), *reason, "{status}");
        assert!(error.to_string().contains(text), "{status}: {error}");
        assert_eq!(server.calls().len(), 1, "{status} must not be repeated");
    }
}

#[tokio::test]
async fn answer_keeps_total_and_changes_and_survives_odd_bytes() {
    let body = b"{\"data\":[{\"n\":1,\"t\":\"\xFF\xFE\"}],\"total\":\"77\",\"changes\":\"--- a\"}";
    let server = Server::plain(move |_| Reply::bytes("200 OK", "", body));
    let answer = session(&server).path("nodes/a/tasks").unwrap().get().await.unwrap();
    assert_eq!((answer.total, answer.changes.as_deref()), (Some(77), Some("--- a")));
    assert_eq!(answer.data[0]["t"], json!("\u{FFFD}\u{FFFD}"));
    assert_eq!(answer.address, server.address.to_string());
}

#[tokio::test]
async fn answer_without_data_is_no_empty_answer() {
    for body in ["", "{}", "[]", "<html>", "{\"message\":\"x\"}"] {
        let server = Server::plain(move |_| Reply::new("200 OK", body));
        let outcome = session(&server).list_nodes().await;
        assert!(matches!(outcome, Err(Error::Decode { .. })), "{body:?}: {outcome:?}");
    }
    let server = Server::plain(|_| Reply::data("null"));
    assert_eq!(session(&server).list_nodes().await.unwrap().items, []);
}

#[tokio::test]
async fn gzip_is_offered_and_unpacked() {
    // `{"data":"hello"}`, stored without compression: header, one stored block, CRC-32, length.
    let plain = br#"{"data":"hello"}"#;
    let length = u16::try_from(plain.len()).unwrap();
    let mut packed = vec![0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 255, 1];
    packed.write_all(&length.to_le_bytes()).unwrap();
    packed.write_all(&(!length).to_le_bytes()).unwrap();
    packed.write_all(plain).unwrap();
    packed.write_all(&crc32(plain).to_le_bytes()).unwrap();
    packed.write_all(&u32::from(length).to_le_bytes()).unwrap();
    let server = Server::plain(move |_| Reply::bytes("200 OK", "content-encoding: gzip\r\n", &packed));
    assert_eq!(get(&session(&server), "version").await.unwrap(), json!("hello"));
    assert_eq!(server.seen()[0].header("accept-encoding"), Some("gzip"));
}

fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| {
        if crc & 1 == 1 {
            (crc >> 1) ^ 0xEDB8_8320
        } else {
            crc >> 1
        }
    };
    !bytes
        .iter()
        .fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}

#[tokio::test]
async fn redirect_is_refused_and_names_its_host() {
    let server =
        Server::plain(|_| Reply::bytes("301 Moved", "location: https://other.example:8006/?x=secret\r\n", b""));
    let error = get(&session(&server), "version").await.unwrap_err();
    assert!(error.to_string().contains("other.example:8006"), "{error}");
    assert!(!error.to_string().contains("secret"), "{error}");
    assert_eq!(error.upstream_status(), Some(301));
}

#[tokio::test]
async fn read_is_repeated_once_when_a_kept_connection_dies() {
    let server = Server::plain(|seen| {
        if seen.turn == 0 {
            Reply::data("1")
        } else {
            Reply::hang_up()
        }
    });
    let session = session(&server);
    for _ in 0..3 {
        get(&session, "version").await.unwrap();
    }
    let turns: Vec<_> = server.seen().iter().map(|seen| (seen.connection, seen.turn)).collect();
    assert_eq!(turns, [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0)]);
}

#[tokio::test]
async fn write_is_never_repeated_when_its_connection_dies() {
    let server = Server::plain(|seen| {
        if seen.method == "GET" {
            Reply::data("1")
        } else {
            Reply::hang_up()
        }
    });
    let session = session(&server);
    get(&session, "version").await.unwrap();
    let error = session.path("nodes/a/qemu").unwrap().post(&[]).await.unwrap_err();
    assert!(matches!(error, Error::Lost { .. }), "{error:?}");
    assert_eq!(server.calls(), ["GET version", "POST nodes/a/qemu"]);
}

#[tokio::test]
async fn slow_answer_ends_at_the_limit_of_the_caller() {
    let server = Server::plain(|_| Reply::data("1").after(Duration::from_secs(30)));
    let place = session(&server)
        .path("version")
        .unwrap()
        .within(Duration::from_millis(50));
    let error = place.get().await.unwrap_err();
    assert_eq!(error.reason(), "proxmox_timeout");
}

#[tokio::test]
async fn no_more_than_the_set_number_of_calls_is_in_flight_per_node() {
    let server = Server::plain(|_| Reply::data("1").after(Duration::from_millis(20)));
    let session = session(&server);
    let answers = join_all((100..112).map(|vmid| {
        let place = session.nodes("a").qemu(Vmid(vmid)).config();
        async move { place.get().await }
    }));
    assert!(answers.await.iter().all(Result::is_ok));
    assert_eq!(server.most_in_flight(), 3);
}

#[tokio::test]
async fn call_that_a_release_lacks_is_not_sent_twice() {
    let server = Server::plain(|_| Reply::new("501 Method 'GET /x' not implemented", "{\"data\":null}"));
    let session = session(&server);
    for vmid in [100, 101] {
        let error = session.nodes("a").lxc(Vmid(vmid)).migrate().get().await.unwrap_err();
        assert_eq!(error.reason(), "proxmox_not_implemented");
    }
    assert_eq!(server.calls(), ["GET nodes/a/lxc/100/migrate"]);
}

#[tokio::test]
async fn passing_failures_of_reads_are_repeated_as_often_as_set() {
    let table: &[(&str, &str, usize)] = &[
        ("595 No route to host", "GET", 3),
        ("596 Connection timed out", "GET", 3),
        ("503 Service Unavailable", "GET", 3),
        ("500 VM is locked (backup)", "GET", 2),
        ("500 something else", "GET", 1),
        ("401 No ticket", "GET", 1),
        ("403 no", "GET", 1),
        ("595 No route to host", "POST", 1),
        ("500 VM is locked (backup)", "POST", 1),
    ];
    for (status, method, wanted) in table {
        let server = Server::plain(move |_| Reply::new(status, "{\"data\":null}"));
        let mut definition = endpoint(None, Some("127.0.0.1"));
        definition.port = server.address.port();
        definition.max_retries = 2;
        let place = Session::with_scheme(definition, Scheme::Http)
            .unwrap()
            .path("nodes/a/qemu")
            .unwrap();
        let outcome = if *method == "GET" {
            place.get().await
        } else {
            place.post(&[]).await
        };
        outcome.unwrap_err();
        assert_eq!(server.calls().len(), *wanted, "{method} {status}");
    }
}

#[tokio::test]
async fn write_is_repeated_when_no_connection_was_made() {
    let mut definition = endpoint(None, Some("127.0.0.9"));
    definition.max_retries = 1;
    definition.retry_backoff = Duration::ZERO;
    let session = Session::with_scheme(definition, Scheme::Http).unwrap();
    let before = Instant::now();
    let error = session.path("nodes/a/qemu").unwrap().post(&[]).await.unwrap_err();
    assert!(matches!(error, Error::Connect { .. }), "{error:?}");
    // Two failures so far: a third still connects, a fourth meets the open circuit.
    assert!(matches!(session.version_info().await, Err(Error::Connect { .. })));
    assert!(before.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn node_that_hangs_is_not_asked_by_every_caller_in_turn() {
    let server = Server::plain(|seen| {
        let call = seen.call();
        let hangs = ["nodes/a/", "/agent/", "/content"]
            .iter()
            .any(|part| call.contains(part));
        let patience = if hangs { Duration::from_hours(1) } else { Duration::ZERO };
        Reply::data("[]").after(patience)
    });
    let mut definition = endpoint(None, Some("127.0.0.1"));
    definition.port = server.address.port();
    definition.timeout = Duration::from_millis(50);
    let session = Session::with_scheme(definition, Scheme::Http).unwrap();
    let all = async |paths: &[&str]| join_all(paths.iter().map(|path| get(&session, path))).await;
    let configs = [
        "nodes/a/qemu/100/config",
        "nodes/a/lxc/101/config",
        "nodes/a/qemu/102/config",
    ];
    for outcome in all(&configs).await {
        assert!(matches!(outcome, Err(Error::Timeout { .. })), "{outcome:?}");
    }
    for outcome in all(&[
        "nodes/a/qemu/103/config",
        "nodes/a/qemu/100/snapshot",
        "nodes/a/network",
    ])
    .await
    {
        let error = outcome.unwrap_err();
        assert!(
            matches!(&error, Error::NodeSilent { node, .. } if node == "a"),
            "{error:?}"
        );
        assert_eq!(
            (error.kind(), error.reason()),
            (ErrorKind::Timeout, "proxmox_node_silent")
        );
    }
    assert_eq!(server.calls().len(), 3, "nothing was sent");
    let place = session.path(configs[0]).unwrap();
    assert!(
        matches!(place.post(&[]).await, Err(Error::Timeout { .. })),
        "a write is sent"
    );
    let agent = "nodes/b/qemu/100/agent/network-get-interfaces";
    for outcome in all(&[agent, agent, agent, "nodes/b/storage/nfs/content"]).await {
        assert!(matches!(outcome, Err(Error::Timeout { .. })), "{outcome:?}");
    }
    get(&session, "nodes/b/qemu/100/config").await.unwrap();
}
