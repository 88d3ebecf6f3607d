//! Jump hosts: `[user@]host[:port]` and `ssh://` addresses, in lists.

use std::fmt;

use crate::{Source, value};

/// As many as anybody could want; ssh has no limit.
const MOST: usize = 64;

/// One host to jump over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JumpHost {
    user: Option<String>,
    host: String,
    port: Option<u16>,
}

impl JumpHost {
    /// Reads one host, as in the value of ProxyJump.
    pub(crate) fn parse(text: &str, source: &dyn Source) -> Result<JumpHost, String> {
        let bad = || format!("{text:?} is not of the form [user@]host[:port] or ssh://[user@]host[:port]");
        let (user, rest, uri) = match text.strip_prefix("ssh://") {
            // A user's name in an address has no @ of its own: that is written %40.
            Some(rest) => match rest.split_once('@') {
                Some((user, rest)) => {
                    let user = user.split(';').next().unwrap_or_default();
                    (Some(decode(user).ok_or_else(bad)?), rest, true)
                }
                None => (None, rest, true),
            },
            None => match text.rsplit_once('@') {
                Some((user, rest)) => (Some(user.to_owned()), rest, false),
                None => (None, text, false),
            },
        };
        if user.as_ref().is_some_and(String::is_empty) {
            return Err(bad());
        }
        let (host, port) = split_port(rest).ok_or_else(bad)?;
        let port = match port {
            // In an address a slash begins a path, and hosts have none.
            Some((b'/', path)) if uri && !path.is_empty() => return Err(bad()),
            Some((_, port)) if uri => port.strip_suffix('/').unwrap_or(port),
            Some((_, port)) => port,
            None => "",
        };
        let port = if port.is_empty() { None } else { Some(value::port(port, source).map_err(|_| bad())?) };
        if host.is_empty() || (uri && !is_domain(host)) {
            return Err(bad());
        }
        Ok(JumpHost { user, host: host.to_owned(), port })
    }

    /// Reads a list of hosts, first hop first.
    pub(crate) fn parse_list(text: &str, source: &dyn Source) -> Result<Vec<JumpHost>, String> {
        let hosts: Result<Vec<_>, String> =
            text.split(',').take(MOST + 1).map(|host| JumpHost::parse(host, source)).collect();
        match hosts? {
            hosts if hosts.len() > MOST => Err(format!("more than {MOST} hosts")),
            hosts => Ok(hosts),
        }
    }

    pub(crate) fn expanded(user: Option<String>, host: String, port: Option<u16>) -> JumpHost {
        JumpHost { user, host, port }
    }

    /// The user to log in as there, where one is written.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// The host, without the brackets of an address; it may be an alias of the configuration.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, where one is written.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.port
    }
}

impl fmt::Display for JumpHost {
    /// As `ssh -G` prints the last of a list: `[user@]host[:port]`, an address in brackets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        let address = self.host.contains(':') || self.host.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        if address {
            write!(f, "[{}]", self.host)?
        } else {
            f.write_str(&self.host)?
        }
        match self.port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

/// The host without its brackets, and what stands after the colon or slash.
fn split_port(text: &str) -> Option<(&str, Option<(u8, &str)>)> {
    let (host, rest) = match text.strip_prefix('[') {
        Some(inside) => inside.split_once(']')?,
        None => text.split_at(text.find([':', '/']).unwrap_or(text.len())),
    };
    match rest.as_bytes().first() {
        None => Some((host, None)),
        Some(delimiter @ (b':' | b'/')) => Some((host, Some((*delimiter, &rest[1..])))),
        Some(_) => None,
    }
}

/// Undoes the encoding of addresses (RFC 3986). `None` for half an escape, and for NUL: a name that goes on after
/// one is two names to two readers (CVE-2025-61985).
fn decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                let digit = |byte: Option<u8>| byte.and_then(|b| char::from(b).to_digit(16));
                let (high, low) = (digit(bytes.next())?, digit(bytes.next())?);
                out.push(u8::try_from(high * 16 + low).ok().filter(|byte| *byte != 0)?);
            }
            byte => out.push(byte),
        }
    }
    String::from_utf8(out).ok()
}

/// Whether the text has the letters, digits and separators of a domain's name and nothing else.
pub(crate) fn is_domain(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && !name.contains("..")
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemorySource;

    fn parse(text: &str) -> Result<JumpHost, String> {
        JumpHost::parse(text, &MemorySource::new("a", "/a"))
    }

    #[test]
    fn hosts_in_every_form() {
        for (text, expected) in [
            ("bastion", "bastion"),
            ("bob@bastion:2222", "bob@bastion:2222"),
            ("a@b@bastion", "a@b@bastion"),
            ("[::1]:22", "[::1]:22"),
            ("10.0.0.1", "[10.0.0.1]"),
            ("bastion:ssh", "bastion:22"),
            ("bastion:", "bastion"),
            ("ssh://bastion", "bastion"),
            ("ssh://bob@bastion:2222", "bob@bastion:2222"),
            ("ssh://bob@bastion:2222/", "bob@bastion:2222"),
            ("ssh://a%40b;x=y@bastion", "a@b@bastion"),
        ] {
            assert_eq!(parse(text).unwrap().to_string(), expected, "{text}");
        }
        for bad in [
            "",
            "@bastion",
            "bob@",
            "bastion:0",
            "bastion:x",
            "[::1",
            "[::1]x",
            "ssh://",
            "ssh://@bastion",
            "ssh://bastion/path",
            "ssh://bastion/22",
            "ssh://b%0",
            "ssh://a%zz@b",
            "ssh://[::1]",
            "ssh://b:1/x",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_nul_in_an_address_is_refused_cve_2025_61985() {
        for bad in ["ssh://root%00@bastion", "ssh://%00@bastion", "ssh://a%00b@bastion:22"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn lists_go_from_hop_to_hop() {
        let source = MemorySource::new("a", "/a");
        let hosts = JumpHost::parse_list("a,u@b:2,ssh://c", &source).unwrap();
        assert_eq!(hosts.iter().map(JumpHost::host).collect::<Vec<_>>(), ["a", "b", "c"]);
        assert!(JumpHost::parse_list("a,,b", &source).is_err());
        assert!(JumpHost::parse_list(&"a,".repeat(100), &source).is_err());
    }
}
