//! What a release of Proxmox VE says about its own API: every path, method, parameter and answer, as data.
//!
//! A [`Description`] is read from a file of ours (`openapi/proxmox/9.2.json`) or from the API viewer of a live host
//! (`apidoc.js`); a [`Catalog`] keeps those of the releases we know and reads each on its first use. From a description
//! parameters are checked before they are sent ([`Operation::read`]), and valid ones are made up ([`Sampler`]).
//! Everything here is pure; only the catalog looks into a folder.

mod catalog;
mod compact;
mod forms;
mod import;
mod misfit;
mod pattern;
mod read;
mod sample;
mod schema;
mod table;

pub use catalog::{Catalog, CatalogError, LATEST};
pub use import::ImportError;
pub use misfit::{Misfit, Problem};
pub use pattern::Pattern;
pub use read::Reading;
pub(crate) use read::is_secret;
pub use sample::Sampler;
pub use schema::{Kind, Property, Schema};
pub use table::{Description, Found, Operation, Place};

#[cfg(test)]
mod tests;
