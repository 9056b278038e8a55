//! `/proxmox/api2/*`: the whole Proxmox API, through one door.
//!
//! One handler serves every path and method that the description of a release holds. What a request asks is checked by
//! the description before anything is sent ([`asked`]), reads are passed on as they come, and what changes something
//! needs the endpoint's leave and a name, and stands in the journal before it is sent ([`write`]).

mod asked;
mod document;
mod target;
mod upload;
mod write;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use serde_json::json;
use utoipa_axum::router::OpenApiRouter;

use self::asked::{Asked, Call};
use crate::http::{ApiError, AppState};
use crate::proxmox::description::{Description, Operation};
use crate::proxmox::relay::Payload;
use crate::proxmox::{self, Param, Resource};

pub(super) use self::document::openapi;

/// Where the Proxmox API begins.
const PREFIX: &str = "/proxmox/api2/";
/// The document of a release, below its tag.
const DOCUMENT: &str = "openapi.json";
/// On parts of lists: how many rows there are in all.
const TOTAL: HeaderName = HeaderName::from_static("x-proxbox-total");
/// What answers with a file.
const DOWNLOADS: &[&str] = &["/nodes/{node}/storage/{storage}/file-restore/download"];
/// The flag by which other answers become files: the log of a task.
const AS_FILE: &str = "download";

/// What is served here; it has an OpenAPI document of its own per release.
pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().route("/proxmox/api2/{*path}", any(pass))
}

/// Passes a request on to Proxmox.
async fn pass(State(state): State<AppState>, request: Request) -> Result<Response, ApiError> {
    let (head, body) = request.into_parts();
    let mut asked = Asked::of(&head)?;
    let tagged = match asked.segments.first() {
        Some(tag) => {
            let found = state.api.find_aside(tag).await;
            found.map_err(|error| ApiError::internal(&error))?
        }
        None => None,
    };
    let Some(description) = tagged else {
        // The release is the target's own.
        let target = target::select(&state, &asked.selection).await?;
        let session = target.session.clone()?;
        let metadata = session.metadata().await?;
        let fitting = state.api.of_version(&metadata.version).await;
        let description = fitting
            .map_err(|error| ApiError::internal(&error))?
            .ok_or_else(not_found)?;
        let operation = operation(&description, &asked, &head.method)?;
        let call = asked.read(operation, &head, body).await?;
        return send(&state, &target, operation, call).await;
    };
    asked.segments.remove(0);
    if asked.segments == [DOCUMENT] && head.method == Method::GET {
        return Ok(json_response(openapi(&description).into()));
    }
    let operation = operation(&description, &asked, &head.method)?;
    let call = asked.read(operation, &head, body).await?;
    let target = target::select(&state, &asked.selection).await?;
    send(&state, &target, operation, call).await
}

fn not_found() -> ApiError {
    ApiError::plain(StatusCode::NOT_FOUND, "Not Found")
}

fn operation<'a>(description: &'a Description, asked: &Asked, method: &Method) -> Result<&'a Operation, ApiError> {
    let found = description.find(&asked.segments).ok_or_else(not_found)?;
    let not_allowed = || ApiError::plain(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
    found.place.operation(method).ok_or_else(not_allowed)
}

async fn send(
    state: &AppState,
    target: &target::Target,
    operation: &Operation,
    call: Call,
) -> Result<Response, ApiError> {
    if !operation.is_read() {
        return write::send(state, target, operation, call).await;
    }
    let place = target.place(&call.segments)?;
    let parameters = borrowed(&call.parameters);
    let failed = |error| failed(&error, operation, target);
    if is_download(operation, &call.parameters) {
        return file(place, &parameters).await.map_err(failed);
    }
    let payload = place.relay(Method::GET, &parameters).await.map_err(failed)?;
    Ok(passed_on(payload))
}

fn is_download(operation: &Operation, parameters: &[(String, Param)]) -> bool {
    let is_asked_for = |(name, value): &(String, Param)| name == AS_FILE && matches!(value, Param::Flag(true));
    DOWNLOADS.contains(&operation.path.as_str()) || parameters.iter().any(is_asked_for)
}

fn borrowed(parameters: &[(String, Param)]) -> Vec<(&str, Param)> {
    parameters
        .iter()
        .map(|(name, value)| (name.as_str(), value.clone()))
        .collect()
}

/// The answer to a client for a refusal of Proxmox.
fn failed(error: &proxmox::Error, operation: &Operation, target: &target::Target) -> ApiError {
    let message = format!(
        "Generated Proxmox proxy request failed for {} {}.",
        operation.method, operation.path
    );
    ApiError::relayed(error, message, &operation.id()).about(target.key, &target.name)
}

fn passed_on(payload: Payload) -> Response {
    let mut response = json_response(payload.data);
    if let Some(total) = payload.total {
        response.headers_mut().insert(TOTAL, total.into());
    }
    response
}

pub(super) fn json_response(body: Bytes) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

async fn file(place: Resource, parameters: &[(&str, Param)]) -> Result<Response, proxmox::Error> {
    let download = place.download(parameters).await?;
    let mut response = Body::from_stream(download.body).into_response();
    let headers = response.headers_mut();
    let unnamed = HeaderValue::from_static("application/octet-stream");
    headers.insert(header::CONTENT_TYPE, download.content_type.unwrap_or(unnamed));
    let told = [
        (header::CONTENT_LENGTH, download.length),
        (header::CONTENT_DISPOSITION, download.disposition),
    ];
    headers.extend(told.into_iter().filter_map(|(name, value)| Some((name, value?))));
    Ok(response)
}

/// 422 for every part of a request that does not fit.
fn invalid(problems: impl Iterator<Item = (&'static str, String, String)>) -> ApiError {
    let problems = problems.map(
        |(place, name, problem)| json!({"type": "request_validation_error", "loc": [place, name], "msg": problem}),
    );
    ApiError::plain(
        StatusCode::UNPROCESSABLE_ENTITY,
        problems.collect::<serde_json::Value>(),
    )
}
