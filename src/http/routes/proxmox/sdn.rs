//! `/proxmox/sdn/*`: software-defined networking as it is. A release without a kind of object has none.

use std::future::Future;

use axum::extract::State;
use axum::response::Response;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::Value;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::fields::{Field, Row, flag, good, none_where_absent, of_cluster, pairs, rows, shaped, text, whole};
use crate::http::AppState;
use crate::http::answers::Answers;
use crate::http::error::ApiError;
use crate::http::scope::Scope;
use crate::http::targets::{Target, select};
use crate::proxmox::types::evpn_zones;
use crate::proxmox::{Error, Property, Resource, SdnOnNode, Session};

/// How many lists of one endpoint are read at once.
const LISTS_AT_ONCE: usize = 4;
const CONTROLLER: &[Field] = &[
    text("controller"),
    text("type"),
    whole("asn"),
    text("peers"),
    text("node"),
    text("loopback"),
    text("state"),
];
const ZONE: &[Field] = &[
    text("zone"),
    text("type"),
    text("controller"),
    whole("vrf_vxlan").from(&["vrf-vxlan"]),
    whole("tag"),
    whole("mtu"),
    text("dns"),
    text("ipam"),
    text("rt_import").from(&["rt-import"]),
    text("state"),
    pairs("pending"),
];
const VNET: &[Field] = &[
    text("vnet"),
    text("zone"),
    text("type"),
    whole("tag"),
    text("alias"),
    flag("vlanaware"),
    text("state"),
    pairs("pending"),
];
const SUBNET: &[Field] = &[
    text("vnet"),
    text("zone"),
    text("subnet"),
    text("type"),
    text("gateway"),
    flag("snat"),
];
const FABRIC: &[Field] = &[
    text("fabric").from(&["fabric", "id", "name"]),
    text("type").from(&["type", "protocol"]),
    flag("advertise_subnets").from(&["advertise-subnets"]),
    flag("disable_arp_nd_suppression").from(&["disable-arp-nd-suppression"]),
    whole("vrf_vxlan").from(&["vrf-vxlan"]),
    text("peers"),
    whole("asn"),
];
const ROUTE_MAP: &[Field] = &[
    text("name").from(&["route-map-id", "id"]),
    text("action"),
    text("match_peer").from(&["match-peer"]),
    text("match_ip").from(&["match-ip"]),
    text("set_community").from(&["set-community"]),
    whole("order"),
];
const PREFIX: &[Field] = &[
    text("name"),
    text("cidr").from(&["cidr", "prefix"]),
    text("action"),
    whole("le"),
    whole("ge"),
];
const NODE_STATUS: &[Field] = &[text("node"), text("zone"), text("vnet"), text("kind"), text("name")];

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(controllers))
        .routes(routes!(zones))
        .routes(routes!(vnets))
        .routes(routes!(subnets))
        .routes(routes!(fabrics))
        .routes(routes!(all_fabrics))
        .routes(routes!(route_maps))
        .routes(routes!(prefix_lists))
        .routes(routes!(node_status))
}

/// The controllers of each selected endpoint.
#[utoipa::path(
    get, path = "/proxmox/sdn/controllers", tag = "proxmox", params(Scope),
    responses((status = 200, body = Vec<Value>)),
)]
async fn controllers(State(state): State<AppState>, scope: Scope) -> Result<Response, ApiError> {
    let read = async |session: Session| list(session.cluster().sdn().child("controllers")).await;
    listing(&state, &scope, CONTROLLER, read).await
}

/// The zones of each selected endpoint.
#[utoipa::path(
    get, path = "/proxmox/sdn/zones", tag = "proxmox", params(Scope), responses((status = 200, body = Vec<Value>)),
)]
async fn zones(State(state): State<AppState>, scope: Scope) -> Result<Response, ApiError> {
    let read = async |session: Session| list(session.cluster().sdn().child("zones")).await;
    listing(&state, &scope, ZONE, read).await
}

/// The virtual networks of each selected endpoint.
#[utoipa::path(
    get, path = "/proxmox/sdn/vnets", tag = "proxmox", params(Scope), responses((status = 200, body = Vec<Value>)),
)]
async fn vnets(State(state): State<AppState>, scope: Scope) -> Result<Response, ApiError> {
    let read = async |session: Session| list(session.cluster().sdn().child("vnets")).await;
    listing(&state, &scope, VNET, read).await
}

/// The subnets of all virtual networks of each selected endpoint.
#[utoipa::path(
    get, path = "/proxmox/sdn/subnets", tag = "proxmox", params(Scope), responses((status = 200, body = Vec<Value>)),
)]
async fn subnets(State(state): State<AppState>, scope: Scope) -> Result<Response, ApiError> {
    let read = async |session: Session| {
        let place = session.cluster().sdn().child("vnets");
        below(&place, ("vnet", "vnet"), "subnets").await
    };
    listing(&state, &scope, SUBNET, read).await
}

/// The fabrics of each selected endpoint.
#[utoipa::path(
    get, path = "/proxmox/sdn/fabrics", tag = "proxmox", params(Scope), responses((status = 200, body = Vec<Value>)),
)]
async fn fabrics(State(state): State<AppState>, scope: Scope) -> Result<Response, ApiError> {
    // One step above stands only a directory.
    let read = async |session: Session| list(session.cluster().sdn().child("fabrics").child("fabric")).await;
    listing(&state, &scope, FABRIC, read).await
}

/// As `/proxmox/sdn/fabrics`, from the list that Proxmox also gives with the nodes.
#[utoipa::path(
    get, path = "/proxmox/sdn/fabrics/all", tag = "proxmox", params(Scope),
    responses((status = 200, body = Vec<Value>)),
)]
async fn all_fabrics(State(state): State<AppState>, scope: Scope) -> Result<Response, ApiError> {
    let read = async |session: Session| {
        let place = session.cluster().sdn().child("fabrics").child("all");
        let all = none_where_absent(place.get_as::<Row>().await.map(|row| vec![row]))?;
        let fabrics = all.iter().filter_map(|row| row.get("fabrics")?.as_array()).flatten();
        Ok(fabrics.filter_map(Value::as_object).cloned().collect())
    };
    listing(&state, &scope, FABRIC, read).await
}

/// The entries of the route maps of each selected endpoint.
#[utoipa::path(
    get, path = "/proxmox/sdn/route-maps", tag = "proxmox", params(Scope),
    responses((status = 200, body = Vec<Value>)),
)]
async fn route_maps(State(state): State<AppState>, scope: Scope) -> Result<Response, ApiError> {
    let read = async |session: Session| {
        let entries = list(session.cluster().sdn().child("route-maps").child("entries")).await?;
        Ok(entries.into_iter().map(with_matches).collect())
    };
    listing(&state, &scope, ROUTE_MAP, read).await
}

/// The entries of the prefix lists of each selected endpoint.
#[utoipa::path(
    get, path = "/proxmox/sdn/prefix-lists", tag = "proxmox", params(Scope),
    responses((status = 200, body = Vec<Value>)),
)]
async fn prefix_lists(State(state): State<AppState>, scope: Scope) -> Result<Response, ApiError> {
    let read = async |session: Session| {
        let place = session.cluster().sdn().child("prefix-lists");
        below(&place, ("id", "name"), "entries").await
    };
    listing(&state, &scope, PREFIX, read).await
}

/// How zones and virtual networks stand on each node of each selected endpoint.
#[utoipa::path(
    get, path = "/proxmox/sdn/node-status", tag = "proxmox", params(Scope),
    responses((status = 200, body = Vec<Value>)),
)]
async fn node_status(State(state): State<AppState>, scope: Scope) -> Result<Response, ApiError> {
    let read = |target: Target, session: Session| async move {
        let (cluster, nodes) = target.named(session.list_nodes()).await?;
        let (zones, vnets) = tokio::try_join!(session.list_sdn_zones(), session.list_sdn_vnets())?;
        let routed = &evpn_zones(&zones.items, &vnets.items);
        let reads = stream::iter(nodes.items).map(|row| {
            let session = session.clone();
            async move {
                let found = session.sdn_on_node(&row.node, routed).await;
                (row.node, found)
            }
        });
        let answers: Vec<_> = reads.buffered(LISTS_AT_ONCE).collect().await;
        let rows = answers.iter();
        Ok(rows
            .flat_map(|(node, found)| on_node(&target, &cluster, node, found))
            .collect())
    };
    let answers = Answers::read(select(&state, &scope.filter).await?, read).await?;
    Ok(respond(answers, NODE_STATUS))
}

/// The rows that `read` finds at each selected endpoint, shaped by `fields`.
async fn listing<F, Answer>(state: &AppState, scope: &Scope, fields: &[Field], read: F) -> Result<Response, ApiError>
where
    F: Fn(Session) -> Answer,
    Answer: Future<Output = Result<Vec<Row>, Error>>,
{
    let read = &read;
    let answers = Answers::read(select(state, &scope.filter).await?, |target, session| async move {
        let (cluster, rows) = target.named(read(session)).await?;
        Ok(rows.iter().map(|row| row_of(&target, &cluster, row, fields)).collect())
    });
    Ok(respond(answers.await?, fields))
}

/// The rows of all endpoints; one that did not answer has a row that says so.
fn respond(answers: Answers<Vec<Value>>, fields: &[Field]) -> Response {
    answers.respond_with_failures(|items, failed| {
        let rows = items.into_iter().flat_map(|(_, rows)| rows);
        let failures = failed
            .iter()
            .map(|(target, error)| unread(target, &target.label(), (&Row::new(), fields), &error.to_string()));
        rows.chain(failures).collect()
    })
}

fn row_of(target: &Target, cluster: &str, row: &Row, fields: &[Field]) -> Value {
    let mut shaped = shaped(row, fields);
    shaped.insert("raw_config".to_owned(), Value::Object(row.clone()));
    let id = ("endpoint_id".to_owned(), Value::from(target.key.id.0));
    good(std::iter::once(id).chain(of_cluster(cluster, shaped)).collect())
}

/// What stands in the place of `row` where it could not be read.
fn unread(target: &Target, cluster: &str, (row, fields): (&Row, &[Field]), error: &str) -> Value {
    let mut row = row_of(target, cluster, row, fields);
    if let Some(row) = row.as_object_mut() {
        row.insert("status".to_owned(), Value::from("error"));
        row.insert("error".to_owned(), Value::from(error));
        row.insert("raw_config".to_owned(), Value::Object(Row::new()));
    }
    row
}

/// What a node says, and what of it could not be read.
fn on_node(target: &Target, cluster: &str, node: &str, found: &SdnOnNode) -> Vec<Value> {
    let rows = found.rows.iter().map(|row| {
        let state = &row.state;
        let name = state.name().or(state.vnet.as_deref()).or(state.zone.as_deref());
        let known = [
            ("node", Some(node)),
            ("zone", state.zone.as_deref()),
            ("vnet", state.vnet.as_deref()),
            ("kind", Some(row.kind.as_str())),
            ("name", name),
        ];
        let known = known.map(|(key, value)| (key.to_owned(), Value::from(value)));
        let mut shaped = row_of(target, cluster, &Row::from_iter(known), NODE_STATUS);
        if let Some(shaped) = shaped.as_object_mut() {
            shaped.insert("raw_config".to_owned(), Value::Object(row.raw.clone()));
        }
        shaped
    });
    let errors = found.failures.iter().map(|(_, error)| error.to_string());
    let reasons = found.rejected.iter().map(|row| row.reason.clone());
    let missing = errors.chain(reasons).map(|error| {
        let place = [("node", node), ("kind", "node")].map(|(key, value)| (key.to_owned(), Value::from(value)));
        unread(target, cluster, (&Row::from_iter(place), NODE_STATUS), &error)
    });
    rows.chain(missing).collect()
}

/// A list; a release without it has no rows.
async fn list(place: Resource) -> Result<Vec<Row>, Error> {
    none_where_absent(rows(place).await)
}

/// What stands in the list `name` of each object at `place`. An object's name is found at the first of `keys`, and given
/// to its rows at the second.
async fn below(place: &Resource, keys: (&str, &str), name: &str) -> Result<Vec<Row>, Error> {
    let heads = list(place.clone()).await?;
    let names = heads
        .iter()
        .filter_map(|head| head.get(keys.0)?.as_str())
        .map(str::to_owned);
    let reads = stream::iter(names.collect::<Vec<_>>()).map(|head| {
        let own = place.child(&head).child(name);
        async move {
            let mut rows = list(own).await?;
            for row in &mut rows {
                row.entry(keys.1).or_insert_with(|| Value::from(head.clone()));
            }
            Ok(rows)
        }
    });
    let lists: Vec<Vec<Row>> = reads.buffered(LISTS_AT_ONCE).try_collect().await?;
    Ok(lists.into_iter().flatten().collect())
}

/// An entry of a route map with what it matches under keys of its own.
fn with_matches(mut entry: Row) -> Row {
    let matches = entry
        .get("match")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    for part in matches.iter().filter_map(Value::as_str).map(Property::parse) {
        let ours = match part.get_default("key") {
            Some("peer") => "match-peer",
            Some("ip-address-prefix-list" | "ip6-address-prefix-list") => "match-ip",
            _ => continue,
        };
        if let Some(value) = part.get("value") {
            entry.insert(ours.to_owned(), Value::from(value));
        }
    }
    entry
}
