//! `/cloud/vm/templates` and `/cloud/lxc/templates`: what guests can be made from.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::endpoint::Source;
use crate::http::extract::{Query, flag};
use crate::http::targets::{Target, complete, select};
use crate::http::{ApiError, AppState};
use crate::proxmox::{ClusterResource, ContentFilter, Error, GuestConfig, GuestKind, Session, indexed, wire};
use crate::sync::EndpointFilter;

/// How many configurations or storages are read at once.
const READS_AT_ONCE: usize = 4;
/// The content of storages that containers are made from.
const CONTAINER_TEMPLATES: &str = "vztmpl";
/// The buses that a drive for cloud-init can be on.
const BUSES: &[&str] = &["ide", "sata", "scsi", "virtio"];
const MIB: u64 = 1 << 20;

/// What is served here, in the order of the OpenAPI document.
pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(machines))
        .routes(routes!(containers))
}

/// Which templates.
#[derive(Debug, Clone, Copy, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct Which {
    /// The number of the endpoint in this service.
    endpoint_id: i64,
    /// Only those that cloud-init can set up, which is usual.
    #[serde(default = "usual", deserialize_with = "flag")]
    cloud_init_only: bool,
}

const fn usual() -> bool {
    true
}

/// The virtual machines of an endpoint that are templates.
#[utoipa::path(
    get, path = "/cloud/vm/templates", tag = "cloud", params(Which),
    responses((status = 200, body = Value), (status = 404, description = "No enabled endpoint has this number")),
)]
async fn machines(State(state): State<AppState>, Query(which): Query<Which>) -> Result<Json<Value>, ApiError> {
    let target = find_target(&state, which.endpoint_id).await?;
    let read = target.named(async { read_machines(&target.session.clone()?).await });
    let (cluster, found) = read.await.map_err(|error| failure(&target, error))?;
    let rows = found
        .iter()
        .map(|(resource, config)| machine(&target, &cluster, resource, config));
    let rows: Vec<Value> = rows
        .filter(|row| !which.cloud_init_only || row.get("cloud_init") == Some(&Value::Bool(true)))
        .collect();
    Ok(Json(json!({"count": rows.len(), "results": rows})))
}

/// The files that containers are made from, on the storages of an endpoint that are active; those of shared ones once.
#[utoipa::path(
    get, path = "/cloud/lxc/templates", tag = "cloud",
    params(("endpoint_id" = i64, Query, description = "The number of the endpoint in this service")),
    responses((status = 200, body = Vec<Value>), (status = 404, description = "No enabled endpoint has this number")),
)]
async fn containers(State(state): State<AppState>, Query(which): Query<Which>) -> Result<Json<Vec<Value>>, ApiError> {
    let target = find_target(&state, which.endpoint_id).await?;
    let read = async { read_containers(&target.session.clone()?).await };
    Ok(Json(read.await.map_err(|error| failure(&target, error))?))
}

async fn find_target(state: &AppState, id: i64) -> Result<Target, ApiError> {
    let filter = EndpointFilter {
        source: Source::Database,
        ids: Some(vec![id]),
        ip_address: None,
        domain: None,
        name: None,
    };
    let found = select(state, &filter).await?.targets.pop();
    found.ok_or_else(|| ApiError::plain(StatusCode::NOT_FOUND, "Proxmox endpoint not found"))
}

fn failure(target: &Target, error: Error) -> ApiError {
    ApiError::from(error).about(target.key, &target.settings.name)
}

/// The templates, each with its configuration.
async fn read_machines(session: &Session) -> Result<Vec<(ClusterResource, GuestConfig)>, Error> {
    let guests = complete("cluster/resources", session.cluster_resources(Some("vm")).await?)?;
    let templates = guests
        .into_iter()
        .filter(|row| row.template && row.kind.guest() == Some(GuestKind::Qemu));
    let reads = templates.filter_map(|row| {
        let (node, vmid) = (row.node.clone()?, row.vmid?);
        Some(async move {
            let config = session.guest_config(&node, GuestKind::Qemu, vmid).await?;
            Ok((row, config))
        })
    });
    stream::iter(reads.collect::<Vec<_>>())
        .buffered(READS_AT_ONCE)
        .try_collect()
        .await
}

fn machine(target: &Target, cluster: &str, resource: &ClusterResource, config: &GuestConfig) -> Value {
    let text = |key: &str| {
        config
            .raw()
            .get(key)
            .and_then(|value| wire::text_of(value).ok().flatten())
    };
    let (drives, snippets) = (
        cloud_init_drives(config),
        text("cicustom").filter(|text| !text.trim().is_empty()),
    );
    json!({
        "id": resource.vmid,
        "endpoint_id": target.key.id,
        "endpoint_name": target.settings.name,
        "cluster_name": cluster,
        "source_vmid": resource.vmid,
        "vmid": resource.vmid,
        "name": resource.name,
        "node": resource.node,
        "target_node": resource.node,
        "status": resource.status,
        "template": true,
        "cloud_init": !drives.is_empty() || snippets.is_some(),
        "cloud_init_drives": drives,
        "cicustom": snippets,
        "tags": text("tags"),
        "memory_mb": resource.maxmem.map(|bytes| bytes / MIB),
        "maxdisk_bytes": resource.maxdisk,
        "description": config.description(),
        "live_source": true,
    })
}

/// The keys of the drives that tell a machine what to do at its first start.
fn cloud_init_drives(config: &GuestConfig) -> Vec<String> {
    let drives = BUSES.iter().flat_map(|bus| {
        let drives = indexed(config.raw(), bus).into_iter();
        drives.filter_map(move |(number, value)| {
            let volume = value.as_str()?.split(',').next()?;
            volume.contains("cloudinit").then(|| format!("{bus}{number}"))
        })
    });
    drives.collect()
}

async fn read_containers(session: &Session) -> Result<Vec<Value>, Error> {
    let nodes = complete("nodes", session.list_nodes().await?)?;
    let online = nodes.into_iter().filter(|row| row.status.as_deref() == Some("online"));
    let (mut places, mut shared) = (Vec::new(), BTreeSet::new());
    for node in online {
        let found = session
            .list_node_storages(&node.node, Some(CONTAINER_TEMPLATES))
            .await?;
        for storage in complete("nodes/{node}/storage", found)? {
            let is_usable = storage.active && storage.enabled;
            if is_usable && (!storage.shared || shared.insert(storage.storage.clone())) {
                places.push((node.node.clone(), storage.storage));
            }
        }
    }
    let filter = ContentFilter {
        content: Some(CONTAINER_TEMPLATES),
        ..ContentFilter::default()
    };
    let reads = places.into_iter().map(|(node, storage)| async move {
        let rows = session.list_content(&node, &storage, filter).await?;
        let rows = complete("nodes/{node}/storage/{storage}/content", rows)?.into_iter();
        let row = rows.map(|row| {
            let path = row.volid.split_once(':').map(|(_, path)| path);
            json!({"volid": row.volid, "storage": storage, "path": path, "size": row.size, "node": node})
        });
        Ok(row.collect::<Vec<_>>())
    });
    let lists: Vec<Vec<Value>> = stream::iter(reads).buffered(READS_AT_ONCE).try_collect().await?;
    Ok(lists.into_iter().flatten().collect())
}
