//! Where a forward listens on this machine.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::task::Poll;

use socket2::{Domain, Socket, Type};
use tokio::net::TcpListener;

use crate::error::{Error, ErrorKind, Result};
use crate::forward::near::Near;
use crate::forward::remote::AtServer;
#[cfg(unix)]
use crate::forward::socket_file::SocketFile;

/// Clients that the system lets wait before they are accepted: a browser's burst, many times over. It takes what the system
/// allows where that is less.
pub(super) const BACKLOG: i32 = 1024;

/// How often a port of the system's choice is given back because the other family of addresses has it in use.
const OTHER_PORTS: usize = 16;

/// Where a [`Forward`](crate::Forward) listens, on this machine or, of a [remote](crate::Forward::remote) one, on the server's: a
/// port, or a Unix socket.
///
/// Nothing but that machine can reach it, unless it is asked for: by an address of its own, or by all of them.
///
/// ```
/// use rustle_pool::ForwardBind;
///
/// let mine_alone = ForwardBind::loopback(8080);
/// assert_eq!(mine_alone.to_string(), "localhost:8080");
/// let chosen_by_the_system = ForwardBind::loopback(0);
/// let one_address = ForwardBind::from(("192.0.2.7", 8080));
/// assert_eq!(one_address, ForwardBind::tcp("192.0.2.7", 8080));
/// let everybody = ForwardBind::everywhere(8080); // as ssh with an address of `*`, or with GatewayPorts
/// assert_eq!(everybody, ForwardBind::tcp("*", 8080));
/// let by_path = ForwardBind::unix("/run/user/1000/web.sock");
/// assert_eq!(by_path.to_string(), "/run/user/1000/web.sock");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForwardBind(Kind);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Tcp { address: String, port: u16 },
    Unix(PathBuf),
}

impl ForwardBind {
    /// A port of the loopback addresses, of IPv4 and of IPv6 where the machine has both. Port 0 is one that the system
    /// chooses, the same for both.
    #[must_use]
    pub fn loopback(port: u16) -> Self {
        Self::tcp("localhost", port)
    }

    /// A port of all addresses of this machine: whoever can reach it can use the forward.
    #[must_use]
    pub fn everywhere(port: u16) -> Self {
        Self::tcp("*", port)
    }

    /// A port of an address, or of all that a name has here; as with ssh, `localhost` is [loopback](Self::loopback), and `*`
    /// and an empty address are [everywhere](Self::everywhere).
    #[must_use]
    pub fn tcp(address: impl Into<String>, port: u16) -> Self {
        let mut address = address.into();
        if address.is_empty() {
            address.push('*');
        }
        Self(Kind::Tcp { address, port })
    }

    /// A Unix socket. On this machine its owner alone may use it (ssh's `StreamLocalBindMask` of 0177), there may be no file of
    /// that name, and it is removed when nothing listens any more; refused on Windows. At a server all that is the server's own
    /// affair: OpenSSH's leaves the file, unless its `StreamLocalBindUnlink` says otherwise.
    #[must_use]
    pub fn unix(path: impl Into<PathBuf>) -> Self {
        Self(Kind::Unix(path.into()))
    }

    /// Listens there.
    pub(super) async fn listen(&self) -> Result<Listeners> {
        let failed = |error| self.error(&error);
        match &self.0 {
            Kind::Tcp { address, port } => {
                let addresses = addresses(address, *port).await.map_err(failed)?;
                let tcp = bind_all(&addresses).map_err(failed)?;
                Ok(Listeners {
                    tcp,
                    next: 0,
                    #[cfg(unix)]
                    unix: None,
                })
            }
            #[cfg(unix)]
            Kind::Unix(path) => {
                let unix = Some(SocketFile::listen(path).map_err(failed)?);
                Ok(Listeners { tcp: Vec::new(), next: 0, unix })
            }
            #[cfg(not(unix))]
            Kind::Unix(_) => Err(Error::new(
                ErrorKind::Listen,
                format!("cannot listen on {self}: this system has no Unix sockets that programs could use"),
                "listen on a port instead",
            )),
        }
    }

    /// As it is asked of a server.
    pub(super) fn at_server(&self) -> AtServer<'_> {
        match &self.0 {
            Kind::Tcp { address, port } => AtServer::Tcp(address, *port),
            Kind::Unix(path) => AtServer::Socket(path.to_string_lossy().into_owned()),
        }
    }

    /// Whether the port is left to whoever listens.
    pub(super) fn leaves_port(&self) -> bool {
        matches!(self.0, Kind::Tcp { port: 0, .. })
    }

    /// # Errors
    /// Where no server could be asked for it.
    pub(super) fn check_for_server(&self) -> Result<()> {
        match &self.0 {
            Kind::Unix(path) if path.to_str().is_none() => Err(Error::new(
                ErrorKind::Configuration,
                format!("the path {self} is not UTF-8, which a path at a server has to be"),
                "choose another name",
            )),
            _ => Ok(()),
        }
    }

    fn error(&self, error: &io::Error) -> Error {
        let is_path = matches!(self.0, Kind::Unix(_));
        let hint = match error.kind() {
            io::ErrorKind::AddrInUse if is_path => {
                "a file of that name is there: remove it if no program listens on it any more"
            }
            io::ErrorKind::AddrInUse => "another program listens there: choose another port, or 0 for any",
            io::ErrorKind::PermissionDenied if is_path => "choose a directory that you may write to",
            io::ErrorKind::PermissionDenied => "ports below 1024 take a privilege: choose one above",
            io::ErrorKind::AddrNotAvailable => "listen on an address that this machine has",
            _ => "see what is wrong with the address or path, or choose another",
        };
        Error::new(ErrorKind::Listen, format!("cannot listen on {self}: {error}"), hint)
    }
}

impl<S: Into<String>> From<(S, u16)> for ForwardBind {
    fn from((address, port): (S, u16)) -> Self {
        Self::tcp(address, port)
    }
}

impl From<SocketAddr> for ForwardBind {
    fn from(address: SocketAddr) -> Self {
        Self::tcp(address.ip().to_string(), address.port())
    }
}

impl fmt::Display for ForwardBind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Tcp { address, port } if address.contains(':') => write!(f, "[{address}]:{port}"),
            Kind::Tcp { address, port } => write!(f, "{address}:{port}"),
            Kind::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

/// What listens for the clients of one forward.
#[derive(Debug)]
pub(super) struct Listeners {
    tcp: Vec<TcpListener>,
    /// Whose turn it is among those: none has to wait for another that always has somebody.
    next: usize,
    #[cfg(unix)]
    unix: Option<SocketFile>,
}

impl Listeners {
    /// The next client.
    ///
    /// # Cancel safety
    /// Safe: no client is lost.
    pub(super) async fn accept(&mut self) -> io::Result<Near> {
        #[cfg(unix)]
        if let Some(unix) = &self.unix {
            return unix.accept().await.map(Near::Unix);
        }
        poll_fn(|cx| {
            for turn in 0..self.tcp.len() {
                let at = (self.next + turn) % self.tcp.len();
                if let Poll::Ready(accepted) = self.tcp[at].poll_accept(cx) {
                    self.next = at + 1;
                    return Poll::Ready(accepted.map(|(stream, _)| Near::tcp(stream)));
                }
            }
            Poll::Pending
        })
        .await
    }

    /// The addresses and ports.
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        self.tcp.iter().filter_map(|listener| listener.local_addr().ok()).collect()
    }

    /// The Unix socket.
    pub(super) fn path(&self) -> Option<&Path> {
        #[cfg(unix)]
        let path = self.unix.as_ref().map(SocketFile::path);
        #[cfg(not(unix))]
        let path = None;
        path
    }
}

/// What an address of ssh's means here.
async fn addresses(address: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let both =
        |four: Ipv4Addr, six: Ipv6Addr| vec![SocketAddr::from((four, port)), SocketAddr::from((six, port))];
    match address {
        "localhost" => return Ok(both(Ipv4Addr::LOCALHOST, Ipv6Addr::LOCALHOST)),
        "*" => return Ok(both(Ipv4Addr::UNSPECIFIED, Ipv6Addr::UNSPECIFIED)),
        _ => {}
    }
    let plain = address.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(address);
    if let Ok(ip) = plain.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    let mut found: Vec<SocketAddr> = Vec::new();
    for address in tokio::net::lookup_host((plain, port)).await? {
        if !found.contains(&address) {
            found.push(address);
        }
    }
    Ok(found)
}

/// Listens on all of them by one port; those of a family that the machine has not are left out where there is another.
fn bind_all(addresses: &[SocketAddr]) -> io::Result<Vec<TcpListener>> {
    let mut others = OTHER_PORTS;
    'port: loop {
        let (mut listeners, mut missing) = (Vec::new(), None);
        let mut chosen = 0;
        for &address in addresses {
            let mut at = address;
            if at.port() == 0 {
                at.set_port(chosen);
            }
            match bind(at) {
                Ok(listener) => {
                    chosen = listener.local_addr()?.port();
                    listeners.push(listener);
                }
                Err(error) if is_no_such_family(&error) => missing = Some(error),
                Err(error) if address.port() == 0 && chosen != 0 && others > 0 => {
                    // What the system chose for one family is somebody's in the other.
                    tracing::debug!(%error, %at, "another port is tried");
                    others -= 1;
                    continue 'port;
                }
                Err(error) => return Err(error),
            }
        }
        return match missing {
            _ if !listeners.is_empty() => Ok(listeners),
            Some(error) => Err(error),
            None => Err(io::Error::new(io::ErrorKind::AddrNotAvailable, "the name has no address")),
        };
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if address.is_ipv6() {
        // IPv4 has a socket of its own.
        socket.set_only_v6(true)?;
    }
    // On Unix, connections of before that linger on the port do not keep it from being listened on; on Windows they do not
    // either, and the option would let other programs take the port.
    if cfg!(unix) {
        socket.set_reuse_address(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket.into())
}

/// Whether the machine has no addresses of this kind, as one without IPv6.
fn is_no_such_family(error: &io::Error) -> bool {
    // EAFNOSUPPORT; WSAEAFNOSUPPORT.
    const NOT_SUPPORTED: i32 = if cfg!(windows) {
        10047
    } else if cfg!(any(target_os = "linux", target_os = "android")) {
        97
    } else {
        47
    };
    error.kind() == io::ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(NOT_SUPPORTED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn addresses_mean_what_they_mean_to_ssh() {
        let of = async |bind: ForwardBind| match bind.0 {
            Kind::Tcp { address, port } => addresses(&address, port).await.unwrap(),
            Kind::Unix(_) => Vec::new(),
        };
        let parsed =
            |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<SocketAddr>>();
        assert_eq!(of(ForwardBind::loopback(80)).await, parsed(&["127.0.0.1:80", "[::1]:80"]));
        for everywhere in ["", "*"] {
            assert_eq!(of((everywhere, 80).into()).await, parsed(&["0.0.0.0:80", "[::]:80"]));
        }
        assert_eq!(of(("127.0.0.1", 80).into()).await, parsed(&["127.0.0.1:80"]));
        for six in ["::1", "[::1]"] {
            assert_eq!(of((six, 80).into()).await, parsed(&["[::1]:80"]));
        }
    }

    #[tokio::test]
    async fn a_port_of_the_systems_choice_is_the_same_in_both_families_and_nobody_elses() {
        let listeners = ForwardBind::loopback(0).listen().await.unwrap();
        let addresses = listeners.addresses();
        let port = addresses[0].port();
        assert!(port != 0 && addresses.iter().all(|address| address.port() == port), "{addresses:?}");
        for address in addresses {
            let error = ForwardBind::from(address).listen().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Listen, "{error}");
            assert!(error.to_string().contains(&address.to_string()), "{error}");
            assert!(error.hint().unwrap().contains("another port"));
        }
        let error = ForwardBind::loopback(port).listen().await.unwrap_err();
        assert_eq!(error.code(), "FORWARD_LISTEN_FAILED", "{error}");
    }

    #[tokio::test]
    async fn whoever_comes_by_the_other_address_does_not_wait_for_all_of_the_first() {
        let mut listeners = ForwardBind::loopback(0).listen().await.unwrap();
        let [first, second] = listeners.addresses()[..] else {
            return println!("skipped: this machine has one family of addresses");
        };
        let mut clients = Vec::new();
        for address in [first, first, second] {
            clients.push(tokio::net::TcpStream::connect(address).await.unwrap());
        }
        let mut by = Vec::new();
        for _ in 0..2 {
            match listeners.accept().await.unwrap() {
                Near::Tcp(accepted) => by.push(accepted.local_addr().unwrap()),
                #[cfg(unix)]
                Near::Unix(_) => panic!("it listens on ports"),
            }
        }
        assert_eq!(by, [first, second]);
    }

    #[tokio::test]
    async fn an_address_of_another_machine_is_an_error() {
        // Of TEST-NET-1 (RFC 5737).
        let error = ForwardBind::from(("192.0.2.1", 0)).listen().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Listen, "{error}");
    }

    #[cfg(not(unix))]
    #[tokio::test]
    async fn a_unix_socket_is_refused_where_there_are_none() {
        let error = ForwardBind::unix("web.sock").listen().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Listen, "{error}");
    }
}
