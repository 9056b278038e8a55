//! `/proxmox/firewall/vms/{vmid}/*`: the firewall of one guest.

use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::response::Response;
use utoipa::openapi::path::{Parameter, ParameterIn};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Part;
use super::rows::Place;
use crate::http::AppState;
use crate::http::answers::Answers;
use crate::http::error::ApiError;
use crate::http::extract::{NodeName, Path};
use crate::http::scope::{Scope, text_parameter};
use crate::http::targets::{Target, select};
use crate::proxmox::{GuestKind, Session, Vmid};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(rules))
        .routes(routes!(ipsets))
        .routes(routes!(aliases))
        .routes(routes!(options))
}

/// Where a guest is, and of which kind it is.
#[derive(Debug, Clone)]
struct Which {
    scope: Scope,
    node: NodeName,
    kind: GuestKind,
}

impl FromRequestParts<AppState> for Which {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        let scope = Scope::from_request_parts(parts, state).await?;
        let node = scope.query.get("node").cloned().unwrap_or_default();
        let node = NodeName::try_from(node)
            .map_err(|_| ApiError::invalid(&["query", "node"], "The name of a node is required."))?;
        let kind = match scope.query.get("vm_type").map(String::as_str) {
            None | Some("" | "qemu") => GuestKind::Qemu,
            Some("lxc") => GuestKind::Lxc,
            Some(_) => return Err(ApiError::invalid(&["query", "vm_type"], "Must be qemu or lxc.")),
        };
        Ok(Self { scope, node, kind })
    }
}

impl utoipa::IntoParams for Which {
    fn into_params(place: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let mut parameters = <Scope as utoipa::IntoParams>::into_params(place);
        parameters.extend([
            text_parameter("node", "The node that the guest is on; required."),
            text_parameter("vm_type", "`qemu` (the default) or `lxc`."),
        ]);
        parameters
    }
}

/// The rules of a guest.
#[utoipa::path(
    get, path = "/proxmox/firewall/vms/{vmid}/rules", tag = "proxmox", params(Which, ("vmid" = u32, Path)),
    responses((status = 200, body = Vec<Value>), (status = 404, description = "No selected endpoint has the guest")),
)]
async fn rules(State(state): State<AppState>, Path(vmid): Path<u32>, which: Which) -> Result<Response, ApiError> {
    which.read(&state, Vmid(vmid), Part::Rules).await
}

/// The IP sets of a guest, with their entries.
#[utoipa::path(
    get, path = "/proxmox/firewall/vms/{vmid}/ipsets", tag = "proxmox", params(Which, ("vmid" = u32, Path)),
    responses((status = 200, body = Vec<Value>), (status = 404, description = "No selected endpoint has the guest")),
)]
async fn ipsets(State(state): State<AppState>, Path(vmid): Path<u32>, which: Which) -> Result<Response, ApiError> {
    which.read(&state, Vmid(vmid), Part::Sets).await
}

/// The aliases of a guest.
#[utoipa::path(
    get, path = "/proxmox/firewall/vms/{vmid}/aliases", tag = "proxmox", params(Which, ("vmid" = u32, Path)),
    responses((status = 200, body = Vec<Value>), (status = 404, description = "No selected endpoint has the guest")),
)]
async fn aliases(State(state): State<AppState>, Path(vmid): Path<u32>, which: Which) -> Result<Response, ApiError> {
    which.read(&state, Vmid(vmid), Part::Aliases).await
}

/// The options of a guest.
#[utoipa::path(
    get, path = "/proxmox/firewall/vms/{vmid}/options", tag = "proxmox", params(Which, ("vmid" = u32, Path)),
    responses((status = 200, body = Option<Value>), (status = 404, description = "No selected endpoint has the guest")),
)]
async fn options(State(state): State<AppState>, Path(vmid): Path<u32>, which: Which) -> Result<Response, ApiError> {
    which.read(&state, Vmid(vmid), Part::Options).await
}

impl Which {
    async fn read(&self, state: &AppState, vmid: Vmid, part: Part) -> Result<Response, ApiError> {
        let read = |target: Target, session: Session| async move {
            let place = Place {
                endpoint: Some(target.key.id),
                node: Some(&*self.node),
                vmid: Some(vmid),
                ..Place::default()
            };
            let guest = session.nodes(&self.node).guest(self.kind, vmid);
            part.read(&guest.firewall(), place).await
        };
        let answers = Answers::of_node(select(state, &self.scope.filter).await?, &self.node, read).await?;
        part.respond(answers)
    }
}
