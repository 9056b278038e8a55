//! Rows that wait for being written, and those that are under way.

use std::collections::{HashSet, VecDeque};

use crate::reconcile::SideBySide;

/// Batches of one plan that are under way at once; the client may let fewer pass.
const MOST: usize = 4;

/// A row with a key.
pub(super) trait Keyed {
    fn key(&self) -> &str;
}

/// Batches of rows, in order.
#[derive(Debug)]
pub(super) struct Queue<'a, E> {
    waiting: VecDeque<Vec<&'a E>>,
    side_by_side: SideBySide,
    /// The parents of rows that are under way, where that matters.
    busy: HashSet<&'a str>,
}

impl<'a, E: Keyed> Queue<'a, E> {
    pub(super) fn new(rows: &'a [E], side_by_side: SideBySide) -> Self {
        Self {
            waiting: VecDeque::from([rows.iter().collect()]),
            side_by_side,
            busy: HashSet::new(),
        }
    }

    /// How many batches may be under way at once.
    pub(super) const fn most(&self) -> usize {
        match self.side_by_side {
            SideBySide::All | SideBySide::OfOtherParents => MOST,
            SideBySide::None => 1,
        }
    }

    /// The next rows that may go: as many of the batch whose turn it is as `share` says of its length, and the rest of the
    /// last one's parent where that is little. None while the parent of any of them is busy.
    pub(super) fn next(&mut self, share: impl FnOnce(usize) -> usize) -> Option<Vec<&'a E>> {
        let mut batch = self.waiting.pop_front().filter(|batch| !batch.is_empty())?;
        let mut rest = batch.split_off(share(batch.len()).min(batch.len()));
        if let Some(last) = batch.last().and_then(|row| self.parent(row)) {
            let more = rest.iter().take_while(|row| self.parent(row) == Some(last)).count();
            if more <= batch.len() / 4 {
                batch.extend(rest.drain(..more));
            }
        }
        let parents: Vec<&str> = batch.iter().filter_map(|row| self.parent(row)).collect();
        if parents.iter().any(|parent| self.busy.contains(parent)) {
            batch.append(&mut rest);
            self.waiting.push_front(batch);
            return None;
        }
        self.busy.extend(parents);
        if !rest.is_empty() {
            self.waiting.push_front(rest);
        }
        Some(batch)
    }

    /// `batch` is under way no more.
    pub(super) fn done(&mut self, batch: &[&'a E]) {
        for row in batch {
            if let Some(parent) = self.parent(row) {
                self.busy.remove(parent);
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

    fn parent(&self, row: &'a E) -> Option<&'a str> {
        let parent = row.key().split('/').next();
        parent.filter(|_| self.side_by_side == SideBySide::OfOtherParents)
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
        let mut queue = Queue::new(&DISKS, SideBySide::All);
        assert_eq!(next(&mut queue, 2).unwrap(), [&"1/a", &"1/b"]);
        assert_eq!(next(&mut queue, 2).unwrap(), [&"1/c", &"2/a"]);
        assert_eq!(next(&mut queue, 9).unwrap(), [&"3/a", &"3/b"]);
        assert_eq!(next(&mut queue, 9), None);
        assert_eq!(next(&mut Queue::new(&[], SideBySide::None), 9), None);
    }

    #[test]
    fn rows_of_one_parent_are_never_under_way_twice() {
        let mut queue = Queue::new(&DISKS, SideBySide::OfOtherParents);
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
        let mut queue = Queue::new(&DISKS, SideBySide::OfOtherParents);
        assert_eq!(next(&mut queue, 5).unwrap(), DISKS.each_ref());
    }
}
