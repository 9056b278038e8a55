//! Paths and parameters: how a place in the API is named, safely, in both calling conventions.

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret as _, SecretString};

use super::error::Error;
use super::types::Vmid;

/// Everything but the unreserved characters of RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// Longest path; the server takes 8 KiB for all headers.
const PATH_LIMIT: usize = 2_000;

pub(super) fn encode(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

/// A valid path below `/api2/json`, without a leading slash.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Path {
    /// As a person reads it.
    pub(super) plain: String,
    /// As it stands in the URL.
    pub(super) encoded: String,
}

impl Path {
    /// Takes `text` apart at its slashes; one leading slash is harmless.
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let mut path = Self::default();
        for segment in text.strip_prefix('/').unwrap_or(text).split('/') {
            path = path.joined(segment).map_err(|reason| Error::InvalidPath {
                path: shown(text),
                reason,
            })?;
        }
        Ok(path)
    }

    /// This path and one more segment, in which a slash is part of the name.
    pub(super) fn child(&self, segment: &str) -> Result<Self, Error> {
        self.joined(segment).map_err(|reason| Error::InvalidPath {
            path: shown(&format!("{}/{segment}", self.plain)),
            reason,
        })
    }

    /// The longer path, or what is wrong with `segment`.
    fn joined(&self, segment: &str) -> Result<Self, &'static str> {
        let separator = if self.plain.is_empty() { "" } else { "/" };
        let path = Self {
            plain: format!("{}{separator}{segment}", self.plain),
            encoded: format!("{}{separator}{}", self.encoded, encode(segment)),
        };
        match segment {
            "" => Err("a segment is empty"),
            "." | ".." => Err("a segment is `.` or `..`"),
            text if text.chars().any(char::is_control) => Err("a segment holds control characters"),
            text if text.split('/').any(|part| part == "..") => Err("a segment holds `..`"),
            _ if path.encoded.len() > PATH_LIMIT => Err("it is too long"),
            _ => Ok(path),
        }
    }
}

fn shown(path: &str) -> String {
    path.chars()
        .map(|c| if c.is_control() { '\u{FFFD}' } else { c })
        .take(200)
        .collect()
}

/// The value of one parameter. Flags are sent as `0` and `1`, lists by repeating the key.
#[derive(Clone)]
pub enum Param {
    /// Text as it is.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// A flag.
    Flag(bool),
    /// One value each under the same key.
    List(Vec<String>),
    /// Text that must not be shown anywhere.
    Secret(SecretString),
    /// Not sent at all.
    Unset,
}

impl fmt::Debug for Param {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Secret(_) => formatter.write_str("[REDACTED]"),
            Self::Text(_) | Self::Integer(_) | Self::Flag(_) | Self::List(_) | Self::Unset => {
                write!(formatter, "{:?}", self.values())
            }
        }
    }
}

impl Param {
    fn values(&self) -> Vec<String> {
        match self {
            Self::Text(text) => vec![text.clone()],
            Self::Integer(number) => vec![number.to_string()],
            Self::Flag(flag) => vec![u8::from(*flag).to_string()],
            Self::List(values) => values.clone(),
            Self::Secret(secret) => vec![secret.expose_secret().to_owned()],
            Self::Unset => Vec::new(),
        }
    }
}

/// `parameters` as a query or a form body. Blanks are `%20`, which the server takes in both places.
pub(super) fn form(parameters: &[(&str, Param)]) -> SecretString {
    let mut pairs = Vec::with_capacity(parameters.len());
    for (key, value) in parameters {
        pairs.extend(
            value
                .values()
                .iter()
                .map(|value| format!("{}={}", encode(key), encode(value))),
        );
    }
    SecretString::from(pairs.join("&"))
}

impl From<&str> for Param {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Param {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<bool> for Param {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

impl From<i64> for Param {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<u32> for Param {
    fn from(number: u32) -> Self {
        Self::Integer(number.into())
    }
}

impl From<u64> for Param {
    fn from(number: u64) -> Self {
        Self::Text(number.to_string())
    }
}

impl From<Vmid> for Param {
    fn from(vmid: Vmid) -> Self {
        Self::Integer(vmid.0.into())
    }
}

impl From<Vec<String>> for Param {
    fn from(values: Vec<String>) -> Self {
        Self::List(values)
    }
}

impl From<SecretString> for Param {
    fn from(secret: SecretString) -> Self {
        Self::Secret(secret)
    }
}

impl<T: Into<Self>> From<Option<T>> for Param {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Unset, Into::into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_segments_are_encoded_one_by_one() {
        let table: &[(&str, &str)] = &[
            ("version", "version"),
            ("/cluster/status", "cluster/status"),
            ("nodes/pve 1/qemu", "nodes/pve%201/qemu"),
            ("access/users/a@pve/token/x", "access/users/a%40pve/token/x"),
            (
                "nodes/p/tasks/UPID:p:1:2:3:t::u@pam:",
                "nodes/p/tasks/UPID%3Ap%3A1%3A2%3A3%3At%3A%3Au%40pam%3A",
            ),
            ("a?b#c%2e", "a%3Fb%23c%252e"),
            (
                "nodes/p/storage/s/content/s:backup/f.zst",
                "nodes/p/storage/s/content/s%3Abackup/f.zst",
            ),
        ];
        for (text, wanted) in table {
            assert_eq!(Path::parse(text).unwrap().encoded, *wanted, "{text}");
        }
    }

    #[test]
    fn path_with_a_bad_segment_is_refused() {
        let long = "x".repeat(PATH_LIMIT + 1);
        for text in [
            "", "/", "a//b", "a/", "..", "a/../b", "a/./b", "a\n", "a/\u{0}b", "//a", &long,
        ] {
            assert!(matches!(Path::parse(text), Err(Error::InvalidPath { .. })), "{text:?}");
        }
        let base = Path::parse("nodes").unwrap();
        for segment in ["", "..", "x/../y", "a\r\nb"] {
            assert!(base.child(segment).is_err(), "{segment:?}");
        }
    }

    #[test]
    fn slash_inside_a_segment_is_part_of_the_name() {
        let path = Path::parse("nodes/p/storage/s/content")
            .unwrap()
            .child("s:backup/f.zst")
            .unwrap();
        assert_eq!(path.encoded, "nodes/p/storage/s/content/s%3Abackup%2Ff.zst");
    }

    #[test]
    fn parameters_are_sent_as_proxmox_reads_them() {
        let sent = form(&[
            ("online", true.into()),
            ("force", Param::Flag(false)),
            ("limit", 500_u32.into()),
            ("vmid", Vmid(100).into()),
            ("notes-template", "a b+c&d=é".into()),
            ("statusfilter", vec!["ok".to_owned(), "error".to_owned()].into()),
            ("since", None::<i64>.into()),
            ("password", SecretString::from("p w").into()),
        ]);
        assert_eq!(
            sent.expose_secret(),
            "online=1&force=0&limit=500&vmid=100&notes-template=a%20b%2Bc%26d%3D%C3%A9\
             &statusfilter=ok&statusfilter=error&password=p%20w"
        );
    }

    #[test]
    fn debug_of_a_secret_parameter_shows_nothing() {
        let shown = format!(
            "{:?}",
            [
                ("password", Param::from(SecretString::from("hunter2"))),
                ("a", "b".into())
            ]
        );
        assert!(!shown.contains("hunter2") && shown.contains('b'), "{shown}");
    }
}
