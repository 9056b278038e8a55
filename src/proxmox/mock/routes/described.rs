//! What the release offers and the estate does not hold: answers made up by the description of the release.
//!
//! Parameters are checked by the description as well. What a write says is remembered and shows in later reads of the same
//! place; writes on a node that answer text start a task.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::Method;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use super::super::Release;
use super::super::wire::Refusal;
use super::super::world::{GuestKind, World};
use super::params::{MISSING, UNKNOWN};
use super::{Answer, Call, Variables, check_node, writes};
use crate::proxmox::description::{Catalog, Description, Kind, Misfit, Operation, Problem, Reading, Sampler, Schema};

/// The members of one object.
type Members = Map<String, Value>;

/// The descriptions, and what was written where only they are known.
#[derive(Debug, Default)]
pub(in crate::proxmox::mock) struct Described {
    catalog: Catalog,
    /// A plain lock: held while one answer is made.
    written: Mutex<Written>,
}

#[derive(Debug, Default)]
struct Written {
    /// What was set, by path.
    objects: BTreeMap<String, Members>,
    /// What was added, by the path of the list.
    lists: BTreeMap<String, Vec<Members>>,
}

/// The operation of a request, with the values of the path's placeholders.
pub(in crate::proxmox::mock) fn find<'a>(
    description: &'a Description,
    method: &Method,
    path: &str,
) -> Option<(&'a Operation, Variables)> {
    let decoded = |part| percent_decode_str(part).decode_utf8_lossy().into_owned();
    let segments: Vec<String> = path.trim_end_matches('/').split('/').skip(1).map(decoded).collect();
    let found = description.find(&segments)?;
    let operation = found.place.operation(method)?;
    let variables = found.variables.into_iter();
    Some((
        operation,
        variables.map(|(name, value)| (name.to_owned().into(), value)).collect(),
    ))
}

impl Described {
    /// The description of `release`.
    pub(in crate::proxmox::mock) fn of(&self, release: Release) -> Option<Arc<Description>> {
        let tag = match release {
            Release::V8_2 | Release::V8_3 => "8.3",
            Release::V9_1 => "9.1",
            Release::V9_2 => "9.2",
        };
        self.catalog.find(tag).ok().flatten()
    }

    /// What is wrong with one parameter of a request.
    pub(in crate::proxmox::mock) fn fault(
        &self,
        release: Release,
        (method, path): (&Method, &str),
        (name, value): (&str, &str),
    ) -> Option<String> {
        let description = self.of(release)?;
        let Some((operation, _)) = find(&description, method, path) else {
            return Some(UNKNOWN.to_owned());
        };
        let given = [(name.to_owned(), value.to_owned())];
        let misfits = operation.read(&given, Reading::Strict).err().unwrap_or_default();
        misfits
            .into_iter()
            .find(|misfit| misfit.parameter == name)
            .map(complaint)
            .map(|(_, text)| text)
    }

    /// Carries `operation` out, as far as it goes without an estate.
    pub(in crate::proxmox::mock) fn answer(&self, call: &Call<'_>, operation: &Operation, world: &mut World) -> Answer {
        check_node(call, world)?;
        let parameters = call
            .params
            .iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let variables = call
            .variables
            .iter()
            .map(|(name, value)| (name.to_string(), value.clone()));
        let given: Vec<_> = variables.chain(parameters).collect();
        let read = operation.read(&given, Reading::Strict);
        read.map_err(|misfits| Refusal::parameters(misfits.into_iter().map(complaint).collect()))?;
        for (kind, part) in [(GuestKind::Qemu, "/qemu/{vmid}"), (GuestKind::Lxc, "/lxc/{vmid}")] {
            if operation.path.contains(part) {
                call.guest(world, kind)?;
            }
        }
        let place = call.fill(&operation.path);
        let mut sampler = Sampler::new(seed(&place));
        if operation.is_read() {
            return Ok(self.lock().shown(&place, &operation.returns, &mut sampler).into());
        }
        let set = call.params.iter().filter(|(name, _)| *name != "delete");
        let set = set.map(|(name, value)| (name.to_owned(), value.into())).collect();
        self.lock().keep(&operation.method, &place, set);
        if operation.returns.kind == Kind::Text && call.find_variable("node").is_some() {
            let action = operation
                .path
                .rsplit('/')
                .find(|part| !part.starts_with('{'))
                .unwrap_or_default();
            return writes::begin(call, world, &action.replace('-', ""));
        }
        Ok(sampler.answer(&operation.returns).into())
    }

    fn lock(&self) -> MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Written {
    fn keep(&mut self, method: &Method, place: &str, set: Members) {
        match *method {
            Method::POST => self.lists.entry(place.to_owned()).or_default().push(set),
            Method::PUT => self.objects.entry(place.to_owned()).or_default().extend(set),
            _ => {
                self.objects.remove(place);
                let (list, name) = place.rsplit_once('/').unwrap_or_default();
                let rows = self.lists.get_mut(list).into_iter();
                rows.for_each(|rows| rows.retain(|row| !row.values().any(|value| value == name)));
            }
        }
    }

    /// What is read at `place`: made up, with what was written there.
    fn shown(&self, place: &str, schema: &Schema, sampler: &mut Sampler) -> Value {
        let mut answer = sampler.answer(schema);
        if let (Value::Object(members), Some(set)) = (&mut answer, self.objects.get(place)) {
            overlay(members, set, schema);
        }
        let (Some(rows), Some(row)) = (self.lists.get(place), &schema.items) else {
            return answer;
        };
        let rows = rows.iter().map(|set| {
            let mut shown = sampler.answer(row);
            if let Value::Object(members) = &mut shown {
                overlay(members, set, row);
            }
            shown
        });
        rows.collect()
    }
}

/// Shows what was set of the members that the answer has.
fn overlay(members: &mut Members, set: &Members, schema: &Schema) {
    for (name, value) in set {
        let Some(property) = schema.find_property(name) else {
            continue;
        };
        let number = value.as_str().and_then(|text| text.parse::<i64>().ok());
        let shown = match (property.schema.kind, number) {
            (Kind::Boolean | Kind::Integer | Kind::Number, Some(number)) => number.into(),
            _ => value.clone(),
        };
        members.insert(name.clone(), shown);
    }
}

fn complaint(misfit: Misfit) -> (String, String) {
    let text = if misfit.problem == Problem::Unknown {
        UNKNOWN.to_owned()
    } else if misfit.problem == Problem::Missing {
        MISSING.to_owned()
    } else {
        misfit.problem.to_string()
    };
    (misfit.parameter, text)
}

/// The same number for the same text (FNV-1a).
fn seed(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
