//! The cluster's site, the cluster itself, the plugin's link to it, and its sync state.

use super::{Desired, Facts, Flag, Pass, Selection};
use crate::mapping::bootstrap::DISCOVERED_CLUSTER_TAG;
use crate::mapping::cluster as mapping;
use crate::netbox::objects::{Cluster, ClusterClaim, ClusterState, ClusterType, Site, Tag, TrackingCluster};
use crate::reconcile::{Mode, ObjectId, Policy, Row, Stored, Wanted};

/// The site of a cluster for which none is configured and which has none of its own.
#[derive(Debug)]
pub struct DefaultSite;
/// The NetBox cluster.
#[derive(Debug)]
pub struct Clusters;
/// The plugin's link from its tracked cluster to the NetBox cluster.
#[derive(Debug)]
pub struct ClusterLinks;
/// The cluster's sync state.
#[derive(Debug)]
pub struct ClusterStates;

/// The NetBox cluster as it was read, where it exists.
fn stored(facts: &Facts) -> Option<&Stored<Cluster>> {
    let id = facts.target.cluster?;
    facts.known.clusters.iter().find(|stored| stored.id == id)
}

/// The default site's id, once its pass has run.
fn default_site(facts: &Facts) -> Option<ObjectId> {
    facts.ids.find::<Site>(&mapping::default_site(&facts.cluster).slug)
}

/// Whether the cluster's nodes need the default site. In a cluster that is scoped to a location it would be refused.
fn needs_default_site(facts: &Facts) -> bool {
    let is_placed = |stored: &Stored<Cluster>| stored.object.site().or(stored.object.location()).is_some();
    facts.known.site.is_none() && !stored(facts).is_some_and(is_placed)
}

/// The site that the cluster is scoped to.
pub fn scope_site(facts: &Facts) -> Option<ObjectId> {
    stored(facts).and_then(|stored| stored.object.site())
}

/// The site of the cluster's devices: the one that the cluster is scoped to, else the configured or the default one. Where
/// the cluster is scoped to a location that alone tells which devices are its.
pub fn device_site(facts: &Facts) -> Option<ObjectId> {
    let settled = || facts.known.site.or_else(|| default_site(facts));
    match scope_location(facts) {
        Some(_) => None,
        None => scope_site(facts).or_else(settled),
    }
}

/// The location of which alone NetBox takes devices into the cluster.
pub fn scope_location(facts: &Facts) -> Option<ObjectId> {
    stored(facts).and_then(|stored| stored.object.location())
}

/// The cluster as it is going to be, where a dry run is not going to write it.
pub fn planned(facts: &Facts) -> Vec<Stored<Cluster>> {
    let mut rows = facts.known.clusters.clone();
    let own = rows.iter_mut().find(|stored| Some(stored.id) == facts.target.cluster);
    if let Some((stored, site)) = own.zip(placement(facts).site) {
        stored.object.scope_type = Some("dcim.site".to_owned());
        stored.object.scope_id = Some(site);
    }
    rows
}

/// Where the cluster goes: what the endpoint names, else the default site where the cluster has no scope yet.
fn placement(facts: &Facts) -> mapping::Placement {
    let has_scope = stored(facts).is_some_and(|stored| stored.object.scope_id.is_some());
    let site = facts.known.site.or_else(|| default_site(facts).filter(|_| !has_scope));
    mapping::Placement {
        site: site.filter(|_| !facts.known.keeps_scope),
        tenant: facts.known.tenant,
    }
}

/// What the plugin is asked to claim the cluster by; `None` where its type could not be had.
pub fn claim(facts: &Facts) -> Option<ClusterClaim> {
    let cluster_type = facts.ids.find::<ClusterType>(facts.cluster.mode.as_str())?;
    Some(mapping::claim(&facts.cluster, cluster_type, placement(facts)))
}

impl Pass for DefaultSite {
    type Object = Site;

    fn scope(facts: &Facts) -> Vec<Selection> {
        let slug = needs_default_site(facts).then(|| mapping::default_site(&facts.cluster).slug);
        slug.map(|slug| Selection::with("slug", &slug)).into_iter().collect()
    }

    fn are_new(facts: &Facts) -> bool {
        facts.known.is_first_run
    }

    fn desired(facts: &Facts) -> Desired<Site> {
        Desired::by_key(needs_default_site(facts).then(|| mapping::default_site(&facts.cluster)))
    }

    fn scope_again(facts: &Facts) -> Vec<Selection> {
        let name = needs_default_site(facts).then(|| mapping::default_site(&facts.cluster).name);
        let by_name = name.flatten().map(|name| Selection::with("name__ie", &name));
        Self::scope(facts).into_iter().chain(by_name).collect()
    }

    /// A site that exists keeps the name and status that it has, and one of that name its slug.
    fn settle(_: &Facts, mut desired: Desired<Site>, actual: &[Stored<Site>]) -> Desired<Site> {
        for wanted in &mut desired.wanted {
            let same = actual.iter().find(|stored| stored.object.slug == wanted.object.slug);
            if let Some(stored) = same.or_else(|| actual.first()) {
                wanted.row = Row::Is(stored.id);
                wanted.object = Site::new(&wanted.object.slug).tagged();
            }
        }
        desired
    }

    /// Nothing needs it where neither the cluster nor its nodes may be written.
    fn policy(facts: &Facts) -> Policy {
        let modes = facts.options.modes;
        let mode = match (modes.cluster, modes.effective_node()) {
            (Mode::Disabled, Mode::Disabled) => Mode::Disabled,
            _ => Mode::Always,
        };
        Policy::with_mode(mode).update_if("slug", false)
    }
}

impl Pass for Clusters {
    type Object = Cluster;

    fn scope(facts: &Facts) -> Vec<Selection> {
        let by_id = facts.target.cluster.map(|id| Selection::with("id", &id));
        vec![by_id.unwrap_or_else(|| Selection::with("name", &facts.cluster.name))]
    }

    fn at_hand(facts: &Facts) -> Option<Vec<Stored<Cluster>>> {
        Some(facts.known.clusters.clone())
    }

    fn desired(facts: &Facts) -> Desired<Cluster> {
        let mut desired = Desired::default();
        let Some(cluster_type) = facts.ids.find::<ClusterType>(facts.cluster.mode.as_str()) else {
            desired.refuse(&facts.cluster.name, "its cluster type could not be had");
            return desired;
        };
        let mut object = mapping::cluster(&facts.cluster, cluster_type, placement(facts));
        let row = facts.target.cluster.map_or(Row::New, Row::Is);
        let is_new = row == Row::New || facts.known.is_new_cluster;
        if is_new && facts.ids.find::<Tag>(DISCOVERED_CLUSTER_TAG).is_some() {
            object.tags.insert(DISCOVERED_CLUSTER_TAG.to_owned());
        }
        desired.wanted.push(Wanted { object, row });
        desired
    }

    /// After a lost answer the cluster that is there now is the one.
    fn settle(facts: &Facts, mut desired: Desired<Cluster>, actual: &[Stored<Cluster>]) -> Desired<Cluster> {
        let known = |id| facts.known.clusters.iter().any(|stored| stored.id == id);
        for wanted in &mut desired.wanted {
            let arrived = actual
                .iter()
                .find(|stored| !known(stored.id) && stored.object.name == wanted.object.name);
            if let (Row::New, Some(stored)) = (wanted.row, arrived) {
                wanted.row = Row::Is(stored.id);
            }
        }
        desired
    }

    /// The link is the identity, so a name that an operator gave stays. A cluster that the plugin has made for this run
    /// is completed like one that the run makes itself. A mode that is only assumed changes nothing.
    fn policy(facts: &Facts) -> Policy {
        if facts.known.is_new_cluster {
            return Policy::default();
        }
        let overwrite = &facts.options.overwrite;
        let knows_mode = facts.cluster.hidden.is_none();
        Policy::with_mode(facts.options.modes.cluster)
            .update_if("name", false)
            .update_if("type", knows_mode)
            .update_if("description", knows_mode && overwrite.allows(Flag::ClusterDescription))
            .update_if("tags", overwrite.allows(Flag::ClusterTags))
    }
}

impl Pass for ClusterLinks {
    type Object = TrackingCluster;

    fn scope(facts: &Facts) -> Vec<Selection> {
        facts
            .target
            .plugin_endpoint
            .map(|endpoint| Selection::with("endpoint", &endpoint))
            .into_iter()
            .collect()
    }

    fn at_hand(facts: &Facts) -> Option<Vec<Stored<TrackingCluster>>> {
        Some(facts.known.tracking.clone())
    }

    fn desired(facts: &Facts) -> Desired<TrackingCluster> {
        let mut desired = Desired::default();
        let target = facts.target;
        if let (Some(endpoint), Some(row), Some(cluster)) = (target.plugin_endpoint, target.tracking, target.cluster) {
            let object = TrackingCluster {
                endpoint,
                name: facts.cluster.name.clone(),
                netbox_cluster: Some(cluster),
            };
            desired.wanted.push(Wanted {
                object,
                row: Row::Is(row),
            });
        }
        desired
    }

    fn policy(facts: &Facts) -> Policy {
        Policy::with_mode(match facts.options.modes.cluster {
            Mode::Disabled => Mode::Disabled,
            Mode::Always | Mode::BootstrapOnly => Mode::Always,
        })
    }
}

impl Pass for ClusterStates {
    type Object = ClusterState;

    fn scope(facts: &Facts) -> Vec<Selection> {
        facts
            .target
            .cluster
            .map(|cluster| Selection::with("cluster_id", &cluster).below::<Cluster>([cluster]))
            .into_iter()
            .collect()
    }

    fn desired(facts: &Facts) -> Desired<ClusterState> {
        Desired::by_key(
            facts
                .target
                .cluster
                .map(|id| mapping::state(&facts.cluster, id, &facts.now)),
        )
    }

    fn policy(facts: &Facts) -> Policy {
        let may_write = facts.options.overwrite.allows(Flag::ClusterCustomFields);
        let mode = if may_write {
            facts.options.modes.cluster
        } else {
            Mode::Disabled
        };
        Policy::with_mode(mode).rider("proxmox_last_updated", facts.options.stamps_overdue_before.clone())
    }
}
