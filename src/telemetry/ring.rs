//! The latest records, in memory.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use time::OffsetDateTime;
use tokio::sync::watch;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::{LookupSpan, Scope};

use super::redact::redact;

/// How many records are kept.
const KEPT: usize = 10_000;

/// A record.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Its number, counted from 1 since the start.
    pub id: u64,
    /// When it was made.
    pub at: OffsetDateTime,
    /// How grave it is.
    pub level: Level,
    /// The module that made it.
    pub target: &'static str,
    /// Its message.
    pub message: String,
    /// Its fields and those of the spans around it, such as `run.id`.
    pub fields: BTreeMap<&'static str, String>,
}

/// The latest records; clones share them.
#[derive(Debug, Clone)]
pub struct Ring {
    // A plain mutex: held to push or copy, never across an await.
    records: Arc<Mutex<VecDeque<Arc<Record>>>>,
    latest: watch::Sender<u64>,
}

impl Default for Ring {
    fn default() -> Self {
        Self {
            records: Arc::default(),
            latest: watch::Sender::new(0),
        }
    }
}

impl Ring {
    /// The records that are kept, oldest first.
    pub fn records(&self) -> Vec<Arc<Record>> {
        self.records
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .cloned()
            .collect()
    }

    /// The number of the latest record, and word of each new one.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.latest.subscribe()
    }

    pub(super) fn layer(&self) -> RingLayer {
        RingLayer(self.clone())
    }

    fn push(&self, level: Level, target: &'static str, mut fields: Fields) {
        let message = fields.0.remove("message").unwrap_or_default();
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        let id = records.back().map_or(0, |record| record.id) + 1;
        if records.len() >= KEPT {
            records.pop_front();
        }
        records.push_back(Arc::new(Record {
            id,
            at: OffsetDateTime::now_utc(),
            level,
            target,
            message,
            fields: fields.0,
        }));
        self.latest.send_replace(id);
    }
}

/// Fields by name, without secrets.
#[derive(Debug, Clone, Default)]
struct Fields(BTreeMap<&'static str, String>);

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), redact(value).into_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name(), redact(&format!("{value:?}")).into_owned());
    }
}

/// Puts every record into the ring.
pub(super) struct RingLayer(Ring);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for RingLayer {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        for span in context.event_scope(event).into_iter().flat_map(Scope::from_root) {
            if let Some(of_span) = span.extensions().get::<Fields>() {
                fields.0.extend(of_span.0.clone());
            }
        }
        event.record(&mut fields);
        self.0
            .push(*event.metadata().level(), event.metadata().target(), fields);
    }
}
