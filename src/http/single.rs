//! The one endpoint that a request about a single place is about.

use axum::http::StatusCode;
use futures_util::future::join_all;
use serde::Deserialize;
use serde_json::{Value, json};

use super::AppState;
use super::error::ApiError;
use super::jobs::Identified;
use super::scope::Scope;
use super::targets::{Selected, Target, get_branch};
use crate::netbox::{Client, Query};
use crate::proxmox::{Error, Session};
use crate::sync::SyncRequest;

/// The query key that chooses among several clusters.
pub(super) const CLUSTER_NAME: &str = "cluster_name";

/// Where the plugin keeps the clusters that it tracks.
const TRACKED: &str = "/api/plugins/proxbox/proxmox-clusters/";
/// Where NetBox keeps its clusters.
const CLUSTERS: &str = "/api/virtualization/clusters/";

/// A cluster that the plugin tracks.
#[derive(Debug, Deserialize)]
struct Tracked {
    name: String,
    netbox_cluster: Option<Identified>,
}

/// A row of which only the name counts.
#[derive(Debug, Deserialize)]
struct Named {
    name: String,
}

/// One endpoint with its session.
#[derive(Debug)]
pub(super) struct Single {
    target: Target,
    session: Session,
}

impl Single {
    /// The only selected endpoint; of several the one whose cluster or host is called as `cluster_name` in the query.
    /// `subject` says in the refusal what it is needed for.
    ///
    /// # Errors
    ///
    /// 400 where there is none or where it is not clear which; the failure of an endpoint that could not be asked for
    /// its name.
    pub(super) async fn choose(selected: Selected, scope: &Scope, subject: &str) -> Result<Self, ApiError> {
        let wanted = scope.query.get(CLUSTER_NAME).map(|name| name.trim());
        let mut targets = match wanted.filter(|name| !name.is_empty()) {
            Some(name) => {
                let found = called(selected.targets, name).await?;
                Vec::from([found.ok_or_else(|| refused(no_session(name)))?])
            }
            None => selected.targets,
        };
        match (targets.pop(), targets.is_empty()) {
            (Some(target), true) => {
                let session = target.session.clone().map_err(|error| failure(&target, error))?;
                Ok(Self { target, session })
            }
            (Some(_), false) => Err(refused(format!(
                "Multiple Proxmox sessions configured; provide cluster_name for {subject}."
            ))),
            (None, _) => Err(refused("No Proxmox endpoint is selected.".to_owned())),
        }
    }

    /// What `read` answers of the endpoint, with the name of its cluster or host.
    ///
    /// # Errors
    ///
    /// The failure of the endpoint.
    pub(super) fn read<T, Answer>(
        &self,
        read: impl FnOnce(Session) -> Answer,
    ) -> impl Future<Output = Result<(String, T), ApiError>>
    where
        Answer: Future<Output = Result<T, Error>>,
    {
        let answer = self.target.named(read(self.session.clone()));
        async { answer.await.map_err(|error| failure(&self.target, error)) }
    }
}

/// What is said where no cluster has the name.
fn no_session(cluster: &str) -> String {
    format!("No Proxmox session found for cluster: {cluster}")
}

/// The target whose cluster or host has this name, whatever its case; the only one there is also where NetBox calls its
/// cluster so, which an operator may have given another name.
///
/// # Errors
///
/// 404 where none has it; 400 and the failures of endpoints as [`called`]; the failure of NetBox.
pub(super) async fn get_called(
    state: &AppState,
    scope: &Scope,
    targets: Vec<Target>,
    name: &str,
) -> Result<Target, ApiError> {
    let only = targets.first().filter(|_| targets.len() == 1).cloned();
    if let Some(found) = called(targets, name).await? {
        return Ok(found);
    }
    if let Some(only) = only {
        let client = get_branch(state, &SyncRequest::parse(&scope.query)?).await?;
        if is_tracked_as(&client, &only, name).await? {
            return Ok(only);
        }
    }
    let text = no_session(name);
    Err(ApiError::bare(
        StatusCode::NOT_FOUND,
        json!({"error": text, "detail": text}),
    ))
}

/// Whether the plugin tracks the target's cluster under this name, or links a cluster of NetBox that has it.
async fn is_tracked_as(client: &Client, target: &Target, name: &str) -> Result<bool, ApiError> {
    let Some(endpoint) = target.plugin_id() else {
        return Ok(false);
    };
    let query = Query::new().with("endpoint", endpoint).expect("endpoint.id", endpoint);
    let query = query.fields(&["endpoint", "name", "netbox_cluster"]);
    let rows: Vec<Tracked> = client.list(TRACKED, &query).await?;
    let linked = rows.iter().filter_map(|row| row.netbox_cluster.as_ref());
    let linked: Vec<String> = linked.map(|cluster| cluster.id.to_string()).collect();
    let query = Query::new().fields(&["name"]).expect_chunk("id");
    let clusters: Vec<Named> = client.list_chunked(CLUSTERS, &query, "id", &linked).await?;
    let names = rows.iter().map(|row| &row.name);
    let mut names = names.chain(clusters.iter().map(|cluster| &cluster.name));
    Ok(names.any(|own| own.eq_ignore_ascii_case(name)))
}

/// The target whose cluster or host has this name, whatever its case; `None` where no endpoint has it.
///
/// # Errors
///
/// 400 where several have it; where none has, the failure of an endpoint that could not be asked for its name.
async fn called(targets: Vec<Target>, name: &str) -> Result<Option<Target>, ApiError> {
    let names = join_all(targets.iter().map(Target::name)).await;
    let mut found = Vec::new();
    let mut unknown = None;
    for (target, own) in targets.into_iter().zip(names) {
        match own {
            Ok(own) if own.eq_ignore_ascii_case(name) => found.push(target),
            Ok(_) => {}
            Err(error) => unknown = unknown.or(Some(failure(&target, error))),
        }
    }
    match (found.len(), unknown) {
        (0, Some(error)) => Err(error),
        (0, None) => Ok(None),
        (1, _) => Ok(found.pop()),
        _ => Err(refused(format!(
            "Several Proxmox endpoints lead to the cluster {name}; select one with proxmox_endpoint_ids."
        ))),
    }
}

fn failure(target: &Target, error: Error) -> ApiError {
    ApiError::from(error).about(target.key, &target.settings.name)
}

fn refused(message: String) -> ApiError {
    ApiError::message(StatusCode::BAD_REQUEST, message, Value::Null)
}
