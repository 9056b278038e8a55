//! `/proxmox/cluster/ha/*`: high availability.

use axum::extract::State;
use axum::response::Response;
use serde_json::{Value, json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::fields::{
    Field, Row, failed, flag, good, none_where_absent, nothing_where_absent, of_cluster, rows, shaped, switch, text,
    whole,
};
use crate::http::AppState;
use crate::http::answers::Answers;
use crate::http::error::ApiError;
use crate::http::extract::Path;
use crate::http::scope::Scope;
use crate::http::targets::{Target, select};
use crate::proxmox::{Error, Property, Session, wire};

const STATUS: &[Field] = &[
    text("id"),
    text("type"),
    text("sid"),
    text("node"),
    text("state"),
    text("status"),
    text("crm_state"),
    text("request_state"),
    flag("quorate"),
    flag("failback"),
    whole("max_relocate"),
    whole("max_restart"),
    whole("timestamp"),
];
const RESOURCE: &[Field] = &[
    text("sid"),
    text("type"),
    text("state"),
    text("group"),
    whole("max_relocate"),
    whole("max_restart"),
    flag("failback"),
    text("comment"),
    text("digest"),
    text("node"),
    text("crm_state"),
    text("request_state"),
    text("status"),
];
/// The keys of a resource that only its status tells.
const OF_STATUS: &[&str] = &["node", "crm_state", "request_state", "status"];
const GROUP: &[Field] = &[
    text("group"),
    text("type"),
    text("nodes"),
    switch("restricted"),
    switch("nofailback"),
    text("comment"),
    text("digest"),
];
const RULE: &[Field] = &[
    text("rule"),
    text("type"),
    text("affinity"),
    text("nodes"),
    text("resources"),
    switch("strict"),
    switch("disable"),
    text("comment"),
];

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(summary))
        .routes(routes!(status))
        .routes(routes!(resources))
        .routes(routes!(resource_of_vm))
        .routes(routes!(groups))
        .routes(routes!(group))
        .routes(routes!(rules))
        .routes(routes!(manager_status))
        .routes(routes!(crs))
}

fn named(cluster: &str, rows: &[Row], fields: &[Field]) -> Vec<Value> {
    let row = |row| Value::Object(of_cluster(cluster, shaped(row, fields)));
    rows.iter().map(row).collect()
}

async fn read_status(session: &Session) -> Result<Vec<Row>, Error> {
    rows(session.cluster().ha().child("status").child("current")).await
}

/// The resources, each with what the status tells of it.
async fn read_resources(session: &Session) -> Result<Vec<Row>, Error> {
    let (resources, status) = tokio::try_join!(rows(session.cluster().ha().child("resources")), read_status(session))?;
    Ok(with_status(resources, &status))
}

fn with_status(mut resources: Vec<Row>, status: &[Row]) -> Vec<Row> {
    for resource in &mut resources {
        let own = status.iter().find(|row| row.get("sid") == resource.get("sid"));
        for (key, value) in own.into_iter().flatten() {
            if OF_STATUS.contains(&key.as_str()) {
                resource.insert(key.clone(), value.clone());
            }
        }
    }
    resources
}

/// The groups; there are none once they have been migrated to rules.
async fn read_groups(session: &Session) -> Result<Vec<Row>, Error> {
    none_where_absent(rows(session.cluster().ha().child("groups")).await)
}

/// The rules; releases before 9 have none.
async fn read_rules(session: &Session) -> Result<Vec<Row>, Error> {
    none_where_absent(rows(session.cluster().ha().child("rules")).await)
}

/// The row of a status list that stands for a cluster that could not be read.
fn failed_status(cluster: &str, error: &str) -> Value {
    let mut row = of_cluster(cluster, shaped(&Row::new(), STATUS));
    row.insert("status".to_owned(), Value::from(format!("error: {error}")));
    Value::Object(row)
}

/// State, groups, resources and rules of each selected endpoint's cluster.
#[utoipa::path(
    get, path = "/proxmox/cluster/ha/summary", tag = "proxmox", params(Scope),
    responses((status = 200, body = Value)),
)]
async fn summary(State(state): State<AppState>, scope: Scope) -> Result<Response, ApiError> {
    let read = |target: Target, session: Session| async move {
        let resources = session.cluster().ha().child("resources");
        let (name, parts) = target
            .named(async {
                tokio::try_join!(
                    read_status(&session),
                    read_groups(&session),
                    rows(resources),
                    read_rules(&session)
                )
            })
            .await?;
        let (status, groups, resources, rules) = parts;
        let resources = with_status(resources, &status);
        Ok([
            named(&name, &status, STATUS),
            named(&name, &groups, GROUP),
            named(&name, &resources, RESOURCE),
            named(&name, &rules, RULE),
        ])
    };
    let answers = Answers::read(select(&state, &scope.filter).await?, read).await?;
    Ok(answers.respond_with_failures(|items, failures| {
        let (mut status, mut groups, mut resources, mut rules) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (_, [own_status, own_groups, own_resources, own_rules]) in items {
            status.extend(own_status);
            groups.extend(own_groups);
            resources.extend(own_resources);
            rules.extend(own_rules);
        }
        let failures = failures.iter();
        status.extend(failures.map(|(target, error)| failed_status(&target.label(), &error.to_string())));
        json!({"status": status, "groups": groups, "resources": resources, "rules": rules})
    }))
}

/// What the managers of each selected endpoint's cluster say.
#[utoipa::path(
    get, path = "/proxmox/cluster/ha/status", tag = "proxmox", params(Scope),
    responses((status = 200, body = Vec<Value>)),
)]
async fn status(State(state): State<AppState>, scope: Scope) -> Result<Response, ApiError> {
    let read = |target: Target, session: Session| async move {
        let (name, rows) = target.named(read_status(&session)).await?;
        Ok(named(&name, &rows, STATUS))
    };
    let answers = Answers::read(select(&state, &scope.filter).await?, read).await?;
    Ok(answers.respond_rows(failed_status))
}

/// The guests under high availability.
#[utoipa::path(
    get, path = "/proxmox/cluster/ha/resources", tag = "proxmox", params(Scope),
    responses((status = 200, body = Vec<Value>)),
)]
async fn resources(State(state): State<AppState>, scope: Scope) -> Result<Response, ApiError> {
    let read = |target: Target, session: Session| async move {
        let (name, rows) = target.named(read_resources(&session)).await?;
        Ok(named(&name, &rows, RESOURCE))
    };
    let answers = Answers::read(select(&state, &scope.filter).await?, read).await?;
    Ok(answers.respond_list())
}

/// One guest under high availability, of the first selected endpoint that has it; null where it is not managed.
#[utoipa::path(
    get, path = "/proxmox/cluster/ha/resources/by-vm/{vmid}", tag = "proxmox",
    params(Scope, ("vmid" = u32, Path)), responses((status = 200, body = Option<Value>)),
)]
async fn resource_of_vm(
    State(state): State<AppState>,
    Path(vmid): Path<u32>,
    scope: Scope,
) -> Result<Response, ApiError> {
    let sids = [format!("vm:{vmid}"), format!("ct:{vmid}"), vmid.to_string()];
    let is_wanted = |row: &Row| {
        let sid = row.get("sid").and_then(Value::as_str);
        sid.is_some_and(|sid| sids.iter().any(|own| own == sid))
    };
    let read = |target: Target, session: Session| async move {
        let (name, rows) = target.named(read_resources(&session)).await?;
        let found = rows.into_iter().filter(is_wanted).collect::<Vec<_>>();
        Ok(named(&name, &found, RESOURCE))
    };
    let answers = Answers::read(select(&state, &scope.filter).await?, read).await?;
    answers.respond_first()
}

/// The groups of releases before 9.
#[utoipa::path(
    get, path = "/proxmox/cluster/ha/groups", tag = "proxmox", params(Scope),
    responses((status = 200, body = Vec<Value>)),
)]
async fn groups(State(state): State<AppState>, scope: Scope) -> Result<Response, ApiError> {
    let read = |target: Target, session: Session| async move {
        let (name, rows) = target.named(read_groups(&session)).await?;
        Ok(named(&name, &rows, GROUP))
    };
    let answers = Answers::read(select(&state, &scope.filter).await?, read).await?;
    Ok(answers.respond_list())
}

/// One group, of the first selected endpoint that has it; null where there is none.
#[utoipa::path(
    get, path = "/proxmox/cluster/ha/groups/{group}", tag = "proxmox",
    params(Scope, ("group" = String, Path)), responses((status = 200, body = Option<Value>)),
)]
async fn group(State(state): State<AppState>, Path(group): Path<String>, scope: Scope) -> Result<Response, ApiError> {
    let wanted = group.as_str();
    let read = |target: Target, session: Session| async move {
        let place = session.cluster().ha().child("groups").child(wanted);
        let found = async { nothing_where_absent(place.get_as::<Row>().await) };
        let (name, found) = target.named(found).await?;
        Ok(named(&name, found.as_slice(), GROUP))
    };
    let answers = Answers::read(select(&state, &scope.filter).await?, read).await?;
    answers.respond_first()
}

/// The rules of releases from 9 on.
#[utoipa::path(
    get, path = "/proxmox/cluster/ha/rules", tag = "proxmox", params(Scope),
    responses((status = 200, body = Vec<Value>)),
)]
async fn rules(State(state): State<AppState>, scope: Scope) -> Result<Response, ApiError> {
    let read = |target: Target, session: Session| async move {
        let (name, rows) = target.named(read_rules(&session)).await?;
        Ok(named(&name, &rows, RULE))
    };
    let answers = Answers::read(select(&state, &scope.filter).await?, read).await?;
    Ok(answers.respond_list())
}

/// What the manager of each selected endpoint's cluster has written down.
#[utoipa::path(
    get, path = "/proxmox/cluster/ha/manager-status", tag = "proxmox", params(Scope),
    responses((status = 200, body = Vec<Value>)),
)]
async fn manager_status(State(state): State<AppState>, scope: Scope) -> Result<Response, ApiError> {
    let read = |target: Target, session: Session| async move {
        let place = session.cluster().ha().child("status").child("manager_status");
        let (name, answer) = target.named(place.get_as::<Row>()).await?;
        Ok(vec![manager_row(&name, &answer)])
    };
    let answers = Answers::read(select(&state, &scope.filter).await?, read).await?;
    Ok(answers.respond_rows(|cluster, error| {
        json!({
            "cluster_name": cluster, "manager_status": format!("error: {error}"), "timestamp": null, "quorum_ok": null,
            "mode": null,
        })
    }))
}

fn manager_row(cluster: &str, answer: &Row) -> Value {
    let manager = answer.get("manager_status").cloned().unwrap_or_default();
    let own = |key: &str| manager.get(key).unwrap_or(&Value::Null);
    let quorum = answer.get("quorum").and_then(|quorum| quorum.get("quorate"));
    json!({
        "cluster_name": cluster,
        "timestamp": wire::number_of::<i64>(own("timestamp")).ok().flatten(),
        "quorum_ok": quorum.and_then(|quorate| wire::flag_of(quorate).ok().flatten()),
        "mode": wire::text_of(own("mode")).ok().flatten(),
        "manager_status": manager,
    })
}

/// How the scheduler of each selected endpoint's cluster chooses nodes.
#[utoipa::path(
    get, path = "/proxmox/cluster/ha/crs", tag = "proxmox", params(Scope),
    responses((status = 200, body = Vec<Value>)),
)]
async fn crs(State(state): State<AppState>, scope: Scope) -> Result<Response, ApiError> {
    const CRS: &[Field] = &[text("ha")];
    let read = |target: Target, session: Session| async move {
        let (name, options) = target.named(session.cluster().options().get_as::<Row>()).await?;
        let crs = match options.get("crs") {
            Some(Value::String(text)) => Property::parse(text).get("ha").map(Value::from),
            Some(crs) => crs.get("ha").cloned(),
            None => None,
        };
        let row = Row::from_iter([("ha".to_owned(), crs.unwrap_or_default())]);
        Ok(vec![good(of_cluster(&name, shaped(&row, CRS)))])
    };
    let answers = Answers::read(select(&state, &scope.filter).await?, read).await?;
    Ok(answers.respond_rows(|cluster, error| failed(cluster, CRS, error)))
}
