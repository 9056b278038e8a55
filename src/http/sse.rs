//! Event streams: a run's events as frames that the plugin's parser can read.
//!
//! That parser knows `event:`, `data:` and comments; any other line it takes for data. It splits lines at every
//! separator that Unicode has, so that the data is JSON in ASCII on one line.

use std::convert::Infallible;
use std::io::{self, Write};
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use serde::Serialize as _;
use serde_json::ser::Formatter;
use serde_json::{Value, json};

use crate::sync::Event;

/// How long a stream may be silent before it shows that it is alive.
const SILENCE: Duration = Duration::from_secs(15);
const KEEPALIVE: &[u8] = b": keepalive\n\n";
/// After so many silences in a row an event says that the work goes on: the plugin looks at the deadline of its job only
/// when it reads one, not at comments.
const SILENCES: u32 = 4;
/// Tells nginx and its kin to pass frames on at once.
const BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// The answer that streams `events` and ends with them. When the client leaves, `events` is dropped.
pub(super) fn response(events: impl Stream<Item = Event> + Send + 'static) -> Response {
    let headers = [
        (
            CONTENT_TYPE,
            HeaderValue::from_static("text/event-stream; charset=utf-8"),
        ),
        (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (BUFFERING, HeaderValue::from_static("no")),
    ];
    let body = Body::from_stream(frames(events).map(Ok::<_, Infallible>));
    (headers, body).into_response()
}

fn frames(events: impl Stream<Item = Event> + Send + 'static) -> impl Stream<Item = Bytes> + Send + 'static {
    stream::unfold(
        (Box::pin(events), Pulse::default()),
        |(mut events, mut pulse)| async move {
            let frame = match tokio::time::timeout(SILENCE, events.next()).await {
                Ok(event) => {
                    let event = event?;
                    pulse.hear(&event);
                    frame(&event)
                }
                Err(_) => pulse.beat(),
            };
            Some((frame, (events, pulse)))
        },
    )
}

/// What a stream was last about, and for how long it has been silent.
#[derive(Debug, Default)]
struct Pulse {
    step: Option<Value>,
    silences: u32,
}

impl Pulse {
    fn hear(&mut self, event: &Event) {
        self.silences = 0;
        let has_started = event.data.get("status").is_some_and(|status| status == "started");
        if event.name == "step" && has_started {
            self.step = event.data.get("step").cloned();
        }
    }

    /// The frame that fills a silence.
    fn beat(&mut self) -> Bytes {
        self.silences += 1;
        if !self.silences.is_multiple_of(SILENCES) {
            return Bytes::from_static(KEEPALIVE);
        }
        let (step, message) = match &self.step {
            Some(step) => (step.clone(), "The work goes on."),
            None => (json!("sync"), "An earlier run is waited for."),
        };
        frame(&Event {
            name: "step",
            data: json!({"step": step, "status": "progress", "message": message}),
        })
    }
}

fn frame(event: &Event) -> Bytes {
    let mut frame = format!("event: {}\ndata: ", event.name).into_bytes();
    let mut serializer = serde_json::Serializer::with_formatter(&mut frame, Ascii);
    // Writing a JSON value into memory cannot fail; were it to, the frame would hold no data and be passed over.
    if let Err(error) = event.data.serialize(&mut serializer) {
        tracing::error!(event = event.name, %error, "an event cannot be written as JSON");
    }
    frame.extend_from_slice(b"\n\n");
    Bytes::from(frame)
}

/// Compact JSON in which everything beyond ASCII is escaped.
struct Ascii;

impl Formatter for Ascii {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(|letter: char| !letter.is_ascii()) {
            let (plain, tail) = rest.split_at(at);
            writer.write_all(plain.as_bytes())?;
            let mut letters = tail.chars();
            if let Some(letter) = letters.next() {
                for unit in letter.encode_utf16(&mut [0; 2]) {
                    write!(writer, "\\u{unit:04x}")?;
                }
            }
            rest = letters.as_str();
        }
        writer.write_all(rest.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(data: Value) -> Event {
        Event { name: "step", data }
    }

    #[test]
    fn frame_is_ascii_on_two_lines_and_reads_back_as_it_was() {
        let data = json!({"name": "Ångström \u{2028}\u{85}\u{1f600}\r\n\u{1c}", "n": 1.5, "ö": [null, true]});
        let frame = frame(&event(data.clone()));
        let text = std::str::from_utf8(&frame).unwrap();
        assert!(text.is_ascii(), "{text}");
        let data_line = text
            .strip_prefix("event: step\ndata: ")
            .unwrap()
            .strip_suffix("\n\n")
            .unwrap();
        assert!(
            !data_line.contains(|letter: char| letter.is_ascii_control()),
            "{data_line:?}"
        );
        assert_eq!(serde_json::from_str::<Value>(data_line).unwrap(), data);
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_filled_with_comments_and_the_end_of_the_events_is_the_end_of_the_frames() {
        let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
        let events = stream::unfold(receiver, |mut receiver| async move {
            Some((receiver.recv().await?, receiver))
        });
        let mut frames = std::pin::pin!(frames(events));
        let start = tokio::time::Instant::now();
        assert_eq!(frames.next().await.unwrap(), KEEPALIVE);
        assert_eq!(start.elapsed(), SILENCE);
        sender.send(event(json!({}))).unwrap();
        drop(sender);
        assert_eq!(frames.next().await.unwrap(), "event: step\ndata: {}\n\n");
        assert_eq!(frames.next().await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn long_silence_of_a_step_is_broken_by_an_event_of_it() {
        let started = event(json!({"step": "backups", "status": "started"}));
        let row = event(json!({"step": "backup", "status": "completed"}));
        let mut frames = std::pin::pin!(frames(stream::iter([started, row]).chain(stream::pending())));
        frames.next().await.unwrap();
        frames.next().await.unwrap();
        for _ in 1..SILENCES {
            assert_eq!(frames.next().await.unwrap(), KEEPALIVE);
        }
        let expected = event(json!({"step": "backups", "status": "progress", "message": "The work goes on."}));
        assert_eq!(frames.next().await.unwrap(), frame(&expected));
        assert_eq!(frames.next().await.unwrap(), KEEPALIVE);
    }

    #[tokio::test(start_paused = true)]
    async fn stream_that_waits_for_its_turn_says_so() {
        let mut frames = std::pin::pin!(frames(stream::pending()));
        for _ in 1..SILENCES {
            assert_eq!(frames.next().await.unwrap(), KEEPALIVE);
        }
        let expected = event(json!({"step": "sync", "status": "progress", "message": "An earlier run is waited for."}));
        assert_eq!(frames.next().await.unwrap(), frame(&expected));
    }

    #[test]
    fn headers_keep_the_stream_from_being_cached_buffered_or_misread() {
        let response = response(stream::empty());
        let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(header("content-type"), "text/event-stream; charset=utf-8");
        assert_eq!(
            (header("cache-control"), header("x-accel-buffering")),
            ("no-cache".into(), "no".into())
        );
    }
}
