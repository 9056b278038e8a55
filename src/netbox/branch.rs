//! Branches of the plugin netbox-branching.

use serde::Deserialize;
use serde_json::Value;
use tokio::sync::OnceCell;

use super::client::Client;
use super::error::Error;
use super::query::Query;

const BRANCHES: &str = "/api/plugins/branching/branches/";
const ID_LENGTH: usize = 8;

/// The branch a handle reads and writes.
#[derive(Debug)]
pub(super) struct Branch {
    pub(super) schema_id: String,
    /// Set once the branch was found ready. A NetBox without the plugin ignores the header and would write to main,
    /// so nothing is sent before.
    pub(super) checked: OnceCell<()>,
}

impl Branch {
    /// # Errors
    ///
    /// [`Error::Branch`] unless the id has eight characters, letters and digits; it is neither the key nor the name.
    pub(super) fn new(schema_id: &str) -> Result<Self, Error> {
        if schema_id.len() == ID_LENGTH && schema_id.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Ok(Self {
                schema_id: schema_id.to_owned(),
                checked: OnceCell::new(),
            });
        }
        let shown: String = schema_id.chars().filter(|c| !c.is_control()).take(32).collect();
        Err(failed(&shown, "a schema id has 8 letters and digits"))
    }
}

#[derive(Deserialize)]
struct ReadBranch {
    #[serde(default)]
    schema_id: Option<String>,
    #[serde(default)]
    status: Value,
}

fn failed(schema_id: &str, detail: impl Into<String>) -> Error {
    Error::Branch {
        schema_id: schema_id.to_owned(),
        detail: detail.into(),
    }
}

/// Whether the branch exists and is ready; `main` must be a handle without a branch.
pub(super) async fn check(main: &Client, schema_id: &str) -> Result<(), Error> {
    let query = Query::new().fields(&["schema_id", "status"]);
    let branches: Vec<ReadBranch> = match main.list(BRANCHES, &query).await {
        Err(Error::NoRoute { .. }) => return Err(failed(schema_id, "the plugin netbox-branching is not installed")),
        other => other?,
    };
    let branch = branches
        .iter()
        .find(|branch| branch.schema_id.as_deref() == Some(schema_id));
    let branch = branch.ok_or_else(|| failed(schema_id, "no such branch, or the token may not see it"))?;
    let status = branch
        .status
        .get("value")
        .unwrap_or(&branch.status)
        .as_str()
        .unwrap_or("unknown");
    if status == "ready" {
        Ok(())
    } else {
        Err(failed(schema_id, format!("not ready but {status}")))
    }
}
