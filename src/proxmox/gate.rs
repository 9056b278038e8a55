//! How many calls may be in flight: a few per node, a few for the host itself, fewer still for guest agents; and which
//! nodes are not asked because they hang.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::breaker::Breaker;
use super::classify::node_of;

/// Guest agent calls in flight per node: a wedged agent holds a worker of the node for ten seconds.
const AGENT_CALLS: usize = 2;
/// The operator's patience that leaves the limits below as they are.
const USUAL_PATIENCE: Duration = Duration::from_secs(5);
/// No limit grows beyond this by scaling, unless the operator's patience with a single call is larger.
const LONGEST: Duration = Duration::from_mins(2);
/// A wrong password costs three seconds of penalty and whatever PAM adds.
const LOGIN: Duration = Duration::from_secs(10);

/// Queues, first come first served.
#[derive(Debug)]
pub(super) struct Gates {
    width: usize,
    host: Arc<Semaphore>,
    /// A plain lock: held to look a node up.
    nodes: Mutex<HashMap<String, NodeGate>>,
}

#[derive(Debug, Clone)]
struct NodeGate {
    calls: Arc<Semaphore>,
    agents: Arc<Semaphore>,
    /// Counts answers that did not come.
    silence: Arc<Breaker>,
}

/// The right to have one call in flight, given back on drop.
#[derive(Debug)]
pub(super) struct Pass {
    _agent: Option<OwnedSemaphorePermit>,
    _call: Option<OwnedSemaphorePermit>,
    /// Counts answers of the call's node that did not come, where only the node can be to blame for that.
    pub(super) silence: Option<Arc<Breaker>>,
}

impl Gates {
    pub(super) fn new(width: usize) -> Self {
        let width = width.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            width,
            host: Arc::new(Semaphore::new(width)),
            nodes: Mutex::new(HashMap::new()),
        }
    }

    /// Waits for a place for a call to `path`. Agent calls queue for their own place first, so that they never hold
    /// a common place while they wait.
    pub(super) async fn enter(&self, path: &str) -> Pass {
        let Some(node) = node_of(path) else {
            let call = Arc::clone(&self.host).acquire_owned().await.ok();
            return Pass {
                _agent: None,
                _call: call,
                silence: None,
            };
        };
        let gate = self.node(node);
        let (mut agent, mut silence) = (None, None);
        match Class::of("GET", path) {
            Class::Agent => agent = gate.agents.acquire_owned().await.ok(),
            Class::List | Class::Config => silence = Some(gate.silence),
            // A storage or a guest may hang for itself.
            Class::Login | Class::StorageContent | Class::Generic => {}
        }
        let call = gate.calls.acquire_owned().await.ok();
        Pass {
            _agent: agent,
            _call: call,
            silence,
        }
    }

    fn node(&self, node: &str) -> NodeGate {
        let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        let gate = nodes.entry(node.to_owned()).or_insert_with(|| NodeGate {
            calls: Arc::new(Semaphore::new(self.width)),
            // One place stays for other calls, unless there is only one.
            agents: Arc::new(Semaphore::new(AGENT_CALLS.min(self.width - 1).max(1))),
            silence: Arc::default(),
        });
        gate.clone()
    }
}

/// Classes of calls that differ in how long a healthy server may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Login,
    List,
    Config,
    Agent,
    StorageContent,
    Generic,
}

impl Class {
    pub(super) fn of(method: &str, path: &str) -> Self {
        let segments: Vec<&str> = path.split('/').collect();
        match segments.as_slice() {
            ["access", "ticket"] if method == "POST" => Self::Login,
            ["nodes", _, "qemu", _, "agent", ..] => Self::Agent,
            ["nodes", _, "storage"] | ["nodes", _, "storage", _, "content", ..] => Self::StorageContent,
            ["nodes", _, "qemu" | "lxc", _, "config"] => Self::Config,
            ["nodes" | "storage" | "pools"]
            | ["cluster", "resources" | "status" | "tasks" | "backup" | "replication"]
            | ["nodes", _, "qemu" | "lxc" | "tasks" | "network"]
            | ["nodes", _, "qemu" | "lxc", _, "snapshot"] => Self::List,
            _ => Self::Generic,
        }
    }

    /// The limit for one exchange, from the first byte to the last, given the endpoint's `patience`.
    pub(super) fn limit(self, patience: Duration) -> Duration {
        let usual = match self {
            Self::Login | Self::Config | Self::Generic => LOGIN,
            Self::List | Self::Agent => Duration::from_secs(15),
            Self::StorageContent => Duration::from_secs(30),
        };
        let scaled = usual.mul_f64((patience.as_secs_f64() / USUAL_PATIENCE.as_secs_f64()).clamp(0.05, 1_000.0));
        let limit = scaled.min(LONGEST.max(patience));
        if self == Self::Login { limit.max(LOGIN) } else { limit }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn class_of_a_call_sets_its_limit() {
        let table: &[(&str, &str, u64)] = &[
            ("POST", "access/ticket", 10),
            ("GET", "cluster/resources", 15),
            ("GET", "nodes", 15),
            ("GET", "nodes/pve1/qemu/100/config", 10),
            ("GET", "nodes/pve1/qemu/100/agent/network-get-interfaces", 15),
            ("GET", "nodes/pve1/storage/nfs/content", 30),
            ("GET", "version", 10),
        ];
        for (method, path, seconds) in table {
            let limit = Class::of(method, path).limit(USUAL_PATIENCE);
            assert_eq!(limit, Duration::from_secs(*seconds), "{method} {path}");
        }
    }

    #[test]
    fn limit_scales_with_patience_within_bounds() {
        let table: &[(Class, u64, u64)] = &[
            (Class::Generic, 10, 20),
            (Class::Generic, 1, 2),
            (Class::Login, 1, 10),
            (Class::StorageContent, 60, 120),
            (Class::StorageContent, 3600, 3600),
        ];
        for (class, patience, seconds) in table {
            let limit = class.limit(Duration::from_secs(*patience));
            assert_eq!(limit, Duration::from_secs(*seconds), "{class:?} {patience}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn node_and_host_have_places_of_their_own() {
        let gates = Gates::new(1);
        let _node = gates.enter("nodes/a/qemu").await;
        let _other = gates.enter("nodes/b/qemu").await;
        let _host = gates.enter("cluster/status").await;
        let full = tokio::time::timeout(Duration::from_mins(1), gates.enter("nodes/a/lxc")).await;
        assert!(full.is_err(), "a second call to the node must wait");
    }

    #[tokio::test(start_paused = true)]
    async fn agents_leave_a_place_for_other_calls() {
        let gates = Gates::new(3);
        let agent = "nodes/a/qemu/100/agent/info";
        let _one = gates.enter(agent).await;
        let _two = gates.enter(agent).await;
        assert!(
            tokio::time::timeout(Duration::from_mins(1), gates.enter(agent))
                .await
                .is_err()
        );
        let _plain = gates.enter("nodes/a/qemu/100/config").await;
    }

    #[tokio::test(start_paused = true)]
    async fn agents_leave_a_place_where_a_node_takes_two_calls() {
        let gates = Gates::new(2);
        let agent = "nodes/a/qemu/100/agent/info";
        let _one = gates.enter(agent).await;
        let second = gates.enter(agent);
        let patience = Duration::from_mins(1);
        assert!(tokio::time::timeout(patience, second).await.is_err());
        let plain = gates.enter("nodes/a/qemu/100/config");
        assert!(tokio::time::timeout(patience, plain).await.is_ok());
    }
}
