//! Every recorded answer of a real server is read without losing a row.

use std::fs;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::proxmox::types::{BackupJob, GuestOs, NodeInterface, ReplicationJob, host_name};
use crate::proxmox::{
    ClusterResource, ClusterStatus, GuestConfig, GuestInterface, GuestKind, NodeRow, Permissions, Rows, Snapshot,
    StorageConfig, Task, Version, Volume,
};

const RECORDED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/proxmox/recorded");

/// The recorded answers of `family` for requests that `fits`; empty, with a line printed, where there are none.
fn recorded(family: &str, fits: impl Fn(&str) -> bool) -> Vec<(PathBuf, Value)> {
    let folder = Path::new(RECORDED).join(family);
    let Ok(entries) = fs::read_dir(&folder) else {
        #[expect(clippy::print_stdout, reason = "says why the test shows nothing")]
        {
            println!("skipped: no recorded answers at {}", folder.display());
        }
        return Vec::new();
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.unwrap().path();
        let file: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        let request = file["request"].as_str().unwrap_or_default();
        if !fits(request.split('?').next().unwrap_or_default()) || file.get("status").is_some() {
            continue;
        }
        let Some(answer) = file.get("answer") else { continue };
        found.push((path, answer.get("data").unwrap_or(answer).clone()));
    }
    assert!(!found.is_empty(), "no recorded answer of {family} fits");
    found
}

fn check_rows<T: DeserializeOwned>(family: &str, request: &str) {
    check_rows_where::<T>(family, |found| found == request);
}

fn check_rows_where<T: DeserializeOwned>(family: &str, fits: impl Fn(&str) -> bool) {
    for (path, data) in recorded(family, fits) {
        let Value::Array(rows) = data else {
            panic!("{} is no list", path.display());
        };
        let decoded: Rows<T> = Rows::decode(rows);
        assert_eq!(decoded.rejected, [], "{}", path.display());
    }
}

fn check_config(family: &str, kind: GuestKind) {
    for (path, data) in recorded(family, |request| request.ends_with("/config")) {
        let config =
            GuestConfig::decode(kind, data.clone()).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(Value::Object(config.raw().clone()), data, "{}", path.display());
    }
}

#[test]
fn recorded_cluster_status_loses_no_row() {
    check_rows::<ClusterStatus>("cluster-status", "GET /cluster/status");
}

#[test]
fn recorded_cluster_resources_lose_no_row() {
    check_rows::<ClusterResource>("cluster-resources", "GET /cluster/resources");
}

#[test]
fn recorded_nodes_lose_no_row() {
    check_rows::<NodeRow>("nodes", "GET /nodes");
}

#[test]
fn recorded_storages_lose_no_row() {
    check_rows::<StorageConfig>("storage", "GET /storage");
}

#[test]
fn recorded_task_lists_lose_no_row() {
    check_rows_where::<Task>("tasks", |request| {
        request.starts_with("GET") && request.ends_with("/tasks")
    });
}

#[test]
fn recorded_storage_contents_lose_no_row() {
    check_rows_where::<Volume>("storage-content", |request| request.ends_with("/content"));
}

#[test]
fn recorded_snapshots_lose_no_row() {
    check_rows_where::<Snapshot>("snapshots", |request| request.ends_with("/snapshot"));
}

#[test]
fn recorded_replications_lose_no_row() {
    check_rows::<ReplicationJob>("replication", "GET /cluster/replication");
}

#[test]
fn recorded_backup_jobs_lose_no_row() {
    check_rows::<BackupJob>("backup-jobs", "GET /cluster/backup");
}

#[test]
fn recorded_node_networks_lose_no_row() {
    check_rows::<NodeInterface>("node-network", "GET /nodes/{node}/network");
}

#[test]
fn recorded_versions_are_read() {
    for (path, data) in recorded("version", |request| request == "GET /version") {
        let version: Version =
            serde_json::from_value(data).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert!(version.number() >= (6, 0), "{}", path.display());
    }
}

#[test]
fn recorded_permissions_are_read() {
    for (path, data) in recorded("access", |request| request == "GET /access/permissions") {
        let permissions = Permissions::of(data.as_object().unwrap());
        assert!(permissions.iter().count() > 0, "{}", path.display());
    }
}

#[test]
fn recorded_virtual_machine_configs_are_read_and_kept_whole() {
    check_config("qemu-config", GuestKind::Qemu);
}

#[test]
fn recorded_container_configs_are_read_and_kept_whole() {
    check_config("lxc-config", GuestKind::Lxc);
}

#[test]
fn recorded_interfaces_inside_guests_lose_no_row() {
    for (family, request) in [
        ("qemu-agent-interfaces", "network-get-interfaces"),
        ("lxc-interfaces", "/interfaces"),
    ] {
        for (path, data) in recorded(family, |found| found.ends_with(request)) {
            let inner = data.get("result").unwrap_or(&data).clone();
            let rows = inner.as_array().map_or(0, Vec::len);
            match GuestInterface::decode(data) {
                Ok(interfaces) => assert_eq!(interfaces.len(), rows, "{}", path.display()),
                Err(words) => assert!(inner.get("error").is_some(), "{}: {words}", path.display()),
            }
        }
    }
}

#[test]
fn recorded_words_of_guest_agents_are_read() {
    for (path, data) in recorded("qemu-agent-interfaces", |request| request.ends_with("/get-osinfo")) {
        assert!(GuestOs::decode(&data).is_ok(), "{}", path.display());
    }
    for (path, data) in recorded("qemu-agent-interfaces", |request| request.ends_with("/get-host-name")) {
        assert!(host_name(&data).is_some(), "{}", path.display());
    }
}
