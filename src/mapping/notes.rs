//! A guest's notes: what NetBox shows of them, and the overrides that they may hold.

use std::collections::BTreeMap;

use serde_json::Value;

use super::names::clean;

/// The longest description in NetBox, in characters.
const DESCRIPTION_MAX: usize = 200;
/// The word after the fence of a block that holds overrides.
const BLOCK: &str = "netbox-metadata";
/// What a block may override, as NetBox calls it.
const KEYS: [&str; 9] = [
    "cluster",
    "device",
    "site",
    "virtual_machine_type",
    "role",
    "platform",
    "vcpus",
    "memory",
    "disk",
];

/// What NetBox shows of a guest's notes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notes {
    /// The first line, at most 200 characters; where there are no notes, which node the guest is on.
    pub description: String,
    /// All lines, where the description does not say it all.
    pub comments: Option<String>,
}

/// What NetBox shows of `text`, the notes of a guest on `node`. Blocks of overrides are left out.
pub fn notes(text: Option<&str>, node: &str) -> Notes {
    let (outside, _) = take_apart(text.unwrap_or_default());
    let text = outside.join("\n");
    let Some(first) = text.lines().find(|line| !line.is_empty()) else {
        return Notes {
            description: format!("Synced from Proxmox node {node}"),
            comments: None,
        };
    };
    let is_cut = first.chars().count() > DESCRIPTION_MAX;
    let description = if is_cut {
        first.chars().take(DESCRIPTION_MAX - 1).chain(['…']).collect()
    } else {
        first.to_owned()
    };
    let has_more = text.lines().filter(|line| !line.is_empty()).count() > 1;
    Notes {
        description,
        comments: (has_more || is_cut).then(|| text.trim().to_owned()),
    }
}

/// Values that a guest's notes put in place of those that Proxmox gives.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    values: BTreeMap<&'static str, u64>,
    /// Keys that cannot be overridden.
    pub ignored: Vec<String>,
}

impl Overrides {
    /// The value in place of `field`.
    pub fn get(&self, field: &str) -> Option<u64> {
        self.values.get(field).copied()
    }

    /// Leaves `field` to Proxmox.
    pub fn drop(&mut self, field: &str) {
        self.values.remove(field);
    }
}

/// The overrides in `text`: whole numbers above zero in the JSON object of its last block.
pub fn overrides(text: Option<&str>) -> Overrides {
    let (_, block) = take_apart(text.unwrap_or_default());
    let mut overrides = Overrides::default();
    let Some(Value::Object(members)) = block.and_then(|block| serde_json::from_str(&block).ok()) else {
        return overrides;
    };
    for (key, value) in members {
        match (KEYS.iter().find(|known| **known == key), value.as_u64()) {
            (None, _) => overrides.ignored.push(key),
            (Some(known), Some(number)) if number > 0 => {
                overrides.values.insert(known, number);
            }
            (Some(_), _) => {}
        }
    }
    overrides
}

/// The lines outside of blocks, trimmed, and the body of the last block.
fn take_apart(text: &str) -> (Vec<String>, Option<String>) {
    let text = clean(text).replace("\r\n", "\n").replace('\r', "\n");
    let mut lines = text.lines().map(str::trim);
    let mut outside = Vec::new();
    let mut last = None;
    while let Some(line) = lines.next() {
        let block: Option<Vec<&str>> = opens_block(line).then(|| until_fence(lines.clone())).flatten();
        match block {
            Some(body) => {
                // The body and the line of its closing fence.
                lines.nth(body.len());
                last = Some(body.join("\n"));
            }
            None => outside.push(line.to_owned()),
        }
    }
    (outside, last)
}

fn opens_block(line: &str) -> bool {
    line.strip_prefix("```")
        .is_some_and(|word| word.trim().eq_ignore_ascii_case(BLOCK))
}

/// The lines before the closing fence; `None` where there is none.
fn until_fence<'a>(lines: impl Iterator<Item = &'a str>) -> Option<Vec<&'a str>> {
    let mut body = Vec::new();
    for line in lines {
        if line == "```" {
            return Some(body);
        }
        body.push(line);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_become_a_description_and_where_needed_comments() {
        let long = "x".repeat(201);
        let cut = format!("{}…", "x".repeat(199));
        for (text, description, comments) in [
            ("", "Synced from Proxmox node pve1", None),
            (" \r\n ", "Synced from Proxmox node pve1", None),
            ("one line\n", "one line", None),
            (
                "Primary shop database\nOwner: data team",
                "Primary shop database",
                Some("Primary shop database\nOwner: data team"),
            ),
            ("\n  a \r\n\r\n b\r", "a", Some("a\n\nb")),
            (&long, &cut, Some(long.as_str())),
            (
                "before\n```NetBox-Metadata\n{\"role\": 3}\n```\nafter",
                "before",
                Some("before\nafter"),
            ),
            ("```netbox-metadata\n{}\n```", "Synced from Proxmox node pve1", None),
            (
                "```netbox-metadata\n{}",
                "```netbox-metadata",
                Some("```netbox-metadata\n{}"),
            ),
        ] {
            let expected = Notes {
                description: description.to_owned(),
                comments: comments.map(str::to_owned),
            };
            assert_eq!(notes(Some(text), "pve1"), expected, "{text:?}");
        }
    }

    #[test]
    fn overrides_are_whole_numbers_of_the_last_block() {
        let text = "x\n```netbox-metadata\n{\"role\": 1}\n```\n  ```netbox-metadata\n{\"role\": 3, \"vcpus\": true, \
                    \"memory\": 0, \"disk\": \"4\", \"site\": -1, \"tenant\": 5}\n ```";
        let found = overrides(Some(text));
        assert_eq!(found.values, BTreeMap::from([("role", 3)]));
        assert_eq!(found.ignored, ["tenant"]);
        for text in [
            "",
            "role: 3",
            "```netbox-metadata\n[1]\n```",
            "```netbox-metadata\n{\n```",
        ] {
            assert_eq!(overrides(Some(text)), Overrides::default(), "{text:?}");
        }
    }
}
