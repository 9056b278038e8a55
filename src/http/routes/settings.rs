//! `/admin/settings`: what holds, where it comes from, and what of the plugin's page is ignored.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::config::{self, Overrides, VARIABLES};
use crate::http::AppState;
use crate::netbox::PluginSettings;
use crate::netbox::settings::SyncChoices;
use crate::sync::SyncRequest;

/// Which addresses come first where neither the page nor a request says.
const PRIMARY: &str = "ipv4";

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
    /// Every setting with an effect on runs that the plugin's page or the environment may set.
    settings: Vec<Setting>,
    /// Values of the plugin's page that cannot be used. The values are not repeated.
    ignored: Vec<Ignored>,
    /// Names of settings that are not read of the plugin's page: it sends some with each request, the others have no effect.
    not_read: Vec<String>,
}

/// A setting in force.
#[derive(Debug, Serialize, ToSchema)]
struct Setting {
    /// Its name on the plugin's page, or how it would be called there.
    name: &'static str,
    /// The variable of the environment that sets it, and wins over the page; null: the page alone does.
    variable: Option<&'static str>,
    /// Its value, whoever has set it; times are seconds. Null: there is no limit.
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
    let mut settings = of_both(&page, state.settings.overrides());
    settings.extend(of_page(&page.sync));
    settings.extend(of_environment(&state.config.sync));
    Json(Shown {
        page_is_read: state.settings.is_read(),
        page_is_denied: state.settings.is_denied(),
        settings,
        ignored: ignored.collect(),
        not_read: page.unused.clone(),
    })
}

/// What the page and the environment may set. `page` holds what the environment has set already.
#[rustfmt::skip]
fn of_both(page: &PluginSettings, environment: &Overrides) -> Vec<Setting> {
    let (netbox, proxmox, sync, env) = (&page.netbox, &page.proxmox, &page.sync, environment);
    let settings = [
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
    let setting = |(name, variable, value, is_of_environment): (&'static str, &'static str, Value, bool)| {
        let is_set = !value.is_null();
        Setting {
            name,
            variable: Some(variable),
            value: if is_set { value } else { default_of(variable) },
            origin: match (is_of_environment, is_set) {
                (true, _) => "environment",
                (false, true) => "plugin",
                (false, false) => "default",
            },
        }
    };
    settings.map(setting).into()
}

/// What the page alone may set, and requests where it does not.
fn of_page(page: &SyncChoices) -> [Setting; 4] {
    let of_page = |name, value: Option<Value>, default: Value| Setting {
        name,
        variable: None,
        origin: if value.is_some() { "plugin" } else { "default" },
        value: value.unwrap_or(default),
    };
    let flag = |value: Option<bool>| value.map(Value::Bool);
    let guests = SyncRequest::default().options.guests;
    [
        of_page(
            "use_guest_agent_interface_name",
            flag(page.use_guest_agent_interface_name),
            json!(guests.use_agent_names),
        ),
        of_page(
            "ignore_ipv6_link_local_addresses",
            flag(page.ignore_ipv6_link_local_addresses),
            json!(guests.ignore_link_local),
        ),
        of_page(
            "primary_ip_preference",
            page.primary_ip_preference.clone().map(Value::String),
            json!(PRIMARY),
        ),
        of_page(
            "hardware_discovery_enabled",
            flag(page.hardware_discovery),
            json!(false),
        ),
    ]
}

/// What the environment alone may set. What it sets to the default is told as that.
fn of_environment(config: &config::Sync) -> [Setting; 6] {
    let of_environment = |name, variable, value: Value| Setting {
        name,
        variable: Some(variable),
        origin: if is_same(&value, &default_of(variable)) {
            "default"
        } else {
            "environment"
        },
        value,
    };
    let seconds = |time: Duration| json!(time.as_secs_f64());
    [
        of_environment(
            "shrink_limit_percent",
            "PROXBOX_SHRINK_LIMIT_PERCENT",
            json!(config.shrink_percent),
        ),
        of_environment(
            "shrink_limit_rows",
            "PROXBOX_SHRINK_LIMIT_ROWS",
            json!(config.shrink_rows),
        ),
        of_environment(
            "sync_stamp_interval",
            "PROXBOX_SYNC_STAMP_INTERVAL",
            seconds(config.stamp_interval),
        ),
        of_environment("inventory_ttl", "PROXBOX_INVENTORY_TTL", seconds(config.inventory_ttl)),
        of_environment(
            "guest_agent_timeout",
            "PROXBOX_GUEST_AGENT_TIMEOUT",
            seconds(config.agent_timeout),
        ),
        of_environment("sync_vm_links", "PROXBOX_SYNC_VM_LINKS", json!(config.links)),
    ]
}

/// The default of a variable; null where it has none.
fn default_of(variable: &str) -> Value {
    let default = VARIABLES.iter().find(|known| known.name == variable);
    let default = default.map(|known| known.default).filter(|text| !text.is_empty());
    default.map_or(Value::Null, |text| {
        serde_json::from_str(text).unwrap_or_else(|_| json!(text))
    })
}

/// Whether two values are one number, or one switch, which the environment may call 0 or 1.
fn is_same(one: &Value, other: &Value) -> bool {
    let number = |value: &Value| {
        value
            .as_f64()
            .or_else(|| value.as_bool().map(|flag| f64::from(u8::from(flag))))
    };
    number(one).is_some_and(|one| number(other).is_some_and(|other| (one - other).abs() < f64::EPSILON))
}

fn seconds(time: Option<Duration>) -> Value {
    time.map_or(Value::Null, |time| json!(time.as_secs_f64()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netbox::{Endpoint, Token};
    use crate::stages::Family;

    #[test]
    fn defaults_are_those_that_hold() {
        let page = PluginSettings::default();
        let told = of_both(&page, &Overrides::default());
        let value = |name: &str| {
            let found = told.iter().find(|setting| setting.name == name).unwrap();
            assert_eq!(found.origin, "default", "{name}");
            found.value.as_f64()
        };
        let netbox = Endpoint::new("n", "h", 443, Token::V1("t".into()));
        assert_eq!(value("netbox_timeout"), Some(netbox.timeout.as_secs_f64()));
        assert_eq!(value("netbox_retry_delay"), Some(netbox.retry_delay.as_secs_f64()));
        assert_eq!(value("netbox_max_retries"), Some(f64::from(netbox.max_retries)));
        assert_eq!(value("netbox_write_concurrency"), Some(4.0));
        assert_eq!((netbox.limits.write, netbox.limits.total), (4, None));
        assert_eq!(value("netbox_max_concurrent"), None);
        let told: Vec<_> = told.iter().filter(|setting| setting.value.is_null()).collect();
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!(
            (SyncRequest::default().options.guests.primary_family, PRIMARY),
            (Family::V4, "ipv4")
        );
    }
}
