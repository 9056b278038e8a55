//! The stages, each as a stream and, where that path is free, as one JSON answer.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};
use utoipa::IntoParams as _;
use utoipa::openapi::path::{HttpMethod, OperationBuilder, Parameter};
use utoipa::openapi::{Content, Paths, Ref, ResponseBuilder};
use utoipa_axum::router::OpenApiRouter;

use crate::http::AppState;
use crate::http::answers::endpoint_errors;
use crate::http::error::ApiError;
use crate::http::jobs::Job;
use crate::http::scope::{Scope, text_parameter};
use crate::http::sse;
use crate::sync::{Flag, Report, Stage};

/// A stage and where it is served.
#[derive(Debug, Clone, Copy)]
struct Place {
    stage: Stage,
    /// The path of the JSON answer, where there is one.
    plain: Option<&'static str>,
    /// The path of the stream.
    stream: &'static str,
    /// What its objects are called in a JSON answer with warnings.
    objects: &'static str,
}

const PLACES: &[Place] = &[
    Place {
        stage: Stage::Devices,
        plain: Some("/dcim/devices/create"),
        stream: "/dcim/devices/create/stream",
        objects: "devices",
    },
    Place {
        stage: Stage::Storage,
        plain: Some("/virtualization/virtual-machines/storage/create"),
        stream: "/virtualization/virtual-machines/storage/create/stream",
        objects: "storage",
    },
];

/// Parameters of every stage besides those that select endpoints and the overwrite flags.
const PARAMETERS: &[(&str, &str)] = &[
    (
        "netbox_id",
        "The stored NetBox endpoint to write to; the first enabled one where it is absent.",
    ),
    ("netbox_branch_schema_id", "The branch of NetBox to read and write."),
    ("dry_run", "Only tell what would be written."),
    ("allow_shrink", "Lift the shrink guard for this run."),
    ("detach", "Go on when the client leaves."),
    (
        "fetch_max_concurrency",
        "How many requests to one Proxmox may be under way at once.",
    ),
    ("sync_mode_cluster", "`always`, `bootstrap_only` or `disabled`."),
    ("sync_mode_node", "`always`, `bootstrap_only` or `disabled`."),
    ("sync_mode_storage", "`always`, `bootstrap_only` or `disabled`."),
];

/// What is served here, in the order of the OpenAPI document.
pub(super) fn routes() -> OpenApiRouter<AppState> {
    PLACES.iter().copied().fold(OpenApiRouter::new(), |router, place| {
        let stream = move |State(state): State<AppState>, scope: Scope| run_stream(place, state, scope);
        let plain = move |State(state): State<AppState>, scope: Scope| run_plain(place, state, scope);
        let router = router.routes((
            Vec::new(),
            documented(place, place.stream, "text/event-stream"),
            get(stream),
        ));
        match place.plain {
            Some(path) => router.routes((Vec::new(), documented(place, path, "application/json"), get(plain))),
            None => router,
        }
    })
}

/// Starts the run and answers its events. What makes the request impossible is an ordinary error, before the stream.
async fn run_stream(place: Place, state: AppState, scope: Scope) -> Result<Response, ApiError> {
    let job = Job::prepare(&state, &scope).await?;
    let running = state.runs.start(place.stage, job.request, job.context);
    Ok((endpoint_errors(&job.missing), sse::response(running.into_events())).into_response())
}

/// Starts the run and answers its report.
async fn run_plain(place: Place, state: AppState, scope: Scope) -> Result<Response, ApiError> {
    let job = Job::prepare(&state, &scope).await?;
    let running = state.runs.start(place.stage, job.request, job.context);
    let report = running.report().await.ok_or_else(|| {
        ApiError::message(
            StatusCode::INTERNAL_SERVER_ERROR,
            "Internal server error",
            "An unexpected error occurred.",
        )
    })?;
    let body = answer(place, &report)?;
    Ok((endpoint_errors(&job.missing), Json(body)).into_response())
}

/// The objects as they stand in NetBox now; with what went wrong, or with the plan of a dry run, an object around them.
fn answer(place: Place, report: &Report) -> Result<Value, ApiError> {
    let stage = place.stage.as_str();
    if report.is_cancelled {
        let text = "Server shutdown or request cancelled.";
        return Err(ApiError::message(
            StatusCode::SERVICE_UNAVAILABLE,
            format!("{stage} sync cancelled."),
            text,
        ));
    }
    if let Some(kind) = report.error_kind() {
        let detail = json!({"errors": report.errors(), "result": report.result()});
        return Err(ApiError::upstream(kind, &format!("{stage} sync failed."), detail));
    }
    let mut result = report.result();
    let is_plain = result.get("degraded").is_none() && !report.is_dry_run;
    match result.as_object_mut() {
        Some(members) if !is_plain => {
            members.insert(place.objects.to_owned(), Value::from(report.records()));
            Ok(result)
        }
        _ => Ok(Value::from(report.records())),
    }
}

/// The entry of a stage in the OpenAPI document.
fn documented(place: Place, path: &str, media_type: &str) -> Paths {
    let stage = place.stage.as_str();
    let success = ResponseBuilder::new()
        .description("What the run did, or tells while it goes on")
        .content(media_type, Content::default());
    let failure = ResponseBuilder::new()
        .description("The request is not possible")
        .content(
            "application/json",
            Content::new(Some(Ref::from_schema_name("ErrorBody"))),
        );
    let operation = OperationBuilder::new()
        .operation_id(Some(path.trim_matches('/').replace(['/', '-'], "_")))
        .summary(Some(format!("Brings NetBox in step with Proxmox: stage {stage}.")))
        .tag("stages")
        .parameters(Some(parameters()))
        .response("200", success)
        .response("400", failure);
    let mut paths = Paths::new();
    paths.add_path_operation(path, vec![HttpMethod::Get], operation);
    paths
}

fn parameters() -> Vec<Parameter> {
    let scope = Scope::into_params(|| None);
    let own = PARAMETERS
        .iter()
        .map(|(name, description)| text_parameter(name, description));
    let flags = Flag::ALL.iter().map(|flag| {
        let default = if flag.default() { "true" } else { "false" };
        text_parameter(
            flag.as_str(),
            &format!("Whether an existing value may be overwritten; default {default}."),
        )
    });
    scope.into_iter().chain(own).chain(flags).collect()
}
