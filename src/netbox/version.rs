//! What a NetBox says about itself, and what differs between its releases.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;

/// The name under which the plugin stands in the status answer.
const PLUGIN: &str = "netbox_proxbox";

/// A release of NetBox. Suffixes such as `-Docker-3.2` are left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NetBoxVersion {
    /// 4 in 4.7.3.
    pub major: u16,
    /// 7 in 4.7.3.
    pub minor: u16,
    /// 3 in 4.7.3; 0 when not given.
    pub patch: u16,
}

impl NetBoxVersion {
    /// The release named by `text`: `4.7.3`, `v4.7`, `4.7.3-Docker-3.2.0`, `4.8.0-beta1`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.trim().trim_start_matches('v').splitn(3, '.').map(|part| {
            let digits: String = part.chars().take_while(char::is_ascii_digit).collect();
            digits.parse().ok()
        });
        Some(Self {
            major: parts.next()??,
            minor: parts.next()??,
            patch: parts.next().flatten().unwrap_or(0),
        })
    }

    const fn is_at_least(self, major: u16, minor: u16) -> bool {
        self.major > major || (self.major == major && self.minor >= minor)
    }

    /// Virtual machine types exist (4.6).
    pub const fn has_vm_types(self) -> bool {
        self.is_at_least(4, 6)
    }

    /// `add_tags` and `remove_tags` are understood (4.6); older releases ignore them silently.
    pub const fn has_add_tags(self) -> bool {
        self.is_at_least(4, 6)
    }

    /// Lists can be read from a given id on with `start` (4.6).
    pub const fn has_cursor_paging(self) -> bool {
        self.is_at_least(4, 6)
    }
}

impl fmt::Display for NetBoxVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// The answer of `GET /api/status/`.
#[derive(Debug, Clone)]
pub struct Status {
    /// The release.
    pub version: NetBoxVersion,
    /// Installed plugins: name and release.
    pub plugins: BTreeMap<String, String>,
}

impl Status {
    /// The release of the plugin netbox-proxbox, when it is installed.
    pub fn plugin_version(&self) -> Option<&str> {
        self.plugins.get(PLUGIN).map(String::as_str)
    }
}

impl<'de> Deserialize<'de> for Status {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = ReadStatus::deserialize(deserializer)?;
        let version = NetBoxVersion::parse(&read.netbox_version)
            .ok_or_else(|| serde::de::Error::custom("`netbox-version` is not a version"))?;
        let plugins = read.plugins.into_iter().map(|(name, version)| {
            let version = version.as_str().unwrap_or_default().to_owned();
            (name, version)
        });
        Ok(Self {
            version,
            plugins: plugins.collect(),
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct ReadStatus {
    netbox_version: String,
    #[serde(default)]
    plugins: BTreeMap<String, serde_json::Value>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_is_read_from_every_spelling() {
        let cases = [
            ("4.7.3", Some((4, 7, 3))),
            ("v4.6", Some((4, 6, 0))),
            ("4.5.8-Docker-3.2.0", Some((4, 5, 8))),
            ("4.8.0-beta1", Some((4, 8, 0))),
            ("4.7-dev", Some((4, 7, 0))),
            ("", None),
            ("four", None),
            ("4", None),
        ];
        for (text, expected) in cases {
            let expected = expected.map(|(major, minor, patch)| NetBoxVersion { major, minor, patch });
            assert_eq!(NetBoxVersion::parse(text), expected, "{text}");
        }
    }

    #[test]
    fn features_begin_with_their_release() {
        let cases = [("4.5.8", false), ("4.6.0", true), ("4.7.3", true), ("5.0.0", true)];
        for (text, expected) in cases {
            let version = NetBoxVersion::parse(text).unwrap();
            assert_eq!(version.has_cursor_paging(), expected, "{text}");
            assert_eq!(version.has_vm_types(), expected, "{text}");
            assert_eq!(version.has_add_tags(), expected, "{text}");
        }
    }
}
