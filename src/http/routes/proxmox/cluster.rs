//! `/proxmox/cluster/*` and `/proxmox/nodes/`: what the plugin's tracking rows and dashboards are made of.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use serde_json::{Value, json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::fields::{Field, Row, further, scalar, shaped, share, text, whole};
use super::templates::tell_templates;
use crate::http::AppState;
use crate::http::answers::Answers;
use crate::http::error::ApiError;
use crate::http::scope::Scope;
use crate::http::targets::{Target, complete, select};
use crate::proxmox::{ClusterStatus, Mode, NodeRow, Session, wire};

/// The keys that every row of `cluster/resources` has; the plugin's contract, in its order.
const RESOURCE: &[Field] = &[
    whole("cgroup_mode"),
    text("content"),
    share("cpu"),
    whole("disk"),
    text("hastate"),
    text("id"),
    text("level"),
    share("maxcpu"),
    whole("maxdisk"),
    whole("maxmem"),
    whole("mem"),
    text("name"),
    text("node"),
    text("plugintype"),
    text("pool"),
    text("status"),
    text("storage"),
    text("type"),
    whole("uptime"),
    whole("vmid"),
];
/// Further keys that are flags.
const FLAGS: &[&str] = &["template", "shared"];

/// A row of `cluster/resources` with the declared keys first. Only scalars: the plugin takes a row that holds a list
/// for a container of rows.
fn resource(row: &Row) -> Value {
    let mut resource = shaped(row, RESOURCE);
    for (key, value) in further(row, RESOURCE) {
        let flag = FLAGS
            .contains(&key.as_str())
            .then(|| wire::flag_of(value).ok().flatten())
            .flatten();
        let value = flag.map_or_else(|| scalar(value), Value::Bool);
        if !value.is_null() {
            resource.insert(key.clone(), value);
        }
    }
    Value::Object(resource)
}

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(status))
        .routes(routes!(resources))
        .routes(routes!(nodes))
}

/// Cluster and members of each selected endpoint. The plugin deletes nodes that are missing here, so an answer that
/// cannot be read in full is an error.
#[utoipa::path(
    get, path = "/proxmox/cluster/status", tag = "proxmox", params(Scope),
    responses((status = 200, body = Vec<Value>)),
)]
async fn status(State(state): State<AppState>, scope: Scope) -> Result<Response, ApiError> {
    let read = |_, session: Session| async move {
        let rows = session.cluster().status().get_recent_rows(&[]).await?;
        complete("cluster/status", rows)
    };
    let answers = Answers::read(select(&state, &scope.filter).await?, read).await?;
    Ok(answers.respond(|items| items.iter().map(|(target, rows)| cluster(target, rows)).collect()))
}

/// What the cluster of each selected endpoint holds, by its name. A guest that the cluster lists without its figures is a
/// template where its configuration says so or cannot be read: the plugin deletes the templates that are missing here.
#[utoipa::path(
    get, path = "/proxmox/cluster/resources", tag = "proxmox",
    params(Scope, ("type" = Option<String>, Query, description = "`vm`, `storage`, `node` or `sdn`")),
    responses((status = 200, body = Vec<Value>)),
)]
async fn resources(State(state): State<AppState>, scope: Scope) -> Result<Response, ApiError> {
    let kind = scope.query.get("type").map(String::as_str);
    if kind.is_some_and(|kind| !matches!(kind, "vm" | "storage" | "node" | "sdn")) {
        return Err(ApiError::invalid(
            &["query", "type"],
            "Must be vm, storage, node or sdn.",
        ));
    }
    let read = |target: Target, session: Session| async move {
        let place = session.cluster().resources();
        let parameters = [("type", kind.into())];
        let (name, rows) = target.named(place.get_recent_rows::<Row>(&parameters)).await?;
        let mut rows = complete("cluster/resources", rows)?;
        if kind == Some("vm") {
            tell_templates(&session, &mut rows).await;
        }
        Ok((name, rows))
    };
    let answers = Answers::read(select(&state, &scope.filter).await?, read).await?;
    Ok(answers.respond(|items| grouped(items.iter().map(|(_, (name, rows))| (name.as_str(), rows.as_slice())))))
}

/// Every node of each selected endpoint, each below its cluster's name.
#[utoipa::path(
    get, path = "/proxmox/nodes/", tag = "proxmox", params(Scope),
    responses((status = 200, body = Vec<Value>)),
)]
async fn nodes(State(state): State<AppState>, scope: Scope) -> Result<Response, ApiError> {
    let read = |target: Target, session: Session| async move {
        let place = session.path("nodes")?;
        let (name, rows) = target.named(place.get_recent_rows(&[])).await?;
        Ok((name, complete("nodes", rows)?))
    };
    let answers = Answers::read(select(&state, &scope.filter).await?, read).await?;
    let rows = |(_, (name, rows)): &(Target, (String, Vec<NodeRow>))| -> Vec<Value> {
        rows.iter().map(|row| json!({name: node_figures(row)})).collect()
    };
    Ok(answers.respond(|items| items.iter().flat_map(rows).collect()))
}

/// Rows by cluster, each once: two endpoints may lead to the same cluster.
fn grouped<'a>(answers: impl Iterator<Item = (&'a str, &'a [Row])>) -> Value {
    let mut order: Vec<&str> = Vec::new();
    let mut clusters: BTreeMap<&str, BTreeMap<String, Value>> = BTreeMap::new();
    for (name, rows) in answers {
        if !clusters.contains_key(name) {
            order.push(name);
        }
        let seen = clusters.entry(name).or_default();
        for (index, row) in rows.iter().enumerate() {
            let id = row
                .get("id")
                .and_then(Value::as_str)
                .map_or_else(|| format!("#{index}"), str::to_owned);
            seen.entry(id).or_insert_with(|| resource(row));
        }
    }
    let rows = |name: &str| -> Vec<&Value> { clusters.get(name).into_iter().flat_map(BTreeMap::values).collect() };
    order.into_iter().map(|name| json!({name: rows(name)})).collect()
}

/// The cluster of an endpoint, or the single host in a cluster's form.
fn cluster(target: &Target, rows: &[ClusterStatus]) -> Value {
    let mode = Mode::of(rows);
    let name = mode.name().map_or_else(|| target.label(), str::to_owned);
    let nodes: Vec<Value> = rows.iter().filter(|row| row.is_node()).map(node).collect();
    let own = rows.iter().find(|row| row.is_cluster());
    let settings = &target.settings;
    let template = settings.node_device_name_template.trim();
    json!({
        "id": own.and_then(|row| row.id.clone()).unwrap_or_else(|| format!("cluster/{name}")),
        "name": name,
        "type": "cluster",
        "nodes": own.and_then(|row| row.nodes).map_or(nodes.len(), |count| usize::try_from(count).unwrap_or(usize::MAX)),
        "quorate": own.and_then(|row| row.quorate).unwrap_or(!nodes.is_empty()),
        "version": own.and_then(|row| row.version).unwrap_or_default(),
        "mode": mode.as_str(),
        "endpoint_name": settings.name,
        "node_device_name_template": if template.is_empty() { "{node}" } else { template },
        "db_endpoint_id": target.key.id,
        "endpoint_source": target.key.source,
        "domain": settings.domain,
        "ip_address": settings.ip_address,
        "http_port": settings.port,
        "site_id": settings.site_id,
        "site_slug": settings.site_slug,
        "site_name": settings.site_name,
        "tenant_id": settings.tenant_id,
        "tenant_slug": settings.tenant_slug,
        "tenant_name": settings.tenant_name,
        "node_list": nodes,
    })
}

/// A member of a cluster.
fn node(row: &ClusterStatus) -> Value {
    let name = row.name.clone().unwrap_or_default();
    json!({
        "id": row.id.clone().unwrap_or_else(|| format!("node/{name}")),
        "name": name,
        "type": "node",
        "ip": row.ip,
        "level": row.level.clone().unwrap_or_default(),
        "local": row.local.unwrap_or_default(),
        "nodeid": row.nodeid.unwrap_or_default(),
        "online": row.online.unwrap_or_default(),
    })
}

/// What a node says about its load; a node that is off, or that we may not see, says less.
fn node_figures(row: &NodeRow) -> Value {
    json!({
        "node": row.node,
        "status": row.status,
        "cpu": row.cpu,
        "level": row.level.clone().unwrap_or_default(),
        "maxcpu": row.maxcpu,
        "maxmem": row.maxmem,
        "mem": row.mem,
        "ssl_fingerprint": row.ssl_fingerprint,
        "disk": row.disk,
        "maxdisk": row.maxdisk,
        "uptime": row.uptime,
    })
}
