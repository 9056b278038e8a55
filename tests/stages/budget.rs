//! How many requests to NetBox a job may take.

use proxbox_api::netbox::standin::{Request, StandinOptions};
use proxbox_api::proxmox::mock::World;
use proxbox_api::stages::Stage;

use crate::harness::Bench;

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
