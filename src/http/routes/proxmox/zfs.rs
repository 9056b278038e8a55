//! `/proxmox/storage/zfs/*`: the ZFS pools of nodes.
//!
//! The answer says where its figures come from and what was tried. A failure is part of the answer, never an HTTP error.

use axum::extract::State;
use axum::response::Response;
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::fields::{Field, Row, of_cluster, rows, shaped, share, text, whole};
use crate::http::AppState;
use crate::http::answers::Answers;
use crate::http::error::ApiError;
use crate::http::extract::{NodeName, Path};
use crate::http::scope::Scope;
use crate::http::targets::{Target, select};
use crate::proxmox::{Error, Session};

/// How many nodes of one endpoint are asked at once.
const NODES_AT_ONCE: usize = 4;
/// Where the figures come from.
const SOURCE: &str = "proxmox_api";
const POOL: &[Field] = &[
    text("name"),
    whole("size"),
    whole("alloc"),
    whole("free"),
    whole("frag"),
    share("dedup"),
    text("health"),
];
const DETAIL: &[Field] = &[
    text("state"),
    text("status"),
    text("action"),
    text("scan"),
    text("errors"),
];
const DEVICE: &[Field] = &[
    text("name"),
    text("state"),
    share("read"),
    share("write"),
    share("cksum"),
    text("msg"),
];

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(pools)).routes(routes!(pool))
}

/// The pools of all nodes that are online, or of one node.
#[utoipa::path(
    get, path = "/proxmox/storage/zfs/pools", tag = "proxmox",
    params(Scope, ("node" = Option<String>, Query, description = "Only this node")),
    responses((status = 200, body = Value)),
)]
async fn pools(State(state): State<AppState>, scope: Scope) -> Result<Response, ApiError> {
    read_pools(&state, &scope, None).await
}

/// One pool, with its devices, on each node that has it.
#[utoipa::path(
    get, path = "/proxmox/storage/zfs/pools/{pool_name}", tag = "proxmox",
    params(Scope, ("pool_name" = String, Path), ("node" = Option<String>, Query, description = "Only this node")),
    responses((status = 200, body = Value)),
)]
async fn pool(
    State(state): State<AppState>,
    Path(pool_name): Path<String>,
    scope: Scope,
) -> Result<Response, ApiError> {
    read_pools(&state, &scope, Some(&pool_name)).await
}

/// What the nodes of endpoints answered.
#[derive(Debug, Default)]
struct Read {
    pools: Vec<Value>,
    /// Whether any node answered, be it that it has no pools.
    has_answer: bool,
    /// Which nodes and endpoints did not, and why.
    reasons: Vec<String>,
}

async fn read_pools(state: &AppState, scope: &Scope, pool: Option<&str>) -> Result<Response, ApiError> {
    let node = scope.query.get("node").filter(|node| !node.is_empty()).cloned();
    let node = node.map(NodeName::try_from).transpose();
    let node = node.map_err(|_| ApiError::invalid(&["query", "node"], "Must be the name of a node."))?;
    let node = node.as_deref();
    let read = |target: Target, session: Session| async move {
        let (cluster, nodes) = target.named(node_names(&session, node)).await?;
        Ok(of_nodes(&session, &cluster, nodes, pool).await)
    };
    let answers = Answers::attempt(select(state, &scope.filter).await?, read).await;
    Ok(answers.respond_with_failures(|items, failed| {
        let mut all = Read::default();
        for (_, read) in items {
            all.add(read);
        }
        let failures = failed.iter();
        all.reasons
            .extend(failures.map(|(target, error)| format!("{}: {error}", target.label())));
        all.answer()
    }))
}

/// The nodes to ask: those that are online, and `only` if it is given.
async fn node_names(session: &Session, only: Option<&str>) -> Result<Vec<String>, Error> {
    let nodes = session.list_nodes().await?.items.into_iter();
    let wanted = nodes.filter(|row| match only {
        Some(only) => row.node == only,
        None => row.status.as_deref() == Some("online"),
    });
    Ok(wanted.map(|row| row.node).collect())
}

async fn of_nodes(session: &Session, cluster: &str, nodes: Vec<String>, pool: Option<&str>) -> Read {
    let asking = stream::iter(nodes).map(|node| async move {
        let pools = of_node(session, cluster, &node, pool).await;
        (node, pools)
    });
    let answers: Vec<_> = asking.buffered(NODES_AT_ONCE).collect().await;
    let mut read = Read::default();
    for (node, answer) in answers {
        match answer {
            Ok(pools) => {
                read.has_answer = true;
                read.pools.extend(pools);
            }
            Err(error) => read.reasons.push(format!("{node}: {error}")),
        }
    }
    read
}

async fn of_node(session: &Session, cluster: &str, node: &str, only: Option<&str>) -> Result<Vec<Value>, Error> {
    let place = session.nodes(node).zfs();
    let mut pools = Vec::new();
    for pool in rows(place.clone()).await? {
        let name = pool.get("name").and_then(Value::as_str).unwrap_or_default();
        if only.is_some_and(|only| only != name) {
            continue;
        }
        let mut row = Row::from_iter([("node".to_owned(), Value::from(node))]);
        row.extend(shaped(&pool, POOL));
        if only.is_some() {
            let detail = place.child(name).get_as::<Row>().await?;
            row.extend(shaped(&detail, DETAIL));
            row.insert("children".to_owned(), devices(&detail));
        }
        row.insert("source".to_owned(), Value::from(SOURCE));
        pools.push(Value::Object(of_cluster(cluster, row)));
    }
    Ok(pools)
}

/// The devices below a pool or a device.
fn devices(above: &Row) -> Value {
    let below = above.get("children").and_then(Value::as_array).into_iter().flatten();
    let device = |row: &Row| {
        let mut device = shaped(row, DEVICE);
        device.insert("children".to_owned(), devices(row));
        Value::Object(device)
    };
    below.filter_map(Value::as_object).map(device).collect()
}

impl Read {
    fn add(&mut self, other: Self) {
        self.pools.extend(other.pools);
        self.has_answer |= other.has_answer;
        self.reasons.extend(other.reasons);
    }

    fn answer(self) -> Value {
        let reason = if self.reasons.is_empty() {
            (!self.has_answer).then(|| "no node was asked".to_owned())
        } else {
            Some(self.reasons.join("; "))
        };
        json!({
            "source": self.has_answer.then_some(SOURCE),
            "attempted_sources": [
                {"tier": SOURCE, "status": if self.has_answer { "success" } else { "failed" }, "reason": reason},
                {"tier": "influxdb", "status": "skipped", "reason": "not_configured"},
                {"tier": "ssh_cli", "status": "skipped", "reason": "not_implemented"},
            ],
            "pools": self.pools,
        })
    }
}
