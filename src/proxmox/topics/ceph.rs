//! Ceph: what its own commands tell, through a node that has them. Rows are as they are sent. All need Sys.Audit or
//! Datastore.Audit on `/`; a node without Ceph answers with [`Error::Server`].

use serde_json::Value;

use crate::proxmox::resource::Resource;
use crate::proxmox::types::{CephDaemon, CephStatus, osds_of};
use crate::proxmox::{Error, Rows, Session};

impl Session {
    /// `cluster/ceph/status`: how Ceph is.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange; of a cluster without Ceph [`Error::Server`] too.
    pub async fn ceph_status(&self) -> Result<CephStatus, Error> {
        self.cluster().ceph_status().get_as().await
    }

    /// `cluster/ceph/flags`: which flags are set, such as `noout`.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange.
    pub async fn list_ceph_flags(&self) -> Result<Rows<Value>, Error> {
        self.cluster().child("ceph").child("flags").get_rows().await
    }

    /// `nodes/{node}/ceph/mon`, `mgr` or `mds`: the daemons of a kind on all nodes.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange.
    pub async fn list_ceph_daemons(&self, node: &str, kind: CephDaemon) -> Result<Rows<Value>, Error> {
        self.ceph(node, kind.path()).get_rows().await
    }

    /// `nodes/{node}/ceph/osd`: the OSDs of all nodes.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange.
    pub async fn list_ceph_osds(&self, node: &str) -> Result<Rows<Value>, Error> {
        let mut tree = self.ceph(node, "osd").get().await?.data;
        let root = tree.get_mut("root").map(Value::take).unwrap_or_default();
        Ok(Rows::decode(osds_of(root)))
    }

    /// `nodes/{node}/ceph/pool`: the pools.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange.
    pub async fn list_ceph_pools(&self, node: &str) -> Result<Rows<Value>, Error> {
        self.ceph(node, "pool").get_rows().await
    }

    /// `nodes/{node}/ceph/fs`: the file systems.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange.
    pub async fn list_ceph_filesystems(&self, node: &str) -> Result<Rows<Value>, Error> {
        self.ceph(node, "fs").get_rows().await
    }

    /// `nodes/{node}/ceph/rules`: the CRUSH rules.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange.
    pub async fn list_ceph_rules(&self, node: &str) -> Result<Rows<Value>, Error> {
        self.ceph(node, "rules").get_rows().await
    }

    fn ceph(&self, node: &str, part: &str) -> Resource {
        self.nodes(node).child("ceph").child(part)
    }
}
