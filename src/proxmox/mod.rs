//! The read side: Proxmox VE in its own words.

pub mod mock;
