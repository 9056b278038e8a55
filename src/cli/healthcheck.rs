//! Whether the service on this host is ready.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use super::Failure;
use super::commands::block_on;
use crate::config::{Config, Listen};

const PATIENCE: Duration = Duration::from_secs(5);

/// Succeeds where `/health` answers with 200.
pub(super) fn run(config: &Config) -> Result<(), Failure> {
    block_on(async {
        // Fails only where a provider was chosen before, which will do as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        // The service of this very host is asked, by an address that its certificate need not name.
        let client = reqwest::Client::builder()
            .tls_danger_accept_invalid_certs(true)
            .no_proxy()
            .timeout(PATIENCE)
            .build()?;
        let answer = client.get(url(&config.listen)).send().await?;
        let status = answer.status();
        if status.is_success() {
            Ok(())
        } else {
            Err(format!("not ready: {status}").into())
        }
    })
}

/// Where the service of this host is asked.
fn url(listen: &Listen) -> String {
    let scheme = if listen.tls.is_some() { "https" } else { "http" };
    let host = match listen.host.parse() {
        Ok(IpAddr::V4(Ipv4Addr::UNSPECIFIED)) => Ipv4Addr::LOCALHOST.to_string(),
        Ok(IpAddr::V6(Ipv6Addr::UNSPECIFIED)) => format!("[{}]", Ipv6Addr::LOCALHOST),
        Ok(IpAddr::V6(address)) => format!("[{address}]"),
        Ok(IpAddr::V4(_)) | Err(_) => listen.host.clone(),
    };
    format!("{scheme}://{host}:{}/health", listen.port)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Tls;

    #[test]
    fn service_is_asked_on_an_address_that_it_listens_on() {
        let cases = [
            ("0.0.0.0", None, "http://127.0.0.1:8000/health"),
            ("::", None, "http://[::1]:8000/health"),
            ("::1", Some(Tls::SelfSigned), "https://[::1]:8000/health"),
            ("192.0.2.7", None, "http://192.0.2.7:8000/health"),
            ("localhost", Some(Tls::SelfSigned), "https://localhost:8000/health"),
        ];
        for (host, tls, expected) in cases {
            let listen = Listen {
                host: host.to_owned(),
                port: 8000,
                tls,
            };
            assert_eq!(url(&listen), expected);
        }
    }
}
