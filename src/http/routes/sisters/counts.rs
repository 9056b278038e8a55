//! What the servers hold, read and counted. The paths say `sync`, for that is what they were called; nothing is written
//! to NetBox, which has no place for it.

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use futures_util::future::{join_all, try_join_all};
use serde::Serialize;
use serde_json::{Map, Value, json};
use tokio::sync::OnceCell;

use crate::http::counted::{Branch, Read, told};
use crate::http::error::ApiError;
use crate::http::extract::{Path, Query};
use crate::http::{AppState, ErrorBody, sisters};
use crate::proxmox::types::{Datastore, RemoteResources};
use crate::proxmox::{BackupServerJob, Error, Rows, Session};
use crate::store::{Sister, SisterEndpoint};

/// Something that a server holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Resource {
    Datastores,
    Snapshots,
    Jobs,
    Node,
    Remotes,
    Guests,
    RemoteDatastores,
    All,
}

impl Resource {
    const fn of(sister: Sister) -> &'static [Self] {
        match sister {
            Sister::BackupServer => &[Self::Datastores, Self::Snapshots, Self::Jobs, Self::Node],
            Sister::DatacenterManager => &[Self::Remotes, Self::Guests, Self::RemoteDatastores, Self::All],
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Datastores | Self::RemoteDatastores => "datastores",
            Self::Snapshots => "snapshots",
            Self::Jobs => "jobs",
            Self::Node => "node",
            Self::Remotes => "remotes",
            Self::Guests => "guests",
            Self::All => "resources",
        }
    }
}

/// How much of one resource a server holds.
#[derive(Debug, Serialize)]
struct Item {
    endpoint_id: i64,
    name: String,
    resource: &'static str,
    fetched: usize,
    written: usize,
    errors: Vec<String>,
    netbox_branch_schema_id: Option<String>,
}

/// What the enabled endpoints hold of a resource, or of all (`full`): of backup servers `datastores`, `snapshots`, `jobs`
/// and `node`; of datacenter managers `remotes`, `guests`, `datastores` and `resources`. Of backup servers `raw` has what
/// they sent. Nothing is written.
#[utoipa::path(
    get, path = "/sync/{resource}", tag = "sisters", params(("resource" = String, Path), Branch),
    responses((status = 200, body = Value), (status = 404, body = ErrorBody)),
)]
pub(super) async fn counts(
    State(state): State<AppState>,
    Extension(sister): Extension<Sister>,
    Path(wanted): Path<String>,
    Query(branch): Query<Branch>,
) -> Result<Json<Value>, ApiError> {
    let all = Resource::of(sister).iter().copied();
    let resources: Vec<_> = all
        .filter(|resource| wanted == "full" || wanted == resource.as_str())
        .collect();
    if resources.is_empty() {
        return Err(ApiError::plain(StatusCode::NOT_FOUND, "Not Found"));
    }
    let rows = state.store.list_sister_endpoints(sister).await?;
    let enabled: Vec<_> = rows.into_iter().filter(|row| row.settings.enabled).collect();
    let (state, resources) = (&state, &resources);
    let reads = join_all(
        enabled
            .iter()
            .map(|row| async move { read(state, sister, row, resources).await }),
    );
    let (mut items, mut raw) = (Vec::new(), Map::new());
    for (row, reads) in enabled.iter().zip(reads.await) {
        let mut sent = Map::new();
        for (resource, read) in resources.iter().zip(reads) {
            items.push(Item {
                endpoint_id: row.id,
                name: row.settings.name.clone(),
                resource: resource.as_str(),
                fetched: read.rows.len(),
                written: 0,
                errors: read.errors,
                netbox_branch_schema_id: branch.netbox_branch_schema_id.clone(),
            });
            sent.insert(resource.as_str().to_owned(), read.rows.into());
        }
        raw.insert(row.settings.name.clone(), sent.into());
    }
    Ok(Json(match sister {
        Sister::BackupServer => json!({"items": items, "raw": raw}),
        Sister::DatacenterManager => json!({"items": items}),
    }))
}

/// What the server of `row` holds of each of `resources`, in their order; what cannot be read has its error.
async fn read(state: &AppState, sister: Sister, row: &SisterEndpoint, resources: &[Resource]) -> Vec<Read> {
    let source = sisters::session(state, sister, row).await.map(Source::new);
    let source = &source;
    let reads = resources.iter().map(|resource| async move {
        let read = match source {
            Ok(source) => source.fetch(*resource).await,
            Err(error) => Err(error.clone()),
        };
        read.unwrap_or_else(|error| Read::failed(&error))
    });
    join_all(reads).await
}

/// A server that is read. The lists that several resources come from are read once.
struct Source {
    session: Session,
    datastores: OnceCell<Result<Rows<Datastore>, Error>>,
    remotes: OnceCell<Result<Rows<RemoteResources>, Error>>,
}

impl Source {
    fn new(session: Session) -> Self {
        Self {
            session,
            datastores: OnceCell::new(),
            remotes: OnceCell::new(),
        }
    }

    async fn fetch(&self, resource: Resource) -> Result<Read, Error> {
        let session = &self.session;
        match resource {
            Resource::Datastores => Ok(self.datastores().await?.into()),
            Resource::Snapshots => self.snapshots().await,
            Resource::Jobs => {
                let kinds = BackupServerJob::ALL.map(|kind| session.list_backup_server_jobs(kind));
                let jobs = try_join_all(kinds).await?;
                Ok(jobs
                    .into_iter()
                    .fold(Read::default(), |read, rows| read.with(rows.into())))
            }
            Resource::Node => Ok(Read::of(session.backup_server_status().await?)),
            Resource::Remotes => Ok(session.list_remotes().await?.into()),
            Resource::Guests => self.held(&["pve-qemu", "pve-lxc"]).await,
            Resource::RemoteDatastores => self.held(&["pbs-datastore"]).await,
            Resource::All => self.held(&[]).await,
        }
    }

    async fn datastores(&self) -> Result<Rows<Datastore>, Error> {
        self.datastores
            .get_or_init(|| self.session.list_datastores())
            .await
            .clone()
    }

    /// The backups in every namespace of every datastore. What cannot be read is named; the rest is there.
    async fn snapshots(&self) -> Result<Read, Error> {
        let datastores = self.datastores().await?;
        let reads = datastores.items.iter();
        let reads = join_all(reads.map(|datastore| in_datastore(&self.session, datastore))).await;
        let read = Read {
            rows: Vec::new(),
            errors: datastores.rejected.iter().map(told).collect(),
        };
        Ok(reads.into_iter().fold(read, Read::with))
    }

    /// What the remotes of a datacenter manager hold of `kinds`; of every kind where none is named.
    async fn held(&self, kinds: &[&str]) -> Result<Read, Error> {
        let remotes = self.remotes.get_or_init(|| self.session.list_remote_resources()).await;
        let remotes = remotes.as_ref().map_err(Clone::clone)?;
        let mut read = Read {
            rows: Vec::new(),
            errors: remotes.rejected.iter().map(told).collect(),
        };
        for RemoteResources {
            remote,
            error,
            resources,
        } in &remotes.items
        {
            read.errors
                .extend(error.iter().map(|error| format!("{remote}: {error}")));
            let is_wanted = |row: &&Value| {
                let kind = row.get("type").and_then(Value::as_str).unwrap_or_default();
                kinds.is_empty() || kinds.contains(&kind)
            };
            read.rows.extend(resources.iter().filter(is_wanted).cloned());
        }
        Ok(read)
    }
}

async fn in_datastore(session: &Session, datastore: &Datastore) -> Read {
    let name = &datastore.store;
    let namespaces = match session.list_namespaces(name).await {
        Ok(namespaces) => namespaces,
        Err(error) => return Read::failed_at(name, &error),
    };
    let reads = namespaces.items.iter().map(|namespace| async {
        let namespace = namespace.ns.as_deref();
        match session.list_datastore_snapshots(name, namespace).await {
            Ok(rows) => rows.into(),
            Err(error) => Read::failed_at(&format!("{name}/{}", namespace.unwrap_or_default()), &error),
        }
    });
    join_all(reads).await.into_iter().fold(Read::default(), Read::with)
}
