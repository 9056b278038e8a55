//! Typed values out of a row of settings.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::time::Duration;

use serde_json::{Map, Value};

use super::InvalidSetting;

/// What a row tells of itself besides settings.
const OF_THE_ROW: &[&str] = &[
    "id",
    "url",
    "display",
    "display_url",
    "created",
    "last_updated",
    "custom_fields",
    "tags",
    "owner",
    "encryption_key_configured",
];
const INT_MAX: u64 = 2_147_483_647;

/// Takes typed values out of a row and remembers which could not be taken.
pub(super) struct Reader<'a> {
    pub(super) row: &'a Map<String, Value>,
    pub(super) invalid: Vec<InvalidSetting>,
    pub(super) asked: BTreeSet<&'static str>,
}

impl<'a> Reader<'a> {
    /// The settings of the row that were not asked for.
    pub(super) fn unused(&self) -> Vec<String> {
        let known = |key: &str| self.asked.contains(key) || OF_THE_ROW.contains(&key);
        let mut unused: Vec<String> = self.row.keys().filter(|key| !known(key)).cloned().collect();
        unused.sort_unstable();
        unused
    }

    pub(super) fn refuse<T>(&mut self, key: &'static str, expected: &str) -> Option<T> {
        self.invalid.push(InvalidSetting {
            key,
            problem: format!("must be {expected}"),
        });
        None
    }

    /// The value as text or JSON; absent, null and blank mean that nothing is set.
    fn value(&mut self, key: &'static str) -> Option<&'a Value> {
        self.asked.insert(key);
        self.row
            .get(key)
            .filter(|value| !value.is_null() && value.as_str().is_none_or(|text| !text.trim().is_empty()))
    }

    pub(super) fn flag(&mut self, key: &'static str) -> Option<bool> {
        let value = self.value(key)?;
        if let Value::Bool(flag) = value {
            return Some(*flag);
        }
        let word = value
            .as_str()
            .map_or_else(|| value.to_string(), |text| text.trim().to_ascii_lowercase());
        match word.as_str() {
            "1" | "true" | "yes" | "on" => Some(true),
            "0" | "false" | "no" | "off" => Some(false),
            _ => self.refuse(key, "true or false"),
        }
    }

    pub(super) fn text(&mut self, key: &'static str) -> Option<String> {
        let text = self.value(key)?.as_str().map(|text| text.trim().to_owned());
        text.or_else(|| self.refuse(key, "a text"))
    }

    pub(super) fn choice(&mut self, key: &'static str, words: &[&str]) -> Option<String> {
        let word = self.text(key)?.to_ascii_lowercase();
        if words.contains(&word.as_str()) {
            Some(word)
        } else {
            self.refuse(key, &format!("one of {}", words.join(", ")))
        }
    }

    fn float(&mut self, key: &'static str, range: RangeInclusive<f64>) -> Option<f64> {
        let value = self.value(key)?;
        let found = value
            .as_str()
            .map_or_else(|| value.as_f64(), |text| text.trim().parse().ok());
        let expected = || format!("a number from {} to {}", range.start(), range.end());
        found
            .filter(|number| range.contains(number))
            .or_else(|| self.refuse(key, &expected()))
    }

    fn number(&mut self, key: &'static str, range: RangeInclusive<u64>) -> Option<u64> {
        let value = self.value(key)?;
        let found = value
            .as_str()
            .map_or_else(|| value.as_u64(), |text| text.trim().parse().ok());
        let expected = || format!("a whole number of at least {}", range.start());
        found
            .filter(|number| range.contains(number))
            .or_else(|| self.refuse(key, &expected()))
    }

    /// A number of things, for which 0 means that nothing is set.
    pub(super) fn count(&mut self, key: &'static str) -> Option<usize> {
        let found = self.number(key, 0..=INT_MAX).filter(|number| *number != 0);
        found.and_then(|number| usize::try_from(number).ok())
    }

    pub(super) fn retries(&mut self, key: &'static str) -> Option<u32> {
        self.number(key, 0..=INT_MAX)
            .and_then(|number| u32::try_from(number).ok())
    }

    /// A time limit, for which 0 means that nothing is set.
    pub(super) fn whole_seconds(&mut self, key: &'static str) -> Option<Duration> {
        self.number(key, 0..=86_400)
            .filter(|seconds| *seconds != 0)
            .map(Duration::from_secs)
    }

    pub(super) fn seconds(&mut self, key: &'static str, range: RangeInclusive<f64>) -> Option<Duration> {
        self.float(key, range).map(Duration::from_secs_f64)
    }
}
