//! Logging in, and what a session remembers of its endpoint.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use secrecy::SecretString;

use super::endpoint;
use super::exchanges::session;
use super::server::{Reply, Seen, Server};
use crate::proxmox::{Credential, Error, Mode, Scheme, Session};

const TICKET: &str = "PVE:sync@pve:66AA::c2ln+/=";

fn password_session(server: &Server) -> Session {
    let mut endpoint = endpoint(None, Some("127.0.0.1"));
    endpoint.port = server.address.port();
    endpoint.credential = Credential::Password(SecretString::from("ge heim"));
    Session::with_scheme(endpoint, Scheme::Http).unwrap()
}

/// Lets time pass in no time.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

fn is_login(seen: &Seen) -> bool {
    seen.call() == "POST access/ticket"
}

fn ticket(number: usize) -> Reply {
    Reply::data(&format!(
        r#"{{"ticket":"{TICKET}{number}","CSRFPreventionToken":"66AA:csrf{number}"}}"#
    ))
}

fn logins(server: &Server) -> usize {
    server.seen().iter().filter(|seen| is_login(seen)).count()
}

#[tokio::test]
async fn many_first_calls_make_one_login() {
    let server = Server::plain(|seen| {
        if is_login(seen) {
            ticket(1).after(Duration::from_millis(30))
        } else {
            Reply::data("1")
        }
    });
    let session = password_session(&server);
    let answers = join_all((0..10).map(|_| session.version_info()));
    drop(answers.await);
    assert_eq!(logins(&server), 1);
    assert_eq!(server.calls().len(), 11);
}

#[tokio::test]
async fn ticket_goes_in_the_cookie_and_its_counterpart_with_writes_only() {
    let server = Server::plain(|seen| if is_login(seen) { ticket(1) } else { Reply::data("null") });
    let place = password_session(&server).path("nodes/a/qemu").unwrap();
    place.get().await.unwrap();
    place.post(&[]).await.unwrap();
    place.put(&[]).await.unwrap();
    place.delete(&[]).await.unwrap();
    let seen = server.seen();
    assert_eq!(seen[0].body, "username=sync%40pve&password=ge%20heim");
    assert_eq!(
        (seen[0].header("cookie"), seen[0].header("authorization")),
        (None, None)
    );
    let csrf: Vec<_> = seen[1..]
        .iter()
        .map(|seen| seen.header("csrfpreventiontoken"))
        .collect();
    assert_eq!(csrf, [None, Some("66AA:csrf1"), Some("66AA:csrf1"), Some("66AA:csrf1")]);
    for seen in &seen[1..] {
        assert_eq!(
            seen.header("cookie"),
            Some("PVEAuthCookie=PVE%3Async%40pve%3A66AA%3A%3Ac2ln%2B%2F%3D1")
        );
    }
}

#[tokio::test]
async fn refused_ticket_is_replaced_once_and_the_call_repeated() {
    let count = Arc::new(AtomicUsize::new(0));
    let server = Server::plain(move |seen| {
        if is_login(seen) {
            return ticket(count.fetch_add(1, Ordering::SeqCst) + 1);
        }
        let is_new = seen.header("cookie").is_some_and(|cookie| cookie.ends_with('2'));
        if is_new {
            Reply::data("null")
        } else {
            Reply::new("401 permission denied - invalid PVE ticket", "")
        }
    });
    let session = password_session(&server);
    session.path("nodes/a/qemu").unwrap().post(&[]).await.unwrap();
    let wanted = [
        "POST access/ticket",
        "POST nodes/a/qemu",
        "POST access/ticket",
        "POST nodes/a/qemu",
    ];
    assert_eq!(server.calls(), wanted);
}

#[tokio::test]
async fn refusal_after_a_new_login_is_final() {
    let server = Server::plain(|seen| {
        if is_login(seen) {
            ticket(1)
        } else {
            Reply::new("401 No ticket", "")
        }
    });
    let error = password_session(&server)
        .path("version")
        .unwrap()
        .get()
        .await
        .unwrap_err();
    assert!(matches!(error, Error::AuthFailed { .. }));
    assert_eq!((logins(&server), server.calls().len()), (2, 4));
}

#[tokio::test]
async fn ticket_is_renewed_with_itself_after_half_its_life_and_with_the_password_after_its_end() {
    let count = Arc::new(AtomicUsize::new(0));
    let server = Server::plain(move |seen| {
        if is_login(seen) {
            return ticket(count.fetch_add(1, Ordering::SeqCst) + 1);
        }
        Reply::data(r#"{"version":"9.2.4"}"#)
    });
    let session = password_session(&server);
    for minutes in [0, 59, 2, 180] {
        pass(Duration::from_mins(minutes)).await;
        for version in join_all((0..4).map(|_| session.version_info())).await {
            version.unwrap();
        }
    }
    let seen = server.seen();
    let logins: Vec<_> = seen
        .iter()
        .filter(|seen| is_login(seen))
        .map(|seen| seen.body.as_str())
        .collect();
    let with_password = "username=sync%40pve&password=ge%20heim";
    let with_ticket = "username=sync%40pve&password=PVE%3Async%40pve%3A66AA%3A%3Ac2ln%2B%2F%3D1";
    assert_eq!(logins, [with_password, with_ticket, with_password]);
}

#[tokio::test]
async fn many_refused_calls_make_one_new_login() {
    let count = Arc::new(AtomicUsize::new(0));
    let server = Server::plain(move |seen| {
        if is_login(seen) {
            return ticket(count.fetch_add(1, Ordering::SeqCst) + 1).after(Duration::from_millis(20));
        }
        let is_old = seen.header("cookie").is_some_and(|cookie| cookie.ends_with('1'));
        if is_old {
            Reply::new("401 No ticket", "")
        } else {
            Reply::data(r#"{"version":"9.2.4"}"#)
        }
    });
    let session = password_session(&server);
    for version in join_all((0..6).map(|_| session.version_info())).await {
        version.unwrap();
    }
    assert_eq!(logins(&server), 2);
}

#[tokio::test]
async fn wrong_password_is_tried_once_by_many_callers() {
    let server = Server::plain(|_| Reply::new("401 authentication failure", "{\"data\":null}"));
    let session = password_session(&server);
    for _ in 0..3 {
        for outcome in join_all((0..5).map(|_| session.version_info())).await {
            let error = outcome.unwrap_err();
            assert_eq!(
                (error.reason(), error.upstream_status()),
                ("proxmox_auth_failed", Some(401))
            );
        }
    }
    assert_eq!(server.calls(), ["POST access/ticket"]);
}

#[tokio::test]
async fn second_factor_is_refused_with_advice() {
    for data in [
        r#"{"ticket":"PVE:!tfa!abc:66AA::sig","NeedTFA":1,"CSRFPreventionToken":""}"#,
        r#"{"ticket":"PVE:!tfa!abc:66AA::sig"}"#,
    ] {
        let server = Server::plain(move |_| Reply::data(data));
        let error = password_session(&server).version_info().await.unwrap_err();
        assert!(matches!(error, Error::SecondFactorRequired { .. }), "{data}: {error:?}");
        assert!(error.to_string().contains("use an API token"), "{error}");
        assert_eq!(server.calls().len(), 1, "{data}");
    }
}

#[tokio::test]
async fn login_answer_of_another_form_is_told_without_its_content() {
    for body in [
        r#"{"data":"PVE:hunter2"}"#,
        r#"{"data":{"ticket":7,"CSRFPreventionToken":"hunter2"}}"#,
        "hunter2",
        "",
    ] {
        let server = Server::plain(move |_| Reply::new("200 OK", body));
        let error = password_session(&server).version_info().await.unwrap_err();
        assert!(matches!(error, Error::Decode { .. }), "{body}: {error:?}");
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }
}

#[tokio::test]
async fn token_that_is_refused_is_not_tried_again() {
    let server = Server::plain(|_| Reply::new("401 invalid token value!", ""));
    let error = session(&server).version_info().await.unwrap_err();
    assert!(error.to_string().contains("invalid token value!"), "{error}");
    assert_eq!(server.calls().len(), 1);
}

#[tokio::test]
async fn secrets_show_up_nowhere() {
    let server = Server::plain(|seen| if is_login(seen) { ticket(1) } else { Reply::data("1") });
    let password = password_session(&server);
    drop(password.version_info().await);
    let token = session(&server);
    let shown = format!("{password:?} {token:?} {:?}", password.inner.endpoint);
    for secret in ["ge heim", "s3cret", "c2ln"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

/// A cluster of two nodes.
fn cluster(seen: &Seen) -> Reply {
    match seen.call().as_str() {
        "GET version" => Reply::data(r#"{"version":"9.2.4","release":"9.2"}"#),
        "GET cluster/status" => Reply::data(
            r#"[{"type":"node","name":"a","online":1},{"type":"cluster","name":"lab","nodes":2,"quorate":1},
               {"type":"node","name":"b","online":0}]"#,
        ),
        "GET nodes" => Reply::data(r#"[{"node":"a","status":"online"},{"node":"b","status":"offline"}]"#),
        "GET access/permissions" => Reply::data(r#"{"/":{"VM.Audit":1,"Sys.Audit":1}}"#),
        other => panic!("nobody asked for {other}"),
    }
}

#[tokio::test]
async fn metadata_is_fetched_once_by_many_callers() {
    let server = Server::plain(cluster);
    let session = session(&server);
    for metadata in join_all((0..8).map(|_| session.metadata())).await {
        let metadata = metadata.unwrap();
        let wanted = Mode::Cluster {
            name: "lab".to_owned(),
            nodes: 2,
            quorate: true,
        };
        assert_eq!(metadata.mode, wanted);
        assert!(metadata.capabilities.known && metadata.capabilities.sees_all_guests());
        assert!(!metadata.capabilities.sees_all_storages());
        assert_eq!(metadata.address, server.address.to_string());
    }
    session.metadata().await.unwrap();
    assert_eq!(server.calls().len(), 3);
    session.refresh().await.unwrap();
    assert_eq!(server.calls().len(), 6);
}

#[tokio::test]
async fn refused_cluster_status_limits_the_mode_and_keeps_the_known_name() {
    let is_limited = Arc::new(AtomicBool::new(false));
    let switch = Arc::clone(&is_limited);
    let server = Server::plain(move |seen| {
        if switch.load(Ordering::SeqCst) && seen.call() == "GET cluster/status" {
            return Reply::new("403 Permission check failed (/, Sys.Audit)", "{\"data\":null}");
        }
        cluster(seen)
    });
    let session = session(&server);
    session.metadata().await.unwrap();
    is_limited.store(true, Ordering::SeqCst);
    let metadata = session.refresh().await.unwrap();
    assert_eq!(
        (metadata.mode.as_str(), metadata.mode.name(), metadata.name()),
        ("restricted", None, Some("lab"))
    );
    let Mode::Limited {
        reason,
        is_denied: true,
    } = &metadata.mode
    else {
        panic!("{metadata:?}");
    };
    assert!(reason.contains("Sys.Audit"), "{reason}");
    let members: Vec<_> = metadata
        .status
        .iter()
        .map(|row| (row.name.as_deref(), row.online))
        .collect();
    assert_eq!(members, [(Some("a"), Some(true)), (Some("b"), Some(false))]);
}

#[tokio::test]
async fn member_that_cannot_be_told_from_its_row_is_named() {
    let server = Server::plain(|seen| {
        if seen.call() != "GET cluster/status" {
            return cluster(seen);
        }
        Reply::data(
            r#"[{"type":"node","name":"a","online":1},{"type":"cluster","name":"lab","nodes":4,"quorate":1},
               {"type":"node","id":"node/b","name":"b","online":"unknown"},{"type":"node","id":"node/c","online":1}, 7,
               {"type":"node","online":1},{"type":"qdevice"}]"#,
        )
    });
    let metadata = session(&server).metadata().await.unwrap();
    assert_eq!(metadata.mode.as_str(), "cluster");
    let told = metadata.unclear_members();
    let told: Vec<&str> = told.iter().map(|told| told.split(':').next().unwrap()).collect();
    let expected = [
        "its row node/b cannot be read",
        "its row number 5 cannot be read",
        "its row node/c has no name",
        "its row of a node has no name",
    ];
    assert_eq!(told, expected);
}

#[tokio::test]
async fn metadata_that_cannot_be_refreshed_is_served_old_and_asked_for_seldom() {
    let is_down = Arc::new(AtomicBool::new(false));
    let switch = Arc::clone(&is_down);
    let server = Server::plain(move |seen| {
        if switch.load(Ordering::SeqCst) {
            Reply::new("503 Service Unavailable", "")
        } else {
            cluster(seen)
        }
    });
    let session = session(&server);
    session.metadata().await.unwrap();
    is_down.store(true, Ordering::SeqCst);
    pass(Duration::from_mins(2)).await;
    for _ in 0..5 {
        let metadata = session.metadata().await.unwrap();
        assert!(metadata.age() >= Duration::from_mins(2));
        assert_eq!(metadata.name(), Some("lab"));
        assert!(!metadata.capabilities.known, "they may be others by now");
    }
    assert_eq!(server.calls().len(), 6, "one failed refresh, then a rest");
    assert!(session.refresh().await.is_err(), "an explicit refresh hides nothing");
}

#[tokio::test]
async fn metadata_is_not_served_old_when_the_credentials_are_refused() {
    let is_refused = Arc::new(AtomicBool::new(false));
    let switch = Arc::clone(&is_refused);
    let server = Server::plain(move |seen| {
        if switch.load(Ordering::SeqCst) {
            Reply::new("401 invalid token value!", "")
        } else {
            cluster(seen)
        }
    });
    let session = session(&server);
    session.metadata().await.unwrap();
    is_refused.store(true, Ordering::SeqCst);
    pass(Duration::from_mins(2)).await;
    assert_eq!(session.metadata().await.unwrap_err().reason(), "proxmox_auth_failed");
}
