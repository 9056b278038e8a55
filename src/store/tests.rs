//! The queries on a migrated database.

use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use sqlx::Row;
use time::OffsetDateTime;

use super::*;
use crate::endpoint::{EndpointId, EndpointKey, Source};

const FIRST_KEY: &str = "0123456789abcdef0123456789abcdef0123456789abcdef";

fn secret(text: &str) -> SecretString {
    SecretString::from(text.to_owned())
}

fn keys(text: &str) -> Keys {
    Keys {
        text: Some(secret(text)),
        ..Keys::default()
    }
}

async fn memory() -> Store {
    Store::open(StoreOptions {
        keys: keys("a key text"),
        ..StoreOptions::default()
    })
    .await
    .unwrap()
}

fn proxmox(name: &str) -> ProxmoxDraft {
    ProxmoxDraft {
        settings: ProxmoxSettings {
            name: name.to_owned(),
            node_device_name_template: String::new(),
            ip_address: "10.0.0.1".to_owned(),
            domain: Some("pve.example.net".to_owned()),
            port: 8006,
            username: "root@pam".to_owned(),
            verify_ssl: true,
            enabled: true,
            allow_writes: false,
            allow_packer_template_builds: false,
            access_methods: "api".to_owned(),
            ssh_target_node: None,
            ssh_host: None,
            ssh_username: None,
            ssh_port: 22,
            ssh_identity_file: None,
            ssh_known_host_fingerprint: None,
            site_id: Some(3),
            site_slug: None,
            site_name: None,
            tenant_id: None,
            tenant_slug: None,
            tenant_name: Some("ACME".to_owned()),
            timeout: Some(5),
            max_retries: Some(0),
            retry_backoff: Some(0.5),
            connect_timeout: None,
            max_parallel: Some(2),
            tls_fingerprints: vec!["AA:BB".to_owned()],
            tls_ca_pem: None,
        },
        token_name: Some("netbox".to_owned()),
        password: SecretChange::Keep,
        token_value: SecretChange::Set(Some(secret("token-secret-4711"))),
    }
}

fn netbox() -> NetBoxDraft {
    NetBoxDraft {
        settings: NetBoxSettings {
            name: "netbox".to_owned(),
            ip_address: "127.0.0.1".to_owned(),
            domain: String::new(),
            port: 8001,
            token_version: TokenVersion::V2,
            verify_ssl: false,
            scheme: Some("https".to_owned()),
            base_path: "/netbox".to_owned(),
            tls_fingerprint: Some("ab".repeat(32)),
            ..NetBoxSettings::default()
        },
        token_key: SecretChange::Set(Some(secret("public-part"))),
        token: SecretChange::Set(Some(secret("netbox-secret-0815"))),
    }
}

fn backup_server(token_secret: &str) -> SisterDraft {
    SisterDraft {
        settings: SisterSettings {
            name: "pbs".to_owned(),
            host: "pbs.example.net".to_owned(),
            port: 8007,
            token_id: "audit@pbs!netbox".to_owned(),
            fingerprint: None,
            verify_ssl: false,
            enabled: true,
            timeout_seconds: 30,
            allow_writes: false,
        },
        token_secret: SecretChange::Set(Some(secret(token_secret))),
    }
}

#[tokio::test]
async fn first_key_is_registered_once_and_for_good() {
    let store = memory().await;
    let before = store.bootstrap_status().await.unwrap();
    assert_eq!(
        before,
        BootstrapStatus {
            needs_bootstrap: true,
            has_db_keys: false
        }
    );
    let key = store.register_first_key(&secret(FIRST_KEY), "plugin").await.unwrap();
    assert_eq!((key.label.as_str(), key.is_active), ("plugin", true));
    let again = store.register_first_key(&secret(FIRST_KEY), "other").await;
    assert!(matches!(again, Err(Error::AlreadyClaimed)), "{again:?}");
    sqlx::query("DELETE FROM api_keys").execute(&store.pool).await.unwrap();
    assert!(
        !store.bootstrap_status().await.unwrap().needs_bootstrap,
        "a claim outlives its key"
    );
}

#[tokio::test]
async fn only_one_of_many_registrations_at_once_wins() {
    let folder = tempfile::tempdir().unwrap();
    let location = Location::File(folder.path().join("claim.db"));
    let store = Store::open(StoreOptions {
        location,
        ..StoreOptions::default()
    })
    .await
    .unwrap();
    let attempts = (0..6).map(|number| {
        let store = store.clone();
        async move {
            store
                .register_first_key(&secret(&format!("{FIRST_KEY}-{number}")), "x")
                .await
                .is_ok()
        }
    });
    let won = futures_util::future::join_all(attempts)
        .await
        .into_iter()
        .filter(|won| *won)
        .count();
    assert_eq!((won, store.list_keys().await.unwrap().len()), (1, 1));
}

#[tokio::test]
async fn keys_that_could_not_be_presented_are_refused() {
    let store = memory().await;
    for key in [
        "short",
        &" ".repeat(40),
        &"x".repeat(73),
        &format!("{FIRST_KEY}\u{7}"),
        &format!("{FIRST_KEY}é"),
    ] {
        let answer = store.register_first_key(&secret(key), "").await;
        assert!(
            matches!(answer, Err(Error::Invalid { field: "api_key", .. })),
            "{key:?}: {answer:?}"
        );
    }
    store
        .register_first_key(&secret(&format!(" {FIRST_KEY} ")), "")
        .await
        .unwrap();
    assert!(
        store.verify_key(&secret(FIRST_KEY)).await.unwrap().is_some(),
        "registered without its blanks"
    );
}

#[tokio::test]
async fn verified_key_costs_one_bcrypt_until_keys_change() {
    let store = memory().await;
    let first = store.register_first_key(&secret(FIRST_KEY), "first").await.unwrap();
    for _ in 0..3 {
        assert_eq!(store.verify_key(&secret(FIRST_KEY)).await.unwrap(), Some(first.id));
        assert_eq!(store.verify_key(&secret("wrong")).await.unwrap(), None);
    }
    assert_eq!(store.shared.cache.computed(), 2, "one run per key");
    let (second, raw) = store.create_key("second").await.unwrap();
    assert_eq!(raw.expose_secret().len(), 64);
    store.set_key_active(first.id, false).await.unwrap();
    assert_eq!(
        store.verify_key(&secret(FIRST_KEY)).await.unwrap(),
        None,
        "forgotten at once"
    );
    assert_eq!(store.verify_key(&raw).await.unwrap(), Some(second.id));
}

#[tokio::test]
async fn last_active_key_stays_and_the_limit_holds() {
    let options = StoreOptions {
        max_active_keys: 2,
        ..StoreOptions::default()
    };
    let store = Store::open(options).await.unwrap();
    let first = store.register_first_key(&secret(FIRST_KEY), "first").await.unwrap();
    assert!(matches!(store.delete_key(first.id).await, Err(Error::LastActiveKey)));
    assert!(matches!(
        store.set_key_active(first.id, false).await,
        Err(Error::LastActiveKey)
    ));
    let (second, _) = store.create_key("second").await.unwrap();
    assert!(matches!(
        store.create_key("third").await,
        Err(Error::KeyLimit { limit: 2 })
    ));
    store.set_key_active(first.id, false).await.unwrap();
    store.create_key("third").await.unwrap();
    assert!(matches!(
        store.set_key_active(first.id, true).await,
        Err(Error::KeyLimit { .. })
    ));
    store.delete_key(second.id).await.unwrap();
    assert!(matches!(
        store.delete_key(ApiKeyId(99)).await,
        Err(Error::NotFound { .. })
    ));
    let labels: Vec<_> = store
        .list_keys()
        .await
        .unwrap()
        .into_iter()
        .map(|key| key.label)
        .collect();
    assert_eq!(labels, ["third", "first"], "newest first");
}

static NOW: AtomicI64 = AtomicI64::new(1_800_000_000);

fn clock() -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(NOW.load(Ordering::SeqCst)).unwrap()
}

#[tokio::test]
async fn lockout_counts_per_key_and_per_source_and_ends_with_its_window() {
    let lockout = LockoutPolicy {
        threshold: 3,
        source_threshold: 5,
        ..LockoutPolicy::default()
    };
    let store = Store::open(StoreOptions {
        lockout,
        clock,
        ..StoreOptions::default()
    })
    .await
    .unwrap();
    let (bad, good) = (secret("bad"), secret("good"));
    let fail = async |key: &SecretString| store.record_failure("direct|10.0.0.9", Some(key)).await.unwrap();
    assert_eq!(fail(&bad).await, Lockout::Open { remaining: 2 });
    assert_eq!(fail(&bad).await, Lockout::Open { remaining: 1 });
    assert_eq!(
        fail(&bad).await,
        Lockout::Locked {
            retry_after: Duration::from_mins(5)
        }
    );
    let standing = async |source: &str, key| store.lockout(source, key).await.unwrap();
    assert_eq!(
        standing("direct|10.0.0.9", Some(&good)).await,
        Lockout::Open { remaining: 2 },
        "another key goes on"
    );
    assert_eq!(
        standing("direct|10.0.0.8", Some(&bad)).await,
        Lockout::Open { remaining: 3 },
        "another source goes on"
    );
    fail(&good).await;
    store.record_failure("direct|10.0.0.9", None).await.unwrap();
    NOW.fetch_add(100, Ordering::SeqCst);
    let locked = Lockout::Locked {
        retry_after: Duration::from_secs(200),
    };
    assert_eq!(
        standing("direct|10.0.0.9", None).await,
        locked,
        "the source itself is locked"
    );
    NOW.fetch_add(200, Ordering::SeqCst);
    assert_eq!(
        standing("direct|10.0.0.9", Some(&bad)).await,
        Lockout::Open { remaining: 3 }
    );
    let buckets: Vec<String> = sqlx::query_scalar("SELECT bucket FROM auth_lockouts")
        .fetch_all(&store.pool)
        .await
        .unwrap();
    assert!(buckets.iter().all(|bucket| bucket.len() == 64), "{buckets:?}");
}

#[tokio::test]
async fn failure_of_a_spotless_source_is_seen_by_its_next_request() {
    let (store, key) = (memory().await, secret("some key"));
    let standing = async || store.lockout("direct|10.0.0.7", Some(&key)).await.unwrap();
    assert_eq!(standing().await, Lockout::Open { remaining: 5 });
    for remaining in [4, 3, 2, 1] {
        store.record_failure("direct|10.0.0.7", Some(&key)).await.unwrap();
        assert_eq!(standing().await, Lockout::Open { remaining });
    }
    store.record_failure("direct|10.0.0.7", Some(&key)).await.unwrap();
    let standing = standing().await;
    assert!(matches!(standing, Lockout::Locked { .. }), "{standing:?}");
}

#[tokio::test]
async fn proxmox_endpoint_comes_back_as_it_was_stored() {
    let store = memory().await;
    let stored = store.create_proxmox_endpoint(proxmox("lab (nb:1)")).await.unwrap();
    assert_eq!(stored.settings, proxmox("lab (nb:1)").settings);
    assert_eq!(store.list_proxmox_endpoints().await.unwrap().len(), 1);
    let secrets = store.proxmox_secrets(&stored).await.unwrap();
    assert_eq!(secrets.token_value.unwrap().expose_secret(), "token-secret-4711");
    assert!(secrets.password.is_none());
    let taken = store.create_proxmox_endpoint(proxmox("lab (nb:1)")).await;
    assert!(matches!(taken, Err(Error::NameTaken { .. })), "{taken:?}");
}

#[tokio::test]
async fn credentials_are_checked_over_the_merged_row() {
    let store = memory().await;
    let id = store.create_proxmox_endpoint(proxmox("lab")).await.unwrap().id;
    let merge = async |change: fn(&mut ProxmoxDraft)| {
        store
            .update_proxmox_endpoint::<Error>(id, |draft| {
                change(draft);
                Ok(())
            })
            .await
    };
    let (_, changed) = merge(|draft| draft.token_value = SecretChange::Set(Some(secret("token-secret-4711"))))
        .await
        .unwrap();
    assert!(!changed, "the same secret is no change");
    let (row, changed) = merge(|draft| draft.settings.enabled = false).await.unwrap();
    assert!(changed && !row.settings.enabled);
    for change in [
        (|draft: &mut ProxmoxDraft| draft.token_name = None) as fn(&mut ProxmoxDraft),
        |draft| draft.token_value = SecretChange::Set(None),
        |draft| {
            draft.token_name = None;
            draft.token_value = SecretChange::Set(None);
        },
    ] {
        assert!(matches!(merge(change).await, Err(Error::Invalid { .. })));
    }
    merge(|draft| {
        draft.token_name = None;
        draft.token_value = SecretChange::Set(None);
        draft.password = SecretChange::Set(Some(secret("a password")));
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn recent_endpoints_are_those_after_the_latest_write() {
    let store = memory().await;
    let names = async || {
        let rows = store.list_recent_proxmox_endpoints().await.unwrap();
        rows.iter().map(|row| row.settings.name.clone()).collect::<Vec<_>>()
    };
    let secret_of = async |row: &ProxmoxEndpoint| {
        let secrets = store.proxmox_secrets(row).await.unwrap();
        secrets.token_value.unwrap().expose_secret().to_owned()
    };
    assert_eq!(names().await, [""; 0]);
    let id = store.create_proxmox_endpoint(proxmox("one")).await.unwrap().id;
    assert_eq!(names().await, ["one"]);
    let change = |draft: &mut ProxmoxDraft| {
        draft.settings.name = "two".to_owned();
        draft.token_value = SecretChange::Set(Some(secret("another-secret-4712")));
        Ok::<(), Error>(())
    };
    store.update_proxmox_endpoint(id, change).await.unwrap();
    assert_eq!(names().await, ["two"]);
    let before = store.list_recent_proxmox_endpoints().await.unwrap();
    assert_eq!(secret_of(&before[0]).await, "another-secret-4712");
    store.reseal_all().await.unwrap();
    let after = store.list_recent_proxmox_endpoints().await.unwrap();
    assert_ne!(before[0].token_value, after[0].token_value);
    assert_eq!(secret_of(&after[0]).await, "another-secret-4712");
    store.delete_proxmox_endpoint(id).await.unwrap();
    assert_eq!(names().await, [""; 0]);
}

#[tokio::test]
async fn endpoint_that_another_process_changed_is_seen_within_a_second() {
    let folder = tempfile::tempdir().unwrap();
    let options = StoreOptions {
        location: Location::File(folder.path().join("store.db")),
        keys: keys("a key text"),
        ..StoreOptions::default()
    };
    let (store, other) = (
        Store::open(options.clone()).await.unwrap(),
        Store::open(options).await.unwrap(),
    );
    let id = store.create_proxmox_endpoint(proxmox("lab")).await.unwrap().id;
    let is_enabled = async || store.list_recent_proxmox_endpoints().await.unwrap()[0].settings.enabled;
    assert!(is_enabled().await);
    let disable = |draft: &mut ProxmoxDraft| {
        draft.settings.enabled = false;
        Ok::<(), Error>(())
    };
    other.update_proxmox_endpoint(id, disable).await.unwrap();
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(1)).await;
    tokio::time::resume();
    assert!(!is_enabled().await);
}

#[tokio::test]
async fn ids_of_deleted_endpoints_are_not_given_again() {
    let store = memory().await;
    let first = store.create_proxmox_endpoint(proxmox("one")).await.unwrap().id;
    store.delete_proxmox_endpoint(first).await.unwrap();
    assert!(matches!(
        store.delete_proxmox_endpoint(first).await,
        Err(Error::NotFound { .. })
    ));
    assert_ne!(store.create_proxmox_endpoint(proxmox("two")).await.unwrap().id, first);
}

#[tokio::test]
async fn netbox_endpoint_is_one_and_loses_its_key_part_with_v1() {
    let store = memory().await;
    let stored = store.create_netbox_endpoint(netbox()).await.unwrap();
    assert!(matches!(
        store.create_netbox_endpoint(netbox()).await,
        Err(Error::OnlyOne { .. })
    ));
    let same = |draft: &mut NetBoxDraft| {
        draft.token = SecretChange::Set(Some(secret("netbox-secret-0815")));
        Ok::<(), Error>(())
    };
    let (_, changed) = store.update_netbox_endpoint(stored.id, same).await.unwrap();
    assert!(!changed);
    let downgrade = |draft: &mut NetBoxDraft| {
        draft.settings.token_version = TokenVersion::V1;
        Ok::<(), Error>(())
    };
    let (row, changed) = store.update_netbox_endpoint(stored.id, downgrade).await.unwrap();
    let secrets = store.netbox_secrets(&row).await.unwrap();
    assert!(changed && secrets.token_key.is_none() && secrets.token.is_some());
    let upgrade = |draft: &mut NetBoxDraft| {
        draft.settings.token_version = TokenVersion::V2;
        Ok::<(), Error>(())
    };
    let refused = store.update_netbox_endpoint(stored.id, upgrade).await;
    assert!(matches!(refused, Err(Error::Invalid { .. })), "{refused:?}");
}

#[tokio::test]
async fn database_is_made_for_its_owner_alone() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(StoreOptions {
        location: Location::File(folder.path().join("store.db")),
        keys: keys("a key text"),
        ..StoreOptions::default()
    })
    .await
    .unwrap();
    store.create_netbox_endpoint(netbox()).await.unwrap();
    for name in ["store.db", "store.db-wal", "store.db-shm"] {
        let mode = std::fs::metadata(folder.path().join(name))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    store.close().await;
}

#[tokio::test]
async fn debug_form_of_a_row_shows_nothing_of_its_secrets_though_they_are_not_sealed() {
    let store = Store::open(StoreOptions {
        allow_plaintext: true,
        ..StoreOptions::default()
    })
    .await
    .unwrap();
    let proxmox = store.create_proxmox_endpoint(proxmox("lab")).await.unwrap();
    let netbox = store.create_netbox_endpoint(netbox()).await.unwrap();
    let server = backup_server("server-secret-1234");
    let server = store
        .create_sister_endpoint(Sister::BackupServer, &server)
        .await
        .unwrap();
    let shown = format!("{proxmox:?} {netbox:?} {server:?}");
    assert!(shown.contains("lab") && shown.contains("pbs.example.net"), "{shown}");
    for secret in ["token-secret-4711", "netbox-secret-0815", "server-secret-1234"] {
        let bytes = format!("{:?}", secret.as_bytes());
        assert!(!shown.contains(secret) && !shown.contains(&bytes), "{secret}: {shown}");
    }
}

#[tokio::test]
async fn no_secret_stands_in_the_file_or_in_debug_output() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let options = StoreOptions {
        location: Location::File(path),
        keys: keys("a key text"),
        ..StoreOptions::default()
    };
    let store = Store::open(options.clone()).await.unwrap();
    store.register_first_key(&secret(FIRST_KEY), "x").await.unwrap();
    let (netbox, proxmox) = (netbox(), proxmox("lab"));
    let shown = format!("{options:?} {store:?} {netbox:?} {proxmox:?}");
    let row = store.create_proxmox_endpoint(proxmox).await.unwrap();
    let shown = format!("{shown} {row:?} {:?}", store.proxmox_secrets(&row).await.unwrap());
    store.create_netbox_endpoint(netbox).await.unwrap();
    store
        .record_failure("direct|10.0.0.9", Some(&secret("presented-key-1234")))
        .await
        .unwrap();
    store.close().await;
    let mut bytes = shown.into_bytes();
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        bytes.extend(std::fs::read(entry.unwrap().path()).unwrap());
    }
    for secret in [
        "token-secret-4711",
        "netbox-secret-0815",
        "public-part",
        FIRST_KEY,
        "presented-key-1234",
        "a key text",
    ] {
        assert!(
            !bytes.windows(secret.len()).any(|window| window == secret.as_bytes()),
            "{secret}"
        );
    }
}

#[tokio::test]
async fn wrong_key_costs_the_secrets_but_not_the_rows() {
    let folder = tempfile::tempdir().unwrap();
    let location = Location::File(folder.path().join("store.db"));
    let open = |text: &str, old: Option<&str>| {
        let keys = Keys {
            old: old.map(secret).into_iter().collect(),
            ..keys(text)
        };
        Store::open(StoreOptions {
            location: location.clone(),
            keys,
            ..StoreOptions::default()
        })
    };
    let store = open("first key", None).await.unwrap();
    store.create_proxmox_endpoint(proxmox("lab")).await.unwrap();
    assert!(store.encryption_status().await.unwrap().verified);
    store.close().await;
    let store = open("second key", None).await.unwrap();
    let rows = store.list_proxmox_endpoints().await.unwrap();
    assert!(matches!(
        store.proxmox_secrets(&rows[0]).await,
        Err(Error::Sealed { .. })
    ));
    assert!(!store.encryption_status().await.unwrap().verified);
    assert!(
        store.reseal_all().await.is_err(),
        "nothing is sealed anew where one secret does not open"
    );
    store.close().await;
    let store = open("second key", Some("first key")).await.unwrap();
    assert_eq!(store.reseal_all().await.unwrap(), 1);
    store.close().await;
    let store = open("second key", None).await.unwrap();
    let rows = store.list_proxmox_endpoints().await.unwrap();
    let secrets = store.proxmox_secrets(&rows[0]).await.unwrap();
    assert_eq!(secrets.token_value.unwrap().expose_secret(), "token-secret-4711");
}

#[tokio::test]
async fn outdated_value_is_sealed_anew_when_it_is_first_used() {
    let store = memory().await;
    let row = store.create_proxmox_endpoint(proxmox("lab")).await.unwrap();
    let plain = b"left by an older release".to_vec();
    sqlx::query("UPDATE proxmox_endpoints SET token_value = ?")
        .bind(&plain)
        .execute(&store.pool)
        .await
        .unwrap();
    let row = store.get_proxmox_endpoint(row.id).await.unwrap();
    assert!(
        !store.encryption_status().await.unwrap().verified,
        "plain text is not verified"
    );
    let secrets = store.proxmox_secrets(&row).await.unwrap();
    assert_eq!(secrets.token_value.unwrap().expose_secret(), "left by an older release");
    let stored = sqlx::query("SELECT token_value FROM proxmox_endpoints")
        .fetch_one(&store.pool)
        .await
        .unwrap();
    assert!(stored.get::<Vec<u8>, _>("token_value").starts_with(b"enc2:"));
}

#[tokio::test]
async fn nothing_is_stored_in_plain_text_unless_allowed() {
    let store = Store::open(StoreOptions::default()).await.unwrap();
    assert!(matches!(
        store.create_proxmox_endpoint(proxmox("lab")).await,
        Err(Error::NoKey)
    ));
    assert!(
        store.list_proxmox_endpoints().await.unwrap().is_empty(),
        "the row goes with its secret"
    );
    let store = Store::open(StoreOptions {
        allow_plaintext: true,
        ..StoreOptions::default()
    })
    .await
    .unwrap();
    let row = store.create_proxmox_endpoint(proxmox("lab")).await.unwrap();
    assert!(store.proxmox_secrets(&row).await.unwrap().token_value.is_some());
}

#[tokio::test]
async fn paths_that_cannot_work_are_refused_with_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a file");
    std::fs::write(&file, "not a database, but long enough to be taken for one").unwrap();
    for path in [
        "relative.db".into(),
        folder.path().to_owned(),
        file.join("below.db"),
        file,
    ] {
        let options = StoreOptions {
            location: Location::File(path.clone()),
            ..StoreOptions::default()
        };
        let answer = Store::open(options).await;
        assert!(
            matches!(answer, Err(Error::File { .. } | Error::Migration(_))),
            "{path:?}: {answer:?}"
        );
    }
}

#[tokio::test]
async fn runs_are_kept_newest_first() {
    let store = memory().await;
    for number in 0..3 {
        let run = Run {
            id: format!("run-{number}"),
            kind: "devices".to_owned(),
            endpoints: "[]".to_owned(),
            started_at: number,
            finished_at: number + 1,
            is_ok: true,
            summary: "{}".to_owned(),
        };
        store.keep_run(&run).await.unwrap();
    }
    let ids: Vec<_> = store
        .list_runs(2)
        .await
        .unwrap()
        .into_iter()
        .map(|run| run.id)
        .collect();
    assert_eq!(ids, ["run-2", "run-1"]);
}

/// A database as the Python service makes it, with what an import needs.
async fn reference(path: &std::path::Path, has_all_columns: bool) {
    use sqlx::{ConnectOptions, Connection};
    let options = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true);
    let mut file = options
        .journal_mode(sqlx::sqlite::SqliteJournalMode::Wal)
        .connect()
        .await
        .unwrap();
    let late = if has_all_columns {
        ", access_methods VARCHAR NOT NULL, allow_writes BOOLEAN NOT NULL"
    } else {
        ""
    };
    let values = if has_all_columns { ", 'api', 1" } else { "" };
    let sealed = "enc:Z0FBQUFBQmxVX0VBQUFFQ0F3UUZCZ2NJQ1FvTERBME9EM0V5YnNqcHBhdVUyUDlENVJIVXY2d09CbzRuZjBaclNMYjJzRGVxRzhUc2RfcWNMYlpqNWxFMEQ5c0xza01EWWtLSGZtWWw2V2xodEVjZlRxT0pGWHc9";
    let statements = [
        "CREATE TABLE apikey (id INTEGER PRIMARY KEY, label VARCHAR NOT NULL, key_hash VARCHAR NOT NULL, \
         is_active BOOLEAN NOT NULL, created_at FLOAT NOT NULL)"
            .to_owned(),
        "CREATE TABLE netboxendpoint (id INTEGER PRIMARY KEY, name VARCHAR NOT NULL, ip_address VARCHAR NOT NULL, \
         domain VARCHAR NOT NULL, port INTEGER NOT NULL, token VARCHAR NOT NULL)"
            .to_owned(),
        format!(
            "CREATE TABLE proxmoxendpoint (id INTEGER PRIMARY KEY, name VARCHAR NOT NULL, ip_address VARCHAR NOT NULL, \
             domain VARCHAR, port INTEGER NOT NULL, username VARCHAR NOT NULL, password VARCHAR, \
             verify_ssl BOOLEAN NOT NULL, token_name VARCHAR, token_value VARCHAR{late})"
        ),
        "CREATE TABLE pbsendpoint (id INTEGER PRIMARY KEY, name VARCHAR, host VARCHAR, \
         token_id VARCHAR, token_secret VARCHAR)"
            .to_owned(),
        "INSERT INTO pbsendpoint VALUES (3, 'backup', 'pbs.lab', 'audit@pbs!netbox', 'pbs-secret')".to_owned(),
        "CREATE TABLE prometheus_source AS SELECT 1 AS id".to_owned(),
        format!(
            "INSERT INTO apikey VALUES (4, 'plugin', '{}', 1, 1717171717.25)",
            bcrypt::hash(FIRST_KEY, 4).unwrap()
        ),
        "INSERT INTO netboxendpoint VALUES (2, 'netbox', '10.0.0.3', '', 443, 'plain-token')".to_owned(),
        format!(
            "INSERT INTO proxmoxendpoint VALUES (7, 'lab (nb:3)', '10.0.0.1', NULL, 8006, 'root@pam', NULL, 0, \
             'netbox', '{sealed}'{values})"
        ),
    ];
    for statement in statements {
        sqlx::query(sqlx::AssertSqlSafe(statement))
            .execute(&mut file)
            .await
            .unwrap();
    }
    // Left open on purpose would leave the companions; a hard stop does the same.
    let copies: Vec<_> = ["", "-wal", "-shm"]
        .iter()
        .map(|end| format!("{}{end}", path.display()))
        .collect();
    let kept: Vec<_> = copies.iter().map(|file| std::fs::read(file).unwrap()).collect();
    file.close().await.unwrap();
    for (file, bytes) in copies.iter().zip(kept) {
        std::fs::write(file, bytes).unwrap();
    }
}

#[tokio::test]
async fn reference_database_is_imported_with_its_ids_and_left_untouched() {
    for has_all_columns in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("database.db");
        reference(&path, has_all_columns).await;
        let bytes = || {
            let mut files: Vec<_> = std::fs::read_dir(folder.path())
                .unwrap()
                .map(|entry| entry.unwrap().path())
                .collect();
            files.sort();
            files
                .into_iter()
                .map(|file| (std::fs::read(&file).unwrap(), file))
                .collect::<Vec<_>>()
        };
        let before = bytes();
        let store = memory().await;
        let key = secret("abcdefghijklmnopqrstuvwxyz012345");
        let report = store.import_reference(&path, Some(&key)).await.unwrap();
        assert_eq!(report.copied.values().sum::<usize>(), 4, "{report:?}");
        assert_eq!(report.left_out, ["prometheus_source: 1 rows"]);
        let row = store.get_proxmox_endpoint(7).await.unwrap();
        let expected = if has_all_columns {
            ("api", true)
        } else {
            ("api_ssh", false)
        };
        assert_eq!(
            (row.settings.access_methods.as_str(), row.settings.allow_writes),
            expected
        );
        let secrets = store.proxmox_secrets(&row).await.unwrap();
        assert_eq!(secrets.token_value.unwrap().expose_secret(), "nbt_secret-token");
        let netbox = store.get_netbox_endpoint(2).await.unwrap();
        assert_eq!(
            store
                .netbox_secrets(&netbox)
                .await
                .unwrap()
                .token
                .unwrap()
                .expose_secret(),
            "plain-token"
        );
        assert!(store.verify_key(&secret(FIRST_KEY)).await.unwrap().is_some());
        assert!(!store.bootstrap_status().await.unwrap().needs_bootstrap);
        let again = store.import_reference(&path, Some(&key)).await.unwrap();
        assert_eq!(
            (again.copied.len(), again.skipped.values().sum::<usize>()),
            (0, 4),
            "{again:?}"
        );
        assert_eq!(bytes(), before, "nothing is written to the old file or beside it");
    }
}

#[tokio::test]
async fn backup_server_of_the_reference_keeps_its_id_and_secret() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("database.db");
    reference(&path, true).await;
    let store = memory().await;
    store.import_reference(&path, None).await.unwrap();
    let server = store.get_sister_endpoint(Sister::BackupServer, 3).await.unwrap();
    let settings = &server.settings;
    assert_eq!(
        (settings.timeout_seconds, settings.verify_ssl, settings.port),
        (30, false, 8007),
        "what a row without these columns gets"
    );
    let opened = store.sister_secret(Sister::BackupServer, &server).await.unwrap();
    assert_eq!(opened.unwrap().expose_secret(), "pbs-secret");
}

#[tokio::test]
async fn endpoint_that_is_stored_again_as_it_is_stays_as_it_was_sealed() {
    let store = memory().await;
    let sister = Sister::BackupServer;
    let id = store
        .create_sister_endpoint(sister, &backup_server("first"))
        .await
        .unwrap()
        .id;
    let sealed = async || {
        let query = "SELECT token_secret FROM pbs_endpoints";
        sqlx::query_scalar::<_, Vec<u8>>(query)
            .fetch_one(&store.pool)
            .await
            .unwrap()
    };
    let before = sealed().await;
    for (text, is_kept) in [("first", true), ("second", false)] {
        let change = |draft: &mut SisterDraft| -> Result<(), Error> {
            draft.token_secret = SecretChange::Set(Some(secret(text)));
            Ok(())
        };
        store.update_sister_endpoint(sister, id, change).await.unwrap();
        assert_eq!(sealed().await == before, is_kept, "{text}");
    }
}

#[tokio::test]
async fn reference_secret_without_its_key_is_named_and_the_rest_imported() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("database.db");
    reference(&path, true).await;
    let store = memory().await;
    let report = store.import_reference(&path, None).await.unwrap();
    assert_eq!(report.refused.len(), 1, "{report:?}");
    assert!(report.refused[0].starts_with("Proxmox endpoint 7"), "{report:?}");
    assert_eq!(report.copied.get("netbox_endpoints"), Some(&1));
    std::fs::write(folder.path().join("other.db"), "no database").unwrap();
    assert!(matches!(
        store.import_reference(&folder.path().join("other.db"), None).await,
        Err(Error::Import { .. } | Error::Database { .. })
    ));
}

fn change_of_a_guest() -> WriteDraft {
    WriteDraft {
        endpoint: EndpointKey {
            source: Source::Database,
            id: EndpointId(7),
        },
        endpoint_name: "alpha".to_owned(),
        actor: "jane".to_owned(),
        method: "PUT".to_owned(),
        path: "nodes/pve1/qemu/100/config".to_owned(),
        parameters: r#"{"cores":"2"}"#.to_owned(),
    }
}

#[tokio::test]
async fn change_is_in_the_journal_before_and_after_its_outcome() {
    let store = memory().await;
    let draft = change_of_a_guest();
    let first = store.begin_write(&draft).await.unwrap();
    let second = store.begin_write(&draft).await.unwrap();
    let end = WriteEnd {
        outcome: WriteOutcome::Refused,
        status: Some(403),
        answer: Some("no".to_owned()),
    };
    store.end_write(first, &end).await.unwrap();
    let entries = store.list_writes(0, 10).await.unwrap();
    assert_eq!(
        entries.iter().map(|entry| entry.id).collect::<Vec<_>>(),
        [second, first]
    );
    let (open, ended) = (&entries[0], &entries[1]);
    assert_eq!(
        (open.outcome, open.status, open.ended_at),
        (WriteOutcome::Sent, None, None)
    );
    assert_eq!((ended.outcome, ended.status), (WriteOutcome::Refused, Some(403)));
    assert!(ended.ended_at.is_some() && ended.actor == "jane" && ended.endpoint_id == EndpointId(7));
    assert_eq!(store.list_writes(1, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn change_whose_outcome_nobody_noted_is_ended_and_the_others_stay() {
    let store = Store::open(StoreOptions {
        clock: || OffsetDateTime::from_unix_timestamp(1_700_000_000).unwrap(),
        ..StoreOptions::default()
    });
    let store = store.await.unwrap();
    let done = store.begin_write(&change_of_a_guest()).await.unwrap();
    let end = WriteEnd {
        outcome: WriteOutcome::Done,
        status: Some(200),
        answer: None,
    };
    store.end_write(done, &end).await.unwrap();
    let before = store.list_writes(0, 10).await.unwrap();
    let lost = store.begin_write(&change_of_a_guest()).await.unwrap();
    assert_eq!(store.end_lost_writes().await.unwrap(), 1);
    assert_eq!(store.end_lost_writes().await.unwrap(), 0);
    let entries = store.list_writes(0, 10).await.unwrap();
    assert_eq!(entries[1..], before);
    let entry = &entries[0];
    assert_eq!(
        (entry.id, entry.outcome, entry.status, entry.ended_at),
        (lost, WriteOutcome::Unknown, None, Some(1_700_000_000))
    );
    assert!(
        entry.answer.as_deref().unwrap().contains("the service ended"),
        "{entry:?}"
    );
    // A process that ends late still tells what it has seen.
    store.end_write(lost, &end).await.unwrap();
    assert_eq!(store.list_writes(0, 1).await.unwrap()[0].outcome, WriteOutcome::Done);
}
