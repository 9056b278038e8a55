//! One client per configured NetBox, for as long as its configuration stays the same.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::client::Client;
use super::endpoint::Endpoint;
use super::error::Error;

/// Clients by the name of their endpoint. Keeping them keeps their connections, limits and what they know.
#[derive(Debug, Default)]
pub struct Pool {
    // A std mutex: held while a client is built, never across an await.
    clients: Mutex<HashMap<String, Kept>>,
}

#[derive(Debug)]
struct Kept {
    digest: [u8; 32],
    client: Client,
}

impl Pool {
    /// A pool without clients.
    pub fn new() -> Self {
        Self::default()
    }

    /// The client of `endpoint`: the one in use, or a new one when any part of the configuration has changed. Runs that
    /// still hold the old one may finish with it.
    ///
    /// # Errors
    ///
    /// As [`Client::new`].
    pub fn client(&self, endpoint: Endpoint) -> Result<Client, Error> {
        let digest = endpoint.digest();
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = clients.get(&endpoint.name).filter(|kept| kept.digest == digest) {
            return Ok(kept.client.clone());
        }
        let name = endpoint.name.clone();
        // An old client must not survive a configuration that does not work.
        clients.remove(&name);
        let client = Client::new(endpoint)?;
        clients.insert(
            name,
            Kept {
                digest,
                client: client.clone(),
            },
        );
        Ok(client)
    }

    /// Forgets the client of an endpoint that was removed or switched off.
    pub fn forget(&self, name: &str) {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::endpoint::Token;
    use super::*;

    fn endpoint() -> Endpoint {
        Endpoint {
            verify_tls: false,
            ..Endpoint::new("main", "127.0.0.1", 8000, Token::V1("secret-token".into()))
        }
    }

    fn address(client: &Client) -> *const u8 {
        client.base_url().as_ptr()
    }

    #[test]
    fn client_is_kept_until_its_configuration_changes() {
        let pool = Pool::new();
        let first = pool.client(endpoint()).unwrap();
        assert_eq!(address(&pool.client(endpoint()).unwrap()), address(&first));
        let slower = Endpoint {
            timeout: Duration::from_secs(1),
            ..endpoint()
        };
        assert_ne!(address(&pool.client(slower).unwrap()), address(&first));
        let broken = Endpoint {
            token: Token::V1("".into()),
            ..endpoint()
        };
        assert!(pool.client(broken).is_err());
        assert_ne!(address(&pool.client(endpoint()).unwrap()), address(&first));
        pool.forget("main");
        assert!(pool.clients.lock().unwrap().is_empty());
    }

    #[test]
    fn debug_form_of_a_pool_shows_no_secret() {
        let pool = Pool::new();
        let client = pool.client(endpoint()).unwrap();
        let shown = format!("{pool:?} {client:?} {:?}", endpoint());
        assert!(!shown.contains("secret-token"), "{shown}");
    }
}
