//! Rows of NetBox that one endpoint's runs have read or written a short while ago. The stages of a job follow each other
//! within seconds, and what one has written the next would only read again.
//!
//! Rows are put away under the selection they were read by. What NetBox answers to a write replaces the rows put away, so
//! that they are as NetBox has them; where that cannot be told they are dropped.

use std::any::Any;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::time::Duration;

use serde::Deserialize as _;
use serde_json::Value;
use tokio::time::Instant;

use super::pace::Pace;
use crate::netbox::objects::Object;
use crate::reconcile::{ObjectId, Stored};
use crate::stages::{Parents, Selection};

/// The rows that are put away, and how NetBox takes others.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    /// How NetBox has taken what was written.
    pub(super) pace: Pace,
    entries: Vec<Entry>,
    /// Rows made, by path.
    made: HashMap<&'static str, Made>,
    /// When rows were last sent to be made, by path.
    sent: HashMap<&'static str, Instant>,
    /// How often rows were written, by path; and how often everything was forgotten.
    writes: HashMap<&'static str, u64>,
    clears: u64,
}

#[derive(Debug)]
struct Made {
    /// When the first of them was made.
    since: Instant,
    ids: HashSet<ObjectId>,
}

#[derive(Debug)]
struct Entry {
    path: &'static str,
    since: Instant,
    selections: Vec<Selection>,
    rows: Box<dyn Rows>,
}

/// Rows of one kind, whichever.
trait Rows: fmt::Debug + Send {
    fn as_any(&self) -> &dyn Any;
    /// Takes a row as NetBox has answered it; says whether it is one of these now. One that is not yet is only taken
    /// where `is_new`.
    fn take(&mut self, row: &Value, is_new: bool) -> bool;
}

#[derive(Debug)]
struct RowsOf<R>(BTreeMap<ObjectId, R>);

impl<R: Object> Rows for RowsOf<R> {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn take(&mut self, row: &Value, is_new: bool) -> bool {
        let Ok(read) = R::Read::deserialize(row) else {
            return false;
        };
        let stored: Stored<R> = read.into();
        if !is_new && !self.0.contains_key(&stored.id) {
            return false;
        }
        self.0.insert(stored.id, stored.object);
        true
    }
}

impl Shelf {
    /// Drops what is older than `ttl`.
    pub(super) fn keep_fresh(&mut self, ttl: Duration) {
        self.entries.retain(|entry| entry.since.elapsed() < ttl);
        self.made.retain(|_, made| made.since.elapsed() < ttl);
    }

    /// Takes what was put away for so much younger.
    pub(super) fn rejuvenate(&mut self, by: Duration) {
        let now = Instant::now();
        let entries = self.entries.iter_mut().map(|entry| &mut entry.since);
        let made = self.made.values_mut().map(|made| &mut made.since);
        // Those too: what was sent after something was made stays after it.
        for since in entries.chain(made).chain(self.sent.values_mut()) {
            *since = (*since + by).min(now);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.made.is_empty()
    }

    /// The rows of `selections`, where they are here.
    pub(super) fn find<R: Object>(&self, selections: &[Selection]) -> Option<Vec<Stored<R>>> {
        let mut entries = self.entries.iter().filter(|entry| entry.is_of(R::PATH, selections));
        let rows = entries.find_map(|entry| entry.rows.as_any().downcast_ref::<RowsOf<R>>())?;
        let stored = rows.0.iter().map(|(id, object)| Stored {
            id: *id,
            object: object.clone(),
        });
        Some(stored.collect())
    }

    /// How far writing to `path` has come: rows that were asked for before it went on are not what stands.
    pub(super) fn state_of(&self, path: &str) -> (u64, u64) {
        (self.writes.get(path).copied().unwrap_or_default(), self.clears)
    }

    /// Puts away the rows of `selections`, unless others were written since writing had come as far as `state`.
    pub(super) fn put_as_of<R: Object>(&mut self, state: (u64, u64), selections: &[Selection], rows: &[Stored<R>]) {
        if self.state_of(R::PATH) == state {
            self.put(selections, rows);
        }
    }

    /// Puts away the rows of `selections`.
    pub(super) fn put<R: Object>(&mut self, selections: &[Selection], rows: &[Stored<R>]) {
        let is_same = |entry: &Entry| entry.is_of(R::PATH, selections) && entry.rows.as_any().is::<RowsOf<R>>();
        self.entries.retain(|entry| !is_same(entry));
        let rows = rows.iter().map(|stored| (stored.id, stored.object.clone()));
        self.entries.push(Entry {
            path: R::PATH,
            since: Instant::now(),
            selections: selections.to_vec(),
            rows: Box::new(RowsOf(rows.collect())),
        });
    }

    /// Rows at `path` are about to be made.
    pub(super) fn about_to_make(&mut self, path: &'static str) {
        self.sent.insert(path, Instant::now());
    }

    /// Takes rows that were made for a pass over `selections`, as NetBox has answered them.
    pub(super) fn made(&mut self, path: &'static str, selections: &[Selection], rows: &[Value]) {
        *self.writes.entry(path).or_default() += 1;
        let made = self.made.entry(path).or_insert_with(|| Made {
            since: Instant::now(),
            ids: HashSet::new(),
        });
        let ids = rows
            .iter()
            .filter(|row| !has_children(row))
            .filter_map(|row| row.get("id")?.as_u64());
        made.ids.extend(ids.map(ObjectId));
        // Whether another selection holds them cannot be told.
        self.entries.retain_mut(|entry| {
            entry.path != path || entry.is_of(path, selections) && rows.iter().all(|row| entry.rows.take(row, true))
        });
    }

    /// Takes rows that were changed, as NetBox has answered them.
    pub(super) fn changed(&mut self, path: &'static str, rows: &[Value]) {
        *self.writes.entry(path).or_default() += 1;
        // A row that a selection does not hold may be one of it by now.
        self.entries
            .retain_mut(|entry| entry.path != path || rows.iter().all(|row| entry.rows.take(row, false)));
    }

    /// Forgets every row: some were deleted, and what hung on them with them, or nobody knows what came of a write.
    pub(super) fn clear(&mut self) {
        self.clears += 1;
        self.entries.clear();
        self.made.clear();
    }

    /// Whether nothing can hang on `parents` at `path`: all of them were made here, and nothing was made at `path` since.
    pub(super) fn is_barren(&self, parents: &Parents, path: &str) -> bool {
        self.made.get(parents.path).is_some_and(|made| {
            let is_untouched = self.sent.get(path).is_none_or(|sent| *sent < made.since);
            is_untouched && parents.ids.is_subset(&made.ids)
        })
    }
}

/// Whether something hangs on a row that was only just made, as on a device whose type has templates of interfaces.
fn has_children(row: &Value) -> bool {
    let counts = row.as_object().into_iter().flatten();
    let mut counts = counts.filter(|(name, _)| name.ends_with("_count"));
    counts.any(|(_, count)| count.as_u64() != Some(0))
}

impl Entry {
    fn is_of(&self, path: &str, selections: &[Selection]) -> bool {
        let filled = |selection: &&Selection| !selection.is_empty();
        let own = self.selections.iter().filter(filled).map(Selection::criteria);
        self.path == path && own.eq(selections.iter().filter(filled).map(Selection::criteria))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::netbox::objects::{Cluster, Device, DeviceInterface, Storage, VirtualMachine, VmInterface};
    use crate::reconcile::Resource as _;

    fn storage(id: u64, name: &str) -> Value {
        json!({"id": id, "name": name, "cluster": {"id": 1}, "tags": []})
    }

    fn stored(row: &Value) -> Stored<Storage> {
        <Storage as Object>::Read::deserialize(row).unwrap().into()
    }

    fn of_cluster(cluster: u64) -> Vec<Selection> {
        vec![Selection::with("cluster", &cluster)]
    }

    fn names(shelf: &Shelf, cluster: u64) -> Option<Vec<String>> {
        let rows = shelf.find::<Storage>(&of_cluster(cluster))?;
        Some(rows.into_iter().map(|stored| stored.object.name).collect())
    }

    fn two_clusters() -> Shelf {
        let mut shelf = Shelf::default();
        shelf.put(&of_cluster(1), &[stored(&storage(7, "nas"))]);
        shelf.put(&of_cluster(2), &[stored(&storage(8, "vault"))]);
        shelf
    }

    #[test]
    fn made_row_joins_its_own_selection_and_ends_the_others() {
        let mut shelf = two_clusters();
        shelf.made(Storage::PATH, &of_cluster(1), &[storage(9, "ceph")]);
        assert_eq!(names(&shelf, 1).unwrap(), ["nas", "ceph"]);
        assert_eq!(names(&shelf, 2), None);
    }

    #[test]
    fn changed_row_is_taken_where_it_was_and_ends_selections_it_may_have_joined() {
        let mut shelf = two_clusters();
        shelf.changed(Storage::PATH, &[storage(7, "nfs")]);
        assert_eq!(names(&shelf, 1).unwrap(), ["nfs"]);
        assert_eq!(names(&shelf, 2), None);
    }

    #[test]
    fn answer_that_was_overtaken_by_a_write_is_not_put_away() {
        let mut shelf = two_clusters();
        let rows = [stored(&storage(7, "nas"))];
        let before = shelf.state_of(Storage::PATH);
        shelf.made(Storage::PATH, &of_cluster(1), &[storage(9, "ceph")]);
        shelf.put_as_of(before, &of_cluster(1), &rows);
        assert_eq!(names(&shelf, 1).unwrap(), ["nas", "ceph"]);
        let before = shelf.state_of(Storage::PATH);
        shelf.changed(VirtualMachine::PATH, &[]);
        shelf.put_as_of(before, &of_cluster(1), &rows);
        assert_eq!(names(&shelf, 1).unwrap(), ["nas"], "of another path");
        let before = shelf.state_of(Storage::PATH);
        shelf.clear();
        shelf.put_as_of(before, &of_cluster(1), &rows);
        assert_eq!(names(&shelf, 1), None);
    }

    #[test]
    fn answer_that_cannot_be_read_ends_the_selection() {
        let mut shelf = two_clusters();
        shelf.changed(Storage::PATH, &[json!({"id": 7, "name": []})]);
        assert_eq!(names(&shelf, 1), None);
    }

    #[test]
    fn rows_of_another_selection_are_not_found() {
        assert_eq!(names(&two_clusters(), 3), None);
        let empty = vec![Selection::any_of("id", Vec::<u64>::new())];
        let with_empty = [of_cluster(1), empty].concat();
        assert!(two_clusters().find::<Storage>(&with_empty).is_some());
    }

    #[test]
    fn parent_that_was_made_with_children_is_not_barren() {
        let parents = |id: u64| Selection::all().below::<Device>([ObjectId(id)]).parents.unwrap();
        let mut shelf = Shelf::default();
        let made = [
            json!({"id": 7, "interface_count": 0, "inventory_item_count": 0}),
            json!({"id": 8, "interface_count": 4, "inventory_item_count": 0}),
            json!({"id": 9, "interface_count": null}),
        ];
        shelf.made(Device::PATH, &[], &made);
        let barren = [7, 8, 9].map(|id| shelf.is_barren(&parents(id), DeviceInterface::PATH));
        assert_eq!(barren, [true, false, false]);
    }

    #[tokio::test(start_paused = true)]
    async fn parents_are_barren_while_all_were_made_here_and_nothing_below_them() {
        let parents = |ids: &[u64]| {
            let ids = ids.iter().copied().map(ObjectId);
            Selection::all().below::<VirtualMachine>(ids).parents.unwrap()
        };
        let mut shelf = Shelf::default();
        assert!(!shelf.is_barren(&parents(&[]), VmInterface::PATH), "nothing is known");
        shelf.about_to_make(VmInterface::PATH);
        tokio::time::advance(Duration::from_secs(1)).await;
        shelf.made(VirtualMachine::PATH, &[], &[json!({"id": 7}), json!({"id": 8})]);
        assert!(shelf.is_barren(&parents(&[7, 8]), VmInterface::PATH));
        assert!(!shelf.is_barren(&parents(&[6, 7]), VmInterface::PATH), "6 stood before");
        tokio::time::advance(Duration::from_secs(1)).await;
        shelf.about_to_make(VmInterface::PATH);
        assert!(
            !shelf.is_barren(&parents(&[7, 8]), VmInterface::PATH),
            "they may have some by now"
        );
        assert!(shelf.is_barren(&parents(&[7, 8]), Cluster::PATH));
        tokio::time::advance(Duration::from_secs(1)).await;
        shelf.rejuvenate(Duration::from_secs(1));
        shelf.keep_fresh(Duration::from_secs(2));
        assert!(shelf.is_barren(&parents(&[7, 8]), Cluster::PATH));
        assert!(!shelf.is_barren(&parents(&[7, 8]), VmInterface::PATH));
        shelf.keep_fresh(Duration::from_secs(1));
        assert!(!shelf.is_barren(&parents(&[7, 8]), Cluster::PATH), "too long ago");
    }
}
