//! From a request to a run: what it is to do, with which NetBox and which endpoints.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use axum::http::StatusCode;
use futures_util::future::join_all;
use serde::Deserialize;

use super::AppState;
use super::error::ApiError;
use super::scope::Scope;
use super::settings;
use super::targets::{Selected, Target, get_branch};
use crate::netbox::settings::SyncChoices;
use crate::netbox::{self, Client, ObjectId};
use crate::proxmox::types::ClusterStatus;
use crate::proxmox::{self, Vmid};
use crate::sync::{EndpointFacts, Limits, Lookup, Part, RunContext, SyncEndpoint, SyncRequest};

const MACHINES: &str = "/api/virtualization/virtual-machines/";

/// A row of which only the id counts.
#[derive(Debug, Deserialize)]
pub(super) struct Identified {
    pub(super) id: ObjectId,
}

/// A run that can be started.
#[derive(Debug)]
pub(super) struct Job {
    /// What it is to do.
    pub(super) request: SyncRequest,
    /// What it works with.
    pub(super) context: RunContext,
    /// Endpoints that were asked for and that it does without.
    pub(super) missing: Vec<i64>,
}

impl Job {
    /// The run that `scope` asks for with the endpoints in `selected`, perhaps for the guest of one virtual machine.
    ///
    /// # Errors
    ///
    /// What makes the request itself impossible: parameters, a branch that is not there, a NetBox that the mock mode
    /// may not write to. That an endpoint
    /// or NetBox does not answer is up to the run to tell.
    pub(super) async fn between(
        state: &AppState,
        scope: &Scope,
        machine: Option<ObjectId>,
        selected: Selected,
    ) -> Result<Self, ApiError> {
        let settings = settings::read_once(state).await;
        let mut request = SyncRequest::parse(&with_defaults(scope.query.clone(), &settings.sync))?;
        let client = get_branch(state, &request).await?;
        if !request.dry_run {
            refuse_mock_data(state, &client)?;
        }
        if let Err(error @ netbox::Error::Branch { .. }) = client.check_branch().await {
            return Err(error.into());
        }
        if let Some(machine) = machine {
            check_machine(&client, machine).await?;
            request = request.of_machine(machine);
        } else if let Some(machines) = &request.options.guests.only {
            check_machines(&client, machines).await?;
        }
        request.fetch_max_concurrency = request.fetch_max_concurrency.or(settings.proxmox.fetch_concurrency);
        let template = settings.sync.node_device_name_template.clone().unwrap_or_default();
        let limits = &state.config.sync;
        // Where they cannot be listed, none is taken for gone.
        let configured = state.store.list_proxmox_endpoints().await.ok();
        let context = RunContext {
            netbox: client,
            endpoints: selected
                .targets
                .into_iter()
                .map(|target| participant(target, &template))
                .collect(),
            endpoint_ids: configured.map(|rows| rows.iter().map(|row| row.id).collect()),
            missing: selected.missing.clone(),
            delete_orphans: settings.sync.delete_orphans.unwrap_or_default(),
            limits: Limits {
                percent: limits.shrink_percent,
                rows: limits.shrink_rows,
                is_lifted: request.allow_shrink,
            },
            stamp_interval: limits.stamp_interval,
            inventory_ttl: limits.inventory_ttl,
            agent_timeout: limits.agent_timeout,
            wants_hardware: settings.sync.hardware_discovery.unwrap_or_default(),
            sync_links: limits.links,
        };
        Ok(Self {
            request,
            context,
            missing: selected.missing,
        })
    }

    /// Opens every endpoint. Those that do not open are [`Self::missing`] from then on; the run tells why.
    ///
    /// # Errors
    ///
    /// 502 where none opens.
    pub(super) async fn open(&mut self) -> Result<(), ApiError> {
        let endpoints = &self.context.endpoints;
        let failures = join_all(endpoints.iter().map(failure)).await;
        let failed = endpoints.iter().zip(failures);
        let failed: Vec<_> = failed
            .filter_map(|(endpoint, failure)| Some((&endpoint.facts, failure?)))
            .collect();
        self.missing.extend(failed.iter().map(|(facts, _)| facts.key.id.0));
        if let Some((facts, error)) = failed.first()
            && failed.len() == endpoints.len()
        {
            let text = format!("{}: {error}", facts.name);
            let refused = ApiError::message(StatusCode::BAD_GATEWAY, "No Proxmox endpoint could be opened", text);
            return Err(refused.because(error));
        }
        Ok(())
    }

    /// Limits the run to what the query says of `parts`, and to endpoints that may have the node it names. Of several that may
    /// have it where a storage is named too, only the first that tells what backups it has there is left; where none tells, the
    /// run says why.
    ///
    /// # Errors
    ///
    /// Parameters that are missing or cannot be understood.
    pub(super) async fn limit(&mut self, scope: &Scope, parts: &[(&'static str, Part)]) -> Result<(), ApiError> {
        let request = std::mem::take(&mut self.request);
        self.request = request.limited(&scope.query, parts)?;
        let only = &self.request.options.only;
        let Some(node) = only.named(Part::Node) else {
            return Ok(());
        };
        let endpoints = std::mem::take(&mut self.context.endpoints);
        let may_have = join_all(endpoints.iter().map(|endpoint| may_have(endpoint, node))).await;
        let kept = endpoints.into_iter().zip(may_have).filter(|(_, may_have)| *may_have);
        let mut kept: Vec<SyncEndpoint> = kept.map(|(endpoint, _)| endpoint).collect();
        if let (Some(storage), 2..) = (only.named(Part::Storage), kept.len())
            && let Some(first) = first_reader(&kept, (node, storage), only.guest).await
        {
            kept = vec![kept.swap_remove(first)];
        }
        self.context.endpoints = kept;
        Ok(())
    }
}

/// A query with what the plugin's page says in place of parameters that are not there.
fn with_defaults(mut query: BTreeMap<String, String>, page: &SyncChoices) -> BTreeMap<String, String> {
    let flag = |flag: Option<bool>| flag.map(|flag| flag.to_string());
    for (name, value) in [
        (
            "use_guest_agent_interface_name",
            flag(page.use_guest_agent_interface_name),
        ),
        (
            "ignore_ipv6_link_local_addresses",
            flag(page.ignore_ipv6_link_local_addresses),
        ),
        ("primary_ip_preference", page.primary_ip_preference.clone()),
    ] {
        if let Some(value) = value {
            query.entry(name.to_owned()).or_insert(value);
        }
    }
    query
}

/// Why an endpoint does not open; `None` where it does.
async fn failure(endpoint: &SyncEndpoint) -> Option<proxmox::Error> {
    match &endpoint.session {
        Ok(session) => session.refresh().await.err(),
        Err(error) => Some(error.clone()),
    }
}

/// The place of the first endpoint whose node tells what backups are on the storage.
async fn first_reader(endpoints: &[SyncEndpoint], (node, storage): (&str, &str), guest: Option<Vmid>) -> Option<usize> {
    for (place, endpoint) in endpoints.iter().enumerate() {
        if let Ok(session) = &endpoint.session
            && session.list_backups(node, storage, guest).await.is_ok()
        {
            return Some(place);
        }
    }
    None
}

/// Whether an endpoint has the node; one that does not tell may.
async fn may_have(endpoint: &SyncEndpoint, node: &str) -> bool {
    let Ok(session) = &endpoint.session else { return true };
    let is_it = |row: &ClusterStatus| row.is_node() && row.name.as_deref() == Some(node);
    session.metadata().await.map_or(true, |metadata| {
        metadata.status.iter().any(is_it) || !metadata.unclear_members().is_empty()
    })
}

/// 404 where there is no such virtual machine: a run for it could only fail, and would be asked for again.
async fn check_machine(client: &Client, machine: ObjectId) -> Result<(), ApiError> {
    let query = netbox::Query::new().with("id", machine).fields(&["id"]);
    let found: Option<Identified> = client.find_one(MACHINES, &query).await?;
    found.map(drop).ok_or_else(|| {
        let text = format!("Virtual machine id={machine} was not found in NetBox.");
        ApiError::plain(StatusCode::NOT_FOUND, text)
    })
}

/// 502 where any of the virtual machines that the query names does not exist: to go on without it would look like success.
async fn check_machines(client: &Client, machines: &BTreeSet<ObjectId>) -> Result<(), ApiError> {
    let wanted: Vec<String> = machines.iter().map(ToString::to_string).collect();
    let query = netbox::Query::new().fields(&["id"]).expect_chunk("id");
    let found: Vec<Identified> = client.list_chunked(MACHINES, &query, "id", &wanted).await?;
    let found: BTreeSet<ObjectId> = found.into_iter().map(|row| row.id).collect();
    let missing: Vec<String> = machines.difference(&found).map(ToString::to_string).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let text = format!("not found in NetBox: {}", missing.join(", "));
    Err(ApiError::message(
        StatusCode::BAD_GATEWAY,
        "Unable to resolve the selected virtual machines",
        text,
    ))
}

fn participant(target: Target, template: &str) -> SyncEndpoint {
    let settings = target.settings;
    let own = settings.node_device_name_template.trim();
    let id = |id: Option<i64>| id.and_then(|id| u64::try_from(id).ok()).map(ObjectId);
    let facts = EndpointFacts {
        key: target.key,
        node_device_name_template: if own.is_empty() {
            template.to_owned()
        } else {
            own.to_owned()
        },
        site: Lookup {
            id: id(settings.site_id),
            slug: settings.site_slug,
            name: settings.site_name,
        },
        tenant: Lookup {
            id: id(settings.tenant_id),
            slug: settings.tenant_slug,
            name: settings.tenant_name,
        },
        name: settings.name,
        domain: settings.domain,
        ip_address: Some(settings.ip_address),
        port: settings.port,
    };
    SyncEndpoint {
        facts,
        session: target.session,
    }
}

/// Invented guests must not reach a NetBox that somebody relies on.
fn refuse_mock_data(state: &AppState, client: &Client) -> Result<(), ApiError> {
    let mock = state.config.mock;
    if !mock.is_on || mock.allow_remote_netbox || is_loopback(client.base_url()) {
        return Ok(());
    }
    let message = "The mock mode does not write to this NetBox";
    let detail = "Proxmox is a mock, and NetBox is not on a loopback address. Set PROXBOX_MOCK_ALLOW_REMOTE_NETBOX=1 to \
                  write its invented guests there all the same.";
    Err(ApiError::message(StatusCode::CONFLICT, message, detail))
}

fn is_loopback(base_url: &str) -> bool {
    let Ok(url) = url::Url::parse(base_url) else {
        return false;
    };
    let host = url
        .host_str()
        .unwrap_or_default()
        .trim_start_matches('[')
        .trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_told_from_other_hosts() {
        for (url, expected) in [
            ("http://127.0.0.1:8000", true),
            ("http://[::1]:8000", true),
            ("https://localhost:443", true),
            ("https://netbox.example:443", false),
            ("http://10.0.0.1:80", false),
            ("https://127.0.0.1.example:443", false),
            ("", false),
        ] {
            assert_eq!(is_loopback(url), expected, "{url}");
        }
    }
}
