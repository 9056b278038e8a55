//! Whom to believe: pinned leaf certificates, a pinned authority, the system's authorities, or nobody asked.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, OtherError, RootCertStore, SignatureScheme};
use sha2::{Digest as _, Sha256};

/// SHA-256 over a certificate's DER form, written as Proxmox does: `AB:CD:…`, 32 pairs.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// The fingerprint of the certificate `der`.
    pub fn of(der: &[u8]) -> Self {
        Self(Sha256::digest(der).into())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, byte) in self.0.iter().enumerate() {
            let colon = if number == 0 { "" } else { ":" };
            write!(formatter, "{colon}{byte:02X}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Fingerprint({self})")
    }
}

/// A text that is no SHA-256 fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no SHA-256 fingerprint: 32 pairs of hexadecimal digits, parted by colons or not at all")]
pub struct FingerprintError(String);

impl FromStr for Fingerprint {
    type Err = FingerprintError;

    /// Accepts either case, with colons, blanks or nothing between the pairs, and a leading `sha256:` or
    /// `sha256 Fingerprint=` as `openssl` prints it.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let complaint = || FingerprintError(text.to_owned());
        let lower = text.trim().to_ascii_lowercase();
        let hex = lower.strip_prefix("sha256").unwrap_or(&lower);
        let hex = hex
            .trim_start()
            .trim_start_matches("fingerprint")
            .trim_start_matches(['=', ':', '/']);
        let digits: Vec<u8> = hex.bytes().filter(|byte| !matches!(byte, b':' | b' ' | b'-')).collect();
        let mut bytes = [0; 32];
        if digits.len() != 2 * bytes.len() || !digits.is_ascii() {
            return Err(complaint());
        }
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| complaint())?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| complaint())?;
        }
        Ok(Self(bytes))
    }
}

/// How an endpoint's certificate is judged. The first that is set decides: fingerprints, authority, the system's
/// authorities (`verify`), nothing at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsPolicy {
    /// Without fingerprints and authority: check against the system's authorities. `false` accepts every certificate.
    pub verify: bool,
    /// Accepted leaf certificates; names and dates are not looked at.
    pub fingerprints: Vec<Fingerprint>,
    /// The only accepted authorities, in PEM; the cluster's own is `/etc/pve/pve-root-ca.pem`.
    pub ca_pem: Option<String>,
}

impl Default for TlsPolicy {
    fn default() -> Self {
        Self {
            verify: true,
            fingerprints: Vec::new(),
            ca_pem: None,
        }
    }
}

impl TlsPolicy {
    /// Whether any certificate is accepted.
    pub fn accepts_anything(&self) -> bool {
        !self.verify && self.fingerprints.is_empty() && self.authority().is_none()
    }

    fn authority(&self) -> Option<&str> {
        self.ca_pem.as_deref().map(str::trim).filter(|pem| !pem.is_empty())
    }
}

/// Why a policy cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum PolicyError {
    #[error("the CA text holds no certificate in PEM form")]
    NoCertificate,
    #[error("the CA text is not valid PEM")]
    Pem(#[source] rustls::pki_types::pem::Error),
    #[error("the CA certificates cannot be used")]
    Verifier(#[source] rustls::client::VerifierBuilderError),
    #[error("TLS cannot be set up")]
    Rustls(#[from] rustls::Error),
}

/// The certificate that was refused, carried inside rustls's own error.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{reason}")]
pub(super) struct Untrusted {
    pub(super) presented: Fingerprint,
    pub(super) reason: String,
}

/// The TLS settings that carry out `policy`.
pub(super) fn client_config(policy: &TlsPolicy) -> Result<ClientConfig, PolicyError> {
    let provider = Arc::new(ring::default_provider());
    let verifier = Judge {
        rule: rule(policy, &provider)?,
        provider: Arc::clone(&provider),
    };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok(config)
}

fn rule(policy: &TlsPolicy, provider: &Arc<CryptoProvider>) -> Result<Rule, PolicyError> {
    if !policy.fingerprints.is_empty() {
        return Ok(Rule::Pinned(policy.fingerprints.clone()));
    }
    if let Some(pem) = policy.authority() {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            roots.add(certificate.map_err(PolicyError::Pem)?)?;
        }
        if roots.is_empty() {
            return Err(PolicyError::NoCertificate);
        }
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
        return Ok(Rule::Chain(verifier.build().map_err(PolicyError::Verifier)?));
    }
    if policy.verify {
        let verifier = rustls_platform_verifier::Verifier::new(Arc::clone(provider))?;
        return Ok(Rule::Chain(Arc::new(verifier)));
    }
    Ok(Rule::Anything)
}

#[derive(Debug)]
enum Rule {
    Pinned(Vec<Fingerprint>),
    Chain(Arc<dyn ServerCertVerifier>),
    Anything,
}

/// Applies the rule to the leaf and remembers in the error which leaf was refused.
#[derive(Debug)]
struct Judge {
    rule: Rule,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Judge {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let presented = Fingerprint::of(end_entity);
        let reason = match &self.rule {
            Rule::Anything => return Ok(ServerCertVerified::assertion()),
            Rule::Pinned(pins) if pins.contains(&presented) => return Ok(ServerCertVerified::assertion()),
            Rule::Pinned(_) => "the certificate is not the pinned one".to_owned(),
            Rule::Chain(verifier) => {
                match verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
                    Ok(trusted) => return Ok(trusted),
                    Err(error) => error.to_string(),
                }
            }
        };
        let refusal = Untrusted { presented, reason };
        Err(CertificateError::Other(OtherError(Arc::new(refusal))).into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprint_is_read_in_every_spelling_and_written_as_proxmox_does() {
        let wanted = Fingerprint([0xAB; 32]);
        let pairs = vec!["ab"; 32];
        let colons = pairs.join(":");
        for text in [
            colons.clone(),
            colons.to_uppercase(),
            pairs.concat(),
            pairs.join(" "),
            format!("sha256 Fingerprint={colons}"),
            format!("SHA256:{}", pairs.concat()),
        ] {
            assert_eq!(text.parse::<Fingerprint>(), Ok(wanted), "{text}");
        }
        assert_eq!(wanted.to_string(), colons.to_uppercase());
        for text in ["", "ab:cd", &"zz".repeat(32), &"ab".repeat(20), &"ab".repeat(33)] {
            assert!(text.parse::<Fingerprint>().is_err(), "{text}");
        }
    }

    #[test]
    fn policy_with_unusable_authority_is_refused() {
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----";
        for pem in ["not a certificate", broken, "-----BEGIN CERTIFICATE-----\n"] {
            let policy = TlsPolicy {
                ca_pem: Some(pem.to_owned()),
                ..TlsPolicy::default()
            };
            assert!(client_config(&policy).is_err(), "{pem}");
        }
    }

    #[test]
    fn policy_accepts_anything_only_when_nothing_is_asked() {
        let off = TlsPolicy {
            verify: false,
            ..TlsPolicy::default()
        };
        assert!(off.accepts_anything());
        assert!(!TlsPolicy::default().accepts_anything());
        let pinned = TlsPolicy {
            fingerprints: vec![Fingerprint([0; 32])],
            ..off.clone()
        };
        assert!(!pinned.accepts_anything());
    }
}
