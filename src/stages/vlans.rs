//! Which VLANs an interface may be in: those of its site, and those that are no other site's.

use std::collections::{BTreeMap, BTreeSet};

use super::{Desired, Facts, Selection};
use crate::netbox::objects::Vlan;
use crate::reconcile::{ObjectId, Resource, Row, Stored};

/// How near a VLAN is to something in a site, nearest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Nearness {
    /// It is of that site.
    Site,
    /// It is of a group for that site.
    SiteGroup,
    /// It is of no group.
    Global,
    /// It is of a group for anything.
    Group,
    /// It is of a group for something that is no site, or of one that may not be read.
    OtherGroup,
}

/// How near `vlan` is to something in `site`; `None`: it is another site's.
pub(super) fn nearness(facts: &Facts, vlan: &Vlan, site: Option<ObjectId>) -> Option<Nearness> {
    if vlan.site.is_some() {
        return (vlan.site == site).then_some(Nearness::Site);
    }
    let Some(id) = vlan.group else {
        return Some(Nearness::Global);
    };
    let mut groups = facts.known.vlan_groups.iter();
    let group = groups.find(|stored| stored.id == id).map(|stored| &stored.object);
    match group.map(|group| (group.site(), &group.scope_type)) {
        Some((Some(of), _)) => (Some(of) == site).then_some(Nearness::SiteGroup),
        Some((None, None)) => Some(Nearness::Group),
        Some((None, Some(_))) | None => Some(Nearness::OtherGroup),
    }
}

/// Of several stored VLANs with the same number, site and tenant the nearest, then the oldest is taken; none that is another
/// site's, though its key is the same.
pub(super) fn take_nearest(facts: &Facts, mut desired: Desired<Vlan>, actual: &[Stored<Vlan>]) -> Desired<Vlan> {
    let mut nearest: BTreeMap<String, (Nearness, ObjectId)> = BTreeMap::new();
    for stored in actual {
        if let Some(nearness) = nearness(facts, &stored.object, stored.object.site) {
            let found = (nearness, stored.id);
            let best = nearest.entry(stored.object.key()).or_insert(found);
            *best = found.min(*best);
        }
    }
    for wanted in &mut desired.wanted {
        let row = nearest.get(&wanted.object.key());
        wanted.row = row.map_or(Row::New, |(_, id)| Row::Is(*id));
    }
    desired
}

/// Groups of those of `vlans` that no site has: they may say which site those are for.
pub fn group_selection(vlans: &[Stored<Vlan>]) -> Selection {
    let homeless = vlans.iter().filter(|stored| stored.object.site.is_none());
    let groups: BTreeSet<ObjectId> = homeless.filter_map(|stored| stored.object.group).collect();
    Selection::any_of("id", groups)
}
