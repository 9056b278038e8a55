//! The operating systems of guests, as their agents tell.

use super::fan_out::fan_out;
use super::guest_agents::{AGENTS, diagnosis, useless};
use super::{AgentAnswer, Area, Collected, GuestConfig, GuestKind, GuestOs, Guests, Inventory, Reader, Slot};
use crate::proxmox::{Error, Vmid};

/// The operating systems of guests, as their agents tell.
#[derive(Debug)]
pub struct GuestSystems;

/// A guest's operating system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuestSystem {
    /// The guest's number.
    pub vmid: Vmid,
    /// What its agent says; where it does not run or hangs, what that is for an answer to any other question.
    pub os: Result<GuestOs, AgentAnswer>,
}

impl Inventory {
    /// The answer of an agent that was found not to run or to hang; `None` of one that is worth asking.
    pub(super) fn useless_agent(&self, vmid: Vmid) -> Option<&AgentAnswer> {
        self.system(vmid)?.os.as_ref().err()
    }

    fn system(&self, vmid: Vmid) -> Option<&GuestSystem> {
        let systems = self.guest_systems.get()?;
        let place = systems.items.binary_search_by_key(&vmid, |system| system.vmid).ok()?;
        systems.items.get(place)
    }

    /// The operating system that the agent of the guest with this number tells.
    pub fn os(&self, vmid: Vmid) -> Option<&GuestOs> {
        self.system(vmid)?.os.as_ref().ok()
    }
}

impl Area for GuestSystems {
    type Item = GuestSystem;

    fn slot(inventory: &Inventory) -> &Slot<GuestSystem> {
        &inventory.guest_systems
    }

    fn slot_mut(inventory: &mut Inventory) -> &mut Slot<GuestSystem> {
        &mut inventory.guest_systems
    }

    /// Asks the agent of every virtual machine that runs and whose configuration switches it on. An agent that does not
    /// answer is no gap, as the guest may lack it; one that may not be asked is. That it does not run or hangs is kept, so
    /// that no other area asks it again.
    async fn collect(reader: &Reader<'_>) -> Result<Collected<GuestSystem>, Error> {
        let guests = reader.inventory.items::<Guests>().iter();
        let asked: Vec<_> = guests
            .filter(|guest| guest.kind == GuestKind::Qemu && guest.is_running())
            .filter(|guest| reader.wants(guest.vmid) && !reader.is_offline(&guest.node))
            .filter(|guest| {
                let config = reader.inventory.config(guest.vmid);
                config.is_some_and(GuestConfig::has_agent)
            })
            .collect();
        let answers = fan_out(
            asked,
            AGENTS,
            |guest| &guest.node,
            |guest| reader.session.guest_os(&guest.node, guest.vmid, reader.agent_timeout),
        );
        let mut found = Collected::default();
        for (guest, answer) in answers.await {
            let os = answer.map_err(|error| {
                if matches!(error, Error::PermissionDenied { .. }) {
                    found.gaps.push(diagnosis(guest, &error));
                }
                useless(guest, &error)
            });
            match os {
                Ok(os) => found.items.push(GuestSystem {
                    vmid: guest.vmid,
                    os: Ok(os),
                }),
                Err(Some(answer)) => found.items.push(GuestSystem {
                    vmid: guest.vmid,
                    os: Err(answer),
                }),
                Err(None) => {}
            }
        }
        Ok(found)
    }
}
