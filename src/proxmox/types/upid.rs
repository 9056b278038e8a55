//! Task ids.

use std::fmt;
use std::str::FromStr;

/// A task's id, taken apart: `UPID:pve1:00001234:0000ABCD:65000000:qmstart:100:root@pam:`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Upid {
    text: String,
    /// The node it runs on.
    pub node: String,
    /// When it began, in seconds since 1970.
    pub starts_at: u64,
    /// Its type, such as `qmstart`.
    pub kind: String,
    /// What it works on: a guest's number, another word, or nothing.
    pub subject: String,
    /// Who started it; a token's name can follow after `!`.
    pub user: String,
}

/// A text that is no task id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no task id")]
pub struct UpidError(String);

impl Upid {
    /// The whole text.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Upid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl FromStr for Upid {
    type Err = UpidError;

    fn from_str(text: &str) -> Result<Self, UpidError> {
        let bad = || {
            UpidError(
                text.chars()
                    .filter(|character| !character.is_control())
                    .take(100)
                    .collect(),
            )
        };
        let parts: Vec<&str> = text.splitn(8, ':').collect();
        let ["UPID", node, pid, pstart, starts, kind, subject, user] = parts.as_slice() else {
            return Err(bad());
        };
        let number = |part: &str| u64::from_str_radix(part, 16).map_err(|_| bad());
        let (_, _) = (number(pid)?, number(pstart)?);
        if node.is_empty() || kind.is_empty() {
            return Err(bad());
        }
        Ok(Self {
            text: text.to_owned(),
            node: (*node).to_owned(),
            starts_at: number(starts)?,
            kind: (*kind).to_owned(),
            subject: (*subject).to_owned(),
            user: user.strip_suffix(':').unwrap_or(user).to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn id_is_taken_apart_whatever_its_subject_and_user_hold() {
        for (text, subject, user) in [
            (
                "UPID:pve1:00001234:0000ABCD:65000000:qmstart:100:root@pam:",
                "100",
                "root@pam",
            ),
            (
                "UPID:pve1:00001234:0000ABCDE:65000000:vzdump::root@pam!a-token:",
                "",
                "root@pam!a-token",
            ),
            (
                "UPID:pve1:00001234:0000ABCD:65000000:imgdel:100@local:root@pam:",
                "100@local",
                "root@pam",
            ),
        ] {
            let upid: Upid = text.parse().unwrap();
            assert_eq!(
                (upid.subject.as_str(), upid.user.as_str(), upid.starts_at),
                (subject, user, 0x6500_0000),
                "{text}"
            );
            assert_eq!(upid.to_string(), text);
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "UPID",
            "UPID:pve1:x:0:0:t::u:",
            "UPID::1:1:1:t::u:",
            "UPID:a:1:1:1:::u:",
            "OK",
        ] {
            assert!(text.parse::<Upid>().is_err(), "{text}");
        }
    }
}
