//! `mock-proxmox`: a Proxmox to test and play with.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};

use crate::proxmox::mock::{MockOptions, MockProxmox, ROOT_TOKEN, TOKEN_SECRET, World};

/// Serves a Proxmox VE that does not exist, over the real wire protocol.
#[derive(Debug, clap::Args)]
pub(super) struct MockProxmoxArgs {
    /// The port of its API, on loopback; 0 takes a free one.
    #[arg(long, default_value_t = 8006)]
    port: u16,
    /// The port where its estate can be changed and faults can be set, on loopback.
    #[arg(long)]
    control_port: Option<u16>,
    /// How many nodes it has; one is a standalone host.
    #[arg(long, default_value_t = 3)]
    nodes: usize,
    /// How many guests it has.
    #[arg(long, default_value_t = 55)]
    guests: usize,
}

/// Serves until the process is told to stop.
///
/// # Errors
///
/// Where a port cannot be opened.
pub(super) async fn run(arguments: &MockProxmoxArgs, stop: impl Future<Output = ()>) -> std::io::Result<()> {
    let on_loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let options = MockOptions {
        listen: on_loopback(arguments.port),
        control: arguments.control_port.map(on_loopback),
        ..MockOptions::default()
    };
    let mock = MockProxmox::start(options, World::estate(arguments.nodes, arguments.guests)).await?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "Proxmox VE (mock) on https://{}", mock.address())?;
    writeln!(out, "API token {ROOT_TOKEN}={TOKEN_SECRET}")?;
    writeln!(out, "certificate {}", mock.fingerprint())?;
    if let Some(address) = mock.control_address() {
        writeln!(out, "control port http://{address}")?;
    }
    drop(out);
    stop.await;
    mock.stop().await;
    Ok(())
}
