//! The mock over real sockets, with a client that sees every byte.

use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::world::{Agent, GuestStatus, Task};
use super::*;

/// One answer, taken apart.
struct Seen {
    status: u16,
    reason: String,
    head: String,
    body: Vec<u8>,
}

impl Seen {
    fn parse(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("no head");
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let line = head.lines().next().unwrap().to_owned();
        let mut parts = line.splitn(3, ' ').skip(1);
        Self {
            status: parts.next().unwrap().parse().unwrap(),
            reason: parts.next().unwrap_or_default().to_owned(),
            head: head.to_lowercase(),
            body: bytes[end + 4..].to_vec(),
        }
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {} {:?}", self.status, String::from_utf8_lossy(&self.body)))
    }

    fn data(&self) -> Value {
        assert_eq!(
            self.status,
            200,
            "{} {}",
            self.reason,
            String::from_utf8_lossy(&self.body)
        );
        self.json()["data"].clone()
    }
}

async fn start(world: World) -> MockProxmox {
    MockProxmox::start(MockOptions::default(), world).await.unwrap()
}

async fn connect(mock: &MockProxmox) -> TlsStream<TcpStream> {
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(mock.ca_pem().as_bytes()).unwrap())
        .unwrap();
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(mock.address()).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
        .unwrap()
}

/// Sends one request on a connection of its own and reads all that comes back.
async fn send(mock: &MockProxmox, head: &str, headers: &str, body: &str) -> Seen {
    let mut stream = connect(mock).await;
    let length = if body.is_empty() {
        String::new()
    } else {
        format!("Content-Length: {}\r\n", body.len())
    };
    let text = format!("{head} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}{length}\r\n{body}");
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    // A connection that the server cuts ends without a TLS farewell.
    let _ = stream.read_to_end(&mut bytes).await;
    Seen::parse(&bytes)
}

fn token(id: &str) -> String {
    format!("Authorization: PVEAPIToken={id}={TOKEN_SECRET}\r\n")
}

async fn get_as(mock: &MockProxmox, id: &str, path: &str) -> Seen {
    send(mock, &format!("GET /api2/json{path}"), &token(id), "").await
}

async fn get(mock: &MockProxmox, path: &str) -> Seen {
    get_as(mock, ROOT_TOKEN, path).await
}

const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";

async fn login(mock: &MockProxmox, body: &str) -> Seen {
    send(mock, "POST /api2/json/access/ticket", FORM, body).await
}

#[tokio::test]
async fn login_by_password_gives_a_ticket_that_reads_and_renews_itself() {
    let mock = start(World::estate(2, 5)).await;
    let answer = login(&mock, "username=root%40pam&password=secret").await.data();
    assert_eq!(answer["clustername"], "lab");
    let ticket = answer["ticket"].as_str().unwrap();
    assert!(ticket.starts_with("PVE:root@pam:"), "{ticket}");
    let cookie = format!("Cookie: PVEAuthCookie={ticket}\r\n");
    assert_eq!(
        send(&mock, "GET /api2/json/version", &cookie, "").await.data()["version"],
        "9.2.4"
    );
    let encoded: String = url::form_urlencoded::byte_serialize(ticket.as_bytes()).collect();
    assert_eq!(
        login(&mock, &format!("username=root%40pam&password={encoded}"))
            .await
            .status,
        200
    );
    // A bad cookie beats a good token.
    let both = format!("Cookie: PVEAuthCookie=PVE:no\r\n{}", token(ROOT_TOKEN));
    assert_eq!(send(&mock, "GET /api2/json/version", &both, "").await.status, 401);
    mock.clock().advance(Duration::from_secs(7_201));
    let old = send(&mock, "GET /api2/json/version", &cookie, "").await;
    assert_eq!((old.status, old.body.len()), (401, 0));
}

#[tokio::test]
async fn wrong_secrets_are_refused_each_in_its_own_form() {
    let mock = start(World::estate(1, 1)).await;
    let password = login(&mock, "username=root%40pam&password=wrong").await;
    assert_eq!(
        (password.status, password.reason.as_str()),
        (401, "authentication failure")
    );
    assert_eq!(password.json()["data"], Value::Null);
    let header = format!("Authorization: PVEAPIToken={ROOT_TOKEN}=wrong\r\n");
    let wrong = send(&mock, "GET /api2/json/version", &header, "").await;
    assert_eq!(
        (wrong.status, wrong.reason.as_str(), wrong.body.len()),
        (401, "invalid token value!", 0)
    );
    assert!(
        wrong.head.contains("connection: close") && !wrong.head.contains("content-type"),
        "{}",
        wrong.head
    );
    let nobody = send(&mock, "GET /api2/json/nodes", "", "").await;
    assert_eq!((nobody.status, nobody.reason.as_str()), (401, "No ticket"));
    assert_eq!(send(&mock, "GET /api2/json/access/domains", "", "").await.status, 200);
}

#[tokio::test]
async fn second_factor_takes_two_steps() {
    let mock = start(World::estate(1, 1)).await;
    let first = login(&mock, "username=twofactor%40pve&password=secret").await.data();
    assert_eq!(first["NeedTFA"], 1);
    let partial = first["ticket"].as_str().unwrap();
    assert!(partial.starts_with("PVE:!tfa!"), "{partial}");
    let encoded: String = url::form_urlencoded::byte_serialize(partial.as_bytes()).collect();
    let cookie = format!("Cookie: PVEAuthCookie={}\r\n", partial.replace('%', "%25"));
    assert_eq!(send(&mock, "GET /api2/json/version", &cookie, "").await.status, 401);
    for (answer, status) in [("totp:123456", 200), ("123456", 401), ("totp:000000", 401)] {
        let body = format!("username=twofactor%40pve&tfa-challenge={encoded}&password={answer}");
        assert_eq!(login(&mock, &body).await.status, status, "{answer}");
    }
}

#[tokio::test]
async fn writes_by_ticket_need_the_guard_and_writes_by_token_do_not() {
    let mock = start(World::estate(1, 3)).await;
    let answer = login(&mock, "username=root%40pam&password=secret").await.data();
    let cookie = format!("{FORM}Cookie: PVEAuthCookie={}\r\n", answer["ticket"].as_str().unwrap());
    let head = "PUT /api2/json/nodes/pve1/qemu/100/config";
    let bare = send(&mock, head, &cookie, "cores=3").await;
    assert_eq!((bare.status, bare.body.len()), (401, 0));
    let guard = answer["CSRFPreventionToken"].as_str().unwrap();
    let guarded = format!("{cookie}CSRFPreventionToken: {guard}\r\n");
    assert_eq!(send(&mock, head, &guarded, "cores=3").await.data(), Value::Null);
    assert_eq!(mock.world().read(|world| world.guests[&100].cores), 3);
    let by_token = format!("{FORM}{}", token(ROOT_TOKEN));
    assert_eq!(send(&mock, head, &by_token, "cores=5&delete=tags").await.status, 200);
    assert_eq!(mock.world().read(|world| world.guests[&100].cores), 5);
}

#[tokio::test]
async fn rows_are_filtered_by_rights_without_a_word() {
    let mock = start(World::estate(2, 12)).await;
    mock.world().change(|world| {
        world.access.add_token("auditor@pve!pool", TOKEN_SECRET, true);
        world.access.allow("/pool/production", "auditor@pve!pool", "PVEAuditor");
    });
    for (id, guests, storages, backups) in [
        (ROOT_TOKEN, 12, true, true),
        (AUDITOR_TOKEN, 12, true, false),
        ("auditor@pve!pool", 2, false, false),
        (EMPTY_TOKEN, 0, false, false),
    ] {
        let rows = get_as(&mock, id, "/cluster/resources?type=vm").await.data();
        assert_eq!(rows.as_array().unwrap().len(), guests, "{id}");
        let rows = get_as(&mock, id, "/storage").await.data();
        assert_eq!(!rows.as_array().unwrap().is_empty(), storages, "{id}");
        let answer = get_as(&mock, id, "/nodes/pve1/storage/nas-backups/content?content=backup").await;
        let seen = answer.status == 200 && !answer.data().as_array().unwrap().is_empty();
        assert_eq!(seen, backups, "{id}");
    }
    let refused = get_as(&mock, EMPTY_TOKEN, "/cluster/status").await;
    assert_eq!(
        (refused.status, refused.reason.as_str()),
        (403, "Permission check failed (/, Sys.Audit)")
    );
    assert_eq!(
        refused.json(),
        json!({"data": null, "message": "Permission check failed (/, Sys.Audit)\n"})
    );
    assert_eq!(
        get_as(&mock, EMPTY_TOKEN, "/access/permissions").await.data(),
        json!({})
    );
    assert_eq!(
        get_as(&mock, AUDITOR_TOKEN, "/access/permissions").await.data()["/"]["Sys.Audit"],
        1
    );
}

#[tokio::test]
async fn writes_that_only_the_description_knows_are_refused_to_those_without_any_right() {
    let mock = start(World::estate(1, 3)).await;
    mock.world().change(|world| {
        world.access.add_token("auditor@pve!void", TOKEN_SECRET, true);
        world.access.allow("/", "auditor@pve!void", "NoAccess");
    });
    let path = "/nodes/pve1/config";
    let describe = async |id: &str| {
        let headers = format!("{FORM}{}", token(id));
        send(&mock, &format!("PUT /api2/json{path}"), &headers, "description=mine").await
    };
    for id in [EMPTY_TOKEN, "auditor@pve!void"] {
        let refused = describe(id).await;
        assert_eq!(
            (refused.status, refused.json()),
            (403, json!({"data": null, "message": "Permission check failed\n"})),
            "{id}"
        );
    }
    assert_ne!(get(&mock, path).await.data()["description"], "mine");
    assert_eq!(describe(ROOT_TOKEN).await.status, 200);
    assert_eq!(get(&mock, path).await.data()["description"], "mine");
}

#[tokio::test]
async fn node_that_is_off_answers_595_and_shows_as_offline() {
    let mock = start(World::estate(3, 9)).await;
    mock.faults().node_down("pve2");
    let answer = get(&mock, "/nodes/pve2/qemu").await;
    assert_eq!(
        (answer.status, answer.reason.as_str(), answer.body.len()),
        (595, "No route to host", 0)
    );
    let nodes = get(&mock, "/cluster/resources?type=node").await.data();
    let row = nodes
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["node"] == "pve2")
        .unwrap();
    assert_eq!((row["status"].as_str(), row.get("maxmem")), (Some("offline"), None));
    let guests = get(&mock, "/cluster/resources?type=vm").await.data();
    let row = guests
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["node"] == "pve2")
        .unwrap();
    assert_eq!((row["status"].as_str(), row.get("name")), (Some("unknown"), None));
    mock.faults().clear();
    assert_eq!(get(&mock, "/nodes/pve2/qemu").await.status, 200);
}

#[tokio::test]
async fn errors_tell_their_text_in_the_style_of_the_release() {
    for (release, has_message) in [(Release::V8_2, false), (Release::V8_3, true), (Release::V9_2, true)] {
        let options = MockOptions {
            release,
            ..MockOptions::default()
        };
        let mock = MockProxmox::start(options, World::estate(1, 1)).await.unwrap();
        let answer = get(&mock, "/nodes/pve1/qemu/999/config").await;
        let text = "Configuration file 'nodes/pve1/qemu-server/999.conf' does not exist";
        assert_eq!((answer.status, answer.reason.as_str()), (500, text), "{release:?}");
        let message = answer
            .json()
            .get("message")
            .and_then(Value::as_str)
            .map(ToOwned::to_owned);
        assert_eq!(message, has_message.then(|| format!("{text}\n")), "{release:?}");
    }
}

#[tokio::test]
async fn parameters_are_checked_strictly() {
    let mock = start(World::estate(1, 3)).await;
    for (path, name) in [
        ("/cluster/resources?type=qemu", "type"),
        ("/cluster/resources?kind=vm", "kind"),
        ("/nodes/pve1/tasks?errors=true", "errors"),
        ("/nodes/pve1/tasks?limit=x", "limit"),
        ("/cluster/nextid?vmid=100", "vmid"),
        ("/nodes/pve1/qemu/7/config", "vmid"),
        (
            "/nodes/pve1/tasks/UPID:pve1:00000001:00000001:00000001:x:1:root@pam:/status",
            "upid",
        ),
    ] {
        let answer = get(&mock, path).await;
        assert_eq!(
            (answer.status, answer.reason.as_str()),
            (400, "Parameter verification failed."),
            "{path}"
        );
        assert!(answer.json()["errors"][name].is_string(), "{path}");
    }
    assert_eq!(get(&mock, "/cluster/resources?type=vm&_dc=17").await.status, 200);
}

#[tokio::test]
async fn framing_that_pveproxy_refuses_is_refused() {
    let mock = start(World::estate(1, 1)).await;
    let auth = token(ROOT_TOKEN);
    let head = "/api2/json/version";
    for (line, headers, body, status) in [
        (format!("HEAD {head}"), auth.clone(), "", 501),
        (format!("PATCH {head}"), auth.clone(), "", 501),
        ("GET /api2/json/no/such".to_owned(), auth.clone(), "", 501),
        ("GET /api2/wrong/version".to_owned(), auth.clone(), "", 501),
        (format!("GET {head}"), format!("{auth}{FORM}"), "a=b", 501),
        (
            format!("POST {head}"),
            format!("{auth}Transfer-Encoding: chunked\r\n"),
            "",
            501,
        ),
        (
            "POST /api2/json/access/ticket".to_owned(),
            "Content-Type: text/plain\r\n".to_owned(),
            "a=b",
            506,
        ),
    ] {
        let answer = send(&mock, &line, &headers, body).await;
        assert_eq!((answer.status, answer.body.len()), (status, 0), "{line}");
    }
    let large = format!("username={}", "x".repeat(600 << 10));
    let mut stream = connect(&mock).await;
    let head = format!(
        "POST /api2/json/access/ticket HTTP/1.1\r\nHost: x\r\n{FORM}Content-Length: {}\r\n\r\n",
        large.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    assert_eq!(Seen::parse(&bytes).status, 501);
}

#[tokio::test]
async fn connections_end_after_their_last_request_and_when_idle() {
    let options = MockOptions {
        keep_alive_requests: 3,
        idle_limit: Duration::from_millis(300),
        ..MockOptions::default()
    };
    let mock = MockProxmox::start(options, World::estate(1, 1)).await.unwrap();
    let text = format!(
        "GET /api2/json/version HTTP/1.1\r\nHost: x\r\n{}\r\n",
        token(ROOT_TOKEN)
    );
    let mut stream = connect(&mock).await;
    stream.write_all(text.repeat(5).as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    assert_eq!(String::from_utf8_lossy(&bytes).matches("HTTP/1.1 200").count(), 3);
    // One request, then silence: the server closes.
    let mut stream = connect(&mock).await;
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut bytes))
        .await
        .expect("stayed open");
    assert_eq!(Seen::parse(&bytes).status, 200);
    let connections: Vec<u64> = mock.requests().iter().map(|request| request.connection).collect();
    assert_eq!(connections, [1, 1, 1, 2]);
    assert_eq!(mock.requests()[0].server_name.as_deref(), Some("localhost"));
}

#[tokio::test]
async fn changes_of_the_world_are_seen_by_the_next_request() {
    let mock = start(World::estate(2, 6)).await;
    mock.world().change(|world| {
        world.guest(100).unwrap().name = "renamed".to_owned();
        assert!(world.migrate(100, "pve2"));
        world.remove_guest(101);
    });
    let rows = get(&mock, "/cluster/resources?type=vm").await.data();
    let rows = rows.as_array().unwrap();
    let row = rows.iter().find(|row| row["vmid"] == 100).unwrap();
    assert_eq!(
        (row["name"].as_str(), row["node"].as_str()),
        (Some("renamed"), Some("pve2"))
    );
    assert!(rows.iter().all(|row| row["vmid"] != 101));
    assert_eq!(get(&mock, "/nodes/pve1/qemu/100/config").await.status, 500);
    assert_eq!(
        get(&mock, "/nodes/pve2/qemu/100/config").await.data()["name"],
        "renamed"
    );
}

#[tokio::test]
async fn power_and_snapshots_change_the_guest_and_leave_tasks_that_end() {
    let mock = start(World::estate(1, 3)).await;
    mock.world()
        .change(|world| world.guest(100).unwrap().status = GuestStatus::Stopped);
    let headers = format!("{FORM}{}", token(ROOT_TOKEN));
    let upid = send(&mock, "POST /api2/json/nodes/pve1/qemu/100/status/start", &headers, "")
        .await
        .data();
    let upid = upid.as_str().unwrap().to_owned();
    assert!(upid.contains(":qmstart:100:root@pam!netbox:"), "{upid}");
    mock.clock().advance(Duration::from_secs(2));
    let status = get(&mock, &format!("/nodes/pve1/tasks/{upid}/status")).await.data();
    assert_eq!(
        (status["status"].as_str(), status["exitstatus"].as_str()),
        (Some("stopped"), Some("OK"))
    );
    assert_eq!(
        (status["user"].as_str(), status["tokenid"].as_str()),
        (Some("root@pam"), Some("netbox"))
    );
    assert_eq!(
        get(&mock, "/nodes/pve1/qemu/100/status/current").await.data()["status"],
        "running"
    );
    let twice = send(&mock, "POST /api2/json/nodes/pve1/qemu/100/status/start", &headers, "").await;
    assert_eq!((twice.status, twice.reason.as_str()), (500, "VM 100 already running"));
    let path = "/api2/json/nodes/pve1/qemu/100/snapshot";
    assert_eq!(
        send(&mock, &format!("POST {path}"), &headers, "snapname=mine")
            .await
            .status,
        200
    );
    let names = |rows: &Value| {
        rows.as_array()
            .unwrap()
            .iter()
            .map(|row| row["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        names(&get(&mock, "/nodes/pve1/qemu/100/snapshot").await.data()),
        ["mine", "current"]
    );
    let auth = token(ROOT_TOKEN);
    assert_eq!(send(&mock, &format!("DELETE {path}/mine"), &auth, "").await.status, 200);
    assert_eq!(
        names(&get(&mock, "/nodes/pve1/qemu/100/snapshot").await.data()),
        ["current"]
    );
}

#[tokio::test]
async fn tasks_are_paged_and_the_total_counts_all() {
    let mock = start(World::estate(1, 40)).await;
    let all = get(&mock, "/nodes/pve1/tasks?limit=1000").await.json();
    let total = all["total"].as_u64().unwrap();
    assert_eq!(all["data"].as_array().unwrap().len() as u64, total);
    let page = get(&mock, "/nodes/pve1/tasks?start=10&limit=5").await.json();
    assert_eq!(page["total"], total);
    assert_eq!(page["data"][0]["upid"], all["data"][10]["upid"]);
    assert_eq!(get(&mock, "/nodes/pve1/tasks?limit=0").await.data(), json!([]));
    let warned = get(&mock, "/nodes/pve1/tasks?statusfilter=warning&limit=500")
        .await
        .data();
    assert!(
        warned
            .as_array()
            .unwrap()
            .iter()
            .all(|row| row["status"].as_str().unwrap().starts_with("WARNINGS"))
    );
    let active = get(&mock, "/nodes/pve1/tasks?source=active").await.data();
    assert_eq!(
        (active[0]["id"].as_str(), active[0].get("endtime")),
        (Some("105"), None)
    );
}

#[tokio::test]
async fn agents_answer_or_fail_as_their_guest_says() {
    let options = MockOptions {
        agent_limit: Duration::from_millis(1),
        ..MockOptions::default()
    };
    let mock = MockProxmox::start(options, World::estate(1, 1)).await.unwrap();
    for (agent, status, reason) in [
        (Agent::Plain, 200, "OK"),
        (Agent::Disabled, 200, "OK"),
        (Agent::Absent, 500, "No QEMU guest agent configured"),
        (Agent::NotRunning, 500, "QEMU guest agent is not running"),
        (
            Agent::Wedged,
            500,
            "VM 100 qmp command 'guest-network-get-interfaces' failed - got timeout",
        ),
    ] {
        mock.world().change(|world| {
            let guest = world.guest(100).unwrap();
            (guest.agent, guest.status) = (agent.clone(), GuestStatus::Running);
        });
        let answer = get(&mock, "/nodes/pve1/qemu/100/agent/network-get-interfaces").await;
        assert_eq!((answer.status, answer.reason.as_str()), (status, reason), "{agent:?}");
        match agent {
            Agent::Plain => assert_eq!(
                answer.data()["result"][1]["ip-addresses"][0]["ip-address"],
                "10.50.0.101"
            ),
            Agent::Disabled => assert!(answer.data()["result"]["error"].is_object()),
            Agent::Absent | Agent::NotRunning | Agent::Wedged | Agent::Interfaces(_) => {}
        }
    }
}

#[tokio::test]
async fn faults_by_path_strike_and_are_cleared() {
    let mock = start(World::estate(1, 2)).await;
    let faults = mock.faults();
    faults.fail_times("/version", 596, "Connection timed out", 1);
    let answer = get(&mock, "/version").await;
    assert_eq!(
        (answer.status, answer.reason.as_str(), answer.body.len()),
        (596, "Connection timed out", 0)
    );
    assert_eq!(get(&mock, "/version").await.status, 200);
    faults.on_path("/nodes", Fault::Truncated);
    let cut = get(&mock, "/nodes").await;
    assert!(serde_json::from_slice::<Value>(&cut.body).is_err() && !cut.body.is_empty());
    faults.on_path("/storage", Fault::Reset);
    let mut stream = connect(&mock).await;
    let text = format!(
        "GET /api2/json/storage HTTP/1.1\r\nHost: x\r\n{}\r\n",
        token(ROOT_TOKEN)
    );
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    assert!(bytes.is_empty(), "{}", String::from_utf8_lossy(&bytes));
    assert_eq!(mock.requests().last().map(|request| request.status), Some(0));
    faults.clear();
    faults.numbers_as_text(true);
    assert_eq!(get(&mock, "/cluster/resources?type=vm").await.data()[0]["vmid"], "100");
}

#[tokio::test]
async fn broken_bytes_reach_the_log_of_a_task() {
    let mut world = World::estate(1, 0);
    world.tasks = vec![Task {
        kind: "qmigrate".into(),
        ..world.tasks[0].clone()
    }];
    let upid = world.tasks[0].upid();
    let mock = start(world).await;
    mock.faults().raw_log_bytes(true);
    let answer = get(&mock, &format!("/nodes/pve1/tasks/{upid}/log?limit=0")).await;
    assert_eq!(answer.status, 200);
    assert!(answer.body.contains(&0xFF) && std::str::from_utf8(&answer.body).is_err());
}

#[tokio::test]
async fn requests_beyond_the_workers_queue_and_are_counted_as_open() {
    let options = MockOptions {
        workers: 1,
        ..MockOptions::default()
    };
    let mock = MockProxmox::start(options, World::estate(1, 1)).await.unwrap();
    mock.faults().latency(Duration::from_millis(50));
    let (first, second) = tokio::join!(get(&mock, "/version"), get(&mock, "/nodes"));
    assert_eq!((first.status, second.status, mock.peak_in_flight()), (200, 200, 2));
}

#[tokio::test]
async fn large_estate_lists_every_guest_to_root_and_auditor() {
    let mock = start(World::estate(8, 2_000)).await;
    for id in [ROOT_TOKEN, AUDITOR_TOKEN] {
        let rows = get_as(&mock, id, "/cluster/resources?type=vm").await.data();
        assert_eq!(rows.as_array().unwrap().len(), 2_000, "{id}");
    }
}

#[tokio::test]
async fn two_mocks_over_one_estate_answer_as_different_nodes() {
    let first = start(World::estate(2, 2)).await;
    let options = MockOptions {
        local_node: Some("pve2".to_owned()),
        ..MockOptions::default()
    };
    let second = MockProxmox::start_on(options, first.world()).await.unwrap();
    let fingerprints = |rows: &Value| (rows[0]["ssl_fingerprint"].clone(), rows[1]["ssl_fingerprint"].clone());
    let rows = get(&second, "/nodes").await.data();
    assert_eq!(
        fingerprints(&rows),
        (json!(first.fingerprint()), json!(second.fingerprint()))
    );
    let status = get(&second, "/cluster/status").await.data();
    let local: Vec<_> = status
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| row["local"] == 1)
        .map(|row| &row["name"])
        .collect();
    assert_eq!(local, ["pve2"]);
}

#[tokio::test]
async fn standalone_node_has_no_cluster() {
    let mock = start(World::standalone("solo", 2)).await;
    let rows = get(&mock, "/cluster/status").await.data();
    assert_eq!(rows.as_array().unwrap().len(), 1);
    assert_eq!(
        (rows[0]["type"].as_str(), rows[0]["nodeid"].as_i64()),
        (Some("node"), Some(0))
    );
    assert_eq!(get(&mock, "/cluster/config/join").await.status, 424);
}

#[tokio::test]
async fn paths_follow_the_release() {
    for (release, path, status) in [
        (Release::V8_3, "/cluster/ha/rules", 501),
        (Release::V8_3, "/cluster/ha/groups", 200),
        (Release::V9_1, "/cluster/ha/groups", 500),
        (Release::V9_1, "/cluster/ha/rules", 200),
        (Release::V9_1, "/cluster/qemu/custom-cpu-models", 501),
        (Release::V9_2, "/cluster/qemu/custom-cpu-models", 200),
    ] {
        let options = MockOptions {
            release,
            ..MockOptions::default()
        };
        let mock = MockProxmox::start(options, World::estate(2, 30)).await.unwrap();
        assert_eq!(get(&mock, path).await.status, status, "{release:?} {path}");
    }
}

const READ_PATHS: &[&str] = &[
    "/version",
    "/cluster",
    "/cluster/status",
    "/cluster/resources",
    "/cluster/options",
    "/cluster/replication",
    "/cluster/backup",
    "/cluster/backup/backup-all-0001",
    "/cluster/tasks",
    "/cluster/config/join",
    "/cluster/nextid",
    "/cluster/ha/resources",
    "/cluster/ha/resources/vm:101",
    "/cluster/ha/status/current",
    "/cluster/ha/status/manager_status",
    "/cluster/firewall/options",
    "/cluster/firewall/rules",
    "/cluster/firewall/groups",
    "/cluster/firewall/groups/web",
    "/cluster/firewall/ipset",
    "/cluster/firewall/ipset/management",
    "/cluster/firewall/aliases",
    "/cluster/sdn/zones",
    "/cluster/sdn/vnets",
    "/cluster/sdn/controllers",
    "/cluster/sdn/fabrics",
    "/nodes",
    "/nodes/pve4",
    "/nodes/pve4/network",
    "/nodes/pve1/network/vmbr0",
    "/nodes/pve1/network?type=bridge",
    "/nodes/pve1/status",
    "/nodes/pve1/version",
    "/nodes/pve1/time",
    "/nodes/pve1/config",
    "/nodes/pve1/services",
    "/nodes/pve1/replication",
    "/nodes/pve1/storage",
    "/nodes/pve1/storage/local/content",
    "/nodes/pve1/storage/local-lvm/content",
    "/nodes/pve1/storage/pbs-main/content?content=backup",
    "/nodes/pve1/storage/local/status",
    "/nodes/pve1/qemu",
    "/nodes/pve1/lxc",
    "/nodes/pve1/qemu/100/firewall/rules",
    "/nodes/pve1/firewall/rules",
    "/nodes/pve1/qemu/100/agent",
    "/nodes/pve1/qemu/100/config?current=1",
    "/nodes/pve4/lxc/103/config",
    "/nodes/pve4/lxc/103/interfaces",
    "/nodes/pve4/lxc/103/status/current",
    "/storage",
    "/storage/ceph-rbd",
    "/pools",
    "/pools/production",
    "/pools?poolid=lab",
    "/access/users",
    "/access/permissions",
    "/access/roles",
    "/access/acl",
];

/// Every read path of an estate answers; a handler that cannot is found here and not by a stage.
#[tokio::test]
async fn every_read_path_answers() {
    let mock = start(World::estate(4, 30)).await;
    for path in READ_PATHS {
        let answer = get(&mock, path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.reason);
        assert!(answer.json().get("data").is_some(), "{path}");
    }
}

#[tokio::test]
async fn leaf_matches_the_told_fingerprint_before_and_after_rotation() {
    use sha2::{Digest as _, Sha256};
    let mut mock = start(World::estate(2, 1)).await;
    let mut seen = Vec::new();
    for _ in 0..2 {
        let stream = connect(&mock).await;
        let leaf = stream.get_ref().1.peer_certificates().unwrap()[0].clone();
        let pairs: Vec<String> = Sha256::digest(&leaf).iter().map(|byte| format!("{byte:02X}")).collect();
        assert_eq!(pairs.join(":"), mock.fingerprint());
        let nodes = get(&mock, "/nodes").await.data();
        assert_eq!(nodes[0]["ssl_fingerprint"], mock.fingerprint());
        seen.push(mock.fingerprint().to_owned());
        mock.rotate_leaf().unwrap();
    }
    assert_ne!(seen[0], seen[1]);
}

async fn control(mock: &MockProxmox, head: &str, body: &str) -> Seen {
    let mut stream = TcpStream::connect(mock.control_address().unwrap()).await.unwrap();
    let text = format!(
        "{head} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    Seen::parse(&bytes)
}

#[tokio::test]
async fn control_port_changes_the_world_and_sets_faults() {
    let options = MockOptions {
        control: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))),
        ..MockOptions::default()
    };
    let mock = MockProxmox::start(options, World::estate(2, 5)).await.unwrap();
    let summary = control(&mock, "GET /world", "").await.json();
    assert_eq!(
        (
            summary["world"]["counts"]["guests"].as_u64(),
            summary["address"].as_str()
        ),
        (Some(5), Some(mock.address().to_string().as_str()))
    );
    let patch = json!({"name": "moved", "node": "pve2", "memory": 3_072, "tags": ["a", "b"], "onboot": null, "scsi7": "local-lvm:vm-100-disk-7,size=3G"});
    assert_eq!(
        control(&mock, "POST /world/guests/100", &patch.to_string())
            .await
            .status,
        200
    );
    let config = get(&mock, "/nodes/pve2/qemu/100/config").await.data();
    assert_eq!(config["name"], "moved");
    assert_eq!(
        (config["memory"].as_str(), config["tags"].as_str()),
        (Some("3072"), Some("a;b"))
    );
    assert_eq!(config["scsi7"], "local-lvm:vm-100-disk-7,size=3G");
    for (head, body, status) in [
        (
            "POST /world/guests/900",
            r#"{"type": "lxc", "node": "pve1", "name": "fresh"}"#,
            200,
        ),
        ("POST /world/guests/901", r#"{"name": "nowhere"}"#, 404),
        ("POST /world/guests/100", r#"{"node": "pve9"}"#, 422),
        ("DELETE /world/guests/101", "", 200),
        ("DELETE /world/guests/101", "", 404),
        (
            "POST /faults",
            r#"{"path": "/version", "status": 500, "text": "boom"}"#,
            200,
        ),
        ("POST /faults", r#"{"node_down": "pve2"}"#, 200),
        ("POST /faults", r#"{"unknown": 1}"#, 422),
    ] {
        assert_eq!(control(&mock, head, body).await.status, status, "{head} {body}");
    }
    assert_eq!(get(&mock, "/version").await.reason, "boom");
    assert_eq!(get(&mock, "/nodes/pve2/qemu").await.status, 595);
    assert_eq!(control(&mock, "DELETE /faults", "").await.status, 200);
    assert_eq!(get(&mock, "/nodes/pve2/qemu").await.status, 200);
    let requests = control(&mock, "GET /requests", "").await.json();
    assert_eq!(requests.as_array().unwrap().last().unwrap()["identity"], ROOT_TOKEN);
    control(&mock, "DELETE /requests", "").await;
    assert!(mock.requests().is_empty());
}

#[tokio::test]
async fn plain_http_is_redirected_and_a_stopped_mock_refuses() {
    let mock = start(World::estate(1, 1)).await;
    let mut stream = TcpStream::connect(mock.address()).await.unwrap();
    stream.write_all(b"GET /x HTTP/1.1\r\nHost: pve\r\n\r\n").await.unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    let answer = Seen::parse(&bytes);
    assert_eq!(answer.status, 301);
    assert!(answer.head.contains("location: https://pve/x"), "{}", answer.head);
    let address = mock.address();
    let open = connect(&mock).await;
    mock.stop().await;
    drop(open);
    assert!(TcpStream::connect(address).await.is_err());
}
