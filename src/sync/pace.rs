//! How many rows one request that writes gets: as many as NetBox is used to take, and so few that it is done soon, because
//! then several go side by side.

use std::time::Duration;

/// How many rows the first request may have, and how many it may grow to.
const FIRST: usize = 100;
const LARGEST: usize = 200;
/// A request does not become smaller than this for being slow: each costs one more.
const SMALLEST: usize = 50;
/// A request that is answered faster than this lets the next one be larger.
const QUICK: Duration = Duration::from_millis(1_500);
/// How long a request should take at most, in ms.
const WANTED_MILLIS: f64 = 2_600.0;
/// What a request takes whatever its rows, in ms.
const REQUEST_MILLIS: f64 = 25.0;

/// How NetBox takes what is written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Pace {
    /// How many rows a request may have.
    size: usize,
    /// How long NetBox takes, compared with [`Resource::ROW_MILLIS`](crate::reconcile::Resource::ROW_MILLIS).
    slowness: f64,
    /// How many requests are under way.
    under_way: usize,
    /// Whether the latest of them went out alone.
    is_alone: bool,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            size: FIRST,
            slowness: 1.0,
            under_way: 0,
            is_alone: true,
        }
    }
}

impl Pace {
    /// How many of `rows`, each of which takes `row_millis` where `ROW_MILLIS` were measured, the next request gets:
    /// shares of one size, so that the last is not a small one.
    pub(super) fn share(self, rows: usize, row_millis: u32) -> usize {
        let soon = to_count((WANTED_MILLIS / (f64::from(row_millis) * self.slowness)).floor());
        let most = soon.clamp(SMALLEST, LARGEST).min(self.size);
        rows.div_ceil(rows.div_ceil(most).max(1))
    }

    /// A request goes out.
    pub(super) const fn starts(&mut self) {
        self.is_alone = self.under_way == 0;
        self.under_way += 1;
    }

    /// A request has been answered, whatever the answer.
    pub(super) const fn ends(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
    }

    /// A request with `rows` was written after `elapsed`. How slow NetBox is only those tell that nothing else went beside.
    pub(super) fn took(&mut self, rows: usize, row_millis: u32, elapsed: Duration) {
        if self.is_alone {
            let usual = REQUEST_MILLIS + f64::from(row_millis) * to_number(rows);
            self.slowness = f64::midpoint(self.slowness, elapsed.as_secs_f64() * 1_000.0 / usual);
        }
        if elapsed < QUICK {
            self.size = (self.size + self.size.div_ceil(4)).min(LARGEST);
        }
    }

    /// A request with `rows` may have been too much for NetBox.
    pub(super) fn failed(&mut self, rows: usize) {
        self.size = self.size.min(rows / 2).max(1);
    }
}

fn to_number(rows: usize) -> f64 {
    u32::try_from(rows).map_or(f64::INFINITY, f64::from)
}

/// Saturates, and takes what is no number for nothing.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "saturates, which is wanted"
)]
const fn to_count(rows: f64) -> usize {
    rows as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A NetBox that takes `times` as long as usual.
    fn used_to(times: u32) -> Pace {
        let mut pace = Pace::default();
        for _ in 0..20 {
            pace.took(10, 20, Duration::from_millis(225) * times);
        }
        pace
    }

    #[test]
    fn shares_are_even_and_as_large_as_the_kind_allows() {
        let pace = used_to(1);
        for (rows, row_millis, share) in [
            (0, 20, 0),
            (1, 20, 1),
            (55, 40, 55),
            (110, 24, 55),
            (156, 24, 78),
            (139, 15, 139),
            (1_000, 10, 200),
            (1_000, 0, 200),
        ] {
            assert_eq!(pace.share(rows, row_millis), share, "{rows} rows of {row_millis} ms");
        }
    }

    #[test]
    fn slow_one_gets_smaller_shares_but_not_tiny_ones() {
        assert_eq!(used_to(2).share(156, 15), 78);
        assert_eq!(used_to(7).share(156, 40), 39);
        assert_eq!(used_to(70).share(156, 40), 39);
        assert_eq!(used_to(0).share(156, 40), 156);
    }

    #[test]
    fn requests_side_by_side_do_not_tell_how_slow_netbox_is() {
        let mut pace = used_to(1);
        pace.starts();
        pace.starts();
        for _ in 0..2 {
            pace.took(10, 20, Duration::from_secs(20));
            pace.ends();
        }
        assert_eq!(pace.share(156, 15), 156);
        pace.starts();
        pace.took(10, 20, Duration::from_secs(20));
        assert_eq!(pace.share(156, 15), 39);
    }

    #[test]
    fn first_ones_are_careful_and_those_after_too_large_ones_too() {
        let mut pace = Pace::default();
        assert_eq!(pace.share(150, 5), 75);
        pace.failed(100);
        assert_eq!(pace.share(150, 5), 50);
        pace.took(50, 5, QUICK);
        assert_eq!(pace.share(150, 5), 50, "not quick");
        pace.took(50, 5, QUICK / 2);
        assert_eq!(pace.share(124, 5), 62);
        pace.failed(200);
        assert_eq!(pace.share(124, 5), 62, "it has become smaller before");
        pace.failed(1);
        assert_eq!(pace.share(150, 5), 1);
    }
}
