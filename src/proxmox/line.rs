//! One address of an endpoint with its own connections, and how a request and an answer pass over them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use hyper::ext::ReasonPhrase;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::{Body, Response};
use rustls::ClientConfig;
use secrecy::ExposeSecret as _;

use super::classify::{Failed, classify};
use super::client::{Call, Success};
use super::description::is_secret;
use super::endpoint::{Address, Endpoint, Scheme};
use super::error::Error;
use super::fault::{Unresolved, translate};
use super::gate::Class;
use super::tls::client_config;

/// Below the 5 s after which `pveproxy` closes an idle connection, so that a dying one is not picked.
const IDLE: Duration = Duration::from_secs(4);
/// The largest answer we hold; one for 100,000 tasks is about 30 MiB.
const ANSWER_LIMIT: usize = 64 * 1024 * 1024;
/// A `Retry-After` beyond this is cut.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(30);
const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");

/// What all lines of an endpoint have in common.
#[derive(Debug)]
pub(super) struct Trunk {
    endpoint: String,
    scheme: Scheme,
    port: u16,
    tls: ClientConfig,
    connecting: Duration,
}

impl Trunk {
    pub(super) fn new(endpoint: &Endpoint, scheme: Scheme) -> Result<Self, Error> {
        Ok(Self {
            endpoint: endpoint.name.clone(),
            scheme,
            port: endpoint.port,
            tls: client_config(&endpoint.tls).map_err(|error| endpoint.invalid(with_cause(&error)))?,
            connecting: endpoint
                .connect_timeout
                .min(Class::Generic.limit(endpoint.timeout).mul_f32(0.9)),
        })
    }

    pub(super) const fn port(&self) -> u16 {
        self.port
    }
}

/// One address with its own connections.
#[derive(Debug)]
pub(super) struct Line {
    /// Host and port, for errors and logs.
    pub(super) label: String,
    origin: String,
    http: reqwest::Client,
}

impl Line {
    /// Prepares the connections to `address`; sends nothing.
    pub(super) fn new(trunk: &Trunk, address: &Address) -> Result<Self, Error> {
        let http = connections(trunk, address).map_err(|error| Error::InvalidEndpoint {
            endpoint: trunk.endpoint.clone(),
            reason: with_cause(&error),
        })?;
        Ok(Self {
            label: address.label(trunk.port),
            origin: address.origin(trunk.scheme, trunk.port),
            http,
        })
    }

    pub(super) async fn send(&self, call: &Call, proof: &HeaderMap) -> Result<Response, Error> {
        let mut url = format!("{}/api2/json/{}", self.origin, call.path.encoded);
        let parameters = call.parameters.expose_secret();
        if !call.has_body() && !parameters.is_empty() {
            url.push('?');
            url.push_str(parameters);
        }
        let mut request = self.http.request(call.method.clone(), url).headers(proof.clone());
        if call.has_body() {
            // Without a body the length would be left out; the server wants to be told that nothing comes.
            request = if parameters.is_empty() {
                request.header(CONTENT_LENGTH, 0)
            } else {
                request.header(CONTENT_TYPE, FORM).body(parameters.to_owned())
            };
        }
        request
            .send()
            .await
            .map_err(|error| translate(error, &call.label(), &self.label))
    }

    /// Sends `body` with `headers` that say what it is and who we are.
    pub(super) async fn send_file(&self, call: &Call, headers: &HeaderMap, body: Body) -> Result<Response, Error> {
        let url = format!("{}/api2/json/{}", self.origin, call.path.encoded);
        let request = self.http.request(call.method.clone(), url).headers(headers.clone());
        let sending = request.body(body).send().await;
        sending.map_err(|error| translate(error, &call.label(), &self.label))
    }

    /// The whole answer, or why there is none.
    pub(super) async fn receive(&self, response: Response, call: &Call) -> Result<Success, Error> {
        if !response.status().is_success() {
            return Err(self.refusal(response, call).await);
        }
        match read_body(response, ANSWER_LIMIT).await {
            Ok(body) => Ok(Success {
                body,
                address: self.label.clone(),
            }),
            Err(error) => Err(self.unread(error, call)),
        }
    }

    /// What an answer other than a success means.
    pub(super) async fn refusal(&self, response: Response, call: &Call) -> Error {
        let status = response.status();
        let reason = response.extensions().get::<ReasonPhrase>().cloned();
        let headers = response.headers().clone();
        if status.is_redirection() {
            return Error::Redirect {
                call: call.label(),
                status: status.as_u16(),
                location: location(&headers),
            };
        }
        match read_body(response, ANSWER_LIMIT).await {
            Ok(body) => classify(Failed {
                method: call.method.as_str(),
                path: &call.path.plain,
                status: status.as_u16(),
                reason: reason.as_ref().map(ReasonPhrase::as_bytes),
                body: &body,
                retry_after: retry_after(&headers),
                secrets: &secrets(call),
            }),
            Err(error) => self.unread(error, call),
        }
    }

    fn unread(&self, error: BodyError, call: &Call) -> Error {
        match error {
            BodyError::TooLarge => Error::TooLarge {
                call: call.label(),
                limit: ANSWER_LIMIT,
            },
            BodyError::Broken(error) => translate(error, &call.label(), &self.label),
        }
    }
}

/// The connections to one address: no redirects, no proxy, no cookies, no second protocol version.
fn connections(trunk: &Trunk, address: &Address) -> reqwest::Result<reqwest::Client> {
    let mut builder = reqwest::Client::builder()
        .tls_backend_preconfigured(trunk.tls.clone())
        .http1_only()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .gzip(true)
        .pool_idle_timeout(IDLE)
        .connect_timeout(trunk.connecting)
        .dns_resolver(Arc::new(SystemResolver))
        .user_agent(concat!("proxbox-api/", env!("CARGO_PKG_VERSION")));
    if let Some(ip) = address.dial {
        builder = builder.resolve(&address.host, SocketAddr::new(ip, trunk.port));
    }
    builder.build()
}

/// The secrets among the parameters of `call`; shorter ones are found in every text.
fn secrets(call: &Call) -> Vec<String> {
    const SHORTEST: usize = 4;
    let parameters = url::form_urlencoded::parse(call.parameters.expose_secret().as_bytes());
    let secrets = parameters.filter(|(name, value)| is_secret(name) && value.len() >= SHORTEST);
    secrets.map(|(_, value)| value.into_owned()).collect()
}

fn with_cause(error: &dyn std::error::Error) -> String {
    error
        .source()
        .map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}

/// The system's resolver, with failures that can be told from failures to connect.
#[derive(Debug)]
struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(resolve(name.as_str().to_owned()))
    }
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

async fn resolve(name: String) -> Result<Addrs, BoxError> {
    let found = tokio::net::lookup_host((name.as_str(), 0)).await.map_err(Unresolved)?;
    let addresses: Vec<SocketAddr> = found.collect();
    if addresses.is_empty() {
        return Err(Unresolved(std::io::Error::other("the name has no addresses")).into());
    }
    Ok(Box::new(addresses.into_iter()))
}

#[derive(Debug)]
enum BodyError {
    TooLarge,
    Broken(reqwest::Error),
}

/// The body, unpacked; given up as soon as it grows beyond `limit` bytes.
async fn read_body(mut response: Response, limit: usize) -> Result<BytesMut, BodyError> {
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(BodyError::Broken)? {
        if body.len() + chunk.len() > limit {
            return Err(BodyError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Host and port of the redirect's target; the rest of it is nobody's business.
fn location(headers: &HeaderMap) -> String {
    let target = headers
        .get(LOCATION)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let parsed = url::Url::parse(target).ok();
    match parsed
        .as_ref()
        .and_then(|url| url.host_str().map(|host| (host, url.port_or_known_default())))
    {
        Some((host, Some(port))) => format!("{host}:{port}"),
        Some((host, _)) => host.to_owned(),
        None => "another path of the same host".to_owned(),
    }
}

/// `Retry-After` in seconds or as a date.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => httpdate::parse_http_date(text)
            .ok()?
            .duration_since(std::time::SystemTime::now())
            .ok()?,
    };
    Some(wait.min(LONGEST_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn location_names_host_and_port_only() {
        for (target, wanted) in [
            ("https://other.example/path?token=x", "other.example:443"),
            ("http://other.example:8080/", "other.example:8080"),
            ("https://user:pass@other.example:8006/", "other.example:8006"),
            ("/login", "another path of the same host"),
            ("", "another path of the same host"),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(LOCATION, target.parse().unwrap());
            assert_eq!(location(&headers), wanted, "{target}");
        }
    }

    #[test]
    fn retry_after_is_read_and_cut() {
        for (text, wanted) in [("2", Some(2)), ("900", Some(30)), ("soon", None), ("-1", None)] {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, text.parse().unwrap());
            assert_eq!(retry_after(&headers), wanted.map(Duration::from_secs), "{text}");
        }
    }

    #[tokio::test]
    async fn body_beyond_the_limit_is_given_up() {
        for (length, is_fine) in [(10, true), (11, false)] {
            let response = Response::from(http::Response::new("x".repeat(length)));
            assert_eq!(read_body(response, 10).await.is_ok(), is_fine, "{length}");
        }
    }
}
