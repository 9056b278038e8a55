//! L2VPNs, the objects at their ends, and the route targets that they take routes by.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::Object;
use super::assignment::{Assignment, put_assignment};
use super::shape::{Choice, Nested, put};
use crate::reconcile::{Fields, ObjectId, Resource, Stored};

/// A route target. NetBox allows each name once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteTarget {
    /// Its name, at most 21 characters.
    pub name: String,
    /// At most 200 characters.
    pub description: Option<String>,
}

impl Resource for RouteTarget {
    const PATH: &'static str = "/api/ipam/route-targets/";
    const KIND: &'static str = "route target";
    type Key = String;

    fn key(&self) -> String {
        self.name.clone()
    }

    fn fields(&self) -> Fields {
        let mut fields = Fields::from([("name", self.name.clone().into())]);
        put(&mut fields, "description", self.description.clone());
        fields
    }
}

/// A row as NetBox answers it.
#[derive(Debug, Deserialize)]
pub struct RouteTargetRead {
    id: ObjectId,
    name: String,
    description: String,
}

impl From<RouteTargetRead> for Stored<RouteTarget> {
    fn from(row: RouteTargetRead) -> Self {
        let object = RouteTarget {
            name: row.name,
            description: Some(row.description),
        };
        Self { id: row.id, object }
    }
}

impl Object for RouteTarget {
    type Read = RouteTargetRead;
    const MODEL: &'static str = "ipam.routetarget";
    const READ_FIELDS: &'static [&'static str] = &["id", "name", "description"];
}

/// An L2VPN. Export targets are an operator's: it is made without any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct L2vpn {
    /// Its name, at most 100 characters.
    pub name: String,
    /// Its slug, at most 100 characters; its key.
    pub slug: String,
    /// Its kind: `vxlan-evpn` or `vxlan`.
    pub kind: String,
    /// Its status word.
    pub status: String,
    /// Its number.
    pub identifier: Option<i64>,
    /// The route targets whose routes it takes in, where all of them are known.
    pub import_targets: Option<BTreeSet<ObjectId>>,
    /// At most 200 characters.
    pub description: String,
}

impl Resource for L2vpn {
    const PATH: &'static str = "/api/vpn/l2vpns/";
    const KIND: &'static str = "L2VPN";
    type Key = String;

    fn key(&self) -> String {
        self.slug.clone()
    }

    fn label(&self) -> String {
        self.name.clone()
    }

    fn fields(&self) -> Fields {
        let targets = self.import_targets.as_ref();
        let targets: Option<Vec<u64>> = targets.map(|targets| targets.iter().map(|id| id.0).collect());
        let mut fields = Fields::from([
            ("name", self.name.clone().into()),
            ("slug", self.slug.clone().into()),
            ("type", self.kind.clone().into()),
            ("status", self.status.clone().into()),
            ("description", self.description.clone().into()),
        ]);
        put(&mut fields, "import_targets", targets);
        put(&mut fields, "identifier", self.identifier);
        fields
    }
}

/// A row as NetBox answers it.
#[derive(Debug, Deserialize)]
pub struct L2vpnRead {
    id: ObjectId,
    name: String,
    slug: String,
    #[serde(rename = "type")]
    kind: Option<Choice>,
    status: Choice,
    identifier: Option<i64>,
    import_targets: Vec<Nested>,
    description: String,
}

impl From<L2vpnRead> for Stored<L2vpn> {
    fn from(row: L2vpnRead) -> Self {
        let object = L2vpn {
            name: row.name,
            slug: row.slug,
            kind: row.kind.map(|kind| kind.value).unwrap_or_default(),
            status: row.status.value,
            identifier: row.identifier,
            import_targets: Some(row.import_targets.into_iter().map(|target| target.id).collect()),
            description: row.description,
        };
        Self { id: row.id, object }
    }
}

impl Object for L2vpn {
    type Read = L2vpnRead;
    const MODEL: &'static str = "vpn.l2vpn";
    const READ_FIELDS: &'static [&'static str] = &[
        "id",
        "name",
        "slug",
        "type",
        "status",
        "identifier",
        "import_targets",
        "description",
    ];
}

/// An object at an end of an L2VPN. An object is at the end of one L2VPN at most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct L2vpnTermination {
    /// The L2VPN.
    pub l2vpn: ObjectId,
    /// The object.
    pub assigned: Assignment,
}

impl Resource for L2vpnTermination {
    const PATH: &'static str = "/api/vpn/l2vpn-terminations/";
    const KIND: &'static str = "L2VPN termination";
    type Key = String;

    fn key(&self) -> String {
        self.assigned.to_string()
    }

    fn fields(&self) -> Fields {
        let mut fields = Fields::from([("l2vpn", self.l2vpn.0.into())]);
        put_assignment(&mut fields, Some(&self.assigned));
        fields
    }
}

/// A row as NetBox answers it.
#[derive(Debug, Deserialize)]
pub struct L2vpnTerminationRead {
    id: ObjectId,
    l2vpn: Nested,
    assigned_object_type: String,
    assigned_object_id: ObjectId,
}

impl From<L2vpnTerminationRead> for Stored<L2vpnTermination> {
    fn from(row: L2vpnTerminationRead) -> Self {
        let object = L2vpnTermination {
            l2vpn: row.l2vpn.id,
            assigned: Assignment::to(row.assigned_object_type, row.assigned_object_id),
        };
        Self { id: row.id, object }
    }
}

impl Object for L2vpnTermination {
    type Read = L2vpnTerminationRead;
    const MODEL: &'static str = "vpn.l2vpntermination";
    const READ_FIELDS: &'static [&'static str] = &["id", "l2vpn", "assigned_object_type", "assigned_object_id"];
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rows_of_netbox_decode_into_the_objects_they_were_made_from() {
        let row = json!({
            "id": 5, "name": "Proxbox lab / lab / wide1 / vnet2", "slug": "proxbox-1-lab-wide1-vnet2",
            "type": {"value": "vxlan-evpn", "label": "VXLAN-EVPN"}, "status": {"value": "active", "label": "Active"},
            "identifier": 10001, "import_targets": [{"id": 9, "name": "b"}, {"id": 8, "name": "a"}], "description": "x"
        });
        let stored: Stored<L2vpn> = serde_json::from_value::<L2vpnRead>(row).unwrap().into();
        let expected = json!({
            "name": "Proxbox lab / lab / wide1 / vnet2", "slug": "proxbox-1-lab-wide1-vnet2", "type": "vxlan-evpn",
            "status": "active", "identifier": 10001, "import_targets": [8, 9], "description": "x"
        });
        assert_eq!(json!(stored.object.fields()), expected);
        let row = json!({
            "id": 6, "l2vpn": {"id": 5}, "assigned_object_type": "ipam.vlan", "assigned_object_id": 12
        });
        let stored: Stored<L2vpnTermination> = serde_json::from_value::<L2vpnTerminationRead>(row).unwrap().into();
        let expected = json!({"l2vpn": 5, "assigned_object_type": "ipam.vlan", "assigned_object_id": 12});
        assert_eq!(json!(stored.object.fields()), expected);
    }
}
