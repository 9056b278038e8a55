//! The binary as a process: its commands, its exit codes, and how it ends.

#![expect(clippy::unwrap_used, reason = "a test stops where its surroundings fail")]

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use proxbox_api::endpoint::{EndpointId, EndpointKey, Source};
use proxbox_api::store::{Location, Store, StoreOptions, WriteDraft, WriteOutcome};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// The binary with an environment of nothing but a database in `folder` and `variables`.
fn binary(folder: &Path, variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_proxbox-api"));
    command
        .env_clear()
        .env("PROXBOX_DATABASE_PATH", folder.join("database.db"))
        .envs(variables.iter().copied());
    command
}

fn run(folder: &Path, variables: &[(&str, &str)], arguments: &[&str]) -> Output {
    binary(folder, variables).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A serving process, killed where a test fails.
struct Serving {
    child: Child,
    output: BufReader<std::process::ChildStdout>,
    /// Where it listens.
    port: String,
}

impl Serving {
    fn start(folder: &TempDir, variables: &[(&str, &str)]) -> Self {
        let fixed = [("PORT", "0"), ("PROXBOX_BIND_HOST", "127.0.0.1")];
        let mut command = binary(folder.path(), &[&fixed, variables].concat());
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        while !line.contains("listening") {
            line.clear();
            assert!(output.read_line(&mut line).unwrap() > 0, "ended before it listened");
        }
        let port = line.rsplit("127.0.0.1:").next().unwrap();
        let port = port.chars().take_while(char::is_ascii_digit).collect();
        Self { child, output, port }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// How it ended, how long that took, and the rest of its output.
    fn end(mut self) -> (Option<i32>, Duration, String) {
        let since = Instant::now();
        let code = self.child.wait().unwrap().code();
        let elapsed = since.elapsed();
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).unwrap();
        (code, elapsed, rest)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // It has mostly ended by itself.
        let _ = self.child.kill();
    }
}

#[test]
fn signals_stop_the_service_in_time_and_with_success() {
    for signal in [Signal::TERM, Signal::INT] {
        let folder = tempfile::tempdir().unwrap();
        let serving = Serving::start(&folder, &[]);
        serving.signal(signal);
        let (code, elapsed, rest) = serving.end();
        assert_eq!(code, Some(0), "{signal:?}: {rest}");
        assert!(elapsed < Duration::from_secs(5), "{signal:?}: {elapsed:?}");
        assert!(
            rest.contains("stopped") && rest.contains("is_closed=true"),
            "{signal:?}: {rest}"
        );
    }
}

#[test]
fn second_signal_ends_at_once_though_an_answer_is_under_way() {
    let folder = tempfile::tempdir().unwrap();
    let serving = Serving::start(&folder, &[]);
    let mut client = std::net::TcpStream::connect(format!("127.0.0.1:{}", serving.port)).unwrap();
    let head =
        "POST /auth/register-key HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n";
    std::io::Write::write_all(&mut client, head.as_bytes()).unwrap();
    // The service has read the head of this request when it has answered the next.
    assert!(
        run(folder.path(), &[("PORT", &serving.port)], &["healthcheck"])
            .status
            .success()
    );
    serving.signal(Signal::TERM);
    serving.signal(Signal::INT);
    let (code, elapsed, rest) = serving.end();
    assert_eq!(code, Some(0), "{rest}");
    assert!(elapsed < Duration::from_secs(5), "{elapsed:?}");
}

#[test]
fn value_that_cannot_be_used_stops_the_start_with_its_variable_and_an_example() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(folder.path(), &[("PORT", "eighty"), ("PROXBOX_LOG_FORMAT", "xml")], &[]);
    assert_eq!(output.status.code(), Some(1));
    let told = text(&output.stderr);
    assert!(
        told.contains("PORT must be a whole number from 0 to 65535; for example PORT=8000"),
        "{told}"
    );
    assert!(told.contains("PROXBOX_LOG_FORMAT must be one of text, json"), "{told}");
    let template = [("PROXBOX_NODE_DEVICE_NAME_TEMPLATE", "{name}.lab")];
    for command in ["serve", "settings"] {
        let output = run(folder.path(), &template, &[command]);
        assert_eq!(output.status.code(), Some(1), "{command}");
        let told = text(&output.stderr);
        assert!(
            told.contains("PROXBOX_NODE_DEVICE_NAME_TEMPLATE must be a host name that holds {node}"),
            "{told}"
        );
    }
    assert!(!folder.path().join("database.db").exists(), "something was begun");
}

#[test]
fn health_check_tells_a_ready_service_from_none() {
    let folder = tempfile::tempdir().unwrap();
    for variables in [&[][..], &[("PROXBOX_TLS_SELF_SIGNED", "1")]] {
        let serving = Serving::start(&folder, variables);
        let port = serving.port.clone();
        let check = || {
            run(
                folder.path(),
                &[variables, &[("PORT", port.as_str())]].concat(),
                &["healthcheck"],
            )
        };
        let output = check();
        assert!(output.status.success(), "{variables:?}: {}", text(&output.stderr));
        serving.signal(Signal::TERM);
        serving.end();
        assert_eq!(check().status.code(), Some(1), "{variables:?}");
    }
}

#[test]
fn logs_are_json_lines_where_the_environment_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let serving = Serving::start(&folder, &[("PROXBOX_LOG_FORMAT", "json")]);
    serving.signal(Signal::TERM);
    let (_, _, rest) = serving.end();
    for line in rest.lines() {
        let record: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(
            record["timestamp"].is_string() && record["message"].is_string(),
            "{line}"
        );
    }
    assert!(rest.lines().count() > 0);
}

#[test]
fn commands_that_need_no_service_do_their_work_and_end() {
    let folder = tempfile::tempdir().unwrap();
    let migrated = run(folder.path(), &[], &["migrate"]);
    assert!(migrated.status.success() && folder.path().join("database.db").exists());
    let listed = text(&run(folder.path(), &[], &["settings"]).stdout);
    assert!(
        listed.contains("PROXBOX_RATE_LIMIT") && listed.contains("The environment can be used."),
        "{listed}"
    );
    let version = text(&run(folder.path(), &[], &["--version"]).stdout);
    assert_eq!(version.trim(), format!("proxbox-api {}", env!("CARGO_PKG_VERSION")));
    let imported = run(folder.path(), &[], &["import-reference", "/nowhere.db"]);
    assert_eq!(imported.status.code(), Some(1));
    assert!(
        text(&imported.stderr).contains("/nowhere.db"),
        "{}",
        text(&imported.stderr)
    );
}

#[test]
fn demo_that_is_stopped_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().to_str().unwrap();
    let mut command = binary(folder.path(), &[("TMPDIR", place)]);
    let mut child = command
        .arg("demo")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    assert!(output.read_line(&mut String::new()).unwrap() > 0);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    // The pipe may not fill up before the end.
    std::io::copy(&mut output, &mut std::io::sink()).unwrap();
    assert!(!child.wait().unwrap().success());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// The outcomes in the journal of changes, newest first, read beside whoever has the database open.
async fn outcomes(store: &Store) -> Vec<(WriteOutcome, bool)> {
    let entries = store.list_writes(0, 10).await.unwrap();
    let outcomes = entries.iter().map(|entry| (entry.outcome, entry.ended_at.is_some()));
    outcomes.collect()
}

#[tokio::test]
async fn change_that_was_under_way_when_a_service_was_killed_is_ended_by_the_next_service_alone() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(StoreOptions {
        location: Location::File(folder.path().join("database.db")),
        ..StoreOptions::default()
    });
    let store = store.await.unwrap();
    let draft = WriteDraft {
        endpoint: EndpointKey {
            source: Source::Database,
            id: EndpointId(1),
        },
        endpoint_name: "alpha".to_owned(),
        actor: "jane".to_owned(),
        method: "POST".to_owned(),
        path: "nodes/pve1/qemu/100/status/stop".to_owned(),
        parameters: "{}".to_owned(),
    };
    store.begin_write(&draft).await.unwrap();
    assert!(run(folder.path(), &[], &["migrate"]).status.success());
    assert_eq!(outcomes(&store).await, [(WriteOutcome::Sent, false)]);
    let serving = Serving::start(&folder, &[]);
    assert_eq!(outcomes(&store).await, [(WriteOutcome::Unknown, true)]);
    drop(serving);
}

/// Imports `from` with `more` arguments to `made.json` in `folder`.
fn import(folder: &Path, from: &str, more: &[&str]) -> Output {
    let made = folder.join("made.json");
    let arguments = ["openapi", "import", "--from", from, "--to", made.to_str().unwrap()];
    run(folder, &[], &[&arguments, more].concat())
}

#[test]
fn shipped_description_imported_again_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi/proxmox/9.2.json");
    let imported = import(folder.path(), shipped, &[]);
    assert!(
        text(&imported.stdout).contains("675 operations of release 9.2"),
        "{}",
        text(&imported.stderr)
    );
    assert!(std::fs::read(folder.path().join("made.json")).unwrap() == std::fs::read(shipped).unwrap());
}

#[test]
fn script_of_a_host_is_imported_under_the_release_that_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("apidoc.js");
    let import = |more: &[&str]| import(folder.path(), script.to_str().unwrap(), more);
    std::fs::write(&script, "const apiSchema = [];").unwrap();
    assert_eq!(import(&["--release", "9.3"]).status.code(), Some(1));
    let version = r#"{"method": "GET", "parameters": {"additionalProperties": 0}, "returns": {"type": "object"}}"#;
    let tree = format!(r#"[{{"path": "/version", "leaf": 1, "text": "version", "info": {{"GET": {version}}}}}]"#);
    std::fs::write(
        &script,
        format!("const apiSchema = {tree}\n;\nlet method2cmd = {{}};\n"),
    )
    .unwrap();
    let nameless = import(&[]);
    assert!(
        text(&nameless.stderr).contains("--release"),
        "{}",
        text(&nameless.stderr)
    );
    let imported = import(&["--release", "9.3"]);
    assert!(
        text(&imported.stdout).contains("1 operations of release 9.3"),
        "{}",
        text(&imported.stderr)
    );
}
