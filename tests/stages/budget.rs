//! How many requests to NetBox a job may take.

use proxbox_api::netbox::standin::{Request, StandinOptions};
use proxbox_api::proxmox::mock::World;
use proxbox_api::proxmox::mock::world::Task;
use proxbox_api::stages::Stage;

use crate::harness::{Bench, MACHINES, now};

/// Runs every stage for itself, as the plugin does, and returns what was asked of NetBox.
async fn job(bench: &Bench) -> Vec<String> {
    bench.netbox.clear_requests();
    for stage in Stage::ORDER.iter().filter(|stage| **stage != Stage::Sdn) {
        bench.stage(*stage).await;
    }
    let told = |request: Request| {
        let Request {
            method,
            path,
            query,
            rows,
            ..
        } = request;
        format!("{method} {path}?{query} ({rows})")
    };
    bench.netbox.requests().into_iter().map(told).collect()
}

/// Runs a first job and an unchanged one for an estate of this size.
async fn check(nodes: usize, guests: usize) {
    let bench = Bench::with(World::estate(nodes, guests), StandinOptions::default()).await;
    let first = job(&bench).await;
    assert!(first.len() <= 60 + guests / 4, "{} requests: {first:#?}", first.len());
    bench.forget();
    let second = job(&bench).await;
    assert!(
        second.len() <= 40 + guests / 50,
        "{} requests: {second:#?}",
        second.len()
    );
}

#[tokio::test]
async fn first_job_and_unchanged_job_stay_within_their_budgets() {
    check(3, 55).await;
}

#[tokio::test]
async fn jobs_of_a_larger_estate_stay_within_their_budgets() {
    check(7, 400).await;
}

#[tokio::test]
async fn jobs_of_small_estates_stay_within_their_budgets() {
    for guests in [1, 5, 12, 25, 40, 80, 120, 200] {
        check(3, guests).await;
    }
}

/// What was asked of Proxmox since the last call.
fn take_asked(bench: &Bench) -> Vec<String> {
    let requests = bench.proxmox.requests().into_iter();
    let mut asked: Vec<String> = requests
        .map(|request| {
            // The time up to which tasks are asked for is another each time.
            let query = request.query.split('&').filter(|part| !part.starts_with("until="));
            format!("{} {}", request.path, query.collect::<Vec<_>>().join("&"))
        })
        .collect();
    asked.sort_unstable();
    bench.proxmox.clear_requests();
    asked
}

/// An estate of which one node has more finished tasks than fit a page, all of the last weeks.
fn with_tasks(nodes: usize, guests: usize) -> World {
    let mut world = World::estate(nodes, guests);
    let finished = |number: u32| Task {
        node: "pve1".into(),
        pid: number,
        pstart: number,
        starts: now() - 1_000_000 + i64::from(number),
        ends: Some(now() - 1_000_000 + i64::from(number)),
        kind: "qmstart".into(),
        id: "100".into(),
        user: "root@pam".into(),
        outcome: "OK".into(),
    };
    world.tasks = (0..1_100).map(finished).collect();
    world
}

#[tokio::test]
async fn row_that_is_refused_in_every_job_has_nothing_of_proxmox_read_again() {
    let bench = Bench::with(with_tasks(3, 55), StandinOptions::default()).await;
    job(&bench).await;
    take_asked(&bench);
    let undisturbed = job(&bench).await;
    let asked = take_asked(&bench);
    let name = bench.machine_of(102)["name"].as_str().unwrap().to_owned();
    bench
        .proxmox
        .world()
        .change(|world| world.guest(102).unwrap().memory_mib = 777);
    bench.netbox.faults().refuse_row(MACHINES, &name, "memory", "Too much.");
    for _ in 0..2 {
        let refused = job(&bench).await;
        assert!(
            refused.iter().any(|request| request.starts_with("PATCH")),
            "{refused:#?}"
        );
        assert_eq!(take_asked(&bench), asked);
        // The row, and once more what may be to blame: supporting objects, machines and nodes.
        assert!(refused.len() <= undisturbed.len() + 20, "{undisturbed:#?} {refused:#?}");
    }
}
