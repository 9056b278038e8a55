//! The built-in Proxmox of the mock mode: a cluster that does not exist stands for every configured one.

use secrecy::SecretString;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::error::Error;
use crate::http::Substitute;
use crate::proxmox::mock::{MockOptions, MockProxmox, ROOT_TOKEN, TOKEN_SECRET, World};
use crate::proxmox::{Credential, TlsPolicy};

const NODES: usize = 3;
const GUESTS: usize = 55;

/// Starts the mock on a free port of the loopback interface. It ends with `stop`.
///
/// # Errors
///
/// [`Error::Mock`].
pub(super) async fn start(tasks: &TaskTracker, stop: CancellationToken) -> Result<Substitute, Error> {
    let mock = MockProxmox::start(MockOptions::default(), World::estate(NODES, GUESTS))
        .await
        .map_err(Error::Mock)?;
    let (username, name) = ROOT_TOKEN.split_once('!').unwrap_or((ROOT_TOKEN, ""));
    let substitute = Substitute {
        address: mock.address(),
        username: username.to_owned(),
        credential: Credential::Token {
            name: name.to_owned(),
            secret: SecretString::from(TOKEN_SECRET),
        },
        tls: TlsPolicy {
            fingerprints: mock.fingerprint().parse().into_iter().collect(),
            ..TlsPolicy::default()
        },
    };
    tasks.spawn(async move {
        stop.cancelled().await;
        mock.stop().await;
    });
    Ok(substitute)
}
