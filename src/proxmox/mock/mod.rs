//! An in-process Proxmox VE that speaks the real wire protocol over TLS.
//!
//! [`MockProxmox`] serves one estate ([`World`]) the way `pveproxy` does: private CA, `/api2/json`, tokens, tickets with
//! two hours of life, second factors, the write guard, row filtering by rights, both error styles, custom reason
//! phrases, 595 for nodes that are off, connections that end after 100 requests, after an error or when idle, and a strict
//! check of parameters. Writes change the estate and answer task ids.
//!
//! Rooms: [`world`] is the estate as plain data, `estate` builds one, `routes` answer from it, and from the
//! release's own description where the estate holds nothing, `exchange` leads one
//! request through framing, faults, login and rights, `server` owns sockets and tasks, `control` is the second port.
//!
//! # Control port
//!
//! With [`MockOptions::control`] a second, plain HTTP port takes JSON:
//!
//! | Request | Effect |
//! | --- | --- |
//! | `GET /world` | counts, nodes and guests in short; how to reach the mock (`address`, `fingerprint`, `ca_pem`) |
//! | `POST /world/guests/{vmid}` | merge patch: `name`, `node` (migrates), `status`, `cores`, `sockets`, `memory` (MiB), `tags` (list or text), `description`, `pool`, `lock`, `template`, `type`; every other key is a key of the configuration, `null` removes it; an unknown number with `type` and `node` creates a guest |
//! | `DELETE /world/guests/{vmid}` | removes the guest |
//! | `DELETE /world/guests/{vmid}/snapshots[/{name}]` | removes one or all of its snapshots |
//! | `DELETE /world/backups/{vmid}` | removes the backups of a guest |
//! | `POST /world/nodes/{name}` | `{"online": false}` |
//! | `POST /world/storages/{id}` | `{"reachable": false}` |
//! | `POST /faults` | any of `node_down`, `node_up`, `endpoint_down`, `wedge_agent`, `expire_tickets`, `numbers_as_text`, `raw_log_bytes`, `latency_ms`, or `path` with `status` and `text`, `truncated`, `reset`, `html` or `slow_after` (bytes) and `pause_ms`, and optionally `method`, `times` |
//! | `DELETE /faults` | takes all faults away |
//! | `GET /requests`, `DELETE /requests` | the requests seen so far, or forgets them |
//! | `POST /clock` | `{"advance_seconds": 7200}` |

mod acl;
mod auth;
mod clock;
mod control;
mod estate;
mod exchange;
mod faults;
mod recorder;
mod routes;
mod server;
mod tls;
mod wire;
pub mod world;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::clock::Clock;
pub use self::faults::{Fault, FaultRule, FaultsHandle};
pub use self::recorder::Recorded;
pub use self::world::{
    AUDITOR_TOKEN, EMPTY_TOKEN, Guest, Node, PASSWORD, ROOT_TOKEN, Storage, TFA_USER, TOKEN_SECRET, TOTP_CODE, World,
};

/// The release whose paths, roles and error style the mock has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Release {
    /// 8.2: as 8.3, but errors tell their text in the status line only.
    V8_2,
    /// 8.3.
    V8_3,
    /// 9.1.
    V9_1,
    /// 9.2.
    V9_2,
}

impl Release {
    /// Whether it is of the line 9.
    pub(crate) const fn is_9(self) -> bool {
        matches!(self, Self::V9_1 | Self::V9_2)
    }

    /// `version`, `release` and `repoid` of `/version`.
    pub(crate) const fn words(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::V8_2 => ("8.2.7", "8.2", "3e0176e6bb2ade3b"),
            Self::V8_3 => ("8.3.5", "8.3", "dac3aa88bac3f300"),
            Self::V9_1 => ("9.1.4", "9.1", "5ac30304265fbd8e"),
            Self::V9_2 => ("9.2.4", "9.2", "5e5ae681198514d4"),
        }
    }
}

/// How a mock is run.
#[derive(Debug, Clone)]
pub struct MockOptions {
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where the control port listens; `None` for none.
    pub control: Option<SocketAddr>,
    /// Which release it shows.
    pub release: Release,
    /// Whether a 401 takes three seconds, as on a real server.
    pub delay_401: bool,
    /// Further names and addresses in its certificate, beside loopback and the node's own.
    pub common_names: Vec<String>,
    /// The node that answers; `None` for the first one.
    pub local_node: Option<String>,
    /// Requests after which a connection is closed.
    pub keep_alive_requests: u32,
    /// Idle time after which a connection is closed.
    pub idle_limit: Duration,
    /// Requests worked on at a time; the others queue.
    pub workers: usize,
    /// How long a wedged guest agent takes to fail.
    pub agent_limit: Duration,
    /// How long tasks started by writes run, in whole seconds.
    pub task_duration: Duration,
}

impl Default for MockOptions {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            control: None,
            release: Release::V9_2,
            delay_401: false,
            common_names: Vec::new(),
            local_node: None,
            keep_alive_requests: 100,
            idle_limit: Duration::from_secs(5),
            workers: 3,
            agent_limit: Duration::from_secs(8),
            task_duration: Duration::from_secs(1),
        }
    }
}

/// Reads and changes the estate while the mock runs. Cheap to clone; mocks can share one.
#[derive(Clone)]
pub struct WorldHandle(Arc<RwLock<World>>);

impl WorldHandle {
    /// Wraps an estate.
    pub fn new(world: World) -> Self {
        // A plain lock: handlers hold it while they build an answer and never across an await.
        Self(Arc::new(RwLock::new(world)))
    }

    /// Changes the estate; requests see all of the change or nothing.
    pub fn change<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        change(&mut self.0.write().unwrap_or_else(PoisonError::into_inner))
    }

    /// Looks at the estate.
    pub fn read<T>(&self, read: impl FnOnce(&World) -> T) -> T {
        read(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What all requests of one mock share.
struct Shared {
    options: MockOptions,
    world: WorldHandle,
    faults: FaultsHandle,
    tickets: auth::Tickets,
    clock: Clock,
    log: recorder::RequestLog,
    described: routes::described::Described,
    workers: tokio::sync::Semaphore,
    turns: std::sync::atomic::AtomicU64,
}

/// A running mock. It stops when dropped; [`MockProxmox::stop`] also waits for its connections.
pub struct MockProxmox {
    shared: Arc<Shared>,
    address: SocketAddr,
    control_address: Option<SocketAddr>,
    authority: tls::Authority,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl MockProxmox {
    /// Starts a mock over `world`.
    ///
    /// # Errors
    ///
    /// Where a port cannot be opened or the certificate cannot be made.
    pub async fn start(options: MockOptions, world: World) -> std::io::Result<Self> {
        Self::start_on(options, WorldHandle::new(world)).await
    }

    /// Starts a mock over an estate that other mocks serve too, each as another node.
    ///
    /// # Errors
    ///
    /// Where a port cannot be opened or the certificate cannot be made.
    pub async fn start_on(options: MockOptions, world: WorldHandle) -> std::io::Result<Self> {
        let local = world.read(|world| routes::local_node(&options, world));
        let mut names = vec![local.clone(), format!("{local}.lab.example")];
        names.extend(options.common_names.iter().cloned());
        let authority = tls::Authority::new(names)?;
        let tickets = auth::Tickets::new()?;
        let shared = Arc::new_cyclic(|shared| Shared {
            faults: FaultsHandle::new(world.clone(), shared.clone()),
            workers: tokio::sync::Semaphore::new(options.workers.max(1)),
            clock: Clock::default(),
            log: recorder::RequestLog::default(),
            described: routes::described::Described::default(),
            turns: std::sync::atomic::AtomicU64::new(0),
            tickets,
            world,
            options,
        });
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let running = server::Running {
            shared: Arc::clone(&shared),
            stop: stop.clone(),
            tasks: tasks.clone(),
        };
        let address = running.serve(authority.acceptor()?).await?;
        let control_address = match shared.options.control {
            Some(listen) => Some(running.serve_control(listen, address, authority.ca_pem()).await?),
            None => None,
        };
        let mock = Self {
            shared,
            address,
            control_address,
            authority,
            stop,
            tasks,
        };
        mock.tell_fingerprint();
        Ok(mock)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where its control port listens.
    pub fn control_address(&self) -> Option<SocketAddr> {
        self.control_address
    }

    /// SHA-256 of its certificate, upper-case hex pairs joined by colons.
    pub fn fingerprint(&self) -> &str {
        self.authority.fingerprint()
    }

    /// The certificate of its CA.
    pub fn ca_pem(&self) -> &str {
        self.authority.ca_pem()
    }

    /// Serves a new certificate of the same CA from the next connection on.
    ///
    /// # Errors
    ///
    /// Where the certificate cannot be made.
    pub fn rotate_leaf(&mut self) -> std::io::Result<()> {
        self.authority.rotate()?;
        self.tell_fingerprint();
        Ok(())
    }

    /// The estate, to read and change it.
    pub fn world(&self) -> WorldHandle {
        self.shared.world.clone()
    }

    /// The switches for misbehaviour.
    pub fn faults(&self) -> FaultsHandle {
        self.shared.faults.clone()
    }

    /// The clock by which tickets age and tasks end.
    pub fn clock(&self) -> Clock {
        self.shared.clock.clone()
    }

    /// The requests answered so far, in the order of their answers; the oldest are forgotten after 200,000.
    pub fn requests(&self) -> Vec<Recorded> {
        self.shared.log.all()
    }

    /// Forgets the requests answered so far, and the peak of [`MockProxmox::peak_in_flight`].
    pub fn clear_requests(&self) {
        self.shared.log.clear();
    }

    /// The largest number of requests that were open at the same time.
    pub fn peak_in_flight(&self) -> usize {
        self.shared.log.peak()
    }

    /// How many requests are open now: their heads are read, their answers not begun. To wait for one, or for its end.
    pub fn open_requests(&self) -> watch::Receiver<usize> {
        self.shared.log.watch()
    }

    /// Stops listening, ends every connection and waits for them.
    pub async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn tell_fingerprint(&self) {
        self.shared.world.change(|world| {
            let local = routes::local_node(&self.shared.options, world);
            if let Some(node) = world.node(&local) {
                self.authority.fingerprint().clone_into(&mut node.ssl_fingerprint);
            }
        });
    }
}

impl Drop for MockProxmox {
    fn drop(&mut self) {
        self.stop.cancel();
        self.tasks.close();
    }
}

#[cfg(test)]
mod tests;
