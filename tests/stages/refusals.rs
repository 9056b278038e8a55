//! Batches that NetBox does not take: what is read again, what is halved, and how large they are.

use std::collections::BTreeSet;
use std::time::Duration;

use proxbox_api::netbox::standin::{Fault, FaultRule, Release, StandinOptions};
use proxbox_api::proxmox::mock::world::Task;
use proxbox_api::proxmox::mock::{Fault as ProxmoxFault, World};
use proxbox_api::stages::Stage;
use proxbox_api::sync::SyncRequest;
use serde_json::json;

use crate::harness::{Bench, MACHINE_STATES, MACHINES, tags, until, warnings};

const CLOUD_INITS: &str = "plugins/proxbox/vm-cloudinit";
const DISKS: &str = "virtualization/virtual-disks";
const DISK_STATES: &str = "plugins/proxbox/sync-state/virtual-disks";
const INTERFACE_STATES: &str = "plugins/proxbox/sync-state/vm-interfaces";
const DEVICE_STATES: &str = "plugins/proxbox/sync-state/devices";
const CLUSTER_STATES: &str = "plugins/proxbox/sync-state/clusters";
const TASKS: &str = "plugins/proxbox/task-history";
const MACS: &str = "dcim/mac-addresses";
const BACKUPS: &str = "plugins/proxbox/backups";
const JOURNAL: &str = "extras/journal-entries";

async fn filled() -> Bench {
    let bench = Bench::with(World::estate(2, 24), StandinOptions::default()).await;
    for stage in [
        Stage::Devices,
        Stage::Storage,
        Stage::VirtualMachines,
        Stage::VirtualDisks,
        Stage::VmInterfaces,
    ] {
        bench.stage(stage).await;
    }
    bench.take_writes();
    bench
}

/// The same with every guest's memory changed since, and a service that was started anew.
async fn grown() -> Bench {
    let mut bench = filled().await;
    bench.proxmox.world().change(|world| {
        for guest in world.guests.values_mut() {
            guest.memory_mib += 1;
        }
    });
    bench.restart(true);
    bench.netbox.clear_requests();
    bench
}

/// The sizes of the requests that made rows at `path`.
fn made(bench: &Bench, path: &str) -> Vec<usize> {
    let writes = bench.netbox.writes().into_iter();
    let own = writes.filter(|write| write.method == "POST" && write.path.contains(path));
    own.map(|write| write.rows).collect()
}

/// Another client makes the rows just after we have looked: NetBox refuses the batch with 409 or 500 and names none.
#[tokio::test]
async fn rows_that_came_just_after_the_look_are_found_by_a_second_one() {
    let bench = filled().await;
    let before = bench.netbox.fingerprint();
    for (stage, path, looks) in [
        (Stage::Devices, CLUSTER_STATES, 1),
        // By the cluster's name, and by the devices that were found by theirs.
        (Stage::Devices, DEVICE_STATES, 2),
        (Stage::VirtualMachines, MACHINE_STATES, 1),
        (Stage::VirtualMachines, CLOUD_INITS, 1),
        (Stage::VirtualDisks, DISK_STATES, 1),
        (Stage::VmInterfaces, INTERFACE_STATES, 1),
    ] {
        bench.forget();
        for look in 1..=looks {
            let late = FaultRule::on(path, Fault::Unseen).method("GET").only(look);
            bench.netbox.faults().add(late);
        }
        let report = bench.stage(stage).await;
        let writes = bench.take_writes();
        let is_refused = |write: &String| write.contains(path) && (write.ends_with("409") || write.ends_with("500"));
        assert!(writes.iter().any(is_refused), "{path}: {writes:?}");
        assert_eq!(
            (report.counts().failed, warnings(&report)),
            (0, String::new()),
            "{path}"
        );
        assert_eq!(bench.netbox.fingerprint(), before, "{path}");
        bench.netbox.faults().clear();
    }
}

/// The same where NetBox names the rows that exist already, among others that it would take.
#[tokio::test]
async fn rows_refused_by_name_as_duplicates_are_found_by_a_second_look() {
    let bench = filled().await;
    let before = bench.netbox.fingerprint();
    for (stage, path) in [
        (Stage::Devices, "extras/tags"),
        (Stage::Devices, "virtualization/cluster-types"),
        (Stage::Devices, "dcim/manufacturers"),
        (Stage::Devices, "dcim/device-types"),
        (Stage::Devices, "dcim/device-roles"),
        (Stage::VirtualDisks, DISKS),
    ] {
        bench.forget();
        let late = FaultRule::on(path, Fault::Unseen).method("GET").only(1);
        bench.netbox.faults().add(late);
        let report = bench.stage(stage).await;
        let writes = bench.take_writes();
        let is_refused = |write: &String| write.contains(path) && write.ends_with("400");
        assert!(
            !writes.is_empty() && writes.iter().all(is_refused),
            "{path}: {writes:?}"
        );
        assert_eq!(
            (report.counts().created, report.counts().failed, warnings(&report)),
            (0, 0, String::new()),
            "{path}"
        );
        assert_eq!(bench.netbox.fingerprint(), before, "{path}");
        bench.netbox.faults().clear();
    }
}

#[tokio::test]
async fn rows_beside_duplicates_are_made_and_counted_alone() {
    let bench = filled().await;
    let rows = bench.netbox.rows(DISKS);
    let gone = rows[0]["id"].as_u64().unwrap();
    bench.netbox.remove(DISKS, gone).unwrap();
    bench.forget();
    let late = FaultRule::on(DISKS, Fault::Unseen).method("GET").only(1);
    bench.netbox.faults().add(late);
    let report = bench.stage(Stage::VirtualDisks).await;
    assert_eq!(
        (report.counts().created, report.counts().failed, warnings(&report)),
        (1, 0, String::new())
    );
    assert_eq!(bench.netbox.count(DISKS), rows.len());
}

/// NetBox goes on with a request that has got no answer: its rows come after they were looked for, and before they are sent
/// again.
#[tokio::test]
async fn rows_of_a_request_without_answer_that_come_late_are_found_by_a_third_look() {
    let bench = filled().await;
    for (stage, path, refusal) in [
        (Stage::VirtualDisks, DISK_STATES, "409"),
        (Stage::VirtualMachines, CLOUD_INITS, "500"),
        (Stage::VirtualDisks, DISKS, "400"),
    ] {
        let rows = bench.netbox.rows(path);
        for row in &rows {
            bench.netbox.remove(path, row["id"].as_u64().unwrap()).unwrap();
        }
        bench.forget();
        bench.take_writes();
        let faults = bench.netbox.faults();
        faults.add(FaultRule::on(path, Fault::LoseAnswer).method("POST").only(1));
        faults.add(FaultRule::on(path, Fault::Unseen).method("GET").only(2));
        let report = bench.stage(stage).await;
        let writes = bench.take_writes();
        let is_refused = |write: &String| write.contains(path) && write.ends_with(refusal);
        assert!(writes.iter().any(is_refused), "{path}: {writes:?}");
        assert_eq!(
            (report.counts().failed, warnings(&report)),
            (0, String::new()),
            "{path}: {writes:?}"
        );
        assert_eq!(bench.netbox.count(path), rows.len(), "{path}");
        faults.clear();
    }
}

/// The same where NetBox takes a row twice. Before the look after the request nothing is read of rows that hang on new ones.
#[tokio::test]
async fn rows_that_netbox_takes_twice_are_waited_for_before_they_are_sent_again() {
    for fault in [Fault::LoseAnswer, Fault::Html(504)] {
        let bench = Bench::with(World::estate(2, 24), StandinOptions::default()).await;
        for stage in [Stage::Devices, Stage::VirtualMachines] {
            bench.stage(stage).await;
        }
        let faults = bench.netbox.faults();
        faults.add(FaultRule::on(MACS, fault.clone()).method("POST").only(1));
        faults.add(FaultRule {
            times: Some(2),
            ..FaultRule::on(MACS, Fault::Unseen).method("GET")
        });
        let report = bench.stage(Stage::VmInterfaces).await;
        assert_eq!(
            (report.counts().failed, warnings(&report)),
            (0, String::new()),
            "{fault:?}"
        );
        let rows = bench.netbox.rows(MACS);
        let keys = rows
            .iter()
            .map(|row| format!("{} {}", row["mac_address"], row["assigned_object_id"]));
        let distinct: BTreeSet<String> = keys.collect();
        assert_eq!((distinct.len(), rows.is_empty()), (rows.len(), false), "{fault:?}");
    }
}

/// A limit of requests in front of NetBox refuses at once: nothing is under way.
#[tokio::test]
async fn rows_of_a_request_that_was_answered_are_looked_for_less_often() {
    let mut looks = Vec::new();
    for status in [503, 504] {
        let bench = Bench::with(World::estate(2, 24), StandinOptions::default()).await;
        for stage in [Stage::Devices, Stage::VirtualMachines] {
            bench.stage(stage).await;
        }
        let refusal = FaultRule::on(MACS, Fault::Html(status)).method("POST").only(1);
        bench.netbox.faults().add(refusal);
        let report = bench.stage(Stage::VmInterfaces).await;
        assert_eq!((report.counts().failed, warnings(&report)), (0, String::new()));
        let asked = bench.netbox.requests().into_iter();
        let asked = asked.filter(|request| request.method == "GET" && request.path.contains(MACS));
        looks.push(asked.count());
    }
    assert!(1 < looks[0] && looks[0] < looks[1], "{looks:?}");
}

/// An estate with backups for several requests, of which NetBox has none.
async fn with_backups() -> Bench {
    let bench = Bench::with(World::estate(2, 120), StandinOptions::default()).await;
    for stage in [Stage::Devices, Stage::Storage, Stage::VirtualMachines] {
        bench.stage(stage).await;
    }
    // Nothing is read of what hangs on machines that were just made.
    bench.forget();
    bench.netbox.clear_requests();
    bench
}

/// What was written stands all the same, and has its entries in the journal.
#[tokio::test]
async fn rows_that_cannot_be_read_again_cost_no_other() {
    let bench = with_backups().await;
    let faults = bench.netbox.faults();
    faults.add(FaultRule::on(BACKUPS, Fault::LoseAnswer).method("POST").only(1));
    faults.add(FaultRule::on(BACKUPS, Fault::Status(500)).method("GET").after(1));
    let report = bench.stage(Stage::Backups).await;
    let (counts, told) = (report.counts(), warnings(&report));
    assert!(counts.created > 0 && counts.failed > 0, "{counts:?}");
    assert!(told.contains("its fate is unknown"), "{told}");
    assert_eq!(told.lines().count(), counts.failed, "{told}");
    assert_eq!(bench.netbox.count(JOURNAL), counts.created);
    assert_eq!(bench.netbox.count(BACKUPS), counts.created + counts.failed);
}

#[tokio::test]
async fn run_that_is_asked_to_stop_while_it_looks_again_tells_what_it_has_written() {
    let bench = with_backups().await;
    let faults = bench.netbox.faults();
    faults.add(FaultRule::on(BACKUPS, Fault::LoseAnswer).method("POST").only(1));
    faults.add(FaultRule::on(BACKUPS, Fault::Hang).method("GET").after(1));
    let is_asked = || {
        let mut asked = bench.netbox.requests().into_iter();
        asked.any(|request| request.path.contains(BACKUPS) && request.method == "GET" && request.status == 0)
    };
    let stop = async {
        until(is_asked).await;
        bench.stop_runs();
    };
    let (report, ()) = tokio::join!(bench.job(Stage::Backups, SyncRequest::default()), stop);
    assert!(report.is_cancelled());
    let counts = report.into_stage().unwrap().counts();
    assert!(counts.created > 0 && counts.skipped > 0, "{counts:?}");
    assert_eq!((bench.netbox.count(JOURNAL), counts.failed), (counts.created, 0));
}

/// A permission hides a row, which is in the way all the same.
#[tokio::test]
async fn duplicate_that_the_second_look_does_not_show_has_failed() {
    let bench = filled().await;
    let hidden = bench.netbox.rows(DISKS).remove(0);
    bench.netbox.hide(DISKS, hidden["id"].as_u64().unwrap());
    bench.forget();
    let report = bench.stage(Stage::VirtualDisks).await;
    let told = warnings(&report);
    assert_eq!(report.counts().failed, 1, "{told}");
    assert!(
        told.contains(hidden["name"].as_str().unwrap()) && told.contains("already exists"),
        "{told}"
    );
    assert_eq!(made(&bench, DISKS).len(), 2);
}

#[tokio::test]
async fn rows_found_by_the_second_look_are_brought_up_to_date() {
    let bench = filled().await;
    bench.proxmox.world().change(|world| {
        let mut guests = world.guests.values_mut();
        let guest = guests.find(|guest| guest.config.text("ciuser").is_some()).unwrap();
        guest.config.set("ciuser", "newcomer");
    });
    bench.forget();
    let late = FaultRule::on(CLOUD_INITS, Fault::Unseen).method("GET").only(1);
    bench.netbox.faults().add(late);
    bench.stage(Stage::VirtualMachines).await;
    let rows = bench.netbox.rows(CLOUD_INITS);
    let users: Vec<_> = rows.iter().filter(|row| row["ciuser"] == "newcomer").collect();
    assert_eq!(users.len(), 1, "{rows:#?}");
}

/// A permission hides one row, which is in the way all the same and named in no refusal.
#[tokio::test]
async fn batch_that_stays_refused_is_halved_until_the_odd_row_is_alone() {
    let bench = filled().await;
    let rows = bench.netbox.rows(DISK_STATES);
    let (hidden, others) = rows.split_last().unwrap();
    let id = |row: &serde_json::Value| row["id"].as_u64().unwrap();
    for row in others {
        bench.netbox.remove(DISK_STATES, id(row)).unwrap();
    }
    bench.netbox.hide(DISK_STATES, id(hidden));
    bench.forget();
    let report = bench.stage(Stage::VirtualDisks).await;
    assert_eq!(bench.netbox.count(DISK_STATES), rows.len());
    let disks = bench.netbox.rows(DISKS);
    let disk = disks
        .iter()
        .find(|disk| disk["id"] == hidden["virtual_disk"]["id"])
        .unwrap();
    let told = warnings(&report);
    let is_named =
        told.contains(disk["name"].as_str().unwrap()) && told.contains("already has a Proxbox sync-state row");
    assert!(is_named && told.lines().count() == 1, "{told}");
    let sizes = made(&bench, DISK_STATES);
    assert!(sizes.len() <= 2 + 2 * 7, "halved, not one by one: {sizes:?}");
}

#[tokio::test]
async fn batches_that_take_too_long_are_halved_until_they_pass() {
    let mut bench = filled().await;
    bench.hurry(Duration::from_millis(700));
    let slow = FaultRule::on(TASKS, Fault::Hang).method("POST").larger_than(20);
    bench.netbox.faults().add(slow);
    let report = bench.stage(Stage::TaskHistory).await;
    assert_eq!((report.counts().failed, warnings(&report)), (0, String::new()));
    assert_eq!(report.counts().created, bench.netbox.count(TASKS));
    let sizes = made(&bench, TASKS);
    // What hangs is told without its rows.
    let (hung, taken): (Vec<usize>, Vec<usize>) = sizes.into_iter().partition(|size| *size == 0);
    assert!(
        !hung.is_empty() && taken.iter().all(|size| *size <= 20),
        "{hung:?} {taken:?}"
    );
}

/// The client sends again what fails, as it does by default.
#[tokio::test]
async fn changes_that_a_gateway_gives_up_are_halved_at_once() {
    let bench = filled().await;
    bench.proxmox.world().change(|world| {
        for guest in world.guests.values_mut() {
            guest.memory_mib += 1;
        }
    });
    bench.forget();
    let slow = FaultRule::on(MACHINES, Fault::Html(504)).method("PATCH").larger_than(5);
    bench.netbox.faults().add(slow);
    let report = bench.stage(Stage::VirtualMachines).await;
    assert_eq!((report.counts().updated, report.counts().failed), (24, 0));
    let writes = bench.netbox.writes().into_iter();
    let changes = writes.filter(|write| write.method == "PATCH" && write.path.contains(MACHINES));
    let (given_up, taken): (Vec<_>, Vec<_>) = changes.partition(|write| write.status == 504);
    assert!(given_up.len() <= 6 && taken.len() <= 8, "{given_up:?} {taken:?}");
}

#[tokio::test]
async fn batches_begin_with_a_hundred_rows_and_grow_while_answers_are_quick() {
    let mut world = World::estate(2, 4);
    let finished = |number: u32| Task {
        node: "pve1".into(),
        pid: number,
        pstart: number,
        starts: world.now - 1_000_000 + i64::from(number),
        ends: Some(world.now - 1_000_000 + i64::from(number)),
        kind: "qmstart".into(),
        id: "100".into(),
        user: "root@pam".into(),
        outcome: "OK".into(),
    };
    world.tasks = (0..2_000).map(finished).collect();
    let bench = Bench::with(world, StandinOptions::default()).await;
    bench.stage(Stage::Devices).await;
    bench.stage(Stage::VirtualMachines).await;
    bench.forget();
    bench.take_writes();
    bench.stage(Stage::TaskHistory).await;
    let sizes = made(&bench, TASKS);
    assert_eq!(sizes.iter().sum::<usize>(), 2_000);
    assert_eq!(sizes[0], 100, "{sizes:?}");
    // Four are under way at once, and one may overtake the others.
    let mut grown = sizes.clone();
    grown.sort_unstable();
    let mut places = sizes.iter().enumerate();
    let is_growing = places.all(|(place, size)| size + 1 >= grown[place.saturating_sub(4)]);
    assert!(is_growing && grown.last() >= Some(&180), "{sizes:?}");
    assert!(sizes.iter().all(|size| *size <= 200), "{sizes:?}");
}

/// A right may hold for some rows only. Before 4.7 NetBox does not say which of them it refuses for that.
#[tokio::test]
async fn row_that_a_right_does_not_hold_for_loses_no_other() {
    for release in [Release::V4_5, Release::V4_6, Release::V4_7] {
        let options = StandinOptions {
            release,
            ..StandinOptions::default()
        };
        let bench = Bench::with(World::estate(2, 24), options).await;
        bench.stage(Stage::Devices).await;
        let denied = bench.proxmox.world().read(|world| world.guests[&105].name.clone());
        bench.netbox.faults().deny_row(MACHINES, &denied);
        let report = bench.stage(Stage::VirtualMachines).await;
        assert_eq!(
            (report.counts().created, report.counts().failed),
            (23, 1),
            "{release:?}"
        );
        let told = warnings(&report);
        assert!(
            told.contains(&denied) && told.contains("permission"),
            "{release:?}: {told}"
        );
    }
}

/// The same answer, for every row: the right is missing.
#[tokio::test]
async fn right_that_is_missing_is_not_looked_for_in_every_row() {
    let bench = grown().await;
    let denied = FaultRule::on(MACHINES, Fault::Status(403)).method("PATCH");
    bench.netbox.faults().add(denied);
    let report = bench.stage(Stage::VirtualMachines).await;
    assert_eq!(report.counts().failed, 24);
    let writes = bench.netbox.writes().into_iter();
    let changes = writes.filter(|write| write.method == "PATCH" && write.path.contains(MACHINES));
    // 24, 12, 6, 3, 1; 2, 1, 1.
    let changes = changes.count();
    assert!(changes <= 8, "{changes} requests for 24 rows");
}

/// NetBox still reads, and answers no change at all.
#[tokio::test]
async fn changes_that_get_no_answer_whatever_their_number_are_given_up() {
    for fault in [Fault::Html(504), Fault::Reset] {
        let bench = grown().await;
        let never = FaultRule::on(MACHINES, fault.clone()).method("PATCH");
        bench.netbox.faults().add(never);
        let report = bench.job(Stage::VirtualMachines, SyncRequest::default()).await;
        let report = report.into_stage().unwrap();
        let writes = bench.netbox.writes().into_iter();
        let changes = writes.filter(|write| write.method == "PATCH" && write.path.contains(MACHINES));
        let changes = changes.count();
        assert!(changes <= 5 + 4, "{fault:?}: {changes} requests for 24 rows");
        assert!(
            report.counts().failed >= 24 || !report.errors().is_empty(),
            "{fault:?}: {report:?}"
        );
    }
}

/// One row alone is in the way, and the others are written.
#[tokio::test]
async fn row_that_gets_no_answer_loses_no_other() {
    let bench = grown().await;
    // 24, 12, 6, 3, 1: the first row alone.
    bench.netbox.faults().add(FaultRule {
        times: Some(5),
        ..FaultRule::on(MACHINES, Fault::Html(504)).method("PATCH")
    });
    let report = bench.stage(Stage::VirtualMachines).await;
    assert_eq!((report.counts().updated, report.counts().failed), (23, 1));
}

/// Either side hangs, and an answer of NetBox is waited for minutes.
#[tokio::test]
async fn run_that_is_asked_to_stop_waits_for_no_answer_to_a_read() {
    let never = Duration::from_hours(1);
    for hung in ["netbox", "proxmox"] {
        let bench = filled().await;
        bench.forget();
        if hung == "netbox" {
            let hangs = FaultRule::on(MACHINES, Fault::Hang).method("GET");
            bench.netbox.faults().add(hangs);
        } else {
            let slow = ProxmoxFault::Latency(never);
            bench.proxmox.faults().on_path("/nodes/*/qemu/*/config", slow);
        }
        let open = bench.proxmox.open_requests();
        let is_asked = || {
            let asked = bench.netbox.requests();
            match hung {
                "netbox" => asked.iter().any(|request| request.status == 0),
                // These are read just before the guests' configurations.
                _ => *open.borrow() > 0 && asked.iter().any(|request| request.path.contains(MACHINE_STATES)),
            }
        };
        let stop = async {
            until(is_asked).await;
            bench.stop_runs();
        };
        let run = bench.job(Stage::VirtualDisks, SyncRequest::default());
        let both = async { tokio::join!(run, stop).0 };
        let report = tokio::time::timeout(Duration::from_secs(5), both).await;
        let report = report.unwrap_or_else(|_| panic!("the run waits for {hung}"));
        assert!(report.is_cancelled(), "{hung}");
    }
}

/// A right that is missing costs these rows alone.
#[tokio::test]
async fn credentials_that_are_refused_fail_the_stage_whichever_part_of_it_is_written() {
    let bench = filled().await;
    for (status, has_failed) in [(401, true), (403, false)] {
        bench.forget();
        let refusal = FaultRule::on(CLOUD_INITS, Fault::Status(status)).method("GET");
        bench.netbox.faults().add(refusal);
        let mut request = SyncRequest::default();
        request.options.guests.sync_network = false;
        request.options.guests.sync_task_history = false;
        let report = bench.job(Stage::VirtualMachines, request).await;
        let errors = report.errors();
        assert_eq!(!errors.is_empty(), has_failed, "{status}: {errors:?}");
        let told = warnings(&report.into_stage().unwrap());
        assert_eq!(told.contains("cloud-init rows: "), !has_failed, "{status}: {told}");
        bench.netbox.faults().clear();
    }
}

/// An operator has made some of the supporting objects before, under slugs of their own.
#[tokio::test]
async fn supporting_objects_of_the_same_name_are_taken_and_keep_their_slugs() {
    let bench = Bench::with(World::estate(2, 4), StandinOptions::default()).await;
    let netbox = &bench.netbox;
    let manufacturer = json!({"name": "Proxmox", "slug": "proxmox-ve", "description": "ours"});
    let manufacturer = netbox.seed("dcim/manufacturers", &manufacturer).unwrap();
    let model = json!({
        "manufacturer": manufacturer, "model": "Proxmox Generic Device", "slug": "generic", "description": "ours"
    });
    netbox.seed("dcim/device-types", &model).unwrap();
    let role = json!({"name": "Unknown", "slug": "to-be-found-out", "color": "ff0000"});
    let role = netbox.seed("dcim/device-roles", &role).unwrap();
    for run in 0..2 {
        bench.forget();
        let report = bench.stage(Stage::Devices).await;
        assert_eq!(
            (report.counts().failed, warnings(&report)),
            (0, String::new()),
            "run {run}"
        );
    }
    let slugs = |path: &str| -> Vec<String> {
        let rows = netbox.rows(path);
        rows.iter()
            .map(|row| row["slug"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(slugs("dcim/manufacturers"), ["proxmox-ve"]);
    assert_eq!(slugs("dcim/device-types"), ["generic"]);
    let devices = netbox.rows("dcim/devices");
    assert_eq!(devices.len(), 2);
    let roles = netbox.rows("dcim/device-roles");
    let kept = roles.iter().find(|row| row["id"] == role).unwrap();
    assert_eq!(
        (&kept["slug"], &kept["color"], tags(kept)),
        (&json!("to-be-found-out"), &json!("ff0000"), vec!["proxbox"])
    );
    let changes = bench
        .netbox
        .writes()
        .into_iter()
        .filter(|write| write.method == "PATCH");
    assert_eq!(
        changes
            .filter(|write| write.path.contains("dcim/manufacturers"))
            .count(),
        1
    );
}
