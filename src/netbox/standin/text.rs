//! Texts that NetBox brings into one form: times, addresses, MAC addresses; and its order of names.

use std::cmp::Ordering;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use time::format_description::well_known::Iso8601;
use time::{OffsetDateTime, PrimitiveDateTime};

/// A time in the form NetBox answers; one without an offset is taken as UTC, a date as its midnight.
pub(super) fn time(text: &str) -> Option<String> {
    let text = text.trim();
    let text = if text.contains(['T', ' ']) {
        text.replacen(' ', "T", 1)
    } else {
        format!("{text}T00:00:00")
    };
    let moment = OffsetDateTime::parse(&text, &Iso8601::DEFAULT)
        .or_else(|_| PrimitiveDateTime::parse(&text, &Iso8601::DEFAULT).map(PrimitiveDateTime::assume_utc));
    moment.ok().map(stamp)
}

/// `moment` in the form NetBox answers.
pub(super) fn stamp(moment: OffsetDateTime) -> String {
    let moment = moment.to_offset(time::UtcOffset::UTC);
    let (date, time) = (moment.date(), moment.time());
    let whole = format!("{date}T{:02}:{:02}:{:02}", time.hour(), time.minute(), time.second());
    match time.microsecond() {
        0 => format!("{whole}Z"),
        rest => format!("{whole}.{rest:06}Z"),
    }
}

/// An address with its mask, in canonical form; `/32` or `/128` where the mask is missing.
pub(super) fn address(text: &str) -> Option<IpNet> {
    let text = text.trim();
    if text.contains('/') {
        return text.parse().ok();
    }
    text.parse::<IpAddr>().ok().map(IpNet::from)
}

/// The address without its mask.
pub(super) fn host(text: &str) -> &str {
    text.split('/').next().unwrap_or_default()
}

/// Upper-case pairs joined by colons; `None` for what is no MAC address.
pub(super) fn mac(text: &str) -> Option<String> {
    let digits: String = text
        .trim()
        .chars()
        .filter(|c| !matches!(c, ':' | '-' | '.'))
        .map(|c| c.to_ascii_uppercase())
        .collect();
    if digits.len() != 12 || !digits.chars().all(|c| c.is_ascii_hexdigit()) {
        return None;
    }
    let pairs: Vec<&str> = (0..12).step_by(2).filter_map(|at| digits.get(at..at + 2)).collect();
    Some(pairs.join(":"))
}

/// Whether Django takes `text` for a URL: a scheme, and a host that is an address, `localhost` or a domain whose last
/// label has two letters or more.
pub(super) fn is_link(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else {
        return false;
    };
    let has_scheme = ["http", "https", "ftp", "ftps"].contains(&scheme.to_lowercase().as_str());
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let place = authority.rsplit_once('@').map_or(authority, |(_, place)| place);
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (place, None),
    };
    let is_port = |port: &str| (1..=5).contains(&port.len()) && port.bytes().all(|byte| byte.is_ascii_digit());
    let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let is_host = match bracketed {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => host.parse::<Ipv4Addr>().is_ok() || host.eq_ignore_ascii_case("localhost") || is_domain(host),
    };
    has_scheme && is_host && port.is_none_or(is_port) && !text.contains(char::is_whitespace)
}

fn is_domain(host: &str) -> bool {
    let is_letter = |c: char| c.is_ascii_alphabetic() || ('\u{a1}'..='\u{ffff}').contains(&c);
    let is_label = |label: &str| {
        (1..=63).contains(&label.chars().count())
            && label.chars().all(|c| is_letter(c) || c.is_ascii_digit() || c == '-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let bare = host.strip_suffix('.').unwrap_or(host);
    let Some((rest, last)) = bare.rsplit_once('.') else {
        return false;
    };
    let is_word = last.chars().count() > 1 && last.chars().all(|c| is_letter(c) || c == '-');
    let is_code = |code: &str| code.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let is_last = is_word || last.to_lowercase().strip_prefix("xn--").is_some_and(is_code);
    host.chars().count() <= 253 && is_last && is_label(last) && rest.split('.').all(is_label)
}

/// The order of names: runs of digits by their value, letters without regard to case.
pub(super) fn natural(left: &str, right: &str) -> Ordering {
    let (mut left_rest, mut right_rest) = (left, right);
    loop {
        let (ours, theirs) = (first_part(left_rest), first_part(right_rest));
        let order = match (ours.parse::<u128>(), theirs.parse::<u128>()) {
            (Ok(ours), Ok(theirs)) => ours.cmp(&theirs),
            _ => ours.to_lowercase().cmp(&theirs.to_lowercase()),
        };
        if order != Ordering::Equal || (ours.is_empty() && theirs.is_empty()) {
            return order.then_with(|| right.cmp(left));
        }
        left_rest = left_rest.get(ours.len()..).unwrap_or_default();
        right_rest = right_rest.get(theirs.len()..).unwrap_or_default();
    }
}

/// The leading run of digits, or one other character.
fn first_part(text: &str) -> &str {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let length = if digits > 0 {
        digits
    } else {
        text.chars().next().map_or(0, char::len_utf8)
    };
    text.get(..length).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_is_taken_where_django_takes_it() {
        for (host, expected) in [
            ("pve.lab.example", true),
            ("PVE.lab.example.", true),
            ("pve.zürich", true),
            ("pve.xn--p1ai", true),
            ("10.0.0.1", true),
            ("[fd00::1]", true),
            ("localhost", true),
            ("root@pve.lab.example", true),
            ("pve1", false),
            ("pve1.dc1", false),
            ("pve.x", false),
            ("pve_1.lab.example", false),
            ("pve-.example", false),
            ("pve..example", false),
            ("10.0.0.999", false),
            ("10.1", false),
            ("10.0.0.01", false),
            ("[fe80::1%25eth0]", false),
            ("fd00::1", false),
            ("", false),
        ] {
            let link = format!("https://{host}:8006/#v1:0:=lxc/202");
            assert_eq!(is_link(&link), expected, "{link}");
        }
        for (link, expected) in [
            ("https://pve.example", true),
            ("ftp://pve.example/a?b", true),
            ("gopher://pve.example/", false),
            ("pve.example", false),
            ("https://pve.example/a b", false),
            ("https://pve.example:port/", false),
        ] {
            assert_eq!(is_link(link), expected, "{link}");
        }
    }
}
