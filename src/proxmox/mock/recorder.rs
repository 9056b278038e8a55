//! What has been asked.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use tokio::sync::watch;

const KEPT: usize = 200_000;

/// One answered request. Bodies are not kept, since logins carry passwords.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Recorded {
    /// `GET`, `POST`…
    pub method: String,
    /// The path below `/api2/json`, or the whole path outside it.
    pub path: String,
    /// The query as sent, without `?`; empty for none.
    pub query: String,
    /// `user@realm` or `user@realm!token`; `None` where nobody was recognised.
    pub identity: Option<String>,
    /// The status answered; 0 where the connection was cut instead.
    pub status: u16,
    /// The number of the connection, from 1.
    pub connection: u64,
    /// The name that the client asked for in its TLS greeting.
    pub server_name: Option<String>,
}

/// The requests of one mock, and how many were open together.
#[derive(Default)]
pub(super) struct RequestLog {
    // A plain mutex: held to push or copy, never across an await.
    entries: Mutex<VecDeque<Recorded>>,
    open: watch::Sender<usize>,
    peak: AtomicUsize,
}

impl RequestLog {
    fn entries(&self) -> MutexGuard<'_, VecDeque<Recorded>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn push(&self, entry: Recorded) {
        let mut entries = self.entries();
        if entries.len() == KEPT {
            entries.pop_front();
        }
        entries.push_back(entry);
    }

    pub(super) fn all(&self) -> Vec<Recorded> {
        self.entries().iter().cloned().collect()
    }

    pub(super) fn clear(&self) {
        self.entries().clear();
        self.peak.store(*self.open.borrow(), Ordering::Relaxed);
    }

    pub(super) fn peak(&self) -> usize {
        self.peak.load(Ordering::Relaxed)
    }

    pub(super) fn watch(&self) -> watch::Receiver<usize> {
        self.open.subscribe()
    }

    /// Counts a request as open until the guard is dropped.
    pub(super) fn open(&self) -> OpenRequest<'_> {
        self.open.send_modify(|open| {
            *open += 1;
            self.peak.fetch_max(*open, Ordering::Relaxed);
        });
        OpenRequest(self)
    }
}

/// Counts one request as open.
pub(super) struct OpenRequest<'a>(&'a RequestLog);

impl Drop for OpenRequest<'_> {
    fn drop(&mut self) {
        self.0.open.send_modify(|open| *open -= 1);
    }
}
