//! The command line.

mod commands;
mod demo;
mod healthcheck;
mod mock_proxmox;
mod openapi;
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
    /// Serves a Proxmox that does not exist, to play with.
    MockProxmox(mock_proxmox::MockProxmoxArgs),
    /// Shows the service at work against a Proxmox and a NetBox that do not exist.
    Demo(demo::DemoArgs),
    /// Descriptions of Proxmox's API and of this service's own.
    #[command(subcommand)]
    Openapi(openapi::OpenapiCommand),
    /// Asks the service on this host whether it is ready; for containers.
    Healthcheck,
    /// Checks the environment, and lists every setting with its meaning and default.
    Settings,
}

/// Does what the command line says.
pub fn main() -> ExitCode {
    let command = Arguments::parse().command.unwrap_or(Command::Serve);
    match run(command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => commands::fail(error.as_ref()),
    }
}

fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Serve => commands::serve(Config::from_env()?),
        Command::Migrate => commands::migrate(&Config::from_env()?),
        Command::ImportReference { file } => commands::import_reference(&Config::from_env()?, &file),
        Command::Reseal => commands::reseal(&Config::from_env()?),
        Command::MockProxmox(arguments) => commands::mock_proxmox(&arguments),
        Command::Demo(arguments) => commands::demo(&arguments),
        Command::Openapi(command) => openapi::run(&command),
        Command::Healthcheck => healthcheck::run(&Config::from_env()?),
        Command::Settings => settings::print(&Config::from_env()?),
    }
}

/// Why a command failed.
type Failure = Box<dyn std::error::Error>;
