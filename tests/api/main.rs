//! The whole service over HTTP.

#[path = "../support/mod.rs"]
mod support;

mod auth;
mod proxmox_endpoints;
mod proxmox_reads;
mod shell;
