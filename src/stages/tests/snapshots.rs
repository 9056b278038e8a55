//! Plans of snapshots: what is written, what NetBox's one-per-place rule forbids, and every guard against deletion.

use super::guests::{deleted, fill, plan_over, with_guests};
use super::*;
use crate::inventory::{self, GuestSnapshots, Guests, Snapshot as ProxmoxSnapshot, Vmid};
use crate::netbox::objects::{SOFT_DELETED_TAG, Snapshot};
use crate::stages::snapshots::{Snapshots, proven, unproven};

fn found(vmid: u32, rows: &[Value]) -> GuestSnapshots {
    let snapshots = rows
        .iter()
        .map(|row| serde_json::from_value::<ProxmoxSnapshot>(row.clone()).unwrap());
    GuestSnapshots {
        vmid: Vmid(vmid),
        snapshots: snapshots.collect(),
        is_complete: true,
    }
}

/// Guest 204, now on `pve2`, has `pre` and, after it, `post`; guest 205 has none. What is gone is to be deleted.
fn facts() -> Facts {
    let mut facts = with_guests();
    facts.options.guests.delete_missing_snapshots = true;
    let pre = json!({"name": "pre", "snaptime": 1_739_268_864, "description": "before 9.1\n"});
    let post = json!({"name": "post", "parent": "pre", "snaptime": 1_739_272_464, "description": ""});
    fill::<inventory::Snapshots>(&mut facts, vec![found(204, &[pre, post]), found(205, &[])]);
    facts.known.proven = proven(&facts);
    facts
}

fn row(id: u64, machine: u64, name: &str, node: &str) -> Stored<Snapshot> {
    let (parent, description, snaptime) = match name {
        "post" => (Some("pre".to_owned()), "", "2025-02-11T11:14:24Z"),
        _ => (None, "before 9.1", "2025-02-11T10:14:24Z"),
    };
    let object = Snapshot {
        virtual_machine: ObjectId(machine),
        vmid: 204,
        name: name.to_owned(),
        node: node.to_owned(),
        description: description.to_owned(),
        snaptime: Some(snaptime.to_owned()),
        parent,
        subtype: "qemu".to_owned(),
        status: "active".to_owned(),
    };
    Stored {
        id: ObjectId(id),
        object,
    }
}

fn in_step() -> [Stored<Snapshot>; 2] {
    [row(1, 31, "pre", "pve2"), row(2, 31, "post", "pve2")]
}

fn plan(facts: &Facts, rows: &[Stored<Snapshot>]) -> Plan {
    plan_over::<Snapshots>(facts, rows).0
}

#[test]
fn converged_snapshots_plan_nothing() {
    let plan = plan(&facts(), &in_step());
    assert!(plan.is_empty() && plan.unchanged.len() == 2, "{plan:#?}");
}

#[test]
fn one_difference_plans_just_that() {
    type Edit = fn(&mut Snapshot);
    let cases: [(Edit, Value); 5] = [
        (|row| row.status = "stale".to_owned(), json!({"status": "active"})),
        (|row| row.parent = Some("older".to_owned()), json!({"parent": null})),
        (
            |row| row.description = "mine".to_owned(),
            json!({"description": "before 9.1"}),
        ),
        (|row| row.subtype = "lxc".to_owned(), json!({"subtype": "qemu"})),
        (
            |row| row.snaptime = Some("2025-02-11T10:14:24+01:00".to_owned()),
            json!({"snaptime": "2025-02-11T10:14:24Z"}),
        ),
    ];
    for (edit, expected) in cases {
        let mut rows = in_step();
        edit(&mut rows[0].object);
        assert_eq!(changes(&plan(&facts(), &rows)), json!({"1": expected}));
    }
}

#[test]
fn guest_that_moved_takes_its_rows_along() {
    let rows = [row(70, 31, "pre", "pve1"), row(71, 31, "old", "pve1")];
    let plan = plan(&facts(), &rows);
    assert_eq!(changes(&plan), json!({"70": {"node": "pve2"}}));
    let created: Vec<_> = plan.create.iter().map(|row| row.label.as_str()).collect();
    assert_eq!((created, deleted(&plan)), (vec!["post of guest 204"], vec![71]));
}

#[test]
fn rows_that_earlier_moves_left_behind_become_one() {
    for (rows, kept) in [
        ([row(70, 31, "pre", "pve1"), row(80, 31, "pre", "pve2")], 80),
        ([row(80, 31, "pre", "pve1"), row(70, 31, "pre", "pve3")], 70),
    ] {
        let rows = [rows.as_slice(), &[row(2, 31, "post", "pve2")]].concat();
        let plan = plan(&facts(), &rows);
        let gone = if kept == 80 { 70 } else { 80 };
        assert_eq!((plan.create.len(), deleted(&plan)), (0, vec![gone]), "{rows:#?}");
        let standing = plan
            .unchanged
            .iter()
            .map(|row| row.id)
            .chain(plan.update.iter().map(|row| row.id));
        assert!(standing.collect::<Vec<_>>().contains(&ObjectId(kept)));
    }
}

#[test]
fn row_of_another_virtual_machine_is_never_taken() {
    let foreign = row(90, 77, "pre", "pve2");
    let rows = [foreign.clone(), row(2, 31, "post", "pve2")];
    let plan = plan(&facts(), &rows);
    assert!(plan.is_empty(), "{plan:#?}");
    let reason = &plan.refused[0].reason;
    assert!(
        plan.refused.len() == 1 && reason.contains("virtual machine 77"),
        "{reason}"
    );
}

#[test]
fn row_whose_new_place_is_taken_stays_where_it_was_and_says_so() {
    let rows = [
        row(90, 77, "pre", "pve2"),
        row(70, 31, "pre", "pve1"),
        row(2, 31, "post", "pve2"),
    ];
    let (plan, warnings) = plan_over::<Snapshots>(&facts(), &rows);
    assert!(
        plan.is_empty() && plan.unchanged.len() == 2 && warnings.len() == 1,
        "{plan:#?} {warnings:?}"
    );
}

#[test]
fn complete_empty_list_deletes_every_row_of_its_guest_and_no_others() {
    let mut facts = facts();
    fill::<inventory::Snapshots>(&mut facts, vec![found(204, &[]), found(205, &[])]);
    let rows = [
        row(1, 31, "pre", "pve2"),
        row(2, 31, "post", "pve1"),
        row(90, 77, "pre", "pve3"),
    ];
    assert_eq!(deleted(&plan(&facts, &rows)), [2, 1]);
}

#[test]
fn deletion_is_held_back_by_whatever_leaves_it_unproven() {
    type Edit = fn(&mut Facts);
    let cases: [(&str, Edit); 6] = [
        ("not asked for", |facts| {
            facts.options.guests.delete_missing_snapshots = false;
        }),
        ("list not read", |facts| {
            fill::<inventory::Snapshots>(facts, vec![found(205, &[])]);
        }),
        ("list read in part", |facts| {
            let mut found = found(204, &[]);
            found.is_complete = false;
            fill::<inventory::Snapshots>(facts, vec![found]);
        }),
        ("guest not listed", |facts| fill::<Guests>(facts, vec![])),
        ("guest of another kind", |facts| {
            facts.known.machine_states[0].object.kind = Some("lxc".to_owned());
        }),
        ("marked as gone", |facts| {
            facts.known.machines[0].object.tags = [SOFT_DELETED_TAG.to_owned()].into();
        }),
    ];
    let rows = [row(1, 31, "gone", "pve2")];
    assert_eq!(deleted(&plan(&facts(), &rows)), [1], "the premise");
    for (case, edit) in cases {
        let mut facts = facts();
        edit(&mut facts);
        facts.known.proven = proven(&facts);
        assert_eq!(deleted(&plan(&facts, &rows)), [0; 0], "{case}");
    }
}

#[test]
fn guests_of_which_nothing_sure_is_known_are_counted() {
    let mut facts = facts();
    assert_eq!(unproven(&facts), 0);
    fill::<inventory::Snapshots>(&mut facts, vec![found(205, &[])]);
    facts.known.proven = proven(&facts);
    assert_eq!(unproven(&facts), 1);
}

#[test]
fn rows_of_a_guest_that_the_modes_leave_alone_are_left_alone() {
    let leave_alone = |facts: &mut Facts| {
        let mut guests = facts.inventory.items::<Guests>().to_vec();
        guests[0].is_template = true;
        fill::<Guests>(facts, guests);
        facts.options.modes.template = Mode::Disabled;
        facts.known.proven = proven(facts);
    };
    let mut changed = row(1, 31, "pre", "pve2");
    changed.object.description = "mine".to_owned();
    let rows = [changed, row(3, 31, "gone", "pve2")];
    let mut facts = facts();
    let planned = plan(&facts, &rows);
    assert_eq!(
        (planned.create.len(), planned.update.len(), deleted(&planned)),
        (1, 1, vec![3])
    );
    let mut once = facts.clone();
    once.options.modes.machine = Mode::BootstrapOnly;
    once.known.proven = proven(&once);
    let planned = plan(&once, &rows);
    assert_eq!(
        (planned.create.len(), planned.update.len(), deleted(&planned)),
        (1, 0, vec![])
    );
    assert_eq!(unproven(&once), 0);
    leave_alone(&mut facts);
    let planned = plan(&facts, &rows);
    assert!(planned.is_empty(), "{planned:#?}");
    assert_eq!(unproven(&facts), 0);
    let theirs = Snapshots::count_ours(&facts, &rows);
    assert_eq!(theirs, 0);
}
