use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use tracing::subscriber::with_default;
use tracing::{debug, info, info_span, warn};

use super::*;

#[derive(Clone, Default)]
struct Output(Arc<Mutex<Vec<u8>>>);

impl Output {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What is printed of the records that `make` makes.
fn logged(format: LogFormat, make: impl FnOnce()) -> String {
    let output = Output::default();
    let writer = output.clone();
    let log = Log {
        level: LogLevel::Info,
        format,
    };
    let subscriber = Registry::default().with(printer(log, false, move || writer.clone()));
    with_default(subscriber, make);
    output.text()
}

#[test]
fn secrets_do_not_reach_the_output() {
    for format in [LogFormat::Text, LogFormat::Json] {
        let text = logged(format, || {
            let _span = info_span!("request", url = "https://u:hidden1@host/").entered();
            warn!(answer = r#"{"password":"hidden2"}"#, header = ?"Authorization: Bearer hidden3", "token=hidden4");
        });
        assert!(text.contains("[REDACTED]") && !text.contains("hidden"), "{text}");
    }
}

#[test]
fn json_lines_stay_json_when_secrets_are_taken_out() {
    let text = logged(LogFormat::Json, || {
        info!(
            body = r#"{"token":"hidden \"quoted\"","b":1}"#,
            run.id = "r1",
            "it's \"said\""
        );
    });
    let record: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(record["message"], "it's \"said\"");
    assert_eq!(record["run.id"], "r1");
    assert_eq!(record["level"], "INFO");
}

#[test]
fn records_below_the_level_are_not_printed_and_those_of_libraries_neither() {
    let text = logged(LogFormat::Text, || {
        debug!("a detail");
        info!(target: "hyper", "a library's record");
    });
    assert_eq!(text, "");
}

#[test]
fn record_carries_the_fields_of_its_spans() {
    let text = logged(LogFormat::Json, || {
        let _run = info_span!("run", run.id = "r1", endpoint.id = "database:1").entered();
        info!(created = 3, "stage finished");
    });
    let record: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(record["created"], 3);
    let span = &record["span"];
    assert_eq!(
        (&span["run.id"], &span["endpoint.id"]),
        (&"r1".into(), &"database:1".into())
    );
}
