//! Logging: where records go, how they look, and what is taken out of them.
//!
//! Records go to standard output. Secrets are not logged in the first place; what looks like one is taken out all the
//! same.

mod redact;
mod writer;

use std::io::IsTerminal;
use std::panic;

use tracing::{Level, error};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry};

use crate::config::{Log, LogFormat, LogLevel};
use writer::Redacted;

/// Starts logging for the whole process. Panics are logged too. A second call has no effect.
pub fn start(log: Log) {
    let is_terminal = std::io::stdout().is_terminal();
    let subscriber = Registry::default().with(printer(log, is_terminal, std::io::stdout));
    if subscriber.try_init().is_ok() {
        panic::set_hook(Box::new(log_panic));
    }
}

/// Prints records to `output`.
fn printer<W>(log: Log, is_terminal: bool, output: W) -> Box<dyn Layer<Registry> + Send + Sync>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let output = Redacted(output);
    let filter = filter(level(log.level));
    match log.format {
        LogFormat::Json => {
            let layer = tracing_subscriber::fmt::layer()
                .json()
                .flatten_event(true)
                .with_writer(output);
            layer.with_filter(filter).boxed()
        }
        LogFormat::Text => {
            let layer = tracing_subscriber::fmt::layer()
                .with_ansi(is_terminal)
                .with_writer(output);
            layer.with_filter(filter).boxed()
        }
    }
}

const fn level(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Warning => LevelFilter::WARN,
        LogLevel::Error => LevelFilter::ERROR,
    }
}

/// Our own records from `level` on; of the libraries only what is grave.
fn filter(level: LevelFilter) -> Targets {
    let libraries = level.min(LevelFilter::from_level(Level::WARN));
    Targets::new()
        .with_default(libraries)
        .with_target(env!("CARGO_CRATE_NAME"), level)
}

fn log_panic(info: &panic::PanicHookInfo<'_>) {
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    let message = info.payload_as_str().unwrap_or_default();
    error!(place, message, "panicked");
}

#[cfg(test)]
mod tests;
