//! The service as a process of its own, and the Proxmox that it talks to.

use std::fs::File;
use std::process::{Child, Command};
use std::time::Duration;

use proxbox_api::proxmox::mock::{MockOptions, MockProxmox, World};
use tokio::time::{Instant, sleep};

/// Where it logs, below its own folder.
const LOG: &str = "service.log";

/// The running service; it ends with the test.
pub(crate) struct Service {
    pub(crate) port: u16,
    child: Child,
    state: tempfile::TempDir,
}

impl Service {
    /// Starts the binary on a free port, with an empty database.
    pub(crate) async fn start() -> Self {
        let state = tempfile::tempdir().unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let child = Command::new(env!("CARGO_BIN_EXE_proxbox-api"))
            .env("PORT", port.to_string())
            .env("PROXBOX_BIND_HOST", "127.0.0.1")
            .env("PROXBOX_DATABASE_PATH", state.path().join("proxbox.db"))
            .env("PROXBOX_ENCRYPTION_KEY", "end-to-end-tests-only")
            .stdout(File::create(state.path().join(LOG)).unwrap())
            .spawn()
            .unwrap();
        let service = Self { port, child, state };
        service.wait().await;
        service
    }

    /// What it has logged so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.state.path().join(LOG)).unwrap()
    }

    async fn wait(&self) {
        let began = Instant::now();
        let health = format!("http://127.0.0.1:{}/health", self.port);
        while !reqwest::get(&health)
            .await
            .is_ok_and(|answer| answer.status().is_success())
        {
            assert!(began.elapsed() < Duration::from_secs(20), "the service does not answer");
            sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A cluster of three nodes with 41 virtual machines and 14 containers.
pub(crate) async fn proxmox() -> MockProxmox {
    MockProxmox::start(MockOptions::default(), World::estate(3, 55))
        .await
        .unwrap()
}
