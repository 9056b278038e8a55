//! The service in this process, on a port of its own, with a database of its own.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops where its surroundings fail"
)]

use std::collections::BTreeMap;

use proxbox_api::app::{Service, Start};
use proxbox_api::config::Config;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;
use tempfile::TempDir;
use time::OffsetDateTime;
use tokio::net::TcpSocket;

/// The API key that [`TestApp::start`] registers.
pub(crate) const KEY: &str = "test-key-of-at-least-thirty-two-characters";
const KEY_HEADER: &str = "X-Proxbox-API-Key";

/// A port that refuses connections, and that nobody else gets while this is held.
pub(crate) struct ClosedPort(TcpSocket);

impl ClosedPort {
    pub(crate) fn reserve() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        Self(socket)
    }

    pub(crate) fn number(&self) -> u16 {
        self.0.local_addr().unwrap().port()
    }
}

/// A running service and a client of it.
pub(crate) struct TestApp {
    pub(crate) service: Service,
    pub(crate) client: reqwest::Client,
    /// The key that requests present; `None`: none.
    pub(crate) key: Option<String>,
    folder: TempDir,
    variables: BTreeMap<String, String>,
    clock: fn() -> OffsetDateTime,
}

impl TestApp {
    /// A service with the default settings, and [`KEY`] registered.
    pub(crate) async fn start() -> Self {
        Self::with(&[]).await
    }

    /// A service under these environment variables, and [`KEY`] registered.
    pub(crate) async fn with(variables: &[(&str, &str)]) -> Self {
        let app = Self::fresh(variables, OffsetDateTime::now_utc).await;
        let key = KEY.to_owned().into();
        app.service
            .state()
            .store
            .register_first_key(&key, "tests")
            .await
            .unwrap();
        app
    }

    /// A service that nobody has claimed, judging by `clock`.
    pub(crate) async fn fresh(variables: &[(&str, &str)], clock: fn() -> OffsetDateTime) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("database.db");
        let mut all: BTreeMap<String, String> = [
            ("PORT", "0"),
            ("PROXBOX_BIND_HOST", "127.0.0.1"),
            ("PROXBOX_RATE_LIMIT", "100000"),
            ("PROXBOX_DATABASE_PATH", database.to_str().unwrap()),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        all.extend(
            variables
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        // The client speaks TLS without checks, for tests of TLS.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .tls_danger_accept_invalid_certs(true)
            .no_proxy();
        Self {
            service: start(&all, clock).await,
            client: client.build().unwrap(),
            key: Some(KEY.to_owned()),
            folder,
            variables: all,
            clock,
        }
    }

    /// Stops the service and starts it again on the same database.
    pub(crate) async fn restart(self) -> Self {
        self.service.stop().await;
        Self {
            service: start(&self.variables, self.clock).await,
            ..self
        }
    }

    /// Where files of this service may be put; the database is `database.db` in it.
    pub(crate) fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// The URL of `path`.
    pub(crate) fn url(&self, path: &str) -> String {
        let is_tls = self.service.state().config.listen.tls.is_some();
        let scheme = if is_tls { "https" } else { "http" };
        format!("{scheme}://{}{path}", self.service.addresses()[0])
    }

    /// A request with the key.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, self.url(path));
        match &self.key {
            Some(key) => request.header(KEY_HEADER, key),
            None => request,
        }
    }

    pub(crate) async fn get(&self, path: &str) -> (StatusCode, Value) {
        answer(self.request(Method::GET, path).send().await.unwrap()).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        answer(self.request(Method::POST, path).json(body).send().await.unwrap()).await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        answer(self.request(Method::PUT, path).json(body).send().await.unwrap()).await
    }

    pub(crate) async fn delete(&self, path: &str) -> (StatusCode, Value) {
        answer(self.request(Method::DELETE, path).send().await.unwrap()).await
    }
}

/// Status and body; a body that is not JSON is null.
pub(crate) async fn answer(response: Response) -> (StatusCode, Value) {
    let status = response.status();
    let body = response.bytes().await.unwrap();
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

async fn start(variables: &BTreeMap<String, String>, clock: fn() -> OffsetDateTime) -> Service {
    let config = Config::from_variables(variables.clone()).unwrap();
    let mut start = Start::new(config);
    start.clock = clock;
    Service::start(start).await.unwrap()
}
