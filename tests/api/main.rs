//! The whole service over HTTP.

#[path = "../support/mod.rs"]
mod support;

mod auth;
mod shell;
