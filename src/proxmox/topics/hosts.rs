//! Nodes: services, disks, certificates; and what the cluster says of itself.

use crate::proxmox::types::{Certificate, Disk, NodeConfig, Pool, Service, ZfsPool, ZfsPoolDetail};
use crate::proxmox::{Error, Rows, Session, Vmid, wire};

impl Session {
    /// `nodes/{node}/config`: the operator's settings of a node. Needs Sys.Audit on `/`.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange.
    pub async fn node_config(&self, node: &str) -> Result<NodeConfig, Error> {
        self.nodes(node).config().get_as().await
    }

    /// `nodes/{node}/services`.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange.
    pub async fn list_services(&self, node: &str) -> Result<Rows<Service>, Error> {
        self.nodes(node).child("services").get_rows().await
    }

    /// `nodes/{node}/disks/list`. Needs Sys.Audit on `/`.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange.
    pub async fn list_disks(&self, node: &str) -> Result<Rows<Disk>, Error> {
        self.nodes(node).child("disks").child("list").get_rows().await
    }

    /// `nodes/{node}/disks/zfs`: the pools. Needs Sys.Audit on `/`.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange.
    pub async fn list_zfs_pools(&self, node: &str) -> Result<Rows<ZfsPool>, Error> {
        self.nodes(node).zfs().get_rows().await
    }

    /// `nodes/{node}/disks/zfs/{name}`: one pool and what it is made of.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange.
    pub async fn zfs_pool(&self, node: &str, name: &str) -> Result<ZfsPoolDetail, Error> {
        self.nodes(node).zfs().child(name).get_as().await
    }

    /// `nodes/{node}/certificates/info`.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange.
    pub async fn list_certificates(&self, node: &str) -> Result<Rows<Certificate>, Error> {
        self.nodes(node).child("certificates").child("info").get_rows().await
    }

    /// `pools`. Rows the identity may not see are left out without a word.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange.
    pub async fn list_pools(&self) -> Result<Rows<Pool>, Error> {
        self.pools().get_rows().await
    }

    /// `cluster/nextid`: a guest number that is free; `None` where the answer names none.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange.
    pub async fn next_vmid(&self) -> Result<Option<Vmid>, Error> {
        let answer = self.cluster().next_id().get().await?;
        Ok(wire::number_of(&answer.data).ok().flatten().map(Vmid))
    }
}
