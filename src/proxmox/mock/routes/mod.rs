//! Which paths there are, who may ask them, and the answers.

#![expect(
    clippy::unnecessary_wraps,
    reason = "handlers stand in one table and share one signature"
)]

mod access;
mod ceph;
mod cluster;
mod copies;
pub(super) mod described;
mod firewall;
mod guests;
mod ha;
mod lifecycle;
mod metrics;
mod nodes;
pub(super) mod params;
mod resources;
mod sdn;
mod storage;
mod tasks;
pub(super) mod writes;
mod written;

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use serde_json::Value;

use self::params::{Given, Param};
use super::acl::{Identity, Rights};
use super::auth::Tickets;
use super::wire::{Payload, Refusal};
use super::world::{Guest, GuestKind, Node, World};
use super::{MockOptions, Release};

/// An answer or a refusal.
pub(super) type Answer = Result<Payload, Refusal>;

/// The parts in braces of a path, with their values.
pub(super) type Variables = Vec<(Cow<'static, str>, String)>;

/// One request as a handler sees it.
pub(super) struct Call<'a> {
    /// Who asks; `None` on public paths only.
    pub(super) identity: Option<Identity>,
    /// Query and body parameters.
    pub(super) params: Given,
    /// The parts in braces of the pattern, with their values.
    pub(super) variables: Variables,
    /// Seconds since 1970.
    pub(super) now: i64,
    /// Counts requests; figures and orders that change from call to call on a real server depend on it.
    pub(super) turn: u64,
    pub(super) options: &'a MockOptions,
    pub(super) tickets: &'a Tickets,
}

/// What a caller needs.
#[derive(Debug, Clone, Copy)]
enum Need {
    /// Nothing, not even a login.
    Public,
    /// A login.
    Open,
    /// This privilege on this path; parts in braces are filled in.
    Right(&'static str, &'static str),
    /// What the release asks for reading from a guest agent.
    Agent,
}

/// What answers a route.
#[derive(Clone, Copy)]
pub(super) enum Handler {
    Read(fn(&Call<'_>, &World) -> Answer),
    Write(fn(&Call<'_>, &mut World) -> Answer),
}

/// One method of one path.
pub(super) struct Route {
    method: &'static str,
    pub(super) pattern: &'static str,
    since: Release,
    need: Need,
    params: &'static [Param],
    pub(super) handler: Handler,
}

const fn get(pattern: &'static str, need: Need, handler: fn(&Call<'_>, &World) -> Answer) -> Route {
    Route {
        method: "GET",
        pattern,
        since: Release::V8_2,
        need,
        params: &[],
        handler: Handler::Read(handler),
    }
}

const fn write(
    method: &'static str,
    pattern: &'static str,
    need: Need,
    handler: fn(&Call<'_>, &mut World) -> Answer,
) -> Route {
    Route {
        method,
        pattern,
        since: Release::V8_2,
        need,
        params: &[],
        handler: Handler::Write(handler),
    }
}

impl Route {
    const fn since(mut self, release: Release) -> Self {
        self.since = release;
        self
    }

    const fn with(mut self, params: &'static [Param]) -> Self {
        self.params = params;
        self
    }

    /// Whether it can be asked without login.
    pub(super) const fn is_public(&self) -> bool {
        matches!(self.need, Need::Public)
    }

    /// Refuses a caller without the right that the route needs.
    pub(super) fn check_rights(&self, call: &Call<'_>, world: &World) -> Result<(), Refusal> {
        match self.need {
            Need::Public | Need::Open => Ok(()),
            Need::Right(pattern, privilege) => call.require(world, &call.fill(pattern), privilege),
            Need::Agent if call.options.release.is_9() => {
                let path = call.fill("/vms/{vmid}");
                let whole = call.require(world, &path, "VM.GuestAgent.Unrestricted");
                whole.or_else(|_| call.require(world, &path, "VM.GuestAgent.Audit"))
            }
            Need::Agent => call.require(world, &call.fill("/vms/{vmid}"), "VM.Monitor"),
        }
    }
}

/// Refuses a path below a node that does not exist or is off.
pub(super) fn check_node(call: &Call<'_>, world: &World) -> Result<(), Refusal> {
    let Some(name) = call.find_variable("node") else {
        return Ok(());
    };
    match world.find_node(name) {
        Some(node) if node.online => Ok(()),
        Some(_) => Err(Refusal::bare(595, "No route to host")),
        None => {
            let text = format!(
                "hostname lookup '{name}' failed - failed to get address info for: {name}: Name or service not known"
            );
            Err(Refusal::new(500, text))
        }
    }
}

/// The route of a request with the values of its variables; `None` where the release has none.
pub(super) fn find(method: &str, path: &str, release: Release) -> Option<(&'static Route, Variables)> {
    let tables = [
        access::ROUTES,
        ceph::ROUTES,
        cluster::ROUTES,
        copies::ROUTES,
        firewall::ROUTES,
        guests::ROUTES,
        ha::ROUTES,
        lifecycle::ROUTES,
        metrics::ROUTES,
        nodes::ROUTES,
        resources::ROUTES,
        sdn::ROUTES,
        storage::ROUTES,
        tasks::ROUTES,
        writes::ROUTES,
    ];
    let routes = tables.into_iter().flatten();
    let mut offered = routes.filter(|route| route.method == method && route.since <= release);
    offered.find_map(|route| Some((route, variables(route.pattern, path)?)))
}

fn variables(pattern: &'static str, path: &str) -> Option<Variables> {
    let mut found = Vec::new();
    let mut wanted = pattern.split('/');
    let mut parts = path.trim_end_matches('/').split('/');
    loop {
        match (wanted.next(), parts.next()) {
            (None, None) => return Some(found),
            (Some(want), Some(part)) => {
                if let Some(name) = want.strip_prefix('{').and_then(|want| want.strip_suffix('}')) {
                    found.push((name.into(), percent_decode_str(part).decode_utf8_lossy().into_owned()));
                } else if want != part {
                    return None;
                }
            }
            _ => return None,
        }
    }
}

/// The name of the node that answers.
pub(super) fn local_node(options: &MockOptions, world: &World) -> String {
    let first = || world.nodes.first().map(|node| node.name.clone()).unwrap_or_default();
    options.local_node.clone().unwrap_or_else(first)
}

impl Call<'_> {
    fn find_variable(&self, name: &str) -> Option<&str> {
        self.variables
            .iter()
            .find(|(own, _)| *own == name)
            .map(|(_, value)| value.as_str())
    }

    /// The value of a part in braces; empty where the pattern has none of that name.
    fn variable(&self, name: &str) -> &str {
        self.find_variable(name).unwrap_or_default()
    }

    /// The number in the path; 0 where there is none.
    fn vmid(&self) -> u32 {
        self.variable("vmid").parse().unwrap_or(0)
    }

    fn param(&self, name: &str) -> Option<&str> {
        self.params.get(name)
    }

    fn number(&self, name: &str) -> Option<i64> {
        self.param(name)?.parse().ok()
    }

    fn flag(&self, name: &str) -> Option<bool> {
        self.param(name).map(|value| value == "1")
    }

    fn fill(&self, pattern: &str) -> String {
        let mut path = pattern.to_owned();
        for (name, value) in &self.variables {
            path = path.replace(&format!("{{{name}}}"), value);
        }
        path
    }

    /// Whether the caller has `privilege` on `path`.
    fn has(&self, world: &World, path: &str, privilege: &str) -> bool {
        self.rights(world).is_some_and(|rights| rights.has(path, privilege))
    }

    /// Whether the caller has `privilege` on the guest.
    fn has_on_guest(&self, world: &World, guest: &Guest, privilege: &str) -> bool {
        self.rights(world)
            .is_some_and(|rights| rights.on_guest(guest.vmid, guest.pool.as_deref(), privilege))
    }

    fn rights<'b>(&'b self, world: &'b World) -> Option<Rights<'b>> {
        let identity = self.identity.as_ref()?;
        Some(Rights::new(world, self.options.release, identity))
    }

    fn require(&self, world: &World, path: &str, privilege: &str) -> Result<(), Refusal> {
        let vmid = path.strip_prefix("/vms/").and_then(|vmid| vmid.parse().ok());
        let allowed = match vmid.and_then(|vmid: u32| world.guests.get(&vmid)) {
            Some(guest) => self.has_on_guest(world, guest, privilege),
            None => self.has(world, path, privilege),
        };
        if allowed {
            Ok(())
        } else {
            Err(Refusal::permission(path, privilege))
        }
    }

    /// The node in the path.
    fn node<'b>(&self, world: &'b World) -> Result<&'b Node, Refusal> {
        let name = self.variable("node");
        world
            .find_node(name)
            .ok_or_else(|| Refusal::new(500, format!("no such cluster node '{name}'")))
    }

    /// Whether the guest in the path is of this kind and on the node in the path.
    fn is_here(&self, guest: &Guest, kind: GuestKind) -> bool {
        guest.kind == kind && guest.node == self.variable("node")
    }

    /// The guest in the path.
    fn guest<'b>(&self, world: &'b World, kind: GuestKind) -> Result<&'b Guest, Refusal> {
        let found = world.guests.get(&self.vmid()).filter(|guest| self.is_here(guest, kind));
        found.ok_or_else(|| self.no_such_guest(kind))
    }

    fn no_such_guest(&self, kind: GuestKind) -> Refusal {
        let folder = match kind {
            GuestKind::Qemu => "qemu-server",
            GuestKind::Lxc => "lxc",
        };
        let (node, vmid) = (self.variable("node"), self.variable("vmid"));
        Refusal::new(
            500,
            format!("Configuration file 'nodes/{node}/{folder}/{vmid}.conf' does not exist"),
        )
    }

    /// `parts` joined, in an order that changes from call to call as on a real server.
    fn shuffled(&self, parts: &[String]) -> String {
        let count = u64::try_from(parts.len()).unwrap_or(1).max(1);
        let start = usize::try_from(self.turn % count).unwrap_or(0);
        let turned: Vec<&str> = parts
            .iter()
            .cycle()
            .skip(start)
            .take(parts.len())
            .map(String::as_str)
            .collect();
        turned.join(",")
    }

    /// A figure near `base` that changes from call to call.
    fn jitter(&self, seed: u64, base: u64) -> u64 {
        base + super::estate::mix(seed, self.turn) % (base / 50 + 1)
    }

    /// A share of a processor that changes from call to call.
    fn load(&self, seed: u64) -> f64 {
        let thousandths = u16::try_from(super::estate::mix(seed, self.turn) % 400).unwrap_or(0);
        f64::from(thousandths) / 1_000.0
    }
}

/// A list of names as the directory of a path.
fn directory(names: &[&str], key: &str) -> Answer {
    let rows = names
        .iter()
        .map(|name| Value::Object([(key.to_owned(), Value::from(*name))].into_iter().collect()));
    Ok(Value::Array(rows.collect()).into())
}

/// A stable stand-in for the digest of a file.
fn digest(text: &str) -> String {
    use sha2::{Digest as _, Sha256};
    let pairs: Vec<String> = Sha256::digest(text)
        .iter()
        .take(20)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    pairs.concat()
}
