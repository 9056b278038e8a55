//! `/netbox/*`: the one NetBox that this service writes to. Its token goes in and never comes out.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::error::ApiError;
use crate::http::extract::{self, Path, Query};
use crate::http::hosts::check_host;
use crate::http::netbox_probe::{self, NetBoxProbe};
use crate::http::page::Page;
use crate::http::patch::{MaybeSecret, MaybeText, Patch, Port, Switch, Text};
use crate::http::scope::WhichNetBox;
use crate::http::state::reach;
use crate::http::targets::get_netbox;
use crate::http::{AppState, ErrorBody};
use crate::netbox::{self, Endpoint, Scheme, Token};
use crate::store::{NetBoxDraft, NetBoxEndpoint, NetBoxSettings, SecretChange, TokenVersion};

/// What is served here, in the order of the OpenAPI document.
pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, update, delete))
        .routes(routes!(probe))
        .routes(routes!(status))
}

/// A NetBox endpoint as it is answered.
#[derive(Debug, Serialize)]
struct Row {
    id: i64,
    #[serde(flatten)]
    settings: NetBoxSettings,
    /// What NetBox answered when the endpoint was stored.
    probe: Option<NetBoxProbe>,
}

impl Row {
    fn new(endpoint: NetBoxEndpoint, probe: Option<NetBoxProbe>) -> Self {
        Self {
            id: endpoint.id,
            settings: endpoint.settings,
            probe,
        }
    }
}

/// Members of a NetBox endpoint; those that are absent stay as they are.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = NetBoxEndpointChange)]
struct Change {
    #[serde(default)]
    name: Text,
    #[serde(default)]
    ip_address: Text,
    #[serde(default)]
    domain: MaybeText,
    #[serde(default)]
    port: Port,
    #[serde(default)]
    token_version: Text,
    #[serde(default)]
    #[schema(value_type = Option<String>, write_only)]
    token_key: MaybeSecret,
    #[serde(default)]
    #[schema(value_type = Option<String>, write_only)]
    token: MaybeSecret,
    #[serde(default)]
    verify_ssl: Switch,
    #[serde(default)]
    enabled: Switch,
    /// `http` or `https`; null: TLS on port 443, with `verify_ssl`, and where a certificate or its fingerprint is given.
    #[serde(default)]
    scheme: MaybeText,
    /// The path below which NetBox is served (its `BASE_PATH`), such as `/netbox`.
    #[serde(default)]
    base_path: Text,
    /// Certificates in PEM form that are trusted besides those of the system; NetBox's is then verified whatever `verify_ssl`
    /// says.
    #[serde(default)]
    tls_ca_pem: MaybeText,
    /// SHA-256 of NetBox's certificate; where it is set, it alone decides.
    #[serde(default)]
    tls_fingerprint: MaybeText,
}

impl Change {
    fn into_draft(self) -> Result<NetBoxDraft, ApiError> {
        let required = [
            ("name", self.name.is_absent()),
            ("ip_address", self.ip_address.is_absent()),
        ];
        if let Some((field, _)) = required.iter().find(|(_, is_absent)| *is_absent) {
            return Err(ApiError::invalid(&["body", field], "Field required."));
        }
        let mut draft = NetBoxDraft {
            settings: NetBoxSettings::default(),
            token_key: SecretChange::Keep,
            token: SecretChange::Keep,
        };
        self.merge(&mut draft)?;
        Ok(draft)
    }

    fn merge(self, draft: &mut NetBoxDraft) -> Result<(), ApiError> {
        let settings = &mut draft.settings;
        self.name.apply(&mut settings.name);
        self.ip_address.apply(&mut settings.ip_address);
        if let Patch::Given(domain) = self.domain {
            settings.domain = domain.unwrap_or_default();
        }
        self.port.apply(&mut settings.port);
        self.verify_ssl.apply(&mut settings.verify_ssl);
        self.enabled.apply(&mut settings.enabled);
        if let Patch::Given(word) = self.token_version {
            settings.token_version = TokenVersion::parse(&word).ok_or_else(|| {
                ApiError::plain(StatusCode::BAD_REQUEST, "Invalid token_version. Must be 'v1' or 'v2'.")
            })?;
        }
        self.scheme.apply(&mut settings.scheme);
        self.base_path.apply(&mut settings.base_path);
        self.tls_ca_pem.apply(&mut settings.tls_ca_pem);
        self.tls_fingerprint.apply(&mut settings.tls_fingerprint);
        settings
            .base_path
            .truncate(settings.base_path.trim_end_matches('/').len());
        check(settings)?;
        if let Patch::Given(key) = self.token_key {
            draft.token_key = SecretChange::Set(key);
        }
        if let Patch::Given(token) = self.token {
            draft.token = SecretChange::Set(token);
        }
        Ok(())
    }
}

fn check(settings: &NetBoxSettings) -> Result<(), ApiError> {
    let longest = [
        ("name", &settings.name, 255),
        ("ip_address", &settings.ip_address, 45),
        ("domain", &settings.domain, 255),
    ];
    for (field, text, limit) in longest {
        if text.chars().count() > limit {
            return Err(ApiError::invalid(
                &["body", field],
                &format!("At most {limit} characters."),
            ));
        }
    }
    if settings.name.trim().is_empty() {
        return Err(ApiError::invalid(&["body", "name"], "Must not be empty."));
    }
    if settings.port == 0 {
        return Err(ApiError::invalid(&["body", "port"], "Must be between 1 and 65535."));
    }
    check_host(&settings.ip_address, Some(&settings.domain))?;
    check_reach(settings)
}

/// What a client could not be made with.
fn check_reach(settings: &NetBoxSettings) -> Result<(), ApiError> {
    if settings
        .scheme
        .as_deref()
        .is_some_and(|word| Scheme::parse(word).is_none())
    {
        return Err(ApiError::invalid(&["body", "scheme"], "Must be `http` or `https`."));
    }
    let token = Token::V1(String::new().into());
    let mut endpoint = Endpoint::new(&settings.name, "localhost", settings.port, token);
    reach(&mut endpoint, settings);
    match endpoint.check() {
        Err(netbox::Error::Endpoint { field, problem }) => Err(ApiError::invalid(&["body", field], &problem)),
        Err(_) | Ok(()) => Ok(()),
    }
}

/// What NetBox answers now. A row that cannot even be connected to is a probe that failed.
async fn probed(state: &AppState, row: &NetBoxEndpoint) -> Result<NetBoxProbe, ApiError> {
    match state.netbox.client(state.netbox_endpoint(row).await?) {
        Ok(client) => Ok(netbox_probe::probe(&client).await),
        Err(error) => Ok(NetBoxProbe::failed(&error)),
    }
}

/// Forgets the client of an endpoint that has changed, and what the plugin's page of the NetBox before said.
fn changed(state: &AppState, id: i64) {
    state.netbox.forget(&id.to_string());
    state.settings.start_over();
}

/// The stored NetBox endpoint, in a list.
#[utoipa::path(
    get, path = "/netbox/endpoint", tag = "netbox", params(Page),
    responses((status = 200, body = Vec<Value>)),
)]
async fn list(State(state): State<AppState>, Query(page): Query<Page>) -> Result<Json<Vec<Row>>, ApiError> {
    let rows = state.store.list_netbox_endpoints().await?;
    Ok(Json(page.of(rows).map(|row| Row::new(row, None)).collect()))
}

/// One NetBox endpoint.
#[utoipa::path(
    get, path = "/netbox/endpoint/{netbox_id}", tag = "netbox", params(("netbox_id" = i64, Path)),
    responses((status = 200, body = Value), (status = 404, body = ErrorBody)),
)]
async fn get(State(state): State<AppState>, Path(id): Path<i64>) -> Result<Json<Row>, ApiError> {
    Ok(Json(Row::new(state.store.get_netbox_endpoint(id).await?, None)))
}

/// Stores the one NetBox endpoint, and tells whether it can be used.
#[utoipa::path(
    post, path = "/netbox/endpoint", tag = "netbox", request_body = Change,
    responses((status = 200, body = Value), (status = 400, body = ErrorBody)),
)]
async fn create(
    State(state): State<AppState>,
    extract::Json(change): extract::Json<Change>,
) -> Result<Json<Row>, ApiError> {
    let row = state.store.create_netbox_endpoint(change.into_draft()?).await?;
    changed(&state, row.id);
    let probe = probed(&state, &row).await?;
    Ok(Json(Row::new(row, Some(probe))))
}

/// Changes the members that are given. The plugin sends its endpoint before every job: where nothing differs, nothing
/// is written, no connection lost, and NetBox not asked.
#[utoipa::path(
    put, path = "/netbox/endpoint/{netbox_id}", tag = "netbox", params(("netbox_id" = i64, Path)),
    request_body = Change,
    responses((status = 200, body = Value), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody)),
)]
async fn update(
    State(state): State<AppState>,
    Path(id): Path<i64>,
    extract::Json(change): extract::Json<Change>,
) -> Result<Json<Row>, ApiError> {
    let (row, has_changed) = state
        .store
        .update_netbox_endpoint(id, |draft| change.merge(draft))
        .await?;
    if !has_changed {
        return Ok(Json(Row::new(row, None)));
    }
    changed(&state, id);
    let probe = probed(&state, &row).await?;
    Ok(Json(Row::new(row, Some(probe))))
}

/// Deletes the NetBox endpoint.
#[utoipa::path(
    delete, path = "/netbox/endpoint/{netbox_id}", tag = "netbox", params(("netbox_id" = i64, Path)),
    responses((status = 200, body = Value), (status = 404, body = ErrorBody)),
)]
async fn delete(State(state): State<AppState>, Path(id): Path<i64>) -> Result<Json<Value>, ApiError> {
    state.store.delete_netbox_endpoint(id).await?;
    changed(&state, id);
    Ok(Json(json!({"message": "NetBox Endpoint deleted."})))
}

/// Whether NetBox can be used, asked anew.
#[utoipa::path(
    get, path = "/netbox/endpoint/{netbox_id}/probe", tag = "netbox", params(("netbox_id" = i64, Path)),
    responses((status = 200, body = NetBoxProbe), (status = 404, body = ErrorBody)),
)]
async fn probe(State(state): State<AppState>, Path(id): Path<i64>) -> Result<Json<NetBoxProbe>, ApiError> {
    let row = state.store.get_netbox_endpoint(id).await?;
    Ok(Json(probed(&state, &row).await?))
}

/// What NetBox says about itself, as it says it.
#[utoipa::path(
    get, path = "/netbox/status", tag = "netbox", params(WhichNetBox),
    responses((status = 200, body = Value), (status = 502, body = ErrorBody)),
)]
async fn status(State(state): State<AppState>, Query(which): Query<WhichNetBox>) -> Result<Json<Value>, ApiError> {
    Ok(Json(
        get_netbox(&state, which.netbox_id).await?.get("/api/status/").await?,
    ))
}
