//! Backups of guests that the modes leave out, or whose rows are made once.

use super::backups::{VOLUME, facts, on, plan, row, volume};
use super::guests::{deleted, fill};
use super::*;
use crate::inventory;
use crate::stages::backups::proven;

#[test]
fn rows_of_a_guest_that_the_modes_leave_alone_are_left_alone() {
    let mut facts = facts();
    let volumes = vec![volume("nas:backup/b", 205), volume("nas:backup/new", 204)];
    let found = vec![on("nas", volumes), on("vault", vec![volume(VOLUME, 204)])];
    fill::<inventory::Backups>(&mut facts, found);
    let mut changed = row(1, 31, VOLUME);
    changed.object.size = Some(41);
    let rows = [changed, row(2, 31, "nas:backup/gone")];
    let planned = plan(&facts, &rows);
    assert_eq!(
        (planned.create.len(), planned.update.len(), deleted(&planned)),
        (2, 1, vec![2])
    );
    let mut guests = facts.inventory.items::<inventory::Guests>().to_vec();
    guests[0].is_template = true;
    fill::<inventory::Guests>(&mut facts, guests);
    facts.options.modes.template = Mode::Disabled;
    facts.known.proven = proven(&facts);
    let planned = plan(&facts, &rows);
    let created: Vec<_> = planned.create.iter().map(|row| row.label.as_str()).collect();
    assert_eq!(created, ["nas:backup/b"], "that of the other guest");
    assert_eq!((planned.update.len(), planned.delete.len()), (0, 0), "{planned:#?}");
}

#[test]
fn rows_that_are_made_once_are_neither_changed_nor_deleted() {
    let mut facts = facts();
    let volumes = vec![volume(VOLUME, 204), volume("vault:backup/new", 204)];
    fill::<inventory::Backups>(&mut facts, vec![on("nas", vec![]), on("vault", volumes)]);
    facts.options.modes.machine = Mode::BootstrapOnly;
    facts.known.proven = proven(&facts);
    let mut changed = row(1, 31, VOLUME);
    changed.object.size = Some(41);
    let planned = plan(&facts, &[changed, row(2, 31, "nas:backup/gone")]);
    let created: Vec<_> = planned.create.iter().map(|row| row.label.as_str()).collect();
    assert_eq!(created, ["vault:backup/new"]);
    assert_eq!((planned.update.len(), planned.delete.len()), (0, 0), "{planned:#?}");
}

/// Nothing tells any more whether it was a template, unless it ran.
#[test]
fn rows_of_a_guest_that_is_gone_are_left_alone_where_it_may_have_been_a_template() {
    for (status, expected) in [("running", 1), ("stopped", 0)] {
        let mut facts = facts();
        facts.known.machine_states[0].object.status = Some(status.to_owned());
        let others = facts.inventory.items::<inventory::Guests>()[1..].to_vec();
        fill::<inventory::Guests>(&mut facts, others);
        facts.options.modes.template = Mode::Disabled;
        facts.known.proven = proven(&facts);
        let planned = plan(&facts, &[row(1, 31, VOLUME), row(2, 31, "nas:backup/gone")]);
        assert_eq!(planned.delete.len(), expected, "{status}: {planned:#?}");
    }
}
