//! `/proxmox/metrics/pull/query`: figures as Proxmox itself keeps them.

use std::collections::{BTreeMap, HashSet};

use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::AppState;
use crate::http::error::ApiError;
use crate::http::extract::Json;
use crate::http::targets::{Target, select};
use crate::proxmox::types::Metric;
use crate::proxmox::{Error, MetricFilter};
use crate::sync::EndpointFilter;

/// The keys of every row.
const COLUMNS: [&str; 5] = ["timestamp", "object_id", "metric", "metric_type", "value"];
/// How many names or objects a query may list.
const MOST_NAMES: usize = 128;
/// The last second of 2099.
const LAST_TIME: i64 = 4_102_444_800;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(pull))
}

/// Which figures of which endpoint.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Query {
    /// Where the endpoint is defined: `database` or `netbox`.
    #[serde(default)]
    source: Option<String>,
    /// Its number there.
    #[serde(default)]
    endpoint_id: Option<i64>,
    /// Its name.
    #[serde(default)]
    target_name: Option<String>,
    /// Its domain.
    #[serde(default)]
    target_domain: Option<String>,
    /// Its address.
    #[serde(default)]
    target_ip_address: Option<String>,
    /// Only figures after this time, in seconds since 1970.
    #[serde(default)]
    start_time: Option<i64>,
    /// Figures of the past as well, as far as Proxmox keeps them.
    #[serde(default)]
    history: bool,
    /// Only of the node that answers.
    #[serde(default)]
    local_only: bool,
    /// Only these objects, such as `qemu/100`; all where it is empty.
    #[serde(default)]
    object_ids: Vec<String>,
    /// Also objects that begin like this, such as `node/`.
    #[serde(default)]
    object_prefixes: Vec<String>,
    /// Only these figures, such as `cpu_current`; all where it is empty.
    #[serde(default)]
    metric_names: Vec<String>,
    /// How many rows are answered at most.
    #[serde(default = "default_rows")]
    max_rows: usize,
    /// How large the rows may be, in bytes of JSON.
    #[serde(default = "default_bytes")]
    max_response_bytes: usize,
}

const fn default_rows() -> usize {
    1000
}

const fn default_bytes() -> usize {
    1024 * 1024
}

/// The figures of one endpoint that fit a query, oldest first.
#[utoipa::path(
    post, path = "/proxmox/metrics/pull/query", tag = "proxmox", request_body = Query,
    responses(
        (status = 200, body = Value),
        (status = 502, description = "Proxmox answers something else, or too much"),
        (status = 503, description = "Proxmox cannot be asked"),
    ),
)]
async fn pull(State(state): State<AppState>, Json(query): Json<Query>) -> Result<axum::Json<Value>, ApiError> {
    query.check()?;
    let target = query.target(&state).await?;
    let captured = OffsetDateTime::now_utc();
    let exported = query.export(&target).await.map_err(|error| refused(&error))?;
    let found = query.filtered(&exported);
    let is_truncated = found.rows.len() > query.max_rows;
    let kept = found.rows.len().min(query.max_rows);
    let rows: Vec<Value> = found.rows.into_iter().take(kept).collect();
    let body = json!({
        "columns": COLUMNS,
        "row_count": rows.len(),
        "rows": rows,
        "truncated": is_truncated,
        "query_window": {
            "start": rfc3339(OffsetDateTime::from_unix_timestamp(query.start_time.unwrap_or_default()).ok()),
            "stop": rfc3339(Some(captured)),
        },
        "captured_at": rfc3339(Some(captured)),
        "response_format": "proxmox_export",
        "deduplicated_count": found.repeated,
    });
    if body.to_string().len() > query.max_response_bytes {
        let text = "The figures are larger than max_response_bytes allows.";
        return Err(failure(StatusCode::BAD_GATEWAY, "pull_response_too_large", text));
    }
    Ok(axum::Json(body))
}

pub(super) fn rfc3339(time: Option<OffsetDateTime>) -> Option<String> {
    time.and_then(|time| time.replace_nanosecond(0).ok()?.format(&Rfc3339).ok())
}

pub(super) fn failure(status: StatusCode, reason: &str, message: &str) -> ApiError {
    ApiError::plain(status, json!({"reason": reason, "message": message}))
}

fn refused(error: &Error) -> ApiError {
    let (status, reason) = if matches!(error, Error::Decode { .. }) {
        (StatusCode::BAD_GATEWAY, "pull_invalid_response")
    } else if matches!(error, Error::TooLarge { .. }) {
        (StatusCode::BAD_GATEWAY, "pull_response_too_large")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "pull_unavailable")
    };
    failure(status, reason, &error.to_string()).because(error)
}

/// Figures, each once.
struct Found {
    rows: Vec<Value>,
    /// How many were there more than once.
    repeated: usize,
}

impl Query {
    fn check(&self) -> Result<(), ApiError> {
        let invalid = |field: &str, problem: &str| Err(ApiError::invalid(&["body", field], problem));
        if self.endpoint_id.is_some_and(|id| id < 1) {
            return invalid("endpoint_id", "Must be at least 1.");
        }
        if self.start_time.is_some_and(|time| !(0..=LAST_TIME).contains(&time)) {
            return invalid("start_time", "Must be seconds since 1970, before the year 2100.");
        }
        for (field, names) in [
            ("object_ids", &self.object_ids),
            ("object_prefixes", &self.object_prefixes),
            ("metric_names", &self.metric_names),
        ] {
            if names.len() > MOST_NAMES {
                return invalid(field, &format!("At most {MOST_NAMES} are allowed."));
            }
        }
        if !(1..=5_000).contains(&self.max_rows) {
            return invalid("max_rows", "Must be between 1 and 5000.");
        }
        if !(1024..=4 * 1024 * 1024).contains(&self.max_response_bytes) {
            return invalid("max_response_bytes", "Must be between 1024 and 4194304.");
        }
        Ok(())
    }

    /// The one endpoint that is meant.
    async fn target(&self, state: &AppState) -> Result<Target, ApiError> {
        let keys = ["source", "name", "domain", "ip_address"];
        let values = [
            &self.source,
            &self.target_name,
            &self.target_domain,
            &self.target_ip_address,
        ];
        let given = keys
            .into_iter()
            .zip(values)
            .filter_map(|(key, value)| Some((key, value.clone()?)));
        let id = self.endpoint_id.map(|id| ("proxmox_endpoint_ids", id.to_string()));
        let parameters: BTreeMap<String, String> =
            given.chain(id).map(|(key, value)| (key.to_owned(), value)).collect();
        let invalid = |error| ApiError::from(error).reasoned(StatusCode::BAD_REQUEST, "invalid_query");
        let filter = EndpointFilter::parse(&parameters).map_err(invalid)?;
        let unavailable = |error: ApiError| error.reasoned(StatusCode::SERVICE_UNAVAILABLE, "pull_unavailable");
        let mut targets = select(state, &filter).await.map_err(unavailable)?.targets;
        match (targets.pop(), targets.is_empty()) {
            (Some(target), true) => Ok(target),
            (Some(_), false) => {
                let text = "Several Proxmox endpoints are configured; name one by endpoint_id or target_name.";
                Err(failure(StatusCode::BAD_REQUEST, "invalid_query", text))
            }
            (None, _) => {
                let text = "No enabled Proxmox endpoint is meant by the query.";
                Err(failure(StatusCode::SERVICE_UNAVAILABLE, "pull_unavailable", text))
            }
        }
    }

    async fn export(&self, target: &Target) -> Result<Vec<Metric>, Error> {
        let filter = MetricFilter {
            history: self.history,
            local_only: self.local_only,
            start_time: self.start_time,
        };
        Ok(target.session.clone()?.list_metrics(filter).await?.items)
    }

    fn filtered(&self, exported: &[Metric]) -> Found {
        let mut seen = HashSet::new();
        let mut found = Found {
            rows: Vec::new(),
            repeated: 0,
        };
        for metric in exported {
            let Some((key, figure)) = self.figure(metric) else {
                continue;
            };
            if seen.insert(key) {
                found.rows.push(figure);
            } else {
                found.repeated += 1;
            }
        }
        found
            .rows
            .sort_by_key(|row| row.get("timestamp").and_then(Value::as_i64));
        found
    }

    /// A figure that fits, and what it is told apart by; one that is unknown at its time is no figure.
    fn figure(&self, metric: &Metric) -> Option<((String, String, i64), Value)> {
        let (object, name, timestamp) = (&metric.id, &metric.metric, metric.timestamp);
        let value = metric.value?;
        let is_wanted = (self.object_ids.is_empty() && self.object_prefixes.is_empty())
            || self.object_ids.contains(object)
            || self.object_prefixes.iter().any(|prefix| object.starts_with(prefix));
        let is_named = self.metric_names.is_empty() || self.metric_names.contains(name);
        if !is_wanted || !is_named || self.start_time.is_some_and(|start| timestamp < start) {
            return None;
        }
        let figure = json!({
            "timestamp": timestamp, "object_id": object, "metric": name,
            "metric_type": metric.kind.as_deref().unwrap_or("gauge"), "value": value,
        });
        Some(((object.clone(), name.clone(), timestamp), figure))
    }
}
