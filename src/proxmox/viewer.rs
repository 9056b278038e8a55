//! The script behind a host's API viewer, which describes the host's own API.

use std::time::Duration;

use reqwest::Client;
use url::Url;

use super::error::Error;
use super::fault::translate;
use super::tls::{TlsPolicy, client_config};

/// Where the script lies on every host.
pub const SCRIPT: &str = "/pve-docs/api-viewer/apidoc.js";
/// A real one has about 5 MiB.
const LIMIT: usize = 64 * 1024 * 1024;
const PATIENCE: Duration = Duration::from_secs(30);

/// Reads the script at `url`, or [`SCRIPT`] where the URL names a host only.
///
/// # Errors
///
/// [`Error`] where there is no answer, or another one.
pub async fn fetch_script(url: &Url, tls: &TlsPolicy) -> Result<String, Error> {
    let mut url = url.clone();
    if url.path() == "/" {
        url.set_path(SCRIPT);
    }
    let label = format!("GET {}", url.path());
    let address = url.host_str().unwrap_or_default().to_owned();
    let unusable = |reason: String| Error::InvalidEndpoint {
        endpoint: address.clone(),
        reason,
    };
    let tls = client_config(tls).map_err(|error| unusable(error.to_string()))?;
    let client = Client::builder()
        .tls_backend_preconfigured(tls)
        .no_proxy()
        .timeout(PATIENCE)
        .build();
    let client = client.map_err(|error| unusable(error.to_string()))?;
    let broken = |error| translate(error, &label, &address);
    let mut response = client.get(url).send().await.map_err(broken)?;
    if !response.status().is_success() {
        return Err(unusable(format!(
            "{label} was answered with {}",
            response.status().as_u16()
        )));
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(broken)? {
        if body.len() + chunk.len() > LIMIT {
            return Err(Error::TooLarge {
                call: label,
                limit: LIMIT,
            });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(String::from_utf8_lossy(&body).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use wiremock::matchers::path;
    use wiremock::{Mock, MockServer, ResponseTemplate};

    #[tokio::test]
    async fn script_is_read_from_its_usual_place_where_only_the_host_is_named() {
        let server = MockServer::start().await;
        let script = ResponseTemplate::new(200).set_body_string("const apiSchema = [];");
        Mock::given(path(SCRIPT)).respond_with(script).mount(&server).await;
        let url: Url = server.uri().parse().unwrap();
        let read = fetch_script(&url, &TlsPolicy::default()).await.unwrap();
        assert_eq!(read, "const apiSchema = [];");
        let elsewhere = url.join("/elsewhere.js").unwrap();
        let error = fetch_script(&elsewhere, &TlsPolicy::default()).await.unwrap_err();
        assert!(error.to_string().contains("404"), "{error}");
    }
}
