//! The routes, one file per first path segment. Each file's `routes()` lists its handlers.

mod admin;
mod auth;
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
pub(super) mod stages;
mod sync;
mod viewer;
mod virtualization;

use utoipa_axum::router::OpenApiRouter;

use super::{AppState, openapi};

/// Every route of the OpenAPI document.
pub(super) fn all() -> OpenApiRouter<AppState> {
    OpenApiRouter::with_openapi(openapi::base())
        .merge(root::routes())
        .merge(auth::routes())
        .merge(admin::routes())
        .merge(journal::routes())
        .merge(netbox::routes())
        .merge(proxmox::routes())
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
