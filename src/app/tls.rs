//! How the service proves who it is.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use super::Error;
use crate::config::{Config, Listen, Tls};

/// What the certificate of our own is called, beside the database.
const OWN_CERT: &str = "self-signed.crt";
const OWN_KEY: &str = "self-signed.key";

/// What takes TLS connections; `None` where plain HTTP is spoken.
pub(super) fn acceptor(config: &Config) -> Result<Option<TlsAcceptor>, Error> {
    let (cert, key) = match &config.listen.tls {
        None => return Ok(None),
        Some(Tls::Files { cert, key }) => (cert.clone(), key.clone()),
        Some(Tls::SelfSigned) => own(&config.listen, &config.database)?,
    };
    Ok(Some(load(&cert, &key)?))
}

fn bad(what: &Path, problem: &impl ToString) -> Error {
    Error::Tls {
        what: what.display().to_string(),
        problem: problem.to_string(),
    }
}

fn load(cert: &Path, key: &Path) -> Result<TlsAcceptor, Error> {
    let chain = CertificateDer::pem_file_iter(cert).and_then(Iterator::collect);
    let chain: Vec<_> = chain.map_err(|error| bad(cert, &error))?;
    if chain.is_empty() {
        return Err(bad(cert, &"it holds no certificate"));
    }
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| bad(key, &error))?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| bad(cert, &error))?
        .with_no_client_auth()
        .with_single_cert(chain, secret);
    let mut config = config.map_err(|error| bad(cert, &error))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// The certificate of our own, made where it is missing. It is kept, so that clients can pin it.
fn own(listen: &Listen, database: &Path) -> Result<(PathBuf, PathBuf), Error> {
    let (cert, key) = (database.with_file_name(OWN_CERT), database.with_file_name(OWN_KEY));
    if !(cert.exists() && key.exists()) {
        let mut names = ["localhost", "proxbox-api", "127.0.0.1", "::1"]
            .map(str::to_owned)
            .to_vec();
        names.push(listen.host.clone());
        let pair = rcgen::generate_simple_self_signed(names).map_err(|error| bad(&cert, &error))?;
        write(&key, &pair.signing_key.serialize_pem(), 0o600).map_err(|error| bad(&key, &error))?;
        write(&cert, &pair.cert.pem(), 0o644).map_err(|error| bad(&cert, &error))?;
    }
    Ok((cert, key))
}

fn write(file: &Path, text: &str, mode: u32) -> std::io::Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut handle = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(file)?;
    handle.write_all(text.as_bytes())
}
