//! `/proxmox/services/systemd`: how the services of a host stand, by what Proxmox's own API tells; no shell is opened.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use serde_json::{Value, json};
use time::OffsetDateTime;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::metrics::rfc3339;
use crate::endpoint::{EndpointId, EndpointKey, Source};
use crate::http::AppState;
use crate::http::error::ApiError;
use crate::http::targets::session;
use crate::proxmox::types::Service;
use crate::proxmox::{Error, Rows, Session};
use crate::store::ProxmoxEndpoint;
use crate::sync::plugin_key;

/// How many units may be named.
const MOST_UNITS: usize = 32;
/// How long the name of one may be.
const LONGEST_UNIT: usize = 100;
/// What units of services end in.
const SUFFIX: &str = ".service";

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(systemd))
}

/// The services of the host behind an endpoint of the plugin.
#[utoipa::path(
    get, path = "/proxmox/services/systemd", tag = "proxmox",
    params(
        ("endpoint_id" = i64, Query, description = "The number of the endpoint in the plugin"),
        ("units" = Option<String>, Query, description = "Only these, parted by commas or repeated; all where absent"),
        ("node" = Option<String>, Query, description = "The node; the one that answers where absent"),
    ),
    responses(
        (status = 200, body = Value),
        (status = 403, description = "The endpoint is disabled"),
        (status = 404, description = "The plugin has stored no such endpoint here"),
    ),
)]
async fn systemd(State(state): State<AppState>, uri: Uri) -> Result<Json<Value>, ApiError> {
    let asked = Asked::of(uri.query().unwrap_or_default())?;
    let row = find_row(&state, asked.endpoint).await?;
    let collected = OffsetDateTime::now_utc();
    let key = EndpointKey {
        source: Source::Database,
        id: EndpointId(row.id),
    };
    let read = async { read(&session(&state, key, &row).await?, asked.node.as_deref()).await };
    let (services, error) = match read.await {
        Ok(rows) => (asked.told(&rows.items), None),
        Err(error) => {
            tracing::warn!(endpoint.id = %key, %error, reason = error.reason(), "services cannot be read");
            (Vec::new(), Some(error))
        }
    };
    let settings = row.settings;
    Ok(Json(json!({
        "endpoint_id": asked.endpoint,
        "host": settings.domain.unwrap_or(settings.ip_address),
        "collected_at": rfc3339(Some(collected)),
        "reachable": error.as_ref().is_none_or(|error| error.upstream_status().is_some()),
        "services": services,
        "error": error.map(|error| json!({"reason": error.reason(), "detail": error.to_string()})),
    })))
}

/// What is asked for.
struct Asked {
    endpoint: i64,
    units: Vec<String>,
    node: Option<String>,
}

impl Asked {
    fn of(query: &str) -> Result<Self, ApiError> {
        let (mut endpoint, mut units, mut node) = (None, Vec::new(), None);
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "endpoint_id" => endpoint = value.parse().ok().filter(|id| *id >= 1),
                "units" => units.extend(value.split(',').map(|unit| unit.trim().to_owned())),
                "node" => node = Some(value.into_owned()),
                _ => {}
            }
        }
        units.retain(|unit| !unit.is_empty());
        if units.len() > MOST_UNITS || !units.iter().all(|unit| is_unit(unit)) {
            let text = "Name at most 32 units by letters, digits and the characters _.@:- alone.";
            return Err(refused(StatusCode::UNPROCESSABLE_ENTITY, "invalid_units", text));
        }
        let problem = || ApiError::invalid(&["query", "endpoint_id"], "Must be a whole number of at least 1.");
        Ok(Self {
            endpoint: endpoint.ok_or_else(problem)?,
            units,
            node,
        })
    }

    /// The services that are asked for, in that order; one that Proxmox does not watch has no states.
    fn told(&self, services: &[Service]) -> Vec<Value> {
        if self.units.is_empty() {
            let unit = |service: &Service| format!("{}{SUFFIX}", service.service);
            return services.iter().map(|row| told(&unit(row), Some(row))).collect();
        }
        let find = |unit: &str| {
            let name = unit.strip_suffix(SUFFIX).unwrap_or(unit);
            let mut services = services.iter();
            services.find(|row| row.service == name || row.name.as_deref() == Some(name))
        };
        self.units.iter().map(|unit| told(unit, find(unit))).collect()
    }
}

fn is_unit(text: &str) -> bool {
    let is_inside = |letter: char| letter.is_ascii_alphanumeric() || "_.@:-".contains(letter);
    let begins = text.starts_with(|letter: char| letter.is_ascii_alphanumeric() || letter == '_');
    begins && text.len() <= LONGEST_UNIT && text.chars().all(is_inside)
}

/// A service in systemd's words. What only the host's own shell can tell is null.
fn told(unit: &str, service: Option<&Service>) -> Value {
    let load_state = service
        .and_then(|row| row.unit_state.as_deref())
        .map(|state| match state {
            "not-found" | "masked" => state,
            _ => "loaded",
        });
    json!({
        "unit": unit,
        "id": service.map(|row| format!("{}{SUFFIX}", row.service)),
        "load_state": load_state,
        "active_state": service.and_then(|row| row.active_state.as_deref()),
        "sub_state": service.and_then(|row| row.state.as_deref()),
        "result": null, "main_pid": null, "exec_main_code": null, "exec_main_status": null,
        "n_restarts": null, "active_enter_timestamp": null,
        "unit_file_state": service.and_then(|row| row.unit_state.as_deref()),
    })
}

fn refused(status: StatusCode, reason: &str, detail: &str) -> ApiError {
    ApiError::plain(status, json!({"reason": reason, "detail": detail}))
}

/// The row that the plugin has stored for its endpoint `id`.
async fn find_row(state: &AppState, id: i64) -> Result<ProxmoxEndpoint, ApiError> {
    let rows = state.store.list_proxmox_endpoints().await?;
    let is_it = |row: &ProxmoxEndpoint| plugin_key(&row.settings.name) == u64::try_from(id).ok();
    let mut rows: Vec<_> = rows.into_iter().filter(is_it).collect();
    rows.sort_by_key(|row| !row.settings.enabled);
    let Some(row) = rows.into_iter().next() else {
        let text = "The plugin has stored no such endpoint here; save it in the plugin first.";
        return Err(refused(StatusCode::NOT_FOUND, "proxmox_endpoint_not_found", text));
    };
    if !row.settings.enabled {
        let reason = "service_monitoring_endpoint_disabled";
        return Err(refused(StatusCode::FORBIDDEN, reason, "The endpoint is disabled."));
    }
    Ok(row)
}

async fn read(session: &Session, node: Option<&str>) -> Result<Rows<Service>, Error> {
    if let Some(node) = node {
        return session.list_services(node).await;
    }
    let rows = session.cluster_status().await?.items;
    let local = rows.into_iter().find(|row| row.is_node() && row.local == Some(true));
    let node = local.and_then(|row| row.name).unwrap_or_else(|| "localhost".to_owned());
    session.list_services(&node).await
}
