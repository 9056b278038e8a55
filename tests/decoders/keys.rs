//! Every key that a decoder reads is heard: an answer without it means something else.
//!
//! The fixture holds, for each path, an answer with all keys that are read there, none of them at its default.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{DECODERS, decoder, without};

fn fixture() -> BTreeMap<String, Value> {
    serde_json::from_str(include_str!("../fixtures/proxmox-rows.json")).unwrap()
}

#[test]
fn every_key_is_heard_by_its_decoder() {
    let mut deaf = Vec::new();
    for (path, answer) in fixture() {
        let decode = decoder(&path);
        let whole = decode(answer.clone()).unwrap_or_else(|error| panic!("{path}: {error}"));
        let is_list = answer.is_array();
        let row = if is_list { &answer[0] } else { &answer };
        let row = row.as_object().unwrap();
        for key in row.keys() {
            let less = without(row, key);
            let less = if is_list { Value::from(vec![less]) } else { less };
            if decode(less).as_ref() == Ok(&whole) {
                deaf.push(format!("{path}: {key}"));
            }
        }
    }
    assert!(deaf.is_empty(), "read by nobody: {deaf:#?}");
}

#[test]
fn every_decoder_has_an_answer_with_all_its_keys() {
    let known: BTreeSet<String> = fixture().into_keys().collect();
    // A bare number has no keys, and neither have maps whose keys are names.
    let keyless = ["/access/permissions", "/cluster/nextid", "/cluster/metrics/export"];
    let same = |path: &str| {
        // Guests' firewalls have the decoders of the cluster's, and containers those of virtual machines.
        path.contains("/firewall") || path.starts_with("/nodes/{node}/lxc")
    };
    let missing: Vec<_> = DECODERS
        .iter()
        .map(|(path, _)| *path)
        .filter(|path| !known.contains(*path) && !keyless.contains(path) && !same(path))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}
