//! What Proxmox answers, typed as far as it matters downstream; unknown keys pass.

mod access;
mod backup_job;
mod ceph;
mod cluster;
mod cpu_model;
mod guest;
mod guest_status;
mod ha;
mod host;
mod interface;
mod membership;
mod metric;
mod network_rules;
mod nic;
mod node;
mod node_interface;
mod options;
mod pool;
mod replication;
mod sdn;
mod sdn_state;
mod snapshot;
mod storage;
mod storage_state;
mod system;
mod task;
mod token;
mod upid;
mod version;
mod volume;

pub use access::{Capabilities, Permissions};
pub use backup_job::BackupJob;
pub use ceph::CephStatus;
pub use cluster::{ClusterResource, ClusterStatus, ResourceKind};
pub use cpu_model::CpuModel;
pub use guest::{GuestConfig, GuestKind, LxcConfig, QemuConfig, Vmid};
pub use guest_status::{GuestStatus, MigrationPreflight};
pub use ha::{HaGroup, HaManager, HaManagerStatus, HaQuorum, HaResource, HaRule, HaStatus};
pub use host::{Certificate, Disk, NodeConfig, Service, ZfsDevice, ZfsPool, ZfsPoolDetail};
pub(super) use interface::host_name;
pub use interface::{GuestAddress, GuestInterface};
pub use membership::{JoinInformation, JoinNode};
pub use metric::Metric;
pub use network_rules::{FirewallName, FirewallOptions, FirewallRule};
pub use nic::{Nic, canonical_mac};
pub use node::NodeRow;
pub use node_interface::NodeInterface;
pub use options::ClusterOptions;
pub use pool::Pool;
pub use replication::ReplicationJob;
pub use sdn::{
    SdnController, SdnFabric, SdnPrefix, SdnPrefixList, SdnRouteMapEntry, SdnSubnet, SdnVnet, SdnZone, Verbatim,
    evpn_zones,
};
pub use sdn_state::{SdnNodeKind, SdnNodeRow, SdnState};
pub use snapshot::Snapshot;
pub use storage::StorageConfig;
pub use storage_state::{StorageIdentity, StorageState};
pub use system::GuestOs;
pub use task::Task;
pub use token::ApiToken;
pub use upid::{Upid, UpidError};
pub use version::Version;
pub use volume::{Verification, Volume};
