//! Forwardings: where one listens, and where it leads.

use std::fmt;

use crate::{Origin, Source, value};

/// One forwarding.
#[derive(Clone, Debug)]
pub struct Forward {
    pub(crate) listen: ForwardListen,
    pub(crate) target: ForwardTarget,
    pub(crate) origin: Origin,
}

/// Where a forwarding listens.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ForwardListen {
    /// On a TCP port.
    Tcp {
        /// The address as written; empty and `*` are every one. `None` leaves it to GatewayPorts.
        host: Option<String>,
        /// The port; 0, on the far side only, for one that it chooses.
        port: u16,
    },
    /// On a Unix socket.
    Unix(String),
}

/// Where a forwarding leads.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ForwardTarget {
    /// To a host and port.
    Tcp {
        /// The host, as the side that connects resolves it.
        host: String,
        /// The port.
        port: u16,
    },
    /// To a Unix socket.
    Unix(String),
    /// To where each client asks, by SOCKS 4 or 5.
    Socks,
}

/// Which keyword a forwarding is read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Local,
    Remote,
    Dynamic,
    /// Remote, and leading to where each client asks.
    RemoteDynamic,
}

/// No host's name, and no socket's path of the common systems, is longer.
const LONGEST_HOST: usize = 1_024;
const LONGEST_PATH: usize = 107;

impl Forward {
    /// Where it listens: this side, or the far one for a remote forwarding.
    #[must_use]
    pub fn listen(&self) -> &ForwardListen {
        &self.listen
    }

    /// Where it leads, from the other side.
    #[must_use]
    pub fn target(&self) -> &ForwardTarget {
        &self.target
    }

    /// Where it is written.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Reads the one or two arguments, joined with a colon, and with the environment expanded.
    pub(crate) fn parse(
        spec: &str,
        direction: Direction,
        origin: &Origin,
        source: &dyn Source,
    ) -> Result<Forward, String> {
        let (listen, target) = sides(&fields(spec)?, direction, source)
            .ok_or_else(|| format!("{spec:?} is no forwarding such as 8080 localhost:80"))?;
        let fits = |host: &Option<String>| host.as_ref().is_none_or(|host| host.len() <= LONGEST_HOST);
        let listen_fits = match &listen {
            ForwardListen::Tcp { host, .. } => fits(host),
            ForwardListen::Unix(path) => path.len() <= LONGEST_PATH,
        };
        let target_fits = match &target {
            ForwardTarget::Tcp { host, .. } => host.len() <= LONGEST_HOST,
            ForwardTarget::Unix(path) => path.len() <= LONGEST_PATH,
            ForwardTarget::Socks => true,
        };
        if !listen_fits || !target_fits {
            return Err(format!(
                "a host of more than {LONGEST_HOST} or a path of more than {LONGEST_PATH} bytes"
            ));
        }
        Ok(Forward { listen, target, origin: origin.clone() })
    }

    /// Whether it is the same forwarding, wherever it is written.
    pub(crate) fn is_same(&self, other: &Forward) -> bool {
        self.listen == other.listen && self.target == other.target
    }
}

/// A part between colons, and whether a slash makes it a path.
struct Field {
    text: String,
    path: bool,
}

/// One to four fields: in brackets, or with a backslash before what is meant literally.
fn fields(spec: &str) -> Result<Vec<Field>, String> {
    let mut fields = Vec::new();
    let mut rest = spec.trim_start();
    while !rest.is_empty() {
        if fields.len() == 4 {
            return Err("more than four parts".to_owned());
        }
        if let Some(inside) = rest.strip_prefix('[') {
            let (text, after) = inside.split_once(']').ok_or("a bracket is not closed")?;
            rest = match after.strip_prefix(':') {
                Some(after) => after,
                None if after.is_empty() => after,
                None => return Err("something stands after a bracket".to_owned()),
            };
            fields.push(Field { text: text.to_owned(), path: text.contains('/') });
            continue;
        }
        let mut field = Field { text: String::new(), path: false };
        let mut chars = rest.chars();
        loop {
            match chars.next() {
                None | Some(':') => break,
                Some('\\') => field.text.push(chars.next().ok_or("a backslash at the end")?),
                Some(c) => {
                    field.path |= c == '/';
                    field.text.push(c);
                }
            }
        }
        rest = chars.as_str();
        fields.push(field);
    }
    Ok(fields)
}

fn sides(
    fields: &[Field],
    direction: Direction,
    source: &dyn Source,
) -> Option<(ForwardListen, ForwardTarget)> {
    let port = |field: &Field| match direction {
        Direction::Remote | Direction::RemoteDynamic => value::port_or_zero(&field.text, source).ok(),
        _ => value::port(&field.text, source).ok(),
    };
    let tcp = |host: Option<&Field>, field: &Field| {
        Some(ForwardListen::Tcp { host: host.map(|host| host.text.clone()), port: port(field)? })
    };
    let unix = |field: &Field| ForwardListen::Unix(field.text.clone());
    let to = |host: &Field, port: &Field| {
        let port = value::port(&port.text, source).ok()?;
        Some(ForwardTarget::Tcp { host: host.text.clone(), port })
    };
    let to_unix = |field: &Field| ForwardTarget::Unix(field.text.clone());
    if matches!(direction, Direction::Dynamic | Direction::RemoteDynamic) {
        return match fields {
            [one] if one.path => Some((unix(one), ForwardTarget::Socks)),
            [one] => Some((tcp(None, one)?, ForwardTarget::Socks)),
            [host, one] if !one.path => Some((tcp(Some(host), one)?, ForwardTarget::Socks)),
            _ => None,
        };
    }
    match fields {
        [listen, target] if listen.path && target.path => Some((unix(listen), to_unix(target))),
        [listen, target] if target.path => Some((tcp(None, listen)?, to_unix(target))),
        [listen, host, port] if listen.path => Some((unix(listen), to(host, port)?)),
        [host, listen, target] if target.path => Some((tcp(Some(host), listen)?, to_unix(target))),
        [listen, host, port] => Some((tcp(None, listen)?, to(host, port)?)),
        [bind, listen, host, port] => Some((tcp(Some(bind), listen)?, to(host, port)?)),
        _ => None,
    }
}

impl fmt::Display for ForwardListen {
    /// As `ssh -G` prints it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ForwardListen::Tcp { host: None, port } => write!(f, "{port}"),
            ForwardListen::Tcp { host: Some(host), port } => write!(f, "[{host}]:{port}"),
            ForwardListen::Unix(path) => f.write_str(path),
        }
    }
}

impl fmt::Display for ForwardTarget {
    /// As `ssh -G` prints it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ForwardTarget::Tcp { host, port } => write!(f, "[{host}]:{port}"),
            ForwardTarget::Unix(path) => f.write_str(path),
            ForwardTarget::Socks => f.write_str("[socks]:0"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemorySource;

    fn parse(spec: &str, direction: Direction) -> Result<String, String> {
        let source = MemorySource::new("a", "/a");
        Forward::parse(spec, direction, &Origin::CommandLine, &source)
            .map(|forward| format!("{} {}", forward.listen(), forward.target()))
    }

    #[test]
    fn forwardings_in_every_form() {
        use Direction::{Dynamic, Local, Remote, RemoteDynamic};

        for (spec, direction, expected) in [
            ("8080:localhost:80", Local, "8080 [localhost]:80"),
            ("127.0.0.1:8080:[::1]:80", Local, "[127.0.0.1]:8080 [::1]:80"),
            ("*:8080:h:80", Local, "[*]:8080 [h]:80"),
            (":8080:h:80", Local, "[]:8080 [h]:80"),
            ("/run/a:/run/b", Local, "/run/a /run/b"),
            ("8080:/run/b", Local, "8080 /run/b"),
            ("h:8080:/run/b", Local, "[h]:8080 /run/b"),
            ("/run/a:h:80", Local, "/run/a [h]:80"),
            (r"/run/a\:1:/run/b", Local, "/run/a:1 /run/b"),
            ("0:h:80", Remote, "0 [h]:80"),
            ("1080", Dynamic, "1080 [socks]:0"),
            ("[::1]:1080", Dynamic, "[::1]:1080 [socks]:0"),
            ("0", RemoteDynamic, "0 [socks]:0"),
            ("/run/socks", Dynamic, "/run/socks [socks]:0"),
        ] {
            assert_eq!(parse(spec, direction).unwrap(), expected, "{spec}");
        }
        for (spec, direction) in [
            ("0:h:80", Local),
            ("8080", Local),
            ("8080:h", Local),
            ("8080:h:0", Remote),
            ("a:b:c:d:e", Local),
            ("[::1:8080:h:80", Local),
            ("[::1]8080:h:80", Local),
            ("x:h:80", Local),
            ("0", Dynamic),
            ("/a:/b", Dynamic),
            ("", Dynamic),
        ] {
            assert!(parse(spec, direction).is_err(), "{spec}");
        }
        assert!(parse(&format!("/{}:h:1", "a".repeat(200)), Local).is_err());
    }
}
