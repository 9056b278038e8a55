//! The OpenAPI document, generated from the handlers, and what its parts share.

use axum::body::Bytes;
use serde::Serialize;
use serde_json::Value;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, SecurityScheme};
use utoipa::openapi::{Components, Info, OpenApi, OpenApiBuilder, SecurityRequirement};
use utoipa::{PartialSchema, ToSchema};

use super::auth::KEY_HEADER;

const SCHEME: &str = "api_key";

/// The body of most errors.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorBody {
    /// What went wrong, in short; some errors have only `detail`.
    pub message: Option<String>,
    /// What went wrong, in full: a text or an object with a machine-readable `reason`.
    pub detail: Value,
    /// Always null, unless causes are shown.
    pub python_exception: Option<String>,
}

/// The document without paths.
pub(super) fn base() -> OpenApi {
    let mut info = Info::new("Proxbox Backend", env!("CARGO_PKG_VERSION"));
    info.description = Some(env!("CARGO_PKG_DESCRIPTION").to_owned());
    let mut components = Components::new();
    components
        .schemas
        .insert(ErrorBody::name().into_owned(), ErrorBody::schema());
    components.add_security_scheme(
        SCHEME,
        SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new(KEY_HEADER))),
    );
    OpenApiBuilder::new()
        .info(info)
        .components(Some(components))
        .security(Some([SecurityRequirement::new::<_, [&str; 0], &str>(SCHEME, [])]))
        .build()
}

/// The document as it is served.
pub(super) fn render(document: &OpenApi) -> Bytes {
    // Its parts are all plain JSON.
    Bytes::from(serde_json::to_vec(document).unwrap_or_default())
}
