//! `/proxmox/storage` and what a storage holds on a node.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::fields::{Field, Row, flag, shaped, text, whole};
use crate::http::AppState;
use crate::http::answers::Answers;
use crate::http::error::ApiError;
use crate::http::extract::{NodeName, Path};
use crate::http::scope::Scope;
use crate::http::single::Single;
use crate::http::targets::{Target, complete, select};
use crate::proxmox::{ClusterResource, Session, StorageConfig, wire};

const VOLUME: &[Field] = &[
    text("volid"),
    text("content"),
    text("format"),
    whole("size"),
    whole("used"),
    whole("vmid"),
    whole("ctime"),
    text("subtype"),
    text("notes"),
    flag("protected"),
    text("encrypted"),
    text("parent"),
];

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(storages))
        .routes(routes!(content))
        .routes(routes!(identity))
}

/// The storages of each selected endpoint, with what is used of them, below its cluster's name.
#[utoipa::path(
    get, path = "/proxmox/storage", tag = "proxmox", params(Scope),
    responses((status = 200, body = Vec<Value>)),
)]
async fn storages(State(state): State<AppState>, scope: Scope) -> Result<Response, ApiError> {
    let read = |target: Target, session: Session| async move {
        let (name, (storages, figures)) = target
            .named(async {
                let (storages, resources) = (session.storage(), session.cluster().resources());
                let kind = [("type", "storage".into())];
                let (storages, figures) = tokio::try_join!(
                    storages.get_recent_rows::<StorageConfig>(&[]),
                    resources.get_recent_rows::<ClusterResource>(&kind)
                )?;
                Ok((complete("storage", storages)?, complete("cluster/resources", figures)?))
            })
            .await?;
        let figures = Figures::by_storage(&figures);
        let row = |storage: &StorageConfig| storage_row(storage, &name, figures.get(storage.storage.as_str()));
        let rows: Vec<Value> = storages.iter().map(row).collect();
        Ok(json!({ name.clone(): rows }))
    };
    let answers = Answers::read(select(&state, &scope.filter).await?, read).await?;
    Ok(answers.respond(|items| items.into_iter().map(|(_, row)| row).collect()))
}

/// What fits into a storage and what is in it, in bytes: once for a shared one, otherwise of all nodes together.
#[derive(Debug, Clone, Copy, Default)]
struct Figures {
    total: u64,
    used: u64,
}

impl Figures {
    fn by_storage(rows: &[ClusterResource]) -> BTreeMap<&str, Self> {
        let mut figures: BTreeMap<&str, Self> = BTreeMap::new();
        for row in rows {
            let (Some(storage), Some(total)) = (row.storage.as_deref(), row.maxdisk) else {
                continue;
            };
            let own = figures.entry(storage).or_default();
            let used = row.disk.unwrap_or_default();
            if row.shared == Some(true) {
                *own = Self { total, used };
            } else {
                own.total += total;
                own.used += used;
            }
        }
        figures
    }
}

/// A storage. Only scalars: the plugin takes a row that holds a list for a container of rows.
fn storage_row(storage: &StorageConfig, cluster: &str, figures: Option<&Figures>) -> Value {
    let raw = |key: &str| storage.raw.get(key).unwrap_or(&Value::Null);
    let text = |key: &str| wire::text_of(raw(key)).ok().flatten();
    json!({
        "type": storage.kind,
        "storage": storage.storage,
        "path": storage.path,
        "content": storage.content,
        "digest": storage.digest,
        "nodes": storage.nodes,
        "prune-backups": storage.prune_backups,
        "shared": storage.shared.unwrap_or_default(),
        "export": storage.export,
        "server": storage.server,
        "disable": storage.disable,
        "pool": storage.pool,
        "sparse": wire::flag_of(raw("sparse")).ok().flatten(),
        "username": storage.username,
        "datastore": storage.datastore,
        "fingerprint": text("fingerprint"),
        "mountpoint": storage.mountpoint,
        "cluster": cluster,
        "enabled": !storage.disable,
        "total": figures.map(|figures| figures.total),
        "used": figures.map(|figures| figures.used),
        "avail": figures.map(|figures| figures.total.saturating_sub(figures.used)),
    })
}

/// What a storage holds as seen by one node; null keys are left out.
#[utoipa::path(
    get, path = "/proxmox/nodes/{node}/storage/{storage}/content", tag = "proxmox",
    params(
        Scope, ("node" = String, Path), ("storage" = String, Path),
        ("vmid" = Option<u32>, Query, description = "Only what belongs to this guest"),
        ("content" = Option<String>, Query, description = "Only this kind, such as `backup`"),
    ),
    responses((status = 200, body = Vec<Value>), (status = 404, description = "No selected endpoint has node or storage")),
)]
async fn content(
    State(state): State<AppState>,
    Path((node, storage)): Path<(NodeName, String)>,
    scope: Scope,
) -> Result<Response, ApiError> {
    let selected = select(&state, &scope.filter).await?;
    if selected.targets.is_empty() {
        return Err(ApiError::plain(StatusCode::NOT_FOUND, "Node or Storage not found"));
    }
    let given = |key: &str| scope.query.get(key).filter(|value| !value.is_empty()).cloned();
    let (node, storage) = (&*node, storage.as_str());
    let parameters = [("vmid", given("vmid").into()), ("content", given("content").into())];
    let parameters = &parameters;
    let answers = Answers::of_node(selected, node, |_, session: Session| async move {
        let place = session.nodes(node).storage(storage).content();
        let rows = place.get_rows_with::<Row>(parameters).await?;
        complete(place.plain_path().unwrap_or_default(), rows)
    });
    Ok(answers.await?.respond(|items| {
        let rows = items.iter().flat_map(|(_, rows)| rows);
        rows.map(volume).collect()
    }))
}

/// A volume. Only scalars, as the plugin reads them: what a backup server found is spread over two keys.
fn volume(row: &Row) -> Value {
    let mut volume = shaped(row, VOLUME);
    let found = |key: &str| row.get("verification").and_then(|found| found.get(key)).cloned();
    for (ours, theirs) in [("verification_state", "state"), ("verification_upid", "upid")] {
        volume.insert(ours.to_owned(), found(theirs).unwrap_or_default());
    }
    volume.retain(|_, value| !value.is_null());
    Value::Object(volume)
}

/// Which storage instance stands behind a storage of one node; releases before 9.2 do not tell.
#[utoipa::path(
    get, path = "/proxmox/nodes/{node}/storage/{storage}/identity", tag = "proxmox",
    params(Scope, ("node" = String, Path), ("storage" = String, Path), ("cluster_name" = Option<String>, Query)),
    responses((status = 200, body = Value)),
)]
async fn identity(
    State(state): State<AppState>,
    Path((node, storage)): Path<(NodeName, String)>,
    scope: Scope,
) -> Result<Response, ApiError> {
    let single = Single::choose(select(&state, &scope.filter).await?, &scope, "storage identity").await?;
    let (cluster, answer) = single
        .read(|session| {
            let place = session.nodes(&node).storage(&storage).identity();
            async move { place.get_as::<Row>().await }
        })
        .await?;
    let row = json!({
        "cluster_name": cluster, "node": *node, "storage": storage,
        "instance_id": answer.get("id").and_then(|id| wire::text_of(id).ok().flatten()), "status": "ok", "error": null,
    });
    Ok(Json(row).into_response())
}
