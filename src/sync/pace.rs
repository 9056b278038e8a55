//! How many rows one request that writes gets: as many as NetBox is used to take, and so few that several go side by side
//! where that is worth it.

use std::time::Duration;

/// How many rows the first request may have, and how many it may grow to.
const FIRST: usize = 100;
const LARGEST: usize = 200;
/// A request does not become smaller than this for that: each costs one more.
const SMALLEST: usize = 50;
/// A request that is answered faster than this lets the next one be larger.
const QUICK: Duration = Duration::from_millis(1_500);
/// How long rows have to take until they are worth another request beside the first, in ms.
const WANTED_MILLIS: f64 = 4_000.0;
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
    /// How many rows a request may have so that a plan of `rows`, each of which takes `row_millis` where `ROW_MILLIS` were
    /// measured, keeps `side_by_side` requests busy if it takes long enough for that.
    pub(super) fn cap(self, rows: usize, row_millis: u32, side_by_side: usize) -> usize {
        let millis = f64::from(row_millis) * self.slowness * to_number(rows);
        let shares = to_count((millis / WANTED_MILLIS).ceil()).clamp(1, side_by_side);
        rows.div_ceil(shares).max(SMALLEST)
    }

    /// How many of `rows` the next request gets, `cap` at most: shares of one size, so that the last is not a small one.
    /// A quarter more than usual is not worth a request of its own.
    pub(super) fn share(self, rows: usize, cap: usize) -> usize {
        let most = self.size + self.size / 4;
        let size = if rows <= most { most } else { self.size };
        rows.div_ceil(rows.div_ceil(size.min(cap)).max(1))
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

    /// How many rows each request of a plan gets.
    fn shares(pace: Pace, rows: usize, row_millis: u32) -> Vec<usize> {
        let cap = pace.cap(rows, row_millis, 4);
        let (mut shares, mut rest) = (Vec::new(), rows);
        while rest > 0 {
            shares.push(pace.share(rest, cap));
            rest -= shares[shares.len() - 1];
        }
        shares
    }

    #[test]
    fn shares_are_even_and_there_are_several_where_that_is_worth_it() {
        let pace = used_to(1);
        assert_eq!(pace.share(0, pace.cap(0, 20, 4)), 0);
        for (rows, row_millis, expected) in [
            (1, 20, vec![1]),
            (55, 40, vec![55]),
            (110, 40, vec![55; 2]),
            (157, 26, vec![79, 78]),
            (139, 24, vec![139]),
            (400, 24, vec![134, 133, 133]),
            (1_000, 24, vec![200; 5]),
            (1_000, 0, vec![200; 5]),
        ] {
            assert_eq!(
                shares(pace, rows, row_millis),
                expected,
                "{rows} rows of {row_millis} ms"
            );
        }
    }

    #[test]
    fn slow_one_gets_smaller_shares_but_not_tiny_ones() {
        assert_eq!(shares(used_to(2), 156, 15), [78; 2]);
        assert_eq!(shares(used_to(7), 156, 40), [39; 4]);
        assert_eq!(shares(used_to(70), 100, 40), [50; 2]);
        assert_eq!(shares(used_to(0), 156, 40), [156]);
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
        assert_eq!(shares(pace, 156, 15), [156]);
        pace.starts();
        pace.took(10, 20, Duration::from_secs(20));
        assert_eq!(shares(pace, 156, 15), [39; 4]);
    }

    #[test]
    fn first_ones_are_careful_and_those_after_too_large_ones_too() {
        let mut pace = Pace::default();
        assert_eq!(shares(pace, 125, 5), [125], "a little more than usual");
        assert_eq!(shares(pace, 126, 5), [63; 2]);
        pace.failed(100);
        assert_eq!(shares(pace, 150, 5), [50; 3]);
        pace.took(50, 5, QUICK);
        assert_eq!(shares(pace, 150, 5), [50; 3], "not quick");
        pace.took(50, 5, QUICK / 2);
        assert_eq!(shares(pace, 124, 5), [62; 2]);
        pace.failed(200);
        assert_eq!(shares(pace, 124, 5), [62; 2], "it has become smaller before");
        pace.failed(1);
        assert_eq!(pace.share(150, 150), 1);
    }
}
