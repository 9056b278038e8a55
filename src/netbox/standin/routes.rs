//! From a request to its answer.

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

use super::Shared;
use super::access::{Account, Action, authenticate};
use super::list;
use super::refusal::forbidden;
use super::render;
use super::schema::Collection;
use super::server::ELSEWHERE;
use super::special;
use super::world::World;
use super::write::{Answer, Write};

/// A request.
pub(super) struct Asked<'a> {
    pub(super) authorization: Option<&'a str>,
    pub(super) branch: Option<&'a str>,
    pub(super) method: &'a Method,
    pub(super) path: &'a str,
    pub(super) query: &'a str,
    pub(super) body: &'a Bytes,
}

/// An answer.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) body: Bytes,
    pub(super) is_html: bool,
    pub(super) rows: usize,
    pub(super) header: Option<(http::HeaderName, String)>,
}

impl Reply {
    pub(super) fn json((status, body): Answer) -> Self {
        let text = if status == 204 { String::new() } else { body.to_string() };
        Self {
            status,
            body: text.into(),
            is_html: false,
            rows: 0,
            header: None,
        }
    }

    pub(super) fn detail(status: u16, detail: &str) -> Self {
        Self::json((status, json!({ "detail": detail })))
    }

    pub(super) fn html(status: u16, title: &str, text: &str) -> Self {
        let page = format!(
            "<!DOCTYPE html>\n<html><head><title>{title}</title></head><body><h1>{title}</h1><p>{text}</p></body></html>\n"
        );
        Self {
            status,
            body: page.into(),
            is_html: true,
            rows: 0,
            header: None,
        }
    }

    /// The page of a route that does not exist.
    pub(super) fn no_route() -> Self {
        Self::html(404, "Page Not Found | NetBox", "Page Not Found")
    }
}

/// Answers a request.
pub(super) fn answer(shared: &Shared, asked: &Asked<'_>) -> Reply {
    if !asked.path.ends_with('/') {
        let is_read = *asked.method == Method::GET || *asked.method == Method::HEAD;
        return if is_read { redirect(asked) } else { Reply::no_route() };
    }
    let account = authenticate(&shared.options.accounts, asked.authorization);
    if let Some(reply) = special::answer(shared, asked, &account) {
        return reply;
    }
    let path = asked.path.trim_matches('/');
    let target = shared.read(|world| {
        let collection = world.schema.at(path).map(|collection| (collection.id, None));
        collection.or_else(|| {
            let (path, id) = path.rsplit_once('/')?;
            Some((world.schema.at(path)?.id, Some(id.parse::<u64>().ok()?)))
        })
    });
    let Some((collection, id)) = target.filter(|(collection, _)| shared.serves(*collection)) else {
        return Reply::no_route();
    };
    let account = match account {
        Ok(account) => account,
        Err(answer) => return Reply::json(answer),
    };
    match *asked.method {
        Method::GET | Method::HEAD => shared.read(|world| match world.schema.collection(collection) {
            Some(collection) => read(shared, world, (collection, id), asked, account),
            None => Reply::no_route(),
        }),
        Method::POST | Method::PATCH | Method::PUT | Method::DELETE => {
            shared.change(|world| write(shared, world, (collection, id), asked, account))
        }
        _ => not_allowed(asked.method),
    }
}

fn redirect(asked: &Asked<'_>) -> Reply {
    let query = if asked.query.is_empty() {
        String::new()
    } else {
        format!("?{}", asked.query)
    };
    let mut reply = Reply::html(301, "Moved Permanently", "");
    reply.header = Some((ELSEWHERE, format!("{}/{query}", asked.path)));
    reply
}

fn not_allowed(method: &Method) -> Reply {
    Reply::detail(405, &format!("Method \"{method}\" not allowed."))
}

fn missing(collection: &Collection) -> Answer {
    let text = format!("No {} matches the given query.", collection.rules.class);
    (404, json!({ "detail": text }))
}

fn read(
    shared: &Shared,
    world: &World,
    (collection, id): (&Collection, Option<u64>),
    asked: &Asked<'_>,
    account: &Account,
) -> Reply {
    if !account.may(Action::View, collection.rules.path) {
        return Reply::json(forbidden());
    }
    let pairs = list::parameters(asked.query);
    let Some(id) = id else {
        let answer = list::page(world, collection, &pairs, &shared.base_url);
        let rows = answer.1.get("results").and_then(Value::as_array).map_or(0, Vec::len);
        return Reply {
            rows,
            ..Reply::json(answer)
        };
    };
    let found = world
        .found(collection.id, id)
        .filter(|_| !world.is_hidden(collection.id, id));
    let Some(found) = found else {
        return Reply::json(missing(collection));
    };
    Reply {
        rows: 1,
        ..Reply::json((200, render::row(found, &shared.base_url, &list::selection(&pairs))))
    }
}

fn write(
    shared: &Shared,
    world: &mut World,
    (collection, id): (usize, Option<u64>),
    asked: &Asked<'_>,
    account: &Account,
) -> Reply {
    let action = match *asked.method {
        Method::POST => Action::Add,
        Method::DELETE => Action::Delete,
        _ => Action::Change,
    };
    let Some(rules) = world.schema.collection(collection).map(|collection| collection.rules) else {
        return Reply::no_route();
    };
    if !account.may(action, rules.path) {
        return Reply::json(forbidden());
    }
    let body: Value = if asked.body.is_empty() {
        Value::Null
    } else {
        match serde_json::from_slice(asked.body) {
            Ok(body) => body,
            Err(error) => return Reply::detail(400, &format!("JSON parse error - {error}")),
        }
    };
    let rows = body.as_array().map_or(1, Vec::len);
    let is_known = id.is_none_or(|id| world.row(collection, id).is_some() && !world.is_hidden(collection, id));
    let faults = shared.faults.rows();
    let writer = Write {
        world,
        collection,
        base: &shared.base_url,
        faults: &faults,
    };
    let answer = match id {
        Some(_) if *asked.method == Method::POST => return not_allowed(asked.method),
        Some(id) if is_known => writer.one(asked.method, id, &body),
        Some(_) => match writer.world.schema.collection(collection) {
            Some(collection) => missing(collection),
            None => return Reply::no_route(),
        },
        None => writer.many(asked.method, &body),
    };
    Reply {
        rows,
        ..Reply::json(answer)
    }
}
