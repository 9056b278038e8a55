//! The stages, the full update and the sweep, each as a stream and, where that path is free, as one JSON answer.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use serde_json::{Value, json};
use utoipa::IntoParams as _;
use utoipa::openapi::path::{HttpMethod, OperationBuilder, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::{Content, Paths, Ref, Required, ResponseBuilder};
use utoipa_axum::router::OpenApiRouter;

use crate::http::AppState;
use crate::http::answers::endpoint_errors;
use crate::http::error::ApiError;
use crate::http::extract::Path;
use crate::http::jobs::Job;
use crate::http::scope::{Scope, text_parameter};
use crate::http::sse;
use crate::netbox::ObjectId;
use crate::sync::{self, BadParameter, Flag, JobReport, Stage};

/// Something that runs and where it is served.
#[derive(Debug, Clone, Copy)]
struct Place {
    work: sync::Job,
    /// The path; of one virtual machine where it holds [`MACHINE`].
    path: &'static str,
    answer: Answer,
}

/// How a run is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// Its events.
    Stream,
    /// The objects it leaves in NetBox, called so where more has to be said.
    Objects(&'static str),
    /// Its counts.
    Counts,
}

const MACHINE: &str = "{netbox_vm_id}";

/// Where `stage` is streamed for all virtual machines.
pub fn stage_stream(stage: Stage) -> Option<&'static str> {
    let is_it = |place: &&Place| {
        place.work == sync::Job::Stage(stage) && place.answer == Answer::Stream && !place.path.contains(MACHINE)
    };
    PLACES.iter().find(is_it).map(|place| place.path)
}

const fn stream(stage: Stage, path: &'static str) -> Place {
    Place {
        work: sync::Job::Stage(stage),
        path,
        answer: Answer::Stream,
    }
}

const fn objects(stage: Stage, path: &'static str, name: &'static str) -> Place {
    Place {
        work: sync::Job::Stage(stage),
        path,
        answer: Answer::Objects(name),
    }
}

const fn counts(stage: Stage, path: &'static str) -> Place {
    Place {
        work: sync::Job::Stage(stage),
        path,
        answer: Answer::Counts,
    }
}

const fn whole(work: sync::Job, path: &'static str, answer: Answer) -> Place {
    Place { work, path, answer }
}

/// Whether the stage `virtual-machines` has lost guests is told by the request.
const SWEEP: sync::Job = sync::Job::Sweep { vm_stage_failed: false };

/// Every path that runs something.
const PLACES: &[Place] = &[
    whole(sync::Job::FullUpdate, "/full-update/stream", Answer::Stream),
    whole(sync::Job::FullUpdate, "/full-update", Answer::Counts),
    whole(
        SWEEP,
        "/virtualization/virtual-machines/orphans/sweep/stream",
        Answer::Stream,
    ),
    whole(SWEEP, "/virtualization/virtual-machines/orphans/sweep", Answer::Counts),
    stream(Stage::Devices, "/dcim/devices/create/stream"),
    objects(Stage::Devices, "/dcim/devices/create", "devices"),
    stream(Stage::Storage, "/virtualization/virtual-machines/storage/create/stream"),
    objects(
        Stage::Storage,
        "/virtualization/virtual-machines/storage/create",
        "storage",
    ),
    stream(Stage::VirtualMachines, "/virtualization/virtual-machines/create/stream"),
    objects(
        Stage::VirtualMachines,
        "/virtualization/virtual-machines/create",
        "virtual_machines",
    ),
    stream(
        Stage::VirtualMachines,
        "/virtualization/virtual-machines/{netbox_vm_id}/create/stream",
    ),
    objects(
        Stage::VirtualMachines,
        "/virtualization/virtual-machines/{netbox_vm_id}/create",
        "virtual_machines",
    ),
    stream(
        Stage::TaskHistory,
        "/virtualization/virtual-machines/task-history/create/stream",
    ),
    counts(
        Stage::TaskHistory,
        "/virtualization/virtual-machines/task-history/create",
    ),
    stream(
        Stage::VirtualDisks,
        "/virtualization/virtual-machines/virtual-disks/create/stream",
    ),
    counts(
        Stage::VirtualDisks,
        "/virtualization/virtual-machines/virtual-disks/create",
    ),
    stream(
        Stage::VirtualDisks,
        "/virtualization/virtual-machines/{netbox_vm_id}/virtual-disks/create/stream",
    ),
    stream(
        Stage::Backups,
        "/virtualization/virtual-machines/backups/all/create/stream",
    ),
    objects(
        Stage::Backups,
        "/virtualization/virtual-machines/backups/all/create",
        "backups",
    ),
    stream(
        Stage::Backups,
        "/virtualization/virtual-machines/{netbox_vm_id}/backups/create/stream",
    ),
    stream(
        Stage::Snapshots,
        "/virtualization/virtual-machines/snapshots/all/create/stream",
    ),
    counts(
        Stage::Snapshots,
        "/virtualization/virtual-machines/snapshots/all/create",
    ),
    stream(
        Stage::Snapshots,
        "/virtualization/virtual-machines/{netbox_vm_id}/snapshots/create/stream",
    ),
    stream(Stage::NodeInterfaces, "/dcim/devices/interfaces/create/stream"),
    objects(Stage::NodeInterfaces, "/dcim/devices/interfaces/create", "interfaces"),
    stream(
        Stage::VmInterfaces,
        "/virtualization/virtual-machines/interfaces/create/stream",
    ),
    objects(
        Stage::VmInterfaces,
        "/virtualization/virtual-machines/interfaces/create",
        "vm_interfaces",
    ),
    stream(
        Stage::VmIpAddresses,
        "/virtualization/virtual-machines/interfaces/ip-address/create/stream",
    ),
    objects(
        Stage::VmIpAddresses,
        "/virtualization/virtual-machines/interfaces/ip-address/create",
        "vm_ip_addresses",
    ),
    stream(Stage::Sdn, "/proxmox/sdn/create/stream"),
    stream(Stage::Replications, "/proxmox/replication/stream"),
    stream(Stage::BackupRoutines, "/proxmox/cluster/backup/stream"),
];

/// Parameters of every stage besides those that select endpoints and the overwrite flags.
const PARAMETERS: &[(&str, &str)] = &[
    (
        "netbox_id",
        "The stored NetBox endpoint to write to; the first enabled one where it is absent.",
    ),
    ("netbox_branch_schema_id", "The branch of NetBox to read and write."),
    (
        "netbox_vm_ids",
        "Only the guests of these virtual machines: numbers, parted by commas.",
    ),
    ("dry_run", "Only tell what would be written."),
    ("allow_shrink", "Lift the shrink guard for this run."),
    ("detach", "Go on when the client leaves."),
    (
        "fetch_max_concurrency",
        "How many requests to one Proxmox may be under way at once.",
    ),
];

/// Kinds of resources that have a mode of their own.
const MODES: &[&str] = &[
    "vm",
    "vm_template",
    "vm_interface",
    "mac",
    "ip_address",
    "cluster",
    "node",
    "storage",
    "sdn",
    "sdn_bgp",
];

/// What is served here, in the order of the OpenAPI document.
pub(super) fn routes() -> OpenApiRouter<AppState> {
    PLACES.iter().fold(OpenApiRouter::new(), |router, place| {
        router.routes((Vec::new(), documented(*place), handler(*place)))
    })
}

fn handler(place: Place) -> MethodRouter<AppState> {
    if place.path.contains(MACHINE) {
        get(
            move |State(state): State<AppState>, Path(machine): Path<u64>, scope: Scope| async move {
                run(place, state, scope, Some(ObjectId(machine))).await
            },
        )
    } else {
        get(move |State(state): State<AppState>, scope: Scope| run(place, state, scope, None))
    }
}

/// Starts the run and answers its events or its report. What makes the request impossible is an ordinary error, before
/// anything is streamed.
async fn run(place: Place, state: AppState, scope: Scope, machine: Option<ObjectId>) -> Result<Response, ApiError> {
    let work = asked(place.work, &scope)?;
    let job = Job::prepare(&state, &scope, machine).await?;
    let missing = endpoint_errors(&job.missing);
    let running = state.runs.start(work, job.request, job.context);
    if place.answer == Answer::Stream {
        return Ok((missing, sse::response(running.into_events())).into_response());
    }
    let report = running.report().await.ok_or_else(|| ApiError::broken(None))?;
    Ok((missing, Json(answer(place, report)?)).into_response())
}

/// What is to run, with what only the query tells. A sweep that writes has to say for which run and which endpoints.
fn asked(work: sync::Job, scope: &Scope) -> Result<sync::Job, ApiError> {
    if !matches!(work, sync::Job::Sweep { .. }) {
        return Ok(work);
    }
    let required = |name: &'static str, message: &str| BadParameter::Form {
        name,
        message: message.to_owned(),
    };
    if scope.query.get("run_id").is_none_or(|id| id.trim().is_empty()) {
        return Err(required("run_id", "is required").into());
    }
    let is_live = !sync::switch(&scope.query, "dry_run")?.unwrap_or_default();
    if is_live && scope.filter.ids.is_none() {
        return Err(required("proxmox_endpoint_ids", "is required unless dry_run is set").into());
    }
    Ok(sync::Job::Sweep {
        vm_stage_failed: sync::switch(&scope.query, "vm_stage_failed")?.unwrap_or_default(),
    })
}

/// The report of a run that is not streamed. With warnings, or with the plan of a dry run, objects come below a name.
fn answer(place: Place, report: JobReport) -> Result<Value, ApiError> {
    let name = place.work.as_str();
    if report.is_cancelled() {
        let text = "Server shutdown or request cancelled.";
        return Err(ApiError::message(
            StatusCode::SERVICE_UNAVAILABLE,
            format!("{name} sync cancelled."),
            text,
        ));
    }
    let mut result = report.result();
    if let Some(kind) = report.error_kind() {
        let detail = json!({"errors": report.errors(), "result": result});
        return Err(ApiError::upstream(kind, &format!("{name} sync failed."), detail));
    }
    let (Answer::Objects(list), Some(report)) = (place.answer, report.into_stage()) else {
        return Ok(result);
    };
    let records = Value::from(report.records());
    let is_plain = !report.is_dry_run && result.get("degraded").is_none();
    match result.as_object_mut() {
        Some(members) if !is_plain => {
            members.insert(list.to_owned(), records);
            Ok(result)
        }
        _ => Ok(records),
    }
}

/// The entry of a stage in the OpenAPI document.
fn documented(place: Place) -> Paths {
    let media_type = if place.answer == Answer::Stream {
        "text/event-stream"
    } else {
        "application/json"
    };
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
        .operation_id(Some(
            place
                .path
                .trim_matches('/')
                .replace(['/', '-'], "_")
                .replace(['{', '}'], ""),
        ))
        .summary(Some(format!(
            "Brings NetBox in step with Proxmox: {}.",
            place.work.as_str()
        )))
        .tag("stages")
        .parameters(Some(parameters(place)))
        .response("200", success)
        .response("400", failure);
    let mut paths = Paths::new();
    paths.add_path_operation(place.path, vec![HttpMethod::Get], operation);
    paths
}

fn parameters(place: Place) -> Vec<Parameter> {
    let machine = place.path.contains(MACHINE).then(|| {
        let parameter = ParameterBuilder::new()
            .name(MACHINE.trim_matches(['{', '}']))
            .parameter_in(ParameterIn::Path);
        parameter.required(Required::True).build()
    });
    let own = PARAMETERS
        .iter()
        .map(|(name, description)| text_parameter(name, description));
    let modes = MODES.iter().map(|kind| {
        text_parameter(
            &format!("sync_mode_{kind}"),
            "How far the kind is kept in step: always, bootstrap_only or disabled.",
        )
    });
    let flags = Flag::ALL.iter().map(|flag| {
        let default = if flag.default() { "true" } else { "false" };
        text_parameter(
            flag.as_str(),
            &format!("Whether an existing value may be overwritten; default {default}."),
        )
    });
    let scope = Scope::into_params(|| None);
    machine
        .into_iter()
        .chain(scope)
        .chain(own)
        .chain(modes)
        .chain(flags)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stage_has_a_stream() {
        for stage in Stage::ORDER {
            let is_streamed = |place: &Place| place.work == sync::Job::Stage(*stage) && place.answer == Answer::Stream;
            assert!(PLACES.iter().any(is_streamed), "{}", stage.as_str());
        }
    }
}
