//! Whose a virtual machine's role is.
//!
//! The sync state remembers the role that this service wrote last. A role that differs from it is an operator's.

use super::{MachineStates, handled, overrides_of, refusal};
use crate::inventory::Guest;
use crate::mapping::virtual_machine::role;
use crate::netbox::objects::{DeviceRole, VirtualMachine, VirtualMachineState};
use crate::reconcile::{ObjectId, Stored};
use crate::stages::{Desired, Facts, Flag, Pass, Selection};

/// What becomes of a virtual machine's role.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RoleDecision {
    /// The role to write.
    pub write: Option<ObjectId>,
    /// The role to remember as written.
    pub remember: Option<ObjectId>,
    /// The role that is remembered now.
    pub remembered: Option<ObjectId>,
}

/// Remembers roles before they are written, so that a role whose write was cut short is written by the next run instead
/// of being taken for an operator's.
#[derive(Debug)]
pub struct RoleSnapshots;

/// What becomes of the role of `guest`'s virtual machine, which is `machine` with `state` where it exists.
pub(super) fn decide(
    facts: &Facts,
    guest: &Guest,
    machine: Option<&VirtualMachine>,
    state: Option<&VirtualMachineState>,
) -> RoleDecision {
    let desired = desired(facts, guest);
    let Some(machine) = machine else {
        return RoleDecision {
            write: desired,
            remember: desired,
            remembered: None,
        };
    };
    let remembered = state.and_then(|state| state.last_synced_role);
    let may_overwrite = facts.options.overwrite.allows(Flag::VmRole);
    let (write, remember) = match (machine.role, remembered) {
        (Some(current), None) => (None, Some(current)),
        (None, None) => (desired, desired),
        (current, Some(_)) if current != remembered && !may_overwrite => (None, None),
        (current, Some(_)) if desired != current => (desired, desired),
        (_, Some(_)) => (None, desired.filter(|_| machine.role != remembered)),
    };
    RoleDecision {
        write,
        remember,
        remembered,
    }
}

/// The role that guests of this kind have where NetBox has no types for them, or the one that the notes name. That a type
/// cannot be read or written makes no role.
fn desired(facts: &Facts, guest: &Guest) -> Option<ObjectId> {
    let config = facts.inventory.config(guest.vmid);
    let named = config
        .and_then(|config| overrides_of(facts, config).get("role"))
        .filter(|_| facts.options.overwrite.allows(Flag::VmRole));
    let default = facts.ids.find::<DeviceRole>(role(guest.kind));
    let default = default.filter(|_| !facts.known.has_machine_types);
    named.map(ObjectId).or(default)
}

impl Pass for RoleSnapshots {
    type Object = VirtualMachineState;

    fn scope(facts: &Facts) -> Vec<Selection> {
        MachineStates::scope(facts)
    }

    fn at_hand(facts: &Facts) -> Option<Vec<Stored<VirtualMachineState>>> {
        MachineStates::at_hand(facts)
    }

    /// Of guests that were refused the former role is remembered, because theirs was not written. Where nothing is
    /// remembered yet, a write that is cut short does no harm: the next run remembers what stands.
    fn desired(facts: &Facts) -> Desired<VirtualMachineState> {
        let changing = handled(facts).filter_map(|guest| {
            let matched = facts.guests.matches.get(&guest.vmid)?;
            let (before, after) = (matched.role.remembered?, matched.role.write?);
            let is_refused = refusal(facts, guest).is_some();
            Some(VirtualMachineState {
                last_synced_role: Some(if is_refused { before } else { after }),
                ..VirtualMachineState::of(matched.machine()?)
            })
        });
        Desired::by_key(changing)
    }
}
