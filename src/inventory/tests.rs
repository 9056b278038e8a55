//! Areas read over the wire, from a Proxmox that fails here and there.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use secrecy::SecretString;
use serde_json::json;

use super::*;
use crate::endpoint::{EndpointId, EndpointKey, Product, Source};
use crate::proxmox::mock::world::{
    AUDITOR_TOKEN, Agent, GuestKind as MockKind, GuestStatus, ROOT_TOKEN, Settings, TOKEN_SECRET, Task as MockTask,
};
use crate::proxmox::mock::{Fault, Guest as MockGuest, MockOptions, MockProxmox, Node as MockNode, World};
use crate::proxmox::{Capabilities, ClusterStatus, Credential, Endpoint, Mode, Permissions, Rows, Session, TlsPolicy};

/// A cluster of three nodes with twelve guests, and what was read of it.
struct Bench {
    mock: MockProxmox,
    session: Session,
    cluster: Cluster,
    inventory: Inventory,
    only: Option<BTreeSet<Vmid>>,
    recorded: RecordedTasks,
    agent_timeout: Duration,
}

impl Bench {
    async fn new() -> Self {
        Self::of(World::estate(3, 12), ROOT_TOKEN).await
    }

    async fn of(world: World, token: &str) -> Self {
        Self::repeating(world, token, 0).await
    }

    /// As [`Self::of`]; what fails is asked again so many times.
    async fn repeating(world: World, token: &str, max_retries: u32) -> Self {
        // What waits for a node holds no worker of the one that passes it on.
        let options = MockOptions {
            workers: 16,
            ..MockOptions::default()
        };
        let mock = MockProxmox::start(options, world).await.unwrap();
        let (user, name) = token.split_once('!').unwrap();
        let session = Session::new(Endpoint {
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
                name: name.to_owned(),
                secret: SecretString::from(TOKEN_SECRET),
            },
            tls: TlsPolicy {
                fingerprints: vec![mock.fingerprint().parse().unwrap()],
                ..TlsPolicy::default()
            },
            timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(2),
            max_retries,
            retry_backoff: Duration::from_millis(1),
            max_parallel: 4,
        });
        let mut bench = Self {
            mock,
            session: session.unwrap(),
            cluster: Cluster {
                name: String::new(),
                mode: ClusterMode::Cluster,
                id: Some("cluster".to_owned()),
                nodes: Vec::new(),
                hidden: None,
            },
            inventory: Inventory::default(),
            only: None,
            recorded: RecordedTasks::default(),
            agent_timeout: Duration::from_secs(1),
        };
        bench.look_around().await;
        bench
    }

    /// Asks who is in the cluster, and forgets what was read.
    async fn look_around(&mut self) {
        self.cluster = cluster(&self.session.refresh().await.unwrap(), "lab").unwrap();
        self.inventory = Inventory::default();
        self.mock.clear_requests();
    }

    fn reader(&self) -> Reader<'_> {
        Reader {
            agent_timeout: self.agent_timeout,
            session: &self.session,
            cluster: &self.cluster,
            inventory: &self.inventory,
            only: self.only.as_ref(),
            node: None,
            storage: None,
            recorded: &self.recorded,
            concurrency: 4,
            listener: None,
        }
    }

    async fn read<A: Area>(&mut self) -> &Collected<A::Item> {
        let collected = A::collect(&self.reader()).await.unwrap();
        A::slot_mut(&mut self.inventory).fill(collected);
        A::slot(&self.inventory).get().unwrap()
    }

    async fn read_backups(&mut self) -> &Collected<StorageBackups> {
        self.read::<Storages>().await;
        self.mock.clear_requests();
        self.read::<Backups>().await
    }

    /// Whether each storage's backups are known to be complete.
    async fn completeness(&mut self) -> BTreeMap<String, bool> {
        let found = self.read_backups().await;
        found
            .items
            .iter()
            .map(|item| (item.storage.clone(), item.is_complete))
            .collect()
    }

    fn paths(&self) -> Vec<String> {
        self.mock.requests().into_iter().map(|request| request.path).collect()
    }
}

fn completeness(incomplete: &[&str]) -> BTreeMap<String, bool> {
    let storages = ["local", "nas-backups", "pbs-main", "usb-disk"];
    storages
        .map(|storage| (storage.to_owned(), !incomplete.contains(&storage)))
        .into()
}

#[tokio::test]
async fn shared_storage_is_read_once_and_a_local_one_on_every_node_that_has_it() {
    let mut bench = Bench::new().await;
    let found = bench.read_backups().await;
    let expected: usize = found.items.iter().map(|item| item.volumes.len()).sum();
    assert_eq!(found.gaps, []);
    assert_eq!(expected, bench.mock.world().read(|world| world.backups.len()));
    let paths = bench.paths();
    for (storage, times) in [
        ("local", 3),
        ("usb-disk", 2),
        ("nas-backups", 1),
        ("pbs-main", 1),
        ("old-iscsi", 0),
    ] {
        let suffix = format!("/storage/{storage}/content");
        let asked = paths.iter().filter(|path| path.ends_with(&suffix)).count();
        assert_eq!(asked, times, "{storage}: {paths:?}");
    }
    assert_eq!(bench.completeness().await, completeness(&[]));
}

#[tokio::test]
async fn shared_storage_that_one_node_cannot_read_is_read_through_another() {
    let mut bench = Bench::new().await;
    let faults = bench.mock.faults();
    faults.fail_times("/nodes/*/storage/nas-backups/content", 500, "mount error", 1);
    let found = bench.read_backups().await;
    assert_eq!(found.gaps, []);
    assert_eq!(bench.completeness().await, completeness(&[]));
}

#[tokio::test]
async fn shared_storage_is_given_up_only_where_no_node_can_read_it() {
    let mut bench = Bench::of(World::estate(5, 12), ROOT_TOKEN).await;
    let faults = bench.mock.faults();
    faults.fail_times("/nodes/*/storage/nas-backups/content", 500, "mount error", 4);
    assert_eq!(bench.read_backups().await.gaps, []);
    faults.fail("/nodes/*/storage/nas-backups/content", 500, "mount error");
    assert_eq!(bench.completeness().await, completeness(&["nas-backups"]));
}

#[tokio::test]
async fn unreadable_storage_is_a_gap_of_its_own() {
    let mut bench = Bench::new().await;
    bench
        .mock
        .world()
        .change(|world| world.storage("pbs-main").unwrap().reachable = false);
    assert_eq!(bench.completeness().await, completeness(&["pbs-main"]));
    let gaps = &bench.read_backups().await.gaps;
    assert!(gaps.len() == 1 && gaps[0].source.contains("pbs-main"), "{gaps:?}");
}

#[tokio::test]
async fn offline_node_hides_what_is_local_to_it_and_nothing_shared() {
    let mut bench = Bench::new().await;
    bench.mock.faults().node_down("pve2");
    bench.look_around().await;
    assert_eq!(bench.completeness().await, completeness(&["local", "usb-disk"]));
    assert!(
        bench.paths().iter().all(|path| !path.contains("pve2")),
        "{:?}",
        bench.paths()
    );
    bench.mock.faults().node_up("pve2");
    bench.mock.faults().node_down("pve3");
    bench.look_around().await;
    assert_eq!(
        bench.completeness().await,
        completeness(&["local"]),
        "pve3 has no usb-disk"
    );
}

#[tokio::test]
async fn storage_that_is_switched_off_is_not_asked_and_proves_nothing() {
    let mut bench = Bench::new().await;
    bench
        .mock
        .world()
        .change(|world| world.storage("nas-backups").unwrap().disabled = true);
    assert_eq!(bench.completeness().await, completeness(&["nas-backups"]));
    assert_eq!(bench.read_backups().await.gaps, []);
    assert!(bench.paths().iter().all(|path| !path.contains("nas-backups")));
}

#[tokio::test]
async fn storage_without_a_node_or_without_kinds_of_content_proves_nothing() {
    let mut bench = Bench::new().await;
    bench
        .mock
        .world()
        .change(|world| world.storage("nas-backups").unwrap().nodes = vec!["gone".to_owned()]);
    assert_eq!(bench.completeness().await, completeness(&["nas-backups"]));
    assert_eq!(bench.read_backups().await.gaps.len(), 1);
    let silent: StorageConfig = serde_json::from_value(serde_json::json!({"storage": "odd", "type": "dir"})).unwrap();
    let gaps = Vec::new();
    bench.inventory.storages.fill(Collected {
        items: vec![silent],
        gaps,
    });
    let found = bench.read::<Backups>().await;
    assert!(!found.items[0].is_complete && found.gaps.len() == 1, "{found:?}");
}

#[tokio::test]
async fn credentials_that_may_not_see_backups_prove_nothing() {
    let mut bench = Bench::of(World::estate(3, 12), AUDITOR_TOKEN).await;
    let all = ["local", "nas-backups", "pbs-main", "usb-disk"];
    assert_eq!(bench.completeness().await, completeness(&all));
    let gaps = &bench.read_backups().await.gaps;
    assert!(gaps.len() == 1 && gaps[0].kind == ErrorKind::Permission, "{gaps:?}");
}

async fn gaps<A: Area>(bench: &mut Bench) -> Vec<Gap> {
    bench.read::<A>().await.gaps.clone()
}

#[tokio::test]
async fn credentials_whose_rights_cannot_be_read_prove_nothing() {
    let mut bench = Bench::of(World::estate(3, 12), AUDITOR_TOKEN).await;
    bench.mock.faults().fail("/access/permissions", 500, "something else");
    bench.look_around().await;
    assert_eq!(gaps::<Guests>(&mut bench).await.len(), 1);
    assert_eq!(bench.inventory.items::<Guests>().len(), 12, "what can be seen is read");
    assert_eq!(gaps::<Storages>(&mut bench).await.len(), 1);
    let all = ["local", "nas-backups", "pbs-main", "usb-disk"];
    assert_eq!(bench.completeness().await, completeness(&all));
    assert_eq!(gaps::<Backups>(&mut bench).await.len(), 1);
    assert_eq!(gaps::<Replications>(&mut bench).await.len(), 1);
    assert_eq!(gaps::<Tasks>(&mut bench).await.len(), 3, "one per node");
    let found = gaps::<Sdn>(&mut bench).await;
    assert!(
        found.len() == 1 && found[0].kind == ErrorKind::Unknown && found[0].message.contains("could not be read"),
        "{found:?}"
    );
    assert!(!bench.inventory.networks().unwrap().vnets.is_complete);
}

#[tokio::test]
async fn plain_estate_has_no_gap() {
    let mut bench = Bench::new().await;
    let found = [
        gaps::<Guests>(&mut bench).await,
        gaps::<Storages>(&mut bench).await,
        gaps::<Backups>(&mut bench).await,
        gaps::<Replications>(&mut bench).await,
        gaps::<Tasks>(&mut bench).await,
        gaps::<Sdn>(&mut bench).await,
    ];
    assert_eq!(found.concat(), []);
}

#[tokio::test]
async fn one_guest_is_asked_for_by_its_number() {
    let mut bench = Bench::new().await;
    bench.only = Some([Vmid(102)].into());
    let found = bench.read_backups().await;
    let of_others = found
        .items
        .iter()
        .flat_map(|item| &item.volumes)
        .filter(|volume| volume.vmid != Some(Vmid(102)));
    assert_eq!(of_others.count(), 0);
    assert!(
        bench
            .mock
            .requests()
            .iter()
            .all(|request| request.query.contains("vmid=102"))
    );
}

#[tokio::test]
async fn snapshots_are_read_guest_by_guest_and_a_failure_is_one_guests_alone() {
    let mut bench = Bench::new().await;
    bench.mock.faults().fail("/nodes/*/*/101/snapshot", 500, "got timeout");
    bench.read::<Guests>().await;
    let found = bench.read::<Snapshots>().await;
    assert_eq!((found.items.len(), found.gaps.len()), (11, 1));
    assert!(found.gaps[0].source.contains("/101"), "{:?}", found.gaps);
    let known = bench.mock.world().read(|world| world.guests.clone());
    for (vmid, guest) in known.iter().filter(|(vmid, _)| **vmid != 101) {
        let found = bench.inventory.snapshots_of(Vmid(*vmid)).unwrap();
        assert_eq!(found.snapshots.len(), guest.snapshots.len(), "guest {vmid}");
    }
    assert_eq!(bench.inventory.snapshots_of(Vmid(101)), None);
}

#[tokio::test]
async fn guests_of_an_offline_node_are_one_gap_and_are_not_asked() {
    let mut bench = Bench::new().await;
    bench.mock.faults().node_down("pve1");
    bench.look_around().await;
    bench.read::<Guests>().await;
    let found = bench.read::<Snapshots>().await;
    assert_eq!(found.gaps, [Gap::offline("pve1")]);
    assert!(bench.paths().iter().all(|path| !path.starts_with("/nodes/pve1")));
}

/// An estate whose first node has `count` finished tasks of guest 100.
fn with_tasks(count: u32) -> World {
    let mut world = World::estate(3, 12);
    let task = |number: u32| MockTask {
        node: "pve1".into(),
        pid: number,
        pstart: number,
        starts: world.now - 1_000_000 + i64::from(number),
        ends: Some(world.now - 1_000_000 + i64::from(number)),
        kind: "qmstart".into(),
        id: "100".into(),
        user: "root@pam".into(),
        outcome: "OK".into(),
    };
    world.tasks = (0..count).map(task).collect();
    world
}

fn ending(task: &Task) -> (String, TaskEnding) {
    (task.upid.clone().unwrap(), TaskEnding::of(task))
}

#[tokio::test]
async fn archive_is_read_page_by_page_to_its_end() {
    let mut bench = Bench::of(with_tasks(1_100), ROOT_TOKEN).await;
    let found = bench.read::<Tasks>().await;
    assert_eq!((found.items.len(), found.gaps.len()), (1_100, 0));
    let asked = bench
        .paths()
        .iter()
        .filter(|path| path.starts_with("/nodes/pve1/tasks"))
        .count();
    assert_eq!(
        (asked, bench.paths().len()),
        (3, 5),
        "three pages of one node, one of each other"
    );
    let bounds = bench.mock.requests().into_iter().map(|request| {
        let bound = |name: &str| {
            let part = request.query.split('&').find_map(|part| part.strip_prefix(name));
            part.map(str::to_owned)
        };
        (bound("limit="), bound("until="))
    });
    let bounds: BTreeSet<_> = bounds.collect();
    let [(limit, until)] = &bounds.into_iter().collect::<Vec<_>>()[..] else {
        panic!("every page of every node ends at the same second");
    };
    assert_eq!((limit.as_deref(), until.is_some()), (Some("500"), true));
}

#[tokio::test]
async fn reading_stops_at_a_page_that_is_on_record() {
    let mut bench = Bench::of(with_tasks(1_100), ROOT_TOKEN).await;
    let newest: Vec<Task> = bench.read::<Tasks>().await.items.clone();
    bench.recorded = RecordedTasks {
        guests: [Vmid(100)].into(),
        endings: newest[..500].iter().map(ending).collect(),
        since: None,
    };
    bench.look_around().await;
    assert_eq!(bench.read::<Tasks>().await.items.len(), 500);
    bench.recorded.endings.remove(newest[499].upid.as_deref().unwrap());
    assert_eq!(
        bench.read::<Tasks>().await.items.len(),
        1_100,
        "one task of the page is not on record"
    );
}

#[tokio::test]
async fn what_is_too_old_is_left_out_where_the_archive_goes_on() {
    for (count, since, expected) in [
        // The last second of the newest tasks, in an archive of a page and in longer ones.
        (400, 390, 400),
        (1_100, 1_090, 10),
        (1_100, 590, 510),
        (1_100, 1_200, 0),
    ] {
        let mut bench = Bench::of(with_tasks(count), ROOT_TOKEN).await;
        let since = bench.mock.world().read(|world| world.now) - 1_000_000 + since;
        bench.recorded.since = Some(since);
        assert_eq!(
            bench.read::<Tasks>().await.items.len(),
            expected,
            "{count} since {since}"
        );
    }
}

#[tokio::test]
async fn node_that_fails_is_a_gap_and_the_others_stay() {
    let mut bench = Bench::of(with_tasks(1_100), ROOT_TOKEN).await;
    bench.mock.faults().fail("/nodes/pve2/tasks", 500, "got timeout");
    let found = bench.read::<Tasks>().await;
    assert_eq!((found.items.len(), found.gaps.len()), (1_100, 1));
    assert!(found.gaps[0].source.contains("pve2"), "{:?}", found.gaps);
}

#[tokio::test]
async fn reading_fails_only_where_no_node_can_be_read() {
    let bench = Bench::new().await;
    bench.mock.faults().fail("/nodes/*/tasks", 500, "got timeout");
    assert!(Tasks::collect(&bench.reader()).await.is_err());
}

#[tokio::test]
async fn networks_that_the_credentials_may_not_see_are_not_taken_for_gone() {
    let mut world = World::estate(2, 2);
    world.access.allow("/sdn", AUDITOR_TOKEN, "NoAccess");
    let mut bench = Bench::of(world, AUDITOR_TOKEN).await;
    let found = bench.read::<Sdn>().await;
    let kinds: Vec<_> = found.gaps.iter().map(|gap| gap.kind).collect();
    assert_eq!(kinds, [ErrorKind::Permission], "{:?}", found.gaps);
    let networks = &found.items[0];
    assert!(networks.vnets.rows.is_empty() && !networks.vnets.is_complete && !networks.subnets.is_complete);
}

#[tokio::test]
async fn node_that_is_offline_leaves_open_how_networks_stand_and_nothing_else() {
    let mut bench = Bench::new().await;
    bench.mock.faults().node_down("pve2");
    bench.look_around().await;
    let found = bench.read::<Sdn>().await;
    let sources: Vec<_> = found.gaps.iter().map(|gap| gap.source.as_str()).collect();
    assert_eq!(sources, ["node pve2"]);
    let networks = &found.items[0];
    assert!(networks.zones.is_complete && networks.subnets.is_complete && networks.prefix_lists.is_complete);
    let nodes: BTreeSet<_> = networks.on_nodes.rows.iter().map(|row| row.node.as_str()).collect();
    assert_eq!((nodes, networks.on_nodes.is_complete), (["pve1", "pve3"].into(), false));
}

/// A machine whose agent tells of its interfaces.
fn with_agent(vmid: u32) -> MockGuest {
    let mut guest = MockGuest::new(MockKind::Qemu, vmid, "web", "pve1");
    guest.status = GuestStatus::Running;
    guest.agent = Agent::Plain;
    guest.config = Settings::new()
        .with("agent", "1")
        .with("net0", "virtio=BC:24:11:00:00:01");
    guest
}

#[tokio::test]
async fn agents_are_asked_twice_each_and_only_as_long_as_they_answer() {
    let mut world = World::bare(vec![
        MockNode::new("pve1", 1, "10.0.0.1"),
        MockNode::new("pve2", 2, "10.0.0.2"),
    ]);
    let mut stopped = with_agent(101);
    stopped.status = GuestStatus::Stopped;
    let mut template = with_agent(102);
    template.template = true;
    let mut off = with_agent(103);
    off.config.set("agent", "0");
    let silent = MockGuest {
        agent: Agent::NotRunning,
        ..with_agent(104)
    };
    for guest in [with_agent(100), stopped, template, off, silent] {
        world.add_guest(guest);
    }
    let mut bench = Bench::of(world, ROOT_TOKEN).await;
    bench.read::<Guests>().await;
    bench.read::<GuestConfigs>().await;
    bench.mock.clear_requests();
    let answers: Vec<_> = bench.read::<GuestAgents>().await.items.clone();
    let told: Vec<_> = answers
        .iter()
        .map(|agent| (agent.vmid.0, agent.host_name.as_deref()))
        .collect();
    assert_eq!(told, [(100, Some("web")), (104, None)]);
    assert!(
        matches!(&answers[1].answer, AgentAnswer::Silence(words) if words.contains("not running")),
        "{answers:?}"
    );
    let mut paths = bench.paths();
    paths.sort_unstable();
    let path = |vmid: u32, command: &str| format!("/nodes/pve1/qemu/{vmid}/agent/{command}");
    let expected = [
        path(100, "get-host-name"),
        path(100, "network-get-interfaces"),
        path(104, "network-get-interfaces"),
    ];
    assert_eq!(paths, expected);
}

/// Two nodes; on the first are the guests from 100 on, `count` of them, on the second is 900. All have an agent.
async fn with_agents(count: u32) -> Bench {
    let mut world = World::bare(vec![
        MockNode::new("pve1", 1, "10.0.0.1"),
        MockNode::new("pve2", 2, "10.0.0.2"),
    ]);
    for vmid in 100..100 + count {
        world.add_guest(with_agent(vmid));
    }
    let mut other = with_agent(900);
    "pve2".clone_into(&mut other.node);
    world.add_guest(other);
    let mut bench = Bench::of(world, ROOT_TOKEN).await;
    bench.read::<Guests>().await;
    bench.read::<GuestConfigs>().await;
    bench.agent_timeout = Duration::from_hours(1);
    bench
}

/// Waits, while an area is read, until something below each of `places` has been answered so many times.
async fn answered<A: Area>(bench: &Bench, places: Vec<String>, times: usize) {
    let has_answered = |place: &String| {
        let paths = bench.paths();
        paths.iter().filter(|path| path.contains(place.as_str())).count() == times
    };
    let mut open = bench.mock.open_requests();
    let all = async {
        while !places.iter().all(has_answered) {
            open.changed().await.unwrap();
        }
    };
    let reader = bench.reader();
    tokio::select! {
        _ = A::collect(&reader) => panic!("one of them hangs"),
        told = tokio::time::timeout(Duration::from_secs(20), all) => {
            let silent: Vec<_> = places.iter().filter(|place| !has_answered(place)).collect();
            assert!(told.is_ok(), "kept waiting: {silent:?}");
        }
    }
}

fn agents(guests: std::ops::Range<u32>) -> Vec<String> {
    guests.map(|vmid| format!("/qemu/{vmid}/agent/")).collect()
}

#[tokio::test]
async fn agent_that_hangs_keeps_no_other_guest_of_its_node_waiting() {
    let bench = Box::pin(with_agents(90)).await;
    let hangs = Fault::Latency(Duration::from_hours(1));
    bench.mock.faults().on_path("/nodes/pve1/qemu/100/agent/*", hangs);
    answered::<GuestAgents>(&bench, agents(101..190), 2).await;
}

#[tokio::test]
async fn agents_that_hang_keep_no_guest_of_another_node_waiting() {
    let bench = Box::pin(with_agents(90)).await;
    let hangs = Fault::Latency(Duration::from_hours(1));
    bench.mock.faults().on_path("/nodes/pve1/qemu/*/agent/*", hangs);
    answered::<GuestAgents>(&bench, agents(900..901), 2).await;
}

/// Reads an area while the first of two nodes answers nothing about its twenty guests; the twenty of the second must all
/// be told of at `detail`.
async fn told_beside_a_slow_node<A: Area>(detail: &str) {
    let mut world = World::bare(vec![
        MockNode::new("pve1", 1, "10.0.0.1"),
        MockNode::new("pve2", 2, "10.0.0.2"),
    ]);
    for (node, vmids) in [("pve1", 100..120), ("pve2", 200..220)] {
        for vmid in vmids {
            let mut guest = MockGuest::new(MockKind::Lxc, vmid, "web", node);
            guest.status = GuestStatus::Running;
            world.add_guest(guest);
        }
    }
    let mut bench = Box::pin(Bench::of(world, ROOT_TOKEN)).await;
    bench.read::<Guests>().await;
    let slow = Fault::Latency(Duration::from_hours(1));
    bench.mock.faults().on_path("/nodes/pve1/lxc/**", slow);
    let places = (200..220).map(|vmid| format!("/lxc/{vmid}/{detail}"));
    answered::<A>(&bench, places.collect(), 1).await;
}

#[tokio::test]
async fn slow_node_keeps_no_guest_of_another_node_waiting() {
    told_beside_a_slow_node::<GuestConfigs>("config").await;
    told_beside_a_slow_node::<Snapshots>("snapshot").await;
    told_beside_a_slow_node::<Containers>("interfaces").await;
}

#[tokio::test]
async fn agent_that_hangs_is_not_asked_again() {
    let mut world = World::bare(vec![MockNode::new("pve1", 1, "10.0.0.1")]);
    world.add_guest(with_agent(100));
    let mut bench = Bench::repeating(world, ROOT_TOKEN, 5).await;
    bench.read::<Guests>().await;
    bench.read::<GuestConfigs>().await;
    let hangs = Fault::Latency(Duration::from_hours(1));
    bench.mock.faults().on_path("/nodes/pve1/qemu/100/agent/*", hangs);
    bench.agent_timeout = Duration::from_millis(300);
    let reader = bench.reader();
    let found = tokio::time::timeout(Duration::from_secs(1), GuestAgents::collect(&reader)).await;
    let answer = &found.unwrap().unwrap().items[0].answer;
    assert!(matches!(answer, AgentAnswer::Failure(_)), "{answer:?}");
}

#[tokio::test]
async fn agent_that_is_asked_for_the_system_has_its_own_time_limit_too() {
    let mut bench = Box::pin(with_agents(2)).await;
    let slow = Fault::Latency(Duration::from_hours(1));
    bench.mock.faults().on_path("/nodes/pve1/qemu/100/agent/*", slow);
    bench.agent_timeout = Duration::from_millis(300);
    let reader = bench.reader();
    let found = tokio::time::timeout(Duration::from_secs(3), GuestSystems::collect(&reader)).await;
    let found = found.unwrap().unwrap();
    let told = found.items.iter().filter(|system| system.os.is_ok());
    let told: Vec<u32> = told.map(|system| system.vmid.0).collect();
    assert_eq!(told, [101, 900]);
}

#[tokio::test]
async fn agent_that_does_not_run_or_hangs_is_not_asked_by_the_next_area() {
    let mut bench = Box::pin(with_agents(4)).await;
    let change = |vmid, agent| {
        bench
            .mock
            .world()
            .change(|world| world.guest(vmid).unwrap().agent = agent);
    };
    change(100, Agent::NotRunning);
    change(102, Agent::Disabled);
    let faults = bench.mock.faults();
    let words = "VM 101 qga command 'guest-get-osinfo' failed - got timeout";
    faults.fail("/nodes/pve1/qemu/101/agent/get-osinfo", 500, words);
    faults.fail("/nodes/pve1/qemu/103/agent/get-osinfo", 500, "the command is not known");
    bench.read::<GuestSystems>().await;
    bench.mock.clear_requests();
    let answers = bench.read::<GuestAgents>().await.items.clone();
    let [silent, hung, disabled, old, other] = answers.as_slice() else {
        panic!("{answers:?}");
    };
    for told in [silent, disabled] {
        assert!(matches!(told.answer, AgentAnswer::Silence(_)), "{told:?}");
    }
    assert!(
        matches!(&hung.answer, AgentAnswer::Failure(gap) if gap.kind == ErrorKind::Timeout),
        "{hung:?}"
    );
    for told in [old, other] {
        assert!(matches!(told.answer, AgentAnswer::Interfaces(_)), "{told:?}");
    }
    let paths = bench.paths();
    let asked = |vmid: u32| {
        let place = format!("/qemu/{vmid}/agent/");
        paths.iter().filter(|path| path.contains(&place)).count()
    };
    assert_eq!([100, 101, 102, 103, 900].map(asked), [0, 0, 2, 2, 2]);
}

#[tokio::test]
async fn agent_that_is_slow_costs_its_own_guest_alone_and_no_longer_than_the_limit() {
    let mut world = World::bare(vec![
        MockNode::new("pve1", 1, "10.0.0.1"),
        MockNode::new("pve2", 2, "10.0.0.2"),
    ]);
    world.add_guest(with_agent(100));
    world.add_guest(with_agent(101));
    let mut bench = Bench::of(world, ROOT_TOKEN).await;
    bench.read::<Guests>().await;
    bench.read::<GuestConfigs>().await;
    let slow = Fault::Latency(Duration::from_hours(1));
    bench.mock.faults().on_path("/nodes/pve1/qemu/100/agent/*", slow);
    bench.agent_timeout = Duration::from_millis(300);
    let answers = bench.read::<GuestAgents>().await.items.clone();
    let [slow, quick] = answers.as_slice() else {
        panic!("{answers:?}");
    };
    let AgentAnswer::Failure(gap) = &slow.answer else {
        panic!("{slow:?}");
    };
    assert_eq!(gap.kind, ErrorKind::Timeout);
    assert!(gap.message.contains("PROXBOX_GUEST_AGENT_TIMEOUT"), "{gap}");
    assert!(matches!(quick.answer, AgentAnswer::Interfaces(_)), "{quick:?}");
}

#[tokio::test]
async fn cluster_of_which_a_member_is_not_clear_has_the_others_and_a_gap() {
    let bench = Bench::new().await;
    let mut metadata = (*bench.session.refresh().await.unwrap()).clone();
    let whole = cluster(&metadata, "label").unwrap();
    assert_eq!(whole.hidden, None);
    let odd = json!({"type": "node", "id": "node/pve9", "name": "pve9", "online": "unknown"});
    metadata.rejected = Rows::<ClusterStatus>::decode([odd]).rejected;
    let found = cluster(&metadata, "label").unwrap();
    let gap = found.hidden.clone().unwrap().to_string();
    let told = [
        "cluster/status: ",
        "node/pve9 cannot be read",
        "unknown",
        "nothing is retired",
    ];
    assert!(told.iter().all(|part| gap.contains(part)), "{gap}");
    assert_eq!(Cluster { hidden: None, ..found }, whole);
}

#[tokio::test]
async fn cluster_without_a_name_to_see_has_its_nodes_an_assumed_name_and_a_gap() {
    let bench = Bench::new().await;
    let mut metadata = (*bench.session.refresh().await.unwrap()).clone();
    metadata.mode = Mode::Limited {
        reason: "Sys.Audit on / is missing".to_owned(),
        is_denied: true,
    };
    metadata.last_known_name = None;
    let found = cluster(&metadata, "label").unwrap();
    assert_eq!((found.name.as_str(), found.mode), ("label", ClusterMode::Cluster));
    assert_eq!(found.nodes, bench.cluster.nodes);
    let gap = found.hidden.unwrap();
    assert!(
        gap.kind == ErrorKind::Permission && gap.message.contains("Sys.Audit on /"),
        "{gap}"
    );
    metadata.last_known_name = Some("lab".to_owned());
    assert_eq!(cluster(&metadata, "label").unwrap().name, "lab");
    let seen = std::mem::replace(&mut metadata.capabilities, Capabilities::of(Permissions::default()));
    assert!(cluster(&metadata, "label").is_err(), "nothing at all may be seen");
    metadata.capabilities = seen;
    metadata.mode = Mode::of(&[]);
    assert!(
        cluster(&metadata, "label").is_err(),
        "what cannot be understood is not assumed"
    );
}

/// What was read over half a list would be taken for all there is.
#[test]
fn what_was_read_over_a_list_with_a_gap_is_forgotten_with_it() {
    let kept = |gaps: Vec<Gap>| {
        let mut inventory = Inventory::default();
        inventory.storages.fill(Collected {
            items: Vec::new(),
            gaps: gaps.clone(),
        });
        inventory.backups.fill(Collected::default());
        inventory.guests.fill(Collected {
            items: Vec::new(),
            gaps,
        });
        inventory.guest_configs.fill(Collected::default());
        inventory.keep_fresh(Duration::from_mins(1));
        (
            inventory.backups.get().is_some(),
            inventory.guest_configs.get().is_some(),
        )
    };
    assert_eq!(kept(vec![Gap::offline("pve2")]), (true, true));
    let odd = Gap {
        source: "a row".to_owned(),
        kind: ErrorKind::Unknown,
        message: "of an odd form".to_owned(),
    };
    assert_eq!(kept(vec![odd]), (false, false));
}
