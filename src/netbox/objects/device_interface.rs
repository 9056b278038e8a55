//! Interfaces of devices.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::Value;

use super::Object;
use super::shape::{Choice, Nested, Said, Tagged, id, put, put_said, put_said_id, put_tags, slugs};
use crate::reconcile::{Fields, ObjectId, Resource, Stored};

/// A network interface of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceInterface {
    /// The device that it belongs to; it can never move to another.
    pub device: ObjectId,
    /// The device's name, for reports.
    pub device_name: Option<String>,
    /// Its name, at most 64 characters, unique in its device.
    pub name: String,
    /// Its type: `bridge`, `lag`, `virtual`, `other`, or one of NetBox's many hardware types.
    pub kind: Option<String>,
    /// Whether it is in use.
    pub enabled: Option<bool>,
    /// How it carries VLANs: `access`, `tagged` and so on.
    pub mode: Said<String>,
    /// The VLAN of its untagged frames; needs a mode.
    pub untagged_vlan: Said<ObjectId>,
    /// The VLANs of its tagged frames.
    pub tagged_vlans: Option<BTreeSet<ObjectId>>,
    /// The interface that a virtual one is part of.
    pub parent: Said<ObjectId>,
    /// The bridge that it is a port of.
    pub bridge: Said<ObjectId>,
    /// The aggregate that it is a member of.
    pub lag: Said<ObjectId>,
    /// Its primary MAC address, one of those assigned to it.
    pub primary_mac_address: Said<ObjectId>,
    /// Whether a cable is attached, or an operator says so; never written.
    pub is_connected: bool,
    /// Slugs of its tags.
    pub tags: BTreeSet<String>,
}

impl DeviceInterface {
    /// The interface `name` of `device`, of which nothing else is said.
    pub fn of(device: ObjectId, name: &str) -> Self {
        Self {
            device,
            device_name: None,
            name: name.to_owned(),
            kind: None,
            enabled: None,
            mode: Said::Nothing,
            untagged_vlan: Said::Nothing,
            tagged_vlans: None,
            parent: Said::Nothing,
            bridge: Said::Nothing,
            lag: Said::Nothing,
            primary_mac_address: Said::Nothing,
            is_connected: false,
            tags: BTreeSet::new(),
        }
    }

    /// The key of the interface `name` of `device`.
    pub fn key_of(device: ObjectId, name: &str) -> String {
        format!("{device}/{name}")
    }
}

impl Resource for DeviceInterface {
    const PATH: &'static str = "/api/dcim/interfaces/";
    const KIND: &'static str = "interface";
    const ROW_MILLIS: u32 = 47;
    type Key = String;

    fn key(&self) -> String {
        Self::key_of(self.device, &self.name)
    }

    fn label(&self) -> String {
        match &self.device_name {
            Some(device) => format!("{device}/{}", self.name),
            None => self.key(),
        }
    }

    fn fields(&self) -> Fields {
        let mut fields = Fields::from([("device", self.device.0.into()), ("name", self.name.clone().into())]);
        put(&mut fields, "type", self.kind.clone());
        put(&mut fields, "enabled", self.enabled);
        put_said(&mut fields, "mode", &self.mode);
        put_said_id(&mut fields, "untagged_vlan", self.untagged_vlan);
        if let Some(vlans) = &self.tagged_vlans {
            fields.insert("tagged_vlans", vlans.iter().map(|id| Value::from(id.0)).collect());
        }
        put_said_id(&mut fields, "parent", self.parent);
        put_said_id(&mut fields, "bridge", self.bridge);
        put_said_id(&mut fields, "lag", self.lag);
        put_said_id(&mut fields, "primary_mac_address", self.primary_mac_address);
        put_tags(&mut fields, &self.tags);
        fields
    }
}

/// A row as NetBox answers it.
#[derive(Debug, Deserialize)]
pub struct DeviceInterfaceRead {
    id: ObjectId,
    device: Named,
    name: String,
    #[serde(rename = "type")]
    kind: Choice,
    enabled: bool,
    mode: Option<Choice>,
    untagged_vlan: Option<Nested>,
    tagged_vlans: Vec<Nested>,
    parent: Option<Nested>,
    bridge: Option<Nested>,
    lag: Option<Nested>,
    primary_mac_address: Option<Nested>,
    cable: Option<Value>,
    mark_connected: bool,
    tags: Vec<Tagged>,
}

#[derive(Debug, Deserialize)]
struct Named {
    id: ObjectId,
    name: Option<String>,
}

impl From<DeviceInterfaceRead> for Stored<DeviceInterface> {
    fn from(row: DeviceInterfaceRead) -> Self {
        let object = DeviceInterface {
            device: row.device.id,
            device_name: row.device.name,
            name: row.name,
            kind: Some(row.kind.value),
            enabled: Some(row.enabled),
            mode: row.mode.map(|mode| mode.value).filter(|mode| !mode.is_empty()).into(),
            untagged_vlan: id(row.untagged_vlan).into(),
            tagged_vlans: Some(row.tagged_vlans.into_iter().map(|vlan| vlan.id).collect()),
            parent: id(row.parent).into(),
            bridge: id(row.bridge).into(),
            lag: id(row.lag).into(),
            primary_mac_address: id(row.primary_mac_address).into(),
            is_connected: row.cable.is_some() || row.mark_connected,
            tags: slugs(row.tags),
        };
        Self { id: row.id, object }
    }
}

impl Object for DeviceInterface {
    type Read = DeviceInterfaceRead;
    const MODEL: &'static str = "dcim.interface";
    const READ_FIELDS: &'static [&'static str] = &[
        "id",
        "device",
        "name",
        "type",
        "enabled",
        "mode",
        "untagged_vlan",
        "tagged_vlans",
        "parent",
        "bridge",
        "lag",
        "primary_mac_address",
        "cable",
        "mark_connected",
        "tags",
    ];
    const IS_LOOKED_UP: bool = true;
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn row_of_netbox_decodes_into_the_object_it_was_made_from() {
        let row = json!({
            "id": 7, "device": {"id": 1, "name": "pve1"}, "name": "vmbr0.110",
            "type": {"value": "virtual", "label": "Virtual"}, "enabled": true,
            "mode": {"value": "tagged", "label": "Tagged"}, "untagged_vlan": null,
            "tagged_vlans": [{"id": 9, "vid": 20}, {"id": 3, "vid": 110}], "parent": {"id": 5, "name": "vmbr0"},
            "bridge": null, "lag": null, "primary_mac_address": null, "cable": null, "mark_connected": true,
            "tags": [{"id": 1, "slug": "proxbox"}]
        });
        let stored: Stored<DeviceInterface> = serde_json::from_value::<DeviceInterfaceRead>(row).unwrap().into();
        assert_eq!((stored.id, stored.object.is_connected), (ObjectId(7), true));
        assert_eq!(stored.object.label(), "pve1/vmbr0.110");
        let expected = json!({
            "device": 1, "name": "vmbr0.110", "type": "virtual", "enabled": true, "mode": "tagged",
            "untagged_vlan": null, "tagged_vlans": [3, 9], "parent": 5, "bridge": null, "lag": null,
            "primary_mac_address": null, "tags": ["proxbox"]
        });
        assert_eq!(json!(stored.object.fields()), expected);
    }

    #[test]
    fn interface_of_which_nothing_is_said_asserts_only_who_it_is() {
        let fields = DeviceInterface::of(ObjectId(1), "eno1").fields();
        assert_eq!(json!(fields), json!({"device": 1, "name": "eno1"}));
    }
}
