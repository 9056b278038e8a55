//! Answers of real servers, where a folder of them is at hand: [`RECORDED`], or `PROXBOX_RECORDED_DIR`; and answers made
//! up by the descriptions of all releases.
//!
//! Each file is a JSON object with `request` (`GET /path`), `answer` (with or without the `data` envelope) and, for
//! refusals, `status`. Without the folder there is nothing to show.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use proxbox_api::proxmox::description::{Catalog, Description, Sampler};
use reqwest::Method;
use serde_json::Value;

use super::DECODERS;

/// Where they lie, unless another folder is named.
const RECORDED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/proxmox/recorded");

/// Paths of recorded answers that no typed call reads, for now.
const UNREAD: &[&str] = &[
    "/access/acl",
    "/access/domains",
    "/access/groups",
    "/access/roles",
    "/access/users",
    "/access/users/{userid}/token/{tokenid}",
    "/cluster/sdn/fabrics/node/{fabric_id}",
    "/nodes/{node}/lxc/{vmid}/rrddata",
    "/nodes/{node}/network/{iface}",
    "/nodes/{node}/qemu/{vmid}/rrddata",
    "/nodes/{node}/replication",
    "/nodes/{node}/rrd",
    "/nodes/{node}/rrddata",
    "/nodes/{node}/status",
    "/nodes/{node}/tasks/{upid}/log",
    "/nodes/{node}/version",
    "/pools/{poolid}",
    // The name of a host alone, which is no map and no list: `host_name` of the types reads it.
    "/nodes/{node}/qemu/{vmid}/agent/get-host-name",
];

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
        let is_answer = record.get("status").is_none() && request.starts_with("GET ");
        let Some(answer) = record.get("answer").filter(|_| is_answer) else {
            continue;
        };
        let path = template(&description, request).unwrap_or_else(|| panic!("nobody describes {request}"));
        let Some((_, decode)) = DECODERS.iter().find(|(known, _)| *known == path) else {
            assert!(UNREAD.contains(&path.as_str()), "{} is read by nobody", file.display());
            continue;
        };
        let data = answer.get("data").unwrap_or(answer).clone();
        decoded += 1;
        failures.extend(decode(data).err().map(|error| format!("{}: {error}", file.display())));
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
    let mut unknown: BTreeSet<&str> = DECODERS.iter().map(|(path, _)| *path).collect();
    for tag in ["8.3", "9.1", "9.2"] {
        let description = catalog.find(tag).unwrap().unwrap();
        for operation in description.operations().filter(|operation| operation.is_read()) {
            let Some((path, decode)) = DECODERS.iter().find(|(path, _)| *path == operation.path) else {
                continue;
            };
            unknown.remove(path);
            // A description that says nothing of the answer or its rows makes up one that says nothing.
            let told = operation.returns.items.as_ref().unwrap_or(&operation.returns);
            if told.properties.is_empty() {
                continue;
            }
            let answers = (0..20).map(|seed| Sampler::new(seed).answer(&operation.returns));
            failures.extend(answers.filter_map(|answer| {
                let error = decode(answer).err()?;
                Some(format!("{tag} {path}: {error}"))
            }));
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
    assert!(unknown.is_empty(), "no release has {unknown:?}");
}
