//! What NetBox checks beyond the schema, and what it fills in before a row is stored.

mod addresses;
mod assigned;
mod consequences;
mod devices;
mod interfaces;
mod machines;
mod plugin;
mod tags;
mod unique;

pub(super) use consequences::{deleted, saved};

use super::datum::Datum;
use super::refusal::{Errors, Refusal};
use super::schema::Collection;
use super::table::Row;
use super::world::{Found, World};

/// A row about to be stored.
pub(super) struct Draft<'a> {
    world: &'a World,
    collection: &'a Collection,
    /// `None` for a row that is new.
    id: Option<u64>,
    row: Row,
    /// The row as it is stored now.
    before: Option<&'a Row>,
    errors: Errors,
    is_refused: bool,
}

impl<'a> Draft<'a> {
    /// A draft of `row`, which takes the place of `before`.
    pub(super) fn new(world: &'a World, collection: &'a Collection, row: Row, before: Option<(u64, &'a Row)>) -> Self {
        Self {
            world,
            collection,
            id: before.map(|(id, _)| id),
            row,
            before: before.map(|(_, row)| row),
            errors: Errors::default(),
            is_refused: false,
        }
    }

    fn get(&self, column: &str) -> &Datum {
        self.row.get(self.collection.field_id(column))
    }

    fn set(&mut self, column: &str, value: Datum) {
        self.row.set(self.collection.field_id(column), value);
    }

    fn follow(&self, column: &str) -> Option<Found<'a>> {
        self.world.follow(self.collection, &self.row, column)
    }

    /// The value as it is stored now; null for a row that is new.
    fn stored(&self, column: &str) -> &Datum {
        static NULL: Datum = Datum::Null;
        self.before
            .map_or(&NULL, |row| row.get(self.collection.field_id(column)))
    }

    fn is_changed(&self, column: &str) -> bool {
        self.before.is_some() && self.stored(column) != self.get(column)
    }

    /// Refuses the row. As in NetBox, the first rule that is broken ends the check, and only uniqueness is told beside it.
    fn refuse(&mut self, column: &str, message: impl Into<String>) {
        if !self.is_refused {
            self.errors.add(column, message);
        }
        self.is_refused = true;
    }
}

/// Checks a draft and completes it.
///
/// # Errors
///
/// Every rule that the row breaks, or the one that ends the whole request.
pub(super) fn check(mut draft: Draft<'_>) -> Result<Row, Refusal> {
    match draft.collection.rules.path {
        "dcim/devices" => devices::device(&mut draft),
        "dcim/interfaces" => interfaces::of_device(&mut draft),
        "dcim/mac-addresses" => addresses::mac(&mut draft),
        "ipam/ip-addresses" => addresses::ip(&mut draft),
        "virtualization/clusters" => machines::cluster(&mut draft),
        "virtualization/virtual-machines" => machines::machine(&mut draft),
        "virtualization/interfaces" => interfaces::of_machine(&mut draft),
        "extras/journal-entries" => assigned::journal(&mut draft),
        "ipam/prefixes" | "ipam/vlan-groups" => assigned::scope(&mut draft),
        "plugins/proxbox/guest-vm-interfaces" => plugin::guest_interface(&mut draft),
        "plugins/proxbox/guest-vm-interface-addresses" => plugin::guest_address(&mut draft),
        "plugins/proxbox/backup-routines" => plugin::backup_routine(&mut draft),
        "plugins/proxbox/vm-cloudinit" => plugin::cloud_init(&draft)?,
        _ if draft.collection.rules.is_sidecar() => plugin::sidecar(&mut draft)?,
        _ => {}
    }
    tags::check(&draft)?;
    unique::check(&mut draft);
    if draft.errors.is_empty() {
        Ok(draft.row)
    } else {
        Err(Refusal::Row(draft.errors))
    }
}
