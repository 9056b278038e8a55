//! The named forms of text that Proxmox knows and we know too, each with texts that have it.
//!
//! A form is as wide as Proxmox's own or a little wider, never narrower: what is refused here would be refused there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// A named form.
pub(super) struct Form {
    name: &'static str,
    fits: fn(&str) -> bool,
    samples: &'static [&'static str],
}

const fn form(name: &'static str, fits: fn(&str) -> bool, samples: &'static [&'static str]) -> Form {
    Form { name, fits, samples }
}

const FORMS: &[Form] = &[
    form(
        "address",
        is_address,
        &["192.0.2.10", "2001:db8::10", "pve1.example.com"],
    ),
    form("CIDR", is_network, &["192.0.2.0/24", "2001:db8::/64"]),
    form(
        "CIDRv4",
        |text| text.parse::<Ipv4Net>().is_ok(),
        &["192.0.2.0/24", "10.0.0.0/8"],
    ),
    form("CIDRv6", |text| text.parse::<Ipv6Net>().is_ok(), &["2001:db8::/64"]),
    form("FullRangeCIDR", is_network, &["0.0.0.0/0", "2001:db8::/64"]),
    form(
        "IPorCIDR",
        |text| is_ip(text) || is_network(text),
        &["192.0.2.7", "192.0.2.0/24"],
    ),
    form("bridge-pair", is_pair, &["vmbr0:vmbr1", "vmbr0", "1"]),
    form("disk-size", is_size, &["32G", "512M", "10.5G"]),
    form("dns-name", is_host, &["example.com", "pve1"]),
    form("email", is_mail, &["root@example.com"]),
    form(
        "email-or-username",
        |text| is_mail(text) || is_user(text),
        &["root@example.com", "root@pam"],
    ),
    form("ip", is_ip, &["192.0.2.10", "2001:db8::10"]),
    form("ipv4", |text| text.parse::<Ipv4Addr>().is_ok(), &["192.0.2.10"]),
    form("ipv4mask", is_mask, &["255.255.255.0", "255.255.254.0"]),
    form("ipv6", |text| text.parse::<Ipv6Addr>().is_ok(), &["2001:db8::10"]),
    form(
        "mac-addr",
        |text| is_hex_groups(text, 6),
        &["BC:24:11:00:00:01", "BC:24:11:AA:BB:CC"],
    ),
    form(
        "mac-prefix",
        |text| (1..=6).any(|count| is_hex_groups(text.strip_suffix(':').unwrap_or(text), count)),
        &["BC:24:11", "BC:24:11:", "BC"],
    ),
    form(
        "pve-configid",
        |text| is_name(text, "_-"),
        &["sample", "backup_1", "nightly-2"],
    ),
    form("pve-day-of-week", |text| DAYS.contains(&text), DAYS),
    form("pve-groupid", |text| is_word(text, ".-_"), &["admins", "ops"]),
    form("pve-iface", is_interface, &["vmbr0", "eno1", "bond0"]),
    form("pve-node", |text| is_word(text, "-"), &["pve1", "pve2"]),
    form("pve-poolid", |text| is_word(text, ".-_/"), &["production", "lab"]),
    form("pve-realm", |text| is_name(text, ".-_"), &["pve", "pam"]),
    form("pve-roleid", |text| is_word(text, ".-_"), &["PVEAuditor", "PVEAdmin"]),
    form(
        "pve-storage-content",
        |text| CONTENTS.contains(&text),
        &["images", "rootdir", "backup", "iso"],
    ),
    form("pve-storage-id", |text| is_name(text, ".-_"), &["local", "local-lvm"]),
    form("pve-task-status-type", |text| STATES.contains(&text), STATES),
    form("pve-tokenid", is_token, &["root@pam!audit"]),
    form("pve-userid", is_user, &["audit@pve", "root@pam"]),
    form("pve-vmid", is_vmid, &["100", "101"]),
    form(
        "pve-volume-id",
        is_volume,
        &["local:iso/debian.iso", "local-lvm:vm-100-disk-0"],
    ),
    form("storage-pair", is_pair, &["local:local-lvm", "local", "1"]),
    form("urlencoded", is_url_encoded, &["ssh-ed25519%20AAAA", "sample"]),
];

const DAYS: &[&str] = &["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const STATES: &[&str] = &["ok", "error", "warning", "unknown"];
const CONTENTS: &[&str] = &[
    "images", "rootdir", "vztmpl", "iso", "backup", "snippets", "import", "none",
];

/// Whether `text` has the form `name`; forms that we do not know are left to Proxmox.
pub(super) fn fits(name: &str, text: &str) -> bool {
    if let Some(single) = name.strip_suffix("-opt") {
        return text.is_empty() || fits(single, text);
    }
    if let Some(form) = find(name) {
        return (form.fits)(text);
    }
    match name.strip_suffix("-list") {
        Some(single) => parts(text).all(|part| fits(single, part)),
        None => true,
    }
}

/// Texts of the form `name`; `None` for forms that we do not know.
pub(super) fn samples(name: &str) -> Option<&'static [&'static str]> {
    let single = name.strip_suffix("-opt").or_else(|| name.strip_suffix("-list"));
    let form = find(name).or_else(|| find(single?))?;
    Some(form.samples)
}

/// Whether values of the form `name` say who or where and can hold no secret.
pub(super) fn is_known(name: &str) -> bool {
    samples(name).is_some()
}

fn find(name: &str) -> Option<&'static Form> {
    FORMS.iter().find(|form| form.name == name)
}

/// The parts of a list in any of the ways in which they are parted.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    let is_separator = |character: char| matches!(character, ',' | ';' | '\0') || character.is_whitespace();
    text.split(is_separator).filter(|part| !part.is_empty())
}

/// Letters, digits and `others`, at least one.
fn is_word(text: &str, others: &str) -> bool {
    !text.is_empty()
        && text
            .chars()
            .all(|character| character.is_ascii_alphanumeric() || others.contains(character))
}

/// As [`is_word`], beginning with a letter.
fn is_name(text: &str, others: &str) -> bool {
    is_word(text, others) && text.starts_with(|first: char| first.is_ascii_alphabetic())
}

fn is_host(text: &str) -> bool {
    !text.is_empty() && text.trim_end_matches('.').split('.').all(|label| is_word(label, "-_"))
}

fn is_ip(text: &str) -> bool {
    // A link-local address can name its interface.
    text.split('%').next().unwrap_or(text).parse::<IpAddr>().is_ok()
}

fn is_address(text: &str) -> bool {
    is_ip(text) || is_host(text)
}

fn is_network(text: &str) -> bool {
    text.parse::<IpNet>().is_ok()
}

fn is_mask(text: &str) -> bool {
    text.parse::<Ipv4Addr>().is_ok_and(|mask| {
        let bits = mask.to_bits();
        bits.leading_ones() + bits.trailing_zeros() >= 32
    })
}

fn is_hex_groups(text: &str, count: usize) -> bool {
    let is_group = |group: &str| (1..=2).contains(&group.len()) && group.bytes().all(|byte| byte.is_ascii_hexdigit());
    text.split(':').count() == count && text.split(':').all(is_group)
}

fn is_interface(text: &str) -> bool {
    (2..=32).contains(&text.len()) && !text.contains(char::is_whitespace) && !text.contains('/')
}

fn is_mail(text: &str) -> bool {
    text.split_once('@')
        .is_some_and(|(user, host)| !user.is_empty() && is_host(host))
        && !text.contains(' ')
}

fn is_user(text: &str) -> bool {
    let is_account = |name: &str| !name.is_empty() && !name.contains([':', '/', ' ', '\n', '\t']);
    text.rsplit_once('@')
        .is_some_and(|(name, realm)| is_account(name) && is_name(realm, ".-_"))
}

fn is_token(text: &str) -> bool {
    text.rsplit_once('!')
        .is_some_and(|(user, name)| is_user(user) && is_name(name, ".-_"))
}

fn is_vmid(text: &str) -> bool {
    text.parse::<u32>()
        .is_ok_and(|number| (100..=999_999_999).contains(&number))
}

fn is_volume(text: &str) -> bool {
    text.split_once(':')
        .is_some_and(|(storage, volume)| is_name(storage, ".-_") && !volume.is_empty())
}

/// `source:target`, one target for all, or `1` for "the same".
fn is_pair(text: &str) -> bool {
    let (source, target) = text.split_once(':').unwrap_or((text, text));
    is_word(source, ".-_") && is_word(target, ".-_")
}

fn is_size(text: &str) -> bool {
    let number = text.strip_suffix(['K', 'M', 'G', 'T']).unwrap_or(text);
    number.parse::<f64>().is_ok_and(|number| number >= 0.0)
}

fn is_url_encoded(text: &str) -> bool {
    text.chars()
        .all(|character| !character.is_control() && !character.is_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_have_their_form() {
        for form in FORMS {
            for sample in form.samples {
                assert!(fits(form.name, sample), "{} as {}", sample, form.name);
            }
        }
    }

    #[test]
    fn texts_of_another_form_are_refused() {
        let table: &[(&str, &[&str])] = &[
            ("pve-node", &["", "pve 1", "pve/1", "pve_1"]),
            ("pve-vmid", &["99", "1000000000", "-100", "x", ""]),
            ("pve-vmid-list", &["100,99", "a"]),
            ("CIDR", &["192.0.2.0", "192.0.2.0/33", "x/8"]),
            ("ipv4", &["2001:db8::1", "256.1.1.1", "1.2.3"]),
            ("ipv4mask", &["255.0.255.0", "x"]),
            ("mac-addr", &["BC:24:11", "BC:24:11:00:00:0G", "BC241100000001"]),
            ("pve-userid", &["root", "@pam", "a b@pam", "root@"]),
            ("pve-storage-id", &["1local", "", "a/b"]),
            ("dns-name", &["a..b", "", "a b"]),
            ("email", &["@example.com", "x"]),
            ("disk-size", &["G", "-1G", "1X"]),
        ];
        for (name, texts) in table {
            for text in *texts {
                assert!(!fits(name, text), "{text:?} as {name}");
            }
        }
    }

    #[test]
    fn lists_and_optional_forms_are_made_of_single_ones() {
        assert!(fits("pve-vmid-list", "100, 101;102"));
        assert!(fits("email-opt", ""));
        assert!(!fits("email-opt", "x"));
        assert!(fits("a-form-of-tomorrow", "anything"));
    }
}
