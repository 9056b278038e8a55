//! Tickets, rights, users and realms.

use serde_json::{Map, Value, json};

use super::super::acl::{self, Identity, ROLES, Rights};
use super::super::auth::{self, Credentials, Login};
use super::super::wire::Refusal;
use super::super::world::World;
use super::params::{flag, required, text};
use super::{Answer, Call, Need, Route, directory, get, write};

const AUDIT: Need = Need::Right("/access", "Sys.Audit");

pub(super) const ROUTES: &[Route] = &[
    get("/access/ticket", Need::Public, |_, _| Ok(Value::Null.into())),
    write("POST", "/access/ticket", Need::Public, ticket).with(&[
        required("username"),
        required("password"),
        text("realm"),
        text("tfa-challenge"),
        flag("new-format"),
        text("path"),
        text("privs"),
    ]),
    get("/access", Need::Open, index),
    get("/access/domains", Need::Public, domains),
    get("/access/permissions", Need::Open, permissions).with(&[text("path"), text("userid")]),
    get("/access/users", Need::Open, users).with(&[flag("enabled"), flag("full")]),
    get("/access/users/{userid}/token", Need::Open, tokens),
    get("/access/roles", Need::Open, roles),
    get("/access/acl", Need::Open, acl_entries),
    get("/access/groups", AUDIT, |_, _| Ok(json!([]).into())),
];

fn ticket(call: &Call<'_>, world: &mut World) -> Answer {
    let mut user = call.param("username").unwrap_or_default().to_owned();
    if let Some(realm) = call.param("realm").filter(|_| !user.contains('@')) {
        user = format!("{user}@{realm}");
    }
    let password = call.param("password").unwrap_or_default();
    let given = Credentials {
        user: &user,
        password,
        challenge: call.param("tfa-challenge"),
    };
    match auth::login(call.tickets, world, &given, call.now) {
        Login::Refused => Err(Refusal::new(401, "authentication failure")),
        Login::Partial(user) => Ok(json!({
            "username": user, "ticket": call.tickets.issue_partial(&user, call.now), "NeedTFA": 1,
            "CSRFPreventionToken": call.tickets.csrf(&format!("partial {user}"), call.now),
        })
        .into()),
        Login::Full(user) => Ok(full_ticket(call, world, user).into()),
    }
}

fn full_ticket(call: &Call<'_>, world: &World, user: String) -> Value {
    let identity = Identity { user, token: None };
    let rights = Rights::new(world, call.options.release, &identity);
    let capabilities = |path: &str, prefix: &str| {
        let held = rights
            .on(path)
            .into_iter()
            .filter(|privilege| privilege.starts_with(prefix));
        Value::Object(held.map(|privilege| (privilege.to_owned(), 1.into())).collect())
    };
    let mut answer = json!({
        "username": identity.user, "ticket": call.tickets.issue(&identity.user, call.now),
        "CSRFPreventionToken": call.tickets.csrf(&identity.user, call.now),
        "cap": {
            "access": capabilities("/access", "User."), "dc": capabilities("/", "Sys.Audit"),
            "nodes": capabilities("/nodes", "Sys."), "storage": capabilities("/storage", "Datastore."),
            "vms": capabilities("/vms", "VM."), "sdn": capabilities("/sdn", "SDN."),
        },
    });
    if let (Some(name), Some(members), true) = (&world.cluster, answer.as_object_mut(), rights.has("/", "Sys.Audit")) {
        members.insert("clustername".to_owned(), name.clone().into());
    }
    answer
}

fn domains(_: &Call<'_>, _: &World) -> Answer {
    Ok(json!([
        {"realm": "pam", "type": "pam", "comment": "Linux PAM standard authentication"},
        {"realm": "pve", "type": "pve", "comment": "Proxmox VE authentication server"},
    ])
    .into())
}

fn permissions(call: &Call<'_>, world: &World) -> Answer {
    let own = call.identity.as_ref().ok_or_else(|| Refusal::bare(401, "No ticket"))?;
    let other = call.param("userid").filter(|id| *id != own.id());
    if other.is_some() && !call.has(world, "/access", "Sys.Audit") {
        return Err(Refusal::permission("/access", "Sys.Audit"));
    }
    let asked = other.map_or_else(
        || own.clone(),
        |id| {
            let (user, token) = id
                .split_once('!')
                .map_or((id, None), |(user, token)| (user, Some(token.to_owned())));
            Identity {
                user: user.to_owned(),
                token,
            }
        },
    );
    let rights = Rights::new(world, call.options.release, &asked);
    let held = match call.param("path") {
        Some(path) => [(path.to_owned(), rights.on(path))].into_iter().collect(),
        None => rights.map(),
    };
    let map = held.into_iter().map(|(path, privileges)| {
        let privileges: Map<String, Value> = privileges.into_iter().map(|name| (name.to_owned(), 1.into())).collect();
        (path, Value::Object(privileges))
    });
    Ok(Value::Object(map.collect()).into())
}

/// Everybody sees itself; all users need a right.
fn users(call: &Call<'_>, world: &World) -> Answer {
    let sees_all = call.has(world, "/access/groups", "Sys.Audit") || call.has(world, "/access/groups", "User.Modify");
    let own = call
        .identity
        .as_ref()
        .map(|identity| identity.user.as_str())
        .unwrap_or_default();
    let visible = world.access.users.iter().filter(|user| sees_all || user.id == own);
    let rows = visible
        .filter(|user| call.flag("enabled").is_none_or(|wanted| wanted == user.enabled))
        .map(|user| {
            let realm = user.id.rsplit('@').next().unwrap_or_default();
            json!({
                "userid": user.id, "enable": u8::from(user.enabled), "expire": 0, "realm-type": realm,
                "tokens": [], "comment": user.comment.as_deref().unwrap_or_default(),
            })
        });
    Ok(rows.collect::<Value>().into())
}

fn index(_: &Call<'_>, _: &World) -> Answer {
    directory(
        &["acl", "domains", "groups", "permissions", "roles", "ticket", "users"],
        "subdir",
    )
}

fn tokens(call: &Call<'_>, world: &World) -> Answer {
    let user = call.variable("userid");
    if call.identity.as_ref().is_none_or(|own| own.user != user) && !call.has(world, "/access/users", "User.Modify") {
        return Err(Refusal::permission("/access/users", "User.Modify"));
    }
    let own = world.access.tokens.iter().filter(|token| token.user == user);
    Ok(own
        .map(|token| json!({"tokenid": token.name, "privsep": u8::from(token.separated), "expire": token.expire}))
        .collect::<Value>()
        .into())
}

/// Gives a token another secret where that was asked for; `answer` tells it.
pub(super) fn renew_token(call: &Call<'_>, world: &mut World, answer: &mut Value) {
    let named = (call.find_variable("userid"), call.find_variable("tokenid"));
    let mut tokens = world.access.tokens.iter_mut();
    let token = tokens.find(|token| (Some(token.user.as_str()), Some(token.name.as_str())) == named);
    if let (Some(true), Some(token), Some(answer)) = (call.flag("regenerate"), token, answer.as_object_mut()) {
        token.secret = format!("00000000-0000-4000-8000-{:012x}", call.turn);
        answer.insert(
            "full-tokenid".to_owned(),
            format!("{}!{}", token.user, token.name).into(),
        );
        answer.insert("value".to_owned(), token.secret.as_str().into());
    }
}

fn roles(call: &Call<'_>, world: &World) -> Answer {
    let row = |name: &str, special: u8| {
        let privileges: Vec<&str> = acl::role(name, call.options.release, &world.access)
            .into_iter()
            .collect();
        json!({"roleid": name, "privs": privileges.join(","), "special": special})
    };
    let own = world.access.roles.iter().map(|(name, _)| row(name, 0));
    Ok(ROLES
        .iter()
        .map(|name| row(name, 1))
        .chain(own)
        .collect::<Value>()
        .into())
}

fn acl_entries(call: &Call<'_>, world: &World) -> Answer {
    let visible = world
        .access
        .acl
        .iter()
        .filter(|_| call.has(world, "/access", "Permissions.Modify"));
    Ok(visible
        .map(|entry| {
            json!({
                "path": entry.path, "type": entry.subject.as_str(), "ugid": entry.ugid, "roleid": entry.role,
                "propagate": u8::from(entry.propagate),
            })
        })
        .collect::<Value>()
        .into())
}
