//! Sockets and tasks: one request line, one body, one answer, unless a fault comes between.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, LOCATION, RETRY_AFTER};
use http::{Request as HttpRequest, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::debug;

use super::Shared;
use super::faults::Fault;
use super::recorder::Request;
use super::refusal::{self, Refusal};
use super::routes::{self, Asked, Reply};

/// The longest request line that gunicorn takes.
const LONGEST_LINE: usize = 4094;

/// Accepts connections until `stop`; every task is owned by `tasks`.
pub(super) fn serve(listener: TcpListener, shared: Arc<Shared>, stop: CancellationToken, tasks: &TaskTracker) {
    let tracker = tasks.clone();
    tasks.spawn(async move {
        while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
            let Ok((stream, _)) = accepted else { continue };
            let served = connection(stream, Arc::clone(&shared), stop.clone());
            tracker.spawn(async move {
                if let Err(error) = served.await {
                    debug!(%error, "stand-in connection ended early");
                }
            });
        }
    });
}

/// Opens the port.
///
/// # Errors
///
/// Where it is taken.
pub(super) async fn listen(port: u16) -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, port)).await?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

async fn connection(stream: TcpStream, shared: Arc<Shared>, stop: CancellationToken) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (shared, patience) = (&shared, &stop);
    let service = service_fn(move |request: HttpRequest<Incoming>| answer(shared, request, patience));
    let served = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let mut served = pin!(served);
    tokio::select! {
        ended = served.as_mut() => ended.map_err(io::Error::other),
        () = stop.cancelled() => Ok(()),
    }
}

async fn answer(
    shared: &Shared,
    request: HttpRequest<Incoming>,
    stop: &CancellationToken,
) -> io::Result<Response<Full<Bytes>>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
    let asked = Asked {
        authorization: header(AUTHORIZATION.as_str()),
        branch: header("X-NetBox-Branch"),
        method: &head.method,
        path: head.uri.path(),
        query: head.uri.query().unwrap_or_default(),
        body: &body,
    };
    let line = asked.method.as_str().len() + head.uri.to_string().len() + " / HTTP/1.1".len();
    let cut = || io::Error::from(io::ErrorKind::ConnectionReset);
    let faults = shared.faults.take(asked.method.as_str(), asked.path, asked.body);
    let mut loses_answer = false;
    let mut instead = (line > LONGEST_LINE).then(|| Reply::html(400, "Bad Request", "Request Line is too large"));
    for fault in faults {
        match fault {
            Fault::Status(status) => instead = Some(Reply::detail(status, "Injected by a test.")),
            Fault::Html(status) => instead = Some(Reply::html(status, "Unavailable", "Injected by a test")),
            Fault::Exception => {
                let deadlock = Refusal::exception("OperationalError", "deadlock detected", shared.options.release);
                instead = Some(Reply::json(refusal::single(deadlock)));
            }
            Fault::RateLimited(seconds) => {
                let mut reply = Reply::detail(429, "Request was throttled.");
                reply.header = Some((RETRY_AFTER, seconds.to_string()));
                instead = Some(reply);
            }
            Fault::Hang => {
                shared.log.push(logged(&asked, None));
                stop.cancelled().await;
                return Err(cut());
            }
            Fault::Reset => {
                shared.log.push(logged(&asked, None));
                return Err(cut());
            }
            Fault::Unseen => {
                let page = json!({"count": 0, "next": null, "previous": null, "results": []});
                instead = Some(Reply::json((200, page)));
            }
            Fault::LoseAnswer => loses_answer = true,
            Fault::Latency(delay) => tokio::time::sleep(delay).await,
        }
    }
    let reply = instead.unwrap_or_else(|| routes::answer(shared, &asked));
    if loses_answer {
        shared.log.push(logged(&asked, None));
        return Err(cut());
    }
    shared.log.push(logged(&asked, Some(&reply)));
    Ok(sent(shared, reply))
}

fn logged(asked: &Asked<'_>, reply: Option<&Reply>) -> Request {
    Request {
        method: asked.method.to_string(),
        path: asked.path.to_owned(),
        query: asked.query.to_owned(),
        branch: asked.branch.map(str::to_owned),
        status: reply.map_or(0, |reply| reply.status),
        rows: reply.map_or(0, |reply| reply.rows),
        bytes: reply.map_or(0, |reply| reply.body.len()),
        body_bytes: asked.body.len(),
    }
}

fn sent(shared: &Shared, reply: Reply) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(reply.body));
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    let kind = if reply.is_html {
        "text/html; charset=utf-8"
    } else {
        "application/json"
    };
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert("API-Version", HeaderValue::from_static(shared.options.release.api()));
    if let Some((name, value)) = reply.header
        && let Ok(value) = HeaderValue::from_str(&value)
    {
        headers.insert(name, value);
    }
    response
}

/// The header that sends a client elsewhere.
pub(super) const ELSEWHERE: http::HeaderName = LOCATION;
