//! An estate in a mock Proxmox, an empty NetBox that knows its endpoint, and runs between them.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use proxbox_api::endpoint::{EndpointId, EndpointKey, Product, Source};
use proxbox_api::netbox;
use proxbox_api::netbox::standin::{Request, Standin, StandinOptions};
use proxbox_api::proxmox::mock::{MockOptions, MockProxmox, TOKEN_SECRET, World};
use proxbox_api::proxmox::{self, Credential, Session, TlsPolicy};
use proxbox_api::reconcile::Limits;
use proxbox_api::stages::{EndpointFacts, Lookup, Stage};
use proxbox_api::sync::{Event, Job, JobReport, Registry, Report, RunContext, SyncEndpoint, SyncRequest};
use secrecy::SecretString;
use serde_json::{Value, json};

pub(crate) const MACHINES: &str = "virtualization/virtual-machines";
pub(crate) const INTERFACES: &str = "virtualization/interfaces";
pub(crate) const MACHINE_STATES: &str = "plugins/proxbox/sync-state/virtual-machines";

/// Both sides, and the runs between them.
pub(crate) struct Bench {
    pub(crate) proxmox: Arc<MockProxmox>,
    pub(crate) netbox: Standin,
    /// How the service knows the Proxmox.
    pub(crate) endpoint: EndpointFacts,
    registry: Registry,
    session: Session,
    client: netbox::Client,
    pub(crate) delete_orphans: bool,
    pub(crate) wants_hardware: bool,
    pub(crate) inventory_ttl: Duration,
    /// Ids of endpoints that were asked for and are not there.
    pub(crate) missing: Vec<i64>,
}

impl Bench {
    /// A cluster of three nodes with 55 guests, and a NetBox of the newest release.
    pub(crate) async fn start() -> Self {
        Self::with(World::estate(3, 55), StandinOptions::default()).await
    }

    pub(crate) async fn with(world: World, options: StandinOptions) -> Self {
        let options_of_mock = MockOptions {
            // What a wedged agent costs is not waited for.
            agent_limit: Duration::from_millis(50),
            ..MockOptions::default()
        };
        let proxmox = MockProxmox::start(options_of_mock, world).await.unwrap();
        Self::between(Arc::new(proxmox), options).await
    }

    /// Another, empty NetBox beside the same Proxmox, and runs that know nothing yet.
    pub(crate) async fn beside(&self) -> Self {
        Self::between(Arc::clone(&self.proxmox), StandinOptions::default()).await
    }

    /// Another NetBox that holds what this one does, beside the same Proxmox, and runs that know nothing yet.
    pub(crate) async fn fork(&self) -> Self {
        let netbox = self.netbox.fork().await.unwrap();
        Self {
            proxmox: Arc::clone(&self.proxmox),
            registry: Registry::new(None),
            session: self.session.clone(),
            client: client(&netbox, |_| {}),
            netbox,
            endpoint: self.endpoint.clone(),
            missing: self.missing.clone(),
            ..*self
        }
    }

    /// Runs that know nothing yet, as after a restart of the service. A request that fails is not sent again where the
    /// service `gives_up`.
    pub(crate) fn restart(&mut self, gives_up: bool) {
        self.registry = Registry::new(None);
        self.client = client(&self.netbox, |target| {
            if gives_up {
                target.max_retries = 0;
            }
        });
    }

    /// Lets NetBox have only this long for an answer, once.
    pub(crate) fn hurry(&mut self, timeout: Duration) {
        self.client = client(&self.netbox, |target| {
            target.timeout = timeout;
            target.max_retries = 0;
        });
    }

    /// Lets runs see what the token of `user` may see, and know nothing yet.
    pub(crate) fn sign_in_as(&mut self, user: &str) {
        self.session = Session::new(endpoint_as(&self.proxmox, 1, user)).unwrap();
        self.registry = Registry::new(None);
    }

    /// A NetBox with these manners beside a Proxmox, and runs that know nothing yet.
    pub(crate) async fn between(proxmox: Arc<MockProxmox>, options: StandinOptions) -> Self {
        let (nodes, cluster) = proxmox.world().read(|world| {
            let nodes: Vec<String> = world.nodes.iter().map(|node| node.name.clone()).collect();
            (nodes, world.cluster.clone().unwrap_or_default())
        });
        let netbox = Standin::start(options).await.unwrap();
        let address = netbox
            .seed("ipam/ip-addresses", &json!({"address": "127.0.0.1/32"}))
            .unwrap();
        let endpoint =
            json!({"name": "lab", "ip_address": address, "mode": "cluster", "port": proxmox.address().port()});
        let endpoint = netbox.seed("plugins/proxbox/endpoints/proxmox", &endpoint).unwrap();
        let tracked = json!({"endpoint": endpoint, "name": cluster, "mode": "cluster"});
        let tracked = netbox.seed("plugins/proxbox/proxmox-clusters", &tracked).unwrap();
        for node in nodes {
            let node = json!({
                "endpoint": endpoint, "name": node, "ip_address": "127.0.0.1", "proxmox_cluster": tracked
            });
            netbox.seed("plugins/proxbox/proxmox-nodes", &node).unwrap();
        }
        let session = Session::new(endpoint_of(&proxmox, 1)).unwrap();
        let client = client(&netbox, |_| {});
        let endpoint = EndpointFacts {
            key: key(1),
            name: "lab (nb:1)".to_owned(),
            domain: None,
            ip_address: Some("127.0.0.1".to_owned()),
            port: proxmox.address().port(),
            node_device_name_template: String::new(),
            site: Lookup::default(),
            tenant: Lookup::default(),
        };
        Self {
            proxmox,
            netbox,
            endpoint,
            registry: Registry::new(None),
            session,
            client,
            delete_orphans: false,
            wants_hardware: false,
            inventory_ttl: Duration::from_mins(1),
            missing: Vec::new(),
        }
    }

    fn context(&self) -> RunContext {
        RunContext {
            netbox: self.client.clone(),
            endpoints: vec![SyncEndpoint {
                facts: self.endpoint.clone(),
                session: Ok(self.session.clone()),
            }],
            endpoint_ids: Some([self.endpoint.key.id.0].into()),
            missing: self.missing.clone(),
            delete_orphans: self.delete_orphans,
            limits: Limits::default(),
            stamp_interval: Duration::from_hours(24),
            inventory_ttl: self.inventory_ttl,
            agent_timeout: Duration::from_secs(15),
            wants_hardware: self.wants_hardware,
            sync_links: false,
        }
    }

    /// Runs a job to its end.
    pub(crate) async fn job(&self, job: impl Into<Job>, request: SyncRequest) -> JobReport {
        let running = self.registry.start(job, request, self.context());
        running.report().await.unwrap()
    }

    /// Runs a job to its end and returns what it told.
    pub(crate) async fn events(&self, job: impl Into<Job>, request: SyncRequest) -> Vec<Event> {
        self.stream(job, request).collect().await
    }

    /// Starts a job and returns what it tells, while it runs.
    pub(crate) fn stream(&self, job: impl Into<Job>, request: SyncRequest) -> BoxStream<'static, Event> {
        self.registry.start(job, request, self.context()).into_events().boxed()
    }

    /// Runs a stage on its own to its end; no endpoint may fail.
    pub(crate) async fn stage(&self, stage: Stage) -> Report {
        let mut request = SyncRequest::default();
        request.options.guests.sync_network = false;
        request.options.guests.sync_task_history = false;
        self.stage_with(stage, request).await
    }

    pub(crate) async fn stage_with(&self, stage: Stage, request: SyncRequest) -> Report {
        let report = self.job(stage, request).await.into_stage().unwrap();
        assert_eq!(report.errors(), Vec::<String>::new(), "{}", stage.as_str());
        report
    }

    /// Asks every run that is under way to stop.
    pub(crate) fn stop_runs(&self) {
        for run in self.registry.active() {
            self.registry.cancel(&run.id);
        }
    }

    /// How many runs are under way.
    pub(crate) fn under_way(&self) -> usize {
        self.registry.active().len()
    }

    /// What comes of a job that is asked to stop as soon as it is started.
    pub(crate) async fn unbegun(&self, job: impl Into<Job>, request: SyncRequest) -> JobReport {
        let running = self.registry.start(job, request, self.context());
        self.stop_runs();
        running.report().await.unwrap()
    }

    /// Forgets what runs have read, as if a while had passed.
    pub(crate) fn forget(&self) {
        self.registry.memo.forget();
    }

    /// The writes since the last call, told apart by method and path.
    pub(crate) fn take_writes(&self) -> Vec<String> {
        let writes = self.netbox.writes();
        self.netbox.clear_requests();
        let told = |write: &Request| format!("{} {} ({}): {}", write.method, write.path, write.rows, write.status);
        writes.iter().map(told).collect()
    }

    /// The virtual machine with this name.
    pub(crate) fn machine(&self, name: &str) -> Value {
        let rows = self.netbox.rows(MACHINES);
        let found = rows.iter().find(|row| row["name"] == name);
        found.unwrap_or_else(|| panic!("no virtual machine {name}")).clone()
    }

    /// The sync state of the guest with this number.
    pub(crate) fn machine_state(&self, vmid: u32) -> Value {
        let rows = self.netbox.rows(MACHINE_STATES);
        let found = rows.iter().find(|row| row["proxmox_vm_id"] == vmid);
        found.unwrap_or_else(|| panic!("no sync state of guest {vmid}")).clone()
    }

    /// The virtual machine of the guest with this number.
    pub(crate) fn machine_of(&self, vmid: u32) -> Value {
        let id = &self.machine_state(vmid)["virtual_machine"]["id"];
        let rows = self.netbox.rows(MACHINES);
        rows.iter().find(|row| row["id"] == *id).unwrap().clone()
    }

    /// The interface `name` of the virtual machine of the guest with this number.
    pub(crate) fn interface_of(&self, vmid: u32, name: &str) -> Value {
        let machine = &self.machine_of(vmid)["id"];
        let rows = self.netbox.rows(INTERFACES);
        let mut own = rows.iter().filter(|row| row["virtual_machine"]["id"] == *machine);
        let found = own.find(|row| row["name"] == name);
        found
            .unwrap_or_else(|| panic!("no interface {name} of guest {vmid}"))
            .clone()
    }
}

/// The warnings of a run for one endpoint, a line each.
pub(crate) fn warnings(report: &Report) -> String {
    let lines: Vec<String> = report.endpoints[0].warnings.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

/// Lets others go on until it is so; what never comes to be so fails.
pub(crate) async fn until(is_so: impl Fn() -> bool) {
    let wait = async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), wait).await.unwrap();
}

/// The time, in seconds since 1970.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    since.as_secs().try_into().unwrap()
}

/// The key of an endpoint.
pub(crate) fn key(number: i64) -> EndpointKey {
    EndpointKey {
        source: Source::Database,
        id: EndpointId(number),
    }
}

/// How the mock is reached as endpoint `number`.
pub(crate) fn endpoint_of(mock: &MockProxmox, number: i64) -> proxmox::Endpoint {
    endpoint_as(mock, number, "root@pam")
}

/// The same, with the token of another user.
fn endpoint_as(mock: &MockProxmox, number: i64, user: &str) -> proxmox::Endpoint {
    proxmox::Endpoint {
        key: key(number),
        product: Product::default(),
        name: format!("lab (nb:{number})"),
        domain: None,
        ip_address: Some("127.0.0.1".to_owned()),
        port: mock.address().port(),
        username: user.to_owned(),
        credential: Credential::parse(user, Some("netbox"), Some(&SecretString::from(TOKEN_SECRET)), None).unwrap(),
        tls: TlsPolicy {
            verify: true,
            fingerprints: Vec::new(),
            ca_pem: Some(mock.ca_pem().to_owned()),
        },
        timeout: Duration::from_secs(10),
        connect_timeout: Duration::from_secs(5),
        max_retries: 0,
        retry_backoff: Duration::from_millis(10),
        max_parallel: 3,
    }
}

/// Slugs of a row's tags.
pub(crate) fn tags(row: &Value) -> Vec<&str> {
    let tags = row["tags"].as_array().unwrap();
    let mut slugs: Vec<&str> = tags.iter().map(|tag| tag["slug"].as_str().unwrap()).collect();
    slugs.sort_unstable();
    slugs
}

fn client(netbox: &Standin, edit: impl FnOnce(&mut netbox::Endpoint)) -> netbox::Client {
    let token = netbox::Token::V1(SecretString::from(netbox.token()));
    let mut target = netbox::Endpoint::new("netbox", "127.0.0.1", netbox.port(), token);
    target.scheme = Some(netbox::Scheme::Http);
    target.retry_delay = Duration::from_millis(1);
    target.settle = Duration::from_millis(15);
    edit(&mut target);
    netbox::Client::new(target).unwrap()
}
