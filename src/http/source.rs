//! Where a request comes from, as far as that can be believed.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::extract::{ConnectInfo, Request};
use axum::http::HeaderMap;
use ipnet::IpNet;

const FORWARDED_FOR: &str = "x-forwarded-for";

/// The source of `request`, in the form that failures and requests are counted under.
pub(super) fn of(request: &Request, trusted: &[IpNet]) -> String {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let peer = peer.map(|ConnectInfo(address)| address.ip());
    name(peer, request.headers(), trusted)
}

/// `<trust>|<address>`: a proxy's clients must not be taken for the proxy, and nobody may pick another's address.
fn name(peer: Option<IpAddr>, headers: &HeaderMap, trusted: &[IpNet]) -> String {
    let Some(peer) = peer.map(|address| address.to_canonical()) else {
        return "direct|unknown".to_owned();
    };
    let is_trusted = |address: &IpAddr| trusted.iter().any(|network| network.contains(address));
    if !is_trusted(&peer) {
        return format!("direct|{}", subject(peer));
    }
    let hops: Option<Vec<IpAddr>> = hops(headers);
    match hops {
        None => format!("trusted-peer-invalid-forwarding|{}", subject(peer)),
        Some(hops) if hops.is_empty() => format!("trusted-peer|{}", subject(peer)),
        Some(hops) => {
            let client = hops.iter().rev().find(|hop| !is_trusted(hop)).or(hops.first());
            format!("trusted-forwarded|{}", subject(*client.unwrap_or(&peer)))
        }
    }
}

/// The addresses that proxies have added, left to right; `None` where one cannot be understood.
fn hops(headers: &HeaderMap) -> Option<Vec<IpAddr>> {
    let mut hops = Vec::new();
    for header in headers.get_all(FORWARDED_FOR) {
        for part in header.to_str().ok()?.split(',') {
            hops.push(part.trim().parse::<IpAddr>().ok()?.to_canonical());
        }
    }
    Some(hops)
}

/// An IPv4 address, or the network that an IPv6 host can pick its addresses from.
fn subject(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_is_the_nearest_address_that_is_not_a_trusted_proxy() {
        let trusted: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        let cases = [
            ("192.0.2.7", None, "direct|192.0.2.7"),
            ("192.0.2.7", Some("198.51.100.1"), "direct|192.0.2.7"),
            ("::ffff:192.0.2.7", None, "direct|192.0.2.7"),
            ("2001:db8:1:2:3:4:5:6", None, "direct|2001:db8:1:2::"),
            ("10.0.0.1", None, "trusted-peer|10.0.0.1"),
            ("10.0.0.1", Some("198.51.100.1"), "trusted-forwarded|198.51.100.1"),
            (
                "10.0.0.1",
                Some("203.0.113.9, 198.51.100.1, 10.9.9.9"),
                "trusted-forwarded|198.51.100.1",
            ),
            ("10.0.0.1", Some("10.1.1.1, 10.2.2.2"), "trusted-forwarded|10.1.1.1"),
            (
                "10.0.0.1",
                Some("198.51.100.1, unknown"),
                "trusted-peer-invalid-forwarding|10.0.0.1",
            ),
            ("10.0.0.1", Some(""), "trusted-peer-invalid-forwarding|10.0.0.1"),
            ("fd00::1", Some("2001:db8::9"), "trusted-forwarded|2001:db8::"),
        ];
        for (peer, forwarded, expected) in cases {
            let mut headers = HeaderMap::new();
            if let Some(forwarded) = forwarded {
                headers.insert(FORWARDED_FOR, forwarded.parse().unwrap());
            }
            assert_eq!(
                name(peer.parse().ok(), &headers, &trusted),
                expected,
                "{peer} {forwarded:?}"
            );
        }
        assert_eq!(name(None, &HeaderMap::new(), &trusted), "direct|unknown");
    }
}
