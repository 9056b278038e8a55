//! From a transport's error to ours: which phase of the exchange broke, and why.

use std::error::Error as StdError;
use std::io;
use std::sync::Arc;

use rustls::CertificateError;

use super::error::Error;
use super::tls::Untrusted;

/// A name that did not resolve; marks the phase inside the transport's error.
#[derive(Debug, thiserror::Error)]
#[error("the name does not resolve")]
pub(super) struct Unresolved(#[source] pub(super) io::Error);

/// What `error` means for `call` at `address`.
pub(super) fn translate(error: reqwest::Error, call: &str, address: &str) -> Error {
    let address = address.to_owned();
    let error = error.without_url();
    if let Some(found) = find(&error, tls_fault) {
        let (reason, presented) = found;
        return Error::Tls {
            address,
            reason,
            presented,
        };
    }
    if find(&error, |cause| cause.downcast_ref::<Unresolved>().map(|_| ())).is_some() {
        return Error::Dns {
            address,
            source: Arc::new(error),
        };
    }
    if error.is_connect() && !is_broken_off(&error) {
        let timed_out = error.is_timeout();
        return Error::Connect {
            address,
            timed_out,
            source: Arc::new(error),
        };
    }
    Error::Lost {
        call: call.to_owned(),
        address,
        source: Arc::new(error),
    }
}

/// Whether it was TLS that broke.
pub(super) fn is_tls(error: &reqwest::Error) -> bool {
    find(error, tls_fault).is_some()
}

type TlsFault = (String, Option<super::tls::Fingerprint>);

fn tls_fault(cause: &(dyn StdError + 'static)) -> Option<TlsFault> {
    let fault = cause.downcast_ref::<rustls::Error>()?;
    if let rustls::Error::InvalidCertificate(CertificateError::Other(other)) = fault
        && let Some(untrusted) = other.0.downcast_ref::<Untrusted>()
    {
        return Some((untrusted.reason.clone(), Some(untrusted.presented)));
    }
    Some((fault.to_string(), None))
}

/// Whether a connection came about and broke off before it was usable: in the midst of the TLS handshake.
fn is_broken_off(error: &reqwest::Error) -> bool {
    let broken = find(error, |cause| {
        let kind = cause.downcast_ref::<io::Error>()?.kind();
        let is_broken = matches!(
            kind,
            io::ErrorKind::UnexpectedEof
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::BrokenPipe
        );
        is_broken.then_some(())
    });
    broken.is_some()
}

/// The first cause below `error` that `pick` knows. An I/O error hides what it wraps from `source()`.
fn find<T>(error: &(dyn StdError + 'static), pick: impl Fn(&(dyn StdError + 'static)) -> Option<T>) -> Option<T> {
    let mut next = Some(error);
    while let Some(cause) = next {
        if let Some(found) = pick(cause) {
            return Some(found);
        }
        next = match cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => cause.source(),
        };
    }
    None
}
