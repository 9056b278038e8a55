//! `/virtualization/*`: NetBox's virtual machines as NetBox answers them. The stages are in a file of their own.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::error::ApiError;
use crate::http::extract::{Path, Query};
use crate::http::scope::WhichNetBox;
use crate::http::targets::get_netbox;
use crate::http::{AppState, ErrorBody};
use crate::netbox;

const MACHINES: &str = "/api/virtualization/virtual-machines/";

/// What is served here, in the order of the OpenAPI document.
pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(get))
        .routes(routes!(summary))
        .routes(routes!(sample))
        .routes(routes!(cluster_types))
        .routes(routes!(clusters))
}

/// Every virtual machine in NetBox.
#[utoipa::path(
    get, path = "/virtualization/virtual-machines/", tag = "virtualization", params(WhichNetBox),
    responses((status = 200, body = Vec<Value>), (status = 502, body = ErrorBody)),
)]
async fn list(State(state): State<AppState>, Query(which): Query<WhichNetBox>) -> Result<Json<Vec<Value>>, ApiError> {
    let client = get_netbox(&state, which.netbox_id).await?;
    Ok(Json(client.list(MACHINES, &netbox::Query::new()).await?))
}

/// One virtual machine in NetBox.
#[utoipa::path(
    get, path = "/virtualization/virtual-machines/{netbox_vm_id}", tag = "virtualization",
    params(WhichNetBox, ("netbox_vm_id" = u64, Path)),
    responses((status = 200, body = Value), (status = 404, body = ErrorBody), (status = 502, body = ErrorBody)),
)]
async fn get(
    State(state): State<AppState>,
    Path(machine): Path<u64>,
    Query(which): Query<WhichNetBox>,
) -> Result<Json<Value>, ApiError> {
    let client = get_netbox(&state, which.netbox_id).await?;
    match client.get(&format!("{MACHINES}{machine}/")).await {
        Ok(row) => Ok(Json(row)),
        Err(netbox::Error::NotFound { .. }) => Err(ApiError::plain(StatusCode::NOT_FOUND, "Virtual machine not found")),
        Err(error) => Err(error.into()),
    }
}

/// What Proxmox tells of one virtual machine: not offered.
#[utoipa::path(
    get, path = "/virtualization/virtual-machines/{netbox_vm_id}/summary", tag = "virtualization",
    params(("netbox_vm_id" = u64, Path)), responses((status = 501, body = ErrorBody)),
)]
async fn summary(Path(_): Path<u64>) -> ApiError {
    ApiError::plain(
        StatusCode::NOT_IMPLEMENTED,
        "Virtual machine summary by id is not implemented yet.",
    )
}

/// An invented summary, to see its shape.
#[utoipa::path(
    get, path = "/virtualization/virtual-machines/summary/example", tag = "virtualization",
    responses((status = 200, body = Value)),
)]
async fn sample() -> Json<Value> {
    Json(json!({
        "id": "101",
        "name": "web01",
        "status": "running",
        "node": "pve1",
        "cluster": "lab",
        "os": "Debian GNU/Linux 13",
        "description": "An example",
        "uptime": "3 days",
        "created": "2026-01-01T00:00:00Z",
        "cpu": {"cores": 4, "sockets": 1, "type": "host", "usage": 12},
        "memory": {"total": 8192, "used": 2048, "usage": 25},
        "disks": [{
            "id": "scsi0", "storage": "local-lvm", "size": 32_768, "used": 8192, "usage": 25, "format": "raw",
            "path": "/dev/pve/vm-101-disk-0",
        }],
        "networks": [{
            "id": "net0", "model": "virtio", "bridge": "vmbr0", "mac": "BC:24:11:00:00:65", "ip": "192.0.2.101",
            "netmask": "255.255.255.0", "gateway": "192.0.2.1",
        }],
        "snapshots": [{
            "id": "before", "name": "before", "created": "2026-01-02T00:00:00Z", "description": "before the upgrade",
        }],
        "backups": [{
            "id": "backup-101", "storage": "nas", "created": "2026-01-03T00:00:00Z", "size": 8192, "status": "ok",
        }],
    }))
}

/// Cluster types come with the stage `devices`.
#[utoipa::path(
    get, path = "/virtualization/cluster-types/create", tag = "virtualization",
    responses((status = 501, body = ErrorBody)),
)]
async fn cluster_types() -> ApiError {
    by_hand()
}

/// Clusters come with the stage `devices`.
#[utoipa::path(
    get, path = "/virtualization/clusters/create", tag = "virtualization",
    responses((status = 501, body = ErrorBody)),
)]
async fn clusters() -> ApiError {
    by_hand()
}

fn by_hand() -> ApiError {
    ApiError::plain(
        StatusCode::NOT_IMPLEMENTED,
        "Not implemented: use the NetBox UI or REST API to manage cluster types and clusters.",
    )
}
