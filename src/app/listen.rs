//! Opening ports: IPv4, IPv6, or both.

use std::io;
use std::net::{IpAddr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

use super::Error;
use crate::config::Listen;

/// How many connections may wait to be accepted.
const BACKLOG: i32 = 1024;

/// Opens every address that the configured host stands for: one, unless it is a name such as `localhost`.
pub(super) async fn open(listen: &Listen) -> Result<Vec<(TcpListener, SocketAddr)>, Error> {
    let failed = |source| Error::Listen {
        address: format!("{}:{}", listen.host, listen.port),
        source,
    };
    let found = tokio::net::lookup_host((listen.host.as_str(), listen.port))
        .await
        .map_err(failed)?;
    let mut opened = Vec::new();
    let mut absent = None;
    for address in found {
        match bind(address) {
            Ok(listener) => opened.push(listener),
            // `localhost` has an IPv6 address on hosts without IPv6 too.
            Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => absent = Some(error),
            Err(error) => return Err(failed(error)),
        }
    }
    if opened.is_empty() {
        let none = || io::Error::new(io::ErrorKind::NotFound, "the host has no address");
        return Err(failed(absent.unwrap_or_else(none)));
    }
    Ok(opened)
}

fn bind(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if let IpAddr::V6(ip) = address.ip() {
        // Said outright, because the system's default can be either.
        socket.set_only_v6(!ip.is_unspecified())?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    let listener = TcpListener::from_std(socket.into())?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpStream;

    use super::*;

    async fn opened(host: &str) -> Vec<(TcpListener, SocketAddr)> {
        let listen = Listen {
            host: host.to_owned(),
            port: 0,
            tls: None,
        };
        open(&listen).await.unwrap()
    }

    #[tokio::test]
    async fn unspecified_ipv6_address_takes_both_families_and_a_named_one_only_its_own() {
        let both = opened("::").await;
        let port = both[0].1.port();
        assert!(TcpStream::connect(("127.0.0.1", port)).await.is_ok(), "IPv4");
        assert!(TcpStream::connect(("::1", port)).await.is_ok(), "IPv6");
        let six = opened("::1").await;
        assert!(TcpStream::connect(("127.0.0.1", six[0].1.port())).await.is_err());
        let four = opened("0.0.0.0").await;
        assert!(TcpStream::connect(("127.0.0.1", four[0].1.port())).await.is_ok());
    }

    #[tokio::test]
    async fn taken_port_is_told_with_the_variables_to_change() {
        let taken = opened("127.0.0.1").await;
        let listen = Listen {
            host: "127.0.0.1".to_owned(),
            port: taken[0].1.port(),
            tls: None,
        };
        let error = open(&listen).await.unwrap_err().to_string();
        assert!(error.contains("PORT"), "{error}");
    }
}
