//! Credentials that see guests and storages, and nothing of the cluster itself: Sys.Audit on `/` is missing.

use proxbox_api::netbox::standin::StandinOptions;
use proxbox_api::proxmox::mock::world::{GuestKind, GuestStatus};
use proxbox_api::proxmox::mock::{TOKEN_SECRET, World};
use proxbox_api::stages::Stage;
use proxbox_api::sync::{Job, SyncRequest};
use serde_json::{Value, json};

use crate::harness::{Bench, MACHINES, warnings};

const USER: &str = "limited@pve";
const CLUSTERS: &str = "virtualization/clusters";
const TRACKED: &str = "plugins/proxbox/proxmox-clusters";
const ROUTINES: &str = "plugins/proxbox/backup-routines";

async fn small() -> Bench {
    let mut world = World::estate(2, 12);
    world.cluster = Some("production".to_owned());
    let access = &mut world.access;
    access.add_user(USER, "x");
    access.add_token(&format!("{USER}!netbox"), TOKEN_SECRET, false);
    access.allow("/vms", USER, "PVEVMUser");
    access.allow("/storage", USER, "PVEDatastoreUser");
    let mut bench = Bench::with(world, StandinOptions::default()).await;
    bench.delete_orphans = true;
    bench
}

fn names(bench: &Bench, path: &str) -> Vec<Value> {
    bench.netbox.rows(path).iter().map(|row| row["name"].clone()).collect()
}

#[tokio::test]
async fn first_run_reads_what_it_may_into_the_tracked_cluster_and_names_what_it_may_not() {
    let mut bench = small().await;
    bench.sign_in_as(USER);
    let report = bench.job(Job::FullUpdate, SyncRequest::default()).await;
    assert_eq!(report.errors(), Vec::<String>::new());
    assert_eq!(names(&bench, CLUSTERS), [json!("production")]);
    assert_eq!(
        (bench.netbox.count("dcim/devices"), bench.netbox.count(MACHINES)),
        (2, 12)
    );
    assert_eq!(bench.netbox.count(ROUTINES), 0);
    let result = report.result();
    let told = result["warnings"].to_string();
    for missing in [
        "Sys.Audit on / is missing",
        "GET cluster/backup",
        "Sys.Audit on the node",
    ] {
        assert!(told.contains(missing), "{missing}: {told}");
    }
    assert_eq!(result["status"], "completed");
    assert_eq!(result["orphan_sweep"]["skipped_reason"], "live_inventory_unavailable");
}

#[tokio::test]
async fn later_run_writes_what_is_new_and_retires_nothing() {
    let mut bench = small().await;
    bench.job(Job::FullUpdate, SyncRequest::default()).await;
    let routines = bench.netbox.rows(ROUTINES);
    bench.take_writes();
    bench.sign_in_as(USER);
    let report = bench.job(Job::FullUpdate, SyncRequest::default()).await;
    assert_eq!(
        (report.errors(), bench.take_writes()),
        (Vec::new(), Vec::new()),
        "nothing has changed"
    );

    let gone = bench.proxmox.world().change(|world| {
        world.backups.clear();
        world.replications.clear();
        world.backup_jobs.clear();
        let mut gone = world.remove_guest(101).unwrap();
        gone.vmid = 901;
        gone.name = "newcomer".to_owned();
        world.add_guest(gone.clone());
        gone
    });
    bench.forget();
    let report = bench.job(Job::FullUpdate, SyncRequest::default()).await;
    assert_eq!(report.errors(), Vec::<String>::new());
    let writes = bench.take_writes();
    let is_harmless = |write: &String| !write.starts_with("DELETE") && !write.contains(CLUSTERS);
    assert!(writes.iter().all(is_harmless), "{writes:?}");
    assert_eq!(bench.machine("newcomer")["name"], gone.name.as_str());
    assert_eq!(bench.netbox.count(MACHINES), 13);
    let is_retired = |row: &Value| row["status"]["value"] == "decommissioning";
    assert!(!bench.netbox.rows(MACHINES).iter().any(is_retired));
    assert_eq!(bench.netbox.rows(ROUTINES), routines, "none is stale");
}

/// Nothing is deleted, so that the old holder still has it.
#[tokio::test]
async fn address_that_moved_is_left_to_its_old_holder_and_nothing_is_refused() {
    let mut bench = small().await;
    let containers = bench.proxmox.world().change(|world| {
        let containers = world.guests.values_mut().filter(|guest| guest.kind == GuestKind::Lxc);
        let containers = containers.take(2).map(|guest| {
            guest.status = GuestStatus::Stopped;
            guest.vmid
        });
        containers.collect::<Vec<_>>()
    });
    let [old, new] = containers[..] else {
        panic!("{containers:?}");
    };
    let configure = |bench: &Bench, vmid: u32, address: &str| {
        let net = format!(
            "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:99:00:{:02X},ip={address}",
            vmid % 250
        );
        bench
            .proxmox
            .world()
            .change(|world| world.guest(vmid).unwrap().config.set("net0", net));
    };
    configure(&bench, old, "10.99.0.7/24");
    configure(&bench, new, "10.99.0.8/24");
    bench.job(Job::FullUpdate, SyncRequest::default()).await;
    configure(&bench, old, "10.99.0.9/24");
    configure(&bench, new, "10.99.0.7/24");
    bench.sign_in_as(USER);
    bench.take_writes();
    for run in ["the first", "the second"] {
        bench.forget();
        let report = bench.stage(Stage::VmIpAddresses).await;
        let writes = bench.take_writes();
        let is_fine = |write: &String| !write.starts_with("DELETE") && !write.contains(": 4");
        assert!(writes.iter().all(is_fine), "{run}: {writes:?}");
        assert_eq!(writes.is_empty(), run == "the second", "{writes:?}");
        assert_eq!(report.counts().failed, 0, "{run}: {}", warnings(&report));
        assert!(
            warnings(&report).contains("address 10.99.0.7 of"),
            "{run}: {}",
            warnings(&report)
        );
        let primary = |vmid| bench.machine_of(vmid)["primary_ip4"]["address"].clone();
        assert_eq!(
            (primary(old), primary(new)),
            (json!("10.99.0.7/24"), json!("10.99.0.8/24"))
        );
    }
}

#[tokio::test]
async fn cluster_that_nobody_has_named_is_called_like_the_endpoint() {
    let mut bench = small().await;
    for row in bench.netbox.rows(TRACKED) {
        bench.netbox.remove(TRACKED, row["id"].as_u64().unwrap()).unwrap();
    }
    bench.sign_in_as(USER);
    let report = bench.stage(Stage::Devices).await;
    assert_eq!(names(&bench, CLUSTERS), [json!("lab")]);
    assert!(
        warnings(&report).contains("the name of the cluster is hidden"),
        "{}",
        warnings(&report)
    );
}

#[tokio::test]
async fn endpoint_with_several_tracked_clusters_is_refused() {
    let mut bench = small().await;
    let endpoint = bench.netbox.rows(TRACKED)[0]["endpoint"].clone();
    let endpoint = endpoint.get("id").cloned().unwrap_or(endpoint);
    let other = json!({"endpoint": endpoint, "name": "other", "mode": "cluster"});
    bench.netbox.seed(TRACKED, &other).unwrap();
    bench.sign_in_as(USER);
    let report = bench.job(Stage::Devices, SyncRequest::default()).await;
    assert!(
        report.errors()[0].contains("tracks 2 clusters"),
        "{:?}",
        report.errors()
    );
}
