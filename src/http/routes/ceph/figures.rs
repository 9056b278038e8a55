//! `/ceph/v2/*`, as far as it reads: what can be asked of Ceph here, and its figures.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::http::error::ApiError;
use crate::http::extract::Query;
use crate::http::scope::Scope;
use crate::http::single::Single;
use crate::http::targets::{Selected, Target, select};
use crate::http::{AppState, ErrorBody};
use crate::proxmox::types::CephStatus;

/// Who answers for Ceph here: Proxmox VE alone.
const PROVIDER: &str = "proxmox";

/// Whose Ceph is meant.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Whose {
    /// `proxmox`, which is the only one.
    provider: Option<String>,
    /// Only this Proxmox endpoint.
    endpoint_id: Option<i64>,
    /// The part that is meant; there are figures of the whole cluster only.
    object_ref: Option<String>,
}

impl Whose {
    fn is_known(&self) -> bool {
        self.provider.as_deref().is_none_or(|provider| provider == PROVIDER)
    }

    async fn select(&self, state: &AppState, scope: &Scope) -> Result<Selected, ApiError> {
        let mut selected = select(state, &scope.filter).await?;
        if let Some(id) = self.endpoint_id {
            selected.targets.retain(|target| target.key.id.0 == id);
        }
        Ok(selected)
    }
}

/// What can be asked of Ceph here, per selected endpoint: its state and its figures. Nothing is planned or changed.
#[utoipa::path(
    get, path = "/ceph/v2/capabilities", tag = "ceph", params(Scope, Whose),
    responses((status = 200, body = Value)),
)]
pub(super) async fn capabilities(
    State(state): State<AppState>,
    scope: Scope,
    Query(whose): Query<Whose>,
) -> Result<Json<Value>, ApiError> {
    let targets = whose.select(&state, &scope).await?.targets.into_iter();
    let known = targets.filter(|_| whose.is_known());
    let providers: Vec<_> = known.map(|target| capability(&target)).collect();
    Ok(Json(json!({"providers": providers})))
}

fn capability(target: &Target) -> Value {
    let fault = target.session.as_ref().err().map(ToString::to_string);
    json!({
        "provider": PROVIDER, "endpoint_id": target.key.id.0, "supported": fault.is_none(), "read_state": fault.is_none(),
        "diff": false, "plan": false, "apply": false, "reconcile": false, "metrics": fault.is_none(),
        "operation_kinds": {}, "destructive_operations": false,
        "notes": fault.map_or_else(|| Vec::from(["Ceph is read, never changed.".to_owned()]), |fault| Vec::from([fault])),
    })
}

/// The figures of one endpoint's Ceph: OSDs, capacity in bytes, bytes and operations per second. Figures that Ceph does
/// not tell are null. `snapshot` is its whole state.
#[utoipa::path(
    get, path = "/ceph/v2/metrics", tag = "ceph", params(Scope, Whose),
    responses((status = 200, body = Value), (status = 400, body = ErrorBody), (status = 502, body = ErrorBody)),
)]
pub(super) async fn metrics(
    State(state): State<AppState>,
    scope: Scope,
    Query(whose): Query<Whose>,
) -> Result<Json<Value>, ApiError> {
    if !whose.is_known() {
        return Err(ApiError::invalid(&["query", "provider"], "Must be 'proxmox'."));
    }
    let selected = whose.select(&state, &scope).await?;
    let endpoint_id = selected.targets.first().map(|target| target.key.id.0);
    let single = Single::choose(selected, &scope, "the figures of Ceph").await?;
    let read = single.read(|session| async move { session.cluster().ceph_status().get().await });
    let (cluster, answer) = read.await?;
    // Figures in a form that nobody knows are as good as none: `snapshot` has them.
    let status = CephStatus::deserialize(&answer.data).unwrap_or_default();
    let mut warnings: Vec<_> = status
        .warnings()
        .map(|(code, text)| format!("{code}: {text}"))
        .collect();
    if whose.object_ref.is_some() {
        warnings.push("Proxmox VE tells the figures of the whole cluster only.".to_owned());
    }
    Ok(Json(json!({
        "provider": PROVIDER,
        "scope": {"endpoint_id": endpoint_id, "cluster": cluster, "object_ref": whose.object_ref},
        "metrics": figures(&status),
        "snapshot": answer.data,
        "warnings": warnings,
    })))
}

fn figures(status: &CephStatus) -> Map<String, Value> {
    let mut figures = Map::from_iter([("health".to_owned(), status.health().into())]);
    let parts = [serde_json::to_value(status.osds()), serde_json::to_value(&status.pgmap)];
    for part in parts {
        if let Ok(Value::Object(part)) = part {
            figures.extend(part);
        }
    }
    figures
}
