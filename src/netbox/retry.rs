//! When a failed request is repeated, and after which pause.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

/// No pause is longer, whatever NetBox asks for.
const LONGEST: Duration = Duration::from_secs(30);
/// How many repetitions a client may spend before good answers must earn new ones.
const BUDGET: u32 = 100;

/// The pause before repetition number `attempt` (from 0): what NetBox asked for, else a random part of
/// `base` × 2^`attempt`; at most 30 s. `random` stands for the share, over the whole range of the type.
pub(super) fn pause(base: Duration, attempt: u32, asked: Option<Duration>, random: u32) -> Duration {
    let ceiling = base.saturating_mul(2_u32.saturating_pow(attempt)).min(LONGEST);
    let jittered = ceiling.mul_f64(f64::from(random) / f64::from(u32::MAX));
    asked.map_or(jittered, |asked| asked.min(LONGEST))
}

/// A random share for [`pause`]; half when the system has no random numbers.
pub(super) fn share() -> u32 {
    getrandom::u32().unwrap_or(u32::MAX / 2)
}

/// The value of a `Retry-After` header: seconds, or a date.
pub(super) fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now).unwrap_or(Duration::ZERO))
}

/// Repetitions a client has left. A NetBox that is down is not asked six times by each of a thousand requests.
#[derive(Debug)]
pub(super) struct Budget(AtomicU32);

impl Budget {
    pub(super) const fn new() -> Self {
        Self(AtomicU32::new(BUDGET))
    }

    /// Takes one repetition; `false` when none is left.
    pub(super) fn take(&self) -> bool {
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1))
            .is_ok()
    }

    /// A good answer earns one repetition back.
    pub(super) fn earn(&self) {
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
            (left < BUDGET).then_some(left + 1)
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: Duration = Duration::from_secs(2);

    #[test]
    fn pause_doubles_is_jittered_and_capped() {
        let cases = [
            (0, u32::MAX, 2.0),
            (1, u32::MAX, 4.0),
            (3, u32::MAX, 16.0),
            (4, u32::MAX, 30.0),
            (200, u32::MAX, 30.0),
            (1, 0, 0.0),
        ];
        for (attempt, random, expected) in cases {
            let found = pause(BASE, attempt, None, random);
            assert!(
                (found.as_secs_f64() - expected).abs() < 0.001,
                "attempt {attempt}: {found:?}"
            );
        }
        assert!(pause(BASE, 0, None, u32::MAX / 2) < BASE);
    }

    #[test]
    fn pause_asked_for_wins_up_to_the_cap() {
        let cases = [(0, 0), (7, 7), (30, 30), (3600, 30)];
        for (asked, expected) in cases {
            let found = pause(BASE, 0, Some(Duration::from_secs(asked)), u32::MAX);
            assert_eq!(found, Duration::from_secs(expected), "asked for {asked}");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = httpdate::parse_http_date("Tue, 24 Nov 2026 08:00:00 GMT").unwrap();
        let cases = [
            ("7", Some(7)),
            (" 0 ", Some(0)),
            ("Tue, 24 Nov 2026 08:00:09 GMT", Some(9)),
            ("Tue, 24 Nov 2026 07:00:00 GMT", Some(0)),
            ("soon", None),
            ("-1", None),
        ];
        for (value, expected) in cases {
            assert_eq!(retry_after(value, now), expected.map(Duration::from_secs), "{value}");
        }
    }

    #[test]
    fn budget_ends_and_is_earned_back_by_good_answers() {
        let budget = Budget::new();
        let taken = std::iter::repeat_with(|| budget.take())
            .take_while(|taken| *taken)
            .take(1000)
            .count();
        assert_eq!(taken, BUDGET as usize);
        budget.earn();
        assert!(budget.take());
        assert!(!budget.take());
    }
}
