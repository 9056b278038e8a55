//! Interfaces of virtual machines.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::Value;

use super::Object;
use super::shape::{
    Choice, Nested, NestedNamed, Said, Tagged, id, member_label, put, put_id, put_said, put_said_id, put_tags, slugs,
};
use crate::reconcile::{Fields, ObjectId, Resource, Stored};

/// An interface of a virtual machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VmInterface {
    /// The virtual machine. NetBox would move the interface to another one; it is the key, so it is never changed.
    pub virtual_machine: ObjectId,
    /// The virtual machine's name, for reports.
    pub machine_name: Option<String>,
    /// Its name, unique in the virtual machine; at most 64 characters.
    pub name: String,
    /// Whether it is up.
    pub enabled: Option<bool>,
    /// Its largest packet, in bytes.
    pub mtu: Said<u32>,
    /// `access` or `tagged`.
    pub mode: Said<String>,
    /// The VLAN of packets without a tag. NetBox does not store it without a mode.
    pub untagged_vlan: Said<ObjectId>,
    /// VLANs of packets with a tag.
    pub tagged_vlans: Option<BTreeSet<ObjectId>>,
    /// Its primary MAC address, which is assigned to it.
    pub primary_mac_address: Option<ObjectId>,
    /// That address in NetBox's form, where NetBox has told it. Never written: it is the other row's.
    pub primary_mac: Option<String>,
    /// Slugs of its tags.
    pub tags: BTreeSet<String>,
}

impl VmInterface {
    /// An interface of which nothing more is said.
    pub fn of(virtual_machine: ObjectId, name: &str) -> Self {
        Self {
            virtual_machine,
            machine_name: None,
            name: name.to_owned(),
            enabled: None,
            mtu: Said::Nothing,
            mode: Said::Nothing,
            untagged_vlan: Said::Nothing,
            tagged_vlans: None,
            primary_mac_address: None,
            primary_mac: None,
            tags: BTreeSet::new(),
        }
    }

    /// The key of the interface `name` of `virtual_machine`.
    pub fn key_of(virtual_machine: ObjectId, name: &str) -> String {
        format!("{virtual_machine}/{name}")
    }
}

impl Resource for VmInterface {
    const PATH: &'static str = "/api/virtualization/interfaces/";
    const KIND: &'static str = "interface";
    const ROW_MILLIS: u32 = 32;
    type Key = String;

    fn key(&self) -> String {
        Self::key_of(self.virtual_machine, &self.name)
    }

    fn label(&self) -> String {
        member_label(self.machine_name.as_deref(), &self.name)
    }

    fn fields(&self) -> Fields {
        let mut fields = Fields::from([
            ("virtual_machine", self.virtual_machine.0.into()),
            ("name", self.name.clone().into()),
        ]);
        put(&mut fields, "enabled", self.enabled);
        put_said(&mut fields, "mtu", &self.mtu);
        put_said(&mut fields, "mode", &self.mode);
        put_said_id(&mut fields, "untagged_vlan", self.untagged_vlan);
        let tagged = self.tagged_vlans.as_ref();
        let tagged = tagged.map(|vlans| vlans.iter().map(|vlan| Value::from(vlan.0)).collect::<Vec<_>>());
        put(&mut fields, "tagged_vlans", tagged);
        put_id(&mut fields, "primary_mac_address", self.primary_mac_address);
        put_tags(&mut fields, &self.tags);
        fields
    }
}

/// A row as NetBox answers it.
#[derive(Debug, Deserialize)]
pub struct VmInterfaceRead {
    id: ObjectId,
    virtual_machine: NestedNamed,
    name: String,
    enabled: bool,
    mtu: Option<u32>,
    mode: Option<Choice>,
    untagged_vlan: Option<Nested>,
    tagged_vlans: Vec<Nested>,
    primary_mac_address: Option<NestedMac>,
    tags: Vec<Tagged>,
}

/// A MAC address on a row that has it.
#[derive(Debug, Deserialize)]
struct NestedMac {
    id: ObjectId,
    mac_address: Option<String>,
}

impl From<VmInterfaceRead> for Stored<VmInterface> {
    fn from(row: VmInterfaceRead) -> Self {
        let (primary_mac_address, primary_mac) = match row.primary_mac_address {
            Some(mac) => (Some(mac.id), mac.mac_address),
            None => (None, None),
        };
        let object = VmInterface {
            virtual_machine: row.virtual_machine.id,
            machine_name: row.virtual_machine.name,
            name: row.name,
            enabled: Some(row.enabled),
            mtu: row.mtu.into(),
            mode: row.mode.map(|mode| mode.value).into(),
            untagged_vlan: id(row.untagged_vlan).into(),
            tagged_vlans: Some(row.tagged_vlans.into_iter().map(|vlan| vlan.id).collect()),
            primary_mac_address,
            primary_mac,
            tags: slugs(row.tags),
        };
        Self { id: row.id, object }
    }
}

impl Object for VmInterface {
    type Read = VmInterfaceRead;
    const MODEL: &'static str = "virtualization.vminterface";
    const READ_FIELDS: &'static [&'static str] = &[
        "id",
        "virtual_machine",
        "name",
        "enabled",
        "mtu",
        "mode",
        "untagged_vlan",
        "tagged_vlans",
        "primary_mac_address",
        "tags",
    ];
    const IS_LOOKED_UP: bool = true;
}

/// The plugin's sync-state row of an interface: which bridge it is attached to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VmInterfaceState {
    /// The interface that the row belongs to.
    pub vm_interface: ObjectId,
    /// The node's interface that is the bridge.
    pub bridge: Option<ObjectId>,
    /// The bridge's id where it has no row; empty from this service.
    pub bridge_raw_id: Said<i64>,
    /// The bridge's name where it has no row; empty from this service.
    pub bridge_raw_value: Option<String>,
}

impl Resource for VmInterfaceState {
    const PATH: &'static str = "/api/plugins/proxbox/sync-state/vm-interfaces/";
    const KIND: &'static str = "interface sync state";
    const ROW_MILLIS: u32 = 12;
    type Key = ObjectId;

    fn key(&self) -> ObjectId {
        self.vm_interface
    }

    fn fields(&self) -> Fields {
        let mut fields = Fields::from([("vm_interface", self.vm_interface.0.into())]);
        put_id(&mut fields, "proxbox_bridge", self.bridge);
        put_said(&mut fields, "proxbox_bridge_raw_id", &self.bridge_raw_id);
        put(&mut fields, "proxbox_bridge_raw_value", self.bridge_raw_value.clone());
        fields
    }
}

/// A row as the plugin answers it.
#[derive(Debug, Deserialize)]
pub struct VmInterfaceStateRead {
    id: ObjectId,
    vm_interface: Nested,
    proxbox_bridge: Option<Nested>,
    proxbox_bridge_raw_id: Option<i64>,
    proxbox_bridge_raw_value: String,
}

impl From<VmInterfaceStateRead> for Stored<VmInterfaceState> {
    fn from(row: VmInterfaceStateRead) -> Self {
        let object = VmInterfaceState {
            vm_interface: row.vm_interface.id,
            bridge: id(row.proxbox_bridge),
            bridge_raw_id: row.proxbox_bridge_raw_id.into(),
            bridge_raw_value: Some(row.proxbox_bridge_raw_value),
        };
        Self { id: row.id, object }
    }
}

impl Object for VmInterfaceState {
    type Read = VmInterfaceStateRead;
    const MODEL: &'static str = "netbox_proxbox.proxboxvminterfacesyncstate";
    const READ_FIELDS: &'static [&'static str] = &[
        "id",
        "vm_interface",
        "proxbox_bridge",
        "proxbox_bridge_raw_id",
        "proxbox_bridge_raw_value",
    ];
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn row_of_netbox_decodes_into_the_object_it_was_made_from() {
        let row = json!({
            "id": 5, "virtual_machine": {"id": 3, "name": "syslog-502"}, "name": "net1", "enabled": true, "mtu": null,
            "mode": {"value": "access", "label": "Access"}, "untagged_vlan": {"id": 4, "vid": 300}, "tagged_vlans": [],
            "primary_mac_address": {"id": 7, "mac_address": "BC:24:11:A5:0C:86"}, "tags": [{"id": 1, "slug": "proxbox"}]
        });
        let stored: Stored<VmInterface> = serde_json::from_value::<VmInterfaceRead>(row).unwrap().into();
        assert_eq!(stored.object.primary_mac.as_deref(), Some("BC:24:11:A5:0C:86"));
        let expected = json!({
            "virtual_machine": 3, "name": "net1", "enabled": true, "mtu": null, "mode": "access", "untagged_vlan": 4,
            "tagged_vlans": [], "primary_mac_address": 7, "tags": ["proxbox"]
        });
        assert_eq!(
            (stored.id, stored.object.key().as_str(), json!(stored.object.fields())),
            (ObjectId(5), "3/net1", expected)
        );
    }

    #[test]
    fn interface_without_vlan_says_so_and_one_that_says_nothing_leaves_it() {
        let bare = VmInterface::of(ObjectId(3), "net0");
        assert_eq!(json!(bare.fields()), json!({"virtual_machine": 3, "name": "net0"}));
        let cleared = VmInterface {
            mode: Said::Empty,
            untagged_vlan: Said::Empty,
            ..bare
        };
        let expected = json!({"virtual_machine": 3, "name": "net0", "mode": null, "untagged_vlan": null});
        assert_eq!(json!(cleared.fields()), expected);
    }
}
