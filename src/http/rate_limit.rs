//! How often a source may ask: so many requests in any sixty seconds.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The span that requests are counted in.
pub(super) const SPAN: Duration = Duration::from_mins(1);
/// How many sources are counted at once. Beyond that the longest silent ones are forgotten.
const SOURCES: usize = 10_000;

/// The latest requests of each source.
#[derive(Debug)]
pub(super) struct RateLimiter {
    limit: usize,
    // A plain mutex: held to count, never across an await.
    sources: Mutex<HashMap<String, VecDeque<Instant>>>,
}

impl RateLimiter {
    /// Lets each source ask `limit` times in any sixty seconds.
    pub(super) fn new(limit: u32) -> Self {
        Self {
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
            sources: Mutex::default(),
        }
    }

    /// Counts a request of `source`; `false` where it is one too many, which does not count.
    pub(super) fn admits(&self, source: String) -> bool {
        let now = Instant::now();
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        if sources.len() >= SOURCES && !sources.contains_key(&source) {
            make_room(&mut sources, now);
        }
        let times = sources.entry(source).or_default();
        while times.front().is_some_and(|time| now.duration_since(*time) >= SPAN) {
            times.pop_front();
        }
        let is_admitted = times.len() < self.limit;
        if is_admitted {
            times.push_back(now);
        }
        is_admitted
    }
}

/// Forgets sources that have been silent, and the longest silent one where none has been for long.
fn make_room(sources: &mut HashMap<String, VecDeque<Instant>>, now: Instant) {
    let is_recent = |times: &VecDeque<Instant>| times.back().is_some_and(|time| now.duration_since(*time) < SPAN);
    sources.retain(|_, times| is_recent(times));
    if sources.len() >= SOURCES {
        let oldest = sources.iter().min_by_key(|(_, times)| times.back().copied());
        if let Some(oldest) = oldest.map(|(source, _)| source.clone()) {
            sources.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn source_over_its_limit_is_admitted_again_when_its_requests_are_old() {
        let limiter = RateLimiter::new(2);
        let admits = || limiter.admits("direct|192.0.2.7".to_owned());
        assert!(admits());
        tokio::time::advance(SPAN / 2).await;
        assert!(admits());
        assert!(!admits());
        assert!(limiter.admits("direct|192.0.2.8".to_owned()), "another source");
        tokio::time::advance(SPAN / 2).await;
        assert!(admits(), "the first request is a minute old");
        assert!(!admits(), "the second is not");
    }

    #[tokio::test(start_paused = true)]
    async fn sources_beyond_the_limit_push_out_the_longest_silent_one() {
        let limiter = RateLimiter::new(1);
        for number in 0..SOURCES {
            assert!(limiter.admits(number.to_string()));
            tokio::time::advance(Duration::from_micros(1)).await;
        }
        assert!(limiter.admits("another".to_owned()));
        assert_eq!(limiter.sources.lock().unwrap().len(), SOURCES);
        assert!(limiter.admits("0".to_owned()), "forgotten, so counted anew");
        assert!(!limiter.admits("2".to_owned()), "still counted");
    }
}
