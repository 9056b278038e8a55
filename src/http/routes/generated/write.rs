//! What changes something: who may, and that it stands in the journal before it is sent.

use std::future::Future;

use axum::http::{Method, StatusCode};
use axum::response::Response;
use serde_json::{Value, json};

use super::asked::Call;
use super::target::Target;
use super::upload::File;
use super::{borrowed, failed, passed_on};
use crate::http::{ApiError, AppState};
use crate::proxmox::description::Operation;
use crate::proxmox::relay::{Payload, Upload};
use crate::proxmox::{self, Resource};
use crate::store::{WriteDraft, WriteEnd, WriteOutcome};

/// Refusals of Proxmox are kept up to this length.
const LONGEST_ANSWER: usize = 500;

/// Sends a change where the endpoint allows it, and answers what Proxmox says.
pub(super) async fn send(
    state: &AppState,
    target: &Target,
    operation: &Operation,
    call: Call,
) -> Result<Response, ApiError> {
    let actor = call.actor.clone().ok_or_else(actor_required)?;
    if !target.allows_writes {
        return Err(writes_disabled(target));
    }
    let place = target.place(&call.segments)?;
    let draft = WriteDraft {
        endpoint: target.key,
        endpoint_name: target.name.clone(),
        actor,
        method: operation.method.to_string(),
        path: place.plain_path().unwrap_or_default().to_owned(),
        parameters: Value::Object(call.told.clone()).to_string(),
    };
    let outcome = journalled(state, draft, change(place, operation.method.clone(), call)).await?;
    outcome
        .map(passed_on)
        .map_err(|error| failed(&error, operation, target))
}

async fn change(place: Resource, method: Method, call: Call) -> Result<Payload, proxmox::Error> {
    match call.file {
        Some(File {
            content_type,
            length,
            body,
        }) => {
            let body = body.into_data_stream();
            place
                .upload(Upload {
                    content_type,
                    length,
                    body,
                })
                .await
        }
        None => place.relay(method, &borrowed(&call.parameters)).await,
    }
}

/// Carries out `change` between its two marks in the journal. It goes on when the client leaves.
async fn journalled<F>(state: &AppState, draft: WriteDraft, change: F) -> Result<F::Output, ApiError>
where
    F: Future<Output = Result<Payload, proxmox::Error>> + Send + 'static,
{
    let id = state.store.begin_write(&draft).await?;
    let store = state.store.clone();
    let task = state.tasks.spawn(async move {
        let outcome = change.await;
        if let Err(error) = store.end_write(id, &end(&outcome)).await {
            tracing::error!(journal.id = id.0, %error, "outcome of a change is not in the journal");
        }
        outcome
    });
    task.await.map_err(|error| ApiError::internal(&error))
}

fn end(outcome: &Result<Payload, proxmox::Error>) -> WriteEnd {
    match outcome {
        Ok(payload) => WriteEnd {
            outcome: WriteOutcome::Done,
            status: Some(StatusCode::OK.as_u16()),
            answer: serde_json::from_slice(&payload.data)
                .ok()
                .filter(|text: &String| text.starts_with("UPID:")),
        },
        Err(error) => WriteEnd {
            outcome: if error.leaves_outcome_open() {
                WriteOutcome::Unknown
            } else {
                WriteOutcome::Refused
            },
            status: error.upstream_status(),
            answer: Some(error.to_string().chars().take(LONGEST_ANSWER).collect()),
        },
    }
}

fn actor_required() -> ApiError {
    let detail = json!({
        "reason": "actor_required",
        "detail": "Name who wants this change in the header X-Proxbox-Actor.",
    });
    ApiError::plain(StatusCode::UNPROCESSABLE_ENTITY, detail)
}

fn writes_disabled(target: &Target) -> ApiError {
    let body = json!({
        "reason": "endpoint_writes_disabled",
        "detail": "This endpoint does not allow changes: its setting allow_writes is off.",
        "endpoint_id": target.key.id,
        "endpoint": target.name,
    });
    ApiError::bare(StatusCode::FORBIDDEN, body)
}
