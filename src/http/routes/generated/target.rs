//! Which endpoint a request is for.

use axum::http::StatusCode;

use super::invalid;
use crate::endpoint::{EndpointKey, Source};
use crate::http::{ApiError, AppState, targets};
use crate::proxmox::{Error, Resource, Session};
use crate::sync::EndpointFilter;

/// How a request names its endpoint.
#[derive(Debug)]
pub(super) struct Selection(EndpointFilter);

/// The endpoint.
#[derive(Debug)]
pub(super) struct Target {
    /// Who it is.
    pub(super) key: EndpointKey,
    /// The operator's name for it.
    pub(super) name: String,
    /// Whether anything may be changed on it.
    pub(super) allows_writes: bool,
    /// The session with it, or why there cannot be one.
    pub(super) session: Result<Session, Error>,
}

impl Selection {
    /// Reads the selecting parameters; of one given twice the last counts.
    ///
    /// # Errors
    ///
    /// 422 for an unknown source, or an id that is no number.
    pub(super) fn parse(given: Vec<(String, String)>) -> Result<Self, ApiError> {
        let refused = |name: &str, problem: &str| invalid([("query", name.to_owned(), problem.to_owned())].into_iter());
        let mut filter = EndpointFilter {
            source: Source::Database,
            ids: None,
            ip_address: None,
            domain: None,
            name: None,
        };
        for (name, value) in given {
            match (name.as_str(), value.as_str()) {
                ("source", "database") => filter.source = Source::Database,
                ("source", "netbox") => filter.source = Source::NetBox,
                ("source", _) => return Err(refused("source", "Must be 'database' or 'netbox'.")),
                ("endpoint_id", id) => match id.parse() {
                    Ok(id) => filter.ids = Some(vec![id]),
                    Err(_) => return Err(refused("endpoint_id", "Must be a whole number.")),
                },
                ("target_ip_address", _) => filter.ip_address = Some(value),
                ("target_domain", _) => filter.domain = Some(value),
                _ => filter.name = Some(value),
            }
        }
        Ok(Self(filter))
    }
}

/// The one endpoint that `selection` names, or the only one there is.
///
/// # Errors
///
/// 400 where there is none, or more than one.
pub(super) async fn select(state: &AppState, selection: &Selection) -> Result<Target, ApiError> {
    let refused = |message: &str, detail: &str| ApiError::message(StatusCode::BAD_REQUEST, message, detail);
    let selected = targets::select(state, &selection.0).await?;
    if !selected.missing.is_empty() {
        let message = "No result found for Proxmox Sessions based on the provided endpoint_id";
        return Err(refused(message, "Check if the provided parameters are correct"));
    }
    if let Some(field) = selected.shared {
        return Err(refused(
            &format!("Multiple Proxmox endpoints have this {field}."),
            "Name one of them by target_name or endpoint_id.",
        ));
    }
    let mut targets = selected.targets.into_iter();
    match (targets.next(), targets.next()) {
        (Some(target), None) => Ok(Target {
            key: target.key,
            name: target.label(),
            allows_writes: target.settings.allow_writes,
            session: target.session,
        }),
        (Some(_), Some(_)) => Err(refused(
            "Multiple Proxmox endpoints configured; provide name, domain, or ip_address.",
            "The parameters are target_name, target_domain, target_ip_address and endpoint_id.",
        )),
        (None, _) => Err(refused(
            "No Proxmox endpoints found for generated proxy route.",
            "Add a Proxmox endpoint and enable it.",
        )),
    }
}

impl Target {
    /// The place at `segments`; a slash in one of them is part of a name.
    ///
    /// # Errors
    ///
    /// [`Error`] where there can be no session, or a segment is none.
    pub(super) fn place(&self, segments: &[String]) -> Result<Resource, Error> {
        let session = self.session.clone()?;
        let mut segments = segments.iter();
        let root = session.path(segments.next().map_or("", String::as_str))?;
        Ok(segments.fold(root, |place, segment| place.child(segment)))
    }
}
