//! A service that is killed in the middle: the next run ends where an uninterrupted one would have.

use futures_util::{StreamExt as _, stream};
use proxbox_api::netbox::standin::{Fault, FaultRule, Standin, StandinOptions};
use proxbox_api::proxmox::mock::World;
use proxbox_api::proxmox::mock::world::{Agent, AgentInterface};
use proxbox_api::sync::{Job, JobReport, SyncRequest};
use serde_json::Value;

use crate::harness::Bench;

/// What a run writes about itself.
const STAMP: &str = "proxmox_last_updated";
/// The journal tells what was done; of rows whose entry was lost with the service nothing more is told.
const JOURNAL: &str = "extras/journal-entries";

/// What NetBox holds, without stamps and the journal.
pub(crate) fn holdings(netbox: &Standin) -> Value {
    let mut state = netbox.state();
    state.as_object_mut().unwrap().remove(JOURNAL);
    for rows in state.as_object_mut().unwrap().values_mut() {
        for row in rows
            .as_object_mut()
            .unwrap()
            .values_mut()
            .filter_map(Value::as_object_mut)
        {
            row.remove(STAMP);
            row.values_mut().for_each(in_order);
        }
    }
    state
}

/// Puts comma lists in order, which Proxmox gives in any.
fn in_order(value: &mut Value) {
    match value {
        Value::String(list) if list.contains(',') => {
            let mut members: Vec<&str> = list.split(',').collect();
            members.sort_unstable();
            *list = members.join(",");
        }
        Value::Object(members) => members.values_mut().for_each(in_order),
        Value::Array(members) => members.iter_mut().for_each(in_order),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A full update that always has the same name.
pub(crate) async fn full_update(bench: &Bench) -> JobReport {
    let mut request = SyncRequest::default();
    "night".clone_into(&mut request.options.run_id);
    bench.job(Job::FullUpdate, request).await
}

/// What of `found` is not as `expected`.
pub(crate) fn differences(found: &Value, expected: &Value) -> Vec<String> {
    let collections = expected.as_object().unwrap().iter();
    let differing = collections.flat_map(|(collection, rows)| {
        let found = &found[collection];
        let keys = rows
            .as_object()
            .unwrap()
            .keys()
            .chain(found.as_object().unwrap().keys());
        let keys = keys.filter(move |key| found.get(key.as_str()) != rows.get(key.as_str()));
        keys.map(move |key| format!("{collection} {key}: {:?} for {:?}", found.get(key), rows.get(key)))
    });
    differing.collect()
}

/// Kills a run from where `bench` stands after each of its first `most` requests, where NetBox takes only so many `rows` at
/// once, and tells how many requests the run makes.
async fn kill_after_each(bench: &Bench, rows: usize, most: usize) -> usize {
    let takes = |bench: &Bench| {
        let too_many = FaultRule::on("", Fault::Html(504)).larger_than(rows);
        bench.netbox.faults().add(too_many);
    };
    let undisturbed = bench.fork().await;
    takes(&undisturbed);
    full_update(&undisturbed).await;
    let expected = holdings(&undisturbed.netbox);
    let disks = expected["virtualization/virtual-disks"].as_object().unwrap();
    assert!(disks.len() > 10, "only {} disks", disks.len());
    let requests = undisturbed.netbox.requests().len();
    let kills = stream::iter(1..=requests.min(most)).for_each_concurrent(2, |survived| {
        let expected = &expected;
        async move {
            let mut killed = bench.fork().await;
            killed.restart(true);
            takes(&killed);
            killed.netbox.faults().kill_after(u32::try_from(survived).unwrap());
            full_update(&killed).await;
            killed.netbox.faults().clear();
            killed.restart(false);
            let report = full_update(&killed).await;
            let none: [String; 0] = [];
            assert_eq!(report.errors(), none, "killed after {survived} requests");
            let differences = differences(&holdings(&killed.netbox), expected);
            assert!(
                differences.is_empty(),
                "killed after {survived} requests: {differences:#?}"
            );
        }
    });
    kills.await;
    requests
}

async fn beginning(world: World) -> Bench {
    Bench::with(world, StandinOptions::default()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn run_after_a_kill_ends_where_an_uninterrupted_one_does() {
    let bench = beginning(World::estate(2, 6)).await;
    let requests = kill_after_each(&bench, 100, usize::MAX).await;
    assert!(requests > 60, "only {requests} requests to be killed after");
}

/// Many small batches, of which several are under way at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn run_after_a_kill_among_small_batches_ends_where_an_uninterrupted_one_does() {
    let bench = beginning(World::estate(2, 4)).await;
    let requests = kill_after_each(&bench, 2, 200).await;
    assert!(requests >= 200, "only {requests} requests to be killed after");
}

/// Two guests swap their names, one migrates, one grows, one is gone; a snapshot, a backup and the tag of an interface go,
/// a third guest takes a name that is taken, and an address moves.
fn change(world: &mut World) {
    let names = [100, 101].map(|vmid| world.guest(vmid).unwrap().name.clone());
    world.guest(100).unwrap().name.clone_from(&names[1]);
    world.guest(101).unwrap().name.clone_from(&names[0]);
    world.guest(102).unwrap().name.clone_from(&names[0]);
    let is_first = world.guest(104).unwrap().node == "pve1";
    assert!(world.migrate(104, if is_first { "pve2" } else { "pve1" }));
    assert!(world.guest(100).unwrap().resize_disk("scsi0", "160G"));
    world
        .guests
        .values_mut()
        .find_map(|guest| guest.snapshots.pop())
        .unwrap();
    world.backups.pop().unwrap();
    world.remove_guest(105).unwrap();
    for (vmid, address) in [(100, "10.50.9.9/16"), (101, "10.50.0.101/16")] {
        let guest = world.guest(vmid).unwrap();
        let mac = guest.mac(0).unwrap().to_lowercase();
        guest.agent = Agent::Interfaces(vec![AgentInterface::new("ens18", &mac, &[address])]);
    }
}

/// Changes, deletions, and names and addresses that go from one to another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn run_after_a_kill_among_changes_ends_where_an_uninterrupted_one_does() {
    let mut bench = beginning(World::estate(2, 8)).await;
    bench.delete_orphans = true;
    full_update(&bench).await;
    let before = holdings(&bench.netbox);
    bench.proxmox.world().change(change);
    let changed = bench.fork().await;
    full_update(&changed).await;
    let told = differences(&holdings(&changed.netbox), &before);
    assert!(told.len() > 10, "{told:#?}");
    let requests = kill_after_each(&bench, 2, usize::MAX).await;
    assert!(requests > 60, "only {requests} requests to be killed after");
}
