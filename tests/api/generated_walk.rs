//! Every operation of every release, through us, on a mock of that release.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops where its surroundings fail"
)]

use std::sync::Arc;

use proxbox_api::proxmox::description::{Catalog, Description, Kind, Operation, Sampler, Schema};
use proxbox_api::proxmox::mock::world::Row;
use proxbox_api::proxmox::mock::{Guest, MockOptions, MockProxmox, PASSWORD, ROOT_TOKEN, Release, TOKEN_SECRET, World};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::proxmox_endpoints::{pushed, store, with};
use crate::support::{TestApp, answer};

/// The order in which methods are walked: reads before anything is changed, deletions last.
const ORDER: [Method; 4] = [Method::GET, Method::PUT, Method::POST, Method::DELETE];

/// Described by later releases too, but answered there with a refusal: groups have become rules.
pub(crate) const MIGRATED: &str = "/cluster/ha/groups";

/// Us, and the mock that we pass everything on to.
pub(crate) struct Walk {
    app: TestApp,
    mock: MockProxmox,
    tag: &'static str,
}

impl Walk {
    pub(crate) async fn on(release: Release, tag: &'static str) -> Self {
        let app = TestApp::start().await;
        let options = MockOptions {
            release,
            ..MockOptions::default()
        };
        let mock = MockProxmox::start(options, World::estate(3, 40)).await.unwrap();
        let body = with(pushed("alpha (nb:1)", &mock), &json!({"allow_writes": true}));
        store(&app, &body).await;
        Self { app, mock, tag }
    }

    /// A path of `operation` that the estate has, below Proxmox's own root, and parameters beside it.
    pub(crate) fn request(&self, operation: &Operation, sampler: &mut Sampler) -> (String, Vec<(String, String)>) {
        let mut given = sampler.parameters(operation);
        // Each of them means something that would have to be there.
        given.retain(|(name, _)| !["digest", "delete", "snapshot"].contains(&name.as_str()));
        if operation.id() == "post_access_ticket" {
            given = vec![
                ("username".to_owned(), "root@pam".to_owned()),
                ("password".to_owned(), PASSWORD.to_owned()),
            ];
        }
        if operation.path.ends_with("/clone") {
            given.retain(|(name, _)| name != "snapname");
        }
        if operation.path.ends_with("/resize") {
            given = self.resize(operation);
        }
        let path = path(operation, |name| {
            let made = given
                .iter()
                .find(|(own, _)| own == name)
                .map(|(_, value)| value.clone());
            self.existing(operation, name).or(made).unwrap()
        });
        given.retain(|(name, _)| !operation.is_in_path(name));
        (path, given)
    }

    /// A name that stands in the estate, where the estate knows such things.
    fn existing(&self, operation: &Operation, name: &str) -> Option<String> {
        let path = operation.path.as_str();
        self.mock.world().read(|world| {
            let guest = || world.guests.values().find(|guest| is_fit(guest, path));
            let replication = world.replications.first();
            match name {
                "node" if path.contains("{vmid}") => Some(guest()?.node.clone()),
                "node" if path.contains("/replication/") => Some(world.guests.get(&replication?.guest)?.node.clone()),
                "node" if path.contains("/cluster/") => None,
                "node" => Some("pve1".to_owned()),
                "vmid" => Some(guest()?.vmid.to_string()),
                "snapname" => Some(guest()?.snapshots.first()?.name.clone()),
                "storage" => Some(world.find_storage("local")?.id.clone()),
                "upid" => Some(world.tasks.iter().find(|task| &*task.node == "pve1")?.upid()),
                "id" if path.contains("/replication/") => Some(replication?.id()),
                _ => named_in_cluster(world, path, name),
            }
        })
    }

    /// Makes a disk larger that the guest has.
    fn resize(&self, operation: &Operation) -> Vec<(String, String)> {
        let disk = self.mock.world().read(|world| {
            let mut guests = world.guests.values();
            let guest = guests.find(|guest| is_fit(guest, &operation.path)).unwrap();
            let mut settings = guest.config.iter().map(|(key, _)| key.to_owned());
            settings.find(|key| guest.config.text(key).is_some_and(|disk| disk.contains("size=")))
        });
        vec![
            ("disk".to_owned(), disk.unwrap()),
            ("size".to_owned(), "+1G".to_owned()),
        ]
    }

    /// Asks us.
    pub(crate) async fn send(
        &self,
        operation: &Operation,
        path: &str,
        given: &[(String, String)],
    ) -> (StatusCode, Value) {
        let request = self
            .app
            .request(operation.method.clone(), &format!("/proxmox/api2/{}{path}", self.tag))
            .header("X-Proxbox-Actor", "walker");
        let has_body = matches!(operation.method, Method::POST | Method::PUT);
        let named: Vec<_> = given
            .iter()
            .map(|(name, value)| {
                let is_ours = ["source", "endpoint_id"].contains(&name.as_str());
                (
                    if is_ours && !has_body {
                        format!("op_{name}")
                    } else {
                        name.clone()
                    },
                    value,
                )
            })
            .collect();
        let request = if has_body {
            request.form(&named)
        } else {
            request.query(&named)
        };
        answer(request.send().await.unwrap()).await
    }

    /// Asks Proxmox itself.
    async fn send_directly(
        &self,
        operation: &Operation,
        path: &str,
        given: &[(String, String)],
    ) -> (StatusCode, Value) {
        let url = format!("https://{}/api2/json{path}", self.mock.address());
        let request = self.app.client.request(operation.method.clone(), url);
        let request = request.header("Authorization", format!("PVEAPIToken={ROOT_TOKEN}={TOKEN_SECRET}"));
        let request = if matches!(operation.method, Method::POST | Method::PUT) {
            request.form(given)
        } else {
            request.query(given)
        };
        answer(request.send().await.unwrap()).await
    }
}

/// The path of `operation` with a value in place of each name.
fn path(operation: &Operation, value_of: impl Fn(&str) -> String) -> String {
    operation.variables().fold(operation.path.clone(), |path, name| {
        path.replace(&format!("{{{name}}}"), &encoded(&value_of(name)))
    })
}

/// `value` as a part of a path.
pub(crate) fn encoded(value: &str) -> String {
    let encoded: String = url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
    encoded.replace('+', "%20")
}

/// A name of the cluster's own objects.
fn named_in_cluster(world: &World, path: &str, name: &str) -> Option<String> {
    let first = |rows: &[Row], key: &str| Some(rows.first()?.get(key)?.as_str()?.to_owned());
    match name {
        "id" if path.contains("/backup/") => first(&world.backup_jobs, "id"),
        "name" if path.starts_with("/cluster/firewall/ipset/") => Some(world.firewall.ipsets.first()?.0.clone()),
        "group" if path.contains("/firewall/") => Some(world.firewall.groups.first()?.0.clone()),
        "group" if path.contains("/ha/") => first(&world.ha.groups, "group"),
        "sid" => first(&world.ha.resources, "sid"),
        "rule" => first(&world.ha.rules, "rule"),
        "name" if path.contains("/disks/zfs/") => Some("rpool".to_owned()),
        "cputype" => first(&world.cpu_models, "cputype"),
        _ => None,
    }
}

/// Whether an operation at `path` can be tried on `guest`.
fn is_fit(guest: &Guest, path: &str) -> bool {
    let kind = if path.contains("/lxc/") { "lxc" } else { "qemu" };
    let must_be_off = path.ends_with("/status/start") || path.ends_with("/{vmid}");
    let must_run = path.contains("/agent/") || (path.contains("/status/") && !must_be_off);
    let runs_as_needed = (!must_run || guest.is_running()) && !(must_be_off && guest.is_running());
    let has_snapshot = !path.contains("{snapname}") || !guest.snapshots.is_empty();
    guest.kind.as_str() == kind && guest.lock.is_none() && !guest.template && runs_as_needed && has_snapshot
}

/// Where `value` does not fit `schema`, as a path into it.
fn unfit(schema: &Schema, value: &Value) -> Option<String> {
    if !schema.one_of.is_empty() {
        return schema
            .one_of
            .iter()
            .all(|one| unfit(one, value).is_some())
            .then(|| "(no form fits)".to_owned());
    }
    let below = |name: &str, schema: &Schema, value: &Value| unfit(schema, value).map(|rest| format!("{name}.{rest}"));
    match (schema.kind, value) {
        // Nothing is an empty list.
        (Kind::Any, _) | (Kind::Null | Kind::List, Value::Null) => None,
        // Perl does not keep numbers, flags and texts apart, but what they say has to fit.
        (
            Kind::Boolean | Kind::Integer | Kind::Number | Kind::Text,
            Value::Bool(_) | Value::Number(_) | Value::String(_),
        ) => {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            (!schema.fits_text(&text)).then(|| format!("{text:?} does not fit"))
        }
        (Kind::List, Value::Array(rows)) => {
            let items = schema.items.as_ref()?;
            rows.iter().find_map(|row| below("[]", items, row))
        }
        (Kind::Object, Value::Object(members)) => {
            schema
                .properties
                .iter()
                .find_map(|property| match members.get(&*property.name) {
                    Some(Value::Null) => None,
                    // Servers tell its length, whatever they describe.
                    Some(Value::String(_)) if *property.name == *"netmask" => None,
                    Some(member) => below(&property.name, &property.schema, member),
                    None if property.is_required => Some(format!("{} is missing", property.name)),
                    None => None,
                })
        }
        (kind, value) => Some(format!("{kind:?} expected, got {value}")),
    }
}

/// How often each operation is tried with other parameters: what changes something is done once.
fn rounds(operation: &Operation) -> u64 {
    if operation.is_read() { 3 } else { 1 }
}

async fn walk(release: Release, tag: &'static str, count: usize) {
    let walk = Walk::on(release, tag).await;
    let description = Catalog::default().find(tag).unwrap().unwrap();
    let (mut walked, mut failures) = (0, Vec::new());
    for method in ORDER {
        let operations = description.operations().filter(|operation| operation.method == method);
        for (index, operation) in operations.enumerate() {
            walked += 1;
            for round in 0..rounds(operation) {
                let mut sampler = Sampler::new(index as u64 + round * 10_000);
                let (path, given) = walk.request(operation, &mut sampler);
                let (status, body) = walk.send(operation, &path, &given).await;
                let is_gone = tag != "8.3" && operation.path.starts_with(MIGRATED);
                if is_gone && status == StatusCode::NOT_FOUND {
                    continue;
                }
                if status != StatusCode::OK {
                    failures.push(format!("{method} {path} {given:?}: {status} {body}"));
                } else if let Some(problem) = unfit(&operation.returns, &body) {
                    failures.push(format!("{method} {path}: {problem}"));
                }
            }
        }
    }
    assert_eq!(walked, count);
    assert_none(&failures);
}

pub(crate) fn assert_none(failures: &[String]) {
    assert!(
        failures.is_empty(),
        "{} failures:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

#[tokio::test]
async fn every_operation_of_8_3_is_served() {
    walk(Release::V8_3, "8.3", 600).await;
}

#[tokio::test]
async fn every_operation_of_9_1_is_served() {
    walk(Release::V9_1, "9.1", 649).await;
}

#[tokio::test]
async fn every_operation_of_9_2_is_served() {
    walk(Release::V9_2, "9.2", 675).await;
}

/// Which parameters of an operation can be wrong, one wrong value each.
fn wrong(operation: &Operation, sampler: &mut Sampler) -> Vec<(String, String)> {
    let beside = operation
        .parameters
        .properties
        .iter()
        .filter(|property| !operation.is_in_path(&property.name));
    let mut wrong: Vec<_> = beside
        .filter_map(|property| {
            let misfits = property.schema.misfits();
            let index = usize::try_from(sampler.below(misfits.len() as u64)).unwrap();
            Some((property.name.replace("[n]", "1"), misfits.into_iter().nth(index)?))
        })
        .collect();
    wrong.push(("no-such-parameter".to_owned(), "1".to_owned()));
    wrong
}

/// A request with one parameter that does not fit.
struct Wrong<'a> {
    operation: &'a Operation,
    path: String,
    given: Vec<(String, String)>,
    name: String,
}

/// Every operation with one parameter after the other made wrong, in the path and beside it.
fn wrongs<'a>(walk: &Walk, description: &'a Description) -> Vec<Wrong<'a>> {
    let mut wrongs = Vec::new();
    for (index, operation) in description.operations().enumerate() {
        let mut sampler = Sampler::new(index as u64);
        let (right, given) = walk.request(operation, &mut sampler);
        for (name, value) in wrong(operation, &mut sampler) {
            let mut given = given.clone();
            given.retain(|(own, _)| *own != name);
            given.push((name.clone(), value));
            let path = right.clone();
            wrongs.push(Wrong {
                operation,
                path,
                given,
                name,
            });
        }
        for name in operation.variables().filter(|name| *name == "vmid") {
            let other = |own: &str| walk.existing(operation, own).unwrap_or_else(|| "sample".to_owned());
            let path = path(operation, |own| if own == name { "99".to_owned() } else { other(own) });
            let (given, name) = (given.clone(), name.to_owned());
            wrongs.push(Wrong {
                operation,
                path,
                given,
                name,
            });
        }
    }
    wrongs
}

/// We name every parameter that does not fit, and send nothing; Proxmox would have refused it as well.
async fn refuse(release: Release, tag: &'static str) {
    let walk = Walk::on(release, tag).await;
    let description: Arc<Description> = Catalog::default().find(tag).unwrap().unwrap();
    let wrongs = wrongs(&walk, &description);
    assert!(wrongs.len() > 2_000, "only {} cases", wrongs.len());
    walk.mock.clear_requests();
    let mut failures = Vec::new();
    for Wrong {
        operation,
        path,
        given,
        name,
    } in &wrongs
    {
        let (status, body) = walk.send(operation, path, given).await;
        let named = body.pointer("/detail/0/loc/1").and_then(Value::as_str);
        if (status, named) != (StatusCode::UNPROCESSABLE_ENTITY, Some(name)) {
            failures.push(format!("{} {path} {given:?}: {status} {body}", operation.method));
        }
    }
    assert!(walk.mock.requests().is_empty());
    // One of a few: each costs a connection.
    for Wrong {
        operation,
        path,
        given,
        name,
    } in wrongs.iter().step_by(5)
    {
        let (status, body) = walk.send_directly(operation, path, given).await;
        let is_named = body["errors"].get(name).is_some();
        if status != StatusCode::BAD_REQUEST || !is_named {
            failures.push(format!(
                "directly: {} {path} {given:?}: {status} {body}",
                operation.method
            ));
        }
    }
    assert_none(&failures);
}

#[tokio::test]
async fn wrong_parameter_of_any_operation_of_8_3_is_named_and_never_sent() {
    refuse(Release::V8_3, "8.3").await;
}

#[tokio::test]
async fn wrong_parameter_of_any_operation_of_9_1_is_named_and_never_sent() {
    refuse(Release::V9_1, "9.1").await;
}

#[tokio::test]
async fn wrong_parameter_of_any_operation_of_9_2_is_named_and_never_sent() {
    refuse(Release::V9_2, "9.2").await;
}
