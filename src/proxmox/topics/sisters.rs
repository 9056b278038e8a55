//! The sister products: Backup Server and Datacenter Manager. `Session::version_info` asks those too.

use serde_json::Value;

use crate::proxmox::resource::Resource;
use crate::proxmox::types::{Datastore, Namespace, RemoteResources};
use crate::proxmox::{Error, Rows, Session};

/// A kind of job of a backup server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackupServerJob {
    /// Verification of backups.
    Verify,
    /// Removal of old backups.
    Prune,
    /// Copies to or from another backup server.
    Sync,
    /// Backups to tape.
    Tape,
}

impl BackupServerJob {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Verify, Self::Prune, Self::Sync, Self::Tape];

    const fn path(self) -> &'static str {
        match self {
            Self::Verify => "verify",
            Self::Prune => "prune",
            Self::Sync => "sync",
            Self::Tape => "tape-backup-job",
        }
    }
}

impl Session {
    /// `admin/datastore` of a backup server: the datastores that the identity may see.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange.
    pub async fn list_datastores(&self) -> Result<Rows<Datastore>, Error> {
        self.path("admin/datastore")?.get_rows().await
    }

    /// `admin/datastore/{datastore}/namespace` of a backup server: its namespaces, the root among them. Before release
    /// 2.2 there is the root only.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange.
    pub async fn list_namespaces(&self, datastore: &str) -> Result<Rows<Namespace>, Error> {
        match self.datastore(datastore)?.child("namespace").get_rows().await {
            Err(Error::NotFound { .. } | Error::NotImplemented { .. }) => Ok(Rows {
                items: Vec::from([Namespace { ns: None }]),
                rejected: Vec::new(),
                total: None,
            }),
            other => other,
        }
    }

    /// `admin/datastore/{datastore}/snapshots` of a backup server: the backups in one namespace (`None`: the root), as they are sent.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange.
    pub async fn list_datastore_snapshots(
        &self,
        datastore: &str,
        namespace: Option<&str>,
    ) -> Result<Rows<Value>, Error> {
        let place = self.datastore(datastore)?.child("snapshots");
        place.get_rows_with(&[("ns", namespace.into())]).await
    }

    /// `config/verify` and its like of a backup server: its jobs of one kind, as they are sent.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange.
    pub async fn list_backup_server_jobs(&self, kind: BackupServerJob) -> Result<Rows<Value>, Error> {
        self.path("config")?.child(kind.path()).get_rows().await
    }

    /// `nodes/localhost/status` of a backup server: load, memory and file systems, as they are sent.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange.
    pub async fn backup_server_status(&self) -> Result<Value, Error> {
        self.nodes("localhost").child("status").get_as().await
    }

    /// `remotes/remote` of a datacenter manager: the clusters and backup servers that it looks after, as they are sent.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange.
    pub async fn list_remotes(&self) -> Result<Rows<Value>, Error> {
        self.path("remotes/remote")?.get_rows().await
    }

    /// `resources/list` of a datacenter manager: what each of its remotes has, or why it could not be asked.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange.
    pub async fn list_remote_resources(&self) -> Result<Rows<RemoteResources>, Error> {
        self.path("resources/list")?.get_rows().await
    }

    fn datastore(&self, name: &str) -> Result<Resource, Error> {
        Ok(self.path("admin/datastore")?.child(name))
    }
}
