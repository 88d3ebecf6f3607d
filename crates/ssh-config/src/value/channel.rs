//! Values about channels, devices and names: each a list of small things.

use std::fmt;
use std::time::Duration;

use crate::{Source, value};

/// When idle channels of one type are closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelTimeout {
    channel: String,
    after: Duration,
    written: String,
}

impl ChannelTimeout {
    /// `TYPE=TIME`
    pub(crate) fn parse(word: &str) -> Result<ChannelTimeout, String> {
        let (channel, time) = word
            .split_once('=')
            .filter(|(channel, _)| !channel.is_empty())
            .ok_or_else(|| format!("{word:?} is not of the form TYPE=TIME"))?;
        let after = value::seconds(time)?;
        Ok(ChannelTimeout { channel: channel.to_owned(), after, written: word.to_owned() })
    }

    /// As `ssh -G` prints it: the time as it was written.
    pub(crate) fn written(&self) -> &str {
        &self.written
    }

    /// A pattern for the type of channel, such as `session:*`; `global` is all of them together.
    #[must_use]
    pub fn channel(&self) -> &str {
        &self.channel
    }

    /// How long a channel may be idle; zero is for ever.
    #[must_use]
    pub fn after(&self) -> Duration {
        self.after
    }
}

/// Where the far side's remote SOCKS forwarding may lead.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PermitRemoteOpen {
    /// Anywhere. The default.
    Any,
    /// Nowhere.
    None,
    /// To these.
    These(Vec<RemoteOpen>),
}

/// A place that a remote SOCKS forwarding may lead to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteOpen {
    host: String,
    port: Option<u16>,
}

impl PermitRemoteOpen {
    pub(crate) fn parse(words: &[String], source: &dyn Source) -> Result<PermitRemoteOpen, String> {
        let is = |word: &String, name: &str| word.eq_ignore_ascii_case(name);
        match words {
            [only] if is(only, "any") => Ok(PermitRemoteOpen::Any),
            [only] if is(only, "none") => Ok(PermitRemoteOpen::None),
            words if words.iter().any(|word| is(word, "any") || is(word, "none")) => {
                Err("\"any\" and \"none\" stand alone".to_owned())
            }
            words => {
                let places: Result<_, String> =
                    words.iter().map(|word| RemoteOpen::parse(word, source)).collect();
                places.map(PermitRemoteOpen::These)
            }
        }
    }
}

impl RemoteOpen {
    fn parse(word: &str, source: &dyn Source) -> Result<RemoteOpen, String> {
        let bad = || format!("{word:?} is not of the form HOST:PORT");
        let (host, port) = match word.strip_prefix('[') {
            Some(rest) => rest.split_once("]:").ok_or_else(bad)?,
            None => word.split_once(':').ok_or_else(bad)?,
        };
        let port = match port {
            "*" => None,
            port => Some(value::port(port, source)?),
        };
        Ok(RemoteOpen { host: host.to_owned(), port })
    }

    /// The host, as it has to be asked for: no pattern.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port; `None` for every one.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.port
    }
}

/// The tun devices of both sides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TunnelDevice {
    local: Option<u32>,
    remote: Option<u32>,
}

impl TunnelDevice {
    /// `LOCAL` or `LOCAL:REMOTE`, each a number or `any`.
    pub(crate) fn parse(word: &str) -> Result<TunnelDevice, String> {
        let device = |text: &str| {
            if text.eq_ignore_ascii_case("any") {
                return Ok(None);
            }
            // The two greatest numbers mean "any" and "none of these" to ssh.
            match value::number(text) {
                Ok(number) if number <= 0x7fff_fffd => Ok(Some(number)),
                _ => Err(format!("{text:?} is neither the number of a tun device nor any")),
            }
        };
        let (local, remote) = word.split_once(':').unwrap_or((word, "any"));
        Ok(TunnelDevice { local: device(local)?, remote: device(remote)? })
    }

    /// This side's; `None` for the next free one.
    #[must_use]
    pub fn local(&self) -> Option<u32> {
        self.local
    }

    /// The far side's; `None` for the next free one.
    #[must_use]
    pub fn remote(&self) -> Option<u32> {
        self.remote
    }
}

impl fmt::Display for TunnelDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let device = |number: Option<u32>| number.map_or("any".to_owned(), |number| number.to_string());
        write!(f, "{}:{}", device(self.local), device(self.remote))
    }
}

/// From which names an alias of the name service may lead to which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CnameRule {
    from: String,
    to: String,
}

impl CnameRule {
    /// `FROM:TO`, both lists of patterns, or `*` for every name to every name.
    pub(crate) fn parse(word: &str) -> Result<CnameRule, String> {
        if word == "*" {
            return Ok(CnameRule { from: "*".to_owned(), to: "*".to_owned() });
        }
        match word.to_ascii_lowercase().split_once(':') {
            Some((from, to)) if !to.is_empty() => Ok(CnameRule { from: from.to_owned(), to: to.to_owned() }),
            _ => Err(format!("{word:?} is not of the form NAMES:NAMES")),
        }
    }

    /// Patterns of the names that may be followed.
    #[must_use]
    pub fn from(&self) -> &str {
        &self.from
    }

    /// Patterns of the names that they may lead to.
    #[must_use]
    pub fn to(&self) -> &str {
        &self.to
    }

    /// Whether an alias from `name` to `canonical` may be followed.
    ///
    /// ```
    /// use rustle_ssh_config::{ConfigFile, MemorySource, Query, resolve};
    ///
    /// let source = MemorySource::new("a", "/a").file("/c", "CanonicalizePermittedCNAMEs *.a.org:*.b.org\n");
    /// let settings = resolve(&Query::new("192.0.2.1"), &[ConfigFile::explicit("/c")], &source)?;
    /// let rule = &settings.canonicalize_permitted_cnames()[0];
    /// assert!(rule.permits("www.a.org", "web.b.org"));
    /// assert!(!rule.permits("www.a.org", "web.evil.org"));
    /// # Ok::<(), rustle_ssh_config::ConfigError>(())
    /// ```
    #[must_use]
    pub fn permits(&self, name: &str, canonical: &str) -> bool {
        let fits = |name: &str, list: &str| {
            crate::matches_list(name.to_ascii_lowercase().as_bytes(), list.as_bytes())
        };
        fits(name, &self.from) && fits(canonical, &self.to)
    }
}

impl fmt::Display for CnameRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.from, self.to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemorySource;

    #[test]
    fn timeouts_devices_and_names() {
        let timeout = ChannelTimeout::parse("session:*=5m").unwrap();
        assert_eq!((timeout.channel(), timeout.after().as_secs()), ("session:*", 300));
        assert!(ChannelTimeout::parse("=5").is_err() && ChannelTimeout::parse("session").is_err());
        assert_eq!(TunnelDevice::parse("3").unwrap().to_string(), "3:any");
        assert_eq!(TunnelDevice::parse("any:0").unwrap().to_string(), "any:0");
        assert!(TunnelDevice::parse("x").is_err() && TunnelDevice::parse("2147483646").is_err());
        assert_eq!(CnameRule::parse("*.A:B,c").unwrap().to_string(), "*.a:b,c");
        assert_eq!(CnameRule::parse("*").unwrap().to_string(), "*:*");
        assert!(CnameRule::parse("a").is_err() && CnameRule::parse("a:").is_err());
    }

    #[test]
    fn places_of_remote_forwardings() {
        let parse = |text: &str| {
            let words: Vec<String> = text.split(' ').map(str::to_owned).collect();
            PermitRemoteOpen::parse(&words, &MemorySource::new("a", "/a"))
        };
        assert_eq!(parse("any"), Ok(PermitRemoteOpen::Any));
        assert_eq!(parse("NONE"), Ok(PermitRemoteOpen::None));
        let Ok(PermitRemoteOpen::These(places)) = parse("a:1 [::1]:*") else { panic!("a list") };
        assert_eq!((places[0].host(), places[0].port()), ("a", Some(1)));
        assert_eq!((places[1].host(), places[1].port()), ("::1", None));
        assert!(parse("a").is_err() && parse("a:1 none").is_err() && parse("a:0").is_err());
    }
}
