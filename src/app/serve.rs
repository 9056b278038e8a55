//! Connections: accept, TLS, HTTP, and their end.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;
use tracing::{debug, warn};

/// How long a client may take to send the head of its next request.
const HEAD_PATIENCE: Duration = Duration::from_mins(1);
/// How long a client may take to greet and to agree on TLS.
const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(10);
/// Pause after a connection could not be accepted, mostly for want of file handles.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// First byte of a TLS greeting.
const TLS_HANDSHAKE: u8 = 0x16;

/// What answers connections; clones share it.
#[derive(Clone)]
pub(super) struct Server {
    pub(super) router: Router,
    pub(super) acceptor: Option<TlsAcceptor>,
    pub(super) tasks: TaskTracker,
    pub(super) stop: CancellationToken,
}

impl Server {
    /// Accepts connections until the stop.
    pub(super) async fn accept(self, listener: TcpListener) {
        while let Some(accepted) = self.stop.run_until_cancelled(listener.accept()).await {
            match accepted {
                Ok((stream, peer)) => {
                    self.tasks.spawn(self.clone().serve(stream, peer));
                }
                Err(error) => {
                    warn!(%error, "connection cannot be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    async fn serve(self, stream: TcpStream, peer: SocketAddr) {
        if let Err(error) = self.answer(stream, peer).await {
            debug!(%peer, %error, "connection ended early");
        }
    }

    async fn answer(&self, stream: TcpStream, peer: SocketAddr) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let Some(acceptor) = &self.acceptor else {
            return self.answer_http(stream, peer).await;
        };
        let greeting = tokio::time::timeout(HANDSHAKE_PATIENCE, greet(acceptor, stream));
        let Some(greeting) = self.stop.run_until_cancelled(greeting).await else {
            return Ok(());
        };
        match greeting?? {
            Greeting::Tls(stream) => self.answer_http(*stream, peer).await,
            Greeting::Plain(stream) => refuse_plain(stream).await,
        }
    }

    async fn answer_http(&self, stream: impl AsyncRead + AsyncWrite + Unpin, peer: SocketAddr) -> io::Result<()> {
        let service = service_fn(|mut request: Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            self.router.clone().oneshot(request)
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_PATIENCE)
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        ended.map_err(io::Error::other)
    }
}

/// What a client on the TLS port turned out to speak.
enum Greeting {
    Tls(Box<tokio_rustls::server::TlsStream<TcpStream>>),
    Plain(TcpStream),
}

async fn greet(acceptor: &TlsAcceptor, stream: TcpStream) -> io::Result<Greeting> {
    let mut first = [0];
    stream.peek(&mut first).await?;
    if first == [TLS_HANDSHAKE] {
        Ok(Greeting::Tls(Box::new(acceptor.accept(stream).await?)))
    } else {
        Ok(Greeting::Plain(stream))
    }
}

/// Says to a client what is wrong, which a failed handshake does not.
async fn refuse_plain(stream: TcpStream) -> io::Result<()> {
    const BODY: &str = r#"{"error":"plain_http_on_https_port","detail":"This port speaks HTTPS only. Use https://."}"#;
    let service = service_fn(|_: Request<Incoming>| async {
        let answer = Response::builder()
            .status(StatusCode::BAD_REQUEST)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::CONNECTION, "close")
            .body(Body::from(BODY));
        Ok::<_, Infallible>(answer.unwrap_or_default())
    });
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let served = tokio::time::timeout(HANDSHAKE_PATIENCE, connection).await;
    served?.map_err(io::Error::other)
}
