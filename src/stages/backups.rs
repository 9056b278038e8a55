//! Backups of guests, and the journal of what became of them. Those of guests that the modes leave out are left alone.

use std::collections::{BTreeMap, BTreeSet};

use super::guests::{Bindings, Bound, bindings, kept_machines, of_guests, own_machines};
use super::{Desired, Facts, Part, Pass, Selection};
use crate::inventory::{self, StorageBackups, Storages, Vmid, Volume};
use crate::mapping::backup::{backup, guest_kind, storage_of};
use crate::netbox::objects::{Backup, JournalEntry};
use crate::reconcile::{ObjectId, Resource, Retire, Row, Stored, Wanted};

/// What the journal calls a backup.
const BACKUP_TYPE: &str = "netbox_proxbox.vmbackup";

/// The backups of the guests that virtual machines stand for.
#[derive(Debug)]
pub struct Backups;

/// What became of a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// Its row was made.
    Created,
    /// Its row was changed.
    Updated,
}

/// Virtual machines whose backups may be taken for gone where no storage lists them: all, where every storage that may
/// hold backups was read completely and there is one, but for those whose mode lets nothing be deleted; otherwise none.
pub fn proven(facts: &Facts) -> BTreeSet<ObjectId> {
    if !is_all_read(facts) {
        return BTreeSet::new();
    }
    let bindings = bindings(facts);
    let retired = bindings.followed().filter(|bound| !bound.is_kept());
    retired.map(|bound| bound.id).collect()
}

fn is_all_read(facts: &Facts) -> bool {
    let inventory = &facts.inventory;
    let storages = inventory.items::<inventory::Backups>();
    inventory.is_complete::<Storages>()
        && inventory.is_complete::<inventory::Backups>()
        && !storages.is_empty()
        && storages.iter().all(|backups| backups.is_complete)
}

/// The journal entries of backups that were written; each is named by its row and its key.
pub fn journal<'a>(
    facts: &Facts,
    written: impl IntoIterator<Item = (Written, ObjectId, &'a str)>,
) -> Vec<JournalEntry> {
    let desired = Backups::desired(facts).wanted.into_iter();
    let backups: BTreeMap<String, Backup> = desired.map(|wanted| (wanted.object.key(), wanted.object)).collect();
    let entry = |(written, object, key): (Written, ObjectId, &str)| {
        let backup = backups.get(key)?;
        let verb = match written {
            Written::Created => "created",
            Written::Updated => "updated",
        };
        let (vmid, storage) = (backup.vmid?, backup.storage.as_deref()?);
        Some(JournalEntry {
            object_type: BACKUP_TYPE,
            object,
            comments: format!("Backup {verb} for VM {vmid} in storage {storage}"),
        })
    };
    written.into_iter().filter_map(entry).collect()
}

/// How many of the backups are no guest's, or a guest's that no virtual machine is known to stand for.
pub fn unowned(facts: &Facts) -> usize {
    let bindings = bindings(facts);
    volumes(facts)
        .filter(|volume| owner(&bindings, volume).is_none())
        .count()
}

/// The virtual machine that a backup belongs to. Where another one stood for a guest of its number before, and the backup
/// is of another kind than the guest that has the number now, it is that former guest's.
fn owner<'a>(bindings: &'a Bindings<'a>, volume: &Volume) -> Option<&'a Bound<'a>> {
    let bound = bindings.of(volume.vmid?)?;
    let is_alien = guest_kind(volume).is_some_and(|kind| kind != bound.kind);
    (!is_alien || !bindings.has_former(bound.vmid)).then_some(bound)
}

fn volumes(facts: &Facts) -> impl Iterator<Item = &Volume> {
    let storages = facts.inventory.items::<inventory::Backups>().iter();
    let all = storages.flat_map(|backups: &StorageBackups| &backups.volumes);
    all.filter(|volume| facts.options.only.takes(Part::Backup, &volume.volid))
}

/// The volumes that have rows below former virtual machines of their numbers, and those.
fn of_former<'a>(facts: &Facts, actual: &'a [Stored<Backup>]) -> BTreeMap<&'a str, ObjectId> {
    let bindings = bindings(facts);
    let rows = actual.iter().map(|stored| &stored.object);
    let is_former = |backup: &&Backup| {
        let vmid = backup.vmid.map(Vmid);
        vmid.is_some_and(|vmid| bindings.is_former(backup.virtual_machine, vmid))
    };
    rows.filter(is_former)
        .filter_map(|backup| Some((backup.volume_id.as_deref()?, backup.virtual_machine)))
        .collect()
}

/// What NetBox holds once below a virtual machine, besides the volume.
fn place(backup: &Backup) -> (Option<&str>, Option<&str>, Option<&str>, Option<u32>) {
    let Backup {
        storage,
        subtype,
        format,
        vmid,
        ..
    } = backup;
    (storage.as_deref(), subtype.as_deref(), format.as_deref(), *vmid)
}

fn is_ours(facts: &Facts, stored: &Stored<Backup>) -> bool {
    facts.known.proven.contains(&stored.object.virtual_machine)
}

impl Pass for Backups {
    type Object = Backup;

    /// Those of the guests' numbers, because no filter of the plugin fits an endpoint.
    fn scope(facts: &Facts) -> Vec<Selection> {
        vec![of_guests(facts)]
    }

    fn desired(facts: &Facts) -> Desired<Backup> {
        let bindings = bindings(facts);
        let storage_ids = facts.known.storage_ids();
        let mut desired = Desired::by_key(volumes(facts).filter_map(|volume| {
            let bound = owner(&bindings, volume).filter(|bound| bound.is_followed())?;
            let storage = storage_ids.get(storage_of(&volume.volid)).copied();
            Some(backup(volume, bound.id, storage))
        }));
        let storages = facts.inventory.items::<inventory::Backups>().iter();
        desired.warnings = storages
            .flat_map(|backups| &backups.disputed)
            .map(|volume_id| format!("backup {volume_id}: its nodes tell different things; the fuller one holds"))
            .collect();
        if facts.options.only.named(Part::Backup).is_some() {
            let alien = volumes(facts).filter(|volume| owner(&bindings, volume).is_none());
            let alien = alien.filter_map(|volume| Some((&volume.volid, bindings.of(volume.vmid?)?)));
            desired.warnings.extend(alien.map(|(volume_id, bound)| {
                format!(
                    "{volume_id}: it is of a guest that had the number {} before",
                    bound.vmid
                )
            }));
        }
        desired
    }

    /// Of several rows of one backup that is it which NetBox would not let another one become, else the oldest; the others are
    /// left alone. A backup that has its row below a former virtual machine of the number gets no second one.
    fn settle(facts: &Facts, mut desired: Desired<Backup>, actual: &[Stored<Backup>]) -> Desired<Backup> {
        let mut rows: BTreeMap<String, Vec<&Stored<Backup>>> = BTreeMap::new();
        for stored in actual {
            rows.entry(stored.object.key()).or_default().push(stored);
        }
        let former = of_former(facts, actual);
        let holder = |backup: &Backup| former.get(backup.volume_id.as_deref()?).copied();
        let is_left = |backup: &Backup| holder(backup).is_some() && !rows.contains_key(&backup.key());
        let left = desired.wanted.extract_if(.., |wanted| is_left(&wanted.object));
        for Wanted { object, .. } in left.collect::<Vec<_>>() {
            if let Some(holder) = holder(&object) {
                desired.leave(facts, &object.label(), holder);
            }
        }
        for wanted in &mut desired.wanted {
            let same = rows.get(&wanted.object.key()).map(Vec::as_slice).unwrap_or_default();
            let place = place(&wanted.object);
            let chosen = same
                .iter()
                .min_by_key(|stored| (self::place(&stored.object) != place, stored.id));
            if let (Some(chosen), true) = (chosen, same.len() > 1) {
                wanted.row = Row::Is(chosen.id);
                desired.warnings.push(format!(
                    "backup {}: NetBox has {} rows of it, of which {} is kept in step",
                    wanted.object.label(),
                    same.len(),
                    chosen.id
                ));
            }
        }
        let kept = kept_machines(facts);
        desired.keep(actual, |backup| kept.contains(&backup.virtual_machine));
        desired
    }

    fn count_ours(facts: &Facts, actual: &[Stored<Backup>]) -> usize {
        actual.iter().filter(|stored| is_ours(facts, stored)).count()
    }

    fn all_ours(all: &Facts) -> Option<Selection> {
        Some(of_guests(all))
    }

    fn count_all(all: &Facts, rows: &[Stored<Backup>]) -> usize {
        let own = own_machines(all);
        let owners = rows.iter().map(|stored| stored.object.virtual_machine);
        owners.filter(|owner| own.contains(owner)).count()
    }

    fn retire(facts: &Facts, stored: &Stored<Backup>) -> Retire {
        let backup = &stored.object;
        let Some(volume_id) = backup.volume_id.as_deref() else {
            return Retire::Keep;
        };
        // Rows are asked for by the number, unless all are read: one without it is an operator's.
        if backup.vmid.is_none() {
            return Retire::Keep;
        }
        let storage = storage_of(volume_id);
        let is_listed = facts
            .inventory
            .backups_on(storage)
            .is_some_and(|backups| backups.holds(volume_id));
        let is_gone = facts.options.guests.delete_missing_backups && is_ours(facts, stored) && !is_listed;
        if is_gone { Retire::Delete } else { Retire::Keep }
    }
}
