//! Tasks of nodes and of the cluster.

use serde_json::{Map, Value, json};

use super::super::wire::{Content, Payload, Refusal, TEXT};
use super::super::world::{Task, World};
use super::params::{flag, number, text, word};
use super::{Answer, Call, Need, Route, directory, get};

/// Tasks that `/cluster/tasks` tells per node.
const RECENT: usize = 25;

pub(super) const ROUTES: &[Route] = &[
    get("/cluster/tasks", Need::Open, recent),
    get("/nodes/{node}/tasks", Need::Open, list).with(&[
        flag("errors"),
        number("limit"),
        number("since"),
        word("source", "archive active all"),
        number("start"),
        text("statusfilter"),
        text("typefilter"),
        number("until"),
        text("userfilter"),
        number("vmid"),
    ]),
    get("/nodes/{node}/tasks/{upid}", Need::Open, index),
    get("/nodes/{node}/tasks/{upid}/status", Need::Open, status),
    get("/nodes/{node}/tasks/{upid}/log", Need::Open, log).with(&[number("limit"), number("start"), flag("download")]),
];

fn row(task: &Task, now: i64) -> Map<String, Value> {
    let (user, token) = task.user_and_token();
    let row = json!({
        "upid": task.upid(), "node": &*task.node, "pid": task.pid, "pstart": task.pstart, "starttime": task.starts,
        "type": &*task.kind, "id": &*task.id, "user": user, "tokenid": token,
        "endtime": task.ends.filter(|_| !task.is_running(now)),
        "status": (!task.is_running(now)).then_some(&*task.outcome),
    });
    let mut row = row.as_object().cloned().unwrap_or_default();
    row.retain(|_, value| !value.is_null());
    row
}

/// Whether the caller may see a task: all of a node with Sys.Audit, otherwise only its own.
fn is_visible(call: &Call<'_>, world: &World, task: &Task) -> bool {
    call.has(world, &format!("/nodes/{}", task.node), "Sys.Audit")
        || call
            .identity
            .as_ref()
            .is_some_and(|identity| identity.id() == *task.user)
}

fn recent(call: &Call<'_>, world: &World) -> Answer {
    let mut rows = Vec::new();
    for node in &world.nodes {
        let own = world
            .tasks
            .iter()
            .rev()
            .filter(|task| *task.node == *node.name && is_visible(call, world, task));
        rows.extend(own.take(RECENT).map(|task| Value::Object(row(task, call.now))));
    }
    Ok(Value::Array(rows).into())
}

fn list(call: &Call<'_>, world: &World) -> Answer {
    let node = call.variable("node");
    let sees_all = call.has(world, &format!("/nodes/{node}"), "Sys.Audit");
    let own = call.identity.as_ref().map(super::Identity::id).unwrap_or_default();
    let former = world.nodes.iter().find(|known| known.name == node);
    let former = former.and_then(|known| known.former_name.as_deref());
    let ran_here = |task: &Task| *task.node == *node || former == Some(&*task.node);
    let rows = world.tasks.iter().rev();
    let rows = rows.filter(|task| ran_here(task) && (sees_all || *task.user == *own));
    let matching: Vec<&Task> = rows.filter(|task| is_wanted(call, task)).collect();
    let start = usize::try_from(call.number("start").unwrap_or(0)).unwrap_or(0);
    let limit = usize::try_from(call.number("limit").unwrap_or(50)).unwrap_or(0);
    let page = matching
        .iter()
        .skip(start)
        .take(limit)
        .map(|task| Value::Object(row(task, call.now)));
    let total = (!matching.is_empty()).then_some(matching.len());
    Ok(Payload {
        data: page.collect(),
        total,
        ..Payload::default()
    })
}

fn is_wanted(call: &Call<'_>, task: &Task) -> bool {
    let runs = task.is_running(call.now);
    let source = match call.param("source") {
        Some("all") => true,
        Some("active") => runs,
        _ => !runs,
    };
    let outcome = if runs { "unknown" } else { task.outcome_class() };
    let user = |part: &str| task.user.to_lowercase().contains(&part.to_lowercase());
    source
        && call.number("since").is_none_or(|since| task.starts >= since)
        && call.number("until").is_none_or(|until| task.starts <= until)
        && call.param("vmid").is_none_or(|vmid| *task.id == *vmid)
        && call.param("typefilter").is_none_or(|kind| task.kind == kind)
        && call.param("userfilter").is_none_or(user)
        && call
            .param("statusfilter")
            .is_none_or(|wanted| wanted.split([',', ';', ' ']).any(|word| word == outcome))
        && (call.flag("errors") != Some(true) || matches!(outcome, "error" | "unknown"))
}

fn task<'a>(call: &Call<'_>, world: &'a World) -> Result<&'a Task, Refusal> {
    let upid = call.variable("upid");
    let Some(starts) = upid.split(':').nth(4).and_then(|hex| i64::from_str_radix(hex, 16).ok()) else {
        return Err(Refusal::parameter(
            "upid",
            format!("unable to parse worker upid '{upid}'\n"),
        ));
    };
    // Tasks are sorted by their start.
    let from = world.tasks.partition_point(|task| task.starts < starts);
    let mut candidates = world.tasks.iter().skip(from).take_while(|task| task.starts == starts);
    let found = candidates.find(|task| task.upid() == upid && *task.node == *call.variable("node"));
    let found = found.ok_or_else(|| Refusal::parameter("upid", "no such task"))?;
    if is_visible(call, world, found) {
        return Ok(found);
    }
    Err(Refusal::permission(&format!("/nodes/{}", found.node), "Sys.Audit"))
}

fn index(_: &Call<'_>, _: &World) -> Answer {
    directory(&["log", "status"], "name")
}

fn status(call: &Call<'_>, world: &World) -> Answer {
    let task = task(call, world)?;
    let mut row = row(task, call.now);
    row.remove("endtime");
    let state = if task.is_running(call.now) {
        "running"
    } else {
        "stopped"
    };
    if let Some(outcome) = row.insert("status".to_owned(), state.into()) {
        row.insert("exitstatus".to_owned(), outcome);
    }
    Ok(Value::Object(row).into())
}

fn log(call: &Call<'_>, world: &World) -> Answer {
    let lines = task(call, world)?.log(call.now);
    if call.flag("download") == Some(true) {
        let bytes = (lines.join("\n") + "\n").into();
        return Ok(Payload {
            file: Some(Content { bytes, kind: TEXT }),
            ..Payload::default()
        });
    }
    let start = usize::try_from(call.number("start").unwrap_or(0)).unwrap_or(0);
    let limit = match call.number("limit") {
        Some(0) => usize::MAX,
        given => usize::try_from(given.unwrap_or(50)).unwrap_or(0),
    };
    let numbered = lines.iter().enumerate().skip(start).take(limit);
    let data = numbered
        .map(|(number, line)| json!({"n": number + 1, "t": line}))
        .collect();
    Ok(Payload {
        data,
        total: Some(lines.len()),
        ..Payload::default()
    })
}
