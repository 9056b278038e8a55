//! Virtual machines whose guest is gone. They are marked for a person to look at, never deleted.

use serde_json::json;

use crate::inventory::{GuestKind, Guests, Vmid};
use crate::mapping::virtual_machine::discovered_tag;
use crate::netbox::objects::{DECOMMISSIONING, SOFT_DELETED_TAG, VirtualMachine, VirtualMachineState};
use crate::reconcile::{Fields, Mode, ObjectId, Retire, Stored};
use crate::stages::guests::{has_run, kind_of};
use crate::stages::{Desired, Facts, Pass, Selection};

/// Marks the virtual machines whose guest is gone.
#[derive(Debug)]
pub struct Orphans;

/// What a virtual machine that may have lost its guest turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Its guest is gone.
    Orphan,
    /// Its sync state does not say which guest it is.
    Incomplete,
    /// It was marked before.
    Marked,
    /// Its guest is gone, and the mode of such guests leaves it alone.
    LeftAlone,
}

/// A virtual machine of this endpoint that this service created, and its fate.
#[derive(Debug, Clone)]
pub struct Candidate<'a> {
    /// The virtual machine.
    pub id: ObjectId,
    /// Its name.
    pub name: &'a str,
    /// Its sync state.
    pub state: &'a VirtualMachineState,
    /// Slugs of its tags.
    pub tags: Vec<&'a str>,
    /// What it turned out to be.
    pub fate: Fate,
}

/// The virtual machines whose sync state names this endpoint, each with it. Those of other clusters are left out: another
/// service may call its endpoint by the same number, and nothing was read of its guests.
fn claimed(facts: &Facts) -> impl Iterator<Item = (&VirtualMachineState, &VirtualMachine)> {
    let machines = super::machines(facts);
    let states = facts.known.machine_states.iter().map(|stored| &stored.object);
    states
        .filter(|state| state.endpoint_raw_id == Some(facts.endpoint.key.id.0))
        .filter_map(move |state| Some((state, &machines.get(&state.virtual_machine)?.object)))
        .filter(|(state, machine)| machine.cluster == facts.target.cluster || names_cluster(facts, state))
}

/// The virtual machines that this service created for guests of this endpoint which are not listed, and what they turned
/// out to be; of a run for some virtual machines, those of them.
pub fn candidates(facts: &Facts) -> Vec<Candidate<'_>> {
    let created = [GuestKind::Qemu, GuestKind::Lxc].map(discovered_tag);
    let only = facts.options.guests.only.as_ref();
    let mut candidates: Vec<Candidate<'_>> = claimed(facts)
        .filter(|(state, _)| only.is_none_or(|only| only.contains(&state.virtual_machine)))
        .filter(|(_, machine)| created.iter().any(|tag| machine.tags.contains(*tag)))
        .filter_map(|(state, machine)| {
            Some(Candidate {
                id: state.virtual_machine,
                name: machine.name.as_deref().unwrap_or_default(),
                state,
                tags: machine.tags.iter().map(String::as_str).collect(),
                fate: fate(facts, state, machine)?,
            })
        })
        .collect();
    candidates.sort_by_key(|candidate| candidate.id);
    candidates
}

/// What a virtual machine turned out to be; `None` where its guest is listed. A number is one guest's in a cluster; one of
/// the other kind means that the old guest is gone.
fn fate(facts: &Facts, state: &VirtualMachineState, machine: &VirtualMachine) -> Option<Fate> {
    let has_cluster = state
        .cluster_name
        .as_deref()
        .is_some_and(|name| !name.trim().is_empty());
    let Some((kind, vmid)) = kind_of(state).zip(state.vmid.filter(|_| has_cluster)) else {
        return Some(Fate::Incomplete);
    };
    if facts
        .inventory
        .guest(Vmid(vmid))
        .is_some_and(|guest| guest.kind == kind)
    {
        None
    } else if machine.tags.contains(SOFT_DELETED_TAG) {
        Some(Fate::Marked)
    } else if may_mark(facts, state) {
        Some(Fate::Orphan)
    } else {
        Some(Fate::LeftAlone)
    }
}

/// Whether the modes let the virtual machine of a guest that is gone be changed. A template does not run; whether a guest
/// that did not run was one nothing tells any more.
fn may_mark(facts: &Facts, state: &VirtualMachineState) -> bool {
    let modes = facts.options.modes;
    modes.machine == Mode::Always && (has_run(state) || modes.template == Mode::Always)
}

/// Whether a sync state names the endpoint's cluster.
fn names_cluster(facts: &Facts, state: &VirtualMachineState) -> bool {
    let cluster = state.cluster_name.as_deref().unwrap_or_default().trim();
    cluster.to_lowercase() == facts.cluster.name.to_lowercase()
}

/// Virtual machines with a sync state of this endpoint that are not among those read of its cluster.
pub fn elsewhere(facts: &Facts) -> Vec<ObjectId> {
    let known = super::machines(facts);
    let states = facts.known.machine_states.iter().map(|stored| &stored.object);
    states
        .filter(|state| state.endpoint_raw_id == Some(facts.endpoint.key.id.0))
        .map(|state| state.virtual_machine)
        .filter(|id| !known.contains_key(id))
        .collect()
}

impl Pass for Orphans {
    type Object = VirtualMachine;

    fn scope(facts: &Facts) -> Vec<Selection> {
        vec![Selection::any_of("id", super::machines(facts).into_keys())]
    }

    fn at_hand(facts: &Facts) -> Option<Vec<Stored<VirtualMachine>>> {
        Some(facts.known.machines.clone())
    }

    fn desired(_: &Facts) -> Desired<VirtualMachine> {
        Desired::default()
    }

    /// Virtual machines of other endpoints, and those that nobody says stand for a guest, are none of the endpoint's. Those
    /// that are marked already stay for good, and are none that could be lost.
    fn count_ours(facts: &Facts, _: &[Stored<VirtualMachine>]) -> usize {
        let unmarked = claimed(facts).filter(|(_, machine)| !machine.tags.contains(SOFT_DELETED_TAG));
        unmarked.count()
    }

    /// Nothing is marked unless every guest that there is was listed.
    fn retire(facts: &Facts, stored: &Stored<VirtualMachine>) -> Retire {
        if !facts.guests.orphans.contains(&stored.id) || !facts.inventory.is_complete::<Guests>() {
            return Retire::Keep;
        }
        Retire::Mark(Fields::from([
            ("status", json!(DECOMMISSIONING)),
            ("tags", json!([SOFT_DELETED_TAG])),
        ]))
    }
}
