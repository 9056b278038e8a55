//! Texts that NetBox brings into one form: times, addresses, MAC addresses; and its order of names.

use std::cmp::Ordering;
use std::net::IpAddr;

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

/// Whether Django takes `text` for a URL: a scheme, and a host that is an address, `localhost` or has a dot.
pub(super) fn is_link(text: &str) -> bool {
    let Ok(link) = url::Url::parse(text) else { return false };
    let has_scheme = matches!(link.scheme(), "http" | "https" | "ftp" | "ftps");
    let host = match link.host() {
        Some(url::Host::Domain(name)) => {
            name == "localhost" || (name.contains('.') && !name.contains('_') && !name.starts_with('.'))
        }
        Some(url::Host::Ipv4(_) | url::Host::Ipv6(_)) => true,
        None => false,
    };
    has_scheme && host && !text.contains(char::is_whitespace)
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
