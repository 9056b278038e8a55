//! What the decoders of Proxmox's answers take, and what they understand of it.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test stops where an answer has another shape"
)]

mod keys;
mod recorded;
mod strange;

use std::fmt::Debug;

use proxbox_api::mapping::virtual_disk::disks;
use proxbox_api::proxmox::types::{
    ApiToken, BackupJob, Certificate, ClusterOptions, ClusterResource, ClusterStatus, CpuModel, Disk, FirewallName,
    FirewallOptions, FirewallRule, GuestConfig, GuestInterface, GuestOs, GuestStatus, HaGroup, HaManagerStatus,
    HaResource, HaRule, HaStatus, JoinInformation, Metric, MigrationPreflight, Nic, NodeConfig, NodeInterface, NodeRow,
    Permissions, Pool, ReplicationJob, SdnController, SdnSubnet, SdnVnet, SdnZone, Service, Snapshot, StorageConfig,
    StorageIdentity, StorageState, Task, Version, Volume, ZfsPool, ZfsPoolDetail,
};
use proxbox_api::proxmox::{GuestKind, Rows, TaskStatus, Vmid, wire};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// What is understood of the payload of an answer, as text; or what is wrong with it.
type Decoder = fn(Value) -> Result<String, String>;

/// Each path whose answers are decoded, and how.
const DECODERS: &[(&str, Decoder)] = &[
    ("/access/permissions", |data| permissions(&data)),
    ("/access/users/{userid}/token", rows::<ApiToken>),
    ("/cluster/backup", rows::<BackupJob>),
    ("/cluster/config/join", one::<JoinInformation>),
    ("/cluster/firewall/aliases", rows::<FirewallName>),
    ("/cluster/firewall/groups", rows::<FirewallName>),
    ("/cluster/firewall/groups/{group}", rows::<FirewallRule>),
    ("/cluster/firewall/ipset", rows::<FirewallName>),
    ("/cluster/firewall/ipset/{name}", rows::<FirewallName>),
    ("/cluster/firewall/options", one::<FirewallOptions>),
    ("/cluster/firewall/rules", rows::<FirewallRule>),
    ("/cluster/ha/groups", rows::<HaGroup>),
    ("/cluster/ha/groups/{group}", one::<HaGroup>),
    ("/cluster/ha/resources", rows::<HaResource>),
    ("/cluster/ha/resources/{sid}", one::<HaResource>),
    ("/cluster/ha/rules", rows::<HaRule>),
    ("/cluster/ha/rules/{rule}", one::<HaRule>),
    ("/cluster/ha/status/current", rows::<HaStatus>),
    ("/cluster/ha/status/manager_status", one::<HaManagerStatus>),
    ("/cluster/metrics/export", |data| metrics(&data)),
    ("/cluster/nextid", |data| next_id(&data)),
    ("/cluster/options", one::<ClusterOptions>),
    ("/cluster/qemu/custom-cpu-models", rows::<CpuModel>),
    ("/cluster/replication", rows::<ReplicationJob>),
    ("/cluster/resources", rows::<ClusterResource>),
    ("/cluster/sdn/controllers", rows::<SdnController>),
    ("/cluster/sdn/vnets", rows::<SdnVnet>),
    ("/cluster/sdn/vnets/{vnet}/subnets", rows::<SdnSubnet>),
    ("/cluster/sdn/zones", rows::<SdnZone>),
    ("/cluster/status", rows::<ClusterStatus>),
    ("/cluster/tasks", rows::<Task>),
    ("/nodes", rows::<NodeRow>),
    ("/nodes/{node}/certificates/info", rows::<Certificate>),
    ("/nodes/{node}/config", one::<NodeConfig>),
    ("/nodes/{node}/disks/list", rows::<Disk>),
    ("/nodes/{node}/disks/zfs", rows::<ZfsPool>),
    ("/nodes/{node}/disks/zfs/{name}", one::<ZfsPoolDetail>),
    ("/nodes/{node}/firewall/options", one::<FirewallOptions>),
    ("/nodes/{node}/firewall/rules", rows::<FirewallRule>),
    ("/nodes/{node}/lxc", rows::<GuestStatus>),
    ("/nodes/{node}/lxc/{vmid}/config", |data| config(GuestKind::Lxc, data)),
    ("/nodes/{node}/lxc/{vmid}/firewall", rows::<FirewallName>),
    ("/nodes/{node}/lxc/{vmid}/firewall/aliases", rows::<FirewallName>),
    ("/nodes/{node}/lxc/{vmid}/firewall/ipset", rows::<FirewallName>),
    ("/nodes/{node}/lxc/{vmid}/firewall/ipset/{name}", rows::<FirewallName>),
    ("/nodes/{node}/lxc/{vmid}/firewall/options", one::<FirewallOptions>),
    ("/nodes/{node}/lxc/{vmid}/firewall/rules", rows::<FirewallRule>),
    ("/nodes/{node}/lxc/{vmid}/interfaces", |data| {
        interfaces(data, GuestInterface::decode_container)
    }),
    ("/nodes/{node}/lxc/{vmid}/migrate", one::<MigrationPreflight>),
    ("/nodes/{node}/lxc/{vmid}/snapshot", rows::<Snapshot>),
    ("/nodes/{node}/lxc/{vmid}/status/current", one::<GuestStatus>),
    ("/nodes/{node}/network", rows::<NodeInterface>),
    ("/nodes/{node}/qemu", rows::<GuestStatus>),
    ("/nodes/{node}/qemu/{vmid}/agent/get-osinfo", |data| os_of_guest(&data)),
    ("/nodes/{node}/qemu/{vmid}/agent/network-get-interfaces", |data| {
        interfaces(data, GuestInterface::decode)
    }),
    ("/nodes/{node}/qemu/{vmid}/config", |data| config(GuestKind::Qemu, data)),
    ("/nodes/{node}/qemu/{vmid}/firewall", rows::<FirewallName>),
    ("/nodes/{node}/qemu/{vmid}/firewall/aliases", rows::<FirewallName>),
    ("/nodes/{node}/qemu/{vmid}/firewall/ipset", rows::<FirewallName>),
    ("/nodes/{node}/qemu/{vmid}/firewall/ipset/{name}", rows::<FirewallName>),
    ("/nodes/{node}/qemu/{vmid}/firewall/options", one::<FirewallOptions>),
    ("/nodes/{node}/qemu/{vmid}/firewall/rules", rows::<FirewallRule>),
    ("/nodes/{node}/qemu/{vmid}/migrate", one::<MigrationPreflight>),
    ("/nodes/{node}/qemu/{vmid}/snapshot", rows::<Snapshot>),
    ("/nodes/{node}/qemu/{vmid}/status/current", one::<GuestStatus>),
    ("/nodes/{node}/services", rows::<Service>),
    ("/nodes/{node}/storage", rows::<StorageState>),
    ("/nodes/{node}/storage/{storage}/content", rows::<Volume>),
    ("/nodes/{node}/storage/{storage}/identity", one::<StorageIdentity>),
    ("/nodes/{node}/tasks", rows::<Task>),
    ("/nodes/{node}/tasks/{upid}/status", one::<TaskStatus>),
    ("/pools", rows::<Pool>),
    ("/storage", rows::<StorageConfig>),
    ("/storage/{storage}", one::<StorageConfig>),
    ("/version", one::<Version>),
];

fn decoder(path: &str) -> Decoder {
    let found = DECODERS.iter().find(|(known, _)| *known == path);
    found.unwrap_or_else(|| panic!("{path} is not decoded")).1
}

fn rows<T: DeserializeOwned + Debug>(data: Value) -> Result<String, String> {
    let Value::Array(values) = data else {
        return Err("no list".to_owned());
    };
    let decoded = Rows::<T>::decode(values);
    match decoded.rejected.as_slice() {
        [] => Ok(understood(&decoded.items)),
        rejected => Err(format!("{rejected:?}")),
    }
}

fn one<T: DeserializeOwned + Debug>(data: Value) -> Result<String, String> {
    let decoded = T::deserialize(data).map_err(|error| error.to_string())?;
    Ok(understood(&decoded))
}

/// A configuration with the interfaces and drives that are found in it.
fn config(kind: GuestKind, data: Value) -> Result<String, String> {
    let whole = data.clone();
    let config = GuestConfig::decode(kind, data).map_err(|error| error.to_string())?;
    assert_eq!(Value::Object(config.raw().clone()), whole, "every key is kept");
    let (nics, drives, has_agent) = (Nic::list(&config), disks(&config), config.has_agent());
    Ok(format!("{} {nics:?} {drives:?} agent {has_agent}", understood(&config)))
}

/// The interfaces inside a guest, of which none may be lost; or the guest's words.
fn interfaces(data: Value, decode: fn(Value) -> Result<Vec<GuestInterface>, String>) -> Result<String, String> {
    let inner = data.get("result").unwrap_or(&data);
    let count = inner.as_array().map_or(0, Vec::len);
    let is_refusal = inner.get("error").is_some();
    match decode(data) {
        Ok(found) if found.len() == count => Ok(understood(&found)),
        Ok(found) => Err(format!("{} of {count} are read", found.len())),
        Err(words) if is_refusal => Ok(format!("refused: {words}")),
        Err(words) => Err(words),
    }
}

fn os_of_guest(data: &Value) -> Result<String, String> {
    let os = GuestOs::decode(data).map_err(|error| error.to_string())?;
    Ok(understood(&os))
}

fn permissions(data: &Value) -> Result<String, String> {
    let map = data.as_object().ok_or("no map")?;
    Ok(understood(&Permissions::of(map)))
}

fn metrics(data: &Value) -> Result<String, String> {
    rows::<Metric>(data.get("data").cloned().unwrap_or_default())
}

fn next_id(data: &Value) -> Result<String, String> {
    let id = wire::number_of::<u32>(data).map_err(|error| error.to_string())?;
    Ok(understood(&id.map(Vmid)))
}

/// What was decoded, without the maps that only pass on what was sent.
fn understood(decoded: &impl Debug) -> String {
    let mut text = format!("{decoded:?}");
    for passed_on in ["raw: {", "other: {"] {
        while let Some(start) = text.find(passed_on) {
            let length = length_of_map(&text[start + passed_on.len()..]);
            text.replace_range(start..start + passed_on.len() + length, "");
        }
    }
    text
}

/// How long a map is whose opening brace stands before `text`.
fn length_of_map(text: &str) -> usize {
    let (mut depth, mut is_quoted, mut is_escaped) = (1, false, false);
    for (index, letter) in text.char_indices() {
        match letter {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            '{' if !is_quoted => depth += 1,
            '}' if !is_quoted => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return index + 1;
        }
    }
    text.len()
}

/// `row` without `key`.
fn without(row: &Map<String, Value>, key: &str) -> Value {
    let mut row = row.clone();
    row.remove(key);
    Value::Object(row)
}

#[test]
fn maps_that_only_pass_on_are_not_understood() {
    let row = serde_json::json!({"node": "a", "status": "online", "odd": {"x": "}\"{"}, "more": "other: {"});
    let text = one::<NodeRow>(row.clone()).unwrap();
    assert!(text.contains(r#"node: "a""#) && !text.contains("odd"), "{text}");
    let plain = one::<NodeRow>(without(row.as_object().unwrap(), "odd")).unwrap();
    assert_eq!(text, plain);
}
