//! Whole stages: a mock Proxmox on one side, a stand-in for NetBox on the other, both over HTTP.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test stops where its surroundings fail"
)]

mod areas;
mod backups;
mod budget;
mod clusters;
mod full_update;
mod guest_rows;
mod harness;
mod infrastructure;
mod kill;
mod limited;
mod matrix;
mod node_interfaces;
mod refusals;
mod rights;
mod schedules;
mod sdn;
mod sdn_bgp;
mod snapshots;
mod streams;
mod sweep;
mod tags;
mod takeover;
mod task_history;
mod virtual_disks;
mod virtual_machines;
mod vm_interfaces;
mod vm_ip_addresses;
