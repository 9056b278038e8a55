//! What can go wrong between us and NetBox.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::error::ErrorKind;

use super::refusal::FieldError;
use crate::reconcile::ObjectId;

/// Why NetBox does not accept a token, read from its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenProblem {
    /// No such token, or a wrong secret.
    Unknown,
    /// The token was switched off.
    Disabled,
    /// The token's time is over.
    Expired,
    /// The token may not be used from this service's address.
    WrongAddress,
    /// The token's user is not active.
    InactiveUser,
    /// The header did not arrive, or not in a form that NetBox reads.
    Malformed,
    /// Something in front of NetBox asked for credentials of its own (status 401).
    Proxy,
}

impl TokenProblem {
    /// Sorts an answer of status 401 or 403; `None` when the token was accepted and only a right is missing.
    pub(super) fn of(status: u16, detail: &str) -> Option<Self> {
        const TEXTS: [(&str, TokenProblem); 10] = [
            ("token disabled", TokenProblem::Disabled),
            ("token expired", TokenProblem::Expired),
            (
                "not permitted to authenticate using this token",
                TokenProblem::WrongAddress,
            ),
            ("client ip address could not be determined", TokenProblem::WrongAddress),
            ("user inactive", TokenProblem::InactiveUser),
            ("invalid authorization header", TokenProblem::Malformed),
            ("authentication credentials were not provided", TokenProblem::Malformed),
            ("invalid v1 token", TokenProblem::Unknown),
            ("invalid v2 token", TokenProblem::Unknown),
            ("invalid token", TokenProblem::Unknown),
        ];
        let detail = detail.to_ascii_lowercase();
        let known = TEXTS
            .iter()
            .find(|(text, _)| detail.contains(text))
            .map(|(_, problem)| *problem);
        known.or((status == 401).then_some(Self::Proxy))
    }

    /// What an operator reads.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "the token is unknown or its secret is wrong",
            Self::Disabled => "the token is disabled",
            Self::Expired => "the token has expired",
            Self::WrongAddress => "the token may not be used from this address",
            Self::InactiveUser => "the token's user is not active",
            Self::Malformed => "the credentials did not arrive in a form that NetBox reads",
            Self::Proxy => "something in front of NetBox asks for credentials",
        }
    }
}

impl fmt::Display for TokenProblem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Why a request to NetBox failed. Cheap to clone; never holds a secret.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The configuration of the endpoint cannot work.
    #[error("NetBox endpoint: `{field}`: {problem}")]
    Endpoint {
        /// The field of the endpoint row.
        field: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// A request that must not be sent: a fault of our own.
    #[error("cannot send a request to `{path}`: {problem}")]
    Request {
        /// The path asked for.
        path: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// No TCP connection; nothing was sent.
    #[error("cannot connect to NetBox at {host}")]
    Connect {
        /// Host and port.
        host: String,
        /// The cause.
        #[source]
        source: Arc<reqwest::Error>,
    },
    /// The name does not resolve; nothing was sent.
    #[error("cannot resolve the name of NetBox at {host}")]
    Dns {
        /// Host and port.
        host: String,
        /// The cause.
        #[source]
        source: Arc<reqwest::Error>,
    },
    /// No TLS session; nothing was sent.
    #[error("cannot establish TLS with NetBox at {host}")]
    Tls {
        /// Host and port.
        host: String,
        /// The cause.
        #[source]
        source: Arc<reqwest::Error>,
    },
    /// The connection broke after the request was on its way.
    #[error("the connection to NetBox was lost during `{path}`")]
    Lost {
        /// The path asked for.
        path: String,
        /// The cause.
        #[source]
        source: Arc<reqwest::Error>,
    },
    /// No complete answer within the limit.
    #[error("NetBox did not answer `{path}` within {limit:?}{}", advice(*.is_tunable))]
    Timeout {
        /// The path asked for.
        path: String,
        /// The limit that passed.
        limit: Duration,
        /// Whether that is the one that the operator has set.
        is_tunable: bool,
    },
    /// Several calls got no answer just now: this one was not sent.
    #[error("NetBox is not asked for some seconds, since it does not answer: {last}")]
    Down {
        /// What the latest of them met.
        last: String,
    },
    /// NetBox, or something in front of it, does not accept the credentials.
    #[error("NetBox refuses the credentials: {problem} ({detail})")]
    Unauthenticated {
        /// The kind of refusal.
        problem: TokenProblem,
        /// NetBox's own words.
        detail: String,
    },
    /// The credentials are good, a right is missing (or the token is read-only and this was a write).
    #[error("the NetBox token lacks a right for `{path}`: {detail}")]
    PermissionDenied {
        /// The path asked for.
        path: String,
        /// NetBox's own words.
        detail: String,
    },
    /// The route exists, the object does not, or a constrained right hides it.
    #[error("NetBox has no object at `{path}`")]
    NotFound {
        /// The path asked for.
        path: String,
    },
    /// The route does not exist: another release of NetBox or of the plugin, or no NetBox at all.
    #[error("NetBox does not know the path `{path}`: what serves it is not installed there, or is of another release")]
    NoRoute {
        /// The path asked for.
        path: String,
    },
    /// NetBox refused the content of the request.
    #[error("NetBox refused `{path}` ({status}): {detail}")]
    Refused {
        /// The path asked for.
        path: String,
        /// 400, 409, 413, …
        status: u16,
        /// NetBox's own words, shortened.
        detail: String,
        /// The same, by field, where NetBox named fields.
        fields: Vec<FieldError>,
    },
    /// A lookup that must be unique found more than one row.
    #[error("`{path}` has more than one row for `{query}`")]
    Ambiguous {
        /// The path asked for.
        path: String,
        /// The filters of the lookup.
        query: String,
    },
    /// A row of the answer does not fit the filter: this release ignores it, and the answer is the whole collection.
    #[error("`{path}` ignored a filter: row {row} has `{field}` = {found}")]
    FilterIgnored {
        /// The path asked for.
        path: String,
        /// The field that was to be fixed.
        field: String,
        /// The first row that does not fit.
        row: ObjectId,
        /// What that row has instead.
        found: String,
    },
    /// The pages of a list contradict each other, or are too many.
    #[error("cannot read all pages of `{path}`: {problem}")]
    Paging {
        /// The path asked for.
        path: String,
        /// What was wrong.
        problem: &'static str,
    },
    /// Too many requests.
    #[error("NetBox limits the rate of requests (`{path}`)")]
    RateLimited {
        /// The path asked for.
        path: String,
        /// How long NetBox asked to wait.
        retry_after: Option<Duration>,
    },
    /// 502, 503 or 504: NetBox, or the proxy in front of it, is down or overloaded.
    #[error("NetBox is not available (status {status} for `{path}`)")]
    Unavailable {
        /// The path asked for.
        path: String,
        /// The status.
        status: u16,
        /// How long NetBox asked to wait.
        retry_after: Option<Duration>,
    },
    /// NetBox failed inside (500 and the rest of 5xx).
    #[error("NetBox failed with status {status} for `{path}`: {detail}")]
    Server {
        /// The path asked for.
        path: String,
        /// The status.
        status: u16,
        /// NetBox's own words, shortened.
        detail: String,
    },
    /// Redirects are never followed: the token would go along.
    #[error("NetBox redirects `{path}` to {target}; set the endpoint to that address")]
    Redirect {
        /// The path asked for.
        path: String,
        /// Scheme, host and port of the target, or its path on the same host.
        target: String,
    },
    /// The answer is not what this path answers.
    #[error("cannot decode the answer of `{path}`")]
    Decode {
        /// The path asked for.
        path: String,
        /// The cause.
        #[source]
        source: Arc<serde_json::Error>,
    },
    /// The answer is larger than this kind of answer may be.
    #[error("the answer of `{path}` is larger than {limit} bytes")]
    TooLarge {
        /// The path asked for.
        path: String,
        /// The limit that was passed.
        limit: usize,
    },
    /// The branch does not exist, is not ready, or cannot be checked.
    #[error("NetBox branch `{schema_id}`: {detail}")]
    Branch {
        /// The branch's schema id.
        schema_id: String,
        /// What is wrong with it.
        detail: String,
    },
}

const fn advice(is_tunable: bool) -> &'static str {
    if is_tunable {
        "; raise the plugin setting netbox_timeout if it is only slow"
    } else {
        ""
    }
}

impl Error {
    pub(super) fn endpoint(field: &'static str, problem: impl Into<String>) -> Self {
        Self::Endpoint {
            field,
            problem: problem.into(),
        }
    }

    pub(super) fn decode(path: &str, source: serde_json::Error) -> Self {
        Self::Decode {
            path: path.to_owned(),
            source: Arc::new(source),
        }
    }

    /// The category of the event contract.
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Connect { .. }
            | Self::Dns { .. }
            | Self::Tls { .. }
            | Self::Lost { .. }
            | Self::Down { .. }
            | Self::Unavailable { .. } => ErrorKind::Connection,
            Self::Timeout { .. } => ErrorKind::Timeout,
            Self::Unauthenticated { .. } => ErrorKind::Authentication,
            Self::PermissionDenied { .. } => ErrorKind::Permission,
            Self::NotFound { .. } | Self::NoRoute { .. } => ErrorKind::NotFound,
            Self::Refused { .. } | Self::Endpoint { .. } | Self::Ambiguous { .. } | Self::Branch { .. } => {
                ErrorKind::Validation
            }
            Self::RateLimited { .. } => ErrorKind::RateLimit,
            Self::Request { .. } => ErrorKind::Internal,
            Self::FilterIgnored { .. }
            | Self::Paging { .. }
            | Self::Server { .. }
            | Self::Redirect { .. }
            | Self::Decode { .. }
            | Self::TooLarge { .. } => ErrorKind::Unknown,
        }
    }

    /// Whether the same request may succeed a little later. Says nothing about whether repeating it is safe.
    pub const fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Connect { .. }
                | Self::Dns { .. }
                | Self::Lost { .. }
                | Self::Down { .. }
                | Self::Timeout { .. }
                | Self::RateLimited { .. }
                | Self::Unavailable { .. }
        )
    }

    /// Whether NetBox certainly did not act on the request.
    pub const fn is_certainly_unsent(&self) -> bool {
        matches!(
            self,
            Self::Connect { .. }
                | Self::Dns { .. }
                | Self::Tls { .. }
                | Self::Down { .. }
                | Self::Endpoint { .. }
                | Self::Request { .. }
                | Self::Branch { .. }
                | Self::Redirect { .. }
        )
    }

    /// A stable word for machines: `netbox_auth_failed`, `netbox_unreachable`, …
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Endpoint { .. } => "netbox_endpoint_invalid",
            Self::Request { .. } => "netbox_request_invalid",
            Self::Connect { .. } | Self::Lost { .. } | Self::Down { .. } => "netbox_unreachable",
            Self::Dns { .. } => "netbox_name_unresolved",
            Self::Tls { .. } => "netbox_tls_failed",
            Self::Timeout { .. } => "netbox_timeout",
            Self::Unauthenticated { .. } => "netbox_auth_failed",
            Self::PermissionDenied { .. } => "netbox_permission_denied",
            Self::NotFound { .. } => "netbox_not_found",
            Self::NoRoute { .. } => "netbox_route_missing",
            Self::Refused { .. } => "netbox_refused",
            Self::Ambiguous { .. } => "netbox_ambiguous",
            Self::FilterIgnored { .. } => "netbox_filter_ignored",
            Self::Paging { .. } => "netbox_paging_broken",
            Self::RateLimited { .. } => "netbox_rate_limited",
            Self::Unavailable { .. } => "netbox_unavailable",
            Self::Server { .. } => "netbox_error",
            Self::Redirect { .. } => "netbox_redirected",
            Self::Decode { .. } => "netbox_answer_invalid",
            Self::TooLarge { .. } => "netbox_answer_too_large",
            Self::Branch { .. } => "netbox_branch_invalid",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_problem_is_read_from_the_words_of_netbox() {
        let cases = [
            (403, "Invalid v1 token", Some(TokenProblem::Unknown)),
            (403, "Invalid v2 token", Some(TokenProblem::Unknown)),
            (403, "Token disabled", Some(TokenProblem::Disabled)),
            (403, "Token expired", Some(TokenProblem::Expired)),
            (
                403,
                "Source IP 127.0.0.1 is not permitted to authenticate using this token.",
                Some(TokenProblem::WrongAddress),
            ),
            (403, "User inactive", Some(TokenProblem::InactiveUser)),
            (
                403,
                "Authentication credentials were not provided.",
                Some(TokenProblem::Malformed),
            ),
            (403, "You do not have permission to perform this action.", None),
            (401, "Authorization Required", Some(TokenProblem::Proxy)),
        ];
        for (status, detail, expected) in cases {
            assert_eq!(TokenProblem::of(status, detail), expected, "{status} {detail}");
        }
    }
}
