//! Lists, decoded row by row: one odd row is named, never the loss of the list.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::wire;

/// Keys that name a row, best first.
const NAMES: &[&str] = &["id", "upid", "volid", "storage", "iface", "name", "vmid", "node", "sid"];

/// A decoded list.
#[derive(Debug, Clone, PartialEq)]
pub struct Rows<T> {
    /// The rows that could be read, in the order sent.
    pub items: Vec<T>,
    /// The rows that could not.
    pub rejected: Vec<RejectedRow>,
    /// On paged lists: how many rows there are in all.
    pub total: Option<u64>,
}

/// A row that is not what Proxmox sends there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectedRow {
    /// Its place in the list, from 0.
    pub index: usize,
    /// What it calls itself, where that can be told.
    pub id: Option<String>,
    /// What is wrong with it.
    pub reason: String,
}

impl<T: DeserializeOwned> Rows<T> {
    /// Decodes each row of `rows` on its own.
    pub fn decode(rows: impl IntoIterator<Item = Value>) -> Self {
        let mut decoded = Self {
            items: Vec::new(),
            rejected: Vec::new(),
            total: None,
        };
        for (index, row) in rows.into_iter().enumerate() {
            match T::deserialize(&row) {
                Ok(item) => decoded.items.push(item),
                Err(error) => decoded.rejected.push(RejectedRow {
                    index,
                    id: name_of(&row),
                    reason: error.to_string(),
                }),
            }
        }
        decoded
    }
}

fn name_of(row: &Value) -> Option<String> {
    NAMES.iter().find_map(|key| wire::text_of(row.get(key)?).ok().flatten())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxmox::types::ClusterResource;
    use serde_json::json;

    #[test]
    fn odd_row_is_named_and_the_others_stay() {
        let rows = vec![
            json!({"id": "qemu/100", "type": "qemu", "vmid": "100"}),
            json!({"id": "qemu/101", "type": "qemu", "vmid": "many"}),
            json!("no row at all"),
            json!({"id": "node/pve1", "type": "node"}),
        ];
        let rows: Rows<ClusterResource> = Rows::decode(rows);
        assert_eq!(rows.items.len(), 2);
        let named: Vec<_> = rows.rejected.iter().map(|row| (row.index, row.id.as_deref())).collect();
        assert_eq!(named, [(1, Some("qemu/101")), (2, None)]);
        assert!(rows.rejected[0].reason.contains("many"), "{:?}", rows.rejected);
    }
}
