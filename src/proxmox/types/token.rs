//! API tokens. Their secrets are told once, when they are made.

use serde::Deserialize;

use crate::proxmox::wire;

/// A row of `access/users/{user}/token`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ApiToken {
    /// Its name, the part after `!`.
    #[serde(deserialize_with = "wire::required_text")]
    pub tokenid: String,
    /// What the operator wrote about it.
    #[serde(default, deserialize_with = "wire::text")]
    pub comment: Option<String>,
    /// Whether it has rights of its own, within those of its user.
    #[serde(default, deserialize_with = "wire::flag")]
    pub privsep: bool,
    /// When it ends, in seconds since 1970; 0 or `None`: never.
    #[serde(default, deserialize_with = "wire::number")]
    pub expire: Option<i64>,
}
