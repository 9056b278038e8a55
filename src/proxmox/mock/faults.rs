//! Switches that make the mock misbehave the way real servers do.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::world::{Agent, World};
use super::{Shared, WorldHandle};

/// What a matching request gets in place of its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// This status with this reason; bodies as Proxmox makes them (empty for 401 and 59x).
    Status(u16, String),
    /// The answer, but this much later.
    Latency(Duration),
    /// The answer, but only this many bytes of its body at once. The rest trickles: a few bytes after each such pause.
    SlowBody {
        /// How many bytes come at once.
        first: usize,
        /// How long each of the others is waited for.
        pause: Duration,
    },
    /// Half of the announced body, then the end of the connection.
    Truncated,
    /// The end of the connection before the first byte of an answer.
    Reset,
    /// Status 200 with a page of HTML, as a proxy in front would send.
    Html,
}

/// One fault with the requests it concerns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultRule {
    /// Method to match; `None` for every one.
    pub method: Option<String>,
    /// Path below `/api2/json` to match. `*` stands for any one segment; a closing `/**` for everything below.
    pub path: String,
    /// What happens.
    pub fault: Fault,
    /// How many times it happens; `None` for always.
    pub times: Option<u32>,
}

#[derive(Debug, Default)]
struct State {
    rules: Vec<FaultRule>,
    is_down: bool,
    numbers_as_text: bool,
    raw_log_bytes: bool,
    down_nodes: BTreeSet<String>,
}

/// Sets faults while the mock runs. Cheap to clone.
#[derive(Clone)]
pub struct FaultsHandle {
    // A plain mutex: held for a few comparisons, never across an await.
    state: Arc<Mutex<State>>,
    world: WorldHandle,
    shared: std::sync::Weak<Shared>,
}

impl FaultsHandle {
    pub(super) fn new(world: WorldHandle, shared: std::sync::Weak<Shared>) -> Self {
        Self {
            state: Arc::default(),
            world,
            shared,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a fault for one path, always and for every method.
    pub fn on_path(&self, path: &str, fault: Fault) {
        self.add(FaultRule {
            method: None,
            path: path.to_owned(),
            fault,
            times: None,
        });
    }

    /// Answers `path` with this status and text.
    pub fn fail(&self, path: &str, status: u16, text: &str) {
        self.on_path(path, Fault::Status(status, text.to_owned()));
    }

    /// Answers the next `times` requests of `path` with this status and text.
    pub fn fail_times(&self, path: &str, status: u16, text: &str, times: u32) {
        let fault = Fault::Status(status, text.to_owned());
        self.add(FaultRule {
            method: None,
            path: path.to_owned(),
            fault,
            times: Some(times),
        });
    }

    /// Adds a fault.
    pub fn add(&self, rule: FaultRule) {
        self.state().rules.push(rule);
    }

    /// Delays every answer.
    pub fn latency(&self, delay: Duration) {
        self.on_path("/**", Fault::Latency(delay));
    }

    /// Sends `first` bytes of the body of an answer at `path` at once, and lets the rest trickle.
    pub fn slow_body(&self, path: &str, first: usize, pause: Duration) {
        self.on_path(path, Fault::SlowBody { first, pause });
    }

    /// Switches a node off: it shows as offline, its guests as unknown, and every path below it answers 595.
    pub fn node_down(&self, node: &str) {
        self.state().down_nodes.insert(node.to_owned());
        self.world.change(|world| set_online(world, node, false));
    }

    /// Switches a node on again.
    pub fn node_up(&self, node: &str) {
        self.state().down_nodes.remove(node);
        self.world.change(|world| set_online(world, node, true));
    }

    /// Resets every connection as long as it is `true`: the endpoint itself is off.
    pub fn endpoint_down(&self, is_down: bool) {
        self.state().is_down = is_down;
    }

    /// Lets the agent of a machine hang until the server's own limit.
    pub fn wedge_agent(&self, vmid: u32) {
        self.world.change(|world| {
            if let Some(guest) = world.guest(vmid) {
                guest.agent = Agent::Wedged;
                guest.config.set("agent", "1");
            }
        });
    }

    /// Makes every ticket given so far worthless.
    pub fn expire_tickets(&self) {
        if let Some(shared) = self.shared.upgrade() {
            shared.tickets.expire_all();
        }
    }

    /// Sends the numbers in rows as text.
    pub fn numbers_as_text(&self, on: bool) {
        self.state().numbers_as_text = on;
    }

    /// Puts bytes that are no UTF-8 into task logs of migrations.
    pub fn raw_log_bytes(&self, on: bool) {
        self.state().raw_log_bytes = on;
    }

    /// Takes every fault away and switches nodes on that [`FaultsHandle::node_down`] had switched off.
    pub fn clear(&self) {
        let state = std::mem::take(&mut *self.state());
        self.world
            .change(|world| state.down_nodes.iter().for_each(|node| set_online(world, node, true)));
    }

    /// The faults by path that are set.
    pub fn rules(&self) -> Vec<FaultRule> {
        self.state().rules.clone()
    }

    pub(super) fn is_down(&self) -> bool {
        self.state().is_down
    }

    pub(super) fn sends_numbers_as_text(&self) -> bool {
        self.state().numbers_as_text
    }

    pub(super) fn sends_raw_log_bytes(&self) -> bool {
        self.state().raw_log_bytes
    }

    /// The faults that concern this request; those with a count are used up by it.
    pub(super) fn take(&self, method: &str, path: &str) -> Vec<Fault> {
        let mut found = Vec::new();
        for rule in &mut self.state().rules {
            let concerned = rule.method.as_deref().is_none_or(|own| own == method) && matches(&rule.path, path);
            if !concerned || rule.times == Some(0) {
                continue;
            }
            rule.times = rule.times.map(|times| times - 1);
            found.push(rule.fault.clone());
        }
        found
    }
}

fn set_online(world: &mut World, node: &str, online: bool) {
    if let Some(node) = world.node(node) {
        node.online = online;
    }
}

fn matches(pattern: &str, path: &str) -> bool {
    let mut parts = path.split('/').filter(|part| !part.is_empty());
    let mut wanted = pattern.split('/').filter(|part| !part.is_empty());
    loop {
        match (wanted.next(), parts.next()) {
            (Some("**"), _) | (None, None) => return true,
            (Some(want), Some(part)) if want == "*" || want == part => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns_match_whole_paths_segments_and_everything_below() {
        for (pattern, path, expected) in [
            ("/version", "/version", true),
            ("/version", "/version/x", false),
            ("/nodes/*/qemu", "/nodes/pve1/qemu", true),
            ("/nodes/*/qemu", "/nodes/pve1/lxc", false),
            ("/nodes/pve1/**", "/nodes/pve1/qemu/100/config", true),
            ("/nodes/pve1/**", "/nodes/pve1", true),
            ("/nodes/pve1/**", "/nodes/pve2/qemu", false),
            ("/**", "/anything", true),
        ] {
            assert_eq!(matches(pattern, path), expected, "{pattern} {path}");
        }
    }
}
