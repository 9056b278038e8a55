//! Finding, placing and writing the NetBox cluster of an endpoint.

use serde_json::Value;

use crate::error::ErrorKind;
use crate::netbox::ids::Ids;
use crate::netbox::objects::{
    ClaimedCluster, Cluster, ClusterState, Device, DeviceState, Object, PluginEndpoint, Site, Tenant, TrackingCluster,
};
use crate::netbox::{self, Query};
use crate::reconcile::{Mode, ObjectId, Stored};
use crate::stages::claim::{self, Ambiguity, Claim};
use crate::stages::clusters::{self, ClusterLinks, ClusterStates, Clusters, DefaultSite};
use crate::stages::devices::state_selection;
use crate::stages::{Lookup, Pass as _, Selection, Stage};
use crate::sync::error::Error;
use crate::sync::memo::KnownTarget;
use crate::sync::pass::EndpointRun;
use crate::sync::report::{Failure, Outcome};

impl EndpointRun<'_> {
    /// Reads what the plugin and NetBox know of the cluster, and tells which NetBox cluster it is.
    pub(in crate::sync) async fn find_cluster(&mut self) -> Result<Claim, Error> {
        if let Some(known) = self.place().target() {
            self.facts.target = known.target;
            self.facts.known.plugin_endpoints = known.plugin_endpoints;
            self.facts.known.tracking = known.tracking;
            self.facts.known.clusters = known.clusters;
            return Ok(self.facts.target.cluster.map_or(Claim::Create, Claim::Adopt));
        }
        self.needs.view(PluginEndpoint::MODEL);
        let query = Query::new();
        let endpoints = async { Ok(self.netbox.list(PluginEndpoint::PATH, &query).await?) };
        let tracking = self.list::<TrackingCluster>(vec![Selection::all()]);
        (self.facts.known.plugin_endpoints, self.facts.known.tracking) = tokio::try_join!(endpoints, tracking)?;
        let endpoint = claim::plugin_endpoint(&self.facts.endpoint, &self.facts.known.plugin_endpoints)?;
        self.facts.target.plugin_endpoint = Some(endpoint);
        let name = self.facts.cluster.name.clone();
        let row = claim::tracking_row(&name, endpoint, &self.facts.known.tracking)?;
        let linked = row.and_then(|row| row.object.netbox_cluster);
        self.facts.target.tracking = row.map(|row| row.id);
        let selection = linked.map_or_else(|| Selection::with("name", &name), |id| Selection::with("id", &id));
        self.facts.known.clusters = self.list::<Cluster>(vec![selection]).await?;
        let claim = claim::decide(&self.facts, endpoint)?;
        if let (None, Claim::Adopt(cluster)) = (self.facts.target.tracking, claim) {
            let states = self.list::<DeviceState>(vec![state_selection(&self.facts)]).await?;
            let disputed = claim::disputed_selection(&self.facts, &states);
            let devices = self.list::<Device>(vec![disputed]).await?;
            claim::refuse_foreign(&self.facts, cluster, &states, &devices)?;
        }
        self.facts.target.cluster = match claim {
            Claim::Adopt(cluster) => Some(cluster),
            Claim::Create => None,
        };
        self.keep_target();
        Ok(claim)
    }

    /// Calls a cluster whose name Proxmox has never told what the plugin calls it, where the plugin knows it.
    pub(in crate::sync) async fn recall_cluster_name(&mut self) -> Result<(), Error> {
        let endpoints = self.netbox.list(PluginEndpoint::PATH, &Query::new()).await?;
        let endpoint = claim::plugin_endpoint(&self.facts.endpoint, &endpoints)?;
        let tracking = self.list::<TrackingCluster>(vec![Selection::all()]).await?;
        if let Some(name) = claim::tracked_name(endpoint, &tracking)? {
            self.facts.cluster.name = name;
        }
        Ok(())
    }

    /// Finds the plugin's endpoint, and the cluster where one can be told. Rows of an endpoint's own can do without: a second
    /// endpoint of one cluster has its own of them, although the cluster itself is the first one's.
    pub(super) async fn find_endpoint(&mut self) -> Result<(), Error> {
        match self.find_cluster().await {
            Err(Error::Ambiguity(ambiguity)) if self.facts.target.plugin_endpoint.is_some() => {
                if let Ambiguity::Shared { cluster } = ambiguity {
                    self.facts.target.cluster = Some(cluster);
                }
                self.warnings.push(ambiguity.to_string().into());
                Ok(())
            }
            found => found.map(drop),
        }
    }

    /// Finds the cluster where an earlier stage has put it.
    pub(super) async fn get_cluster(&mut self) -> Result<ObjectId, Error> {
        let claim = self.find_cluster().await?;
        match claim {
            Claim::Adopt(cluster) => Ok(cluster),
            Claim::Create => Err(Error::NoCluster {
                name: self.facts.cluster.name.clone(),
            }),
        }
    }

    /// Whether a dry run has planned the cluster and no more, so that nothing which hangs on it can be found; that is told. A
    /// full update leaves out endpoints whose cluster could not be planned.
    pub(super) async fn is_cluster_planned(&mut self) -> Result<bool, Error> {
        let comes_later = self.memo.is_of_one_run || self.stage == Stage::VirtualMachines;
        if !self.is_dry_run || !comes_later || self.find_cluster().await? != Claim::Create {
            return Ok(false);
        }
        let text = format!(
            "the cluster {:?} is not in NetBox yet: what hangs on it can be planned once it stands",
            self.facts.cluster.name
        );
        if !self.warnings.iter().any(|warning| warning.message == text) {
            self.warnings.push(text.into());
        }
        Ok(true)
    }

    /// Lets the next stages know which rows stand for the cluster, once there is one. What a dry run has only planned, no other
    /// run may take for done.
    fn keep_target(&self) {
        let is_there = |cluster| !Ids::is_provisional(cluster);
        let is_pretence = self.is_dry_run && !self.memo.is_of_one_run;
        if self.facts.target.cluster.is_some_and(is_there) && !is_pretence {
            self.place().keep_target(KnownTarget {
                target: self.facts.target,
                plugin_endpoints: self.facts.known.plugin_endpoints.clone(),
                tracking: self.facts.known.tracking.clone(),
                clusters: self.facts.known.clusters.clone(),
            });
        }
    }

    /// Resolves the site and the tenant that the endpoint's settings name.
    async fn find_placement(&mut self) -> Result<(), Error> {
        let (site, tenant) = (self.facts.endpoint.site.clone(), self.facts.endpoint.tenant.clone());
        self.facts.known.site = self.look_up::<Site>("site", &site).await?;
        self.facts.known.tenant = self.look_up::<Tenant>("tenant", &tenant).await?;
        Ok(())
    }

    async fn look_up<R: Object>(&self, kind: &'static str, lookup: &Lookup) -> Result<Option<ObjectId>, Error> {
        if lookup.is_empty() {
            return Ok(None);
        }
        let by = [
            lookup.id.map(|id| ("id", id.to_string())),
            lookup.slug.clone().map(|slug| ("slug", slug)),
            lookup.name.clone().map(|name| ("name", name)),
        ];
        for (name, value) in by.into_iter().flatten() {
            let rows = self.list::<R>(vec![Selection::with(name, &value)]).await?;
            if let Some(found) = only_one(kind, (name, &value), &rows)? {
                return Ok(Some(found));
            }
        }
        Err(Error::Placement {
            kind,
            wanted: lookup.to_string(),
        })
    }

    /// Makes the cluster, and what it needs, be as they should. Where its name does not tell which it is, the plugin is asked
    /// to claim it, if it can.
    pub(in crate::sync) async fn ensure_cluster(&mut self) -> Result<(), Error> {
        self.bootstrap().await?;
        match self.find_cluster().await {
            Err(Error::Ambiguity(ambiguity)) if ambiguity.is_of_name() => {
                self.find_placement().await?;
                if !self.claim_by_action().await? {
                    return Err(ambiguity.into());
                }
            }
            found => {
                found?;
                self.find_placement().await?;
            }
        }
        self.write_cluster().await
    }

    /// Finds the cluster. Where its name does not tell which it is, it is claimed as a run for everything claims it.
    pub(in crate::sync) async fn find_or_claim_cluster(&mut self) -> Result<Claim, Error> {
        match self.find_cluster().await {
            Err(Error::Ambiguity(ambiguity)) if ambiguity.is_of_name() && !self.is_dry_run => {
                // Boxed: it is rare, and large.
                Box::pin(self.ensure_cluster()).await?;
                Ok(self.facts.target.cluster.map_or(Claim::Create, Claim::Adopt))
            }
            found => found,
        }
    }

    /// Makes or updates the NetBox cluster, links it in the plugin's row, and writes its sync state.
    async fn write_cluster(&mut self) -> Result<(), Error> {
        let outcome = self.pass::<DefaultSite>().await?;
        self.warn("devices", &outcome);
        let is_claimed = !self.is_cluster_linked() && self.claim_by_action().await?;
        let read = Clusters::scope(&self.facts);
        let outcome = self.pass_over_cluster().await?;
        self.facts.known.is_new_cluster = false;
        self.warn("devices", &outcome);
        let written = outcome.standing().next().map(|row| row.id);
        self.facts.target.cluster = self.facts.target.cluster.or(written);
        let Some(cluster) = self.facts.target.cluster else {
            return Err(match (outcome.failed.first(), self.facts.options.modes.cluster) {
                (None, Mode::Disabled) => Error::NoCluster {
                    name: self.facts.cluster.name.clone(),
                },
                (failure, _) => self.no_cluster(failure),
            });
        };
        if outcome.created.len() + outcome.updated.len() > 0 {
            self.refresh_clusters(cluster, &read).await?;
        }
        if !is_claimed {
            self.link_cluster(cluster).await?;
        }
        let states = self.pass::<ClusterStates>().await;
        let outcome = self.or_without::<ClusterState, _>(states)?;
        self.warn("devices", &outcome);
        self.keep_target();
        Ok(())
    }

    /// Makes or updates the NetBox cluster. One whose scope NetBox refuses, because its devices are elsewhere, gets the rest
    /// all the same.
    async fn pass_over_cluster(&mut self) -> Result<Outcome, Error> {
        let outcome = self.pass::<Clusters>().await?;
        let is_of_scope = |failure: &Failure| failure.message.split("; ").any(|part| part.starts_with("scope"));
        if self.facts.target.cluster.is_none() || !outcome.failed.iter().any(is_of_scope) {
            return Ok(outcome);
        }
        self.warn("devices", &outcome);
        self.facts.known.keeps_scope = true;
        self.pass::<Clusters>().await
    }

    fn no_cluster(&self, failure: Option<&Failure>) -> Error {
        Error::Prerequisite {
            what: format!("cluster {}", self.facts.cluster.name),
            kind: failure.map_or(ErrorKind::Unknown, |failure| failure.kind),
            message: failure.map_or_else(
                || "NetBox named no cluster".to_owned(),
                |failure| failure.message.clone(),
            ),
        }
    }

    /// After a write the cluster is taken as NetBox has answered it, where it was `read` before, else read again: its site
    /// decides where the devices go.
    async fn refresh_clusters(&mut self, cluster: ObjectId, read: &[Selection]) -> Result<(), Error> {
        if self.is_dry_run {
            self.facts.known.clusters = clusters::planned(&self.facts);
        } else {
            let kept = self.place().shelf(|shelf| shelf.find::<Cluster>(read));
            self.facts.known.clusters = match kept.filter(|rows| rows.iter().any(|stored| stored.id == cluster)) {
                Some(rows) => rows,
                None => self.list(vec![Selection::with("id", &cluster)]).await?,
            };
        }
        Ok(())
    }

    async fn link_cluster(&mut self, cluster: ObjectId) -> Result<(), Error> {
        let outcome = self.pass::<ClusterLinks>().await?;
        self.warn("devices", &outcome);
        let Some(endpoint) = self.facts.target.plugin_endpoint else {
            return Ok(());
        };
        if outcome.updated.is_empty() || self.is_dry_run {
            return Ok(());
        }
        if let [_] = self.facts.known.plugin_endpoints.as_slice() {
            self.take_for_linked(&outcome, cluster);
            return Ok(());
        }
        // Another endpoint may have come in between.
        self.facts.known.tracking = self.list::<TrackingCluster>(vec![Selection::all()]).await?;
        Ok(claim::verify(endpoint, cluster, &self.facts.known.tracking)?)
    }

    /// Knows of the rows that were `linked` without reading them again.
    fn take_for_linked(&mut self, linked: &Outcome, cluster: ObjectId) {
        for stored in &mut self.facts.known.tracking {
            if linked.updated.iter().any(|row| row.id == stored.id) {
                stored.object.netbox_cluster = Some(cluster);
            }
        }
    }

    /// Whether the plugin's row of the cluster links a NetBox cluster.
    fn is_cluster_linked(&self) -> bool {
        let row = self.facts.target.tracking;
        let mut rows = self.facts.known.tracking.iter();
        rows.any(|stored| Some(stored.id) == row && stored.object.netbox_cluster.is_some())
    }

    /// Lets the plugin claim the cluster where it offers that; says whether it did.
    async fn claim_by_action(&mut self) -> Result<bool, Error> {
        let Some(endpoint) = self.facts.target.plugin_endpoint.filter(|_| !self.is_dry_run) else {
            return Ok(false);
        };
        if self.facts.options.modes.cluster == Mode::Disabled {
            return Ok(false);
        }
        let path = format!("{}{endpoint}/sync-cluster/", PluginEndpoint::PATH);
        if let Err(netbox::Error::NoRoute { .. }) = self.netbox.get::<Value>(&path).await {
            return Ok(false);
        }
        let Some(wanted) = clusters::claim(&self.facts) else {
            return Ok(false);
        };
        let claimed: ClaimedCluster = self.netbox.post(&path, &wanted).await?;
        let cluster = claimed.cluster().ok_or_else(|| self.no_cluster(None))?;
        self.facts.target.tracking = Some(claimed.proxmox_cluster);
        self.facts.target.cluster = Some(cluster);
        self.facts.known.is_new_cluster = claimed.created;
        let cluster = vec![Selection::with("id", &cluster)];
        let (cluster, tracking) = (
            self.list::<Cluster>(cluster),
            self.list::<TrackingCluster>(vec![Selection::all()]),
        );
        (self.facts.known.clusters, self.facts.known.tracking) = tokio::try_join!(cluster, tracking)?;
        Ok(true)
    }
}

/// The row that a setting names; rows of two groups may be called alike.
fn only_one<R>(kind: &'static str, (name, value): (&str, &str), rows: &[Stored<R>]) -> Result<Option<ObjectId>, Error> {
    match rows {
        [] => Ok(None),
        [row] => Ok(Some(row.id)),
        several => Err(Error::AmbiguousPlacement {
            kind,
            wanted: format!("{name} {value:?}"),
            rows: several.len(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenant_whose_name_two_rows_have_is_refused() {
        let row = |id: u64| Stored {
            id: ObjectId(id),
            object: Tenant::new("sales"),
        };
        let found = |rows: &[Stored<Tenant>]| only_one("tenant", ("name", "Sales"), rows);
        assert_eq!(found(&[]).unwrap(), None);
        assert_eq!(found(&[row(7)]).unwrap(), Some(ObjectId(7)));
        let error = found(&[row(7), row(8)]).unwrap_err();
        assert_eq!(
            (error.kind(), error.reason()),
            (ErrorKind::Validation, "placement_ambiguous")
        );
        assert!(
            error
                .to_string()
                .contains(r#"(name "Sales") may be any of 2 in NetBox"#),
            "{error}"
        );
    }
}
