//! Rows of `nodes/{node}/{kind}/{vmid}/snapshot`.

use serde::Deserialize;

use crate::proxmox::wire;

/// The name of the row that stands for the guest as it is now.
const NOW: &str = "current";

/// A snapshot of a guest, or the row that stands for the guest as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Snapshot {
    /// Its name, unique for the guest.
    #[serde(default, deserialize_with = "wire::text")]
    pub name: Option<String>,
    /// When it was taken, in seconds since 1970.
    #[serde(default, deserialize_with = "wire::number")]
    pub snaptime: Option<i64>,
    /// What the operator wrote about it; may end with a line feed.
    #[serde(default, deserialize_with = "wire::text")]
    pub description: Option<String>,
    /// The snapshot it was taken after.
    #[serde(default, deserialize_with = "wire::text")]
    pub parent: Option<String>,
    /// Whether it holds the memory too.
    #[serde(default, deserialize_with = "wire::flag")]
    pub vmstate: bool,
}

impl Snapshot {
    /// Its name, unless it has none or only stands for the guest as it is now.
    pub fn real_name(&self) -> Option<&str> {
        let name = self.name.as_deref().map(str::trim);
        name.filter(|name| !name.is_empty() && *name != NOW)
    }
}
