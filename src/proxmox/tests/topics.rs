//! Typed calls, and waiting for tasks, on a mock.

use std::time::Duration;

use secrecy::SecretString;

use super::endpoint;
use super::server::{Reply, Server};
use crate::proxmox::mock::world::Row;
use crate::proxmox::mock::{Fault, FaultRule, MockOptions, MockProxmox, ROOT_TOKEN, Release, TOKEN_SECRET, World};
use crate::proxmox::types::Upid;
use crate::proxmox::{
    BackupOptions, ContentFilter, Credential, Endpoint, Error, FirewallOf, GuestKind, GuestPlace, MetricFilter, Power,
    Session, TaskEnd, TaskFilter, TlsPolicy, Vmid, Wait,
};

/// How long the mock's tasks run: longer than any test, so that only its clock ends them.
const TASK: Duration = Duration::from_hours(1);

async fn mock(release: Release) -> MockProxmox {
    let options = MockOptions {
        release,
        task_duration: TASK,
        ..MockOptions::default()
    };
    MockProxmox::start(options, World::estate(3, 40)).await.unwrap()
}

/// The mock, as root.
pub(super) fn root(mock: &MockProxmox) -> Endpoint {
    let (user, token) = ROOT_TOKEN.split_once('!').unwrap();
    Endpoint {
        port: mock.address().port(),
        username: user.to_owned(),
        credential: Credential::Token {
            name: token.to_owned(),
            secret: SecretString::from(TOKEN_SECRET),
        },
        tls: TlsPolicy {
            fingerprints: vec![mock.fingerprint().parse().unwrap()],
            ..TlsPolicy::default()
        },
        ..endpoint(None, Some("127.0.0.1"))
    }
}

pub(super) async fn session(release: Release) -> (MockProxmox, Session) {
    let mock = mock(release).await;
    let session = Session::new(root(&mock)).unwrap();
    (mock, session)
}

/// Node and number of a guest that runs and nothing has locked.
fn running(mock: &MockProxmox) -> (String, Vmid) {
    mock.world().read(|world| {
        let mut guests = world.guests.values();
        let found = guests.find(|guest| guest.kind.as_str() == "qemu" && guest.is_running() && guest.lock.is_none());
        found.map(|guest| (guest.node.clone(), Vmid(guest.vmid))).unwrap()
    })
}

fn quick() -> Wait {
    Wait {
        limit: Duration::from_secs(20),
        first_pause: Duration::from_millis(1),
        longest_pause: Duration::from_millis(1),
        ..Wait::default()
    }
}

#[tokio::test]
async fn lists_of_every_topic_are_read_without_losing_a_row() {
    for release in [Release::V8_3, Release::V9_1, Release::V9_2] {
        let (mock, session) = session(release).await;
        let session = &session;
        let cluster = FirewallOf::Cluster;
        let (node, vmid) = running(&mock);
        let guest = FirewallOf::Guest(&node, GuestKind::Qemu, vmid);
        let rejected = [
            session.list_ha_status().await.unwrap().rejected,
            session.list_ha_resources().await.unwrap().rejected,
            session.list_ha_groups().await.unwrap().rejected,
            session.list_ha_rules().await.unwrap().rejected,
            session.list_services("pve1").await.unwrap().rejected,
            session.list_disks("pve1").await.unwrap().rejected,
            session.list_zfs_pools("pve1").await.unwrap().rejected,
            session.list_certificates("pve1").await.unwrap().rejected,
            session.list_pools().await.unwrap().rejected,
            session.list_firewall_rules(cluster).await.unwrap().rejected,
            session
                .list_firewall_rules(FirewallOf::Node("pve1"))
                .await
                .unwrap()
                .rejected,
            session.list_firewall_groups().await.unwrap().rejected,
            session.list_firewall_aliases(cluster).await.unwrap().rejected,
            session.list_firewall_ipsets(cluster).await.unwrap().rejected,
            session.list_firewall_group_rules("web").await.unwrap().rejected,
            session
                .list_firewall_ipset(cluster, "management")
                .await
                .unwrap()
                .rejected,
            session.list_firewall_parts(guest).await.unwrap().rejected,
            session
                .list_node_guests("pve1", GuestKind::Qemu)
                .await
                .unwrap()
                .rejected,
            session.list_node_storages("pve1", None).await.unwrap().rejected,
            session.list_metrics(MetricFilter::default()).await.unwrap().rejected,
            session.list_cpu_models().await.unwrap().rejected,
            session.list_api_tokens("root@pam").await.unwrap().rejected,
            session.list_recent_tasks().await.unwrap().rejected,
            session.list_sdn_zones().await.unwrap().rejected,
            session.list_sdn_vnets().await.unwrap().rejected,
            session
                .list_content("pve1", "local", ContentFilter::default())
                .await
                .unwrap()
                .rejected,
        ];
        assert!(rejected.iter().all(Vec::is_empty), "{release:?}: {rejected:?}");
        assert!(session.next_vmid().await.unwrap().is_some());
        assert!(session.find_join_information().await.unwrap().is_some());
        assert_eq!(session.ha_manager_status().await.unwrap().quorum.quorate, Some(true));
        let has_identity = session.find_storage_identity("pve1", "local").await.unwrap().is_some();
        assert_eq!(has_identity, release == Release::V9_2, "{release:?}");
        assert!(session.node_config("pve1").await.is_ok() && session.firewall_options(cluster).await.is_ok());
    }
}

#[tokio::test]
async fn what_a_release_does_not_offer_is_empty_and_what_fails_is_an_error() {
    let (mock, old) = session(Release::V8_3).await;
    assert!(old.list_ha_rules().await.unwrap().items.is_empty());
    assert!(!old.list_ha_groups().await.unwrap().items.is_empty());
    mock.faults()
        .fail("/cluster/ha/groups", 403, "Permission check failed (/, Sys.Audit)");
    assert!(matches!(
        old.list_ha_groups().await,
        Err(Error::PermissionDenied { .. })
    ));
    let (_mock, new) = session(Release::V9_2).await;
    assert!(new.list_ha_groups().await.unwrap().items.is_empty());
    assert!(!new.list_ha_rules().await.unwrap().items.is_empty());
    assert_eq!(new.find_ha_resource("vm:99999").await.unwrap(), None);
}

#[tokio::test]
async fn single_group_and_rule_are_found_where_the_release_has_such_things() {
    for release in [Release::V8_3, Release::V9_2] {
        let (mock, session) = session(release).await;
        let named = |rows: &[Row], key: &str| rows[0][key].as_str().unwrap().to_owned();
        let (group, rule) = mock
            .world()
            .read(|world| (named(&world.ha.groups, "group"), named(&world.ha.rules, "rule")));
        let has_rules = release == Release::V9_2;
        let found = session.find_ha_group(&group).await.unwrap().map(|found| found.group);
        assert_eq!(found, (!has_rules).then_some(group), "{release:?}");
        let found = session.find_ha_rule(&rule).await.unwrap().map(|found| found.rule);
        assert_eq!(found, has_rules.then_some(rule), "{release:?}");
        assert_eq!(session.find_ha_group("nobody").await.unwrap(), None);
        assert_eq!(session.find_ha_rule("nobody").await.unwrap(), None);
    }
}

#[tokio::test]
async fn single_row_of_the_cluster_is_absent_only_where_every_row_is_read() {
    let (mock, session) = session(Release::V9_2).await;
    let (node, vmid) = running(&mock);
    let status = session.find_node_status(&node).await.unwrap().unwrap();
    assert_eq!(status.online, Some(true));
    assert_eq!(session.find_node_status("pve99").await.unwrap(), None);
    let guest = session.find_guest(GuestKind::Qemu, vmid).await.unwrap().unwrap();
    assert_eq!(guest.node, Some(node));
    assert_eq!(session.find_guest(GuestKind::Lxc, vmid).await.unwrap(), None);
}

#[tokio::test]
async fn unreadable_row_may_be_the_one_that_is_looked_for() {
    let rows = r#"[{"id":"qemu/100","type":"qemu","vmid":100},{"id":"qemu/101","type":"qemu","vmid":"many"}]"#;
    let server = Server::plain(move |_| Reply::data(rows));
    let session = super::exchanges::session(&server);
    let find = async |vmid| session.find_guest(GuestKind::Qemu, Vmid(vmid)).await;
    assert!(find(100).await.unwrap().is_some());
    assert!(matches!(find(101).await, Err(Error::Decode { .. })));
}

#[tokio::test]
async fn tasks_are_told_by_type_user_outcome_and_time() {
    let (mock, session) = session(Release::V9_2).await;
    let session = &session;
    let list = async |filter| session.list_tasks("pve1", filter).await.unwrap().items;
    let all = list(TaskFilter {
        limit: Some(500),
        ..TaskFilter::default()
    })
    .await;
    let (oldest, newest) = (all.last().unwrap(), &all[0]);
    let kind = oldest.kind.as_deref().unwrap();
    let of_kind = TaskFilter {
        kind: Some(kind),
        limit: Some(500),
        ..TaskFilter::default()
    };
    let found = list(of_kind).await;
    assert!(
        !found.is_empty() && found.len() < all.len(),
        "{} of {}",
        found.len(),
        all.len()
    );
    assert!(found.iter().all(|task| task.kind.as_deref() == Some(kind)));
    let latest = TaskFilter {
        since: newest.starttime,
        ..TaskFilter::default()
    };
    let found = list(latest).await;
    assert!(!found.is_empty() && found.len() < all.len(), "{}", found.len());
    assert!(found.iter().all(|task| task.starttime >= newest.starttime));
    let none = TaskFilter {
        user: Some("nobody-of-this-name"),
        ..TaskFilter::default()
    };
    assert_eq!(list(none).await, []);
    let failed = TaskFilter {
        outcomes: Some("error"),
        limit: Some(500),
        ..TaskFilter::default()
    };
    assert!(list(failed).await.iter().all(|task| task.outcome() != "OK"));
    mock.world().change(|world| world.tasks.clear());
    assert_eq!(list(TaskFilter::default()).await, []);
}

#[tokio::test]
async fn answer_that_trickles_beyond_the_limit_is_a_timeout() {
    let mock = mock(Release::V9_2).await;
    mock.faults().slow_body("/version", 4, Duration::from_hours(1));
    let impatient = Endpoint {
        timeout: Duration::from_millis(50),
        ..root(&mock)
    };
    let session = Session::new(impatient).unwrap();
    assert!(matches!(session.version_info().await, Err(Error::Timeout { .. })));
}

#[tokio::test]
async fn verbs_answer_tasks_that_can_be_waited_for() {
    let (mock, session) = session(Release::V9_2).await;
    let (node, vmid) = running(&mock);
    let guest = GuestPlace {
        node: &node,
        kind: GuestKind::Qemu,
        vmid,
    };
    assert!(session.guest_status(guest).await.unwrap().is_running());
    let backup = BackupOptions {
        storage: "local",
        mode: "snapshot",
        compress: "zstd",
        notes: None,
    };
    let tasks = [
        session
            .create_snapshot(guest, "before", Some("a change"))
            .await
            .unwrap(),
        session.delete_snapshot(guest, "before").await.unwrap(),
        session.backup_guest(guest, backup).await.unwrap(),
        session.set_power(guest, Power::Stop).await.unwrap(),
    ];
    for upid in &tasks {
        let end = session
            .wait_task(upid, quick(), |_| mock.clock().advance(TASK))
            .await
            .unwrap();
        assert_eq!(end, TaskEnd::Done, "{upid}");
    }
    assert!(!session.guest_status(guest).await.unwrap().is_running());
}

#[tokio::test]
async fn end_of_a_task_is_told_by_its_exit_status() {
    let (mock, session) = session(Release::V9_2).await;
    let (node, vmid) = running(&mock);
    let guest = GuestPlace {
        node: &node,
        kind: GuestKind::Qemu,
        vmid,
    };
    let upid = session.set_power(guest, Power::Stop).await.unwrap();
    mock.clock().advance(TASK);
    for (outcome, end) in [
        ("OK", TaskEnd::Done),
        ("WARNINGS: 2", TaskEnd::Warnings(2)),
        ("got timeout", TaskEnd::Failed("got timeout".to_owned())),
    ] {
        mock.world().change(|world| {
            let tasks = world.tasks.iter_mut().filter(|task| task.upid() == upid.as_str());
            tasks.for_each(|task| task.outcome = outcome.into());
        });
        assert_eq!(
            session.wait_task(&upid, quick(), |_| {}).await.unwrap(),
            end,
            "{outcome}"
        );
    }
}

#[tokio::test]
async fn waiting_tells_the_log_outlasts_a_node_that_is_away_and_ends_at_the_limit() {
    let (mock, session) = session(Release::V9_2).await;
    let (node, vmid) = running(&mock);
    let guest = GuestPlace {
        node: &node,
        kind: GuestKind::Qemu,
        vmid,
    };
    let upid = session.set_power(guest, Power::Stop).await.unwrap();
    let never = Wait {
        limit: Duration::from_millis(5),
        ..quick()
    };
    assert_eq!(session.wait_task(&upid, never, |_| {}).await.unwrap(), TaskEnd::Running);
    mock.faults().add(FaultRule {
        method: None,
        path: format!("/nodes/{node}/tasks/*/status"),
        fault: Fault::Status(595, "No route to host".to_owned()),
        times: Some(2),
    });
    let mut told = Vec::new();
    let with_log = Wait {
        reads_log: true,
        ..quick()
    };
    let progress = |progress: crate::proxmox::TaskProgress| {
        told.extend(progress.lines);
        mock.clock().advance(TASK);
    };
    let end = session.wait_task(&upid, with_log, progress).await.unwrap();
    assert_eq!((end, told.len()), (TaskEnd::Done, 1), "{told:?}");
    let unknown: Upid = format!("UPID:{node}:00000001:00000001:00000001:qmstop:100:root@pam:")
        .parse()
        .unwrap();
    assert!(matches!(
        session.wait_task(&unknown, quick(), |_| {}).await,
        Err(Error::NotFound { .. })
    ));
}
