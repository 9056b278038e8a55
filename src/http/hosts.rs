//! Addresses that an operator gives, checked before they are stored.

use std::net::IpAddr;

use axum::http::StatusCode;

use super::error::ApiError;

/// Checks the address and domain of an endpoint. The domain wins where there is one; the plugin fills the address with
/// a placeholder then.
///
/// # Errors
///
/// 400 where neither can be connected to.
pub(super) fn check_host(ip_address: &str, domain: Option<&str>) -> Result<(), ApiError> {
    let domain = domain.map(str::trim).filter(|domain| !domain.is_empty());
    if let Some(domain) = domain {
        let host = domain
            .trim_start_matches('[')
            .trim_end_matches(']')
            .trim_end_matches('.');
        let is_name = host
            .chars()
            .all(|letter| letter.is_alphanumeric() || matches!(letter, '.' | '-' | '_'));
        let is_host = host
            .parse::<IpAddr>()
            .map_or(is_name, |address| !address.is_unspecified());
        if host.is_empty() || !is_host {
            return Err(refused(
                "Invalid domain: give the host name alone, without scheme, port or path.",
            ));
        }
    }
    let text = ip_address.trim();
    let text = text.split_once('/').map_or(text, |(address, _)| address);
    match text.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
        Ok(address) if address.is_unspecified() => {
            Err(refused("Invalid IP address: nobody has the unspecified address."))
        }
        Err(_) if domain.is_none() => Err(refused(
            "Invalid IP address: give an IPv4 or IPv6 address, or a domain.",
        )),
        Ok(_) | Err(_) => Ok(()),
    }
}

fn refused(text: &str) -> ApiError {
    ApiError::plain(StatusCode::BAD_REQUEST, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_that_cannot_be_connected_to_is_refused() {
        for (ip_address, domain, is_fine) in [
            ("10.0.0.1", None, true),
            ("10.0.0.1/24", Some(""), true),
            ("127.0.0.1", Some("pve.example"), true),
            ("::1", None, true),
            ("", Some("pve.example."), true),
            ("", None, false),
            ("pve.example", None, false),
            ("0.0.0.0", None, false),
            ("::", Some("pve.example"), false),
            ("10.0.0.1", Some("https://pve"), false),
            ("10.0.0.1", Some("pve:8006"), false),
            ("10.0.0.1", Some("user@pve"), false),
        ] {
            assert_eq!(
                check_host(ip_address, domain).is_ok(),
                is_fine,
                "{ip_address:?} {domain:?}"
            );
        }
    }
}
