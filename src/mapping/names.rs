//! Names and slugs.

use thiserror::Error;

/// The longest name of a device in NetBox.
const DEVICE_NAME_MAX: usize = 64;
/// The longest label between two dots of a DNS name.
const LABEL_MAX: usize = 63;
/// The template of a device's name where none is set.
pub const DEFAULT_DEVICE_NAME: &str = "{node}";

/// A slug of `text`: lower case, runs of anything but letters and digits become one hyphen; `fallback` where nothing
/// is left.
pub fn slug(text: &str, fallback: &str) -> String {
    let mut slug = String::with_capacity(text.len());
    for letter in text.trim().to_lowercase().chars() {
        if letter.is_ascii_alphanumeric() {
            slug.push(letter);
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    let slug = slug.trim_end_matches('-');
    if slug.is_empty() {
        fallback.to_owned()
    } else {
        slug.to_owned()
    }
}

/// `text` as NetBox stores it: without NUL characters and without white space around it.
pub fn clean(text: &str) -> String {
    text.replace('\0', "").trim().to_owned()
}

/// An endpoint's name without the suffix ` (nb:7)` by which the plugin recognises its rows.
pub fn endpoint_label(name: &str) -> &str {
    plugin_key(name).map_or(name.trim(), |_| {
        name.trim()
            .rsplit_once("(nb:")
            .map_or(name, |(label, _)| label.trim_end())
    })
}

/// The primary key of the plugin's endpoint, from the suffix ` (nb:7)` of an endpoint's name.
pub fn plugin_key(name: &str) -> Option<u64> {
    name.trim().strip_suffix(')')?.rsplit_once("(nb:")?.1.parse().ok()
}

/// What a device's name is made of.
#[derive(Debug, Clone, Copy)]
pub struct DeviceNameParts<'a> {
    /// The node's name.
    pub node: &'a str,
    /// The cluster's name.
    pub cluster: &'a str,
    /// The endpoint's name as configured, with or without the plugin's suffix.
    pub endpoint: &'a str,
}

/// Why a device cannot be named by its template.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the node's device name {name:?} is not a host name of at most 64 letters, digits, hyphens and dots")]
pub struct BadDeviceName {
    /// The rendered name.
    pub name: String,
}

/// Renders a device's name. A template that lacks `{node}` or names an unknown placeholder is passed over in favour of
/// [`DEFAULT_DEVICE_NAME`].
///
/// # Errors
///
/// [`BadDeviceName`] where the rendered name is not a host name; it is never cut to fit.
pub fn device_name(template: &str, parts: DeviceNameParts<'_>) -> Result<String, BadDeviceName> {
    let template = if is_device_name_template(template) {
        template.trim()
    } else {
        DEFAULT_DEVICE_NAME
    };
    let name = template
        .replace("{cluster_slug}", &slug(parts.cluster, "cluster"))
        .replace("{cluster}", parts.cluster)
        .replace("{endpoint}", endpoint_label(parts.endpoint))
        .replace("{node}", parts.node);
    if is_host_name(&name) {
        Ok(name)
    } else {
        Err(BadDeviceName { name })
    }
}

/// What a template of device names is, as the rest of a sentence.
pub const TEMPLATE_FORM: &str = "a host name that holds {node} and may hold {cluster}, {cluster_slug} and {endpoint}";

/// Whether `template` has the placeholder `{node}` and no unknown one.
pub fn is_device_name_template(template: &str) -> bool {
    let known = ["{node}", "{cluster}", "{cluster_slug}", "{endpoint}"];
    let rest = known.iter().fold(template.trim().to_owned(), |rest, placeholder| {
        rest.replace(placeholder, "")
    });
    template.contains("{node}") && !rest.contains(['{', '}'])
}

fn is_host_name(name: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= LABEL_MAX
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .chars()
                .all(|letter| letter.is_ascii_alphanumeric() || letter == '-')
    };
    name.len() <= DEVICE_NAME_MAX && name.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_hold_letters_digits_and_single_hyphens() {
        for (text, expected) in [
            ("Lab", "lab"),
            ("  My  Cluster_01. ", "my-cluster-01"),
            ("Ünïcode", "n-code"),
            ("---", "fallback"),
            ("", "fallback"),
        ] {
            assert_eq!(slug(text, "fallback"), expected, "{text:?}");
        }
    }

    #[test]
    fn suffix_of_the_plugin_is_told_from_the_name() {
        for (name, label, key) in [
            ("lab (nb:7)", "lab", Some(7)),
            ("lab (nb:7) ", "lab", Some(7)),
            ("lab", "lab", None),
            ("lab (nb:x)", "lab (nb:x)", None),
            ("a (nb:1) (nb:22)", "a (nb:1)", Some(22)),
        ] {
            assert_eq!((endpoint_label(name), plugin_key(name)), (label, key), "{name:?}");
        }
    }

    #[test]
    fn device_names_follow_the_template_or_are_refused() {
        let parts = DeviceNameParts {
            node: "pve1",
            cluster: "Lab A",
            endpoint: "dc1 (nb:3)",
        };
        for (template, expected) in [
            ("", Some("pve1")),
            ("{node}", Some("pve1")),
            ("{node}.{cluster_slug}", Some("pve1.lab-a")),
            ("{endpoint}-{node}", Some("dc1-pve1")),
            ("{cluster}-{node}", None),
            ("{cluster}", Some("pve1")),
            ("{node}{unknown}", Some("pve1")),
            ("{node}.", None),
            ("{node}-", None),
        ] {
            assert_eq!(device_name(template, parts).ok().as_deref(), expected, "{template:?}");
        }
        for (node, is_good) in [
            ("a".repeat(63), true),
            ("a".repeat(64), false),
            ("pve_1".to_owned(), false),
        ] {
            let answer = device_name("{node}", DeviceNameParts { node: &node, ..parts });
            assert_eq!(answer.is_ok(), is_good, "{node:?}");
        }
        let long = format!("{}.{}", "a".repeat(40), "b".repeat(24));
        assert!(
            device_name("{node}", DeviceNameParts { node: &long, ..parts }).is_err(),
            "65 characters"
        );
    }
}
