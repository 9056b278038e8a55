//! `/proxmox/replication`, `/proxmox/cluster/backup` and `/proxmox/cluster/tasks`: what clusters do by themselves.

use axum::extract::State;
use axum::response::Response;
use serde_json::{Value, json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::fields::{Field, failed, flag, good, of_cluster, rows, shaped, share, text, whole};
use crate::http::AppState;
use crate::http::answers::Answers;
use crate::http::error::ApiError;
use crate::http::scope::Scope;
use crate::http::targets::{Target, select};
use crate::proxmox::Session;

const REPLICATION: &[Field] = &[
    text("comment"),
    flag("disable"),
    whole("guest"),
    text("id"),
    whole("jobnum"),
    share("rate"),
    text("remove_job"),
    text("schedule"),
    text("source"),
    text("target"),
    text("type"),
];
const TASK: &[Field] = &[
    text("upid"),
    text("node"),
    text("type"),
    text("id"),
    text("user"),
    text("tokenid"),
    whole("pid"),
    whole("pstart"),
    whole("starttime"),
    whole("endtime"),
    text("status"),
];

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(replication))
        .routes(routes!(backup))
        .routes(routes!(tasks))
}

/// The replication jobs of each selected endpoint.
#[utoipa::path(
    get, path = "/proxmox/replication", tag = "proxmox", params(Scope),
    responses((status = 200, body = Vec<Value>)),
)]
async fn replication(State(state): State<AppState>, scope: Scope) -> Result<Response, ApiError> {
    let read = |target: Target, session: Session| async move {
        let (name, jobs) = target.named(rows(session.cluster().replication())).await?;
        let row = |job| good(of_cluster(&name, shaped(job, REPLICATION)));
        Ok(jobs.iter().map(row).collect())
    };
    let answers = Answers::read(select(&state, &scope.filter).await?, read).await?;
    Ok(answers.respond_rows(|cluster, error| failed(cluster, REPLICATION, error)))
}

/// The backup jobs of each selected endpoint, as Proxmox tells them.
#[utoipa::path(
    get, path = "/proxmox/cluster/backup", tag = "proxmox", params(Scope),
    responses((status = 200, body = Vec<Value>)),
)]
async fn backup(State(state): State<AppState>, scope: Scope) -> Result<Response, ApiError> {
    let read = |target: Target, session: Session| async move {
        let (name, jobs) = target.named(rows(session.cluster().backup())).await?;
        let row = |job| Value::Object(of_cluster(&name, job));
        Ok(jobs.into_iter().map(row).collect())
    };
    let answers = Answers::read(select(&state, &scope.filter).await?, read).await?;
    Ok(answers.respond_rows(|cluster, error| json!({"cluster_name": cluster, "error": error})))
}

/// The latest tasks of all nodes of each selected endpoint, running ones included.
#[utoipa::path(
    get, path = "/proxmox/cluster/tasks", tag = "proxmox", params(Scope),
    responses((status = 200, body = Vec<Value>)),
)]
async fn tasks(State(state): State<AppState>, scope: Scope) -> Result<Response, ApiError> {
    let read = |target: Target, session: Session| async move {
        let (name, tasks) = target.named(rows(session.cluster().tasks())).await?;
        let row = |task| Value::Object(of_cluster(&name, shaped(task, TASK)));
        Ok(tasks.iter().map(row).collect())
    };
    let answers = Answers::read(select(&state, &scope.filter).await?, read).await?;
    Ok(answers.respond_list())
}
