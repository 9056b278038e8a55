//! What Proxmox answers, typed as far as it matters downstream; unknown keys pass.

mod access;
mod cluster;
mod guest;
mod guest_status;
mod ha;
mod host;
mod network_rules;
mod node;
mod options;
mod pool;
mod snapshot;
mod storage;
mod system;
mod task;
mod upid;
mod version;
mod volume;

pub use access::{Capabilities, Permissions};
pub use cluster::{ClusterResource, ClusterStatus, ResourceKind};
pub use guest::{GuestConfig, GuestKind, LxcConfig, QemuConfig, Vmid};
pub use guest_status::{GuestStatus, MigrationPreflight};
pub use ha::{HaGroup, HaResource, HaRule, HaStatus};
pub use host::{Certificate, Disk, Service, ZfsDevice, ZfsPool, ZfsPoolDetail};
pub use network_rules::{FirewallName, FirewallRule, SdnSubnet, SdnVnet, SdnZone};
pub use node::NodeRow;
pub use options::ClusterOptions;
pub use pool::Pool;
pub use snapshot::Snapshot;
pub use storage::StorageConfig;
pub use system::GuestOs;
pub use task::Task;
pub use upid::{Upid, UpidError};
pub use version::Version;
pub use volume::{Verification, Volume};
