//! The session for callers without a runtime.

#![expect(clippy::unwrap_used, reason = "a test stops where its surroundings fail")]

use std::fs;
use std::path::Path;
use std::time::Duration;

use proxbox_api::blocking::Session;
use proxbox_api::endpoint::{EndpointId, EndpointKey, Product, Source};
use proxbox_api::proxmox::mock::{MockOptions, MockProxmox, ROOT_TOKEN, TOKEN_SECRET, World};
use proxbox_api::proxmox::{Credential, Endpoint, GuestKind, GuestPlace, Power, TaskEnd, TlsPolicy, Wait};
use tokio::runtime::Builder;

fn root(mock: &MockProxmox) -> Endpoint {
    let (user, token) = ROOT_TOKEN.split_once('!').unwrap();
    Endpoint {
        key: EndpointKey {
            source: Source::Database,
            id: EndpointId(1),
        },
        product: Product::default(),
        name: "lab".to_owned(),
        domain: None,
        ip_address: Some("127.0.0.1".to_owned()),
        port: mock.address().port(),
        username: user.to_owned(),
        credential: Credential::Token {
            name: token.to_owned(),
            secret: TOKEN_SECRET.to_owned().into(),
        },
        tls: TlsPolicy {
            fingerprints: vec![mock.fingerprint().parse().unwrap()],
            ..TlsPolicy::default()
        },
        timeout: Duration::from_secs(5),
        connect_timeout: Duration::from_secs(2),
        max_retries: 0,
        retry_backoff: Duration::from_millis(1),
        max_parallel: 3,
    }
}

#[test]
fn blocking_session_answers_without_a_runtime_around_it() {
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let starting = MockProxmox::start(MockOptions::default(), World::estate(3, 5));
    let mock = runtime.block_on(starting).unwrap();
    let session = Session::new(root(&mock)).unwrap();
    assert_eq!(session.version_info().unwrap().release.as_deref(), Some("9.2"));
    assert_eq!(session.list_nodes().unwrap().items.len(), 3);
    let pools = session.wait(async |session| session.pools().get().await);
    assert!(pools.unwrap().data.is_array());
}

#[test]
fn blocking_session_waits_for_the_task_that_it_has_started() {
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let duration = Duration::from_hours(1);
    let options = MockOptions {
        task_duration: duration,
        ..MockOptions::default()
    };
    let mock = runtime
        .block_on(MockProxmox::start(options, World::estate(2, 12)))
        .unwrap();
    let session = Session::new(root(&mock)).unwrap();
    let guests = session.list_node_guests("pve1", GuestKind::Qemu).unwrap().items;
    let mut guests = guests.iter();
    let found = guests.find(|guest| guest.is_running() && guest.lock.is_none());
    let guest = GuestPlace {
        node: "pve1",
        kind: GuestKind::Qemu,
        vmid: found.and_then(|guest| guest.vmid).unwrap(),
    };
    let task = session.set_power(guest, Power::Stop).unwrap();
    let quick = Wait {
        first_pause: Duration::from_millis(1),
        ..Wait::default()
    };
    let mut looks = 0;
    let progress = |_| {
        looks += 1;
        mock.clock().advance(duration);
    };
    assert_eq!(session.wait_task(&task, quick, progress).unwrap(), TaskEnd::Done);
    assert_eq!(looks, 1);
    assert!(!session.guest_status(guest).unwrap().is_running());
}

#[test]
fn every_typed_call_has_a_blocking_twin() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let topics = fs::read_dir(source.join("proxmox/topics")).unwrap();
    let mut files: Vec<_> = topics.map(|entry| entry.unwrap().path()).collect();
    files.extend(["proxmox/reads.rs", "proxmox/wait.rs"].map(|file| source.join(file)));
    let twins = fs::read_to_string(source.join("blocking.rs")).unwrap();
    let (mut calls, mut missing) = (0, Vec::new());
    for file in files {
        let text = fs::read_to_string(file).unwrap();
        for name in text
            .split("pub async fn ")
            .skip(1)
            .filter_map(|rest| rest.split('(').next())
        {
            calls += 1;
            if !twins.contains(&format!(" {name}(")) {
                missing.push(name.to_owned());
            }
        }
    }
    assert!(
        calls > 40 && missing.is_empty(),
        "{calls} calls, without a twin: {missing:?}"
    );
}
