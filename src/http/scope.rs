//! The query parameters that select Proxmox endpoints and a NetBox.

use std::collections::BTreeMap;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::{ObjectBuilder, Type};

use super::error::ApiError;
use super::extract::Query;
use crate::sync::EndpointFilter;

/// The parameters, each with what it does.
const PARAMETERS: &[(&str, &str)] = &[
    (
        "source",
        "Where endpoints are defined: `database` (the default) or `netbox`.",
    ),
    (
        "proxmox_endpoint_ids",
        "Only these endpoints: numbers of the source, parted by commas.",
    ),
    ("endpoint_ids", "An older name of `proxmox_endpoint_ids`."),
    ("ip_address", "The first endpoint with this address."),
    ("domain", "The first endpoint with this domain."),
    ("name", "The first endpoint with this name."),
];

/// Which endpoints a request is about.
#[derive(Debug, Clone)]
pub(super) struct Scope {
    /// Which endpoints.
    pub(super) filter: EndpointFilter,
    /// All parameters.
    pub(super) query: BTreeMap<String, String>,
}

impl<S: Send + Sync> FromRequestParts<S> for Scope {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Query(query) = Query::<BTreeMap<String, String>>::from_request_parts(parts, state).await?;
        Ok(Self {
            filter: EndpointFilter::parse(&query)?,
            query,
        })
    }
}

impl IntoParams for Scope {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        PARAMETERS
            .iter()
            .map(|(name, description)| text_parameter(name, description))
            .collect()
    }
}

/// Which NetBox a request is about.
#[derive(Debug, Clone, Copy, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct WhichNetBox {
    /// Its number; the first enabled one where it is absent.
    pub(super) netbox_id: Option<i64>,
}

/// An optional text in the query.
pub(super) fn text_parameter(name: &str, description: &str) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Query)
        .description(Some(description))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .build()
}
