//! Everything that a sync leaves in NetBox, and what differs between two moments.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::netbox::NetBox;

const COLLECTIONS: &[&str] = &[
    "dcim/device-roles",
    "dcim/device-types",
    "dcim/devices",
    "dcim/interfaces",
    "dcim/mac-addresses",
    "dcim/manufacturers",
    "dcim/platforms",
    "dcim/sites",
    "extras/journal-entries",
    "extras/tags",
    "ipam/ip-addresses",
    "ipam/prefixes",
    "ipam/route-targets",
    "ipam/vlan-groups",
    "ipam/vlans",
    "ipam/vrfs",
    "plugins/proxbox/backup-routines",
    "plugins/proxbox/backups",
    "plugins/proxbox/datacenter-cpu-models",
    "plugins/proxbox/firewall/aliases",
    "plugins/proxbox/firewall/ipset-entries",
    "plugins/proxbox/firewall/ipsets",
    "plugins/proxbox/firewall/options",
    "plugins/proxbox/firewall/rules",
    "plugins/proxbox/firewall/security-groups",
    "plugins/proxbox/guest-vm-interface-addresses",
    "plugins/proxbox/guest-vm-interfaces",
    "plugins/proxbox/proxmox-clusters",
    "plugins/proxbox/proxmox-nodes",
    "plugins/proxbox/replications",
    "plugins/proxbox/sdn-bindings",
    "plugins/proxbox/sdn-controllers",
    "plugins/proxbox/sdn-fabrics",
    "plugins/proxbox/sdn-prefix-lists",
    "plugins/proxbox/sdn-route-maps",
    "plugins/proxbox/sdn-subnets",
    "plugins/proxbox/sdn-vnets",
    "plugins/proxbox/sdn-zones",
    "plugins/proxbox/snapshots",
    "plugins/proxbox/storage",
    "plugins/proxbox/sync-state/cluster-groups",
    "plugins/proxbox/sync-state/cluster-types",
    "plugins/proxbox/sync-state/clusters",
    "plugins/proxbox/sync-state/device-roles",
    "plugins/proxbox/sync-state/device-types",
    "plugins/proxbox/sync-state/devices",
    "plugins/proxbox/sync-state/interfaces",
    "plugins/proxbox/sync-state/ip-addresses",
    "plugins/proxbox/sync-state/manufacturers",
    "plugins/proxbox/sync-state/sites",
    "plugins/proxbox/sync-state/virtual-disks",
    "plugins/proxbox/sync-state/virtual-machines",
    "plugins/proxbox/sync-state/vlans",
    "plugins/proxbox/sync-state/vm-interfaces",
    "plugins/proxbox/task-history",
    "plugins/proxbox/vm-cloudinit",
    "plugins/proxbox/vm-templates",
    "virtualization/cluster-groups",
    "virtualization/cluster-types",
    "virtualization/clusters",
    "virtualization/interfaces",
    "virtualization/virtual-disks",
    "virtualization/virtual-machine-types",
    "virtualization/virtual-machines",
    "vpn/l2vpn-terminations",
    "vpn/l2vpns",
];
/// Fields that say when a row was written, what it is called on a page, how busy something was at the moment, how many
/// others there are, or what another field says by name.
const LEFT_OUT: &[&str] = &[
    "id",
    "url",
    "display",
    "display_url",
    "created",
    "last_updated",
    "last_synced",
    "last_run_id",
    "proxmox_last_updated",
    "config_context",
    "cpu_usage",
    "cpu_usage_percent",
    "memory_usage",
    "memory_usage_percent",
    "count_ipaddresses",
    "tagged_items",
    "assigned_object_id",
];
/// Rows that another one hangs below.
const PARENTS: &[&str] = &[
    "virtual_machine",
    "virtual_disk",
    "vm_interface",
    "guest_interface",
    "assigned_object",
    "cluster",
    "device",
];
const NAMES: &[&str] = &[
    "upid",
    "volume_id",
    "replication_id",
    "job_id",
    "address",
    "name",
    "mac_address",
];

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

    /// What became of rows since `earlier`, a line each: `collection + NAME`, `collection - NAME`,
    /// `collection NAME FIELD: BEFORE -> AFTER`.
    pub(crate) fn changes_since(&self, earlier: &Self) -> Vec<String> {
        let mut changes = Vec::new();
        for (collection, rows) in &self.0 {
            let before = &earlier.0[collection];
            for (id, row) in rows {
                match before.get(id) {
                    None => changes.push(format!("{collection} + {}", name(row))),
                    Some(old) => {
                        let fields = differing(old, row);
                        changes.extend(fields.map(|field| format!("{collection} {} {field}", name(row))));
                    }
                }
            }
            let gone = before.iter().filter(|(id, _)| !rows.contains_key(id));
            changes.extend(gone.map(|(_, row)| format!("{collection} - {}", name(row))));
        }
        changes.sort();
        changes
    }
}

/// What a row is called, below its parents.
fn name(row: &Value) -> String {
    let own = NAMES.iter().find_map(|field| row[field].as_str());
    let own = own.or_else(|| row["display"].as_str()).unwrap_or_default();
    match PARENTS
        .iter()
        .map(|field| &row[field])
        .find(|parent| parent.is_object())
    {
        // A sync state, of which each has one.
        Some(parent) if own.ends_with("sync state") => name(parent),
        Some(parent) => format!("{}/{own}", name(parent)),
        None => own.to_owned(),
    }
}

fn differing(old: &Value, new: &Value) -> impl Iterator<Item = String> {
    let fields = new.as_object().unwrap().iter();
    fields.filter_map(|(field, value)| {
        let before = &old[field];
        let is_told = !LEFT_OUT.contains(&field.as_str()) && !field.ends_with("_count");
        let has_changed = is_told && identity(before) != identity(value);
        has_changed.then(|| format!("{field}: {} -> {}", essence(before), essence(value)))
    })
}

/// What a value is compared by: a related row by its id, which its name is no part of.
fn identity(value: &Value) -> &Value {
    let is_related = value.get("url").is_some();
    value.get("id").filter(|_| is_related).unwrap_or(value)
}

/// What a value is told as: a related row by its name, a choice by its value.
fn essence(value: &Value) -> Value {
    match value {
        Value::Object(fields) if fields.contains_key("url") => name(value).into(),
        Value::Object(fields) => fields.get("value").unwrap_or(value).clone(),
        _ => value.clone(),
    }
}
