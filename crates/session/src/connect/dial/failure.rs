//! Why no connection came about: what was tried, what each address said, and what to do next.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::AddressFamily;
use crate::error::{Error, ErrorKind};

/// How many addresses an error names; a name server chose how many there are.
const SHOWN: usize = 8;

/// Where a connection was to go, and how long it could take.
pub(super) struct Place {
    target: String,
    timeout: Duration,
}

impl Place {
    pub(super) fn new(target: String, timeout: Duration) -> Self {
        Self { target, timeout }
    }

    pub(super) fn not_resolved(&self, host: &str, cause: io::Error) -> Error {
        self.error(ErrorKind::HostUnreachable, format!("the name {host} cannot be resolved"))
            .with_hint(
                "check the spelling, the name server (`getent hosts NAME`, `nslookup NAME`) and, for an \
                 alias, that the configuration in use has a HostName for it",
            )
            .with_source(cause)
    }

    pub(super) fn resolving_too_slow(&self, host: &str) -> Error {
        self.error(
            ErrorKind::ConnectTimeout,
            format!("the name {host} was not resolved within {} s", self.timeout.as_secs_f64()),
        )
        .with_hint(
            "the name server does not answer: check the network and its settings, or connect by address",
        )
    }

    /// The name resolved, but to nothing that may be used.
    pub(super) fn no_address(
        &self,
        family: AddressFamily,
        bind: Option<IpAddr>,
        found: &[SocketAddr],
    ) -> Error {
        let found = shown(found.iter().map(|address| address.ip().to_string()));
        match bind {
            Some(bind) if family == AddressFamily::Any || (family == AddressFamily::V4) == bind.is_ipv4() => {
                self.error(
                    ErrorKind::HostUnreachable,
                    format!(
                        "no address of the host can be reached from the bind address {bind}: it has {found}"
                    ),
                )
                .with_hint("choose a bind address of the other family, or none")
            }
            Some(bind) => self
                .error(
                    ErrorKind::Configuration,
                    format!(
                        "the bind address {bind} is not an {family} address, and no others are asked for"
                    ),
                )
                .with_hint("let AddressFamily and BindAddress agree"),
            None => self
                .error(
                    ErrorKind::HostUnreachable,
                    format!("the host has no {family} address: it has {found}"),
                )
                .with_hint("leave the address family open (`-o AddressFamily=any`)"),
        }
    }

    pub(super) fn too_slow(&self, failed: Vec<(SocketAddr, io::Error)>, unanswered: &[SocketAddr]) -> Error {
        let reasons = unanswered
            .iter()
            .map(|address| format!("{address}: no answer"))
            .chain(failed.iter().map(|(address, error)| format!("{address}: {}", reason(error))));
        let message = format!("not connected within {} s ({})", self.timeout.as_secs_f64(), shown(reasons));
        let error = self.error(ErrorKind::ConnectTimeout, message).with_hint(
            "the host is down, or a firewall drops the packets: check the address, the port (`-p`) and the \
             way there, or allow more time with `--connection-timeout`",
        );
        with_last(error, failed)
    }

    pub(super) fn all_failed(&self, bind: Option<IpAddr>, failed: Vec<(SocketAddr, io::Error)>) -> Error {
        use io::ErrorKind as Io;

        let any = |kinds: &[Io]| failed.iter().any(|(_, error)| kinds.contains(&error.kind()));
        // The most telling reason decides: a refusal means that the host is there.
        let (kind, hint) = if any(&[Io::ConnectionRefused]) {
            (
                ErrorKind::HostUnreachable,
                "the host is there but nothing listens on this port: check that sshd runs and on which port \
                (`-p PORT`)"
                    .to_owned(),
            )
        } else if any(&[Io::AddrNotAvailable, Io::AddrInUse])
            && let Some(bind) = bind
        {
            (
                ErrorKind::Configuration,
                format!("the bind address {bind} is not one of this machine's (`ip address`)"),
            )
        } else if any(&[Io::HostUnreachable, Io::NetworkUnreachable, Io::NetworkDown, Io::AddrNotAvailable]) {
            (
                ErrorKind::HostUnreachable,
                "there is no way to the host: check the network, the VPN and the routes (`ip route get \
                ADDRESS`)"
                    .to_owned(),
            )
        } else if any(&[Io::TimedOut]) {
            (
                ErrorKind::ConnectTimeout,
                "the host is down, or a firewall drops the packets: check the address and the port (`-p`)"
                    .to_owned(),
            )
        } else if any(&[Io::PermissionDenied]) {
            (
                ErrorKind::HostUnreachable,
                "this machine's own firewall or sandbox forbids the connection".to_owned(),
            )
        } else {
            (ErrorKind::HostUnreachable, "check the address, the port (`-p`) and the network".to_owned())
        };
        let reasons = failed.iter().map(|(address, error)| format!("{address}: {}", reason(error)));
        let error = self.error(kind, format!("no connection ({})", shown(reasons))).with_hint(hint);
        with_last(error, failed)
    }

    fn error(&self, kind: ErrorKind, message: String) -> Error {
        Error::new(kind, "connect", message).at(&self.target)
    }
}

/// The kind in plain words where there is one; the system's text else, whose wording differs from system to
/// system.
fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::HostUnreachable => "no route to the host".to_owned(),
        io::ErrorKind::NetworkUnreachable => "network unreachable".to_owned(),
        io::ErrorKind::NetworkDown => "network down".to_owned(),
        io::ErrorKind::TimedOut => "no answer".to_owned(),
        io::ErrorKind::AddrNotAvailable => "address not available on this machine".to_owned(),
        _ => error.to_string(),
    }
}

fn shown(items: impl Iterator<Item = String>) -> String {
    let items: Vec<_> = items.collect();
    let mut text = items.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    if items.len() > SHOWN {
        text.push_str(&format!(", and {} more", items.len() - SHOWN));
    }
    text
}

fn with_last(error: Error, mut failed: Vec<(SocketAddr, io::Error)>) -> Error {
    match failed.pop() {
        Some((_, last)) => error.with_source(last),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_failed(kinds: &[io::ErrorKind]) -> Error {
        let failed = kinds.iter().enumerate().map(|(index, kind)| {
            (SocketAddr::from(([10, 0, 0, u8::try_from(index).unwrap_or(255)], 22)), io::Error::from(*kind))
        });
        Place::new("web-1:22".into(), Duration::from_secs(10)).all_failed(None, failed.collect())
    }

    #[test]
    fn a_refusal_outweighs_a_route_that_is_missing() {
        let error = all_failed(&[io::ErrorKind::NetworkUnreachable, io::ErrorKind::ConnectionRefused]);
        assert_eq!(
            error.to_string(),
            "web-1:22: no connection (10.0.0.0:22: network unreachable, 10.0.0.1:22: connection refused)"
        );
        assert!(error.hint().unwrap().contains("sshd"), "{error:?}");
    }

    #[test]
    fn each_reason_has_its_kind_and_hint() {
        let unreachable = all_failed(&[io::ErrorKind::HostUnreachable]);
        assert_eq!(unreachable.kind(), ErrorKind::HostUnreachable);
        assert!(unreachable.hint().unwrap().contains("route"), "{unreachable:?}");
        assert_eq!(all_failed(&[io::ErrorKind::TimedOut]).kind(), ErrorKind::ConnectTimeout);
        assert!(all_failed(&[io::ErrorKind::PermissionDenied]).hint().unwrap().contains("firewall"));
    }

    #[test]
    fn many_addresses_are_counted_not_listed() {
        let error = all_failed(&[io::ErrorKind::ConnectionRefused; 200]);
        assert!(error.to_string().ends_with("and 192 more)"), "{error}");
    }
}
