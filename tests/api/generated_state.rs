//! Reads and writes of the mock share one state, for every operation of every release: what is set is shown, what is added
//! is listed, and what is removed is gone.

#![expect(clippy::unwrap_used, reason = "a test stops where its surroundings fail")]

use proxbox_api::proxmox::description::{Catalog, Kind, Operation, Place, Sampler};
use proxbox_api::proxmox::mock::Release;
use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::generated_walk::{MIGRATED, Walk, assert_none, encoded};

/// Names that stand for a position among others: it shifts with every addition.
const POSITIONS: &[&str] = &["pos", "url_seq"];

/// Whether `shown` is what was `given`, in whatever form it is shown.
fn is_shown(shown: &Value, given: &str) -> bool {
    match shown {
        Value::String(text) => text == given,
        Value::Number(number) => given.parse() == Ok(number.as_f64().unwrap_or(f64::NAN)),
        Value::Array(values) => {
            values.iter().any(|value| is_shown(value, given))
                || given
                    .split([',', ';', ' '])
                    .all(|part| values.iter().any(|value| is_shown(value, part)))
        }
        Value::Object(members) => given.split(',').all(|part| {
            let (key, value) = part.split_once('=').unwrap_or(("", part));
            key.is_empty() || members.get(key).is_some_and(|member| is_shown(member, value))
        }),
        Value::Null | Value::Bool(_) => false,
    }
}

/// What `given` sets and `body`, the answer of `read`, does not show.
fn unshown(read: &Operation, body: &Value, given: &[(String, String)]) -> Vec<String> {
    let declared = given
        .iter()
        .filter(|(name, _)| read.returns.find_property(name).is_some());
    let unshown = declared.filter(|(name, value)| !body.get(name).is_some_and(|shown| is_shown(shown, value)));
    unshown
        .map(|(name, value)| {
            format!(
                "{} {}: {name}={value} shows as {:?}",
                read.method,
                read.path,
                body.get(name)
            )
        })
        .collect()
}

async fn assert_settings_are_shown(release: Release, tag: &'static str, least: usize) {
    let walk = Walk::on(release, tag).await;
    let description = Catalog::default().find(tag).unwrap().unwrap();
    let (mut count, mut failures) = (0, Vec::new());
    for (index, place) in description.places().enumerate() {
        let (Some(set), Some(read)) = (place.operation(&Method::PUT), place.operation(&Method::GET)) else {
            continue;
        };
        if tag != "8.3" && place.path().starts_with(MIGRATED) {
            continue;
        }
        // Some reads are stricter about their path than the writes beside them.
        let (path, _) = walk.request(read, &mut Sampler::new(index as u64));
        let (_, given) = walk.request(set, &mut Sampler::new(index as u64));
        let (status, body) = walk.send(set, &path, &given).await;
        assert_eq!(status, StatusCode::OK, "{path} {given:?}: {body}");
        let (status, body) = walk.send(read, &path, &[]).await;
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
        count += given
            .iter()
            .filter(|(name, _)| read.returns.find_property(name).is_some())
            .count();
        failures.extend(unshown(read, &body, &given));
    }
    assert_none(&failures);
    assert!(count >= least, "only {count} settings");
}

/// A list to which can be added, with the name that tells its members apart.
struct List<'a> {
    place: &'a Place,
    add: &'a Operation,
    member: &'a Place,
    key: &'a str,
}

fn list<'a>(place: &'a Place, members: &[&'a Place]) -> Option<List<'a>> {
    let add = place.operation(&Method::POST)?;
    let is_below = |member: &&&Place| {
        let below = member
            .path()
            .strip_prefix(place.path())
            .and_then(|rest| rest.strip_prefix("/{"));
        below.is_some_and(|rest| rest.ends_with('}') && !rest.contains('/'))
    };
    let member = members.iter().find(is_below)?;
    let key = member.path().rsplit('/').next()?.strip_prefix('{')?.strip_suffix('}')?;
    let is_named = add.parameters.find_property(key).is_some() && !POSITIONS.contains(&key);
    is_named.then_some(List {
        place,
        add,
        member,
        key,
    })
}

impl List<'_> {
    /// Whether the list holds `name`; `None` where its rows do not tell.
    async fn holds(&self, walk: &Walk, path: &str, name: &str) -> Option<bool> {
        let read = self.place.operation(&Method::GET)?;
        read.returns.items.as_ref()?.find_property(self.key)?;
        let (status, rows) = walk.send(read, path, &[]).await;
        assert_eq!(status, StatusCode::OK, "{path}: {rows}");
        let rows = rows.as_array().unwrap();
        Some(
            rows.iter()
                .any(|row| row.get(self.key).is_some_and(|shown| is_shown(shown, name))),
        )
    }

    /// Adds a member, reads it and removes it again; answers what went wrong.
    async fn try_out(&self, walk: &Walk, sampler: &mut Sampler) -> Vec<String> {
        let (mut path, mut given) = walk.request(self.add, sampler);
        if let Some(read) = self.place.operation(&Method::GET) {
            (path, _) = walk.request(read, sampler);
        }
        if !given.iter().any(|(name, _)| name == self.key) {
            given.extend(sampler.parameter(self.add.parameters.find_property(self.key).unwrap()));
        }
        let name = given.iter().find(|(name, _)| name == self.key).unwrap().1.clone();
        let (status, body) = walk.send(self.add, &path, &given).await;
        assert_eq!(status, StatusCode::OK, "{path} {given:?}: {body}");
        let mut failures = Vec::new();
        if self.holds(walk, &path, &name).await == Some(false) {
            failures.push(format!("{path} does not list {name}"));
        }
        let member = format!("{path}/{}", encoded(&name));
        if let Some(read) = self.member.operation(&Method::GET) {
            let (status, body) = walk.send(read, &member, &[]).await;
            assert_eq!(status, StatusCode::OK, "{member}: {body}");
            failures.extend(unshown(read, &body, &given));
        }
        if let Some(remove) = self.member.operation(&Method::DELETE) {
            failures.extend(self.remove(walk, remove, (&path, &name), sampler).await);
        }
        failures
    }

    /// Removes the member `name` of the list at `path` by `remove`; answers where it is still to be seen.
    async fn remove(
        &self,
        walk: &Walk,
        remove: &Operation,
        (path, name): (&str, &str),
        sampler: &mut Sampler,
    ) -> Vec<String> {
        let member = format!("{path}/{}", encoded(name));
        let mut failures = Vec::new();
        let (_, mut given) = walk.request(remove, sampler);
        given.retain(|(name, _)| name != "force");
        let (status, body) = walk.send(remove, &member, &given).await;
        assert_eq!(status, StatusCode::OK, "DELETE {member}: {body}");
        if self.holds(walk, path, name).await == Some(true) {
            failures.push(format!("{path} still lists {name}"));
        }
        // A list of what is below is the same for everything, whether it is there or not.
        let read = self.member.operation(&Method::GET);
        if let Some(read) = read.filter(|read| read.returns.kind != Kind::List) {
            let (status, body) = walk.send(read, &member, &[]).await;
            if status != StatusCode::NOT_FOUND {
                failures.push(format!("{member} is still there: {status} {body}"));
            }
        }
        failures
    }
}

async fn assert_members_come_and_go(release: Release, tag: &'static str, count: usize) {
    let walk = Walk::on(release, tag).await;
    let description = Catalog::default().find(tag).unwrap().unwrap();
    let places: Vec<_> = description.places().collect();
    let lists = places.iter().filter_map(|place| list(place, &places));
    let lists: Vec<_> = lists
        .filter(|list| tag == "8.3" || !list.place.path().starts_with(MIGRATED))
        .collect();
    let mut failures = Vec::new();
    for (index, list) in lists.iter().enumerate() {
        failures.extend(list.try_out(&walk, &mut Sampler::new(index as u64)).await);
    }
    assert_none(&failures);
    assert_eq!(lists.len(), count);
}

#[tokio::test]
async fn what_is_set_is_shown_in_8_3() {
    assert_settings_are_shown(Release::V8_3, "8.3", 80).await;
}

#[tokio::test]
async fn what_is_set_is_shown_in_9_1() {
    assert_settings_are_shown(Release::V9_1, "9.1", 80).await;
}

#[tokio::test]
async fn what_is_set_is_shown_in_9_2() {
    assert_settings_are_shown(Release::V9_2, "9.2", 80).await;
}

#[tokio::test]
async fn what_is_added_is_listed_until_it_is_removed_in_8_3() {
    assert_members_come_and_go(Release::V8_3, "8.3", 45).await;
}

#[tokio::test]
async fn what_is_added_is_listed_until_it_is_removed_in_9_1() {
    assert_members_come_and_go(Release::V9_1, "9.1", 48).await;
}

#[tokio::test]
async fn what_is_added_is_listed_until_it_is_removed_in_9_2() {
    assert_members_come_and_go(Release::V9_2, "9.2", 51).await;
}
