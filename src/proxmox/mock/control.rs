//! The control port: changes the estate and sets faults from outside the process. The table is in the parent module.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Shared;
use super::faults::{Fault, FaultRule};
use super::recorder::Recorded;
use super::routes::writes::{clear_key, remove_snapshot, set_key};
use super::world::{Guest, GuestKind, GuestStatus, World};

type Answer = Result<Json<Value>, (StatusCode, Json<Value>)>;

struct Control {
    shared: Arc<Shared>,
    api: SocketAddr,
    ca_pem: String,
}

/// The routes of the control port.
pub(super) fn router(shared: Arc<Shared>, api: SocketAddr, ca_pem: String) -> Router {
    Router::new()
        .route("/world", get(summary))
        .route("/world/guests/{vmid}", post(patch_guest).delete(delete_guest))
        .route("/world/guests/{vmid}/snapshots", delete(delete_snapshots))
        .route("/world/guests/{vmid}/snapshots/{name}", delete(delete_snapshot))
        .route("/world/backups/{vmid}", delete(delete_backups))
        .route("/world/nodes/{name}", post(patch_node))
        .route("/world/storages/{id}", post(patch_storage))
        .route("/faults", post(set_faults).delete(clear_faults))
        .route("/requests", get(requests).delete(clear_requests))
        .route("/clock", post(advance))
        .with_state(Arc::new(Control { shared, api, ca_pem }))
}

fn refuse(status: StatusCode, text: impl Into<String>) -> (StatusCode, Json<Value>) {
    (status, Json(json!({ "error": text.into() })))
}

fn done() -> Json<Value> {
    Json(json!({ "ok": true }))
}

/// Answers a change of a `what` that may not be there.
fn changed(is_found: bool, what: &str) -> Answer {
    if is_found {
        Ok(done())
    } else {
        Err(refuse(StatusCode::NOT_FOUND, format!("no such {what}")))
    }
}

async fn summary(State(control): State<Arc<Control>>) -> Json<Value> {
    let estate = control.shared.world.read(|world| {
        let guests: Vec<Value> = world.guests.values().map(guest_summary).collect();
        let nodes: Vec<Value> = world
            .nodes
            .iter()
            .map(|node| json!({"name": node.name, "ip": node.ip, "online": node.online}))
            .collect();
        json!({
            "cluster": world.cluster, "local": super::routes::local_node(&control.shared.options, world), "nodes": nodes, "guests": guests,
            "storages": world.storages.iter().map(|storage| &storage.id).collect::<Vec<_>>(),
            "counts": {
                "nodes": world.nodes.len(), "guests": world.guests.len(), "backups": world.backups.len(),
                "tasks": world.tasks.len(), "replications": world.replications.len(),
                "backup_jobs": world.backup_jobs.len(),
                "snapshots": world.guests.values().map(|guest| guest.snapshots.len()).sum::<usize>(),
            },
        })
    });
    let fingerprint = control.shared.world.read(|world| {
        let local = super::routes::local_node(&control.shared.options, world);
        world.find_node(&local).map(|node| node.ssl_fingerprint.clone())
    });
    Json(json!({
        "address": control.api.to_string(), "fingerprint": fingerprint, "ca_pem": control.ca_pem, "world": estate,
    }))
}

fn guest_summary(guest: &Guest) -> Value {
    json!({
        "vmid": guest.vmid, "type": guest.kind.as_str(), "name": guest.name, "node": guest.node,
        "status": guest.status.as_str(), "template": guest.template,
    })
}

async fn patch_guest(
    State(control): State<Arc<Control>>,
    Path(vmid): Path<u32>,
    Json(patch): Json<Map<String, Value>>,
) -> Answer {
    let now = control.shared.clock.now();
    control.shared.world.change(|world| {
        let text = |key: &str| patch.get(key).and_then(Value::as_str);
        if let Some(node) = text("node").filter(|node| world.find_node(node).is_none()) {
            return Err(refuse(StatusCode::UNPROCESSABLE_ENTITY, format!("no node {node}")));
        }
        if !world.guests.contains_key(&vmid) {
            create(world, vmid, &patch)?;
        }
        let Some(guest) = world.guest(vmid) else {
            return Err(refuse(StatusCode::NOT_FOUND, "no such guest"));
        };
        for (key, value) in &patch {
            apply(guest, key, value, now)?;
        }
        Ok(Json(guest_summary(guest)))
    })
}

fn create(world: &mut World, vmid: u32, patch: &Map<String, Value>) -> Result<(), (StatusCode, Json<Value>)> {
    let text = |key: &str| patch.get(key).and_then(Value::as_str);
    let kind = match text("type") {
        Some("qemu") => GuestKind::Qemu,
        Some("lxc") => GuestKind::Lxc,
        _ => {
            return Err(refuse(
                StatusCode::NOT_FOUND,
                "no such guest; `type` and `node` create one",
            ));
        }
    };
    let Some(node) = text("node") else {
        return Err(refuse(StatusCode::UNPROCESSABLE_ENTITY, "a new guest needs a `node`"));
    };
    world.add_guest(Guest::new(kind, vmid, text("name").unwrap_or("new"), node));
    Ok(())
}

fn apply(guest: &mut Guest, key: &str, value: &Value, now: i64) -> Result<(), (StatusCode, Json<Value>)> {
    match (key, value) {
        ("type", _) => {}
        ("node", Value::String(node)) => node.clone_into(&mut guest.node),
        ("status", Value::String(status)) => {
            guest.status = match status.as_str() {
                "running" => GuestStatus::Running,
                "stopped" => GuestStatus::Stopped,
                "unknown" => GuestStatus::Unknown,
                other => return Err(refuse(StatusCode::UNPROCESSABLE_ENTITY, format!("no status {other}"))),
            };
            guest.started_at = now;
        }
        (_, Value::Null) => clear_key(guest, key),
        (_, Value::String(text)) => set_key(guest, key, text),
        (_, Value::Bool(flag)) => set_key(guest, key, if *flag { "1" } else { "0" }),
        (_, Value::Number(number)) => set_key(guest, key, &number.to_string()),
        ("tags", Value::Array(tags)) => {
            guest.tags = tags.iter().filter_map(Value::as_str).map(ToOwned::to_owned).collect();
        }
        (_, Value::Array(_) | Value::Object(_)) => {
            return Err(refuse(
                StatusCode::UNPROCESSABLE_ENTITY,
                format!("`{key}` must be a plain value"),
            ));
        }
    }
    Ok(())
}

async fn delete_guest(State(control): State<Arc<Control>>, Path(vmid): Path<u32>) -> Answer {
    let found = control.shared.world.change(|world| world.remove_guest(vmid));
    changed(found.is_some(), "guest")
}

async fn delete_snapshots(State(control): State<Arc<Control>>, Path(vmid): Path<u32>) -> Answer {
    let found = control
        .shared
        .world
        .change(|world| world.guest(vmid).map(|guest| guest.snapshots.clear()));
    changed(found.is_some(), "guest")
}

async fn delete_snapshot(State(control): State<Arc<Control>>, Path((vmid, name)): Path<(u32, String)>) -> Answer {
    let found = control
        .shared
        .world
        .change(|world| world.guest(vmid).is_some_and(|guest| remove_snapshot(guest, &name)));
    changed(found, "snapshot")
}

async fn delete_backups(State(control): State<Arc<Control>>, Path(vmid): Path<u32>) -> Json<Value> {
    control
        .shared
        .world
        .change(|world| world.backups.retain(|backup| backup.vmid != vmid));
    done()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NodePatch {
    online: bool,
}

async fn patch_node(
    State(control): State<Arc<Control>>,
    Path(name): Path<String>,
    Json(patch): Json<NodePatch>,
) -> Answer {
    let found = control
        .shared
        .world
        .change(|world| world.node(&name).map(|node| node.online = patch.online));
    changed(found.is_some(), "node")
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StoragePatch {
    reachable: bool,
}

async fn patch_storage(
    State(control): State<Arc<Control>>,
    Path(id): Path<String>,
    Json(patch): Json<StoragePatch>,
) -> Answer {
    let found = control
        .shared
        .world
        .change(|world| world.storage(&id).map(|own| own.reachable = patch.reachable));
    changed(found.is_some(), "storage")
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
#[expect(clippy::struct_excessive_bools, reason = "each is one key of the JSON order")]
struct FaultOrder {
    node_down: Option<String>,
    node_up: Option<String>,
    endpoint_down: Option<bool>,
    wedge_agent: Option<u32>,
    expire_tickets: bool,
    numbers_as_text: Option<bool>,
    raw_log_bytes: Option<bool>,
    latency_ms: Option<u64>,
    slow_after: Option<usize>,
    pause_ms: Option<u64>,
    method: Option<String>,
    path: Option<String>,
    status: Option<u16>,
    text: Option<String>,
    truncated: bool,
    reset: bool,
    html: bool,
    times: Option<u32>,
}

impl FaultOrder {
    /// The fault for one path that it asks for.
    fn rule(&self) -> Option<FaultRule> {
        let fault = match self {
            Self {
                status: Some(status),
                text,
                ..
            } => Fault::Status(*status, text.clone().unwrap_or_default()),
            Self { truncated: true, .. } => Fault::Truncated,
            Self { reset: true, .. } => Fault::Reset,
            Self { html: true, .. } => Fault::Html,
            Self {
                slow_after: Some(first),
                pause_ms,
                ..
            } => Fault::SlowBody {
                first: *first,
                pause: Duration::from_millis(pause_ms.unwrap_or(1_000)),
            },
            Self {
                latency_ms: Some(delay),
                ..
            } => Fault::Latency(Duration::from_millis(*delay)),
            _ => return None,
        };
        let path = self.path.clone().unwrap_or_else(|| "/**".to_owned());
        Some(FaultRule {
            method: self.method.clone(),
            path,
            fault,
            times: self.times,
        })
    }
}

async fn set_faults(State(control): State<Arc<Control>>, Json(order): Json<FaultOrder>) -> Json<Value> {
    let faults = &control.shared.faults;
    if let Some(rule) = order.rule() {
        faults.add(rule);
    }
    order.node_down.iter().for_each(|node| faults.node_down(node));
    order.node_up.iter().for_each(|node| faults.node_up(node));
    order
        .endpoint_down
        .into_iter()
        .for_each(|down| faults.endpoint_down(down));
    order.wedge_agent.into_iter().for_each(|vmid| faults.wedge_agent(vmid));
    order
        .numbers_as_text
        .into_iter()
        .for_each(|on| faults.numbers_as_text(on));
    order.raw_log_bytes.into_iter().for_each(|on| faults.raw_log_bytes(on));
    if order.expire_tickets {
        faults.expire_tickets();
    }
    done()
}

async fn clear_faults(State(control): State<Arc<Control>>) -> Json<Value> {
    control.shared.faults.clear();
    done()
}

async fn requests(State(control): State<Arc<Control>>) -> Json<Vec<Recorded>> {
    Json(control.shared.log.all())
}

async fn clear_requests(State(control): State<Arc<Control>>) -> Json<Value> {
    control.shared.log.clear();
    done()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClockOrder {
    advance_seconds: u64,
}

async fn advance(State(control): State<Arc<Control>>, Json(order): Json<ClockOrder>) -> Json<Value> {
    control.shared.clock.advance(Duration::from_secs(order.advance_seconds));
    done()
}
