//! The write side: NetBox in its own words.
//!
//! One [`Client`] per configured NetBox. It owns the connection pool, the limits on simultaneous requests, the retries
//! and the credentials; a handle made by [`Client::on_branch`] writes to that branch and nowhere else. Reading returns
//! all rows or an error, writing is always a bulk request, and a refusal is mapped back to the rows that caused it.
//!
//! * [`Endpoint`], [`Token`]: where a NetBox is and how to sign in.
//! * [`Query`]: filters of a read, and what its answer must fit.
//! * [`Error`]: what went wrong on the way; [`WriteError`]: what became of a write.
//! * [`Status`], [`NetBoxVersion`]: release and plugins of the other side.
//! * [`Rights`]: of what the token's user may see or write a part only.
//! * [`settings`]: the plugin's settings page; [`preflight()`]: can this endpoint be used at all.

mod answer;
mod branch;
mod breaker;
mod chunk;
mod client;
mod connection;
mod endpoint;
mod error;
mod gate;
pub mod ids;
mod lanes;
pub mod objects;
mod page;
mod pool;
mod preflight;
mod query;
mod refusal;
mod retry;
mod rights;
mod scheme;
pub mod settings;
mod stagger;
pub mod standin;
mod tls;
mod transport;
mod version;
mod write;

pub use crate::reconcile::ObjectId;
pub use client::Client;
pub use endpoint::{Endpoint, Limits, Scheme, Token};
pub use error::{Error, TokenProblem};
pub use pool::Pool;
pub use preflight::{Authentication, Preflight, SettingsAccess, WriteAccess, preflight};
pub use query::Query;
pub use refusal::{FieldError, RowRefusal};
pub use rights::{Action, Rights};
pub use settings::{PluginSettings, fetch_settings};
pub use version::{NetBoxVersion, Status};
pub use write::WriteError;

#[cfg(test)]
mod tests;
