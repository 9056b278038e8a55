//! Settings that the plugin offers too; what the environment sets wins.

use std::time::Duration;

use super::reader::Reader;

/// What the environment sets of the settings that the plugin offers too.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Overrides {
    /// Limit of one request to NetBox, answer included.
    pub netbox_timeout: Option<Duration>,
    /// Simultaneous requests to NetBox.
    pub netbox_max_concurrent: Option<usize>,
    /// Repetitions of a failed request to NetBox.
    pub netbox_max_retries: Option<u32>,
    /// Base of the pause before a repetition.
    pub netbox_retry_delay: Option<Duration>,
    /// Simultaneous writes to NetBox.
    pub netbox_write_concurrency: Option<usize>,
    /// Limit of one request to Proxmox, where the endpoint sets none.
    pub proxmox_timeout: Option<Duration>,
    /// Repetitions of a failed request to Proxmox, where the endpoint sets none.
    pub proxmox_max_retries: Option<u32>,
    /// Base of the pause before a repetition, where the endpoint sets none.
    pub proxmox_retry_backoff: Option<Duration>,
    /// Requests to Proxmox side by side, where the request for the run says nothing.
    pub proxmox_fetch_concurrency: Option<usize>,
    /// Whether a full run sweeps what Proxmox no longer has.
    pub delete_orphans: Option<bool>,
    /// The template of device names, with `{node}` in it.
    pub node_device_name_template: Option<String>,
    /// Whether answers may tell causes.
    pub expose_internal_errors: Option<bool>,
}

pub(super) fn read(reader: &mut Reader) -> Overrides {
    const AT_ONCE: std::ops::RangeInclusive<usize> = 1..=256;
    Overrides {
        netbox_timeout: reader.seconds("PROXBOX_NETBOX_TIMEOUT", 1.0..=3600.0),
        netbox_max_concurrent: reader.number("PROXBOX_NETBOX_MAX_CONCURRENT", AT_ONCE),
        netbox_max_retries: reader.number("PROXBOX_NETBOX_MAX_RETRIES", 0..=100),
        netbox_retry_delay: reader.seconds("PROXBOX_NETBOX_RETRY_DELAY", 0.0..=300.0),
        netbox_write_concurrency: reader.number("PROXBOX_NETBOX_WRITE_CONCURRENCY", AT_ONCE),
        proxmox_timeout: reader.seconds("PROXMOX_API_TIMEOUT", 1.0..=3600.0),
        proxmox_max_retries: reader.number("PROXMOX_API_RETRIES", 0..=100),
        proxmox_retry_backoff: reader.seconds("PROXMOX_API_RETRY_BACKOFF", 0.0..=300.0),
        proxmox_fetch_concurrency: reader.number("PROXBOX_PROXMOX_FETCH_CONCURRENCY", AT_ONCE),
        delete_orphans: reader.flag("PROXBOX_DELETE_ORPHANS"),
        node_device_name_template: reader.text("PROXBOX_NODE_DEVICE_NAME_TEMPLATE"),
        expose_internal_errors: reader.flag("PROXBOX_EXPOSE_INTERNAL_ERRORS"),
    }
}
