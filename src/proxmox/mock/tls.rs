//! The mock's private CA and its leaf, which can be rotated.

use std::io;
use std::sync::{Arc, PoisonError, RwLock};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::crypto::ring;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use sha2::{Digest, Sha256};
use tokio_rustls::TlsAcceptor;

/// The CA, the names of the leaf, and the leaf in use.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    ca_pem: String,
    names: Vec<String>,
    fingerprint: String,
    leaf: Arc<Leaf>,
}

/// The certificate that new connections get.
#[derive(Debug)]
struct Leaf(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Leaf {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl Authority {
    /// A new CA, and a leaf for loopback and `names`.
    pub(super) fn new(mut names: Vec<String>) -> io::Result<Self> {
        names.extend(["localhost", "127.0.0.1", "::1"].map(ToOwned::to_owned));
        let mut params = CertificateParams::new(Vec::<String>::new()).map_err(io::Error::other)?;
        params
            .distinguished_name
            .push(DnType::CommonName, "Proxmox Virtual Environment (mock)");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let ca_pem = params.self_signed(&key).map_err(io::Error::other)?.pem();
        let issuer = Issuer::new(params, key);
        let (leaf, fingerprint) = make_leaf(&issuer, &names)?;
        let leaf = Arc::new(Leaf(RwLock::new(leaf)));
        Ok(Self {
            issuer,
            ca_pem,
            names,
            fingerprint,
            leaf,
        })
    }

    pub(super) fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    pub(super) fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Makes a new leaf, which the next connection gets.
    pub(super) fn rotate(&mut self) -> io::Result<()> {
        let (leaf, fingerprint) = make_leaf(&self.issuer, &self.names)?;
        *self.leaf.0.write().unwrap_or_else(PoisonError::into_inner) = leaf;
        self.fingerprint = fingerprint;
        Ok(())
    }

    /// Accepts TLS 1.2 and 1.3 without offering protocols, as the real server does.
    pub(super) fn acceptor(&self) -> io::Result<TlsAcceptor> {
        let config = rustls::ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&self.leaf) as Arc<dyn ResolvesServerCert>);
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

fn make_leaf(issuer: &Issuer<'static, KeyPair>, names: &[String]) -> io::Result<(Arc<CertifiedKey>, String)> {
    let mut params = CertificateParams::new(names.to_vec()).map_err(io::Error::other)?;
    let name = names.first().map_or("pve1", String::as_str);
    params.distinguished_name.push(DnType::CommonName, name);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate().map_err(io::Error::other)?;
    let certificate = params.signed_by(&key, issuer).map_err(io::Error::other)?;
    let der = certificate.der().clone();
    let pairs: Vec<String> = Sha256::digest(&der).iter().map(|byte| format!("{byte:02X}")).collect();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let key = ring::sign::any_supported_type(&key).map_err(io::Error::other)?;
    Ok((Arc::new(CertifiedKey::new(vec![der], key)), pairs.join(":")))
}
