//! The tags that guests bear in Proxmox.
//!
//! A tag of the same slug or name that an operator made is used as it is; only the colour of tags that this service made
//! follows the cluster's style.

use std::collections::{BTreeMap, BTreeSet};

use super::prepared;
use crate::inventory::{ClusterOptions, GuestConfig};
use crate::mapping::tags::{SYNCED_TAG, guest_tags, tag, tag_colors};
use crate::netbox::objects::Tag;
use crate::reconcile::{Resource, Row, Stored, Wanted};
use crate::stages::{Desired, Facts, Flag, Pass, Selection};

/// The tags that guests bear in Proxmox.
#[derive(Debug)]
pub struct GuestTags;

/// Every tag of the guests by its slug.
fn all(facts: &Facts) -> BTreeMap<String, String> {
    if !facts.options.overwrite.allows(Flag::VmProxmoxTags) {
        return BTreeMap::new();
    }
    prepared(facts)
        .flat_map(|prepared| guest_tags(prepared.config))
        .collect()
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

/// The slugs of NetBox's tags by the slugs of the guests' own, once the pass has run.
pub fn tag_slugs(facts: &Facts) -> BTreeMap<String, String> {
    let standing = |(slug, name): (String, String)| {
        let there = existing(&facts.known.tags, &slug, &name).map(|stored| stored.object.slug.clone());
        let made = facts.ids.find::<Tag>(&slug).map(|_| slug.clone());
        Some((slug, there.or(made)?))
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
        Desired::by_key(all(facts).iter().map(|(slug, name)| tag(slug, name, &colors)))
    }

    /// Colours follow only where the style was read: otherwise each failure to read it would recolour everything.
    fn settle(facts: &Facts, desired: Desired<Tag>, actual: &[Stored<Tag>]) -> Desired<Tag> {
        let knows_colors = facts.inventory.is_complete::<ClusterOptions>();
        let wanted = desired.wanted.into_iter().map(|Wanted { object, row }| {
            let name = object.name.as_deref().unwrap_or_default();
            let Some(stored) = existing(actual, &object.slug, name) else {
                return Wanted { object, row };
            };
            let is_ours = stored.object.description.as_deref() == Some(SYNCED_TAG);
            let mut kept = Tag::new(&stored.object.slug);
            kept.color = object.color.filter(|_| is_ours && knows_colors);
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
