//! What Proxmox answers, typed as far as it matters downstream; unknown keys pass.

mod access;
mod cluster;
mod guest;
mod interface;
mod nic;
mod node;
mod options;
mod storage;
mod system;
mod version;

pub use access::{Capabilities, Permissions};
pub use cluster::{ClusterResource, ClusterStatus, ResourceKind};
pub use guest::{GuestConfig, GuestKind, LxcConfig, QemuConfig, Vmid};
pub(super) use interface::host_name;
pub use interface::{GuestAddress, GuestInterface};
pub use nic::{Nic, canonical_mac};
pub use node::NodeRow;
pub use options::ClusterOptions;
pub use storage::StorageConfig;
pub use system::GuestOs;
pub use version::Version;
