//! A Proxmox cluster as a NetBox cluster, its default site and its sync state.

use super::names::slug;
use crate::inventory;
use crate::netbox::ObjectId;
use crate::netbox::objects::{Cluster, ClusterClaim, ClusterState, PROXBOX_TAG, Site};

/// What a cluster is placed in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Placement {
    /// Its site; `None` leaves the scope alone.
    pub site: Option<ObjectId>,
    /// Its tenant; `None` leaves it alone.
    pub tenant: Option<ObjectId>,
}

/// The NetBox cluster of `cluster`.
pub fn cluster(cluster: &inventory::Cluster, cluster_type: ObjectId, placement: Placement) -> Cluster {
    Cluster {
        name: Some(cluster.name.clone()),
        cluster_type: Some(cluster_type),
        scope_type: placement.site.map(|_| "dcim.site".to_owned()),
        scope_id: placement.site,
        tenant: placement.tenant,
        description: Some(format!("Proxmox {} cluster.", cluster.mode.as_str())),
        tags: [PROXBOX_TAG.to_owned()].into(),
    }
}

/// What the plugin is asked to claim `cluster` by.
pub fn claim(cluster: &inventory::Cluster, cluster_type: ObjectId, placement: Placement) -> ClusterClaim {
    ClusterClaim {
        name: cluster.name.clone(),
        mode: cluster.mode.as_str(),
        cluster_type,
        site: placement.site,
        tenant: placement.tenant,
        cluster_id: cluster.id.clone(),
    }
}

/// The site of a cluster for which none is configured.
pub fn default_site(cluster: &inventory::Cluster) -> Site {
    let mut site = Site::new(&format!("proxmox-default-site-{}", slug(&cluster.name, "cluster")))
        .name(&format!("Proxmox Default Site - {}", cluster.name))
        .tagged();
    site.status = Some("active".to_owned());
    site
}

/// The sync state of the NetBox cluster `id`.
pub fn state(cluster: &inventory::Cluster, id: ObjectId, now: &str) -> ClusterState {
    ClusterState {
        cluster: id,
        cluster_name: Some(cluster.name.clone()),
        last_updated: Some(now.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::inventory::ClusterMode;

    #[test]
    fn claim_says_what_is_known_and_leaves_out_the_rest() {
        let mut lab = inventory::Cluster {
            name: "lab".to_owned(),
            mode: ClusterMode::Cluster,
            id: Some("cluster".to_owned()),
            nodes: Vec::new(),
            hidden: None,
        };
        let placement = Placement {
            site: Some(ObjectId(4)),
            tenant: Some(ObjectId(5)),
        };
        let placed = json!({"name": "lab", "mode": "cluster", "cluster_type": 3, "site": 4, "tenant": 5, "cluster_id": "cluster"});
        assert_eq!(json!(claim(&lab, ObjectId(3), placement)), placed);
        (lab.mode, lab.id) = (ClusterMode::Standalone, None);
        assert_eq!(
            json!(claim(&lab, ObjectId(3), Placement::default())),
            json!({"name": "lab", "mode": "standalone", "cluster_type": 3})
        );
    }
}
