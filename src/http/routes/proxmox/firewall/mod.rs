//! `/proxmox/firewall/*`: the firewall as it is.
//!
//! The plugin marks stale what an answer lacks. So an answer is complete or an error, and of several endpoints those
//! that could not be read are left out and named.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::{Map, Value, json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::AppState;
use crate::http::answers::Answers;
use crate::http::error::ApiError;
use crate::http::extract::Path;
use crate::http::scope::Scope;
use crate::http::targets::{Target, complete, select};
use crate::proxmox::{Error, Resource, Session, wire};

/// How many security groups or IP sets are read at once.
const SETS_AT_ONCE: usize = 4;
/// Texts of a rule: our key, and Proxmox's.
const RULE_TEXTS: &[(&str, &str)] = &[
    ("type", "type"),
    ("action", "action"),
    ("macro", "macro"),
    ("iface", "iface"),
    ("source", "source"),
    ("dest", "dest"),
    ("proto", "proto"),
    ("dport", "dport"),
    ("sport", "sport"),
    ("log", "log"),
    ("icmp_type", "icmp-type"),
    ("comment", "comment"),
    ("digest", "digest"),
];

type Row = Map<String, Value>;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(summary))
        .routes(routes!(node_rules))
}

/// The firewall of each selected endpoint's cluster.
#[utoipa::path(
    get, path = "/proxmox/firewall/summary", tag = "proxmox", params(Scope),
    responses((status = 200, body = Vec<Value>)),
)]
async fn summary(State(state): State<AppState>, scope: Scope) -> Result<Response, ApiError> {
    let read = |target: Target, session: Session| async move {
        let (firewall, name) = tokio::try_join!(Firewall::read(&session), target.name())?;
        Ok(firewall.summary(&name))
    };
    let answers = Answers::read(select(&state, &scope.filter).await?, read).await?;
    Ok(answers.respond(|items| items.into_iter().map(|(_, entry)| entry).collect()))
}

/// The rules of one node. They name no cluster: the plugin would compare it with its own name for the endpoint.
#[utoipa::path(
    get, path = "/proxmox/firewall/nodes/{node}/rules", tag = "proxmox", params(Scope, ("node" = String, Path)),
    responses((status = 200, body = Vec<Value>), (status = 404, description = "No selected endpoint has the node")),
)]
async fn node_rules(
    State(state): State<AppState>,
    Path(node): Path<String>,
    scope: Scope,
) -> Result<Response, ApiError> {
    let selected = select(&state, &scope.filter).await?;
    let is_asked = !selected.targets.is_empty();
    let name = node.as_str();
    let answers = Answers::read(selected, |_, session| async move {
        if has_node(&session, name).await? {
            rows(session.nodes(name).firewall().child("rules")).await.map(Some)
        } else {
            Ok(None)
        }
    });
    let answers = answers.await?;
    if is_asked && answers.items.iter().all(|(_, rows)| rows.is_none()) {
        return Err(ApiError::plain(
            StatusCode::NOT_FOUND,
            format!("No selected Proxmox endpoint has a node {node}"),
        ));
    }
    let place = Place {
        node: Some(name),
        ..Place::default()
    };
    Ok(answers.respond(|items| {
        items
            .iter()
            .flat_map(|(_, rows)| rows)
            .flatten()
            .map(|row| rule(row, place))
            .collect()
    }))
}

async fn has_node(session: &Session, node: &str) -> Result<bool, Error> {
    let nodes = session.list_nodes().await?;
    Ok(nodes.items.iter().any(|row| row.node == node))
}

/// Where a rule stands.
#[derive(Debug, Clone, Copy, Default)]
struct Place<'a> {
    cluster: Option<&'a str>,
    node: Option<&'a str>,
    group: Option<&'a str>,
}

/// A group or set with its members.
type Held = (Row, Vec<Row>);

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
        let (rules, groups, sets, aliases, options) = tokio::try_join!(
            rows(firewall.child("rules")),
            held(firewall.child("groups"), "group"),
            held(firewall.child("ipset"), "name"),
            rows(firewall.child("aliases")),
            async { firewall.child("options").get_as::<Row>().await },
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
        let groups: Vec<Value> = self.groups.iter().map(|held| group(held, cluster)).collect();
        let sets: Vec<Value> = self.sets.iter().map(|held| set(held, cluster)).collect();
        let aliases: Vec<Value> = self.aliases.iter().map(|row| alias(row, cluster)).collect();
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
            "datacenter_options": options(&self.options, cluster),
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

/// A list of which no row may be missing.
async fn rows(place: Resource) -> Result<Vec<Row>, Error> {
    complete(place.plain_path().unwrap_or_default(), place.get_rows().await?)
}

/// The groups or sets at `place`, each with what it holds.
async fn held(place: Resource, key: &str) -> Result<Vec<Held>, Error> {
    let heads = rows(place.clone()).await?;
    let reads = stream::iter(heads).map(|head| {
        let one = place.child(&text(&head, key).unwrap_or_default());
        async move { Ok((head, rows(one).await?)) }
    });
    reads.buffered(SETS_AT_ONCE).try_collect().await
}

fn text(row: &Row, key: &str) -> Option<String> {
    wire::text_of(row.get(key)?).ok().flatten()
}

fn flag(row: &Row, key: &str) -> bool {
    row.get(key)
        .and_then(|value| wire::flag_of(value).ok().flatten())
        .unwrap_or_default()
}

fn number(row: &Row, key: &str) -> Option<u64> {
    wire::number_of(row.get(key)?).ok().flatten()
}

/// A rule. Proxmox leaves `enable` out of a rule that is off; the plugin would take that for on.
fn rule(row: &Row, place: Place<'_>) -> Value {
    let zone = match (place.node, place.group) {
        (Some(_), _) => "node",
        (None, Some(_)) => "security_group",
        (None, None) => "datacenter",
    };
    let mut rule = Row::from_iter([
        ("cluster_name".to_owned(), json!(place.cluster)),
        ("zone".to_owned(), json!(zone)),
        ("node".to_owned(), json!(place.node)),
        ("vmid".to_owned(), Value::Null),
        ("security_group".to_owned(), json!(place.group)),
        ("pos".to_owned(), json!(number(row, "pos"))),
        ("enable".to_owned(), json!(flag(row, "enable"))),
    ]);
    rule.extend(
        RULE_TEXTS
            .iter()
            .map(|(ours, theirs)| ((*ours).to_owned(), json!(text(row, theirs)))),
    );
    rule.insert("status".to_owned(), json!("ok"));
    rule.insert("error".to_owned(), Value::Null);
    Value::Object(rule)
}

fn group((head, members): &Held, cluster: &str) -> Value {
    let name = text(head, "group");
    let place = Place {
        cluster: Some(cluster),
        group: name.as_deref(),
        node: None,
    };
    json!({
        "cluster_name": cluster,
        "name": name,
        "comment": text(head, "comment"),
        "digest": text(head, "digest"),
        "rules": members.iter().map(|row| rule(row, place)).collect::<Vec<_>>(),
        "status": "ok",
        "error": null,
    })
}

fn set((head, members): &Held, cluster: &str) -> Value {
    let entry = |row: &Row| json!({"cidr": text(row, "cidr"), "comment": text(row, "comment"), "nomatch": flag(row, "nomatch")});
    json!({
        "cluster_name": cluster,
        "zone": "datacenter",
        "node": null,
        "vmid": null,
        "name": text(head, "name"),
        "comment": text(head, "comment"),
        "digest": text(head, "digest"),
        "entries": members.iter().map(entry).collect::<Vec<_>>(),
        "status": "ok",
        "error": null,
    })
}

fn alias(row: &Row, cluster: &str) -> Value {
    json!({
        "cluster_name": cluster,
        "zone": "datacenter",
        "node": null,
        "vmid": null,
        "name": text(row, "name"),
        "cidr": text(row, "cidr"),
        "comment": text(row, "comment"),
        "digest": text(row, "digest"),
        "status": "ok",
        "error": null,
    })
}

/// The options with what has no key of its own below `options`.
fn options(row: &Row, cluster: &str) -> Value {
    let own = ["enable", "policy_in", "policy_out", "digest"];
    let rest: Row = row
        .iter()
        .filter(|(key, _)| !own.contains(&key.as_str()))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    json!({
        "cluster_name": cluster,
        "zone": "datacenter",
        "node": null,
        "vmid": null,
        "enable": row.get("enable").map(|_| flag(row, "enable")),
        "policy_in": text(row, "policy_in"),
        "policy_out": text(row, "policy_out"),
        "options": rest,
        "status": "ok",
        "error": null,
    })
}
