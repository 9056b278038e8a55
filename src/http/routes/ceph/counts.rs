//! What Ceph consists of, read through Proxmox VE and counted. The paths say `sync`, for that is what they were called;
//! nothing is written to NetBox, which has no place for it.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use futures_util::future::{join_all, try_join_all};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::host;
use crate::http::answers::Answers;
use crate::http::counted::{Branch, Read};
use crate::http::error::ApiError;
use crate::http::extract::{Path, Query};
use crate::http::scope::Scope;
use crate::http::targets::{Target, select};
use crate::http::{AppState, ErrorBody};
use crate::proxmox::types::CephDaemon;
use crate::proxmox::{ContentFilter, Error, Session};

/// The parts, and how they are called in paths.
const PARTS: [(&str, Part); 9] = [
    ("status", Part::Status),
    ("daemons", Part::Daemons),
    ("osds", Part::Osds),
    ("pools", Part::Pools),
    ("filesystems", Part::Filesystems),
    ("crush", Part::Crush),
    ("flags", Part::Flags),
    ("rgw", Part::Gateways),
    ("rbd", Part::Images),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Status,
    Daemons,
    Osds,
    Pools,
    Filesystems,
    Crush,
    Flags,
    Gateways,
    Images,
}

/// How much of one part an endpoint has.
#[derive(Debug, Serialize)]
struct Item {
    name: String,
    host: String,
    resource: &'static str,
    fetched: usize,
    written: usize,
    errors: Vec<String>,
    /// The nodes that were asked.
    nodes: Vec<String>,
    netbox_branch_schema_id: Option<String>,
}

/// What Ceph has of a part on each selected endpoint, or of all (`full`): `status`, `daemons`, `osds`, `pools`,
/// `filesystems`, `crush`, `flags`, `rgw` or `rbd`. `raw` has what was sent. Nothing is written.
#[utoipa::path(
    get, path = "/ceph/sync/{resource}", tag = "ceph", params(("resource" = String, Path), Scope, Branch),
    responses((status = 200, body = Value), (status = 404, body = ErrorBody)),
)]
pub(super) async fn counts(
    State(state): State<AppState>,
    scope: Scope,
    Path(wanted): Path<String>,
    Query(branch): Query<Branch>,
) -> Result<Response, ApiError> {
    let parts = PARTS.into_iter();
    let parts: Vec<_> = parts.filter(|(name, _)| wanted == "full" || wanted == *name).collect();
    if parts.is_empty() {
        return Err(ApiError::plain(StatusCode::NOT_FOUND, "Not Found"));
    }
    let selected = select(&state, &scope.filter).await?;
    let asked = &parts;
    let answers = Answers::attempt(selected, |_, session| async move { read(&session, asked).await }).await;
    Ok(answers.respond_with_failures(|items, failed| {
        let item = |target: &Target, resource, nodes: &[String], read: &Read| Item {
            name: target.label(),
            host: host(target).to_owned(),
            resource,
            fetched: read.rows.len(),
            written: 0,
            errors: read.errors.clone(),
            nodes: nodes.to_vec(),
            netbox_branch_schema_id: branch.netbox_branch_schema_id.clone(),
        };
        let (mut told, mut raw) = (Vec::new(), Map::new());
        for (target, (nodes, reads)) in items {
            let mut sent = Map::new();
            for ((resource, _), read) in parts.iter().zip(reads) {
                told.push(item(&target, *resource, &nodes, &read));
                sent.insert((*resource).to_owned(), read.rows.into());
            }
            raw.insert(target.label(), sent.into());
        }
        for (target, error) in failed {
            let read = Read::failed(error);
            told.extend(parts.iter().map(|(resource, _)| item(target, *resource, &[], &read)));
        }
        json!({"items": told, "raw": raw})
    }))
}

/// The node that was asked, and what there is of each part.
///
/// # Errors
///
/// Where the endpoint cannot be asked for its nodes.
async fn read(session: &Session, parts: &[(&str, Part)]) -> Result<(Vec<String>, Vec<Read>), Error> {
    let node = node_with_ceph(session).await?;
    let reads = parts.iter().map(|(_, part)| async {
        match &node {
            Ok(node) => fetch(session, node, *part)
                .await
                .unwrap_or_else(|error| Read::failed(&error)),
            Err(error) => Read::failed(error),
        }
    });
    let reads = join_all(reads).await;
    Ok((node.ok().into_iter().collect(), reads))
}

/// The first node that is up and has Ceph; the answer of the last one asked where none has.
async fn node_with_ceph(session: &Session) -> Result<Result<String, String>, Error> {
    let nodes = session.list_nodes().await?.items;
    let mut found = Err("no node is up".to_owned());
    for node in nodes
        .into_iter()
        .filter(|node| node.status.as_deref() != Some("offline"))
    {
        found = match session.list_ceph_daemons(&node.node, CephDaemon::Monitor).await {
            Ok(_) => return Ok(Ok(node.node)),
            Err(error) => Err(error.to_string()),
        };
    }
    Ok(found)
}

async fn fetch(session: &Session, node: &str, part: Part) -> Result<Read, Error> {
    Ok(match part {
        Part::Status => Read::of(session.cluster().ceph_status().get().await?.data),
        Part::Daemons => {
            let kinds = CephDaemon::ALL.map(|kind| async move {
                let daemons = session.list_ceph_daemons(node, kind).await?;
                let mut read = Read::from(daemons);
                read.rows.iter_mut().for_each(|row| mark(row, kind));
                Ok::<_, Error>(read)
            });
            try_join_all(kinds).await?.into_iter().fold(Read::default(), Read::with)
        }
        Part::Osds => session.list_ceph_osds(node).await?.into(),
        Part::Pools => session.list_ceph_pools(node).await?.into(),
        Part::Filesystems => session.list_ceph_filesystems(node).await?.into(),
        Part::Crush => session.list_ceph_rules(node).await?.into(),
        Part::Flags => session.list_ceph_flags().await?.into(),
        Part::Gateways => Read::failed("Proxmox VE knows nothing of object gateways"),
        Part::Images => images(session, node).await?,
    })
}

/// Tells in the row of a daemon of which kind it is; a row in a form that nobody knows stays as it is.
fn mark(row: &mut Value, kind: CephDaemon) {
    if let Some(row) = row.as_object_mut() {
        row.insert("type".to_owned(), kind.path().into());
    }
}

/// The images on the storages that are on Ceph, as `node` sees them.
async fn images(session: &Session, node: &str) -> Result<Read, Error> {
    let storages = session.list_storages().await?.items.into_iter();
    let on_ceph = storages.filter(|storage| storage.kind.as_deref() == Some("rbd") && !storage.disable);
    let reads = on_ceph.map(|storage| async move {
        match session
            .list_content(node, &storage.storage, ContentFilter::default())
            .await
        {
            Ok(volumes) => Read {
                rows: volumes
                    .items
                    .iter()
                    .map(|volume| json!({"volid": volume.volid, "size": volume.size}))
                    .collect(),
                errors: Vec::new(),
            },
            Err(error) => Read::failed_at(&storage.storage, &error),
        }
    });
    Ok(join_all(reads).await.into_iter().fold(Read::default(), Read::with))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn daemon_in_an_odd_form_is_passed_on_as_it_is() {
        for (mut row, expected) in [
            (json!({"name": "pve1"}), json!({"name": "pve1", "type": "mgr"})),
            (json!("pve1"), json!("pve1")),
            (json!(["pve1"]), json!(["pve1"])),
        ] {
            mark(&mut row, CephDaemon::Manager);
            assert_eq!(row, expected);
        }
    }
}
