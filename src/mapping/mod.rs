//! From Proxmox's words to NetBox's. Pure; the only bilingual room.

pub mod backup_routine;
pub mod bootstrap;
pub mod cluster;
pub mod device;
pub mod names;
pub mod replication;
pub mod storage;
pub mod virtual_disk;
