//! The read side: Proxmox VE in its own words.
//!
//! A [`Session`] is one long-lived client of one [`Endpoint`]; a [`Pool`] keeps the sessions of all. A session proves who
//! it is ([`Credential`]), judges certificates ([`TlsPolicy`]), chooses the address, queues calls per node, repeats what
//! may be repeated, and tells failures apart ([`Error`]). Places in the API are reached by path or by name:
//!
//! ```no_run
//! # use proxbox_api::proxmox::{Error, Session, Vmid};
//! # async fn read(session: Session) -> Result<(), Error> {
//! let by_name = session.nodes("pve1").qemu(Vmid(100)).config().get().await?;
//! let by_path = session.path("nodes/pve1/qemu/100/config")?.get().await?;
//! # Ok(()) }
//! ```
//!
//! Answers come in many forms; `wire` and `property` know them all, `types` says what they mean, and [`Rows`] keeps one
//! odd row from costing the list.

mod breaker;
mod classify;
mod client;
pub mod credential;
pub mod description;
pub mod endpoint;
pub mod error;
mod fault;
mod flight;
mod gate;
pub mod influx;
mod line;
mod login;
pub mod metadata;
pub mod mock;
mod navigate;
pub mod pool;
pub mod property;
mod reads;
mod recent;
pub mod relay;
pub mod resource;
pub mod rows;
pub mod session;
pub mod tls;
pub mod topics;
pub mod types;
mod verdict;
pub mod viewer;
pub mod wait;
pub mod wire;

pub use credential::{Credential, CredentialError};
pub use endpoint::{Endpoint, Scheme};
pub use error::{Error, Refusal};
pub use metadata::{Metadata, Mode};
pub use navigate::Param;
pub use pool::Pool;
pub use property::{Property, indexed};
pub use resource::{Access, Cluster, Guest, Node, NodeStorage, Resource};
pub use rows::{RejectedRow, Rows};
pub use session::{Answer, Session};
pub use tls::{Fingerprint, FingerprintError, TlsPolicy};
pub use topics::{
    BackupOptions, BackupServerJob, BackupServerStorage, CloneOptions, ContentFilter, FirewallOf, GuestPlace,
    HaCommand, MetricFilter, Power, SdnOnNode, TaskFilter, WhileDisarmed,
};
pub use types::{
    Capabilities, ClusterResource, ClusterStatus, GuestAddress, GuestConfig, GuestInterface, GuestKind, LxcConfig, Nic,
    NodeRow, Permissions, QemuConfig, ResourceKind, Snapshot, StorageConfig, Task, Verification, Version, Vmid, Volume,
    canonical_mac,
};
pub use wait::{TaskEnd, TaskProgress, TaskStatus, Wait};

#[cfg(test)]
mod tests;
