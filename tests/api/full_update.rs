//! The full update and the sweep over HTTP.

use proxbox_api::netbox::standin::{Fault, FaultRule};
use proxbox_api::proxmox::mock::World;
use reqwest::StatusCode;
use serde_json::json;

use crate::world::{Trio, complete};

const SWEEP: &str = "/virtualization/virtual-machines/orphans/sweep";
const MACHINES: &str = "/api/virtualization/virtual-machines/";

#[tokio::test]
async fn full_update_fills_netbox_and_a_second_one_writes_nothing() {
    let trio = Trio::start().await;
    let frames = trio.stream("/full-update/stream").await;
    let end = complete(&frames);
    assert_eq!(end["ok"], true, "{end}");
    assert_eq!(frames[0].0, "bootstrap_done");
    assert_eq!(end["result"]["virtual_machines_count"], 12, "{end}");
    assert_eq!(trio.netbox.count(MACHINES), 12);
    assert!(trio.netbox.count("/api/virtualization/virtual-disks/") > 12);
    trio.netbox.clear_requests();
    let (status, result) = trio.app.get("/full-update").await;
    assert_eq!(
        (status, &result["devices_count"]),
        (StatusCode::OK, &json!(2)),
        "{result}"
    );
    assert_eq!(trio.netbox.writes(), [], "an unchanged estate writes nothing");
}

#[tokio::test]
async fn full_update_goes_on_after_a_stage_that_fails_and_says_so() {
    let trio = Trio::start().await;
    let storages = FaultRule::on("/api/plugins/proxbox/storage/", Fault::Status(400));
    trio.netbox.faults().add(storages);
    let end = complete(&trio.stream("/full-update/stream").await).clone();
    assert_eq!(end["ok"], false, "{end}");
    assert_eq!(
        trio.netbox.count(MACHINES),
        12,
        "the guests do not depend on the storages"
    );
}

#[tokio::test]
async fn sweep_marks_the_machine_of_a_guest_that_is_gone() {
    let trio = Trio::with(&[("PROXBOX_DELETE_ORPHANS", "true")], World::estate(2, 12)).await;
    assert_eq!(complete(&trio.stream("/full-update/stream").await)["ok"], true);
    trio.proxmox.world().change(|world| world.remove_guest(100)).unwrap();
    let scoped = format!("{SWEEP}?run_id=r1&proxmox_endpoint_ids={}", trio.endpoint);
    let (status, plan) = trio.app.get(&format!("{SWEEP}?run_id=r1&dry_run=true")).await;
    assert_eq!((status, &plan["candidates"]), (StatusCode::OK, &json!(1)), "{plan}");
    let (status, result) = trio.app.get(&scoped).await;
    assert_eq!(
        (status, &result["soft_deleted"]),
        (StatusCode::OK, &json!(1)),
        "{result}"
    );
    let marked = trio.netbox.rows(MACHINES);
    let marked = marked.iter().filter(|row| row["status"]["value"] == "decommissioning");
    assert_eq!(marked.count(), 1);
}

#[tokio::test]
async fn sweep_that_would_write_names_its_run_and_its_endpoints() {
    let trio = Trio::start().await;
    for (query, parameter) in [
        ("", "run_id"),
        ("?run_id=r1", "proxmox_endpoint_ids"),
        ("?run_id=r1&dry_run=perhaps", "dry_run"),
    ] {
        let (status, body) = trio.app.get(&format!("{SWEEP}{query}")).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{query}: {body}");
        assert!(body.to_string().contains(parameter), "{query}: {body}");
    }
}
