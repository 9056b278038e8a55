//! Stage `backups`.

use proxbox_api::netbox::standin::{Fault, FaultRule, StandinOptions};
use proxbox_api::proxmox::mock::world::{Backup, GuestKind, ServerBackup, Storage};
use proxbox_api::proxmox::mock::{MockProxmox, World};
use proxbox_api::stages::Stage;
use proxbox_api::sync::SyncRequest;
use serde_json::{Value, json};

use crate::clusters::{Estate, MACHINES, alpha, rows_where};
use crate::harness::{Bench, until};

const BACKUPS: &str = "/api/plugins/proxbox/backups/";
const JOURNAL: &str = "/api/extras/journal-entries/";

/// A cluster whose storages stand in NetBox. Backups that are gone are deleted, however many.
async fn bench() -> Estate {
    let mut bench = Estate::start(vec![World::estate(3, 12)]).await;
    bench.add_machines(0);
    bench.run(Stage::Storage).await;
    bench.request.options.guests.delete_missing_backups = true;
    bench.request.allow_shrink = true;
    bench
}

fn forget_backups(bench: &Estate, storage: &str) {
    let world = bench.clusters[0].proxmox.world();
    world.change(|world| world.backups.retain(|backup| backup.storage != storage));
}

fn count_on(bench: &Estate, storage: &str) -> usize {
    rows_where(bench, BACKUPS, "storage", &json!(storage)).len()
}

#[tokio::test]
async fn every_backup_of_a_guest_gets_a_row_and_an_entry_and_a_second_run_writes_nothing() {
    let bench = bench().await;
    let report = bench.run(Stage::Backups).await;
    let expected = bench.clusters[0].proxmox.world().read(|world| {
        let of_guests = world
            .backups
            .iter()
            .filter(|backup| world.guests.contains_key(&backup.vmid));
        of_guests.count()
    });
    assert_eq!(
        (report.counts().created, bench.netbox.count(BACKUPS)),
        (expected, expected)
    );
    assert_eq!((report.counts().failed, bench.netbox.count(JOURNAL)), (0, expected));
    let row = &rows_where(&bench, BACKUPS, "storage", &json!("pbs-main"))[0];
    assert_eq!(row["proxmox_storage"]["name"], json!("pbs-main"));
    assert_eq!(bench.writes(Stage::Backups).await, []);
}

#[tokio::test]
async fn changed_backup_is_updated_with_one_entry_and_its_tags_survive() {
    let bench = bench().await;
    bench.run(Stage::Backups).await;
    let tag = bench
        .netbox
        .seed("/api/extras/tags/", &json!({"name": "Gold", "slug": "gold"}))
        .unwrap();
    let row = bench.netbox.rows(BACKUPS)[0].clone();
    let id = row["id"].as_u64().unwrap();
    bench
        .netbox
        .change(BACKUPS, id, &json!({"size": 1, "tags": [tag]}))
        .unwrap();
    let before = bench.netbox.count(JOURNAL);
    let writes = bench.writes(Stage::Backups).await;
    let told: Vec<_> = writes
        .iter()
        .map(|write| (write.method.as_str(), write.path.as_str(), write.rows))
        .collect();
    assert_eq!(told, [("PATCH", BACKUPS, 1), ("POST", JOURNAL, 1)]);
    let after = &rows_where(&bench, BACKUPS, "id", &json!(id))[0];
    assert_eq!(
        (&after["size"], after["tags"][0]["slug"].as_str()),
        (&row["size"], Some("gold"))
    );
    assert_eq!(bench.netbox.count(JOURNAL), before + 1);
}

#[tokio::test]
async fn backups_that_are_gone_are_deleted_in_one_request_without_an_entry() {
    let bench = bench().await;
    bench.run(Stage::Backups).await;
    assert!(count_on(&bench, "nas-backups") > 0);
    forget_backups(&bench, "nas-backups");
    let writes = bench.writes(Stage::Backups).await;
    assert!(
        writes
            .iter()
            .all(|write| write.method == "DELETE" && write.path == BACKUPS),
        "{writes:#?}"
    );
    assert_eq!(count_on(&bench, "nas-backups"), 0);
    assert!(count_on(&bench, "pbs-main") > 0);
}

#[tokio::test]
async fn deletions_that_are_too_many_at_once_are_halved_until_they_pass() {
    let delete = |fault| FaultRule::on(BACKUPS, fault).method("DELETE");
    for rule in [
        delete(Fault::Html(504)).larger_than(5),
        delete(Fault::Reset).larger_than(5),
        delete(Fault::LoseAnswer).larger_than(5),
    ] {
        let bench = bench().await;
        bench.run(Stage::Backups).await;
        let gone = count_on(&bench, "nas-backups");
        assert!(gone > 10, "{gone}");
        forget_backups(&bench, "nas-backups");
        let case = format!("{:?}", rule.fault);
        bench.netbox.faults().add(rule);
        let report = bench.run(Stage::Backups).await;
        let counts = report.counts();
        assert_eq!(
            (counts.deleted, counts.failed),
            (gone, 0),
            "{case}: {}",
            report.result()
        );
        assert_eq!(count_on(&bench, "nas-backups"), 0, "{case}");
    }
}

#[tokio::test]
async fn storage_that_cannot_be_read_loses_no_row() {
    let bench = bench().await;
    bench.run(Stage::Backups).await;
    forget_backups(&bench, "nas-backups");
    let faults = bench.clusters[0].proxmox.faults();
    faults.fail("/nodes/*/storage/nas-backups/content", 500, "mount error");
    let report = bench.run(Stage::Backups).await;
    assert_eq!(
        (report.counts().deleted, report.result()["degraded"].clone()),
        (0, json!(true))
    );
    assert!(count_on(&bench, "nas-backups") > 0);
}

#[tokio::test]
async fn too_many_deletions_are_refused_and_the_refusal_says_how_to_allow_them() {
    let mut bench = bench().await;
    bench.run(Stage::Backups).await;
    bench.request.allow_shrink = false;
    let before = bench.netbox.fingerprint();
    forget_backups(&bench, "nas-backups");
    let report = bench.try_run(Stage::Backups, bench.request.clone()).await;
    let errors = report.errors();
    assert!(
        errors.len() == 1 && errors[0].contains("allow_shrink=true"),
        "{errors:?}"
    );
    assert_eq!(bench.netbox.fingerprint(), before);
    bench.request.dry_run = true;
    let result = bench.run(Stage::Backups).await.result();
    let warnings = result["warnings"].as_array().unwrap();
    assert!(
        warnings.len() == 1 && warnings[0].to_string().contains("allow_shrink=true"),
        "{warnings:?}"
    );
    let deletions = |plan: &Value| plan["delete"].as_array().unwrap().len();
    let planned: usize = result["plan"].as_array().unwrap().iter().map(deletions).sum();
    assert_eq!(planned, count_on(&bench, "nas-backups"));
    assert_eq!(bench.netbox.fingerprint(), before);
    bench.request.dry_run = false;
    bench.request.allow_shrink = true;
    let report = bench.run(Stage::Backups).await;
    assert!(report.counts().deleted >= 10, "{}", report.result());
}

/// The nightly backups of guest 101 and of guest 102 on a storage that all nodes share.
fn keep_nightly(bench: &Estate, counts: [i64; 2]) {
    let nightly = |vmid: u32, kind, count: i64| {
        (0..count).map(move |night| Backup {
            storage: "nas-backups".to_owned(),
            node: None,
            vmid,
            kind,
            ctime: 1_739_264_400 + night * 86_400,
            size: 1 << 30,
            notes: None,
            protected: false,
            server: None,
        })
    };
    bench.clusters[0].proxmox.world().change(|world| {
        let [first, second] = [101, 102].map(|vmid| world.guests[&vmid].kind);
        world.backups = nightly(101, first, counts[0])
            .chain(nightly(102, second, counts[1]))
            .collect();
    });
}

/// Of few rows of one virtual machine many may go where the endpoint has many.
#[tokio::test]
async fn guard_of_a_run_for_one_virtual_machine_takes_its_share_of_the_endpoints_rows() {
    let mut bench = bench().await;
    bench.request.allow_shrink = false;
    keep_nightly(&bench, [14, 40]);
    bench.run(Stage::Backups).await;
    assert_eq!(bench.netbox.count(BACKUPS), 54);
    let request = bench.only(bench.machine(101));
    keep_nightly(&bench, [3, 40]);
    let report = bench.try_run(Stage::Backups, request).await;
    assert_eq!((report.errors(), report.counts().deleted), (Vec::new(), 11));
    assert_eq!(bench.netbox.count(BACKUPS), 43);
    let request = bench.only(bench.machine(102));
    keep_nightly(&bench, [3, 20]);
    let errors = bench.try_run(Stage::Backups, request).await.errors();
    assert!(errors.len() == 1 && errors[0].contains("20 of 43"), "{errors:?}");
    assert_eq!(bench.netbox.count(BACKUPS), 43);
}

#[tokio::test]
async fn broken_identity_costs_its_virtual_machine_and_no_other() {
    let bench = bench().await;
    bench.run(Stage::Backups).await;
    let machine = bench.machine(102);
    let states = rows_where(&bench, crate::clusters::MACHINE_STATES, "proxmox_vm_id", &json!(102));
    let state = states[0]["id"].as_u64().unwrap();
    let broken = json!({"proxmox_vm_type": ""});
    bench
        .netbox
        .change(crate::clusters::MACHINE_STATES, state, &broken)
        .unwrap();
    let world = bench.clusters[0].proxmox.world();
    world.change(|world| world.backups.retain(|backup| backup.vmid != 102 && backup.vmid != 103));
    let report = bench.run(Stage::Backups).await;
    let warnings = report.result()["warnings"].to_string();
    assert!(warnings.contains(&format!("virtual machine {machine}:")), "{warnings}");
    let left = |vmid: u32| rows_where(&bench, BACKUPS, "vmid", &json!(vmid)).len();
    assert!(left(102) > 0 && left(103) == 0, "{} and {}", left(102), left(103));
}

#[tokio::test]
async fn journal_that_cannot_be_written_is_told_and_the_backups_stand() {
    let bench = bench().await;
    let rule = FaultRule::on(JOURNAL, Fault::Status(403)).method("POST");
    bench.netbox.faults().add(rule);
    let report = bench.run(Stage::Backups).await;
    assert_eq!((report.counts().failed, bench.netbox.count(JOURNAL)), (0, 0));
    assert_eq!(report.counts().created, bench.netbox.count(BACKUPS));
    assert_eq!(report.result()["degraded"], json!(true));
}

#[tokio::test]
async fn size_that_netbox_cannot_hold_is_left_out() {
    let bench = bench().await;
    let world = bench.clusters[0].proxmox.world();
    world.change(|world| world.backups.iter_mut().for_each(|backup| backup.size = 1 << 63));
    let report = bench.run(Stage::Backups).await;
    assert_eq!(report.counts().failed, 0, "{}", report.result());
    assert_eq!(
        rows_where(&bench, BACKUPS, "size", &json!(null)).len(),
        bench.netbox.count(BACKUPS)
    );
}

#[tokio::test]
async fn dry_run_tells_the_plan_and_writes_nothing() {
    let bench = bench().await;
    let mut request = bench.request.clone();
    request.dry_run = true;
    bench.netbox.clear_requests();
    let report = bench.try_run(Stage::Backups, request).await;
    assert_eq!(bench.netbox.writes(), []);
    let plan = &report.result()["plan"];
    assert_eq!(plan[0]["create"].as_array().unwrap().len(), report.counts().created);
    assert!(report.counts().created > 0);
}

/// A storage `vault` that both nodes of the cluster `alpha` share, with one backup of its guest.
fn vault() -> World {
    let mut world = alpha();
    let mut vault = Storage::new("vault", "pbs", &["backup"]);
    vault.shared = true;
    world.storages = vec![vault];
    world.backups = vec![Backup {
        storage: "vault".to_owned(),
        node: None,
        vmid: 204,
        kind: GuestKind::Qemu,
        ctime: 1_739_264_400,
        size: 42_949_672_960,
        notes: Some("nightly".to_owned()),
        protected: false,
        server: Some(ServerBackup {
            namespace: String::new(),
            verification: Some("ok".to_owned()),
            encrypted: Some("7f:1c:aa".to_owned()),
        }),
    }];
    world
}

#[tokio::test]
async fn backup_on_a_shared_server_is_asked_for_once_and_kept_word_for_word() {
    let bench = Estate::start(vec![vault()]).await;
    bench.add_machines(0);
    bench.run(Stage::Storage).await;
    bench.clusters[0].proxmox.clear_requests();
    let result = bench.run(Stage::Backups).await.result();
    assert_eq!(
        (&result["count"], result.get("degraded")),
        (&json!(1), None),
        "{result}"
    );
    let requests = bench.clusters[0].proxmox.requests();
    let asked = requests
        .iter()
        .filter(|request| request.path.ends_with("/storage/vault/content"));
    assert_eq!(asked.count(), 1);
    let rows = bench.netbox.rows(BACKUPS);
    let row = &rows[0];
    assert_eq!(
        (
            rows.len(),
            &row["virtual_machine"]["id"],
            &row["proxmox_storage"]["name"]
        ),
        (1, &json!(bench.machine(204)), &json!("vault"))
    );
    let choices = ["subtype", "format"].map(|field| row[field]["value"].clone());
    assert_eq!(choices, [json!("qemu"), json!("pbs-vm")]);
    let upid = row["verification_upid"].as_str().unwrap();
    assert!(upid.starts_with("UPID:pbs"), "{upid}");
    let expected = json!({
        "volume_id": "vault:backup/vm/204/2025-02-11T09:00:00Z", "storage": "vault",
        "creation_time": "2025-02-11T09:00:00Z", "size": 42_949_672_960_u64, "encrypted": "7f:1c:aa",
        "verification_state": "ok", "notes": "nightly", "vmid": 204, "tags": []
    });
    for (field, value) in expected.as_object().unwrap() {
        assert_eq!(&row[field], value, "{field}");
    }
}

#[tokio::test]
async fn whatever_cannot_be_read_holds_back_every_deletion_of_the_cluster() {
    type Trouble = fn(&MockProxmox);
    let cases: [(&str, Trouble); 4] = [
        ("unreachable node", |proxmox| proxmox.faults().node_down("pve2")),
        ("member without a name", |proxmox| {
            let world = proxmox.world();
            world.change(|world| world.node("pve3").unwrap().name.clear());
        }),
        ("unreadable storage", |proxmox| {
            let path = "/nodes/*/storage/pbs-main/content";
            proxmox.faults().fail(path, 500, "mount error");
        }),
        ("storage that is switched off", |proxmox| {
            let world = proxmox.world();
            world.change(|world| world.storage("pbs-main").unwrap().disabled = true);
        }),
    ];
    for (case, trouble) in cases {
        let bench = bench().await;
        bench.run(Stage::Backups).await;
        let before = bench.netbox.count(BACKUPS);
        forget_backups(&bench, "nas-backups");
        trouble(&bench.clusters[0].proxmox);
        bench.look_around().await;
        let report = bench.run(Stage::Backups).await;
        assert_eq!(
            (report.counts().deleted, bench.netbox.count(BACKUPS)),
            (0, before),
            "{case}: {}",
            report.result()
        );
    }
}

#[tokio::test]
async fn empty_but_complete_answer_deletes_the_rows_of_covered_virtual_machines_and_no_others() {
    let bench = bench().await;
    bench.run(Stage::Backups).await;
    let by_hand = json!({"name": "by-hand", "cluster": bench.netbox.rows(MACHINES)[0]["cluster"]["id"]});
    let stranger = bench.netbox.seed(MACHINES, &by_hand).unwrap();
    let theirs = json!({
        "virtual_machine": stranger, "volume_id": "elsewhere:backup/a", "storage": "elsewhere", "vmid": 100,
        "subtype": "qemu", "format": "pbs-vm"
    });
    let theirs = bench.netbox.seed(BACKUPS, &theirs).unwrap();
    let world = bench.clusters[0].proxmox.world();
    world.change(|world| world.backups.clear());
    bench.run(Stage::Backups).await;
    let left: Vec<_> = bench.netbox.rows(BACKUPS).iter().map(|row| row["id"].clone()).collect();
    assert_eq!(left, [json!(theirs)]);
}

#[tokio::test]
async fn rows_that_were_deleted_are_no_objects_of_the_answer() {
    let bench = bench().await;
    bench.run(Stage::Backups).await;
    forget_backups(&bench, "nas-backups");
    let report = bench.run(Stage::Backups).await;
    let counts = report.counts();
    assert!(counts.deleted > 0 && counts.standing() > 0, "{}", report.result());
    assert_eq!(report.records().len(), counts.standing());
}

#[tokio::test]
async fn storages_that_cannot_be_listed_fail_nothing_and_lose_no_row() {
    let bench = bench().await;
    bench.run(Stage::Backups).await;
    let before = bench.netbox.fingerprint();
    forget_backups(&bench, "nas-backups");
    bench.clusters[0].proxmox.faults().fail("/storage", 500, "out of order");
    let report = bench.run(Stage::Backups).await;
    let result = report.result();
    assert_eq!((&result["degraded"], report.endpoints[0].gaps.len()), (&json!(true), 1));
    assert!(
        result["warnings"].to_string().contains("storages of the cluster"),
        "{result}"
    );
    assert_eq!(bench.netbox.fingerprint(), before);
}

#[tokio::test]
async fn storages_that_netbox_does_not_tell_fail_nothing_and_change_no_row() {
    let bench = bench().await;
    bench.run(Stage::Backups).await;
    let before = bench.netbox.fingerprint();
    for status in [403, 500] {
        let rule = FaultRule::on("plugins/proxbox/storage", Fault::Status(status)).method("GET");
        bench.netbox.faults().add(rule);
        let result = bench.run(Stage::Backups).await.result();
        assert_eq!(result["degraded"], json!(true), "{status}: {result}");
        assert_eq!(bench.netbox.fingerprint(), before, "{status}");
    }
    let row = bench.netbox.rows(BACKUPS)[0].clone();
    let id = row["id"].as_u64().unwrap();
    bench.netbox.change(BACKUPS, id, &json!({"size": 1})).unwrap();
    let counts = bench.run(Stage::Backups).await.counts();
    assert_eq!((counts.updated, counts.deleted, counts.failed), (1, 0, 0));
    let after = &rows_where(&bench, BACKUPS, "id", &json!(id))[0];
    assert_eq!(
        (&after["size"], &after["proxmox_storage"]),
        (&row["size"], &row["proxmox_storage"])
    );
    assert!(row["proxmox_storage"].is_object(), "{row}");
}

#[tokio::test]
async fn virtual_machine_of_a_gone_guest_of_another_kind_costs_its_heir_no_backup() {
    let bench = Estate::start(vec![vault()]).await;
    bench.add_machines(0);
    let heir = bench.machine(204);
    let gone = json!({"name": "gone", "cluster": bench.netbox.rows(MACHINES)[0]["cluster"]["id"]});
    let gone = bench.netbox.seed(MACHINES, &gone).unwrap();
    let state = json!({
        "virtual_machine": gone, "proxmox_vm_id": 204, "proxmox_vm_type": "lxc", "proxmox_endpoint_raw_id": 1,
        "proxmox_cluster_name": "alpha",
    });
    bench.netbox.seed(crate::clusters::MACHINE_STATES, &state).unwrap();
    let report = bench.run(Stage::Backups).await;
    assert_eq!(report.counts().created, 1, "{}", report.result());
    assert_eq!(bench.netbox.rows(BACKUPS)[0]["virtual_machine"]["id"], json!(heir));
}

#[tokio::test]
async fn backups_written_before_the_run_is_asked_to_stop_get_their_entries() {
    let bench = Bench::with(World::estate(2, 12), StandinOptions::default()).await;
    bench.stage(Stage::VirtualMachines).await;
    let stop = async {
        until(|| bench.netbox.count(BACKUPS) > 0).await;
        bench.stop_runs();
    };
    let (report, ()) = tokio::join!(bench.job(Stage::Backups, SyncRequest::default()), stop);
    assert!(report.is_cancelled(), "{:?}", report.errors());
    assert_eq!(bench.netbox.count(JOURNAL), bench.netbox.count(BACKUPS));
}

#[tokio::test]
async fn backups_of_a_virtual_machine_whose_number_another_kind_of_guest_has_now_get_no_second_row() {
    let bench = Estate::start(vec![vault()]).await;
    bench.add_machines(0);
    bench.run(Stage::Storage).await;
    let former = bench.machine(204);
    bench.run(Stage::Backups).await;
    let heir = bench.reuse(204);
    bench.clusters[0].proxmox.world().change(|world| {
        let (kind, ctime) = (GuestKind::Lxc, 1_739_350_800);
        let newer = Backup {
            kind,
            ctime,
            ..world.backups[0].clone()
        };
        // Of the former guest too, and without a row so far.
        let ctime = 1_739_268_000;
        let late = Backup {
            ctime,
            ..world.backups[0].clone()
        };
        world.backups.extend([newer, late]);
    });
    let counts = bench.run(Stage::Backups).await.counts();
    assert_eq!((counts.created, counts.updated, counts.failed), (1, 0, 0));
    let rows = bench.netbox.rows(BACKUPS).into_iter();
    let mut owners: Vec<_> = rows
        .map(|row| (row["virtual_machine"]["id"].clone(), row["subtype"]["value"].clone()))
        .collect();
    owners.sort_by_key(|(machine, _)| machine.as_u64());
    assert_eq!(owners, [(json!(former), json!("qemu")), (json!(heir), json!("lxc"))]);
    assert_eq!(bench.writes(Stage::Backups).await, []);
}
