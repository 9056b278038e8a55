//! Processor models that operators have defined.

use serde::Deserialize;

use crate::proxmox::wire;

/// A row of `cluster/qemu/custom-cpu-models`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct CpuModel {
    /// Its name, with or without `custom-` before it.
    #[serde(default, deserialize_with = "wire::text")]
    pub cputype: Option<String>,
    /// The model that guests are told.
    #[serde(rename = "reported-model", default, deserialize_with = "wire::text")]
    pub reported_model: Option<String>,
    /// Flags added and taken away: `+aes;-pcid`.
    #[serde(default, deserialize_with = "wire::text")]
    pub flags: Option<String>,
    /// Whether guests are not told that they are virtual.
    #[serde(default, deserialize_with = "wire::flag")]
    pub hidden: bool,
    /// The maker that Windows guests are told.
    #[serde(rename = "hv-vendor-id", default, deserialize_with = "wire::text")]
    pub hv_vendor_id: Option<String>,
    /// The level of processor features that guests are told.
    #[serde(default, deserialize_with = "wire::number")]
    pub level: Option<u32>,
    /// How many bits addresses have, or `host`.
    #[serde(rename = "phys-bits", default, deserialize_with = "wire::text")]
    pub phys_bits: Option<String>,
}

impl CpuModel {
    /// Its name without `custom-`.
    pub fn name(&self) -> Option<&str> {
        self.cputype.as_deref().map(plain)
    }

    /// Whether it is called `name`, with or without `custom-`.
    pub fn is_named(&self, name: &str) -> bool {
        self.name() == Some(plain(name))
    }
}

fn plain(name: &str) -> &str {
    name.strip_prefix("custom-").unwrap_or(name)
}
