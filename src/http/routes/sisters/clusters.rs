//! The backup servers that the clusters of Proxmox VE use, as they know them. Nobody signs in to a backup server for this.

use tokio::time::{Instant, timeout_at};

use super::status::{Item, PATIENCE};
use crate::endpoint::Product;
use crate::http::AppState;
use crate::http::answers::Answers;
use crate::http::error::ApiError;
use crate::http::targets::select;
use crate::proxmox::types::StorageConfig;
use crate::proxmox::{ClusterResource, Error, Session};
use crate::sync::EndpointFilter;

/// Where a backup server listens if its storage does not tell.
const PORT: u16 = Product::BackupServer.port();

/// A backup server, as a cluster knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BackupServer {
    /// The storage that is on it.
    storage: String,
    host: String,
    port: u16,
    /// Why no node reaches it; `None` where one does.
    fault: Option<&'static str>,
}

/// What the enabled Proxmox endpoints know of backup servers, those that answer by `deadline`.
///
/// # Errors
///
/// Those of the store.
pub(super) async fn read(state: &AppState, deadline: Instant) -> Result<Answers<Vec<BackupServer>>, ApiError> {
    let selected = select(state, &EndpointFilter::default()).await?;
    let ask = |_, session: Session| async move {
        let late = || Error::Timeout {
            call: "GET storage".to_owned(),
            address: session.endpoint().address(),
            limit: PATIENCE,
        };
        timeout_at(deadline, servers(&session))
            .await
            .unwrap_or_else(|_| Err(late()))
    };
    Ok(Answers::attempt(selected, ask).await)
}

/// Each of `servers` once; one that any node of any cluster reaches is reachable.
pub(super) fn items(servers: impl Iterator<Item = BackupServer>) -> impl Iterator<Item = Item> {
    once(servers).into_iter().map(item)
}

async fn servers(session: &Session) -> Result<Vec<BackupServer>, Error> {
    let (storages, resources) = tokio::try_join!(session.list_storages(), session.cluster_resources(Some("storage")))?;
    let known = storages.items.into_iter();
    Ok(known.filter_map(|storage| server(storage, &resources.items)).collect())
}

/// The server that `storage` is on; `None` of storages of other kinds.
fn server(storage: StorageConfig, resources: &[ClusterResource]) -> Option<BackupServer> {
    if storage.kind.as_deref() != Some("pbs") {
        return None;
    }
    let is_available = resources
        .iter()
        .any(|row| row.storage.as_deref() == Some(&storage.storage) && row.status.as_deref() == Some("available"));
    let fault = match (storage.disable, is_available) {
        (true, _) => Some("its storage is switched off"),
        (false, false) => Some("no node reaches it"),
        (false, true) => None,
    };
    Some(BackupServer {
        storage: storage.storage,
        host: storage.server?,
        port: storage.port.and_then(|port| port.try_into().ok()).unwrap_or(PORT),
        fault,
    })
}

/// Each server once, by host and port.
fn once(servers: impl Iterator<Item = BackupServer>) -> Vec<BackupServer> {
    let mut known: Vec<BackupServer> = Vec::new();
    for server in servers {
        let same = known
            .iter_mut()
            .find(|other| (&other.host, other.port) == (&server.host, server.port));
        match same {
            Some(other) if other.fault.is_some() => *other = server,
            Some(_) => {}
            None => known.push(server),
        }
    }
    known
}

fn item(server: BackupServer) -> Item {
    Item {
        endpoint_id: None,
        name: server.storage,
        host: server.host,
        port: server.port,
        reachable: server.fault.is_none(),
        reason: server.fault.map(str::to_owned),
        version: None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn storage(row: Value) -> StorageConfig {
        serde_json::from_value(row).unwrap()
    }

    fn resource(storage: &str, node: &str, status: &str) -> ClusterResource {
        let id = format!("storage/{node}/{storage}");
        let row = json!({"id": id, "type": "storage", "storage": storage, "node": node, "status": status});
        serde_json::from_value(row).unwrap()
    }

    #[test]
    fn server_is_reachable_where_any_node_has_its_storage() {
        let vault = json!({"storage": "vault", "type": "pbs", "server": "pbs1", "datastore": "d"});
        let off = json!({"storage": "vault", "type": "pbs", "server": "pbs1", "port": 443, "disable": 1});
        for (row, statuses, expected) in [
            (&vault, ["unknown", "available"], Some((8007, None))),
            (&vault, ["unknown", "unknown"], Some((8007, Some("no node reaches it")))),
            (
                &off,
                ["unknown", "unknown"],
                Some((443, Some("its storage is switched off"))),
            ),
            (
                &json!({"storage": "vault", "type": "nfs", "server": "nas"}),
                ["available", "available"],
                None,
            ),
        ] {
            let resources = [
                resource("vault", "pve1", statuses[0]),
                resource("vault", "pve2", statuses[1]),
            ];
            let found = server(storage(row.clone()), &resources);
            assert_eq!(
                found.map(|server| (server.port, server.fault)),
                expected,
                "{row} {statuses:?}"
            );
        }
    }

    #[test]
    fn server_of_several_storages_is_told_once_and_reachable_where_one_of_them_is() {
        let server = |storage: &str, host: &str, fault| BackupServer {
            storage: storage.to_owned(),
            host: host.to_owned(),
            port: PORT,
            fault,
        };
        let fault = Some("no node reaches it");
        let (a, b, c) = (
            server("a", "pbs1", fault),
            server("b", "pbs2", None),
            server("c", "pbs1", None),
        );
        assert_eq!(once([a.clone(), b.clone(), c.clone()].into_iter()), [c.clone(), b]);
        assert_eq!(once([c.clone(), a].into_iter()), [c]);
    }
}
