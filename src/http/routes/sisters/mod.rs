//! `/pbs/*` and `/pdm/*`: backup servers and datacenter managers. Their tokens go in and never come out, and nothing is
//! ever changed on them.

mod change;
mod clusters;
mod counts;
mod status;

use axum::extract::State;
use axum::{Extension, Json};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::change::Change;
use crate::http::error::ApiError;
use crate::http::extract::{self, Path, Query};
use crate::http::page::Page;
use crate::http::{AppState, ErrorBody};
use crate::store::{Sister, SisterEndpoint, SisterSettings};

/// What is served here, in the order of the OpenAPI document: the same for both products.
pub(super) fn routes() -> OpenApiRouter<AppState> {
    let of = |sister: Sister, status: OpenApiRouter<AppState>| {
        OpenApiRouter::new()
            .routes(routes!(list, create))
            .routes(routes!(get, update, delete))
            .routes(routes!(counts::counts))
            .merge(status)
            .layer(Extension(sister))
    };
    OpenApiRouter::new()
        .nest("/pbs", of(Sister::BackupServer, status::of_backup_servers()))
        .nest("/pdm", of(Sister::DatacenterManager, status::of_datacenter_managers()))
}

/// An endpoint as it is answered.
#[derive(Debug, Serialize)]
struct Row {
    id: i64,
    #[serde(flatten)]
    settings: SisterSettings,
}

impl From<SisterEndpoint> for Row {
    fn from(endpoint: SisterEndpoint) -> Self {
        Self {
            id: endpoint.id,
            settings: endpoint.settings,
        }
    }
}

/// Every stored endpoint of the product.
#[utoipa::path(
    get, path = "/endpoints", tag = "sisters", params(Page),
    responses((status = 200, body = Vec<Value>)),
)]
async fn list(
    State(state): State<AppState>,
    Extension(sister): Extension<Sister>,
    Query(page): Query<Page>,
) -> Result<Json<Vec<Row>>, ApiError> {
    let rows = state.store.list_sister_endpoints(sister).await?;
    Ok(Json(page.of(rows).map(Row::from).collect()))
}

/// One endpoint.
#[utoipa::path(
    get, path = "/endpoints/{endpoint_id}", tag = "sisters", params(("endpoint_id" = i64, Path)),
    responses((status = 200, body = Value), (status = 404, body = ErrorBody)),
)]
async fn get(
    State(state): State<AppState>,
    Extension(sister): Extension<Sister>,
    Path(id): Path<i64>,
) -> Result<Json<Row>, ApiError> {
    Ok(Json(state.store.get_sister_endpoint(sister, id).await?.into()))
}

/// Stores an endpoint.
#[utoipa::path(
    post, path = "/endpoints", tag = "sisters", request_body = Change,
    responses((status = 200, body = Value), (status = 400, body = ErrorBody), (status = 422, body = ErrorBody)),
)]
async fn create(
    State(state): State<AppState>,
    Extension(sister): Extension<Sister>,
    extract::Json(change): extract::Json<Change>,
) -> Result<Json<Row>, ApiError> {
    let draft = change.into_draft(sister)?;
    let row = state.store.create_sister_endpoint(sister, &draft).await?;
    tracing::info!(
        endpoint.id = row.id,
        product = sister.product().as_str(),
        "endpoint stored"
    );
    Ok(Json(row.into()))
}

/// Changes the members that are given.
#[utoipa::path(
    put, path = "/endpoints/{endpoint_id}", tag = "sisters", params(("endpoint_id" = i64, Path)),
    request_body = Change,
    responses(
        (status = 200, body = Value), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody),
        (status = 422, body = ErrorBody)
    ),
)]
async fn update(
    State(state): State<AppState>,
    Extension(sister): Extension<Sister>,
    Path(id): Path<i64>,
    extract::Json(change): extract::Json<Change>,
) -> Result<Json<Row>, ApiError> {
    let merge = |draft: &mut _| change.merge(draft);
    let row = state.store.update_sister_endpoint(sister, id, merge).await?;
    state.sisters.forget(sister, id);
    tracing::info!(
        endpoint.id = id,
        product = sister.product().as_str(),
        "endpoint changed"
    );
    Ok(Json(row.into()))
}

/// Deletes an endpoint.
#[utoipa::path(
    delete, path = "/endpoints/{endpoint_id}", tag = "sisters", params(("endpoint_id" = i64, Path)),
    responses((status = 200, body = Value), (status = 404, body = ErrorBody)),
)]
async fn delete(
    State(state): State<AppState>,
    Extension(sister): Extension<Sister>,
    Path(id): Path<i64>,
) -> Result<Json<Value>, ApiError> {
    state.store.delete_sister_endpoint(sister, id).await?;
    state.sisters.forget(sister, id);
    let product = sister.product().as_str();
    tracing::info!(endpoint.id = id, product, "endpoint deleted");
    Ok(Json(json!({"message": format!("{product} endpoint deleted.")})))
}
