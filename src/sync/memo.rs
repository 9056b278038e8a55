//! What runs remember for each other for a short while. The stages of one job follow each other within seconds, and each
//! is a run of its own; without this memory each would read the same again.
//!
//! Between runs things grow old, not while one is under way: stages that follow each other share what they read however
//! long each takes. But runs that overlap without end use nothing for ever: a run that begins uses nothing that is much
//! older, whoever else is under way. A full update is one run with a memory of its own: it uses to its end what it has read, and leaves it
//! to the runs that follow.
//!
//! Remembered are what was read of Proxmox, ids of supporting objects, which rows of NetBox stand for what, and rows that
//! stages look up. What a stage itself compares it always reads.

mod busy;
mod jobs;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::shelf::Shelf;
use super::stages::BootstrapStatus;
use super::task_passes::TaskPasses;
use crate::endpoint::EndpointKey;
use crate::inventory::{Area, ClusterMode, Inventory, Slot};
use crate::netbox::Client;
use crate::netbox::ids::Ids;
use crate::netbox::objects::{Cluster, PluginEndpoint, TrackingCluster};
use crate::proxmox::Session;
use crate::reconcile::{ObjectId, Stored};
use crate::stages::Target;

/// How long the supporting objects are taken to stand.
const FRESH: Duration = Duration::from_mins(2);

/// So many times the time that things are remembered between runs they are remembered at most, however many runs use them.
const LONGEST: u32 = 10;

/// A memory that runs share.
#[derive(Debug, Clone, Default)]
pub struct Memo {
    // Plain mutexes: held for a look-up, never across an await.
    state: Arc<Mutex<State>>,
    history: Arc<Mutex<History>>,
    /// Whether the state is that of one run, which uses to its end what it has read.
    pub(super) is_of_one_run: bool,
}

/// What was read.
#[derive(Debug, Default)]
struct State {
    supporting: HashMap<String, (Instant, Client, Ids)>,
    endpoints: HashMap<(String, EndpointKey), Kept>,
}

/// What was done.
#[derive(Debug, Default)]
pub(super) struct History {
    latest: Option<BootstrapStatus>,
    /// Passes over the tasks of an endpoint.
    pub(super) task_passes: HashMap<(String, EndpointKey), TaskPasses>,
}

/// What is remembered of one endpoint.
#[derive(Debug)]
struct Kept {
    session: Session,
    netbox: Client,
    /// Since when anything is remembered.
    since: Instant,
    /// How many runs are under way.
    running: usize,
    /// The plugin's job that the latest run belongs to, as far as any has named it.
    job_id: Option<String>,
    inventory: Inventory,
    target: Option<(Instant, KnownTarget)>,
    nodes: Option<(Instant, KnownNodes)>,
    shelf: Shelf,
}

/// Which rows of NetBox stand for an endpoint's cluster.
#[derive(Debug, Clone)]
pub(super) struct KnownTarget {
    pub(super) target: Target,
    pub(super) plugin_endpoints: Vec<PluginEndpoint>,
    pub(super) tracking: Vec<Stored<TrackingCluster>>,
    pub(super) clusters: Vec<Stored<Cluster>>,
}

/// Which rows of NetBox stand for an endpoint's nodes, by the node's name.
#[derive(Debug, Clone, Default)]
pub(super) struct KnownNodes {
    pub(super) devices: BTreeMap<String, ObjectId>,
    /// The plugin's rows.
    pub(super) links: BTreeMap<String, ObjectId>,
    /// The sites of the devices, by device.
    pub(super) sites: BTreeMap<ObjectId, ObjectId>,
    pub(super) made_devices: BTreeSet<ObjectId>,
}

/// The place in the memory that belongs to one endpoint, its credentials, and one NetBox with its branch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) memo: &'a Memo,
    pub(super) netbox: &'a Client,
    pub(super) endpoint: EndpointKey,
    pub(super) session: &'a Session,
    /// For how long a run that follows may use what was read; zero: never.
    pub(super) ttl: Duration,
}

/// A NetBox and its branch; the same before and after its scheme is found out.
pub(super) fn side(netbox: &Client) -> String {
    let base = netbox.base_url();
    let host = base.split_once("://").map_or(base, |(_, host)| host);
    format!("{host} {}", netbox.branch().unwrap_or_default())
}

impl Memo {
    fn with<T>(&self, read: impl FnOnce(&mut State) -> T) -> T {
        read(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn with_history<T>(&self, read: impl FnOnce(&mut History) -> T) -> T {
        read(&mut self.history.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A memory for one run of several stages, which starts empty. What is remembered of the endpoints that take part, by
    /// `keys`, is forgotten here: the run is about to change it.
    pub(super) fn for_one_run(&self, netbox: &Client, keys: impl Iterator<Item = EndpointKey>) -> Self {
        let side = side(netbox);
        self.with(|state| {
            for key in keys {
                state.endpoints.remove(&(side.clone(), key));
            }
        });
        Self {
            state: Arc::default(),
            history: Arc::clone(&self.history),
            is_of_one_run: true,
        }
    }

    /// Takes over what a run has remembered for itself, for as long as it is fresh.
    pub(super) fn take_over(&self, run: &Self) {
        let State { supporting, endpoints } = run.with(std::mem::take);
        self.with(|state| {
            state.supporting.extend(supporting);
            state.endpoints.extend(endpoints);
        });
    }

    pub(super) fn recall(&self, netbox: &Client, mode: ClusterMode) -> Option<Ids> {
        self.with(|state| {
            if !self.is_of_one_run {
                state.supporting.retain(|_, (since, ..)| since.elapsed() < FRESH);
            }
            let key = format!("{} {}", side(netbox), mode.as_str());
            let known = state.supporting.get(&key).filter(|(_, by, _)| by.is_same(netbox));
            known.map(|(.., ids)| ids.clone())
        })
    }

    pub(super) fn remember(&self, netbox: &Client, mode: ClusterMode, ids: &Ids) {
        let key = format!("{} {}", side(netbox), mode.as_str());
        let known = (Instant::now(), netbox.clone(), ids.clone());
        self.with(|state| state.supporting.insert(key, known));
    }

    /// Forgets everything; what a run could not write may be due to it. One run keeps what it has read of Proxmox.
    pub fn forget(&self) {
        self.with(|state| {
            state.supporting.clear();
            if self.is_of_one_run {
                state.endpoints.values_mut().for_each(Kept::forget_rows);
            } else {
                state.endpoints.clear();
            }
        });
        self.with_history(|history| history.task_passes.clear());
    }

    /// Forgets which rows of NetBox there are for an endpoint, and the supporting objects: what was refused may be due to
    /// them. What was read of Proxmox stands.
    pub(super) fn forget_rows(&self, netbox: &Client, endpoint: EndpointKey) {
        self.forget_part(netbox, endpoint, Kept::forget_rows);
    }

    /// Forgets everything of an endpoint, and the supporting objects. One run keeps what it has read of Proxmox.
    pub(super) fn forget_endpoint(&self, netbox: &Client, endpoint: EndpointKey) {
        let forget = if self.is_of_one_run {
            Kept::forget_rows
        } else {
            Kept::forget
        };
        self.forget_part(netbox, endpoint, forget);
    }

    /// Forgets everything of the endpoints of a run that was broken off, and which passes over their tasks there were.
    pub(super) fn forget_endpoints(&self, netbox: &Client, keys: impl Iterator<Item = EndpointKey>) {
        for key in keys {
            self.forget_endpoint(netbox, key);
            self.with_history(|history| history.task_passes.remove(&(side(netbox), key)));
        }
    }

    fn forget_part(&self, netbox: &Client, endpoint: EndpointKey, forget: impl FnOnce(&mut Kept)) {
        let side = side(netbox);
        self.with(|state| {
            state.supporting.clear();
            if let Some(kept) = state.endpoints.get_mut(&(side, endpoint)) {
                forget(kept);
            }
        });
    }

    /// Gives back the room of what is older than `ttl`.
    pub(super) fn purge(&self, ttl: Duration) {
        self.with(|state| {
            state.endpoints.retain(|_, kept| {
                kept.keep_fresh(ttl);
                let knows_rows = kept.target.is_some() || kept.nodes.is_some() || !kept.shelf.is_empty();
                knows_rows || !kept.inventory.is_empty()
            });
            state.endpoints.shrink_to_fit();
        });
        self.with_history(|history| history.task_passes.retain(|_, passes| passes.is_of_use()));
    }

    pub(super) fn report(&self, status: BootstrapStatus) {
        self.with_history(|history| history.latest = Some(status));
    }

    /// What the latest pass over the supporting objects did.
    pub fn latest(&self) -> Option<BootstrapStatus> {
        self.with_history(|history| history.latest.clone())
    }
}

impl State {
    /// What is remembered of an endpoint; nothing where that was with other credentials.
    fn kept(&mut self, place: (String, EndpointKey), session: &Session, netbox: &Client) -> &mut Kept {
        let new = || Kept::of(session, netbox);
        let kept = self.endpoints.entry(place).or_insert_with(new);
        if !kept.session.is_same(session) || !kept.netbox.is_same(netbox) {
            *kept = new();
        }
        kept
    }
}

impl Kept {
    /// Takes everything for so much younger.
    fn rejuvenate(&mut self, by: Duration) {
        self.inventory.rejuvenate(by);
        self.shelf.rejuvenate(by);
        let target = self.target.as_mut().map(|(since, _)| since);
        let nodes = self.nodes.as_mut().map(|(since, _)| since);
        for since in target.into_iter().chain(nodes) {
            *since = (*since + by).min(Instant::now());
        }
    }

    fn of(session: &Session, netbox: &Client) -> Self {
        Self {
            session: session.clone(),
            netbox: netbox.clone(),
            since: Instant::now(),
            running: 0,
            job_id: None,
            inventory: Inventory::default(),
            target: None,
            nodes: None,
            shelf: Shelf::default(),
        }
    }

    /// Forgets everything but who is under way, for which job, and how NetBox takes what is written.
    fn forget(&mut self) {
        self.since = Instant::now();
        self.inventory = Inventory::default();
        self.forget_rows();
    }

    /// Forgets which rows of NetBox there are.
    fn forget_rows(&mut self) {
        self.target = None;
        self.nodes = None;
        self.shelf.clear();
    }

    /// Forgets everything after the longest time that it may be remembered.
    fn forget_outlived(&mut self, ttl: Duration) {
        if self.since.elapsed() >= ttl * LONGEST {
            self.forget();
        }
    }

    /// Forgets what no run has used for longer than `ttl`; nothing while one is under way.
    fn keep_fresh(&mut self, ttl: Duration) {
        if self.running > 0 && !ttl.is_zero() {
            return;
        }
        self.forget_outlived(ttl);
        self.inventory.keep_fresh(ttl);
        self.target = self.target.take().filter(|(since, _)| since.elapsed() < ttl);
        self.nodes = self.nodes.take().filter(|(since, _)| since.elapsed() < ttl);
        self.shelf.keep_fresh(ttl);
    }
}

impl Place<'_> {
    fn with<T>(&self, read: impl FnOnce(&mut Kept) -> T) -> T {
        self.memo.with(|state| {
            let kept = state.kept((side(self.netbox), self.endpoint), self.session, self.netbox);
            if !self.memo.is_of_one_run {
                kept.keep_fresh(self.ttl);
            }
            read(kept)
        })
    }

    pub(super) fn inventory(&self) -> Inventory {
        self.with(|kept| kept.inventory.clone())
    }

    /// Keeps what was read of one area.
    pub(super) fn keep_area<A: Area>(&self, slot: &Slot<A::Item>) {
        self.with(|kept| A::slot_mut(&mut kept.inventory).clone_from(slot));
    }

    /// Adds what was read besides.
    pub(super) fn complete_inventory(&self, inventory: Inventory) {
        self.with(|kept| kept.inventory.complete_from(inventory));
    }

    pub(super) fn target(&self) -> Option<KnownTarget> {
        self.with(|kept| kept.target.as_ref().map(|(_, target)| target.clone()))
    }

    pub(super) fn keep_target(&self, target: KnownTarget) {
        self.with(|kept| kept.target = Some((Instant::now(), target)));
    }

    pub(super) fn nodes(&self) -> Option<KnownNodes> {
        self.with(|kept| kept.nodes.as_ref().map(|(_, nodes)| nodes.clone()))
    }

    pub(super) fn keep_nodes(&self, nodes: KnownNodes) {
        self.with(|kept| kept.nodes = Some((Instant::now(), nodes)));
    }

    /// Reads or changes the rows that are put away.
    pub(super) fn shelf<T>(&self, read: impl FnOnce(&mut Shelf) -> T) -> T {
        self.with(|kept| read(&mut kept.shelf))
    }

    /// Forgets everything of the endpoint, so that it is read afresh: a job may begin, which names itself later.
    pub(super) fn clear(&self) {
        self.with(|kept| {
            kept.forget();
            kept.job_id = None;
        });
    }

    /// Forgets everything of the endpoint that a run which begins may use no more; runs under way have their own copy of what
    /// was read of Proxmox, and read rows of NetBox again.
    pub(super) fn clear_outlived(&self) {
        if !self.memo.is_of_one_run {
            self.with(|kept| kept.forget_outlived(self.ttl));
        }
    }

    /// Forgets what was read of Proxmox.
    pub(super) fn clear_inventory(&self) {
        self.with(|kept| kept.inventory = Inventory::default());
    }

    /// Forgets what was read of Proxmox, and rows of NetBox that stages look up.
    pub(super) fn clear_readings(&self) {
        self.with(|kept| {
            kept.inventory = Inventory::default();
            kept.shelf.clear();
        });
    }
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::*;
    use crate::endpoint::{EndpointId, Product, Source};
    use crate::inventory::{Collected, Storages};
    use crate::netbox;
    use crate::proxmox::{Credential, Endpoint, TlsPolicy};
    use crate::stages::task_history::TaskPass;

    const TTL: Duration = Duration::from_secs(30);

    fn session() -> Session {
        let endpoint = Endpoint {
            key: key(),
            product: Product::default(),
            name: "lab".to_owned(),
            domain: None,
            ip_address: Some("127.0.0.1".to_owned()),
            port: 8006,
            username: "root@pam".to_owned(),
            credential: Credential::Token {
                name: "netbox".to_owned(),
                secret: SecretString::from("secret"),
            },
            tls: TlsPolicy::default(),
            timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(2),
            max_retries: 0,
            retry_backoff: Duration::from_millis(1),
            max_parallel: 4,
        };
        Session::new(endpoint).unwrap()
    }

    fn key() -> EndpointKey {
        EndpointKey {
            source: Source::Database,
            id: EndpointId(1),
        }
    }

    struct Bench {
        memo: Memo,
        netbox: Client,
        session: Session,
    }

    /// A NetBox for which we have this token.
    fn netbox(token: &str) -> Client {
        let token = netbox::Token::V1(SecretString::from(token));
        Client::new(netbox::Endpoint::new("netbox", "127.0.0.1", 8000, token)).unwrap()
    }

    impl Bench {
        fn new() -> Self {
            // Fails only where one is installed already.
            let _ = rustls::crypto::ring::default_provider().install_default();
            Self {
                memo: Memo::default(),
                netbox: netbox("secret"),
                session: session(),
            }
        }

        /// A place in which something is remembered.
        fn place(&self, ttl: Duration) -> Place<'_> {
            let place = Place {
                memo: &self.memo,
                netbox: &self.netbox,
                endpoint: key(),
                session: &self.session,
                ttl,
            };
            place.keep_nodes(KnownNodes::default());
            place
        }
    }

    async fn pass(seconds: u64) {
        tokio::time::advance(Duration::from_secs(seconds)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_remembered_grows_old_between_runs_only() {
        let bench = Bench::new();
        let place = bench.place(TTL);
        let (one, other) = (place.busy(), place.busy());
        pass(100).await;
        assert!(place.nodes().is_some(), "two runs are under way");
        drop(one);
        pass(50).await;
        assert!(place.nodes().is_some(), "one is");
        drop(other);
        pass(29).await;
        assert!(place.nodes().is_some());
        pass(1).await;
        assert!(place.nodes().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn runs_that_follow_each_other_do_not_keep_it_for_ever() {
        let bench = Bench::new();
        let place = bench.place(TTL);
        for _ in 0..10 {
            assert!(place.nodes().is_some());
            let busy = place.busy();
            pass(29).await;
            drop(busy);
            pass(1).await;
        }
        assert!(place.nodes().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn runs_that_overlap_do_not_keep_it_for_ever() {
        let bench = Bench::new();
        let place = bench.place(TTL);
        let mut under_way = place.busy();
        for _ in 0..9 {
            pass(30).await;
            place.clear_outlived();
            assert!(place.nodes().is_some());
            under_way = place.busy();
        }
        pass(30).await;
        assert!(place.nodes().is_some(), "no run begins");
        place.clear_outlived();
        assert!(place.nodes().is_none());
        drop(under_way);
    }

    /// That of an unusual port is plain HTTP until the first request has found it.
    #[tokio::test]
    async fn side_of_a_netbox_stays_the_same_when_its_scheme_is_found() {
        let bench = Bench::new();
        let token = || netbox::Token::V1(SecretString::from("secret"));
        let sides = [netbox::Scheme::Http, netbox::Scheme::Https].map(|scheme| {
            let mut endpoint = netbox::Endpoint::new("netbox", "127.0.0.1", 8000, token());
            endpoint.scheme = Some(scheme);
            side(&Client::new(endpoint).unwrap())
        });
        assert_eq!(sides[0], sides[1]);
        let branch = bench.netbox.on_branch("abcd1234").unwrap();
        assert_ne!(side(&branch), sides[0]);
    }

    #[tokio::test]
    async fn run_that_is_broken_off_costs_other_endpoints_nothing() {
        let bench = Bench::new();
        let place = bench.place(TTL);
        let other = Place {
            endpoint: EndpointKey {
                id: EndpointId(2),
                ..key()
            },
            ..place
        };
        other.keep_nodes(KnownNodes::default());
        let pass = || TaskPass {
            at: Some(1_700_000_000),
            guests: BTreeSet::new(),
            nodes: BTreeSet::new(),
        };
        place.count_task_pass(pass());
        other.count_task_pass(pass());
        bench.memo.forget_endpoints(&bench.netbox, [key()].into_iter());
        let known = [place, other].map(|place| (place.nodes().is_some(), place.is_full_task_pass(&pass())));
        assert_eq!(known, [(false, true), (true, false)]);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_shared_across_endpoints_credentials_or_branches() {
        let bench = Bench::new();
        let (netbox, session) = (netbox("other"), session());
        let branch = bench.netbox.on_branch("abcd1234").unwrap();
        let elsewhere = EndpointKey {
            source: Source::NetBox,
            ..key()
        };
        let mode = ClusterMode::Cluster;
        bench.memo.remember(&bench.netbox, mode, &Ids::default());
        for (case, netbox, endpoint, session) in [
            ("another endpoint", &bench.netbox, elsewhere, &bench.session),
            ("other credentials for Proxmox", &bench.netbox, key(), &session),
            ("other credentials for NetBox", &netbox, key(), &bench.session),
            ("a branch", &branch, key(), &bench.session),
        ] {
            let place = bench.place(TTL);
            assert!(place.nodes().is_some());
            let other = Place {
                netbox,
                endpoint,
                session,
                ..place
            };
            assert!(other.nodes().is_none(), "{case}");
        }
        for (case, netbox, is_known) in [
            ("the same", &bench.netbox, true),
            ("other credentials", &netbox, false),
            ("a branch", &branch, false),
        ] {
            assert_eq!(bench.memo.recall(netbox, mode).is_some(), is_known, "{case}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn refusal_costs_the_rows_of_its_endpoint_and_an_error_all_of_it() {
        let bench = Bench::new();
        let place = bench.place(TTL);
        let other = Place {
            endpoint: EndpointKey {
                source: Source::NetBox,
                ..key()
            },
            ..place
        };
        other.keep_nodes(KnownNodes::default());
        let mut inventory = Inventory::default();
        inventory.storages.fill(Collected::default());
        place.keep_area::<Storages>(&inventory.storages);
        let pass = TaskPass {
            at: Some(0),
            ..TaskPass::default()
        };
        place.count_task_pass(pass.clone());
        bench.memo.forget_rows(&bench.netbox, key());
        assert!(place.nodes().is_none() && !place.inventory().is_empty());
        bench.memo.forget_endpoint(&bench.netbox, key());
        assert!(place.inventory().is_empty() && !place.is_full_task_pass(&pass));
        assert!(other.nodes().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_remembered_where_that_is_turned_off() {
        let bench = Bench::new();
        let place = bench.place(Duration::ZERO);
        let _busy = place.busy();
        assert!(place.nodes().is_none());
    }
}
