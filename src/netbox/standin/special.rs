//! Paths that are no collection.

use http::Method;
use serde_json::{Map, Value, json};

use super::Shared;
use super::access::{self, Account, Action};
use super::collections::COLLECTIONS;
use super::datum::{Datum, Key};
use super::permissions;
use super::refusal::{self, Refusal, forbidden};
use super::render::{self, Selection};
use super::routes::{Asked, Reply};
use super::schema::CollectionId;
use super::world::World;
use super::write::{Answer, Write};

const SETTINGS: &str = "plugins/proxbox/settings";
const ENDPOINTS: &str = "plugins/proxbox/endpoints/proxmox";
const TRACKED: &str = "plugins/proxbox/proxmox-clusters";
const CLUSTERS: &str = "virtualization/clusters";
const BRANCHES: &str = "plugins/branching/branches";
/// The key under which the plugin seals secrets; a made-up one.
const ENCRYPTION_KEY: &str = "c3RhbmQtaW4tc3RhbmQtaW4tc3RhbmQtaW4tc3RhbmQ=";

/// The answer of a path that is no collection; `None` for all others.
pub(super) fn answer(shared: &Shared, asked: &Asked<'_>, account: &Result<&Account, Answer>) -> Option<Reply> {
    let path = asked.path.trim_matches('/');
    let path = path.strip_prefix("api").map_or("", |path| path.trim_start_matches('/'));
    let cluster = path
        .strip_prefix(ENDPOINTS)
        .and_then(|rest| rest.trim_matches('/').strip_suffix("/sync-cluster"));
    let is_known = matches!(
        path,
        "" | "status"
            | "authentication-check"
            | permissions::PATH
            | "plugins"
            | "plugins/installed-plugins"
            | "plugins/proxbox"
    ) || path == "plugins/proxbox/settings/runtime"
        || path == "extras/config-templates/0/render"
        || path.starts_with("plugins/proxbox/ssh-credentials/by-")
        || (path == BRANCHES && shared.options.branch.is_some())
        || cluster.is_some_and(|_| shared.options.has_cluster_action);
    if !is_known || !asked.path.starts_with("/api/") {
        return None;
    }
    let account = match account {
        Ok(account) => *account,
        Err(answer) => return Some(Reply::json(answer.clone())),
    };
    if let Some(endpoint) = cluster {
        return Some(sync_cluster(shared, asked, account, endpoint.parse().ok()));
    }
    let base = &shared.base_url;
    Some(Reply::json(match path {
        "status" => (200, status(shared)),
        "authentication-check" => (200, whoami(shared, account)),
        permissions::PATH => permissions::page(shared, account, asked.query),
        BRANCHES => (200, branches(shared)),
        "plugins/proxbox/settings/runtime" => runtime(shared, account),
        "plugins/installed-plugins" => (
            200,
            json!([{"name": "Proxbox", "package": "netbox_proxbox", "version": shared.options.plugin}]),
        ),
        "extras/config-templates/0/render" if !account.can_write => forbidden(),
        "extras/config-templates/0/render" => (404, json!({"detail": "No ConfigTemplate matches the given query."})),
        "" | "plugins" | "plugins/proxbox" => (200, index(base, path)),
        _ => (404, json!({"detail": "No NodeSSHCredential matches the given query."})),
    }))
}

fn status(shared: &Shared) -> Value {
    let version = shared.options.release.version();
    json!({
        "django-version": "6.1.2",
        "hostname": "standin",
        "installed_apps": {},
        "netbox-version": version,
        "netbox-full-version": version,
        "plugins": {"netbox_proxbox": shared.options.plugin},
        "python-version": "3.13.5",
        "rq-workers-running": 1,
    })
}

fn branches(shared: &Shared) -> Value {
    let row = |id: &String| json!({"id": 1, "schema_id": id, "status": {"value": "ready", "label": "Ready"}});
    let rows: Vec<Value> = shared.options.branch.iter().map(row).collect();
    json!({"count": rows.len(), "next": null, "previous": null, "results": rows})
}

/// The next level of paths below `path`.
fn index(base: &str, path: &str) -> Value {
    let prefix = if path.is_empty() {
        String::new()
    } else {
        format!("{path}/")
    };
    let mut entries = Map::new();
    for rules in COLLECTIONS {
        let Some(rest) = rules.path.strip_prefix(&prefix) else {
            continue;
        };
        let name = if path == "plugins/proxbox" {
            rest
        } else {
            rest.split('/').next().unwrap_or(rest)
        };
        entries.insert(name.to_owned(), format!("{base}/api/{prefix}{name}/").into());
    }
    if path.is_empty() {
        entries.insert("status".to_owned(), format!("{base}/api/status/").into());
    }
    Value::Object(entries)
}

fn whoami(shared: &Shared, account: &Account) -> Value {
    let mut user = shared.read(|world| {
        let ids = world.rows_with("users/users", "username", &Key::text(access::user_name(account)));
        let users = world.schema.at("users/users").map(|users| users.id);
        let found = users.zip(ids.first()).and_then(|(users, id)| world.found(users, *id));
        found.map_or(Value::Null, |user| {
            render::row(user, &shared.base_url, &Selection::default())
        })
    });
    if let Some(user) = user.as_object_mut() {
        user.insert("groups".to_owned(), json!([]));
        user.insert("permissions".to_owned(), permissions::brief(shared, account));
    }
    user
}

fn runtime(shared: &Shared, account: &Account) -> Answer {
    if !account.may(Action::View, SETTINGS) {
        return forbidden();
    }
    shared.read(|world| {
        let found = world
            .schema
            .at(SETTINGS)
            .and_then(|settings| world.found(settings.id, 1));
        let row = found.map(|found| render::row(found, &shared.base_url, &Selection::default()));
        match row {
            Some(Value::Object(mut row)) => {
                row.insert("encryption_key_configured".to_owned(), true.into());
                row.insert("encryption_key".to_owned(), ENCRYPTION_KEY.into());
                (200, Value::Object(row))
            }
            _ => (404, json!({"detail": "Not found."})),
        }
    })
}

/// The claim of a cluster by an endpoint, as plugins offer it that have the action.
fn sync_cluster(shared: &Shared, asked: &Asked<'_>, account: &Account, endpoint: Option<u64>) -> Reply {
    if *asked.method != Method::POST {
        return Reply::detail(405, &format!("Method \"{}\" not allowed.", asked.method));
    }
    if !account.may(Action::Change, TRACKED) {
        return Reply::json(forbidden());
    }
    let body: Value = serde_json::from_slice(asked.body).unwrap_or_default();
    let answer = shared.change(|world| {
        let claimed = claim(shared, world, endpoint, &body);
        match claimed {
            Ok(answer) => {
                world.commit();
                (200, answer)
            }
            Err(refusal) => {
                world.roll_back();
                refusal::single(refusal)
            }
        }
    });
    Reply::json(answer)
}

fn claim(shared: &Shared, world: &mut World, endpoint: Option<u64>, body: &Value) -> Result<Value, Refusal> {
    let missing = |text: &str| Refusal::Whole(404, json!({ "detail": text }));
    let known = |path: &str| {
        world
            .schema
            .at(path)
            .map(|collection| collection.id)
            .ok_or_else(|| missing("Not found."))
    };
    let (endpoints, tracked, clusters) = (known(ENDPOINTS)?, known(TRACKED)?, known(CLUSTERS)?);
    let Some(endpoint) = endpoint.filter(|id| world.row(endpoints, *id).is_some()) else {
        return Err(missing("No ProxmoxEndpoint matches the given query."));
    };
    let Some(name) = body.get("name").and_then(Value::as_str) else {
        return Err(Refusal::row("name", "This field is required."));
    };
    let tracking = if let Some(id) = tracking_row(world, endpoint, name) {
        id
    } else {
        let status_id = body.get("cluster_id").and_then(Value::as_str).unwrap_or_default();
        let row = json!({"endpoint": endpoint, "name": name, "mode": body.get("mode"), "cluster_id": status_id});
        add(shared, world, tracked, &row)?
    };
    let linked = world
        .found(tracked, tracking)
        .and_then(|row| row.get("netbox_cluster").as_id());
    let named = linked.or_else(|| free_cluster(world, name));
    let cluster = match named {
        Some(cluster) => cluster,
        None => add(shared, world, clusters, &native_cluster(name, body))?,
    };
    let link = world
        .schema
        .at(TRACKED)
        .and_then(|tracked| tracked.field_id("netbox_cluster"));
    world.set(tracked, tracking, link, Datum::id(cluster));
    let url = format!("{}/api/{CLUSTERS}/{cluster}/", shared.base_url);
    Ok(json!({
        "cluster": {"id": cluster, "url": url, "display": name, "name": name},
        "proxmox_cluster": tracking,
        "created": named.is_none(),
        "changed": linked.is_none(),
    }))
}

fn tracking_row(world: &World, endpoint: u64, name: &str) -> Option<u64> {
    let tracked = world.schema.at(TRACKED)?.id;
    let mut own = world.rows_with(TRACKED, "endpoint", &Key::id(endpoint)).into_iter();
    own.find(|id| {
        let row = world.found(tracked, *id);
        row.is_some_and(|row| row.get("name").as_text() == Some(name))
    })
}

/// The one cluster of the name that no endpoint has claimed.
fn free_cluster(world: &World, name: &str) -> Option<u64> {
    let is_free = |id: &u64| world.rows_with(TRACKED, "netbox_cluster", &Key::id(*id)).is_empty();
    let mut free = world
        .rows_with(CLUSTERS, "name", &Key::text(name))
        .into_iter()
        .filter(is_free);
    free.next().filter(|_| free.next().is_none())
}

fn native_cluster(name: &str, body: &Value) -> Value {
    let mut row = json!({"name": name, "type": body.get("cluster_type"), "tenant": body.get("tenant")});
    let site = body.get("site").filter(|site| !site.is_null());
    if let Some((site, row)) = site.zip(row.as_object_mut()) {
        row.insert("scope_type".to_owned(), "dcim.site".into());
        row.insert("scope_id".to_owned(), site.clone());
    }
    row
}

fn add(shared: &Shared, world: &mut World, collection: CollectionId, row: &Value) -> Result<u64, Refusal> {
    let faults = shared.faults.rows();
    let mut write = Write {
        world,
        collection,
        base: &shared.base_url,
        faults: &faults,
    };
    write.create(row)
}
