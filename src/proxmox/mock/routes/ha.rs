//! High availability.

use serde_json::{Map, Value, json};

use super::super::Release;
use super::super::wire::Refusal;
use super::super::world::{Row, World};
use super::params::text;
use super::{Answer, Call, Need, Route, digest, directory, get};

const AUDIT: Need = Need::Right("/", "Sys.Audit");

pub(super) const ROUTES: &[Route] = &[
    get("/cluster/ha", AUDIT, index),
    get("/cluster/ha/resources", AUDIT, resources).with(&[text("type")]),
    get("/cluster/ha/resources/{sid}", AUDIT, resource),
    get("/cluster/ha/groups", AUDIT, groups),
    get("/cluster/ha/groups/{group}", AUDIT, group),
    get("/cluster/ha/rules", AUDIT, rules)
        .since(Release::V9_1)
        .with(&[text("resource"), text("type")]),
    get("/cluster/ha/rules/{rule}", AUDIT, rule).since(Release::V9_1),
    get("/cluster/ha/status", AUDIT, status_index),
    get("/cluster/ha/status/current", AUDIT, current),
    get("/cluster/ha/status/manager_status", AUDIT, manager),
];

fn index(_: &Call<'_>, _: &World) -> Answer {
    directory(&["status", "resources", "groups", "rules"], "id")
}

fn status_index(_: &Call<'_>, _: &World) -> Answer {
    directory(&["current", "manager_status"], "name")
}

fn word<'a>(row: &'a Row, key: &str) -> &'a str {
    row.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn with_digest(row: &Row) -> Value {
    let mut row = row.clone();
    row.insert("digest".to_owned(), digest("ha").into());
    Value::Object(row)
}

fn one(rows: &[Row], key: &str, value: &str, what: &str) -> Answer {
    let found = rows.iter().find(|row| word(row, key) == value);
    let found = found.ok_or_else(|| Refusal::new(500, format!("no such ha {what} '{value}'")))?;
    Ok(with_digest(found).into())
}

fn resources(call: &Call<'_>, world: &World) -> Answer {
    let rows = world.ha.resources.iter();
    let wanted = rows.filter(|row| call.param("type").is_none_or(|kind| word(row, "type") == kind));
    Ok(wanted.map(with_digest).collect::<Value>().into())
}

fn resource(call: &Call<'_>, world: &World) -> Answer {
    one(&world.ha.resources, "sid", call.variable("sid"), "resource")
}

fn check_groups(call: &Call<'_>) -> Result<(), Refusal> {
    if call.options.release.is_9() {
        return Err(Refusal::new(
            500,
            "cannot index groups: ha groups have been migrated to rules",
        ));
    }
    Ok(())
}

fn groups(call: &Call<'_>, world: &World) -> Answer {
    check_groups(call)?;
    Ok(world.ha.groups.iter().map(with_digest).collect::<Value>().into())
}

fn group(call: &Call<'_>, world: &World) -> Answer {
    check_groups(call)?;
    one(&world.ha.groups, "group", call.variable("group"), "group")
}

fn rules(call: &Call<'_>, world: &World) -> Answer {
    let rows = world.ha.rules.iter().filter(|row| {
        call.param("type").is_none_or(|kind| word(row, "type") == kind)
            && call
                .param("resource")
                .is_none_or(|sid| word(row, "resources").split(',').any(|own| own == sid))
    });
    Ok(rows.map(with_digest).collect::<Value>().into())
}

fn rule(call: &Call<'_>, world: &World) -> Answer {
    one(&world.ha.rules, "rule", call.variable("rule"), "rule")
}

fn current(call: &Call<'_>, world: &World) -> Answer {
    let local = super::local_node(call.options, world);
    let mut rows = vec![json!({
        "id": "quorum", "type": "quorum", "node": local, "status": if world.is_quorate() { "OK" } else { "No quorum on node!" },
        "quorate": u8::from(world.is_quorate()),
    })];
    if world.ha.resources.is_empty() {
        return Ok(Value::Array(rows).into());
    }
    rows.push(json!({
        "id": "master", "type": "master", "node": local, "timestamp": call.now,
        "status": format!("{local} (active, watchdog active)"),
    }));
    for node in &world.nodes {
        let state = if node.online {
            "active, watchdog active"
        } else {
            "old timestamp - dead?"
        };
        rows.push(json!({
            "id": format!("lrm:{}", node.name), "type": "lrm", "node": node.name, "timestamp": call.now,
            "status": format!("{} ({state})", node.name),
        }));
    }
    rows.extend(world.ha.resources.iter().map(|row| service(row, world)));
    Ok(Value::Array(rows).into())
}

fn service(row: &Row, world: &World) -> Value {
    let (sid, state) = (word(row, "sid"), word(row, "state"));
    let vmid = sid.split(':').next_back().and_then(|vmid| vmid.parse::<u32>().ok());
    let node = vmid
        .and_then(|vmid| world.guests.get(&vmid))
        .map(|guest| guest.node.as_str())
        .unwrap_or_default();
    let mut service: Map<String, Value> = row.clone();
    service.insert("id".to_owned(), format!("service:{sid}").into());
    service.insert("type".to_owned(), "service".into());
    service.insert("node".to_owned(), node.into());
    service.insert("crm_state".to_owned(), state.into());
    service.insert("request_state".to_owned(), state.into());
    service.insert("status".to_owned(), format!("{sid} ({node}, {state})").into());
    Value::Object(service)
}

fn manager(call: &Call<'_>, world: &World) -> Answer {
    let local = super::local_node(call.options, world);
    let nodes: Map<String, Value> = world
        .nodes
        .iter()
        .map(|node| (node.name.clone(), if node.online { "online" } else { "unknown" }.into()))
        .collect();
    Ok(json!({
        "manager_status": {"node_status": nodes, "master_node": local},
        "quorum": {"quorate": u8::from(world.is_quorate()).to_string(), "node": local},
    })
    .into())
}
