//! What a guest's agent says of its operating system.

use serde::Deserialize;
use serde_json::Value;

use crate::proxmox::wire;

/// The answer of `agent/get-osinfo`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct GuestOs {
    /// The system's name, such as `Debian GNU/Linux`.
    #[serde(default, deserialize_with = "wire::text")]
    pub name: Option<String>,
    /// Its version, such as `12`.
    #[serde(default, rename = "version-id", deserialize_with = "wire::text")]
    pub version_id: Option<String>,
}

impl GuestOs {
    /// Reads an answer, with or without the agent's own envelope `result`.
    ///
    /// # Errors
    ///
    /// Where the answer is no object.
    pub fn decode(answer: &Value) -> Result<Self, serde_json::Error> {
        let inner = answer.get("result").unwrap_or(answer);
        Self::deserialize(inner)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn envelope_of_the_agent_is_taken_off_where_there_is_one() {
        let bare = json!({"name": "Debian GNU/Linux", "version-id": 12, "pretty-name": "x"});
        for answer in [bare.clone(), json!({ "result": bare })] {
            let os = GuestOs::decode(&answer).unwrap();
            assert_eq!(os.name.as_deref(), Some("Debian GNU/Linux"), "{answer}");
            assert_eq!(os.version_id.as_deref(), Some("12"), "{answer}");
        }
        assert!(GuestOs::decode(&json!("no")).is_err());
    }
}
