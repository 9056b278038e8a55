//! Stage `snapshots`.

use proxbox_api::netbox::standin::{Fault, FaultRule};
use proxbox_api::proxmox::mock::World;
use proxbox_api::proxmox::mock::world::Snapshot;
use proxbox_api::stages::Stage;
use serde_json::json;

use crate::clusters::{Estate, alpha, rows_where};

const SNAPSHOTS: &str = "/api/plugins/proxbox/snapshots/";

/// Two clusters with the same nodes, guests and snapshots. Snapshots that are gone are deleted, however many.
async fn twins() -> Estate {
    let mut twin = World::estate(3, 12);
    twin.cluster = Some("twin".to_owned());
    prepared(vec![World::estate(3, 12), twin]).await
}

async fn bench() -> Estate {
    prepared(vec![World::estate(3, 12)]).await
}

async fn prepared(worlds: Vec<World>) -> Estate {
    let mut bench = Estate::start(worlds).await;
    for index in 0..bench.clusters.len() {
        bench.add_machines(index);
    }
    bench.request.options.guests.delete_missing_snapshots = true;
    bench.request.allow_shrink = true;
    bench
}

fn snapshots(bench: &Estate) -> usize {
    let world = bench.clusters[0].proxmox.world();
    world.read(|world| world.guests.values().map(|guest| guest.snapshots.len()).sum())
}

/// A guest with three snapshots.
const RICH: u32 = 101;

fn of(bench: &Estate, vmid: u32) -> Vec<(String, String)> {
    let rows = rows_where(bench, SNAPSHOTS, "vmid", &json!(vmid));
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let mut told: Vec<_> = rows
        .iter()
        .map(|row| (text(&row["name"]), text(&row["node"])))
        .collect();
    told.sort();
    told
}

#[tokio::test]
async fn every_snapshot_gets_a_row_and_a_second_run_writes_nothing() {
    let bench = bench().await;
    let report = bench.run(Stage::Snapshots).await;
    let expected = snapshots(&bench);
    assert_eq!(
        (report.counts().created, bench.netbox.count(SNAPSHOTS)),
        (expected, expected)
    );
    assert_eq!((report.counts().failed, report.counts().skipped), (0, 0));
    assert_eq!(bench.writes(Stage::Snapshots).await, []);
    let reads = bench
        .netbox
        .requests()
        .iter()
        .filter(|request| request.path == SNAPSHOTS)
        .count();
    assert_eq!(reads, 1);
}

#[tokio::test]
async fn guest_that_moved_takes_its_rows_along_and_one_gone_is_deleted() {
    let bench = bench().await;
    bench.run(Stage::Snapshots).await;
    let before = of(&bench, RICH);
    let target = if before[0].1 == "pve1" { "pve2" } else { "pve1" };
    let world = bench.clusters[0].proxmox.world();
    let gone = world.change(|world| {
        world.migrate(RICH, target);
        world.guest(RICH).unwrap().snapshots.pop().unwrap().name
    });
    let report = bench.run(Stage::Snapshots).await;
    assert_eq!((report.counts().created, report.counts().deleted), (0, 1));
    let mut expected: Vec<_> = before.into_iter().map(|(name, _)| (name, target.to_owned())).collect();
    expected.retain(|(name, _)| *name != gone);
    assert_eq!(of(&bench, RICH), expected);
}

/// Of few rows of one virtual machine many may go where the endpoint has many.
#[tokio::test]
async fn guard_of_a_run_for_one_virtual_machine_takes_its_share_of_the_endpoints_rows() {
    let mut bench = twins().await;
    bench.request.allow_shrink = false;
    let take = |vmid: u32, count: usize| {
        let world = bench.clusters[0].proxmox.world();
        world.change(|world| {
            let snapshots = &mut world.guest(vmid).unwrap().snapshots;
            let snapshot = |number| Snapshot {
                name: format!("night-{number}"),
                description: String::new(),
                snaptime: 1_739_264_400,
                parent: None,
                vmstate: false,
            };
            *snapshots = (0..count).map(snapshot).collect();
        });
    };
    take(RICH, 12);
    take(102, 40);
    bench.run_for(0, Stage::Snapshots).await;
    take(RICH, 1);
    let report = bench.try_run(Stage::Snapshots, bench.only(bench.machine(RICH))).await;
    let own = &report.endpoints[0];
    assert_eq!((&own.error, own.counts.deleted), (&None, 11));
    assert_eq!(of(&bench, RICH).len(), 1);
}

#[tokio::test]
async fn guest_that_cannot_be_read_keeps_its_rows_and_the_others_go_on() {
    let bench = bench().await;
    bench.run(Stage::Snapshots).await;
    let world = bench.clusters[0].proxmox.world();
    world.change(|world| world.guests.values_mut().for_each(|guest| guest.snapshots.clear()));
    let faults = bench.clusters[0].proxmox.faults();
    faults.fail(&format!("/nodes/*/*/{RICH}/snapshot"), 500, "got timeout");
    let report = bench.run(Stage::Snapshots).await;
    assert_eq!(
        (report.counts().skipped, report.result()["degraded"].clone()),
        (1, json!(true))
    );
    let left = of(&bench, RICH).len();
    assert!(left > 0);
    assert_eq!(bench.netbox.count(SNAPSHOTS), left);
}

#[tokio::test]
async fn offline_node_loses_no_row() {
    let bench = bench().await;
    bench.run(Stage::Snapshots).await;
    let before = bench.netbox.fingerprint();
    bench.clusters[0].proxmox.faults().node_down("pve1");
    bench.look_around().await;
    bench.run(Stage::Snapshots).await;
    assert_eq!(bench.netbox.fingerprint(), before);
}

#[tokio::test]
async fn two_clusters_with_equal_guests_never_take_each_others_rows() {
    let bench = twins().await;
    let report = bench.run(Stage::Snapshots).await;
    let expected = snapshots(&bench);
    assert_eq!((report.counts().created, report.counts().failed), (expected, expected));
    assert_eq!(report.result()["degraded"], json!(true));
    assert_eq!(bench.writes(Stage::Snapshots).await, []);
    let world = bench.clusters[1].proxmox.world();
    world.change(|world| world.guests.values_mut().for_each(|guest| guest.snapshots.clear()));
    assert_eq!(
        bench.writes(Stage::Snapshots).await,
        [],
        "the rows are the first cluster's"
    );
}

#[tokio::test]
async fn row_that_netbox_refuses_is_named_and_the_rest_is_written() {
    let bench = bench().await;
    let world = bench.clusters[0].proxmox.world();
    let guest = world.read(|world| world.guests[&RICH].clone());
    let invisible = json!({
        "virtual_machine": bench.machine(100), "vmid": RICH, "name": guest.snapshots[0].name, "node": guest.node,
        "subtype": "qemu", "status": "active",
    });
    let id = bench.netbox.seed(SNAPSHOTS, &invisible).unwrap();
    bench.netbox.hide(SNAPSHOTS, id);
    let report = bench.run(Stage::Snapshots).await;
    assert_eq!(
        (report.counts().failed, report.counts().created),
        (1, snapshots(&bench) - 1)
    );
    let warnings = report.result()["warnings"].to_string();
    assert!(
        warnings.contains(&guest.snapshots[0].name) && warnings.contains("already exists"),
        "{warnings}"
    );
}

#[tokio::test]
async fn answer_that_is_lost_deletes_nothing_that_was_written_before() {
    let bench = bench().await;
    bench.run(Stage::Snapshots).await;
    let row = &rows_where(&bench, SNAPSHOTS, "vmid", &json!(RICH))[0];
    bench.netbox.remove(SNAPSHOTS, row["id"].as_u64().unwrap()).unwrap();
    bench
        .netbox
        .faults()
        .add(FaultRule::on(SNAPSHOTS, Fault::LoseAnswer).method("POST").only(1));
    let report = bench.run(Stage::Snapshots).await;
    assert_eq!((report.counts().created, report.counts().deleted), (1, 0));
    assert_eq!(bench.netbox.count(SNAPSHOTS), snapshots(&bench));
}

#[tokio::test]
async fn one_virtual_machine_is_served_alone_and_an_unknown_one_is_refused() {
    let bench = bench().await;
    bench.try_run(Stage::Snapshots, bench.only(bench.machine(RICH))).await;
    assert_eq!(bench.netbox.count(SNAPSHOTS), of(&bench, RICH).len());
    assert!(bench.netbox.count(SNAPSHOTS) > 0);
    let mut strict = bench.only(9_999);
    strict.options.guests.is_strict = true;
    let errors = bench.try_run(Stage::Snapshots, strict).await.errors();
    assert!(
        errors.len() == 1 && errors[0].contains("Unable to resolve"),
        "{errors:?}"
    );
}

#[tokio::test]
async fn snapshots_of_a_guest_that_moved_are_kept_word_for_word_without_a_double() {
    let taken = |name: &str, description: &str, snaptime, parent: Option<&str>| Snapshot {
        name: name.to_owned(),
        description: description.to_owned(),
        snaptime,
        parent: parent.map(str::to_owned),
        vmstate: false,
    };
    let mut world = alpha();
    world.guest(204).unwrap().snapshots = vec![
        taken("pre-upgrade", "before 9.1\n", 1_739_268_864, None),
        taken("post-upgrade", "", 1_739_272_464, Some("pre-upgrade")),
    ];
    let bench = prepared(vec![world]).await;
    let seed = |name: &str| {
        let row = json!({
            "virtual_machine": bench.machine(204), "vmid": 204, "name": name, "node": "a1", "subtype": "qemu",
            "status": "active"
        });
        bench.netbox.seed(SNAPSHOTS, &row).unwrap()
    };
    let moved = seed("pre-upgrade");
    seed("old");
    let result = bench.run(Stage::Snapshots).await.result();
    let told = ["count", "created", "updated", "skipped", "deleted"].map(|key| result[key].clone());
    assert_eq!(told, [1, 1, 1, 0, 1].map(|count| json!(count)), "{result}");
    let rows = bench.netbox.rows(SNAPSHOTS);
    assert_eq!((rows.len(), &rows[0]["id"]), (2, &json!(moved)));
    for (row, name, description, at, parent) in [
        (
            &rows[0],
            "pre-upgrade",
            "before 9.1",
            "2025-02-11T10:14:24Z",
            json!(null),
        ),
        (
            &rows[1],
            "post-upgrade",
            "",
            "2025-02-11T11:14:24Z",
            json!("pre-upgrade"),
        ),
    ] {
        let expected = json!({
            "vmid": 204, "name": name, "node": "a2", "description": description, "snaptime": at, "parent": parent,
            "proxmox_storage": null
        });
        assert_eq!(row["virtual_machine"]["id"], json!(bench.machine(204)), "{name}");
        for (field, value) in expected.as_object().unwrap() {
            assert_eq!(&row[field], value, "{name}: {field}");
        }
        let choices = ["subtype", "status"].map(|field| row[field]["value"].clone());
        assert_eq!(choices, [json!("qemu"), json!("active")]);
    }
}

#[tokio::test]
async fn rows_of_others_stay_whose_they_are_however_netbox_rejects() {
    for fault in [
        None,
        Some(Fault::Status(400)),
        Some(Fault::Status(409)),
        Some(Fault::Status(500)),
        Some(Fault::Html(502)),
        Some(Fault::LoseAnswer),
    ] {
        let bench = twins().await;
        bench.run_for(0, Stage::Snapshots).await;
        let whose = || -> Vec<_> {
            let rows = bench.netbox.rows(SNAPSHOTS).into_iter();
            rows.map(|row| {
                json!([
                    row["id"],
                    row["virtual_machine"]["id"],
                    row["vmid"],
                    row["name"],
                    row["node"]
                ])
            })
            .collect()
        };
        let before = whose();
        // As if the first cluster's rows had come just after the second one looked.
        let late = FaultRule::on(SNAPSHOTS, Fault::Unseen).method("GET").only(1);
        bench.netbox.faults().add(late);
        let case = format!("{fault:?}");
        if let Some(fault) = fault {
            bench
                .netbox
                .faults()
                .add(FaultRule::on(SNAPSHOTS, fault).method("POST").only(1));
        }
        let counts = bench.run_for(1, Stage::Snapshots).await.counts();
        assert_eq!((counts.created, counts.updated, counts.deleted), (0, 0, 0), "{case}");
        assert!(counts.failed > 0, "{case}");
        assert_eq!(whose(), before, "{case}");
    }
}
