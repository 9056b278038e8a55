//! The reads that every run makes, typed.

use super::error::{Error, Refusal};
use super::resource::Resource;
use std::sync::Arc;
use std::time::Duration;

use serde::de::Error as _;
use serde_json::Value;

use super::rows::Rows;
use super::session::Session;
use super::types::{
    BackupJob, ClusterOptions, ClusterResource, ClusterStatus, GuestConfig, GuestInterface, GuestKind, GuestOs,
    NodeInterface, NodeRow, Permissions, ReplicationJob, Snapshot, StorageConfig, Version, Vmid, Volume, host_name,
};

impl Session {
    /// `version`: the release of the host that answers.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange.
    pub async fn version_info(&self) -> Result<Version, Error> {
        self.version().get_as().await
    }

    /// `cluster/status`: the cluster and its nodes. Needs Sys.Audit on `/`.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange.
    pub async fn cluster_status(&self) -> Result<Rows<ClusterStatus>, Error> {
        self.cluster().status().get_rows().await
    }

    /// `cluster/resources`, all or of one `kind`: `vm` (both kinds of guest), `storage`, `node` or `sdn`. Rows the
    /// identity may not see are left out without a word.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange.
    pub async fn cluster_resources(&self, kind: Option<&str>) -> Result<Rows<ClusterResource>, Error> {
        self.cluster().resources().get_rows_with(&[("type", kind.into())]).await
    }

    /// `cluster/options`: for any identity the tag styles; the rest needs Sys.Audit on `/`.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange.
    pub async fn cluster_options(&self) -> Result<ClusterOptions, Error> {
        self.cluster().options().get_as().await
    }

    /// `nodes/{node}/qemu/{vmid}/agent/get-osinfo`: which operating system the guest's agent finds itself in, within
    /// `limit`.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange; [`Error::Decode`] where the answer is no object.
    pub async fn guest_os(&self, node: &str, vmid: Vmid, limit: Duration) -> Result<GuestOs, Error> {
        let place = self.nodes(node).qemu(vmid).agent("get-osinfo").within(limit);
        let answer = place.get().await?;
        GuestOs::decode(&answer.data).map_err(|source| Error::Decode {
            call: format!("GET {}", place.plain_path().unwrap_or_default()),
            source: Arc::new(source),
        })
    }

    /// `nodes`: one row per member, for any identity.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange.
    pub async fn list_nodes(&self) -> Result<Rows<NodeRow>, Error> {
        self.path("nodes")?.get_rows().await
    }

    /// `storage`: the whole configuration of every visible storage.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange.
    pub async fn list_storages(&self) -> Result<Rows<StorageConfig>, Error> {
        self.storage().get_rows().await
    }

    /// `nodes/{node}/{kind}/{vmid}/config`: how the guest is configured, pending changes included.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange; [`Error::Decode`] where the answer is no configuration.
    pub async fn guest_config(&self, node: &str, kind: GuestKind, vmid: Vmid) -> Result<GuestConfig, Error> {
        let place = self.nodes(node).guest(kind, vmid).config();
        let answer = place.get().await?;
        GuestConfig::decode(kind, answer.data).map_err(|source| Error::Decode {
            call: format!("GET {}", place.plain_path().unwrap_or_default()),
            source: Arc::new(source),
        })
    }

    /// `nodes/{node}/storage/{storage}/content` of kind `backup`, of all guests or of one. Rows that the identity may not
    /// see are left out without a word.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange.
    pub async fn list_backups(&self, node: &str, storage: &str, vmid: Option<Vmid>) -> Result<Rows<Volume>, Error> {
        let parameters = [("content", "backup".into()), ("vmid", vmid.into())];
        let content = self.nodes(node).storage(storage).content();
        content.get_rows_with(&parameters).await
    }

    /// `nodes/{node}/{kind}/{vmid}/snapshot`: the guest's snapshots, and a row for the guest as it is now.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange; [`Error::Decode`] where the answer holds no row at all.
    pub async fn list_snapshots(&self, node: &str, kind: GuestKind, vmid: Vmid) -> Result<Rows<Snapshot>, Error> {
        let place = self.nodes(node).guest(kind, vmid).snapshots();
        let rows = place.get_rows().await?;
        if rows.items.is_empty() && rows.rejected.is_empty() {
            return Err(place.undecodable(serde_json::Error::custom(
                "the answer holds no row, not even of the guest as it is now",
            )));
        }
        Ok(rows)
    }

    /// `nodes/{node}/network`: the node's network interfaces, all or of one `kind` such as `bridge`, for any identity.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange.
    pub async fn list_node_interfaces(&self, node: &str, kind: Option<&str>) -> Result<Rows<NodeInterface>, Error> {
        let network = self.nodes(node).network();
        network.get_rows_with(&[("type", kind.into())]).await
    }

    /// `cluster/replication`: the replication jobs of the guests that the identity may see.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange.
    pub async fn list_replications(&self) -> Result<Rows<ReplicationJob>, Error> {
        self.cluster().replication().get_rows().await
    }

    /// `cluster/backup`: the backup jobs. Needs Sys.Audit on `/`.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange.
    pub async fn list_backup_jobs(&self) -> Result<Rows<BackupJob>, Error> {
        self.cluster().backup().get_rows().await
    }

    /// `nodes/{node}/qemu/{vmid}/agent/network-get-interfaces`: the interfaces as the guest sees them, within `limit`.
    /// Needs VM.GuestAgent.Audit, up to release 8 VM.Monitor.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange; [`Error::GuestUnavailable`] where the agent does not run or refuses the question.
    pub async fn agent_interfaces(
        &self,
        node: &str,
        vmid: Vmid,
        limit: Duration,
    ) -> Result<Vec<GuestInterface>, Error> {
        let place = self.nodes(node).qemu(vmid).agent("network-get-interfaces");
        let place = place.within(limit);
        let told = place.get().await?.data;
        interfaces(&place, GuestInterface::decode(told))
    }

    /// `nodes/{node}/qemu/{vmid}/agent/get-host-name`: the name the guest gives itself, within `limit`.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange.
    pub async fn agent_host_name(&self, node: &str, vmid: Vmid, limit: Duration) -> Result<Option<String>, Error> {
        let place = self.nodes(node).qemu(vmid).agent("get-host-name").within(limit);
        Ok(host_name(&place.get().await?.data))
    }

    /// `nodes/{node}/lxc/{vmid}/interfaces`: the interfaces as a running container sees them; none of one that is
    /// stopped.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange.
    pub async fn container_interfaces(&self, node: &str, vmid: Vmid) -> Result<Vec<GuestInterface>, Error> {
        let place = self.nodes(node).lxc(vmid).interfaces();
        let told = place.get().await?.data;
        interfaces(&place, GuestInterface::decode_container(told))
    }

    /// `access/permissions`: the session's own rights, for any identity.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange; [`Error::Decode`] where the answer is no map.
    pub async fn permissions(&self) -> Result<Permissions, Error> {
        let answer = self.access().permissions().get().await?;
        match answer.data {
            Value::Object(map) => Ok(Permissions::of(&map)),
            // A map without entries is an empty list to Perl's encoder at times.
            Value::Null => Ok(Permissions::default()),
            Value::Array(rows) if rows.is_empty() => Ok(Permissions::default()),
            Value::Array(_) | Value::Bool(_) | Value::Number(_) | Value::String(_) => Err(Error::Decode {
                call: "GET access/permissions".to_owned(),
                source: Arc::new(serde_json::Error::custom("the answer is no map")),
            }),
        }
    }
}

fn interfaces(place: &Resource, told: Result<Vec<GuestInterface>, String>) -> Result<Vec<GuestInterface>, Error> {
    told.map_err(|message| Error::GuestUnavailable {
        answer: Refusal {
            call: format!("GET {}", place.plain_path().unwrap_or_default()),
            status: 200,
            message,
        },
    })
}
