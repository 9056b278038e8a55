//! What can go wrong between us and Proxmox, told apart as finely as callers need it.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::tls::Fingerprint;

/// A cause from below, kept as it came.
pub type Cause = Arc<dyn StdError + Send + Sync>;

/// An answer by which Proxmox, or a proxy before it, said no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Method and path, such as `GET nodes/pve1/qemu`; never parameters.
    pub call: String,
    /// The HTTP status, which can be one of Proxmox's own (595 to 599).
    pub status: u16,
    /// Proxmox's words, or general ones where it said nothing; without secrets.
    pub message: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "`{}` was answered with {}: {}",
            self.call, self.status, self.message
        )
    }
}

/// Every way a call to Proxmox can fail. Cloning is cheap; waiters of one flight share the same failure.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// 401: the token or ticket is not accepted, or the password is wrong.
    #[error("Proxmox does not accept the credentials; {answer}")]
    AuthFailed {
        /// Proxmox's answer.
        answer: Refusal,
    },
    /// The password is right, but the account asks for a code that a service cannot give.
    #[error("the account `{username}` needs a second factor; use an API token")]
    SecondFactorRequired {
        /// The account.
        username: String,
    },
    /// 403: a privilege is missing.
    #[error("Proxmox denies permission{}; {answer}", needs(path.as_deref(), privilege.as_deref()))]
    PermissionDenied {
        /// Proxmox's answer.
        answer: Refusal,
        /// The object of the access list that the check was about, such as `/vms/100`, where the answer names it.
        path: Option<String>,
        /// The missing privilege, such as `VM.Audit` (alternatives parted by `|`), where the answer names it.
        privilege: Option<String>,
    },
    /// The object does not exist; Proxmox mostly says so with a 500.
    #[error("not found; {answer}")]
    NotFound {
        /// Proxmox's answer.
        answer: Refusal,
    },
    /// 424: cluster data was asked of a host outside a cluster.
    #[error("the host is in no cluster; {answer}")]
    NotClustered {
        /// Proxmox's answer.
        answer: Refusal,
    },
    /// 400: parameters were refused.
    #[error("Proxmox refuses the request; {answer}")]
    BadRequest {
        /// Proxmox's answer; its message names the parameters.
        answer: Refusal,
        /// Refused parameter and complaint, in the order sent; the complaint is empty where it could repeat a secret.
        parameters: Vec<(String, String)>,
    },
    /// This release has no such call.
    #[error("this Proxmox release does not offer the call; {answer}")]
    NotImplemented {
        /// Proxmox's answer.
        answer: Refusal,
    },
    /// The object is locked by other work; later it may work.
    #[error("Proxmox is busy with the object; {answer}")]
    Busy {
        /// Proxmox's answer.
        answer: Refusal,
    },
    /// The guest is not running, or its agent is not there: an expected state.
    #[error("the guest cannot answer; {answer}")]
    GuestUnavailable {
        /// Proxmox's answer.
        answer: Refusal,
    },
    /// The guest's agent was asked and did not answer within the server's own limit. Asking again at once keeps a worker
    /// of the node waiting for as long again.
    #[error("the guest's agent does not answer; {answer}")]
    GuestTimeout {
        /// Proxmox's answer.
        answer: Refusal,
    },
    /// The storage is not online, or not on this node.
    #[error("the storage is not available; {answer}")]
    StorageOffline {
        /// Proxmox's answer.
        answer: Refusal,
    },
    /// The object exists already.
    #[error("the object exists already; {answer}")]
    Conflict {
        /// Proxmox's answer.
        answer: Refusal,
    },
    /// 595: the host that we asked cannot reach the node.
    #[error("node `{node}` cannot be reached by its cluster; {answer}")]
    NodeUnreachable {
        /// The node; empty where the path names none.
        node: String,
        /// Proxmox's answer.
        answer: Refusal,
    },
    /// 596: the node took longer than the 30 s Proxmox allows. The outcome of a write is not known.
    #[error("node `{node}` did not answer its cluster in time; {answer}")]
    NodeTimeout {
        /// The node; empty where the path names none.
        node: String,
        /// Proxmox's answer.
        answer: Refusal,
    },
    /// 597 to 599: the exchange with the node broke off.
    #[error("the exchange with node `{node}` broke off; {answer}")]
    NodeError {
        /// The node; empty where the path names none.
        node: String,
        /// Proxmox's answer.
        answer: Refusal,
    },
    /// 429, 502, 503, 504: a reverse proxy before Proxmox could not serve us.
    #[error("a proxy before Proxmox cannot serve the call; {answer}")]
    Unavailable {
        /// The proxy's answer.
        answer: Refusal,
        /// When it asked us to come back.
        retry_after: Option<Duration>,
    },
    /// Any other refusal.
    #[error("Proxmox failed; {answer}")]
    Server {
        /// Proxmox's answer.
        answer: Refusal,
    },
    /// No answer within our own limit. The outcome of a write is not known.
    #[error("`{call}` was not answered by {address} within {limit:?}")]
    Timeout {
        /// Method and path.
        call: String,
        /// Host and port.
        address: String,
        /// Our limit.
        limit: Duration,
    },
    /// No connection: refused, no route, or no answer within the connect limit. Nothing was sent.
    #[error("cannot connect to {address}{}", if *timed_out { " in time" } else { "" })]
    Connect {
        /// Host and port.
        address: String,
        /// Whether the connect limit ran out.
        timed_out: bool,
        /// The cause.
        #[source]
        source: Cause,
    },
    /// The name does not resolve. Nothing was sent.
    #[error("cannot resolve the name of {address}")]
    Dns {
        /// Host and port.
        address: String,
        /// The cause.
        #[source]
        source: Cause,
    },
    /// The TLS handshake failed. Nothing was sent.
    #[error("no trusted TLS connection to {address}: {reason}{}", advice(*presented))]
    Tls {
        /// Host and port.
        address: String,
        /// What rustls or our own check complained about.
        reason: String,
        /// The leaf certificate the server showed, where it was the certificate that we refused.
        presented: Option<Fingerprint>,
    },
    /// The connection broke before the answer was complete. The outcome of a write is not known.
    #[error("{address} closed the connection during `{call}`; the host may be restarting or deny this address")]
    Lost {
        /// Method and path.
        call: String,
        /// Host and port.
        address: String,
        /// The cause.
        #[source]
        source: Cause,
    },
    /// 3xx: this is not the address to ask. Redirects are never followed.
    #[error("`{call}` was redirected to {location}; configure the final address")]
    Redirect {
        /// Method and path.
        call: String,
        /// The status.
        status: u16,
        /// Host and port we were sent to.
        location: String,
    },
    /// The answer is not what Proxmox sends there.
    #[error("cannot decode the answer to `{call}`")]
    Decode {
        /// Method and path.
        call: String,
        /// The cause.
        #[source]
        source: Cause,
    },
    /// The answer is larger than we are willing to hold.
    #[error("the answer to `{call}` is larger than {limit} bytes")]
    TooLarge {
        /// Method and path.
        call: String,
        /// Our limit.
        limit: usize,
    },
    /// The endpoint failed to connect several times and is not asked again for a while.
    #[error("{address} could not be reached lately and is not asked again for {retry_after:.0?}")]
    CircuitOpen {
        /// Host and port.
        address: String,
        /// When it will be asked again.
        retry_after: Duration,
        /// The last failure to connect.
        #[source]
        source: Option<Box<Error>>,
    },
    /// The node left several reads without an answer and is not asked again for a while.
    #[error("node {node} did not answer lately and is not asked again for {retry_after:.0?}")]
    NodeSilent {
        /// The node.
        node: String,
        /// When it will be asked again.
        retry_after: Duration,
        /// The last answer that did not come.
        #[source]
        source: Option<Box<Error>>,
    },
    /// Neither the domain nor the IP address could be reached.
    #[error("neither address can be reached: {first}; {second}")]
    BothAddresses {
        /// What the address asked first said.
        first: Box<Error>,
        /// What the other address said.
        second: Box<Error>,
    },
    /// The path cannot be asked for.
    #[error("`{path}` is no Proxmox path: {reason}")]
    InvalidPath {
        /// The path as given.
        path: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The endpoint's definition cannot be used.
    #[error("the Proxmox endpoint `{endpoint}` cannot be used: {reason}")]
    InvalidEndpoint {
        /// The endpoint's name.
        endpoint: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The service is shutting down and opens no more sessions.
    #[error("no new Proxmox session: the service is shutting down")]
    Closed,
}

fn needs(path: Option<&str>, privilege: Option<&str>) -> String {
    match (path, privilege) {
        (Some(path), Some(privilege)) => format!(": {privilege} on {path} is missing"),
        (None, Some(privilege)) => format!(": {privilege} is missing"),
        (_, None) => String::new(),
    }
}

fn advice(presented: Option<Fingerprint>) -> String {
    presented.map_or_else(String::new, |leaf| {
        format!(
            "; the server shows a certificate with SHA-256 fingerprint {leaf}: compare it with the node's own, then pin it \
             or give the cluster's CA certificate"
        )
    })
}
