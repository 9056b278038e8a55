//! Why the service cannot start.

use std::io;

use crate::{config, store};

/// Why the service cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database cannot be used.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// A setting cannot be used.
    #[error(transparent)]
    Config(#[from] config::Invalid),
    /// The port cannot be opened.
    #[error("cannot listen on {address}; is another service there? Change PROXBOX_BIND_HOST or PORT")]
    Listen {
        /// Host and port.
        address: String,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The certificate or its key cannot be used.
    #[error("TLS cannot be set up with {what}: {problem}")]
    Tls {
        /// The file, or what was to be made.
        what: String,
        /// What is wrong.
        problem: String,
    },
    /// The built-in Proxmox of the mock mode does not start.
    #[error("the built-in Proxmox of the mock mode does not start")]
    Mock(#[source] io::Error),
    /// Signals cannot be listened to.
    #[error("cannot listen to signals")]
    Signals(#[source] io::Error),
}
