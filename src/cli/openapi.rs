//! `openapi`: descriptions of Proxmox releases, and of what is served here.

use std::path::{Path, PathBuf};

use url::Url;

use super::Failure;
use super::commands::{block_on, say};
use crate::http;
use crate::proxmox::description::Description;
use crate::proxmox::{Fingerprint, TlsPolicy, viewer};

/// What to do with descriptions.
#[derive(Debug, clap::Subcommand)]
pub(super) enum OpenapiCommand {
    /// Makes a description from a host's own API viewer, or from a file: its apidoc.js, or an OpenAPI document of it.
    Import(ImportArgs),
    /// Prints the OpenAPI document of this service; openapi/proxbox-api.json is kept equal to it.
    Print,
}

/// From what, and to where.
#[derive(Debug, clap::Args)]
pub(super) struct ImportArgs {
    /// A file, or a URL such as <https://pve1.example.com:8006>.
    #[arg(long)]
    from: String,
    /// The release, such as 9.3; an OpenAPI document tells its own.
    #[arg(long, default_value = "")]
    release: String,
    /// The file to write, such as 9.3.json in `PROXBOX_GENERATED_DIR`; standard output where it is absent.
    #[arg(long)]
    to: Option<PathBuf>,
    /// The SHA-256 fingerprint of the host's certificate, where no authority vouches for it.
    #[arg(long)]
    fingerprint: Option<Fingerprint>,
}

/// Does what the command line says.
pub(super) fn run(command: &OpenapiCommand) -> Result<(), Failure> {
    match command {
        OpenapiCommand::Import(arguments) => import(arguments),
        OpenapiCommand::Print => say(&http::openapi_document().to_pretty_json()?),
    }
}

fn import(arguments: &ImportArgs) -> Result<(), Failure> {
    let text = match Url::parse(&arguments.from) {
        Ok(url) if url.has_host() => fetch(&url, arguments.fingerprint)?,
        Ok(_) | Err(_) => std::fs::read_to_string(Path::new(&arguments.from))?,
    };
    let description = Description::parse(&text, &arguments.release)?;
    if description.release().is_empty() {
        return Err("the release is not told: name it with --release".into());
    }
    match &arguments.to {
        Some(path) => {
            std::fs::write(path, description.to_compact())?;
            let (release, count) = (description.release(), description.len());
            say(&format!("{}: {count} operations of release {release}", path.display()))
        }
        None => say(description.to_compact().trim_end()),
    }
}

fn fetch(url: &Url, fingerprint: Option<Fingerprint>) -> Result<String, Failure> {
    let tls = TlsPolicy {
        fingerprints: fingerprint.into_iter().collect(),
        ..TlsPolicy::default()
    };
    block_on(async { Ok(viewer::fetch_script(url, &tls).await?) })
}
