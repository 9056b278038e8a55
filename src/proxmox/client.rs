//! The transport: HTTP/1.1 as `pveproxy` speaks it, to the first address of an endpoint that can be reached.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::BytesMut;
use hyper::ext::ReasonPhrase;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::{Method, Response};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::{Instant, timeout};
use tracing::{debug, warn};

use super::breaker::Breaker;
use super::classify::{Failed, classify};
use super::endpoint::{Address, Endpoint, Scheme};
use super::error::Error;
use super::fault::{Unresolved, translate};
use super::gate::Class;
use super::navigate::Path;
use super::tls::client_config;

/// Below the 5 s after which `pveproxy` closes an idle connection, so that a dying one is not picked.
const IDLE: Duration = Duration::from_secs(4);
/// How long the address that worked is asked first.
const MEMORY: Duration = Duration::from_secs(300);
/// The largest answer we hold; one for 100,000 tasks is about 30 MiB.
const ANSWER_LIMIT: usize = 64 * 1024 * 1024;
/// A `Retry-After` beyond this is cut.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(30);
const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");

/// One request, without the proof of who we are.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) path: Path,
    /// Encoded parameters: in the query of GET and DELETE, in the body of POST and PUT.
    pub(super) parameters: SecretString,
    /// A limit of the caller's own.
    pub(super) within: Option<Duration>,
}

impl Call {
    /// Method and path, for errors and logs.
    pub(super) fn label(&self) -> String {
        format!("{} {}", self.method, self.path.plain)
    }

    /// Whether repeating it can do no harm.
    pub(super) fn is_read(&self) -> bool {
        self.method == Method::GET
    }

    fn has_body(&self) -> bool {
        self.method == Method::POST || self.method == Method::PUT
    }
}

/// A successful answer as it came.
#[derive(Debug)]
pub(super) struct Success {
    pub(super) body: BytesMut,
    /// Host and port that answered.
    pub(super) address: String,
}

/// One address with its own connections.
#[derive(Debug)]
struct Line {
    origin: String,
    label: String,
    http: reqwest::Client,
}

/// The connections to one endpoint.
#[derive(Debug)]
pub(super) struct Client {
    lines: Vec<Line>,
    label: String,
    patience: Duration,
    breaker: Breaker,
    /// The line that worked last, and when. A plain lock: held for a copy.
    worked: Mutex<Option<(usize, Instant)>>,
}

impl Client {
    /// Sets everything up for `addresses`, first choice first; sends nothing.
    pub(super) fn new(endpoint: &Endpoint, scheme: Scheme, addresses: &[Address]) -> Result<Self, Error> {
        let mut lines = Vec::new();
        for address in addresses {
            lines.push(Line {
                origin: address.origin(scheme, endpoint.port),
                label: address.label(endpoint.port),
                http: connections(endpoint, address)?,
            });
        }
        if endpoint.tls.accepts_anything() && scheme == Scheme::Https {
            warn!(endpoint.id = %endpoint.key, endpoint.name, "certificates of this Proxmox endpoint are not checked");
        }
        Ok(Self {
            lines,
            label: endpoint.address(),
            patience: endpoint.timeout,
            breaker: Breaker::default(),
            worked: Mutex::new(None),
        })
    }

    /// Sends `call` with the `proof` headers and reads the whole answer.
    ///
    /// A read is repeated once when a connection breaks before the first byte of the answer, as happens when the server
    /// closes an idle connection the moment it is picked.
    pub(super) async fn exchange(&self, call: &Call, proof: &HeaderMap) -> Result<Success, Error> {
        let admission = self.breaker.admit().map_err(|open| Error::CircuitOpen {
            address: self.label.clone(),
            retry_after: open.retry_after,
            source: open.last,
        })?;
        let outcome = self.over_lines(call, proof).await;
        match &outcome {
            Err(error) if error.is_unreachable() => admission.failed(error),
            Ok(_) | Err(_) => admission.reached(),
        }
        outcome
    }

    /// Another address is asked only when the one before could not be connected to: then nothing was sent, and no
    /// second host gets to count a wrong password.
    async fn over_lines(&self, call: &Call, proof: &HeaderMap) -> Result<Success, Error> {
        let mut earlier: Option<Error> = None;
        for index in self.order() {
            let Some(line) = self.lines.get(index) else { continue };
            let error = match self.on_line(line, call, proof).await {
                Ok(success) => {
                    self.remember(index);
                    return Ok(success);
                }
                Err(error) => error,
            };
            let is_last_word = !error.is_unreachable();
            if is_last_word {
                if error.answer().is_some() {
                    self.remember(index);
                }
                return Err(error);
            }
            debug!(address = line.label, error = %error, "address cannot be reached");
            earlier = Some(match earlier {
                None => error,
                Some(first) => Error::BothAddresses {
                    first: Box::new(first),
                    second: Box::new(error),
                },
            });
        }
        Err(earlier.unwrap_or(Error::Closed))
    }

    async fn on_line(&self, line: &Line, call: &Call, proof: &HeaderMap) -> Result<Success, Error> {
        let class = Class::of(call.method.as_str(), &call.path.plain);
        let limit = call.within.unwrap_or_else(|| class.limit(self.patience));
        let exchange = async {
            let response = match line.send(call, proof).await {
                Err(Error::Lost { .. }) if call.is_read() => line.send(call, proof).await?,
                other => other?,
            };
            line.receive(response, call).await
        };
        match timeout(limit, exchange).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Error::Timeout {
                call: call.label(),
                address: line.label.clone(),
                limit,
            }),
        }
    }

    fn order(&self) -> Vec<usize> {
        let worked = *self.worked.lock().unwrap_or_else(PoisonError::into_inner);
        let first = worked
            .filter(|(_, when)| when.elapsed() < MEMORY)
            .map_or(0, |(index, _)| index);
        let others = (0..self.lines.len()).filter(|index| *index != first);
        std::iter::once(first).chain(others).collect()
    }

    fn remember(&self, index: usize) {
        let mut worked = self.worked.lock().unwrap_or_else(PoisonError::into_inner);
        // The preferred address is given another chance every few minutes, however busy the second one is.
        if worked.is_none_or(|(known, when)| known != index || when.elapsed() >= MEMORY) {
            *worked = Some((index, Instant::now()));
        }
    }
}

impl Line {
    async fn send(&self, call: &Call, proof: &HeaderMap) -> Result<Response, Error> {
        let mut url = format!("{}/api2/json/{}", self.origin, call.path.encoded);
        let parameters = call.parameters.expose_secret();
        if !call.has_body() && !parameters.is_empty() {
            url.push('?');
            url.push_str(parameters);
        }
        let mut request = self.http.request(call.method.clone(), url).headers(proof.clone());
        if call.has_body() {
            if !parameters.is_empty() {
                request = request.header(CONTENT_TYPE, FORM);
            }
            request = request.body(parameters.to_owned());
        }
        request
            .send()
            .await
            .map_err(|error| translate(error, &call.label(), &self.label))
    }

    async fn receive(&self, response: Response, call: &Call) -> Result<Success, Error> {
        let status = response.status();
        let reason = response.extensions().get::<ReasonPhrase>().cloned();
        let headers = response.headers().clone();
        if status.is_redirection() {
            return Err(Error::Redirect {
                call: call.label(),
                status: status.as_u16(),
                location: location(&headers),
            });
        }
        let broken = |error| translate(error, &call.label(), &self.label);
        match read_body(response, ANSWER_LIMIT).await {
            Ok(body) if status.is_success() => Ok(Success {
                body,
                address: self.label.clone(),
            }),
            Ok(body) => Err(classify(Failed {
                method: call.method.as_str(),
                path: &call.path.plain,
                status: status.as_u16(),
                reason: reason.as_ref().map(ReasonPhrase::as_bytes),
                body: &body,
                retry_after: retry_after(&headers),
            })),
            Err(BodyError::TooLarge) => Err(Error::TooLarge {
                call: call.label(),
                limit: ANSWER_LIMIT,
            }),
            Err(BodyError::Broken(error)) => Err(broken(error)),
        }
    }
}

/// The connections to one address: no redirects, no proxy, no cookies, no second protocol version.
fn connections(endpoint: &Endpoint, address: &Address) -> Result<reqwest::Client, Error> {
    let unusable = |reason: String| endpoint.invalid(reason);
    let tls = client_config(&endpoint.tls).map_err(|error| unusable(with_cause(&error)))?;
    let connecting = endpoint
        .connect_timeout
        .min(Class::Generic.limit(endpoint.timeout).mul_f32(0.9));
    let mut builder = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .http1_only()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .gzip(true)
        .pool_idle_timeout(IDLE)
        .connect_timeout(connecting)
        .dns_resolver(Arc::new(SystemResolver))
        .user_agent(concat!("proxbox-api/", env!("CARGO_PKG_VERSION")));
    if let Some(ip) = address.dial {
        builder = builder.resolve(&address.host, SocketAddr::new(ip, endpoint.port));
    }
    builder.build().map_err(|error| unusable(with_cause(&error)))
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

fn resolve(name: String) -> impl Future<Output = Result<Addrs, BoxError>> + Send {
    async move {
        let found = tokio::net::lookup_host((name.as_str(), 0)).await.map_err(Unresolved)?;
        let addresses: Vec<SocketAddr> = found.collect();
        if addresses.is_empty() {
            return Err(Unresolved(std::io::Error::other("the name has no addresses")).into());
        }
        Ok(Box::new(addresses.into_iter()) as Addrs)
    }
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
        Some((host, Some(port))) if host.parse::<IpAddr>().is_ok() || !host.is_empty() => format!("{host}:{port}"),
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
