//! An in-memory NetBox with the plugin netbox-proxbox, served over HTTP on the loopback address.
//!
//! [`Standin`] takes what NetBox takes and refuses what NetBox refuses, in NetBox's words: it reads the same schema, keeps
//! the same uniqueness, follows the same relations, and undoes a request of which one row is refused. Tests, the demo and
//! benchmarks write to it in place of a real one.
//!
//! Rooms: `schema` and `collections` say what there is, `world` holds it, `validate` and `rules` judge a write, `filter`,
//! `order` and `list` answer a read, `render` shows a row, `server` owns sockets and tasks. A filter that NetBox has and the
//! stand-in lacks is answered with 501, never ignored.
//!
//! Known differences: a branch is listed but has no rows of its own, no `q=`, no background jobs, no user management; names sort by a close likeness of
//! NetBox's collation; counts of related rows are kept only where a relation says them.

mod access;
mod collections;
mod computed;
mod datum;
mod delete;
mod faults;
mod field;
mod filter;
mod fit;
mod list;
mod order;
mod permissions;
mod recorder;
mod refusal;
mod related;
mod render;
mod routes;
mod rules;
mod schema;
mod seeds;
mod server;
mod special;
mod special_filters;
mod state;
mod table;
mod text;
mod validate;
mod world;
mod write;

use std::io;
use std::sync::{Arc, PoisonError, RwLock};

use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::access::{Account, Action, Right};
pub use self::faults::{Fault, FaultRule, FaultsHandle};
pub use self::recorder::Request;

use self::render::Selection;
use self::schema::Schema;
use self::world::World;

/// The token of the first account unless the options say otherwise.
pub const TOKEN: &str = "0123456789abcdef0123456789abcdef01234567";

/// The NetBox whose manners the stand-in has. The schema is that of 4.7.3 for all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Release {
    /// 4.5.8: refuses lists by position, has no cursor, no `add_tags`, no virtual machine types.
    V4_5,
    /// 4.6.2: refuses lists by position, inline MAC addresses are read-only.
    V4_6,
    /// 4.7.3.
    V4_7,
}

impl Release {
    /// The full version.
    pub const fn version(self) -> &'static str {
        match self {
            Self::V4_5 => "4.5.8",
            Self::V4_6 => "4.6.2",
            Self::V4_7 => "4.7.3",
        }
    }

    const fn api(self) -> &'static str {
        match self {
            Self::V4_5 => "4.5",
            Self::V4_6 => "4.6",
            Self::V4_7 => "4.7",
        }
    }

    const fn names_refused_rows(self) -> bool {
        matches!(self, Self::V4_7)
    }

    const fn writes_inline_macs(self) -> bool {
        matches!(self, Self::V4_7)
    }

    const fn merges_tags(self) -> bool {
        matches!(self, Self::V4_6 | Self::V4_7)
    }

    const fn has_cursor(self) -> bool {
        matches!(self, Self::V4_6 | Self::V4_7)
    }

    const fn has_machine_types(self) -> bool {
        matches!(self, Self::V4_6 | Self::V4_7)
    }
}

/// How a stand-in is run.
#[derive(Debug, Clone)]
pub struct StandinOptions {
    /// The port on 127.0.0.1; 0 takes a free one.
    pub port: u16,
    /// Which release it shows.
    pub release: Release,
    /// Who may sign in; [`Standin::token`] is the first one's.
    pub accounts: Vec<Account>,
    /// The version of the plugin that it shows.
    pub plugin: String,
    /// Whether the plugin has the action by which an endpoint claims a cluster.
    pub has_cluster_action: bool,
    /// Whether it has the plugin netbox-bgp too.
    pub has_bgp: bool,
    /// The schema id of the one branch that is there and ready; `None` without the plugin netbox-branching.
    pub branch: Option<String>,
}

impl Default for StandinOptions {
    fn default() -> Self {
        Self {
            port: 0,
            release: Release::V4_7,
            accounts: vec![Account::superuser(TOKEN)],
            plugin: "0.0.29.post6".to_owned(),
            has_cluster_action: false,
            has_bgp: false,
            branch: None,
        }
    }
}

/// NetBox's answer to a row that an operator could not have written either.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("NetBox would refuse this with {status}: {body}")]
pub struct Refused {
    /// The status it would answer.
    pub status: u16,
    /// The body it would answer.
    pub body: Value,
}

/// What all requests of one stand-in share.
#[derive(Debug)]
struct Shared {
    options: StandinOptions,
    base_url: String,
    // A plain lock: handlers hold it while they build an answer and never across an await.
    world: RwLock<World>,
    faults: FaultsHandle,
    log: recorder::RequestLog,
}

impl Shared {
    fn read<T>(&self, read: impl FnOnce(&World) -> T) -> T {
        read(&self.world.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn change<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        change(&mut self.world.write().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether the release has the collection.
    fn serves(&self, collection: usize) -> bool {
        let rules = self.read(|world| world.schema.collection(collection).map(|collection| collection.rules));
        rules.is_none_or(|rules| match rules.path {
            "virtualization/virtual-machine-types" => self.options.release.has_machine_types(),
            _ => self.options.has_bgp || !rules.is_bgp(),
        })
    }
}

/// A running stand-in. It stops when dropped; [`Standin::stop`] also waits for its connections.
#[derive(Debug)]
pub struct Standin {
    shared: Arc<Shared>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Standin {
    /// Starts a NetBox that holds what a fresh installation with the plugin holds.
    ///
    /// # Errors
    ///
    /// Where the port cannot be opened, or the embedded schema does not fit.
    pub async fn start(options: StandinOptions) -> io::Result<Self> {
        let mut world = World::new(Arc::new(Schema::load()?), options.release);
        seeds::plant(&mut world, &options.accounts)
            .map_err(|refusal| io::Error::other(format!("the schema refuses a seed: {refusal:?}")))?;
        Self::holding(world, options).await
    }

    /// Another one with the same manners that holds the same rows, and shares nothing from then on.
    ///
    /// # Errors
    ///
    /// Where no port can be opened.
    pub async fn fork(&self) -> io::Result<Self> {
        let options = StandinOptions {
            port: 0,
            ..self.shared.options.clone()
        };
        Self::holding(self.shared.read(World::clone), options).await
    }

    async fn holding(world: World, options: StandinOptions) -> io::Result<Self> {
        let (listener, address) = server::listen(options.port).await?;
        let shared = Arc::new(Shared {
            base_url: format!("http://{address}"),
            world: RwLock::new(world),
            faults: FaultsHandle::default(),
            log: recorder::RequestLog::default(),
            options,
        });
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        server::serve(listener, Arc::clone(&shared), stop.clone(), &tasks);
        Ok(Self { shared, stop, tasks })
    }

    /// `http://127.0.0.1:port`.
    pub fn base_url(&self) -> &str {
        &self.shared.base_url
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        let port = self.shared.base_url.rsplit(':').next();
        port.and_then(|port| port.parse().ok()).unwrap_or_default()
    }

    /// The credential of the first account; empty without accounts.
    pub fn token(&self) -> &str {
        self.shared
            .options
            .accounts
            .first()
            .map_or("", |account| account.token.as_str())
    }

    /// The switches for misbehaviour.
    pub fn faults(&self) -> FaultsHandle {
        self.shared.faults.clone()
    }

    /// All rows of the collection at `path` as NetBox answers them, in the order of their ids; none for an unknown path.
    pub fn rows(&self, path: &str) -> Vec<Value> {
        self.shared.read(|world| {
            let Some(collection) = world.schema.at(path) else {
                return Vec::new();
            };
            let rows = world.table(collection.id).into_iter().flat_map(|table| table.from(0));
            let found = rows.filter_map(|(id, _)| world.found(collection.id, id));
            found
                .map(|found| render::row(found, self.base_url(), &Selection::default()))
                .collect()
        })
    }

    /// How many rows the collection at `path` has.
    pub fn count(&self, path: &str) -> usize {
        self.shared.read(|world| {
            let table = world.schema.at(path).and_then(|collection| world.table(collection.id));
            table.map_or(0, table::Table::len)
        })
    }

    /// Adds a row as an operator would, without a request, and answers its id.
    ///
    /// # Errors
    ///
    /// [`Refused`] where NetBox would refuse the row.
    pub fn seed(&self, path: &str, row: &Value) -> Result<u64, Refused> {
        self.shared
            .change(|world| seeds::create(world, path, row))
            .map_err(Refused::from)
    }

    /// Changes a row as an operator would, without a request.
    ///
    /// # Errors
    ///
    /// [`Refused`] where NetBox would refuse the change.
    pub fn change(&self, path: &str, id: u64, change: &Value) -> Result<(), Refused> {
        self.shared
            .change(|world| seeds::change(world, path, id, change))
            .map_err(Refused::from)
    }

    /// Deletes a row as an operator would, without a request, with everything that goes with it.
    ///
    /// # Errors
    ///
    /// [`Refused`] where other rows protect it.
    pub fn remove(&self, path: &str, id: u64) -> Result<(), Refused> {
        self.shared
            .change(|world| seeds::remove(world, path, id))
            .map_err(Refused::from)
    }

    /// Hides a row from every request, as the constraints of a permission do: lists leave it out, its own path is a 404,
    /// and writes do not know its id. It still takes part in uniqueness.
    pub fn hide(&self, path: &str, id: u64) {
        self.shared.change(|world| {
            if let Some(collection) = world.schema.at(path).map(|collection| collection.id) {
                world.hide(collection, id);
            }
        });
    }

    /// Puts a number into a column past all rules, as a hand in the database would.
    pub fn force(&self, path: &str, id: u64, column: &str, number: i64) {
        self.shared.change(|world| {
            let place = world.schema.at(path);
            if let Some((collection, column)) = place.map(|place| (place.id, place.field_id(column))) {
                world.set(collection, id, column, datum::Datum::Int(number));
            }
        });
    }

    /// The requests so far, in the order of their answers.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.log.all()
    }

    /// The requests so far that could have changed anything.
    pub fn writes(&self) -> Vec<Request> {
        let mut requests = self.requests();
        requests.retain(Request::is_write);
        requests
    }

    /// Forgets the requests so far.
    pub fn clear_requests(&self) {
        self.shared.log.clear();
    }

    /// Everything a sync can write, by collection and natural name, without ids and NetBox's own times; links are the name
    /// of the other row. Two runs that left the same are equal here.
    pub fn state(&self) -> Value {
        self.shared.read(state::state)
    }

    /// SHA-256 of [`Standin::state`] in hex.
    pub fn fingerprint(&self) -> String {
        self.shared.read(state::fingerprint)
    }

    /// Stops listening, ends every connection and waits for them.
    pub async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Drop for Standin {
    fn drop(&mut self) {
        self.stop.cancel();
        self.tasks.close();
    }
}

impl From<refusal::Refusal> for Refused {
    fn from(refusal: refusal::Refusal) -> Self {
        let (status, body) = refusal::single(refusal);
        Self { status, body }
    }
}

#[cfg(test)]
mod tests;
