//! `/sync/individual/*`: one object brought in step.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, on};
use serde_json::{Value, json};
use utoipa::IntoParams as _;
use utoipa::openapi::Paths;
use utoipa::openapi::path::{Parameter, ParameterIn};
use utoipa_axum::router::OpenApiRouter;

use super::stages::METHODS;
use super::stages::document::{Synced, flags, required};
use crate::http::AppState;
use crate::http::error::ApiError;
use crate::http::extract::Path;
use crate::http::jobs::Job;
use crate::http::scope::{Scope, text_parameter};
use crate::http::single::get_called;
use crate::http::targets::{Selected, Target, select};
use crate::sync::{BadParameter, Individual, IndividualKind, IndividualReport, JobReport};

/// How long the client waits: the plugin gives up after 30 seconds.
const PATIENCE: Duration = Duration::from_secs(25);
/// When it may come back.
const LATER: Duration = Duration::from_secs(30);

/// Every path, and what it is about.
const PLACES: &[(&str, IndividualKind)] = &[
    ("/sync/individual/cluster", IndividualKind::Cluster),
    ("/sync/individual/node", IndividualKind::Node),
    ("/sync/individual/vm", IndividualKind::Machine),
    (
        "/sync/individual/vm/{cluster_name}/{node}/{type}/{vmid}",
        IndividualKind::Machine,
    ),
    ("/sync/individual/storage", IndividualKind::Storage),
    ("/sync/individual/interface", IndividualKind::Interface),
    ("/sync/individual/ip", IndividualKind::Address),
    ("/sync/individual/disk", IndividualKind::Disk),
    ("/sync/individual/replication", IndividualKind::Replication),
    ("/sync/individual/backup", IndividualKind::Backup),
    ("/sync/individual/backup-routines", IndividualKind::BackupRoutine),
    ("/sync/individual/snapshot", IndividualKind::Snapshot),
    ("/sync/individual/task-history", IndividualKind::Task),
];

/// Parameters that need not be given.
const OPTIONAL: &[(&str, &str)] = &[
    ("dry_run", "Only look."),
    (
        "netbox_id",
        "The stored NetBox endpoint to write to; the first enabled one where it is absent.",
    ),
    ("netbox_branch_schema_id", "The branch of NetBox to read and write."),
    (
        "auto_create_vm",
        "Whether a virtual machine that is missing may be made; default true.",
    ),
    (
        "auto_create_storage",
        "Whether a storage that is missing may be made; default true.",
    ),
    ("upid", "Tasks: this one; the latest of the guest where it is absent."),
];

/// What is served here; [`documented`] describes it.
pub(super) fn routes() -> OpenApiRouter<AppState> {
    PLACES.iter().fold(OpenApiRouter::new(), |router, (path, kind)| {
        router.route(path, handler(*kind))
    })
}

/// The entries of these routes in the OpenAPI document.
pub(super) fn documented() -> impl Iterator<Item = Paths> {
    PLACES.iter().map(|(path, kind)| {
        let synced = Synced {
            path,
            subject: kind.as_str(),
            media_type: "application/json",
            parameters: parameters(path, *kind),
        };
        synced.documented()
    })
}

fn handler(kind: IndividualKind) -> MethodRouter<AppState> {
    on(
        METHODS,
        move |State(state): State<AppState>, Path(path): Path<BTreeMap<String, String>>, mut scope: Scope| {
            let in_path: Vec<String> = path.keys().cloned().collect();
            scope.query.extend(path);
            run(kind, state, scope, in_path)
        },
    )
}

async fn run(
    kind: IndividualKind,
    state: AppState,
    mut scope: Scope,
    in_path: Vec<String>,
) -> Result<Response, ApiError> {
    let wanted = Individual::parse(kind, &scope.query).map_err(|error| match error {
        BadParameter::Form { name, message } if in_path.iter().any(|part| part == name) => {
            ApiError::invalid(&["path", name], &message)
        }
        error @ (BadParameter::Form { .. } | BadParameter::Machines | BadParameter::Scope { .. }) => error.into(),
    })?;
    // Here it is a guest's, not the endpoint's; most kinds have no use for it.
    scope.filter.ip_address = None;
    let selected = select(&state, &scope.filter).await?;
    let target = choose(&state, &scope, selected.targets, wanted.cluster.as_deref()).await?;
    let selected = Selected {
        targets: vec![target],
        ..Selected::default()
    };
    let job = Job::between(&state, &scope, None, selected).await?;
    let mut running = state
        .runs
        .start(crate::sync::Job::Individual(wanted), job.request, job.context);
    let begun = tokio::time::timeout(PATIENCE, running.begun()).await;
    begun.map_err(|_| busy("Another run of this endpoint has not ended yet."))?;
    let report = running.report().await.ok_or_else(|| ApiError::broken(None))?;
    match report {
        JobReport::Individual(report) => Ok(answer(&report)),
        JobReport::Stage(_) | JobReport::FullUpdate(_) | JobReport::Sweep(_) => Err(ApiError::broken(None)),
    }
}

/// The one endpoint that the request is about: the one whose cluster or host is called so, else the only one there is.
async fn choose(
    state: &AppState,
    scope: &Scope,
    mut targets: Vec<Target>,
    cluster: Option<&str>,
) -> Result<Target, ApiError> {
    if let Some(cluster) = cluster {
        return get_called(state, scope, targets, cluster).await;
    }
    match (targets.pop(), targets.is_empty()) {
        (Some(target), true) => Ok(target),
        (only, _) => {
            let problem = if only.is_some() {
                "Several Proxmox endpoints are"
            } else {
                "No Proxmox endpoint is"
            };
            let message = format!("{problem} selected; name one cluster with cluster_name.");
            Err(ApiError::message(StatusCode::BAD_REQUEST, message, Value::Null))
        }
    }
}

/// The answer of a run that is over. The plugin counts an object as done unless the status says otherwise, and shows
/// `detail`.
fn answer(report: &IndividualReport) -> Response {
    let mut result = report.result();
    if report.is_cancelled {
        return busy("The run was asked to stop.").into_response();
    }
    let Some(kind) = report.error_kind() else {
        return Json(result).into_response();
    };
    if let Some(members) = result.as_object_mut() {
        members.insert("detail".to_owned(), json!(report.error()));
    }
    ApiError::failed(kind, result).into_response()
}

fn busy(text: &str) -> ApiError {
    let error = ApiError::message(
        StatusCode::SERVICE_UNAVAILABLE,
        "The object was not brought in step",
        text,
    );
    error.retry_after(LATER)
}

fn parameters(path: &str, kind: IndividualKind) -> Vec<Parameter> {
    let needed = kind.required().iter().map(|name| {
        let is_in_path = path.contains(&format!("{{{name}}}"));
        let place = if is_in_path {
            ParameterIn::Path
        } else {
            ParameterIn::Query
        };
        required(name, place)
    });
    let is_new = |parameter: &Parameter| !kind.required().contains(&parameter.name.as_str());
    let optional = OPTIONAL
        .iter()
        .map(|(name, description)| text_parameter(name, description));
    let scope = Scope::into_params(|| None).into_iter().filter(is_new);
    needed.chain(scope).chain(optional).chain(flags()).collect()
}
