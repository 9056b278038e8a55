//! Wires the rooms together: start, serve, stop.
//!
//! A [`Service`] is complete when [`Service::start`] answers: its ports are open and its database is up to date. NetBox and
//! Proxmox are asked later, so that neither can keep it from starting. Everything that it started ends with it.

mod error;
mod listen;
mod mock;
mod runs;
mod serve;
mod signals;
mod tls;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::config::{self, Config};
use crate::http::settings::{self, Settings};
use crate::http::{self, AppState, Sisters};
use crate::proxmox::description::Catalog;
use crate::store::{Keys, Location, LockoutPolicy, Store, StoreOptions};
use crate::sync::{Registry, TEMPLATE_FORM, is_device_name_template};
use crate::{netbox, proxmox};

pub use error::Error;
pub use signals::Signals;

/// How long runs have to reach a safe point when the service goes down.
const RUNS_PATIENCE: Duration = Duration::from_secs(7);
/// How long all of the stop may take.
const STOP_PATIENCE: Duration = Duration::from_secs(9);
/// How much longer the database has to be closed: an answer that is cut off may still hold it.
const CLOSE_PATIENCE: Duration = Duration::from_millis(500);

/// What a service is started with.
#[derive(Debug, Clone)]
pub struct Start {
    /// The environment.
    pub config: Config,
    /// The time that sign-ins and keys are judged by.
    pub clock: fn() -> OffsetDateTime,
}

impl Start {
    /// A start under `config`, with the system's clock.
    pub fn new(config: Config) -> Self {
        Self {
            config,
            clock: OffsetDateTime::now_utc,
        }
    }
}

/// Judges the template by which the environment names devices, which `config` cannot.
///
/// # Errors
///
/// [`config::Invalid`], which names the variable.
pub fn check_template(config: &Config) -> Result<(), config::Invalid> {
    match config.overrides.node_device_name_template.as_deref() {
        Some(template) if !is_device_name_template(template) => Err(config::Invalid(vec![config::Problem {
            variable: "PROXBOX_NODE_DEVICE_NAME_TEMPLATE",
            problem: format!("must be {TEMPLATE_FORM}"),
            example: "{node}.{cluster_slug}",
        }])),
        _ => Ok(()),
    }
}

/// The running service. Dropping it cuts off what it is doing; [`Service::stop`] lets it finish.
#[derive(Debug)]
pub struct Service {
    addresses: Vec<SocketAddr>,
    state: AppState,
    tasks: TaskTracker,
    stop: CancellationToken,
    /// Ends the task that keeps ended runs; last, so that none is lost.
    runs_kept: DropGuard,
    _stop_on_drop: DropGuard,
}

impl Service {
    /// Opens the database, then the ports, and begins to serve.
    ///
    /// # Errors
    ///
    /// [`Error`], which says what to do.
    pub async fn start(start: Start) -> Result<Self, Error> {
        let config = Arc::new(start.config);
        check_template(&config)?;
        let acceptor = tls::acceptor(&config)?;
        let store = Store::open(store_options(&config, start.clock)).await?;
        let listeners = listen::open(&config.listen).await?;
        end_lost_writes(&store).await?;
        let (ended, runs_ended) = mpsc::unbounded_channel();
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        let substitute = if config.mock.is_on {
            Some(Arc::new(mock::start(&tasks, stop.child_token()).await?))
        } else {
            None
        };
        let state = AppState {
            substitute,
            settings: Settings::new(config.overrides.clone()),
            api: Arc::new(Catalog::new(config.api_folder.clone())),
            tasks: tasks.clone(),
            config,
            store,
            proxmox: Arc::new(proxmox::Pool::new()),
            sisters: Sisters::default(),
            netbox: Arc::new(netbox::Pool::new()),
            runs: Registry::new(Some(ended)),
            stopping: stop.child_token(),
        };
        let no_more_runs = CancellationToken::new();
        tasks.spawn(runs::keep(state.store.clone(), runs_ended, no_more_runs.clone()));
        tasks.spawn(settings::keep_fresh(state.clone(), stop.clone()));
        let server = serve::Server {
            router: http::router(state.clone()),
            acceptor,
            tasks: tasks.clone(),
            stop: stop.clone(),
        };
        let mut addresses = Vec::new();
        for (listener, address) in listeners {
            addresses.push(address);
            tasks.spawn(server.clone().accept(listener));
        }
        Ok(Self {
            addresses,
            state,
            tasks,
            runs_kept: no_more_runs.drop_guard(),
            _stop_on_drop: stop.clone().drop_guard(),
            stop,
        })
    }

    /// Where requests come in.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// What the handlers work with.
    pub fn state(&self) -> &AppState {
        &self.state
    }

    fn announce(&self) {
        info!(addresses = ?self.addresses, version = env!("CARGO_PKG_VERSION"), "listening");
    }

    /// Stops accepting, has runs stop at their next safe point, lets answers end, and closes the database; all of it
    /// within ten seconds.
    pub async fn stop(self) {
        let deadline = Instant::now() + STOP_PATIENCE;
        self.stop.cancel();
        self.state.runs.shut_down(RUNS_PATIENCE).await;
        drop(self.runs_kept);
        self.tasks.close();
        let is_quiet = tokio::time::timeout_at(deadline, self.tasks.wait()).await.is_ok();
        self.state.proxmox.close();
        self.state.sisters.close();
        let is_closed = tokio::time::timeout_at(deadline + CLOSE_PATIENCE, self.state.store.close())
            .await
            .is_ok();
        info!(is_quiet, is_closed, "stopped");
    }
}

/// Ends what the journal says is on its way to Proxmox: the process that sent it did not come to note the outcome.
async fn end_lost_writes(store: &Store) -> Result<(), Error> {
    let changes = store.end_lost_writes().await?;
    if changes > 0 {
        warn!(
            changes,
            "the service ended while changes of Proxmox were under way; see /admin/write-journal"
        );
    }
    Ok(())
}

fn store_options(config: &Config, clock: fn() -> OffsetDateTime) -> StoreOptions {
    StoreOptions {
        location: Location::File(config.database.clone()),
        keys: Keys {
            text: config.encryption.key.clone(),
            file: Some(config.encryption.key_file.clone()),
            old: config.encryption.old_keys.clone(),
        },
        allow_plaintext: config.encryption.allow_plaintext,
        max_active_keys: config.auth.max_active_keys,
        lockout: LockoutPolicy {
            threshold: config.auth.lockout_threshold,
            source_threshold: config.auth.lockout_source_threshold,
            window: config.auth.lockout_window,
            max_buckets: config.auth.lockout_max_buckets,
        },
        clock,
    }
}

/// Opens the database of `config` and brings it up to date.
///
/// # Errors
///
/// [`Error::Store`].
pub async fn open_store(config: &Config) -> Result<Store, Error> {
    Ok(Store::open(store_options(config, OffsetDateTime::now_utc)).await?)
}

/// Serves until a signal asks to stop. A second signal ends the process at once.
///
/// # Errors
///
/// [`Error`] where the service cannot start.
pub async fn run(start: Start) -> Result<(), Error> {
    let mut signals = Signals::listen()?;
    warn_of(&start.config);
    let service = Service::start(start).await?;
    service.announce();
    signals.next().await;
    tokio::select! {
        () = service.stop() => {}
        () = signals.next() => {}
    }
    Ok(())
}

/// Logs what an operator should know of `config` before anything happens.
fn warn_of(config: &Config) {
    let mut warnings = config.notices.clone();
    if config.encryption.allow_plaintext {
        warnings.push("PROXBOX_ALLOW_PLAINTEXT_CREDENTIALS is set: secrets may be stored as plain text".to_owned());
    }
    if config.mock.is_on {
        warnings.push("MOCK MODE: a built-in Proxmox stands for real ones".to_owned());
    }
    for warning in warnings {
        warn!("{warning}");
    }
}
