//! The stages of guests over HTTP: every route, for all guests, for some and for one.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops where an answer has another shape"
)]

use proxbox_api::netbox::standin::{Fault, FaultRule};
use proxbox_api::proxmox::mock::World;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::world::{Trio, complete};

const ROOT: &str = "/virtualization/virtual-machines";
const MACHINES: &str = "/api/virtualization/virtual-machines/";
const MACHINE_STATES: &str = "/api/plugins/proxbox/sync-state/virtual-machines/";

/// The route of each stage below [`ROOT`], and the stage's name.
const ROUTES: [(&str, &str); 7] = [
    ("create", "virtual-machines"),
    ("task-history/create", "task-history"),
    ("virtual-disks/create", "virtual-disks"),
    ("backups/all/create", "backups"),
    ("snapshots/all/create", "snapshots"),
    ("interfaces/create", "vm-interfaces"),
    ("interfaces/ip-address/create", "vm-ip-addresses"),
];

/// The streams of one virtual machine below [`ROOT`] and its number, and the name of their step.
const OF_ONE: [(&str, &str); 4] = [
    ("create/stream", "virtual-machine"),
    ("virtual-disks/create/stream", "virtual-disks"),
    ("backups/create/stream", "backups"),
    ("snapshots/create/stream", "snapshots"),
];

/// A cluster that is in NetBox with all its guests.
async fn filled() -> Trio {
    let trio = Trio::start().await;
    let frames = trio.stream("/full-update/stream").await;
    assert_eq!(complete(&frames)["ok"], true);
    trio.netbox.clear_requests();
    trio
}

/// Its whole row would come with all that is configured for it.
#[tokio::test]
async fn machine_is_looked_for_by_its_id_alone() {
    let trio = filled().await;
    let id = machine(&trio);
    let frames = trio.stream(&format!("{ROOT}/{id}/snapshots/create/stream")).await;
    assert_eq!(complete(&frames)["ok"], true);
    let first = trio
        .netbox
        .requests()
        .into_iter()
        .find(|request| request.path.starts_with(MACHINES));
    let first = first.map(|request| (request.path, request.query));
    let expected = (MACHINES.to_owned(), format!("id={id}&fields=id&limit=2"));
    assert_eq!(first, Some(expected));
}

/// The number of the virtual machine of guest 101, which has something of everything.
fn machine(trio: &Trio) -> u64 {
    let states = trio.netbox.rows(MACHINE_STATES);
    let state = states.iter().find(|row| row["proxmox_vm_id"] == 101).unwrap();
    state["virtual_machine"]["id"].as_u64().unwrap()
}

#[tokio::test]
async fn every_route_answers_the_same_as_a_stream_and_plainly_and_writes_nothing_without_a_change() {
    let trio = filled().await;
    for (route, stage) in ROUTES {
        let frames = trio.stream(&format!("{ROOT}/{route}/stream")).await;
        let first = &frames[0].1;
        assert_eq!((&first["step"], &first["status"]), (&json!(stage), &json!("started")));
        let end = complete(&frames);
        assert_eq!(end["ok"], true, "{route}: {end}");
        let count = end["result"]["count"].as_u64().unwrap();
        assert!(count > 0, "{route}: {end}");
        let (status, body) = trio.app.get(&format!("{ROOT}/{route}")).await;
        assert_eq!(status, StatusCode::OK, "{route}: {body}");
        let told = body
            .as_array()
            .map_or_else(|| body["count"].as_u64().unwrap(), |rows| rows.len() as u64);
        assert_eq!(told, count, "{route}");
    }
    assert_eq!(trio.netbox.writes(), []);
}

#[tokio::test]
async fn plain_answers_have_the_members_that_are_promised() {
    let trio = filled().await;
    for (route, members) in [
        ("create", &["id", "name", "operation", "url", "status", "cluster"][..]),
        (
            "backups/all/create",
            &[
                "id",
                "operation",
                "volume_id",
                "virtual_machine",
                "subtype",
                "creation_time",
            ],
        ),
        ("interfaces/create", &["id", "mac_address", "interface"]),
        ("interfaces/ip-address/create", &["ip_id", "address"]),
    ] {
        let (_, body) = trio.app.get(&format!("{ROOT}/{route}")).await;
        for member in members {
            assert!(!body[0][member].is_null(), "{route} lacks {member}: {}", body[0]);
        }
    }
    let (_, body) = trio.app.get(&format!("{ROOT}/interfaces/create")).await;
    let rows = trio.netbox.rows("/api/virtualization/interfaces/");
    for told in body.as_array().unwrap() {
        let row = rows.iter().find(|row| row["id"] == told["id"]).unwrap();
        assert_eq!(told["interface"], *row, "as NetBox has it");
    }
    let (_, body) = trio.app.get(&format!("{ROOT}/interfaces/ip-address/create")).await;
    let rows = trio.netbox.rows("/api/ipam/ip-addresses/");
    for told in body.as_array().unwrap() {
        let row = rows.iter().find(|row| row["id"] == told["ip_id"]).unwrap();
        assert_eq!(told["address"], row["address"], "with its mask");
    }
    for (route, members) in [
        ("task-history/create", &["count", "created", "skipped"][..]),
        ("virtual-disks/create", &["count", "created", "updated", "skipped"]),
        (
            "snapshots/all/create",
            &["count", "created", "updated", "skipped", "deleted"],
        ),
    ] {
        let (_, body) = trio.app.get(&format!("{ROOT}/{route}")).await;
        for member in members {
            assert!(body[member].is_u64(), "{route} lacks {member}: {body}");
        }
    }
}

#[tokio::test]
async fn routes_of_one_machine_are_about_that_one_alone() {
    let trio = filled().await;
    let id = machine(&trio);
    for (route, step) in OF_ONE {
        let frames = trio.stream(&format!("{ROOT}/{id}/{route}")).await;
        let end = complete(&frames);
        assert_eq!(
            (&frames[0].1["step"], &end["ok"]),
            (&json!(step), &json!(true)),
            "{route}: {end}"
        );
        if step != "backups" {
            assert_eq!(end["result"]["count"], 1, "{route}: {end}");
        }
    }
    let (status, body) = trio.app.get(&format!("{ROOT}/{id}/create")).await;
    assert_eq!(
        (status, body.as_array().map(Vec::len)),
        (StatusCode::OK, Some(1)),
        "{body}"
    );
    assert_eq!(body[0]["id"], id);
    for (route, stage) in ROUTES {
        let (status, body) = trio.app.get(&format!("{ROOT}/{route}?netbox_vm_ids={id},{id}")).await;
        assert_eq!(status, StatusCode::OK, "{route}: {body}");
        match (body.as_array(), stage) {
            (Some(rows), "vm-interfaces") => {
                assert!(!rows.is_empty() && rows.iter().all(|row| row["interface"]["virtual_machine"]["id"] == id));
            }
            (Some(rows), "virtual-machines") => assert_eq!((rows.len(), &rows[0]["id"]), (1, &json!(id))),
            (Some(rows), _) => assert!(!rows.is_empty(), "{route}"),
            (None, _) => assert_eq!(body["count"], 1, "{route}: {body}"),
        }
    }
    assert_eq!(trio.netbox.writes(), []);
}

#[tokio::test]
async fn machines_that_cannot_be_selected_are_refused_before_anything_is_streamed() {
    let trio = filled().await;
    let detail = json!({"detail": "netbox_vm_ids must be a comma-separated list of positive integers"});
    for (route, _) in ROUTES {
        for path in [format!("{ROOT}/{route}"), format!("{ROOT}/{route}/stream")] {
            for ids in ["", "0", "-3", "1,,2", "1,a", "1;2"] {
                let (status, body) = trio.app.get(&format!("{path}?netbox_vm_ids={ids}")).await;
                assert_eq!(
                    (status, &body),
                    (StatusCode::UNPROCESSABLE_ENTITY, &detail),
                    "{path} {ids:?}"
                );
            }
            let (status, body) = trio.app.get(&format!("{path}?netbox_vm_ids=9999")).await;
            assert_eq!(status, StatusCode::BAD_GATEWAY, "{path}: {body}");
        }
    }
    let detail = json!({"detail": "Virtual machine id=9999 was not found in NetBox."});
    for route in OF_ONE.map(|(route, _)| route).into_iter().chain(["create"]) {
        let (status, body) = trio.app.get(&format!("{ROOT}/9999/{route}")).await;
        assert_eq!((status, &body), (StatusCode::NOT_FOUND, &detail), "{route}");
    }
    assert_eq!(trio.netbox.writes(), []);
}

#[tokio::test]
async fn machine_of_no_guest_is_refused_by_its_own_routes_and_left_out_by_the_others() {
    let trio = filled().await;
    let by_hand = json!({"name": "by-hand", "cluster": trio.netbox.rows(MACHINES)[0]["cluster"]["id"]});
    let stranger = trio.netbox.seed(MACHINES, &by_hand).unwrap();
    for (route, _) in OF_ONE {
        let frames = trio.stream(&format!("{ROOT}/{stranger}/{route}")).await;
        let end = complete(&frames);
        assert_eq!(end["ok"], false, "{route}: {end}");
        let text = end["errors"][0]["detail"].as_str().unwrap();
        assert!(text.contains("Unable to resolve"), "{route}: {text}");
        assert!(
            frames
                .iter()
                .any(|(event, data)| event == "error" && data["error"] == text),
            "{route}"
        );
    }
    let (status, body) = trio.app.get(&format!("{ROOT}/{stranger}/create")).await;
    let message = "Unable to resolve explicitly selected VM ownership";
    assert_eq!(
        (status, &body["message"]),
        (StatusCode::BAD_GATEWAY, &json!(message)),
        "{body}"
    );
    let reason = body["detail"]["errors"][0].as_str().unwrap();
    assert!(reason.contains(&format!("virtual machine {stranger}")), "{reason}");
    for (route, _) in ROUTES {
        let (status, body) = trio.app.get(&format!("{ROOT}/{route}?netbox_vm_ids={stranger}")).await;
        assert_eq!(status, StatusCode::OK, "{route}: {body}");
        assert_eq!(
            (&body["warnings"][0]["netbox_vm_id"], &body["degraded"]),
            (&json!(stranger), &json!(true)),
            "{route}: {body}"
        );
    }
    assert_eq!(trio.netbox.writes(), []);
}

#[tokio::test]
async fn every_route_tells_in_a_dry_run_what_it_would_write_and_writes_nothing() {
    let trio = Trio::start().await;
    trio.stream("/dcim/devices/create/stream").await;
    let alone = "sync_vm_network=false&sync_task_history=false";
    trio.stream(&format!("{ROOT}/create/stream?{alone}")).await;
    trio.proxmox.world().change(|world| {
        for guest in world.guests.values_mut() {
            guest.memory_mib = 777;
        }
    });
    trio.stream("/dcim/devices/create/stream").await;
    trio.netbox.clear_requests();
    let planned = |result: &Value| -> usize {
        let plans = result["plan"].as_array().unwrap();
        let rows = |plan: &Value, key: &str| plan[key].as_array().unwrap().len();
        plans
            .iter()
            .map(|plan| rows(plan, "create") + rows(plan, "update"))
            .sum()
    };
    for (route, _) in ROUTES {
        let query = format!("dry_run=true&{alone}");
        let frames = trio.stream(&format!("{ROOT}/{route}/stream?{query}")).await;
        let result = &complete(&frames)["result"];
        let (_, body) = trio.app.get(&format!("{ROOT}/{route}?{query}")).await;
        for told in [result, &body] {
            assert_eq!(told["dry_run"], true, "{route}: {told}");
            assert!(planned(told) > 0, "{route}: {told}");
        }
    }
    assert_eq!(trio.netbox.writes(), []);
}

#[tokio::test]
async fn tasks_that_cannot_be_read_fail_the_plain_answer_of_virtual_machines_and_no_stream() {
    let trio = filled().await;
    trio.proxmox.faults().fail("/nodes/pve1/tasks", 500, "got timeout");
    trio.stream("/dcim/devices/create/stream").await;
    let frames = trio.stream(&format!("{ROOT}/create/stream")).await;
    let end = complete(&frames);
    assert_eq!(
        (&end["ok"], &end["result"]["degraded"]),
        (&json!(true), &json!(true)),
        "{end}"
    );
    trio.stream("/dcim/devices/create/stream").await;
    let (status, body) = trio.app.get(&format!("{ROOT}/create")).await;
    assert_eq!(
        (status, &body["detail"]["errors"]),
        (StatusCode::BAD_GATEWAY, &json!(1)),
        "{body}"
    );
    for member in ["reconciled", "skipped"] {
        assert!(body["detail"][member].as_u64().unwrap() > 0, "{body}");
    }
    trio.proxmox.faults().clear();
    let change = |world: &mut World| world.node("pve1").unwrap().online = false;
    trio.proxmox.world().change(change);
    trio.stream("/dcim/devices/create/stream").await;
    let (status, body) = trio.app.get(&format!("{ROOT}/create")).await;
    assert_eq!(
        (status, &body["degraded"]),
        (StatusCode::OK, &json!(true)),
        "a node that is offline fails nothing: {body}"
    );
    trio.proxmox.faults().fail("/nodes/pve2/tasks", 500, "got timeout");
    let (status, body) = trio.app.get(&format!("{ROOT}/create?sync_task_history=false")).await;
    assert_eq!(status, StatusCode::OK, "{body}");
}

#[tokio::test]
async fn backups_come_below_their_name_where_not_all_could_be_read() {
    let trio = filled().await;
    let path = "/nodes/*/storage/nas-backups/content";
    trio.proxmox.faults().fail(path, 500, "mount error");
    trio.stream("/dcim/devices/create/stream").await;
    let (status, body) = trio.app.get(&format!("{ROOT}/backups/all/create")).await;
    let rows = body["backups"].as_array().unwrap();
    assert!(
        !rows.is_empty() && rows.iter().all(|row| row["volume_id"].is_string()),
        "{body}"
    );
    assert_eq!(
        (status, &body["count"], &body["degraded"]),
        (StatusCode::OK, &json!(rows.len()), &json!(true))
    );
    assert!(!body["warnings"].as_array().unwrap().is_empty(), "{body}");
}

#[tokio::test]
async fn stage_that_cannot_read_machines_or_their_states_fails_for_all_to_see() {
    let trio = Trio::with(&[("PROXBOX_INVENTORY_TTL", "0")], World::estate(2, 12)).await;
    assert_eq!(complete(&trio.stream("/full-update/stream").await)["ok"], true);
    for path in [MACHINES, MACHINE_STATES] {
        trio.netbox
            .faults()
            .add(FaultRule::on(path, Fault::Status(403)).method("GET"));
        for route in ["task-history/create", "backups/all/create", "snapshots/all/create"] {
            let (status, body) = trio.app.get(&format!("{ROOT}/{route}")).await;
            assert_eq!(status, StatusCode::BAD_GATEWAY, "{path} {route}: {body}");
            let frames = trio.stream(&format!("{ROOT}/{route}/stream")).await;
            assert_eq!(complete(&frames)["ok"], false, "{path} {route}");
        }
        trio.netbox.faults().clear();
    }
}

#[tokio::test]
async fn stage_whose_path_netbox_does_not_have_is_a_failure_of_netbox_and_says_so() {
    let trio = Trio::with(&[("PROXBOX_INVENTORY_TTL", "0")], World::estate(2, 12)).await;
    assert_eq!(complete(&trio.stream("/full-update/stream").await)["ok"], true);
    let missing = FaultRule::on(MACHINE_STATES, Fault::Html(404)).method("GET");
    trio.netbox.faults().add(missing);
    for (route, _) in ROUTES {
        let (status, body) = trio.app.get(&format!("{ROOT}/{route}")).await;
        assert_eq!(status, StatusCode::BAD_GATEWAY, "{route}: {body}");
        let told = body["detail"].to_string();
        assert!(
            told.contains(MACHINE_STATES) && told.contains("not installed"),
            "{route}: {body}"
        );
    }
}
