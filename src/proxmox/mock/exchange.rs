//! One request, from its head to its answer.

use std::borrow::Cow;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::{Body as _, Incoming};
use serde_json::Value;

use super::auth::{self, Caller};
use super::faults::Fault;
use super::recorder::Recorded;
use super::routes::{self, Call, Handler, Route, Variables};
use super::wire::{self, Body, Content, Payload, Refusal, Slowness};
use super::world::{Agent, World};
use super::{Shared, routes::params};

const PREFIX: &str = "/api2/json";
const DELAY_401: Duration = Duration::from_secs(3);

/// One connection of one client.
pub(super) struct Connection {
    pub(super) shared: Arc<Shared>,
    pub(super) number: u64,
    pub(super) server_name: Option<String>,
    pub(super) answered: AtomicU32,
}

/// What is known of a request once its head and body are read.
struct Asked {
    head: http::request::Parts,
    path: String,
    body: Bytes,
    turn: u64,
}

/// What comes of a request: its answer, a refusal, and who asked.
struct Outcome {
    identity: Option<String>,
    result: Result<Content, Refusal>,
}

/// Answers one request.
///
/// # Errors
///
/// Where a fault wants the connection cut; hyper then closes it without an answer.
pub(super) async fn answer(connection: &Connection, request: Request<Incoming>) -> io::Result<Response<Body>> {
    let shared = &connection.shared;
    let _open = shared.log.open();
    let asked = match read(shared, request).await {
        Ok(asked) => asked,
        Err((head, refusal)) => {
            let mut response = wire::refused(&refusal, shared.options.release);
            connection.record(&head, head.uri.path(), None, refusal.status);
            if head.method == Method::HEAD {
                *response.body_mut() = wire::empty();
            }
            return Ok(response);
        }
    };
    if shared.faults.is_down() {
        return connection.cut(&asked);
    }
    let permit = shared.workers.acquire().await.map_err(io::Error::other)?;
    let faults = shared.faults.take(asked.head.method.as_str(), &asked.path);
    for fault in &faults {
        if let Fault::Latency(delay) = fault {
            tokio::time::sleep(*delay).await;
        }
    }
    if faults.contains(&Fault::Reset) {
        return connection.cut(&asked);
    }
    let outcome = work(shared, &asked, &faults).await;
    drop(permit);
    Ok(connection.respond(&asked, outcome, &faults).await)
}

impl Connection {
    async fn respond(&self, asked: &Asked, outcome: Outcome, faults: &[Fault]) -> Response<Body> {
        let options = &self.shared.options;
        let mut response = match outcome.result {
            Ok(_) if faults.contains(&Fault::Html) => wire::page(),
            Ok(content) if faults.contains(&Fault::Truncated) => wire::truncated(content),
            Ok(content) => wire::success(content, faults.iter().find_map(slowness)),
            Err(refusal) => {
                if refusal.status == 401 && options.delay_401 {
                    tokio::time::sleep(DELAY_401).await;
                }
                wire::refused(&refusal, options.release)
            }
        };
        if self.answered.fetch_add(1, Ordering::Relaxed) + 1 >= options.keep_alive_requests {
            wire::close(&mut response);
        }
        self.record(&asked.head, &asked.path, outcome.identity, response.status().as_u16());
        response
    }

    fn cut(&self, asked: &Asked) -> io::Result<Response<Body>> {
        self.record(&asked.head, &asked.path, None, 0);
        Err(io::ErrorKind::ConnectionReset.into())
    }

    fn record(&self, head: &http::request::Parts, path: &str, identity: Option<String>, status: u16) {
        self.shared.log.push(Recorded {
            method: head.method.as_str().to_owned(),
            path: path.to_owned(),
            query: head.uri.query().unwrap_or_default().to_owned(),
            identity,
            status,
            connection: self.number,
            server_name: self.server_name.clone(),
        });
    }
}

/// Reads the body and checks the framing.
async fn read(shared: &Shared, request: Request<Incoming>) -> Result<Asked, (http::request::Parts, Refusal)> {
    let (head, body) = request.into_parts();
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    let limit = wire::body_limit(&head);
    if let Err(refusal) = wire::check_framing(&head, announced) {
        return Err((head, refusal));
    }
    let Ok(body) = Limited::new(body, limit).collect().await else {
        return Err((head, Refusal::bare(501, "for too large request body")));
    };
    let Some(path) = head
        .uri
        .path()
        .strip_prefix(PREFIX)
        .filter(|path| path.is_empty() || path.starts_with('/'))
    else {
        return Err((head, Refusal::bare(501, "no such uri")));
    };
    let turn = shared.turns.fetch_add(1, Ordering::Relaxed);
    Ok(Asked {
        path: path.to_owned(),
        head,
        body: body.to_bytes(),
        turn,
    })
}

/// Login, route, rights, target node, parameters, handler: in the server's own order.
async fn work(shared: &Shared, asked: &Asked, faults: &[Fault]) -> Outcome {
    let now = shared.clock.now();
    let route = routes::find(asked.head.method.as_str(), &asked.path, shared.options.release);
    let is_public = route.as_ref().is_some_and(|(route, _)| route.is_public());
    let caller = shared
        .world
        .read(|world| auth::identify(&shared.tickets, world, &asked.head.headers, now));
    let caller = match caller {
        Ok(caller) => Some(caller),
        Err(_) if is_public => None,
        Err(reason) => {
            return Outcome {
                identity: None,
                result: Err(Refusal::bare(401, reason)),
            };
        }
    };
    let identity = caller.as_ref().map(|caller| caller.identity.id());
    for fault in faults {
        if let Fault::Status(status, text) = fault {
            return Outcome {
                identity,
                result: Err(Refusal::usual(*status, text.clone())),
            };
        }
    }
    let guarded = asked.head.method == Method::GET
        || caller
            .as_ref()
            .is_none_or(|caller| auth::may_write(&shared.tickets, caller, &asked.head.headers, now));
    let result = match route {
        _ if !guarded && !is_public => Err(Refusal::bare(401, "Permission denied - invalid csrf token")),
        None => described(shared, asked, caller),
        Some((route, variables)) => {
            wait_for_agent(shared, route, &variables).await;
            handle(shared, asked, caller, route, variables)
        }
    };
    let result = if asked.head.method == Method::GET {
        let release = shared.options.release;
        shared.described.with_written(release, &asked.path, result)
    } else {
        result
    };
    let result = result.map(|payload| finish(shared, payload, &asked.path));
    Outcome { identity, result }
}

fn handle(
    shared: &Shared,
    asked: &Asked,
    caller: Option<Caller>,
    route: &'static Route,
    variables: Variables,
) -> Result<Payload, Refusal> {
    let check = |call: &Call<'_>, world: &World| {
        route.check_rights(call, world)?;
        routes::check_node(call, world)?;
        let (release, place) = (shared.options.release, (&asked.head.method, asked.path.as_str()));
        let described = |name: &str, value: &str| shared.described.fault(release, place, (name, value));
        params::check(route, &call.params, &call.variables, described)
    };
    let call = call(shared, asked, caller, variables)?;
    match route.handler {
        Handler::Read(handler) => shared.world.read(|world| {
            check(&call, world)?;
            handler(&call, world)
        }),
        Handler::Write(handler) => shared.world.change(|world| {
            check(&call, world)?;
            handler(&call, world)
        }),
    }
}

/// What only the description of the release knows.
fn described(shared: &Shared, asked: &Asked, caller: Option<Caller>) -> Result<Payload, Refusal> {
    let method = &asked.head.method;
    let absent = || Refusal::bare(501, format!("Method '{method} {}' not implemented", asked.path));
    let description = shared.described.of(shared.options.release).ok_or_else(absent)?;
    let (operation, variables) = routes::described::find(&description, method, &asked.path).ok_or_else(absent)?;
    let call = call(shared, asked, caller, variables)?;
    shared
        .world
        .change(|world| shared.described.answer(&call, operation, world))
}

fn call<'a>(
    shared: &'a Shared,
    asked: &Asked,
    caller: Option<Caller>,
    variables: Variables,
) -> Result<Call<'a>, Refusal> {
    Ok(Call {
        identity: caller.map(|caller| caller.identity),
        params: params::read(&asked.head, &asked.body)?,
        variables,
        now: shared.clock.now(),
        turn: asked.turn,
        options: &shared.options,
        tickets: &shared.tickets,
    })
}

/// A wedged agent takes the server's whole limit, whoever asks.
async fn wait_for_agent(shared: &Shared, route: &Route, variables: &[(Cow<'static, str>, String)]) {
    if !route.pattern.contains("/agent/") {
        return;
    }
    let vmid = variables
        .iter()
        .find(|(name, _)| name == "vmid")
        .and_then(|(_, vmid)| vmid.parse::<u32>().ok());
    let is_wedged = shared.world.read(|world| {
        let guest = vmid.and_then(|vmid| world.guests.get(&vmid));
        guest.is_some_and(|guest| guest.agent == Agent::Wedged && guest.is_running())
    });
    if is_wedged {
        tokio::time::sleep(shared.options.agent_limit).await;
    }
}

fn slowness(fault: &Fault) -> Option<Slowness> {
    match *fault {
        Fault::SlowBody { first, pause } => Some(Slowness { first, pause }),
        Fault::Status(..) | Fault::Latency(_) | Fault::Truncated | Fault::Reset | Fault::Html => None,
    }
}

fn finish(shared: &Shared, mut payload: Payload, path: &str) -> Content {
    if let Some(file) = payload.file {
        return file;
    }
    if shared.faults.sends_numbers_as_text() {
        numbers_to_text(&mut payload.data);
    }
    let mut json = wire::envelope(payload);
    if path.ends_with("/log") && shared.faults.sends_raw_log_bytes() {
        // The replacement character of a log line becomes the broken byte it stands for.
        json = replace(&json, "\u{FFFD}".as_bytes(), 0xFF);
    }
    Content {
        bytes: json.into(),
        kind: wire::JSON,
    }
}

fn numbers_to_text(value: &mut Value) {
    match value {
        Value::Number(number) => *value = Value::from(number.to_string()),
        Value::Array(values) => values.iter_mut().for_each(numbers_to_text),
        Value::Object(members) => members.values_mut().for_each(numbers_to_text),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

fn replace(bytes: &[u8], from: &[u8], to: u8) -> Vec<u8> {
    let mut replaced = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((first, after)) = rest.split_first() {
        if let Some(after) = rest.strip_prefix(from) {
            replaced.push(to);
            rest = after;
        } else {
            replaced.push(*first);
            rest = after;
        }
    }
    replaced
}
