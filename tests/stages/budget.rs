//! How many requests to NetBox a job may take.

use proxbox_api::netbox::standin::Request;
use proxbox_api::stages::Stage;

use crate::harness::Bench;

const GUESTS: usize = 55;

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

#[tokio::test]
async fn first_job_and_unchanged_job_stay_within_their_budgets() {
    let bench = Bench::start().await;
    let first = job(&bench).await;
    assert!(first.len() <= 60 + GUESTS / 4, "{} requests: {first:#?}", first.len());
    bench.forget();
    let second = job(&bench).await;
    assert!(
        second.len() <= 40 + GUESTS / 50,
        "{} requests: {second:#?}",
        second.len()
    );
}
