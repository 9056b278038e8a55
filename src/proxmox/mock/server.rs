//! Sockets and tasks: the TLS port, the control port, and their end.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::debug;

use super::exchange::{self, Connection};
use super::wire::{self, Body};
use super::{Shared, control};

/// First byte of a TLS greeting.
const TLS_HANDSHAKE: u8 = 0x16;

/// What the accept loops need; every task they start is owned by `tasks` and ends with `stop`.
pub(super) struct Running {
    pub(super) shared: Arc<Shared>,
    pub(super) stop: CancellationToken,
    pub(super) tasks: TaskTracker,
}

impl Running {
    /// Opens the API port.
    pub(super) async fn serve(&self, acceptor: TlsAcceptor) -> io::Result<SocketAddr> {
        let listener = TcpListener::bind(self.shared.options.listen).await?;
        let address = listener.local_addr()?;
        let (shared, stop, tasks) = (Arc::clone(&self.shared), self.stop.clone(), self.tasks.clone());
        self.tasks.spawn(async move {
            let mut number = 0;
            while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
                let Ok((stream, _)) = accepted else { continue };
                number += 1;
                let served = serve_stream(Arc::clone(&shared), acceptor.clone(), stream, number, stop.clone());
                tasks.spawn(async move {
                    if let Err(error) = served.await {
                        debug!(%error, "mock connection ended early");
                    }
                });
            }
        });
        Ok(address)
    }

    /// Opens the control port, which tells where the API port at `api` is.
    pub(super) async fn serve_control(
        &self,
        listen: SocketAddr,
        api: SocketAddr,
        ca_pem: &str,
    ) -> io::Result<SocketAddr> {
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        let router = control::router(Arc::clone(&self.shared), api, ca_pem.to_owned());
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            let served = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned());
            if let Err(error) = served.await {
                debug!(%error, "mock control port ended early");
            }
        });
        Ok(address)
    }
}

async fn serve_stream(
    shared: Arc<Shared>,
    acceptor: TlsAcceptor,
    stream: TcpStream,
    number: u64,
    stop: CancellationToken,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    if shared.faults.is_down() {
        return stream.set_zero_linger();
    }
    let Some(first) = stop.run_until_cancelled(first_byte(&stream)).await.transpose()? else {
        return Ok(());
    };
    if first != TLS_HANDSHAKE {
        return redirect(stream).await;
    }
    let Some(stream) = stop.run_until_cancelled(acceptor.accept(stream)).await.transpose()? else {
        return Ok(());
    };
    let server_name = stream.get_ref().1.server_name().map(ToOwned::to_owned);
    let connection = Connection {
        shared: Arc::clone(&shared),
        number,
        server_name,
        answered: AtomicU32::new(0),
    };
    let connection = &connection;
    let service = service_fn(move |request: Request<Incoming>| exchange::answer(connection, request));
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(shared.options.idle_limit)
        .serve_connection(TokioIo::new(stream), service);
    let mut served = pin!(served);
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        () = stop.cancelled() => Ok(()),
    };
    debug!(
        number,
        answered = connection.answered.load(Ordering::Relaxed),
        "mock connection closed"
    );
    ended.map_err(io::Error::other)
}

async fn first_byte(stream: &TcpStream) -> io::Result<u8> {
    let mut first = [0];
    stream.peek(&mut first).await?;
    let [byte] = first;
    Ok(byte)
}

/// Plain HTTP on the TLS port is sent to `https`.
async fn redirect(stream: TcpStream) -> io::Result<()> {
    let service = service_fn(|request: Request<Incoming>| async move {
        let host = request
            .headers()
            .get(http::header::HOST)
            .and_then(|host| host.to_str().ok())
            .unwrap_or("localhost");
        let status = match request.method().as_str() {
            "GET" | "HEAD" => StatusCode::MOVED_PERMANENTLY,
            _ => StatusCode::PERMANENT_REDIRECT,
        };
        let answer = Response::builder()
            .status(status)
            .header(
                http::header::LOCATION,
                format!("https://{host}{}", request.uri().path()),
            )
            .header(http::header::CONNECTION, "close")
            .body(wire::empty());
        Ok::<Response<Body>, io::Error>(answer.unwrap_or_else(|_| Response::new(wire::empty())))
    });
    http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await
        .map_err(io::Error::other)
}
