//! The OpenAPI document, generated from the handlers, and what its parts share.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use utoipa::openapi::path::Parameter;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, SecurityScheme};
use utoipa::openapi::{Components, ExternalDocs, Info, OpenApi, OpenApiBuilder, Ref, RefOr, SecurityRequirement};
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
        .external_docs(Some(proxied()))
        .security(Some([SecurityRequirement::new::<_, [&str; 0], &str>(SCHEME, [])]))
        .build()
}

/// Where the API of Proxmox itself, as it is served here, is described.
fn proxied() -> ExternalDocs {
    let mut docs = ExternalDocs::new("/proxmox/viewer/openapi");
    docs.description = Some(
        "The whole API of Proxmox is served below /proxmox/api2. Each release has a document of its own: \
         /proxmox/api2/8.3/openapi.json, /proxmox/api2/9.1/openapi.json and /proxmox/api2/9.2/openapi.json."
            .to_owned(),
    );
    docs
}

/// Names the parameters that several operations take, so that each is told once.
pub(super) fn share_parameters(document: &mut OpenApi) {
    let mut shared: BTreeMap<String, (Parameter, usize)> = BTreeMap::new();
    for parameter in parameters(document) {
        if let RefOr::T(parameter) = parameter {
            let first = || (parameter.clone(), 0);
            let (first, count) = shared.entry(parameter.name.clone()).or_insert_with(first);
            *count += usize::from(first == parameter);
        }
    }
    shared.retain(|_, (_, count)| *count > 1);
    for parameter in parameters(document) {
        let name = match &*parameter {
            RefOr::T(own) if shared.get(&own.name).is_some_and(|(first, _)| first == own) => &own.name,
            RefOr::T(_) | RefOr::Ref(_) => continue,
        };
        *parameter = RefOr::Ref(Ref::new(format!("#/components/parameters/{name}")));
    }
    let components = document.components.get_or_insert_default();
    let shared = shared.into_iter();
    components.parameters = shared.map(|(name, (first, _))| (name, RefOr::T(first))).collect();
}

fn parameters(document: &mut OpenApi) -> impl Iterator<Item = &mut RefOr<Parameter>> {
    let items = document.paths.paths.values_mut();
    let operations = items.flat_map(|item| {
        let methods = [
            &mut item.get,
            &mut item.post,
            &mut item.put,
            &mut item.patch,
            &mut item.delete,
        ];
        methods.into_iter().flatten()
    });
    operations
        .filter_map(|operation| operation.parameters.as_mut())
        .flatten()
}
