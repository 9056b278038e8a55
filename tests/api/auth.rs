//! API keys: the first one, the life of others, and what happens to those without.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::json;
use time::OffsetDateTime;

use crate::support::{KEY, TestApp, answer};

#[tokio::test]
async fn fresh_service_is_claimed_once_and_for_good() {
    let mut app = TestApp::fresh(&[], OffsetDateTime::now_utc).await;
    let status = app.get("/auth/bootstrap-status").await;
    assert_eq!(
        status,
        (StatusCode::OK, json!({"needs_bootstrap": true, "has_db_keys": false}))
    );
    let (status, body) = app.get("/version").await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert!(
        body["detail"].as_str().unwrap().starts_with("No API key configured."),
        "{body}"
    );
    for key in ["too short", &"x".repeat(73), &" ".repeat(40)] {
        let (status, body) = app.post("/auth/register-key", &json!({"api_key": key})).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{key}: {body}");
    }
    let first = json!({"api_key": KEY, "label": "netbox-fastapi-1"});
    let registered = app.post("/auth/register-key", &first).await;
    assert_eq!(
        registered,
        (StatusCode::CREATED, json!({"detail": "API key registered."}))
    );
    let again = app.post("/auth/register-key", &first).await;
    assert_eq!(
        again,
        (
            StatusCode::CONFLICT,
            json!({"detail": "An API key is already configured."})
        )
    );
    app = app.restart().await;
    let status = app.get("/auth/bootstrap-status").await;
    assert_eq!(
        status,
        (StatusCode::OK, json!({"needs_bootstrap": false, "has_db_keys": true}))
    );
    let (status, body) = app.get("/auth/keys").await;
    assert_eq!(status, StatusCode::OK);
    let key = &body["keys"][0];
    assert_eq!(
        (&key["label"], &key["is_active"]),
        (&json!("netbox-fastapi-1"), &json!(true))
    );
    assert!(key["id"].as_i64().unwrap() > 0 && key["created_at"].is_f64(), "{key}");
}

#[tokio::test]
async fn two_claims_at_once_register_one_key() {
    let app = TestApp::fresh(&[], OffsetDateTime::now_utc).await;
    let claim = |letter: char| {
        let body = json!({"api_key": letter.to_string().repeat(40)});
        let request = app.request(Method::POST, "/auth/register-key").json(&body);
        async move { request.send().await.unwrap().status() }
    };
    let (first, second) = tokio::join!(claim('a'), claim('b'));
    let mut statuses = [first, second];
    statuses.sort();
    assert_eq!(statuses, [StatusCode::CREATED, StatusCode::CONFLICT]);
}

#[tokio::test]
async fn key_lives_from_creation_to_deletion_and_is_forgotten_at_once() {
    let mut app = TestApp::start().await;
    let (status, made) = app.post("/auth/keys", &json!(null)).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    let raw = made["raw_key"].as_str().unwrap().to_owned();
    assert_eq!(raw.len(), 64);
    let path = format!("/auth/keys/{}", made["id"]);
    app.key = Some(raw.clone());
    assert_eq!(app.get("/version").await.0, StatusCode::OK);
    app.key = Some(KEY.to_owned());
    let (status, record) = app.post(&format!("{path}/deactivate"), &json!(null)).await;
    assert_eq!((status, &record["is_active"]), (StatusCode::OK, &json!(false)));
    app.key = Some(raw.clone());
    assert_eq!(
        app.get("/version").await.0,
        StatusCode::UNAUTHORIZED,
        "remembered though deactivated"
    );
    app.key = Some(KEY.to_owned());
    let (status, record) = app.post(&format!("{path}/activate"), &json!(null)).await;
    assert_eq!((status, &record["is_active"]), (StatusCode::OK, &json!(true)));
    app.key = Some(raw);
    assert_eq!(app.get("/version").await.0, StatusCode::OK);
    let deleted = app.request(Method::DELETE, &path).send().await.unwrap();
    assert_eq!(deleted.status(), StatusCode::NO_CONTENT);
    assert_eq!(app.get("/version").await.0, StatusCode::UNAUTHORIZED, "deleted itself");
}

#[tokio::test]
async fn last_active_key_stays_and_absent_ones_are_not_found() {
    let app = TestApp::start().await;
    let expected = json!({"detail": {
        "code": "last_active_api_key_required",
        "message": "Create and verify another active API key before retiring this key.",
    }});
    let refused = app.post("/auth/keys/1/deactivate", &json!(null)).await;
    assert_eq!(refused, (StatusCode::CONFLICT, expected.clone()));
    assert_eq!(app.delete("/auth/keys/1").await, (StatusCode::CONFLICT, expected));
    let absent = (StatusCode::NOT_FOUND, json!({"detail": "API key not found."}));
    assert_eq!(app.delete("/auth/keys/99").await, absent);
    assert_eq!(app.post("/auth/keys/99/activate", &json!(null)).await, absent);
    let (status, body) = app.delete("/auth/keys/one").await;
    assert_eq!(
        (status, &body["detail"][0]["loc"]),
        (StatusCode::UNPROCESSABLE_ENTITY, &json!(["path"]))
    );
}

#[tokio::test]
async fn keys_over_the_limit_are_refused() {
    let app = TestApp::with(&[("PROXBOX_AUTH_MAX_ACTIVE_KEYS", "1")]).await;
    let (status, body) = app.post("/auth/keys", &json!(null)).await;
    assert_eq!(
        (status, &body["detail"]["code"]),
        (StatusCode::CONFLICT, &json!("active_api_key_limit_reached"))
    );
}

/// Seconds that the clock of the next test is ahead.
static AHEAD: AtomicI64 = AtomicI64::new(0);

fn clock() -> OffsetDateTime {
    OffsetDateTime::now_utc() + Duration::from_secs(AHEAD.load(Ordering::Relaxed).unsigned_abs())
}

#[tokio::test]
async fn wrong_key_is_locked_out_for_the_window_while_a_good_one_works() {
    let mut app = TestApp::fresh(&[("PROXBOX_AUTH_LOCKOUT_THRESHOLD", "2")], clock).await;
    app.post("/auth/register-key", &json!({"api_key": KEY})).await;
    app.key = Some("wrong".repeat(10));
    let first = app.get("/version").await;
    assert_eq!(
        first,
        (
            StatusCode::UNAUTHORIZED,
            json!({"detail": "Invalid API key. 1 attempts remaining."})
        )
    );
    let second = app.get("/version").await;
    assert_eq!(
        second,
        (StatusCode::UNAUTHORIZED, json!({"detail": "Invalid API key."}))
    );
    app = app.restart().await;
    let locked = app.request(Method::GET, "/version").send().await.unwrap();
    let wait: u64 = locked.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((290..=300).contains(&wait), "{wait}");
    let expected = json!({"detail": "Too many failed authentication attempts. Please try again later."});
    assert_eq!(answer(locked).await, (StatusCode::TOO_MANY_REQUESTS, expected));
    app.key = Some(KEY.to_owned());
    assert_eq!(app.get("/version").await.0, StatusCode::OK);
    AHEAD.store(301, Ordering::Relaxed);
    app.key = Some("wrong".repeat(10));
    assert_eq!(app.get("/version").await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn missing_keys_lock_the_source_for_every_key() {
    let mut app = TestApp::with(&[("PROXBOX_AUTH_LOCKOUT_SOURCE_THRESHOLD", "2")]).await;
    app.key = None;
    let (status, body) = app.get("/version").await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert_eq!(body, json!({"detail": "API key required. 1 attempts remaining."}));
    assert_eq!(app.get("/unknown").await.1, json!({"detail": "API key required."}));
    app.key = Some(KEY.to_owned());
    assert_eq!(app.get("/version").await.0, StatusCode::TOO_MANY_REQUESTS);
    for path in ["/", "/health", "/openapi.json", "/auth/bootstrap-status"] {
        assert_eq!(app.get(path).await.0, StatusCode::OK, "{path} is exempt");
    }
}

#[tokio::test]
async fn sources_behind_a_trusted_proxy_are_told_apart() {
    let mut app = TestApp::with(&[
        ("PROXBOX_AUTH_LOCKOUT_SOURCE_THRESHOLD", "1"),
        ("PROXBOX_TRUSTED_PROXIES", "127.0.0.1"),
    ])
    .await;
    app.key = None;
    let ask = |client: &'static str, app: &TestApp| {
        let request = app.request(Method::GET, "/version").header("X-Forwarded-For", client);
        async move { request.send().await.unwrap().status() }
    };
    assert_eq!(ask("192.0.2.1", &app).await, StatusCode::UNAUTHORIZED);
    app.key = Some(KEY.to_owned());
    assert_eq!(ask("192.0.2.1", &app).await, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(ask("192.0.2.2", &app).await, StatusCode::OK);
}

#[tokio::test]
async fn encryption_status_attests_that_every_secret_opens() {
    let app = TestApp::start().await;
    let expected = json!({
        "configured": true, "source": "local", "attestation_version": 1, "active_key_source": "local",
        "encrypted_credentials_verified": true,
    });
    assert_eq!(app.get("/admin/encryption/status").await, (StatusCode::OK, expected));
}
