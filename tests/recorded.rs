//! What decoders take: answers made up by the descriptions of all releases, and
//! answers of real servers, where a folder of them is at hand: [`RECORDED`], or `PROXBOX_RECORDED_DIR`.
//!
//! Each file is a JSON object with `request` (`GET /path`), `answer` (with or without the `data` envelope) and, for
//! refusals, `status`. Without the folder there is nothing to show.

#![expect(clippy::unwrap_used, reason = "a test stops where its surroundings fail")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use proxbox_api::proxmox::description::{Catalog, Description, Sampler};
use proxbox_api::proxmox::types::{
    ApiToken, BackupJob, Certificate, ClusterOptions, ClusterResource, ClusterStatus, CpuModel, Disk, FirewallName,
    FirewallOptions, FirewallRule, GuestConfig, GuestStatus, HaGroup, HaManagerStatus, HaResource, HaRule, HaStatus,
    JoinInformation, NodeConfig, NodeInterface, NodeRow, Pool, ReplicationJob, SdnController, SdnVnet, SdnZone,
    Service, Snapshot, StorageConfig, StorageIdentity, StorageState, Task, Version, Volume, ZfsPool,
};
use proxbox_api::proxmox::{GuestKind, Rows, TaskStatus};
use reqwest::Method;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Where they lie, unless another folder is named.
const RECORDED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/proxmox/recorded");

/// What is wrong with the payload of an answer, if anything.
type Check = fn(Value) -> Result<(), String>;

/// Each path whose answers are decoded, and how.
const CHECKS: &[(&str, Check)] = &[
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
    ("/cluster/ha/resources", rows::<HaResource>),
    ("/cluster/ha/rules", rows::<HaRule>),
    ("/cluster/ha/status/current", rows::<HaStatus>),
    ("/cluster/ha/status/manager_status", one::<HaManagerStatus>),
    ("/cluster/options", one::<ClusterOptions>),
    ("/cluster/qemu/custom-cpu-models", rows::<CpuModel>),
    ("/cluster/replication", rows::<ReplicationJob>),
    ("/cluster/resources", rows::<ClusterResource>),
    ("/cluster/status", rows::<ClusterStatus>),
    ("/cluster/sdn/controllers", rows::<SdnController>),
    ("/cluster/sdn/vnets", rows::<SdnVnet>),
    ("/cluster/sdn/zones", rows::<SdnZone>),
    ("/cluster/tasks", rows::<Task>),
    ("/nodes", rows::<NodeRow>),
    ("/nodes/{node}/certificates/info", rows::<Certificate>),
    ("/nodes/{node}/config", one::<NodeConfig>),
    ("/nodes/{node}/disks/list", rows::<Disk>),
    ("/nodes/{node}/disks/zfs", rows::<ZfsPool>),
    ("/nodes/{node}/firewall/options", one::<FirewallOptions>),
    ("/nodes/{node}/firewall/rules", rows::<FirewallRule>),
    ("/nodes/{node}/lxc", rows::<GuestStatus>),
    ("/nodes/{node}/lxc/{vmid}/config", |data| config(GuestKind::Lxc, data)),
    ("/nodes/{node}/lxc/{vmid}/snapshot", rows::<Snapshot>),
    ("/nodes/{node}/lxc/{vmid}/status/current", one::<GuestStatus>),
    ("/nodes/{node}/network", rows::<NodeInterface>),
    ("/nodes/{node}/qemu", rows::<GuestStatus>),
    ("/nodes/{node}/qemu/{vmid}/config", |data| config(GuestKind::Qemu, data)),
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
    ("/version", one::<Version>),
];

fn rows<T: DeserializeOwned>(data: Value) -> Result<(), String> {
    let Value::Array(values) = data else {
        return Err("no list".to_owned());
    };
    match Rows::<T>::decode(values).rejected.as_slice() {
        [] => Ok(()),
        rejected => Err(format!("{rejected:?}")),
    }
}

fn one<T: DeserializeOwned>(data: Value) -> Result<(), String> {
    T::deserialize(data).map(drop).map_err(|error| error.to_string())
}

fn config(kind: GuestKind, data: Value) -> Result<(), String> {
    GuestConfig::decode(kind, data)
        .map(drop)
        .map_err(|error| error.to_string())
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|ending| ending == "json") {
            found.push(path);
        }
    }
    found
}

/// The path of a request, in the words of the descriptions.
fn template(description: &Description, request: &str) -> Option<String> {
    let path = request.strip_prefix("GET ")?.split('?').next()?;
    let segments: Vec<String> = path
        .split('/')
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect();
    let found = description.find(&segments)?;
    found.place.operation(&Method::GET)?;
    Some(found.place.path().to_owned())
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "where the answers lie is up to whoever runs the test"
)]
fn every_recorded_answer_is_decoded() {
    let folder = std::env::var_os("PROXBOX_RECORDED_DIR").map_or_else(|| PathBuf::from(RECORDED), PathBuf::from);
    if !folder.exists() {
        return;
    }
    let description = Catalog::default().find("9.2").unwrap().unwrap();
    let (mut decoded, mut failures) = (0, Vec::new());
    for file in files(&folder) {
        let text = fs::read_to_string(&file).unwrap();
        let record: Value = serde_json::from_str(&text).unwrap();
        let request = record.get("request").and_then(Value::as_str).unwrap();
        let is_refusal = record.get("status").is_some();
        let check = template(&description, request).and_then(|path| CHECKS.iter().find(|(known, _)| *known == path));
        let Some((_, check)) = check.filter(|_| !is_refusal) else {
            continue;
        };
        let Some(answer) = record.get("answer") else { continue };
        let data = answer.get("data").unwrap_or(answer).clone();
        decoded += 1;
        failures.extend(check(data).err().map(|error| format!("{}: {error}", file.display())));
    }
    assert!(
        failures.is_empty(),
        "{} failures:\n{}",
        failures.len(),
        failures.join("\n")
    );
    assert!(decoded > 0, "the folder holds no answers");
}

#[test]
fn every_answer_made_up_by_a_description_is_decoded() {
    let catalog = Catalog::default();
    let mut failures = BTreeSet::new();
    let mut unknown: BTreeSet<&str> = CHECKS.iter().map(|(path, _)| *path).collect();
    for tag in ["8.3", "9.1", "9.2"] {
        let description = catalog.find(tag).unwrap().unwrap();
        for operation in description.operations().filter(|operation| operation.is_read()) {
            let Some((path, check)) = CHECKS.iter().find(|(path, _)| *path == operation.path) else {
                continue;
            };
            unknown.remove(path);
            // A description that says nothing of the rows makes up rows that say nothing.
            if operation
                .returns
                .items
                .as_ref()
                .is_some_and(|row| row.properties.is_empty())
            {
                continue;
            }
            let answers = (0..20).map(|seed| Sampler::new(seed).answer(&operation.returns));
            failures.extend(answers.filter_map(|answer| {
                let error = check(answer).err()?;
                Some(format!("{tag} {path}: {error}"))
            }));
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
    assert!(unknown.is_empty(), "no release has {unknown:?}");
}
