//! Setting up what a server does about forwarding.

use crate::{
    builder::Builder,
    forward::{
        listener::Reach,
        remote::Policy,
        target::{Target, Targets},
    },
};

/// What the builder was told about forwarding, beside the channels to real targets.
#[derive(Default)]
pub(crate) struct Forwarding {
    pub(crate) targets: Targets,
    pub(crate) tcpip_forward: Policy<Reach>,
    pub(crate) streamlocal_forward: Policy<()>,
    pub(crate) agent: Grant,
    pub(crate) x11: Grant,
}

/// Whether a request on a session channel is granted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Grant {
    #[default]
    Refused,
    Granted,
}

/// What is not named here is refused: a forward of either direction, the agent, X11.
///
/// ```
/// use rustle_testserver::{Target, TestServer};
///
/// let builder = TestServer::builder()
///     .forward_target("db.internal", 5432, Target::echo()) // ssh -L
///     .tcpip_forward() // ssh -R
///     .streamlocal_forward_scripted() // ssh -R /path:…
///     .agent_forwarding() // ssh -A
///     .x11_forwarding(); // ssh -X
/// ```
impl Builder {
    /// Connects `direct-tcpip` channels to their targets (RFC 4254 section 7.2). Otherwise they are refused.
    ///
    /// ```
    /// use rustle_testserver::{TestServer};
    ///
    /// let builder = TestServer::builder().direct_tcpip(); // ssh -L, -W, -D
    /// ```
    pub fn direct_tcpip(mut self) -> Self {
        self.settings.direct_tcpip = true;
        self
    }

    /// Connects `direct-streamlocal@openssh.com` channels to their targets. Otherwise they are refused. Needs a Unix.
    ///
    /// ```
    /// use rustle_testserver::{TestServer};
    ///
    /// let builder = TestServer::builder().direct_streamlocal(); // ssh -L port:/path, needs a Unix
    /// ```
    pub fn direct_streamlocal(mut self) -> Self {
        self.settings.direct_streamlocal = true;
        self
    }

    /// What answers on `direct-tcpip` channels to this host and port; `*` in the host stands for any run of bytes, and
    /// no port for any. Of several that match, the one given last wins; where none does,
    /// [`direct_tcpip`](Self::direct_tcpip) decides.
    pub fn forward_target(
        mut self,
        host: impl AsRef<str>,
        port: impl Into<Option<u16>>,
        target: Target,
    ) -> Self {
        self.settings.forwarding.targets.host(host.as_ref(), port.into(), target);
        self
    }

    /// What answers on `direct-streamlocal@openssh.com` channels to this path; `*` stands for any run of bytes. Of
    /// several that match, the one given last wins; where none does, [`direct_streamlocal`](Self::direct_streamlocal)
    /// decides.
    pub fn streamlocal_target(mut self, path: impl AsRef<str>, target: Target) -> Self {
        self.settings.forwarding.targets.path(path.as_ref(), target);
        self
    }

    /// Listens where clients ask it to (`tcpip-forward`, RFC 4254 section 7.1), on this machine only: whatever address
    /// is asked for, 127.0.0.1 and `::1` are listened on, as by sshd with its `GatewayPorts no`. Port 0 leaves the
    /// choice to the system.
    pub fn tcpip_forward(mut self) -> Self {
        self.settings.forwarding.tcpip_forward = Policy::Real(Reach::Loopback);
        self
    }

    /// As [`tcpip_forward`](Self::tcpip_forward), but at the address asked for, as sshd with its
    /// `GatewayPorts clientspecified`: an IP address, `localhost`, or every IPv4 address for `*` and the empty one.
    /// Other names are refused. This opens the port to whoever can reach this machine.
    ///
    /// ```
    /// use rustle_testserver::{TestServer};
    ///
    /// let builder = TestServer::builder().tcpip_forward_as_asked(); // ssh -R 0.0.0.0:8080:…
    /// ```
    pub fn tcpip_forward_as_asked(mut self) -> Self {
        self.settings.forwarding.tcpip_forward = Policy::Real(Reach::AsAsked);
        self
    }

    /// Agrees to listen, and does not: only the test connects, by
    /// [`connect_to_forward`](crate::TestServer::connect_to_forward). Needs no network and works under paused time.
    /// A port that is listened on already is refused. Port 0 gives 49152 and on, in every run the same.
    ///
    /// ```
    /// use rustle_testserver::{TestServer};
    ///
    /// let builder = TestServer::builder().tcpip_forward_scripted(); // ssh -R, and no port is opened
    /// ```
    pub fn tcpip_forward_scripted(mut self) -> Self {
        self.settings.forwarding.tcpip_forward = Policy::Scripted;
        self
    }

    /// Listens on Unix sockets where clients ask it to (`streamlocal-forward@openssh.com`); a path that is not absolute
    /// is one of the server's directory. A file in the way is a refusal, as with sshd; unlike sshd's, the socket's file
    /// goes away when nobody listens any more. Needs a Unix.
    ///
    /// ```
    /// use rustle_testserver::{TestServer};
    ///
    /// let builder = TestServer::builder().streamlocal_forward(); // ssh -R /path:…, needs a Unix
    /// ```
    pub fn streamlocal_forward(mut self) -> Self {
        self.settings.forwarding.streamlocal_forward = Policy::Real(());
        self
    }

    /// Agrees to listen on Unix sockets, and does not: only the test connects, by
    /// [`connect_to_forwarded_socket`](crate::TestServer::connect_to_forwarded_socket). Needs no Unix.
    pub fn streamlocal_forward_scripted(mut self) -> Self {
        self.settings.forwarding.streamlocal_forward = Policy::Scripted;
        self
    }

    /// Grants `auth-agent-req@openssh.com`. A command of the [`shell`](Self::shell) then finds the client's agent by
    /// `SSH_AUTH_SOCK`; one by code opens channels to it by [`Call::open_agent`](crate::Call::open_agent).
    pub fn agent_forwarding(mut self) -> Self {
        self.settings.forwarding.agent = Grant::Granted;
        self
    }

    /// Grants `x11-req`. A command by code opens channels to the client's display by
    /// [`Call::open_x11`](crate::Call::open_x11); the shell gets no `DISPLAY`.
    pub fn x11_forwarding(mut self) -> Self {
        self.settings.forwarding.x11 = Grant::Granted;
        self
    }

    /// Whether forwards, of whatever sort, were asked for.
    pub(super) fn wants_forwards(&self) -> bool {
        let forwarding = &self.settings.forwarding;
        self.settings.direct_tcpip
            || self.settings.direct_streamlocal
            || !forwarding.targets.is_empty()
            || forwarding.tcpip_forward != Policy::Refused
            || forwarding.streamlocal_forward != Policy::Refused
            || forwarding.agent == Grant::Granted
            || forwarding.x11 == Grant::Granted
    }

    /// Whether the platform has what was asked for.
    pub(super) fn needs_unix_sockets(&self) -> Option<&'static str> {
        let forwarding = &self.settings.forwarding;
        if self.settings.direct_streamlocal {
            Some("direct_streamlocal()")
        } else if forwarding.streamlocal_forward == Policy::Real(()) {
            Some("streamlocal_forward()")
        } else if forwarding.targets.has_real_path() {
            Some("streamlocal_target() with Target::real()")
        } else {
            None
        }
    }
}
