//! `demo`: the whole service against a Proxmox and a NetBox that do not exist, on one screen.

mod plugin;
mod screen;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use uuid::Uuid;

use self::plugin::Plugin;
use self::screen::Screen;
use super::Failure;
use crate::app::{Service, Start};
use crate::config::Config;
use crate::netbox::standin::{Standin, StandinOptions};
use crate::proxmox::mock::{MockOptions, MockProxmox, World};
use crate::sync::Stage;

/// Shows the service at work. Nothing is needed and nothing stays behind.
#[derive(Debug, clap::Args)]
pub(super) struct DemoArgs {
    /// How many nodes the Proxmox has.
    #[arg(long, default_value_t = 3)]
    nodes: usize,
    /// How many guests it has.
    #[arg(long, default_value_t = 55)]
    guests: usize,
}

/// A folder that is deleted when dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> std::io::Result<Self> {
        let path = std::env::temp_dir().join(format!("proxbox-demo-{}", Uuid::new_v4()));
        fs::create_dir(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be deleted is left to the system's own clean-up.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Starts everything, runs every stage twice, and sums up; ends early when `stopped` does.
///
/// # Errors
///
/// Where a part does not start, a stage fails, or it was stopped.
pub(super) async fn run(arguments: &DemoArgs, stopped: impl Future<Output = ()>) -> Result<(), Failure> {
    let scratch = Scratch::new()?;
    let world = World::estate(arguments.nodes, arguments.guests);
    let proxmox = MockProxmox::start(MockOptions::default(), world).await?;
    let netbox = Standin::start(StandinOptions::default()).await?;
    let service = Service::start(Start::new(settings(&scratch)?)).await?;

    let shown = tokio::select! {
        shown = show(&service, &netbox, &proxmox) => shown,
        () = stopped => Err("stopped by a signal".into()),
    };

    service.stop().await;
    netbox.stop().await;
    proxmox.stop().await;
    shown
}

async fn show(service: &Service, netbox: &Standin, proxmox: &MockProxmox) -> Result<(), Failure> {
    let address = service.addresses().first().ok_or("the service has no address")?;
    let screen = Screen::new();
    screen.opening(*address, proxmox.address(), netbox.base_url())?;

    let plugin = Plugin::adopt(&format!("http://{address}"), netbox, proxmox.address()).await?;
    let first = round(&screen, "first run", &plugin, netbox).await?;
    let second = round(&screen, "second run, nothing has changed", &plugin, netbox).await?;
    screen.closing(netbox, &first, &second)
}

fn settings(scratch: &Scratch) -> Result<Config, Failure> {
    let database = scratch.0.join("database.db").to_string_lossy().into_owned();
    let key = Uuid::new_v4().to_string();
    let variables = [
        ("PORT", "0"),
        ("PROXBOX_BIND_HOST", "127.0.0.1"),
        ("PROXBOX_DATABASE_PATH", &database),
        ("PROXBOX_ENCRYPTION_KEY", &key),
    ];
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    Ok(Config::from_variables(BTreeMap::from(variables.map(owned)))?)
}

/// What one round over all stages cost.
struct Round {
    seconds: f64,
    reads: usize,
    writes: usize,
}

async fn round(screen: &Screen, title: &str, plugin: &Plugin, netbox: &Standin) -> Result<Round, Failure> {
    screen.title(title)?;
    netbox.clear_requests();
    let began = Instant::now();
    for stage in Stage::ORDER.iter().filter(|stage| **stage != Stage::Sdn) {
        let line = screen.stage(stage.as_str());
        let result = plugin.run(*stage, |message| line.progress(message)).await?;
        line.finish(&result);
    }
    let writes = netbox.writes().len();
    Ok(Round {
        seconds: began.elapsed().as_secs_f64(),
        reads: netbox.requests().len() - writes,
        writes,
    })
}
