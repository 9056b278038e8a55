//! The release of a server.

use serde::{Deserialize, Serialize};

use crate::proxmox::wire;

/// The answer of `version`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// Such as `9.2.4`, `8.4.1` or `6.2-4`.
    #[serde(deserialize_with = "wire::required_text")]
    pub version: String,
    /// Such as `9.2`.
    #[serde(default, deserialize_with = "wire::text")]
    pub release: Option<String>,
    /// The commit of the repository.
    #[serde(default, deserialize_with = "wire::text")]
    pub repoid: Option<String>,
    /// The preferred console viewer.
    #[serde(default, deserialize_with = "wire::text")]
    pub console: Option<String>,
}

impl Version {
    /// Major and minor number, for comparisons; a part that is no number counts as 0.
    pub fn number(&self) -> (u32, u32) {
        let mut parts = self.version.split(['.', '-']).map(|part| part.parse().unwrap_or(0));
        (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn version_of_every_release_has_a_number() {
        for (text, number) in [
            ("9.2.4", (9, 2)),
            ("8.4.1", (8, 4)),
            ("6.2-4", (6, 2)),
            ("10", (10, 0)),
            ("x", (0, 0)),
        ] {
            let version: Version = serde_json::from_value(json!({ "version": text })).unwrap();
            assert_eq!(version.number(), number, "{text}");
        }
    }
}
