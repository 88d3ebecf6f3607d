//! From a host and a port to a TCP connection: look the name up, race its addresses, set the socket up.

mod eager;
mod failure;
mod race;
mod socket;

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use tokio::net::{TcpStream, lookup_host};
use tokio::time::{sleep, timeout};

use crate::BoxFuture;
pub(crate) use crate::connect::dial::eager::Eager;
use crate::error::Result;
use crate::target::host_and_port;

/// As ssh waits before it tries all addresses again.
const BETWEEN_ATTEMPTS: Duration = Duration::from_secs(1);

/// How the TCP connection is made and kept.
///
/// ```
/// use std::time::Duration;
/// use rustle_session::{AddressFamily, DialOptions};
///
/// let options = DialOptions::default()
///     .timeout(Duration::from_secs(5))
///     .address_family(AddressFamily::V4)
///     .user_timeout(None);
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct DialOptions {
    timeout: Duration,
    attempt_delay: Duration,
    attempts: NonZeroU32,
    family: AddressFamily,
    bind: Vec<IpAddr>,
    interface: Option<String>,
    traffic_class: Option<u8>,
    keepalive: Option<TcpKeepalive>,
    user_timeout: Option<Duration>,
}

/// Which of a host's addresses are used (`AddressFamily`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum AddressFamily {
    /// All of them, IPv6 and IPv4 in turn.
    #[default]
    Any,
    /// IPv4 only.
    V4,
    /// IPv6 only.
    V6,
}

/// When TCP asks a silent peer whether it is there.
///
/// The default finds a vanished peer after a minute: it asks after 15 s of silence and every 15 s, and gives
/// up after 3 questions without an answer. 15 s is below the shortest idle limits of NAT routers and
/// firewalls seen in practice (30 s), so that the path stays open as well; three losses in a row are no
/// accident.
///
/// ```
/// use std::time::Duration;
/// use rustle_session::TcpKeepalive;
///
/// let eager = TcpKeepalive::default().idle(Duration::from_secs(5)).interval(Duration::from_secs(2));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct TcpKeepalive {
    idle: Duration,
    interval: Duration,
    probes: NonZeroU32,
}

/// A connection that was made.
#[derive(Debug)]
pub(crate) struct Dialed {
    /// The stream, without delay and with keepalive set.
    pub(crate) stream: TcpStream,
    /// The address that won.
    pub(crate) peer: SocketAddr,
    /// How long the look-up took.
    pub(crate) resolve: Duration,
    /// How long the winning attempt took by itself: one round trip.
    pub(crate) connect: Duration,
    /// How much of the attempt's time is gone.
    pub(crate) spent: Duration,
}

impl Default for DialOptions {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(10),
            // RFC 8305 §5: 250 ms is what it recommends.
            attempt_delay: Duration::from_millis(250),
            attempts: NonZeroU32::MIN,
            family: AddressFamily::Any,
            bind: Vec::new(),
            interface: None,
            traffic_class: None,
            keepalive: Some(TcpKeepalive::default()),
            user_timeout: Some(Duration::from_secs(60)),
        }
    }
}

impl DialOptions {
    /// Time for the look-up and one race of all addresses. Default 10 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How often all addresses are tried, with a second's pause in between (`ConnectionAttempts`); once by default.
    /// Each time has the whole [`timeout`](Self::timeout). Only what may pass is tried again: a host that does not
    /// answer or refuses, not a name that does not resolve, and nothing after the connection was made.
    pub fn attempts(mut self, attempts: NonZeroU32) -> Self {
        self.attempts = attempts;
        self
    }

    /// Which addresses to use. Default [`AddressFamily::Any`].
    pub fn address_family(mut self, family: AddressFamily) -> Self {
        self.family = family;
        self
    }

    /// The local address to connect from (`BindAddress`); only addresses of its family are tried. Default:
    /// the system's choice.
    pub fn bind_address(mut self, address: Option<IpAddr>) -> Self {
        self.bind = address.into_iter().collect();
        self
    }

    /// As [`bind_address`](Self::bind_address), from the first of these that is of the family connected to.
    pub fn bind_addresses(mut self, addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        self.bind = addresses.into_iter().collect();
        self
    }

    /// The network interface to connect through, by name (`BindInterface`, `SO_BINDTODEVICE`). Linux and Android only:
    /// elsewhere connecting is an error then, since another way would be taken than was asked for. Default: the
    /// system's choice.
    pub fn bind_interface(mut self, name: Option<String>) -> Self {
        self.interface = name;
        self
    }

    /// The class that packets carry (`IPQoS`): the byte of `IP_TOS` and `IPV6_TCLASS`, whose upper six bits are the
    /// DSCP (RFC 2474). Default: the system's. A system that does not let it be set gets a warning in the log.
    pub fn traffic_class(mut self, class: Option<u8>) -> Self {
        self.traffic_class = class;
        self
    }

    /// TCP keepalive (`TCPKeepAlive`); `None` turns it off. On by default.
    pub fn keepalive(mut self, keepalive: Option<TcpKeepalive>) -> Self {
        self.keepalive = keepalive;
        self
    }

    /// How long sent bytes may stay unacknowledged before the system gives the connection up
    /// (`TCP_USER_TIMEOUT`, RFC 5482). Default 60 s: when the keepalive gives up too. Left to itself, Linux
    /// tries for a quarter of an hour.
    ///
    /// Linux and Android only. Elsewhere the keepalive sees the idle case, and the session's own write
    /// deadline the other.
    pub fn user_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.user_timeout = timeout;
        self
    }

    /// The same, with no more time than this.
    pub(crate) fn timeout_at_most(mut self, limit: Duration) -> Self {
        self.timeout = self.timeout.min(limit);
        self
    }

    #[cfg(all(test, target_os = "linux"))]
    fn attempt_delay(mut self, delay: Duration) -> Self {
        self.attempt_delay = delay;
        self
    }
}

impl Default for TcpKeepalive {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(15),
            interval: Duration::from_secs(15),
            probes: NonZeroU32::new(3).unwrap_or(NonZeroU32::MIN),
        }
    }
}

impl TcpKeepalive {
    /// Silence before the first question. Default 15 s.
    pub fn idle(mut self, idle: Duration) -> Self {
        self.idle = idle;
        self
    }

    /// Time between questions. Default 15 s.
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// Questions without an answer after which the connection is given up. Default 3.
    ///
    /// Windows before 10 (1703) always asks ten times.
    pub fn probes(mut self, probes: NonZeroU32) -> Self {
        self.probes = probes;
        self
    }
}

impl fmt::Display for AddressFamily {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Any => "IP",
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

/// Connects to `host`, a name or an address, the latter with an IPv6 scope where it needs one
/// (`fe80::1%eth0`).
///
/// Addresses are raced as RFC 8305 has it, apart from its §3: the system's resolver answers for both families
/// at once, in its own order of preference (RFC 6724), and this begins when it has.
///
/// # Errors
/// `HostUnreachable` when the name does not resolve or every address failed, each named with its reason;
/// `ConnectTimeout` when the time ran out first.
///
/// # Cancel safety
/// Dropped, every socket that was opened is closed; a peer sees a connection that opened and closed at most.
/// A look-up under way ends by itself on the runtime's blocking pool, since the system offers no way to stop
/// it.
pub(crate) async fn dial(options: &DialOptions, host: &str, port: u16) -> Result<Dialed> {
    let mut begun = tokio::time::Instant::now();
    let place = failure::Place::new(host_and_port(host, port), options.timeout);

    let started = Instant::now();
    let found = match timeout(options.timeout, resolve(host, port)).await {
        Ok(Ok(found)) => found,
        Ok(Err(error)) => return Err(place.not_resolved(host, error)),
        Err(_elapsed) => return Err(place.resolving_too_slow(host)),
    };
    let resolve = started.elapsed();
    let addresses = usable(options, &found);
    if addresses.is_empty() {
        return Err(place.no_address(options.family, options.bind.first().copied(), &found));
    }

    let mut attempt = 1;
    loop {
        let left = options.timeout.saturating_sub(begun.elapsed());
        let error = match connect(options, &addresses, left, &place).await {
            Ok((peer, (stream, connect))) => {
                return Ok(Dialed { stream, peer, resolve, connect, spent: begun.elapsed() });
            }
            Err(error) => error,
        };
        if attempt >= options.attempts.get() || !error.is_retryable() {
            return Err(error);
        }
        tracing::info!(host, port, attempt, of = options.attempts, %error, "not connected, trying again");
        sleep(BETWEEN_ATTEMPTS).await;
        attempt += 1;
        begun = tokio::time::Instant::now();
    }
}

/// Tries all addresses once.
async fn connect(
    options: &DialOptions,
    addresses: &[SocketAddr],
    limit: Duration,
    place: &failure::Place,
) -> Result<(SocketAddr, (TcpStream, Duration))> {
    let mut failed = Vec::new();
    let attempt = |address| -> BoxFuture<'static, io::Result<(TcpStream, Duration)>> {
        match socket::prepare(options, address) {
            Ok(socket) => Box::pin(async move {
                let started = Instant::now();
                let stream = socket.connect(address).await?;
                Ok((stream, started.elapsed()))
            }),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    };
    let mut race = race::Race::new(addresses.to_vec(), options.attempt_delay, attempt);
    match timeout(limit, race.winner(&mut failed)).await {
        Ok(Some(winner)) => Ok(winner),
        Ok(None) => Err(place.all_failed(options.bind.first().copied(), failed)),
        Err(_elapsed) => {
            let unanswered = race.under_way();
            Err(place.too_slow(failed, &unanswered))
        }
    }
}

async fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    // A numeric scope needs no resolver, and not every resolver takes one; a named one is the resolver's to
    // translate.
    if let Some((address, scope)) = host.split_once('%')
        && let (Ok(address), Ok(scope)) = (address.parse::<Ipv6Addr>(), scope.parse::<u32>())
    {
        return Ok(vec![SocketAddrV6::new(address, port, 0, scope).into()]);
    }
    let found: Vec<_> = lookup_host((host, port)).await?.collect();
    if found.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
    }
    Ok(found)
}

/// The addresses to try, in the order to try them in.
fn usable(options: &DialOptions, found: &[SocketAddr]) -> Vec<SocketAddr> {
    let wanted = |address: &&SocketAddr| {
        let family = match options.family {
            AddressFamily::Any => true,
            AddressFamily::V4 => address.is_ipv4(),
            AddressFamily::V6 => address.is_ipv6(),
        };
        family && (options.bind.is_empty() || socket::bind_for(options, **address).is_some())
    };
    race::interleaved(found.iter().filter(wanted).copied())
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::net::{TcpListener, TcpSocket};

    use super::*;
    use crate::error::ErrorKind;

    async fn listener() -> (TcpListener, u16) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        (listener, port)
    }

    /// A port of loopback where nobody listens, and the socket that keeps it so. One that has listened would not
    /// do: a process that is just being started may hold a copy of it.
    fn closed_port() -> (TcpSocket, u16) {
        let held = TcpSocket::new_v4().unwrap();
        held.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let port = held.local_addr().unwrap().port();
        (held, port)
    }

    #[tokio::test]
    async fn an_address_is_connected_to_and_its_socket_set_up() {
        let (_listener, port) = listener().await;
        let dialed = dial(&DialOptions::default(), "127.0.0.1", port).await.unwrap();
        assert_eq!(dialed.peer, SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        assert!(dialed.stream.nodelay().unwrap());
        let socket = socket2::SockRef::from(&dialed.stream);
        assert!(socket.keepalive().unwrap());
        #[cfg(target_os = "linux")]
        {
            assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(15));
            assert_eq!(socket.tcp_keepalive_interval().unwrap(), Duration::from_secs(15));
            assert_eq!(socket.tcp_keepalive_retries().unwrap(), 3);
            assert_eq!(socket.tcp_user_timeout().unwrap(), Some(Duration::from_secs(60)));
        }
    }

    #[tokio::test]
    async fn a_name_with_two_families_reaches_the_one_that_listens() {
        let (_listener, port) = listener().await;
        let dialed = dial(&DialOptions::default(), "localhost", port).await.unwrap();
        assert!(dialed.peer.ip().is_loopback() && dialed.peer.is_ipv4());
    }

    #[tokio::test]
    async fn the_bind_address_is_where_it_comes_from() {
        let (listener, port) = listener().await;
        let bind = IpAddr::from(Ipv4Addr::new(127, 0, 0, 2));
        let options = DialOptions::default().bind_address(Some(if cfg!(target_os = "macos") {
            Ipv4Addr::LOCALHOST.into()
        } else {
            bind
        }));
        let _dialed = dial(&options, "127.0.0.1", port).await.unwrap();
        let (_stream, from) = listener.accept().await.unwrap();
        assert_eq!([from.ip()], options.bind[..]);
    }

    #[tokio::test]
    async fn a_closed_port_is_refused_with_address_and_hint() {
        let (_held, port) = closed_port();
        let error = dial(&DialOptions::default(), "127.0.0.1", port).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::HostUnreachable);
        assert_eq!(error.target(), Some(&*format!("127.0.0.1:{port}")));
        assert!(error.to_string().contains(&format!("127.0.0.1:{port}: connection refused")), "{error}");
        assert!(error.hint().unwrap().contains("-p"), "{error:?}");
        assert!(error.is_retryable());
    }

    #[tokio::test]
    async fn a_name_that_does_not_resolve_says_so() {
        // RFC 6761 §6.4: `invalid` never resolves.
        let error = dial(&DialOptions::default(), "web-1.invalid", 22).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::HostUnreachable);
        assert!(error.to_string().contains("the name web-1.invalid cannot be resolved"), "{error}");
        assert!(error.hint().is_some());
    }

    #[tokio::test]
    async fn a_family_that_the_host_has_not_is_named() {
        let options = DialOptions::default().address_family(AddressFamily::V6);
        let error = dial(&options, "127.0.0.1", 22).await.unwrap_err();
        assert!(error.to_string().contains("no IPv6 address"), "{error}");
        let options = DialOptions::default().bind_address(Some(Ipv6Addr::LOCALHOST.into()));
        let error = dial(&options, "127.0.0.1", 22).await.unwrap_err();
        assert!(error.to_string().contains("::1"), "{error}");
    }

    #[tokio::test]
    async fn a_host_that_refuses_at_first_is_reached_by_a_later_attempt() {
        let (held, port) = closed_port();
        let options = DialOptions::default().attempts(NonZeroU32::new(2).unwrap());
        let started = Instant::now();
        let error = dial(&options, "127.0.0.1", port).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::HostUnreachable);
        assert!(started.elapsed() >= BETWEEN_ATTEMPTS, "twice, with a pause");

        let options = DialOptions::default().attempts(NonZeroU32::new(100).unwrap());
        let comes_up = async {
            sleep(Duration::from_millis(300)).await;
            held.listen(1).unwrap()
        };
        let (dialed, _listener) = tokio::join!(dial(&options, "127.0.0.1", port), comes_up);
        let dialed = dialed.unwrap();
        assert_eq!(dialed.peer.port(), port);
        assert!(dialed.spent < Duration::from_secs(10), "each attempt has a time of its own");

        // Nothing changes by itself about a name that does not resolve.
        let started = Instant::now();
        dial(&options, "web-1.invalid", 22).await.unwrap_err();
        assert!(started.elapsed() < Duration::from_secs(60));
    }

    #[tokio::test]
    async fn a_bind_address_of_another_machine_is_an_error_with_that_address() {
        let options = DialOptions::default().bind_address(Some(Ipv4Addr::new(192, 0, 2, 1).into()));
        let error = dial(&options, "127.0.0.1", 22).await.unwrap_err();
        assert!(error.hint().unwrap().contains("192.0.2.1"), "{error:?}");
    }

    #[tokio::test]
    async fn numeric_scopes_need_no_resolver() {
        let found = resolve("fe80::1%7", 22).await.unwrap();
        assert_eq!(found, [SocketAddr::V6(SocketAddrV6::new("fe80::1".parse().unwrap(), 22, 0, 7))]);
    }

    /// A listener that takes no more: with a full backlog Linux drops further SYNs, as a dead host does.
    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn silence_is_a_timeout_that_names_the_seconds_and_each_address() {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let mut filling = Vec::new();
        let options = DialOptions::default()
            .timeout(Duration::from_millis(300))
            .attempt_delay(Duration::from_millis(10));
        let error = loop {
            match dial(&options, "127.0.0.1", address.port()).await {
                Ok(dialed) => filling.push(dialed),
                Err(error) => break error,
            }
            assert!(filling.len() < 16, "the backlog never fills");
        };
        assert_eq!(error.kind(), ErrorKind::ConnectTimeout);
        assert!(
            error.to_string().contains("0.3 s") && error.to_string().contains(&address.to_string()),
            "{error}"
        );
        assert!(error.hint().is_some());
    }
}
