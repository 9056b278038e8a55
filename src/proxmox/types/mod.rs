//! What Proxmox answers, typed as far as it matters downstream; unknown keys pass.

mod access;
mod cluster;
mod guest;
mod node;
mod options;
mod snapshot;
mod storage;
mod system;
mod task;
mod version;
mod volume;

pub use access::{Capabilities, Permissions};
pub use cluster::{ClusterResource, ClusterStatus, ResourceKind};
pub use guest::{GuestConfig, GuestKind, LxcConfig, QemuConfig, Vmid};
pub use node::NodeRow;
pub use options::ClusterOptions;
pub use snapshot::Snapshot;
pub use storage::StorageConfig;
pub use system::GuestOs;
pub use task::Task;
pub use version::Version;
pub use volume::{Verification, Volume};
