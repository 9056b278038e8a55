//! The routes, one file per first path segment. Each file's `routes()` lists its handlers.

mod admin;
mod auth;
mod ceph;
mod cloud;
mod dcim;
pub(super) mod docs;
mod extras;
mod generated;
mod individual;
mod journal;
mod netbox;
mod proxmox;
mod root;
mod settings;
mod sisters;
pub(super) mod stages;
mod sync;
mod viewer;
mod virtualization;

use utoipa::openapi::Paths;
use utoipa_axum::router::OpenApiRouter;

use super::{AppState, openapi};

/// Entries of the OpenAPI document that routes of [`all`] do not bring along: they are many and large, and a process that
/// serves does not need them.
pub(super) fn documented() -> impl Iterator<Item = Paths> {
    stages::documented().chain(individual::documented())
}

/// Every route, most with their entry of the OpenAPI document.
pub(super) fn all() -> OpenApiRouter<AppState> {
    OpenApiRouter::with_openapi(openapi::base())
        .merge(root::routes())
        .merge(auth::routes())
        .merge(admin::routes())
        .merge(settings::routes())
        .merge(journal::routes())
        .merge(netbox::routes())
        .merge(proxmox::routes())
        .merge(ceph::routes())
        .merge(sisters::routes())
        .merge(viewer::routes())
        .merge(generated::routes())
        .merge(cloud::routes())
        .merge(stages::routes())
        .merge(individual::routes())
        .merge(sync::routes())
        .merge(dcim::routes())
        .merge(virtualization::routes())
        .merge(extras::routes())
}
