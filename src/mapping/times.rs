//! Times.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Seconds since 1970 as NetBox is told an instant: ISO 8601 in UTC. `None` where they are none, such as 0.
pub fn instant(seconds: Option<i64>) -> Option<String> {
    let seconds = seconds.filter(|seconds| *seconds > 0)?;
    OffsetDateTime::from_unix_timestamp(seconds).ok()?.format(&Rfc3339).ok()
}

/// The reverse: the seconds since 1970 of an instant as NetBox tells it.
pub fn seconds(instant: &str) -> Option<i64> {
    OffsetDateTime::parse(instant, &Rfc3339)
        .ok()
        .map(OffsetDateTime::unix_timestamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_become_an_instant_in_utc_and_back() {
        for (given, expected) in [
            (Some(1_739_268_864), Some("2025-02-11T10:14:24Z")),
            (Some(0), None),
            (Some(-5), None),
            (Some(i64::MAX), None),
            (None, None),
        ] {
            assert_eq!(instant(given).as_deref(), expected, "{given:?}");
        }
        assert_eq!(seconds("2025-02-11T11:14:24.5+01:00"), Some(1_739_268_864));
        assert_eq!(seconds("yesterday"), None);
    }
}
