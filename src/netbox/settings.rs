//! The plugin's settings page, as far as this service reads it: the settings that have an effect.
//!
//! Every value is optional: an absent, null or invalid one leaves the choice to the environment and the defaults. What
//! could not be used is listed in [`PluginSettings::invalid`], so that an operator sees why a setting has no effect.

mod reader;

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Map, Value};

use super::client::Client;
use super::error::Error;
use super::query::Query;
use super::transport::{Call, Class};
use reader::Reader;

const RUNTIME: &str = "/api/plugins/proxbox/settings/runtime/";
const PLAIN: &str = "/api/plugins/proxbox/settings/";

/// What the plugin's settings say. Its `encryption_key` is none of them: secrets are sealed with a key of this service.
#[derive(Debug, Clone, Default)]
pub struct PluginSettings {
    /// How NetBox is asked.
    pub netbox: NetBoxTuning,
    /// How Proxmox is asked, where the endpoint row says nothing.
    pub proxmox: ProxmoxTuning,
    /// What a run does.
    pub sync: SyncChoices,
    /// `expose_internal_errors`: whether answers may tell causes.
    pub expose_internal_errors: Option<bool>,
    /// Keys with a value that cannot be used, and why.
    pub invalid: Vec<InvalidSetting>,
    /// Keys that nobody here asks for.
    pub unused: Vec<String>,
}

/// A setting that is ignored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidSetting {
    /// The plugin's name of the setting.
    pub key: &'static str,
    /// What would be accepted. The value itself is not repeated.
    pub problem: String,
}

/// How NetBox is asked.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NetBoxTuning {
    /// `netbox_timeout`, of one request, answer included.
    pub timeout: Option<Duration>,
    /// `netbox_max_concurrent`: simultaneous requests. The page says 1 where nobody has touched it, which is no wish.
    pub max_concurrent: Option<usize>,
    /// `netbox_max_retries`.
    pub max_retries: Option<u32>,
    /// `netbox_retry_delay`.
    pub retry_delay: Option<Duration>,
    /// `netbox_write_concurrency`: simultaneous writes. The page says 8 where nobody has touched it, which is no wish.
    pub write_concurrency: Option<usize>,
}

/// How Proxmox is asked.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ProxmoxTuning {
    /// `proxmox_timeout`.
    pub timeout: Option<Duration>,
    /// `proxmox_max_retries`.
    pub max_retries: Option<u32>,
    /// `proxmox_retry_backoff`.
    pub retry_backoff: Option<Duration>,
    /// `proxmox_fetch_concurrency`: requests that a stage makes side by side. The page says 8 where nobody has touched it,
    /// which is no wish.
    pub fetch_concurrency: Option<usize>,
}

/// What a run does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SyncChoices {
    /// `delete_orphans`: whether a full run sweeps what Proxmox no longer has.
    pub delete_orphans: Option<bool>,
    /// `node_device_name_template`, with `{node}` in it.
    pub node_device_name_template: Option<String>,
    /// `use_guest_agent_interface_name`; a query parameter wins.
    pub use_guest_agent_interface_name: Option<bool>,
    /// `ignore_ipv6_link_local_addresses`; a query parameter wins.
    pub ignore_ipv6_link_local_addresses: Option<bool>,
    /// `primary_ip_preference`: `ipv4` or `ipv6`; a query parameter wins.
    pub primary_ip_preference: Option<String>,
    /// `hardware_discovery_enabled`.
    pub hardware_discovery: Option<bool>,
}

/// The plugin's settings: its route for this service, or, only where a plugin does not have that route (404), the
/// settings collection. Either may answer an object, a list, or a page; an empty list means nothing is set.
///
/// # Errors
///
/// Any failure of the request; [`Error::PermissionDenied`] where the token lacks the settings permission.
pub async fn fetch_settings(client: &Client) -> Result<PluginSettings, Error> {
    let answer = match read(client, RUNTIME).await {
        Err(Error::NotFound { .. } | Error::NoRoute { .. }) => read(client, PLAIN).await,
        other => other,
    };
    answer.map(|answer| PluginSettings::from_answer(&answer))
}

async fn read(client: &Client, path: &str) -> Result<Value, Error> {
    let call = Call::get(path, Query::new().encoded(&[]), Class::Probe);
    client.call(call.clone()).await?.decode(&call)
}

impl PluginSettings {
    /// Reads an answer of the settings routes.
    pub fn from_answer(answer: &Value) -> Self {
        let rows = answer.get("results").unwrap_or(answer);
        let row = rows.as_array().map_or(Some(rows), |rows| rows.first());
        let empty = Map::new();
        let mut reader = Reader {
            row: row.and_then(Value::as_object).unwrap_or(&empty),
            invalid: Vec::new(),
            asked: BTreeSet::new(),
        };
        let settings = Self {
            netbox: netbox(&mut reader),
            proxmox: proxmox(&mut reader),
            sync: sync(&mut reader),
            expose_internal_errors: reader.flag("expose_internal_errors"),
            invalid: Vec::new(),
            unused: Vec::new(),
        };
        Self {
            unused: reader.unused(),
            invalid: reader.invalid,
            ..settings
        }
    }
}

fn netbox(reader: &mut Reader<'_>) -> NetBoxTuning {
    NetBoxTuning {
        timeout: reader.whole_seconds("netbox_timeout"),
        max_concurrent: reader.count("netbox_max_concurrent").filter(|count| *count > 1),
        max_retries: reader.retries("netbox_max_retries"),
        retry_delay: reader.seconds("netbox_retry_delay", 0.0..=86_400.0),
        write_concurrency: reader.count("netbox_write_concurrency").filter(|count| *count != 8),
    }
}

fn proxmox(reader: &mut Reader<'_>) -> ProxmoxTuning {
    ProxmoxTuning {
        timeout: reader.whole_seconds("proxmox_timeout"),
        max_retries: reader.retries("proxmox_max_retries"),
        retry_backoff: reader.seconds("proxmox_retry_backoff", 0.0..=86_400.0),
        fetch_concurrency: reader.count("proxmox_fetch_concurrency").filter(|count| *count != 8),
    }
}

fn sync(reader: &mut Reader<'_>) -> SyncChoices {
    SyncChoices {
        delete_orphans: reader.flag("delete_orphans"),
        node_device_name_template: reader.text("node_device_name_template"),
        use_guest_agent_interface_name: reader.flag("use_guest_agent_interface_name"),
        ignore_ipv6_link_local_addresses: reader.flag("ignore_ipv6_link_local_addresses"),
        primary_ip_preference: reader.choice("primary_ip_preference", &["ipv4", "ipv6"]),
        hardware_discovery: reader.flag("hardware_discovery_enabled"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn untouched_limit_of_the_page_is_no_limit() {
        let limit = |count: u64| {
            let page = json!({"netbox_max_concurrent": count});
            PluginSettings::from_answer(&page).netbox.max_concurrent
        };
        assert_eq!((limit(1), limit(2)), (None, Some(2)));
        let limit = |count: u64| {
            let page = json!({"netbox_write_concurrency": count});
            PluginSettings::from_answer(&page).netbox.write_concurrency
        };
        assert_eq!((limit(8), limit(7), limit(9)), (None, Some(7), Some(9)));
    }

    #[test]
    fn settings_are_read_from_object_list_and_page() {
        let row = json!({"netbox_timeout": 30, "netbox_retry_delay": 0, "primary_ip_preference": "IPv6"});
        for answer in [row.clone(), json!([row.clone()]), json!({"count": 1, "results": [row]})] {
            let settings = PluginSettings::from_answer(&answer);
            assert_eq!(settings.netbox.timeout, Some(Duration::from_secs(30)), "{answer}");
            assert_eq!(settings.netbox.retry_delay, Some(Duration::ZERO), "{answer}");
            assert_eq!(settings.sync.primary_ip_preference.as_deref(), Some("ipv6"), "{answer}");
            assert!(settings.invalid.is_empty(), "{answer}");
        }
        for answer in [json!([]), json!({"results": []}), json!(null)] {
            assert_eq!(
                PluginSettings::from_answer(&answer).netbox,
                NetBoxTuning::default(),
                "{answer}"
            );
        }
    }

    #[test]
    fn invalid_values_are_ignored_and_listed_while_the_others_count() {
        let settings = PluginSettings::from_answer(&json!({
            "netbox_timeout": "soon",
            "netbox_max_concurrent": -1,
            "netbox_retry_delay": "1.5",
            "delete_orphans": "perhaps",
            "hardware_discovery_enabled": "off",
            "primary_ip_preference": "ipv5",
            "proxmox_retry_backoff": 86_401,
            "node_device_name_template": 7,
        }));
        assert_eq!(settings.netbox.retry_delay, Some(Duration::from_millis(1500)));
        assert_eq!(settings.sync.hardware_discovery, Some(false));
        assert_eq!(settings.sync.delete_orphans, None);
        let mut keys: Vec<_> = settings.invalid.iter().map(|invalid| invalid.key).collect();
        keys.sort_unstable();
        assert_eq!(
            keys,
            [
                "delete_orphans",
                "netbox_max_concurrent",
                "netbox_timeout",
                "node_device_name_template",
                "primary_ip_preference",
                "proxmox_retry_backoff",
            ]
        );
    }

    #[test]
    fn values_without_effect_are_neither_read_nor_complained_of() {
        let settings = PluginSettings::from_answer(&json!({
            "bulk_batch_size": "many", "netbox_get_cache_ttl": "long", "ceph_task_timeout": -1,
            "backend_log_file_path": "/var/log/", "default_role_lxc": "x", "ensure_netbox_objects": "perhaps",
        }));
        assert!(settings.invalid.is_empty(), "{:?}", settings.invalid);
    }

    #[test]
    fn keys_that_nobody_asks_for_are_listed_and_what_every_row_has_is_not() {
        let settings = PluginSettings::from_answer(&json!({
            "id": 1, "display": "settings", "created": null, "custom_fields": {}, "encryption_key_configured": true,
            "netbox_timeout": null, "proxmox_timeout": 7, "netbox_timeuot": 9, "brand_new": "",
        }));
        assert_eq!(settings.unused, ["brand_new", "netbox_timeuot"]);
    }

    #[test]
    fn zero_means_unset_for_limits_but_not_for_retries_and_pauses() {
        let settings = PluginSettings::from_answer(&json!({
            "netbox_timeout": 0, "proxmox_fetch_concurrency": 0, "netbox_max_retries": 0, "netbox_retry_delay": 0,
        }));
        assert_eq!(settings.netbox.timeout, None);
        assert_eq!(settings.proxmox.fetch_concurrency, None);
        assert_eq!(settings.netbox.max_retries, Some(0));
        assert_eq!(settings.netbox.retry_delay, Some(Duration::ZERO));
        assert!(settings.invalid.is_empty());
    }

    #[test]
    fn encryption_key_is_not_kept() {
        for key in [json!("very-secret"), json!(["very-secret"])] {
            let settings = PluginSettings::from_answer(&json!({"encryption_key": key}));
            assert!(!format!("{settings:?}").contains("very-secret"));
            assert!(settings.invalid.is_empty(), "{:?}", settings.invalid);
        }
    }
}
