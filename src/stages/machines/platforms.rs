//! Platforms: made where they are missing, never changed.

use std::collections::{BTreeMap, BTreeSet};

use super::{Prepared, prepared};
use crate::inventory::Vmid;
use crate::mapping::platform::{platform, platform_name, platform_slug};
use crate::netbox::objects::Platform;
use crate::reconcile::{Mode, ObjectId, Policy, Row, Stored};
use crate::stages::{Desired, Facts, Flag, Pass, Selection};

/// The platforms of guests.
#[derive(Debug)]
pub struct Platforms;

/// The names of platforms that are going to be written.
fn names(facts: &Facts) -> BTreeSet<String> {
    prepared(facts)
        .filter_map(|prepared| name_of(facts, prepared))
        .collect()
}

/// The guests whose virtual machine is given a platform: a new one always, an existing one where platforms may be
/// overwritten.
pub fn with_platform(facts: &Facts) -> BTreeSet<Vmid> {
    let given = prepared(facts).filter(|prepared| is_given(facts, *prepared));
    given.map(|prepared| prepared.guest.vmid).collect()
}

fn is_given(facts: &Facts, prepared: Prepared<'_>) -> bool {
    let may_overwrite = facts.options.overwrite.allows(Flag::VmPlatform);
    !prepared.matched.is_kept && (prepared.matched.row == Row::New || may_overwrite)
}

/// The name of the platform that a guest's virtual machine is given.
fn name_of(facts: &Facts, prepared: Prepared<'_>) -> Option<String> {
    if !is_given(facts, prepared) {
        return None;
    }
    let os = facts.inventory.os(prepared.guest.vmid);
    if os.is_none() && was_told(facts, prepared) {
        return None;
    }
    platform_name(prepared.config, os)
}

/// Whether the platform that the virtual machine has may be what the guest's agent told, which is silent now: what the
/// configuration says is less than that.
fn was_told(facts: &Facts, prepared: Prepared<'_>) -> bool {
    let has_agent = facts.options.guests.platform_from_agent && prepared.config.has_agent();
    let has_platform = |machine: ObjectId| {
        let mut machines = facts.known.machines.iter();
        machines.any(|stored| stored.id == machine && stored.object.platform.is_some())
    };
    has_agent && prepared.matched.machine().is_some_and(has_platform)
}

/// The platform of a guest's virtual machine, once the pass has run.
pub(super) fn platform_of(facts: &Facts, prepared: Prepared<'_>) -> Option<ObjectId> {
    let name = name_of(facts, prepared)?;
    facts.ids.find::<Platform>(&platform_slug(&name))
}

impl Pass for Platforms {
    type Object = Platform;

    /// All there are, where any is wanted: one may have the slug or the name of one that is wanted, and to ask for either
    /// takes two requests.
    fn scope(facts: &Facts) -> Vec<Selection> {
        if names(facts).is_empty() {
            return Vec::new();
        }
        vec![Selection::all()]
    }

    fn desired(facts: &Facts) -> Desired<Platform> {
        let by_slug: BTreeMap<String, Platform> = names(facts)
            .iter()
            .map(|name| (platform_slug(name), platform(name)))
            .collect();
        Desired::by_key(by_slug.into_values())
    }

    /// A platform that has the name under another slug is the one too. Several manufacturers may have one slug each: then
    /// that of no manufacturer is, else the oldest.
    fn settle(_: &Facts, mut desired: Desired<Platform>, actual: &[Stored<Platform>]) -> Desired<Platform> {
        let first = |is_it: &dyn Fn(&Platform) -> bool| {
            let found = actual.iter().filter(|stored| is_it(&stored.object));
            found.min_by_key(|stored| (stored.object.manufacturer.is_some(), stored.id))
        };
        for wanted in &mut desired.wanted {
            let slugged = first(&|platform| platform.slug == wanted.object.slug);
            let found = slugged.or_else(|| first(&|platform| platform.name == wanted.object.name));
            if let Some(stored) = found {
                wanted.row = Row::Is(stored.id);
            }
        }
        desired
    }

    fn policy(_: &Facts) -> Policy {
        Policy::with_mode(Mode::BootstrapOnly)
    }
}
