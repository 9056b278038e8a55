//! The settings in force: the environment, then the plugin's settings page, then the defaults of whoever uses them.
//!
//! The page is read in the background; but the first run waits for it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::AppState;
use crate::config::Overrides;
use crate::error::ErrorKind;
use crate::netbox::settings::InvalidSetting;
use crate::netbox::{self, PluginSettings};
use crate::sync::{TEMPLATE_FORM, is_device_name_template};

/// How long a page that was read is good.
const GOOD_FOR: Duration = Duration::from_mins(5);
/// When it is asked for again after it could not be read.
const AGAIN_AFTER: Duration = Duration::from_secs(10);
/// How long a run waits for the first one.
const WAITED_FOR: Duration = Duration::from_secs(10);

/// The settings in force; clones share them.
#[derive(Debug, Clone)]
pub struct Settings {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    overrides: Overrides,
    // A plain mutex: held to look at the state and change it, never across an await.
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Clone, Default)]
struct State {
    effective: Arc<PluginSettings>,
    /// Whether the page could not be read when it was asked for last.
    is_failing: bool,
    /// Whether that was because NetBox does not show it to this token.
    is_denied: bool,
    /// Whether the plugin's page has been read.
    is_read: bool,
    /// How often another NetBox has been put in place of the one before.
    generation: u64,
}

impl Settings {
    /// What `overrides` set, until the plugin's page is read.
    pub fn new(overrides: Overrides) -> Self {
        let shared = Shared {
            state: Mutex::new(unread(&overrides, 0)),
            overrides,
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

    /// What the environment sets.
    pub fn overrides(&self) -> &Overrides {
        &self.shared.overrides
    }

    /// Whether the plugin's page has been read from the NetBox that is configured now.
    pub fn is_read(&self) -> bool {
        self.state().is_read
    }

    /// Whether NetBox said that its token may not see the plugin's settings.
    pub fn is_denied(&self) -> bool {
        self.state().is_denied
    }

    /// Forgets what the page of another NetBox said, and has that of this one read soon: the NetBox endpoint has changed.
    pub fn start_over(&self) {
        let mut state = self.lock();
        *state = unread(&self.shared.overrides, state.generation + 1);
        drop(state);
        self.shared.changed.notify_one();
    }

    fn state(&self) -> State {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over what the plugin's page says, or keeps the last good copy. Answers when to read it again: at once, where it
    /// was asked of a NetBox that is not the one of this `generation`.
    fn take(&self, page: Result<PluginSettings, netbox::Error>, generation: u64) -> Duration {
        let page = page.map(|mut page| {
            refuse_bad_template(&mut page);
            Arc::new(overlay(page, &self.shared.overrides))
        });
        let mut state = self.lock();
        if state.generation != generation {
            return Duration::ZERO;
        }
        match page {
            Ok(effective) => {
                let now = State {
                    effective: Arc::clone(&effective),
                    is_failing: false,
                    is_denied: false,
                    is_read: true,
                    generation,
                };
                let before = std::mem::replace(&mut *state, now);
                drop(state);
                before.tell_page(&effective);
                GOOD_FOR
            }
            Err(error) => {
                let is_denied = matches!(error.kind(), ErrorKind::Permission | ErrorKind::Authentication);
                let is_known = state.is_failing && state.is_denied == is_denied;
                (state.is_failing, state.is_denied) = (true, is_denied);
                drop(state);
                if is_known {
                    tell_failure_again(&error);
                } else {
                    warn_of_failure(&error);
                }
                AGAIN_AFTER
            }
        }
    }
}

impl State {
    /// Tells what is new of the page that comes after this state.
    fn tell_page(&self, page: &PluginSettings) {
        if self.is_failing {
            info!("plugin settings can be read again");
        }
        for setting in &page.invalid {
            if self.effective.invalid.contains(setting) {
                tell_invalid_again(setting);
            } else {
                warn_of_invalid(setting);
            }
        }
    }
}

fn warn_of_failure(error: &netbox::Error) {
    warn!(%error, "plugin settings cannot be read");
}

fn tell_failure_again(error: &netbox::Error) {
    debug!(%error, "plugin settings still cannot be read");
}

fn warn_of_invalid(setting: &InvalidSetting) {
    warn!(setting = setting.key, problem = %setting.problem, "plugin setting ignored");
}

fn tell_invalid_again(setting: &InvalidSetting) {
    debug!(setting = setting.key, problem = %setting.problem, "plugin setting still ignored");
}

/// Before the plugin's page is read.
fn unread(overrides: &Overrides, generation: u64) -> State {
    State {
        effective: Arc::new(overlay(PluginSettings::default(), overrides)),
        generation,
        ..State::default()
    }
}

fn refuse_bad_template(page: &mut PluginSettings) {
    let template = &mut page.sync.node_device_name_template;
    if template.as_deref().is_some_and(|text| !is_device_name_template(text)) {
        *template = None;
        page.invalid.push(InvalidSetting {
            key: "node_device_name_template",
            problem: format!("must be {TEMPLATE_FORM}"),
        });
    }
}

/// The settings in force for a run. One that comes before the plugin's page was ever read waits for that, but not for long:
/// it would call devices by other names than the page says.
pub(super) async fn read_once(state: &AppState) -> Arc<PluginSettings> {
    let known = state.settings.state();
    if !known.is_read && !known.is_denied {
        // Too late is as good as not at all: the run itself finds out what is wrong with NetBox.
        let _ = tokio::time::timeout(WAITED_FOR, refresh(state)).await;
    }
    state.settings.effective()
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
    let generation = state.settings.state().generation;
    match state.find_netbox(None).await {
        Ok(Some(client)) => state.settings.take(netbox::fetch_settings(&client).await, generation),
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use serde_json::json;
    use wiremock::matchers::{header, path};
    use wiremock::{Mock, MockServer, ResponseTemplate};

    use super::*;
    use crate::config::{Config, VARIABLES, Variable};
    use crate::endpoint::{EndpointId, EndpointKey, Source};
    use crate::http::jobs::Job;
    use crate::http::scope::Scope;
    use crate::http::targets::select;
    use crate::http::{Sisters, connect};
    use crate::mapping::names::DEFAULT_DEVICE_NAME;
    use crate::stages::Family;
    use crate::store::{
        NetBoxDraft, NetBoxSettings, ProxmoxDraft, ProxmoxSettings, SecretChange, Store, StoreOptions, TokenVersion,
    };
    use crate::sync::{EndpointFilter, Registry};
    use tokio_util::task::TaskTracker;
    use tracing::Level;
    use tracing::subscriber::with_default;
    use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

    const PAGE: &str = "/api/plugins/proxbox/settings/runtime/";

    /// A state whose NetBox is `server`, under these variables.
    async fn state(server: &MockServer, variables: &[(&str, &str)]) -> AppState {
        let pairs = [("HOME", "/home/proxbox")].into_iter().chain(variables.iter().copied());
        let variables: BTreeMap<_, _> = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let config = Config::from_variables(variables).unwrap();
        let options = StoreOptions {
            allow_plaintext: true,
            ..StoreOptions::default()
        };
        let store = Store::open(options).await.unwrap();
        let draft = NetBoxDraft {
            settings: NetBoxSettings {
                name: "main".to_owned(),
                ip_address: "127.0.0.1/32".to_owned(),
                domain: String::new(),
                port: server.address().port(),
                token_version: TokenVersion::V1,
                verify_ssl: false,
                ..NetBoxSettings::default()
            },
            token_key: SecretChange::Keep,
            token: SecretChange::Set(Some("token-of-the-service".to_owned().into())),
        };
        store.create_netbox_endpoint(draft).await.unwrap();
        AppState {
            substitute: None,
            settings: Settings::new(config.overrides.clone()),
            config: Arc::new(config),
            store,
            proxmox: Arc::default(),
            sisters: Sisters::default(),
            api: Arc::default(),
            netbox: Arc::default(),
            runs: Registry::new(None),
            tasks: TaskTracker::new(),
            stopping: CancellationToken::new(),
        }
    }

    async fn answer(server: &MockServer, answer: ResponseTemplate) {
        server.reset().await;
        let release = ResponseTemplate::new(403).insert_header("API-Version", "4.7");
        let status = Mock::given(path("/api/status/")).respond_with(release);
        status.mount(server).await;
        let page = Mock::given(path(PAGE)).and(header("authorization", "Token token-of-the-service"));
        page.respond_with(answer).mount(server).await;
    }

    #[tokio::test]
    async fn environment_wins_over_the_page_and_the_page_over_the_default() {
        let server = MockServer::start().await;
        let page = json!({"netbox_timeout": 33, "netbox_max_concurrent": 3, "delete_orphans": true});
        answer(&server, ResponseTemplate::new(200).set_body_json(page)).await;
        let state = state(
            &server,
            &[("PROXBOX_NETBOX_TIMEOUT", "44"), ("PROXBOX_DELETE_ORPHANS", "no")],
        )
        .await;
        let before = state.settings.effective();
        assert_eq!(
            (before.netbox.timeout, before.netbox.max_concurrent),
            (Some(Duration::from_secs(44)), None)
        );
        assert_eq!(refresh(&state).await, GOOD_FOR);
        let after = state.settings.effective();
        assert_eq!(
            (after.netbox.timeout, after.netbox.max_concurrent),
            (Some(Duration::from_secs(44)), Some(3))
        );
        assert_eq!(after.sync.delete_orphans, Some(false));
        assert_eq!(after.netbox.max_retries, None, "left to whoever uses it");
    }

    /// The run that a request without parameters asks for.
    async fn job(state: &AppState, query: &[(&str, &str)]) -> Job {
        let query = query
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let scope = Scope {
            filter: EndpointFilter::default(),
            query: query.collect(),
        };
        let selected = select(state, &scope.filter).await.unwrap();
        Job::between(state, &scope, None, selected).await.unwrap()
    }

    #[tokio::test]
    async fn page_of_another_netbox_holds_no_longer() {
        let server = MockServer::start().await;
        let page = json!({"delete_orphans": true, "node_device_name_template": "{node}-stg"});
        answer(&server, ResponseTemplate::new(200).set_body_json(page)).await;
        let state = state(&server, &[("PROXBOX_NETBOX_TIMEOUT", "44")]).await;
        assert!(job(&state, &[]).await.context.delete_orphans);
        let asked_before = state.settings.state().generation;
        answer(&server, ResponseTemplate::new(403)).await;
        state.settings.start_over();
        assert!(!job(&state, &[]).await.context.delete_orphans);
        let effective = state.settings.effective();
        assert_eq!(effective.sync.node_device_name_template, None);
        assert_eq!(effective.netbox.timeout, Some(Duration::from_secs(44)));
        assert!(state.settings.is_denied());
        let late = PluginSettings::from_answer(&json!({"delete_orphans": true}));
        assert_eq!(state.settings.take(Ok(late), asked_before), Duration::ZERO);
        assert_eq!(state.settings.effective().sync.delete_orphans, None);
    }

    #[tokio::test]
    async fn listed_defaults_of_what_the_page_offers_too_are_what_holds_without_them() {
        let config = |variable: &Variable| {
            let pairs = [("HOME", "/home/proxbox"), (variable.name, variable.default)];
            let owned = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
            Config::from_variables(owned.into_iter().collect())
        };
        let is_override = |variable: &&Variable| {
            let config = config(variable);
            config.is_ok_and(|config| config.overrides != Overrides::default())
        };
        let listed: Vec<_> = VARIABLES.iter().filter(is_override).collect();
        let listed: Vec<_> = listed
            .iter()
            .map(|variable| (variable.name, variable.default))
            .collect();
        let server = MockServer::start().await;
        answer(&server, ResponseTemplate::new(200).set_body_json(json!({}))).await;
        let (set, unset) = (state(&server, &listed).await, state(&server, &[]).await);
        let overrides = set.settings.overrides();
        // All but the one without a default, so that nothing is left out below.
        let left = format!("{overrides:?}").matches("None").count();
        assert_eq!((left, overrides.netbox_max_concurrent), (1, None), "{overrides:?}");
        let held = async |state: &AppState| {
            let row = state.store.list_netbox_endpoints().await.unwrap().remove(0);
            let netbox = state.netbox_endpoint(&row).await.unwrap();
            let row = state.store.create_proxmox_endpoint(host()).await.unwrap();
            let secrets = state.store.proxmox_secrets(&row).await.unwrap();
            let key = EndpointKey {
                id: EndpointId(row.id),
                source: Source::Database,
            };
            let proxmox = connect::endpoint(key, &row, &secrets, &state.settings.effective().proxmox).unwrap();
            let run = job(state, &[]).await;
            format!("{netbox:?} {proxmox:?} {}", run.context.delete_orphans)
        };
        assert_eq!(held(&set).await, held(&unset).await);
        assert_eq!(overrides.expose_internal_errors, Some(false));
        assert_eq!(
            overrides.node_device_name_template.as_deref(),
            Some(DEFAULT_DEVICE_NAME)
        );
    }

    fn host() -> ProxmoxDraft {
        ProxmoxDraft {
            settings: ProxmoxSettings {
                name: "lab".to_owned(),
                ip_address: "127.0.0.1".to_owned(),
                username: "root@pam".to_owned(),
                ..ProxmoxSettings::default()
            },
            token_name: None,
            password: SecretChange::Set(Some("password".to_owned().into())),
            token_value: SecretChange::Keep,
        }
    }

    /// Counts warnings.
    struct Warnings(Arc<AtomicUsize>);

    impl<S: tracing::Subscriber> Layer<S> for Warnings {
        fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
            if *event.metadata().level() == Level::WARN {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    #[test]
    fn what_is_wrong_is_warned_of_once_and_again_after_it_was_right() {
        let count = Arc::new(AtomicUsize::new(0));
        let settings = Settings::new(Overrides::default());
        let page = |row: serde_json::Value| Ok(PluginSettings::from_answer(&row));
        let down = |last: &str| Err(netbox::Error::Down { last: last.to_owned() });
        let denied = || {
            Err(netbox::Error::PermissionDenied {
                path: PAGE.to_owned(),
                detail: String::new(),
            })
        };
        let bad = || page(json!({"netbox_timeout": "soon"}));
        let worse = || page(json!({"netbox_timeout": "soon", "delete_orphans": "perhaps"}));
        let cases = [
            (bad(), 1),
            (bad(), 0),
            (worse(), 1),
            (page(json!({})), 0),
            (bad(), 1),
            (down("no answer in time"), 1),
            (down("no connection"), 0),
            (denied(), 1),
            (denied(), 0),
            (down("no connection"), 1),
            (bad(), 0),
            (denied(), 1),
        ];
        with_default(
            tracing_subscriber::registry().with(Warnings(Arc::clone(&count))),
            || {
                for (number, (answer, expected)) in cases.into_iter().enumerate() {
                    settings.take(answer, 0);
                    assert_eq!(count.swap(0, Ordering::Relaxed), expected, "case {number}");
                }
            },
        );
    }

    #[test]
    fn answer_of_the_netbox_before_never_holds_once_another_is_in_its_place() {
        let settings = Settings::new(Overrides::default());
        let page = PluginSettings::from_answer(&json!({"delete_orphans": true}));
        for generation in 0..1000 {
            let both = std::sync::Barrier::new(2);
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    both.wait();
                    settings.take(Ok(page.clone()), generation);
                });
                both.wait();
                settings.start_over();
            });
            let state = settings.state();
            assert_eq!((state.generation, state.is_read), (generation + 1, false));
        }
    }

    #[tokio::test]
    async fn first_run_waits_for_the_page_and_the_next_do_not_ask_again() {
        let server = MockServer::start().await;
        let page = json!({"delete_orphans": true});
        answer(&server, ResponseTemplate::new(200).set_body_json(page)).await;
        let state = state(&server, &[]).await;
        for _ in 0..2 {
            assert!(job(&state, &[]).await.context.delete_orphans);
        }
        let asked = server.received_requests().await.unwrap();
        assert_eq!(asked.iter().filter(|request| request.url.path() == PAGE).count(), 1);
    }

    #[tokio::test]
    async fn page_says_what_a_request_leaves_open() {
        let server = MockServer::start().await;
        let page = json!({"ignore_ipv6_link_local_addresses": false, "primary_ip_preference": "ipv6"});
        answer(&server, ResponseTemplate::new(200).set_body_json(page)).await;
        let state = state(&server, &[]).await;
        let guests = job(&state, &[]).await.request.options.guests;
        assert_eq!((guests.ignore_link_local, guests.primary_family), (false, Family::V6));
        let guests = job(&state, &[("ignore_ipv6_link_local_addresses", "true")]).await;
        assert!(guests.request.options.guests.ignore_link_local);
    }

    #[tokio::test]
    async fn template_that_names_no_node_is_told_and_passed_over() {
        let server = MockServer::start().await;
        let page = json!({"node_device_name_template": "{name}.lab"});
        answer(&server, ResponseTemplate::new(200).set_body_json(page)).await;
        let state = state(&server, &[]).await;
        refresh(&state).await;
        let effective = state.settings.effective();
        assert_eq!(effective.sync.node_device_name_template, None);
        assert_eq!(effective.invalid[0].key, "node_device_name_template");
    }

    #[tokio::test]
    async fn requests_have_the_limits_that_somebody_has_set() {
        let server = MockServer::start().await;
        let untouched = json!({"netbox_max_concurrent": 1, "netbox_write_concurrency": 8});
        for (page, variables, expected) in [
            (&untouched, &[][..], (8, 4, None)),
            (&untouched, &[("PROXBOX_NETBOX_MAX_CONCURRENT", "2")], (2, 4, Some(2))),
            (&untouched, &[("PROXBOX_NETBOX_WRITE_CONCURRENCY", "8")], (8, 8, None)),
            (&json!({"netbox_max_concurrent": 3}), &[], (3, 4, Some(3))),
            (&json!({"netbox_write_concurrency": 6}), &[], (8, 6, None)),
            (
                &json!({"netbox_max_concurrent": 20, "netbox_write_concurrency": 6}),
                &[],
                (20, 6, Some(20)),
            ),
        ] {
            answer(&server, ResponseTemplate::new(200).set_body_json(page)).await;
            let state = state(&server, variables).await;
            refresh(&state).await;
            let row = state.store.list_netbox_endpoints().await.unwrap().remove(0);
            let limits = state.netbox_endpoint(&row).await.unwrap().limits;
            assert_eq!(
                (limits.read, limits.write, limits.total),
                expected,
                "{page} {variables:?}"
            );
        }
    }

    #[tokio::test]
    async fn proxmox_is_asked_side_by_side_as_the_query_says_then_the_environment_then_the_page() {
        let server = MockServer::start().await;
        let environment = ("PROXBOX_PROXMOX_FETCH_CONCURRENCY", "5");
        for (query, variables, page, expected) in [
            (Some("2"), &[environment][..], 3, Some(2)),
            (None, &[environment], 3, Some(5)),
            (None, &[], 3, Some(3)),
            (None, &[], 8, None),
        ] {
            let page = json!({"proxmox_fetch_concurrency": page});
            answer(&server, ResponseTemplate::new(200).set_body_json(&page)).await;
            let state = state(&server, variables).await;
            refresh(&state).await;
            let query: Vec<_> = query
                .map(|count| ("fetch_max_concurrency", count))
                .into_iter()
                .collect();
            let job = job(&state, &query).await;
            assert_eq!(job.request.fetch_max_concurrency, expected, "{page} {query:?}");
        }
    }

    #[tokio::test]
    async fn refusal_is_told_and_the_last_good_page_is_kept() {
        let server = MockServer::start().await;
        answer(
            &server,
            ResponseTemplate::new(200).set_body_json(json!({"netbox_timeout": 33})),
        )
        .await;
        let state = state(&server, &[("PROXBOX_NETBOX_MAX_RETRIES", "0")]).await;
        refresh(&state).await;
        let refusal = json!({"detail": "You do not have permission to perform this action."});
        answer(&server, ResponseTemplate::new(403).set_body_json(refusal)).await;
        assert_eq!(refresh(&state).await, AGAIN_AFTER);
        assert!(state.settings.is_denied());
        assert_eq!(state.settings.effective().netbox.timeout, Some(Duration::from_secs(33)));
        answer(&server, ResponseTemplate::new(200).set_body_json(json!({}))).await;
        refresh(&state).await;
        assert!(!state.settings.is_denied());
        assert_eq!(
            state.settings.effective().netbox.timeout,
            None,
            "the new page says nothing of it"
        );
    }
}
