//! Storages and what is on them.

use secrecy::SecretString;

use super::find;
use crate::proxmox::types::{StorageConfig, StorageIdentity, StorageState, Volume};
use crate::proxmox::{Error, Rows, Session, Vmid};

/// Which volumes of a storage.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ContentFilter<'a> {
    /// Only of this kind: `images`, `iso`, `backup` and so on.
    pub content: Option<&'a str>,
    /// Only those of this guest.
    pub vmid: Option<Vmid>,
}

/// A storage on a Proxmox Backup Server.
#[derive(Debug, Clone)]
pub struct BackupServerStorage<'a> {
    /// Its name in the cluster.
    pub storage: &'a str,
    /// The server.
    pub server: &'a str,
    /// Its port.
    pub port: u16,
    /// The datastore on it.
    pub datastore: &'a str,
    /// The namespace in that.
    pub namespace: Option<&'a str>,
    /// Who signs in, such as `root@pam!token`.
    pub username: &'a str,
    /// With what.
    pub password: SecretString,
    /// The server's certificate.
    pub fingerprint: &'a str,
    /// The nodes that may use it; all where none is named.
    pub nodes: &'a [String],
}

impl Session {
    /// `storage/{storage}`: the configuration of one storage. Needs Datastore.Allocate, which [`Session::list_storages`]
    /// does not.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange.
    pub async fn storage_config(&self, storage: &str) -> Result<StorageConfig, Error> {
        self.storage().child(storage).get_as().await
    }

    /// `nodes/{node}/storage`: the storages as the node sees them, all or those that may hold `content` such as `backup`.
    /// Rows that the identity may not see are left out without a word.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange.
    pub async fn list_node_storages(&self, node: &str, content: Option<&str>) -> Result<Rows<StorageState>, Error> {
        let storages = self.nodes(node).storages();
        storages.get_rows_with(&[("content", content.into())]).await
    }

    /// `nodes/{node}/storage/{storage}/identity`; `None` where there is no such storage, or the release does not
    /// tell.
    ///
    /// # Errors
    ///
    /// Any other [`Error`] of the exchange.
    pub async fn find_storage_identity(&self, node: &str, storage: &str) -> Result<Option<StorageIdentity>, Error> {
        find(self.nodes(node).storage(storage).identity()).await
    }

    /// `nodes/{node}/storage/{storage}/content`. Rows that the identity may not see are left out without a word.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange.
    pub async fn list_content(
        &self,
        node: &str,
        storage: &str,
        filter: ContentFilter<'_>,
    ) -> Result<Rows<Volume>, Error> {
        let parameters = [("content", filter.content.into()), ("vmid", filter.vmid.into())];
        let content = self.nodes(node).storage(storage).content();
        content.get_rows_with(&parameters).await
    }

    /// `POST storage`: makes the backups of a server a storage of the cluster; nothing is ever removed through it.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange; none of them repeats the password.
    pub async fn create_backup_server_storage(&self, storage: &BackupServerStorage<'_>) -> Result<(), Error> {
        let nodes = (!storage.nodes.is_empty()).then(|| storage.nodes.join(","));
        let parameters = [
            ("storage", storage.storage.into()),
            ("type", "pbs".into()),
            ("content", "backup".into()),
            ("prune-backups", "keep-all=1".into()),
            ("server", storage.server.into()),
            ("port", u32::from(storage.port).into()),
            ("datastore", storage.datastore.into()),
            ("namespace", storage.namespace.into()),
            ("username", storage.username.into()),
            ("password", storage.password.clone().into()),
            ("fingerprint", storage.fingerprint.into()),
            ("nodes", nodes.into()),
        ];
        self.storage().post(&parameters).await.map(drop)
    }
}
