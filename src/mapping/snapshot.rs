//! A guest's snapshot as the plugin's row of it.

use super::names::clean;
use super::times::instant;
use crate::netbox::ObjectId;
use crate::netbox::objects::Snapshot;
use crate::proxmox::types::{self, GuestKind, Vmid};

/// The guest that a snapshot is of, and its virtual machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotOwner<'a> {
    /// The virtual machine.
    pub machine: ObjectId,
    /// The guest's number.
    pub vmid: Vmid,
    /// The guest's kind.
    pub kind: GuestKind,
    /// The node that the guest is on.
    pub node: &'a str,
}

/// The row of `snapshot`; `None` for the row that stands for the guest as it is now.
pub fn snapshot(snapshot: &types::Snapshot, owner: SnapshotOwner<'_>) -> Option<Snapshot> {
    let parent = snapshot.parent.as_deref().map(clean);
    Some(Snapshot {
        virtual_machine: owner.machine,
        vmid: owner.vmid.0,
        name: clean(snapshot.real_name()?),
        node: clean(owner.node),
        description: snapshot.description.as_deref().map(clean).unwrap_or_default(),
        snaptime: instant(snapshot.snaptime),
        parent: parent.filter(|parent| !parent.is_empty()),
        subtype: owner.kind.to_string(),
        status: "active".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::reconcile::Resource;

    fn fields(row: Value) -> Option<Value> {
        let row: types::Snapshot = serde_json::from_value(row).unwrap();
        let owner = SnapshotOwner {
            machine: ObjectId(31),
            vmid: Vmid(204),
            kind: GuestKind::Qemu,
            node: "a2",
        };
        snapshot(&row, owner).map(|object| json!(object.fields()))
    }

    #[test]
    fn chain_of_snapshots_becomes_rows_with_parents_by_name() {
        let base = json!({
            "virtual_machine": 31, "vmid": 204, "node": "a2", "subtype": "qemu", "status": "active"
        });
        let with = |more: Value| {
            let mut row = base.clone();
            row.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            Some(row)
        };
        for (row, expected) in [
            (
                json!({"name": "pre-upgrade", "snaptime": 1_739_268_864, "description": "before 9.1\n"}),
                with(
                    json!({"name": "pre-upgrade", "description": "before 9.1", "parent": null,
                            "snaptime": "2025-02-11T10:14:24Z"}),
                ),
            ),
            (
                json!({"name": "post-upgrade", "parent": "pre-upgrade", "snaptime": "1739272464", "description": ""}),
                with(
                    json!({"name": "post-upgrade", "description": "", "parent": "pre-upgrade",
                            "snaptime": "2025-02-11T11:14:24Z"}),
                ),
            ),
            (
                json!({"name": "odd", "parent": "", "description": null}),
                with(json!({"name": "odd", "description": "", "parent": null})),
            ),
            (json!({"name": "current", "parent": "post-upgrade"}), None),
            (json!({"name": " ", "snaptime": 1_739_268_864}), None),
        ] {
            assert_eq!(fields(row.clone()), expected, "{row}");
        }
    }
}
