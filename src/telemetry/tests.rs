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

/// What is printed and kept of the records that `make` makes.
fn logged(format: LogFormat, make: impl FnOnce()) -> (String, Ring) {
    let (output, ring) = (Output::default(), Ring::default());
    let writer = output.clone();
    let log = Log {
        level: LogLevel::Info,
        format,
    };
    let subscriber = Registry::default()
        .with(ring.layer().with_filter(filter(LevelFilter::DEBUG)))
        .with(printer(log, false, move || writer.clone()));
    with_default(subscriber, make);
    (output.text(), ring)
}

#[test]
fn secrets_reach_neither_output_nor_ring() {
    for format in [LogFormat::Text, LogFormat::Json] {
        let (text, ring) = logged(format, || {
            let _span = info_span!("request", url = "https://u:hidden1@host/").entered();
            warn!(answer = r#"{"password":"hidden2"}"#, header = ?"Authorization: Bearer hidden3", "token=hidden4");
        });
        assert!(text.contains("[REDACTED]") && !text.contains("hidden"), "{text}");
        let kept = format!("{:?}", ring.records());
        assert!(kept.contains("[REDACTED]") && !kept.contains("hidden"), "{kept}");
    }
}

#[test]
fn json_lines_stay_json_when_secrets_are_taken_out() {
    let (text, _) = logged(LogFormat::Json, || {
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
fn records_below_the_level_are_kept_but_not_printed_and_those_of_libraries_neither() {
    let (text, ring) = logged(LogFormat::Text, || {
        debug!("a detail");
        info!(target: "hyper", "a library's record");
    });
    assert_eq!(text, "");
    let messages: Vec<_> = ring.records().iter().map(|record| record.message.clone()).collect();
    assert_eq!(messages, ["a detail"]);
}

#[test]
fn record_carries_the_fields_of_its_spans() {
    let (_, ring) = logged(LogFormat::Text, || {
        let _run = info_span!("run", run.id = "r1", endpoint.id = "database:1", stage = "devices").entered();
        info!(created = 3, stage = "storage", "stage finished");
    });
    let record = ring.records().remove(0);
    assert_eq!((record.id, record.message.as_str()), (1, "stage finished"));
    let fields: Vec<_> = record
        .fields
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    assert_eq!(
        fields,
        [
            ("created", "3"),
            ("endpoint.id", "database:1"),
            ("run.id", "r1"),
            ("stage", "storage")
        ]
    );
}

#[test]
fn ring_keeps_the_latest_records_and_tells_of_new_ones() {
    let ring = Ring::default();
    let watch = ring.watch();
    with_default(Registry::default().with(ring.layer()), || {
        for _ in 0..10_001 {
            info!("again");
        }
    });
    let records = ring.records();
    assert_eq!((records.len(), records[0].id), (10_000, 2));
    assert_eq!(*watch.borrow(), 10_001);
}
