//! The command line.

mod commands;
mod healthcheck;
mod settings;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::Config;

/// Keeps NetBox true to what Proxmox VE really runs.
///
/// Settings come from the environment; `proxbox-api settings` lists them.
#[derive(Debug, Parser)]
#[command(name = "proxbox-api", version, about, long_about)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serves until it is told to stop. This is what is done without a command.
    Serve,
    /// Brings the database up to date, and stops.
    Migrate,
    /// Copies endpoints and API keys of a database of the Python service. That file is not changed.
    ImportReference {
        /// The database file.
        file: PathBuf,
    },
    /// Seals every stored secret anew with the active key.
    Reseal,
    /// Asks the service on this host whether it is ready; for containers.
    Healthcheck,
    /// Checks the environment, and lists every setting with its value.
    Settings,
}

/// Does what the command line says.
pub fn main() -> ExitCode {
    let command = Arguments::parse().command.unwrap_or(Command::Serve);
    let config = match Config::from_env() {
        Ok(config) => config,
        Err(error) => return commands::fail(&error),
    };
    let done = match command {
        Command::Serve => commands::serve(config),
        Command::Migrate => commands::migrate(&config),
        Command::ImportReference { file } => commands::import_reference(&config, &file),
        Command::Reseal => commands::reseal(&config),
        Command::Healthcheck => healthcheck::run(&config),
        Command::Settings => settings::print(&config),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => commands::fail(error.as_ref()),
    }
}

/// Why a command failed.
type Failure = Box<dyn std::error::Error>;
