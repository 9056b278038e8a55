//! The plugin's rows of what a guest itself says of its interfaces and their addresses.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde::Deserialize;

use super::Object;
use super::shape::{Nested, NestedNamed, Said, Tagged, id, member_label, put, put_said, put_said_id, put_tags, slugs};
use crate::reconcile::{Fields, ObjectId, Resource, Stored};

/// An interface as the guest sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuestVmInterface {
    /// The virtual machine.
    pub virtual_machine: ObjectId,
    /// The virtual machine's name, for reports.
    pub machine_name: Option<String>,
    /// Its name in the guest, unique there; at most 128 characters.
    pub name: String,
    /// The interface of the virtual machine that it is; each is at most one.
    pub vm_interface: Said<ObjectId>,
    /// Its MAC address in lower case; empty where it has none.
    pub mac_address: Option<String>,
    /// Whether it is up.
    pub enabled: Option<bool>,
    /// Its largest packet, in bytes.
    pub mtu: Said<u32>,
    /// Slugs of its tags.
    pub tags: BTreeSet<String>,
}

impl GuestVmInterface {
    /// The key of the interface `name` in the guest of `virtual_machine`.
    pub fn key_of(virtual_machine: ObjectId, name: &str) -> String {
        format!("{virtual_machine}/{name}")
    }
}

impl Resource for GuestVmInterface {
    const PATH: &'static str = "/api/plugins/proxbox/guest-vm-interfaces/";
    const KIND: &'static str = "guest interface";
    const ROW_MILLIS: u32 = 25;
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
        put_said_id(&mut fields, "vm_interface", self.vm_interface);
        put(&mut fields, "mac_address", self.mac_address.clone());
        put(&mut fields, "enabled", self.enabled);
        put_said(&mut fields, "mtu", &self.mtu);
        put_tags(&mut fields, &self.tags);
        fields
    }
}

/// A row as the plugin answers it.
#[derive(Debug, Deserialize)]
pub struct GuestVmInterfaceRead {
    id: ObjectId,
    virtual_machine: NestedNamed,
    name: String,
    vm_interface: Option<Nested>,
    mac_address: String,
    enabled: bool,
    mtu: Option<u32>,
    tags: Vec<Tagged>,
}

impl From<GuestVmInterfaceRead> for Stored<GuestVmInterface> {
    fn from(row: GuestVmInterfaceRead) -> Self {
        let object = GuestVmInterface {
            virtual_machine: row.virtual_machine.id,
            machine_name: row.virtual_machine.name,
            name: row.name,
            vm_interface: id(row.vm_interface).into(),
            mac_address: Some(row.mac_address),
            enabled: Some(row.enabled),
            mtu: row.mtu.into(),
            tags: slugs(row.tags),
        };
        Self { id: row.id, object }
    }
}

impl Object for GuestVmInterface {
    type Read = GuestVmInterfaceRead;
    const MODEL: &'static str = "netbox_proxbox.guestvminterface";
    const READ_FIELDS: &'static [&'static str] = &[
        "id",
        "virtual_machine",
        "name",
        "vm_interface",
        "mac_address",
        "enabled",
        "mtu",
        "tags",
    ];
    const IS_LOOKED_UP: bool = true;
}

/// That a guest's interface has an IP address. While the row stands, NetBox refuses to delete the address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuestVmInterfaceAddress {
    /// The guest's interface.
    pub guest_interface: ObjectId,
    /// The address.
    pub ip_address: ObjectId,
    /// That address without its mask. Never written: it is the other row's.
    pub host: Option<IpAddr>,
    /// The names of both, for reports.
    pub name: String,
}

impl Resource for GuestVmInterfaceAddress {
    const PATH: &'static str = "/api/plugins/proxbox/guest-vm-interface-addresses/";
    const KIND: &'static str = "guest interface address";
    const ROW_MILLIS: u32 = 11;
    type Key = String;

    fn key(&self) -> String {
        format!("{}/{}", self.guest_interface, self.ip_address)
    }

    fn label(&self) -> String {
        self.name.clone()
    }

    fn fields(&self) -> Fields {
        Fields::from([
            ("guest_interface", self.guest_interface.0.into()),
            ("ip_address", self.ip_address.0.into()),
        ])
    }
}

/// A row as the plugin answers it.
#[derive(Debug, Deserialize)]
pub struct GuestVmInterfaceAddressRead {
    id: ObjectId,
    guest_interface: NestedInterface,
    ip_address: NestedAddress,
}

#[derive(Debug, Deserialize)]
struct NestedInterface {
    id: ObjectId,
    name: String,
    virtual_machine: Option<NestedNamed>,
}

#[derive(Debug, Deserialize)]
struct NestedAddress {
    id: ObjectId,
    address: String,
}

impl From<GuestVmInterfaceAddressRead> for Stored<GuestVmInterfaceAddress> {
    fn from(row: GuestVmInterfaceAddressRead) -> Self {
        let (interface, address) = (row.guest_interface, row.ip_address);
        let machine = interface.virtual_machine.and_then(|machine| machine.name);
        let host = address.address.split('/').next().unwrap_or_default();
        let object = GuestVmInterfaceAddress {
            guest_interface: interface.id,
            ip_address: address.id,
            host: host.parse().ok(),
            name: format!("{} {host}", member_label(machine.as_deref(), &interface.name)),
        };
        Self { id: row.id, object }
    }
}

impl Object for GuestVmInterfaceAddress {
    type Read = GuestVmInterfaceAddressRead;
    const MODEL: &'static str = "netbox_proxbox.guestvminterfaceaddress";
    const READ_FIELDS: &'static [&'static str] = &["id", "guest_interface", "ip_address"];
}
