//! What holds for each stage that is about the estate and not about single guests: devices, storage, networks of nodes,
//! and schedules.

use std::sync::Arc;
use std::time::Duration;

use proxbox_api::error::ErrorKind;
use proxbox_api::netbox::standin::{Fault, FaultRule, StandinOptions};
use proxbox_api::proxmox::mock::world::GuestKind;
use proxbox_api::proxmox::mock::{Fault as ProxmoxFault, World};
use proxbox_api::reconcile::{Mode, ObjectId};
use proxbox_api::stages::{Flag, Modes, Stage};
use proxbox_api::sync::SyncRequest;
use serde_json::{Value, json};

use crate::clusters::{Estate, alpha};
use crate::harness::{Bench, MACHINES, until, warnings};
use crate::kill::{differences, holdings};

const STAGES: [Stage; 5] = [
    Stage::Devices,
    Stage::Storage,
    Stage::NodeInterfaces,
    Stage::Replications,
    Stage::BackupRoutines,
];

const CLUSTERS: &str = "virtualization/clusters";
const DEVICES: &str = "dcim/devices";
const DEVICE_STATES: &str = "plugins/proxbox/sync-state/devices";
const INTERFACES: &str = "dcim/interfaces";
const TRACKED_CLUSTERS: &str = "plugins/proxbox/proxmox-clusters";
const TRACKED_NODES: &str = "plugins/proxbox/proxmox-nodes";
const STORAGES: &str = "plugins/proxbox/storage";
const REPLICATIONS: &str = "plugins/proxbox/replications";
const ROUTINES: &str = "plugins/proxbox/backup-routines";

fn named(name: &str) -> World {
    let mut world = World::estate(2, 12);
    world.cluster = Some(name.to_owned());
    world
}

/// Two clusters of two nodes whose guests have virtual machines.
async fn two_clusters() -> Estate {
    let estate = Estate::start(vec![named("alpha"), named("beta")]).await;
    estate.add_machines(0);
    estate.add_machines(1);
    estate
}

/// How the rows at `path` stand, by the name of their endpoint.
fn statuses(estate: &Estate, path: &str, endpoint: &str) -> Vec<String> {
    let rows = estate.netbox.rows(path);
    let own = rows.iter().filter(|row| row["endpoint"]["name"] == endpoint);
    own.map(|row| row["status"]["value"].as_str().unwrap().to_owned())
        .collect()
}

/// A bench on which all stages have run.
async fn filled(world: World) -> Bench {
    let bench = Bench::with(world, StandinOptions::default()).await;
    bench.stage(Stage::Devices).await;
    bench.stage(Stage::VirtualMachines).await;
    for stage in STAGES {
        bench.stage(stage).await;
    }
    bench.take_writes();
    bench
}

#[tokio::test]
async fn endpoint_that_hangs_lets_the_next_be_looked_at_meanwhile() {
    let estate = two_clusters().await;
    let [hung, other] = [0, 1].map(|index| &estate.clusters[index].proxmox);
    let never = Duration::from_hours(1);
    hung.faults().on_path("/cluster/status", ProxmoxFault::Latency(never));
    other.clear_requests();
    let looked_at = until(|| !other.requests().is_empty());
    let run = async {
        tokio::select! {
            _ = estate.try_run(Stage::Devices, estate.request.clone()) => panic!("it waits for the one that hangs"),
            () = looked_at => {}
        }
    };
    // Shorter than an answer is waited for.
    assert_eq!(tokio::time::timeout(Duration::from_secs(3), run).await, Ok(()));
}

/// Neither run sees a tag when it looks, and both make them.
#[tokio::test]
async fn endpoints_that_are_new_at_the_same_moment_share_the_supporting_objects() {
    let estate = Estate::empty(vec![alpha(), named("beta")]).await;
    estate.netbox.faults().add(FaultRule {
        times: Some(2),
        ..FaultRule::on("extras/tags", Fault::Unseen).method("GET")
    });
    let (first, second) = tokio::join!(estate.run_for(0, Stage::Devices), estate.run_for(1, Stage::Devices));
    for report in [&first, &second] {
        assert_eq!((report.counts().created, report.counts().failed), (2, 0), "{report:?}");
    }
    let made = |path: &str| estate.netbox.count(path);
    assert_eq!(
        (
            made("extras/tags"),
            made("dcim/manufacturers"),
            made("dcim/device-types")
        ),
        (6, 1, 1)
    );
}

#[tokio::test]
async fn devices_and_clusters_whose_answer_is_lost_are_made_once() {
    for (path, rows) in [(CLUSTERS, 1), (DEVICES, 2)] {
        let bench = Bench::with(World::estate(2, 4), StandinOptions::default()).await;
        let lost = FaultRule::on(path, Fault::LoseAnswer).method("POST").only(1);
        bench.netbox.faults().add(lost);
        let report = bench.stage(Stage::Devices).await;
        assert_eq!(
            (report.counts().failed, warnings(&report)),
            (0, String::new()),
            "{path}"
        );
        assert_eq!(report.counts().created, 2, "{path}");
        assert_eq!(bench.netbox.count(path), rows, "{path}");
        bench.take_writes();
        bench.forget();
        bench.stage(Stage::Devices).await;
        assert_eq!(bench.take_writes(), [""; 0], "{path}");
    }
}

#[tokio::test]
async fn endpoint_that_is_off_fails_alone_and_loses_nothing() {
    let estate = two_clusters().await;
    for stage in STAGES {
        estate.run(stage).await;
    }
    estate.clusters[1].proxmox.faults().endpoint_down(true);
    estate.clusters[0].proxmox.world().change(|world| {
        world.replications.clear();
        world.backup_jobs.clear();
    });
    for stage in STAGES {
        let report = estate.try_run(stage, estate.request.clone()).await;
        let failed: Vec<bool> = report.endpoints.iter().map(|part| part.error.is_some()).collect();
        assert_eq!(failed, [false, true], "{stage:?}: {:?}", report.errors());
        assert_eq!(report.error_kind(), Some(ErrorKind::Connection), "{stage:?}");
    }
    for path in [REPLICATIONS, ROUTINES] {
        let (here, there) = (
            statuses(&estate, path, "endpoint-1"),
            statuses(&estate, path, "endpoint-2"),
        );
        assert!(
            !here.is_empty() && here.iter().all(|status| status == "stale"),
            "{path}"
        );
        assert!(
            !there.is_empty() && there.iter().all(|status| status == "active"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn call_that_fails_costs_its_own_endpoint_its_stage_and_no_other() {
    let estate = two_clusters().await;
    let faults = estate.clusters[1].proxmox.faults();
    for path in [
        "/storage",
        "/nodes/*/network",
        "/cluster/replication",
        "/cluster/backup",
    ] {
        faults.fail(path, 500, "out of order");
    }
    for stage in [
        Stage::Storage,
        Stage::NodeInterfaces,
        Stage::Replications,
        Stage::BackupRoutines,
    ] {
        let report = estate.try_run(stage, estate.request.clone()).await;
        let [alpha, beta] = report.endpoints.as_slice() else {
            panic!("{report:?}");
        };
        assert!(
            alpha.error.is_none() && alpha.counts.created > 0,
            "{stage:?}: {alpha:?}"
        );
        // Without any node there is nothing that the stage could go on with.
        let told = if stage == Stage::NodeInterfaces {
            beta.error.clone().unwrap().1
        } else {
            assert!(beta.error.is_none() && beta.counts.created == 0, "{stage:?}: {beta:?}");
            beta.warnings[0].to_string()
        };
        assert!(told.contains("out of order"), "{stage:?}: {told}");
    }
    let storages = estate.netbox.rows(STORAGES);
    assert!(storages.iter().all(|row| row["cluster"]["name"] == "alpha"));
}

#[tokio::test]
async fn endpoints_one_after_the_other_leave_all_jobs_active() {
    let estate = two_clusters().await;
    for _ in 0..2 {
        for index in [0, 1] {
            for stage in STAGES {
                estate.run_for(index, stage).await;
            }
        }
    }
    for path in [REPLICATIONS, ROUTINES] {
        let (one, two) = (
            statuses(&estate, path, "endpoint-1"),
            statuses(&estate, path, "endpoint-2"),
        );
        assert!(!one.is_empty() && one == two, "{path}: {one:?} {two:?}");
        assert!(one.iter().all(|status| status == "active"), "{path}");
    }
}

#[tokio::test]
async fn status_that_may_not_be_read_costs_every_stage_a_warning_that_names_the_missing_right() {
    let bench = filled(World::estate(2, 12)).await;
    let fresh = bench.beside().await;
    let refusal = "Permission check failed (/, Sys.Audit)";
    fresh.proxmox.faults().fail("/cluster/status", 403, refusal);
    for stage in STAGES {
        let report = fresh.job(stage, SyncRequest::default()).await;
        assert_eq!(report.errors(), [""; 0], "{stage:?}");
        let report = report.into_stage().unwrap();
        assert!(
            warnings(&report).contains("Sys.Audit"),
            "{stage:?}: {}",
            report.result()
        );
    }
    for path in [STORAGES, INTERFACES, ROUTINES] {
        assert_eq!(fresh.netbox.count(path), bench.netbox.count(path), "{path}");
    }
}

#[tokio::test]
async fn single_host_is_a_cluster_of_its_own_for_every_stage() {
    let estate = Estate::start(vec![World::standalone("solo", 3)]).await;
    for stage in STAGES {
        estate.run(stage).await;
    }
    let clusters = estate.netbox.rows(CLUSTERS);
    assert_eq!(
        (&clusters[0]["name"], &clusters[0]["type"]["slug"], clusters.len()),
        (&json!("solo"), &json!("standalone"), 1)
    );
    let world = estate.clusters[0].proxmox.world();
    let (storages, jobs) = world.read(|world| (world.storages.len(), world.backup_jobs.len()));
    assert_eq!(estate.netbox.count(STORAGES), storages);
    assert_eq!(estate.netbox.count(ROUTINES), jobs);
    let interfaces = estate.netbox.rows(INTERFACES);
    assert!(!interfaces.is_empty() && interfaces.iter().all(|row| row["device"]["name"] == "solo"));
}

#[tokio::test]
async fn stages_before_the_devices_write_only_what_needs_no_cluster() {
    let bench = Bench::with(World::estate(2, 12), StandinOptions::default()).await;
    let report = bench.stage(Stage::Storage).await;
    let storages = bench.proxmox.world().read(|world| world.storages.len());
    assert_eq!((report.counts().skipped, bench.netbox.count(STORAGES)), (storages, 0));
    assert!(warnings(&report).contains("run the stage devices first"));
    let report = bench.job(Stage::NodeInterfaces, SyncRequest::default()).await;
    assert!(report.errors()[0].contains("lab"), "{:?}", report.errors());
    let report = bench.stage(Stage::Replications).await;
    let jobs = bench.proxmox.world().read(|world| world.replications.len());
    assert_eq!((report.counts().created, report.counts().skipped), (0, jobs));
    let report = bench.stage(Stage::BackupRoutines).await;
    let jobs = bench.proxmox.world().read(|world| world.backup_jobs.len());
    assert_eq!(report.counts().created, jobs);
}

#[tokio::test]
async fn cluster_that_is_another_endpoints_is_refused_and_its_rows_are_left_alone() {
    let estate = Estate::empty(vec![named("alpha"), named("alpha")]).await;
    for endpoint in estate.netbox.rows("plugins/proxbox/endpoints/proxmox") {
        let tracked = json!({"endpoint": endpoint["id"], "name": "alpha", "mode": "cluster"});
        estate.netbox.seed(TRACKED_CLUSTERS, &tracked).unwrap();
    }
    estate.run_for(0, Stage::Devices).await;
    estate.add_machines(0);
    for stage in STAGES {
        estate.run_for(0, stage).await;
    }
    let before = estate.netbox.fingerprint();
    for stage in [Stage::Devices, Stage::Storage, Stage::NodeInterfaces] {
        let report = estate.try_run(stage, estate.request.clone()).await;
        let failed: Vec<bool> = report.endpoints.iter().map(|part| part.error.is_some()).collect();
        assert_eq!(failed, [false, true], "{stage:?}: {:?}", report.errors());
        assert!(report.errors()[0].contains("alpha"), "{:?}", report.errors());
    }
    assert_eq!(estate.netbox.fingerprint(), before);
}

#[tokio::test]
async fn jobs_of_a_second_endpoint_of_one_cluster_have_rows_of_their_own() {
    const JOBS: [(Stage, &str); 2] = [(Stage::Replications, REPLICATIONS), (Stage::BackupRoutines, ROUTINES)];
    let estate = Estate::empty(vec![named("alpha"), named("alpha")]).await;
    let tracked: Vec<u64> = estate
        .netbox
        .rows("plugins/proxbox/endpoints/proxmox")
        .iter()
        .map(|endpoint| {
            let tracked = json!({"endpoint": endpoint["id"], "name": "alpha", "mode": "cluster"});
            estate.netbox.seed(TRACKED_CLUSTERS, &tracked).unwrap()
        })
        .collect();
    estate.run_for(0, Stage::Devices).await;
    estate.add_machines(0);
    for (stage, _) in JOBS {
        estate.run_for(0, stage).await;
    }
    let of_first = JOBS.map(|(_, path)| statuses(&estate, path, "endpoint-1"));
    // A cluster of that name may be another one: its guests are not taken for those of the first.
    for (stage, _) in JOBS {
        let result = estate.run_for(1, stage).await.result();
        assert!(
            result["warnings"][0]
                .to_string()
                .contains("belongs to another endpoint"),
            "{result}"
        );
    }
    assert_eq!(statuses(&estate, REPLICATIONS, "endpoint-2"), [""; 0]);
    assert_eq!(statuses(&estate, ROUTINES, "endpoint-2"), of_first[1]);
    // An operator says that it is the same one.
    let cluster = estate.netbox.rows(CLUSTERS)[0]["id"].clone();
    let link = json!({"netbox_cluster": cluster});
    estate.netbox.change(TRACKED_CLUSTERS, tracked[1], &link).unwrap();
    for (index, (stage, path)) in JOBS.into_iter().enumerate() {
        estate.run_for(1, stage).await;
        assert_eq!(statuses(&estate, path, "endpoint-2"), of_first[index], "{path}");
    }
    let before = estate.netbox.fingerprint();
    for endpoint in [0, 1] {
        for (stage, _) in JOBS {
            estate.run_for(endpoint, stage).await;
        }
    }
    assert_eq!(estate.netbox.fingerprint(), before);
    estate.clusters[1].proxmox.world().change(|world| {
        world.replications.clear();
        world.backup_jobs.clear();
    });
    for (index, (stage, path)) in JOBS.into_iter().enumerate() {
        estate.run_for(1, stage).await;
        assert!(
            statuses(&estate, path, "endpoint-2")
                .iter()
                .all(|status| status == "stale"),
            "{path}"
        );
        assert_eq!(statuses(&estate, path, "endpoint-1"), of_first[index], "{path}");
    }
}

#[tokio::test]
async fn sync_states_that_may_not_be_read_or_written_are_told_and_prove_nothing() {
    let bench = Bench::with(World::estate(2, 12), StandinOptions::default()).await;
    let unwritable = FaultRule::on(DEVICE_STATES, Fault::Status(403)).method("POST");
    bench.netbox.faults().add(unwritable);
    let report = bench.stage(Stage::Devices).await;
    assert_eq!((report.counts().failed, bench.netbox.count(DEVICES)), (2, 2));
    let bench = filled(World::estate(2, 12)).await;
    bench.forget();
    let before = bench.netbox.fingerprint();
    for path in [DEVICE_STATES, crate::harness::MACHINE_STATES] {
        bench.netbox.faults().add(FaultRule::on(path, Fault::Status(403)));
    }
    for stage in [Stage::Devices, Stage::NodeInterfaces, Stage::Replications] {
        let report = bench.job(stage, SyncRequest::default()).await;
        assert_eq!(report.error_kind(), Some(ErrorKind::Permission), "{stage:?}");
    }
    assert_eq!(bench.netbox.fingerprint(), before);
}

#[tokio::test]
async fn refused_row_is_named_the_others_are_written_and_it_follows_later() {
    let bench = Bench::with(sized(2, 3), StandinOptions::default()).await;
    let job = bench.proxmox.world().read(|world| world.replications[0].id());
    for (stage, path, name) in [
        (Stage::Devices, DEVICES, "pve2"),
        (Stage::VirtualMachines, "", ""),
        (Stage::Storage, STORAGES, "local"),
        (Stage::NodeInterfaces, INTERFACES, "vmbr0"),
        (Stage::Replications, REPLICATIONS, job.as_str()),
        (Stage::BackupRoutines, ROUTINES, "backup-1"),
    ] {
        let mut written = 0;
        if !path.is_empty() {
            bench
                .netbox
                .faults()
                .refuse_row(path, name, "tags", "This one is not wanted.");
            let report = bench.stage(stage).await;
            assert!(
                report.counts().failed > 0 && report.counts().created > 0,
                "{stage:?}: {report:?}"
            );
            let warnings = warnings(&report);
            assert!(
                warnings.contains(name) && warnings.contains("This one is not wanted."),
                "{stage:?}: {warnings}"
            );
            bench.netbox.faults().clear();
            written = bench.netbox.count(path);
        }
        assert_eq!(bench.stage(stage).await.counts().failed, 0, "{stage:?}");
        let rows = bench.netbox.rows(path);
        let is_refused = |row: &&Value| {
            ["name", "replication_id", "job_id"]
                .iter()
                .any(|field| row[field] == name)
        };
        let refused = rows.iter().filter(is_refused).count();
        assert_eq!(written, rows.len() - refused, "{stage:?}");
        assert!(
            path.is_empty() || (refused > 0 && written > 0),
            "{stage:?}: {refused} of {}",
            rows.len()
        );
    }
}

#[tokio::test]
async fn kinds_that_are_switched_off_are_neither_read_nor_written() {
    let bench = filled(World::estate(2, 12)).await;
    for path in [DEVICES, STORAGES, INTERFACES] {
        let id = bench.netbox.rows(path)[0]["id"].as_u64().unwrap();
        bench.netbox.change(path, id, &json!({"tags": []})).unwrap();
    }
    let before = bench.netbox.fingerprint();
    let off = |edit: fn(&mut Modes)| {
        let mut request = SyncRequest::default();
        edit(&mut request.options.modes);
        request
    };
    let node = off(|modes| modes.node = Mode::Disabled);
    let cluster = off(|modes| modes.cluster = Mode::Disabled);
    for (stage, request) in [
        (Stage::Devices, node.clone()),
        (Stage::Devices, cluster.clone()),
        (Stage::NodeInterfaces, node),
        (Stage::NodeInterfaces, cluster),
        (Stage::Storage, off(|modes| modes.storage = Mode::Disabled)),
    ] {
        bench.forget();
        bench.proxmox.clear_requests();
        bench.stage_with(stage, request).await;
        let asked = bench.proxmox.requests();
        let is_read = |path: &str| path == "/storage" || path.ends_with("/network");
        assert!(!asked.iter().any(|request| is_read(&request.path)), "{stage:?}");
    }
    assert_eq!(bench.netbox.fingerprint(), before);
    bench.stage(Stage::Devices).await;
    assert_ne!(bench.netbox.fingerprint(), before, "there was something to write");
}

/// An estate of so many nodes, each with all its interfaces, and so many jobs of each kind.
fn sized(nodes: usize, jobs: usize) -> World {
    let mut world = World::estate(nodes, 24);
    let guests: Vec<u32> = world
        .guests
        .values()
        .filter(|guest| guest.kind == GuestKind::Qemu)
        .map(|guest| guest.vmid)
        .collect();
    let (replication, routine) = (world.replications[0].clone(), world.backup_jobs[0].clone());
    world.replications.clear();
    world.backup_jobs.clear();
    for (number, guest) in (0..jobs).zip(guests) {
        let mut replication = replication.clone();
        replication.guest = guest;
        world.replications.push(replication);
        let mut routine = routine.clone();
        routine.insert("id".to_owned(), format!("backup-{number}").into());
        world.backup_jobs.push(routine);
    }
    world
}

/// What each stage asks of NetBox, on the first and on an unchanged run.
async fn asked(world: World) -> Vec<(Stage, usize, usize)> {
    let bench = Bench::with(world, StandinOptions::default()).await;
    let mut first = Vec::new();
    for stage in [Stage::Devices, Stage::VirtualMachines].into_iter().chain(STAGES) {
        bench.netbox.clear_requests();
        bench.stage(stage).await;
        first.push(bench.netbox.requests().len());
    }
    let first: Vec<usize> = [&first[..1], &first[3..]].concat();
    let mut all = Vec::new();
    for (stage, first) in STAGES.into_iter().zip(first) {
        bench.forget();
        bench.netbox.clear_requests();
        bench.stage(stage).await;
        all.push((stage, first, bench.netbox.requests().len()));
    }
    all
}

#[tokio::test]
async fn requests_do_not_grow_with_nodes_interfaces_and_jobs() {
    // More than one request is worth from either.
    let (small, large) = (asked(sized(3, 5)).await, asked(sized(6, 10)).await);
    assert_eq!(small, large);
}

/// Nothing is looked for where not even our tag is there: what is there all the same is refused, found and taken.
#[tokio::test]
async fn operators_own_supporting_objects_are_taken_on_the_first_run() {
    let bench = Bench::with(World::estate(2, 5), StandinOptions::default()).await;
    let seed = |path: &str, row: Value| bench.netbox.seed(path, &row).unwrap();
    seed(
        "virtualization/cluster-types",
        json!({"name": "Our clusters", "slug": "cluster"}),
    );
    let maker = seed(
        "dcim/manufacturers",
        json!({"name": "Proxmox GmbH", "slug": "proxmox", "description": "Vienna"}),
    );
    let kind = json!({"manufacturer": maker, "model": "Our node", "slug": "proxmox-generic-device"});
    seed("dcim/device-types", kind);
    seed(
        "virtualization/virtual-machine-types",
        json!({"name": "Our guest", "slug": "lxc-container"}),
    );
    let site = json!({"name": "Our site", "slug": "proxmox-default-site-lab", "status": "planned"});
    seed("dcim/sites", site);
    let report = bench.stage(Stage::Devices).await;
    assert_eq!(report.errors(), Vec::<String>::new());
    assert_eq!(warnings(&report), "");
    let told = |path: &str, name: &str| -> Vec<Value> {
        let rows = bench.netbox.rows(path).into_iter();
        let told = rows.map(|row| json!([row[name], row["description"], row["tags"][0]["slug"]]));
        told.collect()
    };
    let kinds = told("virtualization/cluster-types", "name");
    assert_eq!(
        (kinds.len(), &kinds[0][0], &kinds[0][2]),
        (1, &json!("Our clusters"), &json!("proxbox"))
    );
    assert_eq!(
        told("dcim/manufacturers", "name"),
        [json!(["Proxmox GmbH", "Vienna", "proxbox"])]
    );
    let models = told("dcim/device-types", "model");
    assert_eq!((models.len(), &models[0][0]), (1, &json!("Our node")));
    let names: Vec<Value> = told("virtualization/virtual-machine-types", "name");
    assert_eq!((names.len(), &names[0][0]), (2, &json!("Our guest")));
    let sites = bench.netbox.rows("dcim/sites");
    assert_eq!(
        (sites.len(), &sites[0]["name"], &sites[0]["status"]["value"]),
        (1, &json!("Our site"), &json!("planned"))
    );
    assert_eq!(bench.netbox.count(DEVICES), 2);
    bench.forget();
    bench.take_writes();
    bench.stage(Stage::Devices).await;
    assert_eq!(bench.take_writes(), Vec::<String>::new());
}

fn with_action() -> StandinOptions {
    StandinOptions {
        has_cluster_action: true,
        ..StandinOptions::default()
    }
}

#[tokio::test]
async fn plugin_that_claims_clusters_itself_leaves_the_same() {
    let mut careful = SyncRequest::default();
    for flag in [Flag::ClusterTags, Flag::ClusterDescription] {
        careful.options.overwrite.set(flag, false);
    }
    for request in [SyncRequest::default(), careful] {
        let plain = Bench::with(World::estate(2, 2), StandinOptions::default()).await;
        plain.stage_with(Stage::Devices, request.clone()).await;
        let claiming = Bench::between(Arc::clone(&plain.proxmox), with_action()).await;
        claiming.stage_with(Stage::Devices, request.clone()).await;
        let writes = claiming.take_writes();
        let made = |path: &str| writes.iter().any(|write| write.starts_with(&format!("POST {path}")));
        assert!(!made("/api/virtualization/clusters/"), "{writes:#?}");
        assert!(
            writes.iter().any(|write| write.contains("/sync-cluster/")),
            "{writes:#?}"
        );
        let differences = differences(&holdings(&claiming.netbox), &holdings(&plain.netbox));
        assert!(differences.is_empty(), "{differences:#?}");
        claiming.forget();
        claiming.stage_with(Stage::Devices, request).await;
        assert_eq!(claiming.take_writes(), [""; 0]);
    }
}

#[tokio::test]
async fn cluster_that_the_plugin_tracks_only_since_the_claim_is_known_at_once() {
    let bench = Bench::with(World::estate(2, 2), with_action()).await;
    for path in [TRACKED_NODES, TRACKED_CLUSTERS] {
        for row in bench.netbox.rows(path) {
            bench.netbox.remove(path, row["id"].as_u64().unwrap()).unwrap();
        }
    }
    bench.stage(Stage::Devices).await;
    let tracked = bench.netbox.rows(TRACKED_CLUSTERS);
    assert_eq!(tracked[0]["cluster_id"], "cluster", "{tracked:#?}");
    bench.take_writes();
    bench.forget();
    bench.stage(Stage::Devices).await;
    assert_eq!(bench.take_writes(), [""; 0]);
}

#[tokio::test]
async fn free_cluster_of_the_name_is_claimed_by_the_plugin_where_it_can() {
    let bench = Bench::with(World::estate(2, 2), with_action()).await;
    let kind = bench
        .netbox
        .seed("virtualization/cluster-types", &json!({"name": "Mine", "slug": "mine"}))
        .unwrap();
    let row = json!({"name": "lab", "type": kind, "description": "of the basement"});
    let free = bench.netbox.seed("virtualization/clusters", &row).unwrap();
    bench.stage(Stage::Devices).await;
    let writes = bench.take_writes();
    let claims = writes.iter().filter(|write| write.contains("/sync-cluster/"));
    assert_eq!(claims.count(), 1, "{writes:#?}");
    let links = writes.iter().filter(|write| write.contains("/proxmox-clusters/"));
    assert_eq!(links.count(), 0, "{writes:#?}");
    let clusters = bench.netbox.rows("virtualization/clusters");
    assert_eq!(
        clusters.iter().map(|row| row["id"].as_u64()).collect::<Vec<_>>(),
        [Some(free)]
    );
    let linked = &bench.netbox.rows(TRACKED_CLUSTERS)[0]["netbox_cluster"]["id"];
    assert_eq!(linked, free);
    bench.stage(Stage::Devices).await;
    assert_eq!(bench.take_writes(), [""; 0]);
}

/// Another endpoint's cluster of the name is linked already, or there are several that nobody has.
#[tokio::test]
async fn plugin_is_asked_which_cluster_it_is_where_the_name_does_not_tell() {
    for (case, is_other_linked, count) in [("taken", true, 1), ("several", false, 2)] {
        for has_action in [true, false] {
            let options = StandinOptions {
                has_cluster_action: has_action,
                ..StandinOptions::default()
            };
            let bench = Bench::with(World::estate(2, 2), options).await;
            let seed = |path: &str, row: Value| bench.netbox.seed(path, &row).unwrap();
            let kind = seed("virtualization/cluster-types", json!({"name": "Mine", "slug": "mine"}));
            let there: Vec<u64> = (0..count)
                .map(|_| seed(CLUSTERS, json!({"name": "lab", "type": kind})))
                .collect();
            if is_other_linked {
                let other = seed(
                    "plugins/proxbox/endpoints/proxmox",
                    json!({"name": "other", "mode": "cluster", "port": 9}),
                );
                let row = json!({"endpoint": other, "name": "lab", "mode": "cluster", "netbox_cluster": there[0]});
                seed(TRACKED_CLUSTERS, row);
            }
            let report = bench.job(Stage::Devices, SyncRequest::default()).await;
            let errors = report.errors();
            let own = &bench.netbox.rows(TRACKED_CLUSTERS)[0]["netbox_cluster"]["id"];
            if has_action {
                assert_eq!(errors, [""; 0], "{case}");
                assert!(!there.contains(&own.as_u64().unwrap()), "{case}: {own}");
                assert_eq!(bench.netbox.rows(DEVICES)[0]["cluster"]["id"], *own, "{case}");
                bench.forget();
                bench.take_writes();
                bench.stage(Stage::Devices).await;
                assert_eq!(bench.take_writes(), [""; 0], "{case}");
            } else {
                assert!(
                    errors.len() == 1 && errors[0].contains("named \"lab\""),
                    "{case}: {errors:?}"
                );
                let counts = [CLUSTERS, DEVICES, "dcim/sites"].map(|path| bench.netbox.count(path));
                assert_eq!((counts, own), ([there.len(), 0, 0], &Value::Null), "{case}");
            }
        }
    }
}

#[tokio::test]
async fn plugin_is_asked_which_cluster_it_is_for_named_machines_too() {
    for has_action in [true, false] {
        let options = StandinOptions {
            has_cluster_action: has_action,
            ..StandinOptions::default()
        };
        let bench = Bench::with(World::estate(2, 2), options).await;
        let seed = |path: &str, row: Value| bench.netbox.seed(path, &row).unwrap();
        let kind = seed("virtualization/cluster-types", json!({"name": "Mine", "slug": "mine"}));
        let clusters = [0, 1].map(|_| seed(CLUSTERS, json!({"name": "lab", "type": kind})));
        let machine = seed(MACHINES, json!({"name": "theirs", "cluster": clusters[0]}));
        let mut request = SyncRequest::default();
        request.options.guests.only = Some([ObjectId(machine)].into());
        let dry = SyncRequest {
            dry_run: true,
            ..request.clone()
        };
        let linked = || bench.netbox.rows(TRACKED_CLUSTERS)[0]["netbox_cluster"]["id"].is_u64();
        let errors = bench.job(Stage::VirtualMachines, dry).await.errors();
        assert!(errors[0].contains("named \"lab\""), "{errors:?}");
        assert_eq!(bench.take_writes(), [""; 0]);
        let errors = bench.job(Stage::VirtualMachines, request).await.errors();
        assert_eq!((errors.is_empty(), linked()), (has_action, has_action), "{errors:?}");
    }
}

#[tokio::test]
async fn free_cluster_is_adopted_although_another_endpoints_nodes_are_in_one_that_had_the_name() {
    let estate = Estate::empty(vec![named("alpha"), named("alpha")]).await;
    let first = &estate.netbox.rows("plugins/proxbox/endpoints/proxmox")[0]["id"];
    let tracked = json!({"endpoint": first, "name": "alpha", "mode": "cluster"});
    estate.netbox.seed(TRACKED_CLUSTERS, &tracked).unwrap();
    estate.run_for(0, Stage::Devices).await;
    let theirs = estate.netbox.rows(CLUSTERS).remove(0);
    let renamed = json!({"name": "Alpha Hamburg"});
    estate
        .netbox
        .change(CLUSTERS, theirs["id"].as_u64().unwrap(), &renamed)
        .unwrap();
    let site = json!({"name": "Bremen", "slug": "bremen"});
    let site = estate.netbox.seed("dcim/sites", &site).unwrap();
    let free = json!({
        "name": "alpha", "type": theirs["type"]["id"], "scope_type": "dcim.site", "scope_id": site
    });
    let free = estate.netbox.seed(CLUSTERS, &free).unwrap();
    let report = estate.run_for(1, Stage::Devices).await;
    assert_eq!((report.counts().created, report.counts().failed), (2, 0));
    let devices = estate.netbox.rows(DEVICES);
    let in_free = devices.iter().filter(|row| row["cluster"]["id"] == free);
    assert_eq!((in_free.count(), devices.len()), (2, 4));
    // The other way round the name does not make it anybody's who comes along.
    estate
        .netbox
        .change(CLUSTERS, free, &json!({"name": "Alpha Bremen"}))
        .unwrap();
    let renamed = json!({"name": "alpha"});
    estate
        .netbox
        .change(CLUSTERS, theirs["id"].as_u64().unwrap(), &renamed)
        .unwrap();
    for row in estate.netbox.rows(TRACKED_CLUSTERS) {
        estate
            .netbox
            .remove(TRACKED_CLUSTERS, row["id"].as_u64().unwrap())
            .unwrap();
    }
    let report = estate.job(Stage::Devices.into(), estate.request.clone()).await;
    let errors = report.errors();
    assert!(
        errors.len() == 1 && errors[0].contains("belongs to another endpoint"),
        "{errors:?}"
    );
}

#[tokio::test]
async fn devices_made_by_hand_in_the_location_of_the_cluster_are_taken() {
    let bench = Bench::with(World::estate(2, 2), StandinOptions::default()).await;
    let seed = |path: &str, row: Value| bench.netbox.seed(path, &row).unwrap();
    let site = seed("dcim/sites", json!({"name": "Berlin", "slug": "berlin"}));
    let location = seed(
        "dcim/locations",
        json!({"name": "Room 1", "slug": "room-1", "site": site}),
    );
    let kind = seed("virtualization/cluster-types", json!({"name": "Mine", "slug": "mine"}));
    let scoped = json!({"name": "lab", "type": kind, "scope_type": "dcim.location", "scope_id": location});
    let cluster = seed(CLUSTERS, scoped);
    let report = bench.stage(Stage::Devices).await;
    assert_eq!(report.counts().failed, 2);
    let advice = "scoped to a location in NetBox, where its device has to be too: make that there, named like the node";
    assert!(warnings(&report).contains(advice), "{}", warnings(&report));
    let maker = seed("dcim/manufacturers", json!({"name": "Acme", "slug": "acme"}));
    let model = json!({"manufacturer": maker, "model": "R1", "slug": "r1"});
    let model = seed("dcim/device-types", model);
    let role = seed("dcim/device-roles", json!({"name": "Server", "slug": "server"}));
    let elsewhere = seed(
        "dcim/locations",
        json!({"name": "Room 2", "slug": "room-2", "site": site}),
    );
    let made = [("pve1", location), ("pve2", elsewhere)].map(|(name, location)| {
        let row = json!({
            "name": name, "device_type": model, "role": role, "site": site, "location": location, "status": "active"
        });
        seed(DEVICES, row)
    });
    bench.forget();
    let report = bench.stage(Stage::Devices).await;
    let told = warnings(&report);
    assert_eq!((report.counts().updated, report.counts().failed), (1, 1), "{told}");
    let device = |id: u64| {
        let rows = bench.netbox.rows(DEVICES);
        rows.into_iter().find(|row| row["id"] == id).unwrap()
    };
    let taken = device(made[0]);
    let places = ["cluster", "location", "site"].map(|place| taken[place]["id"].as_u64());
    assert_eq!(places, [cluster, location, site].map(Some));
    assert_eq!(device(made[1])["cluster"], Value::Null);
    bench
        .netbox
        .change(DEVICES, made[1], &json!({"location": location}))
        .unwrap();
    bench.forget();
    let report = bench.stage(Stage::Devices).await;
    assert_eq!((report.counts().updated, report.counts().unchanged), (1, 1));
    bench.forget();
    bench.take_writes();
    bench.stage(Stage::Devices).await;
    assert_eq!(bench.take_writes(), [""; 0]);
}

#[tokio::test]
async fn cluster_whose_devices_are_elsewhere_keeps_its_scope_and_gets_the_rest() {
    let mut bench = Bench::with(World::estate(2, 2), StandinOptions::default()).await;
    bench.stage(Stage::Devices).await;
    let before = bench.netbox.rows(CLUSTERS).remove(0);
    let site = json!({"name": "Bremen", "slug": "bremen"});
    bench.netbox.seed("dcim/sites", &site).unwrap();
    let tenant = json!({"name": "Sales", "slug": "sales"});
    bench.netbox.seed("tenancy/tenants", &tenant).unwrap();
    bench.endpoint.site.slug = Some("bremen".to_owned());
    bench.endpoint.tenant.slug = Some("sales".to_owned());
    for run in 1..=2 {
        bench.forget();
        bench.take_writes();
        let report = bench.stage(Stage::Devices).await;
        let told = warnings(&report);
        assert!(
            told.contains("lab") && told.contains("scope: 2 devices are assigned as hosts"),
            "{run}: {told}"
        );
        let writes = bench.take_writes();
        let to_cluster = writes.iter().filter(|write| write.contains("virtualization/clusters"));
        assert_eq!((to_cluster.count(), writes.len()), (3 - run, 3 - run), "{writes:?}");
        let after = bench.netbox.rows(CLUSTERS).remove(0);
        assert_eq!(
            (&after["tenant"]["slug"], &after["scope_id"]),
            (&json!("sales"), &before["scope_id"]),
            "{run}"
        );
    }
}

/// What NetBox refuses of a device that stands is no matter of its guests, unless it is where the device belongs.
#[tokio::test]
async fn guests_are_written_although_their_nodes_device_could_not_be_brought_in_step() {
    let state = (DEVICE_STATES, "pve1 Proxbox sync state");
    for ((path, name), column, change, failed) in [
        ((DEVICES, "pve1"), "status", json!({"status": "offline"}), 0),
        ((DEVICES, "pve1"), "cluster", json!({"cluster": null}), 1),
        (state, "proxmox_node", json!({"proxmox_node": null}), 0),
    ] {
        let bench = filled(World::estate(2, 12)).await;
        let rows = bench.netbox.rows(path);
        let row = rows.iter().find(|row| row["display"] == name).unwrap();
        bench.netbox.change(path, row["id"].as_u64().unwrap(), &change).unwrap();
        bench.netbox.faults().refuse_row(path, name, column, "Not this one.");
        let on_it = bench.proxmox.world().change(|world| {
            for guest in world.guests.values_mut() {
                guest.memory_mib += 1;
            }
            world.guests.values().filter(|guest| guest.node == "pve1").count()
        });
        assert!(on_it > 0 && on_it < 12);
        bench.forget();
        let report = bench.stage(Stage::VirtualMachines).await;
        let told = warnings(&report);
        assert_eq!(report.counts().failed, failed * on_it, "{column}: {told}");
        assert_eq!(report.counts().updated, 12 - failed * on_it, "{column}: {told}");
        assert!(told.contains("Not this one."), "{column}: {told}");
    }
}

#[tokio::test]
async fn guests_are_written_although_their_nodes_device_cannot_have_its_name() {
    let bench = filled(World::estate(2, 12)).await;
    let rows = bench.netbox.rows(DEVICES);
    let row = rows.iter().find(|row| row["name"] == "pve1").unwrap();
    let earlier = json!({"name": "old1", "description": "Proxmox Node old1"});
    bench
        .netbox
        .change(DEVICES, row["id"].as_u64().unwrap(), &earlier)
        .unwrap();
    let theirs = json!({
        "name": "pve1", "device_type": row["device_type"]["id"], "role": row["role"]["id"], "site": row["site"]["id"]
    });
    bench.netbox.seed(DEVICES, &theirs).unwrap();
    bench.proxmox.world().change(|world| {
        for guest in world.guests.values_mut() {
            guest.memory_mib += 1;
        }
    });
    bench.forget();
    let report = bench.stage(Stage::VirtualMachines).await;
    let told = warnings(&report);
    assert_eq!((report.counts().failed, report.counts().updated), (0, 12), "{told}");
    assert!(told.contains("already has the name \"pve1\""), "{told}");
    bench.forget();
    let report = bench.stage(Stage::Devices).await;
    assert_eq!(report.counts().failed, 1, "{}", warnings(&report));
}

#[tokio::test]
async fn lists_that_netbox_does_not_show_cost_what_hangs_on_them_alone() {
    for (path, rows) in [
        ("/api/plugins/proxbox/sync-state/clusters/", 2),
        (TRACKED_NODES, 2),
        ("/api/virtualization/virtual-machine-types/", 2),
        // What a device cannot do without.
        ("/api/dcim/device-roles/", 0),
    ] {
        let bench = Bench::with(World::estate(2, 2), StandinOptions::default()).await;
        bench.stage(Stage::Devices).await;
        for device in bench.netbox.rows(DEVICES) {
            bench.netbox.remove(DEVICES, device["id"].as_u64().unwrap()).unwrap();
        }
        bench.forget();
        bench
            .netbox
            .faults()
            .add(FaultRule::on(path, Fault::Status(500)).method("GET"));
        let report = bench.stage(Stage::Devices).await;
        assert_eq!(report.counts().created, rows, "{path}: {report:?}");
        assert_eq!(bench.netbox.count("plugins/proxbox/sync-state/devices"), rows, "{path}");
        assert!(
            warnings(&report).contains(path.trim_matches('/')),
            "{path}: {}",
            warnings(&report)
        );
        bench.netbox.faults().clear();
        bench.forget();
        let report = bench.stage(Stage::Devices).await;
        assert_eq!(
            (report.counts().failed, warnings(&report)),
            (0, String::new()),
            "{path}"
        );
        let linked = bench.netbox.rows(TRACKED_NODES);
        assert!(linked.iter().all(|row| row["netbox_device"].is_object()), "{path}");
        bench.take_writes();
        bench.forget();
        bench.stage(Stage::Devices).await;
        assert_eq!(bench.take_writes(), [""; 0], "{path}");
    }
}

#[tokio::test]
async fn dry_run_plans_the_sync_state_of_a_device_that_is_nobodys_once() {
    let bench = Bench::with(World::estate(2, 2), StandinOptions::default()).await;
    bench.stage(Stage::Devices).await;
    let states = "plugins/proxbox/sync-state/devices";
    let gone = bench.netbox.rows(states)[0]["id"].as_u64().unwrap();
    bench.netbox.remove(states, gone).unwrap();
    bench.forget();
    bench.take_writes();
    let request = SyncRequest {
        dry_run: true,
        ..SyncRequest::default()
    };
    let report = bench.stage_with(Stage::Devices, request).await;
    let plans = report.endpoints[0].plans.iter();
    let of_states = plans.filter(|plan| plan.path.contains(states));
    let planned: Vec<(usize, usize)> = of_states.map(|plan| (plan.create.len(), plan.update.len())).collect();
    assert_eq!(planned, [(1, 0)]);
    assert_eq!(bench.take_writes(), [""; 0]);
}

#[tokio::test]
async fn tag_of_the_right_name_and_another_slug_is_told_and_left_alone() {
    let bench = Bench::with(World::estate(2, 2), StandinOptions::default()).await;
    let row = json!({"name": "Proxbox: Discovered Node", "slug": "nodes-of-mine"});
    bench.netbox.seed("extras/tags", &row).unwrap();
    let report = bench.stage(Stage::Devices).await;
    assert_eq!(report.counts().created, 2, "{report:?}");
    let told = warnings(&report);
    assert!(
        told.contains("nodes-of-mine") && told.contains("proxbox-discovered-node"),
        "{told}"
    );
    let devices = bench.netbox.rows(DEVICES);
    let tags = devices.iter().flat_map(|row| row["tags"].as_array().unwrap());
    assert!(tags.into_iter().all(|tag| tag["slug"] == "proxbox"), "{devices:#?}");
}

#[tokio::test]
async fn jobs_that_vanish_all_at_once_are_marked_only_where_that_is_allowed() {
    let bench = filled(sized(2, 12)).await;
    bench.proxmox.world().change(|world| {
        world.replications.clear();
        world.backup_jobs.clear();
    });
    bench.forget();
    for (stage, path) in [(Stage::Replications, REPLICATIONS), (Stage::BackupRoutines, ROUTINES)] {
        let report = bench.job(stage, SyncRequest::default()).await;
        let error = &report.errors()[0];
        assert!(
            error.contains("12 of 12") && error.contains("allow_shrink=true"),
            "{error}"
        );
        assert_eq!(bench.take_writes(), [""; 0]);
        let allowed = SyncRequest {
            allow_shrink: true,
            ..SyncRequest::default()
        };
        bench.stage_with(stage, allowed).await;
        let rows = bench.netbox.rows(path);
        let stale: Vec<&Value> = rows.iter().filter(|row| row["status"]["value"] == "stale").collect();
        assert_eq!(stale.len(), 12, "{path}");
        bench.take_writes();
    }
}

#[tokio::test]
async fn nodes_of_two_clusters_that_are_called_alike_have_devices_of_their_own() {
    let estate = two_clusters().await;
    for index in [0, 1, 0, 1] {
        let counts = estate.run_for(index, Stage::Devices).await.counts();
        assert_eq!((counts.unchanged, counts.failed), (2, 0));
        estate.run_for(index, Stage::NodeInterfaces).await;
    }
    let devices = estate.netbox.rows(DEVICES);
    let place = |device: &Value| format!("{} of {}", device["name"], device["cluster"]["name"]);
    let mut places: Vec<String> = devices.iter().map(place).collect();
    places.sort();
    let expected = ["alpha", "beta"].map(|cluster| format!("\"pve1\" of \"{cluster}\""));
    assert_eq!((places.len(), &places[..2]), (4, &expected[..]));
}

#[tokio::test]
async fn hardware_that_the_plugin_asks_for_is_answered_with_a_warning() {
    let mut bench = Bench::with(World::estate(2, 4), StandinOptions::default()).await;
    let report = bench.stage(Stage::Devices).await;
    assert!(!warnings(&report).contains("hardware"), "{}", warnings(&report));
    bench.wants_hardware = true;
    let report = bench.stage(Stage::Devices).await;
    assert!(
        warnings(&report).contains("hardware_discovery_enabled"),
        "{}",
        warnings(&report)
    );
}

#[tokio::test]
async fn renamed_node_gets_a_device_of_its_own_and_the_old_one_stays() {
    let bench = filled(World::estate(2, 4)).await;
    bench
        .proxmox
        .world()
        .change(|world| "pve9".clone_into(&mut world.node("pve2").unwrap().name));
    bench.forget();
    bench.stage(Stage::Devices).await;
    let devices = bench.netbox.rows(DEVICES);
    let mut names: Vec<&str> = devices.iter().map(|row| row["name"].as_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["pve1", "pve2", "pve9"]);
    let mut writes = bench.take_writes();
    writes.retain(|write| write.contains("/dcim/devices/"));
    assert_eq!(writes, ["POST /api/dcim/devices/ (1): 201"]);
}

#[tokio::test]
async fn stamps_that_are_overdue_are_all_that_is_written_and_in_bulk() {
    let bench = filled(World::estate(3, 12)).await;
    let old = json!({"proxmox_last_updated": "2020-01-01T00:00:00Z"});
    for path in ["plugins/proxbox/sync-state/clusters", DEVICE_STATES] {
        for row in bench.netbox.rows(path) {
            bench.netbox.change(path, row["id"].as_u64().unwrap(), &old).unwrap();
        }
    }
    let expected = [
        "PATCH /api/plugins/proxbox/sync-state/clusters/ (1): 200",
        "PATCH /api/plugins/proxbox/sync-state/devices/ (3): 200",
    ];
    for expected in [&expected[..], &[]] {
        bench.forget();
        bench.take_writes();
        for stage in STAGES {
            bench.stage(stage).await;
        }
        assert_eq!(bench.take_writes(), expected);
    }
}

#[tokio::test]
async fn jobs_of_an_endpoint_that_cannot_be_asked_stay_active_beside_one_that_can() {
    let estate = two_clusters().await;
    for stage in STAGES {
        estate.run(stage).await;
    }
    let faults = estate.clusters[1].proxmox.faults();
    for (stage, path, call) in [
        (Stage::Replications, REPLICATIONS, "/cluster/replication"),
        (Stage::BackupRoutines, ROUTINES, "/cluster/backup"),
    ] {
        faults.fail(call, 500, "out of order");
        let report = estate.try_run(stage, estate.request.clone()).await;
        let beta = &report.endpoints[1];
        let told = beta.warnings.iter().map(ToString::to_string).chain(report.errors());
        let told: Vec<String> = told.filter(|text| text.contains("out of order")).collect();
        assert_eq!(told.len(), 1, "{beta:?}");
        for endpoint in ["endpoint-1", "endpoint-2"] {
            let found = statuses(&estate, path, endpoint);
            assert!(
                !found.is_empty() && found.iter().all(|status| status == "active"),
                "{path} {endpoint}"
            );
        }
    }
}
