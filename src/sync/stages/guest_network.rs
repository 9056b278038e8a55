//! What the stages `vm-interfaces` and `vm-ip-addresses` have in common: what they read of guests, and what is wrong
//! with it.

use std::collections::BTreeSet;

use crate::error::ErrorKind;
use crate::inventory::{AgentAnswer, GuestAgents, GuestConfigs};
use crate::netbox::objects::{GuestVmInterface, VmInterface};
use crate::reconcile::{Resource, Stored};
use crate::stages::guest_interfaces::GuestInterfaceReleases;
use crate::stages::ports::guest_ports;
use crate::sync::error::Error;
use crate::sync::pass::EndpointRun;
use crate::sync::report::Outcome;
use crate::sync::warning::Warning;

impl EndpointRun<'_> {
    /// Reads which guests there are and how they are configured.
    pub(super) async fn read_guests(&mut self) -> Result<(), Error> {
        self.get_cluster().await?;
        self.read_machines().await?;
        self.read::<GuestConfigs>().await?;
        self.tell_unbound().await
    }

    /// Agents that could not be asked; that a privilege is missing is said once, not for every guest.
    pub(super) fn warn_of_agents(&mut self) {
        let failures = self.facts.inventory.items::<GuestAgents>().iter();
        let failures = failures.filter_map(|agent| match &agent.answer {
            AgentAnswer::Failure(gap) => Some(gap),
            AgentAnswer::Interfaces(_) | AgentAnswer::Silence(_) => None,
        });
        let mut is_denied = false;
        for gap in failures {
            if gap.kind == ErrorKind::Permission && std::mem::replace(&mut is_denied, true) {
                continue;
            }
            self.progress.gap(self.stage.as_str(), gap);
            self.warnings.push(gap.into());
        }
    }

    /// Interfaces of which another one has the name already.
    pub(super) fn warn_of_doubles(&mut self) {
        let doubles: Vec<String> = guest_ports(&self.facts)
            .iter()
            .filter(|guest| !guest.doubles.is_empty())
            .map(|guest| {
                let (label, keys) = (guest.bound.label(), guest.doubles.join(", "));
                format!("interfaces of {label}: another one has the name of {keys} already")
            })
            .collect();
        self.warnings.extend(doubles.into_iter().map(Warning::from));
    }

    /// Remembers which interfaces stand.
    pub(super) fn learn_interfaces(&mut self, interfaces: Vec<Stored<VmInterface>>) {
        for stored in &interfaces {
            let key = stored.object.key();
            self.facts.ids.learn(VmInterface::PATH, key, stored.id);
        }
        self.facts.known.network.interfaces = interfaces;
    }

    /// Takes interfaces from the plugin's rows of what guests see that other rows will have. Where NetBox fails none of these
    /// rows is written.
    pub(super) async fn release_guest_interfaces(&mut self, phase: &str) -> Result<(), Error> {
        let released = self.pass::<GuestInterfaceReleases>().await;
        let released: Outcome = self.or_without::<GuestVmInterface, _>(released)?;
        self.warn(phase, &released);
        let freed: BTreeSet<_> = released.updated.iter().map(|row| row.id).collect();
        for stored in &mut self.facts.known.network.guest_interfaces {
            if freed.contains(&stored.id) {
                stored.object.vm_interface = None.into();
            }
        }
        Ok(())
    }
}
