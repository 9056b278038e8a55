//! `/proxmox/datacenter/*`: settings of a whole cluster.

use axum::extract::State;
use axum::response::Response;
use serde_json::{Map, Value, json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::AppState;
use crate::http::answers::Answers;
use crate::http::error::ApiError;
use crate::http::scope::Scope;
use crate::http::targets::{Target, complete, select};
use crate::proxmox::{Error, Session, wire};

const CPU_MODELS: &str = "cluster/qemu/custom-cpu-models";

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(cpu_models))
}

/// The processor models that operators have defined. A release without them has none.
#[utoipa::path(
    get, path = "/proxmox/datacenter/cpu-models", tag = "proxmox", params(Scope),
    responses((status = 200, body = Vec<Value>)),
)]
async fn cpu_models(State(state): State<AppState>, scope: Scope) -> Result<Response, ApiError> {
    let answers = Answers::read(select(&state, &scope.filter).await?, read).await?;
    Ok(answers.respond(|items| items.into_iter().flat_map(|(_, rows)| rows).collect()))
}

async fn read(target: Target, session: Session) -> Result<Vec<Value>, Error> {
    let rows = match session.path(CPU_MODELS)?.get_rows().await {
        Ok(rows) => complete(CPU_MODELS, rows)?,
        Err(Error::NotImplemented { .. }) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let cluster = target.name().await?;
    Ok(rows.iter().map(|row| cpu_model(row, &cluster)).collect())
}

/// A custom CPU model. Texts that Proxmox does not give are empty: the plugin stores them and refuses null.
fn cpu_model(row: &Map<String, Value>, cluster: &str) -> Value {
    let known = |key: &str| row.get(key).and_then(|value| wire::text_of(value).ok().flatten());
    let text = |keys: &[&str]| keys.iter().find_map(|key| known(key)).unwrap_or_default();
    let level: Option<i64> = row.get("level").and_then(|value| wire::number_of(value).ok().flatten());
    json!({
        "cluster_name": cluster,
        "cputype": text(&["cputype"]),
        "base_cputype": text(&["base-cputype", "reported-model"]),
        "flags": text(&["flags"]),
        "vendor_id": text(&["vendor-id", "hv-vendor-id"]),
        "level": level,
        "description": text(&["description"]),
        "status": "ok",
        "error": null,
    })
}
