//! The list of variables, for people.

/// A variable of the environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// A value that would do.
    pub example: &'static str,
    /// What holds where it is not set.
    pub default: &'static str,
    /// What it does.
    pub meaning: &'static str,
}

const fn variable(name: &'static str, example: &'static str, default: &'static str, meaning: &'static str) -> Variable {
    Variable {
        name,
        example,
        default,
        meaning,
    }
}

/// Every variable that has an effect, by topic.
#[rustfmt::skip]
pub const VARIABLES: &[Variable] = &[
    variable("PROXBOX_BIND_HOST", "::", "0.0.0.0", "address to listen on; :: takes IPv4 and IPv6"),
    variable("PORT", "8000", "8000", "port to listen on"),
    variable("PROXBOX_TLS_CERT", "/certs/tls.crt", "", "certificate chain (PEM) for HTTPS, with PROXBOX_TLS_KEY"),
    variable("PROXBOX_TLS_KEY", "/certs/tls.key", "", "private key (PEM) of PROXBOX_TLS_CERT"),
    variable("PROXBOX_TLS_SELF_SIGNED", "1", "0", "HTTPS with a certificate that is made at start"),
    variable("PROXBOX_DATABASE_PATH", "/data/database.db", "$XDG_DATA_HOME/proxbox/database.db", "database file"),
    variable("DATABASE_URL", "sqlite:////data/database.db", "", "the same as a URL"),
    variable("PROXBOX_DEFAULT_DATABASE_PATH", "/data/database.db", "", "database file where none is named; set by images"),
    variable("XDG_DATA_HOME", "/home/proxbox/.local/share", "$HOME/.local/share", "directory of user data"),
    variable("HOME", "/home/proxbox", "", "home directory"),
    variable("PROXBOX_ENCRYPTION_KEY", "a-long-random-text", "", "key text that stored secrets are sealed with"),
    variable("PROXBOX_ENCRYPTION_KEY_FILE", "/data/encryption.key", "encryption.key beside the database", "file with the key text; made where no key is given"),
    variable("PROXBOX_ENCRYPTION_OLD_KEYS", "an-older-text,an-even-older-text", "", "key texts that only open what they sealed, parted by commas"),
    variable("PROXBOX_ALLOW_PLAINTEXT_CREDENTIALS", "1", "0", "store secrets as plain text where there is no key"),
    variable("PROXBOX_AUTH_LOCKOUT_THRESHOLD", "5", "5", "failures of one key until it is locked"),
    variable("PROXBOX_AUTH_LOCKOUT_SOURCE_THRESHOLD", "50", "50", "failures of one address until it is locked"),
    variable("PROXBOX_AUTH_LOCKOUT_WINDOW_SECONDS", "300", "300", "seconds in which failures count together"),
    variable("PROXBOX_AUTH_LOCKOUT_MAX_BUCKETS", "10000", "10000", "counts of failures that are kept"),
    variable("PROXBOX_AUTH_MAX_ACTIVE_KEYS", "32", "32", "API keys that may be active"),
    variable("PROXBOX_RATE_LIMIT", "300", "300", "requests of one address in a minute"),
    variable("PROXBOX_TRUSTED_PROXIES", "10.0.0.0/8,192.0.2.7", "", "proxies whose X-Forwarded-For is believed"),
    variable("PROXBOX_CORS_EXTRA_ORIGINS", "https://netbox.example.com", "", "origins of browser pages that may ask"),
    variable("PROXBOX_LOG_LEVEL", "DEBUG", "INFO", "lowest level that is logged: DEBUG, INFO, WARNING, ERROR"),
    variable("PROXBOX_LOG_FORMAT", "json", "text", "text or json"),
    variable("PROXBOX_GENERATED_DIR", "/data/proxmox-api", "", "directory with API descriptions of further Proxmox releases, such as 9.3.json"),
    variable("PROXMOX_API_MODE", "mock", "real", "mock: a built-in Proxmox instead of real ones"),
    variable("TESTING", "1", "0", "the same as PROXMOX_API_MODE=mock"),
    variable("PROXBOX_MOCK_ALLOW_REMOTE_NETBOX", "1", "0", "let the mock mode write to a NetBox on another host"),
    variable("PROXBOX_SHRINK_LIMIT_PERCENT", "30", "30", "a run that would retire more percent of the rows of a type is refused …"),
    variable("PROXBOX_SHRINK_LIMIT_ROWS", "10", "10", "… where that is at least so many rows"),
    variable("PROXBOX_SYNC_STAMP_INTERVAL", "86400", "86400", "seconds after which a sync time stamp is refreshed without another change; 0: always"),
    variable("PROXBOX_INVENTORY_TTL", "30", "30", "for how many seconds after a run what it has read serves the next; 0: not at all; a full update always reads once"),
    variable("PROXBOX_GUEST_AGENT_TIMEOUT", "15", "15", "seconds that a guest agent may take to answer"),
    variable("PROXBOX_SYNC_VM_LINKS", "1", "0", "keep link state, MTU and trunk VLANs of guests' interfaces too"),
    variable("PROXBOX_SKIP_NETBOX_BOOTSTRAP", "1", "0", "leave NetBox alone at start"),
    variable("PROXBOX_NETBOX_TIMEOUT", "120", "120", "seconds of one request to NetBox; not less than the time limit of its own server"),
    variable("PROXBOX_NETBOX_MAX_CONCURRENT", "8", "", "requests to NetBox at once; 8 reads and 4 writes where nothing is set; the plugin's page says 1 where nobody has touched it, and that is not taken for a wish"),
    variable("PROXBOX_NETBOX_MAX_RETRIES", "5", "5", "repetitions of a failed request to NetBox"),
    variable("PROXBOX_NETBOX_RETRY_DELAY", "2", "2", "seconds before the first repetition, each further one after twice as long"),
    variable("PROXBOX_NETBOX_WRITE_CONCURRENCY", "4", "4", "writes to NetBox at once, never more than PROXBOX_NETBOX_MAX_CONCURRENT where that is set; the plugin's page says 8 where nobody has touched it, and that is not taken for a wish"),
    variable("PROXMOX_API_TIMEOUT", "5", "5", "seconds of one request to Proxmox, where the endpoint sets none"),
    variable("PROXMOX_API_RETRIES", "1", "0", "repetitions of a failed request to Proxmox, where the endpoint sets none"),
    variable("PROXMOX_API_RETRY_BACKOFF", "0.5", "0.5", "seconds before the first repetition, where the endpoint sets none"),
    variable("PROXBOX_PROXMOX_FETCH_CONCURRENCY", "8", "8", "requests to one Proxmox that a stage makes side by side, where the request for it does not say"),
    variable("PROXBOX_DELETE_ORPHANS", "false", "false", "sweep what Proxmox no longer has at the end of a full run"),
    variable("PROXBOX_NODE_DEVICE_NAME_TEMPLATE", "{node}", "{node}", "names of node devices"),
    variable("PROXBOX_ALLOW_INSECURE_INFLUX_TLS", "1", "0", "let queries of figures ask InfluxDB without a look at its certificate"),
    variable("PROXBOX_EXPOSE_INTERNAL_ERRORS", "false", "false", "tell causes of internal errors to clients"),
];

/// Variables of the Python service that have no effect here, and why.
const WITHOUT_EFFECT: &[(&str, &str)] = &[
    (
        "PROXBOX_NETBOX_GET_CACHE_TTL",
        "every run reads NetBox in bulk, nothing is cached",
    ),
    ("PROXBOX_NETBOX_GET_CACHE_MAX_ENTRIES", "nothing is cached"),
    ("PROXBOX_NETBOX_GET_CACHE_MAX_BYTES", "nothing is cached"),
    ("PROXBOX_DEBUG_CACHE", "nothing is cached"),
    ("PROXBOX_BULK_BATCH_SIZE", "bulk requests find their size by themselves"),
    (
        "PROXBOX_BULK_BATCH_DELAY_MS",
        "bulk requests find their size by themselves",
    ),
    (
        "PROXBOX_BACKUP_BATCH_SIZE",
        "bulk requests find their size by themselves",
    ),
    (
        "PROXBOX_BACKUP_BATCH_DELAY_MS",
        "bulk requests find their size by themselves",
    ),
    (
        "PROXBOX_INTERFACE_BATCH_SIZE",
        "bulk requests find their size by themselves",
    ),
    (
        "PROXBOX_INTERFACE_BATCH_DELAY_MS",
        "bulk requests find their size by themselves",
    ),
    (
        "PROXBOX_VM_CONFIG_FETCH_TIMEOUT_SECONDS",
        "a configuration may take as long as any call to Proxmox, see PROXMOX_API_TIMEOUT",
    ),
    (
        "PROXBOX_FETCH_MAX_CONCURRENCY",
        "storages are defined in one answer of Proxmox",
    ),
    (
        "PROXBOX_SESSION_ACQUIRE_CONCURRENCY",
        "each connection has limits of its own",
    ),
    (
        "PROXBOX_VM_SYNC_MAX_CONCURRENCY",
        "each connection has limits of its own",
    ),
    ("PROXBOX_NETBOX_OPENAPI_PERSIST", "NetBox's schema is not read"),
    (
        "PROXBOX_ENSURE_NETBOX_OBJECTS",
        "every run makes tags, types and roles that are missing, and none is made at the start",
    ),
    (
        "PROXBOX_AUTH_LOCKOUT_HMAC_KEY",
        "failed sign-ins are counted under a key in the database",
    ),
    (
        "PROXBOX_AUTH_LOCKOUT_HMAC_KEY_FILE",
        "failed sign-ins are counted under a key in the database",
    ),
    ("PROXBOX_AUTH_LOCKOUT_MAX_IN_FLIGHT", "verified keys are remembered"),
    (
        "PROXBOX_AUTH_LOCKOUT_MAX_GLOBAL_IN_FLIGHT",
        "verified keys are remembered",
    ),
    ("PROXBOX_AUTH_VERIFICATION_MAX_SECONDS", "verified keys are remembered"),
    (
        "PROXBOX_ALLOW_FRESH_DATABASE_WITH_LEGACY",
        "use `proxbox-api import-reference FILE`",
    ),
    ("PROXBOX_STRICT_STARTUP", "nothing is generated at start"),
    ("PROXBOX_RUNTIME_CODEGEN_ENABLED", "nothing is generated at run time"),
    ("UVICORN_WORKERS", "one process serves all requests"),
    ("WEB_CONCURRENCY", "one process serves all requests"),
    ("GRANIAN_WORKERS", "one process serves all requests"),
    (
        "MKCERT_CERT_DIR",
        "use PROXBOX_TLS_CERT and PROXBOX_TLS_KEY, or PROXBOX_TLS_SELF_SIGNED",
    ),
    (
        "MKCERT_EXTRA_NAMES",
        "use PROXBOX_TLS_CERT and PROXBOX_TLS_KEY, or PROXBOX_TLS_SELF_SIGNED",
    ),
];

/// What to say about a variable that is set and was not read; `None` where it is not ours.
pub(super) fn notice(name: &str) -> Option<String> {
    if let Some((_, why)) = WITHOUT_EFFECT.iter().find(|(known, _)| *known == name) {
        return Some(format!("{name} has no effect: {why}"));
    }
    name.starts_with("PROXBOX_")
        .then(|| format!("{name} is not known to this version"))
}
