//! The forwards that the configuration asks for, as values: a pool of connections makes them.

use std::fmt;

use rustle_ssh_config as config;
use rustle_ssh_config::{ForwardListen, ForwardTarget, PermitRemoteOpen, Settings};

use crate::setup::{HostSetup, HostSetupBuilder};
use crate::target::host_and_port;

/// A forward of the configuration: `LocalForward`, `RemoteForward` or `DynamicForward`.
///
/// ```
/// use rustle_session::{ForwardPlace, HostSetup};
///
/// let builder = HostSetup::builder("web-1").without_config_files().makes_forwards();
/// let setup = builder.option("LocalForward=8080 db:5432").resolve()?;
/// let forward = &setup.forwards()[0];
/// assert_eq!(*forward.listen(), ForwardPlace::Tcp { host: "localhost".to_owned(), port: 8080 });
/// assert_eq!(forward.to_string(), "LocalForward localhost:8080 db:5432");
/// # Ok::<(), rustle_session::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostForward {
    listens_at: ForwardSide,
    listen: ForwardPlace,
    target: Option<ForwardPlace>,
    origin: String,
    permitted: PermitRemoteOpen,
}

/// On which side something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ForwardSide {
    /// On this machine.
    Here,
    /// At the server.
    AtServer,
}

/// Where a forward listens or leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ForwardPlace {
    /// A port.
    Tcp {
        /// Its host or address; where it is listened on, `localhost` for the loopback addresses, and `*` or nothing for all.
        host: String,
        /// 0 where whoever listens chooses it.
        port: u16,
    },
    /// A Unix socket.
    Unix(String),
}

impl HostForward {
    /// On which side it listens.
    #[must_use]
    pub fn listens_at(&self) -> ForwardSide {
        self.listens_at
    }

    /// Where it listens. Where the configuration names no address that is loopback alone, or with `GatewayPorts` everything
    /// on this machine.
    #[must_use]
    pub fn listen(&self) -> &ForwardPlace {
        &self.listen
    }

    /// Where it leads, from the other side; `None` to where each client asks, by SOCKS.
    #[must_use]
    pub fn target(&self) -> Option<&ForwardPlace> {
        self.target.as_ref()
    }

    /// Where it is written: `file:line`, or `command line`.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Whether a client at the server may be led to this place (`PermitRemoteOpen`), where it says itself where it wants to go.
    #[must_use]
    pub fn permits(&self, host: &str, port: u16) -> bool {
        let fits = |place: &config::RemoteOpen| {
            // As written: neither names nor addresses are looked up (`host` is no pattern, but for one for all).
            (place.host() == "*" || place.host() == host)
                && place.port().is_none_or(|permitted| permitted == port)
        };
        match &self.permitted {
            PermitRemoteOpen::Any => true,
            PermitRemoteOpen::These(places) => places.iter().any(fits),
            // None, and what is not known.
            _ => false,
        }
    }
}

impl fmt::Display for HostForward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keyword = match (self.listens_at, &self.target) {
            (ForwardSide::AtServer, _) => "RemoteForward",
            (ForwardSide::Here, Some(_)) => "LocalForward",
            (ForwardSide::Here, None) => "DynamicForward",
        };
        write!(f, "{keyword} {}", self.listen)?;
        match &self.target {
            Some(target) => write!(f, " {target}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for ForwardPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } => f.write_str(&host_and_port(host, *port)),
            Self::Unix(path) => f.write_str(path),
        }
    }
}

/// Who makes the forwards of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Maker {
    /// Nobody: they are warned of.
    Nobody,
    /// Whoever has the setup.
    Caller,
}

/// What the configuration asks for.
pub(super) fn of(settings: &Settings) -> Vec<HostForward> {
    let everything = if settings.gateway_ports() { "*" } else { "localhost" };
    let one = |listens_at: ForwardSide, forward: &config::Forward| {
        let unless_said = if listens_at == ForwardSide::Here { everything } else { "localhost" };
        let listen = match forward.listen() {
            ForwardListen::Tcp { host, port } => {
                ForwardPlace::Tcp { host: host.as_deref().unwrap_or(unless_said).to_owned(), port: *port }
            }
            ForwardListen::Unix(path) => ForwardPlace::Unix(path.clone()),
            _ => return None,
        };
        let target = match forward.target() {
            ForwardTarget::Tcp { host, port } => Some(ForwardPlace::Tcp { host: host.clone(), port: *port }),
            ForwardTarget::Unix(path) => Some(ForwardPlace::Unix(path.clone())),
            ForwardTarget::Socks => None,
            _ => return None,
        };
        let permitted = match listens_at {
            ForwardSide::AtServer => settings.permit_remote_open().clone(),
            ForwardSide::Here => PermitRemoteOpen::Any,
        };
        Some(HostForward { listens_at, listen, target, origin: forward.origin().to_string(), permitted })
    };
    let here = settings.local_forwards().iter().chain(settings.dynamic_forwards());
    let here = here.filter_map(|forward| one(ForwardSide::Here, forward));
    let at_server = settings.remote_forwards().iter();
    here.chain(at_server.filter_map(|forward| one(ForwardSide::AtServer, forward))).collect()
}

impl HostSetupBuilder {
    /// The forwards of the configuration are made by the caller, or by a pool that gets the setup: nothing is warned of them,
    /// nor is it an error where `ExitOnForwardFailure` asks for them. [`HostSetup::forwards`] gives them.
    pub fn makes_forwards(mut self) -> Self {
        self.forwards = Maker::Caller;
        self
    }
}

impl HostSetup {
    /// The forwards that the configuration asks for; none with `ClearAllForwardings`. A single connection makes none.
    #[must_use]
    pub fn forwards(&self) -> &[HostForward] {
        &self.parts.forwards
    }

    /// Whether a connection is not wanted without all of them (`ExitOnForwardFailure`).
    #[must_use]
    pub fn exits_on_forward_failure(&self) -> bool {
        self.parts.exits_on_forward_failure
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forwards(options: &[&str]) -> Vec<HostForward> {
        let builder = HostSetup::builder("web-1").without_config_files().makes_forwards();
        let builder = options.iter().fold(builder, |builder, option| builder.option(*option));
        let setup = builder.resolve().unwrap();
        assert!(setup.warnings().is_empty(), "{:?}", setup.warnings());
        setup.forwards().to_vec()
    }

    fn written(options: &[&str]) -> Vec<String> {
        forwards(options).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn forwards_listen_where_the_configuration_says() {
        let all = [
            "LocalForward=8080 db:5432",
            "LocalForward=*:8081 [::1]:80",
            "LocalForward=/tmp/here.sock /run/there.sock",
            "DynamicForward=1080",
            "RemoteForward=9000 localhost:9000",
            "RemoteForward=0.0.0.0:9001 localhost:9000",
            "RemoteForward=9080",
        ];
        let ways = [
            "LocalForward localhost:8080 db:5432",
            "LocalForward *:8081 [::1]:80",
            "LocalForward /tmp/here.sock /run/there.sock",
            "DynamicForward localhost:1080",
            "RemoteForward localhost:9000 localhost:9000",
            "RemoteForward 0.0.0.0:9001 localhost:9000",
            "RemoteForward localhost:9080",
        ];
        assert_eq!(written(&all), ways);
        let mut cleared = all.to_vec();
        cleared.push("ClearAllForwardings=yes");
        assert!(written(&cleared).is_empty());
        // Those here alone: the server's own GatewayPorts is about the others.
        let everywhere = written(&["GatewayPorts=yes", all[0], all[3], all[4]]);
        assert_eq!(everywhere, ["LocalForward *:8080 db:5432", "DynamicForward *:1080", ways[4]]);
    }

    #[test]
    fn a_proxy_at_the_server_may_lead_to_what_is_permitted() {
        let permits = |option: &str, host: &str, port: u16| {
            forwards(&["RemoteForward=1080", option])[0].permits(host, port)
        };
        assert!(permits("PermitRemoteOpen=any", "db", 1));
        assert!(!permits("PermitRemoteOpen=none", "db", 1));
        let some = "PermitRemoteOpen=db:1 *:2 web:*";
        for (host, port, is_permitted) in
            [("db", 1, true), ("db", 3, false), ("x", 2, true), ("web", 9, true), ("x", 9, false)]
        {
            assert_eq!(permits(some, host, port), is_permitted, "{host}:{port}");
        }
    }

    #[test]
    fn a_single_connection_says_who_makes_forwards() {
        let builder = HostSetup::builder("web-1").without_config_files().option("LocalForward=8080 db:5432");
        let setup = builder.resolve().unwrap();
        let warning = setup.warnings()[0].to_string();
        assert!(warning.contains("LocalForward") && warning.contains("pool"), "{warning}");
        let error = builder.option("ExitOnForwardFailure=yes").resolve().unwrap_err();
        assert!(error.to_string().contains("pool"), "{error}");
    }
}
