//! The keys of a Proxmox configuration file, kept small.

use std::borrow::Cow;

use serde_json::{Map, Value};

/// One value of a configuration: Proxmox sends texts and whole numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Setting {
    /// A text, property strings included.
    Text(Box<str>),
    /// A whole number, flags included.
    Number(i64),
}

impl From<&str> for Setting {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Setting {
    fn from(text: String) -> Self {
        Self::Text(text.into_boxed_str())
    }
}

impl From<i64> for Setting {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl From<&Setting> for Value {
    fn from(setting: &Setting) -> Self {
        match setting {
            Setting::Text(text) => Self::from(&**text),
            Setting::Number(number) => Self::from(*number),
        }
    }
}

/// An ordered map of configuration keys. A sorted list, since ten thousand guests have twenty keys each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings(Vec<(Cow<'static, str>, Setting)>);

impl Settings {
    /// No keys.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<&Setting> {
        let index = self.0.binary_search_by(|(name, _)| (**name).cmp(key)).ok()?;
        self.0.get(index).map(|(_, setting)| setting)
    }

    /// The value of `key` where it is a text.
    pub fn text(&self, key: &str) -> Option<&str> {
        match self.get(key)? {
            Setting::Text(text) => Some(text),
            Setting::Number(_) => None,
        }
    }

    /// Sets `key`, replacing an earlier value.
    pub fn set(&mut self, key: impl Into<Cow<'static, str>>, value: impl Into<Setting>) {
        let key = key.into();
        match self.0.binary_search_by(|(name, _)| name.cmp(&key)) {
            Ok(index) => {
                if let Some(entry) = self.0.get_mut(index) {
                    entry.1 = value.into();
                }
            }
            Err(index) => self.0.insert(index, (key, value.into())),
        }
    }

    /// The same settings with `key` set.
    #[must_use]
    pub fn with(mut self, key: impl Into<Cow<'static, str>>, value: impl Into<Setting>) -> Self {
        self.set(key, value);
        self
    }

    /// Takes `key` away; tells whether it was there.
    pub fn remove(&mut self, key: &str) -> bool {
        let found = self.0.binary_search_by(|(name, _)| (**name).cmp(key));
        if let Ok(index) = found {
            self.0.remove(index);
        }
        found.is_ok()
    }

    /// All keys and values, sorted by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Setting)> {
        self.0.iter().map(|(key, setting)| (&**key, setting))
    }

    /// Writes every key into `row`.
    pub(in crate::proxmox::mock) fn write_into(&self, row: &mut Map<String, Value>) {
        for (key, setting) in self.iter() {
            row.insert(key.to_owned(), setting.into());
        }
    }
}

/// The option `key` of a property string such as `local-lvm:vm-100-disk-0,size=32G`.
pub fn property<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.split(',')
        .find_map(|part| part.strip_prefix(key)?.strip_prefix('='))
}

/// Bytes of a size as Proxmox writes it: `32G`, `4M`, `528K`, or plain bytes.
pub fn size_bytes(text: &str) -> Option<u64> {
    let (digits, unit) = match text.char_indices().next_back()? {
        (at, 'K') => (text.get(..at)?, 1 << 10),
        (at, 'M') => (text.get(..at)?, 1 << 20),
        (at, 'G') => (text.get(..at)?, 1 << 30),
        (at, 'T') => (text.get(..at)?, 1 << 40),
        _ => (text, 1_u64),
    };
    digits.parse::<u64>().ok().map(|number| number * unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_in_every_unit() {
        for (text, bytes) in [
            ("32G", Some(32 << 30)),
            ("4M", Some(4 << 20)),
            ("528K", Some(528 << 10)),
            ("2T", Some(2 << 40)),
            ("370", Some(370)),
            ("", None),
            ("G", None),
        ] {
            assert_eq!(size_bytes(text), bytes, "{text:?}");
        }
    }

    #[test]
    fn setting_a_key_twice_keeps_the_last_value_and_the_order() {
        let mut settings = Settings::new().with("scsi0", "a").with("net0", "b");
        settings.set("scsi0", "c");
        let keys: Vec<_> = settings.iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["net0", "scsi0"]);
        assert_eq!(settings.text("scsi0"), Some("c"));
        assert!(settings.remove("net0") && !settings.remove("net0"));
    }
}
