//! The tags that guests bear in Proxmox.
//!
//! A tag of the same slug or name that an operator made is used as it is; only the colour of tags that this service made
//! follows the cluster's style. Clusters share NetBox's tags and may give one different colours, so that none takes back
//! what another has set: a colour of a style replaces only the one that the name decides, unless no one else bears the tag.

use std::collections::{BTreeMap, BTreeSet};

use super::{machines, prepared, touched};
use crate::inventory::{ClusterOptions, GuestConfig};
use crate::mapping::tags::{SYNCED_TAG, guest_tags, has_default_color, tag, tag_colors};
use crate::netbox::objects::{Object as _, Tag, VirtualMachine};
use crate::reconcile::{Resource, Row, Stored, Wanted};
use crate::stages::{Desired, Facts, Flag, Pass, Selection};

/// The tags that guests bear in Proxmox.
#[derive(Debug)]
pub struct GuestTags;

/// Every tag of the guests that are not only made, by its slug. Of names that share a slug the first of the alphabet counts, in whatever order
/// guests are listed.
fn all(facts: &Facts) -> BTreeMap<String, String> {
    let mut tags = BTreeMap::new();
    if !facts.options.overwrite.allows(Flag::VmProxmoxTags) {
        return tags;
    }
    for (slug, name) in touched(facts).flat_map(|prepared| guest_tags(prepared.config)) {
        let first = tags.entry(slug).or_insert_with(|| name.clone());
        if name < *first {
            *first = name;
        }
    }
    tags
}

/// The virtual machines of the guests that bear each tag, by its slug; `None` for one that is yet to be made.
fn bearers(facts: &Facts) -> BTreeMap<String, Vec<Option<&VirtualMachine>>> {
    let machines = machines(facts);
    let mut bearers: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for prepared in prepared(facts) {
        let machine = prepared.matched.machine().and_then(|id| machines.get(&id));
        for slug in guest_tags(prepared.config).into_keys() {
            bearers
                .entry(slug)
                .or_default()
                .push(machine.map(|stored| &stored.object));
        }
    }
    bearers
}

/// Whether these virtual machines bear a tag of NetBox, and nothing else there does.
fn bear_alone(bearers: &[Option<&VirtualMachine>], tag: &Tag) -> bool {
    let mut known = bearers.iter().flatten();
    let are_all = u64::try_from(bearers.len()) == Ok(tag.tagged_items) && bearers.iter().all(Option::is_some);
    are_all && known.all(|machine| machine.tags.contains(&tag.slug))
}

/// The names of tags that no tag of the same slug was found for; one may exist under another slug.
pub fn missing_tag_names(facts: &Facts) -> Vec<String> {
    let known: BTreeSet<&str> = facts
        .known
        .tags
        .iter()
        .map(|stored| stored.object.slug.as_str())
        .collect();
    let missing = all(facts)
        .into_iter()
        .filter(|(slug, _)| !known.contains(slug.as_str()));
    missing.map(|(_, name)| name).collect()
}

/// The existing tag that a guest's tag is.
fn existing<'a>(tags: &'a [Stored<Tag>], slug: &str, name: &str) -> Option<&'a Stored<Tag>> {
    let same_name = |stored: &&Stored<Tag>| {
        let other = stored.object.name.as_deref().unwrap_or_default();
        other.to_lowercase() == name
    };
    tags.iter()
        .find(|stored| stored.object.slug == slug)
        .or_else(|| tags.iter().find(same_name))
}

/// Whether virtual machines may bear the existing tag that a guest's tag is.
fn may_be_borne(facts: &Facts, slug: &str, name: &str) -> bool {
    existing(&facts.known.tags, slug, name).is_none_or(|stored| stored.object.is_for(VirtualMachine::MODEL))
}

/// The slugs of NetBox's tags by the slugs of the guests' own, once the pass has run.
pub fn tag_slugs(facts: &Facts) -> BTreeMap<String, String> {
    let standing = |(slug, name): (String, String)| {
        let there = existing(&facts.known.tags, &slug, &name).map(|stored| &stored.object);
        match there {
            Some(tag) => tag.is_for(VirtualMachine::MODEL).then(|| (slug, tag.slug.clone())),
            None => facts.ids.find::<Tag>(&slug).map(|_| (slug.clone(), slug)),
        }
    };
    all(facts).into_iter().filter_map(standing).collect()
}

/// The slugs of NetBox's tags that a guest's virtual machine bears.
pub(super) fn slugs_of(facts: &Facts, config: &GuestConfig) -> Vec<String> {
    let own = guest_tags(config).into_keys();
    own.filter_map(|slug| facts.guests.tags.get(&slug).cloned()).collect()
}

impl Pass for GuestTags {
    type Object = Tag;

    fn scope(facts: &Facts) -> Vec<Selection> {
        vec![Selection::any_of("slug", all(facts).into_keys())]
    }

    fn at_hand(facts: &Facts) -> Option<Vec<Stored<Tag>>> {
        Some(facts.known.tags.clone())
    }

    fn desired(facts: &Facts) -> Desired<Tag> {
        let style = facts.inventory.items::<ClusterOptions>().first();
        let colors = style.and_then(|options| options.tag_style.as_deref()).map(tag_colors);
        let colors = colors.unwrap_or_default();
        let tags = all(facts).into_iter();
        let (fit, limited): (Vec<_>, Vec<_>) = tags.partition(|(slug, name)| may_be_borne(facts, slug, name));
        let told = |(_, name): &(String, String)| {
            format!("tag {name:?} is limited to other types of objects in NetBox: virtual machines do without it")
        };
        Desired {
            warnings: limited.iter().map(told).collect(),
            ..Desired::by_key(fit.iter().map(|(slug, name)| tag(slug, name, &colors)))
        }
    }

    /// Colours follow only where the style was read: otherwise each failure to read it would recolour everything.
    fn settle(facts: &Facts, desired: Desired<Tag>, actual: &[Stored<Tag>]) -> Desired<Tag> {
        let knows_colors = facts.inventory.is_complete::<ClusterOptions>();
        let bearers = bearers(facts);
        let wanted = desired.wanted.into_iter().map(|Wanted { object, row }| {
            let name = object.name.as_deref().unwrap_or_default();
            let Some(stored) = existing(actual, &object.slug, name) else {
                return Wanted { object, row };
            };
            let is_ours = stored.object.description.as_deref() == Some(SYNCED_TAG);
            let is_first = has_default_color(&stored.object) && !has_default_color(&object);
            let are_alone = bearers
                .get(&object.slug)
                .is_some_and(|bearers| bear_alone(bearers, &stored.object));
            let may_follow = is_ours && knows_colors && (is_first || are_alone);
            let mut kept = Tag::new(&stored.object.slug);
            kept.color = object.color.filter(|_| may_follow);
            Wanted {
                object: kept,
                row: Row::Is(stored.id),
            }
        });
        let mut seen = BTreeSet::new();
        Desired {
            wanted: wanted.filter(|wanted| seen.insert(wanted.object.key())).collect(),
            ..desired
        }
    }
}
