//! Whom a TLS connection to NetBox trusts.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use rustls_platform_verifier::Verifier;
use sha2::{Digest, Sha256};

use super::endpoint::Endpoint;
use super::error::Error;

/// The TLS side of an endpoint: HTTP/2 or 1.1, whichever the server prefers.
///
/// # Errors
///
/// [`Error::Endpoint`] for an unusable certificate or fingerprint, and where the system has no trusted certificates.
pub(super) fn config(endpoint: &Endpoint) -> Result<ClientConfig, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = verifier(endpoint, &provider)?;
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::endpoint("verify_tls", error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn verifier(endpoint: &Endpoint, provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>, Error> {
    if let Some(text) = &endpoint.tls_fingerprint {
        let fingerprint = parse_fingerprint(text)
            .ok_or_else(|| Error::endpoint("tls_fingerprint", "not a SHA-256 fingerprint: 64 hex digits"))?;
        return Ok(Arc::new(Lenient {
            fingerprint: Some(fingerprint),
            provider: Arc::clone(provider),
        }));
    }
    let extra = endpoint.authority().map_or_else(|| Ok(Vec::new()), certificates)?;
    let decides = !extra.is_empty();
    if !endpoint.verify_tls && !decides {
        return Ok(Arc::new(Lenient {
            fingerprint: None,
            provider: Arc::clone(provider),
        }));
    }
    let strict = Verifier::new_with_extra_roots(extra, Arc::clone(provider)).map_err(|error| {
        let field = if decides { "tls_ca_pem" } else { "verify_tls" };
        Error::endpoint(field, error.to_string())
    })?;
    Ok(Arc::new(strict))
}

/// The certificates in a text in PEM form, at least one.
pub(super) fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, Error> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(Error::endpoint("tls_ca_pem", "holds no certificate in PEM form")),
    }
}

fn parse_fingerprint(text: &str) -> Option<[u8; 32]> {
    let digits: Vec<u8> = text
        .chars()
        .filter(|c| *c != ':' && !c.is_whitespace())
        .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect::<Option<_>>()?;
    let (pairs, rest) = digits.as_chunks::<2>();
    let bytes: Vec<u8> = pairs.iter().map(|[high, low]| high * 16 + low).collect();
    rest.is_empty().then(|| bytes.try_into().ok()).flatten()
}

/// Trusts one certificate, or any, but still demands that the server holds the key of the one it shows.
#[derive(Debug)]
struct Lenient {
    fingerprint: Option<[u8; 32]>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let shown: [u8; 32] = Sha256::digest(end_entity.as_ref()).into();
        if self.fingerprint.is_none_or(|expected| expected == shown) {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(rustls::Error::InvalidCertificate(
                rustls::CertificateError::ApplicationVerificationFailure,
            ))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::super::endpoint::Token;
    use super::*;

    fn endpoint() -> Endpoint {
        Endpoint::new("n", "netbox.example", 443, Token::V1("t".into()))
    }

    #[test]
    fn fingerprint_is_read_with_and_without_colons() {
        let colons = ["AB"; 32].join(":");
        let cases = [
            (colons.as_str(), true),
            (&"ab".repeat(32), true),
            (&"ab".repeat(31), false),
            (&"xy".repeat(32), false),
            ("", false),
        ];
        for (text, usable) in cases {
            assert_eq!(parse_fingerprint(text).is_some(), usable, "{text}");
            let endpoint = Endpoint {
                tls_fingerprint: Some(text.to_owned()),
                ..endpoint()
            };
            assert_eq!(config(&endpoint).is_ok(), usable, "{text}");
        }
    }

    #[test]
    fn text_that_is_no_certificate_is_refused_whatever_verification_says() {
        let no_certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for (text, verify_tls) in [
            ("nothing", true),
            ("nothing", false),
            (no_certificate, true),
            (no_certificate, false),
        ] {
            let endpoint = Endpoint {
                tls_ca_pem: Some(text.to_owned()),
                verify_tls,
                ..endpoint()
            };
            let refused = config(&endpoint);
            assert!(
                matches!(
                    refused,
                    Err(Error::Endpoint {
                        field: "tls_ca_pem",
                        ..
                    })
                ),
                "{text} {verify_tls}: {refused:?}"
            );
        }
    }

    #[test]
    fn given_authority_decides_whatever_verification_says() {
        let [own, other] = [(); 2].map(|()| rcgen::generate_simple_self_signed(["netbox.example".to_owned()]).unwrap());
        let name = ServerName::try_from("netbox.example").unwrap();
        for (authority, verify_tls, is_trusted) in [
            (Some(own.cert.pem()), true, true),
            (Some(own.cert.pem()), false, true),
            (Some(other.cert.pem()), true, false),
            (Some(other.cert.pem()), false, false),
            (Some(" \n".to_owned()), false, true),
            (None, false, true),
        ] {
            let endpoint = Endpoint {
                tls_ca_pem: authority.clone(),
                verify_tls,
                ..endpoint()
            };
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let verifier = verifier(&endpoint, &provider).unwrap();
            let judged = verifier.verify_server_cert(own.cert.der(), &[], &name, &[], UnixTime::now());
            assert_eq!(judged.is_ok(), is_trusted, "{authority:?} {verify_tls}: {judged:?}");
        }
    }

    #[test]
    fn both_http_versions_are_offered() {
        let endpoint = Endpoint {
            verify_tls: false,
            ..endpoint()
        };
        assert_eq!(
            config(&endpoint).unwrap().alpn_protocols,
            [b"h2".to_vec(), b"http/1.1".to_vec()]
        );
    }
}
