use std::collections::BTreeSet;
use std::sync::Arc;

use http::Method;
use secrecy::ExposeSecret as _;
use serde_json::{Map, Value, json};

use super::*;
use crate::proxmox::navigate::{Param, form};
use crate::proxmox::types::Version;

const COUNTS: [(&str, usize); 3] = [("8.3", 600), ("9.1", 649), ("9.2", 675)];

fn shipped(tag: &str) -> Arc<Description> {
    Catalog::default().find(tag).unwrap().unwrap()
}

fn segments(path: &str) -> Vec<String> {
    path.split('/').skip(1).map(str::to_owned).collect()
}

fn pairs(given: &[(&str, &str)]) -> Vec<(String, String)> {
    given
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

/// What is sent for `given`, or which parameters are wrong.
fn read(method: &Method, path: &str, given: &[(&str, &str)]) -> Result<String, Vec<String>> {
    let description = shipped("9.2");
    let operation = description
        .find(&segments(path))
        .unwrap()
        .place
        .operation(method)
        .unwrap();
    let mut all: Vec<_> = operation
        .variables()
        .map(|name| (name.to_owned(), "100".to_owned()))
        .collect();
    all.extend(pairs(given));
    let sent = operation.read(&all, Reading::Lenient);
    let sent = sent.map_err(|misfits| {
        misfits
            .iter()
            .map(|misfit| format!("{} {}", misfit.parameter, misfit.problem))
            .collect::<Vec<_>>()
    })?;
    let borrowed: Vec<(&str, Param)> = sent
        .iter()
        .map(|(name, param)| (name.as_str(), param.clone()))
        .collect();
    Ok(form(&borrowed).expose_secret().to_owned())
}

#[test]
fn shipped_descriptions_hold_every_operation() {
    for (tag, count) in COUNTS {
        let description = shipped(tag);
        assert_eq!((description.release(), description.len()), (tag, count));
        let ids: BTreeSet<_> = description.operations().map(Operation::id).collect();
        assert_eq!(ids.len(), count, "operations of {tag} share a name");
    }
}

#[test]
fn shipped_files_are_what_this_code_writes() {
    for (tag, _) in COUNTS {
        let path = format!("{}/openapi/proxmox/{tag}.json", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).unwrap();
        assert!(
            shipped(tag).to_compact() == text,
            "{tag}.json is not in our own form: import it again"
        );
    }
}

fn expressions(schema: &Schema) -> Vec<String> {
    let members = schema.properties.iter().map(|property| &property.schema);
    let parts = members.chain(&schema.items).chain(&schema.one_of).chain(&schema.keys);
    let mut found: Vec<_> = parts.flat_map(|part| expressions(part)).collect();
    found.extend(schema.pattern.as_ref().map(Pattern::translated));
    found
}

#[test]
fn every_expression_of_every_release_is_understood() {
    for (tag, _) in COUNTS {
        let description = shipped(tag);
        let schemas = description
            .operations()
            .flat_map(|operation| [&operation.parameters, &operation.returns]);
        let expressions: BTreeSet<_> = schemas.flat_map(|schema| expressions(schema)).collect();
        assert!(expressions.len() > 40, "only {} in {tag}", expressions.len());
        for expression in expressions {
            let regex = regex::bytes::RegexBuilder::new(&expression).unicode(false).build();
            assert!(regex.is_ok(), "{tag}: {expression}");
        }
    }
}

#[test]
fn made_up_parameters_are_taken_and_misfits_are_refused_by_name() {
    let mut cases = 0;
    for (tag, _) in COUNTS {
        for (index, operation) in shipped(tag).operations().enumerate() {
            let mut sampler = Sampler::new(index as u64);
            let given = sampler.parameters(operation);
            let outcome = operation.read(&given, Reading::Strict);
            assert!(outcome.is_ok(), "{tag} {} {given:?}: {outcome:?}", operation.id());
            for property in &operation.parameters.properties {
                for wrong in property.schema.misfits() {
                    let mut given = given.clone();
                    let name = property.name.replace("[n]", "7");
                    given.retain(|(own, _)| *own != name);
                    given.push((name.clone(), wrong.clone()));
                    let misfits = operation.read(&given, Reading::Lenient).unwrap_err();
                    assert!(
                        misfits.iter().all(|misfit| misfit.parameter == name),
                        "{tag} {name} {wrong:?} {misfits:?}"
                    );
                    cases += 1;
                }
            }
        }
    }
    assert!(cases > 10_000, "only {cases} cases");
}

#[test]
fn every_parameter_has_a_made_up_value() {
    for (tag, _) in COUNTS {
        for operation in shipped(tag).operations() {
            for property in &operation.parameters.properties {
                let made = Sampler::new(7).parameter(property);
                assert!(made.is_some(), "{tag} {} {}", operation.id(), property.name);
            }
        }
    }
}

#[test]
fn paths_lead_to_their_places() {
    let description = shipped("9.2");
    let table: &[(&str, Option<&str>, &[&str])] = &[
        ("/version", Some("/version"), &[]),
        (
            "/nodes/pve1/qemu/100/config",
            Some("/nodes/{node}/qemu/{vmid}/config"),
            &["pve1", "100"],
        ),
        (
            "/nodes/pve1/storage/local/content/local:iso/a.iso",
            Some("/nodes/{node}/storage/{storage}/content/{volume}"),
            &["pve1", "local", "local:iso/a.iso"],
        ),
        ("/cluster/ha/status/current", Some("/cluster/ha/status/current"), &[]),
        ("/nodes/pve1/qemu/100/config/more", None, &[]),
        ("/nowhere", None, &[]),
        ("/", None, &[]),
    ];
    for (path, place, values) in table {
        let found = description.find(&segments(path));
        assert_eq!(found.as_ref().map(|found| found.place.path()), *place, "{path}");
        let variables = found.map(|found| found.variables).unwrap_or_default();
        assert_eq!(
            variables.iter().map(|(_, value)| value.as_str()).collect::<Vec<_>>(),
            *values,
            "{path}"
        );
    }
}

#[test]
fn parameters_are_sent_in_proxmox_own_words() {
    let sent = read(&Method::GET, "/nodes/n/qemu", &[("full", "TRUE")]);
    assert_eq!(sent, Ok("full=1".to_owned()));
    let sent = read(
        &Method::PUT,
        "/nodes/n/qemu/100/config",
        &[
            ("net3", "virtio=BC:24:11:00:00:01,bridge=vmbr0,firewall=1"),
            ("onboot", "no"),
            ("memory", "2048"),
            ("cipassword", "a b"),
        ],
    );
    let wanted = "net3=virtio%3DBC%3A24%3A11%3A00%3A00%3A01%2Cbridge%3Dvmbr0%2Cfirewall%3D1&onboot=0&memory=2048&cipassword=a%20b";
    assert_eq!(sent, Ok(wanted.to_owned()));
}

#[test]
fn misfit_names_parameter_and_rule_but_never_the_value() {
    let table: &[(&[(&str, &str)], &str)] = &[
        (&[("cores", "0")], "cores must be at least 1"),
        (&[("cores", "hunter2")], "cores must be a whole number"),
        (&[("cpulimit", "hunter2")], "cpulimit must be a number"),
        (&[("onboot", "hunter2")], "onboot must be a boolean: 0 or 1"),
        (&[("bios", "hunter2")], "bios must be one of: seabios, ovmf"),
        (&[("net0", "model=hunter2")], "net0 key `model` must be one of:"),
        (&[("net0", "virtio,hunter=2")], "net0 key `hunter` is not a parameter"),
        (&[("netx", "virtio")], "netx is not a parameter of this operation"),
        (&[("net-1", "virtio")], "net-1 is not a parameter of this operation"),
    ];
    for (given, wanted) in table {
        let misfits = read(&Method::PUT, "/nodes/n/qemu/100/config", given).unwrap_err();
        assert!(
            misfits[0].starts_with(wanted) && !misfits[0].contains("hunter2"),
            "{misfits:?}"
        );
    }
    let missing = read(&Method::POST, "/nodes/n/qemu", &[]).unwrap_err();
    assert_eq!(missing, ["vmid is required"]);
}

#[test]
fn values_that_can_hold_secrets_are_not_told() {
    let description = shipped("9.2");
    let find = |path: &str, method| {
        description
            .find(&segments(path))
            .unwrap()
            .place
            .operation(&method)
            .unwrap()
    };
    let config = find("/nodes/n/qemu/100/config", Method::PUT);
    for (name, wanted) in [
        ("cores", true),
        ("net0", true),
        ("bios", true),
        ("cipassword", false),
        ("sshkeys", false),
        ("description", false),
    ] {
        assert_eq!(config.is_tellable(name), wanted, "{name}");
    }
    let webhook = find("/cluster/notifications/endpoints/webhook", Method::POST);
    assert!(!webhook.is_tellable("secret") && !webhook.is_tellable("header"));
}

#[tokio::test]
async fn version_gets_its_own_description_or_the_nearest_before() {
    let catalog = Arc::new(Catalog::default());
    for (version, wanted) in [
        ("7.4-1", "8.3"),
        ("8.2.7", "8.3"),
        ("9.0.3", "9.1"),
        ("9.1.4", "9.1"),
        ("9.2.4", "9.2"),
        ("10.1", "9.2"),
    ] {
        let version: Version = serde_json::from_value(json!({"version": version})).unwrap();
        assert_eq!(
            catalog.of_version(&version).await.unwrap().unwrap().release(),
            wanted,
            "{version:?}"
        );
    }
}

#[tokio::test]
async fn folder_adds_releases_and_replaces_none_of_ours() {
    let folder = tempfile::tempdir().unwrap();
    let small = |release: &str| {
        format!(r#"{{"release":"{release}","schemas":[{{"type":"object"}}],"paths":{{"/version":{{"GET":[0,0]}}}}}}"#)
    };
    std::fs::write(folder.path().join("9.3.json"), small("9.3")).unwrap();
    std::fs::write(folder.path().join("9.2.json"), small("9.2")).unwrap();
    std::fs::write(folder.path().join("9.4.json"), "{}").unwrap();
    let catalog = Arc::new(Catalog::new(Some(folder.path().to_owned())));
    for (tag, operations) in [("9.3", Some(1)), ("9.2", Some(675)), ("9.5", None), ("../9.3", None)] {
        // Unread, read, and kept.
        for found in [
            catalog.find_aside(tag).await.unwrap(),
            catalog.find(tag).unwrap(),
            catalog.find_aside(tag).await.unwrap(),
        ] {
            assert_eq!(found.map(|description| description.len()), operations, "{tag}");
        }
    }
    assert!(catalog.find("9.4").is_err() && catalog.find_aside("9.4").await.is_err());
    assert!(catalog.tags().contains(&"9.3".to_owned()));
    let absent = Catalog::new(Some(folder.path().join("nowhere")));
    assert!(absent.find("9.3").unwrap().is_none());
}

#[test]
fn script_of_a_live_host_is_read() {
    let script = r#"const apiSchema = [
       {"children": [{"children": [], "info": {"GET": {"method": "GET", "name": "list",
            "parameters": {"additionalProperties": 0, "properties": {
                "node": {"description": "The node.", "format": "pve-node", "type": "string", "typetext": "<string>"},
                "full": {"description": "All.", "optional": 1, "type": "boolean", "default": "0"},
                "net[n]": {"optional": 1, "type": "string", "format": {
                    "model": {"type": "string", "enum": ["virtio"], "default_key": 1}, "virtio": {"alias": "macaddr"},
                    "macaddr": {"type": "string", "format": "mac-addr", "optional": 1}}}}},
            "returns": {"type": "array", "items": {"type": "object", "properties": {"vmid": {"type": "integer"}}}}}},
            "leaf": 1, "path": "/nodes/{node}/qemu", "text": "qemu"}],
        "info": {}, "leaf": 0, "path": "/nodes/{node}", "text": "{node}"}
    ];
    let method2cmd = { GET: 'get' };"#;
    let description = Description::parse(script, "9.3").unwrap();
    assert_eq!((description.release(), description.len()), ("9.3", 1));
    let operation = description.operations().next().unwrap();
    let given = pairs(&[("node", "pve1"), ("net1", "virtio,macaddr=BC:24:11:00:00:01")]);
    assert!(operation.read(&given, Reading::Strict).is_ok());
    let misfits = operation.read(&pairs(&[("full", "1")]), Reading::Strict).unwrap_err();
    assert_eq!(misfits[0].parameter, "node");
    let again = Description::parse(&description.to_compact(), "").unwrap();
    assert_eq!(again.to_compact(), description.to_compact());
}

/// `property` as a host's own API viewer tells it.
fn told_property(property: &Property) -> Value {
    let mut told = told(&property.schema);
    if !property.is_required {
        told["optional"] = json!(1);
    }
    told
}

fn told_members(properties: &[Property]) -> Map<String, Value> {
    let members = properties.iter();
    members
        .map(|property| (property.name.to_string(), told_property(property)))
        .collect()
}

/// The keys of a property string in the viewer's form.
fn told_keys(keys: &Schema) -> Value {
    let mut members = told_members(&keys.properties);
    if let Some(bare) = &keys.bare_key {
        members[&**bare]["default_key"] = json!(1);
    }
    let aliases = keys.aliases.iter();
    members.extend(aliases.map(|(name, target)| (name.to_string(), json!({"alias": target}))));
    Value::Object(members)
}

fn told(schema: &Schema) -> Value {
    let mut told = json!({
        "description": "Prose.", "typetext": "<prose>", "type": schema.kind.word(), "format": schema.format,
        "pattern": schema.pattern.as_ref().map(Pattern::source), "minimum": schema.minimum, "maximum": schema.maximum,
        "minLength": schema.min_length, "maxLength": schema.max_length, "default": schema.default,
        "items": schema.items.as_ref().map(|items| told(items)),
    });
    if let Some(keys) = &schema.keys {
        let place = if schema.format.is_some() {
            "x-pve-property-string"
        } else {
            "format"
        };
        told[place] = told_keys(keys);
    }
    if !schema.words.is_empty() {
        told["enum"] = json!(schema.words);
    }
    if !schema.properties.is_empty() {
        told["properties"] = Value::Object(told_members(&schema.properties));
    }
    if !schema.one_of.is_empty() {
        told["oneOf"] = schema.one_of.iter().map(|one| self::told(one)).collect();
    }
    told.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    told
}

/// The whole of `description` as the script of a host.
fn script(description: &Description) -> String {
    let nodes = description.places().map(|place| {
        let methods = place.operations().map(|operation| {
            let parameters = told_members(&operation.parameters.properties);
            let info = json!({
                "method": operation.method.as_str(), "name": operation.id(), "description": "Prose.", "protected": 1,
                "parameters": {"additionalProperties": 0, "properties": parameters}, "returns": told(&operation.returns),
            });
            (operation.method.to_string(), info)
        });
        let info: Map<_, _> = methods.collect();
        json!({"path": place.path(), "text": "x", "leaf": 1, "info": info})
    });
    let tree = json!([{"path": "/", "info": {}, "leaf": 0, "children": nodes.collect::<Value>()}]);
    format!("const apiSchema = {tree:#}\n;\n\nlet method2cmd = {{\n   GET: 'get'\n}};\n")
}

#[test]
fn script_that_says_all_of_a_release_gives_its_description() {
    for (tag, count) in COUNTS {
        let description = Description::parse(&script(&shipped(tag)), tag).unwrap();
        assert_eq!(description.len(), count, "{tag}");
        assert!(description.to_compact() == shipped(tag).to_compact(), "{tag}");
    }
}

#[test]
fn other_texts_are_no_description() {
    for text in ["", "{}", "[]", "const apiSchema = {", "<html>", r#"{"paths": {}}"#] {
        assert!(Description::parse(text, "1.0").is_err(), "{text}");
    }
    let dangling = r#"{"release":"1","schemas":[{"items":3}],"paths":{"/a":{"GET":[0,0]}}}"#;
    assert!(matches!(
        Description::parse(dangling, "1"),
        Err(ImportError::Dangling(3))
    ));
}
