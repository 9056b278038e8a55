//! Who may import whom, which crates live where, and how large files and functions may grow.

#![expect(clippy::unwrap_used, reason = "a test stops where the tree cannot be read")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Each room and the rooms of ours that it may name in `use crate::…` or `crate::…` paths.
const ROOMS: &[(&str, &[&str])] = &[
    ("error", &[]),
    ("endpoint", &[]),
    ("config", &["error"]),
    ("telemetry", &["error", "config"]),
    ("reconcile", &[]),
    ("proxmox", &["error", "endpoint"]),
    ("blocking", &["proxmox"]),
    ("netbox", &["error", "reconcile"]),
    ("store", &["error", "endpoint"]),
    ("inventory", &["error", "endpoint", "proxmox"]),
    ("mapping", &["inventory", "proxmox", "netbox"]),
    ("stages", &["endpoint", "inventory", "mapping", "netbox", "reconcile"]),
    (
        "sync",
        &[
            "error",
            "endpoint",
            "inventory",
            "netbox",
            "proxmox",
            "reconcile",
            "stages",
            "mapping",
        ],
    ),
    (
        "http",
        &["error", "endpoint", "config", "netbox", "proxmox", "store", "sync"],
    ),
];

/// Crates that may be named only below the given paths.
const CRATES: &[(&str, &[&str])] = &[
    ("reqwest", &["proxmox", "netbox", "cli"]),
    ("sqlx", &["store"]),
    ("aes_gcm", &["store"]),
    ("fernet", &["store"]),
    ("bcrypt", &["store"]),
    ("axum", &["http", "app", "proxmox/mock", "netbox/standin"]),
    ("tower_http", &["http"]),
    ("clap", &["cli", "config", "main"]),
    ("tracing_subscriber", &["telemetry"]),
    ("indicatif", &["cli"]),
    ("csv", &["proxmox/influx"]),
];

/// Rooms without async, clock, logs or I/O.
const PURE: &[&str] = &["reconcile", "mapping", "stages"];
const IMPURE_WORDS: &[&str] = &[
    "async fn",
    "tokio::",
    "SystemTime",
    "Instant::",
    "OffsetDateTime::now",
    "tracing::",
];
/// The only places that start tasks; each of them owns and awaits what it starts.
const SPAWNERS: &[&str] = &[
    "app",
    "sync/registry",
    "http/routes/generated/write",
    "proxmox/mock",
    "netbox/standin",
];
const SPAWNING_WORDS: &[&str] = &["tokio::spawn", ".spawn(", "JoinSet"];

const FILE_LINES: usize = 400;
const FUNCTION_LINES: usize = 60;

struct Source {
    room: String,
    path: String,
    text: String,
}

/// Every source file, cut off where its tests begin.
fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") && !path.ends_with("tests.rs") {
                let relative = path.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
                let name = relative.split(['/', '.']).next().unwrap().to_owned();
                let text = fs::read_to_string(&path).unwrap();
                let text = text.split("#[cfg(test)]\nmod tests").next().unwrap().to_owned();
                found.push(Source {
                    room: name,
                    path: relative,
                    text,
                });
            }
        }
    }
    assert!(found.len() > 10, "found only {} files", found.len());
    found
}

/// The code lines: comments are left out.
fn code(source: &Source) -> impl Iterator<Item = &str> {
    source.text.lines().filter(|line| !line.trim_start().starts_with("//"))
}

fn is_below(path: &str, places: &[&str]) -> bool {
    places.iter().any(|place| {
        path == format!("{place}.rs")
            || path.starts_with(&format!("{place}/"))
            || path.starts_with(&format!("{place}."))
    })
}

/// What `crate::…` paths name first, each member of `crate::{…}` included.
fn named_rooms(text: &str) -> BTreeSet<String> {
    let first = |path: &str| -> String {
        let path = path.trim_start();
        path.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
    };
    let mut named = BTreeSet::new();
    for path in text.split("crate::").skip(1) {
        let Some(group) = path.strip_prefix('{') else {
            named.insert(first(path));
            continue;
        };
        let mut depth = 0;
        let members = group.split_inclusive(|c| {
            depth += i32::from(c == '{') - i32::from(c == '}');
            depth < 0 || (depth == 0 && c == ',')
        });
        // The group ends with the first member that closes it.
        for member in members {
            named.insert(first(member));
            if member.matches('}').count() > member.matches('{').count() {
                break;
            }
        }
    }
    named.retain(|name| !name.is_empty() && name != "self");
    named
}

#[test]
fn groups_of_imports_name_each_of_their_members() {
    for (text, expected) in [
        ("use crate::http::scope::Scope;", "http"),
        ("use crate::{http, sync};\nuse other::{store};", "http sync"),
        (
            "use crate::{\n    http::{self, Api},\n    sync::Run,\n};\nlet a = (store, b);",
            "http sync",
        ),
        ("use crate::{self, error::ErrorKind};", "error"),
        ("pub(crate) fn of(x: &crate::netbox::Error, y: crate::Z)", "Z netbox"),
    ] {
        let named: Vec<_> = named_rooms(text).into_iter().collect();
        assert_eq!(named.join(" "), expected, "{text}");
    }
}

#[test]
fn rooms_import_only_what_stands_above_them() {
    let mut wrong = BTreeSet::new();
    for source in sources() {
        let Some((_, allowed)) = ROOMS.iter().find(|(room, _)| *room == source.room) else {
            continue;
        };
        let text: String = code(&source).flat_map(|line| [line, "\n"]).collect();
        for named in named_rooms(&text) {
            if named != source.room && !allowed.contains(&named.as_str()) {
                wrong.insert(format!("{} names crate::{named}", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn crates_are_named_only_in_their_rooms() {
    let mut wrong = BTreeSet::new();
    for source in sources() {
        for (name, places) in CRATES {
            let named =
                code(&source).any(|line| line.contains(&format!("{name}::")) && !line.contains(&format!("_{name}::")));
            if named && !is_below(&source.path, places) {
                wrong.insert(format!("{} names {name}", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn pure_rooms_do_no_io() {
    let mut wrong = BTreeSet::new();
    for source in sources().iter().filter(|source| PURE.contains(&source.room.as_str())) {
        for word in IMPURE_WORDS {
            if code(source).any(|line| line.contains(word)) {
                wrong.insert(format!("{} says {word}", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn tasks_are_started_only_by_their_owners() {
    let is_spawning = |line: &str| SPAWNING_WORDS.iter().any(|word| line.contains(word));
    let found: BTreeSet<_> = sources()
        .into_iter()
        .filter(|source| code(source).any(is_spawning))
        .map(|source| source.path)
        .collect();
    let wrong: Vec<_> = found.iter().filter(|path| !is_below(path, SPAWNERS)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    let idle: Vec<_> = SPAWNERS
        .iter()
        .filter(|place| !found.iter().any(|path| is_below(path, &[place])))
        .collect();
    assert!(idle.is_empty(), "they start nothing: {idle:#?}");
}

#[test]
fn files_and_functions_stay_small() {
    let mut wrong = BTreeSet::new();
    for source in sources() {
        let lines = source.text.lines().count();
        if lines > FILE_LINES {
            wrong.insert(format!("{}: {lines} lines", source.path));
        }
        let mut start = None;
        for (number, line) in source.text.lines().enumerate() {
            let indent = line.len() - line.trim_start().len();
            let is_head = line
                .trim_start()
                .trim_start_matches("pub ")
                .trim_start_matches("pub(crate) ");
            let is_head = is_head
                .trim_start_matches("pub(super) ")
                .trim_start_matches("const ")
                .trim_start_matches("async ");
            if start.is_none() && is_head.starts_with("fn ") {
                start = Some((number, indent));
            }
            if let Some((first, depth)) = start
                && indent == depth
                && (line.trim() == "}" || (number == first && line.ends_with('}')))
            {
                if number - first >= FUNCTION_LINES {
                    wrong.insert(format!(
                        "{}:{}: a function of {} lines",
                        source.path,
                        first + 1,
                        number - first + 1
                    ));
                }
                start = None;
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
