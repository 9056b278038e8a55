//! A server that says exactly what a test tells it to, byte by byte, and notes what it was asked.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

use crate::proxmox::tls::Fingerprint;

/// One request as it came.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    pub(super) method: String,
    pub(super) target: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: String,
    /// Number of the connection, and of the request on it, from 0.
    pub(super) connection: usize,
    pub(super) turn: usize,
    pub(super) sni: Option<String>,
}

impl Seen {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// Method and path below the base.
    pub(super) fn call(&self) -> String {
        format!(
            "{} {}",
            self.method,
            self.target.strip_prefix("/api2/json/").unwrap_or(&self.target)
        )
    }
}

/// What to send back.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    pub(super) bytes: Vec<u8>,
    pub(super) delay: Duration,
    pub(super) close: bool,
}

impl Reply {
    /// A status line's rest, such as `403 Permission check failed (/, Sys.Audit)`, and a body.
    pub(super) fn new(status: &str, body: &str) -> Self {
        Self::bytes(
            status,
            "content-type: application/json;charset=UTF-8\r\n",
            body.as_bytes(),
        )
    }

    pub(super) fn bytes(status: &str, headers: &str, body: &[u8]) -> Self {
        let close = !status.starts_with('2');
        // Said, so that no client sends its next request into the closing connection.
        let ending = if close { "connection: close\r\n" } else { "" };
        let length = body.len();
        let head = format!("HTTP/1.1 {status}\r\n{headers}{ending}content-length: {length}\r\n\r\n");
        Self {
            bytes: [head.as_bytes(), body].concat(),
            delay: Duration::ZERO,
            close,
        }
    }

    /// 200 with `data` in its envelope.
    pub(super) fn data(data: &str) -> Self {
        Self::new("200 OK", &format!("{{\"data\":{data}}}"))
    }

    /// Close without a word.
    pub(super) fn hang_up() -> Self {
        Self {
            bytes: Vec::new(),
            delay: Duration::ZERO,
            close: true,
        }
    }

    pub(super) fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }
}

type Handler = dyn Fn(&Seen) -> Reply + Send + Sync;

/// What the connections share.
struct Shared {
    handler: Box<Handler>,
    seen: Mutex<Vec<Seen>>,
    connections: AtomicUsize,
    in_flight: AtomicUsize,
    most_in_flight: AtomicUsize,
}

/// The server, on a thread with a runtime of its own, so that paused clocks do not concern it.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(super) fn plain(handler: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        Self::start(None, Box::new(handler))
    }

    pub(super) fn tls(identity: &Identity, handler: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        Self::start(Some(identity.acceptor()), Box::new(handler))
    }

    fn start(acceptor: Option<TlsAcceptor>, handler: Box<Handler>) -> Self {
        let socket = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket.set_nonblocking(true).unwrap();
        let address = socket.local_addr().unwrap();
        let shared = Arc::new(Shared {
            handler,
            seen: Mutex::default(),
            connections: AtomicUsize::new(0),
            in_flight: AtomicUsize::new(0),
            most_in_flight: AtomicUsize::new(0),
        });
        let (stop, stopped) = oneshot::channel();
        let served = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let listener = TcpListener::from_std(socket).unwrap();
                tokio::select! {
                    () = accept(listener, acceptor, &served) => {}
                    _ = stopped => {}
                }
            });
        });
        Self {
            address,
            shared,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// The calls in the order they came.
    pub(super) fn calls(&self) -> Vec<String> {
        self.seen().iter().map(Seen::call).collect()
    }

    pub(super) fn most_in_flight(&self) -> usize {
        self.shared.most_in_flight.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

async fn accept(listener: TcpListener, acceptor: Option<TlsAcceptor>, shared: &Shared) {
    let mut connections: FuturesUnordered<Pin<Box<dyn Future<Output = ()> + '_>>> = FuturesUnordered::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { return };
                let acceptor = acceptor.clone();
                connections.push(Box::pin(connection(stream, acceptor, shared)));
            }
            Some(()) = connections.next(), if !connections.is_empty() => {}
        }
    }
}

async fn connection(stream: TcpStream, acceptor: Option<TlsAcceptor>, shared: &Shared) {
    let number = shared.connections.fetch_add(1, Ordering::SeqCst);
    let Some(acceptor) = acceptor else {
        return talk(stream, None, number, shared).await;
    };
    if let Ok(stream) = acceptor.accept(stream).await {
        let sni = stream.get_ref().1.server_name().map(str::to_owned);
        talk(stream, sni, number, shared).await;
    }
}

async fn talk<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, sni: Option<String>, number: usize, shared: &Shared) {
    let mut buffer = Vec::new();
    for turn in 0.. {
        let Some(mut seen) = read(&mut stream, &mut buffer).await else {
            return;
        };
        seen.connection = number;
        seen.turn = turn;
        seen.sni.clone_from(&sni);
        let running = shared.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
        shared.most_in_flight.fetch_max(running, Ordering::SeqCst);
        shared.seen.lock().unwrap().push(seen.clone());
        let reply = (shared.handler)(&seen);
        tokio::time::sleep(reply.delay).await;
        shared.in_flight.fetch_sub(1, Ordering::SeqCst);
        if stream.write_all(&reply.bytes).await.is_err() || stream.flush().await.is_err() || reply.close {
            drop(stream.shutdown().await);
            return;
        }
    }
}

async fn read<S: AsyncRead + Unpin>(stream: &mut S, buffer: &mut Vec<u8>) -> Option<Seen> {
    let mut chunk = [0; 4096];
    loop {
        if let Some((seen, used)) = parse(buffer) {
            buffer.drain(..used);
            return Some(seen);
        }
        match stream.read(&mut chunk).await {
            Ok(0) | Err(_) => return None,
            Ok(length) => buffer.extend_from_slice(&chunk[..length]),
        }
    }
}

fn parse(buffer: &[u8]) -> Option<(Seen, usize)> {
    let end = buffer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let mut first = lines.next()?.split(' ');
    let mut seen = Seen {
        method: first.next()?.to_owned(),
        target: first.next()?.to_owned(),
        ..Seen::default()
    };
    seen.headers = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length = seen
        .header("content-length")
        .map_or(0, |length| length.parse().unwrap());
    let body = buffer.get(end + 4..end + 4 + length)?;
    seen.body = String::from_utf8_lossy(body).into_owned();
    Some((seen, end + 4 + length))
}

/// A certificate authority and one leaf of it.
pub(super) struct Identity {
    pub(super) ca_pem: String,
    leaf: CertificateDer<'static>,
    key: Vec<u8>,
}

impl Identity {
    pub(super) fn new(names: &[&str]) -> Self {
        let ca_key = KeyPair::generate().unwrap();
        let mut ca = CertificateParams::new(Vec::new()).unwrap();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca_pem = ca.self_signed(&ca_key).unwrap().pem();
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let key = KeyPair::generate().unwrap();
        let issuer = Issuer::new(ca, ca_key);
        let leaf = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
        Self {
            ca_pem,
            leaf: leaf.der().clone(),
            key: key.serialize_der(),
        }
    }

    pub(super) fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.leaf)
    }

    fn acceptor(&self) -> TlsAcceptor {
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.clone()));
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![self.leaf.clone()], key)
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }
}

/// An address of this machine where nobody listens.
pub(super) const NOBODY: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 9));
