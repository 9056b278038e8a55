//! The virtual machine that a guest's object hangs on.

use std::net::IpAddr;

use serde_json::json;

use super::{Individual, IndividualReport, WantedGuest};
use crate::inventory::Vmid;
use crate::netbox::objects::{IpAddress, VirtualMachine, VmInterface};
use crate::reconcile::{ObjectId, Resource, Stored};
use crate::stages::claim::Claim;
use crate::stages::guests::bindings;
use crate::stages::vm_addresses::port_with;
use crate::stages::vm_interfaces::interface_selection;
use crate::stages::vm_ip_addresses::address_selection;
use crate::stages::{Only, Part, Stage};
use crate::sync::error::Error;
use crate::sync::pass::EndpointRun;
use crate::sync::report::{Outcome, Written};

impl EndpointRun<'_> {
    /// The virtual machine that stands for `guest`; it is made where there is none, it may be, and the guest is there.
    /// `None`: a dry run would make it.
    pub(super) async fn ensure_machine(
        &mut self,
        guest: WantedGuest,
        may_create: bool,
    ) -> Result<Option<ObjectId>, Error> {
        if let Some(machine) = self.find_machine(guest).await? {
            return Ok(Some(machine));
        }
        let listed = self.facts.inventory.guest(guest.vmid);
        let missing = Error::NoMachine {
            vmid: guest.vmid,
            cluster: self.facts.cluster.name.clone(),
        };
        let Some(node) = listed.map(|listed| listed.node.clone()).filter(|_| may_create) else {
            return Err(missing);
        };
        if self.is_dry_run {
            return Ok(None);
        }
        let only = Only::of_guest(guest.vmid).and(Part::Node, node);
        self.run_only(Stage::VirtualMachines, only).await?;
        let made = self.find_machine(guest).await?;
        let refusal = || {
            self.trace
                .as_ref()
                .and_then(|trace| trace.refusal(VirtualMachine::PATH))
        };
        made.map(Some).ok_or_else(|| refusal().unwrap_or(missing))
    }

    /// The virtual machine that stands for `guest`. That several claim to, or one of which it cannot be told, is an
    /// error: another one must not be made beside them.
    async fn find_machine(&mut self, guest: WantedGuest) -> Result<Option<ObjectId>, Error> {
        if self.find_or_claim_cluster().await? == Claim::Create {
            return Ok(None);
        }
        self.read_machines().await?;
        if let Some(bound) = bindings(&self.facts).of(guest.vmid) {
            return Ok(Some(bound.id));
        }
        let endpoint = Some(self.facts.endpoint.key.id.0);
        let states = self.facts.known.machine_states.iter().map(|stored| &stored.object);
        let claims = states.filter(|state| (state.vmid, state.endpoint_raw_id) == (Some(guest.vmid.0), endpoint));
        match claims.count() {
            0 => Ok(None),
            count => Err(Error::Selection {
                reasons: format!(
                    "{count} sync states name guest {}, and which virtual machine it is cannot be told",
                    guest.vmid
                ),
            }),
        }
    }

    /// Finds the interface that has the address, where the request names one only that, and makes its row where there is
    /// none. An address that nothing of the guest tells of is left alone where it stands, and not made. Says whether there
    /// is anything left to do.
    pub(super) async fn prepare_address(
        &mut self,
        wanted: &Individual,
        (vmid, machine): (Vmid, ObjectId),
        report: &mut IndividualReport,
    ) -> Result<bool, Error> {
        let name = wanted.name.as_deref().unwrap_or_default();
        let host: Option<IpAddr> = name.parse().ok();
        let called = wanted.interface.as_deref();
        let port_of = |called| host.and_then(|host| port_with(&self.facts, host, called));
        let port = port_of(called);
        if let (None, Some(called), Some((_, other))) = (&port, called, port_of(None)) {
            let what = format!("address {name} on interface {called} of guest {vmid} (it is on {other})");
            return Err(Error::Absent { what });
        }
        let Some((key, interface)) = port else {
            return self.find_address(host, machine, name).await;
        };
        report.found_too("interface_name", json!(interface));
        self.facts.options.only.name(Part::Interface, key.clone());
        let rows = self.list::<VmInterface>(interface_selection(&self.facts)).await?;
        let own = VmInterface::key_of(machine, &interface);
        if !self.is_dry_run && !rows.iter().any(|stored| stored.object.key() == own) {
            let only = Only::of_guest(vmid).and(Part::Interface, key);
            self.run_only(Stage::VmInterfaces, only).await?;
        }
        Ok(true)
    }

    /// Finds an address on the virtual machine's interfaces that its guest does not tell of.
    async fn find_address(&mut self, host: Option<IpAddr>, machine: ObjectId, name: &str) -> Result<bool, Error> {
        let rows = self.list::<IpAddress>(address_selection(&self.facts)).await?;
        let is_it =
            |stored: &&Stored<IpAddress>| Some(stored.object.host) == host && stored.object.vm_interface().is_some();
        let found = rows.iter().find(is_it).ok_or_else(|| Error::Absent {
            what: format!("address {name} on an interface of the guest of virtual machine {machine}"),
        })?;
        let standing = Outcome {
            unchanged: vec![Written {
                id: found.id,
                key: found.object.key(),
                name: found.object.label(),
            }],
            ..Outcome::default()
        };
        if let Some(trace) = &mut self.trace {
            trace.push(IpAddress::PATH, standing);
        }
        Ok(false)
    }
}
