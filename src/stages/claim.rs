//! Which NetBox cluster stands for a Proxmox cluster.
//!
//! The plugin keeps one tracking row per endpoint and cluster; its link to a NetBox cluster is the identity. A cluster
//! is never taken by its name alone where another endpoint's row links it, because several clusters may share a name.

use std::collections::BTreeSet;

use super::{EndpointFacts, Facts, Selection};
use crate::mapping::names::plugin_key;
use crate::netbox::objects::{Cluster, Device, DeviceState, PluginEndpoint, TrackingCluster};
use crate::reconcile::{ObjectId, Stored};

/// Why no NetBox cluster can be told to be the one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Ambiguity {
    /// No row of the plugin has the endpoint's address.
    #[error("no Proxmox endpoint of the plugin in NetBox has the address {address}")]
    NoEndpoint {
        /// Host and port.
        address: String,
    },
    /// Several rows of the plugin have the endpoint's address.
    #[error("{count} Proxmox endpoints of the plugin in NetBox have the address {address}")]
    SeveralEndpoints {
        /// Host and port.
        address: String,
        /// How many.
        count: usize,
    },
    /// The plugin's row is disabled.
    #[error("the plugin's Proxmox endpoint {id} is disabled in NetBox")]
    Disabled {
        /// The row.
        id: ObjectId,
    },
    /// The plugin tracks the cluster twice.
    #[error("the plugin tracks {count} clusters named {name:?} for this endpoint")]
    SeveralTracked {
        /// The cluster's name.
        name: String,
        /// How many.
        count: usize,
    },
    /// The plugin tracks several clusters, and Proxmox does not tell which it is.
    #[error("the plugin tracks {count} clusters for this endpoint, and Proxmox does not show which of them it is")]
    Hidden {
        /// How many.
        count: usize,
    },
    /// The linked cluster belongs to another endpoint too.
    #[error("cluster {cluster} in NetBox is linked by the tracking rows of several endpoints")]
    Shared {
        /// The cluster.
        cluster: ObjectId,
    },
    /// The link points at a cluster that cannot be read.
    #[error("cluster {cluster}, which the plugin's tracking row links, cannot be read in NetBox")]
    Missing {
        /// The cluster.
        cluster: ObjectId,
    },
    /// Several clusters have the name, and none is linked.
    #[error("NetBox has {count} clusters named {name:?} and the plugin links none of them; link the right one")]
    SeveralClusters {
        /// The cluster's name.
        name: String,
        /// How many.
        count: usize,
    },
    /// The only cluster of that name belongs to another endpoint.
    #[error("the cluster named {name:?} in NetBox belongs to another endpoint; link another one to this endpoint")]
    Taken {
        /// The cluster's name.
        name: String,
    },
}

impl Ambiguity {
    /// Whether it is but the name that does not tell which cluster it is.
    pub fn is_of_name(&self) -> bool {
        matches!(self, Self::SeveralClusters { .. } | Self::Taken { .. })
    }
}

/// What to do about the NetBox cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// It is this one.
    Adopt(ObjectId),
    /// There is none yet.
    Create,
}

/// The plugin's row of the endpoint.
///
/// # Errors
///
/// [`Ambiguity`] where no row, a disabled one, or several rows have the endpoint's address and the name's suffix does
/// not tell which.
pub fn plugin_endpoint(endpoint: &EndpointFacts, rows: &[PluginEndpoint]) -> Result<ObjectId, Ambiguity> {
    let matching: Vec<&PluginEndpoint> = rows.iter().filter(|row| has_address(row, endpoint)).collect();
    let named = plugin_key(&endpoint.name).map(ObjectId);
    let row = match (matching.iter().find(|row| Some(row.id) == named), matching.as_slice()) {
        (Some(row), _) | (None, [row]) => row,
        (None, []) => {
            return Err(Ambiguity::NoEndpoint {
                address: address(endpoint),
            });
        }
        (None, rows) => {
            return Err(Ambiguity::SeveralEndpoints {
                address: address(endpoint),
                count: rows.len(),
            });
        }
    };
    if row.enabled {
        Ok(row.id)
    } else {
        Err(Ambiguity::Disabled { id: row.id })
    }
}

fn address(endpoint: &EndpointFacts) -> String {
    let host = endpoint
        .domain
        .as_deref()
        .or(endpoint.ip_address.as_deref())
        .unwrap_or("?");
    format!("{host}:{}", endpoint.port)
}

/// Whether the plugin's row and the endpoint are reached at the same host and port.
fn has_address(row: &PluginEndpoint, endpoint: &EndpointFacts) -> bool {
    let theirs = row.domain.as_deref().filter(|domain| !domain.is_empty()).or(row.ip());
    let ours = endpoint.domain.as_deref().or(endpoint.ip_address.as_deref());
    let same_port = row.port.unwrap_or(8006) == endpoint.port;
    same_port && matches!((theirs, ours), (Some(theirs), Some(ours)) if canonical(theirs) == canonical(ours))
}

/// A host in one spelling: lower case, without a trailing dot, an IP address in its shortest form.
fn canonical(host: &str) -> String {
    let host = host
        .trim()
        .trim_end_matches('.')
        .trim_start_matches('[')
        .trim_end_matches(']')
        .to_lowercase();
    host.parse::<std::net::IpAddr>().map_or(host, |ip| ip.to_string())
}

/// The tracking row of the endpoint's cluster, where the plugin has made one.
///
/// # Errors
///
/// [`Ambiguity::SeveralTracked`].
pub fn tracking_row<'a>(
    name: &str,
    endpoint: ObjectId,
    rows: &'a [Stored<TrackingCluster>],
) -> Result<Option<&'a Stored<TrackingCluster>>, Ambiguity> {
    let mine: Vec<_> = rows
        .iter()
        .filter(|row| row.object.endpoint == endpoint && row.object.name == name)
        .collect();
    match mine.as_slice() {
        [] => Ok(None),
        [row] => Ok(Some(row)),
        rows => Err(Ambiguity::SeveralTracked {
            name: name.to_owned(),
            count: rows.len(),
        }),
    }
}

/// What the plugin calls the one cluster that it tracks for the endpoint; `None` where it tracks none.
///
/// # Errors
///
/// [`Ambiguity::Hidden`] where it tracks several.
pub fn tracked_name(endpoint: ObjectId, rows: &[Stored<TrackingCluster>]) -> Result<Option<String>, Ambiguity> {
    let mut names: Vec<&str> = rows
        .iter()
        .filter(|row| row.object.endpoint == endpoint)
        .map(|row| row.object.name.as_str())
        .collect();
    names.sort_unstable();
    names.dedup();
    match names.as_slice() {
        [] => Ok(None),
        [name] => Ok(Some((*name).to_owned())),
        names => Err(Ambiguity::Hidden { count: names.len() }),
    }
}

/// Clusters that other endpoints' rows link.
fn linked_elsewhere(endpoint: ObjectId, rows: &[Stored<TrackingCluster>]) -> BTreeSet<ObjectId> {
    let others = rows.iter().filter(|row| row.object.endpoint != endpoint);
    others.filter_map(|row| row.object.netbox_cluster).collect()
}

/// Decides which NetBox cluster stands for `facts.cluster`, from rows that were just read.
///
/// # Errors
///
/// [`Ambiguity`]: nothing may be written for the cluster.
pub fn decide(facts: &Facts, endpoint: ObjectId) -> Result<Claim, Ambiguity> {
    let name = &facts.cluster.name;
    let tracking = &facts.known.tracking;
    let elsewhere = linked_elsewhere(endpoint, tracking);
    if let Some(cluster) = tracking_row(name, endpoint, tracking)?.and_then(|row| row.object.netbox_cluster) {
        if elsewhere.contains(&cluster) {
            return Err(Ambiguity::Shared { cluster });
        }
        let is_known = facts.known.clusters.iter().any(|stored| stored.id == cluster);
        return if is_known {
            Ok(Claim::Adopt(cluster))
        } else {
            Err(Ambiguity::Missing { cluster })
        };
    }
    let named: Vec<&Stored<Cluster>> = facts
        .known
        .clusters
        .iter()
        .filter(|stored| stored.object.name.as_ref() == Some(name))
        .collect();
    let free: Vec<ObjectId> = named
        .iter()
        .map(|stored| stored.id)
        .filter(|cluster| !elsewhere.contains(cluster))
        .collect();
    match (free.as_slice(), named.len()) {
        ([cluster], _) => Ok(Claim::Adopt(*cluster)),
        ([], 0) => Ok(Claim::Create),
        ([], _) => Err(Ambiguity::Taken { name: name.clone() }),
        (several, _) => Err(Ambiguity::SeveralClusters {
            name: name.clone(),
            count: several.len(),
        }),
    }
}

/// The devices of nodes whose sync states name the cluster, where any of these states names another endpoint: where the
/// devices are tells whose the cluster is.
pub fn disputed_selection(facts: &Facts, states: &[Stored<DeviceState>]) -> Selection {
    let own = facts.endpoint.key.id.0;
    let is_foreign = |owner: i64| owner != own && !facts.known.is_gone(owner);
    let mut owners = states.iter().filter_map(|stored| stored.object.endpoint_raw_id);
    let disputed: &[_] = if owners.any(is_foreign) { states } else { &[] };
    Selection::any_of("id", disputed.iter().map(|stored| stored.object.device))
}

/// Whether `cluster` may be taken by its name alone, where no row of the plugin tells whose it is: not where the sync states of
/// its nodes name another endpoint and none names ours. A device that is not among `devices` may be in it.
///
/// # Errors
///
/// [`Ambiguity::Taken`].
pub fn refuse_foreign(
    facts: &Facts,
    cluster: ObjectId,
    states: &[Stored<DeviceState>],
    devices: &[Stored<Device>],
) -> Result<(), Ambiguity> {
    let elsewhere = devices.iter().filter(|stored| stored.object.cluster != Some(cluster));
    let elsewhere: BTreeSet<ObjectId> = elsewhere.map(|stored| stored.id).collect();
    let owners: BTreeSet<i64> = states
        .iter()
        .filter(|stored| !elsewhere.contains(&stored.object.device))
        .filter_map(|stored| stored.object.endpoint_raw_id)
        .collect();
    let own = facts.endpoint.key.id.0;
    if owners.contains(&own) || owners.iter().all(|owner| facts.known.is_gone(*owner)) {
        return Ok(());
    }
    Err(Ambiguity::Taken {
        name: facts.cluster.name.clone(),
    })
}

/// Whether after a write the endpoint's tracking row links `cluster` and no other endpoint's does.
///
/// # Errors
///
/// [`Ambiguity::Shared`] where another endpoint came in between.
pub fn verify(endpoint: ObjectId, cluster: ObjectId, tracking: &[Stored<TrackingCluster>]) -> Result<(), Ambiguity> {
    if linked_elsewhere(endpoint, tracking).contains(&cluster) {
        return Err(Ambiguity::Shared { cluster });
    }
    Ok(())
}
