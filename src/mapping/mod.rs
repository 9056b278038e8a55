//! From Proxmox's words to NetBox's. Pure; the only bilingual room.

pub mod backup;
pub mod backup_routine;
pub mod bgp;
pub mod bootstrap;
pub mod cloud_init;
pub mod cluster;
pub mod device;
pub mod guest_interface;
pub mod ip_address;
pub mod l2vpn;
pub mod names;
pub mod node_interface;
pub mod notes;
pub mod platform;
pub mod replication;
pub mod sdn;
pub mod snapshot;
pub mod storage;
pub mod tags;
pub mod task_history;
pub mod times;
pub mod virtual_disk;
pub mod virtual_machine;
pub mod virtual_machine_state;
pub mod vm_interface;
