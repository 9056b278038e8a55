//! Where requests come in.

use std::path::PathBuf;

use super::reader::Reader;

/// Where requests come in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// An address or a name; `::` takes IPv4 too.
    pub host: String,
    /// The port; 0: any that is free.
    pub port: u16,
    /// TLS; `None`: plain HTTP.
    pub tls: Option<Tls>,
}

/// How the service proves who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tls {
    /// By a certificate chain and its key, PEM files.
    Files {
        /// The chain, leaf first.
        cert: PathBuf,
        /// The key.
        key: PathBuf,
    },
    /// By a certificate that is made at start and that nobody has signed.
    SelfSigned,
}

pub(super) fn read(reader: &mut Reader) -> Listen {
    let host = reader.text("PROXBOX_BIND_HOST").unwrap_or_else(|| "0.0.0.0".to_owned());
    // Compose files often quote it twice; IPv6 addresses often come in brackets.
    let host = host
        .trim_matches(['"', '\''])
        .trim_start_matches('[')
        .trim_end_matches(']');
    if host.is_empty() || host.contains(|letter: char| letter.is_whitespace() || letter == '/') {
        reader.refuse("PROXBOX_BIND_HOST", "must be an IP address or a host name");
    }
    Listen {
        host: host.to_owned(),
        port: reader.number("PORT", 0..=u16::MAX).unwrap_or(8000),
        tls: tls(reader),
    }
}

fn tls(reader: &mut Reader) -> Option<Tls> {
    let cert = reader.path("PROXBOX_TLS_CERT");
    let key = reader.path("PROXBOX_TLS_KEY");
    let is_self_signed = reader.flag("PROXBOX_TLS_SELF_SIGNED").unwrap_or_default();
    match (cert, key) {
        (Some(cert), Some(key)) => Some(Tls::Files { cert, key }),
        (Some(_), None) => {
            reader.refuse("PROXBOX_TLS_KEY", "must be set together with PROXBOX_TLS_CERT");
            None
        }
        (None, Some(_)) => {
            reader.refuse("PROXBOX_TLS_CERT", "must be set together with PROXBOX_TLS_KEY");
            None
        }
        (None, None) => is_self_signed.then_some(Tls::SelfSigned),
    }
}
