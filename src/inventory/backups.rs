//! Backups, storage by storage.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use super::fan_out::{Limits, fan_out};
use super::{Area, Collected, Gap, Inventory, Reader, Slot, StorageConfig, Storages};
use crate::error::ErrorKind;
use crate::proxmox::{Error, Rows, Volume};

/// The backups on the storages that hold backups, or may.
#[derive(Debug)]
pub struct Backups;

/// The backups on one storage.
#[derive(Debug, Clone, PartialEq)]
pub struct StorageBackups {
    /// The storage.
    pub storage: String,
    /// Its backups, by volume id.
    pub volumes: Vec<Volume>,
    /// The ids of volumes that it lists among its backups and does not call such, in order.
    pub unclassified: Vec<String>,
    /// Whether these are all: what is not among them is gone.
    pub is_complete: bool,
    /// Volumes of which two nodes told different things; the fuller telling was kept.
    pub disputed: Vec<String>,
}

impl StorageBackups {
    /// Whether the storage lists this volume, whatever it calls it.
    pub fn holds(&self, volume_id: &str) -> bool {
        let by_id = |volume: &Volume| volume.volid.as_str().cmp(volume_id);
        let is_backup = self.volumes.binary_search_by(by_id).is_ok();
        is_backup
            || self
                .unclassified
                .binary_search_by(|id| id.as_str().cmp(volume_id))
                .is_ok()
    }
}

impl Area for Backups {
    type Item = StorageBackups;

    fn slot(inventory: &Inventory) -> &Slot<StorageBackups> {
        &inventory.backups
    }

    fn slot_mut(inventory: &mut Inventory) -> &mut Slot<StorageBackups> {
        &mut inventory.backups
    }

    /// Reads every storage of [`Storages`] that holds backups, in the storages' order of names: a shared one through one
    /// node, and another where that fails; any other through each node that has it. What could not be read is a gap. A
    /// storage that is switched off is not asked and is incomplete without being a gap.
    async fn collect(reader: &Reader<'_>) -> Result<Collected<StorageBackups>, Error> {
        let mut survey = Survey::of(reader);
        let places = std::mem::take(&mut survey.places);
        let answers = fan_out(
            places,
            Limits::of(reader),
            |place| place.node,
            |place| async move { place.read(reader).await },
        )
        .await;
        let Survey {
            mut storages, mut gaps, ..
        } = survey;
        for (place, answer) in answers {
            let found = storages.entry(place.storage).or_default();
            match answer {
                Ok(rows) => found.take(rows, &mut gaps),
                Err(error) => {
                    found.is_incomplete = true;
                    gaps.push(Gap::new(place.to_string(), &error));
                }
            }
        }
        gaps.extend(hide_invisible(reader, &mut storages).await?);
        Ok(Collected {
            items: storages.into_iter().map(|(name, found)| found.finish(name)).collect(),
            gaps,
        })
    }
}

/// Marks storages as incomplete on which the credentials may not see every backup: Proxmox leaves those out without a
/// word.
async fn hide_invisible(reader: &Reader<'_>, storages: &mut BTreeMap<&str, Found>) -> Result<Option<Gap>, Error> {
    let capabilities = &reader.session.metadata().await?.capabilities;
    let mut hidden = Vec::new();
    for (storage, found) in storages {
        if !capabilities.sees_all_backups(storage) {
            found.is_incomplete = true;
            hidden.push(*storage);
        }
    }
    let message = "backups are visible only with Datastore.Allocate on the storage, or with Datastore.AllocateSpace \
                   there and VM.Backup on every guest";
    Ok((!hidden.is_empty()).then(|| Gap::hidden(format!("backups on {}", hidden.join(", ")), capabilities, message)))
}

/// What is to be asked, and what is known before anything was.
struct Survey<'a> {
    places: Vec<Place<'a>>,
    storages: BTreeMap<&'a str, Found>,
    gaps: Vec<Gap>,
}

impl<'a> Survey<'a> {
    fn of(reader: &Reader<'a>) -> Self {
        let mut survey = Self {
            places: Vec::new(),
            storages: BTreeMap::new(),
            gaps: Vec::new(),
        };
        let mut offline = BTreeSet::new();
        for definition in reader.inventory.items::<Storages>() {
            let is_wanted = reader.storage.is_none_or(|only| only == definition.storage);
            if is_wanted && may_hold_backups(definition) {
                let found = survey.add(reader, definition, &mut offline);
                survey.storages.insert(&definition.storage, found);
            }
        }
        survey.gaps.extend(offline.into_iter().map(Gap::offline));
        survey
    }

    fn add(&mut self, reader: &Reader<'a>, definition: &'a StorageConfig, offline: &mut BTreeSet<&'a str>) -> Found {
        let storage = definition.storage.as_str();
        if definition.disable {
            return Found::incomplete();
        }
        let (online, down): (Vec<&str>, Vec<&str>) =
            serving(reader, definition).partition(|node| !reader.is_offline(node));
        let trouble = match (&definition.content, online.is_empty(), down.is_empty()) {
            (None, ..) => Some("its definition does not tell what it holds"),
            (_, true, true) => Some("no node of the cluster has it"),
            (_, true, false) => Some("no node that has it is online"),
            (_, false, _) => None,
        };
        if let Some(trouble) = trouble {
            self.gaps.push(Gap {
                source: format!("backups on {storage}"),
                kind: ErrorKind::Validation,
                message: trouble.to_owned(),
            });
            return Found::incomplete();
        }
        if definition.shared == Some(true) {
            self.places.extend(Place::shared(storage, online, self.storages.len()));
            return Found::default();
        }
        let local = |node| Place {
            storage,
            node,
            others: Vec::new(),
        };
        self.places.extend(online.into_iter().map(local));
        let found = Found {
            is_incomplete: !down.is_empty(),
            ..Found::default()
        };
        offline.extend(down);
        found
    }
}

/// Whether backups may be on a storage: they are among its kinds of content, or it does not tell those.
fn may_hold_backups(definition: &StorageConfig) -> bool {
    let kinds = definition.content.as_deref();
    kinds.is_none_or(|kinds| kinds.split(',').any(|kind| kind.trim() == "backup"))
}

/// The nodes of the cluster that have a storage.
fn serving<'a>(reader: &Reader<'a>, definition: &'a StorageConfig) -> impl Iterator<Item = &'a str> {
    let only = definition.nodes.as_deref().filter(|nodes| *nodes != "all");
    let serves = move |node: &str| only.is_none_or(|only| only.split(',').any(|name| name.trim() == node));
    let asked = reader.node;
    let nodes = reader.cluster.nodes.iter().map(|node| node.name.as_str());
    nodes.filter(move |node| asked.is_none_or(|asked| asked == *node) && serves(node))
}

/// A storage, and who is asked for it.
#[derive(Debug, Clone)]
struct Place<'a> {
    storage: &'a str,
    node: &'a str,
    /// Asked in turn where the node fails.
    others: Vec<&'a str>,
}

impl<'a> Place<'a> {
    /// A shared storage, asked of the nodes in turn; `turn` lets each storage begin with another node.
    fn shared(storage: &'a str, mut nodes: Vec<&'a str>, turn: usize) -> Option<Self> {
        let count = nodes.len().max(1);
        nodes.rotate_left(turn % count);
        let mut nodes = nodes.into_iter();
        Some(Self {
            storage,
            node: nodes.next()?,
            others: nodes.collect(),
        })
    }

    async fn read(&self, reader: &Reader<'_>) -> Result<Rows<Volume>, Error> {
        let ask = |node| reader.session.list_backups(node, self.storage, reader.only_guest());
        let mut answer = ask(self.node).await;
        for node in &self.others {
            if answer.is_ok() {
                break;
            }
            answer = ask(node).await;
        }
        answer
    }
}

impl std::fmt::Display for Place<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "backups on {} of node {}", self.storage, self.node)
    }
}

/// What was found on a storage so far.
#[derive(Debug, Default)]
struct Found {
    volumes: BTreeMap<String, Volume>,
    unclassified: BTreeSet<String>,
    is_incomplete: bool,
    disputed: Vec<String>,
}

impl Found {
    fn incomplete() -> Self {
        Self {
            is_incomplete: true,
            ..Self::default()
        }
    }

    fn take(&mut self, rows: Rows<Volume>, gaps: &mut Vec<Gap>) {
        self.is_incomplete |= !rows.rejected.is_empty();
        gaps.extend(rows.rejected.iter().map(|row| Gap::row("backup", row)));
        let (backups, others): (Vec<Volume>, Vec<Volume>) = rows.items.into_iter().partition(Volume::is_backup);
        self.unclassified.extend(others.into_iter().map(|volume| volume.volid));
        for volume in backups {
            match self.volumes.entry(volume.volid.clone()) {
                Entry::Vacant(place) => {
                    place.insert(volume);
                }
                Entry::Occupied(mut place) if *place.get() != volume => {
                    self.disputed.push(volume.volid.clone());
                    if weight(&volume) > weight(place.get()) {
                        place.insert(volume);
                    }
                }
                Entry::Occupied(_) => {}
            }
        }
    }

    fn finish(self, storage: &str) -> StorageBackups {
        StorageBackups {
            storage: storage.to_owned(),
            volumes: self.volumes.into_values().collect(),
            unclassified: self.unclassified.into_iter().collect(),
            is_complete: !self.is_incomplete,
            disputed: self.disputed,
        }
    }
}

/// How much a telling of a volume says.
fn weight(volume: &Volume) -> (bool, Option<u64>, Option<i64>) {
    (volume.verification.is_some(), volume.size, volume.ctime)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn rows(rows: &[Value]) -> Rows<Volume> {
        Rows::decode(rows.to_vec())
    }

    #[test]
    fn fuller_of_two_tellings_is_kept_and_named() {
        let bare = json!({"volid": "local:backup/a", "content": "backup", "size": 5});
        let fuller =
            json!({"volid": "local:backup/a", "content": "backup", "size": 4, "verification": {"state": "ok"}});
        for (first, second) in [(&bare, &fuller), (&fuller, &bare)] {
            let mut found = Found::default();
            let mut gaps = Vec::new();
            found.take(rows(std::slice::from_ref(first)), &mut gaps);
            found.take(rows(std::slice::from_ref(second)), &mut gaps);
            let storage = found.finish("local");
            assert_eq!(
                (storage.volumes[0].size, gaps.len()),
                (Some(4), 0),
                "{first} then {second}"
            );
            assert_eq!(
                (storage.disputed.as_slice(), storage.is_complete),
                (["local:backup/a".to_owned()].as_slice(), true)
            );
        }
    }

    #[test]
    fn row_that_cannot_be_read_leaves_the_storage_unproven() {
        let mut found = Found::default();
        let mut gaps = Vec::new();
        let odd = json!({"volid": "nas:backup/b", "content": "backup", "size": "large"});
        let iso = json!({"volid": "nas:iso/c", "content": "iso"});
        let good = json!({"volid": "nas:backup/a", "content": "backup"});
        found.take(rows(&[odd, iso, good]), &mut gaps);
        let storage = found.finish("nas");
        assert_eq!((storage.volumes.len(), storage.is_complete, gaps.len()), (1, false, 1));
        assert!(storage.holds("nas:backup/a") && !storage.holds("nas:backup/b"));
    }

    #[test]
    fn volume_that_is_listed_and_not_called_a_backup_is_held_and_is_none() {
        let (mut found, mut gaps) = (Found::default(), Vec::new());
        for row in [
            json!({"volid": "nas:backup/d"}),
            json!({"volid": "nas:backup/c", "content": "Backup"}),
            json!({"volid": "nas:backup/a", "content": "backup"}),
        ] {
            found.take(rows(&[row]), &mut gaps);
        }
        let storage = found.finish("nas");
        assert_eq!((storage.volumes.len(), storage.is_complete, gaps.len()), (1, true, 0));
        for volume_id in ["nas:backup/a", "nas:backup/c", "nas:backup/d"] {
            assert!(storage.holds(volume_id), "{volume_id}");
        }
        assert!(!storage.holds("nas:backup/b"));
    }

    #[test]
    fn two_equal_tellings_are_one_backup_and_no_dispute() {
        let row = json!({"volid": "vault:backup/vm/204/2025-02-11T09:00:00Z", "content": "backup", "size": 5});
        let (mut found, mut gaps) = (Found::default(), Vec::new());
        for _ in 0..2 {
            found.take(rows(std::slice::from_ref(&row)), &mut gaps);
        }
        let storage = found.finish("vault");
        assert_eq!((storage.volumes.len(), storage.disputed.len(), gaps.len()), (1, 0, 0));
    }
}
