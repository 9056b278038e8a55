//! The plugin's settings page, as far as this service reads it.
//!
//! Every value is optional: an absent, null or invalid one leaves the choice to the environment and the defaults. What
//! could not be used is listed in [`PluginSettings::invalid`], so that an operator sees why a setting has no effect.

mod reader;

use std::time::Duration;

use serde_json::{Map, Value};

use super::client::Client;
use super::error::Error;
use super::query::Query;
use super::transport::{Call, Class};
use crate::reconcile::ObjectId;
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
    /// Sizes of and pauses between batches.
    pub batches: Batches,
    /// What a run does.
    pub sync: SyncChoices,
    /// Which addresses may be asked; accepted, without effect.
    pub addresses: AddressRules,
    /// Networks of cloud customers.
    pub cloud: CloudNetwork,
    /// Ceph tasks.
    pub ceph: CephTuning,
    /// `backend_log_file_path`: an absolute path to a file.
    pub log_file: Option<String>,
    /// `expose_internal_errors`: whether answers may tell causes.
    pub expose_internal_errors: Option<bool>,
    /// `debug_cache`; accepted, without effect.
    pub debug_cache: Option<bool>,
    /// Keys with a value that cannot be used, and why.
    pub invalid: Vec<InvalidSetting>,
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
    /// `netbox_get_cache_ttl`; accepted, without effect.
    pub cache_ttl: Option<Duration>,
    /// `netbox_get_cache_max_entries`; accepted, without effect.
    pub cache_max_entries: Option<u64>,
    /// `netbox_get_cache_max_bytes`; accepted, without effect.
    pub cache_max_bytes: Option<u64>,
    /// `netbox_openapi_persist`; accepted, without effect.
    pub openapi_persist: Option<bool>,
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
    /// `proxbox_fetch_max_concurrency`; accepted, without effect.
    pub storage_fetch_concurrency: Option<usize>,
    /// `session_acquire_concurrency`; accepted, without effect.
    pub session_concurrency: Option<usize>,
    /// `vm_sync_max_concurrency`; accepted, without effect.
    pub vm_sync_concurrency: Option<usize>,
}

/// Sizes of and pauses between batches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batches {
    /// `bulk_batch_size`, rows.
    pub bulk_size: Option<usize>,
    /// `bulk_batch_delay_ms`.
    pub bulk_delay: Option<Duration>,
    /// `backup_batch_size`, rows.
    pub backup_size: Option<usize>,
    /// `backup_batch_delay_ms`.
    pub backup_delay: Option<Duration>,
    /// `interface_batch_size`, rows.
    pub interface_size: Option<usize>,
    /// `interface_batch_delay_ms`.
    pub interface_delay: Option<Duration>,
}

/// What a run does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SyncChoices {
    /// `ensure_netbox_objects`: whether tags, types and roles are created.
    pub ensure_netbox_objects: Option<bool>,
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
    /// `hardware_discovery_sync_nic_macs`.
    pub hardware_discovery_nic_macs: Option<bool>,
    /// `default_role_qemu`: a device role in NetBox.
    pub default_role_qemu: Option<ObjectId>,
    /// `default_role_lxc`: a device role in NetBox.
    pub default_role_lxc: Option<ObjectId>,
    /// `reconciliation_engine`; accepted, without effect.
    pub reconciliation_engine: Option<String>,
    /// `reconciliation_compare_strict`; accepted, without effect.
    pub reconciliation_compare_strict: Option<bool>,
}

/// Which addresses may be asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AddressRules {
    /// `ssrf_protection_enabled`.
    pub protection: Option<bool>,
    /// `allow_private_ips`.
    pub allow_private: Option<bool>,
    /// `additional_allowed_ip_ranges`, one network per entry, not parsed.
    pub allowed: Option<Vec<String>>,
    /// `explicitly_blocked_ip_ranges`, one network per entry, not parsed.
    pub blocked: Option<Vec<String>>,
}

/// Networks of cloud customers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CloudNetwork {
    /// `cloud_network_lock_enabled`.
    pub lock: Option<bool>,
    /// `cloud_customer_prefix_id`: a prefix in NetBox.
    pub prefix: Option<ObjectId>,
    /// `cloud_customer_bridge`.
    pub bridge: Option<String>,
    /// `cloud_customer_vlan_tag`, 1 to 4094.
    pub vlan_tag: Option<u16>,
    /// `cloud_customer_gateway`.
    pub gateway: Option<String>,
}

/// Ceph tasks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CephTuning {
    /// `ceph_task_timeout`, 1 s to 1 h.
    pub task_timeout: Option<Duration>,
    /// `ceph_task_poll_interval`, 0.1 to 60 s.
    pub poll_interval: Option<Duration>,
    /// `ceph_run_lease_seconds`, 1 s to 1 h.
    pub run_lease: Option<Duration>,
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
        };
        let settings = Self {
            netbox: netbox(&mut reader),
            proxmox: proxmox(&mut reader),
            batches: batches(&mut reader),
            sync: sync(&mut reader),
            addresses: addresses(&mut reader),
            cloud: cloud(&mut reader),
            ceph: ceph(&mut reader),
            log_file: log_file(&mut reader),
            expose_internal_errors: reader.flag("expose_internal_errors"),
            debug_cache: reader.flag("debug_cache"),
            invalid: Vec::new(),
        };
        Self {
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
        cache_ttl: reader.seconds("netbox_get_cache_ttl", 0.0..=86_400.0),
        cache_max_entries: reader.number("netbox_get_cache_max_entries", 1..=u64::MAX),
        cache_max_bytes: reader.number("netbox_get_cache_max_bytes", 1024..=u64::MAX),
        openapi_persist: reader.flag("netbox_openapi_persist"),
    }
}

fn proxmox(reader: &mut Reader<'_>) -> ProxmoxTuning {
    ProxmoxTuning {
        timeout: reader.whole_seconds("proxmox_timeout"),
        max_retries: reader.retries("proxmox_max_retries"),
        retry_backoff: reader.seconds("proxmox_retry_backoff", 0.0..=86_400.0),
        fetch_concurrency: reader.count("proxmox_fetch_concurrency").filter(|count| *count != 8),
        storage_fetch_concurrency: reader.count("proxbox_fetch_max_concurrency"),
        session_concurrency: reader.count("session_acquire_concurrency"),
        vm_sync_concurrency: reader.count("vm_sync_max_concurrency"),
    }
}

fn batches(reader: &mut Reader<'_>) -> Batches {
    Batches {
        bulk_size: reader.count("bulk_batch_size"),
        bulk_delay: reader.milliseconds("bulk_batch_delay_ms"),
        backup_size: reader.count("backup_batch_size"),
        backup_delay: reader.milliseconds("backup_batch_delay_ms"),
        interface_size: reader.count("interface_batch_size"),
        interface_delay: reader.milliseconds("interface_batch_delay_ms"),
    }
}

fn sync(reader: &mut Reader<'_>) -> SyncChoices {
    SyncChoices {
        ensure_netbox_objects: reader.flag("ensure_netbox_objects"),
        delete_orphans: reader.flag("delete_orphans"),
        node_device_name_template: reader.text("node_device_name_template"),
        use_guest_agent_interface_name: reader.flag("use_guest_agent_interface_name"),
        ignore_ipv6_link_local_addresses: reader.flag("ignore_ipv6_link_local_addresses"),
        primary_ip_preference: reader.choice("primary_ip_preference", &["ipv4", "ipv6"]),
        hardware_discovery: reader.flag("hardware_discovery_enabled"),
        hardware_discovery_nic_macs: reader.flag("hardware_discovery_sync_nic_macs"),
        default_role_qemu: reader.object("default_role_qemu"),
        default_role_lxc: reader.object("default_role_lxc"),
        reconciliation_engine: reader.choice("reconciliation_engine", &["python", "compare", "rust"]),
        reconciliation_compare_strict: reader.flag("reconciliation_compare_strict"),
    }
}

fn addresses(reader: &mut Reader<'_>) -> AddressRules {
    AddressRules {
        protection: reader.flag("ssrf_protection_enabled"),
        allow_private: reader.flag("allow_private_ips"),
        allowed: reader.lines("additional_allowed_ip_ranges"),
        blocked: reader.lines("explicitly_blocked_ip_ranges"),
    }
}

fn cloud(reader: &mut Reader<'_>) -> CloudNetwork {
    let vlan_tag = reader
        .number("cloud_customer_vlan_tag", 0..=4094)
        .and_then(|tag| u16::try_from(tag).ok());
    CloudNetwork {
        lock: reader.flag("cloud_network_lock_enabled"),
        prefix: reader.object("cloud_customer_prefix_id"),
        bridge: reader.text("cloud_customer_bridge"),
        vlan_tag: vlan_tag.filter(|tag| *tag != 0),
        gateway: reader.text("cloud_customer_gateway"),
    }
}

fn ceph(reader: &mut Reader<'_>) -> CephTuning {
    CephTuning {
        task_timeout: reader.seconds("ceph_task_timeout", 1.0..=3600.0),
        poll_interval: reader.seconds("ceph_task_poll_interval", 0.1..=60.0),
        run_lease: reader.seconds("ceph_run_lease_seconds", 1.0..=3600.0),
    }
}

fn log_file(reader: &mut Reader<'_>) -> Option<String> {
    const KEY: &str = "backend_log_file_path";
    let path = reader.text(KEY)?;
    if path.starts_with('/') && !path.ends_with('/') {
        return Some(path);
    }
    reader.refuse(KEY, "an absolute path to a file")
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
        let row = json!({"netbox_timeout": 30, "bulk_batch_delay_ms": 0, "default_role_qemu": {"id": 4}});
        for answer in [row.clone(), json!([row.clone()]), json!({"count": 1, "results": [row]})] {
            let settings = PluginSettings::from_answer(&answer);
            assert_eq!(settings.netbox.timeout, Some(Duration::from_secs(30)), "{answer}");
            assert_eq!(settings.batches.bulk_delay, Some(Duration::ZERO), "{answer}");
            assert_eq!(settings.sync.default_role_qemu, Some(ObjectId(4)), "{answer}");
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
            "ensure_netbox_objects": "off",
            "primary_ip_preference": "ipv5",
            "ceph_task_poll_interval": 0.01,
            "cloud_customer_vlan_tag": 4095,
            "backend_log_file_path": "/var/log/",
            "default_role_lxc": "x",
        }));
        assert_eq!(settings.netbox.retry_delay, Some(Duration::from_millis(1500)));
        assert_eq!(settings.sync.ensure_netbox_objects, Some(false));
        assert_eq!(settings.sync.delete_orphans, None);
        let mut keys: Vec<_> = settings.invalid.iter().map(|invalid| invalid.key).collect();
        keys.sort_unstable();
        assert_eq!(
            keys,
            [
                "backend_log_file_path",
                "ceph_task_poll_interval",
                "cloud_customer_vlan_tag",
                "default_role_lxc",
                "delete_orphans",
                "netbox_max_concurrent",
                "netbox_timeout",
                "primary_ip_preference",
            ]
        );
    }

    #[test]
    fn zero_means_unset_for_limits_but_not_for_retries_and_pauses() {
        let settings = PluginSettings::from_answer(&json!({
            "netbox_timeout": 0, "bulk_batch_size": 0, "cloud_customer_vlan_tag": 0, "default_role_qemu": 0,
            "netbox_max_retries": 0, "netbox_retry_delay": 0, "backup_batch_delay_ms": 0,
        }));
        assert_eq!(settings.netbox.timeout, None);
        assert_eq!(settings.batches.bulk_size, None);
        assert_eq!(settings.cloud.vlan_tag, None);
        assert_eq!(settings.sync.default_role_qemu, None);
        assert_eq!(settings.netbox.max_retries, Some(0));
        assert_eq!(settings.netbox.retry_delay, Some(Duration::ZERO));
        assert_eq!(settings.batches.backup_delay, Some(Duration::ZERO));
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
