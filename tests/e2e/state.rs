//! Everything that a sync leaves in NetBox, and what differs between two moments.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::netbox::NetBox;

const COLLECTIONS: &[&str] = &[
    "dcim/devices",
    "dcim/interfaces",
    "dcim/mac-addresses",
    "dcim/platforms",
    "dcim/sites",
    "extras/tags",
    "ipam/ip-addresses",
    "ipam/vlans",
    "plugins/proxbox/backup-routines",
    "plugins/proxbox/backups",
    "plugins/proxbox/guest-vm-interface-addresses",
    "plugins/proxbox/guest-vm-interfaces",
    "plugins/proxbox/replications",
    "plugins/proxbox/snapshots",
    "plugins/proxbox/storage",
    "plugins/proxbox/sync-state/devices",
    "plugins/proxbox/sync-state/virtual-disks",
    "plugins/proxbox/sync-state/virtual-machines",
    "plugins/proxbox/sync-state/vm-interfaces",
    "plugins/proxbox/task-history",
    "virtualization/clusters",
    "virtualization/interfaces",
    "virtualization/virtual-disks",
    "virtualization/virtual-machines",
];
/// Fields that say when a row was written, not what it holds.
const STAMPS: &[&str] = &["created", "last_updated", "proxmox_last_updated", "last_run_id"];

/// Every row of every collection, by collection and id.
pub(crate) struct State(BTreeMap<&'static str, BTreeMap<u64, Value>>);

impl State {
    pub(crate) async fn read(netbox: &NetBox) -> Self {
        let mut state = BTreeMap::new();
        for collection in COLLECTIONS {
            let rows = netbox.rows(&format!("/api/{collection}/")).await;
            let keyed = rows.into_iter().map(|row| (row["id"].as_u64().unwrap(), row));
            state.insert(*collection, keyed.collect());
        }
        Self(state)
    }

    /// What became of rows since `earlier`: `collection + NAME`, `collection - NAME`, `collection NAME FIELD,FIELD`.
    pub(crate) fn changes_since(&self, earlier: &Self) -> BTreeSet<String> {
        let mut changes = BTreeSet::new();
        for (collection, rows) in &self.0 {
            let before = &earlier.0[collection];
            for (id, row) in rows {
                match before.get(id) {
                    None => {
                        changes.insert(format!("{collection} + {}", name(row)));
                    }
                    Some(old) => {
                        let fields = differing(old, row);
                        if !fields.is_empty() {
                            changes.insert(format!("{collection} {} {}", name(row), fields.join(",")));
                        }
                    }
                }
            }
            let gone = before.iter().filter(|(id, _)| !rows.contains_key(id));
            changes.extend(gone.map(|(_, row)| format!("{collection} - {}", name(row))));
        }
        changes
    }
}

fn name(row: &Value) -> &str {
    let of = |key: &str| row[key].as_str().filter(|text| !text.is_empty());
    of("name")
        .or_else(|| of("proxmox_vm_name"))
        .or_else(|| of("volume_id"))
        .or_else(|| of("display"))
        .unwrap()
}

fn differing(old: &Value, new: &Value) -> Vec<String> {
    let fields = new.as_object().unwrap().iter();
    // Counts of related rows follow from those.
    let changed = fields.filter(|(field, value)| {
        !STAMPS.contains(&field.as_str())
            && !field.ends_with("_count")
            && essence(&old[field.as_str()]) != essence(value)
    });
    changed.map(|(field, _)| field.clone()).collect()
}

/// A related row counts as its id.
fn essence(value: &Value) -> &Value {
    value.get("id").unwrap_or(value)
}
