//! Places in the API: reached by path or by name, read and written with the same four verbs.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use secrecy::SecretString;
use serde::de::{DeserializeOwned, Error as _};
use serde_json::Value;

use super::client::Call;
use super::error::Error;
use super::navigate::{Param, Path, form};
use super::rows::Rows;
use super::session::{Answer, Session};
use super::types::{GuestKind, Vmid};

/// One place in the API of one endpoint. A wrong segment on the way here is the error of the first verb.
#[derive(Debug, Clone)]
pub struct Resource {
    session: Session,
    path: Result<Path, Error>,
    within: Option<Duration>,
}

impl Resource {
    pub(super) fn new(session: &Session, path: Result<Path, Error>) -> Self {
        Self {
            session: session.clone(),
            path,
            within: None,
        }
    }

    /// The place named `segment` below this one; a slash in it is part of the name.
    #[must_use]
    pub fn child(&self, segment: &str) -> Self {
        let path = self
            .path
            .as_ref()
            .map_err(Clone::clone)
            .and_then(|path| path.child(segment));
        Self {
            session: self.session.clone(),
            path,
            within: self.within,
        }
    }

    /// The same place with `limit` for each exchange, in place of the usual one of its class.
    #[must_use]
    pub fn within(mut self, limit: Duration) -> Self {
        self.within = Some(limit);
        self
    }

    pub(super) const fn session(&self) -> &Session {
        &self.session
    }

    /// The path below `/api2/json`, as a person reads it; `None` where a segment was refused.
    pub fn plain_path(&self) -> Option<&str> {
        self.path.as_ref().ok().map(|path| path.plain.as_str())
    }

    /// Reads this place.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange.
    pub async fn get(&self) -> Result<Answer, Error> {
        self.get_with(&[]).await
    }

    /// Reads this place with `parameters` in the query.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange.
    pub async fn get_with(&self, parameters: &[(&str, Param)]) -> Result<Answer, Error> {
        self.send(Method::GET, parameters).await
    }

    /// Reads one object.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange; [`Error::Decode`] where the object is not a `T`.
    pub async fn get_as<T: DeserializeOwned>(&self) -> Result<T, Error> {
        let answer = self.get().await?;
        T::deserialize(answer.data).map_err(|source| self.undecodable(source))
    }

    /// Reads a list, row by row; `null` is an empty list.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange; [`Error::Decode`] where the answer is no list. Odd rows are no error.
    pub async fn get_rows<T: DeserializeOwned>(&self) -> Result<Rows<T>, Error> {
        self.get_rows_with(&[]).await
    }

    /// As [`Resource::get_rows`], with `parameters` in the query.
    ///
    /// # Errors
    ///
    /// As [`Resource::get_rows`].
    pub async fn get_rows_with<T: DeserializeOwned>(&self, parameters: &[(&str, Param)]) -> Result<Rows<T>, Error> {
        let answer = self.get_with(parameters).await?;
        let rows = match answer.data {
            Value::Array(rows) => rows,
            Value::Null => Vec::new(),
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
                return Err(self.undecodable(serde_json::Error::custom("the answer is no list")));
            }
        };
        Ok(Rows {
            total: answer.total,
            ..Rows::decode(rows)
        })
    }

    /// Reads the list that stands at `key` of the answer, with `parameters` in the query.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange; [`Error::Decode`] where there is no list.
    pub async fn get_list_at(&self, key: &str, parameters: &[(&str, Param)]) -> Result<Vec<Value>, Error> {
        let mut answer = self.get_with(parameters).await?;
        match answer.data.get_mut(key).map(Value::take) {
            Some(Value::Array(rows)) => Ok(rows),
            _ => Err(self.undecodable(serde_json::Error::custom(format!("the answer holds no list `{key}`")))),
        }
    }

    /// Creates or starts something here, with `parameters` in a form body.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange. After [`Error::Timeout`], [`Error::Lost`] and [`Error::NodeTimeout`] the outcome
    /// is not known.
    pub async fn post(&self, parameters: &[(&str, Param)]) -> Result<Answer, Error> {
        self.send(Method::POST, parameters).await
    }

    /// Changes this place, with `parameters` in a form body.
    ///
    /// # Errors
    ///
    /// As [`Resource::post`].
    pub async fn put(&self, parameters: &[(&str, Param)]) -> Result<Answer, Error> {
        self.send(Method::PUT, parameters).await
    }

    /// Deletes this place, with `parameters` in the query.
    ///
    /// # Errors
    ///
    /// As [`Resource::post`].
    pub async fn delete(&self, parameters: &[(&str, Param)]) -> Result<Answer, Error> {
        self.send(Method::DELETE, parameters).await
    }

    async fn send(&self, method: Method, parameters: &[(&str, Param)]) -> Result<Answer, Error> {
        let call = self.call(method, form(parameters))?;
        self.session.call(&call).await
    }

    /// The call of `method` here, with encoded `parameters`.
    pub(super) fn call(&self, method: Method, parameters: SecretString) -> Result<Call, Error> {
        Ok(Call {
            method,
            path: self.path.clone()?,
            parameters,
            within: self.within,
        })
    }

    pub(super) fn undecodable(&self, source: serde_json::Error) -> Error {
        Error::Decode {
            call: format!("GET {}", self.plain_path().unwrap_or_default()),
            source: Arc::new(source),
        }
    }
}

impl Session {
    /// The place at `path`, such as `cluster/status`; each segment is checked and percent-encoded.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidPath`] for empty segments, `.`, `..`, control characters and endless paths.
    pub fn path(&self, path: &str) -> Result<Resource, Error> {
        Ok(Resource::new(self, Ok(Path::parse(path)?)))
    }

    fn root(&self, name: &str) -> Resource {
        Resource::new(self, Path::parse(name))
    }

    /// `version`.
    pub fn version(&self) -> Resource {
        self.root("version")
    }

    /// `nodes/{node}`.
    pub fn nodes(&self, node: &str) -> Node {
        Node(self.root("nodes").child(node))
    }

    /// `cluster`.
    pub fn cluster(&self) -> Cluster {
        Cluster(self.root("cluster"))
    }

    /// `storage`: the configuration of storages; one of them is its [`Resource::child`].
    pub fn storage(&self) -> Resource {
        self.root("storage")
    }

    /// `access`.
    pub fn access(&self) -> Access {
        Access(self.root("access"))
    }

    /// `pools`.
    pub fn pools(&self) -> Resource {
        self.root("pools")
    }
}

/// Gives a named place the verbs of the place it is.
macro_rules! place {
    ($(#[$doc:meta])* $name:ident { $($(#[$method_doc:meta])* $method:ident => $($segment:literal)/+;)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone)]
        pub struct $name(Resource);

        impl Deref for $name {
            type Target = Resource;

            fn deref(&self) -> &Resource {
                &self.0
            }
        }

        impl $name {
            $($(#[$method_doc])*
            pub fn $method(&self) -> Resource {
                self.0$(.child($segment))+
            })*
        }
    };
}

place! {
    /// `cluster`.
    Cluster {
        /// `cluster/status`.
        status => "status";
        /// `cluster/resources`.
        resources => "resources";
        /// `cluster/replication`.
        replication => "replication";
        /// `cluster/backup`: the backup jobs.
        backup => "backup";
        /// `cluster/options`.
        options => "options";
        /// `cluster/tasks`: the latest of all nodes.
        tasks => "tasks";
        /// `cluster/nextid`.
        next_id => "nextid";
        /// `cluster/firewall`.
        firewall => "firewall";
        /// `cluster/ha`.
        ha => "ha";
        /// `cluster/sdn`.
        sdn => "sdn";
        /// `cluster/ceph/status`.
        ceph_status => "ceph" / "status";
        /// `cluster/config/join`.
        join_information => "config" / "join";
    }
}

place! {
    /// `access`.
    Access {
        /// `access/permissions`.
        permissions => "permissions";
        /// `access/users`.
        users => "users";
        /// `access/domains`.
        domains => "domains";
    }
}

place! {
    /// `nodes/{node}`.
    Node {
        /// `…/status`.
        status => "status";
        /// `…/config`.
        config => "config";
        /// `…/network`.
        network => "network";
        /// `…/storage`: the storages' state on this node.
        storages => "storage";
        /// `…/tasks`.
        tasks => "tasks";
        /// `…/firewall`.
        firewall => "firewall";
        /// `…/qemu`: the virtual machines.
        list_qemu => "qemu";
        /// `…/lxc`: the containers.
        list_lxc => "lxc";
        /// `…/replication`.
        replication => "replication";
        /// `…/disks/zfs`.
        zfs => "disks" / "zfs";
        /// `…/vzdump`.
        vzdump => "vzdump";
    }
}

place! {
    /// `nodes/{node}/{kind}/{vmid}`.
    Guest {
        /// `…/config`; pending values unless `current` is sent.
        config => "config";
        /// `…/status/current`.
        status => "status" / "current";
        /// `…/snapshot`.
        snapshots => "snapshot";
        /// `…/firewall`.
        firewall => "firewall";
        /// `…/migrate`.
        migrate => "migrate";
        /// `…/interfaces`, of containers.
        interfaces => "interfaces";
    }
}

place! {
    /// `nodes/{node}/storage/{storage}`.
    NodeStorage {
        /// `…/content`.
        content => "content";
        /// `…/status`.
        status => "status";
        /// `…/identity`.
        identity => "identity";
    }
}

impl Node {
    /// The virtual machine `vmid`.
    pub fn qemu(&self, vmid: Vmid) -> Guest {
        self.guest(GuestKind::Qemu, vmid)
    }

    /// The container `vmid`.
    pub fn lxc(&self, vmid: Vmid) -> Guest {
        self.guest(GuestKind::Lxc, vmid)
    }

    /// The guest `vmid` of `kind`.
    pub fn guest(&self, kind: GuestKind, vmid: Vmid) -> Guest {
        Guest(self.0.child(kind.as_str()).child(&vmid.to_string()))
    }

    /// The storage `storage` as this node sees it.
    pub fn storage(&self, storage: &str) -> NodeStorage {
        NodeStorage(self.0.child("storage").child(storage))
    }

    /// The task `upid`.
    pub fn task(&self, upid: &str) -> Resource {
        self.tasks().child(upid)
    }
}

impl Guest {
    /// `…/agent/{command}`, of virtual machines; the outcome is in `result`.
    pub fn agent(&self, command: &str) -> Resource {
        self.0.child("agent").child(command)
    }

    /// `…/status/{verb}`: start, stop, shutdown, reboot and so on.
    pub fn power(&self, verb: &str) -> Resource {
        self.0.child("status").child(verb)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::endpoint;
    use super::*;

    fn session() -> Session {
        Session::new(endpoint(Some("pve.example"), None)).unwrap()
    }

    #[test]
    fn both_calling_conventions_name_the_same_place() {
        let session = session();
        let node = session.nodes("pve1");
        let table = [
            (node.qemu(Vmid(100)).config(), "nodes/pve1/qemu/100/config"),
            (node.lxc(Vmid(101)).interfaces(), "nodes/pve1/lxc/101/interfaces"),
            (
                node.qemu(Vmid(100)).agent("network-get-interfaces"),
                "nodes/pve1/qemu/100/agent/network-get-interfaces",
            ),
            (node.storage("local").content(), "nodes/pve1/storage/local/content"),
            (node.task("UPID:a:b:"), "nodes/pve1/tasks/UPID:a:b:"),
            (node.zfs(), "nodes/pve1/disks/zfs"),
            (session.cluster().status(), "cluster/status"),
            (session.cluster().join_information(), "cluster/config/join"),
            (session.cluster().ceph_status(), "cluster/ceph/status"),
            (session.access().permissions(), "access/permissions"),
            (session.storage().child("nfs"), "storage/nfs"),
            (session.version(), "version"),
        ];
        for (place, path) in table {
            assert_eq!(place.path.unwrap(), session.path(path).unwrap().path.unwrap(), "{path}");
        }
    }

    #[tokio::test]
    async fn bad_segment_is_the_error_of_the_verb() {
        let error = session().nodes("..").qemu(Vmid(100)).config().get().await.unwrap_err();
        assert_eq!(error.reason(), "proxmox_invalid_path");
        assert!(session().path("nodes/../access").is_err());
    }
}
