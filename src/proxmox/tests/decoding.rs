//! What recorded answers of real servers mean beyond that they can be decoded.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::proxmox::types::host_name;
use crate::proxmox::{Permissions, Version};

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
fn recorded_host_names_are_read() {
    for (path, data) in recorded("qemu-agent-interfaces", |request| request.ends_with("/get-host-name")) {
        assert!(host_name(&data).is_some(), "{}", path.display());
    }
}
