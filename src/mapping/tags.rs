//! Tags of guests as NetBox tags.

use std::collections::{BTreeMap, BTreeSet};

use md5::{Digest, Md5};

use super::bootstrap;
use super::names::slug;
use crate::inventory::{GuestConfig, Property};
use crate::netbox::objects::Tag;

/// The description of tags that this service made from guests' tags. Others of the same slug are an operator's.
pub const SYNCED_TAG: &str = "Synced by Proxbox";
/// The longest name and slug of a tag in NetBox.
const TAG_MAX: usize = 100;

/// The tags of a guest by their slugs, lower case. Slugs that have a meaning of their own for this service are left out.
pub fn guest_tags(config: &GuestConfig) -> BTreeMap<String, String> {
    let reserved: BTreeSet<String> = bootstrap::tags().into_iter().map(|tag| tag.slug).collect();
    let mut tags = BTreeMap::new();
    for tag in config.tags() {
        let name: String = tag.to_lowercase().chars().take(TAG_MAX).collect();
        let slug = slug(&name, "tag");
        if !reserved.contains(&slug) {
            tags.entry(slug).or_insert(name);
        }
    }
    tags
}

/// The NetBox tag of a guest's tag. Its colour is the one of `colors`, else one that its name decides.
pub fn tag(slug: &str, name: &str, colors: &BTreeMap<String, String>) -> Tag {
    let color = colors.get(name).cloned().unwrap_or_else(|| default_color(name));
    Tag::new(slug).name(name).color(&color).description(SYNCED_TAG)
}

/// Whether a tag has the colour that its name decides.
pub fn has_default_color(tag: &Tag) -> bool {
    let decided = tag.name.as_deref().map(|name| default_color(&name.to_lowercase()));
    tag.color == decided
}

fn default_color(name: &str) -> String {
    let digest: [u8; 16] = Md5::digest(name.as_bytes()).into();
    let [red, green, blue, ..] = digest;
    format!("{red:02x}{green:02x}{blue:02x}")
}

/// The background colours that the cluster's tag style gives to tags: `color-map=prod:ff0000;db:0f0:ffffff`.
pub fn tag_colors(style: &str) -> BTreeMap<String, String> {
    let style = Property::parse(style);
    let mut colors = BTreeMap::new();
    for entry in style.get("color-map").unwrap_or_default().split(';') {
        let mut parts = entry.trim().split(':');
        if let (Some(tag), Some(color)) = (parts.next(), parts.next().and_then(hex_color)) {
            colors.entry(tag.to_lowercase()).or_insert(color);
        }
    }
    colors
}

/// Six lower-case hex digits.
fn hex_color(text: &str) -> Option<String> {
    let text = text.trim().to_ascii_lowercase();
    if !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    match text.len() {
        6 => Some(text),
        3 => Some(text.chars().flat_map(|digit| [digit, digit]).collect()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::inventory::GuestKind;

    fn tags_of(tags: &serde_json::Value) -> Vec<(String, String)> {
        let config = GuestConfig::decode(GuestKind::Qemu, json!({ "tags": tags })).unwrap();
        guest_tags(&config).into_iter().collect()
    }

    #[test]
    fn tags_are_lower_case_and_each_slug_once() {
        for (given, expected) in [
            (json!("prod;DB"), vec![("db", "db"), ("prod", "prod")]),
            (json!("a.b, a-b  c;;"), vec![("a-b", "a.b"), ("c", "c")]),
            (json!(7), vec![("7", "7")]),
            (json!("+"), vec![("tag", "+")]),
            (json!("proxbox;proxbox-soft-deleted;x"), vec![("x", "x")]),
            (json!(null), vec![]),
        ] {
            let expected: Vec<_> = expected
                .into_iter()
                .map(|(slug, name)| (slug.to_owned(), name.to_owned()))
                .collect();
            assert_eq!(tags_of(&given), expected, "{given}");
        }
    }

    #[test]
    fn colour_without_a_map_follows_from_the_name() {
        for (name, color) in [
            ("prod", "d6e4a9"),
            ("db", "d77d5e"),
            ("web", "2567a5"),
            ("shop db", "578c4d"),
            ("prod web", "d068bc"),
        ] {
            assert_eq!(default_color(name), color, "{name}");
        }
    }

    #[test]
    fn colour_map_gives_backgrounds_of_three_or_six_digits() {
        let colors = tag_colors("shape=full,color-map=prod:FF0000:ffffff;DB:0f0;bad:xyz;short:ff;prod:000000;");
        let expected = [("db", "00ff00"), ("prod", "ff0000")].map(|(tag, color)| (tag.to_owned(), color.to_owned()));
        assert_eq!(colors, BTreeMap::from(expected));
        assert!(tag_colors("shape=full").is_empty());
    }

    #[test]
    fn mapped_colour_wins_over_the_name() {
        let colors = tag_colors("color-map=prod:ff0000");
        let tag = tag("prod", "prod", &colors);
        assert_eq!(tag.color.as_deref(), Some("ff0000"));
        assert_eq!(tag.description.as_deref(), Some("Synced by Proxbox"));
    }
}
