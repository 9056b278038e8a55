//! How many rows one request that writes gets: as many as NetBox is used to take, and so few that several go side by side
//! where that is worth it.

use std::time::Duration;

/// How many rows the first request may have, and how many it may grow to.
const FIRST: usize = 100;
const LARGEST: usize = 200;
/// A request does not become smaller than this for that: each costs one more.
const SMALLEST: usize = 25;
/// A request that is answered faster than this lets the next one be larger.
const QUICK: Duration = Duration::from_secs(4);
/// How long rows have to take until they are worth another request beside the first, in ms, for each other plan that is
/// written meanwhile.
const WANTED_MILLIS: usize = 2_200;
/// The same for the second request where no other plan keeps NetBox busy.
const WANTED_ALONE_MILLIS: usize = 1_200;

/// How NetBox takes what is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pace {
    /// How many rows a request may have.
    size: usize,
}

impl Default for Pace {
    fn default() -> Self {
        Self { size: FIRST }
    }
}

impl Pace {
    /// How many rows a request may have so that a plan of `rows`, each of which takes `row_millis`
    /// ([`Resource::ROW_MILLIS`](crate::reconcile::Resource::ROW_MILLIS)), keeps `side_by_side` requests busy if that is worth
    /// it, which it is sooner the fewer other plans are written `beside` this one. A NetBox slower than that gets no more of
    /// them: what makes it slow would only be shared among more.
    pub(super) fn cap(rows: usize, row_millis: u32, side_by_side: usize, beside: usize) -> usize {
        let millis = rows.saturating_mul(row_millis as usize);
        let least = 1 + usize::from(Self::is_worth_two(rows, row_millis, beside));
        let requests = millis.div_ceil(WANTED_MILLIS * beside.max(1)).max(least);
        rows.div_ceil(requests.min(side_by_side)).max(SMALLEST)
    }

    /// Whether a plan of `rows` is worth two requests side by side, where it can be had in two.
    pub(super) fn is_worth_two(rows: usize, row_millis: u32, beside: usize) -> bool {
        let wanted = if beside == 0 {
            WANTED_ALONE_MILLIS
        } else {
            WANTED_MILLIS * beside
        };
        rows.saturating_mul(row_millis as usize) > wanted
    }

    /// How many of `rows` the next request gets, `cap` at most: shares of one size, so that the last is not a small one.
    /// A quarter more than usual is not worth a request of its own.
    pub(super) fn share(self, rows: usize, cap: usize) -> usize {
        let most = self.size + self.size / 4;
        let size = if rows <= most { most } else { self.size };
        rows.div_ceil(rows.div_ceil(size.min(cap)).max(1))
    }

    /// A request was written after `elapsed`.
    pub(super) fn took(&mut self, elapsed: Duration) {
        if elapsed < QUICK {
            self.size = (self.size + self.size.div_ceil(4)).min(LARGEST);
        }
    }

    /// A request with `rows` may have been too much for NetBox.
    pub(super) fn failed(&mut self, rows: usize) {
        self.size = self.size.min(rows / 2).max(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a NetBox gets that has answered quickly for a while.
    fn grown() -> Pace {
        let mut pace = Pace::default();
        for _ in 0..20 {
            pace.took(QUICK / 2);
        }
        pace
    }

    /// How many rows each request of a plan gets.
    fn shares(pace: Pace, rows: usize, row_millis: u32) -> Vec<usize> {
        let cap = Pace::cap(rows, row_millis, 4, 1);
        let (mut shares, mut rest) = (Vec::new(), rows);
        while rest > 0 {
            shares.push(pace.share(rest, cap));
            rest -= shares[shares.len() - 1];
        }
        shares
    }

    #[test]
    fn shares_are_even_and_there_are_several_where_that_is_worth_it() {
        let pace = grown();
        assert_eq!(pace.share(0, SMALLEST), 0);
        for (rows, row_millis, expected) in [
            (1, 20, vec![1]),
            (55, 40, vec![55]),
            (56, 40, vec![28; 2]),
            (157, 26, vec![79, 78]),
            (139, 15, vec![139]),
            (40, 80, vec![20; 2]),
            (400, 24, vec![100; 4]),
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
    fn second_request_comes_sooner_the_less_is_under_way() {
        for (rows, row_millis, side_by_side, beside, expected) in [
            (125, 15, 4, 1, 125),
            (125, 15, 4, 0, 63),
            (80, 15, 4, 0, 80),
            (55, 22, 4, 0, 28),
            (55, 22, 4, 1, 55),
            (125, 15, 1, 0, 125),
            (139, 26, 4, 1, 70),
            (139, 26, 4, 2, 139),
            (200, 26, 4, 2, 100),
            (157, 26, 4, 0, 79),
            (400, 24, 4, 0, 100),
        ] {
            let cap = Pace::cap(rows, row_millis, side_by_side, beside);
            assert_eq!(cap, expected, "{rows} rows of {row_millis} ms, {side_by_side} {beside}");
        }
    }

    #[test]
    fn first_ones_are_careful_and_those_after_too_large_ones_too() {
        let mut pace = Pace::default();
        assert_eq!(shares(pace, 125, 5), [125], "a little more than usual");
        assert_eq!(shares(pace, 126, 5), [63; 2]);
        pace.failed(100);
        assert_eq!(shares(pace, 150, 5), [50; 3]);
        pace.took(QUICK);
        assert_eq!(shares(pace, 150, 5), [50; 3], "not quick");
        pace.took(QUICK / 2);
        assert_eq!(shares(pace, 124, 5), [62; 2]);
        pace.failed(200);
        assert_eq!(shares(pace, 124, 5), [62; 2], "it has become smaller before");
        pace.failed(1);
        assert_eq!(pace.share(150, 150), 1);
    }
}
