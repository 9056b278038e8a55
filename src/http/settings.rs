//! The settings in force: the environment, then the plugin's settings page, then the defaults of whoever uses them.
//!
//! The page is read in the background, never while a client waits.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::AppState;
use crate::config::Overrides;
use crate::error::ErrorKind;
use crate::netbox::{self, PluginSettings};

/// How long a page that was read is good.
const GOOD_FOR: Duration = Duration::from_mins(5);
/// When it is asked for again after it could not be read.
const AGAIN_AFTER: Duration = Duration::from_secs(10);

/// The settings in force; clones share them.
#[derive(Debug, Clone)]
pub struct Settings {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    overrides: Overrides,
    // A plain mutex: held to copy a pointer, never across an await.
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Clone, Default)]
struct State {
    effective: Arc<PluginSettings>,
    is_denied: bool,
}

impl Settings {
    /// What `overrides` set, until the plugin's page is read.
    pub fn new(overrides: Overrides) -> Self {
        let effective = Arc::new(overlay(PluginSettings::default(), &overrides));
        let state = State {
            effective,
            is_denied: false,
        };
        let shared = Shared {
            overrides,
            state: Mutex::new(state),
            changed: Notify::new(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// The settings in force. What is `None` is up to whoever uses it.
    pub fn effective(&self) -> Arc<PluginSettings> {
        self.state().effective
    }

    /// Whether NetBox said that its token may not see the plugin's settings.
    pub fn is_denied(&self) -> bool {
        self.state().is_denied
    }

    /// Has the plugin's page read again soon: the NetBox endpoint has changed.
    pub fn refresh_soon(&self) {
        self.shared.changed.notify_one();
    }

    fn state(&self) -> State {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn keep(&self, state: State) {
        *self.shared.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }

    /// Takes over what the plugin's page says, or keeps the last good copy. Answers when to read it again.
    fn take(&self, page: Result<PluginSettings, netbox::Error>) -> Duration {
        match page {
            Ok(page) => {
                warn_of_invalid(&page);
                let effective = Arc::new(overlay(page, &self.shared.overrides));
                self.keep(State {
                    effective,
                    is_denied: false,
                });
                GOOD_FOR
            }
            Err(error) => {
                warn!(%error, "plugin settings cannot be read");
                let is_denied = matches!(error.kind(), ErrorKind::Permission | ErrorKind::Authentication);
                self.keep(State {
                    is_denied,
                    ..self.state()
                });
                AGAIN_AFTER
            }
        }
    }
}

fn warn_of_invalid(page: &PluginSettings) {
    for setting in &page.invalid {
        warn!(setting = setting.key, problem = %setting.problem, "plugin setting ignored");
    }
}

/// Reads the plugin's page again and again until `stop`.
pub async fn keep_fresh(state: AppState, stop: CancellationToken) {
    let mut wait = if state.config.sync.skip_netbox_at_start {
        GOOD_FOR
    } else {
        Duration::ZERO
    };
    loop {
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = state.settings.shared.changed.notified() => {}
            () = stop.cancelled() => return,
        }
        wait = tokio::select! {
            wait = refresh(&state) => wait,
            () = stop.cancelled() => return,
        };
    }
}

async fn refresh(state: &AppState) -> Duration {
    match state.find_netbox(None).await {
        Ok(Some(client)) => state.settings.take(netbox::fetch_settings(&client).await),
        Ok(None) => GOOD_FOR,
        Err(error) => {
            debug!(?error, "no NetBox to read plugin settings from");
            AGAIN_AFTER
        }
    }
}

/// `page` where the environment says nothing.
fn overlay(mut page: PluginSettings, overrides: &Overrides) -> PluginSettings {
    fn set<T: Clone>(setting: &mut Option<T>, wanted: Option<&T>) {
        if let Some(wanted) = wanted {
            *setting = Some(wanted.clone());
        }
    }
    set(&mut page.netbox.timeout, overrides.netbox_timeout.as_ref());
    set(
        &mut page.netbox.max_concurrent,
        overrides.netbox_max_concurrent.as_ref(),
    );
    set(&mut page.netbox.max_retries, overrides.netbox_max_retries.as_ref());
    set(&mut page.netbox.retry_delay, overrides.netbox_retry_delay.as_ref());
    set(
        &mut page.netbox.write_concurrency,
        overrides.netbox_write_concurrency.as_ref(),
    );
    set(&mut page.proxmox.timeout, overrides.proxmox_timeout.as_ref());
    set(&mut page.proxmox.max_retries, overrides.proxmox_max_retries.as_ref());
    set(
        &mut page.proxmox.retry_backoff,
        overrides.proxmox_retry_backoff.as_ref(),
    );
    set(
        &mut page.proxmox.fetch_concurrency,
        overrides.proxmox_fetch_concurrency.as_ref(),
    );
    set(
        &mut page.proxmox.storage_fetch_concurrency,
        overrides.storage_fetch_concurrency.as_ref(),
    );
    set(
        &mut page.sync.ensure_netbox_objects,
        overrides.ensure_netbox_objects.as_ref(),
    );
    set(&mut page.sync.delete_orphans, overrides.delete_orphans.as_ref());
    set(
        &mut page.sync.node_device_name_template,
        overrides.node_device_name_template.as_ref(),
    );
    set(
        &mut page.expose_internal_errors,
        overrides.expose_internal_errors.as_ref(),
    );
    page
}
