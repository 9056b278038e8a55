//! What has been asked.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// One answered request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// `GET`, `POST`…
    pub method: String,
    /// The path from `/api/` on.
    pub path: String,
    /// The query as sent, without `?`; empty for none.
    pub query: String,
    /// The branch it was for; `None`: main.
    pub branch: Option<String>,
    /// The status answered; 0 where the connection was cut instead.
    pub status: u16,
    /// Rows in the body of a write, or in the answer of a read.
    pub rows: usize,
    /// Length of the answered body.
    pub bytes: usize,
    /// Length of the body that came with it.
    pub body_bytes: usize,
}

impl Request {
    /// Whether it could have changed anything: every method but GET, HEAD and OPTIONS.
    pub fn is_write(&self) -> bool {
        !matches!(self.method.as_str(), "GET" | "HEAD" | "OPTIONS")
    }
}

/// The requests of one stand-in, in the order of their answers.
#[derive(Debug, Default)]
pub(super) struct RequestLog {
    // A plain mutex: held to push or copy, never across an await.
    entries: Mutex<Vec<Request>>,
}

impl RequestLog {
    fn entries(&self) -> MutexGuard<'_, Vec<Request>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn push(&self, entry: Request) {
        self.entries().push(entry);
    }

    pub(super) fn all(&self) -> Vec<Request> {
        self.entries().clone()
    }

    pub(super) fn clear(&self) {
        self.entries().clear();
    }
}
