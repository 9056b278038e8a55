//! Typed calls beyond what every run reads, by topic. What a release does not offer is an empty list, never an error;
//! what could not be read is an error, never an empty list.

mod access;
mod ceph;
mod cluster;
mod guests;
mod ha;
mod hosts;
mod networks;
mod provisioning;
mod sdn;
mod sisters;
mod storages;
mod tasks;

use std::fmt::Display;
use std::sync::Arc;

use serde::de::{DeserializeOwned, Error as _};

pub use cluster::MetricFilter;
pub use guests::{BackupOptions, GuestPlace, Power};
pub use ha::{HaCommand, WhileDisarmed};
pub use networks::FirewallOf;
pub use provisioning::CloneOptions;
pub use sdn::SdnOnNode;
pub use sisters::BackupServerJob;
pub use storages::{BackupServerStorage, ContentFilter};
pub use tasks::TaskFilter;

use super::error::Error;
use super::resource::Resource;
use super::rows::Rows;
use super::session::Answer;
use super::types::{Upid, UpidError};

/// The rows at `place`; none where this release has no such place.
async fn rows_if_offered<T: DeserializeOwned>(place: Resource) -> Result<Rows<T>, Error> {
    match place.get_rows().await {
        Err(Error::NotImplemented { .. }) => Ok(Rows::decode(Vec::new())),
        other => other,
    }
}

/// The object at `place`; `None` where there is none, or no such place on this release.
async fn find<T: DeserializeOwned>(place: Resource) -> Result<Option<T>, Error> {
    match place.get_as().await {
        Ok(object) => Ok(Some(object)),
        Err(Error::NotFound { .. } | Error::NotImplemented { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The task that `answer` says was started.
fn started(place: &Resource, answer: &Answer) -> Result<Upid, Error> {
    let text = answer.data.as_str().unwrap_or_default();
    text.parse().map_err(|error: UpidError| decode_error(place, error))
}

/// What a write to `place` answered is not what it should be. `reason` repeats nothing of it.
fn decode_error(place: &Resource, reason: impl Display) -> Error {
    Error::Decode {
        call: format!("write {}", place.plain_path().unwrap_or_default()),
        source: Arc::new(serde_json::Error::custom(reason)),
    }
}
