//! Which endpoints a request is about, and the NetBox it writes to.
//!
//! Nothing is opened here: sessions and clients are long-lived and come from their pools, which replace them when the
//! stored row has changed.

use std::future::Future;
use std::sync::Arc;

use axum::http::StatusCode;
use serde::de::Error as _;

use super::AppState;
use super::connect;
use super::error::ApiError;
use crate::endpoint::{EndpointId, EndpointKey, Source};
use crate::netbox::objects::PluginEndpoint;
use crate::netbox::{Client, Query};
use crate::proxmox::{Error, Metadata, Rows, Session};
use crate::store::{ProxmoxEndpoint, ProxmoxSettings};
use crate::sync::{EndpointFilter, SyncRequest, endpoint_label, plugin_key};

/// One endpoint that a request is about.
#[derive(Debug, Clone)]
pub(super) struct Target {
    /// Who it is.
    pub(super) key: EndpointKey,
    /// Its settings.
    pub(super) settings: ProxmoxSettings,
    /// The session with it, or why there cannot be one.
    pub(super) session: Result<Session, Error>,
}

impl Target {
    /// The name of the cluster or host, as [`Self::name_in`].
    pub(super) async fn name(&self) -> Result<String, Error> {
        let metadata = self.session.clone()?.metadata().await?;
        Ok(self.name_in(&metadata))
    }

    /// The name of the cluster or host; where it is not to be seen the operator's name for the endpoint, never an
    /// address.
    pub(super) fn name_in(&self, metadata: &Metadata) -> String {
        metadata.name().map_or_else(|| self.label(), str::to_owned)
    }

    /// What `read` gives, with [`Self::name`].
    pub(super) fn named<T>(
        &self,
        read: impl Future<Output = Result<T, Error>>,
    ) -> impl Future<Output = Result<(String, T), Error>> {
        // Boxed: reads are large, and handlers hold several of them.
        let (name, read) = (Box::pin(self.name()), Box::pin(read));
        async { tokio::try_join!(name, read) }
    }

    /// Its number in the plugin, where that is known.
    pub(super) fn plugin_id(&self) -> Option<u64> {
        match self.key.source {
            Source::Database => plugin_key(&self.settings.name),
            Source::NetBox => u64::try_from(self.key.id.0).ok(),
        }
    }

    /// The operator's name for the endpoint.
    pub(super) fn label(&self) -> String {
        endpoint_label(&self.settings.name).to_owned()
    }
}

/// The endpoints that a filter selects.
#[derive(Debug, Default)]
pub(super) struct Selected {
    /// In the order of their ids.
    pub(super) targets: Vec<Target>,
    /// Ids that were asked for and that no enabled endpoint has.
    pub(super) missing: Vec<i64>,
    /// The field by which one endpoint is chosen, where others than the one in `targets` have the same.
    pub(super) shared: Option<&'static str>,
}

/// The enabled endpoints that `filter` selects; none at all is no error.
pub(super) async fn select(state: &AppState, filter: &EndpointFilter) -> Result<Selected, ApiError> {
    let rows = match filter.source {
        Source::Database => stored(state).await?,
        Source::NetBox => tracked(state).await?,
    };
    let is_wanted = |id: i64| filter.ids.as_ref().is_none_or(|ids| ids.contains(&id));
    let mut rows: Vec<_> = rows.into_iter().filter(|row| is_wanted(row.key.id.0)).collect();
    let wanted = filter.ids.iter().flatten().copied();
    let missing: Vec<i64> = wanted.filter(|id| rows.iter().all(|row| row.key.id.0 != *id)).collect();
    let mut shared = None;
    if let Some((field, is_it)) = choice(filter) {
        rows.retain(|row| is_it(&row.settings));
        match rows.len() {
            0 => return Err(unmatched(field)),
            1 => {}
            _ => shared = Some(field),
        }
        rows.truncate(1);
    }
    let mut targets = Vec::with_capacity(rows.len());
    for row in rows {
        let session = match &row.stored {
            Some(stored) => session(state, row.key, stored).await,
            None => Err(not_pushed(&row.settings.name)),
        };
        targets.push(Target {
            key: row.key,
            settings: row.settings,
            session,
        });
    }
    Ok(Selected {
        targets,
        missing,
        shared,
    })
}

/// An endpoint that may be selected.
#[derive(Debug)]
struct Row {
    key: EndpointKey,
    settings: ProxmoxSettings,
    /// The row that holds its credentials.
    stored: Option<ProxmoxEndpoint>,
}

/// Whether an endpoint is the one that is meant.
type Choice<'a> = Box<dyn Fn(&ProxmoxSettings) -> bool + Send + 'a>;

/// The field by which one endpoint is chosen, and whether an endpoint has it.
fn choice(filter: &EndpointFilter) -> Option<(&'static str, Choice<'_>)> {
    if let Some(address) = &filter.ip_address {
        return Some(("ip_address", Box::new(move |settings| settings.ip_address == *address)));
    }
    if let Some(domain) = &filter.domain {
        let is_it: Choice<'_> = Box::new(move |settings| settings.domain.as_ref() == Some(domain));
        return Some(("domain", is_it));
    }
    let name = filter.name.as_ref()?;
    Some(("name", Box::new(move |settings| settings.name == *name)))
}

/// This service's own enabled rows.
async fn stored(state: &AppState) -> Result<Vec<Row>, ApiError> {
    let rows = state.store.list_recent_proxmox_endpoints().await?;
    let enabled = rows.iter().filter(|row| row.settings.enabled);
    Ok(enabled
        .map(|row| Row {
            key: EndpointKey {
                source: Source::Database,
                id: EndpointId(row.id),
            },
            settings: row.settings.clone(),
            stored: Some(row.clone()),
        })
        .collect())
}

/// The plugin's enabled rows.
async fn tracked(state: &AppState) -> Result<Vec<Row>, ApiError> {
    let client = get_netbox(state, None).await?;
    let plugin: Vec<PluginEndpoint> = client.list(PluginEndpoint::PATH, &Query::new()).await?;
    let own = state.store.list_recent_proxmox_endpoints().await?;
    let enabled = plugin.into_iter().filter(|endpoint| endpoint.enabled);
    Ok(enabled.map(|endpoint| twin(&endpoint, &own)).collect())
}

/// A row of the plugin. NetBox never tells credentials: they are taken from the one row that the plugin has stored here
/// for the same endpoint.
fn twin(endpoint: &PluginEndpoint, own: &[ProxmoxEndpoint]) -> Row {
    let mut twins = own
        .iter()
        .filter(|row| plugin_key(&row.settings.name) == Some(endpoint.id.0));
    let mut stored = twins.next().filter(|_| twins.next().is_none()).cloned();
    let mut settings = stored.as_ref().map(|row| row.settings.clone()).unwrap_or_default();
    if stored.is_none() {
        settings.name = endpoint.name.clone().unwrap_or_default();
    }
    settings.ip_address = endpoint.ip().map_or(settings.ip_address, str::to_owned);
    settings.port = endpoint.port.unwrap_or(settings.port);
    settings.domain.clone_from(&endpoint.domain);
    if let Some(row) = &mut stored {
        row.settings = settings.clone();
    }
    Row {
        key: EndpointKey {
            source: Source::NetBox,
            id: EndpointId(i64::try_from(endpoint.id.0).unwrap_or(i64::MAX)),
        },
        settings,
        stored,
    }
}

fn unmatched(field: &str) -> ApiError {
    let message = format!("No result found for Proxmox Sessions based on the provided {field}");
    ApiError::message(
        StatusCode::BAD_REQUEST,
        message,
        "Check if the provided parameters are correct",
    )
}

fn not_pushed(name: &str) -> Error {
    Error::InvalidEndpoint {
        endpoint: name.to_owned(),
        reason: "it is not stored here exactly once; save it in the plugin first, which sends its credentials along"
            .to_owned(),
    }
}

/// The session of a stored row. A secret that cannot be opened is the endpoint's own failure, not the request's.
pub(super) async fn session(state: &AppState, key: EndpointKey, row: &ProxmoxEndpoint) -> Result<Session, Error> {
    let secrets = state
        .store
        .proxmox_secrets(row)
        .await
        .map_err(|error| Error::InvalidEndpoint {
            endpoint: row.settings.name.clone(),
            reason: error.to_string(),
        })?;
    let endpoint = connect::endpoint(key, row, &secrets, &state.settings.effective().proxmox)?;
    state.proxmox.session(match &state.substitute {
        Some(substitute) => substitute.instead_of(endpoint),
        None => endpoint,
    })
}

/// The client of the NetBox endpoint `id`, or of the first enabled one.
///
/// # Errors
///
/// 400 where there is none.
pub(super) async fn get_netbox(state: &AppState, id: Option<i64>) -> Result<Client, ApiError> {
    state.find_netbox(id).await?.ok_or_else(|| {
        if let Some(id) = id {
            let detail = "It is not stored here, or not enabled.";
            return ApiError::message(
                StatusCode::BAD_REQUEST,
                format!("NetBox endpoint {id} not found"),
                detail,
            );
        }
        let detail = "Store the NetBox endpoint first: POST /netbox/endpoint, or save it in the plugin.";
        ApiError::message(StatusCode::BAD_REQUEST, "No NetBox endpoint is configured", detail)
    })
}

/// The client of the NetBox that `request` is about, on its branch.
///
/// # Errors
///
/// 400 where there is none, or no such branch.
pub(super) async fn get_branch(state: &AppState, request: &SyncRequest) -> Result<Client, ApiError> {
    let main = get_netbox(state, request.netbox_id).await?;
    Ok(match &request.branch {
        Some(branch) => main.on_branch(branch)?,
        None => main,
    })
}

/// The rows of a list of which none may be missing.
///
/// # Errors
///
/// [`Error::Decode`] naming the first row that cannot be read.
pub(super) fn complete<T>(path: &str, rows: Rows<T>) -> Result<Vec<T>, Error> {
    let Some(row) = rows.rejected.first() else {
        return Ok(rows.items);
    };
    let name = row.id.clone().unwrap_or_else(|| row.index.to_string());
    let source = serde_json::Error::custom(format!("row {name}: {}", row.reason));
    Err(Error::Decode {
        call: format!("GET {path}"),
        source: Arc::new(source),
    })
}
