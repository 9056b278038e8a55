use super::*;

fn read(pairs: &[(&str, &str)]) -> Result<Config, Invalid> {
    let home = [("HOME", "/home/proxbox")];
    let pairs = home.iter().chain(pairs);
    Config::from_variables(
        pairs
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
    )
}

#[test]
fn empty_environment_gives_the_documented_defaults() {
    let config = read(&[]).unwrap();
    assert_eq!((config.listen.host.as_str(), config.listen.port), ("0.0.0.0", 8000));
    assert_eq!(config.listen.tls, None);
    assert_eq!(
        config.database,
        PathBuf::from("/home/proxbox/.local/share/proxbox/database.db")
    );
    assert_eq!(
        config.encryption.key_file,
        PathBuf::from("/home/proxbox/.local/share/proxbox/encryption.key")
    );
    assert_eq!(config.auth.lockout_window, Duration::from_mins(5));
    assert_eq!(config.sync.stamp_interval, Duration::from_hours(24));
    assert_eq!(config.overrides, Overrides::default());
    assert!(!config.mock.is_on);
    assert_eq!(config.notices, Vec::<String>::new());
}

#[test]
fn every_listed_example_is_accepted_and_read() {
    for variable in VARIABLES {
        let pairs: &[(&str, &str)] = match variable.name {
            "PROXBOX_TLS_CERT" => &[("PROXBOX_TLS_KEY", "/k")],
            "PROXBOX_TLS_KEY" => &[("PROXBOX_TLS_CERT", "/c")],
            _ => &[],
        };
        let pairs = [pairs, &[(variable.name, variable.example)]].concat();
        let config = read(&pairs).unwrap_or_else(|error| panic!("{}: {error}", variable.name));
        assert_eq!(config.notices, Vec::<String>::new(), "{} is not read", variable.name);
    }
}

#[test]
fn every_listed_default_is_what_holds_without_it() {
    let unset = format!("{:?}", read(&[]).unwrap());
    for variable in VARIABLES.iter().filter(|variable| !variable.default.is_empty()) {
        let value = variable
            .default
            .replace("$XDG_DATA_HOME", "$HOME/.local/share")
            .replace("$HOME", "/home/proxbox")
            .replace(
                "encryption.key beside the database",
                "/home/proxbox/.local/share/proxbox/encryption.key",
            );
        let config = read(&[(variable.name, &value)]).unwrap_or_else(|error| panic!("{}: {error}", variable.name));
        // What the plugin offers too has its default where it is used.
        let config = Config {
            overrides: Overrides::default(),
            ..config
        };
        assert_eq!(format!("{config:?}"), unset, "{}={value}", variable.name);
    }
}

#[test]
fn bad_value_is_refused_with_its_variable_and_an_example() {
    let cases = [
        ("PORT", "eighty"),
        ("PORT", "65536"),
        ("PROXBOX_BIND_HOST", "http://host"),
        ("PROXBOX_TLS_CERT", "/certs/only.crt"),
        ("PROXBOX_TLS_CERT", "relative.crt"),
        ("PROXBOX_TLS_SELF_SIGNED", "maybe"),
        ("PROXBOX_DATABASE_PATH", "data/database.db"),
        ("DATABASE_URL", "postgresql://host/db"),
        ("DATABASE_URL", "sqlite:///relative.db"),
        ("PROXBOX_ALLOW_PLAINTEXT_CREDENTIALS", "perhaps"),
        ("PROXBOX_AUTH_LOCKOUT_THRESHOLD", "0"),
        ("PROXBOX_AUTH_LOCKOUT_WINDOW_SECONDS", "1.5"),
        ("PROXBOX_AUTH_MAX_ACTIVE_KEYS", "1025"),
        ("PROXBOX_RATE_LIMIT", "-1"),
        ("PROXBOX_TRUSTED_PROXIES", "10.0.0.0/33"),
        ("PROXBOX_CORS_EXTRA_ORIGINS", "https://netbox.example.com/path"),
        ("PROXBOX_LOG_LEVEL", "LOUD"),
        ("PROXBOX_LOG_FORMAT", "xml"),
        ("PROXMOX_API_MODE", "fake"),
        ("PROXBOX_SHRINK_LIMIT_PERCENT", "101"),
        ("PROXBOX_SYNC_STAMP_INTERVAL", "-1"),
        ("PROXBOX_NETBOX_TIMEOUT", "NaN"),
        ("PROXBOX_NETBOX_MAX_CONCURRENT", "0"),
        ("PROXBOX_DELETE_ORPHANS", "2"),
    ];
    for (variable, value) in cases {
        let Invalid(problems) = read(&[(variable, value)]).expect_err(variable);
        assert_eq!(problems.len(), 1, "{variable}={value}: {problems:?}");
        let text = problems[0].to_string();
        assert!(
            text.contains("for example ") && text.len() > variable.len() + 20,
            "{text}"
        );
        if value != "/certs/only.crt" {
            assert_eq!(problems[0].variable, variable, "{value}");
        }
    }
}

#[test]
fn all_problems_are_told_at_once_and_no_value_is_repeated() {
    let error = read(&[("PORT", "s3cret"), ("TESTING", "s3cret")])
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("PORT must be") && error.contains("TESTING must be"),
        "{error}"
    );
    assert!(!error.contains("s3cret"), "{error}");
}

#[test]
fn database_is_found_in_the_documented_order() {
    let cases: [(&[(&str, &str)], &str); 5] = [
        (
            &[
                ("PROXBOX_DATABASE_PATH", "/a.db"),
                ("PROXBOX_DEFAULT_DATABASE_PATH", "/b.db"),
            ],
            "/a.db",
        ),
        (
            &[("DATABASE_URL", "sqlite+aiosqlite:////c.db"), ("XDG_DATA_HOME", "/x")],
            "/c.db",
        ),
        (
            &[("PROXBOX_DEFAULT_DATABASE_PATH", "/b.db"), ("XDG_DATA_HOME", "/x")],
            "/b.db",
        ),
        (&[("XDG_DATA_HOME", "/x")], "/x/proxbox/database.db"),
        (
            &[("PROXBOX_DATABASE_PATH", "/a.db"), ("DATABASE_URL", "sqlite:////a.db")],
            "/a.db",
        ),
    ];
    for (pairs, expected) in cases {
        assert_eq!(read(pairs).unwrap().database, PathBuf::from(expected), "{pairs:?}");
    }
    assert!(read(&[("PROXBOX_DATABASE_PATH", "/a.db"), ("DATABASE_URL", "sqlite:////b.db")]).is_err());
    assert!(read(&[("HOME", "")]).is_err());
}

#[test]
fn bind_host_loses_quotes_and_brackets() {
    for (value, expected) in [
        ("\"0.0.0.0\"", "0.0.0.0"),
        ("[::1]", "::1"),
        ("'::'", "::"),
        ("localhost", "localhost"),
    ] {
        assert_eq!(
            read(&[("PROXBOX_BIND_HOST", value)]).unwrap().listen.host,
            expected,
            "{value}"
        );
    }
}

#[test]
fn strange_and_useless_variables_are_noticed_and_foreign_ones_are_not() {
    let config = read(&[
        ("PROXBOX_RATE_LIMT", "100"),
        ("PROXBOX_DEBUG_CACHE", "1"),
        ("PROXBOX_ENSURE_NETBOX_OBJECTS", "perhaps"),
        ("UVICORN_WORKERS", "4"),
        ("PATH", "/bin"),
    ])
    .unwrap();
    assert_eq!(config.notices.len(), 4, "{:?}", config.notices);
    assert!(
        config
            .notices
            .iter()
            .any(|notice| notice.starts_with("PROXBOX_RATE_LIMT is not known"))
    );
}

#[test]
fn mock_mode_is_switched_by_either_variable_and_the_mode_wins() {
    assert!(read(&[("PROXMOX_API_MODE", "mock")]).unwrap().mock.is_on);
    assert!(read(&[("TESTING", "1")]).unwrap().mock.is_on);
    assert!(
        !read(&[("TESTING", "1"), ("PROXMOX_API_MODE", "real")])
            .unwrap()
            .mock
            .is_on
    );
}

#[test]
fn debug_form_shows_no_secret() {
    let config = read(&[
        ("PROXBOX_ENCRYPTION_KEY", "very-secret"),
        ("PROXBOX_ENCRYPTION_OLD_KEYS", "old-secret"),
    ]);
    let shown = format!("{:?}", config.unwrap());
    assert!(
        !shown.contains("very-secret") && !shown.contains("old-secret"),
        "{shown}"
    );
}
