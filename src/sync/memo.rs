//! What runs remember for a short while: that the supporting objects stand, and what the latest pass over them did.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::stages::BootstrapStatus;
use crate::inventory::ClusterMode;
use crate::netbox::Client;
use crate::netbox::ids::Ids;

/// How long the supporting objects are taken to stand. The stages of one job follow each other within this time.
const FRESH: Duration = Duration::from_mins(2);

/// A memory that runs share.
#[derive(Debug, Clone, Default)]
pub struct Memo {
    // A plain mutex: held for a look-up, never across an await.
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    supporting: HashMap<String, (Instant, Ids)>,
    latest: Option<BootstrapStatus>,
}

/// NetBox, branch and mode: ids are not shared across any of them.
fn key(netbox: &Client, mode: ClusterMode) -> String {
    format!(
        "{} {} {}",
        netbox.base_url(),
        netbox.branch().unwrap_or_default(),
        mode.as_str()
    )
}

impl Memo {
    fn with<T>(&self, read: impl FnOnce(&mut State) -> T) -> T {
        read(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn recall(&self, netbox: &Client, mode: ClusterMode) -> Option<Ids> {
        self.with(|state| {
            state.supporting.retain(|_, (since, _)| since.elapsed() < FRESH);
            state.supporting.get(&key(netbox, mode)).map(|(_, ids)| ids.clone())
        })
    }

    pub(super) fn remember(&self, netbox: &Client, mode: ClusterMode, ids: &Ids) {
        self.with(|state| {
            state
                .supporting
                .insert(key(netbox, mode), (Instant::now(), ids.clone()))
        });
    }

    /// Forgets that anything stands; what a run could not write may be due to it.
    pub fn forget(&self) {
        self.with(|state| state.supporting.clear());
    }

    pub(super) fn report(&self, status: BootstrapStatus) {
        self.with(|state| state.latest = Some(status));
    }

    /// What the latest pass over the supporting objects did.
    pub fn latest(&self) -> Option<BootstrapStatus> {
        self.with(|state| state.latest.clone())
    }
}
