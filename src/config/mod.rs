//! Every environment variable, its unit and its default; read once at start.
//!
//! [`VARIABLES`] is the list for people, [`Config`] the values for the program. A value that cannot be used stops the
//! start with its variable, what is wrong, and an example. Settings that the plugin offers too are `None` here unless the
//! environment sets them: environment, then plugin, then default.

mod database;
mod listen;
mod problem;
mod reader;
mod tuning;
mod variables;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use secrecy::SecretString;

pub use listen::{Listen, Tls};
pub use problem::{Invalid, Problem};
use reader::Reader;
pub use tuning::Overrides;
pub use variables::{VARIABLES, Variable};

/// What the environment says.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where requests come in.
    pub listen: Listen,
    /// The database file, absolute.
    pub database: PathBuf,
    /// Where descriptions of further Proxmox releases lie.
    pub api_folder: Option<PathBuf>,
    /// What secrets are sealed with.
    pub encryption: Encryption,
    /// API keys and failed sign-ins.
    pub auth: Auth,
    /// Who may ask, and how often.
    pub access: Access,
    /// What is logged, and how.
    pub log: Log,
    /// The mock mode.
    pub mock: Mock,
    /// What runs may do.
    pub sync: Sync,
    /// Whether InfluxDB may be asked without a look at its certificate.
    pub allow_insecure_influx: bool,
    /// Settings that win over those of the plugin.
    pub overrides: Overrides,
    /// Variables that are set and will not do what was hoped for, in words for the log.
    pub notices: Vec<String>,
}

/// What secrets are sealed with.
#[derive(Debug, Clone)]
pub struct Encryption {
    /// The key text.
    pub key: Option<SecretString>,
    /// The key file; made where there is no key text.
    pub key_file: PathBuf,
    /// Key texts that open what they sealed, and seal nothing any more.
    pub old_keys: Vec<SecretString>,
    /// Whether secrets may be stored as plain text where there is no key.
    pub allow_plaintext: bool,
}

/// API keys and failed sign-ins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Auth {
    /// Failures of one key from one source until it is locked.
    pub lockout_threshold: u32,
    /// Failures of one source until it is locked.
    pub lockout_source_threshold: u32,
    /// How long failures count together, and how long a lock lasts at the most.
    pub lockout_window: Duration,
    /// How many counts are kept.
    pub lockout_max_buckets: u32,
    /// How many API keys may be active.
    pub max_active_keys: u32,
}

/// Who may ask, and how often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// Requests of one source in a minute.
    pub rate_limit: u32,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Origins of browser pages that may ask, besides those of the NetBox endpoint.
    pub cors_origins: Vec<String>,
}

/// What is logged, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Log {
    /// The lowest level that is printed.
    pub level: LogLevel,
    /// How records look.
    pub format: LogFormat,
}

/// How grave a log record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// Every object.
    Debug,
    /// Every stage and request.
    Info,
    /// Went on with less.
    Warning,
    /// Someone must act.
    Error,
}

/// How log records look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines for people, with colours on a terminal.
    Text,
    /// One JSON object per line.
    Json,
}

/// The mock mode: a Proxmox of our own instead of real ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mock {
    /// Whether it is on.
    pub is_on: bool,
    /// Whether it may write to a NetBox that is not on a loopback address.
    pub allow_remote_netbox: bool,
}

/// What runs may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sync {
    /// A plan that retires more than this share of the rows, in percent …
    pub shrink_percent: u8,
    /// … and at least this many is refused.
    pub shrink_rows: usize,
    /// How old a sync-state time stamp may grow; zero: it is written by every run.
    pub stamp_interval: Duration,
    /// How long what one run has read of Proxmox serves the next; zero: not at all.
    pub inventory_ttl: Duration,
    /// How long a guest agent may take to answer.
    pub agent_timeout: Duration,
    /// Whether the state of guests' links, their largest packets and the VLANs of their trunks are kept too.
    pub links: bool,
    /// Whether NetBox is left alone at start.
    pub skip_netbox_at_start: bool,
}

impl Config {
    /// Reads the environment of this process.
    ///
    /// # Errors
    ///
    /// [`Invalid`] with every value that cannot be used.
    pub fn from_env() -> Result<Self, Invalid> {
        let pairs = std::env::vars_os().filter_map(|(name, value)| {
            let name = name.into_string().ok()?;
            Some((name, value.to_string_lossy().into_owned()))
        });
        Self::from_variables(pairs.collect())
    }

    /// Reads `variables`, by name.
    ///
    /// # Errors
    ///
    /// [`Invalid`] with every value that cannot be used.
    pub fn from_variables(variables: BTreeMap<String, String>) -> Result<Self, Invalid> {
        let mut reader = Reader::new(variables);
        let database = database::path(&mut reader);
        let config = Self {
            listen: listen::read(&mut reader),
            api_folder: reader.path("PROXBOX_GENERATED_DIR"),
            encryption: encryption(&mut reader, &database),
            database,
            auth: auth(&mut reader),
            access: access(&mut reader),
            log: log(&mut reader),
            mock: mock(&mut reader),
            sync: sync(&mut reader),
            allow_insecure_influx: reader.flag("PROXBOX_ALLOW_INSECURE_INFLUX_TLS").unwrap_or_default(),
            overrides: tuning::read(&mut reader),
            notices: reader.notices(),
        };
        reader.finish().map(|()| config)
    }
}

fn encryption(reader: &mut Reader, database: &std::path::Path) -> Encryption {
    let old = reader.list("PROXBOX_ENCRYPTION_OLD_KEYS");
    Encryption {
        key: reader.secret("PROXBOX_ENCRYPTION_KEY"),
        key_file: reader
            .path("PROXBOX_ENCRYPTION_KEY_FILE")
            .unwrap_or_else(|| database.with_file_name("encryption.key")),
        old_keys: old.into_iter().map(SecretString::from).collect(),
        allow_plaintext: reader.flag("PROXBOX_ALLOW_PLAINTEXT_CREDENTIALS").unwrap_or_default(),
    }
}

fn auth(reader: &mut Reader) -> Auth {
    let window = reader.number("PROXBOX_AUTH_LOCKOUT_WINDOW_SECONDS", 1..=86_400);
    Auth {
        lockout_threshold: reader.number("PROXBOX_AUTH_LOCKOUT_THRESHOLD", 1..=100).unwrap_or(5),
        lockout_source_threshold: reader
            .number("PROXBOX_AUTH_LOCKOUT_SOURCE_THRESHOLD", 1..=100_000)
            .unwrap_or(50),
        lockout_window: Duration::from_secs(window.unwrap_or(300)),
        lockout_max_buckets: reader
            .number("PROXBOX_AUTH_LOCKOUT_MAX_BUCKETS", 2..=1_000_000)
            .unwrap_or(10_000),
        max_active_keys: reader.number("PROXBOX_AUTH_MAX_ACTIVE_KEYS", 1..=1024).unwrap_or(32),
    }
}

fn access(reader: &mut Reader) -> Access {
    Access {
        rate_limit: reader.number("PROXBOX_RATE_LIMIT", 1..=1_000_000).unwrap_or(300),
        trusted_proxies: reader.networks("PROXBOX_TRUSTED_PROXIES"),
        cors_origins: reader.origins("PROXBOX_CORS_EXTRA_ORIGINS"),
    }
}

fn log(reader: &mut Reader) -> Log {
    let levels = [
        ("debug", LogLevel::Debug),
        ("info", LogLevel::Info),
        ("warning", LogLevel::Warning),
        ("warn", LogLevel::Warning),
        ("error", LogLevel::Error),
        ("critical", LogLevel::Error),
    ];
    let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
    Log {
        level: reader.choice("PROXBOX_LOG_LEVEL", &levels).unwrap_or(LogLevel::Info),
        format: reader.choice("PROXBOX_LOG_FORMAT", &formats).unwrap_or(LogFormat::Text),
    }
}

fn mock(reader: &mut Reader) -> Mock {
    let modes = [("mock", true), ("real", false)];
    let is_on = reader.choice("PROXMOX_API_MODE", &modes);
    let is_testing = reader.flag("TESTING").unwrap_or_default();
    Mock {
        is_on: is_on.unwrap_or(is_testing),
        allow_remote_netbox: reader.flag("PROXBOX_MOCK_ALLOW_REMOTE_NETBOX").unwrap_or_default(),
    }
}

fn sync(reader: &mut Reader) -> Sync {
    const DAY: Duration = Duration::from_hours(24);
    const INVENTORY: Duration = Duration::from_secs(30);
    const AGENT: Duration = Duration::from_secs(15);
    Sync {
        shrink_percent: reader.number("PROXBOX_SHRINK_LIMIT_PERCENT", 0..=100).unwrap_or(30),
        shrink_rows: reader.number("PROXBOX_SHRINK_LIMIT_ROWS", 1..=1_000_000).unwrap_or(10),
        stamp_interval: reader
            .seconds("PROXBOX_SYNC_STAMP_INTERVAL", 0.0..=31_536_000.0)
            .unwrap_or(DAY),
        inventory_ttl: reader
            .seconds("PROXBOX_INVENTORY_TTL", 0.0..=600.0)
            .unwrap_or(INVENTORY),
        agent_timeout: reader
            .seconds("PROXBOX_GUEST_AGENT_TIMEOUT", 1.0..=600.0)
            .unwrap_or(AGENT),
        links: reader.flag("PROXBOX_SYNC_VM_LINKS").unwrap_or_default(),
        skip_netbox_at_start: reader.flag("PROXBOX_SKIP_NETBOX_BOOTSTRAP").unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests;
