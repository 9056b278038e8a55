//! The one endpoint that a request about a single place is about.

use axum::http::StatusCode;
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::error::ApiError;
use super::scope::Scope;
use super::targets::{Selected, Target};
use crate::proxmox::{Error, Session};

/// The query key that chooses among several clusters.
pub(super) const CLUSTER_NAME: &str = "cluster_name";

/// One endpoint with its session.
#[derive(Debug)]
pub(super) struct Single {
    target: Target,
    session: Session,
}

impl Single {
    /// The only selected endpoint; of several the one whose cluster or host is called as `cluster_name` in the query.
    /// `subject` says in the refusal what it is needed for.
    ///
    /// # Errors
    ///
    /// 400 where there is none or where it is not clear which; the failure of an endpoint that could not be asked for
    /// its name.
    pub(super) async fn choose(selected: Selected, scope: &Scope, subject: &str) -> Result<Self, ApiError> {
        let wanted = scope.query.get(CLUSTER_NAME).map(|name| name.trim());
        let mut targets = match wanted.filter(|name| !name.is_empty()) {
            Some(name) => {
                let found = called(selected.targets, name).await?;
                Vec::from([found.ok_or_else(|| refused(no_session(name)))?])
            }
            None => selected.targets,
        };
        match (targets.pop(), targets.is_empty()) {
            (Some(target), true) => {
                let session = target.session.clone().map_err(|error| failure(&target, error))?;
                Ok(Self { target, session })
            }
            (Some(_), false) => Err(refused(format!(
                "Multiple Proxmox sessions configured; provide cluster_name for {subject}."
            ))),
            (None, _) => Err(refused("No Proxmox endpoint is selected.".to_owned())),
        }
    }

    /// What `read` answers of the endpoint, with the name of its cluster or host.
    ///
    /// # Errors
    ///
    /// The failure of the endpoint.
    pub(super) fn read<T, Answer>(
        &self,
        read: impl FnOnce(Session) -> Answer,
    ) -> impl Future<Output = Result<(String, T), ApiError>>
    where
        Answer: Future<Output = Result<T, Error>>,
    {
        let answer = self.target.named(read(self.session.clone()));
        async { answer.await.map_err(|error| failure(&self.target, error)) }
    }
}

/// What is said where no cluster has the name.
fn no_session(cluster: &str) -> String {
    format!("No Proxmox session found for cluster: {cluster}")
}

/// The target whose cluster or host has this name, whatever its case.
///
/// # Errors
///
/// 404 where none has it; else as [`called`].
pub(super) async fn get_called(targets: Vec<Target>, name: &str) -> Result<Target, ApiError> {
    called(targets, name).await?.ok_or_else(|| {
        let text = no_session(name);
        ApiError::bare(StatusCode::NOT_FOUND, json!({"error": text, "detail": text}))
    })
}

/// The target whose cluster or host has this name, whatever its case; `None` where no endpoint has it.
///
/// # Errors
///
/// 400 where several have it; where none has, the failure of an endpoint that could not be asked for its name.
async fn called(targets: Vec<Target>, name: &str) -> Result<Option<Target>, ApiError> {
    let names = join_all(targets.iter().map(Target::name)).await;
    let mut found = Vec::new();
    let mut unknown = None;
    for (target, own) in targets.into_iter().zip(names) {
        match own {
            Ok(own) if own.eq_ignore_ascii_case(name) => found.push(target),
            Ok(_) => {}
            Err(error) => unknown = unknown.or(Some(failure(&target, error))),
        }
    }
    match (found.len(), unknown) {
        (0, Some(error)) => Err(error),
        (0, None) => Ok(None),
        (1, _) => Ok(found.pop()),
        _ => Err(refused(format!(
            "Several Proxmox endpoints lead to the cluster {name}; select one with proxmox_endpoint_ids."
        ))),
    }
}

fn failure(target: &Target, error: Error) -> ApiError {
    ApiError::from(error).about(target.key, &target.settings.name)
}

fn refused(message: String) -> ApiError {
    ApiError::message(StatusCode::BAD_REQUEST, message, Value::Null)
}
