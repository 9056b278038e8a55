//! The whole service over HTTP.

#[path = "../support/mod.rs"]
mod support;

mod auth;
mod full_update;
mod generated;
mod generated_journal;
mod generated_releases;
mod generated_state;
mod generated_walk;
mod guest_stages;
mod individual;
mod individual_rules;
mod mock_mode;
mod netbox_endpoint;
mod one_node;
mod proxmox_endpoints;
mod proxmox_reads;
mod reads;
mod replay;
mod selectors;
mod settings;
mod shell;
mod sisters;
mod stages;
mod streams;
mod world;
