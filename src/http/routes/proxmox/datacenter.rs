//! `/proxmox/datacenter/*` and `/proxmox/access/*`: settings of a whole cluster.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use serde_json::{Value, json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::fields::{Field, Row, failed, flag, good, none_where_absent, of_cluster, pairs, rows, shaped, text, whole};
use crate::http::AppState;
use crate::http::answers::Answers;
use crate::http::error::ApiError;
use crate::http::extract::Path;
use crate::http::scope::Scope;
use crate::http::single::Single;
use crate::http::targets::{Target, select};
use crate::proxmox::{Error, Session, wire};

const CPU_MODELS: &str = "cluster/qemu/custom-cpu-models";
const OPTIONS: &[Field] = &[
    text("keyboard"),
    text("language"),
    text("email_from"),
    whole("max_workers"),
    flag("migration_unsecure"),
    pairs("next_id").from(&["next-id"]),
    pairs("notify"),
    pairs("crs"),
    text("location"),
];
/// A token; its value is told once, when it is made.
const TOKEN: &[Field] = &[text("comment"), flag("privsep"), whole("expire")];

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(cpu_models))
        .routes(routes!(cpu_model))
        .routes(routes!(options))
        .routes(routes!(token))
}

/// The processor models that operators have defined. A release without them has none.
#[utoipa::path(
    get, path = "/proxmox/datacenter/cpu-models", tag = "proxmox", params(Scope),
    responses((status = 200, body = Vec<Value>)),
)]
async fn cpu_models(State(state): State<AppState>, scope: Scope) -> Result<Response, ApiError> {
    let answers = Answers::read(select(&state, &scope.filter).await?, read_models).await?;
    Ok(answers.respond_list())
}

async fn read_models(target: Target, session: Session) -> Result<Vec<Value>, Error> {
    let models = none_where_absent(rows(session.path(CPU_MODELS)?).await)?;
    if models.is_empty() {
        return Ok(Vec::new());
    }
    let cluster = target.name().await?;
    Ok(models.iter().map(|row| cpu_model_row(row, &cluster)).collect())
}

/// A custom CPU model. Texts that Proxmox does not give are empty: the plugin stores them and refuses null.
fn cpu_model_row(row: &Row, cluster: &str) -> Value {
    let known = |key: &str| row.get(key).and_then(|value| wire::text_of(value).ok().flatten());
    let text = |keys: &[&str]| keys.iter().find_map(|key| known(key)).unwrap_or_default();
    let level: Option<i64> = row.get("level").and_then(|value| wire::number_of(value).ok().flatten());
    json!({
        "cluster_name": cluster,
        "cputype": text(&["cputype"]),
        "base_cputype": text(&["base-cputype", "reported-model"]),
        "flags": text(&["flags"]),
        "vendor_id": text(&["vendor-id", "hv-vendor-id"]),
        "level": level,
        "description": text(&["description"]),
        "status": "ok",
        "error": null,
    })
}

/// One processor model that an operator has defined; null where there is none of this name.
#[utoipa::path(
    get, path = "/proxmox/datacenter/cpu-models/{cputype}", tag = "proxmox",
    params(Scope, ("cputype" = String, Path), ("cluster_name" = Option<String>, Query)),
    responses((status = 200, body = Option<Value>)),
)]
async fn cpu_model(
    State(state): State<AppState>,
    Path(cputype): Path<String>,
    scope: Scope,
) -> Result<Json<Option<Value>>, ApiError> {
    let single = Single::choose(select(&state, &scope.filter).await?, &scope, "CPU model").await?;
    let (cluster, models) = single
        .read(|session| async move { none_where_absent(rows(session.path(CPU_MODELS)?).await) })
        .await?;
    let plain = |name: &str| name.strip_prefix("custom-").unwrap_or(name).to_owned();
    let is_wanted = |row: &&Row| {
        let own = row.get("cputype").and_then(Value::as_str);
        own.is_some_and(|own| plain(own) == plain(&cputype))
    };
    Ok(Json(
        models.iter().find(is_wanted).map(|row| cpu_model_row(row, &cluster)),
    ))
}

/// The options of each selected endpoint's cluster.
#[utoipa::path(
    get, path = "/proxmox/datacenter/options", tag = "proxmox", params(Scope),
    responses((status = 200, body = Vec<Value>)),
)]
async fn options(State(state): State<AppState>, scope: Scope) -> Result<Response, ApiError> {
    let read = |target: Target, session: Session| async move {
        let (name, options) = target.named(session.cluster().options().get_as::<Row>()).await?;
        Ok(vec![good(of_cluster(&name, shaped(&options, OPTIONS)))])
    };
    let answers = Answers::read(select(&state, &scope.filter).await?, read).await?;
    Ok(answers.respond_rows(|cluster, error| failed(cluster, OPTIONS, error)))
}

/// An API token of a user, without its value; null where there is none.
#[utoipa::path(
    get, path = "/proxmox/access/tokens/{userid}/{tokenid}", tag = "proxmox",
    params(Scope, ("userid" = String, Path), ("tokenid" = String, Path), ("cluster_name" = Option<String>, Query)),
    responses((status = 200, body = Option<Value>)),
)]
async fn token(
    State(state): State<AppState>,
    Path((userid, tokenid)): Path<(String, String)>,
    scope: Scope,
) -> Result<Json<Option<Value>>, ApiError> {
    let single = Single::choose(select(&state, &scope.filter).await?, &scope, "token").await?;
    let tokens = single.read(|session| {
        let place = session.access().users().child(&userid).child("token");
        async move { rows(place).await }
    });
    let (cluster, tokens) = tokens.await?;
    let found = tokens
        .iter()
        .find(|token| token.get("tokenid").and_then(Value::as_str) == Some(&tokenid));
    let row = |token: &Row| {
        let ids = [("userid", userid.as_str()), ("tokenid", tokenid.as_str())];
        let mut row: Row = ids
            .map(|(key, id)| (key.to_owned(), Value::from(id)))
            .into_iter()
            .collect();
        row.extend(shaped(token, TOKEN));
        row.insert("value".to_owned(), Value::Null);
        good(of_cluster(&cluster, row))
    };
    Ok(Json(found.map(row)))
}
