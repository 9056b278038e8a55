//! What a session knows about its endpoint: release, mode, names and rights. Fetched rarely, by one, for all.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize as _;
use tokio::time::Instant;
use tracing::{info, warn};

use super::endpoint::is_fit_for_fallback;
use super::error::Error;
use super::flight::Flight;
use super::rows::{RejectedRow, Rows};
use super::session::Session;
use super::types::{Capabilities, ClusterStatus, Permissions, Version};

/// How long an answer is as good as new.
const FRESH: Duration = Duration::from_mins(1);
/// How long an old answer is served without asking, after asking failed.
const AFTER_FAILURE: Duration = Duration::from_secs(5);
/// What it takes to read `cluster/status`.
const LIMITED: &str = "Sys.Audit on / is missing: the name of the cluster is hidden";

/// One endpoint as it described itself.
#[derive(Debug, Clone)]
pub struct Metadata {
    /// The release.
    pub version: Version,
    /// Cluster, single host, or not to be told.
    pub mode: Mode,
    /// The rows of `cluster/status`. Where those are denied, one row per member that says no more than `nodes` does: its
    /// name and whether it is online.
    pub status: Vec<ClusterStatus>,
    /// Rows of it that could not be read.
    pub rejected: Vec<RejectedRow>,
    /// What the identity may see.
    pub capabilities: Capabilities,
    /// Host and port that answered.
    pub address: String,
    /// The name an earlier answer gave, for use while the mode is limited.
    pub last_known_name: Option<String>,
    /// When this was fetched.
    fetched: Instant,
}

impl Metadata {
    /// How old this is. More than a minute means that the endpoint could not be asked since.
    pub fn age(&self) -> Duration {
        self.fetched.elapsed()
    }

    /// The name of the cluster or host, or the last known one in limited mode; never an address.
    pub fn name(&self) -> Option<&str> {
        self.mode.name().or(self.last_known_name.as_deref())
    }

    /// What is wrong with each row of `cluster/status` that is a member's, or may be, and does not tell which it is. Where
    /// there is one, the members that are known may not be all.
    pub fn unclear_members(&self) -> Vec<String> {
        let rejected = self.rejected.iter().map(|row| {
            let index = || format!("number {}", row.index + 1);
            let named = row.id.clone().unwrap_or_else(index);
            format!("its row {named} cannot be read: {}", row.reason)
        });
        let nameless = self.status.iter().filter(|row| row.is_node() && row.name.is_none());
        let nameless = nameless.map(|row| {
            let named = row.id.as_deref().unwrap_or("of a node");
            format!("its row {named} has no name")
        });
        rejected.chain(nameless).collect()
    }

    /// What of it is still to be believed when it could not be asked for again.
    fn outdated(&self) -> Arc<Self> {
        Arc::new(Self {
            capabilities: Capabilities::unknown(),
            ..self.clone()
        })
    }
}

/// What kind of installation an endpoint is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mode {
    /// A cluster, be it of one node.
    Cluster {
        /// The cluster's name.
        name: String,
        /// How many nodes it has.
        nodes: u32,
        /// Whether enough of them agree to allow changes.
        quorate: bool,
    },
    /// A host outside a cluster.
    Standalone {
        /// The host's node name.
        node: String,
    },
    /// The identity may not see which.
    Limited {
        /// The missing privilege, or what else kept it hidden.
        reason: String,
        /// Whether it is a privilege that is missing; the members are known all the same.
        is_denied: bool,
    },
}

impl Mode {
    /// The word in answers: `cluster`, `standalone` or `restricted`.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Cluster { .. } => "cluster",
            Self::Standalone { .. } => "standalone",
            Self::Limited { .. } => "restricted",
        }
    }

    /// The name of the cluster or of the single node.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Cluster { name, .. } => Some(name),
            Self::Standalone { node } => Some(node),
            Self::Limited { .. } => None,
        }
    }

    /// The mode that the rows of `cluster/status` show.
    pub fn of(rows: &[ClusterStatus]) -> Self {
        let cluster = rows.iter().find(|row| row.is_cluster());
        if let Some(row) = cluster {
            let Some(name) = row.name.clone() else {
                return Self::unclear("the cluster shows no name".to_owned());
            };
            let counted = rows.iter().filter(|row| row.is_node()).count();
            return Self::Cluster {
                name,
                nodes: row.nodes.unwrap_or_else(|| u32::try_from(counted).unwrap_or(u32::MAX)),
                quorate: row.quorate.unwrap_or(false),
            };
        }
        match rows {
            [row] if row.is_node() && row.name.is_some() => Self::Standalone {
                node: row.name.clone().unwrap_or_default(),
            },
            _ => Self::unclear("cluster/status names neither a cluster nor a single node".to_owned()),
        }
    }

    const fn unclear(reason: String) -> Self {
        Self::Limited {
            reason,
            is_denied: false,
        }
    }
}

/// The cached answer of one session.
#[derive(Debug)]
pub(super) struct MetadataCell {
    flight: Flight<Arc<Metadata>>,
    /// A plain lock: held for copies.
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    metadata: Option<Arc<Metadata>>,
    failed: Option<Instant>,
}

impl Default for MetadataCell {
    fn default() -> Self {
        Self {
            flight: Flight::new(),
            known: Mutex::new(Known::default()),
        }
    }
}

impl MetadataCell {
    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn last(&self) -> Option<Arc<Metadata>> {
        self.lock().metadata.clone()
    }

    /// What can be served without asking: fresh, or old while asking has just failed.
    fn servable(&self) -> Option<Arc<Metadata>> {
        let known = self.lock();
        let metadata = known.metadata.as_ref()?;
        let has_just_failed = known.failed.is_some_and(|when| when.elapsed() < AFTER_FAILURE);
        if metadata.age() < FRESH {
            Some(Arc::clone(metadata))
        } else {
            has_just_failed.then(|| metadata.outdated())
        }
    }

    /// Keeps a new answer; an endpoint that is not to be believed any more loses the old one.
    fn keep(&self, outcome: &Result<Arc<Metadata>, Error>) {
        let mut known = self.lock();
        match outcome {
            Ok(metadata) => {
                known.metadata = Some(Arc::clone(metadata));
                known.failed = None;
            }
            Err(error) if error.is_transient() => known.failed = Some(Instant::now()),
            Err(_) => known.failed = None,
        }
    }
}

impl Session {
    /// Release, mode, names and rights of the endpoint; at most a minute old, unless the endpoint cannot be asked:
    /// then the last answer is served, with its [`Metadata::age`] and without its rights, which may be others by now.
    ///
    /// # Errors
    ///
    /// The [`Error`] of asking, where it does not pass by itself or there is no earlier answer.
    pub async fn metadata(&self) -> Result<Arc<Metadata>, Error> {
        let cell = &self.inner.metadata;
        if let Some(metadata) = cell.servable() {
            return Ok(metadata);
        }
        match self.refresh().await {
            Err(error) if error.is_transient() => {
                let old = cell.last().ok_or(error)?;
                warn!(endpoint.id = %self.endpoint().key, age_s = old.age().as_secs(), "serving old Proxmox metadata");
                Ok(old.outdated())
            }
            other => other,
        }
    }

    /// As [`Session::metadata`], but always asks; callers at the same time share one answer.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of asking for the version; a refused `cluster/status` is no error but [`Mode::Limited`].
    pub async fn refresh(&self) -> Result<Arc<Metadata>, Error> {
        let cell = &self.inner.metadata;
        let fetch = || async {
            let outcome = self.ask_metadata(cell.last().as_deref()).await.map(Arc::new);
            cell.keep(&outcome);
            outcome
        };
        cell.flight.join(fetch).await
    }

    async fn ask_metadata(&self, earlier: Option<&Metadata>) -> Result<Metadata, Error> {
        let place = self.version();
        let (answer, status, permissions) = tokio::join!(place.get(), self.cluster_status(), self.permissions());
        let answer = answer?;
        let address = answer.address;
        let version = Version::deserialize(answer.data).map_err(|source| Error::Decode {
            call: "GET version".to_owned(),
            source: Arc::new(source),
        })?;
        let (mode, status) = match status {
            Ok(rows) => (mode_of(&rows), rows),
            Err(Error::PermissionDenied { .. }) => (
                Mode::Limited {
                    reason: LIMITED.to_owned(),
                    is_denied: true,
                },
                self.members().await?,
            ),
            Err(error) => return Err(error),
        };
        let capabilities = capabilities(permissions)?;
        self.inner.client.learn(&other_nodes(&status.items));
        if earlier.is_some_and(|earlier| earlier.version != version) {
            info!(endpoint.id = %self.endpoint().key, version = version.version, "the Proxmox release has changed");
            self.forget_absences();
        }
        Ok(Metadata {
            last_known_name: mode
                .name()
                .or_else(|| earlier.and_then(Metadata::name))
                .map(str::to_owned),
            version,
            mode,
            status: status.items,
            rejected: status.rejected,
            capabilities,
            address,
            fetched: Instant::now(),
        })
    }

    /// The members, as any identity may see them.
    async fn members(&self) -> Result<Rows<ClusterStatus>, Error> {
        let rows = self.list_nodes().await?;
        Ok(Rows {
            items: rows.items.into_iter().map(ClusterStatus::of_node).collect(),
            rejected: rows.rejected,
            total: rows.total,
        })
    }
}

/// The mode, unless a row that could not be read may be the one that decides.
fn mode_of(rows: &Rows<ClusterStatus>) -> Mode {
    let has_cluster = rows.items.iter().any(ClusterStatus::is_cluster);
    match rows.rejected.first() {
        Some(row) if !has_cluster => Mode::unclear(format!("a row of cluster/status cannot be read: {}", row.reason)),
        Some(_) | None => Mode::of(&rows.items),
    }
}

/// The addresses of the cluster's other nodes that are up.
fn other_nodes(rows: &[ClusterStatus]) -> Vec<IpAddr> {
    let nodes = rows
        .iter()
        .filter(|row| row.is_node() && row.online == Some(true) && row.local != Some(true));
    let addresses = nodes.filter_map(|row| row.ip.as_deref()?.parse().ok());
    addresses.filter(|ip| is_fit_for_fallback(*ip)).collect()
}

/// Rights that cannot be read are not known; only a failure that passes by itself fails the whole answer.
fn capabilities(permissions: Result<Permissions, Error>) -> Result<Capabilities, Error> {
    match permissions {
        Ok(permissions) => Ok(Capabilities::of(permissions)),
        Err(error) if error.is_transient() => Err(error),
        Err(_) => Ok(Capabilities::unknown()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn rows(rows: Value) -> Vec<ClusterStatus> {
        serde_json::from_value(rows).unwrap()
    }

    #[test]
    fn mode_follows_the_rows_of_the_cluster_status() {
        let table = [
            (
                json!([{"type": "node", "name": "pve", "local": 1}]),
                "standalone",
                Some("pve"),
            ),
            (
                json!([{"type": "node", "name": "a"}, {"type": "cluster", "name": "lab", "nodes": "1", "quorate": 1}]),
                "cluster",
                Some("lab"),
            ),
            (json!([]), "restricted", None),
            (
                json!([{"type": "node", "name": "a"}, {"type": "node", "name": "b"}]),
                "restricted",
                None,
            ),
            (json!([{"type": "cluster"}]), "restricted", None),
        ];
        for (status, word, name) in table {
            let mode = Mode::of(&rows(status.clone()));
            assert_eq!((mode.as_str(), mode.name()), (word, name), "{status}");
        }
    }

    #[test]
    fn unreadable_row_is_not_taken_for_an_absent_one() {
        let odd = json!({"type": "cluster", "name": ["lab"]});
        let node = json!({"type": "node", "name": "a"});
        assert_eq!(mode_of(&Rows::decode(vec![node.clone(), odd])).as_str(), "restricted");
        let cluster = json!({"type": "cluster", "name": "lab"});
        assert_eq!(
            mode_of(&Rows::decode(vec![node, cluster, json!(1)])).as_str(),
            "cluster"
        );
    }

    #[test]
    fn other_nodes_are_those_that_are_up_and_have_an_address_to_dial() {
        let found = other_nodes(&rows(json!([
            {"type": "cluster", "name": "lab"},
            {"type": "node", "name": "a", "ip": "10.0.0.1", "online": 1, "local": 1},
            {"type": "node", "name": "b", "ip": "10.0.0.2", "online": 1, "local": 0},
            {"type": "node", "name": "c", "ip": "10.0.0.3", "online": 0, "local": 0},
            {"type": "node", "name": "d", "ip": "127.0.0.1", "online": 1, "local": 0},
            {"type": "node", "name": "e", "online": 1, "local": 0},
        ])));
        assert_eq!(found, ["10.0.0.2".parse::<IpAddr>().unwrap()]);
    }

    #[test]
    fn cluster_counts_its_nodes_where_it_does_not_say_how_many() {
        let mode = Mode::of(&rows(json!([
            {"type": "cluster", "name": "lab", "quorate": "0"},
            {"type": "node", "name": "a"},
            {"type": "node", "name": "b"},
        ])));
        assert_eq!(
            mode,
            Mode::Cluster {
                name: "lab".to_owned(),
                nodes: 2,
                quorate: false
            }
        );
    }
}
