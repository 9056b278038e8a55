//! Stages from end to end: a mock Proxmox on one side, a stand-in for NetBox on the other.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops where its surroundings fail"
)]

mod backups;
mod harness;
mod snapshots;
mod task_history;
