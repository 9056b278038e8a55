//! Several clusters in mock Proxmoxes whose guests have virtual machines in one NetBox, and runs between them.

use std::ops::Range;
use std::time::Duration;

use proxbox_api::netbox::standin::{Request, Standin, StandinOptions};
use proxbox_api::netbox::{self, Client, Token};
use proxbox_api::proxmox::Session;
use proxbox_api::proxmox::mock::world::GuestKind;
use proxbox_api::proxmox::mock::{Guest, MockOptions, MockProxmox, Node, World};
use proxbox_api::reconcile::{Limits, ObjectId};
use proxbox_api::stages::{EndpointFacts, Lookup, Stage};
use proxbox_api::sync::{Job, JobReport, Registry, Report, RunContext, SyncEndpoint, SyncRequest};
use serde_json::{Value, json};

use crate::harness::{endpoint_of, key};

/// Where NetBox keeps virtual machines.
pub(crate) const MACHINES: &str = "/api/virtualization/virtual-machines/";
/// Where the plugin keeps what virtual machines stand for.
pub(crate) const MACHINE_STATES: &str = "/api/plugins/proxbox/sync-state/virtual-machines/";

/// A NetBox and the clusters that are synchronized with it. Estate are numbered from 0, their endpoints from 1.
pub(crate) struct Estate {
    pub(crate) netbox: Standin,
    pub(crate) clusters: Vec<Cluster>,
    /// What runs ask for unless they say otherwise.
    pub(crate) request: SyncRequest,
    client: Client,
    registry: Registry,
}

/// A cluster and its session.
pub(crate) struct Cluster {
    pub(crate) proxmox: MockProxmox,
    session: Session,
    name: String,
}

impl Estate {
    /// A NetBox in which the stage `devices` has run for each of `worlds`, and nothing else.
    pub(crate) async fn start(worlds: Vec<World>) -> Self {
        let bench = Self::empty(worlds).await;
        bench.run(Stage::Devices).await;
        bench
    }

    /// A NetBox that knows the endpoints of `worlds`, and nothing else.
    pub(crate) async fn empty(worlds: Vec<World>) -> Self {
        let netbox = Standin::start(StandinOptions::default()).await.unwrap();
        let client = Client::new(netbox::Endpoint {
            scheme: Some(netbox::Scheme::Http),
            max_retries: 0,
            retry_delay: Duration::from_millis(1),
            settle: Duration::from_millis(15),
            timeout: Duration::from_secs(5),
            ..netbox::Endpoint::new("main", "127.0.0.1", netbox.port(), Token::V1(netbox.token().into()))
        });
        let address = json!({"address": "127.0.0.1/32"});
        let address = netbox.seed("/api/ipam/ip-addresses/", &address).unwrap();
        let mut bench = Self {
            netbox,
            clusters: Vec::new(),
            request: SyncRequest::default(),
            client: client.unwrap(),
            registry: Registry::new(None),
        };
        for world in worlds {
            bench.add(world, address).await;
        }
        bench
    }

    async fn add(&mut self, world: World, address: u64) {
        let number = number_of(self.clusters.len());
        let name = world.cluster.clone().unwrap_or_else(|| world.nodes[0].name.clone());
        let proxmox = MockProxmox::start(MockOptions::default(), world).await.unwrap();
        let port = proxmox.address().port();
        let row = json!({"name": format!("endpoint-{number}"), "ip_address": address, "port": port, "mode": "cluster"});
        self.netbox
            .seed("/api/plugins/proxbox/endpoints/proxmox/", &row)
            .unwrap();
        let session = Session::new(endpoint_of(&proxmox, number)).unwrap();
        self.clusters.push(Cluster { proxmox, session, name });
    }

    /// Gives every guest of cluster `index` a virtual machine `vm-NUMBER`, as the stage `virtual-machines` would.
    pub(crate) fn add_machines(&self, index: usize) {
        let cluster = &self.clusters[index];
        let rows = self.netbox.rows("/api/virtualization/clusters/");
        let in_netbox = rows.iter().find(|row| row["name"] == json!(cluster.name)).unwrap()["id"].clone();
        let guests = cluster.proxmox.world().read(|world| world.guests.clone());
        for guest in guests.values() {
            let row = json!({"name": format!("vm-{}", guest.vmid), "cluster": in_netbox});
            let machine = self.netbox.seed(MACHINES, &row).unwrap();
            let state = json!({
                "virtual_machine": machine, "proxmox_vm_id": guest.vmid, "proxmox_vm_type": guest.kind.as_str(),
                "proxmox_endpoint_raw_id": index + 1, "proxmox_cluster_name": cluster.name,
            });
            self.netbox.seed(MACHINE_STATES, &state).unwrap();
        }
    }

    /// Gives the number of a guest of cluster 0 to a container that has a virtual machine of its own, which is returned.
    pub(crate) fn reuse(&self, vmid: u32) -> u64 {
        let cluster = &self.clusters[0];
        cluster.proxmox.world().change(|world| {
            let node = world.guests.remove(&vmid).unwrap().node;
            world.add_guest(Guest::new(GuestKind::Lxc, vmid, "heir", &node));
        });
        let machine = json!({"name": "heir", "cluster": self.netbox.rows(MACHINES)[0]["cluster"]["id"]});
        let machine = self.netbox.seed(MACHINES, &machine).unwrap();
        let state = json!({
            "virtual_machine": machine, "proxmox_vm_id": vmid, "proxmox_vm_type": "lxc",
            "proxmox_endpoint_raw_id": 1, "proxmox_cluster_name": cluster.name,
        });
        self.netbox.seed(MACHINE_STATES, &state).unwrap();
        machine
    }

    /// The virtual machine of the guest with this number, in cluster 0 where there are several.
    pub(crate) fn machine(&self, vmid: u32) -> u64 {
        let states = self.netbox.rows(MACHINE_STATES);
        let state = states.iter().find(|row| row["proxmox_vm_id"] == json!(vmid)).unwrap();
        state["virtual_machine"]["id"].as_u64().unwrap()
    }

    /// Runs a stage for all clusters and expects it to succeed.
    pub(crate) async fn run(&self, stage: Stage) -> Report {
        let report = self.try_run(stage, self.request.clone()).await;
        assert_eq!(report.errors(), [""; 0], "{stage:?}");
        report
    }

    /// Runs a stage for cluster `index` alone and expects it to succeed.
    pub(crate) async fn run_for(&self, index: usize, stage: Stage) -> Report {
        let report = self.run_between(stage, self.request.clone(), index..index + 1).await;
        assert_eq!(report.errors(), [""; 0], "{stage:?}");
        report
    }

    /// Runs a stage for all clusters.
    pub(crate) async fn try_run(&self, stage: Stage, request: SyncRequest) -> Report {
        self.run_between(stage, request, 0..self.clusters.len()).await
    }

    /// Runs a job for all clusters.
    pub(crate) async fn job(&self, job: Job, request: SyncRequest) -> JobReport {
        self.job_between(job, request, 0..self.clusters.len()).await
    }

    async fn run_between(&self, stage: Stage, request: SyncRequest, clusters: Range<usize>) -> Report {
        self.job_between(stage.into(), request, clusters)
            .await
            .into_stage()
            .unwrap()
    }

    async fn job_between(&self, job: Job, request: SyncRequest, clusters: Range<usize>) -> JobReport {
        let endpoint = |(index, cluster): (usize, &Cluster)| SyncEndpoint {
            facts: facts(number_of(index), cluster),
            session: Ok(cluster.session.clone()),
        };
        let context = RunContext {
            netbox: self.client.clone(),
            endpoints: clusters
                .map(|index| (index, &self.clusters[index]))
                .map(endpoint)
                .collect(),
            endpoint_ids: None,
            missing: Vec::new(),
            delete_orphans: true,
            limits: Limits::default(),
            stamp_interval: Duration::from_hours(24),
            inventory_ttl: Duration::ZERO,
            agent_timeout: Duration::from_secs(15),
            wants_hardware: false,
            sync_links: false,
        };
        let running = self.registry.start(job, request, context);
        running.report().await.unwrap()
    }

    /// Runs a stage and returns what it wrote, as method and path; it is expected to succeed.
    pub(crate) async fn writes(&self, stage: Stage) -> Vec<Request> {
        self.netbox.clear_requests();
        self.run(stage).await;
        self.netbox.writes()
    }

    /// Lets sessions see which nodes are up now.
    pub(crate) async fn look_around(&self) {
        for cluster in &self.clusters {
            cluster.session.refresh().await.unwrap();
        }
    }

    /// The request, limited to one virtual machine.
    pub(crate) fn only(&self, machine: u64) -> SyncRequest {
        let mut request = self.request.clone();
        request.options.guests.only = Some([ObjectId(machine)].into());
        request
    }
}

/// The cluster `alpha` of the nodes `a1` and `a2`; on `a2` is its one guest, the virtual machine 204.
pub(crate) fn alpha() -> World {
    let mut world = World::bare(vec![Node::new("a1", 1, "10.0.0.1"), Node::new("a2", 2, "10.0.0.2")]);
    world.cluster = Some("alpha".to_owned());
    world.add_guest(Guest::new(GuestKind::Qemu, 204, "web", "a2"));
    world
}

/// The number of a cluster's endpoint.
fn number_of(index: usize) -> i64 {
    i64::try_from(index).unwrap() + 1
}

fn facts(number: i64, cluster: &Cluster) -> EndpointFacts {
    EndpointFacts {
        key: key(number),
        name: format!("endpoint-{number} (nb:{number})"),
        domain: None,
        ip_address: Some("127.0.0.1".to_owned()),
        port: cluster.proxmox.address().port(),
        node_device_name_template: String::new(),
        site: Lookup::default(),
        tenant: Lookup::default(),
    }
}

/// The rows at `path` that hold `value` in `field`.
pub(crate) fn rows_where(bench: &Estate, path: &str, field: &str, value: &Value) -> Vec<Value> {
    let mut rows = bench.netbox.rows(path);
    rows.retain(|row| row[field] == *value);
    rows
}

/// The cluster `beta` of the node `b1` with one guest, the virtual machine 301.
pub(crate) fn beta() -> World {
    let mut world = World::bare(vec![Node::new("b1", 1, "10.0.1.1"), Node::new("b2", 2, "10.0.1.2")]);
    world.cluster = Some("beta".to_owned());
    let mut guest = Guest::new(GuestKind::Qemu, 301, "mail", "b1");
    guest.config.set("scsi0", "local:vm-301-disk-0,size=4G");
    world.add_guest(guest);
    world
}

#[tokio::test]
async fn machine_that_is_asked_for_is_no_matter_of_the_other_clusters_in_the_run() {
    let mut bench = Estate::start(vec![alpha(), beta()]).await;
    bench.request.options.guests.sync_network = false;
    bench.request.options.guests.sync_task_history = false;
    bench.run(Stage::VirtualMachines).await;
    let machine = bench.machine(301);
    for is_strict in [false, true] {
        for stage in [
            Stage::VirtualMachines,
            Stage::VirtualDisks,
            Stage::VmInterfaces,
            Stage::VmIpAddresses,
            Stage::Backups,
            Stage::Snapshots,
        ] {
            let mut request = bench.only(machine);
            request.options.guests.is_strict = is_strict;
            let report = bench.try_run(stage, request).await;
            let result = report.result();
            assert_eq!(report.errors(), [""; 0], "{}", stage.as_str());
            assert!(result.get("warnings").is_none(), "{}: {result}", stage.as_str());
        }
    }
    let unknown = bench.try_run(Stage::VirtualDisks, bench.only(9_999)).await;
    assert!(unknown.result()["warnings"].is_array());
}

/// Its guests bear the tag `prod` and are in VLAN 120, and a container of it has the address 10.20.0.30.
fn alike(mut world: World, color_map: &str) -> World {
    let node = world.nodes[0].name.clone();
    world.add_guest(Guest::new(GuestKind::Lxc, 400, "proxy", &node));
    for guest in world.guests.values_mut() {
        guest.config.set("tags", "prod");
        let vmid = guest.vmid;
        let net = match guest.kind {
            GuestKind::Qemu => format!("virtio=BC:24:11:00:{:02X}:01,bridge=vmbr0,tag=120", vmid % 256),
            GuestKind::Lxc => {
                let mac = "BC:24:11:00:FF:01";
                format!("name=eth0,bridge=vmbr0,hwaddr={mac},ip=10.20.0.30/24,tag=120,type=veth")
            }
        };
        guest.config.set("net0", net);
    }
    let style = json!({"color-map": color_map});
    world.options.insert("tag-style".to_owned(), style);
    world
}

#[tokio::test]
async fn clusters_that_share_tags_vlans_and_hosts_leave_each_other_in_peace() {
    let worlds = vec![alike(alpha(), "prod:ff0000"), alike(beta(), "prod:00ff00")];
    let estate = Estate::empty(worlds).await;
    for run in 1..=3 {
        estate.netbox.clear_requests();
        let report = estate.job(Job::FullUpdate, SyncRequest::default()).await;
        assert_eq!(report.errors(), [""; 0], "{run}");
    }
    assert_eq!(estate.netbox.writes(), []);
    assert_eq!(
        rows_where(&estate, "/api/extras/tags/", "slug", &json!("prod")).len(),
        1
    );
    let hosts = rows_where(&estate, "/api/ipam/ip-addresses/", "address", &json!("10.20.0.30/24"));
    assert_eq!(hosts.len(), 1, "{hosts:#?}");
}

#[tokio::test]
async fn guests_of_one_number_in_two_clusters_have_each_their_own_rows() {
    let world = |cluster: &str, number: u16| {
        let node = format!("{cluster}-1");
        let mut world = World::bare(vec![Node::new(&node, 1, &format!("10.0.{number}.1"))]);
        world.cluster = Some(cluster.to_owned());
        let mut guest = Guest::new(GuestKind::Lxc, 204, cluster, &node);
        guest
            .config
            .set("rootfs", format!("local:vm-204-disk-0,size={number}G"));
        let net = format!("name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:00:0{number},ip=10.20.{number}.5/24,type=veth");
        guest.config.set("net0", net);
        world.add_guest(guest);
        world
    };
    let mut estate = Estate::empty(vec![world("east", 1), world("west", 2)]).await;
    estate.request.options.guests.sync_network = false;
    estate.request.options.guests.sync_task_history = false;
    let stages = [
        Stage::Devices,
        Stage::VirtualMachines,
        Stage::VirtualDisks,
        Stage::VmInterfaces,
        Stage::VmIpAddresses,
    ];
    for stage in stages {
        estate.run(stage).await;
    }
    let machine = |name: &str| rows_where(&estate, MACHINES, "name", &json!(name)).remove(0);
    for (name, number) in [("east", 1_u16), ("west", 2)] {
        let row = machine(name);
        assert_eq!(
            (&row["cluster"]["name"], &row["disk"], &row["primary_ip4"]["address"]),
            (
                &json!(name),
                &json!(number * 1024),
                &json!(format!("10.20.{number}.5/24"))
            )
        );
        let of = |path: &str| {
            let mut rows = estate.netbox.rows(path);
            rows.retain(|child| child["virtual_machine"]["id"] == row["id"]);
            assert_eq!(rows.len(), 1, "{path}");
            rows.remove(0)
        };
        assert_eq!(of("/api/virtualization/virtual-disks/")["size"], number * 1024);
        let mac = of("/api/virtualization/interfaces/")["primary_mac_address"]["mac_address"].clone();
        assert_eq!(mac, format!("BC:24:11:00:00:0{number}"));
        assert_eq!(of(MACHINE_STATES)["proxmox_endpoint_raw_id"], number);
    }
    let east = machine("east");
    let west = estate.clusters[1].proxmox.world();
    west.change(|world| world.guest(204).unwrap().memory_mib = 777);
    for stage in stages {
        let written: Vec<usize> = estate.writes(stage).await.iter().map(|write| write.rows).collect();
        let expected: &[usize] = if stage == Stage::VirtualMachines { &[1] } else { &[] };
        assert_eq!(written, expected, "{}", stage.as_str());
    }
    assert_eq!((machine("east"), &machine("west")["memory"]), (east, &json!(777)));
}
