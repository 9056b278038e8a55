//! The stages, the full update and the sweep, each as a stream and, where that path is free, as one JSON answer.

pub(super) mod document;
mod records;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use serde_json::{Value, json};
use utoipa::openapi::Paths;
use utoipa_axum::router::OpenApiRouter;

use crate::http::AppState;
use crate::http::answers::endpoint_errors;
use crate::http::error::ApiError;
use crate::http::extract::{NodeName, Path};
use crate::http::jobs::Job;
use crate::http::scope::Scope;
use crate::http::single::{CLUSTER_NAME, get_called};
use crate::http::sse;
use crate::http::targets::select;
use crate::netbox::ObjectId;
use crate::sync::{self, BadParameter, JobReport, Part, Report, Stage};

/// Something that runs and where it is served.
#[derive(Debug)]
struct Place {
    work: sync::Job,
    /// The path; of one virtual machine where it holds [`MACHINE`], of one node where it holds [`NODE`].
    path: &'static str,
    answer: Answer,
    /// What the request has to limit the run to.
    limits: Option<Limits>,
}

/// To what a run is limited, besides perhaps one guest.
#[derive(Debug)]
struct Limits {
    /// The parameters, and what each names.
    parts: &'static [(&'static str, Part)],
    /// What is said where there is no such thing; [`NODE`] stands for the node that was asked for.
    missing: &'static str,
    /// What is said where nothing of it is any virtual machine's; `None`: there may be nothing of it.
    unusable: Option<&'static str>,
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
const NODE: &str = "{node}";
/// What is said where it cannot be told which guest the virtual machine of the path is.
const UNRESOLVED: &str = "Unable to resolve explicitly selected VM ownership";
/// How runs are asked for: the plugin says GET, although they write.
pub(super) const METHODS: MethodFilter = MethodFilter::GET.or(MethodFilter::POST);

/// Where `stage` is streamed for all virtual machines.
pub fn stage_stream(stage: Stage) -> Option<&'static str> {
    let is_it = |place: &&Place| {
        place.work == sync::Job::Stage(stage) && place.answer == Answer::Stream && !place.path.contains(MACHINE)
    };
    PLACES.iter().find(is_it).map(|place| place.path)
}

const fn stream(stage: Stage, path: &'static str) -> Place {
    whole(sync::Job::Stage(stage), path, Answer::Stream)
}

const fn objects(stage: Stage, path: &'static str, name: &'static str) -> Place {
    whole(sync::Job::Stage(stage), path, Answer::Objects(name))
}

const fn counts(stage: Stage, path: &'static str) -> Place {
    whole(sync::Job::Stage(stage), path, Answer::Counts)
}

const fn whole(work: sync::Job, path: &'static str, answer: Answer) -> Place {
    Place {
        work,
        path,
        answer,
        limits: None,
    }
}

const fn limited(mut place: Place, limits: Limits) -> Place {
    place.limits = Some(limits);
    place
}

/// What is said of a sweep that would write and does not say for which endpoints.
const SCOPELESS: &str = "A non-dry-run orphan sweep requires endpoint_ids (or proxmox_endpoint_ids) so it can only affect \
                         the endpoints the run synchronized.";

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
    limited(
        objects(
            Stage::Backups,
            "/virtualization/virtual-machines/backups/create",
            "backups",
        ),
        Limits {
            parts: &[("node", Part::Node), ("storage", Part::Storage)],
            missing: "Node or Storage not found.",
            unusable: Some("No valid backups to process."),
        },
    ),
    limited(
        counts(Stage::Snapshots, "/virtualization/virtual-machines/snapshots/create"),
        Limits {
            parts: &[],
            missing: "",
            unusable: None,
        },
    ),
    limited(
        objects(
            Stage::NodeInterfaces,
            "/dcim/devices/{node}/interfaces/create",
            "interfaces",
        ),
        Limits {
            parts: &[("node", Part::Node), ("type", Part::Ports)],
            missing: "No NetBox device found for Proxmox node '{node}'",
            unusable: None,
        },
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

/// What is served here; [`documented`] describes it.
pub(super) fn routes() -> OpenApiRouter<AppState> {
    PLACES.iter().fold(OpenApiRouter::new(), |router, place| {
        router.route(place.path, handler(place))
    })
}

/// The entries of the stages in the OpenAPI document.
pub(super) fn documented() -> impl Iterator<Item = Paths> {
    PLACES.iter().map(document::documented)
}

fn handler(place: &'static Place) -> MethodRouter<AppState> {
    if place.path.contains(MACHINE) {
        return on(
            METHODS,
            move |State(state): State<AppState>, Path(machine): Path<u64>, scope: Scope| {
                run(place, state, scope, Some(ObjectId(machine)))
            },
        );
    }
    if place.path.contains(NODE) {
        return on(
            METHODS,
            move |State(state): State<AppState>, Path(node): Path<NodeName>, mut scope: Scope| {
                scope.query.insert("node".to_owned(), node.to_string());
                run(place, state, scope, None)
            },
        );
    }
    on(METHODS, move |State(state): State<AppState>, scope: Scope| {
        run(place, state, scope, None)
    })
}

/// Starts the run and answers its events or its report. What makes the request impossible is an ordinary error, before
/// anything is streamed.
async fn run(
    place: &'static Place,
    state: AppState,
    scope: Scope,
    machine: Option<ObjectId>,
) -> Result<Response, ApiError> {
    let work = asked(&place.work, &scope)?;
    let mut selected = select(&state, &scope.filter).await?;
    let cluster = scope.query.get(CLUSTER_NAME).map(|name| name.trim());
    if let Some(cluster) = cluster.filter(|name| place.path.contains(NODE) && !name.is_empty()) {
        selected.targets = vec![get_called(&state, &scope, selected.targets, cluster).await?];
    }
    let mut job = Job::between(&state, &scope, machine, selected).await?;
    if let Some(limits) = &place.limits {
        job.limit(&scope, limits.parts).await?;
    }
    let is_looking = job.context.delete_orphans || job.request.dry_run;
    if work == (sync::Job::Sweep { vm_stage_failed: false }) && is_looking {
        // A stream tells of this itself.
        let opened = job.open().await;
        if place.answer != Answer::Stream {
            opened?;
        }
    }
    let missing = endpoint_errors(&job.missing);
    let netbox = job.context.netbox.clone();
    let running = state.runs.start(work, job.request, job.context);
    if place.answer == Answer::Stream {
        return Ok((missing, sse::response(running.into_events())).into_response());
    }
    let report = running.report().await.ok_or_else(|| ApiError::broken(None))?;
    let mut body = answer(place, &scope, report)?;
    if let (Some(whole), Answer::Objects(list)) = (records::whole(&place.work), place.answer) {
        records::show(&netbox, whole, list, &mut body).await;
    }
    Ok((missing, Json(body)).into_response())
}

/// What is to run, with what only the query tells. A sweep that writes has to say for which run and which endpoints.
fn asked(work: &sync::Job, scope: &Scope) -> Result<sync::Job, ApiError> {
    if !matches!(work, sync::Job::Sweep { .. }) {
        return Ok(work.clone());
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
        return Err(ApiError::plain(StatusCode::UNPROCESSABLE_ENTITY, SCOPELESS));
    }
    Ok(sync::Job::Sweep {
        vm_stage_failed: sync::switch(&scope.query, "vm_stage_failed")?.unwrap_or_default(),
    })
}

/// The report of a run that is not streamed. With warnings, or with the plan of a dry run, objects come below a name.
fn answer(place: &Place, scope: &Scope, report: JobReport) -> Result<Value, ApiError> {
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
        if matches!(&report, JobReport::Stage(stage) if stage.is_unresolved()) {
            return Err(ApiError::message(StatusCode::BAD_GATEWAY, UNRESOLVED, detail));
        }
        return Err(ApiError::upstream(kind, &format!("{name} sync failed."), detail));
    }
    let (Answer::Objects(list), Some(report)) = (place.answer, report.into_stage()) else {
        return Ok(result);
    };
    let tasks = report.tasks();
    if report.stage == Stage::VirtualMachines && tasks.is_degraded() && !report.is_dry_run {
        let text = "Task history sync degraded.";
        return Err(ApiError::message(StatusCode::BAD_GATEWAY, text, json!(tasks)));
    }
    let records = report.records();
    let is_nothing = records.is_empty() && report.counts().failed == 0;
    if let (Some(limits), true) = (&place.limits, is_nothing) {
        refuse_nothing(limits, scope, &report, &result)?;
    }
    let records = Value::from(records);
    let is_plain = !report.is_dry_run && result.get("degraded").is_none();
    match result.as_object_mut() {
        Some(members) if !is_plain => {
            members.insert(list.to_owned(), records);
            Ok(result)
        }
        _ => Ok(records),
    }
}

/// Why there is nothing, where that is not how it should be. What could not be read is not taken for missing.
fn refuse_nothing(limits: &Limits, scope: &Scope, report: &Report, result: &Value) -> Result<(), ApiError> {
    if let Some(gap) = report.gaps().last() {
        let detail = json!({"category": gap.kind.as_str(), "result": result});
        return Err(ApiError::upstream(gap.kind, &gap.to_string(), detail));
    }
    let message = match limits.unusable {
        Some(_) if report.counts().total() == 0 => limits.missing,
        Some(unusable) => unusable,
        None if report.endpoints.is_empty() => limits.missing,
        None => return Ok(()),
    };
    let node = scope.query.get("node").map_or("", String::as_str);
    let message = message.replace(NODE, node);
    Err(ApiError::message(StatusCode::BAD_REQUEST, message, result.clone()))
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
