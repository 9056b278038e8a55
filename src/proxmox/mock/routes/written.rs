//! What was written where the estate holds nothing for it, and how it shows in what is read afterwards.

use std::collections::{BTreeMap, BTreeSet};

use http::Method;
use serde_json::{Map, Number, Value};

use super::super::wire::Refusal;
use super::Answer;
use crate::proxmox::description::{Kind, Sampler, Schema};

/// The members of one object; `null` for those that were cleared.
pub(super) type Members = Map<String, Value>;

/// What was written, by path with every value in its place.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// What was set.
    objects: BTreeMap<String, Members>,
    /// What was added, by the path of the list.
    lists: BTreeMap<String, Vec<Members>>,
    /// What was removed.
    gone: BTreeSet<String>,
}

/// A path that is read or written.
#[derive(Debug)]
pub(super) struct Spot<'a> {
    /// It, with every value in its place.
    pub(super) path: String,
    /// The name of its last part, where that stands for a value.
    pub(super) name: Option<&'a str>,
    /// The name of the part that follows, where that stands for a value: members of the list are told apart by it.
    pub(super) key: Option<&'a str>,
}

impl Spot<'_> {
    /// The list that this is in, and the value that tells it apart there.
    fn parent(&self) -> Option<(&str, &str, &str)> {
        let (list, value) = self.path.rsplit_once('/')?;
        Some((list, self.name?, value))
    }

    /// Whether `refusal` says that there is no such object, rather than that something else is wrong with the request.
    fn is_unknown(&self, refusal: &Refusal) -> bool {
        let mut names = refusal.errors.iter().map(|(name, _)| name.as_str());
        match refusal.status {
            400 => !refusal.errors.is_empty() && names.all(|name| self.name == Some(name)),
            status => status == 500,
        }
    }

    /// The path of a member.
    fn member(&self, row: &Members) -> Option<String> {
        Some(format!("{}/{}", self.path, text(row.get(self.key?)?)))
    }
}

impl Written {
    /// Whether reads are as they would be without it.
    pub(super) fn is_empty(&self) -> bool {
        self.objects.is_empty() && self.lists.is_empty() && self.gone.is_empty()
    }

    /// Refuses what was removed.
    pub(super) fn check(&self, spot: &Spot<'_>) -> Result<(), Refusal> {
        if self.gone.contains(&spot.path) {
            return Err(Refusal::new(500, format!("'{}' does not exist", spot.path)));
        }
        Ok(())
    }

    /// Keeps what a write sets.
    pub(super) fn keep(&mut self, method: &Method, spot: &Spot<'_>, set: Members) {
        match *method {
            Method::POST => self.add(spot, set),
            Method::PUT => self.objects.entry(spot.path.clone()).or_default().extend(set),
            _ => self.remove(spot),
        }
    }

    /// Adds a member to the list at `spot`, or `spot` itself to the list that it is in.
    fn add(&mut self, spot: &Spot<'_>, mut set: Members) {
        let (list, member) = match (spot.key, spot.member(&set), spot.parent()) {
            (Some(_), Some(member), _) => (spot.path.as_str(), member),
            (None, _, Some((list, name, value))) => {
                set.insert(name.to_owned(), value.into());
                (list, spot.path.clone())
            }
            _ => return,
        };
        self.gone.remove(&member);
        self.lists.entry(list.to_owned()).or_default().push(set);
    }

    fn remove(&mut self, spot: &Spot<'_>) {
        self.objects.remove(&spot.path);
        let Some((list, name, value)) = spot.parent() else {
            return;
        };
        if let Some(rows) = self.lists.get_mut(list) {
            rows.retain(|row| row.get(name).map(text).as_deref() != Some(value));
        }
        self.gone.insert(spot.path.clone());
    }

    /// What was written about one object: when it was added, and since.
    fn object(&self, spot: &Spot<'_>) -> Option<Members> {
        let added = spot.parent().and_then(|(list, name, value)| {
            let mut rows = self.lists.get(list)?.iter();
            rows.find(|row| row.get(name).map(text).as_deref() == Some(value))
        });
        let set = self.objects.get(&spot.path);
        let members = added.into_iter().chain(set).flatten();
        (added.is_some() || set.is_some()).then(|| members.map(|(name, value)| (name.clone(), value.clone())).collect())
    }

    /// `answer` to a read, with what was written.
    pub(super) fn shown(&self, spot: &Spot<'_>, schema: &Schema, answer: Answer, sampler: &mut Sampler) -> Answer {
        self.check(spot)?;
        let own = self.object(spot);
        let mut payload = match (answer, &own) {
            (Ok(payload), _) => payload,
            // The estate does not know it, but somebody has added it.
            (Err(refusal), Some(_)) if spot.is_unknown(&refusal) => sampler.answer(schema).into(),
            (Err(refusal), _) => return Err(refusal),
        };
        match &mut payload.data {
            Value::Object(members) => own.iter().for_each(|set| overlay(members, set, schema)),
            Value::Array(rows) if spot.key.is_some() => {
                let row = schema.items.as_deref();
                self.list(spot, rows, row.unwrap_or(&Schema::default()), sampler);
            }
            Value::Array(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
        Ok(payload)
    }

    fn list(&self, spot: &Spot<'_>, rows: &mut Vec<Value>, schema: &Schema, sampler: &mut Sampler) {
        let is_gone = |row: &Members| spot.member(row).is_some_and(|member| self.gone.contains(&member));
        rows.retain(|row| !row.as_object().is_some_and(is_gone));
        for set in self.lists.get(&spot.path).into_iter().flatten() {
            let made = sampler.answer(schema);
            let mut members = made.as_object().cloned().unwrap_or_default();
            overlay(&mut members, set, schema);
            rows.push(Value::Object(members));
        }
        for row in rows.iter_mut().filter_map(Value::as_object_mut) {
            if let Some(set) = spot.member(row).and_then(|member| self.objects.get(&member)) {
                overlay(row, set, schema);
            }
        }
    }
}

/// Puts what was set into an object, as far as it has such members.
fn overlay(members: &mut Members, set: &Members, schema: &Schema) {
    for (name, value) in set {
        let declared = schema.find_property(name);
        let is_shown = declared.is_some() || members.contains_key(name) || schema.properties.is_empty();
        if value.is_null() {
            members.remove(name);
        } else if is_shown {
            let kind = declared.map(|property| property.schema.kind).unwrap_or_default();
            members.insert(name.clone(), formed(value, kind));
        }
    }
}

/// A value that came as text, in the form of its kind.
fn formed(value: &Value, kind: Kind) -> Value {
    let Value::String(text) = value else {
        return value.clone();
    };
    match kind {
        Kind::Boolean | Kind::Integer | Kind::Number => {
            serde_json::from_str::<Number>(text).map_or_else(|_| value.clone(), Value::from)
        }
        Kind::List => text.split([',', ';', ' ']).map(Value::from).collect(),
        Kind::Object => {
            let pairs = text.split(',').filter_map(|part| part.split_once('='));
            pairs.map(|(key, value)| (key.to_owned(), Value::from(value))).collect()
        }
        Kind::Any | Kind::Null | Kind::Text => value.clone(),
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
