//! What guest agents tell of their guests.

use super::fan_out::{Limits, fan_out};
use super::{Area, Collected, Gap, Guest, GuestConfig, GuestInterface, Guests, Inventory, Reader, Slot};
use crate::proxmox::{Error, Vmid};

/// How many agents are asked at once: the session lets fewer of a node through, and one that hangs is a usual thing that
/// must not count against those of other nodes.
pub(super) const AGENTS: Limits = Limits {
    all: usize::MAX,
    node: 4,
};

/// What guest agents tell of their guests.
#[derive(Debug)]
pub struct GuestAgents;

/// What a guest's agent tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuestAgent {
    /// The guest's number.
    pub vmid: Vmid,
    /// Its answer to the question for its interfaces.
    pub answer: AgentAnswer,
    /// The name that the guest gives itself; `None` where it could not be learned this time.
    pub host_name: Option<String>,
}

/// A guest agent's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentAnswer {
    /// The interfaces as the guest sees them.
    Interfaces(Vec<GuestInterface>),
    /// The agent does not run in the guest, or refuses the question, in Proxmox's words: an expected state.
    Silence(String),
    /// It could not be asked.
    Failure(Gap),
}

impl Area for GuestAgents {
    type Item = GuestAgent;

    fn slot(inventory: &Inventory) -> &Slot<GuestAgent> {
        &inventory.guest_agents
    }

    fn slot_mut(inventory: &mut Inventory) -> &mut Slot<GuestAgent> {
        &mut inventory.guest_agents
    }

    /// Asks the agents of running virtual machines of [`Guests`] that are no templates and whose configuration
    /// switches the agent on: two requests each, the second only where the first was answered, and none where
    /// [`GuestSystems`] has found that it is no use. An agent that does not answer is no gap; its item says so.
    async fn collect(reader: &Reader<'_>) -> Result<Collected<GuestAgent>, Error> {
        let guests = reader.inventory.items::<Guests>().iter();
        let asked = guests.filter(|guest| reader.wants(guest.vmid) && has_agent(reader.inventory, guest));
        let answers = fan_out(asked.collect(), AGENTS, |guest| &guest.node, |guest| ask(reader, guest)).await;
        Ok(Collected {
            items: answers.into_iter().map(|(_, agent)| agent).collect(),
            gaps: Vec::new(),
        })
    }
}

fn has_agent(inventory: &Inventory, guest: &Guest) -> bool {
    let is_on = match inventory.config(guest.vmid) {
        Some(GuestConfig::Qemu(config)) => config.has_agent(),
        Some(GuestConfig::Lxc(_)) | None => false,
    };
    is_on && guest.is_running() && !guest.is_template
}

/// Asks one question after the other: both at once would take all places for agents of a node where an agent hangs, and
/// keep the other guests of the node waiting.
async fn ask(reader: &Reader<'_>, guest: &Guest) -> GuestAgent {
    let of = |answer, host_name| GuestAgent {
        vmid: guest.vmid,
        answer,
        host_name,
    };
    if let Some(known) = reader.inventory.useless_agent(guest.vmid) {
        return of(known.clone(), None);
    }
    let (session, limit) = (reader.session, reader.agent_timeout);
    let answer = match session.agent_interfaces(&guest.node, guest.vmid, limit).await {
        Ok(interfaces) => AgentAnswer::Interfaces(interfaces),
        Err(error) if is_refused(&error) => AgentAnswer::Silence(error.to_string()),
        Err(error) => return of(answer_of(guest, &error), None),
    };
    let asked = session.agent_host_name(&guest.node, guest.vmid, limit);
    of(answer, asked.await.ok().flatten())
}

/// Whether the agent runs and refuses the question.
fn is_refused(error: &Error) -> bool {
    matches!(error, Error::GuestUnavailable { answer } if answer.status == 200)
}

/// What an error is for an answer.
fn answer_of(guest: &Guest, error: &Error) -> AgentAnswer {
    if matches!(error, Error::GuestUnavailable { .. }) {
        AgentAnswer::Silence(error.to_string())
    } else {
        AgentAnswer::Failure(diagnosis(guest, error))
    }
}

/// The answer to whatever else the agent may be asked, where it does not run, or hangs: it would hang again, and hold one of
/// the node's few places for as long. `None` where it is worth asking.
pub(super) fn useless(guest: &Guest, error: &Error) -> Option<AgentAnswer> {
    let is_silent = matches!(error, Error::GuestUnavailable { .. }) && !is_refused(error);
    let hangs = matches!(error, Error::Timeout { .. } | Error::GuestTimeout { .. });
    (is_silent || hangs).then(|| answer_of(guest, error))
}

/// What is wrong, and what an operator can do about it.
pub(super) fn diagnosis(guest: &Guest, error: &Error) -> Gap {
    let gap = Gap::new(format!("guest agent of {}/{}", guest.kind, guest.vmid), error);
    let advice = if matches!(error, Error::PermissionDenied { .. }) {
        "grant VM.GuestAgent.Audit (Proxmox VE 8: VM.Monitor) to the user and its token, or addresses of virtual \
         machines stay unknown"
    } else if matches!(error, Error::Timeout { .. }) {
        "raise PROXBOX_GUEST_AGENT_TIMEOUT if the guest is merely slow"
    } else {
        return gap;
    };
    Gap {
        message: format!("{}; {advice}", gap.message),
        ..gap
    }
}
