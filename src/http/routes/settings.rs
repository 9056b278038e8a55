//! `/admin/settings`: what holds, where it comes from, and what of the plugin's page is ignored.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::config::Overrides;
use crate::http::AppState;
use crate::netbox::PluginSettings;

/// What is served here, in the order of the OpenAPI document.
pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(settings))
}

/// The settings in force.
#[derive(Debug, Serialize, ToSchema)]
struct Shown {
    /// Whether the plugin's page has been read from the NetBox that is configured now.
    page_is_read: bool,
    /// Whether NetBox refused to show it.
    page_is_denied: bool,
    /// Every setting that the plugin's page or the environment may set, and that has an effect.
    settings: Vec<Setting>,
    /// Values of the plugin's page that cannot be used. The values are not repeated.
    ignored: Vec<Ignored>,
}

/// A setting in force.
#[derive(Debug, Serialize, ToSchema)]
struct Setting {
    /// Its name on the plugin's page.
    name: &'static str,
    /// The variable of the environment that wins over the page, where there is one.
    variable: Option<&'static str>,
    /// Its value; null: what holds then, the README tells. Times are seconds.
    value: Value,
    /// `environment`, `plugin` or `default`.
    origin: &'static str,
}

/// A value of the plugin's page that cannot be used.
#[derive(Debug, Serialize, ToSchema)]
struct Ignored {
    /// The setting's name.
    name: &'static str,
    /// What would be accepted.
    problem: String,
}

/// The settings in force: the environment wins over the plugin's page, and that over the defaults.
#[utoipa::path(get, path = "/admin/settings", tag = "admin", responses((status = 200, body = Shown)))]
async fn settings(State(state): State<AppState>) -> Json<Shown> {
    let page = state.settings.effective();
    let ignored = page.invalid.iter().map(|setting| Ignored {
        name: setting.key,
        problem: setting.problem.clone(),
    });
    Json(Shown {
        page_is_read: state.settings.is_read(),
        page_is_denied: state.settings.is_denied(),
        settings: in_force(&page, state.settings.overrides()),
        ignored: ignored.collect(),
    })
}

/// Every setting with an effect. `page` holds what the environment has set already.
#[rustfmt::skip]
fn in_force(page: &PluginSettings, environment: &Overrides) -> Vec<Setting> {
    let (netbox, proxmox, sync, env) = (&page.netbox, &page.proxmox, &page.sync, environment);
    let both = [
        ("netbox_timeout", "PROXBOX_NETBOX_TIMEOUT", seconds(netbox.timeout), env.netbox_timeout.is_some()),
        ("netbox_max_concurrent", "PROXBOX_NETBOX_MAX_CONCURRENT", json!(netbox.max_concurrent), env.netbox_max_concurrent.is_some()),
        ("netbox_write_concurrency", "PROXBOX_NETBOX_WRITE_CONCURRENCY", json!(netbox.write_concurrency), env.netbox_write_concurrency.is_some()),
        ("netbox_max_retries", "PROXBOX_NETBOX_MAX_RETRIES", json!(netbox.max_retries), env.netbox_max_retries.is_some()),
        ("netbox_retry_delay", "PROXBOX_NETBOX_RETRY_DELAY", seconds(netbox.retry_delay), env.netbox_retry_delay.is_some()),
        ("proxmox_timeout", "PROXMOX_API_TIMEOUT", seconds(proxmox.timeout), env.proxmox_timeout.is_some()),
        ("proxmox_max_retries", "PROXMOX_API_RETRIES", json!(proxmox.max_retries), env.proxmox_max_retries.is_some()),
        ("proxmox_retry_backoff", "PROXMOX_API_RETRY_BACKOFF", seconds(proxmox.retry_backoff), env.proxmox_retry_backoff.is_some()),
        ("proxmox_fetch_concurrency", "PROXBOX_PROXMOX_FETCH_CONCURRENCY", json!(proxmox.fetch_concurrency), env.proxmox_fetch_concurrency.is_some()),
        ("delete_orphans", "PROXBOX_DELETE_ORPHANS", json!(sync.delete_orphans), env.delete_orphans.is_some()),
        ("node_device_name_template", "PROXBOX_NODE_DEVICE_NAME_TEMPLATE", json!(sync.node_device_name_template), env.node_device_name_template.is_some()),
        ("expose_internal_errors", "PROXBOX_EXPOSE_INTERNAL_ERRORS", json!(page.expose_internal_errors), env.expose_internal_errors.is_some()),
    ];
    let of_page = [
        ("use_guest_agent_interface_name", json!(sync.use_guest_agent_interface_name)),
        ("ignore_ipv6_link_local_addresses", json!(sync.ignore_ipv6_link_local_addresses)),
        ("primary_ip_preference", json!(sync.primary_ip_preference)),
        ("hardware_discovery_enabled", json!(sync.hardware_discovery)),
    ];
    let both = both.map(|(name, variable, value, is_set)| setting(name, Some(variable), value, is_set));
    let of_page = of_page.map(|(name, value)| setting(name, None, value, false));
    both.into_iter().chain(of_page).collect()
}

fn setting(name: &'static str, variable: Option<&'static str>, value: Value, is_of_environment: bool) -> Setting {
    let origin = match (is_of_environment, value.is_null()) {
        (true, _) => "environment",
        (false, false) => "plugin",
        (false, true) => "default",
    };
    Setting {
        name,
        variable,
        value,
        origin,
    }
}

fn seconds(time: Option<Duration>) -> Value {
    time.map_or(Value::Null, |time| json!(time.as_secs_f64()))
}
