//! The name a host is looked up by.

use std::{fmt, net::IpAddr, str::FromStr};

use crate::{
    error::{Error, ErrorKind},
    key::shown,
};

/// A name above this length is no host's (RFC 1035 allows 255; OpenSSH's buffer for a name is 1025).
const MAX_LENGTH: usize = 1024;
/// Characters with a meaning of their own in a host list, and those OpenSSH never records.
const RESERVED: &[char] = &['@', '?', '*', '!', '#', '[', ']', '|', '\'', '"', '\\', ',', '`'];

/// A host name or address as `known_hosts` spells it: lower case, addresses in their canonical form.
///
/// This is the name the user asked for (or `HostKeyAlias`), not the one an address resolves back to.
/// With `HostKeyAlias`, look up port 22: an alias stands for host and port together.
///
/// ```
/// use rustle_trust::HostName;
///
/// assert_eq!(HostName::new("Web-1.Example.COM")?.as_str(), "web-1.example.com");
/// assert_eq!(HostName::new("2001:DB8:0::1")?.as_str(), "2001:db8::1");
/// assert!(HostName::new("web-*").is_err());
/// # Ok::<(), rustle_trust::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostName(String);

impl HostName {
    /// Takes a host name or address, without brackets and without a port.
    ///
    /// # Errors
    /// When the name is empty or too long, or holds white space, a control character, or a character that means
    /// something else in a host list.
    pub fn new(name: &str) -> Result<Self, Error> {
        let refuse = |why: &str| {
            let name = shown(name.as_bytes());
            Err(Error::new(ErrorKind::HostName, format!("`{name}` is not a host name: {why}")))
        };
        if name.is_empty() {
            return refuse("it is empty");
        }
        if name.len() > MAX_LENGTH {
            return refuse("it is too long");
        }
        if name.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return refuse("it holds white space or a control character");
        }
        if let Some(reserved) = name.chars().find(|c| RESERVED.contains(c)) {
            return refuse(&format!("`{reserved}` has another meaning in known_hosts"));
        }
        Ok(Self(canonical(name)))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What a line must match: the bare name at port 22, else `[name]:port`.
    ///
    /// ```
    /// assert_eq!(rustle_trust::HostName::new("web-1")?.at(2222), "[web-1]:2222");
    /// # Ok::<(), rustle_trust::Error>(())
    /// ```
    #[must_use]
    pub fn at(&self, port: u16) -> String {
        self.at_port(port)
    }

    pub(crate) fn at_port(&self, port: u16) -> String {
        if is_default(port) { self.0.clone() } else { format!("[{}]:{port}", self.0) }
    }

    /// The names to look up, in order: with another port than 22, OpenSSH falls back to the bare name.
    pub(crate) fn lookups(&self, port: u16) -> Vec<String> {
        let mut names = vec![self.at_port(port)];
        if !is_default(port) {
            names.push(self.0.clone());
        }
        names
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for HostName {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        Self::new(name)
    }
}

/// OpenSSH writes no port where it is 22, or 0 for "none".
fn is_default(port: u16) -> bool {
    matches!(port, 0 | 22)
}

fn canonical(name: &str) -> String {
    // A scope (`fe80::1%eth0`) names an interface, whose case is its own.
    let (address, scope) = name.split_at(name.find('%').unwrap_or(name.len()));
    match address.parse::<IpAddr>() {
        Ok(address) => format!("{address}{scope}"),
        Err(_) => name.to_ascii_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_other_than_22_is_looked_up_first_and_the_bare_name_next() {
        let host = HostName::new("::1").unwrap();
        assert_eq!(host.lookups(22), ["::1"]);
        assert_eq!(host.lookups(0), ["::1"]);
        assert_eq!(host.lookups(2222), ["[::1]:2222", "::1"]);
    }

    #[test]
    fn names_that_would_read_as_something_else_in_a_line_are_refused() {
        let long = "a".repeat(MAX_LENGTH + 1);
        for name in [
            "", "a b", "a\nb", "a,b", "!a", "#a", "@a", "|1|a", "[a]:1", "a*", "a?", "a\0", "a\u{a0}b", &long,
        ] {
            assert_eq!(HostName::new(name).unwrap_err().kind(), ErrorKind::HostName, "{name:?}");
        }
    }

    #[test]
    fn a_scope_keeps_its_case() {
        assert_eq!(HostName::new("FE80::1%Eth0").unwrap().as_str(), "fe80::1%Eth0");
    }
}
