//! The kinds of failure that callers can tell apart, whatever edge they came from.

use std::fmt;

/// What went wrong, in the categories of the event contract (`error_detail.category`).
///
/// Every edge's error enum answers `kind()`; one table in `http/error.rs` turns a kind into a status code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ErrorKind {
    /// The other side could not be reached: name resolution, connect, TLS, or a lost connection.
    Connection,
    /// The other side does not accept our credentials.
    Authentication,
    /// The credentials are good but lack a right.
    Permission,
    /// The request was refused because of its content.
    Validation,
    /// The object or route does not exist.
    NotFound,
    /// No answer within the time limit.
    Timeout,
    /// Too many requests; try later.
    RateLimit,
    /// A fault of our own.
    Internal,
    /// None of the above can be told.
    Unknown,
}

impl ErrorKind {
    /// The category's word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::Authentication => "authentication",
            Self::Permission => "permission",
            Self::Validation => "validation",
            Self::NotFound => "not_found",
            Self::Timeout => "timeout",
            Self::RateLimit => "rate_limit",
            Self::Internal => "internal",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}
