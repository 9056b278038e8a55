//! The handle through which everything reads and writes NetBox.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use reqwest::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::answer::Answer;
use super::branch::{self, Branch};
use super::chunk;
use super::endpoint::Endpoint;
use super::error::Error;
use super::page;
use super::query::Query;
use super::rights::{self, Rights};
use super::transport::{Call, Class, Failure, Transport};
use super::version::{NetBoxVersion, Status};
use super::write::{self, WriteError};
use crate::reconcile::ObjectId;

const STATUS_PATH: &str = "/api/status/";
const STATUS_LIFE: Duration = Duration::from_mins(5);
const STATUS_FAILURE_LIFE: Duration = Duration::from_secs(5);
const RIGHTS_LIFE: Duration = Duration::from_mins(10);

/// A handle on one NetBox: on its main data, or on one branch. Cheap to clone; clones share connections and limits.
#[derive(Debug, Clone)]
pub struct Client {
    shared: Arc<Shared>,
    branch: Option<Arc<Branch>>,
}

#[derive(Debug)]
struct Shared {
    transport: Transport,
    // A tokio mutex, held while asking: of many callers at once, one asks and the others take its answer.
    status: Mutex<Option<KnownStatus>>,
    // The same.
    rights: Mutex<Option<(Instant, Arc<Rights>)>>,
}

#[derive(Debug)]
struct KnownStatus {
    answer: Result<Arc<Status>, Error>,
    until: Instant,
}

impl Client {
    /// A client for `endpoint`; sends nothing yet.
    ///
    /// # Errors
    ///
    /// [`Error::Endpoint`] where the configuration cannot work: no token, a v2 token without its key, an unusable
    /// host, certificate or fingerprint.
    pub fn new(endpoint: Endpoint) -> Result<Self, Error> {
        let shared = Shared {
            transport: Transport::new(endpoint)?,
            status: Mutex::new(None),
            rights: Mutex::new(None),
        };
        Ok(Self {
            shared: Arc::new(shared),
            branch: None,
        })
    }

    /// A handle that reads and writes the branch with this schema id.
    ///
    /// The handle checks once, before its first request, that the branch is ready: a NetBox without branching ignores
    /// the header, and the writes would land in the main data.
    ///
    /// # Errors
    ///
    /// [`Error::Branch`] unless the id has eight letters and digits.
    pub fn on_branch(&self, schema_id: &str) -> Result<Self, Error> {
        Ok(Self {
            shared: Arc::clone(&self.shared),
            branch: Some(Arc::new(Branch::new(schema_id)?)),
        })
    }

    /// Whether `other` is a handle on the same NetBox with the same credentials, be it on the same branch or not.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// `scheme://host:port`; never holds a secret. While the scheme of an unusual port is not known yet, plain HTTP.
    pub fn base_url(&self) -> &str {
        self.shared.transport.base_url()
    }

    /// How long to wait before something that failed is tried once more, each further time twice as long; and how long NetBox
    /// may go on with a request that it has not answered.
    pub fn patience(&self) -> (Duration, Duration) {
        let endpoint = self.shared.transport.endpoint();
        (endpoint.retry_delay, endpoint.settle)
    }

    /// The schema id of this handle's branch; `None` on the main data.
    pub fn branch(&self) -> Option<&str> {
        self.branch.as_ref().map(|branch| branch.schema_id.as_str())
    }

    /// Release and plugins. A success is kept for 5 minutes, a failure for 5 seconds.
    ///
    /// # Errors
    ///
    /// Any failure of the request.
    pub async fn status(&self) -> Result<Arc<Status>, Error> {
        let mut known = self.shared.status.lock().await;
        if let Some(known) = known.as_ref().filter(|known| Instant::now() < known.until) {
            return known.answer.clone();
        }
        let call = Call::get(STATUS_PATH, String::new(), Class::Probe);
        let answer = self.shared.transport.call(&call).await.map_err(Error::from);
        let answer = answer.and_then(|answer| answer.decode(&call)).map(Arc::new);
        let life = if answer.is_ok() {
            STATUS_LIFE
        } else {
            STATUS_FAILURE_LIFE
        };
        *known = Some(KnownStatus {
            answer: answer.clone(),
            until: Instant::now() + life,
        });
        answer
    }

    /// NetBox's release as far as its features go: major and minor, which every answer tells. [`Self::status`] is asked
    /// for only where none has come for 5 minutes, which also tells a NetBox that is gone before anything else is done.
    ///
    /// # Errors
    ///
    /// Any failure of the request.
    pub async fn release(&self) -> Result<NetBoxVersion, Error> {
        match self.shared.transport.release(STATUS_LIFE).await? {
            Some(release) => Ok(release),
            None => Ok(self.status().await?.version),
        }
    }

    /// Of what the token's user may see or write a part only. The same on every branch. Asked for once in 10 minutes,
    /// whatever comes of it: where it may not be read, nothing is known of it.
    pub async fn rights(&self) -> Arc<Rights> {
        let mut known = self.shared.rights.lock().await;
        if let Some((_, rights)) = known.as_ref().filter(|(since, _)| since.elapsed() < RIGHTS_LIFE) {
            return Arc::clone(rights);
        }
        let read = rights::read(self).await;
        let rights = Arc::new(read.unwrap_or_else(|error| {
            tracing::debug!(%error, "rights of the token unknown");
            Rights::default()
        }));
        *known = Some((Instant::now(), Arc::clone(&rights)));
        rights
    }

    /// Whether this handle's branch exists and is ready; always so on the main data. Asks anew each time.
    ///
    /// # Errors
    ///
    /// [`Error::Branch`] where the branch is missing, not ready, or branching is not installed; any failure of the
    /// request.
    pub async fn check_branch(&self) -> Result<(), Error> {
        let Some(branch) = &self.branch else { return Ok(()) };
        let main = Self {
            shared: Arc::clone(&self.shared),
            branch: None,
        };
        branch::check(&main, &branch.schema_id).await?;
        branch.checked.get_or_init(|| async {}).await;
        Ok(())
    }

    /// All rows that fit `query`, in the order of their ids, or an error; one request per 1,000 rows.
    ///
    /// A filter by a relation that does not exist (NetBox answers 400 "Select a valid choice") is an empty list, unless
    /// that filter has several values: then nothing is proven about the others, and it stays an error. Use
    /// [`Self::list_chunked`] for those.
    ///
    /// # Errors
    ///
    /// Any failure of any page; [`Error::FilterIgnored`] where a row does not fit what `query` expects.
    pub async fn list<T: DeserializeOwned>(&self, path: &str, query: &Query) -> Result<Vec<T>, Error> {
        let rows = page::walk(self, path, query).await;
        page::decode(path, chunk::empty_if_dead(rows, query)?)
    }

    /// All rows that fit `query` and whose filter `key` has one of `values`: asked for in chunks that fit into a request
    /// line, side by side, each row once. Values that no longer exist are left out. Without values nothing is asked.
    ///
    /// # Errors
    ///
    /// As [`Self::list`].
    pub async fn list_chunked<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &Query,
        key: &str,
        values: &[String],
    ) -> Result<Vec<T>, Error> {
        page::decode(path, chunk::walk(self, path, query, key, values).await?)
    }

    /// As [`Self::list_chunked`], where `key` asks for rows whose field `related` names a row with one of the ids `values`:
    /// the whole list is read instead if that takes no more requests.
    ///
    /// # Errors
    ///
    /// As [`Self::list`].
    pub async fn list_related<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &Query,
        (key, related): (&str, &str),
        values: &[String],
    ) -> Result<Vec<T>, Error> {
        let rows = chunk::walk_related(self, path, query, (key, related), values).await?;
        page::decode(path, rows)
    }

    /// As [`Self::list_chunked`], and perhaps rows that have other values under `key`: the whole list is read instead unless
    /// that takes many more requests.
    ///
    /// # Errors
    ///
    /// As [`Self::list`].
    pub async fn list_or_whole<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &Query,
        key: &str,
        values: &[String],
    ) -> Result<Vec<T>, Error> {
        page::decode(path, chunk::walk_or_whole(self, path, query, key, values).await?)
    }

    /// The one row that fits `query`, in one request.
    ///
    /// # Errors
    ///
    /// [`Error::Ambiguous`] where a second row fits; any failure of the request.
    pub async fn find_one<T: DeserializeOwned>(&self, path: &str, query: &Query) -> Result<Option<T>, Error> {
        let rows = page::first_two(self, path, query).await;
        let rows = chunk::empty_if_dead(rows, query)?;
        if rows.len() > 1 {
            return Err(Error::Ambiguous {
                path: path.to_owned(),
                query: query.to_string(),
            });
        }
        Ok(page::decode(path, rows)?.pop())
    }

    /// What stands at `path`: one row, or a singleton.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] where the route exists and the row does not, [`Error::NoRoute`] where the route does not.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        let call = Call::get(path, String::new(), Class::Rows);
        self.call(call.clone()).await?.decode(&call)
    }

    /// Creates all `rows` in one request and returns them as NetBox stored them, in the same order.
    ///
    /// # Errors
    ///
    /// See [`WriteError`]. Sent once only, unless no connection came about or NetBox limited the rate.
    pub async fn create(&self, path: &str, rows: &[Value]) -> Result<Vec<Value>, WriteError> {
        self.create_of(path, rows, 0).await
    }

    /// Like [`Self::create`], of rows that take NetBox so many ms each, compared with those of other kinds.
    ///
    /// # Errors
    ///
    /// Those of [`Self::create`].
    pub async fn create_of(&self, path: &str, rows: &[Value], row_millis: u32) -> Result<Vec<Value>, WriteError> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let answer = self.write((Method::POST, row_millis), path, rows, &[]).await?;
        write::written(&answer, path, rows.len(), &[])
    }

    /// Sends one object to a route that is not a collection, such as an action, and returns the answer.
    ///
    /// # Errors
    ///
    /// Any failure of the request; it is sent once only, unless no connection came about.
    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Error> {
        let body = serde_json::to_vec(body).map_err(|source| Error::decode(path, source))?;
        let call = Call {
            method: Method::POST,
            body: Some(Bytes::from(body)),
            rows: 1,
            ..Call::get(path, String::new(), Class::Rows)
        };
        self.call(call.clone()).await?.decode(&call)
    }

    /// Changes all `rows`, each with its `id`, in one request and returns them as NetBox stored them, in the same order.
    ///
    /// # Errors
    ///
    /// See [`WriteError`].
    pub async fn update(&self, path: &str, rows: &[Value]) -> Result<Vec<Value>, WriteError> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let ids = write::row_ids(path, rows)?;
        let answer = self.write((Method::PATCH, 0), path, rows, &ids).await?;
        write::written(&answer, path, rows.len(), &ids)
    }

    /// Deletes all rows with these ids in one request.
    ///
    /// # Errors
    ///
    /// See [`WriteError`].
    pub async fn delete(&self, path: &str, ids: &[ObjectId]) -> Result<(), WriteError> {
        if ids.is_empty() {
            return Ok(());
        }
        let numbers: Vec<u64> = ids.iter().map(|id| id.0).collect();
        self.write((Method::DELETE, 0), path, &write::id_rows(ids), &numbers)
            .await
            .map(drop)
    }

    async fn write(
        &self,
        (method, row_millis): (Method, u32),
        path: &str,
        rows: &[Value],
        ids: &[u64],
    ) -> Result<Answer, WriteError> {
        let body = serde_json::to_vec(rows).map_err(|source| WriteError::Failed(Error::decode(path, source)))?;
        let is_delete = method == Method::DELETE;
        let call = Call {
            method,
            body: Some(Bytes::from(body)),
            rows: rows.len(),
            row_millis,
            ..Call::get(path, String::new(), Class::Rows)
        };
        let answer = self.call(call.clone()).await?;
        if answer.status.is_success() {
            return Ok(answer);
        }
        let error = write::refusal(&answer, &call, rows.len(), ids);
        if is_delete && write::was_deleted_before(&answer, &error, rows.len()) {
            return Ok(answer);
        }
        Err(error)
    }

    /// One request on this handle's branch.
    // Boxed: the types of stages would otherwise hold the whole exchange, many times over. And the check of a branch, which
    // comes before other requests, is one itself.
    pub(super) fn call<'a>(&'a self, mut call: Call<'a>) -> BoxFuture<'a, Result<Answer, Failure>> {
        Box::pin(async move {
            if let Some(branch) = &self.branch {
                if !branch.checked.initialized() {
                    self.check_branch().await.map_err(|error| Failure {
                        error,
                        may_have_landed: false,
                    })?;
                }
                call.branch = Some(&branch.schema_id);
            }
            self.shared.transport.call(&call).await
        })
    }

    /// How many reads may be under way at once now.
    #[cfg(test)]
    pub(super) fn read_places(&self) -> usize {
        self.shared.transport.read_places()
    }

    pub(super) fn read_limit(&self) -> usize {
        self.shared.transport.endpoint().limits.read.max(1)
    }
}
