//! Rows that wait for being written, and those that are under way.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet, VecDeque};

use serde_json::Value;

use crate::reconcile::SideBySide;

/// Batches of one plan that are under way at once; the client may let fewer pass.
const MOST: usize = 4;

/// A row with a key.
pub(super) trait Keyed {
    fn key(&self) -> &str;
    /// What a field of a new row holds.
    fn value(&self, _field: &str) -> Option<&Value> {
        None
    }
}

/// Batches of rows, in order.
#[derive(Debug)]
pub(super) struct Queue<'a, E> {
    waiting: VecDeque<Vec<&'a E>>,
    side_by_side: SideBySide,
    /// The groups of rows that are under way, where that matters: no other row of them may be.
    busy: HashSet<Cow<'a, str>>,
}

impl<'a, E: Keyed> Queue<'a, E> {
    /// All of `rows`; where their groups are few, those are kept apart if that `is_worth_two` requests.
    pub(super) fn new(rows: &'a [E], side_by_side: SideBySide, is_worth_two: bool) -> Self {
        let mut queue = Self {
            waiting: VecDeque::new(),
            side_by_side,
            busy: HashSet::new(),
        };
        if matches!(side_by_side, SideBySide::OfOtherValues(_)) && is_worth_two {
            let mut groups: BTreeMap<_, Vec<&E>> = BTreeMap::new();
            for row in rows {
                groups.entry(queue.group(row)).or_default().push(row);
            }
            queue.waiting.extend(groups.into_values());
        } else {
            queue.waiting.push_back(rows.iter().collect());
        }
        queue
    }

    /// How many batches may be under way at once.
    pub(super) const fn most(&self) -> usize {
        match self.side_by_side {
            SideBySide::All | SideBySide::OfOtherParents | SideBySide::OfOtherValues(_) => MOST,
            SideBySide::None => 1,
        }
    }

    /// Into how many batches rows may be split to be under way at once.
    pub(super) const fn most_shares(&self) -> usize {
        match self.side_by_side {
            SideBySide::All | SideBySide::OfOtherParents => MOST,
            SideBySide::OfOtherValues(_) | SideBySide::None => 1,
        }
    }

    /// The next rows that may go: as many of the first batch that may as `share` says of its length, and the rest of the
    /// last one's group where that is little. A batch waits while the group of any of its rows is busy.
    pub(super) fn next(&mut self, share: impl Fn(usize) -> usize) -> Option<Vec<&'a E>> {
        (0..self.waiting.len()).find_map(|place| self.take(place, &share))
    }

    fn take(&mut self, place: usize, share: impl Fn(usize) -> usize) -> Option<Vec<&'a E>> {
        let mut batch = self.waiting.remove(place)?;
        let mut rest = batch.split_off(share(batch.len()).min(batch.len()));
        if let Some(last) = batch.last().and_then(|row| self.group(row)) {
            let of_last = |row: &&&E| self.group(row).is_some_and(|group| group == last);
            let more = rest.iter().take_while(of_last).count();
            if more <= batch.len() / 4 {
                batch.extend(rest.drain(..more));
            }
        }
        let groups: Vec<_> = batch.iter().filter_map(|row| self.group(row)).collect();
        if batch.is_empty() || groups.iter().any(|group| self.busy.contains(group)) {
            batch.append(&mut rest);
            self.waiting.insert(place, batch);
            return None;
        }
        self.busy.extend(groups);
        if !rest.is_empty() {
            self.waiting.insert(place, rest);
        }
        Some(batch)
    }

    /// `batch` is under way no more.
    pub(super) fn done(&mut self, batch: &[&'a E]) {
        for row in batch {
            if let Some(group) = self.group(row) {
                self.busy.remove(&group);
            }
        }
    }

    /// Lets `batch` be the next.
    pub(super) fn put_first(&mut self, batch: Vec<&'a E>) {
        self.waiting.push_front(batch);
    }

    /// Takes everything that waits.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = &'a E> {
        self.waiting.drain(..).flatten()
    }

    /// Which rows this one may not be under way with.
    fn group(&self, row: &'a E) -> Option<Cow<'a, str>> {
        match self.side_by_side {
            SideBySide::OfOtherParents => row.key().split('/').next().map(Cow::Borrowed),
            SideBySide::OfOtherValues(field) => Some(
                row.value(field)
                    .map_or_else(Cow::default, |value| value.to_string().into()),
            ),
            SideBySide::All | SideBySide::None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Keyed for &str {
        fn key(&self) -> &str {
            self
        }
    }

    const DISKS: [&str; 6] = ["1/a", "1/b", "1/c", "2/a", "3/a", "3/b"];

    fn next<'a>(queue: &mut Queue<'a, &'static str>, share: usize) -> Option<Vec<&'a &'static str>> {
        queue.next(|_| share)
    }

    #[test]
    fn rows_go_in_shares_whatever_is_under_way() {
        let mut queue = Queue::new(&DISKS, SideBySide::All, true);
        assert_eq!(next(&mut queue, 2).unwrap(), [&"1/a", &"1/b"]);
        assert_eq!(next(&mut queue, 2).unwrap(), [&"1/c", &"2/a"]);
        assert_eq!(next(&mut queue, 9).unwrap(), [&"3/a", &"3/b"]);
        assert_eq!(next(&mut queue, 9), None);
        assert_eq!(next(&mut Queue::new(&[], SideBySide::None, true), 9), None);
    }

    #[test]
    fn rows_of_one_parent_are_never_under_way_twice() {
        let mut queue = Queue::new(&DISKS, SideBySide::OfOtherParents, true);
        let first = next(&mut queue, 2).unwrap();
        assert_eq!(first, [&"1/a", &"1/b"]);
        assert_eq!(next(&mut queue, 9), None, "another one of parent 1 waits");
        queue.done(&first);
        let halved = next(&mut queue, 2).unwrap();
        assert_eq!(halved, [&"1/c", &"2/a"]);
        assert_eq!(next(&mut queue, 1).unwrap(), [&"3/a"]);
        queue.done(&halved);
        queue.put_first(halved[1..].to_vec());
        queue.put_first(halved[..1].to_vec());
        assert_eq!(next(&mut queue, 2).unwrap(), [&"1/c"]);
        assert_eq!(next(&mut queue, 2).unwrap(), [&"2/a"]);
        assert_eq!(next(&mut queue, 2), None, "another one of parent 3 is under way");
        assert_eq!(queue.drain().collect::<Vec<_>>(), [&"3/b"]);
    }

    #[test]
    fn little_that_is_left_of_a_parent_goes_along() {
        let mut queue = Queue::new(&DISKS, SideBySide::OfOtherParents, true);
        assert_eq!(next(&mut queue, 5).unwrap(), DISKS.each_ref());
    }

    /// A machine of a type.
    #[derive(Debug, PartialEq)]
    struct Machine(&'static str, Option<Value>);

    impl Keyed for Machine {
        fn key(&self) -> &str {
            self.0
        }
        fn value(&self, field: &str) -> Option<&Value> {
            self.1.as_ref().filter(|_| field == "type")
        }
    }

    fn machines() -> [Machine; 5] {
        let of = |name, kind| Machine(name, Some(Value::from(kind)));
        [of("a", 1), of("b", 2), of("c", 1), Machine("d", None), of("e", 2)]
    }

    fn names(batch: Option<Vec<&Machine>>) -> Vec<&str> {
        batch.unwrap_or_default().into_iter().map(|machine| machine.0).collect()
    }

    #[test]
    fn rows_of_other_values_go_side_by_side_where_that_is_worth_it() {
        let rows = machines();
        let mut queue = Queue::new(&rows, SideBySide::OfOtherValues("type"), true);
        assert_eq!(names(queue.next(|_| 9)), ["d"]);
        let first = queue.next(|_| 1).unwrap();
        assert_eq!(names(Some(first.clone())), ["a"]);
        assert_eq!(names(queue.next(|_| 9)), ["b", "e"], "another one of type 1 waits");
        assert!(queue.next(|_| 9).is_none());
        queue.done(&first);
        assert_eq!(names(queue.next(|_| 9)), ["c"]);
        assert!(queue.next(|_| 9).is_none());
    }

    #[test]
    fn few_rows_of_several_values_go_together_and_hold_the_others_up() {
        let rows = machines();
        let mut queue = Queue::new(&rows, SideBySide::OfOtherValues("type"), false);
        let first = queue.next(|_| 3).unwrap();
        assert_eq!(names(Some(first.clone())), ["a", "b", "c"]);
        assert!(queue.next(|_| 9).is_none());
        queue.done(&first);
        assert_eq!(names(queue.next(|_| 9)), ["d", "e"]);
    }
}
