//! Where an InfluxDB server may be: whoever asks names the address, so it must not lead to this host or its link.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use url::{Host, Url};

use super::Error;

/// Why a server must not be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    /// The scheme is not `https`.
    #[error("the URL must begin with https://")]
    Scheme,
    /// There is no host in it.
    #[error("the URL names no host")]
    NoHost,
    /// There is more in it than where the server is.
    #[error("the URL must hold no user, query or fragment")]
    Surplus,
    /// Its address is one of this host, of a link, or of nobody.
    #[error("only public addresses and private IPv4 addresses may be asked")]
    Address,
}

/// Checks what can be checked of `url` before its name is resolved.
///
/// # Errors
///
/// [`PlaceError`].
pub fn check_url(url: &Url) -> Result<(), PlaceError> {
    if url.scheme() != "https" {
        return Err(PlaceError::Scheme);
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(PlaceError::NoHost);
    }
    let has_user = !url.username().is_empty() || url.password().is_some();
    if has_user || url.query().is_some() || url.fragment().is_some() {
        return Err(PlaceError::Surplus);
    }
    Ok(())
}

/// The addresses of the host of `url`; all of them must be allowed.
pub(super) async fn locate(url: &Url) -> Result<Vec<SocketAddr>, Error> {
    check_url(url)?;
    let port = url.port_or_known_default().unwrap_or_default();
    let addresses: Vec<SocketAddr> = match url.host() {
        Some(Host::Ipv4(address)) => vec![SocketAddr::from((address, port))],
        Some(Host::Ipv6(address)) => vec![SocketAddr::from((address, port))],
        Some(Host::Domain(name)) => {
            let found = tokio::net::lookup_host((name, port)).await;
            found.map_err(Error::Name)?.collect()
        }
        None => return Err(PlaceError::NoHost.into()),
    };
    if addresses.is_empty() {
        return Err(Error::Name(std::io::Error::other("the name has no addresses")));
    }
    if addresses.iter().all(|address| is_allowed(address.ip())) {
        Ok(addresses)
    } else {
        Err(PlaceError::Address.into())
    }
}

fn is_allowed(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_allowed_v4(address),
        IpAddr::V6(address) => is_global_v6(address),
    }
}

fn is_allowed_v4(address: Ipv4Addr) -> bool {
    let is_special = match address.octets() {
        // This network, carrier-grade NAT, protocol assignments, benchmarks, and what is reserved.
        [0 | 240..=255, ..] | [100, 64..=127, ..] | [192, 0, 0, _] | [198, 18 | 19, ..] => true,
        _ => false,
    };
    !is_special
        && !address.is_loopback()
        && !address.is_link_local()
        && !address.is_multicast()
        && !address.is_documentation()
}

/// Global unicast is `2000::/3`. What carries IPv4 inside, or is for documents, is not a place of its own.
fn is_global_v6(address: Ipv6Addr) -> bool {
    match address.segments() {
        [0x2001, 0 | 0xDB8, ..] | [0x2002, ..] => false,
        [first, ..] => first & 0xE000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_and_private_ipv4_addresses_are_allowed() {
        for (address, wanted) in [
            ("10.1.2.3", true),
            ("172.16.0.9", true),
            ("192.168.1.1", true),
            ("9.9.9.9", true),
            ("127.0.0.1", false),
            ("127.9.9.9", false),
            ("0.0.0.0", false),
            ("169.254.169.254", false),
            ("100.64.0.1", false),
            ("198.18.0.1", false),
            ("192.0.2.1", false),
            ("224.0.0.1", false),
            ("255.255.255.255", false),
            ("::1", false),
            ("::", false),
            ("fe80::1", false),
            ("fd00::1", false),
            ("2001:db8::1", false),
            ("2002:7f00:1::", false),
            ("::ffff:127.0.0.1", false),
            ("::ffff:10.0.0.1", true),
            ("2620:fe::9", true),
        ] {
            assert_eq!(is_allowed(address.parse().unwrap()), wanted, "{address}");
        }
    }

    #[test]
    fn url_holds_nothing_but_the_place() {
        for (url, wanted) in [
            ("https://influx.example:8086/", Ok(())),
            ("https://influx.example/base", Ok(())),
            ("http://influx.example/", Err(PlaceError::Scheme)),
            ("https://user@influx.example/", Err(PlaceError::Surplus)),
            ("https://influx.example/?a=b", Err(PlaceError::Surplus)),
            ("https://influx.example/#a", Err(PlaceError::Surplus)),
        ] {
            assert_eq!(check_url(&Url::parse(url).unwrap()), wanted, "{url}");
        }
    }

    #[tokio::test]
    async fn name_that_leads_to_this_host_is_refused() {
        for url in ["https://localhost:8086/", "https://127.0.0.1/", "https://[::1]/"] {
            let located = locate(&Url::parse(url).unwrap()).await;
            assert!(
                matches!(located, Err(Error::Place(PlaceError::Address))),
                "{url}: {located:?}"
            );
        }
    }
}
