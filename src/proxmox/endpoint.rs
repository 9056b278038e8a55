//! One configured Proxmox endpoint: where it is, who we are there, and how patient to be.

use std::net::IpAddr;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::credential::Credential;
use super::error::Error;
use super::tls::TlsPolicy;
use crate::endpoint::{EndpointKey, Product};
use secrecy::ExposeSecret as _;

/// Everything a [`super::Session`] needs to know. `Debug` shows no secret.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Who this endpoint is among all configured ones.
    pub key: EndpointKey,
    /// What runs there.
    pub product: Product,
    /// The operator's name for it.
    pub name: String,
    /// DNS name; asked first, and the name that certificates are checked against.
    pub domain: Option<String>,
    /// Address without prefix length; dialled when the domain cannot be reached, or when there is none.
    pub ip_address: Option<String>,
    /// TCP port, usually [`Product::port`].
    pub port: u16,
    /// `user@realm`.
    pub username: String,
    /// Token or password of `username`.
    pub credential: Credential,
    /// Whom to believe.
    pub tls: TlsPolicy,
    /// The operator's patience with one call; 5 s gives each class of call its usual limit, 10 s twice that.
    pub timeout: Duration,
    /// Limit for resolving, connecting and shaking hands.
    pub connect_timeout: Duration,
    /// How often a read that failed for a passing reason is repeated.
    pub max_retries: u32,
    /// Base of the growing, jittered pause between repetitions.
    pub retry_backoff: Duration,
    /// Calls in flight per node and for the host; more than about three only queue inside Proxmox.
    pub max_parallel: usize,
}

/// Which protocol a session speaks. Proxmox itself speaks TLS only; plain HTTP is for an in-process server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// HTTP/1.1 over TLS.
    #[default]
    Https,
    /// Plain HTTP/1.1, for the mock and for tests on the loopback interface.
    Http,
}

impl Scheme {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Https => "https",
            Self::Http => "http",
        }
    }
}

/// One way to reach an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    /// Name in the URL, in `Host`, in SNI and in the certificate.
    pub(super) host: String,
    /// Dialled instead of resolving `host`.
    pub(super) dial: Option<IpAddr>,
}

impl Address {
    /// What to call this address in errors and logs: the dialled address where there is one.
    pub(super) fn label(&self, port: u16) -> String {
        match self.dial {
            Some(ip) => host_and_port(&ip.to_string(), port),
            None => host_and_port(&self.host, port),
        }
    }

    /// The start of every URL.
    pub(super) fn origin(&self, scheme: Scheme, port: u16) -> String {
        format!("{}://{}", scheme.as_str(), host_and_port(&self.host, port))
    }
}

fn host_and_port(host: &str, port: u16) -> String {
    if host.parse::<std::net::Ipv6Addr>().is_ok() {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

impl Endpoint {
    /// The domain, or else the address, with the port: for errors and logs.
    pub fn address(&self) -> String {
        let host = filled(self.domain.as_deref()).or_else(|| filled(self.ip_address.as_deref()));
        host_and_port(host.unwrap_or("(no address)"), self.port)
    }

    /// The ways to reach this endpoint, in the order to try them.
    ///
    /// With a domain, an address is dialled only as second choice, under the domain's name, and never when it points
    /// back at this machine or cannot be routed: such a value is a placeholder, and would send credentials astray.
    pub(super) fn addresses(&self) -> Result<Vec<Address>, Error> {
        let domain = filled(self.domain.as_deref());
        let ip_text = filled(self.ip_address.as_deref());
        let ip = match ip_text.map(bare_ip) {
            Some(text) => match text.parse::<IpAddr>() {
                Ok(ip) => Some(ip),
                Err(_) if domain.is_some() => None,
                Err(_) => return Err(self.invalid(format!("`{text}` is no IP address"))),
            },
            None => None,
        };
        match (domain, ip) {
            (Some(domain), ip) => {
                let host = self.check_host(domain)?;
                let mut found = vec![Address {
                    host: host.clone(),
                    dial: None,
                }];
                let is_name = host.parse::<IpAddr>().is_err();
                if let Some(ip) = ip.filter(|ip| is_name && is_fit_for_fallback(*ip)) {
                    found.push(Address { host, dial: Some(ip) });
                }
                Ok(found)
            }
            (None, Some(ip)) => Ok(vec![Address {
                host: ip.to_string(),
                dial: None,
            }]),
            (None, None) => Err(self.invalid("it has neither a domain nor an IP address".to_owned())),
        }
    }

    /// The domain as it may stand in a URL.
    fn check_host(&self, domain: &str) -> Result<String, Error> {
        let host = domain
            .trim_start_matches('[')
            .trim_end_matches(']')
            .trim_end_matches('.');
        let is_ip = host.parse::<IpAddr>().is_ok();
        let is_name = !host.is_empty()
            && host
                .chars()
                .all(|c| c.is_alphanumeric() || matches!(c, '.' | '-' | '_'));
        if is_ip || is_name {
            return Ok(host.to_owned());
        }
        Err(self.invalid(format!(
            "`{domain}` is no host name: give the name alone, without scheme, port or path"
        )))
    }

    pub(super) fn invalid(&self, reason: String) -> Error {
        Error::InvalidEndpoint {
            endpoint: self.name.clone(),
            reason,
        }
    }

    /// A digest over everything that makes a session what it is, secrets included.
    pub(super) fn digest(&self) -> [u8; 32] {
        let (kind, token, secret) = match &self.credential {
            Credential::Token { name, secret } => ("token", name.as_str(), secret.expose_secret()),
            Credential::Password(secret) => ("password", "", secret.expose_secret()),
        };
        let parts = [
            self.product.as_str().to_owned(),
            self.name.clone(),
            format!("{:?} {:?} {}", self.domain, self.ip_address, self.port),
            self.username.clone(),
            kind.to_owned(),
            token.to_owned(),
            format!("{:?}", self.tls),
            format!("{:?} {:?} {:?}", self.timeout, self.connect_timeout, self.retry_backoff),
            format!("{} {}", self.max_retries, self.max_parallel),
        ];
        let mut hasher = Sha256::new();
        for part in parts.iter().map(String::as_str).chain([secret]) {
            hasher.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            hasher.update(part);
        }
        hasher.finalize().into()
    }
}

fn filled(text: Option<&str>) -> Option<&str> {
    text.map(str::trim).filter(|text| !text.is_empty())
}

/// `text` without brackets and without a prefix length.
fn bare_ip(text: &str) -> &str {
    let text = text.split_once('/').map_or(text, |(ip, _)| ip);
    text.trim_start_matches('[').trim_end_matches(']')
}

/// Whether `ip` can be a second way to a host that has a name of its own.
pub(super) fn is_fit_for_fallback(ip: IpAddr) -> bool {
    let is_link_local = match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => match ip.to_ipv4_mapped() {
            Some(ip) => return is_fit_for_fallback(IpAddr::V4(ip)),
            None => ip.is_unicast_link_local(),
        },
    };
    !(ip.is_loopback() || ip.is_unspecified() || ip.is_multicast() || is_link_local)
}

#[cfg(test)]
mod tests {
    use super::super::tests::endpoint;
    use super::*;
    use secrecy::SecretString;

    #[test]
    fn addresses_follow_the_order_and_leave_placeholders_out() {
        type Row<'a> = (Option<&'a str>, Option<&'a str>, &'a [&'a str]);
        let table: &[Row<'_>] = &[
            (
                Some("pve.example"),
                Some("10.0.0.1"),
                &["pve.example:8006", "10.0.0.1:8006"],
            ),
            (
                Some("pve.example."),
                Some("10.0.0.1/24"),
                &["pve.example:8006", "10.0.0.1:8006"],
            ),
            (Some("pve.example"), Some("127.0.0.1"), &["pve.example:8006"]),
            (Some("pve.example"), Some("::1"), &["pve.example:8006"]),
            (Some("pve.example"), Some("::ffff:127.0.0.1"), &["pve.example:8006"]),
            (Some("pve.example"), Some("0.0.0.0"), &["pve.example:8006"]),
            (Some("pve.example"), Some("169.254.1.1"), &["pve.example:8006"]),
            (Some("pve.example"), Some("fe80::1"), &["pve.example:8006"]),
            (Some("pve.example"), Some("nonsense"), &["pve.example:8006"]),
            (Some("pve.example"), None, &["pve.example:8006"]),
            (None, Some("127.0.0.1"), &["127.0.0.1:8006"]),
            (Some(" "), Some("fd00::5"), &["[fd00::5]:8006"]),
            (Some("10.0.0.9"), Some("10.0.0.1"), &["10.0.0.9:8006"]),
        ];
        for (domain, ip, wanted) in table {
            let found = endpoint(*domain, *ip).addresses().unwrap();
            let found: Vec<_> = found.iter().map(|address| address.label(8006)).collect();
            assert_eq!(found, *wanted, "{domain:?} {ip:?}");
        }
    }

    #[test]
    fn fallback_address_keeps_the_name_of_the_domain() {
        let found = endpoint(Some("pve.example"), Some("10.0.0.1")).addresses().unwrap();
        for address in found {
            assert_eq!(address.origin(Scheme::Https, 8006), "https://pve.example:8006");
        }
    }

    #[test]
    fn endpoint_without_usable_address_is_refused() {
        for (domain, ip) in [
            (None, None),
            (Some(""), Some(" ")),
            (None, Some("pve")),
            (Some("https://pve"), None),
            (Some("pve:8006"), None),
            (Some("user@pve"), None),
        ] {
            assert!(endpoint(domain, ip).addresses().is_err(), "{domain:?} {ip:?}");
        }
    }

    #[test]
    fn digest_changes_with_every_field_that_matters() {
        let base = endpoint(Some("pve.example"), None);
        assert_eq!(base.digest(), base.clone().digest());
        let changes: [fn(&mut Endpoint); 8] = [
            |it| it.product = Product::BackupServer,
            |it| it.port = 443,
            |it| it.ip_address = Some("10.0.0.1".to_owned()),
            |it| it.username = "root@pam".to_owned(),
            |it| it.tls.verify = false,
            |it| it.timeout = Duration::from_secs(9),
            |it| it.credential = Credential::Password(SecretString::from("s3cret")),
            |it| {
                it.credential = Credential::Token {
                    name: "netbox".to_owned(),
                    secret: SecretString::from("other"),
                };
            },
        ];
        for (number, change) in changes.iter().enumerate() {
            let mut other = base.clone();
            change(&mut other);
            assert_ne!(base.digest(), other.digest(), "change {number}");
        }
    }

    #[test]
    fn debug_of_an_endpoint_hides_the_secret() {
        let shown = format!("{:?}", endpoint(Some("pve.example"), None));
        assert!(!shown.contains("s3cret"), "{shown}");
    }
}
