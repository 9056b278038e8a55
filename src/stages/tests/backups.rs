//! Plans of backups: what is written, what the journal says, and every guard against deletion.

use super::guests::{deleted, fill, machine, machine_state, plan_over, with_guests};
use super::*;
use crate::inventory::{self, Collected, Gap, StorageBackups, StorageConfig, Storages, Volume};
use crate::netbox::objects::{Backup, Object, Storage};
use crate::stages::backups::{Backups, Written, journal, proven};

pub(super) const VOLUME: &str = "vault:backup/vm/204/2025-02-11T09:00:00Z";

pub(super) fn volume(id: &str, vmid: u32) -> Volume {
    let row = json!({
        "volid": id, "content": "backup", "format": "pbs-vm", "subtype": "qemu", "vmid": vmid,
        "ctime": 1_739_264_400, "size": 42, "notes": "nightly"
    });
    serde_json::from_value(row).unwrap()
}

pub(super) fn on(storage: &str, volumes: Vec<Volume>) -> StorageBackups {
    StorageBackups {
        storage: storage.to_owned(),
        volumes,
        unclassified: Vec::new(),
        is_complete: true,
        disputed: Vec::new(),
    }
}

fn storage_row(id: u64, name: &str) -> Stored<Storage> {
    let row = json!({"id": id, "cluster": {"id": CLUSTER.0}, "name": name, "tags": []});
    let row: <Storage as Object>::Read = serde_json::from_value(row).unwrap();
    row.into()
}

/// Storages `nas` and `vault`, both read completely; [`VOLUME`] is on `vault`. What is gone is to be deleted.
pub(super) fn facts() -> Facts {
    let mut facts = with_guests();
    facts.options.guests.delete_missing_backups = true;
    facts.known.storages = vec![storage_row(9, "vault")];
    let definition = |name: &str| serde_json::from_value(json!({"storage": name, "content": "backup"})).unwrap();
    fill::<Storages>(&mut facts, vec![definition("nas"), definition("vault")]);
    fill::<inventory::Backups>(
        &mut facts,
        vec![on("nas", vec![]), on("vault", vec![volume(VOLUME, 204)])],
    );
    facts.known.proven = proven(&facts);
    facts
}

/// A row as the plugin answers it.
pub(super) fn row(id: u64, machine: u64, volume_id: &str) -> Stored<Backup> {
    let object = Backup {
        storage: Some("vault".to_owned()),
        proxmox_storage: Some(ObjectId(9)),
        subtype: Some("qemu".to_owned()),
        format: Some("pbs-vm".to_owned()),
        creation_time: Some("2025-02-11T09:00:00Z".to_owned()),
        size: Some(42),
        encrypted: Some(String::new()),
        notes: Some("nightly".to_owned()),
        vmid: Some(204),
        ..Backup::of(ObjectId(machine), volume_id)
    };
    Stored {
        id: ObjectId(id),
        object,
    }
}

pub(super) fn plan(facts: &Facts, rows: &[Stored<Backup>]) -> Plan {
    plan_over::<Backups>(facts, rows).0
}

#[test]
fn converged_backups_plan_nothing() {
    let mut stored = row(1, 31, VOLUME);
    stored.object.creation_time = Some("2025-02-11T10:00:00+01:00".to_owned());
    let plan = plan(&facts(), &[stored]);
    assert!(plan.is_empty() && plan.unchanged.len() == 1, "{plan:#?}");
}

#[test]
fn one_difference_plans_just_that() {
    type Edit = fn(&mut Backup);
    let cases: [(Edit, Value); 8] = [
        (|backup| backup.size = Some(41), json!({"size": 42})),
        (
            |backup| backup.format = Some("undefined".to_owned()),
            json!({"format": "pbs-vm"}),
        ),
        (|backup| backup.notes = None, json!({"notes": "nightly"})),
        (|backup| backup.proxmox_storage = None, json!({"proxmox_storage": 9})),
        (
            |backup| {
                backup.verification_state = Some("ok".to_owned());
                backup.verification_upid = Some("UPID:pbs1:1".to_owned());
            },
            json!({"verification_state": null, "verification_upid": null}),
        ),
        (
            |backup| backup.encrypted = Some("7f:1c".to_owned()),
            json!({"encrypted": ""}),
        ),
        (|backup| backup.used = Some(7), json!({"used": null})),
        (
            |backup| backup.creation_time = Some("2025-02-11T08:00:00Z".to_owned()),
            json!({"creation_time": "2025-02-11T09:00:00Z"}),
        ),
    ];
    for (edit, expected) in cases {
        let mut stored = row(1, 31, VOLUME);
        edit(&mut stored.object);
        assert_eq!(changes(&plan(&facts(), &[stored])), json!({"1": expected}));
    }
}

#[test]
fn new_backup_gets_a_row_and_nobodys_gets_none() {
    let mut facts = facts();
    let volumes = vec![volume("nas:backup/a", 999), volume("nas:backup/b", 205)];
    fill::<inventory::Backups>(&mut facts, vec![on("nas", volumes)]);
    let plan = plan(&facts, &[]);
    let created: Vec<_> = plan.create.iter().map(|row| row.label.as_str()).collect();
    assert_eq!(created, ["nas:backup/b"]);
    assert_eq!(plan.create[0].fields["virtual_machine"], json!(32));
    assert!(
        !plan.create[0].fields.contains_key("proxmox_storage"),
        "NetBox has no row of that storage"
    );
    assert!(!plan.create[0].fields.contains_key("tags"));
}

#[test]
fn row_of_a_volume_that_is_listed_and_not_called_a_backup_stays() {
    let mut facts = facts();
    let mut vault = on("vault", vec![]);
    fill::<inventory::Backups>(&mut facts, vec![on("nas", vec![]), vault.clone()]);
    assert_eq!(deleted(&plan(&facts, &[row(1, 31, VOLUME)])), [1]);
    vault.unclassified.push(VOLUME.to_owned());
    fill::<inventory::Backups>(&mut facts, vec![on("nas", vec![]), vault]);
    assert!(plan(&facts, &[row(1, 31, VOLUME)]).is_empty());
}

#[test]
fn journal_tells_of_what_was_written_and_of_nothing_else() {
    let facts = facts();
    let key = format!("31/{VOLUME}");
    assert_eq!(journal(&facts, []), []);
    let written = [
        (Written::Created, ObjectId(5), key.as_str()),
        (Written::Updated, ObjectId(6), key.as_str()),
        (Written::Updated, ObjectId(7), "31/unheard-of"),
    ];
    let entries: Vec<Value> = journal(&facts, written)
        .iter()
        .map(|entry| json!(entry.fields()))
        .collect();
    let entry = |id: u64, verb: &str| {
        json!({
            "assigned_object_type": "netbox_proxbox.vmbackup", "assigned_object_id": id, "kind": "info",
            "comments": format!("Backup {verb} for VM 204 in storage vault")
        })
    };
    assert_eq!(entries, [entry(5, "created"), entry(6, "updated")]);
}

#[test]
fn several_rows_of_one_backup_leave_the_oldest_in_charge_and_none_deleted() {
    let mut oldest = row(3, 31, VOLUME);
    oldest.object.size = Some(41);
    let rows = [row(7, 31, VOLUME), oldest];
    let (plan, warnings) = plan_over::<Backups>(&facts(), &rows);
    assert_eq!(changes(&plan), json!({"3": {"size": 42}}));
    assert_eq!(
        (plan.delete.len(), plan.refused.len(), warnings.len()),
        (0, 0, 1),
        "{warnings:?}"
    );
}

/// NetBox would refuse to make the older one like the other.
#[test]
fn row_that_is_as_it_should_be_goes_before_an_older_one_of_the_backup() {
    let mut older = row(3, 31, VOLUME);
    older.object.format = Some("undefined".to_owned());
    let rows = [older, row(7, 31, VOLUME)];
    let (plan, warnings) = plan_over::<Backups>(&facts(), &rows);
    assert!(plan.is_empty(), "{plan:#?}");
    assert!(
        warnings.len() == 1 && warnings[0].contains("of which 7"),
        "{warnings:?}"
    );
}

#[test]
fn row_without_a_number_is_an_operators() {
    let mut by_hand = row(2, 31, "LTO-0042");
    by_hand.object.vmid = None;
    assert_eq!(deleted(&plan(&facts(), &[row(1, 31, VOLUME), by_hand])), [0; 0]);
}

#[test]
fn backup_that_a_complete_reading_lacks_is_deleted_and_only_that() {
    let rows = [
        row(1, 31, VOLUME),
        row(2, 31, "vault:backup/vm/204/gone"),
        row(3, 31, "nas:backup/gone"),
        row(4, 31, "retired:backup/gone"),
        row(5, 90, "vault:backup/vm/204/gone"),
    ];
    assert_eq!(deleted(&plan(&facts(), &rows)), [3, 4, 2]);
}

#[test]
fn deletion_is_held_back_by_whatever_leaves_it_unproven() {
    type Edit = fn(&mut Facts);
    let unread: Edit = |facts| {
        let mut storages = vec![on("nas", vec![]), on("vault", vec![])];
        storages[1].is_complete = false;
        fill::<inventory::Backups>(facts, storages);
    };
    let cases: [(&str, Edit); 7] = [
        ("not asked for", |facts| {
            facts.options.guests.delete_missing_backups = false;
        }),
        ("storage not read completely", unread),
        ("listed as nobody's", |facts| {
            let nobodys = volume("vault:backup/vm/204/gone", 999);
            fill::<inventory::Backups>(facts, vec![on("vault", vec![nobodys])]);
        }),
        ("no storage holds backups", |facts| {
            fill::<inventory::Backups>(facts, vec![]);
        }),
        ("storage is hidden", |facts| {
            fill::<inventory::Backups>(facts, vec![on("nas", vec![])]);
            let definitions: Vec<StorageConfig> = Vec::new();
            let gaps = vec![Gap::offline("pve1")];
            facts.inventory.storages.fill(Collected {
                items: definitions,
                gaps,
            });
        }),
        ("virtual machine claimed twice", |facts| {
            facts.known.machines.push(machine(33, "web-2"));
            facts.known.machine_states.push(machine_state(33, 204, "qemu"));
        }),
        ("identity incomplete", |facts| {
            facts.known.machine_states[0].object.vmid = None;
        }),
    ];
    let rows = [row(1, 31, "vault:backup/vm/204/gone")];
    assert_eq!(deleted(&plan(&facts(), &rows)), [1], "the premise");
    for (case, edit) in cases {
        let mut facts = facts();
        edit(&mut facts);
        facts.known.proven = proven(&facts);
        assert_eq!(deleted(&plan(&facts, &rows)), [0; 0], "{case}");
    }
    assert_eq!(
        deleted(&plan(
            &facts(),
            &[{
                let mut nameless = row(1, 31, "");
                nameless.object.volume_id = None;
                nameless
            }]
        )),
        [0; 0],
        "a row without a volume"
    );
}

#[test]
fn storage_that_was_not_read_holds_back_the_rows_of_all() {
    let mut facts = facts();
    let mut storages = vec![on("nas", vec![]), on("vault", vec![])];
    storages[1].is_complete = false;
    fill::<inventory::Backups>(&mut facts, storages);
    facts.known.proven = proven(&facts);
    let rows = [row(1, 31, "vault:backup/gone"), row(2, 31, "nas:backup/gone")];
    assert_eq!(deleted(&plan(&facts, &rows)), [0; 0]);
}

#[test]
fn selected_virtual_machine_leaves_the_others_rows_alone() {
    let mut facts = facts();
    facts.options.guests.only = Some([ObjectId(32)].into());
    facts.known.proven = proven(&facts);
    let rows = [row(1, 31, "vault:backup/gone"), row(2, 32, "vault:backup/gone")];
    let plan = plan(&facts, &rows);
    assert_eq!((deleted(&plan), plan.create.len()), (vec![2], 0));
    assert_eq!(Backups::scope(&facts), [Selection::any_of("vmid", [205])]);
}

#[test]
fn backup_of_which_nodes_tell_different_things_is_one_row_and_a_warning() {
    let mut facts = facts();
    let mut storage = on("vault", vec![volume(VOLUME, 204)]);
    storage.disputed = vec![VOLUME.to_owned()];
    fill::<inventory::Backups>(&mut facts, vec![storage]);
    let (plan, warnings) = plan_over::<Backups>(&facts, &[]);
    assert_eq!((plan.create.len(), plan.refused.len()), (1, 0));
    let expected = format!("backup {VOLUME}: its nodes tell different things; the fuller one holds");
    assert_eq!(warnings, [expected]);
}

/// Virtual machine 33 claims to be guest 204 too.
fn with_a_former(kind: &str, cluster: ObjectId) -> Facts {
    let mut facts = facts();
    facts.known.machines.push(machine(33, "gone"));
    facts.known.machines[2].object.cluster = Some(cluster);
    facts.known.machine_states.push(machine_state(33, 204, kind));
    facts
}

#[test]
fn request_for_a_backup_of_a_former_guest_is_told_whose_it_is() {
    let mut facts = with_a_former("lxc", CLUSTER);
    let mut of_container = volume("nas:backup/vzdump-lxc-204.tar.zst", 204);
    of_container.subtype = Some("lxc".to_owned());
    fill::<inventory::Backups>(&mut facts, vec![on("nas", vec![of_container]), on("vault", vec![])]);
    assert_eq!(plan_over::<Backups>(&facts, &[]).1, [""; 0]);
    facts
        .options
        .only
        .name(Part::Backup, "nas:backup/vzdump-lxc-204.tar.zst");
    let (plan, told) = plan_over::<Backups>(&facts, &[]);
    assert!(plan.is_empty(), "{plan:#?}");
    assert!(
        told.len() == 1 && told[0].contains("had the number 204 before"),
        "{told:?}"
    );
}

#[test]
fn backup_of_another_kind_is_the_guests_unless_a_virtual_machine_had_its_number_before() {
    let volumes = || {
        let mut of_container = volume("nas:backup/vzdump-lxc-204.tar.zst", 204);
        of_container.subtype = Some("lxc".to_owned());
        let mut of_whatever = volume("nas:backup/vzdump-204.zst", 204);
        of_whatever.subtype = None;
        vec![
            on("nas", vec![of_container, of_whatever]),
            on("vault", vec![volume(VOLUME, 204)]),
        ]
    };
    let made = |mut facts: Facts| {
        fill::<inventory::Backups>(&mut facts, volumes());
        let plan = plan(&facts, &[]);
        assert!(plan.create.iter().all(|row| row.fields["virtual_machine"] == json!(31)));
        plan.create.len()
    };
    assert_eq!(made(facts()), 3);
    for only in [None, Some([ObjectId(31)].into())] {
        let mut facts = with_a_former("lxc", CLUSTER);
        facts.options.guests.only = only;
        assert_eq!(made(facts), 2);
    }
}

#[test]
fn backup_that_a_virtual_machine_has_which_was_moved_away_gets_no_second_row() {
    let mut facts = with_a_former("qemu", ObjectId(99));
    let planned = plan(&facts, &[row(1, 33, VOLUME)]);
    assert!(planned.is_empty() && planned.unchanged.is_empty(), "{planned:#?}");
    assert_eq!(planned.left_out, 1);
    assert_eq!(plan(&facts, &[row(1, 33, "vault:another")]).create.len(), 1);
    assert_eq!(
        plan(&facts, &[row(1, 90, VOLUME)]).create.len(),
        1,
        "no claim to the number"
    );
    let mut own = row(2, 31, VOLUME);
    own.object.size = Some(41);
    let planned = plan(&facts, &[row(1, 33, VOLUME), own]);
    assert_eq!(
        changes(&planned),
        json!({"2": {"size": 42}}),
        "one that it has is kept in step"
    );
    facts.options.only.name(Part::Backup, VOLUME);
    let (_, told) = plan_over::<Backups>(&facts, &[row(1, 33, VOLUME)]);
    assert!(
        told.len() == 1 && told[0].contains("below virtual machine 33"),
        "{told:?}"
    );
}
