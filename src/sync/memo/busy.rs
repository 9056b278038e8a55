//! Runs under way: what they use does not grow older.

use tokio::time::Instant;

use super::Place;

/// As long as it lives a run is under way, and what it uses does not grow older.
#[derive(Debug)]
pub(in crate::sync) struct Busy<'a> {
    place: Place<'a>,
    since: Instant,
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        let took = self.since.elapsed();
        self.place.with(|kept| {
            kept.running = kept.running.saturating_sub(1);
            kept.rejuvenate(took);
        });
    }
}

impl<'a> Place<'a> {
    /// Begins a run.
    pub(in crate::sync) fn busy(self) -> Busy<'a> {
        self.with(|kept| kept.running += 1);
        Busy {
            place: self,
            since: Instant::now(),
        }
    }
}
