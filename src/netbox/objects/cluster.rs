//! Clusters, and the plugin's sync-state row beside each.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::Object;
use super::shape::{Nested, Tagged, id, put, put_id, put_tags, slugs};
use crate::reconcile::{Fields, ObjectId, Resource, Stored};

/// A cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cluster {
    /// Its name, which several clusters may share: it is found by its id, through the plugin's tracking row.
    pub name: Option<String>,
    /// Its cluster type.
    pub cluster_type: Option<ObjectId>,
    /// What `scope` is: `dcim.site`.
    pub scope_type: Option<String>,
    /// The site, or whatever `scope_type` says.
    pub scope_id: Option<ObjectId>,
    /// Its tenant.
    pub tenant: Option<ObjectId>,
    /// At most 200 characters.
    pub description: Option<String>,
    /// Slugs of its tags.
    pub tags: BTreeSet<String>,
}

impl Cluster {
    /// The site that the cluster is scoped to.
    pub fn site(&self) -> Option<ObjectId> {
        self.scope_id
            .filter(|_| self.scope_type.as_deref() == Some("dcim.site"))
    }

    /// The location that the cluster is scoped to, where all its devices then have to be.
    pub fn location(&self) -> Option<ObjectId> {
        self.scope_id
            .filter(|_| self.scope_type.as_deref() == Some("dcim.location"))
    }
}

impl Resource for Cluster {
    const PATH: &'static str = "/api/virtualization/clusters/";
    const KIND: &'static str = "cluster";
    /// NetBox looks at names within a group only, and ours are in none.
    const IS_UNIQUE: bool = false;
    type Key = String;

    fn key(&self) -> String {
        self.name.clone().unwrap_or_default()
    }

    fn fields(&self) -> Fields {
        let mut fields = Fields::new();
        put(&mut fields, "name", self.name.clone());
        put_id(&mut fields, "type", self.cluster_type);
        put(&mut fields, "scope_type", self.scope_type.clone());
        put_id(&mut fields, "scope_id", self.scope_id);
        put_id(&mut fields, "tenant", self.tenant);
        put(&mut fields, "description", self.description.clone());
        put_tags(&mut fields, &self.tags);
        fields
    }
}

/// A row as NetBox answers it.
#[derive(Debug, Deserialize)]
pub struct ClusterRead {
    id: ObjectId,
    name: String,
    #[serde(rename = "type")]
    cluster_type: Option<Nested>,
    scope_type: Option<String>,
    scope_id: Option<ObjectId>,
    tenant: Option<Nested>,
    description: String,
    tags: Vec<Tagged>,
}

impl From<ClusterRead> for Stored<Cluster> {
    fn from(row: ClusterRead) -> Self {
        let object = Cluster {
            name: Some(row.name),
            cluster_type: id(row.cluster_type),
            scope_type: row.scope_type,
            scope_id: row.scope_id,
            tenant: id(row.tenant),
            description: Some(row.description),
            tags: slugs(row.tags),
        };
        Self { id: row.id, object }
    }
}

impl Object for Cluster {
    type Read = ClusterRead;
    const MODEL: &'static str = "virtualization.cluster";
    const IS_LOOKED_UP: bool = true;
    const READ_FIELDS: &'static [&'static str] = &[
        "id",
        "name",
        "type",
        "scope_type",
        "scope_id",
        "tenant",
        "description",
        "tags",
    ];
}

/// The sync-state row of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterState {
    /// The cluster that the row belongs to.
    pub cluster: ObjectId,
    /// The cluster's name in Proxmox.
    pub cluster_name: Option<String>,
    /// When the row was last written, ISO 8601 in UTC.
    pub last_updated: Option<String>,
}

impl Resource for ClusterState {
    const PATH: &'static str = "/api/plugins/proxbox/sync-state/clusters/";
    const KIND: &'static str = "cluster sync state";
    type Key = ObjectId;

    fn key(&self) -> ObjectId {
        self.cluster
    }

    fn fields(&self) -> Fields {
        let mut fields = Fields::from([("cluster", self.cluster.0.into())]);
        put(&mut fields, "proxmox_cluster_name", self.cluster_name.clone());
        put(&mut fields, "proxmox_last_updated", self.last_updated.clone());
        fields
    }
}

/// A row as the plugin answers it.
#[derive(Debug, Deserialize)]
pub struct ClusterStateRead {
    id: ObjectId,
    cluster: Nested,
    proxmox_cluster_name: String,
    proxmox_last_updated: Option<String>,
}

impl From<ClusterStateRead> for Stored<ClusterState> {
    fn from(row: ClusterStateRead) -> Self {
        let object = ClusterState {
            cluster: row.cluster.id,
            cluster_name: Some(row.proxmox_cluster_name),
            last_updated: row.proxmox_last_updated,
        };
        Self { id: row.id, object }
    }
}

impl Object for ClusterState {
    type Read = ClusterStateRead;
    const MODEL: &'static str = "netbox_proxbox.proxboxclustersyncstate";
    const READ_FIELDS: &'static [&'static str] = &["id", "cluster", "proxmox_cluster_name", "proxmox_last_updated"];
}
