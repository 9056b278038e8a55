//! `/proxmox/firewall/*`: the firewall as it is.
//!
//! The plugin marks stale what an answer lacks. So an answer is complete or an error, and of several endpoints those
//! that could not be read are left out and named. Only the summary names clusters: elsewhere the plugin would compare
//! the name with its own for the endpoint.

mod guests;
mod rows;

use axum::extract::State;
use axum::response::Response;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::rows::{Held, Place, alias, group, options, rule, set};
use super::fields::{Row, rows};
use crate::http::AppState;
use crate::http::answers::Answers;
use crate::http::error::ApiError;
use crate::http::extract::{NodeName, Path};
use crate::http::scope::Scope;
use crate::http::targets::{Target, select};
use crate::proxmox::{Error, Resource, Session, wire};

/// How many security groups or IP sets are read at once.
const SETS_AT_ONCE: usize = 4;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(summary))
        .routes(routes!(datacenter_rules))
        .routes(routes!(datacenter_groups))
        .routes(routes!(datacenter_ipsets))
        .routes(routes!(datacenter_aliases))
        .routes(routes!(datacenter_options))
        .routes(routes!(node_rules))
        .routes(routes!(node_options))
        .merge(guests::routes())
}

/// The firewall of each selected endpoint's cluster.
#[utoipa::path(
    get, path = "/proxmox/firewall/summary", tag = "proxmox", params(Scope),
    responses((status = 200, body = Vec<Value>)),
)]
async fn summary(State(state): State<AppState>, scope: Scope) -> Result<Response, ApiError> {
    let read = |target: Target, session: Session| async move {
        let (name, firewall) = target.named(Firewall::read(&session)).await?;
        Ok(firewall.summary(&name))
    };
    let answers = Answers::read(select(&state, &scope.filter).await?, read).await?;
    Ok(answers.respond(|items| items.into_iter().map(|(_, entry)| entry).collect()))
}

/// The rules of each selected endpoint's cluster.
#[utoipa::path(
    get, path = "/proxmox/firewall/datacenter/rules", tag = "proxmox", params(Scope),
    responses((status = 200, body = Vec<Value>)),
)]
async fn datacenter_rules(State(state): State<AppState>, scope: Scope) -> Result<Response, ApiError> {
    datacenter(&state, &scope, Part::Rules).await
}

/// The security groups of each selected endpoint's cluster, with their rules.
#[utoipa::path(
    get, path = "/proxmox/firewall/datacenter/groups", tag = "proxmox", params(Scope),
    responses((status = 200, body = Vec<Value>)),
)]
async fn datacenter_groups(State(state): State<AppState>, scope: Scope) -> Result<Response, ApiError> {
    datacenter(&state, &scope, Part::Groups).await
}

/// The IP sets of each selected endpoint's cluster, with their entries.
#[utoipa::path(
    get, path = "/proxmox/firewall/datacenter/ipsets", tag = "proxmox", params(Scope),
    responses((status = 200, body = Vec<Value>)),
)]
async fn datacenter_ipsets(State(state): State<AppState>, scope: Scope) -> Result<Response, ApiError> {
    datacenter(&state, &scope, Part::Sets).await
}

/// The aliases of each selected endpoint's cluster.
#[utoipa::path(
    get, path = "/proxmox/firewall/datacenter/aliases", tag = "proxmox", params(Scope),
    responses((status = 200, body = Vec<Value>)),
)]
async fn datacenter_aliases(State(state): State<AppState>, scope: Scope) -> Result<Response, ApiError> {
    datacenter(&state, &scope, Part::Aliases).await
}

/// The options of the cluster of the first selected endpoint that answers; null where none is selected.
#[utoipa::path(
    get, path = "/proxmox/firewall/datacenter/options", tag = "proxmox", params(Scope),
    responses((status = 200, body = Option<Value>)),
)]
async fn datacenter_options(State(state): State<AppState>, scope: Scope) -> Result<Response, ApiError> {
    datacenter(&state, &scope, Part::Options).await
}

/// The rules of one node.
#[utoipa::path(
    get, path = "/proxmox/firewall/nodes/{node}/rules", tag = "proxmox", params(Scope, ("node" = String, Path)),
    responses((status = 200, body = Vec<Value>), (status = 404, description = "No selected endpoint has the node")),
)]
async fn node_rules(
    State(state): State<AppState>,
    Path(node): Path<NodeName>,
    scope: Scope,
) -> Result<Response, ApiError> {
    of_node(&state, &scope, &node, Part::Rules).await
}

/// The options of one node.
#[utoipa::path(
    get, path = "/proxmox/firewall/nodes/{node}/options", tag = "proxmox", params(Scope, ("node" = String, Path)),
    responses((status = 200, body = Option<Value>), (status = 404, description = "No selected endpoint has the node")),
)]
async fn node_options(
    State(state): State<AppState>,
    Path(node): Path<NodeName>,
    scope: Scope,
) -> Result<Response, ApiError> {
    of_node(&state, &scope, &node, Part::Options).await
}

async fn datacenter(state: &AppState, scope: &Scope, part: Part) -> Result<Response, ApiError> {
    let read = |target: Target, session: Session| async move {
        let place = Place {
            endpoint: Some(target.key.id),
            ..Place::default()
        };
        part.read(&session.cluster().firewall(), place).await
    };
    let answers = Answers::read(select(state, &scope.filter).await?, read).await?;
    part.respond(answers)
}

async fn of_node(state: &AppState, scope: &Scope, node: &str, part: Part) -> Result<Response, ApiError> {
    let read = |target: Target, session: Session| async move {
        let place = Place {
            endpoint: Some(target.key.id),
            node: Some(node),
            ..Place::default()
        };
        part.read(&session.nodes(node).firewall(), place).await
    };
    let answers = Answers::of_node(select(state, &scope.filter).await?, node, read).await?;
    part.respond(answers)
}

/// What can be read of the firewall of one place.
#[derive(Debug, Clone, Copy)]
enum Part {
    Rules,
    Groups,
    Sets,
    Aliases,
    Options,
}

impl Part {
    async fn read(self, firewall: &Resource, place: Place<'_>) -> Result<Vec<Value>, Error> {
        Ok(match self {
            Self::Rules => {
                let rules = rows(firewall.child("rules")).await?;
                rules.iter().map(|row| rule(row, place)).collect()
            }
            Self::Groups => {
                let groups = held(&firewall.child("groups"), "group").await?;
                groups.iter().map(|held| group(held, place)).collect()
            }
            Self::Sets => {
                let sets = held(&firewall.child("ipset"), "name").await?;
                sets.iter().map(|held| set(held, place)).collect()
            }
            Self::Aliases => {
                let aliases = rows(firewall.child("aliases")).await?;
                aliases.iter().map(|row| alias(row, place)).collect()
            }
            Self::Options => {
                let row = firewall.child("options").get_as::<Row>().await?;
                vec![options(&row, place)]
            }
        })
    }

    fn respond(self, answers: Answers<Vec<Value>>) -> Result<Response, ApiError> {
        match self {
            Self::Rules | Self::Groups | Self::Sets | Self::Aliases => Ok(answers.respond_list()),
            Self::Options => answers.respond_first(),
        }
    }
}

/// The groups or sets at `place`, each with what it holds.
async fn held(place: &Resource, key: &str) -> Result<Vec<Held>, Error> {
    let heads = rows(place.clone()).await?;
    let reads = stream::iter(heads).map(|head| {
        let name = head.get(key).and_then(|name| wire::text_of(name).ok().flatten());
        let one = place.child(&name.unwrap_or_default());
        async move { Ok((head, rows(one).await?)) }
    });
    reads.buffered(SETS_AT_ONCE).try_collect().await
}

/// The firewall of a cluster.
struct Firewall {
    rules: Vec<Row>,
    groups: Vec<Held>,
    sets: Vec<Held>,
    aliases: Vec<Row>,
    options: Row,
}

impl Firewall {
    async fn read(session: &Session) -> Result<Self, Error> {
        let firewall = session.cluster().firewall();
        let (groups, sets, place) = (
            firewall.child("groups"),
            firewall.child("ipset"),
            firewall.child("options"),
        );
        let (rules, groups, sets, aliases, options) = tokio::try_join!(
            rows(firewall.child("rules")),
            held(&groups, "group"),
            held(&sets, "name"),
            rows(firewall.child("aliases")),
            place.get_as::<Row>(),
        )?;
        Ok(Self {
            rules,
            groups,
            sets,
            aliases,
            options,
        })
    }

    /// The entry of one endpoint, under the plugin's names and under those of older clients.
    fn summary(&self, cluster: &str) -> Value {
        let place = Place {
            cluster: Some(cluster),
            ..Place::default()
        };
        let rules: Vec<Value> = self.rules.iter().map(|row| rule(row, place)).collect();
        let groups: Vec<Value> = self.groups.iter().map(|held| group(held, place)).collect();
        let sets: Vec<Value> = self.sets.iter().map(|held| set(held, place)).collect();
        let aliases: Vec<Value> = self.aliases.iter().map(|row| alias(row, place)).collect();
        let mut plain = self.options.clone();
        plain.remove("digest");
        json!({
            "cluster_name": cluster,
            "rules": rules,
            "security_groups": groups,
            "ip_sets": sets,
            "aliases": aliases,
            "options": plain,
            "datacenter_rules": rules,
            "datacenter_ipsets": sets,
            "datacenter_aliases": aliases,
            "datacenter_options": options(&self.options, place),
            "node_rules": [],
            "node_options": [],
            "vm_rules": [],
            "vm_ipsets": [],
            "vm_aliases": [],
            "vm_options": [],
            "status": "ok",
            "error": null,
        })
    }
}
