//! `/proxmox/metrics/influx/query`: figures as an InfluxDB server keeps them that Proxmox sends them to.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use time::OffsetDateTime;
use url::Url;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::metrics::{failure, rfc3339};
use crate::error::ErrorKind;
use crate::http::AppState;
use crate::http::error::ApiError;
use crate::http::extract::Json;
use crate::proxmox::TlsPolicy;
use crate::proxmox::influx::{
    Aggregation, Error, Filter, Function, Moment, Period, PlaceError, Query, Scope, Server, check_url,
};

/// How many fields a query may name.
const MOST_FIELDS: usize = 16;
/// How many filters it may have.
const MOST_FILTERS: usize = 32;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(query))
}

/// Which figures of which server.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Asked {
    /// Where the server is: `https`, at a public address or a private IPv4 one.
    url: String,
    /// Whose bucket.
    org: String,
    /// Where the figures lie.
    bucket: String,
    /// Who asks.
    #[schema(value_type = String)]
    token: SecretString,
    /// Whether its certificate is checked.
    #[serde(default = "yes")]
    verify_ssl: bool,
    /// How long the answer may take.
    #[serde(default = "default_seconds")]
    timeout_seconds: f64,
    /// From when: a period such as `-1h`, or a time.
    #[serde(default = "default_start")]
    start: String,
    /// Until when; until now where it is absent.
    #[serde(default)]
    stop: Option<String>,
    /// Of what, such as `system`.
    measurement: String,
    /// Only this field, beside `fields`.
    #[serde(default)]
    field: Option<String>,
    /// Only these fields; all where none is named.
    #[serde(default)]
    fields: Vec<String>,
    /// All of these hold.
    #[serde(default)]
    filters: Vec<AskedFilter>,
    /// Whether the figures of a period become one.
    #[serde(default)]
    aggregation: Option<AskedAggregation>,
    /// How many rows are answered at most.
    #[serde(default = "default_rows")]
    max_rows: usize,
    /// How large the server's answer may be, in bytes.
    #[serde(default = "default_bytes")]
    max_response_bytes: usize,
}

const fn yes() -> bool {
    true
}

const fn default_seconds() -> f64 {
    10.0
}

fn default_start() -> String {
    "-1h".to_owned()
}

const fn default_rows() -> usize {
    1000
}

const fn default_bytes() -> usize {
    1024 * 1024
}

/// Which figures are left out.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AskedFilter {
    /// The name of the tag or field.
    key: String,
    /// Its value.
    value: String,
    /// `tag` or `field`.
    #[serde(default = "tag")]
    scope: AskedScope,
    /// `==` or `!=`.
    #[serde(default = "equal")]
    operator: Operator,
}

const fn tag() -> AskedScope {
    AskedScope::Tag
}

const fn equal() -> Operator {
    Operator::Equal
}

#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum AskedScope {
    Tag,
    Field,
}

#[derive(Debug, Clone, Copy, PartialEq, Deserialize, ToSchema)]
enum Operator {
    #[serde(rename = "==")]
    Equal,
    #[serde(rename = "!=")]
    Unequal,
}

/// One figure for each period.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AskedAggregation {
    /// The period, such as `5m`.
    every: String,
    /// What its figures become.
    function: AskedFunction,
}

#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum AskedFunction {
    Count,
    First,
    Last,
    Max,
    Mean,
    Min,
    Sum,
}

/// The figures that fit a query.
#[utoipa::path(
    post, path = "/proxmox/metrics/influx/query", tag = "proxmox", request_body = Asked,
    responses(
        (status = 200, body = Value),
        (status = 400, description = "The server must not be asked"),
        (status = 502, description = "The server refuses, or answers something else, or too much"),
        (status = 504, description = "The server does not answer in time"),
    ),
)]
async fn query(State(state): State<AppState>, Json(asked): Json<Asked>) -> Result<axum::Json<Value>, ApiError> {
    let query = asked.query()?;
    let server = asked.server()?;
    if !asked.verify_ssl && !state.config.allow_insecure_influx {
        let text = "Certificates are always checked here: verify_ssl must be true.";
        return Err(failure(StatusCode::BAD_REQUEST, "influx_target_not_allowed", text));
    }
    let captured = OffsetDateTime::now_utc();
    let figures = server.ask(&query).await.map_err(|error| refused(&error))?;
    Ok(axum::Json(json!({
        "columns": figures.columns,
        "row_count": figures.rows.len(),
        "rows": figures.rows,
        "truncated": figures.is_truncated,
        "query_window": {"start": asked.start, "stop": asked.stop},
        "captured_at": rfc3339(Some(captured)),
        "response_format": "annotated_csv",
    })))
}

fn refused(error: &Error) -> ApiError {
    let status = match error.kind() {
        ErrorKind::Validation => StatusCode::BAD_REQUEST,
        ErrorKind::Timeout => StatusCode::GATEWAY_TIMEOUT,
        ErrorKind::Connection
        | ErrorKind::Authentication
        | ErrorKind::Permission
        | ErrorKind::NotFound
        | ErrorKind::RateLimit
        | ErrorKind::Internal
        | ErrorKind::Unknown => StatusCode::BAD_GATEWAY,
    };
    failure(status, error.reason(), &error.to_string()).because(error)
}

fn invalid(field: &str, problem: &str) -> ApiError {
    ApiError::invalid(&["body", field], problem)
}

/// `text`, of one letter at least and `most` at the most.
fn worded(field: &str, text: &str, most: usize) -> Result<String, ApiError> {
    let length = text.chars().count();
    if length == 0 || length > most || text.contains(char::is_control) {
        let problem = format!("Must have between 1 and {most} characters, none of them a control character.");
        return Err(invalid(field, &problem));
    }
    Ok(text.to_owned())
}

impl Asked {
    fn server(&self) -> Result<Server, ApiError> {
        let url = Url::parse(&worded("url", &self.url, 2048)?).map_err(|_| invalid("url", "Must be a URL."))?;
        check_url(&url).map_err(|problem: PlaceError| invalid("url", &problem.to_string()))?;
        if !(1.0..=30.0).contains(&self.timeout_seconds) {
            return Err(invalid("timeout_seconds", "Must be between 1 and 30."));
        }
        if !(1024..=8 * 1024 * 1024).contains(&self.max_response_bytes) {
            return Err(invalid("max_response_bytes", "Must be between 1024 and 8388608."));
        }
        worded("token", self.token.expose_secret(), 4096)?;
        Ok(Server {
            url,
            organization: worded("org", &self.org, 128)?,
            token: self.token.clone(),
            tls: TlsPolicy {
                verify: self.verify_ssl,
                ..TlsPolicy::default()
            },
            limit: Duration::from_secs_f64(self.timeout_seconds),
            max_bytes: self.max_response_bytes,
        })
    }

    fn query(&self) -> Result<Query, ApiError> {
        let moment = |field, text: &str| {
            let problem = "Must be a period such as -1h, a time in RFC 3339, or now().";
            Moment::parse(text)
                .filter(|_| text.len() <= 64)
                .ok_or_else(|| invalid(field, problem))
        };
        if self.fields.len() > MOST_FIELDS {
            return Err(invalid("fields", &format!("At most {MOST_FIELDS} are allowed.")));
        }
        if self.filters.len() > MOST_FILTERS {
            return Err(invalid("filters", &format!("At most {MOST_FILTERS} are allowed.")));
        }
        if !(1..=5_000).contains(&self.max_rows) {
            return Err(invalid("max_rows", "Must be between 1 and 5000."));
        }
        let fields = self.field.iter().chain(&self.fields);
        Ok(Query {
            bucket: worded("bucket", &self.bucket, 128)?,
            start: moment("start", &self.start)?,
            stop: self.stop.as_deref().map(|stop| moment("stop", stop)).transpose()?,
            measurement: worded("measurement", &self.measurement, 128)?,
            fields: fields
                .map(|field| worded("fields", field, 128))
                .collect::<Result<_, _>>()?,
            filters: self.filters.iter().map(AskedFilter::filter).collect::<Result<_, _>>()?,
            aggregation: self
                .aggregation
                .as_ref()
                .map(AskedAggregation::aggregation)
                .transpose()?,
            max_rows: self.max_rows,
        })
    }
}

impl AskedFilter {
    fn filter(&self) -> Result<Filter, ApiError> {
        Ok(Filter {
            scope: match self.scope {
                AskedScope::Tag => Scope::Tag,
                AskedScope::Field => Scope::Field,
            },
            key: worded("filters", &self.key, 64)?,
            value: worded("filters", &self.value, 256)?,
            is_equal: self.operator == Operator::Equal,
        })
    }
}

impl AskedAggregation {
    fn aggregation(&self) -> Result<Aggregation, ApiError> {
        let every = Period::parse(&self.every).filter(|_| self.every.len() <= 32);
        Ok(Aggregation {
            every: every.ok_or_else(|| invalid("aggregation", "`every` must be a period such as 5m."))?,
            function: match self.function {
                AskedFunction::Count => Function::Count,
                AskedFunction::First => Function::First,
                AskedFunction::Last => Function::Last,
                AskedFunction::Max => Function::Max,
                AskedFunction::Mean => Function::Mean,
                AskedFunction::Min => Function::Min,
                AskedFunction::Sum => Function::Sum,
            },
        })
    }
}
