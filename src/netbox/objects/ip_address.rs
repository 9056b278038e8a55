//! IP addresses.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::assignment::{Assignment, assigned_key, put_assignment};
use super::shape::{Choice, Nested, Tagged, id, put, put_tags, slugs};
use super::{Object, PROXBOX_TAG};
use crate::reconcile::{Fields, ObjectId, Resource, SideBySide, Stored};

/// An IP address. In the global table NetBox takes each host address once, whatever its mask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IpAddress {
    /// The host's address.
    pub host: IpAddr,
    /// The length of the network's prefix; a row that is not to be renumbered does not say it.
    pub prefix: Option<u8>,
    /// The interface that has it.
    pub assigned: Option<Assignment>,
    /// The table that it is in; `None` is the global one. Never written.
    pub vrf: Option<ObjectId>,
    /// Its status word.
    pub status: Option<String>,
    /// Its DNS name, in lower case.
    pub dns_name: Option<String>,
    /// Slugs of its tags.
    pub tags: BTreeSet<String>,
    /// The addresses outside that are translated to it. Never written.
    pub outside: BTreeSet<ObjectId>,
    /// Whether an operator has written something into the row that this service never writes. Never written.
    pub is_annotated: bool,
}

impl IpAddress {
    /// The key of `host` on what it is assigned to.
    pub fn key_of(host: IpAddr, assigned: Option<&Assignment>) -> String {
        assigned_key(&host.to_string(), assigned)
    }

    /// The interface of a virtual machine that has it.
    pub fn vm_interface(&self) -> Option<ObjectId> {
        self.assigned.as_ref().and_then(Assignment::vm_interface)
    }
}

impl Resource for IpAddress {
    const PATH: &'static str = "/api/ipam/ip-addresses/";
    const KIND: &'static str = "IP address";
    const IS_UNIQUE: bool = false;
    const ROW_MILLIS: u32 = 31;
    /// NetBox makes addresses under a lock.
    const SIDE_BY_SIDE: SideBySide = SideBySide::None;
    type Key = String;

    fn key(&self) -> String {
        Self::key_of(self.host, self.assigned.as_ref())
    }

    fn label(&self) -> String {
        self.host.to_string()
    }

    fn fields(&self) -> Fields {
        let mut fields = Fields::new();
        let address = self.prefix.map(|prefix| format!("{}/{prefix}", self.host));
        put(&mut fields, "address", address);
        put_assignment(&mut fields, self.assigned.as_ref());
        put(&mut fields, "status", self.status.clone());
        put(&mut fields, "dns_name", self.dns_name.clone());
        put_tags(&mut fields, &self.tags);
        fields
    }
}

/// A row as NetBox answers it.
#[derive(Debug, Deserialize)]
pub struct IpAddressRead {
    id: ObjectId,
    address: Cidr,
    assigned_object_type: Option<String>,
    assigned_object_id: Option<ObjectId>,
    vrf: Option<Nested>,
    #[serde(default)]
    nat_inside: Option<Nested>,
    #[serde(default)]
    nat_outside: Vec<Nested>,
    status: Option<Choice>,
    dns_name: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    comments: String,
    tenant: Option<Nested>,
    role: Option<Choice>,
    #[serde(default)]
    owner: Option<Nested>,
    #[serde(default)]
    custom_fields: Option<Map<String, Value>>,
    tags: Vec<Tagged>,
}

/// An address with its mask: `10.0.0.1/24`.
#[derive(Debug, Clone, Copy)]
struct Cidr(IpAddr, u8);

impl<'de> Deserialize<'de> for Cidr {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let parts = text.split_once('/');
        let parsed = parts.and_then(|(host, prefix)| Some(Self(host.parse().ok()?, prefix.parse().ok()?)));
        parsed.ok_or_else(|| D::Error::custom(format!("{text:?} is no address with a mask")))
    }
}

impl From<IpAddressRead> for Stored<IpAddress> {
    fn from(row: IpAddressRead) -> Self {
        let Cidr(host, prefix) = row.address;
        let tags = slugs(row.tags);
        let has_text = !(row.description.is_empty() && row.comments.is_empty());
        let has_tags = tags.iter().any(|slug| slug != PROXBOX_TAG);
        let relations = [&row.vrf, &row.nat_inside, &row.tenant, &row.owner];
        let has_relations = relations.into_iter().any(Option::is_some);
        let mut values = row.custom_fields.iter().flat_map(Map::values);
        let has_values = values.any(|value| !value.is_null());
        let outside: BTreeSet<ObjectId> = row.nat_outside.into_iter().map(|outside| outside.id).collect();
        let has_outside = !outside.is_empty();
        let object = IpAddress {
            host,
            prefix: Some(prefix),
            assigned: Assignment::of(row.assigned_object_type, row.assigned_object_id),
            vrf: id(row.vrf),
            status: row.status.map(|status| status.value),
            dns_name: Some(row.dns_name),
            tags,
            outside,
            is_annotated: has_text || has_tags || has_relations || has_outside || has_values || row.role.is_some(),
        };
        Self { id: row.id, object }
    }
}

impl Object for IpAddress {
    type Read = IpAddressRead;
    const MODEL: &'static str = "ipam.ipaddress";
    const READ_FIELDS: &'static [&'static str] = &[
        "id",
        "address",
        "assigned_object_type",
        "assigned_object_id",
        "vrf",
        "nat_inside",
        "nat_outside",
        "status",
        "dns_name",
        "description",
        "comments",
        "tenant",
        "role",
        "owner",
        "custom_fields",
        "tags",
    ];
}

/// Who has an IP address, in NetBox's words; read only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IpAddressHolder {
    /// The address as NetBox shows it.
    pub address: String,
    /// The virtual machine or device, and its interface.
    pub holder: Option<String>,
}

impl Resource for IpAddressHolder {
    const PATH: &'static str = IpAddress::PATH;
    const KIND: &'static str = IpAddress::KIND;
    type Key = String;

    fn key(&self) -> String {
        self.address.clone()
    }

    fn fields(&self) -> Fields {
        Fields::new()
    }
}

/// A row as NetBox answers it.
#[derive(Debug, Deserialize)]
pub struct IpAddressHolderRead {
    id: ObjectId,
    address: String,
    assigned_object: Option<Value>,
}

impl From<IpAddressHolderRead> for Stored<IpAddressHolder> {
    fn from(row: IpAddressHolderRead) -> Self {
        let object = IpAddressHolder {
            address: row.address,
            holder: row.assigned_object.as_ref().map(holder),
        };
        Self { id: row.id, object }
    }
}

/// The names of an interface and of what it belongs to, with its id: names are no keys. One of another kind has only its
/// own name.
fn holder(interface: &Value) -> String {
    let name = |path: &str| interface.pointer(path).and_then(Value::as_str);
    let own = name("/name").or_else(|| name("/display")).unwrap_or_default();
    let owner = |(kind, path): (&str, &str)| {
        let (id, owner) = (
            interface.pointer(&format!("{path}/id"))?,
            name(&format!("{path}/name"))?,
        );
        Some(format!("{owner} {own} ({kind} {id})"))
    };
    owner(("virtual machine", "/virtual_machine"))
        .or_else(|| owner(("device", "/device")))
        .unwrap_or_else(|| own.to_owned())
}

impl Object for IpAddressHolder {
    type Read = IpAddressHolderRead;
    const MODEL: &'static str = IpAddress::MODEL;
    const READ_FIELDS: &'static [&'static str] = &["id", "address", "assigned_object"];
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn stored(address: &str, assigned: Value) -> Stored<IpAddress> {
        let mut row = json!({
            "id": 6, "address": address, "vrf": null, "status": {"value": "active", "label": "Active"},
            "dns_name": "db-500.example.net", "tags": [{"id": 1, "slug": "proxbox"}],
            "assigned_object_type": null, "assigned_object_id": null
        });
        if let Value::Object(assigned) = assigned {
            row.as_object_mut().unwrap().extend(assigned);
        }
        serde_json::from_value::<IpAddressRead>(row).unwrap().into()
    }

    #[test]
    fn row_of_netbox_decodes_into_the_object_it_was_made_from() {
        for (kind, address, key) in [
            (
                "virtualization.vminterface",
                "10.20.8.247/24",
                "10.20.8.247 on virtualization.vminterface 5",
            ),
            ("dcim.interface", "fd00:20::11/64", "fd00:20::11 on dcim.interface 5"),
            ("ipam.fhrpgroup", "10.0.0.1/32", "10.0.0.1 on ipam.fhrpgroup 5"),
        ] {
            let row = stored(address, json!({"assigned_object_type": kind, "assigned_object_id": 5}));
            let expected = json!({
                "address": address, "assigned_object_type": kind, "assigned_object_id": 5, "status": "active",
                "dns_name": "db-500.example.net", "tags": ["proxbox"]
            });
            assert_eq!(json!(row.object.fields()), expected, "{kind}");
            assert_eq!(row.object.key(), key);
        }
    }

    #[test]
    fn unassigned_row_has_no_holder() {
        let row = stored("10.20.8.77/32", Value::Null);
        assert_eq!(
            (row.object.assigned.clone(), row.object.key().as_str()),
            (None, "10.20.8.77")
        );
    }

    #[test]
    fn row_is_annotated_where_an_operator_has_written_into_it() {
        for (written, expected) in [
            (json!({}), false),
            (json!({"dns_name": "x", "tags": []}), false),
            (json!({"description": "x"}), true),
            (json!({"comments": "x"}), true),
            (json!({"tenant": {"id": 1}}), true),
            (json!({"role": {"value": "vip", "label": "VIP"}}), true),
            (json!({"tags": [{"id": 2, "slug": "gold"}]}), true),
            (json!({"vrf": {"id": 3}}), true),
            (json!({"nat_inside": {"id": 4, "address": "10.0.0.2/24"}}), true),
            (json!({"owner": {"id": 5, "name": "netops"}}), true),
            (
                json!({"custom_fields": {"firewall_zone": "dmz", "rack_unit": null}}),
                true,
            ),
            (json!({"custom_fields": {"firewall_zone": null}}), false),
            (json!({"owner": null, "custom_fields": {}}), false),
            (json!({"nat_outside": []}), false),
            (json!({"nat_outside": [{"id": 5, "address": "203.0.113.5/24"}]}), true),
        ] {
            let row = stored("10.0.0.1/24", written.clone());
            assert_eq!(row.object.is_annotated, expected, "{written}");
        }
    }

    #[test]
    fn holder_is_named_by_what_it_belongs_to() {
        for (assigned, expected) in [
            (
                json!({"id": 1, "name": "net0", "virtual_machine": {"id": 2, "name": "db"}}),
                Some("db net0 (virtual machine 2)"),
            ),
            (
                json!({"id": 1, "name": "vmbr0", "device": {"id": 2, "name": "pve1"}}),
                Some("pve1 vmbr0 (device 2)"),
            ),
            (json!({"id": 1, "display": "VRRPv3: 7"}), Some("VRRPv3: 7")),
            (Value::Null, None),
        ] {
            let row = json!({"id": 1, "address": "10.0.0.1/24", "assigned_object": assigned});
            let stored: Stored<IpAddressHolder> = serde_json::from_value::<IpAddressHolderRead>(row).unwrap().into();
            assert_eq!(stored.object.holder.as_deref(), expected);
        }
    }
}
