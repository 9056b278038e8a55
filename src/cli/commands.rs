//! What the commands do.

use std::error::Error as StdError;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use tokio::runtime::Builder;

use super::demo::DemoArgs;
use super::mock_proxmox::MockProxmoxArgs;
use super::{Failure, demo, mock_proxmox};
use crate::config::Config;
use crate::{app, telemetry};

/// Tells on standard error why a command failed.
pub(super) fn fail(error: &dyn StdError) -> ExitCode {
    let mut text = format!("error: {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}\n  because {cause}");
        source = cause.source();
    }
    // There is nobody left to tell where this cannot be written.
    let _ = writeln!(std::io::stderr(), "{text}");
    ExitCode::FAILURE
}

/// Writes `text` to standard output.
pub(super) fn say(text: &str) -> Result<(), Failure> {
    Ok(writeln!(std::io::stdout(), "{text}")?)
}

pub(super) fn serve(config: Config) -> Result<(), Failure> {
    telemetry::start(config.log);
    let runtime = Builder::new_multi_thread().enable_all().build()?;
    let served = runtime.block_on(app::run(app::Start::new(config)));
    // What was cut off must not keep the process alive.
    runtime.shutdown_background();
    Ok(served?)
}

/// Runs a short command to its end.
pub(super) fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    Builder::new_current_thread().enable_all().build()?.block_on(work)
}

pub(super) fn migrate(config: &Config) -> Result<(), Failure> {
    block_on(async {
        app::open_store(config).await?.close().await;
        say(&format!("{} is up to date", config.database.display()))
    })
}

pub(super) fn import_reference(config: &Config, file: &Path) -> Result<(), Failure> {
    block_on(async {
        let store = app::open_store(config).await?;
        let report = store.import_reference(file, config.encryption.key.as_ref()).await?;
        store.close().await;
        for (table, rows) in &report.copied {
            say(&format!("{table}: {rows} copied"))?;
        }
        for (table, rows) in &report.skipped {
            say(&format!("{table}: {rows} were here already"))?;
        }
        for table in &report.left_out {
            say(&format!("{table}: left out, it has no place here"))?;
        }
        for refused in &report.refused {
            say(&format!("not taken: {refused}"))?;
        }
        if report.refused.is_empty() {
            Ok(())
        } else {
            Err("some rows could not be taken".into())
        }
    })
}

pub(super) fn demo(arguments: &DemoArgs) -> Result<(), Failure> {
    let runtime = Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut signals = app::Signals::listen()?;
        demo::run(arguments, signals.next()).await
    })
}

pub(super) fn mock_proxmox(arguments: &MockProxmoxArgs) -> Result<(), Failure> {
    block_on(async {
        let mut signals = app::Signals::listen()?;
        Ok(mock_proxmox::run(arguments, signals.next()).await?)
    })
}

pub(super) fn reseal(config: &Config) -> Result<(), Failure> {
    block_on(async {
        let store = app::open_store(config).await?;
        let count = store.reseal_all().await?;
        store.close().await;
        say(&format!("{count} secrets sealed anew"))
    })
}
