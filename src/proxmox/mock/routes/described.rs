//! What the release offers and the estate does not hold: answers made up by the description of the release.
//!
//! Parameters are checked by the description as well. What a write says is remembered and shows in later reads, those of
//! the estate included; writes on a node that answer text start a task.
//!
//! The descriptions here do not tell which privilege an operation needs. So a write is refused to those who hold none at
//! all, wherever; a real server is stricter with the others, and lets some of these change what is their own.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::Method;
use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::super::Release;
use super::super::wire::Refusal;
use super::super::world::{GuestKind, World};
use super::params::{MISSING, UNKNOWN};
use super::written::{Members, Spot, Written};
use super::{Answer, Call, Variables, access, check_node, writes};
use crate::proxmox::description::{Catalog, Description, Kind, Misfit, Operation, Place, Problem, Reading, Sampler};

/// The descriptions, and what was written where only they are known.
#[derive(Debug, Default)]
pub(in crate::proxmox::mock) struct Described {
    catalog: Catalog,
    /// A plain lock: held while one answer is made.
    written: Mutex<Written>,
}

/// The operation of a request, with the values of the path's placeholders.
pub(in crate::proxmox::mock) fn find<'a>(
    description: &'a Description,
    method: &Method,
    path: &str,
) -> Option<(&'a Operation, Variables)> {
    let found = description.find(&segments(path))?;
    let operation = found.place.operation(method)?;
    let variables = found.variables.into_iter();
    Some((
        operation,
        variables.map(|(name, value)| (name.to_owned().into(), value)).collect(),
    ))
}

fn segments(path: &str) -> Vec<String> {
    let decoded = |part| percent_decode_str(part).decode_utf8_lossy().into_owned();
    path.trim_end_matches('/').split('/').skip(1).map(decoded).collect()
}

/// Where `segments` lead to, and what stands there.
fn spot(description: &Description, mut segments: Vec<String>) -> Option<(Spot<'_>, &Place)> {
    let place = description.find(&segments)?.place;
    let path = format!("/{}", segments.join("/"));
    segments.push("-".to_owned());
    let member = description.find(&segments).map(|found| found.place.path());
    let below = member.and_then(|member| member.strip_prefix(place.path())?.strip_prefix('/'));
    let spot = Spot {
        path,
        name: place.path().rsplit('/').next().and_then(variable),
        key: below.and_then(variable),
    };
    Some((spot, place))
}

fn variable(part: &str) -> Option<&str> {
    part.strip_prefix('{')?.strip_suffix('}')
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
        if !operation.is_read() && !holds_any(call, world) {
            return Err(Refusal::new(403, "Permission check failed"));
        }
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
        let path = call.fill(&operation.path);
        let mut sampler = Sampler::new(seed(&path));
        if operation.is_read() {
            return Ok(sampler.answer(&operation.returns).into());
        }
        if let Some((spot, _)) = self
            .of(call.options.release)
            .as_deref()
            .and_then(|description| spot(description, segments(&path)))
        {
            let mut written = self.lock();
            written.check(&spot)?;
            written.keep(&operation.method, &spot, set(call, operation));
        }
        let is_task = operation.returns.kind == Kind::Text && operation.returns.format.is_none();
        if is_task && call.find_variable("node").is_some() {
            let action = operation
                .path
                .rsplit('/')
                .find(|part| !part.starts_with('{'))
                .unwrap_or_default();
            return writes::begin(call, world, &action.replace('-', ""));
        }
        let mut answer = sampler.answer(&operation.returns);
        access::renew_token(call, world, &mut answer);
        Ok(answer.into())
    }

    /// `answer` to a read of `path`, with what was written since the start.
    pub(in crate::proxmox::mock) fn with_written(&self, release: Release, path: &str, answer: Answer) -> Answer {
        let written = self.lock();
        if written.is_empty() {
            return answer;
        }
        let Some(description) = self.of(release) else {
            return answer;
        };
        let found = spot(&description, segments(path));
        match found.and_then(|(spot, place)| Some((spot, place.operation(&Method::GET)?))) {
            Some((spot, read)) => {
                let mut sampler = Sampler::new(seed(&spot.path));
                written.shown(&spot, &read.returns, answer, &mut sampler)
            }
            None => answer,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the caller has any privilege on anything.
fn holds_any(call: &Call<'_>, world: &World) -> bool {
    call.rights(world).is_some_and(|rights| !rights.map().is_empty())
}

/// What a request sets; what it clears is `null`.
fn set(call: &Call<'_>, operation: &Operation) -> Members {
    let mut members = Members::new();
    for (name, value) in call.params.iter() {
        let property = operation.parameters.find_property(name);
        let is_list = property.is_some_and(|property| property.schema.kind == Kind::List);
        match members.get_mut(name) {
            Some(Value::Array(values)) if is_list => values.push(value.into()),
            _ if name == "delete" => {
                let cleared = value.split([',', ';', ' ']);
                members.extend(cleared.map(|name| (name.to_owned(), Value::Null)));
            }
            _ => {
                let value = if is_list { vec![value].into() } else { value.into() };
                members.insert(name.to_owned(), value);
            }
        }
    }
    members
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
