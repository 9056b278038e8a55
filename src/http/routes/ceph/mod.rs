//! `/ceph/*`: Ceph as Proxmox VE tells of it. Nothing is changed.

mod counts;
mod figures;

use axum::extract::State;
use axum::response::Response;
use serde_json::{Value, json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::AppState;
use crate::http::answers::Answers;
use crate::http::error::ApiError;
use crate::http::scope::Scope;
use crate::http::targets::{Target, select};
use crate::proxmox::Error;
use crate::proxmox::types::CephStatus;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(status))
        .routes(routes!(counts::counts))
        .routes(routes!(figures::capabilities))
        .routes(routes!(figures::metrics))
}

/// How Ceph is on each selected endpoint, or why that cannot be told: Proxmox does not answer, or it has no Ceph.
#[utoipa::path(
    get, path = "/ceph/status", tag = "ceph", params(Scope),
    responses((status = 200, body = Value)),
)]
async fn status(State(state): State<AppState>, scope: Scope) -> Result<Response, ApiError> {
    let selected = select(&state, &scope.filter).await?;
    let answers = Answers::attempt(selected, |_, session| async move {
        match session.ceph_status().await {
            // Proxmox has answered, and says why it cannot ask Ceph.
            Err(error) if error.upstream_status().is_some() => Ok(Err(error)),
            Err(error) => Err(error),
            Ok(status) => Ok(Ok(status)),
        }
    });
    Ok(answers.await.respond_with_failures(|items, failed| {
        let answered = items.iter().map(|(target, status)| item(target, status.as_ref()));
        let failed = failed.iter().map(|(target, error)| item(target, Err(error)));
        json!({"items": answered.chain(failed).collect::<Vec<_>>()})
    }))
}

fn item(target: &Target, status: Result<&CephStatus, &Error>) -> Value {
    json!({
        "name": target.label(),
        "host": host(target),
        "port": target.settings.port,
        "reachable": status.is_ok(),
        "health": status.ok().and_then(CephStatus::health),
        "fsid": status.ok().and_then(|status| status.fsid.as_deref()),
        "reason": status.err().map(ToString::to_string),
    })
}

/// Where the endpoint is: its domain, or else its address.
fn host(target: &Target) -> &str {
    let settings = &target.settings;
    settings.domain.as_deref().unwrap_or(&settings.ip_address)
}
