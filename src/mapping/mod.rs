//! From Proxmox's words to NetBox's. Pure; the only bilingual room.

pub mod backup;
pub mod bootstrap;
pub mod cluster;
pub mod device;
pub mod names;
pub mod snapshot;
pub mod storage;
pub mod task_history;
pub mod times;
