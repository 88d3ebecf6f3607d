//! Where to connect, as a person types it: `host`, `user@host`, `[::1]:2222`, `ssh://user@host:port`.
//!
//! The rules are OpenSSH's: what it refuses as a host or a user (because a shell, a `ProxyCommand` or a
//! log line may see it later) is refused here, before anything else has touched it.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use crate::error::{Error, ErrorKind, Result};

/// A host to connect to, with the user and the port where they were given.
///
/// What was not given is `None`, so that a configuration file or a default can fill it in.
///
/// ```
/// use rustle_session::Target;
///
/// let target = Target::parse("ssh://deploy@[2001:db8::7]:2222")?;
/// assert_eq!(target.user(), Some("deploy"));
/// assert_eq!(target.host(), "2001:db8::7");
/// assert_eq!(target.port(), Some(2222));
/// assert_eq!(target.to_string(), "deploy@[2001:db8::7]:2222");
/// # Ok::<(), rustle_session::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    user: Option<String>,
    host: String,
    port: Option<u16>,
}

impl Target {
    /// Reads a destination as `ssh` takes it: `[user@]host`, or `ssh://[user@]host[:port]`.
    ///
    /// The last `@` ends the user, which may hold one itself. Without a scheme a port is only taken after
    /// brackets, `[2001:db8::7]:2222`; `host:22` is refused with the two ways to say it. In a URL the user
    /// may be percent-encoded (RFC 3986 §2.1), and an IPv6 zone is written `%25eth0` (RFC 6874 §2).
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] when this is no destination. A URL that carries a password is refused,
    /// and no part of its user information is repeated in the error.
    pub fn parse(text: &str) -> Result<Self> {
        match strip_scheme(text) {
            Some(rest) => parse_url(rest),
            None => parse_plain(text),
        }
    }

    /// A destination from a host alone: a name, an address, or an alias of the configuration.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] when no host can be called so.
    pub fn new(host: impl Into<String>) -> Result<Self> {
        let host = host.into();
        check_host(&host)?;
        Ok(Self { user: None, host, port: None })
    }

    /// The same destination with this user.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] when no user can be called so.
    pub fn with_user(mut self, user: impl Into<String>) -> Result<Self> {
        let user = user.into();
        check_user(&user)?;
        self.user = Some(user);
        Ok(self)
    }

    /// The same destination with this port.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] for port 0.
    pub fn with_port(mut self, port: u16) -> Result<Self> {
        if port == 0 {
            return Err(refused("port 0 cannot be connected to").with_hint("give a port from 1 to 65535"));
        }
        self.port = Some(port);
        Ok(self)
    }

    /// The user to log in as, where it was given.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// The host: a name, an alias, or an address without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, where it was given.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.port
    }
}

impl FromStr for Target {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        match self.port {
            Some(port) => f.write_str(&host_and_port(&self.host, port)),
            None => f.write_str(&self.host),
        }
    }
}

/// `host:port`, with brackets around an IPv6 address, for people to read.
pub(crate) fn host_and_port(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

fn strip_scheme(text: &str) -> Option<&str> {
    const SCHEME: &str = "ssh://";
    let head = text.get(..SCHEME.len())?;
    // RFC 3986 §3.1: schemes are case-insensitive.
    if head.eq_ignore_ascii_case(SCHEME) { text.get(SCHEME.len()..) } else { None }
}

fn parse_plain(text: &str) -> Result<Target> {
    let (user, rest) = match text.rsplit_once('@') {
        Some((user, rest)) => (Some(user), rest),
        None => (None, text),
    };
    let target = if let Some((host, port)) = split_brackets(rest)? {
        with_port_text(Target::new(host)?, port)?
    } else if rest.matches(':').count() == 1 {
        let (host, port) = rest.split_once(':').unwrap_or((rest, ""));
        check_host(host)?;
        let error = refused("a destination takes no port after a colon");
        // Only digits are repeated: what stands there otherwise may be anything, a password included.
        let hint = match port.parse::<u16>() {
            Ok(port) => format!("write `-p {port} {host}`, or `ssh://{host}:{port}`"),
            Err(_) => {
                format!("give the host alone, `{host}`, and the port with `-p`, or write `ssh://{host}:PORT`")
            }
        };
        return Err(error.with_hint(hint));
    } else {
        Target::new(rest)?
    };
    match user {
        Some(user) => target.with_user(user),
        None => Ok(target),
    }
}

fn parse_url(rest: &str) -> Result<Target> {
    // RFC 3986 §3.2: the authority ends at the first of these. It is looked for before anything is repeated
    // in an error, since a password with a slash in it would otherwise be taken for a port.
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    if !matches!(tail, "" | "/") {
        return Err(refused("an ssh:// URL ends after the host and the port; this one goes on").with_hint(
            "write `ssh://[user@]host[:port]`; other characters in the user are percent-encoded (`/` is %2F)",
        ));
    }
    let (info, place) = match authority.rsplit_once('@') {
        Some((info, place)) => (Some(info), place),
        None => (None, authority),
    };
    let user = info.map(url_user).transpose()?;
    let (host, port) = match split_brackets(place)? {
        Some((host, port)) => (host.replacen("%25", "%", 1), port),
        None => match place.split_once(':') {
            Some((host, port)) => (host.to_owned(), Some(port)),
            None => (place.to_owned(), None),
        },
    };
    let target = with_port_text(Target::new(host)?, port)?;
    match user {
        Some(user) => target.with_user(user),
        None => Ok(target),
    }
}

/// The user of a URL's user information. None of it is ever repeated in an error: it may hold a password.
fn url_user(info: &str) -> Result<String> {
    if info.contains(':') {
        return Err(refused("a password in a URL is not accepted").with_hint(
            "write `ssh://user@host` and give the password when asked, or from a file that only you can \
            read; \
             a colon that belongs to the user's name is written %3A",
        ));
    }
    if info.contains(';') {
        return Err(refused("connection parameters in an ssh:// URL (`;fingerprint=…`) are not supported")
            .with_hint(
                "leave them out; to pin a host key, trust its fingerprint or add the key to known_hosts",
            ));
    }
    percent_decode(info).ok_or_else(|| {
        refused("the user in the URL is not percent-encoded UTF-8")
            .with_hint("write a `%` that stands for itself as %25")
    })
}

fn percent_decode(text: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let high = char::from(bytes.next()?).to_digit(16)?;
            let low = char::from(bytes.next()?).to_digit(16)?;
            decoded.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            decoded.push(byte);
        }
    }
    String::from_utf8(decoded).ok()
}

/// Splits `[host]` and `[host]:port`; `None` when there are no brackets.
fn split_brackets(text: &str) -> Result<Option<(&str, Option<&str>)>> {
    let Some(inner) = text.strip_prefix('[') else { return Ok(None) };
    let unbalanced = || {
        refused("a destination that starts with `[` must be `[address]` or `[address]:port`")
            .with_hint("write `[2001:db8::7]:2222`")
    };
    let (host, rest) = inner.split_once(']').ok_or_else(unbalanced)?;
    match rest.strip_prefix(':') {
        Some(port) => Ok(Some((host, Some(port)))),
        None if rest.is_empty() => Ok(Some((host, None))),
        None => Err(unbalanced()),
    }
}

fn with_port_text(target: Target, port: Option<&str>) -> Result<Target> {
    let Some(text) = port else { return Ok(target) };
    // `u16::from_str` takes a leading `+`; a port is digits alone (RFC 3986 §3.2.3).
    let number = if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse::<u16>().ok() } else { None };
    match number {
        Some(number) => target.with_port(number),
        // Not repeated: `ssh://user:secret` without its host would print the secret.
        None => Err(refused(format!("the port after `{}` is not a number from 1 to 65535", target.host))
            .with_hint("write `ssh://[user@]host[:port]`")),
    }
}

/// What OpenSSH takes for a host, and an IPv6 address where there is a colon.
fn check_host(host: &str) -> Result<()> {
    // getnameinfo(3)'s NI_MAXHOST: nothing longer can be resolved.
    const LONGEST: usize = 1025;
    if host.is_empty() {
        return Err(
            refused("the host is empty").with_hint("write `host`, `user@host` or `ssh://user@host:port`")
        );
    }
    if host.len() > LONGEST {
        return Err(refused(format!(
            "the host is {} bytes long; no name is longer than {LONGEST}",
            host.len()
        )));
    }
    if host.starts_with('-') {
        return Err(refused(format!("the host `{}` starts with a dash", host.escape_debug()))
            .with_hint("options go before the host; no host name starts with `-`"));
    }
    let forbidden = |c: char| c.is_whitespace() || c.is_control() || "'`\"$\\;&<>|(){}@[]".contains(c);
    if let Some(bad) = host.chars().find(|&c| forbidden(c)) {
        return Err(refused(format!(
            "the host `{}` holds {}, which no host name may",
            host.escape_debug(),
            describe(bad)
        ))
        .with_hint("check the spelling of the host"));
    }
    if host.contains(':') {
        let address = host.split_once('%').map_or(host, |(address, _zone)| address);
        if address.parse::<Ipv6Addr>().is_err() {
            return Err(refused(format!("`{host}` is neither a host name nor an IPv6 address")).with_hint(
                "a port goes after brackets (`[2001:db8::7]:22`), into `ssh://host:port`, or after `-p`",
            ));
        }
    }
    Ok(())
}

/// What OpenSSH takes for a user on the command line.
fn check_user(user: &str) -> Result<()> {
    let hint = "check the user's name; what goes before the last `@` is the user";
    if user.is_empty() {
        return Err(
            refused("the user is empty").with_hint("leave the `@` out to log in under the default name")
        );
    }
    if user.starts_with('-') {
        return Err(refused("the user starts with a dash").with_hint(hint));
    }
    let forbidden = |c: char| c.is_control() || "'`\";&<>|(){}".contains(c);
    if let Some(bad) = user.chars().find(|&c| forbidden(c)) {
        return Err(
            refused(format!("the user holds {}, which ssh refuses too", describe(bad))).with_hint(hint)
        );
    }
    let mut pairs = user.chars().zip(user.chars().skip(1));
    if pairs.any(|(before, after)| before.is_whitespace() && after == '-') {
        return Err(refused("the user holds a dash after a blank, which ssh refuses too").with_hint(hint));
    }
    if user.ends_with('\\') {
        return Err(refused("the user ends with a backslash, which ssh refuses too").with_hint(hint));
    }
    Ok(())
}

fn describe(c: char) -> String {
    if c.is_control() || c.is_whitespace() {
        format!("the character U+{:04X}", u32::from(c))
    } else {
        format!("the character `{c}`")
    }
}

fn refused(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Configuration, "parse target", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> (Option<String>, String, Option<u16>) {
        let target = Target::parse(text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
        (target.user, target.host, target.port)
    }

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn plain_destinations_split_at_the_last_at_sign() {
        assert_eq!(parts("web-1"), (None, "web-1".into(), None));
        assert_eq!(parts("deploy@web-1"), (some("deploy"), "web-1".into(), None));
        assert_eq!(parts("a@b.example@web-1"), (some("a@b.example"), "web-1".into(), None));
        assert_eq!(parts("DOM\\joe@web-1"), (some("DOM\\joe"), "web-1".into(), None));
        assert_eq!(parts("::1"), (None, "::1".into(), None));
        assert_eq!(parts("me@fe80::1%eth0"), (some("me"), "fe80::1%eth0".into(), None));
        assert_eq!(parts("[::1]"), (None, "::1".into(), None));
        assert_eq!(parts("me@[::1]:2222"), (some("me"), "::1".into(), Some(2222)));
        assert_eq!(parts("[web-1]:2222"), (None, "web-1".into(), Some(2222)));
    }

    #[test]
    fn urls_are_decoded_and_bounded() {
        assert_eq!(parts("ssh://web-1"), (None, "web-1".into(), None));
        assert_eq!(parts("SSH://web-1/"), (None, "web-1".into(), None));
        assert_eq!(parts("ssh://me@web-1:2222"), (some("me"), "web-1".into(), Some(2222)));
        assert_eq!(parts("ssh://a%40b%2Fc%3Ad@web-1"), (some("a@b/c:d"), "web-1".into(), None));
        assert_eq!(parts("ssh://[2001:db8::7]:22"), (None, "2001:db8::7".into(), Some(22)));
        assert_eq!(parts("ssh://[fe80::1%25eth0]"), (None, "fe80::1%eth0".into(), None));
    }

    #[test]
    fn what_cannot_be_a_destination_is_refused_with_its_kind() {
        for text in [
            "",
            "@web-1",
            "me@",
            "-oProxyCommand=x",
            "me@-web",
            "-me@web-1",
            "web 1",
            "web\n1",
            "web\0",
            "a;b",
            "$(x)",
            "a`b`",
            "a|b@web-1",
            "a -b@web-1",
            "a\\@web-1",
            "[::1",
            "[::1]x",
            "[::1]:",
            "[::1]:0",
            "[::1]:+22",
            "[::1]:65536",
            "1:2:3",
            "ssh://",
            "ssh://@web-1",
            "ssh://web-1:",
            "ssh://web-1:ssh",
            "ssh://web-1/path",
            "ssh://web-1?x",
            "ssh://%ff@web-1",
            "ssh://%0a@web-1",
            "ssh://%4@web-1",
            "ssh://a;fingerprint=x@web-1",
            "ssh://-x",
            "ssh://%2dx@web-1",
            "ssh://a:b:c",
        ] {
            let error = Target::parse(text).expect_err(text);
            assert_eq!(error.kind(), ErrorKind::Configuration, "{text:?}");
            assert!(!error.to_string().contains(|c: char| c.is_control()), "{text:?}: {error}");
        }
    }

    #[test]
    fn a_port_after_a_colon_gets_the_two_ways_to_write_it() {
        let error = Target::parse("me@web-1:22").unwrap_err();
        assert_eq!(error.hint(), Some("write `-p 22 web-1`, or `ssh://web-1:22`"));
    }

    #[test]
    fn no_error_repeats_a_password_from_a_url() {
        for text in [
            "ssh://me:hunter2@web-1",
            "ssh://me:hunter2@",
            "ssh://me:hunter2",
            "ssh://me:hunter2/x@web-1",
            "ssh://me:hunter2?x@web-1",
            "ssh://me:%hunter2@web-1",
            "ssh://me:hunter2@x@web-1:99999",
            "me@web-1:hunter2",
        ] {
            let error = Target::parse(text).expect_err(text);
            let shown = format!("{error} {error:?} {:?}", error.hint());
            assert!(!shown.contains("hunter2"), "{text:?}: {shown}");
        }
    }

    #[test]
    fn display_reads_as_errors_name_a_host() {
        assert_eq!(Target::parse("ssh://me@web-1:22").unwrap().to_string(), "me@web-1:22");
        assert_eq!(Target::parse("me@::1").unwrap().to_string(), "me@::1");
        assert_eq!(Target::parse("[::1]:22").unwrap().to_string(), "[::1]:22");
    }
}
