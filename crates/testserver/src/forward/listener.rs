//! The sockets behind forwards that a client asked for: what is listened on, and who has connected.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
};

use crate::{
    forward::{carry::Line, open::Originator},
    listener::PortListener,
};

/// Where a TCP forward may listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// On this machine only, whatever was asked for: sshd with `GatewayPorts no`.
    Loopback,
    /// Where the client asks: sshd with `GatewayPorts clientspecified`.
    AsAsked,
}

pub(crate) enum Listener {
    Tcp {
        first: PortListener,
        second: Option<PortListener>,
    },
    #[cfg(unix)]
    Unix(UnixSocket),
    /// No socket: only the test connects.
    Scripted,
}

/// A listening Unix socket, whose file goes away with it.
#[cfg(unix)]
pub(crate) struct UnixSocket {
    listener: tokio::net::UnixListener,
    path: std::path::PathBuf,
}

impl Listener {
    /// Listens as sshd would; also tells the port, which the system has chosen if 0 was asked for.
    pub(crate) async fn tcp(address: &str, port: u32, reach: Reach) -> io::Result<(Self, u16)> {
        let port = u16::try_from(port).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        let (first, second) = addresses(address, reach)?;
        let first = PortListener::bind(SocketAddr::new(first, port)).await?;
        let port = first.local_addr()?.port();
        let second = match second {
            // A machine without IPv6, or a port taken there, leaves one address, as it does with sshd.
            Some(second) => PortListener::bind(SocketAddr::new(second, port)).await.ok(),
            None => None,
        };
        Ok((Self::Tcp { first, second }, port))
    }

    /// Listens on a path; one that exists already is refused, as by sshd with `StreamLocalBindUnlink no`.
    #[cfg(unix)]
    pub(crate) fn unix(path: &Path) -> io::Result<Self> {
        Ok(Self::Unix(UnixSocket::bind(path)?))
    }

    #[cfg(not(unix))]
    pub(crate) fn unix(_path: &Path) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// The next who connects.
    ///
    /// # Cancel safety
    /// Nobody is lost when this future is dropped.
    pub(crate) async fn accept(&self) -> io::Result<(Line, Originator)> {
        match self {
            Self::Tcp { first, second } => {
                let (stream, peer) = tokio::select! {
                    accepted = first.accept() => accepted?,
                    accepted = accept(second.as_ref()) => accepted?,
                };
                // Nagle's algorithm would add delays that no test asked for.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "nodelay refused");
                }
                let from = Originator { address: peer.ip().to_string(), port: u32::from(peer.port()) };
                Ok((Line::socket(stream), from))
            }
            #[cfg(unix)]
            Self::Unix(socket) => Ok((socket.accept().await?, Originator::test())),
            Self::Scripted => std::future::pending().await,
        }
    }
}

#[cfg(unix)]
impl UnixSocket {
    pub(crate) fn bind(path: &Path) -> io::Result<Self> {
        use std::os::unix::fs::PermissionsExt;

        let listener = tokio::net::UnixListener::bind(path)?;
        let socket = Self { listener, path: path.to_owned() };
        // As OpenSSH's StreamLocalBindMask.
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        Ok(socket)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) async fn accept(&self) -> io::Result<Line> {
        let (stream, _) = self.listener.accept().await?;
        Ok(Line::socket(stream))
    }
}

#[cfg(unix)]
impl Drop for UnixSocket {
    fn drop(&mut self) {
        // Whoever has removed it before was welcome to.
        drop(std::fs::remove_file(&self.path));
    }
}

async fn accept(listener: Option<&PortListener>) -> io::Result<(tokio::net::TcpStream, SocketAddr)> {
    match listener {
        Some(listener) => listener.accept().await,
        None => std::future::pending().await,
    }
}

/// Which addresses sshd takes for the one asked for (RFC 4254 section 7.1, sshd_config(5) on `GatewayPorts`).
fn addresses(asked: &str, reach: Reach) -> io::Result<(IpAddr, Option<IpAddr>)> {
    let (v4, v6) = (IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST));
    match (reach, asked) {
        (_, "127.0.0.1") => Ok((v4, None)),
        (_, "::1") => Ok((v6, None)),
        (Reach::Loopback, _) | (Reach::AsAsked, "localhost") => Ok((v4, Some(v6))),
        (Reach::AsAsked, "" | "*") => Ok((IpAddr::V4(Ipv4Addr::UNSPECIFIED), None)),
        (Reach::AsAsked, address) => {
            let address = address.parse().map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
            Ok((address, None))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_all_that_is_listened_on_unless_allowed() {
        for asked in ["", "*", "0.0.0.0", "::", "localhost", "203.0.113.7", "no such host"] {
            let (first, second) = addresses(asked, Reach::Loopback).unwrap();
            assert!(first.is_loopback() && second.is_some_and(|second| second.is_loopback()), "{asked}");
        }
        assert_eq!(addresses("::1", Reach::Loopback).unwrap(), (Ipv6Addr::LOCALHOST.into(), None));
        assert_eq!(addresses("127.0.0.1", Reach::AsAsked).unwrap(), (Ipv4Addr::LOCALHOST.into(), None));
        assert_eq!(addresses("", Reach::AsAsked).unwrap(), (Ipv4Addr::UNSPECIFIED.into(), None));
        assert_eq!(addresses("0.0.0.0", Reach::AsAsked).unwrap(), (Ipv4Addr::UNSPECIFIED.into(), None));
        assert!(addresses("localhost", Reach::AsAsked).unwrap().0.is_loopback());
        assert!(addresses("no such host", Reach::AsAsked).is_err());
    }
}
