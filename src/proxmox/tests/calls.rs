//! What typed calls send, to the letter, and what they make of the answer.

use std::time::Duration;

use super::exchanges::session;
use super::server::{Reply, Server};
use crate::proxmox::{
    BackupOptions, BackupServerStorage, CloneOptions, Error, GuestKind, GuestPlace, HaCommand, Param, Power, Session,
    Vmid, WhileDisarmed,
};
use secrecy::ExposeSecret;

const TASK: &str = "UPID:a:00001234:0000ABCD:65000000:qmigrate:100:root@pam:";
const MACHINE: GuestPlace<'_> = GuestPlace {
    node: "a",
    kind: GuestKind::Qemu,
    vmid: Vmid(100),
};
const CONTAINER: GuestPlace<'_> = GuestPlace {
    kind: GuestKind::Lxc,
    ..MACHINE
};

/// A server that answers everything with a task.
fn starting() -> (Server, Session) {
    let server = Server::plain(|_| Reply::data(&format!("\"{TASK}\"")));
    let session = session(&server);
    (server, session)
}

fn sent(server: &Server) -> Vec<(String, String)> {
    let seen = server.seen();
    seen.iter().map(|seen| (seen.call(), seen.body.clone())).collect()
}

#[tokio::test]
async fn every_verb_sends_its_parameters_and_answers_its_task() {
    let (server, session) = starting();
    let backup = BackupOptions {
        storage: "vault",
        mode: "stop",
        compress: "zstd",
        notes: Some("by hand"),
    };
    let tasks = [
        session.set_power(MACHINE, Power::Start).await.unwrap(),
        session.set_power(CONTAINER, Power::Stop).await.unwrap(),
        session.set_power(MACHINE, Power::Shutdown).await.unwrap(),
        session.set_power(MACHINE, Power::Reboot).await.unwrap(),
        session
            .create_snapshot(MACHINE, "before", Some("a change"))
            .await
            .unwrap(),
        session.create_snapshot(CONTAINER, "plain", None).await.unwrap(),
        session.delete_snapshot(MACHINE, "before").await.unwrap(),
        session.backup_guest(MACHINE, backup).await.unwrap(),
        session.migrate_guest(MACHINE, "b", true).await.unwrap(),
        session.migrate_guest(CONTAINER, "b", false).await.unwrap(),
    ];
    assert!(tasks.iter().all(|task| task.as_str() == TASK));
    session.cancel_task(&tasks[0]).await.unwrap();
    let wanted = [
        ("POST nodes/a/qemu/100/status/start", ""),
        ("POST nodes/a/lxc/100/status/stop", ""),
        ("POST nodes/a/qemu/100/status/shutdown", ""),
        ("POST nodes/a/qemu/100/status/reboot", ""),
        (
            "POST nodes/a/qemu/100/snapshot",
            "snapname=before&description=a%20change",
        ),
        ("POST nodes/a/lxc/100/snapshot", "snapname=plain"),
        ("DELETE nodes/a/qemu/100/snapshot/before", ""),
        (
            "POST nodes/a/vzdump",
            "vmid=100&storage=vault&mode=stop&compress=zstd&notes-template=by%20hand",
        ),
        ("POST nodes/a/qemu/100/migrate", "target=b&online=1"),
        ("POST nodes/a/lxc/100/migrate", "target=b&restart=0"),
    ];
    let sent = sent(&server);
    let (cancelled, verbs) = sent.split_last().unwrap();
    let verbs: Vec<_> = verbs
        .iter()
        .map(|(call, body)| (call.as_str(), body.as_str()))
        .collect();
    assert_eq!(verbs, wanted);
    let path = cancelled.0.replace("%3A", ":").replace("%40", "@");
    assert_eq!(path, format!("DELETE nodes/a/tasks/{TASK}"));
}

#[tokio::test]
async fn guests_are_made_and_changed_by_what_is_sent() {
    let (server, session) = starting();
    let plain = CloneOptions {
        vmid: Vmid(201),
        name: None,
        target: None,
        storage: None,
        pool: None,
        snapshot: None,
        full: None,
    };
    let whole = CloneOptions {
        name: Some("copy"),
        target: Some("b"),
        storage: Some("vault"),
        pool: Some("lab"),
        snapshot: Some("before"),
        full: Some(true),
        ..plain
    };
    let memory = [("memory", Param::Integer(512)), ("onboot", Param::Flag(true))];
    let tasks = [
        session.create_guest(MACHINE, &memory).await.unwrap(),
        session.create_guest(CONTAINER, &[]).await.unwrap(),
        session.clone_guest(MACHINE, plain).await.unwrap(),
        session.clone_guest(MACHINE, whole).await.unwrap(),
        session.clone_guest(CONTAINER, whole).await.unwrap(),
        session.resize_disk(MACHINE, "scsi0", "+2G").await.unwrap(),
        session.make_template(MACHINE).await.unwrap().unwrap(),
    ];
    assert!(tasks.iter().all(|task| task.as_str() == TASK));
    session.change_guest(CONTAINER, &memory).await.unwrap();
    let copy = "target=b&storage=vault&pool=lab&snapname=before&full=1";
    let wanted = [
        ("POST nodes/a/qemu", "vmid=100&memory=512&onboot=1".to_owned()),
        ("POST nodes/a/lxc", "vmid=100".to_owned()),
        ("POST nodes/a/qemu/100/clone", "newid=201".to_owned()),
        ("POST nodes/a/qemu/100/clone", format!("newid=201&name=copy&{copy}")),
        ("POST nodes/a/lxc/100/clone", format!("newid=201&hostname=copy&{copy}")),
        ("PUT nodes/a/qemu/100/resize", "disk=scsi0&size=%2B2G".to_owned()),
        ("POST nodes/a/qemu/100/template", String::new()),
        ("PUT nodes/a/lxc/100/config", "memory=512&onboot=1".to_owned()),
    ];
    assert_eq!(sent(&server), wanted.map(|(call, body)| (call.to_owned(), body)));
}

#[tokio::test]
async fn container_becomes_a_template_without_a_task() {
    let server = Server::plain(|_| Reply::data("null"));
    assert_eq!(session(&server).make_template(CONTAINER).await.unwrap(), None);
}

#[tokio::test]
async fn availability_and_processor_models_are_changed_by_what_is_sent() {
    let server = Server::plain(|_| Reply::data("null"));
    let session = session(&server);
    for command in [
        HaCommand::Arm,
        HaCommand::Disarm(WhileDisarmed::Freeze),
        HaCommand::Disarm(WhileDisarmed::Ignore),
    ] {
        session.set_ha(command).await.unwrap();
    }
    let flags = [("flags", "+aes;-pcid".into()), ("hidden", Param::Flag(false))];
    session.create_cpu_model("lab", "EPYC-Genoa", &flags).await.unwrap();
    session.change_cpu_model("lab", &flags[1..]).await.unwrap();
    session.delete_cpu_model("lab").await.unwrap();
    let wanted = [
        ("POST cluster/ha/status/arm-ha", ""),
        ("POST cluster/ha/status/disarm-ha", "resource-mode=freeze"),
        ("POST cluster/ha/status/disarm-ha", "resource-mode=ignore"),
        (
            "POST cluster/qemu/custom-cpu-models",
            "cputype=lab&reported-model=EPYC-Genoa&flags=%2Baes%3B-pcid&hidden=0",
        ),
        ("PUT cluster/qemu/custom-cpu-models/lab", "hidden=0"),
        ("DELETE cluster/qemu/custom-cpu-models/lab", ""),
    ];
    assert_eq!(
        sent(&server),
        wanted.map(|(call, body)| (call.to_owned(), body.to_owned()))
    );
}

#[tokio::test]
async fn new_secret_of_a_token_is_answered_and_told_to_nobody_else() {
    let answer = r#"{"full-tokenid":"root@pam!sync","value":"s3cret-word"}"#;
    let server = Server::plain(move |_| Reply::data(answer));
    let secret = session(&server).regenerate_api_token("root@pam", "sync").await.unwrap();
    assert_eq!(secret.expose_secret(), "s3cret-word");
    let (call, body) = sent(&server).remove(0);
    assert_eq!(call.replace("%40", "@"), "PUT access/users/root@pam/token/sync");
    assert_eq!(body, "regenerate=1");
    assert!(!format!("{secret:?}").contains("s3cret"));
    for answer in [
        "null",
        r#"{"value":""}"#,
        r#"{"comment":"s3cret-word"}"#,
        r#"["s3cret-word"]"#,
    ] {
        let server = Server::plain(move |_| Reply::data(answer));
        let error = session(&server)
            .regenerate_api_token("root@pam", "sync")
            .await
            .unwrap_err();
        assert!(matches!(error, Error::Decode { .. }), "{error:?}");
        assert!(!format!("{error} {error:?}").contains("s3cret"));
    }
}

#[tokio::test]
async fn verb_that_answers_no_task_is_an_error() {
    for answer in ["null", "\"OK\"", "{}", "\"UPID:a:1\""] {
        let server = Server::plain(move |_| Reply::data(answer));
        let started = session(&server).set_power(MACHINE, Power::Start).await;
        assert!(matches!(started, Err(Error::Decode { .. })), "{answer}: {started:?}");
    }
}

#[tokio::test]
async fn backup_server_becomes_a_storage_and_its_password_shows_up_nowhere() {
    let nodes = ["a".to_owned(), "b".to_owned()];
    let storage = BackupServerStorage {
        storage: "vault",
        server: "10.0.0.2",
        port: 8007,
        datastore: "main",
        namespace: None,
        username: "root@pam!sync",
        password: "s3cret-word".to_owned().into(),
        fingerprint: "00:11",
        nodes: &nodes,
    };
    let server = Server::plain(|_| Reply::data("null"));
    session(&server).create_backup_server_storage(&storage).await.unwrap();
    let (call, body) = sent(&server).remove(0);
    assert_eq!(call, "POST storage");
    let pairs: Vec<(String, String)> = url::form_urlencoded::parse(body.as_bytes()).into_owned().collect();
    let pairs: Vec<(&str, &str)> = pairs
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect();
    assert_eq!(
        pairs,
        [
            ("storage", "vault"),
            ("type", "pbs"),
            ("content", "backup"),
            ("prune-backups", "keep-all=1"),
            ("server", "10.0.0.2"),
            ("port", "8007"),
            ("datastore", "main"),
            ("username", "root@pam!sync"),
            ("password", "s3cret-word"),
            ("fingerprint", "00:11"),
            ("nodes", "a,b"),
        ]
    );
    let refusal = r#"{"data":null,"message":"s3cret-word is wrong\n","errors":{"password":"s3cret-word is short"}}"#;
    let server = Server::plain(move |_| Reply::new("400 Parameter verification failed.", refusal));
    let error = session(&server)
        .create_backup_server_storage(&storage)
        .await
        .unwrap_err();
    let told = format!("{error} {error:?} {storage:?}");
    assert!(told.contains("password") && !told.contains("s3cret"), "{told}");
}

#[tokio::test]
async fn single_places_are_asked_for_by_name() {
    let server = Server::plain(|seen| {
        Reply::data(match seen.call().as_str() {
            "GET storage/vault" => r#"{"storage":"vault","type":"pbs","port":"8007"}"#,
            "GET nodes/a/disks/zfs/rpool" => {
                r#"{"name":"rpool","state":"ONLINE","children":[{"name":"mirror-0","children":[{"name":"sda","cksum":"2"}]}]}"#
            }
            "GET nodes/a/qemu/100/migrate" => {
                r#"{"running":1,"allowed_nodes":["b"],"local_disks":[],"local_resources":[]}"#
            }
            "GET cluster/sdn/vnets/vnet1/subnets" => r#"[{"subnet":"z-10.0.0.0-24","cidr":"10.0.0.0/24","snat":"1"}]"#,
            "GET nodes/a/qemu/100/agent/get-osinfo" => r#"{"result":{"name":"Debian","version-id":12}}"#,
            "GET nodes/a/lxc/100/status/current" => r#"{"status":"stopped","vmid":"100"}"#,
            _ => return Reply::new("501 Method not implemented", r#"{"data":null}"#),
        })
    });
    let session = session(&server);
    assert_eq!(session.storage_config("vault").await.unwrap().port, Some(8007));
    let pool = session.zfs_pool("a", "rpool").await.unwrap();
    assert_eq!(pool.children[0].children[0].cksum, Some(2));
    let preflight = session.find_migration_preflight(MACHINE).await.unwrap().unwrap();
    assert_eq!(
        (preflight.running, preflight.allowed_nodes),
        (true, Some(vec!["b".to_owned()]))
    );
    let older = session.find_migration_preflight(CONTAINER).await.unwrap();
    assert_eq!(older, None, "releases before 9 do not tell of containers");
    assert!(session.list_sdn_subnets("vnet1").await.unwrap().items[0].snat);
    assert_eq!(
        session
            .guest_os("a", Vmid(100), Duration::from_secs(5))
            .await
            .unwrap()
            .version_id
            .as_deref(),
        Some("12")
    );
    assert!(!session.guest_status(CONTAINER).await.unwrap().is_running());
}
