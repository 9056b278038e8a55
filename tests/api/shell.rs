//! What holds for every route: shapes of errors, headers, limits, TLS, the stop.

use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{KEY, TestApp, answer};

#[tokio::test]
async fn service_tells_who_it_is_and_that_it_is_ready() {
    let app = TestApp::start().await;
    let (status, body) = app.get("/").await;
    assert_eq!(status, StatusCode::OK);
    assert!(
        body["message"].as_str().unwrap().starts_with("Proxbox Backend"),
        "{body}"
    );
    assert_eq!(
        app.get("/health").await,
        (StatusCode::OK, json!({"status": "ready", "init_ok": true}))
    );
    let (status, body) = app.get("/version").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        body,
        json!({"version": env!("CARGO_PKG_VERSION"), "capabilities": {"ws_run_id": 1}})
    );
}

#[tokio::test]
async fn requests_that_cannot_be_served_are_refused_in_shape() {
    let app = TestApp::start().await;
    let send = |request: reqwest::RequestBuilder| async move { answer(request.send().await.unwrap()).await };
    let register = || app.request(Method::POST, "/auth/register-key");
    let plain = |text: &str| json!({"detail": text});
    assert_eq!(app.get("/nowhere").await, (StatusCode::NOT_FOUND, plain("Not Found")));
    assert_eq!(
        app.get("/auth/keys/").await,
        (StatusCode::NOT_FOUND, plain("Not Found"))
    );
    let (status, body) = app.put("/version", &json!({})).await;
    assert_eq!(
        (status, body),
        (StatusCode::METHOD_NOT_ALLOWED, plain("Method Not Allowed"))
    );
    let (status, body) = send(register().body("{}")).await;
    assert_eq!(
        (status, &body["detail"][0]["loc"]),
        (StatusCode::UNPROCESSABLE_ENTITY, &json!(["body"])),
        "{body}"
    );
    let (status, body) = send(register().json(&json!({"api_key": "x".repeat(1024 * 1024)}))).await;
    assert_eq!(
        (status, body),
        (StatusCode::PAYLOAD_TOO_LARGE, plain("Payload Too Large"))
    );
    let cases = [
        ("{", json!(["body"])),
        ("{} {}", json!(["body"])),
        (r#"{"label": "x"}"#, json!(["body"])),
        (r#"{"api_key": 5}"#, json!(["body", "api_key"])),
    ];
    for (text, location) in cases {
        let (status, body) = send(register().header("content-type", "application/json").body(text)).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{text}");
        assert_eq!(body["detail"][0]["loc"], location, "{text}: {body}");
        assert_eq!(body["detail"][0]["type"], "request_validation_error", "{text}");
        assert!(!body.to_string().contains('5'), "the value is repeated: {body}");
    }
}

#[tokio::test]
async fn every_answer_carries_security_headers_and_a_request_id() {
    let mut app = TestApp::start().await;
    for (key, path) in [
        (true, "/version"),
        (true, "/nowhere"),
        (false, "/version"),
        (false, "/docs/"),
    ] {
        app.key = app.key.filter(|_| key);
        let response = app
            .request(Method::GET, path)
            .header("X-Request-ID", "abc-1")
            .send()
            .await
            .unwrap();
        let headers = response.headers();
        assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(headers["x-frame-options"], "DENY", "{path}");
        assert!(
            headers["content-security-policy"]
                .to_str()
                .unwrap()
                .contains("frame-ancestors 'none'"),
            "{path}"
        );
        assert_eq!(headers["x-request-id"], "abc-1", "{path}");
        assert!(headers.get("x-proxbox-mode").is_none());
    }
    let response = app
        .request(Method::GET, "/")
        .header("X-Request-ID", "a b\u{e9}")
        .send()
        .await
        .unwrap();
    assert_eq!(
        response.headers()["x-request-id"].len(),
        36,
        "an id that cannot stand in a log is replaced"
    );
}

#[tokio::test]
async fn mock_mode_is_told_in_health_and_headers() {
    let app = TestApp::with(&[("PROXMOX_API_MODE", "mock")]).await;
    let response = app.request(Method::GET, "/health").send().await.unwrap();
    assert_eq!(response.headers()["x-proxbox-mode"], "mock");
    assert_eq!(answer(response).await.1["mode"], "mock");
}

#[tokio::test]
async fn preflight_is_answered_without_a_key_and_only_for_known_origins() {
    let app = TestApp::with(&[("PROXBOX_CORS_EXTRA_ORIGINS", "https://netbox.example.com/")]).await;
    for (origin, is_allowed) in [
        ("https://netbox.example.com", true),
        ("https://evil.example.com", false),
    ] {
        let response = app.client.request(Method::OPTIONS, app.url("/admin/encryption/status"));
        let response = response
            .header("Origin", origin)
            .header("Access-Control-Request-Method", "GET")
            .send()
            .await;
        let response = response.unwrap();
        let allowed = response.headers().get("access-control-allow-origin");
        assert_eq!(allowed.is_some_and(|allowed| allowed == origin), is_allowed, "{origin}");
    }
    let (status, _) = app.get("/version").await;
    assert_eq!(status, StatusCode::OK, "preflights are no failed sign-ins");
}

#[tokio::test]
async fn source_that_asks_too_often_is_told_when_to_come_back() {
    let app = TestApp::with(&[("PROXBOX_RATE_LIMIT", "2")]).await;
    assert_eq!(app.get("/version").await.0, StatusCode::OK);
    assert_eq!(app.get("/version").await.0, StatusCode::OK);
    let response = app.request(Method::GET, "/version").send().await.unwrap();
    assert_eq!(response.headers()["retry-after"], "60");
    let expected = json!({"detail": "Rate limit exceeded. Please try again later."});
    assert_eq!(answer(response).await, (StatusCode::TOO_MANY_REQUESTS, expected));
    assert_eq!(app.get("/health").await.0, StatusCode::OK);
}

#[tokio::test]
async fn openapi_document_lists_the_routes_and_how_to_sign_in() {
    let app = TestApp::start().await;
    let (status, document) = app.get("/openapi.json").await;
    assert_eq!(status, StatusCode::OK);
    assert!(
        document["openapi"].as_str().unwrap().starts_with("3.1"),
        "{}",
        document["openapi"]
    );
    let keys = &document["paths"]["/auth/keys"];
    assert!(keys["get"].is_object() && keys["post"].is_object(), "{keys}");
    assert_eq!(document["components"]["securitySchemes"]["api_key"]["in"], "header");
    assert_eq!(document["paths"]["/health"]["get"]["security"], json!([]));
    assert_eq!(document["security"], json!([{"api_key": []}]));
}

#[tokio::test]
async fn documentation_browser_comes_with_all_its_files() {
    let app = TestApp::start().await;
    let text = |path: &'static str| {
        let request = app.client.get(app.url(path));
        async move {
            request
                .send()
                .await
                .unwrap()
                .error_for_status()
                .unwrap()
                .text()
                .await
                .unwrap()
        }
    };
    let page = text("/docs").await;
    assert!(
        page.contains("swagger-ui-bundle.js") && !page.contains("//unpkg.com"),
        "{page}"
    );
    assert!(text("/docs/swagger-initializer.js").await.contains("/openapi.json"));
    assert!(text("/docs/swagger-ui-bundle.js").await.len() > 100_000);
    assert_eq!(
        app.get("/docs/none.js").await,
        (StatusCode::NOT_FOUND, json!({"detail": "Not Found"}))
    );
}

#[tokio::test]
async fn tls_is_spoken_with_a_certificate_that_survives_a_restart() {
    let app = TestApp::with(&[("PROXBOX_TLS_SELF_SIGNED", "1")]).await;
    assert_eq!(app.get("/health").await.0, StatusCode::OK);
    let plain = app.url("/health").replace("https://", "http://");
    let (status, body) = answer(app.client.get(plain).send().await.unwrap()).await;
    assert_eq!(
        (status, &body["error"]),
        (StatusCode::BAD_REQUEST, &json!("plain_http_on_https_port"))
    );
    let cert = app.folder().join("self-signed.crt");
    let before = std::fs::read(&cert).unwrap();
    let app = app.restart().await;
    assert_eq!(app.get("/health").await.0, StatusCode::OK);
    assert_eq!(std::fs::read(&cert).unwrap(), before);
}

#[tokio::test]
async fn stop_lets_a_request_under_way_end_and_closes_idle_connections() {
    let app = TestApp::start().await;
    let address = app.service.addresses()[0];
    let mut idle = TcpStream::connect(address).await.unwrap();
    let mut busy = TcpStream::connect(address).await.unwrap();
    let head =
        "POST /auth/register-key HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{";
    busy.write_all(head.as_bytes()).await.unwrap();
    // The service has read the head when the next connection's answer is there.
    assert_eq!(app.get("/health").await.0, StatusCode::OK);
    let since = Instant::now();
    let stopping = tokio::spawn(app.service.stop());
    assert_eq!(
        idle.read(&mut [0; 16]).await.unwrap(),
        0,
        "the idle connection is closed"
    );
    busy.write_all(b"}").await.unwrap();
    let mut text = String::new();
    busy.read_to_string(&mut text).await.unwrap();
    assert!(text.starts_with("HTTP/1.1 422"), "{text}");
    stopping.await.unwrap();
    assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
    assert!(TcpStream::connect(address).await.is_err(), "the port is closed");
}

#[tokio::test]
async fn causes_of_internal_errors_are_told_only_where_the_setting_says_so() {
    for (setting, is_told) in [("false", false), ("true", true)] {
        let app = TestApp::with(&[("PROXBOX_EXPOSE_INTERNAL_ERRORS", setting)]).await;
        assert_eq!(app.get("/version").await.0, StatusCode::OK, "the key is remembered");
        app.service.state().store.close().await;
        let (status, body) = app.get("/auth/bootstrap-status").await;
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(body["message"], "Internal server error");
        assert_eq!(body["python_exception"] == Value::Null, !is_told, "{body}");
        assert_eq!(body["detail"] == "An unexpected error occurred.", !is_told, "{body}");
        let (status, body) = app.get("/health").await;
        assert_eq!(
            (status, &body["status"]),
            (StatusCode::SERVICE_UNAVAILABLE, &json!("unready"))
        );
    }
}

#[tokio::test]
async fn connection_outlives_an_answer_that_needs_no_body() {
    let app = TestApp::start().await;
    let keys = [KEY, "wrong-key-of-at-least-thirty-two-characters"];
    for (key, status) in keys.into_iter().zip(["409", "401"]) {
        let mut stream = TcpStream::connect(app.service.addresses()[0]).await.unwrap();
        let head = format!(
            "POST /auth/keys/1/deactivate HTTP/1.1\r\nhost: x\r\nx-proxbox-api-key: {key}\r\ncontent-length: 4\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        // Long enough for the request to be met before its body is there.
        for _ in 0..20 {
            app.get("/health").await;
        }
        let next = "nullGET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        stream.write_all(next.as_bytes()).await.unwrap();
        let mut answers = String::new();
        stream.read_to_string(&mut answers).await.unwrap();
        let statuses: Vec<_> = answers.split("HTTP/1.1 ").skip(1).map(|answer| &answer[..3]).collect();
        assert_eq!(statuses, [status, "200"], "{answers}");
    }
}
