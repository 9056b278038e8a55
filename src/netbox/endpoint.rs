//! Where a NetBox is and how to sign in.

use std::time::Duration;

use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use super::error::Error;
use super::tls;

/// What stands before a v2 token's key on the wire.
const V2_PREFIX: &str = "nbt_";
/// Ports on which plain HTTP is usual, so that no search for TLS is made.
const PLAIN_PORTS: [u16; 3] = [80, 8000, 8080];

/// How a NetBox is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Plain text.
    Http,
    /// TLS.
    Https,
}

impl Scheme {
    /// The word in front of `://`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// The scheme of that word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Http, Self::Https]
            .into_iter()
            .find(|scheme| scheme.as_str() == word)
    }
}

/// Credentials of a NetBox user.
#[derive(Debug, Clone)]
pub enum Token {
    /// 40 characters, sent as `Token <secret>`.
    V1(SecretString),
    /// A key, with or without its `nbt_`, and a secret; sent as `Bearer nbt_<key>.<secret>`.
    V2 {
        /// The public half, which names the token.
        key: SecretString,
        /// The secret half.
        secret: SecretString,
    },
}

impl Token {
    /// The `Authorization` header, marked so that no log prints it.
    ///
    /// # Errors
    ///
    /// [`Error::Endpoint`] where a part is empty or cannot stand in a header. There are no anonymous calls: they
    /// succeed for public rows and make lists look empty.
    pub(super) fn header(&self) -> Result<HeaderValue, Error> {
        let text = match self {
            Self::V1(secret) => format!("Token {}", clean(secret, "token")?),
            Self::V2 { key, secret } => {
                let key = clean(key, "token_key")?;
                let key = key.strip_prefix(V2_PREFIX).unwrap_or(&key);
                if key.is_empty() {
                    return Err(Error::endpoint("token_key", "a v2 token needs its key"));
                }
                format!("Bearer {V2_PREFIX}{key}.{}", clean(secret, "token")?)
            }
        };
        let mut header =
            HeaderValue::from_str(&text).map_err(|_| Error::endpoint("token", "not usable in an HTTP header"))?;
        header.set_sensitive(true);
        Ok(header)
    }

    fn digest_into(&self, hasher: &mut Sha256) {
        let parts: [&str; 3] = match self {
            Self::V1(secret) => ["v1", "", secret.expose_secret()],
            Self::V2 { key, secret } => ["v2", key.expose_secret(), secret.expose_secret()],
        };
        for part in parts {
            absorb(hasher, part.as_bytes());
        }
    }
}

/// The part without line ends and NUL, which would break the header, and without white space around it.
fn clean(part: &SecretString, field: &'static str) -> Result<String, Error> {
    let text: String = part
        .expose_secret()
        .chars()
        .filter(|c| !matches!(c, '\r' | '\n' | '\0'))
        .collect();
    let text = text.trim();
    if text.is_empty() {
        return Err(Error::endpoint(field, "must not be empty"));
    }
    Ok(text.to_owned())
}

/// How many requests may be under way at once. The client lowers both for a while when NetBox is overloaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Simultaneous reads, at least 1.
    pub read: usize,
    /// Simultaneous writes, at least 1.
    pub write: usize,
    /// Simultaneous requests of either kind, at least 1; `None` where nobody has set a limit.
    pub total: Option<usize>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            read: 8,
            write: 4,
            total: None,
        }
    }
}

/// One configured NetBox.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// The operator's name for it; the [`Pool`](super::Pool) keeps one client per name.
    pub name: String,
    /// `None`: TLS on port 443 or where the certificate is looked at, else plain HTTP, which on unusual ports is decided by
    /// asking without credentials first.
    pub scheme: Option<Scheme>,
    /// A domain name or an address, without brackets or mask.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// The path below which NetBox is served: empty, or a slash and a path without one at its end.
    pub base_path: String,
    /// Credentials.
    pub token: Token,
    /// Whether the server's certificate must be valid for `host` where neither of the next two is set.
    pub verify_tls: bool,
    /// Certificates (PEM) trusted besides those of the system; when set, the server's must be valid whatever `verify_tls`
    /// says.
    pub tls_ca_pem: Option<String>,
    /// SHA-256 of the server's certificate in hex, colons allowed; when set it alone decides.
    pub tls_fingerprint: Option<String>,
    /// Limit of one request, answer included.
    pub timeout: Duration,
    /// Simultaneous requests.
    pub limits: Limits,
    /// How often a failed request is repeated where that is safe.
    pub max_retries: u32,
    /// Base of the pause before a repetition; it doubles each time, up to 30 s, and is jittered.
    pub retry_delay: Duration,
    /// How long NetBox may go on with a request after its answer is lost: the longest time limit of the servers before it.
    pub settle: Duration,
}

impl Endpoint {
    /// An endpoint with certificate checks and default limits: 120 s per request and for those without an answer, 8 reads,
    /// 4 writes, 5 repetitions.
    pub fn new(name: impl Into<String>, host: impl Into<String>, port: u16, token: Token) -> Self {
        Self {
            name: name.into(),
            scheme: None,
            host: host.into(),
            port,
            base_path: String::new(),
            token,
            verify_tls: true,
            tls_ca_pem: None,
            tls_fingerprint: None,
            timeout: Duration::from_mins(2),
            limits: Limits::default(),
            max_retries: 5,
            retry_delay: Duration::from_secs(2),
            settle: Duration::from_mins(2),
        }
    }

    /// The certificates trusted besides those of the system; blank counts as none.
    pub(super) fn authority(&self) -> Option<&str> {
        self.tls_ca_pem.as_deref().filter(|pem| !pem.trim().is_empty())
    }

    /// Whether not just any certificate of the server will do.
    fn looks_at_certificate(&self) -> bool {
        self.verify_tls || self.authority().is_some() || self.tls_fingerprint.is_some()
    }

    /// The scheme this row means when nothing is known about the server.
    pub(super) fn assumed_scheme(&self) -> Scheme {
        self.scheme
            .unwrap_or(if self.port == 443 || self.looks_at_certificate() {
                Scheme::Https
            } else {
                Scheme::Http
            })
    }

    /// Whether the server must be asked for its scheme before the token may be sent.
    pub(super) fn must_find_scheme(&self) -> bool {
        self.scheme.is_none() && self.assumed_scheme() == Scheme::Http && !PLAIN_PORTS.contains(&self.port)
    }

    /// Checks what an operator may have written wrongly.
    ///
    /// # Errors
    ///
    /// [`Error::Endpoint`] for a host, path, certificate or fingerprint that cannot be used.
    pub fn check(&self) -> Result<(), Error> {
        self.base_url(self.assumed_scheme())?;
        tls::config(self)?;
        // Where a fingerprint decides, nobody has looked at them yet.
        self.authority().map(tls::certificates).transpose()?;
        Ok(())
    }

    /// `scheme://host:port` and the path, without a slash at the end.
    ///
    /// # Errors
    ///
    /// [`Error::Endpoint`] where host and port are no authority of a URL, or the path is none.
    pub(super) fn base_url(&self, scheme: Scheme) -> Result<String, Error> {
        let host = self.host.trim();
        let host = if host.contains(':') && !host.starts_with('[') {
            format!("[{host}]")
        } else {
            host.to_owned()
        };
        let text = format!("{}://{host}:{}", scheme.as_str(), self.port);
        let url = url::Url::parse(&text).map_err(|_| Error::endpoint("host", "not a domain name or address"))?;
        let is_bare =
            url.path() == "/" && url.username().is_empty() && url.query().is_none() && url.fragment().is_none();
        if host.is_empty() || !is_bare || host.contains(['/', '@', '?', '#', '\\']) {
            return Err(Error::endpoint("host", "not a domain name or address"));
        }
        if !is_path(&self.base_path) {
            return Err(Error::endpoint(
                "base_path",
                "not a path such as `/netbox`: a slash, then letters, digits and `-._~` between slashes",
            ));
        }
        Ok(text + &self.base_path)
    }

    /// A fingerprint of everything that would make another client; never reversible to the token.
    pub(super) fn digest(&self) -> [u8; 32] {
        let mut hasher = Sha256::new();
        let plain = format!(
            "{:?}|{}|{}|{}|{}|{:?}|{:?}|{:?}|{:?}|{}|{:?}|{:?}",
            self.scheme,
            self.host,
            self.port,
            self.base_path,
            self.verify_tls,
            self.tls_ca_pem,
            self.tls_fingerprint,
            self.timeout,
            self.limits,
            self.max_retries,
            self.retry_delay,
            self.settle,
        );
        absorb(&mut hasher, plain.as_bytes());
        self.token.digest_into(&mut hasher);
        hasher.finalize().into()
    }
}

/// Whether this is empty or a path that needs no escapes and leads nowhere else.
fn is_path(path: &str) -> bool {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '.' | '_' | '~');
    let is_segment = |part: &str| !matches!(part, "" | "." | "..") && part.chars().all(is_plain);
    path.is_empty()
        || path
            .strip_prefix('/')
            .is_some_and(|rest| rest.split('/').all(is_segment))
}

/// Adds a part with its length, so that no two lists of parts hash alike.
fn absorb(hasher: &mut Sha256, part: &[u8]) {
    hasher.update(part.len().to_le_bytes());
    hasher.update(part);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v2(key: &str, secret: &str) -> Token {
        Token::V2 {
            key: key.into(),
            secret: secret.into(),
        }
    }

    #[test]
    fn header_of_each_token_form_is_what_netbox_expects() {
        let cases = [
            (Token::V1("0123\r\n\0".into()), "Token 0123"),
            (v2("abc", "s3cret"), "Bearer nbt_abc.s3cret"),
            (v2("nbt_abc", " s3cret\n"), "Bearer nbt_abc.s3cret"),
        ];
        for (token, expected) in cases {
            let header = token.header().unwrap();
            assert_eq!(header.to_str().unwrap(), expected);
            assert!(header.is_sensitive(), "{expected}");
        }
    }

    #[test]
    fn token_with_an_empty_part_is_refused() {
        for token in [Token::V1("\n".into()), v2("", "s"), v2("nbt_", "s"), v2("k", " ")] {
            assert!(matches!(token.header(), Err(Error::Endpoint { .. })), "{token:?}");
        }
    }

    #[test]
    fn scheme_follows_port_and_verification() {
        let given = || Some("given".to_owned());
        let cases = [
            (443, false, None, None, Scheme::Https, false),
            (8443, false, None, None, Scheme::Http, true),
            (8443, false, given(), None, Scheme::Https, false),
            (8443, false, None, given(), Scheme::Https, false),
            (8000, true, None, None, Scheme::Https, false),
            (8000, false, None, None, Scheme::Http, false),
        ];
        for (port, verify_tls, tls_ca_pem, tls_fingerprint, scheme, search) in cases {
            let endpoint = Endpoint {
                verify_tls,
                tls_ca_pem,
                tls_fingerprint,
                ..Endpoint::new("n", "h", port, Token::V1("t".into()))
            };
            assert_eq!(endpoint.assumed_scheme(), scheme, "{endpoint:?}");
            assert_eq!(endpoint.must_find_scheme(), search, "{endpoint:?}");
        }
    }

    #[test]
    fn certificate_that_is_named_means_tls_unless_the_scheme_is_told() {
        let pinned: fn(&mut Endpoint) = |endpoint| endpoint.tls_fingerprint = Some("ab".repeat(32));
        let trusted: fn(&mut Endpoint) = |endpoint| endpoint.tls_ca_pem = Some("a certificate".to_owned());
        for name_it in [pinned, trusted] {
            for port in [80, 8000, 8080, 8443] {
                let mut endpoint = Endpoint::new("n", "h", port, Token::V1("t".into()));
                endpoint.verify_tls = false;
                name_it(&mut endpoint);
                assert_eq!(endpoint.assumed_scheme(), Scheme::Https, "{port}");
                assert!(!endpoint.must_find_scheme(), "{port}");
                endpoint.scheme = Some(Scheme::Http);
                assert_eq!(endpoint.assumed_scheme(), Scheme::Http, "{port}");
            }
        }
    }

    #[test]
    fn host_that_is_more_than_a_host_is_refused() {
        for host in ["", "a/b", "user@host", "host?x", "a b", "host#x"] {
            let endpoint = Endpoint::new("n", host, 80, Token::V1("t".into()));
            assert!(endpoint.base_url(Scheme::Http).is_err(), "{host}");
        }
        let endpoint = Endpoint::new("n", "2001:db8::1", 80, Token::V1("t".into()));
        assert_eq!(endpoint.base_url(Scheme::Http).unwrap(), "http://[2001:db8::1]:80");
    }

    #[test]
    fn path_is_a_plain_one() {
        let mut endpoint = Endpoint::new("n", "h", 80, Token::V1("t".into()));
        for (path, is_fine) in [
            ("", true),
            ("/netbox", true),
            ("/tools/netbox-2.x", true),
            ("netbox", false),
            ("/netbox/", false),
            ("/", false),
            ("/a/../b", false),
            ("/a//b", false),
            ("/a?b", false),
            ("/a b", false),
            ("/a%2Fb", false),
        ] {
            path.clone_into(&mut endpoint.base_path);
            assert_eq!(endpoint.base_url(Scheme::Http).is_ok(), is_fine, "{path}");
        }
        "/netbox".clone_into(&mut endpoint.base_path);
        assert_eq!(endpoint.base_url(Scheme::Https).unwrap(), "https://h:80/netbox");
    }

    #[test]
    fn digest_changes_with_every_part_of_the_configuration() {
        let endpoint = Endpoint::new("n", "h", 80, v2("a", "bc"));
        let moved = Endpoint {
            token: v2("ab", "c"),
            ..endpoint.clone()
        };
        let slower = Endpoint {
            timeout: Duration::from_secs(1),
            ..endpoint.clone()
        };
        assert_eq!(endpoint.digest(), endpoint.clone().digest());
        assert_ne!(endpoint.digest(), moved.digest());
        assert_ne!(endpoint.digest(), slower.digest());
    }
}
