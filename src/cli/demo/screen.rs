//! What the demo shows.

use std::net::SocketAddr;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::Value;

use super::Round;
use crate::cli::Failure;
use crate::netbox::standin::Standin;

/// The collections whose sizes are told at the end, and what one row is.
const COUNTED: &[(&str, &str)] = &[
    ("/api/dcim/devices/", "devices"),
    ("/api/dcim/interfaces/", "device interfaces"),
    ("/api/plugins/proxbox/storage/", "storages"),
    ("/api/virtualization/virtual-machines/", "virtual machines"),
    ("/api/virtualization/virtual-disks/", "virtual disks"),
    ("/api/virtualization/interfaces/", "VM interfaces"),
    ("/api/ipam/ip-addresses/", "IP addresses"),
    ("/api/plugins/proxbox/task-history/", "tasks"),
    ("/api/plugins/proxbox/backups/", "backups"),
    ("/api/plugins/proxbox/snapshots/", "snapshots"),
    ("/api/plugins/proxbox/replications/", "replications"),
    ("/api/plugins/proxbox/backup-routines/", "backup routines"),
];
const TICK: Duration = Duration::from_millis(100);

/// The terminal. Where there is none, only the ends of stages are shown.
pub(super) struct Screen {
    bars: MultiProgress,
}

/// The line of one stage.
pub(super) struct Line {
    bar: ProgressBar,
    bars: MultiProgress,
    name: &'static str,
}

impl Screen {
    pub(super) fn new() -> Self {
        Self {
            bars: MultiProgress::new(),
        }
    }

    fn say(&self, text: &str) -> Result<(), Failure> {
        self.bars.suspend(|| crate::cli::commands::say(text))
    }

    pub(super) fn opening(&self, service: SocketAddr, proxmox: SocketAddr, netbox: &str) -> Result<(), Failure> {
        self.say(&format!(
            "proxbox-api   http://{service}\nProxmox VE    https://{proxmox} (does not exist)\nNetBox        {netbox} (does not exist)"
        ))
    }

    pub(super) fn title(&self, title: &str) -> Result<(), Failure> {
        self.say(&format!("\n{title}"))
    }

    pub(super) fn stage(&self, name: &'static str) -> Line {
        let bar = self.bars.add(ProgressBar::new_spinner());
        if let Ok(style) = ProgressStyle::with_template("  {spinner} {prefix:18} {wide_msg}") {
            bar.set_style(style);
        }
        bar.set_prefix(name);
        bar.enable_steady_tick(TICK);
        Line {
            bar,
            bars: self.bars.clone(),
            name,
        }
    }

    pub(super) fn closing(&self, netbox: &Standin, first: &Round, second: &Round) -> Result<(), Failure> {
        self.say("\nwhat NetBox holds now")?;
        for (path, noun) in COUNTED {
            self.say(&format!("  {:>6} {noun}", netbox.count(path)))?;
        }
        self.say("\nwhat it took")?;
        for (name, round) in [("first run", first), ("second run", second)] {
            self.say(&format!(
                "  {name:10} {:6.2} s, {:4} reads and {:4} writes of NetBox",
                round.seconds, round.reads, round.writes
            ))?;
        }
        Ok(())
    }
}

impl Line {
    pub(super) fn progress(&self, message: &str) {
        self.bar.set_message(message.to_owned());
    }

    /// Ends the line with what the stage did.
    pub(super) fn finish(self, result: &Value) {
        let count = |name: &str| result.get(name).and_then(Value::as_u64).unwrap_or_default();
        // Where a stage calls every row in step created, as the plugin has it, it also says which ones are.
        let created = if result.get("rows_created").is_some() {
            "rows_created"
        } else {
            "created"
        };
        let text = format!(
            "  {:18} {:5} created {:5} updated {:5} deleted {:5} unchanged {:5} failed",
            self.name,
            count(created),
            count("updated"),
            count("deleted"),
            count("unchanged"),
            count("failed"),
        );
        self.bar.finish_and_clear();
        self.bars
            .suspend(|| crate::cli::commands::say(&text).unwrap_or_default());
    }
}
