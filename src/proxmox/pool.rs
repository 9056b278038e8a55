//! The sessions of all endpoints, kept as long as their definitions stay the same.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::endpoint::{Endpoint, Scheme};
use super::error::Error;
use super::session::Session;
use crate::endpoint::EndpointKey;

/// Sessions by endpoint. A changed definition gets a new session; calls under way on the old one end on it.
#[derive(Default)]
pub struct Pool {
    scheme: Scheme,
    /// A plain lock: held to look up, and to set a session up, which sends nothing.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    sessions: HashMap<EndpointKey, Held>,
    is_closed: bool,
}

struct Held {
    digest: [u8; 32],
    session: Session,
}

impl fmt::Debug for Pool {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<_> = self.lock().sessions.keys().copied().collect();
        formatter
            .debug_struct("Pool")
            .field("endpoints", &keys)
            .finish_non_exhaustive()
    }
}

impl Pool {
    /// An empty pool of TLS sessions.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty pool whose sessions speak `scheme`: plain HTTP is for the mock and for tests.
    pub fn with_scheme(scheme: Scheme) -> Self {
        Self {
            scheme,
            ..Self::default()
        }
    }

    /// The session of `endpoint`: the one at hand where the definition has not changed, else a new one.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidEndpoint`] where the definition cannot be used, [`Error::Closed`] after [`Pool::close`].
    pub fn session(&self, endpoint: Endpoint) -> Result<Session, Error> {
        let digest = endpoint.digest();
        let key = endpoint.key;
        let mut state = self.lock();
        if state.is_closed {
            return Err(Error::Closed);
        }
        if let Some(held) = state.sessions.get(&key).filter(|held| held.digest == digest) {
            return Ok(held.session.clone());
        }
        state.sessions.remove(&key);
        let session = Session::with_scheme(endpoint, self.scheme)?;
        state.sessions.insert(
            key,
            Held {
                digest,
                session: session.clone(),
            },
        );
        Ok(session)
    }

    /// Drops the session of an endpoint that was changed, disabled or deleted.
    pub fn forget(&self, key: EndpointKey) {
        self.lock().sessions.remove(&key);
    }

    /// Drops all sessions and opens no more. Whoever still holds a session ends its calls on it.
    pub fn close(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        state.sessions.clear();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::endpoint;
    use super::*;
    use std::sync::Arc;

    fn is_same(one: &Session, other: &Session) -> bool {
        Arc::ptr_eq(&one.inner, &other.inner)
    }

    #[test]
    fn session_is_reused_until_its_definition_changes() {
        let pool = Pool::new();
        let base = endpoint(Some("pve.example"), None);
        let first = pool.session(base.clone()).unwrap();
        assert!(is_same(&first, &pool.session(base.clone()).unwrap()));
        let mut changed = base.clone();
        changed.port = 443;
        let second = pool.session(changed.clone()).unwrap();
        assert!(!is_same(&first, &second));
        assert!(is_same(&second, &pool.session(changed.clone()).unwrap()));
        pool.forget(base.key);
        assert!(!is_same(&second, &pool.session(changed).unwrap()));
    }

    #[test]
    fn closed_pool_opens_nothing() {
        let pool = Pool::new();
        let base = endpoint(Some("pve.example"), None);
        pool.session(base.clone()).unwrap();
        pool.close();
        assert!(matches!(pool.session(base), Err(Error::Closed)));
    }
}
