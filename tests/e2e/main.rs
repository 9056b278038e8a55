//! The unmodified plugin on a real NetBox keeps it in step with a Proxmox, through the service.
//!
//! Needs `NETBOX_URL` and `NETBOX_TOKEN` of a NetBox whose database is for this test alone, and may use
//! `NETBOX_ACCESS_LOG`; the README says how to get one.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::cognitive_complexity,
    clippy::print_stdout,
    clippy::too_many_lines,
    reason = "a test stops where something is not as it should be, and is told by its environment where NetBox is"
)]

mod changes;
mod guests;
mod infrastructure;
mod netbox;
mod networks;
mod service;
mod state;

use netbox::{Job, NetBox};
use proxbox_api::proxmox::mock::TOKEN_SECRET;
use serde_json::json;
use service::{Service, proxmox};

/// The job must have completed.
fn assert_completed(job: &Job) {
    assert_eq!(job.status, "completed", "{:#?}", job.log);
}

/// Runs `types` twice; the second run must write nothing.
async fn sync_twice(netbox: &NetBox, types: &[&str]) -> (Job, Job) {
    let start = netbox.mark();
    let first = netbox.sync(types).await;
    assert_completed(&first);
    let mark = netbox.mark();
    assert!(
        mark == start || !netbox.writes_since(start).is_empty(),
        "the access log does not tell what the first run wrote"
    );
    let second = netbox.sync(types).await;
    assert_completed(&second);
    let writes = netbox.writes_since(mark);
    assert!(
        writes.is_empty(),
        "the second run over an unchanged estate wrote: {writes:#?}"
    );
    println!("{types:?}: first run {}, second run {}", first.took, second.took);
    (first, second)
}

#[tokio::test(flavor = "multi_thread")]
async fn plugin_keeps_netbox_in_step() {
    let netbox = NetBox::from_environment();
    let (proxmox, service) = (proxmox().await, Service::start().await);
    netbox
        .set_up(service.port, proxmox.address().port(), ("netbox", TOKEN_SECRET))
        .await;

    sync_twice(&netbox, &["devices", "storage"]).await;
    infrastructure::assert_devices(&netbox).await;
    infrastructure::assert_storages(&netbox).await;

    sync_twice(&netbox, &["all"]).await;
    guests::assert_machine(&netbox).await;
    guests::assert_container(&netbox).await;
    guests::assert_names(&netbox).await;

    netbox.set(&json!({"sync_mode_sdn": "always"})).await;
    sync_twice(&netbox, &["sdn"]).await;
    networks::assert_networks(&netbox).await;

    changes::assert_changes(&netbox, &proxmox).await;
    changes::assert_dead_node(&netbox, &proxmox, &service).await;
}
