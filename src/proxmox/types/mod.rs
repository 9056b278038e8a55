//! What Proxmox answers, typed as far as it matters downstream; unknown keys pass.

mod access;
mod backup_job;
mod cluster;
mod guest;
mod interface;
mod nic;
mod node;
mod node_interface;
mod options;
mod replication;
mod snapshot;
mod storage;
mod system;
mod task;
mod version;
mod volume;

pub use access::{Capabilities, Permissions};
pub use backup_job::BackupJob;
pub use cluster::{ClusterResource, ClusterStatus, ResourceKind};
pub use guest::{GuestConfig, GuestKind, LxcConfig, QemuConfig, Vmid};
pub(super) use interface::host_name;
pub use interface::{GuestAddress, GuestInterface};
pub use nic::{Nic, canonical_mac};
pub use node::NodeRow;
pub use node_interface::NodeInterface;
pub use options::ClusterOptions;
pub use replication::ReplicationJob;
pub use snapshot::Snapshot;
pub use storage::StorageConfig;
pub use system::GuestOs;
pub use task::Task;
pub use version::Version;
pub use volume::{Verification, Volume};
