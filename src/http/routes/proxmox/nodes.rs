//! `/proxmox/nodes/{node}/*`: one node.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::fields::{Field, Row, flag, further, good, of_cluster, rows, scalar, shaped, text, whole};
use crate::http::AppState;
use crate::http::error::ApiError;
use crate::http::extract::{NodeName, Path};
use crate::http::scope::Scope;
use crate::http::single::Single;
use crate::http::targets::{complete, select};
use crate::proxmox::Vmid;

/// What `nodes/{node}/network` may be limited to.
const INTERFACE_TYPES: &[&str] = &[
    "bridge",
    "bond",
    "eth",
    "alias",
    "vlan",
    "OVSBridge",
    "OVSBond",
    "OVSPort",
    "OVSIntPort",
    "any_bridge",
    "any_local_bridge",
];
const INTERFACE: &[Field] = &[
    flag("active"),
    text("address"),
    text("netmask"),
    text("gateway"),
    flag("autostart"),
    whole("bond_miimon"),
    text("bond_mode"),
    text("slaves"),
    text("bridge_fd"),
    text("bridge_ports"),
    text("bridge_stp"),
    flag("bridge_vlan_aware"),
    text("cidr"),
    text("comments"),
    flag("exists"),
    text("iface"),
    text("method"),
    text("method6"),
    whole("priority"),
    text("type"),
    text("vlan_id").from(&["vlan-id"]),
    text("vlan_raw_device").from(&["vlan-raw-device"]),
];
const CONFIG: &[Field] = &[
    text("description"),
    text("wakeonlan"),
    whole("startall_onboot_delay").from(&["startall-onboot-delay"]),
    text("location"),
];
const SERVICE: &[Field] = &[
    text("service"),
    text("name"),
    text("desc"),
    text("state"),
    text("active_state").from(&["active-state"]),
    text("unit_state").from(&["unit-state"]),
];

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(network))
        .routes(routes!(qemu))
        .routes(routes!(qemu_firewall))
        .routes(routes!(config))
        .routes(routes!(services))
}

/// The network interfaces of a node; null keys are left out.
#[utoipa::path(
    get, path = "/proxmox/nodes/{node}/network", tag = "proxmox",
    params(
        Scope, ("node" = String, Path), ("cluster_name" = Option<String>, Query),
        ("type" = Option<String>, Query, description = "Only interfaces of this type, such as `bridge`"),
    ),
    responses((status = 200, body = Vec<Value>)),
)]
async fn network(
    State(state): State<AppState>,
    Path(node): Path<NodeName>,
    scope: Scope,
) -> Result<Json<Vec<Value>>, ApiError> {
    let kind = scope.query.get("type").map(String::as_str);
    if kind.is_some_and(|kind| !INTERFACE_TYPES.contains(&kind)) {
        let text = format!("Must be one of {}.", INTERFACE_TYPES.join(", "));
        return Err(ApiError::invalid(&["query", "type"], &text));
    }
    let single = Single::choose(select(&state, &scope.filter).await?, &scope, "node network").await?;
    let (_, interfaces) = single
        .read(|session| async move {
            let place = session.nodes(&node).network();
            let rows = place.get_rows_with::<Row>(&[("type", kind.into())]).await?;
            complete(place.plain_path().unwrap_or_default(), rows)
        })
        .await?;
    Ok(Json(interfaces.iter().map(interface).collect()))
}

fn interface(row: &Row) -> Value {
    let mut interface = shaped(row, INTERFACE);
    interface.retain(|_, value| !value.is_null());
    for (key, value) in further(row, INTERFACE) {
        let is_list = key == "families";
        interface.insert(key.clone(), if is_list { value.clone() } else { scalar(value) });
    }
    Value::Object(interface)
}

/// The virtual machines of a node, as Proxmox tells them, below the name of its cluster.
#[utoipa::path(
    get, path = "/proxmox/nodes/{node}/qemu", tag = "proxmox",
    params(Scope, ("node" = String, Path), ("cluster_name" = Option<String>, Query)),
    responses((status = 200, body = Vec<Value>)),
)]
async fn qemu(
    State(state): State<AppState>,
    Path(node): Path<NodeName>,
    scope: Scope,
) -> Result<Json<Value>, ApiError> {
    let single = Single::choose(select(&state, &scope.filter).await?, &scope, "node qemu list").await?;
    let (cluster, machines) = single
        .read(|session| async move { rows(session.nodes(&node).list_qemu()).await })
        .await?;
    Ok(Json(json!([{ cluster: machines }])))
}

/// What Proxmox answers at the firewall of a virtual machine.
#[utoipa::path(
    get, path = "/proxmox/nodes/{node}/qemu/{vmid}/firewall", tag = "proxmox",
    params(Scope, ("node" = String, Path), ("vmid" = u32, Path), ("cluster_name" = Option<String>, Query)),
    responses((status = 200, body = Value)),
)]
async fn qemu_firewall(
    State(state): State<AppState>,
    Path((node, vmid)): Path<(NodeName, u32)>,
    scope: Scope,
) -> Result<Json<Value>, ApiError> {
    let single = Single::choose(select(&state, &scope.filter).await?, &scope, "qemu firewall").await?;
    let (_, answer) = single
        .read(|session| async move { session.nodes(&node).qemu(Vmid(vmid)).firewall().get().await })
        .await?;
    Ok(Json(answer.data))
}

/// The operator's settings of a node.
#[utoipa::path(
    get, path = "/proxmox/nodes/{node}/config", tag = "proxmox",
    params(Scope, ("node" = String, Path), ("cluster_name" = Option<String>, Query)),
    responses((status = 200, body = Value)),
)]
async fn config(
    State(state): State<AppState>,
    Path(node): Path<NodeName>,
    scope: Scope,
) -> Result<Json<Value>, ApiError> {
    let single = Single::choose(select(&state, &scope.filter).await?, &scope, "node config").await?;
    let name = Value::from(&*node);
    let (cluster, config) = single
        .read(|session| async move { session.nodes(&node).config().get_as::<Row>().await })
        .await?;
    let mut row = Row::from_iter([("node".to_owned(), name)]);
    row.extend(shaped(&config, CONFIG));
    Ok(Json(good(of_cluster(&cluster, row))))
}

/// The system services of a node, as far as Proxmox watches them.
#[utoipa::path(
    get, path = "/proxmox/nodes/{node}/services", tag = "proxmox",
    params(Scope, ("node" = String, Path), ("cluster_name" = Option<String>, Query)),
    responses((status = 200, body = Vec<Value>)),
)]
async fn services(
    State(state): State<AppState>,
    Path(node): Path<NodeName>,
    scope: Scope,
) -> Result<Json<Vec<Value>>, ApiError> {
    let single = Single::choose(select(&state, &scope.filter).await?, &scope, "node services").await?;
    let (_, services) = single
        .read(|session| async move { rows(session.nodes(&node).child("services")).await })
        .await?;
    let row = |service| Value::Object(shaped(service, SERVICE));
    Ok(Json(services.iter().map(row).collect()))
}
