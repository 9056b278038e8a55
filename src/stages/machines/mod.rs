//! Virtual machines, and what stands beside each: sync state, tags, platform, cloud-init settings.
//!
//! The order matters: which virtual machine a guest is ([`identity`]), what it is called ([`names`]), then the rows it
//! refers to, the virtual machine itself, and last its sync state, which is its identity for every later stage.

mod cloud_init;
pub mod identity;
mod machine;
pub mod names;
pub mod orphans;
mod platforms;
mod revival;
mod roles;
mod states;
mod tags;

use std::collections::{BTreeMap, BTreeSet};

use super::Facts;
use crate::inventory::{Gap, Guest, GuestConfig, GuestConfigs, Guests, Vmid};
use crate::mapping::notes::{Overrides, overrides};
use crate::mapping::virtual_machine::discovered_tag;
use crate::netbox::objects::{Tag, VirtualMachine};
use crate::reconcile::{Mode, ObjectId, Row, Stored};

pub use cloud_init::CloudInits;
pub use machine::{FreedNames, Machines};
pub use platforms::{Platforms, with_platform};
pub use revival::Revivals;
pub use roles::RoleSnapshots;
pub use states::{MachineStates, StateClaims};
pub use tags::{GuestTags, missing_tag_names, tag_slugs};

/// What the stage found out about guests.
#[derive(Debug, Clone, Default)]
pub struct GuestFacts {
    /// Only these guests; `None`: all.
    pub only: Option<BTreeSet<Vmid>>,
    /// Which virtual machine each guest is.
    pub matches: BTreeMap<Vmid, Match>,
    /// What each guest's virtual machine is called.
    pub names: BTreeMap<Vmid, names::GuestName>,
    /// Guests whose virtual machine may not be touched, and why.
    pub refused: BTreeMap<Vmid, String>,
    /// The slugs of NetBox's tags, by the slugs of the guests' own.
    pub tags: BTreeMap<String, String>,
    /// Virtual machines whose guest is gone.
    pub orphans: BTreeSet<ObjectId>,
}

/// Which virtual machine a guest is, and what follows from that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    /// The virtual machine: an existing one, or a new one.
    pub row: Row,
    /// Whether its sync state still names an endpoint that is configured no more.
    pub needs_claim: bool,
    /// The NetBox cluster it is in.
    pub cluster: ObjectId,
    /// What becomes of its role.
    pub role: roles::RoleDecision,
    /// Whether it is known already and not to be touched any more.
    pub is_kept: bool,
}

impl Match {
    /// The virtual machine, where it exists.
    pub fn machine(&self) -> Option<ObjectId> {
        match self.row {
            Row::Is(id) => Some(id),
            Row::ByKey | Row::New => None,
        }
    }
}

/// The guests that the stage works on: those that the modes do not leave out and that the request is about.
pub fn handled(facts: &Facts) -> impl Iterator<Item = &Guest> {
    asked_for(facts).filter(|guest| mode_of(facts, guest) != Mode::Disabled)
}

/// Whether the stage may have any guest to work on, whose configurations are not read yet: one that the cluster's statistics
/// do not know may be a template.
pub fn may_handle_any(facts: &Facts) -> bool {
    let is_untold = |guest: &Guest| guest.status.as_deref().is_none_or(|status| status == "unknown");
    let has_templates = facts.options.modes.template != Mode::Disabled;
    asked_for(facts).any(|guest| mode_of(facts, guest) != Mode::Disabled || (has_templates && is_untold(guest)))
}

/// The guests that the request is about.
fn asked_for(facts: &Facts) -> impl Iterator<Item = &Guest> {
    let only = facts.guests.only.as_ref();
    let guests = facts.inventory.items::<Guests>().iter();
    guests.filter(move |guest| only.is_none_or(|only| only.contains(&guest.vmid)))
}

/// How far a guest is kept in step. A guest that the cluster's statistics do not know is listed as if it were no template;
/// its configuration tells.
pub(super) fn mode_of(facts: &Facts, guest: &Guest) -> Mode {
    let modes = facts.options.modes;
    let config = facts.inventory.config(guest.vmid);
    if guest.is_template || config.is_some_and(GuestConfig::is_template) {
        modes.template
    } else {
        modes.machine
    }
}

/// A guest whose virtual machine can be written.
#[derive(Debug, Clone, Copy)]
struct Prepared<'a> {
    guest: &'a Guest,
    config: &'a GuestConfig,
    matched: &'a Match,
}

/// The guests whose virtual machine can be written.
fn prepared(facts: &Facts) -> impl Iterator<Item = Prepared<'_>> {
    handled(facts)
        .filter(|guest| refusal(facts, guest).is_none())
        .filter_map(|guest| {
            Some(Prepared {
                guest,
                config: facts.inventory.config(guest.vmid)?,
                matched: facts.guests.matches.get(&guest.vmid)?,
            })
        })
}

/// Those of them that are not only made: what is there of the others is not touched.
fn touched(facts: &Facts) -> impl Iterator<Item = Prepared<'_>> {
    prepared(facts).filter(|prepared| !prepared.matched.is_kept)
}

/// Why a guest's virtual machine cannot be written.
fn refusal(facts: &Facts, guest: &Guest) -> Option<String> {
    if let Some(reason) = facts.guests.refused.get(&guest.vmid) {
        return Some(reason.clone());
    }
    if facts.inventory.config(guest.vmid).is_none() {
        return Some(unread(facts, guest));
    }
    let wants_device = facts.options.modes.effective_node() != Mode::Disabled;
    if wants_device && !facts.known.node_devices.contains_key(&guest.node) {
        return Some(format!("the device of its node {:?} could not be had", guest.node));
    }
    let matched = facts.guests.matches.get(&guest.vmid);
    let is_new = matched.is_some_and(|matched| matched.row == Row::New);
    unread_mark(facts, guest)
        .filter(|_| is_new)
        .map(|tag| format!("the tag {tag:?} could not be read, which a virtual machine gets only when it is made"))
}

/// The tag of guests that were discovered, where it is not known whether NetBox has it.
fn unread_mark(facts: &Facts, guest: &Guest) -> Option<&'static str> {
    let tag = discovered_tag(guest.kind);
    let is_unknown = facts.known.is_unread::<Tag>() && facts.ids.find::<Tag>(tag).is_none();
    is_unknown.then_some(tag)
}

/// What kept a guest's configuration from being read.
pub fn gap_of<'a>(facts: &'a Facts, guest: &Guest) -> Option<&'a Gap> {
    let sources = [format!("{}/{}", guest.kind, guest.vmid), format!("node {}", guest.node)];
    let mut gaps = facts.inventory.gaps::<GuestConfigs>().iter();
    gaps.find(|gap| sources.contains(&gap.source))
}

/// Why a guest's configuration is not there.
pub fn unread(facts: &Facts, guest: &Guest) -> String {
    gap_of(facts, guest).map_or_else(
        || "its configuration was not found".to_owned(),
        |gap| format!("its configuration could not be read: {gap}"),
    )
}

/// The overrides in a guest's notes, where the request wants them.
fn overrides_of(facts: &Facts, config: &GuestConfig) -> Overrides {
    if facts.options.guests.parse_metadata {
        overrides(config.description())
    } else {
        Overrides::default()
    }
}

/// The NetBox clusters that guests' virtual machines are in: the endpoint's, and those that notes name.
pub fn clusters(facts: &Facts) -> BTreeSet<ObjectId> {
    let named = handled(facts).filter_map(|guest| {
        let config = facts.inventory.config(guest.vmid)?;
        overrides_of(facts, config).get("cluster").map(ObjectId)
    });
    named.chain(facts.target.cluster).collect()
}

/// Keys in guests' notes that cannot be overridden, guest by guest.
pub fn ignored_overrides(facts: &Facts) -> Vec<String> {
    let mut warnings = Vec::new();
    for guest in handled(facts) {
        let config = facts.inventory.config(guest.vmid);
        let ignored = config.map(|config| overrides_of(facts, config).ignored);
        for key in ignored.into_iter().flatten() {
            warnings.push(format!("{}: its notes cannot override {key:?}", guest.label()));
        }
    }
    warnings
}

/// The virtual machines that were read, by their id.
fn machines(facts: &Facts) -> BTreeMap<ObjectId, &Stored<VirtualMachine>> {
    let machines = facts.known.machines.iter();
    machines.map(|stored| (stored.id, stored)).collect()
}

#[cfg(test)]
mod tests;
