//! What each stage reads: of Proxmox only what it needs, and of NetBox only what it may ask for.

use std::collections::{BTreeMap, BTreeSet};

use proxbox_api::netbox::standin::{Fault, FaultRule, Request, StandinOptions};
use proxbox_api::proxmox::mock::World;
use proxbox_api::reconcile::{Mode, ObjectId};
use proxbox_api::stages::Stage;
use proxbox_api::sync::{Job, SyncRequest};
use serde_json::Value;

use crate::full_update::SWEEP;
use crate::harness::{Bench, MACHINE_STATES, until, warnings};

/// The longest request line that NetBox is sent, in bytes.
const LONGEST_LINE: usize = 3_500;
/// Where Proxmox lists its guests.
const GUESTS: &str = "/cluster/resources";
/// Where it lists its storages.
const STORAGES: &str = "/storage";
/// What lists are asked for besides filters.
const CONTROLS: [&str; 5] = ["limit", "start", "ordering", "fields", "omit"];

fn request() -> SyncRequest {
    let mut request = SyncRequest::default();
    request.options.modes.sdn = Mode::Always;
    request.options.modes.bgp = Mode::Always;
    request.options.sync_node_topology = true;
    let guests = &mut request.options.guests;
    guests.sync_network = false;
    guests.sync_task_history = false;
    request
}

/// What was asked of Proxmox since the last call, without the names of nodes, guests, storages and networks.
fn take_asked(bench: &Bench) -> BTreeSet<String> {
    let general = |path: String| {
        let segments: Vec<&str> = path.split('/').collect();
        match segments[..] {
            ["", "nodes", _] => "/nodes/*".to_owned(),
            ["", "nodes", _, what @ ("qemu" | "lxc" | "storage"), _, ref rest @ ..] => {
                format!("/nodes/*/{what}/*/{}", rest.join("/"))
            }
            ["", "nodes", _, "sdn", ..] => "/nodes/*/sdn".to_owned(),
            ["", "nodes", _, ref rest @ ..] => format!("/nodes/*/{}", rest.join("/")),
            ["", "cluster", "sdn", ..] => "/cluster/sdn".to_owned(),
            _ => path,
        }
    };
    let asked = bench
        .proxmox
        .requests()
        .into_iter()
        .map(|request| general(request.path));
    let asked = asked.collect();
    bench.proxmox.clear_requests();
    asked
}

#[tokio::test]
async fn stage_reads_only_what_it_needs() {
    let bench = Bench::with(World::estate(2, 24), StandinOptions::default()).await;
    bench.job(Job::FullUpdate, request()).await;
    take_asked(&bench);
    let guests = "/cluster/resources";
    let configs = ["/nodes/*/lxc/*/config", "/nodes/*/qemu/*/config"];
    let agents = [
        "/nodes/*/qemu/*/agent/get-host-name",
        "/nodes/*/qemu/*/agent/network-get-interfaces",
    ];
    let snapshots = ["/nodes/*/lxc/*/snapshot", "/nodes/*/qemu/*/snapshot"];
    let all = |parts: &[&[&str]]| -> BTreeSet<String> { parts.concat().iter().map(ToString::to_string).collect() };
    for (stage, expected) in [
        (
            Stage::Devices,
            all(&[&["/access/permissions", "/cluster/status", "/version"]]),
        ),
        (Stage::Storage, all(&[&["/storage"]])),
        (Stage::VirtualMachines, all(&[&[guests, "/cluster/options"], &configs])),
        (Stage::TaskHistory, all(&[&[guests, "/nodes/*/tasks"]])),
        (Stage::VirtualDisks, all(&[&[guests], &configs])),
        (
            Stage::Backups,
            all(&[&[guests, "/storage", "/nodes/*/storage/*/content"]]),
        ),
        (Stage::Snapshots, all(&[&[guests], &snapshots])),
        (Stage::NodeInterfaces, all(&[&["/nodes/*/network"]])),
        (Stage::VmInterfaces, all(&[&[guests], &configs, &agents])),
        (
            Stage::VmIpAddresses,
            all(&[&[guests, "/nodes/*/lxc/*/interfaces"], &configs, &agents]),
        ),
        (Stage::Sdn, all(&[&["/cluster/sdn", "/nodes/*/sdn"]])),
        (Stage::Replications, all(&[&[guests, "/cluster/replication"]])),
        (Stage::BackupRoutines, all(&[&["/cluster/backup"]])),
    ] {
        bench.forget();
        bench.stage_with(stage, request()).await;
        assert_eq!(take_asked(&bench), expected, "{}", stage.as_str());
    }
}

#[tokio::test]
async fn stages_of_one_job_share_what_they_read_and_devices_are_always_read_afresh() {
    let bench = Bench::with(World::estate(2, 24), StandinOptions::default()).await;
    for stage in Stage::ORDER {
        bench.stage_with(*stage, request()).await;
    }
    take_asked(&bench);
    for stage in Stage::ORDER.iter().filter(|stage| **stage != Stage::Devices) {
        bench.stage_with(*stage, request()).await;
        let asked = take_asked(&bench);
        // The archive of tasks is read again as far as it is new.
        let is_expected = asked.is_empty() || *stage == Stage::TaskHistory;
        assert!(is_expected, "{}: {asked:?}", stage.as_str());
    }
    bench.netbox.clear_requests();
    bench.stage_with(Stage::Devices, request()).await;
    assert!(take_asked(&bench).contains("/cluster/status"));
    let paths: BTreeSet<String> = bench
        .netbox
        .requests()
        .into_iter()
        .map(|request| request.path)
        .collect();
    for path in ["/api/dcim/devices/", "/api/plugins/proxbox/sync-state/devices/"] {
        assert!(paths.contains(path), "{paths:?}");
    }
    bench.stage_with(Stage::Storage, request()).await;
    assert!(
        take_asked(&bench).contains("/storage"),
        "what was read before is forgotten"
    );
}

#[tokio::test]
async fn stages_of_one_job_share_what_they_read_although_a_node_is_offline() {
    let bench = Bench::with(World::estate(3, 24), StandinOptions::default()).await;
    bench.proxmox.faults().node_down("pve2");
    bench.job(Stage::Devices, request()).await;
    let stages = [
        Stage::VirtualMachines,
        Stage::VirtualDisks,
        Stage::Snapshots,
        Stage::NodeInterfaces,
        Stage::VmInterfaces,
        Stage::VmIpAddresses,
    ];
    for stage in stages {
        bench.stage_with(stage, request()).await;
    }
    take_asked(&bench);
    for stage in stages {
        let report = bench.stage_with(stage, request()).await;
        assert_eq!(take_asked(&bench), BTreeSet::new(), "{}", stage.as_str());
        let told = warnings(&report);
        assert!(
            told.contains("node pve2: the node is offline"),
            "{}: {told}",
            stage.as_str()
        );
    }
    bench.proxmox.faults().node_up("pve2");
    bench.stage_with(Stage::Devices, request()).await;
    let report = bench.stage_with(Stage::VirtualDisks, request()).await;
    assert!(take_asked(&bench).contains("/nodes/*/qemu/*/config"));
    assert!(!warnings(&report).contains("offline"), "{}", warnings(&report));
}

#[tokio::test]
async fn who_names_a_machine_gets_it_as_it_is_now() {
    let bench = Bench::with(World::estate(2, 12), StandinOptions::default()).await;
    bench.job(Job::FullUpdate, request()).await;
    bench
        .proxmox
        .world()
        .change(|world| world.guest(103).unwrap().memory_mib = 3_333);
    let machine = bench.machine_of(103)["id"].as_u64().unwrap();
    bench.stage_with(Stage::VirtualMachines, request()).await;
    assert_ne!(bench.machine_of(103)["memory"], 3_333, "read a short while ago");
    let narrow = request().of_machine(ObjectId(machine));
    bench.stage_with(Stage::VirtualMachines, narrow).await;
    assert_eq!(bench.machine_of(103)["memory"], 3_333);
}

/// The templates alone are written, and their interfaces and tasks with them.
#[tokio::test]
async fn what_was_read_of_some_guests_is_not_taken_for_all_by_the_next_stage() {
    let bench = Bench::with(World::estate(2, 24), StandinOptions::default()).await;
    bench.job(Job::FullUpdate, request()).await;
    bench.forget();
    let mut some = SyncRequest::default();
    some.options.modes.machine = Mode::Disabled;
    some.options.guests.sync_network = true;
    some.options.guests.sync_task_history = true;
    bench.stage_with(Stage::VirtualMachines, some).await;
    take_asked(&bench);
    bench.stage_with(Stage::VmIpAddresses, request()).await;
    let asked = take_asked(&bench);
    assert!(
        asked.contains("/nodes/*/qemu/*/agent/network-get-interfaces"),
        "{asked:?}"
    );
}

#[tokio::test]
async fn nothing_is_shared_where_that_is_turned_off() {
    let mut bench = Bench::with(World::estate(2, 12), StandinOptions::default()).await;
    bench.inventory_ttl = std::time::Duration::ZERO;
    bench.job(Job::FullUpdate, request()).await;
    take_asked(&bench);
    for stage in Stage::ORDER {
        bench.stage_with(*stage, request()).await;
        let first = take_asked(&bench);
        bench.stage_with(*stage, request()).await;
        assert!(!first.is_empty(), "{}", stage.as_str());
        assert_eq!(take_asked(&bench), first, "{}", stage.as_str());
    }
}

#[tokio::test]
async fn jobs_of_the_plugin_share_nothing_with_each_other() {
    let bench = Bench::with(World::estate(2, 12), StandinOptions::default()).await;
    let of_job = |id: &str| {
        let mut request = request();
        id.clone_into(&mut request.options.run_id);
        request
    };
    let asks = async |stage: Stage, request: SyncRequest| {
        bench.stage_with(stage, request).await;
        take_asked(&bench).contains("/cluster/resources")
    };
    for (id, is_asked) in [
        ("monday", true),
        ("tuesday", true),
        ("tuesday", false),
        ("wednesday", true),
        ("wednesday", false),
    ] {
        assert_eq!(asks(Stage::VirtualMachines, of_job(id)).await, is_asked, "{id}");
    }
    assert!(!asks(Stage::VirtualDisks, request()).await, "a later stage of the job");
}

#[tokio::test]
async fn job_of_the_plugin_is_served_by_its_own_first_stages_and_by_no_run_without_a_name() {
    let bench = Bench::with(World::estate(2, 12), StandinOptions::default()).await;
    let asks = async |job: Job, id: &str, path: &str| {
        let mut request = request();
        id.clone_into(&mut request.options.run_id);
        bench.job(job, request).await;
        take_asked(&bench).contains(path)
    };
    let machines = Job::Stage(Stage::VirtualMachines);
    for unnamed in [machines.clone(), Job::FullUpdate] {
        bench.forget();
        asks(unnamed.clone(), "", GUESTS).await;
        assert!(asks(machines.clone(), "monday", GUESTS).await, "{}", unnamed.as_str());
        assert!(!asks(machines.clone(), "monday", GUESTS).await);
    }
    let storage = Job::Stage(Stage::Storage);
    asks(Job::Stage(Stage::Devices), "", GUESTS).await;
    assert!(asks(storage.clone(), "", STORAGES).await);
    assert!(asks(machines.clone(), "tuesday", GUESTS).await);
    assert!(!asks(storage, "", STORAGES).await, "the job has read them");
}

/// The one that it waits for has read the guests, and waits for NetBox.
#[tokio::test]
async fn run_that_is_asked_to_stop_while_it_waits_costs_the_one_before_it_nothing() {
    let bench = Bench::with(World::estate(2, 12), StandinOptions::default()).await;
    bench.stage_with(Stage::VirtualMachines, request()).await;
    bench.forget();
    take_asked(&bench);
    let late = Fault::Latency(std::time::Duration::from_millis(500));
    let late = FaultRule::on(MACHINE_STATES, late).method("GET").only(1);
    bench.netbox.faults().add(late);
    bench.netbox.clear_requests();
    let meanwhile = async {
        let is_read = || {
            let mut asked = bench.netbox.requests().into_iter();
            asked.any(|request| request.path.contains(MACHINE_STATES))
        };
        until(is_read).await;
        let mut named = request();
        "monday".clone_into(&mut named.options.run_id);
        for job in [Job::from(Stage::VirtualMachines), Job::FullUpdate] {
            // Nobody listens any more: it is asked to stop.
            drop(bench.stream(job, named.clone()));
        }
        until(|| bench.under_way() == 1).await;
    };
    tokio::join!(bench.stage_with(Stage::VirtualMachines, request()), meanwhile);
    take_asked(&bench);
    bench.stage_with(Stage::VirtualDisks, request()).await;
    let asked = take_asked(&bench);
    assert!(!asked.contains(GUESTS), "{asked:?}");
}

#[tokio::test]
async fn run_that_is_asked_to_stop_before_it_begins_says_so() {
    let bench = Bench::with(World::estate(2, 12), StandinOptions::default()).await;
    let jobs = [Job::from(Stage::Devices), Job::FullUpdate, SWEEP];
    for job in jobs {
        let report = bench.unbegun(job.clone(), request()).await;
        assert!(report.is_cancelled(), "{}", job.as_str());
    }
    assert_eq!(bench.netbox.requests().len(), 0);
}

/// An estate whose guests, tags and tasks have long names in letters that are long in a URL.
fn long_named(guests: usize) -> World {
    let mut world = World::estate(3, guests);
    for guest in world.guests.values_mut() {
        guest.name = format!("{}-{}", "größer-".repeat(12), guest.vmid);
        guest.tags = vec![format!("{}-{}", "übergröße".repeat(5), guest.vmid)];
    }
    world
}

/// The names of the filters that NetBox has, by path.
fn filters() -> BTreeMap<String, BTreeSet<String>> {
    let documents = [
        include_str!("../../openapi/netbox/4.7.3.json"),
        include_str!("../../openapi/netbox/bgp.json"),
    ];
    let mut all = BTreeMap::new();
    for document in documents {
        let document: Value = serde_json::from_str(document).unwrap();
        for (path, item) in document["paths"].as_object().unwrap() {
            let Some(kinds) = item.pointer("/get/x-query").and_then(Value::as_object) else {
                continue;
            };
            let names = kinds.values().filter_map(Value::as_array).flatten();
            let names = names.map(|name| name.as_str().unwrap().to_owned());
            all.insert(path.clone(), names.collect());
        }
    }
    all
}

/// What NetBox would not honour of a read.
fn faults(request: &Request, filters: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let Request { path, query, .. } = request;
    let mut faults = Vec::new();
    let length = format!("GET {path}?{query} HTTP/1.1").len();
    if length >= LONGEST_LINE {
        faults.push(format!("{path} is asked in {length} bytes"));
    }
    let Some(known) = filters.get(path) else {
        faults.extend((!query.is_empty()).then(|| format!("{path} has no filters: {query}")));
        return faults;
    };
    // Whether NetBox has the plugin at all is asked without a filter.
    if path == "/api/plugins/bgp/peer-group/" && query.is_empty() {
        return faults;
    }
    let parameters: Vec<(String, String)> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    for (name, _) in &parameters {
        let base = name.split("__").next().unwrap();
        let is_known = CONTROLS.contains(&name.as_str()) || known.contains(name) || known.contains(base);
        faults.extend((!is_known).then(|| format!("{path} has no filter {name}")));
    }
    let value = |wanted: &str| {
        parameters
            .iter()
            .find(|(name, _)| name == wanted)
            .map(|(_, value)| value.as_str())
    };
    if value("limit") != Some("1000") {
        faults.push(format!("{path} is not asked for 1,000 rows: {query}"));
    }
    let has_context = ["/api/dcim/devices/", "/api/virtualization/virtual-machines/"].contains(&path.as_str());
    if has_context && value("fields").is_none_or(|fields| fields.contains("config_context")) {
        faults.push(format!("{path} is asked for the config context: {query}"));
    }
    faults
}

#[tokio::test]
async fn reads_use_filters_and_pages_that_netbox_honours() {
    let options = StandinOptions {
        has_bgp: true,
        ..StandinOptions::default()
    };
    let mut bench = Bench::with(long_named(200), options).await;
    bench.delete_orphans = true;
    bench.job(Job::FullUpdate, request()).await;
    bench.forget();
    let machine = bench.machine_of(103)["id"].as_u64().unwrap();
    let narrow = request().of_machine(ObjectId(machine));
    bench.proxmox.world().change(|world| drop(world.remove_guest(101)));
    for (job, request) in [
        (Job::FullUpdate, request()),
        (Job::from(Stage::VirtualMachines), narrow.clone()),
        (Job::from(Stage::VmIpAddresses), narrow.clone()),
        (Job::from(Stage::TaskHistory), narrow.clone()),
        (Job::from(Stage::Backups), narrow),
    ] {
        let report = bench.job(job, request).await;
        assert_eq!(report.errors(), [""; 0]);
        bench.forget();
    }
    let filters = filters();
    let requests = bench.netbox.requests();
    let reads: Vec<&Request> = requests.iter().filter(|request| !request.is_write()).collect();
    assert!(
        reads.iter().any(|read| read.query.len() > LONGEST_LINE / 2),
        "no filter is long"
    );
    let faults: BTreeSet<String> = reads.into_iter().flat_map(|read| faults(read, &filters)).collect();
    assert!(faults.is_empty(), "{faults:#?}");
}
